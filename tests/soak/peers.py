# SPDX-License-Identifier: BSD-2-Clause
"""Hostile peers: each is a fault that touches nobody (the one that floods the broker touches what
goes through the broker). They run on a thread of their own until heal()."""
import random as randoms
import socket
import threading

import broker as mosquitto
import faults
import world as worlds

GREETINGS = (
    b"GET / HTTP/1.1\r\nHost: camera\r\n\r\n",
    b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x03" + bytes(1536),
)


class Peer(faults.Fault):
    """step() is called over and over; it says how long to wait until the next call."""

    weight = 2

    def __init__(self, world, random):
        super().__init__(world, random)
        self.hold_s = random.uniform(2, 5)
        self.random = randoms.Random(random.getrandbits(64))
        self.sockets, self.counted = [], 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def text(self):
        return f"{self.name}: {self.backend} for {self.hold_s:.1f} s"

    def touches(self):
        return []

    def inject(self):
        self._thread.start()

    def _run(self):
        while not self._stopping.is_set():
            try:
                pause = self.step()
            except OSError:
                pause = 0.05
            self._stopping.wait(pause)

    def step(self):
        raise NotImplementedError

    def heal(self):
        self._stopping.set()
        self._thread.join()
        for one in self.sockets:
            one.close()
        self.sockets = []

    def connect(self, offset):
        one = socket.create_connection((worlds.HOME, self.world.port(self.backend, offset)), 2)
        one.settimeout(0.2)
        self.sockets.append(one)
        self.counted += 1
        return one

    def any_feed(self):
        return self.random.randint(1, 5)


class ConnectFlood(Peer):
    name = "flood of connections"

    def step(self):
        self.connect(self.any_feed())
        if len(self.sockets) > 100:
            for one in self.sockets:
                one.close()
            self.sockets = []
        return 0.002


class Garbage(Peer):
    """Sends other protocols' greetings and random bytes to the ports of feeds and of the status."""

    name = "garbage"

    def step(self):
        one = self.connect(self.random.randint(0, 5))
        if self.random.random() < 0.5:
            one.sendall(self.random.choice(GREETINGS))
        else:
            one.sendall(self.random.randbytes(self.random.choice((1, 100, 10000))))
        if len(self.sockets) > 20:
            self.sockets.pop(self.random.randrange(20)).close()
        return 0.01


class Slowloris(Peer):
    """Keeps requests to the status unfinished: it has few connections, so others have to wait."""

    name = "HTTP slowloris"

    def touches(self):
        return [{"kind": "health", "server": self.backend}]

    def step(self):
        if len(self.sockets) < 40:
            self.connect(0).sendall(b"GET /status.json HTTP/1.1\r\n")
            return 0.01
        for one in list(self.sockets):
            try:
                one.sendall(b"X-More: 1\r\n")
            except OSError:
                self.sockets.remove(one)
                one.close()
        return 0.2


class StatusFlood(Peer):
    """Asks for the status as fast as it is answered, and does not read every answer."""

    name = "flood of status requests"

    def touches(self):
        return [{"kind": "health", "server": self.backend}]

    def step(self):
        one = self.connect(0)
        path = self.random.choice((b"/metrics", b"/status.json"))
        one.sendall(b"GET " + path + b" HTTP/1.0\r\n\r\n")
        if self.random.random() < 0.7:
            while one.recv(65536):
                pass
            self.sockets.remove(one)
            one.close()
        elif len(self.sockets) > 10:
            self.sockets.pop(0).close()
        return 0.005


class MqttFlood(Peer):
    """A client of the broker that asks servers for everything, and badly."""

    name = "flood of MQTT requests"

    def touches(self):
        return [{"kind": "discovery"}]

    def prepare(self):
        self.client = mosquitto.Client(
            self.world.broker, v5=bool(self.random.getrandbits(1)), username="client",
            password="client's",
        )  # fmt: skip

    def step(self):
        for _ in range(20):
            payload = self.random.choice((
                self.random.randbytes(self.random.choice((1, 50, 5000))),
                f"camera/response/{self.random.getrandbits(32)}".encode(),
                b'{"response_topic": "camera/response/x", "correlation": "' + b"y" * 300 + b'"}',
                b"camcast/soak-epoll/status", b"#", b"commend",
            ))  # fmt: skip
            self.client.paho.publish(self.random.choice(("commend", "command/getIP")), payload)
        return 0.02

    def heal(self):
        super().heal()
        self.client.close()


class StalledCrowd(Peer):
    """Many viewers that come at once and never read."""

    name = "crowd of stalled viewers"

    def step(self):
        if len(self.sockets) < 150:
            self.connect(self.any_feed())
            return 0
        return 0.2


ALL = [ConnectFlood, Garbage, Slowloris, StatusFlood, MqttFlood, StalledCrowd]
