# SPDX-License-Identifier: BSD-2-Clause
"""The load generator's verdicts: a good server passes with clients of all kinds, and what is wrong
with a bad one is found."""
import contextlib
import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import termios
import threading

import pytest

import bytestream
import certificates
import clients
import harness

pytestmark = pytest.mark.one_backend

CAMLOAD = harness.BUILD / "bench/camload"
WRONG = ("gap_ends_not_key", "begins_not_key", "malformed", "decode_errors")
WRONG_RTSP = ("torn_units", "ssrc_changes", "refused", "info_ahead")


def run(*options, status=0):
    result = subprocess.run(
        [str(word) for word in (CAMLOAD, *options)],
        capture_output=True,
        text=True,
        timeout=60 * harness.PATIENCE,
        check=False,
    )
    assert result.returncode == status, result.stderr
    return result


def camload(target, *options):
    return json.loads(run(target, *options, "--json", "-").stdout)


def test_clients_of_all_kinds_pass_over_tls(camcastd, tmp_path):
    certificate, key = certificates.Authority(tmp_path).sign("server")
    policy = {"join_burst_ms": 300, "shed_lag_ms": 500, "max_lag_ms": 1000, "tls": "yes"}
    config = harness.pattern_config(stream=policy, daemon={"tls": "auto"})
    config["tls"] = {"certificate": certificate, "key": key}
    daemon = camcastd(config)
    for target in (
        f"tls://127.0.0.1:{daemon.port()}",
        f"https://127.0.0.1:{daemon.http_port}/s.mp4",
    ):
        result = camload(
            target,
            *("--clients", 20, "--scan", 10, "--decode", 2, "--slow", "2@50000", "--stalled", 2),
            *("--flapping", 2, "--joining", 3, "--duration", 3, "--connect-rate", 100),
        )
        healthy = result["healthy"]
        for group in (healthy, *result["slow"], result["flapping"], result["joining"]):
            assert not any(group[key] for key in WRONG), group
        assert healthy["streams"] == 20 and result["joining"]["streams"] > 3
        assert healthy["units"] > 10 * 3 * 30 * 0.5
        connections = result["connections"]
        assert not connections["reset_by_server"] and not connections["never_served"], connections


def test_clients_of_all_kinds_pass(camcastd):
    policy = {"join_burst_ms": 300, "shed_lag_ms": 500, "max_lag_ms": 1000}
    seconds = 4
    daemon = camcastd(harness.pattern_config(stream=policy))
    result = camload(
        f"127.0.0.1:{daemon.port()}",
        *("--clients", 20, "--scan", 10, "--decode", 2, "--slow", "3@50000", "--slow", "1@70000"),
        *("--stalled", 3, "--flapping", 3, "--joining", 5, "--duration", seconds),
        *("--pid", daemon.process.pid),
    )
    healthy, slow = result["healthy"], result["slow"]
    pictures = result["deliveries"] / 20  # those of the camera, fewer on a busy machine
    assert seconds * 30 * 0.5 < pictures < seconds * 30 * 1.15
    for group in (healthy, *slow, result["flapping"], result["joining"]):
        assert not any(group[key] for key in WRONG), group
    # Each stream is judged until its first key unit, scanned ones to the end.
    assert healthy["streams"] == 20 and result["joining"]["streams"] > 5 * seconds * 0.5
    assert healthy["pictures"] >= 2 * pictures * 0.9
    assert healthy["latency_ms"]["n"] >= 10 * pictures * 0.8  # each from its first key unit on
    assert [group["clients"] for group in slow] == [3, 1]
    assert slow[0]["resyncs"] > 0 and slow[0]["missed"] > 0, "the slow ones lost nothing"
    assert slow[0]["pictures"] > 0
    assert slow[0]["latency_ms"]["max"] > healthy["latency_ms"]["p50"] > 0
    assert result["latency_last_ms"]["n"] >= pictures * 0.9
    assert result["first_key_ms"]["n"] >= 20 + 5 * seconds * 0.5
    lost = result["connections"]
    assert not any(lost[key] for key in ("never_served", "ended_by_server", "refused", "gave_up"))
    assert lost["joins"] == pytest.approx(5 * seconds, abs=1) and lost["flaps"] > 0
    server = result["server"]
    assert server["us_per_client_unit"] > 0 and server["rss_kb"] > 0 and server["waits"] > 0
    # Of the whole machine, where others come and go.
    assert result["tcp_memory"].keys() >= {"idle_kb", "start_kb", "end_kb", "server_kb"}
    assert result["environment"]["seed"] == 1 and result["environment"]["cores"] >= 1


