/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/footage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/unit.h"
#include "bench/lib/wire.h"

/* What comes after the last unit, for the cutter: the next one's delimiter. */
static const uint8_t END[6] = {0, 0, 0, 1, 9, 0xf0};

/* Offset of the first NAL unit that is neither delimiter nor parameter set. */
static size_t place_for_sei(const uint8_t *data, size_t len)
{
	for (size_t at = 0; at + 4 < len; at++) {
		unsigned type = data[at + 3] & 31;

		if (memcmp(data + at, "\0\0\1", 3) == 0 && type != 9 && type != 7 && type != 8)
			return at > 0 && data[at - 1] == 0 ? at - 1 : at;
	}
	return len;
}

static void add_unit(void *ctx, const uint8_t *data, size_t len, int64_t complete_us)
{
	struct footage *footage = ctx;
	struct footage_unit *unit;
	struct unit_info info;

	(void)complete_us;
	if (footage->n == footage->room) {
		footage->room = 2 * footage->room + 256;
		footage->units = realloc(footage->units, footage->room * sizeof(*footage->units));
		if (!footage->units) {
			perror("footage");
			exit(1);
		}
	}
	unit_parse(data, len, &info);
	unit = &footage->units[footage->n];
	unit->at = footage->n ? unit[-1].at + unit[-1].len : 0;
	unit->len = len;
	unit->key = info.key;
	unit->droppable = info.droppable;
	unit->sei_at = place_for_sei(data, len);
	footage->n++;
	footage->mean_len += (double)len;
	if (len + UNIT_SEI_MAX > footage->max_len)
		footage->max_len = len + UNIT_SEI_MAX;
}

int footage_open(struct footage *footage, const char *path)
{
	FILE *file = fopen(path, "re");
	struct wire wire;
	uint8_t sei[UNIT_SEI_MAX];
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
	wire_init(&wire, WIRE_ANNEXB, false, NULL, add_unit, footage);
	memcpy(wire_room(&wire, (size_t)len + sizeof(END)), footage->data, (size_t)len);
	memcpy(wire.in.data + len, END, sizeof(END));
	wire_received(&wire, (size_t)len + sizeof(END), 0);
	wire_finish(&wire);
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
