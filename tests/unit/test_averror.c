/* SPDX-License-Identifier: BSD-2-Clause */
/* What libav says about its errors, which is kept until somebody asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <libavutil/log.h>

#include "capture/source/averror.h"
#include "net/push_url.h"

#define SECRET_LEN 700

static void a_secret_is_whole_so_that_it_can_be_hidden(void **state)
{
	char url[SECRET_LEN + 64] = "srt://camera.example:9000?streamid=", text[AVERROR_SAID_MAX];
	const size_t begin = strlen(url);

	(void)state;
	for (int i = 0; i < SECRET_LEN; i++)
		url[begin + (size_t)i] = (char)('a' + i % 26);
	url[begin + SECRET_LEN] = '\0';
	averror_listen();
	averror_forget();
	av_log_set_level(AV_LOG_QUIET);
	av_log(NULL, AV_LOG_ERROR, "Connection to %s failed: no route\nmore", url);
	assert_int_equal(strlen(averror_said()),
			 strlen("Connection to  failed: no route") + strlen(url));
	strcpy(text, averror_said());
	push_url_hide(url, text, sizeof(text));
	assert_null(strstr(text, "abcdef"));
	assert_non_null(strstr(text, "failed: no route"));
	averror_forget();
	assert_string_equal(averror_said(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_is_whole_so_that_it_can_be_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
