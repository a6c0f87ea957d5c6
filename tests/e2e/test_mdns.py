# SPDX-License-Identifier: BSD-2-Clause
"""What is announced by mDNS, by a real Avahi on the server's machine to a real one elsewhere,
and what becomes of camcastd when the bus and Avahi are absent, hang, or die."""
import contextlib
import shutil
import signal
import socket
import urllib.request

import pytest

import avahi
import certificates
import clients
import harness

HTTP, RTSP = 8080, 8554

pytestmark = pytest.mark.skipif(
    not (shutil.which("avahi-browse") and shutil.which("dbus-daemon", path="/usr/bin:/bin"))
    or not harness.with_mount(avahi.PRIVATE_RUN),
    reason="no Avahi, no dbus-daemon, or no mount namespaces",
)


def config(name="porch", **daemon):
    """A page, a stream `s` of H.264 and a stream `j` of JPEG, open to the network."""
    open_to_all = {"name": name, "http": f":{HTTP}", "rtsp": f":{RTSP}"}
    made = harness.pattern_config(daemon={**open_to_all, **daemon})
    made["stream j"] = {"camera": "cam", "codec": "mjpeg"}
    return made


@pytest.fixture(name="discovery")
def fixture_discovery(tmp_path):
    """discovery(host, name, **options): bus and Avahi of a host."""
    with contextlib.ExitStack() as stack:

        def start(host, name, **options):
            return stack.enter_context(avahi.Discovery(tmp_path, host, name, **options))

        yield start


@pytest.fixture(name="served")
def fixture_served(lan, discovery):
    """Two machines with a bus and an Avahi each."""
    server, viewer = (lan.host(f"10.8.0.{n}/24", f"fd08::{n}/64") for n in (1, 2))
    return discovery(server, "server"), discovery(viewer, "viewer")


def start(start_camcastd, place, made):
    """camcastd on the host of a Discovery, with its bus."""
    with place.host:
        return start_camcastd(made, env=place.env)


def told(place, daemon):
    with place.host:
        return daemon.status()["mdns"]


def wait_state(place, daemon, state, reason=""):
    def look():
        mdns = told(place, daemon)
        return mdns if mdns["state"] == state and reason in mdns["reason"] else None

    return daemon.wait_until(look, f"mDNS {state} ({reason})", 40)


def test_page_and_streams_are_found_and_answer(served, camcastd):
    here, there = served
    with here.host:
        daemon = camcastd(config(), env=here.env)
    names = {"porch (s)": "path=/s", "porch (j)": "path=/j"}
    with there.browse("_rtsp._tcp") as streams, there.browse("_http._tcp") as pages:
        for family in ("IPv4", "IPv6"):
            found = streams.wait_names(*names, family=family)
            assert {name: one.txt for name, one in found.items()} == {
                name: [txt] for name, txt in names.items()
            }
            assert all(one.port == RTSP and one.host == "server.local" for one in found.values())
            page = pages.wait_names("porch", family=family)["porch"]
            assert (page.port, page.txt) == (HTTP, ["path=/"])
        one = streams.wait_names(*names)["porch (s)"]
        url = f"rtsp://{one.address}:{one.port}{one.txt[0].removeprefix('path=')}"
        with there.host:
            seen = harness.run(["ffprobe", "-v", "error", "-show_entries", "stream=width", url], 20)
            assert "width=320" in seen.stdout, seen.stderr
            with urllib.request.urlopen(f"http://{page_address(page)}/", timeout=20) as answer:
                assert answer.status == 200
    mdns = wait_state(here, daemon, "published")
    assert (mdns["services"], mdns["published"], mdns["collisions"]) == (3, 3, 0)
    announced = [line for line in daemon.log() if "mdns: " in line]
    assert len(announced) == 1 and "announced on the network" in announced[0]


def page_address(page):
    host = f"[{page.address}]" if ":" in page.address else page.address
    return f"{host}:{page.port}"


