# SPDX-License-Identifier: BSD-2-Clause
"""Cameras from the network: RTSP servers, another camcastd, MPEG-TS over SRT and UDP."""
import json
import subprocess

import pytest

import bytestream
import certificates
import clients
import harness
import hostile
import live
import rtspserver

pytestmark = pytest.mark.one_backend

SECRET = "Tr0ub4dor"


@pytest.fixture(name="pattern")
def fixture_pattern(start_camcastd):
    """A camcastd with the test pattern: H.264 and MJPEG."""
    made = harness.pattern_config({"keyframe_interval": 15, "encoder": "x264", "bitrate": 2000000})
    made["daemon"]["rtsp"] = "127.0.0.1:0"
    made["camera cam"]["size"] = "320x240"
    made["stream j"] = {"camera": "cam", "codec": "mjpeg", "length_prefixed": "127.0.0.1:0"}
    daemon = start_camcastd(made)
    daemon.wait_flowing()
    return daemon


@pytest.fixture(name="recording", scope="module")
def fixture_recording(tmp_path_factory):
    return live.pattern_file(tmp_path_factory.mktemp("recording"), seconds=3)


def growing(seen):
    return all(b > a for a, b in zip(seen, seen[1:]))


@pytest.mark.parametrize(
    "way, path, codec",
    [
        ("tcp", "", "h264"), ("http", "s.h264", "h264"), ("http", "s.ts", "h264"),
        ("http", "s.mp4", "h264"), ("http", "s.mjpg", "mjpeg"),
        ("rtsp", "s", "h264"), ("rtsp", "j", "mjpeg"), ("rtsp over udp", "s", "h264"),
    ],
)
def test_one_camcastd_relays_another(way, path, codec, camcastd, pattern):
    ports = {"tcp": pattern.port(), "http": pattern.http_port, "rtsp": pattern.rtsp_port}
    scheme, _, transport = way.partition(" over ")
    where = f"{scheme}://127.0.0.1:{ports[scheme]}/{path}"
    options = {"url_options": f"rtsp_transport={transport}"} if transport else None
    daemon = camcastd(live.config(f"url:{where}", codec, camera=options))
    with clients.Viewer(daemon.port(f"s/{live.FRAMING[codec]}")) as viewer:
        live.wait_pictures(viewer, 40, codec)
        assert growing(live.numbers(viewer, codec))
    camera = daemon.camera()
    assert camera["restarts"] == camera["reconnects"] == 0
    assert camera["sandbox"].startswith("seccomp")


