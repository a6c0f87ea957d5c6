/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * V4L2 devices: finding a stateful encoder among the nodes, and setting controls that a driver may
 * or may not have. Any thread; a device belongs to one thread at a time.
 */
#ifndef CAPTURE_ENCODE_V4L2_H
#define CAPTURE_ENCODE_V4L2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define V4L2_WHY_MAX 256 /* bytes of a text that says why something failed */

struct v4l2_device {
	int fd;
	char path[64];
	char card[32]; /* as QUERYCAP says: "bcm2835-codec-encode", "vicodec" */
	bool pi;       /* bcm2835-codec: the firmware encoder of a Raspberry Pi 4 or older */
};

/*
 * Opens (non-blocking, CLOEXEC) the first of /dev/video0, 1... that encodes `raw` pictures to
 * `coded` (fourccs) memory to memory with the multi-planar API; path, if not "", names the only
 * node to try. Returns 0; -EACCES (a node could not be opened: why names the group or the rule),
 * -ESTALE (only Landlock refuses a node: it came after the process had entered its sandbox),
 * -ENODEV (none fits: why says what was seen), or another -errno of opening the named one.
 */
int v4l2_open_encoder(struct v4l2_device *device, const char *path, uint32_t coded, uint32_t raw,
		      char *why);
void v4l2_close(struct v4l2_device *device);

/* ioctl, again after EINTR; 0 or -errno. */
int v4l2_call(int fd, unsigned long request, void *arg);

/* Sets a control, brought into the driver's range and steps. Returns 0, -ENOENT (the driver has no
 * such control), or -errno of setting it. */
int v4l2_set_control(int fd, uint32_t id, int64_t value);
bool v4l2_has_control(int fd, uint32_t id);

/* "NV12", into text[5]; returns text. */
const char *v4l2_fourcc_text(uint32_t fourcc, char *text);

#endif
