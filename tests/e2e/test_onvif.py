# SPDX-License-Identifier: BSD-2-Clause
"""ONVIF: what recorders find, ask and may, and what they cannot do."""
import base64
import contextlib
import hashlib
import json
import re
import socket
import time
import urllib.request

import pytest

import fakes
import harness
import onvif
from onvif import SPACES, Client, Fault, Finder, of_profile

pytestmark = pytest.mark.one_backend

PASSWORD = "pa:ss@1 ü"
TOKEN = "0123456789abcdef0123-~"
WATCHER = {"Authorization": f"Bearer {TOKEN}"}  # of a user who may read the status


def onvif_config(onvif_section=None, daemon=None, **sections):
    """An H.264 and an MJPEG stream of a test pattern, the MJPEG stream first."""
    text = {
        "daemon": {"name": "Türe <1>", "http": "127.0.0.1:0", "rtsp": "127.0.0.1:0", **(daemon or {})},
        "onvif": {"discovery": "no", **(onvif_section or {})},
        "camera cam": {"source": "pattern", "size": "320x180", "framerate": 30},
        "stream j": {"camera": "cam", "codec": "mjpeg", "on_demand": "yes"},
        "stream s": {"camera": "cam", "codec": "h264", "bitrate": 1000000},
    }
    text.update(sections)
    return text


def secret(folder, text=PASSWORD):
    path = folder / f"secret-{len(text)}"
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return path


@pytest.fixture(name="users")
def fixture_users(tmp_path):
    return {
        "user anna": {"password_file": secret(tmp_path), "may": "view, status, control"},
        "user guest": {"password_file": secret(tmp_path), "streams": "j"},
        "user robot": {"token_file": secret(tmp_path, TOKEN), "may": "status"},
    }


def names_of(answer, path):
    return [one.get("token") for one in answer.findall(path, SPACES)]


# --- what is found is usable ---


def first_bytes(url):
    with urllib.request.urlopen(url, timeout=10 * harness.PATIENCE) as answer:
        return answer.read(2)


def count_pictures(url, n=10):
    """ffmpeg's own count of pictures that it decoded."""
    command = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-frames:v", str(n)]
    result = harness.run([*command, "-f", "null", "-progress", "-", "-"], timeout=60 * harness.PATIENCE)
    assert result.returncode == 0, result.stderr
    return int(re.findall(r"frame=(\d+)", result.stdout)[-1])


def test_the_addresses_that_are_found_work(camcastd):
    daemon = camcastd(onvif_config())
    daemon.wait_log("delivers pictures")
    client = Client(daemon)
    services = client.ask("tds:GetServices", "<tds:IncludeCapability>false</tds:IncludeCapability>")
    addresses = {one.find("tds:Namespace", SPACES).text: one.find("tds:XAddr", SPACES).text
                 for one in services.findall("tds:Service", SPACES)}
    base = f"http://127.0.0.1:{daemon.http_port}"
    assert addresses == {
        SPACES["tds"]: f"{base}/onvif/device_service",
        SPACES["trt"]: f"{base}/onvif/media_service",
    }
    # H.264 first: Home Assistant takes no camera whose first profile is another one.
    assert names_of(client.ask("trt:GetProfiles"), "trt:Profiles") == ["s", "j"]
    for name in "sj":
        stream = client.text("trt:GetStreamUri", "trt:MediaUri/tt:Uri", of_profile(name))
        assert stream == f"rtsp://127.0.0.1:{daemon.rtsp_port}/{name}"
        assert count_pictures(stream) == 10
        snapshot = client.text("trt:GetSnapshotUri", "trt:MediaUri/tt:Uri", of_profile(name))
        assert snapshot == f"{base}/{name}.jpg"
        assert first_bytes(snapshot) == b"\xff\xd8"


def test_addresses_are_those_by_which_the_client_came(start_camcastd):
    daemon = start_camcastd(onvif_config(daemon={"http": "localhost:0"}))
    client = Client(daemon)
    for host in (f"localhost:{daemon.http_port}", "192.0.2.7", "[2001:db8::1]:81"):
        status, _, text = client.post(
            onvif.envelope(f"<trt:GetStreamUri>{of_profile('s')}</trt:GetStreamUri>"),
            headers={"Host": host},
        )
        name = re.sub(r":\d+$", "", host)
        assert status == 200 and f">rtsp://{name}:{daemon.rtsp_port}/s<".encode() in text
        status, _, text = client.post(onvif.envelope("<tds:GetCapabilities/>"), headers={"Host": host})
        assert status == 200 and f">http://{host}/onvif/media_service<".encode() in text


