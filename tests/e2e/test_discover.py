# SPDX-License-Identifier: BSD-2-Clause
"""camcast discover with a real mosquitto, real camcastd, and servers that only say they are."""
import contextlib
import json
import os
import re
import signal
import socket
import time
import unicodedata

import pytest

import broker as mqtt
import harness
import tool
from tool import Tool, announce, run


def discover(*arguments, **options):
    return run("discover", *arguments, **options)


def listed(*arguments, **options):
    """The servers that `discover --json` prints."""
    code, out, err = discover("--json", *arguments, **options)
    assert code == (0 if out.strip() != "[]" else 1), err
    return json.loads(out)


def camcastd_config(broker, name, **mqtt_keys):
    config = harness.pattern_config(daemon={"name": name}, camera={"size": "320x180"})
    keys = {"broker": "127.0.0.1", "port": broker.port, "id": name, "keepalive": 5}
    config["mqtt"] = {**keys, **mqtt_keys}
    return config


def test_a_server_that_starts_is_listed_within_a_second_of_its_broker_connection(
    start_camcastd, broker
):
    with Tool("discover", "--watch", "--json", broker=broker) as watch:
        position = broker.log_position()
        broker.wait_log(r"Received SUBSCRIBE")
        daemon = start_camcastd(camcastd_config(broker, "porch"))
        broker.wait_log(r"New client connected .* as camcast-porch", after=position)
        connected = time.monotonic()
        appeared, server = watch.wait_event("appeared", "porch")
        assert appeared - connected < 1 * harness.PATIENCE
        assert server["name"] == "porch" and server["online"]
        assert [(s["name"], s["codec"], s["port"]) for s in server["streams"]] == [
            ("s", "h264", daemon.port())
        ]
        position = watch.position()
        daemon.stop()
        watch.wait_event("left", "porch", after=position)
        assert watch.stop() == 0


def test_a_server_killed_is_gone_when_the_broker_says_so(start_camcastd, broker):
    """The kernel closes the killed one's connection, so the broker publishes its last will at once;
    of one that is only stopped it hears nothing, and does so when the keepalive is over."""
    killed = harness.Camcastd(camcastd_config(broker, "killed"), broker.folder)
    stopped = harness.Camcastd(camcastd_config(broker, "stopped"), broker.folder)
    try:
        with Tool("discover", "--watch", "--json", broker=broker) as watch:
            watch.wait_event("appeared", "killed")
            watch.wait_event("appeared", "stopped")
            killed.process.kill()
            watch.wait_event("left", "killed")
            stopped.process.send_signal(signal.SIGSTOP)
            watch.wait_event("left", "stopped", timeout=30)
            assert watch.stop() == 0
    finally:
        killed.kill()
        stopped.kill()
    assert listed(broker=broker) == []


def test_200_announced_servers_are_listed_at_once(broker):
    with mqtt.Client(broker) as client:
        for i in range(200):
            announce(client, f"server-{i:03}", address=f"10.0.{i // 100}.{i % 100 + 1}")
    begun = time.monotonic()
    servers = listed(broker=broker)
    seconds = time.monotonic() - begun
    assert [server["id"] for server in servers] == [f"server-{i:03}" for i in range(200)]
    assert servers[7]["streams"][0]["url"] == "tcp://10.0.0.8:8888"
    assert seconds < 1 * harness.PATIENCE, f"it took {seconds:.2f} s"


def test_those_that_answer_without_announcing_themselves_are_listed(broker):
    """As where the broker does not keep messages."""
    with mqtt.Client(broker) as server:

        def answer(_client, _data, message):
            reply_to = json.loads(message.payload)["reply_to"]
            server.paho.publish(reply_to, "192.0.2.99")  # as an older server does
            server.paho.publish(reply_to, json.dumps(tool.server_info("silent")))

        server.subscribe("asked")
        server.paho.on_message = answer
        assert [s["id"] for s in listed("--request-topic", "asked", broker=broker)] == ["silent"]


