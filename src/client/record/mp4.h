/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragmented MP4 (ISO/IEC 14496-12, 8.8) of one video stream, through libavformat, into memory: the
 * caller gets whole fragments to write, so that a file ends at one whatever happens. One thread.
 */
#ifndef CLIENT_RECORD_MP4_H
#define CLIENT_RECORD_MP4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/stream/reader.h"

/* What a file says of its pictures at its beginning, and what cannot change within it. */
struct mp4_format;

int mp4_format_create(struct mp4_format **out);
void mp4_format_destroy(struct mp4_format *format);

/* Learns from a key unit. 1: the pictures are of another format than before (or the first), so they
 * cannot go on in the same file; 0: of the same; -EINVAL: not decodable: no parameter sets, no
 * size; -ENOMEM. */
int mp4_format_update(struct mp4_format *format, const struct reader_unit *unit);

struct mp4;

/* Begins a file of this format, which is needed no longer than the call. utc_us: of the first
 * picture; it becomes the creation time. -errno. */
int mp4_create(struct mp4 **out, const struct mp4_format *format, const char *title,
	       int64_t utc_us);
void mp4_destroy(struct mp4 *mp4);

/* Where a file can end so that its other pictures go into another one, which begins with a key
 * picture. */
struct mp4_cut {
	int64_t bytes, us; /* length and duration of the file up to there */
};

/* Begins a file in which a file that cannot grow goes on: with the pictures of full from the newest
 * fragment on disk that is followed by one that begins at a key picture. Everything since then is
 * added again, also what waits in full; take and save what it gives. title, utc_us: as those of
 * full, which can only be destroyed afterwards. 0 and *cut; -ENODATA: full has one such group of
 * pictures only, or its group is larger than what is kept (kept.h); -errno. */
int mp4_go_on(struct mp4 **out, const struct mp4 *full, const char *title, int64_t utc_us,
	      struct mp4_cut *cut);

/*
 * Adds a picture (copied) at at_us, on any clock, later than the last one. It waits until its
 * length and the time at which it is shown are known: up to the next picture or, with B pictures,
 * for ORDER_HELD_MAX at most (order.h). 0; 1: a fragment ended, take it with mp4_take(); -errno;
 * -EMSGSIZE: the pictures that wait have more than 32 MiB.
 * Fragments begin at a key unit every second or, where there is none, at the latest two seconds or
 * 16 MiB after the last.
 */
int mp4_add(struct mp4 *mp4, const struct reader_unit *unit, int64_t at_us);

/* Ends the fragment with what was added, except for pictures that wait for the ones that are shown
 * before them. The last picture gets step_us as its length. 0 or -errno. */
int mp4_end_fragment(struct mp4 *mp4, int64_t step_us);

/* Ends the fragment with all that was added, and writes the index at the end of the file (mfra).
 * Nothing can be added after it. 0 or -errno. */
int mp4_finish(struct mp4 *mp4, int64_t step_us);

/* The bytes that came since the last call, the file's header at first; borrowed until the next call
 * on mp4. len may be 0. */
const uint8_t *mp4_take(struct mp4 *mp4, size_t *len);

/* Everything that mp4_take() gave is on disk. */
void mp4_saved(struct mp4 *mp4);

/* From the first picture to the end of the last one whose times are known. */
int64_t mp4_duration_us(const struct mp4 *mp4);

#endif
