# SPDX-License-Identifier: BSD-2-Clause
"""The log names the group or rule that a user lacks to open a device. Members of the group `video`
may open all of them with the udev rule of the project."""
import os
import subprocess

import pytest

import guest
import harness

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534"]


@pytest.fixture
def capture(vicodec, tmp_path):
    """capture(*who, until=None): what camcast-capture, run by hand as that user, has written and
    logged when it writes its first bytes, logs `until`, or ends, in 15 s at most."""
    path = tmp_path / "hand.ini"
    path.write_text(harness.config_text(guest.config(vicodec, "auto")))
    os.chmod(path, 0o644)
    guest.let_others_in(tmp_path)

    def run(*who, until=None):
        written, log = tmp_path / "written", tmp_path / "log"
        with open(written, "wb") as out, open(log, "wb") as errors:
            process = subprocess.Popen(
                [*who, harness.BUILD / "camcast-capture", "-c", path, "--camera", "cam",
                 "--stream", "s", "-o", "-", "-t", "15"], stdout=out, stderr=errors,
            )
        guest.wait_for("end of camcast-capture", lambda: written.stat().st_size or (
            until and until in log.read_text()) or process.poll() is not None)
        process.terminate()
        process.wait(20)
        return written.read_bytes(), log.read_text()

    return run


def test_nobody_is_told_what_is_missing(capture):
    written, log = capture(*NOBODY, "--clear-groups", until="no encoder")
    assert not written
    assert "60-camcast.rules" in log or "group video" in log, log


def test_an_encoder_alone_denied_names_its_group(capture):
    os.chmod("/dev/dma_heap/system", 0o666)
    os.chmod("/dev/udmabuf", 0o666)
    try:
        written, log = capture(*NOBODY, "--clear-groups", until="no encoder")
    finally:
        os.chmod("/dev/dma_heap/system", 0o660)
        os.chmod("/dev/udmabuf", 0o660)
    assert not written
    assert "no permission to open /dev/video" in log, log
    assert "group video" in log


def test_a_member_of_video_may_do_all(capture):
    written, log = capture(*NOBODY, "--groups=video")
    assert written[:8] == guest.FWHT_MAGIC, log
