# SPDX-License-Identifier: BSD-2-Clause
"""Servers that mean harm: what they announce, what they send, and what their victims use."""
import contextlib
import functools
import json
import pathlib
import socket
import struct
import subprocess
import threading
import time

import bytestream
import harness


class Server:
    """Listens on 127.0.0.1, and plays act(connection) with each connection, in a thread of its own.
    count: connections so far. Also a context manager."""

    def __init__(self, act):
        self.act = act
        self.count = 0
        self._open = set()
        self._ended = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._socket.getsockname()[1]
        self.url = f"tcp://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.count += 1
            self._open.add(connection)
            threading.Thread(target=self._play, args=(connection,), daemon=True).start()

    def _play(self, connection):
        with connection, contextlib.suppress(OSError):
            self.act(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def silent(connection):
    """Sends nothing, until the peer ends."""
    while connection.recv(65536):
        pass


def repeat(data, pause=0.0):
    """Sends data for ever, with a pause after each time."""

    def act(connection):
        while True:
            connection.sendall(data)
            time.sleep(pause)

    return act


def pictures(units, rate):
    """Sends these units one after the other, for ever, so many in a second."""

    def act(connection):
        begun, n = time.monotonic(), 0
        while True:
            connection.sendall(units[n % len(units)])
            n += 1
            time.sleep(max(0, begun + n / rate - time.monotonic()))

    return act


def announce(client, ident, name, port, framing="annexb", codec="h264"):
    """Announces a server with one stream on 127.0.0.1, as camcastd does."""
    scheme = "tcp" if framing == "annexb" else "tcp+length"
    stream = {
        "name": "s", "camera": "c", "codec": codec, "width": 64, "height": 48, "framerate": 25,
        "framing": framing, "port": port, "url": f"{scheme}://127.0.0.1:{port}",
    }  # fmt: skip
    info = {
        "camcast": 1, "id": ident, "name": name, "version": "1", "addresses": ["127.0.0.1"],
        "streams": [stream],
    }  # fmt: skip
    client.publish(f"camcast/{ident}/info", json.dumps(info), retain=True)
    client.publish(f"camcast/{ident}/status", "online", retain=True)


# --- what is sent ---


def _golomb(value):
    bits = bin(value + 1)[2:]
    return "0" * (len(bits) - 1) + bits


def sps(width, height, references=1, reorder=0):
    """An SPS (baseline) of whole macroblocks, with a start code. reorder: None states nothing."""
    restriction = (0, 0, 10, 10, reorder or 0, references)
    bits = "".join(
        [
            *(_golomb(value) for value in (0, 0, 2)),  # its id, frame_num of 4 bits, no POC
            _golomb(references),
            "0",
            _golomb(width // 16 - 1),
            _golomb(height // 16 - 1),
            "1101",  # frames only, direct_8x8, no cropping, a VUI
            "0000000",  # of which nothing is there up to
            "0",
            *(["0"] if reorder is None else ["11", *map(_golomb, restriction)]),
            "1",
        ]
    )
    bits = bits.ljust(-(-len(bits) // 8) * 8, "0")
    body = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    body = b"\x67\x42\x00\x3e" + body
    for zeros in (b"\0\0\0", b"\0\0\1", b"\0\0\2", b"\0\0\3"):
        body = body.replace(zeros, b"\0\0\3" + zeros[2:])
    return b"\0\0\0\1" + body


PPS = b"\0\0\0\1\x68\xce\x38\x80"
AUD = bytestream.AUD + b"\xf0"


def padded(unit, size):
    """The unit with filler data (NAL unit type 12) behind it, so many bytes in all."""
    return unit + b"\0\0\0\1\x0c" + b"\xff" * (size - len(unit) - 6) + b"\x80"


def huge_picture(width, height, references=1):
    """A key picture of that size, of which only the beginning is there."""
    return AUD + sps(width, height, references) + PPS + b"\0\0\0\1\x65\x88\x84" + b"\x5a" * 400


def huge_jpeg(width, height):
    """The header of a JPEG of that size, and some of its scan."""
    tables = b"\xff\xdb\x00\x43\x00" + bytes([1] * 64)
    frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width)
    frame += b"\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00"
    scan = b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00" + b"\x5a" * 400
    return b"\xff\xd8" + tables + frame + scan + b"\xff\xd9"


def behind_length(data):
    return struct.pack(">I", len(data)) + data


@functools.cache
def real_units(size="64x48", count=10, gop=5, bsf="null"):
    """Units of a small real stream, each with a delimiter in front and every gop-th a key unit.
    bsf: ffmpeg's filter of bits."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=size={size}:rate=25"]
        + ["-frames:v", str(count), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0"]
        + ["-x264-params", f"keyint={gop}:min-keyint={gop}:scenecut=0:aud=1:repeat-headers=1"]
        + ["-pix_fmt", "yuv420p", "-bsf:v", bsf, "-f", "h264", "-"],
        capture_output=True,
        check=True,
    )
    units, _ = bytestream.split(done.stdout + AUD)
    assert len(units) == count
    return tuple(unit.data for unit in units)


# --- what a victim uses ---


def peak_memory(pid):
    """The most memory that the process ever had of its own, in MB; 0: it has ended."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields["VmHWM"].split()[0]) / 1024 if "VmHWM" in fields else 0


def watch_memory(pids, seconds):
    """The largest peak_memory() of pids(), which may change, over some seconds."""
    peak, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        peak = max([peak, *(peak_memory(pid) for pid in pids())])
        time.sleep(0.05)
    return peak


def wait_for(predicate, what, timeout=20):
    deadline = time.monotonic() + timeout * harness.PATIENCE
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise harness.Failure(f"no {what}")
        time.sleep(0.05)
    return value
