# SPDX-License-Identifier: BSD-2-Clause
"""bench/peers/link, the network that is far away: what the other tests and the benchmarks rest on."""
import hashlib
import os
import socket
import subprocess
import threading

import pytest

import clients
import farnet
import harness

DELAY_MS = 20


@pytest.fixture(params=[0, 5])
def network(request):
    with farnet.FarNetwork(DELAY_MS, request.param) as network:
        network.loss = request.param
        yield network
    network.close()


@pytest.fixture
def pair(network):
    """A connection from far away: (its end there, our end)."""
    with socket.create_server((farnet.HERE, 0)) as listener:
        there = socket.create_connection((farnet.FAR, listener.getsockname()[1]), 30)
        here, peer = listener.accept()
    here.settimeout(30)
    assert peer[0] == farnet.FAR
    with there, here:
        yield there, here


def test_everything_arrives_late_and_intact(network, pair):
    there, here = pair
    data = os.urandom(300_000)
    round_trip_ms = clients.round_trip_ms(there, here)
    sender = threading.Thread(target=here.sendall, args=(data,))
    sender.start()
    got = b""
    while len(got) < len(data):
        got += there.recv(65536)
    sender.join()
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    assert 2 * DELAY_MS <= round_trip_ms < 2 * DELAY_MS + 20 * harness.PATIENCE
    assert (network.count("TcpRetransSegs") > 0) == (network.loss > 0)


def test_nothing_comes_through_while_it_is_cut(network, pair):
    there, here = pair
    network.cut()
    there.sendall(b"x")
    here.settimeout(0.5)
    with pytest.raises(TimeoutError):
        here.recv(1)
    network.mend()
    here.settimeout(30)
    assert here.recv(1) == b"x"


@pytest.mark.parametrize("command, status", [("exit 3", 3), ("kill -9 $$", 128 + 9)])
def test_it_ends_as_its_command_does(command, status):
    assert subprocess.run(farnet.link(1, 0, "sh", "-c", command), check=False).returncode == status


@pytest.mark.parametrize("wrong", [["--delay-ms", "x"], ["--loss", "101"], ["--what"], []])
def test_what_it_cannot_do_is_said(wrong):
    done = subprocess.run([harness.BUILD / "bench/peers/link", *wrong], capture_output=True, check=False)
    assert done.returncode == 2 and b"link: " in done.stderr


def test_the_congestion_control_is_the_network_s_own():
    path = "/proc/sys/net/ipv4/tcp_congestion_control"
    with open(path, encoding="ascii") as file:
        before = file.read()
    command = [harness.BUILD / "bench/peers/link", "--delay-ms", "1", "--congestion"]
    inside = subprocess.run([*command, "reno", "cat", path], capture_output=True, check=True, text=True)
    with open(path, encoding="ascii") as file:
        assert file.read() == before
    assert inside.stdout == "reno\n"
    unknown = subprocess.run([*command, "nosuch", "true"], capture_output=True, check=False, text=True)
    assert unknown.returncode == 1 and "nosuch" in unknown.stderr