# The requests of recorders, in their order, as they were read from their source or recorded.
HOME_ASSISTANT = """tds:GetSystemDateAndTime tds:GetServices tds:GetCapabilities
    tds:GetNetworkInterfaces tds:GetDeviceInformation trt:GetServiceCapabilities trt:GetProfiles
    trt:GetStreamUri trt:GetSnapshotUri"""
DEVICE_MANAGER = """tds:GetSystemDateAndTime tds:GetServices tds:GetCapabilities
    tds:GetDeviceInformation tds:GetScopes tds:GetHostname tds:GetDNS tds:GetNTP
    tds:GetNetworkInterfaces tds:GetNetworkProtocols tds:GetNetworkDefaultGateway
    tds:GetDiscoveryMode trt:GetVideoSources trt:GetProfiles trt:GetProfile
    trt:GetVideoSourceConfigurations trt:GetVideoSourceConfiguration
    trt:GetVideoSourceConfigurationOptions trt:GetVideoEncoderConfigurations
    trt:GetVideoEncoderConfiguration trt:GetVideoEncoderConfigurationOptions trt:GetStreamUri
    trt:GetSnapshotUri"""
UNIFI = """tds:GetSystemDateAndTime tds:GetCapabilities tds:GetDeviceInformation
    tds:GetNetworkInterfaces trt:GetVideoSources trt:GetProfiles trt:GetVideoSourceConfigurations
    trt:GetVideoEncoderConfigurations trt:GetAudioSources trt:GetAudioSourceConfigurations
    trt:GetAudioEncoderConfigurations trt:GetStreamUri trt:GetSnapshotUri"""
SYNOLOGY = """tds:GetSystemDateAndTime tds:GetCapabilities tds:GetServices tds:GetDeviceInformation
    tds:GetNetworkInterfaces trt:GetProfiles trt:GetVideoSources
    trt:GetVideoSourceConfigurationOptions trt:GetVideoEncoderConfiguration
    trt:GetVideoEncoderConfigurationOptions trt:GetCompatibleVideoEncoderConfigurations
    trt:GetGuaranteedNumberOfVideoEncoderInstances trt:GetAudioEncoderConfigurations
    trt:GetStreamUri trt:GetSnapshotUri trt:SetSynchronizationPoint"""

# What other programs ask for besides, and what there is none of.
OTHERS = """tds:GetServiceCapabilities tds:GetCapabilities tds:GetWsdlUrl tds:GetEndpointReference tds:GetRelayOutputs
    tds:GetSystemDateAndTime tds:GetScopes trt:GetProfiles trt:GetCompatibleVideoSourceConfigurations
    trt:GetAudioOutputs trt:GetAudioOutputConfigurations trt:GetAudioDecoderConfigurations
    trt:GetCompatibleAudioSourceConfigurations trt:GetCompatibleAudioEncoderConfigurations
    trt:GetVideoAnalyticsConfigurations trt:GetMetadataConfigurations trt:GetOSDs"""

ARGUMENTS = {
    "trt:GetVideoSourceConfiguration": "<trt:ConfigurationToken>cam</trt:ConfigurationToken>",
    "trt:GetVideoSourceConfigurationOptions": "<trt:ConfigurationToken>cam</trt:ConfigurationToken>",
    "trt:GetVideoEncoderConfiguration": "<trt:ConfigurationToken>s</trt:ConfigurationToken>",
    "trt:GetVideoEncoderConfigurationOptions": "<trt:ConfigurationToken>s</trt:ConfigurationToken>",
    "trt:GetGuaranteedNumberOfVideoEncoderInstances":
        "<trt:ConfigurationToken>cam</trt:ConfigurationToken>",
    "trt:GetStreamUri":
        "<trt:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP"
        "</tt:Protocol></tt:Transport></trt:StreamSetup>" + of_profile("s"),
    **{action: of_profile("s") for action in (
        "trt:GetProfile", "trt:GetSnapshotUri", "trt:SetSynchronizationPoint",
        "trt:GetCompatibleVideoEncoderConfigurations",
        "trt:GetCompatibleVideoSourceConfigurations")},
}


@pytest.mark.parametrize("order", [HOME_ASSISTANT, DEVICE_MANAGER, UNIFI, SYNOLOGY, OTHERS],
                         ids=["home-assistant", "device-manager", "unifi", "synology", "others"])
