# SPDX-License-Identifier: BSD-2-Clause
"""/status.json, /metrics and /healthz, and an HTTP server that nobody can hold up."""
import calendar
import json
import os
import re
import signal
import socket
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

import harness
from clients import Viewer
from fakes import FEED, check_units, fake_config, parse_units, wait_workers, words


def raw(daemon, request, timeout=15):
    """Returns the answer of the server to these bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", daemon.http_port), timeout=timeout) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def metrics(daemon):
    """{family: [samples]} by Prometheus' own parser."""
    code, text = daemon.get("/metrics")
    assert code == 200
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families, family, name=None, **labels):
    (found,) = [
        sample.value
        for sample in families[family].samples
        if sample.name == (name or family) and labels.items() <= sample.labels.items()
    ]
    return found


# --- status.json ---


def test_the_status_tells_all_that_it_should(camcastd, backend):
    daemon = camcastd(fake_config(), env=words())
    with Viewer(daemon.port(FEED)) as viewer:
        wait_workers(viewer, 1)
        daemon.wait_until(lambda: daemon.camera()["frames"] > 0, "a second heartbeat")
        status = daemon.status()
        assert status["version"] and status["uptime_s"] > 0 and status["backend"] == backend
        assert status["pid"] == daemon.process.pid
        assert status["healthy"] is True
        assert status["client_bytes"] <= 1024

        camera = daemon.camera()
        assert camera["state"] == "running" and camera["camera_state"] == "running"
        assert camera["source"] == "pattern" and camera["allocator"] == "memfd"
        assert camera["fps"] == 50 and camera["frames"] > 0
        assert camera["restarts"] == 0 and camera["reason"] == ""
        assert [camera["pid"]] == daemon.workers()

        stream = daemon.stream()
        assert stream["camera"] == "cam" and stream["codec"] == "h264"
        assert stream["encoder"] == "fake" and stream["fps"] == 50
        assert stream["bitrate"] == 50 * 2000 * 8
        assert stream["idr_requests"] <= 1  # the join before the first key unit

        received = len(parse_units(viewer.data))
        feed = daemon.feed(FEED)
        assert feed["stream"] == "s" and feed["framing"] == "length_prefixed"
        assert feed["port"] == daemon.port(FEED)
        assert feed["units"] >= received > 0
        assert feed["bytes"] == feed["units"] * 2000
        assert 0 < feed["log_bytes"] <= feed["bytes"] and feed["segments"] >= 1
        assert feed["clients"] == 1 and feed["accepted"] == 1
        assert feed["dropped"] == {"lag": 0, "shed": 0, "gap": 0}
        assert feed["sends"] > 0  # units of 2000 bytes are below the threshold
        loop = daemon.status()["loop"]
        assert feed["sends"] <= loop["sends"] and feed["sendfiles"] <= loop["sendfiles"]
        assert 0 < feed["sent_bytes"] <= feed["bytes"]

        (client,) = [one for one in status["clients"] if one["feed"] == FEED]
        assert client["address"] == viewer.address
        assert client["state"] == "live" and client["lag_ms"] < 1000
        assert client["sent"] > 0 and client["dropped"] == 0 and client["resyncs"] == 0
        since = calendar.timegm(time.strptime(client["since"], "%Y-%m-%dT%H:%M:%SZ"))
        assert -2 < time.time() - since < 60
        assert status["clients_omitted"] == 0


def test_every_field_of_the_status_is_documented(start_camcastd):
    """docs/STATUS.md names each key of each object, each metric, and no other."""
    text = (harness.ROOT / "docs/STATUS.md").read_text()
    config = fake_config()
    config["mqtt"] = {"broker": "spawn", "port": harness.free_port()}
    stream = next(keys for section, keys in config.items() if section.startswith("stream "))
    stream["push"] = "rtmp://127.0.0.1:1/app/key"
    daemon = start_camcastd(config, env=words(fault="exit-at-once"))
    daemon.wait_until(lambda: daemon.camera()["state"] == "backoff", "a failure")
    keys = {}

    def walk(path, node):
        if isinstance(node, dict):
            keys.setdefault(path, set()).update(node)
            for key, item in node.items():
                walk(f"{path}.{key}".lstrip("."), item)
        elif isinstance(node, list):
            for item in node:
                walk(path, item)

    walk("", daemon.status())
    # Present only at times.
    keys["feeds"].add("last_unit_ms")
    keys["mqtt"] |= {"retry_in_ms", "key"}
    keys["cameras"].add("retry_in_ms")
    keys["clients"] = {"feed", "address", "state", "lag_ms", "delay_ms", "sent", "dropped", "shed",
                       "resyncs", "since", "transport", "encryption", "lost_packets",
                       "loss_permille", "jitter_ms", "packets", "receivers"}
    keys["pushes"].add("retry_in_ms")
    real = {f"{path}.{key}".lstrip(".") for path, names in keys.items() for key in names}
    documented = set(re.findall(r"(?m)^\| `([a-z0-9_.]+)` \|", text))
    assert documented == real
    families = {
        name if family.type == "gauge" else f"{name}_total"
        for name, family in metrics(daemon).items()
    }
    assert set(re.findall(r"`(camcast_[a-z_]+)", text)) == families


