# SPDX-License-Identifier: BSD-2-Clause
"""RTSP servers for tests: a small one that plays a recording of H.264 in a loop over TCP, with
parameter sets in the SDP alone, and Debian's gst-rtsp-server."""
import base64
import os
import re
import socket
import struct
import subprocess
import threading
import time

import bytestream
import harness

PAYLOAD_MAX = 1400
PERIOD = 1 / 30
CLOCK = 90000


def rtp(payload, marker, sequence, timestamp):
    head = struct.pack(">BBHII", 0x80, 96 | marker << 7, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 7)
    packet = head + payload
    return b"$" + struct.pack(">BH", 0, len(packet)) + packet


def packets(nals, timestamp, sequence):
    """The packets of one picture (RFC 6184: single NAL units and FU-A)."""
    made = []
    for index, nal in enumerate(nals):
        last = index == len(nals) - 1
        if len(nal) <= PAYLOAD_MAX:
            made.append((nal, last))
            continue
        pieces = [nal[i : i + PAYLOAD_MAX] for i in range(1, len(nal), PAYLOAD_MAX)]
        for number, piece in enumerate(pieces):
            end = number == len(pieces) - 1
            head = bytes([nal[0] & 0xE0 | 28, (number == 0) << 7 | end << 6 | nal[0] & 31])
            made.append((head + piece, last and end))
    return b"".join(
        rtp(payload, marker, sequence + i, timestamp) for i, (payload, marker) in enumerate(made)
    ), len(made)


class RtspServer:
    """A context manager. password: asked for (Basic) where it is given. hang: nothing is sent
    any more while it is set. together: how many pictures come at once."""

    def __init__(self, path, password=None, port=0, together=1):
        self.together = together
        units, _ = bytestream.split(path.read_bytes() + bytestream.AUD)
        self.sets = {}
        self.pictures = []
        for unit in units:
            nals = list(bytestream.nals(unit.data))
            for nal in nals:
                if nal[0] & 31 in (bytestream.SPS, bytestream.PPS):
                    self.sets[nal[0] & 31] = nal
            self.pictures.append([nal for nal in nals if nal[0] & 31 in (1, bytestream.IDR)])
        self.password = password
        self.hang = threading.Event()
        self.requests = []
        self.connections = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _sdp(self):
        sets = ",".join(
            base64.b64encode(self.sets[kind]).decode() for kind in (bytestream.SPS, bytestream.PPS)
        )
        return (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            f"a=rtpmap:96 H264/{CLOCK}\r\na=fmtp:96 packetization-mode=1;"
            f"sprop-parameter-sets={sets}\r\na=control:track0\r\n"
        )

    def _answer(self, request):
        """(status and headers, body)"""
        wanted = base64.b64encode(f"me:{self.password}".encode()).decode()
        if self.password and f"Authorization: Basic {wanted}" not in request:
            return '401 Unauthorized\r\nWWW-Authenticate: Basic realm="camera"', ""
        method = request.split()[0]
        if method == "OPTIONS":
            return "200 OK\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER", ""
        if method == "DESCRIBE":
            return "200 OK\r\nContent-Type: application/sdp", self._sdp()
        if method == "SETUP" and "interleaved" not in request:
            return "461 Unsupported Transport", ""
        if method == "SETUP":
            return "200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1", ""
        return "200 OK\r\nSession: 1", ""

    def _serve(self, connection):
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    if data.startswith(b"$") and len(data) >= 4:
                        data = data[4 + int.from_bytes(data[2:4], "big") :]
                    piece = connection.recv(4096)
                    if not piece:
                        return
                    data += piece
                head, _, data = data.partition(b"\r\n\r\n")
                request = head[max(0, head.rfind(b"RTSP/1.0\r\n") - 500) :].decode("latin-1")
                self.requests.append(request)
                cseq = re.search(r"CSeq: *(\d+)", request)[1]
                status, body = self._answer(request)
                connection.sendall(
                    f"RTSP/1.0 {status}\r\nCSeq: {cseq}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
                )
                if request.startswith("PLAY"):
                    threading.Thread(target=self._play, args=(connection,), daemon=True).start()
        except OSError:
            pass

    def _play(self, connection):
        begun, number, sequence = time.monotonic(), 0, 0
        try:
            while True:
                if self.hang.is_set():
                    time.sleep(PERIOD)
                    continue
                picture = self.pictures[number % len(self.pictures)]
                data, n = packets(picture, int(number * CLOCK * PERIOD), sequence)
                connection.sendall(data)
                number, sequence = number + 1, sequence + n
                if number % self.together == 0:
                    time.sleep(max(0, begun + number * PERIOD - time.monotonic()))
        except OSError:
            pass

    def drop(self):
        """Ends all connections."""
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was first
        self.connections.clear()

    def close(self):
        # A thread waits in accept().
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.drop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


GSTREAMER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory(); factory.set_launch(sys.argv[1]); factory.set_shared(True)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


class GstRtspServer:
    """gst-rtsp-server with this pipeline, at rtsp://127.0.0.1:PORT/camera. A context manager."""

    def __init__(self, pipeline):
        self.process = harness.start(
            ["/usr/bin/python3", "-c", GSTREAMER, pipeline],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, GST_DEBUG="0"),
        )
        line = self.process.stdout.readline()
        assert line, "gst-rtsp-server does not start"
        self.port = int(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
