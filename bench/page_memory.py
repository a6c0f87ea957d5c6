# SPDX-License-Identifier: BSD-2-Clause
"""What the processes of a browser take: memory, descriptors, and the queues of its sockets."""
import contextlib
import gzip
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

# Of nsMemoryInfoDumper in Firefox: a report of all its processes is written; before the second, all
# memory that can be given back is given back.
REPORT, REPORT_AFTER_CLEANING = signal.SIGRTMIN, signal.SIGRTMIN + 1
KINDS = {"chromium": b"--type=renderer", "firefox": b" tab"}  # of processes that run pages
JAVASCRIPT = ("js-main-runtime/", "js-main-runtime-gc-buffers/")


def tree(pid):
    """The process and its descendants."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


def pss(pid):
    """Resident bytes of a process; of pages that it shares, its share."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return 0


def descriptors(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += len(os.listdir(f"/proc/{pid}/fd"))
    return total


def page_process(name, pids):
    """The process of the page: the largest one that runs pages."""
    def runs_pages(pid):
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").strip()
        except OSError:
            return False
        return KINDS[name] in words if name == "chromium" else words.endswith(KINDS[name])

    return max(filter(runs_pages, pids), key=pss)


def firefox_javascript(pids, page, clean):
    """Bytes of JavaScript in the process of the page, as Firefox itself says."""
    main = next(pid for pid in pids if os.readlink(f"/proc/{pid}/exe").endswith("/firefox-esr"))
    folder = pathlib.Path(tempfile.gettempdir())
    pattern = f"unified-memory-report-*-{main}.json.gz"
    before = set(folder.glob(pattern))
    os.kill(main, REPORT_AFTER_CLEANING if clean else REPORT)
    deadline = time.monotonic() + 60
    while not (new := set(folder.glob(pattern)) - before):
        if time.monotonic() > deadline:
            return None
        time.sleep(0.2)
    path = new.pop()
    with gzip.open(path) as file:
        reports = json.load(file)["reports"]
    path.unlink()
    return sum(one["amount"] for one in reports if f"(pid {page})" in one["process"]
               and one["path"].startswith(JAVASCRIPT))


def queued(port):
    """Bytes that wait in the sockets of both ends of the connections to a port."""
    lines = subprocess.run(
        ["ss", "-tnH", f"( sport = :{port} or dport = :{port} )"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()
    return sum(int(word) for line in lines for word in line.split()[1:3])