def test_the_requests_of_recorders_are_answered(camcastd, users, order):
    daemon = camcastd(onvif_config(**users), headers=WATCHER)
    daemon.wait_log("delivers pictures")
    client = Client(daemon, ("anna", PASSWORD))
    answers = {action: client.ask(action, ARGUMENTS.get(action, "")) for action in order.split()}
    now = [int(one.text) for one in answers["tds:GetSystemDateAndTime"].iter()
           if one.text and one.text.isdigit()][:6]
    at = time.strptime("{3} {4} {5} {0} {1} {2}".format(*now), "%Y %m %d %H %M %S")
    assert abs(time.time() - (time.mktime(at) - time.timezone)) < 60 * harness.PATIENCE
    profiles = answers["trt:GetProfiles"].findall("trt:Profiles", SPACES)
    encoder = profiles[0].find("tt:VideoEncoderConfiguration", SPACES)
    said = {one.tag.split("}")[1]: one.text for one in encoder.iter()}
    assert said["Encoding"] == "H264" and said["H264Profile"] == "High"
    assert (said["Width"], said["Height"]) == ("320", "180")
    assert (said["FrameRateLimit"], said["BitrateLimit"]) == ("30", "1000")
    source = profiles[0].find("tt:VideoSourceConfiguration", SPACES)
    assert source.find("tt:SourceToken", SPACES).text == "cam"
    # Without these Hikvision's client, and snapshots of Home Assistant, are not even tried.
    streaming = answers["tds:GetCapabilities"].find(".//tt:StreamingCapabilities", SPACES)
    assert [streaming.find(f"tt:{one}", SPACES).text for one in ("RTP_TCP", "RTP_RTSP_TCP")] == ["true"] * 2
    if "trt:GetServiceCapabilities" in answers:
        (media,) = answers["trt:GetServiceCapabilities"].iter(f'{{{SPACES["trt"]}}}Capabilities')
        assert media.get("SnapshotUri") == "true"
        media = media.find("trt:StreamingCapabilities", SPACES)
        assert media.get("RTP_TCP") == media.get("RTP_RTSP_TCP") == "true"
    if "tds:GetScopes" in answers:
        scopes = [one.text for one in answers["tds:GetScopes"].iter(f'{{{SPACES["tt"]}}}ScopeItem')]
        assert "onvif://www.onvif.org/Profile/Streaming" in scopes
        assert "onvif://www.onvif.org/name/T%C3%BCre%20%3C1%3E" in scopes
    # What there is not is a fault that says so; Home Assistant looks for these words.
    with pytest.raises(Fault) as fault:
        client.ask("tev:CreatePullPointSubscription")
    assert fault.value.status == 500 and fault.value.codes == ["Receiver", "ActionNotSupported"]
    assert "not implemented" in fault.value.reason.lower()


# --- who may ---


def test_only_the_clock_and_the_services_are_told_to_everybody(camcastd, users):
    daemon = camcastd(onvif_config(**users), headers=WATCHER)
    client = Client(daemon)
    for action in ("tds:GetSystemDateAndTime", "tds:GetCapabilities", "tds:GetServices", "tds:GetHostname"):
        client.ask(action)
    for action in ("tds:GetDeviceInformation", "tds:GetNetworkInterfaces", "trt:GetProfiles"):
        with pytest.raises(Fault) as fault:
            client.ask(action)
        assert fault.value.status == 401 and fault.value.codes == ["Sender", "NotAuthorized"]
    assert names_of(Client(daemon, ("guest", PASSWORD)).ask("trt:GetProfiles"), "trt:Profiles") == ["j"]
    with pytest.raises(Fault) as fault:
        Client(daemon, ("guest", PASSWORD)).ask("trt:GetStreamUri", of_profile("s"))
    assert fault.value.codes == ["Sender", "InvalidArgVal", "NoProfile"]


@pytest.mark.parametrize(
    "header",
    [
        onvif.token("anna", "wrong"),
        onvif.token("nobody", PASSWORD),
        onvif.token("anna", ""),
        onvif.token("anna", PASSWORD, kind="x#PasswordText"),
        onvif.token("anna", PASSWORD).replace("</wsu:Created>", " and more</wsu:Created>"),
        re.sub("<wsse:Nonce>.*</wsse:Nonce>", "", onvif.token("anna", PASSWORD)),
    ],
    ids=["password", "user", "empty", "text", "created", "no-nonce"],
)
def test_a_wrong_token_opens_nothing(camcastd, users, header):
    client = Client(camcastd(onvif_config(**users), headers=WATCHER))
    with pytest.raises(Fault) as fault:
        client.ask("trt:GetProfiles", header=header)
    assert fault.value.status == 400 and fault.value.codes == ["Sender", "NotAuthorized"]


def test_a_token_is_good_once_and_in_its_time(camcastd, users):
    daemon = camcastd(onvif_config(daemon={"http": "0.0.0.0:0"}, **users), headers=WATCHER)
    client = Client(daemon)
    header = onvif.token("anna", PASSWORD)
    # Some clients make the same one for several requests, which may read.
    for _ in range(2):
        client.ask("trt:GetProfiles", header=header)

    def is_refused(one, action, token):
        with pytest.raises(Fault) as fault:
            one.ask(action, encoder(500), header=token)
        return fault.value.codes == ["Sender", "NotAuthorized"]

    assert is_refused(client, "trt:SetVideoEncoderConfiguration", header)
    assert is_refused(Client(daemon, source="127.0.0.2"), "trt:GetProfiles", header)
    for off in (-360, 360):
        assert is_refused(client, "trt:GetProfiles", onvif.token("anna", PASSWORD, time.time() + off))
    client.ask("trt:GetProfiles", header=onvif.token("anna", PASSWORD, time.time() - 120))


