/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker whose messages the tests write themselves. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/messages_rig.h"
#include "tests/unit/open_fds.h"

/* The caller of worker_messages_take() closes what it leaves. */
int messages_take_packet(struct messages_rig *f, const struct worker_packet *packet)
{
	int ret = worker_messages_take(f->messages, packet, f->now_us, &f->news, f->why);

	for (unsigned i = 0; i < packet->n_fds; i++) {
		if (packet->fds[i] < 0)
			continue;
		assert_true(ret < 0); /* or it was taken */
		close(packet->fds[i]);
	}
	return ret;
}

int messages_take(struct messages_rig *f, const void *data, size_t len, int fd)
{
	struct worker_packet packet = {
		.data = data, .len = len, .fds = &fd, .n_fds = fd >= 0 ? 1 : 0};

	return messages_take_packet(f, &packet);
}

int messages_hello(struct messages_rig *f, uint32_t version)
{
	struct camcast_msg_hello message = {.type = CAMCAST_MSG_HELLO, .version = version};

	return messages_take(f, &message, sizeof message, -1);
}

int messages_setup(void **state)
{
	static struct messages_rig fixture;
	struct messages_rig *f = &fixture;

	memset(f, 0, sizeof *f);
	rig_open(&f->rig, "");
	rig_create_feeds(&f->rig, NULL);
	assert_int_equal(worker_messages_create(&f->messages, f->rig.cameras->cameras[FRONT]), 0);
	f->now_us = loop_now_us(f->rig.loop);
	f->next_segment = 1;
	f->fds = open_fds();
	*state = f;
	return 0;
}

int messages_setup_greeted(void **state)
{
	messages_setup(state);
	return messages_hello(*state, CAMCAST_WORKER_VERSION);
}

int messages_teardown(void **state)
{
	struct messages_rig *f = *state;

	worker_messages_destroy(f->messages);
	rig_close(&f->rig);
	return 0;
}

const struct feed_stats *messages_stats(struct messages_rig *f)
{
	return feed_stats(rig_feed(&f->rig, FRONT_H264));
}

struct camcast_msg_unit messages_unit_at(uint32_t segment, uint32_t offset, uint32_t flags)
{
	return (struct camcast_msg_unit){.type = CAMCAST_MSG_UNIT,
					 .feed = FRONT_H264,
					 .segment = segment,
					 .offset = offset,
					 .len = 1000,
					 .flags = flags};
}

int messages_take_unit(struct messages_rig *f, uint32_t segment, uint32_t offset, uint32_t flags,
		       int fd)
{
	struct camcast_msg_unit unit = messages_unit_at(segment, offset, flags);

	return messages_take(f, &unit, sizeof unit, fd);
}

uint32_t messages_begin(struct messages_rig *f)
{
	uint32_t id = f->next_segment++;

	assert_int_equal(messages_take_unit(f, id, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT,
					    rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
			 0);
	assert_int_equal(f->news.event, WORKER_EVENT_KEY);
	return id;
}

int messages_take_preamble(struct messages_rig *f, uint32_t feed, uint32_t version, uint32_t len)
{
	struct camcast_msg_preamble preamble = {
		.type = CAMCAST_MSG_PREAMBLE, .feed = feed, .version = version, .len = len};

	preamble.data[0] = (uint8_t)(100 + version);
	return messages_take(f, &preamble, sizeof preamble, -1);
}

void messages_assert_refused(struct messages_rig *f, int result, const char *why)
{
	if (result != -EPROTO || !strstr(f->why, why))
		fail_msg("%d \"%s\" instead of \"%s\"", result, f->why, why);
	assert_int_equal(open_fds(), f->fds + messages_stats(f)->log.segments);
}
