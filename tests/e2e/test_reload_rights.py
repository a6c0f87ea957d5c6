# SPDX-License-Identifier: BSD-2-Clause
"""Rights change at SIGHUP: those of users, addresses and logins. Viewers that have no right any more
are disconnected, and no others."""
import base64
import contextlib
import http.client
import os
import socket

import pytest

import harness
from clients import Viewer
from reloads import TOKENS, HttpViewer, check_no_gap, config, undisturbed, users_in, with_camera

pytestmark = pytest.mark.one_backend


@pytest.fixture(name="user")
def fixture_user(tmp_path):
    return users_in(tmp_path)


def test_users_come_change_and_go(camcastd, user):
    here = {"allow": "127.0.0.0/8"}  # raw TCP stays open to this machine
    open_to_all = {"anonymous": "status"}
    daemon = camcastd(config(here, open_to_all, **{"user anna": user("anna")}))
    daemon.wait_flowing()

    def watch(name, token=None):
        return HttpViewer(daemon, "/s.h264", token or TOKENS[name])

    with undisturbed(daemon), watch("anna") as anna:
        anna.wait_units(3)
        with watch("bob") as stranger:
            stranger.wait(lambda v: b"HTTP/1.1 401" in v.data, "refusal")
        both = {"user anna": user("anna"), "user bob": user("bob")}
        daemon.reload(config(here, open_to_all, **both))
        with watch("bob") as bob:
            bob.wait_units(3)
            # Another token of one user ends what came with the old one, and nobody else.
            both["user bob"] = user("bob", "bob-fedcba9876543210")
            daemon.reload(config(here, open_to_all, **both))
            bob.wait_closed()
        with watch("bob") as stranger:
            stranger.wait(lambda v: b"HTTP/1.1 401" in v.data, "refusal")
        with watch("bob", "bob-fedcba9876543210") as bob:
            bob.wait_units(3)
            # Their order in the file means nothing; what they may see does.
            turned = {"user bob": dict(both["user bob"], streams="other"),
                      "user anna": both["user anna"]}
            daemon.reload(with_camera(config(here, open_to_all, **turned), "other"))
            bob.wait_closed()
        anna.wait_units(3)
        check_no_gap(anna)
        daemon.reload(config(here, open_to_all, **{"user bob": user("bob")}))
        anna.wait_closed()
        with watch("bob") as bob:
            bob.wait_units(3)
    assert daemon.part("feeds", "s/annexb")["left"]["not_allowed"] == 3


def test_many_who_leave_make_nobody_another_user(camcastd, user):
    """Of three users the first one goes, with more viewers than are closed at once: each of the
    others moves by one number, and by no more."""
    limits = {"max_clients": 200, "max_clients_per_ip": 200}
    users = {"user anna": user("anna"),
             "user boss": user("boss", "boss-0123456789abcdef", may="view, status"),
             "user bob": user("bob", streams="s")}
    boss = {"Authorization": "Bearer boss-0123456789abcdef"}
    daemon = camcastd(config(daemon=limits, **users), headers=boss)
    daemon.wait_flowing()

    def watch(token):
        return HttpViewer(daemon, "/s.h264", token)

    def not_allowed():
        return daemon.part("feeds", "s/annexb")["left"]["not_allowed"]

    with contextlib.ExitStack() as stack:
        bob = stack.enter_context(watch(TOKENS["bob"]))
        bob.wait_units(1)
        request = f"GET /s.h264 HTTP/1.0\r\nAuthorization: Bearer {TOKENS['anna']}\r\n\r\n"
        for _ in range(70):
            leaver = stack.enter_context(socket.create_connection(
                ("127.0.0.1", daemon.http_port), timeout=20 * harness.PATIENCE))
            leaver.sendall(request.encode())
            assert leaver.recv(12) == b"HTTP/1.1 200"
        other = stack.enter_context(watch("boss-0123456789abcdef"))
        other.wait_units(1)
        del users["user anna"]
        daemon.reload(config(daemon=limits, **users))
        assert not_allowed() == 70
        bob.wait_units(3)
        other.wait_units(3)
        # The next one shows which user each of them is: only the boss may still watch.
        users["user bob"] = dict(users["user bob"], streams="other")
        daemon.reload(with_camera(config(daemon=limits, **users), "other"))
        bob.wait_closed()
        other.wait_units(3)
        assert not other.closed and not_allowed() == 71


