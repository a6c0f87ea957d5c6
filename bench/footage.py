# SPDX-License-Identifier: BSD-2-Clause
"""The recordings for all servers: vtest.avi of opencv-doc, a real street scene, coded once as a
camera would do it (no B frames, a key unit each second, one slice, constant bitrate)."""
import os
import pathlib
import subprocess

SOURCE = "/usr/share/doc/opencv-doc/examples/data/vtest.avi"
# name: (width, height, bits a second)
KINDS = {
    "720p": (1280, 720, 2_000_000),
    "1080p": (1920, 1080, 8_000_000),
    "far": (1280, 720, 1_000_000),  # for networks that carry no more
}
RATE = 30


def command(kind, path):
    width, height, bitrate = KINDS[kind]
    return [
        *("ffmpeg", "-nostdin", "-y", "-v", "error", "-r", str(RATE), "-i", SOURCE),
        *("-vf", f"scale={width}:{height}:flags=bicubic,format=yuv420p", "-an"),
        *("-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-threads", "1"),
        *("-b:v", str(bitrate), "-maxrate", str(bitrate), "-bufsize", str(bitrate // 4)),
        *("-g", str(RATE), "-keyint_min", str(RATE), "-sc_threshold", "0", "-bf", "0"),
        *("-x264-params", "aud=1:repeat-headers=1:nal-hrd=vbr", "-f", "h264", str(path)),
    ]


def get(kind):
    """The path of the recording, which is made at its first use, outside of the sources."""
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(cache) / "camcast-bench"
    width, height, bitrate = KINDS[kind]
    path = folder / f"vtest-{width}x{height}-{bitrate}.h264"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        subprocess.run(command(kind, part), check=True)
        part.rename(path)
    return path


def bytes_per_second(kind):
    """The real bitrate of the recording; the rates of slow clients follow it."""
    data = get(kind).read_bytes()
    return len(data) * RATE / data.count(b"\0\0\0\1\x09")
