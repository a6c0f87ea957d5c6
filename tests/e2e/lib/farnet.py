# SPDX-License-Identifier: BSD-2-Clause
"""A network of one's own with a peer far away, by bench/peers/link: what is sent to FAR comes late to
HERE. So one machine talks to itself over a real TCP path with a real round trip, and the path can
be cut without a trace. Needs root and /dev/net/tun.
"""
import os
import signal
import subprocess

import netns
from harness import BUILD, start

HERE, FAR = "10.77.0.1", "10.77.0.2"


def link(delay_ms, loss, *command):
    """The command line that runs another one in such a network."""
    return [BUILD / "bench/peers/link", "--delay-ms", str(delay_ms), "--loss", str(loss), *command]


class FarNetwork(netns.Namespace):
    """A context manager as all namespaces. delay_ms: one way; loss: percent, each way."""

    def __init__(self, delay_ms, loss=0):
        self._link = start(  # lives as long as our end of the pipe
            link(delay_ms, loss, "sh", "-c", "echo there is a network; exec cat"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if not self._link.stdout.readline():
            raise netns.Unavailable(self._link.communicate()[1].decode().strip())
        namespace = f"/proc/{self._link.pid}/ns/net"
        super().__init__(os.open(namespace, os.O_RDONLY | os.O_CLOEXEC))

    def cut(self):
        """Packets vanish from now on."""
        self._link.send_signal(signal.SIGUSR1)

    def mend(self):
        self._link.send_signal(signal.SIGUSR2)

    def close(self):
        self._link.communicate(timeout=10)
        super().close()
