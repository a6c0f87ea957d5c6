/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a live stream of MP4 is cut, and what passes as it is. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <libavutil/error.h>
#include <libavutil/intreadwrite.h>

#include "capture/source/boxes.h"

#define SIZE_MAX_TEST (4 << 20)

struct stream {
	uint8_t *data;
	size_t len, pos;
	int most; /* bytes at once */
};

static int read_stream(void *user, uint8_t *buffer, int size)
{
	struct stream *stream = user;
	size_t n = stream->len - stream->pos;

	if (n > (size_t)size)
		n = (size_t)size;
	if (n > (size_t)stream->most)
		n = (size_t)stream->most;
	memcpy(buffer, stream->data + stream->pos, n);
	stream->pos += n;
	return n > 0 ? (int)n : AVERROR_EOF;
}

/* Appends a box whose header states `size`, with a body of len bytes. */
static void add_sized(struct stream *stream, const char *type, uint32_t size, size_t len)
{
	assert_true(stream->len + 8 + len <= SIZE_MAX_TEST);
	AV_WB32(stream->data + stream->len, size);
	memcpy(stream->data + stream->len + 4, type, 4);
	memset(stream->data + stream->len + 8, (int)(stream->len % 251), len);
	stream->len += 8 + len;
}

static void add(struct stream *stream, const char *type, size_t len)
{
	add_sized(stream, type, (uint32_t)(8 + len), len);
}

static void add_large(struct stream *stream, const char *type, size_t len)
{
	const size_t at = stream->len;

	add_sized(stream, type, 1, 8 + len);
	AV_WB64(stream->data + at + 8, 16 + len);
}

static void add_fragments(struct stream *stream, int n)
{
	for (int i = 0; i < n; i++) {
		add(stream, "moof", 24);
		add(stream, "mdat", (size_t)(i % 50));
	}
}

/* Reads to the end for one demuxer, which is `len` bytes at `data`. */
static void expect(struct boxes *boxes, const uint8_t *data, size_t len)
{
	uint8_t buffer[1000];
	size_t pos = 0;
	int n;

	while ((n = boxes_read(boxes, buffer, sizeof buffer)) > 0) {
		assert_true(pos + (size_t)n <= len);
		assert_memory_equal(buffer, data + pos, (size_t)n);
		pos += (size_t)n;
	}
	assert_int_equal(n, AVERROR_EOF);
	assert_int_equal(pos, len);
}

static void set_up(struct stream *stream, struct boxes *boxes, int most)
{
	*stream = (struct stream){.data = malloc(SIZE_MAX_TEST), .most = most};
	assert_non_null(stream->data);
	*boxes = (struct boxes){.source = read_stream, .user = stream};
}

static void tear_down(struct stream *stream, struct boxes *boxes)
{
	boxes_finish(boxes);
	free(stream->data);
}

static void expect_whole(struct stream *stream, struct boxes *boxes)
{
	int64_t position;

	expect(boxes, stream->data, stream->len);
	assert_false(boxes_resume(boxes, &position));
	tear_down(stream, boxes);
}

static void every_demuxer_gets_the_description_and_its_own_fragments(void **state)
{
	static const int most[] = {1, 7, 8, 9, 4096};
	uint8_t head[8 + 20 + 16 + 300], *part;
	size_t at, first_len;
	struct stream stream;
	struct boxes boxes;
	int64_t position;

	(void)state;
	for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
		set_up(&stream, &boxes, most[i]);
		add(&stream, "ftyp", 20);
		memcpy(head, stream.data, 28);
		add(&stream, "free", 100);
		at = stream.len;
		add_large(&stream, "moov", 300);
		memcpy(head + 28, stream.data + at, stream.len - at);
		add_fragments(&stream, BOXES_INDEX_MAX);
		/* What stands in front of a fragment is nothing that its demuxer needs. */
		add(&stream, "styp", 10);
		first_len = stream.len;
		add_fragments(&stream, 10);
		expect(&boxes, stream.data, first_len);
		assert_int_equal(boxes_read(&boxes, head, 1), AVERROR_EOF);
		assert_true(boxes_resume(&boxes, &position));
		assert_int_equal(position, first_len - sizeof head);
		part = malloc(sizeof head + stream.len - first_len);
		assert_non_null(part);
		memcpy(part, head, sizeof head);
		memcpy(part + sizeof head, stream.data + first_len, stream.len - first_len);
		expect(&boxes, part, sizeof head + stream.len - first_len);
		assert_false(boxes_resume(&boxes, &position));
		free(part);
		tear_down(&stream, &boxes);
	}
}

static void pictures_count_as_well(void **state)
{
	struct stream stream;
	struct boxes boxes;
	size_t second;
	int64_t position;

	(void)state;
	set_up(&stream, &boxes, 4096);
	add(&stream, "ftyp", 8);
	add(&stream, "moov", 8);
	add_fragments(&stream, 1);
	second = stream.len;
	add_fragments(&stream, 1);
	for (int i = 0; i < BOXES_INDEX_MAX; i++)
		boxes_count_picture(&boxes);
	expect(&boxes, stream.data, second);
	assert_true(boxes_resume(&boxes, &position));
	assert_int_equal(position, second - 32);
	tear_down(&stream, &boxes);
}

static void what_is_no_chain_of_fragments_passes_whole(void **state)
{
	struct stream stream;
	struct boxes boxes;

	(void)state;
	/* Pictures of the description itself. */
	set_up(&stream, &boxes, 4096);
	add(&stream, "ftyp", 8);
	add(&stream, "moov", 8);
	add(&stream, "mdat", 50);
	add_fragments(&stream, BOXES_INDEX_MAX + 10);
	expect_whole(&stream, &boxes);
	/* No description. */
	set_up(&stream, &boxes, 4096);
	add(&stream, "styp", 8);
	add_fragments(&stream, BOXES_INDEX_MAX + 10);
	expect_whole(&stream, &boxes);
	/* Two large ones. */
	set_up(&stream, &boxes, 4096);
	add(&stream, "ftyp", 8);
	add(&stream, "moov", BOXES_HEAD_MAX / 2);
	add(&stream, "moov", BOXES_HEAD_MAX / 2);
	add_fragments(&stream, BOXES_INDEX_MAX + 10);
	expect_whole(&stream, &boxes);
	/* A box up to the end, one that is too small, and one of which nothing is there. */
	for (uint32_t size = 0; size < 8; size++) {
		set_up(&stream, &boxes, 4096);
		add(&stream, "ftyp", 8);
		add(&stream, "moov", 8);
		add_fragments(&stream, 3);
		add_sized(&stream, "moof", size, 0);
		add_fragments(&stream, BOXES_INDEX_MAX + 10);
		expect_whole(&stream, &boxes);
	}
	set_up(&stream, &boxes, 4096);
	add(&stream, "ftyp", 8);
	add_sized(&stream, "moov", UINT32_MAX, 0);
	expect_whole(&stream, &boxes);
}

static void a_torn_end_passes(void **state)
{
	struct stream stream;
	struct boxes boxes;

	(void)state;
	for (size_t torn = 1; torn < 8; torn++) {
		set_up(&stream, &boxes, 3);
		add(&stream, "ftyp", 8);
		add(&stream, "moov", 8);
		add_fragments(&stream, 2);
		add(&stream, "moof", 0);
		stream.len -= torn;
		expect_whole(&stream, &boxes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_demuxer_gets_the_description_and_its_own_fragments),
		cmocka_unit_test(pictures_count_as_well),
		cmocka_unit_test(what_is_no_chain_of_fragments_passes_whole),
		cmocka_unit_test(a_torn_end_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
