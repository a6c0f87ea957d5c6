/* SPDX-License-Identifier: BSD-2-Clause */
/* The libcamera source over a camera that the rig plays: what completes, when, and what goes
 * wrong. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "libcamera_rig.h"

static void a_slot_goes_back_when_the_last_encoder_lets_go(void **state)
{
	(void)state;
	seen.keep = 1;
	start("memfd");
	assert_string_equal(source_info(source)->name, "libcamera:fake");
	assert_string_equal(source_info(source)->allocator, "memfd");
	complete(CAMERA_FRAME_OK, 0);
	wait_for(seen, seen.n_kept == 1);
	assert_int_equal(fake.requeues, 0);
	assert_int_equal(seen.kept[0]->capture_us, 1020000);
	frame_ref(seen.kept[0]);
	frame_unref(seen.kept[0]);
	assert_int_equal(fake.requeues, 0);
	frame_unref(seen.kept[0]);
	assert_int_equal(fake.requeues, 1);
	finish();
}

static void a_slot_let_go_after_the_stop_goes_nowhere(void **state)
{
	(void)state;
	seen.keep = 1;
	start("memfd");
	complete(CAMERA_FRAME_OK, 0);
	wait_for(seen, seen.n_kept == 1);
	source_stop(source);
	frame_unref(seen.kept[0]);
	assert_int_equal(fake.requeues, 0);
	source_close(source);
}

static void pictures_with_errors_are_left_out_and_their_slots_go_back(void **state)
{
	(void)state;
	start("memfd");
	complete(CAMERA_FRAME_ERROR, 0);
	complete(CAMERA_FRAME_CANCELLED, 0);
	complete(CAMERA_FRAME_OK, 0);
	wait_for(seen, seen.frames == 1);
	wait_for(fake, fake.requeues == 3);
	finish();
	assert_int_equal(seen.frames, 1);
}

static void early_pictures_go_straight_back(void **state)
{
	(void)state;
	fake.step_us = 10000; /* 100 a second, 50 are wanted */
	start("memfd");
	for (int i = 0; i < 41; i++)
		assert_true(complete(CAMERA_FRAME_OK, 0));
	wait_for(fake, fake.requeues == 41);
	finish();
	assert_in_range(seen.frames, 20, 22);
}

static void a_time_ahead_of_the_clock_stops_no_pictures(void **state)
{
	(void)state;
	start("memfd");
	fake.clock_us = clock_now_us() + 3600000000;
	complete(CAMERA_FRAME_OK, 0);
	poll(NULL, 0, 100);
	fake.clock_us = clock_now_us() - 2 * fake.step_us;
	complete(CAMERA_FRAME_OK, 0);
	wait_for(seen, seen.frames == 2);
	finish();
}

static void a_camera_without_pace_gets_one_buffer_a_picture(void **state)
{
	unsigned before, after, frames;
	int64_t begin_us, us;

	(void)state;
	fake.plays_by_itself = true;
	start("memfd");
	wait_for(seen, seen.frames >= 60); /* it is found out within a second */
	pthread_mutex_lock(&fake.lock);
	before = fake.sequence;
	pthread_mutex_unlock(&fake.lock);
	pthread_mutex_lock(&seen.lock);
	frames = seen.frames + 25;
	pthread_mutex_unlock(&seen.lock);
	begin_us = clock_now_us();
	wait_for(seen, seen.frames >= frames);
	us = clock_now_us() - begin_us;
	pthread_mutex_lock(&fake.lock);
	after = fake.sequence;
	pthread_mutex_unlock(&fake.lock);
	finish();
	/* 50 a second, and no more than that were made */
	assert_in_range(us, 450000, 5000000);
	assert_in_range(after - before, 20, 35);
}

static void an_unplugged_camera_is_gone(void **state)
{
	(void)state;
	start("memfd");
	complete(CAMERA_FRAME_OK, 0);
	wait_for(seen, seen.frames == 1);
	fake.events.gone(fake.events.user);
	wait_for(seen, seen.gone);
	assert_int_equal(seen.error, -ENODEV);
	finish();
}

