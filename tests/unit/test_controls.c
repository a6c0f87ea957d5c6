/* SPDX-License-Identifier: BSD-2-Clause */
/* Friendly camera controls in libcamera's words, and the pace of cameras that have none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture/source/libcamera_controls.h"
#include "capture/source/pacer.h"

/* --- controls --- */

/* The controls of cameras: libcamera 0.0.3 on a Raspberry Pi, 0.7, and a simple USB camera. */
static const char old_pi[] =
	" AeEnable AeExposureMode AeMeteringMode AnalogueGain AwbEnable AwbMode Brightness "
	"ColourCorrectionMatrix ColourGains Contrast ExposureTime ExposureValue "
	"FrameDurationLimits "
	"NoiseReductionMode Saturation ScalerCrop Sharpness ";
static const char new_pi[] =
	" AeEnable AeExposureMode AeFlickerMode AeFlickerPeriod AeMeteringMode AfMetering AfMode "
	"AfRange AfSpeed AfTrigger AfWindows AnalogueGain AnalogueGainMode AwbEnable AwbMode "
	"Brightness ColourCorrectionMatrix ColourGains Contrast ExposureTime ExposureTimeMode "
	"ExposureValue FrameDurationLimits HdrMode LensPosition NoiseReductionMode Saturation "
	"ScalerCrop Sharpness ";
static const char usb[] = " Brightness Contrast ";

static bool has(void *user, const char *control)
{
	char word[64];

	snprintf(word, sizeof(word), " %s ", control);
	return strstr(user, word) != NULL;
}

/* Returns the controls that key = value sets, as "Name=value Name=value", or the error number. */
static const char *translate(const char *camera, const int32_t *area, const char *key,
			     const char *value)
{
	static char text[512];
	struct libcamera_view view = {has, area, (void *)(uintptr_t)camera};
	struct libcamera_setting settings[LIBCAMERA_SETTINGS_MAX];
	int n = libcamera_translate(key, value, &view, settings);
	size_t len = 0;

	if (n < 0)
		return strerrorname_np(-n);
	text[0] = '\0';
	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s=%s", i ? " " : "",
					settings[i].name, settings[i].value);
	return text;
}

static const int32_t area[4] = {16, 8, 4000, 3000};

#define assert_control(camera, key, value, expected)                                               \
	assert_string_equal(translate(camera, area, key, value), expected)

static void numbers_are_passed_on(void **state)
{
	(void)state;
	assert_control(new_pi, "brightness", "-0.5", "Brightness=-0.5");
	assert_control(new_pi, "contrast", "1.5", "Contrast=1.5");
	assert_control(new_pi, "saturation", "0", "Saturation=0");
	assert_control(new_pi, "sharpness", "2", "Sharpness=2");
	assert_control(new_pi, "ev", "-1", "ExposureValue=-1");
	assert_control(new_pi, "ccm", "1,0,0,0,1,0,0,0,1",
		       "ColourCorrectionMatrix=1,0,0,0,1,0,0,0,1 AwbEnable=false");
	assert_control(new_pi, "awb_gains", "1.8,1.5", "ColourGains=1.8,1.5 AwbEnable=false");
	assert_control(new_pi, "lens_position", "0.5", "LensPosition=0.5 AfMode=0");
}

static void words_become_libcameras_numbers(void **state)
{
	(void)state;
	assert_control(new_pi, "exposure", "short", "AeExposureMode=1");
	assert_control(new_pi, "metering", "matrix", "AeMeteringMode=2");
	assert_control(new_pi, "awb", "daylight", "AwbMode=5 AwbEnable=true");
	assert_control(new_pi, "awb", "Cloudy", "AwbMode=6 AwbEnable=true");
	assert_control(new_pi, "denoise", "auto", "NoiseReductionMode=1");
	assert_control(new_pi, "denoise", "off", "NoiseReductionMode=0");
	assert_control(new_pi, "denoise", "cdn_off", "NoiseReductionMode=3");
	assert_control(new_pi, "denoise", "cdn_hq", "NoiseReductionMode=2");
	assert_control(new_pi, "hdr", "single-exp", "HdrMode=3");
	assert_control(new_pi, "hdr", "sensor", "");
	assert_control(new_pi, "af_mode", "continuous", "AfMode=2");
	assert_control(new_pi, "af_range", "macro", "AfRange=1");
	assert_control(new_pi, "af_speed", "fast", "AfSpeed=1");
}

