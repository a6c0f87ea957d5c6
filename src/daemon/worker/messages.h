/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages from a worker: each is checked against the rules of camcast/worker.h before it is used;
 * valid units go to the camera's feeds. The worker is not trusted. Loop thread only.
 */
#ifndef DAEMON_WORKER_MESSAGES_H
#define DAEMON_WORKER_MESSAGES_H

#include "camcast/worker.h"
#include "daemon/cameras.h"

#define WORKER_WHY_MAX 192

/* The limit on a feed's open segments, including segments that only a slow client still reads.
 * Further ones are refused as if memory were short. */
#define WORKER_SEGMENTS_MAX 1024

struct worker_messages;

/* A message as recvmsg() returned it. */
struct worker_packet {
	const void *data;
	size_t len;
	bool oversize;	/* MSG_TRUNC */
	bool truncated; /* MSG_CTRUNC: our table had no room for an fd */
	int *fds;	/* n_fds of them, in the caller's memory */
	unsigned n_fds;
};

enum worker_event {
	WORKER_EVENT_NONE,
	WORKER_EVENT_HELLO,
	WORKER_EVENT_HEARTBEAT,
	WORKER_EVENT_STREAM,	   /* number: stream */
	WORKER_EVENT_KEY,	   /* a key unit was published; number: feed */
	WORKER_EVENT_LOST_SEGMENT, /* its fd was lost (our fd table is full); number: feed */
	/* A lost one has arrived, but too late for some of its units: the next one that can be
	 * published is a key unit; number: feed. If all of them waited, they are published now, and
	 * the event is KEY or NONE. */
	WORKER_EVENT_GOT_SEGMENT,
	WORKER_EVENT_NO_MEMORY, /* a segment or preamble could not be taken; number: feed */
};

struct worker_news {
	enum worker_event event;
	unsigned number;
	uint32_t segment; /* LOST_SEGMENT: id */
};

/* camera: borrowed; its feeds must exist before the first message is taken. */
int worker_messages_create(struct worker_messages **out, const struct camera *camera);
void worker_messages_destroy(struct worker_messages *messages);

/* A new worker process: ids and rates start again, HELLO comes first, the status is zeroed. Does
 * not touch the feeds. */
void worker_messages_reset(struct worker_messages *messages);

/* Notes that a message of len bytes was sent to the worker at now_us: it allows for answers. */
void worker_messages_sent(struct worker_messages *messages, const void *message, size_t len,
			  int64_t now_us);

/* Checks and handles one message at now_us. Returns 0 and *news, or -EPROTO with the broken rule in
 * why: then kill the worker. Takes fds[0] on success, and sometimes before an error; it is -1 then.
 * The caller owns all others, and may not close them on the loop thread (closer.h). */
int worker_messages_take(struct worker_messages *messages, const struct worker_packet *packet,
			 int64_t now_us, struct worker_news *news, char why[WORKER_WHY_MAX]);

const struct camcast_msg_heartbeat *
worker_messages_heartbeat(const struct worker_messages *messages);
/* The text of HELLO about the worker's sandbox; "" before. */
const char *worker_messages_sandbox(const struct worker_messages *messages);
/* The last STREAM message of each stream, by number; zeroed before the first. */
const struct camcast_msg_stream *worker_messages_streams(const struct worker_messages *messages);

#endif
