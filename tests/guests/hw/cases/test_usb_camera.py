# SPDX-License-Identifier: BSD-2-Clause
"""Two USB cameras with the kernel's own driver, uvcvideo, through libcamera and the service: what they
deliver, and what becomes of their viewers when they go away, come back, or fall silent. One is
coded as H.264 from packed pixels, of the other the JPEGs are passed on."""
import contextlib
import os
import struct
import subprocess
import types

import pytest

import bytestream
import clients
import guest
import harness
import usbcamera
from service import CONFIG, Service

PACKED, JPEG = "packed", "jpeg"  # cameras and their streams
JPEG_PORT = guest.FEED_PORT + 1


@pytest.fixture(scope="module")
def pictures():
    """(JPEG, YUYV, NV12) of one picture."""
    made, outputs = [], []
    for pixels, kind in (("yuvj422p", "image2"), ("yuyv422", "rawvideo"), ("nv12", "rawvideo")):
        made.append(guest.EXCHANGE / f"usb-{pixels}.jpg")
        outputs += ["-frames:v", "1", "-pix_fmt", pixels, "-f", kind, made[-1].name]
    guest.ffmpeg("-v", "error", "-f", "lavfi", "-i",
                 f"testsrc2=size={guest.WIDTH}x{guest.HEIGHT}", *outputs)
    return made


def config(cameras):
    made = guest.config(None, "auto", stream={"camera": PACKED, "encoder": "x264", "sei": True})
    shared = made.pop("camera cam")
    shared.update(framerate=usbcamera.RATE)
    for name, camera in cameras.items():
        made[f"camera {name}"] = dict(shared, source=f"libcamera:{camera.id}")
    made[f"stream {PACKED}"] = made.pop("stream s")
    made[f"stream {JPEG}"] = {
        "camera": JPEG, "codec": "mjpeg", "encoder": "copy", "length_prefixed": f"127.0.0.1:{JPEG_PORT}",
    }
    return made


@pytest.fixture(scope="module")
def scene(pictures):
    """Both cameras in the service, and a viewer of each who stays all along."""
    files = [path.read_bytes() for path in pictures[:2]]
    with contextlib.ExitStack() as stack:
        stack.enter_context(usbcamera.host())
        cameras = {name: stack.enter_context(usbcamera.UsbCamera(port, 0x102 + port, *files))
                   for port, name in enumerate((PACKED, JPEG))}
        service = stack.enter_context(Service())
        service.configure(config(cameras))
        service.start()
        viewers = {name: stack.enter_context(clients.Viewer(port))
                   for name, port in ((PACKED, guest.FEED_PORT), (JPEG, JPEG_PORT))}
        yield types.SimpleNamespace(service=service, cameras=cameras, viewers=viewers)


def status(scene, name):
    return next(camera for camera in scene.service.status()["cameras"] if camera["name"] == name)


def wait_pictures(scene, name, n=5):
    """n more of them, for the viewer who was there before."""
    viewer = scene.viewers[name]
    if name == PACKED:
        viewer.wait_units(n)
    else:
        viewer.wait_bytes(len(viewer.data) + n * len(scene.cameras[name].pictures[usbcamera.JPEG]))


def wait_end(scene, name, restarts):
    """Why the worker ended, the next one after `restarts`; it has let go of the camera then."""
    def ended():
        now = status(scene, name)
        return now["reason"] if now["restarts"] > restarts or now["state"] == "backoff" else ""
    return guest.wait_for(f"the end of a worker of {name}", ended)


def jpegs(data):
    """The whole pictures of a length-prefixed feed."""
    found, at = [], 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if at + 4 + size > len(data):
            break
        found.append(bytes(data[at + 4:at + 4 + size]))
        at += 4 + size
    return found


def test_the_jpegs_are_the_camera_s(scene, pictures):
    wait_pictures(scene, JPEG)
    assert set(jpegs(scene.viewers[JPEG].data)) == {pictures[0].read_bytes()}
    assert "mjpeg" in status(scene, JPEG)["path"] and "YUYV" in status(scene, PACKED)["path"]
    for name in scene.cameras:
        guest.assert_confined(status(scene, name))


