# SPDX-License-Identifier: BSD-2-Clause
"""Several camcastd on a LAN, each on a machine (a network namespace) of its own, and a broker on one
of them: each tells the address at which the asker reaches it, and is found again where it went."""
import contextlib
import json
import re
import signal
import socket
import time
import urllib.parse
import uuid

import pytest

import broker as mqtt
import bytestream
import harness
import recordings
import tool

PORT = 8888  # every machine has its own
KEEPALIVE_S = 5  # the shortest that camcastd takes


def server_config(name, broker, **mqtt_keys):
    """A small camera that everybody on the network may watch."""
    config = harness.pattern_config(
        daemon={"name": name},
        camera={"size": "320x180", "framerate": 15},
        stream={"bitrate": 300000, "annexb": f"0.0.0.0:{PORT}, [::]:{PORT}"},
    )
    config["mqtt"] = {"broker": broker, "id": name, "keepalive": KEEPALIVE_S, **mqtt_keys}
    return config


def start_server(start_camcastd, host, name, broker, **mqtt_keys):
    with host:
        return start_camcastd(server_config(name, broker, **mqtt_keys))


def wait_info(listener, name, address, after=0):
    """The announcement of the server that says it is at address."""

    def fits(message):
        info = json.loads(message.payload or b"{}")
        return info.get("addresses", [None])[0] == address

    message = listener.wait_message(f"camcast/{name}/info", fits, timeout=30, after=after)
    return json.loads(message.payload)


def ask(listener, count):
    """Asks as an old client does, and returns the addresses of count servers as text."""
    topic = f"camera/response/{time.monotonic_ns()}"
    listener.subscribe(topic)
    listener.publish("commend", topic)
    return [message.payload.decode() for message in listener.wait_messages(topic, count)]


def check_plays(host, url):
    """Checks that video comes from the address in the announcement."""
    parsed = urllib.parse.urlsplit(url)
    assert parsed.scheme == "tcp"
    with host, socket.create_connection((parsed.hostname, parsed.port), 10) as connection:
        connection.settimeout(10 * harness.PATIENCE)
        assert connection.recv(5, socket.MSG_WAITALL) == bytestream.BEGINNING


def test_each_tells_the_address_that_reaches_the_asker(lan, start_broker, start_camcastd):
    """One is on the broker's own machine, one has its default route elsewhere, one has a second
    address in another network, and one has `advertise`."""
    middle, uplink, double, told, viewer = (
        lan.host(f"10.9.0.{n}/24") for n in (1, 11, 12, 13, 99)
    )
    middle.default_route("10.9.0.254")
    uplink.ip("link", "add", "wan", "type", "veth", "peer", "name", "provider")
    uplink.ip("link", "set", "provider", "up")
    uplink.ip("link", "set", "wan", "up")
    uplink.ip("addr", "add", "172.30.0.2/24", "dev", "wan")
    uplink.ip("route", "add", "default", "via", "172.30.0.1", "dev", "wan")
    double.add("10.7.0.12/24")
    double.default_route("10.7.0.254")
    told.add("10.9.0.14/24")
    with middle:
        broker = start_broker(address=None, port=1883)
    start_server(start_camcastd, middle, "middle", "localhost")
    start_server(start_camcastd, uplink, "uplink", "10.9.0.1")
    start_server(start_camcastd, double, "double", "10.9.0.1")
    start_server(start_camcastd, told, "told", "10.9.0.1", advertise="10.9.0.14")
    expected = {
        "middle": "10.9.0.1",
        "uplink": "10.9.0.11",
        "double": "10.9.0.12",
        "told": "10.9.0.14",
    }
    with viewer, mqtt.Client(broker, host="10.9.0.1") as listener:
        listener.subscribe("camcast/#")
        for name, address in expected.items():
            info = wait_info(listener, name, address)
            assert [stream["url"] for stream in info["streams"]] == [f"tcp://{address}:{PORT}"]
            check_plays(viewer, info["streams"][0]["url"])
        assert sorted(ask(listener, len(expected))) == sorted(expected.values())


def test_a_network_of_ipv6_alone(lan, start_broker, start_camcastd):
    middle, first, second, viewer = (lan.host(f"fd09::{n}/64") for n in (1, 11, 12, 99))
    with middle:
        broker = start_broker(address=None, port=1883)
    servers = {"first": first, "second": second}
    for name, host in servers.items():
        start_server(start_camcastd, host, name, "fd09::1")
    with viewer, mqtt.Client(broker, host="fd09::1") as listener:
        listener.subscribe("camcast/#")
        for name, host in servers.items():
            address = host.addresses[0].split("/")[0]
            info = wait_info(listener, name, address)
            assert info["streams"][0]["url"] == f"tcp://[{address}]:{PORT}"
            check_plays(viewer, info["streams"][0]["url"])
        assert sorted(ask(listener, 2)) == ["fd09::11", "fd09::12"]


def fetch_status(address):
    with socket.create_connection((address, 8080), 10) as connection:
        connection.sendall(b"GET /status.json HTTP/1.0\r\n\r\n")
        with connection.makefile("rb") as answer:
            head, body = answer.read().split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 "), head
    return json.loads(body)


