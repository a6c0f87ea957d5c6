/* SPDX-License-Identifier: BSD-2-Clause */
/* The pure parts of recording: times, names, segments, and what is deleted. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/record/folder.h"
#include "client/record/store.h"
#include "client/record/time.h"

#define SECOND 1000000LL

/* --- times --- */

static void pictures_on_time_get_their_times(void **state)
{
	struct record_clock clock;

	(void)state;
	record_clock_init(&clock, 25);
	for (int64_t i = 0; i < 100; i++)
		assert_int_equal(record_clock_next(&clock, 5 * SECOND + i * 40000, false),
				 5 * SECOND + i * 40000);
}

/* A small generator of our own, so that runs are alike. */
static int64_t jitter_us(uint32_t *seed, int64_t most)
{
	*seed = *seed * 1664525 + 1013904223;
	return (int64_t)(*seed >> 8) % most;
}

static void jitter_is_smoothed(void **state)
{
	struct record_clock clock;
	uint32_t seed = 1;
	int64_t last_us = 0, at_us;

	(void)state;
	record_clock_init(&clock, 30);
	for (int64_t i = 0; i < 3000; i++) {
		at_us = record_clock_next(&clock, i * SECOND / 30 + jitter_us(&seed, 30000), false);
		if (i > 60) {
			assert_in_range(at_us - last_us, 28000, 39000);
			assert_in_range(at_us - i * SECOND / 30, 0, 30000);
		}
		last_us = at_us;
	}
}

/* An hour of a camera whose clock is off by 300 parts in a million, with what the network does. */
static void times_do_not_drift_from_the_clock(void **state)
{
	struct record_clock clock;
	uint32_t seed = 7;
	int64_t at_us = 0, n = 3600 * 30;

	(void)state;
	record_clock_init(&clock, 30);
	for (int64_t i = 0; i < n; i++)
		at_us = record_clock_next(&clock, i * 33343 + jitter_us(&seed, 20000), false);
	assert_in_range(at_us, (n - 1) * 33343, (n - 1) * 33343 + 20000);
}

static void times_grow_whatever_comes(void **state)
{
	struct record_clock clock;
	uint32_t seed = 3;
	int64_t last_us = -1, arrival_us = 0;

	(void)state;
	record_clock_init(&clock, 0);
	for (int i = 0; i < 20000; i++) {
		int64_t at_us;

		/* Bursts, pauses, and now and then a clock that goes back. */
		arrival_us += jitter_us(&seed, 100) == 0
				      ? jitter_us(&seed, 20 * SECOND) - 8 * SECOND
			      : i % 50 < 20 ? 0
					    : jitter_us(&seed, 80000);
		at_us = record_clock_next(&clock, arrival_us, jitter_us(&seed, 200) == 0);
		assert_true(i == 0 || at_us > last_us);
		last_us = at_us;
	}
}

static void a_slower_camera_is_followed(void **state)
{
	struct record_clock clock;
	int64_t at_us = 0, arrival_us = 0;

	(void)state;
	record_clock_init(&clock, 30); /* as announced, but it is dark */
	for (int i = 0; i < 90; i++) {
		at_us = record_clock_next(&clock, arrival_us, false);
		arrival_us += SECOND / 15;
	}
	assert_in_range(arrival_us - SECOND / 15 - at_us + SECOND, SECOND - 20000, SECOND + 100000);
	assert_in_range((int64_t)clock.step_us, 55000, 75000);
}

/* A recording of a file, say, with 30 pictures a second and then 6, and back. */
static void a_rate_that_changes_at_once_is_followed_at_once(void **state)
{
	static const int64_t steps_us[] = {SECOND / 30, SECOND / 6, SECOND / 30};
	struct record_clock clock;
	int64_t at_us = 0, arrival_us = 0;
	uint32_t seed = 5;

	(void)state;
	record_clock_init(&clock, 30);
	for (int part = 0; part < 3; part++) {
		for (int i = 0; i < 60; i++) {
			at_us = record_clock_next(&clock, arrival_us + jitter_us(&seed, 5000),
						  false);
			if (i >= 16)
				assert_in_range(at_us - arrival_us + SECOND, SECOND - 60000,
						SECOND + 60000);
			arrival_us += steps_us[part];
		}
		assert_in_range((int64_t)clock.step_us, steps_us[part] - 3000,
				steps_us[part] + 3000);
	}
}

/* Pictures that were held up by the network come at once, and keep their times. */
static void a_stall_is_no_new_rate(void **state)
{
	struct record_clock clock;

	(void)state;
	record_clock_init(&clock, 30);
	for (int64_t i = 0; i < 300; i++) {
		int64_t taken_us = i * SECOND / 30;
		int64_t stalled_us = i >= 100 && i < 115 ? 115 * SECOND / 30 : taken_us;
		int64_t at_us = record_clock_next(&clock, stalled_us, false);

		assert_in_range(at_us - taken_us + SECOND, SECOND - 1000, SECOND + 250000);
		assert_in_range((int64_t)clock.step_us, 28000, 42000);
	}
}

/* A slow camera at first, and then as many pictures as fit the network. */
static void a_flood_does_not_lead_into_the_future(void **state)
{
	struct record_clock clock;
	int64_t arrival_us = 0, last_us = -1, at_us;
	int left_out = 0;

	(void)state;
	record_clock_init(&clock, 1.0 / 60);
	for (int i = 0; i < 200000; i++) {
		arrival_us += i < 10 ? 60 * SECOND : 2;
		if (record_clock_is_full(&clock, arrival_us)) {
			left_out++;
			continue;
		}
		at_us = record_clock_next(&clock, arrival_us, false);
		assert_true(at_us > last_us);
		assert_true(at_us <= arrival_us + 2 * SECOND + 100);
		last_us = at_us;
	}
	assert_true(left_out > 0);
	/* It goes on when the arrivals have caught up. */
	assert_false(record_clock_is_full(&clock, arrival_us + 2 * SECOND));
}

static void a_gap_is_a_gap(void **state)
{
	struct record_clock clock;

	(void)state;
	record_clock_init(&clock, 25);
	record_clock_next(&clock, 0, false);
	record_clock_next(&clock, 40000, false);
	assert_int_equal(record_clock_next(&clock, 700000, true), 700000); /* a new connection */
	assert_int_equal(record_clock_next(&clock, 9 * SECOND, false), 9 * SECOND); /* a pause */
	assert_int_equal(record_clock_next(&clock, 9 * SECOND + 40000, false), 9 * SECOND + 40000);
	/* Time lapse: a pause is what is long for this stream. */
	record_clock_init(&clock, 0.1);
	record_clock_next(&clock, 0, false);
	assert_in_range(record_clock_next(&clock, 12 * SECOND, false), 10 * SECOND + 1,
			11 * SECOND);
}

/* --- segments and names --- */

static void segments_begin_at_multiples_of_utc(void **state)
{
	int64_t minute = 1795339380; /* 2026-11-22 09:23:00 UTC */

	(void)state;
	assert_int_equal(minute % 60, 0);
	assert_int_equal(record_segment_of(minute * SECOND, 60), minute / 60);
	assert_int_equal(record_segment_of(minute * SECOND - 1, 60), minute / 60 - 1);
	assert_int_equal(record_segment_of(minute * SECOND + 60 * SECOND - 1, 60), minute / 60);
	assert_int_equal(record_segment_of(minute * SECOND + 60 * SECOND, 60), minute / 60 + 1);
	assert_int_equal(record_segment_of(86400 * SECOND, 86400), 1);
	assert_int_equal(record_segment_of(-1, 60), -1); /* a clock that was never set */
}

static void names_tell_the_utc_second_and_sort_by_it(void **state)
{
	char name[RECORD_NAME_MAX], later[RECORD_NAME_MAX];
	int64_t utc_s;
	unsigned number;

	(void)state;
	record_name_write(name, 1795339380, 1);
	assert_string_equal(name, "20261122T092300Z.mp4");
	record_name_write(later, 1795339381, 1);
	assert_true(strcmp(name, later) < 0);
	record_name_write(name, 1795339380, 12);
	assert_string_equal(name, "20261122T092300Z-12.mp4");
	assert_true(record_name_parse(name, &utc_s, &number));
	assert_int_equal(utc_s, 1795339380);
	assert_int_equal(number, 12);
}

static void others_names_are_not_ours(void **state)
{
	static const char *const names[] = {
		"",
		"video.mp4",
		"20261122T092300Z",
		"20261122T092300Z.mp4.part",
		"20261122T092300Z.mkv",
		"20261122T092300.mp4",
		"20261122T092300Z-1.mp4",
		"20261122T092300Z-02.mp4",
		"20261122T092300Z-99999999999999999999.mp4",
		"20261122T092300Z-2x.mp4",
		"20261322T092300Z.mp4",
		"20261131T092300Z.mp4",
		"20261122T252300Z.mp4",
		" 0261122T092300Z.mp4",
		"x20261122T092300Z.mp4",
	};
	int64_t utc_s;
	unsigned number;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (record_name_parse(names[i], &utc_s, &number))
			fail_msg("%s is taken for ours", names[i]);
}

static void a_servers_name_becomes_a_folders(void **state)
{
	static const struct {
		const char *name, *folder;
	} cases[] = {
		{"front door", "front door"},
		{"현관 카메라", "현관 카메라"},
		{"a/b\\c:d*e?f\"g<h>i|j", "a_b_c_d_e_f_g_h_i_j"},
		{"../../etc", "_._.._etc"},
		{"..", "_"},
		{".hidden", "_hidden"},
		{"", "server"},
		{" . ", "server"},
		{"tab\there\x7f", "tab_here_"},
		{"CON", "_CON"},
		{"nul.x", "_nul.x"},
		{"Lpt9", "_Lpt9"},
		{"console", "console"},
		{"aux front", "aux front"},
	};
	char folder[FOLDER_NAME_MAX], name[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		folder_safe_name(cases[i].name, folder);
		assert_string_equal(folder, cases[i].folder);
	}
	/* Three bytes a letter: 36 of them and the x are 109 bytes, and 110 is the most. */
	strcpy(name, "x");
	for (int i = 0; i < 80; i++)
		strcat(name, "가");
	folder_safe_name(name, folder);
	assert_int_equal(strlen(folder), 1 + 36 * 3);
}

/* --- the store --- */

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_record.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command); /* NOLINT(cert-env33-c): a folder of our own */
}

static const char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void put(const char *name, size_t bytes)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static bool is_there(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static void make_folder(const char *name, const char *id, char folder[FOLDER_NAME_MAX])
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = folder_open(dir_fd, name, id, folder);

	assert_true(fd >= 0);
	close(fd);
	close(dir_fd);
}

static void put_server(const char *name, const char *id, const char *wanted)
{
	char folder[FOLDER_NAME_MAX];

	make_folder(name, id, folder);
	assert_string_equal(folder, wanted);
}

static void a_server_keeps_its_folder_and_shares_it_with_nobody(void **state)
{
	(void)state;
	put_server("door", "id-1", "door");
	put_server("door", "id-1", "door");
	put_server("door", "id-2", "door-id-2");
	put_server("door", "id-2", "door-id-2");
	put_server("door", "id-1", "door");
	put_server("../door", "id-3", "_._door");
	put_server("door", "id-1/still", "door-id-1_still");
}

/* Whatever stands where a server's folder would be. */
static void a_squatter_does_not_keep_a_server_out(void **state)
{
	(void)state;
	assert_int_equal(symlink("/tmp", path_of("link")), 0);
	put_server("link", "id-1", "link-id-1");
	put("file", 1);
	put_server("file", "id-1", "file-id-1");
	put_server("door", "squatter", "door");
	put_server("door-id-1", "squatter", "door-id-1");
	put_server("door", "id-1", "door-id-1-2");
	put_server("door", "id-1", "door-id-1-2");
	/* A FIFO for a marker is not waited for. */
	assert_int_equal(mkdir(path_of("fifo"), 0755), 0);
	assert_int_equal(mkfifo(path_of("fifo/.camcast"), 0644), 0);
	put_server("fifo", "id-1", "fifo-id-1");
	assert_int_equal(mkdir(path_of("marker"), 0755), 0);
	assert_int_equal(symlink("../file", path_of("marker/.camcast")), 0);
	put_server("marker", "id-1", "marker-id-1");
}

static void owners_of_folders_are_known(void **state)
{
	struct folder_owners owners;

	(void)state;
	put_server("door", "id-2", "door");
	put_server("a/b", "id-1", "a_b");
	assert_int_equal(mkdir(path_of("other"), 0755), 0);
	assert_int_equal(folder_owners_read(&owners, dir), 0);
	assert_int_equal(owners.n, 2);
	assert_true(folder_owners_have(&owners, "id-1"));
	assert_true(folder_owners_have(&owners, "id-2"));
	assert_false(folder_owners_have(&owners, "id-3"));
	assert_string_equal(folder_owners_of_name(&owners, "a/b"), "id-1");
	assert_null(folder_owners_of_name(&owners, "other"));
	folder_owners_finish(&owners);
}

static void the_oldest_of_the_server_that_has_most_goes_first(void **state)
{
	struct store_limits limits = {.max_bytes = 2500};
	struct store_usage usage;

	(void)state;
	put_server("a", "1", "a");
	put_server("b", "2", "b");
	put("b/20260101T000000Z.mp4", 1000);
	put("a/20260101T000100Z.mp4", 1000);
	put("a/20260101T000200Z.mp4", 1000);
	put("a/20260101T000200Z-2.mp4", 1000);
	assert_int_equal(
		store_keep_limits(dir, &limits, &(struct store_clock){1800000000, true, 0}, &usage),
		0);
	assert_int_equal(usage.deleted, 2);
	assert_int_equal(usage.files, 2);
	assert_int_equal(usage.bytes, 2000);
	assert_true(is_there("b/20260101T000000Z.mp4"));
	assert_false(is_there("a/20260101T000100Z.mp4"));
	assert_false(is_there("a/20260101T000200Z.mp4"));
	assert_true(is_there("a/20260101T000200Z-2.mp4"));
	/* Kept: nothing happens. */
	assert_int_equal(
		store_keep_limits(dir, &limits, &(struct store_clock){1800000000, true, 0}, &usage),
		0);
	assert_int_equal(usage.deleted, 0);
}

