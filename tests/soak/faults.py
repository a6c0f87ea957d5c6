# SPDX-License-Identifier: BSD-2-Clause
"""What is done to the world. A fault says at once what it may touch (patterns of report.matches()).
prepare() looks up what it needs, while everything still works; inject() does it; heal() undoes it,
or does what a service manager would do, also after an inject() that failed. hold_s is the time
between these two. All that is random is drawn in the constructor: a seed repeats the schedule."""
import os
import resource
import signal
import socket

import harness
import slowlink
import world as worlds

CAMERAS = ("front", "side", "tape", "demand")
HUNG_S = 8  # longer than a worker may be silent


def send(pid, how):
    """Sends a signal, if the process is still there."""
    try:
        if pid:
            os.kill(pid, how)
    except ProcessLookupError:
        pass


class Fault:
    name = ""
    weight = 4
    hold_s = 0.0
    tail_s = 0.0  # after the end, in which the kernel may go on with what the fault began
    alone_with = ""  # two faults that name the same part of the world do not come together

    @staticmethod
    def why_unavailable(world):
        """None, or a line that says what this machine lacks for it."""
        return None

    def __init__(self, world, random):
        self.world = world
        self.backend = random.choice(world.backends)

    def text(self):
        return self.name

    def touches(self):
        raise NotImplementedError

    def prepare(self):
        pass

    def inject(self):
        raise NotImplementedError

    def heal(self):
        pass

    def is_over(self):
        """Whether its direct consequence is over, so that viewers can be expected to be served."""
        return True


# --- workers ---


class WorkerFault(Fault):
    how = None

    def __init__(self, world, random):
        super().__init__(world, random)
        self.camera = random.choice(CAMERAS)
        self.pid = 0

    def text(self):
        return f"{self.name}: {self.camera} of {self.backend}"

    def touches(self):
        return [{"server": self.backend, "camera": self.camera}]

    def prepare(self):
        self.pid = self.world.worker(self.backend, self.camera)

    def inject(self):
        send(self.pid, self.how)

    def is_over(self):
        camera = self.world.servers[self.backend].camera(self.camera)
        return camera["pid"] not in (0, self.pid) and camera["camera_state"] == "running"


class WorkerKilled(WorkerFault):
    name, how, weight = "worker killed", signal.SIGKILL, 6


class WorkerTerminated(WorkerFault):
    name, how = "worker terminated", signal.SIGTERM


class WorkerPaused(WorkerFault):
    name, how = "worker paused", signal.SIGSTOP

    def __init__(self, world, random):
        super().__init__(world, random)
        self.hold_s = random.uniform(0.5, 3)

    def heal(self):
        send(self.pid, signal.SIGCONT)

    def is_over(self):
        return self.world.servers[self.backend].camera(self.camera)["camera_state"] == "running"


class WorkerHung(WorkerFault):
    """Stopped for good: camcastd notices, and starts another one."""

    name, how, weight, hold_s = "worker hung", signal.SIGSTOP, 2, HUNG_S


# --- servers ---


class ServerPaused(Fault):
    name, weight = "camcastd paused", 2

    def __init__(self, world, random):
        super().__init__(world, random)
        self.hold_s = random.uniform(0.3, 2)

    def text(self):
        return f"{self.name}: {self.backend} for {self.hold_s:.1f} s"

    def touches(self):
        return [{"server": self.backend}]

    def inject(self):
        self.world.servers[self.backend].process.send_signal(signal.SIGSTOP)

    def heal(self):
        self.world.servers[self.backend].process.send_signal(signal.SIGCONT)


class ServerKilled(Fault):
    name, weight = "camcastd killed", 1

    def text(self):
        return f"{self.name}: {self.backend}"

    def touches(self):
        return [{"server": self.backend}]

    def inject(self):
        server = self.world.servers[self.backend]
        server.process.kill()
        server.process.wait()

    def heal(self):
        self.world.start_server(self.backend)


