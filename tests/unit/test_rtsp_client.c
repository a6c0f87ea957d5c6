/* SPDX-License-Identifier: BSD-2-Clause */
/* A conversation with a server of RTSP that is played here: what is asked, and what becomes of
 * answers, also of wrong ones. Descriptions of streams, too. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/stream/login.h"
#include "client/stream/rtsp.h"

#define SECOND INT64_C(1000000)
#define SDP                                                                                        \
	"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\n"                       \
	"m=audio 0 RTP/AVP 8\r\na=control:track1\r\n"                                              \
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"                                       \
	"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAH9oBQBboQA==,aM48gA==\r\n"        \
	"a=control:track2\r\n"
#define IDR "$\0\0\x10\x80\xe0\0\1\0\0\0\1\0\0\0\7\x65\x88\x84\x21"
#define OK(cseq, headers) "RTSP/1.0 200 OK\r\nCSeq: " cseq "\r\n" headers "\r\n"

struct fixture {
	struct rtsp *rtsp;
	struct cutter_unit unit;
};

static void start_as(struct fixture *f, unsigned login)
{
	const struct rtsp_target target = {
		.host = "192.0.2.7", .port = 554, .path = "/live?a=1", .login = login};

	memset(f, 0, sizeof *f);
	assert_int_equal(rtsp_create(&f->rtsp, &target), 0);
	assert_int_equal(rtsp_begin(f->rtsp, 0), 0);
}

static void start(struct fixture *f)
{
	start_as(f, 200);
}

/* What has been asked; it is sent then. */
static const char *asked(struct fixture *f)
{
	static char text[8192];
	size_t len;
	const char *output = rtsp_output(f->rtsp, &len);

	assert_true(len < sizeof text);
	memcpy(text, output, len);
	text[len] = '\0';
	rtsp_sent(f->rtsp, len);
	return text;
}

static void expect_asked(struct fixture *f, const char *first_line, const char *part)
{
	const char *text = asked(f);

	assert_memory_equal(text, first_line, strlen(first_line));
	assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
	assert_non_null(strstr(text, part));
}

static int answer_bytes(struct fixture *f, const char *text, size_t len)
{
	size_t room;
	uint8_t *to = rtsp_room(f->rtsp, &room);

	assert_true(room >= len);
	memcpy(to, text, len);
	rtsp_add(f->rtsp, len);
	return rtsp_next(f->rtsp, &f->unit, SECOND);
}

static int answer(struct fixture *f, const char *text)
{
	return answer_bytes(f, text, strlen(text));
}

static int describe(struct fixture *f, const char *headers, const char *sdp)
{
	char text[8192];

	snprintf(text, sizeof text,
		 "RTSP/1.0 200 OK\r\nCSeq: 2\r\n%sContent-Type: application/sdp\r\n"
		 "Content-Length: %zu\r\n\r\n%s",
		 headers, strlen(sdp), sdp);
	return answer(f, text);
}