def test_guessing_is_slowed(camcastd, users):
    client = Client(camcastd(onvif_config(**users), headers=WATCHER))
    reasons = []
    for i in range(8):
        with pytest.raises(Fault) as fault:
            client.ask("trt:GetProfiles", header=onvif.token("anna", f"wrong {i}"))
        reasons.append(fault.value.reason)
    assert "Too many wrong passwords" in reasons[-1]


def test_a_peer_that_leaves_before_its_refusal_is_forgotten(camcastd, users):
    daemon = camcastd(onvif_config(**users), headers=WATCHER)
    text = onvif.envelope("<trt:GetProfiles/>", onvif.token("anna", "wrong")).encode()
    for _ in range(4):
        with contextlib.closing(socket.create_connection(("127.0.0.1", daemon.http_port))) as one:
            one.sendall(b"POST /onvif/media_service HTTP/1.1\r\nHost: localhost\r\n"
                        b"Content-Length: %d\r\n\r\n" % len(text) + text)
    Client(daemon, ("anna", PASSWORD)).ask("tds:GetServices")
    daemon.wait_log("wrong password")


def test_http_digest_and_basic_are_taken_too(camcastd, users):
    daemon = camcastd(onvif_config(**users), headers=WATCHER)
    client = Client(daemon)
    text = onvif.envelope("<trt:GetProfiles/>")
    status, headers, _ = client.post(text, "media_service")
    assert status == 401 and headers["WWW-Authenticate"].startswith("Digest ")

    def answer(password, nonce=None, uri="/onvif/media_service"):
        realm, fresh = re.match(r'Digest realm="(.*?)", nonce="(.*?)"', headers["WWW-Authenticate"]).groups()

        def md5(some):
            return hashlib.md5(some.encode()).hexdigest()

        response = md5(f"{md5(f'anna:{realm}:{password}')}:{nonce or fresh}:{md5('POST:' + uri)}")
        value = (f'Digest username="anna", realm="{realm}", nonce="{nonce or fresh}", uri="{uri}", '
                 f'response="{response}"')
        return client.post(text, "media_service", {"Authorization": value})

    assert answer(PASSWORD)[0] == 200
    assert answer("wrong")[0] == 401
    assert answer(PASSWORD, uri="/onvif/device_service")[0] == 401
    status, again, _ = answer(PASSWORD, nonce="0" * 40)
    assert status == 401 and "stale=true" in again["WWW-Authenticate"]
    basic = "Basic " + base64.b64encode(f"anna:{PASSWORD}".encode()).decode()
    assert client.post(text, "media_service", {"Authorization": basic})[0] == 200


def test_an_answer_to_digest_changes_something_only_as_the_first_to_its_challenge(camcastd, users):
    daemon = camcastd(onvif_config(daemon={"control": "yes"}, **users), headers=WATCHER)
    daemon.wait_log("delivers pictures")
    client = Client(daemon)
    reads = onvif.envelope("<trt:GetProfiles/>")
    name = "trt:SetVideoEncoderConfiguration"
    changes = onvif.envelope(f"<{name}>{encoder(500)}</{name}>")

    def answer_to(headers):
        nonce = re.search('nonce="(.*?)"', headers["WWW-Authenticate"])[1]
        first, second = (hashlib.md5(one.encode()).hexdigest()
                         for one in (f"anna:camcast:{PASSWORD}", "POST:/onvif/media_service"))
        response = hashlib.md5(f"{first}:{nonce}:{second}".encode()).hexdigest()
        return {"Authorization": f'Digest username="anna", realm="camcast", nonce="{nonce}", '
                                 f'uri="/onvif/media_service", response="{response}"'}

    def post(text, headers):
        return client.post(text, "media_service", headers)[:2]

    answer = answer_to(post(reads, {})[1])
    assert [post(reads, answer)[0] for _ in range(2)] == [200, 200]
    status, again = post(changes, answer)
    assert status == 401 and "stale=true" in again["WWW-Authenticate"]
    answer = answer_to(again)  # as a client does that knows the password
    assert [post(text, answer)[0] for text in (changes, reads, changes)] == [200, 200, 401]


def test_without_users_every_token_is_taken(camcastd):
    Client(camcastd(onvif_config()), ("admin", "anything")).ask("trt:GetProfiles")


# --- settings ---


