/* SPDX-License-Identifier: BSD-2-Clause */
/* The test pattern: the picture that it draws, and how its source keeps time. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "camcast/pattern.h"
#include "capture/source/pattern_draw.h"
#include "capture/source/source.h"

#define UTC_US 1795368612345678ll /* 2026-11-22 17:30:12.345 */

static struct frame_format i420(uint32_t width, uint32_t height)
{
	struct frame_format f = {.fourcc = FRAME_I420, .width = width, .height = height};

	assert_int_equal(frame_format_layout(&f, 0), 0);
	return f;
}

static uint8_t *draw(const struct frame_format *format, uint64_t number, int before)
{
	struct pattern *pattern;
	uint8_t *picture = malloc(format->size); /* exactly: ASan sees a byte too much */

	assert_non_null(picture);
	memset(picture, before, format->size);
	assert_int_equal(pattern_create(&pattern, format, "front"), 0);
	pattern_draw(pattern, picture, number, UTC_US);
	pattern_destroy(pattern);
	return picture;
}

/* As camcast/pattern.h says that a viewer reads it. -1: not a strip. */
static int read_number(const struct frame_format *format, const uint8_t *luma)
{
	uint32_t row = format->height / 32, bits = 0;

	for (uint32_t i = 0; i < CAMCAST_PATTERN_BLOCKS; i++) {
		uint32_t column = (2 * i + 1) * format->width / (2 * CAMCAST_PATTERN_BLOCKS);

		bits = bits << 1 | (luma[row * format->planes[0].stride + column] > 125);
	}
	if (bits >> 28 != 0xa || (bits & 0xf) != 0x5)
		return -1;
	if ((bits >> 4 & 0xff) !=
	    ((bits >> 20 & 0xff) ^ (bits >> 12 & 0xff) ^ CAMCAST_PATTERN_CHECK))
		return -1;
	return (int)(bits >> 12 & 0xffff);
}

static void the_number_can_be_read_at_every_size(void **state)
{
	static const uint32_t sizes[][2] = {{64, 64},	 {176, 144},   {320, 240}, {640, 480},
					    {1280, 720}, {1920, 1080}, {642, 362}};
	static const uint64_t numbers[] = {0, 1, 0x5555, 0xffff, 0x10000, 0x12345678abcd};

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		struct frame_format f = i420(sizes[s][0], sizes[s][1]);

		for (size_t n = 0; n < sizeof(numbers) / sizeof(*numbers); n++) {
			uint8_t *picture = draw(&f, numbers[n], 0);

			assert_int_equal(read_number(&f, picture), numbers[n] & 0xffff);
			free(picture);
		}
	}
}

static void every_pixel_is_drawn(void **state)
{
	struct frame_format f = i420(640, 362);
	uint8_t *a = draw(&f, 77, 0x00), *b = draw(&f, 77, 0xff);

	(void)state;
	for (unsigned p = 0; p < f.n_planes; p++) {
		for (uint32_t y = 0; y < f.planes[p].rows; y++) {
			size_t row = f.planes[p].offset + (size_t)y * f.planes[p].stride;

			assert_memory_equal(a + row, b + row, p == 0 ? 640 : 320);
		}
	}
	free(a);
	free(b);
}

static void tiny_pictures_are_drawn_inside_their_bounds(void **state)
{
	(void)state;
	for (uint32_t size = 2; size < 64; size += 2) {
		struct frame_format f = i420(size, 64 - size);

		free(draw(&f, 12345678901234567890u, 0));
	}
}

/* All macroblocks but those of the clock's panel change from one picture to the next. */
static void it_moves_everywhere(void **state)
{
	struct frame_format f = i420(640, 480);
	uint8_t *a = draw(&f, 1000, 0), *b = draw(&f, 1001, 0);
	unsigned still = 0;

	(void)state;
	for (uint32_t y = 32; y < 448; y += 16) {
		for (uint32_t x = 0; x < 640; x += 16) {
			unsigned differ = 0;

			for (uint32_t i = 0; i < 16; i++) {
				size_t at = (y + i) * f.planes[0].stride + x;

				differ += memcmp(a + at, b + at, 16) != 0;
			}
			still += differ == 0;
		}
	}
	assert_in_range(still, 0, 26 * 40 * 4 / 10);
	free(a);
	free(b);
}

