/* SPDX-License-Identifier: BSD-2-Clause */
#include "v4l2_sim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SIM_FD 1000 /* of node 0; far from real ones */

struct sim sim;

static struct sim_control *add_control(uint32_t id, uint32_t type, int64_t minimum, int64_t maximum,
				       int64_t step)
{
	struct sim_control *control = &sim.controls[sim.n_controls++];

	*control = (struct sim_control){
		.id = id, .type = type, .minimum = minimum, .maximum = maximum, .step = step};
	return control;
}

void sim_reset(void)
{
	sim = (struct sim){
		.nodes = {SIM_CAMERA, SIM_ENCODER},
		.node_mode = S_IFCHR | 0660,
		.card = "vicodec",
		.coded_fourcc = V4L2_PIX_FMT_H264,
		.raw_fourcc = V4L2_PIX_FMT_NV12,
		.max_width = 4096,
		.max_height = 4096,
		.stride_align = 1,
		.height_align = 1,
	};
	memset(sim.raw_fd, -1, sizeof(sim.raw_fd));
	/* As bcm2835-codec has them. */
	add_control(V4L2_CID_MPEG_VIDEO_BITRATE, V4L2_CTRL_TYPE_INTEGER, 25000, 25000000, 25000);
	add_control(V4L2_CID_MPEG_VIDEO_BITRATE_MODE, V4L2_CTRL_TYPE_MENU, 0, 1, 1)->value =
		V4L2_MPEG_VIDEO_BITRATE_MODE_CBR;
	add_control(V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, V4L2_CTRL_TYPE_BOOLEAN, 0, 1, 1);
	add_control(V4L2_CID_MPEG_VIDEO_HEADER_MODE, V4L2_CTRL_TYPE_MENU, 0, 1, 1);
	add_control(V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, V4L2_CTRL_TYPE_INTEGER, 0, 0x7fffffff, 1);
	add_control(V4L2_CID_MPEG_VIDEO_GOP_SIZE, V4L2_CTRL_TYPE_INTEGER, 0, 0x7fffffff, 1);
	add_control(V4L2_CID_MPEG_VIDEO_H264_PROFILE, V4L2_CTRL_TYPE_MENU, 0, 4, 1);
	add_control(V4L2_CID_MPEG_VIDEO_H264_LEVEL, V4L2_CTRL_TYPE_MENU, 0, 15, 1);
	add_control(V4L2_CID_MPEG_VIDEO_H264_MIN_QP, V4L2_CTRL_TYPE_INTEGER, 0, 51, 1);
	add_control(V4L2_CID_MPEG_VIDEO_H264_MAX_QP, V4L2_CTRL_TYPE_INTEGER, 0, 51, 1);
	add_control(V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, V4L2_CTRL_TYPE_BUTTON, 0, 0, 0);
}

struct sim_control *sim_find_control(uint32_t id)
{
	for (unsigned i = 0; i < sim.n_controls; i++) {
		if (sim.controls[i].id == id)
			return &sim.controls[i];
	}
	return NULL;
}

void sim_remove_control(uint32_t id)
{
	struct sim_control *control = sim_find_control(id);

	*control = sim.controls[--sim.n_controls];
}

void sim_finish_raw(unsigned index)
{
	sim.raw_done[sim.n_raw_done++] = index;
}

void sim_finish_coded(const void *data, uint32_t len, uint32_t flags, int64_t stamp_us)
{
	unsigned index = 0;

	while (index < sim.n_coded && !sim.coded_queued[index])
		index++;
	memcpy(sim.coded_bytes[index], data, len);
	sim.coded_queued[index] = false;
	sim.coded_done[sim.n_coded_done++] = (struct sim_coded){
		.index = index, .flags = flags, .bytesused = len, .stamp_us = stamp_us};
}

/* --- the driver --- */

static int set_error(int error)
{
	errno = error;
	return -1;
}

static int node_of(int fd)
{
	return fd >= SIM_FD && fd < SIM_FD + SIM_NODES ? fd - SIM_FD : -1;
}

static bool multiplanar(enum sim_kind kind)
{
	return kind == SIM_ENCODER || kind == SIM_DECODER;
}

static int querycap(enum sim_kind kind, struct v4l2_capability *cap)
{
	snprintf((char *)cap->card, sizeof(cap->card), "%s",
		 kind == SIM_CAMERA ? "a camera" : sim.card);
	cap->device_caps = V4L2_CAP_STREAMING;
	cap->device_caps |= multiplanar(kind)		? V4L2_CAP_VIDEO_M2M_MPLANE
			    : kind == SIM_SINGLE_PLANAR ? V4L2_CAP_VIDEO_M2M
							: V4L2_CAP_VIDEO_CAPTURE;
	cap->capabilities = cap->device_caps | V4L2_CAP_DEVICE_CAPS;
	return 0;
}

