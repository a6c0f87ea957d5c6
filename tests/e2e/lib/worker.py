# SPDX-License-Identifier: BSD-2-Clause
"""camcast-capture by hand, and a camcastd's end of its pair for tests: receives what the worker
says, checks every rule of include/camcast/worker.h, and reads the units from their segments."""
import array
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import sys
import termios
import time

import harness

CAPTURE = harness.BUILD / "camcast-capture"
# Only for failing.
TIMEOUT = 20 * harness.PATIENCE

VERSION = 5
KEY, DROPPABLE, SEGMENT = 1, 2, 4
STARTING, RUNNING, SILENT, FAILED = range(4)
F_GET_SEALS, SHRINK, GROW = 1034, 2, 4

HELLO = struct.Struct("=IIII128s")
HEARTBEAT = struct.Struct("=IIQQIIIIII64s64s128s184s")
STREAM = struct.Struct("=IIQQQQQIIIIII32s160s")
UNIT = struct.Struct("=IIIIIIIIIIq")
PREAMBLE = struct.Struct("=IIII4096s")
RESEGMENT = struct.Struct("=IIII")
HEARTBEAT_NAMES = (
    "state frames dropped fps_milli width height rate_milli wait_ms reconnects source "
    "allocator path reason"
)
STREAM_NAMES = (
    "stream units keys dropped idr_requests unframed fps_milli bitrate_bps target_bps encode_us "
    "active can_force_idr encoder detail"
)
UNIT_NAMES = "feed segment offset len flags track preamble duration_us reserved pts_us"
TRACKS = 8
WANT, IDR, BITRATE, CONTROL, GET_SEGMENT = range(64, 69)


class Broken(AssertionError):
    """A rule of the protocol was broken."""


def check(condition, what):
    if not condition:
        raise Broken(what)


def record(names, values):
    fields = dict(zip(names.split(), values))
    for name, value in fields.items():
        if isinstance(value, bytes):
            text, _, rest = value.partition(b"\0")
            check(len(text) < len(value) and not rest.strip(b"\0"), f"{name}: {value!r}")
            fields[name] = text.decode()
    return fields


def write_config(folder, config):
    path = pathlib.Path(folder) / "capture.ini"
    path.write_text(harness.config_text(config))
    return path


def by_hand(folder, config, *arguments, **options):
    """Runs camcast-capture with this configuration to its end."""
    return subprocess.run(
        [CAPTURE, "-c", write_config(folder, config), *arguments],
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
        **options,
    )


class Feed:
    """The units of one feed, from the segments that came with them."""

    def __init__(self):
        self.fd = self.segment = self.size = None
        self.end = 0
        self.preambles = {0: b""}  # by version
        self.preamble = 0  # of the newest unit
        self.need_key = True
        self.units = []  # records, with "data" and "at" (seconds, when received)

    def add(self, unit, fd):
        check(bool(unit["flags"] & SEGMENT) == (fd is not None), f"fd and flag differ: {unit}")
        if fd is not None:
            check(self.segment is None or unit["segment"] > self.segment, "ids must grow")
            seals = fcntl.fcntl(fd, F_GET_SEALS)
            check(seals & (SHRINK | GROW) == SHRINK | GROW, f"seals {seals:#x}")
            self.close()
            self.fd, self.segment, self.end = fd, unit["segment"], 0
            self.size = os.fstat(fd).st_size
        check(unit["segment"] == self.segment, f"a segment that never came: {unit}")
        check(unit["offset"] >= self.end, f"overlap: {unit}")
        check(0 < unit["len"] <= self.size - unit["offset"], f"bounds: {unit}")
        check(not self.need_key or unit["flags"] & KEY, f"not a key unit: {unit}")
        check(unit["track"] < TRACKS and not unit["reserved"], f"track: {unit}")
        check(
            unit["preamble"] == self.preamble
            or (unit["flags"] & KEY and unit["preamble"] == max(self.preambles)),
            f"preamble: {unit}",
        )
        self.need_key = False
        self.end, self.preamble = unit["offset"] + unit["len"], unit["preamble"]
        unit["data"] = os.pread(self.fd, unit["len"], unit["offset"])
        unit["at"] = time.monotonic()
        self.units.append(unit)

    @property
    def data(self):
        return b"".join(unit["data"] for unit in self.units)

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


