# SPDX-License-Identifier: BSD-2-Clause
"""Viewers that a certificate of their own lets in: over raw TCP, HTTP and RTSP with TLS, with the
right one, another one, one that has expired, and none."""
import os
import socket
import ssl
import subprocess

import pytest

import bytestream
import certificates
import clients
import harness
import tool

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module", name="authority")
def fixture_authority(tmp_path_factory):
    """Has signed the server's certificate, and those of viewers."""
    return certificates.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module", name="viewer")
def fixture_viewer(authority):
    return authority.sign_viewer("anna")


@pytest.fixture(scope="module", name="wrong")
def fixture_wrong(authority, tmp_path_factory):
    """Pairs that let nobody in, by what is wrong with them."""
    stranger = certificates.Authority(tmp_path_factory.mktemp("stranger"), trusted=False)
    return {
        "expired": authority.sign_viewer("late", days=-1),
        "of a stranger": stranger.sign_viewer("anna"),
        "of a server": authority.sign("server2"),
    }


def config(authority, client_ca=True, stream=None, **sections):
    certificate, key = authority.sign("server")
    text = harness.pattern_config(
        stream=dict(stream or {}, tls="yes"),
        daemon={"tls": "auto", "rtsp": "127.0.0.1:0", "anonymous": "status"},
    )
    text["tls"] = {"certificate": certificate, "key": key}
    if client_ca:
        text["tls"]["client_ca"] = authority.certificate
    text["stream j"] = {
        "camera": "cam", "codec": "mjpeg", "length_prefixed": "127.0.0.1:0", "tls": "auto"
    }
    text.update(sections)
    return text


def s_client(daemon, authority, pair, version, port=None):
    """Bytes that openssl's client gets of the raw feed."""
    command = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port or daemon.port()}",
               f"-{version}", "-CAfile", authority.certificate, "-verify_return_error"]
    if pair:
        command += ["-cert", pair[0], "-key", pair[1]]
    with harness.start(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL) as client:
        data = client.stdout.read(30000)
        client.kill()
    return data


def gets_bytes(daemon, authority, pair):
    """Whether a viewer of the raw feed is let in."""
    address = ("127.0.0.1", daemon.port())
    with socket.create_connection(address, 20 * harness.PATIENCE) as one:
        try:
            secure = authority.context(pair).wrap_socket(one, server_hostname="127.0.0.1")
            return bool(secure.recv(1000))
        except (ssl.SSLError, ConnectionError):
            return False


def curl(daemon, authority, pair, path):
    """(exit code, status)"""
    words = ["curl", "-sS", "--cacert", authority.certificate, "-o", os.devnull]
    words += ["--max-time", 20 * harness.PATIENCE, "-w", "%{http_code}"]
    if pair:
        words += ["--cert", pair[0], "--key", pair[1]]
    result = harness.run([*words, f"https://127.0.0.1:{daemon.http_port}{path}"])
    return result.returncode, result.stdout


def ffmpeg(daemon, authority, pair):
    words = ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-f", "h264", "-tls_verify", 1]
    words += ["-ca_file", authority.certificate]
    if pair:
        words += ["-cert_file", pair[0], "-key_file", pair[1]]
    words += ["-i", f"tls://127.0.0.1:{daemon.port()}", "-frames:v", 10, "-f", "null", "-"]
    return harness.run(words, 60).returncode


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_raw_tcp_is_for_those_with_a_certificate(camcastd, authority, viewer, wrong, version):
    daemon = camcastd(config(authority))
    assert len(s_client(daemon, authority, viewer, version)) == 30000
    assert not s_client(daemon, authority, None, version)
    assert daemon.feed()["refused"]["not_allowed"] == 1
    for pair in wrong.values():
        assert not s_client(daemon, authority, pair, version)
    assert daemon.feed()["refused"]["not_allowed"] == 1
    assert daemon.status()["tls"]["failed"] == len(wrong)
    daemon.wait_log("the certificate of client 127.0.0.1:.* is refused: certificate has expired")


def test_a_long_chain_is_refused(camcastd, authority, viewer, tmp_path):
    daemon = camcastd(config(authority))
    one = authority.certificate.read_text()
    for behind, lets_in in ((3, True), (60, False)):
        chain = tmp_path / "chain.pem"
        chain.write_text(viewer[0].read_text() + behind * one)
        assert gets_bytes(daemon, authority, (chain, viewer[1])) == lets_in


def test_programs_watch_with_a_certificate(camcastd, authority, viewer, wrong):
    daemon = camcastd(config(authority))
    assert ffmpeg(daemon, authority, viewer) == 0
    assert curl(daemon, authority, viewer, "/j.jpg") == (0, "200")
    assert curl(daemon, authority, viewer, "/status.json") == (0, "200")
    assert curl(daemon, authority, None, "/j.jpg")[1] == "403"
    assert ffmpeg(daemon, authority, None) != 0
    for pair in wrong.values():
        assert ffmpeg(daemon, authority, pair) != 0
        code, status = curl(daemon, authority, pair, "/j.jpg")
        assert code != 0 and status == "000"


def test_a_certificate_opens_rtsp(camcastd, authority, viewer):
    """OpenSSL's client asks, as ffmpeg presents no certificate with rtsps."""
    daemon = camcastd(config(authority))
    asked = (f"DESCRIBE rtsp://127.0.0.1:{daemon.rtsp_port}/s RTSP/1.0\r\nCSeq: 1\r\n\r\n").encode()
    for pair, answer in ((viewer, b"RTSP/1.0 200"), (None, b"RTSP/1.0 403")):
        with clients.Viewer(daemon.rtsp_port, tls=authority.context(pair)) as one:
            one.socket.sendall(asked)
            one.wait_bytes(len(answer))
            assert one.data.startswith(answer), one.data


