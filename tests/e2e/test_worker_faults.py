# SPDX-License-Identifier: BSD-2-Clause
"""No fault of a worker disconnects a viewer. The feed comes back at a key unit, and the status has
the reason of the pause."""
import ctypes
import errno
import os
import re
import signal
import time

import pytest

import harness
from clients import Viewer
from fakes import (
    FAKEWORKER,
    FEED,
    check_units,
    fake_config,
    parse_preambles,
    parse_units,
    wait_workers,
    words,
)

# The reason in the status for each fault of tests/support/fakeworker_faults.c.
FAULTS = {
    "exit": r"ended \(exit status 7\)",
    "failed": r"ended \(exit status 3\): the lens fell off",
    "crash": r"ended \(killed by SIGSEGV",
    "close-pair": r"closed its socket but did not exit",
    "second-hello": r"a second HELLO",
    "short": r"a message of 3 bytes",
    "empty": r"ended \(exit status 0\)",  # as the end of the pair, after which it ends
    "oversize": r"longer than any",
    "wrong-size": r"HEARTBEAT of \d+ bytes instead of \d+",
    "unknown-type": r"unknown type 4711",
    "bad-state": r"HEARTBEAT with state 9",
    "endless-text": r"unterminated text",
    "heartbeat-fd": r"HEARTBEAT with an fd",
    "foreign-stream": r"STREAM for stream 4294967295, which is not of this camera",
    "foreign-feed": r"UNIT for feed 12, which is not of this camera",
    "unsealed": r"size is not sealed",
    "half-sealed": r"size is not sealed",
    "pipe": r"not a memfd",
    "file": r"not a memfd",
    "empty-segment": r"a segment of 0 bytes",
    "huge-segment": r"a segment of 67112960 bytes",
    "no-fd": r"UNIT with the SEGMENT flag but without an fd",
    "secret-fd": r"UNIT with an fd but without the SEGMENT flag",
    "two-fds": r"UNIT with more than one fd",
    "many-fds": r"UNIT with more than one fd",
    "outside": r"outside of it, or before the end",
    "far-outside": r"UNIT at offset 4294967287",
    "no-length": r"UNIT of 0 bytes",
    "great-length": r"UNIT of 4294967295 bytes",
    "unknown-flags": r"unknown flags",
    "overlap": r"outside of it, or before the end",
    "unknown-segment": r"which is not the newest",
    "old-segment": r"which is not the newest",
    "segment-twice": r"after segment",
    "unasked-segment": r"for which camcastd did not ask",
    "track": r"UNIT of track 8",
    "far-pts": r"UNIT at -9223372036854775808 us",
    "unknown-preamble": r"neither the newest one nor that of the unit before",
    "old-preamble": r"neither the newest one nor that of the unit before",
    "preamble-inside": r"a new preamble, and not a key unit",
    "empty-preamble": r"PREAMBLE of 0 bytes",
    "long-preamble": r"PREAMBLE of 4097 bytes",
    "preamble-twice": r"preamble 1 of feed 0 after preamble 1",
    "skipped-preamble": r"preamble 2 of feed 0 after preamble 0",
    "foreign-preamble": r"PREAMBLE for feed 12, which is not of this camera",
    "unit-flood": r"more than 1000 units a second",
    "segment-flood": r"more than (100 segments|1000 units) a second",
    "preamble-flood": r"more than 10 preambles a second",
    "report-flood": r"more than 100 heartbeats a second",
}
# In place of HELLO: no unit comes before them.
FIRST_FAULTS = {
    "exit-at-once": r"ended \(exit status 7\)",
    "version": r"protocol version 6 instead of 5",
    "no-hello": r"HEARTBEAT before HELLO",
    "silent": r"hang: no HELLO",
}


def reason(daemon):
    return daemon.camera()["reason"]


