/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/onvif/token.h"

#define SPACE "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
#define TYPE SPACE "username-token-profile-1.0#PasswordDigest"
/* The example of the ONVIF Application Programmer's Guide, clause 6.1.1.3. */
#define NONCE "LKqI6G/AikKCQrN0zqZFlg=="
#define CREATED "2010-09-16T07:50:45Z"
#define DIGEST "tuOSpGlFlIXsozq4HFNeeGeFLEI="
#define CREATED_S 1284623445

static const struct net_peer peer = {.address = {1}}, other = {.address = {2}};

static struct xml *make(const char *type, const char *nonce, const char *created,
			const char *digest)
{
	char text[2048];
	struct xml *xml;

	snprintf(text, sizeof text,
		 "<Header><w:Security xmlns:w='" SPACE "wssecurity-secext-1.0.xsd'>"
		 "<w:UsernameToken><w:Username>user</w:Username>"
		 "<w:Password Type='%s'>%s</w:Password><w:Nonce>%s</w:Nonce>"
		 "<Created xmlns='" SPACE "wssecurity-utility-1.0.xsd'>%s</Created>"
		 "</w:UsernameToken></w:Security></Header>",
		 type, digest, nonce, created);
	assert_int_equal(xml_parse(&xml, text, strlen(text)), 0);
	return xml;
}

static int read_token(struct token *token, const char *type, const char *nonce, const char *created,
		      const char *digest)
{
	struct xml *xml = make(type, nonce, created, digest);
	int err = token_read(token, xml, xml_root(xml));

	xml_destroy(xml);
	return err;
}

static struct token example(void)
{
	struct token token;

	assert_int_equal(read_token(&token, TYPE, NONCE, CREATED, DIGEST), 0);
	return token;
}

static void the_example_of_onvif_fits_its_password(void **state)
{
	struct token token = example();

	(void)state;
	assert_string_equal(token.name, "user");
	assert_int_equal(token.created_s, CREATED_S);
	assert_true(token_fits(&token, "userpassword"));
	assert_false(token_fits(&token, "userpasswore"));
	assert_false(token_fits(&token, ""));
}

static void times_may_have_fractions(void **state)
{
	struct token token;

	(void)state;
	assert_int_equal(read_token(&token, TYPE, NONCE, "2010-09-16T07:50:45.123Z", DIGEST), 0);
	assert_int_equal(token.created_s, CREATED_S);
	assert_int_equal(read_token(&token, TYPE, NONCE, "2010-09-16T07:50:45+00:00", DIGEST), 0);
}

static void a_malformed_token_is_refused(void **state)
{
	static const struct {
		const char *type, *nonce, *created, *digest;
	} cases[] = {
		{SPACE "username-token-profile-1.0#PasswordText", NONCE, CREATED, DIGEST},
		{"", NONCE, CREATED, DIGEST},
		{TYPE, "", CREATED, DIGEST},
		{TYPE, "!!!", CREATED, DIGEST},
		{TYPE, NONCE "x", CREATED, DIGEST},
		{TYPE, NONCE NONCE, CREATED, DIGEST},
		{TYPE, NONCE, "", DIGEST},
		{TYPE, NONCE, "yesterday", DIGEST},
		{TYPE, NONCE, "2010-09-16T07:50:45+09:00", DIGEST},
		{TYPE, NONCE, "2010-09-16T07:50:45.0000000000000000000000000Z", DIGEST},
		{TYPE, NONCE, CREATED, ""},
		{TYPE, NONCE, CREATED, "AAAA"},
		{TYPE, NONCE, CREATED, "AAAA" DIGEST},
	};
	struct token token;
	struct xml *xml;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (read_token(&token, cases[i].type, cases[i].nonce, cases[i].created,
			       cases[i].digest) != -EBADMSG)
			fail_msg("case %zu", i);
	assert_int_equal(xml_parse(&xml, "<Header/>", 9), 0);
	assert_int_equal(token_read(&token, xml, xml_root(xml)), -ENOENT);
	assert_int_equal(token_read(&token, xml, NULL), -ENOENT);
	xml_destroy(xml);
}

