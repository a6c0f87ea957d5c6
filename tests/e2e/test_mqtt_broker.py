# SPDX-License-Identifier: BSD-2-Clause
"""Brokers that are not there, late, mute, locked, or die: the video never notices, the status says
why, and discovery is back when they are. And brokers of our own (broker = spawn)."""
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

import pytest

import harness
from broker import Broker, Certificates, Client, wrap
from clients import Viewer
from fakes import FAKEWORKER, FEED, check_units, parse_units, words
from discovery import mqtt_config, wait_connected, wait_mqtt
from test_mqtt import check_info

pytestmark = pytest.mark.one_backend


class Address:
    """Stands for a Broker where there is none."""

    def __init__(self, port):
        self.port = port


def wait_reason(daemon, words_of_it, timeout=20):
    return wait_mqtt(
        daemon, lambda mqtt: words_of_it in mqtt["reason"], f"the reason '{words_of_it}'", timeout
    )


def check_video(viewer, since):
    """It has gone on, with nothing missing."""
    viewer.wait_bytes(since + 100000)
    units = check_units(parse_units(viewer.data))
    assert units is not None


def mqtt_lines(daemon):
    return [line for line in daemon.log() if "mqtt:" in line]


# --- not there, gone, back ---


def test_a_broker_that_comes_late_is_found(start_camcastd, tmp_path):
    """One line until then, however often it is tried."""
    with Broker(tmp_path) as broker:
        broker.stop()
        daemon = start_camcastd(mqtt_config(broker), env=words())
        with Viewer(daemon.port(FEED)) as viewer:
            wait_reason(daemon, "Connection refused")
            daemon.wait_log("mqtt: .*Connection refused")
            after = daemon.log_position()
            # Tried again in the meantime, and still silent.
            wait_mqtt(daemon, lambda mqtt: mqtt["state"] == "waiting"
                      and mqtt["retry_in_ms"] > 500, "several attempts")
            assert [line for line in daemon.log()[after:] if "mqtt:" in line] == []
            assert len([line for line in mqtt_lines(daemon) if "Connection refused" in line]) == 1
            broker.start()
            wait_connected(daemon)
            with Client(broker) as client:
                client.subscribe("camcast/test/#")
                assert client.wait_message("camcast/test/status").payload == b"online"
                check_info(client.wait_message("camcast/test/info").payload)
            check_video(viewer, len(viewer.data))


@pytest.mark.parametrize("spare", [0, 1])
def test_a_full_table_of_descriptors_does_not_keep_it_from_the_broker(
    start_camcastd, tmp_path, spare
):
    """With one to spare the connection takes it, and the table is full to the last one again."""
    with Broker(tmp_path) as broker:
        broker.stop()
        # One segment is enough: a new one that meets the full table costs units.
        daemon = start_camcastd(mqtt_config(broker), env=words(segment=16 << 20))
        wait_reason(daemon, "Connection refused")
        with Viewer(daemon.port(FEED)) as viewer:
            viewer.wait_bytes(20000)
            # All that is open, what the daemon holds back among it, and no more than that.
            numbers = map(int, os.listdir(f"/proc/{daemon.process.pid}/fd"))
            limit = max(numbers) + 1 + spare
            resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
            broker.start()
            wait_connected(daemon)
            check_video(viewer, len(viewer.data))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_broker_that_dies_is_met_again(start_camcastd, tmp_path, how):
    with Broker(tmp_path) as broker:
        daemon = start_camcastd(mqtt_config(broker), env=words())
        wait_connected(daemon)
        with Viewer(daemon.port(FEED)) as viewer:
            viewer.wait_bytes(20000)
            broker.stop(how)
            wait_mqtt(daemon, lambda mqtt: mqtt["state"] == "waiting" and mqtt["reason"], "loss")
            broker.start()
            assert wait_connected(daemon)["connects"] == 2
            with Client(broker) as client:
                client.subscribe("answer")
                client.publish("commend", "answer")
                client.wait_message("answer")
                client.subscribe("camcast/test/status")  # which a new broker did not know
                assert client.wait_message("camcast/test/status").payload == b"online"
            check_video(viewer, len(viewer.data))


