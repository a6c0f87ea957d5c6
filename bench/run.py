# SPDX-License-Identifier: BSD-2-Clause
"""All benchmarks: camcastd, the bare loops and other servers, with the same footage, in interleaved
rounds. Writes one JSON file, and saves it after each measurement; bench/report.py makes tables and
plots of it.

Each measurement is one server on one core with one load generator on the other. Within a round all
servers take turns for one number of clients, and each round begins with a different one, so that
other work on the machine affects all of them. A ratio is of two figures of the same round.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import built
import footage
import machine
import networks
import peers
import servers

FLOORS = ["send", "sendfile", "uring"]
BACKENDS = ["epoll", "io_uring"]
CLIENTS = [1, 10, 100, 500, 1000, 2000, 5000]
COST_CASES = [(size, n) for size in (8000, 33000) for n in (1, 10, 100, 500, 1000, 2000)]
COST_CASES += [(128000, n) for n in (100, 500)]
BACKEND_CASES = [(2000, 1000), (3000, 100), (8000, 100), (8000, 1000)]
BACKEND_CASES += [(33000, 100), (33000, 1000), (100000, 200)]
WAYS = ["", ".h264", ".mp4", ".ts", ".ws"]
HTTP_SIZE, HTTP_CLIENTS = 8000, [100, 500, 1000, 2000]
HTTP_PEER_CLIENTS = [100, 1000]
TLS_SIZES, TLS_CLIENTS = (8000, 33000), [10, 100, 500, 1000]
TLS_KINDS, TLS_IN_KERNEL = ("tls", "tls without AES"), ("tls in the kernel",)
HLS_CLIENTS, JPEG_SIZE, JPEG_CLIENTS = 1000, 33000, [100, 500, 1000]
RTSP_CLIENTS, RTSP_JOINS = [100, 500, 1000, 2000], 50
RTSP_PEER_CLIENTS = [10, 100, 500, 1000]
UDP_CLIENTS = [10, 100, 500, 2000]
UDP_MOST = 33000 * 1000  # bytes to all clients that a core can send where its kernel cuts them
RIGHTS_CLIENTS = [100, 1000]
# Newcomers get the newest key unit, which is up to a second old, instead of a fresh one.
JOIN_POLICY = "join_burst_ms = 1100\nshed_lag_ms = 1500"
MOST_CLIENTS = [3000, 4000, 5000, 6000, 7000, 8000]
SMALL_TCP_MEM = "10800 14400 21600"  # pages; the default of Linux on a machine of 1 GB
PROGRAMS = ["camcastd", "camcast-capture", *(f"bench/{name}" for name in ("camload", "feeder"))]
PROGRAMS += ["bench/floor", *(f"bench/peers/{name}" for name in ("camera.so", "link", "publish"))]
SLOW_S, ALONE_S = 60, 20


class Bench:
    """The options, and the results so far."""

    def __init__(self, options):
        self.options = options
        self.rounds, self.seconds = options.rounds, options.seconds
        self.rows = []
        self.skipped = []
        # (suite, server, footage or size, receivers): the number of clients it could not serve
        self.hopeless = {}
        self.begun = time.time()
        self.machine = machine.describe()  # with its load before the measurements

    def save(self):
        found = {
            "machine": self.machine,
            "versions": machine.versions(),
            "command": sys.argv,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "begun": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.begun)),
            "skipped": self.skipped,
            "rows": self.rows,
        }
        part = self.options.json.with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(found) + "\n", encoding="utf-8")
        part.rename(self.options.json)

    def wanted(self, server):
        return not self.options.servers or any(
            re.search(word, server.name) for word in self.options.servers.split(",")
        )

    def skip(self, what, why):
        print(f"# {what}: {why}", file=sys.stderr)
        self.skipped.append({"what": what, "why": why})

    def measure(self, server, number, case, words, expect=True):
        """Runs camload once against a server; case describes the run. Returns the result of
        camload, or None if there is none."""
        row = dict(case, server=server.name, round=number)
        label = ", ".join(f"{value}" for value in row.values())
        try:
            with server:
                result = load(server, words)
                if not server.alive() and not isinstance(server, servers.Floor):
                    raise servers.Failed(f"ended by itself\n{server.log()}")
                row["status"] = server.status()
        except (servers.Failed, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            row["failed"] = str(error)
            print(f"# {label}: {error}", file=sys.stderr)
            result = None
        else:
            row["result"] = pruned(result)
            row["doubts"] = doubts(case, result) if expect else []
            print(summary(label, result, row["doubts"]), flush=True)
        self.rows.append(row)
        self.save()
        return result

    def in_rounds(self, suite, cases, make, words):
        """make(case) returns new servers; words(case, server) returns the options of camload."""
        for number in range(self.rounds):
            for case in cases:
                line = [server for server in make(case) if self.wanted(server)]
                turn = number % len(line) if line else 0
                for server in line[turn:] + line[:turn]:
                    kind = case.get("footage", case.get("size"))
                    key = (suite, server.name, kind, case.get("receivers"))
                    if case["clients"] > self.hopeless.get(key, sys.maxsize):
                        continue
                    case = dict(case, suite=suite)
                    result = self.measure(server, number, case, words(case, server))
                    if result is None or not goes(case, result):
                        self.hopeless[key] = case["clients"]


def load(server, words):
    command = [*servers.CLIENTS, servers.BUILD / "bench/camload", server.target, *server.options, *words]
    command += ["--pid", server.pid, "--cpu", servers.LOAD_CORE, "--json", "-"]
    with server.profiled():
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, check=True, timeout=400
        )
    return json.loads(done.stdout)


def pruned(value):
    """The result without parts that are long, or the same for all rows."""
    if isinstance(value, dict):
        drop = ("environment", "histogram")
        return {key: pruned(part) for key, part in value.items() if key not in drop}
    if isinstance(value, list):
        return [pruned(part) for part in value]
    return value


def served(case, result):
    """The fraction of the due units that arrived."""
    due = case.get("rate", footage.RATE) * result["seconds"] * case["clients"]
    return result["deliveries"] / due


def goes(case, result):
    lost = result["connections"]["never_served"] + result["connections"]["still_waiting"]
    return served(case, result) > 0.9 and lost <= case["clients"] // 20


def doubts(case, result):
    """The reasons why a figure may be worthless."""
    found = []
    if not 0.95 < served(case, result) < 1.05:
        found.append(f"{100 * served(case, result):.0f} % of the units arrived")
    lost = {key: result["connections"][key] for key in ("ended_by_server", "reset_by_server")}
    if any(lost.values()):
        found.append("clients lost")
    if not result["generator"]["ok"]:
        found.append(result["generator"]["why"])
    return found


def summary(label, result, found):
    server, latency = result.get("server", {}), result["healthy"]["latency_ms"]
    text = f"{label}: {server.get('us_per_client_unit', 0):.2f} us"
    if latency["n"]:
        text += f", p50 {latency['p50']:.1f} p99 {latency['p99']:.1f} ms"
    return text + "".join(f"; {doubt}" for doubt in found)


# --- suites ---


def floors(**options):
    return [servers.Floor(mode, **options) for mode in FLOORS]


def camcastds(**options):
    return [servers.Camcastd(name, **options) for name in BACKENDS]


def some(bench, kinds, **options):
    """The peers that are installed."""
    for peer in kinds:
        missing = [name for name in peer.packages if not machine.installed(name)]
        if not missing:
            yield peer(**options)
        elif not any(row["what"] == peer.name for row in bench.skipped):
            bench.skip(peer.name, f"not installed: {', '.join(missing)}")


def others(bench, recording):
    return some(bench, peers.PEERS.values(), recording=recording)


def everybody(bench, recording, clients):
    bare = floors(recording=recording, clients=clients)
    return [*bare, *camcastds(recording=recording), *others(bench, recording)]


def unit_words(bench, case):
    """camload's options where all units have one exact size."""
    # With few clients the CPU time is that of few sends and wake-ups, which vary more.
    seconds = bench.seconds * (3 if case["clients"] <= 10 else 1)
    # The floor counts a second of units as warm-up, too.
    size = ("--scan", 0, "--unit-size", case["size"])
    return ("--clients", case["clients"], *size, "--duration", seconds, "--warm-up", 1.2)


