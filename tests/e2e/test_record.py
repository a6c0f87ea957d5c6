# SPDX-License-Identifier: BSD-2-Clause
"""camcast record against real servers and a real broker, judged by ffprobe, ffmpeg and the numbers
and times that the pictures carry."""
import calendar
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import time
import types

import pytest

import broker as mqtt
import bytestream
import harness
import hostile
import recordings
import tool
from recordings import Recorder

FRAGMENT_S = 2.1  # the longest one, and the picture that waits for the next
SEGMENT_S = 3


def long_segment():
    """Seconds, with which no file ends in the next ten minutes."""
    return next(s for s in (86400, 80000, 70000) if s - time.time() % s > 600)


def server_config(broker, name, stream=None, framing="annexb", **mqtt_keys):
    """A small camera with an id made of its name."""
    config = harness.pattern_config(
        daemon={"name": name},
        camera={"size": "320x180", "framerate": 30},
        stream={"bitrate": 400000, **(stream or {})},
        framing=framing,
    )
    config["mqtt"] = {"broker": broker.address, "port": broker.port, "keepalive": 5, **mqtt_keys}
    return config


@pytest.fixture
def start_server(start_camcastd, broker):
    def start(name, **options):
        return start_camcastd(server_config(broker, name, **options))

    return start


def wait_files(recorder, server, count, timeout=30):
    return recorder.wait_until(
        lambda: len(recorder.files(server)) >= count, f"{count} files of {server}", timeout
    )


def wait_growth(recorder, server):
    """Something more of the server is on disk."""

    def size():
        return sum(path.stat().st_size for path in recorder.files(server))

    before = size()
    recorder.wait_until(lambda: size() > before, f"growth of {server}'s files")


def check_times(units):
    """The times in files are those at which the pictures were taken."""
    first = units[0]
    wrong = [(u.seq, u.pts, (u.utc_us - first.utc_us) / 1e6 - (u.pts - first.pts)) for u in units]
    worst = max(wrong, key=lambda item: abs(item[2]))
    assert abs(worst[2]) < 0.5, f"off by {worst[2]:.3f} s at picture {worst[0]}"


@pytest.mark.long
def test_segments_follow_the_clock_and_no_picture_is_lost(broker, start_server, tmp_path):
    """All servers at once; names as people write them; Ctrl-C as a terminal sends it."""
    start_server("front")
    start_server("현관/카메라")
    with Recorder(broker, tmp_path / "rec", "--all", "--segment", SEGMENT_S) as recorder:
        wait_files(recorder, "front", 3, 40)
        wait_files(recorder, "현관_카메라", 3, 40)
        recorder.stop(group=True)
    for server in ("front", "현관_카메라"):
        everything = []
        paths = recordings.files(tmp_path / "rec" / server)
        for number, (path, units) in enumerate(zip(paths, recordings.check_files(paths))):
            assert all(bytestream.IDR in unit.types for unit in units[:1])
            check_times(units)
            named = recordings.named_utc(path)
            assert abs(units[0].utc_us / 1e6 - named) < 2
            if number:
                # The first IDR of the segment, and those come every second.
                assert named % SEGMENT_S < 3 * harness.PATIENCE, path
            seconds = float(recordings.probe(path)["format"]["duration"])
            if 0 < number < len(paths) - 1:
                assert abs(seconds - SEGMENT_S) < 3 * harness.PATIENCE
            # To the end of the last picture.
            assert 0 <= seconds - units[-1].pts < 1
            everything += units
        assert not bytestream.gaps(everything), "pictures are missing between or within files"


