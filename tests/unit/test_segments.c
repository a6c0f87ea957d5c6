/* SPDX-License-Identifier: BSD-2-Clause */
/* When the pictures of HLS go on, and what a playlist may name. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/source/segments.h"

/* What was opened, with which options, and what is delivered. */
static unsigned n_opened;
static char opened[512];
static const char *body = "";

int __wrap_avio_open2(AVIOContext **out, const char *url, int flags,
		      const AVIOInterruptCB *interrupt, AVDictionary **options);
int __real_avio_open2(AVIOContext **out, const char *url, int flags,
		      const AVIOInterruptCB *interrupt, AVDictionary **options);

int __wrap_avio_open2(AVIOContext **out, const char *url, int flags,
		      const AVIOInterruptCB *interrupt, AVDictionary **options)
{
	char *text, *data = malloc(strlen(body) + 8);
	int r;

	(void)url, (void)flags, (void)interrupt;
	assert_non_null(data);
	sprintf(data, "data:,%s", body);
	r = __real_avio_open2(out, data, AVIO_FLAG_READ, NULL, NULL);
	free(data);
	assert_int_equal(r, 0);
	assert_true(av_dict_get_string(*options, &text, '=', '&') >= 0);
	snprintf(opened, sizeof opened, "%s", text);
	av_free(text);
	av_dict_set(options, "referer", NULL, 0); /* the one that is taken */
	n_opened++;
	return 0;
}

#define NOW_US INT64_C(5000000000)
#define STEP_US 33333

static void a_segment_that_comes_at_once_keeps_its_rhythm(void **state)
{
	struct segments segments = {.url = "http://x"};

	(void)state;
	for (int i = 0; i < 200; i++)
		assert_int_equal(segments_due_us(&segments, 77000000 + i * STEP_US, NOW_US + i),
				 NOW_US + i * STEP_US);
}

static void a_late_picture_goes_on_at_once_and_the_rhythm_stays(void **state)
{
	struct segments segments = {.url = "http://x"};

	(void)state;
	segments_due_us(&segments, 0, NOW_US);
	assert_true(segments_due_us(&segments, STEP_US, NOW_US + 900000) < NOW_US + 900000);
	assert_int_equal(segments_due_us(&segments, 1000000, NOW_US + 900000), NOW_US + 1000000);
}

static void behind_a_stall_there_is_a_new_rhythm(void **state)
{
	struct segments segments = {.url = "http://x"};

	(void)state;
	segments_due_us(&segments, 0, NOW_US);
	assert_int_equal(segments_due_us(&segments, STEP_US, NOW_US + 5000000), NOW_US + 5000000);
	assert_int_equal(segments_due_us(&segments, 2 * STEP_US, NOW_US + 5000000),
			 NOW_US + 5000000 + STEP_US);
}

static void timestamps_that_jump_hold_nothing_up(void **state)
{
	static const int64_t jumps[] = {SEGMENTS_JUMP_US + STEP_US + 1,
					-5000000,
					INT64_MAX,
					INT64_MIN,
					0,
					INT64_MIN,
					INT64_MAX};
	struct segments segments = {.url = "http://x"};

	(void)state;
	segments_due_us(&segments, STEP_US, NOW_US);
	for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++)
		assert_int_equal(segments_due_us(&segments, jumps[i], NOW_US), NOW_US);
}

static void a_playlist_names_no_files_and_no_other_scheme(void **state)
{
	static const char *const urls[] = {"file:///etc/passwd",
					   "/etc/passwd",
					   "http://127.0.0.1:1/x",
					   "httpsx://127.0.0.1:1/x",
					   "https",
					   "tcp://127.0.0.1:1",
					   "crypto+https://127.0.0.1:1/x",
					   "concat:/etc/passwd",
					   ""};
	AVFormatContext *input = avformat_alloc_context();
	AVDictionary *options = NULL;
	struct segments segments;
	AVIOContext *io = NULL;

	(void)state;
	assert_int_equal(segments_init(&segments, "https://x/y.m3u8", NULL), 0);
	assert_true(segments_attach(&segments, input, &options) >= 0);
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
		assert_int_equal(input->io_open(input, &io, urls[i], AVIO_FLAG_READ, NULL),
				 AVERROR(EPERM));
	assert_int_equal(input->io_open(input, &io, "https://127.0.0.1:1/x", AVIO_FLAG_WRITE, NULL),
			 AVERROR(EPERM));
	assert_null(io);
	assert_int_equal(n_opened, 0);
	av_dict_free(&options);
	segments_finish(&segments);
	avformat_free_context(input);
}

