/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A libcamera camera as a source. Its pictures land in a ring of slots that libcamera imports, or,
 * where it refuses that, in its own buffers. libcamera's thread queues what completed; the source's
 * thread delivers it. A slot goes back to the camera when the last encoder has let go of it, from
 * that encoder's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "capture/source/jpeg_input.h"
#include "capture/source/libcamera_controls.h"
#include "capture/source/libcamera_slots.h"
#include "capture/source/pacer.h"
#include "capture/source/source.h"
#include "wrapper/camera.h"

#define WHY_SIZE 256
#define SUBDEVS_MAX 16

/* Indexes of slots in order; room for all of them, so it cannot be full. */
struct slot_queue {
	unsigned *slots;
	unsigned head, n;
};

struct libcamera_source {
	struct source base;
	char camera_name[CONFIG_NAME_MAX];
	struct camera_manager *manager;
	struct camera *camera;
	struct slot_ring *ring;
	struct frame *frames; /* one per slot */
	struct pacer pacer;   /* the source's thread's */
	struct diag_limit error_limit;
	struct jpeg_input *jpeg; /* NULL: the camera delivers raw pictures */
	pthread_t thread;
	bool running;

	/* Below: guarded by lock, for libcamera's thread, the source's, and the encoders'. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct camera_frame *completed; /* by slot: what libcamera said of it last */
	struct slot_queue done;		/* completed, not yet looked at */
	struct slot_queue held;		/* to go back to an unpaced camera, one a period */
	bool throttle;
	bool stop, unplugged;
};

static void push(struct slot_queue *queue, unsigned size, unsigned slot)
{
	queue->slots[(queue->head + queue->n++) % size] = slot;
}

static unsigned pop(struct slot_queue *queue, unsigned size)
{
	unsigned slot = queue->slots[queue->head];

	queue->head = (queue->head + 1) % size;
	queue->n--;
	return slot;
}

/* --- libcamera's thread --- */

static void handle_frame(void *user, const struct camera_frame *frame)
{
	struct libcamera_source *source = user;
	const int64_t now_us = clock_now_us();

	pthread_mutex_lock(&source->lock);
	source->completed[frame->index] = *frame;
	/* The pacer and the streams' clocks never go back: a time ahead of ours, which drivers make
	 * up at times, would stop them. */
	if (frame->sensor_us > now_us)
		source->completed[frame->index].sensor_us = now_us;
	push(&source->done, source->ring->n, frame->index);
	pthread_cond_signal(&source->wake);
	pthread_mutex_unlock(&source->lock);
}

static void handle_gone(void *user)
{
	struct libcamera_source *source = user;

	pthread_mutex_lock(&source->lock);
	source->unplugged = true;
	pthread_cond_signal(&source->wake);
	pthread_mutex_unlock(&source->lock);
}

/* --- giving slots back: any thread --- */

static int give_back(struct libcamera_source *source, unsigned slot)
{
	bool hold;

	pthread_mutex_lock(&source->lock);
	hold = source->throttle && !source->stop;
	if (hold) {
		push(&source->held, source->ring->n, slot);
		pthread_cond_signal(&source->wake);
	}
	pthread_mutex_unlock(&source->lock);
	return hold ? 0 : camera_requeue(source->camera, slot);
}

static void release_frame(struct frame *frame)
{
	/* After the stop nothing takes it back, which is not an error. */
	give_back(frame->source, frame->slot);
}

/* --- the source's thread --- */

static void report_error(struct libcamera_source *source)
{
	uint64_t suppressed;

	if (diag_allowed(&source->error_limit, clock_now_us(), 10000000, &suppressed))
		diag_warn("camera %s: a picture was lost in the camera or on its bus (%llu more "
			  "since the last line)",
			  source->camera_name, (unsigned long long)suppressed);
}

static void deliver_jpeg(struct libcamera_source *source, const struct camera_frame *done)
{
	const uint32_t size = source->ring->slots[done->index].size;
	uint8_t *map;

	if (done->bytes_used > size || slot_map(source->ring, done->index, false, &map) ||
	    slot_begin_access(source->ring, done->index, false))
		return;
	/* A USB camera's transfer may have been cut. */
	if (jpeg_input_take(source->jpeg, map, done->bytes_used, done->sequence, done->sensor_us,
			    &source->base.events))
		report_error(source);
	slot_end_access(source->ring, done->index, false);
}

