/* SPDX-License-Identifier: BSD-2-Clause */
/* Viewers over TLS: the policy of all viewers holds for them, on both backends. */
#include "tests/unit/feed_rig.h"
#include "tests/unit/tls_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/serve/noise.h"

struct fixture {
	struct rig rig;
	struct tls_rig tls;
	struct endpoint endpoint;
};

static void start_with(struct fixture *f, void **state, bool kernel)
{
	struct net_address address = {.host = "127.0.0.1"};
	struct server_place place = {&f->endpoint, &address, "test"};

	memset(f, 0, sizeof *f);
	tls_rig_start(&f->tls, kernel);
	rig_init(&f->rig, *(enum config_backend *)*state);
	rig_start(&f->rig);
	assert_int_equal(server_enable_tls(f->rig.server, f->tls.context), 0);
	f->tls.context = NULL;
	f->endpoint = f->rig.endpoint;
	f->endpoint.tls = CONFIG_TLS_YES;
	assert_int_equal(server_listen(f->rig.server, &place, 1, NULL), 0);
}

static void start(struct fixture *f, void **state)
{
	start_with(f, state, false);
}

static void stop(struct fixture *f)
{
	rig_stop(&f->rig);
	tls_rig_stop(&f->tls);
}

static void note_fd(const struct cursor *cursor, void *user)
{
	const struct connection *connection =
		(const void *)((const char *)cursor - offsetof(struct connection, cursor));

	*(int *)user = connection->conn.fd;
}

static ssize_t receive(struct viewer *viewer, void *data, size_t max)
{
	size_t n;

	if (SSL_read_ex(viewer->receiver, data, max, &n) == 1)
		return (ssize_t)n;
	if (SSL_get_error(viewer->receiver, 0) == SSL_ERROR_ZERO_RETURN)
		return 0;
	errno = SSL_get_error(viewer->receiver, 0) == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
	ERR_clear_error();
	return -1;
}

/* The newest viewer is the last one in the audience, so tests note their descriptors one by one. */
static struct viewer *join(struct fixture *f, int rcvbuf)
{
	struct viewer *viewer = calloc(1, sizeof *viewer);
	const struct audience_stats *stats = &feed_stats(f->rig.feed)->audience;
	uint64_t joined = stats->joined;
	int64_t deadline = rig_deadline();
	SSL *client;

	assert_non_null(viewer);
	viewer->fd = rig_connect(f->endpoint.port, rcvbuf);
	client = tls_rig_client(viewer->fd, 0);
	while (!tls_rig_shake(client))
		rig_wait(f->rig.loop, deadline);
	while (stats->joined == joined)
		rig_wait(f->rig.loop, deadline);
	rig_settle(f->rig.loop);
	viewer->receive = receive;
	viewer->receiver = client;
	feed_for_each_cursor(f->rig.feed, note_fd, &viewer->server_fd);
	return viewer;
}

static void leave(struct viewer *viewer)
{
	tls_rig_free(viewer->receiver);
	viewer_leave(viewer);
}

/* Adds n units of a GOP structure, a frame's time apart. flags[] by number. */
static void play(struct fixture *f, uint8_t *flags, int n)
{
	for (int i = 0; i < n; i++) {
		bool key = f->rig.next % 30 == 0;

		flags[f->rig.next] = key ? KEY : 0;
		rig_unit(&f->rig, key ? 40000 : 9000, flags[f->rig.next]);
		rig_pass(&f->rig, RIG_FRAME_US);
	}
}

static void a_viewer_gets_all_units_by_copies(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *viewer;
	struct fixture f;

	start(&f, state);
	viewer = join(&f, 0);
	for (int i = 0; i < 200; i++) {
		play(&f, flags, 1);
		viewer_drink(&f.rig, viewer);
	}
	assert_int_equal(viewer->n, 200);
	assert_true(feed_stats(f.rig.feed)->audience.sends >= 200);
	assert_int_equal(feed_stats(f.rig.feed)->audience.sendfiles, 0);
	assert_int_equal(feed_stats(f.rig.feed)->audience.sent_bytes, viewer->bytes);
	leave(viewer);
	stop(&f);
}

static void watch_slowly(struct fixture *f, struct viewer *viewer)
{
	static uint8_t flags[RIG_SEEN_MAX];

	for (int i = 0; i < 900; i++) {
		play(f, flags, 1);
		viewer_read(viewer, 4500); /* half of what comes */
	}
	viewer_check_gaps(viewer, flags);
	assert_in_range(viewer->n, 100, 800);
	assert_true(feed_stats(f->rig.feed)->audience.units_dropped > 100);
	assert_true(feed_stats(f->rig.feed)->audience.resyncs > 5);
	assert_int_equal(feed_stats(f->rig.feed)->audience.left[CURSOR_END_STALL], 0);
	assert_true(feed_stats(f->rig.feed)->log.segments <= 4);
}

