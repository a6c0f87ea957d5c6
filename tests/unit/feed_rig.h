/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A loop and a feed with real TCP viewers over loopback, a clock that only moves when told, and a
 * hand on sendfile() and send(). Every unit names itself in its bytes, so that a viewer checks all
 * it reads. One thread; that of handshakes reads the clock, and allocates.
 */
#ifndef TESTS_UNIT_FEED_RIG_H
#define TESTS_UNIT_FEED_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "camcast/worker.h"
#include "config/config.h"
#include "daemon/serve/raw.h"
#include "daemon/serve/server.h"

#define KEY CAMCAST_UNIT_KEY
#define DROPPABLE CAMCAST_UNIT_DROPPABLE

/* Each case runs on both backends; the backend is its initial state. A machine that refuses
 * io_uring fails: rig_loop() compares names. */
#define ON_BOTH(f)                                                                                 \
	{#f " (epoll)", f, NULL, NULL, &rig_epoll},                                                \
	{                                                                                          \
#f " (io_uring)", f, NULL, NULL, &rig_uring                                        \
	}

extern enum config_backend rig_epoll, rig_uring;

/* --- the clock, the kernel, and memory, as the code under test sees them --- */

extern _Atomic int64_t rig_clock_us; /* CLOCK_MONOTONIC; stands still */

/* Called before each sendfile(), send() and splice() to a socket: may lower *len; returns 0, or
 * -errno to fail. */
extern int (*rig_on_send)(int fd, size_t *len);
/* The time for which TCP_INFO reports a closed window of the peer. The tests set it, because their
 * clock is not that of the kernel. */
extern int64_t rig_window_closed_us;
/* How often malloc(), calloc(), realloc(), aligned_alloc() and mmap() were called. */
extern _Atomic unsigned rig_allocations;
extern unsigned rig_mmaps;
/* They find no memory; mmap() does. */
extern bool rig_no_memory;

/* --- the loop alone --- */

struct loop *rig_loop(enum config_backend backend, uint32_t send_threshold);
/* Turns until nothing happens any more. */
void rig_settle(struct loop *loop);
/* A turn that waits for what comes from outside; fails once the deadline, ten seconds after
 * rig_deadline(), has passed. */
int64_t rig_deadline(void);
void rig_wait(struct loop *loop, int64_t deadline);
/* Turns until *flag. */
void rig_until(struct loop *loop, const bool *flag);
/* A listener on loopback; *port. */
int rig_listen(uint16_t *port);
/* Connects; rcvbuf 0: the default. Non-blocking. */
int rig_connect(uint16_t port, int rcvbuf);
/* Both ends of a connection; ends[0] is the server's, non-blocking both. */
void rig_pair(int ends[2], int rcvbuf);

/* --- a feed --- */

enum { RIG_UNIT_MIN = 16, RIG_SEEN_MAX = 65536, RIG_FRAME_US = 33333 };

struct rig {
	struct loop *loop;
	struct feed *feed;
	struct config_stream policy;
	struct feed_options options;
	struct feed_demand demand;
	struct config_daemon config;
	struct fdreserve *reserve;
	struct admission *admission;
	struct server *server;
	struct quota quota; /* of the endpoint, unless a test gives it another one */
	struct endpoint endpoint;
	enum config_backend backend;
	uint32_t send_threshold;
	unsigned idrs, watched, unwatched, viewed;
	bool drained;
	/* the worker's side */
	int segment; /* its fd */
	uint32_t segment_id, segment_size, offset;
	uint32_t next; /* unit, from 0 */
};

struct viewer {
	int fd, server_fd;
	/* As recv() on fd, for a viewer whose bytes are not the socket's own. NULL: they are. */
	ssize_t (*receive)(struct viewer *viewer, void *data, size_t max);
	void *receiver; /* receive()'s */
	int error;	/* errno of a read that failed */
	bool eof;
	uint64_t bytes;
	unsigned n; /* whole units read */
	struct {
		uint32_t number, flags;
	} seen[RIG_SEEN_MAX];
	/* the unit being read */
	uint8_t header[RIG_UNIT_MIN];
	uint32_t have, len;
};

/* Defaults; the test changes policy and options; then start. */
void rig_init(struct rig *rig, enum config_backend backend);
void rig_start(struct rig *rig);
void rig_stop(struct rig *rig);
void rig_drain(struct rig *rig);

void rig_new_segment(struct rig *rig, uint32_t size);
/* Makes the bytes of a unit that a viewer knows as `number`. */
void rig_make_unit(uint8_t *unit, uint32_t number, uint32_t len, uint32_t flags);
/* feed_add_unit() of what may be nonsense. */
int rig_publish(struct rig *rig, uint32_t segment, uint32_t offset, uint32_t len, uint32_t flags);
/* Writes the next unit, into a new segment if it does not fit, and publishes it. Returns what
 * feed_add_unit() did. */
int rig_add(struct rig *rig, uint32_t len, uint32_t flags);
/* The same, then settles; must succeed. Returns its number. */
uint32_t rig_unit(struct rig *rig, uint32_t len, uint32_t flags);
/* Moves the clock and settles. */
void rig_pass(struct rig *rig, int64_t us);

/* A peer that has connected to the feed; takes fd. */
void rig_admit(struct rig *rig, int fd);
/* Viewers that were there and have gone. */
uint64_t rig_gone(const struct rig *rig);
struct viewer *viewer_join(struct rig *rig, int rcvbuf);
void viewer_leave(struct viewer *viewer); /* by RST: what it does not say costs no unit */
/* Reads what there is, then fills the viewer's socket with small units until one does not begin. */
void rig_fill(struct rig *rig, struct viewer *viewer);
/* Reads up to max bytes that are there, and checks them. Returns bytes read. */
size_t viewer_read(struct viewer *viewer, size_t max);
/* Reads and settles until there is nothing more. */
void viewer_drink(struct rig *rig, struct viewer *viewer);
/* Fails where after a gap comes anything but a key unit, or, where only droppable units are
 * missing (flags of all units by number), anything. */
void viewer_check_gaps(const struct viewer *viewer, const uint8_t *flags);

#endif
