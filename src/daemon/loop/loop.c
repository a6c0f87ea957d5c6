/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "daemon/loop/backend.h"

#define ACCEPT_PAUSE_US 100000
#define SHORTAGE_PAUSE_US 10000
#define SLEPT_US 200	     /* a wait that took longer did not find anything ready */
#define INPUT_PER_TURN 65536 /* bytes read of one connection */
#define INPUT_AT_ONCE 4096
#define ENCRYPTED_AS_ONE_SEND 4096 /* bytes */

static_assert(sizeof(struct loop_conn) <= 64, "a loop_conn is one line");

/* --- timers --- */

void loop_timer_init(struct loop_timer *timer, void (*expired)(struct loop_timer *timer))
{
	*timer = (struct loop_timer){.expired = expired};
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_us)
{
	/* Behind all that are due in this turn. */
	if (loop->in_timers && at_us < loop->now_us)
		at_us = loop->now_us;
	timers_set(&loop->timers, timer, at_us);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	timers_remove(&loop->timers, timer);
}

static void run_timers(struct loop *loop)
{
	const uint64_t n_set = loop->timers.n_set;
	struct loop_timer *timer;

	/* Timers that a callback sets again, even for now, wait for the next turn. */
	loop->in_timers = true;
	while ((timer = loop->timers.first) && timer->at_us <= loop->now_us &&
	       timer->order < n_set) {
		timers_remove(&loop->timers, timer);
		timer->expired(timer);
	}
	loop->in_timers = false;
}

/* --- watches --- */

int loop_watch_add(struct loop *loop, struct loop_watch *watch)
{
	watch->impl = NULL;
	return loop->backend->watch_add(loop, watch);
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
	loop->backend->watch_remove(loop, watch);
}

/* --- listeners --- */

static void resume_accepting(struct loop_timer *timer)
{
	struct loop_listener *listener = container_of(timer, struct loop_listener, resume);
	struct loop *loop = listener->loop;

	if (loop->backend->listener_start(loop, listener) < 0)
		loop_timer_set(loop, timer, loop->now_us + ACCEPT_PAUSE_US);
}

/* accept() failed. True: accepting pauses now. */
static bool accept_failed(struct loop *loop, struct loop_listener *listener, int error)
{
	switch (error) {
	/* The connection failed before it was accepted; accept(2) lists these network errors. */
	case -EINTR:
	case -ECONNABORTED:
	case -EPROTO:
	case -ENETDOWN:
	case -ENETUNREACH:
	case -EHOSTDOWN:
	case -EHOSTUNREACH:
	case -ENOPROTOOPT:
	case -EOPNOTSUPP:
	case -ENONET:
	case -EPERM:
		return false;
	case -EMFILE:
	case -ENFILE:
		if (listener->no_fds)
			listener->no_fds(listener);
		/* fall through */
	default:
		loop->stats.accept_paused++;
		loop_timer_set(loop, &listener->resume, loop->now_us + ACCEPT_PAUSE_US);
		return true;
	}
}

void loop_accept(struct loop *loop, struct loop_listener *listener)
{
	/* accepted() may remove the listener, and free it. */
	loop->accepting = listener;
	for (unsigned n = 0; n < LOOP_ACCEPTS_PER_TURN && loop->accepting; n++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			listener->accepted(listener, fd);
		} else if (errno == EAGAIN) {
			break;
		} else if (accept_failed(loop, listener, -errno)) {
			loop->backend->listener_stop(loop, listener);
			break;
		}
	}
	loop->accepting = NULL;
}

int loop_listener_add(struct loop *loop, struct loop_listener *listener)
{
	listener->loop = loop;
	listener->impl = NULL;
	loop_timer_init(&listener->resume, resume_accepting);
	return loop->backend->listener_start(loop, listener);
}

void loop_listener_remove(struct loop *loop, struct loop_listener *listener)
{
	if (!loop_timer_is_set(&listener->resume))
		loop->backend->listener_stop(loop, listener);
	else
		loop_timer_cancel(loop, &listener->resume);
	if (loop->accepting == listener)
		loop->accepting = NULL;
	close(listener->fd);
	listener->fd = -1;
}

/* --- connections --- */

int loop_conn_open(struct loop *loop, struct loop_conn *conn, int fd,
		   const struct loop_conn_ops *ops)
{
	conn->fd = fd;
	conn->ops = ops;
	conn->flags = 0;
	conn->pending = 0;
	conn->pages = NULL;
	list_init(&conn->link);
	list_init(&conn->input);
	return loop->backend->conn_open(loop, conn);
}

