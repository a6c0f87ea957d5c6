# SPDX-License-Identifier: BSD-2-Clause
"""Users who may not open a device are told which group or rule is missing; members of group
`video`, with the project's udev rule, may do all."""
import os
import subprocess

import pytest

import guest
import harness

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534"]


@pytest.fixture
def capture(vicodec, tmp_path):
    """capture(*who): the log of camcast-capture run by hand as that user, until it has written
    its first bytes or ended, in 15 s at most."""
    path = tmp_path / "hand.ini"
    path.write_text(harness.config_text(guest.config(vicodec, "auto")))
    os.chmod(path, 0o644)
    guest.let_others_in(tmp_path)

    def run(*who):
        process = subprocess.Popen(
            [*who, harness.BUILD / "camcast-capture", "-c", path, "--camera", "cam",
             "--stream", "s", "-o", "-", "-t", "15"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        written = process.stdout.read(64)
        process.terminate()
        process.stdout.close()
        log = process.stderr.read().decode()
        process.wait(20)
        return written, log

    return run


def test_nobody_is_told_what_is_missing(capture):
    written, log = capture(*NOBODY, "--clear-groups")
    assert not written
    assert "60-camcast.rules" in log or "group video" in log, log


def test_an_encoder_alone_denied_names_its_group(capture):
    os.chmod("/dev/dma_heap/system", 0o666)
    os.chmod("/dev/udmabuf", 0o666)
    try:
        written, log = capture(*NOBODY, "--clear-groups")
    finally:
        os.chmod("/dev/dma_heap/system", 0o660)
        os.chmod("/dev/udmabuf", 0o660)
    assert not written
    assert "no permission to open /dev/video" in log, log
    assert "group video" in log


def test_a_member_of_video_may_do_all(capture):
    written, log = capture(*NOBODY, "--groups=video")
    assert written[:8] == guest.FWHT_MAGIC, log
