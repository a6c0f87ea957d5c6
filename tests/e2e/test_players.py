# SPDX-License-Identifier: BSD-2-Clause
"""Real players connect to the running daemon and decode what it sends, without one error."""
import json
import re
import socket
import struct
import subprocess
import sys
import threading

import cv2
import numpy
import pytest

import bytestream
import clients
import gstreamer
import harness

pytestmark = pytest.mark.one_backend

FAULT = re.compile(r"\[(panic|fatal|error|warning)\]")


@pytest.mark.parametrize("encoder", ["x264", "openh264"])
def test_ffmpeg_plays(camcastd, encoder):
    daemon = camcastd(harness.pattern_config(stream={"encoder": encoder}))
    result = harness.run(
        ["ffmpeg", "-nostdin", "-nostats", "-v", "level+warning", "-err_detect", "explode"]
        + ["-xerror", "-i", f"tcp://127.0.0.1:{daemon.port()}", "-frames:v", 150]
        + ["-f", "framecrc", "-"]
    )
    assert result.returncode == 0, result.stderr
    assert not FAULT.search(result.stderr), result.stderr
    pictures = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    assert len(pictures) == 150
    assert len({line.split(",")[-1] for line in pictures}) > 140, "the picture does not move"
    assert daemon.stream()["encoder"] == encoder


@pytest.mark.parametrize("encoder", ["x264", "openh264"])
def test_ffprobe_sees_the_frame_rate(camcastd, encoder):
    daemon = camcastd(harness.pattern_config(stream={"encoder": encoder}))
    result = harness.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json"]
        + [f"tcp://127.0.0.1:{daemon.port()}"]
    )
    (stream,) = json.loads(result.stdout)["streams"]
    assert stream["r_frame_rate"] == "30/1"
    assert (stream["width"], stream["height"]) == (320, 180)
    assert stream["has_b_frames"] == 0
    assert not result.stderr


def test_gstreamer_plays(camcastd):
    """To the stream's end, which is the server's: no picture is cut there either."""
    daemon = camcastd(harness.pattern_config())
    source = ["tcpclientsrc", "host=127.0.0.1", f"port={daemon.port()}"]
    status, messages = gstreamer.play(source, 150, daemon.stop, "2,libav:3")
    assert status == 0, messages
    faults = [
        line
        for line in messages.splitlines()
        if re.search(r"\b(ERROR|WARN)\b", line) and re.search(r"libav|h264|tcpclient", line)
    ]
    # Behind the last picture stands the delimiter of one that does not come.
    end = ("no frame!", "could not drain decoder")
    assert all(line.endswith(end) for line in faults) and len(faults) <= len(end), faults


OPENCV = """
import sys, cv2
capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
assert capture.isOpened()
before = None
for i in range(90):
    good, picture = capture.read()
    assert good and picture.shape == (180, 320, 3), i
    assert picture.std() > 10, "a flat picture"
    assert before is None or (picture != before).any(), "the same picture again"
    before = picture
"""


def test_opencv_plays(camcastd):
    daemon = camcastd(harness.pattern_config())
    result = harness.run([sys.executable, "-c", OPENCV, f"tcp://127.0.0.1:{daemon.port()}"])
    assert result.returncode == 0 and not result.stderr, result.stderr


def decode_jpeg(data):
    assert data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
    picture = cv2.imdecode(numpy.frombuffer(data, dtype=numpy.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (180, 320, 3)
    return picture


def jpeg_config(**stream):
    config = harness.pattern_config(framing="length_prefixed")
    config["stream s"] = {"camera": "cam", "codec": "mjpeg", "length_prefixed": "127.0.0.1:0"}
    config["stream s"].update(stream)
    return config


def receive_exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        assert more, "the server closed the connection"
        data += more
    return data


def test_the_older_jpeg_client_gets_pictures(camcastd):
    """The client of the system that this one replaces: reads a length, then a picture, for ever."""
    daemon = camcastd(jpeg_config())
    with socket.create_connection(("127.0.0.1", daemon.port("s/length_prefixed"))) as connection:
        connection.settimeout(10 * harness.PATIENCE)
        before = None
        for _ in range(100):
            (length,) = struct.unpack(">I", receive_exactly(connection, 4))
            if length == 0:
                continue
            picture = decode_jpeg(receive_exactly(connection, length))
            assert before is None or (picture != before).any()
            before = picture


def test_a_slow_jpeg_client_gets_whole_and_fresh_pictures(camcastd):
    """Every begin takes the newest picture; none is cut."""
    daemon = camcastd(jpeg_config())
    name = "s/length_prefixed"
    daemon.wait_flowing(name, units=30)
    feed = daemon.feed(name)
    rate = feed["bytes"] / feed["units"] * 10  # ten pictures a second of thirty
    with clients.Viewer(daemon.port(name), rate=int(rate), receive_buffer=8192) as viewer:
        daemon.wait_until(lambda: daemon.feed(name)["dropped"]["lag"] >= 30, "dropped pictures", 30)
        data = viewer.close()
    pictures = 0
    while len(data) >= 4:
        (length,) = struct.unpack_from(">I", data)
        if len(data) < 4 + length:
            break
        decode_jpeg(data[4 : 4 + length])
        data = data[4 + length :]
        pictures += 1
    assert pictures > 5


def test_one_camera_feeds_players_of_two_kinds_on_two_families(camcastd, tmp_path):
    config = harness.pattern_config()
    config["stream s"]["annexb"] = "127.0.0.1:0, [::1]:0"
    config["stream j"] = {"camera": "cam", "codec": "mjpeg", "length_prefixed": "[::1]:0"}
    daemon = camcastd(config)
    with clients.Viewer(daemon.ports["s/annexb"][0]) as four, clients.Viewer(
        daemon.ports["s/annexb"][1], host="::1"
    ) as six, clients.Viewer(daemon.port("j/length_prefixed"), host="::1") as jpeg:
        four.wait_units(30)
        six.wait_units(30)
        jpeg.wait_bytes(50000)
        for viewer, name in ((four, "four"), (six, "six")):
            units, gaps = bytestream.check_stream(viewer.close(), tmp_path, name=name)
            assert gaps == 0 and len(units) >= 30
        assert jpeg.data[4:6] == b"\xff\xd8"


def test_a_picture_is_decoded_before_the_next_one_comes(camcastd):
    """The delimiter behind it says that it is complete."""
    config = harness.pattern_config(camera={"framerate": 1}, stream={"keyframe_interval": 2})
    daemon = camcastd(config)
    viewer = clients.Viewer(daemon.port())
    player = subprocess.Popen(
        ["ffprobe", "-v", "error", "-fflags", "nobuffer", "-flags", "low_delay"]
        + ["-probesize", "32", "-analyzeduration", "0", "-f", "h264", "-show_frames"]
        + ["-show_entries", "frame=pkt_size"]
        + [f"tcp://127.0.0.1:{daemon.port()}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with player:
        guard = threading.Timer(40 * harness.PATIENCE, player.kill)
        guard.start()
        in_time = []
        for line in player.stdout:
            if not line.startswith("pkt_size="):
                continue
            units, tail = bytestream.split(bytes(viewer.data))
            next_began = bytestream.without_end(tail) != b""
            before = [len(unit.data) for unit in (units if next_began else units[:-1])]
            in_time.append(int(line.partition("=")[2]) not in before)
            if len(in_time) == 8:
                break
        guard.cancel()
        player.kill()
    viewer.close()
    assert sum(in_time) >= 5, in_time  # of 8: the player begins late, and the machine may be slow