@pytest.mark.parametrize("acks", ["quick", "delayed"])
def test_viewers_of_rtsp_are_judged(camcastd, acks):
    policy = {"join_burst_ms": 300, "shed_lag_ms": 500, "max_lag_ms": 1000}
    config = harness.pattern_config(stream=policy)
    config["daemon"]["rtsp"] = "127.0.0.1:0"
    daemon = camcastd(config)
    result = camload(
        f"rtsp://127.0.0.1:{daemon.rtsp_port}/s",
        *("--clients", 40, "--scan", 10, "--decode", 2, "--slow", "2@50000", "--stalled", 2),
        *("--flapping", 3, "--joining", 5, "--acks", acks, "--duration", 3),
    )
    healthy, players = result["healthy"], result["rtsp"]
    for group in (healthy, *result["slow"], result["flapping"], result["joining"]):
        assert not any(group[key] for key in WRONG), group
    assert not any(players[key] for key in WRONG_RTSP), players
    assert healthy["streams"] >= 40 and healthy["missed"] == 0
    pictures = result["deliveries"] / 40  # those of the camera, fewer on a busy machine
    assert healthy["latency_ms"]["n"] >= 10 * pictures * 0.5
    assert healthy["pictures"] >= 2 * pictures * 0.5
    assert players["packets"] > healthy["units"] and players["reports"] >= 40
    assert result["slow"][0]["resyncs"] > 0 and players["gaps"] > 0, "the slow ones lost nothing"
    lost = result["connections"]
    assert not any(lost[key] for key in ("never_served", "ended_by_server", "refused", "gave_up"))
    assert lost["joins"] > 0 and lost["flaps"] > 0


def test_viewers_over_udp_are_judged(camcastd):
    config = harness.pattern_config()
    config["daemon"]["rtsp"] = "127.0.0.1:0"
    daemon = camcastd(config)
    result = camload(
        f"rtsp://127.0.0.1:{daemon.rtsp_port}/s",
        *("--transport", "udp", "--clients", 40, "--scan", 10, "--decode", 2),
        *("--flapping", 3, "--joining", 5, "--duration", 3),
    )
    healthy, players, lost = result["healthy"], result["rtsp"], result["connections"]
    assert healthy["streams"] >= 40 and result["joining"]["streams"] > 0
    pictures = result["deliveries"] / 40  # those of the camera, fewer on a busy machine
    assert healthy["latency_ms"]["n"] >= 10 * pictures * 0.5
    assert healthy["pictures"] >= 2 * pictures * 0.5
    assert players["packets"] > healthy["units"] and players["reports"] >= 10
    assert not any(lost[key] for key in ("never_served", "ended_by_server", "refused", "gave_up"))
    assert lost["joins"] > 0 and lost["flaps"] > 0
    assert not any(players[key] for key in ("ssrc_changes", "refused", "info_ahead")), players
    # Each datagram that was not read in time is one that the kernel counts, at least.
    if players["unread_datagrams"] == 0:
        assert players["lost_packets"] == players["torn_units"] == healthy["missed"] == 0, players
        for group in (healthy, result["flapping"], result["joining"]):
            assert not any(group[key] for key in WRONG), group
    # On the wire RTP has heads, but no frames: 2,000,000 bit/s at most.
    assert 0 < result["bytes_per_unit"] < 2 * 2_000_000 / 8 / 30


