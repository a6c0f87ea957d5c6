/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/rtsp_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "net/message.h"

#define REQUEST_MAX 4096 /* bytes */

static const char description[] =
	"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track\r\n";

static int answer_setup(const struct message *request, uint16_t *port, char *out, size_t room)
{
	const char *transport = message_header(request, "Transport", NULL);
	const char *ports = transport ? strstr(transport, "client_port=") : NULL;
	unsigned rtp;

	if (!ports || sscanf(ports, "client_port=%5u", &rtp) != 1 || rtp == 0 || rtp >= UINT16_MAX)
		return -EPROTO;
	*port = (uint16_t)rtp;
	/* No run is longer than the session. */
	snprintf(out, room,
		 "Session: 1;timeout=3600\r\nTransport: RTP/AVP;unicast;client_port=%u-%u\r\n", rtp,
		 rtp + 1);
	return 0;
}

int rtsp_host_answer(int fd, uint16_t *port)
{
	static struct message request; /* too large for the stack, and used here only */
	char text[REQUEST_MAX], headers[160] = "";
	const char *body = "", *number;
	ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
	size_t taken;
	int result = 0;

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	message_init(&request);
	if (n == 0 || message_push(&request, text, (size_t)n, &taken) != MESSAGE_COMPLETE)
		return -EPROTO;
	number = message_header(&request, "CSeq", NULL);
	if (request.method == MESSAGE_DESCRIBE)
		body = description;
	else if (request.method == MESSAGE_SETUP)
		result = answer_setup(&request, port, headers, sizeof(headers));
	if (result < 0 || !number)
		return -EPROTO;
	n = snprintf(text, sizeof(text),
		     "RTSP/1.0 200 OK\r\nCSeq: %.20s\r\n%sContent-Length: %zu\r\n\r\n%s", number,
		     headers, strlen(body), body);
	if (send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		return -EPROTO;
	return request.method == MESSAGE_PLAY;
}
