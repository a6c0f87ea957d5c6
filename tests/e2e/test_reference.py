# SPDX-License-Identifier: BSD-2-Clause
"""Sending by reference, on the production path at default settings, by what it means: bytes that
change in the log after they were sent arrive changed. A copy would deliver the old ones."""
import os
import signal

import clients
import harness

REWRITER = harness.ROOT / "tests/e2e/lib/rewriter.py"


def received_after_rewrite(camcastd, size, units):
    """A client reads only after the server has sent everything and the log has changed."""
    daemon = camcastd(
        harness.pattern_config(daemon={"capture": REWRITER}),
        env={"REWRITER_SIZE": str(size), "REWRITER_UNITS": str(units)},
    )
    daemon.wait_until(lambda: daemon.camera()["state"] == "running", "running worker")
    viewer = clients.Viewer(daemon.port(), rate=0)
    daemon.wait_until(lambda: daemon.feed()["sent_bytes"] == size * units, "everything sent")
    position = daemon.log_position()
    os.kill(daemon.workers()[0], signal.SIGUSR1)
    daemon.wait_log("the bytes are changed", after=position)
    viewer.set_rate(None)
    viewer.wait_bytes(size * units)
    return viewer.close(), daemon.feed()


def test_units_are_sent_by_reference(camcastd):
    data, feed = received_after_rewrite(camcastd, size=60000, units=1)
    assert data == b"b" * 60000
    assert feed["sendfiles"] >= 1 and feed["sends"] == 0


def test_small_units_are_copied(camcastd):
    """And so the test above can fail: below send_threshold the kernel copies."""
    data, feed = received_after_rewrite(camcastd, size=2000, units=1)
    assert data == b"a" * 2000
    assert feed["sends"] >= 1 and feed["sendfiles"] == 0
