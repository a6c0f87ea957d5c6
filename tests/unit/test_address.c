/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/address.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define NAME_63 "a-name-of-sixty-three-bytes-which-is-the-longest-label-of-all-"
#define NO_INTERFACE 0x7ffffff0 /* an index that nothing has */

/* --- as people write them --- */

static void addresses_are_read_in_every_form(void **state)
{
	static const struct {
		const char *text;
		enum net_address_form form;
		const char *host;
		uint16_t port;
	} cases[] = {
		{"192.0.2.1:1", NET_CONNECT, "192.0.2.1", 1},
		{"porch:65535", NET_CONNECT, "porch", 65535},
		{"cam-1.example_2.org:08888", NET_CONNECT, "cam-1.example_2.org", 8888},
		{"127.1:80", NET_CONNECT, "127.1", 80}, /* the resolver knows it */
		{"[2001:db8::1]:8888", NET_CONNECT, "2001:db8::1", 8888},
		{"[::ffff:192.0.2.1]:1", NET_CONNECT, "::ffff:192.0.2.1", 1},
		{"[fe80::1%eth0]:8888", NET_CONNECT, "fe80::1%eth0", 8888},
		{"[fe80::1%17]:8888", NET_CONNECT, "fe80::1%17", 8888},
		{"[fe80::1%wlp0s20f3.100]:1", NET_CONNECT, "fe80::1%wlp0s20f3.100", 1},
		{"porch:1", NET_CONNECT_PORT_OPTIONAL, "porch", 1},
		{"porch", NET_CONNECT_PORT_OPTIONAL, "porch", 0},
		{"::1", NET_CONNECT_PORT_OPTIONAL, "::1", 0},
		{"fe80::1%eth0", NET_CONNECT_PORT_OPTIONAL, "fe80::1%eth0", 0},
		{"[::1]", NET_CONNECT_PORT_OPTIONAL, "::1", 0},
		{"[::1]:1", NET_CONNECT_PORT_OPTIONAL, "::1", 1},
		{"0.0.0.0:8888", NET_LISTEN, "0.0.0.0", 8888},
		{"[::]:0", NET_LISTEN, "::", 0},
		{"[fe80::1%eth0]:8888", NET_LISTEN, "fe80::1%eth0", 8888},
		{":8888", NET_LISTEN, "", 8888},
		{"*:8888", NET_LISTEN, "", 8888},
		{"8888", NET_LISTEN, "", 8888},
		{"0", NET_LISTEN, "", 0},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct net_address address;

		assert_int_equal(net_address_parse(&address, cases[i].text, cases[i].form), 0);
		assert_string_equal(address.host, cases[i].host);
		assert_int_equal(address.port, cases[i].port);
	}
}

static void what_is_no_address_is_refused_in_every_form(void **state)
{
	static const char *const cases[] = {
		"",
		":",
		"[",
		"[]",
		"[]:1",
		"]",
		"[::1",
		"::1]:1",
		"[::1]1",
		"[::1]:",
		"[::1]:x",
		"[::1]x:1",
		"[::1%]:1",
		"[%eth0]:1",
		"[fe80::1%eth0:1",
		"[fe80::1%a b]:1",
		"[fe80::1%a/b]:1",
		"[fe80::1%sixteen-bytes-ab]:1",
		"[fe80::1%%eth0]:1",
		"[1.2.3.4]:1",
		"[porch]:1",
		"[:::1]:1",
		"[2001:db8::1::]:1",
		"porch:",
		"porch:x",
		"porch:-1",
		"porch:+1",
		"porch: 1",
		"porch:1 ",
		"porch:1x",
		"porch:65536",
		"porch:4294967297",
		"porch:18446744073709551617",
		"porch:0000000001",
		"a b:1",
		"a/b:1",
		"p\xc3\xb6rch:1",
		"porch%eth0:1",
		"user@porch:1",
		"porch:1:2x",
		"\n:1",
		"[0000:0000:0000:0000:0000:0000:255.255.255.255.255.255]:1",
		NAME_63 NAME_63 NAME_63 NAME_63 "12345678:1",
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++)
		for (int form = NET_CONNECT; form <= NET_LISTEN; form++) {
			struct net_address address = {.host = "as it was", .port = 7};

			assert_int_equal(
				net_address_parse(&address, cases[i], (enum net_address_form)form),
				-EINVAL);
			assert_string_equal(address.host, "as it was");
			assert_int_equal(address.port, 7);
		}
}

