# SPDX-License-Identifier: BSD-2-Clause
"""The configuration is read again at SIGHUP: what is new counts at once, a mistake changes nothing,
and no viewer who is not concerned loses a picture."""
import contextlib
import fcntl
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import ssl
import tempfile

import pytest

import bytestream
import certificates
import harness
from clients import Viewer
from discovery import mqtt_config, wait_connected
from fakes import FAKEWORKER, FEED, check_units, fake_config, wait_workers, words
from reloads import HttpViewer, check_no_gap, config, undisturbed, units_of, users_in, with_camera

pytestmark = pytest.mark.one_backend


# --- mistakes ---


def test_a_mistake_changes_nothing_and_is_said(camcastd):
    daemon = camcastd(config())
    daemon.wait_flowing()
    assert daemon.status()["config"]["error"] == ""
    loaded_at = daemon.status()["config"]["loaded_at"]
    with undisturbed(daemon):
        wrong = config(stream={"bitrate": "banana"}, daemon={"max_clients": 1})
        lines = daemon.reload(wrong, refused=True)
        number = 1 + daemon.config_path.read_text().splitlines().index("bitrate = banana")
        place = f"{daemon.config_path}:{number}: bitrate = banana"
        assert any(place in line for line in lines), lines
        status = daemon.status()
        assert status["config"]["error"].startswith(place)
        assert status["config"]["refused"] == 1 and status["config"]["reloads"] == 0
        assert status["config"]["loaded_at"] == loaded_at
        assert status["max_clients"] != 1
        assert "\ncamcast_config_error 1\n" in daemon.get("/metrics")[1]
        daemon.reload(config(daemon={"max_clients": 7}))
        status = daemon.status()
        assert status["config"]["error"] == "" and status["config"]["reloads"] == 1
        assert status["max_clients"] == 7
        assert "\ncamcast_config_error 0\n" in daemon.get("/metrics")[1]


def test_a_file_that_is_gone_or_unreadable_changes_nothing(camcastd, tmp_path):
    daemon = camcastd(config())
    daemon.wait_flowing()
    with undisturbed(daemon):
        after = daemon.log_position()
        daemon.config_path.unlink()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log("the configuration is not changed: .*No such file", after=after)
        token = tmp_path / "token"
        token.write_text("short")
        token.chmod(0o600)
        user = {"token_file": token}
        lines = daemon.reload(config(**{"user anna": user}), refused=True)
        assert any("user anna: token_file has no token" in line for line in lines)
        assert "user anna: token_file" in daemon.status()["config"]["error"]
        assert daemon.status()["access"]["users"] == 0


def test_a_port_that_is_taken_changes_nothing(camcastd):
    daemon = camcastd(config())
    daemon.wait_flowing()
    with socket.socket() as taken, undisturbed(daemon):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = with_camera(config(daemon={"max_clients": 9}), "other", annexb=f"127.0.0.1:{port}")
        lines = daemon.reload(text, refused=True)
        assert any(f"cannot listen on 127.0.0.1:{port}: another program has this port" in line
                   and "change annexb in [stream other]" in line for line in lines), lines
        assert [one["name"] for one in daemon.status()["cameras"]] == ["cam"]
        assert daemon.status()["max_clients"] != 9
    daemon.reload(text)
    with Viewer(port) as viewer:
        viewer.wait_units(3)


def test_a_port_of_a_refused_configuration_is_forgotten(camcastd):
    text = config()
    del text["stream s"]["annexb"]
    daemon = camcastd(text)
    refused, good = harness.free_port(), harness.free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        wrong = config({"annexb": f"127.0.0.1:{refused}"}, {"rtsp": f"127.0.0.1:{taken}"})
        after = daemon.log_position()
        daemon.reload(wrong, refused=True)
        # It had been opened before the other one was refused.
        daemon.wait_log(f"s/annexb: listening on 127.0.0.1:{refused}", after=after)
        daemon.reload(config({"annexb": f"127.0.0.1:{good}"}))
    assert daemon.part("feeds", "s/annexb")["port"] == good
    with Viewer(good) as viewer:
        viewer.wait_units(3)