def test_a_slow_client_s_drops_are_counted(camcastd):
    """30 KB units at 50 a second, read at a tenth of the rate."""
    daemon = camcastd(
        fake_config({"shed_lag_ms": 600, "max_lag_ms": 900}), env=words(size=30000, segment=1 << 20)
    )
    with Viewer(daemon.port(FEED), rate=150000, receive_buffer=65536) as viewer:
        daemon.wait_until(lambda: daemon.feed(FEED)["resyncs"] >= 1, "a resync", 20)
        feed = daemon.feed(FEED)
        (client,) = daemon.status()["clients"]
        # The rest of a unit that was taken in part may be short enough to be copied.
        assert feed["sendfiles"] > feed["sends"]
        assert feed["dropped"]["lag"] > 0 and client["resyncs"] >= 1 and client["dropped"] > 0
        families = metrics(daemon)
        assert value(
            families, "camcast_feed_units_dropped", "camcast_feed_units_dropped_total",
            feed=FEED, reason="lag",
        ) >= feed["dropped"]["lag"]
        check_units(parse_units(viewer.data), complete=False)


def test_a_thousand_clients_are_listed_and_the_others_counted(start_camcastd):
    """1,100 connections that read nothing; the answer has them all, listed or counted."""
    harness.allow_many_files()
    daemon = start_camcastd(fake_config(daemon={"max_clients": 1100}), env=words())
    sockets = [
        socket.create_connection(("127.0.0.1", daemon.port(FEED))) for _ in range(1100)
    ]
    daemon.wait_until(lambda: daemon.feed(FEED)["clients"] == 1100, "1100 clients", 30)
    status = daemon.status()
    assert len(status["clients"]) == 1000 and status["clients_omitted"] == 100
    assert status["clients_total"] == 1100
    for one in sockets:
        one.close()


# --- metrics ---


def test_prometheus_can_read_the_metrics(camcastd):
    daemon = camcastd(fake_config(), env=words())
    daemon.wait_flowing(FEED, 5)
    families = metrics(daemon)
    for name, family in families.items():
        assert name.startswith("camcast_")
        assert family.documentation and family.type in ("counter", "gauge"), name
        assert family.samples, f"{name} has no sample"
        for sample in family.samples:
            # A metric that only grows is a counter and ends in _total; no other one does.
            assert (family.type == "counter") == sample.name.endswith("_total"), sample
        labels = [tuple(sorted(sample.labels.items())) for sample in family.samples]
        assert len(set(labels)) == len(labels), f"{name} has a sample twice"
    assert value(families, "camcast_info", backend=daemon.status()["backend"]) == 1
    assert value(families, "camcast_healthy") == 1
    assert value(families, "camcast_camera_up", camera="cam") == 1
    assert value(families, "camcast_stream_active", stream="s") == 1
    units = value(families, "camcast_feed_units", "camcast_feed_units_total", feed=FEED)
    assert 5 <= units <= daemon.feed(FEED)["units"]


def test_metrics_survive_a_worker_s_strange_words(start_camcastd):
    """Quotes, control characters, bad UTF-8, and a character cut in two."""
    daemon = start_camcastd(fake_config(), env=words(fault="strange-text"))
    daemon.wait_until(lambda: daemon.camera()["camera_reason"], "a reason")
    assert daemon.camera()["camera_reason"] == 'a "b" \\c?d ?e \u00e9?'
    assert daemon.camera()["restarts"] == 0
    assert metrics(daemon)


# --- health ---


