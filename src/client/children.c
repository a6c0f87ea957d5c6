/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/children.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/memfd.h"

#define HANG_MS 3000
#define START_MS 10000 /* until the first beat: a loaded machine, a sanitizer */
#define END_MS 2000    /* from SIGTERM to SIGKILL */
#define KILLED_MS 1000 /* one in D state outlives SIGKILL */
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 10000
#define WELL_MS 30000 /* one that ran so long begins with the first backoff again */
#define TURN_MS 500
#define ABSENCE_MS 2000 /* polls further apart: the parent itself was stopped */

struct child {
	struct child_info info;
	char *name;
	char **argv;
	size_t shared_size;
	unsigned hang_ms;
	int memfd;
	struct child_header *shared;
	int pidfd; /* -1: none runs */
	bool ending, killed;
	unsigned backoff_ms; /* the next one */
	int64_t started_us;
	int64_t polled_us;
	int64_t quiet_us; /* silence counts from here on at the earliest */
	int64_t due_us;	  /* BACKOFF: of the next start; ending: of the SIGKILL */
};

static void free_argv(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

static char **copy_argv(const char *const *argv)
{
	size_t n = 0;
	char **copy;

	while (argv[n])
		n++;
	copy = calloc(n + 1, sizeof *copy);
	if (!copy)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		copy[i] = strdup(argv[i]);
		if (!copy[i]) {
			free_argv(copy);
			return NULL;
		}
	}
	return copy;
}

/* Returns the pid or -errno. */
static pid_t spawn(const struct child *child)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	pid_t pid = -1;
	int r;

	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r)
		goto destroy_actions;
	sigemptyset(&none);
	sigfillset(&all);
	/* The same number is well: that clears its CLOEXEC. What libraries of ours left open without
	 * CLOEXEC (sockets of libmosquitto, of X11) is none of the child's business. */
	r = posix_spawn_file_actions_adddup2(&actions, child->memfd, CHILD_SHARED_FD);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, CHILD_SHARED_FD + 1);
	if (!r)
		r = posix_spawnattr_setflags(&attributes,
					     POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (!r)
		r = posix_spawnattr_setsigmask(&attributes, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(&attributes, &all);
	if (!r)
		r = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, child->argv,
				environ);
	posix_spawnattr_destroy(&attributes);
destroy_actions:
	posix_spawn_file_actions_destroy(&actions);
	return r ? -r : pid;
}

static int start(struct child *child, int64_t now_us)
{
	struct child_header *shared = child->shared;
	pid_t pid;
	int err;

	atomic_store_explicit(&shared->heartbeat_us, 0, memory_order_relaxed);
	atomic_store_explicit(&shared->status_turn, 0, memory_order_relaxed);
	memset(shared->status, 0, sizeof shared->status);
	atomic_store_explicit(&shared->parent, getpid(), memory_order_release);
	pid = spawn(child);
	if (pid < 0)
		return pid;
	/* The child is ours and not reaped: the pid cannot be another's. */
	child->pidfd = pidfd_open(pid, 0);
	if (child->pidfd < 0) {
		err = -errno;
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return err;
	}
	child->info.pid = pid;
	child->info.state = CHILD_RUNNING;
	child->killed = false;
	child->started_us = child->quiet_us = now_us;
	return 0;
}

static void send_signal(struct child *child, int sig)
{
	if (pidfd_send_signal(child->pidfd, sig, NULL, 0) < 0 && errno != ESRCH)
		diag_warn("%s: cannot signal process %d: %m", child->name, (int)child->info.pid);
}

static void back_off(struct child *child, int64_t now_us)
{
	child->info.state = CHILD_BACKOFF;
	child->info.restarts++;
	child->due_us = now_us + (int64_t)child->backoff_ms * 1000;
	diag_warn("%s: %s; again in %u ms", child->name, child->info.reason, child->backoff_ms);
	child->backoff_ms =
		child->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : child->backoff_ms * 2;
}

