/* SPDX-License-Identifier: BSD-2-Clause */
/* The description of a stream (SDP, RFC 4566), for RTSP or for its multicast group. Loop thread. */
#ifndef DAEMON_RTSP_SDP_H
#define DAEMON_RTSP_SDP_H

#include "daemon/rtsp/rtsp.h"

#define SDP_MAX 8192 /* bytes, terminator included: a preamble in base64, and the rest */

struct sdp_options {
	const struct rtsp_stream *stream;
	const struct net_peer *local; /* the server's end of the connection, or of the packets */
	/* NULL: RTSP says where the packets are. */
	const struct multicast_settings *group;
	uint64_t id, version; /* of the description; the version grows when another one changes */
};

/* Writes it, of H.264 with the preamble (camcast/rtp.h) of the newest unit of the stream's feed. 0;
 * -EAGAIN: there is no unit yet; -EINVAL: the preamble has no SPS and PPS. */
int sdp_write(char out[SDP_MAX], const struct sdp_options *options);

/* Of a description that is given to others again and again; zeroed before the first use. */
struct sdp_version {
	uint64_t number;
	uint64_t hash; /* of the description with this number */
};
/* The same with the version of the newest one, or, if it says something else, the next version
 * (RFC 4566 clause 5.2). options->version is not read. */
int sdp_write_version(char out[SDP_MAX], const struct sdp_options *options,
		      struct sdp_version *newest);

#endif
