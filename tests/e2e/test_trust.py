# SPDX-License-Identifier: BSD-2-Clause
"""Signed announcements with a real broker: who is trusted, and what those achieve who are not."""
import json
import socket

import pytest

import broker as mqtt
import harness
import signing
import tool
from recordings import Recorder
from test_discover import camcastd_config, discover, listed
from test_mqtt import check_info

ANOTHER_KEY = r"error: server .* announces itself with ANOTHER KEY, {} instead of {}: it is refused"


def state_folder(server):
    return server.config_path.parent / "state"


def read_info(broker, server_id, fits=lambda text: True):
    """The text that is announced."""
    with mqtt.Client(broker) as client:
        client.subscribe(f"camcast/{server_id}/info")
        message = client.wait_message(
            f"camcast/{server_id}/info", lambda m: m.payload and fits(m.payload.decode())
        )
        return message.payload.decode()


def publish_info(client, server_id, text):
    client.publish(f"camcast/{server_id}/info", text, qos=1, retain=True)


def trusted(path):
    """{id: (key, number)} of a file of trusted servers."""
    lines = [line.split() for line in path.read_text().splitlines() if line[:1] != "#"]
    return {words[0]: (words[2], words[3]) for words in lines}


def wait_recorded(recorder, server):
    """More of the server comes to the disk."""

    def size():
        return sum(path.stat().st_size for path in recorder.files(server))

    before = size()
    recorder.wait_until(lambda: size() > before, f"recording of {server}", 40)