static void each_form_has_its_own_limits(void **state)
{
	static const struct {
		const char *text;
		enum net_address_form form;
	} cases[] = {
		{"porch", NET_CONNECT},
		{"8888", NET_CONNECT},
		{":8888", NET_CONNECT},
		{"::1", NET_CONNECT},
		{"::1:80", NET_CONNECT},
		{"[::1]", NET_CONNECT},
		{"porch:0", NET_CONNECT},
		{"porch:0", NET_CONNECT_PORT_OPTIONAL},
		{":1", NET_CONNECT_PORT_OPTIONAL},
		{"1:2:3", NET_CONNECT_PORT_OPTIONAL},
		{"porch", NET_LISTEN},
		{"::1", NET_LISTEN},
		{"[::1]", NET_LISTEN},
		{"1.2.3:80", NET_LISTEN},
		{"256.0.0.1:80", NET_LISTEN},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct net_address address;

		assert_int_equal(net_address_parse(&address, cases[i].text, cases[i].form),
				 -EINVAL);
	}
}

static void what_is_wrong_with_an_address_is_explained(void **state)
{
	static const struct {
		const char *text;
		enum net_address_form form;
		const char *explanation;
	} cases[] = {
		{"host:99999", NET_CONNECT_PORT_OPTIONAL, "the port must be 1 to 65535"},
		{"host:0", NET_CONNECT, "the port must be 1 to 65535"},
		{"host:mqtt", NET_CONNECT, "the port must be 1 to 65535"},
		{"1.2.3.4:65536", NET_LISTEN, "the port must be 0 to 65535"},
		{"::1", NET_LISTEN, "an IPv6 address needs brackets, as in [::1]:8888"},
		{"a b", NET_CONNECT_PORT_OPTIONAL, "it must be HOST or HOST:PORT"},
		{"host", NET_CONNECT, "it must be HOST:PORT"},
		{"a b:1", NET_LISTEN, "it must be PORT or ADDRESS:PORT"},
	};
	struct net_address address;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(net_address_parse(&address, cases[i].text, cases[i].form),
				 -EINVAL);
		assert_string_equal(net_address_explain(cases[i].text, cases[i].form),
				    cases[i].explanation);
	}
}

static void hosts_are_names_or_addresses(void **state)
{
	static const struct {
		const char *host;
		bool valid;
		int family;
		bool any, loopback;
	} cases[] = {
		{"porch", true, AF_UNSPEC, false, false},
		{"localhost", true, AF_UNSPEC, false, true},
		{"192.0.2.1", true, AF_INET, false, false},
		{"127.0.0.2", true, AF_INET, false, true},
		{"0.0.0.0", true, AF_INET, true, false},
		{"::", true, AF_INET6, true, false},
		{"::1", true, AF_INET6, false, true},
		{"fe80::1%eth0", true, AF_INET6, false, false},
		{"fe80::1%3", true, AF_INET6, false, false},
		{"", false, AF_UNSPEC, true, false},
		{"1.2.3", false, AF_UNSPEC, false, false},
		{"[::1]", false, AF_UNSPEC, false, false},
		{"fe80::1%", false, AF_UNSPEC, false, false},
		{"porch%eth0", false, AF_UNSPEC, false, false},
		{"192.0.2.1%eth0", false, AF_UNSPEC, false, false},
		{"a b", false, AF_UNSPEC, false, false},
		{"porch:1", false, AF_UNSPEC, false, false},
		{NAME_63 "." NAME_63 "." NAME_63 "." NAME_63 ".abcdef", false, AF_UNSPEC, false,
		 false},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(net_host_is_valid(cases[i].host), cases[i].valid);
		assert_int_equal(net_host_family(cases[i].host), cases[i].family);
		assert_int_equal(net_host_is_any(cases[i].host), cases[i].any);
		assert_int_equal(net_host_is_loopback(cases[i].host), cases[i].loopback);
	}
}

