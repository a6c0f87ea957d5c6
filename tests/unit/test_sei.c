/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "camcast/sei.h"
#include "media/sei.h"

#define AUD "\0\0\0\1\x09\x10"
#define SLICE "\0\0\1\x65\x88\x84"

/* The zeros of its fields need emulation prevention. */
static const struct sei_capture capture = {7, 0x0000000300000001, 1769860800000000};

struct unit {
	uint8_t data[512];
	size_t len;
};

static void add(struct unit *unit, const char *data, size_t len)
{
	memcpy(unit->data + unit->len, data, len);
	unit->len += len;
}

static void add_sei(struct unit *unit)
{
	unit->len += sei_write_capture(unit->data + unit->len, &capture);
}

static void assert_found(const struct unit *unit)
{
	struct sei_capture found;

	assert_true(sei_find_capture(unit->data, unit->len, &found));
	assert_int_equal(found.sequence, capture.sequence);
	assert_int_equal(found.monotonic_us, capture.monotonic_us);
	assert_int_equal(found.utc_us, capture.utc_us);
}

static void the_message_is_what_its_header_says(void **state)
{
	static const uint8_t expected[] =
		"\0\0\0\1\x06\x05\x28" CAMCAST_SEI_UUID "\0\0\x03\0\0\x03\0\0\x03\0\x07" /* 7 */
		"\0\0\x03\0\x03\0\0\x03\0\x01"
		"\x00\x06\x49\xad\xd4\x49\x30\x00"
		"\x80";
	uint8_t out[SEI_CAPTURE_MAX];

	(void)state;
	assert_int_equal(sei_write_capture(out, &capture), sizeof(expected) - 1);
	assert_memory_equal(out, expected, sizeof(expected) - 1);
}

static void every_value_comes_back_within_the_bound(void **state)
{
	static const int64_t values[] = {0,
					 1,
					 3,
					 256,
					 INT64_MIN,
					 INT64_MAX,
					 0x000001000003,
					 -1,
					 0x030000020000,
					 0x0100000000000000};

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		for (size_t j = 0; j < 10; j++) {
			struct sei_capture in = {(uint64_t)values[i], values[j], values[i]}, out;
			uint8_t data[SEI_CAPTURE_MAX];
			size_t len = sei_write_capture(data, &in);

			assert_in_range(len, 48, SEI_CAPTURE_MAX);
			assert_true(sei_find_capture(data, len, &out));
			assert_int_equal(out.sequence, in.sequence);
			assert_int_equal(out.monotonic_us, in.monotonic_us);
			assert_int_equal(out.utc_us, in.utc_us);
		}
	}
}

static void it_is_found_behind_other_units_and_messages(void **state)
{
	struct unit unit = {.len = 0};
	size_t sei_at;

	(void)state;
	add(&unit, AUD, sizeof(AUD) - 1);
	/* An encoder's: of type 1; of a length of 255 + 1; with another UUID. */
	add(&unit, "\0\0\1\x06\x01\x01\xaa", 7);
	add(&unit, "\x05\xff\x01", 3);
	memset(unit.data + unit.len, 'x', 256);
	unit.len += 256;
	add(&unit,
	    "\x05\x28"
	    "an other's UUID!"
	    "and twenty-four bytes...",
	    42);
	add(&unit, "\x80", 1);
	sei_at = unit.len;
	add_sei(&unit);
	add(&unit, SLICE, sizeof(SLICE) - 1);
	assert_found(&unit);

	/* As a further message of one SEI: without start code and header of its own. */
	memmove(unit.data + sei_at - 1, unit.data + sei_at + 5, unit.len - sei_at - 5);
	unit.len -= 6;
	assert_found(&unit);

	/* Cut anywhere, it is found or not, and nothing beyond is read. */
	for (size_t len = 0; len < unit.len; len++) {
		uint8_t *copy = malloc(len ? len : 1);
		struct sei_capture found;

		memcpy(copy, unit.data, len);
		sei_find_capture(copy, len, &found);
		free(copy);
	}
}

