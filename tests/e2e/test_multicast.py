# SPDX-License-Identifier: BSD-2-Clause
"""Streams by multicast: players on other machines of a network share one send."""
import json
import os
import re
import socket
import struct
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

import certificates
import gstreamer
import harness
from test_rtsp import (
    CALM,
    HEIGHT,
    WIDTH,
    Client,
    check_numbers,
    complaints,
    config,
    ffmpeg_command,
    gst_command,
    kill_worker,
    numbers_of,
    play_on,
)
from vlc import Vlc, in_turn

SERVER, ONE, TWO = "10.79.0.1", "10.79.0.2", "10.79.0.3"
GROUP, PORT = "239.255.42.1", 5004
MULTICAST = ("-rtsp_transport", "udp_multicast")
ASK = "RTP/AVP;multicast"
IP_RECVTTL = 12  # ip(7)


def multicast_config(address=f"{SERVER}:0", daemon=None, **stream):
    result = config(address, **{"bitrate": CALM, "multicast": f"{GROUP}:{PORT}", **stream})
    result["daemon"].update(daemon or {})
    return result


@pytest.fixture
def network(lan):
    """A server and two viewers."""
    hosts = [lan.host(f"{address}/24") for address in (SERVER, ONE, TWO)]
    for host in hosts:
        host.ip("route", "add", "239.0.0.0/8", "dev", "eth0")
    return hosts


def start(host, start_camcastd, *arguments, **options):
    with host:
        return start_camcastd(*arguments, **options)


def url(daemon, stream="s", host=SERVER):
    return f"rtsp://{host}:{daemon.rtsp_port}/{stream}"


def track(daemon):
    """For SETUP without DESCRIBE: the stream alone would be asked for by SAT>IP."""
    return f"{url(daemon)}/trackID=0"


def play(host, command):
    """A player on this machine, that ends by itself."""
    return host.popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def listen(host, address=ONE, port=PORT, group=GROUP):
    """A socket on this machine that has joined the group, and gets the TTL of each packet."""
    with host:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    one.bind((group, port))
    joined = socket.inet_aton(group) + socket.inet_aton(address)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    one.settimeout(20 * harness.PATIENCE)
    return one


def receive(one):
    """(bytes, TTL, sender) of the next packet."""
    data, control, _, sender = one.recvmsg(65536, 1024)
    ttls = [struct.unpack("i", value)[0] for _, kind, value in control if kind == socket.IP_TTL]
    return data, ttls[0], sender


def groups(daemon):
    """The viewers in the status that are groups."""
    return [one for one in daemon.status()["clients"] if one["transport"] == "multicast"]


# --- players ---


def join_in_the_middle(host, daemon, folder):
    """ffmpeg, which gets packets of a group that is sent to already: up to the next key picture it
    complains. Returns how much it has said when it plays, and a function that returns what
    play_on() does for 120 pictures."""
    path = folder / "messages"
    with path.open("wb") as messages:
        player = host.popen(
            ffmpeg_command(url(daemon), *MULTICAST, pictures=120),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
        )
    begun = player.stdout.read(20 * WIDTH * HEIGHT)
    said = path.stat().st_size

    def play_rest():
        guard = threading.Timer(60 * harness.PATIENCE, player.kill)
        guard.start()
        rest = player.stdout.read()
        guard.cancel()
        assert player.wait() == 0, path.read_bytes()
        return numbers_of(begun + rest), path.read_bytes()

    return said, play_rest


