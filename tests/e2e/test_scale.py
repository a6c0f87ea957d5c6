# SPDX-License-Identifier: BSD-2-Clause
"""The configurations that docs/SCALE.md names, with the real Varnish and nginx: a thousand viewers,
and camcastd is asked for each object once."""
import asyncio
import collections
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time
import urllib.request
from urllib.parse import urljoin

import pytest

import harness
import hlsrules

VIEWERS = 1000
EXAMPLES = harness.ROOT / "examples"


class CountingRelay:
    """Passes connections on to camcastd, and counts the requests in them by path."""

    def __init__(self, port):
        self.target = port
        self.requests = collections.Counter()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            for ends, count in (((near, far), True), ((far, near), False)):
                threading.Thread(target=self._pass_on, args=(*ends, count), daemon=True).start()

    def _pass_on(self, source, sink, count):
        rest = b""
        try:
            while data := source.recv(65536):
                if count:
                    *lines, rest = (rest + data).split(b"\r\n")
                    for line in lines:
                        if match := re.match(rb"(?:GET|HEAD) (\S+) HTTP/1\.[01]$", line):
                            self.requests[match[1].decode()] += 1
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            sink.close()

    def close(self):
        self.listener.close()


@pytest.fixture
def start(tmp_path):
    running = []

    def run(port, *command):
        log = open(tmp_path / f"{command[0]}.log", "wb")
        running.append(
            harness.start(
                [str(word) for word in command],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        )
        deadline = time.monotonic() + 20 * harness.PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return port
            except OSError:
                text = (tmp_path / f"{command[0]}.log").read_text()
                assert running[-1].poll() is None and time.monotonic() < deadline, text
                time.sleep(0.05)

    yield run
    for process in running:
        process.terminate()
        process.wait(10 * harness.PATIENCE)


def start_varnish(start, folder, origin):
    if not shutil.which("varnishd"):
        pytest.skip("varnish is not installed")
    config = folder / "camcast.vcl"
    text = (EXAMPLES / "hls.vcl").read_text()
    config.write_text(text.replace('"8080"', f'"{origin}"'))
    port = harness.free_port()
    return start(
        port,
        *("varnishd", "-F", "-j", "none", "-n", folder / "varnish", "-a", f"127.0.0.1:{port}"),
        # The viewers of this test wait for each other, on machines of any speed.
        *("-f", config, "-s", "malloc,64m", "-p", "timeout_idle=60"),
    )


def start_nginx(start, folder, origin):
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    port = harness.free_port()
    site = (EXAMPLES / "hls-nginx.conf").read_text()
    site = site.replace("127.0.0.1:8080", f"127.0.0.1:{origin}")
    site = site.replace("/var/cache/nginx", str(folder)).replace("listen 80;", f"listen {port};")
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off; {user} worker_processes 1; worker_rlimit_nofile 4096; error_log stderr;\n"
        f"pid {folder}/nginx.pid; events {{ worker_connections 3000; }}\n"
        f"http {{ access_log off;\n{temporary}{site}}}\n"
    )
    return start(port, "nginx", "-p", folder, "-c", config)


