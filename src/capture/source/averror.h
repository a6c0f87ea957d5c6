/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors of libavformat as errno values and as texts for people. The log of libav is one for the
 * process; what a thread reads here are the lines of its own calls. Any thread.
 */
#ifndef CAPTURE_SOURCE_AVERROR_H
#define CAPTURE_SOURCE_AVERROR_H

#include <libavutil/error.h>

/* Bytes of a line, terminator included. A line may hold a URL, more than once and encoded, and only
 * a secret that is whole can be hidden: shorten it behind that. */
#define AVERROR_SAID_MAX 4096

/* From now on lines about errors are kept instead of printed. Call it before libavformat is used;
 * more than once does no harm. */
void averror_listen(void);
/* Forgets what was said so far. */
void averror_forget(void);
/* What libav last said about an error, on this thread: often the only place that names the file or
 * the answer of a server that is at fault. "": nothing. Borrowed until the next call of libav. */
const char *averror_said(void);
/* -errno; -EINVAL for libav's own errors, which are tags. */
int averror_errno(int averror);
/* Borrowed, or written to text. */
const char *averror_text(int averror, char text[AV_ERROR_MAX_STRING_SIZE]);

#endif
