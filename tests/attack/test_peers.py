# SPDX-License-Identifier: BSD-2-Clause
"""Peers that want to hurt the viewers of a feed: by coming, leaving and talking in crowds."""
import base64
import contextlib
import http.client
import math
import os
import time

import pytest

import flood
import harness
from clients import Viewer
from fakes import FEED, fake_config, parse_units, words
from flood import Flood

# Longer than a picture at 100 pictures a second, and shorter than a person sees.
GAP_MS = 25 * harness.PATIENCE


class Watch:
    """A viewer that reads everything, and the longest time for which nothing came to it."""

    def __init__(self, daemon):
        self.viewer = Viewer(daemon.port(FEED), source="127.0.0.8")
        self.viewer.wait(lambda one: len(parse_units(one.data)) > 20, "units")

    def __enter__(self):
        self._from = len(self.viewer.arrivals)
        return self

    def __exit__(self, *_):
        self.viewer.close()
        assert self.viewer.closed is None

    def gap_ms(self):
        times = [when for when, _ in self.viewer.arrivals[self._from :]]
        return max(after - before for before, after in zip(times, times[1:])) / 1000


@contextlib.contextmanager
def before_others(*pids):
    """The first threads of these processes, and this thread with those that it starts, run before
    all others, so that a busy machine makes no gap: where that is allowed. Nice values order only
    the threads of a session (sched(7), autogroup), and each camcastd here has one of its own."""
    try:
        for pid in pids:
            reset = os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(pid, os.SCHED_RR | reset, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pass
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture
def fast(camcastd):
    """A daemon with 100 pictures a second."""
    harness.allow_many_files()

    def start(**keys):
        daemon = camcastd(
            fake_config(daemon={"max_clients": 4000, **keys}), env=words(fps=100, size=4000)
        )
        daemon.wait_flowing(FEED)
        return daemon

    return start


def check_no_gap(daemon, *attack):
    """One viewer sees no gap during the attack. A machine that stops for other reasons gets two
    more tries."""
    gaps = []
    with before_others(daemon.process.pid, *daemon.workers()):
        for _ in range(3):
            with Watch(daemon) as watch, Flood(*attack) as attacker:
                attacker.wait()
                gaps.append(watch.gap_ms())
            if gaps[-1] < GAP_MS:
                return
    raise AssertionError(f"gaps of {gaps} ms")


def test_a_crowd_that_is_reset_together_leaves_no_gap(fast):
    daemon = fast()
    check_no_gap(daemon, flood.come_and_go, daemon.port(FEED), 2000, 1)
    daemon.wait_until(lambda: daemon.feed(FEED)["clients"] == 0, "no client")


@pytest.mark.parametrize("endpoint", ["feed", "http"])
def test_connections_at_full_speed_leave_no_gap(fast, endpoint):
    daemon = fast()
    port = daemon.port(FEED) if endpoint == "feed" else daemon.http_port
    check_no_gap(daemon, flood.knock, port, 1.5, b"GET /" if endpoint == "http" else b"")


# --- places ---


def test_one_address_does_not_keep_all_places(camcastd):
    """A newcomer gets the place of the greediest address's newest viewer; the others stay, and the
    greedy address gets no place back."""
    daemon = camcastd(fake_config(daemon={"max_clients": 10}), env=words())
    with contextlib.ExitStack() as stack:
        greedy = [
            stack.enter_context(Viewer(daemon.port(FEED), source="127.0.0.9")) for _ in range(10)
        ]
        daemon.wait_until(lambda: daemon.feed(FEED)["clients"] == 10, "10 viewers")
        with Viewer(daemon.port(FEED), source="127.0.0.8") as newcomer:
            newcomer.wait(lambda one: len(parse_units(one.data)) > 5, "units")
            greedy[9].wait_closed()
            with Viewer(daemon.port(FEED), source="127.0.0.9") as again:
                again.wait_closed()
                assert not again.data
            newcomer.wait(lambda one: len(parse_units(one.data)) > 10, "units")
            assert newcomer.closed is None
        assert [one.closed for one in greedy[:9]] == [None] * 9
        assert daemon.feed(FEED)["left"]["displaced"] == 1


def test_addresses_share_the_places(camcastd):
    daemon = camcastd(fake_config(daemon={"max_clients": 12}), env=words())
    with contextlib.ExitStack() as stack:
        viewers = [
            stack.enter_context(Viewer(daemon.port(FEED), source=f"127.0.0.{address}"))
            for address in (9, 8, 7)
            for _ in range(12)
        ]
        daemon.wait_until(
            lambda: len([one for one in viewers if not one.closed]) == 12, "12 that stay"
        )
        counts = {}
        for client in daemon.status()["clients"]:
            host = client["address"].rpartition(":")[0]
            counts[host] = counts.get(host, 0) + 1
        assert sorted(counts.values()) == [4, 4, 4]


# --- noise ---


def test_a_viewer_that_sends_without_end_is_disconnected(camcastd):
    daemon = camcastd(fake_config(), env=words())
    with Viewer(daemon.port(FEED)) as quiet, Viewer(daemon.port(FEED)) as loud:
        quiet.socket.send(bytes(40000))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                loud.socket.send(bytes(4096))
        loud.wait_closed()
        quiet.wait(lambda one: len(parse_units(one.data)) > 20, "units")
        assert quiet.closed is None
        assert daemon.feed(FEED)["left"]["noise"] == 1
    daemon.wait_log(r"client 127\.0\.0\.1:\d+ sent more than 64 KiB within a minute")


def test_a_loud_crowd_leaves_no_gap(fast):
    daemon = fast()
    check_no_gap(daemon, flood.talk, daemon.port(FEED), 200, 1.5)


# --- passwords ---


@pytest.mark.alone
def test_ten_thousand_wrong_passwords_leave_no_gap(camcastd):
    """100 addresses guess at once. Few of their passwords are hashed, and a user gets in."""
    result = harness.run([harness.BUILD / "camcast", "passwd"], input="secret\n")
    config = fake_config({"allow": "127.0.0.8"}, daemon={"anonymous": "status"})
    config["user anna"] = {"password": result.stdout.strip()}
    daemon = camcastd(config, env=words(fps=100, size=4000))
    daemon.wait_flowing(FEED)
    begun = time.monotonic()
    check_no_gap(daemon, flood.guess, daemon.http_port, 100, 100)
    took = time.monotonic() - begun
    access = daemon.status()["access"]
    assert access["wrong"] + access["slowed"] + access["busy"] >= 9000
    # Five at once, then one after 1, 2, 4... seconds.
    assert access["checks"] <= 3 * 100 * (6 + math.log2(1 + took))
    log = [line for line in daemon.log() if "wrong password" in line]
    assert len(log) <= 2 + took and not [line for line in log if "secret" in line]
    word = base64.b64encode(b"anna:secret").decode()
    one = http.client.HTTPConnection(
        "127.0.0.1", daemon.http_port, 10 * harness.PATIENCE, ("127.0.0.8", 0)
    )
    with contextlib.closing(one):
        one.request("GET", "/api/cameras", headers={"Authorization": f"Basic {word}"})
        assert one.getresponse().status == 200


# --- the log ---


def test_peers_cannot_fill_the_log(camcastd):
    """Whatever strangers do at full speed, each kind of event is a line a second at most."""
    daemon = camcastd(
        fake_config({"stall_timeout_ms": 1000}, daemon={"max_clients": 5, "max_clients_per_ip": 5}),
        env=words(),
    )
    daemon.wait_flowing(FEED)
    begun, before = time.monotonic(), daemon.log_position()
    for say in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", bytes(70000)):
        with Flood(flood.knock, daemon.port(FEED), 0.7, say) as attacker:
            attacker.wait()
    for say in (b"", b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"\x16\x03", b"$"):
        with Flood(flood.knock, daemon.http_port, 0.7, say) as attacker:
            attacker.wait()
    kinds = 6  # refused, displaced, noise, stalled, a foreign protocol, the fd table
    assert len(daemon.log()) - before <= kinds * (2 + time.monotonic() - begun)
