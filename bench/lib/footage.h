/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recording in Annex B H.264, played in an endless loop. Each access unit gets the SEI of
 * camcast/sei.h as if it had just been captured. One thread.
 */
#ifndef BENCH_LIB_FOOTAGE_H
#define BENCH_LIB_FOOTAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct footage_unit {
	size_t at, len;
	size_t sei_at; /* where in the unit an SEI may stand: before the first SEI or slice */
	bool key, droppable;
};

struct footage {
	uint8_t *data;
	struct footage_unit *units;
	size_t n, room;
	size_t max_len;	    /* of a unit as footage_write() makes it */
	double mean_len;    /* the same */
	const uint8_t *sps; /* the first key unit's bytes up to sei_at, delimiter included */
	size_t sps_len;
};

/* Returns 0 or -errno; -EBADMSG: there are no units, or the first one is no key unit. */
int footage_open(struct footage *footage, const char *path);
/* The unit at that place of the recording, which repeats without end. */
const struct footage_unit *footage_at(const struct footage *footage, uint64_t place);
/* Writes that unit to out (max_len bytes of room) as number seq, captured at capture_us; returns
 * its length. */
size_t footage_write(const struct footage *footage, uint64_t place, uint64_t seq,
		     int64_t capture_us, uint8_t *out);
void footage_close(struct footage *footage);

#endif
