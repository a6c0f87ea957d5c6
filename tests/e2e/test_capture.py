# SPDX-License-Identifier: BSD-2-Clause
"""camcast-capture alone: by hand, and as a worker with this test at the other end of its pair."""
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import time

import bytestream
import pytest

import harness
from strip import HEIGHT, WIDTH, decoded_numbers
from worker import CAPTURE, FAILED, KEY, RUNNING, STARTING, TIMEOUT, Worker, by_hand, write_config

H264_ENCODERS = ("x264", "openh264")
H264_FEEDS = 7  # of a stream; the first feed of the next one has this number


def pattern(encoder="auto", **options):
    """A small pattern camera `cam` with an H.264 stream `s`."""
    config = harness.pattern_config({"encoder": encoder, **options})
    config["camera cam"]["size"] = f"{WIDTH}x{HEIGHT}"
    return config


def jpeg(**options):
    config = harness.pattern_config(framing="length_prefixed")
    config["camera cam"]["size"] = f"{WIDTH}x{HEIGHT}"
    config["stream s"] = {
        "camera": "cam",
        "codec": "mjpeg",
        "length_prefixed": "127.0.0.1:0",
        **options,
    }
    return config


@pytest.fixture
def start_worker(tmp_path):
    """start_worker(config, **options of Worker): all are stopped at the end, by closing the pair,
    and must end with 0 unless the test looked after that itself."""
    running = []

    def start(config, **options):
        worker = Worker(tmp_path, config, **options)
        running.append(worker)
        return worker

    yield start
    for worker in running:
        ended = worker.process.poll() is not None
        code = worker.stop()
        assert ended or code == 0, worker.log


def split_prefixed(data):
    pictures, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        pictures.append(data[at + 4 : at + 4 + length])
        assert len(pictures[-1]) == length
        at += 4 + length
    return pictures


def assert_paced(numbers):
    """Legible and growing. A loaded machine may leave out pictures, but never repeats one."""
    assert None not in numbers
    assert all(b > a for a, b in zip(numbers, numbers[1:])), numbers


# --- by hand ---


@pytest.mark.parametrize("encoder", H264_ENCODERS)
def test_a_file_written_by_hand_decodes(tmp_path, encoder):
    out = tmp_path / "out.h264"
    result = by_hand(tmp_path, pattern(encoder), "-o", out, "-t", "2")
    assert result.returncode == 0, result.stderr
    units, gaps = bytestream.check_stream(out.read_bytes() + bytestream.AUD, tmp_path)
    assert gaps == 0
    assert 30 <= len(units) <= 61
    assert_paced(decoded_numbers(out.read_bytes(), "h264"))
    rate = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=r_frame_rate,has_b_frames"]
        + ["-of", "csv=p=0", out],
        capture_output=True,
        check=True,
    )
    assert rate.stdout.split() == [b"0,30/1"]
    assert f"{len(units)} units".encode() in result.stderr


def test_pictures_written_by_hand_decode(tmp_path):
    result = by_hand(tmp_path, jpeg(), "-o", "-", "-t", "1")
    assert result.returncode == 0, result.stderr
    pictures = split_prefixed(result.stdout)
    assert 15 <= len(pictures) <= 31
    assert_paced(decoded_numbers(b"".join(pictures), "mjpeg"))


def test_each_stream_can_be_chosen_by_name(tmp_path):
    config = {**pattern("x264"), "stream j": jpeg()["stream s"]}
    result = by_hand(tmp_path, config, "--stream", "j", "-o", "-", "-t", "0.5")
    assert result.returncode == 0, result.stderr
    assert split_prefixed(result.stdout)[0].startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["-o", "-", "--stream", "nonsense"], "no [stream nonsense]"),
        (["-o", "-", "--camera", "nonsense"], "no [camera nonsense]"),
        (["-o", "-", "-t", "soon"], "-t soon: use a time"),
        ([], "no output is given"),
        (["-o", "-", "more"], 'unexpected argument "more"'),
        (["--worker", "--camera", "cam"], "for camcastd"),
    ],
)
def test_mistakes_are_told(tmp_path, arguments, said):
    result = by_hand(tmp_path, pattern(), *arguments, stdin=subprocess.DEVNULL, close_fds=True)
    assert result.returncode == 2
    assert said in result.stderr.decode()


