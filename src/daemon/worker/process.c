/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker/process.h"

#include <sys/epoll.h>

static void follow(struct worker_process *process, int fd)
{
	if (fd == process->watch.fd)
		return;
	if (process->watch.fd >= 0)
		loop_watch_remove(process->loop, &process->watch);
	process->watch.fd = fd;
	/* There was no memory for the watch: the next turn tries again. */
	if (fd >= 0 && loop_watch_add(process->loop, &process->watch) < 0)
		process->watch.fd = -1;
}

void worker_process_turn(struct worker_process *process)
{
	struct supervisor *supervisor = &process->supervisor;
	int64_t now_us = loop_now_us(process->loop);
	enum supervisor_event event;
	int wait_ms;

	do {
		event = supervisor_turn(supervisor, now_us);
		/* Before handle(): a start there closes the pidfd, and may reuse its number. */
		follow(process, supervisor_fd(supervisor));
		process->handle(process, event);
	} while (event != SUPERVISOR_NOTHING);
	wait_ms = supervisor_wait_ms(supervisor, now_us);
	if (wait_ms < 0)
		loop_timer_cancel(process->loop, &process->timer);
	else
		loop_timer_set(process->loop, &process->timer, now_us + wait_ms * INT64_C(1000));
}

void worker_process_hurry(struct worker_process *process)
{
	int64_t now_us = loop_now_us(process->loop);

	supervisor_hurry(&process->supervisor, now_us);
	if (process->supervisor.state == SUPERVISOR_WAITING)
		loop_timer_set(process->loop, &process->timer, now_us);
}

static void handle_ready(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	worker_process_turn(container_of(watch, struct worker_process, watch));
}

static void handle_timer(struct loop_timer *timer)
{
	worker_process_turn(container_of(timer, struct worker_process, timer));
}

void worker_process_init(struct worker_process *process, struct loop *loop,
			 const struct supervisor_options *options,
			 void (*handle)(struct worker_process *process,
					enum supervisor_event event))
{
	supervisor_init(&process->supervisor, options);
	process->handle = handle;
	process->loop = loop;
	process->watch = (struct loop_watch){.fd = -1, .events = EPOLLIN, .ready = handle_ready};
	loop_timer_init(&process->timer, handle_timer);
}

int worker_process_finish(struct worker_process *process, uint32_t killed_ms)
{
	follow(process, -1);
	loop_timer_cancel(process->loop, &process->timer);
	return supervisor_finish(&process->supervisor, killed_ms);
}
