# SPDX-License-Identifier: BSD-2-Clause
"""HLS as a camera whose playlist names a second server: what that one gets, and how it is checked;
and what a server may send at all."""
import contextlib
import http.server
import ssl
import threading

import pytest

import certificates
import clients
import harness
import live

pytestmark = pytest.mark.one_backend

SECRET = "Tr0ub4dor"
CAMERA, OTHER = "127.0.0.1", "127.0.0.2"
ENDLESS = (b"\x47\x1f\xff\x10" + bytes(184)) * 1000  # null packets of MPEG-TS, again and again


@pytest.fixture(name="segment", scope="module")
def fixture_segment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segment")
    path = folder / "pattern.ts"
    recording = live.pattern_file(folder, seconds=1)
    harness.output_of("ffmpeg", "-nostdin", "-v", "error", "-i", recording, "-c", "copy", path)
    return path.read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.server.bodies.get(self.path.partition("?")[0])
        if self.server.asks and "Authorization" not in self.headers:
            body = b""
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
        elif self.path in self.server.leads:
            body = b""
            self.send_response(302)
            self.send_header("Location", self.server.leads[self.path])
        else:
            self.server.heads.append((self.path, str(self.headers)))
            self.send_response(200 if body else 404)
        if body != ENDLESS:
            self.send_header("Content-Length", str(len(body or b"")))
        self.send_header("Set-Cookie", f"session={self.server.cookie}; path=/")
        self.end_headers()
        self.wfile.write(body or b"")
        while body == ENDLESS:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """bodies: of paths. heads: (path, fields) of all requests so far that were answered. asks: only
    somebody with a password is. leads: from a path to another URL. cookie: what each answer sets."""

    def __init__(self, address, bodies, signed=None, cookie=SECRET):
        self.bodies, self.heads, self.asks, self.leads = bodies, [], False, {}
        self.cookie = cookie
        super().__init__(address, Handler)
        if signed:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*signed)
            # The handshake is that of the thread of the connection.
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def handle_error(self, *_):
        pass  # a client that does not like the certificate


@contextlib.contextmanager
def servers(segment, scheme, signed=(None, None)):
    """That of a playlist, and another one, both on one port, as the sandbox allows no second one. The
    playlist names a part of each server in turn."""
    with contextlib.ExitStack() as stack:
        port = harness.free_port(CAMERA, OTHER)
        camera = Server((CAMERA, port), {"/own.ts": segment}, signed[0])
        other = Server((OTHER, port), {"/other.ts": segment}, signed[1], "other")
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:1"]
        for number in range(4):
            part = f"{scheme}://{OTHER}:{port}/other.ts?{number}" if number % 2 else f"own.ts?{number}"
            lines += ["#EXT-X-DISCONTINUITY", "#EXTINF:1.0,", part]
        camera.bodies["/x.m3u8"] = "\n".join([*lines, "#EXT-X-ENDLIST", ""]).encode()
        for server in (camera, other):
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        yield camera, other


def test_secrets_go_to_the_server_of_the_playlist_only(start_camcastd, segment):
    with servers(segment, "http") as (camera, other):
        camera.asks = True
        where = f"url:http://anna:{SECRET}@{CAMERA}:{camera.server_address[1]}/x.m3u8"
        options = {"url_options": f'"headers=X-Secret: {SECRET}"'}
        daemon = start_camcastd(live.config(where, camera=options))
        with clients.Viewer(daemon.port()) as viewer:
            live.wait_pictures(viewer, 80, timeout=60)  # of three parts
        own = [head for path, head in camera.heads if path.startswith("/own.ts")]
        assert own and all(f"X-Secret: {SECRET}" in head for head in own)
        assert all("Authorization: Basic" in head for head in own)
        foreign = [head for path, head in other.heads if path.startswith("/other.ts")]
        assert foreign
        for head in foreign:
            fields = {line.partition(":")[0].lower() for line in head.splitlines() if line}
            assert SECRET not in head and not fields & {"authorization", "cookie", "x-secret"}, head


