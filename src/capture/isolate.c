/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/isolate.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARGUMENTS 6
#define ISOLATED (CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWNET)

static bool in_sandbox; /* written before threads start */

void isolate_in_sandbox(void)
{
	in_sandbox = true;
}

/* glibc's. */
static long forward(long number, const long *a)
{
	static _Atomic(uintptr_t) known; /* relaxed: every thread finds the same */
	uintptr_t address = atomic_load_explicit(&known, memory_order_relaxed);

	if (!address) {
		address = (uintptr_t)dlsym(RTLD_NEXT, "syscall");
		atomic_store_explicit(&known, address, memory_order_relaxed);
	}
	return ((long (*)(long, ...))address)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Whether the call starts an isolated process, and nothing else. */
static bool is_isolation(long number, const long *a)
{
	const struct clone_args *clone = (const void *)(uintptr_t)a[0];

	return number == SYS_clone3 && (size_t)a[1] >= CLONE_ARGS_SIZE_VER0 &&
	       clone->flags == ISOLATED && clone->exit_signal == SIGCHLD && clone->stack == 0;
}

long __attribute__((visibility("default"))) syscall(long number, ...)
{
	long a[ARGUMENTS], result;
	va_list arguments;

	/* A call has fewer, and the others are not looked at: as in glibc's, which reads them all.
	 */
	va_start(arguments, number);
	for (int i = 0; i < ARGUMENTS; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	result = forward(number, a);
	if (in_sandbox && result < 0 && errno == ENOSYS && is_isolation(number, a)) {
		const struct clone_args *clone = (const void *)(uintptr_t)a[0];
		/* flags, stack, where the pidfd goes; the order is the same on all processors that
		 * libcamera has. */
		const long fork[ARGUMENTS] = {CLONE_PIDFD | SIGCHLD, 0, (long)clone->pidfd};

		return forward(SYS_clone, fork);
	}
	return result;
}
