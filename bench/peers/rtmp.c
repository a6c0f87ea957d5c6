/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/peers/rtmp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/bytes.h"

#define HANDSHAKE 1536		/* bytes of C1, S1, C2, S2 (5.2) */
#define CHUNK_STREAMS 64	/* more than any server uses for one player */
#define MESSAGE_MAX (16u << 20) /* bytes */

enum { MESSAGE_CHUNK_SIZE = 1, MESSAGE_VIDEO = 9, MESSAGE_COMMAND = 20 };

struct chunk_stream {
	uint32_t len; /* of the message */
	uint8_t type;
	bool extended; /* its timestamp is in an extra field, in each chunk */
	struct buffer message;
};

struct rtmp {
	const char *path;
	unit_fn *unit;
	void *ctx;
	bool talking; /* the handshake is over */
	uint32_t chunk_size;
	struct chunk_stream streams[CHUNK_STREAMS];
};

/* --- sending --- */

static void put_string(struct buffer *out, const char *text, size_t len)
{
	uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};

	buffer_append(out, head, sizeof(head));
	buffer_append(out, text, len);
}

/* AMF0: a string value, a number. */
static void put_text(struct buffer *out, const char *text, size_t len)
{
	buffer_append(out, "\x02", 1);
	put_string(out, text, len);
}

