/* SPDX-License-Identifier: BSD-2-Clause */
/* A supervisor and its programs. They are the test itself, executed again: `TEST child HOW`, with a
 * pipe at fd 3 to say that they are there. Time is the tests': it only passes where they say so. */
#ifndef TESTS_UNIT_SUPERVISOR_RIG_H
#define TESTS_UNIT_SUPERVISOR_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "process/supervisor.h"

#define PATIENCE_MS 30000 /* deadlines are for failing */
#define MS INT64_C(1000)

extern bool kills_fail; /* SIGKILL does nothing, as to a process in D state */

struct fixture {
	struct supervisor supervisor;
	const char *program;
	const char *how;
	int64_t now_us;
	int report[2]; /* the child writes a byte once it is there */
};

/* Without and with a time within which the program must show that it lives. */
extern const struct supervisor_options usual, watched;

/* A program of that kind, which does not run yet; at the end, nobody is left. */
void begin(struct fixture *f, const char *how, const struct supervisor_options *options);
void end(struct fixture *f);
/* As supervisor_start(). */
int start(struct fixture *f);
/* Its first process, which is there. */
void begin_running(struct fixture *f, const char *how, const struct supervisor_options *options);

/* supervisor_turn() and supervisor_wait_ms() at the test's time. */
enum supervisor_event turn(struct fixture *f);
int wait_ms(const struct fixture *f);
/* Lets ms pass, in the steps that the supervisor asks for, until there is an event. */
enum supervisor_event pass_ms(struct fixture *f, int ms);

/* Until the process has ended of itself. */
void wait_end(struct fixture *f);
const char *how_it_ended(const struct fixture *f);
/* Those that were killed are looked for now and then; the real time passes meanwhile. */
void wait_nobody_left(struct fixture *f);

/* The program, for main(). how: "well" and "stubborn" run until a signal ends them, which is not
 * SIGTERM for "stubborn"; "fail" exits with status 7; "crash" dies by SIGSEGV; "talk" writes to
 * stderr and stdout and exits with 7; "mute" closes both and runs; "flood" writes without end. */
int run_child(const char *how);

#endif
