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
#include "daemon/log/feed.h"

struct worker;

enum output_refusal { /* why a client was not let in */
		      OUTPUT_OVER_TOTAL,
		      OUTPUT_OVER_FEED,
		      OUTPUT_OVER_IP,
		      OUTPUT_NO_FDS,	/* the fd table is full */
		      OUTPUT_NO_MEMORY, /* or the socket could not be set up */
		      OUTPUT_REFUSALS
};

/* One framing of a stream, as it is given to clients. */
struct output {
	struct stream *stream;
	const struct config_feed *config;
	unsigned number;   /* config->number */
	char *name;	   /* "front-h264/annexb" */
	struct feed *feed; /* NULL before it is made; owned by who makes it */
	uint16_t port;	   /* of its first listening socket; 0: none */
	unsigned clients;  /* that are in */
	uint64_t refused[OUTPUT_REFUSALS];
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
	struct worker *worker;	 /* NULL before it is made; owned by who makes it */
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

/* "max_clients"... */
const char *output_refusal_name(enum output_refusal why);

#endif
