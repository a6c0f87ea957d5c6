# SPDX-License-Identifier: BSD-2-Clause
"""camcastd with tests/support/fakeworker in camcast-capture's place, and what its units say."""
import collections
import struct

import harness

FAKEWORKER = harness.BUILD / "tests/support/fakeworker"

Unit = collections.namedtuple("Unit", "pid number key offset length")


def fake_config(stream=None, daemon=None, codec="h264", **streams):
    """One camera `cam` and one stream `s` with one length-prefixed feed; streams: more of them, by
    name, each a dictionary of keys."""
    config = {
        "daemon": {"name": "test", "http": "127.0.0.1:0", "capture": FAKEWORKER},
        "camera cam": {"source": "pattern"},
        "stream s": {"camera": "cam", "codec": codec, "length_prefixed": "127.0.0.1:0"},
    }
    config["daemon"].update(daemon or {})
    config["stream s"].update(stream or {})
    for name, keys in streams.items():
        config[f"stream {name}"] = {"camera": "cam", "codec": codec, **keys}
    return config


FEED = "s/length_prefixed"


def words(**options):
    """The environment that tells the worker what to do."""
    return {"FAKEWORKER": ",".join(f"{key}={value}" for key, value in options.items())}


def records(data):
    """Place and payload of every whole unit and preamble in data."""
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 4 + length > len(data):
            break
        yield at, bytes(data[at + 4 : at + 4 + length])
        at += 4 + length


def parse_preambles(data):
    """Version and end of every preamble in data."""
    return [
        (struct.unpack_from(">I", payload, 4)[0], at + 4 + len(payload))
        for at, payload in records(data)
        if payload.startswith(b"PREA")
    ]


def parse_units(data):
    """The whole units in data; fails if a byte of one is wrong. What is cut off at the end is left
    out, and so are preambles."""
    units = []
    for at, payload in records(data):
        if payload.startswith(b"PREA"):
            continue
        length = len(payload)
        mark, pid, number, flags, said = struct.unpack_from(">4sIIII", payload)
        assert mark == b"CAST", f"not a unit at byte {at}: {payload[:16]}"
        assert said == length
        expected = bytes((number * 7 + i) % 251 + 1 for i in range(20, min(length, 20 + 251)))
        filling = payload[20:]
        whole = expected * (len(filling) // 251 + 1) if len(filling) > 251 else expected
        assert filling == whole[: len(filling)], f"wrong bytes in unit {number} at byte {at}"
        units.append(Unit(pid, number, bool(flags & 1), at, 4 + length))
    return units


def check_units(units, complete=True):
    """Every gap ends at a key unit; with complete, there is none within a worker's life. Returns
    the workers' pids in order."""
    pids = []
    last = None
    for unit in units:
        if last is None or unit.pid != last.pid:
            assert unit.key, f"worker {unit.pid}'s first unit is no key unit"
            assert unit.pid not in pids, "a unit of a worker that was over"
            pids.append(unit.pid)
        elif unit.number != last.number + 1:
            assert not complete, f"unit {unit.number} follows {last.number}"
            assert unit.number > last.number and unit.key
        last = unit
    return pids


def wait_workers(viewer, count, timeout=20):
    """Waits until a viewer has units of `count` workers, and of the last one three; returns the
    units."""
    result = []

    def enough(one):
        units = parse_units(one.data)
        pids = [unit.pid for unit in units]
        result[:] = [units]
        return len(set(pids)) >= count and pids.count(pids[-1]) >= 3

    viewer.wait(enough, f"units of {count} workers", timeout)
    assert viewer.closed is None
    return result[0]
