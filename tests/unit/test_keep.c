/* SPDX-License-Identifier: BSD-2-Clause */
/* What is deleted by its age, and renamed, by a clock that may be wrong. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/diag.h"
#include "client/record/folder.h"
#include "client/record/keep.h"
#include "client/record/time.h"

#define SECOND 1000000LL
#define DAY 86400
#define NOON 1795867200LL /* 2026-11-28 12:00:00 UTC */

/* The clocks of the machine: since its start, and what it takes for UTC. */
static int64_t boot_us, utc_us;
static bool synchronised;
static char dir[64];

int __wrap_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
	int64_t us = id == CLOCK_REALTIME ? utc_us : boot_us;

	out->tv_sec = us / SECOND;
	out->tv_nsec = us % SECOND * 1000;
	return 0;
}

int __wrap_adjtimex(struct timex *timex);
int __wrap_adjtimex(struct timex *timex)
{
	timex->status = synchronised ? 0 : STA_UNSYNC;
	return synchronised ? TIME_OK : TIME_ERROR;
}

static int begin(void **state)
{
	char folder[FOLDER_NAME_MAX];
	int dir_fd, fd;

	(void)state;
	strcpy(dir, "/tmp/test_keep.XXXXXX");
	boot_us = 20 * SECOND;
	utc_us = NOON * SECOND;
	synchronised = true;
	diag_init("test", DIAG_ERROR);
	if (!mkdtemp(dir))
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = folder_open(dir_fd, "door", "id", folder);
	close(fd);
	return close(dir_fd);
}

static int end(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command); /* NOLINT(cert-env33-c): a folder of our own */
}

static const char *path_of(int64_t utc_s, unsigned number)
{
	static char path[256];
	char name[RECORD_NAME_MAX];

	record_name_write(name, utc_s, number);
	snprintf(path, sizeof path, "%s/door/%s", dir, name);
	return path;
}

/* A recording that ended just now, as the machine sees it. */
static void put(int64_t utc_s)
{
	const struct timespec now[2] = {{.tv_sec = utc_us / SECOND}, {.tv_sec = utc_us / SECOND}};
	int fd = open(path_of(utc_s, 1), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1000), 0);
	assert_int_equal(futimens(fd, now), 0);
	close(fd);
}

static bool is_there(int64_t utc_s)
{
	return access(path_of(utc_s, 1), F_OK) == 0;
}

static void set_clock(int64_t utc_s)
{
	utc_us = utc_s * SECOND;
}

static void pass(struct keep *keep, int64_t seconds)
{
	for (int64_t i = 0; i < seconds; i++) {
		boot_us += SECOND;
		utc_us += SECOND;
		keep_turn(keep, boot_us);
	}
}

static struct keep *create(int64_t max_age_s, int64_t max_bytes)
{
	struct store_limits limits = {.max_age_s = max_age_s, .max_bytes = max_bytes};
	struct keep *keep;

	assert_int_equal(keep_create(&keep, dir, &limits), 0);
	keep_turn(keep, boot_us);
	return keep;
}

static void a_steady_clock_deletes_what_is_old(void **state)
{
	struct keep *keep;

	(void)state;
	put(NOON - 8 * DAY);
	put(NOON - 6 * DAY);
	keep = create(7 * DAY, 0);
	pass(keep, 29);
	assert_true(is_there(NOON - 8 * DAY)); /* not yet */
	pass(keep, 10);
	assert_false(is_there(NOON - 8 * DAY));
	assert_true(is_there(NOON - 6 * DAY));
	keep_destroy(keep);
}

static void a_clock_that_nobody_sets_is_trusted_after_ten_minutes(void **state)
{
	struct keep *keep;

	(void)state;
	synchronised = false;
	put(NOON - 8 * DAY);
	keep = create(7 * DAY, 0);
	pass(keep, 595);
	assert_true(is_there(NOON - 8 * DAY));
	pass(keep, 10);
	assert_false(is_there(NOON - 8 * DAY));
	keep_destroy(keep);
}

static void a_clock_that_is_wrong_for_a_while_deletes_nothing(void **state)
{
	struct keep *keep;

	(void)state;
	put(NOON - 6 * DAY);
	keep = create(7 * DAY, 0);
	pass(keep, 60);
	set_clock(NOON + 20 * 365 * DAY);
	pass(keep, 20);
	assert_true(is_there(NOON - 6 * DAY));
	set_clock(NOON + 80);
	pass(keep, 600);
	assert_true(is_there(NOON - 6 * DAY));
	keep_destroy(keep);
}