def test_a_frozen_broker_is_noticed_by_the_keepalive(start_camcastd, tmp_path):
    with Broker(tmp_path) as broker:
        daemon = start_camcastd(mqtt_config(broker, keepalive=5), env=words())
        wait_connected(daemon)
        with Viewer(daemon.port(FEED)) as viewer:
            broker.process.send_signal(signal.SIGSTOP)
            wait_mqtt(daemon, lambda mqtt: mqtt["state"] != "connected", "keepalive", 30)
            broker.process.send_signal(signal.SIGCONT)
            wait_connected(daemon)
            check_video(viewer, len(viewer.data))
        # Nor does it hold up the end.
        broker.process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begun < 2.5 * harness.PATIENCE
        broker.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("tls", [False, True])
def test_a_broker_that_is_frozen_while_we_connect(start_camcastd, tmp_path, pki, tls):
    """Its kernel takes the connection. The end is not held up, and it is met once it goes on."""
    with Broker(tmp_path, lines=tls_lines(pki) if tls else ()) as broker:
        broker.process.send_signal(signal.SIGSTOP)
        keys = {"tls": True, "cafile": pki["ours"].ca} if tls else {}
        first = start_camcastd(mqtt_config(broker, id="first", **keys), env=words())
        second = start_camcastd(mqtt_config(broker, id="second", **keys), env=words())
        wait_reason(first, "no answer within 10 s", 30)
        begun = time.monotonic()
        assert first.stop() == 0
        assert time.monotonic() - begun < 1 * harness.PATIENCE
        broker.process.send_signal(signal.SIGCONT)
        wait_connected(second)


def test_a_name_that_nobody_knows(start_camcastd):
    config = mqtt_config(Address(1883), broker="no-such-host.invalid")
    daemon = start_camcastd(config, env=words())
    wait_reason(daemon, "the name is not known")


def test_a_name_server_that_never_answers_does_not_hold_up_the_end(
    start_camcastd, tmp_path, monkeypatch
):
    build = wrap(tmp_path, "camcastd", "/etc/resolv.conf", "nameserver 127.9.9.10\n")
    if not build:
        pytest.skip("no mount namespace of one's own")
    monkeypatch.setattr(harness, "BUILD", build)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.9.9.10", 53))
        mute.settimeout(10 * harness.PATIENCE)
        daemon = start_camcastd(mqtt_config(Address(1883), broker="broker.example"), env=words())
        assert b"broker" in mute.recv(512)
        assert daemon.status()["mqtt"]["state"] == "connecting"
        begun = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begun < 1 * harness.PATIENCE


@pytest.mark.parametrize("tls", [False, True])
def test_a_broker_that_says_nothing_costs_nothing(start_camcastd, tmp_path, tls):
    """It accepts, and that is all: no busy waiting, and the end is not held up."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        daemon = start_camcastd(
            mqtt_config(Address(mute.getsockname()[1]), tls=tls), env=words(fps=5)
        )
        connection, _ = mute.accept()
        with connection:
            connection.settimeout(10 * harness.PATIENCE)
            assert connection.recv(1)  # CONNECT, or a ClientHello
            before, start = daemon.cpu_s(), time.monotonic()
            wait_mqtt(daemon, lambda mqtt: time.monotonic() > start + 2, "two seconds")
            assert daemon.status()["mqtt"]["state"] == "connecting"
            assert daemon.cpu_s() - before < 1
            daemon.stop()


def test_a_broker_that_never_answers_is_given_up(start_camcastd):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        daemon = start_camcastd(mqtt_config(Address(mute.getsockname()[1])), env=words())
        wait_reason(daemon, "no answer within 10 s", 30)


@pytest.mark.parametrize("bytes_sent", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00"])
def test_what_is_no_broker_is_told_from_one(start_camcastd, bytes_sent):
    """It closes, talks something else, or stops in the middle of a packet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10 * harness.PATIENCE)
        daemon = start_camcastd(
            mqtt_config(Address(server.getsockname()[1]), version="5"), env=words()
        )
        for _ in range(2):
            connection, _ = server.accept()
            connection.sendall(bytes_sent)
            connection.recv(4096)
            connection.close()
        mqtt = wait_mqtt(daemon, lambda mqtt: mqtt["reason"], "a reason")
        assert mqtt["state"] in ("waiting", "connecting") and mqtt["connects"] == 0