def test_vlc_lists_the_streams(served, start_camcastd):
    here, there = served
    start(start_camcastd, here, config())
    user = ["setpriv", "--reuid=65534", "--clear-groups"]  # VLC refuses to run as root
    env = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", **there.env}
    command = [*user, "cvlc", "-vv", "-I", "dummy", "--services-discovery=avahi"]
    vlc = avahi.Program(there.host, command, None, env=env)
    try:
        for name in ("porch (s)", "porch (j)"):
            vlc.output.wait(
                lambda lines, name=name: any(line.endswith(f"adding: {name}") for line in lines), name
            )
    finally:
        vlc.kill()


def test_who_gave_root_up_may_publish(served, start_camcastd):
    here, _ = served
    daemon = start(start_camcastd, here, config(user="nobody"))
    wait_state(here, daemon, "published")


def test_with_tls_the_types_say_so(served, start_camcastd, tmp_path):
    here, there = served
    certificate, key = certificates.Authority(tmp_path / "authority").sign("server")
    made = config(tls="yes")
    made["tls"] = {"certificate": certificate, "key": key}
    with here.host:
        start_camcastd(made, env=here.env)
    with there.browse("_rtsps._tcp") as streams, there.browse("_https._tcp") as pages:
        streams.wait_names("porch (s)", "porch (j)")
        pages.wait_names("porch")


@pytest.mark.parametrize("how", ["loopback", "no"])
def test_what_is_not_for_others_is_not_told(served, start_camcastd, how):
    here, _ = served
    closed = {"http": f"127.0.0.1:{HTTP}, [::1]:{HTTP}", "rtsp": f"localhost:{RTSP}"}
    daemon = start(
        start_camcastd, here, config(**(closed if how == "loopback" else {"mdns": "no"}))
    )
    mdns = told(here, daemon)
    assert (mdns["state"], mdns["services"]) == ("nothing", 0)
    threads = harness.output_of("ps", "-L", "-o", "comm=", "-p", str(daemon.process.pid)).split()
    assert "mdns" not in threads
    assert not [line for line in daemon.log() if "mdns" in line]


def test_an_address_of_one_family_is_told_over_that_family(served, start_camcastd):
    here, there = served
    start(start_camcastd, here, config(http=f"10.8.0.1:{HTTP}, 127.0.0.1:{HTTP}", rtsp=f"[::]:{RTSP}"))
    with there.browse("_rtsp._tcp") as streams, there.browse("_http._tcp") as pages:
        streams.wait_names("porch (s)", "porch (j)", family="IPv6")
        pages.wait_names("porch", family="IPv4")
        assert not [one for one in streams.wait(bool, "streams") if one.family == "IPv4"]
        assert not [one for one in pages.wait(bool, "pages") if one.family == "IPv6"]


def test_servers_of_one_name_are_told_apart(served, start_camcastd):
    """On one machine, where Avahi sees it at once, and on two, where it has to ask."""
    here, there = served
    name = "현관 " + "x" * 50
    made = config(name)
    first = start(start_camcastd, here, made)
    wait_state(here, first, "published")
    second_config = config(name, http=f":{HTTP + 1}", rtsp=f":{RTSP + 1}")
    second = start(start_camcastd, here, second_config)
    wait_state(here, second, "published")
    third = start(start_camcastd, there, made)
    wait_state(there, third, "published")
    with there.browse("_rtsp._tcp") as streams:

        def fits(found):
            return len({one.name for one in found if one.family == "IPv4"}) == 6

        found = streams.wait(fits, "six streams")
    names = {one.name for one in found}
    assert {len(one.encode()) <= 63 for one in names} == {True}
    assert sorted(one.partition(" (s)")[2] for one in names if " (s)" in one) == ["", " #2", " #3"]
    assert told(here, first)["collisions"] == 0
    assert told(here, second)["collisions"] == 3 and told(there, third)["collisions"] == 6
    for daemon in (second, third):
        daemon.wait_log("another server is called \"현관 ")


