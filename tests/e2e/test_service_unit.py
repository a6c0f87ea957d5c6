# SPDX-License-Identifier: BSD-2-Clause
"""The systemd units as text; tests/guests/hw/cases/test_service.py runs camcastd's."""
import shutil
import subprocess

import pytest

import harness


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
