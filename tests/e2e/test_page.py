# SPDX-License-Identifier: BSD-2-Clause
"""The web page in real browsers: which picture is shown is read from its pixels, by the number in
the test pattern. One browser serves many cases, because its start takes longer than they do."""
import os
import re
import signal
import socket
import threading
import time

import pytest

import browser as browsers
import fakes
import harness

SHOTS = harness.BUILD / "page"  # screenshots, for people
TRANSPORTS = ["mse", "mse_http", "webcodecs", "mjpeg", "snapshots"]

# A browser that draws with the processor alone takes all of it.
pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(bool(harness.SAN), reason="the browsers are not instrumented"),
]


def config(port="0", cameras=("one",), size="320x180", framerate=15, **daemon):
    text = {"daemon": {"name": "정원 <b>", "http": f"127.0.0.1:{port}", **daemon}}
    for name in cameras:
        text[f"camera {name}"] = {"source": "pattern", "size": size, "framerate": framerate}
        text[f"stream {name}"] = {"camera": name, "bitrate": 300000, "keyframe_interval": 15}
        text[f"stream {name}-jpeg"] = {
            "camera": name, "codec": "mjpeg", "on_demand": True, "quality": 60,
        }
    return text


@pytest.fixture(scope="module", params=["chromium", "firefox"], name="browser")
def fixture_browser(request):
    with browsers.Browser(request.param) as browser:
        yield browser


@pytest.fixture(name="tab")
def fixture_tab(browser):
    """tab(url, **options of driver.mjs): an open page, which is closed after the test."""
    opened = []

    def open_page(url, **options):
        opened.append(browser.open(url, page=f"page{len(opened)}", **options))
        return opened[-1]

    yield open_page
    for one in opened:
        one.close()


def url(daemon, query=""):
    return f"http://127.0.0.1:{daemon.http_port}/{query}"


def viewers(daemon):
    return daemon.status()["clients_total"]


def assert_moves(tab, camera, count=5):
    """Whole pictures appear, one after another."""
    numbers = tab.numbers(camera, count)
    assert all(a < b or b < 100 for a, b in zip(numbers, numbers[1:])), numbers


def check_lag(tab, camera):
    lag = tab.wait(f"{tab.tile(camera)}.facts().lag", "lag")
    assert abs(lag) < 1000 * harness.PATIENCE, lag


def test_every_transport_shows_whole_pictures_in_order(browser, tab, start_camcastd):
    daemon = start_camcastd(config())
    page = tab(url(daemon))
    page.wait_live("one")
    assert_moves(page, "one", 10)
    assert page.facts("one")["transport"] == "mse"
    check_lag(page, "one")

    for transport in TRANSPORTS[1:] + ["img"]:
        if transport == "webcodecs" and not page.evaluate("'VideoDecoder' in window"):
            continue
        page.evaluate(f"localStorage.setItem('transport one', '{transport}')")
        page.reload()
        page.wait_live("one")
        assert page.facts("one")["transport"] == transport
        if transport == "img":  # no event tells of its pictures
            page.wait_number("one", page.wait_number("one", None))
        else:
            assert_moves(page, "one", 3 if transport == "snapshots" else 8)
            check_lag(page, "one")
    page.evaluate("localStorage.clear()")
    assert not [text for text in browser.do("messages") if "Content-Security-Policy" in text]


def test_the_page_comes_back_after_every_loss(tab, start_camcastd):
    port = harness.free_port()
    daemon = start_camcastd(config(port))
    page = tab(url(daemon))
    page.wait_live("one")
    page.evaluate("window.sameDocument = true")

    os.kill(daemon.workers()[0], signal.SIGKILL)
    daemon.wait_until(lambda: daemon.camera("one")["restarts"] == 1, "restart", 20)
    page.wait_number("one", page.number("one"))
    assert_moves(page, "one")
    assert page.facts("one")["reconnects"] == 0, "viewers stay connected"

    daemon.stop()
    page.wait(f"{page.tile('one')}.dataset.state === 'lost'", "loss")
    start_camcastd(config(port))
    page.wait_live("one")
    assert_moves(page, "one")

    # A hidden page lets go of its streams after a while, and shows the present when it is back.
    daemon = start_camcastd(config())
    hide = """Object.defineProperty(document, 'hidden', {get: () => %s, configurable: true});
              document.dispatchEvent(new Event('visibilitychange'));"""
    page = tab(url(daemon))
    page.wait_live("one")
    page.evaluate(hide % "true")
    daemon.wait_until(lambda: viewers(daemon) == 0, "end of the stream", 20)
    page.evaluate(hide % "false")
    page.wait_live("one")
    assert_moves(page, "one")


