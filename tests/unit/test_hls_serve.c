/* SPDX-License-Identifier: BSD-2-Clause */
/* HLS over HTTP from the log of a feed: requests that wait, what they get, and for how long the
 * feed is wanted. Which units a playlist has is in test_hls.c. */
#include "tests/unit/feed_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/serve/hls.h"

#define HEARD_MAX (1 << 20)
#define UNIT_LEN 6000
#define SECOND_US 1000000

struct fixture {
	struct rig rig;
	struct http http;
	struct endpoint questions, many;
	struct quota viewers;
	struct config_camera camera;
	struct hls *hls;
	unsigned gop; /* units from key to key */
	unsigned since_key;
	char heard[HEARD_MAX + 1];
	size_t len;
};

static void answer(void *user, const struct http_request *request, struct http_question *question)
{
	struct fixture *f = user;

	if (strcmp(request->path, "/s.m3u8") == 0)
		hls_answer_playlist(f->hls, request, question);
	else if (strncmp(request->path, "/s/", 3) == 0)
		hls_answer_object(f->hls, request->path + 3, request, question);
	else
		http_reply(question, 405, NULL, NULL, 0);
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	struct hls_setup options;

	memset(f, 0, sizeof *f);
	rig_init(&f->rig, **(enum config_backend **)state);
	strcpy(f->rig.policy.name, "s");
	f->rig.policy.keyframe_interval = 30;
	rig_start(&f->rig);
	f->camera.framerate = (struct rate){30, 1};
	f->gop = 30;
	f->http = (struct http){.handler = answer, .user = f};
	f->viewers = (struct quota){.name = "feed s/mp4", .max = 100, .viewers = true};
	http_init_endpoint(&f->questions, &f->http);
	http_init_viewers(&f->many, &f->http, &f->viewers);
	options = (struct hls_setup){.stream = &f->rig.policy,
				     .camera = &f->camera,
				     .feed = f->rig.feed,
				     .viewers = &f->many};
	assert_int_equal(hls_create(&f->hls, f->rig.loop, &options), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hls_destroy(f->hls);
	rig_stop(&f->rig);
	return 0;
}

static void camera(struct fixture *f, unsigned units)
{
	while (units-- > 0) {
		rig_unit(&f->rig, UNIT_LEN, f->since_key == 0 ? KEY : 0);
		f->since_key = (f->since_key + 1) % f->gop;
		rig_pass(&f->rig, RIG_FRAME_US);
	}
}

static int dial(struct fixture *f)
{
	int ends[2], on = 1;

	rig_pair(ends, 0);
	assert_int_equal(setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
	server_accept(f->rig.server, &f->questions, ends[0]);
	rig_settle(f->rig.loop);
	return ends[1];
}

static void ask(struct fixture *f, int fd, const char *path)
{
	char text[256];
	int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);

	assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
	rig_settle(f->rig.loop);
}

/* Reads what there is; "" : nothing. */
static const char *hear(struct fixture *f, int fd)
{
	struct pollfd more = {.fd = fd, .events = POLLIN};
	ssize_t n;

	f->len = 0;
	do {
		rig_settle(f->rig.loop);
		n = recv(fd, f->heard + f->len, HEARD_MAX - f->len, MSG_DONTWAIT);
		f->len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EAGAIN && poll(&more, 1, 20) > 0));
	f->heard[f->len] = '\0';
	return f->heard;
}

static const char *get(struct fixture *f, int fd, const char *path)
{
	ask(f, fd, path);
	return hear(f, fd);
}

static void assert_status(const struct fixture *f, const char *status)
{
	if (f->len < 12 || memcmp(f->heard + 9, status, 3) != 0)
		fail_msg("not %s: %.60s", status, f->heard);
}

static void assert_has(const struct fixture *f, const char *what)
{
	if (!strstr(f->heard, what))
		fail_msg("no \"%s\" in:\n%s", what, f->heard);
}

/* The path of the first name in the playlist that begins so. */
static void listed(const struct fixture *f, const char *begin, char path[96])
{
	const char *at = strstr(f->heard, "\r\n\r\n");
	size_t len;

	for (at = at ? strstr(at, "s/") : NULL; at; at = strstr(at + 1, "s/")) {
		len = strcspn(at, "\"\n");
		if (len > 11 && strncmp(at + 11, begin, strlen(begin)) == 0) {
			snprintf(path, 96, "/%.*s", (int)len, at);
			return;
		}
	}
	fail_msg("no %s in:\n%s", begin, f->heard);
}

