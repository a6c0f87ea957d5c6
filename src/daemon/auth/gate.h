/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may come in by address: `deny` and `allow` of [daemon] and of a stream. Loop thread only. */
#ifndef DAEMON_AUTH_GATE_H
#define DAEMON_AUTH_GATE_H

#include "net/ranges.h"

struct gate {
	struct net_ranges allow, deny;
	bool allows_all; /* there is no `allow` */
	/* Only whom `allow` of this gate names comes in, and without one nobody: for protocols that
	 * can name no user. */
	bool named_only;
	const struct net_ranges *own; /* for `local`; NULL: none */
	const struct gate *outer;     /* that of [daemon], asked first; NULL: none */
};

/* allow and deny as the configuration has them, which has been checked. */
void gate_init(struct gate *gate, const char *allow, const char *deny, const struct net_ranges *own,
	       const struct gate *outer);
/* Whether the gate or one around it needs the networks of this machine. */
bool gate_needs_own(const struct gate *gate);

/* `deny` counts more than `allow`. gate NULL: everybody. A peer that is none of the internet, a
 * process of our own, always comes in. */
bool gate_lets_in(const struct gate *gate, const struct net_peer *peer);

#endif
