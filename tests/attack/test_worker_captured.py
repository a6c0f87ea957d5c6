# SPDX-License-Identifier: BSD-2-Clause
"""A captured worker: tests/support/captured.c, loaded into the real camcast-capture, tries to own
camcastd, the machine and the files of the user while pictures flow. And the sandbox that stops it,
on kernels and in containers that have a part of it, or nothing."""
import errno
import os
import re
import shlex
import socket
import subprocess

import pytest

import bytestream
import clients
import harness

PASSWORD = "correct horse battery"
ATTACK = re.compile(r"attack (\S+): (\w+)$")
MEMORY = {
    "read-maps",
    "read-mem",
    "process-vm-readv",
    "process-vm-writev",
    "ptrace",
    "read-environment",
}
SIGNALS = {"kill", "tgkill", "signal-by-socket"}
FILES = {"read-secret", "write-secret", "write-tmp"}
OTHERS = {
    "limit",
    "take-fd",
    "shell",
    "execve",
    "connect",
    "unix-socket",
    "socket-pair",
    "io-uring",
    "file-handle",
    "namespace",
    "mount",
    "terminal",
    "bpf",
    "userfaultfd",
    "perf",
    "keyring",
}
ALL = MEMORY | SIGNALS | FILES | OTHERS
NEEDS = {"own-signal", "group-name"}  # what a worker needs
pytestmark = pytest.mark.skipif(
    bool(harness.SAN), reason="a sanitizer's library has to be the first one that is loaded"
)


def compile_support(folder, name, *options):
    source = harness.ROOT / "tests/support" / f"{name}.c"
    out = folder / name
    subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", "-o", out, source, *options, "-ldl"], check=True)
    return out


@pytest.fixture(name="captured", scope="module")
def fixture_captured(tmp_path_factory):
    return compile_support(tmp_path_factory.mktemp("support"), "captured", "-shared", "-fPIC")


@pytest.fixture(name="refuse", scope="module")
def fixture_refuse(tmp_path_factory):
    return compile_support(tmp_path_factory.mktemp("support"), "refuse_calls")


def worker_script(folder, environment=None, before=()):
    """A program for `capture` that is camcast-capture with an environment, run by `before`."""
    words = ["env", *(f"{key}={value}" for key, value in (environment or {}).items())]
    path = folder / "capture"
    command = shlex.join(map(str, [*words, *before, harness.BUILD / "camcast-capture"]))
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture(name="attack")
def fixture_attack(start_camcastd, captured, tmp_path):
    """attack(...): what each attempt got, while a viewer decodes every picture."""

    def run(backend=None, daemon=None, before=()):
        secret = tmp_path / "secret.ini"
        secret.write_text(f"[mqtt]\npassword = {PASSWORD}\n")
        secret.chmod(0o600)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            environment = {
                "LD_PRELOAD": captured,
                "ATTACK_SECRET": secret,
                "ATTACK_PORT": listener.getsockname()[1],
            }
            capture = worker_script(tmp_path, environment, before)
            camcastd = start_camcastd(
                harness.pattern_config(daemon={"capture": capture, **(daemon or {})}),
                backend=backend,
            )
            with clients.Viewer(camcastd.port()) as viewer:
                camcastd.wait_log("attack over", timeout=30)
                viewer.wait_units(30)
                _, gaps = bytestream.check_stream(viewer.close(), tmp_path)
        assert gaps == 0
        assert camcastd.camera()["restarts"] == 0
        results = dict(match.groups() for line in camcastd.log() if (match := ATTACK.search(line)))
        assert set(results) == ALL | NEEDS
        assert all(results[name] == "done" for name in NEEDS)
        return camcastd, {name: what for name, what in results.items() if name in ALL}

    return run


def refused(results):
    for name, what in results.items():
        assert what in ("done", "EPERM", "EACCES"), f"{name}: {what}"
    return {name for name, what in results.items() if what != "done"}


def test_a_captured_worker_gets_at_nothing(backend, attack):
    camcastd, results = attack(backend)
    assert refused(results) == ALL
    assert re.fullmatch(r"seccomp, landlock \d+", camcastd.camera()["sandbox"])
    assert camcastd.status()["backend"] == backend