/* A letter is white on black: the panel has both, in more than specks. */
static void the_clock_is_legible(void **state)
{
	struct frame_format f = i420(320, 240);
	uint8_t *picture = draw(&f, 1, 0);
	unsigned white = 0, black = 0;

	(void)state;
	for (uint32_t y = 70; y < 90; y++) {
		for (uint32_t x = 40; x < 250; x++) {
			white += picture[y * f.planes[0].stride + x] == 235;
			black += picture[y * f.planes[0].stride + x] == 16;
		}
	}
	assert_int_equal(white + black, 20 * 210);
	assert_in_range(white, 20 * 210 / 6, 20 * 210 / 2);
	free(picture);
}

static void the_time_changes_the_letters(void **state)
{
	struct frame_format f = i420(640, 480);
	struct pattern *pattern;
	uint8_t *a = malloc(f.size), *b = malloc(f.size);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(pattern_create(&pattern, &f, "front"), 0);
	memset(a, 0, f.size);
	memset(b, 0, f.size);
	pattern_draw(pattern, a, 5, UTC_US);
	pattern_draw(pattern, b, 5, UTC_US + 999); /* within one millisecond */
	assert_int_equal(UTC_US % 1000 + 999 >= 1000, 1);
	assert_true(memcmp(a, b, f.size) != 0);
	pattern_draw(pattern, b, 5, UTC_US + 1);
	assert_memory_equal(a, b, f.size);
	pattern_destroy(pattern);
	free(a);
	free(b);
}

static void other_formats_are_refused(void **state)
{
	struct frame_format f = {.fourcc = FRAME_NV12, .width = 64, .height = 64};
	struct pattern *pattern;

	(void)state;
	assert_int_equal(frame_format_layout(&f, 0), 0);
	assert_int_equal(pattern_create(&pattern, &f, ""), -EINVAL);
}

/* --- the source --- */

#define FRAMES 60

struct sink {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned n, wanted;
	uint64_t sequence[FRAMES];
	int64_t capture_us[FRAMES], came_us[FRAMES];
	int number[FRAMES];
	unsigned hold; /* frames not given back at once */
	struct frame *held[FRAMES];
	unsigned n_held;
	bool gone;
};

static void handle_frame(void *user, struct frame *frame)
{
	struct sink *sink = user;
	uint8_t *map;
	int r = slot_map(frame->ring, frame->slot, false, &map);

	pthread_mutex_lock(&sink->lock);
	if (sink->n < FRAMES) {
		sink->sequence[sink->n] = frame->sequence;
		sink->capture_us[sink->n] = frame->capture_us;
		sink->came_us[sink->n] = clock_now_us();
		sink->number[sink->n] = r < 0 ? r : read_number(frame->format, map);
		sink->n++;
	}
	if (sink->n_held < sink->hold)
		sink->held[sink->n_held++] = frame;
	else
		frame_unref(frame);
	if (sink->n >= sink->wanted || (sink->hold && sink->n_held == sink->hold))
		pthread_cond_signal(&sink->cond);
	pthread_mutex_unlock(&sink->lock);
}

static void handle_gone(void *user, int error, const char *why)
{
	struct sink *sink = user;

	(void)error;
	(void)why;
	pthread_mutex_lock(&sink->lock);
	sink->gone = true;
	pthread_cond_signal(&sink->cond);
	pthread_mutex_unlock(&sink->lock);
}

static struct config_camera camera_config(uint32_t num, uint32_t den)
{
	static char pattern[] = "pattern", memfd[] = "memfd";
	struct config_camera config = {.name = "front",
				       .source = pattern,
				       .allocator = memfd,
				       .buffers = 4,
				       .size = {320, 240},
				       .framerate = {num, den}};

	return config;
}

static struct source *open_source(const struct config_camera *config, struct sink *sink)
{
	struct source_events events = {.frame = handle_frame, .gone = handle_gone, .user = sink};
	struct source *source;
	char why[256];

	memset(sink, 0, sizeof(*sink));
	pthread_mutex_init(&sink->lock, NULL);
	pthread_cond_init(&sink->cond, NULL);
	assert_int_equal(source_open(&source, config, false, CONFIG_CODEC_H264, &events, why), 0);
	return source;
}

static void pictures_are_due_at_exact_times_from_the_start(void **state)
{
	struct config_camera config = camera_config(200000, 1001);
	struct sink sink;
	struct source *source = open_source(&config, &sink);
	int64_t start_us;

	(void)state;
	assert_string_equal(source_info(source)->name, "pattern");
	assert_string_equal(source_info(source)->allocator, "memfd");
	assert_false(source_info(source)->coded);
	sink.wanted = FRAMES;
	assert_int_equal(source_start(source), 0);
	pthread_mutex_lock(&sink.lock);
	while (sink.n < FRAMES && !sink.gone)
		pthread_cond_wait(&sink.cond, &sink.lock);
	pthread_mutex_unlock(&sink.lock);
	source_stop(source);
	assert_false(sink.gone);
	start_us = sink.capture_us[0] - (int64_t)sink.sequence[0] * 5005;
	for (unsigned i = 0; i < FRAMES; i++) {
		int64_t due_us = start_us + (int64_t)sink.sequence[i] * 5005;

		/* A number left out on a busy machine is in order, a wrong time is not. */
		assert_in_range(sink.capture_us[i], due_us - 1, due_us + 1);
		assert_int_equal(sink.number[i], sink.sequence[i] & 0xffff);
		assert_true(sink.came_us[i] >= sink.capture_us[i]);
		assert_true(i == 0 || sink.sequence[i] > sink.sequence[i - 1]);
	}
	source_close(source);
}

