/* SPDX-License-Identifier: BSD-2-Clause */
/* The bytes that the writer makes of an access unit. SPS rewriting has its own test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "camcast/sei.h"
#include "media/bits.h"
#include "media/h264_writer.h"
#include "nal_samples.h"
#include "media/sei.h"

static const struct sps_edit edit_30 = {.rate = {30, 1}};

/* --- allocations, counted: see test_h264_writer.mk --- */

static unsigned allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	allocations++;
	return __real_realloc(memory, size);
}

/* --- the writer --- */

struct bytes {
	uint8_t data[8192];
	size_t len;
};

static void add(struct bytes *bytes, const void *nal, size_t len)
{
	memcpy(bytes->data + bytes->len, "\0\0\0\1", 4);
	memcpy(bytes->data + bytes->len + 4, nal, len);
	bytes->len += 4 + len;
}

static void add_sps(struct bytes *bytes, unsigned id, bool vui)
{
	uint8_t nal[64];

	add(bytes, nal, make_sps(nal, true, id, vui));
}

/* With tag in it, to tell one from the other. */
static void add_pps(struct bytes *bytes, unsigned id, unsigned sps_id, unsigned tag)
{
	uint8_t nal[32] = {0x68};
	struct bit_writer w;

	bit_writer_init(&w, nal + 1, 31);
	write_ue(&w, id);
	write_ue(&w, sps_id);
	write_ue(&w, tag);
	add(bytes, nal, 1 + write_trailing(&w));
}

static void add_slice(struct bytes *bytes, unsigned type, unsigned ref_idc, unsigned pps_id)
{
	uint8_t nal[32] = {(uint8_t)(ref_idc << 5 | type)};
	struct bit_writer w;

	bit_writer_init(&w, nal + 1, 31);
	write_ue(&w, 0);
	write_ue(&w, 7);
	write_ue(&w, pps_id);
	write_bits(&w, 32, 0x12345678);
	add(bytes, nal, 1 + write_trailing(&w));
}

static struct bytes flat;

/* "a7812": AUD, SPS (by id, as upper-case letter), PPS (lower-case letter), other types as digits,
 * x for SEI. Fills flat. */
static const char *order_of(const struct h264_unit *unit)
{
	static char order[600];
	struct nal nal;
	size_t pos = 0, n = 0;

	flat.len = 0;
	for (int i = 0; i < unit->iovcnt; i++) {
		assert_true(flat.len + unit->iov[i].iov_len <= sizeof(flat.data));
		memcpy(flat.data + flat.len, unit->iov[i].iov_base, unit->iov[i].iov_len);
		flat.len += unit->iov[i].iov_len;
	}
	assert_int_equal(flat.len, unit->len);
	while (nal_next(flat.data, flat.len, &pos, &nal)) {
		struct bit_reader r;

		assert_true(n < sizeof(order) - 1);
		bit_reader_init(&r, nal.data + 1, (nal.len - 1) * 8);
		switch (nal.type) {
		case NAL_SPS:
			read_bits(&r, 24);
			order[n++] = (char)('A' + read_ue(&r));
			break;
		case NAL_PPS:
			order[n++] = (char)('a' + read_ue(&r));
			break;
		case NAL_AUD:
			assert_int_equal(nal.data[1], 0xf0);
			order[n++] = '|';
			break;
		case NAL_SEI:
			order[n++] = '*';
			break;
		default:
			order[n++] = (char)(nal.type < 10 ? '0' + nal.type : '?');
		}
	}
	order[n] = '\0';
	return order;
}

static struct h264_unit put(struct h264_writer *writer, const struct bytes *in)
{
	struct h264_unit unit;

	assert_int_equal(h264_writer_unit(writer, in->data, in->len, 5, &unit), 0);
	return unit;
}