def test_what_waits_for_the_next_start_is_said_by_name(start_camcastd):
    daemon = start_camcastd(config(daemon={"backend": "epoll"}))
    daemon.wait_flowing()
    lines = daemon.reload(config(daemon={"backend": "io_uring", "send_threshold": 1, "name": "n"}))
    for key in ("backend", "send_threshold"):
        assert sum(f"{key} in [daemon] changes at the next start" in line for line in lines) == 1
    status = daemon.status()
    assert status["backend"] == "epoll" and status["name"] == "n"
    assert status["config"]["error"] == ""


# --- limits and certificates ---


def test_a_limit_that_is_lowered_counts_for_those_who_come(camcastd):
    daemon = camcastd(config(daemon={"max_clients": 3}))
    daemon.wait_flowing()
    with contextlib.ExitStack() as stack:
        viewers = [stack.enter_context(Viewer(daemon.port())) for _ in range(3)]
        for viewer in viewers:
            viewer.wait_units(2)
        daemon.reload(config(stream={"max_lag_ms": 1700, "history_ms": 9000},
                             daemon={"max_clients": 2}))
        with Viewer(daemon.port()) as more:
            more.wait_closed()
        for viewer in viewers:
            viewer.wait_units(3)
            check_no_gap(viewer)
        daemon.reload(config(daemon={"max_clients": 1000, "max_clients_per_ip": 4}))
        with Viewer(daemon.port()) as more, Viewer(daemon.port()) as too_many:
            more.wait_units(2)
            too_many.wait_closed()
    refused = daemon.feed()["refused"]
    assert refused["max_clients"] == 1 and refused["max_clients_per_ip"] == 1


def test_descriptors_of_other_cameras_are_counted_again(start_camcastd):
    daemon = start_camcastd(config())
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (2000, 2000))
    daemon.reload(config())
    places = daemon.status()["max_clients"]
    more = config()
    for number in range(5):
        with_camera(more, f"more{number}")
    daemon.reload(more)
    assert 0 < daemon.status()["max_clients"] <= places - 5 * 16
    daemon.reload(config())
    assert daemon.status()["max_clients"] == places
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (300, 300))
    lines = daemon.reload(config(daemon={"control": "yes"}), refused=True)
    assert any("too few file descriptors for it" in line for line in lines), lines


def test_a_certificate_is_exchanged(camcastd, tmp_path):
    authority = certificates.Authority(tmp_path / "authority")

    def text(name, **stream):
        certificate, key = authority.sign(name)
        return config(dict(stream, tls="auto"), {"tls": "auto"},
                      tls={"certificate": certificate, "key": key})

    def shown(port):
        with socket.create_connection(("127.0.0.1", port)) as plain:
            with authority.context().wrap_socket(plain, server_hostname="localhost") as secure:
                return dict(secure.getpeercert()["subject"][0])["commonName"]

    daemon = camcastd(text("first"))
    daemon.wait_flowing()
    with undisturbed(daemon), Viewer(daemon.port(), tls=authority.context()) as viewer:
        viewer.wait_units(3)
        assert shown(daemon.http_port) == shown(daemon.port()) == "first"
        daemon.reload(text("second"))
        assert shown(daemon.http_port) == shown(daemon.port()) == "second"
        wrong = text("third")
        wrong["tls"]["key"] = authority.key
        lines = daemon.reload(wrong, refused=True)
        assert any("tls: " in line for line in lines)
        assert shown(daemon.port()) == "second"
        viewer.wait_units(3)
        check_no_gap(viewer)


def test_tls_comes_and_goes(camcastd, tmp_path):
    authority = certificates.Authority(tmp_path / "authority")
    certificate, key = authority.sign("late")
    daemon = camcastd(config())
    daemon.wait_flowing()
    with undisturbed(daemon):
        tls = {"certificate": certificate, "key": key}
        daemon.reload(config({"tls": "auto"}, {"tls": "auto"}, tls=tls))
        with Viewer(daemon.port(), tls=authority.context()) as viewer:
            viewer.wait_units(3)
        daemon.reload(config())
        with socket.create_connection(("127.0.0.1", daemon.port())) as plain, \
                pytest.raises((ssl.SSLError, ConnectionError)):
            authority.context().wrap_socket(plain, server_hostname="localhost")