/* Writes the options with which a part of a playlist is opened. */
static void open_part(const char *playlist, const char *url, char *out, size_t size)
{
	AVFormatContext *input = avformat_alloc_context();
	AVDictionary *given = NULL, *options = NULL, *unused = NULL;
	struct segments segments;
	AVIOContext *io = NULL;

	assert_true(av_dict_parse_string(&given,
					 "headers=a&cookies=b&cert_file=c&key_file=d&ca_file=e&"
					 "tls_verify=1&timeout=5&user_agent=f&auth_type=basic",
					 "=", "&", 0) >= 0);
	/* From the playlist, or as libavformat is asked for a part of a file. */
	assert_true(av_dict_parse_string(&options, "cookies=g&referer=h&offset=7", "=", "&", 0) >=
		    0);
	assert_int_equal(segments_init(&segments, playlist, given), 0);
	assert_true(segments_attach(&segments, input, &unused) >= 0);
	assert_int_equal(input->io_open(input, &io, url, AVIO_FLAG_READ, &options), 0);
	input->io_close2(input, io);
	snprintf(out, size, "%s", opened);
	/* What libavformat gave, and was not taken, is left; ours are not added to it. */
	assert_null(av_dict_get(options, "referer", NULL, 0));
	assert_null(av_dict_get(options, "ca_file", NULL, 0));
	assert_string_equal(av_dict_get(options, "offset", NULL, 0)->value, "7");
	av_dict_free(&given);
	av_dict_free(&options);
	av_dict_free(&unused);
	segments_finish(&segments);
	avformat_free_context(input);
}

static void secrets_go_to_the_server_of_the_playlist(void **state)
{
	static const struct {
		const char *playlist, *part;
	} cases[] = {
		{"https://x/y.m3u8", "https://x/z.ts"},
		{"https://x/y.m3u8", "https://X:443/z.ts"},
		{"https://x:443/y.m3u8", "https://x"},
		{"https://x:444/y.m3u8", "https://x:444/z.ts"},
		{"http://u:p@x:80/y.m3u8", "http://x/z.ts"},
		{"http://[::1]:81/y.m3u8", "http://[::1]:81/z.ts?a@b:82"},
	};
	char got[512];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		open_part(cases[i].playlist, cases[i].part, got, sizeof got);
		assert_non_null(strstr(got, "headers=a"));
		assert_non_null(strstr(got, "cookies=b"));
		assert_non_null(strstr(got, "cert_file=c"));
		assert_non_null(strstr(got, "key_file=d"));
		assert_non_null(strstr(got, "user_agent=f"));
	}
}

static void other_servers_get_no_secrets_and_are_checked(void **state)
{
	static const struct {
		const char *playlist, *part;
	} cases[] = {
		{"https://x/y.m3u8", "https://y/z.ts"},
		{"https://x/y.m3u8", "https://x:444/z.ts"},
		{"https://x:444/y.m3u8", "https://x/z.ts"},
		{"https://x/y.m3u8", "https://x.y/z.ts"},
		{"https://x/y.m3u8", "https://x@y/z.ts"},
		{"https://x/y.m3u8", "https://x:443@y/z.ts"},
		{"https://x.y/y.m3u8", "https://x/z.ts"},
		{"http://x/y.m3u8", "http://x:443/z.ts"},
		{"http://[::1]:81/y.m3u8", "http://[::2]:81/z.ts"},
	};
	char got[512];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		open_part(cases[i].playlist, cases[i].part, got, sizeof got);
		assert_string_equal(got, "offset=7&ca_file=e&tls_verify=1&timeout=5");
	}
}

/* Reads a part with this body into out, which it terminates. Returns its length, or an error. */
static int read_body(struct segments *segments, const char *text, char *out, size_t size)
{
	AVFormatContext *input = avformat_alloc_context();
	AVDictionary *unused = NULL;
	AVIOContext *io = NULL;
	int n;

	body = text;
	assert_true(segments_attach(segments, input, &unused) >= 0);
	assert_int_equal(input->io_open(input, &io, "http://x/y", AVIO_FLAG_READ, NULL), 0);
	n = avio_read(io, (uint8_t *)out, (int)size - 1);
	out[n > 0 ? n : 0] = '\0';
	input->io_close2(input, io);
	av_dict_free(&unused);
	avformat_free_context(input);
	body = "";
	return n;
}

#define HEAD "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"

