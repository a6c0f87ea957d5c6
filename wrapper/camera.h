/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcamera behind a C API. Compiles against libcamera 0.0.3 to 0.7.x. No exception crosses it.
 * Functions return 0 or -errno; camera_error() has a text for the calling thread's last failure.
 * Callbacks run on libcamera's threads: they may copy, queue and wake, and call no function of this
 * header except camera_requeue(). Only camera_requeue() and camera_set_control() may be called from
 * any thread; the others only from the thread of the camera's owner.
 */
#ifndef WRAPPER_CAMERA_H
#define WRAPPER_CAMERA_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct camera_manager; /* at most one in a process at a time; outlives every camera */
struct camera;

/* libcamera reads its environment (tuning file, log levels) here. */
int camera_manager_open(struct camera_manager **out);
void camera_manager_close(struct camera_manager *manager);
/* id, model, formats with sizes, controls with ranges, as text for people. Returns the number of
 * cameras, or -errno. */
int camera_manager_print(struct camera_manager *manager, FILE *out);
/* Never NULL; valid until the thread's next call. */
const char *camera_error(void);

/* id: a camera's id, or a part of its id or model, upper or lower case; "" for the first camera.
 * -ENODEV: there is none; -EACCES: the process may not open some devices; -EBUSY: another process
 * uses the camera. */
int camera_open(struct camera **out, struct camera_manager *manager, const char *id);
/* A camera that was unplugged keeps its memory until the process ends. */
void camera_close(struct camera *camera);
const char *camera_id(const struct camera *camera);
const char *camera_model(const struct camera *camera); /* "" where the camera does not tell */

#define CAMERA_FOURCC_MJPEG 0x47504a4du /* 'MJPG' */

struct camera_request {
	uint32_t width, height;
	const uint32_t *fourccs; /* DRM fourccs, the first one that the camera offers is taken */
	unsigned n_fourccs;
	unsigned buffers;
	bool hflip, vflip;
};
struct camera_format {
	uint32_t width, height;
	uint32_t stride; /* bytes of a luma (or packed) line; 0 for MJPEG */
	uint32_t size;	 /* bytes of a whole buffer */
	uint32_t fourcc;
	unsigned buffers;
	int colour; /* 0 unknown, 1 SMPTE170M, 2 REC709, 3 JPEG/sYCC, 4 BT.2020 */
	bool full_range;
	bool cannot_flip; /* the requested flips are not applied */
};
/* -ENOTSUP: the camera offers none of the fourccs (camera_error() lists its formats). The camera
 * may adjust size and buffers: compare the result. May be called again while the camera is stopped,
 * which frees its buffers. */
int camera_configure(struct camera *camera, const struct camera_request *request,
		     struct camera_format *got);

/* Either import n dmabufs (borrowed, duplicated inside) of one picture each, planes one after the
 * other with the stride that camera_configure() gave, or let libcamera allocate. */
int camera_import(struct camera *camera, const int *fds, unsigned n);
int camera_allocate(struct camera *camera, unsigned *n);
struct camera_plane {
	int fd;			 /* borrowed */
	uint32_t offset, length; /* bytes; length may be 0 */
};
int camera_buffer(struct camera *camera, unsigned index, struct camera_plane planes[3],
		  unsigned *n_planes);

/* A control set before the start applies from the start, a later one with the next request. name:
 * libcamera's; value: text of the control's type: `true`, `-3`, `0.5`, a name of an enumeration
 * where this libcamera knows its names, `x,y,width,height`, `widthxheight`, arrays with commas.
 * -ENOENT: the camera has no such control; -EINVAL: not a value of its type; -ERANGE: outside of
 * the camera's range. */
int camera_set_control(struct camera *camera, const char *name, const char *value);
bool camera_has_control(const struct camera *camera, const char *name);
/* Names of all controls, space separated and sorted, into out. */
void camera_control_names(const struct camera *camera, char *out, size_t size);
/* The largest ScalerCrop: x, y, width, height in pixels of the sensor. Known after
 * camera_configure(). -ENOENT: the camera does not report it. */
int camera_crop_area(const struct camera *camera, int32_t area[4]);

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
	/* The callee owns the buffer until camera_requeue(). CANCELLED while the camera runs means
	 * a hardware failure; at the stop it is normal. */
	void (*frame)(void *user, const struct camera_frame *frame);
	void (*gone)(void *user); /* unplugged */
	void *user;
};
/* All buffers are queued. */
int camera_start(struct camera *camera, const struct camera_events *events);
/* Gives buffer `index` back to be filled. -ESHUTDOWN after stop. */
int camera_requeue(struct camera *camera, unsigned index);
/* No callback runs after camera_stop(). The camera may be started again. */
void camera_stop(struct camera *camera);

#ifdef __cplusplus
}
#endif

#endif