# --- passwords ---


def test_passwords(start_camcastd, tmp_path):
    """A wrong one is reported and tried again, and works as soon as the file is right."""
    file = tmp_path / "password"
    with Broker(tmp_path, passwords={"camcast": "right one"}) as broker:
        def start(**keys):
            return start_camcastd(mqtt_config(broker, **keys), env=words())

        wait_connected(start(username="camcast", password="right one", version="3.1.1"))
        file.write_text("wrong one\n")
        daemon = start(username="camcast", password_file=file, id="second")
        wait_reason(daemon, "the broker refuses: Not authorized")
        with Viewer(daemon.port(FEED)) as viewer:
            check_video(viewer, 0)
        file.write_text("right one\n")
        wait_connected(daemon)
        anonymous = start(id="third", version="3.1.1")
        wait_reason(anonymous, "the broker refuses")
        assert "right one" not in "\n".join(daemon.log())
        missing = start(username="camcast", password_file=tmp_path / "nothing", id="fourth")
        wait_reason(missing, f"password_file {tmp_path}/nothing: No such file or directory")


def test_a_password_is_a_credential_of_the_service(start_camcastd, tmp_path):
    """A name without a slash lies in the folder that systemd names."""
    (tmp_path / "credentials").mkdir()
    environment = dict(words(), CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
    with Broker(tmp_path, passwords={"camcast": "right one"}) as broker:
        config = mqtt_config(broker, username="camcast", password_file="mqtt-password")
        daemon = start_camcastd(config, env=environment)
        wait_reason(daemon, "password_file mqtt-password: No such file or directory")
        (tmp_path / "credentials/mqtt-password").write_text("right one\n")
        wait_connected(daemon)


# --- TLS ---


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    ours, others = Certificates(folder, "ours"), Certificates(folder, "others")
    return {
        "ours": ours,
        "others": others,
        "server": ours.make("server", "DNS:localhost,IP:127.0.0.1"),
        "elsewhere": ours.make("elsewhere", "DNS:elsewhere.example"),
        "client": ours.make("client"),
    }


def tls_lines(pki, server="server", *more):
    certificate, key = pki[server]
    return [f"cafile {pki['ours'].ca}", f"certfile {certificate}", f"keyfile {key}", *more]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_tls(start_camcastd, tmp_path, pki, version):
    with Broker(tmp_path, lines=tls_lines(pki)) as broker:
        daemon = start_camcastd(
            mqtt_config(broker, tls=True, cafile=pki["ours"].ca, version=version), env=words()
        )
        wait_connected(daemon)
        with Client(broker, configure=lambda one: one.tls_set(str(pki["ours"].ca))) as client:
            client.subscribe("answer")
            for number in range(3):  # also after the handshake's own messages
                start = client.position()
                client.publish("commend", "answer")
                assert client.wait_message("answer", after=start).payload == b"127.0.0.1"
        by_name = mqtt_config(
            broker, tls=True, cafile=pki["ours"].ca, version=version, broker="localhost", id="b"
        )
        wait_connected(start_camcastd(by_name, env=words()))


DEAD_FIRST = [["::1", "127.0.0.1"], ["127.0.0.2", "127.0.0.1"]]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("addresses", DEAD_FIRST)
def test_a_name_whose_first_address_has_no_broker(
    start_camcastd, tmp_path, pki, monkeypatch, addresses, tls
):
    """As `localhost` is on most machines: ::1 comes first, the broker may be on 127.0.0.1 alone."""
    hosts = "".join(f"{address} localhost\n" for address in addresses)
    build = wrap(tmp_path, "camcastd", "/etc/hosts", hosts)
    if not build:
        pytest.skip("no mount namespace of one's own")
    monkeypatch.setattr(harness, "BUILD", build)
    with Broker(tmp_path, lines=tls_lines(pki) if tls else ()) as broker:
        keys = {"tls": True, "cafile": pki["ours"].ca} if tls else {}
        daemon = start_camcastd(mqtt_config(broker, broker="localhost", **keys), env=words())
        wait_connected(daemon)
        assert not [line for line in mqtt_lines(daemon) if "warning" in line]


def test_the_broker_is_told_the_name_it_is_called_by(start_camcastd, pki):
    """Some have a certificate for each (RFC 6066, 3); of an address there is nothing to tell."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pki["server"])
    names = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    for host in ("localhost", "127.0.0.1"):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(10 * harness.PATIENCE)
            to = Address(server.getsockname()[1])
            config = mqtt_config(to, broker=host, tls=True, cafile=pki["ours"].ca, id=f"to-{host[0]}")
            daemon = start_camcastd(config, env=words())
            connection, _ = server.accept()
            connection.settimeout(10 * harness.PATIENCE)
            with context.wrap_socket(connection, server_side=True) as encrypted:
                assert b"MQTT" in encrypted.recv(100)
            daemon.stop()
    assert names == ["localhost", None]


def test_a_client_certificate_that_is_asked_for(start_camcastd, tmp_path, pki):
    with Broker(tmp_path, lines=tls_lines(pki, "server", "require_certificate true")) as broker:
        keys = {"tls": True, "cafile": pki["ours"].ca}
        without = start_camcastd(mqtt_config(broker, **keys), env=words())
        mqtt = wait_mqtt(without, lambda mqtt: mqtt["state"] == "waiting", "refusal")
        assert mqtt["reason"] and mqtt["connects"] == 0
        certificate, key = pki["client"]
        keys = {**keys, "cert": certificate, "key": key, "id": "second"}
        wait_connected(start_camcastd(mqtt_config(broker, **keys), env=words()))


def test_a_certificate_that_is_not_trusted(start_camcastd, tmp_path, pki):
    """Of another authority, of another host, or of an authority that the system does not know."""
    def refused(broker, id_, **keys):
        daemon = start_camcastd(mqtt_config(broker, tls=True, id=id_, **keys), env=words())
        mqtt = wait_mqtt(daemon, lambda mqtt: mqtt["state"] == "waiting", "refusal")
        assert mqtt["connects"] == 0
        with Viewer(daemon.port(FEED)) as viewer:
            check_video(viewer, 0)
        return mqtt["reason"]

    with Broker(tmp_path, lines=tls_lines(pki)) as broker:
        assert "certificate verify failed" in refused(broker, "a", cafile=pki["others"].ca)
        assert "certificate verify failed" in refused(broker, "b")
        assert "cafile" in refused(broker, "c", cafile=tmp_path / "nothing")
    with Broker(tmp_path, lines=tls_lines(pki, "elsewhere")) as broker:
        assert "certificate verify failed" in refused(broker, "d", cafile=pki["ours"].ca)


def test_tls_on_one_side_only(start_camcastd, tmp_path, pki):
    with Broker(tmp_path) as plain, Broker(tmp_path, lines=tls_lines(pki)) as tls:
        encrypted = start_camcastd(
            mqtt_config(plain, tls=True, cafile=pki["ours"].ca), env=words()
        )
        clear = start_camcastd(mqtt_config(tls, id="clear"), env=words())
        for daemon in (encrypted, clear):
            mqtt = wait_mqtt(daemon, lambda mqtt: mqtt["state"] == "waiting", "failure")
            assert mqtt["reason"] and mqtt["connects"] == 0


# --- what the broker forbids ---


def test_what_the_acl_denies_is_named(start_camcastd, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("topic read commend/getIP\ntopic write camcast/test/status\n")
    acl.chmod(0o644)
    with Broker(tmp_path, lines=[f"acl_file {acl}"]) as broker:
        daemon = start_camcastd(mqtt_config(broker), env=words())
        mqtt = wait_reason(daemon, "the broker denies publishing camcast/test/info")
        assert mqtt["connects"] == 1
        daemon.wait_log("mqtt: the broker denies publishing camcast/test/info")
        with Viewer(daemon.port(FEED)) as viewer:
            check_video(viewer, 0)


def documented_acl():
    page = (harness.ROOT / "docs/DISCOVERY.md").read_text(encoding="utf-8")
    return re.search(r"An ACL for mosquitto, to copy\..*?\n```\n(.*?)```\n", page, re.S)[1]


def test_the_acl_to_copy_allows_what_each_needs_and_no_more(start_camcastd, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text(documented_acl())
    acl.chmod(0o600)
    passwords = {"camcast": "one", "viewer": "two", "homeassistant": "three"}
    with Broker(tmp_path, passwords=passwords, lines=[f"acl_file {acl}"]) as broker:
        keys = {"username": "camcast", "password": "one", "home_assistant": True}
        config = mqtt_config(broker, **keys)
        del config["mqtt"]["response_prefix"]
        daemon = start_camcastd(config, env=words())
        daemon.wait_flowing(FEED)
        wait_connected(daemon)
        home = Client(broker, username="homeassistant", password="three")
        viewer = Client(broker, username="viewer", password="two")
        with home, viewer:
            home.subscribe("homeassistant/#")
            home.wait_message("homeassistant/+/camcast_test/+/config")
            viewer.subscribe("camcast/#")
            viewer.wait_message("camcast/test/info")
            viewer.subscribe("camera/response/#")
            viewer.publish("commend", "camera/response/a", qos=1)
            viewer.wait_message("camera/response/a")
            # What a viewer may not: the answer to its last request follows what it was denied.
            viewer.publish("camcast/test/camera/cam/restart", "PRESS", qos=1)
            viewer.publish("camcast/other/info", "{}", qos=1, retain=True)
            viewer.publish("commend", "camera/response/b", qos=1)
            viewer.wait_message("camera/response/b")
            assert daemon.camera()["restarts"] == 0
            assert not [one for one in viewer.messages if one.topic == "camcast/other/info"]
            home.publish("camcast/test/camera/cam/restart", "PRESS", qos=1)
            daemon.wait_until(lambda: daemon.camera()["restarts"] == 1, "the restart")
        assert not [line for line in daemon.log() if "denies" in line]


def test_a_subscription_that_is_denied_is_named(start_camcastd):
    """v3.1.1 has no word for a denied publication, but 0x80 for a subscription (mosquitto lets all
    subscribe and forwards nothing, so this broker is a script)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10 * harness.PATIENCE)
        config = mqtt_config(Address(server.getsockname()[1]), version="3.1.1")
        daemon = start_camcastd(config, env=words())
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as packets:
            while True:
                kind, length = packets.read(1)[0], 0
                for shift in range(0, 28, 7):
                    byte = packets.read(1)[0]
                    length |= (byte & 127) << shift
                    if not byte & 128:
                        break
                payload = packets.read(length)
                if kind >> 4 == 1:
                    connection.sendall(b"\x20\x02\x00\x00")
                elif kind >> 4 == 8:
                    connection.sendall(b"\x90\x03" + payload[:2] + b"\x80")
                    if payload[4:].startswith(b"homeassistant/"):  # the last one
                        break
            mqtt = wait_reason(daemon, "the broker denies subscribing to commend: Not authorized")
            assert mqtt["state"] in ("connecting", "connected")
            wait_connected(daemon)


