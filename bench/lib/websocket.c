/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/websocket.h"

#include <errno.h>
#include <string.h>

#define FRAME_MAX (64u << 20) /* bytes; no unit is longer */
#define CONTROL_MAX 125

enum opcode { OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };

static void put_text(struct buffer *out, const char *text)
{
	buffer_append(out, text, strlen(text));
}

void websocket_ask(struct buffer *out, const char *host, const char *path)
{
	put_text(out, "GET /");
	put_text(out, path);
	put_text(out, " HTTP/1.1\r\nHost: ");
	put_text(out, host);
	/* The key of RFC 6455 clause 1.3: the answer is not checked. */
	put_text(out, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		      "Sec-WebSocket-Version: 13\r\n"
		      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
}

/* Clients mask what they send (clause 5.3); a mask of zeros changes nothing. */
static void put_pong(struct buffer *out, const uint8_t *data, size_t len)
{
	const uint8_t head[] = {0x80 | OP_PONG, (uint8_t)(0x80 | len), 0, 0, 0, 0};

	buffer_append(out, head, sizeof(head));
	buffer_append(out, data, len);
}

/* The bytes of the head of a frame, and in *len those of its data; 0: the head is not whole. */
static size_t read_head(const uint8_t *data, size_t there, uint64_t *len)
{
	size_t more, head = 2;

	if (there < head)
		return 0;
	*len = data[1] & 0x7f;
	more = *len == 127 ? 8 : *len == 126 ? 2 : 0;
	if (there < head + more)
		return 0;
	for (*len = more ? 0 : *len; more > 0; more--)
		*len = *len << 8 | data[head++];
	return head;
}

int websocket_read(struct buffer *in, struct buffer *payload, struct buffer *out)
{
	size_t at = 0, head;
	uint64_t len;
	int result = 0;

	while ((head = read_head(in->data + at, in->len - at, &len)) > 0) {
		const uint8_t *frame = in->data + at;
		unsigned opcode = frame[0] & 15;

		if (len > FRAME_MAX || frame[1] & 0x80 || opcode == OP_CLOSE ||
		    (opcode >= OP_CLOSE && len > CONTROL_MAX)) {
			result = -EBADMSG;
			break;
		}
		if (in->len - at < head + len)
			break;
		if (opcode == OP_BINARY || opcode == OP_CONTINUATION)
			buffer_append(payload, frame + head, len);
		else if (opcode == OP_PING)
			put_pong(out, frame + head, len);
		at += head + len;
	}
	if (at > 0)
		buffer_drop(in, at);
	return result;
}
