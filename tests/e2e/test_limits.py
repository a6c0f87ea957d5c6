# SPDX-License-Identifier: BSD-2-Clause
"""The limits on clients, the addresses of camcastd, the machine's limits, and the command line."""
import os
import re
import resource
import signal
import socket
import subprocess
import time

import pytest

import harness
from clients import Viewer
from fakes import FEED, check_units, fake_config, wait_workers, words


def refused(daemon, feed=FEED):
    return {why: count for why, count in daemon.feed(feed)["refused"].items() if count}


def check_refused(port, **options):
    """A connection that is closed at once, without a byte."""
    with Viewer(port, **options) as viewer:
        viewer.wait_closed()
        assert not viewer.data


def check_served(port, **options):
    with Viewer(port, **options) as viewer:
        check_units(wait_workers(viewer, 1))


# --- clients ---


def test_max_clients_counts_all_feeds(camcastd):
    config = fake_config(
        daemon={"max_clients": 3}, other={"length_prefixed": "127.0.0.1:0"}
    )
    daemon = camcastd(config, env=words())
    other = "other/length_prefixed"
    viewers = [Viewer(daemon.port(name)) for name in (FEED, FEED, other)]
    for viewer in viewers:
        wait_workers(viewer, 1)
    check_refused(daemon.port(FEED))
    check_refused(daemon.port(other))
    assert refused(daemon) == {"max_clients": 1}
    assert refused(daemon, other) == {"max_clients": 1}
    viewers[0].close()
    daemon.wait_until(lambda: daemon.status()["clients_total"] == 2, "a free place")
    check_served(daemon.port(other))
    for viewer in viewers:
        viewer.close()


def test_max_clients_of_a_stream_counts_one_feed(camcastd):
    config = fake_config({"max_clients": 2}, other={"length_prefixed": "127.0.0.1:0"})
    daemon = camcastd(config, env=words())
    with Viewer(daemon.port(FEED)) as one, Viewer(daemon.port(FEED)) as two:
        wait_workers(one, 1)
        wait_workers(two, 1)
        check_refused(daemon.port(FEED))
        assert refused(daemon) == {"max_clients_feed": 1}
        check_served(daemon.port("other/length_prefixed"))


def test_max_clients_per_ip_counts_addresses(camcastd):
    daemon = camcastd(fake_config(daemon={"max_clients_per_ip": 2}), env=words())
    with Viewer(daemon.port(FEED)) as one, Viewer(daemon.port(FEED)) as two:
        wait_workers(one, 1)
        wait_workers(two, 1)
        check_refused(daemon.port(FEED))
        check_served(daemon.port(FEED), source="127.0.0.2")
        assert refused(daemon) == {"max_clients_per_ip": 1}
        one.close()
        daemon.wait_until(lambda: daemon.feed(FEED)["clients"] == 1, "a free place")
        check_served(daemon.port(FEED))


def test_a_crowd_at_the_door_is_one_line_a_second(start_camcastd):
    daemon = start_camcastd(fake_config(daemon={"max_clients": 1}), env=words())
    with Viewer(daemon.port(FEED)) as viewer:
        wait_workers(viewer, 1)
        begun = time.monotonic()
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", daemon.port(FEED))) as one:
                assert one.recv(1) == b""
        took = time.monotonic() - begun
        assert refused(daemon) == {"max_clients": 200}
        lines = [line for line in daemon.log() if "refused" in line]
        assert 1 <= len(lines) <= 1 + took
        check_units(wait_workers(viewer, 1))


def test_joining_and_leaving_is_silent(start_camcastd):
    """Nothing that a client does at will makes a line at the default level."""
    daemon = start_camcastd(fake_config(), env=words())
    daemon.wait_flowing(FEED)
    before = daemon.log_position()
    for _ in range(20):
        check_served(daemon.port(FEED))
    daemon.wait_until(lambda: daemon.feed(FEED)["left"]["peer"] == 20, "their end")
    assert daemon.log()[before:] == []


def test_a_storm_of_connections_is_all_let_in(camcastd):
    """1,000 at once: the backlog holds what is not yet accepted."""
    harness.allow_many_files()
    daemon = camcastd(fake_config(daemon={"max_clients": 1000}), env=words())
    sockets = []
    for _ in range(1000):
        one = socket.socket()
        one.setblocking(False)
        assert one.connect_ex(("127.0.0.1", daemon.port(FEED))) in (0, 115)
        sockets.append(one)
    daemon.wait_until(lambda: daemon.feed(FEED)["clients"] == 1000, "1000 clients", 30)
    assert refused(daemon) == {}
    for one in sockets:
        one.close()


# --- peers that are no viewers ---

GREETINGS = {
    "HTTP": b"GET /onvif/device_service HTTP/1.1\r\nHost: camera\r\n\r\n",
    "RTSP": b"OPTIONS rtsp://camera:8888/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "TLS": bytes.fromhex("160301002f0100002b0303") + bytes(41),
}


