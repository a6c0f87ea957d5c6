# SPDX-License-Identifier: BSD-2-Clause
"""What the end-to-end tests and the attacks start, and end after each of them."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "e2e/lib"))
import farnet  # noqa: E402  (after the path is set)
import harness  # noqa: E402
import netns  # noqa: E402


# The backend that camcastd chooses is io_uring where the kernel has it; this is the other one.
OTHER_BACKEND = "io_uring" if harness.io_uring_errno() else "epoll"


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marks
def pytest_collection_modifyitems(items):
    """Cases are given out in this order, one at a time. What takes long begins early, or it would be
    waited for when all others have ended: a group, of which one process runs one case after the
    other, and then the long cases. These wait most of the time, so that there are five others for
    each of them, which use the processors meanwhile. Those that need a quiet machine are a group;
    beside them are only calm ones."""
    groups, long, others = [], [], []
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if item.get_closest_marker("one_backend") and params.get("backend") == OTHER_BACKEND:
            item.add_marker(pytest.mark.thorough)
        if item.get_closest_marker("alone") and not item.get_closest_marker("calm"):
            item.add_marker(pytest.mark.xdist_group("quiet"))
        if item.get_closest_marker("xdist_group"):
            groups.append(item)
        else:
            (long if item.get_closest_marker("long") else others).append(item)
    items[:] = groups
    while long or others:
        items += long[:1] + others[:5]
        del long[:1], others[:5]


@pytest.fixture(scope="session")
def io_uring_refused():
    return harness.io_uring_errno()


@pytest.fixture(params=["epoll", "io_uring"])
def backend(request, io_uring_refused):
    """Both loop backends; CAMCAST_BACKEND restricts a run to one."""
    only = os.environ.get("CAMCAST_BACKEND")
    if only and only != request.param:
        pytest.skip(f"CAMCAST_BACKEND is {only}")
    if request.param == "io_uring" and io_uring_refused:
        pytest.skip(f"no io_uring here: {os.strerror(io_uring_refused)}")
    return request.param


@pytest.fixture
def start_camcastd(tmp_path):
    """start_camcastd(config, **options of harness.Camcastd): a running daemon. All are stopped,
    and checked for a clean exit, at the end of the test."""
    running = []

    def start(config, **options):
        daemon = harness.Camcastd(config, tmp_path, **options)
        running.append(daemon)
        return daemon

    yield start
    failures = []
    for daemon in running:
        try:
            daemon.stop()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


@pytest.fixture
def camcastd(start_camcastd, backend):
    """As start_camcastd, once for each loop backend."""

    def start(config, **options):
        daemon = start_camcastd(config, backend=backend, **options)
        assert daemon.status()["backend"] == backend
        return daemon

    return start


@pytest.fixture(scope="session")
def hashed():
    """The hash of the password in users.py."""
    import users as people  # here, as it is for few tests

    return people.make_hash(people.PASSWORD)


@pytest.fixture
def users(hashed, tmp_path):
    """Sections of users.sections()."""
    import users as people

    return people.sections(hashed, tmp_path)


@pytest.fixture
def start_broker(tmp_path):
    """start_broker(**options of broker.Broker): a running mosquitto, ended with the test."""
    import broker as mosquitto  # here, as it needs paho, which the hardware tests' guest lacks

    running = []

    def start(**options):
        running.append(mosquitto.Broker(tmp_path, **options))
        return running[-1]

    yield start
    for one in running:
        one.kill()


@pytest.fixture
def broker(start_broker):
    """A mosquitto that lets anybody in."""
    return start_broker()


@pytest.fixture
def far_network():
    """A network of the test's own whose peer is 80 ms away. Ask for it before camcastd, so that
    the daemon starts, and ends, inside."""
    try:
        network = farnet.FarNetwork(delay_ms=40)
    except netns.Unavailable as error:
        pytest.skip(f"no network of one's own: {error}")
    with network:
        yield network
    network.close()


@pytest.fixture
def lan():
    """A switch on which lan.host(addresses...) puts machines, each a network namespace."""
    try:
        network = netns.Lan()
    except netns.Unavailable as error:
        pytest.skip(f"no network namespaces: {error}")
    yield network
    network.close()
