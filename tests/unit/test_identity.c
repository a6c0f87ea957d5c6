/* SPDX-License-Identifier: BSD-2-Clause */
/* The key of the announcements, and the number of a start. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/discovery/identity.h"

/* Waiting takes no time here; and whoever holds the lock closes it when this long was waited. */
static int waited_ms, closes_at_ms, held = -1;

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	(void)fds;
	assert_int_equal(n, 0);
	waited_ms += timeout_ms;
	if (held >= 0 && waited_ms >= closes_at_ms) {
		close(held);
		held = -1;
	}
	return 0;
}

static char dir[64], folder[96], key[160], start[160];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_identity.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(folder, sizeof folder, "%s/state/camcast", dir);
	snprintf(key, sizeof key, "%s/" IDENTITY_KEY_FILE, folder);
	snprintf(start, sizeof start, "%s/" IDENTITY_START_FILE, folder);
	return 0;
}

static int tear_down(void **state)
{
	char above[96];

	(void)state;
	unlink(key);
	unlink(start);
	rmdir(folder);
	snprintf(above, sizeof above, "%s/state", dir);
	rmdir(above);
	return rmdir(dir); /* nothing else was left behind */
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static struct identity open_identity(void)
{
	char why[IDENTITY_WHY_MAX];
	struct identity identity;

	assert_int_equal(identity_open(&identity, folder, why), 0);
	return identity;
}

static void the_key_is_made_once_and_for_its_owner_alone(void **state)
{
	struct identity first = open_identity(), second = open_identity();
	struct stat st;

	(void)state;
	assert_memory_equal(signer_key(first.signer), signer_key(second.signer), SIGNED_KEY_BYTES);
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(second.start > first.start);
	identity_close(&first);
	identity_close(&second);
}

static void a_lost_key_is_another_one(void **state)
{
	struct identity first = open_identity(), second;

	(void)state;
	assert_int_equal(unlink(key), 0);
	second = open_identity();
	assert_memory_not_equal(signer_key(first.signer), signer_key(second.signer),
				SIGNED_KEY_BYTES);
	identity_close(&first);
	identity_close(&second);
}

/* A clock that is behind, and a file that is lost or damaged, are made up for by the other. */
static void a_start_is_later_than_all_before(void **state)
{
	const uint64_t now = (uint64_t)time(NULL);
	struct identity identity = open_identity();

	(void)state;
	assert_true(identity.start >= now && identity.start < now + 100);
	identity_close(&identity);
	write_file(start, "00000000005000000000\n");
	identity = open_identity();
	assert_true(identity.start == UINT64_C(5000000001));
	identity_close(&identity);
	identity = open_identity();
	assert_true(identity.start == UINT64_C(5000000002));
	identity_close(&identity);
	write_file(start, "99999999999999999999\n");
	identity = open_identity();
	assert_true(identity.start >= now && identity.start < now + 100);
	identity_close(&identity);
	write_file(start, "damaged");
	identity = open_identity();
	assert_true(identity.start >= now && identity.start < now + 100);
	identity_close(&identity);
}

static void hold_start(int until_ms)
{
	waited_ms = 0;
	closes_at_ms = until_ms;
	held = open(start, O_RDWR | O_CLOEXEC);
	assert_true(held >= 0);
	assert_int_equal(flock(held, LOCK_EX), 0);
}

static void another_process_is_waited_for_but_not_for_ever(void **state)
{
	struct identity first = open_identity(), second;
	char why[IDENTITY_WHY_MAX];

	(void)state;
	hold_start(100);
	second = open_identity();
	assert_int_equal(held, -1);
	assert_true(second.start > first.start);
	identity_close(&second);
	hold_start(INT_MAX);
	assert_int_equal(identity_open(&second, folder, why), -EWOULDBLOCK);
	assert_int_equal(waited_ms, 2000);
	assert_non_null(strstr(why, start));
	assert_null(second.signer);
	close(held);
	held = -1;
	identity_close(&first);
}

static void a_damaged_key_is_not_replaced(void **state)
{
	static const char *const texts[] = {
		"", "\n", "0123\n",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"};
	struct identity identity = open_identity();
	char why[IDENTITY_WHY_MAX];

	(void)state;
	identity_close(&identity);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		write_file(key, texts[i]);
		assert_true(identity_open(&identity, folder, why) < 0);
		assert_non_null(strstr(why, key));
		assert_null(identity.signer);
	}
}

static void a_key_that_others_may_read_is_not_used(void **state)
{
	struct identity identity = open_identity();
	char why[IDENTITY_WHY_MAX];

	(void)state;
	identity_close(&identity);
	assert_int_equal(chmod(key, 0640), 0);
	assert_int_equal(identity_open(&identity, folder, why), -EPERM);
	assert_non_null(strstr(why, "chmod 600"));
	assert_null(identity.signer);
}

static void a_folder_that_cannot_be_made_is_told(void **state)
{
	struct identity identity;
	char why[IDENTITY_WHY_MAX], file[96], below[160];

	(void)state;
	snprintf(file, sizeof file, "%s/state", dir);
	write_file(file, "");
	snprintf(below, sizeof below, "%s/camcast", file);
	assert_int_equal(identity_open(&identity, below, why), -ENOTDIR);
	assert_non_null(strstr(why, below));
	assert_int_equal(unlink(file), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(the_key_is_made_once_and_for_its_owner_alone),
		TEST(a_lost_key_is_another_one),
		TEST(a_start_is_later_than_all_before),
		TEST(another_process_is_waited_for_but_not_for_ever),
		TEST(a_damaged_key_is_not_replaced),
		TEST(a_key_that_others_may_read_is_not_used),
		TEST(a_folder_that_cannot_be_made_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
