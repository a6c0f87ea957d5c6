# SPDX-License-Identifier: BSD-2-Clause
"""Streams over RTSP: real players find them, decode them without an error, and show every picture."""
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading

import cv2
import pytest

import bytestream
import gstreamer
import harness
import live
import motions
import packets
import slowlink
import strip

WIDTH, HEIGHT = 320, 240  # motion and RTP's JPEG want multiples of eight
# What ffmpeg says when it asked for UDP first, and that is off.
REFUSED = re.compile(r"method SETUP failed: 461 Unsupported Transport")
NTP_EPOCH_S = 2208988800  # 1970 in seconds of NTP
CALM = 500000  # bit/s: a player that gets no time for a second still loses nothing
NEAR, FAR = "10.77.0.1", "10.77.0.2"


def config(address="127.0.0.1:0", **stream):
    """An H.264 and an MJPEG stream of a test pattern."""
    result = harness.pattern_config(
        daemon={"rtsp": address}, camera={"size": f"{WIDTH}x{HEIGHT}"}, stream=stream
    )
    result["stream j"] = {"camera": "cam", "codec": "mjpeg", "on_demand": "yes"}
    return result


def url(daemon, stream="s"):
    return f"rtsp://127.0.0.1:{daemon.rtsp_port}/{stream}"


def numbers_of(data):
    """The numbers of pictures of luma, of which the last may be cut off."""
    size = WIDTH * HEIGHT
    whole = (data[i : i + size] for i in range(0, len(data) - size + 1, size))
    return [strip.read_number(picture, WIDTH, HEIGHT) for picture in whole]


def check_numbers(daemon, numbers, count):
    """Every picture is legible, and those that are missing were never encoded."""
    assert len(numbers) == count and None not in numbers, numbers
    assert numbers == sorted(set(numbers)), numbers
    missing = numbers[-1] - numbers[0] + 1 - count

    def dropped():
        return daemon.camera()["dropped"] + sum(
            stream["dropped"] for stream in daemon.status()["streams"]
        )

    daemon.wait_until(lambda: missing <= dropped(), f"reason why {missing} of {numbers} are missing")


# --- ffmpeg ---


def ffmpeg_command(source, *options, pictures=60):
    return (
        ["ffmpeg", "-nostdin", "-nostats", "-v", "level+warning", *options, "-i", source]
        + ["-frames:v", str(pictures), *harness.EACH_PICTURE, "-vf", "extractplanes=y"]
        + ["-f", "rawvideo", "-"]
    )


def play_on(player, begun):
    """The numbers of pictures until ffmpeg ends, behind those that were read; its messages."""
    guard = threading.Timer(60 * harness.PATIENCE, player.kill)
    guard.start()
    # communicate() would leave out what stdout has read ahead.
    rest, messages = player.stdout.read(), player.stderr.read()
    guard.cancel()
    assert player.wait() == 0, messages
    return numbers_of(begun + rest), messages


def complaints(stderr):
    """What ffmpeg complains about, apart from the way to TCP."""
    found = re.findall(r".*\[(?:panic|fatal|error|warning)\].*", stderr.decode())
    return [line for line in found if not REFUSED.search(line) and "yuvj" not in line]


def play_ffmpeg(source, *options, pictures=60):
    done = subprocess.run(
        ffmpeg_command(source, *options, pictures=pictures),
        capture_output=True,
        timeout=60 * harness.PATIENCE,
        check=False,
    )
    assert done.returncode == 0 and not complaints(done.stderr), done.stderr
    return numbers_of(done.stdout)


@pytest.mark.parametrize(
    "options",
    [[], ["-rtsp_transport", "tcp"], ["-rtsp_transport", "http"]],
    ids=["default", "tcp", "http"],
)
def test_ffmpeg_plays(camcastd, options):
    # By default over UDP, where a player that gets no time for a moment loses packets.
    daemon = camcastd(config(bitrate=500000))
    check_numbers(daemon, play_ffmpeg(url(daemon), *options), 60)


def test_ffmpeg_plays_jpegs(camcastd):
    daemon = camcastd(config())
    check_numbers(daemon, play_ffmpeg(url(daemon, "j"), "-rtsp_transport", "tcp", pictures=30), 30)


