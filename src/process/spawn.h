/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting a program of ours beside this process: with the descriptors that it is given and no
 * others, signals as after login, and never outliving us. Any thread.
 */
#ifndef PROCESS_SPAWN_H
#define PROCESS_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#define SPAWN_FDS_MAX 4

struct spawn {
	const char *program; /* path */
	char *const *argv;   /* argv[0] included */
	int fds[SPAWN_FDS_MAX];
	unsigned n_fds;	  /* fds[i] is dupped to 3 + i in the child */
	int log;	  /* its stderr, and its stdin is /dev/null; 0: all three are ours */
	bool log_stdout;  /* log is its stdout, too */
	int death_signal; /* what it gets when the calling thread ends */
	rlim_t data_max;  /* bytes of RLIMIT_DATA, getrlimit(2); 0: as ours */
	uid_t uid;	  /* its user, with gid and no other groups; 0: our own */
	gid_t gid;
};

/* The pid, and in *pidfd a descriptor of the process (CLOEXEC, the caller's); or -errno (of exec
 * too: then the path is at fault). Blocks until exec, mostly less than a millisecond, but 50 ms at
 * most: a child that has not come to exec by then counts as started, and if exec fails later, it
 * ends with exit status 127. */
pid_t spawn_start(const struct spawn *spawn, int *pidfd);

/* For a status that nobody can tell: somebody else has reaped the process. */
#define SPAWN_STATUS_LOST (-1)

/* "exit status 1", "killed by SIGSEGV (core dumped)", of waitpid's status or SPAWN_STATUS_LOST */
void spawn_describe(int status, char *text, size_t size);

#endif
