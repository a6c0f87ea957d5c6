# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the guest: a camera, a codec, a client outside, and pictures compared outside. The
cases of tests/guests/boards use those of them that need no client outside and no package."""
import contextlib
import functools
import itertools
import os
import pathlib
import re
import shlex
import shutil
import stat
import struct
import subprocess
import tempfile
import time

WIDTH, HEIGHT = 320, 240  # the smallest that the patched vicodec takes
PICTURE_SIZE = WIDTH * HEIGHT * 3 // 2
EMULATION = 2  # how much slower than a Raspberry Pi an emulated processor may be
ALLOCATORS = ["dma-heap:system", "udmabuf"]
EVERY_ALLOCATOR = [*ALLOCATORS, "libcamera"]  # and the camera's own
MNT = pathlib.Path("/mnt")  # what run.sh shares
PACKAGE = next(MNT.glob("camcast_*.deb"), None)
EXCHANGE = MNT / os.environ.get("GUEST", "")  # with client.py, which is outside
FEED_PORT = 9001  # that run.sh forwards to

VIRTUAL_YAML = pathlib.Path("/usr/share/libcamera/pipeline/virtual/virtual.yaml")
CAMERA_IMAGE = str(VIRTUAL_YAML.with_name("camera.jpg"))  # where a worker's sandbox can read it
VIRTUAL_CAMERA = f"""# SPDX-License-Identifier: CC0-1.0
%YAML 1.1
---
"Virtual0":
  supported_formats:
  - width: {WIDTH}
    height: {HEIGHT}
    frame_rates:
    - 30
    - 30
  frames:
    path: "{CAMERA_IMAGE}"
    scale_mode: "fill"
  location: "CameraLocationFront"
  model: "A camera"
"""
IMAGES = {CAMERA_IMAGE: "testsrc2", str(VIRTUAL_YAML.with_name("other.jpg")): "smptehdbars"}


def run(*command, timeout=120, **options):
    """Output of a command that must succeed."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, **options
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stderr.decode()[-4000:]}"
    return done.stdout


def dpkg(*arguments):
    run("dpkg", "--force-unsafe-io", *map(str, arguments))


def wait_for(what, predicate, timeout=60):
    deadline = time.monotonic() + timeout
    while True:
        asked = time.monotonic()
        if value := predicate():
            return value
        assert time.monotonic() < deadline, f"no {what} within {timeout} s"
        # Asking costs an emulated processor much.
        time.sleep(min(1, max(0.1, 2 * (time.monotonic() - asked))))


def let_others_in(folder):
    """So that a user who is not root can open files in it."""
    for path in [folder, *folder.parents]:
        path.chmod(path.stat().st_mode | stat.S_IXOTH)


def make_cameras(n=1):
    """libcamera's virtual cameras Virtual0... with the pictures of IMAGES, one each."""
    cameras = VIRTUAL_CAMERA
    for i, (image, pattern) in enumerate(list(IMAGES.items())[:n]):
        if not pathlib.Path(image).exists():
            ffmpeg("-v", "error", "-f", "lavfi", "-i",
                   f"{pattern}=size={WIDTH}x{HEIGHT},format=yuvj420p", "-frames:v", "1", "camera.jpg")
            shutil.move(EXCHANGE / "camera.jpg", image)
        if i:
            cameras += VIRTUAL_CAMERA.split("---\n")[1].replace("Virtual0", f"Virtual{i}").replace(
                CAMERA_IMAGE, image)
    VIRTUAL_YAML.write_text(cameras)


@contextlib.contextmanager
def no_cameras():
    """Without any virtual camera."""
    cameras = VIRTUAL_YAML.read_text()
    VIRTUAL_YAML.unlink()
    try:
        yield
    finally:
        VIRTUAL_YAML.write_text(cameras)


