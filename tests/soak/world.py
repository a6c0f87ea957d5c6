# SPDX-License-Identifier: BSD-2-Clause
"""The world of the soak: servers, a broker with users and rights, a recorder, a window, and crowds
of viewers on two machines, each a network namespace. All of it lives in a mount namespace of this
process, which holds a small disk for the recordings; so nothing is left when it is gone."""
import collections
import contextlib
import ctypes
import itertools
import json
import mmap
import os
import pathlib
import signal
import struct
import subprocess

import broker as mosquitto
import certificates
import harness
import netns
import recordings
import screen
import ways

HERE = pathlib.Path(__file__).resolve().parent
HOME, FAR, BROADCAST = "10.78.0.1", "10.78.0.2", 24
BROKER_PORT = 1883
DISK_MB = 96
CLONE_NEWNS = 0x20000
RIGHTS = """\
user server
topic readwrite camcast/#
topic readwrite homeassistant/#
topic read commend/#
topic read command/#
topic write camera/response/#

user client
topic write commend/#
topic write command/#
topic read camcast/#
topic readwrite camera/response/#
"""
RTSP = 10  # its port behind the server's first one, which speaks HTTP
# stream: (its camera, its framings and their ports)
STREAMS = {
    "front-h264": ("front", {"annexb": 1, "length_prefixed": 2}),
    "front-jpeg": ("front", {"length_prefixed": 3}),
    "side": ("side", {"annexb": 4}),
    "tape": ("tape", {"annexb": 5}),
    "demand": ("demand", {"annexb": 6}),
}
SMALL = {"source": "pattern", "size": "320x180", "framerate": 10}
KEYS = {
    "front-h264": {"encoder": "x264", "bitrate": 300000, "keyframe_interval": 10},
    "front-jpeg": {"codec": "mjpeg", "quality": 60},
    "side": {"temporal_layers": 2, "bitrate": 300000, "keyframe_interval": 10},
    "tape": {"encoder": "copy", "tls": "yes"},
    "demand": {"on_demand": True, "linger_ms": 1000, "bitrate": 200000, "keyframe_interval": 10},
}
# kind: (viewers of each server, at home and far away; of how many streams)
CROWD = {
    "plain": {"front-h264": (40, 10), "front-jpeg": (6, 3), "side": (24, 6), "tape": (12, 6)},
    "half": {"front-h264": (6, 2), "side": (6, 0)},
    "slow": {"front-h264": (6, 2), "side": (6, 0)},
    "stalled": {"front-h264": (6, 1), "front-jpeg": (2, 0)},
    "flapping": {"front-h264": (7, 1), "side": (6, 0), "front-jpeg": (3, 0), "demand": (6, 0)},
}
SLOW_RATE = 12000  # bytes a second; the streams have three times as many


