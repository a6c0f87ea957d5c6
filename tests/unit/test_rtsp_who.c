/* SPDX-License-Identifier: BSD-2-Clause */
/* Users of RTSP: what a client is asked for, and which answers let it in. */
#include "tests/unit/rtsp_rig.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

#define URI "rtsp://cam:8554/front"
#define BASIC_ANNA "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n" /* anna:secret */

static struct config *config;
static char secret_path[] = "/tmp/camcast-test-XXXXXX";

static void write_secret(void)
{
	static const char text[] = "secret\n";
	int fd;

	memcpy(secret_path + strlen(secret_path) - 6, "XXXXXX", 6);
	fd = mkstemp(secret_path);
	assert_true(fd >= 0 && fchmod(fd, 0600) == 0);
	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	close(fd);
}

/* Anna has a password_file, Bob the hash of the same password. daemon: lines of [daemon]. */
static struct rtsp_rig *start(void **state, const char *daemon)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	char text[1024];
	size_t len;

	write_secret();
	snprintf(text, sizeof text,
		 "[daemon]\n%s[user anna]\npassword_file = %s\n[user bob]\npassword = "
		 "$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/"
		 "Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/\n[camera c]\nsource = pattern\n"
		 "[stream front]\ncamera = c\nannexb = 127.0.0.1:0\n",
		 daemon, secret_path);
	assert_int_equal(config_parse(&config, "c.ini", text, strlen(text), stderr), 0);
	assert_int_equal(access_create(&r->rtsp.access, r->rig.loop, config), 0);
	r->users_only = true;
	rtsp_unit(r, true, 100, &len);
	return r;
}

static void stop(struct rtsp_rig *r, int fd)
{
	close(fd);
	rig_settle(r->rig.loop);
	access_destroy(r->rtsp.access);
	rtsp_rig_stop(r);
	config_destroy(config);
	unlink(secret_path);
}

/* The nonce of the answer that was heard. */
static void take_nonce(const struct rtsp_rig *r, char nonce[CHALLENGE_NONCE_MAX])
{
	const char *at = strstr(r->heard, "nonce=\"");

	nonce[0] = '\0';
	if (at)
		assert_int_equal(sscanf(at, "nonce=\"%40[0-9a-f]\"", nonce), 1);
}

static void hash(const EVP_MD *md, char out[65], const char *text)
{
	uint8_t bytes[EVP_MAX_MD_SIZE];
	unsigned len;

	assert_true(EVP_Digest(text, strlen(text), bytes, &len, md, NULL));
	bytes_write_hex(out, bytes, len);
}

static const EVP_MD *md_of_test;

/* Asks with an answer to the challenge. */
static int answer(struct rtsp_rig *r, int fd, const char *method, const char *url, const char *uri,
		  const char *nonce, const char *name, const char *password)
{
	char a[65], b[65], c[65], text[1024];

	snprintf(text, sizeof text, "%s:camcast:%s", name, password);
	hash(md_of_test, a, text);
	snprintf(text, sizeof text, "%s:%s", method, uri);
	hash(md_of_test, b, text);
	snprintf(text, sizeof text, "%s:%s:%s", a, nonce, b);
	hash(md_of_test, c, text);
	snprintf(text, sizeof text,
		 RTSP_TRANSPORT "Authorization: Digest username=\"%s\", realm=\"camcast\", "
				"nonce=\"%s\", uri=\"%s\", response=\"%s\"\r\n",
		 name, nonce, uri, c);
	return rtsp_ask(r, fd, method, url, text);
}

/* Of a wrong attempt, whose answer takes its time. */
static int status_later(struct rtsp_rig *r, int fd)
{
	assert_string_equal(rtsp_hear(r, fd), "");
	rig_pass(&r->rig, 400000);
	rtsp_hear(r, fd);
	return strncmp(r->heard, "RTSP/1.0 ", 9) == 0 ? atoi(r->heard + 9) : 0;
}

static void an_answer_lets_in_to_what_it_names(void **state)
{
	struct rtsp_rig *r = start(state, "");
	int fd = rtsp_dial(r, 0);
	char nonce[CHALLENGE_NONCE_MAX];

	md_of_test = EVP_md5();
	assert_int_equal(rtsp_ask(r, fd, "OPTIONS", URI, ""), 200);
	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", URI, ""), 401);
	assert_null(strstr(r->heard, "Basic"));
	assert_null(strstr(r->heard, "algorithm"));
	assert_null(strstr(r->heard, "stale"));
	take_nonce(r, nonce);
	assert_int_equal(answer(r, fd, "DESCRIBE", URI, URI, nonce, "anna", "secret"), 200);
	/* live555 names the user, and the stream where its track is meant. */
	assert_int_equal(
		answer(r, fd, "SETUP", RTSP_URL "/trackID=0", URI "/", nonce, "anna", "secret"),
		200);
	assert_int_equal(rtsp_ask(r, fd, "PLAY", URI, ""), 200);
	stop(r, fd);
}

