/* SPDX-License-Identifier: BSD-2-Clause */
/* One client of a crowd, for crowd.c: its connection and sockets, what it says, and what becomes of
 * what it reads. One thread. */
#ifndef BENCH_LIB_CLIENT_H
#define BENCH_LIB_CLIENT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/lib/crowd.h"
#include "bench/lib/udp_pair.h"

enum client_kind { KIND_HEALTHY, KIND_SLOW, KIND_STALLED, KIND_FLAPPING, KIND_JOINING };

struct crowd_client {
	int fd; /* -1: none */
	enum client_kind kind;
	unsigned group; /* of slow ones */
	bool scanned;	/* judged to the end */
	bool judging;	/* wire and judge are in use */
	bool playing;	/* of these, the wire only: HLS and RTSP need it to the end */
	bool timed;	/* its first key unit is in the histogram */
	bool deaf;	/* its datagrams do not reach it */
	SSL *ssl;	/* NULL: plain, or its bytes are only counted */
	struct udp_pair pair;
	struct wire wire;
	struct judge judge;
	int64_t due_us, leaves_us;
	uint64_t bytes, mark_bytes; /* mark: when measuring began */
	uint32_t mark_dropped;	    /* likewise, of udp_pair_dropped() */
	double budget;		    /* bytes a slow client may read now */
};

/* Whether packets come as datagrams, beside the connection. */
static inline bool client_has_datagrams(const struct crowd *crowd)
{
	return crowd->source.transport != RTSP_INTERLEAVED;
}

/* It was due to connect at due_us; its units are kept for judge_decode() if `keep`. */
void client_connect(struct crowd *crowd, struct crowd_client *client, int64_t due_us, bool keep);
void client_close(struct crowd *crowd, struct crowd_client *client);
/* Sends what waits for that. */
void client_say(struct crowd_client *client);
/* From now on its bytes are only counted, or dropped by the kernel if the crowd discards them. */
void client_stop_judging(struct crowd *crowd, struct crowd_client *client);
/* Reads at most limit bytes of its connection, and its datagrams. May close it. */
void client_read(struct crowd *crowd, struct crowd_client *client, size_t limit);
/* Takes bytes that are neither read nor passed on. May close it. */
void client_count(struct crowd *crowd, struct crowd_client *client);

#endif