def cost(bench):
    """Units of one exact size: the floor against camcastd."""
    cases = [(8000, 1000)] if bench.options.quick else COST_CASES
    bench.in_rounds(
        "cost",
        [{"size": size, "clients": n} for size, n in cases],
        lambda case: [
            *floors(size=case["size"], clients=case["clients"]),
            *camcastds(size=case["size"]),
        ],
        lambda case, server: unit_words(bench, case),
    )


def backends(bench):
    """Units of one exact size: camcastd with epoll against camcastd with io_uring."""
    bench.in_rounds(
        "backends",
        [{"size": size, "clients": n} for size, n in BACKEND_CASES],
        lambda case: camcastds(size=case["size"]),
        lambda case, server: unit_words(bench, case),
    )


def compare(bench):
    """The recordings: all servers."""
    kinds = ["720p"] if bench.options.quick else ["720p", "1080p"]
    numbers = bench.options.clients or ([100] if bench.options.quick else CLIENTS)
    bench.in_rounds(
        "compare",
        [{"footage": kind, "clients": n} for kind in kinds for n in numbers],
        lambda case: everybody(bench, footage.get(case["footage"]), case["clients"]),
        lambda case, server: (
            *("--clients", case["clients"], "--scan", min(10, case["clients"])),
            *("--duration", bench.seconds, "--warm-up", 1.2),
        ),
    )