# --- cameras and streams ---


def test_streams_come_change_and_go(camcastd):
    daemon = camcastd(config())
    daemon.wait_flowing()
    (worker,) = daemon.workers()
    with undisturbed(daemon):
        daemon.reload(with_camera(config(), "other"))
        with Viewer(daemon.port("other/annexb")) as viewer:
            viewer.wait_units(3)
            pid = daemon.camera("other")["pid"]
            # Another encoding: the worker starts again, and the viewer stays.
            daemon.reload(with_camera(config(), "other", bitrate=300000))
            viewer.wait_units(20)
            assert not viewer.closed
            bytestream.check_continuity(units_of(viewer), restarts=True)
            assert daemon.camera("other")["pid"] != pid
            assert daemon.stream("other")["target_bitrate"] == 300000
            # A stream more for the same camera.
            text = with_camera(config(), "other", bitrate=300000)
            text["stream j"] = {"camera": "other", "codec": "mjpeg",
                                "length_prefixed": "127.0.0.1:0"}
            daemon.reload(text)
            with Viewer(daemon.port("j/length_prefixed")) as jpegs:
                jpegs.wait_bytes(10000)
            viewer.wait_units(20)
            daemon.reload(config())
            viewer.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", daemon.port("other/annexb"))).close()
        names = [one["name"] for one in daemon.status()["streams"]]
        assert names == ["s", "cam:jpeg"]
        daemon.wait_until(lambda: daemon.workers() == [worker], "the end of the other worker")
        # As a path it is gone too, and comes back.
        assert daemon.get("/other.jpg")[0] == 404
        daemon.reload(with_camera(config(), "other"))
        with HttpViewer(daemon, "/other.jpg") as picture:
            picture.wait(lambda v: v.data.startswith(b"HTTP/1.1 200"), "a picture")
    assert daemon.camera()["pid"] == worker


def test_a_camera_that_changes_keeps_its_viewers(camcastd, tmp_path):
    daemon = camcastd(with_camera(config(), "other"))
    daemon.wait_flowing()
    with undisturbed(daemon), Viewer(daemon.port("other/annexb")) as raw, \
            HttpViewer(daemon, "/other.h264") as http:
        for viewer in (raw, http):
            viewer.wait_units(3)
        daemon.reload(with_camera(config(), "other", {"size": "320x192"}))
        for viewer in (raw, http):
            viewer.wait_units(20)
            assert not viewer.closed
            units = units_of(viewer)
            bytestream.check_continuity(units, restarts=True)
        bytestream.decode(units, tmp_path)
        daemon.wait_until(lambda: daemon.camera("other")["width"] == 320, "the other size")


def test_keys_of_camcastd_restart_no_worker(camcastd):
    daemon = camcastd(config())
    daemon.wait_flowing()
    workers = daemon.workers()
    with undisturbed(daemon):
        daemon.reload(config(stream={
            "max_clients": 5, "history_ms": 9000, "shed_lag_ms": 600, "max_lag_ms": 1500,
            "stall_timeout_ms": 9000, "length_prefixed": "127.0.0.1:0",
        }))
        with Viewer(daemon.port("s/length_prefixed")) as viewer:
            viewer.wait_bytes(20000)
        daemon.reload(config())
    assert daemon.workers() == workers


def test_an_address_moves_to_another_stream(camcastd):
    port = harness.free_port()
    place = f"127.0.0.1:{port}"
    text = with_camera(config({"annexb": place}), "other")
    daemon = camcastd(text)
    daemon.wait_flowing()
    with Viewer(port) as viewer:
        viewer.wait_units(3)
        text["stream s"]["annexb"] = "127.0.0.1:0"
        text["stream other"]["annexb"] = place
        daemon.reload(text)
        # Viewers that came before go on.
        viewer.wait_units(10)
        check_no_gap(viewer)
        with Viewer(port) as other:
            other.wait_units(10)
        assert daemon.part("feeds", "other/annexb")["accepted"] == 1