def test_the_first_user_closes_the_server(camcastd, user):
    daemon = camcastd(config())
    daemon.wait_flowing()
    daemon.headers = {"Authorization": f"Bearer {TOKENS['anna']}"}
    with Viewer(daemon.port()) as raw, HttpViewer(daemon, "/s.h264") as http:
        raw.wait_units(2)
        http.wait_units(2)
        daemon.reload(config(**{"user anna": user("anna", may="view, status")}))
        raw.wait_closed()
        http.wait_closed()
    daemon.reload(config())
    with Viewer(daemon.port()) as raw:
        raw.wait_units(2)


def test_a_login_outlives_a_reload_but_not_its_password(camcastd, tmp_path):
    password = tmp_path / "password"

    def section(text):
        password.write_text(text)
        password.chmod(0o600)
        return {"user anna": {"password_file": password, "may": "view, status"}}

    basic = base64.b64encode(b"anna:first").decode()
    daemon = camcastd(config(**section("first")), headers={"Authorization": f"Basic {basic}"})
    def request(path, method="GET", **headers):
        one = http.client.HTTPConnection("127.0.0.1", daemon.http_port,
                                         timeout=10 * harness.PATIENCE)
        with contextlib.closing(one):
            one.request(method, path, "{}" if method == "POST" else None, headers)
            answer = one.getresponse()
            answer.read()
            return answer.status, answer.headers

    status, headers = request("/api/login", "POST", **daemon.headers,
                              **{"Content-Type": "application/json"})
    assert status == 200
    cookie = headers["Set-Cookie"].split(";")[0]
    assert request("/status.json", Cookie=cookie)[0] == 200
    daemon.reload(config(daemon={"max_clients": 9}, **section("first")))
    assert request("/status.json", Cookie=cookie)[0] == 200
    daemon.reload(config(**section("second")))
    assert request("/status.json", Cookie=cookie)[0] == 401


def test_addresses_that_are_denied_leave(camcastd):
    daemon = camcastd(config())
    daemon.wait_flowing()
    with undisturbed(daemon), Viewer(daemon.port(), source="127.0.0.2") as raw, \
            HttpViewer(daemon, "/s.h264", source="127.0.0.2") as http, \
            Viewer(daemon.port(), source="127.0.0.3") as third:
        for viewer in (raw, http, third):
            viewer.wait_units(2)
        daemon.reload(config(daemon={"deny": "127.0.0.2"}))
        raw.wait_closed()
        http.wait_closed()
        third.wait_units(2)
        daemon.reload(config(stream={"allow": "127.0.0.1"}))
        third.wait_closed()
        with Viewer(daemon.port(), source="127.0.0.2") as viewer:
            viewer.wait_closed()
            assert not viewer.data