static void what_is_written_can_be_read_again(void **state)
{
	static const char *const cases[] = {"porch:1", "192.0.2.1:65535", "[2001:db8::1]:8888",
					    "[fe80::1%eth0]:8888"};
	char text[NET_HOST_PORT_MAX];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct net_address address;

		assert_int_equal(net_address_parse(&address, cases[i], NET_CONNECT), 0);
		net_format_host_port(text, address.host, address.port);
		assert_string_equal(text, cases[i]);
	}
}

/* --- as the kernel has them --- */

static struct net_peer peer6(const char *text, uint32_t scope, uint16_t port)
{
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_scope_id = scope,
		.sin6_port = htons(port),
	};
	struct net_peer peer;

	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	net_peer_from_sockaddr(&peer, (const struct sockaddr *)&in6, sizeof in6);
	return peer;
}

static struct net_peer peer4(const char *text, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct net_peer peer;

	assert_int_equal(inet_pton(AF_INET, text, &in.sin_addr), 1);
	net_peer_from_sockaddr(&peer, (const struct sockaddr *)&in, sizeof in);
	return peer;
}

static void peers_are_shown_as_people_write_them(void **state)
{
	const struct {
		struct net_peer peer;
		const char *text, *host;
	} cases[] = {
		{peer6("2001:db8::1", 0, 8888), "[2001:db8::1]:8888", "2001:db8::1"},
		{peer6("::", 0, 8888), "[::]:8888", "::"},
		{peer6("::ffff:192.0.2.7", 0, 1), "192.0.2.7:1", "192.0.2.7"},
		{peer4("255.255.255.255", 65535), "255.255.255.255:65535", "255.255.255.255"},
		{peer4("0.0.0.0", 1), "0.0.0.0:1", "0.0.0.0"},
		{peer6("fe80::1", if_nametoindex("lo"), 8888), "[fe80::1%lo]:8888", "fe80::1%lo"},
		{peer6("fe80::1", NO_INTERFACE, 8888), "[fe80::1%2147483632]:8888",
		 "fe80::1%2147483632"},
		{{.port = 0}, "local", "local"},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		char text[NET_PEER_TEXT_MAX];

		net_peer_format(&cases[i].peer, text);
		assert_string_equal(text, cases[i].text);
		net_peer_format_host(&cases[i].peer, text);
		assert_string_equal(text, cases[i].host);
	}
}

static void a_peer_takes_few_bytes_and_fits_its_text(void **state)
{
	struct net_peer peer = peer6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0, 65535);
	char text[NET_PEER_TEXT_MAX];

	(void)state;
	assert_true(sizeof peer <= 24);
	net_peer_format(&peer, text);
	assert_true(strlen(text) + IFNAMSIZ < NET_PEER_TEXT_MAX);
}

static void kinds_of_addresses_are_told_apart(void **state)
{
	const struct {
		struct net_peer peer;
		bool ipv4, link_local, loopback, any;
	} cases[] = {
		{peer4("192.0.2.1", 1), true, false, false, false},
		{peer4("169.254.1.2", 1), true, true, false, false},
		{peer4("127.255.0.1", 1), true, false, true, false},
		{peer4("0.0.0.0", 1), true, false, false, true},
		{peer6("::ffff:127.0.0.1", 0, 1), true, false, true, false},
		{peer6("2001:db8::1", 0, 1), false, false, false, false},
		{peer6("fe80::1", 3, 1), false, true, false, false},
		{peer6("febf::1", 3, 1), false, true, false, false},
		{peer6("fec0::1", 0, 1), false, false, false, false},
		{peer6("::1", 0, 1), false, false, true, false},
		{peer6("::", 0, 1), false, false, false, true},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(net_peer_is_ipv4(&cases[i].peer), cases[i].ipv4);
		assert_int_equal(net_peer_is_link_local(&cases[i].peer), cases[i].link_local);
		assert_int_equal(net_peer_is_loopback(&cases[i].peer), cases[i].loopback);
		assert_int_equal(net_peer_is_any(&cases[i].peer), cases[i].any);
	}
}

