/* SPDX-License-Identifier: BSD-2-Clause */
/* Handshakes on their thread, and what becomes of peers before and behind them. */
#include "tests/unit/feed_rig.h"
#include "tests/unit/tls_rig.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/serve/handshakes.h"

/* The rig's clock is the thread's, too, so that limits pass when told. */

struct fixture {
	struct tls_rig tls;
	struct loop *loop;
	struct handshakes *handshakes;
	struct protocol protocol;
	struct quota quota;
	struct endpoint endpoint;
	unsigned n_plain, n_secure;
	bool came;
	int fds[HANDSHAKES_MAX];
	struct tls secure; /* the last one */
};

static void take_ready(void *user, struct endpoint *endpoint, int fd, struct tls *tls)
{
	struct fixture *f = user;

	assert_ptr_equal(endpoint, &f->endpoint);
	f->fds[f->n_plain + f->n_secure] = fd;
	if (tls) {
		tls_close(&f->secure);
		tls_move(&f->secure, tls);
		f->n_secure++;
	} else {
		f->n_plain++;
	}
	f->came = true;
}

static void start(struct fixture *f, void **state, enum config_tls_mode mode)
{
	memset(f, 0, sizeof *f);
	tls_rig_start(&f->tls, true);
	f->loop = rig_loop(*(enum config_backend *)*state, 0);
	f->protocol = (struct protocol){.scheme = "plain", .needs_tls = "use TLS\n"};
	f->quota.name = "test";
	f->endpoint = (struct endpoint){.protocol = &f->protocol, .quota = &f->quota, .tls = mode};
	assert_int_equal(handshakes_create(&f->handshakes, f->loop, f->tls.context, take_ready, f),
			 0);
	f->tls.context = NULL;
}

static void stop(struct fixture *f)
{
	handshakes_destroy(f->handshakes);
	tls_close(&f->secure);
	for (unsigned i = 0; i < f->n_plain + f->n_secure; i++)
		close(f->fds[i]);
	loop_destroy(f->loop);
	tls_rig_stop(&f->tls);
}

/* Returns the peer's end. */
static int come(struct fixture *f)
{
	int ends[2];

	rig_pair(ends, 0);
	handshakes_take(f->handshakes, &f->endpoint, ends[0]);
	return ends[1];
}

static void wait_for_peer(struct fixture *f)
{
	f->came = false;
	rig_until(f->loop, &f->came);
}

