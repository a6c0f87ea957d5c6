/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop on io_uring: small sends go to the kernel in batches, peers' input is a multishot poll,
 * and waiting, submitting and reaping are one syscall. Large sends stay by reference (pagetee.h).
 * Accepts are not multishot, because the kernel would take a whole backlog at once. It needs Linux
 * 6.1 (SINGLE_ISSUER, DEFER_TASKRUN).
 *
 * A connection's fd stays open until the kernel has answered for everything outstanding on it
 * (loop_conn.pending), so that its number cannot be another connection's while a request still
 * names it. Submissions are in order, so a cancellation never hits what was begun later, even by
 * another connection in the same memory.
 */
#include "daemon/loop/backend.h"

#include <assert.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SQ_ENTRIES 512
#define CQ_ENTRIES_MIN 4096
#define CQ_ENTRIES_MAX 32768
#define REAP_BATCH 128
#define REAP_ROUNDS 16 /* batches handled before the rest of the turn has its turn */

static_assert(SQ_ENTRIES >= LOOP_SENDS_PER_TURN, "a turn's sends are one submission");

/* The subject of a completion, in the low bits of its user data. User data of 0: none. */
enum tag {
	TAG_INPUT = 1, /* the multishot poll of a loop_conn */
	TAG_OUT,       /* its poll for POLLOUT */
	TAG_SEND,
	TAG_WATCH,
	TAG_LISTENER,
	TAG_MASK = 7
};

/* A watch's or listener's request in the kernel; lives until its last completion. */
struct request {
	struct list link; /* uring.requests */
	void *owner;	  /* loop_watch or loop_listener; NULL once removed */
	bool armed;	  /* the kernel owes a completion; else its handler is running */
};

struct uring {
	struct io_uring ring;
	struct list closing; /* connections that wait for their last completion */
	struct list requests;
	unsigned queued; /* sends in the submission queue */
	/* A poll by io_uring always reports EPOLLRDHUP too, so that it would end at once for a peer
	 * that has ended its input. Such connections wait for room in an epoll set, which io_uring
	 * watches. */
	struct loop_watch half_closed;
	int error; /* of a necessary request that could not be submitted */
};

/* The kernel takes all entries of the queue at each submission, unless it has no memory. */
static struct io_uring_sqe *get_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe) {
		(void)io_uring_submit(&u->ring);
		sqe = io_uring_get_sqe(&u->ring);
	}
	return sqe;
}

/* Comes after liburing's prep function, which clears the user data. */
static void own(struct io_uring_sqe *sqe, void *pointer, enum tag tag)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)pointer | tag);
}

static void handle_half_closed(struct loop_watch *watch, uint32_t events);

/* By user data, which the kernel finds in a table: a cancellation by fd walks all requests. */
static void cancel(struct uring *u, void *pointer, enum tag tag)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	if (!sqe) {
		u->error = -ENOMEM;
		return;
	}
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)pointer | tag, 0);
	own(sqe, NULL, 0);
}

/* --- create, destroy --- */

static int check_opcodes(struct io_uring *ring)
{
	static const int needed[] = {IORING_OP_SEND, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL};
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	int ret = 0;

	if (!probe)
		return -EOPNOTSUPP;
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		if (!io_uring_opcode_supported(probe, needed[i]))
			ret = -EOPNOTSUPP;
	}
	io_uring_free_probe(probe);
	return ret;
}

static int uring_create(struct loop *loop)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
		.cq_entries = 2 * loop->max_conns,
	};
	struct uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	list_init(&u->closing);
	list_init(&u->requests);
	if (params.cq_entries < CQ_ENTRIES_MIN)
		params.cq_entries = CQ_ENTRIES_MIN;
	if (params.cq_entries > CQ_ENTRIES_MAX)
		params.cq_entries = CQ_ENTRIES_MAX;
	ret = io_uring_queue_init_params(SQ_ENTRIES, &u->ring, &params);
	if (ret < 0)
		goto fail_free;
	if (!(params.features & IORING_FEAT_NODROP) || !(params.features & IORING_FEAT_EXT_ARG)) {
		ret = -EOPNOTSUPP;
		goto fail_exit;
	}
	ret = check_opcodes(&u->ring);
	if (ret < 0)
		goto fail_exit;
	u->half_closed.fd = epoll_create1(EPOLL_CLOEXEC);
	if (u->half_closed.fd < 0) {
		ret = -errno;
		goto fail_exit;
	}
	u->half_closed.events = EPOLLIN;
	u->half_closed.ready = handle_half_closed;
	loop->impl = u;
	ret = loop_watch_add(loop, &u->half_closed);
	if (ret < 0)
		goto fail_close;
	return 0;