static void parameter_sets_come_back_before_every_idr(void **state)
{
	struct bytes first = {.len = 0}, idr = {.len = 0}, p = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, &edit_30, false), 0);
	add(&first, "\x09\x10", 2);
	add_sps(&first, 0, false);
	add_pps(&first, 0, 0, 1);
	add_slice(&first, 5, 3, 0);
	add_slice(&first, 5, 3, 0);
	unit = put(writer, &first);
	assert_string_equal(order_of(&unit), "|Aa55");
	assert_memory_equal(flat.data, "\0\0\0\1\x09\xf0\0\0\0\1\x27", 11);
	assert_true(unit.key);
	assert_false(unit.droppable);
	/* Two pieces: what is ours, and both slices as they stand in the encoder's memory. */
	assert_int_equal(unit.iovcnt, 2);
	assert_in_range((uintptr_t)unit.iov[1].iov_base, (uintptr_t)first.data,
			(uintptr_t)first.data + first.len);

	add_slice(&p, 1, 2, 0);
	unit = put(writer, &p);
	assert_string_equal(order_of(&unit), "|1");
	assert_false(unit.key);
	add_slice(&idr, 5, 3, 0);
	unit = put(writer, &idr);
	assert_string_equal(order_of(&unit), "|Aa5");
	assert_true(unit.key);
	h264_writer_destroy(writer);
}

static void only_sets_that_the_idr_can_use_are_sent(void **state)
{
	struct bytes in = {.len = 0}, idr0 = {.len = 0}, idr1 = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, &edit_30, false), 0);
	add_sps(&in, 0, false);
	add_sps(&in, 1, true);
	add_pps(&in, 0, 0, 1);
	add_pps(&in, 1, 1, 1);
	add_pps(&in, 2, 0, 1);
	add_slice(&in, 5, 3, 0);
	unit = put(writer, &in);
	assert_string_equal(order_of(&unit), "|Aac5");
	add_slice(&idr1, 5, 3, 1);
	unit = put(writer, &idr1);
	assert_string_equal(order_of(&unit), "|Bb5");
	add_slice(&idr0, 5, 3, 2);
	unit = put(writer, &idr0);
	assert_string_equal(order_of(&unit), "|Aac5");
	h264_writer_destroy(writer);
}

static void changes_in_band_are_followed(void **state)
{
	struct bytes in = {.len = 0}, pps = {.len = 0}, sps = {.len = 0}, idr = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;
	struct nal nal;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, &edit_30, false), 0);
	add_sps(&in, 0, false);
	add_pps(&in, 0, 0, 1);
	add_pps(&in, 1, 0, 1);
	add_slice(&in, 5, 3, 0);
	unit = put(writer, &in);
	assert_string_equal(order_of(&unit), "|Aab5");
	/* A PPS within the GOP goes out at once, and before the next IDR. */
	add_pps(&pps, 0, 0, 9);
	add_slice(&pps, 1, 2, 0);
	unit = put(writer, &pps);
	assert_string_equal(order_of(&unit), "|a1");
	add_slice(&idr, 5, 3, 0);
	unit = put(writer, &idr);
	assert_string_equal(order_of(&unit), "|Aab5");
	nal = find(flat.data, flat.len, NAL_PPS);
	assert_memory_equal(nal.data, pps.data + 4, nal.len);
	/* Another SPS of the same id takes its PPSs with it, as in a decoder. */
	add_sps(&sps, 0, true);
	add_pps(&sps, 0, 0, 1);
	add_slice(&sps, 5, 3, 0);
	unit = put(writer, &sps);
	assert_string_equal(order_of(&unit), "|Aa5");
	h264_writer_destroy(writer);
}

static void a_header_that_comes_alone_is_kept(void **state)
{
	struct bytes header = {.len = 0}, idr = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, &edit_30, false), 0);
	add_sps(&header, 0, false);
	add_pps(&header, 0, 0, 1);
	assert_int_equal(h264_writer_unit(writer, header.data, header.len, 0, &unit), -EINVAL);
	add_slice(&idr, 5, 3, 0);
	unit = put(writer, &idr);
	assert_string_equal(order_of(&unit), "|Aa5");
	assert_true(unit.key);
	h264_writer_destroy(writer);
}