static uint64_t number_after(const struct fixture *f, const char *tag)
{
	const char *at = strstr(f->heard, tag);

	assert_non_null(at);
	return strtoull(at + strlen(tag), NULL, 10);
}

static uint64_t msn(const struct fixture *f)
{
	return number_after(f, "#EXT-X-MEDIA-SEQUENCE:");
}

static void assert_units(struct fixture *f, uint32_t from, uint32_t until)
{
	const char *body = strstr(f->heard, "\r\n\r\n");
	uint8_t unit[UNIT_LEN];

	assert_non_null(body);
	body += 4;
	assert_int_equal(f->len - (size_t)(body - f->heard), (until - from) * UNIT_LEN);
	for (; from < until; from++, body += UNIT_LEN) {
		rig_make_unit(unit, from, UNIT_LEN, from % f->gop == 0 ? KEY : 0);
		assert_memory_equal(body, unit, UNIT_LEN);
	}
}

/* --- the playlist --- */

static void the_first_request_waits_for_a_segment(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	assert_string_equal(get(f, fd, "/s.m3u8"), "");
	assert_int_equal(f->rig.watched, 1);
	assert_int_equal(f->viewers.used, 1);
	camera(f, 30);
	assert_string_equal(hear(f, fd), "");
	camera(f, 1);
	hear(f, fd);
	assert_status(f, "200");
	assert_has(f, "\r\nContent-Type: application/vnd.apple.mpegurl\r\n");
	assert_has(f, "\r\nCache-Control: public, max-age=1\r\n");
	assert_int_equal(number_after(f, "#EXTINF:"), 0); /* 0.99999 */
	close(fd);
}

static void a_feed_that_is_live_already_has_a_playlist_at_once(void **state)
{
	struct fixture *f = *state;
	struct viewer *viewer = viewer_join(&f->rig, 0);
	int fd;

	camera(f, 75);
	fd = dial(f);
	get(f, fd, "/s.m3u8");
	assert_status(f, "200");
	assert_has(f, "s-1.m4s");
	viewer_leave(viewer);
	close(fd);
}

static void a_reload_waits_for_its_part_and_may_be_cached(void **state)
{
	struct fixture *f = *state;
	char path[64];
	int fd = dial(f);

	ask(f, fd, "/s.m3u8");
	camera(f, 31);
	hear(f, fd);
	snprintf(path, sizeof path, "/s.m3u8?_HLS_msn=%llu&_HLS_part=0",
		 (unsigned long long)msn(f) + 1);
	assert_string_equal(get(f, fd, path), "");
	camera(f, 4);
	assert_string_equal(hear(f, fd), "");
	camera(f, 1);
	hear(f, fd);
	assert_status(f, "200");
	assert_has(f, "p-31.m4s\",INDEPENDENT=YES\n");
	assert_has(f, "\r\nCache-Control: public, max-age=6\r\n");
	close(fd);
}

static void many_that_wait_for_the_same_get_the_same(void **state)
{
	struct fixture *f = *state;
	char path[64], first[8192] = "";
	int fds[60];

	fds[0] = dial(f);
	ask(f, fds[0], "/s.m3u8");
	camera(f, 31);
	hear(f, fds[0]);
	snprintf(path, sizeof path, "/s.m3u8?_HLS_msn=%llu", (unsigned long long)msn(f) + 1);
	for (int i = 0; i < 60; i++) {
		fds[i] = i ? dial(f) : fds[0];
		ask(f, fds[i], path);
	}
	close(fds[17]); /* it does not wait any more */
	camera(f, 30);
	for (int i = 0; i < 60; i++) {
		if (i == 17)
			continue;
		hear(f, fds[i]);
		assert_status(f, "200");
		if (i > 0)
			assert_string_equal(strstr(f->heard, "#EXTM3U"), first);
		snprintf(first, sizeof first, "%s", strstr(f->heard, "#EXTM3U"));
		close(fds[i]);
	}
}

