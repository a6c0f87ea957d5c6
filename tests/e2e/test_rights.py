# SPDX-License-Identifier: BSD-2-Clause
"""Who may watch: addresses and users, on every way of watching."""
import contextlib
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time

import pytest

import harness
from clients import Viewer
from users import IN_URL, PASSWORD, TOKEN, WATCHER, basic, config, make_hash

pytestmark = pytest.mark.one_backend

JSON = {"Content-Type": "application/json"}


def ask(daemon, path, source=None, host="127.0.0.1", method="GET", headers=None, body=None):
    """(status, headers) of an answer, whose body may be endless; None: the connection was closed
    without one."""
    source = (source, 0) if source else None
    one = http.client.HTTPConnection(host, daemon.http_port, 10 * harness.PATIENCE, source)
    with contextlib.closing(one):
        try:
            one.request(method, path, body, headers or {})
            answer = one.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            return None
        return answer.status, answer.headers


def status_of(*arguments, **options):
    answer = ask(*arguments, **options)
    return answer and answer[0]


# --- addresses ---


def test_an_address_that_is_not_allowed_sees_nothing(camcastd):
    daemon = camcastd(config(daemon={"allow": "127.0.0.0/30, ::1", "deny": "127.0.0.2"}))
    daemon.wait_flowing()
    assert status_of(daemon, "/", source="127.0.0.1") == 200
    assert status_of(daemon, "/", source="127.0.0.3") == 200
    for source in ("127.0.0.2", "127.0.0.4"):
        assert ask(daemon, "/", source=source) is None
        with Viewer(daemon.port(), source=source) as viewer:
            viewer.wait_closed()
            assert not viewer.data
    with Viewer(daemon.port(), source="127.0.0.3") as viewer:
        viewer.wait_units(5)
    assert daemon.feed()["refused"]["not_allowed"] == 2
    assert daemon.status()["http"]["turned_away"] == 2
    daemon.wait_log(r"client 127\.0\.0\.2:\d+ refused \(not_allowed\)")


def test_a_stream_has_its_own_addresses(camcastd):
    daemon = camcastd(config(stream={"allow": "127.0.0.1"}))
    daemon.wait_flowing()
    paths = [f"/s.{ending}" for ending in ("h264", "mp4", "ts", "m3u8", "ws", "mjpg", "jpg")]
    for path in [*paths, "/s/0/init-1.mp4"]:
        assert status_of(daemon, path, source="127.0.0.2") == 403, path
        assert status_of(daemon, path, source="127.0.0.1") != 403, path
    assert status_of(daemon, "/j.mjpg", source="127.0.0.2") == 200
    with Viewer(daemon.port(), source="127.0.0.2") as viewer:
        viewer.wait_closed()
        assert not viewer.data


def test_local_follows_the_interfaces(lan, start_camcastd):
    server, near, far = lan.host("10.9.0.1/24"), lan.host("10.9.0.2/24"), lan.host("10.8.0.2/24")
    far.ip("route", "add", "10.9.0.0/24", "dev", "eth0")
    server.ip("route", "add", "10.8.0.0/24", "dev", "eth0")
    with server:
        daemon = start_camcastd(config(daemon={"http": "0.0.0.0:0", "allow": "local"}))

    def reaches(host):
        with host:
            return status_of(daemon, "/healthz", host="10.9.0.1") is not None

    assert reaches(server) and reaches(near) and not reaches(far)
    server.add("10.8.0.1/24")
    daemon.wait_until(lambda: reaches(far), "the new network")
    server.ip("addr", "del", "10.8.0.1/24", "dev", "eth0")
    server.ip("route", "replace", "10.8.0.0/24", "dev", "eth0")
    daemon.wait_until(lambda: not reaches(far), "the network that is gone")
    assert reaches(near)


@pytest.mark.parametrize("key", ["allow", "deny"])
def test_a_range_that_is_none_is_a_mistake(tmp_path, key):
    path = tmp_path / "c.ini"
    path.write_text(harness.config_text(config(daemon={key: "192.168.1.0/33"})))
    result = harness.run([harness.BUILD / "camcastd", "--check", "-c", path])
    assert result.returncode != 0
    assert f"{key} = 192.168.1.0/33 is not allowed; allowed: at most 32 of" in result.stderr


