# SPDX-License-Identifier: BSD-2-Clause
"""The web page in Debian's Chromium and Firefox: how old a picture is when it is shown, how often
playback stops or jumps, how soon there is a picture after a gap, and whether anything grows. Prints
the tables of "The web page" in docs/BENCHMARKS.md.

    make bench-page
    make bench-page MINUTES=20         growth alone
    /usr/bin/python3 bench/page.py [lag] [gap] [growth] [--browsers chromium,firefox]
        [--transports mse,webcodecs] [--seconds 30] [--rounds 3] [--minutes 20]

The time of a picture is from its capture to the moment at which the browser presents it
(requestVideoFrameCallback), or has drawn it (WebCodecs): the screen's own delay is not in
it. The server, the browser and its drawing without a graphics card share the machine, which should
be quiet otherwise.
"""
import argparse
import contextlib
import os
import pathlib
import signal
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e/lib"))
# pylint: disable=wrong-import-position
import browser as browsers
import harness
import page_memory as memory

SETTLE_S = 5
BEGIN = """
(() => {
  const tile = document.querySelector('.tile'), video = document.querySelector('video');
  window.counts = {waiting: 0, seeking: 0};
  for (const name of Object.keys(counts)) video?.addEventListener(name, () => counts[name]++);
  tile.facts().lags.length = 0;
})()
"""
END = """
(() => {
  const {lags, dropped, transport, reconnects} = document.querySelector('.tile').facts();
  return {...counts, lags, dropped, transport, reconnects};
})()
"""
# The rest of the player's queues, and what the browser keeps.
BUFFERED = """
(() => {
  const {buffered} = document.querySelector('video');
  let seconds = 0;
  for (let i = 0; i < buffered.length; i++) seconds += buffered.end(i) - buffered.start(i);
  return seconds;
})()
"""


def config(options):
    return {
        "daemon": {"name": "bench", "http": "127.0.0.1:0"},
        "camera one": {
            "source": "pattern", "size": options.size, "framerate": options.framerate
        },
        "stream one": {"camera": "one", "bitrate": options.bitrate, "keyframe_interval": 30},
        "stream one-jpeg": {"camera": "one", "codec": "mjpeg", "on_demand": True},
    }


def share_priority(pid):
    """Gives the threads of these processes at least the priority of this one: Chromium sets those of
    its own threads, so that `nice` would favour the server alone."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    for process in memory.tree(pid):
        with contextlib.suppress(OSError):  # it has ended
            for thread in map(int, os.listdir(f"/proc/{process}/task")):
                if os.getpriority(os.PRIO_PROCESS, thread) > own:
                    os.setpriority(os.PRIO_PROCESS, thread, own)


@contextlib.contextmanager
def playing(options, name, transport):
    """A tab that shows the camera, after the start has settled."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        daemon = stack.enter_context(harness.Camcastd(config(options), pathlib.Path(folder)))
        browser = stack.enter_context(browsers.Browser(name))
        tab = browser.open(f"http://127.0.0.1:{daemon.http_port}/")
        if transport != "mse":
            tab.evaluate(f"localStorage.setItem('transport one', '{transport}')")
            tab.reload()
        tab.wait_live("one")
        time.sleep(SETTLE_S)
        share_priority(browser.process.pid)
        yield daemon, browser, tab


