/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stateful V4L2 encoder without a kernel: the test program links with --wrap for open, close,
 * ioctl, mmap, munmap and stat, and this answers for /dev/videoN as a driver does. One device is
 * open at a time. Everything is plain state: a test sets the driver's habits before and reads
 * its settings afterwards.
 */
#ifndef TESTS_UNIT_V4L2_SIM_H
#define TESTS_UNIT_V4L2_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/videodev2.h>

#define SIM_NODES 4
#define SIM_BUFFERS 32
#define SIM_CONTROLS 64
#define SIM_CODED_SIZE 4096u /* bytes that a coded buffer gets, unless sizeimage is honoured */

enum sim_kind { SIM_ABSENT, SIM_CAMERA, SIM_DECODER, SIM_SINGLE_PLANAR, SIM_ENCODER };

struct sim_control {
	uint32_t id;
	uint32_t type; /* enum v4l2_ctrl_type */
	int64_t minimum, maximum, step;
	int32_t value;
	int error; /* S_CTRL answers this */
	unsigned times_set;
	bool before_buffers; /* last set before REQBUFS */
};

struct sim_coded {
	unsigned index;
	uint32_t flags, bytesused, data_offset;
	int64_t stamp_us;
};

struct sim {
	/* habits */
	enum sim_kind nodes[SIM_NODES];
	int open_error[SIM_NODES];
	mode_t node_mode;
	gid_t node_gid;
	bool access_allowed; /* access() allows each node, whatever open() says */
	const char *card;
	uint32_t coded_fourcc, raw_fourcc;
	uint32_t max_width, max_height, stride_align, height_align, extra_sizeimage;
	unsigned buffers_max;	    /* REQBUFS gives at most so many; 0: no bound */
	bool no_parm;		    /* S_PARM is ENOTTY */
	bool raw_resets_coded;	    /* S_FMT on OUTPUT forgets CAPTURE's sizeimage */
	unsigned long fail_request; /* this request fails ... */
	unsigned fail_after;	    /* ... after so many that went well ... */
	int fail_error;		    /* ... with this; 0: none fails */
	unsigned fail_call;	    /* the n-th ioctl of all fails with EIO; 0: none */
	bool fail_mmap;
	unsigned interrupts; /* so many ioctls are EINTR first */

	/* what happened */
	unsigned calls, opened, closed, mapped, unmapped;
	struct sim_control controls[SIM_CONTROLS];
	unsigned n_controls;
	struct v4l2_pix_format_mplane raw, coded;
	struct v4l2_fract timeperframe; /* of S_PARM; 0/0: never set */
	struct v4l2_rect crop;
	bool streaming_raw, streaming_coded;
	unsigned n_raw, n_coded;
	bool raw_queued[SIM_BUFFERS], coded_queued[SIM_BUFFERS];
	int raw_fd[SIM_BUFFERS]; /* that the index was queued with, -1: never */
	bool raw_fd_changed;
	uint32_t raw_bytesused, raw_length;
	int64_t raw_stamp_us[SIM_BUFFERS];
	uint8_t coded_bytes[SIM_BUFFERS][SIM_CODED_SIZE];

	/* finished, not yet dequeued */
	unsigned raw_done[SIM_BUFFERS];
	unsigned n_raw_done;
	struct sim_coded coded_done[SIM_BUFFERS];
	unsigned n_coded_done;
};

extern struct sim sim;

/* A good encoder for NV12 to H264 at /dev/video1, behind a camera, with all usual controls. */
void sim_reset(void);
struct sim_control *sim_find_control(uint32_t id);
void sim_remove_control(uint32_t id);

/* The driver is done with the picture of slot `index`. */
void sim_finish_raw(unsigned index);
/* A coded buffer is full: takes the lowest queued index. */
void sim_finish_coded(const void *data, uint32_t len, uint32_t flags, int64_t stamp_us);

#endif
