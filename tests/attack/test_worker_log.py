# SPDX-License-Identifier: BSD-2-Clause
"""A worker that an attacker has taken over writes to its log: without end, with levels that the
journal shows on every terminal, with what a terminal acts on. And what a log is for: the last words
of a worker that crashes."""
import re

import fakes
from clients import Viewer
from test_worker_hostile import GAP_MAX_US, OTHER, longest_gap_us, two_cameras, wait_units

LINES_BURST = 250  # src/process/lines.h
CPU_MAX_S = 0.4  # of the three seconds of the flood
ANY_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (camcastd|camcast-capture): \S")


def test_a_flood_of_log_lines_is_bounded(camcastd, tmp_path):
    options = fakes.words(fault="log-flood", camera="cam", once=tmp_path / "told", after=30)
    daemon = camcastd(two_cameras(), env=options)
    with Viewer(daemon.port(OTHER)) as viewer:
        wait_units(viewer, 10)
        before, memory = daemon.cpu_s(), daemon.memory()
        daemon.wait_log("camera cam: the worker ended", timeout=20)
        spent, grown = daemon.cpu_s() - before, daemon.memory() - memory
        daemon.wait_until(lambda: daemon.camera()["state"] == "running", "the next worker")
        wait_units(viewer, 50)
        assert longest_gap_us(viewer) < GAP_MAX_US
        fakes.check_units(fakes.parse_units(viewer.data))
    lines = daemon.log()
    assert LINES_BURST / 2 < sum("camcast-capture: y" in line for line in lines) <= LINES_BURST
    daemon.wait_log(r"camera cam: \d{4,} more lines of camcast-capture are not shown")
    daemon.wait_log(r"camcast-capture: error: an emergency \[2J$")
    daemon.wait_log("camcast-capture: false.line .reversed$")
    daemon.wait_log("camcast-capture: by stdout$")
    for line in lines:
        assert len(line) <= 1024 and ANY_LINE.match(line), line
    assert spent < CPU_MAX_S and grown < 4 << 20


def test_the_last_words_of_a_worker_are_logged_before_its_end(camcastd, tmp_path):
    options = fakes.words(fault="last-words", camera="cam", once=tmp_path / "told")
    daemon = camcastd(two_cameras(), env=options)
    daemon.wait_log("camera cam: the worker ended")
    lines = daemon.log()
    (end,) = [i for i, line in enumerate(lines) if "camera cam: the worker ended" in line]
    assert lines[end - 1].endswith("camcast-capture: error: the last words")
    assert sum("of a report" in line for line in lines[:end]) == 100
