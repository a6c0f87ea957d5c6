# SPDX-License-Identifier: BSD-2-Clause
"""HLS and low-latency HLS: the playlist keeps the rules over time, what it names is there, and real
players play it."""
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urljoin

import pytest

import browser as browsers
import gstreamer
import harness
import hlsrules

FAULT = re.compile(r"\[(panic|fatal|error|warning)\]")


class Player:
    """Reads a playlist as a low-latency player does, and checks each one."""

    def __init__(self, daemon, path="/s.m3u8"):
        self.url = f"http://127.0.0.1:{daemon.http_port}{path}"
        self.history = hlsrules.History()
        self.late = 0  # answers without what was asked for
        self.started = time.monotonic()

    def fetch(self, query="", timeout=20):
        with urllib.request.urlopen(self.url + query, timeout=timeout * harness.PATIENCE) as answer:
            assert answer.headers["Content-Type"] == "application/vnd.apple.mpegurl"
            return self.history.add(answer.read().decode())

    def next(self):
        """The playlist with the next part, which the server holds back until it is there."""
        if not self.history.newest:
            return self.fetch()
        msn, part = self.history.newest.next_wanted()
        playlist = self.fetch(f"?_HLS_msn={msn}&_HLS_part={part}")
        newest = playlist.segments[-1]
        self.late += (newest.number, len(newest.parts)) <= (msn, part)
        return playlist

    def get(self, name, timeout=20):
        url = urljoin(self.url, name)
        with urllib.request.urlopen(url, timeout=timeout * harness.PATIENCE) as answer:
            assert answer.headers["Cache-Control"] == "public, max-age=60, immutable"
            data = answer.read()
            assert len(data) == int(answer.headers["Content-Length"])
            return data


def config(**stream):
    return harness.pattern_config(stream={"keyframe_interval": 30, **stream})


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=20 * harness.PATIENCE) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def boxes(data):
    """Types of the boxes that data consists of."""
    found = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        assert size >= 8 and at + size <= len(data), "a box is cut off"
        found.append(data[at + 4 : at + 8].decode())
        at += size
    return found


