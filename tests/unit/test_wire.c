/* SPDX-License-Identifier: BSD-2-Clause */
/* Each framing in one piece, byte by byte, and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/lib/unit.h"
#include "bench/lib/wire.h"

enum { UNITS = 12, SIZE = 700 };

static uint8_t units[UNITS][SIZE];
static size_t got;
static int64_t times[UNITS];
static size_t skipped; /* units at the beginning that the stream does not have */

static void take(void *ctx, const uint8_t *data, size_t len, int64_t complete_us)
{
	(void)ctx;
	assert_true(got < UNITS);
	assert_int_equal(len, SIZE);
	assert_memory_equal(data, units[skipped + got], SIZE);
	times[got++] = complete_us;
}

static int begin(void **state)
{
	(void)state;
	got = skipped = 0;
	for (size_t i = 0; i < UNITS; i++)
		unit_build(units[i], SIZE, i, i % 5 == 0, false, 1000);
	return 0;
}

/* In steps of `step` bytes, the nth of them at time n. */
static void feed(struct wire *wire, const uint8_t *data, size_t len, size_t step)
{
	for (size_t at = 0, n = 1; at < len; at += step, n++) {
		size_t part = len - at < step ? len - at : step;

		memcpy(wire_room(wire, part), data + at, part);
		wire_received(wire, part, (int64_t)n);
	}
}

static const size_t steps[] = {1, 7, 188, 699, 700, 701, 4096, 1000000};

#define FOR_EACH_STEP(step)                                                                        \
	for (const size_t *step = steps; step < steps + sizeof(steps) / sizeof(*steps); step++)

static void annexb_units_end_where_the_next_begins(void **state)
{
	struct wire wire;

	(void)state;
	FOR_EACH_STEP(step)
	{
		got = 0;
		wire_init(&wire, WIRE_ANNEXB, false, NULL, take, NULL);
		feed(&wire, units[0], sizeof(units), *step);
		assert_int_equal(got, UNITS - 1);
		wire_finish(&wire);
	}
}

static void a_unit_is_complete_when_its_last_byte_came(void **state)
{
	struct wire wire;

	(void)state;
	wire_init(&wire, WIRE_ANNEXB, false, NULL, take, NULL);
	feed(&wire, units[0], sizeof(units), SIZE);
	/* Though that could be known with the next step only. */
	for (size_t i = 0; i < got; i++)
		assert_int_equal(times[i], i + 1);
	wire_finish(&wire);
}

struct lengths {
	size_t n, len[4];
};

static void note_length(void *ctx, const uint8_t *data, size_t len, int64_t complete_us)
{
	struct lengths *cut = ctx;

	(void)data;
	(void)complete_us;
	assert_true(cut->n < 4);
	cut->len[cut->n++] = len;
}

static void units_without_delimiters_end_at_parameter_sets_and_first_slices(void **state)
{
	static const uint8_t stream[] = {0, 0,	  0,	1,    0x67, 0x42, 0,	0,    0,
					 1, 0x68, 0xce, 0,    0,    1,	  0x65, 0x88, 7,
					 0, 0,	  1,	0x65, 0x40, 7, /* two slices: one unit */
					 0, 0,	  0,	1,    0x41, 0x9a, 7,	7, /* one slice */
					 0, 0,	  1,	0x06, 0x05, 7,	  0,	0,    0,
					 1, 0x41, 0x9a, 7, /* an SEI and a slice */
					 0, 0,	  0,	1,    0x67, 0x42};
	struct wire wire;

	(void)state;
	FOR_EACH_STEP(step)
	{
		struct lengths cut = {0};

		wire_init(&wire, WIRE_ANNEXB, false, NULL, note_length, &cut);
		feed(&wire, stream, sizeof(stream), *step);
		assert_int_equal(cut.n, 3);
		assert_int_equal(cut.len[0], 24);
		assert_int_equal(cut.len[1], 8);
		assert_int_equal(cut.len[2], 13);
		wire_finish(&wire);
	}
}

