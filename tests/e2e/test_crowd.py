# SPDX-License-Identifier: BSD-2-Clause
"""tests/soak/crowd.py, the judge of the soak's viewers: what it calls a broken stream."""
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "soak"))
import crowd  # noqa: E402  (after the path is set)

PERIOD_US = 100_000


def stamp(seq, began_us=1_000_000):
    return seq, began_us + seq * PERIOD_US


@pytest.fixture
def stream():
    """Of a first worker; every second unit is droppable."""
    stream = crowd.Stream()
    for seq in range(300):
        stream.learn(stamp(seq), droppable=seq % 2 == 1)
    return stream


def test_a_unit_that_others_refer_to_is_needed(stream):
    assert stream.needs_between(stamp(219), stamp(221))
    assert stream.needs_between(stamp(219), stamp(222))


def test_a_droppable_unit_is_not_needed(stream):
    assert not stream.needs_between(stamp(220), stamp(222))


def test_what_the_worker_before_needed_says_nothing(stream):
    """After a link that was cut, no viewer behind it has received the units in question."""
    second_us = stamp(301)[1]
    for seq in range(220):
        stream.learn(stamp(seq, second_us), droppable=seq % 2 == 0)
    assert not stream.needs_between(stamp(219, second_us), stamp(221, second_us))
    assert stream.needs_between(stamp(200, second_us), stamp(202, second_us))
