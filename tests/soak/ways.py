# SPDX-License-Identifier: BSD-2-Clause
"""The ways in which a viewer of the crowd gets a stream: raw TCP, RTSP, and all that HTTP has.

A reader belongs to one connection. begin() is what it sends first; feed(data) takes the bytes that
came, and returns the units in them and the bytes to send now. Units are JPEGs, or access units in
Annex B, with a delimiter in front. ValueError: the bytes are no stream of this kind. Refused: the
server said so. A reader of OVER_UDP also has a socket, `media`: read_datagram() takes one from it,
and returns the same as feed(); `local` is to be the address of the connection's own end."""
import re
import socket
import struct

AUD = b"\0\0\0\1\x09\xf0"
SPS = b"\0\0\1\x67"
UNIT_MAX = 4 << 20
HEAD_MAX = 4096
BOUNDARY = b"--boundarydonotcross\r\n"
TS_LEN, TS_SYNC = 188, 0x47
TS_START, TS_PADDING = 0x40, 0x20  # of the second and of the fourth byte
VIDEO = b"\0\0\1\xe0"  # how the PES packets of the first video stream begin
BINARY, CLOSE, PING, PONG = 2, 8, 9, 10
RTP, RTCP = 0, 1  # channels
DELIMITER, FU_A = 9, 28  # types of NAL units, and of a payload
BEGINNINGS = (6, 7, DELIMITER)  # what units of the streams here begin with: SEI, SPS
KEEP_ALIVE_UNITS = 100
SO_RCVBUFFORCE = 33


class Refused(Exception):
    """The server answered, and gives no stream."""


class Framing:
    """Units in a row of bytes."""

    def __init__(self):
        self.data = bytearray()

    def feed(self, data):
        self.data += data
        units = list(self.units())
        if len(self.data) > UNIT_MAX:
            raise ValueError(f"{len(self.data)} bytes without a unit")
        return units

    def take(self, count):
        taken = bytes(self.data[:count])
        del self.data[:count]
        return taken


class Annexb(Framing):
    def units(self):
        while (end := self.data.find(AUD, 1)) >= 0:
            yield self.take(end)


def unit_of(nals):
    return AUD + b"".join(b"\0\0\0\1" + nal for nal in nals if nal[0] & 0x1F != DELIMITER)


class LengthPrefixed(Framing):
    def units(self):
        while len(self.data) >= 4:
            size = int.from_bytes(self.data[:4], "big")
            if not 0 < size <= UNIT_MAX:
                raise ValueError(f"a unit of {size} bytes")
            if len(self.data) < 4 + size:
                return
            yield self.take(4 + size)[4:]


class Mp4(Framing):
    """Each picture is a moof and a mdat; initialization segments may come at any time."""

    def units(self):
        while len(self.data) >= 8:
            size, kind = struct.unpack_from(">I4s", self.data)
            if kind not in (b"ftyp", b"moov", b"moof", b"mdat") or not 8 < size <= UNIT_MAX:
                raise ValueError(f"a box {kind} of {size} bytes")
            if len(self.data) < size:
                return
            box = self.take(size)[8:]
            if kind == b"mdat":
                yield unit_of(LengthPrefixed().feed(box))


