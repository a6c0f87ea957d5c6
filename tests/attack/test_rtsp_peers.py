# SPDX-License-Identifier: BSD-2-Clause
"""Peers that mean harm over RTSP, while somebody watches the same stream. Each fault is bounded, and
the one who watches misses no packet."""
import base64
import contextlib
import os
import re
import socket

import pytest

import flood
import harness
import packets
from clients import Viewer

# A busy machine may let the one who watches wait; no picture is shed for that.
LAG = {"shed_lag_ms": 8000, "max_lag_ms": 9000, "history_ms": 20000, "stall_timeout_ms": 3000}
TCP = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
NOISE_MAX = 64 << 10  # bytes that a peer may say within a minute


def config():
    stream = {"bitrate": 2000000, "max_clients": 60, **LAG}
    return harness.pattern_config(daemon={"rtsp": "127.0.0.1:0"}, stream=stream)


def request(method, target="rtsp://localhost/s", headers="", cseq=1):
    return f"{method} {target} RTSP/1.0\r\nCSeq: {cseq}\r\n{headers}\r\n".encode()


# Without DESCRIBE it would be a client of SAT>IP.
PLAY = request("DESCRIBE") + request("SETUP", headers=TCP, cseq=2) + request("PLAY", cseq=3)


class Watch(Viewer):
    """Plays over TCP, from an address of its own."""

    def __init__(self, port):
        super().__init__(port, source="127.0.0.8")
        self.socket.sendall(PLAY)

    def pictures(self):
        """Those that have come so far. Fails where a packet is missing."""
        data = bytes(self.data)
        answers = list(re.finditer(rb"\r\n\r\n", data[:4096]))[:3]
        at, reader = answers[2].end() if len(answers) == 3 else len(data), packets.Reader()
        while at + 4 <= len(data):
            assert data[at : at + 1] == b"$", data[at : at + 80]
            end = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
            if end <= len(data) and data[at + 1] == 0:
                reader.add(data[at + 4 : end])
            at = end
        return reader.pictures

    def wait_pictures(self, more):
        wanted = len(self.pictures()) + more
        self.wait(lambda watch: len(watch.pictures()) >= wanted, f"{more} pictures", 30)


