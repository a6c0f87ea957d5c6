# SPDX-License-Identifier: BSD-2-Clause
"""Several libcamera cameras."""
import socket

import pytest

import guest


@pytest.fixture
def two_cameras():
    guest.make_cameras(2)
    yield
    guest.make_cameras()


def receive(port, wanted):
    data = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
        while len(data) < wanted and (piece := client.recv(65536)):
            data += piece
    return bytes(data)


def test_two_cameras_at_once_each_by_its_id(two_cameras, start_camcastd, vicodec):
    config = guest.config(vicodec, "auto")
    config["camera other"] = dict(config["camera cam"], source="libcamera:Virtual1")
    config["camera cam"]["source"] = "libcamera:Virtual0"
    config["stream t"] = dict(config["stream s"], camera="other", annexb="127.0.0.1:0")
    camcastd = start_camcastd(config)
    for feed in ("s/annexb", "t/annexb"):
        camcastd.wait_flowing(feed, units=10, timeout=30)
    references = [guest.camera_picture(f"Virtual{i}") for i in (0, 1)]
    for own, feed in enumerate(("s/annexb", "t/annexb")):
        _, whole = guest.fwht_pictures(data := receive(camcastd.port(feed), 40000))
        raw = vicodec.decode(data[:whole])
        assert guest.psnr(references[own], raw)[0] > 30
        assert guest.psnr(references[1 - own], raw)[0] < 20
    assert len(camcastd.workers()) == 2
