/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What camcastd serves, at run time: cameras, their streams, and the streams' feeds. Made once from
 * the configuration; nothing comes or goes later. Workers, listeners, status and discovery all go
 * along these structures. `streams` and `outputs` of struct cameras have the order of the file,
 * which is the one that users see. Loop thread only.
 */
#ifndef DAEMON_CAMERAS_H
#define DAEMON_CAMERAS_H

#include "config/config.h"
#include "daemon/serve/server.h"

struct worker;
struct worker_status;

/* One framing of a stream, as it is given to viewers. */
struct output {
	struct stream *stream;
	const struct config_feed *config;
	unsigned number;     /* config->number */
	char *title;	     /* "feed front-h264/annexb", for log lines */
	const char *name;    /* the same without the first word */
	struct feed *feed;   /* NULL before it is made; the caller makes and destroys it */
	struct endpoint tcp; /* raw TCP; its user is set with the feed */
};

struct stream {
	struct camera *camera;
	const struct config_stream *config;
	unsigned number;	/* config->number */
	struct output *outputs; /* n_outputs, in the order of their framings */
	size_t n_outputs;
};

struct camera {
	const struct config_camera *config;
	struct worker *worker; /* NULL before it is made; owned by its creator */
	/* What the worker last reported, for the status and discovery; NULL as long as `worker`. */
	const struct worker_status *status;
	struct stream **streams; /* by number */
	size_t n_streams;
	struct output **outputs; /* by number */
	size_t n_outputs;
};

struct cameras {
	const struct config *config;
	struct camera *cameras; /* by index of the configuration, as all here */
	size_t n_cameras;
	struct stream *streams; /* of all cameras */
	size_t n_streams;
	struct output *outputs; /* of all streams */
	size_t n_outputs;
};

/* Everything but the workers and the feeds. config is borrowed. 0 or -ENOMEM. */
int cameras_create(struct cameras **out, const struct config *config);
/* Touches neither workers nor feeds. NULL is fine. */
void cameras_destroy(struct cameras *cameras);

#endif
