/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handshakes of TLS, on a thread of their own with a lower priority than the video: they cost a
 * hundred times as much as a picture for a viewer. A peer stays here from its accept to the end of
 * its handshake; or, where a listener takes both, until its first byte shows that it speaks plain.
 *
 * Everything is bounded: HANDSHAKES_MAX peers at a time, HANDSHAKES_PER_S of them begin a handshake
 * in a second, and each has HANDSHAKE_US from its accept on. When all places are taken, a newcomer
 * gets that of the peer that came first of the address with most peers here.
 *
 * Loop thread only, except where it says otherwise.
 */
#ifndef DAEMON_SERVE_HANDSHAKES_H
#define DAEMON_SERVE_HANDSHAKES_H

#include <stdatomic.h>

#include "daemon/loop/loop.h"
#include "daemon/serve/endpoint.h"
#include "daemon/serve/tls.h"

#define HANDSHAKES_MAX 128
#define HANDSHAKES_PER_S 250
#define HANDSHAKES_BURST 50 /* may begin at once */
#define HANDSHAKE_US 10000000
#define HANDSHAKE_SILENCE_US 1000000 /* then a peer that need not speak first speaks plain */
/* Descriptors that are here at most: also those on the way to and from the thread. */
#define HANDSHAKES_FDS (2 * HANDSHAKES_MAX + 8)

struct handshakes;

struct handshakes_stats { /* relaxed: figures for the status */
	atomic_ullong done;
	atomic_ullong kernel;	 /* of those done: the kernel encrypts */
	atomic_ullong failed;	 /* no common version or cipher, a broken message, a reset */
	atomic_ullong slow;	 /* not done within HANDSHAKE_US */
	atomic_ullong displaced; /* for a newcomer */
	atomic_ullong plain;	 /* spoke plain where TLS is needed */
};

/* A peer is ready. Takes fd, and moves *tls; tls is NULL for a peer that speaks plain. */
typedef void handshakes_ready(void *user, struct endpoint *endpoint, int fd, struct tls *tls);

/* Starts the thread. Takes context on success. 0 or -errno. */
int handshakes_create(struct handshakes **out, struct loop *loop, struct tls_context *context,
		      handshakes_ready *ready, void *user);
/* Waits for the thread, and closes the peers that are here. NULL is fine. */
void handshakes_destroy(struct handshakes *handshakes);

/* A peer of an endpoint (borrowed for the life of `handshakes`) whose tls is not CONFIG_TLS_NO.
 * Takes fd (connected, non-blocking). */
void handshakes_take(struct handshakes *handshakes, struct endpoint *endpoint, int fd);

/* Further handshakes use this context, which is taken. */
void handshakes_exchange(struct handshakes *handshakes, struct tls_context *context);

const struct handshakes_stats *handshakes_stats(const struct handshakes *handshakes);
/* As tls_context_expires(). */
int64_t handshakes_certificate_expires(const struct handshakes *handshakes);

#endif
