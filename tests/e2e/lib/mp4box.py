# SPDX-License-Identifier: BSD-2-Clause
"""Reads fragmented MP4 (ISO/IEC 14496-12) as camcast writes it, and checks its structure."""
import struct
from typing import NamedTuple

TIMESCALE = 90000
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"mvex", b"moof", b"traf"}
SYNC, NON_SYNC = 0x02000000, 0x00010000


def boxes(data):
    """(type, payload) of each box of a sequence; the last one must end with the data."""
    at = 0
    while at < len(data):
        assert len(data) - at >= 8, f"{len(data) - at} bytes behind the last box"
        size, kind = struct.unpack_from(">I4s", data, at)
        assert 8 <= size <= len(data) - at, f"{kind} of {size} bytes in {len(data) - at}"
        yield kind, data[at + 8 : at + size]
        at += size


def find(data, *path):
    """The payload of the box at this path of types, such as find(moov, b"trak", b"tkhd")."""
    for kind in path:
        found = [payload for name, payload in boxes(data) if name == kind]
        assert len(found) == 1, f"{len(found)} boxes {kind}"
        data = found[0]
    return data


def tree(data):
    """{type: tree or payload} of the containers; no type may be there twice."""
    result = {}
    for kind, payload in boxes(data):
        assert kind not in result, f"two {kind}"
        result[kind] = tree(payload) if kind in CONTAINERS else payload
    return result


class Sample(NamedTuple):
    """One picture: a fragment."""

    sequence: int
    dts: int  # ticks of 1/90000 s, as are the next two
    pts: int
    duration: int
    key: bool
    droppable: bool
    data: bytes


class Init(NamedTuple):
    """An initialization segment."""

    width: int  # of the coded picture
    height: int
    matrix: tuple
    avcc: bytes


def read_init(ftyp, moov):
    """Both payloads of an initialization segment."""
    assert ftyp[:4] == b"iso5" and b"iso6" in [ftyp[i : i + 4] for i in range(8, len(ftyp), 4)]
    (trak,) = [payload for kind, payload in boxes(moov) if kind == b"trak"]
    assert struct.unpack_from(">I", find(trak, b"mdia", b"mdhd"), 12)[0] == TIMESCALE
    assert find(trak, b"mdia", b"hdlr")[8:12] == b"vide"
    track = struct.unpack_from(">I", find(trak, b"tkhd"), 12)[0]
    assert struct.unpack_from(">I", find(moov, b"mvex", b"trex"), 4)[0] == track == 1
    stbl = tree(find(trak, b"mdia", b"minf", b"stbl"))
    assert set(stbl) == {b"stsd", b"stts", b"stsc", b"stsz", b"stco"}
    entry = find(stbl[b"stsd"][8:], b"avc1")
    width, height = struct.unpack_from(">HH", entry, 24)
    avcc = find(entry[78:], b"avcC")
    assert avcc[0] == 1 and avcc[4] == 0xFF, "avcC with lengths of four bytes"
    return Init(width, height, struct.unpack_from(">9i", find(trak, b"tkhd"), 40), avcc)


def read_fragment(moof, mdat):
    """Both payloads of a fragment."""
    assert {kind for kind, _ in boxes(moof)} == {b"mfhd", b"traf"}
    (sequence,) = struct.unpack(">4xI", find(moof, b"mfhd"))
    traf = find(moof, b"traf")
    flags, track, duration, size, sample = struct.unpack(">5I", find(traf, b"tfhd"))
    version, dts = struct.unpack(">B3xQ", find(traf, b"tfdt"))
    trun = find(traf, b"trun")
    run_flags, count, offset = struct.unpack_from(">III", trun)
    assert (flags, track, version, count) == (0x020038, 1, 1, 1)
    assert run_flags in (0x000001, 0x000801) and offset == len(moof) + 16
    assert size == len(mdat) and duration > 0
    later = struct.unpack_from(">I", trun, 12)[0] if run_flags & 0x800 else 0
    assert len(trun) == 12 + (4 if run_flags & 0x800 else 0)
    key = not sample & NON_SYNC
    assert sample & 0x03000000 == (SYNC if key else SYNC >> 1)
    return Sample(sequence, dts, dts + later, duration, key, sample >> 22 & 3 == 2, mdat)


def nal_units(sample):
    """The NAL units of a sample's data."""
    at, units = 0, []
    while at < len(sample):
        (size,) = struct.unpack_from(">I", sample, at)
        assert 0 < size <= len(sample) - at - 4
        units.append(sample[at + 4 : at + 4 + size])
        at += 4 + size
    return units


def read(data):
    """All of a stream: ([Init], [Sample]). It begins with an initialization segment and a key
    picture, times grow, sequence numbers grow up to the next initialization segment, and samples
    hold whole NAL units."""
    inits, samples, waiting, first = [], [], {}, True
    for kind, payload in boxes(data):
        if kind in (b"ftyp", b"moof"):
            assert not waiting, "a box without its partner"
            waiting[kind] = payload
        elif kind == b"moov":
            inits.append(read_init(waiting.pop(b"ftyp"), payload))
            first = True
        else:
            assert kind == b"mdat" and inits, kind
            sample = read_fragment(waiting.pop(b"moof"), payload)
            assert nal_units(payload)
            assert sample.key or not first, "a segment that begins without a key picture"
            assert not samples or sample.dts > samples[-1].dts
            assert first or sample.sequence > samples[-1].sequence
            samples.append(sample)
            first = False
    assert not waiting
    return inits, samples


def complete(data):
    """The data up to the end of its last whole fragment."""
    at = end = 0
    while len(data) - at >= 8:
        size, kind = struct.unpack_from(">I4s", data, at)
        at += size
        if at <= len(data) and kind in (b"moov", b"mdat"):
            end = at
    return data[:end]


def messages(data):
    """Payloads of a server's binary messages of a WebSocket (RFC 6455, 5.2), none in parts."""
    at, found = 0, []
    while at < len(data):
        assert data[at] == 0x82 and data[at + 1] < 128, "no unmasked binary message"
        length, head = data[at + 1], 2
        if length == 126:
            length, head = struct.unpack_from(">H", data, at + 2)[0], 4
            assert length >= 126
        elif length == 127:
            length, head = struct.unpack_from(">Q", data, at + 2)[0], 10
            assert length > 65535
        assert length <= len(data) - at - head
        found.append(data[at + head : at + head + length])
        at += head + length
    return found
