# SPDX-License-Identifier: BSD-2-Clause
"""USB cameras for the kernel's own driver, uvcvideo: devices of the USB video class that threads of
the test play behind vhci-hcd, the kernel's USB/IP host (Documentation/usb/usbip_protocol.rst). They
are plugged in, pulled out, unbound from the driver and bound again, and can fall silent.

Descriptors, probe and commit controls, and payload headers are those of the "USB Device Class
Definition for Video Devices" 1.1. Pictures go over a bulk endpoint, whose interface needs no
alternate settings.
"""
import collections
import contextlib
import ctypes
import os
import pathlib
import select
import socket
import struct
import tempfile
import threading
import time

import guest

VENDOR = 0x1D6B  # the Linux Foundation; 0102 is its webcam gadget
WIDTH, HEIGHT, RATE = guest.WIDTH, guest.HEIGHT, 10
JPEG, PACKED = 1, 2  # bFormatIndex
TRANSFER = 32 * 512  # the largest bulk transfer that uvcvideo asks for, header included
FRAME_MAX = WIDTH * HEIGHT * 2

HOST = pathlib.Path("/sys/devices/platform/vhci_hcd.0")
DRIVER = pathlib.Path("/sys/bus/usb/drivers/uvcvideo")
HIGH_SPEED = 3  # USB_SPEED_HIGH
LIBC = ctypes.CDLL(None, use_errno=True)
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2


def mount(what, where, flags, kind=None):
    if LIBC.mount(os.fsencode(what), os.fsencode(where), kind, flags, None):
        raise OSError(ctypes.get_errno(), f"mount {what} {where}")


# --- descriptors ---


def descriptor(kind, layout="", *values):
    body = struct.pack("<" + layout, *values)
    return bytes((len(body) + 2, kind)) + body


def in_class(subtype, layout, *values):
    """A class-specific descriptor of an interface."""
    return descriptor(0x24, "B" + layout, subtype, *values)


def interface(number, endpoints, subclass):
    return descriptor(4, "7B", number, 0, endpoints, 14, subclass, 0, 0)


def frame(subtype):
    bits, interval = FRAME_MAX * 8 * RATE, 10000000 // RATE
    return in_class(subtype, "BBHHIIIIBI", 1, 0, WIDTH, HEIGHT, bits, bits, FRAME_MAX, interval, 1,
                    interval)


def configuration():
    terminals = (in_class(2, "BHBBHHHB", 1, 0x0201, 0, 0, 0, 0, 0, 0)  # 1: a camera
                 + in_class(3, "BHBBB", 2, 0x0101, 0, 1, 0))  # 2: the stream, of 1
    control = in_class(1, "HHIBB", 0x110, 13 + len(terminals), 1000000, 1, 1) + terminals
    yuy2 = bytes.fromhex("5955593200001000800000aa00389b71")
    colours = in_class(13, "BBB", 1, 1, 4)  # sRGB, BT.709, SMPTE 170M
    formats = (in_class(6, "8B", JPEG, 1, 1, 1, 0, 0, 0, 0) + frame(7) + colours
               + in_class(4, "BB16s6B", PACKED, 1, yuy2, 16, 1, 0, 0, 0, 0) + frame(5) + colours)
    streaming = in_class(1, "BH9B", 2, 15 + len(formats), 0x81, 0, 2, 0, 0, 0, 1, 0, 0) + formats
    interfaces = (descriptor(11, "6B", 0, 2, 14, 3, 0, 0)  # both are one function
                  + interface(0, 0, 1) + control
                  + interface(1, 1, 2) + streaming + descriptor(5, "BBHB", 0x81, 2, 512, 0))
    return descriptor(2, "HBBBBB", 9 + len(interfaces), 2, 1, 0, 0x80, 50) + interfaces


def descriptors(product, model):
    """By type and index."""
    return {
        (1, 0): descriptor(1, "HBBBBHHHBBBB", 0x200, 0xEF, 2, 1, 64, VENDOR, product, 0x100, 0, 1, 0, 1),
        (2, 0): configuration(),
        (3, 0): descriptor(3, "H", 0x409),
        (3, 1): descriptor(3, f"{2 * len(model)}s", model.encode("utf-16-le")),
    }