# --- users ---


def url_of(daemon, path, user="anna", password=IN_URL):
    return f"http://{user}:{password}@127.0.0.1:{daemon.http_port}{path}"


def routes():
    """(path, right for GET, right for POST) of every route, from the table in site.c; a pattern of
    streams stands for each way to watch one."""
    text = (harness.ROOT / "src/daemon/site/site.c").read_text()
    rows = re.findall(r'\{"(/[^"]*)", (\w+), (\w+), (handle_\w+)\}', text)
    assert len(rows) >= 20
    ways = (harness.ROOT / "src/daemon/site/ways.c").read_text()
    endings = re.findall(r'\{"\w+", "(\w+)", CONFIG_FRAMING', ways)
    assert {"h264", "mp4", "m3u8", "ws", "mjpg", "jpg"} <= set(endings)
    for pattern, get, post, handler in rows:
        if handler == "handle_stream":
            yield from ((f"/{name}.{one}", get, post) for name in "sj" for one in endings)
        elif handler == "handle_hls":
            yield from ((f"/s/0/{name}", get, post) for name in ("init-1.mp4", "s-0.m4s", "x"))
        else:
            name = "s" if "streams" in pattern else "main.js" if "page" in pattern else "cam"
            yield pattern.replace("*", name), get, post
    yield from (("/?action=stream", "VIEW", "0"), ("/?action=snapshot", "VIEW", "0"))
    yield from (("/nothing", "VIEW", "VIEW"), ("/api/nothing", "VIEW", "0"), ("//s.jpg", "VIEW", "VIEW"))


RIGHTS = {"VIEW": "view", "STATUS": "status", "CONTROL": "control"}


def test_every_path_needs_its_right(camcastd, users):
    daemon = camcastd(config(daemon={"anonymous": "nothing"}, **users), headers=WATCHER)
    for path, get, post in routes():
        for method in ("GET", "HEAD"):
            status = status_of(daemon, path, method=method)
            assert (status == 401) == (get != "ANYBODY"), (method, path, status)
        status = status_of(daemon, path, method="POST", body="{}", headers=JSON)
        if post in RIGHTS:
            assert status == 401, (path, status)
        for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
            assert status_of(daemon, path, method=method) == 405, (method, path)
    assert daemon.process.poll() is None


@pytest.mark.parametrize("right", ["view", "status", "control"])
def test_a_right_opens_its_paths_and_no_others(start_camcastd, hashed, right):
    one = {"user anna": {"password": hashed, "may": right}}
    daemon = start_camcastd(config(**one))
    daemon.wait_log("delivers pictures")
    assert status_of(daemon, "/login", headers=basic("anna")) == 200
    for path, get, post in routes():
        wanted = RIGHTS.get(get) == right or get == "ANYBODY"
        status = status_of(daemon, path, headers=basic("anna"))
        assert (status not in (401, 403)) == wanted, (path, status)
        if post in RIGHTS and RIGHTS[post] != right:
            status = status_of(daemon, path, method="POST", body="{}", headers={**JSON, **basic("anna")})
            assert status == 403, (path, status)


def test_a_user_sees_no_streams_of_others(camcastd, users):
    daemon = camcastd(config(**users), headers=WATCHER)
    daemon.wait_log("delivers pictures")
    assert status_of(daemon, "/j.jpg", headers=basic("guest")) == 200
    for path in ("/s.mp4", "/s.m3u8", "/s/0/init-1.mp4", "/s.jpg", "/status.json"):
        assert status_of(daemon, path, headers=basic("guest")) == 403, path
    names = [
        [stream["name"] for camera in body["cameras"] for stream in camera["streams"]]
        for body in (get_json(daemon, "/api/cameras", user) for user in ("anna", "guest"))
    ]
    assert names == [["s", "j"], ["j"]]


def get_json(daemon, path, user):
    one = http.client.HTTPConnection("127.0.0.1", daemon.http_port, 10 * harness.PATIENCE)
    with contextlib.closing(one):
        one.request("GET", path, headers=basic(user))
        return json.load(one.getresponse())


def test_without_users_everybody_watches_as_ever(camcastd):
    daemon = camcastd(config())
    assert status_of(daemon, "/status.json") == 200
    assert status_of(daemon, "/status.json", headers=basic("anybody")) == 200
    assert status_of(daemon, "/?token=short") == 200
    assert daemon.status()["access"]["open_to"] == "loopback"


