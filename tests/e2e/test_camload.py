# SPDX-License-Identifier: BSD-2-Clause
"""The load generator's verdicts: a good server passes with clients of all kinds, and what is wrong
with a bad one is found."""
import contextlib
import json
import socket
import subprocess
import threading

import bytestream
import clients
import harness


def camload(port, *options):
    result = subprocess.run(
        [str(word) for word in (harness.BUILD / "bench/camload", "--port", port, *options)],
        capture_output=True,
        text=True,
        timeout=60 * harness.PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_clients_of_all_kinds_pass(camcastd):
    policy = {"join_burst_ms": 300, "shed_lag_ms": 500, "max_lag_ms": 1000}
    daemon = camcastd(harness.pattern_config(stream=policy))
    result = camload(
        daemon.port(),
        *("--clients", 20, "--scan", 10, "--decode", 3, "--slow", "3@50000", "--stalled", 3),
        *("--flapping", 3, "--joining", 5, "--seconds", 8, "--pid", daemon.process.pid),
    )
    judged = result["judged"]
    assert judged["gap_ends_not_key"] == judged["begins_not_key"] == judged["malformed"] == 0
    assert judged["decode_errors"] == 0 and judged["pictures"] >= 3 * 8 * 30 * 0.9
    assert judged["gaps"] > 0, "the slow ones lost nothing"
    assert judged["streams"] > 10 + 3 + 30
    assert result["never_served"] == result["ended_by_server"] == result["refused"] == 0
    assert result["latency_last_ms"]["n"] >= 8 * 30 * 0.9
    assert 0 < result["latency_ms"]["p50"] <= result["latency_last_ms"]["max"]
    assert result["first_key_ms"]["n"] >= 5 * 8 * 0.5
    assert result["server"]["us_per_client_unit"] > 0 and result["server"]["rss_kb"] > 0


@contextlib.contextmanager
def player_of(data):
    """A server that sends data to whoever comes, then keeps the connection; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connections.append(connection)
                    connection.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in connections:
            connection.close()


def test_what_is_wrong_is_found(start_camcastd):
    daemon = start_camcastd(harness.pattern_config())
    with clients.Viewer(daemon.port()) as viewer:
        viewer.wait_units(70)
        units, _ = bytestream.split(viewer.close())
    second_key = next(i for i, unit in enumerate(units) if i and unit.key)

    def verdict(chosen):
        with player_of(b"".join(unit.data for unit in chosen)) as port:
            options = ("--clients", 1, "--scan", 1, "--decode", 1, "--seconds", 0.5)
            return camload(port, *options, "--warm-up", 0.2)["judged"]

    def found(chosen):
        judged = verdict(chosen)
        return {
            key
            for key in ("gap_ends_not_key", "begins_not_key", "decode_errors", "malformed")
            if judged[key]
        }

    assert found(units) == set()
    assert found(units[:3] + units[second_key:]) == set()
    assert "begins_not_key" in found(units[1:])
    assert {"gap_ends_not_key", "decode_errors"} <= found(units[:10] + units[12:])
    broken = bytestream.parse_unit(units[10].data[:-30])
    assert found(units[:10] + [broken] + units[11:]) == {"decode_errors"}
