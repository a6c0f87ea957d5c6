# SPDX-License-Identifier: BSD-2-Clause
"""Viewers for tests: plain sockets that read as fast, as slowly, or as badly as a test wants."""
import contextlib
import socket
import struct
import threading
import time

import harness


class Viewer:
    """Connects and reads on a thread of its own, all bytes kept.

    rate: bytes a second (None: as fast as they come; 0: not at all). receive_buffer: SO_RCVBUF in
    bytes, set before connecting: what a slow viewer can hide from the server. tls: an
    ssl.SSLContext.
    """

    def __init__(self, port, rate=None, receive_buffer=None, host="127.0.0.1", source=None,
                 tls=None):
        self.rate = rate
        self.data = bytearray()
        self.closed = None  # None while open; "end", "reset" afterwards, if it was the server
        self.arrivals = []  # (monotonic us, length of data then), one for each read
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.connected_us = time.monotonic_ns() // 1000
        self.socket.connect((host, port))
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self.address = "%s:%d" % self.socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        begun = time.monotonic()
        allowed_from = 0
        while not self._stopping.is_set():
            limit = 1 << 18
            if self.rate is not None:
                limit = int((time.monotonic() - begun) * self.rate) - allowed_from
                limit = min(limit, 1 << 16)
                if limit < max(1, min(4096, self.rate // 50)):
                    self._stopping.wait(0.02)
                    continue
            try:
                data = self.socket.recv(limit)
            except ConnectionError:
                self._finish("reset")
                return
            except OSError:
                return
            if not data:
                if not self._stopping.is_set():
                    self._finish("end")
                return
            with self._changed:
                allowed_from += len(data)
                self.data += data
                self.arrivals.append((time.monotonic_ns() // 1000, len(self.data)))
                self._changed.notify_all()

    def _finish(self, how):
        with self._changed:
            self.closed = how
            self._changed.notify_all()

    def set_rate(self, rate):
        """None: from now on as fast as the bytes come."""
        assert rate is None, "a rate cannot be changed to another one"
        self.rate = None

    def wait(self, predicate, what, timeout=20):
        """Waits for predicate(viewer), asked again at each arrival."""
        with self._changed:
            if not self._changed.wait_for(lambda: predicate(self), timeout * harness.PATIENCE):
                raise harness.Failure(
                    f"viewer {self.address}: no {what}; {len(self.data)} bytes, {self.closed}"
                )

    def wait_bytes(self, count, timeout=20):
        self.wait(lambda v: len(v.data) >= count, f"{count} bytes", timeout)

    def wait_units(self, count, timeout=20):
        """count more complete units than now: a delimiter comes with each."""
        aud = b"\0\0\0\1\x09\xf0"
        with self._changed:
            position = len(self.data)
        self.wait(lambda v: v.data.count(aud, position) > count, f"{count} units", timeout)

    def wait_closed(self, timeout=20):
        self.wait(lambda v: v.closed, "end of the connection", timeout)
        return self.closed

    def close(self, reset=False):
        """Stops reading and closes; returns all bytes."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)  # ends a recv() that waits
        self._thread.join(5)
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()
        return bytes(self.data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def round_trip_ms(asking, answering):
    """The shortest of ten, of a byte through a connection whose two ends are here."""
    times = []
    for _ in range(10):
        begun = time.monotonic()
        asking.sendall(b"?")
        answering.sendall(answering.recv(1))
        assert asking.recv(1) == b"?"
        times.append((time.monotonic() - begun) * 1000)
    return min(times)
