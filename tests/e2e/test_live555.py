# SPDX-License-Identifier: BSD-2-Clause
"""What live555 asks for, which Debian does not have and many recorders are built with: the requests
of its openRTSP 2026.06 with the user and password in the URL, in their order and with their quirks."""
import base64
import hashlib
import re
import socket

import pytest

import harness
import packets
import strip
from test_rtsp import CALM, HEIGHT, WIDTH, Client, check_numbers, config
from test_rtsp_udp import transport, udp_ports
from users import write_secret

PASSWORD = "secret-word"
REPORT = b"$\x01\x00\x08\x80\xc9\x00\x01\x00\x00\x00\x01"  # it sends no other sign of life over TCP


class Tunnel(Client):
    """RTSP over HTTP: answers come by a GET, and a POST brings the requests in base64."""

    def __init__(self, daemon):
        super().__init__(daemon)
        head = "CSeq: 1\r\nHost: 127.0.0.1\r\nx-sessioncookie: de32689e954e141c7f715b8\r\n"
        kind = "application/x-rtsp-tunnelled\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
        self.socket.sendall(f"GET /s HTTP/1.0\r\n{head}Accept: {kind}\r\n".encode())
        assert b" 200 " in self.file.readline()
        while self.file.readline() != b"\r\n":
            pass
        self.post = socket.create_connection(("127.0.0.1", daemon.rtsp_port))
        self.post.sendall(
            f"POST /s HTTP/1.0\r\n{head}Content-Type: {kind}Content-Length: 32767\r\n"
            "Expires: Sun, 9 Jan 1972 00:00:00 GMT\r\n\r\n".encode()
        )

    def send(self, data):
        self.post.sendall(base64.b64encode(data))

    def __exit__(self, *_):
        self.post.close()
        super().__exit__()


def digest(challenge, method, uri):
    """The answer to a challenge. live555 signs the base of the stream where it asks for a track."""
    nonce = re.search(r'nonce="(\w+)"', challenge)[1]

    def h(text):
        return hashlib.md5(text.encode()).hexdigest()

    response = h(f"{h(f'anna:camcast:{PASSWORD}')}:{nonce}:{h(f'{method}:{uri}')}")
    return (
        f'Digest username="anna", realm="camcast", nonce="{nonce}", uri="{uri}", '
        f'response="{response}"'
    )


@pytest.mark.parametrize("way", ["tcp", "udp", "http"])
def test_it_sees_every_picture(camcastd, tmp_path, way):
    text = config(bitrate=CALM)
    secret = write_secret(tmp_path / "password", PASSWORD)
    text["user anna"] = {"password_file": secret, "may": "view"}
    text["daemon"]["anonymous"] = "status"
    daemon = camcastd(text)
    ports = udp_ports()
    with (Tunnel if way == "http" else Client)(daemon) as client, ports[0], ports[1]:
        url = f"rtsp://anna:{PASSWORD}@127.0.0.1:{daemon.rtsp_port}/s"
        assert client.ask("OPTIONS", url)[0] == 200
        status, answer, _ = client.ask("DESCRIBE", url, Accept="application/sdp")
        assert status == 401
        challenge = answer["WWW-Authenticate"]

        def ask(method, target, signed, **headers):
            signature = digest(challenge, method, signed)
            status, answer, _ = client.ask(method, target, Authorization=signature, **headers)
            assert status == 200
            return answer

        base = ask("DESCRIBE", url, url, Accept="application/sdp")["Content-Base"]
        assert base == f"rtsp://127.0.0.1:{daemon.rtsp_port}/s/"
        asked = transport(ports) if way == "udp" else "RTP/AVP/TCP;unicast;interleaved=0-1"
        answer = ask("SETUP", f"{base}trackID=0", base, Transport=asked)
        session = answer["Session"].partition(";")[0]
        ask("PLAY", base, base, Session=session, Range="npt=0.000-")
        if way != "udp":
            client.send(REPORT)
        reader = packets.Reader()
        ports[0].settimeout(20 * harness.PATIENCE)
        while len(reader.pictures) < 60:
            channel, packet = (0, ports[0].recv(65536)) if way == "udp" else client.frame()
            if channel == 0:
                reader.add(packet)
        ask("TEARDOWN", base, base, Session=session)
        assert not client.file.read()
    shown = strip.decoded_numbers(packets.byte_stream(reader.pictures), "h264", WIDTH, HEIGHT)
    check_numbers(daemon, shown, 60)
