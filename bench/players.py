#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How old a picture is when a player has it: ffplay, ffmpeg, mpv, VLC, GStreamer, OpenCV and motion,
over raw TCP, RTSP and HTTP, with the command lines of docs/PLAYERS.md. VLC's RTSP is that of Debian,
SAT>IP.

The strip of the test pattern tells which picture a player shows, and the SEI of the stream tells
when that picture was captured. A second connection receives the stream to map one to the other. A
player with a window has it on an X server that nobody sees (Xvfb), whose memory is read; the others
write their pictures to a pipe.

    bench/players.py --build build --rate 30 --seconds 8 [--players mpv,VLC] [--ways tcp,rtsp,http]
        [--plain]
"""
import argparse
import contextlib
import dataclasses
import http.client
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import cv2
import numpy

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "e2e" / "lib"))
import built  # noqa: E402
import bytestream  # noqa: E402
import harness  # noqa: E402
import motions  # noqa: E402
import screen  # noqa: E402
import vlc  # noqa: E402

WIDTH, HEIGHT = 640, 360
START_S = 20  # for the first picture
URLS = {"tcp": "tcp://127.0.0.1:{tcp}", "rtsp": "rtsp://127.0.0.1:{rtsp}/s",
        "http": "http://127.0.0.1:{http}/s.ts"}
GRAY = "! videoconvert ! video/x-raw,format=GRAY8 ! fdsink"
SOURCES = {"tcp": "tcpclientsrc host=127.0.0.1 port={tcp}",
           "rtsp": "rtspsrc location={url} latency={latency} protocols=tcp ! rtph264depay",
           "http": "souphttpsrc location={url} is-live=true ! tsdemux"}
RTSP_TCP = ["-rtsp_transport", "tcp"]
RAW = ["-f", "h264"]
LOW_DELAY = "-fflags nobuffer -flags low_delay -probesize 32 -analyzeduration 0".split()


@dataclasses.dataclass
class Input:
    """What is played."""

    way: str
    ports: dict
    plain: bool  # without the options for a low delay

    @property
    def url(self):
        return URLS[self.way].format(**self.ports)

    def words(self, *low):
        """Those of ffmpeg and ffplay."""
        form = RAW if self.way == "tcp" else RTSP_TCP if self.way == "rtsp" else []
        return [*self.low(*low), *form, "-i", self.url]

    def low(self, *words):
        """Words of a command line for a low delay."""
        return [] if self.plain else list(words)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def write_config(folder, ports, rate):
    path = pathlib.Path(folder) / "bench.ini"
    path.write_text(
        f"""[daemon]
http = 127.0.0.1:{ports["http"]}
rtsp = 127.0.0.1:{ports["rtsp"]}
[camera c]
source = pattern
size = {WIDTH}x{HEIGHT}
framerate = {rate:g}
[stream s]
camera = c
codec = h264
encoder = x264
sei = true
annexb = 127.0.0.1:{ports["tcp"]}
"""
    )
    return path


def receive(port, stop, data):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(0.5)
        while not stop.is_set():
            try:
                data += connection.recv(1 << 20)
            except TimeoutError:
                pass


@contextlib.contextmanager
def running(command, **options):
    with subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    ) as player:
        try:
            yield player
        finally:
            player.kill()


def is_over(seen, began, seconds):
    if seen:
        return time.monotonic() > seen[0][0] + seconds
    return time.monotonic() > began + START_S


def show_with_opencv(played, seconds):
    """[(time, number)] of what cv2.VideoCapture returns."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    seen, began = [], time.monotonic()
    capture = cv2.VideoCapture(played.url, cv2.CAP_FFMPEG)
    while not is_over(seen, began, seconds):
        good, picture = capture.read()
        if good:
            seen.append((time.monotonic(), screen.number_in(picture)))
    capture.release()
    return seen


def show_on_pipe(command, seconds):
    """The same of the grey pictures that a program writes."""
    seen, began = [], time.monotonic()
    with running(command, stdout=subprocess.PIPE, bufsize=0) as player:
        watch = threading.Timer(START_S + seconds, player.kill)
        watch.start()
        while not is_over(seen, began, seconds):
            data = b""
            while len(data) < WIDTH * HEIGHT and (more := player.stdout.read(WIDTH * HEIGHT - len(data))):
                data += more
            if len(data) < WIDTH * HEIGHT:
                break
            picture = numpy.frombuffer(data, numpy.uint8).reshape(HEIGHT, WIDTH)
            seen.append((time.monotonic(), screen.number_in(picture)))
        watch.cancel()
    return seen


def show_with_ffmpeg(played, seconds):
    command = ["ffmpeg", "-nostdin", "-v", "error", *played.words(*LOW_DELAY)]
    command += ["-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo"]
    return show_on_pipe([*command, "-flush_packets", "1", "-"], seconds)


def show_with_gstreamer(played, seconds):
    latency = 2000 if played.plain else 0  # 2000 is what rtspsrc has by itself
    source = SOURCES[played.way].format(url=played.url, latency=latency, **played.ports)
    line = f"gst-launch-1.0 -q {source} ! h264parse ! avdec_h264 {GRAY}"
    sync = str(played.plain).lower()  # a sink with a window has true by itself
    return show_on_pipe([*line.split(), f"sync={sync}"], seconds)


