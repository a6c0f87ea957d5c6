/* SPDX-License-Identifier: BSD-2-Clause */
/* Each framing in one piece, byte by byte, and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static void begin_wire(struct wire *wire, enum wire_framing framing, bool http, const char *path,
		       unit_fn *unit, void *ctx)
{
	static struct wire_source source; /* one at a time */

	source = (struct wire_source){.framing = framing, .http = http, .host = "127.0.0.1:80"};
	snprintf(source.path, sizeof(source.path), "%s", path);
	wire_init(wire, &source, unit, ctx);
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
		begin_wire(&wire, WIRE_ANNEXB, false, "", take, NULL);
		feed(&wire, units[0], sizeof(units), *step);
		assert_int_equal(got, UNITS - 1);
		wire_finish(&wire);
	}
}

static void a_unit_is_complete_when_its_last_byte_came(void **state)
{
	struct wire wire;

	(void)state;
	begin_wire(&wire, WIRE_ANNEXB, false, "", take, NULL);
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

		begin_wire(&wire, WIRE_ANNEXB, false, "", note_length, &cut);
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
		begin_wire(&wire, WIRE_LENGTH, false, "", take, NULL);
		feed(&wire, stream, len, *step);
		assert_int_equal(got, UNITS);
		wire_finish(&wire);
	}
}

static void a_length_beyond_reason_breaks_the_stream(void **state)
{
	struct wire wire;

	(void)state;
	begin_wire(&wire, WIRE_LENGTH, false, "", take, NULL);
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
		begin_wire(&wire, WIRE_ANNEXB, true, "live", take, NULL);
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
	begin_wire(&wire, WIRE_ANNEXB, true, "live", take, NULL);
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
		begin_wire(&wire, WIRE_TS, false, "", take, NULL);
		feed(&wire, stream, len, *step);
		assert_int_equal(got, UNITS - 1);
		wire_finish(&wire);
		/* Within the first unit: the second is the first whole one. */
		got = 0;
		skipped = 1;
		begin_wire(&wire, WIRE_TS, false, "", take, NULL);
		feed(&wire, stream + 400, len - 400, *step);
		assert_int_equal(got, UNITS - 2);
		wire_finish(&wire);
	}
}

static void a_ts_unit_is_complete_when_its_last_byte_came(void **state)
{
	static uint8_t stream[UNITS * 188 * 5];
	struct wire wire;
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < UNITS; i++)
		len += put_pes(stream + len, units[i], 256);
	begin_wire(&wire, WIRE_TS, false, "", take, NULL);
	feed(&wire, stream, len, len / UNITS);
	for (size_t i = 0; i < got; i++)
		assert_int_equal(times[i], i + 1);
	wire_finish(&wire);
}

/* --- fragmented MP4, alone and in WebSocket messages --- */

static size_t put_u32(uint8_t *out, size_t value)
{
	const uint8_t bytes[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
				 (uint8_t)(value >> 8), (uint8_t)value};

	memcpy(out, bytes, sizeof(bytes));
	return sizeof(bytes);
}

static size_t put_box_head(uint8_t *out, const char *type, size_t data)
{
	put_u32(out, 8 + data);
	memcpy(out + 4, type, 4);
	return 8;
}

enum { TFDT = 8 + 12, TRUN = 8 + 8, TRAF = 8 + TFDT + TRUN, MOOF = 8 + TRAF };

/* moof with the time and the number of pictures, mdat with one NAL unit. */
static size_t put_fragment(uint8_t *out, const uint8_t *unit, uint32_t time, uint32_t pictures)
{
	size_t len = put_box_head(out, "moof", TRAF);

	len += put_box_head(out + len, "traf", TFDT + TRUN);
	len += put_box_head(out + len, "tfdt", TFDT - 8);
	len += put_u32(out + len, 0x01000000);
	len += put_u32(out + len, 0);
	len += put_u32(out + len, time);
	len += put_box_head(out + len, "trun", TRUN - 8);
	len += put_u32(out + len, 0);
	len += put_u32(out + len, pictures);
	/* The start code of the unit is not in the box, and a length is. */
	len += put_box_head(out + len, "mdat", SIZE);
	len += put_u32(out + len, SIZE - 4);
	memcpy(out + len, unit + 4, SIZE - 4);
	return len + SIZE - 4;
}

enum { FRAGMENT = MOOF + 8 + SIZE };

static size_t put_mp4(uint8_t *out)
{
	size_t len = put_box_head(out, "ftyp", 4);

	len += put_u32(out + len, 0);
	for (size_t i = 0; i < UNITS; i++)
		len += put_fragment(out + len, units[i], (uint32_t)(1000 + 3000 * i), 1);
	return len;
}

static void a_fragment_of_mp4_is_a_unit(void **state)
{
	static uint8_t stream[12 + UNITS * FRAGMENT];
	struct wire wire;
	size_t len = put_mp4(stream);

	(void)state;
	FOR_EACH_STEP(step)
	{
		got = 0;
		begin_wire(&wire, WIRE_MP4, false, "", take, NULL);
		feed(&wire, stream, len, *step);
		assert_false(wire.broken);
		assert_int_equal(got, UNITS);
		assert_int_equal(wire.mp4.time, 1000 + 3000 * (UNITS - 1));
		wire_finish(&wire);
	}
}

static void expect_broken(enum wire_framing framing, const uint8_t *data, size_t len)
{
	struct wire wire;

	begin_wire(&wire, framing, false, "", take, NULL);
	feed(&wire, data, len, len);
	assert_true(wire.broken);
	wire_finish(&wire);
}

