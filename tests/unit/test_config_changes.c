/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/changes.h"

#define LATER_MAX 512

#define DAEMON "[daemon]\nhttp = 127.0.0.1:8080\n"
#define FRONT "[camera front]\nsource = pattern\nsize = 320x240\n"
#define BACK "[camera back]\nsource = pattern\ncontrol.AeEnable = 1\n"
#define FRONT_H264 "[stream front-h264]\ncamera = front\n"
#define FRONT_JPEG "[stream front-jpeg]\ncamera = front\ncodec = mjpeg\n"
#define BACK_H264 "[stream back-h264]\ncamera = back\nannexb = 127.0.0.1:8888\n"
#define ALL DAEMON FRONT BACK FRONT_H264 FRONT_JPEG BACK_H264

/* Two configurations and what has changed. */
struct pair {
	struct config *old, *next;
	struct config_changes *changes;
	char later[LATER_MAX]; /* the keys, each with a newline */
};

static struct config *parse(const char *text)
{
	struct config *config;

	assert_int_equal(config_parse(&config, "test", text, strlen(text), stderr), 0);
	return config;
}

static void note_later(void *user, const char *key)
{
	struct pair *pair = user;
	size_t len = strlen(pair->later);

	snprintf(pair->later + len, sizeof pair->later - len, "%s\n", key);
}

static void compare(struct pair *pair, const char *old, const char *next)
{
	*pair = (struct pair){.old = parse(old), .next = parse(next)};
	assert_int_equal(config_compare(&pair->changes, pair->old, pair->next, note_later, pair),
			 0);
}

static void forget(struct pair *pair)
{
	config_changes_free(pair->changes);
	config_destroy(pair->next);
	config_destroy(pair->old);
}

/* The number that the camera had; -1: its worker starts again. */
static int camera(const struct pair *pair, const char *name)
{
	for (size_t i = 0; i < pair->next->n_cameras; i++)
		if (strcmp(pair->next->cameras[i].name, name) == 0)
			return pair->changes->same_camera[i];
	fail_msg("no camera %s", name);
	return -1;
}

static int stream(const struct pair *pair, const char *name)
{
	for (size_t i = 0; i < pair->next->n_streams; i++)
		if (strcmp(pair->next->streams[i].name, name) == 0)
			return pair->changes->same_stream[i];
	fail_msg("no stream %s", name);
	return -1;
}

static void the_same_text_changes_nothing(void **state)
{
	struct pair pair;

	(void)state;
	compare(&pair, ALL, "; with another comment\n" ALL);
	assert_int_equal(camera(&pair, "front"), 0);
	assert_int_equal(camera(&pair, "back"), 1);
	assert_int_equal(stream(&pair, "front-h264"), 0);
	assert_int_equal(stream(&pair, "front-jpeg"), 1);
	assert_int_equal(stream(&pair, "back-h264"), 2);
	assert_int_equal(stream(&pair, "back:jpeg"), 3);
	assert_false(pair.changes->announced);
	assert_string_equal(pair.later, "");
	forget(&pair);
}

static void another_order_changes_numbers_and_no_worker(void **state)
{
	struct pair pair;

	(void)state;
	compare(&pair, ALL, DAEMON BACK FRONT BACK_H264 FRONT_H264 FRONT_JPEG);
	assert_int_equal(camera(&pair, "front"), 0);
	assert_int_equal(camera(&pair, "back"), 1);
	assert_int_equal(stream(&pair, "back-h264"), 2);
	/* Clients that use its number over MQTT must learn of it. */
	assert_true(pair.changes->announced);
	forget(&pair);
}

static void keys_of_a_worker_restart_its_camera_alone(void **state)
{
	static const char *const texts[] = {
		DAEMON FRONT "framerate = 12\n" BACK FRONT_H264 FRONT_JPEG BACK_H264,
		DAEMON FRONT "brightness = 0.5\n" BACK FRONT_H264 FRONT_JPEG BACK_H264,
		DAEMON FRONT BACK FRONT_H264 "bitrate = 1M\n" FRONT_JPEG BACK_H264,
		DAEMON FRONT BACK FRONT_H264 FRONT_JPEG "quality = 33\n" BACK_H264,
		/* The streams of a camera have numbers, which its worker knows. */
		DAEMON FRONT BACK FRONT_JPEG FRONT_H264 BACK_H264,
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct pair pair;

		compare(&pair, ALL, texts[i]);
		assert_int_equal(camera(&pair, "front"), -1);
		assert_int_equal(camera(&pair, "back"), 1);
		assert_int_equal(stream(&pair, "front-h264"), 0);
		assert_int_equal(stream(&pair, "front-jpeg"), 1);
		assert_true(pair.changes->announced);
		forget(&pair);
	}
}

static void keys_of_camcastd_restart_no_worker(void **state)
{
	static const char *const lines[] = {
		"allow = local\n",	     "deny = 192.0.2.0/24\n",
		"max_clients = 3\n",	     "history_ms = 9000\n",
		"history_max = 10000000\n",  "max_lag_ms = 1500\n",
		"shed_lag_ms = 600\n",	     "join_burst_ms = 100\n",
		"stall_timeout_ms = 9000\n", "on_demand = yes\n",
		"linger_ms = 1\n",	     "push = rtmp://192.0.2.1/a/b\n",
		"annexb = 127.0.0.1:1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct pair pair;
		char text[1024];

		snprintf(text, sizeof text, DAEMON FRONT BACK FRONT_JPEG BACK_H264 FRONT_H264 "%s",
			 lines[i]);
		compare(&pair, DAEMON FRONT BACK FRONT_JPEG BACK_H264 FRONT_H264, text);
		assert_int_equal(camera(&pair, "front"), 0);
		assert_int_equal(camera(&pair, "back"), 1);
		assert_int_equal(pair.changes->announced,
				 strncmp(lines[i], "annexb", 6) == 0 ||
					 strncmp(lines[i], "push", 4) == 0);
		forget(&pair);
	}
}

