/* SPDX-License-Identifier: BSD-2-Clause */
/* The descriptions that servers publish, right and wrong; the names by which users address them;
 * and text from the network on a terminal. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/find/columns.h"
#include "client/find/servers.h"
#include "client/find/show.h"

#define STREAM                                                                                     \
	"{\"name\": \"front\", \"camera\": \"cam\", \"codec\": \"h264\", \"width\": 1280, "        \
	"\"height\": 720, \"framerate\": 29.97, \"bitrate\": 2000000, \"framing\": \"annexb\", "   \
	"\"port\": 8888, \"url\": \"tcp://192.0.2.7:8888\"}"
#define JPEG                                                                                       \
	"{\"name\": \"jpeg\", \"camera\": \"cam\", \"codec\": \"mjpeg\", \"width\": 0, "           \
	"\"height\": 0, \"framerate\": 0, \"framing\": \"length_prefixed\", "                      \
	"\"port\": 8000, \"url\": \"tcp+length://[2001:db8::1]:8000\"}"
#define HEAD                                                                                       \
	"{\"camcast\": 1, \"id\": \"porch-1\", \"name\": \"\xed\x98\x84\xea\xb4\x80\", "           \
	"\"version\": \"0.1.0\", \"addresses\": [\"192.0.2.7\", \"2001:db8::1\"], \"streams\": "
#define INFO HEAD "[" STREAM ", " JPEG "]}"

static int parse(struct server *server, const char *json)
{
	return server_parse_info(server, json, strlen(json));
}

static void whole_description_is_taken(void **state)
{
	struct server server;
	char url[TARGET_URL_MAX];

	(void)state;
	assert_int_equal(parse(&server, INFO), 0);
	assert_string_equal(server.id, "porch-1");
	assert_string_equal(server.name, "\xed\x98\x84\xea\xb4\x80");
	assert_string_equal(server.version, "0.1.0");
	assert_string_equal(server.address, "192.0.2.7");
	assert_int_equal(server.n_streams, 2);
	assert_string_equal(server.streams[0].name, "front");
	assert_string_equal(server.streams[0].camera, "cam");
	assert_int_equal(server.streams[0].codec, STREAM_H264);
	assert_int_equal(server.streams[0].framing, STREAM_ANNEXB);
	assert_int_equal(server.streams[0].width, 1280);
	assert_int_equal(server.streams[0].height, 720);
	assert_true(server.streams[0].framerate > 29.96 && server.streams[0].framerate < 29.98);
	assert_int_equal(server.streams[0].bitrate_bps, 2000000);
	assert_string_equal(server.streams[0].host, "192.0.2.7");
	assert_int_equal(server.streams[0].port, 8888);
	assert_int_equal(server.streams[1].codec, STREAM_MJPEG);
	assert_int_equal(server.streams[1].bitrate_bps, 0);
	assert_string_equal(server.streams[1].host, "2001:db8::1");
	assert_string_equal(target_url(&server.streams[0], url), "tcp://192.0.2.7:8888");
	assert_string_equal(target_url(&server.streams[1], url), "tcp+length://[2001:db8::1]:8000");
}

/* Replaces the first `old` in INFO by `new` and parses that. */
static int parse_with(struct server *server, const char *old, const char *new)
{
	static char json[8192];
	const char *at = strstr(INFO, old);

	assert_non_null(at);
	snprintf(json, sizeof json, "%.*s%s%s", (int)(at - INFO), INFO, new, at + strlen(old));
	return parse(server, json);
}

