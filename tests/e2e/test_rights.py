# SPDX-License-Identifier: BSD-2-Clause
"""Who may watch: addresses and users, on every way of watching."""
import contextlib
import http.client

import pytest

import harness
from clients import Viewer


def config(stream=None, daemon=None, **sections):
    """An H.264 and an MJPEG stream of a test pattern."""
    text = harness.pattern_config(stream=stream, daemon=daemon)
    text["stream j"] = {"camera": "cam", "codec": "mjpeg", "on_demand": "yes"}
    text.update(sections)
    return text


def ask(daemon, path, source=None, host="127.0.0.1", method="GET", headers=None, body=None):
    """(status, headers) of an answer, whose body may be endless; None: the connection was closed
    without one."""
    source = (source, 0) if source else None
    one = http.client.HTTPConnection(host, daemon.http_port, 10 * harness.PATIENCE, source)
    with contextlib.closing(one):
        try:
            one.request(method, path, body, headers or {})
            answer = one.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            return None
        return answer.status, answer.headers


def status_of(*arguments, **options):
    answer = ask(*arguments, **options)
    return answer and answer[0]


# --- addresses ---


def test_an_address_that_is_not_allowed_sees_nothing(camcastd):
    daemon = camcastd(config(daemon={"allow": "127.0.0.0/30, ::1", "deny": "127.0.0.2"}))
    daemon.wait_flowing()
    assert status_of(daemon, "/", source="127.0.0.1") == 200
    assert status_of(daemon, "/", source="127.0.0.3") == 200
    for source in ("127.0.0.2", "127.0.0.4"):
        assert ask(daemon, "/", source=source) is None
        with Viewer(daemon.port(), source=source) as viewer:
            viewer.wait_closed()
            assert not viewer.data
    with Viewer(daemon.port(), source="127.0.0.3") as viewer:
        viewer.wait_units(5)
    assert daemon.feed()["refused"]["not_allowed"] == 2
    daemon.wait_log(r"client 127\.0\.0\.2:\d+ refused \(not_allowed\)")


def test_a_stream_has_its_own_addresses(camcastd):
    daemon = camcastd(config(stream={"allow": "127.0.0.1"}))
    daemon.wait_flowing()
    paths = [f"/s.{ending}" for ending in ("h264", "mp4", "ts", "m3u8", "ws", "mjpg", "jpg")]
    for path in [*paths, "/s/init.mp4"]:
        assert status_of(daemon, path, source="127.0.0.2") == 403, path
        assert status_of(daemon, path, source="127.0.0.1") != 403, path
    assert status_of(daemon, "/j.mjpg", source="127.0.0.2") == 200
    with Viewer(daemon.port(), source="127.0.0.2") as viewer:
        viewer.wait_closed()
        assert not viewer.data


def test_local_follows_the_interfaces(lan, start_camcastd):
    server, near, far = lan.host("10.9.0.1/24"), lan.host("10.9.0.2/24"), lan.host("10.8.0.2/24")
    far.ip("route", "add", "10.9.0.0/24", "dev", "eth0")
    server.ip("route", "add", "10.8.0.0/24", "dev", "eth0")
    with server:
        daemon = start_camcastd(config(daemon={"http": "0.0.0.0:0", "allow": "local"}))

    def reaches(host):
        with host:
            return status_of(daemon, "/healthz", host="10.9.0.1") is not None

    assert reaches(server) and reaches(near) and not reaches(far)
    server.add("10.8.0.1/24")
    daemon.wait_until(lambda: reaches(far), "the new network")
    server.ip("addr", "del", "10.8.0.1/24", "dev", "eth0")
    server.ip("route", "replace", "10.8.0.0/24", "dev", "eth0")
    daemon.wait_until(lambda: not reaches(far), "the network that is gone")
    assert reaches(near)


@pytest.mark.parametrize("key", ["allow", "deny"])
def test_a_range_that_is_none_is_a_mistake(tmp_path, key):
    path = tmp_path / "c.ini"
    path.write_text(harness.config_text(config(daemon={key: "192.168.1.0/33"})))
    result = harness.run([harness.BUILD / "camcastd", "--check", "-c", path])
    assert result.returncode != 0
    assert f"{key} = 192.168.1.0/33 is not allowed; allowed: at most 32 of" in result.stderr
