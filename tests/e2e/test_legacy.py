# SPDX-License-Identifier: BSD-2-Clause
"""The clients of the system that camcast replaces, unchanged (legacy_client.py), against camcastd
on a network where everything is where they expect it: the broker at 1883, the stream at 8000."""
import re
import subprocess
import sys

import broker as mqtt
import harness

CLIENT = harness.ROOT / "tests/e2e/lib/legacy_client.py"
TOPICS = ["commend", "commend/getIP", "command/getIP"]
PICTURES = 15


def shipped_config(broker, **camera):
    """The shipped config.ini with another camera and another host of the broker."""
    text = (harness.ROOT / "config.ini").read_text()
    for key, value in {"source": "pattern", **camera}.items():
        text, found = re.subn(rf"(?m)^{key} = [^;\n]*", f"{key} = {value} ", text, count=1)
        assert found, key
    text, found = re.subn(r"(?m)^broker =[^;\n]*", f"broker = {broker} ", text, count=1)
    assert found, "config.ini has no broker"
    return text


def wait_online(host, broker, address):
    """Returns when the server has announced itself: the old client asks only once."""
    with host, mqtt.Client(broker, host=address) as listener:
        listener.subscribe("camcast/+/status")
        listener.wait_message("camcast/+/status", lambda message: message.payload == b"online")


def run_client(host, broker, topic, pictures=PICTURES):
    """Returns the address that it got and [(height, width, number in the picture)]."""
    client = host.popen(
        [sys.executable, CLIENT, broker, topic, str(pictures)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        output, errors = client.communicate(timeout=60 * harness.PATIENCE)
    finally:
        client.kill()
    assert client.returncode == 0 and not errors, errors
    address, *lines = output.splitlines()
    return address, [tuple(map(int, line.split())) for line in lines]


def check_pictures(pictures, size):
    """Whole, in order, moving: every picture says a later number."""
    assert len(pictures) == PICTURES
    assert {(height, width) for height, width, _ in pictures} == {size}
    numbers = [number for _, _, number in pictures]
    assert min(numbers) >= 0, "a picture that is not the test pattern"
    assert all(a < b for a, b in zip(numbers, numbers[1:])), numbers


def test_the_unchanged_client_shows_pictures(lan, start_broker, start_camcastd):
    """Three machines: the broker's, the server's, the viewer's."""
    middle, server, viewer = (lan.host(f"10.8.0.{n}/24") for n in (1, 2, 3))
    with middle:
        broker = start_broker(address=None, port=1883)
    with server:
        start_camcastd(shipped_config("10.8.0.1"))
    wait_online(viewer, broker, "10.8.0.1")
    for topic in TOPICS:
        address, pictures = run_client(viewer, "10.8.0.1", topic)
        assert address == "10.8.0.2", topic
        check_pictures(pictures, (720, 1280))


def test_the_broker_may_be_on_the_servers_machine(lan, start_broker, start_camcastd):
    """As the old system was set up: the server reaches its broker over loopback, which is not what
    it tells the viewer. 1920x1080, as the old cameras were."""
    server, viewer = lan.host("10.8.0.2/24"), lan.host("10.8.0.3/24")
    server.default_route("10.8.0.254")
    with server:
        broker = start_broker(address=None, port=1883)
        start_camcastd(shipped_config("localhost", size="1920x1080"))
    wait_online(viewer, broker, "10.8.0.2")
    address, pictures = run_client(viewer, "10.8.0.2", TOPICS[0])
    assert address == "10.8.0.2"
    check_pictures(pictures, (1080, 1920))


def test_where_the_server_speaks_ipv6_to_the_broker(lan, start_broker, start_camcastd):
    """The old client connects over IPv4 whatever address it gets."""
    middle = lan.host("10.8.0.1/24", "fd08::1/64")
    server = lan.host("10.8.0.2/24", "fd08::2/64")
    viewer = lan.host("10.8.0.3/24")
    with middle:
        broker = start_broker(address=None, port=1883)
    with server:
        start_camcastd(shipped_config("fd08::1"))
    wait_online(viewer, broker, "10.8.0.1")
    address, pictures = run_client(viewer, "10.8.0.1", TOPICS[0])
    assert address == "10.8.0.2"
    check_pictures(pictures, (720, 1280))
