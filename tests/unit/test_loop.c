/* SPDX-License-Identifier: BSD-2-Clause */
/* Choosing a backend, waking, timers, watches, listeners. Connections: test_loop_conn.c,
 * test_loop_crowd.c. */
#include "tests/unit/feed_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static enum config_backend backend_of(void **state)
{
	return *(enum config_backend *)*state;
}

/* --- choosing a backend --- */

static int uring_error;

int __real_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *params)
{
	return uring_error ? uring_error : __real_io_uring_queue_init_params(entries, ring, params);
}

static void io_uring_that_is_refused_means_epoll(void **state)
{
	static const int errors[] = {-EPERM, -ENOSYS, -EINVAL, -ENOMEM};
	struct loop_options options = {.backend = CONFIG_BACKEND_URING, .max_conns = 10};
	struct loop *loop;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		uring_error = errors[i];
		assert_int_equal(loop_create(&loop, &options), 0);
		assert_string_equal(loop_backend_name(loop), "epoll");
		loop_destroy(loop);
	}
	uring_error = 0;
}

static void auto_is_io_uring_or_epoll_where_that_is_refused(void **state)
{
	struct loop_options options = {.backend = CONFIG_BACKEND_AUTO, .max_conns = 10};
	struct loop *loop;

	(void)state;
	assert_int_equal(loop_create(&loop, &options), 0);
	assert_string_equal(loop_backend_name(loop), "io_uring");
	loop_destroy(loop);
	uring_error = -EPERM;
	assert_int_equal(loop_create(&loop, &options), 0);
	assert_string_equal(loop_backend_name(loop), "epoll");
	loop_destroy(loop);
	uring_error = 0;
}

/* --- timers, watches --- */

struct flags {
	struct loop *loop;
	bool a, b, c;
	unsigned n;
};

struct stopper {
	struct loop_timer timer;
	struct loop *loop;
};

static void stop_it(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct stopper, timer)->loop);
}

static void run_returns_when_stopped(void **state)
{
	struct stopper stopper = {.loop = rig_loop(backend_of(state), 0)};

	loop_timer_init(&stopper.timer, stop_it);
	loop_timer_set(stopper.loop, &stopper.timer, loop_now_us(stopper.loop));
	assert_int_equal(loop_run(stopper.loop), 0);
	loop_destroy(stopper.loop);
}

static char order[8];
static struct loop *timers_loop;
static struct loop_timer timers[4];

static void note_order(struct loop_timer *timer)
{
	char name[2] = {(char)('a' + (timer - timers))};

	strcat(order, name);
	if (timer == &timers[0])
		loop_timer_cancel(timers_loop, &timers[1]);
}

static void note_and_set_again(struct loop_timer *timer)
{
	note_order(timer);
	loop_timer_set(timers_loop, timer, loop_now_us(timers_loop));
}

static void timers_expire_in_order_and_can_be_moved_and_cancelled(void **state)
{
	int64_t now;

	timers_loop = rig_loop(backend_of(state), 0);
	order[0] = 0;
	now = loop_now_us(timers_loop);
	for (int i = 0; i < 4; i++)
		loop_timer_init(&timers[i], note_order);
	loop_timer_set(timers_loop, &timers[3], now + 4000);
	loop_timer_set(timers_loop, &timers[1], now + 3000);
	loop_timer_set(timers_loop, &timers[0], now + 9000);
	loop_timer_set(timers_loop, &timers[2], now + 1000);
	loop_timer_set(timers_loop, &timers[0], now + 2000);
	rig_settle(timers_loop);
	assert_string_equal(order, "");
	rig_clock_us += 4000;
	rig_settle(timers_loop);
	assert_string_equal(order, "cad"); /* a cancelled b, due in the same turn */

	/* One that sets itself again for now does not keep the loop. */
	loop_timer_init(&timers[0], note_and_set_again);
	order[0] = 0;
	loop_timer_set(timers_loop, &timers[0], now);
	assert_int_equal(loop_turn(timers_loop, 0), 0);
	assert_int_equal(loop_turn(timers_loop, -1), 0);
	assert_string_equal(order, "aa");
	loop_timer_cancel(timers_loop, &timers[0]);
	loop_destroy(timers_loop);
}

enum { CROWD = 500 };
static struct loop_timer crowd[CROWD];
static int64_t crowd_due_us[CROWD]; /* 0: not set */
static int64_t crowd_last_us;
static unsigned crowd_expired;

static void note_one_of_a_crowd(struct loop_timer *timer)
{
	int64_t due_us = crowd_due_us[timer - crowd];

	assert_true(due_us >= crowd_last_us && due_us <= loop_now_us(timers_loop));
	crowd_last_us = due_us;
	crowd_due_us[timer - crowd] = 0;
	crowd_expired++;
}

