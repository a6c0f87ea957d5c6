/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages that others send over MQTT: requests for our address, and commands from Home Assistant.
 * They are checked here, with bounds, before anything is done, because any client that may publish
 * on the broker can send anything. Discovery thread only (the state is in the arguments).
 */
#ifndef DAEMON_DISCOVERY_REQUEST_H
#define DAEMON_DISCOVERY_REQUEST_H

#include "config/config.h"

#define REQUEST_TOPIC_MAX 256	    /* bytes of a response topic */
#define REQUEST_JSON_MAX 4096	    /* bytes of a JSON request */
#define REQUEST_CORRELATION_MAX 256 /* bytes of MQTT v5 correlation data */

enum request_refusal {
	REQUEST_MALFORMED, /* neither a topic nor a JSON request */
	REQUEST_NOT_UTF8,
	REQUEST_TOO_LONG,
	REQUEST_WILDCARD,
	REQUEST_DOLLAR,	   /* begins with '$': the broker's own */
	REQUEST_OUR_TOPIC, /* a request topic, or one that servers announce on */
	REQUEST_PREFIX,	   /* not under response_prefix */
	REQUEST_RETAINED,  /* its sender may be gone */
	REQUEST_REFUSALS
};
extern const char *const request_refusal_words[REQUEST_REFUSALS]; /* "it is too long"... */

enum request_format { REQUEST_TEXT, REQUEST_JSON };

struct request {
	enum request_format format;
	char topic[REQUEST_TOPIC_MAX + 1]; /* to answer to */
};

/* What was received; all borrowed. */
struct request_message {
	const char *topic;
	const void *payload;
	size_t len;
	bool retained;
	const char *response_topic; /* of MQTT v5; NULL: none */
	size_t correlation_len;
};

/* Whether requests are heard on this topic. */
bool request_is_topic(const struct config_mqtt *config, const char *topic);

/*
 * The payload is a topic, or {"reply_to": TOPIC, "format": "json" or "text"} (json if absent). A
 * response topic of MQTT v5 goes before either; the payload may then be empty. Returns -1 and *out,
 * or the refusal.
 */
int request_parse(struct request *out, const struct config_mqtt *config,
		  const struct request_message *message);

/* --- limits --- */

#define REQUEST_RATE_TOPIC 5 /* answers a second to one topic, */
#define REQUEST_BURST_TOPIC 10
#define REQUEST_RATE_TOTAL 200 /* and in all */
#define REQUEST_BURST_TOTAL 400
#define REQUEST_BUCKETS 1024 /* topics share one at worst, and then their rate */

struct request_bucket {
	int64_t at_us;
	uint32_t tokens_milli; /* thousandths of an answer */
	bool used;
};

struct request_limits {
	uint64_t seed; /* so that no client can choose which topics share a bucket */
	struct request_bucket total, topics[REQUEST_BUCKETS];
};

enum request_grant { REQUEST_GRANTED, REQUEST_LIMITED_TOPIC, REQUEST_LIMITED_TOTAL };

void request_limits_init(struct request_limits *limits, uint64_t seed);
/* Whether an answer may go to topic now (CLOCK_MONOTONIC); counts it if so. */
enum request_grant request_limits_take(struct request_limits *limits, const char *topic,
				       int64_t now_us);

/* --- commands --- */

enum command_kind { COMMAND_NONE, COMMAND_RESTART, COMMAND_BITRATE };

struct command {
	enum command_kind kind;
	unsigned index; /* of the camera (restart) or stream (bitrate) */
	uint32_t bitrate_bps;
};

/* What command_parse() takes, once `commands` allows any: camcast/ID/camera/NAME/restart with
 * payload PRESS, camcast/ID/stream/NAME/bitrate/set with a number of bit/s. COMMAND_NONE if it is
 * anything else. */
struct command command_parse(const struct config *config, const char *id,
			     const struct request_message *message);

/* The range of the bitrate, bit/s. */
#define COMMAND_BITRATE_MIN 10000
#define COMMAND_BITRATE_MAX 200000000

#endif