static void every_mistake_is_refused(void **state)
{
	static const char *const mistakes[][2] = {
		{"\"camcast\": 1", "\"camcast\": 2"},
		{"\"camcast\": 1", "\"camcast\": \"1\""},
		{"\"camcast\": 1, ", ""},
		{"porch-1", ""},
		{"porch-1", "a/b"},
		{"porch-1", "a+"},
		{"porch-1", "1234567890123456789012345678901234567890123456789012345678901234x"},
		{"\"porch-1\"", "7"},
		{"\"0.1.0\"", "null"},
		{"\"name\": \"\xed\x98\x84\xea\xb4\x80\", ", ""},
		{"\xed\x98\x84", "\xed\xa0\x80"},
		{"\xed\x98\x84", "\xc0\xaf"},
		{"\xed\x98\x84", "\xff"},
		{"[\"192.0.2.7\", \"2001:db8::1\"]", "[]"},
		{"[\"192.0.2.7\", \"2001:db8::1\"]", "\"192.0.2.7\""},
		{"[\"192.0.2.7\", \"2001:db8::1\"]", "[7]"},
		{"\"width\": 1280", "\"width\": -1"},
		{"\"width\": 1280", "\"width\": 65536"},
		{"\"width\": 1280", "\"width\": 1.5"},
		{"\"width\": 1280", "\"width\": \"1280\""},
		{"\"framerate\": 29.97", "\"framerate\": -1"},
		{"\"framerate\": 29.97", "\"framerate\": 1e99"},
		{"\"bitrate\": 2000000", "\"bitrate\": 5e9"},
		{"\"port\": 8888", "\"port\": 0"},
		{"\"port\": 8888", "\"port\": 65536"},
		{"\"port\": 8888", "\"port\": 8889"},
		{"tcp://192.0.2.7:8888", "http://192.0.2.7:8888"},
		{"tcp://192.0.2.7:8888", "tcp+length://192.0.2.7:8888"},
		{"tcp://192.0.2.7:8888", "tcp://2001:db8::1:8888"},
		{"tcp://192.0.2.7:8888", "tcp://[192.0.2.7]:8888"},
		{"tcp://192.0.2.7:8888", "tcp://a b:8888"},
		{"tcp://192.0.2.7:8888", "tcp://:8888"},
		{"tcp://192.0.2.7:8888", "tcp://x:08888888"},
		{"\"codec\": \"h264\"", "\"codec\": 1"},
		{"\"name\": \"front\"", "\"name\": \"a/b\""},
		{"\"name\": \"front\"", "\"name\": \"\""},
		{"\"streams\": [", "\"streams\": {}, \"s\": ["},
		{"{\"name\": \"front\"", "7, {\"name\": \"front\""},
		{"}]}", "}]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
		struct server server;

		if (parse_with(&server, mistakes[i][0], mistakes[i][1]) != -EINVAL)
			fail_msg("taken: %s instead of %s", mistakes[i][1], mistakes[i][0]);
		assert_int_equal(server.n_streams, 0);
	}
}

static void description_cut_off_anywhere_is_refused(void **state)
{
	struct server server;

	(void)state;
	for (size_t len = 0; len < sizeof INFO - 1; len++)
		assert_int_equal(server_parse_info(&server, INFO, len), -EINVAL);
}

static void streams_of_kinds_to_come_are_left_out(void **state)
{
	struct server server;

	(void)state;
	assert_int_equal(parse_with(&server, "\"codec\": \"h264\"", "\"codec\": \"av1\""), 0);
	assert_int_equal(server.n_streams, 1);
	assert_string_equal(server.streams[0].name, "jpeg");
	assert_int_equal(parse_with(&server, "\"framing\": \"annexb\"", "\"framing\": \"mp4\""), 0);
	assert_int_equal(server.n_streams, 1);
}

static void streams_beyond_the_limit_are_left_out(void **state)
{
	static char json[64 << 10];
	struct server server;
	size_t at = (size_t)sprintf(json, HEAD "[" STREAM);

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		at += (size_t)sprintf(json + at, ", " STREAM);
	strcpy(json + at, "]}");
	assert_int_equal(parse(&server, json), 0);
	assert_int_equal(server.n_streams, SERVER_STREAMS_MAX);
}

static void deep_nesting_and_long_payloads_are_refused(void **state)
{
	static char json[512 << 10];
	struct server server;

	(void)state;
	memset(json, '[', sizeof json - 1);
	assert_int_equal(server_parse_info(&server, json, 100000), -EINVAL);
	memset(json, ' ', sizeof json - 1);
	memcpy(json, INFO, sizeof INFO - 1);
	assert_int_equal(server_parse_info(&server, json, sizeof json - 1), -EINVAL);
	assert_int_equal(server_parse_info(&server, json, 4096), 0);
}

static void recording_commands_are_two_words(void **state)
{
	(void)state;
	assert_int_equal(servers_parse_recording("start", 5), 1);
	assert_int_equal(servers_parse_recording("stop", 4), -1);
	assert_int_equal(servers_parse_recording("start\r\n", 7), 1);
	assert_int_equal(servers_parse_recording("stop \n", 6), -1);
	assert_int_equal(servers_parse_recording("", 0), 0);
	assert_int_equal(servers_parse_recording("\n\n", 2), 0);
	assert_int_equal(servers_parse_recording("START", 5), 1);
	assert_int_equal(servers_parse_recording("starts", 6), 0);
	assert_int_equal(servers_parse_recording("start\0", 6), 0);
	assert_int_equal(servers_parse_recording("sto", 3), 0);
}

static void names_never_carry_what_a_terminal_acts_on(void **state)
{
	struct server server;

	(void)state;
	assert_int_equal(
		parse_with(&server, "\xed\x98\x84", "a\\u001b[2J\\n\\u009b\\u202e\xc2\x85"), 0);
	assert_string_equal(server.name, "a?[2J????\xea\xb4\x80");
	assert_int_equal(parse_with(&server, "\xed\x98\x84\xea\xb4\x80", ""), 0);
	assert_string_equal(server.name, "porch-1"); /* for people need something to call it */
}

static char *column(const char *text, unsigned columns, char *buf, size_t size)
{
	FILE *out = fmemopen(buf, size, "w");

	assert_non_null(out);
	buf[0] = '\0';
	columns_print(out, text, columns);
	fclose(out);
	return buf;
}

static void columns_count_wide_characters_twice(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(columns_width("\xed\x98\x84\xea\xb4\x80"), 4);
	assert_int_equal(columns_width("porch"), 5);
	assert_string_equal(column("\xed\x98\x84\xea\xb4\x80", 6, buf, sizeof buf),
			    "\xed\x98\x84\xea\xb4\x80  ");
	assert_string_equal(column("\xed\x98\x84\xea\xb4\x80", 4, buf, sizeof buf),
			    "\xed\x98\x84\xea\xb4\x80");
	assert_string_equal(column("\xed\x98\x84\xea\xb4\x80", 3, buf, sizeof buf),
			    "\xed\x98\x84~");
	assert_string_equal(column("\xed\x98\x84\xea\xb4\x80", 2, buf, sizeof buf), "~ ");
	assert_string_equal(column("porch", 0, buf, sizeof buf), "");
}

/* --- names --- */

static struct server *make_servers(size_t n)
{
	struct server *list = calloc(n, sizeof *list);

	assert_non_null(list);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(parse(&list[i], INFO), 0);
		snprintf(list[i].id, sizeof list[i].id, "id-%zu", i);
		snprintf(list[i].name, sizeof list[i].name, "server-%zu", i);
		list[i].online = true;
	}
	return list;
}