void loop_conn_send(struct loop *loop, struct loop_conn *conn, const struct pages *pages,
		    uint32_t offset, uint32_t len)
{
	conn->pages = pages;
	conn->offset = offset;
	conn->len = len;
	list_append(&loop->sends, &conn->link);
}

bool loop_conn_by_reference(const struct loop *loop, const struct loop_conn *conn)
{
	return conn->pages->fd >= 0 && conn->len >= loop->send_threshold && !conn->ops->write;
}

void loop_conn_sent(struct loop *loop, struct loop_conn *conn, int result)
{
	if (result <= 0) {
		loop->stats.send_again++;
		if (result == -EAGAIN) {
			conn->flags |= LOOP_CONN_BLOCKED;
		} else if (result == -ENOBUFS || result == -ENOMEM) {
			conn->flags |= LOOP_CONN_SHORTAGE;
			result = -EAGAIN;
		} else if (result == 0) {
			/* The file ends before the unit, which its seals make impossible. */
			result = -EIO;
		}
	}
	conn->ops->sent(conn, result);
}

/* Whether the next send has the same bytes. */
static bool sent_again(const struct loop *loop, const struct loop_conn *conn)
{
	const struct loop_conn *next = container_of(loop->sends.next, struct loop_conn, link);

	return !list_empty(&loop->sends) && next->pages == conn->pages &&
	       next->offset == conn->offset && next->len == conn->len;
}

