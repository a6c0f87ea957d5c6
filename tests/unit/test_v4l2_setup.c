/* SPDX-License-Identifier: BSD-2-Clause */
/* v4l2m2m.c up to the first picture: finding the device, and agreeing with its driver. */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/diag.h"

#include "v4l2_fixture.h"

/* --- finding the device --- */

static void an_encoder_is_found_behind_cameras_and_decoders(void **state)
{
	(void)state;
	sim.nodes[1] = SIM_DECODER;
	sim.nodes[2] = SIM_SINGLE_PLANAR;
	sim.nodes[3] = SIM_ENCODER;
	create_ok();
	assert_string_equal(fx.encoder->detail,
			    "/dev/video3 vicodec, imports NV12 from dma-heap:system");
	assert_true(fx.encoder->asynchronous);
	assert_int_equal(sim.opened, 4);
	assert_int_equal(sim.closed, 3);
}

static void a_named_device_is_the_only_one_tried(void **state)
{
	(void)state;
	sim.nodes[3] = SIM_ENCODER;
	fx.stream.v4l2_device = (char *)(uintptr_t) "/dev/video3";
	create_ok();
	assert_int_equal(sim.opened, 1);
}

static void a_named_device_that_is_no_encoder_is_refused(void **state)
{
	(void)state;
	fx.stream.v4l2_device = (char *)(uintptr_t) "/dev/video0";
	refused_saying(-ENODEV, "/dev/video0 (a camera) is no memory-to-memory encoder for H264");
}

static void a_named_device_that_is_not_there_is_refused(void **state)
{
	(void)state;
	fx.stream.v4l2_device = (char *)(uintptr_t) "/dev/video2";
	refused_saying(-ENOENT, "cannot open /dev/video2: No such file");
}

static void a_denied_node_names_its_group(void **state)
{
	struct group *group;

	(void)state;
	setgrent();
	while ((group = getgrent()) && group->gr_gid == 0)
		;
	assert_non_null(group);
	sim.node_gid = group->gr_gid;
	sim.open_error[1] = EACCES;
	assert_int_equal(create(), -EACCES);
	assert_non_null(strstr(fx.why, "/dev/video1"));
	assert_non_null(strstr(fx.why, group->gr_name));
	endgrent();
}

static void a_denied_node_of_root_alone_names_the_udev_rule(void **state)
{
	(void)state;
	sim.node_mode = 020600;
	sim.open_error[1] = EACCES;
	refused_saying(-EACCES, "60-camcast.rules");
	fx.stream.v4l2_device = (char *)(uintptr_t) "/dev/video1";
	refused_saying(-EACCES, "60-camcast.rules");
}

static void a_node_that_only_the_sandbox_denies_is_newer_than_it(void **state)
{
	(void)state;
	sim.access_allowed = true;
	sim.open_error[1] = EACCES;
	refused_saying(-ESTALE, "/dev/video1 is newer than the sandbox");
	fx.stream.v4l2_device = (char *)(uintptr_t) "/dev/video1";
	refused_saying(-ESTALE, "/dev/video1 is newer than the sandbox");
}

static void a_machine_without_an_encoder_is_told_so(void **state)
{
	(void)state;
	sim.nodes[1] = SIM_ABSENT;
	refused_saying(-ENODEV, "none of 1 /dev/video nodes encodes H264 (a Raspberry Pi 5 has no");
	sim.nodes[0] = SIM_ABSENT;
	refused_saying(-ENODEV, "this machine has no /dev/video node");
}

static void an_encoder_that_takes_other_pictures_is_named(void **state)
{
	(void)state;
	sim.raw_fourcc = V4L2_PIX_FMT_YUYV;
	refused_saying(-ENODEV, "/dev/video1 (vicodec) encodes H264, but takes no NV12 pictures");
	fx.stream.v4l2_device = (char *)(uintptr_t) "/dev/video1";
	refused_saying(-ENODEV, "/dev/video1 (vicodec) encodes H264, but takes no NV12 pictures");
}

static void slots_that_are_no_dmabufs_are_refused(void **state)
{
	(void)state;
	fx.ring.dmabuf = false;
	strcpy(fx.ring.allocator, "memfd");
	refused_saying(-ENOTSUP,
		       "the frame slots are memfd: neither /dev/dma_heap nor /dev/udmabuf can be");
	fx.config.ring = NULL;
	refused_saying(-ENOTSUP, "the frame slots are none");
	assert_int_equal(sim.opened, 0);
}

/* --- set-up --- */

