# SPDX-License-Identifier: BSD-2-Clause
"""nginx with its RTMP module: RTMP in, RTMP out. Debian has no module for HTTP-FLV. One process is
enough, because one stream lives in one worker."""
import servers

CONFIG = """load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off;
master_process off;
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 20000; }}
rtmp {{
  server {{
    listen {host}:{port};
    chunk_size 65536;
    ping 10m;
    application live {{ live on; wait_key on; wait_video on; idle_streams on; }}
  }}
}}
"""


class Nginx(servers.Server):
    name = "nginx-rtmp"
    packages = ("nginx-light", "libnginx-mod-rtmp")

    def start(self):
        port = servers.free_port()
        config = self.folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=self.folder, host=servers.HERE, port=port), encoding="utf-8")
        self.run("nginx", "-p", self.folder, "-e", "stderr", "-c", config)
        servers.wait_for("nginx", lambda: servers.accepts(port))
        self.target = f"rtmp://{servers.reached(port)}/live/s"
        self.publish(
            *("flv", "-o", "flvflags=no_duration_filesize"), f"rtmp://{servers.HERE}:{port}/live/s"
        )