def http(bench):
    """Each way over HTTP against raw TCP, units of one exact size."""
    bench.in_rounds(
        "http",
        [{"size": HTTP_SIZE, "clients": n} for n in bench.options.clients or HTTP_CLIENTS],
        lambda case: [
            servers.Camcastd(backend, size=case["size"], way=way)
            for backend in BACKENDS
            for way in WAYS
        ],
        lambda case, server: (
            *("--clients", case["clients"], "--scan", 5),
            *("--duration", bench.seconds, "--warm-up", 1.2),
        ),
    )


def tls(bench):
    """TLS against raw TCP, with and without AES in the processor, in the kernel if it has its module
    tls, and against nginx."""
    kernel = servers.kernel_has_tls()
    numbers = bench.options.clients or ([100] if bench.options.quick else TLS_CLIENTS)
    rate = bench.options.rate
    bench.in_rounds(
        "tls",
        [{"size": size, "clients": n, "rate": rate} for size in TLS_SIZES for n in numbers],
        lambda case: [
            *(
                servers.Camcastd(backend, size=case["size"], rate=rate, tls=kind)
                for backend in BACKENDS
                for kind in ("", *TLS_KINDS, *TLS_IN_KERNEL * kernel)
            ),
            *some(
                bench, [*peers.TLS, *peers.KERNEL_TLS * kernel], size=case["size"], rate=rate
            ),
        ],
        # To read often costs an emulated processor more than to serve.
        lambda case, server: (
            *(*unit_words(bench, case), "--connect-rate", bench.options.connect_rate),
            *("--read-every", 50) * bench.options.one_core,
        ),
    )


def http_peers(bench):
    """A recording by HTTP, against servers that send it in the same or a similar format."""
    recording = footage.get("720p")
    kinds = [peers.PEERS[name] for name in ("nginx-rtmp", "icecast2", "vlc")]
    bench.in_rounds(
        "http-peers",
        [{"footage": "720p", "clients": n} for n in bench.options.clients or HTTP_PEER_CLIENTS],
        lambda case: [
            *(
                servers.Camcastd(backend, recording=recording, way=way)
                for way in (".h264", ".mp4", ".ts")
                for backend in BACKENDS
            ),
            *some(bench, kinds, recording=recording),
        ],
        lambda case, server: (
            *("--clients", case["clients"], "--scan", 10),
            *("--duration", bench.seconds, "--warm-up", 1.2),
        ),
    )


