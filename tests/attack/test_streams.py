# SPDX-License-Identifier: BSD-2-Clause
"""Hostile servers and streams against `camcast record` and `camcast view`."""
import os
import shutil
import time

import pytest

import broker as mosquitto
import hostile
import recordings
import screen as screens
from recordings import Recorder
from tool import Tool

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
        recorder.wait_log("no key picture came in 128 MiB; trying again")
        time.sleep(1)
        assert server.count == 1
        recorder.stop()


def test_recv_can_be_ended_during_a_flood_of_pictures():
    """The next one has always come already."""
    key, slice_of_few_bytes = hostile.real_units(count=1)[0], b"\0\0\0\1\x41\x9a\x02\x33"
    flood = hostile.behind_length(key) + hostile.behind_length(slice_of_few_bytes) * 50000
    with (
        hostile.Server(hostile.repeat(flood)) as server,
        Tool("recv", f"tcp+length://127.0.0.1:{server.port}", "-o", os.devnull) as recv,
    ):
        hostile.wait_for(lambda: server.count > 0, "a connection")
        time.sleep(1)
        assert recv.stop() == 0


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


def test_invented_servers_make_no_folders_and_few_processes(broker, tmp_path):
    """A server that was recorded before has its place at once, and a real new one in its turn."""
    folder = tmp_path / "rec"
    (folder / "old").mkdir(parents=True)
    (folder / "old/.camcast").write_text("old-id\n")
    good = hostile.pictures(hostile.real_units(), 25)
    with (
        hostile.Server(hostile.silent) as fake,
        hostile.Server(good) as real,
        mosquitto.Client(broker) as client,
    ):
        for number in range(40):
            hostile.announce(client, f"a{number:02}", f"a{number:02}", fake.port)
        hostile.announce(client, "old-id", "old", real.port)
        with Recorder(broker, folder, "--all", "--max-servers", 4) as recorder:
            recorder.wait_log(r"\d+ servers? (is|are) left out: at most 4 are recorded")
            recorder.wait_until(lambda: recorder.files("old"), "recording of the known one")
            assert len(recorder.children()) <= 8  # some of them end just now
            # One that is new gets its turn.
            for number in range(3, 40):
                client.publish(f"camcast/a{number:02}/status", "offline", retain=True)
            hostile.announce(client, "zz", "zz", real.port)
            recorder.wait_until(lambda: recorder.files("zz"), "recording of the new one", 40)
            recorder.stop()
    left = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert left == {"old", "zz"}
    assert len([line for line in recorder.lines if "left out" in line]) <= 3


def test_a_rich_stranger_does_not_evict_the_recordings_of_others(broker, tmp_path):
    """Each server has its share of --max-bytes."""
    units = hostile.real_units()
    rich = hostile.padded(hostile.real_units()[0], MB)
    with (
        hostile.Server(hostile.pictures(units, 25)) as poor_one,
        hostile.Server(hostile.pictures([rich], 10)) as rich_one,
    ):
        arguments = ["--max-bytes", "20M", "--segment", "1"]
        with Recorder(broker, tmp_path, poor_one.url, rich_one.url, *arguments) as recorder:
            poor, rich = (f"127.0.0.1_{one.port}" for one in (poor_one, rich_one))
            recorder.wait_until(lambda: recorder.files(poor) and recorder.files(rich), "files")
            first = [recorder.files(server)[0] for server in (poor, rich)]
            recorder.wait_until(lambda: not first[1].exists(), "the rich one's first gone", 60)
            recorder.wait_until(lambda: len(recorder.files(poor)) >= 6, "more of the poor one", 60)
            assert first[0] in recorder.files(poor)
            recorder.stop()


