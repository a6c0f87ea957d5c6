/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OpenH264, linked directly: libavcodec's wrapper has no temporal layers. The one encoder here
 * whose streams have pictures that may be left out. Settings by measurement: docs/ENCODERS.md.
 */
#include "capture/encode/encoder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wels/codec_api.h>

#include "base/diag.h"
#include "capture/encode/convert.h"
#include "media/access_unit.h"

enum {
	RATE_MAX = 60, /* pictures a second; OpenH264 clips fMaxFrameRate there */
	BITRATE_MIN = 1000,
};

struct openh264 {
	struct encoder base;
	ISVCEncoder *codec;
	bool initialized;
	struct i420_buffer i420;
	struct rate rate;
	uint32_t keyframe_interval, until_key; /* pictures */
	uint64_t pictures;
	uint8_t *unit; /* layers of one access unit, put together */
	size_t unit_cap;
};

/* The C interface's vtable in codec_api.h lacks ForceIntraFrame's second parameter (the C++ one has
 * it, with a default of -1: all layers), so that the callee would read whatever the register
 * holds. */
static int force_intra_frame(ISVCEncoder *codec)
{
	typedef int (*force_fn)(ISVCEncoder *, bool, int);

	return ((force_fn)(void (*)(void))(*codec)->ForceIntraFrame)(codec, true, -1);
}

static void handle_trace(void *user, int level, const char *text)
{
	(void)user;
	(void)level;
	diag_debug("openh264: %s", text);
}

/* OpenH264 divides the bitrate by a rate of at most RATE_MAX. */
static int codec_bitrate(const struct openh264 *enc, uint32_t bitrate_bps)
{
	uint64_t bitrate = bitrate_bps, per_s = enc->rate.num / enc->rate.den;

	if (per_s > RATE_MAX)
		bitrate = bitrate * RATE_MAX / per_s;
	if (bitrate < BITRATE_MIN)
		bitrate = BITRATE_MIN;
	return bitrate > INT32_MAX ? INT32_MAX : (int)bitrate;
}

static void set_colour(SSpatialLayerConfig *layer, const struct frame_format *format)
{
	struct encoder_colour colour = encoder_vui_colour(format->colour);

	layer->bVideoSignalTypePresent = true;
	layer->uiVideoFormat = VF_UNDEF;
	layer->bFullRange = format->full_range;
	layer->bColorDescriptionPresent = format->colour != FRAME_COLOUR_UNKNOWN;
	layer->uiColorPrimaries = colour.primaries;
	layer->uiTransferCharacteristics = colour.transfer;
	layer->uiColorMatrix = colour.matrix;
}

static EProfileIdc profile_idc(enum config_profile profile)
{
	switch (profile) {
	case CONFIG_PROFILE_BASELINE:
		return PRO_BASELINE;
	case CONFIG_PROFILE_MAIN:
		return PRO_MAIN;
	case CONFIG_PROFILE_HIGH:
		break;
	}
	return PRO_HIGH;
}

static ECOMPLEXITY_MODE complexity(const char *effort)
{
	if (effort && strcmp(effort, "high") == 0)
		return HIGH_COMPLEXITY;
	if (effort && strcmp(effort, "medium") == 0)
		return MEDIUM_COMPLEXITY;
	return LOW_COMPLEXITY;
}

/*
 * The bits of an IDR, in hundredths of a picture's mean. OpenH264's own 400 starves it in front of
 * a still scene, which then looks bad for the whole GOP (SSIM 10.5 dB instead of 11.8 at 720p30, 1
 * Mbit/s); ten pictures' worth is a third of a second for a link that carries just the bitrate.
 */
static int idr_ratio(uint32_t keyframe_interval)
{
	return keyframe_interval > 10 ? 1000 : (int)keyframe_interval * 100;
}

