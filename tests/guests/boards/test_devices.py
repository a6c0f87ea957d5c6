# SPDX-License-Identifier: BSD-2-Clause
"""A USB camera with the kernel's own driver, uvcvideo, through libcamera, and a V4L2 encoder, in the
sandbox of a worker, on this board's kernel and processor. run.sh has this run in each guest."""
import pathlib
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "hw/cases"))
import clients  # noqa: E402  (after the path is set)
import guest  # noqa: E402
import harness  # noqa: E402
import usbcamera  # noqa: E402

# There is one host controller for USB cameras, and other cases are not to see any.
pytestmark = pytest.mark.alone

UDEVD = "/lib/systemd/systemd-udevd"
PICTURES = 15


@pytest.fixture(scope="module", autouse=True)
def udevd():
    """libcamera finds cameras by udev, which nothing has started in this guest."""
    daemon = harness.start([UDEVD])
    guest.wait_for("udevd", pathlib.Path("/run/udev/control").exists)
    guest.run("udevadm", "trigger", "--action=add")
    guest.run("udevadm", "settle")
    yield
    daemon.terminate()
    daemon.wait(60)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A picture as JPEG and as YUYV."""
    folder, made = tmp_path_factory.mktemp("pictures"), []
    for pixels, name in (("yuvj422p", "picture.jpg"), ("yuyv422", "picture.yuyv")):
        subprocess.run(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i",
             f"testsrc2=size={guest.WIDTH}x{guest.HEIGHT}", "-frames:v", "1", "-pix_fmt", pixels,
             "-f", "image2" if name.endswith("jpg") else "rawvideo", folder / name],
            check=True, timeout=60 * harness.PATIENCE)
        made.append((folder / name).read_bytes())
    return made


@pytest.fixture
def camera(pictures):
    with usbcamera.host(), usbcamera.UsbCamera(0, 0x102, *pictures) as plugged:
        yield plugged


@pytest.fixture
def vicodec():
    with guest.Vicodec() as codec:
        yield codec


def config(camera, codec, stream):
    made = guest.config(codec, "auto", dict(stream, annexb="127.0.0.1:0"))
    made["camera cam"].update(source=f"libcamera:{camera.id}", framerate=usbcamera.RATE)
    return made


def test_packed_pixels_of_a_usb_camera_are_encoded(camera, vicodec, start_camcastd):
    """By the V4L2 encoder, which imports the camera's own buffers."""
    daemon = start_camcastd(config(camera, vicodec, {}))
    with clients.Viewer(daemon.port()) as viewer:
        daemon.wait_flowing()
        viewer.wait(lambda v: len(guest.fwht_pictures(bytes(v.data))[0]) >= PICTURES, "pictures")
    found, _ = guest.fwht_pictures(bytes(viewer.data))
    assert found[0][1], "the first picture is no key picture"
    status = daemon.camera()
    assert "YUYV" in status["path"] and daemon.stream()["encoder"] == "v4l2m2m", status
    guest.assert_confined(status)


def test_jpegs_of_a_usb_camera_are_passed_on_and_decoded(camera, pictures, start_camcastd):
    """In software, as Debian's Linux 6.1 has no buffers for what was decoded that a device can read."""
    made = config(camera, None, {"encoder": "x264", "sei": True})
    made["stream j"] = {
        "camera": "cam", "codec": "mjpeg", "encoder": "copy", "length_prefixed": "127.0.0.1:0",
    }
    daemon = start_camcastd(made)
    unit = struct.pack(">I", len(pictures[0])) + pictures[0]
    with clients.Viewer(daemon.port("j/length_prefixed")) as jpegs, \
            clients.Viewer(daemon.port()) as coded:
        jpegs.wait_bytes(PICTURES * len(unit))
        assert bytes(jpegs.data[: PICTURES * len(unit)]) == PICTURES * unit
        coded.wait_units(PICTURES)
    guest.assert_confined(daemon.camera())
