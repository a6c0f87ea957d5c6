/* SPDX-License-Identifier: BSD-2-Clause */
/* Receivers are found by where their reports come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/rtsp/receivers.h"

#define LINK_LOCAL                                                                                 \
	{                                                                                          \
		0xfe, 0x80, [15] = 1                                                               \
	}

static void one_is_found_by_its_whole_end(void **state)
{
	static struct receivers receivers;
	static struct receiver all[] = {
		{.end = {.address = {[10] = 0xff, 0xff, 192, 0, 2, 1}, .port = 5005}},
		{.end = {.address = {[10] = 0xff, 0xff, 192, 0, 2, 1}, .port = 5007}},
		{.end = {.address = LINK_LOCAL, .scope = 2}},
		{.end = {.address = LINK_LOCAL, .scope = 3}}, /* another link, another host */
	};
	const struct net_peer other = {.address = LINK_LOCAL, .scope = 4};

	(void)state;
	receivers_init(&receivers);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		receivers_add(&receivers, &all[i]);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		assert_ptr_equal(receivers_find(&receivers, &all[i].end, NULL), &all[i]);
		assert_null(receivers_find(&receivers, &all[i].end, &all[i]));
	}
	assert_null(receivers_find(&receivers, &other, NULL));
	receivers_remove(&all[2]);
	assert_null(receivers_find(&receivers, &all[2].end, NULL));
	assert_ptr_equal(receivers_find(&receivers, &all[3].end, NULL), &all[3]);
}

static void all_with_one_end_are_found(void **state)
{
	static struct receivers receivers;
	static struct receiver all[200];
	struct receiver *found = NULL;
	unsigned count = 0;

	(void)state;
	receivers_init(&receivers);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		all[i].end.address[15] = i % 2 == 0 ? 9 : (uint8_t)i;
		receivers_add(&receivers, &all[i]);
	}
	while ((found = receivers_find(&receivers, &all[0].end, found)))
		count++;
	assert_int_equal(count, 101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_found_by_its_whole_end),
		cmocka_unit_test(all_with_one_end_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