# --- what it answers ---


def probe(picture_format):
    """The answer of the probe and commit controls: there is one size and one rate."""
    return struct.pack("<HBBI5HIII4B", 1, picture_format, 1, 10000000 // RATE, 0, 0, 0, 0, 0, FRAME_MAX,
                       TRANSFER, 1000000, 0, 0, 0, 0)


class Refused(Exception):
    """A request that the camera does not know: the endpoint stalls."""


@contextlib.contextmanager
def host():
    """The host controller, with ports 0 to 7, and the driver."""
    guest.run("modprobe", "--all", "vhci-hcd", "uvcvideo")
    describe_in_firmware(HOST)
    try:
        yield
    finally:
        LIBC.umount2(os.fsencode(HOST), MNT_DETACH)


class UsbCamera:
    """Plugged in at first, and out when left. `jpeg` and `packed` are its pictures: one JPEG, one of
    YUYV, again and again."""

    def __init__(self, port, product, jpeg, packed):
        self.id = f"{VENDOR:04x}:{product:04x}"  # a part of libcamera's
        self.descriptors = descriptors(product, f"Played {product:04x}")
        self.pictures = {JPEG: jpeg, PACKED: packed}
        self.silent = False  # no picture comes, and every transfer waits
        self._port = port
        self._thread = None
        self._unbound = ""

    def __enter__(self):
        self.plug(self._port)
        return self

    def __exit__(self, *_):
        self.unplug()

    # --- by hand ---

    def plug(self, port):
        """Into a port of the host; returns when the driver has it and udev is done."""
        ours, theirs = socket.socketpair()
        with theirs:  # the kernel keeps the socket
            (HOST / "attach").write_text(f"{port} {theirs.fileno()} {port + 1} {HIGH_SPEED}")
        self._port = port
        self._thread = threading.Thread(target=_Plugged(self, ours).serve, daemon=True)
        self._thread.start()
        self._wait_bound()

    def unplug(self):
        if not self._thread:
            return
        (HOST / "detach").write_text(str(self._port))
        self._thread.join(20)
        self._thread = None
        guest.wait_for("end of the device", lambda: not self._bound())

    def unbind(self):
        self._unbound = self._bound().name
        (DRIVER / "unbind").write_text(self._unbound)

    def bind(self):
        """Fails while a process still has a node of before."""
        (DRIVER / "bind").write_text(self._unbound)
        self._wait_bound()

    def nodes(self):
        """Its media device and the video device with its pictures."""
        device = self._bound().resolve()
        return [f"/dev/{next(device.glob(pattern)).name}"
                for pattern in ("media*", "video4linux/*[02468]")]

    def _bound(self):
        """The interface that the driver has, or None."""
        for entry in DRIVER.glob("*:1.0"):
            with contextlib.suppress(OSError):  # gone meanwhile
                if (entry.resolve().parent / "idProduct").read_text().strip() == self.id[5:]:
                    return entry
        return None

    def _wait_bound(self):
        guest.wait_for("a device of uvcvideo", self._bound)
        guest.run("udevadm", "settle")


