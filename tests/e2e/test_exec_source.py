# SPDX-License-Identifier: BSD-2-Clause
"""A program's standard output as a camera."""
import json
import subprocess

import pytest

import bytestream
import clients
import harness
import live
import strip

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize("form", live.FORMATS)
def test_what_a_program_writes_is_passed_on_whole(form, camcastd, tmp_path):
    codec = live.FORMATS[form]
    source = live.exec_source(live.pattern_command(tmp_path, form))
    daemon = camcastd(live.config(source, codec))
    with clients.Viewer(daemon.port(f"s/{live.FRAMING[codec]}")) as viewer:
        live.wait_pictures(viewer, 40, codec)
        seen = live.numbers(viewer, codec)
    # the program itself leaves out pictures on a busy machine
    assert all(b > a for a, b in zip(seen, seen[1:]))
    camera = daemon.camera()
    assert camera["source"] == "exec:camcast-capture"
    assert (camera["width"], camera["height"]) == (320, 240)
    assert camera["restarts"] == camera["reconnects"] == 0


@pytest.mark.parametrize("form", live.FORMATS)
def test_it_can_be_encoded_again(form, start_camcastd, tmp_path):
    source = live.exec_source(live.pattern_command(tmp_path, form))
    daemon = start_camcastd(live.config(source, encoder="x264", bitrate=2000000))
    with clients.Viewer(daemon.port()) as viewer:
        live.wait_pictures(viewer, 40)
        seen = live.numbers(viewer)
    assert all(b > a for a, b in zip(seen, seen[1:]))


@pytest.mark.parametrize("form, muxer", [("annexb", "h264"), ("mpegts", "mpegts"), ("jpeg", "mjpeg")])
def test_ffmpeg_delivers_all_three_formats(form, muxer, start_camcastd, tmp_path):
    codec = live.FORMATS[form]
    path = live.pattern_file(tmp_path, form)
    ffmpeg = ["ffmpeg", "-nostdin", "-v", "error"]
    # Without a format, a file of many JPEGs is one packet, after which nothing comes.
    played = ["-f", muxer, "-i", path, "-c", "copy"]
    source = live.exec_source([*ffmpeg, "-re", "-stream_loop", -1, *played, "-f", muxer, "-"])
    daemon = start_camcastd(live.config(source, codec))
    with clients.Viewer(daemon.port(f"s/{live.FRAMING[codec]}")) as viewer:
        live.wait_pictures(viewer, 60, codec)
        assert daemon.camera()["reconnects"] == 0
        seen = live.numbers(viewer, codec)
    # A busy machine may have left out pictures of the recording itself.
    words = [*ffmpeg, *played, "-f", "h264" if codec == "h264" else "mjpeg", "-"]
    whole = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
    recorded = strip.decoded_numbers(whole, codec)
    follows = dict(zip(recorded, recorded[1:]))
    again = [(a, b) for a, b in zip(seen, seen[1:]) if b <= a]  # where it begins again
    assert len(recorded) > 10 and set(seen) <= set(recorded), (seen, recorded)
    if codec == "h264":
        broken = [(a, b) for a, b in zip(seen, seen[1:]) if b != follows.get(a)]
        assert broken == again, (broken, recorded)
        assert len(again) <= len(seen) // len(recorded) + 1, (seen, recorded)
    else:  # a viewer of JPEGs takes the newest one
        assert not any(a == b for a, b in again), seen


def test_a_program_that_does_not_pace_itself_is_slowed_down(start_camcastd, tmp_path):
    """As ffmpeg without -re: a worker that passed all of it on at once would break a rule."""
    path = tmp_path / "pictures.ts"
    harness.output_of(
        *("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25"),
        *("-t", "120", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "0", path),
    )
    words = ["ffmpeg", "-nostdin", "-v", "error", "-stream_loop", -1, "-i", path]
    daemon = start_camcastd(live.config(live.exec_source([*words, "-c", "copy", "-f", "mpegts", "-"])))
    daemon.wait_flowing(units=3000)
    assert daemon.camera()["restarts"] == 0