static void send_directly(struct loop *loop, struct loop_conn *conn)
{
	bool by_reference = loop_conn_by_reference(loop, conn);
	ssize_t n;

	do {
		if (by_reference)
			n = pagetee_send(&loop->tee, conn->fd, conn->pages->fd, conn->offset,
					 conn->len, sent_again(loop, conn));
		else
			n = send(conn->fd, conn->pages->map + conn->offset, conn->len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		if (by_reference)
			loop->stats.sendfiles++;
		else
			loop->stats.sends++;
	}
	loop_conn_sent(loop, conn, n < 0 ? -errno : (int)n);
}

/* Returns the cost of the send, in sends. */
static unsigned send_written(struct loop *loop, struct loop_conn *conn)
{
	ssize_t n = conn->ops->write(conn, conn->pages->map + conn->offset, conn->len);

	if (n > 0)
		loop->stats.sends++;
	loop_conn_sent(loop, conn, (int)n);
	return n > 0 ? 1 + (unsigned)(n / ENCRYPTED_AS_ONE_SEND) : 1;
}

/* Brings what the next sends need into the cache during this one. Behind a connection stands what
 * its owner needs for sent(): its cursor. */
static void fetch_next(struct loop *loop)
{
	struct list *next = loop->sends.next;

	if (next == &loop->sends)
		return;
	__builtin_prefetch(container_of(next, struct loop_conn, link) + 1);
	__builtin_prefetch(next->next);
}

/* A send that sent() begins goes to the end of the list, so that every connection gets one send
 * before any gets two. */
static void run_sends(struct loop *loop)
{
	const struct loop_backend *backend = loop->backend;

	for (unsigned n = 0; n < LOOP_SENDS_PER_TURN && !list_empty(&loop->sends); n++) {
		struct loop_conn *conn = container_of(loop->sends.next, struct loop_conn, link);

		list_remove(&conn->link);
		fetch_next(loop);
		if (conn->ops->write)
			n += send_written(loop, conn) - 1;
		else if (loop_conn_by_reference(loop, conn) || !backend->queue_send ||
			 !backend->queue_send(loop, conn))
			send_directly(loop, conn);
	}
	pagetee_let_go(&loop->tee);
	if (backend->flush_sends)
		backend->flush_sends(loop);
}

void loop_conn_wait_for_memory(struct loop *loop, struct loop_conn *conn)
{
	list_append(&loop->shortage, &conn->link);
	if (!loop_timer_is_set(&loop->shortage_over))
		loop_timer_set(loop, &loop->shortage_over, loop->now_us + SHORTAGE_PAUSE_US);
}

void loop_conn_want_writable(struct loop *loop, struct loop_conn *conn)
{
	conn->flags |= LOOP_CONN_WANTED;
	if (conn->flags & LOOP_CONN_SHORTAGE) {
		conn->flags &= ~LOOP_CONN_SHORTAGE;
		loop_conn_wait_for_memory(loop, conn);
	} else if (!(conn->flags & LOOP_CONN_BLOCKED)) {
		list_append(&loop->ready, &conn->link); /* the edge has come already */
	} else if (loop->backend->want_writable) {
		loop->backend->want_writable(loop, conn);
	}
}

void loop_conn_writable(struct loop_conn *conn)
{
	conn->flags &= ~LOOP_CONN_BLOCKED;
	if (conn->flags & LOOP_CONN_WANTED) {
		conn->flags &= ~LOOP_CONN_WANTED;
		list_remove(&conn->link);
		conn->ops->writable(conn);
	}
}

static void run_ready(struct loop *loop)
{
	struct list due;

	list_init(&due);
	list_splice(&due, &loop->ready);
	while (!list_empty(&due))
		loop_conn_writable(container_of(due.next, struct loop_conn, link));
}

static void end_shortage(struct loop_timer *timer)
{
	struct loop *loop = container_of(timer, struct loop, shortage_over);

	list_splice(&loop->ready, &loop->shortage);
}

/* Whether the connection has failed. After the end of the input recv() does not report a failure:
 * it keeps reporting the end. */
static bool is_dead(const struct loop_conn *conn)
{
	struct pollfd fd = {.fd = conn->fd};

	return poll(&fd, 1, 0) == 1 && fd.revents & POLLERR;
}

static void end_input(struct loop_conn *conn)
{
	bool told = conn->flags & LOOP_CONN_ENDED;

	conn->flags |= LOOP_CONN_ENDED;
	if (is_dead(conn))
		conn->ops->failed(conn, -ECONNRESET);
	else if (!told && conn->ops->input_ended)
		conn->ops->input_ended(conn);
}

/* As recv(), or -errno. MSG_TRUNC makes TCP discard bytes without copying them (tcp(7)). */
static ssize_t read_some(struct loop *loop, struct loop_conn *conn, size_t max)
{
	uint8_t buffer[INPUT_AT_ONCE];
	ssize_t n;

	if (max > sizeof(buffer) && (conn->ops->input || conn->ops->read))
		max = sizeof(buffer);
	if (conn->ops->read)
		n = conn->ops->read(conn, buffer, max);
	else if (conn->ops->input)
		n = recv(conn->fd, buffer, max, MSG_DONTWAIT);
	else
		n = recv(conn->fd, NULL, max, MSG_TRUNC | MSG_DONTWAIT);
	if (n < 0)
		return conn->ops->read ? n : -errno;
	if (n > 0 && conn->ops->input) {
		conn->ops->input(conn, buffer, (size_t)n);
	} else if (n > 0) {
		loop->stats.bytes_discarded += (uint64_t)n;
		if (conn->ops->discarded)
			conn->ops->discarded(conn, (size_t)n);
	}
	return n;
}

static void read_input(struct loop *loop, struct loop_conn *conn)
{
	size_t left = INPUT_PER_TURN;

	while (left > 0) {
		ssize_t n = conn->flags & LOOP_CONN_ENDED ? 0 : read_some(loop, conn, left);

		if (n > 0) {
			if (loop_conn_closing(conn))
				return;
			/* A record costs the same however short it is. */
			left -= conn->ops->read && n < INPUT_AT_ONCE ? INPUT_AT_ONCE : (size_t)n;
		} else if (n == 0) {
			end_input(conn);
			return;
		} else if (n == -EAGAIN) {
			return;
		} else if (n == -EINTR) {
			left -= left < INPUT_AT_ONCE ? left : INPUT_AT_ONCE;
		} else {
			conn->ops->failed(conn, (int)n);
			return;
		}
	}
	list_append(&loop->input, &conn->input);
}

/* A connection is read once in a turn, even if it has several events. */
void loop_conn_input(struct loop *loop, struct loop_conn *conn)
{
	if (loop_conn_closing(conn))
		return;
	list_remove(&conn->input);
	list_append(&loop->input, &conn->input);
}

static void run_input(struct loop *loop)
{
	struct list due;

	/* A connection that has input left goes to the end of the list, behind those that are left
	 * over here. */
	list_init(&due);
	list_splice(&due, &loop->input);
	for (unsigned n = 0; n < LOOP_INPUTS_PER_TURN && !list_empty(&due); n++) {
		struct loop_conn *conn = container_of(due.next, struct loop_conn, input);

		list_remove(&conn->input);
		read_input(loop, conn);
	}
	list_splice(&due, &loop->input);
	list_splice(&loop->input, &due);
}

void loop_conn_close(struct loop *loop, struct loop_conn *conn, bool reset)
{
	assert(!loop_conn_closing(conn));
	conn->flags &= ~LOOP_CONN_WANTED;
	conn->flags |= LOOP_CONN_CLOSING;
	if (reset)
		conn->flags |= LOOP_CONN_RESET;
	list_remove(&conn->link);
	list_remove(&conn->input);
	list_append(&loop->closing, &conn->link);
}

static void run_closing(struct loop *loop)
{
	static const struct linger now = {.l_onoff = 1, .l_linger = 0};

	for (unsigned n = 0; n < LOOP_CLOSES_PER_TURN && !list_empty(&loop->closing); n++) {
		struct loop_conn *conn = container_of(loop->closing.next, struct loop_conn, link);

		list_remove(&conn->link);
		/* Fails only if the peer has reset the connection already. */
		if (conn->flags & LOOP_CONN_RESET)
			(void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		loop->backend->conn_close(loop, conn);
	}
}

void loop_conn_finished(struct loop *loop, struct loop_conn *conn)
{
	conn->fd = -1;
	list_append(&loop->closed, &conn->link);
}

static void run_closed(struct loop *loop)
{
	while (!list_empty(&loop->closed)) {
		struct loop_conn *conn = container_of(loop->closed.next, struct loop_conn, link);

		list_remove(&conn->link);
		conn->ops->closed(conn);
	}
}

/* --- the loop --- */

/* `auto` is io_uring where the kernel allows it; docs/BENCHMARKS.md has the figures. */
static int create_backend(struct loop *loop, enum config_backend wanted)
{
	int ret;

	if (wanted != CONFIG_BACKEND_EPOLL) {
		loop->backend = &loop_backend_uring;
		ret = loop->backend->create(loop);
		if (ret == 0)
			return 0;
		diag_write(wanted == CONFIG_BACKEND_AUTO ? DIAG_INFO : DIAG_WARN,
			   "loop: no io_uring (%s): using epoll",
			   ret == -EINVAL ? "the kernel is older than 6.1" : strerror(-ret));
	}
	loop->backend = &loop_backend_epoll;
	return loop->backend->create(loop);
}

int loop_create(struct loop **out, const struct loop_options *options)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int ret;

	if (!loop)
		return -ENOMEM;
	loop->send_threshold = options->send_threshold;
	loop->max_conns = options->max_conns;
	loop->now_us = clock_now_us();
	list_init(&loop->sends);
	list_init(&loop->ready);
	list_init(&loop->shortage);
	list_init(&loop->input);
	list_init(&loop->closing);
	list_init(&loop->closed);
	loop_timer_init(&loop->shortage_over, end_shortage);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
		ret = -errno;
		goto fail_free;
	}

	pagetee_open(&loop->tee);
	ret = create_backend(loop, options->backend);
	if (ret < 0)
		goto fail_tee;
	*out = loop;
	return 0;

fail_tee:
	pagetee_close(&loop->tee);
fail_free:
	free(loop);
	return ret;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	while (!list_empty(&loop->closing))
		run_closing(loop);
	/* Closing ends with the kernel's answers to cancellations, which depend on no peer. */
	loop->backend->destroy(loop);
	run_closed(loop);
	pagetee_close(&loop->tee);
	free(loop);
}

