# SPDX-License-Identifier: BSD-2-Clause
"""A screen that nobody sees (Xvfb), `camcast view` on it, and eyes that read what is shown there."""
import ctypes
import json
import os
import pathlib
import re
import select
import signal
import struct
import subprocess
import tempfile
import threading
import time
import uuid

import numpy

from harness import (
    BUILD,
    PATIENCE,
    SANITIZER_LINE,
    Failure,
    kill_with_descendants,
    output_of,
    processes_with,
    start,
)

WIDTH, HEIGHT = 1280, 720


class Screen:
    """An X server on a display that is free."""

    def __init__(self):
        reading, writing = os.pipe()
        self._frames = tempfile.TemporaryDirectory(prefix="camcast-screen-")
        self.process = start(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
            + ["-fbdir", self._frames.name, "-nolisten", "tcp", "-noreset"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[writing],
            start_new_session=True,
        )
        os.close(writing)
        number = b""
        try:
            while not number.endswith(b"\n"):
                if not select.select([reading], [], [], 30 * PATIENCE)[0]:
                    raise Failure("Xvfb does not start")
                part = os.read(reading, 16)
                if not part:
                    raise Failure("Xvfb ended at once")
                number += part
        except BaseException:
            self.close()
            raise
        finally:
            os.close(reading)
        self.display = f":{int(number)}"

    def environment(self):
        return {
            **os.environ,
            "DISPLAY": self.display,
            "SDL_VIDEODRIVER": "x11",
            "SDL_RENDER_DRIVER": "software",
        }

    def shot(self):
        """All of the screen, rows x columns x BGR, from the file in which Xvfb keeps it: an X window
        dump (XWDFile.h), whose head is big-endian and followed by the colour map."""
        data = pathlib.Path(self._frames.name, "Xvfb_screen0").read_bytes()
        head = struct.unpack_from(">20I", data)
        size, width, height, bits, line, colours = (head[n] for n in (0, 4, 5, 11, 12, 19))
        assert (width, height, bits) == (WIDTH, HEIGHT, 32), head
        pixels = numpy.frombuffer(data, numpy.uint8, line * height, size + 12 * colours)
        return pixels.reshape(height, line // 4, 4)[:, :width, :3].copy()

    def xdotool(self, *arguments):
        words = ("xdotool", *map(str, arguments))
        return output_of(*words, env=self.environment(), timeout=60 * PATIENCE)

    def ask_to_close(self, window):
        """Closes a window as a window manager does it (ICCCM, WM_DELETE_WINDOW)."""
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XInternAtom.restype = ctypes.c_ulong
        display = ctypes.c_void_p(x11.XOpenDisplay(self.display.encode()))
        protocols, delete = (
            x11.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")
        )
        # XClientMessageEvent, as long as the union XEvent.
        event = struct.pack(
            "@iLiPLLi5l", 33, 0, 1, display.value, window, protocols, 32, delete, 0, 0, 0, 0
        ).ljust(192, b"\0")
        x11.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), event)
        x11.XCloseDisplay(display)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self._frames.cleanup()


class Wayland(Screen):
    """A Wayland compositor (weston) whose only output fills such a screen, at a scale."""

    def __init__(self, folder, scale):
        super().__init__()
        self.folder = pathlib.Path(folder) / "wayland"
        self.folder.mkdir(mode=0o700)
        size = [f"--width={WIDTH // scale}", f"--height={HEIGHT // scale}", f"--scale={scale}"]
        self.weston = start(
            ["weston", "--backend=x11-backend.so", "--socket=screen", "--use-pixman"]
            + ["--idle-time=0", "--no-config", *size],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "DISPLAY": self.display, "XDG_RUNTIME_DIR": str(self.folder)},
            start_new_session=True,
        )
        deadline = time.monotonic() + 30 * PATIENCE
        while not (self.folder / "screen").exists():
            if time.monotonic() > deadline or self.weston.poll() is not None:
                self.close()
                raise Failure("weston does not start")
            time.sleep(0.02)

    def environment(self):
        return {
            **super().environment(),
            "XDG_RUNTIME_DIR": str(self.folder),
            "WAYLAND_DISPLAY": "screen",
            "SDL_VIDEODRIVER": "wayland",
        }

    def close(self):
        self.weston.terminate()
        self.weston.wait()
        super().close()


