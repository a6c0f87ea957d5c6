# SPDX-License-Identifier: BSD-2-Clause
"""The web page in Debian's Chromium and Firefox: how old a picture is when it is shown, how often
playback stops or jumps, and whether memory grows. Prints the tables of "The web page" in
docs/BENCHMARKS.md.

    make bench-page
    /usr/bin/python3 bench/page.py [lag] [growth] [--browsers chromium,firefox]
        [--transports mse,webcodecs] [--seconds 30] [--rounds 3] [--minutes 20]

The time of a picture is from its capture to the moment at which the browser presents it
(requestVideoFrameCallback), or has drawn it (WebCodecs, MJPEG): the screen's own delay is not in
it. The server, the browser and its drawing without a graphics card share the machine, which should
be quiet otherwise.
"""
import argparse
import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e/lib"))
# pylint: disable=wrong-import-position
import browser as browsers
import harness

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


def config(options):
    return {
        "daemon": {"name": "bench", "http": "127.0.0.1:0"},
        "camera one": {
            "source": "pattern", "size": options.size, "framerate": options.framerate
        },
        "stream one": {"camera": "one", "bitrate": options.bitrate, "keyframe_interval": 30},
        "stream one-jpeg": {"camera": "one", "codec": "mjpeg", "on_demand": True},
    }


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
            if not rounds:
                continue
            lags = [lag for one in rounds for lag in one["lags"]]
            total = lambda key: sum(one[key] for one in rounds)  # noqa: E731
            print(f"| {name} | {transport} "
                  f"| {statistics.median(share(one['lags'], 0.5) for one in rounds):.0f} "
                  f"| {statistics.median(share(one['lags'], 0.95) for one in rounds):.0f} "
                  f"| {max(lags):.0f} | {len(lags) / len(rounds) / options.seconds:.1f} "
                  f"| {total('waiting')} | {total('seeking')} | {total('dropped')} "
                  f"| {os.getloadavg()[0]:.1f} |", flush=True)


def tree_rss(pid):
    """Resident bytes of a process and its descendants; pages that they share count once (PSS)."""
    total = 0
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += 1024 * int(line.split()[1])
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                total += tree_rss(int(child))
    return total


def measure_growth(options):
    print(f"\nMemory of the browser's processes in {options.minutes} minutes, MB (PSS), and of the "
          "page's JavaScript (Chromium)\n")
    print("| browser | minute | processes | JavaScript | reconnects |\n|---|--:|--:|--:|--:|")
    with contextlib.ExitStack() as stack:
        played = [(name, *stack.enter_context(playing(options, name, "mse")))
                  for name in options.browsers]
        began = time.monotonic()
        minutes = [2, 5, 10, 15, options.minutes]
        for minute in sorted({one for one in minutes if one <= options.minutes}):
            time.sleep(max(0, began + 60 * minute - time.monotonic()))
            for name, _, browser, tab in played:
                heap = tab.evaluate("performance.memory?.usedJSHeapSize ?? null")
                print(f"| {name} | {minute} | {tree_rss(browser.process.pid) / 1e6:.0f} "
                      f"| {'' if heap is None else f'{heap / 1e6:.1f}'} "
                      f"| {tab.facts('one')['reconnects']} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["lag"])
    parser.add_argument("--browsers", default="chromium,firefox", type=lambda one: one.split(","))
    parser.add_argument("--transports", default="mse,mse_http,webcodecs,mjpeg",
                        type=lambda one: one.split(","))
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--framerate", type=int, default=30)
    parser.add_argument("--bitrate", type=int, default=2000000)
    options = parser.parse_args()
    for part in options.parts:
        {"lag": measure_lag, "growth": measure_growth}[part](options)


if __name__ == "__main__":
    main()
