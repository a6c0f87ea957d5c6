/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/pictures.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"

/* Copied pictures cannot be turned. H.264 can state how it is to be shown; JPEG cannot, in a way
 * that live viewers know. */
static void orient_coded(struct source_info *info, const struct config_camera *config,
			 const struct pictures_input *input)
{
	const struct orientation orientation = source_orientation(input->stated, config);

	/* Upright on purpose overrides what the pictures state themselves. */
	info->turned =
		!orientation_is_upright(input->stated) || !orientation_is_upright(orientation);
	info->orientation = orientation;
	if (orientation_is_upright(orientation))
		return;
	if (info->codec == CONFIG_CODEC_H264)
		diag_warn("camera %s: the %s is to be shown %s; the copied stream states "
			  "this in an SEI message, which `camcast` and ffmpeg obey and many "
			  "players ignore; `encoder = x264` encodes it upright",
			  config->name, input->what, orientation_name(orientation));
	else if (orientation_is_same(orientation, input->exif))
		diag_warn("camera %s: the %s is to be shown %s, as its JPEGs state (Exif), "
			  "which many players ignore; `encoder = mjpeg` encodes it upright",
			  config->name, input->what, orientation_name(orientation));
	else
		diag_warn("camera %s: the %s is to be shown %s, and a copied JPEG stream "
			  "cannot state this; `encoder = mjpeg` encodes it upright",
			  config->name, input->what, orientation_name(orientation));
}

/* What the container states, the JPEGs need not state too. */
static void tell_jpeg_shape(const struct source_info *info, const struct config_camera *config,
			    const struct pictures_input *input)
{
	const AVRational own = input->stream->codecpar->sample_aspect_ratio;
	const AVRational square = {1, 1}, shape = input->container_shape;

	if (info->codec != CONFIG_CODEC_MJPEG || shape.num <= 0 ||
	    !av_cmp_q(shape, own.num > 0 ? own : square))
		return;
	diag_warn("camera %s: the pixels of the %s have the shape %d:%d, which a copied "
		  "JPEG stream cannot state; `encoder = mjpeg` states it",
		  config->name, input->what, shape.num, shape.den);
}

static struct decoder_options options_of(const struct source_info *info,
					 const struct config_camera *config,
					 const struct pictures_input *input)
{
	return (struct decoder_options){
		.camera = config,
		.rate = info->format.rate,
		.orientation = source_orientation(input->stated, config),
		.shape = input->shape,
	};
}

/* For the streams that encode what others copy. */
static int open_decoding(struct pictures *pictures, struct source *base,
			 const struct config_camera *config, const struct pictures_input *input,
			 char *why)
{
	const struct decoder_options options = options_of(&base->info, config, input);
	int r = decoding_create(&pictures->decoding, input->stream->codecpar, &options,
				&base->events);

	if (r)
		snprintf(why, 256, "out of memory");
	else
		base->info.decoded = decoding_format(pictures->decoding);
	return r;
}

static void warn_ignored(const struct config_camera *config, const struct pictures_input *input)
{
	char what[32];

	snprintf(what, sizeof(what), "a %.24s", input->what);
	source_warn_ignored(config, what, true);
}

static int open_coded(struct pictures *pictures, struct source *base,
		      const struct config_camera *config, enum config_codec codec,
		      const struct pictures_input *input, char *why)
{
	const AVRational shape = input->container_shape;
	const struct coded_options options = {
		.what = input->what,
		.stream = input->stream,
		.codec = codec,
		.parsed = input->parsed,
		.keep_hidden = input->key_hidden,
		.immediate = input->immediate,
	};
	struct source_info *info = &base->info;
	int r = open_decoding(pictures, base, config, input, why);

	if (r)
		return r;
	info->coded = true;
	info->codec = codec;
	info->format.width = (uint32_t)options.stream->codecpar->width;
	info->format.height = (uint32_t)options.stream->codecpar->height;
	/* An SPS keeps its own word unless the container has one. */
	if (shape.num > 0) {
		info->format.sar_width = (uint32_t)shape.num;
		info->format.sar_height = (uint32_t)shape.den;
	}
	info->bitrate_bps = input->bitrate_bps;
	orient_coded(info, config, input);
	tell_jpeg_shape(info, config, input);
	warn_ignored(config, input);
	snprintf(info->note, sizeof(info->note), "passed on as %s%s",
		 input->immediate ? "it comes" : "recorded",
		 input->key_hidden ? ", also what its edit list hides" : "");
	return coded_create(&pictures->coded, &options, why);
}

/* Colours that not everybody can show. */
static void tell_colours(const struct source_info *info, const struct config_camera *config,
			 const struct pictures_input *input)
{
	const enum frame_colour colour = info->format.colour;

	if (colour == FRAME_COLOUR_BT2020_PQ || colour == FRAME_COLOUR_BT2020_HLG)
		diag_warn("camera %s: the %s is HDR (BT.2020, %s); H.264 streams are marked "
			  "as that, and look pale in players without HDR, as JPEGs do everywhere",
			  config->name, input->what,
			  colour == FRAME_COLOUR_BT2020_PQ ? "PQ" : "HLG");
	else if (colour == FRAME_COLOUR_BT2020)
		diag_info("camera %s: the %s has the colours of BT.2020; H.264 streams are "
			  "marked as that",
			  config->name, input->what);
}

static int open_decoded(struct pictures *pictures, struct source *base,
			const struct config_camera *config, const struct pictures_input *input,
			char *why)
{
	struct source_info *info = &base->info;
	const struct decoder_options options = options_of(info, config, input);
	int r = decoder_create(&pictures->decoder, input->stream->codecpar, &options, why);

	if (r)
		return r;
	info->format = *decoder_format(pictures->decoder);
	snprintf(info->allocator, sizeof(info->allocator), "%s",
		 decoder_allocator(pictures->decoder));
	snprintf(info->note, sizeof(info->note), "%s", decoder_note(pictures->decoder));
	tell_colours(info, config, input);
	warn_ignored(config, input);
	return 0;
}

/* Whether the packets can be passed on; info->not_coded says why they cannot. */
static bool can_copy(struct source_info *info, enum config_codec codec,
		     const struct pictures_input *input)
{
	const enum AVCodecID id = codec == CONFIG_CODEC_H264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_MJPEG;

	if (input->stream->codecpar->codec_id != id)
		snprintf(info->not_coded, sizeof(info->not_coded),
			 "%.64s holds %s, which cannot be copied as %s", info->name,
			 avcodec_get_name(input->stream->codecpar->codec_id),
			 config_codec_name(codec));
	else if (input->field_jpegs)
		snprintf(info->not_coded, sizeof(info->not_coded),
			 "each JPEG of %.64s is one field of a picture, which cannot be copied",
			 info->name);
	return !*info->not_coded;
}

int pictures_open(struct pictures *pictures, struct source *base,
		  const struct config_camera *config, enum source_coding coding,
		  enum config_codec codec, const struct pictures_input *input, char *why)
{
	const struct orientation wanted = source_orientation(input->stated, config);

	if (coding == SOURCE_COPY_UPRIGHT && !orientation_is_upright(wanted))
		coding = SOURCE_DECODE;
	if (coding != SOURCE_DECODE && can_copy(&base->info, codec, input))
		return open_coded(pictures, base, config, codec, input, why);
	return open_decoded(pictures, base, config, input, why);
}

void pictures_close(struct pictures *pictures)
{
	decoder_destroy(pictures->decoder);
	decoding_destroy(pictures->decoding);
	coded_destroy(pictures->coded);
}
