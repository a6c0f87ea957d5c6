# SPDX-License-Identifier: BSD-2-Clause
"""What people type: slips are answered with one line that says what was meant."""
import os
import pathlib
import re
import subprocess

import harness
import pytest

SECONDS = 20 * harness.PATIENCE


def run(*arguments, **options):
    program, *rest = arguments
    folder = harness.BUILD / "bench" if program == "camload" else harness.BUILD
    return subprocess.run(
        [folder / program, *rest],
        capture_output=True, text=True, check=False, timeout=SECONDS, **options,
    )  # fmt: skip


def one_line(result):
    """The only line on stderr."""
    assert result.stdout == "" and result.stderr.count("\n") == 1, result.stderr
    return result.stderr.rstrip("\n")


@pytest.mark.parametrize(
    "arguments, line",
    [
        ("camcast recrod", 'camcast: unknown command "recrod"; did you mean "record"?'),
        ("camcast rec", 'camcast: unknown command "rec"; did you mean "recv" or "record"?'),
        ("camcast list", 'camcast: unknown command "list"; did you mean "discover"?'),
        ("camcast play", 'camcast: unknown command "play"; did you mean "view"?'),
        ("camcast xyz", 'camcast: unknown command "xyz"; "camcast --help" lists the commands'),
        (
            "camcast --json discover",
            'camcast: option "--json" stands before a command; use "camcast COMMAND [options]"',
        ),
        ("camcast record --dri x", 'camcast record: unknown option "--dri"; did you mean "--dir"?'),
        ("camcast record", "camcast record: give the folder for the recordings with --dir DIR"),
        ("camcast record --dir", 'camcast record: option "--dir" needs a value'),
        (
            "camcast record --dir x --segment 1y",
            "camcast record: --segment 1y: use a time from 1s to 24h, such as 60, 90s or 10m",
        ),
        (
            "camcast record --dir x --max-bytes 20X",
            "camcast record: --max-bytes 20X: use a number of bytes, such as 500M or 20G",
        ),
        (
            "camcast recv",
            'camcast recv: name a server or a URL; "camcast discover" lists the servers',
        ),
        (
            "camcast recv a b",
            'camcast recv: unexpected argument "b"; one stream is received at a time',
        ),
        (
            "camcast discover --broker host:99999",
            "camcast: --broker host:99999: the port must be 1 to 65535",
        ),
        ("camcast recv x --broker host:0", "camcast: --broker host:0: the port must be 1 to 65535"),
        (
            "camcast discover --broker fe80::1%:1",
            "camcast: --broker fe80::1%:1: it must be HOST or HOST:PORT",
        ),
        ("camcast discover --timeout 1x", "camcast discover: --timeout 1x: use a time such as 5, 0.5s or 1m"),
        ("camcast discover all", 'camcast discover: unexpected argument "all"; all servers are listed'),
        (
            "camcast view --size big",
            "camcast view: --size big: use a size from 64x64 to 16384x16384, such as 1280x720",
        ),
        ("camcast view -d none", 'camcast view: unknown option "-d"; did you mean "--decoder"?'),
        ("camcastd --chekc", 'camcastd: unknown option "--chekc"; did you mean "--check"?'),
        ("camcastd -C x", 'camcastd: unknown option "-C"; did you mean "-c"?'),
        (
            "camcastd x.ini",
            'camcastd: unexpected argument "x.ini"; the configuration is given with -c FILE',
        ),
        (
            "camcastd",
            "camcastd: no configuration is given; use -c FILE "
            '("camcastd --help" lists the options)',
        ),
        ("camload", "camload: give one server, as HOST:PORT or a URL"),
        ("camload --cleints 5", 'camload: unknown option "--cleints"; did you mean "--clients"?'),
        (
            "camload --duration 5x h:1",
            'camload: --duration 5x: this value is not allowed; "camload --help" lists the options',
        ),
        ("camcast-capture -t 1y", "camcast-capture: -t 1y: use a time such as 10, 0.5s or 1m"),
        ("camcast-capture --cam x", 'camcast-capture: no configuration is given; use -c FILE'),
        (
            "camcast-capture -c x.ini",
            "camcast-capture: no output is given; use -o FILE, or -o - for the standard output",
        ),
    ],
)
def test_a_slip_gets_one_line(arguments, line):
    result = run(*arguments.split())
    assert result.returncode == 2 and one_line(result) == line


def test_commands_and_options_are_read_in_any_case():
    assert run("camcast", "Discover", "--HELP").stdout.startswith("usage: camcast discover")
    assert run("camcast", "RECORD", "-h").stdout.startswith("usage: camcast record")
    assert run("camcastd", "--Version").stdout.startswith("camcastd ")


