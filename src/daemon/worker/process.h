/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A supervised program on the loop: handle() is called when it ends, at the times that the
 * supervisor sets, and when its lines are logged. Loop thread only.
 */
#ifndef DAEMON_WORKER_PROCESS_H
#define DAEMON_WORKER_PROCESS_H

#include "daemon/loop/loop.h"
#include "process/supervisor.h"

struct worker_process {
	struct supervisor supervisor;
	/* Called for each event of a turn, and with SUPERVISOR_NOTHING at its end. */
	void (*handle)(struct worker_process *process, enum supervisor_event event);
	/* --- below: worker_process's --- */
	struct loop *loop;
	struct loop_watch watch; /* of supervisor_fd(); fd -1: there is none */
	struct loop_timer timer;
};

/* Nothing is due before the first worker_process_turn(). */
void worker_process_init(struct worker_process *process, struct loop *loop,
			 const struct supervisor_options *options,
			 void (*handle)(struct worker_process *process,
					enum supervisor_event event));
/* supervisor_finish() */
int worker_process_finish(struct worker_process *process, uint32_t killed_ms);

/* Handles events that are due now, and schedules later ones. Call it after supervisor_kill() and
 * supervisor_stop(), but not from handle(). */
void worker_process_turn(struct worker_process *process);
/* supervisor_hurry() */
void worker_process_hurry(struct worker_process *process);

#endif