def test_changes_are_shown_as_they_come(broker):
    with mqtt.Client(broker) as client, Tool("discover", "--watch", broker=broker) as watch:
        announce(client, "porch", name="현관", address="10.0.0.1")
        watch.wait_line(
            r"^appeared: 현관 \(porch\) s: h264 1280x720 30 fps 2 Mbit/s, tcp://10\.0\.0\.1:8888$"
        )
        announce(client, "porch", name="현관", address="10.0.0.2")
        watch.wait_line(r"^changed: 현관 \(porch\) .*10\.0\.0\.2:8888$")
        announce(client, "porch", name="현관", address="10.0.0.2", status="offline")
        watch.wait_line(r"^left: 현관 \(porch\)$")
        announce(client, "porch", name="현관", address="10.0.0.2")
        watch.wait_line(r"^appeared: ", after=3)
        client.publish("camcast/porch/info", "", retain=True)
        watch.wait_line(r"^left: ", after=4)
        assert watch.stop(signal.SIGTERM) == 0
        assert len(watch.out) == 5
        assert watch.stderr() == ""


def test_what_happened_while_the_broker_was_away_is_found_out(broker):
    with mqtt.Client(broker) as client:
        announce(client, "stays")
        announce(client, "goes")
    with Tool("discover", "--watch", "--json", broker=broker) as watch:
        watch.wait_event("appeared", "stays")
        watch.wait_event("appeared", "goes")
        broker.kill()  # it keeps nothing
        broker.wait_log("^ended$")
        broker.start()
        with mqtt.Client(broker) as client:
            announce(client, "stays")
            announce(client, "comes")
        watch.wait_event("appeared", "comes")
        watch.wait_event("left", "goes")
        assert watch.stop() == 0
        events = [json.loads(text) for _, text in watch.out]
        assert [e["event"] for e in events if e["server"]["id"] == "stays"] == ["appeared"]


def columns(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def test_the_table_is_straight_in_any_script(broker):
    with mqtt.Client(broker) as client:
        announce(client, "a", name="현관 카메라")
        announce(client, "b", name="porch", streams=[
            tool.stream_info("main"), tool.stream_info("small", codec="mjpeg", port=8000)
        ])
    for locale in ("C.UTF-8", "C"):
        code, out, err = discover(broker=broker, env={"LC_ALL": locale})
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0].split() == "SERVER ID KEY STREAM CODEC SIZE FPS BITRATE URL".split()
        assert len(lines) == 4
        urls = {columns(line[: line.index("tcp")]) for line in lines[1:]}
        assert urls == {columns(lines[0][: lines[0].index("URL")])}, out


def test_hostile_announcements_change_nothing(broker):
    evil = tool.server_info("evil", name="a\x1b]0;owned\x07\u202eb")
    messages = {
        "camcast/x/info": b"{",
        "camcast/y/info": json.dumps(tool.server_info("porch", name="not me")).encode(),
        "camcast/z/info": json.dumps(tool.server_info("z")).encode().replace(b"127", b"\xff27"),
        "camcast/deep/info": b"[" * 100000,
        "camcast/long/info": json.dumps(tool.server_info("long")).encode() + b" " * 300000,
        "camcast/w/status": b"on" * 10000,
        "camcast/evil/info": json.dumps(evil).encode(),
        "camcast/evil/status": b"online",
    }
    with mqtt.Client(broker) as client:
        for topic, payload in messages.items():
            client.publish(topic, payload, qos=1, retain=True)
        announce(client, "porch")
    code, out, err = discover(broker=broker)
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["a?]0;owned??b", "evil"], ["porch", "porch"]
    ]


def retained(broker, server_id):
    """The topics of a server that have something retained, as a new subscriber gets them."""
    with mqtt.Client(broker) as client:
        for topic in (f"camcast/{server_id}/#", f"homeassistant/+/camcast_{server_id}/#", "end"):
            client.subscribe(topic)
        client.publish("end", "x", qos=1)
        client.wait_message("end")
        return sorted(message.topic for message in client.messages if message.topic != "end")


def test_what_a_dead_server_left_is_forgotten(start_camcastd, broker):
    config = camcastd_config(broker, "dead", home_assistant="yes")
    dead = harness.Camcastd(config, broker.folder)
    start_camcastd(camcastd_config(broker, "dead2"))
    with Tool("discover", "--watch", "--json", broker=broker) as watch:
        watch.wait_event("appeared", "dead")
        watch.wait_event("appeared", "dead2")
        code, _, err = discover("--forget", "dead", broker=broker)
        assert code == 1 and "dead is running" in err
        dead.kill()
        watch.wait_event("left", "dead")
        assert watch.stop() == 0
    left = retained(broker, "dead")
    assert len(left) == 3 + 6, left
    code, out, err = discover("--forget", "dead", broker=broker)
    assert (code, out, err) == (0, "forgot dead: 9 retained messages removed\n", "")
    assert retained(broker, "dead") == []
    assert len(retained(broker, "dead2")) == 2
    code, _, err = discover("--forget", "dead", broker=broker)
    assert code == 1 and "the broker has nothing of that server" in err
    assert discover("--forget", "a/b", broker=broker)[0] == 2


