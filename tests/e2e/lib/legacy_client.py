# SPDX-License-Identifier: BSD-2-Clause
"""The Python client of the system that camcast replaces, as its users have it: it is not changed
for camcast, and knows nothing of it but its two protocols.

    legacy_client.py BROKER REQUEST_TOPIC PICTURES

It asks over MQTT for a server's address, takes the first answer, connects there to port 8000, and
reads pictures, each behind its length, which OpenCV decodes. For each picture it prints its height,
its width, and what the test pattern's strip says; then it ends.
"""
import socket
import struct
import sys
import threading
import uuid

import cv2
import numpy as np
import paho.mqtt.client as mqtt

MQTT_PORT = 1883
STREAM_PORT = 8000


class Finder:
    def __init__(self, request_topic):
        self.request_topic = request_topic
        self.response_topic = f"camera/response/python-mqtt-client-{uuid.uuid4()}"
        self.server_ip = None
        self.answered = threading.Event()

    def on_connect(self, client, userdata, flags, rc):
        client.subscribe(self.response_topic)
        client.publish(self.request_topic, self.response_topic)

    def on_message(self, client, userdata, msg):
        if not self.answered.is_set():
            self.server_ip = msg.payload.decode()
            self.answered.set()

    def find(self, broker):
        if hasattr(mqtt, "CallbackAPIVersion"):  # paho 2 needs it; nothing else changed
            client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1)
        else:
            client = mqtt.Client()
        client.on_connect = self.on_connect
        client.on_message = self.on_message
        client.connect(broker, MQTT_PORT, 60)
        client.loop_start()
        found = self.answered.wait(30)
        client.loop_stop()
        client.disconnect()
        if not found:
            sys.exit("no server answered")
        return self.server_ip


def recv_all(sock, size):
    data = b""
    while len(data) < size:
        packet = sock.recv(size - len(data))
        if not packet:
            sys.exit("the server closed the connection")
        data += packet
    return data


def strip_number(frame):
    """The frame number in the strip at the top of the test pattern; -1 if it is not there."""
    height, width = frame.shape[:2]
    row = frame[height // 32]
    bits = [int(row[(2 * i + 1) * width // 64].mean() > 125) for i in range(32)]
    number = int("".join(map(str, bits[4:20])), 2)
    check = int("".join(map(str, bits[20:28])), 2)
    whole = bits[:4] == [1, 0, 1, 0] and bits[28:] == [0, 1, 0, 1]
    return number if whole and check == (number >> 8 ^ number & 255 ^ 0xA5) else -1


def main():
    broker, request_topic, pictures = sys.argv[1], sys.argv[2], int(sys.argv[3])
    server_ip = Finder(request_topic).find(broker)
    print(server_ip, flush=True)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client_socket:
        client_socket.connect((server_ip, STREAM_PORT))
        while pictures > 0:
            size = struct.unpack(">I", recv_all(client_socket, 4))[0]
            if size == 0:
                continue
            data = recv_all(client_socket, size)
            frame = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
            if frame is None:
                sys.exit("not a picture")
            print(*frame.shape[:2], strip_number(frame), flush=True)
            pictures -= 1


if __name__ == "__main__":
    main()