static int enum_fmt(enum sim_kind kind, struct v4l2_fmtdesc *desc)
{
	bool coded_side =
		(desc->type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == (kind == SIM_ENCODER);

	if (desc->index || !multiplanar(kind))
		return set_error(EINVAL);
	desc->pixelformat = coded_side ? sim.coded_fourcc : sim.raw_fourcc;
	return 0;
}

static int query_ctrl(struct v4l2_query_ext_ctrl *query)
{
	const struct sim_control *control = sim_find_control(query->id);

	if (!control)
		return set_error(EINVAL);
	query->type = control->type;
	query->minimum = control->minimum;
	query->maximum = control->maximum;
	query->step = (uint64_t)control->step;
	return 0;
}

static int s_ctrl(const struct v4l2_control *arg)
{
	struct sim_control *control = sim_find_control(arg->id);

	if (!control)
		return set_error(EINVAL);
	if (control->error)
		return set_error(control->error);
	control->value = arg->value;
	control->times_set++;
	control->before_buffers = !sim.n_raw && !sim.n_coded;
	return 0;
}

static uint32_t align(uint32_t value, uint32_t to)
{
	return (value + to - 1) / to * to;
}

static int s_fmt(struct v4l2_format *f)
{
	struct v4l2_pix_format_mplane *pix = &f->fmt.pix_mp;
	struct v4l2_plane_pix_format *plane = &pix->plane_fmt[0];

	if (pix->width > sim.max_width)
		pix->width = sim.max_width;
	if (pix->height > sim.max_height)
		pix->height = sim.max_height;
	pix->num_planes = 1;
	if (f->type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) {
		pix->pixelformat = sim.coded_fourcc;
		sim.coded = *pix;
		return 0;
	}
	pix->pixelformat = sim.raw_fourcc;
	pix->height = align(pix->height, sim.height_align);
	plane->bytesperline = align(plane->bytesperline, sim.stride_align);
	plane->sizeimage = plane->bytesperline * pix->height / 2 * 3 + sim.extra_sizeimage;
	sim.raw = *pix;
	if (sim.raw_resets_coded)
		memset(&sim.coded, 0, sizeof(sim.coded));
	return 0;
}

static int reqbufs(struct v4l2_requestbuffers *request)
{
	bool raw = request->type == V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;

	if (request->memory != (raw ? V4L2_MEMORY_DMABUF : V4L2_MEMORY_MMAP))
		return set_error(EINVAL);
	if (sim.buffers_max && request->count > sim.buffers_max)
		request->count = sim.buffers_max;
	*(raw ? &sim.n_raw : &sim.n_coded) = request->count;
	return 0;
}

static int querybuf(struct v4l2_buffer *buffer)
{
	buffer->m.planes[0].length = SIM_CODED_SIZE;
	buffer->m.planes[0].m.mem_offset = buffer->index * SIM_CODED_SIZE;
	return 0;
}

static int qbuf(const struct v4l2_buffer *buffer)
{
	const struct v4l2_plane *plane = &buffer->m.planes[0];
	unsigned i = buffer->index;

	if (buffer->type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) {
		if (i >= sim.n_coded || sim.coded_queued[i])
			return set_error(EINVAL);
		sim.coded_queued[i] = true;
		return 0;
	}
	if (i >= sim.n_raw || sim.raw_queued[i] || plane->length < sim.raw.plane_fmt[0].sizeimage)
		return set_error(EINVAL);
	if (sim.raw_fd[i] != -1 && sim.raw_fd[i] != plane->m.fd)
		sim.raw_fd_changed = true;
	sim.raw_fd[i] = plane->m.fd;
	sim.raw_queued[i] = true;
	sim.raw_bytesused = plane->bytesused;
	sim.raw_length = plane->length;
	sim.raw_stamp_us[i] =
		(int64_t)buffer->timestamp.tv_sec * 1000000 + buffer->timestamp.tv_usec;
	return 0;
}

static int dqbuf(struct v4l2_buffer *buffer)
{
	struct sim_coded done;

	if (buffer->type == V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE) {
		if (!sim.n_raw_done)
			return set_error(EAGAIN);
		buffer->index = sim.raw_done[0];
		memmove(sim.raw_done, sim.raw_done + 1, --sim.n_raw_done * sizeof(unsigned));
		if (buffer->index < SIM_BUFFERS)
			sim.raw_queued[buffer->index] = false;
		return 0;
	}
	if (!sim.n_coded_done)
		return set_error(EAGAIN);
	done = sim.coded_done[0];
	memmove(sim.coded_done, sim.coded_done + 1, --sim.n_coded_done * sizeof(done));
	buffer->index = done.index;
	buffer->flags = done.flags;
	buffer->timestamp.tv_sec = done.stamp_us / 1000000;
	buffer->timestamp.tv_usec = done.stamp_us % 1000000;
	buffer->m.planes[0].bytesused = done.bytesused;
	buffer->m.planes[0].data_offset = done.data_offset;
	return 0;
}

static int stream(int type, bool on)
{
	if (type == V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE)
		sim.streaming_raw = on;
	else
		sim.streaming_coded = on;
	return 0;
}

static int answer(enum sim_kind kind, unsigned long request, void *arg)
{
	switch (request) {
	case VIDIOC_QUERYCAP:
		return querycap(kind, arg);
	case VIDIOC_ENUM_FMT:
		return enum_fmt(kind, arg);
	case VIDIOC_QUERY_EXT_CTRL:
		return query_ctrl(arg);
	case VIDIOC_S_CTRL:
		return s_ctrl(arg);
	case VIDIOC_S_FMT:
		return s_fmt(arg);
	case VIDIOC_S_SELECTION:
		sim.crop = ((struct v4l2_selection *)arg)->r;
		return 0;
	case VIDIOC_S_PARM:
		if (sim.no_parm)
			return set_error(ENOTTY);
		sim.timeperframe = ((struct v4l2_streamparm *)arg)->parm.output.timeperframe;
		return 0;
	case VIDIOC_REQBUFS:
		return reqbufs(arg);
	case VIDIOC_QUERYBUF:
		return querybuf(arg);
	case VIDIOC_QBUF:
		return qbuf(arg);
	case VIDIOC_DQBUF:
		return dqbuf(arg);
	case VIDIOC_STREAMON:
		return stream(*(int *)arg, true);
	case VIDIOC_STREAMOFF:
		return stream(*(int *)arg, false);
	default:
		return set_error(ENOTTY);
	}
}

/* --- in front of the C library --- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_close(int fd);
int __wrap_close(int fd);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
void *__real_mmap(void *address, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t len);
int __wrap_munmap(void *address, size_t len);
int __real_stat(const char *path, struct stat *st);
int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
int __wrap_stat(const char *path, struct stat *st);

int __wrap_open(const char *path, int flags, ...)
{
	unsigned node;
	mode_t mode = 0;
	va_list args;

	if (sscanf(path, "/dev/video%u", &node) == 1) {
		if (node >= SIM_NODES || sim.nodes[node] == SIM_ABSENT)
			return set_error(ENOENT);
		if (sim.open_error[node])
			return set_error(sim.open_error[node]);
		/* A blocking DQBUF would hang the stream, an inherited fd the device. */
		if ((flags & (O_NONBLOCK | O_CLOEXEC)) != (O_NONBLOCK | O_CLOEXEC))
			return set_error(EPROTO);
		sim.opened++;
		return SIM_FD + (int)node;
	}
	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	return __real_open(path, flags, mode);
}