static void behind_a_slice_nothing_is_looked_for(void **state)
{
	struct unit unit = {.len = 0};
	struct sei_capture found;

	(void)state;
	add(&unit, SLICE, sizeof(SLICE) - 1);
	add_sei(&unit);
	assert_false(sei_find_capture(unit.data, unit.len, &found));
}

static const struct orientation upright;

static void every_orientation_comes_back(void **state)
{
	/* hor_flip, ver_flip, anticlockwise_rotation of clause D.2.26 for a quarter turn to the
	 * left, and for a picture that is mirrored top to bottom. */
	static const uint8_t left[] = "\0\0\0\1\x06\x2f\x03\x08\0\x09\x80";
	static const uint8_t bottom[] = "\0\0\0\1\x06\x2f\x03\x20\0\x09\x80";
	uint8_t data[SEI_ORIENTATION_MAX];

	(void)state;
	for (unsigned way = 0; way < 8; way++) {
		const struct orientation in = {way & 1, way & 2, way & 4};
		struct orientation out = {0};
		size_t len = sei_write_orientation(data, in);

		assert_in_range(len, 10, SEI_ORIENTATION_MAX);
		assert_true(sei_find_orientation(data, len, &out));
		assert_true(orientation_is_same(in, out));
	}
	assert_int_equal(sei_write_orientation(data, (struct orientation){true, false, true}), 11);
	assert_memory_equal(data, left, 11);
	assert_int_equal(sei_write_orientation(data, (struct orientation){false, false, true}), 11);
	assert_memory_equal(data, bottom, 11);
}

static void the_last_orientation_counts_and_a_short_one_is_none(void **state)
{
	const struct orientation left = {true, false, true}, half = {false, true, true};
	struct unit unit = {.len = 0};
	struct orientation found = upright;

	(void)state;
	unit.len = sei_write_orientation(unit.data, left);
	add_sei(&unit);
	unit.len += sei_write_orientation(unit.data + unit.len, half);
	add(&unit, "\0\0\1\x06\x2f\x01\x08\x80", 8); /* it ends within its angle */
	add(&unit, SLICE, sizeof(SLICE) - 1);
	assert_true(sei_find_orientation(unit.data, unit.len, &found));
	assert_true(orientation_is_same(found, half));
	assert_found(&unit);

	/* 350 degrees are none; 100 are 90. */
	unit.len = 0;
	add(&unit, "\0\0\1\x06\x2f\x03\x1f\x1c\x69\x80", 10);
	assert_true(sei_find_orientation(unit.data, unit.len, &found));
	assert_true(orientation_is_same(found, upright));
	unit.len = 0;
	add(&unit, "\0\0\1\x06\x2f\x03\x08\xe3\x89\x80", 10);
	assert_true(sei_find_orientation(unit.data, unit.len, &found));
	assert_true(orientation_is_same(found, left));
	/* One that cancels. */
	unit.len = 0;
	add(&unit, "\0\0\1\x06\x2f\x01\xa0\x80", 8);
	assert_true(sei_find_orientation(unit.data, unit.len, &found));
	assert_true(orientation_is_same(found, upright));
	/* Behind a slice, none. */
	unit.len = 0;
	add(&unit, SLICE, sizeof(SLICE) - 1);
	unit.len += sei_write_orientation(unit.data + unit.len, half);
	assert_false(sei_find_orientation(unit.data, unit.len, &found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_message_is_what_its_header_says),
		cmocka_unit_test(every_value_comes_back_within_the_bound),
		cmocka_unit_test(it_is_found_behind_other_units_and_messages),
		cmocka_unit_test(behind_a_slice_nothing_is_looked_for),
		cmocka_unit_test(every_orientation_comes_back),
		cmocka_unit_test(the_last_orientation_counts_and_a_short_one_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
