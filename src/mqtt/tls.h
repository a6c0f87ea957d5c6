/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS towards a broker: a context for libmosquitto (MOSQ_OPT_SSL_CTX) that knows the host's name,
 * while libmosquitto itself is given one of its addresses. The broker's certificate must be for the
 * name. For the session's files only.
 */
#ifndef MQTT_TLS_H
#define MQTT_TLS_H

#include <openssl/ssl.h>

#include "mqtt/options.h"

struct mqtt_tls;

/* Reads the files. The options are borrowed for its life. 0; or -ENOMEM, -EACCES, -EINVAL, with the
 * reason in why: a file that cannot be read, or does not hold what it should. */
int mqtt_tls_create(struct mqtt_tls **out, const struct mqtt_options *options,
		    char why[MQTT_REASON_MAX]);
/* After mosquitto_destroy(). NULL is fine. */
void mqtt_tls_destroy(struct mqtt_tls *tls);

SSL_CTX *mqtt_tls_context(struct mqtt_tls *tls);
/* Why the broker's certificate was refused: "certificate verify failed: ..."; "" if it was not. */
const char *mqtt_tls_refusal(const struct mqtt_tls *tls);

#endif
