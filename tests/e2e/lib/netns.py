# SPDX-License-Identifier: BSD-2-Clause
"""A switch and hosts on it, each a network namespace of its own, so that one machine is a LAN.

The namespaces have no names and nothing is mounted: file descriptors of this process keep them, so
that they are gone when it is, whatever ended it. Needs root.
"""
import contextlib
import ctypes
import os

from harness import LIBC, output_of, start

CLONE_NEWNET = 0x40000000


class Unavailable(Exception):
    """This user or kernel cannot have network namespaces."""


def _checked(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _new_namespace():
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if LIBC.unshare(CLONE_NEWNET) < 0:
            raise Unavailable(os.strerror(ctypes.get_errno()))
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _checked(LIBC.setns(outside, CLONE_NEWNET), "setns")
        return fd
    finally:
        os.close(outside)


class Namespace:
    """As a context manager: the calling thread, and what it starts and opens meanwhile, is inside.
    fd: of one that is there already, to be closed with this; None: a new one."""

    def __init__(self, fd=None):
        self.fd = _new_namespace() if fd is None else fd
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self._outside = []
        self.ip("link", "set", "lo", "up")

    def __enter__(self):
        self._outside.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        _checked(LIBC.setns(self.fd, CLONE_NEWNET), "setns")
        return self

    def __exit__(self, *_):
        outside = self._outside.pop()
        try:
            _checked(LIBC.setns(outside, CLONE_NEWNET), "setns")
        finally:
            os.close(outside)

    def ip(self, *arguments):
        """ip(8) inside; returns what it printed."""
        with self:
            return output_of("ip", *arguments)

    def count(self, name):
        """A counter of the kernel's, as nstat(8) names them."""
        with self:
            return int(output_of("nstat", "-asz", name).split()[-2])

    def popen(self, command, **options):
        """subprocess.Popen inside, of a process that does not outlive this one."""
        with self:
            return start(command, **options)

    def close(self):
        os.close(self.fd)


class Host(Namespace):
    """A namespace with eth0 at the switch, whose end of that cable is `port`."""

    bridge = "switch"  # the device that all hosts of a Lan are connected to

    def __init__(self, switch, port, addresses):
        super().__init__()
        self.switch, self.port, self.addresses = switch, port, []
        switch.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self.path)
        self.connect(self.bridge)
        self.ip("link", "set", "eth0", "up")
        for address in addresses:
            self.add(address)

    def connect(self, bridge):
        """Plugs the other end of the cable into this bridge, which is in the switch's namespace."""
        self.switch.ip("link", "set", self.port, "master", bridge, "up")

    def add(self, address):
        """address: with its prefix length, "10.0.0.1/24" or "fd00::1/64"."""
        family = "-6" if ":" in address else "-4"
        nodad = ["nodad"] if ":" in address else []  # at once, without asking the neighbours
        self.ip(family, "addr", "add", address, "dev", "eth0", *nodad)
        self.addresses.append(address)

    def default_route(self, gateway):
        family = "-6" if ":" in gateway else "-4"
        self.ip(family, "route", "add", "default", "via", gateway, "dev", "eth0")

    def move(self, *addresses):
        """Takes all addresses away and gives others."""
        for address in self.addresses:
            self.ip("addr", "del", address, "dev", "eth0")
        self.addresses = []
        for address in addresses:
            self.add(address)

    def plug(self, plugged):
        """False: pulls the cable; the routes through it go as well."""
        self.ip("link", "set", "eth0", "up" if plugged else "down")


class Lan:
    """host() adds a machine. close() or the end of this process removes everything."""

    def __init__(self):
        self._stack = contextlib.ExitStack()
        self.switch = self._keep(Namespace())
        self.switch.ip("link", "add", Host.bridge, "type", "bridge")
        self.switch.ip("link", "set", Host.bridge, "up")
        self._ports = 0

    def _keep(self, namespace):
        self._stack.callback(namespace.close)
        return namespace

    def host(self, *addresses):
        self._ports += 1
        return self._keep(Host(self.switch, f"port{self._ports}", addresses))

    def close(self):
        self._stack.close()
