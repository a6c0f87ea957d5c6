/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A player of HLS that keeps time, over one connection that stays open. It loads the playlist,
 * begins as far from the end as the playlist says, and loads each object once, in order. The first
 * object starts its clock, from which the moment follows at which each further one has to be there.
 * If an object comes later, the player would have stopped: that is counted, and the clock is set
 * back by the delay.
 *
 * With low latency, each reload of the playlist waits at the server for the next part. Without it,
 * the playlist is loaded each target duration, or after half of that if there was nothing new.
 *
 * Objects are fragmented MP4, or MPEG-TS if the name ends in ".ts". One thread.
 */
#ifndef BENCH_LIB_HLS_H
#define BENCH_LIB_HLS_H

#include <stdbool.h>

#include "bench/lib/buffer.h"
#include "bench/lib/hist.h"
#include "bench/lib/unit.h"

/* The results of all players. */
struct hls_tally {
	bool timing; /* count */
	/* Answers; objects that came too late to be shown in time; answers other than 200; times
	 * that a player lost its place in the playlist. */
	uint64_t playlists, objects, late, failed, lost;
	struct hist answer;  /* request of an object to its last byte */
	struct hist late_by; /* of late objects */
	/* Capture of an object's first picture until it is shown. From the units' SEI: only of
	 * players that pass on units. */
	struct hist shown;
};

struct hls_player;

/* host, path, tally, out (to be sent to the server) and ctx are borrowed. plain: whole segments
 * only. */
struct hls_player *hls_create(const char *host, const char *path, struct hls_tally *tally,
			      struct buffer *out, bool plain, unit_fn *unit, void *ctx);
/* NULL is allowed. */
void hls_destroy(struct hls_player *player);
/* Asks for what is due. */
void hls_tick(struct hls_player *player, int64_t now_us);
/* Takes bytes from the beginning of in; more may have to come before the others are taken. 0, or
 * -EBADMSG. */
int hls_received(struct hls_player *player, struct buffer *in, int64_t now_us);
/* Passes on no units from now on. */
void hls_stop_passing(struct hls_player *player);
/* The number of bytes that come next and that would be neither passed on nor read. */
size_t hls_skippable(const struct hls_player *player);
void hls_skipped(struct hls_player *player, size_t n, int64_t now_us);

#endif