static void mp4_whose_boxes_or_times_are_wrong_breaks_the_stream(void **state)
{
	static uint8_t stream[2 * FRAGMENT];

	(void)state;
	/* a box shorter than its head; a fragment of two pictures; an mdat without a moof */
	expect_broken(WIRE_MP4, (const uint8_t *)"\0\0\0\4moof", 8);
	expect_broken(WIRE_MP4, stream, put_fragment(stream, units[0], 0, 2));
	put_fragment(stream, units[0], 0, 1);
	expect_broken(WIRE_MP4, stream + MOOF, FRAGMENT - MOOF);
	/* a time that does not grow */
	put_fragment(stream + put_fragment(stream, units[0], 5, 1), units[1], 5, 1);
	expect_broken(WIRE_MP4, stream, sizeof(stream));
	/* a NAL unit that leaves its box */
	put_fragment(stream, units[0], 0, 1);
	put_u32(stream + MOOF + 8, SIZE);
	expect_broken(WIRE_MP4, stream, FRAGMENT);
}

static void a_websocket_is_opened_and_its_messages_are_mp4(void **state)
{
	static const char header[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
	/* With the heads of the messages, and the ping. */
	static uint8_t stream[sizeof(header) + 2 + 12 + 4 + UNITS * (4 + FRAGMENT)],
		mp4[sizeof(stream)];
	struct wire wire;
	size_t len = sizeof(header) - 1, mp4_len = put_mp4(mp4);

	(void)state;
	memcpy(stream, header, len);
	for (size_t at = 0; at < mp4_len;) {
		size_t n = at == 0 ? 12 : FRAGMENT;

		stream[len++] = 0x82;
		if (n >= 126) {
			stream[len++] = 126;
			stream[len++] = (uint8_t)(n >> 8);
		}
		stream[len++] = (uint8_t)n;
		memcpy(stream + len, mp4 + at, n);
		len += n;
		at += n;
		if (at == 12) { /* a ping */
			memcpy(stream + len, "\x89\2hi", 4);
			len += 4;
		}
	}
	FOR_EACH_STEP(step)
	{
		static const uint8_t pong[] = {0x8a, 0x82, 0, 0, 0, 0, 'h', 'i'};

		got = 0;
		begin_wire(&wire, WIRE_WEBSOCKET, true, "s.ws", take, NULL);
		assert_memory_equal(wire.out.data, "GET /s.ws HTTP/1.1\r\nHost: 127.0.0.1:80\r\n",
				    40);
		buffer_drop(&wire.out, wire.out.len);
		feed(&wire, stream, len, *step);
		assert_false(wire.broken);
		assert_int_equal(got, UNITS);
		assert_int_equal(wire.out.len, sizeof(pong));
		assert_memory_equal(wire.out.data, pong, sizeof(pong));
		wire_finish(&wire);
	}
}

static void a_websocket_that_is_refused_or_closed_breaks_the_stream(void **state)
{
	static const char refused[] = "HTTP/1.1 200 OK\r\n\r\n";
	static const char closed[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n\x88\2\3\xe8";

	(void)state;
	expect_broken(WIRE_WEBSOCKET, (const uint8_t *)refused, sizeof(refused) - 1);
	expect_broken(WIRE_WEBSOCKET, (const uint8_t *)closed, sizeof(closed) - 1);
}

/* --- multipart --- */

static void a_part_is_a_unit(void **state)
{
	static const char header[] = "HTTP/1.0 200 OK\r\n\r\n--b\r\n";
	static uint8_t stream[sizeof(header) + UNITS * (SIZE + 100)];
	struct wire wire;
	size_t len = sizeof(header) - 1;

	(void)state;
	memcpy(stream, header, len);
	for (size_t i = 0; i < UNITS; i++) {
		len += (size_t)sprintf((char *)stream + len,
				       "Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n",
				       SIZE);
		memcpy(stream + len, units[i], SIZE);
		len += SIZE;
		memcpy(stream + len, "\r\n--b\r\n", 7);
		len += 7;
	}
	FOR_EACH_STEP(step)
	{
		got = 0;
		begin_wire(&wire, WIRE_MULTIPART, true, "s.mjpg", take, NULL);
		feed(&wire, stream, len, *step);
		assert_false(wire.broken);
		assert_int_equal(got, UNITS);
		wire_finish(&wire);
	}
}

static void a_part_without_a_length_breaks_the_stream(void **state)
{
	static const char part[] = "--b\r\nContent-Type: image/jpeg\r\n\r\n";

	(void)state;
	expect_broken(WIRE_MULTIPART, (const uint8_t *)part, sizeof(part) - 1);
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
		begin_wire(&wire, WIRE_RTMP, false, "live/s", take, NULL);
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
	begin_wire(&wire, WIRE_RTMP, false, "live/s", take, NULL);
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
		TEST(a_ts_unit_is_complete_when_its_last_byte_came),
		TEST(a_fragment_of_mp4_is_a_unit),
		TEST(mp4_whose_boxes_or_times_are_wrong_breaks_the_stream),
		TEST(a_websocket_is_opened_and_its_messages_are_mp4),
		TEST(a_websocket_that_is_refused_or_closed_breaks_the_stream),
		TEST(a_part_is_a_unit),
		TEST(a_part_without_a_length_breaks_the_stream),
		TEST(rtmp_is_talked_and_its_pictures_are_annexb),
		TEST(what_is_no_rtmp_breaks_the_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
