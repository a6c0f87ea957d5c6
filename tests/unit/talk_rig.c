/* SPDX-License-Identifier: BSD-2-Clause */
#include "talk_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct talk talk;

static void write_reply(struct connection *connection)
{
	uint8_t reply[REPLY_LEN];
	struct iovec pieces[2] = {{reply, 10}, {reply + 10, sizeof(reply) - 10}};

	rig_make_unit(reply, REPLY + talk.replied, sizeof(reply), KEY);
	assert_int_equal(connection_write(connection, pieces, 2), 0);
	talk.replied++;
}

static int talk_accepted(struct connection *connection)
{
	talk.connection = connection;
	if (talk.fail)
		return -EPERM;
	return talk.range ? 0 : connection_watch(connection, connection->endpoint->user);
}

static void talk_input(struct connection *connection, const uint8_t *data, size_t len)
{
	(void)data;
	talk.asked += (unsigned)len;
	if (!connection_watches(connection) || connection_hold(connection))
		write_reply(connection);
}

static void talk_held(struct connection *connection)
{
	talk.held++;
	if (talk.replied < talk.asked)
		write_reply(connection);
}

static void talk_written(struct connection *connection)
{
	talk.written++;
	if (talk.replied < talk.asked)
		write_reply(connection);
	else if (connection_watches(connection))
		connection_go_on(connection);
}

static void talk_ended(struct connection *connection)
{
	(void)connection;
	talk.ended++;
}

static void talk_finished(struct connection *connection)
{
	(void)connection;
	talk.finished++;
}

static const struct protocol talk_protocol = {
	.scheme = "talk",
	.accepted = talk_accepted,
	.input = talk_input,
	.input_ended = talk_ended,
	.held = talk_held,
	.written = talk_written,
	.finished = talk_finished,
};

void start(struct rig *rig, void **state)
{
	memset(&talk, 0, sizeof(talk));
	rig_init(rig, *(enum config_backend *)*state);
	rig->endpoint.protocol = &talk_protocol;
	rig_start(rig);
}

void ask(struct viewer *viewer)
{
	assert_int_equal(send(viewer->fd, "?", 1, MSG_NOSIGNAL), 1);
}

void assert_seen(const struct viewer *viewer, unsigned n, const uint32_t *numbers)
{
	assert_int_equal(viewer->n, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(viewer->seen[i].number, numbers[i]);
	assert_int_equal(viewer->have, 0);
}
