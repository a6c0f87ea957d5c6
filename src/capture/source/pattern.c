/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The test pattern as a source: drawn in the slots themselves, paced by deadlines counted from the
 * start, so that it neither drifts nor gathers delay. A picture that is due while every slot is in
 * use, or while the machine was busy elsewhere, is left out and its number with it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "capture/source/pattern_draw.h"
#include "capture/source/source.h"

struct pattern_frame {
	struct frame frame; /* first member: release() finds its way back */
	uint8_t *map;
	atomic_bool busy; /* release stores false (release), the thread reads it (acquire) */
};

struct pattern_source {
	struct source base;
	struct pattern *pattern;
	struct slot_ring *ring;
	struct pattern_frame *frames; /* one per slot */
	int timer_fd, stop_fd;
	pthread_t thread;
	bool running;
};

static void release_frame(struct frame *frame)
{
	struct pattern_frame *f = (struct pattern_frame *)frame;

	atomic_store_explicit(&f->busy, false, memory_order_release);
}

/* Nanoseconds from the start to picture n; no overflow for as long as n lasts. */
static int64_t due_ns(struct rate rate, uint64_t n)
{
	uint64_t seconds = n / rate.num * rate.den;
	uint64_t rest = n % rate.num * rate.den;

	return (int64_t)((seconds + rest / rate.num) * 1000000000u +
			 rest % rate.num * 1000000000u / rate.num);
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* False when the source is stopped, or when waiting fails. */
static bool wait_until(struct pattern_source *source, int64_t deadline_ns)
{
	struct itimerspec when = {.it_value = {.tv_sec = deadline_ns / 1000000000,
					       .tv_nsec = deadline_ns % 1000000000}};
	struct pollfd fds[2] = {{.fd = source->timer_fd, .events = POLLIN},
				{.fd = source->stop_fd, .events = POLLIN}};

	if (timerfd_settime(source->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		return false;
	while (poll(fds, 2, -1) < 0) {
		if (errno != EINTR)
			return false;
	}
	return !fds[1].revents;
}

static struct pattern_frame *free_frame(struct pattern_source *source)
{
	for (unsigned i = 0; i < source->ring->n; i++) {
		if (!atomic_load_explicit(&source->frames[i].busy, memory_order_acquire))
			return &source->frames[i];
	}
	return NULL;
}

static int draw(struct pattern_source *source, struct pattern_frame *f, uint64_t number,
		int64_t deadline_ns)
{
	int64_t utc_us = (now_ns(CLOCK_REALTIME) - (now_ns(CLOCK_MONOTONIC) - deadline_ns)) / 1000;
	int r;

	r = slot_begin_access(source->ring, f->frame.slot, true);
	if (r < 0)
		return r;
	pattern_draw(source->pattern, f->map, number, utc_us);
	return slot_end_access(source->ring, f->frame.slot, true);
}

static void *run(void *arg)
{
	struct pattern_source *source = arg;
	struct rate rate = source->base.info.format.rate;
	int64_t start_ns = now_ns(CLOCK_MONOTONIC);
	uint64_t number = 0;

	pthread_setname_np(pthread_self(), "pattern");
	while (wait_until(source, start_ns + due_ns(rate, number))) {
		int64_t late_ns = now_ns(CLOCK_MONOTONIC) - start_ns;
		struct pattern_frame *f;
		int r;

		/* Late by whole pictures: go on with the one that is due now. */
		while (due_ns(rate, number + 1) <= late_ns)
			number++;
		f = free_frame(source);
		if (f) {
			int64_t deadline_ns = start_ns + due_ns(rate, number);

			r = draw(source, f, number, deadline_ns);
			if (r < 0) {
				source->base.events.gone(source->base.events.user, r,
							 "a frame slot could not be accessed");
				break;
			}
			atomic_store_explicit(&f->busy, true, memory_order_relaxed);
			atomic_store_explicit(&f->frame.refs, 1, memory_order_relaxed);
			f->frame.sequence = number;
			f->frame.capture_us = deadline_ns / 1000;
			source->base.events.frame(source->base.events.user, &f->frame);
		}
		number++;
	}
	return NULL;
}

static void pattern_close(struct source *base)
{
	struct pattern_source *source = (struct pattern_source *)base;

	if (source->timer_fd >= 0)
		close(source->timer_fd);
	if (source->stop_fd >= 0)
		close(source->stop_fd);
	free(source->frames);
	slot_ring_destroy(source->ring);
	pattern_destroy(source->pattern);
	free(source);
}

static int map_slots(struct pattern_source *source)
{
	source->frames = calloc(source->ring->n, sizeof(*source->frames));
	if (!source->frames)
		return -ENOMEM;
	for (unsigned i = 0; i < source->ring->n; i++) {
		struct pattern_frame *f = &source->frames[i];
		int r = slot_map(source->ring, i, true, &f->map);

		if (r < 0)
			return r;
		f->frame.format = &source->base.info.format;
		f->frame.ring = source->ring;
		f->frame.slot = i;
		f->frame.release = release_frame;
		f->frame.source = source;
	}
	return 0;
}

static int pattern_open(struct source **out, const struct config_camera *config,
			enum source_coding coding, enum config_codec coded_codec,
			const struct source_events *events, char *why)
{
	struct pattern_source *source = calloc(1, sizeof(*source));
	struct source_info *info;
	const char *what = "out of memory";
	int r;

	(void)coding; /* it has none: source_info.coded says so */
	(void)coded_codec;
	if (!source) {
		r = -ENOMEM;
		goto fail;
	}
	source->base.ops = &source_pattern;
	source->base.events = *events;
	source->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	source->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (source->timer_fd < 0 || source->stop_fd < 0) {
		r = -errno;
		what = "no file descriptor for its timer";
		goto close_source;
	}

	info = &source->base.info;
	snprintf(info->name, sizeof(info->name), "pattern");
	info->format.fourcc = FRAME_I420;
	info->format.width = config->size.width;
	info->format.height = config->size.height;
	info->format.rate = config->framerate;
	/* The colours that players assume where none are stated: ITU-T H.264 table E-5 leaves it
	 * open, and all take 601 for standard and 709 for high definition. */
	info->format.colour =
		config->size.height >= 720 ? FRAME_COLOUR_REC709 : FRAME_COLOUR_SMPTE170M;
	r = frame_format_layout(&info->format, 0);
	if (r < 0) {
		what = "no picture of that size (even numbers are wanted)";
		goto close_source;
	}
	r = pattern_create(&source->pattern, &info->format, config->name);
	if (r < 0)
		goto close_source;
	r = slot_ring_create_for(&source->ring, config->name, config->allocator, config->buffers,
				 frame_format_slot_size(&info->format));
	if (r < 0) {
		what = "no frame slots";
		goto close_source;
	}
	snprintf(info->allocator, sizeof(info->allocator), "%s", source->ring->allocator);
	r = map_slots(source);
	if (r < 0) {
		what = "frame slots cannot be mapped";
		goto close_source;
	}
	source_warn_ignored(config, "the test pattern", false);
	*out = &source->base;
	return 0;

close_source:
	pattern_close(&source->base);
fail:
	snprintf(why, 256, "pattern: %s: %s", what, strerror(-r));
	diag_error("camera %s: %s", config->name, why);
	return r;
}

static int pattern_start(struct source *base)
{
	struct pattern_source *source = (struct pattern_source *)base;
	int r = pthread_create(&source->thread, NULL, run, source);

	source->running = r == 0;
	return -r;
}

static void pattern_stop(struct source *base)
{
	struct pattern_source *source = (struct pattern_source *)base;

	if (!source->running)
		return;
	eventfd_write(source->stop_fd, 1);
	pthread_join(source->thread, NULL);
	source->running = false;
}

const struct source_ops source_pattern = {
	.open = pattern_open,
	.start = pattern_start,
	.stop = pattern_stop,
	.close = pattern_close,
};
