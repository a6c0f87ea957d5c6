/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/tickets.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/auth/slowdown.h"

#define S INT64_C(1000000)

static struct digest_key key;

static struct digest digest_of(const char *name, const char *secret)
{
	struct digest digest;

	digest_make(&digest, &key, 'p', name, secret);
	return digest;
}

static void digests_differ_in_each_part(void **state)
{
	struct digest a = digest_of("anna", "x"), again = digest_of("anna", "x");
	struct digest other = digest_of("ann", "ax"), kind, foreign;
	struct digest_key second;

	(void)state;
	assert_true(digest_equal(&a, &again));
	assert_false(digest_equal(&a, &other));
	digest_make(&kind, &key, 'l', "anna", "x");
	assert_false(digest_equal(&a, &kind));
	assert_int_equal(digest_key_init(&second), 0);
	digest_make(&foreign, &second, 'p', "anna", "x");
	assert_false(digest_equal(&a, &foreign));
}

static void a_ticket_ends_at_its_time(void **state)
{
	struct digest a = digest_of("anna", "x"), b = digest_of("bert", "x");
	struct tickets tickets;

	(void)state;
	assert_int_equal(tickets_init(&tickets, 4, 10 * S, false), 0);
	assert_int_equal(tickets_find(&tickets, &a, 1 * S), -1);
	tickets_give(&tickets, &a, 7, 1 * S);
	assert_int_equal(tickets_find(&tickets, &a, 5 * S), 7);
	assert_int_equal(tickets_find(&tickets, &b, 5 * S), -1);
	assert_int_equal(tickets_find(&tickets, &a, 11 * S), -1);
	tickets_give(&tickets, &a, 7, 12 * S);
	tickets_take_back(&tickets, &a);
	assert_int_equal(tickets_find(&tickets, &a, 12 * S), -1);
	tickets_finish(&tickets);
}

static void use_prolongs_a_login(void **state)
{
	struct digest a = digest_of("", "x");
	struct tickets tickets;

	(void)state;
	assert_int_equal(tickets_init(&tickets, 4, 10 * S, true), 0);
	tickets_give(&tickets, &a, 0, 1 * S);
	assert_int_equal(tickets_find(&tickets, &a, 9 * S), 0);
	assert_int_equal(tickets_find(&tickets, &a, 18 * S), 0);
	assert_int_equal(tickets_find(&tickets, &a, 28 * S), -1);
	tickets_finish(&tickets);
}

static void the_ticket_that_was_not_used_for_longest_goes(void **state)
{
	struct digest a = digest_of("", "a"), b = digest_of("", "b"), c = digest_of("", "c");
	struct tickets tickets;

	(void)state;
	assert_int_equal(tickets_init(&tickets, 2, 100 * S, false), 0);
	tickets_give(&tickets, &a, 1, 1 * S);
	tickets_give(&tickets, &b, 2, 2 * S);
	assert_int_equal(tickets_find(&tickets, &a, 3 * S), 1);
	tickets_give(&tickets, &c, 3, 4 * S);
	assert_int_equal(tickets_find(&tickets, &a, 5 * S), 1);
	assert_int_equal(tickets_find(&tickets, &b, 5 * S), -1);
	assert_int_equal(tickets_find(&tickets, &c, 5 * S), 3);
	tickets_give(&tickets, &c, 4, 6 * S); /* in its own place */
	assert_int_equal(tickets_find(&tickets, &a, 7 * S), 1);
	assert_int_equal(tickets_find(&tickets, &c, 7 * S), 4);
	tickets_finish(&tickets);
}

static void a_user_with_many_tickets_takes_none_of_others(void **state)
{
	struct digest a = digest_of("", "a"), last = digest_of("0", "b");
	struct tickets tickets;
	char name[2] = "0";

	(void)state;
	assert_int_equal(tickets_init(&tickets, 4, 100 * S, true), 0);
	tickets_give(&tickets, &a, 1, 1 * S);
	for (int i = 0; i < 10; i++, name[0]++) {
		last = digest_of(name, "b");
		tickets_give(&tickets, &last, 2, (2 + i) * S);
	}
	assert_int_equal(tickets_find(&tickets, &a, 20 * S), 1);
	assert_int_equal(tickets_find(&tickets, &last, 20 * S), 2);
	last = digest_of("6", "b");
	assert_int_equal(tickets_find(&tickets, &last, 20 * S), -1);
	tickets_finish(&tickets);
}

