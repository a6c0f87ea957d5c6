# SPDX-License-Identifier: BSD-2-Clause
"""No process reads the pictures by CPU if the encoder imports them. libcamera's virtual camera maps
slots too, but only for writing."""
import pathlib

import pytest

import guest


def slots_mapped_to_read(worker):
    """Lines of the worker's /proc/PID/maps: slots that its CPU reads."""
    lines = pathlib.Path(f"/proc/{worker}/maps").read_text().splitlines()
    return [line for line in lines if "/dmabuf:" in line and line.split()[1].startswith("r")]


def slots_held(worker):
    fds = pathlib.Path(f"/proc/{worker}/fd").iterdir()
    return sum("/dmabuf:" in str(fd.readlink()) for fd in fds if fd.is_symlink())


@pytest.mark.parametrize("allocator", guest.EVERY_ALLOCATOR)
def test_imported_pictures_are_never_mapped_to_read(start_camcastd, vicodec, allocator):
    camcastd = start_camcastd(guest.config(vicodec, allocator))
    camcastd.wait_flowing(units=10, timeout=20)
    (worker,) = camcastd.workers()
    assert slots_held(worker) >= 4
    assert slots_mapped_to_read(worker) == []


def test_a_software_encoder_maps_them_to_read(start_camcastd, allocator):
    camcastd = start_camcastd(guest.config(None, allocator, stream={"encoder": "x264"}))
    camcastd.wait_flowing(units=10, timeout=40)
    (worker,) = camcastd.workers()
    assert slots_mapped_to_read(worker)
