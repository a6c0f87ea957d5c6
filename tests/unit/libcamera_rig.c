/* SPDX-License-Identifier: BSD-2-Clause */
#include "libcamera_rig.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

/* --- the camera that is played --- */

struct fake_camera fake;

int camera_manager_open(struct camera_manager **out)
{
	*out = (struct camera_manager *)(void *)&fake;
	return 0;
}

void camera_manager_close(struct camera_manager *manager)
{
	(void)manager;
}

int camera_manager_print(struct camera_manager *manager, FILE *out)
{
	(void)manager;
	(void)out;
	return 0;
}

const char *camera_error(void)
{
	return "";
}

int camera_open(struct camera **out, struct camera_manager *manager, const char *id)
{
	(void)manager;
	(void)id;
	*out = (struct camera *)(void *)&fake;
	return fake.open_error;
}

void camera_close(struct camera *camera)
{
	if (camera)
		assert_false(fake.started);
}

const char *camera_id(const struct camera *camera)
{
	(void)camera;
	return "fake0";
}

const char *camera_model(const struct camera *camera)
{
	(void)camera;
	return "fake";
}

int camera_configure(struct camera *camera, const struct camera_request *request,
		     struct camera_format *got)
{
	bool jpeg;

	(void)camera;
	/* It cannot turn its pictures, as USB cameras. */
	*got = (struct camera_format){.width = WIDTH,
				      .height = HEIGHT,
				      .buffers = BUFFERS,
				      .cannot_flip = request->hflip || request->vflip};
	for (unsigned i = 0; i < request->n_fourccs && !got->fourcc; i++)
		if (request->fourccs[i] == fake.fourcc ||
		    (fake.also && request->fourccs[i] == *fake.also))
			got->fourcc = request->fourccs[i];
	if (!got->fourcc)
		return -ENOTSUP;
	jpeg = got->fourcc == CAMERA_FOURCC_MJPEG;
	got->stride = jpeg ? 0 : got->fourcc == FRAME_YUYV ? 2 * WIDTH : WIDTH;
	got->size = jpeg ? SIZE : got->stride * HEIGHT * 3 / 2;
	return 0;
}

int camera_import(struct camera *camera, const int *fds, unsigned n)
{
	(void)camera;
	assert_int_equal(n, BUFFERS);
	memcpy(fake.fds, fds, sizeof(fake.fds));
	fake.imported = true;
	return fake.import_error;
}

int camera_allocate(struct camera *camera, unsigned *n)
{
	static int own[BUFFERS];

	(void)camera;
	if (fake.allocate_error)
		return fake.allocate_error;
	for (unsigned i = 0; i < BUFFERS; i++) {
		if (!own[i]) {
			own[i] = memfd_create("camera", MFD_CLOEXEC);
			assert_int_equal(ftruncate(own[i], SIZE), 0);
		}
		fake.fds[i] = own[i];
	}
	fake.imported = false;
	*n = BUFFERS;
	return 0;
}

int camera_buffer(struct camera *camera, unsigned index, struct camera_plane planes[3],
		  unsigned *n_planes)
{
	(void)camera;
	/* NV12 with a hole between its planes */
	planes[0] = (struct camera_plane){fake.fds[index], 0, WIDTH * HEIGHT};
	planes[1] = (struct camera_plane){fake.fds[index], 8192, WIDTH * HEIGHT / 2};
	*n_planes = 2;
	return 0;
}

bool camera_has_control(const struct camera *camera, const char *name)
{
	(void)camera;
	return strcmp(name, "Brightness") == 0 || strcmp(name, "FrameDurationLimits") == 0;
}

int camera_set_control(struct camera *camera, const char *name, const char *value)
{
	size_t len = strlen(fake.controls);

	if (!camera_has_control(camera, name))
		return -ENOENT;
	snprintf(fake.controls + len, sizeof(fake.controls) - len, "%s=%s ", name, value);
	return 0;
}

void camera_control_names(const struct camera *camera, char *out, size_t size)
{
	(void)camera;
	snprintf(out, size, "Brightness FrameDurationLimits");
}

int camera_crop_area(const struct camera *camera, int32_t crop[4])
{
	(void)camera;
	(void)crop;
	return -ENOENT;
}

