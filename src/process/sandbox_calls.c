/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/sandbox_parts.h"

/* libseccomp's macros for a comparison with one value set no second one. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)
#define SOCKET_TYPE 0xf		  /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
#define WORD UINT64_C(0xffffffff) /* what the kernel looks at of an argument of type int */

/* LeakSanitizer looks at the threads of its process with ptrace, from a process that it clones; a
 * build with it keeps both. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER true
#else
#define SANITIZER false
#endif

/* By names, as processors and releases of Linux differ in what they have: a name that is not known
 * here is left out. */
static const char *const base_calls[] = {
	/* with each picture */
	"futex",
	"futex_time64",
	"clock_gettime",
	"clock_gettime64",
	"ioctl",
	"sendmsg",
	"recvmsg",
	"recvfrom",
	"recv",
	"sendto",
	"send",
	"read",
	"write",
	"pwritev",
	"pwritev2",
	"poll",
	"ppoll",
	"ppoll_time64",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"nanosleep",
	"mmap",
	"mmap2",
	"munmap",
	"madvise",
	"mprotect",
	"mremap",
	"brk",
	"lseek",
	"_llseek",
	/* files: Landlock decides which ones */
	"open",
	"openat",
	"openat2",
	"close",
	"close_range",
	"readv",
	"pread64",
	"preadv",
	"preadv2",
	"writev",
	"pwrite64",
	"fstat",
	"fstat64",
	"stat",
	"stat64",
	"lstat",
	"lstat64",
	"newfstatat",
	"fstatat64",
	"statx",
	"statfs",
	"statfs64",
	"fstatfs",
	"fstatfs64",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getcwd",
	"getdents",
	"getdents64",
	"dup",
	"dup2",
	"dup3",
	"pipe",
	"pipe2",
	"fcntl",
	"fcntl64",
	"flock",
	"fadvise64",
	"fadvise64_64",
	"arm_fadvise64_64",
	"ftruncate",
	"ftruncate64",
	"fallocate",
	"fsync",
	"fdatasync",
	"memfd_create",
	"msync",
	"mlock",
	"mlock2",
	"munlock",
	"umask",
	/* waiting and time */
	"select",
	"_newselect",
	"pselect6",
	"pselect6_time64",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"eventfd",
	"eventfd2",
	"signalfd4",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_settime64",
	"timerfd_gettime",
	"timerfd_gettime64",
	"clock_getres",
	"clock_getres_time64",
	"gettimeofday",
	"time",
	"times",
	"pause",
	"alarm",
	"setitimer",
	"getitimer",
	"restart_syscall",
	/* threads and signals of this process */
	"set_robust_list",
	"get_robust_list",
	"rseq",
	"membarrier",
	"futex_waitv",
	"sched_yield",
	"sched_getaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"getcpu",
	"getpriority",
	"set_tid_address",
	"arch_prctl",
	"set_thread_area",
	"set_tls",
	"cacheflush",
	"riscv_flush_icache",
	"exit",
	"exit_group",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"sigreturn",
	"rt_sigpending",
	"rt_sigtimedwait",
	"rt_sigtimedwait_time64",
	"rt_sigsuspend",
	"sigaltstack",
	"prctl",
	"wait4",
	"waitid",
	"waitpid",
	/* what it is and where it runs */
	"getpid",
	"gettid",
	"getppid",
	"getpgrp",
	"getpgid",
	"getsid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getgroups",
	"getresuid",
	"getresgid",
	"getuid32",
	"geteuid32",
	"getgid32",
	"getegid32",
	"getgroups32",
	"getresuid32",
	"getresgid32",
	"capget",
	"uname",
	"sysinfo",
	"getrandom",
	"getrusage",
	"getrlimit",
	"ugetrlimit",
	/* sockets that it has */
	"shutdown",
	"getsockopt",
	"setsockopt",
	"getsockname",
	"getpeername",
	"sendmmsg",
	"recvmmsg",
	"recvmmsg_time64",
};

static const char *const program_calls[] = {
	"fork", "vfork", "execve", "execveat", "setsid", "setpgid",
};

static const char *const signal_calls[] = {
	"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
};

