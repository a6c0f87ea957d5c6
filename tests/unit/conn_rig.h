/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections of a loop, with a peer at the far end that counts the loop's calls, and the pages
 * that are sent. The loop is that of feed_rig. One thread. */
#ifndef TESTS_UNIT_CONN_RIG_H
#define TESTS_UNIT_CONN_RIG_H

#include "tests/unit/feed_rig.h"

/* The backend that a case of ON_BOTH() runs with. */
enum config_backend backend_of(void **state);

/* --- what is sent --- */

enum { PAGES = 1 << 20 };

extern struct pages pages;
void open_pages(void);
void close_pages(void);

/* --- peers --- */

struct peer {
	struct loop_conn conn;
	struct loop *loop;
	int fd; /* the far end */
	int result, error;
	unsigned sent, writable, ended, failures, closed;
	bool close_in_sent, close_in_writable, close_in_failed;
	size_t got; /* bytes of input */
	bool close_in_input;
	bool inside; /* a call to the loop: no callback may run now */
};

/* A connection that gives its input to nobody, and one that gives it to the peer. */
extern const struct loop_conn_ops deaf_ops, listening_ops;

/* Opens a connection; rcvbuf of the far end, 0: the default. One that fails closes itself. */
void peer_open_with(struct peer *peer, struct loop *loop, int rcvbuf,
		    const struct loop_conn_ops *ops);
void peer_open(struct peer *peer, struct loop *loop, int rcvbuf); /* deaf */
void peer_close(struct peer *peer, bool reset);
void peer_send(struct peer *peer, uint32_t offset, uint32_t len);
void peer_want(struct peer *peer);
/* Sends until the kernel says that it is full. Returns bytes taken. */
size_t peer_fill(struct peer *peer);

/* A close of the far end is a reset from now on. */
void set_linger(int fd);
/* Reads what there is. Returns bytes read. */
size_t drain(int fd);
/* Reads until *count is 1; how much must be read for that is the kernel's business. */
size_t drain_until(struct peer *peer, const unsigned *count);

#endif