def test_a_service_whose_names_others_have_is_the_only_one_that_waits(
    lan, discovery, start_camcastd
):
    server, viewer = (lan.host(f"10.8.0.{n}/24") for n in (1, 2))
    taken = ["porch (s)", *(f"porch (s) #{number}" for number in range(2, 65))]
    here = discovery(server, "server", static=[(name, "_rtsp._tcp") for name in taken])
    there = discovery(viewer, "viewer")
    daemon = start(start_camcastd, here, config())
    daemon.wait_log(r'mdns: others have "porch \(s\)" and all names like it', 30)

    def others_are_there():
        mdns = told(here, daemon)
        return mdns if mdns["published"] == 2 else None

    mdns = daemon.wait_until(others_are_there, "the page and the other stream", 40)
    assert (mdns["state"], mdns["services"], mdns["losses"]) == ("publishing", 3, 0)
    assert mdns["collisions"] >= 64
    with there.browse("_rtsp._tcp") as streams, there.browse("_http._tcp") as pages:
        pages.wait_names("porch")
        streams.wait(lambda found: any(one.name == "porch (j)" for one in found), "porch (j)")


def test_a_reload_changes_what_is_told(served, start_camcastd):
    here, there = served
    daemon = start(start_camcastd, here, config())
    with there.browse("_rtsp._tcp") as streams, there.browse("_http._tcp") as pages:
        streams.wait_names("porch (s)", "porch (j)")
        made = config()
        made["stream late"] = {"camera": "cam", "codec": "mjpeg"}
        del made["stream j"]
        daemon.reload(made)
        streams.wait_names("porch (s)", "porch (late)")
        pages.wait_names("porch")
        gone = {line.split(";")[3] for line in streams.program.output.lines if line[0] == "-"}
        assert gone == {r"porch\032\040j\041"}
        daemon.reload(config(mdns="no"))
        streams.wait_names()
        pages.wait_names()
        assert told(here, daemon)["state"] == "nothing"
        daemon.reload(config("shed"))
        streams.wait_names("shed (s)", "shed (j)")
        pages.wait_names("shed")
    daemon.stop()


def test_what_ends_is_taken_back(served, start_camcastd):
    here, there = served
    daemon = start(start_camcastd, here, config())
    with there.browse("_rtsp._tcp") as streams:
        streams.wait_names("porch (s)", "porch (j)")
        daemon.stop()
        streams.wait_names()


def test_bus_and_avahi_come_die_and_come_back(lan, discovery, camcastd):
    server, viewer = (lan.host(f"10.8.0.{n}/24") for n in (1, 2))
    here, there = discovery(server, "server", avahi=False), discovery(viewer, "viewer")
    here.bus.kill()
    here.socket.unlink(missing_ok=True)
    made = config()
    made["stream s"]["annexb"] = ":8888"
    with here.host:
        daemon = camcastd(made, env=here.env)
        viewing = clients.Viewer(8888)
    wait_state(here, daemon, "waiting", "no D-Bus system bus")
    here.start_bus()
    wait_state(here, daemon, "waiting", "no Avahi daemon runs here")
    here.start_avahi()
    wait_state(here, daemon, "published")
    for loss in (1, 2):
        here.avahi.kill()
        wait_state(here, daemon, "waiting", "no Avahi daemon runs here")
        here.start_avahi()
        assert wait_state(here, daemon, "published")["losses"] == loss
    here.bus.kill()
    wait_state(here, daemon, "waiting", "D-Bus")
    here.avahi.kill()
    here.start_bus()
    here.start_avahi()
    assert wait_state(here, daemon, "published")["losses"] == 3
    with there.browse("_rtsp._tcp") as streams:
        streams.wait_names("porch (s)", "porch (j)")
    assert not viewing.closed
    viewing.close()
    assert len([line for line in daemon.log() if "mdns: " in line]) <= 12


def never_answers(folder, stack):
    """A bus that lets nobody in."""
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(folder / "bus"))
    listener.listen(8)


def is_full(folder, stack):
    """A bus that accepts nobody any more."""
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(folder / "bus"))
    listener.listen(0)
    other = stack.enter_context(socket.socket(socket.AF_UNIX))
    other.connect(str(folder / "bus"))


