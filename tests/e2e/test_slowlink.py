# SPDX-License-Identifier: BSD-2-Clause
"""tests/e2e/lib/slowlink.py, the slow cable on which faults of the soak rest."""
import contextlib
import hashlib
import os
import socket
import threading
import time

import pytest

import clients
import harness
import slowlink

NEAR, FAR = "10.79.0.1", "10.79.0.2"


@pytest.fixture
def hosts(lan):
    if why := slowlink.why_unavailable(lan.switch):
        pytest.skip(why)
    return [lan.host(f"{address}/24") for address in (NEAR, FAR)]


@pytest.fixture
def slow(hosts):
    """Makes the cable of the far host slow; a context manager."""

    @contextlib.contextmanager
    def make(**how):
        link = slowlink.SlowLink(hosts[1], **how)
        try:
            yield
        finally:
            link.close()

    return make


@pytest.fixture
def pair(hosts):
    """A connection: (its end at the near host, its end at the far one)."""
    with hosts[0]:
        listener = socket.create_server((NEAR, 0))
    with hosts[1]:
        there = socket.create_connection(listener.getsockname(), 30)
    here, _ = listener.accept()
    here.settimeout(30)
    with listener, here, there:
        yield here, there


def transfer(sender, receiver, data):
    """Returns the seconds until all of it arrived, intact."""
    begun = time.monotonic()
    thread = threading.Thread(target=sender.sendall, args=(data,))
    thread.start()
    got = bytearray()
    while len(got) < len(data):
        got += receiver.recv(65536)
    thread.join()
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    return time.monotonic() - begun


def test_what_the_host_receives_is_late_until_the_end(pair, slow):
    with slow(delay_ms=80):
        assert 80 <= clients.round_trip_ms(*reversed(pair)) < 80 + 20 * harness.PATIENCE
    assert clients.round_trip_ms(*reversed(pair)) < 40


def test_what_the_host_receives_is_limited_in_rate(pair, slow):
    here, there = pair
    with slow(rate_kbit=2000):
        # 2 Mbit/s carry 250 kB a second with headers; what the host sends is not limited.
        assert transfer(here, there, os.urandom(200_000)) > 0.7
        assert transfer(there, here, os.urandom(200_000)) < 0.7 * harness.PATIENCE


def test_what_is_lost_arrives_by_retransmission(pair, slow, hosts):
    here, there = pair
    with slow(loss=10, seed=1):
        transfer(here, there, os.urandom(300_000))
    assert hosts[0].count("TcpRetransSegs") > 0


def test_a_kernel_without_tap_devices_is_recognized(hosts, monkeypatch):
    monkeypatch.setattr(slowlink, "TUN", "/dev/net/there-is-none")
    assert "No such file or directory" in slowlink.why_unavailable(hosts[0].switch)
