# SPDX-License-Identifier: BSD-2-Clause
"""Streams and pictures over HTTP: real players on every path, and what slow, gone and rude clients
get."""
import base64
import http.client
import os
import socket
import statistics
import struct
import sys
import time
from concurrent import futures

import cv2
import numpy

import harness
import motions
import mp4box

BOUNDARY = b"--boundarydonotcross\r\n"
PARSED = {"h264": ["-f", "h264"], "mp4": [], "ts": []}


def url(daemon, path):
    return f"http://127.0.0.1:{daemon.http_port}{path}"


def pattern(**stream):
    """An H.264 and an MJPEG stream of a test pattern."""
    config = harness.pattern_config(stream=stream)
    config["stream j"] = {"camera": "cam", "codec": "mjpeg", "on_demand": "yes"}
    return config


def picture_of(data):
    assert data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
    picture = cv2.imdecode(numpy.frombuffer(data, dtype=numpy.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (180, 320, 3)
    return picture


class Reader:
    """A client that reads a stream: head, and then as many bytes as are asked for."""

    def __init__(self, daemon, path, extra="", buffer=0, version="1.1"):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(15 * harness.PATIENCE)
        self.socket.connect(("127.0.0.1", daemon.http_port))
        self.socket.sendall(f"GET {path} HTTP/{version}\r\nHost: localhost\r\n{extra}\r\n".encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = http.client.parse_headers(self.file)

    def read(self, count):
        data = self.file.read(count)
        assert len(data) == count, "the server closed the connection"
        return data

    def box(self):
        """(type, bytes) of the next MP4 box."""
        head = self.read(8)
        return head[4:], head + self.read(struct.unpack(">I", head[:4])[0] - 8)

    def part(self):
        """(headers, JPEG) of the next part, up to and with the boundary behind it."""
        headers = http.client.parse_headers(self.file)
        data = self.read(int(headers["Content-Length"]))
        assert self.read(2) == b"\r\n" and self.read(len(BOUNDARY)) == BOUNDARY
        return headers, data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


# --- players ---


FEEDS = {"h264": "annexb", "mp4": "mp4", "ts": "mpegts", "ws": "mp4_ws"}


def test_opencv_plays(camcastd):
    daemon = camcastd(pattern())
    program = """
import sys, cv2
from concurrent import futures

def play(url):
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    assert capture.isOpened(), url
    seen = set()
    for i in range(60):
        good, picture = capture.read()
        assert good and picture.shape == (180, 320, 3), (url, i)
        seen.add(picture.tobytes())
    assert len(seen) > 50, url

with futures.ThreadPoolExecutor(5) as pool:
    list(pool.map(play, sys.argv[1:]))
"""
    paths = ("/s.mp4", "/s.ts", "/s.h264", "/j.mjpg", "/?action=stream")
    result = harness.run([sys.executable, "-c", program, *(url(daemon, path) for path in paths)])
    assert result.returncode == 0, result.stderr


def test_mpv_plays(start_camcastd, tmp_path):
    daemon = start_camcastd(pattern())

    def play(path):
        folder = tmp_path / path.strip("/")
        result = harness.run(
            ["mpv", "--no-config", "--no-audio", "--msg-level=all=error", "--frames=15"]
            + ["--vo=image", "--vo-image-format=png", f"--vo-image-outdir={folder}"]
            + [url(daemon, path)]
        )
        assert result.returncode == 0, (path, result.stderr)
        shown = {picture.read_bytes() for picture in folder.iterdir()}
        assert len(shown) == 15, path

    with futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(play, ("/s.mp4", "/s.ts", "/s.h264", "/s.m3u8", "/j.mjpg")))


def test_motion_reads_pictures(start_camcastd, tmp_path):
    """The surveillance program, as people set it up for a camera with MJPEG."""
    daemon = start_camcastd(pattern())
    address = f"netcam_url {url(daemon, '/j.mjpg')}"
    with motions.running(tmp_path, address, "width 320", "height 180", "framerate 10"):
        daemon.wait_until(lambda: motions.numbers(tmp_path), "a legible snapshot of motion", 40)


# --- live ---


def whole_pes(data):
    """Without the picture that is not complete: up to the last packet with which one begins."""
    starts = [i for i in range(0, len(data) - 187, 188) if data[i + 1] & 0x40]
    return data[: starts[-1]]


def whole_pictures(data):
    return data[: data.rindex(b"\0\0\0\1\x09")]


WHOLE = {"mp4": mp4box.complete, "ts": whole_pes, "h264": whole_pictures}


def test_head_and_range_and_old_clients_get_the_stream(camcastd):
    daemon = camcastd(pattern())
    for way, kind in (("h264", "video/h264"), ("mp4", "video/mp4"), ("ts", "video/mp2t")):
        with Reader(daemon, f"/s.{way}", "Range: bytes=0-\r\n", version="1.0") as reader:
            assert reader.status == 200
            assert reader.headers["Content-Type"] == kind
            assert reader.headers["Content-Length"] is None
            assert reader.headers["Cache-Control"] == "no-store"
            assert reader.headers["X-Accel-Buffering"] == "no"
            assert reader.headers["Connection"] == "close"
            reader.read(1000)
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=10)
        connection.request("HEAD", f"/s.{way}")
        answer = connection.getresponse()
        assert answer.status == 200 and answer.getheader("Content-Type") == kind
        assert answer.read() == b""


def test_what_is_not_there_names_what_is(camcastd):
    daemon = camcastd(pattern())
    for path in ("/nobody.mp4", "/s.avi", "/s", "/j.mp4", "/s.mp4/", "//s.mp4", "/../s.mp4"):
        code, text = daemon.get(path)
        assert code == 404, path
    code, text = daemon.get("/nobody.mp4")
    assert "/s.mp4\n" in text and "/j.mjpg\n" in text and "/j.mp4\n" not in text
    with Reader(daemon, "/s%2Emp4") as reader:
        assert reader.status == 200


def test_a_framing_costs_nothing_while_nobody_watches_it(camcastd):
    daemon = camcastd(pattern(linger_ms=100))
    daemon.wait_flowing()
    for way in ("mp4", "ts"):
        feed = f"s/{FEEDS[way]}"
        assert daemon.feed(feed)["units"] == 0
        with Reader(daemon, f"/s.{way}") as reader:
            reader.read(10000)
            assert daemon.feed(feed)["clients"] == 1

        def stands(feed=feed):
            units = daemon.feed(feed)["units"]
            daemon.wait_flowing()  # of the byte stream
            return daemon.feed(feed)["units"] == units

        daemon.wait_until(stands, f"{feed} is not written any more")


def test_the_first_viewer_of_a_framing_has_a_picture_at_once(start_camcastd):
    """Within 150 ms, with the IDR that is made for it: there is one a second at most. A busy machine
    gets three tries."""
    daemon = start_camcastd(pattern(linger_ms=100, join_burst_ms=0))
    daemon.wait_flowing()
    feeds = {"/s.mp4": "s/mp4", "/s.ts": "s/mpegts", "/s.ws": "s/mp4_ws", "/j.mjpg": "j/multipart"}
    for path, feed in feeds.items():
        took = []
        while min(took, default=1) > 0.15:
            assert len(took) < 3, (path, took)
            time.sleep(1.1)
            units = daemon.feed(feed)["units"]
            assert daemon.feed(feed)["clients"] == 0
            begun = time.monotonic()
            with (WebSocket if path.endswith("ws") else Reader)(daemon, path) as reader:
                reader.read(3000)  # more than the head of any of them
                took.append(time.monotonic() - begun)
            daemon.wait_until(lambda feed=feed: daemon.feed(feed)["clients"] == 0, "nobody")
            assert daemon.feed(feed)["units"] > units


def test_mp4_times_are_those_of_the_pictures(camcastd):
    daemon = camcastd(pattern())
    with Reader(daemon, "/s.mp4") as reader:
        data = b"".join(reader.box()[1] for _ in range(2 + 2 * 60))
    _, samples = mp4box.read(data)
    assert len(samples) == 60
    steps = [later.dts - sooner.dts for sooner, later in zip(samples, samples[1:])]
    assert all(0 < step < 20 * 3000 for step in steps), steps
    # Most of them: a busy encoder leaves pictures out.
    assert abs(statistics.median(steps) - 3000) < 300, "30 pictures a second in 1/90000 s"


def test_a_viewer_that_is_too_slow_loses_whole_pictures(camcastd, tmp_path):
    """Half of the rate: what it gets is decoded without an error."""
    config = pattern(bitrate="2M", keyframe_interval=15, max_lag_ms=1500)
    config["camera cam"]["size"] = "640x360"
    daemon = camcastd(config)

    def watch(way):
        data = b""
        with Reader(daemon, f"/s.{way}", buffer=8192) as reader:
            end = time.monotonic() + 8
            while time.monotonic() < end:
                time.sleep(0.05)
                data += reader.file.read1(4000)
            feed = daemon.feed(f"s/{FEEDS[way]}")
            assert feed["dropped"]["lag"] + feed["resyncs"] > 0, feed
        return data

    ways = ("mp4", "ts", "h264")
    with futures.ThreadPoolExecutor() as pool:
        received = dict(zip(ways, pool.map(watch, ways)))
    for way, data in received.items():
        (tmp_path / "slow").write_bytes(WHOLE[way](data))
        result = harness.run(
            ["ffmpeg", "-nostdin", "-v", "error", *PARSED[way], "-i", tmp_path / "slow"]
            + [*harness.EACH_PICTURE, "-f", "null", "-"]
        )
        # A demuxer says that packets are missing where the counters of a transport stream jump;
        # the decoder must not complain.
        faults = [line for line in result.stderr.splitlines() if "corrupt" not in line.lower()]
        assert not faults, (way, faults)


# --- pictures ---


def test_a_picture_is_the_next_one(camcastd):
    daemon = camcastd(pattern())
    before = time.time()
    with Reader(daemon, "/j.jpg", "Connection: close\r\n") as reader:
        assert reader.status == 200
        assert reader.headers["Content-Type"] == "image/jpeg"
        assert reader.headers["Cache-Control"] == "no-store"
        assert before - 1 < float(reader.headers["X-Timestamp"]) < time.time()
        picture_of(reader.file.read())
    daemon.wait_until(lambda: not daemon.stream("j")["active"], "nobody needs pictures any more")


def test_a_recent_picture_will_do(camcastd):
    """With two pictures a second, answers at the same time have the same one; the next is waited
    for only by those that want it, or none that is so old."""
    config = pattern()
    config["camera cam"]["framerate"] = 2
    daemon = camcastd(config)

    def stamp(query):
        with Reader(daemon, f"/j.jpg{query}", "Connection: close\r\n") as reader:
            picture_of(reader.file.read())
            return float(reader.headers["X-Timestamp"])

    with Reader(daemon, "/j.mjpg") as watching:  # so that there are recent ones
        assert watching.read(len(BOUNDARY)) == BOUNDARY
        shown = float(watching.part()[0]["X-Timestamp"])
        recent = [stamp("?max_age=3600&x=1") for _ in range(20)]
        assert shown <= recent[0] + 0.001 and len(set(map(round, recent))) < 10, recent
        for query in ("", "?max_age=0.001"):
            asked = [stamp(query) for _ in range(3)]
            assert all(later - sooner > 0.25 for sooner, later in zip(asked, asked[1:])), asked


def test_pictures_of_a_stream_of_h264(camcastd):
    """Without an MJPEG stream in the configuration, there is one for them."""
    config = harness.pattern_config()
    daemon = camcastd(config)
    for path in ("/s.jpg", "/snapshot", "/snapshot.jpg", "/?action=snapshot&cacheBust=1"):
        with Reader(daemon, path, "Connection: close\r\n") as reader:
            assert reader.status == 200, path
            picture_of(reader.file.read())


def test_multipart_is_made_of_whole_pictures(camcastd):
    daemon = camcastd(pattern())
    for path in ("/j.mjpg", "/s.mjpg", "/stream", "/video", "/?action=stream"):
        with Reader(daemon, path) as reader:
            kind = reader.headers["Content-Type"]
            assert kind == "multipart/x-mixed-replace; boundary=boundarydonotcross"
            assert reader.read(len(BOUNDARY)) == BOUNDARY
            for _ in range(3):
                headers, data = reader.part()
                assert headers["Content-Type"] == "image/jpeg"
                assert abs(float(headers["X-Timestamp"]) - time.time()) < 5
                picture_of(data)


def test_multipart_with_early_heads_is_never_a_picture_late(camcastd):
    daemon = camcastd(pattern())
    head = BOUNDARY + b"Content-Type: image/jpeg\r\n\r\n"
    with Reader(daemon, "/j.mjpg?advance_headers=1") as reader:
        data = reader.read(len(head))
        assert data == head
        while data.count(head) < 4:
            data += reader.file.read1(65536)
    for part in data.split(head)[1:4]:
        assert part.endswith(b"\r\n")
        picture_of(part[:-2])


def test_no_camera_no_picture(camcastd):
    config = pattern()
    config["camera cam"]["source"] = "file:/nowhere.mp4"
    config["stream s"].pop("encoder", None)
    daemon = camcastd(config)
    with Reader(daemon, "/j.jpg", "Connection: close\r\n") as reader:
        assert reader.status == 503
        assert b"no pictures" in reader.file.read()


# --- WebSocket ---


class WebSocket(Reader):
    def __init__(self, daemon, path, origin=None):
        key = base64.b64encode(os.urandom(16)).decode()
        super().__init__(
            daemon,
            path,
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n" + (f"Origin: {origin}\r\n" if origin else ""),
        )

    def frame(self):
        first, length = self.read(2)
        if length == 126:
            (length,) = struct.unpack(">H", self.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.read(8))
        return first, self.read(length)

    def say(self, first, payload):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(bytes([first, 0x80 | len(payload)]) + mask + masked)


def test_websocket_brings_a_picture_in_each_message(camcastd, tmp_path):
    daemon = camcastd(pattern())
    with WebSocket(daemon, "/s.ws") as peer:
        assert peer.status == 101
        first, init = peer.frame()
        assert first == 0x82 and init[4:8] == b"ftyp"
        data = init
        for i in range(60):
            if i == 30:
                peer.say(0x89, b"are you there?")
            first, message = peer.frame()
            if first == 0x8A:
                assert message == b"are you there?"
                continue
            assert first == 0x82
            assert [kind for kind, _ in mp4box.boxes(message)] == [b"moof", b"mdat"]
            data += message
        assert daemon.feed("s/mp4_ws")["clients"] == 1
        peer.say(0x88, struct.pack(">H", 1000))
        while peer.frame()[0] != 0x88:
            pass
        assert peer.file.read() == b""
    (tmp_path / "stream.mp4").write_bytes(data)
    result = harness.run(
        ["ffmpeg", "-nostdin", "-v", "warning", "-xerror", "-i", tmp_path / "stream.mp4"]
        + ["-f", "framecrc", "-"]
    )
    assert result.returncode == 0 and not result.stderr, result.stderr


def test_pages_of_others_get_no_websocket(camcastd):
    daemon = camcastd(pattern())
    with WebSocket(daemon, "/s.ws", "http://evil.example") as peer:
        assert peer.status == 403
    with Reader(daemon, "/s.ws") as peer:
        assert peer.status == 426


# --- clients together ---


def test_a_viewer_that_reads_nothing_disturbs_nobody(camcastd):
    daemon = camcastd(pattern(stall_timeout_ms=4000))
    with Reader(daemon, "/s.mp4") as good:
        lazy = [Reader(daemon, f"/s.{way}", buffer=4096) for way in ("mp4", "ts", "h264") * 3]
        longest, last = 0, time.monotonic()
        end = last + 6 * harness.PATIENCE
        while daemon.feed("s/mp4")["clients"] > 1 and time.monotonic() < end:
            for _ in range(30):
                good.box()
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert daemon.feed("s/mp4")["clients"] == 1, "the others are out"
        assert longest < 1 * harness.PATIENCE
        for reader in lazy:
            reader.__exit__()


def test_viewers_do_not_take_the_places_of_questions(camcastd):
    daemon = camcastd(pattern())
    daemon.wait_flowing()
    readers = [Reader(daemon, "/s.mp4") for _ in range(80)]
    assert all(reader.status == 200 for reader in readers)
    assert daemon.get("/healthz")[0] == 200
    assert daemon.feed("s/mp4")["clients"] == 80
    for reader in readers:
        reader.__exit__()


def test_many_small_requests_on_one_connection(camcastd):
    daemon = camcastd(pattern())
    daemon.wait_flowing()
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=20)
    connection.connect()
    first = connection.sock
    for _ in range(20):
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read() == b"ok\n"
    assert connection.sock is first
    connection.request("POST", "/s.mp4", body=b"x")
    answer = connection.getresponse()
    assert answer.status == 405 and answer.getheader("Allow") == "GET, HEAD"
