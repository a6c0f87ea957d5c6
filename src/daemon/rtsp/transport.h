/* SPDX-License-Identifier: BSD-2-Clause */
/* The Transport header of a SETUP (RFC 2326 clause 12.39). Any thread. */
#ifndef DAEMON_RTSP_TRANSPORT_H
#define DAEMON_RTSP_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

/* How packets reach a viewer; bits. */
enum transport_kind {
	TRANSPORT_INTERLEAVED = 1, /* in the RTSP connection */
	TRANSPORT_UDP = 2,	   /* to two ports of the peer */
	TRANSPORT_MULTICAST = 4,   /* to the group of the stream */
};

/* Lower ports are those of services, to which nobody asks for a picture. */
#define TRANSPORT_PORT_MIN 1024

struct transport {
	enum transport_kind kind;
	bool lower;		      /* it was called RTP/AVP/UDP, not RTP/AVP */
	uint16_t rtp_port, rtcp_port; /* UDP: of the peer, TRANSPORT_PORT_MIN..65535 */
};

/* Chooses the first of the transports in the value, which are separated by commas, that is of one
 * of the kinds, and for playing. The channels that the peer names are not read, as the server
 * answers with its own; neither is a destination, as packets go to the RTSP peer only, or to the
 * group of the stream. "RTP/AVP" is UDP (clause 12.39), also with channels: gst-rtsp-server and
 * live555 take it as UDP as well, to no port, gortsplib refuses it. Without ports it is none here,
 * so that a peer can ask for another one. False: there is none, and *out is unchanged. */
bool transport_choose(const char *value, unsigned kinds, struct transport *out);

#endif
