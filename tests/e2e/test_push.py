# SPDX-License-Identifier: BSD-2-Clause
"""Streams that are pushed (docs/PUSH.md) to real servers: nginx with its RTMP module, and ffmpeg that
listens for SRT and RTSP. What arrives is decoded, and the pictures' numbers are read."""
import json
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.request

import pytest

import bytestream
import clients
import harness
import strip

pytestmark = pytest.mark.one_backend

WIDTH, HEIGHT = 320, 180
KEY = "str3am-k3y"
ERROR = re.compile(r"push \S+: .*next try in")


def config(*urls, camera=None, **stream):
    """A pattern with few pictures, so that the tests of a busy machine lose none."""
    return harness.pattern_config(
        camera={"framerate": 15, **(camera or {})},
        stream={"push": ", ".join(urls), "sei": False, "keyframe_interval": 15, **stream},
    )


def push_of(camcastd, number=1):
    return camcastd.part("pushes", f"s/{number}")


def wait_state(camcastd, state, number=1, timeout=30):
    return camcastd.wait_until(
        lambda: (one := push_of(camcastd, number))["state"] == state and one,
        f"push {number} {state}",
        timeout,
    )


def wait_sent(camcastd, units, number=1):
    start = push_of(camcastd, number)["units"]
    camcastd.wait_until(
        lambda: push_of(camcastd, number)["units"] >= start + units, f"{units} pictures sent", 30
    )


