/* SPDX-License-Identifier: BSD-2-Clause */
/* JPEG headers on arbitrary bytes: what is read stays within them, and tables that are put in are
 * found again. What RTP can carry points into the bytes. */
#include <assert.h>
#include <stdlib.h>

#include "media/jpeg.h"
#include "media/jpeg_baseline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(const uint8_t *data, size_t size, const uint8_t *part, size_t len)
{
	assert(part >= data && len <= size && (size_t)(part - data) <= size - len);
}

static void check_baseline(const uint8_t *data, size_t size)
{
	struct jpeg_baseline jpeg;

	if (jpeg_baseline_read(data, size, &jpeg) < 0)
		return;
	assert(jpeg.width > 0 && jpeg.height > 0 && jpeg.scan_len > 0);
	check_within(data, size, jpeg.luma, JPEG_QUANTIZATION_LEN);
	check_within(data, size, jpeg.chroma, JPEG_QUANTIZATION_LEN);
	check_within(data, size, jpeg.scan, jpeg.scan_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jpeg_header header, completed;
	uint8_t *out;
	size_t len;

	check_baseline(data, size);
	if (jpeg_header_read(data, size, &header) < 0)
		return 0;
	assert(jpeg_begins(data, size));
	assert(header.scan >= 2 && header.scan + 4 <= size && data[header.scan + 1] == 0xda);
	assert(header.width <= 65535 && header.height <= 65535);
	out = malloc(size + JPEG_TABLES_LEN);
	if (!out)
		return 0;
	len = jpeg_insert_tables(data, size, header.scan, out);
	assert(len == size + JPEG_TABLES_LEN);
	assert(jpeg_header_read(out, len, &completed) == 0);
	assert(completed.has_tables && completed.scan == header.scan + JPEG_TABLES_LEN);
	assert(completed.width == header.width && completed.height == header.height);
	free(out);
	return 0;
}
