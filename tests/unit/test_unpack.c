/* SPDX-License-Identifier: BSD-2-Clause */
/* Access units from RTP packets, and packets that do not fit. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/stream/unpack.h"
#include "media/jpeg.h"
#include "media/jpeg_baseline.h"

#define TYPE 96
#define SPS "\x67\x42\xc0\x1f\xda\x01\x40\x16\xe8\x40"
#define PPS "\x68\xce\x3c\x80"
#define IDR "\x65\x88\x84\x21"
#define SLICE "\x41\x9a\x02\x33"
#define START "\0\0\0\1"
#define AUD START "\x09\xf0" /* in front of units that come without one */
#define LEN(text) (sizeof(text) - 1)

struct fixture {
	struct unpack *unpack;
	uint16_t sequence;
	struct cutter_unit unit;
	bool taken;
};

static void start(struct fixture *f, enum stream_codec codec)
{
	memset(f, 0, sizeof *f);
	f->sequence = 65530; /* it wraps */
	assert_int_equal(unpack_create(&f->unpack, codec, codec == STREAM_H264 ? TYPE : 26), 0);
}

static size_t make(uint8_t *packet, const struct fixture *f, bool marker, uint32_t time,
		   const void *payload, size_t len)
{
	const uint8_t head[12] = {0x80,
				  (uint8_t)((f->unpack ? TYPE : 0) | (marker ? 0x80 : 0)),
				  (uint8_t)(f->sequence >> 8),
				  (uint8_t)f->sequence,
				  (uint8_t)(time >> 24),
				  (uint8_t)(time >> 16),
				  (uint8_t)(time >> 8),
				  (uint8_t)time,
				  0,
				  0,
				  0,
				  7};

	memcpy(packet, head, sizeof head);
	memcpy(packet + sizeof head, payload, len);
	return sizeof head + len;
}

/* In memory of exactly its size. */
static int give(struct fixture *f, const uint8_t *packet, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, packet, len);
	r = unpack_add(f->unpack, copy, len, &f->unit, &f->taken);
	free(copy);
	return r;
}

static int again(struct fixture *f, bool marker, uint32_t time, const void *payload, size_t len)
{
	uint8_t packet[2048];
	const size_t n = make(packet, f, marker, time, payload, len);

	return give(f, packet, n);
}

static int add(struct fixture *f, bool marker, uint32_t time, const void *payload, size_t len)
{
	int r = again(f, marker, time, payload, len);

	f->sequence += f->taken;
	return r;
}
#define ADD(f, marker, time, text) add(f, marker, time, text, LEN(text))

static void expect(const struct fixture *f, const void *data, size_t len, bool key)
{
	assert_int_equal(f->unit.len, len);
	assert_memory_equal(f->unit.data, data, len);
	assert_int_equal(f->unit.key, key);
	assert_int_equal(f->unit.codec, STREAM_H264);
}
#define EXPECT(f, text, key) expect(f, text, LEN(text), key)

static void single_nal_units_end_with_the_marker(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, STREAM_H264);
	assert_int_equal(ADD(&f, false, 1, SPS), CUTTER_MORE);
	assert_int_equal(ADD(&f, false, 1, PPS), CUTTER_MORE);
	assert_false(unpack_is_empty(f.unpack));
	assert_int_equal(ADD(&f, true, 1, IDR), CUTTER_UNIT);
	EXPECT(&f, AUD START SPS START PPS START IDR, true);
	assert_true(unpack_is_empty(f.unpack));
	for (uint32_t time = 2; time < 20; time++) {
		assert_int_equal(ADD(&f, true, time, SLICE), CUTTER_UNIT);
		EXPECT(&f, AUD START SLICE, false);
	}
	unpack_destroy(f.unpack);
}

static void a_new_time_ends_a_unit_without_a_marker(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, STREAM_H264);
	assert_int_equal(ADD(&f, false, 1, SLICE), CUTTER_MORE);
	assert_int_equal(ADD(&f, false, 2, SLICE), CUTTER_UNIT);
	assert_false(f.taken);
	EXPECT(&f, AUD START SLICE, false);
	assert_int_equal(ADD(&f, true, 2, SLICE), CUTTER_UNIT);
	assert_true(f.taken);
	unpack_destroy(f.unpack);
}

