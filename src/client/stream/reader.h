/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One stream over TCP: connects, reconnects with backoff, cuts the bytes into access units, and
 * begins at a key unit after every (re)connection. A camera that speaks RTSP is asked for its
 * stream first (client/stream/rtsp.h). One thread.
 *
 * After a length prefix the end of a unit is known. In a byte stream (H.264 annex B) it is known
 * when the next unit begins, one picture later. A viewer that cannot wait asks for low latency:
 * then a unit also ends when the socket has been quiet for a few ms. If that was wrong, because the
 * network paused within a unit, the reader skips to the next key unit and waits longer from then
 * on.
 *
 * A peer may be hostile. The reader ends a connection, with a reason, on which a unit takes longer
 * than a minute to arrive, or on which bytes arrive but no key unit does: for a minute, or in
 * 128 MiB. The next attempt then follows after the longest backoff.
 */
#ifndef CLIENT_STREAM_READER_H
#define CLIENT_STREAM_READER_H

#include "client/stream/target.h"

struct reader;

struct reader_unit {
	const uint8_t *data; /* Annex B access unit or JPEG; borrowed until the next call */
	size_t len;
	enum stream_codec codec; /* the real codec, which may differ from the announced one */
	bool key;
	bool discontinuity;  /* the first one after a (re)connection, or after units were skipped */
	int64_t received_us; /* monotonic, of its last byte; by RTSP in the rhythm of its PTS */
};

enum reader_state { READER_CONNECTING, READER_WAITING_KEY, READER_PLAYING, READER_BACKOFF };

struct reader_stats {
	enum reader_state state;
	uint64_t units, bytes; /* handed out */
	uint64_t reconnects;
	uint64_t skipped_units; /* while waiting for a key unit, or broken, or no picture */
	char error[128];	/* the last one */
	bool refused; /* the reader or its owner ended the last connection because of its bytes */
};

/* Reads one stream: host, port, tls, codec, framing, path and login of *at count. With tls the
 * bytes come over TLS; what is trusted is read now (client/stream/secure.h), and
 * -EINVAL may be because of that: secure_create() says more. host may be a name, which is looked up
 * for each connection (net/resolve.h), or an address, IPv6 without brackets; copied. Nothing is
 * connected yet. -EINVAL for a codec that has no such framing. */
int reader_create(struct reader **out, const struct server_stream *at);
void reader_destroy(struct reader *reader);

/* Ends the connection and opens another one at once. For use when the arrival times of the received
 * bytes are not known, for example after the process was stopped. */
void reader_restart(struct reader *reader);

/* Ends the connection because of what it delivered; why, in words, becomes the error. Another one
 * is opened after the longest backoff. */
void reader_refuse(struct reader *reader, const char *why);

/* Low latency, as described above; initially off. */
void reader_set_low_latency(struct reader *reader, bool on);

/*
 * Waits at most timeout_ms for a unit. 1: *unit is one; 0: timeout, or a signal came; -errno: a
 * local failure (-ENOMEM). A connection that ends, is refused, or whose peer has disappeared is
 * opened again after 0.25 s, doubling up to 5 s; a unit resets that. A stream may pause for ever.
 */
int reader_next(struct reader *reader, struct reader_unit *unit, int timeout_ms);

/* For poll() beside other descriptors: the socket, or -1 while there is none; it changes with each
 * connection. After POLLIN, and at least every 100 ms, call reader_next() with a timeout of 0 until
 * it returns 0. */
int reader_fd(const struct reader *reader);

const struct reader_stats *reader_stats(const struct reader *reader);

#endif
