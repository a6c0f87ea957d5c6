/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "media/jpeg.h"

#define SOI "\xff\xd8"
#define APP0 "\xff\xe0\0\x08JFIF\0\1"
#define SOF0 "\xff\xc0\0\x0b\x08\x01\x68\x02\x80\1\1\x11\0" /* 640x360 */
#define SOF2 "\xff\xc2\0\x0b\x08\x04\x38\x07\x80\1\1\x11\0" /* progressive, 1920x1080 */
/* APP1 with a TIFF file: one entry in each order of bytes, then one of another type. */
#define EXIF_MM(value)                                                                             \
	"\xff\xe1\0\x22"                                                                           \
	"Exif\0\0"                                                                                 \
	"MM\0*\0\0\0\x08"                                                                          \
	"\0\1"                                                                                     \
	"\1\x12\0\3\0\0\0\1\0" value "\0\0"                                                        \
	"\0\0\0\0"
#define EXIF_II(value)                                                                             \
	"\xff\xe1\0\x22"                                                                           \
	"Exif\0\0"                                                                                 \
	"II*\0\x08\0\0\0"                                                                          \
	"\1\0"                                                                                     \
	"\x12\1\3\0\1\0\0\0" value "\0\0\0"                                                        \
	"\0\0\0\0"
#define EXIF_FAR                                                                                   \
	"\xff\xe1\0\x22"                                                                           \
	"Exif\0\0"                                                                                 \
	"MM\0*\xff\xff\xff\xfe"                                                                    \
	"\xff\xff"                                                                                 \
	"\1\x12\0\3\0\0\0\1\0\6\0\0"                                                               \
	"\0\0\0\0"
#define EXIF_LONG                                                                                  \
	"\xff\xe1\0\x22"                                                                           \
	"Exif\0\0"                                                                                 \
	"MM\0*\0\0\0\x08"                                                                          \
	"\xff\xff"                                                                                 \
	"\1\x12\0\4\0\0\0\1\0\6\0\0"                                                               \
	"\0\0\0\0"
#define DHT "\xff\xc4\0\x04\1\2"
#define SOS "\xff\xda\0\x08\1\1\0\0\x3f\0"
#define EOI "\xff\xd9"

struct picture {
	const char *data;
	size_t len;
};
#define PICTURE(s)                                                                                 \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}

static int read_header(const struct picture *picture, struct jpeg_header *header)
{
	return jpeg_header_read((const uint8_t *)picture->data, picture->len, header);
}

