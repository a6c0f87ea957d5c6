/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Diagnostics: one line an event on stderr, with sd-daemon priorities ("<4>") when stderr is the
 * journal (JOURNAL_STREAM), else with a time and a word. "Log" is the media log in this project, so
 * this is "diag". Any thread; a line is one write.
 *
 * A process whose stderr is read by its parent (process/lines.h) writes "<4>text", and the parent
 * puts the rest in front of it.
 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stdbool.h>
#include <stdint.h>

enum diag_level { DIAG_ERROR, DIAG_WARN, DIAG_INFO, DIAG_DEBUG };

/* Sets what is shown (default DIAG_INFO) and the name in front of each line. Call once before
 * threads start. program is borrowed for ever. */
void diag_init(const char *program, enum diag_level shown);

/* From now on stderr is read by the parent. Call it before threads start. */
void diag_set_relayed(void);

void diag_write(enum diag_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define diag_error(...) diag_write(DIAG_ERROR, __VA_ARGS__) /* a person must act */
#define diag_warn(...) diag_write(DIAG_WARN, __VA_ARGS__)
#define diag_info(...) diag_write(DIAG_INFO, __VA_ARGS__)
#define diag_debug(...) diag_write(DIAG_DEBUG, __VA_ARGS__)

/* A line of another program, as it would write it itself. */
void diag_relay(const char *program, enum diag_level level, const char *text);

/* At most one line a period for one cause. `struct diag_limit` lives with the cause, zeroed.
 * Returns true when the caller may log now and stores in *suppressed how often it might not since
 * the last time. */
struct diag_limit {
	int64_t next_us;
	uint64_t suppressed;
};
bool diag_allowed(struct diag_limit *limit, int64_t now_us, int64_t period_us,
		  uint64_t *suppressed);

#endif
