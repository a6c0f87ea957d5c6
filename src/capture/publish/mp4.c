/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragmented MP4 (ISO/IEC 14496-12, 8.8), a picture a fragment, as it is or as messages of a
 * WebSocket. By hand, and not by libavformat, because only these few fields change from fragment to
 * fragment: the muxer of libavformat takes samples as contiguous and rewrites times that are not.
 *
 * Decoding times are those of CLOCK_MONOTONIC since the machine started, so a gap needs nothing.
 * Media Source Extensions drop all pictures up to the next key picture when the step to one is more
 * than twice the declared duration of the one before (the coded frame processing algorithm). The
 * step is not known before the next picture has come. Each picture therefore declares one and a
 * half times the longest step of the last seconds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "camcast/worker.h"
#include "capture/publish/mp4_init.h"
#include "capture/publish/mux.h"

#define STEPS_US 2000000   /* how long a step counts, at least */
#define STEP_MAX_US 500000 /* longer ones are pauses: Chromium stalls after long durations */
#define WS_HEAD_MAX 10	   /* bytes */
#define LENGTH_LEN 4	   /* bytes in front of each NAL unit, as avcC says */

/* Bytes from the beginning of moof. */
enum {
	MOOF_LEN = 100,
	COMPOSITION_LEN = 4, /* more in trun, of a picture that is shown later than decoded */
	MDAT_HEAD = 8,
	HEAD_MAX = MOOF_LEN + COMPOSITION_LEN + MDAT_HEAD,
};

/* Sample flags, 8.8.3.1. */
enum {
	SAMPLE_KEY = 0x02000000,       /* depends on no other */
	SAMPLE_REFERENCE = 0x01010000, /* depends on others, no sync sample */
	SAMPLE_DROPPABLE = 0x01810000, /* and no other depends on it */
};

struct mp4 {
	struct mux mux;
	struct orientation orientation;
	bool websocket;
	uint32_t sequence;
	int64_t last_dts;	       /* ticks */
	int64_t last_dts_us;	       /* of the last unit */
	int64_t steps_until_us;	       /* end of the interval of `longest_us` */
	int64_t longest_us, before_us; /* longest step in this interval and in the one before */

	uint8_t head[WS_HEAD_MAX + HEAD_MAX];
	uint8_t *lengths; /* of the NAL units */
	int lengths_room;
	struct mux_list list;
	uint8_t preamble[CAMCAST_PREAMBLE_MAX];
};

static int create_any(struct mux **out, const struct mux_options *options, bool websocket)
{
	struct mp4 *mp4 = calloc(1, sizeof(*mp4));

	if (!mp4)
		return -ENOMEM;
	mp4->orientation = options->orientation;
	mp4->websocket = websocket;
	mp4->last_dts = -1;
	*out = &mp4->mux;
	return 0;
}

static int create(struct mux **out, const struct mux_options *options)
{
	return create_any(out, options, false);
}

static int create_ws(struct mux **out, const struct mux_options *options)
{
	return create_any(out, options, true);
}

static void destroy(struct mux *mux)
{
	struct mp4 *mp4 = (struct mp4 *)mux;

	mux_list_free(&mp4->list);
	free(mp4->lengths);
	free(mp4);
}

static uint8_t *put(uint8_t *at, unsigned bytes, uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		*at++ = (uint8_t)(value >> 8 * (bytes - 1 - i));
	return at;
}

/* The head of an unmasked binary message of one frame (RFC 6455, 5.2). Returns its end. */
static uint8_t *put_ws_head(uint8_t *at, size_t len)
{
	*at++ = 0x82; /* FIN, binary */
	if (len < 126)
		return put(at, 1, len);
	if (len <= UINT16_MAX)
		return put(put(at, 1, 126), 2, len);
	return put(put(at, 1, 127), 8, len);
}

/* --- time --- */

static int64_t ticks(int64_t us)
{
	return us * (MP4_TIMESCALE / 10000) / 100;
}

/* Notes the step to this unit, and returns the duration that it declares, in ticks. */
static int64_t declare_duration(struct mp4 *mp4, const struct mux_unit *unit)
{
	const int64_t step_us = unit->dts_us - mp4->last_dts_us;
	int64_t us = unit->duration_us;

	if (unit->dts_us >= mp4->steps_until_us) {
		mp4->before_us =
			unit->dts_us < mp4->steps_until_us + STEPS_US ? mp4->longest_us : 0;
		mp4->longest_us = 0;
		mp4->steps_until_us = unit->dts_us + STEPS_US;
	}
	if (mp4->last_dts >= 0 && !unit->gap && step_us <= STEP_MAX_US && step_us > mp4->longest_us)
		mp4->longest_us = step_us;
	mp4->last_dts_us = unit->dts_us;
	if (us < mp4->longest_us)
		us = mp4->longest_us;
	if (us < mp4->before_us)
		us = mp4->before_us;
	us += us / 2;
	return ticks(us > 0 ? us : STEP_MAX_US / 10);
}

/* --- a fragment --- */

