# SPDX-License-Identifier: BSD-2-Clause
"""Somebody who may publish at the broker, and a broker that is hostile itself."""
import subprocess

import harness
from broker import Client
from fakes import words
from discovery import mqtt_config, wait_connected
from tool import Tool, announce

HUGE = 64 << 20
SMALL_KB = 24 << 10  # what a program may grow by


def memory_kb(pid, field="VmHWM"):
    """The most that the process has had in memory, or what it has now (VmRSS)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1])
    raise harness.Failure(f"no {field}")


def publish_huge(broker, topic, folder):
    file = folder / "huge"
    with open(file, "wb") as out:
        out.truncate(HUGE)
    subprocess.run(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", topic, "-f", file],
        check=True, timeout=60 * harness.PATIENCE,
    )


# --- messages of others ---


def test_a_huge_request_does_not_reach_camcastd(camcastd, broker, tmp_path):
    daemon = camcastd(mqtt_config(broker), env=words())
    wait_connected(daemon)
    before = memory_kb(daemon.process.pid)
    publish_huge(broker, "commend", tmp_path)
    with Client(broker) as client:
        client.subscribe("camera/response/after")
        client.publish("commend", "camera/response/after")
        client.wait_message("camera/response/after")
    assert memory_kb(daemon.process.pid) - before < SMALL_KB
    assert daemon.status()["mqtt"]["connects"] == 1


def test_a_huge_announcement_does_not_reach_camcast(broker, tmp_path):
    with Client(broker) as client:
        with Tool("discover", "--watch", "--json", broker=broker) as watch:
            announce(client, "before")
            watch.wait_event("appeared", "before")
            before = memory_kb(watch.process.pid)
            publish_huge(broker, "camcast/x/info", tmp_path)
            announce(client, "after")
            watch.wait_event("appeared", "after")
            assert memory_kb(watch.process.pid) - before < SMALL_KB
            assert watch.stop() == 0
