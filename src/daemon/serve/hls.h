/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HLS of one stream, from the log of its feed of MP4 fragments: a playlist for plain and for
 * low-latency players in one, and what it names. Segments and parts are ranges of the log and go to
 * viewers by reference. Loop thread only.
 *
 * The feed is wanted from the first request for the playlist until ten seconds and a segment after
 * the last request for anything. The first request waits for a segment, 30 seconds at most. A
 * request for what comes next waits for at most three target durations.
 *
 * /STREAM.m3u8                the playlist; _HLS_msn and _HLS_part wait for a segment or part
 * /STREAM/EPOCH/init-N.mp4    an initialization section (ftyp, moov)
 * /STREAM/EPOCH/s-N.m4s       the segment that begins with unit N
 * /STREAM/EPOCH/p-N.m4s       the part that begins with unit N
 *
 * EPOCH changes with each start of camcastd, and when another configuration has key pictures at
 * other times, so that a name never means two things to a cache.
 */
#ifndef DAEMON_SERVE_HLS_H
#define DAEMON_SERVE_HLS_H

#include "daemon/serve/hls_players.h"
#include "daemon/serve/http.h"

struct hls;

/* All of it is borrowed. */
struct hls_setup {
	const struct config_stream *stream;
	const struct config_camera *camera;
	struct feed *feed;	  /* of MP4 fragments */
	struct endpoint *viewers; /* http_init_viewers(); each peer that asks takes a place */
};

/* 0 or -ENOMEM. */
int hls_create(struct hls **out, struct loop *loop, const struct hls_setup *setup);
/* Requests that wait are answered with 503. NULL is allowed. */
void hls_destroy(struct hls *hls);

/* Other settings of the stream and the camera; borrowed. */
void hls_renew(struct hls *hls, const struct config_stream *stream,
	       const struct config_camera *camera);

/* Answers a GET or HEAD of the playlist, at once or later. */
void hls_answer_playlist(struct hls *hls, const struct http_request *request,
			 struct http_question *question);
/* The same for /STREAM/name. */
void hls_answer_object(struct hls *hls, const char *name, const struct http_request *request,
		       struct http_question *question);

/* The players, each until ten seconds and a segment after its last request. Borrowed as long as
 * hls. Of NULL: none. */
const struct hls_players *hls_players_of(const struct hls *hls);

#endif
