# SPDX-License-Identifier: BSD-2-Clause
"""camcast-capture writes a stream in each framing, and players decode every picture of it; over
HTTP, too, where a worker may die."""
import json
import os
import re
import signal
import subprocess

import clients
import mp4box
import pytest

import harness
from worker import CAPTURE, TIMEOUT, write_config

SECONDS = 3
FAULT = re.compile(r"\[(panic|fatal|error|warning)\]")


def capture(folder, config, framing):
    """What camcast-capture writes within some seconds, and how many pictures it says that is."""
    path = folder / f"stream.{framing}"
    result = subprocess.run(
        [CAPTURE, "-c", write_config(folder, config), "--framing", framing]
        + ["-o", path, "-t", str(SECONDS)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    return path, int(re.search(r"(\d+) units", result.stderr)[1])


def h264(**options):
    config = harness.pattern_config({"encoder": "x264", "keyframe_interval": 30, **options})
    config["camera cam"]["size"] = "320x180"
    return config


def mjpeg():
    config = harness.pattern_config(framing="length_prefixed")
    config["stream s"] = {"camera": "cam", "codec": "mjpeg", "length_prefixed": "127.0.0.1:0"}
    return config


def copied(name):
    config = h264(encoder="copy")
    config["camera cam"] = {"source": f"file:{harness.ROOT}/tests/cases/{name}"}
    return config


def packets(path):
    """What ffprobe reads, without a complaint."""
    result = subprocess.run(
        ["ffprobe", "-v", "level+warning", "-show_packets", "-of", "json", path],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert not FAULT.search(result.stderr), result.stderr
    return json.loads(result.stdout)["packets"]


def assert_decodes(path, pictures, *options):
    """ffmpeg decodes all pictures without a complaint."""
    result = subprocess.run(
        ["ffmpeg", "-nostdin", "-nostats", "-v", "level+warning", "-err_detect", "explode"]
        + ["-xerror", *options, "-i", path, "-fps_mode", "passthrough", "-f", "framecrc", "-"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert not FAULT.search(result.stderr), result.stderr
    assert len(re.findall(r"(?m)^0,", result.stdout)) == pictures


def assert_gstreamer_plays(path, demuxer, pictures):
    result = subprocess.run(
        ["gst-launch-1.0", "-v", "filesrc", f"location={path}", "!", demuxer]
        + "! h264parse ! avdec_h264 output-corrupt=false ! fakesink silent=false".split(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert result.returncode == 0 and "ERROR" not in result.stderr, result.stderr
    assert result.stdout.count("chain") >= pictures, result.stdout[-2000:]


def test_mp4_is_well_formed_and_plays(tmp_path):
    path, pictures = capture(tmp_path, h264(), "mp4")
    (init,), samples = mp4box.read(path.read_bytes())
    assert (init.width, init.height) == (320, 180)
    assert len(samples) == pictures > 30
    assert [sample.sequence for sample in samples] == list(range(1, pictures + 1))
    assert all(sample.pts == sample.dts for sample in samples)
    assert all(sample.duration >= 4499 for sample in samples)  # 1.5 x 33.3 ms
    found = packets(path)
    assert [int(packet["dts"]) for packet in found] == [sample.dts for sample in samples]
    assert ["K" in packet["flags"] for packet in found] == [sample.key for sample in samples]
    assert_decodes(path, pictures)
    assert_gstreamer_plays(path, "qtdemux", pictures)


def test_mp4_of_a_websocket_is_the_same_in_messages(tmp_path):
    path, pictures = capture(tmp_path, h264(), "mp4_ws")
    messages = mp4box.messages(path.read_bytes())
    assert len(messages) == pictures + 1
    assert len(list(mp4box.boxes(messages[0]))) == 2
    mp4box.read(b"".join(messages))


@pytest.mark.parametrize("framing", ["mp4", "mpegts"])
def test_pictures_that_are_reordered_are_shown_in_order(tmp_path, framing):
    """Three B pictures in a row, as the recording has them."""
    path, pictures = capture(tmp_path, copied("06.mp4"), framing)
    found = packets(path)
    dts = [int(packet["dts"]) for packet in found]
    pts = [int(packet["pts"]) for packet in found]
    assert len(found) == pictures > 10
    assert all(a < b for a, b in zip(dts, dts[1:]))
    assert all(a <= b for a, b in zip(dts, pts)) and pts != sorted(pts)
    assert len(set(pts)) == len(pts)
    if framing == "mp4":
        _, samples = mp4box.read(path.read_bytes())
        assert [sample.pts for sample in samples] == pts
        assert any(sample.droppable for sample in samples)


def test_new_parameter_sets_bring_a_new_initialization_segment(tmp_path):
    """The PPS of this recording changes in band."""
    path, _ = capture(tmp_path, copied("01.mp4"), "mp4")
    inits, _ = mp4box.read(path.read_bytes())
    assert len(inits) >= 2
    assert all(a.avcc != b.avcc for a, b in zip(inits, inits[1:]))


def test_a_turned_recording_says_so(tmp_path):
    path, _ = capture(tmp_path, copied("10.mp4"), "mp4")
    (init,), _ = mp4box.read(path.read_bytes())
    assert init.matrix[0] == 0 and abs(init.matrix[1]) == 1 << 16


def test_mpegts_plays(tmp_path):
    path, pictures = capture(tmp_path, h264(), "mpegts")
    assert path.stat().st_size % 188 == 0
    assert len(packets(path)) == pictures > 30
    assert_decodes(path, pictures)
    assert_gstreamer_plays(path, "tsdemux", pictures)


@pytest.mark.parametrize("framing", ["multipart", "multipart_early"])
def test_multipart_plays(tmp_path, framing):
    path, pictures = capture(tmp_path, mjpeg(), framing)
    data = path.read_bytes()
    parts = data.split(b"\r\n--boundarydonotcross\r\n")
    assert data.startswith(b"--boundarydonotcross\r\nContent-Type: image/jpeg\r\n")
    assert len(parts) == pictures + 1
    for part in parts[:-1]:
        head, picture = part.removeprefix(b"--boundarydonotcross\r\n").split(b"\r\n\r\n", 1)
        assert picture[:2] == b"\xff\xd8" and picture[-2:] == b"\xff\xd9"
        length = re.search(rb"Content-Length: (\d+)", head)
        assert framing == "multipart_early" or int(length[1]) == len(picture)
    whole = tmp_path / "whole"
    whole.write_bytes(data.removesuffix(parts[-1]).removesuffix(b"\r\n--boundarydonotcross\r\n"))
    if framing == "multipart":
        assert_decodes(whole, pictures, "-f", "mpjpeg")
    else:  # ffmpeg calls the last picture corrupt, because a head without a length follows none
        command = ["ffmpeg", "-v", "error", "-f", "mpjpeg", "-i", whole, "-f", "framecrc", "-"]
        result = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=True)
        assert not result.stderr and len(re.findall(rb"(?m)^0,", result.stdout)) == pictures


def test_a_framing_of_another_codec_is_refused(tmp_path):
    result = subprocess.run(
        [CAPTURE, "-c", write_config(tmp_path, mjpeg()), "--framing", "mp4", "-o", "-"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert result.returncode == 2
    assert 'stream s has no framing "mp4"' in result.stderr


def interleave(folder):
    """A byte stream of IDR pictures whose parameter sets are others for each picture."""
    streams = []
    for cabac in (0, 1):
        params = f"keyint=1:aud=1:repeat-headers=1:cabac={cabac}"
        result = subprocess.run(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=8"]
            + ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-x264-params", params]
            + ["-f", "h264", "-"],
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
        )
        streams.append(result.stdout.split(b"\0\0\0\1\x09")[1:])
    path = folder / "changing.h264"
    units = [unit for pair in zip(*streams) for unit in pair]
    path.write_bytes(b"".join(b"\0\0\0\1\x09" + unit for unit in units))
    return path


# --- over HTTP ---


def watch(daemon, path):
    viewer = clients.Viewer(daemon.http_port)
    viewer.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return viewer


def read_mp4(viewer):
    body = bytes(viewer.data).partition(b"\r\n\r\n")[2]
    return mp4box.read(mp4box.complete(body))


def test_every_viewer_of_mp4_gets_the_initialization_segment(camcastd):
    """The worker announces it once; the second viewer comes when the feed was not wanted for a
    while."""
    daemon = camcastd(h264(linger_ms=100))
    for _ in range(2):
        with watch(daemon, "/s.mp4") as viewer:
            daemon.wait_until(lambda: len(read_mp4(viewer)[1]) > 10, "ten pictures")
            assert len(read_mp4(viewer)[0]) == 1
        daemon.wait_until(lambda: daemon.feed("s/mp4")["clients"] == 0, "the end of the viewer")
        units = []

        def is_quiet():
            units.append(daemon.feed("s/mp4")["units"])
            return units[-3:] == 3 * units[-1:]

        daemon.wait_until(is_quiet, "no more units")


def test_mp4_goes_on_with_a_new_worker(camcastd, tmp_path):
    """With a new initialization segment and a key picture; times go on, and all decodes."""
    daemon = camcastd(h264())
    with watch(daemon, "/s.mp4") as viewer:
        daemon.wait_until(lambda: len(read_mp4(viewer)[1]) > 10, "ten pictures")
        os.kill(daemon.camera()["pid"], signal.SIGKILL)
        daemon.wait_until(lambda: len(read_mp4(viewer)[0]) > 1, "a second segment")
        before = len(read_mp4(viewer)[1])
        daemon.wait_until(lambda: len(read_mp4(viewer)[1]) > before + 30, "thirty pictures more")
        inits, samples = read_mp4(viewer)
        data = bytes(viewer.data).partition(b"\r\n\r\n")[2]
    assert len(inits) == 2
    path = tmp_path / "two.mp4"
    path.write_bytes(mp4box.complete(data))
    result = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-i", path, "-fps_mode", "passthrough"]
        + ["-f", "framecrc", "-"],
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert not result.stderr, result.stderr
    assert len(re.findall(rb"(?m)^0,", result.stdout)) == len(samples)


def test_parameter_sets_that_always_change_do_not_end_the_worker(camcastd, tmp_path):
    """Preambles have a rate; the pictures in between are left out of MP4, and of nothing else."""
    config = h264(encoder="copy")
    config["camera cam"] = {"source": f"file:{interleave(tmp_path)}"}
    daemon = camcastd(config)
    pid = daemon.camera()["pid"]
    with watch(daemon, "/s.mp4") as viewer:
        daemon.wait_until(lambda: len(read_mp4(viewer)[0]) >= 30, "thirty segments")
    assert daemon.camera()["pid"] == pid
    assert daemon.feed("s/mp4")["units"] < daemon.feed("s/annexb")["units"]


@pytest.mark.parametrize("name", ["s.mp4", "s.ts", "s.h264"])
def test_players_play_over_http(camcastd, name):
    daemon = camcastd(h264())
    result = subprocess.run(
        ["ffmpeg", "-nostdin", "-nostats", "-v", "level+warning", "-err_detect", "explode"]
        + ["-xerror", "-i", f"http://127.0.0.1:{daemon.http_port}/{name}", "-frames:v", "60"]
        + ["-f", "framecrc", "-"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert not FAULT.search(result.stderr), result.stderr
    assert len(re.findall(r"(?m)^0,", result.stdout)) == 60
