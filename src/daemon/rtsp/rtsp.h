/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RTSP/1.0 (RFC 2326): OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER and
 * TEARDOWN, with the packets of a feed interleaved in the TCP connection (clause 10.12), or in UDP
 * (udp.h) to the address of the peer, or in the multicast group of the stream (multicast.h). Other
 * transports are answered with 461, behind which clients ask for another one; so are UDP and
 * multicast through TLS or a tunnel, which would be left without a word. The connection is the
 * session, which ends with it. A viewer in the connection needs no sign of life; another one ends
 * when neither a request nor a receiver report comes for 60 s. Loop thread only.
 *
 * Everything is bounded. A request head has at most MESSAGE_MAX bytes and a body RTSP_BODY_MAX,
 * which is skipped. Frames that a peer sends are skipped, too, except its reports
 * (interleaved.h). A peer that does not play within 10 s, or is silent for 60 s in a pause, is
 * disconnected, as is one that sends more than NOISE_MAX within a minute, its requests and its own
 * interleaved frames together. An answer is taken within 10 s.
 *
 * RTSP over HTTP (tunnel.h) is spoken on the same addresses. Both connections of a tunnel take a
 * place, and each ends with the other.
 *
 * There are RTSP_CONNECTIONS_MAX places for peers that do not play yet, of which one address has at
 * most RTSP_SHARE; this machine itself has no such limit. When all are taken, the address with most
 * of them gives one. At its first PLAY a peer moves to a place of the feed's viewers.
 *
 * DESCRIBE and SETUP say who asks: by Digest, over TLS by Basic, by Bearer, or by `?token=` in the
 * URL. OPTIONS needs nobody.
 *
 * SAT>IP (EN 50585) is RTSP for receivers of television. Its clients know that they get an MPEG
 * transport stream, and so a peer speaks it whose SETUP names a stream, none of its tracks, and
 * comes without a DESCRIBE before it. It is answered when the stream has a unit, as a DESCRIBE is.
 * The client finds its pictures by the number in `com.ses.streamID`, which is the same for all, as
 * the connection is the session.
 */
#ifndef DAEMON_RTSP_RTSP_H
#define DAEMON_RTSP_RTSP_H

#include "base/diag.h"
#include "daemon/auth/access.h"
#include "daemon/rtsp/multicast.h"
#include "daemon/rtsp/udp.h"
#include "daemon/serve/server.h"

#define RTSP_CONNECTIONS_MAX 128
#define RTSP_SHARE 64
#define RTSP_BODY_MAX 4096     /* bytes */
#define RTSP_NAME_MAX 128      /* bytes of a stream's name, terminator included */
#define RTSP_TRACK "trackID=0" /* of the one track of a stream, in URLs */

/* A stream as RTSP serves it. */
struct rtsp_stream {
	const char *name;	     /* its path without the slash */
	struct feed *feed;	     /* of RTP packets (camcast/rtp.h) */
	struct endpoint *viewers;    /* rtsp_init_viewers() */
	struct multicast *multicast; /* NULL: it has no group */
	bool jpeg;		     /* else H.264 */
	bool in_ts;		     /* which is in a transport stream */
	uint32_t ssrc;		     /* of its packets */
	uint32_t bitrate_bps;	     /* 0: not known */
	uint32_t rate_milli;	     /* pictures a second, in thousandths; 0: not known */
	/* The same of packets of a transport stream, for SAT>IP; feed NULL: there is none. A stream
	 * has one group, of either packets. */
	struct feed *ts_feed;
	struct endpoint *ts_viewers;
	struct multicast *ts_multicast;
	uint32_t ts_ssrc;
};

/* Finds a stream for a peer. 0, -ENOENT, or -EACCES: who asks may not watch it. What *out names is
 * borrowed as long as the server lasts. */
typedef int rtsp_find(void *user, const struct net_peer *peer, const struct access_who *who,
		      const char *name, struct rtsp_stream *out);

/* What went wrong so far. */
struct rtsp_stats {
	uint64_t refused;   /* requests answered with an error other than 401 */
	uint64_t noise;	    /* peers that sent too much */
	uint64_t timed_out; /* peers that were waited for */
	uint64_t displaced; /* peers that gave their place */
};

/* Of an endpoint: what it serves. The caller sets the first part. */
struct rtsp {
	rtsp_find *find;
	void *user;
	struct access *access; /* NULL: everybody may watch */
	bool udp;	       /* peers may ask for it */
	bool satip;	       /* the same */
	/* --- below: the protocol's --- */
	struct diag_limit basic_log;
	uint64_t accepted; /* connections, so far */
	struct rtsp_stats stats;
	struct quota quota;
	struct list sessions; /* those that do not play yet, the oldest first */
	struct list tunnels;  /* the GETs of all */
	struct udp_ports ports;
};

/* An endpoint where peers come in; rtsp is borrowed. */
void rtsp_init_endpoint(struct endpoint *endpoint, struct rtsp *rtsp);
/* One of the viewers of a feed, whose places quota counts. */
void rtsp_init_viewers(struct endpoint *endpoint, struct rtsp *rtsp, struct quota *quota);

#endif
