# SPDX-License-Identifier: BSD-2-Clause
"""SAT>IP: the VLC of Debian, which speaks it to rtsp:// addresses, shows the camera; and what it and
other clients meet."""
import re
import subprocess

import pytest

import certificates
import harness
import slowlink
from test_rtsp import (
    CALM,
    FAR,
    NEAR,
    TCP,
    Client,
    check_numbers,
    config,
    ffmpeg_command,
    kill_worker,
    numbers_of,
    play_ffmpeg,
    url,
)
from test_rtsp_udp import the_viewer, transport, udp_ports
from users import config as config_with_users
from users import write_secret
from vlc import Vlc, in_turn

TS = 188  # bytes of a packet of a transport stream


def serve(start, text, **options):
    """camcastd, whose pictures flow: a SETUP waits for one for three seconds."""
    daemon = start(text, **options)
    daemon.wait_log("delivers pictures")
    return daemon


def check_shown(numbers):
    """Every picture is legible, and none is shown again or late."""
    assert None not in numbers and numbers == sorted(set(numbers)), numbers


# --- VLC ---


@in_turn
def test_vlc_plays(camcastd):
    daemon = serve(camcastd, config(bitrate=CALM))
    with Vlc(url(daemon)) as player:
        check_numbers(daemon, player.numbers(90), 90)
        assert the_viewer(daemon)["transport"] == "rtsp+udp"
        assert the_viewer(daemon)["feed"] == "s/rtp_ts"
    daemon.wait_until(lambda: not daemon.status()["clients"], "the end of the viewer")


@pytest.mark.thorough
@in_turn
def test_vlc_makes_capital_letters_small(start_camcastd):
    text = config(bitrate=CALM)
    text["stream Front"] = text.pop("stream s")
    daemon = serve(start_camcastd, text)
    with Vlc(url(daemon, "Front")) as player:
        check_shown(player.numbers(10))


def a_second_vlc(daemon):
    """One that has not chosen the port of the first."""

    def addresses():
        return [client["address"] for client in daemon.status()["clients"]]

    while True:
        player = Vlc(url(daemon))
        daemon.wait_until(lambda: len(addresses()) == 2, "the second viewer", 40)
        if len(set(addresses())) == 2:
            return player
        player.close()
        daemon.wait_until(lambda: len(addresses()) == 1, "the end of the second viewer")


@pytest.mark.thorough
@in_turn
def test_two_vlcs_at_different_times(start_camcastd):
    daemon = serve(start_camcastd, config(bitrate=CALM))
    with Vlc(url(daemon)) as first, first.reading() as shown:
        daemon.wait_until(lambda: len(shown) >= 40, "pictures of the first", 60)
        with a_second_vlc(daemon) as second:
            later = second.numbers(30)
            seen = len(shown)
            daemon.wait_until(lambda: len(shown) >= seen + 30, "more of the first", 60)
    check_numbers(daemon, shown, len(shown))
    check_numbers(daemon, later, 30)
    assert later[0] > shown[0]


@pytest.mark.thorough
@in_turn
def test_vlc_outlives_the_worker(camcastd):
    daemon = serve(camcastd, config(bitrate=CALM))
    with Vlc(url(daemon)) as player:
        numbers = player.numbers(40)
        kill_worker(daemon)
        numbers += player.numbers(110)
    assert None not in numbers, numbers
    # They go back once, when the next worker begins.
    assert sum(b <= a for a, b in zip(numbers, numbers[1:])) == 1, numbers


def keep_flowing(client, daemon):
    """The feed has units from now on, as long as the client stays."""
    daemon.wait_until(
        lambda: client.ask("SETUP", url(daemon), Transport=TCP)[0] == 200, "the first unit", 30
    )
    assert client.ask("PLAY", url(daemon))[0] == 200


@pytest.mark.thorough
@in_turn
def test_vlc_waits_while_nothing_comes(start_camcastd):
    """Alone it would give up after two seconds."""
    text = config(bitrate=CALM)
    text["camera cam"]["framerate"] = "0.25"
    daemon = serve(start_camcastd, text)
    with Client(daemon) as client:
        keep_flowing(client, daemon)
        with Vlc(url(daemon)) as player:
            check_shown(player.numbers(3))


