/* SPDX-License-Identifier: BSD-2-Clause */
/* One stream over TCP, from a server of the test's own that sends what and when the test wants. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client/stream/reader.h"
#include "client/stream/target.h"

#define KEY "\0\0\0\1\x09\xf0\0\0\0\1\x67\x42\xc0\x1f\0\0\0\1\x68\xce\x3c\0\0\0\1\x65\x88\x84\x21"
#define DELTA "\0\0\0\1\x09\xf0\0\0\0\1\x41\x9a\x02\x33"
#define AUD "\0\0\0\1\x09\xf0"

#define NAME_64 "1234567890123456789012345678901234567890123456789012345678901234"
#define PATIENCE_MS 20000

/* Time goes as the tests want, so that nobody waits for a backoff. */
static int64_t clock_ahead_us;

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int ret = __real_clock_gettime(id, ts);

	if (id == CLOCK_MONOTONIC) {
		ts->tv_sec += clock_ahead_us / 1000000;
		ts->tv_nsec += clock_ahead_us % 1000000 * 1000;
		if (ts->tv_nsec >= 1000000000) {
			ts->tv_nsec -= 1000000000;
			ts->tv_sec++;
		}
	}
	return ret;
}

static unsigned connects;

int __real_connect(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
	connects++;
	return __real_connect(fd, address, len);
}

static atomic_bool held; /* a look-up of "slow.test" is under way */

/* That name is the listener's, once its name server has answered. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
						       const struct addrinfo *hints,
						       struct addrinfo **out)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	struct addrinfo numeric = hints ? *hints : (struct addrinfo){0};

	if (!real)
		real = (int (*)(const char *, const char *, const struct addrinfo *,
				struct addrinfo **))(uintptr_t)dlsym(RTLD_NEXT, "getaddrinfo");
	if (strcmp(name, "slow.test") != 0 || numeric.ai_flags & AI_NUMERICHOST)
		return real(name, service, hints, out);
	atomic_store(&held, true);
	usleep(500000);
	atomic_store(&held, false);
	numeric.ai_flags |= AI_NUMERICHOST;
	return real("127.0.0.1", service, &numeric, out);
}

struct fixture {
	struct reader *reader;
	int listener, peer;
	uint16_t port;
	struct reader_unit unit;
};

static void start_listening(struct fixture *f)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(f->port),
	};
	socklen_t len = sizeof address;

	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(f->listener >= 0);
	assert_int_equal(setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)),
			 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(f->listener, 8), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&address, &len), 0);
	f->port = ntohs(address.sin_port);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	clock_ahead_us = 0;
	connects = 0;
	f->peer = -1;
	start_listening(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	reader_destroy(f->reader);
	if (f->peer >= 0)
		close(f->peer);
	if (f->listener >= 0)
		close(f->listener);
	free(f);
	return 0;
}

static void create(struct fixture *f, enum stream_codec codec, enum stream_framing framing)
{
	const struct server_stream at = {
		.host = "127.0.0.1", .port = f->port, .codec = codec, .framing = framing};

	assert_int_equal(reader_create(&f->reader, &at), 0);
}

/* Turns the reader until it has connected. */
static void accept_reader(struct fixture *f)
{
	struct pollfd poll_fd = {.fd = f->listener, .events = POLLIN};

	for (unsigned i = 0; i < PATIENCE_MS && poll(&poll_fd, 1, 0) == 0; i++)
		assert_int_equal(reader_next(f->reader, &f->unit, 1), 0);
	if (f->peer >= 0)
		close(f->peer);
	f->peer = accept(f->listener, NULL, NULL);
	assert_true(f->peer >= 0);
}

static void send_bytes(struct fixture *f, const char *data, size_t len)
{
	assert_int_equal(send(f->peer, data, len, MSG_NOSIGNAL), len);
}
#define SEND(f, text) send_bytes(f, text, sizeof(text) - 1)

static void expect_unit(struct fixture *f, const char *data, size_t len, bool discontinuity)
{
	assert_int_equal(reader_next(f->reader, &f->unit, PATIENCE_MS), 1);
	assert_int_equal(f->unit.len, len);
	assert_memory_equal(f->unit.data, data, len);
	assert_int_equal(f->unit.discontinuity, discontinuity);
}
#define EXPECT(f, text, discontinuity) expect_unit(f, text, sizeof(text) - 1, discontinuity)