static void a_pi_gets_its_rules_before_any_buffer(void **state)
{
	static const uint32_t early[] = {
		V4L2_CID_MPEG_VIDEO_BITRATE,	   V4L2_CID_MPEG_VIDEO_BITRATE_MODE,
		V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, V4L2_CID_MPEG_VIDEO_H264_PROFILE,
		V4L2_CID_MPEG_VIDEO_H264_LEVEL,	   V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER,
	};

	(void)state;
	sim.card = "bcm2835-codec-encode";
	create_ok();
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_BITRATE), 2000000); /* steps of 25000 */
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_BITRATE_MODE),
			 V4L2_MPEG_VIDEO_BITRATE_MODE_VBR);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER), 1);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_HEADER_MODE),
			 V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_H264_I_PERIOD), 30);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_GOP_SIZE), 30);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_H264_PROFILE),
			 V4L2_MPEG_VIDEO_H264_PROFILE_HIGH);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_H264_LEVEL), V4L2_MPEG_VIDEO_H264_LEVEL_4_0);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_H264_MIN_QP), 20);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_H264_MAX_QP), 51);
	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
		assert_true(sim_find_control(early[i])->before_buffers);
	assert_int_equal(sim.timeperframe.numerator, 1);
	assert_int_equal(sim.timeperframe.denominator, 30);
	assert_int_equal(sim.coded.plane_fmt[0].sizeimage, 1536 << 10);
	/* One colour space for both queues: the driver keeps what it heard last. */
	assert_int_equal(sim.raw.colorspace, V4L2_COLORSPACE_REC709);
	assert_int_equal(sim.coded.colorspace, V4L2_COLORSPACE_REC709);
	assert_true(sim.streaming_raw && sim.streaming_coded);
}

static void other_drivers_keep_their_own_rate_control(void **state)
{
	(void)state;
	create_ok();
	assert_int_equal(sim_find_control(V4L2_CID_MPEG_VIDEO_BITRATE_MODE)->times_set, 0);
	assert_int_equal(sim_find_control(V4L2_CID_MPEG_VIDEO_H264_MIN_QP)->times_set, 0);
}

static void a_driver_without_controls_or_frame_rate_will_do(void **state)
{
	(void)state;
	sim.n_controls = 0;
	sim.no_parm = true;
	create_ok();
	assert_string_equal(fx.encoder->detail, "/dev/video1 vicodec, imports NV12 from "
						"dma-heap:system, cannot force key frames");
	assert_int_equal(encode(0, US, true), 0);
	assert_int_equal(encoder_v4l2m2m.set_bitrate(fx.encoder, 1000000), -ENOENT);
}

static void a_control_that_is_refused_is_no_reason_to_give_up(void **state)
{
	(void)state;
	sim_find_control(V4L2_CID_MPEG_VIDEO_H264_PROFILE)->error = EBUSY;
	create_ok();
}

static void profile_and_level_are_as_configured(void **state)
{
	(void)state;
	fx.stream.level = (char *)(uintptr_t) "3.1";
	fx.stream.profile = CONFIG_PROFILE_BASELINE;
	create_ok();
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_H264_LEVEL), V4L2_MPEG_VIDEO_H264_LEVEL_3_1);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_H264_PROFILE),
			 V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE);
}

static void an_automatic_level_follows_the_macroblock_rate(void **state)
{
	(void)state;
	set_size(FRAME_NV12, 1920, 1080, 1920);
	fx.config.format.rate.num = 60;
	fx.stream.profile = CONFIG_PROFILE_MAIN;
	create_ok();
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_H264_LEVEL), V4L2_MPEG_VIDEO_H264_LEVEL_4_2);
	assert_int_equal(control(V4L2_CID_MPEG_VIDEO_H264_PROFILE),
			 V4L2_MPEG_VIDEO_H264_PROFILE_MAIN);
}

static void a_frame_rate_of_zero_is_never_told(void **state)
{
	(void)state;
	fx.config.format.rate.num = 0;
	create_ok();
	assert_int_equal(sim.timeperframe.denominator, 0);
}

static void a_coded_size_that_the_raw_format_reset_is_set_again(void **state)
{
	(void)state;
	sim.raw_resets_coded = true;
	create_ok();
	assert_int_equal(sim.coded.plane_fmt[0].sizeimage, 1536 << 10);
	assert_int_equal(sim.coded.width, 1280);
}

static void a_pi_takes_no_side_over_1920(void **state)
{
	(void)state;
	sim.card = "bcm2835-codec-encode";
	set_size(FRAME_NV12, 2048, 1080, 2048);
	refused_saying(-ERANGE, "accepts at most 1920x1920, and the camera has 2048x1080");
}

static void a_size_that_the_driver_cuts_is_refused(void **state)
{
	(void)state;
	sim.max_width = 640;
	sim.max_height = 480;
	refused_saying(-EINVAL, "does not support 1280x720 for H264: it offers 640x480");
}

static void lines_of_another_length_are_refused(void **state)
{
	(void)state;
	sim.stride_align = 64;
	set_size(FRAME_NV12, 1296, 720, 1296);
	refused_saying(-EINVAL, "reads 1296x720 pictures in lines of 1344 bytes, but the camera's "
				"1296x720 pictures have lines of 1296");
}

static void chroma_at_another_place_is_refused(void **state)
{
	(void)state;
	sim.height_align = 16;
	set_size(FRAME_NV12, 640, 360, 640);
	refused_saying(-EINVAL, "expects the chroma at byte 235520, but the camera's is at 230400");
}