def sweep(port):
    """A video recorder that looks for cameras: it greets in each protocol, with the greeting whole
    and in segments of one byte, and waits for an answer. Returns the number of its connections."""
    for greeting in GREETINGS.values():
        for pieces in ([greeting], [bytes([byte]) for byte in greeting]):
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.settimeout(20 * harness.PATIENCE)
                try:
                    for piece in pieces:
                        peer.send(piece)
                    while peer.recv(1 << 16):
                        pass
                except ConnectionError:
                    pass  # it went on after it was disconnected
    return 2 * len(GREETINGS)


def test_a_sweep_of_other_protocols_keeps_no_encoder_on(camcastd):
    daemon = camcastd(fake_config({"on_demand": True, "linger_ms": 60000}), env=words())
    daemon.wait_until(lambda: daemon.camera()["frames"] > 0, "pictures")
    count = sweep(daemon.port(FEED)) + sweep(daemon.port(FEED))
    daemon.wait_until(lambda: not daemon.stream()["active"], "an encoder that rests")
    left = {why: n for why, n in daemon.feed(FEED)["left"].items() if n}
    assert left == {"foreign": count}
    (line,) = [line for line in daemon.log() if "is disconnected" in line]
    assert re.search(
        rf"feed {FEED}: client 127\.0\.0\.1:\d+ speaks HTTP and .* \(tcp://HOST:"
        rf"{daemon.port(FEED)}\), HTTP is served at http://127\.0\.0\.1:{daemon.http_port};",
        line,
    )


def test_a_sweep_leaves_the_linger_of_a_viewer_alone(camcastd):
    daemon = camcastd(fake_config({"on_demand": True, "linger_ms": 60000}), env=words())
    check_served(daemon.port(FEED))
    daemon.wait_until(lambda: daemon.feed(FEED)["clients"] == 0, "no client")
    sweep(daemon.port(FEED))
    units = daemon.feed(FEED)["units"]
    daemon.wait_until(lambda: daemon.feed(FEED)["units"] > units + 5, "units for nobody")
    assert daemon.stream()["active"]


# --- addresses ---


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
        return True
    except OSError:
        return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


@ipv6
def test_an_address_without_a_host_is_both_families_on_one_port(camcastd):
    daemon = camcastd(fake_config({"length_prefixed": "0"}), env=words())
    daemon.wait_until(lambda: len(daemon.ports[FEED]) == 2, "two listeners")
    assert len(set(daemon.ports[FEED])) == 1
    check_served(daemon.port(FEED))
    with Viewer(daemon.port(FEED), host="::1") as viewer:
        check_units(wait_workers(viewer, 1))
        (client,) = [one for one in daemon.status()["clients"] if one["address"][0] == "["]
        assert re.match(r"\[::1\]:\d+$", client["address"])


@ipv6
def test_families_are_apart(camcastd):
    daemon = camcastd(fake_config({"length_prefixed": "[::]:0"}), env=words())
    check_served(daemon.port(FEED), host="::1")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", daemon.port(FEED)))


def test_a_feed_may_have_many_addresses(camcastd):
    daemon = camcastd(fake_config({"length_prefixed": "127.0.0.1:0, 127.0.0.2:0"}), env=words())
    one, two = daemon.ports[FEED]
    check_served(one, host="127.0.0.1")
    check_served(two, host="127.0.0.2")


def test_the_log_says_where_to_point_a_player(start_camcastd):
    config = fake_config()
    del config["stream s"]["length_prefixed"]
    config["stream s"]["annexb"] = "127.0.0.1:0"
    daemon = start_camcastd(config, env=words())
    port = daemon.port("s/annexb")
    daemon.wait_log(rf"watch s: ffplay -fflags nobuffer tcp://127\.0\.0\.1:{port}$")
    config["stream s"]["annexb"] = "0.0.0.0:0"
    daemon = start_camcastd(config, env=words())
    found = daemon.wait_log(r"watch s: ffplay -fflags nobuffer tcp://([0-9.]+):(\d+)$")
    assert found[1] != "0.0.0.0" and int(found[2]) == daemon.port("s/annexb")
    with socket.create_connection((found[1], int(found[2]))):
        pass


# --- what does not start ---


