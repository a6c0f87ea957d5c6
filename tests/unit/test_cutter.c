/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams cut into access units, whatever the pieces in which they come. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/stream/cutter.h"

/* NAL units, short: a header byte, and for slices a first_mb_in_slice of 0 (bit set) or not. */
#define AUD "\0\0\0\1\x09\xf0"
#define SPS "\0\0\0\1\x67\x42\xc0\x1f"
#define PPS "\0\0\0\1\x68\xce\x3c"
#define SEI "\0\0\1\x06\x05\x01\xaa\x80"
#define IDR "\0\0\0\1\x65\x88\x84\x21"
#define IDR_REST "\0\0\1\x65\x44\x84\x21"
#define SLICE "\0\0\0\1\x41\x9a\x02\x33"
#define SLICE_REST "\0\0\1\x41\x5a\x02\x33"

#define KEY AUD SPS PPS SEI IDR
#define DELTA AUD SLICE

struct text {
	const char *data;
	size_t len;
};
#define TEXT(s)                                                                                    \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}

static void add(struct cutter *cutter, const char *data, size_t len)
{
	while (len > 0) {
		size_t room, n;
		uint8_t *to = cutter_room(cutter, &room);

		assert_non_null(to);
		n = len < room ? len : room;
		memcpy(to, data, n);
		cutter_add(cutter, n);
		data += n;
		len -= n;
	}
}

static void expect_unit(const struct cutter_unit *unit, const struct text *text, bool key)
{
	assert_int_equal(unit->len, text->len);
	assert_memory_equal(unit->data, text->data, text->len);
	assert_int_equal(unit->key, key);
}

/* Feeds `stream` in pieces of `piece` bytes and expects the units, the last of which is still under
 * way at the end of a byte stream. */
static void expect_units(enum stream_framing framing, const struct text *stream,
			 const struct text *units, const bool *keys, size_t n, size_t piece)
{
	struct cutter cutter;
	struct cutter_unit unit;
	size_t got = 0;

	cutter_init(&cutter, framing);
	for (size_t at = 0; at < stream->len; at += piece) {
		size_t left = stream->len - at;
		int r;

		add(&cutter, stream->data + at, left < piece ? left : piece);
		while ((r = cutter_next(&cutter, &unit)) == CUTTER_UNIT) {
			assert_true(got < n);
			expect_unit(&unit, &units[got], keys[got]);
			got++;
		}
		assert_int_equal(r, CUTTER_MORE);
	}
	if (framing == STREAM_ANNEXB) {
		assert_int_equal(cutter_end_unit(&cutter, &unit), CUTTER_UNIT);
		assert_true(got < n);
		expect_unit(&unit, &units[got], keys[got]);
		got++;
	}
	assert_int_equal(got, n);
	cutter_finish(&cutter);
}

static void delimiters_part_units_in_whatever_pieces_they_come(void **state)
{
	static const struct text stream = TEXT(KEY DELTA DELTA KEY DELTA);
	static const struct text units[] = {TEXT(KEY), TEXT(DELTA), TEXT(DELTA), TEXT(KEY),
					    TEXT(DELTA)};
	static const bool keys[] = {true, false, false, true, false};

	(void)state;
	for (size_t piece = 1; piece <= stream.len; piece++)
		expect_units(STREAM_ANNEXB, &stream, units, keys, 5, piece);
}

static void units_without_delimiters_are_told_apart_by_their_first_slices(void **state)
{
	static const struct text stream =
		TEXT(SPS PPS IDR IDR_REST SLICE SLICE_REST SEI SLICE SPS PPS IDR);
	static const struct text units[] = {TEXT(SPS PPS IDR IDR_REST), TEXT(SLICE SLICE_REST),
					    TEXT(SEI SLICE), TEXT(SPS PPS IDR)};
	static const bool keys[] = {true, false, false, true};

	(void)state;
	for (size_t piece = 1; piece <= stream.len; piece++)
		expect_units(STREAM_ANNEXB, &stream, units, keys, 4, piece);
}