def test_only_those_that_are_named_and_mjpeg_too(
    broker, start_camcastd, start_server, tmp_path
):  # fmt: skip
    start_server("still", stream={"codec": "mjpeg", "sei": False}, framing="length_prefixed")
    start_server("other")
    config = server_config(broker, "twice")
    config["stream t"] = dict(config["stream s"])
    start_camcastd(config)
    with Recorder(
        broker, tmp_path, "still", "nobody", "twice/s", "twice/t", "--segment", "2", "--json"
    ) as recorder:
        recorder.wait_log("waiting for nobody: .")
        wait_files(recorder, "still", 3)
        wait_files(recorder, "twice_s", 1)
        wait_files(recorder, "twice_t", 1)
        recorder.stop(signal.SIGTERM)
    assert not (tmp_path / "other").exists()
    told = [json.loads(line) for line in recorder.out]
    assert {item["server"] for item in told} == {"still", "twice/s", "twice/t"}
    told = [item for item in told if item["server"] == "still"]
    assert [pathlib.Path(item["file"]) for item in told] == recorder.files("still")
    for item in told:
        recordings.check_file(item["file"])
        found = recordings.probe(item["file"])
        assert found["streams"][0]["codec_name"] == "mjpeg"
        assert (found["streams"][0]["width"], found["streams"][0]["height"]) == (320, 180)
        assert abs(float(found["format"]["duration"]) - item["duration"]) < 0.01
        assert os.path.getsize(item["file"]) == item["bytes"]
        assert re.fullmatch(r"[-\d]{10}T[:.\d]{12}Z", item["start"])


def copy_config(broker, name, source, seconds, rate, b_frames, gop):
    """A server that passes on a recording made here, source."""
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=s=320x180:r={rate}",
         "-t", str(seconds), "-c:v", "libx264", "-bf", str(b_frames), "-b_strategy", "0",
         "-x264-params", "b-pyramid=none", "-g", str(gop), source],
        check=True, timeout=60 * harness.PATIENCE,
    )  # fmt: skip
    config = server_config(broker, name, stream={"encoder": "copy", "sei": False})
    config["camera cam"]["source"] = f"file:{source}"
    return config


def test_pictures_that_are_shown_in_another_order(broker, start_camcastd, tmp_path):
    """B pictures, of a recording that is copied, and many more of them than one waits for."""
    start_camcastd(copy_config(broker, "bee", tmp_path / "source.mp4", 10, 30, 8, 30))
    with Recorder(broker, tmp_path, "bee", "--segment", "2") as recorder:
        wait_files(recorder, "bee", 2, 40)
        recorder.stop()
    for path in recorder.files("bee"):
        found = recordings.probe(path, "-show_frames")
        shown = [int(frame["pts"]) for frame in found["frames"]]
        assert shown == sorted(set(shown)) == sorted(int(p["pts"]) for p in found["packets"])
        assert all(int(p["pts"]) >= int(p["dts"]) for p in found["packets"])
        assert len(shown) < 20 or "B" in {frame["pict_type"] for frame in found["frames"]}
        steps = [b - a for a, b in zip(shown, shown[1:])]
        assert max(steps, default=0) < 45000 * harness.PATIENCE, f"uneven: {steps}"


def test_the_rate_of_a_recording_is_that_of_its_pictures(broker, start_camcastd, tmp_path):
    """A file of 10 pictures a second, announced as that and with its own bitrate."""
    source = tmp_path / "source.mp4"
    start_camcastd(copy_config(broker, "slow", source, 30, 10, 0, 20))
    with Recorder(broker, tmp_path, "slow", "--segment", long_segment()) as recorder:
        wait_files(recorder, "slow", 1, 40)
        for _ in range(2):
            wait_growth(recorder, "slow")
        _, out, _ = tool.run("discover", "--json", broker=broker)
        recorder.stop()
    (stream,) = json.loads(out)[0]["streams"]
    assert (stream["width"], stream["height"], stream["framerate"]) == (320, 180, 10)
    assert 0.8 < stream["bitrate"] / (source.stat().st_size * 8 / 30) < 1.1
    (path,) = recorder.files("slow")
    recordings.check_file(path)
    found = recordings.probe(path)
    times = [float(packet["pts_time"]) for packet in found["packets"]]
    steps = [b - a for a, b in zip(times, times[1:])]
    assert len(steps) > 20 and all(abs(step - 0.1) < 0.03 for step in steps), steps
    assert abs(float(found["format"]["duration"]) - times[-1] - 0.1) < 0.03