def private_disk(folder):
    """A mount namespace for this process, with a small disk at folder."""
    if harness.LIBC.unshare(CLONE_NEWNS) < 0:
        raise netns.Unavailable(os.strerror(ctypes.get_errno()))
    folder.mkdir()
    for words in (
        ["--make-rprivate", "/"],
        ["-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder],
    ):
        harness.output_of("mount", *words)


class DummyScreen:
    """In the place of screen.Screen: nobody looks, but everything is drawn."""

    @staticmethod
    def environment():
        return {**os.environ, "SDL_VIDEODRIVER": "dummy", "SDL_RENDER_DRIVER": "software"}


class Clock:
    """The wall clock of a program and its children, which tests/support/clockstep.c makes."""

    def __init__(self, folder, name):
        self.path = folder / f"clock-{name}"
        self.path.write_bytes(bytes(8))
        with open(self.path, "r+b") as file:
            self._ahead = mmap.mmap(file.fileno(), 8)
        self.environment = {
            "LD_PRELOAD": str(folder / "clockstep.so"), "CAMCAST_CLOCK": str(self.path),
        }  # fmt: skip

    def step(self, ahead_s):
        """From now on it is so far ahead of the machine's."""
        self._ahead[:] = struct.pack("q", int(ahead_s * 1e9))


class Crowd:
    """A process of crowd.py in a network namespace; .events is its standard output."""

    def __init__(self, place, viewers, folder, seed, authority):
        self.place, self.viewers = place, {viewer["name"]: viewer for viewer in viewers}
        self.log = open(folder / f"crowd-{place}.log", "wb")
        plan = folder / f"crowd-{place}.json"
        samples = folder / "samples"
        samples.mkdir(exist_ok=True)
        plan.write_text(json.dumps({
            "seed": seed, "samples": str(samples), "authority": str(authority), "viewers": viewers,
        }))  # fmt: skip
        self.process = harness.start(
            ["/usr/bin/python3", HERE / "crowd.py", plan],
            stdout=subprocess.PIPE,
            stderr=self.log,
        )


class World:
    def __init__(self, folder, backends, seed):
        self.folder, self.backends, self.seed = folder, backends, seed
        self.servers, self.crowds = {}, []
        self.recorder = self.view = self.broker = None
        self.ended = []  # (name, its last lines) of programs that a fault ended
        self._stack = contextlib.ExitStack()
        self.disk = folder / "disk"
        private_disk(self.disk)
        self.lan = netns.Lan()
        self._stack.callback(self.lan.close)
        self.home = self.lan.host(f"{HOME}/{BROADCAST}")
        self.far = self.lan.host(f"{FAR}/{BROADCAST}")
        self.home.__enter__()  # for good: this thread, its threads and its children

    def start(self):
        self._make_tape()
        harness.output_of(
            *("gcc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", self.folder / "clockstep.so"),
            HERE.parent / "support/clockstep.c",
        )
        self.clocks = {name: Clock(self.folder, name) for name in (*self.backends, "record")}
        self.authority = certificates.Authority(self.folder / "authority")
        self.authority.sign("server", names=f"IP:{HOME}")
        (self.folder / "rights").write_text(RIGHTS)
        for user in ("server", "client"):
            (self.folder / f"{user}-word").write_text(f"{user}'s\n")
        self.broker = mosquitto.Broker(
            self.folder,
            address=HOME,
            port=BROKER_PORT,
            passwords={"server": "server's", "client": "client's"},
            lines=[f"acl_file {self.folder}/rights"],
        )
        for backend in self.backends:
            self.start_server(backend)
        self.start_recorder()
        self.start_view()
        for place, host in (("home", self.home), ("far", self.far)):
            with host:
                viewers = list(self._viewers(place))
                trusted = self.authority.certificate
                self.crowds.append(Crowd(place, viewers, self.folder, self.seed, trusted))

    def _make_tape(self):
        harness.output_of(
            *("ffmpeg", "-nostdin", "-v", "error"),
            *("-f", "lavfi", "-i", "testsrc2=s=320x180:r=10:d=20"),
            *("-c:v", "libx264", "-g", "10", "-b:v", "300k", "-pix_fmt", "yuv420p"),
            self.folder / "tape.mp4",
        )

    # --- servers ---

    def port(self, backend, offset=0):
        return 7000 + 100 * sorted(self.backends).index(backend) + offset

    def group(self, backend, stream):
        return f"239.255.{sorted(self.backends).index(backend)}.{[*STREAMS].index(stream)}:7500"

    def start_server(self, backend):
        """Also after it was killed: the configuration and the ports stay the same."""
        config = {
            "daemon": {
                "name": backend,
                "http": f"0.0.0.0:{self.port(backend)}",
                "rtsp": f"0.0.0.0:{self.port(backend, RTSP)}",
                "tls": "auto",
                "multicast_interface": HOME,
            },
            "tls": {
                "certificate": self.authority.folder / "server.pem",
                "key": self.authority.folder / "server.key",
            },
            "mqtt": {
                "broker": HOME,
                "port": BROKER_PORT,
                "username": "server",
                "password_file": self.folder / "server-word",
                "insecure": True,  # the network is our own
                "id": f"soak-{backend}",
                "keepalive": 5,
            },
        }
        for camera in ("front", "side", "demand"):
            config[f"camera {camera}"] = dict(SMALL)
        config["camera tape"] = {"source": f"file:{self.folder}/tape.mp4"}
        for stream, (camera, framings) in STREAMS.items():
            config[f"stream {stream}"] = {"camera": camera, **KEYS[stream]}
            if stream != "front-jpeg":
                config[f"stream {stream}"]["sei"] = True
                config[f"stream {stream}"]["multicast"] = self.group(backend, stream)
            for framing, offset in framings.items():
                config[f"stream {stream}"][framing] = f"0.0.0.0:{self.port(backend, offset)}"
        if old := self.servers.get(backend):
            self.ended.append((backend, old.log()[-40:]))
        self.servers[backend] = harness.Camcastd(
            config, self.folder, backend=backend, env=self.clocks[backend].environment
        )

    def worker(self, backend, camera):
        """The pid of a camera's worker; 0: there is none now."""
        return self.servers[backend].camera(camera)["pid"]

    # --- clients ---

    def client_words(self):
        word = str(self.folder / "client-word")
        return ["--username", "client", "--password-file", word, "--insecure"]

    def start_recorder(self):
        self.recorder = recordings.Recorder(
            self.broker, self.disk / "recordings", "--all", "--segment", "30s", "--json",
            *self.client_words(), env=self.clocks["record"].environment,
        )  # fmt: skip

    def start_view(self):
        self.view = screen.View(
            DummyScreen, "--all", "--broker", f"{HOME}:{BROKER_PORT}", *self.client_words(),
            folder=self.folder,
        )  # fmt: skip

    def discover(self):
        """The servers that `camcast discover` finds and that are online."""
        done = subprocess.run(
            [harness.BUILD / "camcast", "discover", "--json", "--broker", f"{HOME}:{BROKER_PORT}"]
            + self.client_words(),
            capture_output=True,
            timeout=20 * harness.PATIENCE,
            check=False,
        )
        if done.returncode:
            return []
        return sorted(one["name"] for one in json.loads(done.stdout) if one["online"])

    def _viewers(self, place):
        for backend in self.backends:
            turns = collections.defaultdict(itertools.count)  # so that no way is left out
            for kind, streams in CROWD.items():
                for stream, numbers in streams.items():
                    camera, framings = STREAMS[stream]
                    codec = "mjpeg" if stream == "front-jpeg" else "h264"
                    known = ways.of(codec, framings, kind)
                    if place == "far":  # where there are fewer viewers than ways, and no groups
                        known = [way for way in reversed(known) if way != ways.MULTICAST]
                    for number in range(numbers[place == "far"]):
                        way = known[next(turns[kind, stream]) % len(known)]
                        offset = RTSP if way.startswith("rtsp") else framings.get(way, 0)
                        yield {
                            "name": f"{backend}-{stream}-{way}-{kind}-{place}-{number}",
                            "server": backend,
                            "camera": camera,
                            "stream": stream,
                            "place": place,
                            "kind": kind,
                            "codec": codec,
                            "way": way,
                            "tls": way.endswith(ways.TLS)
                            or way in framings and "tls" in KEYS[stream],
                            "host": HOME,
                            "port": self.port(backend, offset),
                            "rate": SLOW_RATE,
                        }

    # --- the end ---

    def logs(self):
        """(program, lines) of all that runs, and of what was ended by faults."""
        found = [(f"{name} (ended)", lines) for name, lines in self.ended[-4:]]
        found += [(backend, server.log()) for backend, server in self.servers.items()]
        found += [
            (name, list(program.lines))
            for name, program in (("record", self.recorder), ("view", self.view))
            if program
        ]
        if self.broker:
            found.append(("mosquitto", list(self.broker.log)))
        return found

    def stop(self):
        """Ends everything in order; returns what did not end as it should."""
        failures = []
        for crowd in self.crowds:
            crowd.process.kill()
            crowd.process.wait()
            crowd.log.close()

        def attempt(action):
            try:
                action()
            except (AssertionError, subprocess.TimeoutExpired) as error:
                failures.append(str(error))

        if self.view:
            self.view.process.send_signal(signal.SIGTERM)
            attempt(self.view.wait_end)
        if self.recorder:
            attempt(self.recorder.stop)
        for server in self.servers.values():
            attempt(server.stop)
        if self.broker:
            attempt(self.broker.stop)
        return failures

    def close(self):
        """For whatever was left by an exception."""
        for crowd in self.crowds:
            if crowd.process.poll() is None:
                crowd.process.kill()
        for program in (self.view, self.recorder, *self.servers.values(), self.broker):
            if program and program.process.poll() is None:
                program.kill()
        self.home.__exit__()
        self._stack.close()


