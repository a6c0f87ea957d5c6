# SPDX-License-Identifier: BSD-2-Clause
"""RTSP with the packets in UDP: real players show every picture, and nobody else is sent one."""
import contextlib
import os
import re
import socket
import subprocess
import sys

import cv2
import pytest

import gstreamer
import harness
import screen
import slowlink
from test_rtsp import (
    CALM,
    FAR,
    HEIGHT,
    NEAR,
    OPENCV,
    TCP,
    WIDTH,
    Client,
    check_numbers,
    complaints,
    config,
    ffmpeg_command,
    gst_command,
    numbers_of,
    play_ffmpeg,
    play_gst,
    url,
)

UDP = ("-rtsp_transport", "udp")
SO_RCVBUFFORCE = 33  # as SO_RCVBUF, above the limit of users


# --- players ---


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"], ids=["ipv4", "ipv6"])
def test_ffmpeg_plays(camcastd, address):
    daemon = camcastd(config(f"{address}:0", bitrate=CALM))
    numbers = play_ffmpeg(url(daemon).replace("127.0.0.1", address), *UDP)
    check_numbers(daemon, numbers, 60)
    daemon.wait_until(lambda: not daemon.status()["clients"], "the end of the viewer")


def test_ffmpeg_plays_jpegs(start_camcastd):
    daemon = start_camcastd(config())
    numbers = play_ffmpeg(url(daemon, "j"), *UDP, pictures=30)
    assert None not in numbers and numbers == sorted(set(numbers)), numbers


def test_gstreamer_plays(camcastd, tmp_path):
    daemon = camcastd(config(bitrate=CALM))
    play_gst(url(daemon), tmp_path / "luma", "protocols=udp")
    check_numbers(daemon, numbers_of((tmp_path / "luma").read_bytes()), 60)


def test_opencv_plays(start_camcastd):
    daemon = start_camcastd(config(bitrate=CALM))
    done = subprocess.run(
        [sys.executable, "-c", OPENCV, url(daemon)],
        env={**os.environ, "OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;udp"},
        capture_output=True,
        timeout=60 * harness.PATIENCE,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    check_numbers(daemon, numbers_of(done.stdout), 60)


def test_mpv_plays(start_camcastd, tmp_path):
    daemon = start_camcastd(config(bitrate=CALM))
    result = harness.run(
        ["mpv", "--no-config", "--no-audio", "--msg-level=all=error", "--frames=15"]
        + ["--rtsp-transport=udp", "--vo=image", "--vo-image-format=png"]
        + [f"--vo-image-outdir={tmp_path / 'shown'}", url(daemon)]
    )
    assert result.returncode == 0 and not result.stderr, result.stderr
    shown = sorted((tmp_path / "shown").iterdir())
    luma = b"".join(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).tobytes() for path in shown)
    check_numbers(daemon, numbers_of(luma), 15)


