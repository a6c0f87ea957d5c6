# SPDX-License-Identifier: BSD-2-Clause
"""Machines that lack or refuse something: each is survived, and one line of the log says it."""
import contextlib
import os
import pathlib

import pytest

import guest
from service import CGROUP, Service


@contextlib.contextmanager
def away(*paths):
    """Without these device nodes."""
    for path in paths:
        os.rename(path, path + ".away")
    try:
        yield
    finally:
        for path in paths:
            os.rename(path + ".away", path)


@pytest.fixture
def service():
    with Service() as unit:
        yield unit


def test_without_dma_heaps_slots_are_udmabufs(start_camcastd, vicodec):
    with away("/dev/dma_heap/system"):
        camcastd = start_camcastd(guest.config(vicodec, "auto"))
        camcastd.wait_flowing(units=5, timeout=30)
        assert camcastd.camera()["allocator"] == "udmabuf"
        assert camcastd.stream()["encoder"] == "v4l2m2m"


def test_without_any_dmabufs_a_software_encoder_reads_memfds(start_camcastd, vicodec):
    with away("/dev/dma_heap/system", "/dev/udmabuf"):
        config = guest.config(None, "auto", stream={"encoder": "auto"})
        camcastd = start_camcastd(config)
        camcastd.wait_flowing(units=5, timeout=40)
        assert camcastd.camera()["allocator"] == "memfd"
        assert camcastd.stream()["encoder"] in ("x264", "openh264")
        lines = [line for line in camcastd.log() if "neither /dev/dma_heap nor /dev/udmabuf" in line]
        assert len(lines) == 1, camcastd.log()


def test_io_uring_refused_and_no_locked_memory(service, vicodec):
    knob = pathlib.Path("/proc/sys/kernel/io_uring_disabled")
    service.configure(guest.config(vicodec, "auto"))
    service.override("LimitMEMLOCK=0")
    knob.write_text("2")
    try:
        service.start()
        service.wait_flowing()
        assert service.status()["backend"] == "epoll"
        log = service.wait_log("io_uring")
        assert len([line for line in log.splitlines() if "io_uring" in line]) == 1, log
    finally:
        knob.write_text("0")


def test_a_worker_that_meets_its_limit_of_memory_comes_back(service, vicodec):
    """In a control group of its own, where what it has already does not count."""
    box = CGROUP.parent / "case"
    # Every picture a key: many bytes, so that the limit is near.
    service.configure(guest.config(vicodec, "auto", stream={"keyframe_interval": 1}))
    service.start()
    service.wait_flowing()
    pid, worker = service.pid(), service.worker()
    box.mkdir()
    try:
        (box / "memory.max").write_text("524288")  # the log's next segment is more
        (box / "cgroup.procs").write_text(str(worker))
        guest.wait_for("a new worker", service.worker)
        events = dict(line.split() for line in (box / "memory.events").read_text().splitlines())
    finally:
        guest.wait_for("an empty control group", lambda: not (box / "cgroup.procs").read_text())
        box.rmdir()
    assert int(events["oom_kill"]) == 1
    service.wait_flowing(service.status()["feeds"][0]["units"] + 5)
    assert service.pid() == pid and service.show("NRestarts") == "0"
    assert "SIGKILL" in service.status()["cameras"][0]["reason"]
    lines = [line for line in service.wait_log("SIGKILL").splitlines() if "SIGKILL" in line]
    assert len(lines) == 1, lines
