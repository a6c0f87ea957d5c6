/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a worker may say: every message is checked against the rules of camcast/worker.h before
 * anything is done with it, and what passes goes to the camera's feeds. Nothing here trusts the
 * worker. Loop thread only.
 */
#ifndef DAEMON_WORKER_MESSAGES_H
#define DAEMON_WORKER_MESSAGES_H

#include "camcast/worker.h"
#include "daemon/cameras.h"

#define WORKER_WHY_MAX 192

/* Segments that a feed may hold, those that only a slow client still reads included. Above it new
 * ones are refused as for want of memory. */
#define WORKER_SEGMENTS_MAX 1024

struct worker_messages;

/* A message as recvmsg gave it. */
struct worker_packet {
	const void *data;
	size_t len;
	bool oversize;	/* MSG_TRUNC */
	bool truncated; /* MSG_CTRUNC: an fd did not find room in our table */
	int fds[2];	/* n_fds of them; owned by worker_messages_take() */
	unsigned n_fds; /* 2 stands for more, too */
};

enum worker_event {
	WORKER_EVENT_NONE,
	WORKER_EVENT_HELLO,
	WORKER_EVENT_HEARTBEAT,
	WORKER_EVENT_STREAM,	   /* number: stream */
	WORKER_EVENT_KEY,	   /* a key unit was published; number: feed */
	WORKER_EVENT_LOST_SEGMENT, /* its fd did not get here (our fd table is full); number: feed */
	WORKER_EVENT_GOT_SEGMENT,  /* one that was lost has come; number: feed */
	WORKER_EVENT_NO_MEMORY,	   /* a segment or preamble could not be taken; number: feed */
};

struct worker_news {
	enum worker_event event;
	unsigned number;
	uint32_t segment; /* LOST_SEGMENT: id */
};

/* camera: borrowed; its feeds are there before the first message is taken. */
int worker_messages_create(struct worker_messages **out, const struct camera *camera);
void worker_messages_destroy(struct worker_messages *messages);

/* A new worker process: ids and rates start again, HELLO comes first, the status is zeroed. Does not
 * touch the feeds. */
void worker_messages_reset(struct worker_messages *messages);

/* Notes that a message of len bytes went to the worker at now_us: it may be answered. */
void worker_messages_sent(struct worker_messages *messages, const void *message, size_t len,
			  int64_t now_us);

/* Checks and carries out one message at now_us. Returns 0 and *news, or -EPROTO (a rule was broken:
 * kill the worker) with the rule in why. */
int worker_messages_take(struct worker_messages *messages, const struct worker_packet *packet,
			 int64_t now_us, struct worker_news *news, char why[WORKER_WHY_MAX]);

const struct camcast_msg_heartbeat *
worker_messages_heartbeat(const struct worker_messages *messages);
/* The last STREAM message of each stream, by number; zeroed before the first. */
const struct camcast_msg_stream *worker_messages_streams(const struct worker_messages *messages);

#endif
