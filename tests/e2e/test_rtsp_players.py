# SPDX-License-Identifier: BSD-2-Clause
"""Every player of RTSP in every way that it has, all at the same time: for a minute, while the worker
is killed, and over a slow link. VLC, which speaks SAT>IP, is in test_satip.py."""
import contextlib
import re
import subprocess
import sys

import cv2
import pytest

import gstreamer
import harness
import motions
import screen
import slowlink
import strip
from test_multicast import ONE, SERVER, TWO, multicast_config, url
from test_rtsp import CALM, HEIGHT, NEAR, WIDTH, check_numbers, complaints, config, kill_worker

ROWS = 8  # of a picture, with the strip; the others are not written
OPENCV = f"""
import sys, cv2
capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
assert capture.isOpened()
with open(sys.argv[2], "wb") as file:
    for i in range(int(sys.argv[3])):
        good, picture = capture.read()
        assert good, i
        file.write(cv2.cvtColor(picture[:{ROWS}], cv2.COLOR_BGR2GRAY).tobytes())
"""


class Player:
    """One that ends by itself behind so many pictures, each of which it writes to a file. skip: how
    many bytes of what it says are not judged."""

    def __init__(self, start, folder, name, count):
        self.name, self.count, self.skip = name, count, 0
        self.path, self.log = folder / f"{name}.luma", folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = start(
                self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )

    def shown(self):
        return self.path.stat().st_size // (ROWS * WIDTH) if self.path.exists() else 0

    def numbers(self):
        """Of the pictures, when the player has ended; it has nothing to complain about."""
        status = self.process.wait(120 * harness.PATIENCE)
        messages = self.log.read_bytes()
        assert self.has_ended_well(status, messages[self.skip :]), (self.name, messages)
        data, size = self.path.read_bytes(), ROWS * WIDTH
        return [
            strip.read_number(data[at : at + size], WIDTH, HEIGHT)
            for at in range(0, self.count * size, size)
        ]

    def command(self):
        raise NotImplementedError

    def has_ended_well(self, status, messages):
        return status == 0 and not messages


class Ffmpeg(Player):
    def __init__(self, start, folder, source, count, way):
        self.source, self.way = source, way
        super().__init__(start, folder, f"ffmpeg-{way}", count)

    def command(self):
        return (
            ["ffmpeg", "-nostdin", "-nostats", "-v", "level+warning"]
            + ["-rtsp_transport", self.way, "-i", self.source]
            + ["-frames:v", str(self.count), *harness.EACH_PICTURE]
            + ["-vf", f"extractplanes=y,crop={WIDTH}:{ROWS}:0:0"]
            + ["-flush_packets", "1", "-f", "rawvideo", self.path]
        )

    def has_ended_well(self, status, messages):
        return status == 0 and not complaints(messages)


class GStreamer(Player):
    """way: as rtspsrc calls it, "default" or "http"."""

    def __init__(self, start, folder, source, count, way):
        self.source = source.replace("rtsp:", "rtsph:") if way == "http" else source
        self.options = [] if way in ("default", "http") else [f"protocols={way}"]
        super().__init__(start, folder, f"gst-{way}", count)

    def command(self):
        return (
            ["gst-launch-1.0", "-q", "rtspsrc", f"location={self.source}", "latency=0"]
            + self.options
            + "! rtph264depay ! avdec_h264 ! videoconvert ! video/x-raw,format=GRAY8".split()
            + f"! videocrop bottom={HEIGHT - ROWS} ! identity eos-after={self.count + 1}".split()
            + f"! filesink buffer-mode=unbuffered location={self.path}".split()
        )

    def has_ended_well(self, status, messages):
        return gstreamer.ended_well(status, messages)


class Mpv(Player):
    def __init__(self, start, folder, source, count):
        self.source = source
        super().__init__(start, folder, "mpv", count)

    def command(self):
        return (
            ["mpv", "--no-config", "--no-audio", "--msg-level=all=error", f"--frames={self.count}"]
            + [f"--vf=format=gray,crop={WIDTH}:{ROWS}:0:0", f"--o={self.path}"]
            + ["--of=rawvideo", "--ovc=rawvideo", self.source]
        )


class OpenCv(Player):
    def __init__(self, start, folder, source, count):
        self.source = source
        super().__init__(start, folder, "opencv", count)

    def command(self):
        return [sys.executable, "-c", OPENCV, self.source, self.path, str(self.count)]