/* The child is dead and reaped. */
static void handle_end(struct child *child, const siginfo_t *how, int64_t now_us)
{
	const char *name;

	close(child->pidfd);
	child->pidfd = -1;
	child->info.pid = 0;
	if (child->ending || (how->si_code == CLD_EXITED && how->si_status == 0)) {
		child->info.state = CHILD_ENDED;
		snprintf(child->info.reason, sizeof child->info.reason, "ended");
		return;
	}
	if (child->killed) /* the reason says why */
		;
	else if (how->si_code == CLD_EXITED)
		snprintf(child->info.reason, sizeof child->info.reason, "exit status %d",
			 how->si_status);
	else if ((name = sigabbrev_np(how->si_status)))
		snprintf(child->info.reason, sizeof child->info.reason, "killed by SIG%s", name);
	else
		snprintf(child->info.reason, sizeof child->info.reason, "killed by signal %d",
			 how->si_status);
	if (now_us - child->started_us >= WELL_MS * 1000LL)
		child->backoff_ms = BACKOFF_FIRST_MS;
	back_off(child, now_us);
}

/* Whether it has ended. */
static bool reap(struct child *child, int64_t now_us)
{
	siginfo_t how = {0};

	if (waitid(P_PIDFD, (id_t)child->pidfd, &how, WEXITED | WNOHANG) < 0) {
		if (errno != ECHILD)
			return false;
		how.si_code = CLD_KILLED; /* somebody else reaped it: how it ended is lost */
	} else if (how.si_pid == 0) {
		return false;
	}
	handle_end(child, &how, now_us);
	return true;
}

int child_create(struct child **out, const struct child_job *job)
{
	struct child *child = calloc(1, sizeof *child);
	int err;

	if (!child)
		return -ENOMEM;
	if (job->shared_size < sizeof *child->shared || job->shared_size > UINT32_MAX) {
		err = -EINVAL;
		goto free_child;
	}
	child->pidfd = -1;
	child->shared_size = job->shared_size;
	child->hang_ms = job->hang_ms ? job->hang_ms : HANG_MS;
	child->backoff_ms = BACKOFF_FIRST_MS;
	child->name = strdup(job->name);
	child->argv = copy_argv(job->argv);
	if (!child->name || !child->argv) {
		err = -ENOMEM;
		goto free_child;
	}
	child->memfd = memfd_create_fixed("camcast-child", (uint32_t)job->shared_size);
	if (child->memfd < 0) {
		err = child->memfd;
		goto free_child;
	}
	child->shared =
		mmap(NULL, child->shared_size, PROT_READ | PROT_WRITE, MAP_SHARED, child->memfd, 0);
	if (child->shared == MAP_FAILED) {
		err = -errno;
		goto close_memfd;
	}
	child->polled_us = clock_now_us();
	err = start(child, child->polled_us);
	if (err < 0)
		goto unmap;
	*out = child;
	return 0;

unmap:
	munmap(child->shared, child->shared_size);
close_memfd:
	close(child->memfd);
free_child:
	free_argv(child->argv);
	free(child->name);
	free(child);
	return err;
}

/* Waits for the child's end until deadline_us. */
static bool wait_end(struct child *child, int64_t deadline_us)
{
	for (;;) {
		int64_t left_us = deadline_us - clock_now_us();
		struct pollfd pfd = {.fd = child->pidfd, .events = POLLIN};

		if (poll(&pfd, 1, left_us > 0 ? (int)(left_us / 1000 + 1) : 0) > 0 &&
		    reap(child, clock_now_us()))
			return true;
		if (left_us <= 0)
			return false;
	}
}

void child_destroy(struct child *child)
{
	if (!child)
		return;
	child_end(child);
	if (child->pidfd >= 0 && !wait_end(child, child->due_us)) {
		send_signal(child, SIGKILL);
		if (!wait_end(child, clock_now_us() + KILLED_MS * 1000)) {
			diag_warn("%s: process %d does not die", child->name, (int)child->info.pid);
			close(child->pidfd);
		}
	}
	munmap(child->shared, child->shared_size);
	close(child->memfd);
	free_argv(child->argv);
	free(child->name);
	free(child);
}

void child_end(struct child *child)
{
	if (child->ending)
		return;
	child->ending = true;
	if (child->pidfd < 0) {
		child->info.state = CHILD_ENDED;
		return;
	}
	child->due_us = clock_now_us() + END_MS * 1000;
	send_signal(child, SIGTERM);
}

void *child_shared(struct child *child)
{
	return child->shared;
}

const struct child_info *child_info(const struct child *child)
{
	return &child->info;
}

int child_pidfd(const struct child *child)
{
	return child->pidfd;
}

