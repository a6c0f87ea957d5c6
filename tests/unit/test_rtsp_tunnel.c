/* SPDX-License-Identifier: BSD-2-Clause */
/* RTSP over HTTP: a GET that hears and a POST that speaks. */
#include "tests/unit/rtsp_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "daemon/rtsp/tunnel.h"

#define GET "GET /front HTTP/1.0\r\nx-sessioncookie: abc\r\n\r\n"
#define POST                                                                                       \
	"POST /front HTTP/1.0\r\nx-sessioncookie: abc\r\nContent-Type: "                           \
	"application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n\r\n"

static void post(struct rtsp_rig *r, int fd, const char *text)
{
	char coded[4096];

	EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)text, (int)strlen(text));
	rtsp_say(r, fd, coded);
}

static void open_tunnel(struct rtsp_rig *r, int *get, int *posts)
{
	*get = rtsp_dial(r, 0);
	*posts = rtsp_dial(r, 0);
	rtsp_say(r, *get, GET);
	rtsp_hear(r, *get);
	assert_non_null(strstr(r->heard, "HTTP/1.0 200 OK\r\n"));
	assert_non_null(strstr(r->heard, "Content-Type: application/x-rtsp-tunnelled\r\n\r\n"));
	rtsp_say(r, *posts, POST);
	assert_string_equal(rtsp_hear(r, *posts), ""); /* no answer, ever */
}

static void stop(struct rtsp_rig *r, int get, int posts)
{
	close(get);
	close(posts);
	rig_settle(r->rig.loop);
	assert_int_equal(r->door.quota->used + r->places.used, 0);
	rtsp_rig_stop(r);
}

static void play(struct rtsp_rig *r, int get, int posts)
{
	post(r, posts,
	     "SETUP rtsp://c/front/trackID=0 RTSP/1.0\r\nCSeq: 1\r\n" RTSP_TRANSPORT "\r\n");
	assert_non_null(strstr(rtsp_hear(r, get), "RTSP/1.0 200 OK\r\nCSeq: 1\r\n"));
	post(r, posts, "PLAY rtsp://c/front RTSP/1.0\r\nCSeq: 2\r\n\r\n");
	assert_non_null(strstr(rtsp_hear(r, get), "RTSP/1.0 200 OK\r\nCSeq: 2\r\n"));
}

static void requests_come_by_the_post_and_pictures_go_by_the_get(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	const uint8_t *unit;
	int get, posts;
	size_t len;

	open_tunnel(r, &get, &posts);
	rtsp_unit(r, true, 100, &len);
	play(r, get, posts);
	assert_int_equal(r->places.used, 2); /* each takes a place */
	for (int i = 0; i < 10; i++) {
		rig_pass(&r->rig, 60000000); /* and none of them ends */
		unit = rtsp_unit(r, true, 3000, &len);
		rtsp_hear(r, get);
		assert_int_equal(r->len, len);
		assert_memory_equal(r->heard, unit, len);
	}
	post(r, posts, "TEARDOWN rtsp://c/front RTSP/1.0\r\nCSeq: 3\r\n\r\n");
	assert_non_null(strstr(rtsp_hear(r, get), "RTSP/1.0 200 OK\r\nCSeq: 3\r\n"));
	assert_true(r->ended);
	stop(r, get, posts);
}

static void base64_may_be_cut_anywhere(void **state)
{
	static const char text[] = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
			  more[] = "OPTIONS * RTSP/1.0\r\nCSeq: 22\r\n\r\n";
	struct rtsp_rig *r = rtsp_rig_start(state);
	char coded[256];
	int get, posts, n;

	open_tunnel(r, &get, &posts);
	n = EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)text, sizeof text - 1);
	n += EVP_EncodeBlock((unsigned char *)coded + n, (const unsigned char *)more,
			     sizeof more - 1);
	for (int i = 0; i < n; i++) {
		assert_int_equal(send(posts, coded + i, 1, MSG_NOSIGNAL), 1);
		assert_int_equal(send(posts, "\r\n", 2, MSG_NOSIGNAL), 2);
		rig_settle(r->rig.loop);
	}
	rtsp_hear(r, get);
	assert_non_null(strstr(r->heard, "RTSP/1.0 200 OK\r\nCSeq: 1\r\n"));
	assert_non_null(strstr(r->heard, "RTSP/1.0 200 OK\r\nCSeq: 22\r\n"));
	stop(r, get, posts);
}

