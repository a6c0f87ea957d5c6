# SPDX-License-Identifier: BSD-2-Clause
"""Networks other than the loopback, in namespaces: a distant one (bench/peers/link), and a pair of
devices that cut what they are given to send, as a network card does. A suite runs there as a whole,
in another process of bench/run.py with --network."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import servers

# One way in ms, percent lost, and footage of a rate that TCP carries there. With 1 % lost, TCP
# carries about 12 packets a round trip (1.2 / sqrt(loss), RFC 3649): 7 and 1.8 Mbit/s. The
# congestion control matters here; this is the default of Linux.
CONGESTION = "cubic"
FAR = {
    f"20 ms of round trip, 1 % lost, {CONGESTION}": (10, 1, "720p"),
    f"80 ms of round trip, 1 % lost, {CONGESTION}": (40, 1, "far"),
}
DEVICE = "a device that cuts"
# The clients' namespace is that of the outer shell. Both ends have offloads, as veth(4) has by
# default, and the MTU of Ethernet. The rest of the words is run in the namespace of the server.
PAIR = """ip link set lo up
unshare --net sh -ec '
ip link set lo up
ip link add here type veth peer name there netns "$1"
ip addr add 10.78.0.1/24 dev here
ip link set here up
nsenter --net="/proc/$1/ns/net" ip addr add 10.78.0.2/24 dev there
nsenter --net="/proc/$1/ns/net" ip link set there up
ip route add 224.0.0.0/4 dev here
nsenter --net="/proc/$1/ns/net" ip route add 224.0.0.0/4 dev there
CAMCAST_CLIENTS=$1
export CAMCAST_CLIENTS
shift
exec "$@"' sh $$ "$@" &
server=$!
trap 'kill $server' TERM
wait $server
"""


def enter(network):
    """In the process of --network: tells servers where they are."""
    if network in FAR:
        servers.go("10.77.0.1", "10.77.0.2")
    elif network == DEVICE:
        clients = f"/proc/{os.environ['CAMCAST_CLIENTS']}/ns/net"
        servers.go("10.78.0.1", "10.78.0.1", ("nsenter", f"--net={clients}"))


def wrapper(network):
    """What runs a command in the network."""
    if network == DEVICE:
        return ["unshare", "--net", "sh", "-ec", PAIR, "sh"]
    delay_ms, loss, _ = FAR[network]
    link = [servers.BUILD / "bench/peers/link", "--delay-ms", str(delay_ms), "--loss", str(loss)]
    return [*link, "--congestion", CONGESTION]


def run_inside(bench, suite, network):
    """Runs a suite in the network, and takes its rows over."""
    probe = subprocess.run(
        [*wrapper(network), "true"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        bench.skip(network, probe.stderr.strip())
        return
    options = bench.options
    with tempfile.TemporaryDirectory() as folder:
        found = pathlib.Path(folder) / "inside.json"
        program = pathlib.Path(__file__).with_name("run.py")
        command = [*wrapper(network), sys.executable, "-B", program]
        command += ["--rounds", str(bench.rounds), "--seconds", str(bench.seconds)]
        command += ["--suites", suite, "--network", network, "--json", found]
        command += ["--quick"] if options.quick else []
        command += ["--polite"] if options.polite else []
        command += ["--one-core"] if options.one_core else []
        command += ["--servers", options.servers] if options.servers else []
        command += ["--clients", ",".join(map(str, options.clients))] if options.clients else []
        with subprocess.Popen(command) as inner:
            try:
                code = inner.wait()
            finally:
                inner.terminate()
        if code:
            bench.skip(network, "the run within the namespace failed")
        if not found.exists():
            return
        inside = json.loads(found.read_text(encoding="utf-8"))
        bench.rows += inside["rows"]
        bench.skipped += [part for part in inside["skipped"] if part not in bench.skipped]
        bench.save()
