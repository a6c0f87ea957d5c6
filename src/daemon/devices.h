/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reports device nodes of the media and video4linux subsystems that appear or whose permissions
 * change, so that a worker without its camera tries again at once. It uses inotify and works
 * without udev. Loop thread only.
 */
#ifndef DAEMON_DEVICES_H
#define DAEMON_DEVICES_H

#include "daemon/loop/loop.h"

struct devices;

/* folder: "/dev". came(user) is called from the loop, once for all nodes that appear within a fifth
 * of a second. 0 or -errno. */
int devices_watch(struct devices **out, struct loop *loop, const char *folder,
		  void (*came)(void *user), void *user);
/* NULL is allowed. */
void devices_unwatch(struct devices *devices);

#endif
