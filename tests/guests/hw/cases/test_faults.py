# SPDX-License-Identifier: BSD-2-Clause
"""A hardware encoder that hangs, codes nothing, or goes away: the viewer stays, and the ladder of recovery is
climbed: opened again once, then software."""
import socket
import threading
import time

import pytest

import guest


class Viewer:
    """A client that keeps all it gets, and when."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=300)
        self.data = bytearray()
        self.arrivals = []
        self.ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while piece := self.connection.recv(65536):
                self.data += piece
                self.arrivals.append(time.monotonic())
        except OSError:
            pass
        self.ended = True

    def wait_more(self, n=10000, timeout=60):
        start = len(self.data)
        guest.wait_for(f"{n} more bytes", lambda: len(self.data) >= start + n, timeout)
        assert not self.ended


def software_part(data):
    """Returns the H.264 after the last FWHT picture, from an SPS on."""
    start = bytes(data).find(b"\x00\x00\x00\x01\x67")
    assert start >= 0, "no H.264 came"
    return bytes(data[start:])


def last_whole(data):
    """Without the access unit that the test's end cut."""
    return data[: data.rfind(b"\x00\x00\x00\x01\x09")]


def start(start_camcastd, vicodec, **options):
    camcastd = start_camcastd(guest.config(vicodec, "dma-heap:system", **options))
    camcastd.wait_flowing(units=10, timeout=20)
    viewer = Viewer(camcastd.port())
    viewer.wait_more()
    return camcastd, viewer


@pytest.mark.parametrize("fault", guest.Vicodec.FAULTS)
def test_a_fault_that_passes_is_cured_by_opening_again(start_camcastd, vicodec, fault):
    camcastd, viewer = start(start_camcastd, vicodec)
    vicodec.set(fault, 1)
    camcastd.wait_log(r"v4l2m2m failed and is being closed: hangs: \d+ pictures in and none out")
    hung = len(viewer.data)
    vicodec.set(fault, 0)
    viewer.wait_more()
    assert camcastd.stream()["encoder"] == "v4l2m2m"
    assert not viewer.ended
    pictures, _ = guest.fwht_pictures(bytes(viewer.data))  # whole pictures all along
    sizes = [guest.FWHT_HEADER.size + fields[9] for fields, _ in pictures]
    after = next(i for i in range(len(sizes)) if sum(sizes[:i]) >= hung)
    assert pictures[after][1], "the first picture after the hang is a key"


@pytest.mark.parametrize("fault", ["stall", "empty"])
def test_a_fault_that_stays_ends_in_software(start_camcastd, vicodec, fault):
    reference = guest.camera_picture()
    camcastd, viewer = start(start_camcastd, vicodec)
    vicodec.set(fault, 1)
    camcastd.wait_log(r"stream s: (x264|openh264): .*; not v4l2m2m: failed twice: hangs")
    viewer.wait_more(30000)
    assert camcastd.stream()["encoder"] in ("x264", "openh264")
    assert "failed twice: hangs" in camcastd.stream()["detail"]
    assert camcastd.camera()["restarts"] == 0, "the worker itself was well"
    n, raw = guest.decode_h264(last_whole(software_part(viewer.data)))
    assert n >= 5
    worst, _ = guest.psnr(reference, raw)
    assert worst > 30


def test_a_device_that_goes_away_ends_in_software(start_camcastd, vicodec):
    camcastd, viewer = start(start_camcastd, vicodec)
    vicodec.unbind()
    camcastd.wait_log(r"v4l2m2m failed and is being closed: .*(No such device)")
    camcastd.wait_log(r"stream s: (x264|openh264): .*; not v4l2m2m: .*cannot open")
    viewer.wait_more(30000)
    n, _ = guest.decode_h264(last_whole(software_part(viewer.data)))
    assert n >= 5
    assert camcastd.camera()["restarts"] == 0


def test_a_hanging_encoder_does_not_hold_up_other_streams(start_camcastd, vicodec):
    """Neither by keeping all slots nor by a STREAMOFF that takes two seconds a queue."""
    config = guest.config(vicodec, "dma-heap:system")
    config["stream other"] = {
        "camera": "cam", "codec": "mjpeg", "quality": 50, "length_prefixed": "127.0.0.1:0",
    }
    camcastd = start_camcastd(config)
    camcastd.wait_flowing(units=10, timeout=20)
    camcastd.wait_flowing("other/length_prefixed", units=10, timeout=20)
    viewer = Viewer(camcastd.port("other/length_prefixed"))
    viewer.wait_more()
    vicodec.set("stop_ms", 2000)
    began = time.monotonic()
    vicodec.set("stall", 1)
    camcastd.wait_log(r"stream s: (x264|openh264): ", timeout=40)
    took = time.monotonic() - began
    assert took > 8, "two hangs of 2 s, and two closings of 2 s a queue"
    times = [t for t in viewer.arrivals if t > began]
    worst = max(b - a for a, b in zip(times, times[1:]))
    assert worst < 1.5, f"the other stream stood still for {worst:.2f} s"
