/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that the manager of `camcast record` makes for a child, which is a thread here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/record/maker.h"

#define UTC_S 1700000000 /* 20231114T221320Z */
#define FIRST "front/20231114T221320Z.mp4"
#define PATIENCE_MS 20000

struct fixture {
	char dir[64];
	struct maker maker;
	struct maker_place place;
	int64_t now_us;
	/* The child's request. */
	struct maker_file file;
	int result;
	atomic_bool done;
};

static struct fixture *begin(void)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct stat st;

	assert_non_null(f);
	strcpy(f->dir, "/tmp/camcast-maker-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(stat(f->dir, &st), 0);
	f->place = (struct maker_place){
		.dir = f->dir, .device = st.st_dev, .inode = st.st_ino, .name = "front", .id = "1"};
	f->now_us = clock_now_us();
	assert_int_equal(maker_init(&f->maker), 0);
	return f;
}

static void end(struct fixture *f)
{
	char command[128];

	maker_finish(&f->maker);
	snprintf(command, sizeof command, "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
}

static void ignore(void *user)
{
	(void)user;
}

static void *run_child(void *user)
{
	struct fixture *f = user;

	f->result = maker_request(f->maker.childs, UTC_S, &f->file, ignore, NULL);
	atomic_store(&f->done, true);
	return NULL;
}

static int request(struct fixture *f)
{
	struct pollfd pfd = {.fd = f->maker.ours, .events = POLLIN};
	pthread_t child;

	atomic_store(&f->done, false);
	assert_int_equal(pthread_create(&child, NULL, run_child, f), 0);
	assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
	maker_serve(&f->maker, &f->place, f->now_us);
	assert_int_equal(pthread_join(child, NULL), 0);
	return f->result;
}

static void close_file(struct fixture *f)
{
	close(f->file.fd);
	close(f->file.folder);
}

static bool exists(const struct fixture *f, const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	return access(path, F_OK) == 0;
}

static void a_file_is_made_in_the_folder_of_its_server(void **state)
{
	struct fixture *f = begin();
	char path[256];
	int other;

	(void)state;
	assert_int_equal(request(f), 0);
	assert_string_equal(f->file.name, FIRST);
	assert_true(exists(f, FIRST));
	assert_int_equal(write(f->file.fd, "x", 1), 1);
	/* It is locked while the child has it. */
	snprintf(path, sizeof path, "%s/%s", f->dir, FIRST);
	other = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	close_file(f);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	close(other);
	/* Another one of the same second has another name. */
	assert_int_equal(request(f), 0);
	assert_string_not_equal(f->file.name, FIRST);
	close_file(f);
	end(f);
}

static void a_file_to_which_nothing_can_be_written_is_removed(void **state)
{
	struct fixture *f = begin();

	(void)state;
	assert_int_equal(request(f), 0);
	close_file(f);
	maker_remove(f->maker.childs);
	maker_remove(f->maker.childs); /* there is none any more */
	maker_serve(&f->maker, &f->place, f->now_us);
	assert_false(exists(f, FIRST));
	assert_true(exists(f, "front"));
	end(f);
}

static void nothing_is_made_in_another_folder(void **state)
{
	struct fixture *f = begin();

	(void)state;
	f->place.inode++;
	assert_int_equal(request(f), -ESTALE);
	f->place.inode--;
	f->place.dir = "/nonexistent";
	assert_int_equal(request(f), -ESTALE);
	f->place.dir = f->dir;
	end(f);
}

static void a_link_in_place_of_the_folder_is_passed_by(void **state)
{
	struct fixture *f = begin();
	char path[256];

	(void)state;
	snprintf(path, sizeof path, "%s/front", f->dir);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(request(f), 0);
	assert_memory_equal(f->file.name, "front-1/", 8);
	close_file(f);
	end(f);
}

static void a_child_that_asks_without_end_gets_a_file_a_second(void **state)
{
	struct fixture *f = begin();
	int made = 0;

	(void)state;
	while (request(f) == 0) {
		close_file(f);
		made++;
	}
	assert_int_equal(f->result, -EBUSY);
	assert_int_equal(made, 60);
	f->now_us += 1000000;
	assert_int_equal(request(f), 0);
	close_file(f);
	assert_int_equal(request(f), -EBUSY);
	end(f);
}

static void what_is_no_request_is_ignored(void **state)
{
	static const char bytes[200];
	struct fixture *f = begin();

	(void)state;
	for (size_t size = 1; size < sizeof bytes; size += 61)
		assert_int_equal(send(f->maker.childs, bytes, size, 0), (ssize_t)size);
	maker_serve(&f->maker, &f->place, f->now_us);
	/* A child that reads no answers costs nobody time. */
	for (int i = 0; i < 1000; i++) {
		const int64_t ask[3] = {1, UTC_S, INT64_MAX};

		f->now_us += 1000000;
		(void)send(f->maker.childs, ask, sizeof ask, MSG_DONTWAIT);
		maker_serve(&f->maker, &f->place, f->now_us);
	}
	end(f);
}

static void an_answer_that_comes_too_late_is_not_taken_for_another(void **state)
{
	const int64_t ask[3] = {1, UTC_S, INT64_MAX};
	struct fixture *f = begin();

	(void)state;
	assert_int_equal(send(f->maker.childs, ask, sizeof ask, 0), sizeof ask);
	maker_serve(&f->maker, &f->place, f->now_us);
	assert_int_equal(request(f), 0);
	assert_string_not_equal(f->file.name, FIRST);
	close_file(f);
	end(f);
}

/* The manager was held up, as by a disk. */
static void no_file_is_made_for_a_child_that_waits_no_more(void **state)
{
	struct fixture *f = begin();
	const int64_t ask[3] = {1, UTC_S, f->now_us - 1};

	(void)state;
	assert_int_equal(send(f->maker.childs, ask, sizeof ask, 0), sizeof ask);
	maker_serve(&f->maker, &f->place, f->now_us);
	assert_false(exists(f, "front"));
	assert_int_equal(request(f), 0);
	assert_string_equal(f->file.name, FIRST);
	close_file(f);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_made_in_the_folder_of_its_server),
		cmocka_unit_test(a_file_to_which_nothing_can_be_written_is_removed),
		cmocka_unit_test(nothing_is_made_in_another_folder),
		cmocka_unit_test(a_link_in_place_of_the_folder_is_passed_by),
		cmocka_unit_test(a_child_that_asks_without_end_gets_a_file_a_second),
		cmocka_unit_test(what_is_no_request_is_ignored),
		cmocka_unit_test(an_answer_that_comes_too_late_is_not_taken_for_another),
		cmocka_unit_test(no_file_is_made_for_a_child_that_waits_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