/* One rule of a filter; the first failure stays in *err. */
static void rule(scmp_filter_ctx filter, int *err, uint32_t action, const char *name, unsigned n,
		 const struct scmp_arg_cmp *arguments)
{
	int call = seccomp_syscall_resolve_name(name);

	if (*err == 0 && call != __NR_SCMP_ERROR)
		*err = seccomp_rule_add_array(filter, action, call, n, arguments);
}

#define ALLOW_IF(filter, err, name, ...)                                                           \
	rule(filter, err, SCMP_ACT_ALLOW, name,                                                    \
	     sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / sizeof(struct scmp_arg_cmp),           \
	     (struct scmp_arg_cmp[]){__VA_ARGS__})

#define ALLOW_ALL(filter, err, names)                                                              \
	allow_all(filter, err, names, sizeof(names) / sizeof((names)[0]))

static void allow_all(scmp_filter_ctx filter, int *err, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rule(filter, err, SCMP_ACT_ALLOW, names[i], 0, NULL);
}

static void refuse_if(scmp_filter_ctx filter, int *err, const char *name, unsigned argument,
		      uint64_t mask, uint64_t value)
{
	const struct scmp_arg_cmp compare = {
		.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};

	rule(filter, err, SCMP_ACT_ERRNO(EPERM), name, 1, &compare);
}

/* Signals to this process only, as abort() and raise() need. */
static void allow_own_signals(scmp_filter_ctx filter, int *err)
{
	const scmp_datum_t pid = (scmp_datum_t)getpid();

	ALLOW_IF(filter, err, "tgkill", SCMP_A0_32(SCMP_CMP_EQ, pid));
	ALLOW_IF(filter, err, "kill", SCMP_A0_32(SCMP_CMP_EQ, pid));
	ALLOW_IF(filter, err, "rt_sigqueueinfo", SCMP_A0_32(SCMP_CMP_EQ, pid));
	ALLOW_IF(filter, err, "rt_tgsigqueueinfo", SCMP_A0_32(SCMP_CMP_EQ, pid));
}

static void allow_threads(scmp_filter_ctx filter, int *err, bool programs)
{
	/* glibc then uses clone(), whose flags a filter can see. */
	rule(filter, err, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
	if (SANITIZER)
		rule(filter, err, SCMP_ACT_ALLOW, "ptrace", 0, NULL);
	if (programs || SANITIZER)
		ALLOW_IF(filter, err, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0));
	else
		ALLOW_IF(filter, err, "clone",
			 SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES | CLONE_THREAD, CLONE_THREAD));
	/* Of this process, not of another by its number. */
	ALLOW_IF(filter, err, "prlimit64", SCMP_A0_32(SCMP_CMP_EQ, 0));
	ALLOW_IF(filter, err, "setpriority", SCMP_A0_32(SCMP_CMP_EQ, PRIO_PROCESS),
		 SCMP_A1_32(SCMP_CMP_EQ, 0));
	ALLOW_IF(filter, err, "sched_setaffinity", SCMP_A0_32(SCMP_CMP_EQ, 0));
	ALLOW_IF(filter, err, "sched_setscheduler", SCMP_A0_32(SCMP_CMP_EQ, 0));
}

