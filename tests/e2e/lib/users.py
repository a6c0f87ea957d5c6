# SPDX-License-Identifier: BSD-2-Clause
"""Configurations with users, and what they send."""
import base64

import harness

# Made by `camcast passwd`, of "pa:ss@1 ü".
PASSWORD = "pa:ss@1 ü"
IN_URL = "pa%3Ass%401%20%C3%BC"
TOKEN = "0123456789abcdef0123-~"
WATCHER = {"Authorization": f"Bearer {TOKEN}"}  # of a user who may read the status


def config(stream=None, daemon=None, **sections):
    """An H.264 and an MJPEG stream of a test pattern."""
    text = harness.pattern_config(stream=stream, daemon=daemon)
    text["stream j"] = {"camera": "cam", "codec": "mjpeg", "on_demand": "yes"}
    text.update(sections)
    return text


def make_hash(password):
    result = harness.run([harness.BUILD / "camcast", "passwd"], input=f"{password}\n")
    assert result.returncode == 0 and result.stdout.startswith("$"), result.stderr
    return result.stdout.strip()


def write_secret(path, text):
    """A file that nobody else may read."""
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return path


def sections(hashed, folder):
    """Of a user who may all, one who may watch a stream, and a robot."""
    return {
        "user anna": {"password": hashed, "may": "view, status, control"},
        "user guest": {"password": hashed, "streams": "j"},
        "user robot": {"token_file": write_secret(folder / "token", TOKEN), "may": "view, status"},
    }


def basic(name, password=PASSWORD):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
