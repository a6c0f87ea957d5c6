/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LD_PRELOAD library: a USB camera with JPEG for servers that read V4L2 devices, on machines that
 * have none. The device /dev/camcast-bench delivers units of one exact size at a fixed rate:
 *
 *   CAMCAST_CAMERA="size=33000 rate=30" LD_PRELOAD=camera.so ustreamer -d /dev/camcast-bench ...
 *
 * Its descriptor is a timer, so that it is readable when a picture is due. It knows the requests of
 * V4L2's streaming capture with mapped buffers (linux/videodev2.h); others fail with EINVAL, as
 * those that a driver does not have. One device, opened once; each call from one thread at a time.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "bench/lib/unit.h"

#define DEVICE "/dev/camcast-bench"
#define BUFFERS 8
#define BUFFER_SIZE (2u << 20)

static struct camera {
	int fd; /* a timerfd; 0: not open */
	uint8_t *memory;
	unsigned size, rate, n_buffers;
	/* Buffers that the server gave back, the oldest first. */
	unsigned queue[BUFFERS], queued;
	unsigned sequence;
} camera = {.size = 33000, .rate = 30};

static void *next_function(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static int open_camera(void)
{
	const char *text = getenv("CAMCAST_CAMERA");

	if (text)
		sscanf(text, "size=%u rate=%u", &camera.size, &camera.rate);
	if (camera.size < UNIT_MIN || camera.size > BUFFER_SIZE || camera.rate == 0) {
		errno = EINVAL;
		return -1;
	}
	camera.memory = mmap(NULL, (size_t)BUFFERS * BUFFER_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (camera.memory == MAP_FAILED)
		return -1;
	camera.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return camera.fd;
}

static int set_streaming(bool on)
{
	struct itimerspec times = {0};

	if (on) {
		times.it_interval.tv_nsec = 1000000000 / camera.rate;
		times.it_value = times.it_interval;
	}
	return timerfd_settime(camera.fd, 0, &times, NULL);
}

static void set_format(struct v4l2_pix_format *format)
{
	format->pixelformat = V4L2_PIX_FMT_MJPEG;
	format->field = V4L2_FIELD_NONE;
	format->bytesperline = 0;
	format->sizeimage = BUFFER_SIZE;
}

static int dequeue(struct v4l2_buffer *buffer)
{
	uint64_t due;
	unsigned index;
	struct timespec now;

	if (camera.queued == 0 || read(camera.fd, &due, sizeof(due)) != sizeof(due)) {
		errno = EAGAIN;
		return -1;
	}
	index = camera.queue[0];
	memmove(camera.queue, camera.queue + 1, --camera.queued * sizeof(*camera.queue));
	unit_build_jpeg(camera.memory + (size_t)index * BUFFER_SIZE, camera.size);
	clock_gettime(CLOCK_MONOTONIC, &now);
	buffer->index = index;
	buffer->bytesused = camera.size;
	buffer->length = BUFFER_SIZE;
	buffer->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
	buffer->timestamp.tv_sec = now.tv_sec;
	buffer->timestamp.tv_usec = now.tv_nsec / 1000;
	buffer->sequence = camera.sequence++;
	return 0;
}

static int queue(const struct v4l2_buffer *buffer)
{
	if (buffer->index >= camera.n_buffers || camera.queued == camera.n_buffers) {
		errno = EINVAL;
		return -1;
	}
	camera.queue[camera.queued++] = buffer->index;
	return 0;
}

static int answer(uint32_t request, void *data)
{
	struct v4l2_capability *capability = data;
	struct v4l2_requestbuffers *buffers = data;
	struct v4l2_buffer *buffer = data;
	struct v4l2_streamparm *parameters = data;

	switch (request) {
	case VIDIOC_QUERYCAP:
		memset(capability, 0, sizeof(*capability));
		capability->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
		return 0;
	case VIDIOC_S_INPUT:
	case VIDIOC_G_FMT:
		return 0;
	case VIDIOC_S_FMT:
		set_format(&((struct v4l2_format *)data)->fmt.pix);
		return 0;
	case VIDIOC_G_PARM:
	case VIDIOC_S_PARM:
		parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
		parameters->parm.capture.timeperframe = (struct v4l2_fract){1, camera.rate};
		return 0;
	case VIDIOC_REQBUFS:
		buffers->count = buffers->count < BUFFERS ? buffers->count : BUFFERS;
		camera.n_buffers = buffers->count;
		camera.queued = 0;
		return 0;
	case VIDIOC_QUERYBUF:
		buffer->length = BUFFER_SIZE;
		buffer->m.offset = buffer->index * BUFFER_SIZE;
		return 0;
	case VIDIOC_QBUF:
		return queue(buffer);
	case VIDIOC_DQBUF:
		return dequeue(buffer);
	case VIDIOC_STREAMON:
	case VIDIOC_STREAMOFF:
		return set_streaming(request == VIDIOC_STREAMON);
	default:
		errno = EINVAL;
		return -1;
	}
}

/* --- the functions of libc --- */

#define FORWARD_OPEN(name)                                                                         \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		int (*next)(const char *, int, ...);                                               \
		mode_t mode = 0;                                                                   \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, flags);                                                               \
		if (flags & (O_CREAT | __O_TMPFILE))                                               \
			mode = va_arg(ap, mode_t);                                                 \
		va_end(ap);                                                                        \
		if (strcmp(path, DEVICE) == 0)                                                     \
			return open_camera();                                                      \
		*(void **)&next = next_function(#name);                                            \
		return next(path, flags, mode);                                                    \
	}

FORWARD_OPEN(open)
FORWARD_OPEN(open64)

int access(const char *path, int mode)
{
	int (*next)(const char *, int);

	if (strcmp(path, DEVICE) == 0)
		return 0;
	*(void **)&next = next_function("access");
	return next(path, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...);
	va_list ap;
	void *data;

	va_start(ap, request);
	data = va_arg(ap, void *);
	va_end(ap);
	if (camera.fd && fd == camera.fd)
		return answer((uint32_t)request, data); /* some pass an int */
	*(void **)&next = next_function("ioctl");
	return next(fd, request, data);
}

#define FORWARD_MMAP(name)                                                                         \
	void *name(void *address, size_t len, int protection, int flags, int fd, off_t offset)     \
	{                                                                                          \
		void *(*next)(void *, size_t, int, int, int, off_t);                               \
                                                                                                   \
		if (camera.fd && fd == camera.fd)                                                  \
			return camera.memory + offset;                                             \
		*(void **)&next = next_function(#name);                                            \
		return next(address, len, protection, flags, fd, offset);                          \
	}

FORWARD_MMAP(mmap)
FORWARD_MMAP(mmap64)
