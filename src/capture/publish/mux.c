/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/publish/mux.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "media/h264_writer.h"

void mux_init(struct mux *mux, enum config_framing framing)
{
	memset(mux, 0, sizeof(*mux));
	mux->framing = framing;
}

void mux_finish(struct mux *mux)
{
	free(mux->iov);
	mux->iov = NULL;
	mux->room = 0;
}

static int make_room(struct mux *mux, int count)
{
	struct iovec *iov;

	if (count <= mux->room)
		return 0;
	iov = realloc(mux->iov, (size_t)count * sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	mux->iov = iov;
	mux->room = count;
	return 0;
}

/* --- the framings: a new one is a function and a row --- */

typedef int framing(struct mux *mux, const struct iovec *in, int in_count, size_t len,
		    const struct iovec **out, int *out_count);

/* The access unit delimiter is sent after the picture. It begins the next access unit, so that a
 * parser knows at once that this one is complete; sent with the next picture it would arrive one
 * interval later. The first unit of a viewer's stream then has no delimiter, which is legal (H.264
 * clause 7.4.1.2.3). */
static int frame_annexb(struct mux *mux, const struct iovec *in, int in_count, size_t len,
			const struct iovec **out, int *out_count)
{
	union {
		const uint8_t *in;
		void *out;
	} aud = {.in = h264_aud}; /* nothing writes through an iovec here */
	int r;

	(void)len;
	if (in[0].iov_len < H264_AUD_LEN || memcmp(in[0].iov_base, h264_aud, H264_AUD_LEN) != 0) {
		*out = in; /* no H.264 (access_unit.h, as_is) */
		*out_count = in_count;
		return 0;
	}
	r = make_room(mux, in_count + 1);
	if (r < 0)
		return r;
	memcpy(mux->iov, in, (size_t)in_count * sizeof(*in));
	mux->iov[0].iov_base = (uint8_t *)in[0].iov_base + H264_AUD_LEN;
	mux->iov[0].iov_len -= H264_AUD_LEN;
	mux->iov[in_count] = (struct iovec){.iov_base = aud.out, .iov_len = H264_AUD_LEN};
	*out = mux->iov;
	*out_count = in_count + 1;
	return 0;
}

static int frame_bare(struct mux *mux, const struct iovec *in, int in_count, size_t len,
		      const struct iovec **out, int *out_count)
{
	(void)mux, (void)len;
	*out = in;
	*out_count = in_count;
	return 0;
}

static int frame_length_prefixed(struct mux *mux, const struct iovec *in, int in_count, size_t len,
				 const struct iovec **out, int *out_count)
{
	int r;

	if (len > UINT32_MAX)
		return -EMSGSIZE;
	r = make_room(mux, in_count + 1);
	if (r < 0)
		return r;
	for (int i = 0; i < 4; i++)
		mux->prefix[i] = (uint8_t)(len >> (24 - 8 * i));
	mux->iov[0].iov_base = mux->prefix;
	mux->iov[0].iov_len = sizeof(mux->prefix);
	memcpy(&mux->iov[1], in, (size_t)in_count * sizeof(*in));
	*out = mux->iov;
	*out_count = in_count + 1;
	return 0;
}

static framing *const framings[CONFIG_FRAMINGS] = {
	[CONFIG_FRAMING_ANNEXB] = frame_annexb,
	[CONFIG_FRAMING_LENGTH_PREFIXED] = frame_length_prefixed,
	[CONFIG_FRAMING_JPEG] = frame_bare,
};

int mux_frame(struct mux *mux, const struct iovec *in, int in_count, size_t len,
	      const struct iovec **out, int *out_count)
{
	framing *frame = framings[mux->framing];

	return frame ? frame(mux, in, in_count, len, out, out_count) : -ENOSYS;
}
