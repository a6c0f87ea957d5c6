# SPDX-License-Identifier: BSD-2-Clause
"""Finding and viewing: how soon a server is on the list, how long a list of many servers takes, how
a flood of requests affects the video, and what eight servers in one window cost. Prints the tables
of "Finding and viewing" in docs/BENCHMARKS.md.

    /usr/bin/python3 bench/clients.py [list] [appear] [flood] [view] [--servers 8] [--seconds 60]

The machine plays all parts: broker, servers, clients. Wants to be quiet.
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e/lib"))
# pylint: disable=wrong-import-position
import broker as mqtt
import built
import bytestream
import clients
import harness
import tool

CAMCAST = harness.BUILD / "camcast"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Lines:
    """The lines that a program prints, each with the time at which it came."""

    def __init__(self, *command, env=None):
        self.lines = []  # (monotonic s, text)
        self._changed = threading.Condition()
        self.process = harness.start(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self.lines.append((time.monotonic(), line))
                self._changed.notify_all()

    def wait(self, predicate, after=0, timeout=30):
        """(time, number of the next line) of the first line for which predicate is true."""
        found = []

        def look():
            for number, (when, line) in enumerate(self.lines[after:], after + 1):
                if predicate(line):
                    found[:] = [when, number]
                    return True
            return False

        with self._changed:
            if not self._changed.wait_for(look, timeout):
                raise RuntimeError(f"{self.process.args}: not said within {timeout} s")
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)


def milliseconds(values):
    ordered = sorted(1000 * value for value in values)
    return f"{statistics.median(ordered):.0f} ({ordered[0]:.0f}-{ordered[-1]:.0f})"


def measure_list(options, folder):
    """Times camcast discover, from its start to its end, and --watch, to the last server."""
    with mqtt.Broker(folder) as broker:
        with mqtt.Client(broker) as client:
            for number in range(options.announced):
                streams = [tool.stream_info(name) for name in ("front-h264", "side-h264")]
                tool.announce(client, f"simulated-{number:03}", streams=streams)
        address = f"127.0.0.1:{broker.port}"
        whole, watched = [], []
        for _ in range(options.tries):
            begun = time.monotonic()
            listed = subprocess.run(
                [CAMCAST, "discover", "--json", "--broker", address],
                capture_output=True,
                check=True,
            )
            whole.append(time.monotonic() - begun)
            assert len(json.loads(listed.stdout)) == options.announced
            begun = time.monotonic()
            with Lines(CAMCAST, "discover", "--watch", "--json", "--broker", address) as watch:
                last, _ = watch.wait(lambda line: len(watch.lines) >= options.announced)
            watched.append(last - begun)
    print(f"\n{options.announced} announced servers, ms from the start of the program:\n")
    print("| | median (lowest-highest) |\n|---|---|")
    print(f"| `camcast discover`, to its end | {milliseconds(whole)} |")
    print(f"| `camcast discover --watch`, to the last one's line | {milliseconds(watched)} |")


def measure_appear(options, folder):
    """Times the line of discover --watch after a server's MQTT connection and after its SIGKILL."""
    config = harness.pattern_config(camera={"size": "320x180", "framerate": 15})
    appeared, left = [], []
    with mqtt.Broker(folder) as broker:
        config["mqtt"] = {"broker": "127.0.0.1", "port": broker.port, "id": "bench"}
        address = f"127.0.0.1:{broker.port}"
        with Lines(CAMCAST, "discover", "--watch", "--json", "--broker", address) as watch:
            told = 0
            broker.wait_log("Sending SUBACK")
            for _ in range(options.tries):
                position = broker.log_position()
                daemon = harness.Camcastd(config, folder)
                connected = broker.wait_time(r"New client connected .* as camcast-bench", position)
                when, told = watch.wait(lambda line: '"appeared"' in line, told)
                appeared.append(when - connected)
                killed = time.monotonic()
                daemon.kill()
                when, told = watch.wait(lambda line: '"left"' in line, told)
                left.append(when - killed)
    print(f"\nms to the line of `camcast discover --watch --json`, {options.tries} times:\n")
    print("| | median (lowest-highest) |\n|---|---|")
    print(f"| from the server's MQTT connection: appeared | {milliseconds(appeared)} |")
    print(f"| from its SIGKILL: left | {milliseconds(left)} |")