def wait_running_again(daemon):
    daemon.wait_until(
        lambda: daemon.camera()["restarts"] >= 1 and daemon.camera()["state"] == "running",
        "a new worker",
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_viewers_outlive_a_faulty_worker(start_camcastd, tmp_path, fault):
    daemon = start_camcastd(fake_config(), env=words(fault=fault, once=tmp_path / "told"))
    with Viewer(daemon.port(FEED)) as viewer:
        units = wait_workers(viewer, 2)
        assert len(check_units(units)) == 2
        assert re.search(FAULTS[fault], reason(daemon))
        wait_running_again(daemon)
        assert daemon.camera()["restarts"] == 1
        daemon.wait_until(lambda: daemon.camera()["undead"] == 0, "the end of the first worker")


@pytest.mark.parametrize("fault", FIRST_FAULTS)
def test_a_worker_that_begins_badly_is_replaced(start_camcastd, tmp_path, fault):
    daemon = start_camcastd(fake_config(), env=words(fault=fault, once=tmp_path / "told"))
    with Viewer(daemon.port(FEED)) as viewer:
        check_units(wait_workers(viewer, 1))
        assert re.search(FIRST_FAULTS[fault], reason(daemon))


@pytest.mark.parametrize(
    "fault", ["unsealed", "pipe", "two-fds", "many-fds", "secret-fd", "heartbeat-fd", "unasked-segment"]
)
def test_no_fd_is_left_of_a_faulty_message(start_camcastd, fault):
    """Each worker sends it right at its start: the table does not grow."""
    daemon = start_camcastd(fake_config(), env=words(fault=fault, after=1, gop=1))
    daemon.wait_until(lambda: daemon.camera()["restarts"] >= 3, "more restarts")

    def open_files(kind):
        count = 0
        for entry in os.scandir(f"/proc/{daemon.process.pid}/fd"):
            try:
                count += kind in os.readlink(entry.path)
            except FileNotFoundError:  # closed meanwhile
                pass
        return count

    daemon.wait_until(
        lambda: open_files("fake-segment") == daemon.feed(FEED)["segments"]
        and open_files("pipe:") == 5,  # stderr, and the loop's two for pages
        "no fds but the feed's segments",
    )


def test_a_killed_worker_is_replaced(camcastd):
    daemon = camcastd(fake_config(), env=words())
    with Viewer(daemon.port(FEED)) as viewer:
        wait_workers(viewer, 1)
        (pid,) = daemon.workers()
        os.kill(pid, signal.SIGKILL)
        pids = check_units(wait_workers(viewer, 2))
        assert pids[0] == pid
        assert "killed by SIGKILL" in reason(daemon)


def test_a_stopped_worker_is_a_hang(camcastd):
    """Out for longer than stall_timeout: an idle feed times nobody out."""
    daemon = camcastd(fake_config({"stall_timeout_ms": 1000, "max_lag_ms": 900}), env=words())
    with Viewer(daemon.port(FEED)) as viewer:
        wait_workers(viewer, 1)
        (pid,) = daemon.workers()
        os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        check_units(wait_workers(viewer, 2))
        assert time.monotonic() - stopped > 2  # it was not killed for less
        assert re.match("hang: no sign of life from the worker for 3 s", reason(daemon))
        assert not any(daemon.feed(FEED)["left"].values())


def test_a_worker_that_never_lives_is_tried_again_ever_later(start_camcastd):
    daemon = start_camcastd(fake_config(), env=words(fault="exit-at-once"))
    pattern = re.compile(r"camera cam: .*exit status 7.*; next try in ([0-9.]+) s")

    def delays():
        return [float(match[1]) for line in daemon.log() if (match := pattern.search(line))]

    daemon.wait_until(lambda: len(delays()) >= 6, "six ends", timeout=20)
    assert delays()[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    camera = daemon.camera()
    assert camera["state"] == "backoff" and camera["retry_in_ms"] <= 3200
    assert camera["pid"] == 0
    code, text = daemon.get("/healthz")
    assert code == 503 and "exit status 7" in text


def test_a_missing_program_is_waited_for(start_camcastd, tmp_path):
    program = tmp_path / "capture"
    daemon = start_camcastd(fake_config(daemon={"capture": program}), env=words())
    daemon.wait_until(
        lambda: reason(daemon) == f"cannot start {program}: No such file or directory",
        "a reason",
    )
    with Viewer(daemon.port(FEED)) as viewer:
        program.symlink_to(FAKEWORKER)
        check_units(wait_workers(viewer, 1))


def test_one_camera_s_fault_is_not_another_s(start_camcastd, tmp_path):
    config = fake_config()
    config["camera other"] = {"source": "pattern"}
    config["stream o"] = dict(config["stream s"], camera="other")
    daemon = start_camcastd(config, env=words())
    other = daemon.camera("other")["pid"]
    with Viewer(daemon.port("o/length_prefixed")) as viewer:
        os.kill(daemon.camera()["pid"], signal.SIGKILL)
        wait_running_again(daemon)
        check_units(wait_workers(viewer, 1))
        assert daemon.camera("other")["pid"] == other
        assert daemon.camera("other")["restarts"] == 0


# --- a worker that SIGKILL does not remove ---

PTRACE_SEIZE, PTRACE_CONT, WALL = 0x4206, 7, 0x40000000


def ptrace(request, pid, data=0):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(request, pid, None, data) < 0:
        code = ctypes.get_errno()
        if code == errno.EPERM:
            pytest.skip("tracing a process of somebody else is not allowed here (yama)")
        raise OSError(code, os.strerror(code))


def test_a_worker_that_cannot_be_reaped_does_not_hold_up_the_next(camcastd):
    """A process in D state cannot be made at will. What camcastd sees of one: the kill is sent, and
    the process does not go away. So does one that a tracer holds: dead or not, it stays in the
    process table until the tracer lets go."""
    daemon = camcastd(fake_config(), env=words())
    with Viewer(daemon.port(FEED)) as viewer:
        wait_workers(viewer, 1)
        (pid,) = daemon.workers()
        ptrace(PTRACE_SEIZE, pid)
        os.kill(pid, signal.SIGKILL)
        check_units(wait_workers(viewer, 2))
        assert daemon.camera()["restarts"] == 1
        before = daemon.status()["loop"]["turns"], time.monotonic()
        daemon.wait_flowing(FEED, 50)
        turns = daemon.status()["loop"]["turns"] - before[0]
        assert turns < 1000 * (time.monotonic() - before[1]), "the loop spins"
        os.waitpid(pid, WALL)
        daemon.wait_until(lambda: daemon.camera()["undead"] == 0, "the end of the first worker")


def test_a_worker_that_cannot_be_reaped_does_not_hold_up_other_settings(camcastd):
    """Such as those of another device, because this one is stuck."""
    config = fake_config()
    daemon = camcastd(config, env=words())
    with Viewer(daemon.port(FEED)) as viewer:
        wait_workers(viewer, 1)
        (pid,) = daemon.workers()
        ptrace(PTRACE_SEIZE, pid)
        config["camera cam"]["framerate"] = 15
        daemon.reload(config)
        check_units(wait_workers(viewer, 2))
        os.waitpid(pid, WALL)


# --- the fd table is full ---


def set_limit(daemon, soft):
    import resource

    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (soft, 20000))


def test_a_full_fd_table_stops_no_stream(camcastd):
    """Eight units a segment: the history of 3 s needs some 18 fds more than there are at first."""
    daemon = camcastd(fake_config(), env=words(segment=16384))
    with Viewer(daemon.port(FEED)) as viewer:
        wait_workers(viewer, 1)
        numbers = [int(fd) for fd in os.listdir(f"/proc/{daemon.process.pid}/fd")]
        set_limit(daemon, max(numbers) + 1)
        daemon.wait_log("the fd table is full")
        start = len(parse_units(viewer.data))
        # Three segments more; the units of a lost one wait until it is sent again.
        viewer.wait(lambda one: len(parse_units(one.data)) >= start + 40, "units", 20)
        assert viewer.closed is None
        units = parse_units(viewer.data)
        assert len(check_units(units)) == 1, "our own shortage cost a worker"
        with Viewer(daemon.port(FEED)) as refused:
            refused.wait_closed()
            assert not refused.data
        assert daemon.feed(FEED)["refused"]["no_fds"] == 1
        set_limit(daemon, 20000)
        daemon.wait_log("the fd table has room again")
        with Viewer(daemon.port(FEED)) as later:
            check_units(wait_workers(later, 1))


# --- wanted or not ---


def active(daemon):
    return daemon.stream()["active"]


def test_an_on_demand_stream_is_made_while_somebody_watches(camcastd):
    daemon = camcastd(fake_config({"on_demand": True, "linger_ms": 300}), env=words())
    daemon.wait_until(lambda: daemon.camera()["frames"] > 0, "pictures")
    assert not active(daemon) and not daemon.stream()["wanted"]
    assert daemon.get("/healthz")[0] == 200
    with Viewer(daemon.port(FEED)) as viewer:
        check_units(wait_workers(viewer, 1))
        assert active(daemon)
    daemon.wait_until(lambda: not active(daemon), "the end of the linger")
    with Viewer(daemon.port(FEED)) as viewer:
        check_units(wait_workers(viewer, 1))


def test_who_comes_back_within_the_linger_finds_the_stream_running(start_camcastd):
    daemon = start_camcastd(
        fake_config({"on_demand": True, "linger_ms": 60000, "join_burst_ms": 1}), env=words()
    )
    with Viewer(daemon.port(FEED)) as viewer:
        last = wait_workers(viewer, 1)[-1]
    daemon.wait_until(lambda: daemon.feed(FEED)["clients"] == 0, "no client")
    units = daemon.feed(FEED)["units"]
    daemon.wait_until(lambda: daemon.feed(FEED)["units"] > units + 5, "units for nobody")
    with Viewer(daemon.port(FEED)) as viewer:
        assert wait_workers(viewer, 1)[0].number > last.number


def test_a_new_worker_learns_what_is_wanted(camcastd):
    daemon = camcastd(fake_config({"on_demand": True}), env=words())
    with Viewer(daemon.port(FEED)) as viewer:
        wait_workers(viewer, 1)
        os.kill(daemon.workers()[0], signal.SIGKILL)
        check_units(wait_workers(viewer, 2))


OTHER = "s/annexb"


def test_a_feed_that_nobody_watches_is_not_written(camcastd):
    """The stream is on demand and encoded for its other feed."""
    daemon = camcastd(
        fake_config({"on_demand": True, "linger_ms": 300, "annexb": "127.0.0.1:0"}),
        env=words(gop=30000),
    )
    with Viewer(daemon.port(FEED)) as viewer:
        wait_workers(viewer, 1)
        assert active(daemon)
        assert daemon.feed(OTHER)["units"] == 0
        with Viewer(daemon.port(OTHER)) as other:
            # Its key unit has been asked for: by itself the next one would come in ten minutes.
            other.wait_bytes(10000)
            assert bytes(other.data[:5]) == b"\0\0\0\1\x65"

        def rests():
            before = daemon.feed(OTHER)["units"]
            daemon.wait_flowing(FEED, 20)
            return daemon.feed(OTHER)["units"] == before

        daemon.wait_until(rests, "the end of the linger")
        check_units(parse_units(viewer.data))


def test_tracks_and_preambles_are_taken(camcastd):
    daemon = camcastd(fake_config(), env=words(preamble=3, tracks=8))
    with Viewer(daemon.port(FEED)) as viewer:
        viewer.wait(lambda one: len(parse_preambles(one.data)) >= 5, "preambles")
        units = parse_units(viewer.data)
        check_units(units)
        keys = [unit.offset for unit in units if unit.key]
        versions, ends = zip(*parse_preambles(viewer.data)[:4])
        # The viewer begins with one, and each change comes with the key unit that it goes with.
        assert list(versions) == list(range(versions[0], versions[0] + 4))
        assert ends[0] == keys[0]
        places = [keys.index(end) for end in ends]
        assert places[2] - places[1] == places[3] - places[2] == 3
    assert daemon.camera()["restarts"] == 0


def test_idr_requests_of_many_are_one_a_second(camcastd):
    """Keys come by themselves once in ten minutes, so every join depends on a request."""
    # On a slow machine the viewers may wait; none of them loses a unit for that.
    patient = {"shed_lag_ms": 10000, "max_lag_ms": 20000, "history_ms": 30000}
    daemon = camcastd(fake_config({"join_burst_ms": 1, **patient}), env=words(gop=30000))
    daemon.wait_flowing(FEED)
    begun = time.monotonic()
    viewers = []
    for _ in range(4):
        viewers += [Viewer(daemon.port(FEED)) for _ in range(5)]
        check_units(wait_workers(viewers[-1], 1))
    took = time.monotonic() - begun
    requests = daemon.stream()["idr_requests"]
    assert 1 <= requests <= took + 2
    for viewer in viewers:
        check_units(parse_units(viewer.data))
        viewer.close()


# --- the end ---


def test_sigterm_lets_units_under_way_finish(camcastd):
    """Units of 4 MB, read at 4 MB/s through a small buffer: SIGTERM finds one under way."""
    size = 4 << 20
    daemon = camcastd(fake_config(), env=words(size=size, fps=4, gop=1))
    with Viewer(daemon.port(FEED), rate=size, receive_buffer=65536) as viewer:
        viewer.wait_bytes(size // 8)
        daemon.process.send_signal(signal.SIGTERM)
        viewer.wait_closed()
        units = parse_units(viewer.data)
        assert viewer.closed == "end"
        assert len(units) == 1 and len(viewer.data) == size, "the unit was cut"
    assert daemon.stop() == 0


def test_sigterm_waits_two_seconds_for_a_slow_client(start_camcastd):
    size = 4 << 20
    daemon = start_camcastd(fake_config(), env=words(size=size, fps=4, gop=1))
    with Viewer(daemon.port(FEED), rate=100000, receive_buffer=65536) as viewer:
        viewer.wait_bytes(10000)
        begun = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(10 * harness.PATIENCE) == 0
        assert 1.9 < time.monotonic() - begun < 2.5 * harness.PATIENCE
        viewer.wait_closed()


def test_a_second_signal_ends_it_at_once(start_camcastd):
    daemon = start_camcastd(fake_config(), env=words(size=4 << 20, fps=4, gop=1))
    daemon.expected_exit = 128 + signal.SIGINT
    with Viewer(daemon.port(FEED), rate=10000, receive_buffer=65536) as viewer:
        viewer.wait_bytes(1000)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_log("SIGTERM: stopping")
        begun = time.monotonic()
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(10) == 128 + signal.SIGINT
        assert time.monotonic() - begun < 1.9  # without it: 2


def test_a_worker_that_does_not_stop_is_killed(start_camcastd):
    daemon = start_camcastd(fake_config(), env=words(fault="deathless"))
    daemon.wait_flowing(FEED)
    begun = time.monotonic()
    assert daemon.stop() == 0  # which also looks for processes left running
    assert time.monotonic() - begun < 2 * harness.PATIENCE
    assert any("did not stop in time and is killed" in line for line in daemon.log())


def test_workers_end_with_a_daemon_that_is_killed(start_camcastd):
    daemon = start_camcastd(fake_config(), env=words())
    daemon.wait_flowing(FEED)
    daemon.expected_exit = -signal.SIGKILL
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait(10)
    assert daemon.stop() == -signal.SIGKILL
