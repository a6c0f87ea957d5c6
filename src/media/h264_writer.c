/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/h264_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media/nal.h"
#include "media/sei.h"
#include "media/sps.h"

/* primary_pic_type 7: slices of any type (table 7-5), so that one AUD does for every picture. */
static const uint8_t aud[] = {0, 0, 0, 1, NAL_AUD, 0xf0};
static const uint8_t start_code[] = {0, 0, 0, 1};

struct parameter_set {
	uint8_t *coded;	  /* as the encoder gave it, to know it again; NULL: never seen */
	uint8_t *written; /* as it is sent: in the same allocation */
	size_t coded_len, written_len;
	uint8_t sps_id; /* of a PPS: the SPS that it goes with */
	bool fresh;	/* came since the last unit was written */
};

struct h264_writer {
	struct sps_edit edit;
	bool sei;
	uint64_t sequence;
	struct parameter_set sps[SPS_IDS], pps[PPS_IDS];

	struct iovec *iov; /* [0] is head */
	size_t iov_cap;
	uint8_t *head; /* AUD and parameter sets of this unit */
	size_t head_cap;
	uint8_t sei_nal[SEI_CAPTURE_MAX];
};

/* --- parameter sets --- */

static void parameter_set_forget(struct parameter_set *set)
{
	free(set->coded);
	*set = (struct parameter_set){0};
}

static bool parameter_set_is(const struct parameter_set *set, const struct nal *nal)
{
	return set->coded && set->coded_len == nal->len &&
	       memcmp(set->coded, nal->data, nal->len) == 0;
}

/* Keeps nal, with room for a written form of at most written_max bytes. */
static int parameter_set_keep(struct parameter_set *set, const struct nal *nal, size_t written_max)
{
	uint8_t *memory = malloc(nal->len + written_max);

	if (!memory)
		return -ENOMEM;
	parameter_set_forget(set);
	memcpy(memory, nal->data, nal->len);
	set->coded = memory;
	set->coded_len = nal->len;
	set->written = memory + nal->len;
	return 0;
}

static int learn_sps(struct h264_writer *writer, const struct nal *nal)
{
	struct parameter_set *set;
	size_t written_max;
	int id = sps_read_id(nal), rc;

	if (id < 0 || nal->len > PARAMETER_SET_MAX)
		return 0;
	set = &writer->sps[id];
	if (!parameter_set_is(set, nal)) {
		written_max = nal->len + nal->len / 2 + 64;
		rc = parameter_set_keep(set, nal, written_max);
		if (rc < 0)
			return rc;
		rc = sps_rewrite(nal->data, nal->len, &writer->edit, set->written, written_max);
		if (rc < 0) {
			/* Cameras with a broken VUI exist, and decoders that play them: pass it. */
			memcpy(set->written, nal->data, nal->len);
			rc = (int)nal->len;
		}
		set->written_len = (size_t)rc;
		/* Decoders forget the PPSs that went with the old one. */
		for (unsigned i = 0; i < PPS_IDS; i++) {
			if (writer->pps[i].coded && writer->pps[i].sps_id == (unsigned)id)
				parameter_set_forget(&writer->pps[i]);
		}
	}
	set->fresh = true;
	return 0;
}

static int learn_pps(struct h264_writer *writer, const struct nal *nal)
{
	struct parameter_set *set;
	unsigned sps_id;
	int id = sps_read_pps_ids(nal, &sps_id), rc;

	if (id < 0 || nal->len > PARAMETER_SET_MAX)
		return 0;
	set = &writer->pps[id];
	if (!parameter_set_is(set, nal)) {
		rc = parameter_set_keep(set, nal, nal->len);
		if (rc < 0)
			return rc;
		memcpy(set->written, nal->data, nal->len);
		set->written_len = nal->len;
		set->sps_id = (uint8_t)sps_id;
	}
	set->fresh = true;
	return 0;
}

/* The id of the SPS that an IDR slice uses, or -1 if it or the PPS is not known. */
static int slice_sps(const struct h264_writer *writer, const struct nal *slice)
{
	int id = sps_read_slice_pps_id(slice);

	if (id < 0 || !writer->pps[id].coded || !writer->sps[writer->pps[id].sps_id].coded)
		return -1;
	return writer->pps[id].sps_id;
}

/* --- writing --- */

/* Appends to head; it has room (reserve_head). */
static void head_put(struct h264_writer *writer, const uint8_t *data, size_t len)
{
	struct iovec *iov = &writer->iov[0];

	memcpy((uint8_t *)iov->iov_base + iov->iov_len, data, len);
	iov->iov_len += len;
}

static bool set_goes_out(const struct parameter_set *set, bool idr, bool active)
{
	return set->coded && (idr ? active : set->fresh);
}