def share(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def measure_lag(options):
    print(f"\nCapture to display, {options.size} at {options.framerate} fps, ms; "
          f"{options.rounds} rounds of {options.seconds} s\n")
    print("| browser | transport | median | 95 % below | worst | pictures shown a second | stops "
          "| jumps | dropped | load |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in options.browsers:
        for transport in options.transports:
            rounds = []
            for _ in range(options.rounds):
                with playing(options, name, transport) as (_, _, tab):
                    if transport == "webcodecs" and not tab.evaluate("'VideoDecoder' in window"):
                        continue
                    before = tab.facts("one")["dropped"]
                    tab.evaluate(BEGIN)
                    time.sleep(options.seconds)
                    facts = tab.evaluate(END)
                    assert facts["transport"] == transport, facts["transport"]
                    facts["dropped"] -= before
                    rounds.append(facts)
            if not any(one["lags"] for one in rounds):  # no times in this transport
                continue
            lags = [lag for one in rounds for lag in one["lags"]]
            total = lambda key: sum(one[key] for one in rounds)  # noqa: E731
            print(f"| {name} | {transport} "
                  f"| {statistics.median(share(one['lags'], 0.5) for one in rounds):.0f} "
                  f"| {statistics.median(share(one['lags'], 0.95) for one in rounds):.0f} "
                  f"| {max(lags):.0f} | {len(lags) / len(rounds) / options.seconds:.1f} "
                  f"| {total('waiting')} | {total('seeking')} | {total('dropped')} "
                  f"| {os.getloadavg()[0]:.1f} |", flush=True)


def measure_gap(options):
    """The worker is killed: the stream has a gap, and goes on with a key picture."""
    print("\nAfter a gap: from the arrival of the key picture at the page to the first picture that "
          "is shown, ms, and which one that is (0: the key picture)\n")
    print("| browser | rounds | median | worst | pictures | load |\n|---|--:|--:|--:|---|--:|")
    for name in options.browsers:
        with playing(options, name, "mse") as (daemon, _, tab):
            gaps = []
            for _ in range(4 * options.rounds):
                tab.evaluate(browsers.WATCH_GAP)
                os.kill(daemon.workers()[0], signal.SIGKILL)
                gaps.append(tab.wait("window.gap?.after ? window.gap : null", "picture", 30))
                time.sleep(SETTLE_S)
            after = [one["after"] for one in gaps]
            print(f"| {name} | {len(gaps)} | {statistics.median(after):.0f} | {max(after):.0f} "
                  f"| {', '.join(str(one['picture']) for one in gaps)} "
                  f"| {os.getloadavg()[0]:.1f} |", flush=True)


def print_growth(minute, name, daemon, browser, tab, clean=False):
    pids = memory.tree(browser.process.pid)
    page = memory.page_process(name, pids)
    if name == "firefox":
        javascript = memory.firefox_javascript(pids, page, clean)
    else:
        javascript = tab.evaluate("performance.memory.usedJSHeapSize")
    facts = tab.facts("one")
    said = "" if javascript is None else f"{javascript / 1e6:.1f}"
    print(f"| {name} | {minute}{', cleaned' if clean else ''} "
          f"| {sum(map(memory.pss, pids)) / 1e6:.0f} | {memory.pss(page) / 1e6:.0f} | {said} "
          f"| {tab.evaluate(BUFFERED):.1f} | {memory.descriptors(pids)} "
          f"| {memory.descriptors([daemon.process.pid])} | {memory.queued(daemon.http_port) / 1e3:.1f} "
          f"| {facts['waiting']} | {facts['reconnects']} |", flush=True)


def measure_growth(options):
    print(f"\nWhat grows in {options.minutes} minutes, {options.size} at {options.framerate} fps. "
          "Memory in MB (PSS) of all processes of the browser, of the page's alone, and of its "
          "JavaScript; the buffer of MSE in s; descriptors of the browser and of camcastd; bytes "
          "that wait in sockets, KB; messages that wait in the page\n")
    print("| browser | minute | processes | page | JavaScript | buffer | descriptors | camcastd's "
          "| queued | waiting | reconnects |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    with contextlib.ExitStack() as stack:
        played = [(name, *stack.enter_context(playing(options, name, "mse")))
                  for name in options.browsers]
        began = time.monotonic()
        minutes = {one for one in (1, 2, 5, 10, 15, 20, options.minutes) if one <= options.minutes}
        for minute in sorted(minutes):
            time.sleep(max(0, began + 60 * minute - time.monotonic()))
            for one in played:
                print_growth(minute, *one)
        for one in played:
            if one[0] == "firefox":
                print_growth(options.minutes, *one, clean=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="lag|gap|growth", default=["lag", "gap"])
    parser.add_argument("--browsers", default="chromium,firefox", type=lambda one: one.split(","))
    parser.add_argument("--transports", default="mse,mse_http,webcodecs",
                        type=lambda one: one.split(","))
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--framerate", type=int, default=30)
    parser.add_argument("--bitrate", type=int, default=2000000)
    options = parser.parse_args()
    parts = {"lag": measure_lag, "gap": measure_gap, "growth": measure_growth}
    for part in options.parts:
        parts[part](options)


if __name__ == "__main__":
    main()
