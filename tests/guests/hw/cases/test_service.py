# SPDX-License-Identifier: BSD-2-Clause
"""The systemd unit as installed: what it may, what it may not, and how it ends."""
import os
import re
import signal

import pytest

import guest
from service import CGROUP, Service, alive, process_status, systemctl


@pytest.fixture
def service():
    with Service() as unit:
        yield unit


def test_a_hardened_unit_serves_the_camera(service, vicodec, allocator):
    reference = guest.camera_picture()
    service.configure(guest.config(vicodec, allocator))
    service.override("ExecStopPost=/bin/echo ended: $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS")
    service.start()
    state = service.show("ActiveState", "SubState", "Type", "NRestarts")
    assert state == {
        "ActiveState": "active", "SubState": "running", "Type": "notify", "NRestarts": "0",
    }
    service.wait_flowing(20)
    data = guest.receive_outside("service-" + allocator.replace(":", "-"), 60000)
    pictures, whole = guest.fwht_pictures(data)
    assert len(pictures) >= 10 and pictures[0][1]
    worst, _ = guest.psnr(reference, vicodec.decode(data[:whole]))
    assert worst > 30

    status = service.status()
    assert status["cameras"][0]["allocator"] == allocator
    assert "imported" in status["cameras"][0]["path"]
    guest.assert_confined(status["cameras"][0])
    assert status["streams"][0]["encoder"] == "v4l2m2m"

    processes = service.processes()
    assert sorted(processes.values()) == ["camcast-capture", "camcastd"]
    for pid, name in processes.items():
        assert "0" not in process_status(pid, "Uid"), f"{name} is root"
        assert process_status(pid, "CapEff") == ["0" * 16]
        assert process_status(pid, "NoNewPrivs") == ["1"]
        assert process_status(pid, "Seccomp") == ["2"]
    assert (CGROUP / "memory.swap.max").read_text().strip() == "0"

    security = guest.run("systemd-analyze", "security", "--no-pager", "camcastd").decode()
    exposure = re.search(r"Overall exposure level for camcastd.service: ([\d.]+)", security)
    assert exposure and float(exposure[1]) <= 1.5, security

    took = service.stop()
    assert took < 2 * guest.EMULATION, f"the stop took {took:.1f} s"
    assert "ended: success exited 0\n" in service.log()
    assert not any(alive(pid) for pid in processes)


def test_a_reload_is_checked_and_keeps_the_process(service, vicodec):
    config = guest.config(vicodec, "auto")
    service.configure(config)
    service.start()
    service.wait_flowing()
    pid, worker = service.pid(), service.worker()
    config["daemon"]["max_clients"] = "banana"
    service.configure(config)
    with pytest.raises(AssertionError):
        systemctl("reload", "camcastd")
    assert "max_clients = banana" in service.log()
    config["daemon"]["max_clients"] = 9
    service.configure(config)
    systemctl("reload", "camcastd")
    guest.wait_for("the other limit", lambda: service.status()["max_clients"] == 9)
    guest.wait_for("readiness", lambda: service.show("ActiveState") == "active")
    assert service.pid() == pid and service.worker() == worker
    assert service.show("NRestarts") == "0"


def test_a_stopped_process_is_found_by_the_watchdog(service, vicodec):
    service.configure(guest.config(vicodec, "auto"))
    assert "\nWatchdogSec=10\n" in systemctl("cat", "camcastd")
    service.override("WatchdogSec=5", "RestartSec=1")  # to wait less
    service.start()
    service.wait_flowing()
    pid = service.pid()
    os.kill(pid, signal.SIGSTOP)
    guest.wait_for("a new camcastd", lambda: service.pid() not in (0, pid), 60)
    guest.wait_for("readiness", lambda: service.show("ActiveState") == "active")
    assert "Watchdog timeout" in guest.run("journalctl", "UNIT=camcastd.service", "-o", "cat").decode()
    assert service.show("NRestarts") == "1"
    service.wait_flowing()
    assert sorted(service.processes().values()) == ["camcast-capture", "camcastd"]


def test_a_killed_worker_comes_back_below_the_same_camcastd(service, vicodec):
    service.configure(guest.config(vicodec, "auto"))
    service.start()
    service.wait_flowing()
    pid, worker = service.pid(), service.worker()
    os.kill(worker, signal.SIGKILL)
    guest.wait_for("a new worker", lambda: service.worker() not in (0, worker))
    service.wait_flowing(service.status()["feeds"][0]["units"] + 5)
    assert service.pid() == pid
    assert service.show("NRestarts") == "0"
    assert service.status()["cameras"][0]["restarts"] == 1, service.log()
    assert "SIGKILL" in service.status()["cameras"][0]["reason"]


def test_without_its_group_the_log_says_which(service, vicodec):
    service.configure(guest.config(vicodec, "auto"))
    service.override("SupplementaryGroups=")
    service.start()
    log = service.wait_log("no encoder")
    assert "group video" in log and "60-camcast.rules" in log, log
    assert service.show("ActiveState") == "active", "a camera that is denied is not the end"


def test_a_device_that_the_unit_does_not_allow_is_named(service, vicodec):
    service.configure(guest.config(vicodec, "auto"))
    service.override("DeviceAllow=", "DeviceAllow=char-media rw", "DeviceAllow=char-dma_heap rw")
    service.start()
    log = service.wait_log("DeviceAllow")
    assert "/dev/video" in log, log


def test_drivers_that_come_after_the_start_are_allowed_too(service, vicodec):
    """A group's number is looked up when the unit starts: something must have registered it. The
    sandbox of the worker is older, too: at its next try, a minute later, it makes room for another."""
    service.configure(guest.config(vicodec, "auto", stream={"v4l2_device": ""}))
    vicodec.unload()
    service.start()
    service.wait_log("no encoder: v4l2m2m: no hardware encoder")
    with guest.Vicodec():
        service.wait_flowing(timeout=180)
        assert service.status()["streams"][0]["encoder"] == "v4l2m2m"