bool complete(enum camera_frame_status status, uint32_t bytes_used)
{
	static unsigned next;
	struct camera_frame frame = {.status = status, .bytes_used = bytes_used};
	struct camera_events events;

	pthread_mutex_lock(&fake.lock);
	while (fake.started && !fake.n_queued)
		pthread_cond_wait(&fake.changed, &fake.lock);
	if (!fake.started) {
		pthread_mutex_unlock(&fake.lock);
		return false;
	}
	while (!fake.queued[next % BUFFERS])
		next++;
	frame.index = next++ % BUFFERS;
	fake.queued[frame.index] = false;
	fake.n_queued--;
	frame.sequence = fake.sequence++;
	fake.clock_us += fake.step_us;
	frame.sensor_us = fake.plays_by_itself ? clock_now_us() : fake.clock_us;
	events = fake.events;
	pthread_mutex_unlock(&fake.lock);
	events.frame(events.user, &frame);
	return true;
}

static void *play(void *arg)
{
	(void)arg;
	while (complete(
		fake.imported && fake.ignores_imports ? CAMERA_FRAME_ERROR : CAMERA_FRAME_OK, 0))
		;
	return NULL;
}

int camera_start(struct camera *camera, const struct camera_events *events)
{
	(void)camera;
	pthread_mutex_lock(&fake.lock);
	fake.events = *events;
	fake.started = true;
	fake.starts++;
	for (unsigned i = 0; i < BUFFERS; i++)
		fake.queued[i] = true;
	fake.n_queued = BUFFERS;
	pthread_mutex_unlock(&fake.lock);
	if (fake.plays_by_itself)
		assert_int_equal(pthread_create(&fake.thread, NULL, play, NULL), 0);
	return 0;
}

int camera_requeue(struct camera *camera, unsigned index)
{
	int r = -ESHUTDOWN;

	(void)camera;
	pthread_mutex_lock(&fake.lock);
	if (fake.started) {
		assert_false(fake.queued[index]);
		fake.queued[index] = true;
		fake.n_queued++;
		fake.requeues++;
		r = 0;
	}
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
	return r;
}

void camera_stop(struct camera *camera)
{
	(void)camera;
	pthread_mutex_lock(&fake.lock);
	fake.started = false;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
	if (fake.plays_by_itself)
		pthread_join(fake.thread, NULL);
}

/* --- what the source makes of it --- */

struct seen seen;

static void handle_frame(void *user, struct frame *frame)
{
	(void)user;
	pthread_mutex_lock(&seen.lock);
	seen.frames++;
	if (seen.n_kept < seen.keep) {
		seen.kept[seen.n_kept++] = frame;
		frame = NULL;
	}
	pthread_cond_broadcast(&seen.changed);
	pthread_mutex_unlock(&seen.lock);
	if (frame)
		frame_unref(frame);
}

static void handle_packet(void *user, const struct packet *packet)
{
	(void)user;
	pthread_mutex_lock(&seen.lock);
	seen.packets++;
	assert_true(packet->key && packet->len <= SIZE);
	memcpy(seen.packet, packet->data, packet->len);
	seen.packet_len = packet->len;
	pthread_cond_broadcast(&seen.changed);
	pthread_mutex_unlock(&seen.lock);
}

static void handle_gone(void *user, int error, const char *reason)
{
	(void)user;
	pthread_mutex_lock(&seen.lock);
	assert_true(strlen(reason) > 0);
	seen.gone = true;
	seen.error = error;
	pthread_cond_broadcast(&seen.changed);
	pthread_mutex_unlock(&seen.lock);
}

struct source *source;
uint32_t framerate;
bool vflip;
char why[256];

int open_source(const char *allocator, bool want_coded, struct config_control *controls,
		size_t n_controls)
{
	const struct config_camera config = {
		.name = "test",
		.source = (char *)(uintptr_t) "libcamera",
		.size = {WIDTH, HEIGHT},
		.framerate = {framerate, 1},
		.buffers = BUFFERS,
		.allocator = (char *)(uintptr_t)allocator,
		.vflip = vflip,
		.controls = controls,
		.n_controls = n_controls,
	};
	const struct source_events events = {
		.frame = handle_frame, .packet = handle_packet, .gone = handle_gone};

	return source_open(&source, &config, want_coded ? SOURCE_COPY : SOURCE_DECODE,
			   CONFIG_CODEC_MJPEG, &events, why);
}

int reset(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&seen, 0, sizeof(seen));
	pthread_mutex_init(&fake.lock, NULL);
	pthread_cond_init(&fake.changed, NULL);
	pthread_mutex_init(&seen.lock, NULL);
	pthread_cond_init(&seen.changed, NULL);
	framerate = 50;
	vflip = false;
	fake.fourcc = FRAME_NV12;
	fake.step_us = 20000;
	fake.clock_us = 1000000;
	return 0;
}

void start(const char *allocator)
{
	assert_int_equal(open_source(allocator, false, NULL, 0), 0);
	assert_int_equal(source_start(source), 0);
}

void finish(void)
{
	source_stop(source);
	source_close(source);
}
