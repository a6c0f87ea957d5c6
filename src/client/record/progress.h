/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line on the terminal that says each second what is being recorded. It stands below the line
 * where the cursor waits, so that what other processes log there needs no knowledge of it. One
 * thread.
 */
#ifndef CLIENT_RECORD_PROGRESS_H
#define CLIENT_RECORD_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	bool on, drawn;
	int64_t drawn_us;
	uint64_t units, bytes; /* when it was drawn */
};

/* Nothing is drawn unless stderr is a terminal. */
void progress_init(struct progress *progress);

/* To be called often. n: servers that are recorded; units, bytes: received from all of them since
 * the start. now_us: CLOCK_MONOTONIC. */
void progress_turn(struct progress *progress, size_t n, uint64_t units, uint64_t bytes,
		   int64_t now_us);

/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