static void allow_programs(scmp_filter_ctx filter, int *err)
{
	ALLOW_ALL(filter, err, program_calls);
	ALLOW_IF(filter, err, "socketpair", SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
	/* libcamera isolates a module without a signature by namespaces, and does not start it
	 * without them. The filter and Landlock, which the new process inherits, leave it less than
	 * they would: the call succeeds and does nothing. */
	rule(filter, err, SCMP_ACT_ERRNO(0), "unshare", 1,
	     (struct scmp_arg_cmp[]){SCMP_A0_32(SCMP_CMP_EQ, CLONE_NEWUSER | CLONE_NEWNET)});
}

static void allow_uevents(scmp_filter_ctx filter, int *err)
{
	ALLOW_IF(filter, err, "socket", SCMP_A0_32(SCMP_CMP_EQ, AF_NETLINK),
		 SCMP_A2_32(SCMP_CMP_EQ, NETLINK_KOBJECT_UEVENT));
	rule(filter, err, SCMP_ACT_ALLOW, "bind", 0, NULL);
}

static void allow_connections(scmp_filter_ctx filter, int *err, bool tcp, bool names, bool udp)
{
	static const int families[] = {AF_INET, AF_INET6};

	rule(filter, err, SCMP_ACT_ALLOW, "connect", 0, NULL);
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
		/* A look-up goes on over TCP where the answer is long. */
		if (tcp || names)
			ALLOW_IF(filter, err, "socket",
				 SCMP_A0_32(SCMP_CMP_EQ, (scmp_datum_t)families[i]),
				 SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE, SOCK_STREAM));
		if (names || udp)
			ALLOW_IF(filter, err, "socket",
				 SCMP_A0_32(SCMP_CMP_EQ, (scmp_datum_t)families[i]),
				 SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE, SOCK_DGRAM));
	}
	if (names || udp)
		rule(filter, err, SCMP_ACT_ALLOW, "bind", 0, NULL);
	if (!names)
		return;
	/* glibc asks the kernel which addresses this machine has, and local resolvers listen on
	 * Unix sockets. */
	ALLOW_IF(filter, err, "socket", SCMP_A0_32(SCMP_CMP_EQ, AF_NETLINK),
		 SCMP_A2_32(SCMP_CMP_EQ, NETLINK_ROUTE));
	ALLOW_IF(filter, err, "socket", SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
}

static void set_attributes(scmp_filter_ctx filter, int *err)
{
	/* A sanitizer may have a thread of its own. Without seccomp(), which can do it, the load
	 * gives the error that matters. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	/* Foreign architectures, such as 32-bit calls of a 64-bit process, are refused. */
	if (*err == 0)
		*err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	/* The kernel's own errors. */
	if (*err == 0)
		*err = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	/* A binary tree. Where it is not available the filter is a list in the order above. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
}

static int load(scmp_filter_ctx filter, int err)
{
	if (err == 0)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

/* Everything but what the lists allow is refused. */
static int restrict_to_needs(const struct sandbox *sandbox, bool scoped)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = 0;

	if (!filter)
		return -ENOMEM;
	set_attributes(filter, &err);
	ALLOW_ALL(filter, &err, base_calls);
	allow_threads(filter, &err, sandbox->programs);
	if (scoped)
		ALLOW_ALL(filter, &err, signal_calls);
	else
		allow_own_signals(filter, &err);
	if (sandbox->programs)
		allow_programs(filter, &err);
	if (sandbox->uevents)
		allow_uevents(filter, &err);
	if (sandbox->tcp_port || sandbox->names || sandbox->udp)
		allow_connections(filter, &err, sandbox->tcp_port != 0, sandbox->names,
				  sandbox->udp);
	return load(filter, err);
}

/* Ways to signal another process, or to type on the terminal, with calls that are needed otherwise.
 * They are a filter of their own: libseccomp allows one action for a call that
 * has no conditions. */
static int refuse_detours(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	static const uint64_t ioctls[] = {TIOCSTI, TIOCSETD, TIOCLINUX, FIOSETOWN, SIOCSPGRP};
	static const uint64_t fcntls[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG};
	int err = 0;

	if (!filter)
		return -ENOMEM;
	set_attributes(filter, &err);
	for (size_t i = 0; i < sizeof ioctls / sizeof ioctls[0]; i++)
		refuse_if(filter, &err, "ioctl", 1, WORD, ioctls[i]);
	for (size_t i = 0; i < sizeof fcntls / sizeof fcntls[0]; i++) {
		refuse_if(filter, &err, "fcntl", 1, WORD, fcntls[i]);
		refuse_if(filter, &err, "fcntl64", 1, WORD, fcntls[i]);
	}
	return load(filter, err);
}

int sandbox_restrict_calls(const struct sandbox *sandbox, bool scoped)
{
	const uint32_t action = SECCOMP_RET_ERRNO;
	int err;

	/* libseccomp has errors of its own for a kernel without seccomp. */
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		return -errno;
	err = refuse_detours();

	return err < 0 ? err : restrict_to_needs(sandbox, scoped);
}