static void either_half_ends_the_other(void **state)
{
	for (int which = 0; which < 2; which++) {
		struct rtsp_rig *r = rtsp_rig_start(state);
		int get, posts;
		size_t len;

		open_tunnel(r, &get, &posts);
		rtsp_unit(r, true, 100, &len);
		play(r, get, posts);
		close(which ? get : posts);
		rig_settle(r->rig.loop);
		rtsp_hear(r, which ? posts : get);
		assert_true(r->ended);
		assert_int_equal(r->places.used, 0);
		close(which ? posts : get);
		rtsp_rig_stop(r);
	}
}

static void a_post_that_is_no_base64_ends_the_tunnel(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int get, posts;

	open_tunnel(r, &get, &posts);
	rtsp_say(r, posts, "AAAA!");
	rtsp_hear(r, get);
	assert_true(r->ended);
	stop(r, get, posts);
}

static void a_post_without_end_is_noise(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	char frame[1025];
	int get, posts;
	size_t len;

	open_tunnel(r, &get, &posts);
	rtsp_unit(r, true, 100, &len);
	play(r, get, posts);
	memset(frame, 'A', sizeof frame - 1);
	memcpy(frame, "JAEC/AAA", 8); /* a frame of 768 bytes, again and again */
	frame[sizeof frame - 1] = '\0';
	for (int i = 0; i < 80; i++) {
		if (send(posts, frame, 1024, MSG_NOSIGNAL) < 0)
			break;
		rig_settle(r->rig.loop);
	}
	rtsp_hear(r, get);
	assert_true(r->ended);
	assert_int_equal(feed_stats(r->rig.feed)->audience.left[CURSOR_END_NOISE], 1);
	stop(r, get, posts);
}

static void halves_that_do_not_fit_are_refused(void **state)
{
	static const char *const texts[] = {
		"POST /front HTTP/1.0\r\nx-sessioncookie: other\r\n\r\n", /* of no GET */
		POST,							  /* a second one */
		GET,							  /* the same cookie */
		"GET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.0\r\nx-sessioncookie: \r\n\r\n",
		"PUT / HTTP/1.0\r\nx-sessioncookie: new\r\nContent-Length: 1\r\n\r\n",
	};
	struct rtsp_rig *r = rtsp_rig_start(state);
	int get, posts;

	open_tunnel(r, &get, &posts);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		int fd = rtsp_dial(r, 0);

		rtsp_say(r, fd, texts[i]);
		assert_int_equal(strncmp(rtsp_hear(r, fd), "RTSP/1.0 4", 10), 0);
		assert_true(r->ended);
		close(fd);
	}
	post(r, posts, "OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n");
	assert_non_null(strstr(rtsp_hear(r, get), "RTSP/1.0 200 OK\r\nCSeq: 9\r\n"));
	stop(r, get, posts);
}

static void nothing_goes_beside_a_tunnel(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int get, posts;

	r->rtsp.udp = true;
	open_tunnel(r, &get, &posts);
	post(r, posts,
	     "SETUP rtsp://c/front/trackID=0 RTSP/1.0\r\nCSeq: 1\r\n"
	     "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n\r\n");
	assert_non_null(strstr(rtsp_hear(r, get), "RTSP/1.0 461 "));
	play(r, get, posts);
	stop(r, get, posts);
}

static void a_tunnel_that_does_not_play_ends(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int get, posts;

	open_tunnel(r, &get, &posts);
	rig_pass(&r->rig, 10100000);
	rtsp_hear(r, get);
	assert_true(r->ended);
	stop(r, get, posts);
}

static void padding_ends_a_text_and_another_one_may_follow(void **state)
{
	struct tunnel_base64 base64 = {0};
	uint8_t out[16];

	(void)state;
	assert_int_equal(tunnel_decode(&base64, (const uint8_t *)"YQ==YWI=YWJj", 12, out), 6);
	assert_memory_equal(out, "aababc", 6);
	assert_int_equal(tunnel_decode(&base64, (const uint8_t *)"Y", 1, out), 0);
	assert_int_equal(tunnel_decode(&base64, (const uint8_t *)"\r\n Q", 4, out), 1);
	assert_int_equal(out[0], 'a');
	assert_int_equal(tunnel_decode(&base64, (const uint8_t *)"\0", 1, out), -EBADMSG);
	assert_int_equal(tunnel_decode(&base64, (const uint8_t *)"-", 1, out), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(requests_come_by_the_post_and_pictures_go_by_the_get),
		ON_BOTH(base64_may_be_cut_anywhere),
		ON_BOTH(either_half_ends_the_other),
		ON_BOTH(a_post_that_is_no_base64_ends_the_tunnel),
		ON_BOTH(a_post_without_end_is_noise),
		ON_BOTH(halves_that_do_not_fit_are_refused),
		ON_BOTH(nothing_goes_beside_a_tunnel),
		ON_BOTH(a_tunnel_that_does_not_play_ends),
		cmocka_unit_test(padding_ends_a_text_and_another_one_may_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
