/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/serve/hls_players.h"

/* 10.X.X.X:port */
static struct net_peer peer(unsigned host, uint16_t port)
{
	return (struct net_peer){
		.address = {[10] = 0xff,
			    0xff,
			    10,
			    (uint8_t)(host >> 16),
			    (uint8_t)(host >> 8),
			    (uint8_t)host},
		.port = port,
	};
}

static uint64_t note(struct hls_players *players, unsigned host, const char *program,
		     int64_t now_us)
{
	struct net_peer from = peer(host, 5000);

	return hls_players_note(players, &from, program, now_us);
}

static void keep(const struct hls_player *player, void *user)
{
	*(struct hls_player *)user = *player;
}

static struct hls_player only(const struct hls_players *players)
{
	struct hls_player player;

	assert_int_equal(players->n, 1);
	hls_players_for_each(players, keep, &player);
	return player;
}

static void requests_of_one_address_and_program_are_one_player(void **state)
{
	struct hls_players players = {0};
	struct net_peer second = peer(1, 5001);
	uint64_t player = note(&players, 1, "hls.js", 100);

	(void)state;
	assert_true(player != 0);
	assert_true(hls_players_note(&players, &second, "hls.js", 200) == player);
	assert_int_equal(only(&players).since_us, 100);
	assert_int_equal(only(&players).asked_us, 200);
	assert_int_equal(only(&players).peer.port, 5001);
	assert_true(note(&players, 1, "VLC", 300) != player);
	assert_true(note(&players, 1, NULL, 300) != player);
	assert_true(note(&players, 2, "hls.js", 300) != player);
	assert_int_equal(players.n, 4);
	hls_players_finish(&players);
}

static void what_it_got_is_counted_until_it_is_forgotten(void **state)
{
	struct hls_players players = {0};
	uint64_t player = note(&players, 1, "a", 100), next;

	(void)state;
	hls_players_sent(&players, player, 1000, 90);
	hls_players_sent(&players, player, 500, 80);
	assert_int_equal(only(&players).sent_bytes, 1500);
	assert_int_equal(only(&players).newest_us, 90);
	hls_players_forget(&players, 100);
	assert_int_equal(players.n, 1);
	hls_players_forget(&players, 101);
	assert_int_equal(players.n, 0);
	hls_players_sent(&players, player, 1, 1);
	next = note(&players, 2, "b", 200);
	assert_true(next != player);
	hls_players_sent(&players, player, 1, 1); /* its place is another's */
	assert_int_equal(only(&players).sent_bytes, 0);
	hls_players_sent(&players, 0, 1, 1);
	hls_players_sent(&players, UINT64_MAX, 1, 1);
	assert_int_equal(only(&players).sent_bytes, 0);
	hls_players_finish(&players);
	hls_players_sent(&players, next, 1, 1);
}

static void an_address_has_a_bounded_number_of_programs(void **state)
{
	struct hls_players players = {0};
	char program[16];
	uint64_t first = note(&players, 1, "first", 1), other = note(&players, 2, "other", 1);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(program, sizeof program, "p%d", i);
		note(&players, 1, program, 2 + i);
	}
	assert_int_equal(players.n, HLS_PROGRAMS_MAX + 1);
	assert_true(note(&players, 2, "other", 2000) == other);
	assert_true(note(&players, 1, "first", 2000) != first);
	assert_int_equal(players.n, HLS_PROGRAMS_MAX + 1);
	hls_players_finish(&players);
}

static void a_full_table_forgets_the_player_that_was_silent_longest(void **state)
{
	struct hls_players players = {0};
	uint64_t handles[HLS_PLAYERS_MAX];

	(void)state;
	for (unsigned i = 0; i < HLS_PLAYERS_MAX; i++)
		handles[i] = note(&players, i, "p", 10 + i);
	assert_int_equal(players.n, HLS_PLAYERS_MAX);
	assert_true(note(&players, 0, "p", 5000) == handles[0]);
	note(&players, HLS_PLAYERS_MAX, "p", 5001);
	assert_int_equal(players.n, HLS_PLAYERS_MAX);
	assert_true(note(&players, 0, "p", 5002) == handles[0]);
	assert_true(note(&players, 2, "p", 5003) == handles[2]);
	assert_true(note(&players, 1, "p", 5004) != handles[1]);
	hls_players_forget(&players, INT64_MAX);
	assert_int_equal(players.n, 0);
	hls_players_finish(&players);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_of_one_address_and_program_are_one_player),
		cmocka_unit_test(what_it_got_is_counted_until_it_is_forgotten),
		cmocka_unit_test(an_address_has_a_bounded_number_of_programs),
		cmocka_unit_test(a_full_table_forgets_the_player_that_was_silent_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