static void a_fixed_shutter_or_gain_turns_the_automatic_off_where_that_is_a_control(void **state)
{
	(void)state;
	assert_control(new_pi, "shutter", "10000", "ExposureTime=10000 ExposureTimeMode=1");
	assert_control(old_pi, "shutter", "10000", "ExposureTime=10000");
	assert_control(new_pi, "gain", "2.5", "AnalogueGain=2.5 AnalogueGainMode=1");
	assert_control(old_pi, "gain", "2.5", "AnalogueGain=2.5");
	assert_control(new_pi, "flicker_period", "10000", "AeFlickerPeriod=10000 AeFlickerMode=1");
}

static void zero_is_automatic(void **state)
{
	(void)state;
	assert_control(new_pi, "shutter", "0", "ExposureTimeMode=0");
	assert_control(old_pi, "shutter", "0", "ExposureTime=0");
	assert_control(new_pi, "gain", "0.0", "AnalogueGainMode=0");
	assert_control(old_pi, "gain", "0.0", "AnalogueGain=0.0");
	assert_control(new_pi, "flicker_period", "0", "AeFlickerMode=0");
}

static void one_search_for_focus_is_also_triggered(void **state)
{
	(void)state;
	assert_control(new_pi, "af_mode", "auto", "AfMode=1 AfTrigger=0");
	assert_control(new_pi, "af_mode", "manual", "AfMode=0");
}

static void parts_of_the_picture_become_pixels_of_the_sensor(void **state)
{
	(void)state;
	assert_control(new_pi, "roi", "0.25,0.25,0.5,0.5", "ScalerCrop=1016,758,2000,1500");
	assert_control(new_pi, "roi", "0, 0, 1, 1", "ScalerCrop=16,8,4000,3000");
	assert_control(new_pi, "af_window", "0.5,0.5,0.1,0.1",
		       "AfWindows=2016,1508,400,300 AfMetering=1");
	assert_string_equal(translate(new_pi, NULL, "roi", "0,0,1,1"), strerrorname_np(ENOTSUP));
}

/* The main control is set anyway, so that the log can report that the camera refuses it. */
static void what_the_camera_lacks_is_still_asked_for(void **state)
{
	(void)state;
	assert_control(usb, "saturation", "1", "Saturation=1");
	assert_control(usb, "awb", "daylight", "AwbMode=5");
	assert_control(usb, "shutter", "0", "ExposureTime=0");
	assert_control(usb, "roi", "0,0,0.5,0.5", "ScalerCrop=0,0,0.5,0.5");
}

static void defaults_ask_nothing_of_a_camera_without_the_control(void **state)
{
	(void)state;
	assert_control(usb, "awb", "auto", "");
	assert_control(usb, "denoise", "auto", "");
	assert_control(usb, "denoise", "off", "");
	assert_control(usb, "hdr", "auto", "");
	assert_control(usb, "exposure", "normal", "");
}

static void wrong_values_and_unknown_keys_are_told_apart(void **state)
{
	(void)state;
	assert_control(new_pi, "awb", "moonlight", "EINVAL");
	assert_control(new_pi, "awb", "", "EINVAL");
	assert_control(new_pi, "roi", "0,0,1", "EINVAL");
	assert_control(new_pi, "roi", "0,0,1,1,1", "EINVAL");
	assert_control(new_pi, "roi", "0.5,0,0.6,1", "EINVAL");
	assert_control(new_pi, "roi", "0,0,0,1", "EINVAL");
	assert_control(new_pi, "roi", "nan,0,1,1", "EINVAL");
	assert_control(new_pi, "Brightness", "1", "ENOENT");
	assert_control(new_pi, "", "1", "ENOENT");
}

/* --- pace --- */

static const struct rate thirty = {30, 1};

/* Feeds pictures at the given rate for some seconds, each up to jitter_us early or late; returns
 * how many were taken. */
static unsigned feed(struct pacer *pacer, double rate, double seconds, int jitter_us)
{
	const unsigned n = (unsigned)(rate * seconds);
	unsigned taken = 0;

	srand(1);
	for (unsigned i = 0; i < n; i++) {
		const int jitter = jitter_us ? rand() % (2 * jitter_us) - jitter_us : 0;

		taken += pacer_take(pacer, 5000000 + (int64_t)(i * 1e6 / rate) + jitter);
	}
	return taken;
}

static void a_camera_that_keeps_the_rate_loses_nothing(void **state)
{
	struct pacer pacer;

	(void)state;
	pacer_init(&pacer, thirty);
	assert_int_equal(feed(&pacer, 30, 60, 0), 1800);
	assert_false(pacer.throttle);
	pacer_init(&pacer, thirty);
	assert_int_equal(feed(&pacer, 30, 60, 6000), 1800);
	pacer_init(&pacer, thirty);
	assert_int_equal(feed(&pacer, 30.9, 60, 6000), 1854);
	pacer_init(&pacer, thirty);
	assert_int_equal(feed(&pacer, 15, 60, 20000), 900);
	pacer_init(&pacer, (struct rate){30000, 1001});
	assert_int_equal(feed(&pacer, 30, 60, 6000), 1800);
	assert_false(pacer.throttle);
}

static void twice_the_rate_loses_every_second_picture(void **state)
{
	struct pacer pacer;

	(void)state;
	pacer_init(&pacer, thirty);
	assert_in_range(feed(&pacer, 60, 10, 0), 300, 302);
	pacer_init(&pacer, thirty);
	assert_in_range(feed(&pacer, 45, 10, 0), 300, 302);
}

static void a_camera_without_pace_is_found_out_within_a_second(void **state)
{
	struct pacer pacer;

	(void)state;
	pacer_init(&pacer, thirty);
	assert_in_range(feed(&pacer, 125, 1, 0), 30, 33);
	assert_false(pacer.throttle);
	pacer_take(&pacer, 6010000);
	assert_true(pacer.throttle);
}

static void after_a_pause_there_is_no_burst(void **state)
{
	struct pacer pacer;

	(void)state;
	pacer_init(&pacer, thirty);
	assert_true(pacer_take(&pacer, 1000000));
	assert_true(pacer_take(&pacer, 9000000));
	assert_false(pacer_take(&pacer, 9001000));
	assert_false(pacer_take(&pacer, 9010000));
	assert_true(pacer_take(&pacer, 9033000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_passed_on),
		cmocka_unit_test(words_become_libcameras_numbers),
		cmocka_unit_test(
			a_fixed_shutter_or_gain_turns_the_automatic_off_where_that_is_a_control),
		cmocka_unit_test(zero_is_automatic),
		cmocka_unit_test(one_search_for_focus_is_also_triggered),
		cmocka_unit_test(parts_of_the_picture_become_pixels_of_the_sensor),
		cmocka_unit_test(what_the_camera_lacks_is_still_asked_for),
		cmocka_unit_test(defaults_ask_nothing_of_a_camera_without_the_control),
		cmocka_unit_test(wrong_values_and_unknown_keys_are_told_apart),
		cmocka_unit_test(a_camera_that_keeps_the_rate_loses_nothing),
		cmocka_unit_test(twice_the_rate_loses_every_second_picture),
		cmocka_unit_test(a_camera_without_pace_is_found_out_within_a_second),
		cmocka_unit_test(after_a_pause_there_is_no_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
