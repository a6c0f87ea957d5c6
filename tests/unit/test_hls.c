/* SPDX-License-Identifier: BSD-2-Clause */
/* A stream as a playlist: which units become segments and parts, what is listed, and what the names
 * and the parameters of requests mean. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/serve/hls_playlist.h"

#define STEP_US 33333
#define SECOND_US 1000000
#define MSN 1000			  /* of the first segment */
#define WALL_US INT64_C(1764433800000000) /* 2025-11-29T16:30:00Z */

struct fixture {
	struct hls_timeline *timeline;
	struct hls_unit next; /* what camera() adds */
	uint32_t gop;	      /* units from key to key */
	uint32_t since_key;
	char text[HLS_PLAYLIST_MAX + 1];
};

static void use(struct fixture *f, const struct hls_options *options, uint32_t gop)
{
	hls_timeline_destroy(f->timeline);
	assert_int_equal(hls_timeline_create(&f->timeline, options), 0);
	f->next = (struct hls_unit){.seq = 1, .pts_us = 5 * SECOND_US, .preamble = 3};
	f->gop = gop;
	f->since_key = 0;
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct hls_options options = {.gop_us = SECOND_US, .step_us = STEP_US, .first_msn = MSN};

	memset(&fixture, 0, sizeof fixture);
	use(&fixture, &options, 30);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hls_timeline_destroy(f->timeline);
	return 0;
}

/* A camera with this distance of pictures. Returns how often there was something new to list. */
static unsigned camera(struct fixture *f, unsigned units, uint32_t step_us)
{
	unsigned news = 0;

	while (units-- > 0) {
		f->next.key = f->since_key == 0;
		f->next.duration_us = step_us;
		f->next.wall_us = WALL_US + f->next.pts_us;
		news += hls_timeline_add(f->timeline, &f->next);
		f->next.seq++;
		f->next.pts_us += step_us;
		f->next.after_gap = false;
		f->since_key = (f->since_key + 1) % f->gop;
	}
	return news;
}

static void key_now(struct fixture *f)
{
	f->since_key = 0;
}

static const char *playlist(struct fixture *f)
{
	f->text[hls_playlist_write(f->timeline, "s/ab12/", f->text)] = '\0';
	return f->text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (text = strstr(text, what); text; text = strstr(text + 1, what))
		n++;
	return n;
}

static void assert_lists(struct fixture *f, const char *what)
{
	if (!strstr(playlist(f), what))
		fail_msg("no \"%s\" in:\n%s", what, f->text);
}

static void assert_not_listed(struct fixture *f, const char *what)
{
	if (strstr(playlist(f), what))
		fail_msg("\"%s\" in:\n%s", what, f->text);
}

static const struct hls_segment *segment(struct fixture *f, unsigned i)
{
	return hls_segment(f->timeline, MSN + i);
}

static int reload(struct fixture *f, uint64_t msn, int part)
{
	struct hls_reload wanted = {.has_msn = true, .msn = msn};

	if (part >= 0) {
		wanted.has_part = true;
		wanted.part = (uint64_t)part;
	}
	return hls_reload_check(f->timeline, &wanted);
}

static int find(struct fixture *f, const char *text, struct hls_object *object)
{
	struct hls_name name;

	assert_int_equal(hls_name_parse(&name, text), 0);
	return hls_object_find(object, f->timeline, &name);
}

/* --- segments and parts --- */