class Ffplays:
    """Windows of ffplay side by side, one for each way, which leave out no picture that is late."""

    def __init__(self, start, folder, source, ways):
        self.display = screen.Screen()
        self.ways, self.logs, self.processes = ways, {}, []
        self.shown = {way: [] for way in ways}
        self.skip = dict.fromkeys(ways, 0)
        for i, way in enumerate(ways):
            self.logs[way] = folder / f"ffplay-{way}.log"
            with self.logs[way].open("wb") as log:
                command = ["ffplay", "-v", "level+warning", "-nostats", "-noframedrop", "-noborder"]
                command += ["-left", str(i * WIDTH), "-top", "0", "-rtsp_transport", way, source]
                self.processes.append(
                    start(command, env=self.display.environment(), stdin=subprocess.DEVNULL, stderr=log)
                )

    def look(self):
        """Adds what is in the windows now to what was shown."""
        shot = self.display.shot()[:HEIGHT]
        for i, way in enumerate(self.ways):
            number = screen.number_in(shot[:, i * WIDTH : (i + 1) * WIDTH])
            if number is not None and number not in self.shown[way][-1:]:
                self.shown[way].append(number)

    def check(self):
        """Nothing was shown late or again, and they have nothing to complain about."""
        for way in self.ways:
            messages = self.logs[way].read_bytes()
            assert not complaints(messages[self.skip[way] :]), (way, messages)
            shown = self.shown[way]
            assert shown == sorted(set(shown)), (way, shown)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.display.close()


def motion_lines(source):
    """Each snapshot has a name of its own."""
    size = [f"width {WIDTH}", f"height {HEIGHT}", "framerate 10"]
    return [f"netcam_url {source}", *size, "snapshot_filename shot-%Y%m%d%H%M%S"]


def motion_numbers(folder):
    """Of what motion has saved since its first picture of the camera; None: not legible."""
    paths = sorted(folder.glob("shot-*.jpg"), key=lambda path: path.stat().st_mtime_ns)
    pictures = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    found = [None if picture is None else screen.number_in(picture) for picture in pictures]
    while found and found[0] is None:
        del found[0]
    return found[:-1]  # the last may not be written yet


def check_motion(folder, count):
    """It takes the newest picture once in a while; none is broken, late or shown again."""
    numbers = motion_numbers(folder)
    assert len(numbers) >= count and None not in numbers, numbers
    assert numbers == sorted(set(numbers)), numbers
    log = (folder / "motion.log").read_text(errors="replace")
    assert not re.findall(r".*\[(?:EMG|ALR|CRT|ERR)\].*", log), log


# --- a minute ---


@pytest.mark.calm
@pytest.mark.alone
def test_all_players_see_every_picture_of_a_minute(lan, start_camcastd, tmp_path):
    """They begin one after the other. The two that join a group in the middle complain up to the next
    key picture."""
    server, one, two = hosts = [lan.host(f"{address}/24") for address in (SERVER, ONE, TWO)]
    for host in hosts:
        host.ip("route", "add", "239.0.0.0/8", "dev", "eth0")
    with server:
        daemon = start_camcastd(multicast_config(keyframe_interval=30))
        daemon.wait_flowing()
    source, count = url(daemon), 1800
    arguments = (tmp_path, source, count)
    # GStreamer sends packets to the group when it begins, which others in it would take for lost ones.
    players = [GStreamer(one.popen, *arguments, "udp-mcast")]

    def wait_shown(pictures):
        with server:
            daemon.wait_until(
                lambda: all(player.shown() >= pictures for player in players),
                "pictures of all players",
                60,
            )

    wait_shown(10)
    players += [Ffmpeg(two.popen, *arguments, way) for way in ("udp_multicast", "tcp", "udp", "http")]
    players += [GStreamer(one.popen, *arguments, way) for way in ("default", "tcp", "udp", "http")]
    players += [Mpv(one.popen, *arguments), OpenCv(one.popen, *arguments)]
    ways = ["udp_multicast", "tcp", "udp", "http"]
    with one, motions.running(tmp_path, *motion_lines(source)), contextlib.closing(
        Ffplays(two.popen, tmp_path, source, ways)
    ) as ffplay:

        def all_windows():
            ffplay.look()
            return all(ffplay.shown.values())

        with server:
            daemon.wait_until(all_windows, "a picture in all windows", 60)
        wait_shown(10)
        players[1].skip = players[1].log.stat().st_size
        ffplay.skip["udp_multicast"] = ffplay.logs["udp_multicast"].stat().st_size

        def ended():
            ffplay.look()
            return all(player.process.poll() is not None for player in players)

        with server:
            daemon.wait_until(ended, "the end of all players", 120)
        ffplay.check()
        assert all(len(shown) > 30 for shown in ffplay.shown.values()), ffplay.shown
        check_motion(tmp_path, 50)
    for player in players:
        numbers = player.numbers()
        with server:
            check_numbers(daemon, numbers, count)


