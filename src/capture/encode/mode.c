/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/encode/mode.h"

#include <stdio.h>

enum stream_mode stream_mode(const struct config_stream *config, const struct source_info *info,
			     char *detail, size_t size)
{
	if (!info->coded && config->encoder == CONFIG_ENCODER_COPY) {
		if (info->not_coded[0])
			snprintf(detail, size, "%s; `encoder = auto` encodes it", info->not_coded);
		else
			snprintf(detail, size,
				 "copy needs coded pictures, and %s delivers raw ones", info->name);
		return STREAM_REFUSES;
	}
	if (!info->coded)
		return STREAM_ENCODES;
	if (config->codec == info->codec &&
	    (config->encoder == CONFIG_ENCODER_COPY || config->encoder == CONFIG_ENCODER_AUTO)) {
		snprintf(detail, size, "passed on as %s delivers it", info->name);
		return STREAM_COPIES;
	}
	snprintf(detail, size,
		 "%s delivers %s, which another stream copies: give this one a "
		 "camera section of its own",
		 info->name, config_codec_name(info->codec));
	return STREAM_REFUSES;
}