def set_imaging(inside, camera="cam"):
    return (f"<timg:VideoSourceToken>{camera}</timg:VideoSourceToken>"
            f"<timg:ImagingSettings>{inside}</timg:ImagingSettings>")


def fake_camera(daemon=None, **sections):
    """A camera that says that it has the controls of libcamera's."""
    text = fakes.fake_config(daemon={"rtsp": "127.0.0.1:0", **(daemon or {})})
    text["camera cam"] = {"source": "libcamera:fake", "contrast": 1.5}
    return {**text, "onvif": {"discovery": "no"}, **sections}


def test_settings_of_a_camera_need_the_right_to_control(camcastd, users):
    users["user viewer"] = users.pop("user guest")
    users["user viewer"]["streams"] = ""
    daemon = camcastd(fake_camera(**users), headers=WATCHER, env=fakes.words())
    source = "<timg:VideoSourceToken>cam</timg:VideoSourceToken>"
    client = Client(daemon, ("anna", PASSWORD))
    daemon.wait_until(lambda: "Imaging" in str(onvif.ET.tostring(client.ask("tds:GetCapabilities"))),
                      "the service")

    def brightness(one=client):
        return one.text("timg:GetImagingSettings", ".//tt:Brightness", source)

    answer = client.ask("timg:GetImagingSettings", source)
    assert answer.find(".//tt:Contrast", SPACES).text == "1.5"
    assert answer.find(".//tt:Exposure/tt:Mode", SPACES).text == "AUTO"
    options = client.ask("timg:GetOptions", source)
    assert options.find(".//tt:Brightness/tt:Max", SPACES).text == "1"

    wanted = set_imaging(
        "<tt:Brightness>0.25</tt:Brightness><tt:Exposure><tt:Mode>MANUAL</tt:Mode>"
        "<tt:ExposureTime>5000</tt:ExposureTime></tt:Exposure><tt:WhiteBalance><tt:Mode>MANUAL</tt:Mode>"
        "<tt:CrGain>1.5</tt:CrGain><tt:CbGain>2</tt:CbGain></tt:WhiteBalance>"
    )
    for one in (Client(daemon, ("viewer", PASSWORD)), Client(daemon)):
        with pytest.raises(Fault) as fault:
            one.ask("timg:SetImagingSettings", wanted)
        assert fault.value.codes == ["Sender", "NotAuthorized"]
    assert brightness(Client(daemon, ("viewer", PASSWORD))) == "0.0"
    client.ask("timg:SetImagingSettings", wanted)
    answer = client.ask("timg:GetImagingSettings", source)
    assert brightness() == "0.25"
    assert answer.find(".//tt:Exposure/tt:ExposureTime", SPACES).text == "5000"
    assert answer.find(".//tt:WhiteBalance/tt:CrGain", SPACES).text == "1.5"
    # All or none.
    for bad in ("<tt:Brightness>7</tt:Brightness>",
                "<tt:Brightness>0.5</tt:Brightness><tt:Sharpness>much</tt:Sharpness>",
                "<tt:Brightness>0.5</tt:Brightness><tt:Exposure><tt:Mode>MANUAL</tt:Mode></tt:Exposure>"):
        with pytest.raises(Fault) as fault:
            client.ask("timg:SetImagingSettings", set_imaging(bad))
        assert fault.value.codes == ["Sender", "InvalidArgVal", "SettingsInvalid"]
    assert brightness() == "0.25"
    with pytest.raises(Fault) as fault:
        client.ask("timg:GetImagingSettings", source.replace("cam", "none"))
    assert fault.value.codes[-1] == "NoSource"


def test_a_page_of_another_site_changes_nothing(camcastd):
    daemon = camcastd(fake_camera(daemon={"control": "yes"}), env=fakes.words())
    client = Client(daemon)
    daemon.wait_until(lambda: "Imaging" in str(onvif.ET.tostring(client.ask("tds:GetCapabilities"))),
                      "the service")
    wanted = set_imaging("<tt:Brightness>0.25</tt:Brightness>")
    with pytest.raises(Fault) as fault:
        client.ask("timg:SetImagingSettings", wanted, headers={"Origin": "http://evil.example"})
    assert fault.value.codes == ["Sender", "NotAuthorized"]
    client.ask("timg:SetImagingSettings", wanted)


def test_a_camera_without_controls_has_no_settings(camcastd):
    client = Client(camcastd(onvif_config()))
    with pytest.raises(Fault) as fault:
        client.ask("timg:GetImagingSettings", "<timg:VideoSourceToken>cam</timg:VideoSourceToken>")
    assert fault.value.codes == ["Receiver", "ActionNotSupported", "NoImagingForSource"]


