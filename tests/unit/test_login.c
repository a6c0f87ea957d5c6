/* SPDX-License-Identifier: BSD-2-Clause */
/* What is answered to a server that asks for a user: RFC 7616, RFC 2617, RFC 7617. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "client/stream/login.h"

static char header[LOGIN_HEADER_MAX];

static struct login *create(const char *userinfo)
{
	int number = login_keep(userinfo, strlen(userinfo));
	struct login *login;

	assert_true(number > 0);
	assert_int_equal(login_create(&login, (unsigned)number), 0);
	assert_true(login_is_known(login));
	return login;
}

static const char *answer(struct login *login, const char *method, const char *url)
{
	assert_true(login_write(login, method, url, header));
	return header;
}

/* The value of NAME="VALUE" or NAME=VALUE. */
static const char *value(const char *name)
{
	static char text[128];
	char pattern[32], *at;
	size_t n;

	snprintf(pattern, sizeof pattern, " %s=", name);
	at = strstr(header, pattern);
	if (!at)
		return "";
	at += strlen(pattern);
	at += *at == '"';
	n = strcspn(at, "\",\r");
	snprintf(text, sizeof text, "%.*s", (int)n, at);
	return text;
}

static void basic_is_what_rfc_7617_has(void **state)
{
	struct login *login = create("Aladdin:open%20sesame");

	(void)state;
	assert_string_equal(answer(login, "PLAY", "rtsp://x/"), "");
	assert_true(login_take(login, "Basic realm=\"WallyWorld\""));
	assert_string_equal(answer(login, "PLAY", "rtsp://x/"),
			    "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
	login_destroy(login);
}

/* By md5sum: HA1 of "me:camera:secret", HA2 of "DESCRIBE:rtsp://192.0.2.1:554/live". */
static void digest_without_qop_is_what_cameras_ask_for(void **state)
{
	struct login *login = create("me:secret");

	(void)state;
	assert_true(login_take(login, "Digest realm=\"camera\", nonce=\"0123\""));
	answer(login, "DESCRIBE", "rtsp://192.0.2.1:554/live");
	assert_string_equal(value("response"), "8fa118e7a24ac76188a849f0227cdd97");
	assert_string_equal(value("uri"), "rtsp://192.0.2.1:554/live");
	assert_string_equal(value("username"), "me");
	assert_null(strstr(header, "qop"));
	assert_null(strstr(header, "algorithm"));
	assert_null(strstr(header, "secret"));
	login_destroy(login);
}

/* RFC 7616 clause 3.9.1 has what a response is made of; the nonce of the client is ours. */
static void digest_with_qop_counts_and_names_its_algorithm(void **state)
{
	struct login *login = create("Mufasa:Circle%20of%20Life");

	(void)state;
	assert_true(login_take(login, "Digest realm=\"http-auth@example.org\", qop=\"auth, "
				      "auth-int\", algorithm=SHA-256, "
				      "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
				      "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""));
	answer(login, "GET", "/dir/index.html");
	assert_int_equal(strlen(value("response")), 64);
	assert_string_equal(value("nc"), "00000001");
	assert_string_equal(value("algorithm"), "SHA-256");
	assert_string_equal(value("opaque"), "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS");
	assert_int_equal(strlen(value("cnonce")), 16);
	assert_string_equal(header + strlen(header) - 3, "\"\r\n");
	answer(login, "GET", "/dir/index.html");
	assert_string_equal(value("nc"), "00000002");
	login_destroy(login);
}

static void the_strongest_challenge_counts(void **state)
{
	struct login *login = create("me:secret");

	(void)state;
	assert_true(login_take(login, "Digest realm=\"a\", nonce=\"1\", algorithm=SHA-256"));
	assert_true(login_take(login, "Digest realm=\"a\", nonce=\"2\", algorithm=MD5, "
				      "stale=TRUE"));
	assert_true(login_take(login, "Basic realm=\"a\""));
	answer(login, "PLAY", "rtsp://x/");
	assert_string_equal(value("nonce"), "1");
	assert_false(login_is_stale(login));
	login_forget(login);
	assert_true(login_take(login, "digest  realm=\"\", nonce=\"2\", stale=true"));
	assert_true(login_is_stale(login));
	login_destroy(login);
}

static void challenges_that_nobody_can_answer_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"Bearer realm=\"x\"",
		"Digest realm=\"x\"",
		"Digest nonce=\"",
		"Digest nonce=\"a\\\"b\"",
		"Digest nonce=\"1\", qop=\"auth-int\"",
		"Digest nonce=\"1\", algorithm=MD5-sess",
		"Digest nonce=\"1\", algorithm=SHA-512-256",
	};
	struct login *login = create("me:secret");
	char longest[400];

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_false(login_take(login, texts[i]));
	snprintf(longest, sizeof longest, "Digest nonce=\"%0*d\"", 300, 7);
	assert_false(login_take(login, longest));
	assert_string_equal(answer(login, "PLAY", "rtsp://x/"), "");
	login_destroy(login);
}

static void the_same_login_has_one_number(void **state)
{
	const int first = login_keep("one:x", 5);

	(void)state;
	assert_int_equal(login_keep("one:x", 5), first);
	assert_int_not_equal(login_keep("one:y", 5), first);
	assert_true(login_keep("one", 3) > 0);
	assert_int_equal(login_keep(":x", 2), -EINVAL);
	assert_int_equal(login_keep("a%0ab:x", 7), -EINVAL);
	assert_int_equal(login_keep("a%3Ab:x", 7), -EINVAL);
	assert_int_equal(login_keep("a%4", 3), -EINVAL);
}

static void a_file_has_the_login_for_all(void **state)
{
	char path[] = "/tmp/test_login.XXXXXX", why[SECRET_WHY_MAX];
	int fd = mkstemp(path);
	struct login *login;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "me:a:b\nrest\n", 12), 12);
	assert_int_equal(login_create(&login, 0), 0);
	assert_false(login_is_known(login));
	login_destroy(login);
	assert_int_equal(login_keep_file(path, why), 0);
	assert_int_equal(login_create(&login, 0), 0);
	assert_true(login_take(login, "Basic"));
	assert_string_equal(answer(login, "PLAY", "rtsp://x/"),
			    "Authorization: Basic bWU6YTpi\r\n");
	login_destroy(login);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(login_keep_file(path, why), -EPERM);
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(pwrite(fd, "me\n", 3, 0), 3);
	assert_int_equal(login_keep_file(path, why), -EINVAL);
	assert_non_null(strstr(why, "USER:PASSWORD"));
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(basic_is_what_rfc_7617_has),
		cmocka_unit_test(digest_without_qop_is_what_cameras_ask_for),
		cmocka_unit_test(digest_with_qop_counts_and_names_its_algorithm),
		cmocka_unit_test(the_strongest_challenge_counts),
		cmocka_unit_test(challenges_that_nobody_can_answer_are_refused),
		cmocka_unit_test(the_same_login_has_one_number),
		cmocka_unit_test(a_file_has_the_login_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
