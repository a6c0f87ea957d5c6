# SPDX-License-Identifier: BSD-2-Clause
"""TLS: real programs watch over https and tls, with a certificate that they trust and with one that
they do not; certificates change, and peers that do not shake hands hurt nobody."""
import contextlib
import os
import platform
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading

import pytest

import browser as browsers
import bytestream
import certificates
import clients
import gstreamer
import harness
import tool

OPENCV = (
    "import cv2, sys\n"
    "video = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)\n"
    "seen = sum(video.read()[0] for _ in range(20))\n"
    "sys.exit(0 if seen == 20 else 1)\n"
)


@pytest.fixture(scope="module", name="authority")
def fixture_authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module", name="stranger")
def fixture_stranger(tmp_path_factory):
    """An authority that has not signed camcastd's certificate."""
    return certificates.Authority(tmp_path_factory.mktemp("stranger"), trusted=False)


def config(authority, http="auto", raw="yes", name="server", **stream):
    certificate, key = authority.sign(name)
    text = harness.pattern_config(stream=dict(stream, tls=raw), daemon={
        "tls": http, "rtsp": "127.0.0.1:0",
    })
    text["tls"] = {"certificate": certificate, "key": key}
    return text


def https(daemon, path):
    return f"https://127.0.0.1:{daemon.http_port}{path}"


def tls(daemon):
    return f"tls://127.0.0.1:{daemon.port()}"


def rtsps(daemon):
    return f"rtsps://127.0.0.1:{daemon.rtsp_port}/s"


def curl(daemon, authority):
    return ["curl", "-sS", "--max-time", 60, "--cacert", authority.certificate, "-o", os.devnull,
            "--fail", https(daemon, "/s.jpg")], {}


def ffmpeg(url, options=()):
    def command(daemon, authority):
        words = ["ffmpeg", "-nostdin", "-v", "error", "-xerror", *options]
        words += ["-ca_file", authority.certificate, "-tls_verify", 1, "-i", url(daemon)]
        return [*words, "-frames:v", 20, "-f", "null", "-"], {}

    return command


def mpv(daemon, authority):
    return ["mpv", "--no-config", "--vo=null", "--ao=null", "--frames=20", "--untimed",
            "--tls-verify=yes", f"--tls-ca-file={authority.certificate}",
            https(daemon, "/s.ts")], {}


def gstreamer_https(daemon, authority):
    """Its ssl-ca-file has no effect here (GStreamer 1.22 with libsoup 3): the system's authorities
    count, or none."""
    strict = "false" if authority.trusted else "true"
    return ["gst-launch-1.0", "-q", "souphttpsrc", f"location={https(daemon, '/s.ts')}",
            f"ssl-strict={strict}", "!", "tsdemux", "!", "h264parse", "!",
            "avdec_h264", "!", "fakesink", "sync=false", "num-buffers=20"], {}


def gstreamer_rtsps(daemon, authority):
    """1: only an authority that it does not know is no reason to refuse."""
    return ["gst-launch-1.0", "-q", "rtspsrc", f"location={rtsps(daemon)}", "latency=0",
            f"tls-validation-flags={126 if authority.trusted else 127}", "!", "rtph264depay", "!",
            "avdec_h264", "!", "fakesink", "sync=false", "num-buffers=20"], {}


def opencv(daemon, authority):
    options = f"ca_file;{authority.certificate}|tls_verify;1"
    return [sys.executable, "-c", OPENCV, https(daemon, "/s.mp4")], {
        "env": dict(os.environ, OPENCV_FFMPEG_CAPTURE_OPTIONS=options)
    }