def hls(bench):
    """The origin of HLS without a cache: players of parts, and of whole segments."""
    recording = footage.get("720p")
    clients = 100 if bench.options.quick else HLS_CLIENTS
    bench.in_rounds(
        "hls",
        [{"footage": "720p", "clients": clients}],
        lambda case: [
            *(
                servers.Camcastd(
                    backend, recording=recording, way=".m3u8", words=("--framing", framing)
                )
                for framing in ("hls", "hls-plain")
                for backend in BACKENDS
            ),
            *some(bench, peers.HLS, recording=recording),
            *(servers.Camcastd(backend, recording=recording, way=".mp4") for backend in BACKENDS),
        ],
        lambda case, server: (
            *("--clients", clients, "--scan", 10, "--warm-up", 7 if server.options else 2),
            *("--duration", max(bench.seconds, 4)),
        ),
    )


def mjpeg(bench):
    """MJPEG over HTTP: units of one exact size."""
    numbers = bench.options.clients or ([100] if bench.options.quick else JPEG_CLIENTS)
    bench.in_rounds(
        "mjpeg",
        [{"size": JPEG_SIZE, "clients": n} for n in numbers],
        lambda case: [
            *(servers.Camcastd(name, size=case["size"], way=".mjpg") for name in BACKENDS),
            *some(bench, peers.MJPEG, size=case["size"]),
        ],
        lambda case, server: (
            *("--clients", case["clients"], "--scan", 5),
            *("--duration", bench.seconds, "--warm-up", 1.2),
        ),
    )


def connect_rate(network, clients):
    """Of clients a second. RTSP has 128 places for those who do not play yet; on a busy machine a
    newcomer among a thousand viewers needs one for a quarter of a second. In a network all have one
    address, which gets few of the places."""
    if network != "loopback":
        return 200
    return 500 if clients <= 1000 else 250


def rtsp(bench, network="loopback"):
    """RTSP over TCP against the raw feed, units of one exact size. On loopback the kernel may delay
    the ACKs of clients that say something, as those of RTSP do, and then takes them in the server's
    time instead of the client's. There both are measured with either kind of ACKs."""
    numbers = bench.options.clients or ([100] if bench.options.quick else RTSP_CLIENTS)
    kinds = ("quick", "delayed") if network == "loopback" else ("auto",)
    bench.in_rounds(
        "rtsp",
        [{"size": HTTP_SIZE, "clients": n, "network": network} for n in numbers],
        lambda case: [
            servers.Camcastd(backend, size=case["size"], way=way, words=("--acks", acks))
            for backend in BACKENDS
            for acks in kinds
            for way in ("", "rtsp")
        ],
        lambda case, server: (
            *("--clients", case["clients"], "--scan", 5),
            *("--duration", bench.seconds, "--warm-up", 1.2),
            *("--connect-rate", connect_rate(network, case["clients"])),
        ),
    )


def rtsp_device(bench):
    """The same with the packets of Ethernet, through a device that cuts."""
    networks.run_inside(bench, "rtsp", networks.DEVICE)


def rtsp_udp(bench, network="loopback"):
    """RTSP over UDP against the bare loops, units of one exact size without the SEI, as camcastd
    makes them by default. On loopback the kernel cuts them up at the receivers, or leaves them
    whole for those that ask for this (UDP_GRO). Behind a device that cuts, it discards them."""
    device = network == networks.DEVICE
    numbers = bench.options.clients or ([100] if bench.options.quick else UDP_CLIENTS)
    ways = ("--discard",) if device else ("", "--gro")

    def make(case):
        udp = (*servers.UDP, *filter(None, [case["receivers"]]))
        sizes = {"size": case["size"], "clients": case["clients"]}
        modes = ("gso",) if case["receivers"] == "--gro" else ("sendto", "gso")
        return [
            servers.Floor("send", **sizes),
            *(servers.Floor(mode, udp, **sizes) for mode in modes),
            *(
                servers.Camcastd(backend, size=case["size"], way="rtsp", words=udp, sei=False)
                for backend in BACKENDS
            ),
        ]

    bench.in_rounds(
        "rtsp-udp",
        [
            {"size": size, "clients": n, "network": network, "receivers": way}
            for size in (8000, 33000)
            for n in numbers
            for way in ways
            if way or size * n <= UDP_MOST
        ],
        make,
        lambda case, server: (
            *unit_words(bench, case),
            *(("--scan", 2, "--unit-size", 0) if server.options else ()),
            *("--connect-rate", connect_rate(network, case["clients"])),
        ),
    )


