/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/assemble.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture/source/whole.h"
#include "media/avcc.h"
#include "media/jpeg.h"

static const uint8_t start_code[] = {0, 0, 0, 1};

/* --- bytes --- */

static int make_room(struct bytes *bytes, size_t more)
{
	size_t size = bytes->len + more;
	uint8_t *larger;

	if (bytes->size >= size)
		return 0;
	size += size / 2;
	larger = realloc(bytes->data, size);
	if (!larger)
		return -ENOMEM;
	bytes->data = larger;
	bytes->size = size;
	return 0;
}

static int put(struct bytes *bytes, const uint8_t *data, size_t len)
{
	int r = len > 0 ? make_room(bytes, len) : 0;

	if (r || len == 0)
		return r;
	memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
	return 0;
}

static int put_nal(struct bytes *bytes, const uint8_t *data, size_t len)
{
	int r = put(bytes, start_code, sizeof(start_code));

	return r ? r : put(bytes, data, len);
}

/* The SPS and all PPSs that go with it. */
static int put_sets(const struct assembler *assembler, int sps_id, struct bytes *out)
{
	const struct parameter_sets *sets = &assembler->sets;
	int r;

	if (sps_id < 0)
		return 0;
	r = put_nal(out, sets->sps[sps_id].data, sets->sps[sps_id].len);
	for (unsigned i = 0; i < PPS_IDS && !r; i++) {
		if (sets->pps[i].data && sets->pps[i].sps_id == sps_id)
			r = put_nal(out, sets->pps[i].data, sets->pps[i].len);
	}
	return r;
}

void unit_extend(struct unit *unit, int64_t ticks)
{
	if (ticks > 0 && unit->duration <= INT64_MAX - ticks)
		unit->duration += ticks;
}

int unit_append(struct unit *unit, const struct unit *second)
{
	int r = put(&unit->coded, second->coded.data, second->coded.len);

	if (r)
		return r;
	unit->fields |= second->fields;
	unit->referenced |= second->referenced;
	unit->corrupt |= second->corrupt;
	unit->discard |= second->discard;
	unit_extend(unit, second->duration);
	return 0;
}

bool unit_is_pair(const struct unit *unit, const struct unit *second)
{
	return unit->fields + second->fields == UNIT_TOP + UNIT_BOTTOM && unit->fields != 0 &&
	       second->fields != 0 && !second->idr && unit->frame_num == second->frame_num;
}

bool unit_is_whole(const struct unit *unit)
{
	struct bytes all = {0};
	bool whole = put(&all, unit->sets.data, unit->sets.len) < 0 ||
		     put(&all, unit->coded.data, unit->coded.len) < 0 ||
		     whole_picture(all.data, all.len);

	free(all.data);
	return whole;
}

void unit_finish(struct unit *unit)
{
	free(unit->coded.data);
	free(unit->sets.data);
	*unit = (struct unit){0};
}

/* --- H.264 --- */

static int learn(struct assembler *assembler, const struct nal *nal)
{
	unsigned id;
	int r = parameter_sets_learn(&assembler->sets, nal, &id);

	if (r == -EMSGSIZE)
		assembler->set_too_long = true;
	if (r > 0 && nal->type == NAL_SPS && (int)id == assembler->sps_id)
		assembler->sps_known = false;
	return r == -ENOMEM ? r : 0;
}

int assembler_take_header(struct assembler *assembler, const uint8_t *data, size_t len)
{
	struct avcc avcc;
	struct nal nal;
	size_t pos = 0;
	int r = 0;

	if (assembler->codec != CONFIG_CODEC_H264 || len == 0)
		return 0;
	if (avcc_open(&avcc, data, len) == 0) {
		assembler->length_size = avcc.length_size;
		while (!r && avcc_next(&avcc, &nal))
			r = learn(assembler, &nal);
		return r;
	}
	assembler->length_size = 0;
	while (!r && nal_next(data, len, &pos, &nal)) {
		if (nal.type == NAL_SPS || nal.type == NAL_PPS)
			r = learn(assembler, &nal);
	}
	return r;
}

/* The SPS that the picture uses. */
static void activate(struct assembler *assembler, const struct nal *slice)
{
	const int id = parameter_sets_of_slice(&assembler->sets, slice);
	const struct parameter_set *set = id < 0 ? NULL : &assembler->sets.sps[id];

	if (id == assembler->sps_id && (assembler->sps_known || id < 0))
		return;
	assembler->sps_id = id < 0 ? -1 : id;
	assembler->sps_known = set && sps_read(set->data, set->len, &assembler->sps) == 0;
}

