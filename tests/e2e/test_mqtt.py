# SPDX-License-Identifier: BSD-2-Clause
"""Discovery over MQTT with a real mosquitto: announcements, requests old and new, addresses."""
import json
import re
import signal
import socket
import time
import urllib.request

import jsonschema
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import harness
from broker import Broker, Client, Gate
from clients import Viewer
from discovery import mqtt_config, wait_connected, wait_mqtt
from fakes import FEED, check_units, fake_config, parse_units, words

pytestmark = pytest.mark.one_backend

REQUEST_TOPICS = ["commend", "commend/getIP", "command/getIP"]
SCHEMA = json.loads((harness.ROOT / "docs/info.schema.json").read_text())


def check_info(text):
    info = json.loads(text)
    jsonschema.validate(info, SCHEMA, jsonschema.Draft202012Validator)
    return info


def default_address(family=socket.AF_INET, far="198.51.100.1"):
    """The source address of the default route, or None."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((far, 9))
        except OSError:
            return None
        return probe.getsockname()[0]


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path) as one:
        yield one


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_plain_request_is_answered_with_the_address(start_camcastd, broker, version):
    """As today's clients ask: the payload is the topic of the answer, on any of three topics."""
    daemon = start_camcastd(mqtt_config(broker, version=version), env=words())
    assert wait_connected(daemon)["version"] == version
    with Client(broker) as client:
        for number, topic in enumerate(REQUEST_TOPICS):
            answer = f"camera/response/python-mqtt-client-{number}"
            client.subscribe(answer)
            client.publish(topic, answer)
            message = client.wait_message(answer)
            # The only feed listens on the loopback address, so no other one would do.
            assert message.payload == b"127.0.0.1"
            assert message.qos == 0 and not message.retain
    mqtt = wait_mqtt(daemon, lambda mqtt: mqtt["replies"] == 3, "three answers")
    assert mqtt["requests"] == 3 and not any(mqtt["refused"].values())


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_json_request_gets_the_full_description(start_camcastd, broker, version):
    config = fake_config(
        other={"length_prefixed": "127.0.0.1:0, [::1]:0", "annexb": "127.0.0.1:0"}
    )
    daemon = start_camcastd(mqtt_config(broker, config, version=version), env=words())
    wait_connected(daemon)
    with Client(broker) as client:
        client.subscribe("answer")
        client.publish("commend", '{"reply_to": "answer", "format": "json"}')
        info = check_info(client.wait_message("answer").payload)
        client.subscribe("camcast/test/info")
        retained = client.wait_message("camcast/test/info")
        assert retained.retain and json.loads(retained.payload) == info
    assert info["id"] == "test" and info["name"] == "test"
    feeds = {(one["name"], one["framing"]): one for one in info["streams"]}
    assert set(feeds) == {
        ("s", "length_prefixed"), ("other", "annexb"), ("other", "length_prefixed")
    }
    for (name, framing), feed in feeds.items():
        assert feed["port"] == daemon.ports[f"{name}/{framing}"][0]
        scheme = {"annexb": "tcp", "length_prefixed": "tcp+length"}[framing]
        assert feed["url"] == f"{scheme}://127.0.0.1:{feed['port']}"
        assert feed["codec"] == "h264" and feed["bitrate"] == 2000000 and feed["framerate"] == 30
        # What is configured, or what the worker has, once it has said so.
        assert (feed["width"], feed["height"]) in ((1280, 720), (320, 240))
    # And it is true.
    with Viewer(feeds["s", "length_prefixed"]["port"]) as viewer:
        viewer.wait_bytes(20000)
        assert len(check_units(parse_units(viewer.data))) > 0


