/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/encode/mode.h"

#include <stdio.h>

enum stream_mode stream_mode(const struct config_stream *config, const struct source_info *info,
			     char *detail, size_t size)
{
	const bool same = info->coded && config->codec == info->codec;

	if (!info->coded && config->encoder == CONFIG_ENCODER_COPY) {
		if (info->not_coded[0])
			snprintf(detail, size, "%s; `encoder = auto` encodes it", info->not_coded);
		else
			snprintf(detail, size,
				 "copy needs coded pictures, and %s delivers raw ones", info->name);
		return STREAM_REFUSES;
	}
	if (same &&
	    (config->encoder == CONFIG_ENCODER_COPY || config->encoder == CONFIG_ENCODER_AUTO)) {
		snprintf(detail, size, "passed on as %s delivers it", info->name);
		return STREAM_COPIES;
	}
	if (config->encoder != CONFIG_ENCODER_COPY && (!info->coded || info->decoded.width > 0))
		return STREAM_ENCODES;
	snprintf(detail, size, "%s delivers %s, which cannot be copied as %s", info->name,
		 config_codec_name(info->codec), config_codec_name(config->codec));
	return STREAM_REFUSES;
}

struct sps_edit stream_mode_edit(enum stream_mode mode, const struct source_info *info)
{
	const struct frame_format *format =
		mode == STREAM_ENCODES && info->coded ? &info->decoded : &info->format;

	return (struct sps_edit){
		.rate = format->rate,
		.rate_varies = info->rate_varies,
		.sar_width = format->sar_width,
		.sar_height = format->sar_height,
		.keep_reorder = mode == STREAM_COPIES,
	};
}
