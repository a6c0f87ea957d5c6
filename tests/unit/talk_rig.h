/* SPDX-License-Identifier: BSD-2-Clause */
/* A feed of feed_rig whose viewers talk: a protocol answers each byte of input with a reply between
 * two units. */
#ifndef TESTS_UNIT_TALK_RIG_H
#define TESTS_UNIT_TALK_RIG_H

#include "tests/unit/feed_rig.h"

/* Numbers of what is no unit of the log. */
enum { REPLY = 1000000, PREAMBLE = 2000000 };

#define REPLY_LEN 40

struct talk {
	struct connection *connection;
	unsigned asked, replied, held, written, ended, finished;
	bool range; /* the viewer watches nothing before connection_watch_range() */
	bool fail;
};
extern struct talk talk; /* of the viewer that came last */

/* Starts the rig with the protocol; the state of cmocka is the backend. */
void start(struct rig *rig, void **state);
/* Says one byte. */
void ask(struct viewer *viewer);
/* Fails unless the viewer has read whole units and replies of these numbers, in their order. */
void assert_seen(const struct viewer *viewer, unsigned n, const uint32_t *numbers);
#define ASSERT_SEEN(viewer, ...)                                                                   \
	assert_seen(viewer, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),                  \
		    (uint32_t[]){__VA_ARGS__})

#endif
