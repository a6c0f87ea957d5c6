# SPDX-License-Identifier: BSD-2-Clause
"""Good and bad clients of one feed: each gets a stream that decodes, and none can hurt another.

Units carry sequence numbers (sei = yes), so that what a client lost is known; and every byte that
one received is decoded.
"""
import contextlib
import re
import shutil
import socket
import subprocess
import time

import pytest

import bytestream
import clients
import farnet
import harness

# A short fuse, so that policies act within seconds.
HASTY = {"join_burst_ms": 300, "shed_lag_ms": 500, "max_lag_ms": 1000, "stall_timeout_ms": 2000}


def bytes_a_second(daemon, feed="s/annexb"):
    """Of a viewer that keeps up, measured."""
    first = daemon.feed(feed)["bytes"], time.monotonic()
    daemon.wait_flowing(feed, units=45)
    last = daemon.feed(feed)["bytes"], time.monotonic()
    return (last[0] - first[0]) / (last[1] - first[1])


def check_fast(viewer, folder, name="fast"):
    """A viewer that kept up: nothing lost, all decodes. Returns its units."""
    units, gaps = bytestream.check_stream(viewer.close(), folder, name=name)
    assert gaps == 0, [(a.seq, b.seq) for a, b in bytestream.gaps(units)]
    return units


def droppable_map(units):
    return {unit.seq: unit.droppable for unit in units}


def ages_ms(viewer, units):
    """How old each unit was when its last byte arrived."""
    arrivals, position, end, ages = viewer.arrivals, 0, 0, []
    for unit in units:
        end += len(unit.data)
        while arrivals[position][1] < end:
            position += 1
        ages.append((arrivals[position][0] - unit.monotonic_us) / 1000)
    return ages


def test_fast_clients_lose_nothing(camcastd, tmp_path):
    daemon = camcastd(harness.pattern_config())
    with contextlib.ExitStack() as stack:
        viewers = [stack.enter_context(clients.Viewer(daemon.port())) for _ in range(5)]
        viewers[0].wait_units(60)
        for number, viewer in enumerate(viewers):
            check_fast(viewer, tmp_path, f"viewer{number}")
    feed = daemon.feed()
    assert feed["dropped"] == {"lag": 0, "shed": 0, "gap": 0} and feed["resyncs"] == 0


def test_who_joins_inside_a_gop_begins_at_a_key_unit(camcastd, tmp_path):
    """The first IDR is long ago and the next one far: the encoder is asked for one."""
    daemon = camcastd(harness.pattern_config(stream={"keyframe_interval": 300}))
    with clients.Viewer(daemon.port()) as first:
        first.wait_units(60)
        with clients.Viewer(daemon.port()) as second:
            second.wait_units(30)
            units, _ = bytestream.check_stream(second.close(), tmp_path, name="second")
        earlier = check_fast(first, tmp_path)
    assert units[0].key
    assert earlier[0].seq < units[0].seq <= earlier[-1].seq, "an old picture"
    assert daemon.feed()["idr_requests"] >= 1


def test_a_slow_client_loses_units_and_no_picture_breaks(camcastd, tmp_path):
    """Half the bitrate: lags, goes on at key units; the fast one beside it notices nothing."""
    daemon = camcastd(harness.pattern_config(stream=HASTY))
    rate = int(bytes_a_second(daemon) / 2)
    with clients.Viewer(daemon.port()) as fast:
        with clients.Viewer(daemon.port(), rate=rate, receive_buffer=8192) as slow:
            daemon.wait_until(lambda: daemon.feed()["resyncs"] >= 3, "three resyncs", 40)
            data = slow.close()
        known = check_fast(fast, tmp_path)
    _, gaps = bytestream.check_stream(data, tmp_path, droppable_map(known), name="slow")
    assert gaps >= 1, "what follows the last resyncs may not have arrived yet"
    feed = daemon.feed()
    assert feed["dropped"]["lag"] > 0 and feed["left"]["stalled"] == 0


def test_a_slow_client_with_a_small_window_is_never_put_out(camcastd):
    """It takes something all the time, though its window is closed most of the time."""
    daemon = camcastd(harness.pattern_config(stream=HASTY))
    with socket.socket() as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        viewer.settimeout(10 * harness.PATIENCE)
        viewer.connect(("127.0.0.1", daemon.port()))
        end = time.monotonic() + 10
        while time.monotonic() < end:
            left = 12000
            while left > 0:
                data = viewer.recv(left)
                assert data, "disconnected"
                left -= len(data)
            time.sleep(0.5)  # what makes it slow
    left = daemon.feed()["left"]
    assert left["stalled"] == 0


