/* SPDX-License-Identifier: BSD-2-Clause */
/* The description of a stream (SDP, RFC 4566), for RTSP or for its multicast group. Any thread. */
#ifndef DAEMON_RTSP_SDP_H
#define DAEMON_RTSP_SDP_H

#include "daemon/rtsp/rtsp.h"

#define SDP_MAX 8192 /* bytes, terminator included: a preamble in base64, and the rest */

struct sdp_options {
	const struct rtsp_stream *stream;
	const struct net_peer *local; /* the server's end of the connection, or of the packets */
	/* NULL: RTSP says where the packets are. */
	const struct multicast_settings *group;
	uint64_t id;
	/* H.264: the feed's preamble (camcast/rtp.h). */
	const uint8_t *preamble;
	size_t preamble_len;
};

/* Writes it. 0, or -EINVAL: the preamble has no SPS and PPS. */
int sdp_write(char out[SDP_MAX], const struct sdp_options *options);
/* The same with the preamble of the newest unit of the stream's feed. Also -EAGAIN: there is none
 * yet. Loop thread. */
int sdp_write_newest(char out[SDP_MAX], const struct sdp_options *options);

#endif