/* A Raspberry Pi without a clock. */
static void recordings_get_new_names_when_the_clock_is_set(void **state)
{
	const int64_t shift_s = NOON - 20 - 46;
	struct keep *keep;
	int fd;

	(void)state;
	set_clock(20);
	put(500);	/* of an earlier start: nobody knows when it was made */
	put(NOON - 60); /* of a time with a clock */
	synchronised = false;
	keep = create(7 * DAY, 0);
	put(25);
	put(45);
	fd = open(path_of(45, 1), O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0); /* it is still being written */
	pass(keep, 26);
	put(500 + shift_s); /* whatever is there stays */
	pass(keep, 20);
	set_clock(NOON);
	pass(keep, 6);
	assert_false(is_there(25));
	assert_true(is_there(25 + shift_s));
	assert_true(is_there(45));
	close(fd);
	pass(keep, 6);
	assert_false(is_there(45));
	assert_true(is_there(45 + shift_s));
	assert_true(is_there(500));
	assert_true(is_there(NOON - 60));
	/* Long afterwards, only what is old has gone. */
	synchronised = true;
	pass(keep, 60);
	assert_true(is_there(25 + shift_s));
	assert_true(is_there(NOON - 60));
	assert_true(is_there(500)); /* it ages from when it was seen */
	keep_destroy(keep);
}

/* The same clock, with a recording that stays open for long, and a shift shorter than the run. */
static void recordings_are_renamed_once(void **state)
{
	struct keep *keep;
	int fd;

	(void)state;
	synchronised = false;
	keep = create(0, 0);
	for (int i = 0; i < 6; i++) {
		put(NOON + 60LL * i + 1);
		pass(keep, 60);
	}
	fd = open(path_of(NOON + 301, 1), O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	set_clock(NOON + 360 + 90);
	pass(keep, 60);
	close(fd);
	pass(keep, 6);
	for (int i = 0; i < 6; i++) {
		assert_false(is_there(NOON + 60LL * i + 1));
		assert_true(is_there(NOON + 60LL * i + 91));
	}
	keep_destroy(keep);
}

static void a_right_clock_that_is_set_wrong_for_a_while_renames_nothing(void **state)
{
	struct keep *keep;

	(void)state;
	keep = create(30 * DAY, 0);
	put(NOON + 1);
	pass(keep, 60);
	set_clock(NOON - 365 * DAY);
	pass(keep, 10);
	put(NOON - 365 * DAY + 1);
	pass(keep, 10);
	assert_true(is_there(NOON + 1));
	set_clock(NOON + 80);
	pass(keep, 120);
	assert_true(is_there(NOON + 1));
	assert_true(is_there(NOON + 61)); /* recorded meanwhile */
	keep_destroy(keep);
}

static void a_clock_that_is_set_twice_dates_everything_by_the_last_time(void **state)
{
	struct keep *keep;

	(void)state;
	synchronised = false;
	keep = create(30 * DAY, 0);
	put(NOON + 1);
	pass(keep, 60);
	set_clock(NOON - 365 * DAY + 60);
	pass(keep, 20);
	assert_true(is_there(NOON - 365 * DAY + 1));
	set_clock(NOON + 80);
	pass(keep, 1000);
	assert_true(is_there(NOON + 1));
	keep_destroy(keep);
}

static void a_year_of_1970_is_never_trusted(void **state)
{
	struct keep *keep;

	(void)state;
	set_clock(20);
	synchronised = false;
	put(25);
	keep = create(60, 0);
	pass(keep, 2000);
	assert_true(is_there(25));
	keep_destroy(keep);
}

static void names_in_the_future_age_from_when_they_were_seen(void **state)
{
	const int64_t future_s = NOON + 20 * 365 * DAY;
	struct keep *keep;

	(void)state;
	set_clock(future_s);
	put(future_s);
	set_clock(NOON);
	keep = create(3600, 0);
	pass(keep, 3600);
	keep_destroy(keep); /* a restart changes nothing */
	assert_true(is_there(future_s));
	keep = create(3600, 0);
	pass(keep, 60);
	assert_false(is_there(future_s));
	keep_destroy(keep);
}

/* With a clock of 1970, the newest recordings have the oldest names. */
static void room_is_not_made_of_the_newest_recordings(void **state)
{
	struct keep *keep;

	(void)state;
	put(NOON - 2 * DAY);
	put(NOON - DAY);
	synchronised = false;
	set_clock(20);
	keep = create(0, 2500);
	put(25);
	pass(keep, 10);
	assert_true(is_there(25));
	assert_false(is_there(NOON - 2 * DAY));
	assert_true(is_there(NOON - DAY));
	keep_destroy(keep);
}

int main(void)
{
#define with_dir(test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
		with_dir(a_steady_clock_deletes_what_is_old),
		with_dir(a_clock_that_nobody_sets_is_trusted_after_ten_minutes),
		with_dir(a_clock_that_is_wrong_for_a_while_deletes_nothing),
		with_dir(recordings_get_new_names_when_the_clock_is_set),
		with_dir(recordings_are_renamed_once),
		with_dir(a_right_clock_that_is_set_wrong_for_a_while_renames_nothing),
		with_dir(a_clock_that_is_set_twice_dates_everything_by_the_last_time),
		with_dir(a_year_of_1970_is_never_trusted),
		with_dir(names_in_the_future_age_from_when_they_were_seen),
		with_dir(room_is_not_made_of_the_newest_recordings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
