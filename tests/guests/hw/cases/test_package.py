# SPDX-License-Identifier: BSD-2-Clause
"""The Debian package, from which all cases here have their camcast: installed, upgraded, removed,
purged."""
import pathlib
import subprocess

import pytest

import guest
from service import CONFIG, Service


@pytest.fixture
def service():
    """The unit; after the case the package is installed as it was."""
    with Service() as unit:
        yield unit
        guest.dpkg("--purge", "camcast")
        guest.dpkg("--install", guest.PACKAGE)


def installed(field):
    return guest.run("dpkg-query", "--show", f"--showformat=${{{field}}}", "camcast").decode()


def test_installed_it_gives_the_devices_to_their_group_and_starts_nothing(installation):
    assert installation["nodes"] == [("video", 0o660)] * 2
    assert installation["unit"] == {"ActiveState": "inactive", "UnitFileState": "disabled"}


def test_upgraded_it_keeps_the_configuration_and_goes_on_removed_it_is_gone(service, vicodec):
    service.configure(guest.config(vicodec, "auto"))
    ours = CONFIG.read_text()
    service.start()
    service.wait_flowing()
    before = service.pid()
    version = installed("Version")
    guest.dpkg("--install", guest.MNT / "newer.deb")
    assert installed("Version") == version + "+1"
    assert CONFIG.read_text() == ours
    assert service.pid() not in (0, before), service.log()
    service.wait_flowing()

    files = [line for line in guest.run("dpkg", "--listfiles", "camcast").decode().splitlines()
             if pathlib.Path(line).is_file()]
    assert "/usr/bin/camcastd" in files and str(CONFIG) in files
    guest.dpkg("--remove", "camcast")
    assert subprocess.run(["pgrep", "^camcast"], check=False).returncode == 1, "something runs"
    assert [path for path in files if pathlib.Path(path).exists()] == [str(CONFIG)]
    guest.dpkg("--purge", "camcast")
    assert not CONFIG.parent.exists()
    assert subprocess.run(["systemctl", "cat", "camcastd"], check=False).returncode != 0
