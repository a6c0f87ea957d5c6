# SPDX-License-Identifier: BSD-2-Clause
"""RTP packets of H.264 as a viewer receives them (RFC 3550, RFC 6184): access units, and what is
wrong with their order."""
import dataclasses
import struct

from bytestream import IDR, PPS, SPS

HEAD = 12  # bytes of a packet before its payload
AUD, FU_A = 9, 28


@dataclasses.dataclass
class Picture:
    """One access unit, of packets that follow each other."""

    nals: list
    timestamp: int
    packets: int

    @property
    def types(self):
        return [nal[0] & 31 for nal in self.nals]

    @property
    def data(self):
        return b"".join(b"\0\0\0\1" + nal for nal in self.nals)

    @property
    def sps(self):
        return next((nal for nal in self.nals if nal[0] & 31 == SPS), None)


class Reader:
    """Makes pictures of packets. A packet that is missing, another SSRC, and a time that does not
    grow are failures."""

    def __init__(self):
        self.pictures = []
        self.ssrc = self.sequence = None
        self._nals, self._packets = [], 0

    def add(self, packet):
        """Returns whether a picture is complete with it."""
        first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", packet)
        assert first == 0x80 and second & 0x7F == 96, packet[:HEAD].hex()
        assert self.ssrc in (None, ssrc), f"SSRC {self.ssrc:08x} is followed by {ssrc:08x}"
        expected = sequence if self.sequence is None else self.sequence + 1 & 0xFFFF
        assert sequence == expected, f"packet {expected} is missing, {sequence} is there"
        self.ssrc, self.sequence = ssrc, sequence
        self._take(packet[HEAD:])
        self._packets += 1
        if not second & 0x80:
            return False
        self._end(timestamp)
        return True

    def _take(self, payload):
        if payload[0] & 31 != FU_A:
            self._nals.append(payload)
            return
        if payload[1] & 0x80:
            self._nals.append(bytes([payload[0] & 0xE0 | payload[1] & 31]))
        self._nals[-1] += payload[2:]

    def _end(self, timestamp):
        picture = Picture(self._nals, timestamp, self._packets)
        if IDR in picture.types:  # what a client may lose behind a gap comes first
            assert picture.types[:3] == [AUD, SPS, PPS], picture.types
        if self.pictures:
            step = timestamp - self.pictures[-1].timestamp & 0xFFFFFFFF
            assert 0 < step < 1 << 31, (self.pictures[-1].timestamp, timestamp)
        self.pictures.append(picture)
        self._nals, self._packets = [], 0


def byte_stream(pictures):
    return b"".join(picture.data for picture in pictures)