static void a_ticket_that_has_ended_gives_its_place_first(void **state)
{
	struct digest a = digest_of("", "a"), b = digest_of("", "b"), c = digest_of("", "c");
	struct tickets tickets;

	(void)state;
	assert_int_equal(tickets_init(&tickets, 2, 10 * S, false), 0);
	tickets_give(&tickets, &a, 1, 1 * S);
	tickets_give(&tickets, &b, 2, 9 * S);
	assert_int_equal(tickets_find(&tickets, &a, 10 * S), 1);
	tickets_give(&tickets, &c, 2, 12 * S);
	assert_int_equal(tickets_find(&tickets, &b, 12 * S), 2);
	assert_int_equal(tickets_find(&tickets, &c, 12 * S), 2);
	tickets_finish(&tickets);
}

/* --- failures --- */

static struct net_peer peer_number(uint32_t n)
{
	struct net_peer peer = {.address = {[10] = 0xff, [11] = 0xff}, .port = 1};

	n = htonl(0x0a000000 + n);
	memcpy(peer.address + 12, &n, sizeof n);
	return peer;
}

static void an_address_waits_longer_after_each_failure(void **state)
{
	struct net_peer peer = peer_number(1), other = peer_number(2);
	struct slowdown *slowdown;
	int64_t now_us = 1 * S, wait_us;

	(void)state;
	assert_int_equal(slowdown_create(&slowdown), 0);
	for (int i = 0; i < SLOWDOWN_FREE; i++) {
		assert_int_equal(slowdown_wait_us(slowdown, &peer, now_us), 0);
		slowdown_failed(slowdown, &peer, now_us);
	}
	for (wait_us = 1 * S; wait_us < 64 * S; wait_us *= 2) {
		assert_int_equal(slowdown_wait_us(slowdown, &peer, now_us), wait_us);
		now_us += wait_us;
		assert_int_equal(slowdown_wait_us(slowdown, &peer, now_us - 1), 1);
		assert_int_equal(slowdown_wait_us(slowdown, &peer, now_us), 0);
		slowdown_failed(slowdown, &peer, now_us);
	}
	for (int i = 0; i < 100; i++)
		slowdown_failed(slowdown, &peer, now_us);
	assert_int_equal(slowdown_wait_us(slowdown, &peer, now_us), SLOWDOWN_MAX_US);
	assert_int_equal(slowdown_wait_us(slowdown, &other, now_us), 0);
	now_us += SLOWDOWN_FORGET_US;
	slowdown_failed(slowdown, &peer, now_us);
	assert_int_equal(slowdown_wait_us(slowdown, &peer, now_us), 0);
	slowdown_destroy(slowdown);
}

static void so_many_addresses_are_remembered(void **state)
{
	struct slowdown *slowdown;
	struct net_peer peer;

	(void)state;
	assert_int_equal(slowdown_create(&slowdown), 0);
	for (uint32_t n = 0; n <= SLOWDOWN_ADDRESSES; n++) {
		peer = peer_number(n);
		for (int i = 0; i < SLOWDOWN_FREE; i++)
			slowdown_failed(slowdown, &peer, 1 * S + n);
	}
	peer = peer_number(0);
	assert_int_equal(slowdown_wait_us(slowdown, &peer, 1 * S), 0); /* forgotten */
	for (uint32_t n = 1; n <= SLOWDOWN_ADDRESSES; n++) {
		peer = peer_number(n);
		assert_true(slowdown_wait_us(slowdown, &peer, 1 * S + n) == 1 * S);
	}
	slowdown_destroy(slowdown);
}

static int make_key(void **state)
{
	(void)state;
	return digest_key_init(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_differ_in_each_part),
		cmocka_unit_test(a_ticket_ends_at_its_time),
		cmocka_unit_test(use_prolongs_a_login),
		cmocka_unit_test(the_ticket_that_was_not_used_for_longest_goes),
		cmocka_unit_test(a_user_with_many_tickets_takes_none_of_others),
		cmocka_unit_test(a_ticket_that_has_ended_gives_its_place_first),
		cmocka_unit_test(an_address_waits_longer_after_each_failure),
		cmocka_unit_test(so_many_addresses_are_remembered),
	};

	return cmocka_run_group_tests(tests, make_key, NULL);
}
