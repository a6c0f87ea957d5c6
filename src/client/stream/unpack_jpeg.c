/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/stream/unpack_jpeg.h"

#include <string.h>

#include "base/bytes.h"
#include "media/jpeg.h"

#define MAIN_HEAD 8 /* clause 3.1 */
#define RESTART_HEAD 4
#define TABLES_HEAD 4
#define TABLES_LEN (2 * JPEG_QUANTIZATION_LEN)

/* Appendix A, which is T.81 tables K.1 and K.2 in zigzag order. */
static const uint8_t standard[TABLES_LEN] = {
	16,  11,  12,  14, 12,	10,  16, 14,  13, 14, 18, 17, 16,  19,	24,  40, 26, 24,  22,
	22,  24,  49,  35, 37,	29,  40, 58,  51, 61, 60, 57, 51,  56,	55,  64, 72, 92,  78,
	64,  68,  87,  69, 55,	56,  80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113, 121,
	112, 100, 120, 92, 101, 103, 99, 17,  18, 18, 24, 21, 24,  47,	26,  26, 47, 99,  66,
	56,  66,  99,  99, 99,	99,  99, 99,  99, 99, 99, 99, 99,  99,	99,  99, 99, 99,  99,
	99,  99,  99,  99, 99,	99,  99, 99,  99, 99, 99, 99, 99,  99,	99,  99, 99, 99,  99,
	99,  99,  99,  99, 99,	99,  99, 99,  99, 99, 99, 99, 99,  99};

struct writer {
	uint8_t *at;
};

static void put(struct writer *writer, const uint8_t *data, size_t len)
{
	memcpy(writer->at, data, len);
	writer->at += len;
}

static void put_segment(struct writer *writer, uint8_t marker, size_t len)
{
	const uint8_t head[] = {0xff, marker, (uint8_t)((len + 2) >> 8), (uint8_t)(len + 2)};

	put(writer, head, sizeof head);
}

/* Appendix A, MakeTables(). */
static void make_tables(uint8_t tables[TABLES_LEN], unsigned q)
{
	const unsigned scale = q < 50 ? 5000 / q : 200 - q * 2;

	for (size_t i = 0; i < TABLES_LEN; i++) {
		unsigned value = (standard[i] * scale + 50) / 100;

		tables[i] = (uint8_t)(value < 1 ? 1 : value > 255 ? 255 : value);
	}
}

/* The tables of a picture, from what stands behind the other heads. *used: bytes of it. */
static bool read_tables(struct unpack_jpeg *jpeg, unsigned q, const uint8_t *data, size_t len,
			uint8_t tables[TABLES_LEN], size_t *used)
{
	size_t n;

	*used = 0;
	if (q >= 1 && q <= 99) {
		make_tables(tables, q);
		return true;
	}
	if (q < 128 || len < TABLES_HEAD)
		return false;
	n = bytes_get16(data + 2);
	*used = TABLES_HEAD + n;
	if (n == 0 && q < 255 && jpeg->known[q - 128]) {
		memcpy(tables, jpeg->tables[q - 128], TABLES_LEN);
		return true;
	}
	/* A bit says that a table has 16 bits, which baseline does not know. */
	if (n != TABLES_LEN || len < *used || data[1] != 0)
		return false;
	memcpy(tables, data + TABLES_HEAD, TABLES_LEN);
	memcpy(jpeg->tables[q - 128], tables, TABLES_LEN);
	jpeg->known[q - 128] = true;
	return true;
}

/* Appendix B. Returns the bytes. */
static size_t make_head(uint8_t *head, const uint8_t *main, const uint8_t tables[TABLES_LEN],
			unsigned interval)
{
	const unsigned width = main[6] * 8u, height = main[7] * 8u;
	const uint8_t soi[] = {0xff, 0xd8};
	const uint8_t frame[] = {8,
				 (uint8_t)(height >> 8),
				 (uint8_t)height,
				 (uint8_t)(width >> 8),
				 (uint8_t)width,
				 3,
				 1,
				 main[4] & 1 ? 0x22 : 0x21, /* 4:2:0, 4:2:2 */
				 0,
				 2,
				 0x11,
				 1,
				 3,
				 0x11,
				 1};
	const uint8_t scan[] = {3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0};
	const uint8_t restarts[] = {(uint8_t)(interval >> 8), (uint8_t)interval};
	struct writer writer = {head};

	put(&writer, soi, sizeof soi);
	for (uint8_t i = 0; i < 2; i++) {
		put_segment(&writer, 0xdb, 1 + JPEG_QUANTIZATION_LEN);
		put(&writer, &i, 1);
		put(&writer, tables + i * JPEG_QUANTIZATION_LEN, JPEG_QUANTIZATION_LEN);
	}
	if (interval > 0) {
		put_segment(&writer, 0xdd, sizeof restarts);
		put(&writer, restarts, sizeof restarts);
	}
	put_segment(&writer, 0xc0, sizeof frame);
	put(&writer, frame, sizeof frame);
	put(&writer, jpeg_standard_tables, JPEG_TABLES_LEN);
	put_segment(&writer, 0xda, sizeof scan);
	put(&writer, scan, sizeof scan);
	return (size_t)(writer.at - head);
}

bool unpack_jpeg_read(struct unpack_jpeg *jpeg, const uint8_t *data, size_t len,
		      uint8_t head[UNPACK_JPEG_HEAD_MAX], size_t *head_len, const uint8_t **scan,
		      size_t *scan_len)
{
	uint8_t tables[TABLES_LEN];
	size_t offset, at = MAIN_HEAD, used;
	unsigned interval = 0;

	*head_len = 0;
	if (len < MAIN_HEAD || (data[4] & 0x40 && len < MAIN_HEAD + RESTART_HEAD))
		return false;
	offset = (size_t)data[1] << 16 | bytes_get16(data + 2);
	/* Types 0 and 1 are defined, and 64 more than each: with restart markers. */
	if ((data[4] & ~0x41u) || data[6] == 0 || data[7] == 0)
		return false;
	if (data[4] & 0x40) {
		interval = bytes_get16(data + MAIN_HEAD);
		at += RESTART_HEAD;
	}
	if (offset == 0) {
		if (!read_tables(jpeg, data[5], data + at, len - at, tables, &used))
			return false;
		at += used;
		*head_len = make_head(head, data, tables, interval);
		jpeg->scan_len = 0;
	}
	if (offset != jpeg->scan_len)
		return false;
	*scan = data + at;
	*scan_len = len - at;
	jpeg->scan_len += *scan_len;
	return true;
}
