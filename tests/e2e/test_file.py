# SPDX-License-Identifier: BSD-2-Clause
"""Recordings as cameras: a real one with people in it, encoded; others passed on as they are."""
import fractions
import json
import pathlib
import struct
import subprocess

import numpy
import pytest

import bytestream
import clients

pytestmark = pytest.mark.one_backend

VTEST = pathlib.Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
WIDTH, HEIGHT = 192, 144  # for comparing: a quarter of vtest.avi's


def file_config(path, framing="annexb", **stream):
    return {
        "daemon": {"name": "test", "http": "127.0.0.1:0"},
        "camera cam": {"source": f"file:{path}"},
        "stream s": {"camera": "cam", "codec": "h264", framing: "127.0.0.1:0", **stream},
    }


def ffmpeg(*args, **options):
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, args)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout


def record(path, *options, size="320x240", seconds=2):
    """Makes a recording of a moving test picture, 25 pictures a second."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}", *options, path)
    return path


def grey(source, *options):
    """All pictures of a recording, small and grey, as an array [n, HEIGHT * WIDTH]."""
    raw = ffmpeg(
        *options, "-i", source, "-vf", f"scale={WIDTH}:{HEIGHT}:flags=area,format=gray",
        "-fps_mode", "passthrough", "-f", "rawvideo", "-",
    )  # fmt: skip
    return numpy.frombuffer(raw, numpy.uint8).reshape(-1, HEIGHT * WIDTH).astype(numpy.float32)


def psnr(a, b):
    return 10 * numpy.log10(255**2 / max(float(((a - b) ** 2).mean()), 1e-3))


@pytest.mark.skipif(not VTEST.exists(), reason="opencv-doc is installed without its examples")
def test_a_real_recording_is_encoded_picture_by_picture(start_camcastd, tmp_path):
    camcastd = start_camcastd(file_config(VTEST, bitrate=4000000, sei=True))
    with clients.Viewer(camcastd.port()) as viewer:
        viewer.wait_units(50, timeout=30)
        units, gaps = bytestream.check_stream(viewer.close(), tmp_path)
    assert gaps == 0
    camera = camcastd.camera()
    assert "vtest.avi" in camera["source"]
    assert camera["width"] == 768 and camera["height"] == 576

    # every picture is the one that the recording has at that time; 10 a second, of which a busy
    # machine may leave some out
    received = grey(tmp_path / "stream.h264", "-f", "h264")
    original = grey(VTEST, "-t", 40)  # half of it
    first = int(((original - received[0]) ** 2).mean(axis=1).argmin())
    for unit, picture in zip(units, received):
        periods, rest = divmod(unit.monotonic_us - units[0].monotonic_us + 1000, 100000)
        assert rest <= 2000, f"picture {unit.seq} comes {rest} us after its time"
        value = psnr(picture, original[first + periods])
        assert value > 32, f"picture {unit.seq} is not the recording's: {value:.1f} dB"
    assert periods < 2 * len(units)


def slices(data):
    """The coded slices of a byte stream, without what may be put around them."""
    return [nal for nal in bytestream.nals(data) if nal[0] & 31 in (1, 5)]


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "h264"])
def test_h264_is_sent_as_recorded_and_loops_without_a_seam(container, start_camcastd, tmp_path):
    b_pictures = 0 if container == "h264" else 2  # raw H.264 has no timestamps to order them
    path = record(
        tmp_path / f"recording.{container}",
        *("-c:v", "libx264", "-g", 25, "-bf", b_pictures, "-pix_fmt", "yuv420p"),
    )
    camcastd = start_camcastd(file_config(path, encoder="copy", sei=True))
    with clients.Viewer(camcastd.port()) as viewer:
        viewer.wait_units(120, timeout=20)  # more than two passes
        units, gaps = bytestream.check_stream(viewer.close(), tmp_path)
    assert gaps == 0
    assert camcastd.stream()["encoder"] == "copy"

    original = slices(ffmpeg("-i", path, "-c", "copy", "-f", "h264", "-"))
    received = slices(b"".join(unit.data for unit in units))
    assert len(original) % 50 == 0
    first = original.index(received[0])
    expected = (original[first:] + original * (len(received) // len(original) + 1))[: len(received)]
    assert received == expected

    steps = [b.monotonic_us - a.monotonic_us for a, b in zip(units, units[1:])]
    assert max(steps) < 60000 and min(steps) > 20000, steps


def probe_rate(camcastd):
    """The rate that ffprobe finds, in pictures a second."""
    answer = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=avg_frame_rate", "-of", "json"]
        + [f"tcp://127.0.0.1:{camcastd.port()}"],
        check=True,
        capture_output=True,
    )
    return fractions.Fraction(json.loads(answer.stdout)["streams"][0]["avg_frame_rate"])


def test_a_player_learns_the_recordings_rate(start_camcastd, tmp_path):
    path = record(tmp_path / "recording.mp4", "-c:v", "libx264", "-g", 25, "-pix_fmt", "yuv420p")
    camcastd = start_camcastd(file_config(path, encoder="copy"))
    assert probe_rate(camcastd) == 25


@pytest.mark.parametrize("encoder", ["copy", "x264"])
def test_empty_chunks_are_no_pictures(start_camcastd, tmp_path, encoder):
    """AVI has one for each picture that was left out: here for every other one."""
    half = ("-vf", "select=not(mod(n\\,2))", "-fps_mode", "vfr", "-r", 25)
    path = record(tmp_path / "recording.avi", *half, "-c:v", "libx264", "-bf", 0, seconds=4)
    camcastd = start_camcastd(file_config(path, encoder=encoder))
    assert probe_rate(camcastd) == 12.5


def test_mjpeg_is_sent_as_recorded(start_camcastd, tmp_path):
    path = record(tmp_path / "recording.avi", "-c:v", "mjpeg", "-q:v", "3")
    config = file_config(path, "length_prefixed", codec="mjpeg", encoder="copy")
    camcastd = start_camcastd(config)
    with clients.Viewer(camcastd.port("s/length_prefixed")) as viewer:
        viewer.wait_bytes(1 << 20)
        data = viewer.close()
    pictures = []
    while len(data) >= 4 and len(data) >= 4 + struct.unpack_from(">I", data)[0]:
        end = 4 + struct.unpack_from(">I", data)[0]
        pictures.append(data[4:end])
        data = data[end:]
    original = ffmpeg("-i", path, "-c", "copy", "-f", "mjpeg", "-")
    assert len(pictures) > 10
    for picture in pictures:
        assert picture[:3] == b"\xff\xd8\xff" and picture in original


def test_a_recording_that_is_missing_is_told_and_played_when_it_comes(start_camcastd, tmp_path):
    path = tmp_path / "later.mp4"
    camcastd = start_camcastd(file_config(path, sei=True))
    with clients.Viewer(camcastd.port()) as viewer:
        camcastd.wait_log(r"later\.mp4: No such file or directory")
        camcastd.wait_until(
            lambda: "No such file" in json.dumps(camcastd.camera()), "reason in the status"
        )
        record(tmp_path / "made.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p").rename(path)
        viewer.wait_units(30, timeout=40)
        assert not viewer.closed
        bytestream.check_stream(viewer.close(), tmp_path)


def test_joined_flv_files_are_said(start_camcastd, tmp_path):
    one = record(tmp_path / "one.flv", "-c:v", "libx264", "-g", 25, "-pix_fmt", "yuv420p")
    path = tmp_path / "joined.flv"
    path.write_bytes(2 * one.read_bytes())
    camcastd = start_camcastd(file_config(path, encoder="copy"))
    camcastd.wait_log("a second FLV file follows in it")
    camcastd.stop()
    assert len([line for line in camcastd.log() if "a second FLV" in line]) == 1


def test_a_recording_that_cannot_be_copied_says_why(start_camcastd, tmp_path):
    path = record(tmp_path / "recording.avi", "-c:v", "mpeg4")
    camcastd = start_camcastd(file_config(path, encoder="copy"))
    camcastd.wait_log(r"holds mpeg4, which cannot be copied as h264")


def without_idr(folder):
    options = ("-c:v", "libx264", "-bf", "0", "-bsf:v", "filter_units=remove_types=5")
    return record(folder / "recording.ts", *options)


def with_a_long_set(folder):
    """Its SPS ends with bytes that nobody needs."""
    path = record(folder / "recording.h264", "-c:v", "libx264", "-bf", "0")
    data = path.read_bytes()
    start = data.index(b"\0\0\0\1\x67")
    end = data.index(b"\0\0\0\1", start + 4)
    path.write_bytes(data[:end] + b"\xff" * 5000 + data[end:])
    return path


@pytest.mark.parametrize(
    "make, reason",
    [
        (without_idr, r"the recording has no key picture \(IDR\) to begin with"),
        (with_a_long_set, r"a parameter set of the recording is longer than 4096 bytes"),
    ],
)
def test_coded_pictures_that_no_viewer_can_use_are_refused(start_camcastd, tmp_path, make, reason):
    camcastd = start_camcastd(file_config(make(tmp_path), encoder="copy"))
    camcastd.wait_log(reason)
