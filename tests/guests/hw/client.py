#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The clients outside the guest: client.py FOLDER PORT. A case in the guest puts NAME.ask into the
shared folder; this answers with NAME.done, which says "ok" or what went wrong, and NAME.bytes. PORT
is forwarded by qemu into the guest. What can be asked:

receive N      connect, read N bytes or more
stall          connect, and read nothing from now on
rest NAME      of the client that stalls as NAME: everything up to the connection's end
ffmpeg ...     what ffmpeg says; for the files in the shared folder
"""
import pathlib
import shlex
import socket
import subprocess
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


def ffmpeg(arguments):
    done = subprocess.run(["ffmpeg", "-hide_banner", "-nostdin", "-nostats", *arguments], cwd=folder,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100)
    if done.returncode:
        raise ValueError(done.stdout[-4000:].decode(errors="replace"))
    return done.stdout


def answer(name, verb, *arguments):
    if verb == "receive":
        with connect() as connection:
            return read(connection, int(arguments[0]))
    if verb == "stall":
        stalled[name] = connect(receive_buffer=4096)
        return b""
    if verb == "rest":
        with stalled.pop(arguments[0]) as connection:
            return read(connection, 1 << 30)
    if verb == "ffmpeg":
        return ffmpeg(arguments)
    raise ValueError(verb)


while True:
    for ask in folder.glob("*.ask"):
        if ask.name in answered:
            continue
        answered.add(ask.name)
        try:
            data, said = answer(ask.stem, *shlex.split(ask.read_text())), "ok"
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            data, said = b"", str(error)
        ask.with_suffix(".bytes").write_bytes(data)
        ask.with_suffix(".part").write_text(said)
        ask.with_suffix(".part").rename(ask.with_suffix(".done"))
    time.sleep(0.1)
