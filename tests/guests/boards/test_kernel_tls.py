# SPDX-License-Identifier: BSD-2-Clause
"""TLS in the kernel, which the machine that runs the other tests may not have: a unit is one send,
by reference, and arrives whole. `make check-kernel` runs a part; all of it:
E2E=tests/guests/boards/test_kernel_tls.py tests/guests/boards/run.sh amd64."""
import contextlib
import os
import signal
import socket
import ssl
import statistics
import struct
import subprocess

import pytest

import bytestream
import certificates
import clients
import harness

APPLICATION_DATA, RECORD_MAX, PROTECTION_MAX, PAGE = 23, 16384, 256, 4096
# How the kernel's TLS takes the bytes of a send.
REFERENCE, COPY = "sk_msg_zerocopy_from_iter", "sk_msg_memcopy_from_iter"
TLS_1_3, TLS_1_2 = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2


@pytest.fixture(scope="module", name="authority")
def fixture_authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("authority"))


def config(authority, raw="yes", kernel="auto", **stream):
    certificate, key = authority.sign("server")
    text = harness.pattern_config(stream=dict(stream, tls=raw), daemon={"tls": "auto"})
    text["tls"] = {"certificate": certificate, "key": key, "kernel": kernel}
    return text


def client_context(authority, version=TLS_1_3, ciphers=None):
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def encryption(daemon, viewer):
    (client,) = [c for c in daemon.status()["clients"] if c["address"] == viewer.address]
    return client["encryption"]


@contextlib.contextmanager
def counted_calls(folder, *functions):
    """How often these functions of the kernel are called meanwhile, by any process: calls(function).
    Probes belong to the machine, so their names are this process's."""
    trace, group = folder / "tracing", f"case{os.getpid()}"
    trace.mkdir()
    subprocess.run(["mount", "-t", "tracefs", "tracefs", trace], check=True)

    def define(text):
        events = os.open(trace / "kprobe_events", os.O_WRONLY | os.O_APPEND)  # else all others go
        try:
            os.write(events, text.encode() + b"\n")
        finally:
            os.close(events)

    def enable(value):
        (trace / "events" / group / "enable").write_text(value)

    def calls(function):
        lines = (trace / "kprobe_profile").read_text().splitlines()
        return next(int(hits) for name, hits, _ in map(str.split, lines) if name == f"{group}_{function}")

    try:
        for function in functions:
            define(f"p:{group}/{group}_{function} {function}")
        enable("1")
        yield calls
    finally:
        enable("0")
        for function in functions:
            define(f"-:{group}/{group}_{function}")
        subprocess.run(["umount", trace], check=True)


@pytest.mark.parametrize("version, ciphers", [
    (TLS_1_3, None),
    (TLS_1_2, "ECDHE+AESGCM+AES128"),
    (TLS_1_2, "ECDHE+AESGCM+AES256"),
    (TLS_1_2, "ECDHE+CHACHA20"),
], ids=["1.3", "1.2-aes128", "1.2-aes256", "1.2-chacha20"])
def test_a_unit_is_one_send_and_arrives_whole(camcastd, authority, tmp_path, version, ciphers):
    """And are those of a viewer without TLS."""
    daemon = camcastd(config(authority, raw="auto", bitrate=3000000))
    context = client_context(authority, version, ciphers)
    with clients.Viewer(daemon.port()) as plain, \
            clients.Viewer(daemon.port(), tls=context) as secure:
        plain.wait_units(2)
        secure.wait_units(2)
        assert encryption(daemon, secure) == "kernel" and encryption(daemon, plain) == "no"
        assert daemon.status()["tls"]["kernel"] == 1
        expected = plain.close()
        with counted_calls(tmp_path, REFERENCE, COPY) as calls:
            before = daemon.feed()
            secure.wait_units(30)
            after = daemon.feed()
            by_reference, by_copy = calls(REFERENCE), calls(COPY)
        data = secure.close()
    units = after["units"] - before["units"]
    assert by_reference >= units - 2 and by_copy == 0, (by_reference, by_copy, units)
    assert after["sends"] - before["sends"] < 1.2 * units + 2
    assert after["sendfiles"] - before["sendfiles"] < units / 2  # by the plain one, as it left
    # Either may have begun a key picture before the other.
    first, second = (expected, data) if data[:1000] in expected else (data, expected)
    at = first.find(second[:1000])
    common = min(len(first) - at, len(second))
    assert at >= 0 and common > 5000 and first[at:at + common] == second[:common]
    received, gaps = bytestream.check_stream(data, tmp_path)
    assert len(received) >= 30 and gaps == 0


