/* SPDX-License-Identifier: BSD-2-Clause */
/* What a player needs of a session description (RFC 8866) with H.264 in it (RFC 6184 clause 8.2):
 * where to set the video up, and its parameter sets. One thread. */
#ifndef BENCH_LIB_SDP_H
#define BENCH_LIB_SDP_H

#include <stddef.h>

#include "bench/lib/buffer.h"

#define SDP_CONTROL_MAX 256 /* bytes of a control attribute, terminator included */

struct sdp {
	/* RFC 2326 clause C.1.1: of all media, and of the first video; "" if not said. */
	char control[SDP_CONTROL_MAX], video_control[SDP_CONTROL_MAX];
	unsigned payload_type;	      /* of the video */
	struct buffer parameter_sets; /* of the video, as Annex B */
};

/* -EPROTO: there is no H.264, or it is malformed. sdp_finish() afterwards in any case. */
int sdp_parse(struct sdp *sdp, const char *text, size_t len);
void sdp_finish(struct sdp *sdp);

#endif
