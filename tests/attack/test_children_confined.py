# SPDX-License-Identifier: BSD-2-Clause
"""The processes of `camcast record` that read the streams of strangers gave up what they do not
need: the kernel's own account of them. test_sandbox.c tries what such a process is refused."""
import os
import pathlib
import subprocess
import uuid

import pytest

import harness


@pytest.mark.skipif(bool(harness.SAN), reason="a sanitizer maps more memory than any limit")
def test_a_process_that_records_is_confined(start_camcastd, tmp_path):
    camcastd = start_camcastd(harness.pattern_config())
    camcastd.wait_flowing()
    marker = f"CAMCAST_TEST={uuid.uuid4().hex}"
    key, value = marker.split("=")
    url = f"tcp://127.0.0.1:{camcastd.port()}"
    record = subprocess.Popen(
        [harness.BUILD / "camcast", "record", url, "--dir", tmp_path / "rec"],
        stderr=subprocess.PIPE,
        env={**os.environ, key: value},
        preexec_fn=harness.die_with_parent,
    )
    try:
        for line in record.stderr:
            if b"recording to" in line:
                break
        (child,) = set(harness.processes_with(marker)) - {record.pid}
        status = pathlib.Path(f"/proc/{child}/status").read_text(encoding="ascii")
        limits = pathlib.Path(f"/proc/{child}/limits").read_text(encoding="ascii")
        assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
        sizes = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
        assert sizes["Max core file size"] == ["0", "0"]
        assert sizes["Max data size"] == [str(2 << 30)] * 2
    finally:
        harness.kill_with_descendants(record, marker)
        record.stderr.close()