static void imports_that_bring_no_pictures_give_way_to_libcameras_buffers(void **state)
{
	(void)state;
	fake.plays_by_itself = true;
	fake.ignores_imports = true;
	assert_int_equal(open_source("auto", false, NULL, 0), 0);
	assert_string_equal(source_info(source)->allocator, "libcamera");
	/* and its planes are where libcamera says, not where they would be in a slot of ours */
	assert_int_equal(source_info(source)->format.planes[1].offset, 8192);
	assert_int_equal(source_start(source), 0);
	wait_for(seen, seen.frames >= 3);
	finish();
}

static void plain_memory_is_the_last_resort(void **state)
{
	(void)state;
	if (access("/dev/udmabuf", F_OK) == 0 || access("/dev/dma_heap", F_OK) == 0)
		skip(); /* the first resort works here */
	fake.plays_by_itself = true;
	fake.allocate_error = -ENOBUFS;
	assert_int_equal(open_source("auto", false, NULL, 0), 0);
	assert_string_equal(source_info(source)->allocator, "memfd");
	assert_int_equal(source_info(source)->format.planes[1].offset, WIDTH * HEIGHT);
	source_close(source);
}

static void a_camera_unplugged_while_buffers_are_tried_is_gone(void **state)
{
	(void)state;
	fake.plays_by_itself = true;
	fake.ignores_imports = true;
	fake.allocate_error = -ENODEV;
	assert_int_equal(open_source("auto", false, NULL, 0), -ENODEV);
	assert_in_range(fake.starts, 0, 1);
}

static void an_import_that_is_asked_for_and_refused_is_an_error(void **state)
{
	(void)state;
	fake.import_error = -EINVAL;
	assert_int_equal(open_source("memfd", false, NULL, 0), -EINVAL);
	assert_true(strlen(why) > 0);
}

static void a_camera_that_does_not_open_is_told(void **state)
{
	(void)state;
	fake.open_error = -EBUSY;
	assert_int_equal(open_source("auto", false, NULL, 0), -EBUSY);
	assert_true(strlen(why) > 0);
}

static void the_rate_and_the_controls_are_set(void **state)
{
	struct config_control controls[] = {
		{.name = (char *)(uintptr_t) "brightness", .value = (char *)(uintptr_t) "0.5"},
		{.name = (char *)(uintptr_t) "saturation", .value = (char *)(uintptr_t) "2"},
		{.name = (char *)(uintptr_t) "Brightness",
		 .value = (char *)(uintptr_t) "0.1",
		 .raw = true},
	};

	(void)state;
	assert_int_equal(open_source("memfd", false, controls, 3), 0);
	assert_string_equal(fake.controls,
			    "FrameDurationLimits=20000,20000 Brightness=0.5 Brightness=0.1 ");
	assert_int_equal(source_set_control(source, "brightness", "-1"), 0);
	assert_int_equal(source_set_control(source, "saturation", "1"), -ENOENT);
	assert_int_equal(source_set_control(source, "awb", "moonlight"), -EINVAL);
	assert_non_null(strstr(fake.controls, "Brightness=-1"));
	source_close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_slot_goes_back_when_the_last_encoder_lets_go, reset),
		cmocka_unit_test_setup(a_slot_let_go_after_the_stop_goes_nowhere, reset),
		cmocka_unit_test_setup(pictures_with_errors_are_left_out_and_their_slots_go_back,
				       reset),
		cmocka_unit_test_setup(early_pictures_go_straight_back, reset),
		cmocka_unit_test_setup(a_time_ahead_of_the_clock_stops_no_pictures, reset),
		cmocka_unit_test_setup(a_camera_without_pace_gets_one_buffer_a_picture, reset),
		cmocka_unit_test_setup(an_unplugged_camera_is_gone, reset),
		cmocka_unit_test_setup(
			imports_that_bring_no_pictures_give_way_to_libcameras_buffers, reset),
		cmocka_unit_test_setup(plain_memory_is_the_last_resort, reset),
		cmocka_unit_test_setup(a_camera_unplugged_while_buffers_are_tried_is_gone, reset),
		cmocka_unit_test_setup(an_import_that_is_asked_for_and_refused_is_an_error, reset),
		cmocka_unit_test_setup(a_camera_that_does_not_open_is_told, reset),
		cmocka_unit_test_setup(the_rate_and_the_controls_are_set, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
