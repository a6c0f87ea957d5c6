# SPDX-License-Identifier: BSD-2-Clause
"""HLS players that ask for everything that is not there yet, and for what never will be."""
import collections
import contextlib
import re
import socket
import urllib.request

import bytestream
import flood
import harness
from clients import Viewer

WAITING = 300


def test_requests_for_what_is_not_there_yet_hurt_nobody(camcastd, tmp_path):
    """Hundreds wait for every segment and part that may be waited for, and as many ask for others.
    Those that got a place are answered, and a viewer of the same stream misses no picture."""
    harness.allow_many_files()
    daemon = camcastd(
        harness.pattern_config(daemon={"max_clients": 2000}, stream={"keyframe_interval": 30})
    )
    with Viewer(daemon.port()) as viewer, contextlib.ExitStack() as stack:
        viewer.wait_units(10)
        url = f"http://127.0.0.1:{daemon.http_port}/s.m3u8"
        with urllib.request.urlopen(url, timeout=20 * harness.PATIENCE) as answer:
            text = answer.read().decode()
        last = int(re.search(r"SEQUENCE:(\d+)\n#EXT-X-DISC", text)[1]) + text.count("#EXTINF") - 1
        hint = re.search(r'HINT:TYPE=PART,URI="(.*?)(\d+)\.m4s"', text)
        asked = []
        for number in range(WAITING):
            path = (
                f"/s.m3u8?_HLS_msn={last + number % 5}&_HLS_part={number % 20}"
                if number % 2
                else f"/{hint[1]}{int(hint[2]) + number % 40 // 2 * 6}.m4s"
            )
            one = stack.enter_context(flood.connect(daemon.http_port, f"127.0.0.{2 + number % 9}"))
            # A connection without a request may lose its place to the next one.
            with contextlib.suppress(ConnectionError):
                one.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                asked.append(one)
        codes = collections.Counter()
        for one in asked:
            one.settimeout(20 * harness.PATIENCE)
            with contextlib.suppress(ConnectionError):
                head = one.recv(12, socket.MSG_WAITALL)
                codes[int(head.split()[1]) if head else 0] += 1
        assert set(codes) <= {0, 200, 400, 404, 503}, codes
        assert codes[200] > 20 and codes[404] > 20, codes
        units, gaps = bytestream.check_stream(viewer.close(), tmp_path)
        assert gaps == 0 and len(units) > 30
