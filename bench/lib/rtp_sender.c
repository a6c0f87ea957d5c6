/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/rtp_sender.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "bench/lib/unit.h"
#include "camcast/rtp.h"
#include "capture/publish/mux.h"
#include "daemon/rtsp/datagrams.h"
#include "media/nal.h"
#include "media/rtp.h"

#define KEY_EVERY 30  /* units, */
#define UNIT_US 33333 /* so far apart */
#define NALS_MAX 8    /* of a unit that unit_build() makes */
#define SSRC 1

/* A unit's frames, and the packets in them. */
struct packets {
	uint8_t *frames;
	size_t len;
	struct iovec *list;
	unsigned n;
	struct datagrams datagrams;
};

struct target {
	struct sockaddr_in to;
	int fd; /* RTP_GSO_CONNECTED: its own */
};

struct rtp_sender {
	enum rtp_sender_way way;
	struct packets key, other;
	struct packets *chosen;
	uint16_t sequence; /* of the next unit's first packet */
	struct target *targets;
	unsigned n, room;
	int fd; /* of all; -1: each has its own */
};

/* --- units --- */

static int flatten(struct packets *packets, const struct mux_framed *framed)
{
	for (int i = 0; i < framed->iovcnt; i++)
		packets->len += framed->iov[i].iov_len;
	packets->frames = malloc(packets->len);
	packets->list = calloc(packets->len / RTP_FRAME_HEAD, sizeof(*packets->list));
	if (!packets->frames || !packets->list)
		return -ENOMEM;
	packets->len = 0;
	for (int i = 0; i < framed->iovcnt; i++) {
		memcpy(packets->frames + packets->len, framed->iov[i].iov_base,
		       framed->iov[i].iov_len);
		packets->len += framed->iov[i].iov_len;
	}
	for (size_t at = 0; at < packets->len;) {
		uint8_t *frame = packets->frames + at;
		size_t len = bytes_get16(frame + 2);

		if (frame[1] == CAMCAST_RTP_CHANNEL)
			packets->list[packets->n++] = (struct iovec){frame + RTP_FRAME_HEAD, len};
		at += RTP_FRAME_HEAD + len;
	}
	return packets->n <= DATAGRAMS_MAX ? 0 : -EMSGSIZE;
}

/* unit: as unit_build() makes it. */
static int frame_unit(struct packets *packets, struct mux *mux, const uint8_t *unit, size_t size,
		      bool key)
{
	const struct mux_rtp rtp = {.ssrc = SSRC};
	struct iovec sets[NALS_MAX], nals[NALS_MAX];
	struct mux_unit whole = {.len = size,
				 .sets = sets,
				 .nals = nals,
				 .key = key,
				 .duration_us = UNIT_US,
				 .rtp = &rtp};
	struct mux_framed framed;
	struct nal nal;
	size_t at = 0;
	int result;

	while (nal_next(unit, size, &at, &nal) && whole.n_sets < NALS_MAX &&
	       whole.n_nals < NALS_MAX) {
		struct iovec piece = {(void *)(uintptr_t)nal.data, nal.len};

		if (nal.type == NAL_SPS || nal.type == NAL_PPS)
			sets[whole.n_sets++] = piece;
		else if (nal.type != NAL_AUD)
			nals[whole.n_nals++] = piece;
	}
	result = mux_frame(mux, &whole, &framed);
	return result < 0 ? result : flatten(packets, &framed);
}

static int make_unit(struct packets *packets, size_t size, bool key)
{
	const struct mux_options options = {.framing = CONFIG_FRAMING_RTP,
					    .packet_len = CAMCAST_RTP_PACKET_LEN};
	uint8_t *unit = malloc(size);
	struct mux *mux;
	int result = unit ? mux_create(&mux, &options) : -ENOMEM;

	if (result < 0)
		goto free_unit;
	unit_build(unit, size, 0, key, false, -1);
	result = frame_unit(packets, mux, unit, size, key);
	mux_destroy(mux);
free_unit:
	free(unit);
	return result;
}