static void lengths_need_no_next_unit(void **state)
{
	static uint8_t stream[UNITS * (SIZE + 4) + 4];
	struct wire wire;
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < UNITS; i++) {
		memcpy(stream + len, (const uint8_t[]){0, 0, SIZE >> 8, SIZE & 255}, 4);
		memcpy(stream + len + 4, units[i], SIZE);
		len += SIZE + 4;
		if (i == 3) { /* an empty one is skipped */
			memset(stream + len, 0, 4);
			len += 4;
		}
	}
	FOR_EACH_STEP(step)
	{
		got = 0;
		wire_init(&wire, WIRE_LENGTH, false, NULL, take, NULL);
		feed(&wire, stream, len, *step);
		assert_int_equal(got, UNITS);
		wire_finish(&wire);
	}
}

static void a_length_beyond_reason_breaks_the_stream(void **state)
{
	struct wire wire;

	(void)state;
	wire_init(&wire, WIRE_LENGTH, false, NULL, take, NULL);
	feed(&wire, (const uint8_t *)"HTTP/1.0", 8, 8);
	assert_true(wire.broken);
	wire_finish(&wire);
}

static void an_http_answer_is_asked_for_and_its_header_skipped(void **state)
{
	static const char header[] = "HTTP/1.0 200 OK\r\nContent-Type: video/h264\r\n\r\n";
	static uint8_t stream[sizeof(header) - 1 + sizeof(units)];
	struct wire wire;

	(void)state;
	memcpy(stream, header, sizeof(header) - 1);
	memcpy(stream + sizeof(header) - 1, units, sizeof(units));
	FOR_EACH_STEP(step)
	{
		got = 0;
		wire_init(&wire, WIRE_ANNEXB, true, "live", take, NULL);
		assert_memory_equal(wire.out.data, "GET /live HTTP/1.0\r\n", 20);
		feed(&wire, stream, sizeof(stream), *step);
		assert_false(wire.broken);
		assert_int_equal(got, UNITS - 1);
		wire_finish(&wire);
	}
}

static void an_http_error_breaks_the_stream(void **state)
{
	struct wire wire;

	(void)state;
	wire_init(&wire, WIRE_ANNEXB, true, "live", take, NULL);
	feed(&wire, (const uint8_t *)"HTTP/1.0 404 Not here\r\n\r\n", 25, 5);
	assert_true(wire.broken);
	wire_finish(&wire);
}

/* One unit in TS packets, the last one stuffed by an adaptation field. */
static size_t put_pes(uint8_t *out, const uint8_t *unit, int pid)
{
	static const uint8_t head[] = {0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1};
	uint8_t pes[sizeof(head) + SIZE];
	size_t at = 0, len = 0;

	memcpy(pes, head, sizeof(head));
	memcpy(pes + sizeof(head), unit, SIZE);
	while (at < sizeof(pes)) {
		size_t n = sizeof(pes) - at < 184 ? sizeof(pes) - at : 184, stuffing = 184 - n;
		uint8_t *packet = out + len;

		memset(packet, 0xff, 188);
		packet[0] = 0x47;
		packet[1] = (uint8_t)((at == 0 ? 0x40 : 0) | pid >> 8);
		packet[2] = (uint8_t)pid;
		packet[3] = stuffing ? 0x30 : 0x10;
		if (stuffing > 0)
			packet[4] = (uint8_t)(stuffing - 1);
		if (stuffing > 1)
			packet[5] = 0;
		memcpy(packet + 188 - n, pes + at, n);
		at += n;
		len += 188;
	}
	return len;
}

