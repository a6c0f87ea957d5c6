/* SPDX-License-Identifier: BSD-2-Clause */
/* v4l2m2m.c while it runs: pictures in, access units out, and drivers' quirks and faults. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/diag.h"

#include "v4l2_fixture.h"

static const uint8_t idr_unit[] = {0, 0,    0,	  1, 0x67, 0x64, 0, 0x28, 0,	0,   0,
				   1, 0x68, 0xee, 0, 0,	   0,	 1, 0x65, 0x88, 0x84};
static const uint8_t headers[] = {0, 0, 0, 1, 0x67, 0x64, 0, 0x28, 0, 0, 0, 1, 0x68, 0xee};
static const uint8_t p_unit[] = {0, 0, 0, 1, 0x41, 0x9a, 0x02};
static const uint8_t droppable_unit[] = {0, 0, 0, 1, 0x01, 0x9a, 0x02};

/* --- pictures in --- */

static void pictures_are_imported_at_their_own_index(void **state)
{
	(void)state;
	create_ok();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned slot = 0; slot < SLOTS; slot++) {
			assert_int_equal(encode(slot, (round * SLOTS + slot + 1) * US, false), 0);
			assert_int_equal(sim.raw_fd[slot], 500 + (int)slot);
			assert_int_equal(sim.raw_bytesused, 1280 * 720 * 3 / 2);
			assert_int_equal(sim.raw_length, fx.slots[slot].size);
			sim_finish_raw(slot);
			assert_int_equal(dispatch(POLLOUT), 0);
		}
	}
	assert_int_equal(fx.released, 3 * SLOTS);
}

static void an_encoder_holds_half_of_the_slots_at_most(void **state)
{
	(void)state;
	create_ok();
	for (unsigned slot = 0; slot < 3; slot++)
		assert_int_equal(encode(slot, (slot + 1) * US, false), 0);
	assert_int_equal(encode(3, 4 * US, false), -EAGAIN);
	assert_int_equal(fx.released, 1);
	sim_finish_raw(0);
	assert_int_equal(encode(4, 5 * US, false), 0); /* takes back what is done by itself */
	assert_int_equal(fx.released, 2);
}

static void a_forced_key_survives_a_picture_that_had_no_room(void **state)
{
	struct sim_control *force;

	(void)state;
	create_ok();
	force = sim_find_control(V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME);
	for (unsigned slot = 0; slot < 3; slot++)
		assert_int_equal(encode(slot, (slot + 1) * US, false), 0);
	assert_int_equal(force->times_set, 0);
	assert_int_equal(encode(3, 4 * US, true), -EAGAIN);
	assert_int_equal(force->times_set, 0);
	sim_finish_raw(0);
	assert_int_equal(encode(3, 5 * US, false), 0);
	assert_int_equal(force->times_set, 1);
	sim_finish_raw(1);
	assert_int_equal(encode(4, 6 * US, false), 0);
	assert_int_equal(force->times_set, 1);
}

static void capture_times_name_pictures_and_never_repeat(void **state)
{
	(void)state;
	create_ok();
	assert_int_equal(encode(0, 7 * US + 123456, false), 0);
	assert_int_equal(encode(1, 7 * US + 123456, false), 0);
	assert_int_equal(encode(2, 7 * US, false), 0);
	assert_int_equal(sim.raw_stamp_us[0], 7 * US + 123456);
	assert_int_equal(sim.raw_stamp_us[1], 7 * US + 123457);
	assert_int_equal(sim.raw_stamp_us[2], 7 * US + 123458);
}

static void bitrate_changes_while_running_in_the_drivers_steps(void **state)
{
	(void)state;
	create_ok();
	assert_int_equal(encoder_v4l2m2m.set_bitrate(fx.encoder, 1512345), 0);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_BITRATE), 1500000);
	assert_int_equal(encoder_v4l2m2m.set_bitrate(fx.encoder, 1), 0);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_BITRATE), 25000);
	assert_int_equal(encoder_v4l2m2m.set_bitrate(fx.encoder, 4000000000u), 0);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_BITRATE), 25000000);
}

