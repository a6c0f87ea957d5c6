# SPDX-License-Identifier: BSD-2-Clause
"""Eyes on the world while faults happen. Each watcher collects on a thread; judge() compares what
it saw with what the ledger says was touched; recovered(since) says whether its part works."""
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request

import harness
import world as worlds

# Longer waits than this are failures of the untouched; time, so that PATIENCE scales it.
WAIT_BOUND_S = 1.5 * harness.PATIENCE
NOT_ASKED = "not asked yet"
LATE_RECENT_S = 10
LATE_EXCUSES_S = 0.5  # a crowd that did not read for so long may have lost pictures by itself


class CrowdWatcher:
    """The events of the crowds."""

    def __init__(self, world, ledger):
        self.ledger, self.crowds = ledger, world.crowds
        self.viewers = {}
        self._events, self._states, self._late = [], {}, {}
        self.samples = []
        self._lock = threading.Lock()
        for crowd in world.crowds:
            self.viewers.update(crowd.viewers)
            self._late[crowd.place] = []
            threading.Thread(target=self._read, args=(crowd,), daemon=True).start()

    def _read(self, crowd):
        for line in crowd.process.stdout:
            event = json.loads(line)
            with self._lock:
                if event["event"] == "state":
                    self._states[crowd.place] = event
                elif event["event"] == "late":
                    self._late[crowd.place].append((event["start"], event["at"]))
                elif event["event"] == "sample":
                    self.samples.append(event)
                else:
                    self._events.append(event)

    def take_samples(self):
        with self._lock:
            taken, self.samples = self.samples, []
        return taken

    def states(self):
        with self._lock:
            return dict(self._states)

    def count(self, touches):
        """How many viewers these patterns touch."""
        return sum(
            any(matches_viewer(pattern, viewer) for pattern in touches)
            for viewer in self.viewers.values()
        )

    def _lateness(self, place, start, end):
        with self._lock:
            late = self._late[place]
            return sum(max(0, min(end, b) - max(start, a)) for a, b in late[-200:])

    def idle(self, since):
        """Names of judged viewers that are not served, or None: not known yet."""
        states = self.states()
        if len(states) < len(self._late) or any(s["at"] < since + 1.6 for s in states.values()):
            return None
        return [name for state in states.values() for name in state["idle"]]

    def recovered(self, since):
        return self.idle(since) == []

    def what_is_missing(self):
        if dead := [crowd.place for crowd in self.crowds if crowd.process.poll() is not None]:
            return f"the crowds {dead} ended by themselves; see crowd-*.log"
        idle = [item for state in self.states().values() for item in state["idle"].items()]
        return f"{len(idle)} viewers without pictures, for seconds: {dict(idle[:10])}"

    def judge(self, current):
        """Of all events until now. Returns when the last touched viewer was served again."""
        with self._lock:
            events, self._events = self._events, []
        served, bad = current.start, []
        for event in events:
            viewer = self.viewers[event["viewer"]]
            kind, at = event["event"], event["at"]
            start = event.get("start", at)
            if kind in ("broken", "malformed"):
                self.ledger.check(False, f"{event['viewer']}: {json.dumps(event)}")
            elif self.ledger.touched(viewer, start, at):
                if at >= current.start and kind in ("wait", "closed"):
                    served = max(served, at)
            elif viewer["kind"] in ("plain", "half") or kind == "wait":
                bad += self._untouched(event, viewer, start, at, current)
        for text in bad[:3]:
            self.ledger.check(False, text + (f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""))
        if not bad:
            self.ledger.check(True, "")
        return served

    def _untouched(self, event, viewer, start, at, current):
        """[a text] if this should not have happened to a viewer that no fault may touch."""
        if event["event"] == "wait":
            wait = at - start - self._lateness(viewer["place"], start, at)
            current.longest = max(current.longest, wait)
            if wait <= WAIT_BOUND_S:
                return []
            return [f"{event['viewer']}, untouched, waited {wait:.2f} s from "
                    f"{self.ledger.clock(start)} to {self.ledger.clock(at)}"]  # fmt: skip
        if self._lateness(viewer["place"], at - LATE_RECENT_S, at) > LATE_EXCUSES_S:
            self.ledger.excused += 1
            return []
        return [f"{event['viewer']}, untouched: {json.dumps(event)}, at {self.ledger.clock(at)}"]


def matches_viewer(pattern, viewer):
    return all(viewer.get(key) == value for key, value in pattern.items())