def test_http_and_rtsp_come_and_go(start_camcastd):
    text = config()
    del text["daemon"]["http"]
    daemon = start_camcastd(text)
    with Viewer(daemon.port()) as viewer:
        viewer.wait_units(3)
        daemon.reload(config(daemon={"rtsp": "127.0.0.1:0"}))
        daemon.wait_until(lambda: daemon.http_port and daemon.rtsp_port, "both ports")
        with HttpViewer(daemon, "/s.h264") as http:
            http.wait_units(3)
            daemon.reload(text)
            http.wait_closed()
        for port in (daemon.http_port, daemon.rtsp_port):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
        assert not viewer.closed


def test_requests_that_wait_for_a_stream_that_goes_are_answered(camcastd):
    """A snapshot and a playlist of a camera that delivers nothing."""
    silent = {"source": "pipe:/nonexistent/pipe"}
    daemon = camcastd(with_camera(config(), "other", silent, encoder="copy"))
    daemon.wait_flowing()
    with undisturbed(daemon), HttpViewer(daemon, "/other.jpg") as picture, \
            HttpViewer(daemon, "/other.m3u8") as playlist:
        daemon.wait_until(
            lambda: daemon.part("feeds", "other/mp4")["clients"] >= 0
            and daemon.get("/api/viewers")[0] == 200, "requests",
        )
        daemon.reload(config())
        for viewer in (picture, playlist):
            viewer.wait(lambda v: v.closed or b"HTTP/1.1 50" in v.data or b"404" in v.data,
                        "an answer or an end")


# --- others that learn of it ---


def test_clients_are_told_of_the_new_streams(camcastd, broker):
    from broker import Client  # needs paho

    daemon = camcastd(mqtt_config(broker, config()))
    wait_connected(daemon)
    topic = "camcast/test/info"

    def streams(message):
        return {one["name"] for one in json.loads(message.payload)["streams"]}

    with undisturbed(daemon), Client(broker) as client:
        client.subscribe(topic)
        assert streams(client.wait_message(topic)) == {"s"}
        daemon.reload(mqtt_config(broker, with_camera(config(), "other")))

        client.wait_message(
            topic,
            lambda message: message.payload and streams(message) == {"s", "other"},
        )
        wait_connected(daemon)
        daemon.reload(with_camera(config(), "other"))
        daemon.wait_until(lambda: daemon.status()["mqtt"]["state"] == "off", "the end of discovery")


