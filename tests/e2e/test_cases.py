# SPDX-License-Identifier: BSD-2-Clause
"""Unusual recordings (tests/cases) as cameras: a viewer decodes exactly the pictures that the
recording's own linear decode has, over two passes, wherever it joins."""
import dataclasses
import pathlib
import re
import subprocess

import pytest

import bytestream
import clients

CASES = pathlib.Path(__file__).parents[1] / "cases"


@dataclasses.dataclass
class Case:
    """A recording that is passed on as coded. shown: the numbers of its pictures, in the order of
    its linear decode, that a viewer gets. pass_s: how long a pass lasts. reorder: how many pictures
    at the end of what was received may lack one that is shown before them. rate: pictures a second
    that the VUI states, and whether it calls that fixed."""

    name: str
    shown: list
    pass_s: float
    reorder: int = 0
    rate: tuple = (25, True)


COPIED = [
    Case("01.ts", range(72), 2.9),
    Case("01.mp4", range(72), 2.9),
    Case("04.mp4", range(72), 2.9),
    Case("06.mp4", range(50), 2, reorder=4),
    Case("08b.mp4", range(12), 0.5),
    Case("11.mp4", range(144), 7.9, rate=(30, False)),
    Case("13.mkv", range(50), 11, rate=(25, False)),
    Case("e1.ts", [*range(12), *range(24, 36)], 1.5, rate=(25, False)),
    Case("e3.mp4", range(2, 15), 0.6),
]


def file_config(name, **stream):
    return {
        "daemon": {"name": "test", "http": "127.0.0.1:0"},
        "camera cam": {"source": f"file:{CASES / name}"},
        "stream s": {"camera": "cam", "codec": "h264", "annexb": "127.0.0.1:0", **stream},
    }


def digests(*arguments):
    """The MD5 of each picture that ffmpeg decodes, in the order of presentation."""
    result = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", *map(str, arguments)]
        + ["-map", "0:v", "-autoscale", "0", "-fps_mode", "passthrough", "-f", "framemd5", "-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    lines = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    return [line.split(",")[-1].strip() for line in lines]


def decode_strictly(units, path):
    path.write_bytes(b"".join(unit.data for unit in units))
    return digests("-xerror", "-err_detect", "explode", "-f", "h264", "-i", path)


def stated_rate(path):
    """What the first VUI of a byte stream states: pictures a second, and whether that is fixed."""
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-hide_banner", "-f", "h264", "-i", path, "-frames:v", "1"]
        + ["-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"],
        check=True,
        capture_output=True,
        text=True,
    )
    names = ("time_scale", "num_units_in_tick", "fixed_frame_rate_flag")
    scale, units, fixed = (int(re.search(rf" {n} .* = (\d+)", done.stderr)[1]) for n in names)
    return scale / units / 2, bool(fixed)


def check_passes(received, expected, passes):
    """received: whole passes of what was expected, after a part of one and before another."""
    count = len(expected)
    assert len(received) >= passes * count, f"{len(received)} pictures of {count} a pass"
    for begin in range(count):
        cycle = expected[begin:] + expected * (len(received) // count + 1)
        if received == cycle[: len(received)]:
            return
    known = [expected.index(one) if one in expected else None for one in received]
    raise AssertionError(f"not the recording's pictures in their order: {known}")


@pytest.mark.long
@pytest.mark.parametrize("case", COPIED, ids=lambda case: case.name)
def test_a_viewer_decodes_what_the_recording_has(case, start_camcastd, tmp_path):
    linear = digests("-i", CASES / case.name)
    expected = [linear[number] for number in case.shown]
    camcastd = start_camcastd(file_config(case.name, encoder="copy", sei=True))
    patience = 10 + 3 * case.pass_s
    with clients.Viewer(camcastd.port()) as first:
        first.wait_units(len(expected) // 2, timeout=patience)
        with clients.Viewer(camcastd.port()) as later:
            later.wait_units(len(expected) + 8, timeout=patience)
            first.wait_units(2 * len(expected), timeout=patience)
            for viewer, passes in ((first, 2), (later, 1)):
                units, _ = bytestream.split(viewer.close())
                assert bytestream.check_continuity(units) == 0
                received = decode_strictly(units, tmp_path / f"{passes}.h264")
                assert len(received) == len(units), "a unit is a whole picture"
                received = received[: len(received) - case.reorder]
                check_passes(received, expected, passes)
                assert stated_rate(tmp_path / f"{passes}.h264") == case.rate
    assert camcastd.camera()["restarts"] == 0


@pytest.mark.long
def test_a_pause_in_a_recording_is_healthy(start_camcastd):
    camcastd = start_camcastd(file_config("13.mkv", encoder="x264"))
    answers = []

    def passes():
        answers.append(camcastd.get("/healthz"))
        return viewer.data.count(bytestream.AUD) > 51

    with clients.Viewer(camcastd.port()) as viewer:
        viewer.wait_units(1, timeout=20)
        camcastd.wait_until(passes, "a pass", timeout=30)
    assert set(answers) == {(200, "ok\n")}, set(answers)


@pytest.mark.parametrize("name, last", [("e8.gif", 2), ("e8-1s.gif", 10)])
def test_the_last_picture_lasts_as_long_as_it_says(name, last, start_camcastd):
    camcastd = start_camcastd(file_config(name, encoder="x264", sei=True))
    with clients.Viewer(camcastd.port()) as viewer:
        viewer.wait_units(10, timeout=20)
        units, _ = bytestream.split(viewer.close())
    steps = [round((b.monotonic_us - a.monotonic_us) / 1e5) for a, b in zip(units, units[1:])]
    one_pass = [2, 2, 30, last]
    passes = [one_pass[first:] + one_pass * len(steps) for first in range(4)]
    assert any(steps == expected[: len(steps)] for expected in passes), steps
