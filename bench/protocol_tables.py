# SPDX-License-Identifier: BSD-2-Clause
"""The tables of the suites that are about one protocol: HTTP, TLS, HLS, MJPEG, RTSP, and what users
cost in each."""
import math
import statistics

from crowd_tables import COMPANY_HEAD, company_line
from tables import DOUBT_NOTE, OURS, Rows, cost_of, in_order, latency, spread, table


def bytes_of(row):
    return row["result"]["bytes_per_unit"]


def http_table(found):
    """The aim: CPU time / raw at most 1.05 times the ratio of the bytes."""
    rows = Rows(found, "http")
    text = ""
    for backend in OURS:
        lines = []
        for clients in rows.values("clients"):
            for name in rows.values("server"):
                if name != backend and not name.startswith(f"{backend} "):
                    continue
                case, way = {"clients": clients}, name.removeprefix(backend).strip()
                size = statistics.median(rows.ratios(name, backend, bytes_of, **case) or [0])
                cpu = rows.ratios(name, backend, **case)
                lines.append(
                    [
                        clients,
                        way or "raw TCP",
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
    """One for each network. The aim is that of http_table(). The last line of each kind of ACKs is
    of all its pairs of a round of which neither is in doubt."""
    rows = Rows(found, "rtsp")
    text = ""
    for network in rows.values("network"):
        lines = []
        for acks in ("quick", "delayed", "auto"):
            logs = []
            for backend in OURS:
                raw, rtsp = f"{backend} {acks}", f"{backend} rtsp {acks}"
                for clients in rows.values("clients"):
                    case = {"network": network, "clients": clients}
                    size = statistics.median(rows.ratios(rtsp, raw, bytes_of, **case) or [0])
                    if not size:
                        continue
                    both = (
                        spread(rows.each(cost_of, server=one, **case))
                        + rows.mark(server=one, **case)
                        for one in (raw, rtsp)
                    )
                    cpu = [part / size for part in rows.ratios(rtsp, raw, **case)]
                    name = backend.removeprefix("camcastd ")
                    lines.append([acks, name, clients, *both, f"{size:.3f}", spread(cpu)])
                    fine = rows.ratios(rtsp, raw, doubts=[], **case)
                    logs += [math.log(ratio / size) for ratio in fine]
            if len(logs) > 1:
                lines.append([acks, "all", "", "", "", "", mean_of(logs)])
        head = ["ACKs", "backend", "clients", "raw TCP, us", "rtsp, us", "bytes / raw"]
        name = network[0].upper() + network[1:]
        text += f"**{name}**\n\n{table([*head, 'CPU / raw / bytes'], lines, keys=3)}\n"
    return text.rstrip() + "\n" + DOUBT_NOTE


def rtsp_udp_tables(found):
    rows = Rows(found, "rtsp-udp")
    floors = [f"floor {mode}" for mode in ("send", "sendto", "gso")]
    text = ""
    for network, receivers in in_order((row["network"], row["receivers"]) for row in rows.all):
        where = {"network": network, "receivers": receivers}
        here = in_order((row["size"], row["clients"], row["server"]) for row in rows.find(**where))
        lines = []
        for size, clients, name in here:
            case = dict(where, size=size, clients=clients)
            if name in floors:
                continue
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
        lines.sort(key=lambda line: line[:2])
        head = ["bytes", "clients", "backend", "TCP send()", "sendto()", "UDP_SEGMENT", "camcastd"]
        head += [f"camcastd / {what}" for what in head[3:6]]
        name = network[0].upper() + network[1:]
        if receivers == "--gro":
            name += ", receivers with UDP_GRO"
            head, *lines = ([*line[:4], *line[5:8], line[9]] for line in (head, *lines))
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
        ours, proxy, inside = f"{backend} tls", "nginx proxy TLS", " in the kernel"
        names = {  # in the columns, without those that were not measured
            backend: "plain",
            ours: "TLS",
            f"{ours} without AES": "without AES",
            f"{ours}{inside}": "kernel",
        }
        for peer in ("nginx TLS", "nginx TLS by units", proxy):
            names[peer] = peer.replace(" TLS", "")
            names[peer + inside] = f"{names[peer]}, kernel"
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
                            spread(rows.ratios(ours + inside * name.endswith(inside), name, **case))
                            for name in kinds
                            if name.startswith("nginx")
                        ),
                        spread(rows.differences(ours, backend, cost_of, **case)),
                        spread(rows.differences(proxy, "nginx proxy", cost_of, **case)),
                    ]
                )
        head = ["bytes", "clients", *(names[name] for name in kinds)]
        head += [f"{names[name]} / plain" for name in kinds if name.startswith(ours)]
        head += [
            f"{'kernel' if name.endswith(inside) else 'TLS'} / {names[name]}"
            for name in kinds
            if name.startswith("nginx")
        ]
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


def rtsp_viewers_table(rows, tcp=True):
    """tcp: of interest is also what the kernel keeps for TCP."""
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
                    *([spread((kb / 1024 for kb in kernel), 1)] if tcp else []),
                    max(one["connections"]["still_waiting"] for one in found),
                ]
            )
    head = ["clients", "server", "us per client and unit", *(f"CPU / {name}" for name in others)]
    head += ["capture to client, ms, p50", "p99", "memory beyond idle, MB"]
    head += ["kernel TCP, MB"] if tcp else []
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
    return titled(parts)


def rtsp_udp_peers_tables(found):
    rows = Rows(found, "rtsp-udp-peers")
    viewers = rtsp_viewers_table(rows, tcp=False)
    return titled({"viewers": viewers, "newcomers": rtsp_joins_table(rows)})


def titled(parts):
    return "\n".join(f"**{name}**\n\n{text}" for name, text in parts.items()) + DOUBT_NOTE
