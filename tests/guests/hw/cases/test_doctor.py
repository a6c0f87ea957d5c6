# SPDX-License-Identifier: BSD-2-Clause
"""camcast-doctor: content with a machine that has everything, and with each fault set up once, one
line that names it and one of advice."""
import contextlib
import os
import pathlib
import socket
import subprocess

import pytest

import guest
import harness
from test_poverty import away


@pytest.fixture(scope="module")
def codec():
    with guest.Vicodec() as codec:
        yield codec


class Doctor:
    def __init__(self, codec, folder):
        self.config = guest.config(codec, "auto")
        self.path = folder / "doctor.ini"
        self.before = ()  # a command that runs it

    def ask(self):
        """(exit status, {topic: (kind, finding, advice)})"""
        self.path.write_text(harness.config_text(self.config))
        self.path.chmod(0o644)
        done = subprocess.run(
            [*self.before, harness.BUILD / "camcast-doctor", "-c", self.path],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
        )
        assert done.stderr == b"", done.stderr.decode()
        found, topic = {}, None
        for line in done.stdout.decode().splitlines():
            if line.startswith("      -> "):
                found[topic] = (*found[topic][:2], line[9:])
                continue
            kind, rest = line.split(None, 1)
            topic, finding = rest.split(": ", 1)
            assert kind in ("ok", "note", "WANT") and topic not in found, line
            found[topic] = (kind, finding, "")
        assert all(bool(advice) == (kind == "WANT") for kind, _, advice in found.values()), found
        return done.returncode, found

    def wants(self, topic, finding, advice):
        """Only `topic` is wanting."""
        code, found = self.ask()
        assert code == 1
        wanted = {name: value for name, value in found.items() if value[0] == "WANT"}
        assert list(wanted) == [topic], found
        assert finding in wanted[topic][1] and advice in wanted[topic][2], wanted


@pytest.fixture
def doctor(codec, tmp_path):
    guest.let_others_in(tmp_path)
    return Doctor(codec, tmp_path)


def test_a_healthy_machine_is_told_so(doctor, codec):
    code, found = doctor.ask()
    assert code == 0, found
    assert found["kernel"][1] == os.uname().release
    assert found["cameras"][1] == "Virtual0"
    assert found["allocators"][1] == "dma-heap:system udmabuf"
    assert found["encoder"][1].startswith(codec.encoder + " ")
    for topic in ("io_uring", "configuration", "devices", f"network {guest.nic()}",
                  f"port {guest.FEED_PORT}"):
        assert found[topic][0] == "ok", found


def test_an_old_kernel(doctor):
    doctor.before = ("setarch", "--uname-2.6")
    doctor.wants("kernel", "2.6.", "update the system")


def test_io_uring_disabled(doctor):
    knob = pathlib.Path("/proc/sys/kernel/io_uring_disabled")
    knob.write_text("2")
    try:
        doctor.wants("io_uring", "io_uring_disabled = 2", "sysctl")
    finally:
        knob.write_text("0")


def test_a_mistake_in_the_configuration(doctor):
    doctor.config["camera cam"]["framerate"] = "fast"
    doctor.wants("configuration", "framerate", "camcastd --check")


def test_no_camera(doctor):
    with away("/usr/share/libcamera/pipeline/virtual/virtual.yaml"):
        doctor.wants("cameras", "libcamera finds none", "cable")


def test_a_node_that_the_service_may_not_open(doctor):
    os.chmod("/dev/udmabuf", 0o600)
    try:
        doctor.wants("devices", "/dev/udmabuf is root:video, mode 600", "60-camcast.rules")
    finally:
        os.chmod("/dev/udmabuf", 0o660)


def test_a_user_without_the_group(doctor):
    doctor.before = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    code, found = doctor.ask()
    assert code == 1
    assert found["devices"][0] == "WANT" and "nobody may not" in found["devices"][1]
    assert "usermod -aG video nobody" in found["devices"][2]


def test_no_provider_of_memory(doctor):
    # libcamera's virtual camera needs one itself, and so is not found either.
    with away("/dev/dma_heap/system", "/dev/udmabuf"):
        code, found = doctor.ask()
    assert code == 1
    kind, finding, advice = found["allocators"]
    assert kind == "WANT" and "neither" in finding and "udmabuf" in advice


def test_no_encoder(doctor, codec):
    codec.unbind()
    try:
        doctor.config = guest.config(None, "auto", stream={"encoder": "auto"})
        code, found = doctor.ask()
        assert code == 0 and found["encoder"][0] == "note", found
        assert "software" in found["encoder"][1]
    finally:
        codec.__enter__()


@pytest.mark.parametrize("feature,words", [("sg", "scatter-gather"), ("tso", "segmentation")])
def test_an_offload_that_is_off(doctor, feature, words):
    guest.run("ethtool", "-K", guest.nic(), feature, "off")
    try:
        doctor.wants(f"network {guest.nic()}", words, f"ethtool -K {guest.nic()}")
    finally:
        guest.run("ethtool", "-K", guest.nic(), "sg", "on", "tso", "on")


def test_a_broker_that_does_not_answer(doctor):
    doctor.config["mqtt"] = {"broker": "127.0.0.1", "port": 1}
    doctor.wants("broker", "127.0.0.1 port 1", "mosquitto")


def test_a_port_in_use(doctor):
    with contextlib.closing(socket.create_server(("0.0.0.0", guest.FEED_PORT))):
        doctor.wants(f"port {guest.FEED_PORT}", "python3 listens", "another port")


def test_a_service_without_pictures(doctor, start_camcastd, codec):
    config = guest.config(codec, "auto")
    config["camera cam"]["source"] = "libcamera:Nobody"
    camcastd = start_camcastd(config)
    doctor.config["daemon"]["http"] = f"127.0.0.1:{camcastd.http_port}"
    doctor.wants("pictures", "", "/status.json")
