/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/children.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/memfd.h"
#include "process/sandbox.h"
#include "process/supervisor.h"

#define HANG_MS 3000
#define STOP_MS 2000
#define LOOK_MS 100    /* at a child that is ending */
#define START_MS 10000 /* until the first beat; long enough for a loaded machine or a sanitizer */
#define KILLED_MS 1000 /* a process in D state outlives SIGKILL */
#define TURN_MS 500
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

struct child {
	struct child_info info;
	struct supervisor supervisor;
	char *name;
	char **argv;
	size_t shared_size;
	unsigned hang_ms, stop_ms, stop_max_ms;
	int64_t end_us; /* when it was asked to end; 0: it was not */
	int memfd, fd;	/* fd: the job's */
	struct child_header *shared;
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

static void note_state(struct child *child)
{
	static const enum child_state states[] = {
		[SUPERVISOR_WAITING] = CHILD_BACKOFF,
		[SUPERVISOR_RUNNING] = CHILD_RUNNING,
		[SUPERVISOR_STOPPING] = CHILD_RUNNING,
		[SUPERVISOR_STOPPED] = CHILD_ENDED,
	};

	child->info.state = states[child->supervisor.state];
	child->info.pid = child->supervisor.pid;
}

/* Called when another start is scheduled. */
static void note_failure(struct child *child, int64_t now_us)
{
	child->info.restarts = (unsigned)child->supervisor.restarts;
	diag_warn("%s: %s; again in %u ms", child->name, child->info.reason,
		  (unsigned)((child->supervisor.due_us - now_us) / 1000));
}

static void handle_due(struct child *child, int64_t now_us)
{
	struct child_header *shared = child->shared;
	struct spawn spawn = {
		.program = "/proc/self/exe",
		.argv = child->argv,
		.fds = {child->memfd, child->fd}, /* CHILD_SHARED_FD, CHILD_OWN_FD */
		.n_fds = child->fd ? 2 : 1,
		.death_signal = SIGKILL,
	};
	int err;

	atomic_store_explicit(&shared->heartbeat_us, 0, memory_order_relaxed);
	atomic_store_explicit(&shared->status_turn, 0, memory_order_relaxed);
	memset(shared->status, 0, sizeof shared->status);
	err = supervisor_start(&child->supervisor, &spawn, now_us);
	if (err == 0)
		return;
	snprintf(child->info.reason, sizeof child->info.reason, "cannot be started: %s",
		 strerror(-err));
	supervisor_back_off(&child->supervisor, now_us);
	note_failure(child, now_us);
}

static void handle_silence(struct child *child)
{
	snprintf(child->info.reason, sizeof child->info.reason, "hung: no heartbeat for %u ms",
		 child->supervisor.patience_ms);
	supervisor_kill(&child->supervisor);
}

static void handle_end(struct child *child, int64_t now_us)
{
	struct supervisor *supervisor = &child->supervisor;

	if (supervisor->status == 0) /* it is done */
		supervisor_stop(supervisor, now_us);
	if (supervisor->state == SUPERVISOR_STOPPED) {
		snprintf(child->info.reason, sizeof child->info.reason, "ended");
		return;
	}
	if (!supervisor->killed) /* otherwise the reason is already set */
		spawn_describe(supervisor->status, child->info.reason, sizeof child->info.reason);
	note_failure(child, now_us);
}

void child_end(struct child *child)
{
	if (child->end_us == 0)
		child->end_us = clock_now_us();
	supervisor_stop(&child->supervisor, clock_now_us());
	note_state(child);
}

void *child_shared(struct child *child)
{
	return child->shared;
}

const struct child_info *child_info(const struct child *child)
{
	return &child->info;
}

int child_fd(const struct child *child)
{
	return supervisor_fd(&child->supervisor);
}

static void handle_event(struct child *child, enum supervisor_event event, int64_t now_us)
{
	switch (event) {
	case SUPERVISOR_NOTHING:
		break;
	case SUPERVISOR_DUE:
		handle_due(child, now_us);
		break;
	case SUPERVISOR_SILENT:
		handle_silence(child);
		break;
	case SUPERVISOR_ENDED:
		handle_end(child, now_us);
		break;
	}
}

/* A child that is ending has more time while it sends heartbeats. */
static void give_time(struct child *child, int64_t beat_us)
{
	int64_t until_us = beat_us + child->stop_ms * INT64_C(1000);
	int64_t last_us = child->end_us + child->stop_max_ms * INT64_C(1000);

	if (child->end_us > 0)
		supervisor_extend(&child->supervisor, until_us < last_us ? until_us : last_us);
}

int child_poll(struct child *child, int64_t now_us)
{
	int64_t beat_us = atomic_load_explicit(&child->shared->heartbeat_us, memory_order_relaxed);
	enum supervisor_event event;
	int wait_ms;

	if (beat_us > now_us) /* the child wrote it: a time in the future is invalid */
		beat_us = now_us;
	if (beat_us > 0) {
		supervisor_beat(&child->supervisor, beat_us, child->hang_ms);
		give_time(child, beat_us);
	}
	while ((event = supervisor_turn(&child->supervisor, now_us)) != SUPERVISOR_NOTHING)
		handle_event(child, event, now_us);
	note_state(child);
	if (child->info.state == CHILD_ENDED)
		return -1;
	wait_ms = supervisor_wait_ms(&child->supervisor, now_us);
	return wait_ms >= 0 && wait_ms < TURN_MS ? wait_ms : TURN_MS;
}

int child_create(struct child **out, const struct child_job *job)
{
	struct supervisor_options options = {
		.backoff_ms = 500,
		.start_ms = START_MS,
		.stop_ms = job->stop_ms ? job->stop_ms : STOP_MS,
		.stop_signal = SIGTERM,
		.exclusive = true, /* the memory */
		.lines = {.program = "camcast"},
	};
	struct child *child;
	int err = -ENOMEM;

	/* A child, which reads what strangers send, has the same user. */
	sandbox_hide_memory();
	if (job->shared_size < sizeof *child->shared || job->shared_size > UINT32_MAX)
		return -EINVAL;
	child = calloc(1, sizeof *child);
	if (!child)
		return -ENOMEM;
	child->shared_size = job->shared_size;
	child->hang_ms = job->hang_ms ? job->hang_ms : HANG_MS;
	child->stop_ms = options.stop_ms;
	child->stop_max_ms = job->stop_max_ms;
	child->fd = job->fd;
	if (options.start_ms < child->hang_ms)
		options.start_ms = child->hang_ms;
	child->name = strdup(job->name);
	child->argv = copy_argv(job->argv);
	options.lines.owner = child->name;
	supervisor_init(&child->supervisor, &options);
	if (!child->name || !child->argv)
		goto free_child;
	err = child->memfd = memfd_create_fixed("camcast-child", (uint32_t)child->shared_size);
	if (err < 0)
		goto free_child;
	child->shared =
		mmap(NULL, child->shared_size, PROT_READ | PROT_WRITE, MAP_SHARED, child->memfd, 0);
	if (child->shared == MAP_FAILED) {
		err = -errno;
		goto close_memfd;
	}
	child_poll(child, clock_now_us());
	*out = child;
	return 0;

close_memfd:
	close(child->memfd);
free_child:
	free_argv(child->argv);
	free(child->name);
	free(child);
	return err;
}

/* Until it has ended, or has to be killed. */
static void wait_for_end(struct child *child)
{
	while (child_poll(child, clock_now_us()) >= 0 && !child->supervisor.killed) {
		struct pollfd pfd = {.fd = child_fd(child), .events = POLLIN};

		poll(&pfd, 1, LOOK_MS);
	}
}

void child_destroy(struct child *child)
{
	if (!child)
		return;
	child_end(child);
	wait_for_end(child);
	if (supervisor_finish(&child->supervisor, KILLED_MS) == -ETIMEDOUT)
		diag_warn("%s: process %d does not end", child->name, (int)child->supervisor.pid);
	munmap(child->shared, child->shared_size);
	close(child->memfd);
	free_argv(child->argv);
	free(child->name);
	free(child);
}

/* The status has one writer and one reader, in two processes (a seqlock): the reader reads the turn
 * before and after the copy. If the two differ or are odd, the writer changed the status
 * meanwhile. */
const char *child_read_status(const struct child *child, char text[CHILD_STATUS_MAX])
{
	const struct child_header *shared = child->shared;

	/* A child that is killed while it writes leaves an odd turn: then the text does not
	 * matter. */
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
	int seals = fcntl(CHILD_SHARED_FD, F_GET_SEALS);
	struct child_header *header;
	struct stat st;

	/* Checks that the fd is the parent's memory, and not some other open file. */
	if (seals < 0 || fstat(CHILD_SHARED_FD, &st) < 0)
		return -errno;
	if ((seals & SEALS) != SEALS || st.st_size < (off_t)sizeof *header)
		return -EINVAL;
	header = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, CHILD_SHARED_FD,
		      0);
	if (header == MAP_FAILED)
		return -errno;
	diag_set_relayed();
	(void)prctl(PR_SET_NAME, "camcast"); /* instead of "exe", the name of the link */
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	close(CHILD_SHARED_FD);
	child_beat(header);
	*shared = header;
	*size = (size_t)st.st_size;
	return 0;
}

/* An address needs no look-up. One with a zone does: the name of an interface. */
static bool is_name(const char *host)
{
	struct in6_addr address;

	return inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1;
}

void child_confine(const char *host, uint16_t port, bool devices)
{
	static const char *const resolvers[] = {"/etc", "/run/systemd/resolve", "/run/resolvconf",
						"/run/NetworkManager", "/run/connman"};
	struct sandbox sandbox = {.tcp_port = port, .names = is_name(host)};
	char state[SANDBOX_STATE_MAX];

	sandbox_limit_memory(CHILD_DATA_MAX);
	sandbox_allow_base(&sandbox);
	/* Whole folders, as the files in them are replaced when the network changes. */
	for (size_t i = 0; sandbox.names && i < sizeof resolvers / sizeof resolvers[0]; i++)
		sandbox_allow(&sandbox, resolvers[i], SANDBOX_READ);
	if (devices) {
		sandbox_allow(&sandbox, "/dev/dri", SANDBOX_DEVICE);
		sandbox_allow_matches(&sandbox, "/dev/nvidia*", SANDBOX_DEVICE);
	}
	if (!sandbox_enter(&sandbox, state))
		diag_info("a part of this process's sandbox is missing: %s", state);
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