/* An SPS with fields, and the slices of fields: top and bottom of frame_num 0 and 1. */
#define FIELD_SPS "\0\0\0\1\x67\x4d\x00\x1f\xda\x64\x80"
#define IDR_TOP "\0\0\0\1\x65\x88\x85\x21"
#define I_BOTTOM "\0\0\0\1\x41\x88\x87\x21"
#define TOP "\0\0\0\1\x41\x9a\x37\x21"
#define BOTTOM "\0\0\0\1\x41\x9a\x3f\x21"
#define FRAME "\0\0\0\1\x41\x9a\x2f\x21"

static void expect_fields(const struct text *stream, const struct text *units, size_t n,
			  size_t piece)
{
	struct cutter cutter;
	struct cutter_unit unit;
	size_t got = 0;

	cutter_init(&cutter, STREAM_ANNEXB);
	for (size_t at = 0; at < stream->len; at += piece) {
		size_t left = stream->len - at;

		add(&cutter, stream->data + at, left < piece ? left : piece);
		while (cutter_next(&cutter, &unit) == CUTTER_UNIT) {
			assert_true(got < n);
			expect_unit(&unit, &units[got], got == 0);
			got++;
		}
		/* A quiet socket says nothing of another field. */
		if (got > 0)
			assert_int_equal(cutter_end_unit(&cutter, &unit), CUTTER_MORE);
	}
	assert_int_equal(got, n);
	cutter_finish(&cutter);
}

static void the_two_fields_of_a_frame_are_one_unit(void **state)
{
	static const struct text plain = TEXT(AUD FIELD_SPS PPS IDR_TOP I_BOTTOM TOP BOTTOM BOTTOM
						      TOP TOP SEI BOTTOM TOP FRAME AUD);
	static const struct text delimited =
		TEXT(AUD FIELD_SPS PPS IDR_TOP I_BOTTOM AUD TOP BOTTOM AUD TOP AUD BOTTOM AUD AUD);
	static const struct text units[] = {TEXT(AUD FIELD_SPS PPS IDR_TOP I_BOTTOM),
					    TEXT(TOP BOTTOM),
					    TEXT(BOTTOM TOP),
					    TEXT(TOP SEI BOTTOM),
					    TEXT(TOP),
					    TEXT(FRAME)};
	static const struct text others[] = {TEXT(AUD FIELD_SPS PPS IDR_TOP I_BOTTOM),
					     TEXT(AUD TOP BOTTOM), TEXT(AUD TOP), TEXT(AUD BOTTOM)};

	(void)state;
	for (size_t piece = 1; piece <= plain.len; piece++) {
		expect_fields(&plain, units, 6, piece);
		expect_fields(&delimited, others, 4, piece);
	}
}

static void idr_without_parameter_sets_is_no_key_unit(void **state)
{
	static const struct text stream = TEXT(AUD IDR AUD SPS IDR);
	static const struct text units[] = {TEXT(AUD IDR), TEXT(AUD SPS IDR)};
	static const bool keys[] = {false, false};

	(void)state;
	expect_units(STREAM_ANNEXB, &stream, units, keys, 2, 3);
}

static void what_stands_before_the_first_start_code_is_left_out(void **state)
{
	static const struct text stream = TEXT("\x12\x34\0\0\x03\x56" KEY);
	static const struct text units[] = {TEXT(KEY)};
	static const bool keys[] = {true};

	(void)state;
	for (size_t piece = 1; piece <= stream.len; piece++)
		expect_units(STREAM_ANNEXB, &stream, units, keys, 1, piece);
}

