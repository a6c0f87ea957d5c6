# SPDX-License-Identifier: BSD-2-Clause
"""nginx with its RTMP module: RTMP in, and out as RTMP or as HLS. Debian has no module for HTTP-FLV.
One process is enough, because one stream lives in one worker."""
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
    application live {{ live on; wait_key on; wait_video on; idle_streams on; {hls} }}
  }}
}}
{http}
"""
# Segments of a second, as those of camcastd.
HLS = "hls on; hls_path {folder}/hls; hls_fragment 1s; hls_playlist_length 8s;"
HTTP = """http {{
  sendfile on; tcp_nopush on; tcp_nodelay on; access_log off; keepalive_requests 1000000;
  open_file_cache max=100 inactive=10s; open_file_cache_valid 1s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
  server {{
    listen {host}:{http_port};
    root {folder}/hls;
    location ~ m3u8$ {{ open_file_cache off; }}
  }}
}}
"""


class Nginx(servers.Server):
    name = "nginx-rtmp"
    packages = ("nginx-light", "libnginx-mod-rtmp")

    hls = http = ""

    def start(self):
        port = servers.free_port()
        config = self.folder / "nginx.conf"
        text = CONFIG.format(
            folder=self.folder, host=servers.HERE, port=port, hls=self.hls, http=self.http
        )
        config.write_text(text, encoding="utf-8")
        self.run("nginx", "-p", self.folder, "-e", "stderr", "-c", config)
        servers.wait_for("nginx", lambda: servers.accepts(port))
        self.target = f"rtmp://{servers.reached(port)}/live/s"
        self.publish(
            *("flv", "-o", "flvflags=no_duration_filesize"), f"rtmp://{servers.HERE}:{port}/live/s"
        )


class NginxHls(Nginx):
    """The same with HLS, whose segments nginx serves as files."""

    name = "nginx-rtmp HLS"
    options = ("--framing", "hls-plain")

    def start(self):
        folder, port = self.folder, servers.free_port()
        (folder / "hls").mkdir(mode=0o777)
        self.hls = HLS.format(folder=folder)
        self.http = HTTP.format(folder=folder, host=servers.HERE, http_port=port)
        super().start()
        self.target = f"http://{servers.reached(port)}/s.m3u8"
        servers.wait_for("nginx's playlist", lambda: servers.sends(self.target))
