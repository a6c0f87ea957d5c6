/* SPDX-License-Identifier: BSD-2-Clause */
/* Digest authentication: what is asked, what is read, and which answers are right. */
#include "daemon/auth/challenge.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Of user "anna", password "secret", DESCRIBE, made by another program (hashlib of Python). */
#define NONCE "0000012c0123456789abcdef0123456789abcdef"
#define URI "rtsp://cam:8554/front"
#define MD5 "124507b1e3b2f4442eb3e995e1ca084f"
#define SHA256 "65c538b4c4a3a61acb805e9a0c29d95017b473dec55e7e2c47b2c1c4b3e6d6af"
#define CONNECTION 7 /* of the peer */
#define PARTS_WITHOUT(response)                                                                    \
	"username=\"anna\", realm=\"camcast\", nonce=\"" NONCE "\", uri=\"" URI "\"" response
#define PARTS(response) PARTS_WITHOUT(", response=\"" response "\"")

static struct challenge_answer answer;
static struct digest_key key = {{1, 2, 3}};
static struct net_peer peer = {.address = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
			       .port = 4711};

static int read_value(const char *value)
{
	static struct message head;
	char text[4096];
	size_t taken;
	int len = snprintf(text, sizeof text, "DESCRIBE " URI " RTSP/1.0\r\n%s%s\r\n\r\n",
			   value ? "Authorization: " : "X: ", value ? value : "");

	message_init(&head);
	assert_int_equal(message_push(&head, text, (size_t)len, &taken), MESSAGE_COMPLETE);
	return challenge_read(&answer, &head);
}

static void another_scheme_is_no_answer(void **state)
{
	(void)state;
	assert_int_equal(read_value(NULL), -ENOENT);
	assert_int_equal(read_value("Basic YTpi"), -ENOENT);
	assert_int_equal(read_value("Digestive username=\"a\""), -ENOENT);
}

static void an_answer_has_its_parts_in_any_order(void **state)
{
	(void)state;
	assert_int_equal(read_value("Digest " PARTS(MD5)), 0);
	assert_string_equal(answer.name, "anna");
	assert_string_equal(answer.nonce, NONCE);
	assert_string_equal(answer.uri, URI);
	assert_string_equal(answer.response, MD5);
	assert_int_equal(answer.digest, CONFIG_DIGEST_MD5);
	assert_int_equal(read_value("digest  response = " MD5 ",uri=\"a,\\\"b\\\\\",opaque=\"\","
				    "nonce=1 , realm=camcast,\talgorithm=md5,username=\"a b\","),
			 0);
	assert_string_equal(answer.uri, "a,\"b\\");
	assert_string_equal(answer.name, "a b");
	assert_int_equal(read_value("Digest " PARTS(SHA256) ", algorithm=SHA-256"), 0);
	assert_int_equal(answer.digest, CONFIG_DIGEST_SHA256);
}

static void an_answer_that_is_malformed_is_none(void **state)
{
	static const char *const values[] = {
		"Digest x",
		"Digest  ,",
		"Digest " PARTS_WITHOUT(""),				     /* no response */
		"Digest " PARTS("0123"),				     /* its length */
		"Digest " PARTS("0123456789abcdef0123456789abcdeg"),	     /* no digit */
		"Digest " PARTS(MD5) ", username=\"anna\"",		     /* twice */
		"Digest " PARTS(MD5) ", algorithm=MD5-sess",		     /* not offered */
		"Digest " PARTS(MD5) ", algorithm=SHA-256",		     /* not as long */
		"Digest " PARTS(SHA256) ", algorithm=MD5",		     /* the same */
		"Digest " PARTS(MD5) ", qop=auth, nc=00000001, cnonce=\"\"", /* not offered */
		"Digest " PARTS(MD5) ", userhash=false",		     /* the same */
		"Digest " PARTS(MD5) " x=y",				     /* no comma */
		"Digest " PARTS(MD5) ", x=\"y",				     /* no end */
		"Digest " PARTS(MD5) ", x=",				     /* no value */
		"Digest " PARTS(MD5) ", a-name-that-is-too-long=1",
		"Digest username=anna, realm=camcase, nonce=1, uri=1, response=" MD5,
		"Digest username=\"a:b\", realm=camcast, nonce=1, uri=1, response=" MD5,
		"Digest username=0123456789012345678901234567890123456789012345678901234567890123,"
		"realm=camcast, nonce=1, uri=1, response=" MD5,
		"Digest username=a, realm=camcast, nonce=" NONCE "0, uri=1, response=" MD5,
	};

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		assert_int_equal(read_value(values[i]), -EBADMSG);
}

