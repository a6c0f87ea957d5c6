/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of trusted servers: who is entered, who is refused, and what becomes of the file. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/find/trust.h"

#define LINE(id, digit, number)                                                                    \
	id " ed25519 " digit digit digit digit digit digit digit digit " " number

#define A8 "aaaaaaaa"
#define B8 "bbbbbbbb"

static char dir[64], path[96];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_trust.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/trusted", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir); /* nothing else was left behind */
}

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static const char *read_file(void)
{
	static char text[4096];
	FILE *file = fopen(path, "r");
	size_t n;

	assert_non_null(file);
	n = fread(text, 1, sizeof text - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static struct trust *open_trust(bool no_new)
{
	char why[TRUST_WHY_MAX];
	struct trust *trust;

	assert_int_equal(trust_open(&trust, path, no_new, why), 0);
	return trust;
}

static struct server make(const char *id, uint8_t key, uint64_t start, uint64_t count)
{
	struct server server = {.by = {.state = SIGNED_RIGHT, .number = {start, count}}};

	strcpy(server.id, id);
	strcpy(server.name, "Front door");
	memset(server.by.key, key, sizeof server.by.key);
	return server;
}

static enum trust_verdict check(struct trust *trust, const char *id, uint8_t key, uint64_t start,
				uint64_t count)
{
	const struct server server = make(id, key, start, count);

	return trust_check(trust, &server);
}

static void who_is_seen_first_keeps_the_id(void **state)
{
	struct trust *trust = open_trust(false);

	(void)state;
	assert_int_equal(check(trust, "porch", 0xaa, 5, 1), TRUST_NEW);
	assert_int_equal(check(trust, "porch", 0xaa, 5, 1), TRUST_KNOWN);
	assert_int_equal(check(trust, "porch", 0xbb, 9, 1), TRUST_CHANGED);
	assert_int_equal(check(trust, "yard", 0xbb, 9, 1), TRUST_NEW);
	assert_int_equal(trust_key(trust, "porch")[0], 0xaa);
	assert_null(trust_key(trust, "attic"));
	trust_close(trust);
	assert_non_null(strstr(read_file(), "\n" LINE("porch", A8, "5.1") " Front door\n"));
	assert_non_null(strstr(read_file(), "\n" LINE("yard", B8, "9.1") " Front door\n"));
	trust = open_trust(false);
	assert_int_equal(check(trust, "porch", 0xbb, 9, 1), TRUST_CHANGED);
	assert_int_equal(check(trust, "porch", 0xaa, 5, 1), TRUST_KNOWN);
	trust_close(trust);
}

static void what_is_not_signed_is_refused(void **state)
{
	struct trust *trust = open_trust(false);
	struct server server = make("porch", 0xaa, 5, 1);

	(void)state;
	server.by.state = SIGNED_NOT;
	assert_int_equal(trust_check(trust, &server), TRUST_UNSIGNED);
	server.by.state = SIGNED_WRONG;
	assert_int_equal(trust_check(trust, &server), TRUST_WRONG);
	assert_null(trust_key(trust, "porch"));
	trust_close(trust);
}

static void an_earlier_announcement_is_refused_also_by_the_next_process(void **state)
{
	struct trust *trust = open_trust(false);

	(void)state;
	assert_int_equal(check(trust, "porch", 0xaa, 5, 2), TRUST_NEW);
	assert_int_equal(check(trust, "porch", 0xaa, 5, 1), TRUST_REPLAYED);
	assert_int_equal(check(trust, "porch", 0xaa, 6, 1), TRUST_KNOWN);
	assert_int_equal(check(trust, "porch", 0xaa, 5, 9), TRUST_REPLAYED);
	trust_close(trust);
	trust = open_trust(false);
	assert_int_equal(check(trust, "porch", 0xaa, 5, 9), TRUST_REPLAYED);
	assert_int_equal(check(trust, "porch", 0xaa, 6, 1), TRUST_KNOWN);
	trust_close(trust);
}

static void a_closed_file_takes_nobody(void **state)
{
	char why[TRUST_WHY_MAX];
	struct trust *trust;

	(void)state;
	assert_int_equal(trust_open(&trust, path, true, why), -ENOENT);
	assert_non_null(strstr(why, path));
	write_file(LINE("porch", A8, "5.1") "\n");
	trust = open_trust(true);
	assert_int_equal(check(trust, "yard", 0xbb, 9, 1), TRUST_UNKNOWN);
	assert_int_equal(check(trust, "porch", 0xaa, 5, 2), TRUST_KNOWN);
	trust_close(trust);
	assert_non_null(strstr(read_file(), LINE("porch", A8, "5.2") " Front door\n"));
}

static void a_deleted_line_is_forgotten_while_it_is_used(void **state)
{
	struct trust *trust = open_trust(false);

	(void)state;
	assert_int_equal(check(trust, "porch", 0xaa, 5, 1), TRUST_NEW);
	trust_turn(trust, 1);
	assert_int_equal(check(trust, "yard", 0xaa, 5, 1), TRUST_NEW);
	write_file("# nobody\n");
	/* Entered since: it stays. */
	trust_turn(trust, 2000000);
	assert_int_equal(check(trust, "porch", 0xbb, 9, 1), TRUST_NEW);
	assert_int_equal(check(trust, "yard", 0xbb, 9, 1), TRUST_CHANGED);
	trust_close(trust);
	assert_non_null(strstr(read_file(), LINE("yard", A8, "5.1")));
	assert_non_null(strstr(read_file(), LINE("porch", B8, "9.1")));
}

static void two_processes_keep_what_each_has_seen(void **state)
{
	struct trust *one = open_trust(false), *two = open_trust(false);

	(void)state;
	assert_int_equal(check(one, "porch", 0xaa, 5, 1), TRUST_NEW);
	assert_int_equal(check(two, "yard", 0xbb, 5, 1), TRUST_NEW);
	trust_turn(one, 1);
	trust_turn(two, 1);
	trust_turn(one, 2000000);
	assert_int_equal(check(one, "yard", 0xaa, 9, 1), TRUST_CHANGED);
	assert_int_equal(check(two, "porch", 0xbb, 9, 1), TRUST_CHANGED);
	assert_int_equal(check(two, "porch", 0xaa, 7, 1), TRUST_KNOWN);
	assert_int_equal(check(one, "porch", 0xaa, 6, 1), TRUST_KNOWN);
	trust_close(two);
	trust_close(one);
	assert_non_null(strstr(read_file(), LINE("porch", A8, "7.1")));
}

static void a_lock_is_not_waited_for(void **state)
{
	struct trust *trust = open_trust(false);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(check(trust, "porch", 0xaa, 5, 1), TRUST_NEW);
	trust_turn(trust, 1);
	assert_string_equal(read_file(), "");
	close(fd);
	trust_turn(trust, 2000000);
	assert_non_null(strstr(read_file(), LINE("porch", A8, "5.1")));
	trust_close(trust);
}

static void a_damaged_file_is_refused_and_kept(void **state)
{
	static const char *const texts[] = {
		"porch\n",
		"porch ed25519 aaaa 5.1 x\n",
		LINE("porch", A8, "5") " x\n",
		LINE("porch", A8, "5.") " x\n",
		LINE("porch", A8, ".1") " x\n",
		LINE("porch", A8, "-5.1") " x\n",
		LINE("porch", A8, "5.9007199254740992") " x\n",
		LINE("po/rch", A8, "5.1") " x\n",
		LINE("porch", A8, "5.1") " x\n" LINE("porch", A8, "5.1") " x\n",
		"porch rsa " A8 " 5.1 x\n",
	};
	char why[TRUST_WHY_MAX], where[128];
	struct trust *trust;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		write_file(texts[i]);
		assert_int_equal(trust_open(&trust, path, false, why), -EINVAL);
		snprintf(where, sizeof where, "%s:%d: ", path, strchr(texts[i], '\n')[1] ? 2 : 1);
		assert_ptr_equal(strstr(why, where), why);
		assert_string_equal(read_file(), texts[i]);
	}
	/* While it is used. */
	write_file("# empty\n\n" LINE("porch", A8, "5.1") "\r\n");
	trust = open_trust(false);
	write_file("?\n");
	assert_int_equal(check(trust, "porch", 0xaa, 6, 1), TRUST_KNOWN);
	trust_turn(trust, 1);
	assert_string_equal(read_file(), "?\n");
	assert_int_equal(check(trust, "porch", 0xbb, 9, 1), TRUST_CHANGED);
	trust_close(trust);
	assert_string_equal(read_file(), "?\n");
}

static void a_file_that_others_may_write_is_refused(void **state)
{
	char why[TRUST_WHY_MAX];
	struct trust *trust;

	(void)state;
	write_file("");
	assert_int_equal(chmod(path, 0620), 0);
	assert_int_equal(trust_open(&trust, path, false, why), -EPERM);
	assert_non_null(strstr(why, "chmod go-w"));
	assert_int_equal(chmod(path, 0644), 0);
	trust = open_trust(false);
	trust_close(trust);
}

static void a_full_file_takes_nobody_more(void **state)
{
	struct trust *trust = open_trust(false);
	char id[16];

	(void)state;
	for (unsigned i = 0; i < TRUST_MAX; i++) {
		snprintf(id, sizeof id, "s%u", i);
		assert_int_equal(check(trust, id, 0xaa, 1, 1), TRUST_NEW);
	}
	assert_int_equal(check(trust, "one-more", 0xaa, 1, 1), TRUST_FULL);
	assert_int_equal(check(trust, "s7", 0xaa, 1, 2), TRUST_KNOWN);
	trust_close(trust);
	trust = open_trust(false);
	assert_int_equal(check(trust, "one-more", 0xaa, 1, 1), TRUST_FULL);
	trust_close(trust);
}

static void a_link_stays_one(void **state)
{
	char link[128], why[TRUST_WHY_MAX];
	struct stat st;
	struct trust *trust;

	(void)state;
	snprintf(link, sizeof link, "%s/link", dir);
	write_file("");
	assert_int_equal(symlink("trusted", link), 0);
	assert_int_equal(trust_open(&trust, link, false, why), 0);
	assert_int_equal(check(trust, "porch", 0xaa, 5, 1), TRUST_NEW);
	trust_close(trust);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_non_null(strstr(read_file(), LINE("porch", A8, "5.1")));
	unlink(link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(who_is_seen_first_keeps_the_id),
		TEST(what_is_not_signed_is_refused),
		TEST(an_earlier_announcement_is_refused_also_by_the_next_process),
		TEST(a_closed_file_takes_nobody),
		TEST(a_deleted_line_is_forgotten_while_it_is_used),
		TEST(two_processes_keep_what_each_has_seen),
		TEST(a_lock_is_not_waited_for),
		TEST(a_damaged_file_is_refused_and_kept),
		TEST(a_file_that_others_may_write_is_refused),
		TEST(a_full_file_takes_nobody_more),
		TEST(a_link_stays_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