def rtsp_udp_device(bench):
    """The same through a device that cuts what it sends, to receivers that discard it."""
    networks.run_inside(bench, "rtsp-udp", networks.DEVICE)


def rights(bench):
    """Viewers who had to say who they are, against viewers of a server without users."""
    bench.in_rounds(
        "rights",
        [{"size": HTTP_SIZE, "clients": n} for n in bench.options.clients or RIGHTS_CLIENTS],
        lambda case: [
            servers.Camcastd(backend, size=case["size"], way=way, users=users)
            for backend in BACKENDS
            for way in ("", ".mp4", "rtsp")
            for users in (False, True)
        ],
        lambda case, server: ("--clients", case["clients"], "--scan", 5)
        + ("--duration", bench.seconds, "--warm-up", 1.2),
    )


def against_rtsp_peers(bench, suite, kinds, parts, words=()):
    """A recording by RTSP. parts: options of camload, by the part of the measurement; "viewers" has
    several numbers of clients. words: options of camload for all."""
    recording = footage.get("720p")
    numbers = bench.options.clients or ([100] if bench.options.quick else RTSP_PEER_CLIENTS)
    others = [part for part in parts if part != "viewers"]
    # A server that cannot serve all viewers of one number is still asked for the other parts.
    for cases in ([("viewers", n) for n in numbers], [(part, 20) for part in others]):
        bench.in_rounds(
            suite,
            [{"part": part, "footage": "720p", "clients": n} for part, n in cases],
            lambda case: [
                *(
                    servers.Camcastd(
                        name,
                        recording=recording,
                        way="rtsp",
                        words=words,
                        policy=JOIN_POLICY if case["part"] == "joins" else "",
                    )
                    for name in BACKENDS
                ),
                *some(bench, kinds, recording=recording),
            ],
            lambda case, server: (
                *("--clients", case["clients"], "--connect-rate", 500, "--warm-up", 2),
                *([] if server.options else words),
                *parts[case["part"]],
            ),
        )


def rtsp_joins(bench):
    joins = RTSP_JOINS / 10 if bench.options.quick else RTSP_JOINS
    return ("--scan", 20, "--joining", joins, "--duration", 10)


def rtsp_peers(bench):
    """A recording by RTSP against gst-rtsp-server: viewers, newcomers, and slow ones in company."""
    rate = footage.bytes_per_second("720p")
    bad = ("--slow", f"5@{rate / 2:.0f}", "--slow", "2@2048", *COMPANY, "--decode", 2)
    parts = {
        "viewers": ("--scan", 10, "--duration", bench.seconds),
        "joins": rtsp_joins(bench),
        "alone": ("--scan", 20, "--duration", 2 * bench.seconds),
        "bad": ("--scan", 20, "--duration", 4 * bench.seconds, *bad),
    }
    against_rtsp_peers(bench, "rtsp-peers", peers.RTSP, parts)


def rtsp_udp_peers(bench):
    """The same over UDP, which is all that VLC's server of RTSP speaks: viewers and newcomers."""
    parts = {
        "viewers": ("--scan", 10, "--duration", bench.seconds),
        "joins": rtsp_joins(bench),
    }
    kinds = (*peers.RTSP, *peers.RTSP_UDP)
    against_rtsp_peers(bench, "rtsp-udp-peers", kinds, parts, servers.UDP)


def most(bench):
    """The most clients that one core serves without a loss."""
    bench.in_rounds(
        "most",
        [{"footage": "720p", "clients": n} for n in bench.options.clients or MOST_CLIENTS],
        lambda case: [
            *floors(recording=footage.get("720p"), clients=case["clients"]),
            *camcastds(recording=footage.get("720p"), daemon="max_clients = 9000"),
        ],
        lambda case, server: (
            *("--clients", case["clients"], "--scan", 5),
            *("--duration", bench.seconds, "--warm-up", 1.2),
        ),
    )


