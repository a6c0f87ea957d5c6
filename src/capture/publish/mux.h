/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Framings: the bytes around an access unit in a feed's log. One mux per feed, on its stream's
 * thread. A new framing is a file with a struct mux_ops and a row in mux.c.
 */
#ifndef CAPTURE_PUBLISH_MUX_H
#define CAPTURE_PUBLISH_MUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "config/config.h"
#include "media/orientation.h"

/* What the RTP packets of a feed have in common (camcast/worker.h, WANT). */
struct mux_rtp {
	uint32_t ssrc, offset;
	uint16_t sequence; /* of the first packet */
};

/* A coded picture. All memory is the caller's. */
struct mux_unit {
	/* The access unit of len bytes in order: Annex B with the delimiter first, a JPEG, or
	 * (access_unit.h, as_is) anything else. */
	const struct iovec *iov;
	int iovcnt;
	size_t len;
	/* H.264: the NAL units of the same without start codes and without the delimiter: the
	 * parameter sets, then all others. A key unit has those that a decoder needs. */
	const struct iovec *sets, *nals;
	int n_sets, n_nals; /* n_nals 0: not H.264 */
	bool key, droppable;
	bool gap;		   /* units of the feed are missing before this one */
	int64_t capture_us;	   /* when the picture was taken, CLOCK_MONOTONIC */
	int64_t dts_us;		   /* when it is decoded, the same clock; grows from unit to unit */
	int64_t pts_us;		   /* when it is shown, not before dts_us */
	uint32_t duration_us;	   /* 0: not known */
	const struct mux_rtp *rtp; /* for RTP, the same for each unit; else unused */
};

/* A unit as it stands in the log. All is borrowed from the mux and the unit until the next call. */
struct mux_framed {
	const struct iovec *iov;
	int iovcnt;
	/* Of a key unit: the feed's preamble (camcast/worker.h); preamble_len 0: it needs none. */
	const uint8_t *preamble;
	size_t preamble_len;
};

struct mux;

struct mux_options {
	enum config_framing framing;
	struct orientation orientation; /* how a player turns the pictures */
	size_t packet_len; /* bytes of an RTP packet, at most: CAMCAST_RTP_PACKET_MIN..MAX; for RTP
			      only */
};

/* 0, -ENOMEM or another -errno of a library. */
int mux_create(struct mux **out, const struct mux_options *options);
void mux_destroy(struct mux *mux);
/* Frames one unit. Allocates nothing once units of the same shape have been seen, except in
 * libavformat (mpegts.c). 0, -ENOMEM, -EMSGSIZE (the unit or its preamble is longer than the
 * framing allows), -EINVAL (the framing does not carry such a unit). */
int mux_frame(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out);

/* --- for the framings --- */

struct mux_ops {
	int (*create)(struct mux **out, const struct mux_options *options);
	void (*destroy)(struct mux *mux);
	int (*frame)(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out);
};

/* The beginning of the state of each framing. */
struct mux {
	const struct mux_ops *ops;
};

/* A list of iovecs that grows. Zeroed at the beginning. */
struct mux_list {
	struct iovec *iov;
	int n, room;
};

/* Makes room for count iovecs in all. 0 or -ENOMEM. */
int mux_list_reserve(struct mux_list *list, int count);
/* Adds data, which is not written to. There is room. */
void mux_list_add(struct mux_list *list, const void *data, size_t len);
void mux_list_add_all(struct mux_list *list, const struct iovec *iov, int iovcnt);
void mux_list_free(struct mux_list *list);

extern const struct mux_ops mux_mp4, mux_mp4_ws;		/* mp4.c */
extern const struct mux_ops mux_mpegts;				/* mpegts.c */
extern const struct mux_ops mux_multipart, mux_multipart_early; /* multipart.c */
extern const struct mux_ops mux_rtp;				/* rtp.c */
extern const struct mux_ops mux_rtp_jpeg;			/* rtp_jpeg.c */
extern const struct mux_ops mux_rtp_ts;				/* rtp_ts.c */

#endif