@contextlib.contextmanager
def requests(broker, rate):
    """Sends requests at a rate a second, in a hundred parts."""
    with harness.start(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "commend", "-l"],
        stdin=subprocess.PIPE,
    ) as publisher:
        stop = threading.Event()

        def feed():
            due = time.monotonic()
            while not stop.wait(max(0, due - time.monotonic())):
                publisher.stdin.write(b"flood/reply\n" * (rate // 100))
                publisher.stdin.flush()
                due += 0.01

        thread = threading.Thread(target=feed)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            publisher.kill()


def watch_units(daemon, seconds):
    """The ages of units when they reach a viewer, in ms; the CPU of the loop thread and of the
    other threads, in % of a core; the requests that were received and answered a second."""

    def threads():
        folder = pathlib.Path(f"/proc/{daemon.process.pid}/task")
        pid = daemon.process.pid
        times = {int(task.name): cpu_s(f"{pid}/task/{task.name}") for task in folder.iterdir()}
        loop = times.pop(daemon.process.pid)
        return [loop, sum(times.values())]

    def counts():
        mqtt_status = daemon.status()["mqtt"]
        return [mqtt_status["requests"], mqtt_status["replies"]]

    with clients.Viewer(daemon.port()) as viewer:
        viewer.wait_units(30)
        before = [*threads(), *counts()]
        begun, first = time.monotonic(), viewer.arrivals[-1][0]
        time.sleep(seconds)
        elapsed = time.monotonic() - begun
        figures = [(b - a) / elapsed for a, b in zip(before, [*threads(), *counts()])]
        units, _ = bytestream.split(viewer.close())
        arrivals, position, end, ages = viewer.arrivals, 0, 0, []
        for unit in units:
            end += len(unit.data)
            while arrivals[position][1] < end:
                position += 1
            if arrivals[position][0] >= first:
                ages.append((arrivals[position][0] - unit.monotonic_us) / 1000)
    lost = sum(b.seq - a.seq - 1 for a, b in bytestream.gaps(units))
    return sorted(ages), lost, [100 * figures[0], 100 * figures[1], *figures[2:]]


def measure_flood(options, folder):
    """A viewer's latency, in turns without and with a flood of requests."""
    rows = []
    with mqtt.Broker(folder) as broker:
        config = harness.pattern_config()
        config["mqtt"] = {"broker": "127.0.0.1", "port": broker.port, "id": "bench"}
        with harness.Camcastd(config, folder) as daemon:
            for _ in range(2):
                rows.append(("no requests", *watch_units(daemon, options.flood_seconds)))
                with requests(broker, options.flood):
                    rows.append(("flood", *watch_units(daemon, options.flood_seconds)))
    print("\nCapture to viewer, ms, 640x360 at 30 pictures a second, and camcastd's CPU:\n")
    print("| | p50 | p99 | max | units | lost | loop thread, % of a core |", end="")
    print(" discovery thread, % | requests/s | answers/s |\n|---|---|---|---|---|---|---|---|---|---|")
    for name, ages, lost, (loop, other, heard, answered) in rows:
        p50, p99 = (ages[int(len(ages) * part)] for part in (0.5, 0.99))
        print(f"| {name} | {p50:.1f} | {p99:.1f} | {ages[-1]:.1f} | {len(ages)} | {lost} |", end="")
        print(f" {loop:.2f} | {other:.1f} | {heard:.0f} | {answered:.0f} |")


def make_recording(options, folder):
    """A moving picture, so that the servers need not encode."""
    path = folder / "recording.h264"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi"]
    command += ["-i", f"testsrc2=size={options.size}:rate={options.rate}", "-t", "20"]
    command += ["-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency"]
    command += ["-b:v", "2M", "-maxrate", "2M", "-bufsize", "500k", "-g", str(options.rate)]
    subprocess.run([*command, "-bf", "0", path], check=True)
    return path


def server_config(options, number, recording, broker):
    return {
        "daemon": {"name": f"camera {number + 1}", "http": "127.0.0.1:0"},
        "mqtt": {"broker": "127.0.0.1", "port": broker.port, "id": f"camera{number + 1}"},
        "camera cam": {
            "source": f"file:{recording}",
            "size": options.size,
            "framerate": options.rate,
        },
        "stream s": {"camera": "cam", "codec": "h264", "encoder": "copy", "annexb": "127.0.0.1:0"},
    }


def cpu_s(pid):
    """CPU seconds of a process, all its threads, or of one ("PID/task/TID")."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


@contextlib.contextmanager
def screen():
    """Starts an X server, and yields its DISPLAY."""
    read, write = os.pipe()
    with os.fdopen(read) as number:
        server = harness.start(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "1920x1080x24", "-nolisten", "tcp"],
            pass_fds=[write],
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        display = f":{number.readline().strip()}"
    try:
        yield display, server.pid
    finally:
        server.terminate()
        server.wait()


def view_for(options, broker, daemons):
    """Returns the report of the viewer for each second, and the CPU seconds of each part."""
    with screen() as (display, x_pid):
        env = dict(os.environ, DISPLAY=display)
        address = f"127.0.0.1:{broker.port}"
        view = ["view", "--all", "--json", "--size", options.window, "--broker", address]
        with Lines(CAMCAST, *view, env=env) as viewer:

            def all_play(line):
                tiles = json.loads(line)["tiles"]
                playing = [tile for tile in tiles if tile["fps"] > 0]
                return len(playing) == len(daemons)

            _, begin = viewer.wait(all_play)
            # The next second is the first whole one.
            viewer.wait(lambda line: True, begin + 1)
            tiles = json.loads(viewer.lines[begin + 1][1])["tiles"]
            parts = {
                "viewer: children (receive, decode)": [tile["pid"] for tile in tiles],
                "servers and their workers": [
                    pid for daemon in daemons for pid in harness.processes_with(daemon.marker)
                ],
                "Xvfb": [x_pid],
            }
            before = {name: sum(map(cpu_s, pids)) for name, pids in parts.items()}
            begun = time.monotonic()
            viewer.wait(lambda line: True, begin + 2 + options.seconds, options.seconds + 60)
            elapsed = time.monotonic() - begun
            used = {
                name: 100 * (sum(map(cpu_s, pids)) - before[name]) / elapsed
                for name, pids in parts.items()
            }
        reports = [json.loads(line) for _, line in viewer.lines[begin + 2 :]]
    return reports[: options.seconds], used


def measure_view(options, folder):
    recording = make_recording(options, folder)
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(mqtt.Broker(folder))
        daemons = [
            stack.enter_context(
                harness.Camcastd(server_config(options, number, recording, broker), folder)
            )
            for number in range(options.servers)
        ]
        reports, used = view_for(options, broker, daemons)
    rates = {}
    for report in reports:
        for tile in report["tiles"]:
            rates.setdefault(tile["name"], []).append(tile["fps"])
    print(f"\n{options.servers} servers, {options.size}, {options.rate} pictures a second; window", end="")
    print(f" of {options.window}, {len(reports)} s, load {os.getloadavg()[0]:.1f}:\n")
    print("| tile | pictures a second: mean | lowest second |\n|---|---|---|")
    for name in sorted(rates):
        print(f"| {name} | {statistics.mean(rates[name]):.2f} | {min(rates[name]):.1f} |")
    print("\n| part | % of a core: mean | highest second |\n|---|---|---|")
    for part in ("manager", "upload", "present"):
        values = [report["cpu_percent"][part] for report in reports]
        print(f"| viewer: {part} | {statistics.mean(values):.1f} | {max(values):.1f} |")
    for name, value in used.items():
        print(f"| {name} | {value:.1f} | |")


def main():
    measures = {
        "list": measure_list,
        "appear": measure_appear,
        "flood": measure_flood,
        "view": measure_view,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=[[], *measures], help="default: all")
    parser.add_argument("--announced", type=int, default=200)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--flood", type=int, default=10000, help="requests a second")
    parser.add_argument("--flood-seconds", type=int, default=15)
    parser.add_argument("--servers", type=int, default=8)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--rate", type=int, default=30)
    parser.add_argument("--window", default="1280x720")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    built.need(harness.BUILD, "camcast", "camcastd", "camcast-capture")
    with tempfile.TemporaryDirectory() as folder:
        for what in options.what or measures:
            measures[what](options, pathlib.Path(folder))


if __name__ == "__main__":
    main()
