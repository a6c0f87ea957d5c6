/* SPDX-License-Identifier: BSD-2-Clause */
/* An MQTT broker on a thread of its own that follows a script, with one client at a time. A program
 * that uses TLS must ignore SIGPIPE. */
#ifndef TESTS_UNIT_MQTT_BROKER_H
#define TESTS_UNIT_MQTT_BROKER_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct script {
	bool mute; /* no answer to CONNECT */
	bool tls;
	int code5, code4;	      /* of the CONNACK for MQTT 5 and 3.1.1; -1: closes instead */
	bool plain;		      /* answers MQTT 5 as if it were 3.1.1 */
	unsigned char suback, puback; /* reason codes */
	bool deaf;		      /* no answer to announcements */
	unsigned flood;		      /* messages after a SUBSCRIBE, all in one write */
	bool closes;		      /* after the CONNACK */
	unsigned char disconnects;    /* MQTT 5: closes with this reason code after the CONNACK */
};

struct broker {
	struct script script;
	pthread_t thread;
	int listener, client;
	uint16_t port;
	SSL_CTX *context;
	SSL *ssl;
	atomic_bool stop;
	bool v5; /* the client */
	FILE *certificate;
	char cafile[64]; /* the same; empty without TLS */

	atomic_uint connects, subscriptions, announcements, disconnects;
	_Atomic unsigned char levels[8]; /* of the first ones */
};

/* Listens on 127.0.0.1, and on no other address, at broker->port. The test may read the counters at
 * any time. Stopping waits for the client's end. */
void broker_start(struct broker *broker, struct script script);
void broker_stop(struct broker *broker);

#endif
