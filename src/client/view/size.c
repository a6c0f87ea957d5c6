/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/size.h"

#include <errno.h>
#include <stdio.h>

#include "media/jpeg.h"
#include "media/sps.h"

#define DPB_MAX_MBS 696320 /* table A-1, level 6.2 */
#define MB_PIXELS 256

static int check(unsigned width, unsigned height, char why[VIEW_SIZE_WHY])
{
	if (width <= VIEW_PICTURE_MAX && height <= VIEW_PICTURE_MAX &&
	    (uint64_t)width * height <= VIEW_PIXELS_MAX)
		return 0;
	snprintf(why, VIEW_SIZE_WHY,
		 "its pictures of %ux%u are too large: at most %dx%d and %u million pixels are "
		 "decoded",
		 width, height, VIEW_PICTURE_MAX, VIEW_PICTURE_MAX, VIEW_PIXELS_MAX / 1000000);
	return -E2BIG;
}

static int check_sps(const struct nal *nal, char why[VIEW_SIZE_WHY])
{
	struct sps sps;
	uint64_t macroblocks;
	int r;

	if (sps_read(nal->data, nal->len, &sps) < 0) {
		snprintf(why, VIEW_SIZE_WHY,
			 "its sequence parameter set (SPS) is damaged, or states a size that no "
			 "level of H.264 has");
		return -EINVAL;
	}
	r = check(sps.coded_width, sps.coded_height, why);
	macroblocks = (uint64_t)sps.coded_width * sps.coded_height / MB_PIXELS;
	if (r == 0 && macroblocks * sps.max_num_ref_frames > DPB_MAX_MBS) {
		snprintf(why, VIEW_SIZE_WHY,
			 "it asks for %u reference pictures of %ux%u, more than any level of H.264 "
			 "has",
			 sps.max_num_ref_frames, sps.coded_width, sps.coded_height);
		r = -E2BIG;
	}
	return r;
}

int view_size_check(enum stream_codec codec, const uint8_t *data, size_t len,
		    char why[VIEW_SIZE_WHY])
{
	struct jpeg_header header;
	struct nal nal;
	size_t pos = 0;
	int r = 0;

	if (codec == STREAM_MJPEG)
		return jpeg_header_read(data, len, &header) < 0
			       ? 0 /* the decoder has the same limit */
			       : check(header.width, header.height, why);
	while (r == 0 && nal_next(data, len, &pos, &nal))
		if (nal.type == NAL_SPS)
			r = check_sps(&nal, why);
	return r;
}