@pytest.mark.parametrize(
    "bus, reason", [(never_answers, "does not answer"), (is_full, "no D-Bus system bus")]
)
def test_a_bus_that_hangs_holds_nothing_up(lan, start_camcastd, tmp_path, bus, reason):
    host = lan.host("10.8.0.1/24")
    place = type("Place", (), {"host": host})
    place.env = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/bus"}
    with contextlib.ExitStack() as stack:
        bus(tmp_path, stack)
        daemon = start(start_camcastd, place, config())
        with host:
            daemon.wait_until(lambda: daemon.part("streams", "s")["fps"] > 0, "pictures")
        wait_state(place, daemon, "waiting", reason)
        daemon.stop()
        again = start(start_camcastd, place, config())
        again.stop()


def test_the_bus_is_to_send_no_descriptors(lan, start_camcastd, tmp_path):
    """Everybody may send some, and close() of some sleeps."""
    place = type("Place", (), {"host": lan.host("10.8.0.1/24")})
    place.env = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/bus"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "bus"))
        listener.listen()
        start(start_camcastd, place, config())
        listener.settimeout(15 * harness.PATIENCE)
        with listener.accept()[0] as bus:
            bus.settimeout(15 * harness.PATIENCE)
            said = b""
            while b"BEGIN" not in said:
                part = bus.recv(4096)
                assert part, said
                said += part
    assert b"AUTH EXTERNAL" in said and b"UNIX_FD" not in said


def test_an_avahi_that_hangs_holds_nothing_up(served, start_camcastd):
    here, _ = served
    here.avahi.signal(signal.SIGSTOP)
    daemon = start(start_camcastd, here, config())
    wait_state(here, daemon, "waiting", "Avahi does not answer")
    other = start(start_camcastd, here, config("other", http=":8081", rtsp=":8555"))
    other.stop()
    here.avahi.signal(signal.SIGCONT)
    wait_state(here, daemon, "published")


def test_an_avahi_that_refuses_is_said(lan, discovery, start_camcastd):
    here = discovery(lan.host("10.8.0.1/24"), "server", publish="disable-user-service-publishing=yes")
    daemon = start(start_camcastd, here, config())
    mdns = wait_state(here, daemon, "waiting", "Avahi refuses (org.freedesktop.Avahi.")
    assert mdns["published"] == 0
    wait_state(here, daemon, "waiting", "NotPermitted")
    daemon.wait_log("this server is not announced on the network: Avahi refuses")


def test_signals_of_others_change_nothing(served, start_camcastd):
    """Any program on the bus can send what looks like Avahi's."""
    here, _ = served
    daemon = start(start_camcastd, here, config())
    wait_state(here, daemon, "published")

    def send(*words):
        command = ["dbus-send", "--system", *words]
        return here.host.popen(command, env={"PATH": "/usr/bin:/bin", **here.env}, stdout=-1)

    asked = ["--print-reply=literal", "--dest=org.freedesktop.DBus", "/"]
    names = send(*asked, "org.freedesktop.DBus.ListNames").communicate()[0].decode().split()
    unique = [name for name in names if name.startswith(":")]
    assert unique
    group = "org.freedesktop.Avahi.EntryGroup.StateChanged"
    server = "org.freedesktop.Avahi.Server.StateChanged"
    owner = "org.freedesktop.DBus.NameOwnerChanged"
    for name in unique:
        signals = [f"--dest={name}", "--type=signal"]
        for number in range(1, 4):
            send(*signals, f"/Client0/EntryGroup{number}", group, "int32:3", "string:x").wait()
        send(*signals, "/", server, "int32:3", "string:x").wait()
        gone = ["string:org.freedesktop.Avahi", "string::1.0", "string:"]
        send(*signals, "/", owner, *gone).wait()
    made = config()
    made["stream late"] = {"camera": "cam", "codec": "mjpeg"}
    daemon.reload(made)
    daemon.wait_until(lambda: told(here, daemon)["published"] == 4, "one more service")
    mdns = told(here, daemon)
    assert (mdns["state"], mdns["collisions"], mdns["losses"]) == ("published", 0, 0)
