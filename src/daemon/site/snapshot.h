/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single pictures of a JPEG feed over HTTP: the next whole picture, which is encoded for the
 * request where the stream is on demand, or a recent one. All requests that wait get the same
 * picture. Loop thread only.
 */
#ifndef DAEMON_SITE_SNAPSHOT_H
#define DAEMON_SITE_SNAPSHOT_H

#include "daemon/serve/http.h"

struct snapshot;

/* feed: its units are JPEGs as they are; borrowed up to its own end, when the questions that still
 * wait are answered with 503. 0 or -ENOMEM. */
int snapshot_create(struct snapshot **out, struct loop *loop, struct feed *feed);
void snapshot_destroy(struct snapshot *snapshot);

/* Answers with the next picture; or, if max_age_us is greater than 0, with the newest one where it
 * is not older than that. 503: there is none within 8 s. */
void snapshot_answer(struct snapshot *snapshot, struct http_question *question, int64_t max_age_us);

#endif