static void streams_and_cameras_come_and_go(void **state)
{
	struct pair pair;

	(void)state;
	compare(&pair, ALL,
		DAEMON BACK BACK_H264 "[camera attic]\nsource = pattern\n"
				      "[stream attic]\ncamera = attic\n");
	assert_int_equal(camera(&pair, "back"), 1);
	assert_int_equal(camera(&pair, "attic"), -1);
	assert_int_equal(stream(&pair, "attic"), -1);
	assert_int_equal(stream(&pair, "back-h264"), 2);
	assert_true(pair.changes->announced);
	forget(&pair);
}

static void a_stream_with_another_codec_is_another_stream(void **state)
{
	struct pair pair;

	(void)state;
	compare(&pair, ALL,
		DAEMON FRONT BACK
		"[stream front-h264]\ncamera = front\ncodec = mjpeg\n" FRONT_JPEG BACK_H264);
	assert_int_equal(stream(&pair, "front-h264"), -1);
	assert_int_equal(stream(&pair, "front-jpeg"), 1);
	assert_int_equal(camera(&pair, "front"), -1);
	forget(&pair);
}

static void what_waits_for_the_next_start_keeps_its_value(void **state)
{
	struct pair pair;

	(void)state;
	compare(&pair, DAEMON "backend = epoll\nuser = camcast\nmax_clients = 9\n" FRONT FRONT_H264,
		DAEMON "backend = io_uring\nuser = other\nmax_clients = 8\n"
		       "capture = /bin/false\nsandbox = no\nsend_threshold = 1\n" FRONT FRONT_H264);
	assert_int_equal(pair.next->daemon.backend, CONFIG_BACKEND_EPOLL);
	assert_string_equal(pair.next->daemon.user, "camcast");
	assert_string_equal(pair.next->daemon.capture, "");
	assert_int_equal(pair.next->daemon.sandbox, CONFIG_SANDBOX_AUTO);
	assert_int_equal(pair.next->daemon.send_threshold, 4096);
	assert_int_equal(pair.next->daemon.max_clients, 8);
	assert_string_equal(pair.later, "backend in [daemon]\nsend_threshold in [daemon]\n"
					"capture in [daemon]\nuser in [daemon]\n"
					"sandbox in [daemon]\n");
	assert_false(pair.changes->announced);
	forget(&pair);
}

static void onvif_begins_and_ends_with_the_next_start(void **state)
{
	static const char *const texts[] = {
		DAEMON "rtsp = 81\n[onvif]\nname = a\n" FRONT FRONT_H264,
		DAEMON "rtsp = 81\n[onvif]\nname = b\ndiscovery = no\n" FRONT FRONT_H264,
		DAEMON "rtsp = 81\n" FRONT FRONT_H264,
	};
	struct pair pair;

	(void)state;
	compare(&pair, texts[0], texts[1]);
	assert_string_equal(pair.next->onvif.name, "b");
	assert_true(pair.next->onvif.discovery);
	assert_string_equal(pair.later, "discovery in [onvif]\n");
	forget(&pair);
	compare(&pair, texts[0], texts[2]);
	assert_true(pair.next->onvif.on);
	assert_string_equal(pair.later, "section [onvif]\n");
	forget(&pair);
	compare(&pair, texts[2], texts[1]);
	assert_false(pair.next->onvif.on);
	forget(&pair);
}

static void what_clients_are_told_is_announced(void **state)
{
	static const char *const texts[] = {
		"[daemon]\nhttp = 127.0.0.1:8081\n" FRONT FRONT_H264,
		DAEMON "name = other\n" FRONT FRONT_H264,
		DAEMON "rtsp = 127.0.0.1:8554\n" FRONT FRONT_H264,
		DAEMON "[mqtt]\nbroker = localhost\n" FRONT FRONT_H264,
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct pair pair;

		compare(&pair, DAEMON FRONT FRONT_H264, texts[i]);
		assert_true(pair.changes->announced);
		forget(&pair);
	}
}

static void users_are_nothing_to_announce(void **state)
{
	struct pair pair;

	(void)state;
	compare(&pair, ALL,
		DAEMON
		"allow = local\ncors = *\nanonymous = view\nmax_clients = 2\n"
		"[user anna]\ntoken_file = /nowhere\n" FRONT BACK FRONT_H264 FRONT_JPEG BACK_H264);
	assert_false(pair.changes->announced);
	assert_int_equal(camera(&pair, "front"), 0);
	assert_string_equal(pair.later, "");
	forget(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_text_changes_nothing),
		cmocka_unit_test(another_order_changes_numbers_and_no_worker),
		cmocka_unit_test(keys_of_a_worker_restart_its_camera_alone),
		cmocka_unit_test(keys_of_camcastd_restart_no_worker),
		cmocka_unit_test(streams_and_cameras_come_and_go),
		cmocka_unit_test(a_stream_with_another_codec_is_another_stream),
		cmocka_unit_test(what_waits_for_the_next_start_keeps_its_value),
		cmocka_unit_test(onvif_begins_and_ends_with_the_next_start),
		cmocka_unit_test(what_clients_are_told_is_announced),
		cmocka_unit_test(users_are_nothing_to_announce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
