/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packets of the framing `mpegts` in RTP packets (RFC 2250 clause 2): as many in each as fit,
 * seven at most, which is what receivers of television expect.
 */
#include <errno.h>
#include <stdlib.h>

#include "camcast/rtp.h"
#include "camcast/worker.h"
#include "capture/publish/rtp_packets.h"

struct rtp_ts {
	struct mux mux;
	struct mux *mpegts;
	struct rtp_packets packets;
};

/* The first packet of a key unit, which clients may lose, has the service description alone, which
 * no player needs. */
static void add_packets(struct rtp_ts *ts, const uint8_t *data, size_t len, bool key)
{
	size_t n = key ? CAMCAST_TS_LEN : ts->packets.room;

	for (size_t at = 0; at < len; at += n, n = ts->packets.room) {
		if (n > len - at)
			n = len - at;
		/* The marker would say that the times jump. */
		rtp_packets_add(&ts->packets, NULL, 0, data + at, n, false);
	}
}

static int frame(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out)
{
	struct rtp_ts *ts = (struct rtp_ts *)mux;
	struct mux_framed framed;
	size_t n;
	int r = mux_frame(ts->mpegts, unit, &framed);

	if (r < 0)
		return r;
	n = framed.iov[0].iov_len / ts->packets.room + 2;
	if (RTP_REPORT_LEN + framed.iov[0].iov_len + n * (RTP_FRAME_HEAD + RTP_HEAD) >
	    CAMCAST_UNIT_MAX)
		return -EMSGSIZE;
	r = rtp_packets_begin(&ts->packets, unit, n, 0);
	if (r < 0)
		return r;
	add_packets(ts, framed.iov[0].iov_base, framed.iov[0].iov_len, unit->key);
	rtp_packets_end(&ts->packets, out);
	return 0;
}

static void destroy(struct mux *mux)
{
	struct rtp_ts *ts = (struct rtp_ts *)mux;

	mux_destroy(ts->mpegts);
	rtp_packets_free(&ts->packets);
	free(ts);
}

static int create(struct mux **out, const struct mux_options *options)
{
	const struct mux_options inner = {.framing = CONFIG_FRAMING_MPEGTS};
	struct rtp_ts *ts = calloc(1, sizeof(*ts));
	size_t fit = (options->packet_len - RTP_HEAD) / CAMCAST_TS_LEN;
	int r;

	if (!ts)
		return -ENOMEM;
	r = mux_create(&ts->mpegts, &inner);
	if (r < 0) {
		free(ts);
		return r;
	}
	ts->packets.type = CAMCAST_RTP_TYPE_TS;
	ts->packets.room = (fit < CAMCAST_TS_PACKETS ? fit : CAMCAST_TS_PACKETS) * CAMCAST_TS_LEN;
	*out = &ts->mux;
	return 0;
}

const struct mux_ops mux_rtp_ts = {create, destroy, frame};
