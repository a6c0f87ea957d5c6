/* SPDX-License-Identifier: BSD-2-Clause */
/* multipart/x-mixed-replace (RFC 2046 clause 5.1) of JPEGs whose parts say their length, as cameras
 * send it: each part is a unit. One thread. */
#ifndef BENCH_LIB_MULTIPART_H
#define BENCH_LIB_MULTIPART_H

#include "bench/lib/buffer.h"
#include "bench/lib/unit.h"

/* Takes all whole parts from the beginning of in and passes them on. 0, or -EBADMSG: a part has no
 * Content-Length, or an unlikely one. */
int multipart_read(struct buffer *in, unit_fn *unit, void *ctx, int64_t now_us);

#endif