static void a_playlist_reads_like_this(void **state)
{
	struct fixture *f = *state;

	camera(f, 38, STEP_US);
	assert_string_equal(playlist(f),
			    "#EXTM3U\n"
			    "#EXT-X-VERSION:9\n"
			    "#EXT-X-INDEPENDENT-SEGMENTS\n"
			    "#EXT-X-TARGETDURATION:1\n"
			    "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.649992,"
			    "HOLD-BACK=3\n"
			    "#EXT-X-PART-INF:PART-TARGET=0.216664\n"
			    "#EXT-X-MEDIA-SEQUENCE:1000\n"
			    "#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
			    "#EXT-X-MAP:URI=\"s/ab12/init-1.mp4\"\n"
			    "#EXT-X-PROGRAM-DATE-TIME:2025-11-29T16:30:05.000Z\n"
			    "#EXT-X-PART:DURATION=0.199998,URI=\"s/ab12/p-1.m4s\",INDEPENDENT=YES\n"
			    "#EXT-X-PART:DURATION=0.199998,URI=\"s/ab12/p-7.m4s\"\n"
			    "#EXT-X-PART:DURATION=0.199998,URI=\"s/ab12/p-13.m4s\"\n"
			    "#EXT-X-PART:DURATION=0.199998,URI=\"s/ab12/p-19.m4s\"\n"
			    "#EXT-X-PART:DURATION=0.199998,URI=\"s/ab12/p-25.m4s\"\n"
			    "#EXTINF:0.999990,\n"
			    "s/ab12/s-1.m4s\n"
			    "#EXT-X-PROGRAM-DATE-TIME:2025-11-29T16:30:05.999Z\n"
			    "#EXT-X-PART:DURATION=0.199998,URI=\"s/ab12/p-31.m4s\","
			    "INDEPENDENT=YES\n"
			    "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s/ab12/p-37.m4s\"\n");
}

static void a_part_is_listed_with_its_last_unit_and_does_not_wait_for_the_next(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(camera(f, 5, STEP_US), 0);
	assert_int_equal(camera(f, 1, STEP_US), 1);
	assert_lists(f, "p-1.m4s\",INDEPENDENT");
	assert_lists(f, "HINT:TYPE=PART,URI=\"s/ab12/p-7.m4s");
}

static void nothing_is_listed_before_the_first_part(void **state)
{
	struct fixture *f = *state;

	assert_not_listed(f, ".m4s");
	camera(f, 1, STEP_US);
	assert_not_listed(f, "#EXT-X-PROGRAM-DATE-TIME");
	assert_not_listed(f, "#EXT-X-PART:");
}

static void parts_are_listed_for_three_finished_segments(void **state)
{
	struct fixture *f = *state;

	camera(f, 5 * 30 + 6, STEP_US);
	assert_int_equal(count(playlist(f), "#EXT-X-PART:"), 3 * 5 + 1);
	assert_int_equal(count(f->text, "#EXTINF:"), 5);
}

static void short_groups_are_joined_to_a_second(void **state)
{
	struct fixture *f = *state;
	struct hls_options options = {.gop_us = 8 * STEP_US, .step_us = STEP_US, .first_msn = MSN};

	use(f, &options, 8);
	camera(f, 100, STEP_US);
	assert_int_equal(f->timeline->target_s, 1);
	assert_int_equal(segment(f, 0)->until, 33);
	assert_int_equal(segment(f, 1)->until, 65);
}

static void a_forced_key_picture_never_makes_a_segment_too_long(void **state)
{
	struct fixture *f = *state;

	for (unsigned at = 1; at < 30; at++) {
		struct hls_options options = f->timeline->options;

		use(f, &options, 30);
		camera(f, at, STEP_US);
		key_now(f); /* the encoder counts to 30 from here */
		camera(f, 100, STEP_US);
		for (uint64_t msn = MSN; msn < f->timeline->open; msn++) {
			assert_in_range(hls_segment(f->timeline, msn)->duration_us, 1, 1499999);
			assert_true(hls_segment(f->timeline, msn)->independent);
		}
	}
}

static void a_key_picture_is_due_when_a_camera_becomes_slow(void **state)
{
	struct fixture *f = *state;
	unsigned asked = 0;

	camera(f, 30, STEP_US);
	assert_false(hls_timeline_wants_key(f->timeline));
	camera(f, 1, STEP_US);
	for (unsigned i = 0; i < 60; i++) {
		camera(f, 1, 100000);
		if (hls_timeline_wants_key(f->timeline)) {
			asked++;
			camera(f, 1, 100000); /* one is under way */
			key_now(f);
		}
	}
	assert_int_not_equal(asked, 0);
	for (uint64_t msn = MSN; msn < f->timeline->open; msn++)
		assert_true(hls_segment(f->timeline, msn)->independent);
}