static void requests_too_far_ahead_or_malformed_are_wrong(void **state)
{
	struct fixture *f = *state;
	char path[64];
	int fd = dial(f);

	ask(f, fd, "/s.m3u8");
	camera(f, 31);
	hear(f, fd);
	snprintf(path, sizeof path, "/s.m3u8?_HLS_msn=%llu", (unsigned long long)msn(f) + 3);
	get(f, fd, path);
	assert_status(f, "400");
	get(f, fd, "/s.m3u8?_HLS_part=1");
	assert_status(f, "400");
	assert_has(f, "max-age=1\r\n");
	close(fd);
}

static void a_request_that_nothing_comes_for_ends_after_three_targets(void **state)
{
	struct fixture *f = *state;
	char path[96];
	int fds[2] = {dial(f), dial(f)};

	ask(f, fds[0], "/s.m3u8");
	camera(f, 31);
	hear(f, fds[0]);
	listed(f, "p-31.", path);
	ask(f, fds[1], path);
	snprintf(path, sizeof path, "/s.m3u8?_HLS_msn=%llu", (unsigned long long)msn(f) + 1);
	ask(f, fds[0], path);
	for (int i = 0; i < 29; i++)
		rig_pass(&f->rig, SECOND_US / 10);
	for (int i = 0; i < 2; i++)
		assert_string_equal(hear(f, fds[i]), "");
	for (int i = 0; i < 5; i++)
		rig_pass(&f->rig, SECOND_US / 10);
	for (int i = 0; i < 2; i++) {
		hear(f, fds[i]);
		assert_status(f, "503");
		assert_has(f, "\r\nCache-Control: no-store\r\n");
		close(fds[i]);
	}
}

static void requests_wait_longer_where_key_pictures_are_far_apart(void **state)
{
	struct fixture *f = *state;
	char path[64];
	int fd = dial(f);

	f->rig.policy.keyframe_interval = 120; /* a target of four seconds */
	f->gop = 120;
	ask(f, fd, "/s.m3u8");
	for (int i = 0; i < 100; i++) /* the camera takes ten seconds to start */
		rig_pass(&f->rig, SECOND_US / 10);
	camera(f, 121);
	hear(f, fd);
	assert_status(f, "200");
	snprintf(path, sizeof path, "/s.m3u8?_HLS_msn=%llu", (unsigned long long)msn(f) + 1);
	ask(f, fd, path);
	for (int i = 0; i < 115; i++)
		rig_pass(&f->rig, SECOND_US / 10);
	assert_string_equal(hear(f, fd), "");
	for (int i = 0; i < 10; i++)
		rig_pass(&f->rig, SECOND_US / 10);
	hear(f, fd);
	assert_status(f, "503");
	close(fd);
}

static void a_viewer_more_than_there_are_places_for_is_refused(void **state)
{
	struct fixture *f = *state;
	int fds[2] = {dial(f), dial(f)};

	f->viewers.max = 1;
	ask(f, fds[0], "/s.m3u8");
	get(f, fds[1], "/s.m3u8");
	assert_status(f, "503");
	close(fds[0]);
	close(fds[1]);
}

/* --- what it names --- */

static void segments_and_parts_are_ranges_of_the_log(void **state)
{
	struct fixture *f = *state;
	char segment[96], part[96];
	int fd = dial(f);

	ask(f, fd, "/s.m3u8");
	camera(f, 31);
	hear(f, fd);
	listed(f, "s-1.", segment);
	listed(f, "p-7.", part);
	get(f, fd, segment);
	assert_status(f, "200");
	assert_has(f, "\r\nCache-Control: public, max-age=60, immutable\r\n");
	assert_has(f, "\r\nContent-Type: video/mp4\r\n");
	assert_units(f, 0, 30);
	get(f, fd, part);
	assert_units(f, 6, 12);
	close(fd);
}

static void the_hinted_part_comes_with_its_last_unit(void **state)
{
	struct fixture *f = *state;
	char path[96];
	int fd = dial(f);

	ask(f, fd, "/s.m3u8");
	camera(f, 31);
	hear(f, fd);
	listed(f, "p-31.", path);
	assert_string_equal(get(f, fd, path), "");
	camera(f, 4);
	assert_string_equal(hear(f, fd), "");
	camera(f, 1);
	hear(f, fd);
	assert_units(f, 30, 36);
	close(fd);
}