def test_viewers_wait_for_a_program_that_was_killed(camcastd, tmp_path):
    source = live.exec_source(live.pattern_command(tmp_path))
    daemon = camcastd(live.config(source, sei=True))
    with clients.Viewer(daemon.port()) as viewer:
        live.wait_pictures(viewer, 20)
        worker = daemon.camera()["pid"]
        [launcher] = live.processes(daemon, "launcher")
        programs = set(live.processes(daemon, "camcast-capture")) - {worker, launcher}
        assert len(programs) == 1
        live.kill(programs.pop())
        daemon.wait_log("camera cam: camcast-capture ended: killed by SIGKILL; camcast starts it")
        live.wait_pictures(viewer, 40)
        data = viewer.close()
    units, gaps = bytestream.check_stream(data, tmp_path, restarts=True)
    assert all(a.monotonic_us < b.monotonic_us for a, b in zip(units, units[1:]))
    camera = daemon.camera()
    assert camera["restarts"] == 0 and camera["reconnects"] == 1
    assert camera["camera_state"] == "running" and camera["camera_reason"] == ""


def test_a_program_that_hangs_is_started_again(start_camcastd, tmp_path):
    path = live.pattern_file(tmp_path)
    words = [live.script(tmp_path, 'cat "$1"; exec sleep 1000'), path]
    daemon = start_camcastd(live.config(live.exec_source(words)))
    with clients.Viewer(daemon.port()) as viewer:
        live.wait_pictures(viewer, 20)
        [hangs] = live.processes(daemon, "sleep")
        daemon.wait_log("camera cam: exec:camera.sh: no picture comes any more", timeout=30)
        daemon.wait_until(lambda: hangs not in live.processes(daemon, "sleep"), "end of the program")
        live.wait_pictures(viewer, 20)
        daemon.wait_until(lambda: daemon.camera()["reconnects"] >= 1, "a reconnect in the status")
    assert daemon.camera()["restarts"] == 0


def start_script_with_a_child(start_camcastd, tmp_path):
    """A script without exec, and the program that it waits for."""
    path = live.pattern_file(tmp_path)
    words = [live.script(tmp_path, 'cat "$1"; sleep 777; exit 1'), path]
    daemon = start_camcastd(live.config(live.exec_source(words)))
    daemon.wait_until(lambda: live.processes(daemon, "sleep"), "the child of the script")
    return daemon, live.processes(daemon, "sleep")[0]


def test_what_a_script_started_ends_before_it_is_started_again(start_camcastd, tmp_path):
    daemon, child = start_script_with_a_child(start_camcastd, tmp_path)
    live.kill(live.processes(daemon, "camera.sh")[0])
    daemon.wait_log("camera cam: camera.sh ended: killed by SIGKILL; camcast starts it")
    daemon.wait_until(lambda: child not in live.processes(daemon, "sleep"), "the end of the child")
    daemon.wait_until(lambda: live.processes(daemon, "sleep"), "the child of the next one")
    assert len(live.processes(daemon, "sleep")) == 1


def test_what_a_script_started_ends_with_a_worker_that_is_killed(start_camcastd, tmp_path):
    daemon, child = start_script_with_a_child(start_camcastd, tmp_path)
    live.kill(daemon.camera()["pid"])
    daemon.wait_until(lambda: child not in live.processes(daemon, "sleep"), "the end of the child")
    daemon.wait_until(lambda: live.processes(daemon, "sleep"), "the child of the next one")
    assert len(live.processes(daemon, "launcher")) == len(live.processes(daemon, "sleep")) == 1


def test_what_a_script_started_ends_with_camcastd(start_camcastd, tmp_path):
    daemon, _ = start_script_with_a_child(start_camcastd, tmp_path)
    daemon.stop()  # which fails if a process is left


def test_a_program_that_ends_is_started_again_and_said_once(start_camcastd, tmp_path):
    path = live.pattern_file(tmp_path, seconds=1)
    daemon = start_camcastd(live.config(f"exec:cat {path}"))
    with clients.Viewer(daemon.port()) as viewer:
        daemon.wait_until(lambda: daemon.camera()["reconnects"] >= 3, "three reconnects", 20)
        assert not viewer.closed and viewer.data
    said = [line for line in daemon.log() if "cat ended: exit status 0" in line]
    assert len(said) == 1, said
    assert daemon.camera()["restarts"] == 0


