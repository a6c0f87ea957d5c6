/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeps the limits of a folder of recordings (store.h) with a clock that may be wrong: a machine
 * without a battery starts in 1970 or at its last shutdown, and is set later. Nothing is deleted by
 * its age before the clock has gone on steadily for a while, and when it is set, the recordings
 * made before get the names that they should have had. One thread.
 */
#ifndef CLIENT_RECORD_KEEP_H
#define CLIENT_RECORD_KEEP_H

#include <stdint.h>

#include "client/record/store.h"

struct keep;

/* dir: borrowed until keep_destroy(). Recordings that are in it now were not made by this process.
 * 0 or -ENOMEM. */
int keep_create(struct keep **out, const char *dir, const struct store_limits *limits);
/* dir is another folder by now, such as another stick: nothing in it was made by this process. */
void keep_renew(struct keep *keep);
void keep_destroy(struct keep *keep);

/* To be called often, a few times a second; logs what it did. now_us: CLOCK_MONOTONIC. */
void keep_turn(struct keep *keep, int64_t now_us);

#endif
