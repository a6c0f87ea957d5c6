/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/fit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

/* What a conversion depends on. */
struct look {
	int width, height;
	enum AVPixelFormat pixels;
	bool full_range;
	int matrix; /* SWS_CS_... */
	AVRational shape;
};

struct rect {
	uint32_t x, y, width, height;
};

struct fit {
	struct frame_format format;
	enum AVPixelFormat pixels; /* of the format */
	struct orientation orientation;
	bool seen;	  /* a first picture */
	AVRational first; /* the shape that it says */

	/* for pictures that look as the last one */
	struct look look;
	struct rect rect; /* where in the format */
	struct SwsContext *scaler;
	AVFrame *upright; /* scaled, not yet turned; NULL: pictures are turned as they come */
};

/* --- what a picture looks like --- */

static int matrix_of_format(const struct frame_format *format)
{
	switch (format->colour) {
	case FRAME_COLOUR_REC709:
		return SWS_CS_ITU709;
	case FRAME_COLOUR_BT2020:
	case FRAME_COLOUR_BT2020_PQ:
	case FRAME_COLOUR_BT2020_HLG:
		return SWS_CS_BT2020;
	default:
		return SWS_CS_ITU601;
	}
}

static int matrix_of_picture(const AVFrame *picture, int otherwise)
{
	switch (picture->colorspace) {
	case AVCOL_SPC_BT709:
		return SWS_CS_ITU709;
	case AVCOL_SPC_BT470BG:
	case AVCOL_SPC_SMPTE170M:
		return SWS_CS_ITU601;
	case AVCOL_SPC_FCC:
		return SWS_CS_FCC;
	case AVCOL_SPC_SMPTE240M:
		return SWS_CS_SMPTE240M;
	case AVCOL_SPC_BT2020_NCL:
	case AVCOL_SPC_BT2020_CL:
		return SWS_CS_BT2020;
	default:
		return otherwise;
	}
}

static bool is_rgb(enum AVPixelFormat pixels)
{
	const AVPixFmtDescriptor *description = av_pix_fmt_desc_get(pixels);

	return description &&
	       description->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL) /* of RGB */;
}

static bool is_full_range(const struct fit *fit, const AVFrame *picture)
{
	if (is_rgb(picture->format))
		return true;
	if (picture->color_range == AVCOL_RANGE_UNSPECIFIED)
		return fit->format.full_range;
	return picture->color_range == AVCOL_RANGE_JPEG;
}

static AVRational shape_of_format(const struct frame_format *format)
{
	if (!format->sar_width)
		return (AVRational){1, 1};
	return (AVRational){(int)format->sar_width, (int)format->sar_height};
}

/* The shape of a pixel as it was coded, before it is turned. */
static AVRational shape_of(struct fit *fit, const AVFrame *picture)
{
	const AVRational says = picture->sample_aspect_ratio;
	const AVRational shape = shape_of_format(&fit->format);

	if (!fit->seen) {
		fit->seen = true;
		fit->first = says;
	}
	if (says.num > 0 && says.den > 0 && says.num <= UINT16_MAX && says.den <= UINT16_MAX &&
	    (says.num != fit->first.num || says.den != fit->first.den))
		return says;
	return fit->orientation.transpose ? (AVRational){shape.den, shape.num} : shape;
}

static struct look look_of(struct fit *fit, const AVFrame *picture)
{
	return (struct look){
		.width = picture->width & ~1, /* odd sizes lose a line, they are not scaled */
		.height = picture->height & ~1,
		.pixels = picture->format,
		.full_range = is_full_range(fit, picture),
		.matrix = matrix_of_picture(picture, matrix_of_format(&fit->format)),
		.shape = shape_of(fit, picture),
	};
}

static bool look_is(const struct look *a, const struct look *b)
{
	return a->width == b->width && a->height == b->height && a->pixels == b->pixels &&
	       a->full_range == b->full_range && a->matrix == b->matrix &&
	       a->shape.num == b->shape.num && a->shape.den == b->shape.den;
}

/* yuvj420p and its like say "full range" by their name, and are the same otherwise. */
static bool pixels_are(enum AVPixelFormat pixels, enum AVPixelFormat of_format)
{
	return pixels == of_format ||
	       (pixels == AV_PIX_FMT_YUVJ420P && of_format == AV_PIX_FMT_YUV420P);
}

