# SPDX-License-Identifier: BSD-2-Clause
"""nginx that sends the units of camcastd as a file, over TLS, at their rate: the price of TLS in a
server that is made for it. It sends what is due once a second, not each unit when it comes."""
import subprocess

import footage
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
    listen {host}:{port} ssl backlog=4096;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    root {folder};
    limit_rate {rate};
  }}
}}
"""


class NginxTls(servers.Server):
    name = "nginx TLS"
    packages = ("nginx-common",)  # of any flavour

    def record(self):
        """A file of units of the exact size; it begins at a key unit, as it is cut at one."""
        one = self.folder / "one.h264"
        with servers.Camcastd("epoll", size=self.size) as server:
            url = f"http://127.0.0.1:{server.http}/s.h264"
            command = ["curl", "-s", "--max-time", RECORD_S, "-o", one, url]
            subprocess.run(list(map(str, command)), check=False)
        data = one.read_bytes()
        data = data[: len(data) // (30 * self.size) * 30 * self.size]
        with (self.folder / "s.h264").open("wb") as file:
            for _ in range(REPEATS):
                file.write(data)

    def start(self):
        self.record()
        certificate, key = servers.make_certificate(self.folder / "tls")
        port = servers.free_port()
        config = self.folder / "nginx.conf"
        text = CONFIG.format(
            folder=self.folder, host=servers.HERE, port=port, certificate=certificate, key=key,
            rate=self.size * footage.RATE,
        )
        config.write_text(text, encoding="utf-8")
        self.run("nginx", "-p", self.folder, "-e", "stderr", "-c", config)
        servers.wait_for("nginx", lambda: servers.accepts(port))
        self.target = f"https://{servers.reached(port)}/s.h264"