static void a_host_counts_once_whatever_addresses_it_takes(void **state)
{
	const struct {
		struct net_peer a, b;
		bool same;
	} cases[] = {
		{peer4("192.0.2.1", 1), peer4("192.0.2.1", 2), true},
		{peer4("192.0.2.1", 1), peer6("::ffff:192.0.2.1", 0, 1), true},
		{peer4("192.0.2.1", 1), peer4("192.0.2.2", 1), false},
		{peer6("2001:db8::1", 0, 1), peer6("2001:db8::ffff:1:2:3", 0, 1), true},
		{peer6("2001:db8::1", 0, 1), peer6("2001:db8:0:1::1", 0, 1), false},
		{peer6("fe80::1", 2, 1), peer6("fe80::1", 2, 9), true},
		{peer6("fe80::1", 2, 1), peer6("fe80::2", 2, 1), false},
		{peer6("fe80::1", 2, 1), peer6("fe80::1", 3, 1), false},
		{peer6("::1", 0, 1), peer4("127.0.0.1", 1), false},
		{{.port = 0}, {.port = 0}, true},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		uint64_t a[2], b[2];

		net_peer_host_key(&cases[i].a, a);
		net_peer_host_key(&cases[i].b, b);
		assert_int_equal(memcmp(a, b, sizeof a) == 0, cases[i].same);
	}
}

static void sockets_are_asked_for_both_ends(void **state)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof in;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct net_peer ours, theirs;
	int pair[2];

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(net_peer_from_fd(&theirs, fd), -ENOTCONN);
	assert_int_equal(theirs.port, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(net_peer_from_fd(&theirs, fd), 0);
	net_peer_local_from_fd(&ours, listener);
	assert_memory_equal(&ours, &theirs, sizeof ours);
	assert_int_equal(ours.port, ntohs(in.sin_port));
	close(fd);
	close(listener);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(net_peer_from_fd(&theirs, pair[0]), 0);
	assert_true(net_peer_is_any(&theirs) && theirs.port == 0);
	close(pair[0]);
	close(pair[1]);
	net_peer_local_from_fd(&ours, -1);
	assert_true(net_peer_is_any(&ours) && ours.port == 0);
}

static void groups_have_an_even_port_and_leave_the_link(void **state)
{
	static const char *const good[] = {"224.0.1.0:1024", "239.255.255.255:65534",
					   "[ff02::1]:5004", "[ff1e:1::2]:5004"};
	static const char *const bad[] = {
		"",
		"239.1.2.3",
		"239.1.2.3:5005",
		"239.1.2.3:1022",
		"239.1.2.3:0",
		"224.0.0.251:5004",
		"223.1.2.3:5004",
		"240.0.0.1:5004",
		"cam:5004",
		"[fe80::1]:5004",
		"[ff01::1]:5004",
		"[ff00::1]:5004",
		"[ff1f::1]:5004",
		"[ff12::1%eth0]:5004",
		":5004",
	};
	char text[NET_PEER_TEXT_MAX];
	struct sockaddr_storage address;
	struct net_peer group, again, zero = {0};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		socklen_t len;

		assert_int_equal(net_group_parse(&group, good[i]), 0);
		net_peer_format(&group, text);
		assert_string_equal(text, good[i]);
		len = net_peer_to_sockaddr(&group, &address);
		net_peer_from_sockaddr(&again, (struct sockaddr *)&address, len);
		assert_memory_equal(&again, &group, sizeof group);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (net_group_parse(&again, bad[i]) != -EINVAL)
			fail_msg("%s", bad[i]);
	assert_memory_equal(&again, &group, sizeof group);
	assert_int_equal(net_peer_to_sockaddr(&zero, &address), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_in_every_form),
		cmocka_unit_test(what_is_no_address_is_refused_in_every_form),
		cmocka_unit_test(each_form_has_its_own_limits),
		cmocka_unit_test(what_is_wrong_with_an_address_is_explained),
		cmocka_unit_test(hosts_are_names_or_addresses),
		cmocka_unit_test(what_is_written_can_be_read_again),
		cmocka_unit_test(peers_are_shown_as_people_write_them),
		cmocka_unit_test(a_peer_takes_few_bytes_and_fits_its_text),
		cmocka_unit_test(kinds_of_addresses_are_told_apart),
		cmocka_unit_test(a_host_counts_once_whatever_addresses_it_takes),
		cmocka_unit_test(sockets_are_asked_for_both_ends),
		cmocka_unit_test(groups_have_an_even_port_and_leave_the_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
