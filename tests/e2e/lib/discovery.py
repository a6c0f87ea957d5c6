# SPDX-License-Identifier: BSD-2-Clause
"""camcastd with a section [mqtt], and what its status says of the broker."""
from fakes import fake_config


def mqtt_config(to, config=None, **keys):
    """to: a Broker, or what has a port. Answers go to any topic, unless keys say otherwise."""
    config = config or fake_config()
    config["mqtt"] = {
        "broker": "127.0.0.1", "port": to.port, "id": "test", "response_prefix": "", **keys
    }
    return config


def wait_mqtt(daemon, predicate, what, timeout=20):
    """Waits for predicate(status()["mqtt"]) and returns that."""
    def look():
        status = daemon.status()["mqtt"]
        return status if predicate(status) else None

    return daemon.wait_until(look, what, timeout)


def wait_connected(daemon):
    return wait_mqtt(daemon, lambda mqtt: mqtt["state"] == "connected", "connection to the broker")
