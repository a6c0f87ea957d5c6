# SPDX-License-Identifier: BSD-2-Clause
"""Recordings that are copied and encoded at the same time; JPEGs from cameras without MJPEG."""
import os
import signal
import subprocess
import urllib.request

import pytest

import bytestream
import clients
import harness
import strip
import worker

SECONDS = 2
B_PICTURES = 2  # in a row


@pytest.fixture
def recording(tmp_path):
    """recording(name, *options of ffmpeg): a recording of the test pattern."""
    pattern = harness.pattern_config({"encoder": "x264", "bitrate": 2000000})
    pattern["camera cam"]["size"] = f"{strip.WIDTH}x{strip.HEIGHT}"
    made = tmp_path / "pattern.h264"
    worker.by_hand(tmp_path, pattern, "-o", made, "-t", str(SECONDS))

    def make(name, *options):
        command = ["ffmpeg", "-nostdin", "-v", "error", "-r", "30", "-i", made, *options]
        subprocess.run([*map(str, command), tmp_path / name], check=True)
        return tmp_path / name

    return make


H264 = ("b.mp4", "-c:v", "libx264", "-g", 10, "-bf", B_PICTURES, "-qp", 20)
MJPEG = ("j.avi", "-c:v", "mjpeg", "-q:v", 2)
CODECS = {
    "h264": (H264, "annexb", "mjpeg", "length_prefixed"),
    "mjpeg": (MJPEG, "length_prefixed", "h264", "annexb"),
}


def config(path, codec, **streams):
    made = {
        "daemon": {"name": "test", "http": "127.0.0.1:0"},
        "camera cam": {"source": f"file:{path}"},
    }
    feed = CODECS[codec][1]
    made["stream c"] = {"camera": "cam", "codec": codec, "encoder": "copy", feed: "127.0.0.1:0"}
    # A busy machine may let the viewers wait; no H.264 is shed for that.
    made["stream c"] |= {"shed_lag_ms": 10000, "max_lag_ms": 20000, "history_ms": 30000}
    for name, stream in streams.items():
        made[f"stream {name}"] = {"camera": "cam", "linger_ms": 0, **stream}
    return made


def has(codec, count):
    def look(viewer):
        if codec == "h264":
            return len(bytestream.split(bytes(viewer.data))[0]) >= count if viewer.data else False
        return len(bytestream.jpegs(viewer.data)) >= count

    return look


def numbers(viewer, codec):
    data = bytes(viewer.close())
    if codec == "h264":
        units, _ = bytestream.split(data)
        return strip.decoded_numbers(b"".join(unit.data for unit in units), "h264")
    return strip.decoded_numbers(b"".join(bytestream.jpegs(data)), "mjpeg")


def steps(seen, path):
    """How many pictures of the recording, which loops, lie between those that were seen."""
    kind = "h264" if path.suffix == ".mp4" else "mjpeg"
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-c", "copy"]
        + (["-bsf:v", "h264_mp4toannexb"] if kind == "h264" else [])
        + ["-f", kind, "-"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    order = strip.decoded_numbers(raw, kind)
    assert None not in seen and len(set(order)) == len(order)
    places = [order.index(number) for number in seen]
    return [(b - a) % len(order) for a, b in zip(places, places[1:])]


def is_decoded(camcastd):
    return ", and decoded, slots " in camcastd.camera()["path"]


@pytest.mark.parametrize("codec", CODECS)
def test_a_recording_is_copied_and_encoded_at_once(codec, recording, start_camcastd):
    options, feed, other, other_feed = CODECS[codec]
    path = recording(*options)
    encoded = {"codec": other, "on_demand": "yes", other_feed: "127.0.0.1:0"}
    camcastd = start_camcastd(config(path, codec, e=encoded))
    with clients.Viewer(camcastd.port(f"c/{feed}")) as copy:
        copy.wait(has(codec, 20), "20 pictures")
        assert not is_decoded(camcastd)
        assert camcastd.stream("c")["encoder"] == "copy"

        with clients.Viewer(camcastd.port(f"e/{other_feed}")) as viewer:
            viewer.wait(has(other, 75), "75 encoded pictures", timeout=40)
            assert is_decoded(camcastd)
            seen = numbers(viewer, other)
        camcastd.wait_until(lambda: not is_decoded(camcastd), "end of decoding")

        # The end may lie between B pictures and the later one that they refer to.
        copied = numbers(copy, codec)[:-B_PICTURES]
    # A busy machine may leave out pictures of the encoded stream, and none of the copy. But a viewer
    # of JPEGs always gets the newest one, so that those which came while it waited are counted.
    assert all(1 <= step <= 20 for step in steps(seen, path)), seen
    left_out = sum(step - 1 for step in steps(copied, path))
    counted = camcastd.feed(f"c/{feed}")["dropped"]
    assert min(steps(copied, path)) == 1
    assert left_out <= (counted["lag"] if codec == "mjpeg" else 0), copied
    assert counted["gap"] == counted["shed"] == camcastd.stream("c")["dropped"] == 0


def test_both_go_on_when_the_worker_is_killed(recording, start_camcastd):
    path = recording(*H264)
    encoded = {"codec": "h264", "encoder": "x264", "annexb": "127.0.0.1:0"}
    camcastd = start_camcastd(config(path, "h264", e=encoded))
    with clients.Viewer(camcastd.port("c/annexb")) as copy:
        with clients.Viewer(camcastd.port("e/annexb")) as viewer:
            copy.wait(has("h264", 10), "10 pictures")
            viewer.wait(has("h264", 10), "10 encoded pictures")
            os.kill(camcastd.workers()[0], signal.SIGKILL)
            for one in copy, viewer:
                count = len(bytestream.split(bytes(one.data))[0])
                one.wait(has("h264", count + 20), "20 more pictures", timeout=40)
                assert None not in numbers(one, "h264")


def test_a_jpeg_can_be_had_from_a_copied_camera(recording, start_camcastd):
    camcastd = start_camcastd(config(recording(*H264), "h264"))
    camcastd.wait_flowing("c/annexb")
    stream = camcastd.stream("cam:jpeg")
    assert stream["implied"] and not stream["active"] and stream["encoder"] == ""
    assert not is_decoded(camcastd)

    url = f"http://127.0.0.1:{camcastd.http_port}/c.jpg"
    with urllib.request.urlopen(url, timeout=20 * harness.PATIENCE) as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert strip.decoded_numbers(answer.read(), "mjpeg") != [None]
    camcastd.wait_until(lambda: camcastd.stream("cam:jpeg")["units"] >= 1, "a report")
    camcastd.wait_until(lambda: not is_decoded(camcastd), "end of decoding", timeout=20)
    camcastd.wait_until(lambda: camcastd.stream("cam:jpeg")["encoder"] == "", "rest", timeout=20)


def test_a_damaged_recording_costs_pictures_only(recording, start_camcastd):
    path = recording("b.h264", *H264[1:3], "-g", 10, "-bf", 0)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = b"\x55" * 400
    path.write_bytes(data)
    encoded = {"codec": "mjpeg", "length_prefixed": "127.0.0.1:0"}
    camcastd = start_camcastd(config(path, "h264", e=encoded))
    with clients.Viewer(camcastd.port("e/length_prefixed")) as viewer:
        viewer.wait(has("mjpeg", 30 * SECONDS + 30), "more than a pass", timeout=40)
    assert camcastd.status()["cameras"][0]["restarts"] == 0
