# SPDX-License-Identifier: BSD-2-Clause
"""VLC, whose pictures are read from the module that would draw them (yuv).

Its receiver of SAT>IP takes a processor core for itself, and one of 256 ports at random, also when
another VLC has it, which then gets no packets any more. Cases in which it plays rtsp:// are therefore
marked with `in_turn`, and most of them with `thorough`."""
import concurrent.futures
import contextlib
import os
import select
import subprocess
import tempfile
import threading
import time

import pytest

import harness
import strip

in_turn = pytest.mark.xdist_group("vlc")

WORDS = ["vlc", "-I", "dummy", "--no-audio", "--no-media-library", "--ignore-config"]
# What it shows: all of it, also when the machine is too slow.
SHOWN = ["--vout=yuv", "--yuv-yuv4mpeg2", "--no-drop-late-frames", "--no-skip-frames", "--no-spu"]
SHOWN += ["--no-avcodec-hurry-up"]


class Vlc:
    """A player of a URL; `start` starts its program, elsewhere in another network namespace."""

    def __init__(self, url, *options, start=subprocess.Popen):
        # As an ordinary user: VLC refuses to run as root.
        user = [] if os.geteuid() else ["setpriv", "--reuid=65534", "--clear-groups"]
        self._folder = tempfile.TemporaryDirectory(prefix="camcast-vlc-")
        path = os.path.join(self._folder.name, "pictures")
        os.chmod(self._folder.name, 0o777)
        os.mkfifo(path)
        os.chmod(path, 0o666)
        # For writing, too: it begins its output again when the format changes.
        self._pictures = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._data = bytearray()
        self._newest = None
        self._plays = False
        self._log = open(os.path.join(self._folder.name, "log"), "wb")
        self.process = start(
            [*user, "env", f"HOME={self._folder.name}", *WORDS, "-vv", *SHOWN]
            + [f"--yuv-file={path}", *options, url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )

    def _fill(self, count, until):
        """Reads until there are so many bytes."""
        while len(self._data) < count:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._pictures], [], [], min(left, 1))[0]:
                if left <= 0 or self.process.poll() is not None:
                    raise harness.Failure(f"VLC shows nothing more:\n{self.messages()[-3000:]}")
                continue
            self._data += os.read(self._pictures, 1 << 20)

    def _line(self, until):
        while (end := self._data.find(b"\n")) < 0:
            self._fill(len(self._data) + 1, until)
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        return line

    def number(self, until, size=(strip.WIDTH, strip.HEIGHT)):
        """That of the next picture of this size, by a time of time.monotonic(); None: it is not
        legible. The first one is left out if it is legible. VLC 3 draws it as soon as it has it;
        then it waits until it plays, draws the second, or the third in its place if that is due as
        well, and each from there on (ThreadDisplayPicture() in video_output.c)."""
        if not self._plays:
            self._plays = True
            if self._drawn(until, size) is None:
                return None
        return self._drawn(until, size)

    def _drawn(self, until, size):
        """A picture that is drawn again, while there is no other, is left out."""
        width, height = size
        length = width * height * 3 // 2
        while True:
            line = self._line(until)
            if line.startswith(b"YUV4MPEG2"):
                assert line.split()[1:3] == [b"W%d" % width, b"H%d" % height], line
                continue
            assert line == b"FRAME", line[:100]
            self._fill(length, until)
            number = strip.read_number(self._data[:length], width, height)
            del self._data[:length]
            again = number is not None and number == self._newest
            self._newest = number
            if not again:
                return number

    def numbers(self, count, seconds=60, size=(strip.WIDTH, strip.HEIGHT)):
        """Those of the next pictures."""
        until = time.monotonic() + seconds * harness.PATIENCE
        return [self.number(until, size) for _ in range(count)]

    @contextlib.contextmanager
    def reading(self):
        """A list that gets the numbers of pictures as they are shown, within this context. One whose
        pictures nobody reads stops, and later leaves some of them out."""
        numbers, stop = [], threading.Event()

        def read():
            while not stop.is_set():
                numbers.append(self.number(time.monotonic() + 60 * harness.PATIENCE))

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            reader = pool.submit(read)
            try:
                yield numbers
            finally:
                stop.set()
            reader.result()

    def messages(self):
        with open(self._log.name, encoding="utf-8", errors="replace") as log:
            return log.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._pictures)
        self._log.close()
        self._folder.cleanup()
