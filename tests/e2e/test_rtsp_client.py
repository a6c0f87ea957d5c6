# SPDX-License-Identifier: BSD-2-Clause
"""camcast recv, record and view with cameras that speak RTSP: camcastd itself, gst-rtsp-server, and
one that sends its parameter sets once."""
import pathlib
import subprocess
import time
import types

import pytest

import bytestream
import certificates
import harness
import live
import recordings
import rtspserver
import tool
from recordings import Recorder

SECRET = "Tr0ub4dor"
NO_BROKER = types.SimpleNamespace(address="127.0.0.1", port=1)
HEADLESS = {"SDL_VIDEODRIVER": "dummy"}
# A busy machine may let a viewer wait; no picture is shed for that.
LAG = {"shed_lag_ms": 10000, "max_lag_ms": 20000, "history_ms": 30000}


def served(**daemon):
    config = harness.pattern_config(stream=dict(LAG), daemon={"rtsp": "127.0.0.1:0", **daemon})
    config["stream j"] = {"camera": "cam", "codec": "mjpeg"}
    return config


@pytest.fixture(name="recording", scope="module")
def fixture_recording(tmp_path_factory):
    return live.pattern_file(tmp_path_factory.mktemp("recording"), seconds=3)


class Receiver(tool.Tool):
    """`camcast recv` of a URL into a file."""

    def __init__(self, folder, url, *arguments):
        self.path = pathlib.Path(folder) / "received"
        self.path.unlink(missing_ok=True)
        super().__init__("recv", url, "-o", self.path, *arguments)

    def wait_bytes(self, more):
        """So many bytes more than there are now."""
        wanted = self.size() + more
        deadline = time.monotonic() + 30 * harness.PATIENCE
        while self.size() < wanted:
            if time.monotonic() > deadline:
                raise harness.Failure(f"{self.size()} of {wanted} bytes; {self._said()}")
            time.sleep(0.05)

    def size(self):
        return self.path.stat().st_size if self.path.exists() else 0


