# SPDX-License-Identifier: BSD-2-Clause
"""camcast recv from real camcastd: every unit that it writes is whole, and every gap ends at a key
unit."""
import os
import re
import select
import signal
import subprocess
import time

import pytest

import broker as mqtt
import bytestream
import harness
import tool
from tool import Tool, announce, run

JPEG = {"codec": "mjpeg", "length_prefixed": "127.0.0.1:0"}


def small_config(**stream):
    return harness.pattern_config(
        camera={"size": "320x180"}, stream={"bitrate": 300000, "keyframe_interval": 15, **stream}
    )


def announced_config(broker, name="porch", **stream):
    config = small_config(**stream)
    config["daemon"]["name"] = name
    config["mqtt"] = {"broker": "127.0.0.1", "port": broker.port, "id": name}
    return config


def url(daemon, feed="s/annexb"):
    return f"tcp://127.0.0.1:{daemon.port(feed)}"


def wait_units(daemon, path, count):
    """Until count units more than now are in the file."""
    def units():
        return path.read_bytes().count(bytestream.AUD) if path.exists() else 0

    wanted = units() + count
    daemon.wait_until(lambda: units() >= wanted, f"{count} units in {path}", 30)


def check_file(path, folder, restarts=False):
    """(units, gaps) of a file, in which the last unit, too, is a whole one."""
    return bytestream.check_stream(path.read_bytes() + bytestream.AUD, folder, restarts=restarts)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stream_goes_to_a_file_until_it_is_ended(start_camcastd, tmp_path, how):
    daemon = start_camcastd(small_config())
    path = tmp_path / "out.h264"
    path.write_bytes(b"something older" * 100000)
    with Tool("recv", url(daemon), "-o", path) as recv:
        daemon.wait_until(lambda: path.stat().st_size < 1000000, "the file to be emptied")
        wait_units(daemon, path, 40)
        assert recv.stop(how) == 0
        assert recv.stderr() == ""
    units, gaps = check_file(path, tmp_path)
    assert len(units) >= 40 and gaps == 0


def test_a_player_reads_the_pipe(start_camcastd):
    """As in `camcast recv NAME -o - | ffplay -`; the player ends it."""
    daemon = start_camcastd(small_config())
    with Tool("recv", url(daemon), "-o", "-", stdout=subprocess.PIPE) as recv:
        player = subprocess.run(
            ["ffmpeg", "-nostdin", "-v", "warning", "-xerror", "-i", "-", "-frames:v", "60"]
            + ["-f", "framecrc", "-"],
            stdin=recv.process.stdout,
            capture_output=True,
            text=True,
            timeout=60 * harness.PATIENCE,
            check=False,
        )
        recv.process.stdout.close()
        assert (player.returncode, player.stderr) == (0, "")
        assert sum(not line.startswith("#") for line in player.stdout.splitlines()) == 60
        assert recv.wait() == 0
        assert recv.stderr() == ""