def encoder(bitrate, width=320):
    return ('<trt:Configuration token="s"><tt:Encoding>H264</tt:Encoding><tt:Resolution>'
            f"<tt:Width>{width}</tt:Width><tt:Height>180</tt:Height></tt:Resolution><tt:RateControl>"
            f"<tt:BitrateLimit>{bitrate}</tt:BitrateLimit></tt:RateControl></trt:Configuration>"
            "<trt:ForcePersistence>true</trt:ForcePersistence>")


def test_the_bitrate_of_an_encoder_can_be_set(camcastd):
    daemon = camcastd(onvif_config(daemon={"control": "yes"}))
    daemon.wait_log("delivers pictures")
    client = Client(daemon)
    client.ask("trt:SetVideoEncoderConfiguration", encoder(500))
    path = "trt:Configuration/tt:RateControl/tt:BitrateLimit"
    token = "<trt:ConfigurationToken>s</trt:ConfigurationToken>"
    daemon.wait_until(lambda: client.text("trt:GetVideoEncoderConfiguration", path, token) == "500",
                      "the bitrate")
    for one in (encoder(500, width=640), encoder(0)):
        with pytest.raises(Fault) as fault:
            client.ask("trt:SetVideoEncoderConfiguration", one)
        assert fault.value.codes[-1] == "ConfigModify"
    with pytest.raises(Fault) as fault:
        client.ask("trt:SetVideoEncoderConfiguration", encoder("many"))
    assert fault.value.codes[-1] == "InvalidArgVal"


# --- bad input ---

BODIES = {
    "empty": "",
    "no-xml": "hello",
    "json": json.dumps({"a": 1}),
    "nul": onvif.envelope("<tds:GetServices/>\0"),
    "entity": '<!DOCTYPE x [<!ENTITY a "b">]>' + onvif.envelope("<tds:GetServices>&a;</tds:GetServices>"),
    "external": '<!DOCTYPE x SYSTEM "file:///etc/passwd">' + onvif.envelope("<tds:GetServices/>"),
    "laughs": onvif.envelope("<tds:GetServices>&lol9;</tds:GetServices>"),
    "deep": onvif.envelope("<a>" * 1000 + "</a>" * 1000),
    "wide": onvif.envelope("<a/>" * 1000),
    "attributes": onvif.envelope("<a " + " ".join(f'a{i}=""' for i in range(200)) + "/>"),
    "prefixes": onvif.envelope("<a " + " ".join(f'xmlns:a{i}="a"' for i in range(300)) + "/>"),
    "unbound": onvif.envelope("<x:GetServices/>"),
    "open": onvif.envelope("<tds:GetServices>"),
    "latin1": onvif.envelope("<tds:GetServices>\udcfc</tds:GetServices>"),
    "no-body": f'<s:Envelope {onvif.declared("s")}/>',
    "no-action": onvif.envelope(""),
}


@pytest.mark.parametrize("name", BODIES)
def test_bad_xml_is_a_fault(camcastd, name):
    daemon = camcastd(onvif_config())
    client = Client(daemon)
    status, _, text = client.post(BODIES[name].encode(errors="surrogateescape"))
    fault = Fault(status, onvif.ET.fromstring(text))
    assert fault.status == 400 and fault.codes == ["Sender", "WellFormed"]
    client.ask("tds:GetServices")


def test_profiles_are_neither_made_nor_deleted(camcastd):
    """Synology tries to make one, and to delete it."""
    client = Client(camcastd(onvif_config()))
    named = "<trt:Name>SynoProfile</trt:Name>"
    for action, argument, codes in (
        ("trt:CreateProfile", named, ["Receiver", "Action", "MaxNVTProfiles"]),
        ("trt:DeleteProfile", of_profile("s"), ["Sender", "Action", "DeletionOfFixedProfile"]),
        ("trt:DeleteProfile", of_profile("none"), ["Sender", "InvalidArgVal", "NoProfile"]),
    ):
        with pytest.raises(Fault) as fault:
            client.ask(action, argument)
        assert fault.value.codes == codes
    assert names_of(client.ask("trt:GetProfiles"), "trt:Profiles") == ["s", "j"]


def test_other_requests_are_refused(camcastd):
    client = Client(camcastd(onvif_config()))
    old = onvif.envelope("<tds:GetServices/>").replace(SPACES["s"], "http://schemas.xmlsoap.org/soap/envelope/")
    status, _, text = client.post(old)
    assert status == 400 and Fault(status, onvif.ET.fromstring(text)).codes == ["VersionMismatch"]
    # The name is right, and its namespace is another service's.
    with pytest.raises(Fault) as fault:
        client.ask("trt:GetSystemDateAndTime")
    assert fault.value.codes == ["Receiver", "ActionNotSupported"]
    assert client.post("x" * 17000)[0] == 413
    with pytest.raises(urllib.error.HTTPError) as error:
        first_bytes(f"http://127.0.0.1:{client.daemon.http_port}/onvif/device_service")
    assert error.value.code == 405