@pytest.fixture
def trap():
    """A port on which an impostor waits for those that believe it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def assert_nobody_came(server):
    with pytest.raises(BlockingIOError):
        server.accept()


def test_an_announcement_is_signed_and_shows_its_key(start_camcastd, broker, tmp_path):
    config = camcastd_config(broker, "porch")
    config["daemon"]["http"] = "127.0.0.1:0"
    server = start_camcastd(config)
    text = read_info(broker, "porch")
    check_info(text)
    signed = signing.check(text, tmp_path)
    own = signing.fingerprint(signed["key"])
    assert server.status()["mqtt"]["key"] == own
    server.wait_log(f"mqtt: id porch, broker 127.0.0.1, key {own}")
    (found,) = listed(broker=broker)
    assert (found["signature"], found["key"], found["fingerprint"]) == ("right", signed["key"], own)
    code, out, _ = discover(broker=broker)
    assert code == 0 and own in out
    key = state_folder(server) / "announcements.key"
    assert key.stat().st_mode & 0o7777 == 0o600
    # Each announcement has a greater number, also after a restart.
    server.stop()
    server = start_camcastd(config)
    again = json.loads(read_info(broker, "porch", lambda other: other != text))["signed"]
    assert again["key"] == signed["key"] and again["start"] > signed["start"]


def test_who_is_seen_first_is_recorded_and_nobody_else(start_camcastd, broker, tmp_path, trap):
    server = start_camcastd(camcastd_config(broker, "porch"))
    other = signing.Signer(tmp_path)
    trust = tmp_path / "trusted"
    own = signing.check(read_info(broker, "porch"), tmp_path)["key"]
    streams = [tool.stream_info(port=trap.getsockname()[1])]
    recorder = Recorder(broker, tmp_path / "rec", "--all", "--trust", trust)
    with recorder, mqtt.Client(broker) as client:
        recorder.wait_log(
            rf"server porch \(porch\) is trusted from now on, .* {signing.fingerprint(own)}$"
        )
        wait_recorded(recorder, "porch")
        recorder.wait_until(lambda: "porch" in trusted(trust), "porch in the file")
        assert trusted(trust)["porch"][0] == own
        assert trust.stat().st_mode & 0o777 == 0o600
        # Unsigned; of a stripped or changed signature; of another key.
        tool.announce(client, "yard", streams=streams)
        recorder.wait_log(r"server yard \(yard\) is refused: its announcement is not signed \(1 ")
        impostor = other.sign(tool.server_info("porch", streams=streams), 2**52)
        publish_info(client, "porch", impostor)
        recorder.wait_log(
            ANOTHER_KEY.format(signing.fingerprint(other.key), signing.fingerprint(own))
        )
        attic = other.sign(tool.server_info("attic", streams=streams))
        client.publish("camcast/attic/status", "online", qos=1, retain=True)
        publish_info(client, "attic", attic.replace("127.0.0.1", "127.0.0.2"))
        recorder.wait_log(r"server attic \(attic\) is refused: .* has a wrong signature")
        # It is recorded on; and what is retained is the impostor's, but the server itself answers.
        wait_recorded(recorder, "porch")
        recorder.stop()
        assert list(trusted(trust)) == ["porch"]
        assert_nobody_came(trap)
    with Recorder(broker, tmp_path / "rec", "--all", "--trust", trust) as again:
        again.wait_log(
            ANOTHER_KEY.format(signing.fingerprint(other.key), signing.fingerprint(own))
        )
        wait_recorded(again, "porch")
        again.stop()
    assert_nobody_came(trap)
    assert server.process.poll() is None


def test_an_announcement_of_yesterday_is_refused(start_camcastd, broker, tmp_path):
    """The server has moved; somebody who now has its old address sends what it said there."""
    trust = tmp_path / "trusted"
    config = camcastd_config(broker, "porch")
    first = start_camcastd(config)
    old = read_info(broker, "porch")
    recorder = Recorder(broker, tmp_path / "rec", "--all", "--trust", trust)
    with recorder, mqtt.Client(broker) as client:
        wait_recorded(recorder, "porch")
        first.stop()
        second = start_camcastd(config)
        assert second.port() != first.port()
        recorder.wait_until(
            lambda: trusted(trust)["porch"][1] > "{start}.{count}".format(**json.loads(old)["signed"]),
            "the newer number in the file",
        )
        publish_info(client, "porch", old)
        recorder.wait_log(r"server porch \(porch\) is refused: .* is an earlier one")
        wait_recorded(recorder, "porch")
        recorder.stop()
    # The next process knows, too, and asks the server itself.
    code, _, err = discover("--trust", trust, "--timeout", "2s", broker=broker)
    assert code == 0, err
    assert "1 sent again" in err
    (found,) = listed("--trust", trust, broker=broker)
    assert found["streams"][0]["port"] == second.port()


def test_a_lost_key_is_another_one_until_somebody_says_so(start_camcastd, broker, tmp_path):
    trust = tmp_path / "trusted"
    config = camcastd_config(broker, "porch")
    first = start_camcastd(config)
    recorder = Recorder(broker, tmp_path / "rec", "--all", "--trust", trust)
    with recorder:
        wait_recorded(recorder, "porch")
        recorder.wait_until(lambda: "porch" in trusted(trust), "porch in the file")
        before = trusted(trust)["porch"]
        first.stop()
        (state_folder(first) / "announcements.key").unlink()
        start_camcastd(config)
        recorder.wait_log(r"porch \(porch\) announces itself with ANOTHER KEY")
        assert trusted(trust)["porch"] == before
        position = recorder.position()
        trust.write_text("# porch has a new key\n")
        recorder.wait_log(r"porch \(porch\) is trusted from now on", 40, after=position)
        recorder.wait_log(r"porch: recording to", 60, after=position)
        wait_recorded(recorder, "porch")
        recorder.stop()
    assert trusted(trust)["porch"][0] != before[0]


def test_a_damaged_key_leaves_announcements_unsigned(start_camcastd, broker, tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    key = folder / "announcements.key"
    key.write_text("0123\n")
    key.chmod(0o600)
    server = start_camcastd(camcastd_config(broker, "porch"))
    server.wait_log(f"warning: mqtt: announcements are not signed: {key}")
    assert "signed" not in check_info(read_info(broker, "porch"))
    assert key.read_text() == "0123\n"
    # Clients that do not ask for signatures have it as ever.
    (found,) = listed(broker=broker)
    assert found["signature"] == "none" and "key" not in found
    code, out, err = discover("--trust", tmp_path / "trusted", "--json", broker=broker)
    assert (code, json.loads(out)) == (1, [])
    assert "1 not signed" in err or "2 not signed" in err


def test_a_false_last_will_stops_no_recording_and_delays_none(start_camcastd, broker, tmp_path):
    """The status of a server has no signature: a client that may write there says without end that
    the server is offline, and has taken its announcement away."""
    start_camcastd(camcastd_config(broker, "porch"))
    with mqtt.Client(broker) as client:

        def lie():
            client.publish("camcast/porch/status", "offline", qos=1, retain=True)
            publish_info(client, "porch", "")

        lie()
        recorder = Recorder(broker, tmp_path / "rec", "--all", "--trust", tmp_path / "trusted")
        with recorder:
            for _ in range(3):
                recorder.wait_until(lambda: lie() or recorder.children(), "child that records")
                wait_recorded(recorder, "porch")
                lie()
            recorder.stop()
        assert not [line for line in recorder.lines if "has left" in line]


def test_a_closed_file_takes_no_new_server(start_camcastd, broker, tmp_path):
    start_camcastd(camcastd_config(broker, "porch"))
    trust = tmp_path / "trusted"
    (found,) = listed("--trust", trust, broker=broker)
    line = trust.read_text()
    start_camcastd(camcastd_config(broker, "yard"))
    only = ["--trust", trust, "--no-new"]
    assert [server["id"] for server in listed(*only, broker=broker)] == ["porch"]
    code, _, err = discover(*only, broker=broker)
    assert code == 0 and " of servers that are not trusted" in err
    assert trust.read_text() == line and trusted(trust)["porch"][0] == found["key"]
    # A name is looked up among those alone, by each command.
    code, _, err = tool.run("recv", "yard", "-o", tmp_path / "x", *only, broker=broker)
    assert code == 1 and "porch" in err
    assert {server["id"] for server in listed("--trust", trust, broker=broker)} == {"porch", "yard"}


def test_a_damaged_file_is_told_with_its_line(broker, tmp_path):
    trust = tmp_path / "trusted"
    trust.write_text("# mine\nporch ed25519\n")
    with Recorder(broker, tmp_path / "rec", "--all", "--trust", trust) as recorder:
        recorder.wait_log(rf"error: --trust: {trust}:2: this is no line of a file of trusted servers")
        assert recorder.process.wait(10 * harness.PATIENCE) == 1
    assert trust.read_text() == "# mine\nporch ed25519\n"
    code, _, err = discover("--trust", tmp_path / "no/folder", broker=broker)
    assert code == 1 and "No such file or directory" in err
    code, _, err = discover("--no-new", broker=broker)
    assert code == 2 and "--no-new goes with --trust FILE" in err