@pytest.mark.parametrize("way", ["--gro", "--discard"])
def test_datagrams_that_are_not_cut_up_count_as_those_that_are(way, camcastd):
    config = harness.pattern_config()
    config["daemon"]["rtsp"] = "127.0.0.1:0"
    daemon = camcastd(config)
    result = camload(
        f"rtsp://127.0.0.1:{daemon.rtsp_port}/s",
        *("--transport", "udp", way, "--clients", 20, "--scan", 2, "--duration", 2),
    )
    healthy, players = result["healthy"], result["rtsp"]
    assert healthy["streams"] == 20 and result["short_clients"] == 0
    # With --discard the units of two stand for those of all.
    assert result["deliveries"] == pytest.approx(20 * 2 * result["units_per_second"], rel=0.2)
    assert result["units_per_second"] > 10 and players["ssrc_changes"] == 0
    if way == "--gro":
        assert players["packets"] > healthy["units"]
    assert not any(
        result["connections"][key] for key in ("never_served", "ended_by_server", "gave_up")
    )


def test_lengths_are_understood(start_camcastd):
    stream = {"codec": "mjpeg", "quality": 50, "sei": False}
    config = harness.pattern_config(stream=stream, framing="length_prefixed")
    del config["stream s"]["bitrate"]
    daemon = start_camcastd(config)
    port = daemon.port("s/length_prefixed")
    result = camload(
        f"127.0.0.1:{port}",
        *("--framing", "length", "--clients", 3, "--scan", 3, "--decode", 1, "--duration", 1),
    )
    healthy = result["healthy"]
    assert not any(healthy[key] for key in WRONG)
    assert healthy["units"] >= 3 * 20 and healthy["pictures"] >= 20


