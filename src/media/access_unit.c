/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/access_unit.h"

#include "media/nal.h"
#include "media/sps.h"

#define START_CODE 3 /* bytes of the prefix */

static void note(struct access_unit_head *head, uint8_t header)
{
	const unsigned type = nal_type(header);

	head->sps |= type == NAL_SPS;
	head->pps |= type == NAL_PPS;
	if (!nal_is_slice(type))
		return;
	head->slice = true;
	head->idr |= type == NAL_IDR;
	head->referenced |= nal_ref_idc(header) != 0;
}

void access_unit_read_head(const uint8_t *data, size_t len, struct access_unit_head *head)
{
	size_t at = 0;

	*head = (struct access_unit_head){0};
	while (!head->slice && (at = nal_find_start_code(data, len, at)) + START_CODE < len) {
		note(head, data[at + START_CODE]);
		at += START_CODE;
	}
}

bool access_unit_begins(const uint8_t header[2])
{
	const unsigned type = nal_type(header[0]);

	if (type == NAL_SLICE || type == NAL_PARTITION_A || type == NAL_IDR)
		return header[1] & 0x80; /* ue(v) 0 */
	return (type >= NAL_SEI && type <= NAL_AUD) ||
	       (type >= NAL_PREFIX && type <= NAL_RESERVED_18);
}

/* --- two fields --- */

#define SLICE_HEADER_MAX 24 /* bytes that are enough for sps_read_slice() */

static bool read_field(const struct access_unit_fields *fields, const uint8_t *data, size_t len,
		       struct slice_picture *out)
{
	const struct nal nal = {.data = data, .len = len, .type = nal_type(data[0])};
	const struct sps sps = {.separate_planes = fields->separate_planes,
				.frame_num_bits = fields->frame_num_bits};

	return sps_read_slice(&sps, &nal, out) == 0 && out->field;
}

static void read_sps(struct access_unit_fields *fields, const uint8_t *data, size_t len)
{
	struct sps sps;

	*fields = (struct access_unit_fields){0};
	if (sps_read(data, len, &sps) == 0)
		*fields = (struct access_unit_fields){.possible = !sps.frame_mbs_only,
						      .separate_planes = sps.separate_planes,
						      .frame_num_bits = sps.frame_num_bits};
}

/* Whether the NAL unit at `at`, which would begin the next access unit, goes with the second field
 * of the frame. 1: it does, 0: it does not, -1: more bytes are needed. SEI messages and a PPS may
 * stand in front of the field. */
static int leads_to_second_field(const struct access_unit_search *search, const uint8_t *data,
				 size_t len, size_t at)
{
	const struct access_unit_fields *fields = search->fields;
	struct slice_picture first, second;

	if (!fields || !fields->possible || search->paired ||
	    !read_field(fields, data + search->slice_at, at - search->slice_at, &first))
		return 0;
	while (at + START_CODE + 2 <= len) {
		const uint8_t *nal = data + at + START_CODE;
		const unsigned type = nal_type(nal[0]);
		size_t next = nal_find_start_code(data, len, at + START_CODE);

		if (nal_is_slice(type)) {
			if (next == len && len - at < START_CODE + SLICE_HEADER_MAX)
				return -1;
			return read_field(fields, nal, next - at - START_CODE, &second) &&
			       access_unit_begins(nal) && second.frame_num == first.frame_num &&
			       second.bottom != first.bottom;
		}
		if (type != NAL_SEI && type != NAL_PPS)
			return 0;
		at = next;
	}
	return -1;
}

/* Notes where the NAL unit at `at` is, and reads the SPS that ends there. */
static void learn(struct access_unit_search *search, const uint8_t *data, size_t at)
{
	const unsigned type = nal_type(data[at + START_CODE]);
	struct access_unit_fields *fields = search->fields;

	if (fields && search->sps_at > 0)
		read_sps(fields, data + search->sps_at, at - search->sps_at);
	search->sps_at = type == NAL_SPS ? at + START_CODE : 0;
	if (!nal_is_slice(type))
		return;
	if (search->head.slice && access_unit_begins(data + at + START_CODE))
		search->paired = true; /* else the unit would have ended */
	if (!search->head.slice)
		search->slice_at = at + START_CODE;
}

size_t access_unit_find_end(struct access_unit_search *search, const uint8_t *data, size_t len)
{
	size_t at;

	while ((at = nal_find_start_code(data, len, search->done)) + START_CODE + 2 <= len) {
		const uint8_t *header = data + at + START_CODE;

		if (search->head.slice && access_unit_begins(header)) {
			int second = leads_to_second_field(search, data, len, at);

			if (second == 0)
				return data[at - 1] == 0 ? at - 1 : at;
			if (second < 0) {
				search->done = at;
				return 0;
			}
		}
		learn(search, data, at);
		note(&search->head, header[0]);
		search->done = at + START_CODE;
	}
	/* Its last two bytes may begin a start code. */
	if (at == len && len >= 2 && search->done < len - 2)
		at = len - 2;
	if (at < len)
		search->done = at;
	return 0;
}