const char *loop_backend_name(const struct loop *loop)
{
	return loop->backend->name;
}

int64_t loop_now_us(const struct loop *loop)
{
	return loop->now_us;
}

bool loop_slept(const struct loop *loop)
{
	return loop->slept;
}

const struct loop_stats *loop_stats(const struct loop *loop)
{
	return &loop->stats;
}

void loop_woke(struct loop *loop)
{
	loop->stats.turns++;
	loop->now_us = clock_now_us();
	loop->slept = loop->asleep_us > 0 && loop->now_us - loop->asleep_us > SLEPT_US;
}

static int64_t wait_time(struct loop *loop, int64_t max_wait_us)
{
	int64_t left;

	loop->asleep_us = 0;
	if (!list_empty(&loop->sends) || !list_empty(&loop->ready) || !list_empty(&loop->input) ||
	    !list_empty(&loop->closing) || !list_empty(&loop->closed))
		return 0;
	if (!loop->timers.first)
		return max_wait_us;
	loop->asleep_us = clock_now_us();
	left = loop->timers.first->at_us - loop->asleep_us;
	if (left < 0)
		left = 0;
	return max_wait_us >= 0 && max_wait_us < left ? max_wait_us : left;
}

int loop_turn(struct loop *loop, int64_t max_wait_us)
{
	int ret = loop->backend->wait(loop, wait_time(loop, max_wait_us));

	if (ret < 0)
		return ret;
	run_timers(loop);
	run_ready(loop);
	run_input(loop);
	run_sends(loop);
	run_closing(loop);
	run_closed(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int ret = 0;

	loop->stopping = false;
	while (ret == 0 && !loop->stopping)
		ret = loop_turn(loop, -1);
	return ret;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
