#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The clients outside the guest: client.py FOLDER PORT. A case in the guest puts NAME.ask into the
shared folder; this answers with NAME.done, which says "ok" or what went wrong, and NAME.bytes. PORT
is forwarded by qemu into the guest. What can be asked:

receive N      connect, read N bytes or more
stall          connect, and read nothing from now on
rest NAME      of the client that stalls as NAME: everything up to the connection's end
"""
import pathlib
import socket
import sys
import time

folder = pathlib.Path(sys.argv[1])
port = int(sys.argv[2])
answered = set()
stalled = {}


def connect(receive_buffer=0):
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", port))
    return connection


def read(connection, wanted):
    data = bytearray()
    while len(data) < wanted and (piece := connection.recv(65536)):
        data += piece
    return bytes(data)


def answer(name, verb, argument=""):
    if verb == "receive":
        with connect() as connection:
            return read(connection, int(argument))
    if verb == "stall":
        stalled[name] = connect(receive_buffer=4096)
        return b""
    if verb == "rest":
        with stalled.pop(argument) as connection:
            return read(connection, 1 << 30)
    raise ValueError(verb)


while True:
    for ask in folder.glob("*.ask"):
        if ask.name in answered:
            continue
        answered.add(ask.name)
        try:
            data, said = answer(ask.stem, *ask.read_text().split()), "ok"
        except (OSError, ValueError, KeyError) as error:
            data, said = b"", str(error)
        ask.with_suffix(".bytes").write_bytes(data)
        ask.with_suffix(".part").write_text(said)
        ask.with_suffix(".part").rename(ask.with_suffix(".done"))
    time.sleep(0.1)
