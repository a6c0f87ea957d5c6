/* SPDX-License-Identifier: BSD-2-Clause */
#include "push/fragments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "camcast/worker.h"
#include "media/avcc.h"

#define BOX_HEAD 8
#define ROOM (64u << 10)
#define VISUAL_ENTRY 78 /* bytes of a VisualSampleEntry before its boxes, 12.1.3 */

#define TYPE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

/* The bytes of a box behind its head, as far as they are not read yet. */
struct box {
	uint32_t type;
	const uint8_t *at;
	size_t left;
};

/* --- boxes --- */

static bool skip(struct box *box, size_t len)
{
	if (box->left < len)
		return false;
	box->at += len;
	box->left -= len;
	return true;
}

static bool take(struct box *box, uint32_t *value)
{
	const uint8_t *at = box->at;

	if (!skip(box, 4))
		return false;
	*value = bytes_get32(at);
	return true;
}

/* The next box in another one. False: there is none, or it is cut short. */
static bool next_box(struct box *parent, struct box *out)
{
	uint32_t size;

	if (!take(parent, &size) || !take(parent, &out->type) || size < BOX_HEAD)
		return false;
	out->at = parent->at;
	out->left = size - BOX_HEAD;
	return skip(parent, out->left);
}

/* The first box of this type in `parent`. */
static bool find_box(struct box parent, uint32_t type, struct box *out)
{
	while (next_box(&parent, out))
		if (out->type == type)
			return true;
	return false;
}

/* --- the preamble --- */

/* moov: the track's size and its avcC. */
static bool read_setup(struct box moov, struct fragments_setup *out)
{
	static const uint32_t path[] = {TYPE('t', 'r', 'a', 'k'), TYPE('m', 'd', 'i', 'a'),
					TYPE('m', 'i', 'n', 'f'), TYPE('s', 't', 'b', 'l'),
					TYPE('s', 't', 's', 'd')};
	struct box box = moov, entry, avcc;
	struct avcc record;

	for (size_t i = 0; i < sizeof path / sizeof *path; i++)
		if (!find_box(box, path[i], &box))
			return false;
	/* 8.5.2: version, flags, number of entries; then the entries. */
	if (!skip(&box, 8) || !find_box(box, TYPE('a', 'v', 'c', '1'), &entry) ||
	    entry.left < VISUAL_ENTRY)
		return false;
	out->width = bytes_get16(entry.at + 24);
	out->height = bytes_get16(entry.at + 26);
	if (!skip(&entry, VISUAL_ENTRY) || !find_box(entry, TYPE('a', 'v', 'c', 'C'), &avcc) ||
	    avcc.left > sizeof out->avcc || avcc_open(&record, avcc.at, avcc.left) < 0)
		return false;
	memset(out->avcc, 0, sizeof out->avcc);
	memcpy(out->avcc, avcc.at, avcc.left);
	out->avcc_len = (uint32_t)avcc.left;
	return out->width > 0 && out->height > 0;
}

/* --- the head of a fragment --- */

/* 8.8.7: the defaults of the fragment's one sample. */
static bool read_tfhd(struct box tfhd, struct fragments *fragments)
{
	uint32_t flags, duration = 0, size = 0, sample = 0;

	if (!take(&tfhd, &flags) || !skip(&tfhd, 4 + (flags & 1 ? 8 : 0) + (flags & 2 ? 4 : 0)) ||
	    (flags & 8 && !take(&tfhd, &duration)) || !(flags & 0x10) || !take(&tfhd, &size) ||
	    !(flags & 0x20) || !take(&tfhd, &sample))
		return false;
	fragments->head.duration = duration;
	fragments->head.key = !(sample & 0x10000); /* sample_is_non_sync_sample, 8.8.3.1 */
	fragments->head_len = size;
	return size > 0;
}

/* 8.8.12: the decoding time in 64 bits. Times beyond 2^62 would overflow the sums of muxers. */
static bool read_tfdt(struct box tfdt, struct fragments *fragments)
{
	uint32_t version, high, low;

	if (!take(&tfdt, &version) || version >> 24 != 1 || !take(&tfdt, &high) ||
	    !take(&tfdt, &low) || high >> 30 != 0)
		return false;
	fragments->head.dts = (int64_t)((uint64_t)high << 32 | low);
	return true;
}