class Poller:
    """Asks something every `period` seconds on a thread: ask() returns None if all is well, else
    what is wrong; `who` is what a fault must touch to be an excuse."""

    period = 0.5

    def __init__(self, ledger, who):
        self.ledger, self.who = ledger, who
        self.wrong, self.bad_since, self.asked = NOT_ASKED, time.monotonic(), 0.0
        self._bad = []  # (from, to, why)
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            before = time.monotonic()
            try:
                wrong = self.ask()
            except (OSError, ValueError, AssertionError, subprocess.SubprocessError) as error:
                wrong = f"{type(error).__name__}: {error}"
            with self._lock:
                now = time.monotonic()
                if wrong and not self.wrong:
                    self.bad_since = before
                if self.wrong and not wrong and self.wrong is not NOT_ASKED:
                    self._bad.append((self.bad_since, now, self.wrong))
                self.wrong = wrong
                self.asked = before
            time.sleep(self.period)

    def ask(self):
        raise NotImplementedError

    def recovered(self, since):
        with self._lock:
            return not self.wrong and self.asked > since

    def what_is_missing(self):
        return f"{self.name()}: {self.wrong}"

    def name(self):
        return f"{self.who['kind']} of {self.who.get('server', 'all')}"

    def judge(self, current):
        with self._lock:
            spans, self._bad = self._bad, []
            if self.wrong:
                spans.append((self.bad_since, time.monotonic(), self.wrong))
        served = current.start
        bound = WAIT_BOUND_S * 2
        for start, end, why in spans:
            if self.ledger.touched(self.who, start, end):
                served = max(served, end)
            elif end - start > bound:
                text = f"{self.name()}, untouched, failed for {end - start:.1f} s: {why}"
                self.ledger.check(False, text)
        self.ledger.check(True, "")
        return served


class Health(Poller):
    """/healthz and /status.json of a server."""

    def __init__(self, world, ledger, backend):
        self.url = f"http://127.0.0.1:{world.port(backend)}"
        super().__init__(ledger, {"kind": "health", "server": backend, "place": "home"})

    def ask(self):
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
                pass
            with urllib.request.urlopen(f"{self.url}/status.json", timeout=5) as answer:
                json.load(answer)
            return None
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read().decode(errors='replace').strip()}"


class Discovery(Poller):
    """What `camcast discover` finds."""

    period = 2

    def __init__(self, world, ledger):
        self.world = world
        super().__init__(ledger, {"kind": "discovery", "camera": "none", "place": "home"})

    def ask(self):
        found = self.world.discover()
        return None if found == sorted(self.world.backends) else f"online are {found}"


class Window(Poller):
    """The tile of a server in `camcast view`."""

    def __init__(self, world, ledger, backend):
        self.world, self.backend = world, backend
        who = {"kind": "view", "server": backend, "place": "home"}
        super().__init__(ledger, {**who, "camera": "front", "stream": "front-h264"})

    def ask(self):
        view = self.world.view
        if not view.reports:
            return "no report yet"
        tiles = {tile["name"]: tile for tile in view.reports[-1]["tiles"]}
        del view.reports[:-2]
        tile = tiles.get(self.backend)
        if not tile:
            return f"tiles are {sorted(tiles)}"
        return None if tile["state"] == "live" and tile["fps"] > 1 else f"{tile}"


class Player(Poller):
    """A player of others that ends at any fault of its stream: ffmpeg -xerror, or GStreamer."""

    COMMANDS = {
        "ffmpeg": "ffmpeg -nostdin -v error -xerror -f h264 -i tcp://{host}:{port} -f null -",
        "gstreamer": "gst-launch-1.0 -q tcpclientsrc host={host} port={port} ! h264parse ! "
        "avdec_h264 ! fakesink sync=false",
    }

    def __init__(self, world, ledger, backend, program):
        port = world.port(backend, worlds.STREAMS["front-h264"][1]["annexb"])
        self.command = self.COMMANDS[program].format(host=worlds.HOME, port=port).split()
        self.process, self.started = None, 0.0
        who = {"kind": program, "server": backend, "place": "home"}
        super().__init__(ledger, {**who, "camera": "front", "stream": "front-h264"})

    def ask(self):
        wrong = None
        if self.process is not None and self.process.poll() is not None:
            said = self.process.stderr.read().decode(errors="replace").strip()
            wrong = f"ended with {self.process.returncode}: {said[-300:]}"
        if self.process is None or wrong:
            self.started = time.monotonic()
            # The thread of a Poller lives as long as the soak.
            self.process = harness.start(
                self.command,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        return wrong

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
