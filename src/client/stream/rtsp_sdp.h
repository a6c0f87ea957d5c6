/* SPDX-License-Identifier: BSD-2-Clause */
/* The description of a stream over RTSP (SDP, RFC 8866; RFC 2326 appendix C): which of its media
 * are pictures that we can read. Any thread. */
#ifndef CLIENT_STREAM_RTSP_SDP_H
#define CLIENT_STREAM_RTSP_SDP_H

#include "client/stream/target.h"

#define RTSP_SDP_MAX (64u << 10) /* bytes of a description */
#define RTSP_URL_MAX 1024
#define RTSP_SETS_MAX 8	 /* parameter sets */
#define RTSP_SET_MAX 512 /* bytes of one */

struct rtsp_sdp {
	enum stream_codec codec;
	unsigned type;			    /* of the payload */
	char session_control[RTSP_URL_MAX]; /* as it stands there; "": not said */
	char media_control[RTSP_URL_MAX];
	struct {
		uint8_t data[RTSP_SET_MAX];
		size_t len;
	} sets[RTSP_SETS_MAX]; /* of sprop-parameter-sets */
	size_t n_sets;
};

#define RTSP_WHY_MAX 128

/* Reads a description (hostile), of which the first H.264 counts, else the first JPEG. 0, or
 * -EINVAL with a phrase in why. */
int rtsp_sdp_parse(struct rtsp_sdp *out, const char *text, size_t len, char why[RTSP_WHY_MAX]);

/* The URL of a control attribute: absolute, or relative to base as RFC 2326 clause C.1.1 and real
 * servers have it. False: it is too long. */
bool rtsp_sdp_url(char out[RTSP_URL_MAX], const char *base, const char *control);

#endif