fail_close:
	close(u->half_closed.fd);
fail_exit:
	io_uring_queue_exit(&u->ring);
fail_free:
	free(u);
	return ret;
}

static void finish_conn(struct loop *loop, struct loop_conn *conn)
{
	list_remove(&conn->link);
	close(conn->fd);
	loop_conn_finished(loop, conn);
}

/* --- watches and listeners --- */

static struct request *request_create(struct uring *u, void *owner)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->owner = owner;
	list_init(&request->link);
	list_append(&u->requests, &request->link);
	return request;
}

static void request_destroy(struct request *request)
{
	list_remove(&request->link);
	free(request);
}

/* If the request is not armed, its completion is being handled, which frees it. */
static void disown(struct uring *u, struct request *request, enum tag tag)
{
	request->owner = NULL;
	if (request->armed)
		cancel(u, request, tag);
}

/* One shot, armed again after ready(): arming looks at the level. */
static int arm_watch(struct uring *u, struct request *request)
{
	const struct loop_watch *watch = request->owner;
	struct io_uring_sqe *sqe = get_sqe(u);

	if (!sqe)
		return -ENOMEM;
	io_uring_prep_poll_add(sqe, watch->fd, watch->events);
	own(sqe, request, TAG_WATCH);
	request->armed = true;
	return 0;
}

static int uring_watch_add(struct loop *loop, struct loop_watch *watch)
{
	struct request *request = request_create(loop->impl, watch);
	int ret;

	if (!request)
		return -ENOMEM;
	ret = arm_watch(loop->impl, request);
	if (ret < 0) {
		request_destroy(request);
		return ret;
	}
	watch->impl = request;
	return 0;
}

static void uring_watch_remove(struct loop *loop, struct loop_watch *watch)
{
	disown(loop->impl, watch->impl, TAG_WATCH);
	watch->impl = NULL;
}

static void handle_watch(struct loop *loop, struct request *request, int res)
{
	struct uring *u = loop->impl;
	struct loop_watch *watch = request->owner;

	request->armed = false;
	if (watch && res > 0) {
		uint32_t events = (uint32_t)res & (watch->events | POLLERR | POLLHUP);

		if (events)
			watch->ready(watch, events);
	}
	if (!request->owner)
		request_destroy(request);
	else if (arm_watch(u, request) < 0)
		u->error = -ENOMEM;
}

static int arm_listener(struct uring *u, struct request *request)
{
	const struct loop_listener *listener = request->owner;
	struct io_uring_sqe *sqe = get_sqe(u);

	if (!sqe)
		return -ENOMEM;
	io_uring_prep_poll_add(sqe, listener->fd, POLLIN);
	own(sqe, request, TAG_LISTENER);
	request->armed = true;
	return 0;
}

static int uring_listener_start(struct loop *loop, struct loop_listener *listener)
{
	struct request *request = request_create(loop->impl, listener);
	int ret;

	if (!request)
		return -ENOMEM;
	ret = arm_listener(loop->impl, request);
	if (ret < 0) {
		request_destroy(request);
		return ret;
	}
	listener->impl = request;
	return 0;
}

static void uring_listener_stop(struct loop *loop, struct loop_listener *listener)
{
	disown(loop->impl, listener->impl, TAG_LISTENER);
	listener->impl = NULL;
}

static void handle_listener(struct loop *loop, struct request *request)
{
	struct uring *u = loop->impl;

	request->armed = false;
	if (request->owner)
		loop_accept(loop, request->owner);
	if (!request->owner)
		request_destroy(request);
	else if (arm_listener(u, request) < 0)
		u->error = -ENOMEM;
}

/* --- connections --- */

static int arm_input(struct uring *u, struct loop_conn *conn)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	if (!sqe)
		return -ENOMEM;
	io_uring_prep_poll_multishot(sqe, conn->fd, POLLIN | POLLRDHUP);
	own(sqe, conn, TAG_INPUT);
	conn->pending++;
	return 0;
}