static void set_param(SEncParamExt *param, const struct openh264 *enc,
		      const struct encoder_config *config)
{
	const struct config_stream *stream = config->stream;
	SSpatialLayerConfig *layer = &param->sSpatialLayers[0];
	unsigned threads = encoder_threads(config);
	float fps = (float)enc->rate.num / (float)enc->rate.den;

	param->iUsageType = CAMERA_VIDEO_REAL_TIME;
	param->iPicWidth = (int)config->format.width;
	param->iPicHeight = (int)config->format.height;
	param->fMaxFrameRate = fps > RATE_MAX ? RATE_MAX : fps;
	param->iTargetBitrate = codec_bitrate(enc, stream->bitrate);
	param->iMaxBitrate = UNSPECIFIED_BIT_RATE;
	/*
	 * Bitrate mode without frame skipping: a skipped picture is a gap in everybody's sequence
	 * numbers and looks like a fault of the camera, and a viewer whose link is too slow for
	 * the peak is helped by its cursor (a dropped unit for one, not for all). The price is
	 * that a hard scene overshoots until the quantiser has followed.
	 */
	param->iRCMode = RC_BITRATE_MODE;
	param->bEnableFrameSkip = false;
	param->bFixRCOverShoot = true;
	param->iIdrBitrateRatio = idr_ratio(stream->keyframe_interval);
	param->iTemporalLayerNum = (int)stream->temporal_layers;
	param->iSpatialLayerNum = 1;
	/* IDRs are asked for one by one: its own period must be a multiple of 2^(layers - 1). */
	param->uiIntraPeriod = 0;
	param->bEnableSceneChangeDetect = false;
	param->eSpsPpsIdStrategy = CONSTANT_ID;
	param->bPrefixNalAddingCtrl = false;
	param->iComplexityMode = complexity(config->effort);
	param->iEntropyCodingModeFlag = stream->profile != CONFIG_PROFILE_BASELINE;
	param->iMultipleThreadIdc = (unsigned short)threads;
	param->bEnableFrameCroppingFlag = true;
	param->bEnableBackgroundDetection = true;
	param->bEnableAdaptiveQuant = false; /* unsupported since 2.0: it says so and ignores it */
	param->bEnableDenoise = false;
	param->bEnableLongTermReference = false;

	layer->iVideoWidth = param->iPicWidth;
	layer->iVideoHeight = param->iPicHeight;
	layer->fFrameRate = param->fMaxFrameRate;
	layer->iSpatialBitrate = param->iTargetBitrate;
	layer->iMaxSpatialBitrate = UNSPECIFIED_BIT_RATE;
	layer->uiProfileIdc = profile_idc(stream->profile);
	layer->uiLevelIdc = (ELevelIdc)encoder_level_idc(stream->level);
	layer->sSliceArgument.uiSliceMode = threads > 1 ? SM_FIXEDSLCNUM_SLICE : SM_SINGLE_SLICE;
	layer->sSliceArgument.uiSliceNum = threads;
	set_colour(layer, &config->format);
}

static void openh264_destroy(struct encoder *encoder)
{
	struct openh264 *enc = (struct openh264 *)encoder;

	if (enc->initialized)
		(*enc->codec)->Uninitialize(enc->codec);
	if (enc->codec)
		WelsDestroySVCEncoder(enc->codec);
	i420_buffer_finish(&enc->i420);
	free(enc->unit);
	free(enc);
}

static int openh264_create(struct encoder **out, const struct encoder_config *config,
			   const struct encoder_events *events, char *why)
{
	const struct frame_format *format = &config->format;
	WelsTraceCallback trace = handle_trace;
	int level = WELS_LOG_WARNING;
	OpenH264Version version;
	SEncParamExt param;
	struct openh264 *enc;
	int rc;

	enc = calloc(1, sizeof(*enc));
	if (!enc) {
		snprintf(why, 256, "openh264: out of memory");
		return -ENOMEM;
	}
	enc->base.ops = &encoder_openh264;
	enc->base.events = *events;
	enc->rate = format->rate;
	enc->keyframe_interval = config->stream->keyframe_interval;
	rc = i420_buffer_init(&enc->i420, format);
	if (rc < 0) {
		snprintf(why, 256, "openh264: pictures of format %s: %s",
			 frame_fourcc_name(format->fourcc), strerror(-rc));
		goto destroy;
	}
	rc = WelsCreateSVCEncoder(&enc->codec);
	if (rc != 0) {
		snprintf(why, 256, "openh264: WelsCreateSVCEncoder: %d", rc);
		rc = -ENOMEM;
		goto destroy;
	}
	(*enc->codec)->SetOption(enc->codec, ENCODER_OPTION_TRACE_CALLBACK, &trace);
	(*enc->codec)->SetOption(enc->codec, ENCODER_OPTION_TRACE_LEVEL, &level);
	(*enc->codec)->GetDefaultParams(enc->codec, &param);
	set_param(&param, enc, config);
	rc = (*enc->codec)->InitializeExt(enc->codec, &param);
	if (rc != 0) {
		snprintf(why, 256,
			 "openh264: refuses %ux%u, %u bit/s, %u temporal layers (code %d)",
			 format->width, format->height, config->stream->bitrate,
			 config->stream->temporal_layers, rc);
		rc = -EINVAL;
		goto destroy;
	}
	enc->initialized = true;
	WelsGetCodecVersionEx(&version);
	snprintf(enc->base.detail, sizeof(enc->base.detail), "OpenH264 %u.%u.%u, %s, %u thread%s",
		 version.uMajor, version.uMinor, version.uRevision,
		 convert_i420_note(format->fourcc), param.iMultipleThreadIdc,
		 param.iMultipleThreadIdc == 1 ? "" : "s");
	*out = &enc->base;
	return 0;

destroy:
	openh264_destroy(&enc->base);
	return rc;
}

