# SPDX-License-Identifier: BSD-2-Clause
"""camcastd that root starts without a service manager: it gives up root, or says that it does not."""
import grp
import os
import pathlib
import pwd
import shutil
import socket
import tempfile

import pytest

from clients import Viewer
from fakes import FAKEWORKER, FEED, check_units, fake_config, wait_workers, words

USER = "nobody"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")


@pytest.fixture
def worker_program():
    """The test double in a folder that every user can read."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield shutil.copy(FAKEWORKER, folder)


def free_privileged_port():
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise AssertionError("no free port below 1024")


def process_status(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1:]
    raise AssertionError(f"no {name}")


def test_root_is_given_up_when_the_ports_are_open(camcastd, worker_program):
    port = free_privileged_port()
    config = fake_config(
        {"length_prefixed": f"127.0.0.1:{port}"},
        daemon={"capture": worker_program, "user": USER},
    )
    daemon = camcastd(config, env=words())
    user = pwd.getpwnam(USER)
    groups = {user.pw_gid} | {
        group.gr_gid for group in grp.getgrall() if group.gr_name in ("video", "render")
    }
    with Viewer(port) as viewer:
        check_units(wait_workers(viewer, 1))
        first = daemon.camera()["pid"]
        for pid in (daemon.process.pid, first):
            assert process_status(pid, "Uid") == [str(user.pw_uid)] * 4
            assert process_status(pid, "Gid") == [str(user.pw_gid)] * 4
            assert {int(group) for group in process_status(pid, "Groups")} == groups
            assert process_status(pid, "CapEff") == ["0" * 16]
        for task in os.listdir(f"/proc/{daemon.process.pid}/task"):
            status = f"{daemon.process.pid}/task/{task}"
            assert process_status(status, "Uid") == [str(user.pw_uid)] * 4
        os.kill(first, 9)
        check_units(wait_workers(viewer, 2))
    assert any(f"running as user {USER}" in line for line in daemon.log())


def test_root_that_stays_is_warned_of_once(start_camcastd):
    daemon = start_camcastd(fake_config(), env=words())
    daemon.wait_flowing(FEED)
    assert sum("run as root" in line for line in daemon.log()) == 1


def test_a_user_who_does_not_exist_is_an_error(start_camcastd):
    daemon = start_camcastd(fake_config(daemon={"user": "no-such-user"}), env=words(), wait=False)
    daemon.expected_exit = 1
    assert daemon.process.wait(20) == 1
    daemon.wait_log("user = no-such-user .*there is no such user")
