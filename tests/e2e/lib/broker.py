# SPDX-License-Identifier: BSD-2-Clause
"""A real mosquitto for tests, on a port of its own, a gate in front of it that knows one version only,
certificates, and a Python client to talk to it."""
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
import uuid

import paho.mqtt.client as paho

from harness import BUILD, PATIENCE, Failure, free_port, output_of, start, with_mount


class Broker:
    """One mosquitto, started by the constructor; it keeps its port over stop() and start().

    address: None for all of them, which then needs a port. passwords: {user: password}, anonymous
    clients are then refused. lines: more of mosquitto.conf, for the listener or for all of it
    ("require_certificate true", "acl_file ..."). Made in a network namespace, it lives there.
    """

    def __init__(self, folder, address="127.0.0.1", port=None, passwords=None, lines=()):
        self.folder = pathlib.Path(folder) / f"broker-{uuid.uuid4().hex[:8]}"
        self.folder.mkdir()
        self.address = address
        self.port = port
        self.process = None
        self._reader = None
        self.log = []
        self._times = []  # of the lines of the log, monotonic
        self._lines = list(lines)
        self._changed = threading.Condition()
        if passwords:
            file = self.folder / "passwords"
            file.write_text("".join(f"{user}:{word}\n" for user, word in passwords.items()))
            file.chmod(0o600)
            output_of("mosquitto_passwd", "-U", file)
            self._lines.append(f"password_file {file}")
        self._lines.append(f"allow_anonymous {'false' if passwords else 'true'}")
        self.start()

    def start(self):
        """Returns when it accepts connections."""
        for _ in range(10):  # somebody else may take the port between the probe and mosquitto
            port = self.port or free_port(self.address)
            config = self.folder / "mosquitto.conf"
            head = ["user root", "log_type all", "log_dest stderr", "max_queued_messages 20000"]
            head.append(f"listener {port} {self.address or ''}")
            config.write_text("\n".join(head + self._lines) + "\n")
            with self._changed:
                position = len(self.log)
            self.process = start(
                ["mosquitto", "-c", config],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            self._reader = threading.Thread(target=self._read_log, args=(self.process,), daemon=True)
            self._reader.start()
            line = self.wait_log(r"mosquitto version \S+ running|^Error: .*|^ended", after=position)
            if line.endswith("running"):
                self.port = port
                return
            self.stop()
            if "Address already in use" not in "".join(self.log[position:]):
                break
        raise Failure("mosquitto does not run:\n  " + "\n  ".join(self.log[-20:]))

    def _read_log(self, process):
        for raw in process.stderr:
            with self._changed:
                line = raw.decode(errors="replace").rstrip("\n")
                self.log.append(re.sub(r"^\d+: ", "", line))
                self._times.append(time.monotonic())
                self._changed.notify_all()
        process.stderr.close()
        with self._changed:
            self.log.append("ended")
            self._times.append(time.monotonic())
            self._changed.notify_all()

    def log_position(self):
        with self._changed:
            return len(self.log)

    def wait_log(self, pattern, timeout=20, after=0):
        """The first line with a match of pattern from line `after` on."""
        return self.log[self._wait_line(pattern, timeout, after)]

    def wait_time(self, pattern, after=0, timeout=20):
        """When such a line came, monotonic."""
        return self._times[self._wait_line(pattern, timeout, after)]

    def _wait_line(self, pattern, timeout, after):
        found = []

        def look():
            lines = enumerate(self.log[after:], after)
            found[:] = [number for number, line in lines if re.search(pattern, line)]
            return found

        with self._changed:
            if not self._changed.wait_for(look, timeout * PATIENCE):
                tail = "\n  ".join(self.log[-30:])
                raise Failure(f"mosquitto did not say /{pattern}/; its log:\n  {tail}")
        return found[0]

    def stop(self, how=signal.SIGTERM):
        """Returns when it has ended and all that it said is in the log. Told more than once, as
        mosquitto forgets a SIGTERM that comes between its word that it runs and its main loop."""
        deadline = time.monotonic() + 20 * PATIENCE
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise Failure("mosquitto does not end:\n  " + "\n  ".join(self.log[-20:]))
            self.process.send_signal(how)
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                pass
        self._reader.join()

    def kill(self):
        self.stop(signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Gate:
    """Before a Broker: lets in clients of one version of MQTT only (level: 4 is 3.1.1). closes: it drops
    the others without a word. levels: of those that came, in order. Also a context manager."""

    def __init__(self, broker, level, closes=False):
        self.broker, self.level, self.closes = broker, level, closes
        self.levels = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address, self.port = self._socket.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._meet, args=(client,), daemon=True).start()

    def _meet(self, client):
        with client:
            packet = client.recv(4096)
            if b"MQTT" not in packet:
                return
            self.levels.append(packet[packet.index(b"MQTT") + 4])
            if self.levels[-1] != self.level:
                if not self.closes:
                    client.sendall(b"\x20\x02\x00\x01")  # MQTT 3.1.1, 3.2.2.3
                return
            with socket.create_connection((self.broker.address, self.broker.port)) as broker:
                broker.sendall(packet)
                back = threading.Thread(target=self._copy, args=(broker, client), daemon=True)
                back.start()
                self._copy(client, broker)
                back.join()

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Certificates:
    """An authority `name`, with its files in a folder of that name."""

    def __init__(self, folder, name):
        self.folder = folder / name
        self.folder.mkdir()
        self.ca = self.folder / "ca.crt"
        self._run("req", "-x509", *self._key("ca"), "-days", "2", "-subj", f"/CN=authority {name}",
                  "-out", "ca.crt")

    def _run(self, *arguments):
        output_of("openssl", *arguments, cwd=self.folder)

    @staticmethod
    def _key(name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                f"{name}.key"]

    def make(self, name, alt_names=None):
        """(certificate, key) of name, signed by the authority."""
        self._run("req", *self._key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        extension = self.folder / f"{name}.ext"
        extension.write_text(f"subjectAltName={alt_names}\n" if alt_names else "")
        self._run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                  "-CAcreateserial", "-days", "2", "-extfile", extension, "-out", f"{name}.crt")
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"


def wrap(folder, program, path, text):
    """Returns a folder with `program`, one of ours. Only this copy finds `text` in the file `path`.
    Returns None where the system does not allow that."""
    content = folder / "content"
    content.write_text(text)
    inside = with_mount(f"mount --bind {content} {path}")
    if not inside:
        return None
    script = folder / program
    script.write_text(f'#!/bin/sh\nexec {shlex.join([*inside, str(BUILD / program)])} "$@"\n')
    script.chmod(0o755)
    return folder


class Client:
    """A connected MQTT client that keeps what it receives. Also a context manager.

    v5: MQTT v5 instead of v3.1.1. configure(paho client) is called before the connection is made
    (will_set, tls_set and such). host: where the broker is, if not at its listening address."""

    def __init__(
        self, broker, v5=False, username=None, password=None, configure=None, host=None
    ):
        self.messages = []  # paho's: topic, payload, qos, retain, properties, timestamp (monotonic)
        self._changed = threading.Condition()
        self._connected = None
        self._subscribed = set()
        protocol = paho.MQTTv5 if v5 else paho.MQTTv311
        name = f"test-{uuid.uuid4().hex[:12]}"
        if hasattr(paho, "CallbackAPIVersion"):  # paho 2
            version = paho.CallbackAPIVersion.VERSION1
            self.paho = paho.Client(version, name, protocol=protocol)
        else:
            self.paho = paho.Client(name, protocol=protocol)
        self.paho.max_inflight_messages_set(1000)
        if username:
            self.paho.username_pw_set(username, password)
        if configure:
            configure(self.paho)
        self.paho.on_connect = self._on_connect
        self.paho.on_subscribe = self._on_subscribe
        self.paho.on_message = self._on_message
        self.paho.connect(host or broker.address, broker.port, keepalive=10)
        self.paho.loop_start()
        self._wait(lambda: self._connected is not None, "no answer to CONNECT")
        if self._connected != 0:
            self.close()
            raise Failure(f"the broker refused: {self._connected}")

    def _on_connect(self, _client, _data, _flags, reason, _properties=None):
        with self._changed:
            self._connected = reason
            self._changed.notify_all()

    def _on_subscribe(self, _client, _data, mid, *_):
        with self._changed:
            self._subscribed.add(mid)
            self._changed.notify_all()

    def _on_message(self, _client, _data, message):
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def _wait(self, predicate, what, timeout=10):
        with self._changed:
            if not self._changed.wait_for(predicate, timeout * PATIENCE):
                heard = "\n  ".join(f"{m.topic} {m.payload[:200]!r}" for m in self.messages[-20:])
                raise Failure(f"{what}; heard:\n  {heard}")

    def subscribe(self, topic, qos=0):
        """Returns when the broker has agreed; retained messages may have arrived by then."""
        _, mid = self.paho.subscribe(topic, qos)
        self._wait(lambda: mid in self._subscribed, f"no SUBACK for {topic}")

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        info = self.paho.publish(topic, payload, qos, retain, properties)
        info.wait_for_publish()

    def position(self):
        """For wait_message(after=): messages that come from now on."""
        with self._changed:
            return len(self.messages)

    def wait_message(self, topic, predicate=lambda message: True, timeout=10, after=0):
        """The first message on topic (wildcards allowed) that predicate(message) is true of."""
        return self.wait_messages(topic, 1, predicate, timeout, after)[0]

    def wait_messages(self, topic, count, predicate=lambda message: True, timeout=10, after=0):
        """The first count of them."""
        found = []

        def fits(message):
            return paho.topic_matches_sub(topic, message.topic) and predicate(message)

        def look():
            found[:] = [message for message in self.messages[after:] if fits(message)]
            return len(found) >= count

        self._wait(look, f"no {count} such messages on {topic}", timeout)
        return found[:count]

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
