# SPDX-License-Identifier: BSD-2-Clause
"""Makes tables and plots of the results of bench/run.py.

    bench/report.py RESULT.json [FURTHER.json]...    prints the tables
    ... --docs                             writes the tables into docs/BENCHMARKS.md, between the
                                           markers `<!-- bench:NAME -->` and `<!-- end -->`, and
                                           the plots into docs/bench-*.svg

Only the parts for which the files have rows are written. A suite that a further file has measured,
on one network, replaces the same suite of the files before it.
"""
import argparse
import json
import math
import pathlib
import re
import statistics
import textwrap

import plots
from tables import DOUBT_NOTE, Rows, cost_of, in_order, spread, table

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"
REFERENCE = "floor send"
OURS = ["camcastd epoll", "camcastd io_uring"]


def same_work(row):
    return row["suite"], row.get("network")


def merged(results):
    """One result; its `runs` are the files, without the suites that a later file has measured."""
    runs = []
    for place, run in enumerate(results):
        later = {same_work(row) for other in results[place + 1 :] for row in other["rows"]}
        names = {name for _, name in later}
        rows = [row for row in run["rows"] if same_work(row) not in later]
        skipped = [part for part in run["skipped"] if part["what"] not in names]
        runs.append(dict(run, rows=rows, skipped=skipped))
    return dict(runs[0], rows=[row for run in runs for row in run["rows"]], runs=runs)


def bullet(text):
    """An item of a Markdown list, wrapped as the page is."""
    return textwrap.fill(text, 100, initial_indent="- ", subsequent_indent="  ",
                         break_long_words=False, break_on_hyphens=False) + "\n"


def machine(found):
    """The machine of each run; the versions once for all runs that had the same."""
    text, told = "", None
    for run in (run for run in found["runs"] if run["rows"]):
        what = ", ".join(in_order(row.get("network", row["suite"]) for row in run["rows"]))
        line = f"{what}: {one_machine(run)}"
        if run["versions"] != told:
            told = run["versions"]
            names = ", ".join(f"{name} {version}" for name, version in sorted(told.items()))
            line += f" {names}."
        for part in run["skipped"]:
            line += f" Not measured: {part['what']} ({part['why']})."
        text += bullet(line)
    return text.rstrip()


def one_machine(found):
    what = found["machine"]
    parts = [f"{what['cores']} x {what['cpu']}", f"Linux {what['kernel']}"]
    parts += [f"load before {what['load']:.1f}", f"{what['congestion']} on loopback"]
    if what["tcp_mem"]:
        parts.append(f"tcp_mem {' '.join(what['tcp_mem'])}")
    rounds = f"{found['rounds']} rounds" if found["rounds"] > 1 else "1 round"
    if any(row["suite"] in ("cost", "backends", "http", "http-peers", "hls", "mjpeg", "rtsp",
                            "rtsp-udp", "rights", "rtsp-peers", "compare", "most") for row in found["rows"]):
        rounds += f" of {found['seconds']:g} s"
    return f"{', '.join(parts)}; {found['begun']}, {rounds}."


def cost_table(found):
    rows = Rows(found, "cost")
    names = rows.values("server")
    lines = []
    for size in rows.values("size"):
        for clients in in_order(row["clients"] for row in rows.find(size=size)):
            case = {"size": size, "clients": clients}
            line = [size, clients]
            for name in names:
                values = rows.each(cost_of, server=name, **case)
                line.append(spread(values) + rows.mark(server=name, **case))
            line += [spread(rows.ratios(name, REFERENCE, **case)) for name in OURS]
            lines.append(line)
    ratios = [f"{name} / send" for name in OURS]
    return table(["unit, bytes", "clients", *names, *ratios], lines, keys=2) + DOUBT_NOTE


def backends_table(found):
    rows = Rows(found, "backends")
    epoll, uring = OURS
    lines = []
    for size, clients in in_order((row["size"], row["clients"]) for row in rows.all):
        case = {"size": size, "clients": clients}
        each = [dict(case, server=name) for name in OURS]
        times = [spread(rows.each(cost_of, **one)) + rows.mark(**one) for one in each]
        lines.append([size, clients, *times, spread(rows.ratios(uring, epoll, **case))])
    return table(["unit, bytes", "clients", *OURS, "io_uring / epoll"], lines, keys=2) + DOUBT_NOTE