PROGRAMS = {
    "curl": curl,
    "ffmpeg-https": ffmpeg(lambda daemon: https(daemon, "/s.mp4")),
    "ffmpeg-tls": ffmpeg(tls, ["-f", "h264"]),
    "mpv": mpv,
    "gstreamer": gstreamer_https,
    "gstreamer-rtsps": gstreamer_rtsps,
    "opencv": opencv,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_watch_with_a_certificate_that_they_trust(camcastd, authority, stranger, program):
    daemon = camcastd(config(authority))
    command, options = PROGRAMS[program](daemon, authority)
    result = harness.run(command, 60, **options)
    played = gstreamer.ended_well(result.returncode, result.stderr)
    assert played, result.stderr + result.stdout
    assert daemon.status()["tls"]["handshakes"] >= 1

    command, options = PROGRAMS[program](daemon, stranger)
    result = harness.run(command, 60, **options)
    assert result.returncode != 0, "it was not refused"


def test_ffmpeg_watches_over_rtsps(camcastd, authority):
    """Its RTSP checks no certificate."""
    daemon = camcastd(config(authority))
    result = harness.run(["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-rtsp_transport", "tcp",
                          "-i", rtsps(daemon), "-frames:v", 20, "-f", "null", "-"], 60)
    assert result.returncode == 0, result.stderr


def test_what_arrives_is_whole(camcastd, authority, tmp_path):
    """The bytes of raw TCP and of HTTP, decoded without one error, in both versions of TLS."""
    daemon = camcastd(config(authority))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.context()
        context.minimum_version = context.maximum_version = version
        with clients.Viewer(daemon.port(), tls=context) as viewer:
            viewer.wait_units(60)
            assert viewer.socket.version() == version.name.replace("_", ".")
            (client,) = daemon.status()["clients"]
            assert client["transport"] == "tls"
            data = viewer.close()
        units, gaps = bytestream.check_stream(data, tmp_path, name=version.name)
        assert len(units) >= 60 and gaps == 0


@pytest.mark.parametrize("rsa", [False, True], ids=["ecdsa", "rsa"])
def test_only_current_versions_and_ciphers(camcastd, authority, rsa):
    text = config(authority)
    if rsa:
        text["tls"]["certificate"], text["tls"]["key"] = authority.sign("rsa", rsa=True)
    daemon = camcastd(text)
    for version, works in (("tls1", 0), ("tls1_1", 0), ("tls1_2", 1), ("tls1_3", 1)):
        result = harness.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.http_port}", f"-{version}"]
            + ["-cipher", "ALL:@SECLEVEL=0", "-CAfile", authority.certificate, "-alpn", "h2"]
            + ["-verify_return_error"],
            input="",
        )
        assert (result.returncode == 0) == bool(works), result.stdout + result.stderr
        assert not works or "No ALPN negotiated" in result.stdout


LISTENERS = {
    "annexb": lambda daemon: daemon.port(),
    "length_prefixed": lambda daemon: daemon.port("j/length_prefixed"),
    "http": lambda daemon: daemon.http_port,
    "rtsp": lambda daemon: daemon.rtsp_port,
}


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("rsa", [False, True], ids=["ecdsa", "rsa"])
def test_sslscan_finds_nothing_weak(start_camcastd, authority, rsa, listener):
    text = config(authority)
    text["stream j"] = {
        "camera": "cam", "codec": "mjpeg", "length_prefixed": "127.0.0.1:0", "tls": "auto"
    }
    if rsa:
        text["tls"]["certificate"], text["tls"]["key"] = authority.sign("rsa", rsa=True)
    daemon = start_camcastd(text)
    found = harness.output_of(
        "sslscan", "--no-colour", f"127.0.0.1:{LISTENERS[listener](daemon)}",
        timeout=60 * harness.PATIENCE,
    )
    for version in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
        assert re.search(rf"{version}\s+disabled", found), found
    for version in ("TLSv1.2", "TLSv1.3"):
        assert re.search(rf"{version}\s+enabled", found), found
    ciphers = re.findall(r"(?:Preferred|Accepted)\s+(TLSv\S+)\s+\d+ bits\s+(\S+)", found)
    assert len(ciphers) >= 6, found
    for _, cipher in ciphers:
        assert re.search("GCM|CHACHA20|POLY1305", cipher), found
        assert cipher.startswith(("TLS_", "ECDHE-")), found
    groups = re.findall(r"bits\s+(\S+)", found.partition("Key Exchange Group(s):")[2])
    assert groups and set(groups) <= {"x25519", "secp256r1", "secp384r1"}, found
    assert "Session renegotiation not supported" in found or "Secure session" in found, found
    assert re.search("Compression disabled|does not support compression", found), found
    assert "vulnerable to heartbleed" not in found.replace("not vulnerable to heartbleed", "")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the variable is of x86")
def test_without_aes_in_the_processor_chacha_comes_first(start_camcastd, authority):
    hidden = "~0x200000200000000:~0x60000000000"
    daemon = start_camcastd(config(authority), env={"OPENSSL_ia32cap": hidden})
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.context()
        context.minimum_version = context.maximum_version = version
        with clients.Viewer(daemon.port(), tls=context) as viewer:
            viewer.wait_bytes(10000)
            assert "CHACHA20" in viewer.socket.cipher()[0]


