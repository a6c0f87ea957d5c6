# SPDX-License-Identifier: BSD-2-Clause
"""Cameras whose pictures come from a URL, a program or a pipe: their configuration, programs that
deliver the test pattern, and the numbers that viewers see."""
import os
import pathlib
import shlex
import signal

import bytestream
import harness
import strip

CAPTURE = harness.BUILD / "camcast-capture"
FRAMING = {"h264": "annexb", "mjpeg": "length_prefixed"}
# As a format of a byte stream, and as a framing of camcast-capture.
FORMATS = {"annexb": "h264", "mpegts": "h264", "jpeg": "mjpeg"}


def config(source, codec="h264", encoder="copy", camera=None, **stream):
    made = {
        "daemon": {"name": "test", "http": "127.0.0.1:0"},
        "camera cam": {"source": source, **(camera or {})},
        "stream s": {"camera": "cam", "codec": codec, "encoder": encoder},
    }
    made["stream s"][FRAMING[codec]] = "127.0.0.1:0"
    # A busy machine may let the viewers wait; no picture is shed for that.
    lag = {"shed_lag_ms": 10000, "max_lag_ms": 20000, "history_ms": 30000}
    made["stream s"] |= lag | stream
    return made


def pattern_ini(folder, codec="h264", size=None, name="pattern"):
    """A configuration of the test pattern, for camcast-capture by hand."""
    made = harness.pattern_config({"codec": codec, "sei": False}, framing=FRAMING[codec])
    made["camera cam"]["size"] = size or f"{strip.WIDTH}x{strip.HEIGHT}"
    if codec == "h264":
        made["stream s"] |= {"encoder": "x264", "keyframe_interval": 15, "bitrate": 2000000}
    path = pathlib.Path(folder) / f"{name}-{codec}.ini"
    path.write_text(harness.config_text(made))
    return path


def pattern_command(folder, form="annexb", **options):
    """Words of a program that writes the test pattern to its standard output, live."""
    ini = pattern_ini(folder, FORMATS[form], **options)
    return [CAPTURE, "-c", ini, "--framing", form, "-o", "-"]


def pattern_file(folder, form="annexb", seconds=3, **options):
    """The same as a file."""
    path = pathlib.Path(folder) / f"pattern.{form}"
    command = pattern_command(folder, form, **options)
    done = harness.run([*command[:-1], path, "-t", seconds])
    assert done.returncode == 0, done.stderr
    return path


def exec_source(words):
    return "exec:" + shlex.join(map(str, words))


def script(folder, text, name="camera.sh"):
    path = pathlib.Path(folder) / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def count(viewer, codec="h264"):
    if codec == "h264":
        return len(bytestream.split(bytes(viewer.data))[0]) if viewer.data else 0
    return len(bytestream.jpegs(viewer.data))


def wait_pictures(viewer, more, codec="h264", timeout=40):
    """Until so many more pictures have come."""
    wanted = count(viewer, codec) + more
    viewer.wait(lambda v: count(v, codec) >= wanted, f"{more} more pictures", timeout)
    assert not viewer.closed


def numbers(viewer, codec="h264"):
    """Of all pictures that the viewer got, which are whole, as ffmpeg decodes them."""
    data = bytes(viewer.close())
    if codec == "h264":
        units, _ = bytestream.split(data)
        seen = strip.decoded_numbers(b"".join(unit.data for unit in units), "h264")
    else:
        seen = strip.decoded_numbers(b"".join(bytestream.jpegs(data)), "mjpeg")
    assert seen and None not in seen, seen
    return seen


def breaks(seen):
    """How often a number does not follow the one before."""
    return sum(b != a + 1 for a, b in zip(seen, seen[1:]))


def processes(camcastd, name):
    """Pids of the processes of camcastd that have this name (15 bytes)."""
    found = harness.processes_with(camcastd.marker)
    return [pid for pid, comm in found.items() if comm == str(name)[:15]]


def kill(pid):
    os.kill(pid, signal.SIGKILL)
