/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

static const char text[] = "[daemon]\nname = secret-name\n"
			   "[mqtt]\npassword = secret\n"
			   "; a comment with a secret\n"
			   "[Camera back]\nsource = file:/secret\n"
			   "[stream one]\ncamera = front ; secret\nannexb = 8888\n"
			   "[stream two]\ncamera = back\nannexb = 8889\n"
			   "[stream three]\nCodec: mjpeg\ncamera = front\nlength-prefixed = 8890\n"
			   "[camera front]\nsource = pattern\ncontrol.AeEnable = a = b\n"
			   "tuning_file =;no comment";

static void it_has_the_camera_and_its_streams_in_their_lines(void **state)
{
	size_t len;
	char *out;

	(void)state;
	assert_int_equal(config_excerpt(&out, &len, text, sizeof text - 1, "front"), 0);
	assert_string_equal(out, "\n\n\n\n\n\n\n"
				 "[stream one]\ncamera=front\nannexb=8888\n"
				 "\n\n\n"
				 "[stream three]\ncodec=mjpeg\ncamera=front\nlength_prefixed=8890\n"
				 "[camera front]\nsource=pattern\ncontrol.AeEnable=a = b\n"
				 "tuning_file=;no comment\n");
	assert_int_equal(len, strlen(out));
	free(out);
}

static void it_means_what_the_whole_means(void **state)
{
	struct config *config;
	size_t len;
	char *out;

	(void)state;
	assert_int_equal(config_excerpt(&out, &len, text, sizeof text - 1, "front"), 0);
	assert_int_equal(config_parse(&config, "excerpt", out, len, stderr), 0);
	assert_int_equal(config->n_cameras, 1);
	assert_string_equal(config->cameras[0].tuning_file, ";no comment");
	assert_string_equal(config->cameras[0].controls[0].value, "a = b");
	assert_int_equal(config->cameras[0].controls[0].line, 20);
	assert_int_equal(config->n_streams, 2);
	assert_int_equal(config->streams[1].number, 1);
	assert_int_equal(config->n_feeds, 5 + 4);
	assert_int_equal(config->feeds[5].number, 5);
	assert_int_equal(config->feeds[5].framing, CONFIG_FRAMING_LENGTH_PREFIXED);
	config_destroy(config);
	free(out);
}

static void a_stream_without_addresses_brings_the_http_that_it_needs(void **state)
{
	static const char whole[] = "[daemon]\nname = secret\nhttp = 8080\n[camera front]\n"
				    "[stream one]\ncamera = front\n";
	struct config *config;
	size_t len;
	char *out;

	(void)state;
	assert_int_equal(config_excerpt(&out, &len, whole, sizeof whole - 1, "front"), 0);
	assert_string_equal(out, "[daemon]\n\nhttp=8080\n[camera front]\n"
				 "[stream one]\ncamera=front\n");
	assert_int_equal(config_parse(&config, "excerpt", out, len, stderr), 0);
	assert_int_equal(config->n_feeds, 5);
	config_destroy(config);
	free(out);
}

static void there_must_be_such_a_camera(void **state)
{
	size_t len;
	char *out;

	(void)state;
	assert_int_equal(config_excerpt(&out, &len, text, sizeof text - 1, "middle"), -ENOENT);
	assert_int_equal(config_excerpt(&out, &len, "", 0, "front"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_has_the_camera_and_its_streams_in_their_lines),
		cmocka_unit_test(it_means_what_the_whole_means),
		cmocka_unit_test(a_stream_without_addresses_brings_the_http_that_it_needs),
		cmocka_unit_test(there_must_be_such_a_camera),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
