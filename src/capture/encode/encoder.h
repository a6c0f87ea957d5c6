/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An encoder turns frames into access units. It has two events: the input is not needed any more
 * (its slot may go back to the camera), and an access unit is ready. All calls and events happen on
 * the stream's own thread.
 */
#ifndef CAPTURE_ENCODE_ENCODER_H
#define CAPTURE_ENCODE_ENCODER_H

#include "capture/access_unit.h"
#include "capture/frame.h"

struct encoder;

/* The encoder of `encoder = auto` for H.264 where no hardware encoder opens; docs/ENCODERS.md has
 * the measurements. encoder_software() has the exceptions. */
#define ENCODER_SOFTWARE_DEFAULT CONFIG_ENCODER_X264

struct encoder_events {
	void (*coded)(void *user, const struct access_unit *unit);
	/* The encoder failed and must be closed (ladder.h decides what follows). why: a text for
	 * people. */
	void (*failed)(void *user, int error, const char *why);
	void *user;
};

struct encoder_config {
	struct frame_format format;
	const struct config_stream *stream; /* borrowed until create returns */
	struct slot_ring *ring; /* the frames' slots, for an encoder that imports them; borrowed */
	unsigned threads;	/* for software encoders; 0: the encoder's choice */
	const char *effort; /* NULL but in bench/encoders.c: x264's preset, OpenH264's complexity */
};

struct encoder_ops {
	const char *name;
	/* Returns 0 or -errno with a text in why[256]. The encoder's detail[160] describes the
	 * device and the conversion. */
	int (*create)(struct encoder **out, const struct encoder_config *config,
		      const struct encoder_events *events, char *why);
	/* Encodes frame (takes over one reference, on failure too), as an IDR if force_idr. May
	 * deliver events before it returns. 0, -EAGAIN (no room; frame dropped), or -errno (broken:
	 * close it). */
	int (*encode)(struct encoder *encoder, struct frame *frame, bool force_idr);
	/* For asynchronous encoders, else NULL: poll fd for these events, then call dispatch. */
	int (*pollfd)(struct encoder *encoder, short *events);
	int (*dispatch)(struct encoder *encoder, short revents);
	/* Bit/s from the next picture on. NULL: cannot. */
	int (*set_bitrate)(struct encoder *encoder, uint32_t bitrate_bps);
	/* Gives back every frame that it still holds. May block (V4L2: 2 s). */
	void (*destroy)(struct encoder *encoder);
};

/* First member of every implementation's structure. */
struct encoder {
	const struct encoder_ops *ops;
	struct encoder_events events;
	bool asynchronous; /* frames go in and access units come out later: the watchdog applies */
	char detail[160];  /* "/dev/video11 bcm2835-codec, imports dmabufs", "NV12 chroma split to
			      I420" */
};

extern const struct encoder_ops encoder_openh264, encoder_x264, encoder_v4l2m2m, encoder_mjpeg;

/* The software encoder of a stream whose encoder is `auto`: the default, or OpenH264 if the stream
 * asks for temporal layers, or CONFIG_ENCODER_MJPEG. */
enum config_encoder encoder_software(const struct config_stream *stream);

/* --- for the implementations --- */

/* config->threads, or what the picture's size and rate need, at most 4 and one a core. */
unsigned encoder_threads(const struct encoder_config *config);

/* "4.0" as 40, "1b" as 9; 0 for "auto", "", NULL and anything else. */
int encoder_level_idc(const char *level);

/* The codes of tables E-3 to E-5 of H.264 for a camera's colours, for the VUI. */
struct encoder_colour {
	uint8_t primaries, transfer, matrix; /* 2: unspecified */
};
struct encoder_colour encoder_vui_colour(enum frame_colour colour);

#endif
