# SPDX-License-Identifier: BSD-2-Clause
"""A running `camcast record`, and judges of what it leaves."""
import calendar
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time
import uuid

import bytestream
import harness

NAME = re.compile(r"(\d{8}T\d{6})Z(?:-(\d+))?\.mp4")


class Recorder:
    """`camcast record` with these arguments, which writes into dir. Also a context manager."""

    def __init__(self, broker, folder, *arguments, prefix=(), env=None):
        self.dir = pathlib.Path(folder)
        self.marker = f"CAMCAST_TEST={uuid.uuid4().hex}"
        key, value = self.marker.split("=")
        self.lines = []
        self.out = []
        self._changed = threading.Condition()
        self.process = harness.start(
            [
                *prefix,
                harness.BUILD / "camcast",
                "record",
                "--broker",
                f"{broker.address}:{broker.port}",
                "--dir",
                self.dir,
                *map(str, arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, **{key: value}, **(env or {})),
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=self._read, args=arguments, daemon=True)
            for arguments in ((self.process.stderr, self.lines), (self.process.stdout, self.out))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream, lines):
        for raw in stream:
            with self._changed:
                lines.append(raw.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        stream.close()

    def position(self):
        with self._changed:
            return len(self.lines)

    def wait_log(self, pattern, timeout=20, after=0, count=1):
        """The first match of pattern from line `after` on, when there are `count` of them."""
        found = []

        def look():
            found[:] = [m for line in self.lines[after:] if (m := re.search(pattern, line))]
            return len(found) >= count

        with self._changed:
            if not self._changed.wait_for(look, timeout * harness.PATIENCE):
                raise harness.Failure(f"no {count} lines with /{pattern}/" + self._tail())
        return found[0]

    def _tail(self):
        return "; the log:\n  " + "\n  ".join(self.lines[-40:])

    def wait_until(self, predicate, what, timeout=20):
        deadline = time.monotonic() + timeout * harness.PATIENCE
        while not (value := predicate()):
            if time.monotonic() > deadline:
                raise harness.Failure(f"no {what}" + self._tail())
            time.sleep(0.05)
        return value

    def children(self):
        """{server's name: pid} of the processes that record."""
        found = {}
        for pid in harness.processes_with(self.marker):
            try:
                arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if arguments[1:2] == [b"record-child"]:
                found[arguments[2].decode()] = pid
        return found

    def wait_gone(self, timeout=10):
        """No process and no shared memory is left."""
        self.wait_until(
            lambda: not harness.processes_with(self.marker), "end of all its processes", timeout
        )
        for thread in self._threads:
            thread.join(5 * harness.PATIENCE)
        if reports := [line for line in self.lines if harness.SANITIZER_LINE.search(line)]:
            raise harness.Failure(reports[0] + self._tail())

    def stop(self, how=signal.SIGINT, group=False):
        """Ends it as Ctrl-C does with group, which is sent to children as well, and checks that it
        ended well."""
        if group:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        try:
            code = self.process.wait(10 * harness.PATIENCE)
        except subprocess.TimeoutExpired:
            raise harness.Failure("it does not end" + self._tail()) from None
        assert code == 0, f"ended with {code}" + self._tail()
        self.wait_gone()

    def kill(self):
        harness.kill_with_descendants(self.process, self.marker)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.kill()

    def files(self, server):
        return files(self.dir / server)


def files(folder):
    """The recordings in a server's folder, the oldest first."""
    if not folder.is_dir():
        return []

    def age(path):  # by name, `Z-2.mp4` of the same second would come before `Z.mp4`
        second, number = NAME.fullmatch(path.name).groups()
        return second, int(number or 1)

    return sorted((path for path in folder.iterdir() if NAME.fullmatch(path.name)), key=age)


def named_utc(path):
    """The UTC second that the name tells."""
    return calendar.timegm(time.strptime(NAME.fullmatch(path.name)[1], "%Y%m%dT%H%M%S"))


def created_utc(text):
    """Seconds since 1970, of a creation_time as ffprobe prints it."""
    return calendar.timegm(time.strptime(text.split(".")[0], "%Y-%m-%dT%H:%M:%S"))


def _run(*command):
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0 and not said, f"{' '.join(map(str, command))}: {said}"
    return done.stdout


def probe(path, *more):
    """ffprobe's word: its streams[0], format and packets, and what more it is asked."""
    found = json.loads(
        _run("ffprobe", "-v", "warning", "-show_streams", "-show_format", "-show_packets", *more,
             "-of", "json", path)
    )  # fmt: skip
    # With frames, ffprobe mixes both kinds.
    for item in found.pop("packets_and_frames", []):
        found.setdefault(item["type"] + "s", []).append(item)
    assert len(found["streams"]) == 1
    return found


def _framecrc(path):
    """Lines of ffmpeg's framecrc: stream, dts, pts, duration, size, checksum and, unless a packet
    is a key picture and nothing else, its flags."""
    lines = path.read_text().splitlines()
    return [line.replace(" ", "").split(",") for line in lines if not line.startswith("#")]


def check_files(paths):
    """They play: a key picture first, times that grow, and a decoder without complaint. Returns the
    units of each file (their SEI numbers and times) with .pts in seconds added, none for MJPEG. One
    ffmpeg looks at all files, as its start takes longer than its work."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = []
        for n, path in enumerate(paths):
            output, name = ["-map", f"{n}:v"], f"{folder}/{n}"
            outputs += [*output, "-fps_mode", "passthrough", "-f", "framecrc", f"{name}.shown"]
            outputs += [*output, "-c", "copy", "-copyinkf", "-f", "framecrc", f"{name}.packets"]
            if _is_h264(path):
                filters = "h264_mp4toannexb,h264_metadata=aud=insert,setts=ts=N"
                outputs += [*output, "-c", "copy", "-copyinkf", "-bsf:v", filters]
                outputs += ["-f", "h264", f"{name}.h264"]
        inputs = (("-err_detect", "explode", "-i", path) for path in paths)
        _run("ffmpeg", "-nostdin", "-v", "warning", "-copyts", *itertools.chain(*inputs), *outputs)
        return [_check_file(path, pathlib.Path(folder, str(n))) for n, path in enumerate(paths)]


def check_file(path):
    return check_files([path])[0]


def _is_h264(path):
    with open(path, "rb") as file:
        return b"avcC" in file.read(4096)


def _check_file(path, outputs):
    """outputs: the files that ffmpeg made of it, without their suffixes."""
    packets = _framecrc(outputs.with_suffix(".packets"))
    assert packets and not packets[0][6:], f"{path} begins with {packets[:1]}"
    assert "#tb 0: 1/90000" in outputs.with_suffix(".packets").read_text()
    dts = [int(packet[1]) for packet in packets]
    assert dts[0] == 0 and all(a < b for a, b in zip(dts, dts[1:])), f"{path}: {dts}"
    assert [int(packet[2]) for packet in packets] == dts, path
    shown = len(_framecrc(outputs.with_suffix(".shown")))
    assert shown == len(packets), f"{path}: {shown} of {len(packets)} decoded"
    if not _is_h264(path):
        return []
    data = outputs.with_suffix(".h264").read_bytes()
    units, _ = bytestream.split(data + bytestream.AUD + b"\x10")
    assert len(units) == len(packets), path
    for unit, time_90khz in zip(units, dts):
        unit.pts = time_90khz / 90000
    return units


def check_folder(folder):
    """Every file in it plays. Returns the units of all files, each with .pts and .at, the seconds
    (UTC) of its file's name plus pts."""
    paths = files(folder)
    everything = []
    for path, units in zip(paths, check_files(paths)) if paths else ():
        for unit in units:
            unit.at = named_utc(path) + unit.pts
        everything += units
    return everything