static void a_key_picture_is_due_in_time_at_any_rate(void **state)
{
	static const uint32_t steps[] = {33333, 200000, 400000, 500000, 1000000, 5000000};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct hls_options options = {
			.gop_us = 60 * SECOND_US, .step_us = steps[i], .first_msn = MSN};

		use(f, &options, 10000);
		for (unsigned n = 0; n < 400; n++) {
			camera(f, 1, steps[i]);
			if (hls_timeline_wants_key(f->timeline))
				key_now(f);
		}
		assert_true(f->timeline->open > MSN + 1);
		for (uint64_t msn = f->timeline->first; msn < f->timeline->open; msn++)
			assert_true(hls_segment(f->timeline, msn)->independent);
	}
}

static void a_key_picture_is_due_where_nothing_has_begun(void **state)
{
	struct fixture *f = *state;

	f->since_key = 5;
	camera(f, 1, STEP_US);
	assert_int_equal(hls_timeline_wants_key(f->timeline), MSN);
	key_now(f);
	camera(f, 30, STEP_US);
	assert_int_equal(hls_timeline_wants_key(f->timeline), 0);
}

static void a_segment_ends_without_a_key_picture_where_none_comes(void **state)
{
	struct fixture *f = *state;
	struct hls_options options = {.step_us = 40000, .first_msn = MSN}; /* a recording */

	use(f, &options, 1500);
	camera(f, 1000, 40000);
	assert_int_equal(f->timeline->target_s, HLS_TARGET_MAX);
	assert_in_range(segment(f, 0)->duration_us, 4000000, 4499999);
	assert_false(segment(f, 1)->independent);
	assert_not_listed(f, "INDEPENDENT");
	assert_int_equal(segment(f, 0)->until, segment(f, 1)->from);
}

static void groups_of_unknown_length_are_joined_to_half_of_the_target(void **state)
{
	struct fixture *f = *state;
	struct hls_options options = {.step_us = 40000, .first_msn = MSN};

	use(f, &options, 25);
	camera(f, 500, 40000);
	assert_int_equal(segment(f, 0)->duration_us, 2000000);
	assert_lists(f, "#EXT-X-INDEPENDENT-SEGMENTS");
}

static void parts_keep_to_their_target_at_any_rate(void **state)
{
	struct fixture *f = *state;
	static const uint32_t steps[] = {4167,	8333,	16667,	33333,	40000,	41708,
					 66667, 100000, 142857, 200000, 500000, 10000000};

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct hls_options options = {
			.gop_us = 30 * steps[i], .step_us = steps[i], .first_msn = MSN};
		const struct hls_timeline *timeline;

		use(f, &options, 30);
		camera(f, 100, steps[i]);
		timeline = f->timeline;
		assert_in_range(timeline->part_us, 0, timeline->target_s * SECOND_US);
		for (uint64_t msn = MSN; msn < timeline->open; msn++) {
			const struct hls_segment *s = hls_segment(timeline, msn);

			assert_in_range(s->duration_us, 1,
					timeline->target_s * INT64_C(1000000) + 499999);
			for (uint64_t n = 0; n < s->n_parts; n++) {
				const struct hls_part *part = hls_part(timeline, s->first_part + n);

				if (!part)
					continue;
				assert_in_range(part->duration_us, 1, timeline->part_us);
				if (n + 1 < s->n_parts)
					assert_true(part->duration_us * 100 >=
						    timeline->part_us * INT64_C(85));
			}
		}
	}
}

static void uneven_pictures_do_not_add_up_to_an_error(void **state)
{
	struct fixture *f = *state;
	int64_t sum_us = 0;

	for (unsigned i = 0; i < 300; i++) {
		int32_t off = i % 3 == 0 ? 9000 : i % 3 == 1 ? -9000 : 0;

		f->next.pts_us += off;
		camera(f, 1, STEP_US);
		f->next.pts_us -= off;
	}
	for (uint64_t msn = MSN; msn < f->timeline->open; msn++)
		sum_us += hls_segment(f->timeline, msn)->duration_us;
	assert_in_range(sum_us, 9 * SECOND_US - 30000, 9 * SECOND_US + 30000);
}

