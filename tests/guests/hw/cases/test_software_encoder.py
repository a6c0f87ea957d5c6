# SPDX-License-Identifier: BSD-2-Clause
"""A libcamera camera and a software encoder, which reads the dmabufs through synced mappings."""
import pytest

import guest
from test_faults import last_whole


@pytest.mark.parametrize("encoder", ["x264", "openh264"])
def test_software_reads_the_cameras_dmabufs(start_camcastd, allocator, encoder):
    reference = guest.camera_picture()
    config = guest.config(None, allocator, stream={"encoder": encoder, "keyframe_interval": 5})
    camcastd = start_camcastd(config)
    camcastd.wait_flowing(units=10, timeout=20)
    data = guest.receive_outside(f"{encoder}-{allocator.replace(':', '-')}", 60000)
    n, raw = guest.decode_h264(last_whole(data))
    assert n >= 5
    worst, _ = guest.psnr(reference, raw)
    assert worst > 30, f"{worst} dB"
    camera = camcastd.camera()
    assert camera["allocator"] == allocator
    assert "mapped" in camera["path"] and "imported" not in camera["path"]
    assert camcastd.stream()["encoder"] == encoder
