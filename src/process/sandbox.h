/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes away what a process does not need, before it reads a byte that a stranger made: files
 * (Landlock), system calls (seccomp), capabilities, and the readability of its memory. A kernel or
 * a container without one of these gives the others, and the state says what is missing.
 *
 * Call it while the process has one thread: Landlock covers the calling thread and those that it
 * starts. A refused system call returns EPERM and a refused file EACCES; nothing is killed.
 *
 * Sources: Documentation/userspace-api/landlock.rst and seccomp_filter.rst of Linux.
 */
#ifndef PROCESS_SANDBOX_H
#define PROCESS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SANDBOX_PATHS_MAX 160
#define SANDBOX_STATE_MAX 128 /* bytes of a state, terminator included */

enum sandbox_rights {
	SANDBOX_READ = 1,    /* files and folders below it */
	SANDBOX_LIST = 2,    /* the names in it and below it, not what the files contain */
	SANDBOX_DEVICE = 8,  /* read and write, ioctl() */
	SANDBOX_EXECUTE = 16 /* read, and execute programs below it; needs `programs` */
};

struct sandbox {
	struct sandbox_path {
		int fd; /* O_PATH */
		unsigned rights;
	} paths[SANDBOX_PATHS_MAX];
	size_t n_paths;
	bool programs;	   /* fork and exec; without Landlock, of any program */
	bool uevents;	   /* netlink sockets for the kernel's and udev's news of devices */
	uint16_t tcp_port; /* it may connect to this port; 0: no connections */
	bool names;	   /* it may look up names, which needs further sockets */
	bool udp;	   /* it may send and receive UDP */
};

/* Adds a rule for a path and, if it is a folder, for everything below it. A path that does not
 * exist needs no rule. Symbolic links are followed now. More than SANDBOX_PATHS_MAX paths are
 * ignored: what is not added is refused. */
void sandbox_allow(struct sandbox *sandbox, const char *path, unsigned rights);
/* The same for each path that matches a glob(7) pattern. Returns how many do. */
size_t sandbox_allow_matches(struct sandbox *sandbox, const char *pattern, unsigned rights);
/* What every program needs: libraries, /sys, its own /proc, /dev/null, the time zone. */
void sandbox_allow_base(struct sandbox *sandbox);

/* Sets `names`, and allows the files that a look-up of a name reads. */
void sandbox_allow_names(struct sandbox *sandbox);

/* Enters the sandbox for good, and closes the fds of its paths. state: what is in force, and what
 * is missing and why, such as "seccomp, landlock 6" or "seccomp, no landlock: Function not
 * implemented; files are not restricted". Returns whether nothing is missing. */
bool sandbox_enter(struct sandbox *sandbox, char state[SANDBOX_STATE_MAX]);

/* Makes the memory of this process unreadable for others of the same user (PR_SET_DUMPABLE): no
 * ptrace, no /proc/PID/mem, and no core dump. execve() undoes it. */
void sandbox_hide_memory(void);
/* Limits the memory of this process to `bytes` of data (RLIMIT_DATA, getrlimit(2)), and its core
 * dumps to none. A build with a sanitizer, which maps more than any limit, does nothing. */
void sandbox_limit_memory(uint64_t bytes);
/* The kernel, when memory runs out, ends this process before camcastd and its viewers. A child of
 * camcastd does this itself, before its memory is hidden: with the memory of a process, its files
 * in /proc belong to root, and camcastd, whose memory is hidden and shared with a child up to exec,
 * may not open them. Without /proc, or below a raised floor, it stays as it was. */
void sandbox_raise_oom_score(void);

#endif
