/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS of one connection, without a loop and without a thread. */
#include "tests/unit/tls_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"

enum { BYTES = 600000 };

static uint8_t bytes[BYTES];
static struct tls_rig rig;

struct talk {
	struct tls server;
	SSL *client;
	int ends[2]; /* the server's, the client's */
	int result;  /* of the server's handshake */
};

static int set_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BYTES; i++)
		bytes[i] = (uint8_t)(i * 13 + (i >> 8));
	tls_rig_start(&rig, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_rig_stop(&rig);
	return 0;
}

static void open_talk(struct talk *talk, int version)
{
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, talk->ends), 0);
	assert_int_equal(tls_open(&talk->server, rig.context, talk->ends[0]), 0);
	talk->client = tls_rig_client(talk->ends[1], version);
}

/* Both sides in turns, until the server has a result. */
static void shake(struct talk *talk)
{
	bool wants_room, client_done = false;

	talk->result = -EAGAIN;
	for (unsigned i = 0; i < 10 && (talk->result == -EAGAIN || !client_done); i++) {
		client_done = client_done || tls_rig_shake(talk->client);
		if (talk->result == -EAGAIN)
			talk->result = tls_shake(&talk->server, &wants_room);
	}
}

static void start(struct talk *talk, int version)
{
	open_talk(talk, version);
	shake(talk);
	assert_int_equal(talk->result, 0);
}

static void stop(struct talk *talk)
{
	tls_close(&talk->server);
	tls_rig_free(talk->client);
	close(talk->ends[0]);
	close(talk->ends[1]);
}