def test_an_address_that_is_valid_on_one_link_is_written_with_its_interface(
    lan, start_camcastd, tmp_path
):
    """As between two machines and nothing else, which give themselves addresses of that kind."""
    server, viewer = (lan.host(f"fe80::{n}/64") for n in (1, 2))
    config = harness.pattern_config(
        daemon={"http": "[fe80::1%eth0]:8080"},
        camera={"size": "320x180", "framerate": 15},
        stream={"annexb": f"[fe80::1%eth0]:{PORT}", "bitrate": 300000},
    )
    with server:
        daemon = start_camcastd(config)
    daemon.wait_log(rf"listening on \[fe80::1%eth0\]:{PORT} \(tcp://\[fe80::1%eth0\]:{PORT}\)$")
    daemon.wait_log(rf"ffplay .* tcp://\[fe80::1%eth0\]:{PORT}$")
    daemon.wait_log(r"http: listening on \[fe80::1%eth0\]:8080 ")
    path = tmp_path / "received"
    with viewer, tool.Tool("recv", f"tcp://[fe80::1%eth0]:{PORT}", "-o", path) as recv:
        wait_growth([path], 50000)
        (client,) = fetch_status("fe80::1%eth0")["clients"]
        assert re.fullmatch(r"\[fe80::2%eth0\]:\d+", client["address"])
        assert recv.stop() == 0
    _, gaps = bytestream.check_stream(path.read_bytes() + bytestream.AUD, tmp_path)
    assert gaps == 0


def wait_event(watcher, event, name, address):
    """Of `discover --watch --json`. Each is waited for once: nobody comes back to where it was."""
    watcher.wait_line(rf'"{event}".*"id":"{name}".*"address":"{address}"', timeout=40)


def wait_growth(paths, count):
    """Until each file, or the files of each folder together, have count more bytes than now."""

    def sizes():
        files = [[path, *path.glob("*.mp4")] for path in paths]
        return [sum(file.stat().st_size for file in some if file.is_file()) for some in files]

    start, deadline = sizes(), time.monotonic() + 40 * harness.PATIENCE
    while not all(now >= then + count for now, then in zip(sizes(), start)):
        assert time.monotonic() < deadline, f"{paths}: {start} bytes, now {sizes()}"
        time.sleep(0.02)


@pytest.mark.long
def test_who_moves_is_followed(lan, start_broker, start_camcastd, tmp_path):
    """One is killed and one loses its cable; both come back at other addresses, and everybody that
    watches or records them goes on there. Those of the third one notice nothing."""
    middle, viewer = lan.host("10.9.0.1/24"), lan.host("10.9.0.99/24")
    names = ["killed", "unplugged", "steady"]
    hosts = {name: lan.host(f"10.9.0.{n}/24") for n, name in enumerate(names, 11)}
    with middle:
        start_broker(address=None, port=1883)
    daemons = {
        name: start_server(start_camcastd, host, name, "10.9.0.1") for name, host in hosts.items()
    }
    received = {name: tmp_path / f"{name}-received" for name in names}
    folder = tmp_path / "recorded"
    marker = f"CAMCAST_TEST={uuid.uuid4().hex}"
    with contextlib.ExitStack() as stack:
        running = []

        def camcast(*arguments):
            env = dict([marker.split("=")], CAMCAST_BROKER="10.9.0.1")
            with viewer:
                running.append(stack.enter_context(tool.Tool(*arguments, env=env)))
            return running[-1]

        watcher = camcast("discover", "--watch", "--json")
        for n, name in enumerate(names, 11):
            wait_event(watcher, "appeared", name, f"10.9.0.{n}")
        for name in names:
            camcast("recv", name, "-o", received[name])
        camcast("record", "--all", "--dir", folder)
        for name in names:
            wait_growth([received[name], folder / name], 50000)

        daemons["killed"].expected_exit = -signal.SIGKILL
        daemons["killed"].kill()
        hosts["unplugged"].plug(False)
        wait_event(watcher, "left", "killed", "10.9.0.11")
        hosts["killed"].move("10.9.0.21/24")
        daemons["killed again"] = start_server(
            start_camcastd, hosts["killed"], "killed", "10.9.0.1"
        )
        wait_event(watcher, "appeared", "killed", "10.9.0.21")
        wait_growth([received["killed"], folder / "killed"], 50000)

        wait_event(watcher, "left", "unplugged", "10.9.0.12")
        hosts["unplugged"].move("10.9.0.22/24")
        hosts["unplugged"].plug(True)
        wait_event(watcher, "appeared", "unplugged", "10.9.0.22")
        wait_growth([received["unplugged"], folder / "unplugged"], 50000)
        assert [one.stop() for one in running] == [0] * len(running)
    assert not harness.processes_with(marker)

    for name in names:
        _, gaps = bytestream.check_stream(
            received[name].read_bytes(), tmp_path, restarts=True, name=name
        )
        assert gaps == 0 if name == "steady" else gaps >= 1
        assert recordings.check_folder(folder / name)