def test_a_slow_client_stays_near_the_present(camcastd):
    """Units wait in the log and not in the kernel: a slow client gets no old units."""
    daemon = camcastd(harness.pattern_config(stream=HASTY))
    rate = int(bytes_a_second(daemon) / 2)
    with clients.Viewer(daemon.port(), rate=rate, receive_buffer=8192) as slow:
        daemon.wait_until(lambda: daemon.feed()["resyncs"] >= 3, "three resyncs", 40)
        units, _ = bytestream.split(slow.close())
    # A unit may begin max_lag late and then takes its time at this rate; a second for the rest.
    longest_s = max(len(unit.data) for unit in units) / rate
    assert max(ages_ms(slow, units)) / 1e3 < 1.0 + longest_s + 1.0 * harness.PATIENCE


def test_layers_are_shed_before_anything_else(camcastd, tmp_path):
    """A client a little too slow loses droppable units only, never a reference."""
    config = harness.pattern_config(
        stream={
            "encoder": "openh264",
            "temporal_layers": 2,
            "shed_lag_ms": 400,
            "join_burst_ms": 200,
            "max_lag_ms": 2800,
        }
    )
    daemon = camcastd(config)
    with clients.Viewer(daemon.port()) as fast:
        fast.wait_units(60)
        units, _ = bytestream.split(bytes(fast.data))
        whole = sum(len(unit.data) for unit in units)
        top = sum(len(unit.data) for unit in units if unit.droppable)
        assert 0 < top < whole
        rate = int(bytes_a_second(daemon) * (1 - 0.6 * top / whole))
        with clients.Viewer(daemon.port(), rate=rate, receive_buffer=8192) as slow:
            daemon.wait_until(lambda: daemon.feed()["dropped"]["shed"] >= 20, "shedding", 60)
            data = slow.close()
        known = check_fast(fast, tmp_path)
    feed = daemon.feed()
    assert feed["dropped"]["lag"] == 0 and feed["resyncs"] == 0
    droppable = droppable_map(known)
    received, gaps = bytestream.check_stream(data, tmp_path, droppable, name="slow")
    assert gaps > 0
    for before, after in bytestream.gaps(received):
        assert all(droppable[seq] for seq in range(before.seq + 1, after.seq))


def test_a_stalled_client_is_put_out_and_costs_nobody(camcastd, tmp_path):
    daemon = camcastd(harness.pattern_config(stream=HASTY))
    with clients.Viewer(daemon.port()) as fast:
        with clients.Viewer(daemon.port(), rate=0, receive_buffer=4096) as stalled:
            daemon.wait_until(lambda: daemon.feed()["left"]["stalled"] == 1, "reset client", 30)
            address = re.escape(stalled.address)
            daemon.wait_log(rf"{address}.*(stall|unit)")
            stalled.set_rate(None)
            assert stalled.wait_closed() == "reset"
        fast.wait_units(10)
        check_fast(fast, tmp_path)
    assert daemon.feed()["clients"] == 0 or daemon.feed()["left"]["peer"] <= 1


def test_trickling_clients_are_put_out_and_hold_little(camcastd):
    """50 clients at 2 KB/s, each begun on a segment of its own, keep their units alive only for
    stall_timeout, however steadily they trickle."""
    double = harness.BUILD / "tests/support/fakeworker"
    daemon = camcastd(
        harness.pattern_config(
            stream=dict(HASTY, stall_timeout_ms=3000, history_ms=3000), daemon={"capture": double}
        ),
        env={"FAKEWORKER": "fps=30,gop=1,size=60000,segment=65536"},
    )
    daemon.wait_flowing()
    most = 0
    with contextlib.ExitStack() as stack:
        fast = stack.enter_context(clients.Viewer(daemon.port()))
        viewers = []
        for _ in range(50):
            daemon.wait_flowing(units=1)
            viewers.append(
                stack.enter_context(
                    clients.Viewer(daemon.port(), rate=2000, receive_buffer=4096)
                )
            )
        before = len(fast.data)

        def all_out():
            nonlocal most
            feed = daemon.feed()
            most = max(most, feed["segments"])
            return feed["left"]["stalled"] == 50

        daemon.wait_until(all_out, "50 stalled clients are disconnected", 30)
        assert all(viewer.wait_closed(60) == "reset" for viewer in viewers)
        assert all(len(viewer.data) > 0 for viewer in viewers)
        fast.wait(lambda v: len(v.data) >= before + 60000 * 30, "a second of units")
    # history (3 s of one segment a unit) and one for each trickling client
    assert most <= 3 * 30 + 50 + 10 * harness.PATIENCE
    assert daemon.feed()["segments"] <= 3 * 30 + 10 * harness.PATIENCE