def test_a_wrong_configuration_is_told_with_its_line(tmp_path):
    result = by_hand(tmp_path, "[camera cam]\nsource = patern\n", "-o", "-")
    assert result.returncode == 2
    assert ":2:" in result.stderr.decode()


def test_a_camera_that_does_not_open_ends_it_whatever_the_time(tmp_path):
    config = pattern()
    config["camera cam"]["source"] = "file:/nothing/here.avi"
    result = by_hand(tmp_path, config, "-o", tmp_path / "out", "-t", str(TIMEOUT * 10))
    assert result.returncode == 3
    assert "/nothing/here.avi: No such file" in result.stderr.decode()


def test_a_time_that_ends_before_the_first_picture_is_an_error(tmp_path):
    result = by_hand(tmp_path, pattern("x264"), "-o", tmp_path / "out", "-t", "0.0001")
    assert result.returncode == 1
    assert "no picture came in time" in result.stderr.decode()


def test_an_output_that_cannot_be_written_is_told(tmp_path):
    result = by_hand(tmp_path, pattern(), "-o", tmp_path)
    assert result.returncode == 1
    assert "Is a directory" in result.stderr.decode()


def test_a_reader_that_goes_away_ends_it(tmp_path):
    with subprocess.Popen(
        [CAPTURE, "-c", write_config(tmp_path, pattern("x264")), "-o", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.read(1000).startswith(bytestream.AUD)
        process.stdout.close()
        assert process.wait(TIMEOUT) == 1
        assert b"Broken pipe" in process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path, number):
    with subprocess.Popen(
        [CAPTURE, "-c", write_config(tmp_path, pattern("x264")), "-o", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        data = process.stdout.read(1000)
        before = time.monotonic()
        process.send_signal(number)
        data += process.stdout.read()
        assert process.wait(TIMEOUT) == 0
        assert time.monotonic() - before < 2 * harness.PATIENCE
        log = process.stderr.read().decode()
        assert "blocks" not in log and not harness.SANITIZER_LINE.search(log)
        bytestream.check_stream(data + bytestream.AUD, tmp_path)


# --- as a worker ---


def test_a_worker_tells_the_truth_about_itself(start_worker):
    config = pattern("openh264", bitrate=600000)
    config["camera cam"]["allocator"] = "memfd"
    worker = start_worker(config)
    worker.receive_until(lambda: worker.heartbeat, "a heartbeat")
    assert worker.heartbeats[0]["state"] == STARTING
    worker.receive_units(1)
    first = len(worker.heartbeats)
    worker.receive_until(lambda: len(worker.heartbeats) >= first + 3, "three heartbeats")
    while worker.receive() != "stream":  # the streams' follow the heartbeat
        pass
    heartbeat = worker.heartbeat
    assert heartbeat["state"] == RUNNING and heartbeat["reason"] == ""
    assert heartbeat["source"] == "pattern" and heartbeat["allocator"] == "memfd"
    assert (heartbeat["width"], heartbeat["height"]) == (WIDTH, HEIGHT)
    assert heartbeat["path"] == "I420 320x240, slots mapped"
    assert 20000 < heartbeat["fps_milli"] <= 33000
    assert heartbeat["frames"] >= 60
    stream = worker.streams[0]
    assert stream["encoder"] == "openh264" and "OpenH264" in stream["detail"]
    assert stream["active"] == 1 and stream["can_force_idr"] == 1
    assert stream["target_bps"] == 600000
    assert 100000 < stream["bitrate_bps"] < 1200000
    assert 20000 < stream["fps_milli"] <= 33000
    assert 0 < stream["encode_us"] < 1000000
    units = worker.feeds[0].units
    assert 0 <= len(units) - stream["units"] <= 2  # a unit is counted after it was sent
    counted = units[: stream["units"]]
    assert stream["keys"] == sum(1 for unit in counted if unit["flags"] & KEY)


def test_heartbeats_come_each_second(start_worker):
    worker = start_worker(pattern("x264"))
    worker.receive_until(lambda: len(worker.heartbeats) >= 8, "eight heartbeats")
    times = [heartbeat["at"] for heartbeat in worker.heartbeats]
    assert max(b - a for a, b in zip(times, times[1:])) < 1 + 0.5 * harness.PATIENCE


def test_a_temporal_layer_is_droppable_and_nothing_refers_to_it(start_worker, tmp_path):
    worker = start_worker(pattern("openh264", temporal_layers=2))
    worker.receive_units(60)
    units = worker.feeds[0].units
    droppable = [unit for unit in units if unit["flags"] & 2]
    assert abs(len(droppable) - len(units) / 2) <= 2
    kept = [bytestream.parse_unit(u["data"]) for u in units if not u["flags"] & 2]
    assert bytestream.decode(kept, tmp_path) == len(kept)


def test_an_unwanted_stream_sends_nothing_until_it_is_wanted(start_worker):
    config = {**pattern("x264"), "stream d": jpeg(on_demand=True)["stream s"]}
    worker = start_worker(config)
    worker.receive_units(30)
    jpegs = H264_FEEDS
    assert worker.streams[1]["active"] == 0 and worker.streams[1]["units"] == 0
    assert jpegs not in worker.feeds
    worker.want(jpegs, 1)
    worker.receive_units(5, feed=jpegs)
    worker.want(jpegs, 0)
    worker.receive_until(lambda: worker.streams[1]["active"] == 0, "the end of it")
    before = len(worker.feeds[jpegs].units)
    worker.receive_units(30)
    assert len(worker.feeds[jpegs].units) <= before + 1


@pytest.mark.parametrize("encoder", [*H264_ENCODERS, "mjpeg"])
def test_the_first_picture_comes_within_150_ms(start_worker, encoder):
    """Also from a camera that takes only five a second: the newest frame waits."""
    config = jpeg() if encoder == "mjpeg" else pattern(encoder)
    config["stream s"]["on_demand"] = True
    config["camera cam"].update(framerate=5, size="1280x720")
    worker = start_worker(config)
    worker.receive_until(lambda: worker.streams.get(0, {}).get("encoder"), "an open encoder")
    worker.receive_until(lambda: worker.heartbeat["frames"] > 0, "a picture")
    delays = []
    for _ in range(7):
        asked = time.monotonic()
        worker.want(0, 1)
        unit = worker.receive_units(1)[0]
        assert unit["flags"] & KEY
        delays.append(unit["at"] - asked)
        worker.want(0, 0)
        # Unwanted for more than one picture's time, so that the next start is one from idle.
        frames = worker.heartbeat["frames"]
        worker.receive_until(lambda: worker.heartbeat["frames"] > frames + 3, "pictures")
    # A sanitizer makes the encoders slow, and promises nothing about time.
    assert statistics.median(delays) < (0.3 if harness.SAN else 0.075) * harness.PATIENCE, delays


@pytest.mark.parametrize("encoder", H264_ENCODERS)
def test_an_idr_request_is_answered_by_the_next_pictures(start_worker, encoder):
    worker = start_worker(pattern(encoder, keyframe_interval=300))
    worker.receive_units(10)
    for answered in (1, 2, 3):
        worker.request_idr(0)
        units = worker.receive_units(10)
        keys = [i for i, unit in enumerate(units) if unit["flags"] & KEY]
        assert len(keys) == 1 and keys[0] <= 5
        worker.receive_until(lambda: worker.streams[0]["idr_requests"] == answered, "the count")


@pytest.mark.parametrize("encoder", H264_ENCODERS)
def test_key_units_come_at_the_interval(start_worker, encoder):
    worker = start_worker(pattern(encoder, keyframe_interval=12))
    units = worker.receive_units(50)
    keys = [i for i, unit in enumerate(units) if unit["flags"] & KEY]
    assert keys == [0, 12, 24, 36, 48]


@pytest.mark.parametrize("encoder", H264_ENCODERS)
def test_the_bitrate_changes_while_running(start_worker, encoder):
    config = pattern(encoder, bitrate=1500000)
    config["camera cam"]["size"] = "640x480"
    worker = start_worker(config)
    worker.receive_units(60)
    before = sum(unit["len"] for unit in worker.receive_units(60))
    worker.set_bitrate(0, 300000)
    worker.receive_until(lambda: worker.streams[0]["target_bps"] == 300000, "the new target")
    worker.receive_units(60)
    after = sum(unit["len"] for unit in worker.receive_units(60))
    two_seconds = 2 * 300000 / 8
    assert 0.5 * two_seconds < after < 1.4 * two_seconds < before, (before, after)


def test_a_lost_segment_is_sent_again(start_worker):
    worker = start_worker(pattern("x264", segment_size=65536))
    worker.receive_until(
        lambda: worker.feeds and worker.feeds[0].segment and worker.feeds[0].segment > 2,
        "a third segment",
    )
    worker.get_segment(0, 1)  # long gone: no answer
    worker.get_segment(7, 1)  # no such feed
    deadline = time.monotonic() + TIMEOUT
    while not worker.resent and time.monotonic() < deadline:
        worker.get_segment(0, worker.feeds[0].segment)
        worker.receive_units(1)
    (feed, segment), size = worker.resent[0]
    assert feed == 0 and segment > 2 and size == 65536


def test_segments_are_as_large_as_the_configuration_says(start_worker):
    worker = start_worker(pattern("x264", segment_size=65536, bitrate=2000000))
    worker.receive_until(
        lambda: worker.feeds and (worker.feeds[0].segment or 0) >= 5, "a fifth segment"
    )
    assert worker.feeds[0].size == 65536


def test_a_full_pair_costs_units_up_to_a_key_and_nothing_else(start_worker, tmp_path):
    config = pattern("x264")
    config["camera cam"]["framerate"] = 100
    worker = start_worker(config)
    worker.receive_units(10)
    worker.wait_until_the_pair_is_full(30 / 100)
    numbers = []
    for unit in worker.receive_units(600):
        parsed = bytestream.parse_unit(unit["data"])
        numbers.append(parsed.seq)
        assert bool(unit["flags"] & KEY) == parsed.key
    gaps = [(a, b) for a, b in zip(numbers, numbers[1:]) if b != a + 1]
    assert gaps, "the pair never was full"
    units = [bytestream.parse_unit(unit["data"]) for unit in worker.feeds[0].units]
    assert bytestream.check_continuity(units) == len(gaps)
    assert bytestream.decode(units, tmp_path) == len(units)
    assert worker.heartbeat["state"] == RUNNING


def test_no_room_for_a_segment_drops_units_and_the_stream_comes_back(start_worker):
    """RLIMIT_FSIZE stands for every way in which a file gets no more room."""
    worker = start_worker(pattern("x264", segment_size=65536, bitrate=2000000))
    worker.receive_units(10)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    worker.receive_until(
        lambda: "units are lost" in worker.streams[0]["detail"], "a word about the loss"
    )
    assert worker.process.poll() is None
    worker.feeds[0].need_key = True
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, unlimited)
    worker.receive_units(10)
    worker.receive_until(
        lambda: "units are lost" not in worker.streams[0]["detail"], "the end of the loss"
    )
    assert len(re.findall("the units up to the next key unit are lost", worker.log)) == 1


def test_a_control_of_a_source_without_any_is_a_warning(start_worker):
    worker = start_worker(pattern("x264"))
    worker.receive_units(5)
    worker.set_control("brightness", "0.5")
    worker.receive_units(5)
    worker.receive_until(lambda: "brightness = 0.5 refused" in worker.log, "a warning")


def test_nonsense_on_the_pair_is_skipped(start_worker):
    worker = start_worker(pattern("x264"))
    worker.receive_units(5)
    for message in (b"x", b"\0" * 4, b"\x40\0\0\0", os.urandom(4096)):
        worker.pair.send(message)
    worker.want(4000000000, 1)
    worker.request_idr(4000000000)
    worker.set_bitrate(0, 0)
    worker.receive_units(30)
    assert worker.streams[0]["target_bps"] > 0


@pytest.mark.parametrize("how", ["pair", "pair for writing", signal.SIGTERM])
def test_it_stops_when_told_to(start_worker, how):
    worker = start_worker(pattern("x264"))
    worker.receive_units(10)
    if how == "pair":
        worker.pair.close()
    elif how == "pair for writing":
        worker.pair.shutdown(socket.SHUT_RDWR)
    else:
        worker.process.send_signal(how)
    code, seconds = worker.wait()
    assert code == 0 and seconds < 2, worker.log
    assert "blocks" not in worker.log


def test_a_stopped_worker_goes_on(start_worker):
    worker = start_worker(pattern("x264"))
    worker.receive_units(10)
    worker.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, worker.process.pid, os.WSTOPPED | os.WNOWAIT)
    while worker.process.poll() is None:
        # The pictures under way; then a silence that is longer than the limit for a silent camera.
        try:
            worker.pair.settimeout(7)
            worker.receive()
        except TimeoutError:
            break
    worker.pair.settimeout(TIMEOUT)
    worker.process.send_signal(signal.SIGCONT)
    worker.receive_units(60)
    assert worker.heartbeat["state"] == RUNNING
    assert worker.heartbeat["dropped"] >= 150


def test_a_camera_that_is_not_there_is_told_and_has_its_exit_code(start_worker):
    config = pattern("x264")
    config["camera cam"]["source"] = "libcamera:no-such-camera"
    worker = start_worker(config)
    worker.drain()
    assert worker.heartbeat["state"] == FAILED
    assert worker.heartbeat["reason"]
    assert worker.wait()[0] == 3


def test_a_slot_allocator_that_is_not_there_is_told(start_worker):
    if os.path.exists("/dev/udmabuf"):
        pytest.skip("this machine has /dev/udmabuf")
    config = pattern("x264")
    config["camera cam"]["allocator"] = "udmabuf"
    worker = start_worker(config)
    worker.drain()
    assert worker.heartbeat["state"] == FAILED and "slots" in worker.heartbeat["reason"]
    assert worker.wait()[0] == 3
    assert "udmabuf: No such file or directory" in worker.log


@pytest.mark.skipif(bool(harness.SAN), reason="a sanitizer's runtime has to be the first library")
def test_slots_come_from_udmabuf_where_there_is_one(start_worker, tmp_path):
    environ = dict(os.environ)
    if not os.path.exists("/dev/udmabuf"):
        shim = environ["LD_PRELOAD"] = str(tmp_path / "udmabuf_shim.so")
        source = harness.ROOT / "tests/support/udmabuf_shim.c"
        options = ["-D_GNU_SOURCE", "-shared", "-fPIC", "-ldl"]
        subprocess.run(["cc", *options, "-o", shim, source], check=True)
    config = pattern("x264")
    config["camera cam"]["allocator"] = "udmabuf"
    worker = start_worker(config, env=environ)
    worker.receive_units(10)
    worker.receive_until(lambda: worker.heartbeat["state"] == RUNNING, "a running camera")
    assert worker.heartbeat["allocator"] == "udmabuf"
    assert_paced(decoded_numbers(worker.feeds[0].data, "h264"))


def test_two_streams_of_one_camera_show_the_same_frames(start_worker):
    config = {**pattern("x264"), "stream j": jpeg()["stream s"]}
    worker = start_worker(config)
    worker.receive_until(
        lambda: all(len(worker.feeds.get(i).units if i in worker.feeds else []) > 40 for i in (0, H264_FEEDS)),
        "units of both",
    )
    h264 = decoded_numbers(worker.feeds[0].data, "h264")
    pictures = b"".join(split_prefixed(worker.feeds[H264_FEEDS].data))
    mjpeg = decoded_numbers(pictures, "mjpeg")
    assert_paced(h264)
    assert_paced(mjpeg)
    assert len(set(h264) & set(mjpeg)) > 30
