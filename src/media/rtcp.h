/* SPDX-License-Identifier: BSD-2-Clause */
/* What receivers report (RTCP, RFC 3550 clause 6). Any thread. */
#ifndef MEDIA_RTCP_H
#define MEDIA_RTCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTCP_MAX 1500 /* bytes of packets that come together and are read */

/* A receiver's report about one source (clause 6.4.1). */
struct rtcp_report {
	uint8_t fraction; /* of the packets since its last report that were lost, in 256ths */
	int32_t lost;	  /* packets since it began, less those that came twice; 24 bits */
	uint32_t jitter;  /* in ticks of the RTP clock */
};

/*
 * Reads RTCP packets that came together, in a datagram or a frame of RTSP. False: they are none, by
 * the rules of appendix A.2 of the RFC, or one does not lie within the bytes. *about is set to the
 * report about the source ssrc; *found: there is one.
 */
bool rtcp_read(const uint8_t *data, size_t len, uint32_t ssrc, struct rtcp_report *about,
	       bool *found);
/* Whether a datagram that rtcp_read() has accepted begins with a receiver report (clause 6.4.2) of
 * somebody else than the source ssrc. */
bool rtcp_is_of_receiver(const uint8_t *data, size_t len, uint32_t ssrc);

#endif