def storm(bench):
    """1,000 connections a second, without the floor, which begins when all clients are there."""
    clients = 200 if bench.options.quick else 2000
    recording = footage.get("720p")
    bench.in_rounds(
        "storm",
        [{"footage": "720p", "clients": clients}],
        lambda case: [
            *camcastds(recording=recording, policy=JOIN_POLICY),
            *camcastds(recording=recording, policy=JOIN_POLICY, way=".mp4"),
            *others(bench, recording),
        ],
        lambda case, server: (
            *("--clients", clients, "--connect-rate", 1000, "--scan", 1),
            *("--duration", 2, "--warm-up", 0.5),
        ),
    )


COMPANY = ("--stalled", 2, "--flapping", 3)


def slow(bench, network="loopback"):
    """20 fast clients alone, then with slow, stalled and flapping ones."""
    far, quick = network in networks.FAR, bench.options.quick
    kind = networks.FAR[network][2] if far else "720p" if quick else "1080p"
    recording, rate = footage.get(kind), footage.bytes_per_second(kind)
    fast = ("--clients", 20, "--scan", 20, "--warm-up", 2)
    bad = ("--slow", f"5@{rate / 2:.0f}", "--slow", "2@2048", *COMPANY, "--decode", 2)
    alone = (*fast, "--duration", 5 if quick else ALONE_S)
    company = (*fast, *bad, "--duration", 5 if quick else SLOW_S)
    case = {"suite": "slow", "footage": kind, "clients": 20, "network": network}
    for number in range(bench.rounds):
        # The bare loop shows the effect of the network alone; it cannot serve slow clients.
        for server in floors(recording=recording, clients=20)[:1]:
            if bench.wanted(server):
                bench.measure(server, number, dict(case, company="alone"), alone)
        others_too = list(others(bench, recording)) if number == 0 else []  # one round is enough
        for server in [*camcastds(recording=recording), *others_too]:
            if not bench.wanted(server):
                continue
            bench.measure(server, number, dict(case, company="alone"), alone)
            bench.measure(server, number, dict(case, company="bad"), company)


@contextlib.contextmanager
def small_machine():
    """Another process restores the former value, however this one ends."""
    before = machine.TCP_MEM.read_text(encoding="ascii").strip()
    back = ["sh", "-c", 'cat; echo "$1" >"$2"', "sh", before, str(machine.TCP_MEM)]
    with subprocess.Popen(back, stdin=subprocess.PIPE, start_new_session=True):
        machine.TCP_MEM.write_text(SMALL_TCP_MEM, encoding="ascii")
        yield


def slow_small(bench):
    """The same with the kernel's TCP memory of a 1 GB machine."""
    try:
        with small_machine():
            slow(bench, "loopback, tcp_mem of 1 GB")
    except OSError as error:
        bench.skip("tcp_mem of a 1 GB machine", str(error))


def slow_far(bench):
    """The same over a network that delays and loses, which bench/peers/link makes."""
    for network in networks.FAR:
        networks.run_inside(bench, "slow", network)


def memory(bench):
    """10,000 newcomers and 200 stalled clients in a minute; memory must not grow."""
    seconds, joins = (5, 100) if bench.options.quick else (60, 170)
    for server in camcastds(recording=footage.get("720p")):
        if bench.wanted(server):
            case = {"suite": "memory", "footage": "720p", "clients": 20}
            words = ("--clients", 20, "--scan", 20, "--stalled", 200, "--joining", joins)
            bench.measure(server, 0, case, (*words, "--duration", seconds), expect=False)


def profile(bench):
    """Where the CPU time goes at 1,000 clients, by perf: kernel, program, libraries."""
    if not shutil.which("perf"):
        bench.skip("profile", "no perf here")
        return
    recording, clients = footage.get("720p"), 100 if bench.options.quick else 1000
    seconds = 2 if bench.options.quick else 10
    for server in [servers.Floor("send", recording=recording, clients=clients)] + camcastds(
        recording=recording
    ):
        if bench.wanted(server):
            server.profile_s = seconds / 2
            case = {"suite": "profile", "footage": "720p", "clients": clients}
            words = ("--clients", clients, "--scan", 1, "--duration", seconds)
            bench.measure(server, 0, case, words)
            bench.rows[-1]["profile"] = server.profile
            bench.save()