static void the_initialization_section_is_the_preamble(void **state)
{
	struct fixture *f = *state;
	char path[96];
	int fd = dial(f);

	assert_int_equal(feed_set_preamble(f->rig.feed, "ftypmoov", 8), 0);
	ask(f, fd, "/s.m3u8");
	camera(f, 31);
	hear(f, fd);
	listed(f, "init-1.mp4", path);
	get(f, fd, path);
	assert_status(f, "200");
	assert_has(f, "immutable\r\n");
	assert_string_equal(strstr(f->heard, "\r\n\r\n"), "\r\n\r\nftypmoov");
	close(fd);
}

static void names_that_no_playlist_had_are_not_found(void **state)
{
	static const char *const names[] = {"s-2.m4s",	"p-2.m4s", "init-2.mp4", "s-31.m4s",
					    "p-38.m4s", "",	   "s-1.m4s/",	 "../s.m3u8"};
	struct fixture *f = *state;
	char path[96], other[192];
	int fd = dial(f);

	get(f, fd, "/s/00000000/s-1.m4s");
	assert_status(f, "404");
	ask(f, fd, "/s.m3u8");
	camera(f, 31);
	hear(f, fd);
	listed(f, "s-1.", path);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(other, sizeof other, "%.12s%s", path, names[i]);
		get(f, fd, other);
		assert_status(f, "404");
		assert_has(f, "\r\nCache-Control: public, max-age=1\r\n");
	}
	path[4] = path[4] == '0' ? '1' : '0'; /* another epoch */
	get(f, fd, path);
	assert_status(f, "404");
	close(fd);
}

/* --- over time --- */

static void units_stay_while_players_may_ask_for_them(void **state)
{
	struct fixture *f = *state; /* history_ms is 3000 */
	const struct log *log = feed_log(f->rig.feed);
	char path[96];
	int fd = dial(f);

	ask(f, fd, "/s.m3u8");
	camera(f, 31);
	hear(f, fd);
	listed(f, "s-1.", path);
	assert_true(log->limits.bytes_max > 11ull * f->rig.policy.bitrate / 8);
	camera(f, 9 * 30);
	get(f, fd, path);
	assert_units(f, 0, 30);
	camera(f, 300);
	get(f, fd, path);
	assert_status(f, "404");
	get(f, fd, "/s.m3u8");
	assert_in_range(number_after(f, "#EXT-X-MEDIA-SEQUENCE:"), 1, UINT64_MAX);
	camera(f, 15 * 30);
	assert_in_range(log->head - log->tail, 90, 92); /* nobody asks any more */
	close(fd);
}

static void the_feed_is_let_go_and_numbers_go_on(void **state)
{
	struct fixture *f = *state;
	uint64_t last;
	int fd = dial(f);

	ask(f, fd, "/s.m3u8");
	camera(f, 61);
	hear(f, fd);
	last = msn(f);
	for (int i = 0; i < 8; i++)
		rig_pass(&f->rig, SECOND_US);
	assert_int_equal(f->rig.unwatched, 0);
	rig_pass(&f->rig, SECOND_US);
	rig_pass(&f->rig, SECOND_US);
	assert_int_equal(f->rig.unwatched, 1);
	feed_forget(f->rig.feed); /* as the worker's side does at the next demand */
	ask(f, fd, "/s.m3u8");
	assert_int_equal(f->rig.watched, 2);
	f->since_key = 0;
	camera(f, 30);
	assert_string_equal(hear(f, fd), "");
	camera(f, 1);
	hear(f, fd);
	assert_status(f, "200");
	assert_in_range(msn(f), last + 2, last + 3);
	assert_has(f, "#EXT-X-DISCONTINUITY\n");
	close(fd);
}