@pytest.mark.parametrize("what", ["link", "fifo", "squatter"])
def test_what_stands_in_place_of_a_folder_is_passed_by(broker, tmp_path, what):
    """Nothing is written through a link, and the server is recorded all the same."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    with (
        hostile.Server(hostile.pictures(hostile.real_units(), 25)) as server,
        mosquitto.Client(broker) as client,
    ):
        if what == "link":
            (inside / "front").symlink_to(outside)
        else:
            (inside / "front").mkdir()
        if what == "fifo":
            os.mkfifo(inside / "front/.camcast")
        if what == "squatter":
            (inside / "front/.camcast").write_text("stranger\n")
            (inside / "front-real").mkdir()
            (inside / "front-real/.camcast").write_text("stranger\n")
        hostile.announce(client, "real", "front", server.port)
        with Recorder(broker, inside, "front") as recorder:
            folder = "front-real-2" if what == "squatter" else "front-real"
            recorder.wait_until(lambda: recorder.files(folder), f"files in {folder}")
            recorder.stop()
    assert not list(outside.iterdir())
    assert not recorder.files("front")


def test_a_fifo_in_place_of_the_last_command_is_not_waited_for(broker, tmp_path):
    os.mkfifo(tmp_path / ".camcast-command.new")
    os.mkfifo(tmp_path / ".camcast-command")
    with (
        mosquitto.Client(broker) as client,
        Recorder(broker, tmp_path, "--all", "--on-command") as recorder,
    ):
        recorder.wait_log("there is no server yet")
        client.publish("commend/rec", "start")
        recorder.wait_log("recording on command")
        client.publish("commend/rec", "stop")
        recorder.wait_log("stopped on command")
        recorder.stop()


def test_an_impostor_does_not_take_over_a_name_or_an_id(broker, tmp_path):
    """One of the same name is another server, and one of the same id elsewhere is refused while the
    server answers."""
    with (
        hostile.Server(hostile.pictures(hostile.real_units(), 25)) as real,
        hostile.Server(hostile.pictures(hostile.real_units("80x48"), 25)) as impostor,
        mosquitto.Client(broker) as client,
    ):
        hostile.announce(client, "real", "front", real.port)
        with Recorder(broker, tmp_path, "front", "--segment", 1) as recorder:
            recorder.wait_until(lambda: recorder.files("front"), "recording")
            hostile.announce(client, "false", "front", impostor.port)
            hostile.announce(client, "real", "front", impostor.port)
            recorder.wait_log(r"server front \(real\) is announced at .* still answers at its own")
            count = len(recorder.files("front"))
            recorder.wait_until(lambda: len(recorder.files("front")) >= count + 4, "more files")
            recorder.stop()
        # The next start finds two of the name, and knows which one it was.
        hostile.announce(client, "real", "front", real.port)
        with Recorder(broker, tmp_path, "front", "--segment", 1) as recorder:
            count = len(recorder.files("front"))
            recorder.wait_until(lambda: len(recorder.files("front")) >= count + 2, "more files")
            recorder.stop()
    assert impostor.count == 0
    assert not recorder.files("front-false")


def test_a_folder_that_is_removed_while_recording_is_made_again(broker, tmp_path):
    with (
        hostile.Server(hostile.pictures(hostile.real_units(), 25)) as server,
        Recorder(broker, tmp_path, server.url, "--segment", 1) as recorder,
    ):
        folder = f"127.0.0.1_{server.port}"
        recorder.wait_until(lambda: recorder.files(folder), "recording")
        shutil.rmtree(tmp_path / folder)
        recorder.wait_until(lambda: recorder.files(folder), "recording in a new folder")
        assert not [line for line in recorder.lines if "cannot" in line or "stale" in line]
        recorder.stop()


def test_invented_servers_get_few_tiles(screen, broker, tmp_path):
    """One that delivered keeps its tile, and each new one gets its turn."""
    with (
        hostile.Server(hostile.silent) as fake,
        hostile.Server(hostile.pictures(hostile.real_units(), 25)) as real,
        mosquitto.Client(broker) as client,
    ):
        hostile.announce(client, "zz", "zz", real.port)
        arguments = ["--max-servers", "4", "--broker", f"{broker.address}:{broker.port}"]
        with screens.View(screen, *arguments, folder=tmp_path) as view:
            pid = view.wait_live("zz")[0]["pid"]
            for number in range(40):
                hostile.announce(client, f"a{number:02}", f"a{number:02}", fake.port)
            view.wait_log(r"\d+ servers? (is|are) left out: at most 4 are shown")
            first = view.wait(lambda tiles: len(tiles) == 4, "four tiles")
            assert first[-1]["pid"] == pid
            view.wait(
                lambda tiles: len(tiles) == 4
                and tiles[-1]["pid"] == pid
                and tiles[0]["name"] != first[0]["name"],
                "the turn of others",
                40,
            )
            assert len(view.children()) <= 8