static void put_number(struct buffer *out, double value)
{
	uint8_t bytes[9] = {0};
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	for (int i = 0; i < 8; i++)
		bytes[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
	buffer_append(out, bytes, sizeof(bytes));
}

/* A command in chunks of the default size, 128 bytes (5.3). */
static void put_command(struct buffer *out, const struct buffer *body, uint8_t stream)
{
	uint8_t head[12] = {
		3,	0, 0, 0, 0, (uint8_t)(body->len >> 8), (uint8_t)body->len, MESSAGE_COMMAND,
		stream, 0, 0, 0};

	buffer_append(out, head, sizeof(head));
	for (size_t at = 0; at < body->len; at += 128) {
		size_t n = body->len - at < 128 ? body->len - at : 128;

		if (at > 0)
			buffer_append(out, "\xc3", 1);
		buffer_append(out, body->data + at, n);
	}
}

static void ask_to_play(const struct rtmp *rtmp, struct buffer *out)
{
	const char *slash = strchr(rtmp->path, '/');
	size_t app_len = slash ? (size_t)(slash - rtmp->path) : strlen(rtmp->path);
	const char *name = slash ? slash + 1 : "";
	struct buffer body = {0};

	put_text(&body, "connect", 7);
	put_number(&body, 1);
	buffer_append(&body, "\x03", 1);
	put_string(&body, "app", 3);
	put_text(&body, rtmp->path, app_len);
	buffer_append(&body, "\0\0\x09", 3);
	put_command(out, &body, 0);
	body.len = 0;
	put_text(&body, "createStream", 12);
	put_number(&body, 2);
	buffer_append(&body, "\x05", 1);
	put_command(out, &body, 0);
	/* A server numbers the message streams of a connection from 1. Waiting for the number would
	 * cost a round trip. */
	body.len = 0;
	put_text(&body, "play", 4);
	put_number(&body, 3);
	buffer_append(&body, "\x05", 1);
	put_text(&body, name, strlen(name));
	put_command(out, &body, 1);
	buffer_finish(&body);
}

struct rtmp *rtmp_create(const char *path, struct buffer *out, unit_fn *unit, void *ctx)
{
	struct rtmp *rtmp = calloc(1, sizeof(*rtmp));
	uint8_t hello[1 + HANDSHAKE] = {3};

	if (!rtmp) {
		perror("rtmp");
		exit(1);
	}
	rtmp->path = path;
	rtmp->unit = unit;
	rtmp->ctx = ctx;
	rtmp->chunk_size = 128;
	buffer_append(out, hello, sizeof(hello));
	return rtmp;
}

/* --- receiving --- */

/* VIDEODATA of AVC, pictures only: lengths become start codes in place. */
static int handle_video(const struct rtmp *rtmp, uint8_t *data, size_t len, int64_t complete_us)
{
	size_t at = 5;

	if (len < 5 || (data[0] & 15) != 7)
		return -EPROTO;
	if (data[1] != 1) /* the sequence header; the stream has its parameter sets, too */
		return 0;
	while (at + 4 <= len) {
		size_t nal = bytes_get32(data + at);

		if (nal > len - at - 4)
			return -EPROTO;
		memcpy(data + at, "\0\0\0\1", 4);
		at += 4 + nal;
	}
	rtmp->unit(rtmp->ctx, data + 5, len - 5, complete_us);
	return 0;
}

static int handle_message(struct rtmp *rtmp, struct chunk_stream *stream, int64_t complete_us)
{
	uint8_t *data = stream->message.data;
	size_t len = stream->message.len;

	if (stream->type == MESSAGE_CHUNK_SIZE && len >= 4) {
		rtmp->chunk_size = bytes_get32(data);
		return rtmp->chunk_size > 0 && rtmp->chunk_size <= MESSAGE_MAX ? 0 : -EPROTO;
	}
	if (stream->type == MESSAGE_COMMAND && len >= 9 && memcmp(data + 3, "_error", 6) == 0)
		return -EPROTO;
	return stream->type == MESSAGE_VIDEO && len > 0 ? handle_video(rtmp, data, len, complete_us)
							: 0;
}

/* Takes one chunk (5.3.1); returns its length, or 0 if it is not yet whole. */
static ssize_t take_chunk(struct rtmp *rtmp, const uint8_t *data, size_t len, int64_t now_us)
{
	static const uint8_t header_len[4] = {11, 7, 3, 0};
	struct chunk_stream *stream;
	const uint8_t *header = data + 1;
	size_t at, n;
	unsigned format;
	int result;

	if (len < 1)
		return 0;
	format = data[0] >> 6;
	if ((data[0] & 63) < 2) /* longer chunk stream ids: no server uses them for a player */
		return -EPROTO;
	stream = &rtmp->streams[data[0] & 63];
	at = 1u + header_len[format];
	if (len < at)
		return 0;
	if (format < 3)
		stream->extended = memcmp(header, "\xff\xff\xff", 3) == 0;
	if (format < 2) {
		stream->len = (uint32_t)header[3] << 16 | (uint32_t)header[4] << 8 | header[5];
		stream->type = header[6];
	}
	at += stream->extended ? 4 : 0;
	n = stream->len - stream->message.len;
	n = n < rtmp->chunk_size ? n : rtmp->chunk_size;
	if (len < at + n)
		return 0;
	buffer_append(&stream->message, data + at, n);
	if (stream->message.len == stream->len) {
		result = handle_message(rtmp, stream, now_us);
		stream->message.len = 0;
		if (result < 0)
			return result;
	}
	return (ssize_t)(at + n);
}

int rtmp_received(struct rtmp *rtmp, struct buffer *in, struct buffer *out, int64_t now_us)
{
	size_t at = 0;
	ssize_t n;

	if (!rtmp->talking) {
		if (in->len < 1 + 2 * HANDSHAKE)
			return 0;
		if (in->data[0] != 3)
			return -EPROTO;
		buffer_append(out, in->data + 1, HANDSHAKE); /* C2 is S1 */
		ask_to_play(rtmp, out);
		rtmp->talking = true;
		at = 1 + 2 * HANDSHAKE;
	}
	while ((n = take_chunk(rtmp, in->data + at, in->len - at, now_us)) > 0)
		at += (size_t)n;
	buffer_drop(in, at);
	return n < 0 ? (int)n : 0;
}

void rtmp_destroy(struct rtmp *rtmp)
{
	if (!rtmp)
		return;
	for (size_t i = 0; i < CHUNK_STREAMS; i++)
		buffer_finish(&rtmp->streams[i].message);
	free(rtmp);
}
