/* SPDX-License-Identifier: BSD-2-Clause */
/* What a captured worker may send to a push, in pieces: the reader ends with an error or gives
 * pictures that lie within what came, and its memory stays bounded. The first byte says how long
 * the pieces are. */
#include <stdlib.h>
#include <string.h>

#include "camcast/worker.h"
#include "push/fragments.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static unsigned sum(const uint8_t *data, size_t len)
{
	unsigned all = 0;

	for (size_t i = 0; i < len; i++)
		all += data[i];
	return all;
}

/* Whether the stream goes on. */
static bool take(struct fragments *fragments)
{
	static volatile unsigned read;
	struct fragments_picture picture;
	int event;

	while ((event = fragments_next(fragments, &picture)) > FRAGMENTS_MORE) {
		if (event == FRAGMENTS_SETUP) {
			require(fragments->setup.avcc_len <= sizeof fragments->setup.avcc);
			require(fragments->setup.width > 0 && fragments->setup.height > 0);
			continue;
		}
		require(picture.len > 0 && picture.len <= CAMCAST_UNIT_MAX);
		require(picture.pts >= picture.dts && picture.dts >= 0);
		read = sum(picture.data, picture.len);
	}
	require(fragments->size <= CAMCAST_UNIT_MAX + (256 << 10));
	return event == FRAGMENTS_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fragments fragments = {0};
	size_t piece = size > 0 ? 1 + (size_t)data[0] * 8 : 1, len;
	bool goes_on = true;

	for (size_t at = 1; at < size && goes_on; at += len) {
		uint8_t *room;

		require(fragments_room(&fragments, &room, &len) == 0 && len > 0);
		len = len < piece ? len : piece;
		len = len < size - at ? len : size - at;
		memcpy(room, data + at, len);
		fragments_add(&fragments, len);
		goes_on = take(&fragments);
	}
	fragments_finish(&fragments);
	return 0;
}
