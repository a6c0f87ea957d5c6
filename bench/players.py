#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How old a picture is when a player has it, for OpenCV and ffmpeg on a stream of the test pattern.

The strip of the pattern tells which picture a player shows, and the SEI of the stream tells when
that picture was captured. A second connection receives the stream to map one to the other.

    bench/players.py --build build --rate 30 --seconds 10
"""
import argparse
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
import screen  # noqa: E402

WIDTH, HEIGHT = 640, 360
LOW_DELAY = "-fflags nobuffer -flags low_delay -probesize 32 -analyzeduration 0".split()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def write_config(folder, port, rate):
    path = pathlib.Path(folder) / "bench.ini"
    path.write_text(
        f"""[daemon]
http =
[camera c]
source = pattern
size = {WIDTH}x{HEIGHT}
framerate = {rate:g}
[stream s]
camera = c
codec = h264
encoder = x264
sei = true
annexb = 127.0.0.1:{port}
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


def show_with_opencv(port, seconds):
    """[(time, number)] of what cv2.VideoCapture returns."""
    seen = []
    capture = cv2.VideoCapture(f"tcp://127.0.0.1:{port}", cv2.CAP_FFMPEG)
    while not seen or seen[-1][0] < seen[0][0] + seconds:
        good, picture = capture.read()
        if good:
            seen.append((time.monotonic(), screen.number_in(picture)))
    capture.release()
    return seen


def show_with_ffmpeg(port, seconds, options=()):
    """The same of the pictures that ffmpeg writes."""
    seen = []
    command = ["ffmpeg", "-nostdin", "-v", "error", *options, "-f", "h264"]
    command += ["-i", f"tcp://127.0.0.1:{port}", "-fps_mode", "passthrough"]
    command += ["-pix_fmt", "gray", "-f", "rawvideo", "-flush_packets", "1", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as player:
        while not seen or seen[-1][0] < seen[0][0] + seconds:
            data = b""
            while len(data) < WIDTH * HEIGHT:
                data += player.stdout.read(WIDTH * HEIGHT - len(data))
            picture = numpy.frombuffer(data, numpy.uint8).reshape(HEIGHT, WIDTH)
            seen.append((time.monotonic(), screen.number_in(picture)))
        player.kill()
    return seen


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


def measure(arguments, show, **options):
    """Ages in milliseconds of the pictures of one player, without those of its first second."""
    with tempfile.TemporaryDirectory() as folder:
        port, data, stop = free_port(), bytearray(), threading.Event()
        config = write_config(folder, port, arguments.rate)
        with subprocess.Popen(
            [arguments.build / "camcastd", "-c", config], stderr=subprocess.DEVNULL
        ) as daemon:
            time.sleep(2)
            receiver = threading.Thread(target=receive, args=(port, stop, data))
            receiver.start()
            seen = show(port, arguments.seconds, **options)
            stop.set()
            receiver.join()
            daemon.terminate()
        captured = capture_times(bytes(data), folder)
    begin = seen[0][0] + 1 + 3 / arguments.rate
    return [(at - captured[n]) * 1000 for at, n in seen if at > begin and n in captured]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    built.need(arguments.build, "camcastd", "camcast-capture")
    for name, show, options in (
        ("OpenCV", show_with_opencv, {}),
        ("ffmpeg", show_with_ffmpeg, {}),
        ("ffmpeg, low delay", show_with_ffmpeg, {"options": LOW_DELAY}),
    ):
        ages = measure(arguments, show, **options)
        print(f"{name}: median {statistics.median(ages):.0f} ms of {len(ages)} pictures")


if __name__ == "__main__":
    main()