def test_after_a_gap_the_first_picture_is_the_key_picture_or_the_next(tab, start_camcastd):
    daemon = start_camcastd(config())
    page = tab(url(daemon))
    page.wait_live("one")
    page.evaluate(browsers.WATCH_GAP)
    assert_moves(page, "one", 10)  # the usual time between two pictures is known
    worker = daemon.workers()[0]
    os.kill(worker, signal.SIGSTOP)  # on a quiet machine the next one is there after two pictures
    ages = lambda: [one["last_unit_ms"] for one in daemon.status()["feeds"] if "last_unit_ms" in one]
    daemon.wait_until(lambda: min(ages()) > 500, "gap")
    os.kill(worker, signal.SIGKILL)
    gap = page.wait("window.gap", "a picture behind the gap", 30)
    # A busy machine may skip pictures that it has no time to draw.
    assert gap["picture"] <= 1 * harness.PATIENCE, gap
    assert gap["after"] < 500 * harness.PATIENCE, gap
    assert page.facts("one")["reconnects"] == 0


def wait_address(page, address):
    """Waits until another page has been loaded. What is evaluated just when it goes is an error."""
    deadline = time.monotonic() + 15 * harness.PATIENCE
    there = f"location.pathname + location.search === '{address}'"
    while True:
        try:
            return page.wait(f"{there} && document.readyState === 'complete'", address)
        except harness.Failure as error:
            if "navigation" not in str(error) or time.monotonic() > deadline:
                raise


def test_the_login_lets_people_in_and_out(browser, tab, start_camcastd):
    result = harness.run([harness.BUILD / "camcast", "passwd"], input="geheim ü\n")
    people = {"password": result.stdout.strip(), "may": "view, status, control"}
    daemon = start_camcastd({**config(), "user anna": people})
    page = tab(url(daemon, "?camera=one"))
    log_in = """(() => {
        const [name, password] = document.querySelectorAll('#login input');
        name.value = 'anna';
        password.value = '%s';
        document.querySelector('#login button').click();
    })()"""
    page.wait("document.querySelector('#login button') !== null", "login")
    page.evaluate(log_in % "wrong")
    page.wait("document.querySelector('[role=alert]').textContent !== ''", "a refusal")
    page.screenshot(SHOTS / f"login-{browser.name}.png")
    page.evaluate(log_in % "geheim ü")
    wait_address(page, "/?camera=one")
    for transport in ("mse", "mse_http", "mjpeg", "img"):
        page.evaluate(f"localStorage.setItem('transport one', '{transport}')")
        page.reload()
        page.wait_live("one")
        assert page.facts("one")["transport"] == transport
        if transport != "img":
            assert_moves(page, "one", 3)
    page.evaluate("localStorage.clear()")
    assert page.evaluate("document.cookie") == ""
    page.evaluate("document.querySelector('#bar a').click()")
    wait_address(page, "/login")
    page.evaluate("setTimeout(() => location.assign('/?camera=one'))")
    wait_address(page, "/login?camera=one")
    assert not [text for text in browser.do("messages") if "Content-Security-Policy" in text]


# Notes in window.longest the longest time between two pictures of the tile's video, in ms.
LONGEST = """
(() => {
    window.longest = 0;
    window.at = performance.now();
    const video = document.querySelector('video');
    const shown = () => {
        longest = Math.max(longest, performance.now() - at);
        at = performance.now();
        video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
})()
"""


def test_a_minute_without_a_stall_in_both_browsers(start_camcastd):
    daemon = start_camcastd(config())
    with browsers.Browser("chromium") as chromium, browsers.Browser("firefox") as firefox:
        pages = [one.open(url(daemon)) for one in (chromium, firefox)]
        for page in pages:
            page.wait_live("one")
        for page in pages:
            page.evaluate(LONGEST)
        time.sleep(60)
        for page in pages:
            longest = page.evaluate("Math.max(longest, performance.now() - at)")
            assert longest < 500 * harness.PATIENCE
            assert page.facts("one")["reconnects"] == 0
        assert viewers(daemon) == 2