def camera(bench):
    """The whole way: the pattern source, x264, the log, camcastd, 100 clients that parse all."""
    seconds = 5 if bench.options.quick else 30
    for server in camcastds(feeder=False):
        if bench.wanted(server):
            case = {"suite": "camera", "clients": 100}
            words = ("--clients", 100, "--scan", 100, "--warm-up", 2, "--duration", seconds)
            bench.measure(server, 0, case, words)


SUITES = {
    "cost": cost,
    "backends": backends,
    "http": http,
    "tls": tls,
    "http-peers": http_peers,
    "hls": hls,
    "mjpeg": mjpeg,
    "rtsp": rtsp,
    "rtsp-device": rtsp_device,
    "rtsp-udp": rtsp_udp,
    "rtsp-udp-device": rtsp_udp_device,
    "rtsp-peers": rtsp_peers,
    "rtsp-udp-peers": rtsp_udp_peers,
    "rights": rights,
    "compare": compare,
    "most": most,
    "storm": storm,
    "slow": slow,
    "slow-small": slow_small,
    "slow-far": slow_far,
    "memory": memory,
    "camera": camera,
    "profile": profile,
}
ANYWHERE = ["slow", "rtsp", "rtsp-udp"]  # suites that also run in another network
QUICK_SUITES = ["cost", "compare", "storm"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="measure few cases, in under two minutes")
    parser.add_argument("--suites", help=f"the suites to run, of {','.join(SUITES)}; default: all")
    parser.add_argument(
        "--servers", help="run only servers in whose name one of these regular expressions is found"
    )
    parser.add_argument(
        "--clients",
        type=lambda text: list(map(int, text.split(","))),
        help="numbers of clients in http, mjpeg, rtsp, rtsp-udp, rtsp-peers and -udp-peers, "
        "compare and most; "
        f"default: {HTTP_CLIENTS}, {JPEG_CLIENTS}, {RTSP_CLIENTS}, {UDP_CLIENTS}, "
        f"{RTSP_PEER_CLIENTS}, {CLIENTS} and {MOST_CLIENTS}",
    )
    parser.add_argument("--rounds", type=int, help="number of rounds; default: 3")
    parser.add_argument("--seconds", type=float, help="length of each measurement; default: 4")
    parser.add_argument(
        "--rate", type=int, default=footage.RATE, help="units a second in tls; default: 30"
    )
    parser.add_argument(
        "--connect-rate", type=int, default=200,
        help="connections a second in tls; default: 200, and 250 handshakes are allowed",
    )
    parser.add_argument("--one-core", action="store_true", help=argparse.SUPPRESS)  # guest.sh
    parser.add_argument("--polite", action="store_true", help="do not raise the priority")
    parser.add_argument("--network", default="loopback", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=pathlib.Path, default=servers.BUILD / "bench/result.json")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.5 if options.quick else 4)
    built.need(servers.BUILD, *PROGRAMS)
    if os.cpu_count() < 2 and not options.one_core:
        sys.exit("bench/run.py needs two cores: one for the server, one for the clients")
    names = options.suites.split(",") if options.suites else QUICK_SUITES
    if not options.suites and not options.quick:
        names = list(SUITES)
    if unknown := [name for name in names if name not in SUITES]:
        sys.exit(f"no such suite: {', '.join(unknown)}")
    if not shutil.which("ffmpeg"):
        sys.exit("bench/run.py needs ffmpeg to make the recordings")
    with contextlib.suppress(PermissionError):
        if not options.polite:
            os.nice(-20 - os.nice(0))  # works as root: other work on the machine disturbs less
    # The servers end with this process, however it ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    bench = Bench(options)
    networks.enter(options.network)
    for name in names:
        print(f"# {name}: {SUITES[name].__doc__.strip()}", flush=True)
        if name in ANYWHERE:
            SUITES[name](bench, options.network)
        else:
            SUITES[name](bench)
    bench.save()
    print(f"# {options.json}: {len(bench.rows)} measurements, {time.time() - bench.begun:.0f} s")


if __name__ == "__main__":
    main()
