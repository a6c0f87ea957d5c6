/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The set-up part of the stateful encoder interface (kernel:
 * Documentation/userspace-api/media/v4l/dev-encoder.rst), and for the Raspberry Pi's bcm2835-codec
 * the rules of that driver.
 */
#include "capture/encode/v4l2_session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/diag.h"

/* A few coded buffers are enough, because they wait for our thread only, never for a client. */
#define CODED_BUFFERS 4
/* The size requested for each, as other programs do: bcm2835-codec's default of 512 KiB splits
 * large IDRs. */
#define CODED_SIZE (1536u << 10)

#define PI_MAX_SIDE 1920u
#define PI_MACROBLOCKS_PER_S 245760u /* level 4.0, 1080p30 */

/* Fills why for a step of open() that the driver refused. */
static int refuse(const struct v4l2_session *session, char *why, int error, const char *step)
{
	snprintf(why, V4L2_WHY_MAX, "%s (%s): %s: %s%s", session->device.path, session->device.card,
		 step, strerror(-error),
		 session->device.pi ? "; if this repeats, the firmware's encoder hangs: reboot"
				    : "");
	return error;
}

/* --- set-up, in the order that drivers want --- */

static uint32_t coded_fourcc(const struct config_stream *stream)
{
	char text[5] = "    ";
	size_t len = stream->v4l2_format ? strlen(stream->v4l2_format) : 0;

	if (!len)
		return V4L2_PIX_FMT_H264;
	memcpy(text, stream->v4l2_format, len < 4 ? len : 4);
	return v4l2_fourcc((uint32_t)text[0], (uint32_t)text[1], (uint32_t)text[2],
			   (uint32_t)text[3]);
}

static uint64_t macroblocks_per_s(const struct frame_format *format)
{
	uint64_t n = (uint64_t)((format->width + 15) / 16) * ((format->height + 15) / 16);

	return format->rate.den ? n * format->rate.num / format->rate.den : n;
}

static int h264_level(const struct v4l2_session *session, const struct config_stream *stream)
{
	static const struct {
		int idc, value;
	} levels[] = {
		{10, V4L2_MPEG_VIDEO_H264_LEVEL_1_0}, {9, V4L2_MPEG_VIDEO_H264_LEVEL_1B},
		{11, V4L2_MPEG_VIDEO_H264_LEVEL_1_1}, {12, V4L2_MPEG_VIDEO_H264_LEVEL_1_2},
		{13, V4L2_MPEG_VIDEO_H264_LEVEL_1_3}, {20, V4L2_MPEG_VIDEO_H264_LEVEL_2_0},
		{21, V4L2_MPEG_VIDEO_H264_LEVEL_2_1}, {22, V4L2_MPEG_VIDEO_H264_LEVEL_2_2},
		{30, V4L2_MPEG_VIDEO_H264_LEVEL_3_0}, {31, V4L2_MPEG_VIDEO_H264_LEVEL_3_1},
		{32, V4L2_MPEG_VIDEO_H264_LEVEL_3_2}, {40, V4L2_MPEG_VIDEO_H264_LEVEL_4_0},
		{41, V4L2_MPEG_VIDEO_H264_LEVEL_4_1}, {42, V4L2_MPEG_VIDEO_H264_LEVEL_4_2},
		{50, V4L2_MPEG_VIDEO_H264_LEVEL_5_0}, {51, V4L2_MPEG_VIDEO_H264_LEVEL_5_1},
		{52, V4L2_MPEG_VIDEO_H264_LEVEL_5_2},
	};
	uint64_t rate = macroblocks_per_s(&session->format);
	int idc = encoder_level_idc(stream->level);

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (levels[i].idc == idc)
			return levels[i].value;
	}
	/* "auto": by MaxMBPS of table A-1, from level 4.0 up, which every current decoder
	 * supports. */
	if (rate <= 245760)
		return V4L2_MPEG_VIDEO_H264_LEVEL_4_0;
	return rate <= 522240 ? V4L2_MPEG_VIDEO_H264_LEVEL_4_2 : V4L2_MPEG_VIDEO_H264_LEVEL_5_1;
}