# A playhead that follows 30 pictures a second for half a minute; delays: of the pictures, in ms, over
# and over again. Becomes the delay of the playhead in ms, and whether its rate is 1 at the end.
FOLLOW = """
(async (delays) => {
    const {Edge} = await import('/page/edge.js');
    const edge = new Edge();
    const began = 1000; // of the page's clock
    let now = began + delays[0] / 1000, playhead = 0, rate = 1;
    for (let i = 0; i < 900; i++) {
        const next = Math.max(now, began + i / 30 + delays[i %% delays.length] / 1000);
        playhead += rate * (next - now);
        now = next;
        edge.note(i / 30, now);
        rate = edge.rate(edge.behind(playhead, now), rate);
    }
    return [1000 * (now - began - playhead), rate];
})(%s)
"""


def test_the_playhead_waits_for_all_but_a_few_pictures(tab, start_camcastd):
    page = tab(url(start_camcastd(config())))
    follow = lambda delays: page.evaluate(FOLLOW % delays)  # noqa: E731
    close = lambda delays, ms: abs(follow(delays)[0] - ms) <= 11  # noqa: E731
    assert close([15], 35)
    assert follow([15])[1] == 1
    assert close([200], 220)  # late, but evenly
    assert close([15] * 99 + [45], 35)
    assert close([15] * 29 + [45], 65)  # key pictures
    assert close([15, 45, 30, 15, 30], 65)
    assert close([15] * 99 + [400], 135)  # not for those that a hitch holds up


# The pictures that are said to be left out of 20 that come one a second, and of 20 without two.
SLOW = """
(async () => {
    const {Stats} = await import('/page/stats.js');
    let now = 0;
    performance.now = () => now;
    try {
        return [20, 10].map((gap) => {
            const stats = new Stats();
            stats.begin(1);
            for (let i = 0; i < 20; i++, now += 1000)
                if (i !== gap && i !== gap + 1)
                    stats.noteReceived(i);
            return stats.dropped;
        });
    } finally {
        delete performance.now;
    }
})()
"""


def test_a_slow_camera_does_not_seem_to_lose_pictures(tab, start_camcastd):
    assert tab(url(start_camcastd(config()))).evaluate(SLOW) == [0, 2]


# The server's clock in ms, as the page knows it after answers with these times, each of which takes
# longer than the one before.
CLOCK = """
(async (times) => {
    const {getJson, clockOffset} = await import('/page/api.js?alone');
    const {fetch} = window;
    for (const [i, ms] of times.entries()) {
        const answer = JSON.stringify({clock: {monotonic_us: 1000 * ms, realtime_us: 0}});
        window.fetch = async () => {
            await new Promise((done) => setTimeout(done, 20 * i));
            return new Response(answer);
        };
        await getJson('/api/clock').finally(() => { window.fetch = fetch; });
    }
    return performance.now() + clockOffset();
})(%s)
"""


def test_a_machine_that_starts_again_has_another_clock(tab, start_camcastd):
    page = tab(url(start_camcastd(config())))
    assert page.evaluate(CLOCK % [5e8, 5e8, 5e8, 9000]) == pytest.approx(9000, abs=5000)


# Pictures of one grey each, of which every second one has pixels that are no squares, are painted as
# they come. Becomes what the canvas shows after each: width, and red, green and blue in the middle.
PAINT = """
(async () => {
    const {Painter} = await import('/page/painter.js');
    const canvas = document.createElement('canvas'), painter = new Painter(canvas), shown = [];
    for (let i = 0; i < 40; i++) {
        const data = new Uint8Array(64 * 48 * 3 / 2).fill(128).fill(16 + 5 * i, 0, 64 * 48);
        const frame = new VideoFrame(data, {format: 'I420', codedWidth: 64, codedHeight: 48,
            timestamp: i, ...(i % 2 && {displayWidth: 96, displayHeight: 48})});
        painter.paint(frame, () => shown.push([canvas.width,
            ...canvas.getContext('2d').getImageData(30, 20, 1, 1).data.slice(0, 3)]));
    }
    while (shown.length < 40)
        await new Promise((done) => setTimeout(done, 10));
    return shown;
})()
"""


def test_pictures_are_drawn_alike_in_both_ways(tab, start_camcastd):
    page = tab(url(start_camcastd(config())))
    if not page.evaluate("'VideoDecoder' in window"):
        pytest.skip("this browser has no WebCodecs")
    for i, (width, *colour) in enumerate(page.evaluate(PAINT)):
        assert width == (96 if i % 2 else 64)
        assert all(abs(one - 5 * i * 255 / 219) <= 3 for one in colour), (i, colour)


