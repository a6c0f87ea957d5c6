#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The soak: a world of servers and viewers, faults from a seed, and the promises checked meanwhile.

    soak.py [--minutes 3] [--seed N] [--backend epoll|io_uring|both] [--only NAME,...] [--keep]

docs/RELIABILITY.md describes it. Needs root. The last line is "N passed, N failed".
"""
import argparse
import faulthandler
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e/lib"), str(HERE)]
import archive  # noqa: E402  (after the path is set)
import faults  # noqa: E402
import harness  # noqa: E402
import netns  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import resources  # noqa: E402
import watchers  # noqa: E402
import world as worlds  # noqa: E402

RECOVERY_S = 10 * harness.PATIENCE
QUIET_S = 2.0  # after each recovery, in which nothing may happen
WARM_UP_S = 20 * harness.PATIENCE


class Soak:
    def __init__(self, world, ledger, seed, only):
        self.world, self.ledger = world, ledger
        self.random = random.Random(seed)
        self.kinds = list(self._possible(only))
        if not self.kinds:
            sys.exit("soak: this machine can have none of these faults")
        self.crowd = watchers.CrowdWatcher(world, ledger)
        self.recordings = [archive.Recordings(world, ledger, one) for one in world.backends]
        self.checker = archive.Checker(archive.Samples(ledger, self.crowd), *self.recordings)
        self.resources = resources.Resources(world, ledger)
        self.players = [
            watchers.Player(world, ledger, backend, program)
            for backend in world.backends
            for program in watchers.Player.COMMANDS
        ]
        self.watchers = [self.crowd, *self.recordings, *self.players]
        for backend in world.backends:
            self.watchers += [
                watchers.Health(world, ledger, backend),
                watchers.Window(world, ledger, backend),
            ]
        self.watchers.append(watchers.Discovery(world, ledger))

    def _possible(self, only):
        """The kinds of faults that this machine can have; those that it cannot are named."""
        for kind in faults.ALL + peers.ALL:
            if only and kind.name not in only:
                continue
            if why := kind.why_unavailable(self.world):
                print(f"left out: {kind.name}: {why}", flush=True)
            else:
                yield kind

    def draw(self):
        """The next faults: one, or sometimes two of different kinds at the same time."""
        count = 2 if self.random.random() < 0.2 else 1
        drawn = []
        for _ in range(count):
            kind = self.random.choices(self.kinds, [kind.weight for kind in self.kinds])[0]
            parts = [one.alone_with for one in drawn if one.alone_with]
            if kind not in [type(one) for one in drawn] and kind.alone_with not in parts:
                drawn.append(kind(self.world, random.Random(self.random.getrandbits(64))))
        return drawn

    def wait_recovered(self, since, bound):
        """What still does not work after `bound` seconds."""
        deadline = time.monotonic() + bound
        while missing := [one for one in self.watchers if not one.recovered(since)]:
            if time.monotonic() > deadline:
                return [one.what_is_missing() for one in missing]
            time.sleep(0.1)
        return []

    def warm_up(self):
        first = self.ledger.begin(["start"], "the world begins", [{}])
        missing = self.wait_recovered(time.monotonic(), WARM_UP_S)
        self.ledger.check(not missing, f"the world does not begin: {missing}")
        for _ in range(6):
            self.resources.learn()
            time.sleep(0.5)
        first.healed = first.end = time.monotonic()
        self.judge(first)
        first.recovery = first.end - first.start
        self.checker.start()
        return not missing

    def judge(self, current):
        return max(one.judge(current) for one in self.watchers)

    def round(self, drawn):
        patterns = [pattern for one in drawn for pattern in one.touches()]
        text = ", and ".join(one.text() for one in drawn)
        current = self.ledger.begin([one.name for one in drawn], text, patterns)
        current.touched = self.crowd.count(patterns)
        for one in drawn:
            one.prepare()
        for one in drawn:
            self.attempt(one.text(), one.inject)
        for one in sorted(drawn, key=lambda one: one.hold_s):
            time.sleep(max(0, current.start + one.hold_s - time.monotonic()))
            self.attempt(one.text(), one.heal)
        current.healed = time.monotonic()
        self.finish(current, drawn)

    def attempt(self, what, action):
        try:
            action()
        except AssertionError as error:  # a program or a tool did not do what it should
            self.ledger.check(False, f"{what}: {error}")

    def finish(self, current, drawn):
        bound = RECOVERY_S + max(one.tail_s for one in drawn)
        deadline = time.monotonic() + bound
        while left := [one.text() for one in drawn if not one.is_over()]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        self.ledger.check(not left, f"not over within {bound:.0f} s: {left}")
        missing = self.wait_recovered(time.monotonic(), max(1, deadline - time.monotonic()))
        self.ledger.check(not missing, f"no recovery within {bound:.0f} s: {missing}")
        time.sleep(QUIET_S / 2)  # events of the recovery may still be on their way
        current.end = time.monotonic()
        time.sleep(QUIET_S / 2)
        served = self.judge(current)
        if not missing:
            current.recovery = max(0, served - current.healed)
        self.resources.judge()

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.round(self.draw())

    def stop(self):
        print(f"[{self.ledger.clock()}] the end", flush=True)
        for player in self.players:
            player.stop()
        for text in self.world.stop():
            self.ledger.check(False, f"at the end: {text}")
        self.checker.stop()
        for one in self.recordings:
            for _ in one.check(everything=True):
                pass


def backends(wanted):
    if harness.io_uring_errno() and wanted != "epoll":
        if wanted == "io_uring":
            sys.exit("soak: this machine has no io_uring")
        wanted = "epoll"
    return ["epoll", "io_uring"] if wanted == "both" else [wanted]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--backend", choices=("epoll", "io_uring", "both"), default="both")
    parser.add_argument("--only", default="", help="names of faults, separated by commas")
    parser.add_argument("--keep", action="store_true", help="keep the folder of the run")
    options = parser.parse_args()
    only = [name for name in options.only.split(",") if name]
    if unknown := set(only) - {kind.name for kind in faults.ALL + peers.ALL}:
        parser.error(f"there are no faults named {sorted(unknown)}")
    command = f"make soak MINUTES={options.minutes:g} SEED={options.seed} BACKEND={options.backend}"
    print(f"SEED={options.seed}; again: {command}", flush=True)
    faulthandler.register(signal.SIGUSR1)  # prints what every thread does
    harness.allow_many_files()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="camcast-soak-"))
    try:
        world = worlds.World(folder, backends(options.backend), options.seed)
    except netns.Unavailable as error:
        sys.exit(f"soak: no namespaces ({error}); it needs root")
    ledger = report.Ledger(options.seed, command, world.logs)
    try:
        world.start()
        soak = Soak(world, ledger, options.seed, only)
        if soak.warm_up():
            soak.run(options.minutes * 60)
        soak.stop()
    finally:
        world.close()
    print(f"\n{ledger.table()}\n")
    recorded = sum(one.seconds for one in soak.recordings)
    print(f"{len(soak.crowd.viewers)} viewers of {len(world.servers)} servers, {recorded:.0f} s of "
          f"recordings, {ledger.excused} losses of viewers that did not run in time")  # fmt: skip
    if ledger.failures or options.keep:
        print(f"kept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)  # the disk itself goes with this process
    os._exit(ledger.finish())  # the threads of the watchers never end


if __name__ == "__main__":
    main()