def run(*arguments, config=None, **options):
    return subprocess.run(
        [harness.BUILD / "camcastd", *(["-c", config] if config else []), *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20 * harness.PATIENCE,
        **options,
    )


@pytest.fixture
def write_config(tmp_path):
    def write(config):
        path = tmp_path / "config.ini"
        path.write_text(harness.config_text(config))
        return path

    return write


def test_a_second_instance_says_what_to_do(start_camcastd, write_config):
    daemon = start_camcastd(fake_config(), env=words())
    port = daemon.port(FEED)
    second = run(config=write_config(fake_config({"length_prefixed": f"127.0.0.1:{port}"})))
    assert second.returncode == 1
    assert (
        f"error: cannot listen on 127.0.0.1:{port}: another program has this port, perhaps a second "
        f"camcastd (`ss -ltnp sport = :{port}` shows which): stop it, or change length_prefixed in "
        "[stream s]"
    ) in second.stderr
    second = run(
        config=write_config(fake_config(daemon={"http": f"127.0.0.1:{daemon.http_port}"}))
    )
    assert second.returncode == 1
    assert "or change http in [daemon]" in second.stderr
    assert daemon.process.poll() is None


def test_an_address_of_another_machine_is_an_error(write_config):
    result = run(config=write_config(fake_config({"length_prefixed": "192.0.2.1:0"})))
    assert result.returncode == 1
    assert (
        "cannot listen on 192.0.2.1:0: no interface here has this address: change length_prefixed "
        "in [stream s]"
    ) in result.stderr


def test_a_low_fd_limit_lowers_max_clients(write_config, tmp_path):
    """With one line that says by what and what to do."""
    low = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 400))
    path = write_config(fake_config(daemon={"max_clients": 8192}))
    process = subprocess.Popen(
        [harness.BUILD / "camcastd", "-c", path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, preexec_fn=low, env=dict(os.environ, **words()),
    )
    line = next(line for line in process.stderr if "max_clients" in line)
    found = re.search(r"warning: max_clients lowered from 8192 to (\d+): 400 file descriptors", line)
    assert found and 50 < int(found[1]) < 400, line
    assert "LimitNOFILE=" in line
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_a_hopeless_fd_limit_is_an_error(write_config):
    low = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    result = run(config=write_config(fake_config()), preexec_fn=low)
    assert result.returncode == 1
    assert re.search(r"64 file descriptors are too few.*LimitNOFILE=", result.stderr)


# --- the command line ---


def test_the_command_line(write_config):
    good = write_config(fake_config())
    assert run("--version").stdout == f"camcastd {version()}\n"
    assert run("-h").stdout.startswith("usage: camcastd -c FILE\n")
    for wrong in [(), ("--nix",), ("extra", "-c", "x"), ("-c",)]:
        result = run(*wrong)
        assert result.returncode == 2 and result.stderr.startswith("camcastd: ")
        assert result.stderr.count("\n") == 1 and not result.stdout
    checked = run("--check", config=good)
    assert checked.returncode == 0 and "ok: 1 camera, 1 stream, 1 feed\n" in checked.stdout
    help_config = run("--help-config")
    assert help_config.returncode == 0 and "[daemon]" in help_config.stdout
    missing = run(config="/nonexistent/config.ini")
    assert missing.returncode == 1 and "/nonexistent/config.ini" in missing.stderr


def version():
    makefile = (harness.ROOT / "Makefile").read_text()
    return re.search(r"(?m)^VERSION := (\S+)$", makefile)[1]


def test_a_wrong_configuration_starts_nothing(write_config):
    config = fake_config()
    config["stream s"]["birtate"] = 1
    for arguments in [(), ("--check",)]:
        result = run(*arguments, config=write_config(config))
        assert result.returncode == 1
        assert re.search(r"config\.ini:\d+: .*birtate.*bitrate", result.stderr)
        assert "listening" not in result.stderr


# --- the service manager ---


class Manager:
    """The socket that NOTIFY_SOCKET names."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(20 * harness.PATIENCE)

    def wait(self, word):
        while True:
            lines = self.socket.recv(4096).decode().split("\n")
            for line in lines:
                if line.startswith(word):
                    return line


def test_the_service_manager_is_told(start_camcastd, tmp_path):
    manager = Manager(tmp_path / "notify")
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000", **words()}
    daemon = start_camcastd(fake_config(), env=env)
    manager.wait("READY=1")
    # Ready means that clients can come.
    daemon.wait_until(lambda: FEED in daemon.ports, "a feed")
    check_served(daemon.port(FEED))
    begun = time.monotonic()
    for _ in range(5):
        manager.wait("WATCHDOG=1")
    assert time.monotonic() - begun < 5 * 0.4 * harness.PATIENCE
    daemon.wait_until(lambda: manager.wait("STATUS=") == "STATUS=0 clients; pictures flow", "words")
    daemon.process.send_signal(signal.SIGTERM)
    manager.wait("STOPPING=1")



@pytest.mark.parametrize("times", [0, 1, 2])
def test_verbosity_reaches_the_workers_at_the_second_v(start_camcastd, times):
    daemon = start_camcastd(fake_config(), env=words(), args=["-v"] * times)
    daemon.wait_flowing(FEED)
    with open(f"/proc/{daemon.camera()['pid']}/cmdline", "rb") as file:
        assert file.read().endswith(b"\0-v\0") == (times == 2)
    assert any("debug: " in line for line in daemon.log()) == (times >= 1)
