# SPDX-License-Identifier: BSD-2-Clause
"""Several camcastd on a LAN, each on a machine (a network namespace) of its own, and a broker on one
of them: each tells the address at which the asker reaches it, and is found again where it went."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import broker as mqtt
import bytestream
import harness

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
    """What an old client asks: the addresses, one from each of count servers, as text."""
    topic = f"camera/response/{time.monotonic_ns()}"
    listener.subscribe(topic)
    listener.publish("commend", topic)
    return [message.payload.decode() for message in listener.wait_messages(topic, count)]


def check_plays(host, url):
    """What the announcement calls the stream's address is one: video comes from there."""
    parsed = urllib.parse.urlsplit(url)
    assert parsed.scheme == "tcp"
    with host, socket.create_connection((parsed.hostname, parsed.port), 10) as connection:
        connection.settimeout(10 * harness.PATIENCE)
        assert connection.recv(5, socket.MSG_WAITALL) == bytestream.AUD


def test_each_tells_the_address_that_reaches_the_asker(lan, start_broker, start_camcastd):
    """One is on the broker's own machine, one has its default route elsewhere, one has a second
    address in another network, and one is told what to say."""
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


class Camcast:
    """`camcast ARGUMENTS` on a host; its standard output is kept as lines, JSON where it is."""

    def __init__(self, host, *arguments, env=None):
        self.marker = f"CAMCAST_TEST={time.monotonic_ns()}"
        key, value = self.marker.split("=")
        self.lines = []
        self.errors = []
        self._changed = threading.Condition()
        self.process = host.popen(
            [harness.BUILD / "camcast", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, **{key: value}, **(env or {})),
        )
        self._readers = [
            threading.Thread(target=self._read, args=arguments, daemon=True)
            for arguments in (
                (self.process.stdout, self.lines),
                (self.process.stderr, self.errors),
            )
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe, lines):
        for raw in pipe:
            with self._changed:
                lines.append(raw.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        pipe.close()

    def said(self):
        return "\n  ".join(["it said:", *self.lines[-20:], *self.errors[-20:]])

    def wait_event(self, event, name, address, after=0):
        """discover --watch --json: the number of the line after the one that tells of it."""
        found = []

        def look():
            for number, line in enumerate(self.lines[after:], after + 1):
                told = json.loads(line)
                server = told["server"]
                if (told["event"], server["id"], server["address"]) == (event, name, address):
                    found[:] = [number]
                    return True
            return False

        with self._changed:
            assert self._changed.wait_for(look, 40 * harness.PATIENCE), (
                f"no {event} {name} at {address}; {self.said()}"
            )
        return found[0]

    def stop(self):
        """Ctrl-C; it must end well and leave no process."""
        self.process.send_signal(signal.SIGINT)
        try:
            assert self.process.wait(10 * harness.PATIENCE) == 0, self.said()
        finally:
            self.kill()
        assert not harness.processes_with(self.marker)

    def kill(self):
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(5)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()


def wait_growth(path, count, what):
    """Until the file has count more bytes than now."""
    start = path.stat().st_size if path.exists() else 0
    deadline = time.monotonic() + 40 * harness.PATIENCE
    while not path.exists() or path.stat().st_size < start + count:
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def check_recording(path):
    """Every picture of the file decodes, and none waits for one that is missing."""
    result = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "level+warning", "-err_detect", "explode", "-xerror"]
        + ["-i", path, "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0 and not re.search(r"\[(fatal|error)\]", result.stderr), (
        f"{path}: {result.stderr}"
    )


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
    with contextlib.ExitStack() as stack:

        def camcast(*arguments):
            return stack.enter_context(Camcast(viewer, *arguments, "--broker", "10.9.0.1"))

        watcher = camcast("discover", "--watch", "--json")
        for n, name in enumerate(names, 11):
            watcher.wait_event("appeared", name, f"10.9.0.{n}")
        for name in names:
            camcast("recv", name, "-o", received[name])
        camcast("record", "--all", "--dir", folder)
        for name in names:
            wait_growth(received[name], 50000, f"nothing of {name}")

        daemons["killed"].expected_exit = -signal.SIGKILL
        daemons["killed"].kill()
        hosts["unplugged"].plug(False)
        position = watcher.wait_event("left", "killed", "10.9.0.11")
        hosts["killed"].move("10.9.0.21/24")
        daemons["killed again"] = start_server(
            start_camcastd, hosts["killed"], "killed", "10.9.0.1"
        )
        watcher.wait_event("appeared", "killed", "10.9.0.21", position)
        wait_growth(received["killed"], 50000, "nothing of who was killed")

        position = watcher.wait_event("left", "unplugged", "10.9.0.12")
        hosts["unplugged"].move("10.9.0.22/24")
        hosts["unplugged"].plug(True)
        watcher.wait_event("appeared", "unplugged", "10.9.0.22", position)
        wait_growth(received["unplugged"], 50000, "nothing of who lost its cable")

    for name in names:
        _, gaps = bytestream.check_stream(
            received[name].read_bytes(), tmp_path, restarts=True, name=name
        )
        assert gaps == (name != "steady")
        recordings = sorted((folder / name).glob("*.mp4"))
        assert recordings, f"{list(folder.glob('**'))}"
        for recording in recordings:
            check_recording(recording)
