# SPDX-License-Identifier: BSD-2-Clause
"""GStreamer's tcpserversink, tuned. Whole units come in as FLV, so that its parser does not wait
for the next one. Clients begin at a key unit, and slow ones return to one."""
import subprocess

import servers


class GStreamer(servers.Server):
    name = "gstreamer"
    packages = ("gstreamer1.0-tools", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good")
    packages += ("gstreamer1.0-plugins-bad",)

    def start(self):
        port = servers.free_port()
        sink = f"tcpserversink host={servers.HERE} port={port} sync=false sync-method=latest-keyframe "
        sink += "recover-policy=keyframe unit-format=buffers units-max=90 units-soft-max=60"
        pipeline = "fdsrc fd=0 ! flvdemux ! h264parse config-interval=-1 ! "
        pipeline += f"video/x-h264,stream-format=byte-stream,alignment=au ! {sink}"
        server = self.run("gst-launch-1.0", "-q", *pipeline.split(), stdin=subprocess.PIPE)
        self.publish("flv", "-o", "flvflags=no_duration_filesize", stdout=server.stdin)
        servers.wait_for("gstreamer", lambda: servers.accepts(port))
        self.target = servers.reached(port)
