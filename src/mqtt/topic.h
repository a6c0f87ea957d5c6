/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Topics that are published to, and lists of them. Any thread; nothing of libmosquitto is in here,
 * for programs without it.
 */
#ifndef MQTT_TOPIC_H
#define MQTT_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#define MQTT_TOPIC_MAX 65535 /* bytes; MQTT 5, 4.7.3 */

enum mqtt_topic_fault {
	MQTT_TOPIC_FINE,
	MQTT_TOPIC_EMPTY,
	MQTT_TOPIC_TOO_LONG,
	MQTT_TOPIC_NOT_UTF8, /* or control or noncharacters, for which a broker may close: 1.5.4 */
	MQTT_TOPIC_WILDCARD, /* '+' or '#' */
	MQTT_TOPIC_DOLLAR    /* begins with '$': the broker's own */
};

/* Checks len bytes, which need no end. */
enum mqtt_topic_fault mqtt_topic_check(const char *topic, size_t len);

/* The next topic of a list with commas: where it begins in *list and its length, without the blanks
 * around it. *list is moved behind it, and is NULL after the last one. False: *list was NULL. */
bool mqtt_topic_next(const char **list, const char **topic, size_t *len);

#endif