static int find(const struct server *list, size_t n, const char *wanted, const char **stream,
		char why[512])
{
	const struct server_stream *found = NULL;
	const struct server *server = NULL;
	int r = servers_find(list, n, wanted, &server, &found, why, 512);

	if (r == 0)
		*stream = found->name;
	return r;
}

static void server_is_found_by_name_and_by_id(void **state)
{
	struct server *list = make_servers(3);
	const char *stream;
	char why[512];

	(void)state;
	assert_int_equal(find(list, 3, "server-1", &stream, why), 0);
	assert_string_equal(stream, "front");
	assert_int_equal(find(list, 3, "id-2", &stream, why), 0);
	assert_int_equal(find(list, 3, "id-2/jpeg", &stream, why), 0);
	assert_string_equal(stream, "jpeg");
	strcpy(list[0].name, "a/b"); /* a name may have a slash */
	assert_int_equal(find(list, 3, "a/b", &stream, why), 0);
	assert_int_equal(find(list, 3, "a/b/jpeg", &stream, why), 0);
	assert_string_equal(stream, "jpeg");
	free(list);
}

static void stream_in_two_framings_is_taken_as_a_byte_stream(void **state)
{
	struct server *list = make_servers(1);
	const struct server_stream *stream;
	const struct server *server;
	char why[512];

	(void)state;
	list[0].streams[2] = list[0].streams[0];
	list[0].streams[0].framing = STREAM_LENGTH_PREFIXED;
	list[0].n_streams = 3;
	assert_int_equal(servers_find(list, 1, "id-0", &server, &stream, why, sizeof why), 0);
	assert_ptr_equal(stream, &list[0].streams[2]);
	assert_int_equal(servers_find(list, 1, "id-0/front", &server, &stream, why, sizeof why), 0);
	assert_ptr_equal(stream, &list[0].streams[2]);
	free(list);
}