def test_it_is_said_that_no_password_is_needed(camcastd):
    daemon = camcastd(config(daemon={"http": "0.0.0.0:0", "allow": "local"}))
    daemon.wait_log("access: everybody on the local network may watch without a password")
    access = daemon.status()["access"]
    assert (access["open_to"], access["anonymous"]) == ("local", "view, status")


def test_the_lines_of_the_start_are_for_those_who_may_watch(start_camcastd, users):
    """URLs have a place for the user; raw TCP, which asks for no password, is named where it serves."""
    rtsp = {"rtsp": "127.0.0.1:0"}
    daemon = start_camcastd(config(daemon=rtsp, **users), headers=WATCHER)
    daemon.wait_log(r"watch all cameras in a browser")
    for scheme in "http", "rtsp":
        daemon.wait_log(rf"watch s: {scheme}://USER:PASSWORD@127\.0\.0\.1:\d+/s")
    assert not any("watch s: ffplay" in line for line in daemon.log())
    daemon = start_camcastd(config(stream={"allow": "127.0.0.1"}, **users), headers=WATCHER)
    daemon.wait_log(r"watch s: ffplay .* tcp://127\.0\.0\.1")
    daemon = start_camcastd(config(daemon=rtsp))
    daemon.wait_log(r"watch s: rtsp://127\.0\.0\.1:\d+/s")
    daemon.wait_log(r"watch s: ffplay .* tcp://127\.0\.0\.1")


def test_a_token_watches_in_three_ways(camcastd, users):
    daemon = camcastd(config(**users), headers=WATCHER)
    assert status_of(daemon, "/s.mp4", headers={"Authorization": f"Bearer {TOKEN}"}) == 200
    status, headers = ask(daemon, f"/status.json?x=1&token={TOKEN}")
    assert status == 200 and headers["Referrer-Policy"] == "no-referrer"
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert status_of(daemon, "/s.m3u8", headers={"Cookie": cookie.split(";")[0]}) == 200
    status, headers = ask(daemon, f"/?camera=cam&token={TOKEN}")
    assert (status, headers["Location"]) == (303, "/?camera=cam")
    status, headers = ask(daemon, "/s.mp4?token=wrongwrongwrongwrongwrong")
    assert status == 401 and "Set-Cookie" not in headers
    assert not [line for line in daemon.log() if TOKEN in line]


def test_what_a_playlist_names_needs_no_password(camcastd, users):
    """For a player that sends it with the playlist alone, and its cookies with everything."""
    daemon = camcastd(config(**users), headers=WATCHER)
    cookies = set()
    for _ in range(2):
        status, headers = ask(daemon, "/s.m3u8", headers=basic("anna"))
        assert status == 200
        cookies.add(headers["Set-Cookie"])
    (cookie,) = cookies  # no more is remembered for who asks again
    assert cookie.startswith(f"camcast-{daemon.http_port}=s-")
    assert cookie.split("; ")[1:] == ["Path=/s/", "HttpOnly", "SameSite=Lax"]
    mine = {"Cookie": cookie.split(";")[0]}
    assert status_of(daemon, "/s/0/init-1.mp4", headers=mine) == 404
    assert status_of(daemon, "/s/0/init-1.mp4", headers=mine, source="127.0.0.2") == 401
    assert status_of(daemon, "/s/0/init-1.mp4") == 401
    for path, headers in (("/s.m3u8", mine), ("/s.m3u8", {"Authorization": f"Bearer {TOKEN}"}),
                          ("/j.jpg", basic("anna"))):
        status, headers = ask(daemon, path, headers=headers)
        assert status == 200 and "Set-Cookie" not in headers, path
    for wrong in (basic("anna", "wrong"), basic("guest")):
        status, headers = ask(daemon, "/s.m3u8", headers=wrong)
        assert status in (401, 403) and "Set-Cookie" not in headers


