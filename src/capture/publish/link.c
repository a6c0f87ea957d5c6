/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/publish/link.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/diag.h"
#include "process/pair.h"

int link_send(int pair, const void *message, size_t len, int fd)
{
	const int err = pair_send(pair, message, len, &fd, fd >= 0);

	switch (-err) {
	case ENOBUFS:
	case ENOMEM:
	case ETOOMANYREFS: /* unix(7): too many fds in flight */
		return -EAGAIN;
	case ECONNRESET:
	case ENOTCONN:
		return -EPIPE;
	default:
		return err;
	}
}

union message {
	uint32_t type;
	struct camcast_msg_want want;
	struct camcast_msg_idr idr;
	struct camcast_msg_bitrate bitrate;
	struct camcast_msg_control control;
	struct camcast_msg_get_segment get_segment;
	char bytes[512]; /* a longer message is detected by its size */
};

static size_t size_of(uint32_t type)
{
	switch (type) {
	case CAMCAST_MSG_WANT:
		return sizeof(struct camcast_msg_want);
	case CAMCAST_MSG_IDR:
		return sizeof(struct camcast_msg_idr);
	case CAMCAST_MSG_BITRATE:
		return sizeof(struct camcast_msg_bitrate);
	case CAMCAST_MSG_CONTROL:
		return sizeof(struct camcast_msg_control);
	case CAMCAST_MSG_GET_SEGMENT:
		return sizeof(struct camcast_msg_get_segment);
	default:
		return 0;
	}
}

static void dispatch(union message *message, const struct link_handlers *handlers, void *user)
{
	switch (message->type) {
	case CAMCAST_MSG_WANT:
		handlers->want(user, &message->want);
		break;
	case CAMCAST_MSG_IDR:
		handlers->idr(user, &message->idr);
		break;
	case CAMCAST_MSG_BITRATE:
		handlers->bitrate(user, &message->bitrate);
		break;
	case CAMCAST_MSG_CONTROL:
		message->control.name[sizeof(message->control.name) - 1] = '\0';
		message->control.value[sizeof(message->control.value) - 1] = '\0';
		handlers->control(user, &message->control);
		break;
	case CAMCAST_MSG_GET_SEGMENT:
		handlers->get_segment(user, &message->get_segment);
		break;
	}
}

int link_receive(int pair, const struct link_handlers *handlers, void *user)
{
	for (;;) {
		union message message;
		ssize_t n = recv(pair, &message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return -EPIPE;
		if (n < 0)
			return -errno;
		if ((size_t)n < sizeof(message.type) || (size_t)n != size_of(message.type))
			diag_warn("ignored a message of %zd bytes from camcastd: camcastd and "
				  "camcast-capture have different versions",
				  n);
		else
			dispatch(&message, handlers, user);
	}
}
