# SPDX-License-Identifier: BSD-2-Clause
"""A D-Bus system bus and an Avahi daemon for one host of a Lan (netns.py), and avahi-browse on
another. Both keep to folders of their own: nothing of this machine's bus and Avahi is touched. Needs
root."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time
import uuid

import harness

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
 <type>system</type>
 <listen>unix:path={path}</listen>
 <auth>EXTERNAL</auth>
 <policy context="default">
  <allow user="*"/>
  <allow own="*"/>
  <allow send_destination="*" eavesdrop="true"/>
  <allow receive_sender="*"/>
 </policy>
</busconfig>
"""
AVAHI = """[server]
host-name={name}
use-ipv4=yes
use-ipv6=yes
allow-interfaces=eth0
enable-dbus=yes
{server}
[wide-area]
enable-wide-area=no
[publish]
publish-hinfo=no
publish-workstation=no
{publish}
"""
PRIVATE_RUN = "mount -t tmpfs -o mode=755 none /run"
SERVICES = "/etc/avahi/services"


class Lines:
    """The lines that a program writes, to be waited for."""

    def __init__(self, stream):
        self.lines = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for raw in stream:
            with self._changed:
                self.lines.append(raw.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        stream.close()

    def wait(self, predicate, what, timeout=20):
        """predicate(lines) until it is true; returns its value."""
        deadline = time.monotonic() + timeout * harness.PATIENCE
        with self._changed:
            while not (value := predicate(self.lines)):
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = "\n  ".join(self.lines[-30:])
                    raise harness.Failure(f"no {what}:\n  {seen}")
                self._changed.wait(left)
            return value

    def join(self):
        self._thread.join(10)


class Program:
    """A program on a host; start() and kill() as often as a test likes."""

    def __init__(self, host, command, ready, **options):
        self.host, self.command, self.ready, self.options = host, command, ready, options
        self.process = self.output = None
        self.start()

    def start(self):
        self.process = self.host.popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self.options,
        )
        self.output = Lines(self.process.stdout)
        if self.ready:
            self.output.wait(
                lambda lines: any(re.search(self.ready, line) for line in lines), self.ready
            )

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.output.join()


SERVICE = """<?xml version="1.0"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>{name}</name>
<service><type>{kind}</type><port>9</port></service></service-group>
"""


class Discovery:
    """The bus and the Avahi of one host. As a context manager. static: (name, type) of services that
    Avahi publishes itself."""

    def __init__(self, folder, host, name, avahi=True, server="", publish="", static=()):
        self.folder = folder / f"avahi-{uuid.uuid4().hex[:8]}"
        self.folder.mkdir()
        self.host, self.name = host, name
        # Programs of other users reach it, too.
        self._public = tempfile.TemporaryDirectory(dir="/tmp")
        os.chmod(self._public.name, 0o755)
        self.socket = pathlib.Path(self._public.name) / "bus"
        self.env = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.socket}"}
        (self.folder / "bus.conf").write_text(BUS.format(path=self.socket))
        self.bus = self.avahi = None
        self.services = self.folder / "services"
        self.services.mkdir()
        for number, (service, kind) in enumerate(static):
            text = SERVICE.format(name=service, kind=kind)
            (self.services / f"{number}.service").write_text(text)
        config = self.folder / "avahi.conf"
        config.write_text(AVAHI.format(name=name, server=server, publish=publish))
        try:
            self.start_bus()
            if avahi:
                self.start_avahi()
        except BaseException:
            self.close()
            raise

    def start_bus(self):
        """Returns when it listens."""
        self.socket.unlink(missing_ok=True)
        command = ["dbus-daemon", f"--config-file={self.folder}/bus.conf", "--nofork"]
        self.bus = Program(self.host, [*command, "--print-address=1"], "unix:path=")

    def start_avahi(self):
        """Returns when it can be asked. It writes into /run, which therefore is a private one."""
        words = harness.with_mount(f"{PRIVATE_RUN} && mount --bind {self.services} {SERVICES}")
        options = ["--no-drop-root", "--no-chroot", "--no-rlimits", "--no-proc-title"]
        command = [*words, "avahi-daemon", *options, "-f", self.folder / "avahi.conf"]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self.env}
        self.avahi = Program(self.host, command, "Server startup complete", env=env)

    def browse(self, kind):
        return Browser(self, kind)

    def close(self):
        for program in (self.avahi, self.bus):
            if program:
                program.signal(signal.SIGCONT)
                program.kill()
        self._public.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Found:
    """One line of avahi-browse: an instance, at one interface and family."""

    def __init__(self, line):
        kind, _, self.family, name, self.type, _, self.host, self.address, port, txt = line.split(
            ";", 9
        )
        assert kind == "="
        plain = re.sub(r"\\(\d{3}|.)", self._plain, name)
        self.name = plain.encode("latin-1").decode()
        self.port = int(port)
        self.txt = re.findall(r'"([^"]*)"', txt)

    @staticmethod
    def _plain(match):
        return chr(int(match[1])) if len(match[1]) == 3 else match[1]

    def __repr__(self):
        return f"{self.name!r} {self.type} {self.family} {self.address}:{self.port} {self.txt}"


class Browser:
    """avahi-browse for a type, as long as the context lasts."""

    def __init__(self, discovery, kind):
        env = {"PATH": "/usr/bin:/bin", **discovery.env}
        command = ["stdbuf", "-oL", "avahi-browse", "--resolve", "--parsable", "-k", kind]
        self.program = Program(discovery.host, command, None, env=env)

    @staticmethod
    def _present(lines):
        """The instances that are there now: (family, name) to Found."""
        present = {}
        for line in lines:
            fields = line.split(";")
            if line.startswith("="):
                present[fields[2], fields[3]] = Found(line)
            elif line.startswith("-"):
                present.pop((fields[2], fields[3]), None)
        return list(present.values())

    def wait(self, predicate, what, timeout=30):
        """Until predicate([Found]) holds of what is there; returns that list."""

        def look(lines):
            present = self._present(lines)
            return [present] if predicate(present) else None

        return self.program.output.wait(look, what, timeout)[0]

    def wait_names(self, *names, family="IPv4"):
        """Until exactly these are found over that family; returns them by name."""

        def fits(found):
            return {one.name for one in found if one.family == family} == set(names)

        found = self.wait(fits, f"names {names} over {family}")
        return {one.name: one for one in found if one.family == family}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.kill()
