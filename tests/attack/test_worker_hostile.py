# SPDX-License-Identifier: BSD-2-Clause
"""A worker that an attacker has taken over: it costs its own camera, and no other one a picture."""
import contextlib
import os
import pathlib
import socket

import pytest

import harness
from clients import Viewer
from fakes import check_units, fake_config, parse_units, words

OTHER = "o/length_prefixed"
GAP_MAX_US = 100000 * harness.PATIENCE


def two_cameras():
    """The attacked camera `cam`, and `other`, whose viewers must not notice."""
    config = fake_config()
    config["camera other"] = {"source": "pattern"}
    config["stream o"] = dict(config["stream s"], camera="other")
    return config


@contextlib.contextmanager
def deaf_peer():
    """A port whose connections are accepted and never read."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


def longest_gap_us(viewer):
    times = [at for at, _ in viewer.arrivals]
    return max(later - sooner for sooner, later in zip(times, times[1:]))


def wait_units(viewer, count):
    """Waits for so many units more than there are."""
    start = len(parse_units(viewer.data))
    viewer.wait(lambda one: len(parse_units(one.data)) >= start + count, f"{count} units")


@pytest.mark.parametrize("attack", ["lingering-fd", "lingering-fds", "lingering-queue"])
def test_a_descriptor_that_is_slow_to_close_holds_up_no_viewer(camcastd, tmp_path, attack):
    """close() of a TCP socket with SO_LINGER and unsent bytes sleeps for 20 s: as a descriptor that
    is refused, as more descriptors than a message may carry, and in a queue that is given up."""
    with deaf_peer() as port:
        options = words(fault=attack, camera="cam", once=tmp_path / "told", port=port)
        daemon = camcastd(two_cameras(), env=options)
        with Viewer(daemon.port(OTHER)) as viewer:
            daemon.wait_until(lambda: daemon.camera()["restarts"] >= 1, "the attack")
            wait_units(viewer, 50)
            daemon.wait_until(lambda: daemon.camera()["state"] == "running", "the next worker")
            assert longest_gap_us(viewer) < GAP_MAX_US
            check_units(parse_units(viewer.data))
        assert daemon.stop(timeout=3) == 0


def test_descriptors_that_nobody_asked_for_do_not_stay(camcastd, tmp_path):
    """A pair full of messages with 250 descriptors each."""
    options = words(fault="unasked-fds", camera="cam", once=tmp_path / "told", after=60)
    daemon = camcastd(two_cameras(), env=options)
    with Viewer(daemon.port(OTHER)) as viewer:
        wait_units(viewer, 10)
        before = daemon.open_fds()
        daemon.wait_until(lambda: daemon.camera()["restarts"] >= 1, "the attack")
        daemon.wait_until(lambda: daemon.camera()["state"] == "running", "the next worker")
        wait_units(viewer, 50)
        assert longest_gap_us(viewer) < GAP_MAX_US
        check_units(parse_units(viewer.data))
        daemon.wait_until(lambda: daemon.open_fds() < before + 50, "the descriptors")


def test_tiny_segments_take_bounded_memory_and_descriptors(camcastd):
    """A segment for each picture, 60 a second (the protocol allows 100), of both cameras: segments
    that are older than the history are closed, and nothing else grows."""
    history_s, rate = 3, 60
    config = two_cameras()
    for name in "stream s", "stream o":
        config[name] = dict(config[name], history_ms=1000 * history_s)
    daemon = camcastd(config, env=words(fps=rate, gop=1, size=100, segment=100))
    with Viewer(daemon.port(OTHER)) as viewer:
        daemon.wait_flowing("s/length_prefixed", 2 * history_s * rate)
        fds, memory = daemon.open_fds(), daemon.memory()
        daemon.wait_flowing("s/length_prefixed", 3 * history_s * rate)
        assert daemon.open_fds() < fds + rate
        assert daemon.memory() < memory + (4 << 20)
        assert longest_gap_us(viewer) < GAP_MAX_US
        check_units(parse_units(viewer.data))
    assert daemon.camera()["restarts"] == 0


SECRETS = ["broker-password", "client-key", "lan-user:lan-password", "old-password"]


def test_a_worker_is_given_no_secret(start_camcastd, tmp_path):
    """Everything that a worker can read without asking: its descriptors, its arguments, its
    environment. The configuration has a broker's password and key, a second camera whose source has
    a password, and a comment within the worker's own section."""
    film = tmp_path / "lan-user:lan-password@camera"
    film.write_bytes(b"")
    config = two_cameras()
    config["mqtt"] = {
        "broker": "127.0.0.1",
        "port": 1,
        "username": "camcast",
        "password": "broker-password",
        "tls": True,
        "cert": tmp_path / "client-cert",
        "key": tmp_path / "client-key",
    }
    config["camera other"]["source"] = f"file:{film}"
    config["camera cam"]["hflip"] = "no ; old-password"
    daemon = start_camcastd(config, env=words())
    daemon.wait_flowing("s/length_prefixed")
    proc = pathlib.Path(f"/proc/{daemon.camera()['pid']}")
    seen = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    descriptors = sorted(int(fd) for fd in os.listdir(proc / "fd"))
    assert descriptors[:5] == [0, 1, 2, 3, 4]
    for fd in descriptors[4:]:
        with contextlib.suppress(OSError):  # no file
            seen += (proc / "fd" / str(fd)).read_bytes()
    assert b"[camera cam]" in seen and b"[stream s]" in seen
    assert not [secret for secret in SECRETS if secret.encode() in seen]
    assert b"other" not in seen