class WebSocket(Framing):
    """Binary messages, which are a Mp4 together. Answers to pings wait in .reply."""

    def __init__(self):
        super().__init__()
        self.mp4, self.reply = Mp4(), b""

    def units(self):
        while message := self.message():
            opcode, payload = message
            if opcode == BINARY:
                yield from self.mp4.feed(payload)
            elif opcode == PING:
                self.reply += bytes([0x80 | PONG, 0x80 | len(payload)]) + bytes(4) + payload
            elif opcode == CLOSE:
                raise Refused("closed by a message")
            else:
                raise ValueError(f"a message of the kind {opcode}")

    def message(self):
        if len(self.data) < 2:
            return None
        if not self.data[0] & 0x80 or self.data[1] & 0x80:
            raise ValueError("a message in parts, or masked")
        size, head = self.data[1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            if len(self.data) < head:
                return None
            size = int.from_bytes(self.data[2:head], "big")
        if len(self.data) < head + size:
            return None
        opcode = self.data[0] & 0x0F
        return opcode, self.take(head + size)[head:]


class MpegTs(Framing):
    """A unit is a PES packet; the next one ends it."""

    def __init__(self):
        super().__init__()
        self.pid, self.packet = None, b""

    def units(self):
        while len(self.data) >= TS_LEN:
            packet = self.take(TS_LEN)
            if packet[0] != TS_SYNC:
                raise ValueError("no transport packet")
            pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
            payload = packet[5 + packet[4] if packet[3] & TS_PADDING else 4 :]
            if packet[1] & TS_START and payload.startswith(VIDEO):
                if self.packet:
                    yield self.packet[9 + self.packet[8] :]
                self.pid, self.packet = pid, b""
            if pid == self.pid:
                self.packet += payload


class Multipart(Framing):
    def units(self):
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.data[:end]).removeprefix(b"\r\n")
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            if not head.startswith(BOUNDARY) or not length:
                raise ValueError("no head of a part")
            end += 4
            if len(self.data) < end + int(length[1]):
                return
            yield self.take(end + int(length[1]))[end:]


class Raw:
    def __init__(self, framing):
        self.framing = framing

    def begin(self):
        return b""

    def feed(self, data):
        return self.framing.feed(data), b""


def request(path, *lines):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode()