class DescriptorsShort(Fault):
    """The table of descriptors of a running camcastd is suddenly full, and strangers want in. The
    first segment that finds it full is lost; its pictures wait until the worker has sent it again,
    so that only those who come meanwhile notice."""

    name, weight = "descriptors short", 3
    NEWCOMERS = ("health", "flapping", "stalled")

    def __init__(self, world, random):
        super().__init__(world, random)
        self.hold_s = random.uniform(1, 3)
        self.strangers, self.limits = [], None

    def text(self):
        return f"{self.name}: {self.backend} for {self.hold_s:.1f} s"

    def touches(self):
        return [{"kind": kind, "server": self.backend} for kind in self.NEWCOMERS]

    def inject(self):
        server = self.world.servers[self.backend]
        if server.process.poll() is not None:
            return  # another fault has killed it at the same time
        self.limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        room = (server.open_fds(), self.limits[1])
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, room)
        for _ in range(30):
            stranger = socket.socket()
            stranger.setblocking(False)
            stranger.connect_ex((worlds.HOME, self.world.port(self.backend, 1)))
            self.strangers.append(stranger)

    def heal(self):
        if self.limits:
            pid = self.world.servers[self.backend].process.pid
            resource.prlimit(pid, resource.RLIMIT_NOFILE, self.limits)
        for stranger in self.strangers:
            stranger.close()


class ClockStepped(Fault):
    """The wall clock of a server, or of the recorder, is wrong for a time. Nobody shall notice."""

    name, weight = "clock stepped", 3

    def __init__(self, world, random):
        super().__init__(world, random)
        self.hold_s = random.uniform(1, 5)
        self.whose = random.choice((*world.backends, "record"))
        self.ahead_s = random.choice((-86400, -3600, -2, 2, 3600, 86400))

    def text(self):
        return f"{self.name}: {self.whose} by {self.ahead_s} s for {self.hold_s:.1f} s"

    def touches(self):
        return []

    def inject(self):
        self.world.clocks[self.whose].step(self.ahead_s)

    def heal(self):
        self.world.clocks[self.whose].step(0)


# --- clients of ours ---


class RecorderChild(Fault):
    """how: killed, or paused for a time."""

    name, how = "recorder's child killed", signal.SIGKILL

    def text(self):
        return f"{self.name}: {self.backend}"

    def touches(self):
        return [{"kind": "recorder", "server": self.backend}]

    def prepare(self):
        self.pid = self.world.recorder.children().get(self.backend, 0)

    def inject(self):
        send(self.pid, self.how)


class RecorderChildPaused(RecorderChild):
    name, how, weight = "recorder's child paused", signal.SIGSTOP, 2

    def __init__(self, world, random):
        super().__init__(world, random)
        self.hold_s = random.uniform(1, 5)

    def heal(self):
        send(self.pid, signal.SIGCONT)


class ClientKilled(Fault):
    """A client of ours ends, with all of its children, and is started again."""

    weight = 2

    def client(self):
        raise NotImplementedError

    def start(self):
        raise NotImplementedError

    def prepare(self):
        self.marker = self.client().marker

    def inject(self):
        self.client().process.kill()
        self.client().process.wait()

    def heal(self):
        self.world.ended.append((self.name, list(self.client().lines)[-40:]))
        self.start()

    def is_over(self):
        return not harness.processes_with(self.marker)


class ClientPaused(Fault):
    """The manager alone; its children go on."""

    weight = 2

    def __init__(self, world, random):
        super().__init__(world, random)
        self.hold_s = random.uniform(1, 5)

    def text(self):
        return f"{self.name} for {self.hold_s:.1f} s"

    def client(self):
        raise NotImplementedError

    def prepare(self):
        self.process = self.client().process

    def inject(self):
        self.process.send_signal(signal.SIGSTOP)

    def heal(self):
        self.process.send_signal(signal.SIGCONT)


class OfRecorder:
    alone_with = "recorder"

    def touches(self):
        return [{"kind": "recorder"}]

    def client(self):
        return self.world.recorder

    def start(self):
        self.world.start_recorder()


class OfView:
    alone_with = "view"

    def touches(self):
        return [{"kind": "view"}]

    def client(self):
        return self.world.view

    def start(self):
        self.world.start_view()


class RecorderKilled(OfRecorder, ClientKilled):
    name = "recorder killed"


class RecorderTerminated(OfRecorder, ClientKilled):
    name = "recorder terminated"

    def inject(self):
        self.client().stop(signal.SIGTERM)