def test_without_the_kernel_camcastd_encrypts(camcastd, authority, tmp_path):
    daemon = camcastd(config(authority, kernel="no"))
    with clients.Viewer(daemon.port(), tls=client_context(authority)) as viewer:
        viewer.wait_units(10)
        assert encryption(daemon, viewer) == "user"
        assert daemon.status()["tls"]["kernel"] == 0
        _, gaps = bytestream.check_stream(viewer.close(), tmp_path)
    assert gaps == 0


def record_lengths(data):
    """Of the records with data in a stream of TLS 1.2."""
    at, lengths = 0, []
    while at + 5 <= len(data):
        kind, _, length = struct.unpack_from(">BHH", data, at)
        if kind == APPLICATION_DATA:
            lengths.append(length)
        at += 5 + length
    return lengths


def test_records_are_as_long_as_they_may_be(camcastd, authority):
    """A unit of several pages is not a record for each page."""
    daemon = camcastd(config(authority, bitrate=12000000))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    received, fed = bytearray(), 0  # all bytes, and how many of them the handshake has seen
    context = client_context(authority, TLS_1_2)
    secure = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    address = ("127.0.0.1", daemon.port())
    with socket.create_connection(address, 20 * harness.PATIENCE) as one:
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                one.sendall(outgoing.read())
                received += one.recv(1 << 16)
                incoming.write(received[fed:])
                fed = len(received)
        one.sendall(outgoing.read())
        while len(received) < 400000:
            received += one.recv(1 << 18)
    lengths = record_lengths(received)
    assert max(lengths) <= RECORD_MAX + PROTECTION_MAX
    assert statistics.median(lengths) > PAGE + PROTECTION_MAX, lengths


def test_a_slow_viewer_sees_no_broken_picture(camcastd, authority, tmp_path):
    text = config(authority, bitrate=2000000, max_lag_ms=1000, shed_lag_ms=600, join_burst_ms=300)
    daemon = camcastd(text)
    context = client_context(authority)
    with clients.Viewer(daemon.port(), tls=context) as fast:
        fast.wait_units(10)
        with clients.Viewer(daemon.port(), rate=20000, receive_buffer=8192, tls=context) as slow:
            daemon.wait_until(
                lambda: any(c["resyncs"] >= 2 for c in daemon.status()["clients"]), "resyncs", 40
            )
            assert encryption(daemon, slow) == "kernel"
            slow.set_rate(None)
            slow.wait_units(20)
            _, gaps = bytestream.check_stream(slow.close(), tmp_path, name="slow")
        assert gaps >= 2
        bytestream.check_stream(fast.close(), tmp_path, name="fast")


def test_a_viewer_outlives_the_worker(camcastd, authority, tmp_path):
    daemon = camcastd(config(authority))
    with clients.Viewer(daemon.port(), tls=client_context(authority)) as viewer:
        viewer.wait_units(5)
        pid = daemon.camera()["pid"]
        os.kill(pid, signal.SIGKILL)
        daemon.wait_until(lambda: daemon.camera()["pid"] not in (None, pid), "another worker", 40)
        viewer.wait_units(10, 40)
        assert encryption(daemon, viewer) == "kernel"
        units, _ = bytestream.check_stream(viewer.close(), tmp_path, restarts=True)
    assert len(units) >= 15


def test_the_end_finishes_the_unit_under_way(camcastd, authority, tmp_path):
    daemon = camcastd(config(authority, bitrate=3000000))
    with clients.Viewer(daemon.port(), tls=client_context(authority)) as viewer:
        viewer.wait_units(5)
        assert encryption(daemon, viewer) == "kernel"
        daemon.stop()
        assert viewer.wait_closed() == "end"
        _, gaps = bytestream.check_stream(viewer.close(), tmp_path)
    assert gaps == 0


@pytest.mark.parametrize("way", ["mp4", "ts"])
def test_https_goes_through_the_kernel_too(camcastd, authority, way):
    daemon = camcastd(config(authority))
    url = f"https://127.0.0.1:{daemon.http_port}/s.{way}"
    result = harness.run(["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-ca_file",
                          authority.certificate, "-tls_verify", 1, "-i", url, "-frames:v", 10,
                          "-c", "copy", "-f", "null", "-"], 60 * harness.PATIENCE)
    assert result.returncode == 0, result.stderr
    assert daemon.status()["tls"]["kernel"] >= 1