static void the_parts_of_a_segment_add_up_to_it(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 10; i++) {
		camera(f, 11, STEP_US);
		f->next.pts_us += 70000; /* the encoder had no room */
	}
	for (uint64_t msn = MSN; msn < f->timeline->open; msn++) {
		const struct hls_segment *s = hls_segment(f->timeline, msn);
		uint64_t from = s->from;
		int64_t sum_us = 0;

		for (uint64_t n = 0; n < s->n_parts; n++) {
			const struct hls_part *part = hls_part(f->timeline, s->first_part + n);

			assert_int_equal(part->from, from);
			from = part->until;
			sum_us += part->duration_us;
		}
		assert_int_equal(from, s->until);
		assert_int_equal(sum_us, s->duration_us);
	}
}

static void a_time_without_pictures_is_of_no_part(void **state)
{
	struct fixture *f = *state;

	camera(f, 8, STEP_US);
	f->next.pts_us += 20 * SECOND_US;
	camera(f, 22, STEP_US);
	key_now(f);
	camera(f, 1, STEP_US);
	assert_int_equal(segment(f, 0)->duration_us, 30 * STEP_US);
	assert_int_equal(hls_part(f->timeline, 1)->until, 9);
}

static void reordered_pictures_keep_their_time(void **state)
{
	struct fixture *f = *state;
	static const int order[] = {0, 3, 1, 2, 6, 4, 5, 9, 7, 8};
	int64_t base_us = f->next.pts_us;

	for (int i = 0; i < 61; i++) {
		f->next.pts_us = base_us + (i / 10 * 10 + order[i % 10]) * (int64_t)STEP_US;
		camera(f, 1, STEP_US);
	}
	assert_in_range(segment(f, 0)->duration_us, 30 * STEP_US, 30 * STEP_US + 1000);
	assert_in_range(segment(f, 0)->duration_us + segment(f, 1)->duration_us, 60 * STEP_US,
			60 * STEP_US + 1000);
	assert_int_equal(count(playlist(f), "DISCONTINUITY\n"), 0);
}

/* --- discontinuities --- */

static void a_gap_ends_a_segment_and_is_a_discontinuity(void **state)
{
	struct fixture *f = *state;

	camera(f, 40, STEP_US);
	f->next.after_gap = true;
	f->next.preamble = 4;
	f->next.pts_us += 2 * SECOND_US;
	key_now(f);
	camera(f, 6, STEP_US);
	assert_int_equal(segment(f, 1)->until, 41);
	assert_lists(f, "s-31.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"s/ab12/init-2.mp4\"\n"
			"#EXT-X-PROGRAM-DATE-TIME:2025-11-29T16:30:08.333Z\n#EXT-X-PART:");
}

static void units_behind_a_gap_are_left_out_until_a_key_picture(void **state)
{
	struct fixture *f = *state;

	camera(f, 10, STEP_US);
	f->next.seq++; /* lost */
	camera(f, 25, STEP_US);
	assert_int_equal(segment(f, 0)->until, 11);
	assert_int_equal(segment(f, 1)->from, 32);
	assert_true(segment(f, 1)->discontinuity);
	assert_int_equal(segment(f, 1)->map, 1);
}

static void other_parameters_are_a_discontinuity_with_another_map(void **state)
{
	struct fixture *f = *state;

	camera(f, 45, STEP_US);
	f->next.preamble = 9;
	key_now(f);
	camera(f, 31, STEP_US);
	assert_true(segment(f, 2)->discontinuity);
	assert_int_equal(count(playlist(f), "#EXT-X-MAP"), 2);
	assert_int_equal(count(f->text, "#EXT-X-DISCONTINUITY\n"), 1);
}

static void a_clock_that_jumps_at_a_key_picture_is_a_discontinuity(void **state)
{
	struct fixture *f = *state;

	camera(f, 30, STEP_US);
	f->next.pts_us -= 3600ll * SECOND_US;
	camera(f, 31, STEP_US);
	assert_true(segment(f, 1)->discontinuity);
	assert_int_equal(segment(f, 1)->duration_us, 30 * STEP_US);
}

