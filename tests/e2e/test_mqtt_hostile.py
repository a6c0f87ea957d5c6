# SPDX-License-Identifier: BSD-2-Clause
"""A client that may publish on the broker cannot harm a server."""
import json
import subprocess
import time

import pytest

import harness
from broker import Broker, Client
from clients import Viewer
from fakes import FEED, check_units, fake_config, parse_units, words
from discovery import mqtt_config, wait_connected, wait_mqtt
from test_mqtt import REQUEST_TOPICS, check_info

pytestmark = pytest.mark.one_backend


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path) as one:
        yield one


def json_request(topic, more=""):
    return f'{{"reply_to": "{topic}", "format": "json"{more}}}'


HOSTILE = {
    "wildcard": ["a/#", "#", "a/+/b", json_request("a/+")],
    "dollar": ["$SYS/broker/uptime", json_request("$share/x/y")],
    "too_long": ["a" * 257, json_request("b" * 257), "{" + " " * 5000 + "}"],
    "not_utf8": [b"a\xff", b"a\0b", b"\xed\xa0\x80", b'{"reply_to": "\xff"}', "a\x01b"],
    "our_topic": [
        *REQUEST_TOPICS, json_request("commend"), "camcast/test/info", "camcast/other/status",
        "camcast/test/stream/s/bitrate/set",
    ],
    "malformed": [
        "", "{", "{}", '{"reply_to": 7}', '{"reply_to": "a", "format": "xml"}', "{" * 4000,
        '{"reply_to": "a", "format": 1}', '{"reply_to": ""}', '{"reply_to": null}',
    ],
}


def test_hostile_requests_are_refused_and_counted(start_camcastd, broker):
    daemon = start_camcastd(mqtt_config(broker), env=words())
    wait_connected(daemon)
    with Client(broker) as client:
        client.subscribe("#")
        for payloads in HOSTILE.values():
            for payload in payloads:
                client.publish("commend", payload, qos=1)
        client.publish("commend", "x" * 30000, qos=1)
        client.publish("commend", "at/the/end", qos=1)
        client.wait_message("at/the/end", lambda message: message.payload == b"127.0.0.1")
        answers = [m for m in client.messages if m.payload == b"127.0.0.1" or b"addresses" in
                   m.payload and not m.topic.startswith("camcast/test/")]
        assert [m.topic for m in answers] == ["at/the/end"]
    expected = {reason: len(payloads) for reason, payloads in HOSTILE.items()}
    expected["too_long"] += 1
    mqtt = wait_mqtt(daemon, lambda mqtt: mqtt["replies"] == 1, "the one answer")
    assert {k: v for k, v in mqtt["refused"].items() if v} == expected


def test_a_retained_request_is_ignored(start_camcastd, broker):
    """Its sender is gone. Otherwise each server would answer it at each connection."""
    with Client(broker) as client:
        client.subscribe("left/behind")
        client.publish("commend", "left/behind", qos=1, retain=True)
        # v3.1.1 delivers it and we ignore it; with v5 we ask not to be sent any.
        for version, refused in (("3.1.1", 1), ("5", 0)):
            config = mqtt_config(broker, version=version, id=f"v{version[0]}")
            daemon = start_camcastd(config, env=words())
            wait_connected(daemon)
            client.subscribe(f"now/{version}")
            client.publish("commend", f"now/{version}")
            client.wait_message(f"now/{version}")
            mqtt = wait_mqtt(daemon, lambda mqtt: mqtt["replies"] == 1, "the answer")
            assert mqtt["refused"]["retained"] == refused
        assert not [m for m in client.messages if m.topic == "left/behind"]


def test_answers_go_only_below_the_prefix(start_camcastd, broker):
    config = mqtt_config(broker, response_prefix="camera/response/")
    daemon = start_camcastd(config, env=words())
    wait_connected(daemon)
    with Client(broker) as client:
        client.subscribe("#")
        for topic in ("elsewhere", "camera/response", "camera/responses/a"):
            client.publish("commend", topic)
        client.publish("commend", "camera/response/a")
        client.wait_message("camera/response/a")
        assert not [m for m in client.messages if m.payload == b"127.0.0.1"
                    and m.topic != "camera/response/a"]
    wait_mqtt(daemon, lambda mqtt: mqtt["refused"]["prefix"] == 3, "the refusals")