int __wrap_close(int fd)
{
	if (node_of(fd) < 0)
		return __real_close(fd);
	sim.closed++;
	sim.n_raw = sim.n_coded = 0;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (node_of(fd) < 0)
		return __real_ioctl(fd, request, arg);
	if (sim.interrupts) {
		sim.interrupts--;
		return set_error(EINTR);
	}
	if (++sim.calls == sim.fail_call)
		return set_error(EIO);
	if (sim.fail_error && request == sim.fail_request && !sim.fail_after--) {
		sim.fail_after = 0;
		return set_error(sim.fail_error);
	}
	return answer(sim.nodes[node_of(fd)], request, arg);
}

void *__wrap_mmap(void *address, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (node_of(fd) < 0)
		return __real_mmap(address, len, prot, flags, fd, offset);
	if (sim.fail_mmap) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	sim.mapped++;
	return sim.coded_bytes[offset / SIM_CODED_SIZE];
}

int __wrap_munmap(void *address, size_t len)
{
	uint8_t *first = &sim.coded_bytes[0][0];

	if ((uint8_t *)address < first || (uint8_t *)address >= first + sizeof(sim.coded_bytes))
		return __real_munmap(address, len);
	sim.unmapped++;
	return 0;
}

int __wrap_access(const char *path, int mode)
{
	if (strncmp(path, "/dev/video", 10))
		return __real_access(path, mode);
	if (sim.access_allowed)
		return 0;
	errno = EACCES;
	return -1;
}

int __wrap_stat(const char *path, struct stat *st)
{
	if (strncmp(path, "/dev/video", 10))
		return __real_stat(path, st);
	memset(st, 0, sizeof(*st));
	st->st_mode = sim.node_mode;
	st->st_gid = sim.node_gid;
	return 0;
}
