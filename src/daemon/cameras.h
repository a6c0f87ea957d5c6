/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cameras that camcastd serves, their streams, and the streams' feeds. Workers, listeners,
 * status and discovery all use these structures. A camera, a stream and an output stay where they
 * are as long as they exist, but their numbers change when a configuration is read again: then
 * cameras_create_next() makes what is new, and cameras_swap() puts it in force. `streams` and
 * `outputs` of struct cameras have the order of the configuration file, which is the order that
 * users see. Loop thread only.
 */
#ifndef DAEMON_CAMERAS_H
#define DAEMON_CAMERAS_H

#include "config/config.h"
#include "daemon/rtsp/sdp.h"
#include "daemon/serve/server.h"

struct config_changes;
struct hls;
struct multicast;
struct sap;
struct snapshot;
struct worker;
struct worker_status;

/* One framing of a stream: a feed, and where its viewers come in. */
struct output {
	struct stream *stream;
	const struct config_feed *config;
	size_t index;	    /* in the configuration, as of streams and cameras */
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
	/* The site's: of a feed of MP4 fragments, and of one of JPEGs; else NULL. */
	struct hls *playlist;
	struct snapshot *snapshot;
	/* Of a feed of RTP packets: its group, of presentations.h, and the announcement of that;
	 * NULL: it has none. */
	struct multicast *multicast;
	struct sap *sap;
	struct sdp_version description; /* of the group, whichever it is */
	/* Of a feed of RTP packets: what all of its workers must go on with (camcast/worker.h).
	 * rtp_sequence is the number of the packet that follows those in the log. */
	uint32_t rtp_ssrc, rtp_offset;
	uint16_t rtp_sequence;
};

struct stream {
	struct camera *camera;
	const struct config_stream *config;
	size_t index;
	unsigned number;	/* config->number */
	struct output *outputs; /* n_outputs, in the order of their framings */
	size_t n_outputs;
};

struct camera {
	const struct config_camera *config;
	size_t index;
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
	struct camera **cameras; /* by index of the configuration, as all here */
	size_t n_cameras;
	struct stream **streams; /* of all cameras */
	size_t n_streams;
	struct output **outputs; /* of all streams */
	size_t n_outputs;
	uint16_t rtsp_port; /* on which RTSP serves all streams; 0: nowhere */
};

/* Whether its units are RTP packets. */
bool output_is_rtp(const struct output *output);
/* The one with this framing; NULL: there is none. */
struct output *stream_output(const struct stream *stream, enum config_framing framing);

/* Everybody who watches a stream. Players of HLS count while they send requests, and whoever gets
 * one picture, such as a snapshot, does not. */
size_t stream_viewers(const struct stream *stream);

/* Creates everything except the workers and the feeds. config is borrowed. 0, -ENOMEM, or -EIO (the
 * kernel gives no random numbers). */
int cameras_create(struct cameras **out, const struct config *config);
/* Does not destroy workers and feeds. NULL is allowed. */
void cameras_destroy(struct cameras *cameras);

/* By their names; of the stream's, len bytes. NULL: there is none. */
struct camera *cameras_find_camera(const struct cameras *cameras, const char *name);
struct stream *cameras_find_stream(const struct cameras *cameras, const char *name, size_t len);

/* --- another configuration --- */

/*
 * The cameras of another configuration (borrowed), which config_compare() has compared with that of
 * `now`. Cameras that stay the same and streams that go on are those of `now`, everything else is
 * new. `now` is not changed. 0 or -errno, as cameras_create().
 */
int cameras_create_next(struct cameras **out, const struct cameras *now,
			const struct config *config, const struct config_changes *changes);
/* Exchanges what `now` has with what `next` has: every camera, stream and output of `now` has its
 * place in that configuration then. A second call takes it back. */
void cameras_swap(struct cameras *now, struct cameras *next);
bool cameras_have_camera(const struct cameras *cameras, const struct camera *camera);
bool cameras_have_stream(const struct cameras *cameras, const struct stream *stream);
/* Frees it, but not the cameras and streams in it. */
void cameras_free_shell(struct cameras *cameras);
/* Frees one that no struct cameras has any more. */
void camera_free(struct camera *camera);
void stream_free(struct stream *stream);

#endif
