# SPDX-License-Identifier: BSD-2-Clause
"""Runs the real camcastd for a test: a configuration with port 0 everywhere, the ports that it
then chose, its log and status to wait on, and a stop that leaves nothing behind.

Nothing here sleeps for readiness: waits end with a log line, an answer of the status server, or a
failure that shows the log.
"""
import ctypes
import json
import os
import pathlib
import random
import re
import resource
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("CAMCAST_BUILD", ROOT / "build")).resolve()
SAN = os.environ.get("SAN", "")
# Deadlines are for failing; sanitizers and loaded machines make everything slower.
PATIENCE = float(os.environ.get("CAMCAST_PATIENCE", "5" if SAN else "2"))

FEED_LINE = re.compile(r"feed (\S+): listening on (\S+):(\d+)")
RTSP_LINE = re.compile(r"rtsp: listening on (\S+):(\d+)")
HTTP_LINE = re.compile(r"http: listening on (\S+):(\d+)")
SANITIZER_LINE = re.compile(r"(ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|: runtime error: )")
FRAMINGS = ("annexb", "length_prefixed")
# For an ffmpeg that decodes into a format without times (rawvideo, null): each picture once, at its
# own time. Otherwise it rounds times to its idea of the frame rate, and complains of two pictures
# that have the same then, such as those of a new worker, which begins between two beats of the old.
EACH_PICTURE = ["-fps_mode", "passthrough", "-enc_time_base", "1/90000"]
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(AssertionError):
    """Something that was waited for did not come; carries the end of the log."""


def die_with_parent():
    """In a child: if the thread that started this process ends, by SIGKILL for example, so does it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(command, **options):
    """subprocess.Popen of a program that ends with the thread that starts it. By setpriv, as with
    preexec_fn Python copies itself for each program: 45 ms of processor time instead of 12."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command], **options)


def output_of(*command, **options):
    """The standard output of a tool that has to succeed, as text; the failure shows what it said."""
    words = " ".join(map(str, command))
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, **options
        )
    except OSError as error:
        raise Failure(f"{words}: {error}") from None
    if done.returncode:
        raise Failure(f"{words}: ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def run(command, timeout=30, **options):
    """Runs a program to its end; its output and messages are text."""
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout * PATIENCE,
        check=False,
        **options,
    )


def allow_many_files():
    """For a test with a thousand sockets of its own: the limit is often 1,024 and may be many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(20000, hard)), hard))


def free_port(*addresses, kind=socket.SOCK_STREAM):
    """A port that is free on all of these addresses (127.0.0.1). Not one of those that the kernel
    gives to whoever asks for any: another test may have been given it before it is used."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first_given = int(file.read().split()[0])
    for _ in range(1000):
        port = random.randrange(20000, max(20001, first_given))
        try:
            for address in addresses or ["127.0.0.1"]:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                with socket.socket(family, kind) as probe:
                    probe.bind((address, port))
        except OSError:
            continue
        return port
    raise Failure("no free port")


def with_mount(mount):
    """Words to put before a command, which then has a mount namespace of its own in which the shell
    command `mount` was run. None where that is not allowed."""
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if tried.returncode == 0 else None


def config_text(config):
    """Configuration text from {"section": {key: value}}; values True and False are yes and no."""
    if isinstance(config, str):
        return config
    lines = []
    for section, keys in config.items():
        lines.append(f"[{section}]")
        for key, value in keys.items():
            if isinstance(value, bool):
                value = "yes" if value else "no"
            lines.append(f"{key} = {value}")
        lines.append("")
    return "\n".join(lines)


def pattern_config(stream=None, camera=None, daemon=None, framing="annexb"):
    """One pattern camera `cam`, small enough for any machine, and one stream with SEI, `s`."""
    config = {
        "daemon": {"name": "test", "http": "127.0.0.1:0"},
        "camera cam": {"source": "pattern", "size": "320x180", "framerate": 30},
        "stream s": {"camera": "cam", "codec": "h264", "bitrate": 1000000, "sei": True},
    }
    config["stream s"][framing] = "127.0.0.1:0"
    config["daemon"].update(daemon or {})
    config["camera cam"].update(camera or {})
    config["stream s"].update(stream or {})
    return config