static void another_worker_is_a_discontinuity(void **state)
{
	struct fixture *f = *state;
	uint64_t first;
	int fd = dial(f);

	feed_set_preamble(f->rig.feed, "one", 3);
	ask(f, fd, "/s.m3u8");
	camera(f, 45);
	hear(f, fd);
	first = msn(f);
	feed_reset(f->rig.feed);
	f->rig.segment_id = 0;
	feed_set_preamble(f->rig.feed, "two", 3);
	rig_new_segment(&f->rig, 1 << 20);
	f->since_key = 0;
	rig_pass(&f->rig, SECOND_US);
	camera(f, 31);
	get(f, fd, "/s.m3u8");
	assert_int_equal(msn(f), first);
	assert_has(f, "s-31.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"s/");
	assert_has(f, "/init-2.mp4\"\n");
	assert_has(f, "s-46.m4s\n");
	close(fd);
}

static void a_key_picture_is_asked_for_when_none_comes_in_time(void **state)
{
	struct fixture *f = *state;
	unsigned idrs;
	int fd = dial(f);

	ask(f, fd, "/s.m3u8");
	f->gop = 1000;
	idrs = f->rig.idrs;
	camera(f, 33);
	assert_int_equal(f->rig.idrs, idrs);
	camera(f, 2);
	assert_int_equal(f->rig.idrs, idrs + 1);
	camera(f, 8);
	assert_int_equal(f->rig.idrs, idrs + 1);
	close(fd);
}

static void a_key_picture_is_asked_for_where_the_log_has_none(void **state)
{
	struct fixture *f = *state;
	struct viewer *viewer = viewer_join(&f->rig, 0);
	unsigned idrs;
	int fd;

	f->gop = 1000;
	camera(f, 100); /* history_ms is 3000 */
	idrs = f->rig.idrs;
	fd = dial(f);
	ask(f, fd, "/s.m3u8");
	assert_int_equal(f->rig.idrs, idrs + 1);
	camera(f, 3);
	assert_int_equal(f->rig.idrs, idrs + 1);
	f->since_key = 0;
	camera(f, 34);
	assert_int_equal(f->rig.idrs, idrs + 2); /* for the end of the segment */
	viewer_leave(viewer);
	close(fd);
}

static void key_pictures_at_other_times_are_another_playlist(void **state)
{
	struct fixture *f = *state;
	static struct config_stream slow;
	char before[96], now[96];
	uint64_t last;
	int fd = dial(f);

	ask(f, fd, "/s.m3u8");
	camera(f, 61);
	hear(f, fd);
	last = msn(f);
	listed(f, "s-1.", before);
	hls_renew(f->hls, &f->rig.policy, &f->camera); /* nothing has changed */
	get(f, fd, before);
	assert_status(f, "200");
	slow = f->rig.policy;
	slow.keyframe_interval = 120;
	hls_renew(f->hls, &slow, &f->camera);
	get(f, fd, before);
	assert_status(f, "404");
	f->gop = 120;
	f->since_key = 0;
	ask(f, fd, "/s.m3u8");
	camera(f, 121);
	hear(f, fd);
	assert_status(f, "200");
	assert_int_equal(number_after(f, "#EXT-X-TARGETDURATION:"), 4);
	assert_in_range(msn(f), last + 2, UINT64_MAX);
	listed(f, "s-62.", now);
	assert_memory_not_equal(now, before, strlen("/s/01234567"));
	get(f, fd, now);
	assert_status(f, "200");
	close(fd);
}

static void requests_that_wait_at_the_end_are_answered(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	ask(f, fd, "/s.m3u8");
	hls_destroy(f->hls);
	f->hls = NULL;
	hear(f, fd);
	assert_status(f, "503");
	assert_int_equal(f->rig.unwatched, 1);
	close(fd);
}

#define BOTH(test)                                                                                 \
	{#test " on epoll", test, setup, teardown, &rig_epoll},                                    \
	{                                                                                          \
#test " on io_uring", test, setup, teardown, &rig_uring                            \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(the_first_request_waits_for_a_segment),
		BOTH(a_feed_that_is_live_already_has_a_playlist_at_once),
		BOTH(a_reload_waits_for_its_part_and_may_be_cached),
		BOTH(many_that_wait_for_the_same_get_the_same),
		BOTH(requests_too_far_ahead_or_malformed_are_wrong),
		BOTH(a_request_that_nothing_comes_for_ends_after_three_targets),
		BOTH(requests_wait_longer_where_key_pictures_are_far_apart),
		BOTH(a_viewer_more_than_there_are_places_for_is_refused),
		BOTH(segments_and_parts_are_ranges_of_the_log),
		BOTH(the_hinted_part_comes_with_its_last_unit),
		BOTH(the_initialization_section_is_the_preamble),
		BOTH(names_that_no_playlist_had_are_not_found),
		BOTH(units_stay_while_players_may_ask_for_them),
		BOTH(the_feed_is_let_go_and_numbers_go_on),
		BOTH(another_worker_is_a_discontinuity),
		BOTH(a_key_picture_is_asked_for_when_none_comes_in_time),
		BOTH(a_key_picture_is_asked_for_where_the_log_has_none),
		BOTH(key_pictures_at_other_times_are_another_playlist),
		BOTH(requests_that_wait_at_the_end_are_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
