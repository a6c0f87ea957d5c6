# SPDX-License-Identifier: BSD-2-Clause
"""libcamera itself, without hardware: its `virtual` camera in a Debian 13 root folder
(tests/guests/distros, whose run.sh runs this file), viewed from this machine."""
import os
import re
import shlex
import signal
import subprocess

import numpy
import pytest

import bytestream
import clients
import harness

RUN = harness.ROOT / "tests/guests/distros/run.sh"
WIDTH, HEIGHT = 640, 480
CAMERAS = """
"Picture":
  supported_formats: [{width: 640, height: 480, frame_rates: [30]}]
  frames: {path: "/usr/share/libcamera/pipeline/virtual/picture.jpg"}
  model: "Still Life"
"Bars":
  supported_formats:
  - {width: 320, height: 240, frame_rates: [30]}
  - {width: 1280, height: 720, frame_rates: [30]}
  test_pattern: "bars"
  model: "Colour Bars"
"""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a root folder needs root"),
    pytest.mark.skipif(bool(harness.SAN), reason="built without sanitizers there"),
]


@pytest.fixture(scope="module", name="debian13")
def fixture_debian13():
    """Builds the project there; the first time makes the folder, about 90 s."""
    subprocess.run([RUN, "build"], check=True, stdout=subprocess.DEVNULL, timeout=1500)


class Debian13:
    """Starts programs there. `folder` is /tmp/test. The cameras and their picture are where the
    sandbox of a worker can read them."""

    def __init__(self, folder):
        self.folder = folder
        self.picture = folder / "virtual/picture.jpg"
        self.picture.parent.mkdir()
        (folder / "virtual/virtual.yaml").write_text(CAMERAS)
        self.ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={WIDTH}x{HEIGHT}:r=1", "-frames:v", "1")
        self.shim = True

    def ffmpeg(self, *args):
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *args, self.picture], check=True)

    def command(self, *args):
        preload = ["env", "LD_PRELOAD=/build/udmabuf_shim.so"] if self.shim else []
        virtual = f"{self.folder}/virtual:/usr/share/libcamera/pipeline/virtual"
        return [RUN, "exec", "-b", virtual, "-b", f"{self.folder}:/tmp/test", *preload, *args]


@pytest.fixture(name="there")
def fixture_there(debian13, tmp_path, monkeypatch):
    """The harness starts camcastd and the decoder there instead of here."""
    there = Debian13(tmp_path)
    script = tmp_path / "camcastd"
    monkeypatch.setattr(harness, "BUILD", tmp_path)

    def write_script():
        command = shlex.join(str(word) for word in there.command("/build/camcastd"))
        # camcastd -c /tmp/pytest.../config.ini: the folder has another name there
        script.write_text(f'#!/bin/bash\nexec {command} -c "/tmp/test/${{2##*/}}" "${{@:3}}"\n')
        script.chmod(0o755)

    there.write_script = write_script
    write_script()
    decode = tmp_path / "decode"
    decode.write_text(f'#!/bin/bash\nexec {RUN} exec /build/tests/support/decode "$@"\n')
    decode.chmod(0o755)
    monkeypatch.setattr(bytestream, "DECODE", decode)
    return there


def camera_config(source="libcamera:Still", stream=None, **camera):
    config = harness.pattern_config(stream)
    config["camera cam"] = {"source": source, "size": "640x480", "framerate": 30, **camera}
    return config


def planes(source, *options):
    """The last picture's Y, Cb and Cr as they are coded, one array."""
    raw = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", *options, "-i", source, "-f", "rawvideo", "-"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    picture = raw[-WIDTH * HEIGHT * 3 // 2 :]
    return numpy.frombuffer(picture, numpy.uint8).astype(numpy.float32)


def psnr(a, b):
    return 10 * numpy.log10(255**2 / max(float(((a - b) ** 2).mean()), 1e-3))


# Without dmabufs, neither ours nor libcamera's, plain memory is imported.
PROVIDERS = [path for path in ("/dev/udmabuf", "/dev/dma_heap") if os.path.exists(path)]


