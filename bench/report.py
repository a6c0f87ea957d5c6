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
import pathlib
import re
import statistics
import textwrap

import crowd_tables as crowds
import plots
import protocol_tables as protocols
from tables import Rows, cost_of, in_order, latency

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"


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
                            "rtsp-udp", "rights", "rtsp-peers", "rtsp-udp-peers", "compare", "most")
           for row in found["rows"]):
        rounds += f" of {found['seconds']:g} s"
    return f"{', '.join(parts)}; {found['begun']}, {rounds}."


PARTS = {
    "cost": crowds.cost_table,
    "backends": crowds.backends_table,
    "http": protocols.http_table,
    "tls": protocols.tls_table,
    "http-peers": protocols.http_peers_table,
    "hls": protocols.hls_table,
    "mjpeg": protocols.mjpeg_table,
    "rtsp": protocols.rtsp_table,
    "rtsp-udp": protocols.rtsp_udp_tables,
    "rtsp-peers": protocols.rtsp_peers_tables,
    "rtsp-udp-peers": protocols.rtsp_udp_peers_tables,
    "rights": protocols.rights_table,
    "compare": crowds.compare_tables,
    "most": crowds.most_table,
    "storm": crowds.storm_table,
    "slow": crowds.slow_tables,
    "memory": crowds.memory_table,
    "camera": crowds.camera_table,
    "profile": crowds.profile_table,
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
