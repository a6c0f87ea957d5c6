# SPDX-License-Identifier: BSD-2-Clause
"""A named pipe as a camera: programs that write into it come and go."""
import os
import subprocess

import pytest

import bytestream
import clients
import harness
import live

pytestmark = pytest.mark.one_backend


@pytest.fixture(name="fifo")
def fixture_fifo(tmp_path):
    path = tmp_path / "camera.fifo"
    os.mkfifo(path)
    return path


@pytest.fixture(name="write")
def fixture_write(fifo):
    """write(words): a program that writes its output into the pipe, ended with the test."""
    running = []

    def start(words):
        shell = ["sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", fifo, *map(str, words)]
        running.append(harness.start(shell, stderr=subprocess.DEVNULL))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def pipe_config(fifo, *args, **options):
    return live.config(f"pipe:{fifo}", *args, **options)


@pytest.mark.parametrize("form", live.FORMATS)
def test_what_a_program_writes_is_passed_on(form, camcastd, fifo, write, tmp_path):
    codec = live.FORMATS[form]
    write(live.pattern_command(tmp_path, form))
    daemon = camcastd(pipe_config(fifo, codec))
    with clients.Viewer(daemon.port(f"s/{live.FRAMING[codec]}")) as viewer:
        live.wait_pictures(viewer, 40, codec)
        seen = live.numbers(viewer, codec)
    assert all(b > a for a, b in zip(seen, seen[1:]))


def test_viewers_wait_for_the_first_writer_and_for_the_next(start_camcastd, fifo, write, tmp_path):
    daemon = start_camcastd(pipe_config(fifo, sei=True))
    with clients.Viewer(daemon.port()) as viewer:
        daemon.wait_until(
            lambda: daemon.camera()["camera_reason"] == "no program writes into the pipe", "reason"
        )
        assert daemon.camera()["camera_state"] == "silent"
        first = write(live.pattern_command(tmp_path))
        live.wait_pictures(viewer, 20)
        first.kill()
        daemon.wait_until(
            lambda: daemon.camera()["camera_reason"] == "no program writes into the pipe", "reason"
        )
        write(live.pattern_command(tmp_path))
        live.wait_pictures(viewer, 40)
        units, _ = bytestream.check_stream(viewer.close(), tmp_path, restarts=True)
    assert all(a.monotonic_us < b.monotonic_us for a, b in zip(units, units[1:]))
    camera = daemon.camera()
    assert camera["restarts"] == 0 and camera["reconnects"] == 1


def test_a_writer_that_pauses_is_not_cut_off(start_camcastd, fifo, write, tmp_path):
    path = live.pattern_file(tmp_path)
    script = live.script(tmp_path, f'cat {path}; read line; cat {path}; exec sleep 1000')
    go = tmp_path / "go"
    os.mkfifo(go)
    write([live.script(tmp_path, f"exec {script} <{go}", "outer.sh")])
    with open(os.open(go, os.O_RDWR), "wb", buffering=0) as gate:
        daemon = start_camcastd(pipe_config(fifo))
        with clients.Viewer(daemon.port()) as viewer:
            live.wait_pictures(viewer, 30)
            daemon.wait_log("no picture for 6 s|no picture for 2 s", timeout=30)
            daemon.wait_until(lambda: daemon.camera()["camera_state"] == "silent", "silence")
            gate.write(b"\n")
            live.wait_pictures(viewer, 60)
    camera = daemon.camera()
    assert camera["restarts"] == camera["reconnects"] == 0


def test_timestamps_that_jump_do_not_stop_it(start_camcastd, fifo, write, tmp_path):
    """Three recordings, each with times of its own; the second is an hour ahead."""
    made = live.pattern_file(tmp_path, "mpegts", seconds=2)
    ahead = tmp_path / "ahead.ts"
    subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", made, "-c", "copy", "-output_ts_offset", "3600"]
        + [ahead],
        check=True,
    )
    write([live.script(tmp_path, f"cat {made} {ahead} {made}; exec sleep 1000")])
    daemon = start_camcastd(pipe_config(fifo, sei=True))
    with clients.Viewer(daemon.port()) as viewer:
        live.wait_pictures(viewer, 110)
        units, _ = bytestream.check_stream(viewer.close(), tmp_path)
    steps = [b.monotonic_us - a.monotonic_us for a, b in zip(units, units[1:])]
    assert min(steps) > 0 and max(steps) < 20_000_000


