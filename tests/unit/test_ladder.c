/* SPDX-License-Identifier: BSD-2-Clause */
/* The ladder of encoders, with encoders that stream_rig plays. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capture/encode/encoder.h"
#include "capture/encode/ladder.h"
#include "stream_rig.h"

static int open_rung(struct ladder *ladder, struct config_stream *config, int64_t now_us,
		     const char *expected)
{
	struct encoder_config encoder_config = {.stream = config};
	struct encoder_events events = {0};
	struct encoder *encoder;
	int r = ladder_open(ladder, &encoder_config, &events, now_us, &encoder);

	if (r == 0) {
		assert_string_equal(encoder->ops->name, expected);
		encoder->ops->destroy(encoder);
	}
	return r;
}

static void auto_takes_hardware_when_it_opens(void **state)
{
	struct stream_rig *s = *state;
	struct ladder ladder;

	fakes[V4L2].create_error = 0;
	ladder_init(&ladder, &s->stream_config);
	assert_int_equal(open_rung(&ladder, &s->stream_config, 0, "v4l2m2m"), 0);
	assert_string_equal(ladder.trouble, "");
}

static void auto_takes_software_else_and_says_why(void **state)
{
	struct stream_rig *s = *state;
	struct ladder ladder;

	ladder_init(&ladder, &s->stream_config);
	assert_int_equal(open_rung(&ladder, &s->stream_config, 0, name_of(SOFTWARE)), 0);
	assert_string_equal(ladder.trouble, "v4l2m2m: no such device");
}

static void temporal_layers_mean_openh264(void **state)
{
	struct stream_rig *s = *state;
	struct ladder ladder;

	fakes[V4L2].create_error = 0;
	s->stream_config.temporal_layers = 2;
	ladder_init(&ladder, &s->stream_config);
	assert_int_equal(open_rung(&ladder, &s->stream_config, 0, "openh264"), 0);
}

static void an_encoder_asked_for_by_name_is_not_replaced_when_it_does_not_open(void **state)
{
	struct stream_rig *s = *state;
	struct ladder ladder;

	s->stream_config.encoder = CONFIG_ENCODER_V4L2M2M;
	ladder_init(&ladder, &s->stream_config);
	assert_int_equal(open_rung(&ladder, &s->stream_config, 0, ""), -ENODEV);
	assert_string_equal(ladder.trouble, "v4l2m2m: no such device");
	assert_int_equal(fakes[SOFTWARE].creates, 0);
	/* and not tried at every frame */
	assert_int_equal(open_rung(&ladder, &s->stream_config, LADDER_RETRY_US - 1, ""), -EAGAIN);
	assert_int_equal(fakes[V4L2].creates, 1);
	assert_int_equal(open_rung(&ladder, &s->stream_config, LADDER_RETRY_US, ""), -ENODEV);
	assert_int_equal(fakes[V4L2].creates, 2);
}

static void a_failed_encoder_is_opened_once_more_then_the_next_one_and_at_last_none(void **state)
{
	struct stream_rig *s = *state;
	struct ladder ladder;
	const char *rungs[] = {"v4l2m2m", name_of(SOFTWARE), name_of(OTHER)};
	int64_t now_us = 5;

	fakes[V4L2].create_error = 0;
	s->stream_config.encoder = CONFIG_ENCODER_V4L2M2M;
	ladder_init(&ladder, &s->stream_config);
	for (int rung = 0; rung < 3; rung++) {
		for (int time = 0; time < 2; time++) {
			assert_int_equal(open_rung(&ladder, &s->stream_config, now_us, rungs[rung]),
					 0);
			ladder_failed(&ladder, "bcm2835-codec", "hangs", ++now_us);
		}
	}
	assert_int_equal(open_rung(&ladder, &s->stream_config, now_us, ""), -EAGAIN);
	assert_non_null(strstr(ladder.trouble, "v4l2m2m: failed twice, its firmware may need a "
					       "reboot: hangs"));
	/* A minute later from the top. */
	now_us += LADDER_RETRY_US;
	assert_int_equal(open_rung(&ladder, &s->stream_config, now_us, "v4l2m2m"), 0);
	assert_string_equal(ladder.trouble, "");
}

static void a_minute_of_good_work_is_forgiveness(void **state)
{
	struct stream_rig *s = *state;
	struct ladder ladder;
	int64_t now_us = 0;

	fakes[V4L2].create_error = 0;
	ladder_init(&ladder, &s->stream_config);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(open_rung(&ladder, &s->stream_config, now_us, "v4l2m2m"), 0);
		now_us += LADDER_FORGIVE_US + 1;
		ladder_failed(&ladder, "", "hangs", now_us);
	}
	assert_int_equal(open_rung(&ladder, &s->stream_config, now_us, "v4l2m2m"), 0);
}

static void hardware_that_does_not_open_again_is_suspected(void **state)
{
	struct stream_rig *s = *state;
	struct ladder ladder;

	fakes[V4L2].create_error = 0;
	ladder_init(&ladder, &s->stream_config);
	assert_int_equal(open_rung(&ladder, &s->stream_config, 0, "v4l2m2m"), 0);
	ladder_failed(&ladder, "/dev/video11 bcm2835-codec", "hangs", 1);
	fakes[V4L2].create_error = -EIO;
	assert_int_equal(open_rung(&ladder, &s->stream_config, 2, name_of(SOFTWARE)), 0);
	assert_non_null(strstr(ladder.trouble, "firmware may need a reboot"));
	fakes[V4L2].creates = fakes[V4L2].destroys = 0; /* one opened, one did not */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(auto_takes_hardware_when_it_opens),
		CASE(auto_takes_software_else_and_says_why),
		CASE(temporal_layers_mean_openh264),
		CASE(an_encoder_asked_for_by_name_is_not_replaced_when_it_does_not_open),
		CASE(a_failed_encoder_is_opened_once_more_then_the_next_one_and_at_last_none),
		CASE(a_minute_of_good_work_is_forgiveness),
		CASE(hardware_that_does_not_open_again_is_suspected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