static void pictures_behind_lengths_come_out_whole(void **state)
{
	static const struct text stream =
		TEXT("\0\0\0\4\xff\xd8\xff\xd9\0\0\0\0\0\0\0\0\0\0\0\6\xff\xd8zz\xff\xd9"
		     "\0\0\0\x17" SPS PPS IDR "\0\0\0\x8" SLICE);
	static const struct text units[] = {TEXT("\xff\xd8\xff\xd9"), TEXT("\xff\xd8zz\xff\xd9"),
					    TEXT(SPS PPS IDR), TEXT(SLICE)};
	static const bool keys[] = {true, true, true, false};

	(void)state;
	for (size_t piece = 1; piece <= stream.len; piece++)
		expect_units(STREAM_LENGTH_PREFIXED, &stream, units, keys, 4, piece);
}

static void something_else_behind_a_length_is_junk(void **state)
{
	struct cutter cutter;
	struct cutter_unit unit;

	(void)state;
	cutter_init(&cutter, STREAM_LENGTH_PREFIXED);
	add(&cutter, "\0\0\0\5hello\0\0\0\2\xff\xd8", 15);
	assert_int_equal(cutter_next(&cutter, &unit), CUTTER_JUNK);
	assert_int_equal(cutter_next(&cutter, &unit), CUTTER_UNIT);
	assert_int_equal(unit.codec, STREAM_MJPEG);
	assert_int_equal(unit.len, 2);
	cutter_finish(&cutter);
}

static void length_over_the_limit_is_no_stream(void **state)
{
	struct cutter cutter;
	struct cutter_unit unit;

	(void)state;
	cutter_init(&cutter, STREAM_LENGTH_PREFIXED);
	add(&cutter, "HTTP/1.1 400", 12);
	assert_int_equal(cutter_next(&cutter, &unit), -EBADMSG);
	cutter_finish(&cutter);
}

static void noise_without_end_is_no_byte_stream(void **state)
{
	static char noise[64 << 10];
	struct cutter cutter;
	struct cutter_unit unit;
	size_t given = 0;
	int r = CUTTER_MORE;

	(void)state;
	memset(noise, 0x55, sizeof noise);
	cutter_init(&cutter, STREAM_ANNEXB);
	while (r == CUTTER_MORE && given < 4 * CUTTER_NOISE_MAX) {
		add(&cutter, noise, sizeof noise);
		given += sizeof noise;
		r = cutter_next(&cutter, &unit);
	}
	assert_int_equal(r, -EBADMSG);
	assert_true(cutter.room < 4 * CUTTER_ROOM_MIN); /* and it was not kept */
	cutter_finish(&cutter);
}

static void unit_without_end_is_no_byte_stream(void **state)
{
	static char noise[1 << 20];
	struct cutter cutter;
	struct cutter_unit unit;
	size_t given = 0;
	int r = CUTTER_MORE;

	(void)state;
	memset(noise, 0x55, sizeof noise);
	cutter_init(&cutter, STREAM_ANNEXB);
	add(&cutter, KEY, sizeof KEY - 1);
	while (r == CUTTER_MORE && given < 2 * CUTTER_UNIT_MAX) {
		add(&cutter, noise, sizeof noise);
		given += sizeof noise;
		r = cutter_next(&cutter, &unit);
	}
	assert_int_equal(r, -EBADMSG);
	cutter_finish(&cutter);
}

static void unit_ended_early_is_followed_by_the_next_one(void **state)
{
	struct cutter cutter;
	struct cutter_unit unit;

	(void)state;
	cutter_init(&cutter, STREAM_ANNEXB);
	add(&cutter, KEY, sizeof KEY - 1);
	assert_int_equal(cutter_next(&cutter, &unit), CUTTER_MORE);
	assert_int_equal(cutter_end_unit(&cutter, &unit), CUTTER_UNIT);
	expect_unit(&unit, &(struct text)TEXT(KEY), true);
	assert_int_equal(cutter_end_unit(&cutter, &unit), CUTTER_MORE);
	add(&cutter, DELTA AUD, sizeof DELTA AUD - 1);
	assert_int_equal(cutter_next(&cutter, &unit), CUTTER_UNIT);
	expect_unit(&unit, &(struct text)TEXT(DELTA), false);
	cutter_finish(&cutter);
}

