# SPDX-License-Identifier: BSD-2-Clause
"""Users over RTSP: Digest, Basic where the connection is encrypted, and tokens, with real clients."""
import hashlib
import re
import socket
import struct
import sys
import time

import pytest

import certificates
import gstreamer
import harness
import motions
from users import IN_URL, PASSWORD, TOKEN, WATCHER, basic, config, write_secret

pytestmark = pytest.mark.one_backend

TRANSPORT = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}


class Talk:
    """One connection, on which requests are made."""

    def __init__(self, port, context=None, source="127.0.0.1", source_port=0):
        self.port = port
        self.socket = socket.create_connection(
            ("127.0.0.1", port), 20 * harness.PATIENCE, (source, source_port)
        )
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.answers = self.socket.makefile("rb")
        self.challenges = []

    def ask(self, method, path, headers=None):
        """The status; the newest challenges are in self.challenges."""
        lines = [f"{method} {self.url(path)} RTSP/1.0", "CSeq: 1"]
        lines += [f"{key}: {value}" for key, value in (headers or {}).items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        status = int(self.answers.readline().split()[1])
        head = {}
        challenges = []
        while line := self.answers.readline().decode().strip():
            key, _, value = line.partition(": ")
            head[key] = value
            if key == "WWW-Authenticate":
                challenges.append(value)
        self.answers.read(int(head.get("Content-Length", 0)))
        self.challenges = challenges or self.challenges
        return status

    def url(self, path):
        return f"rtsp://127.0.0.1:{self.port}{path}"

    def digest(self, method, path, name="anna", password=PASSWORD):
        """The header that answers the first challenge."""
        nonce = re.search(r'nonce="(\w+)"', self.challenges[0])[1]
        make = hashlib.sha256 if "SHA-256" in self.challenges[0] else hashlib.md5

        def h(text):
            return make(text.encode()).hexdigest()

        response = h(f"{h(f'{name}:camcast:{password}')}:{nonce}:{h(f'{method}:{self.url(path)}')}")
        return {
            "Authorization": f'Digest username="{name}", realm="camcast", nonce="{nonce}", '
            f'uri="{self.url(path)}", response="{response}"'
        }

    def log_in(self, method, path, name="anna", password=PASSWORD):
        """The status of a request with an answer to a new challenge."""
        assert self.ask(method, path, TRANSPORT) == 401
        return self.ask(method, path, {**TRANSPORT, **self.digest(method, path, name, password)})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def ask(port, method, path, headers=None, **options):
    with Talk(port, **options) as talk:
        return talk.ask(method, path, headers)


def log_in(port, *words, **options):
    with Talk(port, **options) as talk:
        return talk.log_in(*words)


@pytest.fixture(name="clear")
def fixture_clear(tmp_path):
    """Keys of a user whose password the server knows."""
    return {"password_file": write_secret(tmp_path / "password", PASSWORD)}


@pytest.fixture(name="clear_users")
def fixture_clear_users(users, clear):
    """users() whose passwords the server knows."""
    return {
        **users,
        "user anna": {**clear, "may": "view, status, control"},
        "user guest": {**clear, "streams": "j"},
    }


def serve(start, sections, daemon=None, **more):
    text = config(daemon={"rtsp": "127.0.0.1:0", **(daemon or {})}, **sections, **more)
    server = start(text, headers=WATCHER)
    server.wait_log("delivers pictures")
    return server


def test_a_user_is_asked_for(start_camcastd, clear_users):
    port = serve(start_camcastd, clear_users).rtsp_port
    assert ask(port, "OPTIONS", "/s") == 200
    for method in ("DESCRIBE", "SETUP"):
        assert ask(port, method, "/s", TRANSPORT) == 401
        assert ask(port, method, "/nope", TRANSPORT) == 401
        assert log_in(port, method, "/s") == 200
        assert log_in(port, method, "/nope") == 404
        assert log_in(port, method, "/s", "guest") == 403
        assert log_in(port, method, "/s", "anna", "wrong") == 401
        assert log_in(port, method, "/s", "nobody") == 401
        assert ask(port, method, f"/s?token={TOKEN}", TRANSPORT) == 200
        assert ask(port, method, "/s", {**TRANSPORT, **WATCHER}) == 200
    for method in ("PLAY", "PAUSE", "TEARDOWN"):
        assert ask(port, method, "/s") == 455


def test_one_digest_without_quality_is_asked_for(start_camcastd, clear_users):
    """What clients can do with two of them, or with a qop, is measured in docs/RTSP.md."""
    with Talk(serve(start_camcastd, clear_users).rtsp_port) as talk:
        assert talk.ask("DESCRIBE", "/s") == 401
        assert re.fullmatch(r'Digest realm="camcast", nonce="\w{40}"', talk.challenges[0])
        assert len(talk.challenges) == 1


def test_the_url_of_an_answer_is_that_of_the_request(start_camcastd, clear_users):
    with Talk(serve(start_camcastd, clear_users).rtsp_port) as talk:
        assert talk.ask("DESCRIBE", "/s") == 401
        assert talk.ask("DESCRIBE", "/j", talk.digest("DESCRIBE", "/s")) == 401
        assert talk.ask("DESCRIBE", "/s", talk.digest("SETUP", "/s")) == 401
        assert talk.ask("DESCRIBE", "/s", talk.digest("DESCRIBE", "/s")) == 200
        for path in ("/s/", "/s/trackID=0", "/s?x=y"):
            assert talk.ask("SETUP", "/s/trackID=0", {**TRANSPORT, **talk.digest("SETUP", path)}) == 200


def test_an_answer_is_no_use_to_another_connection(start_camcastd, clear_users):
    port = serve(start_camcastd, clear_users).rtsp_port
    with Talk(port) as talk, Talk(port) as thief:
        assert talk.ask("DESCRIBE", "/s") == 401
        answer = talk.digest("DESCRIBE", "/s")
        assert talk.ask("DESCRIBE", "/s", answer) == 200
        assert thief.ask("DESCRIBE", "/s", answer) == 401
        assert thief.challenges[0].endswith(", stale=true")


def test_an_answer_is_no_use_to_a_later_connection_from_the_same_port(start_camcastd, clear_users):
    port = serve(start_camcastd, clear_users).rtsp_port
    with Talk(port) as talk:
        assert talk.ask("DESCRIBE", "/s") == 401
        answer = talk.digest("DESCRIBE", "/s")
        assert talk.ask("DESCRIBE", "/s", answer) == 200
        source_port = talk.socket.getsockname()[1]
        # With a reset the port is free at once.
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        talk.answers.close()
    with Talk(port, source_port=source_port) as thief:
        assert thief.ask("DESCRIBE", "/s", answer) == 401
        assert thief.challenges[0].endswith(", stale=true")


def test_a_hash_does_not_do_for_digest(start_camcastd, users):
    """In clear text the password is not looked at, and a line of the log says what would do."""
    server = serve(start_camcastd, users)
    assert log_in(server.rtsp_port, "DESCRIBE", "/s") == 401
    server.wait_log(r"user anna cannot watch over RTSP by Digest.* needs password_file, a token, or rtsps")
    assert ask(server.rtsp_port, "DESCRIBE", "/s", basic("anna")) == 401
    server.wait_log(r"127\.0\.0\.1 sent a password in clear text.* Basic needs rtsps://")
    assert server.status()["access"]["checks"] == 0


def test_without_digest_it_is_basic(start_camcastd, users):
    port = serve(start_camcastd, users, {"rtsp_digest": "no"}).rtsp_port
    with Talk(port) as talk:
        assert talk.ask("DESCRIBE", "/s") == 401
        assert talk.challenges == ['Basic realm="camcast"']
    for name, password, status in (
        ("anna", PASSWORD, 200), ("guest", PASSWORD, 403), ("anna", "wrong", 401)
    ):
        assert ask(port, "DESCRIBE", "/s", basic(name, password)) == status
        assert ask(port, "SETUP", "/s", {**TRANSPORT, **basic(name, password)}) == status


def test_sha256_where_it_is_set(start_camcastd, clear_users):
    port = serve(start_camcastd, clear_users, {"rtsp_digest": "sha256"}).rtsp_port
    with Talk(port) as talk:
        assert talk.ask("DESCRIBE", "/s") == 401
        assert talk.challenges[0].endswith(", algorithm=SHA-256")
    assert log_in(port, "DESCRIBE", "/s") == 200
    assert log_in(port, "DESCRIBE", "/s", "anna", "wrong") == 401


@pytest.fixture(scope="module", name="authority")
def fixture_authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("authority"))


