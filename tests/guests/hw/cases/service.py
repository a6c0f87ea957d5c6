# SPDX-License-Identifier: BSD-2-Clause
"""camcastd and recorders as systemd runs them, installed by `make install`: their units, started,
stopped, and asked."""
import json
import os
import pathlib
import time
import urllib.request

import guest
import harness

CONFIG = pathlib.Path("/etc/camcast/config.ini")
CGROUP = pathlib.Path("/sys/fs/cgroup/system.slice/camcastd.service")
HTTP = "http://127.0.0.1:8080"


def systemctl(*arguments, timeout=60):
    return guest.run("systemctl", *arguments, timeout=timeout).decode()


class Unit:
    """A unit, inactive and without a drop-in to begin and to end with."""

    def __init__(self, name):
        self.name = name
        self.drop_in = pathlib.Path(f"/run/systemd/system/{name}.service.d/case.conf")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        systemctl("stop", self.name)
        if self.drop_in.exists():
            self.drop_in.unlink()
            systemctl("daemon-reload")

    def override(self, *lines):
        """Adds lines to the unit's [Service] section."""
        self.drop_in.parent.mkdir(parents=True, exist_ok=True)
        self.drop_in.write_text("\n".join(["[Service]", *lines, ""]))
        systemctl("daemon-reload")

    def start(self):
        systemctl("start", self.name)

    def show(self, *names):
        """Properties of the unit: one, or a dict."""
        text = systemctl("show", self.name, *(f"--property={name}" for name in names))
        found = dict(line.split("=", 1) for line in text.splitlines())
        return found[names[0]] if len(names) == 1 else found

    def pid(self):
        return int(self.show("MainPID"))

    def log(self):
        """All that the unit ever logged, this process's and those before it."""
        return guest.run("journalctl", f"--unit={self.name}", "--output=cat", "--no-pager").decode()

    def wait_log(self, text, timeout=40):
        """Waits for `text` to be in the log of the invocation now running."""
        mark = "_SYSTEMD_INVOCATION_ID=" + self.show("InvocationID")
        log = ""

        def look():
            nonlocal log
            log = guest.run("journalctl", mark, "--output=cat", "--no-pager").decode()
            return text in log

        try:
            guest.wait_for(text, look, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; the log:\n{log}") from None
        return log

    def stop(self):
        """Seconds that the stop took, until nothing was left of the unit."""
        began = time.monotonic()
        systemctl("stop", self.name)
        return time.monotonic() - began


class Service(Unit):
    """The unit camcastd.service."""

    def __init__(self):
        super().__init__("camcastd")

    def configure(self, config):
        """Writes the configuration of the service; the status is at HTTP."""
        config["daemon"]["http"] = HTTP.removeprefix("http://")
        CONFIG.write_text(harness.config_text(config))

    def processes(self):
        """{pid: name} of all in the unit's control group."""
        found = {}
        for pid in (CGROUP / "cgroup.procs").read_text().split():
            try:
                found[int(pid)] = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                pass  # ended meanwhile
        return found

    def worker(self):
        """The pid of the one worker; it may be gone."""
        return next((pid for pid, name in self.processes().items() if name == "camcast-capture"), 0)

    def status(self):
        with urllib.request.urlopen(HTTP + "/status.json", timeout=10) as answer:
            return json.load(answer)

    def flows(self):
        """Pictures flow and a client could have them: /healthz says so."""
        try:
            with urllib.request.urlopen(HTTP + "/healthz", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait_flowing(self, units=5, timeout=60):
        def enough():
            try:
                return self.status()["feeds"][0]["units"] >= units and self.flows()
            except OSError:
                return False

        try:
            guest.wait_for("pictures", enough, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; the log:\n{self.log()[-4000:]}") from None


def process_status(pid, name):
    """A field of /proc/PID/status."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].split()
    raise AssertionError(f"no {name}")


def alive(pid):
    return os.path.exists(f"/proc/{pid}")
