/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/publish/mp4_init.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "media/nal.h"
#include "media/sps.h"

/* --- boxes --- */

/* What does not fit is left out, and `len` counts on. */
struct writer {
	uint8_t *out;
	size_t size, len;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (w->len <= w->size && len <= w->size - w->len)
		memcpy(w->out + w->len, data, len);
	w->len += len;
}

static void put_zeros(struct writer *w, size_t len)
{
	static const uint8_t zeros[16];

	for (; len > sizeof(zeros); len -= sizeof(zeros))
		put(w, zeros, sizeof(zeros));
	put(w, zeros, len);
}

/* Big-endian. */
static void put_number(struct writer *w, unsigned bytes, uint32_t value)
{
	uint8_t data[4];

	for (unsigned i = 0; i < bytes; i++)
		data[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
	put(w, data, bytes);
}

/* Where the box begins, for end_box(). */
static size_t begin_box(struct writer *w, const char *type)
{
	size_t at = w->len;

	put_zeros(w, 4);
	put(w, type, 4);
	return at;
}

static size_t begin_full_box(struct writer *w, const char *type, uint32_t flags)
{
	size_t at = begin_box(w, type);

	put_number(w, 4, flags); /* version 0 */
	return at;
}

static void end_box(struct writer *w, size_t at)
{
	size_t end = w->len;

	w->len = at;
	put_number(w, 4, (uint32_t)(end - at));
	w->len = end;
}

/* A full box of version 0 with nothing but zeros. */
static void put_empty(struct writer *w, const char *type, size_t zeros)
{
	size_t at = begin_full_box(w, type, 0);

	put_zeros(w, zeros);
	end_box(w, at);
}

/* --- the sample entry --- */

static unsigned type_of(const struct iovec *set)
{
	return nal_type(*(const uint8_t *)set->iov_base);
}

/* One of the two lists of parameter sets of avcC. */
static void put_sets(struct writer *w, const struct iovec *sets, int n_sets, unsigned type)
{
	unsigned n = 0;

	for (int i = 0; i < n_sets; i++)
		n += type_of(&sets[i]) == type;
	put_number(w, 1, type == NAL_SPS ? 0xe0 | n : n);
	for (int i = 0; i < n_sets; i++) {
		if (type_of(&sets[i]) != type)
			continue;
		put_number(w, 2, (uint32_t)sets[i].iov_len);
		put(w, sets[i].iov_base, sets[i].iov_len);
	}
}

/* AVCDecoderConfigurationRecord, ISO/IEC 14496-15, 5.3.3.1.2. */
static void put_avcc(struct writer *w, const struct sps *sps, const struct iovec *sets, int n_sets)
{
	size_t at = begin_box(w, "avcC");

	put_number(w, 1, 1);
	put_number(w, 1, sps->profile_idc);
	put_number(w, 1, sps->constraint_flags);
	put_number(w, 1, sps->level_idc);
	put_number(w, 1, 0xff); /* lengths of 4 bytes */
	put_sets(w, sets, n_sets, NAL_SPS);
	put_sets(w, sets, n_sets, NAL_PPS);
	if (sps->profile_idc != 66 && sps->profile_idc != 77 && sps->profile_idc != 88) {
		put_number(w, 1, 0xfc | sps->chroma_format_idc);
		put_number(w, 1, 0xf8 | (sps->bit_depth_luma - 8));
		put_number(w, 1, 0xf8 | (sps->bit_depth_chroma - 8));
		put_number(w, 1, 0); /* SPS extensions */
	}
	end_box(w, at);
}

static void put_pasp(struct writer *w, const struct sps *sps)
{
	size_t at = begin_box(w, "pasp");

	put_number(w, 4, sps->sar_width);
	put_number(w, 4, sps->sar_height);
	end_box(w, at);
}

/* VisualSampleEntry, ISO/IEC 14496-12, 12.1.3. */
static void put_stsd(struct writer *w, const struct sps *sps, const struct iovec *sets, int n_sets)
{
	size_t stsd = begin_full_box(w, "stsd", 0), avc1;

	put_number(w, 4, 1); /* entries */
	avc1 = begin_box(w, "avc1");
	put_zeros(w, 6);
	put_number(w, 2, 1); /* data reference */
	put_zeros(w, 16);
	put_number(w, 2, sps->width);
	put_number(w, 2, sps->height);
	put_number(w, 4, 72u << 16); /* dots an inch, as is usual */
	put_number(w, 4, 72u << 16);
	put_zeros(w, 4);
	put_number(w, 2, 1); /* frames a sample */
	put_zeros(w, 32);    /* name of the encoder */
	put_number(w, 2, 24);
	put_number(w, 2, 0xffff);
	put_avcc(w, sps, sets, n_sets);
	if (sps->sar_width != sps->sar_height)
		put_pasp(w, sps);
	end_box(w, avc1);
	end_box(w, stsd);
}

/* --- the movie --- */

static void put_matrix(struct writer *w, struct orientation orientation)
{
	int32_t matrix[ORIENTATION_MATRIX_LEN];

	orientation_to_matrix(orientation, matrix);
	for (int i = 0; i < ORIENTATION_MATRIX_LEN; i++)
		put_number(w, 4, (uint32_t)matrix[i]);
}

static void put_ftyp(struct writer *w)
{
	size_t at = begin_box(w, "ftyp");

	put(w, "iso5", 4);
	put_number(w, 4, 512);
	put(w, "iso5iso6mp41", 12);
	end_box(w, at);
}

static void put_mvhd(struct writer *w)
{
	size_t at = begin_full_box(w, "mvhd", 0);

	put_zeros(w, 8); /* times of creation and modification */
	put_number(w, 4, MP4_TIMESCALE);
	put_zeros(w, 4); /* duration: of the fragments */
	put_number(w, 4, 1u << 16);
	put_number(w, 2, 1u << 8);
	put_zeros(w, 10);
	put_matrix(w, (struct orientation){0});
	put_zeros(w, 24);
	put_number(w, 4, MP4_TRACK + 1); /* next track */
	end_box(w, at);
}

/* The size at which the track is shown, before it is turned, 16.16. */
static void put_tkhd(struct writer *w, const struct sps *sps, struct orientation orientation)
{
	size_t at = begin_full_box(w, "tkhd", 3); /* enabled, in the movie */
	uint64_t width = (uint64_t)sps->width << 16;

	if (sps->sar_width > 0)
		width = width * sps->sar_width / sps->sar_height;
	if (width > UINT32_MAX)
		width = UINT32_MAX;
	put_zeros(w, 8);
	put_number(w, 4, MP4_TRACK);
	put_zeros(w, 4 + 4 + 8 + 8); /* duration, layer, volume */
	put_matrix(w, orientation);
	put_number(w, 4, (uint32_t)width);
	put_number(w, 4, sps->height << 16);
	end_box(w, at);
}

static void put_mdhd(struct writer *w)
{
	size_t at = begin_full_box(w, "mdhd", 0);

	put_zeros(w, 8);
	put_number(w, 4, MP4_TIMESCALE);
	put_zeros(w, 4);
	put_number(w, 2, 0x55c4); /* language: und */
	put_zeros(w, 2);
	end_box(w, at);
}

static void put_hdlr(struct writer *w)
{
	size_t at = begin_full_box(w, "hdlr", 0);

	put_zeros(w, 4);
	put(w, "vide", 4);
	put_zeros(w, 12);
	put(w, "camcast", sizeof("camcast"));
	end_box(w, at);
}

static void put_minf(struct writer *w, const struct sps *sps, const struct iovec *sets, int n_sets)
{
	size_t minf = begin_box(w, "minf"), vmhd, dinf, dref, url, stbl;

	vmhd = begin_full_box(w, "vmhd", 1);
	put_zeros(w, 8);
	end_box(w, vmhd);
	dinf = begin_box(w, "dinf");
	dref = begin_full_box(w, "dref", 0);
	put_number(w, 4, 1);
	url = begin_full_box(w, "url ", 1); /* the data is in the same file */
	end_box(w, url);
	end_box(w, dref);
	end_box(w, dinf);
	stbl = begin_box(w, "stbl");
	put_stsd(w, sps, sets, n_sets);
	put_empty(w, "stts", 4);
	put_empty(w, "stsc", 4);
	put_empty(w, "stsz", 8);
	put_empty(w, "stco", 4);
	end_box(w, stbl);
	end_box(w, minf);
}

static void put_trak(struct writer *w, const struct sps *sps, const struct iovec *sets, int n_sets,
		     struct orientation orientation)
{
	size_t trak = begin_box(w, "trak"), mdia;

	put_tkhd(w, sps, orientation);
	mdia = begin_box(w, "mdia");
	put_mdhd(w);
	put_hdlr(w);
	put_minf(w, sps, sets, n_sets);
	end_box(w, mdia);
	end_box(w, trak);
}

/* Fragments follow. */
static void put_mvex(struct writer *w)
{
	size_t mvex = begin_box(w, "mvex"), trex = begin_full_box(w, "trex", 0);

	put_number(w, 4, MP4_TRACK);
	put_number(w, 4, 1); /* sample description */
	put_zeros(w, 12);
	end_box(w, trex);
	end_box(w, mvex);
}

int mp4_init_write(uint8_t *out, size_t size, const struct iovec *sets, int n_sets,
		   struct orientation orientation)
{
	struct writer w = {.out = out, .size = size};
	const struct iovec *sps_nal = sets;
	struct sps sps;
	size_t moov;

	while (sps_nal < sets + n_sets && type_of(sps_nal) != NAL_SPS)
		sps_nal++;
	if (sps_nal == sets + n_sets || sps_read(sps_nal->iov_base, sps_nal->iov_len, &sps) < 0)
		return -EINVAL;
	put_ftyp(&w);
	moov = begin_box(&w, "moov");
	put_mvhd(&w);
	put_trak(&w, &sps, sets, n_sets, orientation);
	put_mvex(&w);
	end_box(&w, moov);
	return w.len <= size ? (int)w.len : -EMSGSIZE;
}