static void expect_nothing(struct fixture *f)
{
	assert_int_equal(reader_next(f->reader, &f->unit, 20), 0);
}

/* Turns the reader until it is in `wanted`. */
static void turn_until(struct fixture *f, enum reader_state wanted)
{
	for (unsigned i = 0; i < PATIENCE_MS && reader_stats(f->reader)->state != wanted; i++)
		assert_int_equal(reader_next(f->reader, &f->unit, 1), 0);
	assert_int_equal(reader_stats(f->reader)->state, wanted);
}

/* The same until it has tried to connect that often, and failed. */
static void turn_until_connects(struct fixture *f, unsigned wanted)
{
	for (unsigned i = 0; i < PATIENCE_MS && connects < wanted; i++)
		assert_int_equal(reader_next(f->reader, &f->unit, 1), 0);
	assert_int_equal(connects, wanted);
	turn_until(f, READER_BACKOFF);
}

static void begins_at_a_key_unit(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_H264, STREAM_ANNEXB);
	accept_reader(f);
	SEND(f, DELTA DELTA KEY DELTA AUD);
	EXPECT(f, KEY, true);
	assert_true(f->unit.key);
	assert_int_equal(f->unit.codec, STREAM_H264);
	EXPECT(f, DELTA, false);
	assert_false(f->unit.key);
	expect_nothing(f);
	assert_int_equal(reader_stats(f->reader)->skipped_units, 2);
	assert_int_equal(reader_stats(f->reader)->units, 2);
	assert_int_equal(reader_stats(f->reader)->bytes, sizeof(KEY DELTA) - 1);
	assert_int_equal(reader_stats(f->reader)->state, READER_PLAYING);
}

static void units_that_came_at_once_are_given_without_waiting(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_H264, STREAM_ANNEXB);
	accept_reader(f);
	SEND(f, KEY DELTA DELTA DELTA AUD);
	EXPECT(f, KEY, true);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(reader_next(f->reader, &f->unit, 0), 1);
	assert_int_equal(reader_next(f->reader, &f->unit, 0), 0);
}

static void last_unit_waits_for_the_next_one(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_H264, STREAM_ANNEXB);
	accept_reader(f);
	SEND(f, KEY);
	expect_nothing(f);
	SEND(f, AUD);
	EXPECT(f, KEY, true);
}

static void low_latency_does_not_wait_for_the_next_one(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_H264, STREAM_ANNEXB);
	reader_set_low_latency(f->reader, true);
	accept_reader(f);
	SEND(f, KEY);
	EXPECT(f, KEY, true);
	SEND(f, DELTA);
	EXPECT(f, DELTA, false);
	SEND(f, DELTA);
	EXPECT(f, DELTA, false);
	assert_int_equal(reader_stats(f->reader)->skipped_units, 0);
}

static void unit_cut_short_by_low_latency_leads_to_a_key_unit(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_H264, STREAM_ANNEXB);
	reader_set_low_latency(f->reader, true);
	accept_reader(f);
	SEND(f, KEY);
	EXPECT(f, KEY, true);
	SEND(f, "\x77\x78" DELTA); /* the rest of it, late */
	expect_nothing(f);
	assert_int_equal(reader_stats(f->reader)->state, READER_WAITING_KEY);
	SEND(f, DELTA KEY DELTA);
	EXPECT(f, KEY, true);
	EXPECT(f, DELTA, false);
}

static void lost_connection_is_made_again_and_begins_at_a_key_unit(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_H264, STREAM_ANNEXB);
	accept_reader(f);
	SEND(f, KEY DELTA);
	EXPECT(f, KEY, true);
	close(f->peer);
	f->peer = -1;
	turn_until(f, READER_BACKOFF);
	assert_string_equal(reader_stats(f->reader)->error, "the server closed the connection");
	accept_reader(f);
	SEND(f, DELTA KEY AUD);
	EXPECT(f, KEY, true);
	assert_int_equal(reader_stats(f->reader)->reconnects, 1);
}