def test_mqtt_5_response_topic_and_correlation_data_come_back(start_camcastd, broker):
    daemon = start_camcastd(mqtt_config(broker), env=words())
    wait_connected(daemon)
    with Client(broker, v5=True) as client:
        client.subscribe("by/property")
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = "by/property"
        for correlation, payload in ((b"", b""), (b"\0\xff\x10", b"by/payload"), (b"7", b"{}")):
            properties.CorrelationData = correlation
            start = client.position()
            client.publish("commend/getIP", payload, properties=properties)
            message = client.wait_message("by/property", after=start)
            assert getattr(message.properties, "CorrelationData", b"") == correlation
            if payload == b"{}":
                check_info(message.payload)
            else:
                assert message.payload == b"127.0.0.1"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_is_announced_while_it_lives(start_camcastd, broker, how):
    """Retained, so that clients that come later know it too; `offline` comes from the server at its end,
    and from the broker (the last will) when it had no time for that."""
    with Client(broker) as client:
        client.subscribe("camcast/+/status")
        client.subscribe("camcast/+/info")
        daemon = start_camcastd(mqtt_config(broker), env=words())
        online = client.wait_message("camcast/test/status")
        assert online.payload == b"online"
        # The server published its description before.
        check_info(client.wait_message("camcast/test/info", timeout=0).payload)
        if how == signal.SIGKILL:
            daemon.expected_exit = -signal.SIGKILL
        daemon.process.send_signal(how)
        start = time.monotonic()
        client.wait_message("camcast/test/status", lambda message: message.payload == b"offline")
        assert time.monotonic() - start < 5 * harness.PATIENCE
    with Client(broker) as later:
        later.subscribe("camcast/#")
        assert later.wait_message("camcast/test/status").payload == b"offline"
        again = start_camcastd(mqtt_config(broker), env=words())
        wait_connected(again)
        later.wait_message("camcast/test/status", lambda message: message.payload == b"online")


def test_the_id_stays_over_restarts_and_differs_between_servers(start_camcastd, broker):
    def start(name):
        config = mqtt_config(broker, fake_config(daemon={"name": name}), id="")
        return start_camcastd(config, env=words())

    first = start("Wohnzimmer 1")
    first_id = wait_connected(first)["id"]
    assert re.fullmatch(r"Wohnzimmer-1-[0-9a-f]{12}", first_id)
    assert re.fullmatch(r"camcast-[0-9a-f]{12}", wait_connected(start("현관"))["id"])
    # Another file is another server; the same one keeps its id.
    assert wait_connected(start("Wohnzimmer 1"))["id"] != first_id
    first.stop()
    text, path = first.config_path.read_text(), first.config_path
    again = start_camcastd(text, args=("-c", path), env=words())
    assert wait_connected(again)["id"] == first_id


def test_the_address_told_is_one_that_others_reach(start_camcastd, broker):
    """The broker is on this machine: then it is the default route's."""
    config = fake_config({"length_prefixed": "0.0.0.0:0"}, v6={"length_prefixed": "[::]:0"})
    daemon = start_camcastd(mqtt_config(broker, config), env=words())
    expected = default_address()
    address = wait_connected(daemon)["address"]
    if expected:
        assert address == expected
    with Client(broker) as client:
        client.subscribe("camcast/test/info")
        info = check_info(client.wait_message("camcast/test/info").payload)
    urls = {one["name"]: one["url"] for one in info["streams"]}
    assert info["addresses"][0] == address
    assert urls["s"] == f"tcp+length://{address}:{daemon.port(FEED)}"
    v6 = default_address(socket.AF_INET6, "2001:db8::1")
    if v6:
        assert v6 in info["addresses"]
        assert urls["v6"] == f"tcp+length://[{v6}]:{daemon.port('v6/length_prefixed')}"


def test_the_urls_over_http_are_announced_and_work(start_camcastd, broker):
    port = harness.free_port("0.0.0.0")
    config = harness.pattern_config(daemon={"http": f"0.0.0.0:{port}"})
    daemon = start_camcastd(mqtt_config(broker, config))
    address = wait_connected(daemon)["address"]
    with Client(broker) as client:
        client.subscribe("camcast/test/info")
        info = check_info(client.wait_message("camcast/test/info").payload)
        # The predecessor's clients get the same answer as ever.
        client.subscribe("camera/response/me")
        client.publish("commend", "camera/response/me")
        assert client.wait_message("camera/response/me").payload.decode() == address
    (stream,) = info["http"]
    assert (stream["name"], stream["camera"], stream["codec"]) == ("s", "cam", "h264")
    assert set(stream["urls"]) == {"h264", "mp4", "ts", "hls", "ws", "mjpeg", "jpeg"}
    assert stream["urls"]["ws"] == f"ws://{address}:{port}/s.ws"
    daemon.wait_flowing()
    for url in (info["page_url"], *(stream["urls"][key] for key in stream["urls"] if key != "ws")):
        with urllib.request.urlopen(url, timeout=20 * harness.PATIENCE) as answer:
            assert answer.read(50), url