def test_peers_that_speak_the_other_thing(camcastd, authority):
    """Plain where TLS is needed, and TLS where there is none."""
    text = config(authority, http="auto", raw="yes")
    text["stream plain"] = {"camera": "cam", "annexb": "127.0.0.1:0"}
    daemon = camcastd(text)
    with clients.Viewer(daemon.port()) as viewer:
        viewer.socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert viewer.wait_closed() and not viewer.data
    assert daemon.status()["tls"]["plain"] == 1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        clients.Viewer(daemon.port("plain/annexb"), tls=authority.context())
    daemon.wait_log(f"speaks TLS and is disconnected.*https://127.0.0.1:{daemon.http_port}")
    daemon.stop()

    text["daemon"]["tls"] = "yes"
    other = harness.Camcastd(text, daemon.config_path.parent)
    with other:
        result = harness.run(["curl", "-sS", "-i", f"http://127.0.0.1:{other.http_port}/s.ts"])
        assert result.stdout.startswith("HTTP/1.1 400") and "use https://" in result.stdout
        result = harness.run(["curl", "-sS", "--cacert", authority.certificate,
                              https(other, "/healthz")])
        assert result.returncode == 0, result.stderr


def test_an_address_is_refused_before_its_handshake(camcastd, authority):
    text = config(authority)
    text["daemon"]["deny"] = "127.0.0.2"
    daemon = camcastd(text)
    with clients.Viewer(daemon.port(), source="127.0.0.2") as viewer:
        assert viewer.wait_closed()
    with clients.Viewer(daemon.port(), tls=authority.context()) as viewer:
        viewer.wait_units(2)
    counters = daemon.status()["tls"]
    assert counters["handshakes"] == 1 and counters["plain"] == counters["failed"] == 0


def test_one_port_for_both(camcastd, authority, tmp_path):
    """Told apart by the first byte; a viewer of raw TCP, which says nothing, waits a second."""
    daemon = camcastd(config(authority, http="auto", raw="auto"))
    with clients.Viewer(daemon.port()) as plain:
        with clients.Viewer(daemon.port(), tls=authority.context()) as secure:
            plain.wait_units(30)
            secure.wait_units(30)
            for viewer in (plain, secure):
                units, gaps = bytestream.check_stream(viewer.close(), tmp_path)
                assert units and gaps == 0
    assert daemon.get("/healthz")[0] == 200  # plain


def test_a_certificate_is_exchanged_under_load(camcastd, authority, tmp_path):
    text = config(authority, name="exchanged")
    certificate = text["tls"]["certificate"]
    daemon = camcastd(text)

    def seen():
        """The certificate that a new client gets."""
        address = ("127.0.0.1", daemon.port())
        with socket.create_connection(address, 10 * harness.PATIENCE) as one:
            with authority.context().wrap_socket(one, server_hostname="127.0.0.1") as secure:
                return secure.getpeercert(binary_form=True)

    def current():
        return ssl.PEM_cert_to_DER_cert(certificate.read_text())

    first = current()
    with clients.Viewer(daemon.port(), tls=authority.context()) as viewer:
        viewer.wait_units(5)
        assert seen() == first
        for _ in range(2):
            authority.sign("exchanged")
            daemon.wait_until(lambda: seen() == current(), "the new certificate")
        last = current()
        assert last != first

        position = daemon.log_position()
        text["tls"]["key"].write_text("no key\n")
        daemon.wait_until(lambda: seen() == last and [
            line for line in daemon.log()[position:] if "stays in force" in line
        ], "a line about the broken pair")
        for _ in range(3):
            assert seen() == last
        viewer.wait_units(30)
        lines = [line for line in daemon.log()[position:] if "stays in force" in line]
        assert len(lines) == 1, lines
        units, gaps = bytestream.check_stream(viewer.close(), tmp_path)
        assert gaps == 0 and len(units) > 30


def test_a_slow_viewer_sees_no_broken_picture(camcastd, authority, tmp_path):
    text = config(authority, bitrate=2000000, max_lag_ms=1000, shed_lag_ms=600, join_burst_ms=300)
    daemon = camcastd(text)
    context = authority.context()
    with clients.Viewer(daemon.port(), tls=context) as fast:
        fast.wait_units(10)
        with clients.Viewer(daemon.port(), rate=80000, receive_buffer=8192, tls=context) as slow:
            daemon.wait_until(
                lambda: any(c["resyncs"] >= 2 for c in daemon.status()["clients"]), "resyncs", 40
            )
            slow.set_rate(None)
            slow.wait_units(30)
            units, gaps = bytestream.check_stream(slow.close(), tmp_path, name="slow")
        assert gaps >= 2
        units, gaps = bytestream.check_stream(fast.close(), tmp_path, name="fast")
        assert gaps == 0 and len(units) > 60


