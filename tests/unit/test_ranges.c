/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/ranges.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/auth/gate.h"

static struct net_peer peer_of(const char *text)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = 1};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = 1};
	struct net_peer peer;

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		net_peer_from_sockaddr(&peer, (struct sockaddr *)&in, sizeof in);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
		net_peer_from_sockaddr(&peer, (struct sockaddr *)&in6, sizeof in6);
	}
	return peer;
}

static bool has(const char *list, const char *address)
{
	struct net_peer peer = peer_of(address);
	struct net_ranges ranges;

	assert_null(net_ranges_parse(&ranges, list));
	return net_ranges_contain(&ranges, &peer, NULL);
}

static void a_prefix_decides(void **state)
{
	(void)state;
	assert_true(has("192.168.1.0/24", "192.168.1.255"));
	assert_false(has("192.168.1.0/24", "192.168.2.0"));
	assert_true(has("10.0.0.0/9", "10.127.255.255"));
	assert_false(has("10.0.0.0/9", "10.128.0.0"));
	assert_true(has("192.168.1.77/24", "192.168.1.1"));
	assert_true(has("192.0.2.7", "192.0.2.7"));
	assert_false(has("192.0.2.7", "192.0.2.8"));
	assert_true(has("2001:db8::/32", "2001:db8:ffff::1"));
	assert_false(has("2001:db8::/32", "2001:db9::1"));
	assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(has("fd00::1", "fd00::1"));
	assert_true(has("fd00::1 ,\t192.0.2.1,", "192.0.2.1"));
	assert_false(has("", "192.0.2.1"));
}

static void ipv4_in_ipv6_is_ipv4(void **state)
{
	(void)state;
	assert_true(has("192.168.1.0/24", "::ffff:192.168.1.9"));
	assert_true(has("::ffff:192.168.1.0/120", "192.168.1.9"));
	assert_true(has("0.0.0.0/0", "203.0.113.1"));
	assert_false(has("0.0.0.0/0", "2001:db8::1"));
	assert_true(has("::/0", "2001:db8::1"));
	assert_false(has("::/0", "203.0.113.1"));
	assert_false(has("::/80", "203.0.113.1"));
}

static void what_is_no_range_is_refused(void **state)
{
	static const char *const bad[] = {
		"192.168.1",
		"192.168.1.0/33",
		"192.168.1.0/",
		"192.168.1.0/-1",
		"192.168.1.0/0x8",
		"192.168.1.0/024 8",
		"2001:db8::/129",
		"fe80::1%lo",
		"example.org",
		"[::1]",
		"/24",
		"192.168.1.0/24/8",
		"locally",
		"1.2.3.4/9999999999",
	};
	struct net_ranges ranges = {.n = 7};
	char many[NET_RANGES_MAX * 10 + 16] = "";

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_non_null(net_ranges_parse(&ranges, bad[i]));
		assert_int_equal(ranges.n, 7);
	}
	for (int i = 0; i < NET_RANGES_MAX; i++)
		strcat(many, "10.0.0.1, ");
	assert_null(net_ranges_parse(&ranges, many));
	assert_int_equal(ranges.n, NET_RANGES_MAX);
	strcat(many, "10.0.0.1");
	assert_non_null(net_ranges_parse(&ranges, many));
}

static void local_is_this_machine_its_links_and_its_networks(void **state)
{
	struct net_ranges list, own = {.n = 0};
	struct net_peer near = peer_of("192.168.7.9"), far = peer_of("203.0.113.9");
	struct net_peer loopback = peer_of("127.0.0.5"), loopback6 = peer_of("::1");
	struct net_peer link = peer_of("fe80::7"), link4 = peer_of("169.254.3.4");
	struct net_peer own_network = peer_of("192.168.7.1");

	(void)state;
	assert_null(net_ranges_parse(&list, "LOCAL"));
	assert_true(net_ranges_add(&own, own_network.address, 96 + 24));
	assert_true(net_ranges_contain(&list, &near, &own));
	assert_false(net_ranges_contain(&list, &near, NULL));
	assert_false(net_ranges_contain(&list, &far, &own));
	assert_true(net_ranges_contain(&list, &loopback, NULL));
	assert_true(net_ranges_contain(&list, &loopback6, NULL));
	assert_true(net_ranges_contain(&list, &link, NULL));
	assert_true(net_ranges_contain(&list, &link4, NULL));
	assert_int_equal(net_own_networks(&own), 0);
	assert_true(own.n <= NET_RANGES_MAX);
	assert_false(net_ranges_contain(&own, &far, NULL));
}

static bool lets_in(const struct gate *gate, const char *address)
{
	struct net_peer peer = peer_of(address);

	return gate_lets_in(gate, &peer);
}

static void both_gates_are_asked_and_deny_counts_more(void **state)
{
	struct net_peer process = {.port = 0};
	struct gate outer, gate;

	(void)state;
	gate_init(&outer, "10.0.0.0/8", "10.9.0.0/16", NULL, NULL);
	gate_init(&gate, "", "10.1.1.1", NULL, &outer);
	assert_true(lets_in(&gate, "10.1.1.2"));
	assert_false(lets_in(&gate, "10.1.1.1"));
	assert_false(lets_in(&gate, "10.9.1.1"));
	assert_false(lets_in(&gate, "192.0.2.1"));
	assert_true(lets_in(NULL, "192.0.2.1"));
	assert_true(gate_lets_in(&gate, &process));
	assert_false(gate_needs_own(&gate));
	gate_init(&outer, "", "local", NULL, NULL);
	assert_true(gate_needs_own(&gate));
}

static void without_users_only_those_named_come_in(void **state)
{
	struct gate gate;

	(void)state;
	gate_init(&gate, "", "", NULL, NULL);
	assert_true(lets_in(&gate, "10.1.1.2"));
	gate.named_only = true;
	assert_false(lets_in(&gate, "10.1.1.2"));
	gate_init(&gate, "10.1.1.2", "", NULL, NULL);
	gate.named_only = true;
	assert_true(lets_in(&gate, "10.1.1.2"));
	assert_false(lets_in(&gate, "10.1.1.3"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prefix_decides),
		cmocka_unit_test(ipv4_in_ipv6_is_ipv4),
		cmocka_unit_test(what_is_no_range_is_refused),
		cmocka_unit_test(local_is_this_machine_its_links_and_its_networks),
		cmocka_unit_test(both_gates_are_asked_and_deny_counts_more),
		cmocka_unit_test(without_users_only_those_named_come_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