@contextlib.contextmanager
def player_of(data, first=b""):
    """A server that reads `first`, sends data to the client that connects, then keeps the
    connection; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connections.append(connection)
                    asked = b""
                    while first not in asked:
                        asked += connection.recv(4096)
                    connection.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in connections:
            connection.close()


SHORT = ("--clients", 1, "--scan", 1, "--decode", 1, "--duration", 0.5, "--warm-up", 0.2)


def test_what_is_wrong_is_found(start_camcastd):
    daemon = start_camcastd(harness.pattern_config())
    with clients.Viewer(daemon.port()) as viewer:
        viewer.wait_units(70)
        units, _ = bytestream.split(viewer.close())
    second_key = next(i for i, unit in enumerate(units) if i and unit.key)

    def verdict(chosen):
        with player_of(b"".join(unit.data for unit in chosen)) as port:
            return camload(f"127.0.0.1:{port}", *SHORT)["healthy"]

    def found(chosen):
        judged = verdict(chosen)
        return {key for key in WRONG if judged[key]}

    assert found(units) == set()
    assert found(units[:3] + units[second_key:]) == set()
    assert verdict(units[:3] + units[second_key:])["missed"] == second_key - 3
    assert "begins_not_key" in found(units[1:])
    assert {"gap_ends_not_key", "decode_errors"} <= found(units[:10] + units[12:])
    broken = bytestream.parse_unit(units[10].data[:-30])
    assert found(units[:10] + [broken] + units[11:]) == {"decode_errors"}


def test_http_is_asked_for_and_a_refusal_is_told(start_camcastd):
    daemon = start_camcastd(harness.pattern_config())
    with clients.Viewer(daemon.port()) as viewer:
        viewer.wait_units(10)
        stream = viewer.close()
    answer = b"HTTP/1.0 200 OK\r\nContent-Type: video/h264\r\n\r\n"
    with player_of(answer + stream, b"GET /live/s HTTP/1.0\r\n") as port:
        judged = camload(f"http://127.0.0.1:{port}/live/s", *SHORT)["healthy"]
    assert judged["units"] >= 9 and not any(judged[key] for key in WRONG)
    with player_of(b"HTTP/1.0 404 Not Found\r\n\r\n", b"\r\n\r\n") as port:
        result = camload(f"http://127.0.0.1:{port}/live/s", *SHORT)
    assert result["connections"]["gave_up"] == 1 and result["healthy"]["units"] == 0


SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track\r\n"
RTSP_HEADERS = (
    b"",
    b"Content-Length: %d\r\n" % len(SDP),
    b"Session: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n",
    b"",
)


def rtsp_answers():
    for number, headers in enumerate(RTSP_HEADERS, 1):
        yield b"RTSP/1.0 200 OK\r\nCSeq: %d\r\n%s\r\n" % (number, headers)
        if number == 2:
            yield SDP


def rtp_packets(units, ssrc=7):
    """(number of the unit, packet with its `$` head), a NAL unit each or fragments of 1,000 bytes."""
    seq = 0
    for number, unit in enumerate(units):
        nals = [nal for nal in re.split(rb"\x00?\x00\x00\x01", unit.data) if nal]
        parts = []
        for nal in nals:
            if len(nal) < 1000:
                parts.append(nal)
                continue
            cut = [nal[at : at + 1000] for at in range(1, len(nal), 1000)]
            for place, data in enumerate(cut):
                flags = (place == 0) << 7 | (place == len(cut) - 1) << 6
                parts.append(bytes([nal[0] & 0xE0 | 28, flags | nal[0] & 31]) + data)
        for place, part in enumerate(parts):
            kind = (place == len(parts) - 1) << 7 | 96
            head = struct.pack(">BBHII", 0x80, kind, seq & 0xFFFF, number * 3000, ssrc)
            yield number, struct.pack(">BBH", 36, 0, len(head + part)) + head + part
            seq += 1


def test_rtsp_is_asked_for_and_what_is_wrong_is_told(start_camcastd):
    daemon = start_camcastd(harness.pattern_config())
    with clients.Viewer(daemon.port()) as viewer:
        viewer.wait_units(40)
        units, _ = bytestream.split(viewer.close())
    packets = list(rtp_packets(units))
    largest = max(range(1, len(units)), key=lambda number: len(units[number].data))
    torn = [place for place, (number, _) in enumerate(packets) if number == largest][-2]

    def judged(chosen):
        data = b"".join([*rtsp_answers(), *(packet for _, packet in chosen)])
        with player_of(data, b"OPTIONS rtsp://127.0.0.1:") as port:
            return camload(f"rtsp://127.0.0.1:{port}/s", *SHORT)

    good = judged(packets)
    assert good["healthy"]["units"] == len(units)
    assert good["rtsp"]["packets"] == len(packets)
    assert not any(good["healthy"][key] for key in WRONG), good["healthy"]
    assert not any(good["rtsp"][key] for key in (*WRONG_RTSP, "gaps")), good["rtsp"]
    lossy = judged(packets[:torn] + packets[torn + 1 :])
    assert lossy["rtsp"]["torn_units"] == lossy["rtsp"]["lost_packets"] == 1
    assert lossy["healthy"]["missed"] == 1
    other = judged(packets + list(rtp_packets(units, ssrc=8)))
    assert other["rtsp"]["ssrc_changes"] == 1
    with player_of(b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n", b"\r\n\r\n") as port:
        result = camload(f"rtsp://127.0.0.1:{port}/s", *SHORT)
    assert result["rtsp"]["refused"] == result["connections"]["gave_up"] == 1
    assert result["healthy"]["units"] == 0


@pytest.mark.parametrize("way", ["h264", "mp4", "ts", "ws"])
def test_every_way_over_http_is_judged(camcastd, way):
    daemon = camcastd(harness.pattern_config())
    target = f"http://127.0.0.1:{daemon.http_port}/s.{way}"
    crowd = ("--clients", 40, "--scan", 10, "--decode", 2)
    result = camload(target, *crowd, "--duration", 1)
    healthy = result["healthy"]
    assert healthy["streams"] == 40 and not any(healthy[key] for key in WRONG)
    # A busy machine codes two or three pictures in this second.
    assert healthy["missed"] == 0 and healthy["latency_ms"]["n"] >= 10
    assert healthy["pictures"] >= 2
    assert not any(result["connections"].values()), result["connections"]


def test_parts_of_mjpeg_are_judged(camcastd):
    daemon = camcastd(harness.pattern_config())
    target = f"http://127.0.0.1:{daemon.http_port}/s.mjpg"
    result = camload(target, "--clients", 10, "--scan", 3, "--decode", 1, "--duration", 1)
    healthy = result["healthy"]
    assert healthy["streams"] == 10 and healthy["units"] >= 3 * 30 * 0.2
    assert healthy["pictures"] >= 30 * 0.2 and not any(healthy[key] for key in WRONG)


@pytest.mark.parametrize("framing", ["hls", "hls-plain"])
def test_players_of_hls_keep_time(camcastd, framing):
    daemon = camcastd(harness.pattern_config(stream={"keyframe_interval": 30}))
    result = camload(
        f"http://127.0.0.1:{daemon.http_port}/s.m3u8",
        *("--framing", framing, "--clients", 20, "--scan", 5, "--decode", 1),
        *("--warm-up", 5, "--duration", 3),
    )
    healthy, players = result["healthy"], result["hls"]
    assert not any(healthy[key] for key in WRONG) and healthy["missed"] == 0
    assert healthy["pictures"] >= 3 * 30 * 0.2
    assert players["failed"] == players["lost"] == 0
    # Parts of 200 ms, or segments of a second.
    assert players["objects"] >= 20 * 3 * (5 if framing == "hls" else 1) * 0.5
    assert players["answer_ms"]["n"] == players["objects"]
    assert 0 < players["shown_ms"]["p50"] < (2500 if framing == "hls" else 6000)
    assert not any(result["connections"].values()), result["connections"]


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = camload(f"127.0.0.1:{port}", *SHORT, "--connect-rate", 100)
    assert result["connections"]["refused"] == 1
    assert result["deliveries"] == 0


@pytest.mark.parametrize(
    "words, said",
    [
        (["--clients", "3"], "give one server"),
        (["127.0.0.1:80", "--clients", "three"], "--clients three: this value is not allowed"),
        (["127.0.0.1:80", "--slow", "3"], "--slow 3: this value is not allowed"),
        (["127.0.0.1:80", "--framing", "mp5"], '--framing mp5: "camload --help" lists'),
        (["127.0.0.1:80", "--framing", "ws"], "--framing ws: "),
        (["127.0.0.1:80", "--duration", "0"], "--duration 0: this value is not allowed"),
        (["127.0.0.1"], "127.0.0.1: use HOST:PORT"),
        (["rtmp://127.0.0.1:80"], "rtmp://127.0.0.1:80: use HOST:PORT"),
        (["127.0.0.1:80", "--acks", "late"], "--acks late: this value is not allowed"),
        (["rtsp://127.0.0.1:80"], "rtsp://127.0.0.1:80: use HOST:PORT"),
        (["rtsp://127.0.0.1:80/s", "--framing", "ts"], "--framing ts: "),
        (["rtsp://127.0.0.1:80/s", "--transport", "sctp"], "--transport sctp: this value"),
        (["127.0.0.1:80", "--transport", "udp"], "need an rtsp:// URL"),
        (["rtsps://127.0.0.1:80/s", "--transport", "udp"], "need an rtsp:// URL"),
        (["rtsp://127.0.0.1:80/s", "--discard"], "--gro and --discard need --transport"),
        (
            ["rtsp://127.0.0.1:80/s", "--transport", "udp", "--stalled", "1"],
            "no --slow and --stalled",
        ),
    ],
)
def test_what_is_not_understood_is_named(words, said):
    assert said in run(*words, status=2).stderr


def test_people_get_a_table_and_on_a_terminal_one_line_of_progress(start_camcastd, tmp_path):
    daemon = start_camcastd(harness.pattern_config())
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 200, 0, 0))
    seen = []

    def read():
        with contextlib.suppress(OSError):
            while data := os.read(leader, 4096):
                seen.append(data)

    process = subprocess.Popen(
        [
            *(CAMLOAD, f"127.0.0.1:{daemon.port()}", "--clients", "5", "--duration", "1"),
            *("--pid", str(daemon.process.pid), "--json", tmp_path / "result.json"),
        ],
        stdout=subprocess.PIPE,
        stderr=follower,
        text=True,
    )
    os.close(follower)
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    table, _ = process.communicate(timeout=30 * harness.PATIENCE)
    reader.join(10)
    os.close(leader)
    assert process.returncode == 0
    progress = b"".join(seen).decode()
    assert "\n" not in progress and "5 connected" in progress
    for line in (r"healthy +5 streams", r"server +[\d.]+ us per client and unit", "generator"):
        assert re.search(line, table), table
    assert json.loads((tmp_path / "result.json").read_text())["clients"]["healthy"] == 5


MACHINE = {"cores": 2, "load": 0.1, "congestion": "cubic", "tcp_mem": []}


def row(server, number, cost):
    result = {"server": {"us_per_client_unit": cost}}
    case = {"suite": "cost", "size": 8000, "clients": 100}
    return dict(case, server=server, round=number, result=result, doubts=[])


def test_a_report_compares_within_rounds_and_leaves_other_parts_alone(tmp_path):
    found = {
        "machine": dict(MACHINE, cpu="X", kernel="6.1", tcp_mem=["1", "2"]),
        "versions": {"icecast2": "2.4"},
        "begun": "today",
        "rounds": 2,
        "seconds": 1,
        "skipped": [],
        # The machine was half as fast in the second round: the ratio does not mind.
        "rows": [
            *(row("floor send", 0, 4), row("camcastd epoll", 0, 3)),
            *(row("camcastd epoll", 1, 6), row("floor send", 1, 8)),
        ],
    }
    (tmp_path / "result.json").write_text(json.dumps(found))
    page = "a\n<!-- bench:machine -->\nold\n<!-- end -->\nb\n<!-- bench:cost -->\nold\n"
    page += "<!-- end -->\n<!-- bench:storm -->\nolder\n<!-- end -->\n"
    (tmp_path / "BENCHMARKS.md").write_text(page)
    report = ["/usr/bin/python3", "-B", harness.ROOT / "bench/report.py", tmp_path / "result.json"]
    subprocess.run([*report, "--docs", "--folder", tmp_path], check=True)
    text = (tmp_path / "BENCHMARKS.md").read_text()
    assert "| 8000 | 100 | 6.00 (4.00-8.00) | 4.50 (3.00-6.00) |" in text
    assert "| 8000 | 100 | 0.75 (0.75-0.75) |" in text
    assert "2 x X, Linux 6.1" in text and "\nold\n" not in text
    assert text.endswith("<!-- bench:storm -->\nolder\n<!-- end -->\n")
    printed = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    assert "0.75 (0.75-0.75)" in printed and "storm" not in printed


def test_what_another_machine_measured_takes_the_place_of_its_own_part_only(tmp_path):
    # Of this network the first machine has a row, of the other one only an excuse.
    times = {"versions": {}, "begun": "today", "rounds": 1, "seconds": 1}
    far = {"suite": "slow", "server": "none", "round": 0, "company": "bad", "failed": "why"}
    here, there = dict(MACHINE, cpu="X", kernel="6.1"), dict(MACHINE, cpu="Y", kernel="6.12")
    first = {
        **times,
        "machine": here,
        "skipped": [{"what": "80 ms", "why": "no netem"}, {"what": "vlc", "why": "not installed"}],
        "rows": [row("floor send", 0, 4), dict(far, network="20 ms", server="old")],
    }
    second = {
        **times,
        "machine": there,
        "skipped": [],
        "rows": [dict(far, network="20 ms", server="new"), dict(far, network="80 ms")],
    }
    paths = [tmp_path / "first.json", tmp_path / "second.json"]
    for path, found in zip(paths, (first, second)):
        path.write_text(json.dumps(found))
    report = ["/usr/bin/python3", "-B", harness.ROOT / "bench/report.py", *paths]
    printed = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    assert "- cost: 2 x X, Linux 6.1," in printed
    assert "- 20 ms, 80 ms: 2 x Y, Linux 6.12," in printed
    assert "| 8000 | 100 |" in printed
    assert "new | not possible" in printed and "old" not in printed
    assert "not installed" in printed and "no netem" not in printed
