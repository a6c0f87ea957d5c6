/* SPDX-License-Identifier: BSD-2-Clause */
/* SPSs of x264, and the syntax elements of an SPS as libavcodec's trace_headers prints them. */
#ifndef TESTS_UNIT_SPS_RIG_H
#define TESTS_UNIT_SPS_RIG_H

#include <stddef.h>
#include <stdint.h>

#include <libavutil/pixfmt.h>

/* --- syntax elements of an SPS, by trace_headers --- */

struct element {
	char name[64];
	long long value;
};

/* Those of the SPS that was traced last, in its order. */
extern struct element elements[2048];
extern unsigned n_elements;

/* Fails where libavcodec cannot read the SPS: a NAL unit of len bytes without a start code. */
void trace_sps(const uint8_t *sps, size_t len);
/* The value of the first element of that name in the SPS that was traced last; -1: there is none.
 */
long long element(const char *name);

/* --- real SPSs: x264's --- */

struct coded {
	uint8_t data[256 * 1024];
	size_t len;
};

/* Two pictures by x264 with these options (x264's own, colon-separated). */
void x264_code_sized(struct coded *coded, enum AVPixelFormat format, int width, int height,
		     const char *options);
/* Of 322x244. */
void x264_code(struct coded *coded, enum AVPixelFormat format, const char *options);

#endif
