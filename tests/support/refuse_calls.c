/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a program on a kernel without Landlock or seccomp, or in a container that refuses them:
 *
 *   refuse_calls ERRNO landlock|seccomp|both PROGRAM ARGUMENTS...
 *
 * ERRNO: a number, which landlock_*() and seccomp() then return.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	/* A call that never comes takes the place of one that is not refused. */
	const unsigned never = ~0u, error = argc > 3 ? (unsigned)atoi(argv[1]) : 0;
	const int landlock = argc > 3 && strcmp(argv[2], "seccomp") != 0;
	const int seccomp = argc > 3 && strcmp(argv[2], "landlock") != 0;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ, landlock ? SYS_landlock_create_ruleset : never, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ, seccomp ? SYS_seccomp : never, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ, seccomp ? SYS_prctl : never, 0, 2),
		/* What seccomp() was before it was a call of its own. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ, PR_SET_SECCOMP, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
	};
	const struct sock_fprog filter = {.len = sizeof code / sizeof code[0], .filter = code};

	if (argc < 4) {
		fprintf(stderr, "usage: refuse_calls ERRNO landlock|seccomp|both PROGRAM...\n");
		return 2;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0) {
		perror("refuse_calls");
		return 1;
	}
	execv(argv[3], argv + 3);
	perror(argv[3]);
	return 1;
}