static void a_crowd_of_timers_expires_in_order(void **state)
{
	unsigned random = 1, expected = 0;
	int64_t now;

	timers_loop = rig_loop(backend_of(state), 0);
	now = loop_now_us(timers_loop);
	crowd_last_us = crowd_expired = 0;
	for (int i = 0; i < CROWD; i++)
		loop_timer_init(&crowd[i], note_one_of_a_crowd);
	/* Each is set, moved and cancelled several times; meanwhile some expire. */
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < CROWD; i++) {
			random = random * 1664525 + 1013904223;
			if (random >> 30 == 0) {
				loop_timer_cancel(timers_loop, &crowd[i]);
				crowd_due_us[i] = 0;
			} else {
				crowd_due_us[i] = now + 1000 + (int64_t)(random >> 12 & 0x3fff);
				loop_timer_set(timers_loop, &crowd[i], crowd_due_us[i]);
			}
		}
		now += 2000;
		for (int i = 0; i < CROWD; i++)
			expected += crowd_due_us[i] != 0 && crowd_due_us[i] <= now;
		rig_clock_us += 2000;
		rig_settle(timers_loop);
		assert_int_equal(crowd_expired, expected);
		crowd_last_us = 0;
	}
	loop_destroy(timers_loop);
}

struct pipe_watch {
	struct loop_watch watch;
	struct flags *flags;
	struct pipe_watch *other;
	int ends[2];
};

static void read_one(struct loop_watch *watch, uint32_t events)
{
	char byte;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(watch->fd, &byte, 1), 1);
	container_of(watch, struct pipe_watch, watch)->flags->n++;
}

static void open_pipe(struct pipe_watch *p, struct flags *flags,
		      void (*ready)(struct loop_watch *, uint32_t))
{
	p->flags = flags;
	assert_int_equal(pipe2(p->ends, O_NONBLOCK | O_CLOEXEC), 0);
	p->watch = (struct loop_watch){.fd = p->ends[0], .events = EPOLLIN, .ready = ready};
	assert_int_equal(loop_watch_add(flags->loop, &p->watch), 0);
}

static void close_pipe(struct pipe_watch *p)
{
	close(p->ends[0]);
	close(p->ends[1]);
}

static void settle_turns(struct loop *loop, int n)
{
	while (n-- > 0)
		assert_int_equal(loop_turn(loop, 0), 0);
}

static void watches_are_level_triggered(void **state)
{
	struct flags flags = {.loop = rig_loop(backend_of(state), 0)};
	struct pipe_watch p;

	open_pipe(&p, &flags, read_one);
	assert_int_equal(write(p.ends[1], "12345", 5), 5);
	while (flags.n < 3)
		assert_int_equal(loop_turn(flags.loop, -1), 0);
	assert_int_equal(flags.n, 3);
	while (flags.n < 5)
		assert_int_equal(loop_turn(flags.loop, -1), 0);
	settle_turns(flags.loop, 5);
	loop_watch_remove(flags.loop, &p.watch);
	assert_int_equal(write(p.ends[1], "6", 1), 1);
	settle_turns(flags.loop, 5);
	assert_int_equal(flags.n, 5);
	close_pipe(&p);
	loop_destroy(flags.loop);
}

static void remove_both(struct loop_watch *watch, uint32_t events)
{
	struct pipe_watch *p = container_of(watch, struct pipe_watch, watch);

	(void)events;
	p->flags->n++;
	loop_watch_remove(p->flags->loop, &p->watch);
	loop_watch_remove(p->flags->loop, &p->other->watch);
	close_pipe(p);
	close_pipe(p->other);
	/* The memory may be used again at once. */
	memset(p->other, 0xff, sizeof(*p->other));
	memset(p, 0xff, sizeof(*p));
}

static void watch_removed_by_another_is_not_called_any_more(void **state)
{
	struct flags flags = {.loop = rig_loop(backend_of(state), 0)};
	struct pipe_watch a, b;

	open_pipe(&a, &flags, remove_both);
	open_pipe(&b, &flags, remove_both);
	a.other = &b;
	b.other = &a;
	assert_int_equal(write(a.ends[1], "1", 1), 1);
	assert_int_equal(write(b.ends[1], "1", 1), 1);
	settle_turns(flags.loop, 5);
	assert_int_equal(flags.n, 1);
	loop_destroy(flags.loop);
}

/* --- listeners --- */

struct server {
	struct loop_listener listener;
	struct loop *loop;
	uint16_t port;
	int fds[200];
	unsigned n, remove_after;
	bool enough;
};

static void take(struct loop_listener *listener, int fd)
{
	struct server *server = container_of(listener, struct server, listener);

	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	server->fds[server->n++] = fd;
	if (server->n == server->remove_after)
		loop_listener_remove(server->loop, &server->listener);
	server->enough = server->n >= server->remove_after;
}

static void open_server(struct server *server, struct loop *loop, unsigned remove_after)
{
	*server = (struct server){.loop = loop, .remove_after = remove_after};
	server->listener.fd = rig_listen(&server->port);
	server->listener.accepted = take;
	assert_int_equal(loop_listener_add(loop, &server->listener), 0);
}

