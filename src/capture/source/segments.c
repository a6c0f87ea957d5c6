/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/segments.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/avstring.h>
#include <libavutil/opt.h>

#define BUFFER_SIZE 32768 /* of libavformat's reads */
#define COOKIES_MAX 4096  /* bytes; a server gets back no more */

/* What is read of a playlist or of one of its parts. libavformat asks for options of the
 * connection, which are those of `inner`. */
struct part {
	struct segments *segments;
	AVIOContext *inner;
	bool begun;    /* it is known whether this is a playlist */
	uint8_t *text; /* of a playlist; else the first bytes */
	size_t len, pos;
};

int segments_init(struct segments *segments, const char *url, const AVDictionary *options)
{
	*segments = (struct segments){.url = url};
	return av_dict_copy(&segments->options, options, 0);
}

static void free_part(AVIOContext *io)
{
	struct part *part = io ? io->opaque : NULL;

	if (!io)
		return;
	avio_closep(&part->inner);
	av_free(part->text);
	av_free(part);
	av_freep(&io->buffer);
	avio_context_free(&io);
}

void segments_finish(struct segments *segments)
{
	free_part(segments->playlist);
	segments->playlist = NULL;
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

/* --- playlists --- */

/* Whether libavformat keeps something of this line for as long as the connection lasts. */
static bool is_kept(const uint8_t *line, size_t len)
{
	static const char *const tags[] = {"#EXT-X-MAP:", "#EXT-X-MEDIA:", "#EXT-X-STREAM-INF:"};

	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
		if (len >= strlen(tags[i]) && memcmp(line, tags[i], strlen(tags[i])) == 0)
			return true;
	return false;
}

/* Makes a comment of each such line that is one too many. Returns whether the other lines are few
 * enough. */
static bool bound_lines(struct segments *segments, uint8_t *text, size_t len)
{
	unsigned n_parts = segments->opened ? 0 : segments->n_parts;
	size_t line_len;

	for (size_t at = 0; at < len; at += line_len + 1) {
		/* A line ends where libavformat says so. */
		for (line_len = 0; at + line_len < len; line_len++)
			if (strchr("\n\r", text[at + line_len])) /* or 0 */
				break;
		if (line_len > 0 && text[at] != '#')
			n_parts++;
		if (!is_kept(text + at, line_len))
			continue;
		if (segments->opened || segments->n_kept == SEGMENTS_KEPT_MAX)
			text[at + 1] = '#';
		else
			segments->n_kept++;
	}
	if (!segments->opened)
		segments->n_parts = n_parts;
	return n_parts <= SEGMENTS_PARTS_MAX;
}

/* libavformat copies the place of a playlist for each of its lines. */
static bool is_far_away(AVIOContext *io)
{
	uint8_t *location = NULL;
	bool far;

	if (av_opt_get(io, "location", AV_OPT_SEARCH_CHILDREN, &location) < 0)
		return false;
	far = strlen((const char *)location) >= SEGMENTS_PLACE_MAX;
	av_free(location);
	return far;
}

/* Reads up to `most` bytes behind those that are there. */
static int read_text(struct part *part, size_t most)
{
	uint8_t *more = av_realloc(part->text, part->len + most);
	int n;

	if (!more)
		return AVERROR(ENOMEM);
	part->text = more;
	n = avio_read(part->inner, more + part->len, (int)most);
	if (n > 0) {
		part->len += (size_t)n;
		part->segments->n_read += (uint64_t)n;
	}
	return n;
}

static int refuse(struct segments *segments, const char *why)
{
	segments->wrong = why;
	return AVERROR(EPERM);
}

/* A playlist comes into memory as a whole, of another part its first bytes. */
static int begin(struct part *part)
{
	static const char mark[] = "#EXTM3U";
	int n = read_text(part, sizeof mark - 1);

	part->begun = true;
	if (n < 0 || part->len < sizeof mark - 1 || memcmp(part->text, mark, part->len) != 0)
		return n;
	if (is_far_away(part->inner))
		return refuse(part->segments, "a playlist of HLS is at a URL that is too long");
	while (n > 0 && part->len <= SEGMENTS_PLAYLIST_MAX)
		n = read_text(part, BUFFER_SIZE);
	if (n < 0 && n != AVERROR_EOF)
		return n;
	if (part->len > SEGMENTS_PLAYLIST_MAX ||
	    !bound_lines(part->segments, part->text, part->len))
		return refuse(part->segments, "a playlist of HLS is too long");
	return 0;
}

static int read_part(void *user, uint8_t *buffer, int size)
{
	struct part *part = user;
	size_t left;
	int n = part->begun ? 0 : begin(part);

	if (n < 0)
		return n;
	left = part->len - part->pos;
	if (left > 0) {
		n = left < (size_t)size ? (int)left : size;
		memcpy(buffer, part->text + part->pos, (size_t)n);
		part->pos += (size_t)n;
		return n;
	}
	n = avio_read_partial(part->inner, buffer, size);
	if (n > 0)
		part->segments->n_read += (uint64_t)n;
	return n == 0 ? AVERROR_EOF : n;
}

/* --- parts --- */

static void *next_child(void *obj, void *previous)
{
	const AVIOContext *io = obj;
	const struct part *part = io->opaque;

	return previous ? NULL : part->inner;
}

static const AVClass part_class = {
	.class_name = "part",
	.item_name = av_default_item_name,
	.version = LIBAVUTIL_VERSION_INT,
	.child_next = next_child,
};

/* `inner` is taken, also on failure. */
static int make_part(AVIOContext **out, struct segments *segments, AVIOContext *inner)
{
	struct part *part = av_mallocz(sizeof(*part));
	uint8_t *buffer = av_malloc(BUFFER_SIZE);
	AVIOContext *io = NULL;

	if (part && buffer)
		io = avio_alloc_context(buffer, BUFFER_SIZE, 0, part, read_part, NULL, NULL);
	if (!io) {
		avio_closep(&inner);
		av_free(part);
		av_free(buffer);
		return AVERROR(ENOMEM);
	}
	*part = (struct part){.segments = segments, .inner = inner};
	io->av_class = &part_class;
	*out = io;
	return 0;
}

/* What the server of the playlist said last; libavformat would take those of any server. */
static int keep_cookies(struct segments *segments, AVIOContext *io)
{
	uint8_t *cookies = NULL;
	int r;

	if (av_opt_get(io, "cookies", AV_OPT_SEARCH_CHILDREN | AV_OPT_ALLOW_NULL, &cookies) < 0 ||
	    !cookies)
		return 0;
	r = av_dict_set(&segments->options, "cookies",
			strlen((char *)cookies) < COOKIES_MAX ? (char *)cookies : NULL, 0);
	av_free(cookies);
	return r;
}

/* Whether the server of the playlist has answered, and did not redirect to another one. */
static bool is_own_answer(const struct segments *segments, AVIOContext *io, const char *url)
{
	uint8_t *location = NULL;
	bool own = is_same_server(segments->url, url);

	if (own && av_opt_get(io, "location", AV_OPT_SEARCH_CHILDREN, &location) >= 0)
		own = is_same_server(segments->url, (const char *)location);
	av_free(location);
	return own;
}

/* A playlist is written by a stranger: it may name servers, but no files, and no way back from
 * https. What is for the server of the playlist, no other one gets: neither options nor what
 * libavformat took over from the playlist, its cookies among that. */
static int open_part(AVFormatContext *input, AVIOContext **out, const char *url, int flags,
		     AVDictionary **options)
{
	struct segments *segments = input->opaque;
	AVIOContext *io = NULL;
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
		r = avio_open2(&io, url, flags, &input->interrupt_callback, &own);
	if (r >= 0 && segments_led_away(io, url))
		r = AVERROR(EPERM);
	if (r >= 0 && is_own_answer(segments, io, url))
		r = keep_cookies(segments, io);
	if (r >= 0)
		r = make_part(out, segments, io);
	else
		avio_closep(&io);
	if (options)
		r = leave(options, own, r);
	av_dict_free(&own);
	return r;
}

static int close_part(AVFormatContext *input, AVIOContext *io)
{
	(void)input;
	free_part(io);
	return 0;
}

int segments_attach(struct segments *segments, AVFormatContext *input, AVDictionary **options)
{
	input->opaque = segments;
	input->io_open = open_part;
	input->io_close2 = close_part;
	/* Over a connection that stays, libavformat asks without open_part(). */
	return av_dict_set(options, "http_persistent", "0", 0);
}

int segments_open(struct segments *segments, AVFormatContext **input, AVDictionary **options)
{
	int r = segments_attach(segments, *input, options);

	if (r >= 0)
		r = open_part(*input, &segments->playlist, segments->url, AVIO_FLAG_READ, NULL);
	if (r < 0)
		return r;
	(*input)->pb = segments->playlist;
	r = avformat_open_input(input, segments->url, av_find_input_format("hls"), options);
	segments->opened = r >= 0;
	return r;
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
