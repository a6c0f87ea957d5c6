# SPDX-License-Identifier: BSD-2-Clause
"""ZoneMinder without its web pages: a MariaDB of its own in a temporary folder, and zmc, the program
that captures and records one monitor. Needs root, as zmc reads /etc/zm alone: there it finds a folder
that only it sees."""
import pathlib
import subprocess
import tempfile
import time

import harness

SCHEMA = "/usr/share/zoneminder/db/zm_create.sql"
DATABASE = "mariadbd --no-defaults --user=root --skip-networking --innodb-flush-log-at-trx-commit=0".split()
# Words of its web page, and what the page puts into the row of a monitor.
METHODS = {"TCP": "rtpRtsp", "UDP": "rtpUni", "RTP/RTSP/HTTP": "rtpRtspHttp"}
COLOURS = {"8 bit grayscale": 1, "24 bit colour": 3, "32 bit colour": 4}
JPEGS = {"Disabled": 0}
WRITERS = {"Disabled": 0, "Camera Passthrough": 2}


def row(settings):
    """The columns of a monitor with settings of the web page, {label: what is chosen there}."""
    return {
        "Name": settings["Name"],
        "Type": settings["Source Type"],
        "Function": settings["Function"],
        "Path": settings["Source Path"],
        "Method": METHODS[settings["Method"]],
        "Colours": COLOURS[settings["Target colorspace"]],
        "Width": int(settings["Capture Width"]),
        "Height": int(settings["Capture Height"]),
        "SaveJPEGs": JPEGS[settings["Save JPEGs"]],
        "VideoWriter": WRITERS[settings["Video Writer"]],
        "ImageBufferCount": 20,
    }


class ZoneMinder:
    """A context manager. settings: of the only monitor, see row()."""

    def __init__(self, settings):
        self._folder = tempfile.TemporaryDirectory(prefix="camcast-zm-")  # a short path: it has sockets
        self.folder = pathlib.Path(self._folder.name)
        self._processes = []
        try:
            self._start_database()
            self._write_settings(row(settings))
            self.capture = self._start(
                [*harness.with_mount(f"mount --bind {self.folder}/etc /etc/zm"), "zmc", "-m", "1"], "zmc"
            )
        except BaseException:
            self.close()
            raise

    def _start(self, command, name):
        with open(self.folder / f"{name}.log", "wb") as log:
            process = harness.start(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _start_database(self):
        socket = f"--socket={self.folder}/db.sock"
        harness.output_of(
            *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={self.folder}/db"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )
        self._start([*DATABASE, f"--datadir={self.folder}/db", socket], "database")
        self.client = ("mariadb", "--no-defaults", "--user=root", socket)
        deadline = time.monotonic() + 30 * harness.PATIENCE
        while "ready for connections" not in self.log("database"):
            if time.monotonic() > deadline or self._processes[0].poll() is not None:
                raise harness.Failure(f"MariaDB does not start: {self.log('database')[-2000:]}")
            time.sleep(0.05)
        harness.output_of(*self.client, "-e", f"source {SCHEMA}")

    def ask(self, query):
        """The rows of an answer, each a list of texts."""
        answer = harness.output_of(*self.client, "--skip-column-names", "--batch", "zm", "-e", query)
        return [line.split("\t") for line in answer.splitlines()]

    def _write_settings(self, columns):
        values = ", ".join(f"{name} = '{value}'" for name, value in columns.items())
        self.ask(f"INSERT INTO Monitors SET Id = 1, StorageId = 0, {values}")
        folders = {"EVENTS": "events", "EXPORTS": "x", "LOGS": "logs", "SWAP": "x", "SOCKS": "x", "MAP": "map"}
        lines = [f"ZM_DB_HOST=localhost:{self.folder}/db.sock", "ZM_DB_NAME=zm", "ZM_DB_USER=root"]
        for name, place in folders.items():
            (self.folder / place).mkdir(exist_ok=True)
            kind = "DIR" if name in ("EVENTS", "EXPORTS") else "PATH"
            lines.append(f"ZM_{kind}_{name}={self.folder}/{place}")
        (self.folder / "etc/conf.d").mkdir(parents=True)
        (self.folder / "etc/zm.conf").write_text("\n".join(["ZM_DB_PASS=", *lines, ""]))

    def messages(self):
        """What zmc has logged: (level, text)."""
        return self.ask("SELECT Code, Message FROM Logs ORDER BY Id")

    def recordings(self):
        return sorted((self.folder / "events").rglob("*.mp4"))

    def stop(self):
        """As its web page stops it: the recording is finished."""
        self.capture.terminate()
        return self.capture.wait(30 * harness.PATIENCE)

    def close(self):
        for process in self._processes:
            process.kill()
            process.wait()
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
