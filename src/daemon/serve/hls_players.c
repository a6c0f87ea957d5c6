/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/hls_players.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* All programs of one address are in one chain. */
static uint16_t *bucket_of(struct hls_players *players, const uint64_t host[2])
{
	return &players->buckets[bytes_hash(BYTES_HASH, host, 2 * sizeof *host) % HLS_BUCKETS];
}

static uint64_t handle_of(const struct hls_players *players, const struct hls_player *player)
{
	return (uint64_t)player->generation << 32 | (uint64_t)(player - players->places);
}

static void forget(struct hls_players *players, struct hls_player *player)
{
	uint16_t number = (uint16_t)(player - players->places + 1);
	uint16_t *at = bucket_of(players, player->host);

	while (*at != number)
		at = &players->places[*at - 1].next;
	*at = player->next;
	player->used = false;
	players->n--;
}

/* Of two, the one that was silent longer. */
static struct hls_player *staler(struct hls_player *a, struct hls_player *b)
{
	return !a || b->asked_us < a->asked_us ? b : a;
}

/* A place that is not used. */
static struct hls_player *make_room(struct hls_players *players)
{
	struct hls_player *stalest = NULL;

	for (size_t i = 0; i < HLS_PLAYERS_MAX; i++) {
		if (!players->places[i].used)
			return &players->places[i];
		stalest = staler(stalest, &players->places[i]);
	}
	forget(players, stalest);
	return stalest;
}

static struct hls_player *add(struct hls_players *players, const uint64_t host[2], uint64_t program,
			      int64_t now_us)
{
	struct hls_player *player = make_room(players);
	uint16_t *bucket = bucket_of(players, host);

	*player = (struct hls_player){
		.since_us = now_us,
		.host = {host[0], host[1]},
		.program = program,
		.generation = player->generation + 1,
		.next = *bucket,
		.used = true,
	};
	*bucket = (uint16_t)(player - players->places + 1);
	players->n++;
	return player;
}

/* NULL: it is a new one, for which its address has a place now. */
static struct hls_player *find(struct hls_players *players, const uint64_t host[2],
			       uint64_t program)
{
	struct hls_player *stalest = NULL;
	unsigned of_host = 0;

	for (uint16_t at = *bucket_of(players, host); at; at = players->places[at - 1].next) {
		struct hls_player *player = &players->places[at - 1];

		if (memcmp(player->host, host, sizeof player->host) != 0)
			continue;
		if (player->program == program)
			return player;
		stalest = staler(stalest, player);
		of_host++;
	}
	if (of_host >= HLS_PROGRAMS_MAX)
		forget(players, stalest);
	return NULL;
}

uint64_t hls_players_note(struct hls_players *players, const struct net_peer *peer,
			  const char *program, int64_t now_us)
{
	uint64_t hashed = program ? bytes_hash(BYTES_HASH, program, strlen(program)) : 0;
	struct hls_player *player;
	uint64_t host[2];

	if (!players->places)
		players->places = calloc(HLS_PLAYERS_MAX, sizeof *players->places);
	if (!players->places)
		return 0;
	net_peer_host_key(peer, host);
	player = find(players, host, hashed);
	if (!player)
		player = add(players, host, hashed, now_us);
	player->peer = *peer;
	player->asked_us = now_us;
	return handle_of(players, player);
}

void hls_players_sent(struct hls_players *players, uint64_t handle, uint64_t bytes,
		      int64_t newest_us)
{
	size_t place = (uint32_t)handle;
	struct hls_player *player;

	if (!players->places || place >= HLS_PLAYERS_MAX)
		return;
	player = &players->places[place];
	if (!player->used || player->generation != handle >> 32)
		return;
	player->sent_bytes += bytes;
	if (newest_us > player->newest_us)
		player->newest_us = newest_us;
}

void hls_players_forget(struct hls_players *players, int64_t before_us)
{
	for (size_t i = 0; players->n > 0 && i < HLS_PLAYERS_MAX; i++)
		if (players->places[i].used && players->places[i].asked_us < before_us)
			forget(players, &players->places[i]);
}

void hls_players_for_each(const struct hls_players *players,
			  void (*each)(const struct hls_player *player, void *user), void *user)
{
	for (size_t i = 0, left = players->n; left > 0; i++) {
		if (!players->places[i].used)
			continue;
		each(&players->places[i], user);
		left--;
	}
}

void hls_players_finish(struct hls_players *players)
{
	free(players->places);
	*players = (struct hls_players){0};
}
