/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/h264_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "media/nal.h"
#include "media/parameter_sets.h"
#include "media/sei.h"

const uint8_t h264_aud[H264_AUD_LEN] = {0, 0, 0, 1, NAL_AUD, 0xf0};
static const uint8_t start_code[] = {0, 0, 0, 1};

/* An SPS as it is sent; a PPS is sent as it came. */
struct written {
	uint8_t *data;
	size_t len;
};

struct iov_list {
	struct iovec *iov;
	size_t n, cap;
};

struct h264_writer {
	struct sps_edit edit;
	bool sei, turned; /* add the SEI of camcast/sei.h, of the orientation */
	struct orientation orientation;
	uint64_t sequence;
	struct parameter_sets sets; /* as the encoder gave them */
	struct written sps[SPS_IDS];
	/* Those that came since the last unit was written. */
	bool fresh_sps[SPS_IDS], fresh_pps[PPS_IDS];

	struct iov_list unit; /* [0] is head */
	struct iov_list nals; /* the same without start codes, AUD and parameter sets */
	struct iovec head_sets[SPS_IDS + PPS_IDS]; /* the parameter sets in head */
	int n_head_sets;
	uint8_t *head; /* AUD and parameter sets of this unit */
	size_t head_cap;
	uint8_t sei_nals[SEI_ORIENTATION_MAX + SEI_CAPTURE_MAX];
};

/* --- parameter sets --- */

static int write_sps(struct h264_writer *writer, const struct nal *nal, unsigned id)
{
	const size_t size = nal->len + nal->len / 2 + 64;
	uint8_t *data = malloc(size);
	int r;

	if (!data)
		return -ENOMEM;
	r = sps_rewrite(nal->data, nal->len, &writer->edit, data, size);
	if (r < 0) {
		/* Cameras with a broken VUI exist, and decoders that play them: pass it. */
		memcpy(data, nal->data, nal->len);
		r = (int)nal->len;
	}
	free(writer->sps[id].data);
	writer->sps[id] = (struct written){.data = data, .len = (size_t)r};
	return 0;
}

/* An SPS or a PPS. One that cannot be read, or is too long, is left out. 0 or -ENOMEM. */
static int learn(struct h264_writer *writer, const struct nal *nal)
{
	unsigned id;
	int r = parameter_sets_learn(&writer->sets, nal, &id);

	if (r == -EINVAL || r == -EMSGSIZE)
		return 0;
	if (r < 0)
		return r;
	if (nal->type == NAL_PPS) {
		writer->fresh_pps[id] = true;
		return 0;
	}
	writer->fresh_sps[id] = true;
	return r > 0 || !writer->sps[id].data ? write_sps(writer, nal, id) : 0;
}

/* --- writing --- */

/* Appends to head; it has room (reserve_head). */
static void head_put(struct h264_writer *writer, const uint8_t *data, size_t len)
{
	struct iovec *iov = &writer->unit.iov[0];

	memcpy((uint8_t *)iov->iov_base + iov->iov_len, data, len);
	iov->iov_len += len;
}

static void put_set(struct h264_writer *writer, const uint8_t *data, size_t len)
{
	const struct iovec *head = &writer->unit.iov[0];

	head_put(writer, start_code, sizeof(start_code));
	writer->head_sets[writer->n_head_sets++] = (struct iovec){
		.iov_base = (uint8_t *)head->iov_base + head->iov_len, .iov_len = len};
	head_put(writer, data, len);
}

/* The parameter sets that belong before this picture, SPSs first. Returns their length; they are
 * written if put is set. */
static size_t write_sets(struct h264_writer *writer, bool idr, int active_sps, bool put)
{
	size_t size = 0;

	for (int i = 0; i < SPS_IDS; i++) {
		const struct written *sps = &writer->sps[i];

		if (!sps->data || !(idr ? i == active_sps : writer->fresh_sps[i]))
			continue;
		size += sizeof(start_code) + sps->len;
		if (put)
			put_set(writer, sps->data, sps->len);
	}
	for (int i = 0; i < PPS_IDS; i++) {
		const struct parameter_set *pps = &writer->sets.pps[i];

		if (!pps->data || !(idr ? pps->sps_id == active_sps : writer->fresh_pps[i]))
			continue;
		size += sizeof(start_code) + pps->len;
		if (put)
			put_set(writer, pps->data, pps->len);
	}
	return size;
}

/* Makes iov[0]: the AUD and the parameter sets that belong before this picture. */
static int write_head(struct h264_writer *writer, bool idr, int active_sps)
{
	const size_t size = sizeof(h264_aud) + write_sets(writer, idr, active_sps, false);
	uint8_t *grown;

	if (size > writer->head_cap) {
		grown = realloc(writer->head, size);
		if (!grown)
			return -ENOMEM;
		writer->head = grown;
		writer->head_cap = size;
	}
	writer->unit.iov[0] = (struct iovec){.iov_base = writer->head};
	writer->n_head_sets = 0;
	head_put(writer, h264_aud, sizeof(h264_aud));
	write_sets(writer, idr, active_sps, true);
	memset(writer->fresh_sps, 0, sizeof(writer->fresh_sps));
	memset(writer->fresh_pps, 0, sizeof(writer->fresh_pps));
	return 0;
}

static size_t write_capture(struct h264_writer *writer, uint8_t *out, int64_t capture_us)
{
	struct sei_capture capture = {.sequence = writer->sequence,
				      .monotonic_us = capture_us,
				      .utc_us = clock_utc_us(capture_us)};

	return sei_write_capture(out, &capture);
}

