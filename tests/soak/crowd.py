#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A crowd of viewers in one process of its own, so that nothing else of the soak delays its reads.

    crowd.py PLAN.json >EVENTS

The plan is {"seed", "samples": FOLDER, "authority": FILE, "viewers": [{"name", "host", "port",
"way", "tls", "codec", "stream", "kind", ...}]}; ways.py has the ways. Each event is a line of JSON
with the viewer's name and CLOCK_MONOTONIC seconds:

    gap        units are missing: a viewer that is served well sees none
    broken     units are missing that what follows refers to: nobody may ever see that
    malformed  bytes that are no stream of this kind: nobody may ever see that
    wait       more than WAIT_S passed without a unit, or from the connection to the first one
    closed     the server ended the connection, or refused it; the viewer connects again
    sample     a file with the bytes of a few seconds, for a decoder
    late       this process itself did not run for a time
    state      once a second: how many viewers were served, and for how long the others were not

Kinds: plain; half (it closes its sending side at once); slow (reads `rate` bytes a second);
stalled (never reads); flapping (leaves soon and comes again).
"""
import collections
import json
import os
import pathlib
import random
import re
import select
import socket
import ssl
import struct
import sys
import time

import ways

UUID = b"camcast-\x41\x75\x8c\x5e\xb1\x0f\x4a\x01"  # include/camcast/sei.h
SLICE = re.compile(rb"\x00\x00\x01([\x01\x05\x21\x25\x41\x45\x61\x65])")
REORDER_US = 500_000  # more than capture times go back in a stream; fewer than a worker lives
WAIT_S = 0.3
LATE_S = 0.2
SERVED_S = 1.5  # a viewer without a unit for this time is not served
FRESH_S = 4  # nor is one whose units are older: they are what a bad link had held back
TICK_S = 0.05
AGAIN_S = 0.25  # until the next attempt to connect
STALL_S = 15  # a stalled viewer leaves after this time, if the server did not end it
SAMPLE_S = 4
JUDGED = ("plain", "half", "slow")


def emit(event, **more):
    sys.stdout.write(json.dumps({"event": event, **more}) + "\n")


def stamp_of(unit):
    """(sequence number, CLOCK_MONOTONIC at its capture in us) of a unit of H.264; None: none."""
    at = unit.find(UUID)
    if at < 0:
        return None
    at += len(UUID)
    return struct.unpack(">QQ", unit[at : at + 32].replace(b"\0\0\3", b"\0\0")[:16])


def is_key(unit):
    return ways.SPS in unit[:128]


def is_droppable(unit):
    return all(kind[0] & 0x60 == 0 for kind in SLICE.findall(unit))


class Stream:
    """What the viewers of one stream know together: which units others refer to. A stamp is that of
    stamp_of(). Each worker begins at number 0; the capture times tell its units from those of the
    one before."""

    def __init__(self):
        self.needed = collections.OrderedDict()  # number: capture time, or None: it is droppable

    def learn(self, stamp, droppable):
        seq, captured_us = stamp
        self.needed[seq] = None if droppable else captured_us
        self.needed.move_to_end(seq)
        if len(self.needed) > 2000:
            self.needed.popitem(last=False)

    def needs_between(self, before, after):
        """Whether a unit between two of the same worker is known, from another viewer, as one that
        others refer to."""
        from_us, until_us = before[1] - REORDER_US, after[1] + REORDER_US
        needed = (self.needed.get(seq) for seq in range(before[0] + 1, after[0]))
        return any(at is not None and from_us < at < until_us for at in needed)


class Viewer:
    def __init__(self, crowd, plan):
        self.crowd, self.name, self.kind = crowd, plan["name"], plan["kind"]
        self.address = (plan["host"], plan["port"])
        self.way, self.h264 = (plan["way"], plan["codec"], plan["stream"]), plan["codec"] == "h264"
        self.rate = plan.get("rate", 0)
        self.tls = crowd.tls if plan["tls"] else None
        self.udp = plan["way"] in ways.OVER_UDP
        self.stream = crowd.streams.setdefault((plan["server"], plan["stream"]), Stream())
        self.socket, self.again_at, self.leaves_at = None, 0.0, None
        self.connected = self.shaking = False
        self.units, self.last_at = 0, time.monotonic()
        self.sample, self.sample_until = None, 0.0
        self.reader, self.stamp, self.begun = None, None, False

    # --- the connection ---

    def open(self, now):
        self.reader, self.stamp, self.begun = ways.reader(*self.way), None, False
        self.last_at = now
        self.socket = socket.socket()
        self.socket.setblocking(False)
        if self.kind in ("slow", "stalled"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        if self.udp:
            self.crowd.poll.register(self.reader.media, select.POLLIN)
            self.crowd.by_media[self.reader.media.fileno()] = self
        error = self.socket.connect_ex(self.address)
        if error not in (0, 115):  # EINPROGRESS
            self.lost(now, f"connect: {error}")
            return
        self.crowd.poll.register(self.socket, select.POLLOUT)
        self.crowd.by_fd[self.socket.fileno()] = self
        if self.kind == "flapping":
            self.leaves_at = now + self.crowd.random.uniform(0.05, 2.5)
        if self.kind == "stalled":
            self.leaves_at = now + STALL_S

    def proceed(self, now):
        """With TCP's handshake, then with that of TLS."""
        if self.shaking:
            self.shake(now)
        elif error := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.lost(now, f"connect: {error}")
        elif self.tls:
            self.socket = self.tls.wrap_socket(
                self.socket, server_hostname=self.address[0], do_handshake_on_connect=False
            )
            self.shaking = True
            self.shake(now)
        else:
            self.established(now)

    def shake(self, now):
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self.crowd.poll.modify(self.socket, select.POLLIN)
        except ssl.SSLWantWriteError:
            self.crowd.poll.modify(self.socket, select.POLLOUT)
        except OSError as error:
            self.lost(now, str(error))
        else:
            self.established(now)

    def established(self, now):
        self.connected, self.shaking = True, False
        self.last_at = now
        self.reader.local = self.socket.getsockname()[0]
        try:
            self.socket.sendall(self.reader.begin())
            if self.kind == "half":
                self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.lost(now, str(error))
            return
        reads = self.kind in ("plain", "half", "flapping")
        self.crowd.poll.modify(self.socket, select.POLLIN if reads else 0)

    def close(self, now, after=AGAIN_S):
        if self.socket.fileno() in self.crowd.by_fd:
            self.crowd.poll.unregister(self.socket)
            del self.crowd.by_fd[self.socket.fileno()]
        if self.udp:
            self.crowd.poll.unregister(self.reader.media)
            del self.crowd.by_media[self.reader.media.fileno()]
            self.reader.close()
        self.socket.close()
        self.socket, self.leaves_at = None, None
        self.connected = self.shaking = False
        self.again_at = now + after
        self.end_sample()

    def lost(self, now, how):
        emit("closed", viewer=self.name, at=now, how=how)
        self.close(now)

    def leave(self, now):
        if self.crowd.random.random() < 0.5:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close(now, self.crowd.random.uniform(0.05, 1))

    def read(self, now, limit=1 << 18):
        try:
            data = self.socket.recv(limit)
            while self.tls and (more := min(self.socket.pending(), limit - len(data))) > 0:
                data += self.socket.recv(more)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError as error:
            self.lost(now, str(error))
            return
        if not data:
            self.lost(now, "end")
            return
        self.proceed_with(lambda: self.reader.feed(data), data, now)

    def read_datagram(self, now):
        self.proceed_with(self.reader.read_datagram, b"", now)

    def proceed_with(self, read, data, now):
        """read() returns units, and what to send; it reads data."""
        try:
            units, reply = read()
            for unit in units:
                self.take(unit, now)
            if reply:
                self.socket.sendall(reply)
        except ValueError as error:
            emit("malformed", viewer=self.name, at=now, what=str(error), bytes=data[:64].hex())
            self.close(now)
        except (ways.Refused, OSError) as error:
            self.lost(now, str(error))

    # --- the stream ---

    def take(self, unit, now):
        if now - self.last_at > WAIT_S and self.kind != "slow":
            emit("wait", viewer=self.name, start=self.last_at, at=now, first=not self.begun)
        self.last_at = now
        self.units += 1
        if self.h264:
            self.judge(unit, now)
        elif not (unit.startswith(b"\xff\xd8\xff") and unit.endswith(b"\xff\xd9")):
            raise ValueError("no JPEG")
        self.begun = True
        if self.sample is not None and (self.sample or not self.h264 or is_key(unit)):
            self.sample.append(unit)
            if now > self.sample_until:
                self.end_sample()

    def judge(self, unit, now):
        stamp, key = stamp_of(unit), is_key(unit)
        if stamp is None:
            raise ValueError("a unit without a number")
        if not self.begun and not key:
            raise ValueError("it begins with no key unit")
        if self.begun and stamp[0] != self.stamp[0] + 1:
            before, after = self.stamp[0], stamp[0]
            broken = not key and (
                after <= before or self.stream.needs_between(self.stamp, stamp)
            )
            # What a bad link lost of UDP leaves pictures broken. On others a gap is a failure, too.
            what = "broken" if broken and not self.udp else "gap"
            if self.udp and self.sample:
                self.sample = []  # which begins with the next key unit
            # A gap begins when the last picture before it was taken. It may have come long after
            # that, from the buffers of a link that was cut.
            start = min(now, self.stamp[1] / 1e6)
            emit(what, viewer=self.name, start=start, at=now, before=before, after=after)
        self.stamp = stamp
        self.stream.learn(stamp, is_droppable(unit))

    def trouble(self, now):
        """What keeps it from being served; None: nothing."""
        if not self.connected:
            return "connecting"
        if now - self.last_at > SERVED_S or not self.begun:
            return round(now - self.last_at, 1)
        if self.h264 and self.kind != "slow" and now - self.stamp[1] / 1e6 > FRESH_S:
            return f"its pictures are {now - self.stamp[1] / 1e6:.1f} s old"
        return None

    # --- samples ---

    def begin_sample(self, now):
        self.sample, self.sample_until = [], now + SAMPLE_S

    def end_sample(self):
        units, self.sample = self.sample, None
        if not units:
            return
        suffix = "h264" if self.h264 else "mjpeg"
        path = self.crowd.folder / f"{self.name}-{self.crowd.samples}.{suffix}"
        self.crowd.samples += 1
        path.write_bytes(b"".join(units))
        emit("sample", viewer=self.name, at=self.last_at, path=str(path), units=len(units))