def test_a_server_whose_will_was_lost_is_forgotten_and_a_broker_that_forbids_it_is_named(broker):
    with mqtt.Client(broker) as client:
        announce(client, "lost")
    code, _, err = discover("--forget", "lost", broker=broker)
    assert code == 1 and "lost is announced as online, but does not answer" in err
    assert retained(broker, "lost") != []
    assert discover("--forget", "lost", "--force", broker=broker)[0] == 0
    assert retained(broker, "lost") == []
    acl = broker.folder / "acl"
    acl.write_text("topic read #\ntopic write commend\ntopic write camera/response/#\n")
    with mqtt.Broker(broker.folder) as writable:
        with mqtt.Client(writable) as client:
            announce(client, "kept")
        # Retained messages of the bridge's other side, where this broker lets nobody remove them.
        with mqtt.Broker(
            broker.folder,
            lines=[f"acl_file {acl}", "connection b", f"address 127.0.0.1:{writable.port}",
                   "topic # in 1"],
        ) as strict:
            strict.wait_log(r"Received PUBLISH .*camcast/kept/status")
            code, _, err = discover("--forget", "kept", "--force", broker=strict)
            assert code == 1 and "the broker did not remove everything" in err


def test_nobody_is_there(broker):
    code, out, err = discover(broker=broker)
    assert (code, out) == (1, "")
    assert "no server was found (connected to 127.0.0.1:" in err


def test_timeout_says_for_how_long(broker):
    with mqtt.Client(broker) as client:
        with Tool("discover", "--timeout", "2", "--json", broker=broker) as tool_:
            broker.wait_log("Received SUBSCRIBE", after=0)
            announce(client, "late")
            assert tool_.wait() == 0
            assert [server["id"] for server in json.loads(tool_.stdout())] == ["late"]
        assert time.monotonic() - tool_.started >= 2
        with Tool("discover", "--timeout", "0.5", "--watch", broker=broker) as tool_:
            assert tool_.wait() == 0
            assert tool_.stdout().startswith("appeared: late")


# --- brokers ---


def test_no_broker_is_said():
    port = harness.free_port()
    code, out, err = discover("--broker", f"127.0.0.1:{port}")
    assert (code, out) == (1, "")
    assert err == f"camcast: broker: 127.0.0.1:{port}: Connection refused\n"


def test_passwords(tmp_path, start_broker):
    broker = start_broker(passwords={"viewer": "s3cret"})
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("s3cret\n")
    bad.write_text("wrong\n")
    with mqtt.Client(broker, username="viewer", password="s3cret") as client:
        announce(client, "porch")
    login = ["--username", "viewer", "--password-file"]
    assert [s["id"] for s in listed(*login, good, broker=broker)] == ["porch"]
    for arguments in ([*login, bad], []):
        code, _, err = discover(*arguments, broker=broker)
        assert code == 1
        assert "the broker refuses: Not authorized" in err
    code, _, err = discover(*login, tmp_path / "none", broker=broker)
    assert code == 1
    assert "No such file" in err


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    ours = mqtt.Certificates(folder, "ours")
    certificate, key = ours.make("server", "DNS:localhost,IP:127.0.0.1")
    return {
        "ca": ours.ca,
        "other": mqtt.Certificates(folder, "others").ca,
        "client": ours.make("client"),
        "lines": [f"cafile {ours.ca}", f"certfile {certificate}", f"keyfile {key}"],
    }


def test_tls(tmp_path, start_broker, pki):
    broker = start_broker(lines=[*pki["lines"], "require_certificate true"])
    certificate, key = pki["client"]
    own = ["--cert", certificate, "--key", key]

    def configure(client):
        client.tls_set(*map(str, (pki["ca"], certificate, key)))

    with mqtt.Client(broker, configure=configure) as client:
        announce(client, "porch")
    servers = listed("--cafile", pki["ca"], *own, broker=broker)
    assert [server["id"] for server in servers] == ["porch"]
    for arguments, said in [
        (["--cafile", pki["other"], *own], "certificate verify failed"),
        (["--tls", *own], "certificate verify failed"),
        (["--cafile", tmp_path / "none", *own], "cafile .*: No such file"),
        (["--cafile", key, *own], "cafile .*: no certificate"),
        (["--cafile", pki["ca"], "--cert", certificate], "key is missing"),
        (["--cafile", pki["ca"], "--cert", certificate, "--key", certificate], "key .*: "),
        (["--cafile", pki["ca"]], ""),
    ]:
        code, out, err = discover(*arguments, broker=broker)
        assert (code, out) == (1, ""), arguments
        assert re.search(said, err), err


