# SPDX-License-Identifier: BSD-2-Clause
"""A program in place of camcast-push that lies and floods: camcastd ends it, says why without a
secret, and viewers lose nothing."""
import re
import shutil
import textwrap

import bytestream
import clients
import harness

KEY = "str3am-k3y"
HOSTILE = """
    import os, socket, struct, sys, time
    url = os.pread(4, 2000, 0)
    pair = socket.socket(fileno=3)
    def report(state, units, size, text):
        pair.sendall(struct.pack("@IIQQ232s", state, 0, units, size, text))
    report(2, 2**53, 2**53, b"x" * 232)
    report(77, 1, 1, b"")                    # no such state, and numbers that shrink
    report(3, 0, 0, b"\\x1b[2J " + url)       # a terminal's commands, and the secret
    time.sleep(1)
    os.write(2, b"noise\\n" * 10000)
    while True:
        pair.sendall(b"\\xff" * 4096)         # until camcastd has had enough
"""


def test_a_push_that_lies_and_floods_hurts_nobody(camcastd, tmp_path, monkeypatch):
    """camcastd takes the programs that lie beside it."""
    shutil.copy(harness.BUILD / "camcastd", tmp_path)
    (tmp_path / "camcast-capture").symlink_to(harness.BUILD / "camcast-capture")
    hostile = tmp_path / "camcast-push"
    hostile.write_text("#!/usr/bin/python3\n" + textwrap.dedent(HOSTILE))
    hostile.chmod(0o755)
    monkeypatch.setattr(harness, "BUILD", tmp_path)
    daemon = camcastd(harness.pattern_config(stream={"push": f"rtmp://127.0.0.1:1/app/{KEY}"}))
    with clients.Viewer(daemon.port()) as viewer:
        daemon.wait_until(lambda: daemon.part("pushes", "s/1")["restarts"] >= 1, "a restart", 40)
        status = daemon.part("pushes", "s/1")
        viewer.wait_units(15)
        _, gaps = bytestream.check_stream(viewer.close(), tmp_path)
    assert gaps == 0
    assert status["error"] == "the process sent more than its reports", status
    log = "\n".join(daemon.log())
    assert re.search(r"push s/1: client local sent more than 64 KiB within a minute", log)
    assert KEY not in log + daemon.get("/status.json")[1] and "\x1b" not in log
    assert daemon.camera()["restarts"] == 0 and len(daemon.log()) < 600