def test_unbound_and_bound_again(scene, pictures):
    """Twice; what the viewer got, all along, decodes to the camera's picture."""
    service, camera, pid = scene.service, scene.cameras[PACKED], scene.service.pid()

    def kept():
        return len(os.listdir(f"/proc/{pid}/fd")), len(service.processes())

    def told():
        return sum(f"camera {PACKED}:" in line and "was unplugged; next try" in line
                   for line in service.log().splitlines())

    wait_pictures(scene, PACKED)
    before, told_before, other = kept(), told(), status(scene, JPEG)["restarts"]
    for _ in range(2):
        restarts = status(scene, PACKED)["restarts"]
        camera.unbind()
        assert "the camera was unplugged" in wait_end(scene, PACKED, restarts)
        camera.bind()
        wait_pictures(scene, PACKED)
    guest.wait_for("no more files and processes than before", lambda: kept() == before)
    assert told() - told_before == 2
    assert status(scene, JPEG)["restarts"] == other
    units, _ = bytestream.split(bytes(scene.viewers[PACKED].data))
    assert bytestream.check_continuity(units, restarts=True) == 2
    n, raw = guest.decode_h264(b"".join(unit.data for unit in units))
    assert n == len(units)
    worst, n = guest.psnr(pictures[2], raw)
    assert n == len(units) and worst > 30


def test_pulled_out_and_plugged_in_elsewhere(scene, pictures):
    camera = scene.cameras[JPEG]
    restarts = status(scene, JPEG)["restarts"]
    camera.unplug()
    assert "the camera was unplugged" in wait_end(scene, JPEG, restarts)
    camera.plug(5)
    wait_pictures(scene, JPEG)
    assert set(jpegs(scene.viewers[JPEG].data)) == {pictures[0].read_bytes()}


def test_silence_and_an_end_that_nobody_tells_of(scene):
    """Without udev's word libcamera takes a camera that is gone for a silent one, and 0.7.1 aborts
    when told to stop it. That ends a worker, as every crash."""
    silent, untold = scene.cameras[PACKED], scene.cameras[JPEG]

    def ends(name):
        """In the log: the status may already say why the next worker did not find its camera."""
        return sum(f"camera {name}:" in line and "no picture for 5 s, starting again" in line
                   for line in scene.service.log().splitlines())

    before = {name: ends(name) for name in scene.cameras}
    guest.run("udevadm", "control", "--stop-exec-queue")
    try:
        silent.silent = True
        untold.unplug()
        for name in scene.cameras:
            guest.wait_for(f"the end of a worker of {name}", lambda: ends(name) > before[name])
        silent.silent = False
    finally:
        guest.run("udevadm", "control", "--start-exec-queue")
    untold.plug(1)
    for name in scene.cameras:
        wait_pictures(scene, name)
        assert not scene.viewers[name].closed


def test_each_node_denied_is_named_with_its_group(scene):
    """By hand and as a member of the group, when the service is not there any more."""
    scene.service.stop()
    for node in scene.cameras[PACKED].nodes():
        os.chmod(node, 0o600)
        try:
            done = subprocess.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--groups=video",
                 harness.BUILD / "camcast-capture", "-c", CONFIG, "--camera", PACKED, "-o", "/dev/null",
                 "-t", "60"], stderr=subprocess.PIPE, timeout=120, check=False)
        finally:
            os.chmod(node, 0o660)
        log = done.stderr.decode()
        assert done.returncode == 3, log
        assert f"no permission to open {node}" in log and "`video`" in log and "udev rule" in log, log


def test_auto_s_pattern_gives_way_to_a_camera_that_comes(scene, start_camcastd):
    for camera in scene.cameras.values():
        camera.unplug()
    made = config(scene.cameras)
    for name in (f"camera {PACKED}", f"stream {PACKED}"):
        del made[name]
    made[f"camera {JPEG}"]["source"] = "auto"
    made[f"stream {JPEG}"]["encoder"] = "auto"
    with guest.no_cameras():
        camcastd = start_camcastd(made)
        feed = f"{JPEG}/length_prefixed"
        with clients.Viewer(camcastd.port(feed)) as viewer:
            viewer.wait_bytes(1)
            assert camcastd.camera(JPEG)["source"] == "pattern"
            scene.cameras[JPEG].plug(1)
            picture = scene.cameras[JPEG].pictures[usbcamera.JPEG]
            viewer.wait(lambda v: jpegs(v.data)[-1:] == [picture], "picture of the camera")
