# SPDX-License-Identifier: BSD-2-Clause
"""camcastd against the floor, in interleaved rounds, and capture to last client by SEI time.

Each measurement is one server on one core with one load generator on the other; within a round all
servers are measured one after the other for one number of clients and one unit size, and a ratio is
always of two figures of the same round.
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request

BUILD = pathlib.Path(os.environ["CAMCAST_BUILD"]).resolve()
SERVER_CORE, LOAD_CORE = 0, 1
FLOORS = ["send", "sendfile", "uring"]
BACKENDS = ["epoll", "io_uring"]
FULL = [(size, n) for size in (8000, 33000) for n in (1, 10, 100, 500, 1000, 2000)]
FULL += [(128000, n) for n in (100, 500)]
QUICK = [(8000, 100), (8000, 1000)]

CONFIG = """[daemon]
backend = {backend}
http = 127.0.0.1:0
{capture}
[camera cam]
source = pattern
size = 1280x720
framerate = 30
[stream s]
camera = cam
codec = h264
bitrate = 2000000
sei = yes
annexb = 127.0.0.1:0
"""


def pin_to(core):
    return lambda: os.sched_setaffinity(0, {core})


def read_until(stream, pattern):
    """The match of pattern in the first line that has it."""
    seen = []
    for line in stream:
        seen.append(line)
        if match := re.search(pattern, line):
            return match
    raise RuntimeError(f"no /{pattern}/ from a server that said: {''.join(seen)}")


class Server:
    """A floor or a camcastd, started, with its port and the pid to charge."""

    def __init__(self, kind, size, clients):
        self.folder = tempfile.TemporaryDirectory(prefix="camcast-bench-")
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+", encoding="utf-8")
        name, variant = kind
        if name == "floor":
            command = [BUILD / "bench/floor", "--mode", variant, "--clients", clients]
            command += ["--size", size, "--seconds", 3600]
            environ = os.environ
            output = {"stdout": subprocess.PIPE, "stderr": self.log}
        else:
            config = pathlib.Path(self.folder.name) / "config.ini"
            capture = f"capture = {BUILD}/bench/feeder" if name == "camcastd" else ""
            config.write_text(CONFIG.format(backend=variant, capture=capture), encoding="utf-8")
            command = [BUILD / "camcastd", "-c", config]
            environ = dict(
                os.environ, CAMCAST_FEEDER=f"size={size} rate=30 keyint=30 cpu={LOAD_CORE}"
            )
            output = {"stderr": subprocess.PIPE}
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=environ,
            text=True,
            # The pattern and its encoder want a core, too: only bare servers are pinned.
            preexec_fn=pin_to(SERVER_CORE) if name != "camera" else None,
            **output,
        )
        stream = self.process.stdout if name == "floor" else self.process.stderr
        self.port = int(read_until(stream, r"listening on (?:\S+:)?(\d+)")[1])
        self.http = None
        if name != "floor":
            self.http = int(read_until(stream, r"http: listening on \S+:(\d+)")[1])

    def status(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/status.json") as answer:
            return json.load(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The floor ends by itself when the clients leave.
        self.process.terminate()
        self.process.communicate(timeout=20)
        self.log.close()
        self.folder.cleanup()


def load(server, clients, seconds, *options):
    command = [BUILD / "bench/camload", f"127.0.0.1:{server.port}", "--clients", clients]
    command += ["--pid", server.process.pid, "--cpu", LOAD_CORE, "--duration", seconds]
    command += ["--json", "-", *options]
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout)


def measure(kind, size, clients, seconds):
    with Server(kind, size, clients) as server:
        # The floor's warm-up units are a second's worth, too.
        result = load(
            server, clients, seconds, "--scan", 0, "--unit-size", size, "--warm-up", 1.2
        )
        if server.http:
            feed = server.status()["feeds"][0]
            result["bytes_per_send"] = feed["sent_bytes"] / (feed["sends"] + feed["sendfiles"])
        return result


def cost(result):
    return result["server"]["us_per_client_unit"]


def check(kind, size, clients, seconds, result):
    """What would make a figure worthless."""
    expected = 30 * seconds * clients
    problems = []
    if not 0.95 < result["deliveries"] / expected < 1.05:
        problems.append(f"{result['deliveries']:.0f} units arrived, not {expected:.0f}")
    lost = ("never_served", "ended_by_server", "reset_by_server")
    if any(result["connections"][key] for key in lost):
        problems.append("clients lost")
    if result["generator"]["cpu_percent"] > 90:
        problems.append(f"the generator was busy for {result['generator']['cpu_percent']} %")
    # Under strain camcastd sends several units at once, which a bare loop never does. (Clients that
    # join are sent several at once, too.)
    if not 0.97 < result.get("bytes_per_send", size) / size < 1.10:
        problems.append(f"{result['bytes_per_send']:.0f} bytes a send")
    for problem in problems:
        print(f"# {' '.join(kind)} {size} B x {clients}: {problem}", file=sys.stderr)
    return not problems


def spread(values):
    middle = statistics.median(values)
    return f"{middle:.2f} ({min(values):.2f}-{max(values):.2f})"


def compare(cases, rounds, seconds):
    """[{size, clients, kinds: {kind: [us in each round]}, ratios: {kind: [to send]}}]"""
    kinds = [("floor", mode) for mode in FLOORS] + [("camcastd", name) for name in BACKENDS]
    found = []
    for size, clients in cases:
        case = {"size": size, "clients": clients, "us": {}, "ratio": {}, "doubtful": 0}
        for number in range(rounds):
            order = kinds[number % len(kinds) :] + kinds[: number % len(kinds)]
            costs = {}
            for kind in order:
                result = measure(kind, size, clients, seconds)
                case["doubtful"] += not check(kind, size, clients, seconds, result)
                costs[kind] = cost(result)
            for kind, value in costs.items():
                name = " ".join(kind)
                case["us"].setdefault(name, []).append(value)
                case["ratio"].setdefault(name, []).append(value / costs["floor", "send"])
        found.append(case)
        print_rows([case], header=len(found) == 1)
    return found


def print_rows(cases, header):
    names = [f"floor {mode}" for mode in FLOORS] + [f"camcastd {name}" for name in BACKENDS]
    if header:
        print("\nus of server CPU per client and unit, median (lowest-highest) of the rounds; and")
        print("camcastd's ratio to the bare send() loop of the same round\n")
        print("| unit | clients | " + " | ".join(names) + " | epoll/send | io_uring/send |")
        print("|---" * (len(names) + 4) + "|")
    for case in cases:
        cells = [spread(case["us"][name]) for name in names]
        cells += [spread(case["ratio"][f"camcastd {name}"]) for name in BACKENDS]
        mark = " (doubtful)" if case["doubtful"] else ""
        print(f"| {case['size']} B{mark} | {case['clients']} | " + " | ".join(cells) + " |")
    sys.stdout.flush()


def latencies(seconds, clients):
    print(f"\nCapture to the last of {clients} clients, 720p30 pattern at 2 Mbit/s, ms\n")
    print("| backend | p50 | p90 | p99 | p99.9 | max | samples | sees every |")
    print("|---|---|---|---|---|---|---|---|")
    found = {}
    for backend in BACKENDS:
        with Server(("camera", backend), 0, clients) as server:
            result = load(server, clients, seconds, "--scan", clients, "--warm-up", 2)
        found[backend] = result
        last = result["latency_last_ms"]
        cells = [f"{last[key]:.1f}" for key in ("p50", "p90", "p99", "p99.9", "max")]
        cells += [str(last["n"]), f"{result['generator']['tick_p99_ms']:.1f} ms (p99)"]
        print(f"| {backend} | " + " | ".join(cells) + " |")
    for backend, result in found.items():
        judged = result["healthy"]
        steps = ", ".join(f"<={a:g}: {b}" for a, b in result["latency_last_ms"]["histogram"])
        print(f"\n{backend}, last client, units by ms: {steps}")
        print(f"{judged['units']} units judged, {judged['missed']} missed", end="; ")
        print(f"p99 of all clients {judged['latency_ms']['p99']:.1f} ms")
    sys.stdout.flush()
    return found


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    return (
        f"{os.cpu_count()} x {model[1] if model else platform.machine()}, "
        f"Linux {platform.release()}, load before {os.getloadavg()[0]:.1f}"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="two cases, under two minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--cases", help="SIZExCLIENTS,...")
    parser.add_argument("--only", choices=["compare", "latency"])
    parser.add_argument("--json", type=pathlib.Path, help="all figures into a file")
    options = parser.parse_args()
    cases = QUICK if options.quick else FULL
    if options.cases:
        cases = [tuple(map(int, case.split("x"))) for case in options.cases.split(",")]
    rounds = options.rounds or (2 if options.quick else 5)
    seconds = options.seconds or (2 if options.quick else 4)
    if os.cpu_count() < 2:
        sys.exit("two cores are needed: one for the server, one for the clients")
    with contextlib.suppress(PermissionError):
        os.nice(-20)  # as root, other people's work disturbs less
    print(f"{machine()}; {rounds} rounds of {seconds:g} s")
    found = {"machine": machine(), "rounds": rounds, "seconds": seconds}
    if options.only != "latency":
        found["compare"] = compare(cases, rounds, seconds)
    if options.only != "compare":
        found["latency"] = latencies(10 if options.quick else 30, 100)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


main()
