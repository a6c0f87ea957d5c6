/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragments of MP4, and their messages of a WebSocket, byte by byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "camcast/worker.h"
#include "capture/publish/mp4_init.h"
#include "capture/publish/mux.h"

#define STEP_US 33333
#define MOOF 100 /* bytes */

/* x264: High 3.0, 640x360, square samples. */
static uint8_t sps[] = {0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f,
			0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00,
			0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2d, 0x96};
static uint8_t pps[] = {0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0};
static uint8_t other_pps[] = {0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc1};
static uint8_t sei[] = {6, 1, 2, 3}, idr[] = {0x65, 4, 5}, slice[] = {0x41, 6};

struct state {
	struct mux *mux;
	struct mux_framed framed;
	uint8_t *whole; /* the unit */
	size_t len;
};

static void open_mux(struct state *s, const struct mux_options *options)
{
	memset(s, 0, sizeof(*s));
	s->whole = malloc(CAMCAST_UNIT_MAX + 1024);
	assert_non_null(s->whole);
	assert_int_equal(mux_create(&s->mux, options), 0);
}

static void open_mp4(struct state *s, enum config_framing framing)
{
	const struct mux_options options = {.framing = framing};

	open_mux(s, &options);
}

static void close_mux(struct state *s)
{
	mux_destroy(s->mux);
	free(s->whole);
}

static void frame(struct state *s, const struct mux_unit *unit)
{
	assert_int_equal(mux_frame(s->mux, unit, &s->framed), 0);
	s->len = 0;
	for (int i = 0; i < s->framed.iovcnt; i++) {
		memcpy(s->whole + s->len, s->framed.iov[i].iov_base, s->framed.iov[i].iov_len);
		s->len += s->framed.iov[i].iov_len;
	}
}

static void frame_key(struct state *s, int64_t us, uint8_t *pps_data)
{
	const struct iovec sets[] = {{sps, sizeof(sps)}, {pps_data, sizeof(pps)}};
	const struct iovec nals[] = {{sei, sizeof(sei)}, {idr, sizeof(idr)}};
	struct mux_unit unit = {.sets = sets,
				.n_sets = 2,
				.nals = nals,
				.n_nals = 2,
				.key = true,
				.dts_us = us,
				.pts_us = us,
				.duration_us = STEP_US};

	frame(s, &unit);
}

/* A picture of one slice, decoded at us and shown at shown_us. */
static void frame_slice(struct state *s, int64_t us, int64_t shown_us, bool droppable)
{
	const struct iovec nal = {slice, sizeof(slice)};
	struct mux_unit unit = {.nals = &nal,
				.n_nals = 1,
				.droppable = droppable,
				.dts_us = us,
				.pts_us = shown_us,
				.duration_us = STEP_US};

	frame(s, &unit);
}

static uint64_t number(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | *at++;
	return value;
}

static uint64_t dts_of(const struct state *s)
{
	return number(s->whole + 72, 8);
}

static uint64_t duration_of(const struct state *s)
{
	return number(s->whole + 48, 4);
}

/* --- a fragment --- */

#define EXPECT(text) (const uint8_t *)(text), sizeof(text) - 1

static void check(const struct state *s, size_t at, const uint8_t *expected, size_t len)
{
	assert_true(s->len >= at + len);
	assert_memory_equal(s->whole + at, expected, len);
}

static void a_fragment_is_moof_and_mdat_of_one_picture(void **state)
{
	struct state s;

	(void)state;
	open_mp4(&s, CONFIG_FRAMING_MP4);
	frame_key(&s, 1000000, pps);
	/* A duration of 50 ms, 55 bytes, a key picture; at 90000. */
	check(&s, 0,
	      EXPECT("\0\0\0\x64moof\0\0\0\x10mfhd\0\0\0\0\0\0\0\1\0\0\0\x4ctraf"
		     "\0\0\0\x1ctfhd\0\2\0\x38\0\0\0\1\0\0\x11\x93\0\0\0\x37\2\0\0\0"
		     "\0\0\0\x14tfdt\1\0\0\0\0\0\0\0\0\1\x5f\x90"
		     "\0\0\0\x14trun\0\0\0\1\0\0\0\1\0\0\0\x6c"
		     "\0\0\0\x3fmdat\0\0\0\x1a\x67"));
	check(&s, MOOF + 8 + 4 + sizeof(sps),
	      EXPECT("\0\0\0\6\x68\xeb\xe3\xcb\x22\xc0\0\0\0\4\6\1\2\3\0\0\0\3\x65\4\5"));
	assert_int_equal(s.len, MOOF + 8 + 55);
	close_mux(&s);
}