def test_a_token_that_is_wrong_keeps_no_browser_out(camcastd, users):
    """A link of another page may have set it, or it was right before."""
    daemon = camcastd(config(**users), headers=WATCHER)
    cookie = f"camcast-{daemon.http_port}=t-{'a' * 24}"
    status, headers = ask(daemon, "/login", headers={"Cookie": cookie})
    assert status == 401 and headers["Set-Cookie"].startswith(f"{cookie.split('=')[0]}=;")
    assert "Max-Age=0" in headers["Set-Cookie"]
    assert status_of(daemon, "/login") == 200


def test_an_answer_has_the_cookie_of_its_own_request_alone(camcastd, users):
    """Behind a proxy, the next request of a connection is somebody else's."""
    daemon = camcastd(config(**users), headers=WATCHER)
    one = http.client.HTTPConnection("127.0.0.1", daemon.http_port, 10 * harness.PATIENCE)
    with contextlib.closing(one):
        one.request("GET", f"/login?token={TOKEN}")
        first = one.getresponse()
        assert first.read() and TOKEN in first.headers["Set-Cookie"]
        one.request("PUT", "/x")
        second = one.getresponse()
        assert second.status == 405 and "Set-Cookie" not in second.headers


def test_what_a_user_asked_for_is_for_no_cache(camcastd, users):
    daemon = camcastd(config(daemon={"anonymous": "view"}, **users), headers=WATCHER)
    daemon.wait_flowing()
    for headers, private in ((None, False), (basic("anna"), True)):
        status, answer = ask(daemon, "/s.m3u8", headers=headers)
        assert status == 200 and ("private" in answer["Cache-Control"]) == private, answer


def test_the_login_is_a_cookie_that_ends(camcastd, users):
    daemon = camcastd(config(**users), headers=WATCHER)
    status, headers = ask(daemon, "/", headers={"Accept": "text/html,*/*"})
    assert (status, headers["Location"]) == (303, "/login")
    answer = ask(daemon, "/api/login", method="POST", body="{}", headers={**JSON, **basic("anna")})
    assert answer[0] == 200
    cookie = answer[1]["Set-Cookie"]
    assert cookie.startswith(f"camcast-{daemon.http_port}=s-")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    mine = {"Cookie": f"other=1; {cookie.split(';')[0]}"}
    for path in ("/", "/s.mp4", "/j.mjpg", "/api/cameras", "/status.json"):
        assert status_of(daemon, path, headers=mine) == 200, path
    foreign = {**mine, **JSON, "Origin": "http://evil.example"}
    for path in ("/api/logout", "/api/cameras/cam/restart"):
        assert status_of(daemon, path, method="POST", body="{}", headers=foreign) == 403, path
    assert status_of(daemon, "/api/logout", method="POST", body="{}", headers={**mine, **JSON}) == 200
    status, headers = ask(daemon, "/api/cameras", headers=mine)
    # A browser that has the cookie is sent to the login, and shows no dialog of its own.
    assert status == 401 and "WWW-Authenticate" not in headers
    assert status_of(daemon, "/api/login", method="POST", body="{}", headers={**mine, **JSON}) == 401


def test_a_login_over_tls_stays_encrypted(start_camcastd, users, tmp_path):
    result = harness.run([harness.BUILD / "camcastd", f"--make-certificate={tmp_path / 'tls'}"])
    assert result.returncode == 0, result.stderr
    keys = {key: tmp_path / "tls" / f"{key}.pem" for key in ("certificate", "key")}
    daemon = start_camcastd(config(daemon={"tls": "yes"}, tls=keys, **users))
    trust = ssl.create_default_context(cafile=keys["certificate"])
    one = http.client.HTTPSConnection(
        "127.0.0.1", daemon.http_port, timeout=10 * harness.PATIENCE, context=trust
    )
    with contextlib.closing(one):
        one.request("POST", "/api/login", "{}", {**JSON, **basic("anna")})
        answer = one.getresponse()
        assert answer.status == 200 and "Secure" in answer.headers["Set-Cookie"]


def test_pages_of_other_sites_read_only_what_cors_names(camcastd, users):
    daemon = camcastd(config(daemon={"cors": "https://ha.example:8123"}, **users), headers=WATCHER)
    own = {"Origin": "https://ha.example:8123", **basic("anna")}
    status, headers = ask(daemon, "/api/cameras", headers=own)
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "https://ha.example:8123"
    asked = {"Origin": "https://ha.example:8123", "Access-Control-Request-Method": "GET"}
    status, headers = ask(daemon, "/s.mp4", method="OPTIONS", headers=asked)
    assert status == 204 and headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Content-Length" not in headers
    post = status_of(daemon, "/api/cameras/cam/restart", method="POST", body="{}", headers={**own, **JSON})
    assert post == 403
    other = {**own, "Origin": "https://ha.example"}
    assert "Access-Control-Allow-Origin" not in ask(daemon, "/api/cameras", headers=other)[1]
    assert status_of(daemon, "/s.mp4", method="OPTIONS", headers=other) == 405


