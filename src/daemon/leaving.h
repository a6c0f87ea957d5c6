/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cameras and streams that the configuration does not have any more. They go when nothing refers to
 * them: the worker has ended, the viewers have taken their last unit, and the kernel has closed the
 * connections. Loop thread only.
 */
#ifndef DAEMON_LEAVING_H
#define DAEMON_LEAVING_H

#include "daemon/cameras.h"
#include "daemon/loop/loop.h"

struct leaving {
	struct loop *loop;
	struct loop_timer sweep;
	struct list cameras, streams;
};

void leaving_init(struct leaving *leaving, struct loop *loop);
/* Before loop_destroy(): waits for the workers, and ends the feeds. */
void leaving_finish(struct leaving *leaving);
/* After it: frees the memory. */
void leaving_free(struct leaving *leaving);

/* Takes a camera, and stops its worker. `successor`, which may be NULL, has the same device: its
 * worker is started when that of the camera has ended, or was killed. Out of memory, it goes at
 * once, which may take a second. */
void leaving_add_camera(struct leaving *leaving, struct camera *camera, struct camera *successor);
/* Takes a stream. Its viewers get the units that they have begun, for two seconds at most. */
void leaving_add_stream(struct leaving *leaving, struct stream *stream);

#endif
