/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LD_PRELOAD library that plays a captured camcast-capture: after it has sent a number of messages
 * to camcastd, as its decoder or its camera's driver would be taken over by a hostile picture, it
 * tries once what a captured process would try, and goes on with its work. It writes a line for
 * each attempt to stderr: "attack NAME: done", or "attack NAME: EPERM" with what the kernel says.
 *
 *   cc -shared -fPIC -o captured.so captured.c -ldl
 *   ATTACK_SECRET=FILE ATTACK_PORT=PORT LD_PRELOAD=./captured.so camcast-capture ...
 *
 * With ATTACK_COMMAND=view-child or record-child it plays that process of `camcast`, after it has
 * received a number of times.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAMCAST_WORKER_FD 3
#define MESSAGES 100 /* before the attack */
#define RECEIPTS 20

static atomic_bool is_child; /* ATTACK_COMMAND */

static pid_t parent;
static void *parents_memory; /* an address in its heap */

/* Each returns a value below 0, with errno, if it is refused. */

static int read_mem(void)
{
	char path[64], byte;
	int fd, r;

	snprintf(path, sizeof path, "/proc/%d/mem", parent);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fd;
	r = (int)pread(fd, &byte, 1, (off_t)(uintptr_t)parents_memory);
	close(fd);
	return r;
}

static int read_maps(void)
{
	char path[64], line[256];
	unsigned long start = 0;
	FILE *maps;

	snprintf(path, sizeof path, "/proc/%d/maps", parent);
	maps = fopen(path, "re");
	if (!maps)
		return -1;
	while (fgets(line, sizeof line, maps))
		if (strstr(line, "[heap]"))
			start = strtoul(line, NULL, 16);
	fclose(maps);
	memcpy(&parents_memory, &start, sizeof start);
	if (!start)
		errno = EFAULT;
	return start ? 0 : -1;
}

static int read_vm(void)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {parents_memory, 1};

	return (int)process_vm_readv(parent, &here, 1, &there, 1, 0);
}

static int write_vm(void)
{
	char byte = 0;
	struct iovec here = {&byte, 1}, there = {parents_memory, 1};

	/* Nothing changes: the bytes that were read are written back. */
	(void)process_vm_readv(parent, &here, 1, &there, 1, 0);
	return (int)process_vm_writev(parent, &here, 1, &there, 1, 0);
}

static int attach(void)
{
	if (ptrace(PTRACE_SEIZE, parent, NULL, NULL) < 0)
		return -1;
	if (ptrace(PTRACE_INTERRUPT, parent, NULL, NULL) == 0 && waitpid(parent, NULL, __WALL) > 0)
		ptrace(PTRACE_DETACH, parent, NULL, NULL);
	return 0;
}

static int stop_parent(void)
{
	if (kill(parent, SIGSTOP) < 0)
		return -1;
	return kill(parent, SIGCONT);
}

static int stop_thread(void)
{
	return (int)syscall(SYS_tgkill, parent, parent, SIGCONT);
}

/* The kernel sends the signal when the socket has news. */
static int signal_by_socket(void)
{
	return fcntl(CAMCAST_WORKER_FD, F_SETOWN, parent) < 0
		       ? -1
		       : fcntl(CAMCAST_WORKER_FD, F_SETSIG, SIGSTOP);
}

static int limit_parent(void)
{
	struct rlimit limit;

	if (prlimit(parent, RLIMIT_NPROC, NULL, &limit) < 0)
		return -1;
	return prlimit(parent, RLIMIT_NPROC, &limit, NULL);
}

static int take_fd(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, parent, 0);

	return pidfd < 0 ? pidfd : (int)syscall(SYS_pidfd_getfd, pidfd, 1, 0);
}

static int run_shell(void)
{
	char *argv[] = {"sh", "-c", "exit 0", NULL};
	int pipe_fds[2], error = 0;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		execv("/bin/sh", argv);
		error = errno;
		(void)!write(pipe_fds[1], &error, sizeof error);
		_exit(127);
	}
	error = pid < 0 ? errno : 0;
	close(pipe_fds[1]);
	if (pid > 0) {
		(void)!read(pipe_fds[0], &error, sizeof error);
		waitpid(pid, NULL, 0);
	}
	close(pipe_fds[0]);
	errno = error;
	return error ? -1 : 0;
}

static int execute(void)
{
	char *argv[] = {NULL}, *envp[] = {NULL};

	/* Nothing is executed: with a wrong address it fails after the filter, with EFAULT. */
	(void)syscall(SYS_execve, 1L, argv, envp);
	return errno == EFAULT ? 0 : -1;
}

static int connect_somewhere(void)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(getenv("ATTACK_PORT"))),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return fd;
	r = connect(fd, (struct sockaddr *)&to, sizeof to);
	close(fd);
	return r;
}