def test_one_over_tcp_and_one_over_udp_see_the_same(camcastd, tmp_path):
    """The first writes into a file, so that it plays for as long as the second one takes to begin."""
    daemon = camcastd(config(bitrate=CALM))
    luma, said = tmp_path / "luma", tmp_path / "said"
    command = ffmpeg_command(url(daemon), "-rtsp_transport", "tcp", pictures=10000)
    size = WIDTH * HEIGHT

    def newest():
        with luma.open("rb") as file:
            file.seek((luma.stat().st_size // size - 1) * size)
            return numbers_of(file.read(size))[0]

    with luma.open("wb") as output, said.open("wb") as messages, harness.start(
        command, stdout=output, stderr=messages
    ) as first:
        daemon.wait_until(lambda: luma.stat().st_size >= 20 * size, "pictures over TCP", 30)
        second = play_ffmpeg(url(daemon), *UDP)
        daemon.wait_until(lambda: newest() >= second[-1], "the same over TCP", 30)
        first.terminate()
    assert not complaints(said.read_bytes()), said.read_bytes()
    numbers = numbers_of(luma.read_bytes())
    check_numbers(daemon, numbers, len(numbers))
    check_numbers(daemon, second, 60)
    assert second[0] > numbers[0] and set(second) <= set(numbers), (numbers, second)


@pytest.mark.parametrize("way", ["tcp", "udp"])
def test_ffplay_shows_pictures(start_camcastd, way):
    daemon = start_camcastd(config(bitrate=CALM))
    display = screen.Screen()
    shown = []

    def shows_ten():
        number = screen.number_in(display.shot()[:HEIGHT, :WIDTH])
        if number is not None and number not in shown:
            shown.append(number)
        return len(shown) == 10

    command = ["ffplay", "-v", "error", "-nostats", "-noborder", "-left", "0", "-top", "0"]
    with contextlib.closing(display), harness.start(
        [*command, "-rtsp_transport", way, url(daemon)],
        env=display.environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as player:
        try:
            daemon.wait_until(shows_ten, f"ten pictures on the screen, not {shown}", 40)
        finally:
            player.terminate()
        messages = player.stderr.read()
    assert not messages and shown == sorted(shown), (messages, shown)


@pytest.mark.calm
@pytest.mark.alone
def test_large_pictures_lose_nothing(camcastd, tmp_path):
    """Pictures that are larger than a receiver's buffer, for both players at once."""
    daemon = camcastd(config(bitrate=8000000))
    with harness.start(
        gst_command(url(daemon), tmp_path / "luma", "protocols=udp", pictures=600),
        stderr=subprocess.PIPE,
    ) as player:
        numbers = play_ffmpeg(url(daemon), *UDP, pictures=600)
        _, messages = player.communicate(timeout=60 * harness.PATIENCE)
    assert gstreamer.ended_well(player.returncode, messages), messages
    check_numbers(daemon, numbers, 600)
    check_numbers(daemon, numbers_of((tmp_path / "luma").read_bytes()), 600)


# --- faults ---


def the_viewer(daemon):
    """What the status says about the only one; {} while there is none."""
    clients = daemon.status()["clients"]
    return clients[0] if clients else {}


def test_a_link_that_loses_packets_is_in_the_status(lan, start_camcastd):
    """What is shown is shown again whole at the next key picture."""
    if why := slowlink.why_unavailable(lan.switch):
        pytest.skip(why)
    server, viewer = (lan.host(f"{address}/24") for address in (NEAR, FAR))
    with server:
        daemon = start_camcastd(config(f"{NEAR}:0", keyframe_interval=10))
    link = slowlink.SlowLink(viewer, delay_ms=5, loss=2, seed=7)
    try:
        player = viewer.popen(
            ffmpeg_command(f"rtsp://{NEAR}:{daemon.rtsp_port}/s", *UDP, pictures=600),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        luma = player.stdout.read(300 * WIDTH * HEIGHT)
        with server:
            daemon.wait_until(
                lambda: the_viewer(daemon).get("lost_packets", 0) > 0, "a report of losses", 40
            )
            assert the_viewer(daemon)["transport"] == "rtsp+udp"
        player.kill()
        player.communicate()
    finally:
        link.close()
    numbers = numbers_of(luma)
    shown = [number for number in numbers if number is not None]
    assert len(numbers) == 300 and len(shown) > 150, numbers
    # What a decoder shows in the place of a damaged picture may be older than the one before.
    backwards = sum(b <= a for a, b in zip(shown, shown[1:]))
    assert backwards < 30 and shown[-1] - shown[0] > 200, shown


@pytest.mark.parametrize(
    "near,far,fragments",
    [(f"{NEAR}/24", f"{FAR}/24", "IpFragCreates"), ("fd00::1/64", "fd00::2/64", "Ip6FragCreates")],
    ids=["ipv4", "ipv6"],
)
def test_packets_that_are_longer_than_the_mtu_arrive(lan, start_camcastd, near, far, fragments):
    server, viewer = lan.host(near), lan.host(far)
    for host in server, viewer:
        host.ip("link", "set", "eth0", "mtu", "1280")
    address = near.partition("/")[0]
    address = f"[{address}]" if ":" in address else address
    with server:
        daemon = start_camcastd(config(f"{address}:0", bitrate=CALM))
    player = viewer.popen(
        ffmpeg_command(f"rtsp://{address}:{daemon.rtsp_port}/s", *UDP),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    luma, messages = player.communicate(timeout=60 * harness.PATIENCE)
    assert player.returncode == 0 and not complaints(messages), messages
    assert server.count(fragments) > 0
    with server:
        check_numbers(daemon, numbers_of(luma), 60)


def udp_ports():
    """A pair of sockets whose ports follow each other, with room for what comes while this process
    gets no time."""
    while True:
        one, two = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        with contextlib.suppress(PermissionError):
            one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        one.bind(("127.0.0.1", 0))
        try:
            two.bind(("127.0.0.1", one.getsockname()[1] + 1))
            return one, two
        except OSError:
            one.close()
            two.close()


def track(daemon):
    """What a client that knows the description sets up."""
    return f"{url(daemon)}/trackID=0"


def transport(ports, more=""):
    first = ports[0].getsockname()[1]
    return f"RTP/AVP;unicast;client_port={first}-{first + 1}{more}"


def test_packets_go_to_the_peer_and_to_nobody_else(camcastd):
    daemon = camcastd(config(bitrate=CALM))
    mine, others = udp_ports(), udp_ports()
    other = f";destination=127.0.0.2;source=127.0.0.2;port={others[0].getsockname()[1]}"
    with Client(daemon) as client:
        status, answer, _ = client.ask("SETUP", track(daemon), Transport=transport(mine, other))
        assert status == 200
        first, second = re.search(r"server_port=(\d+)-(\d+)", answer["Transport"]).groups()
        assert client.ask("PLAY", url(daemon))[0] == 200
        for one, port in zip(mine, (first, second)):
            one.settimeout(15 * harness.PATIENCE)
            _, source = one.recvfrom(65536)
            assert source == ("127.0.0.1", int(port))
        # A viewer cannot change where it gets them, but it may ask for the same again.
        assert client.ask("SETUP", track(daemon), Transport=TCP)[0] == 455
        assert client.ask("SETUP", track(daemon), Transport=transport(others))[0] == 455
        assert client.ask("SETUP", track(daemon), Transport=transport(mine))[0] == 200
        with Client(daemon) as stranger:
            session = answer["Session"].partition(";")[0]
            assert stranger.ask("TEARDOWN", url(daemon), Session=session)[0] == 454
        assert client.ask("PAUSE", url(daemon))[0] == 200
        daemon.wait_until(lambda: not daemon.status()["clients"], "the pause")
        assert client.ask("PLAY", url(daemon))[0] == 200
        daemon.wait_until(lambda: daemon.status()["clients"], "the viewer")
    daemon.wait_until(lambda: not daemon.status()["clients"], "the end of the viewer")
    for one in others:
        one.setblocking(False)
        with pytest.raises(BlockingIOError):
            one.recv(1)
    for one in mine + others:
        one.close()


def test_a_report_is_for_all_who_play_at_its_address(start_camcastd):
    """A player that lost its connection plays again, with the same ports, while the old session lasts."""
    daemon = start_camcastd(config(bitrate=CALM))
    ports = udp_ports()
    with Client(daemon) as old, Client(daemon) as new:
        for client in old, new:
            status, answer, _ = client.ask("SETUP", track(daemon), Transport=transport(ports))
            assert status == 200 and client.ask("PLAY", url(daemon))[0] == 200
        ssrc = re.search(r"ssrc=([0-9A-F]{8})", answer["Transport"])[1]
        server = int(re.search(r"server_port=\d+-(\d+)", answer["Transport"])[1])
        report = f"81c90007 00000001 {ssrc} 80000005 00000000 00000384 00000000 00000000"

        def both_reported():
            ports[1].sendto(bytes.fromhex(report), ("127.0.0.1", server))
            return [one.get("lost_packets") for one in daemon.status()["clients"]] == [5, 5]

        daemon.wait_until(both_reported, "the report with both sessions")
    for one in ports:
        one.close()


def test_packets_are_as_small_as_the_configuration_says(start_camcastd):
    daemon = start_camcastd(config(packet_size=600))
    ports = udp_ports()
    with Client(daemon) as client:
        assert client.ask("SETUP", track(daemon), Transport=transport(ports))[0] == 200
        assert client.ask("PLAY", url(daemon))[0] == 200
        ports[0].settimeout(15 * harness.PATIENCE)
        lengths = [len(ports[0].recv(65536)) for _ in range(40)]
    assert max(lengths) == 600, lengths
    for one in ports:
        one.close()


def test_where_nobody_listens_the_session_ends(camcastd):
    daemon = camcastd(config(bitrate=CALM))
    ports = udp_ports()
    with Client(daemon) as client:
        assert client.ask("SETUP", track(daemon), Transport=transport(ports))[0] == 200
        assert client.ask("PLAY", url(daemon))[0] == 200
        ports[0].settimeout(15 * harness.PATIENCE)
        ports[0].recv(1)
        for one in ports:
            one.close()
        with pytest.raises((ConnectionError, IndexError)):
            while True:
                client.frame()


def test_ten_thousand_setups_are_bounded(camcastd):
    daemon = camcastd(config(bitrate=CALM))
    ports = udp_ports()
    request = (
        f"SETUP {track(daemon)} RTSP/1.0\r\nCSeq: 1\r\nTransport: {transport(ports)}\r\n\r\n".encode()
    )

    allowed = daemon.open_fds() + 10  # the logs may still get segments
    for _ in range(25):
        with socket.create_connection(("127.0.0.1", daemon.rtsp_port)) as one:
            one.settimeout(15 * harness.PATIENCE)
            one.sendall(request * 400)
            heard = one.makefile("rb").read(1000)
            assert heard.startswith(b"RTSP/1.0 200 "), heard
            assert daemon.open_fds() <= allowed  # of 400 sessions
    daemon.wait_until(lambda: daemon.open_fds() <= allowed, "the end of all sessions")
    for one in ports:
        one.close()


def test_without_udp_players_get_tcp(start_camcastd):
    without = config()
    without["daemon"]["rtsp_udp"] = "no"
    daemon = start_camcastd(without)
    check_numbers(daemon, play_ffmpeg(url(daemon)), 60)
    with Client(daemon) as client:
        ports = udp_ports()
        assert client.ask("SETUP", track(daemon), Transport=transport(ports))[0] == 461
        for one in ports:
            one.close()