class Worker:
    """A running camcast-capture --worker and the other end of its pair."""

    def __init__(self, folder, config, camera="cam", **options):
        self.pair, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.log_path = pathlib.Path(folder) / "capture.log"
        self.feeds = {}
        self.streams = {}  # the newest status by number
        self.heartbeat = None
        self.heartbeats = []  # all, with "at"
        self.resent = []  # (record, fd size)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", 'exec "$@" 3<&0', "-"]
                + [CAPTURE, "-c", write_config(folder, config), "--camera", camera, "--worker"],
                stdin=theirs.fileno(),
                stderr=log,
                **options,
            )
        theirs.close()
        self.pair.settimeout(TIMEOUT)
        message, _ = self._receive()
        check(len(message) == HELLO.size, "HELLO comes first")
        self.hello = HELLO.unpack(message)
        check(self.hello[:3] == (1, VERSION, self.process.pid), f"HELLO {self.hello}")

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def _receive(self):
        fds = array.array("i")
        message, ancillary, flags, _ = self.pair.recvmsg(
            8192, socket.CMSG_SPACE(4 * fds.itemsize), socket.MSG_CMSG_CLOEXEC
        )
        check(not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC), "a message too long")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data)
        check(len(fds) <= 1, "more than one fd")
        return message, fds[0] if fds else None

    def receive(self):
        """Handles one message; returns its kind, or None at the end."""
        message, fd = self._receive()
        if not message:
            return None
        kind = struct.unpack_from("=I", message)[0]
        if kind == 4:
            check(len(message) == UNIT.size, "size of UNIT")
            unit = record(UNIT_NAMES, UNIT.unpack(message)[1:])
            self.feeds.setdefault(unit["feed"], Feed()).add(unit, fd)
            return "unit"
        if kind == 5:
            check(fd is not None, "SEGMENT without an fd")
            self.resent.append((RESEGMENT.unpack(message)[1:3], os.fstat(fd).st_size))
            os.close(fd)
            return "segment"
        check(fd is None, f"an fd with message {kind}")
        if kind == 6:
            _, feed, version, length, data = PREAMBLE.unpack(message)
            preambles = self.feeds.setdefault(feed, Feed()).preambles
            check(version == max(preambles) + 1 and 1 <= length <= 4096, f"preamble {version}")
            preambles[version] = data[:length]
            return "preamble"
        if kind == 2:
            self.heartbeat = record(HEARTBEAT_NAMES, HEARTBEAT.unpack(message)[1:])
            self.heartbeats.append({**self.heartbeat, "at": time.monotonic()})
            return "heartbeat"
        check(kind == 3, f"message {kind}")
        status = record(STREAM_NAMES, STREAM.unpack(message)[1:])
        self.streams[status["stream"]] = status
        return "stream"

    def receive_until(self, condition, what):
        """Receives until condition() holds."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come:\n{self.log}"
            assert self.receive(), f"the worker ended before {what}:\n{self.log}"

    def receive_units(self, count, feed=0):
        """Receives `count` more units of a feed and returns them."""
        units = self.feeds.setdefault(feed, Feed()).units
        start = len(units)
        self.receive_until(lambda: len(units) >= start + count, f"{count} units of feed {feed}")
        return units[start:]

    def wait_until_the_pair_is_full(self, period):
        """Receives nothing until no message has been added to the pair for `period` seconds."""
        deadline = time.monotonic() + TIMEOUT
        queued, since = 0, time.monotonic()
        while not queued or time.monotonic() < since + period:
            assert time.monotonic() < deadline, f"the pair did not fill:\n{self.log}"
            assert self.process.poll() is None, self.log
            room = fcntl.ioctl(self.pair, termios.FIONREAD, bytes(4))
            now = int.from_bytes(room, sys.byteorder)
            if now != queued:
                queued, since = now, time.monotonic()
            time.sleep(0.02)  # between two looks

    def want(self, feed, wanted):
        self.pair.send(struct.pack("=6I", WANT, feed, wanted, 0, 0, 0))

    def request_idr(self, stream):
        self.pair.send(struct.pack("=II", IDR, stream))

    def set_bitrate(self, stream, bitrate_bps):
        self.pair.send(struct.pack("=IIII", BITRATE, stream, bitrate_bps, 0))

    def set_control(self, name, value):
        self.pair.send(struct.pack("=II60s124s", CONTROL, 0, name.encode(), value.encode()))

    def get_segment(self, feed, segment):
        self.pair.send(struct.pack("=IIII", GET_SEGMENT, feed, segment, 0))

    def drain(self):
        """Receives up to the end of the pair."""
        try:
            while self.receive():
                pass
        except ConnectionResetError:
            pass

    def wait(self):
        """Waits for the process; its exit code and how long that took."""
        before = time.monotonic()
        code = self.process.wait(TIMEOUT)
        return code, time.monotonic() - before

    def stop(self):
        self.pair.close()
        try:
            code, _ = self.wait()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for feed in self.feeds.values():
                feed.close()
        assert not harness.SANITIZER_LINE.search(self.log), self.log
        return code
