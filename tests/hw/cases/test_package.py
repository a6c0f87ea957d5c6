# SPDX-License-Identifier: BSD-2-Clause
"""The Debian package, from which all cases here have their camcast: upgraded, removed, purged."""
import os
import pathlib
import subprocess

import pytest

import guest
from service import CONFIG, Service

PACKAGE = next(pathlib.Path("/mnt").glob("camcast_*.deb"))


@pytest.fixture
def service():
    """The unit; after the case the package is installed as it was."""
    with Service() as unit:
        yield unit
        dpkg("--purge", "camcast")
        dpkg("--install", PACKAGE)


def dpkg(*arguments):
    guest.run("dpkg", "--force-unsafe-io", *map(str, arguments))


def newer_package(folder):
    """(path, version) of the same package with a higher version."""
    version = guest.run("dpkg-deb", "--field", str(PACKAGE), "Version").decode().strip() + "+1"
    guest.run("dpkg-deb", "--raw-extract", str(PACKAGE), str(folder / "tree"))
    control = folder / "tree/DEBIAN/control"
    lines = [f"Version: {version}" if line.startswith("Version:") else line
             for line in control.read_text().splitlines()]
    control.write_text("\n".join(lines) + "\n")
    path = folder / "newer.deb"
    guest.run("dpkg-deb", "--build", "-Znone", str(folder / "tree"), str(path))
    return path, version


def installed(field):
    return guest.run("dpkg-query", "--show", f"--showformat=${{{field}}}", "camcast").decode()


def test_an_upgrade_keeps_the_configuration_and_restarts_the_service(service, vicodec, tmp_path):
    service.configure(guest.config(vicodec, "auto"))
    ours = CONFIG.read_text()
    service.start()
    service.wait_flowing()
    before = service.pid()
    path, version = newer_package(tmp_path)
    dpkg("--install", path)
    assert installed("Version") == version
    assert CONFIG.read_text() == ours
    assert service.pid() not in (0, before), service.log()
    service.wait_flowing()


def test_from_its_installation_to_its_purge(service, vicodec):
    nodes = [pathlib.Path("/dev/udmabuf"), pathlib.Path("/dev/dma_heap/system")]
    dpkg("--purge", "camcast")
    for node in nodes:
        os.chown(node, 0, 0)
        node.chmod(0o600)
    dpkg("--install", PACKAGE)
    assert [(node.group(), node.stat().st_mode & 0o777) for node in nodes] == [("video", 0o660)] * 2
    assert service.show("ActiveState", "UnitFileState") == {
        "ActiveState": "inactive", "UnitFileState": "disabled",
    }

    service.configure(guest.config(vicodec, "auto"))
    service.start()
    files = [line for line in guest.run("dpkg", "--listfiles", "camcast").decode().splitlines()
             if pathlib.Path(line).is_file()]
    assert "/usr/bin/camcastd" in files and str(CONFIG) in files
    dpkg("--remove", "camcast")
    assert subprocess.run(["pgrep", "^camcast"], check=False).returncode == 1, "something runs"
    assert [path for path in files if pathlib.Path(path).exists()] == [str(CONFIG)]
    dpkg("--purge", "camcast")
    assert not CONFIG.parent.exists()
    assert subprocess.run(["systemctl", "cat", "camcastd"], check=False).returncode != 0
