# SPDX-License-Identifier: BSD-2-Clause
"""Configurations that are read again at SIGHUP, and viewers that it does not concern."""
import contextlib

import bytestream
import harness
from clients import Viewer

TOKENS = {"anna": "anna-0123456789abcdef", "bob": "bob-0123456789abcdef"}


def config(stream=None, daemon=None, camera=None, **sections):
    text = harness.pattern_config(stream=stream, daemon=daemon, camera=camera)
    text.update(sections)
    return text


def with_camera(text, name, camera=None, **stream):
    """Another camera of this name, with a stream of the same name."""
    text[f"camera {name}"] = {"source": "pattern", "size": "160x96", "framerate": 15,
                              **(camera or {})}
    text[f"stream {name}"] = {"camera": name, "sei": True, "annexb": "127.0.0.1:0", **stream}
    return text


class HttpViewer(Viewer):
    """Watches a path over HTTP; `data` begins with the head of the answer."""

    def __init__(self, daemon, path, token=None, **options):
        super().__init__(daemon.http_port, **options)
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n".encode())

    def body(self):
        return bytes(self.data).partition(b"\r\n\r\n")[2]


def units_of(viewer):
    data = viewer.body() if isinstance(viewer, HttpViewer) else bytes(viewer.data)
    return bytestream.split(data)[0]


def check_no_gap(viewer):
    """Every picture since the first one."""
    assert not viewer.closed
    units = units_of(viewer)
    assert units[0].key and bytestream.gaps(units) == []


@contextlib.contextmanager
def undisturbed(daemon, count=10):
    """A viewer of the stream `s` who sees every picture, and some after all that happens."""
    with Viewer(daemon.port()) as viewer:
        viewer.wait_units(3)
        yield
        viewer.wait_units(count)
        check_no_gap(viewer)


def users_in(folder):
    """Returns user(name): a section for [user NAME] with the token of TOKENS, or another one."""

    def section(name, token=None, **keys):
        path = folder / f"{name}.token"
        path.write_text(token or TOKENS[name])
        path.chmod(0o600)
        return {"token_file": path, **keys}

    return section
