# SPDX-License-Identifier: BSD-2-Clause
"""VLC: raw H.264 in by TCP, out by HTTP without a container."""
import pwd

import servers


class Vlc(servers.Server):
    name = "vlc"
    packages = ("vlc-bin", "vlc-plugin-base")

    def start(self):
        camera, port = servers.free_port(), servers.free_port()
        out = f"#standard{{access=http,mux=raw,dst={servers.HERE}:{port}/s}}"
        # VLC refuses to run as root.
        self.run(
            *("vlc", "-I", "dummy", "--no-audio", "--no-video-title-show", "--no-media-library"),
            *("--network-caching", "0", "--live-caching", "0", "--sout-mux-caching", "0"),
            *("--demux", "h264", "--h264-fps", "30", "--sout-keep", "--loop", "--sout", out),
            f"tcp://{servers.HERE}:{camera}",
            user=pwd.getpwnam("nobody").pw_uid,
            env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        )
        self.publish("h264", f"tcp://{servers.HERE}:{camera}?listen=1&tcp_nodelay=1")
        self.target = f"http://{servers.reached(port)}/s"
        servers.wait_for("vlc", lambda: servers.sends(self.target))
