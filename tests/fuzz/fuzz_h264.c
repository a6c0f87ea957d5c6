/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Annex B scanner, SPS reader and rewriter, unit writer and readers on arbitrary bytes. The first
 * byte chooses: an SPS, rewritten with a small or large output; or the writer, which gets the rest
 * as one access unit and then again in two halves. What comes out must hold together: an AUD first,
 * lengths that add up, no start code emulated by our own rewriting.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "media/access_unit.h"
#include "media/avcc.h"
#include "media/h264_writer.h"
#include "media/parameter_sets.h"
#include "media/sei.h"
#include "media/sps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sps(const struct sps *sps)
{
	assert(sps->width > 0 && sps->width <= sps->coded_width && sps->coded_width <= 16880);
	assert(sps->height > 0 && sps->height <= sps->coded_height && sps->coded_height <= 16880);
	assert(sps->id < SPS_IDS && sps->chroma_format_idc <= 3);
	assert(sps->bit_depth_luma >= 8 && sps->bit_depth_luma <= 14);
	assert(sps->reorder_frames <= 16 && sps->buffered_frames <= 16);
	assert(!sps->sar_width == !sps->sar_height);
	assert(!sps->time_scale == !sps->num_units_in_tick);
}

/* The readers say of a unit what its writer said. sei: it has ours. */
static void read_back(const struct h264_unit *unit, bool sei)
{
	struct access_unit_search search = {0};
	struct access_unit_head head;
	struct orientation orientation;
	struct sei_capture capture;
	struct sps sps;
	uint8_t *data = malloc(unit->len + 6);
	size_t len = 0;

	if (!data)
		return;
	for (int i = 0; i < unit->iovcnt; i++) {
		memcpy(data + len, unit->iov[i].iov_base, unit->iov[i].iov_len);
		len += unit->iov[i].iov_len;
	}
	access_unit_read_head(data, len, &head);
	assert(head.slice);
	assert(!unit->droppable || !head.referenced);
	assert(!unit->key || (head.sps && head.pps));
	assert(!sei || sei_find_capture(data, len, &capture));
	(void)sei_find_orientation(data, len, &orientation);
	if (sps_read_active(data, len, &sps) == 0)
		check_sps(&sps);
	/* It ends at the next delimiter at the latest. */
	memcpy(data + len, "\0\0\0\1\x09\xf0", 6);
	for (size_t end = 0, have = 0; end == 0; have++) {
		assert(have <= len + 6);
		end = access_unit_find_end(&search, data, have);
		assert(end <= have);
	}
	free(data);
}

static void check_unit(const struct h264_unit *unit, bool sei)
{
	size_t len = 0;

	assert(unit->iovcnt >= 2);
	assert(memcmp(unit->iov[0].iov_base, "\0\0\0\1\x09\xf0", 6) == 0);
	for (int i = 0; i < unit->iovcnt; i++) {
		volatile uint8_t sum = 0;

		for (size_t j = 0; j < unit->iov[i].iov_len; j++)
			sum ^= ((const uint8_t *)unit->iov[i].iov_base)[j];
		len += unit->iov[i].iov_len;
	}
	assert(len == unit->len);
	assert(!(unit->key && unit->parameter_sets_missing));
	read_back(unit, sei);
}

static void fuzz_writer(const uint8_t *data, size_t size, unsigned mode)
{
	const struct sps_edit edit = {.rate = {mode & 2 ? 30 : 0, 1}, .keep_reorder = mode & 8};
	struct h264_writer *writer;
	struct h264_unit unit;

	if (h264_writer_create(&writer, &edit, mode & 4) < 0)
		return;
	if (mode & 32)
		h264_writer_set_orientation(writer,
					    (struct orientation){mode & 64, mode & 128, mode & 2});
	if (h264_writer_unit(writer, data, size, 1, &unit) == 0)
		check_unit(&unit, mode & 4);
	if (h264_writer_unit(writer, data, size / 2, 2, &unit) == 0)
		check_unit(&unit, mode & 4);
	if (h264_writer_unit(writer, data + size / 2, size - size / 2, 3, &unit) == 0)
		check_unit(&unit, mode & 4);
	h264_writer_destroy(writer);
}

/* The sets of a record, and a sample with lengths of its size, stay within the data. */
static void fuzz_avcc(const uint8_t *data, size_t size)
{
	struct parameter_sets sets = {0};
	struct slice_picture picture;
	struct avcc avcc;
	struct nal nal;
	struct sps sps;
	unsigned id;
	size_t pos = 0;

	if (avcc_open(&avcc, data, size) < 0)
		return;
	while (avcc_next(&avcc, &nal)) {
		assert(nal.data >= data && nal.data + nal.len <= data + size);
		(void)parameter_sets_learn(&sets, &nal, &id);
	}
	while (avcc_next_nal(avcc.length_size, data, size, &pos, &nal) > 0) {
		int sps_id = parameter_sets_of_slice(&sets, &nal);

		assert(nal.data >= data && nal.data + nal.len <= data + size);
		if (sps_id >= 0 && sps_read(sets.sps[sps_id].data, sets.sps[sps_id].len, &sps) == 0)
			(void)sps_read_slice(&sps, &nal, &picture);
	}
	parameter_sets_clear(&sets);
}

static void fuzz_sps(const uint8_t *data, size_t size, unsigned mode)
{
	struct sps sps, rewritten;
	const struct sps_edit edit = {.rate = {30000, 1001},
				      .sar_width = mode & 8 ? 32 : 0,
				      .sar_height = mode & 8 ? 27 : 0,
				      .keep_reorder = mode & 4};
	size_t room = mode & 2 ? 64 : 2 * PARAMETER_SET_MAX;
	uint8_t *out = malloc(room), *again = malloc(room);
	int len = sps_rewrite(data, size, &edit, out, room), rc;

	if (len > 0) {
		assert((size_t)len <= room);
		for (int i = 1; i + 2 < len; i++)
			assert(out[i] || out[i + 1] || out[i + 2] > 2);
		/* A well-formed unit stays well-formed, and a second pass changes nothing. */
		rc = sps_rewrite(out, (size_t)len, &edit, again, room);
		assert(rc == len && memcmp(out, again, (size_t)len) == 0);
	}
	if (sps_read(data, size, &sps) == 0) {
		check_sps(&sps);
		if (len > 0) {
			assert(sps_read(out, (size_t)len, &rewritten) == 0);
			check_sps(&rewritten);
			assert(rewritten.width == sps.width && rewritten.height == sps.height);
			assert(mode & 4 ||
			       (rewritten.reorder_stated && rewritten.reorder_frames == 0));
		}
	}
	free(out);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] & 1)
		fuzz_sps(data + 1, size - 1, data[0]);
	else if (data[0] & 16)
		fuzz_avcc(data + 1, size - 1);
	else
		fuzz_writer(data + 1, size - 1, data[0]);
	return 0;
}
