/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/message.h"

static const char *or_none(const char *text)
{
	return text ? text : "-";
}

/* All that a message says, in words: what the cases below are compared with. */
static void describe(const struct message *message, int result, char *out, size_t size)
{
	size_t len;

	if (result != MESSAGE_COMPLETE) {
		snprintf(out, size, "%s",
			 result == MESSAGE_MORE		 ? "more"
			 : result == MESSAGE_INTERLEAVED ? "interleaved"
							 : strerrorname_np(-result));
		return;
	}
	len = (size_t)snprintf(out, size, "%s/1.%u ",
			       message->protocol == MESSAGE_HTTP ? "HTTP" : "RTSP", message->minor);
	if (message->status)
		len += (size_t)snprintf(out + len, size - len, "%u '%s'", message->status,
					message->reason);
	else
		len += (size_t)snprintf(out + len, size - len, "%s%s %s host=%s path=%s query=%s",
					message->method_name,
					message->method == MESSAGE_UNKNOWN ? "?" : "",
					message->target, or_none(message->authority), message->path,
					or_none(message->query));
	if (message->content_length >= 0)
		len += (size_t)snprintf(out + len, size - len, " length=%jd",
					(intmax_t)message->content_length);
	snprintf(out + len, size - len, "%s", message->chunked ? " chunked" : "");
}

/* Pushes input in two pieces and compares with what it should be; returns the bytes taken. */
static size_t check_pieces(struct message *message, const char *input, size_t len, size_t cut,
			   const char *expected)
{
	char text[4096];
	size_t first, second = 0;
	int result;

	message_init(message);
	result = message_push(message, input, cut, &first);
	assert_true(first <= cut);
	if (result == MESSAGE_MORE) {
		assert_int_equal(first, cut);
		result = message_push(message, input + cut, len - cut, &second);
		assert_true(second <= len - cut);
	}
	describe(message, result, text, sizeof text);
	assert_string_equal(text, expected);
	if (result != MESSAGE_INTERLEAVED) { /* it stays so */
		size_t more;

		assert_int_equal(message_push(message, "x", result == MESSAGE_MORE ? 0 : 1, &more),
				 result);
		assert_int_equal(more, 0);
	}
	return first + second;
}

/* Every way of cutting the input in two gives what is expected and takes as many bytes. */
static void check(const char *input, size_t len, size_t taken, const char *expected)
{
	struct message *message = malloc(sizeof *message);

	for (size_t cut = 0; cut <= len; cut++)
		assert_int_equal(check_pieces(message, input, len, cut, expected), taken);
	free(message);
}

struct row {
	const char *input, *expected;
};

/* Whole heads; a body follows, which nobody takes. */
static void check_heads(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char input[512];
		size_t len = strlen(rows[i].input);

		snprintf(input, sizeof input, "%sGET", rows[i].input);
		check(input, len + 3, len, rows[i].expected);
	}
}

#define CHECK_HEADS(rows) check_heads(rows, sizeof(rows) / sizeof *(rows))

