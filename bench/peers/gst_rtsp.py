# SPDX-License-Identifier: BSD-2-Clause
"""gst-rtsp-server with the pipeline of its example test-launch. The camera waits until the first
client asks for the stream, and whole units come in as FLV, so that no parser waits for the next
one."""
import pathlib

import servers


class GstRtsp(servers.Server):
    name = "gst-rtsp-server"
    packages = ("gir1.2-gst-rtsp-server-1.0", "python3-gi", "gstreamer1.0-plugins-base")
    packages += ("gstreamer1.0-plugins-good", "gstreamer1.0-plugins-bad")

    def start(self):
        camera, port = servers.free_port(), servers.free_port()
        pipeline = f"( tcpclientsrc host={servers.HERE} port={camera} ! flvdemux ! h264parse ! "
        pipeline += "rtph264pay name=pay0 pt=96 config-interval=-1 )"
        program = pathlib.Path(__file__).with_name("rtsp_server.py")
        self.run("/usr/bin/python3", "-B", program, servers.HERE, port, pipeline)
        self.publish(
            *("flv", "-o", "flvflags=no_duration_filesize"),
            f"tcp://{servers.HERE}:{camera}?listen=1&tcp_nodelay=1",
        )
        servers.wait_for("gst-rtsp-server's camera", lambda: servers.listens(camera))
        servers.wait_for("gst-rtsp-server", lambda: servers.accepts(port))
        self.target = f"rtsp://{servers.reached(port)}/test"