# --- a broker of our own ---


def spawn_config(**keys):
    port = harness.free_port()
    return Address(port), mqtt_config(Address(port), broker="spawn", **keys)


class Spawned:
    """For Client: a broker that camcastd runs."""

    def __init__(self, port):
        self.address, self.port = "127.0.0.1", port


def test_a_broker_of_our_own(start_camcastd):
    """It dies, it comes back, and it ends with us (the harness looks for what is left)."""
    address, config = spawn_config()
    daemon = start_camcastd(config, env=words())
    first = wait_connected(daemon)["broker_pid"]
    assert harness.processes_with(daemon.marker)[first].strip("()") == "mosquitto"
    with Client(Spawned(address.port)) as client:
        client.subscribe("answer")
        client.publish("commend", "answer")
        client.wait_message("answer")
    with Viewer(daemon.port(FEED)) as viewer:
        os.kill(first, signal.SIGKILL)
        mqtt = wait_mqtt(
            daemon, lambda mqtt: mqtt["state"] == "connected" and mqtt["broker_restarts"] == 1,
            "another broker",
        )
        assert mqtt["broker_pid"] not in (0, first)
        daemon.wait_log("mqtt: mosquitto ended: killed by SIGKILL")
        check_video(viewer, len(viewer.data))
    with Client(Spawned(address.port)) as client:
        client.subscribe("camcast/test/status")
        assert client.wait_message("camcast/test/status").payload == b"online"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(bool(harness.SAN), reason="the libraries of a sanitizer are not copied")
