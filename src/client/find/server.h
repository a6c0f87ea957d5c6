/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server as it describes itself. Strings of the network are valid UTF-8 without control
 * characters: they can be printed as they are.
 */
#ifndef CLIENT_FIND_SERVER_H
#define CLIENT_FIND_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/stream/target.h"
#include "mqtt/signed.h"

/* What is beyond these is left out. */
#define SERVER_STREAMS_MAX 16	    /* of a server */
#define SERVER_INFO_MAX (64u << 10) /* bytes of an info, or its server is not listed */
#define SERVERS_MAX 1024

struct server {
	char id[72], name[256], version[32];
	char address[NET_HOST_MAX]; /* the best one */
	bool online;
	struct signed_by by; /* who signed what it says of itself */
	int64_t seen_us;     /* monotonic, when it was last heard of */
	struct server_stream streams[SERVER_STREAMS_MAX];
	size_t n_streams;
};

/* Parses one info payload (hostile: bounds, UTF-8, ranges), and checks its signature: one that is
 * wrong shows in `by`. 0, -EINVAL or -ENOMEM. */
int server_parse_info(struct server *out, const char *json, size_t len);

/* Whether a text can be a server's id: 1 to 64 letters, digits, "-" and "_". Any thread. */
bool server_id_valid(const char *text);

/* What a payload on a recording topic means: 1 start, -1 stop, 0 nothing. Any thread. */
int servers_parse_recording(const char *payload, size_t len);

/* The order of two names in a list, as strcmp() tells it: numbers in them count as numbers, so that
 * "cam 2" comes before "cam 10". 0 only for equal names. */
int server_compare_names(const char *a, const char *b);

/* Whether both say the same with the same key, apart from when it was heard and how it is numbered.
 */
bool server_equal(const struct server *a, const struct server *b);

/*
 * Finds what a person calls "NAME" or "NAME/STREAM", where NAME is a server's name or id. Without
 * STREAM the best stream is chosen: the first of H.264, else the first. 0; -ENOENT: none, or
 * -ENOTUNIQ: several, or -ENODATA: the server has no such stream, or none at all; then why says so,
 * in words that end with what there is. Servers that are offline count as not there.
 */
int servers_find(const struct server *list, size_t n, const char *wanted,
		 const struct server **server, const struct server_stream **stream, char *why,
		 size_t why_size);

const char *stream_codec_name(enum stream_codec codec); /* "h264", "mjpeg" */
const char *
stream_framing_name(enum stream_framing framing); /* "annexb", "length_prefixed", "rtsp" */

#endif
