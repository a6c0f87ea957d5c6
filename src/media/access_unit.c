/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/access_unit.h"

#include "media/nal.h"

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

size_t access_unit_find_end(struct access_unit_search *search, const uint8_t *data, size_t len)
{
	size_t at;

	while ((at = nal_find_start_code(data, len, search->done)) + START_CODE + 2 <= len) {
		const uint8_t *header = data + at + START_CODE;

		if (search->head.slice && access_unit_begins(header))
			return data[at - 1] == 0 ? at - 1 : at;
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