class RecorderPaused(OfRecorder, ClientPaused):
    name = "recorder paused"


class ViewKilled(OfView, ClientKilled):
    name, weight = "view killed", 1


class ViewTerminated(OfView, ClientKilled):
    name, weight = "view terminated", 1

    def inject(self):
        self.client().process.send_signal(signal.SIGTERM)
        self.client().wait_end()


class ViewPaused(OfView, ClientPaused):
    name = "view paused"


class DiskFull(Fault):
    name, weight = "disk full", 3

    def __init__(self, world, random):
        super().__init__(world, random)
        self.hold_s = random.uniform(2, 4)
        self.path = world.disk / "filler"

    def touches(self):
        return [{"kind": "recorder"}]

    def inject(self):
        with open(self.path, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass

    def heal(self):
        self.path.unlink()


class ViewChild(Fault):
    name = "view's child killed"

    def touches(self):
        return [{"kind": "view"}]

    def __init__(self, world, random):
        super().__init__(world, random)
        self.which = random.randrange(1 << 16)

    def prepare(self):
        children = self.world.view.children()
        self.pid = children[self.which % len(children)] if children else 0

    def inject(self):
        send(self.pid, signal.SIGKILL)


# --- the broker ---


class BrokerGone(Fault):
    name, alone_with = "broker killed", "broker"

    def __init__(self, world, random):
        super().__init__(world, random)
        self.hold_s = random.uniform(0.2, 5)

    def text(self):
        return f"{self.name}, back after {self.hold_s:.1f} s"

    def touches(self):
        return [{"kind": "discovery"}]

    def inject(self):
        self.world.broker.kill()

    def heal(self):
        self.world.broker.start()


class BrokerPaused(BrokerGone):
    name, weight = "broker paused", 2

    def inject(self):
        self.world.broker.process.send_signal(signal.SIGSTOP)

    def heal(self):
        self.world.broker.process.send_signal(signal.SIGCONT)


# --- networks ---


class LinkCut(Fault):
    name = "link cut"

    def __init__(self, world, random):
        super().__init__(world, random)
        self.hold_s = random.uniform(0.5, 5)
        # TCP doubles its timeout with each retransmission that is lost (RFC 6298 clause 5.5).
        self.tail_s = 2 * self.hold_s

    def text(self):
        return f"{self.name} for {self.hold_s:.1f} s"

    def touches(self):
        return [{"place": "far"}]

    def inject(self):
        self.world.far.plug(False)

    def heal(self):
        self.world.far.plug(True)


class LinkSlow(LinkCut):
    """The link to the second machine: slower than the viewers' streams, late, with losses."""

    name = "link slow"

    def __init__(self, world, random):
        super().__init__(world, random)
        self.how = {
            "delay_ms": random.randrange(20, 200),
            "loss": random.choice((0, 1, 5)),
            "rate_kbit": random.choice((500, 2000, 8000)),
            "seed": random.getrandbits(32),
        }
        self.link = None
        # Frames queue up for as long as it lasts. A connection that begins meanwhile takes that for
        # the time of a round trip, and three of them for its timeout (RFC 6298 clause 2.2).
        self.tail_s = 9 * self.hold_s

    @staticmethod
    def why_unavailable(world):
        return slowlink.why_unavailable(world.lan.switch)

    def text(self):
        return (f"{self.name} for {self.hold_s:.1f} s: {self.how['delay_ms']} ms late, "
                f"{self.how['loss']} % lost, {self.how['rate_kbit']} kbit/s")  # fmt: skip

    def inject(self):
        self.link = slowlink.SlowLink(self.world.far, **self.how)

    def heal(self):
        if self.link:
            self.link.close()


ALL = [
    WorkerKilled, WorkerTerminated, WorkerPaused, WorkerHung, ServerPaused, ServerKilled,
    DescriptorsShort, ClockStepped, RecorderChild, RecorderChildPaused, RecorderKilled, RecorderTerminated,
    RecorderPaused, DiskFull, ViewChild, ViewKilled, ViewTerminated, ViewPaused,
    BrokerGone, BrokerPaused, LinkCut, LinkSlow,
]  # fmt: skip