static void discontinuities_are_counted_when_they_leave_the_playlist(void **state)
{
	struct fixture *f = *state;
	uint64_t listed = 0, removed = 0;

	for (unsigned i = 0; i < 20; i++) {
		f->next.after_gap = true;
		key_now(f);
		camera(f, 45, STEP_US);
		assert_true(f->timeline->listed >= listed);
		assert_true(f->timeline->removed >= removed);
		listed = f->timeline->listed;
		removed = f->timeline->removed;
		/* Each discontinuity so far is listed, or was removed; the first run has none. */
		assert_int_equal(removed + count(playlist(f), "#EXT-X-DISCONTINUITY\n"), i);
	}
	assert_int_not_equal(removed, 0);
}

/* --- what leaves the playlist --- */

static void the_playlist_is_longer_than_three_targets_and_not_much(void **state)
{
	struct fixture *f = *state;

	camera(f, 60 * 30, STEP_US);
	assert_int_equal(f->timeline->open - f->timeline->listed, 5);
	assert_int_equal(f->timeline->open, MSN + 59);
	assert_lists(f, "#EXT-X-MEDIA-SEQUENCE:1054\n");
}

static void what_left_the_log_is_not_listed(void **state)
{
	struct fixture *f = *state;

	camera(f, 4 * 30, STEP_US);
	assert_false(hls_timeline_trim(f->timeline, 1));
	assert_true(hls_timeline_trim(f->timeline, 62));
	assert_lists(f, "#EXT-X-MEDIA-SEQUENCE:1003\n");
	assert_not_listed(f, "s-61.m4s");
}

static void a_pause_keeps_the_numbers(void **state)
{
	struct fixture *f = *state;

	camera(f, 4 * 30, STEP_US);
	assert_true(hls_timeline_is_ready(f->timeline));
	hls_timeline_pause(f->timeline);
	assert_false(hls_timeline_is_ready(f->timeline));
	hls_timeline_trim(f->timeline, f->next.seq);
	f->next.after_gap = true;
	f->next.pts_us += 100ll * SECOND_US;
	key_now(f);
	camera(f, 30, STEP_US);
	assert_false(hls_timeline_is_ready(f->timeline));
	camera(f, 1, STEP_US);
	assert_true(hls_timeline_is_ready(f->timeline));
	assert_lists(f, "#EXT-X-MEDIA-SEQUENCE:1004\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
			"#EXT-X-DISCONTINUITY\n");
}

static void the_longest_playlist_has_room(void **state)
{
	struct fixture *f = *state;
	char prefix[HLS_PREFIX_MAX];

	memset(prefix, 'x', sizeof prefix);
	prefix[sizeof prefix - 1] = '\0';
	f->next.seq = UINT64_C(1) << 47;
	for (unsigned i = 0; i < 500; i++) {
		f->next.preamble++;
		key_now(f);
		camera(f, 1, STEP_US);
	}
	assert_true(f->timeline->open - f->timeline->first < HLS_SEGMENTS_MAX);
	assert_in_range(hls_playlist_write(f->timeline, prefix, f->text), 1, HLS_PLAYLIST_MAX - 1);
	assert_int_equal(count(f->text, "#EXTINF:"), f->timeline->open - f->timeline->listed);
}

/* --- names --- */

static void each_listed_name_is_found(void **state)
{
	struct fixture *f = *state;
	struct hls_object object;

	camera(f, 40, STEP_US);
	assert_int_equal(find(f, "s-1.m4s", &object), 0);
	assert_int_equal(object.from, 1);
	assert_int_equal(object.until, 31);
	assert_int_equal(find(f, "p-31.m4s", &object), 0);
	assert_int_equal(object.until, 37);
	assert_int_equal(find(f, "init-1.mp4", &object), 0);
	assert_int_equal(object.preamble, 3);
}