/* The client reads what there is, behind `at` bytes, and checks it. */
static size_t drink(struct talk *talk, size_t at)
{
	uint8_t data[30000];
	size_t n;

	while (SSL_read_ex(talk->client, data, sizeof data, &n) == 1) {
		assert_memory_equal(data, bytes + at, n);
		at += n;
	}
	assert_int_equal(SSL_get_error(talk->client, 0), SSL_ERROR_WANT_READ);
	ERR_clear_error();
	return at;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* --- in the kernel, which may not be able to --- */

static void open_tcp(int ends[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ends[1], (struct sockaddr *)&address, len), 0);
	ends[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(ends[0] >= 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	close(listener);
}

/* Over TCP, of which the loopback device delivers a little later. False: the kernel encrypts
 * nothing here. */
static bool start_in_kernel(struct talk *talk, int version)
{
	bool wants_room, client_done = false;

	open_tcp(talk->ends);
	assert_int_equal(tls_open(&talk->server, rig.context, talk->ends[0]), 0);
	talk->client = tls_rig_client(talk->ends[1], version);
	talk->result = -EAGAIN;
	while (talk->result == -EAGAIN || !client_done) {
		client_done = client_done || tls_rig_shake(talk->client);
		if (talk->result == -EAGAIN)
			talk->result = tls_shake(&talk->server, &wants_room);
	}
	assert_int_equal(talk->result, 0);
	if (!tls_in_kernel(&talk->server))
		stop(talk);
	return tls_in_kernel(&talk->server);
}

static void the_kernel_encrypts_what_is_written(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		size_t sent = 0, got = 0;
		struct talk talk;

		if (!start_in_kernel(&talk, versions[i]))
			skip();
		while (got < BYTES) {
			ssize_t n = sent == BYTES
					    ? 0
					    : tls_write(&talk.server, bytes + sent, BYTES - sent);

			assert_true(n >= 0 || n == -EAGAIN);
			sent += n > 0 ? (size_t)n : 0;
			got = drink(&talk, got);
		}
		tls_end(&talk.server);
		while (SSL_read(talk.client, (char[4]){0}, 4) < 0)
			assert_int_equal(SSL_get_error(talk.client, -1), SSL_ERROR_WANT_READ);
		assert_int_equal(SSL_get_error(talk.client, 0), SSL_ERROR_ZERO_RETURN);
		stop(&talk);
	}
}

/* Records that leave together, and have no room in a socket with nothing in flight. */
static void a_socket_of_the_kernel_that_is_full_goes_on(void **state)
{
	enum { UNIT = 40000 };
	unsigned full = 0;
	size_t at = 0;
	struct talk talk;

	(void)state;
	if (!start_in_kernel(&talk, TLS1_3_VERSION))
		skip();
	assert_int_equal(setsockopt(talk.ends[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){16384},
				    sizeof(int)),
			 0);
	for (size_t end = UNIT; end <= BYTES; end += UNIT) {
		size_t got = end - UNIT;

		while (at < end) {
			struct pollfd room = {.fd = talk.ends[0], .events = POLLOUT};
			ssize_t n = tls_write(&talk.server, bytes + at, end - at);

			if (n > 0) {
				at += (size_t)n;
				continue;
			}
			assert_int_equal(n, -EAGAIN);
			full++;
			assert_int_equal(poll(&room, 1, 20000), 1);
		}
		while (got < end)
			got = drink(&talk, got);
	}
	print_message("full %u times\n", full);
	stop(&talk);
}

static void a_peer_that_wants_another_key_of_the_kernel_is_disconnected(void **state)
{
	struct tls other;
	struct talk talk;
	char data[8];
	ssize_t n;

	(void)state;
	if (!start_in_kernel(&talk, TLS1_3_VERSION))
		skip();
	/* Its own key it may change. */
	assert_int_equal(SSL_key_update(talk.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
	assert_int_equal(SSL_write(talk.client, "hello", 5), 5);
	do
		n = tls_read(&talk.server, data, sizeof data);
	while (n == -EAGAIN || n == -EINTR);
	assert_int_equal(n, 5);
	tls_move(&other, &talk.server);
	assert_int_equal(SSL_key_update(talk.client, SSL_KEY_UPDATE_REQUESTED), 1);
	assert_int_equal(SSL_write(talk.client, "hello", 5), 5);
	do
		n = tls_read(&other, data, sizeof data);
	while (n == -EAGAIN || n == -EINTR);
	assert_int_equal(n, -EPROTO);
	tls_move(&talk.server, &other);
	stop(&talk);
}

static void records_of_the_kernel_are_counted(void **state)
{
	const struct {
		size_t len;
		uint32_t records; /* so far */
	} writes[] = {
		{1, 1}, {TLS_RECORD_MAX + 1, 3}, {TLS_RECORD_MAX, 4}, {2 * TLS_RECORD_MAX + 1, 7}};
	size_t got = 0;
	struct talk talk;

	(void)state;
	if (!start_in_kernel(&talk, TLS1_3_VERSION))
		skip();
	talk.server.records_max = 7;
	for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
		assert_int_equal(tls_write(&talk.server, bytes + got, writes[i].len),
				 writes[i].len);
		for (size_t end = got + writes[i].len; got < end;)
			got = drink(&talk, got);
		assert_int_equal(talk.server.records, writes[i].records);
	}
	assert_int_equal(tls_write(&talk.server, bytes, 1), -EPROTO);
	stop(&talk);
}

static void bytes_arrive_in_order_however_little_room_there_is(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		size_t sent = 0, got = 0;
		unsigned waits = 0;
		struct talk talk;

		start(&talk, versions[i]);
		assert_int_equal(
			setsockopt(talk.ends[0], SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int)),
			0);
		while (got < BYTES) {
			ssize_t n = sent < BYTES
					    ? tls_write(&talk.server, bytes + sent, BYTES - sent)
					    : 0;

			assert_true(n >= 0 || n == -EAGAIN);
			assert_true(n <= (ssize_t)(BYTES - sent));
			sent += n > 0 ? (size_t)n : 0;
			waits += n == -EAGAIN;
			got = drink(&talk, got);
		}
		assert_true(waits > 0);
		assert_int_equal(got, BYTES);
		stop(&talk);
	}
}

/* So that its sender does not take a unit for finished, or for not begun, that is partly sent. */
static void a_record_without_room_is_not_taken_whole(void **state)
{
	struct talk talk;
	size_t sent = 0, got;
	ssize_t n;

	(void)state;
	start(&talk, TLS1_3_VERSION);
	do {
		n = tls_write(&talk.server, bytes + sent, 5000);
		sent += n > 0 ? (size_t)n : 0;
	} while (n == 5000);
	assert_int_equal(n, 4999);
	assert_int_equal(talk.server.pending, 5000);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(tls_write(&talk.server, bytes + sent, 1), -EAGAIN);
	got = drink(&talk, 0);
	assert_true(got < sent);
	/* What follows goes along, as far as there is room. */
	assert_int_equal(tls_write(&talk.server, bytes + sent, 101), 101);
	assert_int_equal(drink(&talk, got), sent + 101);
	stop(&talk);
}

