/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker that has been started, whose messages the tests of worker_messages write themselves. */
#ifndef TESTS_UNIT_MESSAGES_RIG_H
#define TESTS_UNIT_MESSAGES_RIG_H

#include <fcntl.h>
#include <stdint.h>

#include "daemon/worker/messages.h"
#include "tests/unit/worker_rig.h"

#define MESSAGES_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define MESSAGES_SEGMENT_SIZE 65536

struct messages_rig {
	struct rig rig;
	struct worker_messages *messages;
	struct worker_news news;
	char why[WORKER_WHY_MAX];
	int64_t now_us;
	uint32_t next_segment;
	unsigned fds; /* open before anything was said */
};

/* setup and teardown of cmocka; the worker has not said HELLO, or it has. */
int messages_setup(void **state);
int messages_setup_greeted(void **state);
int messages_teardown(void **state);
#define GREETED(test)                                                                              \
	cmocka_unit_test_setup_teardown(test, messages_setup_greeted, messages_teardown)

/* What worker_messages_take() makes of a packet, or of a message with a descriptor (-1: none). */
int messages_take_packet(struct messages_rig *f, const struct worker_packet *packet);
int messages_take(struct messages_rig *f, const void *data, size_t len, int fd);
int messages_hello(struct messages_rig *f, uint32_t version);

/* The figures of FRONT_H264, whose units the next functions make. */
const struct feed_stats *messages_stats(struct messages_rig *f);

/* A unit of 1000 bytes. */
struct camcast_msg_unit messages_unit_at(uint32_t segment, uint32_t offset, uint32_t flags);
int messages_take_unit(struct messages_rig *f, uint32_t segment, uint32_t offset, uint32_t flags,
		       int fd);

/* A key unit in a new segment, as it should be; returns the segment's id. */
uint32_t messages_begin(struct messages_rig *f);

/* Its first byte is 100 and the version. */
int messages_take_preamble(struct messages_rig *f, uint32_t feed, uint32_t version, uint32_t len);

/* The message broke the rule that `why` is part of; nothing of it is left. */
void messages_assert_refused(struct messages_rig *f, int result, const char *why);

#endif