def test_a_cache_in_front_keeps_nothing_for_others(start_camcastd, users):
    daemon = start_camcastd(config(stream={"keyframe_interval": 15}, **users))
    daemon.wait_log("delivers pictures")
    assert ask(daemon, "/s.m3u8", headers=basic("anna"))[1]["Cache-Control"] == "private, max-age=1"
    daemon = start_camcastd(config(stream={"keyframe_interval": 15}))
    daemon.wait_log("delivers pictures")
    assert ask(daemon, "/s.m3u8")[1]["Cache-Control"] == "public, max-age=1"


def test_raw_tcp_serves_those_whom_the_stream_names(camcastd, users):
    daemon = camcastd(config(stream={"allow": "127.0.0.3"}, **users), headers=WATCHER)
    daemon.wait_log("raw TCP can ask for no password")
    with Viewer(daemon.port(), source="127.0.0.3") as viewer:
        viewer.wait_units(5)
    with Viewer(daemon.port(), source="127.0.0.1") as viewer:
        viewer.wait_closed()
        assert not viewer.data


# --- programs ---


def test_curl(camcastd, users):
    daemon = camcastd(config(**users), headers=WATCHER)

    def curl(*arguments):
        command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", *arguments]
        return harness.run(command).stdout

    assert curl(url_of(daemon, "/s.jpg")) == "200"
    assert curl("-u", f"anna:{PASSWORD}", url_of(daemon, "/s.jpg", "x", "y")) in ("200", "401")
    assert curl(url_of(daemon, "/s.jpg", password="wrong")) == "401"
    assert curl("-H", f"Authorization: Bearer {TOKEN}", f"http://127.0.0.1:{daemon.http_port}/s.jpg") == "200"


PLAYERS = {
    "ffmpeg": ["ffmpeg", "-v", "error", "-i", "URL", "-frames:v", "5", "-f", "null", "-"],
    "mpv": ["mpv", "--no-config", "--no-audio", "--msg-level=all=error", "--frames=5", "--vo=null", "URL"],
    "opencv": [sys.executable, "-c", "import sys, cv2; c = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG);"
               "sys.exit(not all(c.read()[0] for _ in range(5)))", "URL"],
    "gstreamer": ["gst-launch-1.0", "-q", "souphttpsrc", "location=URL", "num-buffers=5", "!", "fakesink"],
}
PATHS = ["/s.mp4", "/s.ts", "/s.m3u8"]


def play(player, url):
    extra = []
    if player == "gstreamer":  # it takes no user from the URL
        if match := re.match(r"http://(\w+):([^@]*)@(.*)", url):
            url = f"http://{match[3]}"
            right = match[2] == IN_URL
            extra = [f"user-id={match[1]}", f'user-pw="{PASSWORD if right else match[2]}"']
    command = [url if word == "URL" else word.replace("URL", url) for word in PLAYERS[player]]
    if extra:
        command[4:4] = extra
    return harness.run(command, timeout=60 * harness.PATIENCE)


@pytest.mark.parametrize("player", PLAYERS)
def test_players_with_a_password_in_the_url(start_camcastd, users, player):
    daemon = start_camcastd(config(stream={"keyframe_interval": 15}, **users), headers=WATCHER)
    daemon.wait_log("delivers pictures")
    for path in PATHS:
        result = play(player, url_of(daemon, path))
        assert result.returncode == 0, (path, result.stderr)
        result = play(player, f"http://127.0.0.1:{daemon.http_port}{path}?token={TOKEN}")
        assert result.returncode == 0, (path, result.stderr)
    result = play(player, url_of(daemon, "/s.mp4", password="wrong"))
    assert result.returncode != 0