/* Our SEI. Returns its length. */
static size_t write_sei(struct h264_writer *writer, int64_t capture_us)
{
	size_t len = 0;

	if (writer->turned)
		len = sei_write_orientation(writer->sei_nals, writer->orientation);
	if (writer->sei)
		len += write_capture(writer, writer->sei_nals + len, capture_us);
	return len;
}

static int put_iov(struct iov_list *list, const void *data, size_t len)
{
	if (list->n == list->cap) {
		size_t cap = list->cap * 2 + 1;
		struct iovec *grown = realloc(list->iov, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->iov = grown;
		list->cap = cap;
	}
	/* struct iovec has no const; nobody writes through it */
	list->iov[list->n].iov_base = (void *)(uintptr_t)data;
	list->iov[list->n].iov_len = len;
	list->n++;
	return 0;
}

/* Adds our SEI, of one or two NAL units. */
static int put_sei(struct h264_writer *writer, int64_t capture_us)
{
	const size_t len = write_sei(writer, capture_us);
	struct nal nal;
	size_t pos = 0;
	int r = put_iov(&writer->unit, writer->sei_nals, len);

	while (r == 0 && nal_next(writer->sei_nals, len, &pos, &nal))
		r = put_iov(&writer->nals, nal.data, nal.len);
	return r;
}

/* Adds nal as it stands in data, with a start code of three bytes. NAL units that follow each other
 * there are one iovec; *data_end is where the last of them ended, or NULL. */
static int put_nal(struct h264_writer *writer, const struct nal *nal, const uint8_t **data_end)
{
	const uint8_t *begin = nal->data - 3, *end = nal->data + nal->len, *last_end = *data_end;
	struct iov_list *unit = &writer->unit;
	int r = put_iov(&writer->nals, nal->data, nal->len);

	if (r < 0)
		return r;
	*data_end = end;
	/* One byte between: the zero_byte of a start code of four. */
	if (last_end && (begin == last_end || begin == last_end + 1)) {
		unit->iov[unit->n - 1].iov_len += (size_t)(end - last_end);
		return 0;
	}
	return put_iov(unit, begin, (size_t)(end - begin));
}

int h264_writer_unit(struct h264_writer *writer, const uint8_t *data, size_t len,
		     int64_t capture_us, struct h264_unit *out)
{
	struct nal nal, first_idr = {0};
	const uint8_t *data_end = NULL;
	size_t pos = 0;
	bool slices = false, referenced = false, sei_due = writer->sei || writer->turned;
	int active_sps = -1, rc = 0;

	*out = (struct h264_unit){0};
	writer->unit.n = 1;
	writer->nals.n = 0;
	while (rc == 0 && nal_next(data, len, &pos, &nal)) {
		switch (nal.type) {
		case NAL_SPS:
		case NAL_PPS:
			rc = learn(writer, &nal);
			continue;
		case NAL_AUD:
		case NAL_END_SEQ:
		case NAL_END_STREAM:
		case NAL_FILLER:
			continue;
		}
		if (nal_is_slice(nal.type)) {
			slices = true;
			referenced |= nal.ref_idc != 0;
			if (nal.type == NAL_IDR && !first_idr.data)
				first_idr = nal;
		}
		/* Ours is after the encoder's SEI: a buffering period must be first (7.4.1.2.3). */
		if (sei_due && (slices || nal.type == NAL_PREFIX)) {
			rc = put_sei(writer, capture_us);
			sei_due = false;
			data_end = NULL;
		}
		if (rc == 0)
			rc = put_nal(writer, &nal, &data_end);
	}
	if (rc < 0)
		return rc;
	if (!slices)
		return -EINVAL;

	if (first_idr.data)
		active_sps = parameter_sets_of_slice(&writer->sets, &first_idr);
	rc = write_head(writer, first_idr.data != NULL, active_sps);
	if (rc < 0)
		return rc;
	writer->sequence++;
	out->iov = writer->unit.iov;
	out->iovcnt = (int)writer->unit.n;
	out->sets = writer->head_sets;
	out->n_sets = writer->n_head_sets;
	out->nals = writer->nals.iov;
	out->n_nals = (int)writer->nals.n;
	for (size_t i = 0; i < writer->unit.n; i++)
		out->len += writer->unit.iov[i].iov_len;
	out->key = active_sps >= 0;
	out->parameter_sets_missing = first_idr.data && active_sps < 0;
	out->droppable = !referenced;
	return 0;
}

static int init_list(struct iov_list *list)
{
	list->cap = 16;
	list->iov = calloc(list->cap, sizeof(*list->iov));
	return list->iov ? 0 : -ENOMEM;
}

int h264_writer_create(struct h264_writer **out, const struct sps_edit *edit, bool sei)
{
	struct h264_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return -ENOMEM;
	if (init_list(&writer->unit) < 0 || init_list(&writer->nals) < 0) {
		h264_writer_destroy(writer);
		return -ENOMEM;
	}
	writer->edit = *edit;
	writer->sei = sei;
	*out = writer;
	return 0;
}

void h264_writer_set_orientation(struct h264_writer *writer, struct orientation orientation)
{
	writer->turned = true;
	writer->orientation = orientation;
}

void h264_writer_destroy(struct h264_writer *writer)
{
	if (!writer)
		return;
	for (int i = 0; i < SPS_IDS; i++)
		free(writer->sps[i].data);
	parameter_sets_clear(&writer->sets);
	free(writer->head);
	free(writer->unit.iov);
	free(writer->nals.iov);
	free(writer);
}
