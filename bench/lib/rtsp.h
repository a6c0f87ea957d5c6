/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A player of RTSP (RFC 2326): OPTIONS, DESCRIBE, SETUP, PLAY, a request within half of the
 * session's timeout, and TEARDOWN. It plays the first H.264 video of the description and sets
 * nothing else up. RTP comes over the same connection, or the owner of UDP sockets passes it on.
 * One thread.
 */
#ifndef BENCH_LIB_RTSP_H
#define BENCH_LIB_RTSP_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/lib/buffer.h"
#include "bench/lib/rtp.h"
#include "bench/lib/udp_pair.h"
#include "bench/lib/unit.h"

enum rtsp_transport { RTSP_INTERLEAVED, RTSP_UDP, RTSP_MULTICAST };

/* The results of all players. */
struct rtsp_tally {
	struct rtp_tally rtp;
	uint64_t refused; /* answers of 300 and above */
	/* Answers to PLAY whose RTP-Info names a packet after the first one that came. */
	uint64_t ahead;
};

struct rtsp_player;

/* host ("HOST:PORT"), path (without the first slash), tally, out (to be sent to the server) and ctx
 * are borrowed. Appends the first request. Without memory the program ends. */
struct rtsp_player *rtsp_player_create(const char *host, const char *path, struct rtsp_tally *tally,
				       struct buffer *out, unit_fn *unit, void *ctx);
/* Asks for a transport other than RTSP_INTERLEAVED, before the first call of the following ones;
 * port: of RTP, for RTSP_UDP; RTCP has the next one. */
void rtsp_player_use(struct rtsp_player *rtsp, enum rtsp_transport transport, uint16_t port);
/* Takes whole messages and packets from the beginning of in. 0, -EBADMSG, or -EPROTO: the server
 * refused, or has no H.264. */
int rtsp_player_received(struct rtsp_player *rtsp, struct buffer *in, int64_t now_us);
/* Takes a datagram of RTP, or of RTCP if `control`. 0, or -EBADMSG. */
int rtsp_player_datagram(struct rtsp_player *rtsp, bool control, const uint8_t *packet, size_t len,
			 int64_t now_us);
/* RTSP_MULTICAST: the group, as soon as the server has named it; NULL before. */
const struct udp_group *rtsp_player_group(const struct rtsp_player *rtsp);
/* Asks again where the session would end otherwise. */
void rtsp_player_tick(struct rtsp_player *rtsp, int64_t now_us);
/* Whether the server has answered PLAY. */
bool rtsp_player_plays(const struct rtsp_player *rtsp);
/* Ends the session. */
void rtsp_player_leave(struct rtsp_player *rtsp);
/* NULL is allowed. */
void rtsp_player_destroy(struct rtsp_player *rtsp);

#endif
