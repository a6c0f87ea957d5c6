#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A slow cable between the switch of netns.Lan and one of its hosts: what the host receives is
delayed, limited in rate, and lost in part, as tc-netem(8) does it; what it sends passes at once.
Works on every kernel with /dev/net/tun, also without netem. Needs root.

    slowlink.py SWITCH-SIDE HOST-SIDE DELAY-MS LOSS-PERCENT RATE-KBIT SEED

is the program that passes the Ethernet frames between two TAP devices of these names, which it
creates (Documentation/networking/tuntap.rst). It ends with its standard input.
"""
import collections
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time

TUN = "/dev/net/tun"
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
FRAME_MAX = 65536
WAITING_MAX = 1000  # frames; more are lost. The limit of netem by default


class Unavailable(Exception):
    """This user or kernel cannot have TAP devices."""


def open_tap(name=""):
    """A TAP device in the network namespace of this thread, which is gone when it is closed."""
    fd = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


class SlowLink:
    """The cable of this host is slow until close(). Other hosts keep theirs."""

    def __init__(self, host, delay_ms=0, loss=0, rate_kbit=1_000_000, seed=0):
        self.host = host
        names = [f"{host.port}-near", f"{host.port}-far"]
        self.bridge = f"{host.port}-slow"
        self.relay = host.switch.popen(
            ["/usr/bin/python3", __file__, *names, str(delay_ms), str(loss), str(rate_kbit)]
            + [str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if not self.relay.stdout.readline():
            raise Unavailable(self.relay.communicate()[1].decode().strip())
        host.switch.ip("link", "add", self.bridge, "type", "bridge")
        for name, bridge in zip(names, (host.bridge, self.bridge)):
            host.switch.ip("link", "set", name, "master", bridge, "up")
        host.switch.ip("link", "set", self.bridge, "up")
        host.connect(self.bridge)

    def close(self):
        """What is under way is lost."""
        self.host.connect(self.host.bridge)
        said = self.relay.communicate(timeout=30)[1].decode()
        self.host.switch.ip("link", "del", self.bridge)
        assert self.relay.returncode == 0, f"slowlink.py: {said}"


def why_unavailable(switch):
    """None if a slow cable can be made here, else a line that says what is missing."""
    try:
        with switch:
            os.close(open_tap())
    except OSError as error:
        return f"no TAP device from {TUN}: {error.strerror}"
    return None


class Direction:
    """The frames towards the host, in the order in which they are due."""

    def __init__(self, delay_s, loss, bytes_per_s, seed):
        self.delay_s, self.loss, self.bytes_per_s = delay_s, loss, bytes_per_s
        self.random = random.Random(seed)
        self.waiting, self.free_at = collections.deque(), 0.0

    def put(self, frame, now):
        if self.random.random() < self.loss or len(self.waiting) >= WAITING_MAX:
            return
        self.free_at = max(self.free_at, now) + len(frame) / self.bytes_per_s
        self.waiting.append((self.free_at + self.delay_s, frame))

    def take(self, now):
        """Frames that are due now."""
        while self.waiting and self.waiting[0][0] <= now:
            yield self.waiting.popleft()[1]

    def next_s(self, now):
        """The time until the next frame is due; None: there is none."""
        return max(0, self.waiting[0][0] - now) if self.waiting else None


def frames(fd):
    try:
        while True:
            yield os.read(fd, FRAME_MAX)
    except BlockingIOError:
        return


def write(fd, frame):
    try:
        os.write(fd, frame)
    except OSError:
        pass  # the device is down or has no room: this frame is lost


def relay(near, far, slow):
    """Returns when standard input has ended."""
    while True:
        ready, _, _ = select.select([near, far, 0], [], [], slow.next_s(time.monotonic()))
        if 0 in ready:
            return
        now = time.monotonic()
        if near in ready:
            for frame in frames(near):
                slow.put(frame, now)
        if far in ready:
            for frame in frames(far):
                write(near, frame)
        for frame in slow.take(time.monotonic()):
            write(far, frame)


def main():
    near, far = (open_tap(name) for name in sys.argv[1:3])
    delay_ms, loss, rate_kbit = map(float, sys.argv[3:6])
    print("ready", flush=True)
    relay(near, far, Direction(delay_ms / 1000, loss / 100, rate_kbit * 125, sys.argv[6]))


if __name__ == "__main__":
    main()