static void an_answer_fits_one_password_and_method(void **state)
{
	(void)state;
	assert_int_equal(read_value("Digest " PARTS(MD5)), 0);
	assert_true(challenge_fits(&answer, "DESCRIBE", "secret"));
	assert_false(challenge_fits(&answer, "DESCRIBE", "secreT"));
	assert_false(challenge_fits(&answer, "DESCRIBE", ""));
	assert_false(challenge_fits(&answer, "SETUP", "secret"));
	answer.uri[0] = 'R';
	assert_false(challenge_fits(&answer, "DESCRIBE", "secret"));
	assert_int_equal(read_value("Digest " PARTS(SHA256)), 0);
	assert_true(challenge_fits(&answer, "DESCRIBE", "secret"));
	assert_false(challenge_fits(&answer, "DESCRIBE", "other"));
	memcpy(answer.response, MD5, sizeof MD5);
	assert_false(challenge_fits(&answer, "DESCRIBE", "secret"));
}

/* The nonce of a challenge, into the answer. */
static void challenge(int64_t now_us, enum config_digest digest, bool stale, char *header)
{
	challenge_write(header, &key, &peer, CONNECTION, now_us, digest, stale);
	assert_int_equal(sscanf(header,
				"WWW-Authenticate: Digest realm=\"camcast\", nonce=\"%40[0-9a-f]",
				answer.nonce),
			 1);
}

static void a_challenge_says_what_clients_have_to_know(void **state)
{
	char header[CHALLENGE_MAX], wanted[CHALLENGE_MAX];

	(void)state;
	challenge(0, CONFIG_DIGEST_MD5, false, header);
	snprintf(wanted, sizeof wanted,
		 "WWW-Authenticate: Digest realm=\"camcast\", nonce=\"%s\"\r\n", answer.nonce);
	assert_string_equal(header, wanted);
	challenge(0, CONFIG_DIGEST_SHA256, true, header);
	assert_non_null(strstr(header, "\", algorithm=SHA-256, stale=true\r\n"));
}

/* A client that has to answer another challenge at once gets another one. */
static void no_two_challenges_are_alike(void **state)
{
	const int64_t begun_us = 5000000000;
	char header[CHALLENGE_MAX];
	int64_t made_us;
	uint64_t first, second;

	(void)state;
	challenge(begun_us, CONFIG_DIGEST_MD5, false, header);
	assert_true(challenge_nonce(&answer, &made_us, &first));
	assert_int_equal(made_us, begun_us);
	challenge(begun_us + 1, CONFIG_DIGEST_MD5, true, header);
	assert_true(challenge_nonce(&answer, &made_us, &second));
	assert_int_equal(made_us, begun_us + 1);
	assert_true(first != second);
	answer.nonce[39] = '\0';
	assert_false(challenge_nonce(&answer, &made_us, &first));
}

static void a_nonce_is_for_one_peer_and_a_while(void **state)
{
	const int64_t begun_us = 5000000000;
	struct net_peer other = peer;
	struct digest_key other_key = {{1, 2, 4}};
	char header[CHALLENGE_MAX];

	(void)state;
	challenge(begun_us, CONFIG_DIGEST_MD5, false, header);
	assert_true(challenge_is_fresh(&answer, &key, &peer, CONNECTION, begun_us));
	assert_true(challenge_is_fresh(&answer, &key, &peer, CONNECTION,
				       begun_us + CHALLENGE_LIFETIME_US - 1));
	assert_false(challenge_is_fresh(&answer, &key, &peer, CONNECTION,
					begun_us + CHALLENGE_LIFETIME_US));
	assert_false(challenge_is_fresh(&answer, &key, &peer, CONNECTION,
					begun_us - 1000000)); /* of the future */
	assert_false(challenge_is_fresh(&answer, &other_key, &peer, CONNECTION, begun_us));
	other.port++;
	assert_false(challenge_is_fresh(&answer, &key, &other, CONNECTION, begun_us));
	other = peer;
	other.address[15]++;
	assert_false(challenge_is_fresh(&answer, &key, &other, CONNECTION, begun_us));
	assert_false(challenge_is_fresh(&answer, &key, &peer, CONNECTION + 1, begun_us));
	answer.nonce[11]++; /* another time */
	assert_false(challenge_is_fresh(&answer, &key, &peer, CONNECTION, begun_us));
	answer.nonce[12] = '\0';
	assert_false(challenge_is_fresh(&answer, &key, &peer, CONNECTION, begun_us));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_scheme_is_no_answer),
		cmocka_unit_test(an_answer_has_its_parts_in_any_order),
		cmocka_unit_test(an_answer_that_is_malformed_is_none),
		cmocka_unit_test(an_answer_fits_one_password_and_method),
		cmocka_unit_test(a_challenge_says_what_clients_have_to_know),
		cmocka_unit_test(no_two_challenges_are_alike),
		cmocka_unit_test(a_nonce_is_for_one_peer_and_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