def test_resetting_clients_are_counted_and_forgotten(camcastd, tmp_path):
    daemon = camcastd(harness.pattern_config())
    with clients.Viewer(daemon.port()) as fast:
        fast.wait_units(1)
        fds = daemon.open_fds()
        for _ in range(60):
            with clients.Viewer(daemon.port()) as viewer:
                viewer.wait_bytes(1)
                viewer.close(reset=True)
        daemon.wait_until(lambda: daemon.feed()["clients"] == 1, "one client left")
        assert daemon.feed()["left"]["peer"] == 60
        daemon.wait_until(lambda: daemon.open_fds() <= fds + 3, "closed descriptors")
        fast.wait_units(10)
        check_fast(fast, tmp_path)


def test_a_client_that_ends_its_side_goes_on_watching(camcastd, tmp_path):
    """As `ncat HOST PORT </dev/null` and `ssh -n` do; one that is slow as well costs no CPU."""
    daemon = camcastd(harness.pattern_config())
    with clients.Viewer(daemon.port()) as half, clients.Viewer(daemon.port(), rate=0) as stuck:
        half.socket.shutdown(socket.SHUT_WR)
        stuck.socket.shutdown(socket.SHUT_WR)
        before = daemon.status()["loop"]["turns"]
        half.wait_units(60)
        assert daemon.feed()["clients"] == 2
        assert daemon.status()["loop"]["turns"] - before < 60 * 100
        check_fast(half, tmp_path)
    daemon.wait_until(lambda: daemon.feed()["clients"] == 0, "no client")


