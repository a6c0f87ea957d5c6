/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/kept.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_MAX 4096 /* more than a minute at 60 a second */
#define KEPT_MAX_BYTES (32 << 20)
#define KEPT_MIN 64

void kept_forget(struct kept *kept, uint64_t number)
{
	size_t n = number > kept->first ? (size_t)(number - kept->first) : 0;

	if (n > kept->n)
		n = kept->n;
	for (size_t i = 0; i < n; i++) {
		kept->bytes -= kept->pictures[i].packet->size;
		av_packet_free(&kept->pictures[i].packet);
	}
	kept->first += n;
	kept->n -= n;
	memmove(kept->pictures, kept->pictures + n, kept->n * sizeof *kept->pictures);
}

/* Room for one more, or false. */
static bool grow(struct kept *kept)
{
	size_t size = kept->size ? kept->size * 2 : KEPT_MIN;
	struct kept_picture *pictures;

	if (kept->n < kept->size)
		return true;
	if (size > KEPT_MAX)
		return false;
	pictures = realloc(kept->pictures, size * sizeof *pictures);
	if (!pictures)
		return false;
	kept->pictures = pictures;
	kept->size = size;
	return true;
}

void kept_add(struct kept *kept, const AVPacket *packet, int64_t at_us)
{
	AVPacket *copy = NULL;

	if (kept->bytes + packet->size <= KEPT_MAX_BYTES && grow(kept))
		copy = av_packet_clone(packet);
	if (!copy) {
		kept_forget(kept, kept->first + kept->n);
		kept->first++;
		return;
	}
	kept->pictures[kept->n++] = (struct kept_picture){copy, at_us};
	kept->bytes += copy->size;
}

void kept_destroy(struct kept *kept)
{
	kept_forget(kept, kept->first + kept->n);
	free(kept->pictures);
	*kept = (struct kept){0};
}