def config(codec, allocator, stream=None):
    """One camera, encoded by vicodec (codec None: by what `stream` says); the feed is at FEED_PORT
    on all addresses."""
    keys = {
        "camera": "cam",
        "codec": "h264",
        "encoder": "v4l2m2m",
        "bitrate": 1000000,
        "keyframe_interval": 10,
        "annexb": f"0.0.0.0:{FEED_PORT}",
    }
    if codec:
        keys.update({"v4l2_format": "FWHT", "v4l2_device": codec.encoder})
    keys.update(stream or {})
    return {
        "daemon": {"http": "127.0.0.1:0"},
        "camera cam": {
            "source": "libcamera",
            "size": f"{WIDTH}x{HEIGHT}",
            "framerate": 15,
            "allocator": allocator,
        },
        "stream s": keys,
    }


@functools.cache
def camera_picture(camera="Virtual0"):
    """A file with a picture as the camera delivers it, NV12 without padding, by libcamera's own tool."""
    with tempfile.TemporaryDirectory() as folder:  # what is a device's memory 9p cannot send
        run("cam", f"-c{camera}", "--capture=2", "-s", f"role=video,width={WIDTH},height={HEIGHT}",
            f"--file={folder}/#.nv12")
        path = EXCHANGE / f"{camera}.nv12"
        shutil.move(sorted(pathlib.Path(folder).iterdir())[-1], path)
    assert path.stat().st_size == PICTURE_SIZE
    return path


# --- the machine outside: client.py. It is not emulated, and so has the time to compare pictures. ---

_requests = itertools.count()


def ffmpeg(*arguments):
    """Runs ffmpeg outside, in EXCHANGE with the files there, and returns its output."""
    return ask_outside(f"ffmpeg-{next(_requests)}", shlex.join(["ffmpeg", *arguments])).decode()


def decode_h264(data):
    """Decodes with every error fatal; number of pictures and the raw file."""
    raw = EXCHANGE / "software.nv12"
    (EXCHANGE / "software.h264").write_bytes(data)
    ffmpeg("-v", "error", "-y", "-xerror", "-err_detect", "explode", "-f", "h264", "-i",
           "software.h264", "-pix_fmt", "nv12", "-f", "rawvideo", raw.name)
    return raw.stat().st_size // PICTURE_SIZE, raw


def psnr(reference, pictures):
    """The worst luma PSNR in dB of raw pictures in a file against one picture, and how many they are."""
    raw = ["-f", "rawvideo", "-s", f"{WIDTH}x{HEIGHT}", "-pix_fmt", "nv12"]
    log = ffmpeg(*raw, "-i", pictures.name, "-stream_loop", "-1", *raw, "-i", reference.name,
                 "-lavfi", "[0]format=yuv420p[a];[1]format=yuv420p[b];"
                 "[a][b]psnr=shortest=1:stats_file=-", "-f", "null", "/dev/null")
    # ffmpeg's progress may stand right behind a figure.
    values = re.findall(r"psnr_y:([\d.]+|inf)", log)
    assert values, log[-2000:]
    return min(float(value) for value in values), len(values)


def ask_outside(name, request):
    """Returns the bytes of a client outside the guest; `name` is unique to the case, without dots."""
    (EXCHANGE / f"{name}.part").write_text(request)
    (EXCHANGE / f"{name}.part").rename(EXCHANGE / f"{name}.ask")
    done = EXCHANGE / f"{name}.done"
    wait_for(f"answer to {request}", done.exists, 120)
    assert done.read_text() == "ok", f"{request}: {done.read_text()}"
    return (EXCHANGE / f"{name}.bytes").read_bytes()


def receive_outside(name, wanted):
    """Returns at least `wanted` bytes that a client outside gets from FEED_PORT, through e1000e."""
    return ask_outside(name, f"receive {wanted}")


def nic():
    """The e1000e's name."""
    return next(path.parent.name for path in pathlib.Path("/sys/class/net").glob("*/device"))


def assert_confined(camera):
    """Nothing is missing of the sandbox that the worker of a camera has, says the status."""
    assert re.fullmatch(r"seccomp, landlock \d+", camera["sandbox"]), camera


def tcp_memory():
    """Bytes that the kernel charges to all TCP sockets."""
    line = next(line for line in pathlib.Path("/proc/net/sockstat").read_text().splitlines()
                if line.startswith("TCP:"))
    fields = line.split()
    return int(fields[fields.index("mem") + 1]) * os.sysconf("SC_PAGESIZE")