static void unit_ended_in_its_middle_is_found_out(void **state)
{
	static const struct text rests[] = {
		TEXT("\x99\x98\x97" DELTA AUD), /* within a slice */
		TEXT(SLICE_REST DELTA AUD),	/* between two slices of a picture */
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct cutter cutter;
		struct cutter_unit unit;

		cutter_init(&cutter, STREAM_ANNEXB);
		add(&cutter, DELTA, sizeof DELTA - 1);
		assert_int_equal(cutter_next(&cutter, &unit), CUTTER_MORE);
		assert_int_equal(cutter_end_unit(&cutter, &unit), CUTTER_UNIT);
		add(&cutter, rests[i].data, rests[i].len);
		assert_int_equal(cutter_next(&cutter, &unit), CUTTER_SPLIT);
		assert_int_equal(cutter_next(&cutter, &unit), CUTTER_UNIT);
		cutter_finish(&cutter);
	}
}

static void unit_is_not_ended_within_a_start_code(void **state)
{
	static const struct text tails[] = {TEXT(DELTA "\0"), TEXT(DELTA "\0\0\0\1"),
					    TEXT(DELTA "\0\0\0\1\x09"), TEXT(AUD)};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct cutter cutter;
		struct cutter_unit unit;

		cutter_init(&cutter, STREAM_ANNEXB);
		add(&cutter, tails[i].data, tails[i].len);
		assert_int_equal(cutter_next(&cutter, &unit), CUTTER_MORE);
		assert_int_equal(cutter_end_unit(&cutter, &unit), CUTTER_MORE);
		cutter_finish(&cutter);
	}
}

static void unit_behind_a_length_is_not_ended_early(void **state)
{
	struct cutter cutter;
	struct cutter_unit unit;

	(void)state;
	cutter_init(&cutter, STREAM_LENGTH_PREFIXED);
	add(&cutter, "\0\0\0\x6\xff\xd8zz", 8);
	assert_int_equal(cutter_next(&cutter, &unit), CUTTER_MORE);
	assert_int_equal(cutter_end_unit(&cutter, &unit), CUTTER_MORE);
	cutter_finish(&cutter);
}

static void memory_stays_bounded_by_the_largest_unit(void **state)
{
	static char filler[300 << 10];
	struct cutter cutter;
	struct cutter_unit unit;

	(void)state;
	memset(filler, 0x55, sizeof filler);
	cutter_init(&cutter, STREAM_ANNEXB);
	for (unsigned i = 0; i < 200; i++) {
		add(&cutter, DELTA, sizeof DELTA - 1);
		add(&cutter, filler, sizeof filler);
		while (cutter_next(&cutter, &unit) == CUTTER_UNIT)
			assert_int_equal(unit.len, sizeof DELTA - 1 + sizeof filler);
	}
	assert_true(cutter.room <= 2 << 20);
	cutter_finish(&cutter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delimiters_part_units_in_whatever_pieces_they_come),
		cmocka_unit_test(units_without_delimiters_are_told_apart_by_their_first_slices),
		cmocka_unit_test(the_two_fields_of_a_frame_are_one_unit),
		cmocka_unit_test(idr_without_parameter_sets_is_no_key_unit),
		cmocka_unit_test(what_stands_before_the_first_start_code_is_left_out),
		cmocka_unit_test(pictures_behind_lengths_come_out_whole),
		cmocka_unit_test(something_else_behind_a_length_is_junk),
		cmocka_unit_test(length_over_the_limit_is_no_stream),
		cmocka_unit_test(noise_without_end_is_no_byte_stream),
		cmocka_unit_test(unit_without_end_is_no_byte_stream),
		cmocka_unit_test(unit_ended_early_is_followed_by_the_next_one),
		cmocka_unit_test(unit_ended_in_its_middle_is_found_out),
		cmocka_unit_test(unit_is_not_ended_within_a_start_code),
		cmocka_unit_test(unit_behind_a_length_is_not_ended_early),
		cmocka_unit_test(memory_stays_bounded_by_the_largest_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
