# SPDX-License-Identifier: BSD-2-Clause
"""camcast view on a screen that nobody sees: what its window shows is read from shots of it, and
from the numbers that are burnt into the test pattern."""
import contextlib
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading
import time
import uuid

import cv2
import numpy
import pytest

import broker
import harness
import screen as screens

# A few pictures a second show the same, and a screen without a graphics processor is dear to draw.
CAMERA = {"size": "320x180", "framerate": 10}


@pytest.fixture(scope="module")
def screen():
    one = screens.Screen()
    yield one
    one.close()


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory):
    with broker.Broker(tmp_path_factory.mktemp("broker")) as one:
        yield one


def announced(mosquitto, name, **keys):
    """A small pattern camera that tells the broker that it is there."""
    config = harness.pattern_config(camera=CAMERA, daemon={"name": name})
    config["mqtt"] = {
        "broker": mosquitto.address,
        "port": mosquitto.port,
        "id": f"view-{uuid.uuid4().hex}",
        "advertise": "127.0.0.1",
        **keys,
    }
    return config


def with_three(case):
    """For cases with `three`: one process has them all, and so only one has these servers."""
    return pytest.mark.long(pytest.mark.xdist_group("three")(case))


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three running servers, without a broker."""
    folder = tmp_path_factory.mktemp("three")
    with contextlib.ExitStack() as stack:
        config = harness.pattern_config(camera=CAMERA)
        yield [stack.enter_context(harness.Camcastd(config, folder)) for _ in range(3)]


def urls(servers):
    return [f"tcp://127.0.0.1:{server.port()}" for server in servers]


def overlap(a, b):
    return (
        a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
    )


@pytest.mark.long
def test_servers_get_tiles_that_move_and_keep_them_when_offline(screen, mosquitto, start_camcastd, tmp_path):
    start_camcastd(announced(mosquitto, "front"))
    second_config = announced(mosquitto, "뒷마당")
    second = start_camcastd(second_config)
    arguments = ["--all", "--broker", f"{mosquitto.address}:{mosquitto.port}"]
    with screens.View(screen, *arguments, folder=tmp_path) as view:
        tiles = view.wait_live("front", "뒷마당")
        assert not overlap(tiles[0]["place"], tiles[1]["place"])
        view.wait_numbers(tiles, after=view.wait_numbers(tiles))
        # The SEI tells the capture time, and the clock is one.
        assert all("lag_ms" in tile for tile in tiles)
        # One appears,
        start_camcastd(announced(mosquitto, "side"))
        tiles = view.wait_live("front", "side", "뒷마당")
        view.wait_numbers(tiles, after=view.wait_numbers(tiles))
        kept = [tile["pid"] for tile in tiles if tile["name"] != "뒷마당"]
        # one leaves: its process ends, and its tile says since when.
        second.stop()
        tiles = view.wait(
            lambda now: [tile["state"] for tile in now] == ["live", "live", "offline"], "offline"
        )
        assert abs(tiles[2]["offline_since"] - time.time()) < 20 * harness.PATIENCE
        view.wait_numbers(tiles[:2], after=view.wait_numbers(tiles[:2]))
        assert [tile["pid"] for tile in tiles[:2]] == kept
        view.wait(lambda _: view.children() == sorted(kept), "two children")
        # Until a person removes it,
        view.key("x")
        view.wait_live("front", "side")
        # or the server is back.
        start_camcastd(second_config)
        view.wait_live("front", "side", "뒷마당")


@pytest.mark.long
def test_a_named_server_is_shown_wherever_it_is(screen, mosquitto, start_camcastd, tmp_path):
    config = announced(mosquitto, "two")
    start_camcastd(announced(mosquitto, "one"))
    two = start_camcastd(config)
    arguments = ["two", "--broker", f"{mosquitto.address}:{mosquitto.port}"]
    with screens.View(screen, *arguments, folder=tmp_path) as view:
        before = view.wait_live("two")
        two.stop()
        view.wait(lambda now: [tile["state"] for tile in now] == ["offline"], "offline")
        start_camcastd(config)  # at another port
        after = view.wait_live("two")
        view.wait_numbers(after, after=view.wait_numbers(after))
        assert after[0]["url"] != before[0]["url"]


def test_names_are_in_the_order_of_their_numbers_and_in_any_script(
    screen, mosquitto, start_camcastd, tmp_path
):
    names = ["cam 2", "cam 10", "cam 10 \N{TOMATO}", "חצר 12", "باب"]
    for name in reversed(names):
        start_camcastd(announced(mosquitto, name))
    arguments = ["--broker", f"{mosquitto.address}:{mosquitto.port}"]
    with screens.View(screen, *arguments, folder=tmp_path) as view:
        tiles = view.wait_live(*names)
        view.wait_numbers(tiles)
        shot = screen.shot()

        def strip(tile):
            x, y, width, height = tile["place"]
            return shot[y + height : y + height + 70, x : x + width // 2].astype(int)

        # Only the emoji is coloured, and every name has something to read.
        coloured = [bool((numpy.ptp(strip(tile), axis=2) > 40).any()) for tile in tiles]
        assert coloured == [False, False, True, False, False]
        assert all((strip(tile).min(axis=2) > 150).sum() > 10 for tile in tiles)


def shift_clock(port, listener, days):
    """Hands on one connection to a server, with the capture times of its SEI in the past."""
    head = struct.pack(">Q", int(time.time() * 1e6))[1:4]
    shifted = (int.from_bytes(head, "big") - int(days * 86400e6 / 2**32)).to_bytes(3, "big")
    viewer, _ = listener.accept()
    with viewer, socket.create_connection(("127.0.0.1", port)) as server:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20):
                viewer.sendall(data.replace(head, shifted))


def test_a_wrong_clock_is_named(screen, start_camcastd, tmp_path):
    server = start_camcastd(harness.pattern_config(camera=CAMERA))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        arguments = (server.port(), listener, 13)
        threading.Thread(target=shift_clock, args=arguments, daemon=True).start()
        url = f"tcp://127.0.0.1:{port}"
        with screens.View(screen, url, folder=tmp_path) as view:
            tiles = view.wait(
                lambda now: "clock_offset_s" in now[0] and "decode_ms" in now[0], "the offset"
            )
            assert -13.1 < tiles[0]["clock_offset_s"] / 86400 < -12.9


@with_three
def test_a_child_killed_or_stopped_is_replaced_and_no_other_stops(screen, three, tmp_path):
    names = urls(three)
    with screens.View(screen, *names, folder=tmp_path) as view:
        tiles = view.wait_live(*names)
        before = len(view.reports)
        os.kill(tiles[0]["pid"], signal.SIGKILL)
        os.kill(tiles[1]["pid"], signal.SIGSTOP)
        after = view.wait(
            lambda now: all(tile["restarts"] for tile in now[:2])
            and all(tile["state"] == "live" and tile["fps"] > 1 for tile in now),
            "all live again",
            timeout=60,
        )
        view.wait_numbers(after, after=view.wait_numbers(after))
        assert [tile["restarts"] for tile in after] == [1, 1, 0]
        assert after[2]["pid"] == tiles[2]["pid"]
        view.wait_log("kill|signal 9")
        seen = [[tile["state"] for tile in report["tiles"]] for report in view.reports[before:]]
        assert "not answering" in [states[1] for states in seen], seen
        assert {states[2] for states in seen} == {"live"}, seen
        shown = [report["tiles"][2]["shown"] for report in view.reports[before:]]
        assert all(b > a for a, b in zip(shown, shown[1:])), shown


def test_a_server_that_dies_and_comes_back_in_another_size(screen, start_camcastd, tmp_path):
    port = harness.free_port()
    address = {"annexb": f"127.0.0.1:{port}"}
    first = start_camcastd(harness.pattern_config(stream=address, camera=CAMERA))
    url = f"tcp://127.0.0.1:{port}"
    with screens.View(screen, url, folder=tmp_path) as view:
        tiles = view.wait_live(url)
        assert (tiles[0]["width"], tiles[0]["height"]) == (320, 180)
        first.stop()
        view.wait(lambda now: now[0]["state"] == "reconnecting", "a lost connection")
        large = {**CAMERA, "size": "1280x720"}
        start_camcastd(harness.pattern_config(stream=address, camera=large))
        again = view.wait(
            lambda now: now[0]["state"] == "live" and now[0]["width"] == 1280, "the larger size"
        )
        view.wait_numbers(again, after=view.wait_numbers(again))
        assert again[0]["pid"] == tiles[0]["pid"] and not again[0]["restarts"]


@with_three
def test_without_a_graphics_processor_opengl_is_not_imitated(screen, three, tmp_path):
    """Where Mesa would draw with the CPU, SDL's own drawing does it in less time."""
    # Allocations that Mesa leaves have no name after SDL has unloaded it.
    env = {"SDL_RENDER_DRIVER": "", "ASAN_OPTIONS": "detect_leaks=0"}
    with screens.View(screen, *urls(three), folder=tmp_path, env=env) as view:
        tiles = view.wait(lambda tiles: all(tile["shown"] for tile in tiles), "pictures")
        view.wait_numbers(tiles, after=view.wait_numbers(tiles))
        assert view.reports[-1]["renderer"] == "software"
        # It scales smoothly: a row has more colours side by side than the picture has columns.
        x, y, width, height = tiles[0]["place"]
        rows = screen.shot()[y : y + height, x : x + width].astype(int)
        changes = numpy.abs(numpy.diff(rows, axis=1)).max(axis=2) > 0
        assert width > 400 and changes.sum(axis=1).max() > 320, changes.sum(axis=1).max()