static void other_names_are_not_found(void **state)
{
	struct fixture *f = *state;
	struct hls_object object;

	assert_int_equal(find(f, "p-1.m4s", &object), -ENOENT);
	assert_int_equal(find(f, "p-0.m4s", &object), -ENOENT);
	assert_int_equal(find(f, "init-0.mp4", &object), -ENOENT);
	camera(f, 40, STEP_US);
	assert_int_equal(find(f, "s-2.m4s", &object), -ENOENT);
	assert_int_equal(find(f, "s-31.m4s", &object), -ENOENT); /* not finished */
	assert_int_equal(find(f, "p-32.m4s", &object), -ENOENT);
	assert_int_equal(find(f, "p-38.m4s", &object), -ENOENT);
	assert_int_equal(find(f, "p-43.m4s", &object), -ENOENT);
	assert_int_equal(find(f, "init-2.mp4", &object), -ENOENT);
}

static void the_hinted_part_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct hls_object object;

	camera(f, 36, STEP_US);
	assert_int_equal(find(f, "p-37.m4s", &object), -EAGAIN);
	camera(f, 5, STEP_US);
	assert_int_equal(find(f, "p-37.m4s", &object), -EAGAIN);
	camera(f, 1, STEP_US);
	assert_int_equal(find(f, "p-37.m4s", &object), 0);
	assert_int_equal(object.until, 43);
}

static void a_segment_is_found_after_it_left_the_playlist_until_it_leaves_the_log(void **state)
{
	struct fixture *f = *state;
	struct hls_object object;

	camera(f, 10 * 30, STEP_US);
	assert_not_listed(f, "s-61.m4s");
	assert_int_equal(find(f, "s-61.m4s", &object), 0);
	hls_timeline_trim(f->timeline, 62);
	assert_int_equal(find(f, "s-61.m4s", &object), -ENOENT);
	assert_int_equal(find(f, "p-61.m4s", &object), -ENOENT);
	assert_int_equal(find(f, "s-91.m4s", &object), 0);
}

static void names_that_are_none(void **state)
{
	static const char *const names[] = {
		"",	    "s-",	"s-.m4s",    "s-1",	  "s-1.m4s/",
		"s-01.m4s", "s--1.m4s", "s-+1.m4s",  "s-1.mp4",	  "init-1.m4s",
		"p-1",	    "p- 1.m4s", "S-1.m4s",   "init-.mp4", "s-1.m4s?x",
		"../x",	    "s-1x.m4s", "s-0x1.m4s", "q-1.m4s",	  "s-18446744073709551616.m4s",
	};
	struct hls_name name;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(hls_name_parse(&name, names[i]), -EINVAL);
	assert_int_equal(hls_name_parse(&name, "s-18446744073709551615.m4s"), 0);
	assert_true(name.kind == HLS_SEGMENT && name.number == UINT64_MAX);
}

/* --- blocking reload --- */

static void a_reload_waits_for_its_part(void **state)
{
	struct fixture *f = *state;

	camera(f, 30 + 6, STEP_US); /* 1000 is finished, 1001 has one part */
	assert_int_equal(reload(f, MSN + 1, 0), 0);
	assert_int_equal(reload(f, MSN + 1, 1), -EAGAIN);
	assert_int_equal(reload(f, MSN + 1, -1), -EAGAIN);
	assert_int_equal(reload(f, MSN, -1), 0);
	assert_int_equal(reload(f, 5, 77), 0);
	camera(f, 6, STEP_US);
	assert_int_equal(reload(f, MSN + 1, 1), 0);
	camera(f, 19, STEP_US);
	assert_int_equal(reload(f, MSN + 1, -1), 0);
}

static void a_part_behind_the_last_one_is_the_next_segments_first(void **state)
{
	struct fixture *f = *state;

	camera(f, 31, STEP_US); /* 1000 had five parts */
	assert_int_equal(reload(f, MSN, 4), 0);
	assert_int_equal(reload(f, MSN, 5), -EAGAIN);
	camera(f, 5, STEP_US);
	assert_int_equal(reload(f, MSN, 5), 0);
}