static void a_fragment_says_what_depends_on_it(void **state)
{
	struct state s;

	(void)state;
	open_mp4(&s, CONFIG_FRAMING_MP4);
	frame_key(&s, 1000000, pps);
	frame_slice(&s, 1033333, 1033333, false);
	check(&s, 20, EXPECT("\0\0\0\2")); /* sequence number */
	check(&s, 56, EXPECT("\1\1\0\0"));
	assert_int_equal(dts_of(&s), 92999);
	assert_int_equal(s.framed.preamble_len, 0);
	frame_slice(&s, 1066667, 1066667, true);
	check(&s, 56, EXPECT("\1\x81\0\0"));
	close_mux(&s);
}

static void a_reordered_picture_has_a_composition_offset(void **state)
{
	struct state s;

	(void)state;
	open_mp4(&s, CONFIG_FRAMING_MP4);
	frame_key(&s, 1000000, pps);
	frame_slice(&s, 1040000, 1160000, false); /* P, after two B pictures */
	check(&s, 0, EXPECT("\0\0\0\x68moof"));
	check(&s, 24, EXPECT("\0\0\0\x50traf"));
	check(&s, 80,
	      EXPECT("\0\0\0\x18trun\0\0\x08\1\0\0\0\1\0\0\0\x70\0\0\x2a\x30" /* 120 ms */
		     "\0\0\0\x0emdat\0\0\0\2\x41\6"));
	assert_int_equal(dts_of(&s), 93600);
	frame_slice(&s, 1080000, 1080000, true);
	check(&s, 0, EXPECT("\0\0\0\x64moof"));
	assert_int_equal(dts_of(&s), 97200);
	close_mux(&s);
}

static void decoding_times_always_grow(void **state)
{
	struct state s;

	(void)state;
	open_mp4(&s, CONFIG_FRAMING_MP4);
	frame_key(&s, 1000000, pps);
	frame_slice(&s, 1000001, 1000001, false);
	assert_int_equal(dts_of(&s), 90001);
	frame_slice(&s, 999000, 999000, false);
	assert_int_equal(dts_of(&s), 90002);
	frame_slice(&s, 1040000, 1040000, false);
	assert_int_equal(dts_of(&s), 93600);
	close_mux(&s);
}

/* Ticks of one and a half times us. */
static uint64_t half_more(uint64_t us)
{
	return us * 3 / 2 * 9 / 100;
}

static void step(struct state *s, int64_t *us, int64_t step_us)
{
	*us += step_us;
	frame_slice(s, *us, *us, false);
}

static void the_duration_follows_the_longest_step_of_the_last_seconds(void **state)
{
	struct state s;
	int64_t us = 1000000;

	(void)state;
	open_mp4(&s, CONFIG_FRAMING_MP4);
	frame_key(&s, us, pps);
	assert_int_equal(duration_of(&s), half_more(STEP_US));
	step(&s, &us, 100000); /* it is dark */
	assert_int_equal(duration_of(&s), half_more(100000));
	for (int64_t until = us + 2000000; us < until;) {
		step(&s, &us, STEP_US);
		assert_int_equal(duration_of(&s), half_more(100000));
	}
	for (int64_t until = us + 4000000; us < until;)
		step(&s, &us, STEP_US);
	assert_int_equal(duration_of(&s), half_more(STEP_US));
	step(&s, &us, 900000); /* a pause */
	assert_int_equal(duration_of(&s), half_more(STEP_US));
	close_mux(&s);
}

static void a_gap_is_no_step(void **state)
{
	const struct iovec sets[] = {{sps, sizeof(sps)}, {pps, sizeof(pps)}};
	const struct iovec nal = {idr, sizeof(idr)};
	struct mux_unit unit = {.sets = sets,
				.n_sets = 2,
				.nals = &nal,
				.n_nals = 1,
				.key = true,
				.gap = true,
				.dts_us = 1400000,
				.pts_us = 1400000,
				.duration_us = STEP_US};
	struct state s;

	(void)state;
	open_mp4(&s, CONFIG_FRAMING_MP4);
	frame_key(&s, 1000000, pps);
	frame(&s, &unit);
	assert_int_equal(duration_of(&s), half_more(STEP_US));
	assert_int_equal(dts_of(&s), 126000);
	close_mux(&s);
}

