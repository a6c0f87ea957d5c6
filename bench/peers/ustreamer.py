# SPDX-License-Identifier: BSD-2-Clause
"""uStreamer, which takes JPEGs from a camera and sends them by HTTP. bench/peers/camera.c plays the
camera within its process: the machine that measures needs none."""
import os

import footage
import servers


class UStreamer(servers.Server):
    name = "ustreamer"
    packages = ("ustreamer",)
    options = ("--framing", "mjpg")

    def start(self):
        port = servers.free_port()
        environ = dict(
            os.environ,
            LD_PRELOAD=str(servers.BUILD / "bench/peers/camera.so"),
            CAMCAST_CAMERA=f"size={self.size} rate={footage.RATE}",
        )
        self.run(
            *("ustreamer", "--device", "/dev/camcast-bench", "--format", "MJPEG"),
            *("--encoder", "HW", "--workers", 1, "--resolution", "1280x720", "--persistent"),
            *("--host", servers.HERE, "--port", port, "--tcp-nodelay"),
            env=environ,
        )
        self.target = f"http://{servers.reached(port)}/stream"
        servers.wait_for("ustreamer", lambda: servers.sends(self.target))
