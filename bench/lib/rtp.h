/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Access units from the RTP packets of one H.264 stream (RFC 3550; RFC 6184: single NAL units,
 * STAP-A and FU-A), as Annex B. A unit ends at the packet with the marker bit, or where the
 * timestamp changes. One that lacks packets is not passed on. One thread.
 */
#ifndef BENCH_LIB_RTP_H
#define BENCH_LIB_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/lib/buffer.h"
#include "bench/lib/unit.h"

/* The results of all readers. */
struct rtp_tally {
	uint64_t packets, reports; /* reports: of the sender (RFC 3550 clause 6.4.1) */
	uint64_t gaps, lost;	   /* jumps of the sequence number, and packets left out in them */
	uint64_t torn;		   /* units that lacked packets, after the first whole one */
	uint64_t ssrc_changes;
};

struct rtp_reader {
	struct rtp_tally *tally;
	unsigned payload_type; /* packets of others are not read */
	/* For key units without any, as the session description has them; borrowed, NULL: none. */
	const struct buffer *parameter_sets;
	bool begun, passed; /* a packet came, a unit was passed on */
	uint16_t next;	    /* sequence number */
	uint32_t ssrc, timestamp;
	/* The unit that is being put together. */
	struct buffer unit;
	bool skipping;	  /* up to its end, as packets are missing */
	bool in_fragment; /* of a NAL unit */
	bool has_sps;
	int64_t byte_us; /* when its newest packet was whole */
	unit_fn *fn;
	void *ctx;
};

/* tally, parameter_sets and ctx are borrowed. */
void rtp_reader_init(struct rtp_reader *reader, struct rtp_tally *tally, unit_fn *unit, void *ctx);
/* Takes a whole packet. 0, or -EBADMSG. */
int rtp_reader_read(struct rtp_reader *reader, const uint8_t *packet, size_t len, int64_t now_us);
/* Takes a whole packet of RTCP. 0, or -EBADMSG. */
int rtp_reader_read_control(struct rtp_reader *reader, const uint8_t *packet, size_t len);
void rtp_reader_finish(struct rtp_reader *reader);

#endif
