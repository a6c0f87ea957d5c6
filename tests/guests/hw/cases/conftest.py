# SPDX-License-Identifier: BSD-2-Clause
import importlib.util
import os
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[3]
_spec = importlib.util.spec_from_file_location("tests_conftest", TESTS / "conftest.py")
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
start_camcastd = _e2e.start_camcastd

import guest  # noqa: E402  (after the path is set)
import service  # noqa: E402

_ours = {}  # file: whether its cases run here


def pytest_collection_modifyitems(items):
    """The files that take longest come first, so that all guests end at about the same time."""
    longest = ["test_service", "test_usb_camera", "test_package", "test_doctor", "test_faults", "test_network",
               "test_hardware_encoder"]
    items.sort(key=lambda item: [*longest, item.path.stem].index(item.path.stem))


def pytest_runtest_protocol(item):
    """Each file of cases is for the guest that comes to it first."""
    if item.path not in _ours:
        try:
            (guest.MNT / "taken" / item.path.stem).mkdir()
            _ours[item.path] = True
        except FileExistsError:
            _ours[item.path] = False
    return None if _ours[item.path] else True


@pytest.fixture(scope="session", autouse=True)
def installation():
    """The package, installed as the first thing of all; and what that did."""
    nodes = [pathlib.Path("/dev/udmabuf"), pathlib.Path("/dev/dma_heap/system")]
    for node in nodes:
        os.chown(node, 0, 0)
        node.chmod(0o600)
    guest.dpkg("--install", guest.PACKAGE)
    return {
        "nodes": [(node.group(), node.stat().st_mode & 0o777) for node in nodes],
        "unit": service.Service().show("ActiveState", "UnitFileState"),
    }


@pytest.fixture(scope="session", autouse=True)
def camera():
    """libcamera's virtual camera: one picture again and again, small enough for an emulated processor."""
    guest.make_cameras()


@pytest.fixture
def vicodec():
    """The patched test codec, healthy."""
    with guest.Vicodec() as codec:
        yield codec


@pytest.fixture(params=guest.ALLOCATORS)
def allocator(request):
    """Each dmabuf provider that this guest must have."""
    return request.param


def pytest_runtest_logreport(report):
    """A failure is shown at once: the guest may not live to the end."""
    if report.failed:
        print(f"\n--- {report.nodeid} ({report.when}), {report.duration:.0f} s\n{report.longreprtext}",
              file=sys.__stderr__, flush=True)
