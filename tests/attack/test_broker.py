# SPDX-License-Identifier: BSD-2-Clause
"""Somebody who may publish at the broker, and a broker that is hostile itself."""
import os
import re
import subprocess

import pytest

import harness
from broker import Client
from discovery import mqtt_config, wait_connected, wait_mqtt
from fakes import words
from tool import Tool, announce, run

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


# --- requests and commands of others ---


def test_answers_do_not_go_to_the_topics_of_others(camcastd, broker):
    """Anybody who may send requests could have every server publish wherever it may."""
    config = mqtt_config(broker)
    del config["mqtt"]["response_prefix"]
    daemon = camcastd(config, env=words())
    wait_connected(daemon)
    with Client(broker) as client:
        client.subscribe("#")
        for number in range(50):
            client.publish("commend", f"zigbee2mqtt/lamp{number}/set")
        client.publish("commend", "camera/response/a")
        client.wait_message("camera/response/a")
        assert not [m for m in client.messages if m.topic.startswith("zigbee2mqtt/")]
    wait_mqtt(daemon, lambda mqtt: mqtt["refused"]["prefix"] == 50, "the refusals")
    assert len([line for line in daemon.log() if "was refused" in line]) == 1


@pytest.mark.parametrize("keys", [{}, {"home_assistant": True, "commands": False}])
def test_nobody_restarts_a_camera_unless_that_is_configured(camcastd, broker, keys):
    daemon = camcastd(mqtt_config(broker, **keys), env=words())
    wait_connected(daemon)
    wait_mqtt(daemon, lambda mqtt: daemon.camera()["pid"], "a worker")
    pid = daemon.camera()["pid"]
    with Client(broker) as client:
        client.publish("camcast/test/camera/cam/restart", "PRESS", qos=1)
        client.publish("camcast/test/stream/s/bitrate/set", "10000", qos=1)
        client.subscribe("homeassistant/#")
        client.subscribe("answer")
        client.publish("commend", "answer")
        client.wait_message("answer")
        assert not [m for m in client.messages if m.topic.startswith(("homeassistant/button/",
                                                                      "homeassistant/number/"))]
    assert daemon.status()["mqtt"]["commands"] == 0 and daemon.camera()["pid"] == pid


def test_a_flood_of_wrong_commands_is_one_line_in_the_log(camcastd, broker):
    daemon = camcastd(mqtt_config(broker, commands=True), env=words())
    wait_connected(daemon)
    with Client(broker) as client:
        for number in range(300):
            client.publish("camcast/test/stream/s/bitrate/set", str(number))
        wait_mqtt(daemon, lambda mqtt: mqtt["commands_refused"] == 300, "the refusals")
    assert len([line for line in daemon.log() if "was refused" in line]) == 1


def test_a_password_does_not_leave_the_machine_in_clear(tmp_path):
    file = tmp_path / "password"
    file.write_text("secret\n")
    login = ["--broker", "192.0.2.7", "--username", "viewer", "--password-file", file]
    for command in (["discover"], ["record", "--dir", tmp_path], ["view"]):
        code, out, err = run(*command, *login)
        assert code == 2 and out == ""
        assert err == (
            "camcast: the password would go to 192.0.2.7 unencrypted; add --tls, or --insecure if "
            "nobody can listen on the way\n"
        )


# --- a broker of our own ---


class Spawned:
    """For Client: a broker that camcastd runs."""

    def __init__(self):
        self.address, self.port = "127.0.0.1", harness.free_port()


def test_a_broker_of_our_own_is_no_place_for_others(camcastd, tmp_path):
    """It serves the topics of camcast only, has little memory, and is not root."""
    users = tmp_path / "users"
    users.write_text("camcast:one\n")
    users.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", users], check=True, capture_output=True)
    spawned = Spawned()
    config = mqtt_config(spawned, broker="spawn", username="camcast", password="one",
                         spawn_password_file=users)
    del config["mqtt"]["response_prefix"]
    daemon = camcastd(config, env=words())
    pid = wait_connected(daemon)["broker_pid"]
    assert os.stat(f"/proc/{pid}").st_uid != 0 or os.geteuid() != 0
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        assert re.search(rf"Max data size +{192 << 20} ", file.read())
    with Client(spawned, username="camcast", password="one") as client:
        client.subscribe("#")
        client.publish("others/secret", "x", qos=1, retain=True)
        client.publish("homeassistant/sensor/x/config", "x", qos=1)
        client.publish("commend", "camera/response/a")
        client.wait_message("camera/response/a")
        client.wait_message("homeassistant/sensor/x/config")
        assert not [m for m in client.messages if m.topic.startswith(("others", "$SYS"))]
    with Client(spawned, username="camcast", password="one") as client:
        for number in range(300):  # 30 MB that are to be kept
            client.publish(f"camcast/x{number}/info", "x" * 100000, retain=True)
    with Client(spawned, username="camcast", password="one") as client:
        client.subscribe("camcast/test/status")
        assert client.wait_message("camcast/test/status").payload == b"online"
    assert memory_kb(pid) < 100 << 10
