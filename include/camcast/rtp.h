/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Units of the framings `rtp` (H.264, RFC 6184), `rtp_jpeg` (JPEG, RFC 2435) and `rtp_ts` (H.264 in
 * an MPEG transport stream, RFC 2250), as RTSP sends them over TCP (RFC 2326 clause 10.12):
 * interleaved frames, each a `$`, a channel, the length of what follows in two bytes, and a packet.
 * RTP packets have CAMCAST_RTP_CHANNEL, and RTCP packets CAMCAST_RTCP_CHANNEL. All viewers of a
 * stream get the same packets, with one SSRC and one sequence.
 *
 * A key unit, and a unit that comes CAMCAST_RTP_REPORT_US after the last report, begin with a
 * sender report, which states when the unit's picture was taken. A key unit of H.264 goes on with
 * an access unit delimiter in a packet of its own, which may be lost without harm: clients throw
 * the first packet behind a gap away. Then come the SPS and the PPS, each alone in a packet, and
 * the slices. The last packet of a unit has the marker. In `rtp_ts` the packet that may be lost has
 * the service description alone, and no packet has the marker.
 *
 * The preamble of `rtp` is what an SDP needs and no client reads: the SPS and PPS of the stream,
 * each behind its length in two bytes. The others have none.
 */
#ifndef CAMCAST_RTP_H
#define CAMCAST_RTP_H

#define CAMCAST_RTP_CHANNEL 0
#define CAMCAST_RTCP_CHANNEL 1
#define CAMCAST_RTP_CLOCK 90000	    /* ticks a second */
#define CAMCAST_RTP_TYPE_H264 96    /* payload types */
#define CAMCAST_RTP_TYPE_JPEG 26    /* RFC 3551 */
#define CAMCAST_RTP_TYPE_TS 33	    /* the same */
#define CAMCAST_RTP_PACKET_LEN 1400 /* bytes of an RTP packet, at most, and */
#define CAMCAST_RTP_PACKET_MIN 576  /* the bounds of `packet_size`, which sets that */
#define CAMCAST_RTP_PACKET_MAX 1440
#define CAMCAST_TS_LEN 188	      /* bytes of a packet of a transport stream, and */
#define CAMCAST_TS_PACKETS 7	      /* how many an RTP packet has at most */
#define CAMCAST_RTP_REPORT_US 5000000 /* at most this between two sender reports */

#endif
