/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/gates.h"

#include <errno.h>
#include <stdlib.h>

int gates_init(struct gates *gates, const struct config *config)
{
	gates->n = config->n_streams;
	gates->streams = calloc(2 * gates->n + 1, sizeof *gates->streams);
	if (!gates->streams)
		return -ENOMEM;
	gates->raw = gates->streams + gates->n;
	gate_init(&gates->all, config->daemon.allow, config->daemon.deny, NULL, NULL);
	for (size_t i = 0; i < gates->n; i++)
		gate_init(&gates->streams[i], config->streams[i].allow, config->streams[i].deny,
			  NULL, NULL);
	return 0;
}

void gates_finish(struct gates *gates)
{
	free(gates->streams);
	*gates = (struct gates){0};
}

bool gates_need_own(const struct gates *gates)
{
	bool needs = gate_needs_own(&gates->all);

	for (size_t i = 0; i < gates->n; i++)
		needs = needs || gate_needs_own(&gates->streams[i]);
	return needs;
}

void gates_replace(struct gates *gates, struct gates *next, const struct config *config,
		   const struct net_ranges *own)
{
	struct gates old = *gates;

	*gates = *next;
	*next = (struct gates){0};
	gates->all.own = own;
	for (size_t i = 0; i < gates->n; i++) {
		gates->streams[i].own = own;
		gates->streams[i].outer = &gates->all;
		gates->raw[i] = gates->streams[i];
		gates->raw[i].named_only = !(config_anonymous(config) & CONFIG_MAY_VIEW);
	}
	gates_finish(&old);
}
