# SPDX-License-Identifier: BSD-2-Clause
"""The JSON API and the files of the web page, as docs/API.md describes them; and that it describes
every path."""
import contextlib
import gzip
import json
import re
import socket
import time
import urllib.error
import urllib.request

import pytest

import clients
import fakes
import harness


def request(daemon, path, body=None, method=None, **headers):
    """(status, headers, body) of an answer. body: text or bytes of a POST."""
    url = f"http://127.0.0.1:{daemon.http_port}{path}"
    data = body.encode() if isinstance(body, str) else body
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    question = urllib.request.Request(url, data, names, method=method)
    try:
        with urllib.request.urlopen(question, timeout=5 * harness.PATIENCE) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def get(daemon, path):
    status, headers, body = request(daemon, path)
    assert (status, headers["Content-Type"]) == (200, "application/json"), body
    return json.loads(body)


def post(daemon, path, body, **headers):
    """(status, error text or None)"""
    headers.setdefault("Content_Type", "application/json")
    status, _, answer = request(daemon, path, json.dumps(body), **headers)
    return status, json.loads(answer).get("error")


def test_every_path_is_described():
    page = (harness.ROOT / "docs/API.md").read_text()
    table, ways = ((harness.ROOT / f"src/daemon/site/{name}.c").read_text() for name in ("site", "ways"))
    paths = re.findall(r'\{"(/[^"]*)", \w+, \w+, handle_', table)
    # Files of the page alone; what docs/ONVIF.md has; patterns of what follows.
    others = ("/page/", "/login", "/onvif/", "/*.*", "/*/...")
    paths = [path for path in paths if not path.startswith(others)]
    paths += re.findall(r'\{"(/[\w.]*)", (?:NULL|"\w+"), "\w+"\}', table)
    paths += [f"/STREAM.{end}" for end in re.findall(r'\{"\w+", "(\w+)", CONFIG_FRAMING', ways)]
    assert len(paths) > 25
    for path in paths:
        name = path.replace("/*.", "/STREAM.").replace("*", "NAME")
        assert re.search(rf"[` ]{re.escape(name)}[`?]", page), path


def test_cameras_are_described_with_urls_and_the_clock(camcastd):
    daemon = camcastd(harness.pattern_config())
    daemon.wait_flowing()
    before = time.monotonic_ns() // 1000
    body = get(daemon, "/api/cameras")
    assert before <= body["clock"]["monotonic_us"] <= time.monotonic_ns() // 1000
    assert abs(body["clock"]["realtime_us"] / 1e6 - time.time()) < 10
    assert body["server"]["name"] == "test" and body["server"]["control"] is False
    (camera,) = body["cameras"]
    assert (camera["name"], camera["state"], camera["problem"]) == ("cam", "running", "")
    assert (camera["width"], camera["height"]) == (320, 180)
    stream = camera["streams"][0]
    assert (stream["name"], stream["codec"], stream["active"]) == ("s", "h264", True)
    assert stream["urls"]["ws"] == "/s.ws" and stream["urls"]["mjpeg"] == "/s.mjpg"
    assert stream["tcp"] == [
        {"framing": "annexb", "address": "127.0.0.1", "port": daemon.port(),
         "scheme": "tcp"}
    ]


def test_the_codec_is_known_once_the_mp4_is_watched(start_camcastd):
    daemon = start_camcastd(harness.pattern_config())
    url = f"http://127.0.0.1:{daemon.http_port}/s.mp4"
    with urllib.request.urlopen(url, timeout=10 * harness.PATIENCE) as movie:
        head = movie.read(1000)
        at = head.index(b"avcC") + 5
        (camera,) = get(daemon, "/api/cameras")["cameras"]
        assert camera["streams"][0]["codec_string"] == "avc1." + head[at : at + 3].hex()