static bool colours_are_right(const struct fit *fit, const struct look *look)
{
	return pixels_are(look->pixels, fit->pixels) &&
	       look->full_range == fit->format.full_range &&
	       look->matrix == matrix_of_format(&fit->format);
}

bool fit_is_same(struct fit *fit, const AVFrame *picture)
{
	const struct look look = look_of(fit, picture);
	const AVRational shape = shape_of_format(&fit->format);

	return orientation_is_upright(fit->orientation) && colours_are_right(fit, &look) &&
	       (uint32_t)picture->width == fit->format.width &&
	       (uint32_t)picture->height == fit->format.height && !av_cmp_q(look.shape, shape);
}

/* --- preparing for pictures of one look --- */

/* The largest rectangle of the look's shape, after it was turned, in the middle of the format. A
 * bar narrower than a pair of lines is none: it comes of rounding. */
static struct rect place(const struct fit *fit, const struct look *look)
{
	const struct frame_format *format = &fit->format;
	const bool transpose = fit->orientation.transpose;
	const AVRational to = shape_of_format(format);
	const uint64_t sar_width = (uint64_t)(transpose ? look->shape.den : look->shape.num);
	const uint64_t sar_height = (uint64_t)(transpose ? look->shape.num : look->shape.den);
	/* Of the picture in pixels of the format: width / height, each below 2^46. */
	const uint64_t width =
		(uint64_t)(transpose ? look->height : look->width) * sar_width * (uint64_t)to.den;
	const uint64_t height =
		(uint64_t)(transpose ? look->width : look->height) * sar_height * (uint64_t)to.num;
	struct rect rect = {.width = format->width, .height = format->height};

	if (format->width * height < format->height * width)
		rect.height = (uint32_t)(format->width * height / width) & ~1u;
	else
		rect.width = (uint32_t)(format->height * width / height) & ~1u;
	if (rect.width + 2 >= format->width)
		rect.width = format->width;
	if (rect.height + 2 >= format->height)
		rect.height = format->height;
	rect.width = rect.width < 2 ? 2 : rect.width;
	rect.height = rect.height < 2 ? 2 : rect.height;
	rect.x = (format->width - rect.width) / 4 * 2;
	rect.y = (format->height - rect.height) / 4 * 2;
	return rect;
}

static int make_scaler(struct fit *fit, const struct look *look, int width, int height)
{
	const int flags = is_rgb(look->pixels) ? SWS_BICUBIC | SWS_ACCURATE_RND : SWS_BILINEAR;
	const struct {
		const char *name;
		int value;
	} options[] = {
		{"srcw", look->width},
		{"srch", look->height},
		{"src_format", look->pixels},
		{"src_range", look->full_range},
		{"dstw", width},
		{"dsth", height},
		{"dst_format", fit->pixels},
		{"dst_range", fit->format.full_range},
		{"sws_flags", flags},
	};

	fit->scaler = sws_alloc_context();
	if (!fit->scaler)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (av_opt_set_int(fit->scaler, options[i].name, options[i].value, 0) < 0)
			return -EINVAL;
	if (sws_init_context(fit->scaler, NULL, NULL) < 0)
		return -EINVAL;
	/* Old versions refuse some pairs of matrices, and keep the values then. */
	(void)sws_setColorspaceDetails(fit->scaler, sws_getCoefficients(look->matrix),
				       look->full_range,
				       sws_getCoefficients(matrix_of_format(&fit->format)),
				       fit->format.full_range, 0, 1 << 16, 1 << 16);
	return 0;
}

static int make_upright(struct fit *fit, int width, int height)
{
	fit->upright = av_frame_alloc();
	if (!fit->upright)
		return -ENOMEM;
	fit->upright->format = fit->pixels;
	fit->upright->width = width;
	fit->upright->height = height;
	return av_frame_get_buffer(fit->upright, 0) < 0 ? -ENOMEM : 0;
}

static void forget_look(struct fit *fit)
{
	sws_freeContext(fit->scaler);
	fit->scaler = NULL;
	av_frame_free(&fit->upright);
	fit->look = (struct look){0};
}

