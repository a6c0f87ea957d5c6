# SPDX-License-Identifier: BSD-2-Clause
"""The web page where something is missing. In a browser without Media Source Extensions, as old
iPhones, it plays HLS by itself; Chromium, which can do that too, stands for them. Behind a proxy
that lets no WebSocket through it offers the next simpler way."""
import contextlib
import gzip
import http.server
import json
import re
import threading
import urllib.error
import urllib.request

import pytest

import browser as browsers
import harness

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(bool(harness.SAN), reason="the browsers are not instrumented"),
]

MAIN = "/page/main.js"
# The page asks for them at its first stream, after this line.
HIDE = b"delete window.MediaSource; delete window.ManagedMediaSource;\n"


class Proxy(http.server.BaseHTTPRequestHandler):
    """A proxy to a camcastd that lets no WebSocket through, and may take Media Source Extensions
    from the page."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):  # noqa: N802
        headers = {k: v for k, v in self.headers.items() if k not in ("Connection", "Host")}
        request = urllib.request.Request(self.server.target + self.path, headers=headers)
        try:
            answer = urllib.request.urlopen(request, timeout=60 * harness.PATIENCE)
        except urllib.error.HTTPError as error:
            answer = error
        with contextlib.suppress(ConnectionError), answer:
            if self.server.hides and self.path == MAIN:
                text = gzip.compress(HIDE + gzip.decompress(answer.read()))
                self._head(answer, len(text))
                self.wfile.write(text)
                return
            self._head(answer, None)
            while piece := answer.read1(65536):
                self.wfile.write(piece)

    def _head(self, answer, length):
        self.send_response_only(answer.status)
        for key, value in answer.headers.items():
            if key not in ("Connection", "Content-Length") or length is None:
                self.send_header(key, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def proxy(port, hides):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.hides = hides
    server.target = f"http://127.0.0.1:{port}"
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def config():
    return {
        "daemon": {"name": "hls", "http": "127.0.0.1:0"},
        "camera one": {"source": "pattern", "size": "320x180", "framerate": 15},
        "stream one": {"camera": "one", "bitrate": 300000, "keyframe_interval": 15},
    }


def players(daemon):
    listed = json.loads(daemon.get("/api/viewers")[1])["viewers"]
    return [one for one in listed if one["transport"] == "hls"]


def test_without_mse_the_browser_plays_hls_by_itself(start_camcastd):
    daemon = start_camcastd(config())
    with browsers.Browser("chromium") as browser, proxy(daemon.http_port, hides=True) as address:
        page = browser.open(address)
        page.wait_live("one", 40)
        assert page.evaluate("'MediaSource' in window || 'ManagedMediaSource' in window") is False
        # What an iPhone needs to play within the page, and without a touch.
        video = "document.querySelector('video')"
        assert page.evaluate(f"{video}.playsInline && {video}.muted") is True
        assert page.evaluate(f"{video}.src").endswith("/one.m3u8")
        # Chromium may give up the playlist of a stream that has just begun, and is given it again.
        page.numbers("one", 12)
        assert page.facts("one")["transport"] == "hls"
        assert len(players(daemon)) == 1


def test_where_websockets_fail_the_next_simpler_way_is_offered(start_camcastd):
    daemon = start_camcastd(config())
    with browsers.Browser("chromium") as browser, proxy(daemon.http_port, hides=False) as address:
        page = browser.open(address)
        offer = "document.querySelector('.notice button:not([hidden])')"
        page.wait(f"{offer} !== null", "an offer", 40)
        assert page.facts("one")["transport"] == "mse"
        assert page.evaluate(f"{offer}.textContent") == "Use MSE over HTTP instead"
        page.evaluate(f"{offer}.click()")
        page.wait_live("one", 40)
        assert page.facts("one")["transport"] == "mse_http"
        page.numbers("one", 5)


def test_a_range_of_a_segment_is_answered_with_all_of_it(start_camcastd):
    """A player may ask for one; RFC 9110 clause 14.2 lets the server ignore it."""
    daemon = start_camcastd(config())
    address = f"http://127.0.0.1:{daemon.http_port}"

    def get(path, **headers):
        request = urllib.request.Request(address + path, headers=headers)
        with urllib.request.urlopen(request, timeout=60 * harness.PATIENCE) as answer:
            return answer.status, answer.read()

    names = re.findall(r"^(one/.*\.m4s)$", get("/one.m3u8")[1].decode(), re.M)
    whole = get(f"/{names[-1]}")
    assert whole[0] == 200 and len(whole[1]) > 1000
    assert get(f"/{names[-1]}", Range="bytes=0-1") == whole
