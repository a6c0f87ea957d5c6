/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever comes as HTTP or RTSP, in whatever pieces: heads are read within their bounds, the
 * pieces make no difference, and what is said of a head holds together. The first byte says how
 * long the pieces are; heads follow one another, with bodies and interleaved frames between them.
 */
#include <stdlib.h>
#include <string.h>

#include "net/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* text lies in the message, and no character in it could end a line. */
static size_t check_text(const struct message *message, const char *text)
{
	const char *begin = (const char *)message;

	require(text >= begin && text < begin + sizeof *message);
	for (const char *c = text; *c; c++)
		require((unsigned char)*c >= 0x20 ? *c != 0x7f : *c == '\t');
	return strlen(text);
}

static void check_request(const struct message *message)
{
	char decoded[MESSAGE_TARGET_MAX];
	size_t len = check_text(message, message->method_name);

	require(len > 0 && len < MESSAGE_METHOD_MAX);
	len = check_text(message, message->target);
	require(len > 0 && len < MESSAGE_TARGET_MAX);
	if (message->authority)
		require(check_text(message, message->authority) > 0);
	require(message->path[0] == '/' || strcmp(message->path, "*") == 0 ||
		(message->method == MESSAGE_CONNECT && !message->path[0]));
	require(strlen(message->path) <= len + 1);
	if (message->query)
		require(check_text(message, message->query) < len);
	if (message_decode(message->path, decoded, sizeof decoded) == 0)
		require(strlen(decoded) <= strlen(message->path));
	require(message_decode(message->path, decoded, 1) < 0 || !message->path[0]);
}

static void check_head(const struct message *message)
{
	const char *host = message_header(message, "Host", NULL), *value = NULL;

	if (message->status)
		check_text(message, message->reason);
	else
		check_request(message);
	require(!host || !message_header(message, "host", host));
	require(!message->chunked || message->content_length < 0);
	require((message->content_length >= 0) ==
		(message_header(message, "CONTENT-LENGTH", NULL) != NULL));
	while ((value = message_header(message, "Connection", value)) != NULL) {
		size_t len = check_text(message, value);

		require(len == 0 || (!strchr(" \t", value[0]) && !strchr(" \t", value[len - 1])));
		if (len > 0 && strspn(value, "abcdefghijklmnopqrstuvwxyz-") == len)
			require(message_has_token(message, "connection", value));
	}
}

/* Pushes len bytes in pieces. */
static int push(struct message *message, const uint8_t *data, size_t len, size_t piece,
		size_t *taken)
{
	int result = MESSAGE_MORE;

	message_init(message);
	for (*taken = 0; *taken < len && result == MESSAGE_MORE;) {
		size_t left = len - *taken, n;

		left = left < piece ? left : piece;
		result = message_push(message, (const char *)data + *taken, left, &n);
		require(n <= left && (n == left || result != MESSAGE_MORE));
		*taken += n;
	}
	require(*taken <= MESSAGE_MAX);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct message whole, pieces;

	if (size < 1)
		return 0;
	for (size_t at = 1, piece = data[0] ? data[0] * 16u : 1; at < size;) {
		size_t taken, again;
		int result = push(&whole, data + at, size - at, size, &taken);

		require(push(&pieces, data + at, size - at, piece, &again) == result);
		require(again == taken && pieces.len == whole.len);
		require(memcmp(pieces.head, whole.head, whole.len) == 0);
		at += taken;
		if (result == MESSAGE_INTERLEAVED) {
			size_t frame = size - at < 4 ? 4 : 4u + (data[at + 2] << 8 | data[at + 3]);

			at = frame < size - at ? at + frame : size;
			continue;
		}
		if (result != MESSAGE_COMPLETE) {
			require(result == MESSAGE_MORE || message_error_status(result) >= 400);
			break;
		}
		check_head(&whole);
		if (whole.content_length > 0)
			at = (uint64_t)whole.content_length < size - at
				     ? at + (size_t)whole.content_length
				     : size;
	}
	return 0;
}
