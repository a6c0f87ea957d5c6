/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of servers. A listener thread keeps it up to date from announcements (retained
 * camcast/ID/info and camcast/ID/status) and from the answers to a request that it publishes every
 * few seconds; the owner takes copies of the list and is woken through an eventfd.
 */
#ifndef CLIENT_FIND_SERVERS_H
#define CLIENT_FIND_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/find/trust.h"
#include "mqtt/session.h"

struct servers_options {
	const char *host;
	uint16_t port;
	const char *username, *password_file, *cafile, *certfile, *keyfile; /* NULL: none */
	bool tls; /* without a cafile: the system's certificates */
	const char *request_topic;
	const char *trust_file; /* only those that it has or takes are listed; NULL: all are */
	bool no_new;		/* it takes none */
	const char *rec_topics; /* comma separated; NULL: recording commands are not followed */
};

/* A session with that broker. handlers and user are the caller's to set; texts are borrowed. Any
 * thread. */
void servers_mqtt_options(struct mqtt_options *out, const struct servers_options *options);
#define SERVERS_REPLY_TOPIC_MAX 64
/* A random topic for answers, below camera/response, since some servers answer nowhere else. 0 or
 * -EIO. Any thread. */
int servers_choose_reply_topic(char out[SERVERS_REPLY_TOPIC_MAX]);
/* Asks all servers for their description. The thread of the session. */
void servers_request(struct mqtt_session *session, const char *request_topic,
		     const char *reply_topic);

struct servers;

/* Starts the listener thread; what options points to is borrowed until servers_destroy(). -EINVAL:
 * a topic that cannot be one; -EBADMSG, after a log line: the trust file cannot be used; -ENOMEM,
 * or -errno of the thread's start. A broker that is not there is no error: the listener tries
 * again, with backoff, for ever. */
int servers_create(struct servers **out, const struct servers_options *options);
void servers_destroy(struct servers *servers);

/* Readable when something changed since the last snapshot. Owned by servers. */
int servers_fd(const struct servers *servers);

/*
 * A copy of the list, sorted by name then id; free() it. Those that have left are in it with
 * `online` false, for as long as the broker keeps their announcement. state, if not NULL, gets the
 * state of the broker connection as text: "connected to localhost:1883", or why not. 0 or -ENOMEM.
 * Any thread.
 */
int servers_snapshot(struct servers *servers, struct server **list, size_t *n, char *state,
		     size_t state_size);

/* Whether everything that the broker retains has arrived since the connection: a server that is not
 * in the list now is not announced. Changes are reported through the fd. Any thread. */
bool servers_settled(struct servers *servers);

/*
 * The owner just received data from a stream with this URL, as target_url() writes it. For
 * SERVERS_MOVE_AFTER_MS from then the list keeps the addresses of that server, whichever client
 * announces its id with other ones; such announcements are logged, one line in a minute. To be
 * called about once a second for each stream that is followed and that delivers. Any thread.
 */
void servers_confirm(struct servers *servers, const char *url);
#define SERVERS_MOVE_AFTER_MS 10000

/* How many messages of servers were refused because these are not trusted, by verdict. Any thread.
 */
void servers_refused(struct servers *servers, uint64_t refused[TRUST_VERDICTS]);

/* How often connecting to the broker has failed since it was last connected to. Any thread. */
unsigned servers_failures(struct servers *servers);

/* The last recording command since the previous call: 0 none, 1 start, -1 stop. Any thread. */
int servers_recording_command(struct servers *servers);

#endif
