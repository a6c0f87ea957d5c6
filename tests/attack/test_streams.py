# SPDX-License-Identifier: BSD-2-Clause
"""Hostile servers and streams against `camcast record` and `camcast view`."""
import time

import pytest

import hostile
import recordings
import screen as screens
from recordings import Recorder

MB = 1 << 20


@pytest.fixture(scope="module")
def screen():
    one = screens.Screen()
    yield one
    one.close()


@pytest.mark.parametrize(
    "picture, framing, said",
    [
        (hostile.huge_picture(16000, 16000), "tcp", "16000x16000 are too large"),
        (hostile.huge_picture(8192, 8192), "tcp", "8192x8192 are too large"),
        (hostile.huge_picture(4096, 4096, 16), "tcp", "16 reference pictures of 4096x4096"),
        (hostile.huge_jpeg(30000, 30000), "tcp+length", "30000x30000 are too large"),
    ],
    ids=["sps", "pixels", "references", "jpeg"],
)
def test_a_picture_of_monstrous_size_is_refused(screen, tmp_path, picture, framing, said):
    """Before a decoder allocates it; the tile and the log say so, and another camera is shown."""
    if framing == "tcp+length":
        picture = hostile.behind_length(picture)
    with (
        hostile.Server(hostile.repeat(picture, 0.02)) as server,
        hostile.Server(hostile.pictures(hostile.real_units(), 25)) as good,
        screens.View(
            screen, f"{framing}://127.0.0.1:{server.port}", good.url, folder=tmp_path
        ) as view,
    ):
        view.wait_log(said)
        tiles = view.wait(lambda tiles: tiles[1]["state"] == "live", "the good one live")
        assert "no connection" not in tiles[0]["status"]
        assert hostile.watch_memory(view.children, 1) < 200


def test_a_flood_without_a_key_picture_ends_the_connection(broker, tmp_path):
    """The next connection follows after the longest backoff."""
    units = hostile.real_units()
    flood = units[1] * (4 * MB // len(units[1]))
    with (
        hostile.Server(hostile.repeat(flood)) as server,
        Recorder(broker, tmp_path, server.url) as recorder,
    ):
        recorder.wait_log("no key picture came in 128 MiB; tried again")
        time.sleep(1)
        assert server.count == 1
        recorder.stop()


def test_a_format_a_key_picture_is_no_file_a_key_picture(broker, tmp_path):
    """A file has at least a second, and what is in it plays."""
    units = [hostile.real_units("64x48", 1, 1)[0], hostile.real_units("80x48", 1, 1)[0]]
    with (
        hostile.Server(hostile.pictures(units, 30)) as server,
        Recorder(broker, tmp_path, server.url) as recorder,
    ):
        folder = tmp_path / f"127.0.0.1_{server.port}"
        begun = time.monotonic()
        recorder.wait_until(lambda: len(recordings.files(folder)) >= 3, "three files", 40)
        lasted = time.monotonic() - begun
        recorder.stop()
    found = recordings.files(folder)
    assert len(found) <= lasted + 3
    for path in found:
        recordings.check_file(path)
    assert len([line for line in recorder.lines if "more than once a second" in line]) == 1


@pytest.mark.parametrize("kind", ["keys", "order"])
def test_a_flood_of_large_pictures_takes_bounded_memory(broker, tmp_path, kind):
    """keys: of key pictures; order: of pictures whose order of output has to be found out."""
    if kind == "keys":
        data = hostile.padded(hostile.real_units()[0], 4 * MB)
    else:
        key = hostile.AUD + hostile.sps(64, 48, reorder=None) + hostile.PPS
        key += b"\0\0\0\1\x65\x88\x84" + b"\x5a" * 400
        delta = hostile.AUD + b"\0\0\0\1\x41\x9a\x20" + b"\x5a" * 400
        data = key + hostile.padded(delta, 12 * MB) * 8
    with (
        hostile.Server(hostile.repeat(data)) as server,
        Recorder(broker, tmp_path, server.url, "--max-bytes", "200M") as recorder,
    ):
        recorder.wait_until(recorder.children, "child")
        assert hostile.watch_memory(lambda: recorder.children().values(), 4) < 350
        if kind == "order":
            recorder.wait_log("its pictures are too large to be put in order")
        recorder.stop()
