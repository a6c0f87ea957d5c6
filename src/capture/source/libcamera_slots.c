/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/libcamera_slots.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/diag.h"

#define TRIAL_US 1500000 /* for the first picture; a cold sensor takes half a second */

/* --- whether pictures come --- */

struct trial {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	enum camera_frame_status status;
	bool done;
};

static void trial_frame(void *user, const struct camera_frame *frame)
{
	struct trial *trial = user;

	pthread_mutex_lock(&trial->lock);
	if (!trial->done)
		trial->status = frame->status;
	trial->done = true;
	pthread_cond_signal(&trial->wake);
	pthread_mutex_unlock(&trial->lock);
}

static bool wait_for_first(struct trial *trial)
{
	const int64_t end_us = clock_now_us() + TRIAL_US;
	struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
	bool works;

	pthread_mutex_lock(&trial->lock);
	while (!trial->done && !pthread_cond_timedwait(&trial->wake, &trial->lock, &end))
		;
	works = trial->done && trial->status == CAMERA_FRAME_OK;
	pthread_mutex_unlock(&trial->lock);
	return works;
}

/* Whether pictures really land in imported buffers: libcamera queues them to the driver on a thread
 * of its own, so that a refusal shows in the first picture only. */
static bool pictures_come(struct camera *camera)
{
	struct trial trial = {.lock = PTHREAD_MUTEX_INITIALIZER};
	const struct camera_events events = {.frame = trial_frame, .user = &trial};
	pthread_condattr_t attr;
	bool works = false;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&trial.wake, &attr);
	pthread_condattr_destroy(&attr);
	if (!camera_start(camera, &events)) {
		works = wait_for_first(&trial);
		camera_stop(camera);
	}
	pthread_cond_destroy(&trial.wake);
	pthread_mutex_destroy(&trial.lock);
	return works;
}

/* --- the two kinds --- */

static int import_ring(struct camera *camera, const struct slot_ring *ring)
{
	int *fds = calloc(ring->n, sizeof(*fds));
	int r;

	if (!fds)
		return -ENOMEM;
	for (unsigned i = 0; i < ring->n; i++)
		fds[i] = ring->slots[i].fd;
	r = camera_import(camera, fds, ring->n);
	free(fds);
	return r;
}

/* One fd must hold all of a picture's planes, at the same places in every buffer. */
static int read_planes(struct camera *camera, unsigned buffer, struct frame_format *format,
		       struct slot *out)
{
	struct camera_plane planes[3];
	unsigned n;
	int r = camera_buffer(camera, buffer, planes, &n);

	if (r)
		return r;
	out->fd = planes[0].fd;
	out->size = 0;
	for (unsigned i = 0; i < n; i++) {
		const bool known = n == format->n_planes;

		if (planes[i].fd != planes[0].fd ||
		    (known && buffer && planes[i].offset != format->planes[i].offset))
			return -ENOTSUP;
		if (planes[i].offset + planes[i].length > out->size)
			out->size = planes[i].offset + planes[i].length;
		if (known)
			format->planes[i].offset = planes[i].offset;
	}
	return 0;
}

static int wrap_buffers(struct slot_ring **out, struct camera *camera,
			const struct camera_format *got, struct frame_format *format)
{
	struct slot slot = {0};
	unsigned n = 0;
	int *fds;
	int r = camera_allocate(camera, &n);

	if (r)
		return r;
	fds = calloc(n, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		r = read_planes(camera, i, format, &slot);
		if (r)
			goto free_fds;
		fds[i] = slot.fd;
	}
	r = slot_ring_wrap(out, "libcamera", fds, n, slot.size > got->size ? slot.size : got->size);

free_fds:
	free(fds);
	return r;
}

static uint32_t slot_size(const struct camera_format *got, const struct frame_format *format)
{
	const uint32_t size = format->n_planes ? frame_format_slot_size(format) : got->size;

	return size > got->size ? size : got->size;
}

int libcamera_make_slots(struct slot_ring **out, struct camera *camera, const char *name,
			 const char *allocator, const struct camera_format *got,
			 struct frame_format *format)
{
	const bool any = strcmp(allocator, "auto") == 0;
	struct frame_format wrapped = *format;
	struct slot_ring *ring;
	int r;

	if (strcmp(allocator, "libcamera") == 0)
		return wrap_buffers(out, camera, got, format);
	r = slot_ring_create_for(&ring, name, allocator, got->buffers, slot_size(got, format));
	if (r)
		return r;
	r = import_ring(camera, ring);
	if (!r && (!any || (ring->dmabuf && pictures_come(camera))))
		goto done;
	if (!any)
		goto destroy_ring;
	r = wrap_buffers(out, camera, got, &wrapped);
	if (!r) {
		*format = wrapped;
		slot_ring_destroy(ring);
		return 0;
	}
	if (r == -ENODEV) /* unplugged: other memory would not help */
		goto destroy_ring;
	diag_info("camera %s: no dmabufs from libcamera either: %s", name, camera_error());
	r = import_ring(camera, ring);
	if (!r && !pictures_come(camera))
		r = -ENOTSUP;
	if (r)
		goto destroy_ring;

done:
	*out = ring;
	return 0;

destroy_ring:
	slot_ring_destroy(ring);
	return r;
}
