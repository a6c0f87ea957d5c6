/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a program with no other system calls than those that a file names, one a line; all others
 * fail with EPERM, as with SystemCallFilter= of systemd.
 *
 *   only_calls FILE PROGRAM ARGUMENTS...
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int load(FILE *names)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = filter ? 0 : -ENOMEM;
	char name[64];

	while (err == 0 && fgets(name, sizeof name, names)) {
		int call;

		name[strcspn(name, "\n")] = '\0';
		call = seccomp_syscall_resolve_name(name);
		if (call != __NR_SCMP_ERROR)
			err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
	}
	if (err == 0)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

int main(int argc, char **argv)
{
	FILE *names = argc > 2 ? fopen(argv[1], "re") : NULL;

	if (!names || load(names) < 0) {
		fprintf(stderr, "only_calls: cannot load the filter\n");
		return 1;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