@pytest.mark.parametrize(
    "shim, allocator, expected",
    [
        (True, "udmabuf", "udmabuf"),
        (True, "libcamera", "libcamera"),
        (False, "memfd" if PROVIDERS else "auto", "memfd"),
    ],
)
def test_the_cameras_picture_is_what_viewers_decode(
    shim, allocator, expected, there, start_camcastd, tmp_path
):
    there.shim = shim
    there.write_script()
    camcastd = start_camcastd(camera_config(stream={"bitrate": 4000000}, allocator=allocator))
    with clients.Viewer(camcastd.port()) as viewer:
        viewer.wait_units(90)
        units, gaps = bytestream.check_stream(viewer.close(), tmp_path)
    assert gaps == 0
    camera = camcastd.camera()
    assert camera["source"] == "libcamera:Still Life"
    assert camera["allocator"] == expected
    assert re.fullmatch(r"seccomp, landlock \d+", camera["sandbox"])

    wanted = planes(there.picture)
    got = planes(tmp_path / "stream.h264", "-f", "h264")
    assert wanted.size == got.size == WIDTH * HEIGHT * 3 // 2
    luma = WIDTH * HEIGHT
    for name, part in (("Y", slice(0, luma)), ("Cb, Cr", slice(luma, None))):
        value = psnr(wanted[part], got[part])
        assert value > 30, f"{name}: {value:.1f} dB"


def test_a_camera_without_pace_is_given_one(there, start_camcastd):
    """The virtual camera makes 100 and more pictures a second if it is let."""
    camcastd = start_camcastd(camera_config())
    camcastd.wait_log("without a pace of its own")
    with clients.Viewer(camcastd.port()) as viewer:
        viewer.wait_units(30)
        begin = len(viewer.data)
        viewer.wait_units(90)
        units, _ = bytestream.split(bytes(viewer.data[bytes(viewer.data).find(bytestream.AUD, begin) :]))
    steps = numpy.diff([unit.monotonic_us for unit in units])
    assert len(steps) / (steps.sum() / 1e6) < 30.5
    assert numpy.median(steps) == pytest.approx(33333, rel=0.1)


def test_controls_that_the_camera_lacks_are_one_warning(there, start_camcastd):
    camcastd = start_camcastd(
        camera_config(brightness=0.5, shutter=10000, awb="daylight", **{"control.FaceDetectMode": 7})
    )
    line = camcastd.wait_log(r"the camera has no control for: (.*?);.*has: (.*)")
    assert line[1] == "brightness, shutter, awb"
    assert "FrameDurationLimits" in line[2].split()
    # one that it has, with a value that it does not take
    camcastd.wait_log(r"FaceDetectMode.*must be one of 0 \(FaceDetectModeOff\)")
    camcastd.wait_flowing()


def test_auto_takes_the_camera(there, start_camcastd):
    camcastd = start_camcastd(camera_config("auto"))
    camcastd.wait_flowing()
    assert camcastd.camera()["source"].startswith("libcamera:")


def test_a_size_that_the_camera_lacks_is_adjusted_and_told(there, start_camcastd):
    camcastd = start_camcastd(camera_config("libcamera:bars", size="1000x700"))
    camcastd.wait_flowing()
    camera = camcastd.camera()
    assert (camera["width"], camera["height"]) == (1280, 720)
    camcastd.wait_log("1280x720 instead of 1000x700")


def test_a_camera_that_is_not_there_is_told_with_those_that_are(there, start_camcastd):
    camcastd = start_camcastd(camera_config("libcamera:imx708"))
    line = camcastd.wait_log(r'contains "imx708"; there are: (.*)')
    assert {"Picture", "Bars"} <= {name.strip() for name in line[1].split(",")}
    assert camcastd.get("/healthz")[0] != 200


def test_the_feed_goes_on_after_the_worker_was_killed(there, start_camcastd, tmp_path):
    camcastd = start_camcastd(camera_config("libcamera:bars", size="320x240"))
    with clients.Viewer(camcastd.port()) as viewer:
        viewer.wait_units(15)
        (worker,) = camcastd.workers()
        os.kill(worker, signal.SIGKILL)
        camcastd.wait_until(
            lambda: camcastd.workers() not in ([], [worker]), "a new worker", timeout=20
        )
        viewer.wait_units(15)
        bytestream.check_stream(viewer.close(), tmp_path, restarts=True)


def test_cameras_are_listed_with_formats_sizes_and_controls(there):
    text = subprocess.run(
        there.command("/build/camcastd", "--list-cameras"),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    assert ": Bars\n  model: Colour Bars\n" in text
    assert ": Picture\n  model: Still Life\n" in text
    assert "NV12: " in text and "640x480" in text
    assert "FrameDurationLimits int64[2] 33333 to 33333" in text