static void a_picture_of_another_ring_is_a_failure(void **state)
{
	struct slot_ring other = fx.ring;
	struct frame frame = {.ring = &other, .release = on_release, .refs = 1};

	(void)state;
	create_ok();
	assert_int_equal(encoder_v4l2m2m.encode(fx.encoder, &frame, false), -EINVAL);
	assert_int_equal(fx.released, 1);
	assert_int_equal(fx.failures, 1);
}

static void destroy_gives_back_every_picture_after_streamoff(void **state)
{
	(void)state;
	create_ok();
	for (unsigned slot = 0; slot < 3; slot++)
		assert_int_equal(encode(slot, (slot + 1) * US, false), 0);
	destroy();
	assert_int_equal(fx.released, 3);
	assert_false(sim.streaming_raw || sim.streaming_coded);
}

/* --- access units out --- */

static void coded(const void *data, size_t len, uint32_t flags, int64_t stamp_us)
{
	sim_finish_coded(data, (uint32_t)len, flags, stamp_us);
	assert_int_equal(dispatch(POLLIN), 0);
}

static void units_carry_their_pictures_time_and_kind(void **state)
{
	(void)state;
	create_ok();
	coded(idr_unit, sizeof(idr_unit), 0, 5 * US + 9);
	coded(p_unit, sizeof(p_unit), 0, 6 * US);
	coded(droppable_unit, sizeof(droppable_unit), 0, 7 * US);
	assert_int_equal(fx.n_units, 3);
	assert_true(fx.units[0].key);
	assert_int_equal(fx.units[0].capture_us, 5 * US + 9);
	assert_memory_equal(fx.units[0].bytes, idr_unit, sizeof(idr_unit));
	assert_false(fx.units[0].as_is);
	assert_false(fx.units[1].key || fx.units[1].droppable);
	assert_true(fx.units[2].droppable);
}

static void an_h264_key_is_an_idr_whatever_the_flag_says(void **state)
{
	(void)state;
	create_ok();
	coded(p_unit, sizeof(p_unit), V4L2_BUF_FLAG_KEYFRAME, US);
	coded(idr_unit, sizeof(idr_unit), V4L2_BUF_FLAG_PFRAME, 2 * US);
	assert_false(fx.units[0].key);
	assert_true(fx.units[1].key);
}

static void other_codecs_keys_come_from_the_flag(void **state)
{
	(void)state;
	sim.coded_fourcc = V4L2_PIX_FMT_FWHT;
	fx.stream.v4l2_format = (char *)(uintptr_t) "FWHT";
	create_ok();
	coded("key", 3, V4L2_BUF_FLAG_KEYFRAME, US);
	coded("not", 3, V4L2_BUF_FLAG_PFRAME, 2 * US);
	assert_true(fx.units[0].key && fx.units[0].as_is);
	assert_true(!fx.units[1].key && fx.units[1].as_is);
}

static void coded_buffers_are_queued_again_at_once(void **state)
{
	(void)state;
	create_ok();
	for (unsigned i = 0; i < 10; i++)
		coded(p_unit, sizeof(p_unit), 0, (i + 1) * US);
	for (unsigned i = 0; i < sim.n_coded; i++)
		assert_true(sim.coded_queued[i]);
	assert_int_equal(fx.n_units, 10);
}

static void an_empty_coded_buffer_is_no_unit(void **state)
{
	(void)state;
	create_ok();
	coded("", 0, 0, US);
	assert_int_equal(fx.n_units, 0);
	assert_true(sim.coded_queued[0]);
}

static void data_begins_at_its_offset(void **state)
{
	uint8_t bytes[16 + sizeof(p_unit)] = {0xff};

	(void)state;
	create_ok();
	memcpy(bytes + 16, p_unit, sizeof(p_unit));
	sim_finish_coded(bytes, sizeof(bytes), 0, US);
	sim.coded_done[0].data_offset = 16;
	assert_int_equal(dispatch(POLLIN), 0);
	assert_int_equal(fx.units[0].len, sizeof(p_unit));
	assert_memory_equal(fx.units[0].bytes, p_unit, sizeof(p_unit));
}

