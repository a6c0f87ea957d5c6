/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/raw.h"

#include "daemon/serve/connection.h"

static int raw_accepted(struct connection *connection)
{
	return connection_watch(connection, connection->endpoint->user);
}

const struct protocol raw_protocol = {
	.scheme = "tcp",
	.accepted = raw_accepted,
};
