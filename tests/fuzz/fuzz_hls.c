/* SPDX-License-Identifier: BSD-2-Clause */
/* Any units make a playlist that keeps its promises, and any name or query gets what it lists, or
 * an error. The input is the rate, units of 4 bytes each up to a unit of zeros, and a text, which
 * is both a name and a query. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/serve/hls_playlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIRST_MSN 7

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_segment(const struct hls_timeline *timeline, uint64_t msn)
{
	const struct hls_segment *segment = hls_segment(timeline, msn);
	uint64_t from = segment->from;
	int64_t sum_us = 0;
	bool whole = true;

	require(segment->n_parts > 0 || msn == timeline->open);
	for (uint64_t i = 0; i < segment->n_parts; i++) {
		const struct hls_part *part = hls_part(timeline, segment->first_part + i);

		if (!part) {
			whole = false;
			continue;
		}
		require((!whole || part->from == from) && part->until > part->from);
		require(part->duration_us >= 1000);
		from = part->until;
		sum_us += part->duration_us;
	}
	require(!whole || (from == segment->until && sum_us == segment->duration_us));
	if (msn > timeline->first && segment->n_parts > 0)
		require(hls_segment(timeline, msn - 1)->until <= segment->from);
}

static void check_timeline(const struct hls_timeline *timeline)
{
	static char text[HLS_PLAYLIST_MAX];

	require(timeline->first <= timeline->listed && timeline->listed <= timeline->open);
	require(timeline->open - timeline->first < HLS_SEGMENTS_MAX);
	for (uint64_t msn = timeline->first; msn <= timeline->open; msn++)
		check_segment(timeline, msn);
	require(hls_playlist_write(timeline, "s/1/", text) <= HLS_PLAYLIST_MAX);
}

static void add_unit(struct hls_timeline *timeline, struct hls_unit *unit, const uint8_t *data)
{
	uint64_t listed = timeline->listed, removed = timeline->removed;

	if (data[0] & 8)
		unit->seq += data[1];
	if (data[0] & 16)
		unit->preamble = data[1];
	if (data[0] & 32)
		(void)hls_timeline_trim(timeline, unit->seq - (data[1] < unit->seq ? data[1] : 0));
	if (data[0] & 64)
		hls_timeline_pause(timeline);
	unit->key = data[0] & 1;
	unit->after_gap = data[0] & 2;
	unit->duration_us = data[0] & 4 ? 0 : data[2] * 1000u;
	unit->pts_us += data[0] & 128 ? -(int64_t)data[3] * 10000 : data[3] * 2000;
	unit->wall_us = unit->pts_us * 1000;
	(void)hls_timeline_add(timeline, unit);
	unit->seq++;
	require(timeline->listed >= listed && timeline->removed >= removed);
}

static void check_text(const struct hls_timeline *timeline, const char *text)
{
	struct hls_reload reload;
	struct hls_object object;
	struct hls_name name;
	int ret;

	if (hls_name_parse(&name, text) == 0) {
		ret = hls_object_find(&object, timeline, &name);
		require(ret == 0 || ret == -EAGAIN || ret == -ENOENT);
		if (ret == 0 && name.kind != HLS_INIT)
			require(object.from == name.number && object.until > object.from &&
				object.from >= timeline->tail);
	}
	if (hls_reload_parse(&reload, text) == 0) {
		ret = hls_reload_check(timeline, &reload);
		require(ret == 0 || ret == -EAGAIN || ret == -EINVAL);
		require(reload.has_msn || ret == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hls_options options = {.first_msn = FIRST_MSN};
	struct hls_unit unit = {.seq = 1};
	struct hls_timeline *timeline;
	char *text;

	if (size < 2)
		return 0;
	options.step_us = 1 + data[0] * 4000u;
	options.gop_us = data[1] * 40000u;
	require(hls_timeline_create(&timeline, &options) == 0);
	data += 2;
	size -= 2;
	while (size >= 4) {
		static const uint8_t end[4];
		bool last = memcmp(data, end, 4) == 0;

		if (!last)
			add_unit(timeline, &unit, data);
		data += 4;
		size -= 4;
		if (last)
			break;
	}
	check_timeline(timeline);
	text = strndup((const char *)data, size);
	require(text);
	check_text(timeline, text);
	free(text);
	hls_timeline_destroy(timeline);
	return 0;
}