async def request(reader, writer, path, host="cam.example"):
    """(status, body, time of the answer's end)."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    body = await reader.readexactly(int(length[1]))
    return int(head.split()[1]), body, time.monotonic()


async def ask_together(peers, path, *host):
    return await asyncio.wait_for(
        asyncio.gather(*(request(*peer, path, *host) for peer in peers)), 30 * harness.PATIENCE
    )


async def watch(port, viewers):
    """Viewers that ask for the same things at the same time; how late the last answers were, and
    the paths."""
    peers = []
    for _ in range(viewers):
        peers.append(await asyncio.open_connection("127.0.0.1", port))
    history = hlsrules.History()
    status, text, _ = await request(*peers[0], "/s.m3u8")
    assert status == 200
    playlist = history.add(text.decode())
    paths = []
    spreads = []
    for _ in range(3):
        msn, _ = playlist.next_wanted()
        for path in (f"/s.m3u8?_HLS_msn={msn + 1}", None):
            path = path or urljoin("/s.m3u8", playlist.hint)
            answers = await ask_together(peers, path)
            assert {answer[0] for answer in answers} == {200}, path
            assert len({answer[1] for answer in answers}) == 1, "different answers"
            times = sorted(answer[2] for answer in answers)
            spreads.append(times[-1] - times[0])
            paths.append(path)
            if "m3u8" in path:
                playlist = history.add(answers[0][1].decode())
                segment = playlist.finished[-1]
                for name in (segment.uri, segment.map):
                    paths.append(urljoin("/s.m3u8", name))
                    answers = await ask_together(peers[::10], paths[-1])
                    assert {answer[0] for answer in answers} == {200}, paths[-1]
    for _, writer in peers:
        writer.close()
    return spreads, paths


@pytest.mark.alone
@pytest.mark.parametrize("cache", [start_varnish, start_nginx])
def test_a_thousand_viewers_are_one_request_for_each_object(start_camcastd, start, tmp_path, cache):
    harness.allow_many_files()
    daemon = start_camcastd(harness.pattern_config(stream={"keyframe_interval": 30}))
    relay = CountingRelay(daemon.http_port)
    port = cache(start, tmp_path, relay.port)
    spreads, paths = asyncio.run(watch(port, VIEWERS))
    for path in paths:
        assert relay.requests[path] == 1, f"{path}: {relay.requests}"
    # Between the first answer and the last one of a thousand: the cache, and this test's own time.
    assert max(spreads) < 2 * harness.PATIENCE, spreads
    relay.close()


async def compare(direct, cached, viewers):
    """How much later than an answer of camcastd itself the last viewer behind the cache has it, for
    a few playlists that all of them wait for."""
    own = await asyncio.open_connection("127.0.0.1", direct)
    peers = [await asyncio.open_connection("127.0.0.1", cached) for _ in range(viewers)]
    history = hlsrules.History()
    playlist = history.add((await request(*own, "/s.m3u8", "127.0.0.1"))[1].decode())
    late = []
    for _ in range(9):
        msn, part = playlist.next_wanted()
        path = f"/s.m3u8?_HLS_msn={msn}&_HLS_part={part + 1}"
        answers = await ask_together([own, *peers], path, "127.0.0.1")
        assert {answer[0] for answer in answers} == {200}, path
        playlist = history.add(answers[0][1].decode())
        late.append(max(answer[2] for answer in answers[1:]) - answers[0][2])
    for _, writer in (own, *peers):
        writer.close()
    return late


@pytest.mark.alone
def test_varnish_answers_within_100_ms_of_the_picture(start_camcastd, start, tmp_path):
    daemon = start_camcastd(harness.pattern_config(stream={"keyframe_interval": 30}))
    port = start_varnish(start, tmp_path, daemon.http_port)
    late = asyncio.run(compare(daemon.http_port, port, 50))
    assert statistics.median(late) < 0.1 * harness.PATIENCE, late


@pytest.mark.parametrize("cache", [start_varnish, start_nginx])
def test_viewers_behind_a_cache_outlive_the_worker(start_camcastd, start, tmp_path, cache):
    daemon = start_camcastd(harness.pattern_config(stream={"keyframe_interval": 30}))
    port = cache(start, tmp_path, daemon.http_port)
    url = f"http://127.0.0.1:{port}/s.m3u8"
    history = hlsrules.History()
    refused = 0

    def ask():
        """The next playlist, as a low-latency player asks for it; None: the cache has no answer."""
        query = ""
        if history.newest:
            query = "?_HLS_msn={}&_HLS_part={}".format(*history.newest.next_wanted())
        try:
            with urllib.request.urlopen(url + query, timeout=30 * harness.PATIENCE) as answer:
                return history.add(answer.read().decode())
        except urllib.error.HTTPError as error:
            assert error.code in (503, 504), error
            time.sleep(0.2)  # players try again
            return None

    while len(ask().finished) < 3:
        pass
    os.kill(daemon.workers()[0], signal.SIGKILL)
    deadline = time.monotonic() + 30 * harness.PATIENCE
    while len({segment.discontinuity for segment in history.segments.values()}) < 2:
        assert time.monotonic() < deadline, "no discontinuity"
        refused += ask() is None
    # An error is not kept by the cache, and what the new playlist names is there.
    while not (playlist := ask()):
        refused += 1
    part = playlist.segments[-1].parts[-1] if playlist.segments[-1].parts else None
    for name in (playlist.segments[-1].map, part.uri if part else playlist.finished[-1].uri):
        with urllib.request.urlopen(urljoin(url, name), timeout=20 * harness.PATIENCE) as answer:
            assert answer.read()
    assert refused < 20 * harness.PATIENCE


@pytest.mark.parametrize("cache", [start_varnish, start_nginx])
def test_only_hls_is_passed_on(start_camcastd, start, tmp_path, cache):
    daemon = start_camcastd(harness.pattern_config())
    relay = CountingRelay(daemon.http_port)
    port = cache(start, tmp_path, relay.port)
    for path in ("/", "/status.json", "/s.mp4", "/s.m3u8/x", "/s/../status.json"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}")
    assert not relay.requests
    relay.close()
