/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/stream/rtsp_sdp.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINE_MAX_LEN 2048 /* what a line has beyond is left out */
#define TYPE_JPEG 26	  /* RFC 3551 table 5 */

/* The media under way. */
struct media {
	bool video;
	bool known; /* codec is valid */
	enum stream_codec codec;
	unsigned type;
	char control[RTSP_URL_MAX];
	char format[LINE_MAX_LEN]; /* of fmtp, for its type */
	char other[32];		   /* a codec that is not read */
};

struct parser {
	struct rtsp_sdp *out;
	struct media media;
	bool in_media, found;
	char other[32];
};

/* Whether a line begins with a word; *rest is what stands behind it. */
static bool begins(const char *line, const char *word, const char **rest)
{
	const size_t len = strlen(word);

	if (strncasecmp(line, word, len) != 0)
		return false;
	*rest = line + len;
	return true;
}

static void take_rtpmap(struct media *media, const char *text)
{
	char *end;
	const unsigned long type = strtoul(text, &end, 10);

	if (end == text || *end != ' ' || type != media->type)
		return;
	media->known = true;
	if (strncasecmp(end + 1, "H264/", 5) == 0)
		media->codec = STREAM_H264;
	else if (strncasecmp(end + 1, "JPEG/", 5) == 0)
		media->codec = STREAM_MJPEG;
	else
		media->known = false;
	if (!media->known)
		snprintf(media->other, sizeof media->other, "%.*s", (int)strcspn(end + 1, "/"),
			 end + 1);
}

static void take_format(struct media *media, const char *text)
{
	char *end;
	const unsigned long type = strtoul(text, &end, 10);

	if (end != text && *end == ' ' && type == media->type)
		snprintf(media->format, sizeof media->format, "%s", end + 1);
}

static void begin_media(struct media *media, const char *text)
{
	const char *rest;
	unsigned port, type;

	memset(media, 0, sizeof *media);
	media->type = ~0u;
	if (!begins(text, "video ", &rest) || sscanf(rest, "%5u", &port) != 1)
		return;
	media->video = true;
	rest = strstr(rest, "RTP/AVP");
	rest = rest ? strchr(rest, ' ') : NULL;
	if (!rest || sscanf(rest, "%3u", &type) != 1 || type > 127)
		return;
	media->type = type;
	media->known = type == TYPE_JPEG;
	media->codec = STREAM_MJPEG;
}

/* RFC 6184 clause 8.1. A set that is too long, or no base64, comes in the stream again, or nobody
 * can decode it anyway. */
static void take_set(struct rtsp_sdp *out, const char *text, size_t len)
{
	uint8_t decoded[RTSP_SET_MAX + 8];
	size_t padding = 0;
	int n;

	if (len == 0 || len % 4 || len / 4 * 3 > RTSP_SET_MAX || out->n_sets == RTSP_SETS_MAX)
		return;
	for (size_t i = len; i > 0 && padding < 2 && text[i - 1] == '='; i--)
		padding++;
	n = EVP_DecodeBlock(decoded, (const unsigned char *)text, (int)len);
	if (n < 0 || (size_t)n <= padding)
		return;
	out->sets[out->n_sets].len = (size_t)n - padding;
	memcpy(out->sets[out->n_sets].data, decoded, (size_t)n - padding);
	out->n_sets++;
}

static void take_sets(struct rtsp_sdp *out, const char *format)
{
	const char *at = strcasestr(format, "sprop-parameter-sets=");

	if (!at)
		return;
	at = strchr(at, '=') + 1;
	for (;;) {
		const size_t len = strcspn(at, ",; ");

		take_set(out, at, len);
		if (at[len] != ',')
			break;
		at += len + 1;
	}
}

/* The media is over: it counts if it is the best so far. */
static void end_media(struct parser *parser)
{
	const struct media *media = &parser->media;
	struct rtsp_sdp *out = parser->out;

	if (!parser->in_media || !media->video)
		return;
	if (!media->known) {
		if (media->other[0])
			memcpy(parser->other, media->other, sizeof parser->other);
		return;
	}
	if (parser->found && (out->codec == STREAM_H264 || media->codec == STREAM_MJPEG))
		return;
	parser->found = true;
	out->codec = media->codec;
	out->type = media->type;
	strcpy(out->media_control, media->control);
	out->n_sets = 0;
	if (media->codec == STREAM_H264)
		take_sets(out, media->format);
}

static void take_line(struct parser *parser, const char *line)
{
	const char *rest;

	if (begins(line, "m=", &rest)) {
		end_media(parser);
		parser->in_media = true;
		begin_media(&parser->media, rest);
	} else if (begins(line, "a=control:", &rest)) {
		char *control =
			parser->in_media ? parser->media.control : parser->out->session_control;

		if (strlen(rest) < RTSP_URL_MAX && !strchr(rest, ' '))
			strcpy(control, rest);
	} else if (parser->in_media && begins(line, "a=rtpmap:", &rest)) {
		take_rtpmap(&parser->media, rest);
	} else if (parser->in_media && begins(line, "a=fmtp:", &rest)) {
		take_format(&parser->media, rest);
	}
}

/* One line; false if it holds what a URL or a log may not. */
static void read_line(struct parser *parser, const char *text, size_t len)
{
	char line[LINE_MAX_LEN];

	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	len = len < sizeof line - 1 ? len : sizeof line - 1;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || (unsigned char)text[i] > '~')
			return;
	memcpy(line, text, len);
	line[len] = '\0';
	take_line(parser, line);
}

int rtsp_sdp_parse(struct rtsp_sdp *out, const char *text, size_t len, char why[RTSP_WHY_MAX])
{
	struct parser parser = {.out = out};

	memset(out, 0, sizeof *out);
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		read_line(&parser, text, n);
		n += end != NULL;
		text += n;
		len -= n;
	}
	end_media(&parser);
	if (parser.found)
		return 0;
	if (parser.other[0])
		snprintf(why, RTSP_WHY_MAX, "its pictures are %s; only H.264 and JPEG are read",
			 parser.other);
	else
		snprintf(why, RTSP_WHY_MAX, "the server describes no video");
	return -EINVAL;
}

bool rtsp_sdp_url(char out[RTSP_URL_MAX], const char *base, const char *control)
{
	const char *rest;
	size_t len = strlen(base);
	int n;

	if (begins(control, "rtsp://", &rest) || begins(control, "rtsps://", &rest))
		n = snprintf(out, RTSP_URL_MAX, "%s", control);
	else if (control[0] == '\0' || strcmp(control, "*") == 0)
		n = snprintf(out, RTSP_URL_MAX, "%s", base);
	else
		n = snprintf(out, RTSP_URL_MAX, "%s%s%s", base,
			     len > 0 && (base[len - 1] == '/' || control[0] == '/') ? "" : "/",
			     control[0] == '/' && len > 0 && base[len - 1] == '/' ? control + 1
										  : control);
	return n > 0 && n < RTSP_URL_MAX;
}
