/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/mp4.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "media/avcc.h"

#define BOX_HEAD 8
#define BOX_MAX (64u << 20) /* bytes; no unit is longer */
#define LENGTH_SIZE 4	    /* bytes of the length of a NAL unit, as avcC says; all servers use 4 */

struct box {
	const uint8_t *type; /* 4 characters */
	const uint8_t *data;
	size_t len;
};

static bool is(const struct box *box, const char *type)
{
	return memcmp(box->type, type, 4) == 0;
}

/* The first box of data. 1, 0 (it is not whole), or -EBADMSG. */
static int next_box(struct box *box, const uint8_t *data, size_t len)
{
	uint32_t size;

	if (len < BOX_HEAD)
		return 0;
	size = bytes_get32(data);
	if (size < BOX_HEAD || size > BOX_MAX)
		return -EBADMSG;
	*box = (struct box){data + 4, data + BOX_HEAD, size - BOX_HEAD};
	return len >= size;
}

/* The first box of a type among the boxes in data. */
static bool find_box(struct box *box, const char *type, const uint8_t *data, size_t len)
{
	for (size_t at = 0; next_box(box, data + at, len - at) > 0; at += BOX_HEAD + box->len) {
		if (is(box, type))
			return true;
	}
	return false;
}

/* moof, traf: tfdt (clause 8.8.12) has the time, trun (8.8.8) the number of pictures. */
static int read_moof(struct mp4_reader *reader, const struct box *moof)
{
	struct box traf, tfdt, trun;
	uint64_t time;

	if (!find_box(&traf, "traf", moof->data, moof->len) ||
	    !find_box(&tfdt, "tfdt", traf.data, traf.len) ||
	    !find_box(&trun, "trun", traf.data, traf.len))
		return -EBADMSG;
	if (tfdt.len < 12 || tfdt.data[0] != 1 || trun.len < 8 || bytes_get32(trun.data + 4) != 1)
		return -EBADMSG;
	time = (uint64_t)bytes_get32(tfdt.data + 4) << 32 | bytes_get32(tfdt.data + 8);
	if (reader->timed && time <= reader->time)
		return -EBADMSG;
	reader->timed = reader->in_fragment = true;
	reader->time = time;
	return 0;
}

static int read_mdat(struct mp4_reader *reader, const struct box *mdat, int64_t now_us)
{
	struct nal nal;
	size_t pos = 0;
	int result;

	if (!reader->in_fragment)
		return -EBADMSG;
	reader->in_fragment = false;
	reader->unit.len = 0;
	while ((result = avcc_next_nal(LENGTH_SIZE, mdat->data, mdat->len, &pos, &nal)) > 0) {
		buffer_append(&reader->unit, "\0\0\0\1", 4);
		buffer_append(&reader->unit, nal.data, nal.len);
	}
	if (result == 0 && reader->unit.len > 0)
		reader->pass(reader->ctx, reader->unit.data, reader->unit.len, now_us);
	return result;
}

void mp4_init(struct mp4_reader *reader, unit_fn *pass, void *ctx)
{
	*reader = (struct mp4_reader){.pass = pass, .ctx = ctx};
}

int mp4_read(struct mp4_reader *reader, struct buffer *in, int64_t now_us)
{
	struct box box;
	size_t at = 0;
	int result;

	while ((result = next_box(&box, in->data + at, in->len - at)) > 0) {
		at += BOX_HEAD + box.len;
		result = is(&box, "moof")   ? read_moof(reader, &box)
			 : is(&box, "mdat") ? read_mdat(reader, &box, now_us)
					    : 0;
		if (result < 0)
			break;
	}
	if (at > 0)
		buffer_drop(in, at);
	return result;
}

void mp4_finish(struct mp4_reader *reader)
{
	buffer_finish(&reader->unit);
}