static void a_slow_viewer_loses_units_but_never_a_part_of_one(void **state)
{
	struct viewer *viewer;
	struct fixture f;

	start(&f, state);
	viewer = join(&f, 32768);
	watch_slowly(&f, viewer);
	leave(viewer);
	stop(&f);
}

static int poor_fd;
static unsigned sends_left; /* that find memory */

static int find_memory(int fd, size_t *len)
{
	(void)len;
	if (fd != poor_fd)
		return 0;
	if (sends_left == 0)
		return -ENOBUFS;
	sends_left--;
	return 0;
}

/* A record could hold a whole unit and the first byte of the next one, which is then dropped. */
static void a_record_has_bytes_of_one_unit_only(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *viewer;
	struct fixture f;
	off_t next;

	start(&f, state);
	viewer = join(&f, 0);
	play(&f, flags, 1);
	viewer_drink(&f.rig, viewer);
	poor_fd = viewer->server_fd;
	sends_left = 0;
	rig_on_send = find_memory;
	rig_unit(&f.rig, 9000, 0); /* begins */
	rig_unit(&f.rig, TLS_RECORD_MAX - 1, 0);
	/* All units begin alike, but this one, which nobody must see. */
	next = (off_t)f.rig.offset;
	rig_unit(&f.rig, 9000, 0);
	assert_int_equal(pwrite(f.rig.segment, "\xff", 1, next), 1);
	play(&f, flags, 1);
	sends_left = 1;
	rig_pass(&f.rig, RIG_FRAME_US);
	assert_int_equal(sends_left, 0);
	play(&f, flags, 150);
	rig_on_send = NULL;
	play(&f, flags, 31);
	viewer_drink(&f.rig, viewer);
	viewer_check_gaps(viewer, flags);
	assert_true(feed_stats(f.rig.feed)->audience.units_dropped > 100);
	assert_int_equal(viewer->seen[2].number, 2);
	assert_int_equal(viewer->seen[viewer->n - 1].number, f.rig.next - 1);
	leave(viewer);
	stop(&f);
}

static void a_viewer_that_stalls_is_disconnected(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *viewer, *other;
	struct fixture f;

	start(&f, state);
	viewer = join(&f, 4096);
	other = viewer_join(&f.rig, 0);
	for (int i = 0; i < 900; i++) {
		play(&f, flags, 1);
		viewer_drink(&f.rig, other);
	}
	assert_int_equal(feed_stats(f.rig.feed)->audience.left[CURSOR_END_STALL], 1);
	assert_int_equal(other->n, 900);
	leave(viewer);
	viewer_leave(other);
	stop(&f);
}

/* By TLS alone, and by TCP too. It may then be slow, which on io_uring takes another way. */
static void a_viewer_that_ends_its_input_watches_on(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];

	for (int by_tcp = 0; by_tcp < 2; by_tcp++) {
		struct viewer *viewer;
		struct fixture f;

		start(&f, state);
		viewer = join(&f, 4096);
		play(&f, flags, 2);
		if (by_tcp)
			assert_int_equal(shutdown(viewer->fd, SHUT_WR), 0);
		else
			assert_int_equal(SSL_shutdown(viewer->receiver), 0);
		for (int i = 0; i < 200; i++) {
			play(&f, flags, 1);
			viewer_read(viewer, 6000);
		}
		for (int i = 0; i < 100; i++) {
			viewer_drink(&f.rig, viewer);
			play(&f, flags, 1);
		}
		viewer_drink(&f.rig, viewer);
		viewer_check_gaps(viewer, flags);
		assert_int_equal(viewer->seen[viewer->n - 1].number, f.rig.next - 1);
		assert_int_equal(rig_gone(&f.rig), 0);
		leave(viewer);
		stop(&f);
	}
}

