/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cameras that camcastd serves, their streams, and the streams' feeds. They are created once
 * from the configuration and never change in number. Workers, listeners, status and discovery all
 * use these structures. `streams` and `outputs` of struct cameras have the order of the
 * configuration file, which is the order that users see. Loop thread only.
 */
#ifndef DAEMON_CAMERAS_H
#define DAEMON_CAMERAS_H

#include "config/config.h"
#include "daemon/serve/server.h"

struct worker;
struct worker_status;

/* One framing of a stream: a feed, and where its viewers come in. */
struct output {
	struct stream *stream;
	const struct config_feed *config;
	unsigned number;    /* config->number */
	char *title;	    /* "feed front-h264/annexb", for log lines */
	const char *name;   /* the title without its first word */
	struct feed *feed;  /* NULL before it is made; the caller makes and destroys it */
	struct quota quota; /* of its viewers */
	/* Viewers over raw TCP, and those whose request over HTTP was answered; the users are set
	 * with the feed. */
	struct endpoint tcp, http;
	struct endpoint hls;  /* players of its HLS; set with the site */
	struct endpoint rtsp; /* of a feed of RTP packets; set with RTSP */
	/* Of a feed of RTP packets: what all of its workers must go on with (camcast/worker.h).
	 * rtp_sequence is the number of the packet that follows those in the log. */
	uint32_t rtp_ssrc, rtp_offset;
	uint16_t rtp_sequence;
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
	/* The worker's last report, for the status and discovery; NULL while `worker` is NULL. */
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
	uint16_t rtsp_port; /* on which RTSP serves all streams; 0: nowhere */
};

/* Whether its units are RTP packets. */
bool output_is_rtp(const struct output *output);

/* Creates everything except the workers and the feeds. config is borrowed. 0, -ENOMEM, or -EIO (the
 * kernel gives no random numbers). */
int cameras_create(struct cameras **out, const struct config *config);
/* Does not destroy workers and feeds. NULL is allowed. */
void cameras_destroy(struct cameras *cameras);

#endif
