# SPDX-License-Identifier: BSD-2-Clause
"""The tables of the suites that compare servers and backends by their crowds of viewers: many, new,
slow and stalled ones."""
import statistics

from tables import DOUBT_NOTE, OURS, Rows, cost_of, in_order, latency, spread, table

REFERENCE = "floor send"


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


def by_clients(rows, kind, cell):
    """A table with a line for each number of clients and a column for each server."""
    names = rows.values("server")
    lines = []
    for clients in in_order(row["clients"] for row in rows.all if row.get("footage") == kind):
        case = {"footage": kind, "clients": clients}
        lines.append([clients, *(cell(dict(case, server=name)) for name in names)])
    return table(["clients", *names], lines)


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