static int prepare(struct fit *fit, const struct look *look)
{
	const bool turned = !orientation_is_upright(fit->orientation);
	const bool transpose = fit->orientation.transpose;
	int width, height, r;

	if (look_is(look, &fit->look))
		return 0;
	forget_look(fit);
	if (look->width == 0 || look->height == 0)
		return -EINVAL;
	fit->rect = place(fit, look);
	width = (int)(transpose ? fit->rect.height : fit->rect.width);
	height = (int)(transpose ? fit->rect.width : fit->rect.height);
	if (!turned || !colours_are_right(fit, look) || look->width != width ||
	    look->height != height) {
		r = make_scaler(fit, look, width, height);
		if (!r && turned)
			r = make_upright(fit, width, height);
		if (r) {
			forget_look(fit);
			return r;
		}
	}
	fit->look = *look;
	return 0;
}

/* --- writing --- */

/* How far the planes of a format go on for a pixel, and how many pixels share a sample. */
static uint32_t plane_offset(const struct frame_format *format, unsigned plane, uint32_t x,
			     uint32_t y)
{
	const struct frame_plane *p = &format->planes[plane];

	switch (format->fourcc) {
	case FRAME_YUYV:
		return p->offset + y * p->stride + 2 * x;
	case FRAME_NV12:
		return p->offset + (plane ? y / 2 : y) * p->stride + x;
	default:
		return p->offset + (plane ? y / 2 : y) * p->stride + (plane ? x / 2 : x);
	}
}

static void fill_black(const struct frame_format *format, uint8_t *map)
{
	const uint8_t black = format->full_range ? 0 : 16;

	for (unsigned i = 0; i < format->n_planes; i++) {
		const struct frame_plane *plane = &format->planes[i];
		uint8_t *start = map + plane->offset;
		const size_t size = (size_t)plane->stride * plane->rows;

		memset(start, i ? 128 : black, size);
		for (size_t j = 1; format->fourcc == FRAME_YUYV && j < size; j += 2)
			start[j] = 128;
	}
}

int fit_write(struct fit *fit, const AVFrame *picture, uint8_t *map)
{
	const struct frame_format *format = &fit->format;
	const struct look look = look_of(fit, picture);
	const AVFrame *upright;
	uint8_t *data[4] = {0};
	int stride[4] = {0};
	int r = prepare(fit, &look);

	if (r)
		return r;
	if (fit->rect.width != format->width || fit->rect.height != format->height)
		fill_black(format, map);
	for (unsigned i = 0; i < format->n_planes; i++) {
		data[i] = map + plane_offset(format, i, fit->rect.x, fit->rect.y);
		stride[i] = (int)format->planes[i].stride;
	}
	upright = fit->upright ? fit->upright : picture;
	if (fit->scaler &&
	    sws_scale(fit->scaler, (const uint8_t *const *)picture->data, picture->linesize, 0,
		      look.height, fit->upright ? fit->upright->data : data,
		      fit->upright ? fit->upright->linesize : stride) < 0)
		return -EINVAL;
	if (orientation_is_upright(fit->orientation))
		return 0;
	for (unsigned i = 0; i < format->n_planes; i++)
		orientation_turn_plane(fit->orientation, upright->data[i], 1, upright->linesize[i],
				       data[i], stride[i],
				       i ? fit->rect.width / 2 : fit->rect.width,
				       i ? fit->rect.height / 2 : fit->rect.height);
	return 0;
}

bool fit_was_scaled(const struct fit *fit)
{
	const bool transpose = fit->orientation.transpose;
	const int width = transpose ? fit->look.height : fit->look.width;
	const int height = transpose ? fit->look.width : fit->look.height;

	return fit->look.width &&
	       ((uint32_t)width != fit->format.width || (uint32_t)height != fit->format.height ||
		fit->rect.width != fit->format.width || fit->rect.height != fit->format.height);
}

/* --- life --- */

int fit_create(struct fit **out, const struct frame_format *format, struct orientation orientation)
{
	struct fit *fit = calloc(1, sizeof(*fit));

	if (!fit)
		return -ENOMEM;
	fit->format = *format;
	fit->orientation = orientation;
	fit->pixels = format->fourcc == FRAME_NV12   ? AV_PIX_FMT_NV12
		      : format->fourcc == FRAME_YUYV ? AV_PIX_FMT_YUYV422
						     : AV_PIX_FMT_YUV420P;
	*out = fit;
	return 0;
}

void fit_destroy(struct fit *fit)
{
	if (!fit)
		return;
	forget_look(fit);
	free(fit);
}