static void deliver_frame(struct libcamera_source *source, const struct camera_frame *done)
{
	struct frame *frame = &source->frames[done->index];

	frame->sequence = done->sequence;
	frame->capture_us = done->sensor_us;
	atomic_store_explicit(&frame->refs, 1, memory_order_relaxed);
	source->base.events.frame(source->base.events.user, frame);
}

/* Returns 0, or -errno when the camera takes its buffer back no more. */
static int handle_done(struct libcamera_source *source, const struct camera_frame *done)
{
	if (done->status != CAMERA_FRAME_OK) {
		report_error(source);
		return camera_requeue(source->camera, done->index);
	}

	const bool take = pacer_take(&source->pacer, done->sensor_us);
	if (source->pacer.throttle && !source->throttle) {
		diag_info("camera %s makes pictures without a pace of its own: it gets one buffer "
			  "per picture wanted",
			  source->camera_name);
		pthread_mutex_lock(&source->lock);
		source->throttle = true;
		pthread_mutex_unlock(&source->lock);
	}
	if (take && !source->jpeg) {
		deliver_frame(source, done);
		return 0;
	}
	if (take)
		deliver_jpeg(source, done);
	return give_back(source, done->index);
}

static void wait_until(struct libcamera_source *source, int64_t at_us)
{
	struct timespec at = {.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};

	pthread_cond_timedwait(&source->wake, &source->lock, &at);
}

/* Ends when stopped, or after `gone`. */
static void *run(void *arg)
{
	struct libcamera_source *source = arg;
	const unsigned size = source->ring->n;
	int64_t release_us = 0; /* when the next held slot goes back */
	int r = 0;

	pthread_setname_np(pthread_self(), "camera");
	pthread_mutex_lock(&source->lock);
	while (!source->stop && !source->unplugged && !r) {
		if (source->done.n) {
			struct camera_frame done = source->completed[pop(&source->done, size)];

			pthread_mutex_unlock(&source->lock);
			r = handle_done(source, &done);
			pthread_mutex_lock(&source->lock);
		} else if (!source->held.n) {
			pthread_cond_wait(&source->wake, &source->lock);
		} else if (clock_now_us() < release_us) {
			wait_until(source, release_us);
		} else {
			const int64_t now_us = clock_now_us(), period_us = source->pacer.period_us;
			const unsigned slot = pop(&source->held, size);

			/* No bursts after a pause. */
			if (release_us < now_us - period_us)
				release_us = now_us;
			release_us += period_us;
			pthread_mutex_unlock(&source->lock);
			r = camera_requeue(source->camera, slot);
			pthread_mutex_lock(&source->lock);
		}
	}
	if (source->stop)
		r = 0;
	else if (source->unplugged)
		r = -ENODEV;
	pthread_mutex_unlock(&source->lock);
	if (r)
		source->base.events.gone(source->base.events.user, r,
					 r == -ENODEV ? "the camera was unplugged"
						      : "the camera stopped and takes no buffers");
	return NULL;
}

/* --- controls --- */

static bool camera_has(void *user, const char *control)
{
	return camera_has_control(user, control);
}

/* Returns 0 or -errno, then with a text in why. */
static int set_control(struct libcamera_source *source, const char *name, const char *value,
		       bool raw, char *why)
{
	int32_t area[4];
	struct libcamera_view view = {.has = camera_has, .user = source->camera};
	struct libcamera_setting settings[LIBCAMERA_SETTINGS_MAX];
	int n = -ENOENT;

	if (!camera_crop_area(source->camera, area))
		view.area = area;
	if (!raw)
		n = libcamera_translate(name, value, &view, settings);
	if (n == -ENOENT) {
		settings[0].name = name;
		if ((size_t)snprintf(settings[0].value, sizeof(settings[0].value), "%s", value) >=
		    sizeof(settings[0].value))
			n = -EINVAL;
		else
			n = 1;
	}
	if (n < 0) {
		snprintf(why, WHY_SIZE, "%s = %.64s: %s", name, value,
			 n == -ENOTSUP ? "the camera does not tell the area of its sensor"
				       : "not a value that this control takes");
		return n;
	}
	for (int i = 0; i < n; i++) {
		int r = camera_set_control(source->camera, settings[i].name, settings[i].value);

		if (r) {
			snprintf(why, WHY_SIZE, "%s = %.64s: %.160s", name, value, camera_error());
			return r;
		}
	}
	return 0;
}