def test_every_locale_is_the_same(tmp_path):
    """In Turkish, i is not the small letter of I, and numbers have a comma."""
    compiled = ["localedef", "-i", "tr_TR", "-f", "ISO-8859-9", tmp_path / "tr_TR"]
    subprocess.run(compiled, check=True, capture_output=True, timeout=SECONDS)
    turkish = {**os.environ, "LOCPATH": str(tmp_path), "LC_ALL": "tr_TR"}
    shown = run("camcast", "DISCOVER", "--HELP", env=turkish).stdout
    assert shown.startswith("usage: camcast discover")
    size = run("camcast", "record", "--dir", "x", "--max-bytes", "1.5GIB", "--broker", "h:0", env=turkish)
    assert one_line(size) == "camcast: --broker h:0: the port must be 1 to 65535"
    view = run("camcast", "view", "--SIZE", "640x480", "--broker", "h:0", env=turkish)
    assert one_line(view) == "camcast: --broker h:0: the port must be 1 to 65535"


def test_numbers_are_read_with_their_units(tmp_path):
    """They are accepted: what fails is the broker's port behind them."""
    for arguments in [
        ["record", "--dir", "x", "--segment", "1m", "--max-bytes", "20GB", "--max-age", "7 days", "-j"],
        ["discover", "--timeout", "0.5s", "-j"],
        ["view", "--size", "720p", "-j"],
        ["view", "--size", "640 X 480"],
    ]:
        result = run("camcast", *arguments, "--broker", "h:0", cwd=tmp_path)
        assert one_line(result) == "camcast: --broker h:0: the port must be 1 to 65535"


def test_a_broker_of_the_environment_with_a_wrong_port_is_ignored_with_a_line(tmp_path):
    result = run(
        "camcast", "discover", "--timeout", "0.2", env={"CAMCAST_BROKER": "h:77777", "PATH": "/bin"}
    )
    first = result.stderr.splitlines()[0]
    assert first == "camcast: CAMCAST_BROKER=h:77777 is ignored: the port must be 1 to 65535"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    result = run("camcast", "record", "--dir", tmp_path / "a" / "b")
    line = one_line(result)
    assert result.returncode == 1
    assert f"--dir {tmp_path}/a/b: the folder cannot be made: the folder above it does not exist" in line
    (tmp_path / "file").touch()
    line = one_line(run("camcast", "record", "--dir", tmp_path / "file"))
    assert "the folder cannot be made: Not a directory" in line


def test_a_wrong_name_leaves_no_file(broker, tmp_path):
    new, old = tmp_path / "new.h264", tmp_path / "old.h264"
    old.write_bytes(b"precious")
    for path in (new, old):
        result = run("camcast", "recv", "nobody", "-o", path, "--broker", f"127.0.0.1:{broker.port}")
        assert result.returncode == 1
    assert not new.exists() and old.read_bytes() == b"precious"


# --- camcastd --check ---

PORT_0 = "[stream s]\ncamera = c\nannexb = 127.0.0.1:0\n"


