# SPDX-License-Identifier: BSD-2-Clause
"""GStreamer as a player, and how its rtspsrc ends."""
import os
import re
import subprocess
import threading

import harness

# The program asks for the end of the connection while rtspsrc is still sending PAUSE, and the request
# that is cancelled is called an end of file (1.22: writev_bytes() in gstrtspconnection.c). TEARDOWN
# follows on the same connection, which nobody has closed.
_CANCELLED = "Could not send message. (Received end-of-file)"
_SENDING = re.compile(r"gst_rtspsrc_(?:try_send|pause) \(\)")


def ended_well(status, said):
    """Whether gst-launch-1.0 -q, which plays up to an end of its own, has met no other error than
    that of its leaving. status: its exit status; said: what it wrote to stderr."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    errors = re.findall(r"^ERROR: .*?(?=^ERROR: |^WARNING: |\Z)", text, re.M | re.S)
    others = [one for one in errors if _CANCELLED not in one or not _SENDING.search(one)]
    return not others and status in ((0, 1) if errors else (0,))


def play(source, count, stop=None, debug="2"):
    """Plays a stream of H.264 from a source (words of gst-launch-1.0). After `count` pictures stop()
    ends the server, or the player is killed. Returns its exit status and what it wrote to stderr."""
    player = subprocess.Popen(
        ["gst-launch-1.0", "-v", *source]
        + "! h264parse ! avdec_h264 output-corrupt=false".split()
        + "! fakesink sync=false silent=false".split(),
        env=dict(os.environ, GST_DEBUG=debug, GST_DEBUG_NO_COLOR="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with player:
        guard = threading.Timer(40 * harness.PATIENCE, player.kill)
        guard.start()
        pictures = 0
        for line in player.stdout:
            pictures += "chain   *****" in line
            if pictures == count:
                break
        (stop or player.kill)()
        _, messages = player.communicate()
        guard.cancel()
    assert pictures == count, messages
    return player.returncode, messages