/* The server closes the peer's connection. Returns the bytes that came before, terminated. */
static const char *wait_closed(int fd)
{
	static char text[256];
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n;

	do {
		assert_int_equal(poll(&poll_fd, 1, 10000), 1);
		n = recv(fd, text + len, sizeof text - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	text[len] = '\0';
	close(fd);
	return text;
}

static unsigned long long read_counter(const atomic_ullong *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The thread counts before it closes. */
#define assert_counted(f, field, n)                                                                \
	assert_int_equal(read_counter(&handshakes_stats((f)->handshakes)->field), n)

/* A client's handshake, with turns of the loop in between. */
static void shake(struct fixture *f, SSL *client)
{
	while (!tls_rig_shake(client)) {
		struct pollfd poll_fd = {.fd = SSL_get_fd(client), .events = POLLIN};

		assert_int_equal(poll(&poll_fd, 1, 10000), 1);
		rig_settle(f->loop);
	}
}

static void a_peer_is_handed_on_after_its_handshake(void **state)
{
	static const enum config_tls_mode modes[] = {CONFIG_TLS_YES, CONFIG_TLS_AUTO};
	struct fixture f;
	char data[8];
	SSL *client;
	size_t n;
	int fd;

	for (unsigned i = 0; i < 2; i++) {
		start(&f, state, modes[i]);
		fd = come(&f);
		client = tls_rig_client(fd, 0);
		shake(&f, client);
		/* It may have come while the client was at it. */
		while (f.n_secure == 0)
			wait_for_peer(&f);
		assert_int_equal(SSL_write_ex(client, "hello", 5, &n), 1);
		assert_int_equal(
			poll(&(struct pollfd){.fd = f.secure.fd, .events = POLLIN}, 1, 10000), 1);
		assert_int_equal(tls_read(&f.secure, data, sizeof data), 5);
		assert_counted(&f, done, 1);
		tls_rig_free(client);
		close(fd);
		stop(&f);
	}
}

static void plain_is_told_by_the_first_byte(void **state)
{
	struct fixture f;
	int fd;

	start(&f, state, CONFIG_TLS_AUTO);
	fd = come(&f);
	assert_int_equal(send(fd, "G", 1, 0), 1);
	wait_for_peer(&f);
	assert_int_equal(f.n_plain, 1);
	close(fd);
	/* A peer that ended its input may still watch. */
	fd = come(&f);
	shutdown(fd, SHUT_WR);
	wait_for_peer(&f);
	assert_int_equal(f.n_plain, 2);
	close(fd);
	stop(&f);

	start(&f, state, CONFIG_TLS_YES);
	fd = come(&f);
	assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	assert_string_equal(wait_closed(fd), "use TLS\n");
	assert_counted(&f, plain, 1);
	fd = come(&f);
	shutdown(fd, SHUT_WR);
	assert_string_equal(wait_closed(fd), "");
	assert_counted(&f, failed, 1);
	stop(&f);
	assert_int_equal(f.n_plain + f.n_secure, 0);
}

static void broken_handshakes_end(void **state)
{
	static const char *const texts[] = {"\x16", "\x16\x03\x01\x00\x05hello", "\x16garbage"};
	struct fixture f;

	start(&f, state, CONFIG_TLS_YES);
	for (unsigned i = 0; i < 3; i++) {
		int fd = come(&f);

		assert_true(send(fd, texts[i], i == 1 ? 10 : strlen(texts[i]), 0) > 0);
		shutdown(fd, SHUT_WR);
		(void)wait_closed(fd);
		assert_counted(&f, failed, i + 1);
	}
	stop(&f);
}

/* Wakes the thread, whose sleep does not follow the rig's clock. */
static void wake(struct fixture *f)
{
	int fd = come(f);

	shutdown(fd, SHUT_WR);
	(void)wait_closed(fd);
}

static void a_handshake_has_ten_seconds(void **state)
{
	struct fixture f;
	int silent, half;

	start(&f, state, CONFIG_TLS_YES);
	silent = come(&f);
	half = come(&f);
	assert_int_equal(send(half, "\x16\x03\x01", 3, 0), 3);
	wake(&f);
	rig_clock_us += HANDSHAKE_US - 1;
	wake(&f);
	assert_counted(&f, slow, 0);
	rig_clock_us += 1;
	wake(&f);
	(void)wait_closed(silent);
	(void)wait_closed(half);
	assert_counted(&f, slow, 2);
	stop(&f);
}

/* A viewer of raw TCP says nothing. */
static void a_silent_peer_speaks_plain_after_a_second(void **state)
{
	struct fixture f;
	int fd;

	start(&f, state, CONFIG_TLS_AUTO);
	f.protocol.silent_peers = true;
	fd = come(&f);
	rig_settle(f.loop);
	assert_int_equal(f.n_plain, 0);
	do {
		int other = come(&f);

		rig_clock_us += HANDSHAKE_SILENCE_US;
		assert_int_equal(send(other, "x", 1, 0), 1);
		wait_for_peer(&f);
		close(other);
	} while (f.n_plain < 2);
	close(fd);
	stop(&f);
}

static void when_all_places_are_taken_the_oldest_makes_room(void **state)
{
	int fds[HANDSHAKES_MAX + 1];
	struct fixture f;

	start(&f, state, CONFIG_TLS_YES);
	for (unsigned i = 0; i <= HANDSHAKES_MAX; i++)
		fds[i] = come(&f);
	(void)wait_closed(fds[0]);
	assert_counted(&f, displaced, 1);
	for (unsigned i = 1; i <= HANDSHAKES_MAX; i++)
		close(fds[i]);
	stop(&f);
}

/* With a clock that stands, no more begin than at once. */
static void no_more_begin_in_a_second_than_allowed(void **state)
{
	SSL *clients[HANDSHAKES_BURST + 10];
	int fds[HANDSHAKES_BURST + 10];
	struct fixture f;

	start(&f, state, CONFIG_TLS_YES);
	for (unsigned i = 0; i < HANDSHAKES_BURST + 10; i++) {
		fds[i] = come(&f);
		clients[i] = tls_rig_client(fds[i], 0);
		(void)tls_rig_shake(clients[i]);
	}
	for (unsigned i = 0; i < HANDSHAKES_BURST; i++)
		shake(&f, clients[i]);
	while (f.n_secure < HANDSHAKES_BURST)
		wait_for_peer(&f);
	rig_settle(f.loop);
	assert_counted(&f, done, HANDSHAKES_BURST);
	rig_clock_us += 1000000;
	for (unsigned i = HANDSHAKES_BURST; i < HANDSHAKES_BURST + 10; i++)
		shake(&f, clients[i]);
	while (f.n_secure < HANDSHAKES_BURST + 10)
		wait_for_peer(&f);
	for (unsigned i = 0; i < HANDSHAKES_BURST + 10; i++) {
		tls_rig_free(clients[i]);
		close(fds[i]);
	}
	stop(&f);
}

/* --- a slow thread: what it sends, in its order --- */

static pthread_t loop_thread;
static sem_t at_gate, gate;
static _Atomic unsigned n_begun, n_begun_before_plain;

/* A flight of a handshake is one send; "use TLS" is shorter. The first one and the third one wait
 * for the test. */
static int note_send(int fd, size_t *len)
{
	(void)fd;
	if (pthread_equal(pthread_self(), loop_thread))
		return 0;
	if (*len < 16) {
		n_begun_before_plain = n_begun;
	} else if (++n_begun == 1 || n_begun == 3) {
		sem_post(&at_gate);
		sem_wait(&gate);
	}
	return 0;
}

static int come_plain(struct fixture *f)
{
	int fd = come(f);

	assert_int_equal(send(fd, "GET", 3, 0), 3);
	return fd;
}

/* Else those that come are dropped by age alone, whatever their address. */
static void newcomers_get_their_places_between_slow_handshakes(void **state)
{
	enum { PEERS = 40 };
	SSL *clients[PEERS];
	struct fixture f;
	int fds[PEERS], plain;

	start(&f, state, CONFIG_TLS_YES);
	loop_thread = pthread_self();
	n_begun = 0;
	sem_init(&at_gate, 0, 0);
	sem_init(&gate, 0, 0);
	rig_on_send = note_send;
	for (unsigned i = 0; i < PEERS; i++) {
		fds[i] = come(&f);
		clients[i] = tls_rig_client(fds[i], 0);
		(void)tls_rig_shake(clients[i]);
		if (i == 0)
			sem_wait(&at_gate);
	}
	plain = come_plain(&f);
	sem_post(&gate);
	sem_wait(&at_gate);
	assert_string_equal(wait_closed(plain), "use TLS\n");
	assert_int_equal(n_begun_before_plain, 1);
	plain = come_plain(&f);
	sem_post(&gate);
	assert_string_equal(wait_closed(plain), "use TLS\n");
	assert_in_range(n_begun_before_plain, 3, 8);
	for (unsigned i = 0; i < PEERS; i++) {
		tls_rig_free(clients[i]);
		close(fds[i]);
	}
	stop(&f);
	rig_on_send = NULL;
	sem_destroy(&at_gate);
	sem_destroy(&gate);
}

static void what_is_under_way_at_the_end_is_closed(void **state)
{
	struct fixture f;
	SSL *client;
	int fds[3];

	start(&f, state, CONFIG_TLS_YES);
	fds[0] = come(&f);
	fds[1] = come(&f);
	client = tls_rig_client(fds[1], 0);
	(void)tls_rig_shake(client);
	fds[2] = come(&f);
	stop(&f);
	tls_rig_free(client);
	for (unsigned i = 0; i < 3; i++)
		(void)wait_closed(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_peer_is_handed_on_after_its_handshake),
		ON_BOTH(plain_is_told_by_the_first_byte),
		ON_BOTH(broken_handshakes_end),
		ON_BOTH(a_handshake_has_ten_seconds),
		ON_BOTH(a_silent_peer_speaks_plain_after_a_second),
		ON_BOTH(when_all_places_are_taken_the_oldest_makes_room),
		ON_BOTH(no_more_begin_in_a_second_than_allowed),
		ON_BOTH(newcomers_get_their_places_between_slow_handshakes),
		ON_BOTH(what_is_under_way_at_the_end_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