def test_who_waits_for_a_picture_and_may_not_see_it_any_more_gets_none(camcastd, tmp_path):
    """The camera of the stream delivers its first picture when all is over."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = with_camera(config(), "other", {"source": f"pipe:{pipe}"}, codec="mjpeg",
                       encoder="copy")
    del text["stream other"]["annexb"], text["stream other"]["sei"]
    daemon = camcastd(text)
    daemon.wait_flowing()

    def ask(source):
        return HttpViewer(daemon, "/other.jpg", source=source)

    with ask("127.0.0.1") as friend, ask("127.0.0.2") as stranger, \
            HttpViewer(daemon, "/s.m3u8", source="127.0.0.2") as player:
        # The connection of a player of HLS is that of a viewer of another stream.
        player.wait(lambda v: b"#EXT-X-PRELOAD-HINT" in v.data, "a playlist")
        player.socket.sendall(b"GET /other.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        daemon.wait_until(lambda: daemon.get("/api/viewers")[0] == 200, "the requests")
        assert not friend.closed and not stranger.closed
        text["stream other"]["deny"] = "127.0.0.2"
        daemon.reload(text)
        stranger.wait_closed()
        assert not stranger.data
        player.wait_closed()
        assert player.data.count(b"HTTP/1.1 ") == 1
        assert not friend.closed or b"200 OK" in friend.data or b"503" in friend.data


def test_a_request_that_is_refused_costs_a_viewer_over_rtsp_nothing(camcastd, user):
    rtsp = {"rtsp": "127.0.0.1:0"}
    users = {"user anna": user("anna", may="view, status")}
    daemon = camcastd(config(daemon=rtsp, **users),
                      headers={"Authorization": f"Bearer {TOKENS['anna']}"})
    daemon.wait_flowing()
    with Viewer(daemon.rtsp_port) as viewer:
        def ask(method, number, token, more=""):
            bearer = f"Authorization: Bearer {token}\r\n" if token else ""
            position = len(viewer.data)
            viewer.socket.sendall(f"{method} rtsp://127.0.0.1:{daemon.rtsp_port}/s RTSP/1.0\r\n"
                                  f"CSeq: {number}\r\n{bearer}{more}\r\n".encode())
            answer = f"\r\nCSeq: {number}\r\n".encode()
            viewer.wait(lambda v: answer in v.data[max(0, position - 64):], f"answer to {method}")
            return int(viewer.data.rpartition(b"RTSP/1.0 ")[2][:3])

        transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        assert ask("DESCRIBE", 101, TOKENS["anna"]) == 200
        assert ask("SETUP", 102, TOKENS["anna"], transport) == 200
        assert ask("PLAY", 103, None) == 200
        assert ask("DESCRIBE", 104, "wrong-0123456789abcdef") == 401
        ask("DESCRIBE", 105, None)
        daemon.reload(with_camera(config(daemon=rtsp, **users), "other"))
        viewer.wait_bytes(len(viewer.data) + 50000)
        assert not viewer.closed
        # It still is that user's.
        daemon.reload(config(daemon=rtsp, **{"user bob": user("bob", may="view, status")}))
        viewer.wait_closed()


def test_a_viewer_over_rtsp_stays_or_leaves(camcastd):
    rtsp = {"rtsp": "127.0.0.1:0"}
    daemon = camcastd(config(daemon=rtsp))
    daemon.wait_flowing()

    def play():
        peer = socket.create_connection(("127.0.0.1", daemon.rtsp_port),
                                        timeout=20 * harness.PATIENCE)
        stream = peer.makefile("rb")
        url = f"rtsp://127.0.0.1:{daemon.rtsp_port}/s"
        for number, (method, to, more) in enumerate([
            ("DESCRIBE", url, ""),
            ("SETUP", f"{url}/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
            ("PLAY", url, ""),
        ]):
            peer.sendall(f"{method} {to} RTSP/1.0\r\nCSeq: {number}\r\n{more}\r\n".encode())
            assert b"200" in stream.readline(), method
            length = 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)
        return peer, stream

    def packets(stream, count):
        for _ in range(count):
            assert stream.read(1) == b"$"
            _, high, low = stream.read(3)
            assert len(stream.read(high << 8 | low)) == high << 8 | low

    peer, stream = play()
    with peer, stream:
        packets(stream, 20)
        daemon.reload(with_camera(config(daemon=rtsp), "other"))
        packets(stream, 200)
        daemon.reload(config(stream={"deny": "127.0.0.1"}, daemon=rtsp))
        with contextlib.suppress(ConnectionError):
            while stream.read(4096):
                pass
    assert daemon.part("feeds", "s/rtp")["clients"] == 0
