/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers, hexadecimal digits, base64, a hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static void the_most_significant_byte_is_the_first(void **state)
{
	uint8_t out[7] = {0};

	(void)state;
	assert_ptr_equal(bytes_put32(bytes_put16(out, 0x8001), 0xfedcba98), out + 6);
	assert_memory_equal(out, "\x80\x01\xfe\xdc\xba\x98\0", sizeof out);
	assert_int_equal(bytes_get16(out), 0x8001);
	assert_true(bytes_get32(out + 2) == 0xfedcba98);
}

static void hexadecimal_digits_are_of_either_case(void **state)
{
	char text[9];

	(void)state;
	bytes_write_hex(text, (const uint8_t *)"\x00\x9a\xff\x7c", 4);
	assert_string_equal(text, "009aff7c");
	bytes_write_hex(text, NULL, 0);
	assert_string_equal(text, "");
	assert_int_equal(bytes_read_hex("aFx"), 0xaf);
	assert_int_equal(bytes_read_hex("00"), 0);
	for (const char *const *bad = (const char *[]){"", "a", "g0", "0G", "@0", "-1", " 1", NULL};
	     *bad; bad++)
		assert_int_equal(bytes_read_hex(*bad), -1);
}

/* RFC 4648 clause 10. */
static void base64_needs_no_padding(void **state)
{
	static const char *const texts[] = {"",	      "Zg==",	 "Zm8=",    "Zm9v",
					    "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};
	uint8_t out[6];

	(void)state;
	for (int len = 0; len <= 6; len++) {
		assert_int_equal(bytes_read_base64(out, sizeof out, texts[len]), len);
		assert_memory_equal(out, "foobar", (size_t)len);
	}
	assert_int_equal(bytes_read_base64(out, 1, "+/=="), 1);
	assert_int_equal(out[0], 0xfb);
	assert_int_equal(bytes_read_base64(out, 5, "Zm9vYmFy"), -1);
	assert_int_equal(bytes_read_base64(out, sizeof out, "Zm 9"), -1);
	assert_int_equal(bytes_read_base64(out, sizeof out, "Zg==Zg=="), -1);
	assert_int_equal(bytes_read_base64(out, sizeof out, "Zm-_"), -1);
}

static void a_hash_goes_on(void **state)
{
	(void)state;
	assert_true(bytes_hash(BYTES_HASH, "foobar", 6) == UINT64_C(0x85944171f73967e8));
	assert_true(bytes_hash(bytes_hash(BYTES_HASH, "foo", 3), "bar", 3) ==
		    UINT64_C(0x85944171f73967e8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_significant_byte_is_the_first),
		cmocka_unit_test(hexadecimal_digits_are_of_either_case),
		cmocka_unit_test(base64_needs_no_padding),
		cmocka_unit_test(a_hash_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