def bytes_of(row):
    return row["result"]["bytes_per_unit"]


WAYS = {"": "raw TCP", "delayed": "raw TCP, delayed ACKs", "rtsp delayed": "rtsp, delayed ACKs"}


def http_table(found, suite="http"):
    """The aim: CPU time / raw at most 1.05 times the ratio of the bytes."""
    rows = Rows(found, suite)
    text = ""
    for backend in OURS:
        lines = []
        for clients in rows.values("clients"):
            for name in rows.values("server"):
                if name != backend and not name.startswith(f"{backend} "):
                    continue
                case, way = {"clients": clients}, name.removeprefix(backend).strip()
                raw = f"{backend} delayed" if way.endswith("delayed") else backend
                size = statistics.median(rows.ratios(name, raw, bytes_of, **case) or [0])
                cpu = rows.ratios(name, raw, **case)
                lines.append(
                    [
                        clients,
                        WAYS.get(way, way),
                        spread(rows.each(cost_of, server=name, **case))
                        + rows.mark(server=name, **case),
                        f"{size:.3f}",
                        spread(cpu),
                        spread(part / size for part in cpu),
                    ]
                )
        head = ["clients", "way", "us", "bytes / raw", "CPU / raw", "CPU / raw / bytes"]
        text += f"**{backend}**\n\n{table(head, lines, keys=2)}\n"
    return text.rstrip() + "\n" + DOUBT_NOTE


def mean_of(logs):
    """The geometric mean of the ratios with these logarithms, and its standard error."""
    error = statistics.stdev(logs) / len(logs) ** 0.5
    mean = statistics.mean(logs)
    return f"{math.exp(mean):.3f} ± {math.exp(mean) * error:.3f}, {len(logs)} pairs"


def rtsp_table(found):
    """One for each network."""
    text, rows = "", Rows(found, "rtsp").all
    for network in in_order(row.get("network", "loopback") for row in rows):
        chosen = [row for row in rows if row.get("network", "loopback") == network]
        name = network[0].upper() + network[1:]
        text += f"*{name}*\n\n{http_table({'rows': chosen}, 'rtsp')}\n"
    return text.rstrip() + "\n"


def rtsp_udp_tables(found):
    rows = Rows(found, "rtsp-udp")
    floors = [f"floor {mode}" for mode in ("send", "sendto", "gso")]
    text = ""
    for network in rows.values("network"):
        here = [row for row in rows.all if row["network"] == network]
        ours = [name for name in in_order(row["server"] for row in here) if name not in floors]
        lines = []
        for size, clients in in_order((row["size"], row["clients"]) for row in here):
            case = {"network": network, "size": size, "clients": clients}
            for name in ours:
                lines.append(
                    [
                        *(size, clients, name.split()[1]),
                        *(
                            spread(rows.each(cost_of, server=one, **case))
                            + rows.mark(server=one, **case)
                            for one in (*floors, name)
                        ),
                        *(spread(rows.ratios(name, floor, **case)) for floor in floors),
                    ]
                )
        head = ["bytes", "clients", "backend", "TCP send()", "sendto()", "UDP_SEGMENT", "camcastd"]
        head += [f"camcastd / {what}" for what in head[3:6]]
        name = network[0].upper() + network[1:]
        text += f"**{name}**\n\n{table(head, lines, keys=3)}\n"
    return text.rstrip() + "\n" + DOUBT_NOTE


def rights_table(found):
    """The last line is of all pairs of a round of which neither is in doubt."""
    rows = Rows(found, "rights")
    lines, logs = [], []
    for name in rows.values("server"):
        if not name.endswith(" users"):
            continue
        without = name.removesuffix(" users")
        for clients in rows.values("clients"):
            case = {"clients": clients}
            both = (
                spread(rows.each(cost_of, server=one, **case)) + rows.mark(server=one, **case)
                for one in (without, name)
            )
            lines.append([without.removeprefix("camcastd "), clients, *both, spread(rows.ratios(name, without, **case))])
            fine = rows.ratios(name, without, doubts=[], **case)
            logs += [math.log(ratio) for ratio in fine]
    if len(logs) > 1:
        lines.append(["all", "", "", "", mean_of(logs)])
    head = ["backend, way", "clients", "no users, us", "users, us", "users / no users"]
    return table(head, lines, keys=2) + DOUBT_NOTE