def test_viewers_are_listed_in_pages(start_camcastd):
    # Two pictures a second: 205 threads in one Python program cannot read more in time.
    daemon = start_camcastd(harness.pattern_config({"max_clients": 300}, {"framerate": 2}))
    with_viewers = [clients.Viewer(daemon.port()) for _ in range(205)]
    daemon.wait_until(lambda: daemon.status()["clients_total"] == 205, "205 viewers")
    first = get(daemon, "/api/viewers?stream=s")
    assert (len(first["viewers"]), first["omitted"]) == (200, 5)
    rest = get(daemon, "/api/viewers?from=200")
    assert (len(rest["viewers"]), rest["omitted"]) == (5, 0)
    # The order changes with each unit, so that a page may name a viewer again, and leave one out.
    listed = {one["address"] for one in first["viewers"] + rest["viewers"]}
    assert listed <= {one.address for one in with_viewers} and len(listed) >= 200
    assert {(one["stream"], one["transport"]) for one in first["viewers"]} == {("s", "tcp")}
    assert request(daemon, "/api/viewers?stream=other")[0] == 404
    for one in with_viewers:
        one.close()


def test_each_transport_has_its_name(start_camcastd):
    config = harness.pattern_config()
    config["stream j"] = {"camera": "cam", "codec": "mjpeg", "on_demand": True}
    daemon = start_camcastd(config)
    base = f"http://127.0.0.1:{daemon.http_port}"
    expected = {"tcp": "annexb", "h264": "annexb", "mp4": "mp4", "ts": "mpegts", "ws": "mp4_ws",
                "mjpg": "multipart"}
    with contextlib.ExitStack() as stack:
        raw = clients.Viewer(daemon.port())
        stack.callback(raw.close)
        for path in ("/s.h264", "/s.mp4", "/s.ts", "/s.mjpg"):
            stack.enter_context(urllib.request.urlopen(base + path, timeout=20 * harness.PATIENCE))
        web = stack.enter_context(socket.create_connection(("127.0.0.1", daemon.http_port)))
        web.sendall(
            "GET /s.ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        viewers = lambda: get(daemon, "/api/viewers")["viewers"]  # noqa: E731
        daemon.wait_until(lambda: len(viewers()) == len(expected), "a viewer of each kind")
        assert {one["transport"]: one["framing"] for one in viewers()} == expected
        assert {one["transport"] for one in daemon.status()["clients"]} == set(expected)


def test_a_bitrate_is_set_and_a_camera_restarted(start_camcastd):
    daemon = start_camcastd(harness.pattern_config(daemon={"control": True}))
    daemon.wait_flowing()
    assert post(daemon, "/api/streams/s/bitrate", {"bitrate": 600000}) == (200, None)
    daemon.wait_until(lambda: daemon.stream()["target_bitrate"] == 600000, "bitrate")
    status, why = post(daemon, "/api/streams/s/bitrate", {"bitrate": 5})
    assert status == 400 and "10000 to 200000000" in why
    assert post(daemon, "/api/cameras/cam/restart", {}) == (200, None)
    daemon.wait_until(lambda: daemon.camera()["restarts"] == 1, "restart")
    assert post(daemon, "/api/cameras/cam/restart", {})[0] == 429
    # The pattern has no controls.
    assert get(daemon, "/api/cameras/cam/controls")["controls"] == []
    assert post(daemon, "/api/cameras/cam/controls", {"brightness": 1})[0] == 409
    for path in ("/api/streams/t/bitrate", "/api/cameras/t/restart", "/api/none"):
        assert post(daemon, path, {})[0] == 404
    for body in ("", "[]", "{", '"x"', '{"bitrate": "a"}', '{"bitrate": 1e999}', "\0" * 4000):
        status, _, answer = request(
            daemon, "/api/streams/s/bitrate", body, Content_Type="application/json", method="POST"
        )
        assert status == 400 and json.loads(answer)["error"], body
    assert request(daemon, "/api/cameras", "{}")[0] == 405
    assert request(daemon, "/api/cameras/cam/restart")[0] == 405


def test_controls_of_a_camera_are_set(camcastd):
    """The heartbeat of the worker has the values that it was given."""
    config = fakes.fake_config(daemon={"control": True})
    config["camera cam"] = {"source": "libcamera:fake", "contrast": 1.5}
    daemon = camcastd(config, env=fakes.words())
    daemon.wait_flowing(fakes.FEED)
    path = "/api/cameras/cam/controls"
    controls = {one["name"]: one for one in get(daemon, path)["controls"]}
    assert controls["contrast"]["value"] == "1.5"
    brightness = controls["brightness"]
    assert brightness["type"] == "number" and brightness["min"] == -1 and brightness["max"] == 1
    assert "value" not in brightness
    wrong = ({"brightness": 2}, {"brightness": "x"}, {"none": 1}, {"brightness": 0.5, "none": 1})
    for body in wrong:
        assert post(daemon, path, body)[0] == 400
    assert post(daemon, path, {"brightness": 0.25}) == (200, None)
    daemon.wait_until(lambda: daemon.camera()["camera_reason"] == "0.25", "the worker's answer")
    controls = {one["name"]: one for one in get(daemon, path)["controls"]}
    assert controls["brightness"]["value"] == "0.25"


def test_pages_of_other_sites_change_nothing(start_camcastd):
    path = "/api/streams/s/bitrate"
    daemon = start_camcastd(harness.pattern_config())
    assert post(daemon, path, {"bitrate": 600000})[0] == 403
    assert daemon.status()["access"]["refused"] == 1
    daemon = start_camcastd(harness.pattern_config(daemon={"control": True}))
    own = f"http://127.0.0.1:{daemon.http_port}"
    for origin in ("http://evil.example", "null", "http://127.0.0.1", f"{own}1"):
        assert post(daemon, path, {"bitrate": 600000}, Origin=origin)[0] == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        assert post(daemon, path, {"bitrate": 600000}, Content_Type=kind)[0] == 415
    daemon.wait_until(lambda: daemon.stream()["target_bitrate"] == 1000000, "encoder")
    kind = "application/json; charset=utf-8"
    assert post(daemon, path, {"bitrate": 600000}, Origin=own, Content_Type=kind)[0] == 200


def test_the_page_allows_no_foreign_frames_and_scripts(start_camcastd):
    daemon = start_camcastd(harness.pattern_config())
    folder = harness.ROOT / "src/web"
    served = 0
    for file in folder.iterdir():
        path = "/" if file.name == "index.html" else f"/page/{file.name}"
        status, headers, body = request(daemon, path)
        assert status == 200 and headers["Content-Encoding"] == "gzip"
        text = gzip.decompress(body)
        source = file.read_bytes()
        # Comments and blanks are left out, and nothing else.
        if file.suffix in (".js", ".css"):
            assert not re.search(rb"^\s|//\s|/\*", text, re.MULTILINE)
            source = re.sub(rb"/\*.*?\*/", b"", source, flags=re.DOTALL)
            source = re.sub(rb"(^|\s+)//(\s.*)?$", b"", source, flags=re.MULTILINE)
            source = re.sub(rb"\n\s+", b"\n", source)
            assert b"".join(text.split()) == b"".join(source.split())
            for kept in (rb"[\w$]+", rb"'[^'\n]*'", rb"`[^`]*`"):
                assert re.findall(kept, text) == re.findall(kept, source), file
        else:
            assert text == source
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        served += len(text)
    assert served < 60_000, "the page has become large"
    for query in ("?embed=1", "?camera=cam&embed=1", "?embed"):
        policy = request(daemon, f"/{query}")[1]["Content-Security-Policy"]
        assert policy.endswith("frame-ancestors *")
    for query in ("?embedded=1", "?camera=embed", "?x=embed=1"):
        policy = request(daemon, f"/{query}")[1]["Content-Security-Policy"]
        assert policy.endswith("frame-ancestors 'none'")
    for path in ("/page/", "/page/none.js", "/page/../main.js", "/page/%2e%2e/main.js"):
        assert request(daemon, path)[0] in (400, 404)


@pytest.mark.parametrize("path", ["/api/cameras", "/api/viewers", "/"])
def test_head_is_answered_without_a_body(start_camcastd, path):
    daemon = start_camcastd(harness.pattern_config())
    status, headers, body = request(daemon, path, method="HEAD")
    assert status == 200 and int(headers["Content-Length"]) > 0 and body == b""
