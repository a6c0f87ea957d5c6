/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A source of pictures: libcamera, the test pattern, a file, or a live stream. It delivers raw
 * frames (in slots) or coded access units (where the pictures are coded already).
 */
#ifndef CAPTURE_SOURCE_SOURCE_H
#define CAPTURE_SOURCE_SOURCE_H

#include <stdatomic.h>

#include "capture/frame.h"
#include "media/orientation.h"

struct source;
struct program;

#define SOURCE_AWAY_SIZE 184 /* bytes of why a live source is away, terminator included */

/* A coded picture from a source that has them. Annex B for H.264 (parameter sets in band before
 * each IDR), a whole JPEG for MJPEG. */
struct packet {
	const uint8_t *data; /* borrowed until the callback returns */
	size_t len;
	int64_t capture_us; /* CLOCK_MONOTONIC when it was due; packets come in this order */
	/* When it is to be shown: at capture_us, or later where pictures are reordered. */
	int64_t pts_us;
	uint32_t duration_us; /* 0: not known */
	bool key;
};

/* Called on the source's own thread; must return quickly and never call back into the source, but
 * for frame_unref. */
struct source_events {
	/* A raw picture; the callee owns one reference (refs is 1). Where the source delivers coded
	 * pictures too, it comes on a thread of its own. */
	void (*frame)(void *user, struct frame *frame);
	/* A coded one. */
	void (*packet)(void *user, const struct packet *packet);
	/* The source is over or broken; no more pictures come. error: 0 (it has to be opened again,
	 * as another recording took its place), -ENODEV (unplugged)... `why` is for people. */
	void (*gone)(void *user, int error, const char *why);
	void *user;
	/* While source_open() waits for a live source, on the thread that called it, every half
	 * second; why: "", or why there is none yet, as source_away(). False: give up. May be NULL.
	 */
	bool (*waiting)(void *user, const char *why);
	struct program *program; /* of exec: (program.h), borrowed; else NULL */
};

/* Whether coded pictures are passed on, where the source has any of the right codec. */
enum source_coding {
	SOURCE_DECODE,	     /* no */
	SOURCE_COPY,	     /* yes */
	SOURCE_COPY_UPRIGHT, /* only if they need no turning, which a copy cannot do */
};

/* What a source delivers, known after source_open(). */
struct source_info {
	char name[64];		 /* "pattern", "libcamera:imx708", "file:/x.avi" */
	bool coded;		 /* packets */
	enum config_codec codec; /* if coded */
	/* If coded: what frames have while source_want_frames() asks for them: width, height, shape
	 * of a pixel, rate; they themselves say the rest. Width 0: there are none. */
	struct frame_format decoded;
	struct frame_format
		format; /* if not coded: the raw format; if coded: width, height, rate are filled */
	/* Coded pictures are to be turned as this says, which their bits may not state. */
	bool turned;
	struct orientation orientation; /* upright unless turned */
	bool rate_varies;		/* format.rate is the highest one */
	bool returns; /* it connects again by itself: its silence is no reason to begin again */
	uint32_t bitrate_bps; /* of coded pictures, on average; 0: not known */
	char allocator[64];   /* of the frame slots */
	char note[128];	      /* "adjusted from 1280x720 to 1296x972"... */
	/* Why it does not deliver the coded pictures that were wanted: "file:/x.mp4 holds hevc,
	 * which cannot be copied as h264". "": none were wanted, or it cannot have any. */
	char not_coded[128];
};

/*
 * Opens config->source. coding: whether a file with the right codec, or a camera that delivers
 * MJPEG, is to be passed on coded; else everything is decoded to frames. On failure -errno, a diag
 * line that says what to do, and the same text in why (256 bytes). Main thread of the worker.
 */
int source_open(struct source **out, const struct config_camera *config, enum source_coding coding,
		enum config_codec coded_codec, const struct source_events *events, char *why);
const struct source_info *source_info(const struct source *source);
/* The size of the newest picture, where coded pictures have another one than source_info() says;
 * else that. Any thread. */
void source_size(const struct source *source, uint32_t *width, uint32_t *height);
/* CLOCK_MONOTONIC us up to which the source waits for the time of its next picture, and is silent
 * because of that; 0: it does not know. Any thread. */
int64_t source_due_us(const struct source *source);
/* Whether there is no connection to a live source, or nothing useful comes, and why: in
 * why[SOURCE_AWAY_SIZE]. Any thread. */
bool source_away(struct source *source, char *why);
/* How many connections to a live source were lost. Any thread. */
uint32_t source_reconnects(const struct source *source);
/* Whether a source that delivers coded pictures is also to decode them. It begins at the next key
 * picture. Others ignore it. Main thread. */
void source_want_frames(struct source *source, bool wanted);
/* Starts delivering, paced by the clock or the camera. 0 or -errno. */
int source_start(struct source *source);
/* After it returns no callback runs; nothing to do if it did not start. Frames still referenced
 * stay valid until the source is closed.
 */
void source_stop(struct source *source);
/* Every frame must have been released. */
void source_close(struct source *source);
/* A control while running, friendly or libcamera's name, value as text. -ENOTSUP where the source
 * has none. */
int source_set_control(struct source *source, const char *name, const char *value);

/* For the implementations: warns about settings that the configuration has and this source, named
 * `what` ("the test pattern"), does nothing with: controls, a tuning file and, unless it turns its
 * pictures, hflip, vflip and rotation. One line, or none. */
void source_warn_ignored(const struct config_camera *config, const char *what, bool turns);

/* For the implementations: `orientation`, and then what the configuration asks for: hflip, vflip,
 * rotation. */
struct orientation source_orientation(struct orientation orientation,
				      const struct config_camera *config);

/* What each kind of source implements; source.c picks one from the configuration. */
struct source_ops {
	int (*open)(struct source **out, const struct config_camera *config,
		    enum source_coding coding, enum config_codec coded_codec,
		    const struct source_events *events, char *why);
	int (*start)(struct source *source);
	void (*stop)(struct source *source);
	void (*close)(struct source *source);
	int (*set_control)(struct source *source, const char *name,
			   const char *value);			 /* NULL: none */
	void (*want_frames)(struct source *source, bool wanted); /* NULL: it is not coded */
	bool (*away)(struct source *source, char *why);		 /* NULL: it is not live */
};

/* First member of every implementation's structure. */
struct source {
	const struct source_ops *ops;
	struct source_info info;
	struct source_events events;
	/* Written by the source's thread, read by any; relaxed: only numbers. */
	atomic_uint_fast64_t size; /* width << 32 | height; 0: as in info */
	atomic_int_fast64_t due_us;
	atomic_uint reconnects;
};

/* For implementations: what source_size() and source_due_us() say. width or height 0: not known. */
void source_set_size(struct source *source, uint32_t width, uint32_t height);
void source_set_due(struct source *source, int64_t due_us);
/* A connection that had delivered pictures is over. */
void source_count_reconnect(struct source *source);

extern const struct source_ops source_pattern, source_file, source_libcamera, source_live;

#endif