static void note_field(const struct assembler *assembler, const struct nal *slice,
		       struct unit *unit)
{
	struct slice_picture picture;

	if (!assembler->sps_known || assembler->sps.frame_mbs_only ||
	    (slice->type != NAL_SLICE && slice->type != NAL_IDR &&
	     slice->type != NAL_PARTITION_A) ||
	    sps_read_slice(&assembler->sps, slice, &picture) < 0 || !picture.field)
		return;
	unit->fields |= picture.bottom ? UNIT_BOTTOM : UNIT_TOP;
	unit->frame_num = picture.frame_num;
}

/* What one NAL unit of a packet adds. */
struct progress {
	bool sps, pps, slice;
};

static int take_slice(struct assembler *assembler, const struct nal *nal, struct unit *unit,
		      struct progress *progress)
{
	int r = 0;

	if (!progress->slice) {
		progress->slice = true;
		activate(assembler, nal);
		unit->idr = nal->type == NAL_IDR;
		unit->key = unit->idr && assembler->sps_id >= 0;
		if (!unit->key)
			r = put_sets(assembler, assembler->sps_id, &unit->sets);
		else if (!progress->sps || !progress->pps)
			r = put_sets(assembler, assembler->sps_id, &unit->coded);
		if (assembler->sps_known) {
			unit->width = assembler->sps.width;
			unit->height = assembler->sps.height;
		}
	}
	unit->referenced |= nal->ref_idc != 0;
	note_field(assembler, nal, unit);
	return r;
}

static int take_nal(struct assembler *assembler, const struct nal *nal, struct unit *unit,
		    struct progress *progress)
{
	int r = 0;

	if (nal->type == NAL_SPS || nal->type == NAL_PPS) {
		progress->sps |= nal->type == NAL_SPS;
		progress->pps |= nal->type == NAL_PPS;
		r = learn(assembler, nal);
	} else if (nal_is_slice(nal->type)) {
		r = take_slice(assembler, nal, unit, progress);
	}
	return r ? r : put_nal(&unit->coded, nal->data, nal->len);
}

static int take_h264(struct assembler *assembler, const uint8_t *data, size_t len,
		     struct unit *unit)
{
	struct progress progress = {0};
	struct nal nal;
	size_t pos = 0;
	int r = 0;

	if (assembler->length_size == 0) {
		while (!r && nal_next(data, len, &pos, &nal))
			r = take_nal(assembler, &nal, unit, &progress);
	} else {
		while ((r = avcc_next_nal(assembler->length_size, data, len, &pos, &nal)) > 0) {
			r = take_nal(assembler, &nal, unit, &progress);
			if (r)
				break;
		}
	}
	if (!r && !progress.slice)
		r = -ENODATA;
	return r;
}

/* --- JPEG --- */

static int take_jpeg(const uint8_t *data, size_t len, struct unit *unit)
{
	struct jpeg_header header;
	int r;

	if (jpeg_header_read(data, len, &header) < 0)
		return -EBADMSG;
	unit->key = true;
	unit->width = header.width;
	unit->height = header.height;
	unit->ends = jpeg_ends(data, len);
	if (header.has_tables)
		return put(&unit->coded, data, len);
	r = make_room(&unit->coded, len + JPEG_TABLES_LEN);
	if (!r)
		unit->coded.len = jpeg_insert_tables(data, len, header.scan, unit->coded.data);
	return r;
}

/* --- a packet --- */

int assembler_take(struct assembler *assembler, const AVPacket *packet, struct unit *unit)
{
	const uint8_t *data = packet->data;
	const size_t len = packet->size > 0 ? (size_t)packet->size : 0;
	int r;

	*unit = (struct unit){
		.coded = {.data = unit->coded.data, .size = unit->coded.size},
		.sets = {.data = unit->sets.data, .size = unit->sets.size},
		.discard = packet->flags & AV_PKT_FLAG_DISCARD,
		.corrupt = packet->flags & AV_PKT_FLAG_CORRUPT,
		.pts = packet->pts,
		.dts = packet->dts,
		.duration = packet->duration,
		.pos = packet->pos,
	};
	if (len == 0) /* "as before", in AVI and MP4 */
		return -ENODATA;
	r = assembler->codec == CONFIG_CODEC_H264 ? take_h264(assembler, data, len, unit)
						  : take_jpeg(data, len, unit);
	if (r == -EBADMSG)
		unit->referenced = true;
	return r;
}

void assembler_init(struct assembler *assembler, enum config_codec codec)
{
	*assembler = (struct assembler){.codec = codec, .sps_id = -1};
}

void assembler_finish(struct assembler *assembler)
{
	parameter_sets_clear(&assembler->sets);
}
