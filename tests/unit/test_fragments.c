/* SPDX-License-Identifier: BSD-2-Clause */
/* What the worker's own muxer makes is read back, in pieces of any length; and what no muxer makes
 * is refused. */
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
#include "capture/publish/mux.h"
#include "push/fragments.h"

#define STREAM_MAX 8192
#define MOOF 100 /* bytes of one without a composition offset */

/* x264: High 3.0, 640x360, square samples. */
static uint8_t sps[] = {0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f,
			0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00,
			0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2d, 0x96};
static uint8_t pps[] = {0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0};
static uint8_t idr[] = {0x65, 4, 5}, slice[] = {0x41, 6};

struct stream {
	uint8_t data[STREAM_MAX];
	size_t len, preamble_len;
};

static void append(struct stream *stream, const void *data, size_t len)
{
	assert_true(stream->len + len <= sizeof stream->data);
	memcpy(stream->data + stream->len, data, len);
	stream->len += len;
}

/* A key picture, and one that is shown half a second after it is decoded. */
static void make_stream(struct stream *stream)
{
	const struct mux_options options = {.framing = CONFIG_FRAMING_MP4};
	const struct iovec sets[] = {{sps, sizeof sps}, {pps, sizeof pps}};
	const struct iovec key = {idr, sizeof idr}, other = {slice, sizeof slice};
	const struct mux_unit units[] = {
		{.sets = sets,
		 .n_sets = 2,
		 .nals = &key,
		 .n_nals = 1,
		 .key = true,
		 .dts_us = 2000000,
		 .pts_us = 2000000,
		 .duration_us = 40000},
		{.nals = &other,
		 .n_nals = 1,
		 .dts_us = 2040000,
		 .pts_us = 2540000,
		 .duration_us = 40000},
	};
	struct mux_framed framed = {0};
	struct mux *mux;

	stream->len = 0;
	assert_int_equal(mux_create(&mux, &options), 0);
	for (size_t i = 0; i < 2; i++) {
		memset(&framed, 0, sizeof framed);
		assert_int_equal(mux_frame(mux, &units[i], &framed), 0);
		if (i == 0) {
			append(stream, framed.preamble, framed.preamble_len);
			stream->preamble_len = stream->len;
		}
		for (int j = 0; j < framed.iovcnt; j++)
			append(stream, framed.iov[j].iov_base, framed.iov[j].iov_len);
	}
	mux_destroy(mux);
}

static void put(struct fragments *fragments, const uint8_t *data, size_t len)
{
	uint8_t *room;
	size_t size;

	assert_int_equal(fragments_room(fragments, &room, &size), 0);
	assert_true(size >= len);
	memcpy(room, data, len);
	fragments_add(fragments, len);
}

static void check_setup(const struct fragments_setup *setup)
{
	assert_int_equal(setup->width, 640);
	assert_int_equal(setup->height, 360);
	assert_int_equal(setup->avcc[0], 1);
	assert_memory_equal(setup->avcc + 8, sps, sizeof sps);
}

static void check_picture(const struct fragments_picture *picture, unsigned i)
{
	static const uint8_t second[] = {0, 0, 0, 2, 0x41, 6};

	assert_int_equal(picture->key, i == 0);
	assert_int_equal(picture->dts, i == 0 ? 180000 : 183600);
	assert_int_equal(picture->pts, i == 0 ? 180000 : 228600);
	assert_int_equal(picture->duration, 5400);
	if (i == 0)
		assert_int_equal(picture->len, 3 * 4 + sizeof sps + sizeof pps + sizeof idr);
	else
		assert_memory_equal(picture->data, second, sizeof second);
}

static void a_stream_is_read_in_pieces_of_any_length(void **state)
{
	struct stream stream;

	(void)state;
	make_stream(&stream);
	for (size_t piece = 1; piece <= stream.len; piece++) {
		struct fragments fragments = {0};
		struct fragments_picture picture;
		unsigned setups = 0, pictures = 0;

		for (size_t at = 0; at < stream.len; at += piece) {
			int event;

			put(&fragments, stream.data + at,
			    piece < stream.len - at ? piece : stream.len - at);
			while ((event = fragments_next(&fragments, &picture)) != FRAGMENTS_MORE) {
				assert_true(event > 0);
				if (event == FRAGMENTS_SETUP)
					setups++;
				else
					check_picture(&picture, pictures++);
			}
		}
		check_setup(&fragments.setup);
		assert_int_equal(setups, 1);
		assert_int_equal(pictures, 2);
		fragments_finish(&fragments);
	}
}