static void an_answer_to_something_else_lets_nobody_in(void **state)
{
	static const struct {
		const char *uri, *name, *password;
	} wrong[] = {
		{"rtsp://cam:8554/other", "anna", "secret"},
		{"*", "anna", "secret"},
		{URI, "anna", "other"},
		{URI, "nobody", "secret"},
		{URI, "bob", "secret"}, /* who has a hash */
	};
	struct rtsp_rig *r = start(state, "");
	char nonce[CHALLENGE_NONCE_MAX];

	md_of_test = EVP_md5();
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		int fd = rtsp_dial(r, 0);

		assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", URI, ""), 401);
		take_nonce(r, nonce);
		assert_int_equal(answer(r, fd, "DESCRIBE", URI, wrong[i].uri, nonce, wrong[i].name,
					wrong[i].password),
				 0);
		assert_int_equal(status_later(r, fd), 401);
		assert_null(strstr(r->heard, "stale"));
		close(fd);
	}
	assert_int_equal(access_stats(r->rtsp.access)->wrong, 5);
	/* From here on the address waits, with the right answer too. */
	int fd = rtsp_dial(r, 0);

	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", URI, ""), 401);
	take_nonce(r, nonce);
	assert_int_equal(answer(r, fd, "DESCRIBE", URI, URI, nonce, "anna", "secret"), 503);
	rig_pass(&r->rig, 2000000);
	assert_int_equal(answer(r, fd, "DESCRIBE", URI, URI, nonce, "anna", "secret"), 200);
	stop(r, fd);
}

/* A client that knows the password may try again, and one that replays an answer is refused. */
static void the_nonce_of_another_connection_is_stale(void **state)
{
	struct rtsp_rig *r = start(state, "");
	int first = rtsp_dial(r, 0), second = rtsp_dial(r, 0);
	char nonce[CHALLENGE_NONCE_MAX], other[CHALLENGE_NONCE_MAX];

	md_of_test = EVP_md5();
	assert_int_equal(rtsp_ask(r, first, "DESCRIBE", URI, ""), 401);
	take_nonce(r, nonce);
	assert_int_equal(answer(r, first, "DESCRIBE", URI, URI, nonce, "anna", "secret"), 200);
	assert_int_equal(answer(r, second, "DESCRIBE", URI, URI, nonce, "anna", "secret"), 401);
	assert_non_null(strstr(r->heard, ", stale=true\r\n"));
	take_nonce(r, other);
	assert_string_not_equal(nonce, other);
	assert_int_equal(answer(r, second, "DESCRIBE", URI, URI, other, "anna", "secret"), 200);
	assert_int_equal(answer(r, second, "DESCRIBE", URI, URI, "x", "anna", "wrong"), 0);
	assert_int_equal(status_later(r, second), 401);
	assert_null(strstr(r->heard, "stale"));
	close(first);
	stop(r, second);
}

static void a_password_in_clear_text_is_not_looked_at(void **state)
{
	struct rtsp_rig *r = start(state, "");
	int fd = rtsp_dial(r, 0);

	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", URI, BASIC_ANNA), 401);
	assert_non_null(strstr(r->heard, "Digest"));
	assert_int_equal(access_stats(r->rtsp.access)->checks, 0);
	assert_int_equal(access_stats(r->rtsp.access)->wrong, 0);
	stop(r, fd);
}

static void without_digest_a_password_is_asked_for(void **state)
{
	struct rtsp_rig *r = start(state, "rtsp_digest = no\n");
	int fd = rtsp_dial(r, 0);

	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", URI, ""), 401);
	assert_non_null(strstr(r->heard, "WWW-Authenticate: Basic realm=\"camcast\"\r\n"));
	assert_null(strstr(r->heard, "Digest"));
	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", URI, BASIC_ANNA), 0);
	for (int i = 0; i < 500 && r->len == 0; i++)
		rtsp_hear(r, fd); /* the password's thread */
	assert_non_null(strstr(r->heard, "RTSP/1.0 200 "));
	stop(r, fd);
}

static void sha256_is_asked_for_where_it_is_set(void **state)
{
	struct rtsp_rig *r = start(state, "rtsp_digest = sha256\n");
	int fd = rtsp_dial(r, 0);
	char nonce[CHALLENGE_NONCE_MAX];

	md_of_test = EVP_sha256();
	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", URI, ""), 401);
	assert_non_null(strstr(r->heard, ", algorithm=SHA-256\r\n"));
	take_nonce(r, nonce);
	assert_int_equal(answer(r, fd, "DESCRIBE", URI, URI, nonce, "anna", "secret"), 200);
	md_of_test = EVP_md5(); /* as a client that does not read the algorithm */
	assert_int_equal(answer(r, fd, "DESCRIBE", URI, URI, nonce, "anna", "secret"), 0);
	assert_int_equal(status_later(r, fd), 401);
	stop(r, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(an_answer_lets_in_to_what_it_names),
		ON_BOTH(an_answer_to_something_else_lets_nobody_in),
		ON_BOTH(the_nonce_of_another_connection_is_stale),
		ON_BOTH(a_password_in_clear_text_is_not_looked_at),
		ON_BOTH(without_digest_a_password_is_asked_for),
		ON_BOTH(sha256_is_asked_for_where_it_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