# --- faults ---


def test_players_outlive_the_worker(start_camcastd, tmp_path):
    """Those that test_rtsp.py does not try."""
    daemon = start_camcastd(config(bitrate=CALM, keyframe_interval=30))
    source = f"rtsp://127.0.0.1:{daemon.rtsp_port}/s"
    arguments = (harness.start, tmp_path, source, 450)
    players = [Mpv(*arguments), OpenCv(*arguments)]
    players += [Ffmpeg(*arguments, way) for way in ("udp", "http")]
    with motions.running(tmp_path, *motion_lines(source)), contextlib.closing(
        Ffplays(harness.start, tmp_path, source, ["tcp", "udp"])
    ) as ffplay:

        def all_shown():
            ffplay.look()
            return (
                all(player.shown() >= 30 for player in players)
                and all(len(shown) >= 10 for shown in ffplay.shown.values())
                and len(motion_numbers(tmp_path)) >= 2
            )

        daemon.wait_until(all_shown, "pictures of all players", 60)
        # Only those that are told to take UDP do.
        ways = [client["transport"] for client in daemon.status()["clients"]]
        assert ways.count("rtsp+udp") == 2 and ways.count("rtsp") == len(ways) - 2 == 5, ways
        kill_worker(daemon)
        before = {way: shown[-1] for way, shown in ffplay.shown.items()}
        seen = len(motion_numbers(tmp_path))

        def goes_on():
            ffplay.look()
            return (
                all(shown[-1] < before[way] for way, shown in ffplay.shown.items())
                and len(motion_numbers(tmp_path)) > seen + 2
            )

        daemon.wait_until(goes_on, "what the next worker makes", 60)
        assert None not in motion_numbers(tmp_path)
    for player in players:
        numbers = player.numbers()
        # They go back once, when the next worker begins.
        assert None not in numbers, (player.name, numbers)
        assert sum(b <= a for a, b in zip(numbers, numbers[1:])) == 1, (player.name, numbers)


def test_a_slow_link_breaks_no_picture_of_any_player(lan, start_camcastd, tmp_path):
    """Half of the bitrate for each, over TCP; test_rtsp.py has ffmpeg."""
    if why := slowlink.why_unavailable(lan.switch):
        pytest.skip(why)
    server = lan.host(f"{NEAR}/24")
    with server:
        daemon = start_camcastd(config(f"{NEAR}:0", keyframe_interval=15))
    source = f"rtsp://{NEAR}:{daemon.rtsp_port}/s"
    makers = [
        lambda *arguments: GStreamer(*arguments, "tcp"),
        lambda *arguments: GStreamer(*arguments, "http"),
        Mpv,
        OpenCv,
    ]
    with contextlib.ExitStack() as stack:
        hosts = [lan.host(f"10.77.0.{10 + i}/24") for i in range(len(makers) + 1)]
        for host in hosts:
            link = slowlink.SlowLink(host, delay_ms=20, rate_kbit=500)
            stack.callback(link.close)
        players = [make(host.popen, tmp_path, source, 120) for make, host in zip(makers, hosts)]
        with hosts[-1], motions.running(tmp_path, *motion_lines(source)):
            found = {player.name: player.numbers() for player in players}
            with server:
                daemon.wait_until(lambda: len(motion_numbers(tmp_path)) >= 5, "pictures of motion", 60)
            assert None not in motion_numbers(tmp_path)
    for name, numbers in found.items():
        assert None not in numbers and numbers == sorted(set(numbers)), (name, numbers)
        assert numbers[-1] - numbers[0] > 150, (name, numbers)
    with server:
        assert daemon.feed("s/rtp")["resyncs"] > 0
