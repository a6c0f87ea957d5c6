# SPDX-License-Identifier: BSD-2-Clause
"""VLC: raw H.264 in by TCP, out by HTTP without a container, or by RTSP over UDP."""
import pwd
import socket

import servers


def describes(port):
    """Whether it describes a track: who asks before has nothing to play."""
    request = f"DESCRIBE rtsp://{servers.HERE}:{port}/s RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    try:
        with socket.create_connection((servers.HERE, port), timeout=2) as connection:
            connection.sendall(request.encode())
            return b"sprop-parameter-sets" in connection.recv(65536)
    except OSError:
        return False


class Vlc(servers.Server):
    name = "vlc"
    packages = ("vlc-bin", "vlc-plugin-base")
    scheme, caching = "http", "--sout-mux-caching"
    form = "#standard{{access=http,mux=raw,dst={address}/s}}"
    ready = staticmethod(servers.accepts)

    def start(self):
        camera, port = servers.free_port(), servers.free_port()
        out = self.form.format(address=f"{servers.HERE}:{port}")
        # VLC refuses to run as root.
        self.run(
            *("vlc", "-I", "dummy", "--no-audio", "--no-video-title-show", "--no-media-library"),
            *("--network-caching", "0", "--live-caching", "0", self.caching, "0"),
            *("--demux", "h264", "--h264-fps", "30", "--sout-keep", "--loop", "--sout", out),
            f"tcp://{servers.HERE}:{camera}",
            user=pwd.getpwnam("nobody").pw_uid,
            env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        )
        self.publish("h264", f"tcp://{servers.HERE}:{camera}?listen=1&tcp_nodelay=1")
        self.target = f"{self.scheme}://{servers.reached(port)}/s"
        servers.wait_for("vlc", lambda: self.ready(port))


class VlcRtsp(Vlc):
    """Its server of RTSP sends over UDP only; a SETUP for TCP gets 461."""

    scheme, caching = "rtsp", "--sout-rtp-caching"
    form = "#rtp{{sdp=rtsp://{address}/s}}"
    ready = staticmethod(describes)