static void set_framerate(struct libcamera_source *source, struct rate rate)
{
	char limits[64];
	const unsigned us = (unsigned)((uint64_t)1000000 * rate.den / rate.num);

	if (!camera_has_control(source->camera, "FrameDurationLimits"))
		return;
	snprintf(limits, sizeof(limits), "%u,%u", us, us);
	if (camera_set_control(source->camera, "FrameDurationLimits", limits))
		diag_warn("camera %s: framerate: %s", source->camera_name, camera_error());
}

/* A control that does not take is no reason to have no picture: one line says which are lacking and
 * what there is, one line each what is wrong with the others. */
static void set_controls(struct libcamera_source *source, const struct config_camera *config)
{
	char lacking[256] = "", names[600], why[WHY_SIZE];
	size_t len = 0;

	set_framerate(source, config->framerate);
	for (size_t i = 0; i < config->n_controls; i++) {
		const struct config_control *control = &config->controls[i];
		int r = set_control(source, control->name, control->value, control->raw, why);

		if (r == -ENOENT && len < sizeof(lacking))
			len += (size_t)snprintf(lacking + len, sizeof(lacking) - len, "%s%s",
						len ? ", " : "", control->name);
		else if (r)
			diag_warn("camera %s: line %d: %s", config->name, control->line, why);
	}
	if (len) {
		camera_control_names(source->camera, names, sizeof(names));
		diag_warn("camera %s: the camera has no control for: %s; libcamera's controls "
			  "that it has: %s",
			  config->name, lacking, names);
	}
}

/* --- opening --- */

static const char *find_control(const struct config_camera *config, const char *name)
{
	const char *value = "";

	for (size_t i = 0; i < config->n_controls; i++)
		if (!config->controls[i].raw && strcmp(config->controls[i].name, name) == 0)
			value = config->controls[i].value;
	return value;
}

/* `hdr = sensor`: a control of the sensor's own driver (imx708), which has to be set before
 * libcamera reads the sensor's modes. */
static void set_sensor_hdr(const struct config_camera *config)
{
	bool found = false;

	for (int i = 0; i < SUBDEVS_MAX && !found; i++) {
		struct v4l2_control control = {.id = V4L2_CID_WIDE_DYNAMIC_RANGE, .value = 1};
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/dev/v4l-subdev%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		found = ioctl(fd, VIDIOC_S_CTRL, &control) == 0;
		close(fd);
	}
	if (!found)
		diag_warn("camera %s: hdr = sensor: no sensor here has such a mode", config->name);
}

/* What libcamera reads from its environment when it starts. */
static void set_environment(const struct config_camera *config)
{
	if (config->tuning_file && *config->tuning_file)
		setenv("LIBCAMERA_RPI_TUNING_FILE", config->tuning_file, 1);
	if (strcmp(find_control(config, "hdr"), "sensor") == 0)
		set_sensor_hdr(config);
}

static void fill_format(struct frame_format *format, const struct camera_format *got,
			struct rate rate)
{
	static const enum frame_colour colours[] = {FRAME_COLOUR_UNKNOWN, FRAME_COLOUR_SMPTE170M,
						    FRAME_COLOUR_REC709, FRAME_COLOUR_JPEG,
						    FRAME_COLOUR_BT2020};

	format->fourcc = got->fourcc;
	format->width = got->width;
	format->height = got->height;
	format->colour = colours[got->colour];
	format->full_range = got->full_range;
	format->rate = rate;
}

/* Bytes a second that USB 2 carries of packed pictures; a camera would give fewer pictures. */
#define USB2_BYTES_PER_S 24000000u

/* What to ask the camera for, best first. I420 suits every encoder without conversion; USB cameras
 * have the last two only, and at larger sizes are fast in JPEG alone. */
