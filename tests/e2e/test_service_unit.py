# SPDX-License-Identifier: BSD-2-Clause
"""The systemd units as text, and the programs with the system calls that they leave;
tests/guests/hw/cases/test_service.py runs camcastd's."""
import re
import shlex
import shutil
import subprocess

import pytest

import harness
from recordings import Recorder


# camcast record reads files and the clock, and needs fewer devices.
@pytest.mark.parametrize(
    "unit, exposure", [("camcastd.service", 1.5), ("camcast-record@.service", 1.7)]
)
def test_the_exposure_of_a_unit_is_small(tmp_path, unit, exposure):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    text = (harness.ROOT / "src/system" / unit).read_text()
    text = text.replace("@bindir@", "/usr/bin").replace("@sysconfdir@", "/etc")
    file = tmp_path / unit.replace("@", "@x")
    file.write_text(text)
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    run = subprocess.run(
        [*command, f"--threshold={round(exposure * 10)}", file], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


def calls_of(name):
    """The system calls of a set of systemd, or the call itself."""
    if not name.startswith("@"):
        return {name}
    text = harness.output_of("systemd-analyze", "--no-pager", "syscall-filter", name)
    names = re.findall(r"^ +(@?\w[\w-]*)$", text, re.MULTILINE)
    return set().union(*map(calls_of, names))


def calls_of_unit(unit):
    """Those that its filters leave."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    allowed = set()
    text = (harness.ROOT / "src/system" / unit).read_text()
    for refused, names in re.findall(r"^SystemCallFilter=(~?)(.*)$", text, re.MULTILINE):
        calls = set().union(*map(calls_of, names.split()))
        allowed = allowed - calls if refused else allowed | calls
    return allowed


@pytest.mark.parametrize("unit", ["camcastd.service", "camcast-record@.service"])
def test_a_unit_has_no_calls_that_only_an_attacker_needs(unit):
    allowed = calls_of_unit(unit)
    assert "openat" in allowed
    attacks = ("process_vm_readv", "process_vm_writev", "kcmp", "ptrace", "pidfd_getfd")
    for name in (*attacks, "@keyring", "@chown", "@setuid", "@mount", "@module", "@debug"):
        assert not calls_of(name) & allowed, name


@pytest.fixture(name="only")
def fixture_only(tmp_path):
    """only(unit): words before a program, which then has the calls of the unit alone."""

    def words(unit):
        calls = tmp_path / "calls"
        calls.write_text("\n".join(sorted(calls_of_unit(unit))))
        program = tmp_path / "only_calls"
        source = harness.ROOT / "tests/support/only_calls.c"
        subprocess.run(
            ["cc", "-O1", "-D_GNU_SOURCE", "-o", program, source, "-lseccomp"], check=True
        )
        return [program, calls]

    return words


@pytest.mark.skipif(bool(harness.SAN), reason="a sanitizer needs other calls")
def test_with_the_calls_of_its_unit_camcastd_has_the_whole_sandbox(
    start_camcastd, only, tmp_path, monkeypatch
):
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "camcast-capture").symlink_to(harness.BUILD / "camcast-capture")
    script = folder / "camcastd"
    words = shlex.join(map(str, only("camcastd.service")))
    script.write_text(f'#!/bin/sh\nexec {words} {harness.BUILD}/camcastd "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(harness, "BUILD", folder)
    daemon = start_camcastd(harness.pattern_config())
    daemon.wait_flowing()
    assert re.fullmatch(r"seccomp, landlock \d+", daemon.camera()["sandbox"])


@pytest.mark.skipif(bool(harness.SAN), reason="a sanitizer needs other calls")
def test_with_the_calls_of_its_unit_the_recorder_has_the_whole_sandbox(
    start_camcastd, broker, only, tmp_path
):
    daemon = start_camcastd(harness.pattern_config())
    daemon.wait_flowing()
    url = f"tcp://127.0.0.1:{daemon.port()}"
    prefix = only("camcast-record@.service")
    with Recorder(broker, tmp_path / "rec", url, prefix=prefix) as recorder:
        recorder.wait_until(
            lambda: recorder.files(f"127.0.0.1_{daemon.port()}"), "a recording"
        )
        recorder.stop()
    assert not [line for line in recorder.lines if "sandbox" in line], recorder.lines