/* A child that says nothing for too long is killed. */
static void check_heartbeat(struct child *child, int64_t now_us)
{
	int64_t beat_us = atomic_load_explicit(&child->shared->heartbeat_us, memory_order_relaxed);
	int64_t since_us = beat_us > child->quiet_us ? beat_us : child->quiet_us;
	unsigned limit_ms = child->hang_ms;

	if (beat_us == 0 && limit_ms < START_MS)
		limit_ms = START_MS;
	if (child->killed || now_us - since_us < (int64_t)limit_ms * 1000)
		return;
	snprintf(child->info.reason, sizeof child->info.reason, "hung: no heartbeat for %u ms",
		 limit_ms);
	child->killed = true;
	send_signal(child, SIGKILL);
}

int child_poll(struct child *child, int64_t now_us)
{
	int64_t left_us = TURN_MS * 1000;
	int err;

	if (now_us - child->polled_us > ABSENCE_MS * 1000)
		child->quiet_us = now_us;
	child->polled_us = now_us;
	if (child->info.state == CHILD_RUNNING && !reap(child, now_us)) {
		if (!child->ending) {
			check_heartbeat(child, now_us);
			return TURN_MS;
		}
		if (!child->killed && now_us >= child->due_us) {
			child->killed = true;
			send_signal(child, SIGKILL);
		}
		if (!child->killed && child->due_us - now_us < left_us)
			left_us = child->due_us - now_us;
	} else if (child->info.state == CHILD_BACKOFF) {
		if (now_us >= child->due_us) {
			err = start(child, now_us);
			if (err == 0)
				return TURN_MS;
			snprintf(child->info.reason, sizeof child->info.reason,
				 "cannot be started: %s", strerror(-err));
			back_off(child, now_us);
		}
		if (child->due_us - now_us < left_us)
			left_us = child->due_us - now_us;
	} else if (child->info.state == CHILD_ENDED) {
		return -1;
	}
	return (int)((left_us + 999) / 1000);
}

/* The status has one writer and one reader, in two processes: the reader copies it between two looks
 * at its turn, which differ, or are odd, if the writer was at it (a seqlock). */
const char *child_read_status(const struct child *child, char text[CHILD_STATUS_MAX])
{
	const struct child_header *shared = child->shared;

	/* A child killed while it writes leaves an odd turn: any text will do then. */
	for (int tries = 0; tries < 100; tries++) {
		unsigned turn = atomic_load_explicit(&shared->status_turn, memory_order_acquire);

		memcpy(text, shared->status, CHILD_STATUS_MAX);
		atomic_thread_fence(memory_order_acquire);
		if (turn % 2 == 0 &&
		    turn == atomic_load_explicit(&shared->status_turn, memory_order_relaxed))
			break;
	}
	text[CHILD_STATUS_MAX - 1] = '\0';
	return text;
}

/* --- in the child --- */

static volatile sig_atomic_t ending;

static void handle_sigterm(int sig)
{
	(void)sig;
	ending = 1;
}

int child_attach(struct child_header **shared, size_t *size)
{
	struct sigaction end = {.sa_handler = handle_sigterm};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct child_header *header;
	struct stat st;
	int err;

	if (fstat(CHILD_SHARED_FD, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof *header)
		return -EINVAL;
	header = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, CHILD_SHARED_FD,
		      0);
	if (header == MAP_FAILED)
		return -errno;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
		err = -errno;
		goto unmap;
	}
	if (getppid() != atomic_load_explicit(&header->parent, memory_order_acquire)) {
		err = -ESRCH; /* it died before that took effect */
		goto unmap;
	}
	(void)prctl(PR_SET_NAME, "camcast"); /* instead of "exe", the name of the link */
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	close(CHILD_SHARED_FD);
	child_beat(header);
	*shared = header;
	*size = (size_t)st.st_size;
	return 0;

unmap:
	munmap(header, (size_t)st.st_size);
	return err;
}

bool child_ending(void)
{
	return ending;
}

void child_beat(struct child_header *shared)
{
	atomic_store_explicit(&shared->heartbeat_us, clock_now_us(), memory_order_relaxed);
}

void child_write_status(struct child_header *shared, const char *format, ...)
{
	unsigned turn = atomic_load_explicit(&shared->status_turn, memory_order_relaxed);
	char text[CHILD_STATUS_MAX] = "";
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	atomic_store_explicit(&shared->status_turn, turn + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memcpy(shared->status, text, sizeof text);
	atomic_store_explicit(&shared->status_turn, turn + 2, memory_order_release);
}