static void play(struct fixture *f, const char *session)
{
	char text[256];

	expect_asked(f, "OPTIONS rtsp://192.0.2.7:554/live?a=1 RTSP/1.0\r\n", "CSeq: 1\r\n");
	assert_int_equal(answer(f, OK("1", "Public: DESCRIBE, GET_PARAMETER\r\n")), CUTTER_MORE);
	expect_asked(f, "DESCRIBE rtsp://192.0.2.7:554/live?a=1 ", "Accept: application/sdp\r\n");
	assert_int_equal(describe(f, "Content-Base: rtsp://192.0.2.7:554/live/\r\n", SDP),
			 CUTTER_MORE);
	expect_asked(f, "SETUP rtsp://192.0.2.7:554/live/track2 RTSP/1.0\r\n",
		     "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
	snprintf(text, sizeof text,
		 "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: %s\r\nTransport: "
		 "RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
		 session);
	assert_int_equal(answer(f, text), CUTTER_MORE);
	expect_asked(f, "PLAY rtsp://192.0.2.7:554/live/ RTSP/1.0\r\n", "Session: abc\r\n");
	assert_int_equal(answer(f, OK("4", "")), CUTTER_MORE);
	assert_string_equal(asked(f), "");
}

static void a_stream_is_asked_for_and_played(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	play(&f, "abc;timeout=20");
	assert_int_equal(answer_bytes(&f, IDR, sizeof IDR - 1), CUTTER_UNIT);
	assert_true(f.unit.key); /* with the parameter sets of the description */
	assert_int_equal(f.unit.codec, STREAM_H264);
	/* The session is kept before its timeout; an answer may stand between frames. */
	assert_true(rtsp_due_us(f.rtsp) == 11 * SECOND);
	assert_int_equal(rtsp_turn(f.rtsp, 11 * SECOND), 0);
	expect_asked(&f, "GET_PARAMETER rtsp://192.0.2.7:554/live/ ", "Session: abc\r\n");
	assert_int_equal(answer(&f, OK("5", "")), CUTTER_MORE);
	assert_int_equal(rtsp_turn(f.rtsp, 21 * SECOND), 0);
	/* No answer. */
	assert_int_equal(rtsp_turn(f.rtsp, 30 * SECOND), 0);
	assert_int_equal(rtsp_turn(f.rtsp, 31 * SECOND), -ETIMEDOUT);
	rtsp_destroy(f.rtsp);
}

static void bytes_may_come_one_by_one(void **state)
{
	static const char rest[] =
		"RTSP/1.0 200 OK\r\nCSeq: 5\r\nContent-Length: 2\r\n\r\nxy\r\n" IDR "$\1\0\2ab";
	unsigned units = 0;
	struct fixture f;

	(void)state;
	start(&f);
	play(&f, "abc");
	for (size_t i = 0; i < sizeof rest - 1; i++)
		units += answer_bytes(&f, rest + i, 1) == CUTTER_UNIT;
	assert_int_equal(units, 1);
	rtsp_destroy(f.rtsp);
}

static void what_comes_with_an_answer_is_not_left(void **state)
{
	static const char both[] = OK("4", "") IDR;
	struct fixture f;

	(void)state;
	start(&f);
	answer(&f, OK("1", ""));
	describe(&f, "", SDP);
	answer(&f, OK("3", "Session: abc\r\n"));
	asked(&f);
	assert_int_equal(answer_bytes(&f, both, sizeof both - 1), CUTTER_UNIT);
	rtsp_destroy(f.rtsp);
}

static void a_challenge_is_answered_once(void **state)
{
	static const char challenge[] = "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: "
					"Basic realm=\"x\"\r\nWWW-Authenticate: Digest "
					"realm=\"x\", nonce=\"1\"\r\n\r\n";
	struct fixture f;

	(void)state;
	start_as(&f, (unsigned)login_keep("me:secret", 9));
	asked(&f);
	assert_int_equal(answer(&f, challenge), CUTTER_MORE);
	expect_asked(&f, "OPTIONS ", "Authorization: Digest username=\"me\", realm=\"x\"");
	assert_int_equal(answer(&f, OK("2", "")), CUTTER_MORE);
	expect_asked(&f, "DESCRIBE ", "Authorization: Digest ");
	assert_int_equal(answer(&f, challenge), CUTTER_MORE); /* another nonce for each request */
	expect_asked(&f, "DESCRIBE ", "Authorization: Digest ");
	assert_int_equal(answer(&f, challenge), -EACCES);
	assert_string_equal(rtsp_why(f.rtsp), "the server refuses the user or the password");
	assert_null(strstr(rtsp_why(f.rtsp), "secret"));
	rtsp_destroy(f.rtsp);
	start(&f);
	assert_int_equal(answer(&f, challenge), -EACCES);
	assert_string_equal(rtsp_why(f.rtsp), "the server asks for a user and a password");
	rtsp_destroy(f.rtsp);
}

static void a_server_that_does_not_answer_is_given_up(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	assert_int_equal(rtsp_turn(f.rtsp, RTSP_TALK_US - 1), 0);
	assert_int_equal(rtsp_turn(f.rtsp, RTSP_TALK_US), -ETIMEDOUT);
	rtsp_destroy(f.rtsp);
}

static void refusals_have_a_reason(void **state)
{
	static const struct {
		const char *answer, *why;
		int err;
	} cases[] = {
		{"RTSP/1.0 404 Not Found\r\n\r\n", "the server has no such stream: 404 Not Found",
		 -ECONNABORTED},
		{"RTSP/1.0 302 Moved\r\nLocation: rtsp://x\r\n\r\n",
		 "the server sends elsewhere: 302 Moved", -ECONNABORTED},
		{"RTSP/1.0 403 Forbidden\r\n\r\n", "the server refuses: 403 Forbidden", -EACCES},
		{"HTTP/1.1 200 OK\r\n\r\n", "the server does not speak RTSP", -EBADMSG},
		{"\0\0\0\1\x67", NULL, CUTTER_MORE},
		{"what?\r\n", "the server does not speak RTSP", -EBADMSG},
		{"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n",
		 "the server sends a message that is too long", -EBADMSG},
		{"RTSP/1.0 200 OK\r\n\r\n", "the server describes no video", -ECONNABORTED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture f;

		start(&f);
		answer(&f, OK("1", ""));
		assert_int_equal(answer(&f, cases[i].answer), cases[i].err);
		if (cases[i].why)
			assert_string_equal(rtsp_why(f.rtsp), cases[i].why);
		rtsp_destroy(f.rtsp);
	}
}

static void a_request_of_the_server_is_answered(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	play(&f, "abc");
	assert_int_equal(answer(&f, "SET_PARAMETER rtsp://x RTSP/1.0\r\nCSeq: 77\r\n\r\n"),
			 CUTTER_MORE);
	assert_string_equal(asked(&f), "RTSP/1.0 501 Not Implemented\r\nCSeq: 77\r\n\r\n");
	rtsp_destroy(f.rtsp);
}

static void a_new_connection_begins_again(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	play(&f, "abc");
	answer_bytes(&f, "$\0\0", 3);
	assert_int_equal(rtsp_begin(f.rtsp, SECOND), 0);
	play(&f, "abc");
	rtsp_destroy(f.rtsp);
}

/* --- descriptions --- */

static int parse(struct rtsp_sdp *sdp, const char *text)
{
	static char why[RTSP_WHY_MAX];

	return rtsp_sdp_parse(sdp, text, strlen(text), why);
}

static void the_best_video_is_taken(void **state)
{
	static struct rtsp_sdp sdp;

	(void)state;
	assert_int_equal(parse(&sdp, SDP), 0);
	assert_true(sdp.codec == STREAM_H264 && sdp.type == 96 && sdp.n_sets == 2);
	assert_true(sdp.sets[0].len == 10 && sdp.sets[1].len == 4);
	assert_memory_equal(sdp.sets[1].data, "\x68\xce\x3c\x80", 4);
	assert_string_equal(sdp.media_control, "track2");
	assert_int_equal(parse(&sdp, "m=video 0 RTP/AVP 26\na=control:j\nm=video 0 RTP/AVP 97\n"
				     "a=rtpmap:97 h264/90000\na=control:h\n"),
			 0);
	assert_true(sdp.codec == STREAM_H264 && sdp.type == 97 && sdp.n_sets == 0);
	assert_int_equal(parse(&sdp, "m=video 0 RTP/AVP 26\na=control:j\nm=video 0 RTP/AVP 97\n"
				     "a=rtpmap:97 H265/90000\na=control:h\n"),
			 0);
	assert_true(sdp.codec == STREAM_MJPEG && sdp.type == 26);
	assert_string_equal(sdp.media_control, "j");
}

static void descriptions_without_video_are_refused(void **state)
{
	static struct rtsp_sdp sdp;
	char why[RTSP_WHY_MAX];
	static const char hevc[] = "m=video 0 RTP/AVP 97\na=rtpmap:97 H265/90000\n";

	(void)state;
	assert_int_equal(parse(&sdp, ""), -EINVAL);
	assert_int_equal(parse(&sdp, "m=audio 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"), -EINVAL);
	assert_int_equal(parse(&sdp, "m=video 0 RTP/AVP 300\n"), -EINVAL);
	assert_int_equal(parse(&sdp, "m=video 0 RTP/AVP 96\n"), -EINVAL);
	assert_int_equal(rtsp_sdp_parse(&sdp, hevc, sizeof hevc - 1, why), -EINVAL);
	assert_string_equal(why, "its pictures are H265; only H.264 and JPEG are read");
}

static void controls_are_urls(void **state)
{
	char url[RTSP_URL_MAX], longest[RTSP_URL_MAX];

	(void)state;
	assert_true(rtsp_sdp_url(url, "rtsp://h/a", "*"));
	assert_string_equal(url, "rtsp://h/a");
	assert_true(rtsp_sdp_url(url, "rtsp://h/a", "track1"));
	assert_string_equal(url, "rtsp://h/a/track1");
	assert_true(rtsp_sdp_url(url, "rtsp://h/a/", "/track1"));
	assert_string_equal(url, "rtsp://h/a/track1");
	assert_true(rtsp_sdp_url(url, "rtsp://h/a", "rtsp://h/b"));
	assert_string_equal(url, "rtsp://h/b");
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_false(rtsp_sdp_url(url, "rtsp://h/a", longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_is_asked_for_and_played),
		cmocka_unit_test(bytes_may_come_one_by_one),
		cmocka_unit_test(what_comes_with_an_answer_is_not_left),
		cmocka_unit_test(a_challenge_is_answered_once),
		cmocka_unit_test(a_server_that_does_not_answer_is_given_up),
		cmocka_unit_test(refusals_have_a_reason),
		cmocka_unit_test(a_request_of_the_server_is_answered),
		cmocka_unit_test(a_new_connection_begins_again),
		cmocka_unit_test(the_best_video_is_taken),
		cmocka_unit_test(descriptions_without_video_are_refused),
		cmocka_unit_test(controls_are_urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