def test_without_a_section_there_is_none(camcastd):
    daemon = camcastd({name: keys for name, keys in onvif_config().items() if name != "onvif"})
    assert Client(daemon).post(onvif.envelope("<tds:GetServices/>"))[0] in (404, 405)


def test_the_section_needs_http_and_rtsp(tmp_path):
    path = tmp_path / "c.ini"
    path.write_text(harness.config_text(onvif_config(daemon={"rtsp": "off"})))
    result = harness.run([harness.BUILD / "camcastd", "--check", "-c", path])
    assert result.returncode != 0
    assert "section [onvif] needs http and rtsp in section [daemon]" in result.stderr


# --- WS-Discovery ---


def lan_config(**onvif_section):
    every = {"http": "0.0.0.0:0", "rtsp": "0.0.0.0:0"}
    return onvif_config({"discovery": "yes", **onvif_section}, daemon=every)


def heard(finder, action, source):
    """What a message to all says: the element within its body."""
    while True:
        root, sender = finder.receive()
        found = root.find(f"s:Body/d:{action}", SPACES)
        if found is not None and sender == source:
            return found


def hello_url(finder):
    """Of the next hello, whoever says it."""
    while True:
        found = finder.receive()[0].find("s:Body/d:Hello/d:XAddrs", SPACES)
        if found is not None:
            return found.text


def start_in(start_camcastd, host, config, **options):
    with host:
        daemon = start_camcastd(config, **options)
        daemon.wait_log("delivers pictures")
    return daemon


def test_a_recorder_finds_the_server_and_hears_it_come_and_go(lan, start_camcastd, backend):
    server, recorder = lan.host("10.9.0.1/24"), lan.host("10.9.0.2/24")
    mac = json.loads(server.ip("-j", "link", "show", "eth0"))[0]["address"]
    with Finder(recorder, listens=True) as listener, Finder(recorder) as finder:
        daemon = start_in(start_camcastd, server, lan_config(location="garden"), backend=backend)
        hello = heard(listener, "Hello", "10.9.0.1")
        found = finder.find()
        url = f"http://10.9.0.1:{daemon.http_port}/onvif/device_service"
        for one in (hello, found):
            assert one.find("d:XAddrs", SPACES).text == url
            assert one.find("d:Types", SPACES).text == "dn:NetworkVideoTransmitter tds:Device"
            scopes = one.find("d:Scopes", SPACES).text.split()
            assert "onvif://www.onvif.org/location/garden" in scopes
            assert f"onvif://www.onvif.org/mac/{mac}" in scopes
        address = found.find("a:EndpointReference/a:Address", SPACES).text
        with recorder:
            client = Client(daemon, host="10.9.0.1")
            assert client.text("tds:GetEndpointReference", "tds:GUID") == address
            assert client.text("tds:GetNetworkInterfaces", ".//tt:HwAddress") == mac
            stream = client.text("trt:GetStreamUri", "trt:MediaUri/tt:Uri", of_profile("s"))
            assert count_pictures(stream) == 10
        # By its address alone too, as recorders do beyond a router.
        assert finder.find(to=("10.9.0.1", 3702)) is not None
        server.add("10.9.0.9/24")
        daemon.stop()
        bye = heard(listener, "Bye", "10.9.0.1")
        assert bye.find("a:EndpointReference/a:Address", SPACES).text == address


def test_only_questions_for_such_a_device_are_answered(lan, start_camcastd):
    server = lan.host("10.9.0.1/24")
    # Two, because one alone would reach the limit of its address.
    near, other = lan.host("10.9.0.2/24"), lan.host("10.9.0.3/24")
    start_in(start_camcastd, server, lan_config(name="Front door"))
    base = "onvif://www.onvif.org"
    compare = f"{SPACES['d']}/strcmp0"
    with Finder(near) as finder, Finder(other) as second:
        for question in (
            {"types": ""},
            {"types": "tds:Device dn:NetworkVideoTransmitter"},
            {"scopes": f"{base}/Profile/Streaming"},
            {"scopes": f"{base}/Profile {base}/name/Front%20door"},
            {"scopes": base + "/"},
            {"scopes": f"{base}/Profile/Streaming", "rule": compare},
        ):
            assert finder.find(**question) is not None, question
        for question in (
            {"types": "dn:NetworkVideoDisplay"},
            {"types": "dn:NetworkVideoTransmitter dn:Other"},
            {"types": "d:NetworkVideoTransmitter"},
            {"types": "x:Device"},
            {"scopes": f"{base}/Prof"},
            {"scopes": f"{base}/name/Back"},
            {"scopes": f"{base}/Profile", "rule": compare},
            {"scopes": base, "rule": "http://example.org/ldap"},
        ):
            assert second.find(**question) is None, question