class Peer:
    """An attacker's connection."""

    def __init__(self, port, receive_buffer=None, source="127.0.0.9"):
        self.socket = flood.connect(port, source, receive_buffer)
        self.heard = self.socket.makefile("rb")

    def answer(self):
        """The status of the next answer, behind what packets stand before it. 0: it is closed."""
        while (first := self.heard.read(1)) == b"$":
            self.heard.read(int.from_bytes(self.heard.read(3)[1:], "big"))
        if not first:
            return 0
        status = int(self.heard.readline().split()[1])
        length = 0
        while (line := self.heard.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.heard.read(length)
        return status

    def ask(self, *words, **more):
        self.socket.sendall(request(*words, **more))
        return self.answer()

    def play(self, headers=TCP):
        asked = self.ask("DESCRIBE") == 200 and self.ask("SETUP", headers=headers) == 200
        return asked and self.ask("PLAY") == 200

    def close(self):
        self.heard.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def send_all(peer, data):
    """As much as the server takes."""
    with contextlib.suppress(ConnectionError):
        peer.socket.sendall(data)


def wait_end(peer):
    with contextlib.suppress(ConnectionError):
        while peer.heard.read(1 << 16):
            pass


# --- what they do; each runs in a process of its own ---


def half_requests(port):
    """More than there are places; the newest are served all the same, also one of this address."""
    with contextlib.ExitStack() as stack:
        for i in range(200):
            peer = stack.enter_context(Peer(port))
            whole = request("SETUP", headers=TCP)
            send_all(peer, whole[: 1 + i % (len(whole) - 2)])
        last = stack.enter_context(Peer(port))
        assert last.ask("OPTIONS", "*") == 200


def numbers_of_requests(port):
    """Missing, wrong, repeated, and running backwards."""
    with Peer(port) as peer:
        for cseq, status in ("", 400), ("-1", 400), ("x", 400), ("99999999999", 400), ("7", 200), ("7", 200):
            assert peer.ask("OPTIONS", "*", cseq=cseq) == status
        many = b"".join(request("OPTIONS", "*", cseq=900 - i) for i in range(900))
        send_all(peer, many[: NOISE_MAX // 2])
        for _ in range(many[: NOISE_MAX // 2].count(b"\r\n\r\n")):
            assert peer.answer() == 200


def setups_of_nothing(port):
    with Peer(port) as peer:
        for target in "rtsp://localhost/none", "rtsp://localhost/", "rtsp://localhost/s/trackID=7", "*", "/%zz":
            assert peer.ask("SETUP", target, headers=TCP) == 404
        assert peer.ask("SETUP") == 400
        assert peer.ask("SETUP", headers="Transport: RTP/SAVP;unicast\r\n") == 461
        for method in "PLAY", "PAUSE", "TEARDOWN":
            assert peer.ask(method) == 455


def ten_thousand_setups(port):
    setup = request("SETUP", headers=TCP)
    for _ in range(25):
        with Peer(port) as peer:
            send_all(peer, setup * 400)
            assert [peer.answer() for _ in range(400)] == [200] * 400


def plays_and_pauses(port):
    """Again and again: first within the bound of what a peer may say, then beyond it."""
    with Peer(port) as peer:
        assert peer.play()
        for i in range(100):
            assert peer.ask("PLAY" if i % 3 else "PAUSE") == 200
        send_all(peer, (request("PAUSE") + request("PLAY")) * 2000)
        wait_end(peer)


def pauses_without_end(port):
    """Those who pause keep their places, and no more than those."""
    with contextlib.ExitStack() as stack:
        paused = [stack.enter_context(Peer(port)) for _ in range(70)]
        plays = [peer.play() and peer.ask("PAUSE") == 200 for peer in paused]
        assert 50 <= sum(plays) < 60, plays
        for _ in range(10):
            for peer, has_place in zip(paused, plays):
                assert not has_place or peer.ask("GET_PARAMETER") == 200


def frames_to_us(port):
    """Reports and anything else within the bound change nothing; beyond it the peer has to go."""
    report = b"$\x01\x00\x08\x80\xc9\x00\x01\x00\x00\x00\x01"
    with Peer(port) as peer:
        assert peer.play()
        for frame in report, b"$\x00\x00\x00", b"$\xff\x00\x05hello", b"$\x07\x10\x00" + bytes(4096):
            peer.socket.sendall(frame * 3)
            assert peer.ask("GET_PARAMETER") == 200
        send_all(peer, b"$\x09\xff\xff" + bytes(NOISE_MAX))
        wait_end(peer)


def sessions_of_others(port):
    with Peer(port) as owner, Peer(port) as thief:
        owner.socket.sendall(request("SETUP", headers=TCP))
        head = b"".join(iter(owner.heard.readline, b"\r\n"))
        session = re.search(rb"Session: (\w+)", head)[1].decode()
        assert thief.play()
        for name in session, "0000000000000000", "x" * 500:
            for method in "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER", "SETUP":
                assert thief.ask(method, headers=f"{TCP}Session: {name}\r\n") == 454, method
        assert owner.ask("PLAY", headers=f"Session: {session}\r\n") == 200
        assert owner.ask("TEARDOWN", headers=f"Session: {session}\r\n") == 200


def halves_of_tunnels(port):
    """Those that never pair hold no more than the places of those who do not play, for ten seconds."""

    def half(method, cookie, source="127.0.0.9"):
        peer = stack.enter_context(Peer(port, source=source))
        peer.socket.sendall(f"{method} /s HTTP/1.0\r\nx-sessioncookie: {cookie}\r\n\r\n".encode())
        return peer

    with contextlib.ExitStack() as stack:
        lonely = [half("GET", i) for i in range(200)]
        assert half("POST", "none").answer() == 404
        get = half("GET", "pair")
        assert get.answer() == 200
        assert half("POST", "pair", source="127.0.0.10").answer() == 404, "of another address"
        assert half("GET", "pair").answer() == 400
        half("POST", "pair").socket.sendall(base64.b64encode(request("OPTIONS", "*")))
        assert get.answer() == 200
        assert half("POST", "pair").answer() == 400, "the second one"
        for peer in lonely:
            wait_end(peer)


def viewers_that_read_nothing(port):
    """They are disconnected, as the watcher of the test would be."""
    with contextlib.ExitStack() as stack:
        lazy = [stack.enter_context(Peer(port, receive_buffer=4096)) for _ in range(30)]
        for peer in lazy:
            peer.socket.sendall(PLAY)
        for peer in lazy:  # an event, whenever it comes: the reset, with unread bytes in the way
            flood.wait_reset(peer.socket)


def closed_ports():
    """An even number of UDP, which nobody has, and neither the next one."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind(("", 0))
            number = first.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
                with contextlib.suppress(OSError):
                    second.bind(("", number + 1))
                    if number % 2 == 0:
                        return number


def ports_where_nobody_listens(port):
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(port)) for _ in range(20)]
        for peer in peers:
            number = closed_ports()
            assert peer.play(f"Transport: RTP/AVP;unicast;client_port={number}-{number + 1}\r\n")
        for peer in peers:
            wait_end(peer)


def sockets(daemon):
    """How many it has open. Files of its log come and go by themselves."""
    folder, found = f"/proc/{daemon.process.pid}/fd", 0
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
    return found


# How often the status counts it at least.
COUNTED = {
    half_requests: {"accepted": 201, "displaced": 70},
    numbers_of_requests: {"refused": 4},
    setups_of_nothing: {"refused": 10},
    ten_thousand_setups: {"accepted": 25},
    plays_and_pauses: {"noise": 1},
    pauses_without_end: {"refused": 10},
    frames_to_us: {"noise": 1},
    sessions_of_others: {"refused": 18},
    halves_of_tunnels: {"displaced": 70, "timed_out": 1, "refused": 4},
    viewers_that_read_nothing: {"accepted": 30},
    ports_where_nobody_listens: {"unheard": 20},
}


@pytest.mark.parametrize("attack", COUNTED, ids=lambda attack: attack.__name__)
def test_nobody_else_feels_it(camcastd, attack):
    daemon = camcastd(config())
    daemon.wait_log("delivers pictures")
    with Watch(daemon.rtsp_port) as watch:
        watch.wait_pictures(5)
        before = sockets(daemon)
        with flood.Flood(attack, daemon.rtsp_port) as attacker:
            attacker.wait()
        watch.wait_pictures(15)
        assert watch.closed is None
        daemon.wait_until(lambda: sockets(daemon) <= before, "the end of all that it opened")
        daemon.wait_until(lambda: len(daemon.status()["clients"]) == 1, "the one who watches, alone")
        counted = daemon.status()["rtsp"]
        assert all(counted[name] >= times for name, times in COUNTED[attack].items()), counted
        if attack in (plays_and_pauses, frames_to_us):
            daemon.wait_log(r"127\.0\.0\.9:\d+ sent more than 64 KiB within a minute")
        if attack is viewers_that_read_nothing:
            assert daemon.feed("s/rtp")["left"]["stalled"] == 30


def test_why_a_viewer_over_udp_left_is_counted(start_camcastd):
    settings = config()
    settings["daemon"]["max_clients"] = 2
    daemon = start_camcastd(settings)
    daemon.wait_log("delivers pictures")

    def counted(reason):
        return daemon.feed("s/rtp")["left"][reason] == 1

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink, contextlib.ExitStack() as stack:
        sink.bind(("127.0.0.9", 0))
        number = sink.getsockname()[1]
        for _ in range(2):
            peer = stack.enter_context(Peer(daemon.rtsp_port))
            assert peer.play(f"Transport: RTP/AVP;unicast;client_port={number}-{number}\r\n")
        watch = stack.enter_context(Watch(daemon.rtsp_port))
        watch.wait_pictures(1)
        daemon.wait_until(lambda: counted("displaced"), "the viewer whose place was taken")
        settings["daemon"]["deny"] = "127.0.0.9"
        daemon.reload(settings)
        daemon.wait_until(lambda: counted("not_allowed"), "the viewer who may not watch")


@contextlib.contextmanager
def served_at(lan, start_camcastd, address):
    """Its settings, the server, which listens there, and what opens connections to it."""
    settings = config()
    settings["daemon"]["rtsp"] = address
    with lan.host("10.77.0.1/24"), contextlib.ExitStack() as stack:
        daemon = start_camcastd(settings)

        def dial(to):
            one = stack.enter_context(socket.create_connection((to, daemon.rtsp_port)))
            one.settimeout(5 * harness.PATIENCE)
            return one

        yield settings, daemon, dial


def check_answered(peer):
    peer.sendall(request("OPTIONS", "*"))
    assert peer.recv(1) == b"R"


def check_gone(peer):
    with contextlib.suppress(ConnectionError):
        assert peer.recv(1) == b""


def test_one_address_has_half_of_the_places_of_those_who_do_not_play(lan, start_camcastd):
    with served_at(lan, start_camcastd, "10.77.0.1:0") as (_, daemon, dial):
        first = dial("10.77.0.1")
        peers = [dial("10.77.0.1") for _ in range(64)]
        check_gone(first)  # the oldest one gives its place
        check_answered(peers[0])
        counted = daemon.status()["rtsp"]
        assert counted["connections"] == 64 and counted["displaced"] == 1, counted


def test_sessions_of_this_machine_stay(lan, start_camcastd):
    """Also when they have all places, except for others of this machine."""
    with served_at(lan, start_camcastd, "0.0.0.0:0") as (settings, daemon, dial):
        peers = [dial("127.0.0.1") for _ in range(128)]
        assert dial("10.77.0.1").recv(100).startswith(b"RTSP/1.0 503 ")
        check_answered(peers[0])
        dial("127.0.0.1").sendall(request("OPTIONS", "*"))
        daemon.wait_until(lambda: daemon.status()["rtsp"]["displaced"] == 1, "a place")
        settings["daemon"]["deny"] = "10.77.0.1"
        daemon.reload(settings)
        check_gone(dial("10.77.0.1"))
        assert daemon.status()["rtsp"]["turned_away"] == 2