def tls_table(found):
    """A ratio is of two figures of the same round."""
    rows = Rows(found, "tls")
    text = ""
    for backend in OURS:
        lines = []
        ours, proxy = f"{backend} tls", "nginx proxy TLS"
        names = {  # in the columns, without those that were not measured
            backend: "plain",
            ours: "TLS",
            f"{ours} without AES": "without AES",
            f"{ours} in the kernel": "in the kernel",
            "nginx TLS": "nginx",
            "nginx TLS in the kernel": "nginx in the kernel",
            proxy: "nginx proxy",
        }
        kinds = [name for name in names if name in rows.values("server")]
        for size in rows.values("size"):
            for clients in rows.values("clients"):
                case = {"size": size, "clients": clients}
                lines.append(
                    [
                        size,
                        clients,
                        *(
                            spread(rows.each(cost_of, server=name, **case))
                            + rows.mark(server=name, **case)
                            for name in kinds
                        ),
                        *(
                            spread(rows.ratios(name, backend, **case))
                            for name in kinds
                            if name.startswith(ours)
                        ),
                        *(
                            spread(rows.ratios(ours, name, **case))
                            for name in kinds
                            if name.startswith("nginx")
                        ),
                        spread(rows.differences(ours, backend, cost_of, **case)),
                        spread(rows.differences(proxy, "nginx proxy", cost_of, **case)),
                    ]
                )
        head = ["bytes", "clients", *(names[name] for name in kinds)]
        head += [f"{names[name]} / plain" for name in kinds if name.startswith(ours)]
        head += [f"TLS / {names[name]}" for name in kinds if name.startswith("nginx")]
        head += ["TLS adds", "TLS adds to the proxy"]
        text += f"**{backend}**\n\n{table(head, lines, keys=2)}\n"
    return text.rstrip() + "\n" + DOUBT_NOTE


def http_peers_table(found):
    rows = Rows(found, "http-peers")
    ours = [name for name in rows.values("server") if name.startswith("camcastd")]
    peers = [name for name in rows.values("server") if name not in ours]
    lines = []
    for clients in rows.values("clients"):
        for name in rows.values("server"):
            case = {"clients": clients}
            times = rows.each(lambda row: latency(row, "p50"), server=name, **case)
            cost = spread(rows.each(cost_of, server=name, **case))
            line = [clients, name, cost + rows.mark(server=name, **case), spread(times, 1)]
            if name in ours:
                line += [spread(rows.ratios(name, peer, **case)) for peer in peers]
            lines.append(line + [""] * (4 + len(peers) - len(line)))
    head = ["clients", "server", "us per client and unit", "capture to client, ms, p50"]
    return table([*head, *(f"CPU / {peer}" for peer in peers)], lines, keys=2) + DOUBT_NOTE


def hls_table(found):
    rows = Rows(found, "hls")
    lines = []
    for name in rows.values("server"):
        chosen = [row["result"] for row in rows.find(server=name)]
        if not chosen:
            continue

        def middle(get, digits):
            # pylint: disable-next=cell-var-from-loop
            return spread(map(get, chosen), digits)

        players = [result["hls"] for result in chosen if result["hls"]["objects"]]
        requests = [
            (part["objects"] + part["playlists"]) / result["seconds"]
            for part, result in zip(players, chosen)
        ]
        ways = ("answer_ms", "p50"), ("answer_ms", "p99"), ("shown_ms", "p50")
        lines.append(
            [
                name + rows.mark(server=name),
                middle(lambda result: result["server"]["cpu_percent"], 1),
                middle(lambda result: result["server"]["us_per_client_unit"], 2),
                middle(lambda result: result["healthy"]["latency_ms"]["p50"], 0),
                f"{statistics.median(requests):.0f}" if players else "",
                *(spread((part[what][key] for part in players), 0) for what, key in ways),
                max(part["late"] for part in players) if players else "",
                max(part["failed"] + part["lost"] for part in players) if players else "",
            ]
        )
    head = ["server", "% of a core", "us per client and unit", "capture to client, ms, p50"]
    head += ["requests a second", "request to object, ms, p50", "p99", "capture to shown, ms, p50"]
    return table([*head, "late objects", "failed or lost"], lines) + DOUBT_NOTE


