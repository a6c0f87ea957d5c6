# SPDX-License-Identifier: BSD-2-Clause
"""Judges of received H.264 byte streams: units and their SEI numbers, continuity, real decoding."""
import dataclasses
import pathlib
import re
import struct
import subprocess

import harness

UUID = b"camcast-\x41\x75\x8c\x5e\xb1\x0f\x4a\x01"  # include/camcast/sei.h
AUD = b"\0\0\0\1\x09"
BEGINNING = b"\0\0\0\1\x67"  # of what a viewer is sent: an SPS
IDR, SEI, SPS, PPS = 5, 6, 7, 8
DECODE = harness.BUILD / "tests/support/decode"


@dataclasses.dataclass
class Unit:
    """One access unit as received."""

    data: bytes
    types: list  # NAL unit types in order
    droppable: bool  # every slice has nal_ref_idc 0
    seq: int = None  # from the SEI, as the two times
    monotonic_us: int = None
    utc_us: int = None

    @property
    def key(self):
        return IDR in self.types and SPS in self.types and PPS in self.types


def nals(data):
    """The NAL units (header byte on) of an Annex B byte string."""
    starts = [match.end() for match in re.finditer(b"\0\0\1", data)]
    for start, following in zip(starts, [*(s - 3 for s in starts[1:]), len(data)]):
        yield data[start:following].rstrip(b"\0")


def parse_unit(data):
    unit = Unit(data, [], True)
    for nal in nals(data):
        kind, ref_idc = nal[0] & 31, nal[0] >> 5 & 3
        unit.types.append(kind)
        if kind in (1, IDR) and ref_idc:
            unit.droppable = False
        if kind == SEI:
            payload = re.sub(b"\0\0\3", b"\0\0", nal)
            at = payload.find(UUID)
            if at >= 0:
                unit.seq, unit.monotonic_us, unit.utc_us = struct.unpack_from(
                    ">QQQ", payload, at + len(UUID)
                )
    return unit


def split(data):
    """(complete units, the tail): a unit is complete when the next one's delimiter follows, which
    camcastd sends with it, or an SPS: camcast recv writes whole units, so that no delimiter stands
    where it lost a connection. Neither stands between the two fields of a frame."""
    assert not data or data.startswith((AUD, BEGINNING)), (
        f"a stream must begin with a delimiter or an SPS, not {data[:16].hex()}"
    )
    starts, picture = [0], False
    for match in re.finditer(rb"\x00?\x00\x00\x01(.)", data, re.DOTALL):
        kind = match[1][0] & 31
        if match.start() and (kind == AUD[4] or (kind == SPS and picture)):
            starts.append(match.start())
            picture = False
        picture = picture or kind in (1, IDR)
    units = [parse_unit(data[a:b]) for a, b in zip(starts, starts[1:])]
    return units, data[starts[-1] :]


def without_end(data):
    """Without a delimiter behind the last unit, which a decoder at the end of a file takes for a
    unit without a picture."""
    return data.removesuffix(AUD + b"\xf0")


def gaps(units):
    """[(unit before, unit after)] where sequence numbers are missing between them."""
    return [(a, b) for a, b in zip(units, units[1:]) if b.seq != a.seq + 1]


def check_continuity(units, droppable=None, restarts=False):
    """Begins at a key unit; numbers grow; and every gap ends at a key unit or left out only units
    that nothing refers to. droppable: {seq: bool}, from a client that lost nothing. restarts: a
    worker came back, so numbers may begin again at a key unit. Returns the number of gaps."""
    assert units, "nothing complete was received"
    assert units[0].key, f"begins with NAL units {units[0].types}, not at a key unit"
    found = gaps(units)
    for before, after in found:
        if after.key:
            assert restarts or after.seq > before.seq, f"{before.seq} is followed by {after.seq}"
            continue
        assert after.seq > before.seq, f"{before.seq} is followed by {after.seq}"
        missing = range(before.seq + 1, after.seq)
        assert droppable is not None and all(droppable.get(seq) for seq in missing), (
            f"after {before.seq} comes {after.seq}, not a key unit; missing are {list(missing)}, "
            f"droppable of them {[seq for seq in missing if droppable and droppable.get(seq)]}"
        )
    return len(found)


def pictures(data, kind="h264"):
    """(width, height, luma of the row that has the number) of all pictures of a byte string, "h264"
    or "mjpeg", by tests/support/decode.c. Every error is fatal, and so is a missing reference."""
    result = subprocess.run(
        [DECODE, kind],
        input=without_end(data),
        capture_output=True,
        timeout=60 * harness.PATIENCE,
        check=False,
    )
    assert result.returncode == 0 and not result.stderr, result.stderr[:2000].decode(errors="replace")
    for line in result.stdout.decode().splitlines():
        width, height, row = line.split()
        yield int(width), int(height), bytes.fromhex(row)


def decode(units, folder, name="stream"):
    """Decodes units, of which the folder keeps the bytes. Returns the number of pictures."""
    data = b"".join(unit.data for unit in units)
    (pathlib.Path(folder) / f"{name}.h264").write_bytes(without_end(data))
    return len(list(pictures(data)))


def check_stream(data, folder, droppable=None, restarts=False, name="stream"):
    """All of the above on what a client received; returns (units, number of gaps)."""
    units, _ = split(data)
    found = check_continuity(units, droppable, restarts)
    decoded = decode(units, folder, name)
    assert decoded == len(units), f"{decoded} pictures of {len(units)} units"
    return units, found


def jpegs(data):
    """The whole JPEGs in bytes of the framing length_prefixed."""
    found, at = [], 0
    while at + 4 <= len(data):
        end = at + 4 + struct.unpack_from(">I", data, at)[0]
        if end > len(data):
            break
        found.append(bytes(data[at + 4 : end]))
        at = end
    return found