def io_uring_errno():
    """0, or why the kernel refuses io_uring here (a container's seccomp filter, say)."""
    params = ctypes.create_string_buffer(120)
    fd = LIBC.syscall(425, 1, params)
    if fd < 0:
        return ctypes.get_errno()
    os.close(fd)
    return 0


def processes_with(marker):
    """{pid: name} of live processes (zombies apart) whose environment holds marker."""
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/environ", "rb") as file:
                if marker.encode() not in file.read():
                    continue
            with open(f"/proc/{entry.name}/stat", encoding="ascii", errors="replace") as file:
                stat = file.read()
        except OSError:
            continue
        if stat.rpartition(")")[2].split()[0] != "Z":
            found[int(entry.name)] = stat[stat.index("(") + 1 : stat.rindex(")")]
    return found


def kill_with_descendants(process, marker):
    """SIGKILL for a Popen and all that carry its marker."""
    for pid in [process.pid, *processes_with(marker)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()


class Camcastd:
    """One running camcastd. Use as a context manager, or through the fixture `camcastd`."""

    def __init__(self, config, folder, backend=None, args=(), env=None, wait=True, headers=None):
        """headers: of the requests that this class makes itself, for its right to see the status."""
        self.headers = headers or {}
        folder = pathlib.Path(folder)
        self.backend = backend
        text = self._text(config)
        self.config_path = folder / f"config-{uuid.uuid4().hex[:8]}.ini"
        self.config_path.write_text(text)
        self.marker = f"CAMCAST_TEST={uuid.uuid4().hex}"
        self.expected_exit = 0
        self.ports = {}  # feed name: list of ports, in the order of its listeners
        self.http_port = None
        self.rtsp_port = None
        self.lines = []
        self._changed = threading.Condition()
        self._ended = False
        key, value = self.marker.split("=")
        environ = dict(os.environ, **{key: value}, **(env or {}))
        environ.setdefault("ASAN_OPTIONS", "detect_leaks=1")
        environ.setdefault("STATE_DIRECTORY", str(folder / "state"))
        # Tests announce nothing on the network of this machine.
        environ.setdefault("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        self.process = start(
            [BUILD / "camcastd", "-c", self.config_path, *args],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environ,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if wait:
            try:
                self._wait_listening(text)
            except BaseException:
                self.kill()
                raise

    # --- configuration ---

    def _text(self, config):
        text = config_text(config)
        if self.backend:
            chosen = f"[daemon]\nbackend = {self.backend}"
            text = re.sub(r"(?m)^\[daemon\]$", chosen, text, count=1)
            assert chosen in text, "the configuration has no [daemon] section"
        return text

    def reload(self, config, refused=False):
        """Another configuration, and SIGHUP; waits until it is in force, or refused. Returns the
        lines of the log."""
        after = self.log_position()
        self.config_path.write_text(self._text(config))
        self.process.send_signal(signal.SIGHUP)
        end = "the configuration is not changed: " if refused else "the configuration .* is in force"
        self.wait_log(end, after=after)
        lines = self.log()[after:]
        ports = {}
        for match in filter(None, map(FEED_LINE.search, lines)):
            ports.setdefault(match[1], []).append(int(match[3]))
        self.ports.update(ports)
        return lines

    # --- log ---

    def _read_log(self):
        for raw in self.process.stderr:
            line = raw.decode(errors="replace").rstrip("\n")
            with self._changed:
                self.lines.append(line)
                if match := FEED_LINE.search(line):
                    self.ports.setdefault(match[1], []).append(int(match[3]))
                if match := HTTP_LINE.search(line):
                    self.http_port = int(match[2])
                if match := RTSP_LINE.search(line):
                    self.rtsp_port = int(match[2])
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait_listening(self, text):
        listeners = 0
        for framing in FRAMINGS:
            for value in re.findall(rf"(?m)^{framing}\s*=\s*([^;\n]*)", text):
                listeners += len(value.replace(",", " ").split())
        http = bool(re.search(r"(?m)^http\s*=\s*\S", text))
        rtsp = bool(re.search(r"(?m)^rtsp\s*=\s*\S", text))
        self.wait_until(
            lambda: sum(map(len, self.ports.values())) >= listeners
            and (self.http_port or not http)
            and (self.rtsp_port or not rtsp),
            f"{listeners} listening feeds",
        )

    def log(self):
        with self._changed:
            return list(self.lines)

    def log_position(self):
        """For wait_log(after=): the lines that come from now on."""
        with self._changed:
            return len(self.lines)

    def wait_log(self, pattern, timeout=10, after=0):
        """The first match of pattern in the log from line `after` on."""
        regex = re.compile(pattern)

        def look():
            with self._changed:
                for line in self.lines[after:]:
                    if match := regex.search(line):
                        return match
            return None

        return self.wait_until(look, f"a log line with /{pattern}/", timeout)

    # --- status ---

    def get(self, path, timeout=5):
        """(HTTP status, body) of the status server."""
        url = f"http://127.0.0.1:{self.http_port}{path}"
        try:
            question = urllib.request.Request(url, headers=self.headers)
            with urllib.request.urlopen(question, timeout=timeout * PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self):
        code, body = self.get("/status.json")
        assert code == 200, body
        return json.loads(body)

    def part(self, kind, name, status=None):
        """The status of one of "cameras", "streams", "feeds", by name."""
        status = status or self.status()
        for item in status[kind]:
            if item["name"] == name:
                return item
        raise KeyError(f"no {name} among the {kind} of {json.dumps(status, indent=1)}")

    def feed(self, name="s/annexb"):
        return self.part("feeds", name)

    def stream(self, name="s"):
        return self.part("streams", name)

    def camera(self, name="cam"):
        return self.part("cameras", name)

    # --- waiting ---

    def wait_until(self, predicate, what, timeout=10):
        """Waits for predicate() to be true and returns its value. It is asked again at each log
        line and every 50 ms; on a slow machine less often, so that asking takes little of its time."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            with self._changed:
                ended = self._ended
            asked = time.monotonic()
            value = predicate()
            if value:
                return value
            if ended:
                code = self.process.poll()
                raise Failure(f"camcastd ended ({code}) before {what}" + self._tail())
            if time.monotonic() > deadline:
                raise Failure(f"no {what} within {timeout * PATIENCE:g} s" + self._tail())
            with self._changed:
                self._changed.wait(min(0.5, max(0.05, 5 * (time.monotonic() - asked))))

    def wait_flowing(self, feed="s/annexb", units=1, timeout=20):
        """Waits until the feed has published `units` more units than now."""
        start = self.feed(feed)["units"]
        self.wait_until(
            lambda: self.feed(feed)["units"] >= start + units, f"{units} units of {feed}", timeout
        )

    def _tail(self):
        return "; its log:\n  " + "\n  ".join(self.log()[-40:])

    # --- processes ---

    def port(self, feed="s/annexb"):
        return self.ports[feed][0]

    def workers(self):
        """Pids of the capture workers now running."""
        return sorted(pid for pid in processes_with(self.marker) if pid != self.process.pid)

    def memory(self):
        """Resident bytes of camcastd, shared log pages included."""
        return self._pages()[0] * os.sysconf("SC_PAGESIZE")

    def private_memory(self):
        """The same without what is shared: log pages, and files."""
        resident, shared = self._pages()
        return (resident - shared) * os.sysconf("SC_PAGESIZE")

    def _pages(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return [int(number) for number in file.read().split()[1:3]]

    def cpu_s(self):
        """Seconds of processor time that camcastd has used."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self, timeout=5):
        """SIGTERM, then checks: exit status, no process left, no sanitizer report."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("camcastd did not end at SIGTERM" + self._tail()) from None
        deadline = time.monotonic() + 3 * PATIENCE
        while left := processes_with(self.marker):
            if time.monotonic() > deadline:
                self.kill()
                raise Failure(f"left running after the stop: {left}" + self._tail())
            time.sleep(0.02)
        self._reader.join(5)
        self.process.stderr.close()
        if code != self.expected_exit:
            raise Failure(f"camcastd ended with {code}" + self._tail())
        if reports := [line for line in self.lines if SANITIZER_LINE.search(line)]:
            raise Failure(f"{reports[0]}" + self._tail())
        return code

    def kill(self):
        """For failed tests: ends camcastd and all that it started, without checks."""
        kill_with_descendants(self.process, self.marker)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.kill()