def mjpeg_table(found):
    rows = Rows(found, "mjpeg")
    names = rows.values("server")
    others = [name for name in names if name not in OURS and not name.startswith("camcastd")]
    ours = [name for name in names if name not in others]
    lines = []
    for clients in rows.values("clients"):
        line = [clients]
        for name in names:
            one = {"server": name, "clients": clients}
            line.append(spread(rows.each(cost_of, **one)) + rows.mark(**one))
        for name in ours:
            line += [spread(rows.ratios(name, other, clients=clients)) for other in others]
        lines.append(line)
    ratios = [f"{name} / {other}" for name in ours for other in others]
    return table(["clients", *names, *ratios], lines) + DOUBT_NOTE


def rtsp_viewers_table(rows):
    ours = [name for name in rows.values("server") if name.startswith("camcastd")]
    others = [name for name in rows.values("server") if name not in ours]
    lines = []
    for clients in in_order(row["clients"] for row in rows.find(part="viewers")):
        for name in rows.values("server"):
            case = {"part": "viewers", "clients": clients, "server": name}
            found = [row["result"] for row in rows.find(**case)]
            if not found:
                continue
            grown = (one["server"]["rss_kb"] - one["server"]["rss_idle_kb"] for one in found)
            kernel = (one["tcp_memory"]["server_kb"] for one in found)
            case.pop("server")
            lines.append(
                [
                    clients,
                    name,
                    spread(rows.each(cost_of, server=name, **case))
                    + rows.mark(server=name, **case),
                    *(spread(rows.ratios(name, other, **case)) for other in others if name in ours),
                    *([""] * len(others) if name in others else []),
                    spread((one["healthy"]["latency_ms"]["p50"] for one in found), 1),
                    spread((one["healthy"]["latency_ms"]["p99"] for one in found), 1),
                    spread((kb / 1024 for kb in grown), 1),
                    spread((kb / 1024 for kb in kernel), 1),
                    max(one["connections"]["still_waiting"] for one in found),
                ]
            )
    head = ["clients", "server", "us per client and unit", *(f"CPU / {name}" for name in others)]
    head += ["capture to client, ms, p50", "p99", "memory beyond idle, MB", "kernel TCP, MB"]
    return table([*head, "clients without a picture"], lines, keys=2)


def rtsp_joins_table(rows):
    lines = []
    for name in rows.values("server"):
        found = [row["result"] for row in rows.find(part="joins", server=name)]
        times = [one["first_key_ms"] for one in found]
        line = [name, min((part["n"] for part in times), default="not possible")]
        line += [spread((part[key] for part in times), 1) for key in ("p50", "p99", "max")]
        line.append(max((one["connections"]["still_waiting"] for one in found), default=""))
        lines.append([*line, max((one["joining"]["begins_not_key"] for one in found), default="")])
    head = ["server", "joins", "first picture, ms, p50", "p99", "max", "without one at the end"]
    return table([*head, "begun at another picture"], lines)


def rtsp_peers_tables(found):
    rows = Rows(found, "rtsp-peers")
    lines = [
        company_line(rows, name, {"server": name}, key="part") for name in rows.values("server")
    ]
    parts = {
        "viewers": rtsp_viewers_table(rows),
        "newcomers": rtsp_joins_table(rows),
        "20 fast viewers, alone and with 12 slow, stalled and flapping ones": table(
            COMPANY_HEAD, lines
        ),
    }
    return "\n".join(f"**{name}**\n\n{text}" for name, text in parts.items()) + DOUBT_NOTE


def by_clients(rows, kind, cell):
    """A table with a line for each number of clients and a column for each server."""
    names = rows.values("server")
    lines = []
    for clients in in_order(row["clients"] for row in rows.all if row.get("footage") == kind):
        case = {"footage": kind, "clients": clients}
        lines.append([clients, *(cell(dict(case, server=name)) for name in names)])
    return table(["clients", *names], lines)