def encrypted(start, sections, authority):
    certificate, key = authority.sign("server")
    return serve(start, sections, {"tls": "yes"}, tls={"certificate": certificate, "key": key})


def test_basic_comes_second_over_tls_and_alone_where_there_is_a_hash(
    start_camcastd, users, clear_users, authority
):
    for sections, digests in ((clear_users, True), ({**clear_users, "user guest": users["user guest"]}, False)):
        port = encrypted(start_camcastd, sections, authority).rtsp_port
        with Talk(port, context=authority.context()) as talk:
            assert talk.ask("DESCRIBE", "/s") == 401
            assert talk.challenges[-1] == 'Basic realm="camcast"'
            assert [one.split()[0] for one in talk.challenges] == ["Digest"] * digests + ["Basic"]
            assert talk.ask("DESCRIBE", "/s", basic("anna")) == 200
            assert talk.ask("DESCRIBE", "/s", basic("anna", "wrong")) == 401
            assert talk.ask("DESCRIBE", "/s", basic("guest")) == 403
        if digests:
            assert log_in(port, "DESCRIBE", "/s", context=authority.context()) == 200


def test_a_wrong_answer_takes_as_long_as_a_wrong_user_and_slows_the_address(start_camcastd, clear_users):
    server = serve(start_camcastd, clear_users)
    for name in ("anna", "nobody", "anna", "nobody", "anna"):
        with Talk(server.rtsp_port, source="127.0.0.9") as talk:
            assert talk.ask("DESCRIBE", "/s") == 401
            answer = talk.digest("DESCRIBE", "/s", name, "wrong")
            begun = time.monotonic()
            assert talk.ask("DESCRIBE", "/s", answer) == 401
            assert time.monotonic() - begun > 0.28
    assert log_in(server.rtsp_port, "DESCRIBE", "/s", source="127.0.0.9") == 503
    assert log_in(server.rtsp_port, "DESCRIBE", "/s", source="127.0.0.10") == 200
    access = server.status()["access"]
    assert (access["wrong"], access["slowed"]) == (5, 1)