static void without_a_free_slot_pictures_are_left_out_and_their_numbers_too(void **state)
{
	struct config_camera config = camera_config(200, 1);
	struct sink sink;
	struct source *source = open_source(&config, &sink);
	int64_t all_held_us;
	uint64_t last;

	(void)state;
	sink.hold = 4; /* every slot */
	sink.wanted = FRAMES;
	assert_int_equal(source_start(source), 0);
	pthread_mutex_lock(&sink.lock);
	while (sink.n_held < 4)
		pthread_cond_wait(&sink.cond, &sink.lock);
	last = sink.sequence[sink.n - 1];
	all_held_us = sink.capture_us[sink.n - 1];
	pthread_mutex_unlock(&sink.lock);
	/* Ten pictures' time in which none can be drawn: waiting is the point here. */
	while (clock_now_us() < all_held_us + 50000)
		sched_yield();
	pthread_mutex_lock(&sink.lock);
	assert_int_equal(sink.n, 4);
	sink.hold = 0;
	sink.wanted = 5;
	pthread_mutex_unlock(&sink.lock);
	for (unsigned i = 0; i < 4; i++)
		frame_unref(sink.held[i]);
	pthread_mutex_lock(&sink.lock);
	while (sink.n < 5)
		pthread_cond_wait(&sink.cond, &sink.lock);
	assert_true(sink.sequence[4] >= last + 9);
	assert_int_equal(sink.number[4], sink.sequence[4] & 0xffff);
	pthread_mutex_unlock(&sink.lock);
	source_stop(source);
	source_close(source);
}

static void a_slow_source_stops_at_once(void **state)
{
	struct config_camera config = camera_config(1, 10);
	struct sink sink;
	struct source *source = open_source(&config, &sink);
	int64_t asked_us;

	(void)state;
	sink.wanted = 1;
	assert_int_equal(source_start(source), 0);
	pthread_mutex_lock(&sink.lock);
	while (sink.n < 1)
		pthread_cond_wait(&sink.cond, &sink.lock);
	pthread_mutex_unlock(&sink.lock);
	asked_us = clock_now_us();
	source_stop(source);
	assert_in_range(clock_now_us() - asked_us, 0, 2000000);
	source_stop(source); /* again: nothing */
	source_close(source);
}

static void it_has_no_controls(void **state)
{
	struct config_camera config = camera_config(30, 1);
	struct sink sink;
	struct source *source = open_source(&config, &sink);

	(void)state;
	assert_int_equal(source_set_control(source, "brightness", "0.5"), -ENOTSUP);
	source_close(source);
}

static void an_odd_size_is_an_error_that_says_so(void **state)
{
	struct config_camera config = camera_config(30, 1);
	struct source_events events = {.frame = handle_frame, .gone = handle_gone};
	struct source *source;
	char why[256] = "";

	(void)state;
	config.size.width = 321;
	assert_int_equal(source_open(&source, &config, false, CONFIG_CODEC_H264, &events, why),
			 -EINVAL);
	assert_non_null(strstr(why, "even"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_number_can_be_read_at_every_size),
		cmocka_unit_test(every_pixel_is_drawn),
		cmocka_unit_test(tiny_pictures_are_drawn_inside_their_bounds),
		cmocka_unit_test(it_moves_everywhere),
		cmocka_unit_test(the_clock_is_legible),
		cmocka_unit_test(the_time_changes_the_letters),
		cmocka_unit_test(other_formats_are_refused),
		cmocka_unit_test(pictures_are_due_at_exact_times_from_the_start),
		cmocka_unit_test(without_a_free_slot_pictures_are_left_out_and_their_numbers_too),
		cmocka_unit_test(a_slow_source_stops_at_once),
		cmocka_unit_test(it_has_no_controls),
		cmocka_unit_test(an_odd_size_is_an_error_that_says_so),
	};

	alarm(60); /* a source that delivers nothing is a failure, not a wait */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
