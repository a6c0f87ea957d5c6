/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/sdp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libavutil/base64.h>

#define LINE_MAX 4096 /* bytes; longer lines are skipped */
#define SET_MAX 1024  /* bytes of a parameter set */

struct reader {
	struct sdp *sdp;
	unsigned media; /* number of m= lines so far */
	bool in_video;	/* in the first one of video */
	bool found, h264;
};

/* What follows `prefix` in text, or NULL. */
static const char *after(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncasecmp(text, prefix, len) == 0 ? text + len : NULL;
}

static int copy_control(char out[SDP_CONTROL_MAX], const char *text)
{
	return snprintf(out, SDP_CONTROL_MAX, "%s", text) < SDP_CONTROL_MAX ? 0 : -EPROTO;
}

/* "BASE64,BASE64", up to the next parameter; what is no base64 is left out. */
static void read_parameter_sets(struct buffer *out, const char *text)
{
	while (*text && *text != ';' && *text != ' ') {
		size_t len = strcspn(text, ",; ");
		char word[SET_MAX * 4 / 3 + 4];
		uint8_t set[SET_MAX];
		int n = -1;

		if (len < sizeof(word)) {
			memcpy(word, text, len);
			word[len] = '\0';
			n = av_base64_decode(set, word, sizeof(set));
		}
		if (n > 0) {
			buffer_append(out, "\0\0\0\1", 4);
			buffer_append(out, set, (size_t)n);
		}
		text += len;
		text += *text == ',';
	}
}

static int read_media(struct reader *reader, const char *text)
{
	reader->media++;
	reader->in_video = false;
	if (reader->found || !after(text, "video "))
		return 0;
	reader->found = reader->in_video = true;
	return sscanf(text, "%*s %*s %*s %3u", &reader->sdp->payload_type) == 1 ? 0 : -EPROTO;
}

static int read_attribute(struct reader *reader, const char *text)
{
	struct sdp *sdp = reader->sdp;
	unsigned type;
	const char *value;
	int end = 0;

	value = after(text, "control:");
	if (value && reader->media == 0)
		return copy_control(sdp->control, value);
	if (!reader->in_video)
		return 0;
	if (value)
		return copy_control(sdp->video_control, value);
	if (sscanf(text, "rtpmap:%3u %n", &type, &end) == 1 && end > 0 && type == sdp->payload_type)
		reader->h264 = after(text + end, "H264/90000") != NULL;
	value = strstr(text, "sprop-parameter-sets=");
	if (sscanf(text, "fmtp:%3u %n", &type, &end) == 1 && type == sdp->payload_type && value)
		read_parameter_sets(&sdp->parameter_sets, strchr(value, '=') + 1);
	return 0;
}

static int read_line(struct reader *reader, const char *line)
{
	const char *text = after(line, "m=");

	if (text)
		return read_media(reader, text);
	text = after(line, "a=");
	return text ? read_attribute(reader, text) : 0;
}

int sdp_parse(struct sdp *sdp, const char *text, size_t len)
{
	struct reader reader = {.sdp = sdp};
	const char *end = text + len;
	int result = 0;

	memset(sdp, 0, sizeof(*sdp));
	while (result == 0 && text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((newline ? newline : end) - text);
		char line[LINE_MAX];

		if (n < sizeof(line)) {
			memcpy(line, text, n);
			line[n] = '\0';
			line[strcspn(line, "\r")] = '\0';
			result = read_line(&reader, line);
		}
		text += n + (newline != NULL);
	}
	return result < 0 || !reader.h264 ? -EPROTO : 0;
}

void sdp_finish(struct sdp *sdp)
{
	buffer_finish(&sdp->parameter_sets);
}