static void good_requests_are_taken_to_pieces(void **state)
{
	static const struct row rows[] = {
		{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 GET / host=- path=/ query=-"},
		{"GET / HTTP/1.0\n\n", "HTTP/1.0 GET / host=- path=/ query=-"},
		{"\r\n\n\r\nHEAD /a?b=c?d HTTP/1.1\r\nHost: x\r\n\n",
		 "HTTP/1.1 HEAD /a?b=c?d host=- path=/a query=b=c?d"},
		{"GET /a? HTTP/1.1\r\n\r\n", "HTTP/1.1 GET /a? host=- path=/a query="},
		{"GET //a/../%zz HTTP/1.9\r\n\r\n",
		 "HTTP/1.9 GET //a/../%zz host=- path=//a/../%zz query=-"},
		{"GET /a?b#c HTTP/1.1\r\n\r\n", "HTTP/1.1 GET /a?b#c host=- path=/a query=b"},
		{"GET /a#b?c HTTP/1.1\r\n\r\n", "HTTP/1.1 GET /a#b?c host=- path=/a query=-"},
		{"GET http://h:80/a/b?c HTTP/1.1\r\n\r\n",
		 "HTTP/1.1 GET http://h:80/a/b?c host=h:80 path=/a/b query=c"},
		{"GET x-y.1+z://h HTTP/1.1\r\n\r\n",
		 "HTTP/1.1 GET x-y.1+z://h host=h path=/ query=-"},
		{"GET http://h?c/d HTTP/1.1\r\n\r\n",
		 "HTTP/1.1 GET http://h?c/d host=h path=/ query=c/d"},
		{"DESCRIBE rtsp://u:p@[::1]:8554/front/ RTSP/1.0\r\nCSeq: 2\r\n\r\n",
		 "RTSP/1.0 DESCRIBE rtsp://u:p@[::1]:8554/front/ host=u:p@[::1]:8554 "
		 "path=/front/ query=-"},
		{"OPTIONS * HTTP/1.1\r\n\r\n", "HTTP/1.1 OPTIONS * host=- path=* query=-"},
		{"SET_PARAMETER * RTSP/1.0\r\nContent-Length: 0\r\n\r\n",
		 "RTSP/1.0 SET_PARAMETER * host=- path=* query=- length=0"},
		{"CONNECT h:443 HTTP/1.1\r\n\r\n",
		 "HTTP/1.1 CONNECT h:443 host=h:443 path= query=-"},
		{"BREW-2.0! /pot HTTP/1.1\r\n\r\n",
		 "HTTP/1.1 BREW-2.0!? /pot host=- path=/pot query=-"},
		{"get / HTTP/1.1\r\n\r\n", "HTTP/1.1 get? / host=- path=/ query=-"},
		{"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
		 "HTTP/1.1 POST / host=- path=/ query=- length=5"},
		{"POST / HTTP/1.1\r\nCONTENT-length:5\r\nContent-Length: 05 \r\n\r\n",
		 "HTTP/1.1 POST / host=- path=/ query=- length=5"},
		{"POST / HTTP/1.1\r\nContent-Length: 999999999999999999\r\n\r\n",
		 "HTTP/1.1 POST / host=- path=/ query=- length=999999999999999999"},
		{"POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n",
		 "HTTP/1.1 POST / host=- path=/ query=- chunked"},
	};

	(void)state;
	CHECK_HEADS(rows);
}

static void good_responses_are_taken_to_pieces(void **state)
{
	static const struct row rows[] = {
		{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 'OK'"},
		{"HTTP/1.0 204\r\n\r\n", "HTTP/1.0 204 ''"},
		{"HTTP/1.1 999 \r\nA:\r\n\r\n", "HTTP/1.1 999 ''"},
		{"RTSP/1.0 454 Session\tNot \xc3\xa4 Found\r\nContent-Length: 7\r\n\r\n",
		 "RTSP/1.0 454 'Session\tNot \xc3\xa4 Found' length=7"},
	};

	(void)state;
	CHECK_HEADS(rows);
}

static void bad_heads_are_refused(void **state)
{
	static const struct row rows[] = {
		/* start lines */
		{"GET\n", "EBADMSG"},
		{"GET /\r\n", "EBADMSG"},
		{" GET / HTTP/1.1\r\n", "EBADMSG"},
		{"GET  / HTTP/1.1\r\n", "EBADMSG"},
		{"GET /  HTTP/1.1\r\n", "EBADMSG"},
		{"GET / a HTTP/1.1\r\n", "EBADMSG"},
		{"GET / HTTP/1.1 \r\n", "EBADMSG"},
		{"GET\t/ HTTP/1.1\r\n", "EBADMSG"},
		{"G(T / HTTP/1.1\r\n", "EBADMSG"},
		{"A234567890B234567890C234 / HTTP/1.1\r\n", "EBADMSG"},
		{"GET / http/1.1\r\n", "EBADMSG"},
		{"GET / HTTP/1.\r\n", "EBADMSG"},
		{"GET / HTTP/1.10\r\n", "EBADMSG"},
		{"GET / HTTP/9.9.9\r\n", "EBADMSG"},
		{"GET / HTTP/1x1\r\n", "EBADMSG"},
		{"GET / ICAP/1.0\r\n", "EBADMSG"},
		{"PRI * HTTP/2.0\r\n", "EPROTONOSUPPORT"},
		{"GET / HTTP/0.9\r\n", "EPROTONOSUPPORT"},
		{"GET / RTSP/1.1\r\n", "EPROTONOSUPPORT"},
		{"GET / RTSP/2.0\r\n", "EPROTONOSUPPORT"},
		{"HTTP/1.1\r\n", "EBADMSG"},
		{"HTTP/1.1 20\r\n", "EBADMSG"},
		{"HTTP/1.1 2000\r\n", "EBADMSG"},
		{"HTTP/1.1 099 OK\r\n", "EBADMSG"},
		{"HTTP/1.1  200 OK\r\n", "EBADMSG"},
		{"HTTP/1.1 2x0 OK\r\n", "EBADMSG"},
		{"HTTP/2.0 200 OK\r\n", "EPROTONOSUPPORT"},
		/* targets */
		{"GET healthz HTTP/1.1\r\n", "EBADMSG"},
		{"GET ?a HTTP/1.1\r\n", "EBADMSG"},
		{"GET #a HTTP/1.1\r\n", "EBADMSG"},
		{"GET *a HTTP/1.1\r\n", "EBADMSG"},
		{"GET h:80 HTTP/1.1\r\n", "EBADMSG"},
		{"GET http:/a HTTP/1.1\r\n", "EBADMSG"},
		{"GET http:// HTTP/1.1\r\n", "EBADMSG"},
		{"GET http:///a HTTP/1.1\r\n", "EBADMSG"},
		{"GET http://?a HTTP/1.1\r\n", "EBADMSG"},
		{"GET 1://h/a HTTP/1.1\r\n", "EBADMSG"},
		{"GET ://h/a HTTP/1.1\r\n", "EBADMSG"},
		{"GET /\xc3\xa4 HTTP/1.1\r\n", "EBADMSG"},
		{"CONNECT #a HTTP/1.1\r\n", "EBADMSG"},
		/* characters and line ends */
		{"\x16", "EBADMSG"},
		{"GET / HTTP/1.1\r\nA: b\x01", "EBADMSG"},
		{"GET / HTTP/1.1\r\nA: b\x7f", "EBADMSG"},
		{"GET / HTTP/1.1\r\nA: b\rC", "EBADMSG"},
		{"GET / HTTP/1.1\r\r", "EBADMSG"},
		{"\rG", "EBADMSG"},
		/* headers */
		{"GET / HTTP/1.1\r\nA\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\n: b\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nA : b\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nA b: c\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\n A: b\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nA: b\r\n c: d\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nA: b\r\n\t\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\n\xc3\xa4: b\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n", "EBADMSG"},
		/* where the body ends */
		{"GET / HTTP/1.1\r\nContent-Length:\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nContent-Length: +5\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nContent-Length: -5\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nContent-Length: 0x5\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nContent-Length: 5, 5\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nContent-Length: 5 5\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nContent-Length: 1000000000000000000\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		 "EBADMSG"},
		{"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
		 "EBADMSG"},
		{"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		 "EBADMSG"},
		{"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", "EBADMSG"},
		{"GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n", "EOPNOTSUPP"},
		{"GET / HTTP/1.1\r\nTransfer-Encoding: identity\r\n", "EOPNOTSUPP"},
		{"GET / HTTP/1.1\r\nTransfer-Encoding:\r\n", "EOPNOTSUPP"},
	};

	(void)state;
	CHECK_HEADS(rows);
}

static void a_nul_is_refused_everywhere(void **state)
{
	static const char head[] = "GET /a HTTP/1.1\r\nAb: cd\r\n";

	(void)state;
	for (size_t at = 0; at < sizeof head - 1; at++) {
		char input[sizeof head];

		memcpy(input, head, sizeof head);
		input[at] = '\0';
		check(input, sizeof head - 1, at + 1, "EBADMSG");
	}
}

static void a_head_that_is_cut_off_needs_more(void **state)
{
	static const char head[] = "\r\nGET /a HTTP/1.1\r\nAb: cd\r\n\r\n";

	(void)state;
	for (size_t len = 0; len < sizeof head - 2; len++)
		check(head, len, len, "more");
}

static void a_dollar_is_left_to_its_reader(void **state)
{
	struct message *message = malloc(sizeof *message);
	size_t taken;

	(void)state;
	check("$\0\0\4", 4, 0, "interleaved");
	check("\r\n\n$", 4, 3, "interleaved");
	check("\r$", 2, 2, "EBADMSG");
	check("GET $ HTTP/1.1\r\n", 16, 16, "EBADMSG");
	check("G$ / HTTP/1.1\r\n\r\n", 17, 17, "HTTP/1.1 G$? / host=- path=/ query=-");
	/* Any number of frames, and the head after them. */
	message_init(message);
	for (int i = 0; i < MESSAGE_MAX; i++) {
		assert_int_equal(message_push(message, "\r\n$\1", 4, &taken), MESSAGE_INTERLEAVED);
		assert_int_equal(taken, 2);
	}
	assert_int_equal(message_push(message, "PLAY * RTSP/1.0\r\n\r\n", 19, &taken),
			 MESSAGE_COMPLETE);
	assert_int_equal(message->method, MESSAGE_PLAY);
	free(message);
}

static void pipelined_requests_come_one_by_one(void **state)
{
	static const char input[] = "POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
				    "GET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n";
	struct message *message = malloc(sizeof *message);
	size_t at = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		size_t taken;

		message_init(message);
		assert_int_equal(message_push(message, input + at, sizeof input - 1 - at, &taken),
				 MESSAGE_COMPLETE);
		assert_int_equal(message->path[1], '1' + i);
		at += taken + (message->content_length > 0 ? (size_t)message->content_length : 0);
	}
	assert_int_equal(at, sizeof input - 1);
	free(message);
}

/* "GET /aaa... HTTP/1.1\r\nB: bbb...\r\n\r\n" with a target and a head of that many bytes, in one
 * push. */
static void check_size(size_t target_len, size_t head_len, const char *expected)
{
	struct message *message = malloc(sizeof *message);
	char *input = malloc(head_len + 1), text[4096];
	size_t len, taken;
	int result;

	memset(input, 'a', head_len);
	memcpy(input, "GET /", 5);
	len = 4 + target_len;
	memcpy(input + len, " HTTP/1.1\r\nB: ", 14);
	memset(input + len + 14, 'b', head_len - len - 14);
	memcpy(input + head_len - 4, "\r\n\r\n", 4);
	message_init(message);
	result = message_push(message, input, head_len, &taken);
	if (result == MESSAGE_COMPLETE) {
		assert_int_equal(strlen(message->target), target_len);
		assert_string_equal(message->path, message->target);
		assert_int_equal(strlen(message_header(message, "b", NULL)), head_len - len - 18);
		snprintf(text, sizeof text, "complete");
	} else {
		describe(message, result, text, sizeof text);
	}
	assert_string_equal(text, expected);
	free(input);
	free(message);
}

static void sizes_are_bounded(void **state)
{
	(void)state;
	check_size(MESSAGE_TARGET_MAX - 1, MESSAGE_MAX, "complete");
	check_size(MESSAGE_TARGET_MAX - 1, MESSAGE_MAX + 1, "EMSGSIZE");
	check_size(MESSAGE_TARGET_MAX, MESSAGE_MAX, "ENAMETOOLONG");
	check_size(MESSAGE_TARGET_MAX + 100, MESSAGE_MAX, "ENAMETOOLONG");
}

/* Pushes head, and then `repeated` until the message is refused, which must be with this error. */
static void check_endless(const char *head, const char *repeated, int expected)
{
	struct message *message = malloc(sizeof *message);
	size_t total = strlen(head), taken;
	int result;

	message_init(message);
	result = message_push(message, head, total, &taken);
	while (result == MESSAGE_MORE) {
		assert_true(total <= MESSAGE_MAX);
		result = message_push(message, repeated, strlen(repeated), &taken);
		total += taken;
	}
	assert_int_equal(result, expected);
	free(message);
}

static void an_endless_head_is_cut_off(void **state)
{
	(void)state;
	check_endless("GET / HTTP/1.1\r\n", "A: b\r\n", -EMSGSIZE);
	check_endless("GET / HTTP/1.1\r\nA: ", "b", -EMSGSIZE);
	check_endless("GET / HTTP/1.1\r\nA:", " ", -EMSGSIZE);
	check_endless("", "\r\n", -EMSGSIZE);
	check_endless("", "GET", -ENAMETOOLONG);
	check_endless("GET /", "a", -ENAMETOOLONG);
	check_endless("HTTP/1.1 200 ", "OK", -ENAMETOOLONG);
}

/* Fills message with a request that has these headers. */
static void read_headers(struct message *message, const char *headers)
{
	char input[512];
	size_t taken;

	snprintf(input, sizeof input, "GET / HTTP/1.1\r\n%s\r\n", headers);
	message_init(message);
	assert_int_equal(message_push(message, input, strlen(input), &taken), MESSAGE_COMPLETE);
	assert_int_equal(taken, strlen(input));
}

static void headers_are_found_in_any_case_and_in_order(void **state)
{
	struct message *message = malloc(sizeof *message);
	const char *value;

	(void)state;
	read_headers(message, "A: 1\r\nb:\r\nAA:2\r\na:  \t 3 \"x:y\"\xff\t \nA:4\r\n");
	value = message_header(message, "a", NULL);
	assert_string_equal(value, "1");
	value = message_header(message, "A", value);
	assert_string_equal(value, "3 \"x:y\"\xff");
	value = message_header(message, "A", value);
	assert_string_equal(value, "4");
	assert_null(message_header(message, "A", value));
	assert_string_equal(message_header(message, "B", NULL), "");
	assert_string_equal(message_header(message, "aa", NULL), "2");
	assert_null(message_header(message, "", NULL));
	assert_null(message_header(message, "GET", NULL));
	assert_null(message_header(message, "1", NULL));
	read_headers(message, "");
	assert_null(message_header(message, "A", NULL));
	free(message);
}

static void tokens_are_found_in_lists(void **state)
{
	struct message *message = malloc(sizeof *message);

	(void)state;
	read_headers(message,
		     "Connection: keep-alive , Upgrade\r\nA: b\r\nConnection:,,\tclose,\r\n"
		     "Q: \"a, b\\\", c\", d, \"e\r\nE:\r\n");
	assert_true(message_has_token(message, "connection", "Keep-Alive"));
	assert_true(message_has_token(message, "connection", "upgrade"));
	assert_true(message_has_token(message, "connection", "close"));
	assert_false(message_has_token(message, "connection", "keep"));
	assert_false(message_has_token(message, "connection", "keep-alive , upgrade"));
	assert_false(message_has_token(message, "connection", "b"));
	assert_false(message_has_token(message, "other", "close"));
	assert_true(message_has_token(message, "Q", "d"));
	assert_false(message_has_token(message, "Q", "b"));
	assert_false(message_has_token(message, "Q", "c"));
	assert_false(message_has_token(message, "Q", "e"));
	assert_false(message_has_token(message, "E", "e"));
	free(message);
}

static void percent_signs_are_decoded_within_bounds(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		int result;
		const char *out;
	} rows[] = {
		{"", 1, 0, ""},
		{"", 0, -ENAMETOOLONG, ""},
		{"/a%20b%2Fc%2f+", 11, 0, "/a b/c/+"},
		{"%ed%95%9c", 4, 0, "\xed\x95\x9c"},
		{"%ed%95%9c", 3, -ENAMETOOLONG, ""},
		{"abc", 3, -ENAMETOOLONG, ""},
		{"%00", 9, -EBADMSG, ""},
		{"%", 9, -EBADMSG, ""},
		{"%1", 9, -EBADMSG, ""},
		{"%g1", 9, -EBADMSG, ""},
		{"%1g", 9, -EBADMSG, ""},
		{"%%41", 9, -EBADMSG, ""},
		{"a%+1", 9, -EBADMSG, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *out = malloc(rows[i].size + 1);

		out[rows[i].size] = 'x';
		assert_int_equal(message_decode(rows[i].text, out, rows[i].size), rows[i].result);
		if (rows[i].result == 0)
			assert_string_equal(out, rows[i].out);
		assert_int_equal(out[rows[i].size], 'x');
		free(out);
	}
}

static void parameters_are_found_by_their_whole_names(void **state)
{
	static const char input[] =
		"GET /a?from=&fro=1&&b&c=%41+&b=2&d=a=b&e=%4&f=%g1&g=123 HTTP/1.1\r\n\r\n";
	struct message *message = malloc(sizeof *message);
	char out[4];
	size_t len;

	(void)state;
	message_init(message);
	assert_int_equal(message_push(message, input, sizeof input - 1, &len), MESSAGE_COMPLETE);
	assert_non_null(message_parameter(message, "from", &len));
	assert_int_equal(len, 0);
	assert_non_null(message_parameter(message, "b", &len));
	assert_int_equal(len, 0);
	assert_memory_equal(message_parameter(message, "d", &len), "a=b", 3);
	assert_int_equal(len, 3);
	assert_null(message_parameter(message, "fr", &len));
	assert_null(message_parameter(message, "1", &len));
	assert_int_equal(message_read_parameter(message, "from", out, sizeof out), 0);
	assert_string_equal(out, "");
	assert_int_equal(message_read_parameter(message, "b", out, sizeof out), 0);
	assert_string_equal(out, "2");
	assert_int_equal(message_read_parameter(message, "c", out, sizeof out), 0);
	assert_string_equal(out, "A+");
	assert_int_equal(message_read_parameter(message, "e", out, sizeof out), -EBADMSG);
	assert_int_equal(message_read_parameter(message, "f", out, sizeof out), -EBADMSG);
	assert_int_equal(message_read_parameter(message, "g", out, 3), -ENAMETOOLONG);
	assert_int_equal(message_read_parameter(message, "h", out, sizeof out), -ENOENT);
	free(message);
}

static void every_error_has_a_status(void **state)
{
	(void)state;
	assert_int_equal(message_error_status(-EBADMSG), 400);
	assert_int_equal(message_error_status(-ENAMETOOLONG), 414);
	assert_int_equal(message_error_status(-EMSGSIZE), 431);
	assert_int_equal(message_error_status(-EOPNOTSUPP), 501);
	assert_int_equal(message_error_status(-EPROTONOSUPPORT), 505);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_requests_are_taken_to_pieces),
		cmocka_unit_test(good_responses_are_taken_to_pieces),
		cmocka_unit_test(bad_heads_are_refused),
		cmocka_unit_test(a_nul_is_refused_everywhere),
		cmocka_unit_test(a_head_that_is_cut_off_needs_more),
		cmocka_unit_test(a_dollar_is_left_to_its_reader),
		cmocka_unit_test(pipelined_requests_come_one_by_one),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(an_endless_head_is_cut_off),
		cmocka_unit_test(headers_are_found_in_any_case_and_in_order),
		cmocka_unit_test(tokens_are_found_in_lists),
		cmocka_unit_test(percent_signs_are_decoded_within_bounds),
		cmocka_unit_test(parameters_are_found_by_their_whole_names),
		cmocka_unit_test(every_error_has_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
