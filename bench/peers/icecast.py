# SPDX-License-Identifier: BSD-2-Clause
"""icecast2 with MPEG-TS, which it does not parse: clients begin anywhere."""
import os
import pwd

import servers

CONFIG = """<icecast>
  <limits>
    <clients>20000</clients><sources>2</sources><queue-size>10485760</queue-size>
    <burst-on-connect>1</burst-on-connect><burst-size>65536</burst-size>
  </limits>
  <authentication>
    <source-password>bench</source-password>
    <admin-user>admin</admin-user><admin-password>bench</admin-password>
  </authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>{port}</port><bind-address>{host}</bind-address></listen-socket>
  <fileserve>0</fileserve>
  <paths>
    <basedir>/usr/share/icecast2</basedir><logdir>{logs}</logdir>
    <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging><accesslog>access</accesslog><errorlog>error</errorlog><loglevel>1</loglevel></logging>
</icecast>
"""


class Icecast(servers.Server):
    name = "icecast2"
    packages = ("icecast2",)
    options = ("--framing", "ts")

    def start(self):
        port, user = servers.free_port(), pwd.getpwnam("nobody").pw_uid
        logs, config = self.folder / "logs", self.folder / "icecast.xml"
        logs.mkdir()
        if os.getuid() == 0:
            os.chown(logs, user, -1)  # it refuses to run as root
        config.write_text(CONFIG.format(host=servers.HERE, port=port, logs=logs), encoding="utf-8")
        self.run("icecast2", "-c", config, user=user)
        servers.wait_for("icecast2", lambda: servers.accepts(port))
        source = f"icecast://source:bench@{servers.HERE}:{port}/s.ts"
        self.publish("mpegts", "-o", "content_type=video/mp2t", source)
        self.target = f"http://{servers.reached(port)}/s.ts"
        servers.wait_for("icecast2's source", lambda: servers.sends(self.target))