def latency(row, key):
    return row["result"]["healthy"]["latency_ms"][key]


def compare_tables(found):
    rows = Rows(found, "compare")
    text = ""
    for kind in rows.values("footage"):
        text += f"\n**{kind}: us of server CPU per client and unit**\n\n"
        text += by_clients(
            rows, kind, lambda case: spread(rows.each(cost_of, **case)) + rows.mark(**case)
        )
        for name in OURS:
            text += f"\n**{kind}: {name}'s CPU, ratio to each of the others in the same round**\n\n"
            text += by_clients(
                rows,
                kind,
                # pylint: disable-next=cell-var-from-loop
                lambda case: spread(
                    rows.ratios(name, case["server"], **{k: case[k] for k in ("footage", "clients")})
                ),
            )
        text += f"\n**{kind}: capture to client, ms: p50 / p99**\n\n"

        def times(case):
            middle = [rows.each(lambda row: latency(row, key), **case) for key in ("p50", "p99")]
            return " / ".join(f"{statistics.median(part):.1f}" for part in middle if part)

        text += by_clients(rows, kind, times)
        floor = f"{kind}: ms later than {REFERENCE} in the same round, p50 / p99"
        text += f"\n**{floor}**\n\n"

        def later(case):
            each = {key: case[key] for key in ("footage", "clients")}
            parts = [
                # pylint: disable-next=cell-var-from-loop
                rows.differences(case["server"], REFERENCE, lambda row: latency(row, key), **each)
                for key in ("p50", "p99")
            ]
            return " / ".join(f"{statistics.median(part):+.1f}" for part in parts if part)

        text += by_clients(rows, kind, later)
        text += f"\n**{kind}: memory of the server / kernel TCP memory it is charged for, MB**\n\n"

        def sizes(case):
            process = rows.each(lambda row: row["result"]["server"]["rss_kb"], **case)
            kernel = rows.each(lambda row: row["result"]["tcp_memory"]["server_kb"], **case)
            return " / ".join(
                f"{statistics.median(part) / 1024:.1f}" for part in (process, kernel) if part
            )

        text += by_clients(rows, kind, sizes)
        text += f"\n**{kind}: clients never served / with less than the others**\n\n"

        def losses(case):
            unserved = rows.each(lambda row: row["result"]["connections"]["still_waiting"], **case)
            short = rows.each(lambda row: row["result"]["short_clients"], **case)
            return " / ".join(f"{max(part):.0f}" for part in (unserved, short) if part)

        text += by_clients(rows, kind, losses)
    return text.lstrip() + DOUBT_NOTE


def most_table(found):
    rows = Rows(found, "most")

    def cell(case):
        short = rows.each(lambda row: row["result"]["short_clients"], **case)
        missed = rows.each(lambda row: row["result"]["healthy"]["missed"], **case)
        percent = rows.each(lambda row: row["result"]["server"]["cpu_percent"], **case)
        if not short:
            return "not possible"
        text = f"{statistics.median(percent):.0f} % of a core"
        if max(short) or max(missed):
            text += f", {max(short)} clients short, {max(missed)} units missed by 5"
        return text + rows.mark(**case)

    return by_clients(rows, "720p", cell) + DOUBT_NOTE


def storm_table(found):
    rows = Rows(found, "storm")
    lines = []
    for name in rows.values("server"):
        chosen = [row["result"] for row in rows.find(server=name)]
        if not chosen:
            continue
        lines.append(
            [
                name,
                max(one["connections"]["still_waiting"] for one in chosen),
                sum(one["healthy"]["begins_not_key"] for one in chosen),
                *(
                    spread((one["first_key_ms"][key] for one in chosen), 1)
                    for key in ("p50", "p99", "max")
                ),
            ]
        )
    head = ["server", "without a key unit", "begun at another unit"]
    return table([*head, *(f"first key unit, ms: {key}" for key in ("p50", "p99", "max"))], lines)