/* Makes iov[0]: the AUD and the parameter sets that belong before this picture. */
static int write_head(struct h264_writer *writer, bool idr, int active_sps)
{
	size_t size = sizeof(aud);
	uint8_t *grown;

	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < SPS_IDS + PPS_IDS; i++) {
			struct parameter_set *set =
				i < SPS_IDS ? &writer->sps[i] : &writer->pps[i - SPS_IDS];
			int sps_id = i < SPS_IDS ? i : set->sps_id;

			if (!set_goes_out(set, idr, sps_id == active_sps))
				continue;
			if (pass == 0) {
				size += sizeof(start_code) + set->written_len;
				continue;
			}
			head_put(writer, start_code, sizeof(start_code));
			head_put(writer, set->written, set->written_len);
		}
		if (pass == 1)
			break;
		if (size > writer->head_cap) {
			grown = realloc(writer->head, size);
			if (!grown)
				return -ENOMEM;
			writer->head = grown;
			writer->head_cap = size;
		}
		writer->iov[0] = (struct iovec){.iov_base = writer->head};
		head_put(writer, aud, sizeof(aud));
	}
	for (int i = 0; i < SPS_IDS; i++)
		writer->sps[i].fresh = false;
	for (int i = 0; i < PPS_IDS; i++)
		writer->pps[i].fresh = false;
	return 0;
}

/* Our SEI. Returns its length. */
static size_t write_sei(struct h264_writer *writer, int64_t capture_us)
{
	struct sei_capture capture = {.sequence = writer->sequence, .monotonic_us = capture_us};
	struct timespec mono, real;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &real);
	capture.utc_us = capture_us + (real.tv_sec - mono.tv_sec) * (int64_t)1000000 +
			 (real.tv_nsec - mono.tv_nsec) / 1000;
	return sei_write_capture(writer->sei_nal, &capture);
}

static int put_iov(struct h264_writer *writer, size_t *n, const void *data, size_t len)
{
	if (*n == writer->iov_cap) {
		size_t cap = writer->iov_cap * 2;
		struct iovec *grown = realloc(writer->iov, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		writer->iov = grown;
		writer->iov_cap = cap;
	}
	/* struct iovec has no const; nobody writes through it */
	writer->iov[*n].iov_base = (void *)(uintptr_t)data;
	writer->iov[*n].iov_len = len;
	(*n)++;
	return 0;
}

/* Adds nal as it stands in data, with a start code of three bytes. NAL units that follow each other
 * there are one iovec; *data_end is where the last of them ended, or NULL. */
static int put_nal(struct h264_writer *writer, size_t *n, const struct nal *nal,
		   const uint8_t **data_end)
{
	const uint8_t *begin = nal->data - 3, *end = nal->data + nal->len, *last_end = *data_end;

	*data_end = end;
	/* One byte between: the zero_byte of a start code of four. */
	if (last_end && (begin == last_end || begin == last_end + 1)) {
		writer->iov[*n - 1].iov_len += (size_t)(end - last_end);
		return 0;
	}
	return put_iov(writer, n, begin, (size_t)(end - begin));
}

int h264_writer_unit(struct h264_writer *writer, const uint8_t *data, size_t len,
		     int64_t capture_us, struct h264_unit *out)
{
	struct nal nal, first_idr = {0};
	const uint8_t *data_end = NULL;
	size_t pos = 0, n = 1;
	bool slices = false, referenced = false, sei_due = writer->sei;
	int active_sps = -1, rc = 0;

	*out = (struct h264_unit){0};
	while (rc == 0 && nal_next(data, len, &pos, &nal)) {
		switch (nal.type) {
		case NAL_SPS:
			rc = learn_sps(writer, &nal);
			continue;
		case NAL_PPS:
			rc = learn_pps(writer, &nal);
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
			rc = put_iov(writer, &n, writer->sei_nal, write_sei(writer, capture_us));
			sei_due = false;
			data_end = NULL;
		}
		if (rc == 0)
			rc = put_nal(writer, &n, &nal, &data_end);
	}
	if (rc < 0)
		return rc;
	if (!slices)
		return -EINVAL;

	if (first_idr.data)
		active_sps = slice_sps(writer, &first_idr);
	rc = write_head(writer, first_idr.data != NULL, active_sps);
	if (rc < 0)
		return rc;
	writer->sequence++;
	out->iov = writer->iov;
	out->iovcnt = (int)n;
	for (size_t i = 0; i < n; i++)
		out->len += writer->iov[i].iov_len;
	out->key = active_sps >= 0;
	out->parameter_sets_missing = first_idr.data && active_sps < 0;
	out->droppable = !referenced;
	return 0;
}

int h264_writer_create(struct h264_writer **out, const struct sps_edit *edit, bool sei)
{
	struct h264_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return -ENOMEM;
	writer->iov_cap = 16;
	writer->iov = calloc(writer->iov_cap, sizeof(*writer->iov));
	if (!writer->iov) {
		free(writer);
		return -ENOMEM;
	}
	writer->edit = *edit;
	writer->sei = sei;
	*out = writer;
	return 0;
}

void h264_writer_destroy(struct h264_writer *writer)
{
	if (!writer)
		return;
	for (int i = 0; i < SPS_IDS; i++)
		parameter_set_forget(&writer->sps[i]);
	for (int i = 0; i < PPS_IDS; i++)
		parameter_set_forget(&writer->pps[i]);
	free(writer->head);
	free(writer->iov);
	free(writer);
}