def check_jpegs(path):
    """ffmpeg decodes each; their number."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-f", "mjpeg", "-i", path, "-fps_mode", "passthrough",
         "-f", "framecrc", "-"],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return sum(not line.startswith("#") for line in done.stdout.splitlines())


def test_recv_loses_nothing_of_our_own_server(camcastd, tmp_path):
    daemon = camcastd(served())
    where = f"rtsp://127.0.0.1:{daemon.rtsp_port}"
    with Receiver(tmp_path, f"{where}/s") as recv:
        recv.wait_bytes(300000)
        assert recv.stop() == 0
        data = recv.path.read_bytes()
    units, gaps = bytestream.check_stream(data, tmp_path)
    assert len(units) > 30 and gaps == 0
    with Receiver(tmp_path, f"{where}/j") as recv:
        recv.wait_bytes(300000)
        assert recv.stop() == 0
        assert check_jpegs(recv.path) > 10
    code, _, said = tool.run("recv", "rtsp://127.0.0.1:1/\x07", "-o", tmp_path / "x")
    assert code and "a URL is" in said


def test_recv_says_why_there_is_nothing(start_camcastd, tmp_path):
    daemon = start_camcastd(served())
    with Receiver(tmp_path, f"rtsp://127.0.0.1:{daemon.rtsp_port}/none") as recv:
        recv.wait_line("the server has no such stream: 404", where=recv.err)
        assert recv.stop() == 0
    with Receiver(tmp_path, f"rtsp://127.0.0.1:{daemon.http_port}/s") as recv:
        recv.wait_line("the server does not speak RTSP|the server refuses", where=recv.err)
        assert recv.stop() == 0


def test_recv_over_tls_and_with_a_password(start_camcastd, tmp_path):
    certificate, key = certificates.Authority(tmp_path).sign("server")
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    password.chmod(0o600)
    config = served(tls="yes")
    config["tls"] = {"certificate": certificate, "key": key}
    config["user anna"] = {"password_file": password, "may": "view"}
    daemon = start_camcastd(config)
    where = f"127.0.0.1:{daemon.rtsp_port}/s"
    pin = ["--pin", certificates.fingerprint(certificate)]
    with Receiver(tmp_path, f"rtsps://anna:{SECRET}@{where}", *pin) as recv:
        recv.wait_bytes(100000)
        arguments = pathlib.Path(f"/proc/{recv.process.pid}/cmdline").read_bytes()
        assert recv.stop() == 0
        assert SECRET not in recv.stderr() and SECRET.encode() not in arguments
        assert bytestream.check_stream(recv.path.read_bytes(), tmp_path)[1] == 0
    login = tmp_path / "login"
    login.write_text(f"anna:{SECRET}\n")
    login.chmod(0o600)
    with Receiver(tmp_path, f"rtsps://{where}", *pin, "--login-file", login) as recv:
        recv.wait_bytes(100000)
        assert recv.stop() == 0
    with Receiver(tmp_path, f"rtsps://anna:wrong@{where}", *pin) as recv:
        recv.wait_line("the server refuses the user or the password", where=recv.err)
        assert recv.stop() == 0 and recv.size() == 0
    with Receiver(tmp_path, f"rtsps://{where}", *pin) as recv:
        recv.wait_line("the server asks for a user and a password", where=recv.err)
        assert recv.stop() == 0


def test_parameter_sets_that_come_once_and_a_server_that_comes_back(tmp_path, recording):
    with rtspserver.RtspServer(recording, SECRET) as server:
        url = f"rtsp://me:{SECRET}@127.0.0.1:{server.port}/live?channel=1"
        with Receiver(tmp_path, url) as recv:
            recv.wait_bytes(100000)
            assert all("channel=1" in request for request in server.requests[:2])
            server.close()
            recv.wait_line("trying again", where=recv.err)
            with rtspserver.RtspServer(recording, SECRET, server.port):
                recv.wait_line("receiving again", where=recv.err, timeout=40)
                recv.wait_bytes(100000)
                assert recv.stop() == 0
            assert SECRET not in recv.stderr()
            data = recv.path.read_bytes()
    units, _ = bytestream.split(data)
    assert units[0].key and sum(unit.key for unit in units) >= 2
    for unit in units:  # one can begin at each
        assert not unit.key or bytestream.SPS in unit.types and 8 in unit.types
    bytestream.decode(units, tmp_path)


def test_gst_rtsp_server(start_camcastd, tmp_path):
    pattern = start_camcastd(served())
    pipeline = (
        f"( tcpclientsrc host=127.0.0.1 port={pattern.port()} ! h264parse ! "
        "rtph264pay name=pay0 pt=96 )"
    )
    with rtspserver.GstRtspServer(pipeline) as server:
        with Receiver(tmp_path, f"rtsp://127.0.0.1:{server.port}/camera") as recv:
            recv.wait_bytes(200000)
            assert recv.stop() == 0
            _, gaps = bytestream.check_stream(recv.path.read_bytes(), tmp_path)
    assert gaps == 0
    jpegs = (
        f"( souphttpsrc location=http://127.0.0.1:{pattern.http_port}/j.mjpg is-live=true ! "
        "multipartdemux ! jpegparse ! rtpjpegpay name=pay0 pt=26 )"
    )
    with rtspserver.GstRtspServer(jpegs) as server:
        with Receiver(tmp_path, f"rtsp://127.0.0.1:{server.port}/camera") as recv:
            recv.wait_bytes(200000)
            assert recv.stop() == 0
            assert check_jpegs(recv.path) > 10


def test_a_camera_with_sound_is_recorded_and_shown(start_camcastd, tmp_path):
    """gst-rtsp-server, whose first track is the sound."""
    pattern = start_camcastd(served())
    pipeline = (
        "( audiotestsrc is-live=true ! mulawenc ! rtppcmupay name=pay0 pt=0 "
        f"tcpclientsrc host=127.0.0.1 port={pattern.port()} ! h264parse ! rtph264pay name=pay1 pt=96 )"
    )
    with rtspserver.GstRtspServer(pipeline) as server:
        where = f"127.0.0.1:{server.port}/camera"
        with tool.Tool("view", "--json", f"rtsp://{where}", env=HEADLESS, cwd=tmp_path) as view:
            view.wait_line('"state":"live"', timeout=40)
            assert view.stop() == 0
        folder = tmp_path / "rec"
        with Recorder(NO_BROKER, folder, f"rtsp://{where}") as recorder:
            recorder.wait_log(f"{where}: recording to")
            (place,) = [path for path in folder.iterdir() if path.is_dir()]
            recorder.wait_until(
                lambda: sum(path.stat().st_size for path in recordings.files(place)) > 500000,
                "a recording", 40,
            )
            recorder.stop()
    assert not bytestream.gaps(recordings.check_folder(place))


def test_record_loses_nothing_and_shows_no_password(start_camcastd, recording, tmp_path):
    """Two at the same time; the children read in their sandbox."""
    daemon = start_camcastd(served())
    folder = tmp_path / "rec"
    with rtspserver.RtspServer(recording, SECRET) as camera:
        ours = f"127.0.0.1:{daemon.rtsp_port}/s"
        theirs = f"127.0.0.1:{camera.port}/live"
        urls = [f"rtsp://{ours}", f"rtsp://me:{SECRET}@{theirs}"]
        with Recorder(NO_BROKER, folder, *urls, "--segment", "2s") as recorder:
            recorder.wait_log(f"{ours}: recording to")
            recorder.wait_log(f"{theirs}: recording to")
            shown = [
                pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
                for pid in harness.processes_with(recorder.marker)
            ]
            assert len(shown) == 3
            places = [path for path in folder.iterdir() if path.is_dir()]
            recorder.wait_until(
                lambda: all(len(recordings.files(place)) >= 2 for place in places), "files", 40
            )
            recorder.stop()
    assert not [text for text in shown + recorder.lines + recorder.out if SECRET in text]
    places = sorted(path for path in folder.iterdir() if path.is_dir())
    assert len(places) == 2, places
    for place in places:
        units = recordings.check_folder(place)
        if units and units[0].seq is not None:
            assert not bytestream.gaps(units)


def test_a_recording_has_the_rhythm_of_the_camera(recording, tmp_path):
    """Whose pictures come six at once, five times a second."""
    with rtspserver.RtspServer(recording, together=6) as camera:
        where = f"127.0.0.1:{camera.port}/live"
        with Recorder(NO_BROKER, tmp_path / "rec", f"rtsp://{where}") as recorder:
            recorder.wait_log(f"{where}: recording to")
            (place,) = [path for path in (tmp_path / "rec").iterdir() if path.is_dir()]
            recorder.wait_until(
                lambda: sum(path.stat().st_size for path in recordings.files(place)) > 1500000,
                "a recording", 40,
            )
            recorder.stop()
    units = recordings.check_folder(place)[60:]
    steps = [b.pts - a.pts for a, b in zip(units, units[1:])]
    assert len(steps) > 60
    uneven = sum(not 0.02 < step < 0.05 for step in steps)
    assert uneven < len(steps) / 20, (uneven, steps)


def test_view_shows_it_and_says_what_is_wrong(start_camcastd, tmp_path):
    daemon = start_camcastd(served())
    where = f"rtsp://me:{SECRET}@127.0.0.1:{daemon.rtsp_port}"
    for path, seen in (("s", '"state":"live"'), ("none", "no such stream")):
        with tool.Tool("view", "--json", f"{where}/{path}", env=HEADLESS, cwd=tmp_path) as view:
            view.wait_line(seen, timeout=40)
            assert view.stop() == 0
            assert SECRET not in view.stdout() + view.stderr()
