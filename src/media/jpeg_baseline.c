/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/jpeg_baseline.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "media/jpeg.h"

#define COMPONENTS 3
#define HUFFMAN_COUNTS 16

enum { /* markers, table B.1 */
       SOF0 = 0xc0,
       SOF15 = 0xcf,
       DHT = 0xc4,
       RST0 = 0xd0,
       RST7 = 0xd7,
       EOI = 0xd9,
       SOS = 0xda,
       DQT = 0xdb,
       DRI = 0xdd,
       FILL = 0xff,
};

struct component {
	uint8_t id, sampling, quantization;
};

struct reader {
	struct component components[COMPONENTS]; /* valid once there is a width */
	const uint8_t *quantization[4];		 /* by number; NULL: not seen */
	struct jpeg_baseline *out;
};

/* --- segments: their contents, of len bytes (clause B.2) --- */

static int read_quantization(struct reader *reader, const uint8_t *data, size_t len)
{
	while (len > 0) {
		if (len < 1 + JPEG_QUANTIZATION_LEN)
			return -EINVAL;
		if (data[0] > 3) /* 16 bits, or no number of a table */
			return -ENOTSUP;
		reader->quantization[data[0]] = data + 1;
		data += 1 + JPEG_QUANTIZATION_LEN;
		len -= 1 + JPEG_QUANTIZATION_LEN;
	}
	return 0;
}

/* The bytes of a table: its class and number, the counts, the values. 0: it does not lie within
 * len. */
static size_t huffman_len(const uint8_t *data, size_t len)
{
	size_t n = 1 + HUFFMAN_COUNTS;

	if (len < n)
		return 0;
	for (size_t i = 1; i <= HUFFMAN_COUNTS; i++)
		n += data[i];
	return n <= len ? n : 0;
}

static bool is_standard(const uint8_t *table, size_t table_len)
{
	const uint8_t *data = jpeg_standard_tables + 4;
	size_t len = JPEG_TABLES_LEN - 4;

	while (len > 0) {
		size_t n = huffman_len(data, len);

		if (data[0] == table[0])
			return n == table_len && memcmp(data, table, n) == 0;
		data += n;
		len -= n;
	}
	return false;
}

static int read_huffman(const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n = huffman_len(data, len);

		if (n == 0)
			return -EINVAL;
		if (!is_standard(data, n))
			return -ENOTSUP;
		data += n;
		len -= n;
	}
	return 0;
}

static int read_frame(struct reader *reader, const uint8_t *data, size_t len)
{
	if (len < 6 + 3 * COMPONENTS)
		return -EINVAL;
	if (data[0] != 8 || data[5] != COMPONENTS)
		return -ENOTSUP;
	reader->out->height = bytes_get16(data + 1);
	reader->out->width = bytes_get16(data + 3);
	for (size_t i = 0; i < COMPONENTS; i++) {
		const uint8_t *at = data + 6 + 3 * i;

		reader->components[i] = (struct component){at[0], at[1], at[2]};
	}
	/* The height may be stated behind the scan (DNL). */
	return reader->out->width > 0 && reader->out->height > 0 ? 0 : -ENOTSUP;
}

/* The scan has all components, and each one the tables that RFC 2435 means (clause 3.1.3, appendix
 * A). */
static int check_scan(const struct reader *reader, const uint8_t *data, size_t len)
{
	static const uint8_t tables[COMPONENTS] = {0x00, 0x11, 0x11};

	if (len < 1 + 2 * COMPONENTS + 3)
		return -EINVAL;
	if (reader->out->width == 0)
		return -EINVAL;
	if (data[0] != COMPONENTS)
		return -ENOTSUP;
	for (size_t i = 0; i < COMPONENTS; i++)
		if (data[1 + 2 * i] != reader->components[i].id || data[2 + 2 * i] != tables[i])
			return -ENOTSUP;
	return 0;
}

static int choose(struct reader *reader)
{
	const struct component *c = reader->components;

	if (c[1].sampling != 0x11 || c[2].sampling != 0x11 ||
	    (c[0].sampling != 0x21 && c[0].sampling != 0x22) ||
	    c[1].quantization != c[2].quantization || c[0].quantization > 3 ||
	    c[1].quantization > 3)
		return -ENOTSUP;
	reader->out->halved_height = c[0].sampling == 0x22;
	reader->out->luma = reader->quantization[c[0].quantization];
	reader->out->chroma = reader->quantization[c[1].quantization];
	return reader->out->luma && reader->out->chroma ? 0 : -EINVAL;
}

/* Takes what follows the header of the scan: coded data up to EOI, or to the end. */
static int take_scan(struct reader *reader, const uint8_t *data, size_t len)
{
	const uint8_t *at = data, *end = data + len;

	while ((at = memchr(at, 0xff, (size_t)(end - at))) && at + 1 < end) {
		if (at[1] == EOI) {
			end = at;
			break;
		}
		if (at[1] == FILL) {
			at++;
			continue;
		}
		if (at[1] != 0 && (at[1] < RST0 || at[1] > RST7))
			return -ENOTSUP; /* another scan */
		at += 2;
	}
	reader->out->scan = data;
	reader->out->scan_len = (size_t)(end - data);
	return end > data ? 0 : -EINVAL;
}

static int read_segment(struct reader *reader, uint8_t marker, const uint8_t *data, size_t len)
{
	switch (marker) {
	case DQT:
		return read_quantization(reader, data, len);
	case DHT:
		return read_huffman(data, len);
	case SOF0:
		return read_frame(reader, data, len);
	case DRI:
		if (len < 2)
			return -EINVAL;
		reader->out->restart_interval = bytes_get16(data);
		return 0;
	case SOS:
		return check_scan(reader, data, len);
	default:
		return marker > SOF0 && marker <= SOF15 ? -ENOTSUP : 0;
	}
}

int jpeg_baseline_read(const uint8_t *data, size_t len, struct jpeg_baseline *out)
{
	struct reader reader = {.out = out};
	size_t pos = 2;

	*out = (struct jpeg_baseline){0};
	if (!jpeg_begins(data, len))
		return -EINVAL;
	while (pos + 4 <= len && data[pos] == 0xff) {
		const uint8_t marker = data[pos + 1];
		const size_t segment = bytes_get16(data + pos + 2);
		int r;

		if (marker == FILL) {
			pos++;
			continue;
		}
		if (marker == EOI || segment < 2 || segment > len - pos - 2)
			return -EINVAL;
		r = read_segment(&reader, marker, data + pos + 4, segment - 2);
		if (r == 0 && marker == SOS)
			r = choose(&reader);
		pos += 2 + segment;
		if (r < 0)
			return r;
		if (marker == SOS)
			return take_scan(&reader, data + pos, len - pos);
	}
	return -EINVAL;
}
