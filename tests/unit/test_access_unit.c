/* SPDX-License-Identifier: BSD-2-Clause */
/* Where access units end, in whatever pieces they come, and what is in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "media/access_unit.h"

/* NAL units, short: a header byte, and for slices a first_mb_in_slice of 0 (bit set) or not. */
#define AUD "\0\0\0\1\x09\xf0"
#define SPS "\0\0\0\1\x67\x42\xc0\x1f"
#define PPS "\0\0\0\1\x68\xce\x3c"
#define SEI "\0\0\1\x06\x05\x01\xaa\x80"
#define IDR "\0\0\0\1\x65\x88\x84\x21"
#define IDR_REST "\0\0\1\x65\x44\x84\x21"
#define SLICE "\0\0\0\1\x41\x9a\x02\x33"
#define SLICE_REST "\0\0\1\x41\x5a\x02\x33"
#define PARTITIONS "\0\0\1\x42\x9a\x02\0\0\1\x43\xc0\0\0\1\x44\xc0"
#define DROPPABLE "\0\0\1\x01\x9a\x02\x33"
#define PREFIX "\0\0\0\1\x6e\xc0\x80"
#define FILLER "\0\0\0\1\x0c\xff\x80"
#define END_OF_SEQUENCE "\0\0\1\x0a"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static void a_unit_ends_where_the_next_one_begins(void **state)
{
	static const struct {
		const char *unit, *next;
		size_t unit_len, next_len;
	} cases[] = {
#define CASE(unit, next) {unit, next, sizeof(unit) - 1, sizeof(next) - 1}
		CASE(AUD SPS PPS SEI IDR IDR_REST, AUD SLICE),
		CASE(SPS PPS IDR, SLICE),
		CASE(SLICE SLICE_REST FILLER, SEI SLICE),
		CASE(SLICE, SPS PPS IDR),
		CASE(SLICE, PPS SLICE),
		CASE(PARTITIONS, PARTITIONS),
		CASE(DROPPABLE, PREFIX SLICE),
		CASE(IDR END_OF_SEQUENCE, SPS PPS IDR),
		CASE("\x99\x77 noise in front" SLICE, SLICE),
		CASE(SLICE "\0\0\0\0", SLICE), /* trailing zeros belong to it */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t data[128];
		const size_t len = cases[i].unit_len + cases[i].next_len;

		memcpy(data, cases[i].unit, cases[i].unit_len);
		memcpy(data + cases[i].unit_len, cases[i].next, cases[i].next_len);
		for (size_t piece = 1; piece <= len; piece++) {
			struct access_unit_search search = {0};
			size_t end = 0;

			for (size_t have = piece; end == 0; have += piece) {
				uint8_t *copy;

				have = have < len ? have : len;
				copy = malloc(have);
				memcpy(copy, data, have);
				end = access_unit_find_end(&search, copy, have);
				free(copy);
				/* It is known as soon as two bytes behind the start code are. */
				assert_true(end > 0 || have < cases[i].unit_len + 6);
			}
			assert_int_equal(end, cases[i].unit_len);
		}
	}
}

static void without_a_next_one_a_unit_has_no_end(void **state)
{
	struct access_unit_search search = {0};

	(void)state;
	assert_int_equal(access_unit_find_end(&search, BYTES(AUD SPS PPS SEI IDR IDR_REST)), 0);
	assert_true(search.head.slice);
	assert_true(access_unit_is_key(&search.head));
	/* The NAL unit that begins the unit of the first slice belongs to no other unit. */
	search = (struct access_unit_search){0};
	assert_int_equal(access_unit_find_end(&search, BYTES(AUD AUD SEI SPS PPS)), 0);
	assert_false(search.head.slice);
}

static void a_head_tells_what_its_first_slice_is(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		struct access_unit_head head;
	} cases[] = {
#define HEAD(s, ...)                                                                               \
	{                                                                                          \
		s, sizeof(s) - 1,                                                                  \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
		HEAD("", false),
		HEAD("no start code", false),
		HEAD(AUD SPS PPS, .sps = true, .pps = true),
		HEAD(SPS PPS IDR, true, true, true, true, true),
		HEAD(IDR SPS PPS, .slice = true, .idr = true, .referenced = true),
		HEAD(AUD SLICE, .slice = true, .referenced = true),
		HEAD(AUD DROPPABLE SLICE, .slice = true),
		HEAD(PARTITIONS, .slice = true, .referenced = true),
		HEAD(FILLER "\0\0\1", false),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct access_unit_head head;

		access_unit_read_head((const uint8_t *)cases[i].data, cases[i].len, &head);
		assert_memory_equal(&head, &cases[i].head, sizeof(head));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_unit_ends_where_the_next_one_begins),
		cmocka_unit_test(without_a_next_one_a_unit_has_no_end),
		cmocka_unit_test(a_head_tells_what_its_first_slice_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
