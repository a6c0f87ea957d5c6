# SPDX-License-Identifier: BSD-2-Clause
"""The servers that are measured, one class each. `with` starts a server with a recording or units
of an exact size. It then has a `target` (the address for camload), `options` (those of camload) and a
`pid` (the process whose CPU time counts). The camera runs on the core of the load generator, and
the server on a core of its own.
"""
import contextlib
import json
import os
import pathlib
import re
import resource
import socket
import subprocess
import tempfile
import time
import urllib.request

import footage

BUILD = pathlib.Path(os.environ.get("CAMCAST_BUILD", "build")).resolve()
SERVER_CORE, LOAD_CORE = 0, min(1, os.cpu_count() - 1)
HERE = THERE = "127.0.0.1"  # the address of servers, and the one that camload uses
CLIENTS = ()  # what runs camload where the clients are
READY_S = 20  # the longest start of a server


class Failed(RuntimeError):
    """A server did not start, or ended by itself."""


def go(here, there, clients=()):
    """Uses another network (networks.py)."""
    global HERE, THERE, CLIENTS
    HERE, THERE, CLIENTS = here, there, clients


def free_port():
    with socket.create_server((HERE, 0)) as listener:
        return listener.getsockname()[1]


def wait_for(what, condition):
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise Failed(f"{what}: not ready within {READY_S} s")


def reached(port):
    return f"{THERE}:{port}"


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex((HERE, port)) == 0


def listens(port):
    """Whether somebody listens on a port of IPv4. Unlike accepts() this takes no connection."""
    sockets = pathlib.Path("/proc/net/tcp").read_text(encoding="ascii")
    return re.search(rf"(?m)^ *\d+: \w+:{port:04X} \w+:0000 0A ", sockets) is not None


