/* SPDX-License-Identifier: BSD-2-Clause */
/* Recordings that ffmpeg makes, and the file source that plays them in real time. They are short,
 * so that several passes fit into a second. */
#ifndef TESTS_UNIT_FILE_RIG_H
#define TESTS_UNIT_FILE_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <libavcodec/avcodec.h>

#include "capture/source/source.h"

#define FRAMES 20 /* in each recording */
#define RATE 50
#define PERIOD_US (1000000 / RATE)
#define HELD_MAX 64

/* --- recordings --- */

/* Options of ffmpeg. */
#define X264 "-c:v libx264 -preset veryfast -g 10 -bf 2 -qp 18 "

extern char folder[]; /* the recordings are in it */

/* A grey picture that gets lighter by 8 with each of its FRAMES pictures, from 40 on. */
void make(const char *name, const char *size, const char *pixels, const char *options);
void write_file(const char *name, const char *text, size_t len);
/* Returns the length, which is less than size. */
size_t read_file(const char *name, uint8_t *bytes, size_t size);

/* Of a group of tests. */
int make_recordings(void **state);
int remove_recordings(void **state);

/* --- a camera's worth of events --- */

struct seen {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n; /* pictures of either kind */
	struct {
		int64_t pts_us, capture_us, at_us;
		uint32_t duration_us; /* packets */
		bool key;
		int luma; /* of the middle, if raw */
	} pictures[1000];
	uint8_t *bytes; /* coded, one after the other */
	size_t len, sizes[1000];
	struct frame *held[HELD_MAX];
	unsigned n_held, hold; /* how many to keep */
	bool gone;
	int error;
	char why[256];
};

int luma_of(const struct frame *frame);
/* Until n pictures were seen, or the source is gone; at most 20 s. */
void wait_for(struct seen *seen, unsigned n);
/* Until no picture has come for as long as a pass takes. */
void wait_until_none_comes(struct seen *seen);

struct player {
	struct seen seen;
	bool apart; /* frames are noted in `frames`, and only packets in `seen` */
	struct seen frames;
	struct source *source;
	char path[300], why[256];
	int error;
};

void open_player(struct player *player, const char *name, bool coded, enum config_codec codec);
void close_player(struct player *player);
/* Plays until n pictures were seen. */
void play(struct player *player, const char *name, bool coded, enum config_codec codec, unsigned n);

/* --- what must hold of every recording --- */

/* One picture a period, without end: time neither jumps back nor has a gap where a pass ends. The
 * exception is a machine so slow that the source stops hurrying and moves its start. */
void assert_even(const struct seen *seen, int64_t period_us);
/* How late is up to the machine. */
void assert_never_early(const struct seen *seen);
/* Decodes what was passed on, strictly; returns the number of pictures. */
unsigned decode_all(const struct seen *seen, enum AVCodecID id);

#endif