def test_it_is_the_same_server_for_both_protocols_after_a_reload(lan, start_camcastd):
    """Another port is another server to a recorder, wherever it asks."""
    server, recorder = lan.host("10.9.0.1/24"), lan.host("10.9.0.2/24")
    config = lan_config()
    daemon = start_in(start_camcastd, server, config)
    config["daemon"]["http"] = "0.0.0.0:8089"
    daemon.reload(config)
    with Finder(recorder) as finder:
        found = finder.find()
    assert found.find("d:XAddrs", SPACES).text == "http://10.9.0.1:8089/onvif/device_service"
    address = found.find("a:EndpointReference/a:Address", SPACES).text
    with recorder:
        client = Client(daemon, host="10.9.0.1")
        assert client.text("tds:GetEndpointReference", "tds:GUID") == address


def test_it_is_found_at_a_new_address(lan, start_camcastd):
    server, recorder = lan.host("10.9.0.1/24"), lan.host("10.9.0.2/24")
    with Finder(recorder, listens=True) as listener:
        start_in(start_camcastd, server, lan_config())
        heard(listener, "Hello", "10.9.0.1")
        server.move("10.9.0.7/24")
        hello = heard(listener, "Hello", "10.9.0.7")
        assert "//10.9.0.7:" in hello.find("d:XAddrs", SPACES).text


def test_an_interface_with_two_addresses_says_hello_once(lan, start_camcastd):
    server, recorder = lan.host("10.9.0.1/24", "10.8.0.1/24"), lan.host("10.9.0.2/24")
    with Finder(recorder, listens=True) as listener:
        start_in(start_camcastd, server, lan_config())
        urls = [hello_url(listener)]
        server.move("10.9.0.7/24")
        while "//10.9.0.7:" not in urls[-1]:
            urls.append(hello_url(listener))
        assert len(urls) == 2, urls


def test_other_networks_and_floods_are_not_answered(lan, start_camcastd):
    server, recorder, far = lan.host("10.9.0.1/24"), lan.host("10.9.0.2/24"), lan.host("10.8.0.2/24")
    server.ip("route", "add", "10.8.0.0/24", "dev", "eth0")
    far.ip("route", "add", "10.9.0.0/24", "dev", "eth0")
    far.ip("route", "add", "239.0.0.0/8", "dev", "eth0")
    daemon = start_in(start_camcastd, server, lan_config())
    with Finder(far) as stranger, Finder(recorder) as finder:
        stranger.send(onvif.probe()[1])
        stranger.send(onvif.probe()[1], ("10.9.0.1", 3702))
        assert finder.find() is not None  # what came before has been read
        stranger.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.receive()
        for _ in range(400):
            finder.send(onvif.probe()[1])
        daemon.wait_log("more questions of WS-Discovery than are answered")
        finder.socket.setblocking(False)
        answers = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                finder.receive()
                answers += 1
        assert answers < 100


def test_a_server_that_serves_only_itself_is_not_announced(lan, start_camcastd):
    server, recorder = lan.host("10.9.0.1/24"), lan.host("10.9.0.2/24")
    config = lan_config()
    start_in(start_camcastd, server, {**config, "daemon": {**config["daemon"], "http": "127.0.0.1:0"}})
    other = lan.host("10.9.0.3/24")
    start_in(start_camcastd, other, config)
    with Finder(recorder) as finder:
        assert finder.find() is not None
        finder.send(onvif.probe()[1], ("10.9.0.1", 3702))
        finder.send(onvif.probe()[1], ("10.9.0.3", 3702))
        assert finder.receive()[1] == "10.9.0.3"


@pytest.mark.parametrize("right", [True, False])
def test_onvif_util_of_debian_finds_and_asks(lan, start_camcastd, users, right):
    """A client library with its own discovery; it asks for a command again and again."""
    server, recorder = lan.host("10.9.0.1/24"), lan.host("10.9.0.2/24")
    recorder.ip("route", "add", "239.0.0.0/8", "dev", "eth0")
    daemon = start_in(start_camcastd, server, {**lan_config(), **users}, headers=WATCHER)
    with recorder:
        all_found = harness.run(["onvif-util", "-a"], timeout=60 * harness.PATIENCE)
        assert "10.9.0.1" in all_found.stdout, all_found
        asked = harness.run(
            ["onvif-util", "-u", "anna", "-p", PASSWORD if right else "wrong", "10.9.0.1"],
            input="get rtsp\nget profiles\nget video\nget network\nquit\n",
            timeout=60 * harness.PATIENCE,
        )
    assert (f"rtsp://10.9.0.1:{daemon.rtsp_port}/s" in asked.stdout) == right, asked