def damage_times(data, ticks):
    """The transport stream, whose first four pictures with two times are shown so much later than
    they are decoded."""
    made, seen = bytearray(data), 0
    for at in range(0, len(made) - 187, 188):
        body = at + 4 + (1 + made[at + 4] if made[at + 3] & 0x20 else 0)
        # the start of a packet of video with both times
        if not made[at + 1] & 0x40 or made[body : body + 4] != b"\0\0\1\xe0":
            continue
        if made[body + 7] >> 6 != 3:
            continue
        seen += 1
        if seen <= 4:
            dts = made[body + 14 : body + 19]
            time = (dts[0] >> 1 & 7) << 30 | dts[1] << 22 | dts[2] >> 1 << 15 | dts[3] << 7 | dts[4] >> 1
            time = (time + ticks) % (1 << 33)
            made[body + 9 : body + 14] = bytes(
                [
                    0x31 | time >> 30 << 1,
                    time >> 22 & 255,
                    time >> 14 & 255 | 1,
                    time >> 7 & 255,
                    time << 1 & 255 | 1,
                ]
            )
    assert seen > 4
    return bytes(made)


def damaged_recording(folder, ticks):
    """Three seconds with pictures that refer to later ones, whole, and as damage_times() has them."""
    made, bad = folder / "b.ts", folder / "bad.ts"
    options = ["-c:v", "libx264", "-g", "15", "-bf", "2", "-f", "mpegts", made]
    recording = live.pattern_file(folder, seconds=3)
    harness.output_of("ffmpeg", "-nostdin", "-v", "error", "-r", "30", "-i", recording, *options)
    bad.write_bytes(damage_times(made.read_bytes(), ticks))
    return made, bad


@pytest.mark.parametrize("ticks", [600_000_000, 810_000], ids=["two hours", "nine seconds"])
def test_times_that_are_damaged_do_not_stop_the_clock(ticks, start_camcastd, fifo, write, tmp_path):
    """A few pictures claim to be shown long after they are decoded."""
    made, bad = damaged_recording(tmp_path, ticks)
    write([live.script(tmp_path, f"cat {bad}; sleep 2; cat {made}; sleep 2; cat {made}; exec sleep 1000")])
    daemon = start_camcastd(pipe_config(fifo, encoder="x264", bitrate=2000000, sei=True))
    with clients.Viewer(daemon.port()) as viewer:

        def times():
            return [unit.monotonic_us for unit in bytestream.split(bytes(viewer.data))[0]]

        # the pauses of the writer are in the times
        viewer.wait(lambda v: v.data and times()[-1] - times()[0] > 3_000_000, "three seconds", 40)
        seen = times()
    assert all(0 < b - a < 5_000_000 for a, b in zip(seen, seen[1:]))


def test_damaged_times_do_not_put_a_picture_before_the_last(start_camcastd, fifo, write, tmp_path):
    """At the pace of a camera, so that times lie behind the clock. The decoder gives some pictures
    with less time than the ones before them."""
    made, bad = damaged_recording(tmp_path, 600_000_000)
    piece = bad.stat().st_size // 90
    paced = f"tail -c +$((n * {piece} + 1)) {bad} | head -c {piece}; sleep 0.03"
    write([live.script(tmp_path, f"cat {made}; for n in $(seq 0 90); do {paced}; done; exec sleep 1000")])
    daemon = start_camcastd(pipe_config(fifo, encoder="x264", bitrate=2000000, sei=True))
    with clients.Viewer(daemon.port()) as viewer:
        live.wait_pictures(viewer, 60)
        units, _ = bytestream.split(viewer.close())
    steps = [b.monotonic_us - a.monotonic_us for a, b in zip(units, units[1:])]
    assert min(steps) > 0, steps


def test_a_pipe_that_is_replaced_is_opened_again(start_camcastd, fifo, write, tmp_path):
    daemon = start_camcastd(pipe_config(fifo))
    daemon.wait_until(lambda: "no program" in daemon.camera()["camera_reason"], "reason")
    fifo.unlink()
    os.mkfifo(fifo)
    daemon.wait_until(lambda: daemon.camera()["restarts"] > 0, "a new worker")
    write(live.pattern_command(tmp_path))
    with clients.Viewer(daemon.port()) as viewer:
        live.wait_pictures(viewer, 20)


def test_what_is_no_pipe_is_said(start_camcastd, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x")
    daemon = start_camcastd(pipe_config(path))
    daemon.wait_log("a: a regular file; `source = file:` plays it")


def test_file_says_what_a_pipe_needs(start_camcastd, fifo, tmp_path):
    made = live.config(f"file:{fifo}")
    daemon = start_camcastd(made)
    daemon.wait_log("camera.fifo: a named pipe; `source = pipe:` reads what programs write into it")
    path = tmp_path / "c.ini"
    path.write_text(harness.config_text(made))
    done = harness.run([harness.BUILD / "camcastd", "--check", "-c", path])
    assert "it is a named pipe; pipe:PATH reads" in done.stdout + done.stderr