static const uint32_t *choose_fourccs(const struct config_camera *config, bool want_mjpeg)
{
	static const uint32_t as_coded[] = {CAMERA_FOURCC_MJPEG, FRAME_I420, FRAME_NV12,
					    FRAME_YUYV};
	static const uint32_t raw[] = {FRAME_I420, FRAME_NV12, FRAME_YUYV, CAMERA_FOURCC_MJPEG};
	static const uint32_t fast[] = {FRAME_I420, FRAME_NV12, CAMERA_FOURCC_MJPEG, FRAME_YUYV};
	const uint64_t packed = (uint64_t)2 * config->size.width * config->size.height *
				config->framerate.num / config->framerate.den;

	return want_mjpeg ? as_coded : packed > USB2_BYTES_PER_S ? fast : raw;
}

static int configure(struct libcamera_source *source, const struct config_camera *config,
		     bool want_mjpeg, struct camera_format *got)
{
	const bool half_turn = config->rotation == 180;
	struct camera_request request = {
		.width = config->size.width,
		.height = config->size.height,
		.fourccs = choose_fourccs(config, want_mjpeg),
		.n_fourccs = 4,
		.buffers = config->buffers,
		.hflip = config->hflip != half_turn,
		.vflip = config->vflip != half_turn,
	};
	struct source_info *info = &source->base.info;
	int r = camera_configure(source->camera, &request, got);

	if (r)
		return r;
	info->coded = got->fourcc == CAMERA_FOURCC_MJPEG && want_mjpeg;
	info->codec = CONFIG_CODEC_MJPEG;
	fill_format(&info->format, got, config->framerate);
	if (got->fourcc != CAMERA_FOURCC_MJPEG) {
		r = frame_format_layout(&info->format, got->stride);
		if (r)
			return r;
	}
	if (got->width != request.width || got->height != request.height) {
		snprintf(info->note, sizeof(info->note), "adjusted from %ux%u to %ux%u",
			 request.width, request.height, got->width, got->height);
		diag_warn("camera %s: the camera gives %ux%u instead of %ux%u; `--list-cameras` "
			  "shows its sizes",
			  config->name, got->width, got->height, request.width, request.height);
	}
	/* JPEGs that are decoded here are turned on the way. */
	if (got->cannot_flip && (got->fourcc != CAMERA_FOURCC_MJPEG || info->coded))
		diag_warn("camera %s: the camera cannot flip or turn its pictures%s", config->name,
			  info->coded
				  ? ", and a copied stream cannot be turned; one that is encoded is"
				  : "");
	return 0;
}

static void init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

static int make_frames(struct libcamera_source *source)
{
	const unsigned n = source->ring->n;

	source->frames = calloc(n, sizeof(*source->frames));
	source->completed = calloc(n, sizeof(*source->completed));
	source->done.slots = calloc(n, sizeof(*source->done.slots));
	source->held.slots = calloc(n, sizeof(*source->held.slots));
	if (!source->frames || !source->completed || !source->done.slots || !source->held.slots)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		source->frames[i] = (struct frame){
			.format = &source->base.info.format,
			.ring = source->ring,
			.slot = i,
			.release = release_frame,
			.source = source,
		};
	return 0;
}

static void libcamera_close(struct source *base)
{
	struct libcamera_source *source = (struct libcamera_source *)base;

	camera_close(source->camera);
	camera_manager_close(source->manager);
	jpeg_input_destroy(source->jpeg);
	slot_ring_destroy(source->ring);
	free(source->frames);
	free(source->completed);
	free(source->done.slots);
	free(source->held.slots);
	pthread_cond_destroy(&source->wake);
	pthread_mutex_destroy(&source->lock);
	free(source);
}

static int open_camera(struct libcamera_source *source, const struct config_camera *config,
		       bool want_mjpeg, char *why)
{
	const char *colon = strchr(config->source, ':');
	struct source_info *info = &source->base.info;
	struct camera_format got;
	const char *model;
	int r;

	r = camera_manager_open(&source->manager);
	if (r)
		return r;
	r = camera_open(&source->camera, source->manager, colon ? colon + 1 : "");
	if (r)
		return r;
	model = camera_model(source->camera);
	snprintf(info->name, sizeof(info->name), "libcamera:%s",
		 *model ? model : camera_id(source->camera));
	r = configure(source, config, want_mjpeg, &got);
	if (r)
		return r;
	r = libcamera_make_slots(&source->ring, source->camera, config->name, config->allocator,
				 &got, &info->format);
	if (r)
		return r;
	snprintf(info->allocator, sizeof(info->allocator), "%s", source->ring->allocator);
	set_controls(source, config);
	r = make_frames(source);
	if (!r && got.fourcc == CAMERA_FOURCC_MJPEG)
		r = jpeg_input_create(&source->jpeg, source->ring->slots[0].size, config,
				      got.cannot_flip
					      ? source_orientation((struct orientation){0}, config)
					      : (struct orientation){0},
				      &source->base.events, info, why);
	return r;
}

