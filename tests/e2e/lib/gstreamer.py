# SPDX-License-Identifier: BSD-2-Clause
"""How GStreamer's rtspsrc ends."""
import re

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
