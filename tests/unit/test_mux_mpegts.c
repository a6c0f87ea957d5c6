/* SPDX-License-Identifier: BSD-2-Clause */
/* Transport packets of pictures, as libavformat makes them with our options. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "camcast/worker.h"
#include "capture/publish/mux.h"
#include "media/h264_writer.h"

#define PACKET 188 /* bytes */
#define SYNC 0x47
#define STEP_US 33333

enum { PID_PAT = 0, PID_SDT = 0x11, PID_VIDEO = 0x100, PID_PMT = 0x1000 };

struct state {
	struct mux *mux;
	struct mux_framed framed;
	/* Of the video packets of the last unit: */
	unsigned packets;
	int counter; /* continuity_counter of the newest one */
	bool random_access, has_pcr;
	uint8_t *payload; /* PES packet */
	size_t len;
};

static int setup(void **state)
{
	static struct state s;
	const struct mux_options options = {.framing = CONFIG_FRAMING_MPEGTS};

	memset(&s, 0, sizeof(s));
	s.counter = 15; /* the first one is 0 */
	s.payload = malloc(CAMCAST_UNIT_MAX + 4096);
	assert_non_null(s.payload);
	assert_int_equal(mux_create(&s.mux, &options), 0);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;

	mux_destroy(s->mux);
	free(s->payload);
	return 0;
}

static unsigned pid_of(const uint8_t *packet)
{
	return (packet[1] & 0x1fu) << 8 | packet[2];
}

/* ISO/IEC 13818-1, 2.4.3.2 and 2.4.3.4. */
static void read_video(struct state *s, const uint8_t *packet)
{
	size_t head = 4;

	if (packet[3] & 0x20) {
		s->random_access |= packet[4] > 0 && packet[5] & 0x40;
		s->has_pcr |= packet[4] > 0 && packet[5] & 0x10;
		head += 1u + packet[4];
	}
	assert_true(head <= PACKET);
	assert_int_equal(packet[3] & 15, (s->counter + 1) % 16);
	s->counter = packet[3] & 15;
	assert_int_equal(!!(packet[1] & 0x40), s->packets == 0); /* a PES packet begins */
	s->packets++;
	memcpy(s->payload + s->len, packet + head, PACKET - head);
	s->len += PACKET - head;
}

/* Frames an access unit. tables: SDT, PAT and PMT come first. */
static void frame_unit(struct state *s, const struct iovec *iov, int n, int64_t us,
		       int64_t shown_us, bool key)
{
	static const unsigned tables[] = {PID_SDT, PID_PAT, PID_PMT};
	struct mux_unit unit = {.iov = iov,
				.iovcnt = n,
				.nals = iov, /* not read */
				.n_nals = 1,
				.key = key,
				.dts_us = us,
				.pts_us = shown_us};
	const uint8_t *at;
	size_t packets;

	for (int i = 0; i < n; i++)
		unit.len += iov[i].iov_len;
	assert_int_equal(mux_frame(s->mux, &unit, &s->framed), 0);
	assert_int_equal(s->framed.iovcnt, 1);
	assert_int_equal(s->framed.preamble_len, 0);
	at = s->framed.iov[0].iov_base;
	packets = s->framed.iov[0].iov_len / PACKET;
	assert_int_equal(s->framed.iov[0].iov_len, packets * PACKET);
	s->packets = 0;
	s->len = 0;
	s->random_access = s->has_pcr = false;
	for (size_t i = 0; i < packets; i++, at += PACKET) {
		assert_int_equal(at[0], SYNC);
		if (key && i < 3)
			assert_int_equal(pid_of(at), tables[i]);
		else
			assert_int_equal(pid_of(at), PID_VIDEO);
		if (pid_of(at) == PID_VIDEO)
			read_video(s, at);
	}
	/* So that no two of them begin and end with the same counter. */
	assert_int_equal(s->packets % 2, 0);
}

static uint64_t read_stamp(const uint8_t *at)
{
	return (uint64_t)(at[0] >> 1 & 7) << 30 | (uint64_t)at[1] << 22 |
	       (uint64_t)(at[2] >> 1) << 15 | (uint64_t)at[3] << 7 | at[4] >> 1;
}

static uint8_t data[1 << 16];

/* A picture of a slice of len bytes behind a delimiter; checks that it comes out whole, with these
 * times. */
