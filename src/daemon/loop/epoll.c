/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop on epoll. A connection is registered once, edge-triggered, for everything; after that no
 * syscall but the sends concerns it. The kernel wakes for EPOLLOUT only after a send that failed
 * (SOCK_NOSPACE), so clients that keep up cost no wake-ups. For datagrams it goes through the
 * waiting queue behind every one, so that their sockets are registered only while they wait for
 * room. Watches and listeners, which are few, are level-triggered.
 */
#include "daemon/loop/backend.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

/* The type of the pointer in an event, in its low bits. */
enum tag { TAG_CONN, TAG_WATCH, TAG_LISTENER, TAG_MASK = 3 };

struct epoll {
	int fd;
	int n, i; /* the events being handled; removed objects are cleared from them */
	struct epoll_event events[EVENTS];
};

static uint64_t tagged(void *pointer, enum tag tag)
{
	return (uint64_t)(uintptr_t)pointer | tag;
}

static int control(struct loop *loop, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll *ep = loop->impl;
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(ep->fd, op, fd, &event) < 0 ? -errno : 0;
}

/* Removes fd, and discards its events of this turn. close() is not enough: a duplicate of the fd in
 * a child between fork and exec would keep it registered. */
static void forget(struct loop *loop, int fd, uint64_t data)
{
	struct epoll *ep = loop->impl;

	(void)control(loop, EPOLL_CTL_DEL, fd, 0, 0); /* fails only where it is not registered */
	for (int i = ep->i; i < ep->n; i++) {
		if (ep->events[i].data.u64 == data)
			ep->events[i].events = 0;
	}
}

static int epoll_create_backend(struct loop *loop)
{
	struct epoll *ep = calloc(1, sizeof(*ep));
	int ret;

	if (!ep)
		return -ENOMEM;
	ep->fd = epoll_create1(EPOLL_CLOEXEC);
	if (ep->fd < 0) {
		ret = -errno;
		free(ep);
		return ret;
	}
	loop->impl = ep;
	return 0;
}

static void epoll_destroy_backend(struct loop *loop)
{
	struct epoll *ep = loop->impl;

	close(ep->fd);
	free(ep);
}

static int epoll_watch_add(struct loop *loop, struct loop_watch *watch)
{
	return control(loop, EPOLL_CTL_ADD, watch->fd, watch->events, tagged(watch, TAG_WATCH));
}

static void epoll_watch_remove(struct loop *loop, struct loop_watch *watch)
{
	forget(loop, watch->fd, tagged(watch, TAG_WATCH));
}

static int epoll_listener_start(struct loop *loop, struct loop_listener *listener)
{
	return control(loop, EPOLL_CTL_ADD, listener->fd, EPOLLIN, tagged(listener, TAG_LISTENER));
}

static void epoll_listener_stop(struct loop *loop, struct loop_listener *listener)
{
	forget(loop, listener->fd, tagged(listener, TAG_LISTENER));
}

static int epoll_conn_open(struct loop *loop, struct loop_conn *conn)
{
	if (conn->ops->datagrams)
		return 0;
	return control(loop, EPOLL_CTL_ADD, conn->fd, EPOLLIN | EPOLLRDHUP | EPOLLOUT | EPOLLET,
		       tagged(conn, TAG_CONN));
}

static void epoll_want_writable(struct loop *loop, struct loop_conn *conn)
{
	if (conn->ops->datagrams &&
	    control(loop, EPOLL_CTL_ADD, conn->fd, EPOLLOUT, tagged(conn, TAG_CONN)) < 0)
		loop_conn_wait_for_memory(loop, conn);
}

static void epoll_conn_close(struct loop *loop, struct loop_conn *conn)
{
	forget(loop, conn->fd, tagged(conn, TAG_CONN));
	close(conn->fd);
	loop_conn_finished(loop, conn);
}

static void handle_conn(struct loop *loop, struct loop_conn *conn, uint32_t events)
{
	if (conn->ops->datagrams) {
		/* If there is an error in place of room, the next send says which. */
		(void)control(loop, EPOLL_CTL_DEL, conn->fd, 0, 0);
		loop_conn_writable(conn);
		return;
	}
	if (events & EPOLLOUT)
		loop_conn_writable(conn);
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		loop_conn_input(loop, conn);
}

static int epoll_backend_wait(struct loop *loop, int64_t timeout_us)
{
	struct epoll *ep = loop->impl;
	int64_t timeout_ms = timeout_us < 0 ? -1 : (timeout_us + 999) / 1000;

	ep->n = epoll_wait(ep->fd, ep->events, EVENTS,
			   timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
	if (ep->n < 0) {
		ep->n = 0;
		if (errno != EINTR)
			return -errno;
	}
	loop_woke(loop);
	for (ep->i = 0; ep->i < ep->n; ep->i++) {
		const struct epoll_event *event = &ep->events[ep->i];
		void *pointer = (void *)(uintptr_t)(event->data.u64 & ~(uint64_t)TAG_MASK);
		struct loop_watch *watch;

		if (!event->events)
			continue;
		switch (event->data.u64 & TAG_MASK) {
		case TAG_CONN:
			handle_conn(loop, pointer, event->events);
			break;
		case TAG_WATCH:
			watch = pointer;
			watch->ready(watch, event->events);
			break;
		case TAG_LISTENER:
			loop_accept(loop, pointer);
			break;
		}
	}
	ep->n = 0;
	return 0;
}

const struct loop_backend loop_backend_epoll = {
	.name = "epoll",
	.create = epoll_create_backend,
	.destroy = epoll_destroy_backend,
	.wait = epoll_backend_wait,
	.watch_add = epoll_watch_add,
	.watch_remove = epoll_watch_remove,
	.listener_start = epoll_listener_start,
	.listener_stop = epoll_listener_stop,
	.conn_open = epoll_conn_open,
	.conn_close = epoll_conn_close,
	.want_writable = epoll_want_writable,
};