static int open_unix(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd;
}

/* In a queue of its own, descriptors would stay in flight, of which all workers have a number. */
static int make_pair(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static int set_up_ring(void)
{
	char params[120] = "";
	int fd = (int)syscall(SYS_io_uring_setup, 1, params);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int read_secret(void)
{
	return try_open(getenv("ATTACK_SECRET"), O_RDONLY);
}

static int write_secret(void)
{
	return try_open(getenv("ATTACK_SECRET"), O_WRONLY);
}

static int write_tmp(void)
{
	char path[64];
	int r;

	snprintf(path, sizeof path, "/tmp/camcast-attack-%d", getpid());
	r = try_open(path, O_WRONLY | O_CREAT);
	if (r >= 0)
		unlink(path);
	return r;
}

static int read_parents_environment(void)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/environ", parent);
	return try_open(path, O_RDONLY);
}

static int open_handle(void)
{
	struct {
		struct file_handle head;
		char bytes[MAX_HANDLE_SZ];
	} handle = {.head.handle_bytes = MAX_HANDLE_SZ};
	int mount_id;

	return name_to_handle_at(AT_FDCWD, "/", &handle.head, &mount_id, 0);
}

static int make_namespace(void)
{
	return unshare(CLONE_NEWNS);
}

static int mount_tmpfs(void)
{
	/* Refused for a wrong address, if it is not refused before. */
	return mount((const char *)1, "/tmp", "tmpfs", 0, NULL) < 0 && errno == EFAULT ? 0 : -1;
}

static int type_on_terminal(void)
{
	return ioctl(STDERR_FILENO, TIOCSTI, "x") < 0 && errno == ENOTTY ? 0 : -1;
}

static int load_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EPERM ? -1 : 0;
}

static int handle_faults(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int count_events(void)
{
	return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0) < 0 && errno == EFAULT ? 0 : -1;
}

static int read_keys(void)
{
	return (int)syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -4 /* of the user */, 1);
}

static int raise_and_return(void)
{
	return raise(SIGCONT); /* to itself: this one is allowed */
}

/* A worker may name the group of a device that it may not open. */
static int name_group(void)
{
	errno = ENOENT;
	return getgrgid(0) ? 0 : -1;
}

static const struct attack {
	const char *name;
	int (*attempt)(void);
} attacks[] = {
	{"read-maps", read_maps},
	{"read-mem", read_mem},
	{"process-vm-readv", read_vm},
	{"process-vm-writev", write_vm},
	{"ptrace", attach},
	{"read-environment", read_parents_environment},
	{"kill", stop_parent},
	{"tgkill", stop_thread},
	{"signal-by-socket", signal_by_socket},
	{"limit", limit_parent},
	{"take-fd", take_fd},
	{"shell", run_shell},
	{"execve", execute},
	{"connect", connect_somewhere},
	{"unix-socket", open_unix},
	{"socket-pair", make_pair},
	{"io-uring", set_up_ring},
	{"read-secret", read_secret},
	{"write-secret", write_secret},
	{"write-tmp", write_tmp},
	{"file-handle", open_handle},
	{"namespace", make_namespace},
	{"mount", mount_tmpfs},
	{"terminal", type_on_terminal},
	{"bpf", load_bpf},
	{"userfaultfd", handle_faults},
	{"perf", count_events},
	{"keyring", read_keys},
	{"own-signal", raise_and_return},
	{"group-name", name_group},
};

static void attack(void)
{
	parent = getppid();
	for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
		int r = attacks[i].attempt(), error = errno;

		dprintf(STDERR_FILENO, "attack %s: %s\n", attacks[i].name,
			r >= 0 ? "done" : strerrorname_np(error));
	}
	dprintf(STDERR_FILENO, "attack over\n");
}

static void __attribute__((constructor)) begin(int argc, char **argv)
{
	const char *command = getenv("ATTACK_COMMAND");

	atomic_store(&is_child, command && argc > 1 && strcmp(argv[1], command) == 0);
}

static void count(atomic_uint *n, unsigned limit)
{
	if (atomic_fetch_add(n, 1) == limit)
		attack();
}

/* What the worker calls for each message to camcastd. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	static atomic_uint sent;
	ssize_t (*next)(int, const struct msghdr *, int);

	if (!getenv("ATTACK_COMMAND"))
		count(&sent, MESSAGES);
	*(void **)&next = dlsym(RTLD_NEXT, "sendmsg");
	return next(fd, message, flags);
}

/* What the children of `camcast` call for each piece of a stream. */
ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	static atomic_uint received;
	ssize_t (*next)(int, void *, size_t, int);

	if (atomic_load(&is_child))
		count(&received, RECEIPTS);
	*(void **)&next = dlsym(RTLD_NEXT, "recv");
	return next(fd, buffer, size, flags);
}