def test_without_the_sandbox_every_attempt_succeeds(attack):
    camcastd, results = attack(daemon={"sandbox": "no"})
    assert refused(results) - {"io-uring", "userfaultfd", "perf", "bpf"} == set()
    assert camcastd.camera()["sandbox"] == "off"
    camcastd.wait_log("camera cam: the worker runs without a sandbox")


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM], ids=["ENOSYS", "EPERM"])
@pytest.mark.parametrize(
    "what, missing, kept",
    [
        ("landlock", "seccomp, no landlock: {}; files are not restricted", ALL - FILES),
        # landlock 6 and later keep signals in, which is a kernel of 6.12 or later.
        ("seccomp", "no seccomp: {}, landlock", MEMORY | FILES),
        (
            "both",
            "no seccomp: {0}, no landlock: {0}; files and programs are not restricted",
            MEMORY,
        ),
    ],
)
def test_what_a_kernel_or_container_lacks_is_told_and_the_rest_holds(
    what, missing, kept, error, attack, refuse
):
    camcastd, results = attack(before=(refuse, str(error), what))
    state = missing.format(os.strerror(error))
    assert camcastd.camera()["sandbox"].startswith(state)
    camcastd.wait_log(f"camera cam: a part of the worker's sandbox is missing: {re.escape(state)}")
    assert kept <= refused(results)


def test_in_a_container_with_the_default_filter_the_sandbox_is_whole(
    attack, tmp_path, monkeypatch
):
    """Docker and Podman without options: no io_uring, no clone3, no namespaces."""
    container = compile_support(tmp_path, "container_calls", "-lseccomp")
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "camcast-capture").symlink_to(harness.BUILD / "camcast-capture")
    script = folder / "camcastd"
    script.write_text(f'#!/bin/sh\nexec {container} {harness.BUILD}/camcastd "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(harness, "BUILD", folder)
    camcastd, results = attack()
    assert refused(results) == ALL
    assert re.fullmatch(r"seccomp, landlock \d+", camcastd.camera()["sandbox"])
    assert camcastd.status()["backend"] == "epoll"
    camcastd.wait_log("io_uring.*Operation not permitted")


@pytest.mark.parametrize(
    "what, line",
    [
        (None, r"ok    sandbox: workers run with: seccomp, landlock \d+\n"),
        (
            "landlock",
            "WANT  sandbox: workers run with: seccomp, no landlock: Function not implemented; "
            "files are not restricted\n      -> use a kernel with CONFIG_SECURITY_LANDLOCK ",
        ),
        (
            "seccomp",
            "WANT  sandbox: workers run with: no seccomp: Function not implemented, "
            r"landlock \d+\n      -> use a kernel, or settings of the container, that allow seccomp",
        ),
        ("off", "WANT  sandbox: workers run without a sandbox\n      -> remove sandbox = no "),
    ],
)
def test_the_doctor_names_what_is_missing(start_camcastd, refuse, tmp_path, what, line):
    daemon = {"http": f"127.0.0.1:{harness.free_port()}"}
    if what == "off":
        daemon["sandbox"] = "no"
    elif what:
        daemon["capture"] = worker_script(tmp_path, before=(refuse, errno.ENOSYS, what))
    camcastd = start_camcastd(harness.pattern_config(daemon=daemon))
    camcastd.wait_flowing()
    doctor = subprocess.run(
        [harness.ROOT / "src/system/camcast-doctor", "-c", camcastd.config_path],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert re.search(line, doctor.stdout), doctor.stdout


def test_the_kernel_ends_a_worker_before_camcastd_when_memory_runs_out(start_camcastd):
    camcastd = start_camcastd(harness.pattern_config())
    camcastd.wait_flowing()
    pid = camcastd.camera()["pid"]
    with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as worker:
        assert int(worker.read()) == 500
    with open(f"/proc/{camcastd.process.pid}/oom_score_adj", encoding="ascii") as own:
        assert int(own.read()) < 500


# Capabilities of root, which open every memory, are not part of these cases.
PLAIN = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


@pytest.mark.parametrize("sandbox", ["auto", "no"])
def test_memory_is_hidden_from_others_of_its_user(start_camcastd, monkeypatch, tmp_path, sandbox):
    script = tmp_path / "camcastd"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(PLAIN)} {harness.BUILD}/camcastd "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(harness, "BUILD", tmp_path)
    camcastd = start_camcastd(harness.pattern_config(daemon={"sandbox": sandbox}))
    camcastd.wait_flowing()
    for pid in camcastd.process.pid, camcastd.camera()["pid"]:
        reader = subprocess.run(
            [*PLAIN, "cat", f"/proc/{pid}/maps"], capture_output=True, check=False
        )
        assert (reader.returncode == 0) == (sandbox == "no"), reader.stderr