def test_a_tab_in_the_background_comes_back_to_the_present(tab, start_camcastd):
    daemon = start_camcastd(config())
    page = tab(url(daemon))
    page.wait_live("one")
    tab("about:blank")  # in front of it
    time.sleep(8)  # longer than a hidden page plays on
    began = time.monotonic()
    page.show()
    page.wait(
        f"{page.tile('one')}.dataset.state === 'live' && "
        f"{page.tile('one')}.facts().lag < {500 * harness.PATIENCE}",
        "the present",
    )
    assert time.monotonic() - began < 2 * harness.PATIENCE
    assert_moves(page, "one")


class Relay:
    """A TCP relay to a port; `rate` in bytes a second limits what comes from there, for all its
    connections together (None: no limit)."""

    def __init__(self, port):
        self.target = port
        self.rate = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
                far = socket.socket()
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
                far.connect(("127.0.0.1", self.target))
            except OSError:
                return
            for source, sink, slow in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pass, args=(source, sink, slow), daemon=True).start()

    def _pass(self, source, sink, slow):
        try:
            while data := source.recv(4096):
                sink.sendall(data)
                if slow and self.rate:
                    time.sleep(len(data) / self.rate)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for one in (source, sink):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.close()


def test_a_slow_link_loses_pictures_and_not_the_present(tab, start_camcastd):
    daemon = start_camcastd(config(size="640x360", framerate=30, cameras=["one"]))
    relay = Relay(daemon.http_port)
    page = tab(f"http://127.0.0.1:{relay.port}/")
    page.wait_live("one")
    assert_moves(page, "one")
    relay.rate = 12_000  # a third of the stream
    client = lambda: daemon.status()["clients"][0]  # noqa: E731
    daemon.wait_until(lambda: client()["dropped"] + client()["shed"] > 0, "dropped pictures", 40)
    for _ in range(3):
        page.wait_number("one", page.number("one"), timeout=30)
    relay.rate = None
    page.wait(f"{page.tile('one')}.facts().lag < {500 * harness.PATIENCE}", "the present", 30)
    assert_moves(page, "one")
    relay.close()


def test_sixteen_cameras_play_in_one_page(tab, start_camcastd, browser):
    names = [f"c{i}" for i in range(16)]
    text = config(cameras=names, size="160x96", framerate=5)
    for name in names:
        del text[f"stream {name}-jpeg"]
    daemon = start_camcastd(text)
    page = tab(url(daemon), width=1280, height=800)
    live = "document.querySelectorAll('.tile[data-state=live]').length"
    page.wait(f"{live} === 16", "pictures of 16 cameras", 60)
    for name in (names[0], names[15]):
        page.wait_number(name, page.number(name), 40)
    assert viewers(daemon) == 16
    assert page.evaluate("fetch(location.origin + '/healthz').then((answer) => answer.status)") in (
        200, 503,
    )
    page.screenshot(SHOTS / f"{browser.name}-sixteen.png")


FITS = """
(() => {
  const wide = document.scrollingElement.scrollWidth > innerWidth;
  const outside = [...document.querySelectorAll('button, h1, h2, .tile, select, dd, code')]
    .filter((one) => one.offsetParent && one.getBoundingClientRect().right > innerWidth + 1);
  return wide || outside.length ? outside.map((one) => one.outerHTML.slice(0, 80)).join() : 'fits';
})()
"""


def test_phones_and_languages(tab, start_camcastd, browser):
    daemon = start_camcastd(config(cameras=["porch", "garden", "drive"], control=True))
    for scheme, languages in (("dark", ["ko-KR"]), ("light", ["en-US"])):
        page = tab(
            url(daemon), width=390, height=844, phone=True, languages=languages, scheme=scheme
        )
        for name in ("porch", "garden", "drive"):
            page.wait_live(name)
        assert page.evaluate("document.querySelector('h1').textContent") == "정원 <b>"
        assert ("카메라 3대" in page.text()) == (languages == ["ko-KR"])
        assert page.evaluate(FITS) == "fits"
        page.screenshot(SHOTS / f"{browser.name}-phone-{scheme}.png")
        page.evaluate(f"{page.tile('porch')}.querySelectorAll('.buttons button')[2].click()")
        page.wait("document.querySelector('aside table') !== null", "list of viewers")
        assert page.evaluate(FITS) == "fits"
        assert "[object" not in page.text()
        page.screenshot(SHOTS / f"{browser.name}-phone-details-{scheme}.png")