static void one_byte_waits_too(void **state)
{
	struct talk talk;
	size_t sent = 0;

	(void)state;
	start(&talk, TLS1_3_VERSION);
	while (tls_write(&talk.server, bytes + sent, 1) == 1)
		sent++;
	assert_int_equal(talk.server.pending, 1);
	assert_true(drink(&talk, 0) <= sent);
	assert_int_equal(tls_write(&talk.server, bytes + sent, 1), 1);
	stop(&talk);
}

static void old_versions_are_refused(void **state)
{
	struct talk talk;

	(void)state;
	open_talk(&talk, TLS1_1_VERSION);
	shake(&talk);
	assert_int_equal(talk.result, -EPROTO);
	stop(&talk);
	for (unsigned i = 0; i < 2; i++) {
		start(&talk, versions[i]);
		assert_string_equal(SSL_get_version(talk.client), i ? "TLSv1.3" : "TLSv1.2");
		stop(&talk);
	}
}

static void no_protocol_is_negotiated(void **state)
{
	static const unsigned char offered[] = "\x02h2\x08http/1.1";
	const unsigned char *chosen;
	struct talk talk;
	unsigned len;

	(void)state;
	open_talk(&talk, 0);
	assert_int_equal(SSL_set_alpn_protos(talk.client, offered, sizeof offered - 1), 0);
	shake(&talk);
	assert_int_equal(talk.result, 0);
	SSL_get0_alpn_selected(talk.client, &chosen, &len);
	assert_int_equal(len, 0);
	stop(&talk);
}

static void what_is_no_tls_fails(void **state)
{
	static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff----",
					    "\x16\x03\x01\x00\x05hello"};
	bool wants_room;
	struct talk talk;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		open_talk(&talk, 0);
		assert_true(send(talk.ends[1], texts[i], 9 + strlen(texts[i]) % 2, 0) > 0);
		shutdown(talk.ends[1], SHUT_WR);
		assert_int_equal(tls_shake(&talk.server, &wants_room), -EPROTO);
		stop(&talk);
	}
}

/* A phone without AES says so by its order. */
static void a_client_with_chacha_first_gets_it(void **state)
{
	static const char *const orders[] = {
		"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
		"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"};
	struct talk talk;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		open_talk(&talk, TLS1_3_VERSION);
		assert_int_equal(SSL_set_ciphersuites(talk.client, orders[i]), 1);
		shake(&talk);
		assert_int_equal(talk.result, 0);
		if (i == 1)
			assert_string_equal(SSL_get_cipher_name(talk.client),
					    "TLS_CHACHA20_POLY1305_SHA256");
		else if (!tls_lacks_aes(OPENSSL_info(OPENSSL_INFO_CPU_SETTINGS)))
			assert_string_equal(SSL_get_cipher_name(talk.client),
					    "TLS_AES_128_GCM_SHA256");
		stop(&talk);
	}
}

static void a_key_is_changed_before_it_has_protected_too_much(void **state)
{
	struct talk talk;
	size_t got = 0;

	(void)state;
	start(&talk, TLS1_3_VERSION);
	talk.server.records_max = 3;
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(tls_write(&talk.server, bytes + 1000 * i, 1000), 1000);
		assert_true(talk.server.records <= 3);
		got = drink(&talk, got);
		assert_int_equal(got, 1000 * (i + 1));
	}
	stop(&talk);

	/* TLS 1.2 has no such message: the connection ends. */
	start(&talk, TLS1_2_VERSION);
	talk.server.records_max = 3;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(tls_write(&talk.server, bytes, 1000), 1000);
	assert_int_equal(tls_write(&talk.server, bytes, 1000), -EPROTO);
	stop(&talk);
}