static int h264_profile(const struct config_stream *stream)
{
	switch (stream->profile) {
	case CONFIG_PROFILE_BASELINE:
		return V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE;
	case CONFIG_PROFILE_MAIN:
		return V4L2_MPEG_VIDEO_H264_PROFILE_MAIN;
	default:
		return V4L2_MPEG_VIDEO_H264_PROFILE_HIGH;
	}
}

/* All of these controls are optional: h264_writer.h corrects parameter sets and VUI, and other
 * values stay at the driver's defaults. bcm2835-codec accepts PROFILE to REPEAT_SEQ_HEADER only
 * before REQBUFS. */
static void set_controls(struct v4l2_session *session, const struct config_stream *stream)
{
	/* clang-format off */
	const struct {
		uint32_t id;
		int64_t value;
		bool pi_only;
		const char *name;
	} controls[] = {
		/* VBR, because 1080p with CBR and main profile can hang the firmware. */
		{V4L2_CID_MPEG_VIDEO_BITRATE_MODE, V4L2_MPEG_VIDEO_BITRATE_MODE_VBR, true, "bitrate mode"},
		{V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE, 1, false, "rate control"},
		{V4L2_CID_MPEG_VIDEO_BITRATE, stream->bitrate, false, "bitrate"},
		{V4L2_CID_MPEG_VIDEO_H264_PROFILE, h264_profile(stream), false, "profile"},
		{V4L2_CID_MPEG_VIDEO_H264_LEVEL, h264_level(session, stream), false, "level"},
		{V4L2_CID_MPEG_VIDEO_H264_MIN_QP, 20, true, "minimum QP"},
		{V4L2_CID_MPEG_VIDEO_H264_MAX_QP, 51, true, "maximum QP"},
		{V4L2_CID_MPEG_VIDEO_B_FRAMES, 0, false, "B frames"},
		{V4L2_CID_MPEG_VIDEO_GOP_SIZE, stream->keyframe_interval, false, "GOP size"},
		{V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, stream->keyframe_interval, false, "I period"},
		{V4L2_CID_MPEG_VIDEO_HEADER_MODE, V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME,
		 false, "header mode"},
		/* The default is 0: parameter sets would be sent only once. */
		{V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 1, false, "repeated headers"},
		{V4L2_CID_MPEG_VIDEO_PREPEND_SPSPPS_TO_IDR, 1, false, "repeated headers"},
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		int rc;

		if (controls[i].pi_only && !session->device.pi)
			continue;
		rc = v4l2_set_control(session->device.fd, controls[i].id, controls[i].value);
		if (rc && rc != -ENOENT)
			diag_warn("%s: cannot set the %s to %lld: %s", session->device.path,
				  controls[i].name, (long long)controls[i].value, strerror(-rc));
	}
	session->can_force_key =
		v4l2_has_control(session->device.fd, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME);
}

static void format_colour(const struct frame_format *format, struct v4l2_pix_format_mplane *pix)
{
	switch (format->colour) {
	case FRAME_COLOUR_SMPTE170M:
		pix->colorspace = V4L2_COLORSPACE_SMPTE170M;
		break;
	case FRAME_COLOUR_REC709:
		pix->colorspace = V4L2_COLORSPACE_REC709;
		break;
	case FRAME_COLOUR_JPEG:
		pix->colorspace = V4L2_COLORSPACE_JPEG;
		break;
	case FRAME_COLOUR_BT2020_PQ:
		pix->xfer_func = V4L2_XFER_FUNC_SMPTE2084;
		pix->colorspace = V4L2_COLORSPACE_BT2020;
		break;
	case FRAME_COLOUR_BT2020:
	case FRAME_COLOUR_BT2020_HLG: /* V4L2 has no name for its transfer function */
		pix->colorspace = V4L2_COLORSPACE_BT2020;
		break;
	default:
		pix->colorspace =
			format->height >= 720 ? V4L2_COLORSPACE_REC709 : V4L2_COLORSPACE_SMPTE170M;
	}
	pix->quantization =
		format->full_range ? V4L2_QUANTIZATION_FULL_RANGE : V4L2_QUANTIZATION_LIM_RANGE;
}