def test_the_name_in_it_is_that_of_a_user(camcastd, authority, tmp_path):
    """A user needs no password then. As there are users, other names may nothing."""
    users = {
        "user anna": {"may": "view, status"},
        "user guest": {"streams": "j"},
    }
    daemon = camcastd(config(authority, **users))
    pairs = {name: authority.sign_viewer(name) for name in ("anna", "guest", "nobody")}
    seen = {
        name: [bool(s_client(daemon, authority, pair, "tls1_3", daemon.port(feed)))
               for feed in ("s/annexb", "j/length_prefixed")]
        for name, pair in pairs.items()
    }
    assert seen == {"anna": [True, True], "guest": [False, True], "nobody": [False, False]}
    asked = {
        name: [curl(daemon, authority, pair, path)[1]
               for path in ("/j.jpg", "/status.json", "/s/0/init-1.mp4")]
        for name, pair in pairs.items()
    }
    assert asked["anna"][:2] == ["200", "200"] and asked["anna"][2] != "403"
    assert asked["guest"] == ["200", "403", "403"]
    assert asked["nobody"] == ["401", "200", "401"]  # as everybody


def test_addresses_count_for_those_with_a_certificate_too(camcastd, authority, viewer):
    """And an address that `allow` of the stream names needs no certificate; nor does TLS, where
    both are spoken, change who may watch without."""
    daemon = camcastd(config(authority, stream={"allow": "127.0.0.2"}))
    with clients.Viewer(daemon.port(), source="127.0.0.2", tls=authority.context()) as one:
        one.wait_units(2)
    with clients.Viewer(daemon.port(), source="127.0.0.3") as one:
        assert one.wait_closed() and not one.data  # no handshake
    assert daemon.status()["tls"]["handshakes"] == 1
    with clients.Viewer(daemon.port("j/length_prefixed")) as plain:
        assert plain.wait_closed() and not plain.data


def test_authorities_are_exchanged_without_a_restart(camcastd, authority, viewer, tmp_path):
    text = config(authority)
    authorities = tmp_path / "viewers.pem"
    authorities.write_bytes(authority.certificate.read_bytes())
    text["tls"]["client_ca"] = authorities
    daemon = camcastd(text)

    def watches(pair):
        return gets_bytes(daemon, authority, pair)

    with clients.Viewer(daemon.port(), tls=authority.context(viewer)) as before:
        before.wait_units(2)
        other = certificates.Authority(tmp_path / "other")
        new = tmp_path / "new.pem"
        new.write_bytes(other.certificate.read_bytes())
        new.rename(authorities)
        daemon.wait_until(lambda: not watches(viewer), "the old authority is not trusted")
        assert watches(other.sign_viewer("anna"))
        before.wait_units(10)


@pytest.mark.parametrize("program", ["recv", "record", "view"])
def test_camcast_presents_a_certificate(start_camcastd, authority, viewer, wrong, tmp_path,
                                        program, broker):
    text = config(authority)
    text["mqtt"] = {"broker": "127.0.0.1", "port": broker.port, "id": "secure"}
    daemon = start_camcastd(text)
    daemon.wait_log("mqtt: connected")
    url = f"tls://127.0.0.1:{daemon.port()}"
    trust = ["--pin", certificates.fingerprint(text["tls"]["certificate"])]
    own = ["--cert", viewer[0], "--key", viewer[1]]
    if program == "recv":
        output = tmp_path / "received.h264"
        with tool.Tool("recv", url, "-o", output, *trust, *own) as client:
            daemon.wait_until(lambda: output.exists() and output.stat().st_size > 30000, "bytes")
            client.stop()
        units, gaps = bytestream.check_stream(output.read_bytes(), tmp_path)
        assert units and gaps == 0
        pair = wrong["of a stranger"]
        with tool.Tool("recv", url, "-o", output, *trust, "--cert", pair[0], "--key", pair[1]) as c:
            daemon.wait_until(c.stderr, "a reason")
            assert "unknown ca" in c.stderr().lower(), c.stderr()
            c.stop()
        code, _, said = tool.run("recv", url, "-o", output, *trust, "--cert", pair[0], "--key",
                                 "/nonexistent")
        assert code and "--key cannot be used" in said, said
    elif program == "view":
        headless = {"SDL_VIDEODRIVER": "dummy"}
        with tool.Tool("view", "--json", url, *trust, *own, env=headless) as view:
            view.wait_line('"state":"live"')
            assert view.stop() == 0
    else:
        env = {"CAMCAST_PIN": trust[1], "CAMCAST_CERT": str(viewer[0]),
               "CAMCAST_KEY": str(viewer[1])}
        with tool.Tool("record", "secure", "--dir", tmp_path / "recordings", "--segment", "1s",
                       "--json", broker=broker, env=env) as recorder:
            recorder.wait_line(r"\.mp4", timeout=40)
            assert recorder.stop() == 0


@pytest.mark.parametrize("sections, said", [
    ({"tls": {"client_ca": "/x"}}, "client_ca needs certificate in section [tls]"),
    ({"user anna": {"may": "view"}}, "no password, password_file or token_file, and [tls] has no"),
])
def test_mistakes_are_named(tmp_path, sections, said):
    text = harness.pattern_config()
    text.update(sections)
    path = tmp_path / "config.ini"
    path.write_text(harness.config_text(text))
    result = harness.run([harness.BUILD / "camcastd", "--check", "-c", path])
    assert result.returncode == 1 and said in result.stderr, result.stderr
