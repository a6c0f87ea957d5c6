/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cameras that come: tells of device nodes of the media and video4linux subsystems that appear, or
 * whose permissions change, so that a worker without its camera need not wait for its next try. The
 * workers ask libcamera, this asks the kernel (inotify), so that it works without udev. Loop thread
 * only.
 */
#ifndef DAEMON_DEVICES_H
#define DAEMON_DEVICES_H

#include "daemon/loop/loop.h"

struct devices;

/* folder: "/dev". came(user) is called from the loop, once for what comes within a fifth of a
 * second. 0 or -errno. */
int devices_watch(struct devices **out, struct loop *loop, const char *folder,
		  void (*came)(void *user), void *user);
/* NULL is nothing. */
void devices_unwatch(struct devices *devices);

#endif
