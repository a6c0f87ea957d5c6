/* SPDX-License-Identifier: BSD-2-Clause */
/* Interfaces by their name and by their addresses. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>

#include "net/interfaces.h"

/* What getifaddrs() says here; the names and numbers are those of this machine, on which only lo is
 * certain to be. */
static struct sockaddr_ll hardware = {.sll_family = AF_PACKET};
static struct sockaddr_in loopback = {.sin_family = AF_INET};
static struct sockaddr_in6 link_local = {
	.sin6_family = AF_INET6,
	.sin6_addr = {.s6_addr = {0xfe, 0x80, [15] = 7}},
};
static struct ifaddrs list[] = {
	{.ifa_name = (char *)"lo"},
	{.ifa_name = (char *)"lo", .ifa_addr = (struct sockaddr *)&hardware},
	{.ifa_name = (char *)"lo", .ifa_addr = (struct sockaddr *)&loopback},
	{.ifa_name = (char *)"lo", .ifa_addr = (struct sockaddr *)&link_local},
};

int __wrap_getifaddrs(struct ifaddrs **out);
void __wrap_freeifaddrs(struct ifaddrs *all);

int __wrap_getifaddrs(struct ifaddrs **out)
{
	for (size_t i = 0; i + 1 < sizeof list / sizeof *list; i++)
		list[i].ifa_next = &list[i + 1];
	loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	link_local.sin6_scope_id = if_nametoindex("lo");
	*out = list;
	return 0;
}

void __wrap_freeifaddrs(struct ifaddrs *all)
{
	assert_ptr_equal(all, list);
}

static void an_interface_is_found_by_its_name_and_its_addresses(void **state)
{
	static const char *const texts[] = {"lo", "127.0.0.1", "fe80::7", "fe80:0::7",
					    "fe80::7%lo"};
	const int lo = (int)if_nametoindex("lo");
	char numbered[32];

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(net_interface_find(texts[i]), lo);
	snprintf(numbered, sizeof numbered, "fe80::7%%%d", lo);
	assert_int_equal(net_interface_find(numbered), lo);
}

static void what_names_no_interface_finds_none(void **state)
{
	static const char *const texts[] = {"",
					    "local",
					    "nowhere0",
					    "0.0.0.0",
					    "::",
					    "127.0.0.2",
					    "fe80::8",
					    "fe80::7%0",
					    "fe80::7%nowhere0",
					    "fe80::7%",
					    "fe80::8%lo",
					    "fe80::7%4294967297",
					    "%lo",
					    "127.0.0.1%nowhere0"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(net_interface_find(texts[i]), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interface_is_found_by_its_name_and_its_addresses),
		cmocka_unit_test(what_names_no_interface_finds_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