def test_hls_of_another_camcastd_keeps_its_rhythm(camcastd, tmp_path):
    """A segment comes at once, and its pictures do not."""
    with harness.Camcastd(harness.pattern_config({"keyframe_interval": 15}), tmp_path) as pattern:
        made = live.config(f"url:http://127.0.0.1:{pattern.http_port}/s.m3u8")
        daemon = camcastd(made)
        with clients.Viewer(daemon.port()) as viewer:
            live.wait_pictures(viewer, 20, timeout=60)
            begun = len(viewer.arrivals)
            live.wait_pictures(viewer, 180, timeout=60)
            tenths = [us // 100_000 for us, _ in viewer.arrivals[begun:]]
            data = viewer.close()
        bytestream.check_stream(data, tmp_path)
        # Six seconds: with a segment at a time there would be some in every twentieth of them.
        assert len(set(tenths)) > (tenths[-1] - tenths[0]) / 2, tenths
        camera = daemon.camera()
        assert camera["restarts"] == camera["reconnects"] == 0
        assert camera["sandbox"].startswith("seccomp")


def test_hls_comes_back_when_its_server_does(start_camcastd, tmp_path):
    port = harness.free_port()
    made = harness.pattern_config({"keyframe_interval": 15}, daemon={"http": f"127.0.0.1:{port}"})
    daemon = start_camcastd(live.config(f"url:http://127.0.0.1:{port}/s.m3u8"))
    with clients.Viewer(daemon.port()) as viewer:
        daemon.wait_log(r"url:http://127.0.0.1:\d+/\.\.\.: Connection refused")
        for _ in range(2):
            with harness.Camcastd(made, tmp_path):
                live.wait_pictures(viewer, 20, timeout=60)
            daemon.wait_until(lambda: daemon.camera()["camera_state"] == "silent", "silence", 40)
        assert not viewer.closed
    assert daemon.camera()["restarts"] == 0


def playlist(*segments):
    """A server with a playlist of these segments, each of which it does not have."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:1"]
    for segment in segments:
        lines += ["#EXTINF:2.0,", segment]
    body = "\n".join(lines).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\nContent-Length: {len(body)}"

    def serve(connection):
        with connection:
            connection.recv(65536)
            connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)

    return hostile.Server(serve)


def test_a_playlist_reads_no_file(start_camcastd, recording, tmp_path):
    """Not even one that the worker may read, as the sandbox is off here."""
    ts = tmp_path / "pattern.ts"
    harness.output_of("ffmpeg", "-nostdin", "-v", "error", "-i", recording, "-c", "copy", ts)
    with playlist(f"file://{ts}", str(ts), f"file:{ts}") as server:
        made = live.config(f"url:http://127.0.0.1:{server.port}/x.m3u8")
        made["daemon"]["sandbox"] = "no"
        daemon = start_camcastd(made)
        daemon.wait_log("camera cam: url:http://127.0.0.1:.*/...: ", timeout=60)
        daemon.wait_until(lambda: daemon.camera()["camera_state"] == "silent", "no picture")
        assert daemon.camera()["restarts"] == 0
        assert daemon.feed()["units"] == 0


def test_a_playlist_from_a_program_is_refused(start_camcastd, tmp_path):
    file = tmp_path / "x.m3u8"
    file.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nhttp://127.0.0.1:1/x.ts\n")
    daemon = start_camcastd(live.config(f"exec:cat {file}"))
    daemon.wait_log("a playlist of HLS, which is read over http and https only")


@pytest.mark.parametrize("path", ["s.ts", "s.m3u8"])
def test_over_https_only_with_a_certificate_that_is_trusted(
    path, camcastd, start_camcastd, tmp_path
):
    authority = certificates.Authority(tmp_path / "authority")
    stranger = certificates.Authority(tmp_path / "stranger", trusted=False)
    certificate, key = authority.sign("server")
    made = harness.pattern_config(daemon={"tls": "yes"})
    made["tls"] = {"certificate": certificate, "key": key}
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    password.chmod(0o600)
    made["user anna"] = {"password_file": password, "may": "view"}
    server = start_camcastd(made)
    where = f"url:https://anna:{SECRET}@127.0.0.1:{server.http_port}/{path}"
    options = {"url_options": f"ca_file={authority.certificate}"}
    daemon = camcastd(live.config(where, camera=options))
    with clients.Viewer(daemon.port()) as viewer:
        live.wait_pictures(viewer, 40, timeout=60)
    assert daemon.camera()["sandbox"].startswith("seccomp")
    wrong = start_camcastd(
        live.config(where, camera={"url_options": f"ca_file={stranger.certificate}"})
    )
    wrong.wait_log("url:https://127.0.0.1:.*failed verification", timeout=30)
    unknown = start_camcastd(live.config(where))
    unknown.wait_log("url:https://127.0.0.1:.*failed verification", timeout=30)
    for one in (daemon, wrong, unknown):
        assert not [line for line in one.log() if SECRET in line]


def test_a_relayed_stream_can_be_encoded_again(start_camcastd, pattern):
    made = live.config(f"url:tcp://127.0.0.1:{pattern.port()}", "mjpeg", "mjpeg")
    daemon = start_camcastd(made)
    with clients.Viewer(daemon.port("s/length_prefixed")) as viewer:
        live.wait_pictures(viewer, 30, "mjpeg")
        assert growing(live.numbers(viewer, "mjpeg"))


def test_viewers_of_a_relay_stay_when_the_first_server_goes(start_camcastd, tmp_path):
    port = harness.free_port()
    made = harness.pattern_config({"annexb": f"127.0.0.1:{port}", "keyframe_interval": 15})
    daemon = start_camcastd(live.config(f"url:tcp://localhost:{port}"))
    with clients.Viewer(daemon.port()) as viewer:
        daemon.wait_log(r"url:tcp://localhost:\d+/\.\.\.: Connection refused")
        for reconnects in (1, 2):
            with harness.Camcastd(made, tmp_path):
                live.wait_pictures(viewer, 20)
            daemon.wait_until(lambda: daemon.camera()["camera_state"] == "silent", "silence")
            assert daemon.camera()["reconnects"] == reconnects
        assert not viewer.closed
    assert daemon.camera()["restarts"] == 0


def test_an_rtsp_server_that_sends_parameter_sets_only_in_the_sdp(camcastd, recording, tmp_path):
    with rtspserver.RtspServer(recording) as server:
        daemon = camcastd(live.config(f"url:rtsp://127.0.0.1:{server.port}/camera", sei=True))
        with clients.Viewer(daemon.port()) as viewer:
            live.wait_pictures(viewer, 20)
            server.drop()
            daemon.wait_until(lambda: daemon.camera()["reconnects"] == 1, "a reconnect")
            live.wait_pictures(viewer, 40)
            data = viewer.close()
        units, _ = bytestream.check_stream(data, tmp_path, restarts=True)
        assert all(a.monotonic_us < b.monotonic_us for a, b in zip(units, units[1:]))
        camera = daemon.camera()
        assert camera["restarts"] == 0 and camera["camera_reason"] == ""
        daemon.stop()
        assert any(request.startswith("TEARDOWN") for request in server.requests)


def test_a_server_that_hangs_is_noticed(start_camcastd, recording):
    with rtspserver.RtspServer(recording) as server:
        daemon = start_camcastd(live.config(f"url:rtsp://127.0.0.1:{server.port}/camera"))
        with clients.Viewer(daemon.port()) as viewer:
            live.wait_pictures(viewer, 20)
            server.hang.set()
            daemon.wait_log("camera cam: url:rtsp://.*: no picture comes any more", timeout=30)
            server.hang.clear()
            live.wait_pictures(viewer, 20)
        camera = daemon.camera()
        assert camera["restarts"] == 0 and camera["reconnects"] >= 1


def test_a_peer_that_never_answers_is_said(start_camcastd):
    with hostile.Server(hostile.silent) as server:
        daemon = start_camcastd(live.config(f"url:rtsp://127.0.0.1:{server.port}/x"))
        daemon.wait_log("url:rtsp://.*: no answer, or no picture", timeout=30)
        assert daemon.camera()["restarts"] == 0


def test_a_password_is_used_and_never_shown(start_camcastd, start_broker, recording):
    with rtspserver.RtspServer(recording, SECRET) as server:
        where = f"rtsp://me:{{}}@127.0.0.1:{server.port}/stream-{SECRET}?token={SECRET}x"
        wrong = start_camcastd(live.config(f"url:{where.format('no')}"))
        wrong.wait_log("url:rtsp://127.0.0.1:.*401 Unauthorized")
        wrong.stop()
        made = live.config(f"url:{where.format(SECRET)}")
        broker = start_broker()
        made["mqtt"] = {"broker": broker.address, "port": broker.port}
        daemon = start_camcastd(made)
        with clients.Viewer(daemon.port()) as viewer:
            live.wait_pictures(viewer, 20)
        pages = [daemon.get(path)[1] for path in ("/status.json", "/metrics", "/api/cameras")]
        server.close()
        daemon.wait_until(lambda: daemon.camera()["camera_state"] == "silent", "the loss")
        pages += [json.dumps(daemon.status()), *daemon.log(), *wrong.log()]
        for pid in harness.processes_with(daemon.marker):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                pages.append(file.read().decode())
        assert not [page for page in pages if SECRET in page]


def test_no_part_of_a_secret_is_shown_of_a_line_that_is_cut(start_camcastd):
    """libsrt has the whole URL in its line, of which the status has the beginning."""
    secret = "".join(f"{n:04x}" for n in range(0xA000, 0xA028))
    where = f"url:srt://127.0.0.1:{harness.free_port()}?connect_timeout=300&streamid={secret}"
    daemon = start_camcastd(live.config(where))
    daemon.wait_log("url:srt://127.0.0.1:.*libav: ", timeout=30)
    shown = [json.dumps(daemon.status()), *daemon.log()]
    assert not [line for line in shown if secret[:8] in line]


def test_gst_rtsp_server(camcastd, pattern):
    pipeline = (
        f"( tcpclientsrc host=127.0.0.1 port={pattern.port()} ! h264parse ! "
        "rtph264pay name=pay0 pt=96 )"
    )
    with rtspserver.GstRtspServer(pipeline) as server:
        daemon = camcastd(live.config(f"url:rtsp://127.0.0.1:{server.port}/camera"))
        with clients.Viewer(daemon.port()) as viewer:
            live.wait_pictures(viewer, 40)
            assert growing(live.numbers(viewer))


def test_gst_rtsp_server_over_udp_and_with_jpeg(start_camcastd, pattern):
    pipeline = (
        f"( souphttpsrc location=http://127.0.0.1:{pattern.http_port}/j.mjpg is-live=true ! "
        "multipartdemux ! jpegparse ! rtpjpegpay name=pay0 pt=26 )"
    )
    with rtspserver.GstRtspServer(pipeline) as server:
        where = f"url:rtsp://127.0.0.1:{server.port}/camera"
        made = live.config(where, "mjpeg", camera={"url_options": "rtsp_transport=udp"})
        daemon = start_camcastd(made)
        with clients.Viewer(daemon.port("s/length_prefixed")) as viewer:
            live.wait_pictures(viewer, 30, "mjpeg")
            assert growing(live.numbers(viewer, "mjpeg"))


@pytest.fixture(name="send")
def fixture_send():
    """send(path, url): ffmpeg plays the recording in a loop as MPEG-TS to the URL."""
    running = []

    def start(path, url):
        words = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", path]
        running.append(
            harness.start([*words, "-c", "copy", "-f", "mpegts", url], stderr=subprocess.DEVNULL)
        )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "scheme, muxer, codec",
    [
        ("http", "flv", "h264"), ("http", "matroska", "h264"), ("http", "mpjpeg", "mjpeg"),
        ("tcp", "mpegts", "h264"), ("tcp", "mjpeg", "mjpeg"),
    ],
)
def test_what_a_server_may_send(scheme, muxer, codec, start_camcastd, tmp_path):
    """ffmpeg, which serves one client."""
    recording = live.pattern_file(tmp_path, "annexb" if codec == "h264" else "jpeg")
    where = f"{scheme}://127.0.0.1:{harness.free_port()}"
    daemon = start_camcastd(live.config(f"url:{where}", codec))
    daemon.wait_log("Connection refused")
    words = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-f", codec, "-framerate", "30"]
    words += ["-stream_loop", "-1", "-i", recording, "-c", "copy", "-f", muxer, "-listen", "1", where]
    with harness.start(words, stderr=subprocess.DEVNULL) as server:
        with clients.Viewer(daemon.port(f"s/{live.FRAMING[codec]}")) as viewer:
            live.wait_pictures(viewer, 40, codec)
            seen = live.numbers(viewer, codec)
        server.kill()
    assert sum(b <= a for a, b in zip(seen, seen[1:])) <= 1, seen  # where it begins again


@pytest.mark.parametrize(
    "receive, to",
    [
        ("udp://127.0.0.1:{}", "udp://127.0.0.1:{}?pkt_size=1316"),
        ("srt://:{}?mode=listener&passphrase=0123456789", "srt://127.0.0.1:{}?passphrase=0123456789"),
        ("srt://127.0.0.1:{}", "srt://127.0.0.1:{}?mode=listener"),
    ],
    ids=["udp", "srt-listener", "srt-caller"],
)
def test_mpegts_over_udp_and_srt(receive, to, start_camcastd, send, recording, tmp_path):
    ts = tmp_path / "pattern.ts"
    harness.output_of("ffmpeg", "-nostdin", "-v", "error", "-i", recording, "-c", "copy", ts)
    port = harness.free_port()
    daemon = start_camcastd(live.config(f"url:{receive.format(port)}"))
    daemon.wait_until(lambda: daemon.camera()["pid"], "the worker")
    sender = send(ts, to.format(port))
    with clients.Viewer(daemon.port()) as viewer:
        def sending():
            nonlocal sender
            if sender.poll() is not None:  # nobody listened yet
                sender = send(ts, to.format(port))
            return live.count(viewer) >= 30

        daemon.wait_until(sending, "pictures", 60)
        seen = live.numbers(viewer)
    assert sum(b <= a for a, b in zip(seen, seen[1:])) <= 2


def test_mpegts_of_a_group(lan, start_camcastd, recording, tmp_path):
    server, viewer = (lan.host(f"10.76.0.{n}/24") for n in (1, 2))
    for host in (server, viewer):
        host.ip("route", "add", "239.0.0.0/8", "dev", "eth0")
    ts = tmp_path / "pattern.ts"
    harness.output_of("ffmpeg", "-nostdin", "-v", "error", "-i", recording, "-c", "copy", ts)
    words = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", ts, "-c", "copy"]
    words += ["-f", "mpegts", "udp://239.1.1.1:5000?pkt_size=1316"]
    sender = server.popen(words, stderr=subprocess.DEVNULL)
    try:
        with viewer:
            daemon = start_camcastd(live.config("url:udp://@239.1.1.1:5000"))
            with clients.Viewer(daemon.port()) as one:
                live.wait_pictures(one, 40)
                seen = live.numbers(one)
            assert daemon.camera()["sandbox"].startswith("seccomp")
    finally:
        sender.kill()
        sender.wait()
    assert sum(b <= a for a, b in zip(seen, seen[1:])) <= 1, seen  # where it begins again


def test_an_option_that_nobody_knows_is_said(start_camcastd, pattern):
    where = f"url:tcp://127.0.0.1:{pattern.port()}"
    daemon = start_camcastd(live.config(where, camera={"url_options": "no_such_option=secret"}))
    daemon.wait_log("url_options: libavformat has no option no_such_option for this URL")
    assert not [line for line in daemon.log() if "secret" in line]


def test_the_check_does_not_connect(tmp_path):
    with hostile.Server(hostile.silent) as server:
        path = tmp_path / "c.ini"
        path.write_text(harness.config_text(live.config(f"url:rtsp://127.0.0.1:{server.port}/")))
        done = harness.run([harness.BUILD / "camcastd", "--check", "-c", path])
        assert done.returncode == 0 and "ok: 1 camera" in done.stdout