@pytest.mark.parametrize("level, closes", [(5, False), (4, False), (4, True)])
def test_a_broker_of_one_version(broker, level, closes):
    with mqtt.Client(broker) as client, mqtt.Gate(broker, level, closes) as gate:
        announce(client, "porch")
        assert [server["id"] for server in listed(broker=gate)] == ["porch"]
        assert gate.levels == [5] if level == 5 else [5, 4]


def test_a_broker_that_answers_mqtt_5_as_an_old_one_does():
    """It takes any version, and never heard of properties."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with Tool("discover", "--watch", "--broker", f"127.0.0.1:{port}") as watch:
            listener.settimeout(10 * harness.PATIENCE)
            for level in (5, 4):
                connection, _ = listener.accept()
                with connection, connection.makefile("rb") as file:
                    connection.settimeout(10 * harness.PATIENCE)
                    assert read_packet(file)[1][6] == level
                    connection.sendall(b"\x20\x02\0\0")  # CONNACK
                    kind = read_packet(file)[0] if level == 4 else 0x82
                    assert kind == 0x82  # SUBSCRIBE
            assert watch.stop() == 0


@pytest.mark.parametrize("addresses", [["::1", "127.0.0.1"], ["127.0.0.2", "127.0.0.1"]])
@pytest.mark.parametrize("tls", [False, True])
def test_a_name_whose_first_address_has_no_broker(
    tmp_path, start_broker, monkeypatch, pki, addresses, tls
):
    hosts = "".join(f"{address} localhost\n" for address in addresses)
    build = mqtt.wrap(tmp_path, "camcast", "/etc/hosts", hosts)
    if not build:
        pytest.skip("no mount namespace of one's own")
    monkeypatch.setattr(tool, "BUILD", build)
    broker = start_broker(lines=pki["lines"] if tls else ())

    def configure(client):
        if tls:
            client.tls_set(str(pki["ca"]))

    with mqtt.Client(broker, configure=configure) as client:
        announce(client, "porch")
    arguments = ["--cafile", pki["ca"]] if tls else []
    servers = listed("--broker", f"localhost:{broker.port}", *arguments)
    assert [server["id"] for server in servers] == ["porch"]


# --- brokers that hold up nobody ---


def stop_at_once(watch):
    begun = time.monotonic()
    assert watch.stop() == 0
    assert time.monotonic() - begun < 0.3 * harness.PATIENCE


def connections_to(port, state):
    """Their sockets' inodes, in a state of include/net/tcp_states.h, in hexadecimal."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    return {row[9] for row in rows if row[2].endswith(f":{port:04X}") and row[3] == state}


def sockets_of(process):
    """Inodes of the sockets that a process has."""
    links = []
    with contextlib.suppress(FileNotFoundError):  # one that is closed meanwhile
        links = [os.readlink(file) for file in os.scandir(f"/proc/{process.pid}/fd")]
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def wait_connection(watch, port, state):
    deadline = time.monotonic() + 20 * harness.PATIENCE
    while not connections_to(port, state) & sockets_of(watch.process):
        assert time.monotonic() < deadline
        assert watch.process.poll() is None
        time.sleep(0.02)  # between two looks


@pytest.mark.parametrize("tls", [False, True])
def test_a_frozen_broker_is_left_when_asked_to(start_broker, pki, tls):
    """While it shakes hands, and later."""
    broker = start_broker(lines=pki["lines"] if tls else ())
    arguments = ["discover", "--watch", *(["--cafile", pki["ca"]] if tls else [])]
    with Tool(*arguments, broker=broker) as watch:
        broker.wait_log("Received SUBSCRIBE")
        broker.process.send_signal(signal.SIGSTOP)
        stop_at_once(watch)
    with Tool(*arguments, broker=broker) as watch:
        wait_connection(watch, broker.port, "01")
        stop_at_once(watch)
    after = broker.log_position()
    with Tool(*arguments, broker=broker) as watch:
        wait_connection(watch, broker.port, "01")
        broker.process.send_signal(signal.SIGCONT)
        broker.wait_log("Received SUBSCRIBE", after=after)
        assert watch.stop() == 0


