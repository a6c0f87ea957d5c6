# SPDX-License-Identifier: BSD-2-Clause
"""What people use today, from Debian's packages, each configured as its manual advises for live
video to many: each unit goes out at once, clients begin at a key unit where the server knows what
that is, and slow clients are dropped or resynchronized where it can."""
from peers.gstreamer import GStreamer
from peers.icecast import Icecast
from peers.nginx import Nginx
from peers.threads import PythonThreads
from peers.vlc import Vlc

PEERS = {peer.name: peer for peer in (Nginx, Vlc, GStreamer, Icecast, PythonThreads)}
