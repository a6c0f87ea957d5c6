/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RTP and RTCP packets (RFC 3550) in the interleaved frames of RTSP over TCP (RFC 2326 clause
 * 10.12), as camcast/rtp.h uses them. Any thread.
 */
#ifndef MEDIA_RTP_H
#define MEDIA_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTP_FRAME_HEAD 4 /* bytes of the `$`, the channel and the length */
#define RTP_HEAD 12	 /* bytes of a packet before its payload */
#define RTP_REPORT_LEN                                                                             \
	(RTP_FRAME_HEAD + 28 + 28) /* an interleaved sender report, with a source description */

/* The beginning of an RTP packet (clause 5.1). */
struct rtp_head {
	bool marker;
	uint8_t type; /* of the payload */
	uint16_t sequence;
	uint32_t time;
	uint32_t ssrc;
};

/* Writes a frame's beginning, for a packet of len bytes: RTP_FRAME_HEAD bytes. Returns the end. */
uint8_t *rtp_put_frame(uint8_t *out, unsigned channel, size_t len);
/* Writes RTP_HEAD bytes. Returns the end. */
uint8_t *rtp_put_head(uint8_t *out, const struct rtp_head *head);

/* A sender report (clause 6.4.1). */
struct rtp_report {
	uint32_t ssrc;
	int64_t utc_us; /* Unix time of the picture, */
	uint32_t time;	/* and its RTP time */
	uint32_t packets, payload_bytes;
};

/* Writes a report and a source description (clause 6.5) in one frame on the channel: RTP_REPORT_LEN
 * bytes. Returns the end. */
uint8_t *rtp_put_report(uint8_t *out, unsigned channel, const struct rtp_report *report);

/* The RTP time of a moment of a stream. */
uint32_t rtp_time(int64_t us, uint32_t offset);

/* Reads the first RTP packet in a unit's frames, or the last one. False: there is none, or the
 * frames do not fill the bytes. */
bool rtp_read_first(const uint8_t *data, size_t len, struct rtp_head *out);
bool rtp_read_last(const uint8_t *data, size_t len, struct rtp_head *out);

#endif