@pytest.mark.parametrize("backend_of", ["epoll", "io_uring"])
def test_two_players_share_one_send(network, start_camcastd, tmp_path, backend_of, io_uring_refused):
    if backend_of == "io_uring" and io_uring_refused:
        pytest.skip("no io_uring here")
    server, one, two = network
    daemon = start(server, start_camcastd, multicast_config(), backend=backend_of)
    # GStreamer, at its start, sends packets to the group, which it takes for the server.
    luma = tmp_path / "luma"
    first = play(one, gst_command(url(daemon), luma, "protocols=udp-mcast", pictures=300))
    with server:
        daemon.wait_until(lambda: luma.exists() and luma.stat().st_size > 10 * WIDTH * HEIGHT, "10")
    said_at_join, play_second = join_in_the_middle(two, daemon, tmp_path)
    with server:
        (group,) = groups(daemon)
        assert group["receivers"] == 2 and group["address"] == f"{GROUP}:{PORT}"
        feed = daemon.feed("s/rtp")
        # Each picture was one send, whoever receives it.
        assert feed["clients"] == 1 and feed["sends"] <= feed["units"]
        assert group["packets"] >= feed["sends"]
    numbers, messages = play_second()
    assert not complaints(messages[said_at_join:]), messages
    _, said = first.communicate(timeout=60 * harness.PATIENCE)
    assert gstreamer.ended_well(first.returncode, said), said
    with server:
        check_numbers(daemon, numbers, 120)
        check_numbers(daemon, numbers_of(luma.read_bytes()), 300)
        daemon.wait_until(lambda: not daemon.status()["clients"], "the end of the group")


def test_ffmpeg_plays_jpegs(network, start_camcastd):
    server, one, _ = network
    jpegs = multicast_config()
    jpegs["stream j"]["multicast"] = f"{GROUP}:5006"
    daemon = start(server, start_camcastd, jpegs)
    numbers, messages = play_on(
        play(one, ffmpeg_command(url(daemon, "j"), *MULTICAST, pictures=30)), b""
    )
    assert not complaints(messages), messages
    assert None not in numbers and numbers == sorted(set(numbers)), numbers


def test_over_ipv6(lan, start_camcastd):
    server, one = lan.host("fd79::1/64"), lan.host("fd79::2/64")
    group = multicast_config("[fd79::1]:0", multicast="[ff15::42]:5004")
    group["daemon"]["multicast_interface"] = "eth0"
    daemon = start(server, start_camcastd, group)
    source = url(daemon, host="[fd79::1]")
    numbers, messages = play_on(play(one, ffmpeg_command(source, *MULTICAST)), b"")
    assert not complaints(messages), messages
    with server:
        check_numbers(daemon, numbers, 60)


def test_gstreamer_outlives_the_worker(network, start_camcastd, tmp_path):
    server, one, _ = network
    daemon = start(server, start_camcastd, multicast_config())
    luma = tmp_path / "luma"
    player = play(one, gst_command(url(daemon), luma, "protocols=udp-mcast", pictures=150))
    with server:
        daemon.wait_until(lambda: luma.exists() and luma.stat().st_size > 20 * WIDTH * HEIGHT, "20")
        kill_worker(daemon)
    _, said = player.communicate(timeout=60 * harness.PATIENCE)
    assert gstreamer.ended_well(player.returncode, said), said
    numbers = numbers_of(luma.read_bytes())
    assert len(numbers) == 150 and None not in numbers, numbers


# --- what is sent ---


def test_packets_go_as_far_as_the_configuration_says(network, start_camcastd):
    server, one, _ = network
    always = multicast_config(multicast_always="yes")
    daemon = start(server, start_camcastd, always)
    with listen(one) as heard, listen(one, port=PORT + 1) as reports:
        _, ttl, sender = receive(heard)
        assert ttl == 1 and sender[0] == SERVER
        report, ttl, _ = receive(reports)
        assert ttl == 1 and report[1] == 200  # of the sender
        always["daemon"]["multicast_ttl"] = 7
        with server:
            daemon.reload(always)
            daemon.wait_until(lambda: receive(heard)[1] == 7, "another TTL")


def test_the_interface_may_be_chosen(lan, start_camcastd):
    """Without a route for groups, and not through the default route."""
    server, viewer = lan.host(f"{SERVER}/24"), lan.host(f"{ONE}/24")
    server.ip("link", "add", "wan", "type", "veth", "peer", "name", "provider")
    server.ip("link", "set", "provider", "up")
    server.ip("link", "set", "wan", "up")
    server.ip("addr", "add", "172.30.0.2/24", "dev", "wan")
    server.ip("route", "add", "default", "via", "172.30.0.1", "dev", "wan")
    for interface in ("eth0", SERVER):
        chosen = multicast_config(
            multicast_always="yes", daemon={"multicast_interface": interface}
        )
        daemon = start(server, start_camcastd, chosen)
        with listen(viewer) as heard:
            assert receive(heard)[2][0] == SERVER
        daemon.stop()