static void frame_picture(struct state *s, size_t len, int64_t us, int64_t shown_us, bool key)
{
	uint8_t aud[H264_AUD_LEN];
	struct iovec iov[] = {{aud, sizeof(aud)}, {data, len}};
	const size_t whole = H264_AUD_LEN + len;
	size_t head;

	memcpy(aud, h264_aud, sizeof(aud));
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i % 251 + 1);
	memcpy(data, key ? "\0\0\1\x65" : "\0\0\1\x41", 4);
	frame_unit(s, iov, 2, us, shown_us, key);
	assert_memory_equal(s->payload, "\0\0\1\xe0", 4);
	head = 9u + s->payload[8];
	assert_int_equal(s->payload[4] << 8 | s->payload[5],
			 head - 6 + whole > 65535 ? 0 : head - 6 + whole);
	assert_int_equal(read_stamp(s->payload + 9), shown_us * 9 / 100 & 0x1ffffffff);
	if (shown_us != us)
		assert_int_equal(read_stamp(s->payload + 14), us * 9 / 100 & 0x1ffffffff);
	assert_int_equal(s->len - head, whole);
	assert_memory_equal(s->payload + head, h264_aud, H264_AUD_LEN);
	assert_memory_equal(s->payload + head + H264_AUD_LEN, data, len);
}

static void a_key_picture_follows_the_tables_and_a_clock(void **state)
{
	struct state *s = *state;

	frame_picture(s, 2000, 1000000, 1000000, true);
	assert_true(s->random_access && s->has_pcr);
	frame_picture(s, 700, 1033333, 1033333, false);
	assert_false(s->random_access);
	frame_picture(s, 60000, 1066666, 1066666, false);
	frame_picture(s, sizeof(data), 1100000, 1100000, false);
	frame_picture(s, 8, 1133333, 1133333, false);
	frame_picture(s, 2000, 1166666, 1166666, true);
	assert_true(s->random_access && s->has_pcr);
}

static void a_picture_of_any_length_has_an_even_number_of_packets(void **state)
{
	struct state *s = *state;

	for (size_t len = 4; len < 800; len++)
		frame_picture(s, len, (int64_t)len * STEP_US, (int64_t)len * STEP_US,
			      len % 100 == 4);
}

static void times_may_jump_and_pictures_be_reordered(void **state)
{
	struct state *s = *state;
	int64_t us = INT64_C(90000000000); /* up for a day: beyond 33 bits of 90 kHz */

	frame_picture(s, 500, us, us, true);
	us += INT64_C(7200000000);
	frame_picture(s, 500, us, us + 80000, false);
	frame_picture(s, 500, us + STEP_US, us + STEP_US, false);
	frame_picture(s, 500, us + 300000000, us + 300000000, true);
}

static void decoding_times_that_stand_still_are_moved(void **state)
{
	struct state *s = *state;
	struct iovec iov = {(uint8_t *)(uintptr_t)h264_aud, H264_AUD_LEN};

	frame_picture(s, 500, 1000000, 1000000, true);
	frame_unit(s, &iov, 1, 1000000, 1000000, false);
	assert_int_equal(read_stamp(s->payload + 9), 90001);
	frame_unit(s, &iov, 1, 900000, 900000, false);
	assert_int_equal(read_stamp(s->payload + 9), 90002);
}

static void a_unit_has_at_most_16_mb(void **state)
{
	struct state *s = *state;
	uint8_t *large = calloc(1, CAMCAST_UNIT_MAX);
	struct iovec iov = {large, CAMCAST_UNIT_MAX - 1000000};
	struct mux_unit unit = {.iov = &iov,
				.iovcnt = 1,
				.nals = &iov,
				.n_nals = 1,
				.len = (size_t)CAMCAST_UNIT_MAX + 1};

	assert_non_null(large);
	memcpy(large, h264_aud, H264_AUD_LEN);
	frame_unit(s, &iov, 1, 1000000, 1000000, true);
	assert_int_equal(mux_frame(s->mux, &unit, &s->framed), -EMSGSIZE);
	free(large);
}

static void what_is_no_h264_is_refused(void **state)
{
	struct state *s = *state;
	struct iovec jpeg = {data, 4};
	struct mux_unit unit = {.iov = &jpeg, .iovcnt = 1, .len = 4, .key = true};

	assert_int_equal(mux_frame(s->mux, &unit, &s->framed), -EINVAL);
}

static void memory_does_not_grow(void **state)
{
	struct state *s = *state;
	size_t before = 0;

	for (int i = 0; i < 20000; i++) {
		frame_picture(s, 400, (int64_t)i * STEP_US, (int64_t)i * STEP_US, i % 30 == 0);
		if (i == 100)
			before = mallinfo2().uordblks;
	}
	assert_true(mallinfo2().uordblks <= before);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_picture_follows_the_tables_and_a_clock),
		TEST(a_picture_of_any_length_has_an_even_number_of_packets),
		TEST(times_may_jump_and_pictures_be_reordered),
		TEST(decoding_times_that_stand_still_are_moved),
		TEST(a_unit_has_at_most_16_mb),
		TEST(what_is_no_h264_is_refused),
		TEST(memory_does_not_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