static void refused_connection_is_tried_again_with_backoff(void **state)
{
	static const int64_t waits_ms[] = {250, 500, 1000, 2000, 4000, 5000, 5000};
	struct fixture *f = *state;

	close(f->listener);
	f->listener = -1;
	create(f, STREAM_H264, STREAM_ANNEXB);
	turn_until_connects(f, 1);
	for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
		assert_string_equal(reader_stats(f->reader)->error, strerror(ECONNREFUSED));
		clock_ahead_us += waits_ms[i] * 1000 - 200000;
		assert_int_equal(reader_next(f->reader, &f->unit, 0), 0);
		assert_int_equal(connects, i + 1);
		clock_ahead_us += 200000;
		turn_until_connects(f, i + 2);
	}
	start_listening(f);
	clock_ahead_us += 5000000;
	accept_reader(f);
	SEND(f, KEY AUD);
	EXPECT(f, KEY, true);
	close(f->peer);
	f->peer = -1;
	turn_until(f, READER_BACKOFF); /* a unit came, so the backoff begins again */
	clock_ahead_us += 250000;
	accept_reader(f);
}

static void silence_is_no_reason_to_reconnect(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_H264, STREAM_ANNEXB);
	accept_reader(f);
	SEND(f, KEY AUD);
	EXPECT(f, KEY, true);
	clock_ahead_us += 3600 * (int64_t)1000000;
	expect_nothing(f);
	SEND(f, DELTA AUD);
	assert_int_equal(reader_next(f->reader, &f->unit, PATIENCE_MS), 1);
	assert_int_equal(reader_stats(f->reader)->reconnects, 0);
}

static void a_unit_that_never_ends_ends_the_connection(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_H264, STREAM_ANNEXB);
	accept_reader(f);
	SEND(f, KEY AUD);
	EXPECT(f, KEY, true);
	for (int i = 0; i < 2; i++) { /* a byte a minute */
		clock_ahead_us += 40 * (int64_t)1000000;
		SEND(f, "x");
		assert_int_equal(reader_next(f->reader, &f->unit, 20), 0);
	}
	turn_until(f, READER_BACKOFF);
	assert_string_equal(reader_stats(f->reader)->error,
			    "a picture was not complete after a minute");
	assert_true(reader_stats(f->reader)->refused);
}

static void bytes_without_a_key_unit_end_the_connection(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_H264, STREAM_ANNEXB);
	accept_reader(f);
	for (int i = 0; i < 8 && reader_stats(f->reader)->state != READER_BACKOFF; i++) {
		SEND(f, DELTA AUD);
		assert_int_equal(reader_next(f->reader, &f->unit, 20), 0);
		clock_ahead_us += 10 * (int64_t)1000000;
	}
	turn_until(f, READER_BACKOFF);
	assert_string_equal(reader_stats(f->reader)->error, "no key picture came in a minute");
}

static void a_slow_stream_of_key_units_stays(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_H264, STREAM_ANNEXB);
	accept_reader(f);
	SEND(f, KEY AUD);
	EXPECT(f, KEY, true);
	for (int i = 0; i < 4;
	     i++) { /* of which the reader knows the end when the next one comes */
		clock_ahead_us += 100 * (int64_t)1000000;
		SEND(f, KEY AUD);
		assert_int_equal(reader_next(f->reader, &f->unit, PATIENCE_MS), 1);
	}
	assert_int_equal(reader_stats(f->reader)->reconnects, 0);
	assert_int_equal(reader_stats(f->reader)->state, READER_PLAYING);
}

static void jpegs_behind_lengths_are_all_key_units(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_MJPEG, STREAM_LENGTH_PREFIXED);
	accept_reader(f);
	SEND(f, "\0\0\0\0\0\0\0\4\xff\xd8zz\0\0\0\4\xff\xd8");
	EXPECT(f, "\xff\xd8zz", true);
	assert_true(f->unit.key);
	assert_int_equal(f->unit.codec, STREAM_MJPEG);
	expect_nothing(f);
	SEND(f, "yy");
	EXPECT(f, "\xff\xd8yy", false);
}

static void wrong_kind_of_stream_is_said_and_tried_again(void **state)
{
	struct fixture *f = *state;

	create(f, STREAM_MJPEG, STREAM_LENGTH_PREFIXED);
	accept_reader(f);
	SEND(f, "HTTP/1.1 400 Bad Request\r\n");
	turn_until(f, READER_BACKOFF);
	assert_string_equal(reader_stats(f->reader)->error,
			    "the server did not send length-prefixed pictures");
}