@with_three
def test_a_wayland_screen_of_scale_2_has_sharp_pictures_and_large_text(three, tmp_path):
    """SDL's own drawing does not work there, so that OpenGL stays, though the CPU does it."""
    with contextlib.closing(screens.Wayland(tmp_path, scale=2)) as wayland:
        env = {"SDL_RENDER_DRIVER": "", "ASAN_OPTIONS": "detect_leaks=0"}
        arguments = [*urls(three), "--full-screen"]
        with screens.View(wayland, *arguments, folder=tmp_path, env=env) as view:
            tiles = view.wait(lambda now: all(tile["shown"] for tile in now), "pictures", 60)
            report = view.wait_report(lambda report: report["scale"] == 2, "the scale")
            assert report["renderer"].startswith("opengl")
            view.wait(lambda now: now[0]["place"][2] > screens.WIDTH // 3, "all of the screen")
            tiles = view.wait(lambda now: all("place" in tile for tile in now), "places")
            view.wait_numbers(tiles, after=view.wait_numbers(tiles), timeout=60)
            # The line under a picture: 30 pixels and more, 15 without the scale.
            x, y, width, height = tiles[0]["place"]
            assert screens.HEIGHT // 2 - height > 30


def test_jpegs_behind_a_length_are_shown(screen, start_camcastd, tmp_path):
    config = harness.pattern_config(
        stream={"codec": "mjpeg"}, camera=CAMERA, framing="length_prefixed"
    )
    del config["stream s"]["bitrate"]
    del config["stream s"]["sei"]
    server = start_camcastd(config)
    url = f"tcp+length://127.0.0.1:{server.port('s/length_prefixed')}"
    with screens.View(screen, url, folder=tmp_path) as view:
        tiles = view.wait_live(url)
        view.wait_numbers(tiles, after=view.wait_numbers(tiles))
        assert "mjpeg" in tiles[0]["status"]


def check_snapshot(view, width, height):
    """Presses s; returns the picture in the file that comes of it."""
    said = len(view.lines)
    view.key("s")
    path = view.wait_log(r"snapshot: (.*\.png)$", after=said)[1]
    picture = cv2.imread(path, cv2.IMREAD_COLOR)
    assert picture.shape == (height, width, 3)
    assert not list(pathlib.Path(path).parent.glob("*.part"))
    view.wait_report(lambda report: report["message"] == f"snapshot: {path}", "the sign")
    return picture


@with_three
def test_keys_and_clicks(screen, three, tmp_path):
    names = urls(three)
    with screens.View(screen, *names, folder=tmp_path) as view:
        grid = view.wait_live(*names)
        first = [tile["place"] for tile in grid]
        window = check_snapshot(view, screens.WIDTH, screens.HEIGHT)
        for x, y, width, height in first:
            assert screens.number_in(window[y : y + height, x : x + width]) is not None

        view.key("2")
        tiles = view.wait(
            lambda now: ["place" in tile for tile in now] == [False, True, False], "2 alone"
        )
        assert tiles[1]["place"][2] > 1.5 * first[1][2]
        view.wait_numbers(tiles[1:2])
        # alone: in its own size
        assert screens.number_in(check_snapshot(view, 320, 180)) is not None

        view.key("Escape")
        view.wait(lambda now: [tile.get("place") for tile in now] == first, "all again")
        for key in ("KP_2", "F1", "Escape", "Escape"):
            view.key(key)
        view.wait(lambda now: [tile.get("place") for tile in now] == first, "all, no help")
        view.key("question")
        view.wait_report(lambda report: report["help"], "help")
        view.key("h")
        view.wait_report(lambda report: not report["help"], "no help")
        # The third stands below the first two.
        for key in ("Tab", "Down", "KP_Enter"):
            view.key(key)
        view.wait(lambda now: ["place" in tile for tile in now] == [False, False, True], "3 alone")
        view.key("Return")
        view.wait(lambda now: [tile.get("place") for tile in now] == first, "all again")
        view.key("x")
        view.wait_report(lambda report: report["message"] == "no camera is offline", "why not")
        x, y, width, height = first[2]
        screen.xdotool("mousemove", x + width // 2, y + height // 2, "click", 1)
        view.wait(lambda now: ["place" in tile for tile in now] == [False, False, True], "3 alone")
        screen.xdotool("click", 1)
        view.wait(lambda now: [tile.get("place") for tile in now] == first, "all again")

        screen.xdotool("windowsize", view.window(), 400, 700)
        narrow = view.wait(
            lambda now: all("place" in tile and tile["place"][0] < 200 for tile in now)
            and len({tile["place"][1] for tile in now}) == 3,
            "one below the other",
        )
        view.wait_numbers(narrow)
        view.key("f")
        view.wait(
            lambda now: all(tile["place"][2] > 400 for tile in now if "place" in tile),
            "full screen",
        )
        view.key("q")
        view.wait_end()


@with_three
@pytest.mark.parametrize("how", ["interrupt", "hangup", "close", "kill"])
def test_every_end_leaves_nothing_behind(screen, three, tmp_path, how):
    shared = sorted(os.listdir("/dev/shm"))
    names = urls(three)
    with screens.View(screen, *names, folder=tmp_path) as view:
        tiles = view.wait_live(*names)
        if how in ("interrupt", "kill"):
            os.kill(tiles[1]["pid"], signal.SIGSTOP)  # one that does not hear SIGTERM
        if how == "interrupt":  # as a terminal does it: to all of them
            os.killpg(view.process.pid, signal.SIGINT)
        elif how == "hangup":
            view.process.send_signal(signal.SIGHUP)
        elif how == "close":
            screen.ask_to_close(view.window())
        else:
            view.process.send_signal(signal.SIGKILL)
        view.wait_end(code=-signal.SIGKILL if how == "kill" else 0)
        assert sorted(os.listdir("/dev/shm")) == shared
        if how == "kill":
            view.process.returncode = 0  # as it was to be


def run(environment, *arguments):
    return subprocess.run(
        [harness.BUILD / "camcast", "view", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60 * harness.PATIENCE,
        check=False,
    )


def test_what_is_missing_is_named(screen, tmp_path):
    empty = tmp_path / "fonts.conf"
    empty.write_text('<?xml version="1.0"?><fontconfig></fontconfig>\n')
    result = run({**screen.environment(), "FONTCONFIG_FILE": str(empty)}, "--all")
    assert result.returncode == 1
    assert "fonts-dejavu-core" in result.stderr

    environment = screen.environment()
    del environment["DISPLAY"]
    result = run(environment, "--all")
    assert result.returncode == 1
    assert "DISPLAY" in result.stderr
    # SDL would then choose a driver that shows nothing.
    for name in ("SDL_VIDEODRIVER", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"):
        environment.pop(name, None)
    result = run(environment, "--all")
    assert result.returncode == 1
    assert "DISPLAY" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--all", "front"],
        ["http://127.0.0.1:80"],
        ["tcp://127.0.0.1"],
        ["--size", "10x10"],
        ["--size", "1280x720x"],
        ["--decoder", "nonsense"],
        ["--nonsense"],
    ],
)
def test_bad_arguments_are_refused(screen, arguments):
    result = run(screen.environment(), *arguments)
    assert result.returncode == 2
    assert "camcast view" in result.stderr
