/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log lines of a program that is not trusted: what it writes to stderr comes through a pipe,
 * and goes on to our own stderr one line at a time, with the name of the program in front, without
 * characters that control a terminal, and within a budget. Lines beyond the budget are counted, and
 * the count is logged once a minute.
 *
 * Neither side waits for the other: the end of the program is non-blocking, so that a line for
 * which the pipe has no room is lost, and lines_read() reads a bounded number of bytes.
 *
 * A line "<N>text" (sd-daemon(3)) has the level of N, between error and debug: an emergency, which
 * the journal shows on every terminal, is an error. Other lines have the level info. One thread.
 */
#ifndef PROCESS_LINES_H
#define PROCESS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The budget: so many lines at once, and after that one line in so many ms. Enough for the report
 * of a sanitizer, or for a camera that fails at each start. */
#define LINES_BURST 250
#define LINES_PERIOD_MS 2000
/* The same for a program that is asked for debug lines. */
#define LINES_BURST_VERBOSE 5000
#define LINES_PERIOD_VERBOSE_MS 50
#define LINES_MAX 900 /* bytes of a line; the rest of it is left out */

struct lines_options {
	const char *program; /* in front of each line; borrowed; NULL: the program has our stderr */
	const char *owner;   /* in front of the count, such as "camera front"; borrowed */
	bool verbose;
};

struct lines {
	struct lines_options options;
	int fd; /* our end; -1: none */
	/* --- below: the module's --- */
	char line[LINES_MAX + 1];
	size_t len;
	bool cut;	 /* the rest of this line is left out */
	int64_t paid_us; /* the budget as a time: a line is within it up to a burst ahead of now */
	uint64_t left_out; /* lines, since the count was last logged */
	int64_t tell_us;   /* when it may be logged */
};

/* There is no pipe yet. */
void lines_init(struct lines *lines, const struct lines_options *options);
/* Makes the pipe for the next process. Returns the end for its stderr, which the caller closes
 * after the start, or -errno. Closes the pipe of the last process. */
int lines_open(struct lines *lines);
/* Reads and logs what there is, at most 16 KiB. Returns the number of bytes, 0 at the end of the
 * pipe, or -EAGAIN: nothing is there. */
int lines_read(struct lines *lines, int64_t now_us);
/* The process has ended: reads and logs what is left, at most 1 MiB, and closes the pipe. Nothing
 * without one. */
void lines_close(struct lines *lines, int64_t now_us);

/* Logs how many lines were left out, if that is due. */
void lines_tell(struct lines *lines, int64_t now_us);
/* When that is; INT64_MAX: none were left out. */
int64_t lines_due_us(const struct lines *lines);

/* Takes what was read; for tests. */
void lines_take(struct lines *lines, const char *data, size_t len, int64_t now_us);

#endif