def slow_line(quiet, bad):
    """The worst round, and the median of latencies."""
    results = [row["result"] for row in bad]
    parts = [(result["healthy"], *result["slow"]) for result in results]

    def worst(get):
        return max(map(get, results))

    def lag(key):
        return worst(lambda result: result["slow"][0]["latency_ms"][key]) / 1e3

    def of_each(get):
        return " / ".join(str(max(map(get, column))) for column in zip(*parts))

    def grown(what, start, end):
        return f"{worst(lambda r: r[what][start]) / 1024:.1f} → {worst(lambda r: r[what][end]) / 1024:.1f}"

    return [
        worst(lambda result: result["healthy"]["missed"]),
        quiet,
        spread((latency(row, "p99") for row in bad), 1),
        f"{lag('mean'):.1f} / {lag('max'):.1f}",
        worst(lambda result: result["slow"][0]["missed"]),
        of_each(lambda part: part["gap_ends_not_key"] + part["begins_not_key"]),
        of_each(lambda part: part["decode_errors"]),
        worst(
            lambda result: result["connections"]["ended_by_server"]
            + result["connections"]["reset_by_server"]
        ),
        grown("server", "rss_start_kb", "rss_kb"),
        grown("tcp_memory", "server_start_kb", "server_kb"),
    ]


COMPANY_HEAD = ["server", "fast: missed", "p99 alone, ms", "p99 in company, ms"]
COMPANY_HEAD += ["half rate: lag mean / max, s", "half rate: missed"]
COMPANY_HEAD += [
    f"{what}: fast / half / 2 KB/s" for what in ("wrong starts and gaps", "decode errors")
]
COMPANY_HEAD += ["disconnected", "memory, MB", "kernel TCP, MB"]


def company_line(rows, name, case, key="company"):
    """A server's line below COMPANY_HEAD."""
    alone, bad = rows.find(**case, **{key: "alone"}), rows.find(**case, **{key: "bad"})
    # Clients that never read are disconnected: that is expected, and has a column.
    doubtful = sum(row["doubts"] not in ([], ["clients lost"]) for row in alone + bad)
    mark = f" †{doubtful}" if doubtful else ""
    quiet = spread((latency(row, "p99") for row in alone), 1)
    if name.startswith("floor") and alone:
        return [name + mark, "", quiet] + [""] * 8
    if alone and bad:
        return [name + mark, *slow_line(quiet, bad)]
    return [name, "not possible"] + [""] * 9


def slow_tables(found):
    rows = Rows(found, "slow")
    text = ""
    for network in rows.values("network"):
        names = in_order(row["server"] for row in rows.all if row["network"] == network)
        lines = [company_line(rows, name, {"server": name, "network": network}) for name in names]
        text += f"\n**{network}**\n\n{table(COMPANY_HEAD, lines)}"
    return text.lstrip() + DOUBT_NOTE


def memory_table(found):
    lines = []
    for row in Rows(found, "memory").good:
        result = row["result"]
        server, kernel = result["server"], result["tcp_memory"]
        lines.append(
            [
                row["server"],
                f"{result['connections']['joins']:.0f}",
                *(f"{server[key] / 1024:.2f}" for key in ("rss_idle_kb", "rss_start_kb", "rss_kb")),
                *(f"{kernel[key] / 1024:.1f}" for key in ("server_start_kb", "server_kb")),
                result["connections"]["reset_by_server"],
            ]
        )
    head = ["server", "newcomers", "memory idle, MB", "memory with 220 clients, MB"]
    head += ["memory after, MB", "kernel TCP with 220 clients, MB", "kernel TCP after, MB"]
    return table([*head, "stalled clients reset"], lines)


def camera_table(found):
    lines = []
    for row in Rows(found, "camera").good:
        last = row["result"]["latency_last_ms"]
        keys = ("p50", "p90", "p99", "p99.9", "max")
        healthy = row["result"]["healthy"]
        lines.append(
            [row["server"], *(f"{last[key]:.1f}" for key in keys), healthy["units"], healthy["missed"]]
        )
    return table(["", "p50", "p90", "p99", "p99.9", "max", "units judged", "missed"], lines)


