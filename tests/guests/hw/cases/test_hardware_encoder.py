# SPDX-License-Identifier: BSD-2-Clause
"""A libcamera camera, dmabuf slots, a V4L2 encoder that imports them, and viewers."""
import pytest

import guest


@pytest.mark.parametrize("allocator", guest.EVERY_ALLOCATOR)
def test_camera_pictures_reach_a_client_outside_by_import(start_camcastd, vicodec, allocator):
    reference = guest.camera_picture()
    before = int(vicodec.get("pictures"))
    camcastd = start_camcastd(guest.config(vicodec, allocator))
    camcastd.wait_flowing(units=30, timeout=20)

    data = guest.receive_outside("import-" + allocator.replace(":", "-"), 120000)
    pictures, whole = guest.fwht_pictures(data)
    assert len(pictures) >= 20
    assert pictures[0][1], "a client begins at a key picture"
    raw = vicodec.decode(data[:whole])
    worst, n = guest.psnr(reference, raw)
    assert n >= len(pictures) - 2
    assert worst > 30, f"the worst of {n} pictures has {worst} dB"

    status = camcastd.status()
    camera, stream = status["cameras"][0], status["streams"][0]
    assert camera["allocator"] == allocator
    assert "imported" in camera["path"]
    guest.assert_confined(camera)
    assert stream["encoder"] == "v4l2m2m"
    assert f"{vicodec.encoder} vicodec" in stream["detail"]
    assert int(vicodec.get("pictures")) - before >= 30
    assert vicodec.get("interval") == "15"
    assert vicodec.get("bitrate") == "1000000"


def test_the_encoder_is_found_among_cameras(start_camcastd, vicodec):
    guest.run("modprobe", "vivid")
    guest.run("udevadm", "settle")
    try:
        config = guest.config(vicodec, "dma-heap:system", stream={"v4l2_device": ""})
        camcastd = start_camcastd(config)
        camcastd.wait_flowing(units=3, timeout=20)
        assert f"{vicodec.encoder} vicodec" in camcastd.stream()["detail"]
        camcastd.stop()
    finally:
        guest.run("modprobe", "-r", "vivid")
