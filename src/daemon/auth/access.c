/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/access.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/auth/networks.h"

struct access {
	const struct config *config;
	struct networks *networks; /* NULL: no gate needs it */
	struct gate gate, *streams;
};

static int create_gates(struct access *access, struct loop *loop)
{
	const struct config *config = access->config;
	bool local;
	int err = 0;

	access->streams = calloc(config->n_streams + 1, sizeof *access->streams);
	if (!access->streams)
		return -ENOMEM;
	gate_init(&access->gate, config->daemon.allow, config->daemon.deny, NULL, NULL);
	local = gate_needs_own(&access->gate);
	for (size_t i = 0; i < config->n_streams; i++) {
		const struct config_stream *stream = &config->streams[i];

		gate_init(&access->streams[i], stream->allow, stream->deny, NULL, &access->gate);
		local = local || gate_needs_own(&access->streams[i]);
	}
	if (local)
		err = networks_create(&access->networks, loop);
	if (!access->networks)
		return err;
	access->gate.own = networks_own(access->networks);
	for (size_t i = 0; i < config->n_streams; i++)
		access->streams[i].own = access->gate.own;
	return 0;
}

int access_create(struct access **out, struct loop *loop, const struct config *config)
{
	struct access *access = calloc(1, sizeof *access);
	int err;

	if (!access)
		return -ENOMEM;
	access->config = config;
	err = create_gates(access, loop);
	if (err < 0) {
		access_destroy(access);
		return err;
	}
	*out = access;
	return 0;
}

void access_destroy(struct access *access)
{
	if (!access)
		return;
	networks_destroy(access->networks);
	free(access->streams);
	free(access);
}

const struct gate *access_gate(const struct access *access)
{
	return &access->gate;
}

const struct gate *access_stream_gate(const struct access *access, size_t index)
{
	return &access->streams[index];
}

bool access_lets_in(const struct access *access, const struct net_peer *peer, size_t index)
{
	const struct config *config = access->config;
	const struct config_stream *stream = &config->streams[index];

	if (!stream->implied)
		return gate_lets_in(&access->streams[index], peer);
	for (size_t i = 0; i < config->n_streams; i++)
		if (!config->streams[i].implied && config->streams[i].camera == stream->camera &&
		    gate_lets_in(&access->streams[i], peer))
			return true;
	return false;
}