static int uring_conn_open(struct loop *loop, struct loop_conn *conn)
{
	return conn->ops->datagrams ? 0 : arm_input(loop->impl, conn);
}

static void uring_conn_close(struct loop *loop, struct loop_conn *conn)
{
	struct uring *u = loop->impl;

	conn->flags |= LOOP_CONN_CANCELLED;
	if (conn->flags & LOOP_CONN_IN_EPOLL)
		(void)epoll_ctl(u->half_closed.fd, EPOLL_CTL_DEL, conn->fd, NULL);
	if (conn->pending == 0) {
		finish_conn(loop, conn);
		return;
	}
	list_append(&u->closing, &conn->link);
	/* A send ends by itself. */
	cancel(u, conn, TAG_INPUT);
	if (conn->flags & LOOP_CONN_POLLED_OUT)
		cancel(u, conn, TAG_OUT);
}

static void handle_half_closed(struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event;

	(void)events;
	/* One at a time, as writable() may close another one. */
	for (unsigned n = 0; n < LOOP_SENDS_PER_TURN; n++) {
		struct loop_conn *conn;

		if (epoll_wait(watch->fd, &event, 1, 0) != 1)
			return;
		conn = event.data.ptr;
		loop_conn_writable(conn);
	}
}

static void want_writable_half_closed(struct loop *loop, struct loop_conn *conn)
{
	const struct uring *u = loop->impl;
	struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT, .data.ptr = conn};
	int op = conn->flags & LOOP_CONN_IN_EPOLL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (epoll_ctl(u->half_closed.fd, op, conn->fd, &event) < 0)
		loop_conn_wait_for_memory(loop, conn);
	else
		conn->flags |= LOOP_CONN_IN_EPOLL;
}

static void uring_want_writable(struct loop *loop, struct loop_conn *conn)
{
	struct io_uring_sqe *sqe;

	if (conn->flags & LOOP_CONN_POLLED_OUT)
		return;
	if (conn->flags & LOOP_CONN_ENDED) {
		want_writable_half_closed(loop, conn);
		return;
	}
	sqe = get_sqe(loop->impl);
	if (!sqe) {
		loop_conn_wait_for_memory(loop, conn);
		return;
	}
	io_uring_prep_poll_add(sqe, conn->fd, POLLOUT);
	own(sqe, conn, TAG_OUT);
	conn->flags |= LOOP_CONN_POLLED_OUT;
	conn->pending++;
}

static bool uring_queue_send(struct loop *loop, struct loop_conn *conn)
{
	struct uring *u = loop->impl;
	struct io_uring_sqe *sqe = get_sqe(u);

	if (!sqe)
		return false;
	/* MSG_DONTWAIT: -EAGAIN instead of a poll inside the kernel, so that a unit that has not
	 * begun can still be dropped. */
	io_uring_prep_send(sqe, conn->fd, conn->pages->map + conn->offset, conn->len,
			   MSG_DONTWAIT | MSG_NOSIGNAL);
	own(sqe, conn, TAG_SEND);
	conn->pending++;
	u->queued++;
	return true;
}

/* A completion of conn came; true if nothing else is to be done with it. */
static bool completed(struct loop *loop, struct loop_conn *conn, bool more)
{
	if (!more)
		conn->pending--;
	if (!loop_conn_closing(conn))
		return false;
	if (conn->pending == 0 && conn->flags & LOOP_CONN_CANCELLED)
		finish_conn(loop, conn);
	return true;
}

static void handle_input(struct loop *loop, struct loop_conn *conn, int res, bool more)
{
	int ret = res;

	if (completed(loop, conn, more))
		return;
	if (res >= 0)
		loop_conn_input(loop, conn);
	if (more || loop_conn_closing(conn))
		return;
	if (res >= 0)
		ret = arm_input(loop->impl, conn);
	if (ret < 0)
		conn->ops->failed(conn, ret);
}

static void handle_sent(struct loop *loop, struct loop_conn *conn, int res)
{
	if (res > 0)
		loop->stats.sends++;
	if (completed(loop, conn, false))
		return;
	if (res == -EINTR)
		list_append(&loop->sends, &conn->link);
	else
		loop_conn_sent(loop, conn, res);
}

