/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/footage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/unit.h"
#include "media/access_unit.h"
#include "media/nal.h"

/* Offset of the first NAL unit that is neither delimiter nor parameter set. */
static size_t place_for_sei(const uint8_t *data, size_t len)
{
	size_t at = 0;

	while ((at = nal_find_start_code(data, len, at)) + 3 < len) {
		unsigned type = nal_type(data[at + 3]);

		if (type != NAL_AUD && type != NAL_SPS && type != NAL_PPS)
			return at > 0 && data[at - 1] == 0 ? at - 1 : at;
		at += 3;
	}
	return len;
}

static void add_unit(struct footage *footage, size_t at, size_t len,
		     const struct access_unit_head *head)
{
	if (footage->n == footage->room) {
		footage->room = 2 * footage->room + 256;
		footage->units = realloc(footage->units, footage->room * sizeof(*footage->units));
		if (!footage->units) {
			perror("footage");
			exit(1);
		}
	}
	footage->units[footage->n++] = (struct footage_unit){
		.at = at,
		.len = len,
		.sei_at = place_for_sei(footage->data + at, len),
		.key = access_unit_is_key(head),
		.droppable = head->slice && !head->referenced,
	};
	footage->mean_len += (double)len;
	if (len + SEI_CAPTURE_MAX > footage->max_len)
		footage->max_len = len + SEI_CAPTURE_MAX;
}

static void add_units(struct footage *footage, size_t len)
{
	size_t at = 0;

	while (at < len) {
		struct access_unit_search search = {0};
		size_t unit = access_unit_find_end(&search, footage->data + at, len - at);

		if (unit == 0) /* nothing follows the last one */
			unit = len - at;
		add_unit(footage, at, unit, &search.head);
		at += unit;
	}
}

int footage_open(struct footage *footage, const char *path)
{
	FILE *file = fopen(path, "re");
	uint8_t sei[SEI_CAPTURE_MAX];
	long len;
	int result = 0;

	memset(footage, 0, sizeof(*footage));
	if (!file)
		return -errno;
	if (fseek(file, 0, SEEK_END) < 0 || (len = ftell(file)) < 0 ||
	    fseek(file, 0, SEEK_SET) < 0) {
		result = -errno;
		goto close_file;
	}
	footage->data = malloc((size_t)len + 1);
	if (!footage->data) {
		result = -ENOMEM;
		goto close_file;
	}
	if (fread(footage->data, 1, (size_t)len, file) != (size_t)len) {
		result = -EIO;
		goto close_footage;
	}
	add_units(footage, (size_t)len);
	if (footage->n == 0 || !footage->units[0].key) {
		result = -EBADMSG;
		goto close_footage;
	}
	footage->mean_len /= (double)footage->n;
	footage->mean_len += (double)unit_build_sei(sei, 1u << 16, INT64_C(1) << 40);
	footage->sps = footage->data;
	footage->sps_len = footage->units[0].sei_at;
	fclose(file);
	return 0;

close_footage:
	footage_close(footage);
close_file:
	fclose(file);
	return result;
}

const struct footage_unit *footage_at(const struct footage *footage, uint64_t place)
{
	return &footage->units[place % footage->n];
}

size_t footage_write(const struct footage *footage, uint64_t place, uint64_t seq,
		     int64_t capture_us, uint8_t *out)
{
	const struct footage_unit *unit = footage_at(footage, place);
	const uint8_t *data = footage->data + unit->at;
	size_t sei_len;

	memcpy(out, data, unit->sei_at);
	sei_len = unit_build_sei(out + unit->sei_at, seq, capture_us);
	memcpy(out + unit->sei_at + sei_len, data + unit->sei_at, unit->len - unit->sei_at);
	return unit->len + sei_len;
}

void footage_close(struct footage *footage)
{
	free(footage->units);
	free(footage->data);
	memset(footage, 0, sizeof(*footage));
}