@contextlib.contextmanager
def vlc(url, folder):
    """VLC, which writes what it plays to a file; it refuses to run as root, and does not end by
    itself: with a wrong password it waits for another one."""
    user = [] if os.geteuid() else ["setpriv", "--reuid=65534", "--clear-groups"]
    words = ["vlc", "-I", "dummy", "--no-audio", "--no-media-library", "--sout"]
    played = folder / "played.ts"
    with open(played, "wb") as out, harness.start(
        [*user, *words, "#std{access=file,mux=ts,dst=-}", url],
        stdout=out, stderr=subprocess.DEVNULL, env=dict(os.environ, HOME="/nonexistent"),
    ) as player:
        try:
            yield played
        finally:
            player.kill()


def test_vlc_with_a_password_in_the_url(start_camcastd, users, tmp_path):
    daemon = start_camcastd(config(stream={"keyframe_interval": 15}, **users), headers=WATCHER)
    daemon.wait_log("delivers pictures")
    with vlc(url_of(daemon, "/s.ts"), tmp_path) as played:
        daemon.wait_until(lambda: played.stat().st_size > 100000, "what VLC plays", 30)
    with vlc(url_of(daemon, "/s.ts", password="wrong"), tmp_path) as played:
        daemon.wait_until(lambda: daemon.status()["access"]["wrong"], "a wrong password", 30)
        assert played.stat().st_size == 0


# --- guessing ---


def test_a_wrong_password_takes_as_long_as_a_wrong_user(start_camcastd, hashed):
    daemon = start_camcastd(config(**{"user anna": {"password": hashed}}))
    took = {"anna": [], "nobody": []}
    for number in range(20):
        for name in took:
            # Each from an address of its own, which need not wait.
            begun = time.monotonic()
            source = f"127.0.{10 + number}.{1 + len(name)}"
            assert status_of(daemon, "/", source=source, headers=basic(name, "x")) == 401
            took[name].append(time.monotonic() - begun)
    anna, nobody = (min(times) for times in took.values())  # a loaded machine adds to the others
    assert anna >= 0.29 and nobody >= 0.29
    assert abs(anna - nobody) < 0.05 * harness.PATIENCE, took


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_password_that_others_can_read_is_refused(tmp_path, mode):
    secret, path = tmp_path / "password", tmp_path / "c.ini"
    secret.write_text("secret\n")
    secret.chmod(mode)
    path.write_text(harness.config_text(config(**{"user anna": {"password_file": secret}})))
    result = harness.run([harness.BUILD / "camcastd", "-c", path])
    assert result.returncode != 0
    assert f"user anna: password_file {secret} cannot be used: others may read it" in result.stderr
    result = harness.run([harness.BUILD / "camcastd", "--check", "-c", path])
    assert "others may read it" in result.stderr


def test_a_password_in_clear_is_no_hash_and_is_not_shown(tmp_path):
    path = tmp_path / "c.ini"
    path.write_text(harness.config_text(config(**{"user anna": {"password": "hunter2hunter2hunter2"}})))
    result = harness.run([harness.BUILD / "camcastd", "--check", "-c", path])
    assert result.returncode != 0 and "must be a hash, not the password itself" in result.stderr
    assert "hunter2" not in result.stderr + result.stdout


def test_camcast_passwd(tmp_path):
    program = harness.BUILD / "camcast"
    first, second = make_hash("secret"), make_hash("secret")
    assert first != second and first.startswith("$y$")
    assert harness.run([program, "passwd"], input="\n").returncode != 0
    assert harness.run([program, "passwd"], input="x" * 300).returncode != 0
    result = harness.run([program, "passwd", "hunter2"], input="")
    assert result.returncode != 0 and "hunter2" not in result.stderr
    # At a terminal it asks twice and shows nothing.
    read, write = os.openpty()
    process = harness.start([program, "passwd"], stdin=write, stdout=-1, stderr=write, text=True)
    os.close(write)
    shown = wait_shown(read, "Password: ")
    os.write(read, b"secret\n")
    shown += wait_shown(read, "Again: ")
    os.write(read, b"secret\n")
    assert process.communicate(timeout=20 * harness.PATIENCE)[0].startswith("$y$")
    os.close(read)
    assert "secret" not in shown


def wait_shown(terminal, text):
    shown = ""
    while text not in shown:
        shown += os.read(terminal, 1000).decode()
    return shown