def profile_table(found):
    lines = []
    for row in Rows(found, "profile").good:
        parts = {"kernel": 0, "program": 0, "libraries": 0}
        for name, percent in row.get("profile", {}).items():
            program = name in ("floor", "camcastd")
            parts["kernel" if name.startswith("[") else "program" if program else "libraries"] += (
                percent
            )
        lines.append([row["server"], row["clients"], *(f"{part:.1f}" for part in parts.values())])
    return table(["server", "clients", "kernel, %", "its own code, %", "libraries, %"], lines, keys=2)


PARTS = {
    "cost": cost_table,
    "backends": backends_table,
    "http": http_table,
    "tls": tls_table,
    "http-peers": http_peers_table,
    "hls": hls_table,
    "mjpeg": mjpeg_table,
    "rtsp": rtsp_table,
    "rtsp-udp": rtsp_udp_tables,
    "rtsp-peers": rtsp_peers_tables,
    "rights": rights_table,
    "compare": compare_tables,
    "most": most_table,
    "storm": storm_table,
    "slow": slow_tables,
    "memory": memory_table,
    "camera": camera_table,
    "profile": profile_table,
}


# --- plots ---


def points(rows, server, get, **case):
    """The median and the range of the rounds for each number of clients."""
    found = []
    for clients in in_order(row["clients"] for row in rows.find(**case)):
        values = rows.each(get, server=server, clients=clients, **case)
        if values and min(values) > 0:
            found.append((clients, statistics.median(values), min(values), max(values)))
    return found


def all_memory(row):
    result = row["result"]
    return (result["server"]["rss_kb"] + result["tcp_memory"]["server_kb"]) / 1024


PLOTS = {
    "cpu": ("us of server CPU per client and unit", cost_of),
    "p50": ("capture to client, ms, p50", lambda row: latency(row, "p50")),
    "p99": ("capture to client, ms, p99", lambda row: latency(row, "p99")),
    "memory": ("server and its kernel TCP memory, MB", all_memory),
}


def plot(rows, output, title, label, get, **case):
    lines = [
        (number, name, name.startswith("camcastd"), points(rows, name, get, **case))
        for number, name in enumerate(rows.values("server"))
    ]
    plots.draw(output, title, label, lines)
    return f"![{title}]({output.name})\n"


def compare_plots(found, docs):
    """Makes the plots, and returns their lines for the page."""
    rows = Rows(found, "compare")
    text = ""
    for kind in rows.values("footage"):
        for what, (label, get) in PLOTS.items():
            output = docs / f"bench-{what}-{kind}.svg"
            text += plot(rows, output, f"{kind}: {label}", label, get, footage=kind)
    return text


def rtsp_plots(found, docs):
    rows = Rows(found, "rtsp-peers")
    text = ""
    for what, (label, get) in PLOTS.items():
        output = docs / f"bench-rtsp-{what}.svg"
        text += plot(rows, output, f"RTSP: {label}", label, get, part="viewers")
    return text


PLOTTED = {"compare": compare_plots, "rtsp-peers": rtsp_plots}


def put(text, name, content):
    """The text with new content between the markers of name."""
    pattern = re.compile(rf"(<!-- bench:{name} -->\n).*?(<!-- end -->)", re.DOTALL)
    changed, n = pattern.subn(lambda match: match[1] + content.rstrip() + "\n" + match[2], text)
    if n != 1:
        raise SystemExit(f"docs/BENCHMARKS.md has {n} places for bench:{name}")
    return changed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=pathlib.Path, nargs="+", metavar="RESULT.json")
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--folder", type=pathlib.Path, default=DOCS, help="the folder of BENCHMARKS.md")
    options = parser.parse_args()
    found = merged([json.loads(path.read_text(encoding="utf-8")) for path in options.results])
    parts = {name: make(found) for name, make in PARTS.items() if Rows(found, name)}
    parts = {"machine": machine(found), **parts}
    if not options.docs:
        for name, text in parts.items():
            print(f"\n## {name}\n\n{text}")
        return
    page = options.folder / "BENCHMARKS.md"
    text = page.read_text(encoding="utf-8")
    for name in PLOTTED.keys() & parts.keys():
        parts[name] = PLOTTED[name](found, options.folder) + "\n" + parts[name]
    for name, content in parts.items():
        text = put(text, name, content)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
