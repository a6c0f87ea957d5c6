# SPDX-License-Identifier: BSD-2-Clause
"""What is left on disk: samples of the viewers' streams and the recordings. A decoder that stops at
the first error reads all of it."""
import collections
import itertools
import json
import pathlib
import shutil
import subprocess
import threading
import time

import cv2
import numpy

import bytestream
import harness
import recordings
import screen

GROWS_S = 4  # a fragment is written every second or two
HEADER_MAX = 4096  # bytes of a recording without a picture
PENDING = 8  # samples that wait for the decoder
OLD_S = 4 * harness.PATIENCE  # a file that did not change for so long is finished


def decode_h264(path):
    data = path.read_bytes()
    units, _ = bytestream.split(data + bytestream.AUD + b"\xf0")
    pictures = bytestream.decode(units, path.parent, path.stem + "-checked")
    (path.parent / f"{path.stem}-checked.h264").unlink()
    assert pictures == len(units), f"{pictures} pictures of {len(units)} units"


def decode_mjpeg(path):
    """Each picture carries its number; numbers grow (a new worker begins at 0)."""
    last = None
    for start in path.read_bytes().split(b"\xff\xd8\xff")[1:]:
        data = numpy.frombuffer(b"\xff\xd8\xff" + start, numpy.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert picture is not None, "a JPEG that does not decode"
        number = screen.number_in(picture)
        assert number is not None, "a picture without a number"
        assert last is None or number > last or number < 200, f"{last} is followed by {number}"
        last = number


class Samples:
    """Decodes what the crowds kept."""

    def __init__(self, ledger, crowd):
        self.ledger, self.crowd = ledger, crowd

    def check(self):
        events = self.crowd.take_samples()
        for event in events[:-PENDING]:  # a busy machine decodes fewer than the crowds keep
            pathlib.Path(event["path"]).unlink()
        for event in events[-PENDING:]:
            path = pathlib.Path(event["path"])
            try:
                (decode_h264 if path.suffix == ".h264" else decode_mjpeg)(path)
            except AssertionError as error:
                self.ledger.check(False, f"sample of {event['viewer']}: {error}")  # the file stays
            else:
                self.ledger.check(True, "")
                path.unlink()
            yield


class Checker(threading.Thread):
    """Goes through check() of its parts over and over, on a thread, as decoding must not delay the
    rest. check() yields after each file."""

    def __init__(self, *parts):
        super().__init__(daemon=True)
        self.parts, self._stopping, self._error = parts, threading.Event(), None

    def run(self):
        try:
            while not self._stopping.wait(1):
                for _ in itertools.chain.from_iterable(part.check() for part in self.parts):
                    if self._stopping.is_set():
                        return
        except Exception as error:  # pylint: disable=broad-exception-caught
            self._error = error  # without this thread nothing is checked any more, or deleted
            raise

    def stop(self):
        """Returns when the file under way is checked. Raises what ended the thread."""
        self._stopping.set()
        self.join()
        if self._error:
            raise self._error


class Recordings:
    """The recorder's files. They grow while nothing touches it; each finished file plays; the units
    of all files of a server follow each other except where a fault explains a gap."""

    def __init__(self, world, ledger, backend):
        self.world, self.ledger, self.backend = world, ledger, backend
        self.who = {"kind": "recorder", "server": backend, "camera": "front",
                    "stream": "front-h264", "place": "home"}  # fmt: skip
        self.folder = world.disk / "recordings" / backend
        self.finished = world.disk / "finished" / backend
        self.finished.mkdir(parents=True)
        self.last = None  # unit of the newest file that was checked
        self.seconds = 0.0
        self._sizes = collections.OrderedDict()
        self._grown_at, self._stood = time.monotonic(), []
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def name(self):
        return f"recording of {self.backend}"

    def _watch(self):
        while True:
            now, sizes = time.monotonic(), {}
            for path in recordings.files(self.folder):
                try:
                    sizes[path] = path.stat().st_size
                except FileNotFoundError:
                    pass
            with self._lock:
                if any(size > self._sizes.get(path, 0) for path, size in sizes.items()):
                    if now - self._grown_at > GROWS_S:
                        self._stood.append((self._grown_at, now))
                    self._grown_at = now
                self._sizes = sizes
            time.sleep(0.25)

    def recovered(self, since):
        with self._lock:
            return self._grown_at > since

    def what_is_missing(self):
        return f"{self.name()}: no file grew for {time.monotonic() - self._grown_at:.1f} s"

    def judge(self, current):
        with self._lock:
            stood, self._stood = self._stood, []
        served = current.start
        for start, end in stood:
            if self.ledger.touched(self.who, start, end):
                served = max(served, end)
            else:
                bound = GROWS_S + 3 * harness.PATIENCE
                text = f"{self.name()}, untouched, stood for {end - start:.1f} s"
                self.ledger.check(end - start <= bound, text)
        return served

    def _oldest_first(self):
        """The names do not tell: the recorder's clock may have been set back between two files."""
        ages = []
        for path in recordings.files(self.folder):
            try:
                ages.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:
                pass  # it has another name now
        return [path for _, path in sorted(ages)]

    def check(self, everything=False):
        """Checks the files that are finished, and deletes them, as the disk is small. First it takes
        each out of the recorder's folder, where a clock that is set gives it another name."""
        files = self._oldest_first()
        for path in files if everything else files[:-1]:
            finished = self.finished / path.name
            try:
                if not everything and time.time() - path.stat().st_mtime < OLD_S:
                    break
                path.rename(finished)
            except FileNotFoundError:
                continue
            try:
                self._check(finished)
            except (AssertionError, subprocess.SubprocessError) as error:
                self.ledger.check(False, f"{path.name} of {self.backend}: {error}")
                shutil.copy(finished, self.world.folder / f"{self.backend}-{path.name}")
                self.last = None
            finished.unlink()
            yield

    def _check(self, path):
        if path.stat().st_size < HEADER_MAX and self._without_picture(path):
            return
        units = recordings.check_file(path)
        assert units[0].key, "it begins with no key unit"
        for before, after in zip([self.last, *units], units):
            if before is None or after.seq == before.seq + 1:
                continue
            start, end = before.monotonic_us / 1e6, after.monotonic_us / 1e6
            assert after.key, f"{before.seq} is followed by {after.seq}, which is no key unit"
            assert self.ledger.touched(self.who, start - 1, end + 1), (
                f"{before.seq} is followed by {after.seq} in an untouched recording, "
                f"at {self.ledger.clock(start)} and {self.ledger.clock(end)}"
            )
        self.last = units[-1]
        self.seconds += units[-1].pts
        self.ledger.check(True, "")

    @staticmethod
    def _without_picture(path):
        """A file of which only the header was written when its recorder was killed."""
        if path.stat().st_size == 0:
            return True
        done = subprocess.run(
            ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets"]
            + ["-of", "json", path],
            capture_output=True,
            check=False,
        )
        streams = json.loads(done.stdout or "{}").get("streams", [])
        return not any(int(s.get("nb_read_packets", 0)) for s in streams)