static void small_records_that_a_client_asks_for_are_counted(void **state)
{
	struct talk talk;

	(void)state;
	open_talk(&talk, TLS1_3_VERSION);
	assert_int_equal(
		SSL_set_tlsext_max_fragment_length(talk.client, TLSEXT_max_fragment_length_512), 1);
	shake(&talk);
	assert_int_equal(talk.result, 0);
	assert_int_equal(tls_write(&talk.server, bytes, 16384), 16384);
	assert_int_equal(talk.server.records, 32);
	assert_int_equal(drink(&talk, 0), 16384);
	stop(&talk);
}

static void input_is_told_from_its_end_and_from_nothing(void **state)
{
	uint8_t data[64];
	struct talk talk;
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		start(&talk, versions[i]);
		assert_int_equal(tls_read(&talk.server, data, sizeof data), -EAGAIN);
		assert_int_equal(SSL_write_ex(talk.client, "hello", 5, &n), 1);
		assert_int_equal(tls_read(&talk.server, data, 3), 3);
		assert_int_equal(tls_read(&talk.server, data + 3, sizeof data), 2);
		assert_memory_equal(data, "hello", 5);
		assert_int_equal(tls_read(&talk.server, data, sizeof data), -EAGAIN);
		/* By a message of TLS, or of TCP alone; it is sent to still. */
		if (i == 0)
			assert_int_equal(SSL_shutdown(talk.client), 0);
		else
			shutdown(talk.ends[1], SHUT_WR);
		assert_int_equal(tls_read(&talk.server, data, sizeof data), 0);
		assert_int_equal(tls_write(&talk.server, bytes, 5000), 5000);
		if (i == 1)
			assert_int_equal(drink(&talk, 0), 5000);
		stop(&talk);
	}
}

/* Else a peer that sends nothing but these keeps the caller for ever. */
static void a_record_without_data_returns_to_the_caller(void **state)
{
	uint8_t data[64];
	struct talk talk;
	size_t n;

	(void)state;
	start(&talk, TLS1_3_VERSION);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(SSL_key_update(talk.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(talk.client), 1);
	}
	assert_int_equal(SSL_write_ex(talk.client, "x", 1, &n), 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(tls_read(&talk.server, data, sizeof data), -EINTR);
	assert_int_equal(tls_read(&talk.server, data, sizeof data), 1);
	stop(&talk);
}

/* Sends data in records of a byte each. */
static void send_crumbs(struct talk *talk, uint8_t type, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const uint8_t record[] = {type, 3, 1, 0, 1, data[i]};

		assert_int_equal(send(talk->ends[1], record, sizeof record, 0), sizeof record);
	}
}

static int input_left(const struct talk *talk)
{
	int left;

	assert_int_equal(ioctl(talk->ends[0], FIONREAD, &left), 0);
	return left;
}

/* The client's first message, taken out of its record. */
static size_t first_message(struct talk *talk, uint8_t *message, size_t max)
{
	uint8_t head[5];

	(void)tls_rig_shake(talk->client);
	assert_int_equal(recv(talk->ends[0], head, sizeof head, 0), sizeof head);
	assert_true((size_t)(head[3] << 8 | head[4]) <= max);
	return (size_t)recv(talk->ends[0], message, (size_t)(head[3] << 8 | head[4]), 0);
}

static void a_handshake_in_crumbs_is_read_a_few_at_a_time(void **state)
{
	uint8_t message[2048];
	unsigned calls = 0;
	bool wants_room;
	struct talk talk;
	size_t len;
	int left;

	(void)state;
	open_talk(&talk, 0);
	/* A socket of this machine counts a few hundred bytes for each. */
	assert_int_equal(
		setsockopt(talk.ends[1], SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int)), 0);
	assert_int_equal(SSL_set1_groups_list(talk.client, "X25519"), 1); /* a short message */
	len = first_message(&talk, message, sizeof message);
	assert_true(len > 150);
	send_crumbs(&talk, TLS_FIRST_BYTE, message, len);
	for (left = input_left(&talk); left > 0; left = input_left(&talk)) {
		assert_int_equal(tls_shake(&talk.server, &wants_room), -EAGAIN);
		assert_true(left - input_left(&talk) <= 32 * 6);
		calls++;
	}
	assert_true(calls >= len / 32);
	shake(&talk);
	assert_int_equal(talk.result, 0);
	assert_int_equal(tls_write(&talk.server, bytes, 1000), 1000);
	assert_int_equal(drink(&talk, 0), 1000);
	stop(&talk);
}

