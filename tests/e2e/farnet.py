# SPDX-License-Identifier: BSD-2-Clause
"""A network of one's own with a peer far away: every packet to FAR comes back, after the delay, as
one from FAR to HERE. So one machine talks to itself over a real TCP path with a real round trip,
and the path can be cut without a trace. Needs root and /dev/net/tun.
"""
import collections
import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import threading
import time

HERE, FAR = "10.77.0.1", "10.77.0.2"
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, IFF_UP_RUNNING = 0x8914, 0x8916, 0x891C, 0x41


class Unavailable(Exception):
    """This user or kernel cannot have such a network."""


class FarNetwork:
    """The calling thread, the processes it starts and the sockets it makes live in the new
    network until close()."""

    def __init__(self, delay_ms):
        self.delay_s = delay_ms / 1000  # one way
        self.cut = False  # True: packets vanish from now on
        self.packets = 0
        self._own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._libc = ctypes.CDLL(None, use_errno=True)
        if self._libc.unshare(CLONE_NEWNET) < 0:
            os.close(self._own)
            raise Unavailable(os.strerror(ctypes.get_errno()))
        try:
            self._tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self._tun, TUNSETIFF, struct.pack("16sH22x", b"far", IFF_TUN | IFF_NO_PI))
        except OSError as error:
            self._return()
            raise Unavailable(f"/dev/net/tun: {error.strerror}") from None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:

            def configure(request, name, value):
                fcntl.ioctl(control, request, struct.pack("16s24s", name, value))

            def address(text):
                return struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(text))

            configure(SIOCSIFFLAGS, b"lo", struct.pack("H", IFF_UP_RUNNING))
            configure(SIOCSIFADDR, b"far", address(HERE))
            configure(SIOCSIFNETMASK, b"far", address("255.255.255.0"))
            configure(SIOCSIFFLAGS, b"far", struct.pack("H", IFF_UP_RUNNING))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        waiting = collections.deque()
        while not self._stop.is_set():
            due = waiting[0][0] - time.monotonic() if waiting else 0.05
            if due > 0 and not select.select([self._tun], [], [], min(due, 0.05))[0]:
                continue
            while waiting and waiting[0][0] <= time.monotonic():
                with contextlib.suppress(BlockingIOError):
                    os.write(self._tun, waiting.popleft()[1])
            with contextlib.suppress(BlockingIOError):
                packet = os.read(self._tun, 65536)
                if packet[0] >> 4 == 4 and not self.cut:
                    # The checksums do not care which address comes first.
                    swapped = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
                    waiting.append((time.monotonic() + self.delay_s, swapped))
                    self.packets += 1

    def _return(self):
        if self._libc.setns(self._own, CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(self._own)

    def close(self):
        self._stop.set()
        self._thread.join(5)
        os.close(self._tun)
        self._return()
