/* SPDX-License-Identifier: BSD-2-Clause */
#include "process/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"

#define LOOK_US 500000	   /* between turns in which no descriptor reports a change */
#define LOOK_MIN_US 10000  /* first look for one that was killed */
#define ABSENCE_US 1500000 /* turns further apart: we were stopped ourselves */
/* From one read of lines to the next: a process that writes without end has a small share of our
 * time. */
#define HEAR_US 10000

void supervisor_init(struct supervisor *supervisor, const struct supervisor_options *options)
{
	*supervisor = (struct supervisor){.options = *options, .events = -1, .pidfd = -1};
	if (options->backoff_max_ms == 0)
		supervisor->options.backoff_max_ms = SUPERVISOR_BACKOFF_MAX_MS;
	if (options->healthy_ms == 0)
		supervisor->options.healthy_ms = SUPERVISOR_HEALTHY_MS;
	lines_init(&supervisor->lines, &options->lines);
}

static int64_t earlier(int64_t a_us, int64_t b_us)
{
	return a_us < b_us ? a_us : b_us;
}

/* --- its lines --- */

static int set_event(struct supervisor *supervisor, int operation, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(supervisor->events, operation, fd, &event) < 0 ? -errno : 0;
}

static void hear_last(struct supervisor *supervisor, int64_t now_us)
{
	if (supervisor->hears)
		(void)set_event(supervisor, EPOLL_CTL_DEL, supervisor->lines.fd);
	supervisor->hears = false;
	lines_close(&supervisor->lines, now_us);
}

/* Reads the lines that there are, and waits for the next ones, or for the time to read again. */
static void hear(struct supervisor *supervisor, int64_t now_us)
{
	struct lines *lines = &supervisor->lines;
	int n;

	lines_tell(lines, now_us);
	if (lines->fd < 0 || (!supervisor->hears && now_us < supervisor->hear_us))
		return;
	n = lines_read(lines, now_us);
	if (n == -EAGAIN) {
		if (!supervisor->hears)
			supervisor->hears = set_event(supervisor, EPOLL_CTL_ADD, lines->fd) == 0;
	} else if (supervisor->hears) {
		(void)set_event(supervisor, EPOLL_CTL_DEL, lines->fd);
		supervisor->hears = false;
	}
	if (n == 0 || (n < 0 && n != -EAGAIN)) /* it has closed its stderr */
		hear_last(supervisor, now_us);
	supervisor->hear_us = now_us + HEAR_US;
}

/* --- the process --- */

static void send_signal(const struct supervisor *supervisor, int sig)
{
	if (pidfd_send_signal(supervisor->pidfd, sig, NULL, 0) < 0 && errno != ESRCH)
		diag_warn("cannot signal process %d: %m", (int)supervisor->pid);
}

/* Whether it has ended; it is reaped then. */
static bool reap(struct supervisor *supervisor)
{
	struct pollfd pfd = {.fd = supervisor->pidfd, .events = POLLIN};
	pid_t pid;

	if (poll(&pfd, 1, 0) <= 0)
		return false;
	pid = waitpid(supervisor->pid, &supervisor->status, WNOHANG);
	supervisor->unreapable = pid == 0;
	if (pid == 0)
		return false;
	if (pid < 0) /* ECHILD: SIGCHLD is ignored in this process */
		supervisor->status = SPAWN_STATUS_LOST;
	supervisor->pid = 0;
	return true;
}

static void reap_left(struct supervisor *supervisor)
{
	unsigned n = 0;

	for (unsigned i = 0; i < supervisor->n_left; i++)
		if (waitpid(supervisor->left[i], NULL, WNOHANG) == 0)
			supervisor->left[n++] = supervisor->left[i];
	supervisor->n_left = n;
}

/* supervisor_start() sees to it that there is a place. */
static void leave(struct supervisor *supervisor, int64_t now_us)
{
	supervisor->left[supervisor->n_left++] = supervisor->pid;
	supervisor->left_us = now_us;
	supervisor->pid = 0;
}

static void forget(struct supervisor *supervisor)
{
	if (supervisor->pidfd >= 0)
		close(supervisor->pidfd);
	if (supervisor->events >= 0)
		close(supervisor->events);
	supervisor->pidfd = supervisor->events = -1;
}

