# SPDX-License-Identifier: BSD-2-Clause
"""The lines of docs/INTEGRATIONS.md, run by the programs themselves or by what they run inside."""
import os
import re
import shlex
import subprocess
import sys

import pytest

import gstreamer
import harness
import motions
import strip
import zoneminder
from vlc import Vlc, in_turn

PAGE = (harness.ROOT / "docs/INTEGRATIONS.md").read_text(encoding="utf-8")
WIDTH, HEIGHT = 1280, 720  # what the page says
# What ZoneMinder records; for ten minutes, pytest needs a --timeout as well.
ZONEMINDER_S = int(os.environ.get("CAMCAST_ZONEMINDER_S", "10"))

# The arguments of Frigate's presets, as its configuration examples have them.
PRESETS = {
    "preset-rtsp-generic": "-avoid_negative_ts make_zero -fflags +genpts+discardcorrupt"
    " -rtsp_transport tcp -timeout 10000000 -use_wallclock_as_timestamps 1",
    "preset-record-generic": "-f segment -segment_time 10 -segment_format mp4"
    " -reset_timestamps 1 -strftime 1 -c copy -an",
}


def chapter(heading):
    return re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]


def block(heading, containing):
    """The block of code of a chapter that contains a text."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", chapter(heading), re.M | re.S)
    (found,) = [one for one in blocks if containing in one]
    return found


def value(text, key):
    """Of a line `key: value`, perhaps of a list."""
    return re.search(rf"^[ -]*{key}: (.*)$", text, re.M)[1]


@pytest.fixture(name="server")
def fixture_server(start_camcastd):
    """A server with the streams of config.ini; its method `here` puts its own addresses into a line
    of the page."""
    daemon = start_camcastd(
        {
            "daemon": {"name": "test", "http": "127.0.0.1:0", "rtsp": "127.0.0.1:0"},
            "camera front": {"source": "pattern", "size": f"{WIDTH}x{HEIGHT}", "framerate": 15},
            "stream front-h264": {"camera": "front", "keyframe_interval": 15},
            "stream front-jpeg": {"camera": "front", "codec": "mjpeg", "on_demand": "yes"},
        }
    )
    daemon.wait_log("delivers pictures")
    daemon.here = lambda text: text.replace("HOST:8554", f"127.0.0.1:{daemon.rtsp_port}").replace(
        "HOST:8080", f"127.0.0.1:{daemon.http_port}"
    )
    return daemon


def ended_well(command, timeout=60, **options):
    done = harness.run(command, timeout, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def pictures_of(path):
    """How many pictures of the expected size a file has, all decodable."""
    shown = ended_well(
        ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries",
         "stream=width,height,nb_read_frames", "-of", "csv=p=0", path]
    )
    assert not shown.stderr, shown.stderr
    width, height, count = map(int, shown.stdout.strip().strip(",").split(","))
    assert (width, height) == (WIDTH, HEIGHT)
    return count


def numbers_in(path):
    """The numbers of the pictures of a file, all of which are decoded without an error."""
    command = ["ffmpeg", "-v", "error", "-xerror", "-i", path, *harness.EACH_PICTURE]
    rows = HEIGHT // 30  # with the strip
    command += ["-vf", f"extractplanes=y,crop={WIDTH}:{rows}:0:0", "-f", "rawvideo", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    size = WIDTH * rows
    return [
        strip.read_number(done.stdout[at : at + size], WIDTH, HEIGHT)
        for at in range(0, len(done.stdout), size)
    ]


def test_the_addresses_of_the_table_and_of_home_assistant(server, tmp_path):
    urls = re.findall(r"^\| [^|]*? \| `(\w+://[^`]*)` \|$", PAGE, re.M)
    asked = re.findall(r"`(\w+://[^`]*)`", chapter("Home Assistant").replace("\n", " "))
    assert len(urls) == len(asked) == 4, (urls, asked)
    assert "http://HOST:8080/front-jpeg.jpg" in asked
    for i, url in enumerate(dict.fromkeys(urls + asked)):
        path = tmp_path / f"{i}.mkv"
        count = 1 if url.endswith(".jpg") else 5
        ended_well(["ffmpeg", "-v", "error", "-i", server.here(url), "-frames:v", str(count), path])
        assert pictures_of(path) == count, url


@in_turn
@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_vlc(server, scheme):
    program, url = server.here(block("VLC", f"vlc {scheme}")).split()
    assert program == "vlc"
    with Vlc(url) as player:
        numbers = player.numbers(5, size=(WIDTH, HEIGHT))
    assert None not in numbers and numbers == sorted(set(numbers)), numbers


def test_home_assistant_ffmpeg(server, tmp_path):
    """A still picture and a stream as haffmpeg asks for them."""
    given = shlex.split(server.here(value(block("Home Assistant", "platform: ffmpeg"), "input")))
    still = tmp_path / "still.jpg"
    ended_well(["ffmpeg", "-v", "error", *given, "-an", "-frames:v", "1", "-c:v", "mjpeg",
                "-f", "image2pipe", still])
    assert pictures_of(still) == 1
    stream = tmp_path / "stream.mjpeg"
    ended_well(["ffmpeg", "-v", "error", *given, "-an", "-c:v", "mjpeg", "-frames:v", "10",
                "-f", "mpjpeg", "-y", stream])
    assert stream.read_bytes().count(b"Content-type: image/jpeg") == 10


def test_go2rtc_address(server, tmp_path):
    url = server.here(value(block("Home Assistant", "streams:"), "front"))
    path = tmp_path / "a.mkv"
    ended_well(["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-frames:v", "5",
                "-c", "copy", path])
    assert pictures_of(path) >= 5


def test_frigate(server, tmp_path):
    """One process for both roles, as Frigate starts it."""
    text = server.here(block("Frigate", "cameras:"))
    size = (int(value(text, "width")), int(value(text, "height")))
    command = ["ffmpeg", "-hide_banner", "-loglevel", "warning", "-t", "3"]
    command += shlex.split(PRESETS[value(text, "input_args")]) + ["-i", value(text, "path")]
    record = re.search(r"output_args:\n +record: (.*)", text)[1]
    command += shlex.split(PRESETS[record]) + [tmp_path / "%Y%m%d%H%M%S.mp4"]
    luma = tmp_path / "detect.yuv"
    command += ["-r", value(text, "fps"), "-vf", f"fps={value(text, 'fps')},scale={size[0]}:{size[1]}",
                "-threads", "2", "-f", "rawvideo", "-pix_fmt", "yuv420p", luma]
    ended_well(command)
    (path,) = tmp_path.glob("*.mp4")
    assert pictures_of(path) >= 15
    assert luma.stat().st_size // (size[0] * size[1] * 3 // 2) >= 8


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_motion(server, tmp_path, transport):
    text = server.here(block("motion", "netcam_url"))
    if transport == "udp":
        (asks,) = re.findall(r"`(netcam_params .*udp)`", chapter("motion"))
        text = re.sub(r"^netcam_params .*$", asks, text, flags=re.M)
    with motions.running(tmp_path, *text.splitlines()):
        server.wait_until(lambda: motions.numbers(tmp_path), "a legible snapshot of motion", 60)
        (client,) = server.status()["clients"]
        assert client["transport"] == ("rtsp+udp" if transport == "udp" else "rtsp"), client


def settings_of(text):
    """Lines of a name and what is chosen for it."""
    return dict(line.split(": ", 1) for line in text.strip().splitlines())


@pytest.mark.long
@pytest.mark.alone  # not for time: its packages are many, and begin a service
@pytest.mark.calm
def test_zoneminder(server):
    wanted = 15 * ZONEMINDER_S
    if harness.with_mount("true") is None:
        pytest.skip("no mount namespaces")
    settings = settings_of(server.here(block("ZoneMinder", "Source Path")))
    with zoneminder.ZoneMinder(settings) as zm:
        server.wait_until(lambda: server.feed("front-h264/rtp")["clients"], "a viewer", 40)
        server.wait_flowing("front-h264/rtp", units=wanted + 50, timeout=40 + ZONEMINDER_S)
        assert zm.stop() == 0, zm.log("zmc")
        complaints = [message for message in zm.messages() if message[0] in ("ERR", "FAT", "PNC")]
        assert not complaints, complaints
        (path,) = zm.recordings()
        numbers = numbers_in(path)
        ((length, frames),) = zm.ask("SELECT Length, Frames FROM Events")
    # It leaves out what came before its first key picture, and what is in its buffer at the end.
    assert len(numbers) >= wanted and int(frames) >= wanted and float(length) >= wanted / 15 - 1
    dropped = server.camera("front")["dropped"] + server.stream("front-h264")["dropped"]
    assert None not in numbers and numbers == sorted(set(numbers)), numbers
    assert numbers[-1] - numbers[0] + 1 - len(numbers) <= dropped, numbers


def test_qgroundcontrol(server):
    command = shlex.split(server.here(block("QGroundControl", "gst-launch")))
    assert command[-1] == "autovideosink"
    done = harness.run([*command[:-1], "fakesink", "num-buffers=20"], 60)
    assert gstreamer.ended_well(done.returncode, done.stderr), done.stderr


def test_opencv(server):
    script = server.here(block("OpenCV", "import cv2"))
    done = ended_well([sys.executable, "-c", script + "print(good, picture.shape)"])
    assert done.stdout.split("\n")[-2] == f"True ({HEIGHT}, {WIDTH}, 3)"