def test_a_group_outlives_another_address(network, start_camcastd):
    """What is sent has a source, and is refused when that is gone."""
    server, one, _ = network
    daemon = start(server, start_camcastd, multicast_config(multicast_always="yes"))
    with listen(one) as heard:
        assert receive(heard)[2][0] == SERVER
        server.move("10.79.0.9/24")
        server.ip("route", "add", "239.0.0.0/8", "dev", "eth0")
        while receive(heard)[2][0] != "10.79.0.9":
            pass
    daemon.wait_log("stream s: multicast is sent now")


def test_an_interface_that_is_not_there_is_waited_for(network, start_camcastd):
    server, one, _ = network
    later = multicast_config(multicast_always="yes", daemon={"multicast_interface": "later0"})
    daemon = start(server, start_camcastd, later)
    daemon.wait_log("stream s: multicast to .* through later0: No such device")
    assert not [line for line in daemon.log() if "all the time" in line]
    with server, Client(daemon, host=SERVER) as client:
        assert client.ask("SETUP", track(daemon), Transport=ASK)[0] == 461
    server.ip("link", "set", "eth0", "down")
    server.ip("link", "set", "eth0", "name", "later0")
    server.ip("link", "set", "later0", "up")
    with listen(one) as heard:
        assert receive(heard)[0]
    daemon.wait_log("stream s: multicast is sent now")


# --- who may ---


def test_who_may_not_watch_may_not_ask_for_the_group(network, start_camcastd, tmp_path):
    server, one, two = network
    authority = certificates.Authority(tmp_path)
    certificate, key = authority.sign("server")
    secured = multicast_config(daemon={"tls": "auto"}, deny=TWO)
    secured["tls"] = {"certificate": certificate, "key": key}
    daemon = start(server, start_camcastd, secured)
    for host, expected in ((one, 200), (two, 403)):
        with host, Client(daemon, host=SERVER) as client:
            assert client.ask("SETUP", track(daemon), Transport=ASK)[0] == expected
    with one, Client(daemon, authority.context(), host=SERVER) as client:
        assert client.ask("SETUP", track(daemon), Transport=ASK)[0] == 461
        both = f"{ASK},RTP/AVP/TCP;unicast"
        _, answer, _ = client.ask("SETUP", track(daemon), Transport=both)
        assert "interleaved=" in answer["Transport"]


# --- another configuration ---


def test_groups_come_and_go_with_the_configuration(network, start_camcastd):
    server, one, _ = network
    with_group, without = multicast_config(), multicast_config(multicast="")
    daemon = start(server, start_camcastd, without)
    with server, listen(one) as heard:
        with Client(daemon, host=SERVER) as client:
            assert client.ask("SETUP", track(daemon), Transport=ASK)[0] == 461
            daemon.reload(with_group)
            assert client.ask("SETUP", track(daemon), Transport=ASK)[0] == 200
            assert client.ask("PLAY", url(daemon))[0] == 200
            receive(heard)
            # Whether it is sent or announced to others as well is nothing to a session.
            for changed in ({"multicast_always": "yes"}, {"sap": "yes"}, {}):
                daemon.reload(multicast_config(**changed))
                assert client.ask("GET_PARAMETER", url(daemon))[0] == 200
            receive(heard)
            other = multicast_config(bitrate=CALM, daemon={"multicast_ttl": 9})
            daemon.reload(other)  # sessions that know the old one are disconnected
            with pytest.raises((ConnectionError, IndexError)):
                client.ask("OPTIONS", url(daemon))
        daemon.wait_until(lambda: not daemon.status()["clients"], "the end of the group")
        with Client(daemon, host=SERVER) as client:
            _, answer, _ = client.ask("SETUP", track(daemon), Transport=ASK)
            expected = f"RTP/AVP;multicast;destination={GROUP};port={PORT}-{PORT + 1};ttl=9;"
            assert answer["Transport"].startswith(expected)
            assert client.ask("PLAY", url(daemon))[0] == 200
            daemon.wait_until(lambda: groups(daemon), "the group")
            daemon.reload(without)
        daemon.wait_until(lambda: not daemon.status()["clients"], "the end of the group")