/* Behind the handshake: bytes that are no records of its own. */
static void a_viewer_that_breaks_the_protocol_is_closed(void **state)
{
	struct viewer *viewer;
	struct fixture f;
	int64_t deadline;

	start(&f, state);
	viewer = join(&f, 0);
	assert_int_equal(send(viewer->fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	deadline = rig_deadline();
	while (rig_gone(&f.rig) == 0)
		rig_wait(f.rig.loop, deadline);
	leave(viewer);
	stop(&f);
}

/* As raw TCP's viewers (noise.h). */
static void a_viewer_that_sends_without_end_is_disconnected(void **state)
{
	static const uint8_t noise[4096];
	struct viewer *viewer;
	struct fixture f;
	int64_t deadline;

	start(&f, state);
	viewer = join(&f, 0);
	deadline = rig_deadline();
	while (rig_gone(&f.rig) == 0) {
		size_t n;

		(void)SSL_write_ex(viewer->receiver, noise, sizeof noise, &n);
		ERR_clear_error();
		rig_wait(f.rig.loop, deadline);
	}
	assert_int_equal(feed_stats(f.rig.feed)->audience.left[CURSOR_END_NOISE], 1);
	leave(viewer);
	stop(&f);
}

/* A record costs as much as 64 bytes (noise.h). */
static void a_viewer_that_sends_tiny_records_is_disconnected_early(void **state)
{
	struct viewer *viewer;
	struct fixture f;
	int64_t deadline;
	unsigned sent = 0;

	start(&f, state);
	viewer = join(&f, 0);
	while (sent < NOISE_MAX / NOISE_READ_MIN) {
		size_t n;

		sent += (unsigned)SSL_write_ex(viewer->receiver, "x", 1, &n);
		ERR_clear_error();
		rig_settle(f.rig.loop);
	}
	assert_int_equal(rig_gone(&f.rig), 0);
	assert_int_equal(SSL_write(viewer->receiver, "x", 1), 1);
	deadline = rig_deadline();
	while (rig_gone(&f.rig) == 0)
		rig_wait(f.rig.loop, deadline);
	assert_int_equal(feed_stats(f.rig.feed)->audience.left[CURSOR_END_NOISE], 1);
	leave(viewer);
	stop(&f);
}

/* --- in the kernel, which may not be able to --- */

/* NULL: the kernel encrypts nothing here, and there is no fixture any more. */
static struct viewer *join_in_kernel(struct fixture *f, void **state, int rcvbuf)
{
	struct viewer *viewer;
	char ulp[16] = "";
	socklen_t len = sizeof ulp;

	start_with(f, state, true);
	viewer = join(f, rcvbuf);
	(void)getsockopt(viewer->server_fd, IPPROTO_TCP, TCP_ULP, ulp, &len);
	if (strcmp(ulp, "tls") == 0)
		return viewer;
	leave(viewer);
	stop(f);
	return NULL;
}

static void the_kernel_gets_a_unit_in_one_send(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct fixture f;
	struct viewer *viewer = join_in_kernel(&f, state, 0);

	if (!viewer)
		skip();
	for (int i = 0; i < 200; i++) {
		play(&f, flags, 1);
		viewer_drink(&f.rig, viewer);
	}
	assert_int_equal(viewer->n, 200);
	assert_in_range(feed_stats(f.rig.feed)->audience.sends, 200, 220);
	assert_int_equal(feed_stats(f.rig.feed)->audience.sendfiles, 0);
	leave(viewer);
	stop(&f);
}

static void a_slow_viewer_of_the_kernel_sees_no_part_of_a_unit(void **state)
{
	struct fixture f;
	struct viewer *viewer = join_in_kernel(&f, state, 32768);

	if (!viewer)
		skip();
	watch_slowly(&f, viewer);
	leave(viewer);
	stop(&f);
}

/* Nothing is in flight when the unit begins, and its first record alone exceeds notsent_lowat. */
static void a_unit_of_several_records_of_the_kernel_has_room_in_an_idle_socket(void **state)
{
	struct viewer *viewers[2];
	struct fixture f;

	viewers[0] = join_in_kernel(&f, state, 0);
	if (!viewers[0])
		skip();
	for (unsigned n = 1; n <= 2; n++) {
		if (n == 2)
			viewers[1] = join(&f, 0);
		for (int i = 0; i < 100; i++) {
			for (unsigned v = 0; v < n; v++)
				viewer_drink(&f.rig, viewers[v]);
			rig_unit(&f.rig, 40000, KEY);
			rig_pass(&f.rig, RIG_FRAME_US);
		}
		for (unsigned v = 0; v < n; v++)
			viewer_drink(&f.rig, viewers[v]);
	}
	assert_int_equal(viewers[0]->n, 200);
	assert_in_range(viewers[1]->n, 100, 101);
	assert_true(loop_stats(f.rig.loop)->send_again < 30);
	leave(viewers[0]);
	leave(viewers[1]);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_viewer_gets_all_units_by_copies),
		ON_BOTH(a_slow_viewer_loses_units_but_never_a_part_of_one),
		ON_BOTH(a_record_has_bytes_of_one_unit_only),
		ON_BOTH(a_viewer_that_stalls_is_disconnected),
		ON_BOTH(a_viewer_that_ends_its_input_watches_on),
		ON_BOTH(a_viewer_that_breaks_the_protocol_is_closed),
		ON_BOTH(a_viewer_that_sends_without_end_is_disconnected),
		ON_BOTH(a_viewer_that_sends_tiny_records_is_disconnected_early),
		ON_BOTH(the_kernel_gets_a_unit_in_one_send),
		ON_BOTH(a_slow_viewer_of_the_kernel_sees_no_part_of_a_unit),
		ON_BOTH(a_unit_of_several_records_of_the_kernel_has_room_in_an_idle_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
