/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hardware encoder: a stateful V4L2 one, as v4l2_session.h sets it up.
 *
 * Pictures go in by DMABUF import: buffer i of the OUTPUT queue is always slot i of the ring
 * (bcm2835-codec maps a dmabuf again if the buffer had another one before). Pictures are never
 * mapped here. Coded pictures are returned in a few MMAP buffers, which are queued again as soon as
 * the access unit was delivered. A picture's timestamp is its capture time, which the driver copies
 * to the coded picture: it identifies the picture of an access unit.
 */
#include "capture/encode/encoder.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "camcast/worker.h"
#include "capture/encode/v4l2_session.h"
#include "media/access_unit.h"

/* Parts of a coded picture that fills more than one buffer, or headers that wait for their
 * picture. */
struct pieces {
	uint8_t *data;
	size_t len, size;
	int64_t stamp_us;
	bool picture, key, droppable;
};

struct v4l2m2m {
	struct encoder base;
	struct v4l2_session session;

	struct frame **held; /* pictures that the driver holds, by slot */
	unsigned n_held;
	/* The limit on held pictures: an encoder that hangs must leave slots for the camera and its
	 * other streams. */
	unsigned max_held;
	int64_t last_stamp_us;

	struct pieces pieces;
	bool want_key; /* ask for a key frame with the next picture */
	bool lost;     /* an access unit was lost: units are useless until the next key */
	bool idle;     /* poll() would report only POLLERR until a picture is queued */
	bool failed;
};

/* Reports the failure to the stream once, and returns error. */
__attribute__((format(printf, 3, 4))) static int fail(struct v4l2m2m *enc, int error,
						      const char *format, ...)
{
	char text[160], why[V4L2_WHY_MAX];
	va_list args;

	if (enc->failed)
		return error;
	enc->failed = true;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(why, sizeof(why), "%s: %s", enc->session.device.path, text);
	enc->base.events.failed(enc->base.events.user, error, why);
	return error;
}

static int v4l2m2m_create(struct encoder **out, const struct encoder_config *config,
			  const struct encoder_events *events, char *why)
{
	struct v4l2m2m *enc;
	char text[5];
	int rc;

	if (!config->ring || !config->ring->dmabuf) {
		snprintf(why, V4L2_WHY_MAX,
			 "the frame slots are %s: neither /dev/dma_heap nor /dev/udmabuf can be "
			 "opened",
			 config->ring ? config->ring->allocator : "none");
		return -ENOTSUP;
	}
	snprintf(why, V4L2_WHY_MAX, "out of memory");
	enc = calloc(1, sizeof(*enc));
	if (!enc)
		return -ENOMEM;
	enc->base.ops = &encoder_v4l2m2m;
	enc->base.events = *events;
	enc->base.asynchronous = true;
	enc->last_stamp_us = INT64_MIN;
	enc->max_held = config->ring->n > 4 ? config->ring->n / 2 : 2;
	rc = -ENOMEM;
	enc->held = calloc(config->ring->n, sizeof(struct frame *));
	if (!enc->held)
		goto free;
	rc = v4l2_session_open(&enc->session, config, why);
	if (rc)
		goto free;
	/* The allocator's name identifies the provider; the other texts are short enough. */
	snprintf(enc->base.detail, sizeof(enc->base.detail), "%.48s %.31s, imports %s from %.24s%s",
		 enc->session.device.path, enc->session.device.card,
		 v4l2_fourcc_text(config->format.fourcc, text), config->ring->allocator,
		 enc->session.can_force_key ? "" : ", cannot force key frames");
	*out = &enc->base;
	return 0;

free:
	free(enc->held);
	free(enc);
	return rc;
}

static void v4l2m2m_destroy(struct encoder *encoder)
{
	struct v4l2m2m *enc = (struct v4l2m2m *)encoder;
	unsigned n = enc->session.ring->n;

	/* A slot may be written again only when the device does not use it any more. */
	v4l2_session_close(&enc->session);
	for (unsigned i = 0; i < n; i++) {
		if (enc->held[i])
			frame_unref(enc->held[i]);
	}
	free(enc->held);
	free(enc->pieces.data);
	free(enc);
}

/* --- coded pictures --- */

/* Classifies the content of a buffer. An H.264 buffer without a slice contains headers only. */
static void inspect(const struct v4l2m2m *enc, const uint8_t *data, size_t len, uint32_t flags,
		    struct pieces *found)
{
	struct access_unit_head head;

	if (enc->session.coded_fourcc != V4L2_PIX_FMT_H264) {
		found->picture = true;
		found->key = flags & V4L2_BUF_FLAG_KEYFRAME;
		return;
	}
	/* The NAL type decides, not the driver's flag: its key frame may be an I picture that is no
	 * IDR. */
	if (found->picture)
		return;
	access_unit_read_head(data, len, &head);
	found->picture = head.slice;
	found->key = head.idr;
	found->droppable = head.slice && !head.referenced;
}

