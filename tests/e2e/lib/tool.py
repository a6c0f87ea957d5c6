# SPDX-License-Identifier: BSD-2-Clause
"""Runs the client's program `camcast` for a test, and says what fake servers say of themselves."""
import json
import os
import pty
import re
import signal
import subprocess
import threading
import time

from harness import BUILD, PATIENCE, SANITIZER_LINE, Failure, start


def stream_info(name="s", address="127.0.0.1", port=8888, codec="h264", **keys):
    """One stream of an announcement, as docs/info.schema.json wants it."""
    framing = "annexb" if codec == "h264" else "length_prefixed"
    scheme = "tcp" if codec == "h264" else "tcp+length"
    host = f"[{address}]" if ":" in address else address
    return {
        "name": name,
        "camera": "cam",
        "codec": codec,
        "width": 1280,
        "height": 720,
        "framerate": 30,
        "bitrate": 2000000,
        "framing": framing,
        "port": port,
        "url": f"{scheme}://{host}:{port}",
        **keys,
    }


def server_info(server_id, name=None, address="127.0.0.1", streams=None):
    return {
        "camcast": 1,
        "id": server_id,
        "name": server_id if name is None else name,
        "version": "0.1.0",
        "addresses": [address],
        "streams": [stream_info(address=address)] if streams is None else streams,
    }


def announce(client, server_id, status="online", **keys):
    """As a server that comes up: retained, over a broker.Client. Returns what it says."""
    info = server_info(server_id, **keys)
    client.publish(f"camcast/{server_id}/info", json.dumps(info), qos=1, retain=True)
    client.publish(f"camcast/{server_id}/status", status, qos=1, retain=True)
    return info


class Tool:
    """A running `camcast ...`. Use as a context manager; stop() checks for sanitizer reports.

    broker: a broker.Broker, given with --broker. terminal: stdout and stderr are one; else they are
    pipes read line by line, unless stdout is given.
    """

    def __init__(self, *arguments, broker=None, terminal=False, stdout=None, env=None, cwd=None):
        command = [BUILD / "camcast", *arguments]
        if broker:
            host = f"[{broker.address}]" if ":" in broker.address else broker.address
            command += ["--broker", f"{host}:{broker.port}"]
        self.out, self.err = [], []
        self.changed = threading.Condition()
        self._readers = []
        self.terminal = None
        self.started = time.monotonic()
        if terminal:
            self.terminal, theirs = pty.openpty()
        self.process = start(
            command,
            stdin=subprocess.DEVNULL,
            stdout=theirs if terminal else stdout if stdout is not None else subprocess.PIPE,
            stderr=theirs if terminal else subprocess.PIPE,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        if terminal:
            os.close(theirs)
            self._read(os.fdopen(self.terminal, "rb", buffering=0), self.out)
        else:
            self._read(self.process.stderr, self.err)
            if stdout is None:
                self._read(self.process.stdout, self.out)

    def _read(self, file, lines):
        """Keeps pairs of (monotonic time, line); from a terminal whatever comes at once."""

        def run():
            while True:
                try:
                    data = file.readline() if self.terminal is None else file.read(4096)
                except OSError:  # EIO: the terminal has no other end
                    data = b""
                with self.changed:
                    if data:
                        lines.append((time.monotonic(), data.decode(errors="replace")))
                    self.changed.notify_all()
                if not data:
                    return

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._readers.append(thread)

    def stdout(self):
        with self.changed:
            return "".join(text for _, text in self.out)

    def stderr(self):
        with self.changed:
            return "".join(text for _, text in self.err)

    def wait_line(self, pattern, where=None, after=0, timeout=20):
        """(time, match) of the first line (on a terminal: of all that was written) with pattern."""
        regex = re.compile(pattern)
        lines = self.out if where is None else where

        def look():
            if self.terminal is not None:
                match = regex.search("".join(text for _, text in lines)[after:])
                return (time.monotonic(), match) if match else None
            for when, text in lines[after:]:
                if match := regex.search(text):
                    return when, match
            return None

        with self.changed:
            if not self.changed.wait_for(look, timeout * PATIENCE):
                raise Failure(f"no /{pattern}/ from camcast; {self._said()}")
            return look()

    def wait_event(self, event, server_id, after=0, timeout=20):
        """(time, server) of an event of `discover --watch --json`."""
        found = []

        def look():
            for when, text in self.out[after:]:
                said = json.loads(text)
                if said["event"] == event and said["server"]["id"] == server_id:
                    found[:] = [when, said["server"]]
                    return True
            return False

        with self.changed:
            if not self.changed.wait_for(look, timeout * PATIENCE):
                raise Failure(f"no event {event} of {server_id}; {self._said()}")
        return found

    def position(self):
        with self.changed:
            return len(self.out)

    def _said(self):
        out = [text for _, text in self.out[-20:]]
        return f"it said {out} and {[text for _, text in self.err[-20:]]}"

    def wait(self, timeout=20):
        """The exit status, when it ends by itself."""
        try:
            code = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure(f"camcast does not end; {self._said()}") from None
        for thread in self._readers:
            thread.join(5)
        for _, text in self.err + self.out:
            if SANITIZER_LINE.search(text):
                raise Failure(self.stderr() + self.stdout())
        return code

    def stop(self, how=signal.SIGINT):
        """Ctrl-C, and the exit status."""
        self.process.send_signal(how)
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def run(*arguments, timeout=20, **options):
    """(exit status, stdout, stderr) of a camcast that ends by itself."""
    with Tool(*arguments, **options) as tool:
        code = tool.wait(timeout)
        return code, tool.stdout(), tool.stderr()
