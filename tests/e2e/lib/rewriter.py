#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A capture worker that breaks the first rule, for the test that shows why it is one: it changes
bytes after it published them. Run by camcastd in place of camcast-capture.

Publishes REWRITER_UNITS key units of REWRITER_SIZE bytes 'a' at the first demand for an IDR, and
turns every one of those bytes into 'b' at SIGUSR1, through the mapping it always had.
"""
import fcntl
import mmap
import os
import select
import signal
import socket
import struct
import time

PAIR = 3
VERSION = 5
HELLO, HEARTBEAT, UNIT, IDR = 1, 2, 4, 65
KEY, SEGMENT = 1, 4
F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 2, 4


def main():
    size, count = int(os.environ["REWRITER_SIZE"]), int(os.environ["REWRITER_UNITS"])
    total = -(-size * count // mmap.PAGESIZE) * mmap.PAGESIZE
    pair = socket.socket(fileno=PAIR)
    segment = os.memfd_create("rewriter", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(segment, total)
    fcntl.fcntl(segment, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)
    memory = mmap.mmap(segment, total)
    memory[: size * count] = b"a" * (size * count)

    def rewrite(*_):
        memory[: size * count] = b"b" * (size * count)
        print("rewriter: the bytes are changed", file=os.sys.stderr, flush=True)

    signal.signal(signal.SIGUSR1, rewrite)
    pair.send(struct.pack("=4I128s", HELLO, VERSION, os.getpid(), 0, b"off"))
    published = 0
    next_beat = 0
    while True:
        if time.monotonic() >= next_beat:
            beat = struct.pack("=II QQ 6I", HEARTBEAT, 1, published, 0, 30000, 64, 64, 0, 0, 0)
            pair.send(beat + b"rewriter".ljust(64, b"\0") + bytes(64 + 128 + 184))
            next_beat = time.monotonic() + 0.5
        if not select.select([pair], [], [], 0.1)[0]:
            continue
        message = pair.recv(512)
        if not message:
            return
        if struct.unpack_from("=I", message)[0] == IDR and not published:
            for number in range(count):
                flags = KEY | (SEGMENT if number == 0 else 0)
                unit = struct.pack(
                    "=10Iq", UNIT, 0, 1, number * size, size, flags, 0, 0, 0, 0, number
                )
                socket.send_fds(pair, [unit], [segment] if number == 0 else [])
            published = count


main()