def test_a_lock_that_another_holds_stops_no_viewer(camcastd):
    """What signs announcements is opened on the discovery thread, which does not wait for ever."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen: there is no broker

        def text(name):
            return config(daemon={"name": name},
                          mqtt={"broker": "127.0.0.1", "port": nobody.getsockname()[1]})

        daemon = camcastd(text("first"))
        daemon.wait_log("mqtt: id first.*, key ")
        daemon.wait_flowing()
        start = daemon.config_path.parent / "state" / "announcements.start"
        with undisturbed(daemon):
            with open(start, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                daemon.reload(text("second"))
                daemon.wait_log("mqtt: announcements are not signed: .*announcements.start: ")
                assert "key" not in daemon.status()["mqtt"]
            daemon.reload(text("third"))
            daemon.wait_log("mqtt: id third.*, key ")


def test_pushes_come_and_go(camcastd):
    daemon = camcastd(config())
    daemon.wait_flowing()
    port = harness.free_port()
    one, two = (f"rtmp://127.0.0.1:{port}/app/{name}" for name in "ab")
    with undisturbed(daemon):
        daemon.reload(config(stream={"push": one}))
        assert [push["name"] for push in daemon.status()["pushes"]] == ["s/1"]
        daemon.wait_until(lambda: daemon.status()["pushes"][0]["error"], "an attempt")
        restarts = daemon.status()["pushes"][0]["restarts"]
        daemon.reload(config(stream={"push": f"{two}, {one}"}))
        pushes = daemon.status()["pushes"]
        assert [push["name"] for push in pushes] == ["s/1", "s/2"]
        assert pushes[1]["restarts"] >= restarts and pushes[1]["error"]
        daemon.reload(config())
        assert daemon.status()["pushes"] == []
        daemon.wait_until(lambda: len(daemon.workers()) == 1, "the end of the processes")


# --- the process ---


@pytest.fixture(name="user")
def fixture_user(tmp_path):
    return users_in(tmp_path)


def threads(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))


def descriptors(daemon):
    """Those that camcastd has open, without the segments of logs, which fill up first."""
    folder = pathlib.Path(f"/proc/{daemon.process.pid}/fd")
    found = 0
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            found += "segment" not in os.readlink(entry)
    return found


@pytest.mark.long
def test_fifty_reloads_leave_nothing_behind(camcastd, user):
    here = {"allow": "127.0.0.0/8"}
    rights = {"anonymous": "view, status"}
    plain = fake_config(here, rights)
    # One arena: each reload is read on a thread, and malloc() would choose again for each.
    daemon = camcastd(plain, env={**words(), "MALLOC_ARENA_MAX": "1"})
    more = fake_config(here, dict(rights, max_clients=50), other={"length_prefixed": "127.0.0.1:0"})
    more["camera more"] = dict(more["camera cam"])
    more["stream more"] = dict(more["stream s"], camera="more")
    more["user anna"] = user("anna")
    with Viewer(daemon.port(FEED)) as viewer:
        wait_workers(viewer, 1)
        seen = []
        for _ in range(25):
            for text in (more, plain):
                daemon.reload(text)
            with Viewer(daemon.port(FEED)) as another:
                wait_workers(another, 1)
            daemon.wait_until(
                lambda: len(daemon.workers()) == 1
                and daemon.status()["clients_total"] == 1  # a unit resets who has gone
                and threads(daemon) <= (seen or [(99,)])[0][0],
                "the end of the other worker and viewer",
            )
            seen.append((threads(daemon), descriptors(daemon), daemon.private_memory()))
        assert not viewer.closed
    # The first ones warm up what is kept: the thread for passwords, and caches.
    assert seen[-1][0] <= seen[2][0], seen
    assert seen[-1][1] <= seen[2][1] + 2, seen
    if not harness.SAN:  # which keeps what was freed
        # malloc() gives back what is free now and then, and takes it again. On a busy machine more
        # is under way at once.
        assert seen[-1][2] <= max(memory for *_, memory in seen[:10]) + (1 << 20), seen


def test_many_signals_are_few_reloads(camcastd):
    daemon = camcastd(config())
    daemon.wait_flowing()
    with undisturbed(daemon):
        daemon.config_path.write_text(daemon.config_path.read_text().replace(
            "[daemon]", "[daemon]\nmax_clients = 11", 1))
        for _ in range(100):
            daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_until(lambda: daemon.status()["max_clients"] == 11, "the other limit")
    assert daemon.status()["config"]["refused"] == 0


def test_signals_during_start_and_stop(start_camcastd, backend):
    daemon = start_camcastd(config(), backend=backend, wait=False)
    # Blocked from the beginning of main() on; before that, SIGHUP ends any program.
    daemon.wait_log("listening on")
    for _ in range(20):
        daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("is in force")
    daemon.wait_flowing()
    for _ in range(5):
        daemon.process.send_signal(signal.SIGHUP)
    daemon.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(ProcessLookupError):
        for _ in range(5):
            daemon.process.send_signal(signal.SIGHUP)
    daemon.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")
def test_a_file_that_only_root_can_read_is_refused_after_root_is_given_up(start_camcastd):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        worker = shutil.copy(FAKEWORKER, folder)
        keys = {"capture": worker, "user": "nobody"}
        daemon = start_camcastd(fake_config(daemon=keys), env=words())
        with Viewer(daemon.port(FEED)) as viewer:
            wait_workers(viewer, 1)
            daemon.config_path.chmod(0o600)
            after = daemon.log_position()
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_log("the configuration is not changed: .*Permission denied", after=after)
            assert "Permission denied" in daemon.status()["config"]["error"]
            viewer.wait_bytes(len(viewer.data) + 1)
            check_units(wait_workers(viewer, 1))