static void close_all_fds(const int *fds, unsigned n)
{
	while (n-- > 0)
		close(fds[n]);
}

static void all_of_a_storm_are_accepted_a_few_at_a_time(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 0);
	static struct server server;
	int fds[150];

	open_server(&server, loop, 150);
	for (int i = 0; i < 150; i++)
		fds[i] = rig_connect(server.port, 0);
	for (unsigned before = 0; !server.enough;
	     before = server.n) { /* removes itself at the end */
		assert_int_equal(loop_turn(loop, 100000), 0);
		assert_true(server.n - before <= 32);
	}
	assert_int_equal(server.n, 150);
	close_all_fds(fds, 150);
	close_all_fds(server.fds, server.n);
	loop_destroy(loop);
}

static void listener_removed_in_the_middle_of_a_storm_takes_no_more(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 0);
	static struct server server;
	int fds[20];

	open_server(&server, loop, 5);
	for (int i = 0; i < 20; i++)
		fds[i] = rig_connect(server.port, 0);
	rig_until(loop, &server.enough);
	settle_turns(loop, 5);
	assert_int_equal(server.n, 5);
	/* Nor does the loop keep what was accepted behind its back. */
	for (int i = 5; i < 20; i++) {
		char byte;

		while (recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
			settle_turns(loop, 1);
	}
	close_all_fds(fds, 20);
	close_all_fds(server.fds, server.n);
	loop_destroy(loop);
}

static void full_fd_table_pauses_accepting_until_there_is_room(void **state)
{
	struct rlimit old, low;
	struct loop *loop = rig_loop(backend_of(state), 0);
	static struct server server;
	int clients[4], fillers[100], n = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){.rlim_cur = 90, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	open_server(&server, loop, 4);
	settle_turns(loop, 2);
	for (int i = 0; i < 4; i++)
		clients[i] = rig_connect(server.port, 0);
	while ((fillers[n] = dup(0)) >= 0)
		n++;
	assert_int_equal(errno, EMFILE);
	while (loop_stats(loop)->accept_paused == 0)
		assert_int_equal(loop_turn(loop, 100000), 0);
	assert_int_equal(server.n, 0);
	settle_turns(loop, 20);
	assert_int_equal(loop_stats(loop)->accept_paused, 1); /* it does not spin */
	rig_clock_us += 100000;
	while (loop_stats(loop)->accept_paused == 1)
		assert_int_equal(loop_turn(loop, 100000), 0);
	close_all_fds(fillers, (unsigned)n);
	rig_clock_us += 100000;
	rig_until(loop, &server.enough);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close_all_fds(clients, 4);
	close_all_fds(server.fds, server.n);
	loop_destroy(loop);
}

static void paused_listener_can_be_removed(void **state)
{
	struct rlimit old, low;
	struct loop *loop = rig_loop(backend_of(state), 0);
	static struct server server;
	int client;

	open_server(&server, loop, 2);
	client = rig_connect(server.port, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	loop_listener_remove(loop, &server.listener);
	open_server(&server, loop, 2);
	close(client);
	low = (struct rlimit){.rlim_cur = 3, .rlim_max = old.rlim_max};
	client = rig_connect(server.port, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (loop_stats(loop)->accept_paused == 0)
		assert_int_equal(loop_turn(loop, 100000), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	loop_listener_remove(loop, &server.listener);
	rig_clock_us += 100000;
	settle_turns(loop, 5);
	assert_int_equal(server.n, 0);
	close(client);
	loop_destroy(loop);
}

/* A restart at once needs it. */
static void a_port_is_free_once_the_loop_is_destroyed(void **state)
{
	for (int i = 0; i < 50; i++) {
		struct loop *loop = rig_loop(*(enum config_backend *)*state, 4096);
		struct sockaddr_in address = {.sin_family = AF_INET};
		struct server server;
		int fd;

		open_server(&server, loop, 1);
		rig_settle(loop);
		loop_listener_remove(loop, &server.listener);
		loop_destroy(loop);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address.sin_port = htons(server.port);
		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
		assert_int_equal(listen(fd, 1), 0);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(io_uring_that_is_refused_means_epoll),
		cmocka_unit_test(auto_is_io_uring_or_epoll_where_that_is_refused),
		ON_BOTH(run_returns_when_stopped),
		ON_BOTH(timers_expire_in_order_and_can_be_moved_and_cancelled),
		ON_BOTH(a_crowd_of_timers_expires_in_order),
		ON_BOTH(watches_are_level_triggered),
		ON_BOTH(watch_removed_by_another_is_not_called_any_more),
		ON_BOTH(all_of_a_storm_are_accepted_a_few_at_a_time),
		ON_BOTH(listener_removed_in_the_middle_of_a_storm_takes_no_more),
		ON_BOTH(full_fd_table_pauses_accepting_until_there_is_room),
		ON_BOTH(paused_listener_can_be_removed),
		ON_BOTH(a_port_is_free_once_the_loop_is_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
