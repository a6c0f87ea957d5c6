/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/datagrams.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "base/bytes.h"
#include "camcast/rtp.h"
#include "media/rtp.h"

/* A message that begins with the packet in the newest piece. */
static void begin_message(struct datagrams *d)
{
	struct msghdr *message = &d->messages[d->n].msg_hdr;

	memset(message, 0, sizeof *message);
	message->msg_iov = &d->pieces[d->packets];
	d->n++;
}

/* Whether a packet of len bytes can follow in the newest message, in which `bytes` are. */
static bool fits(const struct datagrams *d, size_t bytes, size_t len)
{
	const struct msghdr *message = &d->messages[d->n - 1].msg_hdr;
	const struct iovec *pieces = message->msg_iov;
	size_t n = message->msg_iovlen;

	/* All but the last one have the length of the first. */
	return d->segmented && n < DATAGRAMS_SEGMENTS_MAX && len <= pieces[0].iov_len &&
	       pieces[n - 1].iov_len == pieces[0].iov_len && bytes + len <= DATAGRAMS_MESSAGE_MAX;
}

/* Says how long the datagrams of the newest message are, if it has more than one. */
static void end_message(struct datagrams *d)
{
	struct msghdr *message;
	struct cmsghdr *control;
	uint16_t len;

	if (d->n == 0)
		return;
	message = &d->messages[d->n - 1].msg_hdr;
	if (message->msg_iovlen < 2)
		return;
	len = (uint16_t)message->msg_iov[0].iov_len;
	message->msg_control = d->controls[d->n - 1].bytes;
	message->msg_controllen = sizeof d->controls[0].bytes;
	control = CMSG_FIRSTHDR(message);
	control->cmsg_level = IPPROTO_UDP;
	control->cmsg_type = UDP_SEGMENT;
	control->cmsg_len = CMSG_LEN(sizeof len);
	memcpy(CMSG_DATA(control), &len, sizeof len);
}

static void make(struct datagrams *d)
{
	size_t bytes = 0, at = 0;

	while (at < d->len && d->packets < d->max) {
		const uint8_t *frame = d->data + at;
		size_t len;

		if (d->len - at < RTP_FRAME_HEAD || frame[0] != '$')
			break;
		len = bytes_get16(frame + 2);
		if (len == 0 || len > d->len - at - RTP_FRAME_HEAD || len > DATAGRAMS_MESSAGE_MAX)
			break;
		/* A report goes to another port, and first. More of them would cost each viewer a
		 * system call for a few bytes. */
		if (frame[1] != CAMCAST_RTP_CHANNEL && (frame[1] != CAMCAST_RTCP_CHANNEL || at > 0))
			break;
		at += RTP_FRAME_HEAD + len;
		if (frame[1] == CAMCAST_RTCP_CHANNEL) {
			d->report.iov_base = (void *)(uintptr_t)(frame + RTP_FRAME_HEAD);
			d->report.iov_len = len;
			continue;
		}
		d->pieces[d->packets].iov_base = (void *)(uintptr_t)(frame + RTP_FRAME_HEAD);
		d->pieces[d->packets].iov_len = len;
		if (d->n == 0 || !fits(d, bytes, len)) {
			end_message(d);
			begin_message(d);
			bytes = 0;
		}
		bytes += len;
		d->messages[d->n - 1].msg_hdr.msg_iovlen++;
		d->ends[d->n - 1] = (uint32_t)at;
		d->packets++;
	}
	if (at < d->len && d->packets < d->max)
		at = d->len; /* the rest is none of ours */
	end_message(d);
	d->taken = (uint32_t)at;
	if (d->n > 0)
		d->ends[d->n - 1] = d->taken;
}

void datagrams_make(struct datagrams *d, const struct datagrams_options *options)
{
	assert(options->len > 0 && options->max >= 1 && options->max <= DATAGRAMS_MAX);
	if (d->data == options->data && d->len == options->len && d->max == options->max &&
	    d->segmented == options->segmented && d->turn == options->turn)
		return;
	d->data = options->data;
	d->len = options->len;
	d->max = options->max;
	d->segmented = options->segmented;
	d->turn = options->turn;
	d->n = 0;
	d->packets = 0;
	d->report = (struct iovec){0};
	make(d);
}
