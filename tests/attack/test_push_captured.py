# SPDX-License-Identifier: BSD-2-Clause
"""A push that was taken over by the server to which it sends: tests/support/captured.c, loaded into
the real camcast-push, tries to own camcastd, the machine and the files of the user while pictures
flow. And the kernel says what the process has."""
import pathlib
import socket

import pytest

import clients
import harness
from test_children_confined import check_account
from test_worker_captured import ALL, ATTACK, compile_support, refused

pytestmark = pytest.mark.skipif(
    bool(harness.SAN), reason="a sanitizer maps more memory than any limit, and is loaded first"
)
DATA_MAX = 256 << 20


def test_a_captured_push_gets_at_nothing(camcastd, tmp_path):
    """camcastd gives its option -v to its children, by which the library knows the push."""
    secret = tmp_path / "secret"
    secret.write_text("of the user\n")
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(
        ("127.0.0.1", 0)
    ) as own:
        port = own.getsockname()[1]
        receiver = harness.start(
            ["ffmpeg", "-v", "quiet", "-i", "srt://127.0.0.1:%d?mode=listener" % port]
            + ["-f", "null", "-"],
        )
        try:
            daemon = camcastd(
                harness.pattern_config(stream={"push": f"srt://127.0.0.1:{port}"}),
                args=["-v", "-v"],
                env={
                    "LD_PRELOAD": str(compile_support(tmp_path, "captured", "-shared", "-fPIC")),
                    "ATTACK_COMMAND": "-v",
                    "ATTACK_SECRET": str(secret),
                    "ATTACK_PORT": str(other.getsockname()[1]),
                },
            )
            with clients.Viewer(daemon.port()) as viewer:
                daemon.wait_log("attack over", timeout=30)
                status = daemon.wait_until(
                    lambda: (one := daemon.part("pushes", "s/1"))["state"] == "live" and one,
                    "a live push",
                )
                check_account(status["pid"], DATA_MAX)
                viewer.wait_units(30)
        finally:
            receiver.kill()
            receiver.wait()
    results = dict(match.groups() for line in daemon.log() if (match := ATTACK.search(line)))
    assert refused({name: results[name] for name in ALL}) == ALL
    assert results["own-signal"] == "done"
    assert pathlib.Path(secret).read_text() == "of the user\n"