def test_a_broker_of_our_own_for_an_ordinary_user(monkeypatch):
    """camcastd is started by a user who is not root and has no rights."""
    address, config = spawn_config()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        config["daemon"]["capture"] = shutil.copy(FAKEWORKER, folder)
        program = shutil.copy(harness.BUILD / "camcastd", folder / "program")
        script = folder / "camcastd"
        script.write_text(
            "#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups "
            f'--bounding-set=-all --inh-caps=-all {program} "$@"\n'
        )
        script.chmod(0o755)
        monkeypatch.setattr(harness, "BUILD", folder)
        with harness.Camcastd(config, folder, env=words()) as daemon:
            pid = wait_connected(daemon)["broker_pid"]
            assert os.stat(f"/proc/{pid}").st_uid == 65534
            with Client(Spawned(address.port)) as client:
                client.subscribe("answer")
                client.publish("commend", "answer")
                client.wait_message("answer")


def test_a_broker_of_our_own_with_passwords(start_camcastd, tmp_path):
    users = tmp_path / "users"
    users.write_text("camcast:one\nviewer:two\n")
    users.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", users], check=True, capture_output=True)
    address, config = spawn_config(
        spawn_password_file=users, username="camcast", password="one"
    )
    daemon = start_camcastd(config, env=words())
    wait_connected(daemon)
    with Client(Spawned(address.port), username="viewer", password="two") as client:
        client.subscribe("answer")
        client.publish("commend", "answer")
        client.wait_message("answer")
    with pytest.raises(harness.Failure, match="refused"):
        Client(Spawned(address.port))


def test_a_port_that_is_taken(start_camcastd, tmp_path):
    with Broker(tmp_path, passwords={"somebody": "else"}) as other:
        daemon = start_camcastd(mqtt_config(other, broker="spawn"), env=words())
        wait_mqtt(daemon, lambda mqtt: mqtt["broker_restarts"] >= 2, "attempts")
        wait_reason(daemon, "mosquitto ended: exit status 1")
        with Viewer(daemon.port(FEED)) as viewer:
            check_video(viewer, 0)