static void units_are_tiny_or_of_16_mb(void **state)
{
	static const size_t sizes[] = {1, CAMCAST_UNIT_MAX - MOOF - 8 - 4};
	uint8_t *data = calloc(1, CAMCAST_UNIT_MAX);
	struct state s;

	(void)state;
	assert_non_null(data);
	open_mp4(&s, CONFIG_FRAMING_MP4);
	for (int i = 0; i < 2; i++) {
		const struct iovec nal = {data, sizes[i]};
		struct mux_unit unit = {.nals = &nal, .n_nals = 1, .dts_us = 1, .pts_us = 1};

		frame(&s, &unit);
		assert_int_equal(s.len, MOOF + 8 + 4 + sizes[i]);
		assert_int_equal(number(s.whole + 52, 4), 4 + sizes[i]);
		assert_int_equal(number(s.whole + MOOF, 4), 8 + 4 + sizes[i]);
	}
	{
		const struct iovec nal = {data, CAMCAST_UNIT_MAX};
		struct mux_unit unit = {.nals = &nal, .n_nals = 1};

		assert_int_equal(mux_frame(s.mux, &unit, &s.framed), -EMSGSIZE);
	}
	close_mux(&s);
	free(data);
}

static void what_is_no_h264_is_refused(void **state)
{
	struct iovec jpeg = {idr, sizeof(idr)};
	struct mux_unit unit = {.iov = &jpeg, .iovcnt = 1, .len = sizeof(idr), .key = true};
	struct state s;

	(void)state;
	open_mp4(&s, CONFIG_FRAMING_MP4);
	assert_int_equal(mux_frame(s.mux, &unit, &s.framed), -EINVAL);
	close_mux(&s);
}

/* --- the preamble --- */

/* The box of this type, found by its name; its length in *len. */
static const uint8_t *find_box(const struct state *s, const char *type, size_t *len)
{
	for (size_t i = 4; i + 4 <= s->framed.preamble_len; i++) {
		const uint8_t *at = s->framed.preamble + i;

		if (memcmp(at, type, 4) == 0) {
			*len = (size_t)number(at - 4, 4);
			return at + 4;
		}
	}
	fail_msg("no %s", type);
	return NULL;
}

static void the_preamble_has_the_parameter_sets_of_the_key_unit(void **state)
{
	uint8_t first[CAMCAST_PREAMBLE_MAX];
	const uint8_t *box;
	struct state s;
	size_t len, first_len;

	(void)state;
	open_mp4(&s, CONFIG_FRAMING_MP4);
	frame_key(&s, 1000000, pps);
	first_len = s.framed.preamble_len;
	assert_in_range(first_len, 500, 1000);
	assert_memory_equal(s.framed.preamble,
			    "\0\0\0\x1c"
			    "ftypiso5",
			    12);
	memcpy(first, s.framed.preamble, first_len);
	box = find_box(&s, "avcC", &len);
	assert_int_equal(len, 8 + 6 + 2 + sizeof(sps) + 1 + 2 + sizeof(pps) + 4);
	assert_memory_equal(box, "\1\x64\0\x1e\xff\xe1\0\x1a\x67\x64", 10);
	assert_memory_equal(box + 6 + 2 + sizeof(sps), "\1\0\6\x68", 4);
	assert_memory_equal(box + len - 8 - 4, "\xfd\xf8\xf8\0", 4);
	box = find_box(&s, "avc1", &len);
	assert_int_equal(number(box + 24, 4), 640 << 16 | 360);
	box = find_box(&s, "tkhd", &len);
	assert_int_equal(len, 92);
	assert_memory_equal(box + len - 16, "\2\x80\0\0\1\x68\0\0", 8);
	find_box(&s, "trex", &len);
	assert_int_equal(len, 32);

	frame_key(&s, 2000000, pps);
	assert_int_equal(s.framed.preamble_len, first_len);
	assert_memory_equal(s.framed.preamble, first, first_len);
	frame_key(&s, 3000000, other_pps);
	assert_int_equal(s.framed.preamble_len, first_len);
	assert_memory_not_equal(s.framed.preamble, first, first_len);
	close_mux(&s);
}

static void the_preamble_says_how_pictures_are_turned(void **state)
{
	const struct mux_options options = {.framing = CONFIG_FRAMING_MP4,
					    .orientation = {.hflip = true, .vflip = true}};
	const uint8_t *box;
	struct state s;
	size_t len;

	(void)state;
	open_mux(&s, &options);
	frame_key(&s, 1000000, pps);
	box = find_box(&s, "tkhd", &len);
	assert_memory_equal(box + len - 52,
			    "\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0"
			    "\0\0\x40\0\0\0",
			    36);
	close_mux(&s);
}

