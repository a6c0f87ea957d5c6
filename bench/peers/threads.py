# SPDX-License-Identifier: BSD-2-Clause
"""A simple Python server: one thread for each client waits for the newest picture at a condition
variable, then calls sendall() without a timeout. Run as a program, this file reads units with
32-bit lengths from stdin."""
import socket
import struct
import subprocess
import sys
import threading

try:
    import servers
except ImportError:  # run as a program, which does not need it
    servers = None


class Newest:
    """The newest unit, and the clients that wait for the next one."""

    def __init__(self):
        self.condition = threading.Condition()
        self.number, self.unit = 0, b""

    def put(self, unit):
        with self.condition:
            self.number += 1
            self.unit = unit
            self.condition.notify_all()

    def get(self, seen):
        with self.condition:
            self.condition.wait_for(lambda: self.number != seen)
            return self.number, self.unit


def is_key(unit):
    return b"\0\0\1\x65" in unit


def send_to(connection, newest):
    number, begun = 0, False
    try:
        while True:
            number, unit = newest.get(number)
            begun = begun or is_key(unit)
            if begun:
                connection.sendall(unit)
    except OSError:
        connection.close()


def accept(listener, newest):
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=send_to, args=(connection, newest), daemon=True).start()


def main(host, port):
    newest = Newest()
    threading.stack_size(256 * 1024)
    listener = socket.create_server((host, port), backlog=4096)
    threading.Thread(target=accept, args=(listener, newest), daemon=True).start()
    while head := sys.stdin.buffer.read(4):
        newest.put(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))


if servers:

    class PythonThreads(servers.Server):
        name = "python threads"
        packages = ("python3",)

        def start(self):
            port = servers.free_port()
            server = self.run("/usr/bin/python3", __file__, servers.HERE, port, stdin=subprocess.PIPE)
            self.publish("length", stdout=server.stdin)
            servers.wait_for("python", lambda: servers.accepts(port))
            self.target = servers.reached(port)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
