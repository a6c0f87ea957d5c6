# SPDX-License-Identifier: BSD-2-Clause
"""nginx that sends the units of camcastd over TLS: the price of TLS in a server that is made for it.
As a file it sends what is due once a second, at their rate, or, with a sendfile_max_chunk of a unit,
one unit after the other. As a proxy, without a buffer, it sends each unit when it comes; it then
receives them, too, so what TLS adds is the difference to the same proxy without TLS."""
import subprocess

import servers

RECORD_S = 4
REPEATS = 12  # of the recording, in the file
CONFIG = """daemon off;
master_process off;
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 20000; }}
http {{
  sendfile on; tcp_nodelay on; access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {host}:{port} {listen} backlog=4096;
    {content}
  }}
}}
"""
SECURE = """ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;"""
FILE = "root {folder}; limit_rate {rate}; sendfile_max_chunk {chunk};"
EVERYTHING = "2m"  # that is due, as by default
# The buffer takes a unit at once.
PROXY = """location / {{
      proxy_pass http://{upstream}; proxy_http_version 1.1;
      proxy_buffering off; proxy_buffer_size 64k; proxy_buffers 8 64k;
    }}"""


class NginxTls(servers.Server):
    name = "nginx TLS"
    packages = ("nginx-common",)  # of any flavour
    more = ""
    chunk = EVERYTHING
    source = None  # where a proxy gets its units

    def record(self):
        """A file of units of the exact size; it begins at a key unit, as it is cut at one."""
        one = self.folder / "one.h264"
        with servers.Camcastd("epoll", size=self.size) as server:
            url = f"http://127.0.0.1:{server.http}/s.h264"
            servers.wait_for(url, lambda: servers.sends(url))
            command = ["curl", "-s", "--max-time", RECORD_S, "-o", one, url]
            subprocess.run(list(map(str, command)), check=False)
        data = one.read_bytes()
        data = data[: len(data) // (30 * self.size) * 30 * self.size]
        with (self.folder / "s.h264").open("wb") as file:
            for _ in range(REPEATS):
                file.write(data)

    def serve(self, content, secure=True):
        port = servers.free_port()
        if secure:
            certificate, key = servers.make_certificate(self.folder / "tls")
            content = SECURE.format(certificate=certificate, key=key) + self.more + content
        config = self.folder / "nginx.conf"
        text = CONFIG.format(
            folder=self.folder, host=servers.HERE, port=port, listen="ssl" if secure else "",
            content=content,
        )
        config.write_text(text, encoding="utf-8")
        self.run("nginx", "-p", self.folder, "-e", "stderr", "-c", config)
        servers.wait_for("nginx", lambda: servers.accepts(port))
        scheme = "https" if secure else "http"
        self.target = f"{scheme}://{servers.reached(port)}/s.h264"

    def start(self):
        self.record()
        rate = self.size * self.rate
        self.serve(FILE.format(folder=self.folder, rate=rate, chunk=self.chunk or self.size))


class NginxUnitTls(NginxTls):
    """After each unit nginx waits as long as limit_rate demands for it."""

    name = "nginx TLS by units"
    chunk = None


class NginxProxyTls(NginxTls):
    name = "nginx proxy TLS"
    secure = True

    def start(self):
        self.source = servers.Camcastd(
            "epoll", size=self.size, rate=self.rate, core=servers.LOAD_CORE
        )
        self.source.__enter__()
        self.serve(PROXY.format(upstream=f"{servers.HERE}:{self.source.http}"), self.secure)

    def __exit__(self, *words):
        super().__exit__(*words)
        if self.source:
            self.source.__exit__(*words)
            self.source = None


class NginxProxy(NginxProxyTls):
    name = "nginx proxy"
    secure = False


def in_kernel(kind):
    """nginx hands the keys to the kernel, and sends the file by reference."""
    return type(
        kind.__name__ + "InKernel",
        (kind,),
        {"name": f"{kind.name} in the kernel", "more": "ssl_conf_command Options KTLS;"},
    )


FILES, PROXIES = (NginxTls, NginxUnitTls), (NginxProxyTls, NginxProxy)
IN_KERNEL = tuple(in_kernel(kind) for kind in (*FILES, NginxProxyTls))
