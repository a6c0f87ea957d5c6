# SPDX-License-Identifier: BSD-2-Clause
"""What was done, whom it may have touched, what was seen, and the verdict."""
import dataclasses
import math
import statistics
import threading
import time

WAIT_S = 0.3  # crowd.py reports longer waits only
TAIL = 25


def matches(pattern, who):
    """A pattern touches all that does not differ from it: {"server": "epoll"} everything of that
    server, its health and its recording included."""
    return all(who.get(key, value) == value for key, value in pattern.items())


@dataclasses.dataclass
class Round:
    """One fault, or two at the same time, from its beginning to the recovery."""

    names: list
    text: str
    touches: list
    start: float
    healed: float = math.inf
    end: float = math.inf
    touched: int = 0
    recovery: float = None
    longest: float = 0.0  # wait of a viewer that was not touched

    def covers(self, who, start, end):
        return (
            start <= self.end
            and end >= self.start
            and any(matches(pattern, who) for pattern in self.touches)
        )


class Ledger:
    """Thread-safe. Times are CLOCK_MONOTONIC seconds."""

    def __init__(self, seed, command, logs):
        self.seed, self.command, self._logs = seed, command, logs
        self.begun = time.monotonic()
        self.rounds, self.failures = [], []
        self.passed, self.excused = 0, 0
        self._lock = threading.Lock()

    def touched(self, who, start, end):
        with self._lock:
            return any(one.covers(who, start, end) for one in reversed(self.rounds))

    def begin(self, names, text, touches):
        with self._lock:
            self.rounds.append(Round(names, text, touches, time.monotonic()))
            print(f"[{self.clock()}] {text}", flush=True)
            return self.rounds[-1]

    def clock(self, at=None):
        seconds = (at or time.monotonic()) - self.begun
        return f"{int(seconds // 60)}:{seconds % 60:04.1f}"

    def check(self, good, what):
        """Counts a check. A failed one is printed with all that is needed to understand it."""
        with self._lock:
            if good:
                self.passed += 1
                return True
            self.failures.append(f"[{self.clock()}] {what}")
            first = len(self.failures) == 1
        print(f"FAILED at {self.clock()} (SEED={self.seed}): {what}", flush=True)
        if first:
            self.print_history()
        return False

    def print_history(self):
        print(f"  again: {self.command}\n  faults until then:")
        for one in self.rounds[-12:]:
            healed = "" if math.isinf(one.healed) else f", healed {self.clock(one.healed)}"
            ended = "" if math.isinf(one.end) else f", recovered {self.clock(one.end)}"
            print(f"    [{self.clock(one.start)}{healed}{ended}] {one.text}")
        for name, lines in self._logs():
            print(f"  the log of {name}:")
            for line in lines[-TAIL:]:
                print(f"    {line}")
        print(flush=True)

    def table(self):
        """Markdown: one row for each kind of fault."""
        rows = [
            "| fault | times | viewers touched | longest gap of an untouched viewer "
            "| recovery, median / max |",
            "|---|---|---|---|---|",
        ]
        kinds = {}
        for one in self.rounds[1:]:  # behind the start of the world
            kinds.setdefault(" + ".join(one.names), []).append(one)
        for name, rounds in sorted(kinds.items()):
            longest = max(one.longest for one in rounds)
            times = [one.recovery for one in rounds if one.recovery is not None]
            gap = f"{longest:.1f} s" if longest else f"under {WAIT_S} s"
            median = f"{statistics.median(times):.1f} s / {max(times):.1f} s" if times else "never"
            touched = max(one.touched for one in rounds)
            rows.append(f"| {name} | {len(rounds)} | {touched} | {gap} | {median} |")
        return "\n".join(rows)

    def finish(self):
        """Prints the verdict; returns the exit status."""
        if self.failures:
            print(f"\n{len(self.failures)} failures, SEED={self.seed}; again: {self.command}")
            for text in self.failures[:20]:
                print(f"  {text.splitlines()[0]}")
        print(f"\n{self.passed} passed, {len(self.failures)} failed", flush=True)
        return 1 if self.failures or not self.passed else 0
