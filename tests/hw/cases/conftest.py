# SPDX-License-Identifier: BSD-2-Clause
import importlib.util
import pathlib
import sys

import pytest

E2E = pathlib.Path(__file__).resolve().parents[2] / "e2e"
sys.path.insert(0, str(E2E))
_spec = importlib.util.spec_from_file_location("e2e_conftest", E2E / "conftest.py")
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
start_camcastd = _e2e.start_camcastd

import guest  # noqa: E402  (after the path is set)


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
