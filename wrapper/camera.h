/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcamera behind a C API. Compiles against libcamera 0.0.3 to 0.7.x. No exception crosses it.
 * Functions return 0 or -errno; camera_error() has a text for the calling thread's last failure.
 * Callbacks run on libcamera's thread: copy, queue, wake, and never call back in (but for
 * camera_requeue). Block signals before camera_manager_open(): its libraries start threads. A
 * sketch: it may become smaller.
 */
#ifndef CAMERA_H
#define CAMERA_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct camera_manager; /* one per process, outlives every camera */
struct camera;

int camera_manager_open(struct camera_manager **out);
void camera_manager_close(struct camera_manager *manager);
/* id, model, formats with sizes, controls with ranges, as text for people. */
int camera_manager_print(struct camera_manager *manager, FILE *out);
const char *camera_error(void);

/* id: part of a camera's id or model, "" for the first. -ENODEV, -EBUSY, -EACCES. */
int camera_open(struct camera **out, struct camera_manager *manager, const char *id);
void camera_close(struct camera *camera);
const char *camera_id(const struct camera *camera);
const char *camera_model(const struct camera *camera);

struct camera_request {
	uint32_t width, height;
	uint32_t fps_num, fps_den;
	uint32_t fourcc; /* DRM fourcc preferred; 0: NV12, else I420, else YUYV, MJPEG */
	unsigned buffers;
	bool hflip, vflip, rotate180;
};
struct camera_format {
	uint32_t width, height, stride, size, fourcc;
	unsigned buffers;
	int colour; /* 0 unknown, 1 SMPTE170M, 2 REC709, 3 JPEG/sYCC */
	bool full_range;
	bool adjusted; /* not what was asked for */
};
int camera_configure(struct camera *camera, const struct camera_request *request,
		     struct camera_format *got);

/* Either import n dmabufs (borrowed until camera_close) of one picture each, or let libcamera
 * allocate. */
int camera_import(struct camera *camera, const int *fds, unsigned n);
int camera_allocate(struct camera *camera, unsigned *n);
struct camera_plane {
	int fd;			 /* borrowed */
	uint32_t offset, length; /* length may be 0 */
};
int camera_buffer(struct camera *camera, unsigned index, struct camera_plane *planes,
		  unsigned *n_planes);

/* Before start: at the start; later: with the next request. libcamera's name, value as text by the
 * control's own type. -ENOENT: the camera has no such control (camera_error() lists those it has),
 * -EINVAL, -ERANGE. */
int camera_set_control(struct camera *camera, const char *name, const char *value);
/* Names of all controls, space separated, into out. */
void camera_control_names(struct camera *camera, char *out, size_t size);

enum camera_frame_status { CAMERA_FRAME_OK, CAMERA_FRAME_ERROR, CAMERA_FRAME_CANCELLED };
struct camera_frame {
	unsigned index;
	uint32_t sequence;
	enum camera_frame_status status;
	int64_t sensor_us; /* CLOCK_MONOTONIC; the buffer's time where there is no SensorTimestamp
			    */
	uint32_t bytes_used;
};
struct camera_events {
	void (*frame)(void *user, const struct camera_frame *frame);
	void (*gone)(void *user);
	void *user;
};
int camera_start(struct camera *camera, const struct camera_events *events);
/* Gives buffer `index` back to be filled. Any thread. -ESHUTDOWN after stop. */
int camera_requeue(struct camera *camera, unsigned index);
void camera_stop(struct camera *camera);

#ifdef __cplusplus
}
#endif

#endif
