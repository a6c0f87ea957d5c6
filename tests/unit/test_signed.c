/* SPDX-License-Identifier: BSD-2-Clause */
/* Signed announcements: what is signed, by whom, and everything that is not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "mqtt/signed.h"

/* RFC 8032, clause 7.1, the first test. */
static const uint8_t seed[SIGNED_KEY_BYTES] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
					       0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
					       0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19,
					       0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
static const char public_text[] =
	"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
static const char json[] = "{\"id\":\"a\",\"name\":\"Porch\"}";

static struct signer *create(void)
{
	struct signer *signer;

	assert_int_equal(signer_create(&signer, seed), 0);
	return signer;
}

/* free() it. */
static char *sign(uint64_t start, uint64_t count)
{
	const struct signed_number number = {start, count};
	struct signer *signer = create();
	char *text = signer_sign(signer, json, &number);

	assert_non_null(text);
	signer_destroy(signer);
	return text;
}

static enum signed_state check(const char *text, size_t len)
{
	struct signed_by by;

	signed_check(&by, text, len);
	if (by.state != SIGNED_RIGHT)
		for (size_t i = 0; i < sizeof by.key; i++)
			assert_int_equal(by.key[i], 0);
	return by.state;
}

static void the_signer_and_the_number_are_read_back(void **state)
{
	char key[SIGNED_HEX_MAX], *text = sign(1796000000, 3);
	struct signed_by by;

	(void)state;
	signed_check(&by, text, strlen(text));
	assert_int_equal(by.state, SIGNED_RIGHT);
	assert_string_equal(signed_key_text(key, by.key), public_text);
	assert_true(by.number.start == 1796000000 && by.number.count == 3);
	assert_memory_equal(text, json, strlen(json) - 1);
	assert_true(strlen(text) <= strlen(json) + SIGNED_EXTRA_MAX);
	free(text);
	text = sign(SIGNED_NUMBER_MAX, SIGNED_NUMBER_MAX);
	assert_true(strlen(text) <= strlen(json) + SIGNED_EXTRA_MAX);
	assert_int_equal(check(text, strlen(text)), SIGNED_RIGHT);
	free(text);
}

/* The bytes that are signed stand in docs/DISCOVERY.md: others must be able to check them. */
static void the_signature_is_that_of_the_documented_bytes(void **state)
{
	char *text = sign(7, 1);

	(void)state;
	assert_string_equal(
		text,
		"{\"id\":\"a\",\"name\":\"Porch\",\"signed\":{\"key\":"
		"\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\",\"start\":7,"
		"\"count\":1},\"signature\":"
		"\"2a22aae302b4ab21e36a2b3e265e024acb36d2823b9bc5ff7973224dc566f6ce"
		"f0146af9579825d74e5ec9740e37068fc76aac3ced1b5ca8b0823ffbcccc200e\"}");
	free(text);
}

static void a_changed_byte_makes_the_signature_wrong(void **state)
{
	char *text = sign(7, 1);
	const size_t len = strlen(text);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		const char old = text[i];

		text[i] = old == '0' ? '1' : '0';
		assert_int_not_equal(check(text, len), SIGNED_RIGHT);
		text[i] = old;
	}
	assert_int_equal(check(text, len), SIGNED_RIGHT);
	free(text);
}

static void a_part_of_a_text_is_not_signed(void **state)
{
	char *text = sign(7, 1);
	const size_t len = strlen(text);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		char *copy = malloc(i ? i : 1); /* a sanitizer sees what is read beyond it */

		assert_non_null(copy);
		memcpy(copy, text, i);
		assert_int_equal(check(copy, i), SIGNED_NOT);
		memcpy(copy, text + len - i, i);
		assert_int_not_equal(check(copy, i), SIGNED_RIGHT);
		free(copy);
	}
	free(text);
}

static void a_stripped_signature_is_none(void **state)
{
	char *text = sign(7, 1), *end = strstr(text, ",\"signature\"");

	(void)state;
	strcpy(end, "}");
	assert_int_equal(check(text, strlen(text)), SIGNED_NOT);
	free(text);
	assert_int_equal(check(json, strlen(json)), SIGNED_NOT);
	assert_int_equal(check("", 0), SIGNED_NOT);
}

/* Of another length, but the same in JSON. */
static void another_form_of_the_same_text_is_wrong(void **state)
{
	static const char *const pairs[][2] = {
		{"\"start\":7", "\"start\":07"},
		{"\"start\":7", "\"start\": 7"},
		{"\"start\":7", "\"start\":7.0"},
		{"\"count\":1}", "\"count\":1,\"x\":1}"},
		{"\"count\":1}", "\"count\":9007199254740992}"},
		{"\"count\":1}", "\"count\":99999999999999999999999999}"},
		{"\"count\":1}", "\"count\":}"},
		{"\"key\":\"d7", "\"key\":\"D7"},
		{"\"key\":\"d75a", "\"key\":\"d7"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		char *text = sign(7, 1), changed[1024], *at = strstr(text, pairs[i][0]);

		assert_non_null(at);
		*at = '\0';
		strcpy(changed, text);
		strcat(changed, pairs[i][1]);
		strcat(changed, at + strlen(pairs[i][0]));
		assert_int_equal(check(changed, strlen(changed)), SIGNED_WRONG);
		free(text);
	}
}

static void what_is_no_object_is_not_signed(void **state)
{
	static const char *const texts[] = {"", "{}", "[]", "[1]", "{\"a\":1", "\"a\":1}"};
	const struct signed_number number = {1, 1}, large = {SIGNED_NUMBER_MAX + 1, 1};
	struct signer *signer = create();

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_null(signer_sign(signer, texts[i], &number));
	assert_null(signer_sign(signer, json, &large));
	signer_destroy(signer);
}

static void a_start_counts_more_than_a_count(void **state)
{
	const struct signed_number a = {1, 9}, b = {2, 1}, c = {2, 2};

	(void)state;
	assert_true(signed_compare(&a, &b) < 0 && signed_compare(&b, &a) > 0);
	assert_true(signed_compare(&b, &c) < 0 && signed_compare(&c, &b) > 0);
	assert_int_equal(signed_compare(&c, &c), 0);
}

static void a_fingerprint_is_that_of_sha256sum(void **state)
{
	char fingerprint[SIGNED_FINGERPRINT_MAX];
	struct signer *signer = create();

	(void)state;
	assert_string_equal(signed_fingerprint(fingerprint, signer_key(signer)),
			    "21fe31dfa154a261626bf854046fd227");
	signer_destroy(signer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_signer_and_the_number_are_read_back),
		cmocka_unit_test(the_signature_is_that_of_the_documented_bytes),
		cmocka_unit_test(a_changed_byte_makes_the_signature_wrong),
		cmocka_unit_test(a_part_of_a_text_is_not_signed),
		cmocka_unit_test(a_stripped_signature_is_none),
		cmocka_unit_test(another_form_of_the_same_text_is_wrong),
		cmocka_unit_test(what_is_no_object_is_not_signed),
		cmocka_unit_test(a_start_counts_more_than_a_count),
		cmocka_unit_test(a_fingerprint_is_that_of_sha256sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