/* The pid, or -errno. What it leaves open, forget() and hear_last() close. */
static pid_t start(struct supervisor *supervisor, const struct spawn *given)
{
	struct spawn spawn = *given;
	pid_t pid;

	supervisor->events = epoll_create1(EPOLL_CLOEXEC);
	if (supervisor->events < 0)
		return -errno;
	if (supervisor->options.lines.program) {
		spawn.log = lines_open(&supervisor->lines);
		spawn.log_stdout = supervisor->options.lines_stdout;
		if (spawn.log < 0)
			return spawn.log;
	}
	pid = spawn_start(&spawn, &supervisor->pidfd);
	if (spawn.log > 0)
		close(spawn.log);
	return pid;
}

int supervisor_start(struct supervisor *supervisor, const struct spawn *spawn, int64_t now_us)
{
	pid_t pid;
	int err;

	forget(supervisor);
	if (supervisor->n_left == SUPERVISOR_KILLED_MAX)
		return -EBUSY;
	pid = start(supervisor, spawn);
	if (pid < 0) {
		hear_last(supervisor, now_us);
		return pid;
	}
	err = set_event(supervisor, EPOLL_CTL_ADD, supervisor->pidfd);
	if (err < 0) { /* no memory */
		(void)pidfd_send_signal(supervisor->pidfd, SIGKILL, NULL, 0);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		hear_last(supervisor, now_us);
		return err;
	}
	supervisor->state = SUPERVISOR_RUNNING;
	supervisor->pid = pid;
	supervisor->killed = supervisor->unreapable = false;
	supervisor->started_us = supervisor->turned_us = supervisor->beat_us = now_us;
	supervisor->patience_ms = supervisor->options.start_ms;
	supervisor->hear_us = now_us;
	return 0;
}

void supervisor_kill(struct supervisor *supervisor)
{
	if (supervisor->pid == 0)
		return;
	supervisor->killed = true;
	send_signal(supervisor, SIGKILL);
}

void supervisor_stop(struct supervisor *supervisor, int64_t now_us)
{
	if (supervisor->state >= SUPERVISOR_STOPPING)
		return;
	if (supervisor->pid == 0) {
		supervisor->state = SUPERVISOR_STOPPED;
		supervisor->killed = false;
		return;
	}
	supervisor->state = SUPERVISOR_STOPPING;
	supervisor->due_us = now_us + supervisor->options.stop_ms * INT64_C(1000);
	if (supervisor->options.stop_signal)
		send_signal(supervisor, supervisor->options.stop_signal);
}

void supervisor_extend(struct supervisor *supervisor, int64_t until_us)
{
	if (supervisor->state == SUPERVISOR_STOPPING && until_us > supervisor->due_us)
		supervisor->due_us = until_us;
}

static bool ends_before(struct supervisor *supervisor, int64_t deadline_us)
{
	struct pollfd pfd = {.fd = supervisor->pidfd, .events = POLLIN};
	int64_t left_us;

	do {
		left_us = deadline_us - clock_now_us();
		if (left_us > 0)
			poll(&pfd, 1, (int)(left_us / 1000 + 1));
		if (reap(supervisor))
			return true;
	} while (left_us > 0 && !supervisor->unreapable);
	return false;
}

int supervisor_finish(struct supervisor *supervisor, uint32_t killed_ms)
{
	bool left = false;

	supervisor_stop(supervisor, clock_now_us());
	if (supervisor->pid > 0 && !ends_before(supervisor, supervisor->due_us)) {
		supervisor_kill(supervisor);
		left = !ends_before(supervisor, clock_now_us() + killed_ms * INT64_C(1000));
	}
	reap_left(supervisor);
	hear_last(supervisor, clock_now_us());
	lines_tell(&supervisor->lines, supervisor->lines.tell_us);
	forget(supervisor);
	supervisor->state = SUPERVISOR_STOPPED;
	return left ? -ETIMEDOUT : supervisor->killed;
}

/* --- when --- */

void supervisor_back_off(struct supervisor *supervisor, int64_t now_us)
{
	const int64_t max_ms = supervisor->options.backoff_max_ms;
	int64_t delay_ms = supervisor->options.backoff_ms;

	for (unsigned i = 0; i < supervisor->failures && delay_ms < max_ms; i++)
		delay_ms = earlier(delay_ms * 2, max_ms);
	supervisor->failures++;
	supervisor->restarts++;
	supervisor->due_us = now_us + delay_ms * 1000;
	supervisor->state = SUPERVISOR_WAITING;
}