@pytest.mark.long
def test_a_limit_of_a_files_length_begins_another_file(broker, start_server, tmp_path):
    """As FAT's 4 GB, but smaller."""
    start_server("long", stream={"bitrate": 1000000})
    prefix = ["prlimit", "--fsize=700000", "--"]
    with Recorder(
        broker, tmp_path, "long", "--segment", long_segment(), prefix=prefix
    ) as recorder:
        wait_files(recorder, "long", 4, 60)
        recorder.stop()
    assert not [line for line in recorder.lines if "no room" in line or "cannot" in line]
    units = recordings.check_folder(tmp_path / "long")
    assert not bytestream.gaps(units)
    assert all(path.stat().st_size > 300000 for path in recorder.files("long")[:-1])


@pytest.mark.long
def test_a_limit_of_a_files_length_that_nobody_knew_loses_nothing(
    broker, start_server, tmp_path
):
    """As that of a file system on another machine. Only every third fragment begins at a key
    picture."""
    start_server("sudden", stream={"bitrate": 1000000, "keyframe_interval": 90})
    with Recorder(broker, tmp_path, "sudden", "--segment", long_segment()) as recorder:
        (path,) = wait_files(recorder, "sudden", 1) and recorder.files("sudden")
        recorder.wait_until(lambda: path.stat().st_size > 1100000, "two groups of pictures")
        limit = path.stat().st_size + 20000
        child = recorder.children()["sudden"]
        resource.prlimit(child, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        recorder.wait_log("sudden: a file cannot be longer than")
        resource.prlimit(child, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        wait_files(recorder, "sudden", 2)
        wait_growth(recorder, "sudden")
        recorder.stop()
    units = recordings.check_folder(tmp_path / "sudden")
    assert not bytestream.gaps(units)
    late = [unit.utc_us / 1e6 - unit.at for unit in units]  # a name has whole seconds
    assert all(-0.5 < seconds < 1.5 for seconds in late), late
    assert 500000 < path.stat().st_size <= limit


@pytest.mark.long
@pytest.mark.parametrize("frozen", ["recorder", "server"])
def test_what_stands_still_begins_a_new_file(broker, start_server, tmp_path, frozen):
    """SIGSTOP and SIGCONT; no picture has a wrong time before, within or after."""
    server = start_server("ice")
    with Recorder(broker, tmp_path, "ice", "--segment", long_segment()) as recorder:
        recorder.wait_log("ice: recording to")
        wait_growth(recorder, "ice")
        pid = recorder.children()["ice"] if frozen == "recorder" else server.process.pid
        os.kill(pid, signal.SIGSTOP)
        stopped = time.time()
        recorder.wait_until(lambda: time.time() > stopped + 6, "end of the wait")
        os.kill(pid, signal.SIGCONT)
        wait_files(recorder, "ice", 2)
        wait_growth(recorder, "ice")
        recorder.stop()
    paths = recorder.files("ice")
    assert len(paths) == 2
    for path, units in zip(paths, recordings.check_files(paths)):
        check_times(units)
        created = recordings.probe(path)["format"]["tags"]["creation_time"]
        assert abs(units[0].utc_us / 1e6 - recordings.created_utc(created)) < 1.5


def test_a_killed_child_costs_its_own_recording_a_moment(broker, start_server, tmp_path):
    start_server("one")
    start_server("two")
    with Recorder(broker, tmp_path, "--all", "--segment", long_segment()) as recorder:
        recorder.wait_log("recording to", count=2)
        before = recorder.children()
        killed = time.time()
        os.kill(before["one"], signal.SIGKILL)
        recorder.wait_log("one: killed by SIGKILL; again in")
        recorder.wait_log("one: recording to", count=2)
        after = recorder.children()
        assert after["one"] != before["one"] and after["two"] == before["two"]
        recorder.stop()
    before, after, other = recordings.check_files([*recorder.files("one"), *recorder.files("two")])
    assert killed - before[-1].utc_us / 1e6 < FRAGMENT_S + 2 * harness.PATIENCE
    check_times(before)
    assert after[0].utc_us / 1e6 < killed + 10 * harness.PATIENCE
    assert not bytestream.gaps(other)


def test_a_killed_manager_leaves_files_that_play_and_no_process(broker, start_server, tmp_path):
    start_server("one")
    start_server("two")
    with Recorder(broker, tmp_path, "--all", "--segment", SEGMENT_S) as recorder:
        wait_files(recorder, "one", 2)
        wait_files(recorder, "two", 2)
        killed = time.time()
        os.kill(recorder.process.pid, signal.SIGKILL)
        recorder.process.wait()
        recorder.wait_gone()
    for server in ("one", "two"):
        units = recordings.check_folder(tmp_path / server)
        assert not bytestream.gaps(units)
        assert killed - units[-1].utc_us / 1e6 < FRAGMENT_S + 2 * harness.PATIENCE


@pytest.mark.long
def test_a_server_that_comes_back_elsewhere_is_recorded_on(broker, start_camcastd, tmp_path):
    """The server is killed, which only the broker announces, and comes back with another port."""
    config = server_config(broker, "roamer", id="roamer")
    with harness.Camcastd(config, tmp_path) as first:
        recorder = Recorder(broker, tmp_path / "rec", "roamer", "--segment", long_segment())
        with recorder:
            recorder.wait_log("roamer: recording to")
            wait_growth(recorder, "roamer")
            first.expected_exit = -signal.SIGKILL
            first.process.kill()
            first.process.wait()
            gone = time.time()
            recorder.wait_log(r"warning: roamer: .")
            position = recorder.position()
            second = start_camcastd(config)
            assert second.port() != first.port()
            recorder.wait_log("roamer: recording to", 40, after=position)
            back = time.time()
            wait_growth(recorder, "roamer")
            recorder.stop()
    paths = recorder.files("roamer")
    assert len(paths) == 2
    before, after = recordings.check_files(paths)
    assert gone - FRAGMENT_S - 2 * harness.PATIENCE < before[-1].utc_us / 1e6 <= gone
    assert gone < after[0].utc_us / 1e6 <= back


def test_a_pause_of_the_connection_is_a_pause_of_the_recording(broker, start_camcastd, tmp_path):
    """The same address after a restart: the same file goes on, with times that tell the pause. That
    the broker has gone meanwhile is no reason to stop."""
    config = server_config(broker, "nap", stream={"annexb": "127.0.0.1:0"})
    first = start_camcastd(config)
    with Recorder(broker, tmp_path / "rec", "nap", "--segment", long_segment()) as recorder:
        recorder.wait_log("nap: recording to")
        position = recorder.position()
        broker.stop()
        recorder.wait_log("broker: ", after=position)
        wait_growth(recorder, "nap")
        port = first.port()
        first.stop()
        recorder.wait_log("warning: nap: .")
        # Some pictures wait for the end of their fragment, which comes when nothing else does.
        wait_growth(recorder, "nap")
        before = recorder.files("nap")[0].stat().st_size
        config["stream s"]["annexb"] = f"127.0.0.1:{port}"
        start_camcastd(config)
        recorder.wait_until(
            lambda: recorder.files("nap")[-1].stat().st_size > before + 50000
            or len(recorder.files("nap")) > 1,
            "more of it",
        )
        recorder.stop()
    paths = recorder.files("nap")
    assert len(paths) == 1
    units = recordings.check_file(paths[0])
    (cut,) = bytestream.gaps(units)
    taken = (cut[1].utc_us - cut[0].utc_us) / 1e6
    assert taken > 1 and abs((cut[1].pts - cut[0].pts) - taken) < 0.5
    check_times(units)


def test_a_clock_that_is_set_before_the_first_picture_cuts_no_file(start_camcastd, tmp_path):
    """As at the start of a machine without a battery: the first file has the right name already."""
    clock, library, port = tmp_path / "clock", tmp_path / "clockstep.so", harness.free_port()
    clock.write_bytes(bytes(8))
    source = pathlib.Path(__file__).parent.parent / "support/clockstep.c"
    harness.output_of("gcc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, source)
    recorder = Recorder(
        types.SimpleNamespace(address="127.0.0.1", port=1),
        tmp_path / "rec",
        *(f"tcp://127.0.0.1:{port}", "--segment", long_segment()),
        env={"LD_PRELOAD": str(library), "CAMCAST_CLOCK": str(clock)},
    )
    with recorder:
        recorder.wait_log("trying again")
        with clock.open("r+b") as ahead:
            ahead.write((60 * 10**9).to_bytes(8, "little"))
        recorder.wait_log("the clock was set by [+]60 s")
        config = harness.pattern_config(camera={"size": "320x180", "framerate": 30})
        config["stream s"]["annexb"] = f"127.0.0.1:{port}"
        start_camcastd(config)
        name = f"127.0.0.1_{port}"
        wait_files(recorder, name, 1)
        for _ in range(4):
            wait_growth(recorder, name)
        recorder.stop()
    (path,) = recorder.files(name)
    recordings.check_file(path)


def test_a_disk_that_loses_what_it_took_is_told(start_camcastd, tmp_path):
    """The kernel took it, so that no write() fails."""
    config = harness.pattern_config(camera={"size": "320x180", "framerate": 30})
    (tmp_path / "fault.c").write_text(
        "#include <errno.h>\nint fdatasync(int fd) { (void)fd; errno = EIO; return -1; }\n"
    )
    harness.output_of(
        "gcc", "-shared", "-fPIC", "-o", tmp_path / "fault.so", tmp_path / "fault.c"
    )
    with Recorder(
        types.SimpleNamespace(address="127.0.0.1", port=1),
        tmp_path / "rec",
        *(f"127.0.0.1:{start_camcastd(config).port()}", "--segment", 1),
        env={"LD_PRELOAD": str(tmp_path / "fault.so")},
    ) as recorder:
        recorder.wait_log("what was recorded is not on the disk: Input/output error")
        recorder.wait_log(r"Z\.mp4: \d+\.\d s, ", count=3)
        recorder.stop()
    assert len([line for line in recorder.lines if "not on the disk" in line]) == 1


def test_a_script_that_reads_nothing_holds_up_no_recording(start_camcastd, tmp_path):
    """A line of --json for which the pipe has no room goes to the log."""
    config = harness.pattern_config(camera={"size": "320x180", "framerate": 30})
    address = f"127.0.0.1:{start_camcastd(config).port()}"
    os.mkfifo(tmp_path / "lines")
    pipe = os.open(tmp_path / "lines", os.O_RDWR | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(pipe, bytes(4096))
    recorder = Recorder(
        types.SimpleNamespace(address="127.0.0.1", port=1),
        tmp_path / "rec",
        *(address, "--segment", 1, "--json"),
        prefix=("sh", "-c", 'exec "$@" > "$0"', tmp_path / "lines"),
    )
    with recorder:
        recorder.wait_log(r"Z\.mp4: \d+\.\d s, ", count=3)
        recorder.stop()
    os.close(pipe)
    recordings.check_folder(tmp_path / "rec" / address.replace(":", "_"))


def test_on_command_all_servers_start_and_stop(broker, start_server, tmp_path):
    start_server("one")
    start_server("two")
    with mqtt.Client(broker) as remote, Recorder(
        broker, tmp_path, "--all", "--on-command", "--segment", long_segment()
    ) as recorder:
        broker.wait_log(r"commend/rec \(QoS")
        for _round in (1, 2):
            position = recorder.position()
            assert not recorder.children()
            remote.publish("commend/rec", "start")
            recorder.wait_log("recording on command", after=position)
            recorder.wait_log("recording to", count=2, after=position)
            remote.publish("command/rec", "stop")
            recorder.wait_log("stopped on command", after=position)
            recorder.wait_until(lambda: not recorder.children(), "end of both children")
            assert recorder.process.poll() is None
        recorder.stop()
    for server in ("one", "two"):
        paths = recorder.files(server)
        assert len(paths) == 2
        for units in recordings.check_files(paths):
            assert not bytestream.gaps(units)


def test_a_full_disk_stops_the_recording_until_there_is_room(broker, start_server, tmp_path):
    """On a small tmpfs in a mount namespace of camcast's own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    inside = harness.with_mount(f"mount -t tmpfs -o size=512k tmpfs {disk}")
    if not inside:
        pytest.skip("no mount namespace of one's own")
    start_server("full", stream={"bitrate": 2000000})
    with Recorder(broker, disk, "full", "--segment", "2", prefix=inside) as recorder:
        recorder.wait_log("connected to")
        # Held open, the file system outlives its mount.
        handle = os.open(f"/proc/{recorder.process.pid}/root{disk}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            view = pathlib.Path(f"/proc/{os.getpid()}/fd/{handle}/full")
            recorder.wait_log("full: no room in .*: recording stops", 40)
            child = recorder.children()["full"]
            kept = {path.name: path.stat().st_size for path in recordings.files(view)}
            assert len(kept) >= 1
            recordings.check_folder(view)
            # The stream is read all the time; nothing more is written.
            recorder.wait_log("full: .*mp4: ")
            assert {p.name: p.stat().st_size for p in recordings.files(view)} == kept
            next(iter(recordings.files(view))).unlink()
            recorder.wait_log("full: recording again to", 40)
            assert recorder.children()["full"] == child
            recorder.stop()
            assert len(recordings.files(view)) >= len(kept)
            recordings.check_folder(view)
        finally:
            os.close(handle)


@pytest.mark.long
def test_the_oldest_recordings_make_room(broker, start_server, tmp_path):
    start_server("porch", id="porch-1")
    folder = tmp_path / "porch"
    folder.mkdir()
    (folder / ".camcast").write_text("porch-1\n")
    old = [folder / f"20200101T0000{second:02}Z.mp4" for second in range(10)]
    for path in old:
        path.write_bytes(bytes(100000))
    theirs = folder / "20200101T000000Z.mp4.mine"
    theirs.write_bytes(bytes(1000000))
    with Recorder(broker, tmp_path, "--max-bytes", "450K", "--segment", long_segment()) as recorder:
        recorder.wait_log("deleted 6 old recordings; left: 4")
        recorder.wait_log("porch: recording to")
        assert [path for path in old if path.exists()] == old[6:]
        # What is recorded counts as well, and is never deleted while it is written.
        recorder.wait_log("deleted [1-4] old recording", timeout=60)
        assert recorder.process.poll() is None
        recorder.stop()
    assert theirs.exists()
    left = [path for path in recorder.files("porch") if path not in old]
    assert left
    recordings.check_files(left)
    for path in left:
        assert path.stat().st_size <= 450 * 1024 / 4


def test_a_mount_that_goes_away_is_waited_for(broker, start_server, tmp_path):
    """Nothing is written to the folder below it."""
    disk = tmp_path / "disk"
    (disk / "stick").mkdir(parents=True)  # the server's folder is there, too
    (disk / "stick" / ".camcast").write_text("stick\n")
    inside = harness.with_mount(f"mount -t tmpfs -o size=50m tmpfs {disk}")
    if not inside:
        pytest.skip("no mount namespace of one's own")
    start_server("stick", id="stick")
    with Recorder(broker, disk, "stick", "--segment", "2", prefix=inside) as recorder:
        recorder.wait_log("stick: recording to")
        enter = ["nsenter", "-t", str(recorder.process.pid), "-m"]
        below = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
        subprocess.run([*enter, "umount", "-l", disk], check=True)
        recorder.wait_log("disk: its file system is not mounted any more; recording stops")
        recorder.wait_until(lambda: not recorder.children(), "end of the child")
        recorder.wait_log("stick: .*mp4: ")
        subprocess.run([*enter, "mount", "-t", "tmpfs", "tmpfs", disk], check=True)
        position = recorder.position()
        recorder.wait_log("recording goes on in")
        recorder.wait_log("stick: recording to", after=position)
        recorder.stop()
    assert {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()} == below


def test_two_recorders_do_not_share_a_folder(broker, start_server, tmp_path):
    start_server("one")
    with Recorder(broker, tmp_path / "rec", "one") as first:
        first.wait_log("one: recording to")
        with Recorder(broker, tmp_path / "rec", "one") as second:
            assert second.process.wait(20 * harness.PATIENCE) == 1
            second.wait_log(f"rec: process {first.process.pid} on .* records there; give this one")
        first.stop()
    with Recorder(broker, tmp_path / "rec", "one") as third:
        third.wait_log("one: recording to")
        third.stop()


def test_urls_need_no_broker(start_camcastd, tmp_path):
    config = harness.pattern_config(camera={"size": "320x180", "framerate": 30})
    server = start_camcastd(config)
    nowhere = types.SimpleNamespace(address="127.0.0.1", port=1)
    name = f"127.0.0.1:{server.port()}"
    for argument in (f"tcp://{name}", name):
        with Recorder(nowhere, tmp_path, argument) as recorder:
            recorder.wait_log(f"{name}: recording to")
            recorder.stop()
    assert not [line for line in recorder.lines if "broker: " in line]
    recordings.check_folder(tmp_path / name.replace(":", "_"))


def test_a_command_outlives_the_recorder(broker, start_server, tmp_path):
    start_server("one")
    arguments = (broker, tmp_path, "--all", "--on-command")
    with mqtt.Client(broker) as remote:
        with Recorder(*arguments) as recorder:
            recorder.wait_log("waiting for the command `start`")
            recorder.wait_log("connected to")
            broker.wait_log(r"commend/rec \(QoS")
            remote.publish("commend/rec", "START")
            recorder.wait_log("one: recording to")
            recorder.kill()
        with Recorder(*arguments) as recorder:
            recorder.wait_log("recording, as the last command was `start`")
            recorder.wait_log("one: recording to")
            remote.publish("commend/rec", "stop")
            recorder.wait_log("stopped on command")
            recorder.stop()
        with Recorder(*arguments) as recorder:
            recorder.wait_log("waiting for the command `start`")
            recorder.stop()


def test_what_is_waited_for_is_told(broker, tmp_path):
    with Recorder(broker, tmp_path) as recorder:
        recorder.wait_log("there is no server yet; waiting for one")
        recorder.stop()


def test_a_terminal_shows_progress(broker, start_server, tmp_path):
    start_server("one")
    screen, terminal = os.openpty()
    process = harness.start(
        [harness.BUILD / "camcast", "record", "--broker", f"{broker.address}:{broker.port}",
         "--dir", tmp_path],
        stdin=subprocess.DEVNULL, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    try:
        shown = b""
        while not re.search(rb"recording 1 server  [1-9][\d.]+ fps  [\d.]+ Mbit/s", shown):
            shown += os.read(screen, 4096)
    finally:
        process.terminate()
        process.wait(10 * harness.PATIENCE)
        os.close(screen)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "--dir DIR"),
        (["--dir", "x", "--all", "name"], "use either --all or names"),
        (["--dir", "x", "--segment", "0"], "--segment 0: use a time from 1s to 24h"),
        (["--dir", "x", "--max-bytes", "many"], "--max-bytes many: use a number of bytes"),
        (["--dir", "x", "--max-age", "1y"], "--max-age 1y: use a time"),
        (["--dir", "x", "http://cam/1"], "http://cam/1: a URL is tcp://HOST:PORT, HOST:PORT, "),
    ],
)
def test_wrong_arguments_are_told(arguments, said):
    done = subprocess.run(
        [harness.BUILD / "camcast", "record", *arguments],
        capture_output=True, text=True, check=False, timeout=20 * harness.PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2 and said in done.stderr


def test_exiftool_reads_what_a_recording_is(broker, tmp_path):
    """Photo programs read headers, and never the fragments."""
    units = hostile.real_units("64x48", 25, 25, "h264_metadata=display_orientation=insert:rotate=90")
    with (
        hostile.Server(hostile.pictures(units, 25)) as server,
        Recorder(broker, tmp_path, server.url, "--segment", SEGMENT_S) as recorder,
    ):
        folder = f"127.0.0.1_{server.port}"
        wait_files(recorder, folder, 3, 40)
        path = recorder.files(folder)[1]
        recorder.stop()
    found = json.loads(
        subprocess.check_output(["exiftool", "-json", "-n", path], env={"LC_ALL": "C", **os.environ})
    )[0]
    assert abs(found["Duration"] - SEGMENT_S) < 3 * harness.PATIENCE
    assert (found["ImageWidth"], found["ImageHeight"]) == (64, 48)
    assert found["Rotation"] in (90, 270)
    created = calendar.timegm(time.strptime(found["CreateDate"][:19], "%Y:%m:%d %H:%M:%S"))
    assert created == recordings.named_utc(path)
