/* SPDX-License-Identifier: BSD-2-Clause */
/* JPEG headers on arbitrary bytes: what is read stays within them, and tables that are put in are
 * found again. */
#include <assert.h>
#include <stdlib.h>

#include "media/jpeg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jpeg_header header, completed;
	uint8_t *out;
	size_t len;

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