@pytest.mark.skipif(not shutil.which("ncat"), reason="no ncat here")
def test_ncat_without_input_watches(camcastd):
    daemon = camcastd(harness.pattern_config())
    with subprocess.Popen(
        ["ncat", "127.0.0.1", str(daemon.port())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as ncat:
        assert len(ncat.stdout.read(200000)) == 200000
        ncat.kill()
    daemon.wait_until(lambda: daemon.feed()["clients"] == 0, "no client")


@pytest.mark.long
def test_a_client_that_pauses_goes_on(camcastd, tmp_path):
    """Its socket fills and drains again and again; it must never be forgotten."""
    daemon = camcastd(harness.pattern_config(stream=dict(HASTY, stall_timeout_ms=20000)))
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    connection.connect(("127.0.0.1", daemon.port()))
    connection.settimeout(10 * harness.PATIENCE)
    data = b""
    with connection, clients.Viewer(daemon.port()) as fast:
        for pause in range(12):
            # Lets the socket fill: a number of units, another one each time, comes and goes.
            daemon.wait_flowing(units=3 + 4 * pause)
            target = len(data) + 40000
            while len(data) < target:
                more = connection.recv(65536)
                assert more, "the server closed"
                data += more
        known = check_fast(fast, tmp_path)
    units, _ = bytestream.check_stream(data, tmp_path, droppable_map(known), name="pausing")
    assert units[-1].seq > units[0].seq + 100


def test_limits_close_who_is_too_many(camcastd):
    daemon = camcastd(harness.pattern_config(stream={"max_clients": 2}))
    with clients.Viewer(daemon.port()) as a, clients.Viewer(daemon.port()) as b:
        a.wait_units(1)
        b.wait_units(1)
        with clients.Viewer(daemon.port()) as c:
            c.wait_closed()
            assert not c.data
        assert daemon.feed()["refused"]["max_clients_feed"] == 1
        a.close()
        daemon.wait_until(lambda: daemon.feed()["clients"] == 1, "a place")
        with clients.Viewer(daemon.port()) as d:
            d.wait_units(1)
        b.wait_units(5)


def test_the_first_client_gets_a_picture_at_once(camcastd):
    """on_demand: nothing is encoded for nobody, and the first viewer waits at most 150 ms."""
    stream = {"on_demand": True, "linger_ms": 200, "join_burst_ms": 100}
    daemon = camcastd(harness.pattern_config(stream=stream))
    daemon.wait_until(lambda: daemon.camera()["frames"] >= 15, "pictures from the camera")
    assert daemon.feed()["units"] == 0
    times_ms = []
    for _ in range(5):
        daemon.wait_until(
            lambda: not daemon.stream()["active"] and daemon.feed().get("last_unit_ms", 999) > 100,
            "an idle stream",
        )
        with clients.Viewer(daemon.port()) as viewer:
            viewer.wait_units(3)
            data, arrivals = viewer.close(), viewer.arrivals
        first = bytestream.split(data)[0][0]
        assert first.key
        assert first.monotonic_us > viewer.connected_us - 50000, "an old picture"
        whole = next(at for at, length in arrivals if length >= len(first.data))
        times_ms.append((whole - viewer.connected_us) / 1000)
    print("first picture after", [f"{ms:.0f} ms" for ms in times_ms])
    assert min(times_ms) < 150
    assert max(times_ms) < 150 * 3 * harness.PATIENCE


def test_sigterm_finishes_the_units_under_way(camcastd, tmp_path):
    daemon = camcastd(harness.pattern_config())
    with clients.Viewer(daemon.port()) as fast, clients.Viewer(
        daemon.port(), rate=60000, receive_buffer=8192
    ) as slow:
        fast.wait_units(60)
        begun = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begun < 2.5 * harness.PATIENCE
        assert fast.wait_closed() == "end"
        slow.set_rate(None)
        slow.wait_closed()
        # Nothing was cut: what follows the last unit is the delimiter that came with it.
        units, tail = bytestream.split(fast.close())
        assert tail == bytestream.AUD + b"\xf0"
        assert bytestream.check_continuity(units) == 0
        assert bytestream.decode(units, tmp_path) == len(units)
    assert not any("is killed" in line for line in daemon.log())


@contextlib.contextmanager
def relay(port, delay_ms):
    """A process that relays connections to port and delays all bytes; yields its own port."""
    program = harness.ROOT / "tests/support/relay.py"
    with subprocess.Popen(
        ["/usr/bin/python3", program, str(port), str(delay_ms)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield int(re.search(r"listening on (\d+)", process.stdout.readline())[1])
        finally:
            process.terminate()


def test_a_client_behind_a_slow_relay_loses_nothing(camcastd, tmp_path):
    daemon = camcastd(harness.pattern_config())
    with relay(daemon.port(), delay_ms=40) as port:
        with clients.Viewer(port) as far, clients.Viewer(daemon.port()) as near:
            far.wait_units(90)
            near.wait_units(1)
            check_fast(near, tmp_path)
            units = check_fast(far, tmp_path, "far")
    ages = sorted(ages_ms(far, units)[15:])  # the first ones were there before it came
    assert 40 <= ages[len(ages) // 2] < 40 + 100 * harness.PATIENCE


def test_a_client_80_ms_away_loses_nothing(far_network, camcastd, tmp_path):
    """A real round trip: no unit waits for the acknowledgement of another one's tail."""
    daemon = camcastd(harness.pattern_config(stream={"annexb": "0.0.0.0:0"}))
    with clients.Viewer(daemon.port(), host=farnet.FAR) as far:
        far.wait_units(90)
        units = check_fast(far, tmp_path, "far")
    ages = sorted(ages_ms(far, units)[30:])  # after the first ones and TCP's slow start
    print(f"age at arrival: median {ages[len(ages) // 2]:.0f} ms")
    assert 40 <= ages[len(ages) // 2] < 40 + 30 * harness.PATIENCE
    assert far_network.count("IpInReceives") > 90


def test_a_client_that_vanishes_is_put_out(far_network, camcastd, tmp_path):
    """Half-open: its packets stop, and nothing tells the server so."""
    daemon = camcastd(harness.pattern_config(stream=dict(HASTY, annexb="0.0.0.0:0")))
    with clients.Viewer(daemon.port(), host=farnet.FAR) as gone:
        gone.wait_units(30)
        with clients.Viewer(daemon.port()) as fast:
            fast.wait_units(1)
            far_network.cut()
            daemon.wait_until(lambda: daemon.feed()["clients"] == 1, "end of the vanished one", 30)
            fast.wait_units(10)
            check_fast(fast, tmp_path)
    left = daemon.feed()["left"]
    assert left["stalled"] + left["peer"] >= 1


@pytest.mark.long
def test_a_client_whose_link_was_dead_sees_the_present(far_network, camcastd, tmp_path):
    """Nothing comes through for longer than max_lag: it goes on at a new key unit, and not where
    it was, as one that paused by itself would."""
    daemon = camcastd(harness.pattern_config(stream={"annexb": "0.0.0.0:0"}))

    def client():
        return daemon.status()["clients"][0]

    with clients.Viewer(daemon.port(), host=farnet.FAR) as far:
        far.wait_units(30)
        far_network.cut()
        daemon.wait_until(lambda: client()["lag_ms"] > 2500, "a client that lags", 20)
        far_network.mend()
        daemon.wait_until(lambda: client()["resyncs"] == 1, "a resync", 30)
        daemon.wait_until(lambda: client()["lag_ms"] < 1000, "the present", 30)
        assert client()["delay_ms"] == 0
        far.wait_units(90)
        _, gaps = bytestream.check_stream(far.close(), tmp_path, name="far")
    assert gaps == 1


@pytest.mark.calm
@pytest.mark.alone  # the paced player is late on a machine that has no time for it
def test_clients_of_all_kinds_share_a_server(camcastd, tmp_path):
    """For half a minute: a fast viewer, a paced player, a slow one, a stalled one, and one that
    reconnects all the time. Every stream received decodes; the fast and the paced lose nothing."""
    # At the default timings; the server disconnects the stalled client within that time.
    config = harness.pattern_config()
    # Of its own, so that its drops are counted apart, and rich enough that the kernel's
    # buffers do not hold all that the paced player leaves.
    config["stream p"] = dict(config["stream s"], bitrate=4000000)
    daemon = camcastd(config)
    rate = int(bytes_a_second(daemon) / 2)
    # This player first reads 5 s of any raw stream and then, paced, takes nothing until it has
    # played those: it is behind by its own choice, by more than max_lag, and loses nothing.
    output = tmp_path / "paced.framecrc"
    paced = subprocess.Popen(
        ["ffmpeg", "-nostdin", "-nostats", "-v", "level+warning", "-err_detect", "explode"]
        + ["-xerror", "-re"]
        + ["-i", f"tcp://127.0.0.1:{daemon.port('p/annexb')}", "-t", "30"]
        + ["-fps_mode", "passthrough", "-f", "framecrc", output],
        stderr=subprocess.PIPE,
        text=True,
    )
    visits = []
    lag_ms = 0
    with contextlib.ExitStack() as stack:
        fast = stack.enter_context(clients.Viewer(daemon.port()))
        slow = stack.enter_context(clients.Viewer(daemon.port(), rate=rate, receive_buffer=8192))
        stack.enter_context(clients.Viewer(daemon.port(), rate=0, receive_buffer=4096))
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with clients.Viewer(daemon.port()) as visitor:
                # Visits of all lengths, most of them end inside a unit.
                visitor.wait_bytes(1 + 3011 * (len(visits) % 40))
                visits.append(visitor.close(reset=len(visits) % 2 == 1))
            now = [c for c in daemon.status()["clients"] if c["feed"] == "p/annexb"]
            lag_ms = max([lag_ms] + [c["lag_ms"] for c in now])
        _, errors = paced.communicate(timeout=30 * harness.PATIENCE)
        feed = daemon.feed()
        clients_now = daemon.status()["clients"]
        units, _ = bytestream.split(slow.close())
        known = check_fast(fast, tmp_path)
    assert paced.returncode == 0 and not errors, errors
    lines = output.read_text().splitlines()
    pictures = [line for line in lines if not line.startswith("#")]
    assert 890 <= len(pictures) <= 910
    dropped = daemon.feed("p/annexb")["dropped"]
    assert dropped["lag"] == 0, f"the paced player lost pictures, {lag_ms} ms behind"
    print(f"the paced player was {lag_ms} ms behind")
    assert len(known) >= 880
    droppable = droppable_map(known)
    gaps = bytestream.check_continuity(units, droppable)
    assert gaps >= 3 and bytestream.decode(units, tmp_path, "slow") == len(units)
    assert feed["left"]["stalled"] == 1
    slow_now = [client for client in clients_now if client["address"] == slow.address]
    assert slow_now and slow_now[0]["dropped"] > 0
    assert not [c for c in clients_now if c["dropped"] and c["address"] != slow.address]
    assert len(visits) >= 20
    streams = [bytestream.split(data)[0] for data in visits]
    for stream in streams:
        if stream:
            assert bytestream.check_continuity(stream) == 0
    # Each begins at an IDR, so that one decoder may take them all one after the other.
    joined = [unit for stream in streams for unit in stream]
    assert bytestream.decode(joined, tmp_path, "visits") == len(joined)
