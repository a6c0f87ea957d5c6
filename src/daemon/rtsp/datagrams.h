/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frames of a unit (camcast/rtp.h) as messages for sendmmsg(): each packet a datagram, without
 * the four bytes that stand before it in the log. Packets of one length that follow each other, and
 * a shorter one behind them, are one message, which the kernel or the device cuts into datagrams
 * (UDP_SEGMENT, udp(7)). Nothing is copied. Loop thread only.
 */
#ifndef DAEMON_RTSP_DATAGRAMS_H
#define DAEMON_RTSP_DATAGRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define DATAGRAMS_MAX 90	     /* packets at once */
#define DATAGRAMS_SEGMENTS_MAX 46    /* in a message; kernels allow 64 */
#define DATAGRAMS_MESSAGE_MAX 64400u /* bytes of a message; a datagram has at most 65,507 */

/* UDP_SEGMENT beside a message. */
union datagrams_control {
	char bytes[CMSG_SPACE(sizeof(uint16_t))];
	struct cmsghdr align;
};

struct datagrams {
	struct mmsghdr messages[DATAGRAMS_MAX];
	uint32_t ends[DATAGRAMS_MAX]; /* bytes of frames up to the end of a message */
	unsigned n;		      /* messages */
	unsigned packets;	      /* in them */
	uint32_t taken;		      /* bytes of frames that are in them, reports included */
	struct iovec report;	      /* the RTCP packet before them; iov_len 0: none */
	/* --- below: of datagrams.c --- */
	struct iovec pieces[DATAGRAMS_MAX];
	union datagrams_control controls[DATAGRAMS_MAX];
	const uint8_t *data; /* what they were made of */
	size_t len;
	unsigned max;
	bool segmented;
	uint64_t turn;
};

/* What they are to be made of: len bytes (at least 1) of frames, of which at most `max` packets
 * (1..DATAGRAMS_MAX) are taken. `turn` changes at least whenever the bytes at data can be others:
 * within a turn, datagrams of what they were made of last are not made again. */
struct datagrams_options {
	const uint8_t *data;
	size_t len;
	unsigned max;
	bool segmented; /* else each packet is a message */
	uint64_t turn;
};

/* Makes them; all of it is valid as long as the bytes at data. What is no frame, and a report that
 * is not the first of them, ends the unit: taken is len then. */
void datagrams_make(struct datagrams *datagrams, const struct datagrams_options *options);

#endif