class Crowd:
    def __init__(self, plan):
        self.random = random.Random(plan["seed"])
        self.folder = pathlib.Path(plan["samples"])
        self.tls = ssl.create_default_context(cafile=plan["authority"])
        self.poll, self.streams, self.samples = select.poll(), {}, 0
        self.by_fd, self.by_media = {}, {}
        self.viewers = [Viewer(self, one) for one in plan["viewers"]]
        self.judged = [viewer for viewer in self.viewers if viewer.kind in JUDGED]
        for position, viewer in enumerate(self.viewers):
            viewer.again_at = time.monotonic() + position * 0.01
        self.begun = self.last_tick = self.last_state = self.last_sample = time.monotonic()

    def run(self):
        while True:
            before = time.monotonic()
            ready = self.poll.poll(1000 * TICK_S)
            now = time.monotonic()
            if now - before > TICK_S + LATE_S:
                emit("late", start=before, at=now)
            for fd, what in ready:
                if fd in self.by_media:
                    self.by_media[fd].read_datagram(now)
                    continue
                viewer = self.by_fd.get(fd)
                if viewer is None:
                    continue
                if not viewer.connected:
                    viewer.proceed(now)
                elif viewer.kind in ("slow", "stalled"):
                    viewer.lost(now, "ended")
                else:
                    viewer.read(now)
            if now - self.last_tick >= TICK_S:
                self.tick(now, now - self.last_tick)
                self.last_tick = now
            if time.monotonic() - now > LATE_S:
                emit("late", start=now, at=time.monotonic())

    def tick(self, now, passed):
        for viewer in self.viewers:
            if viewer.socket is None:
                if now >= viewer.again_at:
                    viewer.open(now)
            elif viewer.leaves_at and now >= viewer.leaves_at:
                viewer.leave(now)
            elif viewer.kind == "slow" and viewer.connected:
                viewer.read(now, max(1, int(viewer.rate * min(passed, 1))))
        if now - self.last_sample >= 1:
            self.last_sample = now
            viewer = self.random.choice(self.judged)
            if viewer.sample is None and viewer.kind != "slow":
                viewer.begin_sample(now)
        if now - self.last_state >= 1:
            self.last_state = now
            idle = {v.name: why for v in self.judged if (why := v.trouble(now))}
            emit("state", at=now, served=len(self.judged) - len(idle), idle=idle,
                 units=sum(viewer.units for viewer in self.viewers))  # fmt: skip
            sys.stdout.flush()


if __name__ == "__main__":
    os.nice(-5)  # what observes must not be what is late
    Crowd(json.loads(pathlib.Path(sys.argv[1]).read_text())).run()