/* moof with one sample of len bytes, and the head of mdat. Returns its end. */
static uint8_t *put_head(struct mp4 *mp4, uint8_t *at, const struct mux_unit *unit, size_t len)
{
	const uint32_t flags = unit->key	 ? SAMPLE_KEY
			       : unit->droppable ? SAMPLE_DROPPABLE
						 : SAMPLE_REFERENCE;
	const int64_t duration = declare_duration(mp4, unit), first = ticks(unit->dts_us);
	const int64_t dts = first > mp4->last_dts ? first : mp4->last_dts + 1;
	const int64_t composition = ticks(unit->pts_us) - dts;
	const bool later = composition > 0 && composition <= INT32_MAX;
	const unsigned more = later ? COMPOSITION_LEN : 0;

	mp4->last_dts = dts;
	at = put(at, 4, MOOF_LEN + more);
	at = put(at, 4, 0x6d6f6f66); /* moof */
	at = put(at, 4, 16);
	at = put(at, 4, 0x6d666864); /* mfhd, 8.8.5 */
	at = put(at, 4, 0);
	at = put(at, 4, ++mp4->sequence);
	at = put(at, 4, MOOF_LEN - 24 + more);
	at = put(at, 4, 0x74726166); /* traf */
	at = put(at, 4, 28);
	at = put(at, 4, 0x74666864); /* tfhd, 8.8.7: default-base-is-moof, duration, size, flags */
	at = put(at, 4, 0x020038);
	at = put(at, 4, MP4_TRACK);
	at = put(at, 4, (uint64_t)duration);
	at = put(at, 4, len);
	at = put(at, 4, flags);
	at = put(at, 4, 20);
	at = put(at, 4, 0x74666474); /* tfdt, 8.8.12: 64 bits */
	at = put(at, 4, 0x01000000);
	at = put(at, 8, (uint64_t)dts);
	at = put(at, 4, 20 + more);
	at = put(at, 4, 0x7472756e); /* trun, 8.8.8: offset of the data, composition offset */
	at = put(at, 4, later ? 0x000801 : 0x000001);
	at = put(at, 4, 1);
	at = put(at, 4, MOOF_LEN + more + MDAT_HEAD);
	if (later)
		at = put(at, 4, (uint64_t)composition);
	at = put(at, 4, MDAT_HEAD + len);
	return put(at, 4, 0x6d646174); /* mdat */
}

static int reserve(struct mp4 *mp4, int n_nals)
{
	uint8_t *grown;

	if (n_nals > mp4->lengths_room) {
		grown = realloc(mp4->lengths, (size_t)n_nals * LENGTH_LEN);
		if (!grown)
			return -ENOMEM;
		mp4->lengths = grown;
		mp4->lengths_room = n_nals;
	}
	return mux_list_reserve(&mp4->list, 1 + 2 * n_nals);
}

/* Adds NAL units to the sample, each behind its length. Returns the bytes added. */
static size_t add_nals(struct mp4 *mp4, uint8_t **length, const struct iovec *nals, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		mux_list_add(&mp4->list, *length, LENGTH_LEN);
		mux_list_add(&mp4->list, nals[i].iov_base, nals[i].iov_len);
		*length = put(*length, LENGTH_LEN, nals[i].iov_len);
		len += LENGTH_LEN + nals[i].iov_len;
	}
	return len;
}

static int frame_fragment(struct mp4 *mp4, const struct mux_unit *unit, struct mux_framed *out)
{
	uint8_t moof[HEAD_MAX], *length, *at = mp4->head;
	size_t len, head_len;
	int r = reserve(mp4, unit->n_sets + unit->n_nals);

	if (r < 0)
		return r;
	length = mp4->lengths;
	mp4->list.n = 1; /* the head */
	len = add_nals(mp4, &length, unit->sets, unit->n_sets);
	len += add_nals(mp4, &length, unit->nals, unit->n_nals);
	if (len > CAMCAST_UNIT_MAX)
		return -EMSGSIZE;
	head_len = (size_t)(put_head(mp4, moof, unit, len) - moof);
	if (mp4->websocket)
		at = put_ws_head(at, head_len + len);
	memcpy(at, moof, head_len);
	mp4->list.iov[0] = (struct iovec){.iov_base = mp4->head,
					  .iov_len = (size_t)(at - mp4->head) + head_len};
	out->iov = mp4->list.iov;
	out->iovcnt = mp4->list.n;
	return 0;
}

/* --- the preamble --- */

static int make_preamble(struct mp4 *mp4, const struct mux_unit *unit, struct mux_framed *out)
{
	uint8_t head[WS_HEAD_MAX] = {0};
	size_t head_len;
	int len = mp4_init_write(mp4->preamble, sizeof(mp4->preamble), unit->sets, unit->n_sets,
				 mp4->orientation);

	if (len < 0)
		return len;
	head_len = mp4->websocket ? (size_t)(put_ws_head(head, (size_t)len) - head) : 0;
	if ((size_t)len + head_len > sizeof(mp4->preamble))
		return -EMSGSIZE;
	memmove(mp4->preamble + head_len, mp4->preamble, (size_t)len);
	memcpy(mp4->preamble, head, head_len);
	out->preamble = mp4->preamble;
	out->preamble_len = (size_t)len + head_len;
	return 0;
}

static int frame(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out)
{
	struct mp4 *mp4 = (struct mp4 *)mux;
	int r = 0;

	if (unit->n_nals == 0)
		return -EINVAL;
	if (unit->key)
		r = make_preamble(mp4, unit, out);
	return r < 0 ? r : frame_fragment(mp4, unit, out);
}

const struct mux_ops mux_mp4 = {create, destroy, frame};
const struct mux_ops mux_mp4_ws = {create_ws, destroy, frame};