def test_a_configured_address_replaces_what_was_found(start_camcastd, broker):
    config = fake_config(daemon={"http": "127.0.0.1:0"})
    daemon = start_camcastd(
        mqtt_config(broker, config, advertise="2001:db8::7"), env=words()
    )
    assert wait_connected(daemon)["address"] == "2001:db8::7"
    with Client(broker) as client:
        client.subscribe("camcast/test/info")
        info = check_info(client.wait_message("camcast/test/info").payload)
    assert info["addresses"] == ["2001:db8::7"]
    assert info["streams"][0]["url"] == f"tcp+length://[2001:db8::7]:{daemon.port(FEED)}"


def test_a_broker_on_ipv6_is_reached(start_camcastd, tmp_path):
    with Broker(tmp_path, address="::1") as broker:
        config = mqtt_config(broker, fake_config({"length_prefixed": "[::1]:0"}))
        config["mqtt"]["broker"] = "::1"
        daemon = start_camcastd(config, env=words())
        wait_connected(daemon)
        with Client(broker) as client:
            client.subscribe("answer")
            client.publish("commend", "answer")
            assert client.wait_message("answer").payload == b"::1"


@pytest.mark.parametrize("closes", [False, True])
def test_auto_falls_back_to_3_1_1(start_camcastd, broker, closes):
    with Gate(broker, 4, closes) as gate:
        daemon = start_camcastd(mqtt_config(gate), env=words())
        assert wait_connected(daemon)["version"] == "3.1.1"
        assert gate.levels == [5, 4]


def test_without_a_section_there_is_no_discovery(start_camcastd):
    daemon = start_camcastd(fake_config(), env=words())
    assert daemon.status()["mqtt"] == {"state": "off"}
    assert "mqtt" not in "\n".join(daemon.log())
    assert "camcast_mqtt" not in daemon.get("/metrics")[1]


def test_the_recording_command_is_none_of_ours(start_camcastd, broker):
    daemon = start_camcastd(mqtt_config(broker), env=words())
    wait_connected(daemon)
    with Client(broker) as client:
        for topic in ("commend/rec", "command/rec"):
            client.publish(topic, "start")
        client.subscribe("answer")
        client.publish("commend", "answer")
        client.wait_message("answer")
    mqtt = wait_mqtt(daemon, lambda mqtt: mqtt["replies"] == 1, "the answer")
    assert mqtt["requests"] == 1


def test_the_metrics_count_what_the_status_counts(start_camcastd, broker):
    daemon = start_camcastd(mqtt_config(broker), env=words())
    wait_connected(daemon)
    with Client(broker) as client:
        client.publish("commend", "a/#")
    wait_mqtt(daemon, lambda mqtt: mqtt["refused"]["wildcard"] == 1, "the refusal")
    _, text = daemon.get("/metrics")
    assert "camcast_mqtt_connected 1\n" in text
    assert "camcast_mqtt_requests_total 1\n" in text
    assert 'camcast_mqtt_refused_total{reason="wildcard"} 1\n' in text


def test_two_servers_of_one_id_are_reported(start_camcastd, broker):
    """A broker lets only one in, and throws the other one out each time."""
    first = start_camcastd(mqtt_config(broker), env=words())
    wait_connected(first)
    start_camcastd(mqtt_config(broker), env=words())
    wait_mqtt(first, lambda mqtt: "another client has the id" in mqtt["reason"], "the reason")
    first.wait_log("another client has the id camcast-test")
    assert len([line for line in first.log() if "mqtt:" in line]) <= 6