static void lose_unit(struct v4l2m2m *enc)
{
	enc->pieces.len = 0;
	enc->lost = true;
	enc->want_key = true;
}

static void deliver(struct v4l2m2m *enc, const uint8_t *data, size_t len,
		    const struct pieces *found)
{
	struct access_unit unit = {
		.data = data,
		.len = len,
		.capture_us = found->stamp_us,
		.key = found->key,
		.droppable = found->droppable,
		.as_is = enc->session.coded_fourcc != V4L2_PIX_FMT_H264,
	};

	if (enc->lost && !unit.key)
		return;
	enc->lost = false;
	enc->base.events.coded(enc->base.events.user, &unit);
}

static void deliver_pieces(struct v4l2m2m *enc)
{
	deliver(enc, enc->pieces.data, enc->pieces.len, &enc->pieces);
	enc->pieces.len = 0;
}

static int keep_piece(struct v4l2m2m *enc, const uint8_t *data, size_t len,
		      const struct pieces *found)
{
	struct pieces *pieces = &enc->pieces;
	size_t need = pieces->len + len;

	if (need > CAMCAST_UNIT_MAX)
		return -EMSGSIZE;
	if (need > pieces->size) {
		uint8_t *more = realloc(pieces->data, need);

		if (!more)
			return -ENOMEM;
		pieces->data = more;
		pieces->size = need;
	}
	if (!pieces->len)
		pieces->picture = pieces->key = pieces->droppable = false;
	memcpy(pieces->data + pieces->len, data, len);
	pieces->len = need;
	pieces->stamp_us = found->stamp_us;
	if (found->picture && !pieces->picture) {
		pieces->picture = true;
		pieces->key = found->key;
		pieces->droppable = found->droppable;
	}
	return 0;
}

/* bcm2835-codec returns a picture that is larger than the buffer in pieces with the same timestamp,
 * and does not mark the last one: it is the piece that does not fill its buffer. */
static void take_coded(struct v4l2m2m *enc, const uint8_t *data, size_t len, bool full,
		       uint32_t flags, int64_t stamp_us)
{
	struct pieces *pieces = &enc->pieces;
	struct pieces found = {.stamp_us = stamp_us};

	if (pieces->len && pieces->picture && pieces->stamp_us != stamp_us)
		deliver_pieces(enc); /* the previous picture filled its buffer exactly */
	inspect(enc, data, len, flags, &found);
	if (!pieces->len && found.picture && !full) {
		deliver(enc, data, len, &found);
		return;
	}
	if (keep_piece(enc, data, len, &found)) {
		lose_unit(enc);
		return;
	}
	if (pieces->picture && !full)
		deliver_pieces(enc);
}

/* Returns the number of buffers taken, or -errno. */
static int dequeue_coded(struct v4l2m2m *enc)
{
	int taken = 0;

	for (;;) {
		struct v4l2_plane plane = {0};
		struct v4l2_buffer buffer = {
			.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
			.memory = V4L2_MEMORY_MMAP,
			.length = 1,
			.m.planes = &plane,
		};
		int rc = v4l2_call(enc->session.device.fd, VIDIOC_DQBUF, &buffer);

		if (rc == -EAGAIN)
			return taken;
		if (rc)
			return fail(enc, rc, "taking a coded picture");
		if (buffer.index >= enc->session.n_coded ||
		    plane.bytesused > enc->session.coded[buffer.index].size ||
		    plane.data_offset > plane.bytesused)
			return fail(enc, -EPROTO, "a coded buffer with an invalid index or size");
		taken++;
		if (buffer.flags & V4L2_BUF_FLAG_ERROR)
			lose_unit(enc);
		else if (plane.bytesused > plane.data_offset) /* empty: nothing was coded */
			take_coded(enc, enc->session.coded[buffer.index].map + plane.data_offset,
				   plane.bytesused - plane.data_offset,
				   plane.bytesused == enc->session.coded[buffer.index].size,
				   buffer.flags,
				   (int64_t)buffer.timestamp.tv_sec * 1000000 +
					   buffer.timestamp.tv_usec);
		rc = v4l2_session_queue_coded(&enc->session, buffer.index);
		if (rc)
			return fail(enc, rc, "queueing a coded buffer again");
	}
}

/* --- raw pictures --- */