# --- a transport stream ---

# What Debian's VLC opens, with further options, for a group of a transport stream.
OPENED = {
    "address": ["rtp://@{group}:{port}"],
    "description": ["http://{server}:{http}/s.sdp", "--repeat"],
    "satip": ["rtsp://{server}:{rtsp}/s", "--satip-multicast"],
}


@in_turn
@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize("backend_of", ["epoll", "io_uring"])
def test_vlc_shows_a_transport_stream(network, start_camcastd, backend_of, opened, io_uring_refused):
    if backend_of == "io_uring" and io_uring_refused:
        pytest.skip("no io_uring here")
    server, one, _ = network
    always = {} if opened == "satip" else {"multicast_always": "yes"}
    text = multicast_config(
        multicast_ts="yes", keyframe_interval=30, daemon={"http": "0.0.0.0:0"}, **always
    )
    daemon = start(server, start_camcastd, text, backend=backend_of)
    daemon.wait_log("delivers pictures")
    places = {"group": GROUP, "port": PORT, "server": SERVER}
    places.update(http=daemon.http_port, rtsp=daemon.rtsp_port)
    words = [word.format(**places) for word in OPENED[opened]]
    with Vlc(*words, start=one.popen) as player:
        numbers = player.numbers(60)
        with server:
            (group,) = groups(daemon)
            assert group["feed"] == "s/rtp_ts" and group["receivers"] == (opened == "satip")
    # It may show the first picture before it is whole.
    assert None not in numbers[1:] and numbers[1:] == sorted(set(numbers[1:])), numbers
    with server:
        check_numbers(daemon, numbers[1:], 59)


def test_ffmpeg_plays_a_transport_stream(network, start_camcastd):
    server, one, two = network
    text = multicast_config(
        multicast_ts="yes", multicast_always="yes", keyframe_interval=30, bitrate=CALM
    )
    text["daemon"]["http"] = "0.0.0.0:0"
    daemon = start(server, start_camcastd, text)
    daemon.wait_log("delivers pictures")
    described = f"http://{SERVER}:{daemon.http_port}/s.sdp"
    allowed = ("-protocol_whitelist", "http,tcp,udp,rtp")
    players = [
        play(one, ffmpeg_command(f"rtp://{GROUP}:{PORT}")),
        play(two, ffmpeg_command(described, *allowed)),
    ]
    for player in players:
        numbers, _ = play_on(player, b"")  # it complains until the first key picture
        shown = [number for number in numbers if number is not None]
        assert len(shown) >= 50 and shown == sorted(set(shown)), numbers


# --- the description over HTTP ---


