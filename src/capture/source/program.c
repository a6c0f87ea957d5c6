/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/text.h"
#include "base/words.h"
#include "capture/confine.h"
#include "process/pair.h"
#include "process/supervisor.h"

#define BACKOFF_MS 250
#define HEALTHY_MS 10000
#define STOP_MS 700	    /* from SIGTERM to SIGKILL */
#define FINISH_MS 1100	    /* for the launcher; the guard ends the worker after 1.5 s */
#define KILLED_MS 200	    /* for a program that was killed */
#define TELL_US 60000000    /* at most one line in this time about ends of the program */
#define PIPE_SIZE (1 << 20) /* a key picture need not wait for the reader */
#define OUTPUT_FD 3
#define EXIT_NO_EXEC 127 /* as a shell has it */

static const char self[] = "/proc/self/exe";

struct program {
	int socket; /* SOCK_SEQPACKET to the launcher */
	pid_t pid;
};

/* From the launcher: a started program, with its output; or how it ended. */
struct notice {
	bool started;
	char why[PROGRAM_WHY_SIZE];
};

/* --- the launcher --- */

struct launcher {
	const char *camera;
	char owner[CONFIG_NAME_MAX + 8]; /* "camera NAME" */
	char name[40];			 /* of the program, for people */
	char **argv;			 /* of camcast-capture: program_main()'s */
	char **words;			 /* what argv has of them */
	int socket;
	struct supervisor supervisor;
	pid_t group; /* of the newest program, which it begins with; 0: none */
	struct diag_limit tell_limit;
	bool stopping;
};

/* A full socket means that the worker does not read: it asks for nothing either. */
static void notify(const struct launcher *launcher, bool started, const char *why, int fd)
{
	struct notice notice = {.started = started};

	text_set(notice.why, sizeof notice.why, why);
	(void)pair_send(launcher->socket, &notice, sizeof notice, &fd, started);
}

static void start(struct launcher *launcher)
{
	struct spawn spawn = {
		.program = self,
		.argv = launcher->argv,
		.n_fds = 1,
		.death_signal = SIGKILL,
	};
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		supervisor_back_off(&launcher->supervisor, clock_now_us());
		return;
	}
	(void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	spawn.fds[0] = ends[1];
	r = supervisor_start(&launcher->supervisor, &spawn, clock_now_us());
	if (r == 0) {
		launcher->group = launcher->supervisor.pid;
		notify(launcher, true, "", ends[0]);
	} else {
		notify(launcher, false, strerror(-r), -1);
		supervisor_back_off(&launcher->supervisor, clock_now_us());
	}
	close(ends[0]);
	close(ends[1]);
}

/* What the program started and left behind: it may hold the camera, or the pipe. */
static void end_group(struct launcher *launcher)
{
	if (launcher->group > 0 && kill(-launcher->group, SIGKILL) < 0 && errno != ESRCH)
		diag_warn("camera %s: cannot end what %s started: %m", launcher->camera,
			  launcher->name);
	launcher->group = 0;
}

static void handle_end(struct launcher *launcher)
{
	const struct supervisor *supervisor = &launcher->supervisor;
	const int64_t now_us = clock_now_us();
	char how[64], why[PROGRAM_WHY_SIZE];
	uint64_t suppressed;

	/* The worker asked for it, and knows why. */
	if (supervisor->killed || launcher->stopping)
		return;
	spawn_describe(supervisor->status, how, sizeof how);
	snprintf(why, sizeof why, "%s ended: %s", launcher->name, how);
	notify(launcher, false, why, -1);
	if (diag_allowed(&launcher->tell_limit, now_us, TELL_US, &suppressed))
		diag_warn("camera %s: %s; camcast starts it again in %.1f s, and viewers wait",
			  launcher->camera, why, (double)(supervisor->due_us - now_us) / 1e6);
}

static void turn(struct launcher *launcher)
{
	for (;;) {
		switch (supervisor_turn(&launcher->supervisor, clock_now_us())) {
		case SUPERVISOR_NOTHING:
			return;
		case SUPERVISOR_DUE:
			start(launcher);
			break;
		case SUPERVISOR_ENDED:
			end_group(launcher);
			handle_end(launcher);
			break;
		case SUPERVISOR_SILENT:
			break;
		}
	}
}