void rtp_sender_choose(struct rtp_sender *sender, uint64_t n)
{
	struct packets *packets = n % KEY_EVERY == 0 ? &sender->key : &sender->other;
	/* The packets change their place in no message, so that these are made only once. */
	const struct datagrams_options options = {.data = packets->frames,
						  .len = packets->len,
						  .max = DATAGRAMS_MAX,
						  .segmented = true};

	sender->chosen = packets;
	for (unsigned i = 0; i < packets->n; i++) {
		uint8_t *head = packets->list[i].iov_base;

		bytes_put16(head + 2, sender->sequence++);
		bytes_put32(head + 4, rtp_time((int64_t)n * UNIT_US, 0));
	}
	datagrams_make(&packets->datagrams, &options);
}

/* --- clients --- */

int rtp_sender_add(struct rtp_sender *sender, int connection, uint16_t port)
{
	struct target *target = &sender->targets[sender->n];
	struct sockaddr_in local;
	socklen_t len = sizeof(target->to), local_len = sizeof(local);
	const int on = 1;
	int fd;

	if (sender->n == sender->room)
		return -ENOSPC;
	if (getpeername(connection, (struct sockaddr *)&target->to, &len) < 0 ||
	    getsockname(connection, (struct sockaddr *)&local, &local_len) < 0)
		return -errno;
	if (target->to.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	target->to.sin_port = htons(port);
	sender->n++;
	if (sender->way != RTP_GSO_CONNECTED && sender->fd >= 0)
		return 0;
	/* All from the port of the connection: that of UDP is free. */
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&local, local_len) < 0)
		return -errno;
	if (sender->way != RTP_GSO_CONNECTED) {
		sender->fd = fd;
		return 0;
	}
	target->fd = fd;
	return connect(fd, (struct sockaddr *)&target->to, len) < 0 ? -errno : 0;
}

static int send_packets(const struct rtp_sender *sender, const struct target *target)
{
	const struct packets *packets = sender->chosen;

	for (unsigned i = 0; i < packets->n; i++) {
		if (sendto(sender->fd, packets->list[i].iov_base, packets->list[i].iov_len,
			   MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&target->to,
			   sizeof(target->to)) < 0)
			return -errno;
	}
	return 0;
}

static int send_messages(const struct rtp_sender *sender, struct target *target)
{
	struct datagrams *datagrams = &sender->chosen->datagrams;
	bool connected = sender->way == RTP_GSO_CONNECTED;

	for (unsigned i = 0; i < datagrams->n; i++) {
		struct msghdr *message = &datagrams->messages[i].msg_hdr;

		message->msg_name = connected ? NULL : &target->to;
		message->msg_namelen = connected ? 0 : sizeof(target->to);
		if (sendmsg(connected ? target->fd : sender->fd, message,
			    MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return -errno;
	}
	return 0;
}

int rtp_sender_send(struct rtp_sender *sender, unsigned client)
{
	struct target *target = &sender->targets[client];

	return sender->way == RTP_SENDTO ? send_packets(sender, target)
					 : send_messages(sender, target);
}

/* --- its life --- */

int rtp_sender_create(struct rtp_sender **out, enum rtp_sender_way way, size_t unit_size,
		      unsigned clients)
{
	struct rtp_sender *sender = calloc(1, sizeof(*sender));
	int result = -ENOMEM;

	if (!sender)
		return -ENOMEM;
	sender->way = way;
	sender->fd = -1;
	sender->room = clients;
	sender->targets = calloc(clients, sizeof(*sender->targets));
	for (unsigned i = 0; sender->targets && i < clients; i++)
		sender->targets[i].fd = -1;
	if (sender->targets)
		result = make_unit(&sender->key, unit_size, true);
	if (result == 0)
		result = make_unit(&sender->other, unit_size, false);
	if (result < 0) {
		rtp_sender_destroy(sender);
		return result;
	}
	*out = sender;
	return 0;
}

void rtp_sender_destroy(struct rtp_sender *sender)
{
	if (!sender)
		return;
	for (unsigned i = 0; i < sender->n; i++) {
		if (sender->targets[i].fd >= 0)
			close(sender->targets[i].fd);
	}
	if (sender->fd >= 0)
		close(sender->fd);
	free(sender->targets);
	free(sender->key.frames);
	free(sender->key.list);
	free(sender->other.frames);
	free(sender->other.list);
	free(sender);
}