def test_one_topic_gets_few_answers_and_others_theirs(start_camcastd, broker):
    daemon = start_camcastd(mqtt_config(broker), env=words())
    wait_connected(daemon)
    with Client(broker) as client:
        client.subscribe("victim")
        client.subscribe("other")
        start = time.monotonic()
        for _ in range(100):
            client.publish("commend", "victim")
        client.publish("commend", "other")
        client.wait_message("other")
        seconds = time.monotonic() - start
        got = len([m for m in client.messages if m.topic == "victim"])
        assert 0 < got <= 10 + 5 * (seconds + 1)
    mqtt = wait_mqtt(daemon, lambda mqtt: mqtt["requests"] == 101, "all requests")
    assert mqtt["limited"]["topic"] == 100 - got
    assert mqtt["limited"]["total"] == 0


def test_many_topics_get_as_many_answers_as_there_are_in_all(start_camcastd, broker):
    daemon = start_camcastd(mqtt_config(broker), env=words())
    wait_connected(daemon)
    lines = "".join(f"victim/{number}\n" for number in range(5000))
    subprocess.run(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "commend", "-l",
         "-q", "1"],
        input=lines.encode(), check=True, timeout=60 * harness.PATIENCE,
    )
    mqtt = wait_mqtt(daemon, lambda mqtt: mqtt["requests"] >= 4000, "the requests")
    assert mqtt["limited"]["total"] > 0
    answered = mqtt["replies"]
    assert answered < 4000 and answered + sum(mqtt["limited"].values()) <= mqtt["requests"]


def test_a_flood_of_requests_costs_nothing_on_the_video_path(start_camcastd, broker):
    """As many as a broker can forward (10,000 a second and more), while a viewer gets every unit.
    Only the discovery thread hears them: the loop is not even woken."""
    daemon = start_camcastd(mqtt_config(broker), env=words(fps=100))
    wait_connected(daemon)
    with Viewer(daemon.port(FEED)) as viewer:
        viewer.wait_bytes(50000)
        turns = daemon.status()["loop"]["turns"]
        start = time.monotonic()
        with subprocess.Popen(["yes", "victim"], stdout=subprocess.PIPE) as yes, subprocess.Popen(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "commend", "-l"],
            stdin=yes.stdout, stderr=subprocess.DEVNULL,
        ) as flood:
            try:
                wait_mqtt(daemon, lambda mqtt: mqtt["requests"] >= 50000, "50000 requests", 60)
                seconds = time.monotonic() - start
                status = daemon.status()
            finally:
                flood.kill()
                yes.kill()
        feed = daemon.part("feeds", FEED, status)
        assert sum(feed["dropped"].values()) == 0 and feed["resyncs"] == 0
        check_units(parse_units(viewer.data))
        # Units, snapshots, and our own asking: not requests.
        assert status["loop"]["turns"] - turns < 25000
        assert status["mqtt"]["replies"] < 1000 + 10 * seconds
        with Client(broker) as client:  # and it is still there for others
            client.subscribe("other")
            daemon.wait_until(lambda: ask(client), "an answer", 30)


def ask(client):
    client.publish("commend", "other")
    try:
        client.wait_message("other", timeout=1)
    except harness.Failure:
        return False
    return True


# --- Home Assistant ---


def pattern_config(**streams):
    config = fake_config(**streams)
    del config["daemon"]["capture"]
    config["camera cam"].update(size="320x240", framerate=30)
    return config


def entities(client):
    """{topic: payload} of Home Assistant's messages now retained."""
    found = {}
    for message in client.messages:
        if message.topic.startswith("homeassistant/"):
            found[message.topic] = message.payload
            if not message.payload:
                del found[message.topic]
    return found