/* The access unit in one piece. Its layers (parameter sets, then the picture) lie one after the
 * other in OpenH264's memory as it is written today, which its interface does not promise. */
static int gather(struct openh264 *enc, const SFrameBSInfo *info, struct access_unit *unit)
{
	const uint8_t *begin = NULL;
	size_t len = 0;
	bool contiguous = true;

	for (int i = 0; i < info->iLayerNum; i++) {
		const SLayerBSInfo *layer = &info->sLayerInfo[i];

		if (!begin)
			begin = layer->pBsBuf;
		contiguous &= layer->pBsBuf == begin + len;
		for (int j = 0; j < layer->iNalCount; j++)
			len += (size_t)layer->pNalLengthInByte[j];
	}
	unit->data = begin;
	unit->len = len;
	if (contiguous)
		return 0;
	if (len > enc->unit_cap) {
		uint8_t *grown = realloc(enc->unit, len);

		if (!grown)
			return -ENOMEM;
		enc->unit = grown;
		enc->unit_cap = len;
	}
	len = 0;
	for (int i = 0; i < info->iLayerNum; i++) {
		const SLayerBSInfo *layer = &info->sLayerInfo[i];
		size_t layer_len = 0;

		for (int j = 0; j < layer->iNalCount; j++)
			layer_len += (size_t)layer->pNalLengthInByte[j];
		memcpy(enc->unit + len, layer->pBsBuf, layer_len);
		len += layer_len;
	}
	unit->data = enc->unit;
	return 0;
}

static int openh264_encode(struct encoder *encoder, struct frame *frame, bool force_idr)
{
	struct openh264 *enc = (struct openh264 *)encoder;
	struct access_unit unit = {.capture_us = frame->capture_us};
	struct picture picture, i420;
	SSourcePicture source = {.iColorFormat = videoFormatI420};
	SFrameBSInfo info = {0};
	struct access_unit_head head;
	int rc;

	if (force_idr || enc->until_key == 0) {
		force_intra_frame(enc->codec);
		enc->until_key = enc->keyframe_interval;
	}
	rc = picture_begin(&picture, frame);
	if (rc < 0) {
		frame_unref(frame);
		return rc;
	}
	convert_to_i420(&enc->i420, &picture, &i420);
	source.iPicWidth = (int)picture.width;
	source.iPicHeight = (int)picture.height;
	/* Not the real time: the rate control is to think in pictures, which the camera paces. */
	source.uiTimeStamp = (long long)(enc->pictures++ * 1000 * enc->rate.den / enc->rate.num);
	for (int i = 0; i < 3; i++) {
		/* SSourcePicture has no const; the encoder copies from it */
		source.pData[i] = (unsigned char *)(uintptr_t)i420.data[i];
		source.iStride[i] = (int)i420.stride[i];
	}
	rc = (*enc->codec)->EncodeFrame(enc->codec, &source, &info);
	picture_end(frame);
	frame_unref(frame);
	if (rc != 0 || info.eFrameType == videoFrameTypeInvalid) {
		diag_error("openh264: EncodeFrame: code %d, frame type %d", rc, info.eFrameType);
		return -EIO;
	}
	if (info.eFrameType == videoFrameTypeSkip || info.iLayerNum == 0)
		return -EAGAIN;
	enc->until_key--;
	rc = gather(enc, &info, &unit);
	if (rc < 0)
		return rc;
	unit.key = info.eFrameType == videoFrameTypeIDR;
	access_unit_read_head(unit.data, unit.len, &head);
	unit.droppable = !head.referenced;
	enc->base.events.coded(enc->base.events.user, &unit);
	return 0;
}

static int openh264_set_bitrate(struct encoder *encoder, uint32_t bitrate_bps)
{
	struct openh264 *enc = (struct openh264 *)encoder;
	SBitrateInfo info = {.iLayer = SPATIAL_LAYER_ALL,
			     .iBitrate = codec_bitrate(enc, bitrate_bps)};

	return (*enc->codec)->SetOption(enc->codec, ENCODER_OPTION_BITRATE, &info) == 0 ? 0
											: -EINVAL;
}

const struct encoder_ops encoder_openh264 = {
	.name = "openh264",
	.create = openh264_create,
	.encode = openh264_encode,
	.set_bitrate = openh264_set_bitrate,
	.destroy = openh264_destroy,
};
