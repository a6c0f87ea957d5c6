# SPDX-License-Identifier: BSD-2-Clause
"""What camcast-doctor says of a configuration; tests/guests/hw has what it says of a machine."""
import subprocess

import pytest

import harness


@pytest.fixture(name="ask")
def fixture_ask(tmp_path):
    """ask(config, mode): the lines of camcast-doctor for a configuration of this mode."""

    def ask(config, mode=0o640):
        path = tmp_path / "config.ini"
        path.write_text(harness.config_text(config))
        path.chmod(mode)
        done = subprocess.run(
            [harness.ROOT / "src/system/camcast-doctor", "-c", path],
            capture_output=True, text=True, timeout=60 * harness.PATIENCE, check=False,
        )  # fmt: skip
        assert not done.stderr
        return done.stdout.splitlines()

    return ask


def configuration(**mqtt):
    config = harness.pattern_config(stream={"annexb": "127.0.0.1:0"})
    config["mqtt"] = {"broker": "spawn", **mqtt}
    return config


def test_a_password_that_every_user_can_read_is_named(ask, tmp_path):
    config = configuration(username="camcast", password="secret")
    assert not any("secret" in line for line in ask(config, 0o640))
    lines = ask(config, 0o644)
    line = f"WANT  secrets: every user of this machine can read {tmp_path}/config.ini"
    assert lines[lines.index(line) + 1].startswith("      -> chmod o-r ")


def test_a_secret_in_a_file_of_its_own_is_named(ask, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("secret")
    for mode, found in (0o600, False), (0o604, True):
        secret.chmod(mode)
        lines = ask(configuration(username="camcast", password_file=secret), 0o644)
        line = f"WANT  secrets: every user of this machine can read {secret}"
        assert (line in lines) == found, lines


@pytest.mark.parametrize(
    "section, key, value",
    [
        ("stream s", "push", "rtmp://live.example.org/app/str3am-k3y"),
        ("camera cam", "source", "url:rtsp://anna:secret@192.0.2.9/front"),
        ("camera cam", "url_options", "headers=Authorization: Bearer 7"),
    ],
)
def test_a_secret_of_a_stream_or_camera_is_named(ask, tmp_path, section, key, value):
    config = configuration()
    line = f"WANT  secrets: every user of this machine can read {tmp_path}/config.ini"
    assert line not in ask(config, 0o644)
    config[section][key] = value
    assert line in ask(config, 0o644)


def test_a_key_of_tls_is_named(ask, tmp_path):
    key = tmp_path / "key.pem"
    key.write_text("secret")
    key.chmod(0o644)
    config = {**configuration(), "tls": {"certificate": tmp_path / "c.pem", "key": key}}
    assert f"WANT  secrets: every user of this machine can read {key}" in ask(config)


def test_listeners_that_other_machines_reach_are_named(ask):
    config = configuration()
    assert not any(line.startswith("note  listeners") for line in ask(config))
    config["stream s"] = {**config["stream s"], "annexb": "127.0.0.1:7001, 0.0.0.0:7002, [::1]:7003"}
    config["daemon"]["http"] = "[::]:7004"
    line = "note  listeners: other machines can watch, without a password: 0.0.0.0:7002 [::]:7004"
    assert line in ask(config)


def test_listeners_that_ask_for_a_password_are_not_said_to_need_none(ask):
    config = configuration()
    config["stream s"]["annexb"] = "0.0.0.0:7001"
    config["daemon"].update(http="0.0.0.0:7002", rtsp="off")
    config["user anna"] = {"password": "$y$hash"}
    lines = ask(config)
    assert not [line for line in lines if "without a password" in line], lines
    line = "note  listeners: other machines can watch, with a user, or from an address in allow: "
    assert f"{line}0.0.0.0:7001 0.0.0.0:7002" in lines
    config["daemon"]["anonymous"] = "view"
    line = "note  listeners: other machines can watch, without a password: 0.0.0.0:7001 0.0.0.0:7002"
    assert line in ask(config)