static int set_coded_format(struct v4l2_session *session, char *why)
{
	struct v4l2_format f = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE};
	struct v4l2_pix_format_mplane *pix = &f.fmt.pix_mp;
	uint32_t size = session->format.width * session->format.height / 4 * 3;
	char text[5];
	int rc;

	pix->width = session->format.width;
	pix->height = session->format.height;
	pix->pixelformat = session->coded_fourcc;
	pix->field = V4L2_FIELD_NONE;
	pix->num_planes = 1;
	pix->plane_fmt[0].sizeimage = size > CODED_SIZE ? size : CODED_SIZE;
	/* bcm2835-codec keeps one colour space, the one set last, on either queue. */
	format_colour(&session->format, pix);
	rc = v4l2_call(session->device.fd, VIDIOC_S_FMT, &f);
	if (rc)
		return refuse(session, why, rc, "setting the coded format");
	if (pix->pixelformat == session->coded_fourcc && pix->width >= session->format.width &&
	    pix->height >= session->format.height)
		return 0;
	snprintf(why, V4L2_WHY_MAX, "%s (%s) does not support %ux%u for %s: it offers %ux%u",
		 session->device.path, session->device.card, session->format.width,
		 session->format.height, v4l2_fourcc_text(session->coded_fourcc, text), pix->width,
		 pix->height);
	return -EINVAL;
}

/* A slot must have the layout that the driver reads: V4L2's one-plane layouts have the chroma
 * directly after stride x height bytes of luma, and only stride and height can be set. */
static int check_layout(const struct v4l2_session *session,
			const struct v4l2_pix_format_mplane *pix, char *why)
{
	const struct frame_format *format = &session->format;
	uint32_t stride = format->planes[0].stride;
	uint32_t got_stride = pix->plane_fmt[0].bytesperline;
	uint32_t chroma = got_stride * pix->height;

	if (got_stride != stride) {
		snprintf(why, V4L2_WHY_MAX,
			 "%s (%s) reads %ux%u pictures in lines of %u bytes, but the camera's "
			 "%ux%u pictures have lines of %u: choose a size that both support, with a "
			 "width that is a multiple of 64",
			 session->device.path, session->device.card, pix->width, pix->height,
			 got_stride, format->width, format->height, stride);
		return -EINVAL;
	}
	if (format->n_planes > 1 && format->planes[1].offset != chroma) {
		snprintf(why, V4L2_WHY_MAX,
			 "%s (%s) expects the chroma at byte %u, but the camera's is at %u: choose "
			 "a "
			 "height that is a multiple of 16",
			 session->device.path, session->device.card, chroma,
			 format->planes[1].offset);
		return -EINVAL;
	}
	if (format->n_planes > 2 && (format->planes[1].stride * 2 != stride ||
				     format->planes[2].offset != chroma + chroma / 4)) {
		snprintf(why, V4L2_WHY_MAX,
			 "%s (%s) expects Cb and then Cr, with lines of half the luma's %u bytes",
			 session->device.path, session->device.card, stride);
		return -EINVAL;
	}
	for (unsigned i = 0; i < session->ring->n; i++) {
		if (session->ring->slots[i].size >= pix->plane_fmt[0].sizeimage)
			continue;
		snprintf(
			why, V4L2_WHY_MAX,
			"%s (%s) needs %u bytes for each picture, but the frame slots have only %u",
			session->device.path, session->device.card, pix->plane_fmt[0].sizeimage,
			session->ring->slots[i].size);
		return -EINVAL;
	}
	return 0;
}