def test_each_server_gets_its_own_cookies(start_camcastd, segment):
    with servers(segment, "http") as (camera, other):
        where = f"url:http://{CAMERA}:{camera.server_address[1]}/x.m3u8"
        daemon = start_camcastd(live.config(where))
        with clients.Viewer(daemon.port()) as viewer:
            live.wait_pictures(viewer, 80, timeout=60)  # of three parts
        own = [head for path, head in camera.heads if path.startswith("/own.ts")]
        assert len(own) > 1 and all(f"Cookie: session={SECRET}\n" in head for head in own), own
        assert not [head for _, head in other.heads if "Cookie:" in head]


@pytest.mark.parametrize("trusted", [True, False])
def test_the_certificate_of_the_other_server_is_checked(trusted, start_camcastd, segment, tmp_path):
    authority = certificates.Authority(tmp_path / "authority")
    stranger = certificates.Authority(tmp_path / "stranger", trusted=False)
    signs = authority if trusted else stranger
    signed = authority.sign("camera"), signs.sign("other", names=f"IP:{OTHER}")
    with servers(segment, "https", signed) as (camera, other):
        where = f"url:https://{CAMERA}:{camera.server_address[1]}/x.m3u8"
        options = {"url_options": f"ca_file={authority.certificate}"}
        daemon = start_camcastd(live.config(where, camera=options))
        with clients.Viewer(daemon.port()) as viewer:
            live.wait_pictures(viewer, 80 if trusted else 40, timeout=60)
        assert bool(other.heads) == trusted, other.heads


def test_a_redirect_from_https_to_http_gives_no_picture(start_camcastd, segment, tmp_path):
    authority = certificates.Authority(tmp_path / "authority")
    with servers(segment, "https", (authority.sign("camera"), None)) as (camera, other):
        port = camera.server_address[1]
        camera.leads["/pictures"] = f"http://{OTHER}:{port}/other.ts"
        options = {"url_options": f"ca_file={authority.certificate}"}
        where = f"url:https://{CAMERA}:{port}/pictures"
        daemon = start_camcastd(live.config(where, camera=options))
        daemon.wait_log("the server redirects to another scheme", timeout=60)
        assert daemon.feed()["units"] == 0 and other.heads


def serve_playlist(stack, bodies, *lines):
    """A server with these bodies, and a playlist of these lines behind its head."""
    server = Server((CAMERA, 0), bodies)
    head = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:1"]
    server.bodies["/x.m3u8"] = "\n".join([*head, *lines, ""]).encode()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"url:http://{CAMERA}:{server.server_address[1]}/x.m3u8"


def test_segments_without_a_picture_end_the_connection(start_camcastd):
    with contextlib.ExitStack() as stack:
        lines = ["#EXTINF:1.0,", "endless.ts", "#EXTINF:1.0,", "endless.ts"]
        where = serve_playlist(stack, {"/endless.ts": ENDLESS}, *lines)
        daemon = start_camcastd(live.config(where))
        daemon.wait_log("64 MiB without a picture", timeout=60)
        assert daemon.camera()["restarts"] == 0


def test_a_playlist_without_end_is_refused(start_camcastd):
    with contextlib.ExitStack() as stack:
        where = serve_playlist(stack, {}, *["#EXTINF:1.0,\na.ts"] * 20001)
        daemon = start_camcastd(live.config(where))
        daemon.wait_log(r"/\.\.\.: a playlist of HLS is too long; camcast tries", timeout=60)
        assert daemon.camera()["restarts"] == 0


def test_the_log_shows_no_token_of_a_segment(start_camcastd):
    with contextlib.ExitStack() as stack:
        lines = ["#EXTINF:1.0,", f"garbage.ts?token={SECRET}", "#EXT-X-ENDLIST"]
        where = serve_playlist(stack, {"/garbage.ts": b"no pictures" * 1000}, *lines)
        daemon = start_camcastd(live.config(where))
        daemon.wait_log(r"libav: .*'http://127.0.0.1:\d+/\*\*\*'", timeout=60)
        assert SECRET not in daemon.log()
