/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/hls_playlist.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)

/* Bytes of the lines at the beginning and at the end, of a segment and of a part. */
#define FRAME_MAX (640 + HLS_PREFIX_MAX)
#define SEGMENT_MAX (190 + 2 * HLS_PREFIX_MAX)
#define PART_MAX (88 + HLS_PREFIX_MAX)

static_assert(FRAME_MAX + HLS_SEGMENTS_MAX * SEGMENT_MAX + HLS_PARTS_MAX * PART_MAX <=
		      HLS_PLAYLIST_MAX,
	      "any playlist has room");

/* --- the playlist --- */

struct text {
	char *bytes;
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
	size_t room = HLS_PLAYLIST_MAX - text->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->bytes + text->len, room, format, args);
	va_end(args);
	assert(n >= 0 && (size_t)n < room);
	text->len += (size_t)n;
}

static void put_seconds(struct text *text, const char *before, int64_t us, const char *after)
{
	put(text, "%s%" PRId64 ".%06" PRId64 "%s", before, us / SECOND_US, us % SECOND_US, after);
}

static void put_date(struct text *text, int64_t wall_us)
{
	int64_t ms = wall_us / 1000 - (wall_us % 1000 < 0);
	time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
	char date[32] = "";
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	put(text, "#EXT-X-PROGRAM-DATE-TIME:%s.%03dZ\n", date, (int)(ms - (int64_t)seconds * 1000));
}

static bool all_independent(const struct hls_timeline *timeline)
{
	for (uint64_t msn = timeline->listed; msn <= timeline->open; msn++) {
		const struct hls_segment *segment = hls_segment(timeline, msn);

		if (!segment->independent && segment->n_parts > 0)
			return false;
	}
	return true;
}

static void put_head(struct text *text, const struct hls_timeline *timeline)
{
	put(text, "#EXTM3U\n#EXT-X-VERSION:9\n");
	if (all_independent(timeline))
		put(text, "#EXT-X-INDEPENDENT-SEGMENTS\n");
	put(text, "#EXT-X-TARGETDURATION:%" PRIu32 "\n", timeline->target_s);
	/* The least that a player may stay behind the end: three parts, or three segments. */
	put_seconds(text, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=",
		    INT64_C(3) * timeline->part_us, "");
	put(text, ",HOLD-BACK=%" PRIu32 "\n", 3 * timeline->target_s);
	put_seconds(text, "#EXT-X-PART-INF:PART-TARGET=", timeline->part_us, "\n");
	put(text, "#EXT-X-MEDIA-SEQUENCE:%" PRIu64 "\n", timeline->listed);
	put(text, "#EXT-X-DISCONTINUITY-SEQUENCE:%" PRIu64 "\n", timeline->removed);
}

static void put_part(struct text *text, const struct hls_part *part, const char *prefix)
{
	put_seconds(text, "#EXT-X-PART:DURATION=", part->duration_us, "");
	put(text, ",URI=\"%sp-%" PRIu64 ".m4s\"%s\n", prefix, part->from,
	    part->independent ? ",INDEPENDENT=YES" : "");
}

static void put_segment(struct text *text, const struct hls_timeline *timeline, uint64_t msn,
			const char *prefix)
{
	const struct hls_segment *segment = hls_segment(timeline, msn);

	if (segment->discontinuity)
		put(text, "#EXT-X-DISCONTINUITY\n");
	if (msn == timeline->listed || segment->map != hls_segment(timeline, msn - 1)->map)
		put(text, "#EXT-X-MAP:URI=\"%sinit-%" PRIu32 ".mp4\"\n", prefix, segment->map);
	put_date(text, segment->wall_us);
	for (uint64_t i = 0; i < segment->n_parts; i++) {
		const struct hls_part *part = hls_part(timeline, segment->first_part + i);

		if (part && msn + HLS_SEGMENTS_WITH_PARTS >= timeline->open)
			put_part(text, part, prefix);
	}
	if (msn == timeline->open)
		return;
	put_seconds(text, "#EXTINF:", segment->duration_us, ",\n");
	put(text, "%ss-%" PRIu64 ".m4s\n", prefix, segment->from);
}

size_t hls_playlist_write(const struct hls_timeline *timeline, const char *prefix,
			  char bytes[HLS_PLAYLIST_MAX])
{
	struct text text = {.bytes = bytes};

	assert(strlen(prefix) < HLS_PREFIX_MAX);
	put_head(&text, timeline);
	for (uint64_t msn = timeline->listed; msn <= timeline->open; msn++) {
		if (hls_segment(timeline, msn)->n_parts > 0)
			put_segment(&text, timeline, msn, prefix);
	}
	if (hls_open_part(timeline))
		put(&text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%sp-%" PRIu64 ".m4s\"\n", prefix,
		    hls_open_part(timeline));
	return text.len;
}

/* --- names --- */