static int set_raw_format(struct v4l2_session *session, char *why)
{
	struct v4l2_format f = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE};
	struct v4l2_pix_format_mplane *pix = &f.fmt.pix_mp;
	const struct frame_format *format = &session->format;
	struct v4l2_selection crop = {
		.type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
		.target = V4L2_SEL_TGT_CROP,
		.r = {.width = format->width, .height = format->height},
	};
	char text[5];
	int rc;

	pix->width = format->width;
	pix->height = format->height;
	pix->pixelformat = format->fourcc;
	pix->field = V4L2_FIELD_NONE;
	pix->num_planes = 1;
	pix->plane_fmt[0].bytesperline = format->planes[0].stride;
	pix->plane_fmt[0].sizeimage = format->size;
	format_colour(format, pix);
	rc = v4l2_call(session->device.fd, VIDIOC_S_FMT, &f);
	if (rc)
		return refuse(session, why, rc, "setting the raw format");
	if (pix->pixelformat != format->fourcc || pix->num_planes != 1 ||
	    pix->width < format->width || pix->height < format->height) {
		snprintf(why, V4L2_WHY_MAX, "%s (%s) does not support %s pictures of %ux%u",
			 session->device.path, session->device.card,
			 v4l2_fourcc_text(format->fourcc, text), format->width, format->height);
		return -EINVAL;
	}
	rc = check_layout(session, pix, why);
	if (rc)
		return rc;
	if (pix->width == format->width && pix->height == format->height)
		return 0;
	rc = v4l2_call(session->device.fd, VIDIOC_S_SELECTION, &crop);
	return rc ? refuse(session, why, rc, "cropping to the picture") : 0;
}

/* The rate is for rate control and the VUI; drivers without S_PARM go by the timestamps. */
static void set_rate(struct v4l2_session *session)
{
	struct v4l2_streamparm parm = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE};

	if (!session->format.rate.num || !session->format.rate.den)
		return; /* older bcm2835-codec divides by it */
	parm.parm.output.timeperframe.numerator = session->format.rate.den;
	parm.parm.output.timeperframe.denominator = session->format.rate.num;
	v4l2_call(session->device.fd, VIDIOC_S_PARM, &parm);
}

static int request_buffers(struct v4l2_session *session, enum v4l2_buf_type type,
			   enum v4l2_memory memory, unsigned count, unsigned *got)
{
	struct v4l2_requestbuffers request = {.count = count, .type = type, .memory = memory};
	int rc = v4l2_call(session->device.fd, VIDIOC_REQBUFS, &request);

	*got = rc ? 0 : request.count;
	return rc;
}

int v4l2_session_queue_coded(struct v4l2_session *session, unsigned index)
{
	struct v4l2_plane plane = {.length = session->coded[index].size};
	struct v4l2_buffer buffer = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
		.memory = V4L2_MEMORY_MMAP,
		.index = index,
		.length = 1,
		.m.planes = &plane,
	};

	return v4l2_call(session->device.fd, VIDIOC_QBUF, &buffer);
}

static int map_coded(struct v4l2_session *session, unsigned index)
{
	struct v4l2_plane plane = {0};
	struct v4l2_buffer buffer = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
		.memory = V4L2_MEMORY_MMAP,
		.index = index,
		.length = 1,
		.m.planes = &plane,
	};
	void *map;
	int rc = v4l2_call(session->device.fd, VIDIOC_QUERYBUF, &buffer);

	if (rc)
		return rc;
	map = mmap(NULL, plane.length, PROT_READ, MAP_SHARED, session->device.fd,
		   (off_t)plane.m.mem_offset);
	if (map == MAP_FAILED)
		return -errno;
	session->coded[index].map = map;
	session->coded[index].size = plane.length;
	return 0;
}

