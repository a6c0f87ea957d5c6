/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COOKIE "camcast-8080"
#define TOKEN "0123456789abcdef0123"

static struct credentials credentials;

static enum credentials_kind read_request(const char *target, const char *headers)
{
	static struct message head;
	char text[2048];
	size_t taken;
	int len = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n%s\r\n", target, headers);

	message_init(&head);
	assert_int_equal(message_push(&head, text, (size_t)len, &taken), MESSAGE_COMPLETE);
	credentials_read(&credentials, &head, COOKIE);
	return credentials.kind;
}

static enum credentials_kind authorization(const char *value)
{
	char header[1024];

	snprintf(header, sizeof header, "Authorization: %s\r\n", value);
	return read_request("/", header);
}

static void a_request_without_any_is_of_somebody(void **state)
{
	(void)state;
	assert_int_equal(read_request("/", ""), CREDENTIALS_NONE);
	assert_int_equal(read_request("/?mytoken=" TOKEN "&x=token=" TOKEN, ""), CREDENTIALS_NONE);
	assert_int_equal(read_request("/", "Cookie: a=b; camcast-8081=t-" TOKEN "\r\n"),
			 CREDENTIALS_NONE);
	assert_int_equal(authorization("Digest username=\"a\""), CREDENTIALS_NONE);
	assert_int_equal(authorization("Basically"), CREDENTIALS_NONE);
}

static void basic_is_a_name_and_a_password(void **state)
{
	(void)state;
	assert_int_equal(authorization("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), CREDENTIALS_PASSWORD);
	assert_string_equal(credentials.name, "Aladdin");
	assert_string_equal(credentials.secret, "open sesame");
	assert_int_equal(authorization("bAsIc   YTpiOmM"), CREDENTIALS_PASSWORD);
	assert_string_equal(credentials.name, "a");
	assert_string_equal(credentials.secret, "b:c");
	assert_int_equal(authorization("Basic Og=="), CREDENTIALS_PASSWORD);
	assert_string_equal(credentials.name, "");
	assert_string_equal(credentials.secret, "");
	assert_int_equal(authorization("Basic w7w6w7w="), CREDENTIALS_PASSWORD);
	assert_string_equal(credentials.name, "\xc3\xbc");
	assert_int_equal(authorization("Basic /Dr8"), CREDENTIALS_PASSWORD); /* Latin-1 */
	assert_string_equal(credentials.name, "\xc3\xbc");
	assert_string_equal(credentials.secret, "\xc3\xbc");
}

static void what_is_malformed_is_nobodys(void **state)
{
	char longest[600] = "Basic YTpi";

	(void)state;
	assert_int_equal(authorization("Basic "), CREDENTIALS_NONE);	/* blanks at the end go */
	assert_int_equal(authorization("Basic YWI="), CREDENTIALS_BAD); /* no colon */
	assert_int_equal(authorization("Basic YTpi!"), CREDENTIALS_BAD);
	assert_int_equal(authorization("Basic YTpi=YTpi"), CREDENTIALS_BAD);
	assert_int_equal(authorization("Basic YToAYg=="), CREDENTIALS_BAD); /* a NUL */
	assert_int_equal(authorization("Bearer short"), CREDENTIALS_BAD);
	assert_int_equal(authorization("Bearer " TOKEN " x"), CREDENTIALS_BAD);
	while (strlen(longest) < 500)
		strcat(longest, "YWFh");
	assert_int_equal(authorization(longest), CREDENTIALS_BAD);
	assert_string_equal(credentials.secret, "");
	assert_int_equal(read_request("/?token=short", ""), CREDENTIALS_BAD);
	assert_int_equal(read_request("/?token=%zz" TOKEN, ""), CREDENTIALS_BAD);
	assert_int_equal(read_request("/?token=", ""), CREDENTIALS_BAD);
}

static void a_token_comes_in_a_header_in_the_query_or_in_a_cookie(void **state)
{
	(void)state;
	assert_int_equal(authorization("Bearer " TOKEN), CREDENTIALS_TOKEN);
	assert_string_equal(credentials.secret, TOKEN);
	assert_false(credentials.in_query);
	assert_int_equal(read_request("/?a=1&token=%30123456789abcdef0123&b", ""),
			 CREDENTIALS_TOKEN);
	assert_string_equal(credentials.secret, TOKEN);
	assert_true(credentials.in_query);
	assert_int_equal(read_request("/", "Cookie: a=b; " COOKIE "=t-" TOKEN "; c=d\r\n"),
			 CREDENTIALS_TOKEN);
	assert_string_equal(credentials.secret, TOKEN);
	assert_int_equal(read_request("/", "Cookie: " COOKIE "=s-abc\r\n"), CREDENTIALS_LOGIN);
	assert_string_equal(credentials.secret, "abc");
}

static void the_header_counts_more_than_the_query_and_that_more_than_the_cookie(void **state)
{
	static const char both[] = "Authorization: Basic YTpi\r\nCookie: " COOKIE "=s-abc\r\n";

	(void)state;
	assert_int_equal(read_request("/?token=" TOKEN, both), CREDENTIALS_PASSWORD);
	assert_int_equal(read_request("/?token=" TOKEN, "Cookie: " COOKIE "=s-abc\r\n"),
			 CREDENTIALS_TOKEN);
	assert_int_equal(
		read_request("/", "Authorization: Digest x\r\nCookie: " COOKIE "=s-abc\r\n"),
		CREDENTIALS_LOGIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_without_any_is_of_somebody),
		cmocka_unit_test(basic_is_a_name_and_a_password),
		cmocka_unit_test(what_is_malformed_is_nobodys),
		cmocka_unit_test(a_token_comes_in_a_header_in_the_query_or_in_a_cookie),
		cmocka_unit_test(
			the_header_counts_more_than_the_query_and_that_more_than_the_cookie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
