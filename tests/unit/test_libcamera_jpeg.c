/* SPDX-License-Identifier: BSD-2-Clause */
/* The libcamera source over a camera of JPEGs that the rig plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jpeglib.h>

#include "libcamera_rig.h"
#include "media/jpeg.h"

/* A grey picture, lighter from line 24 on, with standard Huffman tables. */
static size_t make_jpeg(uint8_t *out)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	uint8_t row[WIDTH * 3], *bytes = NULL;
	JSAMPROW rows[] = {row};
	unsigned long len = 0;

	memset(row, 100, sizeof(row));
	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &bytes, &len);
	jpeg.image_width = WIDTH;
	jpeg.image_height = HEIGHT;
	jpeg.input_components = 3;
	jpeg.in_color_space = JCS_RGB;
	jpeg_set_defaults(&jpeg);
	jpeg_start_compress(&jpeg, TRUE);
	for (int i = 0; i < HEIGHT; i++) {
		if (i == 24)
			memset(row, 200, sizeof(row));
		jpeg_write_scanlines(&jpeg, rows, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	memcpy(out, bytes, len);
	free(bytes);
	return len;
}

/* Takes out the DHT segments. */
static size_t strip_tables(const uint8_t *in, size_t len, uint8_t *out)
{
	size_t pos = 2, n = 2;

	memcpy(out, in, 2);
	while (in[pos + 1] != 0xda) {
		const size_t segment = 2 + ((size_t)in[pos + 2] << 8 | in[pos + 3]);

		if (in[pos + 1] != 0xc4) {
			memcpy(out + n, in + pos, segment);
			n += segment;
		}
		pos += segment;
	}
	memcpy(out + n, in + pos, len - pos);
	return n + len - pos;
}

static uint8_t whole[SIZE], bare[SIZE];
static size_t whole_len, bare_len;

static void fill_buffers(const uint8_t *bytes, size_t len)
{
	for (unsigned i = 0; i < BUFFERS; i++)
		assert_int_equal(pwrite(fake.fds[i], bytes, len, 0), len);
}

static void open_jpeg_camera(bool want_coded)
{
	whole_len = make_jpeg(whole);
	bare_len = strip_tables(whole, whole_len, bare);
	assert_true(bare_len + 400 < whole_len);
	fake.fourcc = CAMERA_FOURCC_MJPEG;
	assert_int_equal(open_source("memfd", want_coded, NULL, 0), 0);
	assert_int_equal(source_info(source)->coded, want_coded);
	assert_int_equal(source_start(source), 0);
}

static void jpegs_are_passed_on_when_somebody_copies_them(void **state)
{
	(void)state;
	open_jpeg_camera(true);
	fill_buffers(whole, whole_len);
	complete(CAMERA_FRAME_OK, (uint32_t)whole_len);
	wait_for(seen, seen.packets == 1);
	assert_int_equal(seen.packet_len, whole_len);
	assert_memory_equal(seen.packet, whole, whole_len);
	wait_for(fake, fake.requeues == 1);
	finish();
}

static void jpegs_are_decoded_as_well_while_somebody_encodes_them(void **state)
{
	const struct frame_format *format;

	(void)state;
	seen.keep = 1;
	open_jpeg_camera(true);
	assert_int_equal(source_info(source)->decoded.width, WIDTH);
	fill_buffers(bare, bare_len);
	source_want_frames(source, true);
	complete(CAMERA_FRAME_OK, (uint32_t)bare_len);
	wait_for(seen, seen.packets == 1 && seen.n_kept == 1);
	wait_for(fake, fake.requeues == 1);
	format = seen.kept[0]->format;
	assert_int_equal(format->fourcc, FRAME_I420);
	assert_int_equal(format->height, HEIGHT);
	assert_int_equal(seen.kept[0]->capture_us, 1020000);
	frame_unref(seen.kept[0]);

	source_want_frames(source, false);
	complete(CAMERA_FRAME_OK, (uint32_t)bare_len);
	wait_for(seen, seen.packets == 2);
	finish();
	assert_int_equal(seen.frames, 1);
}

static void a_jpeg_without_huffman_tables_gets_the_standard_ones(void **state)
{
	struct jpeg_header header;

	(void)state;
	open_jpeg_camera(true);
	fill_buffers(bare, bare_len);
	complete(CAMERA_FRAME_OK, (uint32_t)bare_len);
	wait_for(seen, seen.packets == 1);
	assert_int_equal(seen.packet_len, bare_len + JPEG_TABLES_LEN);
	assert_int_equal(jpeg_header_read(seen.packet, seen.packet_len, &header), 0);
	assert_true(header.has_tables);
	/* the same tables as libjpeg's, which wrote them as four segments */
	assert_int_equal(strip_tables(seen.packet, seen.packet_len, whole), bare_len);
	assert_memory_equal(whole, bare, bare_len);
	finish();
}

static void a_jpeg_that_was_cut_is_left_out(void **state)
{
	(void)state;
	open_jpeg_camera(true);
	fill_buffers(whole, 64);
	for (uint32_t len = 0; len < 64; len += 21)
		complete(CAMERA_FRAME_OK, len);
	complete(CAMERA_FRAME_OK, SIZE * 2); /* more than the buffer holds */
	wait_for(fake, fake.requeues == 5);
	finish();
	assert_int_equal(seen.packets, 0);
}

static void jpegs_that_nobody_copies_are_decoded(void **state)
{
	const struct frame_format *format;
	uint8_t *map;

	(void)state;
	seen.keep = 1;
	open_jpeg_camera(false);
	format = &source_info(source)->format;
	assert_int_equal(format->fourcc, FRAME_I420);
	assert_true(format->full_range);
	fill_buffers(bare, bare_len);
	complete(CAMERA_FRAME_OK, (uint32_t)bare_len);
	wait_for(seen, seen.n_kept == 1);
	wait_for(fake, fake.requeues == 1); /* the camera's buffer does not wait for encoders */
	assert_int_equal(seen.kept[0]->capture_us, 1020000);
	assert_int_equal(slot_map(seen.kept[0]->ring, seen.kept[0]->slot, false, &map), 0);
	assert_in_range(map[format->planes[0].stride * 20 + 30], 98, 102);
	frame_unref(seen.kept[0]);
	finish();
}

static void jpegs_of_a_camera_that_cannot_flip_are_flipped_here(void **state)
{
	const struct frame_format *format;
	uint8_t *map;

	(void)state;
	seen.keep = 1;
	vflip = true;
	open_jpeg_camera(false);
	format = &source_info(source)->format;
	fill_buffers(whole, whole_len);
	complete(CAMERA_FRAME_OK, (uint32_t)whole_len);
	wait_for(seen, seen.n_kept == 1);
	assert_int_equal(slot_map(seen.kept[0]->ring, seen.kept[0]->slot, false, &map), 0);
	assert_in_range(map[format->planes[0].stride * 4 + 30], 198, 202);
	assert_in_range(map[format->planes[0].stride * (HEIGHT - 5) + 30], 98, 102);
	frame_unref(seen.kept[0]);
	finish();
}

static void what_is_too_much_for_usb_as_packed_pixels_is_asked_for_as_jpeg(void **state)
{
	static const uint32_t jpeg = CAMERA_FOURCC_MJPEG;

	(void)state;
	fake.fourcc = FRAME_YUYV;
	fake.also = &jpeg;
	assert_int_equal(open_source("memfd", false, NULL, 0), 0);
	assert_int_equal(source_info(source)->format.fourcc, FRAME_YUYV);
	source_close(source);
	framerate = 5000; /* 31 MB/s */
	assert_int_equal(open_source("memfd", false, NULL, 0), 0);
	assert_int_equal(source_info(source)->format.fourcc, FRAME_I420);
	assert_non_null(strstr(source_info(source)->note, "decoded from mjpeg"));
	source_close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(jpegs_are_passed_on_when_somebody_copies_them, reset),
		cmocka_unit_test_setup(jpegs_are_decoded_as_well_while_somebody_encodes_them,
				       reset),
		cmocka_unit_test_setup(a_jpeg_without_huffman_tables_gets_the_standard_ones, reset),
		cmocka_unit_test_setup(a_jpeg_that_was_cut_is_left_out, reset),
		cmocka_unit_test_setup(jpegs_that_nobody_copies_are_decoded, reset),
		cmocka_unit_test_setup(jpegs_of_a_camera_that_cannot_flip_are_flipped_here, reset),
		cmocka_unit_test_setup(
			what_is_too_much_for_usb_as_packed_pixels_is_asked_for_as_jpeg, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
