# SPDX-License-Identifier: BSD-2-Clause
"""Memory, descriptors and threads of all programs of camcast, by role, and the length of their
logs. A role keeps its limits when a fault puts another process in its place."""
import os
import pathlib
import time

import harness

LINES_PER_MINUTE = 300
LINES_AT_ONCE = 200
# What each may exceed its first figure by: memory of its own, shared memory files, descriptors.
SLACK = {"anon_kb": 12 << 10, "pss_kb": 24 << 10, "memfds": 12, "fds": 24, "threads": 4}
SETTLE_S = 15 * harness.PATIENCE


def figures(pid):
    """{figure: value} of a process; {} if it is gone."""
    found = {"fds": 0, "memfds": 0}
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            found["fds"] += 1
            found["memfds"] += "/memfd:" in os.readlink(entry.path)
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                found["pss_kb"] = int(line.split()[1])
            elif line.startswith("Pss_Anon:"):
                found["anon_kb"] = int(line.split()[1])
        found["threads"] = len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return {}
    return found


def roles(world):
    """{role: (pid, descriptors that belong to its viewers)}"""
    found = {}
    for backend, server in world.servers.items():
        status = server.status()
        found[f"camcastd {backend}"] = (server.process.pid, status["clients_total"])
        for camera in status["cameras"]:
            if camera["pid"]:
                found[f"worker {camera['name']} of {backend}"] = (camera["pid"], 0)
    found["record"] = (world.recorder.process.pid, 0)
    for name, pid in world.recorder.children().items():
        found[f"record-child {name}"] = (pid, 0)
    found["view"] = (world.view.process.pid, 0)
    return found


class Resources:
    def __init__(self, world, ledger):
        self.world, self.ledger = world, ledger
        self.limits = {}  # role: figures
        self._lines, self._since = {}, time.monotonic()

    def sample(self):
        found = {}
        for role, (pid, theirs) in roles(self.world).items():
            if one := figures(pid):
                one["fds"] -= theirs
                found[role] = one
        return found

    def learn(self):
        """Takes what is used now as normal; called a few times before the first fault."""
        for role, one in self.sample().items():
            old = self.limits.get(role, {})
            self.limits[role] = {key: max(value, old.get(key, 0)) for key, value in one.items()}

    def _excess(self):
        found = []
        for role, one in self.sample().items():
            normal = self.limits.setdefault(role, one)
            for key, slack in SLACK.items():
                limit = normal[key] + max(slack, normal[key] // 4 if key.endswith("_kb") else 0)
                if one[key] > limit:
                    found.append(f"{role}: {key} {one[key]}, {normal[key]} at first")
        return found

    def judge(self):
        """All are back at what they used at first, within SETTLE_S."""
        deadline = time.monotonic() + SETTLE_S
        while (excess := self._excess()) and time.monotonic() < deadline:
            time.sleep(0.5)
        self.ledger.check(not excess, f"not given back: {excess}")
        self._judge_logs()

    def _judge_logs(self):
        now = time.monotonic()
        allowed = LINES_AT_ONCE + LINES_PER_MINUTE * (now - self._since) / 60
        for name, lines in self.world.logs():
            if name == "mosquitto" or "(ended)" in name:
                continue
            new = len(lines) - self._lines.get(name, 0)
            self._lines[name] = len(lines)
            text = f"{name} logged {new} lines in {now - self._since:.0f} s"
            self.ledger.check(new <= allowed, text)
        self._since = now
