/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS of a client: which certificates are accepted, and what is said of others. */
#include "tests/unit/tls_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/stream/secure.h"

static struct tls_rig rig;

static int set_up(void **state)
{
	(void)state;
	tls_rig_start(&rig, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_rig_stop(&rig);
	return 0;
}

static void trust(const char *cafile, const char *pin)
{
	assert_int_equal(setenv(SECURE_CAFILE, cafile, 1), 0);
	assert_int_equal(setenv(SECURE_PIN, pin, 1), 0);
}

struct talk {
	struct tls server;
	struct secure *client;
	int ends[2];
	char why[SECURE_WHY_MAX];
};

/* Returns the client's result of the handshake. */
static int shake(struct talk *talk, const char *host)
{
	int result = -EAGAIN, server = -EAGAIN;
	bool wants_room;
	short events;

	memset(talk, 0, sizeof *talk);
	assert_int_equal(secure_create(&talk->client, host, talk->why), 0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, talk->ends), 0);
	assert_int_equal(tls_open(&talk->server, rig.context, talk->ends[0]), 0);
	assert_int_equal(secure_begin(talk->client, talk->ends[1]), 0);
	for (unsigned i = 0; i < 10 && result == -EAGAIN; i++) {
		result = secure_shake(talk->client, &events, talk->why);
		assert_true(result != -EAGAIN || events == POLLIN);
		if (server == -EAGAIN)
			server = tls_shake(&talk->server, &wants_room);
	}
	return result;
}

static void stop(struct talk *talk)
{
	secure_destroy(talk->client);
	tls_close(&talk->server);
	close(talk->ends[0]);
	close(talk->ends[1]);
}

static void a_certificate_of_an_authority_is_accepted_for_its_names(void **state)
{
	static const struct {
		const char *host;
		bool right;
	} cases[] = {{"localhost", true},   {"127.0.0.1", true}, {"::1", true},
		     {"::1%lo", true},	    {"cam.test", false}, {"192.0.2.200", false},
		     {"2001:db8::9", false}};
	struct talk talk;

	(void)state;
	trust(rig.certificate, "");
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(shake(&talk, cases[i].host), cases[i].right ? 0 : -EPROTO);
		if (!cases[i].right)
			assert_non_null(strstr(talk.why, "mismatch"));
		stop(&talk);
	}
}

/* What it says is enough to accept it the next time. */
static void a_pin_accepts_one_certificate_whatever_its_names(void **state)
{
	char pin[65], colons[96];
	struct talk talk;
	const char *at;

	(void)state;
	trust("", "");
	assert_int_equal(shake(&talk, "cam.test"), -EPROTO);
	at = strstr(talk.why, "--pin ");
	assert_non_null(at);
	snprintf(pin, sizeof pin, "%.64s", at + strlen("--pin "));
	assert_true(secure_is_pin(pin));
	stop(&talk);

	trust("", pin);
	assert_int_equal(shake(&talk, "cam.test"), 0);
	stop(&talk);
	for (unsigned i = 0; i < 32; i++)
		snprintf(colons + 3 * i, 4, "%.2s%s", pin + 2 * i, i < 31 ? ":" : "");
	trust("/nonexistent", colons);
	assert_int_equal(shake(&talk, "192.0.2.1"), 0);
	stop(&talk);
	pin[0] = pin[0] == '0' ? '1' : '0';
	trust(rig.certificate, pin);
	assert_int_equal(shake(&talk, "localhost"), -EPROTO);
	assert_non_null(strstr(talk.why, "another certificate"));
	stop(&talk);
}

static void what_cannot_be_trusted_is_said(void **state)
{
	static const char *const bad[] = {"", "00", "zz", "0:0"};
	struct secure *client;
	char why[SECURE_WHY_MAX];

	(void)state;
	trust("/nonexistent", "");
	assert_int_equal(secure_create(&client, "localhost", why), -EINVAL);
	assert_string_equal(why, "/nonexistent: no authorities can be read");
	trust("", "12:34");
	assert_int_equal(secure_create(&client, "localhost", why), -EINVAL);
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(secure_is_pin(bad[i]));
}

static void bytes_come_until_the_end(void **state)
{
	static const uint8_t sent[20000] = {1, 2, 3};
	uint8_t data[sizeof sent + 1];
	struct talk talk;
	size_t got = 0;

	(void)state;
	trust(rig.certificate, "");
	assert_int_equal(shake(&talk, "localhost"), 0);
	assert_int_equal(secure_read(talk.client, data, sizeof data), -EAGAIN);
	assert_int_equal(tls_write(&talk.server, sent, sizeof sent), sizeof sent);
	assert_int_equal(secure_read(talk.client, data, 10), 10);
	assert_true(secure_pending(talk.client));
	for (got = 10; got < sizeof sent;) {
		ssize_t n = secure_read(talk.client, data + got, sizeof data - got);

		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(data, sent, sizeof sent);
	assert_false(secure_pending(talk.client));
	tls_end(&talk.server);
	assert_int_equal(secure_read(talk.client, data, sizeof data), 0);
	stop(&talk);
}

/* A port that speaks something else. */
static void what_is_no_tls_is_said(void **state)
{
	static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	char why[SECURE_WHY_MAX];
	struct secure *client;
	short events;
	int ends[2];

	(void)state;
	trust(rig.certificate, "");
	assert_int_equal(secure_create(&client, "localhost", why), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	assert_int_equal(secure_begin(client, ends[1]), 0);
	assert_int_equal(secure_shake(client, &events, why), -EAGAIN);
	assert_true(send(ends[0], text, sizeof text - 1, 0) > 0);
	assert_int_equal(secure_shake(client, &events, why), -EPROTO);
	assert_int_equal(strncmp(why, "no TLS: ", 8), 0);
	secure_destroy(client);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_of_an_authority_is_accepted_for_its_names),
		cmocka_unit_test(a_pin_accepts_one_certificate_whatever_its_names),
		cmocka_unit_test(what_cannot_be_trusted_is_said),
		cmocka_unit_test(bytes_come_until_the_end),
		cmocka_unit_test(what_is_no_tls_is_said),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