static void a_token_is_good_once_and_in_its_time(void **state)
{
	struct token_memory *memory = calloc(1, sizeof *memory);
	struct token token = example();

	(void)state;
	assert_true(token_is_fresh(memory, &token, &peer, true, CREATED_S));
	assert_true(token_is_fresh(memory, &token, &peer, true, CREATED_S - TOKEN_SKEW_S));
	assert_true(token_is_fresh(memory, &token, &peer, true, CREATED_S + TOKEN_SKEW_S));
	assert_false(token_is_fresh(memory, &token, &peer, true, CREATED_S - TOKEN_SKEW_S - 1));
	assert_false(token_is_fresh(memory, &token, &peer, true, CREATED_S + TOKEN_SKEW_S + 1));
	token_remember(memory, &token, &peer, CREATED_S);
	assert_false(token_is_fresh(memory, &token, &peer, true, CREATED_S));
	assert_false(token_is_fresh(memory, &token, &peer, true, CREATED_S + TOKEN_SKEW_S));
	token.digest[0] ^= 1;
	assert_true(token_is_fresh(memory, &token, &peer, true, CREATED_S));
	free(memory);
}

static void a_token_may_come_again_to_read(void **state)
{
	struct token_memory *memory = calloc(1, sizeof *memory);
	struct token token = example();

	(void)state;
	for (int s = 0; s <= TOKEN_AGAIN_S; s++) {
		assert_true(token_is_fresh(memory, &token, &peer, false, CREATED_S + s));
		token_remember(memory, &token, &peer, CREATED_S + s);
	}
	assert_false(token_is_fresh(memory, &token, &peer, true, CREATED_S));
	assert_false(token_is_fresh(memory, &token, &other, false, CREATED_S));
	assert_false(token_is_fresh(memory, &token, &peer, false, CREATED_S + TOKEN_AGAIN_S + 1));
	free(memory);
}

static void a_token_that_was_forgotten_is_not_taken_again(void **state)
{
	struct token_memory *memory = calloc(1, sizeof *memory);
	struct token first = example(), token = first;

	(void)state;
	token_remember(memory, &first, &peer, CREATED_S);
	for (uint32_t i = 0; i < TOKEN_NONCES; i++) {
		memcpy(token.digest, &i, sizeof i);
		token.created_s = CREATED_S + 1;
		assert_true(token_is_fresh(memory, &token, &peer, true, CREATED_S + 1));
		token_remember(memory, &token, &peer, CREATED_S + 1);
	}
	assert_false(token_is_fresh(memory, &first, &peer, true, CREATED_S + 1));
	token.digest[7] ^= 1;
	token.created_s = CREATED_S + 2;
	assert_true(token_is_fresh(memory, &token, &peer, true, CREATED_S + 2));
	free(memory);
}

/* Whoever fills the memory forgets what is theirs. */
static void a_user_with_many_tokens_locks_nobody_else_out(void **state)
{
	struct token_memory *memory = calloc(1, sizeof *memory);
	struct token token = example(), many = token;

	(void)state;
	token_remember(memory, &token, &peer, CREATED_S);
	strcpy(many.name, "many");
	many.created_s = CREATED_S + TOKEN_SKEW_S - 2;
	for (uint32_t i = 0; i < TOKEN_NONCES + 10; i++) {
		memcpy(many.digest, &i, sizeof i);
		token_remember(memory, &many, &other, CREATED_S);
	}
	many.digest[7] ^= 1;
	assert_false(token_is_fresh(memory, &many, &other, true, CREATED_S));
	assert_false(token_is_fresh(memory, &token, &peer, true, CREATED_S));
	token.digest[7] ^= 1;
	assert_true(token_is_fresh(memory, &token, &peer, true, CREATED_S));
	token_remember(memory, &token, &peer, CREATED_S);
	assert_false(token_is_fresh(memory, &token, &peer, true, CREATED_S));
	free(memory);
}

static void more_users_than_there_are_places_share_the_last(void **state)
{
	struct token_memory *memory = calloc(1, sizeof *memory);
	struct token token = example();

	(void)state;
	for (uint32_t i = 0; i < 2 * CONFIG_USERS_MAX; i++) {
		snprintf(token.name, sizeof token.name, "user%u", (unsigned)i);
		memcpy(token.digest, &i, sizeof i);
		assert_true(token_is_fresh(memory, &token, &peer, true, CREATED_S));
		token_remember(memory, &token, &peer, CREATED_S);
		assert_false(token_is_fresh(memory, &token, &peer, true, CREATED_S));
	}
	assert_int_equal(memory->n_users, CONFIG_USERS_MAX);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_onvif_fits_its_password),
		cmocka_unit_test(times_may_have_fractions),
		cmocka_unit_test(a_malformed_token_is_refused),
		cmocka_unit_test(a_token_is_good_once_and_in_its_time),
		cmocka_unit_test(a_token_may_come_again_to_read),
		cmocka_unit_test(a_token_that_was_forgotten_is_not_taken_again),
		cmocka_unit_test(a_user_with_many_tokens_locks_nobody_else_out),
		cmocka_unit_test(more_users_than_there_are_places_share_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
