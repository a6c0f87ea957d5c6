# SPDX-License-Identifier: BSD-2-Clause
"""Peers that mean harm, in a process of their own, so that they take no time from the viewers of
the test that watch what happens meanwhile."""
import base64
import http.client
import multiprocessing
import os
import select
import signal
import socket
import struct
import time
from concurrent import futures

import harness

RESET = struct.pack("ii", 1, 0)


def connect(port, source=None, receive_buffer=None):
    """A connection to loopback; source: the address that it comes from."""
    one = socket.socket()
    if receive_buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        one.bind((source, 0))
    one.settimeout(20 * harness.PATIENCE)
    one.connect(("127.0.0.1", port))
    return one


def reset(one):
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    one.close()


def wait_reset(one):
    """Waits until the peer has reset a connection, and reads nothing before that."""
    found = select.poll()
    found.register(one, select.POLLERR)
    assert found.poll(60000 * harness.PATIENCE), "not reset"


def come_and_go(port, count, rounds):
    """count connections that read nothing, all of them reset together; again and again."""
    for _ in range(rounds):
        crowd = [connect(port, "127.0.0.9", 4096) for _ in range(count)]
        time.sleep(0.3)
        for one in crowd:
            reset(one)


def knock(port, seconds, say=b""):
    """Connections one after the other at full speed, each of which says something and is reset."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            one = connect(port, "127.0.0.9")
            if say:
                one.send(say)
            reset(one)
        except OSError:
            pass


def guess(port, addresses, count):
    """Each of so many addresses tries count wrong passwords, one after the other, over connections
    that it keeps while it can. Another flood has other addresses, since these have to wait."""
    network = f"127.1.{os.getpid() % 256}"

    def try_all(address):
        left, one = count, None
        while left > 0:
            try:
                one = one or http.client.HTTPConnection(
                    "127.0.0.1", port, 20 * harness.PATIENCE, (f"{network}.{address}", 0)
                )
                word = base64.b64encode(f"anna:{address}-{left}".encode()).decode()
                one.request("GET", "/", headers={"Authorization": f"Basic {word}"})
                answer = one.getresponse()
                answer.read()
                assert answer.status in (401, 429, 503), answer.status
                left -= 1
            except (OSError, http.client.HTTPException):
                one = None  # its place went to another address

    with futures.ThreadPoolExecutor(addresses) as pool:
        list(pool.map(try_all, range(1, addresses + 1)))


def talk(port, count, seconds):
    """count connections that send without end, and connect again when they are disconnected."""
    end = time.monotonic() + seconds
    noise = bytes(1 << 16)
    crowd = []
    while time.monotonic() < end:
        crowd += [connect(port, "127.0.0.9", 4096) for _ in range(count - len(crowd))]
        for one in list(crowd):
            one.setblocking(False)
            try:
                one.send(noise)
            except BlockingIOError:
                pass
            except OSError:
                crowd.remove(one)
                one.close()
    for one in crowd:
        reset(one)


def ask(port, path, seconds):
    """Asks the status server for a path in a loop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with connect(port) as one:
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            while one.recv(1 << 16):
                pass


class Flood:
    """Runs one of the functions above in a process; a context manager that waits for its end."""

    def __init__(self, function, *arguments):
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=self._run, args=(function, arguments), daemon=True)
        self._process.start()

    @staticmethod
    def _run(function, arguments):
        harness.die_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # behind the test's viewers
        function(*arguments)

    def wait(self, timeout=60):
        self._process.join(timeout * harness.PATIENCE)
        assert self._process.exitcode == 0, f"the flood ended with {self._process.exitcode}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.join()
