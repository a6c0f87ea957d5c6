# SPDX-License-Identifier: BSD-2-Clause
"""The other servers, from Debian's packages, each configured as its manual advises for live video
to many clients. Each sends every unit at once. Where the server can do it, clients begin at a key
unit, and slow clients are disconnected or return to a key unit."""
from peers.gst_rtsp import GstRtsp
from peers.gstreamer import GStreamer
from peers.icecast import Icecast
from peers.nginx import Nginx, NginxHls
from peers.nginx_tls import FILES, IN_KERNEL, PROXIES
from peers.threads import PythonThreads
from peers.ustreamer import UStreamer
from peers.vlc import Vlc, VlcRtsp

PEERS = {peer.name: peer for peer in (Nginx, Vlc, GStreamer, Icecast, PythonThreads)}
TLS, KERNEL_TLS = (*FILES, *PROXIES), IN_KERNEL
HLS, MJPEG, RTSP, RTSP_UDP = (NginxHls,), (UStreamer,), (GstRtsp,), (VlcRtsp,)
