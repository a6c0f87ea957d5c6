/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The players of a stream over HLS. A player has no connection of its own: it is known by its
 * requests. Requests from one address with one User-Agent are those of one player, and it is here
 * until it has been silent for some time. So several players of the same kind behind one address,
 * and all of those behind a cache, count once.
 *
 * Bounded: HLS_PLAYERS_MAX in all and HLS_PROGRAMS_MAX of one address; there a new one takes the
 * place of the one that was silent longest. Loop thread only.
 */
#ifndef DAEMON_SERVE_HLS_PLAYERS_H
#define DAEMON_SERVE_HLS_PLAYERS_H

#include "net/address.h"

#define HLS_PLAYERS_MAX 1024
#define HLS_PROGRAMS_MAX 16

struct hls_player {
	struct net_peer peer; /* of its newest request */
	int64_t since_us;     /* its first request */
	int64_t asked_us;     /* its newest one */
	int64_t newest_us;    /* when camcastd got the newest picture sent to it; 0: none */
	uint64_t sent_bytes;  /* of pictures */
	/* --- below: the table's --- */
	uint64_t host[2];    /* net_peer_host_key() */
	uint64_t program;    /* of the User-Agent */
	uint32_t generation; /* of the place; 0: it was never taken */
	uint16_t next;	     /* in the chain of its bucket: place + 1; 0: the last */
	bool used;
};

#define HLS_BUCKETS 256

struct hls_players {
	struct hls_player *places; /* HLS_PLAYERS_MAX; NULL before the first player */
	size_t n;		   /* in use */
	uint16_t buckets[HLS_BUCKETS];
};

/* A request came. program: the User-Agent; NULL: none. Returns the player for hls_players_sent();
 * 0: there is no place, or no memory. */
uint64_t hls_players_note(struct hls_players *players, const struct net_peer *peer,
			  const char *program, int64_t now_us);
/* It gets bytes of pictures, of which the newest came to camcastd at newest_us. A player that has
 * been forgotten, and 0, are allowed. */
void hls_players_sent(struct hls_players *players, uint64_t player, uint64_t bytes,
		      int64_t newest_us);
/* Forgets the players whose newest request came before this time. */
void hls_players_forget(struct hls_players *players, int64_t before_us);

void hls_players_for_each(const struct hls_players *players,
			  void (*each)(const struct hls_player *player, void *user), void *user);
/* Forgets all and frees the memory. */
void hls_players_finish(struct hls_players *players);

#endif