static void fragments_and_aggregates_are_put_together(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, STREAM_H264);
	/* STAP-A with SPS and PPS, then an IDR in three fragments. */
	assert_int_equal(ADD(&f, false, 1, "\x78\0\x0a" SPS "\0\x04" PPS), CUTTER_MORE);
	assert_int_equal(ADD(&f, false, 1, "\x7c\x85\x88"), CUTTER_MORE);
	assert_int_equal(ADD(&f, false, 1, "\x7c\x05\x84"), CUTTER_MORE);
	assert_int_equal(ADD(&f, true, 1, "\x7c\x45\x21"), CUTTER_UNIT);
	EXPECT(&f, AUD START SPS START PPS START IDR, true);
	unpack_destroy(f.unpack);
}

static void parameter_sets_that_were_sent_once_stand_in_each_key_unit(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, STREAM_H264);
	assert_int_equal(unpack_learn(f.unpack, (const uint8_t *)SPS, LEN(SPS)), 0);
	assert_int_equal(unpack_learn(f.unpack, (const uint8_t *)PPS, LEN(PPS)), 0);
	assert_int_equal(unpack_learn(f.unpack, (const uint8_t *)"\x67", 1), 0);
	for (uint32_t time = 1; time < 4; time++) {
		assert_int_equal(ADD(&f, false, time, "\x09\x10"), CUTTER_MORE);
		assert_int_equal(ADD(&f, true, time, IDR), CUTTER_UNIT);
		EXPECT(&f, START "\x09\x10" START SPS START PPS START IDR, true);
	}
	unpack_destroy(f.unpack);
	/* In a unit of their own, with a marker or without. */
	for (int marker = 0; marker < 2; marker++) {
		start(&f, STREAM_H264);
		assert_int_equal(ADD(&f, marker, 1, SPS), CUTTER_MORE);
		assert_int_equal(ADD(&f, marker, 1, PPS), CUTTER_MORE);
		assert_int_equal(ADD(&f, true, 2, IDR), CUTTER_UNIT);
		EXPECT(&f, AUD START SPS START PPS START IDR, true);
		unpack_destroy(f.unpack);
	}
	start(&f, STREAM_H264);
	assert_int_equal(ADD(&f, true, 1, IDR), CUTTER_UNIT);
	EXPECT(&f, AUD START IDR, false);
	unpack_destroy(f.unpack);
}

static void a_lost_packet_is_a_gap_and_its_unit_is_gone(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, STREAM_H264);
	assert_int_equal(ADD(&f, false, 1, SLICE), CUTTER_MORE);
	f.sequence++;
	assert_int_equal(ADD(&f, true, 1, SLICE), CUTTER_GAP);
	assert_false(f.taken);
	assert_int_equal(ADD(&f, true, 1, SLICE), CUTTER_UNIT);
	/* The rest of a unit whose beginning was lost. */
	f.sequence++;
	assert_int_equal(ADD(&f, false, 2, "\x7c\x05\x84"), CUTTER_GAP);
	assert_int_equal(ADD(&f, false, 2, "\x7c\x05\x84"), CUTTER_MORE);
	assert_int_equal(ADD(&f, true, 2, "\x7c\x45\x21"), CUTTER_JUNK);
	assert_int_equal(ADD(&f, true, 3, SLICE), CUTTER_UNIT);
	unpack_destroy(f.unpack);
}

