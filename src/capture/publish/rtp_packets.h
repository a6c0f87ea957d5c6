/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The RTP packets of a unit, in interleaved frames (camcast/rtp.h): what the framings `rtp`,
 * `rtp_jpeg` and `rtp_ts` share. Payloads are borrowed from the unit. One thread at a time.
 */
#ifndef CAPTURE_PUBLISH_RTP_PACKETS_H
#define CAPTURE_PUBLISH_RTP_PACKETS_H

#include "capture/publish/mux.h"
#include "media/rtp.h"

/* Zeroed at the beginning, except that the caller sets `type` and `room`. */
struct rtp_packets {
	uint8_t type; /* of the payload */
	size_t room;  /* bytes of an RTP packet's payload, at most */
	/* --- below: private --- */
	struct mux_list list;
	uint8_t *heads, *at; /* those of the frames, and where the next one stands */
	size_t heads_room;
	struct rtp_head head; /* of the next packet */
	uint32_t packets, payload_bytes;
	int64_t reported_us;
	bool begun;
};

/* Begins a unit of at most `packets` packets, whose payloads begin with at most `own_bytes` bytes
 * of the framing's own in all: writes the report if one is due. 0 or -ENOMEM. */
int rtp_packets_begin(struct rtp_packets *packets, const struct mux_unit *unit, size_t n_packets,
		      size_t own_bytes);
/* Adds a packet, whose payload is own (own_len bytes, copied) and then data. Both together are not
 * longer than `room`. marker: it is the unit's last one. */
void rtp_packets_add(struct rtp_packets *packets, const uint8_t *own, size_t own_len,
		     const void *data, size_t len, bool marker);
/* Hands the unit out. */
void rtp_packets_end(const struct rtp_packets *packets, struct mux_framed *out);
void rtp_packets_free(struct rtp_packets *packets);

#endif