def test_garbage_is_said_and_no_camera(start_camcastd):
    daemon = start_camcastd(live.config("exec:yes 'a \"b\" c'"))
    daemon.wait_log(r"exec:yes: what comes is no H.264 .*; it begins with 61 20 22 62 22 20 63 0a")
    daemon.wait_until(
        lambda: "it begins with" in daemon.camera()["camera_reason"], "a reason in the status"
    )
    camera = daemon.camera()
    assert camera["camera_state"] == "silent" and camera["restarts"] == 0
    assert daemon.get("/healthz")[0] == 503


def test_text_is_said_as_text(start_camcastd):
    daemon = start_camcastd(live.config("exec:yes '<!doctype html>'"))
    daemon.wait_log(r'exec:yes: what comes is no H.264 .*; it begins with "<!doctyp"')


def test_garbage_between_pictures_costs_pictures_only(start_camcastd, tmp_path):
    path = live.pattern_file(tmp_path, seconds=2)
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x47\xff\0\0\1\xff\xd8" * 3000)
    words = [live.script(tmp_path, 'cat "$1" "$2" "$1"; exec sleep 1000'), path, garbage]
    daemon = start_camcastd(live.config(live.exec_source(words)))
    with clients.Viewer(daemon.port()) as viewer:
        live.wait_pictures(viewer, 90)
        seen = live.numbers(viewer)
    assert live.breaks(seen) >= 1


def test_a_size_that_changes_on_the_way_is_passed_on(start_camcastd, tmp_path):
    small = live.pattern_file(tmp_path, seconds=2)
    large = small.rename(tmp_path / "small.annexb") and live.pattern_file(
        tmp_path, seconds=2, size="640x480"
    )
    words = [live.script(tmp_path, 'cat "$1" "$2"; exec sleep 1000'), tmp_path / "small.annexb", large]
    daemon = start_camcastd(live.config(live.exec_source(words), sei=True))
    with clients.Viewer(daemon.port()) as viewer:
        live.wait_pictures(viewer, 80)
        daemon.wait_until(lambda: daemon.camera()["width"] == 640, "the new size")
        bytestream.check_stream(viewer.close(), tmp_path)


def test_parameter_sets_that_are_sent_once_are_repeated(start_camcastd, tmp_path):
    """A viewer that joins later gets them."""
    path = live.pattern_file(tmp_path, seconds=3)
    data, once = path.read_bytes(), tmp_path / "once.h264"
    kept, seen = b"", set()
    for nal in bytestream.nals(data):
        kind = nal[0] & 31
        if kind in (bytestream.SPS, bytestream.PPS) and kind in seen:
            continue
        seen.add(kind)
        kept += b"\0\0\0\1" + nal
    once.write_bytes(kept)
    words = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "h264", "-r", 30, "-i", once]
    daemon = start_camcastd(live.config(live.exec_source([*words, "-c", "copy", "-f", "h264", "-"])))
    with clients.Viewer(daemon.port()) as first:
        live.wait_pictures(first, 20)
        with clients.Viewer(daemon.port()) as second:
            live.wait_pictures(second, 20)
            seen = live.numbers(second)
    # A busy machine may have left out pictures of the recording itself.
    recorded = strip.decoded_numbers(data, "h264")
    follows = set(zip(recorded, recorded[1:]))
    broken = [pair for pair in zip(seen, seen[1:]) if pair not in follows]
    assert len(broken) <= 1, (broken, recorded)  # where it begins again


def test_lines_of_the_program_are_in_the_log(start_camcastd, tmp_path):
    path = live.pattern_file(tmp_path)
    words = [live.script(tmp_path, 'echo "it is $1" >&2; cat "$2"; exec sleep 1000'), "a 'b", path]
    daemon = start_camcastd(live.config(live.exec_source(words)))
    daemon.wait_log(r"camera\.sh: it is a 'b")


def test_a_program_that_is_missing_is_said(start_camcastd):
    daemon = start_camcastd(live.config("exec:no-such-program -o -"))
    daemon.wait_log("no-such-program cannot be started: No such file or directory")
    daemon.wait_until(lambda: "exit status 127" in json.dumps(daemon.camera()), "the status")
    assert daemon.camera()["restarts"] == 0


def test_the_check_looks_for_the_program(tmp_path):
    path = tmp_path / "c.ini"
    path.write_text(harness.config_text(live.config("exec:no-such-program --key=secret")))
    done = subprocess.run(
        [harness.BUILD / "camcastd", "--check", "-c", path], capture_output=True, text=True, check=False
    )
    assert 'source = exec:no-such-program cannot be started: No such file' in done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr
