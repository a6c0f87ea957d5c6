/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of health, and that no name or reason breaks the formats. This test plays the workers;
 * tests/e2e/test_status.py checks the fields, and uses the parser of Prometheus. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/status/json.h"
#include "daemon/status/status.h"
#include "tests/unit/worker_rig.h"

/* The monotonic clock stands still unless a test lets time pass. */
static int64_t clock_us;

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC)
		return __real_clock_gettime(id, ts);
	ts->tv_sec = clock_us / 1000000;
	ts->tv_nsec = clock_us % 1000000 * 1000;
	return 0;
}

/* The report of a worker. */
struct reports {
	struct worker_status status;
	struct camcast_msg_stream streams[RIG_STREAMS];
	int64_t wanted_us[RIG_STREAMS];
};

struct fixture {
	struct rig rig;
	struct reports front, back;
	struct status_view view;
	uint32_t segment;
};

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof *f);
	clock_us = INT64_C(1000000000);
	rig_open(&f->rig, "name = \"a\\\"b");
	rig_create_feeds(&f->rig, NULL);
	rig_listen(&f->rig);
	for (int i = 0; i < RIG_CAMERAS; i++) {
		struct reports *reports = i == FRONT ? &f->front : &f->back;

		reports->status.state = WORKER_RUNNING;
		reports->status.pid = 1;
		reports->status.frames_at_us = loop_now_us(f->rig.loop);
		reports->status.streams = reports->streams;
		reports->status.wanted_us = reports->wanted_us;
		f->rig.cameras->cameras[i]->status = &reports->status;
	}
	f->front.wanted_us[STREAM_FH] = f->back.wanted_us[0] = loop_now_us(f->rig.loop);
	f->view = (struct status_view){
		.loop = f->rig.loop,
		.cameras = f->rig.cameras,
		.admission = f->rig.admission,
		.reserve = f->rig.reserve,
		.started_us = loop_now_us(f->rig.loop),
	};
	*state = f;
	return 0;
}

static char *write_json(const struct status_view *view)
{
	struct json *json = json_begin(view);

	assert_non_null(json);
	while (!json_step(json, JSON_CLIENTS_MAX))
		;
	return json_end(json);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rig_close(&f->rig);
	return 0;
}

static void publish_for(struct fixture *f, unsigned feed, uint32_t duration_us)
{
	uint32_t id = ++f->segment;

	assert_int_equal(feed_add_segment(rig_feed(&f->rig, feed), id,
					  rig_segment(4096, F_SEAL_SHRINK | F_SEAL_GROW), 4096),
			 0);
	assert_int_equal(feed_add_unit(rig_feed(&f->rig, feed), id,
				       &(struct feed_unit){.len = 100,
							   .flags = CAMCAST_UNIT_KEY,
							   .duration_us = duration_us}),
			 0);
}

static void publish(struct fixture *f, unsigned feed)
{
	publish_for(f, feed, 33333);
}

static void let_pass(struct fixture *f, int64_t seconds)
{
	clock_us += seconds * 1000000;
	assert_int_equal(loop_turn(f->rig.loop, 0), 0);
}

static void camera_delivers(struct fixture *f)
{
	f->front.status.frames_at_us = f->back.status.frames_at_us = loop_now_us(f->rig.loop);
}

static void assert_healthy(struct fixture *f)
{
	char why[HEALTH_WHY_MAX];

	if (!health_check(f->rig.cameras, loop_now_us(f->rig.loop), why))
		fail_msg("%s", why);
}

static void assert_sick(struct fixture *f, const char *expected)
{
	char why[HEALTH_WHY_MAX];

	assert_false(health_check(f->rig.cameras, loop_now_us(f->rig.loop), why));
	assert_string_equal(why, expected);
}

static void every_wanted_stream_must_flow(void **state)
{
	struct fixture *f = *state;

	assert_sick(f, "stream fh: no picture yet");
	publish(f, FRONT_H264);
	assert_sick(f, "stream bh: no picture yet");
	publish(f, BACK_H264);
	assert_healthy(f);
	let_pass(f, 2);
	camera_delivers(f);
	assert_healthy(f);
	publish(f, FRONT_H264);
	let_pass(f, 2);
	camera_delivers(f);
	assert_sick(f, "stream bh: no picture for 4.0 s");
	publish(f, BACK_H264);
	assert_healthy(f);
}

/* A picture every four seconds is no fault of a stream of 0.25 a second. */
static void a_slow_stream_has_the_time_of_a_picture_more(void **state)
{
	struct fixture *f = *state;

	publish_for(f, FRONT_H264, 4000000);
	publish(f, BACK_H264);
	camera_delivers(f);
	let_pass(f, 6);
	publish(f, BACK_H264);
	camera_delivers(f);
	assert_healthy(f);
	let_pass(f, 2);
	publish(f, BACK_H264);
	assert_sick(f, "stream fh: no picture for 8.0 s");
}

/* The next picture of the recording is due in nine seconds. */
static void a_pause_in_a_recording_is_no_trouble(void **state)
{
	struct fixture *f = *state;
	struct worker_status *status = &f->front.status;

	publish(f, FRONT_H264);
	camera_delivers(f);
	status->due_us = loop_now_us(f->rig.loop) + 9000000;
	for (int i = 0; i < 12; i++) {
		publish(f, BACK_H264);
		assert_healthy(f);
		let_pass(f, 1);
	}
	publish(f, BACK_H264);
	let_pass(f, 1);
	assert_sick(f, "stream fh: no picture for 13.0 s");
}

static void a_pause_hides_no_encoder_that_fails(void **state)
{
	struct fixture *f = *state;
	struct worker_status *status = &f->front.status;

	publish(f, FRONT_H264);
	for (int i = 0; i < 4; i++) {
		publish(f, BACK_H264);
		let_pass(f, 1);
	}
	camera_delivers(f);
	status->due_us = loop_now_us(f->rig.loop) + 9000000;
	assert_sick(f, "stream fh: no picture for 4.0 s");
	publish(f, FRONT_H264);
	let_pass(f, 4);
	publish(f, BACK_H264);
	assert_healthy(f);
	status->state = WORKER_BACKOFF;
	assert_sick(f, "stream fh: no picture for 4.0 s");
}

static void an_idle_stream_counts_by_its_camera(void **state)
{
	struct fixture *f = *state;

	publish(f, FRONT_H264);
	publish(f, BACK_H264);
	assert_healthy(f);
	let_pass(f, 5);
	publish(f, FRONT_H264);
	publish(f, BACK_H264);
	assert_sick(f, "camera front: no picture for 5.0 s");
	camera_delivers(f);
	assert_healthy(f);
	f->front.status.frames_at_us = 0;
	assert_sick(f, "camera front: no picture yet");
}

static void who_comes_to_an_idle_stream_gives_it_three_seconds(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++) {
		publish(f, FRONT_H264);
		publish(f, BACK_H264);
		camera_delivers(f);
		if (i == 0)
			f->front.wanted_us[STREAM_FJ] = loop_now_us(f->rig.loop);
		if (i < 3)
			assert_healthy(f);
		let_pass(f, 1);
	}
	assert_sick(f, "stream fj: no picture yet");
	publish(f, FRONT_JPEG);
	assert_healthy(f);
}

static void the_reason_is_the_worker_s_or_the_camera_s(void **state)
{
	struct fixture *f = *state;

	strcpy(f->front.status.reason, "old news");
	strcpy(f->front.status.heartbeat.reason, "unplugged");
	assert_sick(f, "stream fh: no picture yet: unplugged");
	f->front.status.state = WORKER_BACKOFF;
	strcpy(f->front.status.reason, "exit status 1");
	assert_sick(f, "stream fh: no picture yet: exit status 1");
}

static void words_of_any_kind_are_valid_json(void **state)
{
	struct fixture *f = *state;
	cJSON *root, *camera;
	char *text;

	strcpy(f->front.status.reason, "\"quoted\" \\ </script> {}[] \xc3\xa9 %s%n");
	memset(f->front.streams[STREAM_FH].detail, '"', 159);
	text = write_json(&f->view);
	assert_non_null(text);
	root = cJSON_Parse(text);
	assert_non_null(root);
	camera = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "cameras"), 0);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(camera, "reason")),
			    f->front.status.reason);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(root, "name")), "\"a\\\"b");
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(root, "feeds")), RIG_FEEDS);
	cJSON_Delete(root);
	free(text);
}

static void without_a_worker_nothing_is_active(void **state)
{
	struct fixture *f = *state;
	char *text;

	f->front.streams[STREAM_FH].active = 1;
	f->front.streams[STREAM_FH].fps_milli = 30000;
	f->front.streams[STREAM_FH].units = 12;
	f->front.status.heartbeat.fps_milli = 30000;
	text = status_metrics(&f->view);
	assert_non_null(strstr(text, "\ncamcast_stream_active{stream=\"fh\"} 1\n"));
	assert_non_null(strstr(text, "\ncamcast_stream_fps{stream=\"fh\"} 30\n"));
	assert_non_null(strstr(text, "\ncamcast_camera_fps{camera=\"front\"} 30\n"));
	free(text);
	f->front.status.pid = 0;
	f->front.status.state = WORKER_BACKOFF;
	text = status_metrics(&f->view);
	assert_non_null(strstr(text, "\ncamcast_stream_active{stream=\"fh\"} 0\n"));
	assert_non_null(strstr(text, "\ncamcast_stream_fps{stream=\"fh\"} 0\n"));
	assert_non_null(strstr(text, "\ncamcast_stream_units_total{stream=\"fh\"} 12\n"));
	assert_non_null(strstr(text, "\ncamcast_camera_fps{camera=\"front\"} 0\n"));
	assert_non_null(strstr(text, "\ncamcast_camera_up{camera=\"front\"} 0\n"));
	free(text);
}

