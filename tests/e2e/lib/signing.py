# SPDX-License-Identifier: BSD-2-Clause
"""Announcements signed and checked by openssl, as docs/DISCOVERY.md describes them."""
import hashlib
import json
import re
import uuid

from harness import output_of

# RFC 8410: what stands in front of a public key of Ed25519.
PUBLIC_HEAD = bytes.fromhex("302a300506032b6570032100")
SIGNATURE = re.compile(r',"signature":"([0-9a-f]{128})"}$')


def fingerprint(key):
    """key: as in an announcement."""
    return hashlib.sha256(bytes.fromhex(key)).hexdigest()[:32]


def signed_bytes(text):
    return b"camcast info 1\n" + text.encode()


class Signer:
    """Somebody with a key of their own, whose files are in folder."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / f"signer-{uuid.uuid4().hex[:8]}.pem"
        output_of("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path)
        public = self.path.with_suffix(".der")
        output_of("openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER", "-out", public)
        self.key = public.read_bytes()[len(PUBLIC_HEAD) :].hex()

    def sign(self, info, start=1, count=1):
        """info: a dictionary. The text of a signed announcement."""
        signed = f'"signed":{{"key":"{self.key}","start":{start},"count":{count}}}'
        text = json.dumps(info)[:-1] + "," + signed
        message, signature = self.path.with_suffix(".bin"), self.path.with_suffix(".sig")
        message.write_bytes(signed_bytes(text))
        output_of("openssl", "pkeyutl", "-sign", "-inkey", self.path, "-rawin", "-in", message,
                  "-out", signature)
        return f'{text},"signature":"{signature.read_bytes().hex()}"}}'


def check(text, folder):
    """The member `signed` of an announcement whose signature openssl finds right."""
    match = SIGNATURE.search(text)
    assert match, f"not signed: {text}"
    signed = json.loads(text)["signed"]
    files = [folder / f"check-{uuid.uuid4().hex[:8]}.{name}" for name in ("der", "sig", "bin")]
    files[0].write_bytes(PUBLIC_HEAD + bytes.fromhex(signed["key"]))
    files[1].write_bytes(bytes.fromhex(match[1]))
    files[2].write_bytes(signed_bytes(text[: match.start()]))
    output_of("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", files[0], "-keyform", "DER",
              "-sigfile", files[1], "-rawin", "-in", files[2])
    return signed