def bad_link(lan, start_camcastd, **how):
    """(daemon, the viewer's end of a link, which is bad, the link)"""
    if why := slowlink.why_unavailable(lan.switch):
        pytest.skip(why)
    server, viewer = (lan.host(f"{address}/24") for address in (NEAR, FAR))
    text = config(f"{NEAR}:0", keyframe_interval=15)
    text["daemon"]["http"] = f"{NEAR}:0"
    with server:
        daemon = serve(start_camcastd, text)
    return daemon, viewer, slowlink.SlowLink(viewer, delay_ms=20, **how)


def test_vlc_shows_no_broken_picture_behind_a_gap(lan, start_camcastd):
    """Pictures that are left out in a transport stream: over TCP, where none is lost otherwise."""
    daemon, viewer, link = bad_link(lan, start_camcastd, rate_kbit=500)
    try:
        with Vlc(f"http://{NEAR}:{daemon.http_port}/s.ts", start=viewer.popen) as player:
            numbers = player.numbers(90, seconds=100)
    finally:
        link.close()
    check_shown(numbers)
    assert numbers[-1] - numbers[0] > 90, numbers


def test_ffmpeg_shows_no_broken_picture_behind_a_gap(lan, start_camcastd):
    daemon, viewer, link = bad_link(lan, start_camcastd, rate_kbit=500)
    try:
        player = viewer.popen(
            ffmpeg_command(
                f"satip://{NEAR}:{daemon.rtsp_port}/s", "-rtsp_transport", "tcp", pictures=90
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        luma, _ = player.communicate(timeout=120 * harness.PATIENCE)
    finally:
        link.close()
    numbers = numbers_of(luma)
    check_shown(numbers)
    assert numbers[-1] - numbers[0] > 90, numbers


@pytest.mark.thorough
@in_turn
def test_vlc_goes_on_behind_what_a_link_loses(lan, start_camcastd):
    daemon, viewer, link = bad_link(lan, start_camcastd, loss=2, seed=7)
    try:
        with Vlc(f"rtsp://{NEAR}:{daemon.rtsp_port}/s", start=viewer.popen) as player:
            numbers = player.numbers(200, seconds=100)
    finally:
        link.close()
    shown = [number for number in numbers if number is not None]
    assert len(shown) > 100 and shown[-1] - shown[0] > 150, numbers


@pytest.mark.calm
@pytest.mark.alone
def test_vlc_loses_nothing_in_a_minute(start_camcastd):
    daemon = serve(start_camcastd, config(bitrate=2000000))
    with Vlc(url(daemon)) as player:
        check_numbers(daemon, player.numbers(1800), 1800)


@in_turn
def test_vlc_with_a_token(start_camcastd, tmp_path):
    """It knows no password over RTSP, but keeps the query of an address, in small letters."""
    token = "0123456789abcdef0123456789abcdef"
    secret = write_secret(tmp_path / "token", token)
    text = config_with_users(
        stream={"bitrate": CALM},
        daemon={"rtsp": "127.0.0.1:0"},
        **{"user robot": {"token_file": secret, "may": "view, status"}},
    )
    daemon = serve(start_camcastd, text, headers={"Authorization": f"Bearer {token}"})
    with Vlc(f"{url(daemon)}?token={token}") as player:
        numbers = player.numbers(10, size=(320, 180))
        check_shown(numbers)
    with Vlc(url(daemon)) as player:
        daemon.wait_until(
            lambda: "Failed to setup RTSP session" in player.messages(), "what VLC says", 30
        )


# --- other clients ---


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_ffmpeg_plays(start_camcastd, protocol):
    daemon = serve(start_camcastd, config(bitrate=CALM))
    numbers = play_ffmpeg(
        url(daemon).replace("rtsp:", "satip:"), "-rtsp_transport", protocol
    )
    check_numbers(daemon, numbers, 60)


def play(client, daemon, ports):
    """The SSRC of a viewer over UDP."""
    status, answer, _ = client.ask("SETUP", url(daemon), Transport=transport(ports))
    assert status == 200 and answer["com.ses.streamID"] == "1"
    session = answer["Session"].partition(";")[0]
    target = f"rtsp://127.0.0.1:{daemon.rtsp_port}/stream=1"
    assert client.ask("PLAY", target, Session=session)[0] == 200
    return int(re.search(r"ssrc=([0-9A-F]{8})", answer["Transport"])[1], 16)


def receive(one, count):
    """Packets in their order, without those that fill silence."""
    packets = []
    while len(packets) < count:
        packet = one.recv(65536)
        if packet[13:15] != b"\x1f\xff":
            packets.append(packet)
    return packets


def test_packets_are_those_of_a_transport_stream(camcastd, tmp_path):
    daemon = serve(camcastd, config(bitrate=CALM))
    ports = udp_ports()
    with Client(daemon) as client:
        ports[0].settimeout(15 * harness.PATIENCE)
        ssrc = play(client, daemon, ports)
        packets = receive(ports[0], 400)
        with pytest.raises(BlockingIOError):
            client.socket.setblocking(False)
            client.socket.recv(1)
    first = int.from_bytes(packets[0][2:4], "big")
    for i, packet in enumerate(packets):
        assert packet[:2] == b"\x80\x21", "no marker, type 33"
        assert int.from_bytes(packet[2:4], "big") == (first + i) % 65536
        assert int.from_bytes(packet[8:12], "big") == ssrc
        assert 0 < len(packet) - 12 <= 7 * TS and (len(packet) - 12) % TS == 0
    assert len(packets[0]) == 12 + TS, "what may be lost"
    assert sum(len(packet) == 12 + 7 * TS for packet in packets) > 100
    path = tmp_path / "received.ts"
    path.write_bytes(b"".join(packet[12:] for packet in packets))
    check_continuity(path.read_bytes())
    shown = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-fps_mode", "passthrough"]
        + ["-vf", "extractplanes=y", "-f", "rawvideo", "-"],
        capture_output=True,
        timeout=60 * harness.PATIENCE,
        check=True,
    )
    numbers = numbers_of(shown.stdout)[:-1]  # the last may be cut
    check_shown(numbers)
    assert len(numbers) > 20
    for one in ports:
        one.close()


def check_continuity(data):
    """ISO/IEC 13818-1, 2.4.3.3; each picture begins with an even counter."""
    last = {}
    for at in range(0, len(data), TS):
        packet = data[at : at + TS]
        assert packet[0] == 0x47
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        counter = packet[3] & 15
        assert pid not in last or counter == (last[pid] + 1) % 16
        assert pid != 0x100 or not packet[1] & 0x40 or counter % 2 == 0
        last[pid] = counter


def test_over_tls_there_is_no_udp(start_camcastd, tmp_path):
    text = config(bitrate=CALM)
    authority = certificates.Authority(tmp_path)
    certificate, key = authority.sign("server")
    text["daemon"]["tls"] = "auto"
    text["tls"] = {"certificate": certificate, "key": key}
    daemon = serve(start_camcastd, text)
    ports = udp_ports()
    with Client(daemon) as plain:
        assert plain.ask("SETUP", url(daemon), Transport=transport(ports))[0] == 200
    with Client(daemon, authority.context()) as secure:
        assert secure.ask("SETUP", url(daemon), Transport=transport(ports))[0] == 461
        status, answer, _ = secure.ask("SETUP", url(daemon), Transport=TCP)
        assert status == 200 and answer["com.ses.streamID"] == "1"
    for one in ports:
        one.close()


@pytest.mark.thorough
@in_turn
def test_what_it_does_not_carry_is_refused(start_camcastd):
    daemon = serve(start_camcastd, config())
    with Client(daemon) as client:
        assert client.ask("SETUP", url(daemon, "j"), Transport=TCP)[0] == 415
        assert client.ask("SETUP", f"{url(daemon, 'j')}/trackID=0", Transport=TCP)[0] == 200
    with Vlc(url(daemon, "j")) as player:
        daemon.wait_until(
            lambda: "Failed to setup RTSP session" in player.messages(), "what VLC says", 30
        )


def test_it_may_be_off(start_camcastd):
    text = config()
    text["daemon"]["satip"] = "no"
    daemon = serve(start_camcastd, text)
    with Client(daemon) as client:
        status, answer, _ = client.ask("SETUP", url(daemon), Transport=TCP)
        assert status == 200 and "com.ses.streamID" not in answer
