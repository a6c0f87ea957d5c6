# SPDX-License-Identifier: BSD-2-Clause
"""camcastd's end of the pair to a real camcast-capture (include/camcast/worker.h): what a test
wants to ask of an encoder, and to see of each unit, without a viewer between."""
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import time

import harness

MSG_STREAM, MSG_UNIT = 3, 4
MSG_WANT, MSG_IDR, MSG_BITRATE = 64, 65, 66
UNIT_KEY = 1
UNIT = struct.Struct("<10Iq")


class Worker:
    def __init__(self, config, folder):
        text = harness.config_text(config).encode()
        path = pathlib.Path(folder) / "worker.ini"
        path.write_bytes(text)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pair = ours
        config_fd = os.open(path, os.O_RDONLY)
        # 3 and 4 are the numbers that the child must have: out of the way with these.
        sources = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (theirs.fileno(), config_fd)]
        theirs.close()
        os.close(config_fd)

        def place():
            os.dup2(sources[0], 3)
            os.dup2(sources[1], 4)

        self.process = subprocess.Popen(
            [harness.BUILD / "camcast-capture", "-c", "/dev/fd/4", "--camera", "cam", "--worker"],
            pass_fds=(3, 4),
            preexec_fn=place,
            stderr=subprocess.PIPE,
        )
        for fd in sources:
            os.close(fd)
        self.pair.settimeout(60)

    def send(self, *numbers):
        self.pair.send(struct.pack(f"<{len(numbers)}I", *numbers))

    def units(self, wanted):
        """[is it a key] of the next units; every segment's fd is closed."""
        found = []
        while len(found) < wanted:
            data, fds, _flags, _address = socket.recv_fds(self.pair, 4096, 4)
            for fd in fds:
                os.close(fd)
            assert data, "the worker ended: " + self.log()
            if struct.unpack_from("<I", data)[0] == MSG_UNIT:
                found.append(bool(UNIT.unpack(data)[5] & UNIT_KEY))
        return found

    def log(self):
        self.process.wait(10)
        return self.process.stderr.read().decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pair.close()  # means: stop
        deadline = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.process.poll() is None:
            self.process.kill()
            raise AssertionError("the worker did not end: " + self.log())
        self.process.stderr.close()