static void every_byte_of_a_part_counts(void **state)
{
	struct segments segments = {.url = "http://x/y.m3u8"};
	static char text[200001], got[sizeof text];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	assert_int_equal(read_body(&segments, text, got, sizeof got), sizeof text - 1);
	assert_string_equal(got, text);
	assert_int_equal(segments.n_read, sizeof text - 1);
	assert_int_equal(read_body(&segments, "#EXT", got, sizeof got), 4);
	assert_string_equal(got, "#EXT");
	assert_int_equal(read_body(&segments, HEAD, got, sizeof got), strlen(HEAD));
	assert_string_equal(got, HEAD);
	assert_int_equal(segments.n_read, sizeof text - 1 + 4 + strlen(HEAD));
	assert_int_equal(read_body(&segments, "", got, sizeof got), AVERROR_EOF);
	segments_finish(&segments);
}

/* libavformat kept each initialization section that a playlist named, at each refresh. */
static void a_refresh_names_nothing_that_is_kept(void **state)
{
	static const char first[] = HEAD "#EXT-X-MAP:URI=\"i.mp4\"\r\n#EXTINF:1,\na.m4s\r"
					 "#EXT-X-MEDIA:TYPE=AUDIO\n#EXT-X-STREAM-INF:\nb\n"
					 "#EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP:URI=\"j\"";
	static const char later[] = HEAD "##XT-X-MAP:URI=\"i.mp4\"\r\n#EXTINF:1,\na.m4s\r"
					 "##XT-X-MEDIA:TYPE=AUDIO\n##XT-X-STREAM-INF:\nb\n"
					 "#EXT-X-KEY:METHOD=NONE\n##XT-X-MAP:URI=\"j\"";
	struct segments segments = {.url = "http://x/y.m3u8"};
	char got[512];

	(void)state;
	read_body(&segments, first, got, sizeof got);
	assert_string_equal(got, first);
	segments.opened = true;
	read_body(&segments, first, got, sizeof got);
	assert_string_equal(got, later);
	segments_finish(&segments);
}

static char *many(const char *line, size_t n)
{
	size_t len = strlen(line);
	char *text = malloc(sizeof HEAD + n * len);

	assert_non_null(text);
	strcpy(text, HEAD);
	for (size_t i = 0; i < n; i++)
		memcpy(text + strlen(HEAD) + i * len, line, len + 1);
	return text;
}

static void the_opening_names_a_bounded_number_of_variants(void **state)
{
	struct segments segments = {.url = "http://x/y.m3u8"};
	char *text = many("#EXT-X-MAP:i\n", SEGMENTS_KEPT_MAX - 1), got[8192];

	(void)state;
	read_body(&segments, text, got, sizeof got);
	assert_string_equal(got, text);
	free(text);
	text = many("#EXT-X-STREAM-INF:\nb\n", 2);
	read_body(&segments, text, got, sizeof got);
	assert_string_equal(got, HEAD "#EXT-X-STREAM-INF:\nb\n##XT-X-STREAM-INF:\nb\n");
	free(text);
	segments_finish(&segments);
}

static void a_playlist_without_end_is_refused(void **state)
{
	static const struct {
		const char *line;
		size_t fine, many;
	} cases[] = {
		{"#x\n", 500000, SEGMENTS_PLAYLIST_MAX / 3},
		{"x\n", SEGMENTS_PARTS_MAX, SEGMENTS_PARTS_MAX + 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct segments segments = {.url = "http://x/y.m3u8"};
		char *text = many(cases[i].line, cases[i].fine), got[64];

		/* Each time when it is read again. */
		for (int n = 0; n < 3; n++) {
			assert_int_equal(read_body(&segments, text, got, sizeof got), 63);
			assert_null(segments.wrong);
			segments.opened = true;
		}
		free(text);
		text = many(cases[i].line, cases[i].many);
		assert_true(read_body(&segments, text, got, sizeof got) < 0);
		assert_string_equal(segments.wrong, "a playlist of HLS is too long");
		free(text);
		segments_finish(&segments);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_that_comes_at_once_keeps_its_rhythm),
		cmocka_unit_test(a_late_picture_goes_on_at_once_and_the_rhythm_stays),
		cmocka_unit_test(behind_a_stall_there_is_a_new_rhythm),
		cmocka_unit_test(timestamps_that_jump_hold_nothing_up),
		cmocka_unit_test(a_playlist_names_no_files_and_no_other_scheme),
		cmocka_unit_test(secrets_go_to_the_server_of_the_playlist),
		cmocka_unit_test(other_servers_get_no_secrets_and_are_checked),
		cmocka_unit_test(every_byte_of_a_part_counts),
		cmocka_unit_test(a_refresh_names_nothing_that_is_kept),
		cmocka_unit_test(the_opening_names_a_bounded_number_of_variants),
		cmocka_unit_test(a_playlist_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