void supervisor_hurry(struct supervisor *supervisor, int64_t now_us)
{
	supervisor->failures = 0;
	if (supervisor->state == SUPERVISOR_WAITING)
		supervisor->due_us = now_us;
}

void supervisor_beat(struct supervisor *supervisor, int64_t at_us, uint32_t patience_ms)
{
	if (at_us > supervisor->beat_us)
		supervisor->beat_us = at_us;
	supervisor->patience_ms = patience_ms;
}

static int64_t silent_us(const struct supervisor *supervisor)
{
	return supervisor->beat_us + supervisor->patience_ms * INT64_C(1000);
}

static enum supervisor_event turn_running(struct supervisor *supervisor, int64_t now_us)
{
	bool ended = reap(supervisor);

	if (!ended && supervisor->killed && !supervisor->options.exclusive) {
		leave(supervisor, now_us);
		ended = true;
	}
	if (ended) {
		hear_last(supervisor, now_us);
		if (now_us - supervisor->started_us >=
		    supervisor->options.healthy_ms * INT64_C(1000))
			supervisor->failures = 0;
		supervisor_back_off(supervisor, now_us);
		return SUPERVISOR_ENDED;
	}
	if (supervisor->patience_ms > 0 && !supervisor->killed && now_us >= silent_us(supervisor))
		return SUPERVISOR_SILENT;
	return SUPERVISOR_NOTHING;
}

static enum supervisor_event turn_stopping(struct supervisor *supervisor, int64_t now_us)
{
	if (reap(supervisor)) {
		hear_last(supervisor, now_us);
		supervisor->state = SUPERVISOR_STOPPED;
		return SUPERVISOR_ENDED;
	}
	if (!supervisor->killed && now_us >= supervisor->due_us)
		supervisor_kill(supervisor);
	return SUPERVISOR_NOTHING;
}

enum supervisor_event supervisor_turn(struct supervisor *supervisor, int64_t now_us)
{
	if (now_us - supervisor->turned_us > ABSENCE_US)
		supervisor_beat(supervisor, now_us, supervisor->patience_ms);
	supervisor->turned_us = now_us;
	reap_left(supervisor);
	hear(supervisor, now_us);
	switch (supervisor->state) {
	case SUPERVISOR_WAITING:
		return now_us >= supervisor->due_us ? SUPERVISOR_DUE : SUPERVISOR_NOTHING;
	case SUPERVISOR_RUNNING:
		return turn_running(supervisor, now_us);
	case SUPERVISOR_STOPPING:
		return turn_stopping(supervisor, now_us);
	case SUPERVISOR_STOPPED:
		break;
	}
	return SUPERVISOR_NOTHING;
}

int supervisor_fd(const struct supervisor *supervisor)
{
	return supervisor->pid > 0 && !supervisor->unreapable ? supervisor->events : -1;
}

int supervisor_wait_ms(const struct supervisor *supervisor, int64_t now_us)
{
	int64_t look_us = supervisor->turned_us + LOOK_US, at_us = INT64_MAX;

	if (supervisor->state == SUPERVISOR_WAITING ||
	    (supervisor->state == SUPERVISOR_STOPPING && !supervisor->killed))
		at_us = supervisor->due_us;
	else if (supervisor->state == SUPERVISOR_RUNNING && supervisor->killed)
		at_us = supervisor->options.exclusive ? INT64_MAX : now_us;
	else if (supervisor->state == SUPERVISOR_RUNNING && supervisor->patience_ms > 0)
		at_us = earlier(silent_us(supervisor), look_us);
	if (supervisor->unreapable)
		at_us = earlier(at_us, look_us);
	if (supervisor->lines.fd >= 0 && !supervisor->hears)
		at_us = earlier(at_us, supervisor->hear_us);
	at_us = earlier(at_us, lines_due_us(&supervisor->lines));
	if (supervisor->n_left > 0) {
		/* As long again as it has been: most are gone in a moment, the others stay. */
		int64_t since_us = supervisor->turned_us - supervisor->left_us + LOOK_MIN_US;

		at_us = earlier(at_us, earlier(look_us, supervisor->turned_us + since_us));
	}
	if (at_us == INT64_MAX)
		return -1;
	return at_us <= now_us ? 0 : (int)((at_us - now_us + 999) / 1000);
}