def test_ffprobe_knows_the_stream_from_its_description(start_camcastd):
    daemon = start_camcastd(config())
    result = harness.run(
        ["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_streams", "-show_format"]
        + ["-of", "json", url(daemon)]
    )
    shown = json.loads(result.stdout)
    (stream,) = shown["streams"]
    assert stream["codec_name"] == "h264" and stream["r_frame_rate"] == "30/1"
    assert (stream["width"], stream["height"]) == (WIDTH, HEIGHT)
    assert shown["format"]["tags"]["title"] == "s"
    assert not result.stderr


def ask(daemon, *requests):
    """The answers to requests on one connection, as (status, headers and body)."""
    found = []
    with socket.create_connection(("127.0.0.1", daemon.rtsp_port), 40 * harness.PATIENCE) as one:
        stream = one.makefile("rb")
        for number, (method, path) in enumerate(requests):
            one.sendall(
                f"{method} rtsp://127.0.0.1{path} RTSP/1.0\r\nCSeq: {number}\r\n"
                "Transport: RTP/AVP/TCP;unicast\r\n\r\n".encode()
            )
            status = int(stream.readline().split()[1])
            head = b"".join(iter(stream.readline, b"\r\n")).decode()
            length = re.search(r"Content-Length: (\d+)", head)
            found.append((status, head + stream.read(int(length[1]) if length else 0).decode()))
    return found


def test_a_source_with_rare_key_pictures_is_described(camcastd, tmp_path):
    """Nobody can ask it for one: the description waits, once for all that follow."""
    recording = tmp_path / "rare.mp4"
    harness.output_of(
        *("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10"),
        *("-t", "8", "-c:v", "libx264", "-g", "80", "-bf", "0", "-pix_fmt", "yuv420p", recording),
    )
    rare = config(encoder="copy")
    rare["camera cam"] = {"source": f"file:{recording}"}
    del rare["stream j"]
    daemon = camcastd(rare)
    daemon.wait_flowing()
    ((status, answer),) = ask(daemon, ("DESCRIBE", "/s"))
    assert status == 200 and "sprop-parameter-sets" in answer, answer


def test_two_that_join_at_different_times_see_the_same(camcastd):
    """One SSRC and one sequence for both; nobody's beginning is seen by the other."""
    daemon = camcastd(config())
    options = ("-rtsp_transport", "tcp")
    with harness.start(
        ffmpeg_command(url(daemon), *options, pictures=120),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as first:
        begun = first.stdout.read(20 * WIDTH * HEIGHT)
        second = play_ffmpeg(url(daemon), *options)
        numbers, messages = play_on(first, begun)
    assert not complaints(messages), messages
    check_numbers(daemon, numbers, 120)
    check_numbers(daemon, second, 60)
    assert second[0] > numbers[0] and second[0] in numbers


# --- other players ---


def gst_command(source, path, *options, pictures=60, decoder="rtph264depay ! avdec_h264"):
    return (
        ["gst-launch-1.0", "-q", "rtspsrc", f"location={source}", "latency=0", *options]
        + f"! {decoder} ! videoconvert ! video/x-raw,format=GRAY8".split()
        + f"! identity eos-after={pictures + 1} ! filesink location={path}".split()
    )


def play_gst(*arguments, **options):
    result = harness.run(gst_command(*arguments, **options), timeout=60)
    assert gstreamer.ended_well(result.returncode, result.stderr), result.stderr


@pytest.mark.parametrize("options", [[], ["protocols=tcp"]], ids=["default", "tcp"])
def test_gstreamer_plays(camcastd, tmp_path, options):
    daemon = camcastd(config(bitrate=500000))
    play_gst(url(daemon), tmp_path / "luma", *options)
    check_numbers(daemon, numbers_of((tmp_path / "luma").read_bytes()), 60)


def test_gstreamer_plays_through_http(start_camcastd, tmp_path):
    daemon = start_camcastd(config())
    play_gst(url(daemon).replace("rtsp:", "rtsph:"), tmp_path / "luma")
    check_numbers(daemon, numbers_of((tmp_path / "luma").read_bytes()), 60)
    daemon.wait_until(lambda: not daemon.status()["clients"], "the end of both connections")


def test_gstreamer_plays_jpegs(start_camcastd, tmp_path):
    daemon = start_camcastd(config())
    play_gst(
        *(url(daemon, "j"), tmp_path / "luma", "protocols=tcp"),
        pictures=30,
        decoder="rtpjpegdepay ! jpegdec",
    )
    check_numbers(daemon, numbers_of((tmp_path / "luma").read_bytes()), 30)


def test_mpv_plays(start_camcastd, tmp_path):
    daemon = start_camcastd(config())
    result = harness.run(
        ["mpv", "--no-config", "--no-audio", "--msg-level=all=error", "--frames=15"]
        + ["--vo=image", "--vo-image-format=png", f"--vo-image-outdir={tmp_path / 'shown'}"]
        + [url(daemon)]
    )
    assert result.returncode == 0 and not result.stderr, result.stderr
    shown = sorted((tmp_path / "shown").iterdir())
    luma = b"".join(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).tobytes() for path in shown)
    check_numbers(daemon, numbers_of(luma), 15)