/* False: the worker has ended, or is about to. */
static bool take_request(struct launcher *launcher)
{
	char request;
	ssize_t n = recv(launcher->socket, &request, 1, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	supervisor_kill(&launcher->supervisor);
	return true;
}

static void serve(struct launcher *launcher)
{
	const struct supervisor_options options = {
		.backoff_ms = BACKOFF_MS,
		.healthy_ms = HEALTHY_MS,
		.stop_ms = STOP_MS,
		.stop_signal = SIGTERM,
		.exclusive = true, /* the next one wants the same camera */
		.lines = {.program = launcher->name, .owner = launcher->owner},
	};

	supervisor_init(&launcher->supervisor, &options);
	do {
		struct pollfd fds[2];
		int wait_ms;

		turn(launcher);
		wait_ms = supervisor_wait_ms(&launcher->supervisor, clock_now_us());
		fds[0] = (struct pollfd){.fd = launcher->socket, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = supervisor_fd(&launcher->supervisor),
					 .events = POLLIN};
		if (poll(fds, 2, wait_ms) < 0 && errno != EINTR)
			break;
		if (!fds[0].revents)
			continue;
		launcher->stopping = !take_request(launcher);
		/* The worker has ended, and its successor will want the camera. */
		if (launcher->stopping && fds[0].revents & POLLHUP)
			supervisor_kill(&launcher->supervisor);
	} while (!launcher->stopping);
	supervisor_stop(&launcher->supervisor, clock_now_us());
	(void)supervisor_finish(&launcher->supervisor, KILLED_MS);
	end_group(launcher);
}

/* In the new process: nothing of the worker's but its standard error. It has no death signal: it
 * sees the end of the worker as that of the socket, and ends what the program has started. */
static void __attribute__((noreturn)) run_launcher(struct launcher *launcher, int close_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_NAME, "launcher");
	/* Signals of a terminal go to the worker as well, whose end is what counts. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (null >= 0)
		(void)dup2(null, STDOUT_FILENO);
	if (close_fd >= 0)
		close(close_fd);
	serve(launcher);
	_exit(0);
}

/* The words of program_main(). The launcher keeps them to its end. */
static int fill(struct launcher *launcher, const struct config_camera *camera, bool confined)
{
	static char program[] = "camcast-capture", option[] = "--program", sandbox[] = "sandbox",
		    open[] = "open";
	const char *command, *wrong;
	char **words;
	int n;

	(void)config_source_kind(camera->source, &command);
	n = words_split(&words, command, &wrong);
	if (n <= 0)
		return n < 0 ? n : -EINVAL;
	launcher->argv = calloc((size_t)n + 4, sizeof *launcher->argv);
	if (!launcher->argv) {
		free(words);
		return -ENOMEM;
	}
	launcher->argv[0] = program;
	launcher->argv[1] = option;
	launcher->argv[2] = confined ? sandbox : open;
	memcpy(launcher->argv + 3, words, (size_t)n * sizeof *words);
	launcher->words = words;
	launcher->camera = camera->name;
	snprintf(launcher->owner, sizeof launcher->owner, "camera %s", camera->name);
	wrong = strrchr(words[0], '/');
	text_set(launcher->name, sizeof launcher->name, wrong ? wrong + 1 : words[0]);
	return 0;
}

static int fork_launcher(struct program *program, struct launcher *launcher, int close_fd)
{
	int ends[2], r = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	launcher->socket = ends[1];
	program->socket = ends[0];
	program->pid = fork();
	if (program->pid == 0) {
		close(ends[0]);
		run_launcher(launcher, close_fd);
	}
	if (program->pid < 0) {
		r = -errno;
		close(ends[0]);
	}
	close(ends[1]);
	return r;
}

int program_launch(struct program **out, const struct config_camera *camera, bool confined,
		   int close_fd)
{
	struct launcher launcher = {0};
	struct program *program = malloc(sizeof *program);
	int r;

	if (!program)
		return -ENOMEM;
	r = fill(&launcher, camera, confined);
	if (r < 0)
		goto free_program;
	r = fork_launcher(program, &launcher, close_fd);
	free(launcher.words);
	free(launcher.argv);
	if (r < 0)
		goto free_program;
	*out = program;
	return 0;
free_program:
	free(program);
	return r;
}

/* --- the worker --- */

int program_receive(struct program *program, int wait_ms, int *fd, char *why)
{
	struct pollfd pfd = {.fd = program->socket, .events = POLLIN};
	struct notice notice;
	ssize_t n;

	if (poll(&pfd, 1, wait_ms) <= 0)
		return -EAGAIN;
	n = pair_receive(program->socket, &notice, sizeof notice, fd, 1, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n != sizeof notice)
		return -EPIPE;
	if (!notice.started) {
		notice.why[sizeof notice.why - 1] = '\0';
		text_clean(why, PROGRAM_WHY_SIZE, notice.why);
		return 0;
	}
	/* Without it there was no room for the descriptor. */
	return *fd < 0 ? -EAGAIN : 1;
}

void program_kill(struct program *program)
{
	(void)send(program->socket, "k", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void program_finish(struct program *program)
{
	const int64_t until_us = clock_now_us() + FINISH_MS * INT64_C(1000);
	struct pollfd pfd;
	char ignored[64];

	if (!program)
		return;
	/* It sees the end, stops the program, and closes its side. */
	shutdown(program->socket, SHUT_WR);
	pfd = (struct pollfd){.fd = program->socket, .events = POLLIN};
	while (clock_now_us() < until_us &&
	       poll(&pfd, 1, (int)((until_us - clock_now_us()) / 1000) + 1) > 0 &&
	       recv(program->socket, ignored, sizeof ignored, MSG_DONTWAIT) > 0)
		;
	close(program->socket);
	(void)waitpid(program->pid, NULL, WNOHANG); /* it is not needed any more, either way */
	free(program);
}

/* --- the program --- */

int program_main(int argc, char **argv)
{
	char path[PATH_MAX];

	if (argc < 2)
		return EXIT_NO_EXEC;
	/* The launcher ends what the program leaves behind as a group. */
	if (setpgid(0, 0) < 0)
		goto fail;
	if (words_find_program(argv[1], path) < 0)
		goto fail;
	if (dup2(OUTPUT_FD, STDOUT_FILENO) < 0)
		goto fail;
	close(OUTPUT_FD);
	if (strcmp(argv[0], "sandbox") == 0)
		confine_program(path, argv + 1);
	execv(path, argv + 1);
fail:
	diag_error("%s cannot be started: %s", argv[1], strerror(errno));
	return EXIT_NO_EXEC;
}