/* Of TLS 1.2, where it may be long: a renegotiation, which is refused. */
static void a_message_in_crumbs_is_read_a_few_at_a_time(void **state)
{
	static uint8_t ticket[8192];
	uint8_t data[64];
	unsigned calls = 0;
	struct talk talk;
	int left;

	(void)state;
	start(&talk, TLS1_2_VERSION);
	/* The least that OpenSSL cuts a message into is 512 bytes. */
	assert_int_equal(SSL_set_max_send_fragment(talk.client, 512), 1);
	SSL_clear_options(talk.client, SSL_OP_NO_RENEGOTIATION);
	assert_int_equal(SSL_set_session_ticket_ext(talk.client, ticket, sizeof ticket), 1);
	assert_int_equal(SSL_renegotiate(talk.client), 1);
	(void)tls_rig_shake(talk.client);
	left = input_left(&talk);
	assert_true(left > 8 * 512);
	while (tls_read(&talk.server, data, sizeof data) == -EINTR) {
		assert_true(left - input_left(&talk) <= 2 * (5 + 512 + 24));
		left = input_left(&talk);
		calls++;
	}
	assert_true(calls >= 4);
	stop(&talk);
}

static ssize_t read_key_update(struct talk *talk)
{
	assert_int_equal(SSL_key_update(talk->client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
	assert_int_equal(SSL_do_handshake(talk->client), 1);
	return tls_read(&talk->server, (uint8_t[64]){0}, 64);
}

static void records_without_data_have_a_limit(void **state)
{
	struct talk talk;

	(void)state;
	start(&talk, TLS1_3_VERSION);
	for (unsigned i = 0; i < TLS_EMPTY_MAX / 2; i++)
		assert_int_equal(read_key_update(&talk), -EINTR);
	talk.server.empty_us -= TLS_EMPTY_PERIOD_US; /* a minute later */
	for (unsigned i = 0; i < TLS_EMPTY_MAX; i++)
		assert_int_equal(read_key_update(&talk), -EINTR);
	assert_int_equal(read_key_update(&talk), -EPROTO);
	stop(&talk);
}

static void a_connection_can_be_moved(void **state)
{
	struct talk talk;
	struct tls other;

	(void)state;
	start(&talk, TLS1_3_VERSION);
	tls_move(&other, &talk.server);
	assert_null(talk.server.ssl);
	memset(&talk.server, 0xa5, sizeof talk.server);
	assert_int_equal(tls_write(&other, bytes, 1000), 1000);
	assert_int_equal(drink(&talk, 0), 1000);
	tls_end(&other);
	assert_int_equal(SSL_read(talk.client, (char[4]){0}, 4), 0);
	assert_int_equal(SSL_get_error(talk.client, 0), SSL_ERROR_ZERO_RETURN);
	tls_move(&talk.server, &other);
	stop(&talk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_arrive_in_order_however_little_room_there_is),
		cmocka_unit_test(a_record_without_room_is_not_taken_whole),
		cmocka_unit_test(the_kernel_encrypts_what_is_written),
		cmocka_unit_test(a_socket_of_the_kernel_that_is_full_goes_on),
		cmocka_unit_test(a_peer_that_wants_another_key_of_the_kernel_is_disconnected),
		cmocka_unit_test(records_of_the_kernel_are_counted),
		cmocka_unit_test(one_byte_waits_too),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(no_protocol_is_negotiated),
		cmocka_unit_test(what_is_no_tls_fails),
		cmocka_unit_test(a_client_with_chacha_first_gets_it),
		cmocka_unit_test(a_key_is_changed_before_it_has_protected_too_much),
		cmocka_unit_test(small_records_that_a_client_asks_for_are_counted),
		cmocka_unit_test(input_is_told_from_its_end_and_from_nothing),
		cmocka_unit_test(a_record_without_data_returns_to_the_caller),
		cmocka_unit_test(a_handshake_in_crumbs_is_read_a_few_at_a_time),
		cmocka_unit_test(a_message_in_crumbs_is_read_a_few_at_a_time),
		cmocka_unit_test(records_without_data_have_a_limit),
		cmocka_unit_test(a_connection_can_be_moved),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
