# SPDX-License-Identifier: BSD-2-Clause
"""The example test-launch of gst-rtsp-server, whose library Debian has, but not its examples:

    /usr/bin/python3 bench/peers/rtsp_server.py HOST PORT PIPELINE

serves one shared pipeline as rtsp://HOST:PORT/test. All that happens for a client happens in the
library."""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
# pylint: disable=wrong-import-position
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main():
    host, port, pipeline = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(host)
    server.set_service(port)
    server.set_backlog(4096)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline)
    factory.set_shared(True)
    server.get_mount_points().add_factory("/test", factory)
    if not server.attach(None):
        sys.exit(f"cannot listen on {host}:{port}")
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
