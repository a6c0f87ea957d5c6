# SPDX-License-Identifier: BSD-2-Clause
"""Pages by reference through a network card, on a path that delays and loses, and to clients that
read nothing: content whole, memory bounded, and given back."""
import contextlib
import os
import pathlib
import socket

import guest

SEGMENT_SIZE = 1 << 20  # the default


@contextlib.contextmanager
def far_away():
    """40 ms and a loss of 1 % on the way to the clients outside."""
    guest.run("tc", "qdisc", "add", "dev", guest.nic(), "root", "netem", "delay", "40ms", "loss", "1%")
    try:
        yield
    finally:
        guest.run("tc", "qdisc", "del", "dev", guest.nic(), "root")


def retransmitted():
    names, values = (line.split() for line in pathlib.Path("/proc/net/snmp").read_text().splitlines()
                     if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])


def test_delay_and_loss_leave_the_pictures_whole(start_camcastd, vicodec):
    reference = guest.camera_picture()
    # Every picture a key: many bytes, so that there is something to lose.
    camcastd = start_camcastd(guest.config(vicodec, "auto", stream={"keyframe_interval": 1}))
    camcastd.wait_flowing(units=10, timeout=20)
    before = retransmitted()
    with far_away():
        for n in range(20):
            data = guest.receive_outside(f"far-{n}", 300000)
            if retransmitted() > before:
                break
        else:
            raise AssertionError("nothing was lost")
    pictures, whole = guest.fwht_pictures(data)
    worst, n = guest.psnr(reference, vicodec.decode(data[:whole]))
    assert n >= len(pictures) - 2 and worst > 30
    loop = camcastd.status()["loop"]
    assert loop["sendfiles"] > loop["sends"], "pages by reference"


def test_who_stops_reading_is_out_and_its_memory_back(start_camcastd, vicodec):
    stream = {"keyframe_interval": 1, "stall_timeout_ms": 3000, "history_ms": 3000}
    camcastd = start_camcastd(guest.config(vicodec, "auto", stream=stream))
    camcastd.wait_flowing(units=10, timeout=20)
    others = guest.sockets_of_the_feed()  # of cases before this one, that linger
    guest.ask_outside("stalled", "stall")
    camcastd.wait_until(lambda: camcastd.feed()["clients"] == 1, "client")
    camcastd.wait_until(lambda: camcastd.feed()["left"]["stalled"] == 1, "end of the stalled client",
                        60)
    assert guest.sockets_of_the_feed() <= others, "what it had queued goes with its socket"
    feed = camcastd.feed()
    history = 3 * 15 * feed["bytes"] / feed["units"]  # at the camera's rate
    camcastd.wait_until(lambda: camcastd.feed()["log_bytes"] < history + 2 * SEGMENT_SIZE,
                        f"log of {history:.0f} bytes and two segments: {camcastd.feed()}")
    guest.fwht_pictures(guest.ask_outside("stalled-rest", "rest stalled"))  # whole but for the last
    guest.fwht_pictures(guest.receive_outside("after-stall", 50000))


def test_200_stalled_clients_on_a_machine_of_512_mb(start_camcastd, vicodec):
    """tcp_mem as the kernel sets it there: a sixteenth of the memory is the pressure mark."""
    knob = pathlib.Path("/proc/sys/net/ipv4/tcp_mem")
    usual = knob.read_text()
    stalled = []
    knob.write_text("5600 7500 11200")
    try:
        config = guest.config(vicodec, "auto", stream={"stall_timeout_ms": 8000})
        config["daemon"]["max_clients"] = 250
        camcastd = start_camcastd(config)
        camcastd.wait_flowing(units=10, timeout=20)
        at_rest = guest.tcp_memory()
        others = guest.sockets_of_the_feed()
        assert len([line for line in camcastd.log() if "tcp_mem" in line]) == 1, camcastd.log()
        for _ in range(200):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", guest.FEED_PORT))
            stalled.append(client)
        camcastd.wait_until(lambda: camcastd.feed()["clients"] == 200, "200 clients", 30)
        data = guest.receive_outside("among-200", 80000)
        assert guest.tcp_memory() < 11200 * 4096
        _, whole = guest.fwht_pictures(data)
        reference = guest.camera_picture()
        worst, _ = guest.psnr(reference, vicodec.decode(data[:whole]))
        assert worst > 30
        camcastd.wait_until(lambda: camcastd.feed()["left"]["stalled"] == 200,
                            "end of the 200", 60)
        assert guest.sockets_of_the_feed() <= others
        while stalled:
            stalled.pop().close()  # what they had not read was theirs
        # The kernel's count lags by up to SK_MEMORY_PCPU_RESERVE, 1 MiB, for each processor.
        slack = os.cpu_count() << 20
        guest.wait_for("TCP's memory", lambda: guest.tcp_memory() <= at_rest + slack)
    finally:
        for client in stalled:
            client.close()
        knob.write_text(usual)
