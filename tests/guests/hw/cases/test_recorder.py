# SPDX-License-Identifier: BSD-2-Clause
"""camcast-record@.service as installed: it records what the broker of the same machine knows, as a
user of its own, and the last command is still in force after a restart."""
import os
import pathlib
import shutil
import signal
import socket

import pytest

import guest
from service import Service, Unit, process_status, systemctl

BROKER = ("127.0.0.1", 1883)
ENVIRONMENT = pathlib.Path("/etc/camcast/record-case.env")
FOLDER = pathlib.Path("/var/lib/camcast-record/case")


@pytest.fixture
def recorder():
    with Unit("camcast-record@case") as unit:
        yield unit
    ENVIRONMENT.unlink(missing_ok=True)


@pytest.fixture
def server():
    """A server with a broker of its own, whose pictures cost an emulated processor little."""
    with Service() as unit:
        config = guest.config(None, "auto", stream={"encoder": "openh264"})
        config["camera cam"] |= {"source": "pattern", "framerate": 5}
        config["daemon"]["name"] = "front"
        config["mqtt"] = {"broker": "spawn"}
        unit.configure(config)
        unit.start()
        unit.wait_flowing()
        yield unit


def command(word):
    """Publishes word to commend/rec, in MQTT 3.1.1: the guest has no client for it."""

    def text(value):
        return len(value).to_bytes(2, "big") + value.encode()

    def packet(kind, body):
        return bytes([kind, len(body)]) + body

    with socket.create_connection(BROKER, timeout=20) as broker:
        broker.sendall(packet(0x10, text("MQTT") + b"\4\2\0\x3c" + text("case")))
        assert broker.recv(4, socket.MSG_WAITALL) == b"\x20\2\0\0"
        broker.sendall(packet(0x30, text("commend/rec") + word.encode()) + b"\xe0\0")
        assert broker.recv(1) == b""


def files():
    return sorted(FOLDER.glob("front/*.mp4"))


def pictures(path):
    """The number of pictures of a finished file, each of them decoded."""
    shutil.copy(path, guest.EXCHANGE / path.name)
    lines = guest.ffmpeg("-v", "error", "-xerror", "-i", path.name, "-f", "framecrc", "-").splitlines()
    return sum(not line.startswith("#") for line in lines)


def test_a_unit_records_and_keeps_its_command(server, recorder):
    ENVIRONMENT.write_text("OPTIONS=--all --on-command\n")
    recorder.override("RestartSec=1")  # to wait less
    recorder.start()
    recorder.wait_log("waiting for the command `start`")
    recorder.wait_log("connected to")
    assert "0" not in process_status(recorder.pid(), "Uid")
    assert not files()

    command("start")
    recorder.wait_log("front: recording to")
    systemctl("restart", recorder.name)
    recorder.wait_log("recording, as the last command was `start`")
    recorder.wait_log("front: recording to")

    pid = recorder.pid()
    os.kill(pid, signal.SIGKILL)
    guest.wait_for("another recorder", lambda: recorder.pid() not in (0, pid))
    recorder.wait_log("recording, as the last command was `start`")
    recorder.wait_log("front: recording to")

    command("stop")
    recorder.wait_log("stopped on command")
    assert len(files()) == 3, files()
    assert [path for path in files() if pictures(path) < 5] == []
    systemctl("restart", recorder.name)
    recorder.wait_log("waiting for the command `start`")
    recorder.stop()
    assert recorder.show("Result") == "success", recorder.log()
    assert "sandbox is missing" not in recorder.log()