def test_home_assistant_shows_and_controls(start_camcastd, broker):
    config = mqtt_config(broker, pattern_config(), home_assistant=True)
    daemon = start_camcastd(config)
    wait_connected(daemon)
    with Client(broker) as client:
        client.subscribe("homeassistant/#")
        client.subscribe("camcast/test/state")
        topics = {
            f"homeassistant/{component}/camcast_test/{thing}/config"
            for component, thing in (
                ("sensor", "camera_cam_state"), ("button", "camera_cam_restart"),
                ("sensor", "stream_s_viewers"), ("sensor", "stream_s_fps"),
                ("sensor", "stream_s_bitrate"), ("number", "stream_s_target_bitrate"),
            )
        }
        for topic in topics:
            assert client.wait_message(topic).retain
        found = {topic: json.loads(payload) for topic, payload in entities(client).items()}
        assert set(found) == topics
        assert len({one["unique_id"] for one in found.values()}) == len(topics)
        for one in found.values():
            assert one["availability_topic"] == "camcast/test/status"
            assert one["device"]["identifiers"] == ["camcast_test"]

        def state(predicate):
            return client.wait_message(
                "camcast/test/state", lambda message: predicate(json.loads(message.payload)), 20
            )

        state(lambda one: one["cameras"]["cam"]["state"] == "running")
        with Viewer(daemon.port(FEED)):
            state(lambda one: one["streams"]["s"]["viewers"] == 1)
        # The controls, with what the messages say about them.
        number = found["homeassistant/number/camcast_test/stream_s_target_bitrate/config"]
        client.subscribe("camcast/test/info")
        client.publish(number["command_topic"], "500000")
        daemon.wait_until(lambda: daemon.stream()["target_bitrate"] == 500000, "the new bitrate")
        state(lambda one: one["streams"]["s"]["target_bitrate"] == 500000)
        client.wait_message(
            "camcast/test/info",
            lambda message: check_info(message.payload)["streams"][0]["bitrate"] == 500000,
        )
        pid = daemon.camera()["pid"]
        button = found["homeassistant/button/camcast_test/camera_cam_restart/config"]
        client.publish(button["command_topic"], "PRESS")
        daemon.wait_until(lambda: daemon.camera()["pid"] not in (0, pid), "another worker")
        assert daemon.camera()["restarts"] == 1
        # Not so: a command that is retained, wrong, or out of range.
        done = wait_mqtt(daemon, lambda mqtt: mqtt["commands"] == 2, "two commands")
        client.publish(button["command_topic"], "PRESS", qos=1, retain=True)
        client.publish(button["command_topic"], "press")
        for payload in ("", "0", "9999", "200000001", "1e6", "-1", "5000000000000", "500000 "):
            client.publish(number["command_topic"], payload)
        client.publish("camcast/test/stream/nobody/bitrate/set", "500000")
        mqtt = wait_mqtt(daemon, lambda mqtt: mqtt["commands_refused"] >= 10, "the refusals")
        # To one that is connected the retained one comes as an ordinary message.
        assert mqtt["commands"] == done["commands"] + 1


def test_what_is_configured_no_more_leaves_home_assistant(start_camcastd, broker):
    two = {"two": {"length_prefixed": "127.0.0.1:0"}}
    daemon = start_camcastd(
        mqtt_config(broker, fake_config(**two), home_assistant=True), env=words()
    )
    wait_connected(daemon)
    with Client(broker) as client:
        client.subscribe("homeassistant/#")
        gone = "homeassistant/sensor/camcast_test/stream_two_viewers/config"
        client.wait_message(gone)
        daemon.stop()
        wait_connected(
            start_camcastd(mqtt_config(broker, home_assistant=True), env=words())
        )
        client.wait_message(gone, lambda message: not message.payload)
        client.wait_message("homeassistant/number/camcast_test/stream_two_target_bitrate/config",
                            lambda message: not message.payload)
        left = entities(client)
        assert len([topic for topic in left if "stream_s_" in topic]) == 4


def test_home_assistant_switched_off_is_empty_again(start_camcastd, broker):
    daemon = start_camcastd(mqtt_config(broker, home_assistant=True), env=words())
    wait_connected(daemon)
    with Client(broker) as client:
        client.subscribe("homeassistant/#")
        client.subscribe("camcast/test/state")
        topics = [
            f"homeassistant/{thing}/config"
            for thing in (
                "sensor/camcast_test/camera_cam_state", "button/camcast_test/camera_cam_restart",
                "sensor/camcast_test/stream_s_fps", "number/camcast_test/stream_s_target_bitrate",
            )
        ]
        for topic in topics:
            client.wait_message(topic)
        daemon.stop()
        # Another server's are not touched.
        client.publish("homeassistant/sensor/camcast_test2/x/config", "{}", qos=1, retain=True)
        wait_connected(start_camcastd(mqtt_config(broker), env=words()))
        for topic in [*topics, "camcast/test/state"]:
            client.wait_message(topic, lambda message: not message.payload)
        assert list(entities(client)) == ["homeassistant/sensor/camcast_test2/x/config"]


def test_without_home_assistant_nothing_can_be_commanded(start_camcastd, broker):
    daemon = start_camcastd(mqtt_config(broker), env=words())
    wait_connected(daemon)
    wait_mqtt(daemon, lambda mqtt: daemon.camera()["pid"], "a worker")
    pid = daemon.camera()["pid"]
    with Client(broker) as client:
        client.subscribe("homeassistant/#")
        client.publish("camcast/test/camera/cam/restart", "PRESS", qos=1)
        client.subscribe("answer")
        client.publish("commend", "answer")
        client.wait_message("answer")
        assert entities(client) == {}
    assert daemon.status()["mqtt"]["commands"] == 0 and daemon.camera()["pid"] == pid
