/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One stream between test frames and a test camcastd, and the encoders that it uses: the rig plays
 * all of them, in the place of src/capture/encode's. The test's thread gives the frames; the
 * encoders work on the stream's thread.
 */
#ifndef TESTS_UNIT_STREAM_RIG_H
#define TESTS_UNIT_STREAM_RIG_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "camcast/worker.h"
#include "capture/encode/encoder.h"
#include "capture/encode/stream.h"

#define PATIENCE_S 20 /* for what must happen */

/* --- encoders --- */

enum { V4L2, OPENH264, X264, MJPEG, KINDS };

/* What the build takes for software, and the other one. */
#define SOFTWARE (ENCODER_SOFTWARE_DEFAULT == CONFIG_ENCODER_X264 ? X264 : OPENH264)
#define OTHER (SOFTWARE == X264 ? OPENH264 : X264)

/* An IDR and a P picture that the H.264 encoders make, and the picture of the MJPEG encoder. */
extern const uint8_t idr_unit[53], p_unit[12], jpeg_unit[7];

extern pthread_mutex_t fakes_lock;
extern pthread_cond_t fakes_changed;

/* The behaviour that the encoders play, and what they did; under `fakes_lock`. */
struct fake_encoder {
	int create_error;
	bool asynchronous, silent, refuses, closed_gate, closed_destroy_gate;
	unsigned ignores_force; /* times */
	unsigned fail_after;	/* encodes; 0: never */
	const char *detail;
	unsigned creates, destroys, encodes, forced, entered;
	uint32_t bitrate_bps;
};
extern struct fake_encoder fakes[KINDS];

/* To be called under `fakes_lock` after a change of what the encoders or WAIT_UNTIL() wait for. */
void fakes_signal(void);

/* The name of X264 or OPENH264. */
const char *name_of(int kind);

/* Waits until condition holds, under `fakes_lock`; that it never does is a failure. */
#define WAIT_UNTIL(condition)                                                                      \
	do {                                                                                       \
		struct timespec until_;                                                            \
		int r_ = 0;                                                                        \
                                                                                                   \
		clock_gettime(CLOCK_REALTIME, &until_);                                            \
		until_.tv_sec += PATIENCE_S;                                                       \
		pthread_mutex_lock(&fakes_lock);                                                   \
		while (!(condition) && r_ == 0)                                                    \
			r_ = pthread_cond_timedwait(&fakes_changed, &fakes_lock, &until_);         \
		pthread_mutex_unlock(&fakes_lock);                                                 \
		assert_int_equal(r_, 0);                                                           \
	} while (0)

/* --- one stream between test frames and a test camcastd --- */

struct stream_rig {
	struct config config;
	struct config_stream stream_config;
	struct config_feed feeds[2]; /* one of them, unless the test says otherwise */
	struct source_info info;
	struct stream *stream;
	int pair[2], notify_fd;
	struct frame frames[400];
	unsigned next_frame;
	unsigned released; /* under `fakes_lock` */
};

/* setup and teardown of cmocka: a stream of H.264 that has not started, and no hardware encoder.
 * The test may change the configuration before start(). */
int stream_setup(void **state);
/* Fails where a frame did not come back, or an encoder is open. */
int stream_teardown(void **state);
#define CASE(name) cmocka_unit_test_setup_teardown(name, stream_setup, stream_teardown)

void start(struct stream_rig *s);

/* As capture.c does: the source's reference is given back after the streams took theirs. */
void give_frame(struct stream_rig *s);
/* Frames that come while a failed encoder is being closed are dropped: until one is not. */
void give_frame_after_closing(struct stream_rig *s);

/* The next unit; an fd that comes with it is closed. */
struct camcast_msg_unit receive_unit(struct stream_rig *s);
bool next_is_key(struct stream_rig *s);
void assert_no_unit(struct stream_rig *s);

struct camcast_msg_stream status(struct stream_rig *s);
/* A unit is counted after it is sent. */
void wait_for_units(struct stream_rig *s, uint64_t n);
/* Of the status: every one is notified. */
void wait_for_change(struct stream_rig *s);
void wait_for_encoder(struct stream_rig *s, const char *name);

#endif