static void parameter_sets_must_be_good_and_fit(void **state)
{
	static uint8_t long_pps[CAMCAST_PREAMBLE_MAX] = {0x68, 0xeb};
	uint8_t out[CAMCAST_PREAMBLE_MAX], bad_sps[] = {0x67, 0x64, 0, 30, 0xff};
	const struct iovec bad[] = {{bad_sps, sizeof(bad_sps)}, {pps, sizeof(pps)}};
	const struct iovec good[] = {{sps, sizeof(sps)}, {pps, sizeof(pps)}};
	const struct iovec large[] = {{sps, sizeof(sps)}, {long_pps, sizeof(long_pps)}};
	const struct orientation upright = {0};
	int len;

	(void)state;
	assert_int_equal(mp4_init_write(out, sizeof(out), bad, 2, upright), -EINVAL);
	assert_int_equal(mp4_init_write(out, sizeof(out), good + 1, 1, upright), -EINVAL);
	assert_int_equal(mp4_init_write(out, sizeof(out), large, 2, upright), -EMSGSIZE);
	len = mp4_init_write(out, sizeof(out), good, 2, upright);
	assert_true(len > 0);
	for (int size = 0; size < len; size += 7)
		assert_int_equal(mp4_init_write(out, (size_t)size, good, 2, upright), -EMSGSIZE);
	assert_int_equal(mp4_init_write(out, (size_t)len, good, 2, upright), len);
}

/* --- WebSocket --- */

/* A fragment of one NAL unit, whose message has a payload of len bytes. */
static void frame_ws(struct state *s, const uint8_t *data, size_t len)
{
	const struct iovec nal = {(uint8_t *)(uintptr_t)data, len - MOOF - 8 - 4};
	struct mux_unit unit = {.nals = &nal, .n_nals = 1, .dts_us = 1000000, .pts_us = 1000000};

	frame(s, &unit);
}

static void a_message_has_the_shortest_length(void **state)
{
	uint8_t *data = calloc(1, 70000);
	struct state s;

	(void)state;
	assert_non_null(data);
	open_mp4(&s, CONFIG_FRAMING_MP4_WS);
	frame_ws(&s, data, 113);
	check(&s, 0, EXPECT("\x82\x71\0\0\0\x64moof"));
	assert_int_equal(s.len, 2 + 113);
	frame_ws(&s, data, 125);
	check(&s, 0, EXPECT("\x82\x7d\0\0\0\x64moof"));
	frame_ws(&s, data, 126);
	check(&s, 0, EXPECT("\x82\x7e\0\x7e\0\0\0\x64moof"));
	frame_ws(&s, data, 65535);
	check(&s, 0, EXPECT("\x82\x7e\xff\xff\0\0\0\x64moof"));
	assert_int_equal(s.len, 4 + 65535);
	frame_ws(&s, data, 65536);
	check(&s, 0, EXPECT("\x82\x7f\0\0\0\0\0\1\0\0\0\0\0\x64moof"));
	assert_int_equal(s.len, 10 + 65536);
	close_mux(&s);
	free(data);
}

static void the_preamble_is_a_message_too(void **state)
{
	struct state s;

	(void)state;
	open_mp4(&s, CONFIG_FRAMING_MP4_WS);
	frame_key(&s, 1000000, pps);
	assert_memory_equal(s.framed.preamble, "\x82\x7e", 2);
	assert_int_equal(number(s.framed.preamble + 2, 2), s.framed.preamble_len - 4);
	assert_memory_equal(s.framed.preamble + 4,
			    "\0\0\0\x1c"
			    "ftyp",
			    8);
	close_mux(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fragment_is_moof_and_mdat_of_one_picture),
		cmocka_unit_test(a_fragment_says_what_depends_on_it),
		cmocka_unit_test(a_reordered_picture_has_a_composition_offset),
		cmocka_unit_test(decoding_times_always_grow),
		cmocka_unit_test(the_duration_follows_the_longest_step_of_the_last_seconds),
		cmocka_unit_test(a_gap_is_no_step),
		cmocka_unit_test(units_are_tiny_or_of_16_mb),
		cmocka_unit_test(what_is_no_h264_is_refused),
		cmocka_unit_test(the_preamble_has_the_parameter_sets_of_the_key_unit),
		cmocka_unit_test(the_preamble_says_how_pictures_are_turned),
		cmocka_unit_test(parameter_sets_must_be_good_and_fit),
		cmocka_unit_test(a_message_has_the_shortest_length),
		cmocka_unit_test(the_preamble_is_a_message_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