class _Plugged:
    """The device's end of the wire, for as long as it is plugged in."""

    HEADER = struct.Struct(">5I")  # command, seqnum, devid, direction, ep
    SUBMIT = struct.Struct(">Iiiii8s")  # flags, buffer length, start frame, packets, interval, setup
    CMD_SUBMIT, CMD_UNLINK, RET_SUBMIT, RET_UNLINK = 1, 2, 3, 4
    SETUP = struct.Struct("<BBHHH")
    STALLED, UNLINKED = -32, -104  # -EPIPE, -ECONNRESET
    PERIOD = 1 / RATE

    def __init__(self, camera, wire):
        self.camera = camera
        self.wire = wire
        self.format = JPEG
        self.waiting = collections.OrderedDict()  # bulk transfers: {seqnum: length}
        self.payloads = collections.deque()
        self.toggle = 0
        self.next_picture = time.monotonic()

    def serve(self):
        with self.wire, contextlib.suppress(ConnectionError):
            while True:
                until = max(0, self.next_picture - time.monotonic())
                if select.select([self.wire], [], [], until)[0] and not self._take_command():
                    return
                if time.monotonic() >= self.next_picture:
                    self._make_picture()
                while self.waiting and self.payloads:
                    self._reply(self.waiting.popitem(last=False)[0], self.payloads.popleft())

    def _make_picture(self):
        self.next_picture = max(self.next_picture + self.PERIOD, time.monotonic())
        if self.camera.silent or not self.waiting or self.payloads:
            return
        picture = self.camera.pictures[self.format]
        size = TRANSFER - 2
        starts = range(0, len(picture), size)
        for start in starts:
            last = 2 if start == starts[-1] else 0  # end of frame
            self.payloads.append(bytes((2, 0x80 | last | self.toggle)) + picture[start:start + size])
        self.toggle ^= 1

    def _take_command(self):
        """False at the wire's end."""
        data = self.wire.recv(48, socket.MSG_WAITALL)
        if len(data) < 48:
            return False
        command, seqnum, _devid, inward, endpoint = self.HEADER.unpack_from(data)
        if command == self.CMD_UNLINK:
            (other,) = struct.unpack_from(">I", data, 20)
            status = 0 if self.waiting.pop(other, None) is None else self.UNLINKED
            self.wire.sendall(self.HEADER.pack(self.RET_UNLINK, seqnum, 0, 0, 0)
                              + struct.pack(">i24x", status))
            return True
        _flags, length, _start, _packets, _interval, setup = self.SUBMIT.unpack_from(data, 20)
        if endpoint:
            self.waiting[seqnum] = length
            return True
        sent = b"" if inward or not length else self.wire.recv(length, socket.MSG_WAITALL)
        try:
            self._reply(seqnum, self._control(setup, sent)[:length], len(sent))
        except Refused:
            self._reply(seqnum, status=self.STALLED)
        return True

    def _reply(self, seqnum, data=b"", sent=0, status=0):
        self.wire.sendall(self.HEADER.pack(self.RET_SUBMIT, seqnum, 0, 0, 0)
                          + struct.pack(">iiiii8x", status, len(data) or sent, 0, 0, 0) + data)

    def _control(self, setup, sent):
        kind, request, value, index, _length = self.SETUP.unpack(setup)
        if (kind, request) == (0x80, 6):  # GET_DESCRIPTOR
            if found := self.camera.descriptors.get((value >> 8, value & 255)):
                return found
        elif (kind, request) in ((0, 9), (1, 11)):  # SET_CONFIGURATION, SET_INTERFACE
            return b""
        elif (kind, request) == (0x80, 0):  # GET_STATUS
            return bytes(2)
        elif (kind, request) == (2, 1):  # CLEAR_FEATURE: the stream has been stopped
            self.payloads.clear()
            return b""
        elif index == 1 and value in (0x100, 0x200):  # the stream's probe and commit controls
            if kind == 0x21:  # SET_CUR
                self.format = sent[2]
                return b""
            if request != 0x86:  # all that GET_INFO would say is that they can be read and set
                return probe(self.format)
        raise Refused


def describe_in_firmware(device):
    """libcamera names a USB camera after the first device above it that the firmware describes, and
    does without one that has none. vhci's controller is in no firmware: a description is laid over
    its folder in /sys, below which all is as it was."""
    with tempfile.TemporaryDirectory() as folder:
        over = pathlib.Path(folder)
        mount("tmpfs", over, 0, b"tmpfs")
        mount("none", over, MS_PRIVATE)  # or what is unmounted there in the end is so everywhere
        for entry in device.iterdir():
            place = over / entry.name
            if entry.is_symlink():
                place.symlink_to(os.readlink(entry))
                continue
            if entry.is_dir():
                place.mkdir()
            else:
                place.touch()
            mount(entry, place, MS_BIND)
        (over / "firmware_node").mkdir()
        (over / "firmware_node/path").write_text("\\_SB.VHCI\n")
        mount(over, device, MS_BIND | MS_REC)
        LIBC.umount2(os.fsencode(over), MNT_DETACH)