static void ts_units_are_put_together_wherever_a_client_begins(void **state)
{
	static uint8_t stream[UNITS * 188 * 6];
	struct wire wire;
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < UNITS; i++) {
		/* Another stream's packet in between, as a program table would be. */
		memset(stream + len, 0, 188);
		memcpy(stream + len, (const uint8_t[]){0x47, 0x40, 0, 0x10}, 4);
		len += 188;
		len += put_pes(stream + len, units[i], 256);
	}
	FOR_EACH_STEP(step)
	{
		got = skipped = 0;
		wire_init(&wire, WIRE_TS, false, NULL, take, NULL);
		feed(&wire, stream, len, *step);
		assert_int_equal(got, UNITS - 1);
		wire_finish(&wire);
		/* Within the first unit: the second is the first whole one. */
		got = 0;
		skipped = 1;
		wire_init(&wire, WIRE_TS, false, NULL, take, NULL);
		feed(&wire, stream + 400, len - 400, *step);
		assert_int_equal(got, UNITS - 2);
		wire_finish(&wire);
	}
}

/* The bytes of a server: handshake, chunk size, refusal or pictures in chunks of 300 bytes. */
static size_t put_rtmp(uint8_t *out)
{
	static const uint8_t chunk_size[] = {2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 1, 44};
	size_t len = 1 + 2 * 1536;

	memset(out, 0, len);
	out[0] = 3;
	memcpy(out + len, chunk_size, sizeof(chunk_size));
	len += sizeof(chunk_size);
	for (size_t i = 0; i < UNITS; i++) {
		/* One NAL unit: all after the first start code, with a length for it. */
		size_t size = 5 + SIZE;
		uint8_t head[] = {
			6, 0, 0, 0, (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size, 9,
			1, 0, 0, 0};
		uint8_t body[5 + SIZE] = {
			0x17, 1, 0, 0, 0, 0, 0, (SIZE - 4) >> 8, (SIZE - 4) & 255};

		memcpy(body + 9, units[i] + 4, SIZE - 4);
		memcpy(out + len, head, sizeof(head));
		len += sizeof(head);
		for (size_t at = 0; at < size; at += 300) {
			size_t n = size - at < 300 ? size - at : 300;

			if (at > 0)
				out[len++] = 0xc6;
			memcpy(out + len, body + at, n);
			len += n;
		}
	}
	return len;
}

static void rtmp_is_talked_and_its_pictures_are_annexb(void **state)
{
	static uint8_t stream[1 + 2 * 1536 + 64 + UNITS * (SIZE + 64)];
	size_t len = put_rtmp(stream);
	struct wire wire;

	(void)state;
	FOR_EACH_STEP(step)
	{
		got = 0;
		wire_init(&wire, WIRE_RTMP, false, "live/s", take, NULL);
		assert_int_equal(wire.out.len, 1 + 1536);
		buffer_drop(&wire.out, wire.out.len);
		feed(&wire, stream, len, *step);
		assert_false(wire.broken);
		assert_int_equal(got, UNITS);
		assert_true(wire.out.len > 1536);
		assert_non_null(memmem(wire.out.data, wire.out.len, "play", 4));
		wire_finish(&wire);
	}
}

static void what_is_no_rtmp_breaks_the_stream(void **state)
{
	static uint8_t stream[1 + 2 * 1536] = "HTTP/1.0";
	struct wire wire;

	(void)state;
	wire_init(&wire, WIRE_RTMP, false, "live/s", take, NULL);
	feed(&wire, stream, sizeof(stream), sizeof(stream));
	assert_true(wire.broken);
	wire_finish(&wire);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(annexb_units_end_where_the_next_begins),
		TEST(a_unit_is_complete_when_its_last_byte_came),
		TEST(units_without_delimiters_end_at_parameter_sets_and_first_slices),
		TEST(lengths_need_no_next_unit),
		TEST(a_length_beyond_reason_breaks_the_stream),
		TEST(an_http_answer_is_asked_for_and_its_header_skipped),
		TEST(an_http_error_breaks_the_stream),
		TEST(ts_units_are_put_together_wherever_a_client_begins),
		TEST(rtmp_is_talked_and_its_pictures_are_annexb),
		TEST(what_is_no_rtmp_breaks_the_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
