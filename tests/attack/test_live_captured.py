# SPDX-License-Identifier: BSD-2-Clause
"""A captured worker of a live source, which a hostile camera or program may take over; and a
captured program of `exec:`. Each tries to own camcastd, the files of the user, and the network."""
import os
import re
import socket

import pytest

import clients
import harness
import hostile
import live
from test_worker_captured import ALL, ATTACK, NEEDS, compile_support, refused, worker_script

pytestmark = pytest.mark.skipif(
    bool(harness.SAN), reason="a sanitizer's library has to be the first one that is loaded"
)
PROGRAM = """
import os, socket, sys, time
# Behind another letter: what begins with a slash may be read.
secret, port = sys.argv[1].removeprefix("x").split(",")
own = sys.argv[2]
def attempt(name, act):
    try:
        act()
        print("attack", name + ": done", file=sys.stderr)
    except OSError as error:
        print("attack", name + ":", os.strerror(error.errno), file=sys.stderr)
def start(path):
    os.posix_spawn(path, [path, "-c", "exit 0"], {})
attempt("read-secret", lambda: open(secret).read())
attempt("write-secret", lambda: open(secret, "a"))
attempt("write-tmp", lambda: open("/tmp/camcast-attack", "w"))
attempt("write-own", lambda: open(own, "a"))
attempt("list-home", lambda: os.listdir("/root"))
attempt("connect", lambda: socket.create_connection(("127.0.0.1", int(port))))
attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)))
attempt("shell", lambda: start("/bin/sh"))
attempt("kill-worker", lambda: os.kill(os.getppid(), 0))
attempt("own", lambda: open(own, "rb").read())
print("attack over", file=sys.stderr, flush=True)
os.write(1, open(own, "rb").read())
time.sleep(1000)
"""


@pytest.fixture(name="captured", scope="module")
def fixture_captured(tmp_path_factory):
    return compile_support(tmp_path_factory.mktemp("support"), "captured", "-shared", "-fPIC")


@pytest.fixture(name="secret")
def fixture_secret(tmp_path):
    """Not below the folders that a source names."""
    path = tmp_path / "home" / "secret.ini"
    path.parent.mkdir()
    path.write_text("password")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("kind", ["url", "exec", "pipe"])
def test_a_captured_worker_gets_at_nothing(kind, camcastd, captured, secret, tmp_path):
    source = harness.pattern_config({"keyframe_interval": 15})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment = {
            "LD_PRELOAD": captured,
            "ATTACK_SECRET": secret,
            "ATTACK_PORT": listener.getsockname()[1],
        }
        first = harness.Camcastd(source, tmp_path)
        fifo = tmp_path / "camera.fifo"
        os.mkfifo(fifo)
        words = live.pattern_command(tmp_path)
        writer = harness.start(["sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", fifo, *words])
        try:
            made = live.config(
                {
                    "url": f"url:tcp://127.0.0.1:{first.port()}",
                    "exec": live.exec_source(words),
                    "pipe": f"pipe:{fifo}",
                }[kind]
            )
            made["daemon"]["capture"] = worker_script(tmp_path, environment)
            daemon = camcastd(made)
            with clients.Viewer(daemon.port()) as viewer:
                daemon.wait_log("attack over", timeout=40)
                live.wait_pictures(viewer, 30)
            camera = daemon.camera()
            assert camera["restarts"] == 0
            assert re.fullmatch(r"seccomp, landlock \d+", camera["sandbox"])
        finally:
            first.kill()
            writer.kill()
            writer.wait()
    results = dict(match.groups() for line in daemon.log() if (match := ATTACK.search(line)))
    assert set(results) == ALL | NEEDS
    assert refused({name: what for name, what in results.items() if name in ALL}) == ALL


def test_a_captured_program_gets_at_nothing(start_camcastd, secret, tmp_path):
    path = live.pattern_file(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        program = tmp_path / "program.py"
        program.write_text(PROGRAM)
        words = ["/usr/bin/python3", program, f"x{secret},{port}", path]
        daemon = start_camcastd(live.config(live.exec_source(words)))
        daemon.wait_log("attack over", timeout=40)
        with clients.Viewer(daemon.port()) as viewer:
            live.wait_pictures(viewer, 30)
    lines = [re.search(r"python3: attack (\S+): (.*)$", line) for line in daemon.log()]
    results = dict(match.groups() for match in lines if match)
    assert results.pop("own") == "done"
    assert set(results.values()) <= {"Permission denied", "Operation not permitted"}, results
    assert len(results) == 9


def test_a_server_cannot_send_the_worker_elsewhere(start_camcastd):
    """A redirection to another port, and to a file."""
    for target in ("http://127.0.0.1:{}/x", "file:///etc/passwd"):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            where = target.format(listener.getsockname()[1])
            answer = f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n"
            with hostile.Server(hostile.repeat(answer.encode(), 1)) as server:
                daemon = start_camcastd(live.config(f"url:http://127.0.0.1:{server.port}/x"))
                daemon.wait_log("camera cam: url:http://.*tries again", timeout=30)
                daemon.stop()
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