static void label_values_are_escaped(void **state)
{
	struct fixture *f = *state;
	char *text;

	f->rig.cameras->outputs[0]->name = "a\\b\"c\nd";
	text = status_metrics(&f->view);
	assert_non_null(strstr(text, "camcast_feed_units_total{feed=\"a\\\\b\\\"c\\nd\"} 0\n"));
	free(text);
}

/* --- the table --- */

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && strcmp(text + len - n, end) == 0;
}

static bool is_number(const struct counter *row)
{
	return row->type == COUNTER_GAUGE || row->type == COUNTER_COUNTER ||
	       row->type == COUNTER_BOOL;
}

static void check_value(const struct counter *row)
{
	bool is_text = row->type == COUNTER_TEXT;

	assert_int_equal(!!row->in + !!row->number + !!row->text, is_text || is_number(row));
	assert_true(!row->number || is_number(row));
	assert_true(!row->text || is_text);
	if (row->in && !is_text)
		assert_true(row->size == sizeof(uint32_t) || row->size == sizeof(uint64_t));
}

static void check_metric(const struct counter *row, const struct counter *group)
{
	bool grows = row->type == COUNTER_COUNTER || row->type == COUNTER_GROUP;

	assert_true(row->path || row->metric);
	assert_true(row->rank <= COUNTER_RANK_MAX);
	assert_true(!row->label || (row->type == COUNTER_GROUP && row->metric));
	if (!row->metric)
		return;
	assert_false(group && group->metric);
	assert_true(is_number(row) || row->label);
	assert_int_equal(ends_with(row->metric, "_total"), grows);
}

static void every_row_has_one_value_a_place_and_a_sentence(void **state)
{
	(void)state;
	for (size_t kind = 0; kind < COUNTER_KINDS; kind++) {
		const struct counter_table *table = counter_tables[kind];
		const struct counter *group = NULL;

		for (size_t i = 0; i < table->n_rows; i++) {
			const struct counter *row = &table->rows[i];

			check_value(row);
			if (!counter_grouped(row))
				group = NULL;
			else
				assert_non_null(group);
			check_metric(row, group);
			if (group)
				assert_memory_equal(row->path, group->path, strlen(group->path));
			if (row->type == COUNTER_GROUP)
				group = row;
			assert_true(ends_with(row->help, "."));
			assert_null(strpbrk(row->help, "\\\n|"));
		}
	}
}

/* A group has n rows, in the order of the reasons. */
static void assert_reasons(enum counter_kind kind, const char *group, unsigned n)
{
	const struct counter *row = counter_tables[kind]->rows;

	while (!row->path || strcmp(row->path, group) != 0)
		row++;
	for (unsigned i = 0; i < n; i++) {
		row++;
		assert_int_equal(row->offset - row[-(int)i].offset, i * sizeof(uint64_t));
	}
	assert_false(row + 1 < counter_tables[kind]->rows + counter_tables[kind]->n_rows &&
		     counter_grouped(row + 1));
}

static void every_reason_of_a_refusal_has_its_row(void **state)
{
	(void)state;
	assert_reasons(COUNTERS_FEED, "refused", ADMISSION_REFUSALS);
	assert_reasons(COUNTERS_MQTT, "refused", REQUEST_REFUSALS);
}

static void without_discovery_there_is_only_its_state(void **state)
{
	struct fixture *f = *state;
	char *text = write_json(&f->view);

	assert_non_null(strstr(text, ",\"mqtt\":{\"state\":\"off\"},"));
	free(text);
	text = status_metrics(&f->view);
	assert_null(strstr(text, "mqtt"));
	free(text);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_wanted_stream_must_flow),
		TEST(a_slow_stream_has_the_time_of_a_picture_more),
		TEST(a_pause_in_a_recording_is_no_trouble),
		TEST(a_pause_hides_no_encoder_that_fails),
		TEST(an_idle_stream_counts_by_its_camera),
		TEST(who_comes_to_an_idle_stream_gives_it_three_seconds),
		TEST(the_reason_is_the_worker_s_or_the_camera_s),
		TEST(words_of_any_kind_are_valid_json),
		TEST(without_a_worker_nothing_is_active),
		TEST(label_values_are_escaped),
		TEST(without_discovery_there_is_only_its_state),
		cmocka_unit_test(every_row_has_one_value_a_place_and_a_sentence),
		cmocka_unit_test(every_reason_of_a_refusal_has_its_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