static void damaged_packets_make_no_unit(void **state)
{
	static const struct {
		const char *payload;
		size_t len;
	} bad[] = {
		{"\x78\0\x0b" SPS, 3 + LEN(SPS)}, /* longer than the packet */
		{"\x78\0\0", 3},		  /* of no bytes */
		{"\x78\0", 2},			  /* half a length */
		{"\x78\0\1\x78", 4},		  /* within another */
		{"\x7c", 1},			  /* a fragment without a head */
		{"\x7c\xc5\x88", 3},		  /* that begins and ends */
		{"\x7c\x05\x88", 3},		  /* of nothing */
		{"\x7c\x85\x88", 3},		  /* without an end */
		{"\x79\0\0\0\1\x41", 6},	  /* STAP-B */
		{"\0\x88", 2},			  /* type 0 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct fixture f;

		start(&f, STREAM_H264);
		assert_int_equal(add(&f, true, 1, bad[i].payload, bad[i].len), CUTTER_JUNK);
		assert_int_equal(ADD(&f, true, 2, SLICE), CUTTER_UNIT);
		EXPECT(&f, AUD START SLICE, false);
		unpack_destroy(f.unpack);
	}
}

static void what_is_no_packet_of_ours_is_left_out(void **state)
{
	uint8_t packet[64], other[64];
	struct fixture f;
	size_t len;

	(void)state;
	start(&f, STREAM_H264);
	len = make(packet, &f, true, 1, SLICE, LEN(SLICE));
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(give(&f, packet, i), CUTTER_MORE);
	memcpy(other, packet, len);
	other[0] = 0x40; /* version 1 */
	assert_int_equal(give(&f, other, len), CUTTER_MORE);
	memcpy(other, packet, len);
	other[1] = 0x80 | 97; /* another payload */
	assert_int_equal(give(&f, other, len), CUTTER_MORE);
	memcpy(other, packet, len);
	other[0] |= 0x0f; /* more sources than bytes */
	assert_int_equal(give(&f, other, len), CUTTER_MORE);
	memcpy(other, packet, len);
	other[0] |= 0x10; /* an extension that is too long */
	other[14] = 0x02;
	assert_int_equal(give(&f, other, len), CUTTER_MORE);
	memcpy(other, packet, len);
	other[0] |= 0x20; /* padding, which ends with its length */
	other[len - 1] = 200;
	assert_int_equal(give(&f, other, len), CUTTER_MORE);
	other[len - 1] = 1;
	assert_int_equal(give(&f, other, len), CUTTER_UNIT);
	EXPECT(&f, AUD START "\x41\x9a\x02", false);
	unpack_destroy(f.unpack);
}

static void a_unit_has_a_bound(void **state)
{
	static uint8_t payload[1400];
	struct fixture f;

	(void)state;
	start(&f, STREAM_H264);
	payload[0] = 0x7c;
	payload[1] = 0x85;
	assert_int_equal(add(&f, false, 1, payload, sizeof payload), CUTTER_MORE);
	payload[1] = 0x05;
	for (size_t sent = 0; sent < CUTTER_UNIT_MAX + sizeof payload; sent += sizeof payload - 2)
		assert_int_equal(add(&f, false, 1, payload, sizeof payload), CUTTER_MORE);
	payload[1] = 0x45;
	assert_int_equal(add(&f, true, 1, payload, sizeof payload), CUTTER_JUNK);
	assert_int_equal(ADD(&f, true, 2, SLICE), CUTTER_UNIT);
	unpack_destroy(f.unpack);
}

/* --- JPEG --- */

static int add_jpeg(struct fixture *f, bool marker, uint32_t time, const void *payload, size_t len)
{
	uint8_t packet[2048];
	const size_t n = make(packet, f, marker, time, payload, len);
	int r;

	packet[1] = (uint8_t)(26 | (marker ? 0x80 : 0));
	r = give(f, packet, n);
	f->sequence += f->taken;
	return r;
}
#define ADD_JPEG(f, marker, time, text) add_jpeg(f, marker, time, text, LEN(text))

static void a_jpeg_gets_its_headers_back(void **state)
{
	struct jpeg_baseline jpeg;
	struct fixture f;

	(void)state;
	start(&f, STREAM_MJPEG);
	/* Quality 50 has the tables of the standard; 320x240, 4:2:0; with restart markers. */
	assert_int_equal(ADD_JPEG(&f, false, 1,
				  "\0\0\0\0\x41\x32\x28\x1e\0\x04\xff\xff"
				  "abcd"),
			 CUTTER_MORE);
	assert_int_equal(ADD_JPEG(&f, true, 1,
				  "\0\0\0\4\x41\x32\x28\x1e\0\x04\xff\xff"
				  "e"),
			 CUTTER_UNIT);
	assert_int_equal(f.unit.codec, STREAM_MJPEG);
	assert_true(f.unit.key && jpeg_ends(f.unit.data, f.unit.len));
	assert_int_equal(jpeg_baseline_read(f.unit.data, f.unit.len, &jpeg), 0);
	assert_true(jpeg.width == 320 && jpeg.height == 240 && jpeg.halved_height);
	assert_int_equal(jpeg.restart_interval, 4);
	assert_true(jpeg.luma[0] == 16 && jpeg.luma[63] == 99 && jpeg.chroma[0] == 17);
	assert_int_equal(jpeg.scan_len, 5);
	assert_memory_equal(jpeg.scan, "abcde", 5);
	/* 4:2:2, a worse quality. */
	assert_int_equal(ADD_JPEG(&f, true, 2,
				  "\0\0\0\0\0\x0a\x28\x1e"
				  "ab"),
			 CUTTER_UNIT);
	assert_int_equal(jpeg_baseline_read(f.unit.data, f.unit.len, &jpeg), 0);
	assert_true(!jpeg.halved_height && jpeg.restart_interval == 0 && jpeg.luma[0] == 80);
	unpack_destroy(f.unpack);
}

static void tables_of_a_jpeg_may_come_once(void **state)
{
	uint8_t payload[8 + 4 + 128 + 2] = {0, 0, 0, 0, 1, 200, 2, 2, 0, 0, 0, 128};
	struct jpeg_baseline jpeg;
	struct fixture f;

	(void)state;
	start(&f, STREAM_MJPEG);
	memset(payload + 12, 3, 64);
	memset(payload + 76, 5, 64);
	assert_int_equal(ADD_JPEG(&f, true, 1,
				  "\0\0\0\0\1\xc8\2\2\0\0\0\0"
				  "ab"),
			 CUTTER_JUNK);
	assert_int_equal(add_jpeg(&f, true, 2, payload, sizeof payload), CUTTER_UNIT);
	assert_int_equal(ADD_JPEG(&f, true, 3,
				  "\0\0\0\0\1\xc8\2\2\0\0\0\0"
				  "ab"),
			 CUTTER_UNIT);
	assert_int_equal(jpeg_baseline_read(f.unit.data, f.unit.len, &jpeg), 0);
	assert_true(jpeg.luma[0] == 3 && jpeg.chroma[63] == 5 && jpeg.scan_len == 2);
	unpack_destroy(f.unpack);
}

static void damaged_jpegs_make_no_unit(void **state)
{
	static const struct {
		const char *payload;
		size_t len;
	} bad[] = {
		{"\0\0\0\0\1\x32\2", 7},	       /* cut off */
		{"\0\0\0\1\1\x32\2\2x", 9},	       /* its beginning is missing */
		{"\0\0\0\0\2\x32\2\2x", 9},	       /* of another type */
		{"\0\0\0\0\1\x32\0\2x", 9},	       /* without a width */
		{"\0\0\0\0\1\0\2\2x", 9},	       /* of quality 0 */
		{"\0\0\0\0\1\x70\2\2x", 9},	       /* of a reserved one */
		{"\0\0\0\0\1\xff\2\2\0\0\0\0x", 13},   /* without tables */
		{"\0\0\0\0\1\xff\2\2\0\0\0\x80x", 13}, /* that are cut off */
		{"\0\0\0\0\x41\x32\2\2\0\0\1", 11},    /* a restart header, too */
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct fixture f;

		start(&f, STREAM_MJPEG);
		assert_int_equal(add_jpeg(&f, true, 1, bad[i].payload, bad[i].len), CUTTER_JUNK);
		assert_int_equal(ADD_JPEG(&f, true, 2, "\0\0\0\0\1\x32\2\2x"), CUTTER_UNIT);
		unpack_destroy(f.unpack);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_nal_units_end_with_the_marker),
		cmocka_unit_test(a_new_time_ends_a_unit_without_a_marker),
		cmocka_unit_test(fragments_and_aggregates_are_put_together),
		cmocka_unit_test(parameter_sets_that_were_sent_once_stand_in_each_key_unit),
		cmocka_unit_test(a_lost_packet_is_a_gap_and_its_unit_is_gone),
		cmocka_unit_test(damaged_packets_make_no_unit),
		cmocka_unit_test(what_is_no_packet_of_ours_is_left_out),
		cmocka_unit_test(a_unit_has_a_bound),
		cmocka_unit_test(a_jpeg_gets_its_headers_back),
		cmocka_unit_test(tables_of_a_jpeg_may_come_once),
		cmocka_unit_test(damaged_jpegs_make_no_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