# --- programs ---

OPENCV = (
    "import sys, cv2; c = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG);"
    "sys.exit(not all(c.read()[0] for _ in range(5)))"
)
GSTREAMER = ["gst-launch-1.0", "-q", "rtspsrc", "location=URL", "protocols=tcp+tls", "tls-validation-flags=0"]
DEPAY = ["!", "rtph264depay", "!", "identity", "eos-after=5", "!", "fakesink"]
PLAYERS = {
    "ffmpeg": ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", "URL", "-frames:v", "5", "-f", "null", "-"],
    "ffprobe": ["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_streams", "URL"],
    "mpv": ["mpv", "--no-config", "--no-audio", "--msg-level=all=error", "--frames=5", "--vo=null", "URL"],
    "opencv": [sys.executable, "-c", OPENCV, "URL"],
    "gstreamer": GSTREAMER + DEPAY,
    "gstreamer-properties": [*GSTREAMER, "user-id=USER", 'user-pw="PASSWORD"', *DEPAY],
}


def play(player, url, name="anna", password=PASSWORD):
    """Plays a URL that begins with `rtsp://` or `rtsps://`, as a user."""
    in_url = IN_URL if password == PASSWORD else password
    words = PLAYERS[player]
    if "user-id=USER" not in words and name:
        url = url.replace("://", f"://{name}:{in_url}@")
    places = {"URL": url, "USER": name or "", "PASSWORD": password}
    command = [re.sub("|".join(places), lambda match: places[match[0]], word) for word in words]
    return harness.run(command, timeout=60 * harness.PATIENCE)


def plays(result):
    return gstreamer.ended_well(result.returncode, result.stderr)


@pytest.mark.parametrize("player", PLAYERS)
def test_players_with_a_password(camcastd, clear_users, player):
    port = serve(camcastd, clear_users).rtsp_port
    url = f"rtsp://127.0.0.1:{port}/s"
    for name, password, good in (
        ("anna", PASSWORD, True), ("anna", "wrong", False), ("nobody", PASSWORD, False),
    ):
        result = play(player, url, name, password)
        assert plays(result) == good, (name, password, result.stdout, result.stderr)
    if player != "gstreamer-properties":
        result = play(player, f"{url}?token={TOKEN}", None)
        assert plays(result), result.stderr


@pytest.mark.parametrize("player", PLAYERS)
@pytest.mark.parametrize("known", [True, False], ids=["digest", "basic"])
def test_players_with_a_password_over_tls(start_camcastd, users, clear_users, authority, player, known):
    """Where the server knows the passwords, by Digest, else by Basic."""
    port = encrypted(start_camcastd, clear_users if known else users, authority).rtsp_port
    for password in (PASSWORD, "wrong"):
        result = play(player, f"rtsps://127.0.0.1:{port}/s", "anna", password)
        assert plays(result) == (password == PASSWORD), (password, result.stderr)


def motion(folder, url, userpass):
    lines = [f"netcam_url {url}", f"netcam_userpass {userpass}"]
    return motions.running(folder, *lines, "width 320", "height 240", "framerate 10")


@pytest.mark.parametrize("way", ["rtsp", "http"])
def test_motion_with_a_password(start_camcastd, users, way, tmp_path):
    """motion wants a size that is a multiple of eight, and a password without a colon."""
    secret = write_secret(tmp_path / "secret", "motion-secret")
    user = {"user anna": {"password_file": secret, "may": "view, status"}}
    text = config(daemon={"rtsp": "127.0.0.1:0"}, **{**users, **user})
    text["camera cam"]["size"] = "320x240"
    server = start_camcastd(text, headers=WATCHER)
    server.wait_log("delivers pictures")
    if way == "rtsp":
        url, feed = f"rtsp://127.0.0.1:{server.rtsp_port}/s", "s/rtp"
    else:
        url, feed = f"http://127.0.0.1:{server.http_port}/j.mjpg", "j/multipart"

    def refused():
        return server.status()["access"]["wrong"]

    wrong = tmp_path / "wrong"
    wrong.mkdir()
    with motion(wrong, url, "anna:another"):
        server.wait_until(refused, "a wrong password", 40)
    with motion(tmp_path, url, "anna:motion-secret"):
        server.wait_until(lambda: server.feed(feed)["clients"], "a viewer", 40)
        server.wait_until(lambda: motions.numbers(tmp_path), "a legible snapshot of motion", 40)