def test_peers_that_stall_in_their_handshake_keep_nobody_out(camcastd, authority):
    """More than there are places, each with a part of a handshake or with nothing."""
    daemon = camcastd(config(authority))
    peers = []
    for i in range(300):
        peers.append(socket.create_connection(("127.0.0.1", daemon.port())))
        if i % 2:
            with contextlib.suppress(ConnectionError):  # it has made room
                peers[-1].sendall(b"\x16\x03\x01\x02")
    with clients.Viewer(daemon.port(), tls=authority.context()) as viewer:
        viewer.wait_units(10)
    assert daemon.status()["tls"]["displaced"] >= 100
    for peer in peers:
        peer.close()


def test_a_flood_of_handshakes_leaves_no_gap(camcastd, authority, tmp_path):
    daemon = camcastd(config(authority))
    context = authority.context()
    ending = threading.Event()

    def shake():
        while not ending.is_set():
            try:
                with socket.create_connection(("127.0.0.1", daemon.port()), 5) as one:
                    context.wrap_socket(one, server_hostname="127.0.0.1").close()
            except OSError:
                pass

    with clients.Viewer(daemon.port(), tls=context) as viewer:
        viewer.wait_units(5)
        before = daemon.status()["tls"]["handshakes"]
        threads = [threading.Thread(target=shake) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            viewer.wait_units(90)
        finally:
            ending.set()
            for thread in threads:
                thread.join()
        assert daemon.status()["tls"]["handshakes"] > before + 50
        units, gaps = bytestream.check_stream(viewer.close(), tmp_path)
        assert gaps == 0 and len(units) > 90


def test_a_certificate_in_one_command(start_camcastd, tmp_path):
    """As docs/SECURITY.md says: made, configured, watched, and refused without."""
    folder = tmp_path / "certificate"
    made = harness.run([harness.BUILD / "camcastd", f"--make-certificate={folder}"])
    assert made.returncode == 0, made.stderr
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["certificate.pem", "key.pem"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    digest = re.search(r"SHA-256 ([0-9A-F:]+)", made.stdout)[1].replace(":", "").lower()
    assert digest == certificates.fingerprint(folder / "certificate.pem")
    lines = re.search(r"\[tls\]\ncertificate = .*\nkey = .*\n", made.stdout)[0]

    again = harness.run([harness.BUILD / "camcastd", f"--make-certificate={folder}"])
    assert again.returncode == 1 and "File exists" in again.stderr
    assert digest == certificates.fingerprint(folder / "certificate.pem")

    text = harness.config_text(harness.pattern_config(daemon={"tls": "yes"})) + "\n" + lines
    daemon = start_camcastd(text)
    for host in ("localhost", "127.0.0.1", socket.gethostname()):
        result = harness.run(
            ["curl", "-sS", "--fail", "--cacert", folder / "certificate.pem", "--resolve"]
            + [f"{host}:{daemon.http_port}:127.0.0.1", f"https://{host}:{daemon.http_port}/"]
        )
        assert result.returncode == 0, result.stderr
    refused = harness.run(["curl", "-sS", f"https://localhost:{daemon.http_port}/"])
    assert refused.returncode == 60, refused.stderr


def recv(daemon, folder, *words, url=None):
    """camcast recv until it has a second of the stream, or has said why it has not."""
    output = folder / "received.h264"
    output.unlink(missing_ok=True)
    client = tool.Tool("recv", url or tls(daemon), "-o", output, *words)
    with client:
        daemon.wait_until(
            lambda: (output.exists() and output.stat().st_size > 30000)
            or client.stderr(),
            "bytes, or a reason", 20,
        )
        client.stop()
    return output.read_bytes() if output.exists() else b"", client.stderr()


def test_camcast_recv_trusts_an_authority_or_one_certificate(
    camcastd, authority, stranger, tmp_path
):
    text = config(authority)
    daemon = camcastd(text)
    pin = certificates.fingerprint(text["tls"]["certificate"])
    for trust in (["--cafile", authority.certificate], ["--pin", pin]):
        data, said = recv(daemon, tmp_path, *trust)
        assert not said
        units, gaps = bytestream.check_stream(data, tmp_path)
        assert units and gaps == 0
    data, said = recv(daemon, tmp_path, "--cafile", stranger.certificate)
    assert not data and f"--pin {pin}" in said, said
    data, said = recv(daemon, tmp_path, "--pin", "00" * 32)
    assert not data and f"another certificate than --pin: {pin}" in said, said
    for wrong, why in (("--pin", "use a SHA-256"), ("--cafile", "cannot be used")):
        code, _, said = tool.run("recv", tls(daemon), "-o", tmp_path / "x", wrong, "/nonexistent")
        assert code and why in said, said


def test_camcast_view_shows_it(start_camcastd, authority, stranger):
    daemon = start_camcastd(config(authority))
    headless = {"SDL_VIDEODRIVER": "dummy"}
    for one, seen in ((authority, '"state":"live"'), (stranger, "certificate.*--pin [0-9a-f]{64}")):
        with tool.Tool(
            "view", "--json", "--cafile", one.certificate, tls(daemon), env=headless
        ) as view:
            view.wait_line(seen)
            assert view.stop() == 0


def test_servers_with_tls_are_announced_found_and_recorded(camcastd, authority, broker, tmp_path):
    """Over MQTT, and by a process that reads in a sandbox."""
    text = config(authority, name="announced")
    text["mqtt"] = {"broker": "127.0.0.1", "port": broker.port, "id": "secure"}
    daemon = camcastd(text)
    pin = certificates.fingerprint(text["tls"]["certificate"])
    daemon.wait_log("mqtt: connected")
    code, found, said = tool.run("discover", "--json", broker=broker)
    assert code == 0 and tls(daemon) in found, found + said
    folder = tmp_path / "recordings"
    with tool.Tool(
        "record", "test", "--dir", folder, "--segment", "1s", "--json", "--pin", pin, broker=broker
    ) as recorder:
        recorder.wait_line(r"\.mp4", timeout=40)
        assert recorder.stop() == 0
    assert list(folder.glob("*/*.mp4"))


@pytest.mark.parametrize("wrong, said", [
    ({"tls": {}}, "tls = yes needs a section [tls] with certificate = FILE"),
    ({"tls": {"key": "/x"}}, "key needs certificate in section [tls]"),
])
def test_a_configuration_without_a_certificate_is_a_mistake(tmp_path, wrong, said):
    text = harness.pattern_config(stream={"tls": "yes"})
    text.update(wrong)
    path = tmp_path / "config.ini"
    path.write_text(harness.config_text(text))
    result = harness.run([harness.BUILD / "camcastd", "--check", "-c", path])
    assert result.returncode == 1 and said in result.stderr


def test_a_certificate_that_cannot_be_used_is_named(tmp_path, authority):
    text = config(authority)
    other = authority.sign("other")[1]
    for certificate, key, said in (
        ("/nonexistent.pem", other, "certificate /nonexistent.pem: No such file"),
        (text["tls"]["certificate"], other, "key values mismatch"),
    ):
        text["tls"] = {"certificate": certificate, "key": key}
        path = tmp_path / "config.ini"
        path.write_text(harness.config_text(text))
        result = harness.run([harness.BUILD / "camcastd", "-c", path])
        assert result.returncode == 1 and said in result.stderr, result.stderr


@pytest.mark.alone
@pytest.mark.skipif(bool(harness.SAN), reason="the browsers are not instrumented")
@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_the_page_works_in_a_browser_that_trusts_the_certificate(
    start_camcastd, authority, tmp_path, name
):
    text = config(authority, http="yes", bitrate=300000)
    daemon = start_camcastd(text)
    trust = tmp_path / "trust"
    for folder in (trust / ".pki/nssdb", trust / "firefox"):
        folder.mkdir(parents=True)
        database = f"sql:{folder}"
        subprocess.run(["certutil", "-N", "--empty-password", "-d", database], check=True)
        subprocess.run(["certutil", "-A", "-t", "C,,", "-n", "test", "-d", database,
                        "-i", authority.certificate], check=True)
    with browsers.Browser(name, trust) as browser:
        tab = browser.open(f"https://localhost:{daemon.http_port}/")
        for transport in ("mse", "mse_http"):  # a WebSocket, and HTTP
            tab.evaluate(f"localStorage.setItem('transport cam', '{transport}')")
            tab.reload()
            tab.wait_live("cam")
            assert tab.facts("cam")["transport"] == transport
            numbers = tab.numbers("cam", 5)
            assert all(a < b for a, b in zip(numbers, numbers[1:])), numbers
        tab.close()
    shutil.rmtree(trust)
    with browsers.Browser(name) as browser:
        with pytest.raises(harness.Failure, match="(?i)cert|SEC_ERROR|UNKNOWN_ISSUER"):
            browser.open(f"https://localhost:{daemon.http_port}/")
