/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RTSP over HTTP, as QuickTime began it and players still speak it: a GET whose answer is what the
 * server sends, and a POST whose body is what the client sends, in base64. Both have the same
 * x-sessioncookie. Neither body has an end, and the POST gets no answer. Internal to rtsp.c. Loop
 * thread only.
 */
#ifndef DAEMON_RTSP_TUNNEL_H
#define DAEMON_RTSP_TUNNEL_H

#include "daemon/rtsp/session.h"

/* A request of HTTP: makes the session a half of a tunnel. 200: it is the GET, which is to be
 * answered with tunnel_answer; 0: it is the POST; else the status of the refusal. The two must come
 * from one host. */
int tunnel_enter(struct rtsp_session *session, const struct message *head);
extern const char tunnel_answer[];

/* The session ends; the other half ends with it. */
void tunnel_leave(struct rtsp_session *session);

/* Decodes len bytes of base64 (RFC 4648 clause 4) into out, which has room for len. Blanks and ends
 * of lines are skipped, and after padding another text may follow. Returns the bytes in out, or
 * -EBADMSG. */
int tunnel_decode(struct tunnel_base64 *state, const uint8_t *data, size_t len, uint8_t *out);

#endif
