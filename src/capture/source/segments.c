/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/segments.h"

#include <string.h>

#include <libavutil/avstring.h>
#include <libavutil/opt.h>

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

bool segments_led_away(AVIOContext *io, const char *url)
{
	uint8_t *location = NULL;
	bool away;

	if (!io || av_opt_get(io, "location", AV_OPT_SEARCH_CHILDREN, &location) < 0)
		return false;
	away = location[0] && !is_same_scheme(url, (const char *)location);
	av_free(location);
	return away;
}

/* Where libavformat connects to for a URL; it cuts names of hosts to this length, too. */
struct place {
	char host[1024];
	int port;
};

static void find_place(struct place *out, const char *url)
{
	av_url_split(NULL, 0, NULL, 0, out->host, sizeof out->host, &out->port, NULL, 0, url);
	if (out->port < 0)
		out->port = strncmp(url, "https:", 6) == 0 ? 443 : 80;
}

/* Of both URLs, which have the same scheme. */
static bool is_same_server(const char *a, const char *b)
{
	struct place one, other;

	find_place(&one, a);
	find_place(&other, b);
	return one.port == other.port && av_strcasecmp(one.host, other.host) == 0;
}

/* Whether an option says only how a server is connected to, and which part is read. All others may
 * be secrets, such as headers, or be meant for one server. */
static bool is_for_every_server(const char *name)
{
	static const char *const names[] = {
		"ca_file",    "cafile", "tls_verify", "timeout",  "rw_timeout",
		"http_proxy", "offset", "end_offset", "seekable", "protocol_whitelist",
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Takes those out of *options that not every server may have. */
static int strip(AVDictionary **options)
{
	const AVDictionaryEntry *at = NULL;
	AVDictionary *left = NULL;
	int r = 0;

	while (r >= 0 && (at = av_dict_get(*options, "", at, AV_DICT_IGNORE_SUFFIX)))
		if (is_for_every_server(at->key))
			r = av_dict_set(&left, at->key, at->value, 0);
	av_dict_free(options);
	*options = left;
	return r;
}

/* Takes out of *options what an open took, which has left `rest`. What else it was given stays
 * out: libavformat would take it for options that nobody knows. Returns ret, or an error. */
static int leave(AVDictionary **options, const AVDictionary *rest, int ret)
{
	const AVDictionaryEntry *entry = NULL;
	AVDictionary *left = NULL;
	int r = 0;

	while (r >= 0 && (entry = av_dict_get(*options, "", entry, AV_DICT_IGNORE_SUFFIX))) {
		if (av_dict_get(rest, entry->key, NULL, 0))
			r = av_dict_set(&left, entry->key, entry->value, 0);
	}
	av_dict_free(options);
	*options = left;
	return r < 0 && ret >= 0 ? r : ret;
}

/* A playlist is written by a stranger: it may name servers, but no files, and no way back from
 * https. What is for the server of the playlist, no other one gets: neither options nor what
 * libavformat took over from the playlist, its cookies among that. */
static int open_part(AVFormatContext *input, AVIOContext **out, const char *url, int flags,
		     AVDictionary **options)
{
	const struct segments *segments = input->opaque;
	AVDictionary *own = NULL;
	int r;

	if ((flags & AVIO_FLAG_WRITE) || !is_same_scheme(segments->url, url))
		return AVERROR(EPERM);
	r = options ? av_dict_copy(&own, *options, 0) : 0;
	if (r >= 0)
		r = av_dict_copy(&own, segments->options, 0);
	if (r >= 0 && !is_same_server(segments->url, url))
		r = strip(&own);
	if (r >= 0)
		r = avio_open2(out, url, flags, &input->interrupt_callback, &own);
	if (r >= 0 && segments_led_away(*out, url)) {
		avio_closep(out);
		r = AVERROR(EPERM);
	}
	if (options)
		r = leave(options, own, r);
	av_dict_free(&own);
	return r;
}

int segments_attach(struct segments *segments, AVFormatContext *input, AVDictionary **options)
{
	input->opaque = segments;
	input->io_open = open_part;
	/* Over a connection that stays, libavformat asks without open_part(). */
	return av_dict_set(options, "http_persistent", "0", 0);
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
