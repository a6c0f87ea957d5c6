# SPDX-License-Identifier: BSD-2-Clause
"""An authority of the test's own, and certificates that it signs, by the openssl program."""
import pathlib
import ssl
import subprocess


def openssl(*words, **options):
    return subprocess.run(
        ["openssl", *map(str, words)], check=True, capture_output=True, text=True, **options
    ).stdout


class Authority:
    """trusted: clients are to trust it."""

    def __init__(self, folder, trusted=True):
        name = "test authority" if trusted else "stranger"
        self.trusted = trusted
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.certificate = self.folder / "ca.pem"
        self.key = self.folder / "ca.key"
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", 2, "-subj", f"/CN={name}", "-out", self.certificate, "-keyout", self.key,
        )

    def sign(self, name, names="DNS:localhost,IP:127.0.0.1", rsa=False, usage="serverAuth",
             days=1):
        """(certificate, key) in files of this name; others take their place at once."""
        paths = [self.folder / f"{name}.{end}" for end in ("pem", "key", "csr", "ext")]
        certificate, key, request, extensions = paths
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        new = key.with_suffix(".newkey")
        openssl("req", "-newkey", *kind, "-nodes", "-subj", f"/CN={name}",
                "-keyout", new, "-out", request)
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage={usage}\n")
        signed = certificate.with_suffix(".newpem")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", signed)
        signed.rename(certificate)
        new.rename(key)
        return certificate, key

    def sign_viewer(self, name, **options):
        """(certificate, key) of a client."""
        return self.sign(name, usage="clientAuth", **options)

    def context(self, own=None):
        """For a client that trusts this authority alone; own: its (certificate, key)."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if own:
            context.load_cert_chain(*own)
        return context


def fingerprint(certificate):
    """SHA-256 of the certificate in a file, in lower case without colons."""
    text = openssl("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256")
    return text.strip().partition("=")[2].replace(":", "").lower()
