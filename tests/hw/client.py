#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The client outside the guest: client.py FOLDER PORT. A case in the guest puts NAME.ask, with a
number of bytes in it, into the shared folder; this connects to PORT, which qemu forwards into the
guest, and answers with the bytes in NAME.bytes, complete when NAME.done is there."""
import pathlib
import socket
import sys
import time

folder = pathlib.Path(sys.argv[1])
port = int(sys.argv[2])
answered = set()


def receive(wanted):
    data = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        while len(data) < wanted and (piece := connection.recv(65536)):
            data += piece
    return bytes(data)


while True:
    for ask in folder.glob("*.ask"):
        if ask.name in answered:
            continue
        answered.add(ask.name)
        try:
            data, said = receive(int(ask.read_text())), "ok"
        except OSError as error:
            data, said = b"", str(error)
        ask.with_suffix(".bytes").write_bytes(data)
        ask.with_suffix(".part").write_text(said)
        ask.with_suffix(".part").rename(ask.with_suffix(".done"))
    time.sleep(0.1)