/* 8.8.8: one sample without numbers of its own, except that it may be shown later. */
static bool read_trun(struct box trun, struct fragments *fragments)
{
	const uint32_t offset = 0x1, composition = 0x800;
	uint32_t flags, count, later = 0;

	if (!take(&trun, &flags) || flags & 0xffffff & ~(offset | composition) ||
	    !take(&trun, &count) || count != 1 || (flags & offset && !skip(&trun, 4)) ||
	    (flags & composition && !take(&trun, &later)) || later > INT32_MAX)
		return false;
	fragments->head.pts = fragments->head.dts + later;
	return true;
}

static bool read_head(struct box moof, struct fragments *fragments)
{
	struct box traf, tfhd, tfdt, trun;

	return find_box(moof, TYPE('t', 'r', 'a', 'f'), &traf) &&
	       find_box(traf, TYPE('t', 'f', 'h', 'd'), &tfhd) && read_tfhd(tfhd, fragments) &&
	       find_box(traf, TYPE('t', 'f', 'd', 't'), &tfdt) && read_tfdt(tfdt, fragments) &&
	       find_box(traf, TYPE('t', 'r', 'u', 'n'), &trun) && read_trun(trun, fragments);
}

/* --- the stream --- */

/* The most bytes that a box of this type may have; 0: it has no place here. */
static size_t longest(uint32_t type)
{
	switch (type) {
	case TYPE('m', 'd', 'a', 't'):
		return CAMCAST_UNIT_MAX + BOX_HEAD;
	case TYPE('m', 'o', 'o', 'f'):
	case TYPE('f', 't', 'y', 'p'):
	case TYPE('m', 'o', 'o', 'v'):
		return CAMCAST_PREAMBLE_MAX;
	default:
		return 0;
	}
}

static int read_picture(struct fragments *fragments, const struct box *mdat,
			struct fragments_picture *picture)
{
	if (!fragments->has_head || mdat->left != fragments->head_len)
		return -EBADMSG;
	fragments->has_head = false;
	*picture = fragments->head;
	picture->data = mdat->at;
	picture->len = mdat->left;
	return FRAGMENTS_PICTURE;
}

/* A whole box. FRAGMENTS_MORE: it only announces something. */
static int read_box(struct fragments *fragments, const struct box *box,
		    struct fragments_picture *picture)
{
	switch (box->type) {
	case TYPE('m', 'o', 'o', 'v'):
		fragments->has_setup = read_setup(*box, &fragments->setup);
		return fragments->has_setup ? FRAGMENTS_SETUP : -EBADMSG;
	case TYPE('m', 'o', 'o', 'f'):
		fragments->has_head = fragments->has_setup && read_head(*box, fragments);
		return fragments->has_head ? FRAGMENTS_MORE : -EBADMSG;
	case TYPE('m', 'd', 'a', 't'):
		return read_picture(fragments, box, picture);
	default:
		return FRAGMENTS_MORE;
	}
}

int fragments_next(struct fragments *fragments, struct fragments_picture *picture)
{
	int event = FRAGMENTS_MORE;

	while (event == FRAGMENTS_MORE && fragments->len - fragments->done >= BOX_HEAD) {
		const uint8_t *head = fragments->data + fragments->done;
		const size_t size = bytes_get32(head);
		struct box box = {bytes_get32(head + 4), head + BOX_HEAD, size - BOX_HEAD};

		if (size < BOX_HEAD || size > longest(box.type))
			return -EBADMSG;
		if (fragments->len - fragments->done < size)
			break;
		fragments->done += size;
		event = read_box(fragments, &box, picture);
	}
	return event;
}

int fragments_room(struct fragments *fragments, uint8_t **data, size_t *len)
{
	size_t left = fragments->len - fragments->done, need = left + ROOM;
	uint8_t *grown;

	if (left > 0)
		memmove(fragments->data, fragments->data + fragments->done, left);
	fragments->len = left;
	fragments->done = 0;
	/* The whole box at once, so that a long one is not copied again and again. Its length was
	 * checked by fragments_next(). */
	if (left >= BOX_HEAD && bytes_get32(fragments->data) > need)
		need = bytes_get32(fragments->data);
	if (need > fragments->size) {
		grown = realloc(fragments->data, need);
		if (!grown)
			return -ENOMEM;
		fragments->data = grown;
		fragments->size = need;
	}
	*data = fragments->data + left;
	*len = fragments->size - left;
	return 0;
}

void fragments_add(struct fragments *fragments, size_t len)
{
	fragments->len += len;
}

void fragments_finish(struct fragments *fragments)
{
	free(fragments->data);
}
