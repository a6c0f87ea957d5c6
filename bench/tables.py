# SPDX-License-Identifier: BSD-2-Clause
"""What the tables of bench/report.py are made of: rows of results, figures with their spread, and
Markdown that fits into the page."""
import statistics

WIDTH = 100  # of a line of the page
OURS = ["camcastd epoll", "camcastd io_uring"]


def spread(values, digits=2):
    """The median, and the range in brackets."""
    values = list(values)
    if not values:
        return ""
    text = f"{statistics.median(values):.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f}-{max(values):.{digits}f})"
    return text


def table_line(cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def table(head, lines, keys=1):
    """A table, or several one below the other if it is wider than the page. Each has the first
    `keys` columns, which say what a line is about, and a share of the others."""
    rows = [head, ["---"] * len(head), *lines]
    others = len(head) - keys
    for count in range(1, others + 1):
        ends = [keys + others * part // count for part in range(count + 1)]
        parts = [
            [table_line([*row[:keys], *row[begin:end]]) for row in rows]
            for begin, end in zip(ends, ends[1:])
        ]
        if max(len(line) for part in parts for line in part) <= WIDTH:
            break
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def in_order(values):
    return list(dict.fromkeys(values))


def cost_of(row):
    return row["result"]["server"]["us_per_client_unit"]


def latency(row, key):
    return row["result"]["healthy"]["latency_ms"][key]


class Rows:
    """The rows of one suite."""

    def __init__(self, found, suite):
        self.all = [row for row in found["rows"] if row["suite"] == suite]
        self.good = [row for row in self.all if "result" in row]

    def __bool__(self):
        return bool(self.all)

    def values(self, key):
        return in_order(row[key] for row in self.all)

    def find(self, **wanted):
        return [
            row for row in self.good if all(row.get(key) == wanted[key] for key in wanted)
        ]

    def each(self, get, **wanted):
        return [get(row) for row in self.find(**wanted)]

    def ratios(self, server, to, get=cost_of, **wanted):
        """Ratios of two figures of the same round."""
        base = {row["round"]: get(row) for row in self.find(server=to, **wanted)}
        return [
            get(row) / base[row["round"]]
            for row in self.find(server=server, **wanted)
            if base.get(row["round"])
        ]

    def differences(self, server, to, get, **wanted):
        """Differences of two figures of the same round."""
        base = {row["round"]: get(row) for row in self.find(server=to, **wanted)}
        return [
            get(row) - base[row["round"]]
            for row in self.find(server=server, **wanted)
            if row["round"] in base
        ]

    def mark(self, **wanted):
        """The number of rounds that are in doubt, as a mark."""
        rows = self.find(**wanted)
        doubtful = sum(bool(row["doubts"]) for row in rows)
        return f" †{doubtful}" if doubtful else ""


DOUBT_NOTE = (
    "\n†n: in n of the rounds units were missing, clients were lost, or the generator was short of "
    "time.\n"
)
