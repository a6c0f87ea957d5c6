/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/tunnel.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

const char tunnel_answer[] = "HTTP/1.0 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\n"
			     "Pragma: no-cache\r\n"
			     "Content-Type: application/x-rtsp-tunnelled\r\n\r\n";

static struct rtsp_session *find(const struct rtsp_session *post, const char *cookie)
{
	const struct rtsp *rtsp = post->rtsp;

	for (struct list *pos = rtsp->tunnels.next; pos != &rtsp->tunnels; pos = pos->next) {
		struct rtsp_session *get = container_of(pos, struct rtsp_session, tunnel);

		if (strcmp(get->cookie, cookie) == 0 &&
		    memcmp(get->host, post->host, sizeof get->host) == 0)
			return get;
	}
	return NULL;
}

int tunnel_enter(struct rtsp_session *session, const struct message *head)
{
	const char *cookie = message_header(head, "x-sessioncookie", NULL);
	struct rtsp_session *get;

	if (!cookie || !cookie[0] || strlen(cookie) >= sizeof session->cookie || session->cookie[0])
		return 400;
	get = find(session, cookie);
	if (head->method == MESSAGE_GET) {
		if (get)
			return 400; /* it would take the other's requests */
		strcpy(session->cookie, cookie);
		list_append(&session->rtsp->tunnels, &session->tunnel);
		return 200;
	}
	if (head->method != MESSAGE_POST)
		return 405;
	if (!get)
		return 404;
	if (get->other)
		return 400;
	strcpy(session->cookie, cookie);
	session->posts = true;
	session->other = get;
	get->other = session;
	return 0;
}

void tunnel_leave(struct rtsp_session *session)
{
	struct rtsp_session *other = session->other;

	list_remove(&session->tunnel);
	session->other = NULL;
	if (!other)
		return;
	other->other = NULL;
	connection_close(other->connection, false);
}

int tunnel_decode(struct tunnel_base64 *state, const uint8_t *data, size_t len, uint8_t *out)
{
	int n = 0;

	for (size_t i = 0; i < len; i++) {
		int value = bytes_base64_digit((char)data[i]);

		if (data[i] == '=') {
			state->n = 0; /* the bits of an incomplete byte */
			continue;
		}
		if (data[i] == '\r' || data[i] == '\n' || data[i] == ' ')
			continue;
		if (value < 0)
			return -EBADMSG;
		state->bits = state->bits << 6 | (uint32_t)value;
		state->n += 6;
		if (state->n >= 8) {
			state->n -= 8;
			out[n++] = (uint8_t)(state->bits >> state->n);
		}
	}
	return n;
}
