# SPDX-License-Identifier: BSD-2-Clause
"""motion, the surveillance program, as people set it up for a network camera."""
import contextlib
import pathlib

import cv2

import harness
import screen


@contextlib.contextmanager
def running(folder, *lines):
    """motion with these lines of its configuration, which saves what it sees once a second."""
    folder = pathlib.Path(folder)
    path = folder / "motion.conf"
    path.write_text(
        f"target_dir {folder}\nsnapshot_interval 1\nsnapshot_filename shot-%q-%v\n"
        "daemon off\nstream_port 0\nwebcontrol_port 0\nlog_level 6\n"
        "picture_output off\nmovie_output off\n" + "".join(f"{line}\n" for line in lines),
        encoding="utf-8",
    )
    with open(folder / "motion.log", "wb") as log:
        with harness.start(["motion", "-n", "-c", path], stdout=log, stderr=log) as process:
            try:
                yield process
            finally:
                process.terminate()


def numbers(folder):
    """The numbers of the test pattern that it has saved, in their order: those that are legible, as
    without a picture of the camera it saves one that says so."""
    found = []
    for path in sorted(pathlib.Path(folder).glob("shot-*.jpg"), key=lambda path: path.stat().st_mtime_ns):
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        number = None if picture is None else screen.number_in(picture)
        if number is not None:
            found.append(number)
    return found