def test_jpegs_go_one_behind_the_other(start_camcastd, tmp_path):
    config = small_config()
    config["stream j"] = {"camera": "cam", **JPEG}
    daemon = start_camcastd(config)
    path = tmp_path / "out.mjpeg"
    feed = daemon.port("j/length_prefixed")
    with Tool("recv", f"tcp+length://localhost:{feed}", "-o", path) as recv:
        daemon.wait_until(
            lambda: path.exists() and path.read_bytes().count(b"\xff\xd8\xff") > 30, "30 JPEGs", 30
        )
        assert recv.stop() == 0
    data = path.read_bytes()
    assert data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")
    decoded = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-f", "mjpeg", "-i", path]
        + ["-fps_mode", "passthrough", "-f", "framecrc", "-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (decoded.returncode, decoded.stderr) == (0, "")
    pictures = sum(not line.startswith("#") for line in decoded.stdout.splitlines())
    assert pictures == data.count(b"\xff\xd8\xff")


def test_a_closed_pipe_ends_it_even_when_nothing_comes(start_camcastd):
    daemon = start_camcastd(small_config())
    reading, writing = os.pipe()
    with Tool("recv", url(daemon), stdout=writing) as recv:
        os.close(writing)
        assert select.select([reading], [], [], 20 * harness.PATIENCE)[0]
        for worker in daemon.workers():
            os.kill(worker, signal.SIGSTOP)
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            os.close(reading)
            assert recv.wait() == 0
        finally:
            daemon.process.send_signal(signal.SIGCONT)
            for worker in daemon.workers():
                os.kill(worker, signal.SIGCONT)
        assert recv.stderr() == ""


def test_ctrl_c_ends_it_while_the_pipe_is_full(start_camcastd):
    daemon = start_camcastd(small_config())
    reading, writing = os.pipe()
    with Tool("recv", url(daemon), stdout=writing) as recv:
        os.close(writing)
        wchan = f"/proc/{recv.process.pid}/syscall"
        daemon.wait_until(lambda: open(wchan).read().startswith("1 "), "a blocked write()", 30)
        assert recv.stop() == 0
    os.close(reading)


def test_a_player_that_paused_for_too_long_goes_on_at_a_key_unit(start_camcastd, tmp_path):
    daemon = start_camcastd(small_config(stall_timeout_ms=500, bitrate=2000000))
    got = bytearray()
    reading, writing = os.pipe()
    with Tool("recv", url(daemon), stdout=writing) as recv:
        os.close(writing)

        def left_behind():
            feed = daemon.feed()
            return feed["resyncs"] + feed["left"]["stalled"]

        daemon.wait_until(left_behind, "the server to go on without the player", 60)
        os.set_blocking(reading, False)
        deadline = time.monotonic() + 30 * harness.PATIENCE
        after_gap = 0
        while after_gap < 20:
            assert time.monotonic() < deadline, f"{len(got)} bytes; {recv.stderr()}"
            if not select.select([reading], [], [], 0.1)[0]:
                continue
            got += os.read(reading, 1 << 16)
            units, _ = bytestream.split(bytes(got))
            found = bytestream.gaps(units)
            after_gap = units[-1].seq - found[0][1].seq if found else 0
        assert recv.stop() == 0
    os.close(reading)
    _, gaps = bytestream.check_stream(bytes(got), tmp_path)
    assert gaps >= 1


# --- disks ---


def test_a_full_disk_is_said_and_what_is_there_stays_whole(start_camcastd, tmp_path):
    daemon = start_camcastd(small_config(bitrate=2000000))
    disk = tmp_path / "disk"
    disk.mkdir()
    # In a mount namespace of its own, which is gone with it.
    script = """
        mount -t tmpfs -o size=256k none "$1" && "$2" recv "$3" -o "$1/out.h264"
        echo "exit status $?"
        cp "$1/out.h264" "$4"
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", disk, harness.BUILD / "camcast", url(daemon)]
        + [tmp_path / "copy"],
        capture_output=True,
        text=True,
        timeout=60 * harness.PATIENCE,
        check=False,
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(done.stderr)
    assert "exit status 1" in done.stdout
    size = (tmp_path / "copy").stat().st_size
    assert f"out.h264: No space left on device; {size} bytes were written" in done.stderr
    assert 0 < size <= 256 << 10
    check_file(tmp_path / "copy", tmp_path)


@pytest.mark.parametrize(
    "path, said", [("/nowhere/out", "No such file"), ("/", "Is a directory")]
)
def test_an_output_that_cannot_be_is_said_at_once(path, said):
    code, _, err = run("recv", "tcp://127.0.0.1:1", "-o", path)
    assert code == 1
    assert f"{path}: {said}" in err


def test_nothing_is_lost_before_something_comes(tmp_path):
    """The server is not there, so what the file holds stays."""
    path = tmp_path / "out"
    path.write_bytes(b"older")
    port = harness.free_port()
    with Tool("recv", f"tcp://127.0.0.1:{port}", "-o", path) as recv:
        recv.wait_line("Connection refused; trying again", recv.err)
        assert recv.stop() == 0
    assert path.read_bytes() == b"older"


# --- servers that come and go ---


def test_it_goes_on_when_the_server_is_back(start_camcastd, tmp_path):
    port = harness.free_port()
    config = small_config(annexb=f"127.0.0.1:{port}")
    path = tmp_path / "out.h264"
    with Tool("recv", f"tcp://127.0.0.1:{port}", "-o", path) as recv:
        recv.wait_line("Connection refused; trying again", recv.err)
        daemon = start_camcastd(config)
        recv.wait_line("receiving again after", recv.err)
        wait_units(daemon, path, 20)
        daemon.process.kill()
        recv.wait_line("closed the connection|reset", recv.err)
        for worker in daemon.workers():
            os.kill(worker, signal.SIGKILL)
        daemon.expected_exit = -signal.SIGKILL
        daemon = start_camcastd(config)
        recv.wait_line("receiving again after", recv.err, after=3)
        wait_units(daemon, path, 20)
        assert recv.stop() == 0
        assert len(recv.err) == 4
    units, gaps = check_file(path, tmp_path, restarts=True)
    assert len(units) >= 40 and gaps == 1


def test_a_server_is_followed_to_another_port(start_camcastd, broker, tmp_path):
    path = tmp_path / "out.h264"
    first = start_camcastd(announced_config(broker))
    with mqtt.Client(broker) as client:
        client.subscribe("camcast/porch/status")
        client.wait_message("camcast/porch/status", lambda m: m.payload == b"online")
    with Tool("recv", "porch", "-o", path, broker=broker) as recv:
        wait_units(first, path, 10)
        first.stop()
        second = start_camcastd(announced_config(broker))
        recv.wait_line(rf"porch/s is now at \S+ port {second.port()}", recv.err, timeout=30)
        wait_units(second, path, 10)
        assert recv.stop() == 0
    _, gaps = check_file(path, tmp_path, restarts=True)
    assert gaps == 1


# --- names ---


def test_names_choose_servers_and_streams(start_camcastd, broker, tmp_path):
    config = announced_config(broker, name="현관")
    config["mqtt"]["id"] = "porch"
    config["stream j"] = {"camera": "cam", **JPEG}
    daemon = start_camcastd(config)
    with mqtt.Client(broker) as client:
        client.subscribe("camcast/porch/status")
        client.wait_message("camcast/porch/status", lambda m: m.payload == b"online")
    for name, start in [
        ("현관", bytestream.BEGINNING),
        ("porch", bytestream.BEGINNING),
        ("현관/s", bytestream.BEGINNING),
        ("porch/j", b"\xff\xd8"),
    ]:
        path = tmp_path / "out"
        with Tool("recv", name, "-o", path, broker=broker) as recv:
            daemon.wait_until(
                lambda: path.exists() and path.stat().st_size > 10000, "10000 bytes", 30
            )
            assert recv.stop() == 0
            assert recv.stderr() == ""
        assert path.read_bytes().startswith(start)
        path.write_bytes(b"")


def test_a_name_that_is_unknown_or_ambiguous_is_answered_with_what_there_is(broker):
    with mqtt.Client(broker) as client:
        announce(client, "a", name="porch", address="10.0.0.1")
        announce(client, "b", name="porch", address="10.0.0.2")
        announce(client, "c", name="attic")
        announce(client, "d", name="cellar", status="offline")
    for name, said in [
        ("cellar", 'no server is called "cellar"; there are: attic (c), porch (a), porch (b)'),
        ("porch", '2 servers are called "porch"; their ids are: a (10.0.0.1), b (10.0.0.2)'),
        ("attic/back", "attic has no stream back; it has: s"),
    ]:
        code, _, err = run("recv", name, "-o", "/dev/null", broker=broker)
        assert (code, err) == (1, f"camcast: {said}\n")


def test_a_wrong_name_leaves_no_file(broker, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old").write_text("mine")
    for name in ("new", "old"):
        code, _, err = run("recv", "nobody", "-o", folder / name, broker=broker)
        assert code == 1 and 'no server is called "nobody"' in err
    assert [path.name for path in folder.iterdir()] == ["old"]
    assert (folder / "old").read_text() == "mine"


def test_a_server_that_announces_itself_late_is_waited_for(start_camcastd, broker, tmp_path):
    path = tmp_path / "out.h264"
    config = announced_config(broker)
    config.pop("mqtt")
    daemon = start_camcastd(config)
    with Tool("recv", "late", "-o", path, broker=broker) as recv:
        broker.wait_log("Received SUBSCRIBE")
        with mqtt.Client(broker) as client:
            announce(client, "late", streams=[tool.stream_info(port=daemon.port())])
        wait_units(daemon, path, 5)
        assert recv.stop() == 0


def test_no_broker_is_said():
    port = harness.free_port()
    code, _, err = run("recv", "porch", "-o", "/dev/null", "--broker", f"127.0.0.1:{port}")
    said = f"camcast: broker: 127.0.0.1:{port}: Connection refused; HOST:PORT or a URL names a stream"
    assert (code, err) == (1, f"{said} without one\n")


# --- terminals ---


def test_progress_is_shown_on_a_terminal_only(start_camcastd, tmp_path):
    daemon = start_camcastd(small_config())
    path = tmp_path / "out.h264"
    with Tool("recv", url(daemon), "-o", path, terminal=True) as recv:
        name = re.escape(url(daemon))
        recv.wait_line(
            rf"\r\x1b\[K{name}  [\d.]+ fps  [\d.]+ Mbit/s  [\d.]+ MB  0 dropped(\r|$)", timeout=40
        )
        assert recv.stop() == 0
        assert recv.stdout().endswith("\r\n")


def test_video_is_not_written_to_a_terminal(start_camcastd):
    daemon = start_camcastd(small_config())
    with Tool("recv", url(daemon), terminal=True) as recv:
        assert recv.wait() == 1
        assert "is a terminal" in recv.stdout()


@pytest.mark.parametrize(
    "arguments",
    [[], ["a", "b"], ["--unknown", "a"], ["http://127.0.0.1:80"], ["tcp://127.0.0.1"]],
)
def test_bad_arguments_are_refused(arguments):
    code, out, err = run("recv", *arguments)
    assert code == (2 if len(arguments) != 1 else 1 if arguments else 2)
    assert out == "" and err
