/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a server says of itself: docs/info.schema.json, the plain answer of old clients, and Home
 * Assistant's discovery messages. Any thread; the state is in the arguments.
 */
#ifndef DAEMON_DISCOVERY_INFO_H
#define DAEMON_DISCOVERY_INFO_H

#include "config/config.h"
#include "daemon/cameras.h"
#include "daemon/push/push.h"
#include "net/interfaces.h"

/* What changes while the server runs. */
struct discovery_camera {
	const char *state;	/* of docs/STATUS.md; static */
	uint32_t width, height; /* 0: not known yet */
	uint32_t rate_milli;	/* what the source means; 0: not known yet */
	uint32_t fps_milli;	/* measured */
};

struct discovery_stream {
	uint32_t target_bps; /* of the encoder, or a copied recording's mean; 0: not known, none */
	uint32_t fps_milli, bitrate_bps;
	uint32_t viewers; /* of all its feeds */
};

struct discovery_push {
	enum push_state state;
};

struct discovery_snapshot {
	struct discovery_camera *cameras; /* by index; all one allocation with this */
	struct discovery_stream *streams;
	struct discovery_push *pushes; /* as pushes_status() counts them */
};

/* Zeroed. NULL: no memory. free() it. */
struct discovery_snapshot *discovery_snapshot_create(const struct config *config);
/* Loop thread. The same. pushes: NULL is allowed if none is configured. */
struct discovery_snapshot *discovery_snapshot_take(const struct cameras *cameras,
						   const struct pushes *pushes);
/* Both are of this configuration. */
void discovery_snapshot_copy(struct discovery_snapshot *to, const struct discovery_snapshot *from,
			     const struct config *config);

struct discovery_info {
	const struct config *config;
	const char *id;
	const uint16_t *ports;			   /* by feed: of its first listener */
	const struct discovery_snapshot *snapshot; /* NULL: none yet */
	const struct net_host_list *addresses;	   /* told: discovery_choose_addresses() */
};

/*
 * The addresses to tell, the best one first, from those that this machine has: the configured one
 * alone if there is one, else those on which some feed listens. Never empty.
 */
void discovery_choose_addresses(struct net_host_list *told, const struct config *config,
				const struct net_host_list *found);
/* The one for the plain answer: old clients know only IPv4. */
const char *discovery_plain_address(const struct net_host_list *told);

/* malloc'ed and terminated; NULL: no memory. */
char *discovery_info_json(const struct discovery_info *info);
/* What changes too often for the info: camcast/ID/state, for Home Assistant. The same. */
char *discovery_state_json(const struct discovery_info *info);
/* Whether something in the state changed that a person waits for (fps and bitrate are not). */
bool discovery_state_differs(const struct config *config, const struct discovery_snapshot *a,
			     const struct discovery_snapshot *b);

/* Calls each with topic and payload of every Home Assistant discovery message. 0 or -ENOMEM. */
int discovery_home_assistant(const struct discovery_info *info,
			     void (*each)(void *user, const char *topic, const char *payload),
			     void *user);

#endif