def test_a_playlist_keeps_the_rules_while_a_worker_is_killed(camcastd):
    daemon = camcastd(config())
    player = Player(daemon)
    history = player.history
    first = player.fetch()
    killed = 0  # changes until then
    deadline = time.monotonic() + 60 * harness.PATIENCE
    # Until the discontinuity has left the playlist, too.
    while history.newest.discontinuity_sequence == first.discontinuity_sequence:
        assert time.monotonic() < deadline, history.newest.text
        if not killed and history.newest.sequence >= first.sequence + 2:
            (worker,) = daemon.workers()
            os.kill(worker, signal.SIGKILL)
            killed = history.changes
        try:
            player.next()
        except urllib.error.HTTPError as error:
            assert error.code == 503 and killed
    assert killed > 20 and history.changes > killed + 20
    history.check_dates()
    assert len({segment.discontinuity for segment in history.segments.values()}) >= 2
    assert len({segment.map for segment in history.segments.values()}) >= 2
    lengths = [s.duration for s in history.segments.values() if s.uri]
    assert sorted(lengths)[len(lengths) // 2] == pytest.approx(1, abs=0.1)


def test_a_camera_that_gets_another_size_goes_on(camcastd):
    """What was listed stays, and is there; what follows has another initialization section."""
    text = config()
    daemon = camcastd(text)
    player = Player(daemon)
    playlist = player.fetch()
    deadline = time.monotonic() + 60 * harness.PATIENCE
    while len(playlist.finished) < 3:
        assert time.monotonic() < deadline
        playlist = player.next()
    last = playlist.finished[-1]
    text["camera cam"]["size"] = "160x96"
    daemon.reload(text)
    while playlist.finished[-1].map == last.map:
        assert time.monotonic() < deadline, playlist.text
        with contextlib.suppress(urllib.error.HTTPError):
            playlist = player.next()
    assert last.uri in [segment.uri for segment in playlist.finished], playlist.text
    assert boxes(player.get(last.uri)) and boxes(player.get(playlist.finished[-1].map))
    assert player.get(last.map) != player.get(playlist.finished[-1].map)


def test_segments_are_the_sum_of_their_parts_and_decode(camcastd, tmp_path):
    daemon = camcastd(config())
    player = Player(daemon)
    playlist = player.fetch()
    deadline = time.monotonic() + 30 * harness.PATIENCE
    while len(playlist.finished) < 3 and time.monotonic() < deadline:
        playlist = player.next()
    segment = playlist.finished[-1]
    init = player.get(segment.map)
    data = player.get(segment.uri)
    assert boxes(init) == ["ftyp", "moov"]
    assert boxes(data) == ["moof", "mdat"] * (len(boxes(data)) // 2)
    assert data == b"".join(player.get(part.uri) for part in segment.parts)
    file = tmp_path / "segment.mp4"
    file.write_bytes(init + data)
    pictures = harness.output_of(
        *("ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", file)
    )
    (stream,) = json.loads(pictures)["streams"]
    assert int(stream["nb_read_frames"]) == len(boxes(data)) // 2


def test_a_hinted_part_comes_as_soon_as_it_is_there(camcastd):
    daemon = camcastd(config())
    player = Player(daemon)
    playlist = player.fetch()
    for _ in range(5):
        data = player.get(playlist.hint)
        hinted = playlist.hint
        playlist = player.next()
        assert any(part.uri == hinted for s in playlist.segments for part in s.parts)
        assert boxes(data)[:2] == ["moof", "mdat"]


def test_names_and_queries_that_are_none(camcastd):
    daemon = camcastd(config())
    player = Player(daemon)
    playlist = player.fetch()
    name = playlist.finished[-1].uri
    for wrong in (name.replace("s-", "s-9"), name + "x", name.rpartition("/")[0] + "/"):
        code, headers = status_of(urljoin(player.url, wrong))
        assert code == 404 and headers["Cache-Control"] == "public, max-age=1", wrong
    for query in ("?_HLS_part=1", "?_HLS_msn=x", f"?_HLS_msn={playlist.sequence + 99}"):
        assert status_of(player.url + query)[0] == 400, query


def test_numbers_never_go_back_when_camcastd_is_restarted(start_camcastd):
    """A player, or a cache, keeps the URL: for it this is one playlist (RFC 8216 clause 6.2.2)."""
    restartable = harness.pattern_config(
        # Segments of 0.77 s: their number grows faster than the seconds.
        {"keyframe_interval": 23}, daemon={"http": f"127.0.0.1:{harness.free_port()}"}
    )
    daemon = start_camcastd(restartable)
    player = Player(daemon)
    while len(player.history.segments) < 16:
        player.next()
    before = player.history.newest.segments[-1]
    daemon.stop()
    start_camcastd(restartable)
    after = player.fetch().segments[0]  # History checks it against the playlists before
    assert after.number > before.number
    assert after.map != before.map


def test_a_stream_that_nobody_plays_costs_nothing(camcastd):
    daemon = camcastd(config(on_demand=True))
    Player(daemon).fetch()
    feed = daemon.feed("s/mp4")
    daemon.wait_until(lambda: not daemon.stream()["active"], "the end of encoding", 30)
    assert daemon.feed("s/mp4")["units"] >= feed["units"]
    Player(daemon).fetch()  # and it begins again


def ask(daemon, path, program, source="127.0.0.1"):
    one = http.client.HTTPConnection(
        "127.0.0.1", daemon.http_port, 20 * harness.PATIENCE, (source, 0)
    )
    with contextlib.closing(one):
        one.request("GET", path, headers={"User-Agent": program})
        answer = one.getresponse()
        assert answer.status == 200
        return answer.read()


def test_players_are_viewers_until_they_ask_no_more(camcastd):
    # What glibc hands out is full of bytes, so that a value that is not set would show (mallopt(3)).
    daemon = camcastd(config(), env={"MALLOC_PERTURB_": "90"})

    def api(path):
        return json.loads(daemon.get(path)[1])

    def players():
        return [one for one in api("/api/viewers")["viewers"] if one["transport"] == "hls"]

    def play():
        ask(daemon, "/s.m3u8", "one")
        ask(daemon, "/s.m3u8", "two")
        return ask(daemon, "/s.m3u8", "one", "127.0.0.2").decode()

    def seen():
        """Three players, everywhere: on a busy machine one may be forgotten in between."""
        name = re.findall(r"^(s/.*\.m4s)$", play(), re.M)[-1]
        segment = ask(daemon, f"/{name}", "one")
        listed, status = players(), daemon.status()
        return (
            len(listed) == 3
            and len(segment) in [one["sent"] for one in listed]
            and [one["sent"] for one in listed].count(0) == 2
            and {one["address"].rpartition(":")[0] for one in listed} == {"127.0.0.1", "127.0.0.2"}
            and {(one["state"], one["framing"]) for one in listed} == {("live", "mp4")}
            and [one["transport"] for one in status["clients"]] == ["hls"] * 3
            and not any({"encryption", "lost_packets"} & one.keys() for one in status["clients"])
            and api("/api/cameras")["cameras"][0]["streams"][0]["viewers"] == 3
            and daemon.feed("s/mp4")["hls_players"] == 3
            and 'camcast_feed_hls_players{feed="s/mp4"} 3' in daemon.get("/metrics")[1]
        )

    def forgotten():
        return (
            players() == []
            and api("/api/cameras")["cameras"][0]["streams"][0]["viewers"] == 0
            and daemon.feed("s/mp4")["hls_players"] == 0
        )

    assert players() == []
    for _ in range(5):
        if seen():
            break
        daemon.wait_until(forgotten, "the end of all players", 40)
    else:
        raise AssertionError(players())
    daemon.wait_until(forgotten, "the end of all players", 40)


# --- players ---


def test_ffmpeg_plays(camcastd):
    daemon = camcastd(config())
    result = harness.run(
        ["ffmpeg", "-nostdin", "-nostats", "-v", "level+warning", "-err_detect", "explode"]
        + ["-xerror", "-i", f"http://127.0.0.1:{daemon.http_port}/s.m3u8"]
        + ["-frames:v", 240, "-f", "framecrc", "-"]
    )
    assert result.returncode == 0, result.stderr
    # ffmpeg reads the initialization section again after each reload of a playlist.
    messages = result.stderr.replace("[warning] Found duplicated MOOV Atom. Skipped it", "")
    assert not FAULT.search(messages), messages
    pictures = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    assert len(pictures) == 240
    assert len({line.split(",")[-1] for line in pictures}) > 230, "the picture does not move"


def test_ffmpeg_goes_on_after_a_restart_of_camcastd(start_camcastd):
    restartable = harness.pattern_config(
        {"keyframe_interval": 30}, daemon={"http": f"127.0.0.1:{harness.free_port()}"}
    )
    daemon = start_camcastd(restartable)
    player = subprocess.Popen(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", Player(daemon).url, "-f", "framecrc", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with player:
        guard = threading.Timer(60 * harness.PATIENCE, player.kill)
        guard.start()
        pictures = (line for line in player.stdout if not line.startswith("#"))
        for _ in range(60):
            assert next(pictures, None), "no picture"
        daemon.stop()
        start_camcastd(restartable)
        played = sum(1 for _, _ in zip(range(400), pictures))  # of 13 s: more than was listed
        player.kill()
        guard.cancel()
        assert played == 400, player.stderr.read()


def test_gstreamer_plays(camcastd):
    daemon = camcastd(config())
    location = f"location=http://127.0.0.1:{daemon.http_port}/s.m3u8"
    gstreamer.play(["souphttpsrc", location, *"! hlsdemux ! qtdemux".split()], 150)


@pytest.mark.parametrize("user", ["", "anna:secret@"], ids=["anybody", "user"])
def test_vlc_plays(camcastd, tmp_path, user):
    """VLC writes what it plays to its standard output. A name and a password it sends with the
    playlist alone."""
    text = config()
    if user:
        secret = tmp_path / "password"
        secret.touch(0o600)
        secret.write_text("secret\n")
        text["user anna"] = {"password_file": secret, "may": "view"}
        text["daemon"]["anonymous"] = "status"
    daemon = camcastd(text)
    # VLC refuses to run as root.
    drop = [] if os.geteuid() else ["setpriv", "--reuid=65534", "--clear-groups"]
    player = subprocess.Popen(
        [*drop, "vlc", "-I", "dummy", "--no-audio", "--no-media-library", "--sout"]
        + ["#std{access=file,mux=ts,dst=-}", f"http://{user}127.0.0.1:{daemon.http_port}/s.m3u8"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ, HOME="/nonexistent"),
    )
    with player:
        guard = threading.Timer(40 * harness.PATIENCE, player.kill)
        guard.start()
        played = player.stdout.read(600000)  # five seconds
        guard.cancel()
        player.kill()
    file = tmp_path / "vlc.ts"
    file.write_bytes(played)
    streams = harness.output_of(
        *("ffprobe", "-v", "quiet", "-count_packets", "-show_streams", "-of", "json", file)
    )
    (stream,) = json.loads(streams)["streams"]
    assert int(stream["nb_read_packets"]) > 100


HLS_JS = browsers.MODULES / "node_modules/hls.js/dist/hls.min.js"
# docs/SCALE.md has these lines for sites: hls.js itself hurries only while it has more than a
# second ahead.
HLS_JS_PLAYS = """
(() => {
  window.video = document.createElement('video');
  video.muted = true;
  document.body.append(video);
  window.hls = new Hls({lowLatencyMode: true});
  window.fatal = [];
  hls.on(Hls.Events.ERROR, (event, data) => data.fatal && fatal.push(data.details));
  hls.loadSource('/s.m3u8');
  hls.attachMedia(video);
  video.play();
  setInterval(() => {
    video.playbackRate = hls.latency > hls.targetLatency + 0.05 ? 1.1 : 1;
  }, 250);
  window.age = () => hls.playingDate ? (Date.now() - hls.playingDate) / 1000 : Infinity;
})()
"""
LATENCY = 0.8  # seconds from capture to display


@contextlib.contextmanager
def hls_js(name, port):
    """A tab in which hls.js plays at the live edge."""
    with browsers.Browser(name) as browser:
        tab = browser.open(f"http://127.0.0.1:{port}/healthz")
        tab.evaluate(HLS_JS.read_text() + ";0")
        tab.evaluate(HLS_JS_PLAYS)
        tab.wait(f"age() < {LATENCY} && video.currentTime > 3", f"{LATENCY} s", 30)
        yield tab


def start_playing(start_camcastd, **options):
    daemon = start_camcastd(harness.pattern_config(stream={"keyframe_interval": 30}, **options))
    player = Player(daemon)
    while len(player.next().finished) < 4:  # the camera has started
        pass
    return daemon


@pytest.mark.alone
@pytest.mark.skipif(bool(harness.SAN), reason="the browsers are not instrumented")
@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_hls_js_plays_with_low_latency_and_over_a_killed_worker(start_camcastd, name):
    daemon = start_playing(start_camcastd)
    with hls_js(name, daemon.http_port) as tab:
        (worker,) = daemon.workers()
        os.kill(worker, signal.SIGKILL)
        tab.wait("hls.levels[0].details.fragments.some((one) => one.cc > 0)", "a discontinuity", 20)
        tab.wait(
            "age() < 2 && "
            "video.currentTime > hls.levels[0].details.fragments.find((one) => one.cc > 0)?.start",
            "pictures of the next worker",
            20,
        )
        assert tab.evaluate("fatal.length") == 0


@pytest.mark.alone
@pytest.mark.skipif(bool(harness.SAN), reason="the browsers are not instrumented")
@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_hls_js_goes_on_after_a_restart_of_camcastd(start_camcastd, name):
    port = harness.free_port()
    http = {"daemon": {"http": f"127.0.0.1:{port}"}}
    daemon = start_playing(start_camcastd, **http)
    with hls_js(name, port) as tab:
        before = tab.evaluate("hls.levels[0].details.fragments.at(-1).url")
        daemon.stop()
        start_playing(start_camcastd, **http)
        tab.wait(
            f"hls.levels[0].details.fragments.at(-1).url.slice(0, -12) !== '{before[:-12]}' && "
            "age() < 2",
            "pictures of the next camcastd",
            40,
        )
        assert tab.evaluate("fatal.length") == 0