static void a_picture_in_pieces_is_one_unit(void **state)
{
	static uint8_t first[SIM_CODED_SIZE], second[SIM_CODED_SIZE], last[100];

	(void)state;
	create_ok();
	memset(first, 0x11, sizeof(first));
	memcpy(first, idr_unit, sizeof(idr_unit));
	memset(second, 0x22, sizeof(second));
	memset(last, 0x33, sizeof(last));
	coded(first, sizeof(first), 0, US);
	coded(second, sizeof(second), 0, US);
	assert_int_equal(fx.n_units, 0);
	coded(last, sizeof(last), 0, US);
	assert_int_equal(fx.n_units, 1);
	assert_int_equal(fx.units[0].len, 2 * SIM_CODED_SIZE + 100);
	assert_memory_equal(fx.units[0].bytes, first, sizeof(first));
	assert_memory_equal(fx.units[0].bytes + SIM_CODED_SIZE, second, sizeof(second));
	assert_memory_equal(fx.units[0].bytes + 2 * SIM_CODED_SIZE, last, sizeof(last));
	assert_true(fx.units[0].key);
	coded(p_unit, sizeof(p_unit), 0, 2 * US);
	assert_int_equal(fx.units[1].len, sizeof(p_unit));
	assert_false(fx.units[1].key);
}

static void a_picture_that_fills_its_buffer_exactly_ends_at_the_next(void **state)
{
	static uint8_t whole[SIM_CODED_SIZE];

	(void)state;
	create_ok();
	memset(whole, 0x11, sizeof(whole));
	memcpy(whole, idr_unit, sizeof(idr_unit));
	coded(whole, sizeof(whole), 0, US);
	coded(p_unit, sizeof(p_unit), 0, 2 * US);
	assert_int_equal(fx.n_units, 2);
	assert_int_equal(fx.units[0].len, sizeof(whole));
	assert_int_equal(fx.units[0].capture_us, US);
	assert_int_equal(fx.units[1].len, sizeof(p_unit));
}

static void headers_alone_wait_for_their_picture(void **state)
{
	(void)state;
	create_ok();
	coded(headers, sizeof(headers), 0, 0);
	assert_int_equal(fx.n_units, 0);
	coded(idr_unit + sizeof(headers), sizeof(idr_unit) - sizeof(headers), 0, US);
	assert_int_equal(fx.n_units, 1);
	assert_int_equal(fx.units[0].len, sizeof(idr_unit));
	assert_memory_equal(fx.units[0].bytes, idr_unit, sizeof(idr_unit));
	assert_int_equal(fx.units[0].capture_us, US);
	assert_true(fx.units[0].key);
}

static void after_a_lost_unit_the_next_is_a_key(void **state)
{
	(void)state;
	create_ok();
	coded(idr_unit, sizeof(idr_unit), 0, US);
	coded(p_unit, sizeof(p_unit), V4L2_BUF_FLAG_ERROR, 2 * US);
	coded(p_unit, sizeof(p_unit), 0, 3 * US);
	assert_int_equal(fx.n_units, 1);
	assert_int_equal(encode(0, 4 * US, false), 0);
	assert_int_equal(sim_find_control(V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME)->times_set, 1);
	coded(idr_unit, sizeof(idr_unit), 0, 4 * US);
	coded(p_unit, sizeof(p_unit), 0, 5 * US);
	assert_int_equal(fx.n_units, 3);
	assert_true(fx.units[1].key);
}

/* --- trouble while running --- */

static void pollerr_with_nothing_queued_is_not_fatal(void **state)
{
	short wanted;

	(void)state;
	create_ok();
	assert_true(encoder_v4l2m2m.pollfd(fx.encoder, &wanted) >= 0);
	assert_int_equal(wanted, POLLIN | POLLOUT);
	assert_int_equal(dispatch(POLLERR), 0);
	assert_int_equal(fx.failures, 0);
	/* Not polled again before there is something to wait for, or the thread would spin. */
	assert_int_equal(encoder_v4l2m2m.pollfd(fx.encoder, &wanted), -1);
	assert_int_equal(encode(0, US, false), 0);
	assert_true(encoder_v4l2m2m.pollfd(fx.encoder, &wanted) >= 0);
}

static void pollerr_beside_a_finished_buffer_is_only_that(void **state)
{
	short wanted;

	(void)state;
	create_ok();
	assert_int_equal(encode(0, US, false), 0);
	sim_finish_raw(0);
	assert_int_equal(dispatch(POLLERR | POLLOUT), 0);
	assert_true(encoder_v4l2m2m.pollfd(fx.encoder, &wanted) >= 0);
}