static void size_tables_and_scan_are_read(void **state)
{
	static const struct {
		struct picture picture;
		struct jpeg_header header;
	} cases[] = {
		{PICTURE(SOI APP0 DHT SOF0 SOS "xx" EOI),
		 {.width = 640, .height = 360, .has_tables = true, .scan = 31}},
		{PICTURE(SOI SOF2 DHT SOS "xx" EOI),
		 {.width = 1920, .height = 1080, .has_tables = true, .scan = 21}},
		{PICTURE(SOI SOF0 SOS "xx" EOI),
		 {.width = 640, .height = 360, .has_tables = false, .scan = 15}},
		{PICTURE(SOI "\xff\xff" SOF0 "\xff" SOS),
		 {.width = 640, .height = 360, .has_tables = false, .scan = 18}}, /* fill bytes */
		{PICTURE(SOI SOS), {.width = 0, .height = 0, .has_tables = false, .scan = 2}},
		{PICTURE(SOI "\xff\xc0\0\4xx" SOS),
		 {.width = 0,
		  .height = 0,
		  .has_tables = false,
		  .scan = 8}}, /* a frame header cut short */
		/* what a thumbnail's frame header says is inside of a segment */
		{PICTURE(SOI "\xff\xe1\0\x11" SOF2 "zz" SOF0 SOS),
		 {.width = 640, .height = 360, .has_tables = false, .scan = 34}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct jpeg_header header;

		assert_int_equal(read_header(&cases[i].picture, &header), 0);
		assert_int_equal(header.width, cases[i].header.width);
		assert_int_equal(header.height, cases[i].header.height);
		assert_int_equal(header.has_tables, cases[i].header.has_tables);
		assert_int_equal(header.scan, cases[i].header.scan);
	}
}

static void what_has_no_scan_is_no_jpeg(void **state)
{
	static const struct picture pictures[] = {
		PICTURE(""),
		PICTURE("\xff"),
		PICTURE(SOI),
		PICTURE("\0\0\0\1" SOS),
		PICTURE(SOI SOF0 EOI SOS),
		PICTURE(SOI SOF0 "xx" SOS),
		PICTURE(SOI "\xff\xe1\xff\xff" SOF0 SOS), /* a segment longer than all */
	};
	struct jpeg_header header;

	(void)state;
	for (size_t i = 0; i < sizeof(pictures) / sizeof(*pictures); i++)
		assert_int_equal(read_header(&pictures[i], &header), -EINVAL);
}

static void cut_anywhere_nothing_beyond_is_read(void **state)
{
	static const struct picture whole = PICTURE(SOI APP0 DHT SOF0 SOS);
	struct jpeg_header header;

	(void)state;
	for (size_t len = 0; len < whole.len; len++) {
		uint8_t *copy = malloc(len + 1);
		const int expected = len < 31 + 4 ? -EINVAL : 0;

		memcpy(copy, whole.data, len);
		assert_int_equal(jpeg_header_read(copy, len, &header), expected);
		free(copy);
	}
}

static void the_standard_tables_are_put_in_front_of_the_scan(void **state)
{
	static const struct picture bare = PICTURE(SOI SOF0 SOS "xx" EOI);
	uint8_t out[sizeof(SOI SOF0 SOS "xx" EOI) + JPEG_TABLES_LEN];
	struct jpeg_header header;
	size_t len;

	(void)state;
	assert_int_equal(read_header(&bare, &header), 0);
	len = jpeg_insert_tables((const uint8_t *)bare.data, bare.len, header.scan, out);
	assert_int_equal(len, bare.len + JPEG_TABLES_LEN);
	assert_memory_equal(out, SOI SOF0 "\xff\xc4\x01\xa2", 19);
	assert_memory_equal(out + 15 + JPEG_TABLES_LEN, SOS "xx" EOI, 14);
	assert_int_equal(jpeg_header_read(out, len, &header), 0);
	assert_true(header.has_tables);
	assert_int_equal(header.scan, 15 + JPEG_TABLES_LEN);
}

static void exif_states_the_orientation(void **state)
{
	static const struct {
		struct picture picture;
		const char *name;
	} cases[] = {
		{PICTURE(SOI APP0 SOF0 SOS), "upright"},
		{PICTURE(SOI EXIF_MM("\1") SOF0 SOS), "upright"},
		{PICTURE(SOI EXIF_MM("\2") SOF0 SOS), "mirrored left to right"},
		{PICTURE(SOI EXIF_II("\3") SOF0 SOS), "turned by 180 degrees"},
		{PICTURE(SOI EXIF_II("\4") SOF0 SOS), "mirrored top to bottom"},
		{PICTURE(SOI EXIF_II("\5") SOF0 SOS), "mirrored at its diagonal"},
		{PICTURE(SOI EXIF_MM("\6") SOF0 SOS), "turned by 90 degrees"},
		{PICTURE(SOI EXIF_II("\6") SOF0 SOS), "turned by 90 degrees"},
		{PICTURE(SOI EXIF_MM("\7") SOF0 SOS), "mirrored at its other diagonal"},
		{PICTURE(SOI EXIF_MM("\x08") SOF0 SOS), "turned by 270 degrees"},
		{PICTURE(SOI EXIF_MM("\x09") SOF0 SOS), "upright"},
		{PICTURE(SOI EXIF_FAR SOF0 SOS), "upright"},
		{PICTURE(SOI EXIF_LONG SOF0 SOS), "upright"},
	};
	struct jpeg_header header;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(read_header(&cases[i].picture, &header), 0);
		assert_string_equal(orientation_name(header.orientation), cases[i].name);
		assert_int_equal(header.height, 360);
	}
}

static void a_second_field_in_the_same_bytes_is_seen(void **state)
{
	static const struct picture one = PICTURE(SOI SOF0 SOS "x\xff\0\xd8" EOI "\0\0"),
				    two = PICTURE(SOI SOF0 SOS "x" EOI "\xff\xff" SOI SOF0 SOS);

	(void)state;
	assert_false(jpeg_is_followed((const uint8_t *)one.data, one.len, 15));
	assert_true(jpeg_is_followed((const uint8_t *)two.data, two.len, 15));
	for (size_t len = 0; len < two.len - sizeof(SOF0 SOS) + 1; len++)
		assert_false(jpeg_is_followed((const uint8_t *)two.data, len, 15));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(size_tables_and_scan_are_read),
		cmocka_unit_test(what_has_no_scan_is_no_jpeg),
		cmocka_unit_test(cut_anywhere_nothing_beyond_is_read),
		cmocka_unit_test(exif_states_the_orientation),
		cmocka_unit_test(a_second_field_in_the_same_bytes_is_seen),
		cmocka_unit_test(the_standard_tables_are_put_in_front_of_the_scan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