def fetch(daemon, path="/s.sdp", host=SERVER):
    """(status, type, body)"""
    try:
        with urllib.request.urlopen(f"http://{host}:{daemon.http_port}{path}", timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def test_a_player_needs_no_rtsp(network, start_camcastd):
    server, one, two = network
    always = multicast_config(multicast_always="yes", daemon={"http": f"{SERVER}:0"})
    with server:
        daemon = start_camcastd(always)

        def described():
            return fetch(daemon)[0] == 200

        daemon.wait_until(described, "a picture")
        status, kind, sdp = fetch(daemon)
        assert (status, kind) == (200, "application/sdp")
        assert f"c=IN IP4 {GROUP}/1\r\n" in sdp and f"m=video {PORT} RTP/AVP 96\r\n" in sdp
        assert fetch(daemon, "/j.sdp")[0] == 404 and fetch(daemon, "/none.sdp")[0] == 404
    source = f"http://{SERVER}:{daemon.http_port}/s.sdp"
    allowed = ("-protocol_whitelist", "http,tcp,udp,rtp")
    players = [play(host, ffmpeg_command(source, *allowed)) for host in (one, two)]
    for player in players:
        numbers, messages = play_on(player, b"")
        # A player that joins in the middle waits for a key picture.
        found = [line for line in complaints(messages) if "frame" not in line]
        assert len([n for n in numbers if n is not None]) >= 50, (numbers, found)


def test_why_there_is_no_description_is_said(start_camcastd):
    daemon = start_camcastd(multicast_config("127.0.0.1:0"))
    status, kind, body = fetch(daemon, host="127.0.0.1")
    assert status == 404 and kind.startswith("text/plain")
    assert "multicast_always = yes" in body and "[stream s]" in body
    assert "multicast = GROUP:PORT" in fetch(daemon, "/j.sdp", "127.0.0.1")[2]
    assert "sap = yes" in body and "sap = yes" in fetch(daemon, "/j.sdp", "127.0.0.1")[2]


# --- announcements ---


def set_bitrate(daemon, bitrate):
    body = json.dumps({"bitrate": bitrate}).encode()
    path = f"http://{SERVER}:{daemon.http_port}/api/streams/s/bitrate"
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(path, body, headers), timeout=20) as answer:
        assert answer.status == 200


def test_a_group_is_announced_until_it_is_gone(network, start_camcastd):
    server, one, _ = network
    daemon = {"http": f"{SERVER}:0", "multicast_ttl": 2, "control": "yes"}
    announced, silent = multicast_config(sap="yes", daemon=daemon), multicast_config(daemon=daemon)
    daemon = start(server, start_camcastd, announced)
    with listen(one, port=9875, group="239.255.255.255") as site:
        packet, ttl, sender = receive(site)
        assert ttl == 2 and sender[0] == SERVER
        assert packet[:1] == b"\x20" and packet[4:8] == socket.inet_aton(SERVER)
        kind, _, sdp = packet[8:].partition(b"\0")
        assert kind == b"application/sdp"
        origin = sdp.split(b"\r\n")[1] + b"\r\n"
        assert origin.split()[2] == b"1"
        with server:
            assert fetch(daemon)[2].encode() == sdp
            set_bitrate(daemon, 600000)
        # Another version of the description takes the place of the first, which does not end.
        while b"b=AS:600\r\n" not in sdp:
            packet, _, _ = receive(site)
            sdp = packet[8:].partition(b"\0")[2]
            assert packet[:1] == b"\x20"
        newest = sdp.split(b"\r\n")[1] + b"\r\n"
        assert newest.split()[2] == b"2"
        assert newest.split()[:2] + newest.split()[3:] == origin.split()[:2] + origin.split()[3:]
        with server:
            daemon.reload(silent)
        while packet[:1] != b"\x24":
            packet, _, _ = receive(site)
        assert packet[8:] == b"application/sdp\0" + newest
        with server:
            daemon.reload(announced)
        while packet[:1] != b"\x20":
            packet, _, _ = receive(site)
        daemon.stop()
        while packet[:1] != b"\x24":
            packet, _, _ = receive(site)


def test_vlc_lists_the_group(network, start_camcastd, tmp_path):
    """Debian's VLC, as an ordinary user, with the address of the transport stream."""
    server, one, _ = network
    daemon = start(server, start_camcastd, multicast_config(sap="yes", multicast_ts="yes"))
    # VLC refuses to run as root.
    user = [] if os.geteuid() else ["setpriv", "--reuid=65534", "--clear-groups"]
    path = tmp_path / "vlc.log"
    with path.open("wb") as log:
        player = one.popen(
            [*user, "vlc", "-I", "dummy", "-vv", "--no-color", "--no-media-library"]
            + ["--services-discovery", "sap"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(os.environ, HOME="/nonexistent"),
        )
    try:
        daemon.wait_until(
            lambda: re.search(r"adding: s\b", path.read_text(errors="replace")),
            "the stream in the list of VLC",
            30,
        )
    finally:
        player.kill()
        player.wait()
