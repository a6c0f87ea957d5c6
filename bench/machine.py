# SPDX-License-Identifier: BSD-2-Clause
"""What the machine is, and which packages of other servers it has."""
import os
import pathlib
import platform
import subprocess

import peers

TCP = pathlib.Path("/proc/sys/net/ipv4")
TCP_MEM = TCP / "tcp_mem"


def installed(package):
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout == "installed"


def versions():
    kinds = (*peers.PEERS.values(), *peers.HLS, *peers.MJPEG, *peers.RTSP, *peers.TLS)
    kinds += peers.KERNEL_TLS
    names = {name for peer in kinds for name in peer.packages}
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *sorted(names)]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)


def describe():
    cpu = platform.machine()
    with open("/proc/cpuinfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
        "congestion": (TCP / "tcp_congestion_control").read_text(encoding="ascii").strip(),
        # A network namespace has no tcp_mem.
        "tcp_mem": TCP_MEM.read_text(encoding="ascii").split() if TCP_MEM.exists() else [],
    }
