/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/publish/mux.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "media/h264_writer.h"

int mux_list_reserve(struct mux_list *list, int count)
{
	struct iovec *iov;

	if (count <= list->room)
		return 0;
	iov = reallocarray(list->iov, (size_t)count, sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	list->iov = iov;
	list->room = count;
	return 0;
}

void mux_list_add(struct mux_list *list, const void *data, size_t len)
{
	/* struct iovec has no const. */
	union {
		const void *in;
		void *out;
	} base = {.in = data};

	list->iov[list->n++] = (struct iovec){.iov_base = base.out, .iov_len = len};
}

void mux_list_add_all(struct mux_list *list, const struct iovec *iov, int iovcnt)
{
	memcpy(list->iov + list->n, iov, (size_t)iovcnt * sizeof(*iov));
	list->n += iovcnt;
}

void mux_list_free(struct mux_list *list)
{
	free(list->iov);
	*list = (struct mux_list){0};
}

/* --- the framings of a few bytes --- */

struct plain {
	struct mux mux;
	uint8_t prefix[4];
	struct mux_list list;
};

static int plain_create(struct mux **out, const struct mux_options *options)
{
	struct plain *plain = calloc(1, sizeof(*plain));

	(void)options;
	if (!plain)
		return -ENOMEM;
	*out = &plain->mux;
	return 0;
}

static void plain_destroy(struct mux *mux)
{
	struct plain *plain = (struct plain *)mux;

	mux_list_free(&plain->list);
	free(plain);
}

static int frame_bare(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out)
{
	(void)mux;
	out->iov = unit->iov;
	out->iovcnt = unit->iovcnt;
	return 0;
}

/* The access unit delimiter is sent after the picture. It begins the next access unit, so that a
 * parser knows at once that this one is complete; sent with the next picture it would arrive one
 * interval later. The first unit of a viewer's stream then has no delimiter, which is legal (H.264
 * clause 7.4.1.2.3). */
static int frame_annexb(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out)
{
	struct mux_list *list = &((struct plain *)mux)->list;
	const struct iovec *first = unit->iov;
	int r;

	if (first->iov_len < H264_AUD_LEN || memcmp(first->iov_base, h264_aud, H264_AUD_LEN) != 0)
		return frame_bare(mux, unit, out); /* no H.264 */
	r = mux_list_reserve(list, unit->iovcnt + 1);
	if (r < 0)
		return r;
	list->n = 0;
	mux_list_add(list, (const uint8_t *)first->iov_base + H264_AUD_LEN,
		     first->iov_len - H264_AUD_LEN);
	mux_list_add_all(list, unit->iov + 1, unit->iovcnt - 1);
	mux_list_add(list, h264_aud, H264_AUD_LEN);
	out->iov = list->iov;
	out->iovcnt = list->n;
	return 0;
}

/* The length of the bytes that follow, big-endian, as this project's predecessor framed its JPEGs.
 */
static int frame_length_prefixed(struct mux *mux, const struct mux_unit *unit,
				 struct mux_framed *out)
{
	struct plain *plain = (struct plain *)mux;
	struct mux_list *list = &plain->list;
	int r;

	if (unit->len > UINT32_MAX)
		return -EMSGSIZE;
	r = mux_list_reserve(list, unit->iovcnt + 1);
	if (r < 0)
		return r;
	for (int i = 0; i < 4; i++)
		plain->prefix[i] = (uint8_t)(unit->len >> (24 - 8 * i));
	list->n = 0;
	mux_list_add(list, plain->prefix, sizeof(plain->prefix));
	mux_list_add_all(list, unit->iov, unit->iovcnt);
	out->iov = list->iov;
	out->iovcnt = list->n;
	return 0;
}

static const struct mux_ops annexb = {plain_create, plain_destroy, frame_annexb};
static const struct mux_ops length_prefixed = {plain_create, plain_destroy, frame_length_prefixed};
static const struct mux_ops bare = {plain_create, plain_destroy, frame_bare};

/* --- the table --- */

static const struct mux_ops *const framings[CONFIG_FRAMINGS] = {
	[CONFIG_FRAMING_ANNEXB] = &annexb,
	[CONFIG_FRAMING_LENGTH_PREFIXED] = &length_prefixed,
	[CONFIG_FRAMING_JPEG] = &bare,
	[CONFIG_FRAMING_MP4] = &mux_mp4,
	[CONFIG_FRAMING_MP4_WS] = &mux_mp4_ws,
	[CONFIG_FRAMING_MPEGTS] = &mux_mpegts,
	[CONFIG_FRAMING_MULTIPART] = &mux_multipart,
	[CONFIG_FRAMING_MULTIPART_EARLY] = &mux_multipart_early,
	[CONFIG_FRAMING_RTP] = &mux_rtp,
	[CONFIG_FRAMING_RTP_JPEG] = &mux_rtp_jpeg,
	[CONFIG_FRAMING_RTP_TS] = &mux_rtp_ts,
};

int mux_create(struct mux **out, const struct mux_options *options)
{
	int r = framings[options->framing]->create(out, options);

	if (r == 0)
		(*out)->ops = framings[options->framing];
	return r;
}

void mux_destroy(struct mux *mux)
{
	if (mux)
		mux->ops->destroy(mux);
}

int mux_frame(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out)
{
	*out = (struct mux_framed){0};
	return mux->ops->frame(mux, unit, out);
}
