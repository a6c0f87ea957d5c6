/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/avcc.h"

#include <errno.h>

#define HEAD_LEN 6 /* up to and with the number of SPSs */

bool avcc_begins(const uint8_t *data, size_t len)
{
	return len > HEAD_LEN && data[0] == 1;
}

int avcc_open(struct avcc *out, const uint8_t *data, size_t len)
{
	unsigned length_size;

	if (!avcc_begins(data, len))
		return -EINVAL;
	length_size = (data[4] & 3) + 1u;
	if (length_size == 3)
		return -EINVAL;
	*out = (struct avcc){
		.length_size = length_size,
		.data = data,
		.len = len,
		.pos = HEAD_LEN,
		.left = data[5] & 0x1f,
	};
	return 0;
}

static void make_nal(struct nal *nal, const uint8_t *data, size_t len)
{
	*nal = (struct nal){
		.data = data,
		.len = len,
		.type = nal_type(data[0]),
		.ref_idc = nal_ref_idc(data[0]),
	};
}

bool avcc_next(struct avcc *avcc, struct nal *nal)
{
	int r;

	do {
		if (avcc->left == 0 && !avcc->in_pps && avcc->pos < avcc->len) {
			avcc->left = avcc->data[avcc->pos++];
			avcc->in_pps = true;
		}
		if (avcc->left == 0)
			return false;
		avcc->left--;
		r = avcc_next_nal(2, avcc->data, avcc->len, &avcc->pos, nal);
	} while (r > 0 && nal->type != (avcc->in_pps ? NAL_PPS : NAL_SPS));
	return r > 0;
}

int avcc_next_nal(unsigned length_size, const uint8_t *data, size_t len, size_t *pos,
		  struct nal *nal)
{
	size_t size = 0;

	while (size == 0) {
		if (*pos >= len)
			return 0;
		if (len - *pos < length_size)
			return -EBADMSG;
		for (unsigned i = 0; i < length_size; i++)
			size = size << 8 | data[(*pos)++];
		if (size > len - *pos)
			return -EBADMSG;
	}
	make_nal(nal, data + *pos, size);
	*pos += size;
	return 1;
}