static void an_idr_without_parameter_sets_is_no_key_unit(void **state)
{
	struct bytes in = {.len = 0}, idr = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, &edit_30, false), 0);
	add_slice(&idr, 5, 3, 0);
	unit = put(writer, &idr);
	assert_string_equal(order_of(&unit), "|5");
	assert_false(unit.key);
	assert_true(unit.parameter_sets_missing);
	/* A PPS alone is not enough, and the SPS of another one neither. */
	add_pps(&in, 0, 3, 1);
	add_sps(&in, 0, false);
	add_slice(&in, 5, 3, 0);
	unit = put(writer, &in);
	assert_true(unit.parameter_sets_missing);
	h264_writer_destroy(writer);
}

static void filler_and_ends_are_left_out(void **state)
{
	struct bytes in = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, &edit_30, false), 0);
	add(&in, "\x09\x10", 2);
	add_slice(&in, 1, 2, 0);
	add(&in, "\x0c\xff\xff\xff\x80", 5);
	add_slice(&in, 1, 2, 0);
	add(&in, "\x0c\xff\xff\xff\x80", 5);
	add(&in, "\x0a", 1);
	add(&in, "\x0b", 1);
	unit = put(writer, &in);
	assert_string_equal(order_of(&unit), "|11");
	h264_writer_destroy(writer);
}

static void a_unit_is_droppable_if_all_its_slices_are(void **state)
{
	struct bytes none = {.len = 0}, one = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, &edit_30, false), 0);
	add_slice(&none, 1, 0, 0);
	add_slice(&none, 1, 0, 0);
	unit = put(writer, &none);
	assert_true(unit.droppable);
	add_slice(&one, 1, 0, 0);
	add_slice(&one, 1, 1, 0);
	unit = put(writer, &one);
	assert_false(unit.droppable);
	one.len = 0;
	add_slice(&one, 1, 1, 0);
	add_slice(&one, 1, 0, 0);
	unit = put(writer, &one);
	assert_false(unit.droppable);
	h264_writer_destroy(writer);
}

static uint64_t be64(const uint8_t *p)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | p[i];
	return value;
}

static void sei_comes_back_with_every_value(void **state)
{
	/* Values full of zeros, which must be escaped, and full of the bytes that follow them. */
	static const int64_t times[] = {
		0, 1, 3, 256, 0x000001000003, 0x0300000200000100, 1234567890123};
	struct h264_writer *writer;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, &edit_30, true), 0);
	for (unsigned i = 0; i < 300; i++) {
		int64_t time = times[i % 7], skew = -1;
		struct bytes in = {.len = 0};
		struct h264_unit unit;
		struct nal sei;
		uint8_t rbsp[128];
		size_t n;

		if (i == 0) {
			add_sps(&in, 0, false);
			add_pps(&in, 0, 0, 1);
		}
		add(&in, "\x06\x01\x01\xaa\x80", 5); /* the encoder's own comes first */
		add_slice(&in, i ? 1 : 5, 2, 0);
		assert_int_equal(h264_writer_unit(writer, in.data, in.len, time, &unit), 0);
		assert_string_equal(order_of(&unit), i ? "|**1" : "|Aa**5");
		/* The second one. */
		sei = find(flat.data, flat.len, NAL_SEI);
		n = (size_t)(sei.data + sei.len - flat.data);
		sei = find(flat.data + n, flat.len - n, NAL_SEI);
		n = nal_unescape(sei.data + 1, sei.len - 1, rbsp, sizeof(rbsp));
		assert_int_equal(n, 2 + CAMCAST_SEI_PAYLOAD_LEN + 1);
		assert_memory_equal(rbsp, "\x05\x28" CAMCAST_SEI_UUID, 2 + CAMCAST_SEI_UUID_LEN);
		assert_int_equal(be64(rbsp + 18), i);
		assert_int_equal(be64(rbsp + 26), time);
		/* UTC runs beside it. */
		skew = (int64_t)be64(rbsp + 34) - time;
		assert_true(skew > 1600000000 * (int64_t)1000000);
		assert_int_equal(rbsp[42], 0x80);
		/* No start code inside. */
		for (size_t j = 0; j + 2 < sei.len; j++)
			assert_false(sei.data[j] == 0 && sei.data[j + 1] == 0 &&
				     sei.data[j + 2] < 3);
	}
	h264_writer_destroy(writer);
}

