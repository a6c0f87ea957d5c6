/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands around an access unit in the framings of a few bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "camcast/multipart.h"
#include "capture/publish/mux.h"

#define AUD "\0\0\0\1\x09\xf0"
#define SPS "\0\0\0\1\x67sps"
#define IDR "\0\0\1\x65idr"
#define SLICE "\0\0\1\x41slice"
#define JPEG "\xff\xd8\xff\xe0"

/* Frames the pieces and returns the unit's length in whole. */
static size_t frame(struct mux *mux, char *const *pieces, char whole[300], int64_t capture_us)
{
	struct mux_unit unit = {.key = true, .capture_us = capture_us};
	struct mux_framed framed;
	struct iovec in[4];
	size_t at = 0;

	for (; pieces[unit.iovcnt]; unit.iovcnt++) {
		char *piece = pieces[unit.iovcnt];

		/* Pieces begin with their lengths, as they hold zeros. */
		in[unit.iovcnt] =
			(struct iovec){.iov_base = piece + 1, .iov_len = (size_t)piece[0]};
		unit.len += (size_t)piece[0];
	}
	unit.iov = in;
	assert_int_equal(mux_frame(mux, &unit, &framed), 0);
	assert_int_equal(framed.preamble_len, 0);
	for (int i = 0; i < framed.iovcnt; i++) {
		memcpy(whole + at, framed.iov[i].iov_base, framed.iov[i].iov_len);
		at += framed.iov[i].iov_len;
	}
	return at;
}

/* Frames the pieces and compares with what is expected, of len bytes. */
static void check(enum config_framing framing, char *const *pieces, const char *expected,
		  size_t len)
{
	const struct mux_options options = {.framing = framing};
	struct mux *mux;
	char whole[300];

	assert_int_equal(mux_create(&mux, &options), 0);
	for (int i = 0; i < 2; i++) { /* again with memory that is there already */
		assert_int_equal(frame(mux, pieces, whole, 0), len);
		assert_memory_equal(whole, expected, len);
	}
	mux_destroy(mux);
}

static char key_head[] = "\16" AUD SPS, key_slice[] = "\7" IDR;
static char head[] = "\6" AUD, slice[] = "\11" SLICE;
static char jpeg[] = "\4" JPEG;

#define EXPECT(text) text, sizeof(text) - 1

static void a_byte_stream_has_the_delimiter_behind_the_picture(void **state)
{
	(void)state;
	check(CONFIG_FRAMING_ANNEXB, (char *[]){key_head, key_slice, NULL}, EXPECT(SPS IDR AUD));
	check(CONFIG_FRAMING_ANNEXB, (char *[]){head, slice, NULL}, EXPECT(SLICE AUD));
}

static void what_is_no_h264_goes_as_it_is(void **state)
{
	(void)state;
	check(CONFIG_FRAMING_ANNEXB, (char *[]){jpeg, NULL}, EXPECT(JPEG));
}

static void a_length_stands_before_a_whole_access_unit(void **state)
{
	(void)state;
	check(CONFIG_FRAMING_LENGTH_PREFIXED, (char *[]){head, slice, NULL},
	      EXPECT("\0\0\0\17" AUD SLICE));
	check(CONFIG_FRAMING_LENGTH_PREFIXED, (char *[]){jpeg, NULL}, EXPECT("\0\0\0\4" JPEG));
}

static void a_jpeg_may_stand_alone(void **state)
{
	(void)state;
	check(CONFIG_FRAMING_JPEG, (char *[]){jpeg, NULL}, EXPECT(JPEG));
}

static void a_part_states_its_length_and_time_and_ends_with_the_next_boundary(void **state)
{
	const struct mux_options options = {.framing = CONFIG_FRAMING_MULTIPART};
	char whole[300] = "", expected[300];
	long long s, us;
	int64_t told;
	struct mux *mux;

	(void)state;
	assert_int_equal(mux_create(&mux, &options), 0);
	/* Taken a second ago. */
	whole[frame(mux, (char *[]){jpeg, NULL}, whole, clock_now_us() - 1000000)] = '\0';
	assert_int_equal(sscanf(strstr(whole, "X-T"), "X-Timestamp: %lld.%6lld", &s, &us), 2);
	snprintf(expected, sizeof(expected),
		 "Content-Type: image/jpeg\r\nContent-Length: 4\r\nX-Timestamp: "
		 "%lld.%06lld\r\n\r\n" JPEG "\r\n--boundarydonotcross\r\n",
		 s, us);
	assert_string_equal(whole, expected);
	told = (int64_t)(s * 1000000 + us);
	assert_in_range(clock_utc_us(clock_now_us()) - told, 1000000, 3000000);
	mux_destroy(mux);
	assert_string_equal(CAMCAST_MULTIPART_FIRST, "--boundarydonotcross\r\n");
}

static void an_early_part_is_over_when_its_picture_is(void **state)
{
	(void)state;
	check(CONFIG_FRAMING_MULTIPART_EARLY, (char *[]){jpeg, NULL},
	      EXPECT(JPEG "\r\n--boundarydonotcross\r\nContent-Type: image/jpeg\r\n\r\n"));
	assert_string_equal(CAMCAST_MULTIPART_FIRST_EARLY,
			    "--boundarydonotcross\r\nContent-Type: image/jpeg\r\n\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_byte_stream_has_the_delimiter_behind_the_picture),
		cmocka_unit_test(what_is_no_h264_goes_as_it_is),
		cmocka_unit_test(a_length_stands_before_a_whole_access_unit),
		cmocka_unit_test(a_jpeg_may_stand_alone),
		cmocka_unit_test(a_part_states_its_length_and_time_and_ends_with_the_next_boundary),
		cmocka_unit_test(an_early_part_is_over_when_its_picture_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
