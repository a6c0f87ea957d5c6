/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/devices.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

/* A camera has several nodes, and udev sets the group of each after its creation. */
#define SETTLE_US 200000

struct devices {
	struct loop *loop;
	struct loop_watch watch;
	struct loop_timer settled;
	void (*came)(void *user);
	void *user;
};

static bool is_camera_s(const char *name)
{
	return strncmp(name, "media", 5) == 0 || strncmp(name, "video", 5) == 0;
}

static void handle_settled(struct loop_timer *timer)
{
	struct devices *devices = container_of(timer, struct devices, settled);

	devices->came(devices->user);
}

static void handle_ready(struct loop_watch *watch, uint32_t events)
{
	struct devices *devices = container_of(watch, struct devices, watch);
	union {
		struct inotify_event align;
		char bytes[4096];
	} buffer;
	ssize_t n = read(watch->fd, &buffer, sizeof(buffer));

	(void)events;
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *event = (const void *)&buffer.bytes[at];

		at += (ssize_t)(sizeof(*event) + event->len);
		/* The kernel dropped events, which may include those of a camera. */
		if (loop_timer_is_set(&devices->settled) ||
		    !((event->len && is_camera_s(event->name)) || event->mask & IN_Q_OVERFLOW))
			continue;
		loop_timer_set(devices->loop, &devices->settled,
			       loop_now_us(devices->loop) + SETTLE_US);
	}
}

int devices_watch(struct devices **out, struct loop *loop, const char *folder,
		  void (*came)(void *user), void *user)
{
	struct devices *devices = calloc(1, sizeof(*devices));
	int err;

	if (!devices)
		return -ENOMEM;
	devices->loop = loop;
	devices->came = came;
	devices->user = user;
	loop_timer_init(&devices->settled, handle_settled);
	devices->watch.events = EPOLLIN;
	devices->watch.ready = handle_ready;
	devices->watch.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (devices->watch.fd < 0) {
		err = -errno;
		goto free_devices;
	}
	if (inotify_add_watch(devices->watch.fd, folder, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) < 0) {
		err = -errno;
		goto close_fd;
	}
	err = loop_watch_add(loop, &devices->watch);
	if (err < 0)
		goto close_fd;
	*out = devices;
	return 0;

close_fd:
	close(devices->watch.fd);
free_devices:
	free(devices);
	return err;
}

void devices_unwatch(struct devices *devices)
{
	if (!devices)
		return;
	loop_timer_cancel(devices->loop, &devices->settled);
	loop_watch_remove(devices->loop, &devices->watch);
	close(devices->watch.fd);
	free(devices);
}