def check(tmp_path, text, words=()):
    """Runs camcastd --check on a configuration that is right; returns its warnings."""
    path = tmp_path / "c.ini"
    path.write_text(text)
    result = subprocess.run(
        [*words, harness.BUILD / "camcastd", "--check", "-c", path],
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{path}: ok: ")
    return result.stderr.replace(str(path), "c.ini")


def test_check_counts(tmp_path):
    path = tmp_path / "c.ini"
    path.write_text("[camera c]\nsource = pattern\n" + PORT_0)
    assert run("camcastd", "--check", "-c", path).stdout == f"{path}: ok: 1 camera, 1 stream, 1 feed\n"
    path.write_text("[camera c]\nsource = pattern\n" + PORT_0 + PORT_0.replace("[stream s]", "[stream t]"))
    assert run("camcastd", "--check", "-c", path).stdout == f"{path}: ok: 1 camera, 2 streams, 2 feeds\n"


def test_check_says_which_sources_cannot_be_played(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "good").write_bytes(b"x")
    for name, wrong in [
        ("missing", "No such file or directory"),
        ("pipe", "it is a named pipe; pipe:PATH reads what a program writes into it"),
        (".", "it is a folder"),
        ("empty", "it is empty"),
        ("good", None),
    ]:
        source = f"file:{tmp_path}/{name}"
        warnings = check(tmp_path, f"[camera c]\nsource = {source}\n" + PORT_0)
        line = f'c.ini:2: warning: camera "c": source = {source} cannot be played: {wrong}\n'
        assert warnings == (line if wrong else "")


def test_check_says_which_files_cannot_be_read(tmp_path):
    text = "[camera c]\nsource = pattern\n" + PORT_0
    text += "v4l2_device = /nowhere/video\n[daemon]\ncapture = /nowhere/capture\n"
    text += "[mqtt]\nusername = u\npassword_file = /nowhere/password\n"
    assert check(tmp_path, text).splitlines() == [
        "c.ini:8: warning: capture = /nowhere/capture cannot be started: No such file or directory",
        "c.ini:11: warning: password_file = /nowhere/password cannot be read: No such file or directory",
        "c.ini:6: warning: v4l2_device = /nowhere/video cannot be read: No such file or directory",
    ]


def test_check_says_that_there_is_no_shell(tmp_path):
    text = "[camera c]\nsource = exec:cat /dev/null | cat\n" + PORT_0
    assert check(tmp_path, text) == (
        'c.ini:2: warning: camera "c": there is no shell, so that "|" is an argument of the program; '
        "a script can have it\n"
    )
    assert check(tmp_path, text.replace(" | ", " ")) == ""


def test_check_looks_for_the_user(tmp_path):
    text = "[daemon]\nuser = USER\n[camera c]\nsource = pattern\n" + PORT_0
    assert check(tmp_path, text.replace("USER", "root")) == ""
    line = "c.ini:2: warning: user = no-such-user: there is no such user\n"
    assert check(tmp_path, text.replace("USER", "no-such-user")) == line


def test_check_says_which_addresses_cannot_be_listened_on(tmp_path):
    start = "[camera c]\nsource = pattern\n[stream s]\ncamera = c\n"
    warnings = check(tmp_path, start + "annexb = 203.0.113.1:8888, 127.0.0.1:0\n")
    line = "c.ini:5: warning: annexb = 203.0.113.1:8888: no interface of this machine has this address\n"
    assert warnings == line


def test_check_says_which_interfaces_there_are_not(tmp_path):
    for text, there in [("lo", True), ("127.0.0.1", True), ("local", False), ("fe80::1:2:3", False)]:
        daemon = f"[daemon]\nmulticast_interface = {text}\n"
        line = f"c.ini:2: warning: multicast_interface = {text}: this machine has no such interface now\n"
        warnings = check(tmp_path, daemon + "[camera c]\nsource = pattern\n" + PORT_0)
        assert warnings == ("" if there else line)


def test_check_says_which_ports_need_a_right(tmp_path):
    start = pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if int(start.read_text()) <= 554:
        pytest.skip("every user may listen on port 554 here")
    words = ["setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"]
    if os.geteuid() != 0:
        words = []
    text = "[camera c]\nsource = pattern\n[stream s]\ncamera = c\nannexb = 127.0.0.1:554\n"
    assert check(tmp_path, text, words) == (
        "c.ini:5: warning: annexb = 127.0.0.1:554: this user may not listen on a port below 1024; "
        "choose a higher port, or give camcastd CAP_NET_BIND_SERVICE\n"
    )


# --- examples ---

EXAMPLES = harness.ROOT / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ini")), ids=lambda path: path.name)
def test_an_example_is_a_right_configuration(path):
    result = run("camcastd", "--check", "-c", path)
    assert result.returncode == 0 and result.stdout.startswith(f"{path}: ok: ")
    # What is missing on this machine are only the files that the example's first lines mention.
    missing = "/srv/video/film.mp4|/etc/camcast/(mqtt-password|tls/)|/run/camera.fifo|exec:rpicam-vid"
    for line in result.stderr.splitlines():
        assert re.search(missing, line)


def test_the_commented_keys_of_an_example_are_right_too(tmp_path):
    for path in sorted(EXAMPLES.glob("*.ini")):
        text = re.sub(r"(?m)^;(?=[\[a-z])", "", path.read_text())
        copy = tmp_path / path.name
        copy.write_text(text)
        result = run("camcastd", "--check", "-c", copy)
        assert result.returncode == 0, result.stderr


def test_the_example_of_recording_works(broker, tmp_path):
    env = {
        **os.environ,
        "PATH": f"{harness.BUILD}:{os.environ['PATH']}",
        "CAMCAST_BROKER": f"127.0.0.1:{broker.port}",
    }
    folder = tmp_path / "video"
    with subprocess.Popen([EXAMPLES / "record-on-command.sh", folder], env=env) as process:
        broker.wait_log("New client connected")
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert folder.is_dir()


def test_the_page_of_the_examples_names_each_of_them():
    page = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or f"]({path.name})" in page
