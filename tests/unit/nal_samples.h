/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the tests of src/media; include it after cmocka.h. */
#ifndef TESTS_UNIT_NAL_SAMPLES_H
#define TESTS_UNIT_NAL_SAMPLES_H

#include "media/bits.h"
#include "media/nal.h"

/* As the Pi's firmware and OpenH264 write it: no VUI. profile 0: 1080p Constrained Baseline with
 * picture order count type 2, else High, type 0. */
static inline size_t make_sps(uint8_t *nal, bool high, unsigned id, bool vui)
{
	uint8_t rbsp[64];
	struct bit_writer w;

	bit_writer_init(&w, rbsp, sizeof(rbsp));
	write_bits(&w, 8, high ? 100 : 66);
	write_bits(&w, 8, high ? 0 : 0xc0);
	write_bits(&w, 8, 40);
	write_ue(&w, id);
	if (high) {
		write_ue(&w, 1); /* 4:2:0 */
		write_ue(&w, 0);
		write_ue(&w, 0);
		write_bits(&w, 2, 0);
	}
	write_ue(&w, 0); /* log2_max_frame_num_minus4 */
	write_ue(&w, high ? 0 : 2);
	if (high)
		write_ue(&w, 2);
	write_ue(&w, 1); /* max_num_ref_frames */
	write_bits(&w, 1, 0);
	write_ue(&w, 119);
	write_ue(&w, 67);
	write_bits(&w, 3, 7); /* frame_mbs_only, direct_8x8, cropping */
	write_ue(&w, 0);
	write_ue(&w, 0);
	write_ue(&w, 0);
	write_ue(&w, 4);
	write_bits(&w, 1, vui);
	if (vui)
		write_bits(&w, 9, 0);
	nal[0] = 0x27;
	return 1 + nal_escape(rbsp, write_trailing(&w), nal + 1, 63);
}

static inline struct nal find(const uint8_t *data, size_t len, unsigned type)
{
	struct nal nal;
	size_t pos = 0;

	while (nal_next(data, len, &pos, &nal)) {
		if (nal.type == type)
			return nal;
	}
	fail_msg("no NAL unit of type %u", type);
	return nal;
}

#endif