class Decoder:
    """An ffmpeg that plays `words`, and the numbers of the pictures that it decodes."""

    def __init__(self, *words):
        self.numbers = []
        self.errors = []
        self.process = harness.start(
            ["ffmpeg", "-v", "error", *words, *harness.EACH_PICTURE]
            + ["-vf", "extractplanes=y", "-f", "rawvideo", "-"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for read in (self._read_pictures, self._read_errors):
            threading.Thread(target=read, daemon=True).start()

    def _read_pictures(self):
        while len(luma := self.process.stdout.read(WIDTH * HEIGHT)) == WIDTH * HEIGHT:
            self.numbers.append(strip.read_number(luma, WIDTH, HEIGHT))

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.decode(errors="replace").strip())

    def wait_numbers(self, camcastd, count):
        """The next `count` numbers, all of them legible."""
        start = len(self.numbers)
        camcastd.wait_until(
            lambda: len(self.numbers) >= start + count or self.process.poll() is not None,
            f"{count} pictures at the receiver ({self.errors})",
            40,
        )
        numbers = self.numbers[start : start + count]
        assert len(numbers) == count and None not in numbers, self.errors
        return numbers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Nginx:
    """An RTMP server that is started and killed as often as a test wants."""

    CONFIG = """
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log info;
events {{ worker_connections 64; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; wait_key on; }} }} }}
"""

    def __init__(self, folder):
        self.port = harness.free_port()
        self.folder = folder
        self.process = None
        (folder / "nginx.conf").write_text(self.CONFIG.format(folder=folder, port=self.port))

    @property
    def url(self):
        return f"rtmp://127.0.0.1:{self.port}/live/{KEY}"

    def start(self):
        self.process = harness.start(
            ["/usr/sbin/nginx", "-p", self.folder, "-c", self.folder / "nginx.conf"],
            stderr=subprocess.DEVNULL,
        )
        return self

    def play(self):
        return Decoder("-rw_timeout", "20000000", "-i", self.url)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None


@pytest.fixture(name="nginx")
def fixture_nginx(tmp_path):
    server = Nginx(tmp_path)
    yield server
    server.kill()


def check_whole(daemon, numbers):
    """No picture comes twice, and none is missing but those that a busy machine did not encode."""
    assert numbers == sorted(set(numbers))
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    assert missing <= daemon.camera()["dropped"] + daemon.stream()["dropped"], numbers


def gaps_of(numbers):
    """Where a group of pictures or so is missing."""
    return [a for a, b in zip(numbers, numbers[1:]) if b - a > 10]


def check_no_secret(camcastd, secret=KEY):
    """It is in the file of the configuration alone, and in memory."""
    assert secret not in "\n".join(camcastd.log())
    for path in ("/status.json", "/metrics", "/api/cameras", "/api/viewers", "/api/pushes"):
        assert secret not in camcastd.get(path)[1]
    for pid in [camcastd.process.pid, *camcastd.workers()]:
        for name in ("cmdline", "environ"):
            try:
                text = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
            except PermissionError:
                continue
            assert secret.encode() not in text


def test_rtmp_to_nginx(camcastd, nginx):
    nginx.start()
    daemon = camcastd(config(nginx.url), args=["-v", "-v"])
    wait_state(daemon, "live")
    with nginx.play() as player:
        check_whole(daemon, player.wait_numbers(daemon, 60))
        assert player.errors == []
    status = push_of(daemon)
    assert status["url"] == f"rtmp://127.0.0.1:{nginx.port}/..."
    assert status["stream"] == "s" and status["restarts"] == 0 and status["error"] == ""
    assert status["units"] >= 60 and status["bytes"] > status["units"]
    assert 'camcast_push_live{push="s/1"} 1' in daemon.get("/metrics")[1]
    check_no_secret(daemon)


def test_the_api_lists_pushes_and_why_they_wait(start_camcastd, nginx):
    """Beside it, the process of a push is a viewer with a transport of its own."""
    daemon = start_camcastd(config(nginx.url))

    def push():
        return json.loads(daemon.get("/api/pushes")[1])["pushes"][0]

    waiting = daemon.wait_until(lambda: (one := push())["error"] and one, "a failure", 30)
    assert (waiting["name"], waiting["stream"]) == ("s/1", "s")
    assert waiting["url"] == f"rtmp://127.0.0.1:{nginx.port}/..."
    assert KEY not in json.dumps(waiting)
    nginx.start()
    daemon.wait_until(lambda: (one := push())["state"] == "live" and one["units"] > 5, "success", 60)
    live = push()
    assert live["sent"] > 0 and live["restarts"] > 0 and "retry_in_ms" not in live
    viewers = json.loads(daemon.get("/api/viewers")[1])["viewers"]
    assert [(one["stream"], one["transport"]) for one in viewers] == [("s", "push")]
    check_no_secret(daemon)


def test_srt_to_a_listener(start_camcastd):
    port = harness.free_port(kind=socket.SOCK_DGRAM)
    secret = "0123456789secret"
    with Decoder("-i", f"srt://127.0.0.1:{port}?mode=listener&passphrase={secret}") as player:
        daemon = start_camcastd(
            config(f"srt://127.0.0.1:{port}?passphrase={secret}&streamid=publish%3Acam")
        )
        check_whole(daemon, player.wait_numbers(daemon, 60))
        assert player.errors == []
        assert push_of(daemon)["state"] == "live"
        check_no_secret(daemon, secret)


def test_rtsp_to_a_recorder(start_camcastd):
    port = harness.free_port()
    url = f"rtsp://127.0.0.1:{port}/cam"
    with Decoder("-rtsp_flags", "listen", "-i", url) as player:
        daemon = start_camcastd(config(url))
        check_whole(daemon, player.wait_numbers(daemon, 60))
        assert player.errors == []
        assert push_of(daemon)["state"] == "live"


def test_a_server_is_told_of_the_end(start_camcastd):
    """TEARDOWN, and what it is in other protocols: a lost connection may be waited for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30 * harness.PATIENCE)
        daemon = start_camcastd(config(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/cam"))
        connection, _ = listener.accept()
        methods = []
        with connection, connection.makefile("rb") as requests:
            for line in requests:
                if line == b"\r\n" and methods[-1] != b"TEARDOWN":
                    connection.sendall(
                        b"RTSP/1.0 200 OK\r\nCSeq: %d\r\nSession: 1\r\n"
                        b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n" % len(methods)
                    )
                if line == b"\r\n" and methods[-1] == b"RECORD":
                    break
                if line.endswith(b" RTSP/1.0\r\n"):
                    methods.append(line.split()[0])
            wait_state(daemon, "live")
            daemon.stop()
            assert b"TEARDOWN rtsp://" in requests.read()


def test_a_host_that_has_no_address_is_said(start_camcastd):
    daemon = start_camcastd(config("rtmp://nobody.invalid/app/key"))
    status = wait_state(daemon, "waiting")
    assert "Failed to resolve hostname nobody.invalid" in status["error"], status


def test_a_server_that_comes_late_and_restarts(start_camcastd, nginx):
    """The stream is on demand, and stays wanted by a push that waits."""
    daemon = start_camcastd(config(nginx.url, on_demand=True, linger_ms=0))
    status = wait_state(daemon, "waiting")
    assert "Connection refused" in status["error"] and 0 < status["retry_in_ms"] <= 2000
    assert daemon.stream()["wanted"]
    daemon.wait_until(lambda: push_of(daemon)["restarts"] >= 2, "a third attempt")
    nginx.start()
    wait_state(daemon, "live")
    for _ in range(2):
        nginx.kill()
        wait_state(daemon, "waiting")
        nginx.start()
        wait_state(daemon, "live")
    with nginx.play() as player:
        check_whole(daemon, player.wait_numbers(daemon, 30))
        assert player.errors == []
    assert len([line for line in daemon.log() if ERROR.search(line)]) == 1
    check_no_secret(daemon)


def test_a_receiver_that_stops_reading_hurts_nobody(camcastd, nginx, tmp_path):
    """It is stopped for seconds: the other push and a plain viewer lose nothing; what comes to it
    afterwards begins at a key picture, over the connection that it had."""
    nginx.start()
    port = harness.free_port(kind=socket.SOCK_DGRAM)
    rich = {"sei": True, "bitrate": 8000000, "max_lag_ms": 1500}
    with Decoder("-i", f"srt://127.0.0.1:{port}?mode=listener") as other:
        daemon = camcastd(config(nginx.url, f"srt://127.0.0.1:{port}", **rich))
        pid = wait_state(daemon, "live")["pid"]
        wait_state(daemon, "live", 2)
        with nginx.play() as player, clients.Viewer(daemon.port()) as viewer:
            player.wait_numbers(daemon, 15)
            before = len(other.numbers)
            resyncs = daemon.feed("s/mp4")["resyncs"]
            nginx.process.send_signal(signal.SIGSTOP)
            daemon.wait_until(
                lambda: [
                    one
                    for one in daemon.status()["clients"]
                    if one["feed"] == "s/mp4" and one["lag_ms"] > 2500
                ],
                "a push that is behind",
                60,
            )
            rss = pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]
            nginx.process.send_signal(signal.SIGCONT)
            daemon.wait_until(lambda: daemon.feed("s/mp4")["resyncs"] > resyncs, "a resync")
            daemon.wait_until(lambda: gaps_of(player.numbers), "what comes after it", 30)
            player.wait_numbers(daemon, 30)
            status = push_of(daemon)
            assert status["pid"] == pid and status["restarts"] == 0, status
            assert int(rss) * os.sysconf("SC_PAGESIZE") < 96 << 20
            assert player.errors == []
            assert player.numbers == sorted(player.numbers)
            check_whole(daemon, other.numbers[before:])
            assert other.errors == []
            _, lost = bytestream.check_stream(viewer.close(), tmp_path)
            assert lost == 0


def test_a_killed_worker_does_not_end_a_push(start_camcastd, nginx):
    nginx.start()
    daemon = start_camcastd(config(nginx.url))
    pid = wait_state(daemon, "live")["pid"]
    with nginx.play() as player:
        player.wait_numbers(daemon, 15)
        os.kill(daemon.camera()["pid"], signal.SIGKILL)
        wait_sent(daemon, 45)
        player.wait_numbers(daemon, 30)
        assert player.errors == []
    assert push_of(daemon)["pid"] == pid and push_of(daemon)["restarts"] == 0


def test_a_killed_process_is_started_again(start_camcastd, nginx):
    nginx.start()
    daemon = start_camcastd(config(nginx.url))
    pid = wait_state(daemon, "live")["pid"]
    with clients.Viewer(daemon.port()) as viewer:
        viewer.wait_units(15)
        os.kill(pid, signal.SIGKILL)
        assert "SIGKILL" in wait_state(daemon, "waiting")["error"]
        status = wait_state(daemon, "live")
        assert status["pid"] != pid and status["restarts"] == 1
        viewer.wait_units(15)
    with nginx.play() as player:
        check_whole(daemon, player.wait_numbers(daemon, 30))


def test_a_hung_process_is_killed_and_the_end_of_camcastd_does_not_wait(start_camcastd, nginx):
    """A stopped process: camcastd disconnects it after stall_timeout_ms, and kills it."""
    nginx.start()
    daemon = start_camcastd(config(nginx.url, bitrate=8000000, stall_timeout_ms=1000))
    pid = wait_state(daemon, "live")["pid"]
    os.kill(pid, signal.SIGSTOP)
    status = wait_state(daemon, "waiting", timeout=60)
    assert "stall_timeout_ms" in status["error"]
    pid = wait_state(daemon, "live")["pid"]
    os.kill(pid, signal.SIGSTOP)
    begin = time.monotonic()
    daemon.stop(timeout=8)
    assert time.monotonic() - begin < 8 * harness.PATIENCE


def test_new_parameter_sets_make_a_new_connection(start_camcastd, nginx, tmp_path):
    """A recording in which the size changes."""
    parts = []
    for index, size in enumerate(("320x180", "160x96")):
        parts.append(tmp_path / f"{index}.h264")
        made = harness.run(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=s={size}:r=15:d=5"]
            + ["-c:v", "libx264", "-bf", "0", "-g", "15", "-f", "h264", parts[-1]]
        )
        assert made.returncode == 0, made.stderr
    both = tmp_path / "both.h264"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    nginx.start()
    daemon = start_camcastd(
        config(nginx.url, camera={"source": f"file:{both}"}, encoder="copy")
    )
    wait_state(daemon, "live")
    daemon.wait_log("a new connection, because the size or the parameter sets changed", 30)
    wait_state(daemon, "live")
    assert not [line for line in daemon.log() if ERROR.search(line)]


@pytest.mark.parametrize(
    "value, said",
    [
        (f"http://host/{KEY}", "URL 1 of push is not allowed: it must begin with rtmp://"),
        (f"rtmp://host/app/a, rtmp://:1/{KEY}", "URL 2 of push is not allowed: it has no host"),
        (f"srt://host?passphrase={KEY}", "it has no port"),
        (f"rtmp://host:99999/app/{KEY}", "its host or port is not valid"),
        (",".join([f"rtmp://host/app/{KEY}"] * 9), "URL 9 of push is not allowed: there are too"),
    ],
)
def test_a_wrong_url_is_reported_by_check_without_its_secrets(tmp_path, value, said):
    path = tmp_path / "config.ini"
    path.write_text(harness.config_text(config(value)))
    checked = harness.run([harness.BUILD / "camcastd", "-c", path, "--check"])
    assert checked.returncode == 1 and said in checked.stderr
    assert KEY not in checked.stderr + checked.stdout


def test_mjpeg_is_refused(tmp_path):
    path = tmp_path / "config.ini"
    refused = harness.pattern_config(framing="length_prefixed")
    refused["stream s"].update(codec="mjpeg", sei=False, push=f"rtmp://host/app/{KEY}")
    path.write_text(harness.config_text(refused))
    checked = harness.run([harness.BUILD / "camcastd", "-c", path, "--check"])
    assert checked.returncode == 1 and "push needs codec = h264" in checked.stderr
    assert KEY not in checked.stderr


# --- TLS ---


class TlsRelay:
    """Takes TLS, with a certificate of its own authority for localhost, and passes on to a port."""

    def __init__(self, folder, port):
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        harness.output_of(
            *["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key],
            *["-out", self.certificate, "-days", "2", "-subj", "/CN=localhost"],
            *["-addext", "subjectAltName=DNS:localhost"],
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near = self.context.wrap_socket(self.listener.accept()[0], server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            threading.Thread(target=self._relay, args=(near,), daemon=True).start()

    def _relay(self, near):
        """One thread for both directions, as a TLS connection is not for two."""
        with near, socket.create_connection(("127.0.0.1", self.target)) as far:
            near.setblocking(False)
            while True:
                select.select([] if near.pending() else [near, far], [], [], 1)
                try:
                    data = near.recv(65536)
                    far.sendall(data)
                    if not data:
                        return
                except ssl.SSLWantReadError:
                    pass
                except OSError:
                    return
                if select.select([far], [], [], 0)[0]:
                    near.setblocking(True)
                    near.sendall(far.recv(65536))
                    near.setblocking(False)

    def close(self):
        self.listener.close()


REPORT = struct.Struct("@IIQQ232s")  # include/camcast/push.h


def run_push(words, url, pictures):
    """camcast-push itself, with the bytes of `pictures` for it; its reports as (state, text), up to
    one that says that pictures go out or that it failed."""
    ours, its = socket.socketpair()
    file = os.memfd_create("url", 0)
    os.write(file, url.encode())
    # bash gives the numbers that the program expects.
    script = f"exec 3<&{its.fileno()} 4<&{file}; exec {harness.BUILD / 'camcast-push'}"
    process = harness.start(
        [*words, "bash", "-c", script],
        pass_fds=(its.fileno(), file),
    )
    its.close()
    os.close(file)
    reports = []
    ours.settimeout(20 * harness.PATIENCE)
    try:
        ours.sendall(pictures)
        while not reports or reports[-1][0] == 1:
            data = ours.recv(REPORT.size, socket.MSG_WAITALL)
            assert len(data) == REPORT.size
            state, _, _, _, text = REPORT.unpack(data)
            reports.append((state, text.split(b"\0")[0].decode()))
    finally:
        ours.close()
        process.wait(20 * harness.PATIENCE)
    return reports


def test_rtmps_needs_a_certificate_that_is_trusted(start_camcastd, nginx, tmp_path):
    """And gets through with one."""
    daemon = start_camcastd(config("", sei=False))
    url = f"http://127.0.0.1:{daemon.http_port}/s.mp4"
    with urllib.request.urlopen(url) as stream:
        pictures = stream.read(60000)
    nginx.start()
    relay = TlsRelay(tmp_path, nginx.port)
    try:
        url = f"rtmps://localhost:{relay.port}/live/{KEY}"
        *_, (state, why) = run_push([], url, pictures)
        assert state == 3 and "cannot connect" in why and KEY not in why, why
        authorities = "/etc/ssl/certs/ca-certificates.crt"
        words = harness.with_mount(f"mount --bind {relay.certificate} {authorities}")
        if not words or not os.path.exists(authorities):
            pytest.skip("no mount namespace, or no list of authorities to replace")
        *_, (state, why) = run_push(words, url, pictures)
        assert state == 2, why
    finally:
        relay.close()