static void units_larger_than_the_sockets_buffers_arrive(void **state)
{
	enum { LEN = 3 << 20 };
	struct fixture *f = *state;
	char *data = malloc(4 + LEN);
	size_t sent = 0;
	int r = 0;

	assert_non_null(data);
	memset(data, 0x5a, 4 + LEN);
	memcpy(data, "\0\x30\0\0\xff\xd8", 6);
	create(f, STREAM_MJPEG, STREAM_LENGTH_PREFIXED);
	accept_reader(f);
	for (unsigned i = 0; i < PATIENCE_MS && r == 0; i++) {
		ssize_t n = send(f->peer, data + sent, 4 + LEN - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		r = reader_next(f->reader, &f->unit, 1);
	}
	assert_int_equal(r, 1);
	assert_int_equal(f->unit.len, LEN);
	assert_memory_equal(f->unit.data, data + 4, LEN);
	free(data);
}

static void names_with_several_addresses_are_tried_in_turn(void **state)
{
	struct fixture *f = *state;
	const struct server_stream at = {.host = "localhost", .port = f->port};

	/* The listener has only the IPv4 one of them. */
	assert_int_equal(reader_create(&f->reader, &at), 0);
	accept_reader(f);
	SEND(f, KEY AUD);
	EXPECT(f, KEY, true);
}

/* Its user has other things to do, and a process that does none of them counts as hung. */
static void a_slow_name_server_holds_nobody_up(void **state)
{
	struct fixture *f = *state;
	const struct server_stream at = {.host = "slow.test", .port = f->port};
	bool waited = false;

	assert_int_equal(reader_create(&f->reader, &at), 0);
	for (unsigned i = 0; i < 50 && !waited; i++) {
		expect_nothing(f);
		waited = atomic_load(&held);
	}
	assert_true(waited);
	assert_int_equal(reader_stats(f->reader)->state, READER_CONNECTING);
	accept_reader(f);
	SEND(f, KEY AUD);
	EXPECT(f, KEY, true);
}

static void what_cannot_be_a_stream_is_refused(void **state)
{
	static const struct server_stream bad[] = {
		{.host = "x", .port = 1, .codec = STREAM_MJPEG, .framing = STREAM_ANNEXB},
		{.host = "x"},
		{.port = 1},
	};
	struct reader *reader;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(reader_create(&reader, &bad[i]), -EINVAL);
}

static void urls_are_parsed(void **state)
{
	static const struct {
		const char *url, *host;
		uint16_t port;
		enum stream_framing framing;
	} good[] = {
		{"tcp://camera:8888", "camera", 8888, STREAM_ANNEXB},
		{"tcp://192.0.2.7:1", "192.0.2.7", 1, STREAM_ANNEXB},
		{"tcp+length://[2001:db8::1]:8000", "2001:db8::1", 8000, STREAM_LENGTH_PREFIXED},
		{"tcp://[fe80::1%eth0]:65535", "fe80::1%eth0", 65535, STREAM_ANNEXB},
		{"tcp://" NAME_64 ":1", NAME_64, 1, STREAM_ANNEXB},
		{"tls://camera:8888", "camera", 8888, STREAM_ANNEXB},
		{"tls+length://camera:8000", "camera", 8000, STREAM_LENGTH_PREFIXED},
		{"rtsp://camera", "camera", 554, STREAM_RTSP},
		{"rtsps://camera/live?channel=1&x=2#7", "camera", 322, STREAM_RTSP},
		{"rtsp://[2001:db8::1]:8554/a", "2001:db8::1", 8554, STREAM_RTSP},
	};
	static const char *const bad[] = {
		"",
		"camera:8888",
		"tcp:/camera:8888",
		"tcp://camera",
		"tcp://camera:",
		"tcp://camera:0",
		"tcp://camera:65536",
		"tcp://camera:-1",
		"tcp://:8888",
		"tcp://[]:8888",
		"tcp://[::1:8888",
		"tcp://::1:8888",
		"tcp://[a]:8888",
		"tcp://camera:8888/",
		"tcp://camera:+88",
		"http://camera:8888",
		"tcp://a b:8888",
		"tcp://a\n:8888",
		"tcp://[::1]x:8888",
		"rtsp://",
		"rtsp://camera:0/a",
		"rtsp://camera?a",
		"rtsp://camera/a b",
		"rtsp://camera/a#",
		"rtsp://camera/a#0",
		"rtsp://camera/a#1x",
		"rtsp://camera/a#1000",
		"rtsp://me:secret@camera/a",
		"rtsp://camera/" NAME_64 NAME_64 NAME_64 NAME_64,
		"tcp://" NAME_64 NAME_64 NAME_64 NAME_64 ":1",
	};
	struct server_stream at;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(target_parse_url(good[i].url, &at), 0);
		assert_string_equal(at.host, good[i].host);
		assert_int_equal(at.port, good[i].port);
		assert_int_equal(at.tls, strncmp(good[i].url, "tls", 3) == 0 ||
						 strncmp(good[i].url, "rtsps", 5) == 0);
		assert_int_equal(at.framing, good[i].framing);
		assert_int_equal(at.codec,
				 at.framing == STREAM_LENGTH_PREFIXED ? STREAM_MJPEG : STREAM_H264);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (target_parse_url(bad[i], &at) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
}

static void an_argument_is_a_url_an_address_or_a_name(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{"tcp://cam:8000", 0},
		{"tcp+length://cam:8000", 0},
		{"tls://cam:8000", 0},
		{"cam:8000", 0},
		{"192.0.2.1:8000", 0},
		{"[fe80::1%eth0]:8000", 0},
		{"cam", -ENOENT},
		{"cam/stream", -ENOENT},
		{"cam:", -ENOENT},
		{"front door: left", -ENOENT},
		{"rtsp://cam:8000/s", 0},
		{"rtsp://me:secr@t@cam:8000/s", 0},
		{"rtsps://me@cam:8000", 0},
		{"rtsp://me%@cam:8000", -EINVAL},
		{"http://me:secret@cam:8000", -EINVAL},
		{"rtsp://me:sec/ret@cam:8000/s", -EINVAL},
		{"rtsp://me:sec#ret@cam:8000/s", -EINVAL},
		{"192.0.2.1", -EINVAL},
		{"192.0.2.1:99999", -EINVAL},
		{"2001:db8::1:8000", -EINVAL},
		{"tcp://cam", -EINVAL},
	};
	struct server_stream at;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *text = strdup(cases[i].text), *taken = text;

		assert_non_null(text);
		assert_int_equal(target_take_argument(&taken, &at), cases[i].result);
		assert_true(cases[i].result < 0 || at.port == 8000);
		/* The login is gone, also from the memory of the arguments. */
		if (strstr(cases[i].text, "@cam") && cases[i].result == 0) {
			assert_null(strchr(taken, '@'));
			assert_null(strstr(text, "secr"));
			assert_true(at.login > 0 && strchr(taken, '#'));
			free(taken);
		}
		if (cases[i].result == -EINVAL) /* an error shows it */
			assert_null(strstr(taken, "sec"));
		free(text);
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(begins_at_a_key_unit),
		CASE(units_that_came_at_once_are_given_without_waiting),
		CASE(last_unit_waits_for_the_next_one),
		CASE(low_latency_does_not_wait_for_the_next_one),
		CASE(unit_cut_short_by_low_latency_leads_to_a_key_unit),
		CASE(lost_connection_is_made_again_and_begins_at_a_key_unit),
		CASE(refused_connection_is_tried_again_with_backoff),
		CASE(silence_is_no_reason_to_reconnect),
		CASE(a_unit_that_never_ends_ends_the_connection),
		CASE(bytes_without_a_key_unit_end_the_connection),
		CASE(a_slow_stream_of_key_units_stays),
		CASE(jpegs_behind_lengths_are_all_key_units),
		CASE(wrong_kind_of_stream_is_said_and_tried_again),
		CASE(units_larger_than_the_sockets_buffers_arrive),
		CASE(names_with_several_addresses_are_tried_in_turn),
		CASE(a_slow_name_server_holds_nobody_up),
		CASE(what_cannot_be_a_stream_is_refused),
		CASE(urls_are_parsed),
		CASE(an_argument_is_a_url_an_address_or_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