def head_of(data, *good):
    """Takes the head of an answer from data; None: it is not whole yet."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > HEAD_MAX:
            raise ValueError("a head without an end")
        return None
    head = bytes(data[:end]).decode()
    del data[: end + 4]
    status = head.split("\r\n")[0].split(" ")
    if status[0] != "HTTP/1.1":
        raise ValueError(f"no answer of HTTP: {head[:40]}")
    if status[1] not in good:
        raise Refused(f"{head.splitlines()[0]} {bytes(data[:80])}")
    return head


class Live:
    """An answer without an end."""

    def __init__(self, path, framing):
        self.path, self.framing = path, framing
        self.is_socket = isinstance(framing, WebSocket)
        self.data, self.head = bytearray(), None

    def begin(self):
        if self.is_socket:
            key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
            lines = "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key
            return request(self.path, *lines)
        return request(self.path)

    def feed(self, data):
        if self.head is None:
            self.data += data
            self.head = head_of(self.data, "101" if self.is_socket else "200")
            if self.head is None:
                return [], b""
            data = self.data
        units, reply = self.framing.feed(data), b""
        if self.is_socket:
            reply, self.framing.reply = self.framing.reply, b""
        return units, reply


class Player:
    """Finite answers on one connection: ask() is a generator that yields paths, is given the bodies
    and keeps what it finds in .units."""

    def __init__(self, stream):
        self.stream, self.units, self.data, self.left = stream, [], bytearray(), None
        self.script = self.ask()

    def ask(self):
        raise NotImplementedError

    def begin(self):
        return request(next(self.script))

    def feed(self, data):
        self.data += data
        reply = b""
        if self.left is None and (head := head_of(self.data, "200")):
            self.left = int(re.search(r"\r\nContent-Length: (\d+)", head)[1])
        if self.left is not None and len(self.data) >= self.left:
            body = bytes(self.data[: self.left])
            del self.data[: self.left]
            self.left = None
            reply = request(self.script.send(body))
        units, self.units = self.units, []
        return units, reply


class Snapshots(Player):
    def ask(self):
        while True:
            body = yield f"/{self.stream}.jpg"
            self.units.append(body)


def parts_of(playlist):
    """The parts that a playlist has, as (media sequence number, number in the segment), URI, URI of
    the initialization, whether it can be the first; and the position of the one that comes next."""
    sequence, number, init, parts = 0, 0, None, []
    for line in playlist.splitlines():
        name, _, value = line.partition(":")
        uri = re.search(r'URI="([^"]*)"', value)
        if name == "#EXT-X-MEDIA-SEQUENCE":
            sequence = int(value)
        elif name == "#EXT-X-MAP":
            init = uri[1]
        elif name == "#EXT-X-PART":
            parts.append(((sequence, number), uri[1], init, "INDEPENDENT=YES" in value))
            number += 1
        elif line and not line.startswith("#"):
            sequence, number = sequence + 1, 0
    if not playlist.startswith("#EXTM3U\n"):
        raise ValueError("no playlist")
    return parts, (sequence, number)


class Hls(Player):
    """A player of low-latency HLS. It asks for the playlist that has the next part, takes what is
    new in it, and begins with the last part that can be the first."""

    def ask(self):
        mp4, loaded, wanted, query = Mp4(), None, None, ""
        while True:
            parts, coming = parts_of((yield f"/{self.stream}.m3u8{query}").decode())
            if wanted is None and any(first for *_, first in parts):
                wanted = max(position for position, _, _, first in parts if first)
            for position, uri, init, _ in parts:
                if wanted is None or position < wanted:
                    continue
                if init != loaded:
                    mp4.feed((yield f"/{init}"))
                    loaded = init
                body = yield f"/{uri}"
                self.units += mp4.feed(body)
            if wanted is not None:
                wanted = coming
            query = f"?_HLS_msn={coming[0]}&_HLS_part={coming[1]}"


class Rtp(Framing):
    """Interleaved frames (RFC 2326 clause 10.12) with H.264 (RFC 6184), between answers of RTSP."""

    def __init__(self):
        super().__init__()
        self.sequence, self.nals, self.part = None, [], None

    def units(self):
        while len(self.data) >= 4:
            if self.data.startswith(b"RTSP"):
                if answer_of(self.data) is None:
                    return
                continue
            mark, channel, size = struct.unpack_from(">cBH", self.data)
            if mark != b"$" or channel not in (RTP, RTCP):
                raise ValueError("no interleaved frame")
            if len(self.data) < 4 + size:
                return
            packet = self.take(4 + size)[4:]
            if channel == RTP and self.packet(packet):
                nals, self.nals = self.nals, []
                yield unit_of(nals)

    def packet(self, packet):
        """True: it ends a unit."""
        sequence, payload = int.from_bytes(packet[2:4], "big"), packet[12:]
        if packet[0] != 0x80 or not payload:
            raise ValueError("no RTP packet")
        follows = self.sequence is None or sequence == (self.sequence + 1) & 0xFFFF
        if not follows and (self.nals or self.part is not None):
            raise ValueError(f"packet {sequence} behind {self.sequence} within a unit")
        self.sequence = sequence
        kind = payload[0] & 0x1F
        if kind != FU_A:
            if self.part is not None or not 0 < kind < 24:
                raise ValueError(f"a packet of the type {kind}")
            self.nals.append(payload)
        else:
            if bool(payload[1] & 0x80) != (self.part is None):
                raise ValueError("a fragment at the wrong place")
            if self.part is None:
                self.part = bytes([payload[0] & 0xE0 | payload[1] & 0x1F])
            self.part += payload[2:]
            if payload[1] & 0x40:
                self.nals.append(self.part)
                self.part = None
        return packet[1] & 0x80 != 0


def answer_of(data):
    """Takes an answer of RTSP from data, as (status, head and body); None: it is not whole yet."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > HEAD_MAX:
            raise ValueError("an answer without an end")
        return None
    length = re.search(rb"\r\nContent-Length: (\d+)", data[:end])
    end += 4 + (int(length[1]) if length else 0)
    if len(data) < end:
        return None
    answer = bytes(data[:end]).decode()
    del data[:end]
    return answer.split(" ")[1], answer


