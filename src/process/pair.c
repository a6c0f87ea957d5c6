/* SPDX-License-Identifier: BSD-2-Clause */
#include "process/pair.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(PAIR_FDS_MAX * sizeof(int))];
};

int pair_send(int pair, const void *message, size_t len, const int *fds, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)message, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;

	assert(n <= PAIR_FDS_MAX);
	if (n > 0) {
		memset(&control, 0, sizeof control);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(n * sizeof *fds);
		memcpy(CMSG_DATA(&control.head), fds, n * sizeof *fds);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof *fds);
	}
	while (sendmsg(pair, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

ssize_t pair_receive(int pair, void *message, size_t size, int *fds, size_t n, int flags)
{
	struct iovec iov = {message, size};
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(n * sizeof *fds),
	};
	struct cmsghdr *head;
	size_t came = 0;
	ssize_t len;

	assert(n <= PAIR_FDS_MAX);
	do
		len = recvmsg(pair, &msg, flags | MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		len = -errno;
	head = len < 0 ? NULL : CMSG_FIRSTHDR(&msg);
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
		came = (head->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
	if (came > 0)
		memcpy(fds, CMSG_DATA(head), came * sizeof *fds);
	for (size_t i = 0; came < n && i < n; i++) {
		if (i < came)
			close(fds[i]);
		fds[i] = -1;
	}
	return len;
}
