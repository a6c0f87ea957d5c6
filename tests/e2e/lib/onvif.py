# SPDX-License-Identifier: BSD-2-Clause
"""A client of ONVIF that says exactly what a test wants, and WS-Discovery."""
import base64
import contextlib
import datetime
import hashlib
import http.client
import os
import socket
import time
import uuid
import xml.etree.ElementTree as ET

import harness

SPACES = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "tt": "http://www.onvif.org/ver10/schema",
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "timg": "http://www.onvif.org/ver20/imaging/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "d": "http://schemas.xmlsoap.org/ws/2005/04/discovery",
    "dn": "http://www.onvif.org/ver10/network/wsdl",
    "wsse": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd",
    "wsu": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd",
}
DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
PATHS = {"tds": "device_service", "trt": "media_service", "timg": "imaging_service"}
GROUP = ("239.255.255.250", 3702)


def declared(*prefixes):
    return " ".join(f'xmlns:{one}="{SPACES[one]}"' for one in prefixes)


def token(name, password, created=None, nonce=None, kind=DIGEST):
    """A header with a UsernameToken. created: seconds since 1970."""
    at = datetime.datetime.fromtimestamp(created or time.time(), datetime.timezone.utc)
    created = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    nonce = nonce or os.urandom(16)
    digest = hashlib.sha1(nonce + created.encode() + password.encode()).digest()
    return (
        f'<s:Header><wsse:Security {declared("wsse", "wsu")} s:mustUnderstand="1">'
        f"<wsse:UsernameToken><wsse:Username>{name}</wsse:Username>"
        f'<wsse:Password Type="{kind}">{base64.b64encode(digest).decode()}</wsse:Password>'
        f"<wsse:Nonce>{base64.b64encode(nonce).decode()}</wsse:Nonce>"
        f"<wsu:Created>{created}</wsu:Created></wsse:UsernameToken></wsse:Security></s:Header>"
    )


def envelope(body, header=""):
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<s:Envelope {declared("s", "tt", *PATHS)}>{header}<s:Body>{body}</s:Body></s:Envelope>'
    )


class Fault(Exception):
    def __init__(self, status, root):
        super().__init__(status, ET.tostring(root))
        self.status = status
        codes = [one.text for one in root.iter(f'{{{SPACES["s"]}}}Value')]
        self.codes = [one.split(":")[1] for one in codes]
        self.reason = root.find(".//s:Text", SPACES).text


class Client:
    """What a recorder asks of a server. user: (name, password); None: no token."""

    def __init__(self, daemon, user=None, host="127.0.0.1", source=None):
        self.daemon, self.user, self.host = daemon, user, host
        self.source = (source, 0) if source else None

    def post(self, text, path="device_service", headers=None):
        """(status, headers, body)"""
        headers = {"Content-Type": "application/soap+xml; charset=utf-8", **(headers or {})}
        one = http.client.HTTPConnection(
            self.host, self.daemon.http_port, 10 * harness.PATIENCE, self.source
        )
        with contextlib.closing(one):
            one.request("POST", f"/onvif/{path}", text, headers)
            answer = one.getresponse()
            return answer.status, answer.headers, answer.read()

    def ask(self, action, inside="", header=None, headers=None):
        """action: "tds:GetServices". The element of the answer; raises Fault."""
        if header is None:
            header = token(*self.user) if self.user else ""
        body = f"<{action}>{inside}</{action}>"
        prefix, name = action.split(":")
        if prefix not in PATHS:
            body = f"<{action} {declared(prefix)}>{inside}</{action}>"
        path = PATHS.get(prefix, "device_service")
        status, _, text = self.post(envelope(body, header), path, headers)
        root = ET.fromstring(text)
        if status != 200:
            raise Fault(status, root)
        answer = root.find(f"s:Body/{action}Response", SPACES)
        assert answer is not None, (action, text)
        return answer

    def text(self, action, path, inside=""):
        """The text of one element of the answer."""
        return self.ask(action, inside).find(path, SPACES).text

    def profile_token(self):
        return self.ask("trt:GetProfiles").find("trt:Profiles", SPACES).get("token")


def of_profile(name):
    return f"<trt:ProfileToken>{name}</trt:ProfileToken>"


def probe(types="dn:NetworkVideoTransmitter", scopes=None, rule=None):
    """(id, datagram). scopes None: no such element."""
    message = f"urn:uuid:{uuid.uuid4()}"
    rule = f' MatchBy="{rule}"' if rule else ""
    scopes = "" if scopes is None else f"<d:Scopes{rule}>{scopes}</d:Scopes>"
    text = (
        f'<s:Envelope {declared("s", "a", "d", "dn", "tds")}><s:Header>'
        f"<a:MessageID>{message}</a:MessageID><a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery"
        "</a:To><a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>"
        f"</s:Header><s:Body><d:Probe><d:Types>{types}</d:Types>{scopes}</d:Probe></s:Body>"
        "</s:Envelope>"
    )
    return message, text.encode()


class Finder:
    """A socket that asks and hears answers; listens: also what is said to all. In the namespace of
    `host`, a Host of netns.Lan."""

    def __init__(self, host, listens=False):
        with host:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("", GROUP[1] if listens else 0))
            own = socket.inet_aton(host.addresses[0].split("/")[0])
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
            if listens:
                group = socket.inet_aton(GROUP[0]) + own
                self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        self.socket.settimeout(5 * harness.PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, datagram, to=GROUP):
        self.socket.sendto(datagram, to)

    def receive(self):
        """(root, sender's address)"""
        text, sender = self.socket.recvfrom(65536)
        return ET.fromstring(text), sender[0]

    def find(self, to=GROUP, **question):
        """The match of a probe, as an element; None: nobody answers before a second probe, which
        any server answers, is answered."""
        message, datagram = probe(**question)
        last, marker = probe(types="")
        self.send(datagram, to)
        self.send(marker, to)
        found = None
        while True:
            root, _ = self.receive()
            relates = root.find("s:Header/a:RelatesTo", SPACES).text
            if relates == last:
                return found
            assert relates == message
            found = root.find("s:Body/d:ProbeMatches/d:ProbeMatch", SPACES)
