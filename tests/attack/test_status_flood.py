# SPDX-License-Identifier: BSD-2-Clause
"""Peers that keep the status server from others: by idle connections, by asking without end, and
by the name of another site (DNS rebinding)."""
import contextlib
import json
import os
import time
from concurrent import futures

import pytest

import flood
import harness
from fakes import FEED, fake_config, words
from flood import Flood
from test_peers import check_no_gap


def request(daemon, text, source=None):
    """The status line and body of an answer."""
    with flood.connect(daemon.http_port, source) as one:
        one.sendall(text)
        answer = b""
        while more := one.recv(1 << 16):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


def test_idle_connections_do_not_keep_monitoring_out(camcastd):
    """Idle connections take all places, and more try: each request is still answered, at once."""
    daemon = camcastd(fake_config(), env=words())
    with contextlib.ExitStack() as stack:
        for number in range(40):
            one = stack.enter_context(flood.connect(daemon.http_port, f"127.0.0.{2 + number % 2}"))
            if number % 3 == 0:
                one.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        daemon.wait_flowing(FEED)
        assert request(daemon, b"GET /healthz HTTP/1.0\r\n\r\n")[0] == "HTTP/1.1 200 OK"


def test_a_request_has_two_seconds(camcastd):
    daemon = camcastd(fake_config(), env=words())
    begun = time.monotonic()
    with flood.connect(daemon.http_port) as one:
        one.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        assert one.recv(1) == b""
    assert 1.5 < time.monotonic() - begun < 2 + 2 * harness.PATIENCE


def test_a_long_status_is_made_four_times_a_second(camcastd):
    """However many ask for it without end: all who wait share the next text."""
    daemon = camcastd(fake_config(), env=words(fps=1, gop=1))
    texts = []

    def ask(until):
        while time.monotonic() < until:
            _, body = request(daemon, b"GET /status.json HTTP/1.0\r\n\r\n")
            texts.append(json.loads(body)["uptime_s"])

    with contextlib.ExitStack() as stack:
        for _ in range(100):  # those of one turn of the loop are 64
            stack.enter_context(flood.connect(daemon.port(FEED)))
        daemon.wait_until(lambda: daemon.status()["clients_total"] == 100, "100 viewers")
        begun = time.monotonic()
        with futures.ThreadPoolExecutor() as pool:
            for one in [pool.submit(ask, begun + 2) for _ in range(8)]:
                one.result()
        took = time.monotonic() - begun
    assert len(set(texts)) < len(texts)
    assert len(set(texts)) <= 2 + 4 * took


@pytest.mark.alone
def test_asking_for_a_long_status_leaves_no_gap(camcastd):
    """Another viewer of a stream with 1,000 of them: gaps of 223 ms were seen."""
    harness.allow_many_files()
    daemon = camcastd(
        fake_config(daemon={"max_clients": 1100}), env=words(fps=100, gop=1, size=100)
    )
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(flood.connect(daemon.port(FEED)))
        daemon.wait_until(lambda: daemon.status()["clients_total"] == 1000, "1000 viewers", 30)
        check_no_gap(daemon, flood.ask, daemon.http_port, "/status.json", 2)
        assert len(daemon.status()["clients"]) == 1000


def test_an_answer_is_never_older_than_its_request(camcastd):
    """All who ask at the same time share a text, which is made after they asked."""
    daemon = camcastd(fake_config(), env=words())
    with Flood(flood.ask, daemon.http_port, "/status.json", 60):
        for _ in range(5):
            before = daemon.status()["uptime_s"]
            begun = time.monotonic()
            time.sleep(0.05)
            assert daemon.status()["uptime_s"] - before >= 0.05
            assert time.monotonic() - begun < 2 * harness.PATIENCE


HOST = "GET /status.json HTTP/1.0\r\nHost: {}\r\n\r\n"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8080", "localhost.evil"])
def test_the_name_of_another_site_is_refused(camcastd, host):
    daemon = camcastd(fake_config(), env=words())
    line, body = request(daemon, HOST.format(host).encode())
    assert line == "HTTP/1.1 421 Misdirected Request" and b"http_hosts" in body


def test_the_names_of_this_machine_are_answered(camcastd):
    daemon = camcastd(fake_config(daemon={"http_hosts": "cam.example.org, cam"}), env=words())
    own = os.uname().nodename.split(".")[0]
    for host in ["127.0.0.1", "[::1]:80", "localhost", own, f"{own}.local:8080", "CAM.example.org"]:
        line, body = request(daemon, HOST.format(host).encode())
        assert line == "HTTP/1.1 200 OK" and json.loads(body)["name"] == "test"
    line, _ = request(daemon, b"GET /status.json HTTP/1.0\r\n\r\n")  # no Host
    assert line == "HTTP/1.1 200 OK"