/* One that is being written is not deleted, and the others do not pay for it. */
static void a_server_within_its_share_loses_nothing(void **state)
{
	struct store_limits limits = {.max_bytes = 2500};
	struct store_usage usage;
	int fd;

	(void)state;
	put_server("a", "1", "a");
	put_server("b", "2", "b");
	put("b/20260101T000000Z.mp4", 1000);
	put("a/20260101T000100Z.mp4", 5000);
	fd = open(path_of("a/20260101T000100Z.mp4"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(
		store_keep_limits(dir, &limits, &(struct store_clock){1800000000, true, 0}, &usage),
		0);
	assert_int_equal(usage.deleted, 0);
	close(fd);
	assert_int_equal(
		store_keep_limits(dir, &limits, &(struct store_clock){1800000000, true, 0}, &usage),
		0);
	assert_int_equal(usage.deleted, 1);
	assert_true(is_there("b/20260101T000000Z.mp4"));
}

static void what_is_too_old_goes_however_small(void **state)
{
	struct store_limits limits = {.max_age_s = 3600};
	struct store_usage usage;

	(void)state;
	put_server("a", "1", "a");
	put("a/20261122T082259Z.mp4", 1);
	put("a/20261122T082300Z.mp4", 1);
	assert_int_equal(
		store_keep_limits(dir, &limits, &(struct store_clock){1795339380, true, 0}, &usage),
		0);
	assert_int_equal(usage.deleted, 1);
	assert_false(is_there("a/20261122T082259Z.mp4"));
	assert_true(is_there("a/20261122T082300Z.mp4"));
}

static void others_files_are_never_touched(void **state)
{
	struct store_limits limits = {.max_bytes = 1, .max_age_s = 1};
	struct store_usage usage;

	(void)state;
	put_server("a", "1", "a");
	put("a/20260101T000000Z.mp4", 10);
	put("a/holiday.mp4", 1000);
	put("a/20260101T000000Z.mp4.bak", 1000);
	put("20260101T000000Z.mp4", 1000);
	assert_int_equal(mkdir(path_of("theirs"), 0755), 0); /* without our mark */
	put("theirs/20260101T000000Z.mp4", 1000);
	assert_int_equal(mkdir(path_of("a/20260101T000001Z.mp4"), 0755), 0);
	/* Links: to a file of theirs, and to a folder that has our mark. */
	assert_int_equal(
		symlink("../theirs/20260101T000000Z.mp4", path_of("a/20260101T000002Z.mp4")), 0);
	assert_int_equal(symlink("a", path_of("b")), 0);
	assert_int_equal(
		store_keep_limits(dir, &limits, &(struct store_clock){1800000000, true, 0}, &usage),
		0);
	assert_int_equal(usage.deleted, 1);
	assert_int_equal(usage.files, 0);
	assert_false(is_there("a/20260101T000000Z.mp4"));
	assert_true(is_there("a/holiday.mp4"));
	assert_true(is_there("a/20260101T000000Z.mp4.bak"));
	assert_true(is_there("20260101T000000Z.mp4"));
	assert_true(is_there("theirs/20260101T000000Z.mp4"));
	assert_true(is_there("a/20260101T000001Z.mp4"));
	assert_true(is_there("a/20260101T000002Z.mp4"));
}

static void a_file_being_written_stays(void **state)
{
	struct store_limits limits = {.max_bytes = 500};
	struct store_usage usage;
	int fd;

	(void)state;
	put_server("a", "1", "a");
	put("a/20260101T000000Z.mp4", 1000); /* the clock was set back since */
	put("a/20260101T000001Z.mp4", 1000);
	fd = open(path_of("a/20260101T000000Z.mp4"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(
		store_keep_limits(dir, &limits, &(struct store_clock){1800000000, true, 0}, &usage),
		0);
	assert_int_equal(usage.deleted, 1);
	assert_true(is_there("a/20260101T000000Z.mp4"));
	assert_false(is_there("a/20260101T000001Z.mp4"));
	close(fd);
	assert_int_equal(
		store_keep_limits(dir, &limits, &(struct store_clock){1800000000, true, 0}, &usage),
		0);
	assert_false(is_there("a/20260101T000000Z.mp4"));
}

static void no_store_is_an_error(void **state)
{
	struct store_limits limits = {.max_bytes = 500};
	struct store_usage usage;

	(void)state;
	assert_int_equal(store_keep_limits("/nonexistent", &limits,
					   &(struct store_clock){0, true, 0}, &usage),
			 -ENOENT);
}

int main(void)
{
#define with_dir(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_on_time_get_their_times),
		cmocka_unit_test(jitter_is_smoothed),
		cmocka_unit_test(times_do_not_drift_from_the_clock),
		cmocka_unit_test(times_grow_whatever_comes),
		cmocka_unit_test(a_slower_camera_is_followed),
		cmocka_unit_test(a_rate_that_changes_at_once_is_followed_at_once),
		cmocka_unit_test(a_stall_is_no_new_rate),
		cmocka_unit_test(a_flood_does_not_lead_into_the_future),
		cmocka_unit_test(a_gap_is_a_gap),
		cmocka_unit_test(segments_begin_at_multiples_of_utc),
		cmocka_unit_test(names_tell_the_utc_second_and_sort_by_it),
		cmocka_unit_test(others_names_are_not_ours),
		cmocka_unit_test(a_servers_name_becomes_a_folders),
		with_dir(a_server_keeps_its_folder_and_shares_it_with_nobody),
		with_dir(a_squatter_does_not_keep_a_server_out),
		with_dir(owners_of_folders_are_known),
		with_dir(the_oldest_of_the_server_that_has_most_goes_first),
		with_dir(a_server_within_its_share_loses_nothing),
		with_dir(what_is_too_old_goes_however_small),
		with_dir(others_files_are_never_touched),
		with_dir(a_file_being_written_stays),
		with_dir(no_store_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