/* A decimal number without sign and leading zeros, up to a character that is none. */
static int parse_number(uint64_t *out, const char **at)
{
	const char *digit = *at;
	uint64_t number = 0;

	if (*digit < '0' || *digit > '9' || (*digit == '0' && digit[1] >= '0' && digit[1] <= '9'))
		return -EINVAL;
	for (; *digit >= '0' && *digit <= '9'; digit++) {
		unsigned value = (unsigned)(*digit - '0');

		if (number > (UINT64_MAX - value) / 10)
			return -EINVAL;
		number = number * 10 + value;
	}
	*out = number;
	*at = digit;
	return 0;
}

int hls_name_parse(struct hls_name *out, const char *name)
{
	static const struct {
		const char *begin, *end;
	} kinds[] = {
		[HLS_INIT] = {"init-", ".mp4"},
		[HLS_PART] = {"p-", ".m4s"},
		[HLS_SEGMENT] = {"s-", ".m4s"},
	};

	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		size_t begin = strlen(kinds[i].begin);
		const char *at = name + begin;

		if (strncmp(name, kinds[i].begin, begin) != 0)
			continue;
		out->kind = (enum hls_kind)i;
		return parse_number(&out->number, &at) == 0 && strcmp(at, kinds[i].end) == 0
			       ? 0
			       : -EINVAL;
	}
	return -EINVAL;
}

static int find_init(struct hls_object *out, const struct hls_timeline *timeline, uint64_t map)
{
	for (uint64_t msn = timeline->first; msn <= timeline->open; msn++) {
		const struct hls_segment *segment = hls_segment(timeline, msn);

		if (segment->n_parts > 0 && segment->map == map) {
			*out = (struct hls_object){.preamble = segment->preamble};
			return 0;
		}
	}
	return -ENOENT;
}

/* Players ask for the newest ones. */
static int find_part(struct hls_object *out, const struct hls_timeline *timeline, uint64_t from)
{
	const struct hls_part *part;

	if (from > 0 && from == hls_open_part(timeline))
		return -EAGAIN;
	for (uint64_t number = timeline->next_part; number > 0; number--) {
		part = hls_part(timeline, number - 1);
		if (!part || part->from < from || part->from < timeline->tail)
			break;
		if (part->from == from) {
			*out = (struct hls_object){.from = from, .until = part->until};
			return 0;
		}
	}
	return -ENOENT;
}

static int find_segment(struct hls_object *out, const struct hls_timeline *timeline, uint64_t from)
{
	for (uint64_t msn = timeline->open; msn > timeline->first; msn--) {
		const struct hls_segment *segment = hls_segment(timeline, msn - 1);

		if (segment->from == from && from >= timeline->tail) {
			*out = (struct hls_object){.from = from, .until = segment->until};
			return 0;
		}
	}
	return -ENOENT;
}

int hls_object_find(struct hls_object *out, const struct hls_timeline *timeline,
		    const struct hls_name *name)
{
	switch (name->kind) {
	case HLS_INIT:
		return find_init(out, timeline, name->number);
	case HLS_PART:
		return find_part(out, timeline, name->number);
	case HLS_SEGMENT:
		return find_segment(out, timeline, name->number);
	}
	return -ENOENT;
}

/* --- blocking playlist reload --- */

static int parse_parameter(const char *value, bool *has, uint64_t *out)
{
	if (*has || parse_number(out, &value) < 0 || (*value != '&' && *value != '\0'))
		return -EINVAL;
	*has = true;
	return 0;
}

int hls_reload_parse(struct hls_reload *out, const char *query)
{
	static const char msn[] = "_HLS_msn=", part[] = "_HLS_part=";
	int ret = 0;

	*out = (struct hls_reload){0};
	while (ret == 0 && query) {
		if (strncmp(query, msn, sizeof msn - 1) == 0)
			ret = parse_parameter(query + sizeof msn - 1, &out->has_msn, &out->msn);
		else if (strncmp(query, part, sizeof part - 1) == 0)
			ret = parse_parameter(query + sizeof part - 1, &out->has_part, &out->part);
		query = strchr(query, '&');
		query = query ? query + 1 : NULL;
	}
	return out->has_part && !out->has_msn ? -EINVAL : ret;
}

/* rfc8216bis clause 6.2.5.2: the Advance Part Limit. */
static uint64_t part_limit(const struct hls_timeline *timeline)
{
	uint32_t part_us = timeline->part_us;

	return part_us < SECOND_US ? (uint64_t)(3 * SECOND_US + part_us - 1) / part_us : 3;
}

int hls_reload_check(const struct hls_timeline *timeline, const struct hls_reload *reload)
{
	uint64_t open = timeline->open, parts = hls_segment(timeline, open)->n_parts;

	if (!reload->has_msn)
		return 0;
	if (reload->msn >= open) {
		if (reload->msn - open > 1)
			return -EINVAL;
		if (reload->msn > open)
			parts = 0;
		if (reload->has_part && reload->part < parts)
			return 0;
		return reload->has_part && reload->part - parts >= part_limit(timeline) ? -EINVAL
											: -EAGAIN;
	}
	/* A part behind the segment's last one is the first one of the next segment. */
	if (reload->has_part && reload->msn + 1 == open && parts == 0 &&
	    reload->part >= hls_segment(timeline, reload->msn)->n_parts)
		return -EAGAIN;
	return 0;
}
