/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/encode/v4l2.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/videodev2.h>

#define NODES_MAX 256 /* VIDEO_NUM_DEVICES of the kernel's v4l2-dev.c */

int v4l2_call(int fd, unsigned long request, void *arg)
{
	int rc;

	do {
		rc = ioctl(fd, request, arg);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

const char *v4l2_fourcc_text(uint32_t fourcc, char *text)
{
	for (unsigned i = 0; i < 4; i++) {
		char c = (char)(fourcc >> (8 * i) & 0x7f);

		text[i] = c < ' ' || c == 0x7f ? '?' : c;
	}
	text[4] = '\0';
	return text;
}

/* --- controls --- */

static int query_control(int fd, uint32_t id, struct v4l2_query_ext_ctrl *query)
{
	int rc;

	memset(query, 0, sizeof(*query));
	query->id = id;
	rc = v4l2_call(fd, VIDIOC_QUERY_EXT_CTRL, query);
	if (rc == -EINVAL || rc == -ENOTTY || (!rc && (query->flags & V4L2_CTRL_FLAG_DISABLED)))
		return -ENOENT;
	return rc;
}

bool v4l2_has_control(int fd, uint32_t id)
{
	struct v4l2_query_ext_ctrl query;

	return query_control(fd, id, &query) == 0;
}

int v4l2_set_control(int fd, uint32_t id, int64_t value)
{
	struct v4l2_query_ext_ctrl query;
	struct v4l2_control control = {.id = id};
	int rc = query_control(fd, id, &query);

	if (rc)
		return rc;
	/* A menu has no nearest entry: an entry is allowed or not. A button has no value. */
	if (query.type == V4L2_CTRL_TYPE_INTEGER) {
		if (value < query.minimum)
			value = query.minimum;
		if (value > query.maximum)
			value = query.maximum;
		if (query.step > 1)
			value -= (value - query.minimum) % (int64_t)query.step;
	}
	control.value = (int32_t)value;
	return v4l2_call(fd, VIDIOC_S_CTRL, &control);
}

/* --- finding the encoder --- */

static bool has_format(int fd, enum v4l2_buf_type type, uint32_t fourcc)
{
	struct v4l2_fmtdesc desc = {.type = type};

	for (; v4l2_call(fd, VIDIOC_ENUM_FMT, &desc) == 0; desc.index++) {
		if (desc.pixelformat == fourcc)
			return true;
	}
	return false;
}

/* Fills in how to permit opening path. EACCES is caused by its mode and owner, EPERM by the device
 * control group of a service or a container (security/device_cgroup.c), ESTALE by a sandbox. */
static void explain_permission(const char *path, int rc, char *why)
{
	struct stat st;
	struct group *group = NULL;

	if (rc == -ESTALE) {
		snprintf(why, V4L2_WHY_MAX, "%s is newer than the sandbox of this worker", path);
		return;
	}
	if (rc == -EPERM) {
		snprintf(why, V4L2_WHY_MAX,
			 "no permission to open %s: the service or container does not allow the "
			 "device, whatever its mode; add DeviceAllow=char-video4linux rw to it",
			 path);
		return;
	}
	if (!stat(path, &st) && (st.st_mode & 060) == 060 && st.st_gid != 0)
		group = getgrgid(st.st_gid);
	if (group)
		snprintf(why, V4L2_WHY_MAX,
			 "no permission to open %s: add the user to the group %s (usermod -aG %s "
			 "USER)",
			 path, group->gr_name, group->gr_name);
	else
		snprintf(
			why, V4L2_WHY_MAX,
			"no permission to open %s: only root may open it; install 60-camcast.rules "
			"(make "
			"install does), or give it to the group video",
			path);
}

enum fit { FIT_NOT, FIT_CODED_ONLY, FIT };

static enum fit device_fits(struct v4l2_device *device, uint32_t coded, uint32_t raw)
{
	struct v4l2_capability cap = {0};
	uint32_t caps;

	if (v4l2_call(device->fd, VIDIOC_QUERYCAP, &cap))
		return FIT_NOT;
	caps = cap.capabilities & V4L2_CAP_DEVICE_CAPS ? cap.device_caps : cap.capabilities;
	snprintf(device->card, sizeof(device->card), "%.*s", (int)sizeof(device->card) - 1,
		 (const char *)cap.card);
	device->pi = !strncmp(device->card, "bcm2835-codec", strlen("bcm2835-codec"));
	if (!(caps & V4L2_CAP_VIDEO_M2M_MPLANE) || !(caps & V4L2_CAP_STREAMING))
		return FIT_NOT;
	/* An encoder has the coded format on CAPTURE; a decoder has it on OUTPUT. */
	if (!has_format(device->fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, coded))
		return FIT_NOT;
	return has_format(device->fd, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, raw) ? FIT
									      : FIT_CODED_ONLY;
}

static int open_node(struct v4l2_device *device, const char *path)
{
	snprintf(device->path, sizeof(device->path), "%s", path);
	device->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (device->fd >= 0)
		return 0;
	if (errno != EACCES)
		return -errno;
	/* access() does not know of Landlock, whose rules are for the nodes there were when the
	 * process entered its sandbox. */
	return access(path, R_OK | W_OK) == 0 ? -ESTALE : -EACCES;
}

static bool is_denied(int rc)
{
	return rc == -EACCES || rc == -EPERM || rc == -ESTALE;
}

static int open_named(struct v4l2_device *device, const char *path, uint32_t coded, uint32_t raw,
		      char *why)
{
	char coded_text[5], raw_text[5];
	enum fit fit;
	int rc = open_node(device, path);

	if (is_denied(rc)) {
		explain_permission(path, rc, why);
		return rc == -ESTALE ? rc : -EACCES;
	}
	if (rc) {
		snprintf(why, V4L2_WHY_MAX, "cannot open %s: %s", path, strerror(-rc));
		return rc;
	}
	fit = device_fits(device, coded, raw);
	if (fit == FIT)
		return 0;
	v4l2_fourcc_text(coded, coded_text);
	v4l2_fourcc_text(raw, raw_text);
	if (fit == FIT_CODED_ONLY)
		snprintf(why, V4L2_WHY_MAX, "%s (%s) encodes %s, but takes no %s pictures", path,
			 device->card, coded_text, raw_text);
	else
		snprintf(why, V4L2_WHY_MAX,
			 "%s (%s) is no memory-to-memory encoder for %s with the multi-planar API",
			 path, device->card, coded_text);
	v4l2_close(device);
	return -ENODEV;
}

int v4l2_open_encoder(struct v4l2_device *device, const char *path, uint32_t coded, uint32_t raw,
		      char *why)
{
	char name[32], denied[V4L2_WHY_MAX] = "", near[160] = "", coded_text[5], raw_text[5];
	unsigned seen = 0;
	bool stale = false;

	memset(device, 0, sizeof(*device));
	device->fd = -1;
	if (path[0])
		return open_named(device, path, coded, raw, why);

	v4l2_fourcc_text(coded, coded_text);
	v4l2_fourcc_text(raw, raw_text);
	for (unsigned i = 0; i < NODES_MAX; i++) {
		enum fit fit;
		int rc;

		snprintf(name, sizeof(name), "/dev/video%u", i);
		rc = open_node(device, name);
		if (rc == -ENOENT || rc == -ENXIO || rc == -ENODEV)
			continue;
		seen++;
		/* A newer one may be the encoder: it comes before others that are denied. */
		if (is_denied(rc) && (!denied[0] || (rc == -ESTALE && !stale)))
			explain_permission(name, rc, denied);
		stale |= rc == -ESTALE;
		if (rc)
			continue;
		fit = device_fits(device, coded, raw);
		if (fit == FIT)
			return 0;
		if (fit == FIT_CODED_ONLY && !near[0])
			snprintf(near, sizeof(near),
				 "; %s (%s) encodes %s, but takes no %s pictures", device->path,
				 device->card, coded_text, raw_text);
		v4l2_close(device);
	}
	if (denied[0]) {
		snprintf(why, V4L2_WHY_MAX, "%s", denied);
		return stale ? -ESTALE : -EACCES;
	}
	if (!seen)
		snprintf(why, V4L2_WHY_MAX,
			 "no hardware encoder: this machine has no /dev/video node");
	else
		snprintf(why, V4L2_WHY_MAX,
			 "no hardware encoder: none of %u /dev/video nodes encodes %s%s%s", seen,
			 coded_text, near,
			 near[0] ? "" : " (a Raspberry Pi 5 has no H.264 encoder)");
	return -ENODEV;
}

void v4l2_close(struct v4l2_device *device)
{
	if (device->fd >= 0)
		close(device->fd);
	device->fd = -1;
}
