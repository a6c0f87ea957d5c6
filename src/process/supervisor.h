/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One program that is kept running: started when it is due, watched, killed when it gives no sign
 * of life, started again after a delay that grows from failure to failure, and stopped. The lines
 * that it writes to stderr go through lines.h; its last ones are logged before its end is reported.
 *
 * This is a state machine that neither waits (except in supervisor_finish()) nor logs events: its
 * owner calls supervisor_turn() when supervisor_fd() is readable and after supervisor_wait_ms(),
 * and acts on the event that it returns. Times are microseconds of CLOCK_MONOTONIC. One thread,
 * which must live as long as the program: its end is what the kernel takes for our death
 * (PR_SET_PDEATHSIG).
 */
#ifndef PROCESS_SUPERVISOR_H
#define PROCESS_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/lines.h"
#include "process/spawn.h"

/* SIGKILL does not end a process that a driver holds (D state), nor is one reaped that is traced.
 * Nobody waits for such processes, but each costs memory: no more than this. */
#define SUPERVISOR_KILLED_MAX 8

/* The backoff doubles from failure to failure up to this; after a program has run for so long, the
 * next failure counts as the first. Where the options set nothing else. */
#define SUPERVISOR_BACKOFF_MAX_MS 10000
#define SUPERVISOR_HEALTHY_MS 30000

struct supervisor_options {
	uint32_t backoff_ms;	 /* the first one */
	uint32_t backoff_max_ms; /* the longest one; 0: SUPERVISOR_BACKOFF_MAX_MS */
	uint32_t healthy_ms;	 /* 0: SUPERVISOR_HEALTHY_MS */
	uint32_t start_ms;	 /* for its first sign of life; 0: none are expected */
	uint32_t stop_ms;	 /* from supervisor_stop() to SIGKILL */
	int stop_signal;	 /* 0: the owner asks it to stop by other means */
	bool exclusive; /* a killed process must be gone before the next one starts: they share
			   something */
	struct lines_options lines;
	bool lines_stdout; /* what it writes to stdout are lines, too */
};

enum supervisor_state {
	SUPERVISOR_WAITING, /* for the next start, at due_us */
	SUPERVISOR_RUNNING,
	SUPERVISOR_STOPPING, /* killed at due_us */
	SUPERVISOR_STOPPED
};

enum supervisor_event {
	SUPERVISOR_NOTHING,
	/* A start is due. The owner calls supervisor_start(), or supervisor_back_off(). */
	SUPERVISOR_DUE,
	/* No sign of life in time. The owner calls supervisor_kill(), or supervisor_beat(). */
	SUPERVISOR_SILENT,
	/* The process has ended, or was killed and is not waited for. In SUPERVISOR_WAITING its
	 * successor is scheduled; the owner may call supervisor_stop() instead. */
	SUPERVISOR_ENDED
};

/* Owners read what is above the line, and change nothing. */
struct supervisor {
	enum supervisor_state state;
	pid_t pid;	   /* 0: none runs */
	int status;	   /* at SUPERVISOR_ENDED: waitpid's, or SPAWN_STATUS_LOST */
	bool killed;	   /* by us; until the next start */
	unsigned failures; /* in a row: 1 at the first */
	uint64_t restarts; /* after the first start, the one that is waited for included */
	int64_t due_us;
	uint32_t patience_ms; /* between two signs of life; 0: none are expected */
	unsigned n_left;      /* killed processes that are not gone yet */
	/* --- below: the supervisor's --- */
	struct supervisor_options options;
	pid_t left[SUPERVISOR_KILLED_MAX];
	int events; /* epoll set of pidfd and lines; -1: none; stays open until the next start, as
		       it may be watched still */
	int pidfd;  /* -1: none */
	struct lines lines;
	bool hears;	 /* the lines are in the set */
	int64_t hear_us; /* when they are read next, else */
	bool unreapable; /* it is dead, but a tracer has to see that first */
	int64_t started_us, beat_us, left_us;
	int64_t turned_us; /* the last turn */
};

/* The first start is due at once. */
void supervisor_init(struct supervisor *supervisor, const struct supervisor_options *options);

/* Stops it, if that was not done before, and waits for the end: until supervisor_stop()'s deadline,
 * and after a SIGKILL for killed_ms more. To end many, supervisor_stop() them all first. 0: it
 * ended by itself, or none ran; 1: it had to be killed; -ETIMEDOUT: it was killed and is left
 * behind. */
int supervisor_finish(struct supervisor *supervisor, uint32_t killed_ms);

/* What has happened; call it until there is nothing more. */
enum supervisor_event supervisor_turn(struct supervisor *supervisor, int64_t now_us);
/* Readable when the process has ended or has written lines; -1: nothing to watch. Valid until the
 * next start. */
int supervisor_fd(const struct supervisor *supervisor);
/* ms until the next turn is due; -1: never. */
int supervisor_wait_ms(const struct supervisor *supervisor, int64_t now_us);

/* Starts the program: 0 or -errno of spawn_start(), or -EBUSY where SUPERVISOR_KILLED_MAX processes
 * are not gone. After an error it may be called again at once, or supervisor_back_off(). */
int supervisor_start(struct supervisor *supervisor, const struct spawn *spawn, int64_t now_us);
/* It could not be started: another failure, and another start at due_us. */
void supervisor_back_off(struct supervisor *supervisor, int64_t now_us);
/* The reason for which it could not run may be gone: a start that is waited for is due now, and the
 * next backoff is the shortest. */
void supervisor_hurry(struct supervisor *supervisor, int64_t now_us);

/* The process gave a sign of life at at_us (an older one than before counts for nothing), and the
 * next one must follow within patience_ms. Time in which we did not run ourselves is not held
 * against it. */
void supervisor_beat(struct supervisor *supervisor, int64_t at_us, uint32_t patience_ms);
/* SIGKILL: the next turn returns SUPERVISOR_ENDED, or with `exclusive` one when the process is
 * gone. Nothing where none runs. */
void supervisor_kill(struct supervisor *supervisor);
/* Asks the process to stop; supervisor_turn() kills it after stop_ms. None is started any more. */
void supervisor_stop(struct supervisor *supervisor, int64_t now_us);
/* The process that was asked to stop makes progress: it is not killed before until_us. */
void supervisor_extend(struct supervisor *supervisor, int64_t until_us);

#endif
