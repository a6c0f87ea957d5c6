/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands around an access unit in each framing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capture/publish/mux.h"

#define AUD "\0\0\0\1\x09\xf0"
#define SPS "\0\0\0\1\x67sps"
#define IDR "\0\0\1\x65idr"
#define SLICE "\0\0\1\x41slice"

/* Frames the pieces and compares with what is expected, of len bytes. */
static void check(enum config_framing framing, char *const *pieces, const char *expected,
		  size_t len)
{
	struct iovec in[4];
	const struct iovec *out;
	char whole[100];
	size_t in_len = 0, at = 0;
	struct mux mux;
	int n = 0, out_n;

	for (; pieces[n]; n++) {
		/* Pieces begin with their lengths, as they hold zeros. */
		in[n] = (struct iovec){.iov_base = pieces[n] + 1, .iov_len = (size_t)pieces[n][0]};
		in_len += in[n].iov_len;
	}
	mux_init(&mux, framing);
	assert_int_equal(mux_frame(&mux, in, n, in_len, &out, &out_n), 0);
	for (int i = 0; i < out_n; i++) {
		memcpy(whole + at, out[i].iov_base, out[i].iov_len);
		at += out[i].iov_len;
	}
	assert_int_equal(at, len);
	assert_memory_equal(whole, expected, len);
	mux_finish(&mux);
}

static char key_head[] = "\16" AUD SPS, key_slice[] = "\7" IDR;
static char head[] = "\6" AUD, slice[] = "\11" SLICE;
static char jpeg[] = "\4\xff\xd8\xff\xe0";

#define EXPECT(text) text, sizeof(text) - 1

static void a_byte_stream_has_the_delimiter_behind_the_picture(void **state)
{
	(void)state;
	check(CONFIG_FRAMING_ANNEXB, (char *[]){key_head, key_slice, NULL}, EXPECT(SPS IDR AUD));
	check(CONFIG_FRAMING_ANNEXB, (char *[]){head, slice, NULL}, EXPECT(SLICE AUD));
}

static void what_is_no_h264_goes_as_it_is(void **state)
{
	(void)state;
	check(CONFIG_FRAMING_ANNEXB, (char *[]){jpeg, NULL}, EXPECT("\xff\xd8\xff\xe0"));
}

static void a_length_stands_before_a_whole_access_unit(void **state)
{
	(void)state;
	check(CONFIG_FRAMING_LENGTH_PREFIXED, (char *[]){head, slice, NULL},
	      EXPECT("\0\0\0\17" AUD SLICE));
	check(CONFIG_FRAMING_LENGTH_PREFIXED, (char *[]){jpeg, NULL},
	      EXPECT("\0\0\0\4\xff\xd8\xff\xe0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_byte_stream_has_the_delimiter_behind_the_picture),
		cmocka_unit_test(what_is_no_h264_goes_as_it_is),
		cmocka_unit_test(a_length_stands_before_a_whole_access_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