static void handle_cqe(struct loop *loop, const struct io_uring_cqe *cqe)
{
	void *pointer = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)TAG_MASK);
	bool more = cqe->flags & IORING_CQE_F_MORE;
	struct loop_conn *conn = pointer;

	switch (cqe->user_data & TAG_MASK) {
	case TAG_INPUT:
		handle_input(loop, conn, cqe->res, more);
		break;
	case TAG_OUT:
		conn->flags &= ~LOOP_CONN_POLLED_OUT;
		if (!completed(loop, conn, false))
			loop_conn_writable(conn);
		break;
	case TAG_SEND:
		handle_sent(loop, conn, cqe->res);
		break;
	case TAG_WATCH:
		handle_watch(loop, pointer, cqe->res);
		break;
	case TAG_LISTENER:
		handle_listener(loop, pointer);
		break;
	}
}

/* Peeking also enters the kernel while IORING_SQ_TASKRUN is set: one entry runs only about 20
 * items of deferred work. Handlers make requests, but never reap. */
static void reap(struct loop *loop)
{
	struct uring *u = loop->impl;
	struct io_uring_cqe *cqes[REAP_BATCH];

	for (unsigned round = 0; round < REAP_ROUNDS; round++) {
		unsigned n = io_uring_peek_batch_cqe(&u->ring, cqes, REAP_BATCH);

		if (n == 0)
			return;
		for (unsigned i = 0; i < n; i++)
			handle_cqe(loop, cqes[i]);
		io_uring_cq_advance(&u->ring, n);
	}
}

static void uring_flush_sends(struct loop *loop)
{
	struct uring *u = loop->impl;

	if (u->queued == 0)
		return;
	u->queued = 0;
	/* Entries that the kernel did not take stay in the queue for the next turn. */
	(void)io_uring_submit(&u->ring);
	reap(loop);
}

static int uring_wait(struct loop *loop, int64_t timeout_us)
{
	struct uring *u = loop->impl;
	struct __kernel_timespec ts = {
		.tv_sec = timeout_us / 1000000,
		.tv_nsec = timeout_us % 1000000 * 1000,
	};
	struct io_uring_cqe *cqe;
	int ret = u->error;

	if (ret < 0)
		return ret;
	if (timeout_us != 0)
		ret = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1,
						       timeout_us < 0 ? NULL : &ts, NULL);
	else if (io_uring_sq_ready(&u->ring) > 0)
		ret = io_uring_submit_and_get_events(&u->ring);
	switch (ret) {
	case -ETIME:
	case -EINTR:
	case -EAGAIN: /* no memory, or completions must be reaped first */
	case -EBUSY:
		break;
	default:
		if (ret < 0)
			return ret;
	}
	loop_woke(loop);
	reap(loop);
	return u->error;
}

/* The kernel still refers to something that was closed or removed. */
static bool is_cancelling(struct uring *u)
{
	if (!list_empty(&u->closing))
		return true;
	for (struct list *pos = u->requests.next; pos != &u->requests; pos = pos->next)
		if (!container_of(pos, struct request, link)->owner)
			return true;
	return false;
}

static void uring_destroy(struct loop *loop)
{
	struct uring *u = loop->impl;
	struct list *pos, *tmp;

	/* The kernel cancels what is outstanding at exit by itself, but in the background: peers
	 * would see their connections reset, and ports would become free, later than loop_destroy()
	 * returns. */
	loop_watch_remove(loop, &u->half_closed);
	for (int i = 0; i < 10 && is_cancelling(u); i++)
		(void)uring_wait(loop, 100000);
	io_uring_queue_exit(&u->ring);
	close(u->half_closed.fd);
	while (!list_empty(&u->closing))
		finish_conn(loop, container_of(u->closing.next, struct loop_conn, link));
	list_for_each_safe (pos, tmp, &u->requests)
		free(container_of(pos, struct request, link));
	free(u);
}

const struct loop_backend loop_backend_uring = {
	.name = "io_uring",
	.create = uring_create,
	.destroy = uring_destroy,
	.wait = uring_wait,
	.watch_add = uring_watch_add,
	.watch_remove = uring_watch_remove,
	.listener_start = uring_listener_start,
	.listener_stop = uring_listener_stop,
	.conn_open = uring_conn_open,
	.conn_close = uring_conn_close,
	.want_writable = uring_want_writable,
	.queue_send = uring_queue_send,
	.flush_sends = uring_flush_sends,
};