def test_health_follows_the_pictures(camcastd, tmp_path):
    daemon = camcastd(fake_config(), env=words())
    daemon.wait_flowing(FEED)
    assert daemon.get("/healthz") == (200, "ok\n")
    # Each new worker is stopped as soon as it is seen, also between the two requests.
    deadline = time.monotonic() + 30 * harness.PATIENCE
    while True:
        assert time.monotonic() < deadline
        answer = daemon.get("/healthz")
        if answer[0] != 200 and value(metrics(daemon), "camcast_healthy") == 0:
            break
        for pid in daemon.workers():
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
    silent = re.match(r"stream s: no picture for (\d+\.\d) s", answer[1])
    assert 3 <= float(silent[1]) < 3 + harness.PATIENCE, answer
    daemon.wait_until(lambda: daemon.get("/healthz")[0] == 200, "health", 20)


def test_a_stream_that_never_came_is_unhealthy(start_camcastd):
    daemon = start_camcastd(
        fake_config(daemon={"capture": "/nonexistent/camcast-capture"}), env=words()
    )
    code, text = daemon.get("/healthz")
    assert code == 503
    assert text == (
        "stream s: no picture yet: cannot start /nonexistent/camcast-capture: "
        "No such file or directory\n"
    )


# --- the server ---


def status_line(answer):
    return answer.split(b"\r\n")[0].decode()


@pytest.fixture
def daemon(start_camcastd):
    return start_camcastd(fake_config(), env=words())


@pytest.mark.parametrize(
    "request_, line",
    [
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"GET /status.jsonx HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"GET /STATUS.JSON HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"GET /healthz?x=1#y HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK"),
        (b"GET http://localhost:80/healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK"),
        (b"GET //healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405 Method Not Allowed"),
        (b"DELETE /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        (b"CONNECT host:80 HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        (b"BREW /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 501 Not Implemented"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP/1.1 400 Bad Request"),
        (b"GET /healthz HTTP/9.9.9\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"GET /healthz HTTP/1.1\r\nA\0b: c\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n\r\n", "HTTP/1.1 414 URI Too Long"),
        (b"GET /" + b"a" * 6000 + b" HTTP/1.1\r\n\r\n", "HTTP/1.1 414 URI Too Long"),
        (
            b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
            "HTTP/1.1 431 Request Header Fields Too Large",
        ),
    ],
)
def test_requests_are_answered_by_the_book(daemon, request_, line):
    daemon.wait_until(lambda: daemon.get("/healthz")[0] == 200, "health")
    answer = raw(daemon, request_.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
    assert status_line(answer) == line
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    assert int(re.search(rb"Content-Length: (\d+)", head)[1]) == len(body)
    assert (b"\r\nAllow: GET, HEAD" in head) == ("405" in line)


def test_head_has_the_length_and_no_body(daemon):
    head = raw(daemon, b"HEAD /status.json HTTP/1.0\r\n\r\n")
    assert status_line(head) == "HTTP/1.1 200 OK" and head.endswith(b"\r\n\r\n")
    assert int(re.search(rb"Content-Length: (\d+)", head)[1]) > 100


def test_a_request_may_come_byte_by_byte(daemon):
    with socket.create_connection(("127.0.0.1", daemon.http_port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert connection.recv(1000).startswith(b"HTTP/1.1 ")


def test_who_asks_and_does_not_read_holds_up_nobody(start_camcastd):
    """600 clients make an answer larger than the socket buffers of one that does not read."""
    daemon = start_camcastd(fake_config(), env=words())
    sockets = [socket.create_connection(("127.0.0.1", daemon.port(FEED))) for _ in range(600)]
    daemon.wait_until(lambda: daemon.feed(FEED)["clients"] == 600, "600 clients")
    asking = []
    for _ in range(8):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", daemon.http_port))
        one.sendall(b"GET /status.json HTTP/1.1\r\n\r\n")
        asking.append(one)
    with Viewer(daemon.port(FEED)) as viewer:
        viewer.wait(lambda one: len(parse_units(one.data)) > 50, "a second of units", 10)
    assert json.loads(daemon.get("/status.json")[1])["clients_total"] >= 600
    for one in asking + sockets:
        one.close()


def test_without_http_there_is_none(start_camcastd):
    daemon = start_camcastd(fake_config(daemon={"http": ""}), env=words(), wait=False)
    daemon.wait_until(lambda: FEED in daemon.ports, "a feed")
    with Viewer(daemon.port(FEED)) as viewer:
        check_units(wait_workers(viewer, 1))
    assert daemon.http_port is None