static void a_reload_that_is_too_far_ahead_is_wrong(void **state)
{
	struct fixture *f = *state;

	camera(f, 31, STEP_US); /* the last segment is 1000 */
	assert_int_equal(reload(f, MSN + 2, -1), -EAGAIN);
	assert_int_equal(reload(f, MSN + 2, 0), -EAGAIN);
	assert_int_equal(reload(f, MSN + 3, -1), -EINVAL);
	assert_int_equal(reload(f, MSN + 3, 0), -EINVAL);
	assert_int_equal(reload(f, UINT64_MAX, -1), -EINVAL);
	assert_int_equal(reload(f, MSN + 1, 13), -EAGAIN); /* three seconds of parts */
	assert_int_equal(reload(f, MSN + 1, 14), -EINVAL);
}

static void queries_of_any_order_are_understood(void **state)
{
	struct hls_reload wanted;

	(void)state;
	assert_int_equal(hls_reload_parse(&wanted, NULL), 0);
	assert_false(wanted.has_msn);
	assert_int_equal(hls_reload_parse(&wanted, "token=x&_HLS_part=2&_HLS_skip=YES&_HLS_msn=70"),
			 0);
	assert_true(wanted.has_msn && wanted.has_part && wanted.msn == 70 && wanted.part == 2);
}

static void wrong_queries_are_refused(void **state)
{
	static const char *const queries[] = {
		"_HLS_part=1",		 "_HLS_msn=",
		"_HLS_msn=-1",		 "_HLS_msn=1x",
		"_HLS_msn=1&_HLS_msn=1", "_HLS_msn= 1",
		"_HLS_msn=1&_HLS_part=", "_HLS_msn=99999999999999999999999",
	};
	struct hls_reload wanted;

	(void)state;
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
		assert_int_equal(hls_reload_parse(&wanted, queries[i]), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_playlist_reads_like_this),
		TEST(a_part_is_listed_with_its_last_unit_and_does_not_wait_for_the_next),
		TEST(nothing_is_listed_before_the_first_part),
		TEST(parts_are_listed_for_three_finished_segments),
		TEST(short_groups_are_joined_to_a_second),
		TEST(a_forced_key_picture_never_makes_a_segment_too_long),
		TEST(a_key_picture_is_due_when_a_camera_becomes_slow),
		TEST(a_key_picture_is_due_in_time_at_any_rate),
		TEST(a_key_picture_is_due_where_nothing_has_begun),
		TEST(a_segment_ends_without_a_key_picture_where_none_comes),
		TEST(groups_of_unknown_length_are_joined_to_half_of_the_target),
		TEST(parts_keep_to_their_target_at_any_rate),
		TEST(uneven_pictures_do_not_add_up_to_an_error),
		TEST(the_parts_of_a_segment_add_up_to_it),
		TEST(a_time_without_pictures_is_of_no_part),
		TEST(reordered_pictures_keep_their_time),
		TEST(a_gap_ends_a_segment_and_is_a_discontinuity),
		TEST(units_behind_a_gap_are_left_out_until_a_key_picture),
		TEST(other_parameters_are_a_discontinuity_with_another_map),
		TEST(a_clock_that_jumps_at_a_key_picture_is_a_discontinuity),
		TEST(discontinuities_are_counted_when_they_leave_the_playlist),
		TEST(the_playlist_is_longer_than_three_targets_and_not_much),
		TEST(what_left_the_log_is_not_listed),
		TEST(a_pause_keeps_the_numbers),
		TEST(the_longest_playlist_has_room),
		TEST(each_listed_name_is_found),
		TEST(other_names_are_not_found),
		TEST(the_hinted_part_is_waited_for),
		TEST(a_segment_is_found_after_it_left_the_playlist_until_it_leaves_the_log),
		TEST(names_that_are_none),
		TEST(a_reload_waits_for_its_part),
		TEST(a_part_behind_the_last_one_is_the_next_segments_first),
		TEST(a_reload_that_is_too_far_ahead_is_wrong),
		TEST(queries_of_any_order_are_understood),
		TEST(wrong_queries_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
