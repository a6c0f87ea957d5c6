/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests that come through a broker, and the limits of what is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/discovery/request.h"
#include "tests/unit/config_rig.h"

#define SECOND INT64_C(1000000)
#define CAMERA "[camera cam]\nsource = pattern\n[stream a]\ncamera = cam\n"

static int ask(struct request *request, const struct config *config, const char *payload,
	       const char *response_topic)
{
	struct request_message message = {
		.topic = "commend",
		.payload = payload,
		.len = strlen(payload),
		.response_topic = response_topic,
	};

	return request_parse(request, &config->mqtt, &message);
}

static void a_request_names_where_to_answer(void **state)
{
	static const struct {
		const char *payload, *property, *topic;
		enum request_format format;
	} cases[] = {
		{"camera/response/x", NULL, "camera/response/x", REQUEST_TEXT},
		{"응답/주제", NULL, "응답/주제", REQUEST_TEXT},
		{"a b", NULL, "a b", REQUEST_TEXT},
		{"camcast/reply-1", NULL, "camcast/reply-1", REQUEST_TEXT},
		{"{\"reply_to\":\"x\",\"format\":\"json\"}", NULL, "x", REQUEST_JSON},
		{" \n{\"reply_to\":\"x\"}", NULL, "x", REQUEST_JSON},
		{"{\"format\":\"text\",\"reply_to\":\"x\"}", NULL, "x", REQUEST_TEXT},
		{"{\"reply_to\":\"x\",\"more\":[{}]}", NULL, "x", REQUEST_JSON},
		/* The property goes before the payload, which may say the format only. */
		{"", "p", "p", REQUEST_TEXT},
		{"x", "p", "p", REQUEST_TEXT},
		{"{}", "p", "p", REQUEST_JSON},
		{"{\"reply_to\":\"x\"}", "p", "p", REQUEST_JSON},
	};
	struct config *config = parse("[mqtt]\nresponse_prefix =\n" CAMERA "annexb = 1\n");
	char longest[REQUEST_TOPIC_MAX + 2];
	struct request request;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (ask(&request, config, cases[i].payload, cases[i].property) != -1)
			fail_msg("refused: %s", cases[i].payload);
		assert_string_equal(request.topic, cases[i].topic);
		assert_int_equal(request.format, cases[i].format);
	}
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_int_equal(ask(&request, config, longest, NULL), REQUEST_TOO_LONG);
	longest[REQUEST_TOPIC_MAX] = '\0';
	assert_int_equal(ask(&request, config, longest, NULL), -1);
	assert_string_equal(request.topic, longest);
	config_destroy(config);
}

static void topics_that_are_somebody_s_are_refused(void **state)
{
	static const char *const ours[] = {
		"commend",	    "command/getIP",	  "camcast/x/info",
		"camcast/x/status", "camcast/x/camera/y", "camcast//",
		"homeassistant/a",
	};
	struct config *config =
		parse("[mqtt]\nhome_assistant = yes\nresponse_prefix =\n" CAMERA "annexb = 1\n");
	struct config *plain =
		parse("[mqtt]\nresponse_prefix =\nrequest_topic = a , b\n" CAMERA "annexb = 1\n");
	struct request request;

	(void)state;
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		assert_int_equal(ask(&request, config, ours[i], NULL), REQUEST_OUR_TOPIC);
		assert_int_equal(ask(&request, config, "", ours[i]), REQUEST_OUR_TOPIC);
	}
	assert_int_equal(ask(&request, config, "homeassistants", NULL), -1);
	assert_int_equal(ask(&request, plain, "homeassistant/a", NULL), -1);
	assert_int_equal(ask(&request, plain, "commend", NULL), -1);
	assert_int_equal(ask(&request, plain, "a", NULL), REQUEST_OUR_TOPIC);
	assert_int_equal(ask(&request, plain, "b", NULL), REQUEST_OUR_TOPIC);
	assert_int_equal(ask(&request, plain, "b ", NULL), -1);
	config_destroy(plain);
	config_destroy(config);
}

static void a_topic_cut_within_a_character_is_refused_whatever_lies_behind_it(void **state)
{
	static const char payload[] = "reply/\xea\xb0\x80"; /* 가 */
	struct config *config = parse("[mqtt]\nresponse_prefix =\n" CAMERA "annexb = 1\n");
	struct request request;

	(void)state;
	for (size_t len = strlen(payload); len > 6; len--) {
		struct request_message message = {
			.topic = "commend", .payload = payload, .len = len};

		assert_int_equal(request_parse(&request, &config->mqtt, &message),
				 len == strlen(payload) ? -1 : REQUEST_NOT_UTF8);
	}
	config_destroy(config);
}