OPENCV = """
import sys, cv2
capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
assert capture.isOpened()
for i in range(60):
    good, picture = capture.read()
    assert good, i
    sys.stdout.buffer.write(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).tobytes())
"""


def test_opencv_plays(camcastd):
    daemon = camcastd(config())
    done = subprocess.run(
        [sys.executable, "-c", OPENCV, url(daemon)],
        capture_output=True,
        timeout=60 * harness.PATIENCE,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    check_numbers(daemon, numbers_of(done.stdout), 60)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_motion_reads_pictures(start_camcastd, tmp_path, transport):
    """It asks for TCP unless its configuration says otherwise."""
    daemon = start_camcastd(config(bitrate=CALM))
    lines = [f"netcam_url {url(daemon)}", f"width {WIDTH}", f"height {HEIGHT}", "framerate 10"]
    if transport == "udp":
        lines.append("netcam_params rtsp_transport=udp,capture_rate=60")
    with motions.running(tmp_path, *lines):
        daemon.wait_until(lambda: motions.numbers(tmp_path), "a legible snapshot of motion", 40)
        daemon.wait_until(
            lambda: {client["transport"] for client in daemon.status()["clients"]}
            == {"rtsp+udp" if transport == "udp" else "rtsp"},
            "a viewer that has what it asked for",
        )


# --- faults ---


def kill_worker(daemon):
    (worker,) = daemon.workers()
    os.kill(worker, 9)
    daemon.wait_until(lambda: daemon.workers() not in ([], [worker]), "a new worker")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_gstreamer_outlives_the_worker(camcastd, tmp_path, protocol):
    """SSRC, clock and sequence go on: at a new SSRC it ends."""
    daemon = camcastd(config(bitrate=CALM))
    path = tmp_path / "luma"
    with harness.start(
        gst_command(url(daemon), path, f"protocols={protocol}", pictures=150), stderr=subprocess.PIPE
    ) as player:
        daemon.wait_flowing("s/rtp", units=40)
        kill_worker(daemon)
        _, messages = player.communicate(timeout=60 * harness.PATIENCE)
    assert gstreamer.ended_well(player.returncode, messages), messages
    numbers = numbers_of(path.read_bytes())
    assert len(numbers) == 150 and None not in numbers, numbers
    # A busy encoder may leave numbers out; they go back once, when the next worker begins.
    assert sum(b <= a for a, b in zip(numbers, numbers[1:])) == 1, numbers


def test_ffmpeg_outlives_the_worker(start_camcastd):
    daemon = start_camcastd(config())
    with harness.start(
        ffmpeg_command(url(daemon), "-rtsp_transport", "tcp", pictures=150),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as player:
        begun = player.stdout.read(40 * WIDTH * HEIGHT)
        kill_worker(daemon)
        numbers, messages = play_on(player, begun)
    assert b"bad cseq" not in messages and b"missed" not in messages, messages
    assert len(numbers) == 150 and None not in numbers, numbers


def test_a_slow_link_breaks_no_picture(lan, start_camcastd):
    """Half of the bitrate: pictures are missing, in whole groups, and each one shown is whole."""
    if why := slowlink.why_unavailable(lan.switch):
        pytest.skip(why)
    server, viewer = (lan.host(f"{address}/24") for address in (NEAR, FAR))
    with server:
        daemon = start_camcastd(config(f"{NEAR}:0", keyframe_interval=15))
    link = slowlink.SlowLink(viewer, delay_ms=20, rate_kbit=500)
    try:
        player = viewer.popen(
            ffmpeg_command(
                f"rtsp://{NEAR}:{daemon.rtsp_port}/s", "-rtsp_transport", "tcp", pictures=120
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        luma, messages = player.communicate(timeout=120 * harness.PATIENCE)
    finally:
        link.close()
    assert player.returncode == 0, messages
    said = [line for line in complaints(messages) if "missed" not in line]
    assert not said, said
    numbers = numbers_of(luma)
    assert len(numbers) == 120 and None not in numbers, numbers
    assert numbers == sorted(numbers) and numbers[-1] - numbers[0] > 150, numbers
    with server:
        assert daemon.feed("s/rtp")["resyncs"] > 0


# --- what viewers report ---


@pytest.mark.parametrize("scheme", ["rtsp", "rtsph"])
def test_what_a_viewer_over_tcp_reports_is_in_the_status(camcastd, scheme):
    """Of GStreamer, also through HTTP; ffmpeg reports nothing over TCP."""
    daemon = camcastd(config(bitrate=CALM))
    command = ["gst-launch-1.0", "-q", "rtspsrc", "protocols=tcp"]
    command += [f"location={url(daemon).replace('rtsp:', scheme + ':')}", "!", "fakesink"]

    def reported():
        clients = daemon.status()["clients"]
        return [one for one in clients if one.get("jitter_ms", 0) > 0]

    with harness.start(command, stderr=subprocess.PIPE) as player:
        daemon.wait_until(reported, "what the player reports", 30)
        (client,) = reported()
        player.terminate()
    assert client["transport"] == "rtsp"
    assert client["lost_packets"] == 0 and client["loss_permille"] == 0, client


# --- a client by hand ---


class Client:
    """Requests one after another, and what follows them."""

    def __init__(self, daemon, context=None, host="127.0.0.1"):
        self.socket = socket.create_connection((host, daemon.rtsp_port))
        self.socket.settimeout(15 * harness.PATIENCE)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")
        self.number = 0

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, method, target, **headers):
        """(status, headers, body); packets before the answer are thrown away."""
        self.number += 1
        lines = [f"{method} {target} RTSP/1.0", f"CSeq: {self.number}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        while self.file.peek(1)[:1] == b"$":
            self.frame()
        status = int(self.file.readline().split()[1])
        answer = {}
        while (line := self.file.readline().decode().strip()) != "":
            name, _, value = line.partition(": ")
            answer[name] = value
        assert answer["CSeq"] == str(self.number)
        return status, answer, self.file.read(int(answer.get("Content-Length", 0)))

    def frame(self):
        """(channel, packet)"""
        head = self.file.read(4)
        assert head[:1] == b"$", head
        return head[1], self.file.read(int.from_bytes(head[2:], "big"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


TCP = "RTP/AVP/TCP;unicast;interleaved=4-5"


def test_a_viewer_is_in_the_status_and_its_first_packet_is_the_one_named(camcastd):
    daemon = camcastd(config())
    with Client(daemon) as client:
        status, _, sdp = client.ask("DESCRIBE", url(daemon), Accept="application/sdp")
        assert status == 200 and b"sprop-parameter-sets=" in sdp
        status, answer, _ = client.ask("SETUP", url(daemon) + "/trackID=0", Transport=TCP)
        assert status == 200 and "interleaved=0-1" in answer["Transport"]
        ssrc = int(re.search(r"ssrc=([0-9A-F]{8})", answer["Transport"])[1], 16)
        status, answer, _ = client.ask("PLAY", url(daemon))
        assert status == 200
        channel, report = client.frame()
        assert channel == 1 and report[1] == 200
        channel, packet = client.frame()
        assert channel == 0 and packet[12:] == b"\x09\xf0", "the delimiter, alone"
        assert int.from_bytes(packet[8:12], "big") == ssrc
        if info := answer.get("RTP-Info"):
            assert int(re.search(r"seq=(\d+)", info)[1]) == int.from_bytes(packet[2:4], "big")
            assert int(re.search(r"rtptime=(\d+)", info)[1]) == int.from_bytes(packet[4:8], "big")
        (viewer,) = daemon.status()["clients"]
        assert viewer["transport"] == "rtsp"
    daemon.wait_until(lambda: not daemon.status()["clients"], "the end of the viewer")


class Counting(Client):
    """Notes the packets of pictures: (sequence, time)."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.packets = []

    def frame(self):
        channel, packet = super().frame()
        if channel == 0:
            self.packets.append(struct.unpack_from(">2xHI", packet))
        return channel, packet


@pytest.mark.parametrize("source", ["encoded", "copied", "jpeg"])
def test_after_a_pause_no_packet_comes_twice(source, start_camcastd, tmp_path):
    """A viewer begins at the newest key picture, but not at one that it has."""
    made = config()
    if source == "copied":
        made["camera cam"] = {"source": live.exec_source(live.pattern_command(tmp_path))}
        made["stream s"] |= {"encoder": "copy"}
    daemon = start_camcastd(made)
    where = url(daemon, "j" if source == "jpeg" else "s")
    with Counting(daemon) as client:
        assert client.ask("SETUP", where + "/trackID=0", Transport=TCP)[0] == 200
        for _ in range(8):
            answer = client.ask("PLAY", where)[1]
            begin = len(client.packets)
            while len(client.packets) < begin + 12:
                client.frame()
            if info := answer.get("RTP-Info"):
                assert int(re.search(r"seq=(\d+)", info)[1]) == client.packets[begin][0]
            assert client.ask("PAUSE", where)[0] == 200
    for (before, shown), (sequence, time) in zip(client.packets, client.packets[1:]):
        assert 0 < sequence - before & 0xFFFF < 1 << 15, client.packets
        assert time - shown & 0xFFFFFFFF < 1 << 31, client.packets


def clocks_of(daemon, count):
    """When pictures were taken, in us of UTC: [(as the newest report of the sender and the RTP time
    say, as the picture itself says)]."""
    found, reader, report = [], packets.Reader(), None
    with Client(daemon) as client:
        assert client.ask("SETUP", url(daemon) + "/trackID=0", Transport=TCP)[0] == 200
        assert client.ask("PLAY", url(daemon))[0] == 200
        while len(found) < count:
            channel, packet = client.frame()
            if channel == 1:
                seconds, fraction, rtp_time = struct.unpack_from(">8xIII", packet)
                report = rtp_time, (seconds - NTP_EPOCH_S) * 10**6 + (fraction * 10**6 >> 32)
            elif reader.add(packet):
                picture = reader.pictures[-1]
                since = picture.timestamp - report[0] & 0xFFFFFFFF
                taken_us = bytestream.parse_unit(picture.data).utc_us
                found.append((report[1] + since * 10**6 // 90000, taken_us))
    return found


def test_reports_of_the_sender_carry_the_capture_clock(start_camcastd):
    """So that pictures of two servers, each with an RTP clock of its own, can be lined up."""
    for _ in range(2):
        daemon = start_camcastd(config(sei="yes", keyframe_interval=10))
        for reported_us, taken_us in clocks_of(daemon, 40):
            assert abs(reported_us - taken_us) < 1000, (reported_us, taken_us)


def test_a_jpeg_that_rtp_does_not_carry_is_counted(start_camcastd):
    wide = config()
    wide["camera cam"]["size"] = "2048x64"
    daemon = start_camcastd(wide)
    with Client(daemon) as client:
        assert client.ask("DESCRIBE", url(daemon, "j"))[0] == 503
        assert client.ask("DESCRIBE", url(daemon, "s"))[0] == 200
    daemon.wait_until(lambda: daemon.stream("j")["unframed"] > 0, "pictures that are counted")
    daemon.wait_log("stream j: .* their framing does not carry such pictures")


def test_api_and_page_say_where_it_is(start_camcastd):
    daemon = start_camcastd(config())
    code, body = daemon.get("/api/cameras")
    streams = {one["name"]: one for one in json.loads(body)["cameras"][0]["streams"]}
    assert code == 200
    assert streams["s"]["rtsp"] == {"scheme": "rtsp", "port": daemon.rtsp_port, "path": "/s"}
    daemon.wait_log(rf"watch s: rtsp://127.0.0.1:{daemon.rtsp_port}/s")


def test_without_rtsp_nobody_listens(start_camcastd):
    daemon = start_camcastd(harness.pattern_config())
    assert not any("rtsp" in line for line in daemon.log())
