# SPDX-License-Identifier: BSD-2-Clause
"""A camera that gets another picture size while it is watched over RTSP: nobody is disconnected, and
no picture is broken."""
import contextlib
import subprocess

import cv2
import pytest

import gstreamer
import harness
import packets
import screen
import strip
from test_rtsp import (
    CALM,
    HEIGHT,
    TCP,
    WIDTH,
    Client,
    complaints,
    config,
    ffmpeg_command,
    gst_command,
    numbers_of,
    play_on,
    url,
)
from test_rtsp_udp import transport, udp_ports

SMALL = (160, 120)
TOTAL, BEFORE = 150, 30


def change_size(daemon):
    """The worker is another one then."""
    other = config(bitrate=CALM)
    other["camera cam"]["size"] = "%dx%d" % SMALL
    daemon.reload(other)


def check_numbers(numbers):
    """All are legible and grow, but once, when the next worker begins."""
    assert None not in numbers, numbers
    back = [i for i, (a, b) in enumerate(zip(numbers, numbers[1:])) if b <= a]
    assert len(back) == 1, numbers


@contextlib.contextmanager
def viewer_over_tcp(daemon):
    """A function that returns the next packet."""
    with Client(daemon) as client:
        assert client.ask("DESCRIBE", url(daemon))[0] == 200  # or it is SAT>IP
        assert client.ask("SETUP", url(daemon), Transport=TCP)[0] == 200
        assert client.ask("PLAY", url(daemon))[0] == 200

        def receive():
            while True:
                channel, packet = client.frame()
                if channel == 0:
                    return packet

        yield receive


@contextlib.contextmanager
def viewer_over_udp(daemon):
    ports = udp_ports()
    with Client(daemon) as client, contextlib.closing(ports[0]), contextlib.closing(ports[1]):
        ports[0].settimeout(20 * harness.PATIENCE)
        assert client.ask("DESCRIBE", url(daemon))[0] == 200
        assert client.ask("SETUP", url(daemon), Transport=transport(ports))[0] == 200
        assert client.ask("PLAY", url(daemon))[0] == 200
        yield lambda: ports[0].recv(65536)


@pytest.mark.parametrize("viewer", [viewer_over_tcp, viewer_over_udp], ids=["tcp", "udp"])
def test_a_viewer_gets_both_sizes_without_a_gap(camcastd, viewer):
    """SSRC, sequence and clock go on; the first picture of the other size is a key picture."""
    daemon = camcastd(config(bitrate=CALM))
    with viewer(daemon) as receive:
        reader = packets.Reader()

        def read_until(done):
            while not reader.add(receive()) or not done(reader.pictures):
                pass

        read_until(lambda pictures: len(pictures) == BEFORE)
        change_size(daemon)
        first = reader.pictures[0].sps
        read_until(lambda pictures: pictures[-1].sps not in (None, first))
        large, small = reader.pictures[:-1], reader.pictures[-1:]
        assert packets.IDR in small[0].types
        read_until(lambda pictures: len(pictures) == len(large) + BEFORE)
        small = reader.pictures[len(large) :]
    assert all(picture.sps in (None, first) for picture in large)
    assert all(picture.sps in (None, small[0].sps) for picture in small)
    shown = strip.decoded_numbers(packets.byte_stream(large), "h264", WIDTH, HEIGHT)
    shown += strip.decoded_numbers(packets.byte_stream(small), "h264", *SMALL)
    assert len(shown) == len(reader.pictures)
    check_numbers(shown)


def test_ffmpeg_goes_on(start_camcastd):
    """It scales what comes to the size of the first picture."""
    daemon = start_camcastd(config(bitrate=CALM))
    with harness.start(
        ffmpeg_command(url(daemon), "-rtsp_transport", "tcp", pictures=TOTAL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as player:
        begun = player.stdout.read(BEFORE * WIDTH * HEIGHT)
        change_size(daemon)
        numbers, messages = play_on(player, begun)
    said = [line for line in complaints(messages) if "frame properties on the fly" not in line]
    assert not said and len(numbers) == TOTAL, messages
    check_numbers(numbers)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_gstreamer_goes_on(start_camcastd, tmp_path, protocol):
    daemon = start_camcastd(config(bitrate=CALM))
    path = tmp_path / "luma"
    scaled = f"rtph264depay ! avdec_h264 ! videoscale ! video/x-raw,width={WIDTH},height={HEIGHT}"
    command = gst_command(
        url(daemon), path, f"protocols={protocol}", pictures=TOTAL, decoder=scaled
    )
    with harness.start(command, stderr=subprocess.PIPE) as player:
        daemon.wait_until(
            lambda: path.exists() and path.stat().st_size > BEFORE * WIDTH * HEIGHT, "pictures", 40
        )
        change_size(daemon)
        _, messages = player.communicate(timeout=60 * harness.PATIENCE)
    assert gstreamer.ended_well(player.returncode, messages), messages
    numbers = numbers_of(path.read_bytes())
    assert len(numbers) == TOTAL
    check_numbers(numbers)


def test_mpv_goes_on(start_camcastd, tmp_path):
    """It shows each in its own size."""
    daemon = start_camcastd(config(bitrate=CALM))
    folder = tmp_path / "shown"
    command = ["mpv", "--no-config", "--no-audio", "--msg-level=all=error", f"--frames={TOTAL}"]
    command += ["--untimed", "--vo=image", "--vo-image-format=jpg", f"--vo-image-outdir={folder}"]
    with harness.start([*command, url(daemon)], stderr=subprocess.PIPE) as player:
        daemon.wait_until(
            lambda: folder.exists() and len(list(folder.iterdir())) > BEFORE, "pictures", 40
        )
        change_size(daemon)
        _, messages = player.communicate(timeout=60 * harness.PATIENCE)
    assert player.returncode == 0 and not messages, messages
    shown = [cv2.imread(str(path)) for path in sorted(folder.iterdir())]
    sizes = [picture.shape[1::-1] for picture in shown]
    changed = sizes.index(SMALL)
    assert sizes == [(WIDTH, HEIGHT)] * changed + [SMALL] * (len(sizes) - changed)
    check_numbers([screen.number_in(picture) for picture in shown])