def test_a_broker_that_never_answers_is_left_when_asked_to():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        for tls in ([], ["--tls"]):
            with Tool("discover", "--watch", "--broker", f"127.0.0.1:{port}", *tls) as watch:
                deaf.settimeout(10 * harness.PATIENCE)
                connection, _ = deaf.accept()
                with connection:
                    assert connection.recv(1)
                    stop_at_once(watch)


def test_a_broker_that_drops_packets_is_left_when_asked_to():
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        while not connections_to(port, "02"):  # once its queue is full, the kernel drops them
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        with Tool("discover", "--watch", "--broker", f"127.0.0.1:{port}") as watch:
            wait_connection(watch, port, "02")
            stop_at_once(watch)


def test_a_name_server_that_never_answers_is_left_when_asked_to(tmp_path, monkeypatch):
    build = mqtt.wrap(tmp_path, "camcast", "/etc/resolv.conf", "nameserver 127.9.9.9\n")
    if not build:
        pytest.skip("no mount namespace of one's own")
    monkeypatch.setattr(tool, "BUILD", build)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.9.9.9", 53))
        mute.settimeout(10 * harness.PATIENCE)
        with Tool("discover", "--watch", "--broker", "broker.example") as watch:
            assert b"broker" in mute.recv(512)
            stop_at_once(watch)


def test_a_broker_that_forbids_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with Tool("discover", "--broker", f"127.0.0.1:{port}") as tool_:
            listener.settimeout(10 * harness.PATIENCE)
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as file:
                connection.settimeout(10 * harness.PATIENCE)
                read_packet(file)
                connection.sendall(b"\x20\x03\0\0\0")  # CONNACK, without properties
                for _ in range(3):
                    kind, body = read_packet(file)
                    assert kind == 0x82  # SUBSCRIBE
                    connection.sendall(b"\x90\x04" + body[:2] + b"\0\x87")  # SUBACK: not authorized
                assert tool_.wait() == 1
            assert f"127.0.0.1:{port}, which forbids us camcast/+/info" in tool_.stderr()


def read_packet(file):
    """(first byte, contents) of an MQTT control packet; MQTT 3.1.1, clause 2.2."""
    kind = file.read(1)[0]
    length = shift = 0
    while True:
        byte = file.read(1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return kind, file.read(length)


def test_a_broker_on_ipv6(tmp_path, start_broker):
    broker = start_broker(address="::1")
    with mqtt.Client(broker) as client:
        announce(client, "six", address="fd00::7")
    assert listed(broker=broker)[0]["streams"][0]["url"] == "tcp://[fd00::7]:8888"
    assert listed(env={"CAMCAST_BROKER": f"[::1]:{broker.port}"})[0]["id"] == "six"


# --- terminals and pipes ---


def test_watching_on_a_terminal_redraws_the_table(broker):
    with Tool("discover", "--watch", broker=broker, terminal=True) as watch:
        watch.wait_line(r"connected to 127\.0\.0\.1:\d+; 0 servers")
        with mqtt.Client(broker) as client:
            announce(client, "porch")
        watch.wait_line(r"\x1b\[H\x1b\[2Jconnected to 127\.0\.0\.1:\d+; 1 server\r\n.*SERVER .*\r\n"
                        r"porch +porch +- +s +h264")
        assert watch.stop() == 0


def test_a_pipe_that_nobody_reads_any_more_ends_it_quietly(broker):
    reading, writing = os.pipe()
    with Tool("discover", "--watch", broker=broker, stdout=writing) as watch:
        os.close(writing)
        broker.wait_log("Received SUBSCRIBE")
        os.close(reading)
        assert watch.wait() == 0
        assert watch.stderr() == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["discover", "x"],
        ["discover", "--timeout", "0"],
        ["discover", "--timeout", "soon"],
        ["discover", "--broker", "host:0"],
        ["discover", "--broker", "[::1"],
        ["discover", "--broker", ""],
        ["discover", "--request-topic", "a/#"],
        ["discover", "--unknown"],
        ["unknown"],
        [],
    ],
)
def test_bad_arguments_are_refused(arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err