static void unknown_name_is_answered_with_what_there_is(void **state)
{
	struct server *list = make_servers(2);
	const char *stream;
	char why[512];

	(void)state;
	assert_int_equal(find(list, 2, "porch", &stream, why), -ENOENT);
	assert_string_equal(why, "no server is called \"porch\"; there are: server-0 (id-0), "
				 "server-1 (id-1)");
	assert_int_equal(find(list, 0, "porch", &stream, why), -ENOENT);
	assert_string_equal(why, "no server is called \"porch\"; there are: none");
	list[1].online = false;
	assert_int_equal(find(list, 2, "server-1", &stream, why), -ENOENT);
	assert_int_equal(find(list, 2, "server-0/back", &stream, why), -ENODATA);
	assert_string_equal(why, "server-0 has no stream back; it has: front, jpeg");
	list[0].n_streams = 0;
	assert_int_equal(find(list, 2, "server-0", &stream, why), -ENODATA);
	assert_string_equal(why, "server-0 has no stream; it has: none");
	free(list);
}

static void ambiguous_name_is_answered_with_the_ids(void **state)
{
	struct server *list = make_servers(3);
	const char *stream;
	char why[512];

	(void)state;
	strcpy(list[2].name, "server-0");
	assert_int_equal(find(list, 3, "server-0/front", &stream, why), -ENOTUNIQ);
	assert_string_equal(why, "2 servers are called \"server-0\"; their ids are: "
				 "id-0 (192.0.2.7), id-2 (192.0.2.7)");
	free(list);
}

static void answer_about_hundreds_of_servers_stays_short(void **state)
{
	struct server *list = make_servers(300);
	const char *stream;
	char why[512], small[20];
	const struct server_stream *found;
	const struct server *server;

	(void)state;
	assert_int_equal(find(list, 300, "porch", &stream, why), -ENOENT);
	assert_non_null(strstr(why, "server-7 (id-7) and 292 more"));
	assert_int_equal(servers_find(list, 300, "porch", &server, &found, small, sizeof small),
			 -ENOENT);
	assert_true(strlen(small) < sizeof small);
	free(list);
}

static void table_has_a_line_for_each_stream(void **state)
{
	struct server *list = make_servers(2);
	char buf[4096];
	FILE *out = fmemopen(buf, sizeof buf, "w");

	(void)state;
	assert_non_null(out);
	strcpy(list[0].name, "\xed\x98\x84\xea\xb4\x80");
	list[1].n_streams = 0;
	show_table(out, list, 2, 0);
	fclose(out);
	assert_string_equal(buf,
			    "SERVER    ID    KEY  STREAM  CODEC  SIZE      FPS    BITRATE   URL\n"
			    "\xed\x98\x84\xea\xb4\x80      id-0  -    front   h264   1280x720  "
			    "29.97  2 Mbit/s  "
			    "tcp://192.0.2.7:8888\n"
			    "                     jpeg    mjpeg                             "
			    "tcp+length://[2001:db8::1]:8000\n"
			    "server-1  id-1  -    -                                         \n");
	free(list);
}

static void table_is_cut_to_the_lines_there_are(void **state)
{
	struct server *list = make_servers(10);
	char buf[8192];
	FILE *out = fmemopen(buf, sizeof buf, "w");
	unsigned lines = 0;

	(void)state;
	assert_non_null(out);
	show_table(out, list, 10, 6);
	fclose(out);
	for (const char *p = buf; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 6);
	assert_non_null(strstr(buf, "\nand 16 more lines\n"));
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_description_is_taken),
		cmocka_unit_test(every_mistake_is_refused),
		cmocka_unit_test(description_cut_off_anywhere_is_refused),
		cmocka_unit_test(streams_of_kinds_to_come_are_left_out),
		cmocka_unit_test(streams_beyond_the_limit_are_left_out),
		cmocka_unit_test(deep_nesting_and_long_payloads_are_refused),
		cmocka_unit_test(recording_commands_are_two_words),
		cmocka_unit_test(names_never_carry_what_a_terminal_acts_on),
		cmocka_unit_test(columns_count_wide_characters_twice),
		cmocka_unit_test(server_is_found_by_name_and_by_id),
		cmocka_unit_test(stream_in_two_framings_is_taken_as_a_byte_stream),
		cmocka_unit_test(unknown_name_is_answered_with_what_there_is),
		cmocka_unit_test(ambiguous_name_is_answered_with_the_ids),
		cmocka_unit_test(answer_about_hundreds_of_servers_stays_short),
		cmocka_unit_test(table_has_a_line_for_each_stream),
		cmocka_unit_test(table_is_cut_to_the_lines_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
