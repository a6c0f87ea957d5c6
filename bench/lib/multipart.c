/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/multipart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 4096	     /* bytes: a boundary and the head of a part */
#define PART_MAX (64u << 20) /* bytes; no unit is longer */

/* The length that the head of a part says; 0: it says none. */
static size_t part_length(uint8_t *head, size_t len)
{
	static const char name[] = "\ncontent-length:";
	const char *at;

	head[len - 1] = '\0'; /* it was the newline at the end */
	at = strcasestr((const char *)head, name);
	return at ? strtoul(at + sizeof(name) - 1, NULL, 10) : 0;
}

int multipart_read(struct buffer *in, unit_fn *unit, void *ctx, int64_t now_us)
{
	size_t at = 0;
	int result = 0;

	for (;;) {
		uint8_t *head = in->data + at, *end = NULL;
		size_t len;

		if (in->len > at)
			end = memmem(head, in->len - at, "\r\n\r\n", 4);
		/* The line that ends a picture is empty, too. */
		if (end == head) {
			at += 2;
			continue;
		}
		if (!end) {
			result = in->len - at > HEAD_MAX ? -EBADMSG : 0;
			break;
		}
		end += 4;
		len = part_length(head, (size_t)(end - head));
		end[-1] = '\n';
		if (len == 0 || len > PART_MAX) {
			result = -EBADMSG;
			break;
		}
		if (in->len - (size_t)(end - in->data) < len)
			break;
		unit(ctx, end, len, now_us);
		at = (size_t)(end - in->data) + len;
	}
	if (at > 0)
		buffer_drop(in, at);
	return result;
}