def sockets_of_the_feed():
    """The peers of all but the listener, those that linger in the kernel included."""
    lines = run("ss", "-Htan", "state", "connected", "sport", f"= :{FEED_PORT}").decode()
    return {line.split()[-1] for line in lines.splitlines()}


# --- FWHT: struct fwht_cframe_hdr of the kernel's codec-fwht.h, big-endian ---

FWHT_MAGIC = b"\x4f\x4f\x4f\x4f\xff\xff\xff\xff"
FWHT_HEADER = struct.Struct(">8s9I")
FWHT_I_FRAME = 1 << 10  # V4L2_FWHT_FL_I_FRAME


def fwht_pictures(data):
    """[(header, key)] of a byte stream that must be whole pictures but for a cut last one."""
    found = []
    at = 0
    while at + FWHT_HEADER.size <= len(data):
        fields = FWHT_HEADER.unpack_from(data, at)
        magic, _version, width, height, flags = fields[:5]
        size = fields[9]
        assert magic == FWHT_MAGIC, f"no picture at byte {at} of {len(data)}"
        assert (width, height) == (WIDTH, HEIGHT)
        if at + FWHT_HEADER.size + size > len(data):
            break
        found.append((fields, bool(flags & FWHT_I_FRAME)))
        at += FWHT_HEADER.size + size
    return found, at


class Vicodec:
    """The test codec with multiplanar=1 contig_cap=1."""

    PARAMETERS = pathlib.Path("/sys/module/vicodec/parameters")
    DRIVER = pathlib.Path("/sys/bus/platform/drivers/vicodec")
    FAULTS = ("stall", "empty", "broken")  # pictures go in; out come none, empty ones, faulty ones

    def __enter__(self):
        run("modprobe", "vicodec", "multiplanar=1", "contig_cap=1")
        if not (self.DRIVER / "vicodec.0").exists():
            (self.DRIVER / "bind").write_text("vicodec.0")
        self._heal()
        run("udevadm", "settle")
        self.encoder = self._node("stateful-encoder")
        self.decoder = self._node("stateful-decoder")
        return self

    def __exit__(self, *_):
        self._heal()

    def _heal(self):
        for fault in (*self.FAULTS, "stop_ms"):
            self.set(fault, 0)

    def _node(self, name):
        for entry in pathlib.Path("/sys/class/video4linux").iterdir():
            if name in (entry / "name").read_text():
                return f"/dev/{entry.name}"
        raise AssertionError(f"no {name}")

    def set(self, parameter, value):
        (self.PARAMETERS / parameter).write_text(str(value))

    def get(self, parameter):
        return (self.PARAMETERS / parameter).read_text().strip()

    def unload(self):
        """Removes the codec and all of video4linux from the kernel."""
        run("modprobe", "-r", "vicodec")
        holders = pathlib.Path("/sys/module/videodev/holders")
        while holders.exists() and (above := sorted(entry.name for entry in holders.iterdir())):
            removed = [subprocess.run(["rmmod", name], stderr=subprocess.DEVNULL).returncode == 0
                       for name in above]
            assert any(removed), f"in use: {above}"
        run("modprobe", "-r", "videodev")

    def unbind(self):
        (self.DRIVER / "unbind").write_text("vicodec.0")

    def decode(self, data):
        """Decodes an FWHT stream with the kernel's own decoder to raw NV12 in a file."""
        with tempfile.TemporaryDirectory() as folder:
            coded, raw = pathlib.Path(folder, "in.fwht"), pathlib.Path(folder, "out.nv12")
            coded.write_bytes(data)
            run("v4l2-ctl", "-d", self.decoder,
                f"--set-fmt-video-out=pixelformat=FWHT,width={WIDTH},height={HEIGHT}",
                "--stream-out-mmap", "--stream-mmap", f"--stream-from={coded}", f"--stream-to={raw}")
            return pathlib.Path(shutil.move(raw, EXCHANGE / raw.name))