/* What the stream gives when the byte at `at` is another one. */
static int read_changed(const struct stream *stream, size_t at, uint8_t byte)
{
	struct stream changed = *stream;
	struct fragments fragments = {0};
	struct fragments_picture picture;
	int event;

	changed.data[at] = byte;
	put(&fragments, changed.data, changed.len);
	do
		event = fragments_next(&fragments, &picture);
	while (event > FRAGMENTS_MORE);
	fragments_finish(&fragments);
	return event;
}

static void what_no_muxer_makes_is_refused(void **state)
{
	struct stream stream;
	size_t moof;

	(void)state;
	make_stream(&stream);
	moof = stream.preamble_len;
	assert_int_equal(read_changed(&stream, 0, 0x10), -EBADMSG);	       /* ftyp of 256 MiB */
	assert_int_equal(read_changed(&stream, 3, 7), -EBADMSG);	       /* of seven bytes */
	assert_int_equal(read_changed(&stream, 4, 'F'), -EBADMSG);	       /* no known box */
	assert_int_equal(read_changed(&stream, moof + 28, 'T'), -EBADMSG);     /* no traf */
	assert_int_equal(read_changed(&stream, moof + 43, 0x28), -EBADMSG);    /* tfhd: no size */
	assert_int_equal(read_changed(&stream, moof + 60 + 8, 2), -EBADMSG);   /* tfdt: version 2 */
	assert_int_equal(read_changed(&stream, moof + 72, 0x40), -EBADMSG);    /* a time of 2^62 */
	assert_int_equal(read_changed(&stream, moof + MOOF - 5, 2), -EBADMSG); /* two samples */
	assert_int_equal(read_changed(&stream, moof + MOOF + 3, 9), -EBADMSG); /* mdat: one byte */
	assert_int_equal(read_changed(&stream, moof, 0x01), -EBADMSG);	       /* moof of 16 MiB */
}

static void pictures_need_a_setup_and_a_head(void **state)
{
	struct fragments fragments = {0};
	struct fragments_picture picture;
	struct stream stream;

	(void)state;
	make_stream(&stream);
	put(&fragments, stream.data + stream.preamble_len, stream.len - stream.preamble_len);
	assert_int_equal(fragments_next(&fragments, &picture), -EBADMSG);
	fragments_finish(&fragments);
	memset(&fragments, 0, sizeof fragments);
	put(&fragments, stream.data, stream.preamble_len);
	put(&fragments, stream.data + stream.preamble_len + MOOF,
	    stream.len - stream.preamble_len - MOOF);
	assert_int_equal(fragments_next(&fragments, &picture), FRAGMENTS_SETUP);
	assert_int_equal(fragments_next(&fragments, &picture), -EBADMSG);
	fragments_finish(&fragments);
}

static void memory_is_bounded_by_the_longest_unit(void **state)
{
	static const uint8_t longest[] = {0x01, 0x00, 0x00, 0x08, 'm', 'd', 'a', 't'};
	static const uint8_t longer[] = {0x01, 0x00, 0x00, 0x09, 'm', 'd', 'a', 't'};
	struct fragments fragments = {0};
	struct fragments_picture picture;
	uint8_t *room;
	size_t size;

	(void)state;
	put(&fragments, longest, sizeof longest);
	assert_int_equal(fragments_next(&fragments, &picture), FRAGMENTS_MORE);
	assert_int_equal(fragments_room(&fragments, &room, &size), 0);
	assert_true(fragments.size <= CAMCAST_UNIT_MAX + (128 << 10));
	fragments_finish(&fragments);
	memset(&fragments, 0, sizeof fragments);
	put(&fragments, longer, sizeof longer);
	assert_int_equal(fragments_next(&fragments, &picture), -EBADMSG);
	fragments_finish(&fragments);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_is_read_in_pieces_of_any_length),
		cmocka_unit_test(what_no_muxer_makes_is_refused),
		cmocka_unit_test(pictures_need_a_setup_and_a_head),
		cmocka_unit_test(memory_is_bounded_by_the_longest_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