static void a_device_that_goes_away_fails_once_and_gives_pictures_back(void **state)
{
	short wanted;

	(void)state;
	create_ok();
	assert_int_equal(encode(0, US, false), 0);
	sim.fail_request = VIDIOC_DQBUF;
	sim.fail_error = ENODEV;
	assert_int_equal(dispatch(POLLERR | POLLHUP), -ENODEV);
	assert_int_equal(fx.failures, 1);
	assert_int_equal(fx.error, -ENODEV);
	assert_string_equal(fx.failed_why, "/dev/video1: taking a coded picture");
	assert_int_equal(dispatch(POLLERR), -ENODEV);
	assert_int_equal(encode(1, 2 * US, false), -EIO);
	assert_int_equal(fx.failures, 1);
	assert_int_equal(encoder_v4l2m2m.pollfd(fx.encoder, &wanted), -1);
	destroy();
	assert_int_equal(fx.released, 2);
}

static void every_running_call_that_fails_is_told(void **state)
{
	static const struct {
		unsigned long request;
		unsigned after;
		const char *text;
	} cases[] = {
		{VIDIOC_S_CTRL, 0, "asking for a key frame"},
		{VIDIOC_QBUF, 0, "importing a raw picture"},
		{VIDIOC_DQBUF, 0, "taking a coded picture"},
		{VIDIOC_DQBUF, 1, "taking a raw picture back"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup(NULL);
		create_ok();
		sim.fail_request = cases[i].request;
		sim.fail_after = cases[i].after;
		sim.fail_error = EIO;
		assert_int_equal(encode(0, US, true), -EIO);
		assert_int_equal(fx.failures, 1);
		assert_non_null(strstr(fx.failed_why, cases[i].text));
		assert_int_equal(fx.released, 1);
		destroy();
	}
	setup(NULL);
	create_ok();
	sim.fail_request = VIDIOC_QBUF;
	sim.fail_error = EIO;
	sim_finish_coded(p_unit, sizeof(p_unit), 0, US);
	assert_int_equal(dispatch(POLLIN), -EIO);
	assert_non_null(strstr(fx.failed_why, "queueing a coded buffer again"));
	assert_int_equal(fx.n_units, 1);
}

static void impossible_numbers_from_a_driver_are_a_failure(void **state)
{
	static const struct sim_coded impossible[] = {
		{.index = 99, .bytesused = 1},
		{.index = 0, .bytesused = SIM_CODED_SIZE + 1},
		{.index = 0, .bytesused = 8, .data_offset = 9},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
		setup(NULL);
		create_ok();
		sim.coded_done[0] = impossible[i];
		sim.n_coded_done = 1;
		assert_int_equal(dispatch(POLLIN), -EPROTO);
		assert_int_equal(fx.n_units, 0);
		destroy();
	}
	setup(NULL);
	create_ok();
	sim_finish_raw(2); /* that it never got */
	assert_int_equal(dispatch(POLLOUT), -EPROTO);
	assert_int_equal(fx.failures, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(pictures_are_imported_at_their_own_index),
		T(an_encoder_holds_half_of_the_slots_at_most),
		T(a_forced_key_survives_a_picture_that_had_no_room),
		T(capture_times_name_pictures_and_never_repeat),
		T(bitrate_changes_while_running_in_the_drivers_steps),
		T(a_picture_of_another_ring_is_a_failure),
		T(destroy_gives_back_every_picture_after_streamoff),
		T(units_carry_their_pictures_time_and_kind),
		T(an_h264_key_is_an_idr_whatever_the_flag_says),
		T(other_codecs_keys_come_from_the_flag),
		T(coded_buffers_are_queued_again_at_once),
		T(an_empty_coded_buffer_is_no_unit),
		T(data_begins_at_its_offset),
		T(a_picture_in_pieces_is_one_unit),
		T(a_picture_that_fills_its_buffer_exactly_ends_at_the_next),
		T(headers_alone_wait_for_their_picture),
		T(after_a_lost_unit_the_next_is_a_key),
		T(pollerr_with_nothing_queued_is_not_fatal),
		T(pollerr_beside_a_finished_buffer_is_only_that),
		T(a_device_that_goes_away_fails_once_and_gives_pictures_back),
		T(every_running_call_that_fails_is_told),
		T(impossible_numbers_from_a_driver_are_a_failure),
	};

	diag_init("test", DIAG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
