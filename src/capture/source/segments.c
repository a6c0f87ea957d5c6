/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/segments.h"

#include <string.h>

int segments_init(struct segments *segments, const char *url, const AVDictionary *options)
{
	*segments = (struct segments){.url = url};
	return av_dict_copy(&segments->options, options, 0);
}

void segments_finish(struct segments *segments)
{
	av_dict_free(&segments->options);
}

/* Of both URLs: "https:". */
static bool is_same_scheme(const char *a, const char *b)
{
	const size_t len = strcspn(a, ":");

	return strncmp(a, b, len) == 0 && a[len] == ':' && b[len] == ':';
}

/* A playlist is written by a stranger: it may name servers, but no files, and no way back from
 * https. */
static int open_part(AVFormatContext *input, AVIOContext **out, const char *url, int flags,
		     AVDictionary **options)
{
	const struct segments *segments = input->opaque;
	AVDictionary *own = NULL;
	int r;

	if ((flags & AVIO_FLAG_WRITE) || !is_same_scheme(segments->url, url))
		return AVERROR(EPERM);
	if (options)
		own = *options;
	r = av_dict_copy(&own, segments->options, 0);
	if (r >= 0)
		r = avio_open2(out, url, flags, &input->interrupt_callback, &own);
	if (options)
		*options = own;
	else
		av_dict_free(&own);
	return r;
}

void segments_attach(struct segments *segments, AVFormatContext *input)
{
	input->opaque = segments;
	input->io_open = open_part;
}

int64_t segments_due_us(struct segments *segments, int64_t dts_us, int64_t now_us)
{
	int64_t due_us, ahead_us;

	/* Of hostile timestamps, too, the sum is a number. */
	if (segments->placed && !__builtin_add_overflow(dts_us, segments->offset_us, &due_us) &&
	    !__builtin_sub_overflow(due_us, now_us, &ahead_us) && ahead_us <= SEGMENTS_JUMP_US &&
	    ahead_us >= -SEGMENTS_LATE_US)
		return due_us;
	segments->placed = !__builtin_sub_overflow(now_us, dts_us, &segments->offset_us);
	return now_us;
}
