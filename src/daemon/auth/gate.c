/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/gate.h"

void gate_init(struct gate *gate, const char *allow, const char *deny, const struct net_ranges *own,
	       const struct gate *outer)
{
	*gate = (struct gate){.own = own, .outer = outer};
	(void)net_ranges_parse(&gate->allow, allow);
	(void)net_ranges_parse(&gate->deny, deny);
	gate->allows_all = gate->allow.n == 0 && !gate->allow.local;
}

bool gate_needs_own(const struct gate *gate)
{
	return gate->allow.local || gate->deny.local ||
	       (gate->outer && gate_needs_own(gate->outer));
}

bool gate_lets_in(const struct gate *gate, const struct net_peer *peer)
{
	bool everybody;

	if (!gate || net_peer_is_any(peer))
		return true;
	everybody = gate->allows_all && !gate->named_only;
	return gate_lets_in(gate->outer, peer) &&
	       !net_ranges_contain(&gate->deny, peer, gate->own) &&
	       (everybody || net_ranges_contain(&gate->allow, peer, gate->own));
}