# The next file that the page saves: window.saved becomes its name, and the size of the picture in it.
SAVED = """
(() => {
    const create = URL.createObjectURL;
    let blob;
    URL.createObjectURL = (object) => create.call(URL, blob = object);
    HTMLAnchorElement.prototype.click = async function () {
        const {width, height} = await createImageBitmap(blob);
        window.saved = [this.download, [width, height]];
    };
})()
"""


def test_keys_and_the_embedded_view(tab, start_camcastd):
    daemon = start_camcastd(config(cameras=["porch", "garden"]))
    page = tab(url(daemon))
    page.wait_live("porch")
    shown = """[...document.querySelectorAll('.tile:not([hidden])')]
        .map((tile) => tile.dataset.camera).join()"""
    page.press("2")
    assert page.evaluate(shown) == "garden"
    assert "camera=garden" in page.evaluate("location.search")
    page.press("Escape")
    assert page.evaluate(shown) == "porch,garden"
    page.press("ArrowRight")
    page.press("Enter")
    page.evaluate(SAVED)
    page.press("s")
    name, size = page.wait("window.saved", "a snapshot")
    assert re.fullmatch(r"(porch|garden)-\d{4}(-\d\d){2}T\d\d(-\d\d){2}\.jpg", name), name
    assert size == [320, 180]
    page.press("f")
    page.wait("document.fullscreenElement?.classList.contains('tile')", "full screen")
    page.press("f")
    page.wait("document.fullscreenElement === null", "the window")
    page.press("i")
    page.wait("document.querySelector('aside section') !== null", "details")
    page.press("p")
    page.wait("document.querySelector('.tile:not([hidden])').dataset.state === 'paused'", "pause")
    daemon.wait_until(lambda: viewers(daemon) == 0, "end of the streams")
    unlabelled = """[...document.querySelectorAll('button, input, select')].filter((one) =>
        one.offsetParent && !one.textContent && !one.ariaLabel && !one.closest('label')).length"""
    assert page.evaluate(unlabelled) == 0

    page = tab(url(daemon, "?camera=garden&embed=1"))
    page.wait_live("garden")
    assert page.evaluate(shown) == "garden"
    assert page.evaluate("getComputedStyle(document.getElementById('bar')).display") == "none"


def test_the_lines_of_players_are_there_to_copy(tab, start_camcastd, browser):
    """As docs/PLAYERS.md has them, which tests/docs.py checks."""
    daemon = start_camcastd(config(rtsp="127.0.0.1:0"))
    page = tab(url(daemon, "?camera=one"), height=2400)
    page.wait("document.querySelector('.tile') !== null", "a tile")
    page.press("i")
    page.wait("document.querySelectorAll('aside .recipe').length > 15", "the lines")
    lines = page.evaluate("""[...document.querySelectorAll('aside .recipe')].map((one) =>
        [one.querySelector('span').textContent, one.querySelector('code').textContent])""")
    over_rtsp = [(name, line) for name, line in lines if name.startswith("RTSP, ")]
    players = [re.fullmatch(r"RTSP, (\w+) · Latency \d+ ms", name)[1] for name, _ in over_rtsp]
    assert players == ["VLC", "ffplay", "ffmpeg", "mpv", "GStreamer", "OpenCV", "motion"]
    rtsp = f"rtsp://127.0.0.1:{daemon.rtsp_port}/one"
    assert all(line.count(rtsp) == 1 for _, line in over_rtsp), lines
    assert ["RTSP", f"{rtsp}-jpeg"] in lines
    assert sum(" · " in name for name, _ in lines) == 6 + 7
    page.screenshot(SHOTS / f"{browser.name}-players.png")


def test_a_slider_sets_a_control(tab, start_camcastd):
    settings = fakes.fake_config(daemon={"control": True})
    settings["camera cam"] = {"source": "libcamera:fake"}
    daemon = start_camcastd(settings, env=fakes.words())
    page = tab(url(daemon, "?camera=cam"))
    page.wait("document.querySelector('.tile') !== null", "a tile")
    page.press("i")
    slider = """[...document.querySelectorAll('aside label')]
        .find((label) => label.textContent.startsWith('brightness'))?.querySelector('input')"""
    page.wait(f"{slider} !== undefined", "a slider")
    page.evaluate(f"""{{
        const slider = {slider};
        slider.value = 0.25;
        slider.dispatchEvent(new Event('input'));
        slider.dispatchEvent(new Event('change'));
    }}""")
    daemon.wait_until(lambda: daemon.camera()["camera_reason"] == "0.25", "the worker's answer")