static void an_orientation_stands_in_each_unit(void **state)
{
	const struct orientation left = {true, false, true};
	struct orientation found;
	struct h264_writer *writer;

	(void)state;
	for (unsigned sei = 0; sei < 2; sei++) {
		assert_int_equal(h264_writer_create(&writer, &edit_30, sei), 0);
		h264_writer_set_orientation(writer, left);
		for (unsigned i = 0; i < 6; i++) {
			const bool idr = i % 3 == 0;
			struct bytes in = {.len = 0};
			struct sei_capture capture;
			struct h264_unit unit;

			if (i == 0) {
				add_sps(&in, 0, false);
				add_pps(&in, 0, 0, 1);
			}
			/* The encoder's own comes first, and ours in front of a prefix too. */
			add(&in, "\x06\x2f\x03\x20\0\x09\x80", 7);
			add(&in, "\x6e\x40\x80\x07", 4);
			add_slice(&in, idr ? 5 : 1, 2, 0);
			unit = put(writer, &in);
			assert_string_equal(order_of(&unit), sei   ? idr ? "|Aa***?5" : "|***?1"
							     : idr ? "|Aa**?5"
								   : "|**?1");
			assert_true(sei_find_orientation(flat.data, flat.len, &found));
			assert_true(orientation_is_same(found, left));
			assert_int_equal(sei_find_capture(flat.data, flat.len, &capture), sei);
		}
		h264_writer_destroy(writer);
	}
}

static void units_cost_no_allocation_after_the_first(void **state)
{
	struct bytes idr = {.len = 0}, many = {.len = 0};
	struct h264_writer *writer;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, &edit_30, true), 0);
	add_sps(&idr, 0, false);
	add_pps(&idr, 0, 0, 1);
	add_slice(&idr, 5, 3, 0);
	for (int i = 0; i < 60; i++) {
		add_slice(&many, 1, 2, 0);
		add(&many, "\x0c\xff\x80", 3);
	}
	for (int round = 0; round < 50; round++) {
		struct h264_unit unit;

		if (round == 2)
			allocations = 0;
		assert_int_equal(h264_writer_unit(writer, idr.data, idr.len, round, &unit), 0);
		assert_int_equal(h264_writer_unit(writer, many.data, many.len, round, &unit), 0);
		assert_int_equal(unit.iovcnt, 62);
	}
	assert_int_equal(allocations, 0);
	h264_writer_destroy(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameter_sets_come_back_before_every_idr),
		cmocka_unit_test(only_sets_that_the_idr_can_use_are_sent),
		cmocka_unit_test(changes_in_band_are_followed),
		cmocka_unit_test(a_header_that_comes_alone_is_kept),
		cmocka_unit_test(an_idr_without_parameter_sets_is_no_key_unit),
		cmocka_unit_test(filler_and_ends_are_left_out),
		cmocka_unit_test(a_unit_is_droppable_if_all_its_slices_are),
		cmocka_unit_test(sei_comes_back_with_every_value),
		cmocka_unit_test(an_orientation_stands_in_each_unit),
		cmocka_unit_test(units_cost_no_allocation_after_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
