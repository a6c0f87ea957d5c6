# SPDX-License-Identifier: BSD-2-Clause
"""The processes of `camcast record` and `camcast view` that read the streams of strangers gave up
what they do not need. Each is captured by its stream (tests/support/captured.c), and tries to get
at its parent, the home of the user, other ports and other programs; and the kernel says what it
has."""
import os
import pathlib
import socket
import subprocess
import uuid

import pytest

import harness
from test_worker_captured import ALL, ATTACK, compile_support, refused

pytestmark = pytest.mark.skipif(
    bool(harness.SAN), reason="a sanitizer maps more memory than any limit, and is loaded first"
)


def read_attack(process):
    """What each attempt got."""
    results = {}
    for raw in process.stderr:
        line = raw.decode(errors="replace").rstrip("\n")
        if match := ATTACK.search(line):
            results[match[1]] = match[2]
        if line.endswith("attack over"):
            break
    return results


def check_account(pid, data_max=2 << 30):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    sizes = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert sizes["Max core file size"] == ["0", "0"]
    assert sizes["Max data size"] == [str(data_max)] * 2


@pytest.mark.parametrize(
    "command, folder", [("record", "home"), ("record", "rec/other server"), ("view", "home")]
)
def test_a_captured_child_gets_at_nothing(start_camcastd, tmp_path, command, folder):
    """It tries to read and write a file of the user, or a recording of another server."""
    camcastd = start_camcastd(harness.pattern_config())
    camcastd.wait_flowing()
    home = tmp_path / folder
    home.mkdir(parents=True)
    secret = home / "secret"
    secret.write_text("of the user\n")
    key = "CAMCAST_TEST"
    marker = f"{key}={uuid.uuid4().hex}"
    arguments = {"record": ["--dir", tmp_path / "rec"], "view": ["--decoder", "none"]}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = harness.start(
            [
                harness.BUILD / "camcast",
                command,
                f"tcp://127.0.0.1:{camcastd.port()}",
                *arguments[command],
            ],
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                key: marker.split("=")[1],
                "HOME": str(home),
                "SDL_VIDEODRIVER": "dummy",
                "LD_PRELOAD": str(compile_support(tmp_path, "captured", "-shared", "-fPIC")),
                "ATTACK_COMMAND": f"{command}-child",
                "ATTACK_SECRET": str(secret),
                "ATTACK_PORT": str(listener.getsockname()[1]),
            },
        )
        try:
            results = read_attack(process)
            (child,) = set(harness.processes_with(marker)) - {process.pid}
            check_account(child)
        finally:
            harness.kill_with_descendants(process, marker)
            process.stderr.close()
    assert refused({name: results[name] for name in ALL}) == ALL
    assert results["own-signal"] == "done"