def show_on_screen(command, seconds):
    """The same of what a window at the upper left corner shows."""
    seen, began = [], time.monotonic()
    display = screen.Screen()
    try:
        with running(command, env=display.environment(), stdout=subprocess.DEVNULL):
            while not is_over(seen, began, seconds):
                number = screen.number_in(display.shot()[:HEIGHT, :WIDTH])
                if number is not None and (not seen or seen[-1][1] != number):
                    seen.append((time.monotonic(), number))
                time.sleep(0.002)
    finally:
        display.close()
    return seen


def show_with_ffplay(played, seconds):
    command = ["ffplay", "-v", "error", "-noborder", "-left", "0", "-top", "0"]
    return show_on_screen(command + played.words(*LOW_DELAY[:4]), seconds)


def show_with_mpv(played, seconds):
    command = ["mpv", "--no-config", *played.low("--profile=low-latency", "--untimed"), "--vo=x11"]
    command += ["--no-border", "--geometry=+0+0", "--no-osc", played.url]
    return show_on_screen(command, seconds)


def show_with_vlc(played, seconds):
    """The same of what would be drawn."""
    seen, began = [], time.monotonic()
    words = played.low("--live-caching=100" if played.way == "rtsp" else "--network-caching=100")
    words += ["--demux=h264"] if played.way == "tcp" else []
    with vlc.Vlc(played.url, *words) as player:
        try:
            while not is_over(seen, began, seconds):
                number = player.number(time.monotonic() + START_S, (WIDTH, HEIGHT))
                seen.append((time.monotonic(), number))
        except harness.Failure:
            pass  # it shows nothing
    return seen


def show_with_motion(played, seconds):
    """The same of the pictures that motion passes on, one JPEG after the other."""
    if played.way != "rtsp":
        return []  # it reads no H.264 in another way
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        lines = [f"netcam_url {played.url}", f"width {WIDTH}", f"height {HEIGHT}", "framerate 100"]
        lines += [f"stream_port {port}", "stream_maxrate 100", "stream_quality 90"]
        with motions.running(folder, *lines):
            return read_parts(port, seconds)


def read_parts(port, seconds):
    """[(time, number)] of the JPEGs of a multipart answer over HTTP. One that begins before the first
    picture stays empty, so that it is asked for again."""
    seen, began = [], time.monotonic()
    while not is_over(seen, began, seconds):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/")
            answer, data = connection.getresponse(), b""
            while not is_over(seen, began, seconds):
                data += answer.read1(1 << 20)
                while (end := data.find(b"\xff\xd9")) >= 0:
                    picture = numpy.frombuffer(data[data.find(b"\xff\xd8") : end + 2], numpy.uint8)
                    data = data[end + 2 :]
                    shown = screen.number_in(cv2.imdecode(picture, cv2.IMREAD_GRAYSCALE))
                    if shown is not None and (not seen or seen[-1][1] != shown):
                        seen.append((time.monotonic(), shown))
        time.sleep(0.05)
    return seen


PLAYERS = {
    "ffplay": show_with_ffplay, "ffmpeg": show_with_ffmpeg, "mpv": show_with_mpv,
    "VLC": show_with_vlc, "GStreamer": show_with_gstreamer, "OpenCV": show_with_opencv,
    "motion": show_with_motion,
}


def capture_times(data, folder):
    """{number in the picture: time of its capture}."""
    units, _ = bytestream.split(data)
    path = pathlib.Path(folder) / "received.h264"
    path.write_bytes(b"".join(unit.data for unit in units))
    command = ["ffmpeg", "-v", "error", "-f", "h264", "-i", path, "-fps_mode", "passthrough"]
    raw = subprocess.run(
        [*command, "-pix_fmt", "gray", "-f", "rawvideo", "-"], capture_output=True, check=True
    ).stdout
    pictures = numpy.frombuffer(raw, numpy.uint8).reshape(-1, HEIGHT, WIDTH)
    assert len(pictures) == len(units)
    return {
        screen.number_in(picture): unit.monotonic_us / 1e6
        for picture, unit in zip(pictures, units)
    }


def measure(arguments, show, way):
    """Ages in milliseconds of the pictures of one player, without those of its first second."""
    with tempfile.TemporaryDirectory() as folder:
        ports, data, stop = {one: free_port() for one in URLS}, bytearray(), threading.Event()
        config = write_config(folder, ports, arguments.rate)
        with running([arguments.build / "camcastd", "-c", config]) as daemon:
            time.sleep(2)
            receiver = threading.Thread(target=receive, args=(ports["tcp"], stop, data))
            receiver.start()
            seen = show(Input(way, ports, arguments.plain), arguments.seconds)
            stop.set()
            receiver.join()
            daemon.terminate()
        if not seen:
            return []
        captured = capture_times(bytes(data), folder)
    begin = seen[0][0] + 1 + 3 / arguments.rate
    return [(at - captured[n]) * 1000 for at, n in seen if at > begin and n in captured]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--players", default=",".join(PLAYERS))
    parser.add_argument("--ways", default=",".join(URLS))
    parser.add_argument(
        "--plain", action="store_true",
        help="without the options for a low delay; there are none for OpenCV and motion",
    )
    arguments = parser.parse_args()
    built.need(arguments.build, "camcastd", "camcast-capture")
    ways = arguments.ways.split(",")
    print(f"| player | {' | '.join(ways)} | load |\n|---|{'--:|' * (len(ways) + 1)}")
    for name in arguments.players.split(","):
        cells = []
        for way in ways:
            ages = sorted(measure(arguments, PLAYERS[name], way))
            cells.append(
                f"{statistics.median(ages):.0f} ({ages[int(0.95 * len(ages))]:.0f})" if ages else "–"
            )
        print(f"| {name} | {' | '.join(cells)} | {os.getloadavg()[0]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