static int libcamera_open(struct source **out, const struct config_camera *config,
			  enum source_coding coding, enum config_codec coded_codec,
			  const struct source_events *events, char *why)
{
	struct libcamera_source *source = calloc(1, sizeof(*source));
	const bool copies =
		coding == SOURCE_COPY ||
		(coding == SOURCE_COPY_UPRIGHT &&
		 orientation_is_upright(source_orientation((struct orientation){0}, config)));
	int r;

	if (!source) {
		snprintf(why, WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	source->base.ops = &source_libcamera;
	source->base.events = *events;
	snprintf(source->camera_name, sizeof(source->camera_name), "%s", config->name);
	pthread_mutex_init(&source->lock, NULL);
	init_cond(&source->wake);

	set_environment(config);
	*why = '\0';
	r = open_camera(source, config, copies && coded_codec == CONFIG_CODEC_MJPEG, why);
	if (r) {
		const char *text = camera_error();

		if (!*why)
			snprintf(why, WHY_SIZE, "libcamera: %.200s", *text ? text : strerror(-r));
		/* Of `auto`, which goes on without a camera, this is no error. */
		if (r != -ENODEV || strcmp(config->source, "auto") != 0)
			diag_error("camera %s: %s", config->name, why);
		libcamera_close(&source->base);
		return r;
	}
	*out = &source->base;
	return 0;
}

/* --- running --- */

static void stop_thread(struct libcamera_source *source)
{
	pthread_mutex_lock(&source->lock);
	source->stop = true;
	pthread_cond_signal(&source->wake);
	pthread_mutex_unlock(&source->lock);
	pthread_join(source->thread, NULL);
	source->running = false;
}

static int libcamera_start(struct source *base)
{
	struct libcamera_source *source = (struct libcamera_source *)base;
	const struct camera_events events = {
		.frame = handle_frame,
		.gone = handle_gone,
		.user = source,
	};
	int r;

	pacer_init(&source->pacer, source->base.info.format.rate);
	source->done.n = source->held.n = 0;
	source->stop = source->unplugged = source->throttle = false;
	r = source->jpeg ? jpeg_input_start(source->jpeg) : 0;
	if (r)
		return r;
	r = -pthread_create(&source->thread, NULL, run, source);
	if (r)
		goto stop_jpeg;
	source->running = true;
	r = camera_start(source->camera, &events);
	if (r) {
		diag_error("camera %s: %s", source->camera_name, camera_error());
		stop_thread(source);
		goto stop_jpeg;
	}
	return 0;

stop_jpeg:
	if (source->jpeg)
		jpeg_input_stop(source->jpeg);
	return r;
}

static void libcamera_stop(struct source *base)
{
	struct libcamera_source *source = (struct libcamera_source *)base;

	if (!source->running)
		return;
	camera_stop(source->camera);
	stop_thread(source);
	if (source->jpeg)
		jpeg_input_stop(source->jpeg);
}

static void libcamera_want_frames(struct source *base, bool wanted)
{
	struct libcamera_source *source = (struct libcamera_source *)base;

	if (source->jpeg)
		jpeg_input_want(source->jpeg, wanted);
}

static int libcamera_set_control(struct source *base, const char *name, const char *value)
{
	struct libcamera_source *source = (struct libcamera_source *)base;
	char why[WHY_SIZE], names[600];
	int r = set_control(source, name, value, false, why);

	if (r == -ENOENT) {
		camera_control_names(source->camera, names, sizeof(names));
		diag_warn("camera %s: %s; there are: %s", source->camera_name, why, names);
	} else if (r) {
		diag_warn("camera %s: %s", source->camera_name, why);
	}
	return r;
}

const struct source_ops source_libcamera = {
	.open = libcamera_open,
	.start = libcamera_start,
	.stop = libcamera_stop,
	.close = libcamera_close,
	.set_control = libcamera_set_control,
	.want_frames = libcamera_want_frames,
};