static void correlation_data_are_bounded(void **state)
{
	struct config *config = parse("[mqtt]\nresponse_prefix =\n" CAMERA "annexb = 1\n");
	struct request_message message = {
		.topic = "commend",
		.payload = "x",
		.len = 1,
		.correlation_len = REQUEST_CORRELATION_MAX,
	};
	struct request request;

	(void)state;
	assert_int_equal(request_parse(&request, &config->mqtt, &message), -1);
	message.correlation_len++;
	assert_int_equal(request_parse(&request, &config->mqtt, &message), REQUEST_TOO_LONG);
	config_destroy(config);
}

/* --- limits --- */

static unsigned take(struct request_limits *limits, const char *topic, int64_t now_us, unsigned n,
		     enum request_grant *last)
{
	unsigned granted = 0;

	for (unsigned i = 0; i < n; i++) {
		*last = request_limits_take(limits, topic, now_us);
		granted += *last == REQUEST_GRANTED;
	}
	return granted;
}

static void a_topic_gets_a_burst_and_then_a_rate(void **state)
{
	struct request_limits *limits = malloc(sizeof *limits);
	enum request_grant last;
	unsigned granted = 0;

	(void)state;
	assert_non_null(limits);
	request_limits_init(limits, 7);
	assert_int_equal(take(limits, "a", SECOND, 1000, &last), REQUEST_BURST_TOPIC);
	assert_int_equal(last, REQUEST_LIMITED_TOPIC);
	/* Asked every millisecond, and so with fractions of an answer: no more, no fewer. */
	for (int64_t ms = 1; ms <= 10000; ms++)
		granted += take(limits, "a", SECOND + ms * 1000, 1, &last);
	assert_int_equal(granted, 10 * REQUEST_RATE_TOPIC);
	/* After a long pause the burst, not more. */
	assert_int_equal(take(limits, "a", 1000 * SECOND, 1000, &last), REQUEST_BURST_TOPIC);
	free(limits);
}

static void the_rate_is_kept_at_any_pace_of_asking(void **state)
{
	struct request_limits *limits = malloc(sizeof *limits);
	enum request_grant last;
	unsigned granted = 0;

	(void)state;
	assert_non_null(limits);
	request_limits_init(limits, 7);
	take(limits, "a", SECOND, 1000, &last);
	for (int64_t us = 1; us <= 2 * SECOND; us += 7)
		granted += take(limits, "a", SECOND + us, 1, &last);
	assert_in_range(granted, 2 * REQUEST_RATE_TOPIC - 1, 2 * REQUEST_RATE_TOPIC);
	free(limits);
}

static void all_topics_share_a_rate(void **state)
{
	struct request_limits *limits = malloc(sizeof *limits);
	enum request_grant last = REQUEST_GRANTED;
	unsigned granted = 0, in_all = 0;
	char topic[32];

	(void)state;
	assert_non_null(limits);
	request_limits_init(limits, 7);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(topic, sizeof topic, "topic/%u", i);
		granted += take(limits, topic, SECOND, 1, &last);
		in_all += last == REQUEST_LIMITED_TOTAL;
	}
	assert_in_range(granted, REQUEST_BURST_TOTAL - 1, REQUEST_BURST_TOTAL);
	assert_true(in_all > 0);
	/* A flood to one topic leaves the others their share. */
	request_limits_init(limits, 7);
	take(limits, "flooded", SECOND, 100000, &last);
	granted = 0;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(topic, sizeof topic, "other/%u", i);
		granted += take(limits, topic, SECOND, 1, &last);
	}
	assert_true(granted > 95); /* one of them may share a bucket with it */
	free(limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_names_where_to_answer),
		cmocka_unit_test(topics_that_are_somebody_s_are_refused),
		cmocka_unit_test(a_topic_cut_within_a_character_is_refused_whatever_lies_behind_it),
		cmocka_unit_test(correlation_data_are_bounded),
		cmocka_unit_test(a_topic_gets_a_burst_and_then_a_rate),
		cmocka_unit_test(the_rate_is_kept_at_any_pace_of_asking),
		cmocka_unit_test(all_topics_share_a_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
