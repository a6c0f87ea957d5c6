/* SPDX-License-Identifier: BSD-2-Clause */
/* Watching a folder that stands for /dev. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/devices.h"

struct fixture {
	struct loop *loop;
	struct devices *devices;
	char folder[32];
	unsigned times;
};

static void handle_came(void *user)
{
	((struct fixture *)user)->times++;
}

static void open_folder(struct fixture *f)
{
	const struct loop_options options = {.backend = CONFIG_BACKEND_EPOLL, .max_conns = 1};

	*f = (struct fixture){.folder = "/tmp/camcast-dev-XXXXXX"};
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(loop_create(&f->loop, &options), 0);
	assert_int_equal(devices_watch(&f->devices, f->loop, f->folder, handle_came, f), 0);
}

static void make_node(const struct fixture *f, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void remove_node(const struct fixture *f, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	assert_int_equal(unlink(path), 0);
}

static void close_folder(struct fixture *f)
{
	devices_unwatch(f->devices);
	loop_destroy(f->loop);
	assert_int_equal(rmdir(f->folder), 0);
}

/* Long enough for what came to settle, twice. */
static void let_settle(struct fixture *f)
{
	const int64_t until_us = clock_now_us() + 500000;

	while (clock_now_us() < until_us)
		assert_int_equal(loop_turn(f->loop, 20000), 0);
}

static void a_camera_s_nodes_are_one_camera(void **state)
{
	struct fixture f;

	(void)state;
	open_folder(&f);
	make_node(&f, "video0");
	make_node(&f, "video1");
	make_node(&f, "media0");
	assert_int_equal(loop_turn(f.loop, 0), 0);
	assert_int_equal(f.times, 0);
	let_settle(&f);
	assert_int_equal(f.times, 1);
	remove_node(&f, "video0");
	remove_node(&f, "video1");
	let_settle(&f);
	assert_int_equal(f.times, 1);
	remove_node(&f, "media0");
	close_folder(&f);
}

static void permission_given_later_is_told_of_too(void **state)
{
	struct fixture f;
	char path[64];

	(void)state;
	open_folder(&f);
	make_node(&f, "media7");
	let_settle(&f);
	assert_int_equal(f.times, 1);
	snprintf(path, sizeof(path), "%s/media7", f.folder);
	assert_int_equal(chmod(path, 0660), 0);
	let_settle(&f);
	assert_int_equal(f.times, 2);
	remove_node(&f, "media7");
	close_folder(&f);
}

static void other_devices_are_nobody_s_concern(void **state)
{
	struct fixture f;

	(void)state;
	open_folder(&f);
	make_node(&f, "sda");
	make_node(&f, "medi");
	let_settle(&f);
	assert_int_equal(f.times, 0);
	remove_node(&f, "sda");
	remove_node(&f, "medi");
	close_folder(&f);
}

static void what_has_not_settled_at_the_end_is_not_told(void **state)
{
	struct fixture f;

	(void)state;
	open_folder(&f);
	make_node(&f, "video0");
	assert_int_equal(loop_turn(f.loop, 0), 0);
	remove_node(&f, "video0");
	close_folder(&f);
	assert_int_equal(f.times, 0);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
	const struct loop_options options = {.backend = CONFIG_BACKEND_EPOLL, .max_conns = 1};
	struct devices *devices = NULL;
	struct loop *loop;

	(void)state;
	assert_int_equal(loop_create(&loop, &options), 0);
	assert_int_equal(devices_watch(&devices, loop, "/nonexistent", handle_came, NULL), -ENOENT);
	assert_null(devices);
	devices_unwatch(NULL);
	loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_camera_s_nodes_are_one_camera),
		cmocka_unit_test(permission_given_later_is_told_of_too),
		cmocka_unit_test(other_devices_are_nobody_s_concern),
		cmocka_unit_test(what_has_not_settled_at_the_end_is_not_told),
		cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