/* Returns the number of pictures given back, or -errno. */
static int dequeue_pictures(struct v4l2m2m *enc)
{
	int taken = 0;

	for (;;) {
		struct v4l2_plane plane = {0};
		struct v4l2_buffer buffer = {
			.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
			.memory = V4L2_MEMORY_DMABUF,
			.length = 1,
			.m.planes = &plane,
		};
		struct frame *frame;
		int rc = v4l2_call(enc->session.device.fd, VIDIOC_DQBUF, &buffer);

		if (rc == -EAGAIN)
			return taken;
		if (rc)
			return fail(enc, rc, "taking a raw picture back");
		if (buffer.index >= enc->session.ring->n || !enc->held[buffer.index])
			return fail(enc, -EPROTO,
				    "the driver returned a raw picture that it did not hold");
		taken++;
		frame = enc->held[buffer.index];
		enc->held[buffer.index] = NULL;
		enc->n_held--;
		frame_unref(frame);
	}
}

static int queue_picture(struct v4l2m2m *enc, struct frame *frame)
{
	const struct slot *slot = &enc->session.ring->slots[frame->slot];
	int64_t stamp_us = frame->capture_us;
	struct v4l2_plane plane = {
		.bytesused = enc->session.format.size,
		.length = slot->size,
		.m.fd = slot->fd,
	};
	struct v4l2_buffer buffer = {
		.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
		.memory = V4L2_MEMORY_DMABUF,
		.index = frame->slot,
		.field = V4L2_FIELD_NONE,
		.length = 1,
		.m.planes = &plane,
	};
	int rc;

	if (stamp_us <= enc->last_stamp_us)
		stamp_us = enc->last_stamp_us + 1; /* it identifies the picture, so it is unique */
	buffer.timestamp.tv_sec = stamp_us / 1000000;
	buffer.timestamp.tv_usec = stamp_us % 1000000;
	rc = v4l2_call(enc->session.device.fd, VIDIOC_QBUF, &buffer);
	if (rc)
		return rc;
	enc->last_stamp_us = stamp_us;
	enc->held[frame->slot] = frame;
	enc->n_held++;
	enc->idle = false;
	return 0;
}

static int v4l2m2m_dispatch(struct encoder *encoder, short revents)
{
	struct v4l2m2m *enc = (struct v4l2m2m *)encoder;
	int coded, pictures;

	coded = dequeue_coded(enc);
	if (coded < 0)
		return coded;
	pictures = dequeue_pictures(enc);
	if (pictures < 0)
		return pictures;
	/* An m2m device reports POLLERR when a queue is empty. This is no fault, but poll() would
	 * report it again and again. If the encoder is broken, the next call fails, or it stays
	 * silent and the stream's watchdog detects that. */
	if ((revents & (POLLERR | POLLHUP | POLLNVAL)) && !coded && !pictures)
		enc->idle = true;
	return 0;
}

static int v4l2m2m_pollfd(struct encoder *encoder, short *events)
{
	struct v4l2m2m *enc = (struct v4l2m2m *)encoder;

	*events = POLLIN | POLLOUT;
	return enc->idle || enc->failed ? -1 : enc->session.device.fd;
}

static int v4l2m2m_encode(struct encoder *encoder, struct frame *frame, bool force_idr)
{
	struct v4l2m2m *enc = (struct v4l2m2m *)encoder;
	int rc = enc->failed ? -EIO : v4l2m2m_dispatch(encoder, 0);

	if (rc)
		goto unref;
	if (force_idr)
		enc->want_key = true;
	if (frame->ring != enc->session.ring || frame->slot >= enc->session.ring->n) {
		rc = fail(enc, -EINVAL, "a picture from another ring of frame slots");
		goto unref;
	}
	if (enc->held[frame->slot] || enc->n_held >= enc->max_held) {
		rc = -EAGAIN;
		goto unref;
	}
	if (enc->want_key && enc->session.can_force_key) {
		rc = v4l2_set_control(enc->session.device.fd, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME,
				      1);
		if (rc) {
			rc = fail(enc, rc, "asking for a key frame");
			goto unref;
		}
	}
	enc->want_key = false;
	rc = queue_picture(enc, frame);
	if (!rc)
		return 0;
	/* bcm2835-codec maps contiguous memory only, and not every provider allocates that. */
	rc = fail(enc, rc, "importing a raw picture from %s", enc->session.ring->allocator);
unref:
	frame_unref(frame);
	return rc;
}

static int v4l2m2m_set_bitrate(struct encoder *encoder, uint32_t bitrate_bps)
{
	struct v4l2m2m *enc = (struct v4l2m2m *)encoder;

	return v4l2_set_control(enc->session.device.fd, V4L2_CID_MPEG_VIDEO_BITRATE, bitrate_bps);
}

const struct encoder_ops encoder_v4l2m2m = {
	.name = "v4l2m2m",
	.create = v4l2m2m_create,
	.encode = v4l2m2m_encode,
	.pollfd = v4l2m2m_pollfd,
	.dispatch = v4l2m2m_dispatch,
	.set_bitrate = v4l2m2m_set_bitrate,
	.destroy = v4l2m2m_destroy,
};
