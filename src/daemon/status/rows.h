/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Definitions shared by the rows_*.c: macros for a row's type and for the field that it reads. Each
 * kind of object has one table; counters.c joins them.
 */
#ifndef DAEMON_STATUS_ROWS_H
#define DAEMON_STATUS_ROWS_H

#include "daemon/status/counters.h"

/* A field of `structure`, which the function `where` returns. */
#define FIELD(where, structure, field)                                                             \
	.in = (where), .offset = offsetof(structure, field), .size = sizeof((structure *)0)->field

#define TEXT .type = COUNTER_TEXT
#define BOOL .type = COUNTER_BOOL
#define GAUGE .type = COUNTER_GAUGE
#define COUNTER .type = COUNTER_COUNTER
#define GROUP .type = COUNTER_GROUP

#define ROWS(array) .rows = (array), .n_rows = sizeof(array) / sizeof(array)[0]

extern const struct counter_table rows_server, rows_mqtt;   /* rows_server.c */
extern const struct counter_table rows_camera, rows_stream; /* rows_camera.c */
extern const struct counter_table rows_push;		    /* rows_push.c */
extern const struct counter_table rows_feed, rows_client;   /* rows_feed.c */

/* For rows in milliseconds; the result is 0 for a time in the past. */
static inline double milliseconds(int64_t us)
{
	return us > 0 ? (double)(us / 1000) : 0;
}

#endif