def number_in(picture):
    """The number in the strip on top of a test pattern (include/camcast/pattern.h), whatever the
    picture's size; None: not legible."""
    height, width = picture.shape[:2]
    row = picture[height // 32].max(axis=1) if picture.ndim == 3 else picture[height // 32]
    bits = 0
    for block in range(32):
        bits = bits << 1 | int(row[(2 * block + 1) * width // 64] > 125)
    number, check = bits >> 12 & 0xFFFF, bits >> 4 & 0xFF
    if bits >> 28 != 0xA or bits & 0xF != 0x5 or check != number >> 8 ^ number & 0xFF ^ 0xA5:
        return None
    return number


class View:
    """A running `camcast view --json`, and its last report. Also a context manager, which ends it
    by SIGTERM and checks that nothing is left."""

    def __init__(self, screen, *arguments, folder, env=None):
        self.screen = screen
        self.folder = pathlib.Path(folder)
        self.marker = f"CAMCAST_TEST={uuid.uuid4().hex}"
        self.reports = []
        self.lines = []
        self._changed = threading.Condition()
        key, value = self.marker.split("=")
        leaks = self.folder / "leaks"
        leaks.write_text("leak:libdbus\nleak:libfontconfig\n")  # what SDL leaves there
        self.process = start(
            [BUILD / "camcast", "view", "--json", "--snapshots", self.folder]
            + ["--decoder", "none", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **screen.environment(),
                key: value,
                "LSAN_OPTIONS": f"suppressions={leaks}:print_suppressions=0",
                **(env or {}),
            },
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=self._read_reports, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_reports(self):
        for line in self.process.stdout:
            with self._changed:
                self.reports.append(json.loads(line))
                self._changed.notify_all()

    def _read_log(self):
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()

    def wait_report(self, predicate, what, timeout=30):
        """Waits for predicate(report) of a report from now on, one comes a second; returns it."""
        deadline = time.monotonic() + timeout * PATIENCE
        with self._changed:
            at = len(self.reports)
            while True:
                while at == len(self.reports):
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._changed.wait(left) or self.process.poll():
                        raise Failure(f"not seen: {what}" + self._tail())
                if predicate(self.reports[at]):
                    return self.reports[at]
                at += 1

    def wait(self, predicate, what, timeout=30):
        """The same for the tiles of a report."""
        return self.wait_report(lambda report: predicate(report["tiles"]), what, timeout)["tiles"]

    def wait_live(self, *names, timeout=30):
        """Waits until just these tiles, in this order, are live and show pictures."""
        return self.wait(
            lambda tiles: [tile["name"] for tile in tiles] == list(names)
            and all(
                tile["state"] == "live" and tile["fps"] > 1 and tile["shown"] > 0
                for tile in tiles
            ),
            f"{names} live",
            timeout,
        )

    def wait_log(self, pattern, timeout=20, after=0):
        """The first match in what it said from line `after` on."""
        deadline = time.monotonic() + timeout * PATIENCE
        with self._changed:
            while True:
                for line in self.lines[after:]:
                    if match := re.search(pattern, line):
                        return match
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise Failure(f"not said: /{pattern}/" + self._tail())

    def _tail(self):
        report = json.dumps(self.reports[-1:], ensure_ascii=False)
        return f"; last report {report}; it said:\n  " + "\n  ".join(self.lines[-20:])

    def window(self):
        # Not by `xdotool search`, which misses it now and then; it is the only one there.
        place = self.screen.xdotool("mousemove", 5, 5, "getmouselocation", "--shell")
        return int(re.search(r"WINDOW=(\d+)", place)[1])

    def key(self, name):
        """Presses a key; there is no window manager that would have given us the focus."""
        self.screen.xdotool("windowfocus", "--sync", self.window(), "key", name)

    def numbers(self, tiles):
        """Reads the numbers in the pictures of the tiles from a new shot: {name: number}."""
        shot = self.screen.shot()
        numbers = {}
        for tile in tiles:
            x, y, width, height = tile["place"]
            numbers[tile["name"]] = number_in(shot[y : y + height, x : x + width])
        return numbers

    def wait_numbers(self, tiles, after=None, timeout=20):
        """Shots until every tile shows a legible number, and one that is not that of `after`."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            numbers = self.numbers(tiles)
            if all(
                number is not None and (not after or number != after[name])
                for name, number in numbers.items()
            ):
                return numbers
            if time.monotonic() > deadline:
                raise Failure(f"shown {numbers} after {after}" + self._tail())

    def children(self):
        return sorted(pid for pid in processes_with(self.marker) if pid != self.process.pid)

    def wait_end(self, code=0, timeout=10):
        """Waits for its end, and checks that it leaves nothing behind and reported no mistake."""
        try:
            ended = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("view does not end" + self._tail()) from None
        deadline = time.monotonic() + 5 * PATIENCE
        while left := processes_with(self.marker):
            if time.monotonic() > deadline:
                self.kill()
                raise Failure(f"left running: {left}" + self._tail())
            time.sleep(0.02)
        for thread in self._threads:
            thread.join(5)
        if ended != code:
            raise Failure(f"view ended with {ended}" + self._tail())
        if reports := [line for line in self.lines if SANITIZER_LINE.search(line)]:
            raise Failure(f"{reports[0]}" + self._tail())

    def kill(self):
        kill_with_descendants(self.process, self.marker)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.kill()
        else:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            self.wait_end()