static void a_taller_buffer_is_cropped_where_the_layout_has_room(void **state)
{
	(void)state;
	sim.height_align = 16;
	set_size(FRAME_YUYV, 640, 360, 1280); /* one plane: nothing lies behind it */
	sim.raw_fourcc = V4L2_PIX_FMT_YUYV;
	for (unsigned i = 0; i < SLOTS; i++)
		fx.slots[i].size = 1280 * 368 * 2;
	create_ok();
	assert_int_equal(sim.crop.width, 640);
	assert_int_equal(sim.crop.height, 360);
}

static void planar_chroma_of_odd_strides_is_refused(void **state)
{
	(void)state;
	sim.raw_fourcc = V4L2_PIX_FMT_YUV420;
	set_size(FRAME_I420, 1280, 720, 1280);
	fx.config.format.planes[2].offset += 64;
	refused_saying(-EINVAL, "lines of half the luma's 1280 bytes");
}

static void slots_smaller_than_sizeimage_are_refused(void **state)
{
	(void)state;
	sim.extra_sizeimage = 8192;
	refused_saying(
		-EINVAL,
		"needs 1390592 bytes for each picture, but the frame slots have only 1384448");
}

static void fewer_buffers_than_slots_are_refused(void **state)
{
	(void)state;
	sim.buffers_max = 4;
	refused_saying(-ENOSPC, "accepts 4 buffers, and the camera has 6");
	sim_reset();
	sim.fail_request = VIDIOC_REQBUFS;
	sim.fail_after = 1;
	sim.fail_error = ENOMEM;
	refused_saying(-ENOMEM, "allocating coded buffers: Cannot allocate memory");
}

static void a_pi_that_refuses_says_that_a_reboot_may_help(void **state)
{
	(void)state;
	sim.card = "bcm2835-codec-encode";
	sim.fail_request = VIDIOC_STREAMON;
	sim.fail_error = EINVAL;
	refused_saying(-EINVAL, "starting the raw queue: Invalid argument; if this repeats, the "
				"firmware's encoder hangs: reboot");
}

/* Each ioctl of the set-up fails once; those that may, like controls, do no harm. */
static void every_failure_of_the_set_up_leaves_nothing_behind(void **state)
{
	unsigned calls, failures = 0;

	(void)state;
	create_ok();
	calls = sim.calls;
	destroy();
	for (unsigned i = 1; i <= calls; i++) {
		sim_reset();
		sim.fail_call = i;
		fx.why[0] = '\0';
		if (create()) {
			failures++;
			assert_null(fx.encoder);
			assert_true(fx.why[0]);
		} else {
			destroy();
		}
		assert_int_equal(sim.opened, sim.closed);
		assert_int_equal(sim.mapped, sim.unmapped);
		assert_int_equal(sim.n_raw + sim.n_coded, 0);
	}
	assert_in_range(failures, 15, calls);
	assert_int_equal(fx.failures, 0); /* why is the way to tell, not the event */
}

static void a_coded_buffer_that_cannot_be_mapped_is_refused(void **state)
{
	(void)state;
	sim.fail_mmap = true;
	refused_saying(-ENOMEM, "mapping a coded buffer");
}

static void an_interrupted_call_is_made_again(void **state)
{
	(void)state;
	sim.interrupts = 3;
	create_ok();
	sim.interrupts = 2;
	assert_int_equal(encode(0, US, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_encoder_is_found_behind_cameras_and_decoders),
		T(a_named_device_is_the_only_one_tried),
		T(a_named_device_that_is_no_encoder_is_refused),
		T(a_named_device_that_is_not_there_is_refused),
		T(a_denied_node_names_its_group),
		T(a_denied_node_of_root_alone_names_the_udev_rule),
		T(a_node_that_only_the_sandbox_denies_is_newer_than_it),
		T(a_machine_without_an_encoder_is_told_so),
		T(an_encoder_that_takes_other_pictures_is_named),
		T(slots_that_are_no_dmabufs_are_refused),
		T(a_pi_gets_its_rules_before_any_buffer),
		T(other_drivers_keep_their_own_rate_control),
		T(a_driver_without_controls_or_frame_rate_will_do),
		T(a_control_that_is_refused_is_no_reason_to_give_up),
		T(profile_and_level_are_as_configured),
		T(an_automatic_level_follows_the_macroblock_rate),
		T(a_frame_rate_of_zero_is_never_told),
		T(a_coded_size_that_the_raw_format_reset_is_set_again),
		T(a_pi_takes_no_side_over_1920),
		T(a_size_that_the_driver_cuts_is_refused),
		T(lines_of_another_length_are_refused),
		T(chroma_at_another_place_is_refused),
		T(a_taller_buffer_is_cropped_where_the_layout_has_room),
		T(planar_chroma_of_odd_strides_is_refused),
		T(slots_smaller_than_sizeimage_are_refused),
		T(fewer_buffers_than_slots_are_refused),
		T(a_pi_that_refuses_says_that_a_reboot_may_help),
		T(every_failure_of_the_set_up_leaves_nothing_behind),
		T(a_coded_buffer_that_cannot_be_mapped_is_refused),
		T(an_interrupted_call_is_made_again),
	};

	diag_init("test", DIAG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
