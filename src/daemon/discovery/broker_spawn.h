/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `broker = spawn`: a mosquitto of our own, started, restarted when it dies, and ended with us. Its
 * user is ours, or `mosquitto` or `nobody` where we are root. Its configuration is a memfd, so that
 * nothing is left on a disk. Discovery thread only.
 */
#ifndef DAEMON_DISCOVERY_BROKER_SPAWN_H
#define DAEMON_DISCOVERY_BROKER_SPAWN_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "config/config.h"

struct broker_spawn;

/* Does not start it; broker_spawn_turn() does. config is borrowed for its life. 0 or -errno. */
int broker_spawn_create(struct broker_spawn **out, const struct config_mqtt *config, uint16_t port);
/* SIGTERM, and SIGKILL after a second; never waits longer than two. NULL is fine. */
void broker_spawn_destroy(struct broker_spawn *broker);

/* Readable when the process has ended or has written lines; -1: none runs. */
int broker_spawn_fd(const struct broker_spawn *broker);
/* Starts it if it is due, logs its lines, reaps it if it has ended. To be called when
 * broker_spawn_fd() is readable and after broker_spawn_wait_ms(). True if it was started just now.
 */
bool broker_spawn_turn(struct broker_spawn *broker, int64_t now_us);
/* Until the next turn is due; -1: never, while it runs. */
int broker_spawn_wait_ms(const struct broker_spawn *broker, int64_t now_us);

pid_t broker_spawn_pid(const struct broker_spawn *broker); /* 0: none runs */
uint64_t broker_spawn_restarts(const struct broker_spawn *broker);
/* Why it does not run, or last ended; "" */
const char *broker_spawn_why(const struct broker_spawn *broker);
/* Where we reach it ourselves: its address, or 127.0.0.1 (::1) where it listens on all. */
const char *broker_spawn_host(const struct config_mqtt *config);

/* The text of mosquitto.conf(5). It names the access list as /dev/fd/4 and a copy of the password
 * file as /dev/fd/5. */
void broker_spawn_write_config(FILE *out, const struct config_mqtt *config, uint16_t port);

#endif
