/* SPDX-License-Identifier: BSD-2-Clause */
/* The run-time tree: numbers within a camera, order of the file in all. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "config/changes.h"
#include "daemon/cameras.h"

/* Two cameras whose streams take turns in the file. */
static const char mixed[] = "[camera a]\n[camera b]\n"
			    "[stream b0]\ncamera = b\nannexb = 1\nlength_prefixed = 2\n"
			    "[stream a0]\ncamera = a\nlength_prefixed = 3\n"
			    "[stream b1]\ncamera = b\ncodec = mjpeg\nlength_prefixed = 4\n"
			    "[stream a1]\ncamera = a\nannexb = 5\nlength_prefixed = 6\n";

struct fixture {
	struct config *config;
	struct cameras *cameras;
};

static int setup(void **state)
{
	static struct fixture f;

	assert_int_equal(config_parse(&f.config, "test", mixed, sizeof mixed - 1, stderr), 0);
	assert_int_equal(cameras_create(&f.cameras, f.config), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	cameras_destroy(f->cameras);
	config_destroy(f->config);
	return 0;
}

static void all_of_them_have_the_order_of_the_file(void **state)
{
	static const char *const streams[] = {"b0", "a0", "b1", "a1"};
	static const char *const outputs[] = {
		"b0/annexb",   "b0/length_prefixed", "b0/mp4",
		"b0/mp4_ws",   "b0/mpegts",	     "b0/rtp",
		"b0/rtp_ts",   "a0/annexb",	     "a0/length_prefixed",
		"a0/mp4",      "a0/mp4_ws",	     "a0/mpegts",
		"a0/rtp",      "a0/rtp_ts",	     "b1/length_prefixed",
		"b1/jpeg",     "b1/multipart",	     "b1/multipart_early",
		"b1/rtp_jpeg", "a1/annexb",	     "a1/length_prefixed",
		"a1/mp4",      "a1/mp4_ws",	     "a1/mpegts",
		"a1/rtp",      "a1/rtp_ts"};
	const size_t n = sizeof outputs / sizeof *outputs;
	const struct cameras *cameras = ((struct fixture *)*state)->cameras;

	assert_int_equal(cameras->n_cameras, 2);
	assert_int_equal(cameras->n_streams, 4);
	assert_int_equal(cameras->n_outputs, n);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(cameras->streams[i]->config->name, streams[i]);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(cameras->outputs[i]->name, outputs[i]);
}

static void numbers_count_within_a_camera(void **state)
{
	static const char *const outputs[2][14] = {
		{"a0/annexb", "a0/length_prefixed", "a0/mp4", "a0/mp4_ws", "a0/mpegts", "a0/rtp",
		 "a0/rtp_ts", "a1/annexb", "a1/length_prefixed", "a1/mp4", "a1/mp4_ws", "a1/mpegts",
		 "a1/rtp", "a1/rtp_ts"},
		{"b0/annexb", "b0/length_prefixed", "b0/mp4", "b0/mp4_ws", "b0/mpegts", "b0/rtp",
		 "b0/rtp_ts", "b1/length_prefixed", "b1/jpeg", "b1/multipart", "b1/multipart_early",
		 "b1/rtp_jpeg"}};
	static const unsigned n_outputs[] = {14, 12};
	static const char *const streams[2][2] = {{"a0", "a1"}, {"b0", "b1"}};
	const struct cameras *cameras = ((struct fixture *)*state)->cameras;

	for (unsigned i = 0; i < 2; i++) {
		const struct camera *camera = cameras->cameras[i];

		assert_int_equal(camera->n_streams, 2);
		assert_int_equal(camera->n_outputs, n_outputs[i]);
		for (unsigned j = 0; j < 2; j++) {
			assert_string_equal(camera->streams[j]->config->name, streams[i][j]);
			assert_int_equal(camera->streams[j]->number, j);
			assert_ptr_equal(camera->streams[j]->camera, camera);
		}
		for (unsigned j = 0; j < n_outputs[i]; j++) {
			assert_string_equal(camera->outputs[j]->name, outputs[i][j]);
			assert_int_equal(camera->outputs[j]->number, j);
			assert_ptr_equal(camera->outputs[j]->stream->camera, camera);
		}
	}
}

static void a_stream_has_its_own_outputs(void **state)
{
	static const size_t expected[] = {7, 7, 5, 7};
	const struct cameras *cameras = ((struct fixture *)*state)->cameras;

	for (size_t i = 0; i < 4; i++) {
		const struct stream *stream = cameras->streams[i];

		assert_int_equal(stream->n_outputs, expected[i]);
		for (size_t j = 0; j < stream->n_outputs; j++)
			assert_ptr_equal(stream->outputs[j].stream, stream);
	}
}

static const char other[] = "[daemon]\nhttp = 8080\n"
			    "[camera a]\nsource = pattern\n"
			    "[camera c]\nsource = pattern\n"
			    "[stream a0]\ncamera = a\nmax_clients = 7\n"
			    "[stream a1]\ncamera = a\n"
			    "[stream c0]\ncamera = c\n";

static void later(void *user, const char *key)
{
	(void)user, (void)key;
}

static void what_stays_the_same_keeps_its_place_in_memory(void **state)
{
	struct cameras *cameras = ((struct fixture *)*state)->cameras, *next;
	struct config_changes *changes;
	struct config *config;
	struct camera *a = cameras->streams[1]->camera, *b = cameras->streams[0]->camera;
	struct stream *a0 = cameras->streams[1], *b0 = cameras->streams[0];

	assert_int_equal(config_parse(&config, "test", other, sizeof other - 1, stderr), 0);
	assert_int_equal(config_compare(&changes, cameras->config, config, later, NULL), 0);
	assert_int_equal(cameras_create_next(&next, cameras, config, changes), 0);
	cameras_swap(cameras, next);
	assert_ptr_equal(cameras->config, config);
	assert_ptr_equal(cameras->streams[0], a0);
	assert_ptr_equal(a0->config, &config->streams[0]);
	assert_int_equal(a0->index, 0);
	assert_int_equal(a0->outputs[0].quota.max, 7);
	assert_ptr_equal(a0->outputs[1].config, &config->feeds[1]);
	assert_int_equal(a0->outputs[1].index, 1);
	assert_string_equal(cameras->streams[2]->config->name, "c0");
	assert_false(cameras_have_stream(cameras, b0));
	assert_false(cameras_have_camera(cameras, b));
	assert_true(cameras_have_stream(next, b0));

	/* And back. */
	cameras_swap(cameras, next);
	assert_ptr_equal(cameras->streams[0], b0);
	assert_int_equal(a0->index, 1);
	assert_int_equal(a0->outputs[0].quota.max, a0->config->max_clients);
	assert_ptr_equal(a0->camera, a);
	for (size_t i = 0; i < next->n_streams; i++)
		if (!cameras_have_stream(cameras, next->streams[i]))
			stream_free(next->streams[i]);
	for (size_t i = 0; i < next->n_cameras; i++)
		if (!cameras_have_camera(cameras, next->cameras[i]))
			camera_free(next->cameras[i]);
	cameras_free_shell(next);
	config_changes_free(changes);
	config_destroy(config);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_of_them_have_the_order_of_the_file),
		TEST(numbers_count_within_a_camera),
		TEST(a_stream_has_its_own_outputs),
		TEST(what_stays_the_same_keeps_its_place_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
