/* SPDX-License-Identifier: BSD-2-Clause */
/* A camera that the tests play: the rig defines all of wrapper/camera.h, so that libcamera itself
 * is not linked. And the libcamera source over it. */
#ifndef TESTS_UNIT_LIBCAMERA_RIG_H
#define TESTS_UNIT_LIBCAMERA_RIG_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "capture/source/source.h"
#include "wrapper/camera.h"

#define WIDTH 64
#define HEIGHT 48
#define BUFFERS 4
#define SIZE (1 << 16)

/* --- the camera that is played --- */

struct fake_camera {
	pthread_mutex_t lock;
	pthread_cond_t changed;

	/* set by the test */
	int open_error;
	uint32_t fourcc; /* the only one that it offers */
	const uint32_t *also;
	int import_error, allocate_error;
	bool ignores_imports; /* pictures in imported buffers come back as errors */
	bool plays_by_itself; /* as fast as buffers come, like libcamera's virtual camera */
	int64_t step_us;      /* between its pictures, by its own clock */

	/* what happened; guarded by lock */
	struct camera_events events;
	bool started, imported;
	bool queued[BUFFERS]; /* buffers that the camera may fill */
	unsigned n_queued, starts, requeues;
	uint32_t sequence;
	int64_t clock_us;
	char controls[512]; /* "Name=value " in order */
	int fds[BUFFERS];
	pthread_t thread;
};
extern struct fake_camera fake;

/* Completes the oldest buffer that the camera has; waits until it has one. False: stopped. */
bool complete(enum camera_frame_status status, uint32_t bytes_used);

/* --- what the source makes of it --- */

struct seen {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned frames, packets;
	struct frame *kept[BUFFERS];
	unsigned n_kept, keep;
	uint8_t packet[SIZE];
	size_t packet_len;
	bool gone;
	int error;
};
extern struct seen seen;

/* Waits on one of the two locks until the condition holds; at most 10 s. */
#define wait_for(side, condition)                                                                  \
	do {                                                                                       \
		struct timespec end_;                                                              \
                                                                                                   \
		clock_gettime(CLOCK_REALTIME, &end_);                                              \
		end_.tv_sec += 10;                                                                 \
		pthread_mutex_lock(&(side).lock);                                                  \
		while (!(condition))                                                               \
			assert_int_equal(                                                          \
				pthread_cond_timedwait(&(side).changed, &(side).lock, &end_), 0);  \
		pthread_mutex_unlock(&(side).lock);                                                \
	} while (0)

/* The source that was opened last, and why the last one did not open. */
extern struct source *source;
extern char why[256];
/* Of the camera that open_source() asks for. */
extern uint32_t framerate;
extern bool vflip;

/* Setup of cmocka: a camera that offers NV12, and 50 pictures a second. */
int reset(void **state);
/* As source_open(). */
int open_source(const char *allocator, bool want_coded, struct config_control *controls,
		size_t n_controls);
/* Opens and starts it; neither may fail. */
void start(const char *allocator);
/* Stops and closes it. */
void finish(void);

#endif
