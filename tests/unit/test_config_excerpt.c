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

static void a_worker_is_not_given_the_secrets_of_a_push(void **state)
{
	static const char push[] =
		"[camera front]\nsource = pattern\n"
		"[stream one]\ncamera = front\n"
		"push = rtmps://user:secret@host/app/secret, srt://b:1?passphrase=secret\n";
	struct config *config;
	size_t len;
	char *out;

	(void)state;
	assert_int_equal(config_excerpt(&out, &len, push, sizeof push - 1, "front"), 0);
	assert_string_equal(out, "[camera front]\nsource=pattern\n"
				 "[stream one]\ncamera=front\npush=rtmps://host/...\n");
	/* A stream without addresses is valid because of it. */
	assert_int_equal(config_parse(&config, "excerpt", out, len, stderr), 0);
	config_destroy(config);
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
	assert_int_equal(config->n_feeds, 7 + 5);
	assert_int_equal(config->feeds[7].number, 7);
	assert_int_equal(config->feeds[7].framing, CONFIG_FRAMING_LENGTH_PREFIXED);
	config_destroy(config);
	free(out);
}

static void a_stream_without_addresses_brings_the_http_that_it_needs(void **state)
{
	static const char whole[] =
		"[daemon]\nname = secret\nhttp = 8080\nrtsp = 8554\n[camera front]\n"
		"[stream one]\ncamera = front\n";
	struct config *config;
	size_t len;
	char *out;

	(void)state;
	assert_int_equal(config_excerpt(&out, &len, whole, sizeof whole - 1, "front"), 0);
	assert_string_equal(out, "[daemon]\n\nhttp=8080\nrtsp=8554\n[camera front]\n"
				 "[stream one]\ncamera=front\n");
	assert_int_equal(config_parse(&config, "excerpt", out, len, stderr), 0);
	assert_int_equal(config->streams[0].number, 0);
	assert_int_equal(config->feeds[4].stream, 0);
	config_destroy(config);
	free(out);
}

static void implied_streams_have_the_same_numbers(void **state)
{
	static const char whole[] = "[daemon]\nname = secret\nhttp = 127.0.0.1:8080\n"
				    "[camera a]\n[camera b]\n[camera c]\n"
				    "[stream one]\ncamera = b\nannexb = 1\n"
				    "[stream two]\ncamera = a\nannexb = 2\n"
				    "[stream three]\ncamera = c\ncodec = mjpeg\n"
				    "length_prefixed = 3\n";
	struct config *config, *part;
	size_t len;
	char *out;

	(void)state;
	assert_int_equal(config_parse(&config, "whole", whole, sizeof whole - 1, stderr), 0);
	for (unsigned i = 0; i < 3; i++) {
		const struct config_camera *camera = &config->cameras[i];
		size_t feeds = 0;

		assert_int_equal(config_excerpt(&out, &len, whole, sizeof whole - 1, camera->name),
				 0);
		assert_null(strstr(out, "secret"));
		assert_int_equal(config_parse(&part, "part", out, len, stderr), 0);
		assert_int_equal(part->n_streams, camera->n_streams);
		assert_int_equal(part->n_feeds, camera->n_feeds);
		for (size_t j = 0; j < config->n_streams; j++) {
			const struct config_stream *stream = &config->streams[j];

			if (stream->camera != i)
				continue;
			assert_string_equal(part->streams[stream->number].name, stream->name);
			assert_int_equal(part->streams[stream->number].number, stream->number);
			assert_int_equal(part->streams[stream->number].implied, stream->implied);
		}
		for (size_t j = 0; j < config->n_feeds; j++) {
			const struct config_feed *feed = &config->feeds[j];

			if (config->streams[feed->stream].camera != i)
				continue;
			assert_int_equal(part->feeds[feeds].number, feed->number);
			assert_int_equal(part->feeds[feeds++].framing, feed->framing);
		}
		assert_int_equal(feeds, camera->n_feeds);
		config_destroy(part);
		free(out);
	}
	config_destroy(config);
}

static void a_worker_knows_nothing_of_tls(void **state)
{
	static const char whole[] = "[daemon]\nhttp = 0\ntls = yes\n"
				    "[tls]\ncertificate = /secret/certificate\n"
				    "key = /secret/key\n"
				    "[camera c]\nsource = pattern\n"
				    "[stream s]\ncamera = c\ntls = auto\nannexb = 0\n";
	struct config *config, *part;
	size_t len;
	char *out;

	(void)state;
	assert_int_equal(config_parse(&config, "whole", whole, sizeof whole - 1, stderr), 0);
	assert_true(config_uses_tls(config));
	assert_int_equal(config->daemon.tls, CONFIG_TLS_YES);
	assert_int_equal(config->streams[0].tls, CONFIG_TLS_AUTO);
	assert_int_equal(config_excerpt(&out, &len, whole, sizeof whole - 1, "c"), 0);
	assert_null(strstr(out, "secret"));
	assert_null(strstr(out, "tls"));
	assert_int_equal(config_parse(&part, "part", out, len, stderr), 0);
	assert_int_equal(part->n_feeds, config->n_feeds);
	config_destroy(part);
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
		cmocka_unit_test(a_worker_is_not_given_the_secrets_of_a_push),
		cmocka_unit_test(it_means_what_the_whole_means),
		cmocka_unit_test(a_stream_without_addresses_brings_the_http_that_it_needs),
		cmocka_unit_test(implied_streams_have_the_same_numbers),
		cmocka_unit_test(a_worker_knows_nothing_of_tls),
		cmocka_unit_test(there_must_be_such_a_camera),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