def sends(url):
    """Whether the URL delivers a byte of the stream."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.read(1) != b""
    except OSError:
        return False


class Server:
    """The common part of all servers: a folder, processes on their core, and their end."""

    name = ""
    packages = ()  # Debian packages that the server needs
    options = ()  # options of camload

    def __init__(self, recording=None, size=None, clients=None, rate=footage.RATE):
        self.recording, self.size, self.clients, self.rate = recording, size, clients, rate
        self.folder = None
        self.processes = []
        self.target = None
        self.profile_s, self.profile = 0, {}

    def run(self, *command, core=SERVER_CORE, user=None, **options):
        """Starts a process; the first one that is started on SERVER_CORE is the server."""

        def prepare():
            if core is not None:
                os.sched_setaffinity(0, {core})
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            if user and os.getuid() == 0:
                os.setgid(user)
                os.setuid(user)

        log = open(self.folder / f"log-{len(self.processes)}", "ab")
        options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log} | options
        process = subprocess.Popen(list(map(str, command)), preexec_fn=prepare, **options)
        log.close()
        self.processes.append(process)
        return process

    def publish(self, form, *words, **options):
        """Starts the camera: it plays the recording, each unit when it is due."""
        return self.run(
            *(BUILD / "bench/peers/publish", "-i", self.recording, "-f", form, *words),
            core=LOAD_CORE,
            **options,
        )

    def start(self):
        raise NotImplementedError

    def log(self):
        return "".join(
            path.read_text(encoding="utf-8", errors="replace")[-1500:]
            for path in sorted(self.folder.glob("log-*"))
        )

    @property
    def pid(self):
        return self.processes[0].pid

    def status(self):
        """The status of the server, or None if it has none."""

    @contextlib.contextmanager
    def profiled(self):
        """With profile_s set: {program, library or kernel: % of the samples} in `profile`."""
        if not self.profile_s:
            yield
            return
        data = self.folder / "perf.data"
        record = ["perf", "record", "-q", "-F", "999", "-o", data, "-p", str(self.pid)]
        # Begins late, because connecting is not part of the profile.
        command = ["sh", "-c", 'sleep "$1"; shift; exec "$@"', "sh", str(2 + self.profile_s / 2)]
        command += [*record, "--", "sleep", str(self.profile_s)]
        perf = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
        yield
        _, said = perf.communicate()
        if not data.exists():
            raise Failed(f"perf: {said}")
        report = ["perf", "report", "-i", data, "--stdio", "--sort", "dso"]
        done = subprocess.run(list(map(str, report)), capture_output=True, text=True, check=True)
        found = re.findall(r"^ +([\d.]+)% +(\S+)", done.stdout, re.MULTILINE)
        self.profile = {name: float(percent) for percent, name in found}

    def alive(self):
        return self.processes[0].poll() is None

    def __enter__(self):
        # pylint: disable-next=consider-using-with
        self._temporary = tempfile.TemporaryDirectory(prefix="camcast-bench-")
        self.folder = pathlib.Path(self._temporary.name)
        self.folder.chmod(0o755)
        self.processes = []
        try:
            self.start()
        except BaseException as error:
            text = self.log()
            self.__exit__()
            if isinstance(error, (Failed, OSError, subprocess.SubprocessError)):
                raise Failed(f"{self.name}: {error}\n{text}") from error
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        self._temporary.cleanup()

    def wait_line(self, pattern):
        found = []

        def look():
            if not self.alive():
                raise Failed("ended at once")
            found[:] = re.findall(pattern, self.log())
            return bool(found)

        wait_for(f"/{pattern}/", look)
        return found[0]


UDP = ("--transport", "udp")


class Floor(Server):
    """The bare loop. It waits for exactly its number of clients. words: for camload; modes of UDP
    also need UDP or the like."""

    def __init__(self, mode, words=(), **options):
        super().__init__(**options)
        self.mode, self.options = mode, words
        self.name = f"floor {mode}"

    def start(self):
        units = ("--footage", self.recording) if self.recording else ("--size", self.size)
        self.run(
            *(BUILD / "bench/floor", "--mode", self.mode, "--clients", self.clients),
            *(*units, "--seconds", 3600, "--host", HERE),
        )
        self.target = reached(self.wait_line(r"listening on (\d+)"))
        if self.options:
            self.target = f"rtsp://{self.target}/floor"


CONFIG = """[daemon]
backend = {backend}
http = 127.0.0.1:0
{capture}
{daemon}
[camera cam]
source = pattern
size = 1280x720
framerate = 30
[stream s]
camera = cam
codec = h264
bitrate = 2000000
sei = yes
{policy}
annexb = {host}:0
"""
MJPEG_CONFIG = CONFIG.partition("codec")[0] + "codec = mjpeg\n{policy}\n"


TOKEN = "0123456789abcdef0123"


def kernel_has_tls():
    """Once its module is loaded."""
    return "tls" in pathlib.Path("/proc/sys/net/ipv4/tcp_available_ulp").read_text("ascii").split()


def make_certificate(folder):
    """(certificate, key), in files."""
    command = [BUILD / "camcastd", f"--make-certificate={folder}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "certificate.pem", folder / "key.pem"


class Camcastd(Server):
    """Default settings; bench/feeder is its camera process. daemon, policy: further keys of
    [daemon] and of the stream. way: the end of the path by HTTP; "rtsp"; "": raw TCP. tls: "tls",
    or "tls without AES", whose instructions are then hidden from the server, or "tls in the
    kernel"; raw TCP only. users: only who has a token, or, over raw TCP, an address that the stream
    names, may watch. core: that of the load generator, where another server is measured that gets
    its units from this one. sei: the units have numbers and times, which latencies need."""

    def __init__(
        self, backend, daemon="", policy="", feeder=True, way="", words=(), tls="",
        users=False, core=SERVER_CORE, sei=True, **options
    ):
        super().__init__(**options)
        self.tls, self.users, self.core, self.sei = tls, users, core, sei
        self.backend, self.daemon, self.policy, self.feeder = backend, daemon, policy, feeder
        self.way, self.options = way, words
        self.name = " ".join(filter(None, ("camcastd", backend, way, tls, "users" * users, *words[1:])))
        self.http = None

    def start(self):
        config = self.folder / "config.ini"
        capture = f"capture = {BUILD}/bench/feeder" if self.feeder else ""
        form = MJPEG_CONFIG if self.way == ".mjpg" else CONFIG
        daemon = self.daemon + (f"\nrtsp = {HERE}:0" if self.way == "rtsp" else "")
        daemon += "\nanonymous = status" * self.users
        config.write_text(
            form.format(
                backend=self.backend,
                capture=capture,
                daemon=daemon,
                policy=self.policy,
                host=HERE,
            ),
            encoding="utf-8",
        )
        if self.tls:
            certificate, key = make_certificate(self.folder / "tls")
            with config.open("a", encoding="utf-8") as file:
                file.write(f"tls = yes\n[tls]\ncertificate = {certificate}\nkey = {key}\n")
                file.write(f"kernel = {'auto' if self.tls == 'tls in the kernel' else 'no'}\n")
        if self.users:
            token = self.folder / "token"
            token.touch(0o600)
            token.write_text(TOKEN, encoding="ascii")
            with config.open("a", encoding="utf-8") as file:
                file.write(f"allow = 127.0.0.0/8\n[user bench]\ntoken_file = {token}\n")
        environ = dict(
            os.environ,
            CAMCAST_FEEDER=f"size={self.size or 33000} rate={self.rate} keyint=30 "
            f"sei={self.sei:d} cpu={LOAD_CORE}",
        )
        if self.recording:
            environ["CAMCAST_FOOTAGE"] = str(self.recording)
        if self.tls == "tls without AES":
            environ["OPENSSL_ia32cap"] = "~0x200000200000000:~0x60000000000"
        # camcastd is pinned only with the feeder: a real camera process needs a core, too.
        core = self.core if self.feeder else None
        self.run(BUILD / "camcastd", "-c", config, env=environ, core=core)
        self.http = self.wait_line(r"http: listening on \S+:(\d+)")
        if self.way == "rtsp":
            port = self.wait_line(r"rtsp: listening on \S+:(\d+)")
            self.target = f"rtsp://{reached(port)}/s"
        elif self.way:
            self.target = f"http://127.0.0.1:{self.http}/s{self.way}"
        else:
            self.target = reached(self.wait_line(r"feed \S+: listening on \S+:(\d+)"))
        if self.tls:
            self.target = f"tls://{self.target}"
        if self.users and self.way:
            self.target += f"?token={TOKEN}"
        if self.users and self.way.startswith("."):  # camload sees no ending of the path
            self.options = (*self.options, "--framing", self.way[1:])

    def status(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/status.json") as answer:
            return json.load(answer)