class Rtsp:
    """A client of RTSP that gets its packets on the same connection."""

    def __init__(self, stream):
        self.url = f"rtsp://127.0.0.1/{stream}"
        self.framing, self.data, self.number, self.playing = Rtp(), bytearray(), 0, False
        self.script = self.ask()
        self.unheard = 0  # units since the last request

    def ask(self):
        """Yields methods, URLs and headers; is given the answers."""
        description = yield "DESCRIBE", self.url, ""
        base = re.search(r"\r\nContent-Base: ([^\r]+)", description)[1]
        track = re.findall(r"a=control:([^\r]+)", description)[-1]
        url = track if "://" in track else base + track
        answer = yield "SETUP", url, f"Transport: {self.transport()}\r\n"
        self.session = re.search(r"\r\nSession: ([^;\r]+)", answer)[0][2:] + "\r\n"
        self.answered(re.search(r"\r\nTransport: ([^\r]+)", answer)[1])
        yield "PLAY", base, self.session

    def answered(self, transport):
        """The server has said how it sends."""

    def transport(self):
        return "RTP/AVP/TCP;unicast;interleaved=0-1"

    def keep_alive(self, units):
        """The request, if it is time for one."""
        self.unheard += units
        if self.unheard < KEEP_ALIVE_UNITS:
            return b""
        self.unheard = 0
        return self.request("GET_PARAMETER", self.url, self.session)

    def request(self, method, url, headers):
        self.number += 1
        return f"{method} {url} RTSP/1.0\r\nCSeq: {self.number}\r\n{headers}\r\n".encode()

    def begin(self):
        return self.request(*next(self.script))

    def feed(self, data):
        if self.playing:
            units = self.framing.feed(data)
            return units, self.keep_alive(len(units))
        self.data += data
        if (answer := answer_of(self.data)) is None:
            return [], b""
        if answer[0] != "200":
            raise Refused(answer[1].splitlines()[0])
        try:
            return [], self.request(*self.script.send(answer[1]))
        except StopIteration:
            self.playing = True
            return self.feed(bytes(self.data))


class Datagrams(Rtp):
    """The same packets in datagrams. A unit is left out if one of its packets is missing: a link
    that is cut or slow loses some."""

    def __init__(self):
        super().__init__()
        self.time, self.whole = None, True

    def units_of(self, packet):
        sequence, time = struct.unpack_from(">2xHI", packet)
        missing = self.sequence is not None and sequence != (self.sequence + 1) & 0xFFFF
        if time != self.time:
            self.time, self.nals, self.part = time, [], None
            self.whole = not missing or packet[12] & 0x1F in BEGINNINGS
        elif missing:
            self.whole = False
        if not self.whole:
            self.sequence, self.nals, self.part = sequence, [], None
            return []
        if not self.packet(packet):
            return []
        nals, self.nals = self.nals, []
        return [unit_of(nals)]


class RtspUdp(Rtsp):
    """A client of RTSP that gets its packets by UDP."""

    def __init__(self, stream):
        super().__init__(stream)
        self.framing = Datagrams()
        self.media = socket.socket(type=socket.SOCK_DGRAM)
        self.reports = socket.socket(type=socket.SOCK_DGRAM)  # never read; its port has to be open
        for one in (self.media, self.reports):
            one.setblocking(False)
            one.bind(("", 0))
        # What observes loses nothing by itself.
        self.media.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, UNIT_MAX)

    def transport(self):
        ports = "-".join(str(one.getsockname()[1]) for one in (self.media, self.reports))
        return f"RTP/AVP;unicast;client_port={ports}"

    def feed(self, data):
        if not self.playing:
            return super().feed(data)
        self.data += data
        while answer_of(self.data):
            pass
        return [], b""

    def read_datagram(self):
        units = self.framing.units_of(self.media.recv(2048))
        return units, self.keep_alive(len(units))

    def close(self):
        self.media.close()
        self.reports.close()


