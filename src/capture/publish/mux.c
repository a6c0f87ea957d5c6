/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/publish/mux.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

int mux_frame(struct mux *mux, const struct iovec *in, int in_count, size_t len,
	      const struct iovec **out, int *out_count)
{
	int r;

	if (mux->framing == CONFIG_FRAMING_ANNEXB) {
		*out = in;
		*out_count = in_count;
		return 0;
	}
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