static int start(struct v4l2_session *session, char *why)
{
	int pictures = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
	int coded = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
	unsigned n;
	int rc;

	rc = request_buffers(session, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, V4L2_MEMORY_DMABUF,
			     session->ring->n, &n);
	if (rc)
		return refuse(session, why, rc, "preparing to import dmabufs");
	if (n < session->ring->n) {
		snprintf(why, V4L2_WHY_MAX, "%s (%s) accepts %u buffers, and the camera has %u",
			 session->device.path, session->device.card, n, session->ring->n);
		return -ENOSPC;
	}
	rc = request_buffers(session, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, V4L2_MEMORY_MMAP,
			     CODED_BUFFERS, &n);
	if (rc || !n)
		return refuse(session, why, rc ? rc : -ENOMEM, "allocating coded buffers");
	session->n_coded = n < VIDEO_MAX_FRAME ? n : VIDEO_MAX_FRAME;
	for (unsigned i = 0; i < session->n_coded; i++) {
		rc = map_coded(session, i);
		if (rc)
			return refuse(session, why, rc, "mapping a coded buffer");
		rc = v4l2_session_queue_coded(session, i);
		if (rc)
			return refuse(session, why, rc, "queueing a coded buffer");
	}
	rc = v4l2_call(session->device.fd, VIDIOC_STREAMON, &pictures);
	if (rc)
		return refuse(session, why, rc, "starting the raw queue");
	session->pictures_on = true;
	rc = v4l2_call(session->device.fd, VIDIOC_STREAMON, &coded);
	if (rc)
		return refuse(session, why, rc, "starting the coded queue");
	session->coded_on = true;
	return 0;
}

/* --- open and close --- */

static int check_limits(const struct v4l2_session *session, char *why)
{
	const struct v4l2_device *device = &session->device;
	const struct frame_format *format = &session->format;

	if (!device->pi)
		return 0;
	if (format->width > PI_MAX_SIDE || format->height > PI_MAX_SIDE) {
		snprintf(why, V4L2_WHY_MAX,
			 "%s (%s) accepts at most %ux%u, and the camera has %ux%u", device->path,
			 device->card, PI_MAX_SIDE, PI_MAX_SIDE, format->width, format->height);
		return -ERANGE;
	}
	if (macroblocks_per_s(format) > PI_MACROBLOCKS_PER_S)
		diag_warn("%s: %ux%u at %u/%u is more than this encoder can encode in real time "
			  "(1080p30): pictures will be dropped",
			  device->path, format->width, format->height, format->rate.num,
			  format->rate.den);
	return 0;
}

int v4l2_session_open(struct v4l2_session *session, const struct encoder_config *config, char *why)
{
	const struct config_stream *stream = config->stream;
	int rc;

	memset(session, 0, sizeof(*session));
	session->format = config->format;
	session->ring = config->ring;
	session->coded_fourcc = coded_fourcc(stream);
	rc = v4l2_open_encoder(&session->device, stream->v4l2_device ? stream->v4l2_device : "",
			       session->coded_fourcc, session->format.fourcc, why);
	if (rc)
		return rc;
	rc = check_limits(session, why);
	if (rc)
		goto close;
	set_controls(session, stream);
	/* The coded format is set first, as the kernel's interface requires. Setting the raw format
	 * may reset its size and buffer size, so it is set again. */
	rc = set_coded_format(session, why);
	if (!rc)
		rc = set_raw_format(session, why);
	if (!rc)
		rc = set_coded_format(session, why);
	if (rc)
		goto close;
	set_rate(session);
	rc = start(session, why);
	if (!rc)
		return 0;
close:
	v4l2_session_close(session);
	return rc;
}

void v4l2_session_close(struct v4l2_session *session)
{
	int pictures = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
	int coded = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
	unsigned n;

	/* STREAMOFF takes all buffers back from the device; bcm2835-codec waits up to 2 s per queue
	 * for a firmware that hangs. It fails only if the device is gone, and then close() frees
	 * the buffers. */
	if (session->pictures_on)
		v4l2_call(session->device.fd, VIDIOC_STREAMOFF, &pictures);
	if (session->coded_on)
		v4l2_call(session->device.fd, VIDIOC_STREAMOFF, &coded);
	for (unsigned i = 0; i < session->n_coded; i++) {
		if (session->coded[i].map)
			munmap(session->coded[i].map, session->coded[i].size);
	}
	request_buffers(session, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, V4L2_MEMORY_DMABUF, 0, &n);
	request_buffers(session, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, V4L2_MEMORY_MMAP, 0, &n);
	v4l2_close(&session->device);
}