class TransportDatagrams(MpegTs):
    """A transport stream in datagrams. A unit is left out if something is missing in it, or behind
    it: the next one would have ended it."""

    def __init__(self):
        super().__init__()
        self.sequence = None

    def units_of(self, packet):
        if packet[13:15] == b"\x1f\xff":  # it fills silence, with a number that has been
            return []
        sequence = int.from_bytes(packet[2:4], "big")
        if self.sequence is not None and sequence != (self.sequence + 1) & 0xFFFF:
            self.pid, self.packet = None, b""
        self.sequence = sequence
        return self.feed(packet[12:])


class SatIp(RtspUdp):
    """SETUP without a description, as VLC has it: SAT>IP."""

    def __init__(self, stream):
        super().__init__(stream)
        self.framing = TransportDatagrams()

    def ask(self):
        answer = yield "SETUP", self.url, f"Transport: {self.transport()}\r\n"
        self.session = re.search(r"\r\nSession: ([^;\r]+)", answer)[0][2:] + "\r\n"
        number = re.search(r"\r\ncom.ses.streamID: *(\d+)", answer)[1]
        yield "PLAY", f"rtsp://127.0.0.1/stream={number}", self.session


class GroupDatagrams(Datagrams):
    """Others may watch already: what comes before the first key unit is left out."""

    def units_of(self, packet):
        units = super().units_of(packet)
        if not self.begun:
            units = [unit for unit in units if SPS in unit[:64]]
            self.begun = bool(units)
        return units

    begun = False


class Multicast(RtspUdp):
    """A member of the stream's group."""

    def __init__(self, stream):
        Rtsp.__init__(self, stream)
        self.framing = GroupDatagrams()
        self.media = socket.socket(type=socket.SOCK_DGRAM)
        self.media.setblocking(False)
        self.media.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, UNIT_MAX)
        self.reports = socket.socket(type=socket.SOCK_DGRAM)

    def transport(self):
        return "RTP/AVP;multicast"

    def answered(self, transport):
        group, port = re.search(r"destination=([^;]+);.*port=(\d+)-", transport).groups()
        member = socket.inet_aton(group) + socket.inet_aton(self.local)
        self.media.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.media.bind((group, int(port)))
        self.media.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)


LIVE = {
    "h264": {"h264": Annexb, "mp4": Mp4, "ts": MpegTs, "ws": WebSocket},
    "mjpeg": {"mjpg": Multipart},
}
PLAYERS = {"h264": {"hls": Hls}, "mjpeg": {"jpg": Snapshots}}
RAW = {"annexb": Annexb, "length_prefixed": LengthPrefixed}


MULTICAST = "rtsp-multicast"
OVER_UDP = {"rtsp-udp": RtspUdp, "rtsp-satip": SatIp, MULTICAST: Multicast}
TLS = "+tls"  # behind the name of a way: the same on a connection with TLS
HALF_CLOSED = set(RAW) | {"h264", "mp4", "ts", "mjpg"}  # these go on when a viewer says no more


def of(codec, framings, kind):
    """The ways for viewers of a kind of a stream with these framings."""
    known = [*framings, *LIVE[codec]]
    if kind in ("plain", "flapping"):
        known += PLAYERS[codec]
    if codec == "h264":
        known.append("rtsp")
    if kind == "half":
        return [way for way in known if way in HALF_CLOSED]
    protected = [way + TLS for way in known if way not in RAW]
    if codec == "h264" and kind in ("plain", "flapping"):
        known += OVER_UDP
    return known + protected


def reader(way, codec, stream):
    """A reader for a new connection; `way` is one of of()."""
    way = way.removesuffix(TLS)
    if way in RAW:
        return Raw(RAW[way]())
    if way == "rtsp":
        return Rtsp(stream)
    if way in OVER_UDP:
        return OVER_UDP[way](stream)
    if way in PLAYERS[codec]:
        return PLAYERS[codec][way](stream)
    return Live(f"/{stream}.{way}", LIVE[codec][way]())
