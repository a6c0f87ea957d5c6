/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/push_url.h"

static void urls_of_all_four_schemes_are_read(void **state)
{
	static const struct {
		const char *url, *scheme, *host;
		uint16_t port;
	} cases[] = {
		{"rtmp://a.rtmp.youtube.com/live2/abcd-efgh", "rtmp", "a.rtmp.youtube.com", 1935},
		{"rtmps://live.example.org:4443/app/key?x=y", "rtmps", "live.example.org", 4443},
		{"rtsp://user:p%40ss@192.0.2.7/cam", "rtsp", "192.0.2.7", 554},
		{"rtsp://192.0.2.7:8554", "rtsp", "192.0.2.7", 8554},
		{"srt://[2001:db8::1]:9000?streamid=publish:x&passphrase=0123456789", "srt",
		 "2001:db8::1", 9000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct push_url url;

		assert_null(push_url_parse(&url, cases[i].url));
		assert_string_equal(url.scheme, cases[i].scheme);
		assert_string_equal(url.host.host, cases[i].host);
		assert_int_equal(url.host.port, cases[i].port);
	}
}

static void what_is_wrong_is_said_without_the_url(void **state)
{
	static const struct {
		const char *url, *part;
	} cases[] = {
		{"", "must begin with"},
		{"secret", "must begin with"},
		{"http://host/secret", "must begin with"},
		{"RTMP://host/secret", "must begin with"},
		{"rtmp:///app/secret", "no host"},
		{"rtmp://:1935/app/secret", "no host"},
		{"rtmp://user:secret@/app", "no host"},
		{"rtmp://host", "no path"},
		{"rtmp://host/", "no path"},
		{"rtmp://host?secret", "no path"},
		{"rtmp://host:0/app/secret", "host or port"},
		{"rtmp://host:65536/app/secret", "host or port"},
		{"rtmp://ho st/app/secret", "character"},
		{"rtmp://host/app/se\ncret", "character"},
		{"rtmp://host/app/s\xc3\xa9"
		 "cret",
		 "character"},
		{"rtmp://host_is_300.300/a\"b", "character"},
		{"srt://host?passphrase=secret", "no port"},
		{"srt://host:9000?mode=listener", "calls the other side"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct push_url url;
		const char *wrong = push_url_parse(&url, cases[i].url);

		assert_non_null(wrong);
		assert_non_null(strstr(wrong, cases[i].part));
		assert_null(strstr(wrong, "secret"));
	}
}

static void urls_of_sources_are_read(void **state)
{
	static const struct {
		const char *url, *scheme, *host, *shown;
		uint16_t port;
	} good[] = {
		{"rtsp://me:se%40cret@192.0.2.7/cam", "rtsp", "192.0.2.7", "rtsp://192.0.2.7/...",
		 554},
		{"http://cam.local/s.ts?key=secret", "http", "cam.local", "http://cam.local/...",
		 80},
		{"https://me:secret@cam/s", "https", "cam", "https://cam/...", 443},
		{"tcp://[2001:db8::1]:8888", "tcp", "2001:db8::1", "tcp://[2001:db8::1]:8888/...",
		 8888},
		{"udp://@239.1.1.1:5000", "udp", "239.1.1.1", "udp://239.1.1.1:5000/...", 5000},
		{"udp://:5000", "udp", "", "udp://:5000/...", 5000},
		{"srt://:9000?mode=listener&passphrase=secret", "srt", "", "srt://:9000/...", 9000},
		{"srt://h:9000?streamid=secret", "srt", "h", "srt://h:9000/...", 9000},
	};
	static const struct {
		const char *url, *part;
	} bad[] = {
		{"rtmp://h/a/b", "must begin with rtsp://"},
		{"rtsps://h/a", "must begin with rtsp://"},
		{"file:///etc/passwd", "must begin with rtsp://"},
		{"tcp://h", "no port"},
		{"tcp://:80", "no host"},
		{"rtsp://u:secret@/x", "no host"},
		{"udp://239.1.1.1", "no port"},
		{"udp://5000", "no port"},
		{"tcp://h:80?listen", "calls the other side"},
		{"http://h/a b", "character"},
		{"rtsp://u:sec/ret@h/x", "are written %2F, %3F and %23"},
		{"rtsp://u:sec#ret@h/x", "are written %2F, %3F and %23"},
		{"rtsp://fe80::1/x", "in brackets"},
		{"rtsp://u:secret@fe80::1:554/x", "in brackets"},
	};
	struct push_url url;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		char shown[PUSH_URL_SHOWN_MAX];

		assert_null(source_url_parse(&url, good[i].url));
		assert_string_equal(url.scheme, good[i].scheme);
		assert_string_equal(url.host.host, good[i].host);
		assert_int_equal(url.host.port, good[i].port);
		push_url_redact(good[i].url, shown);
		assert_string_equal(shown, good[i].shown);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *wrong = source_url_parse(&url, bad[i].url);

		assert_non_null(wrong);
		assert_non_null(strstr(wrong, bad[i].part));
		assert_null(strstr(wrong, "secret"));
	}
}

static void a_url_of_more_than_a_kilobyte_is_refused(void **state)
{
	char text[PUSH_URL_MAX + 1] = "rtmp://host/";
	struct push_url url;

	(void)state;
	memset(text + strlen(text), 'x', PUSH_URL_MAX - strlen(text));
	assert_string_equal(push_url_parse(&url, text), "it is too long");
	text[PUSH_URL_MAX - 1] = '\0';
	assert_null(push_url_parse(&url, text));
}

static void a_list_is_split_at_commas(void **state)
{
	const char *list = " rtmp://a/b/c ,,srt://d:1\t";
	char url[PUSH_URL_MAX], longest[PUSH_URL_MAX + 1];

	(void)state;
	assert_int_equal(push_url_next(&list, url), 1);
	assert_string_equal(url, "rtmp://a/b/c");
	assert_int_equal(push_url_next(&list, url), 1);
	assert_string_equal(url, "srt://d:1");
	assert_int_equal(push_url_next(&list, url), 0);
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	list = longest;
	assert_int_equal(push_url_next(&list, url), -EINVAL);
}

static void only_scheme_host_and_port_are_shown(void **state)
{
	static const struct {
		const char *url, *shown;
	} cases[] = {
		{"rtmp://a.example/live2/abcd-efgh?x=y", "rtmp://a.example/..."},
		{"rtmps://user:pass@a.example:443/app/key", "rtmps://a.example:443/..."},
		{"rtsp://user:p%40ss@[2001:db8::1]/cam", "rtsp://[2001:db8::1]/..."},
		{"srt://a.example:9000?passphrase=0123456789", "srt://a.example:9000/..."},
		{"key", "..."},
		{"rtmp://user:pass@:80/x", "..."},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char shown[PUSH_URL_SHOWN_MAX];

		push_url_redact(cases[i].url, shown);
		assert_string_equal(shown, cases[i].shown);
	}
}

static void secrets_in_texts_of_servers_are_hidden(void **state)
{
	static const struct {
		const char *url, *text, *hidden;
	} cases[] = {
		{"rtmp://h/live2/abcd-efgh", "Already publishing abcd-efgh, abcd-efgh",
		 "Already publishing ***, ***"},
		{"rtmp://h/live2/abcd-efgh", "rtmp://h/live2/abcd-efgh: no", "rtmp://h***: no"},
		{"rtmp://u:pa@h/app/key?sig=Zm9v==", "pa, u, key, Zm9v==, sig",
		 "***, ***, ***, ***==, sig"},
		{"rtsp://u:p%40ss@h/x1", "bad password p@ss of p%40ss", "bad password *** of ***"},
		{"srt://h:1?streamid=publish:a/b&passphrase=0123456789&latency=99",
		 "passphrase 0123456789 of publish:a/b, latency",
		 "passphrase *** of ***/***, latency"},
		{"rtmp://h/a/abc", "abc", "***"},
		{"rtmp://h/app/x*y", "x*y*", "****"},
		{"key", "the key", "the ***"},
		{"rtmp://h/app/key", "nothing", "nothing"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[256];

		strcpy(text, cases[i].text);
		push_url_hide(cases[i].url, text, sizeof text);
		assert_string_equal(text, cases[i].hidden);
	}
}

/* "rtmp://h/app/" and pieces of the path up to the greatest length: each is hidden, in every place.
 */
static void each_part_of_the_longest_url_is_hidden(void **state)
{
	char url[PUSH_URL_MAX], text[4 * PUSH_URL_MAX];
	size_t len = (size_t)snprintf(url, sizeof url, "rtmp://h/app");
	unsigned parts = 0;
	struct push_url parsed;

	(void)state;
	for (; len + 9 < sizeof url; parts++)
		len += (size_t)snprintf(url + len, sizeof url - len, "/key%04u", parts);
	assert_null(push_url_parse(&parsed, url));
	len = (size_t)snprintf(text, sizeof text, "no such thing as %s; ", url);
	for (unsigned i = 0; i < parts; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "key%04u,", i);
	push_url_hide(url, text, sizeof text);
	assert_null(strstr(text, "key"));
	assert_null(strstr(text, "app"));
	assert_non_null(strstr(text, "no such thing as rtmp://h"));
}

static void other_urls_in_a_text_keep_their_host_only(void **state)
{
	static const struct {
		const char *text, *hidden;
	} cases[] = {
		{"URL http://a:81/b/c.ts?token=t is not allowed",
		 "URL http://a:81/*** is not allowed"},
		{"loading 'https://a/c.ts?token=it's', or 'https://b?t'.",
		 "loading 'https://a/***', or 'https://b?***'."},
		{"keepalive for 'http://u:p@a:81/b' with error: 'x'",
		 "keepalive for 'http://***@a:81/***' with error: 'x'"},
		{"crypto+http://a/b:c", "crypto+http://a/***"},
		{"http://u:p@a http://b/ http://", "http://***@a http://b/ http://"},
		{"of http://h/pl?k=sec and http://g/x?k=sec", "of http://h*** and http://g/***"},
		{"://://a/b", "://:/***"},
		{"http:// http://@ ://@@/", "http:// http://***@ ://***@/"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[256];

		strcpy(text, cases[i].text);
		push_url_hide("http://h/pl?k=sec", text, sizeof text);
		assert_string_equal(text, cases[i].hidden);
	}
}

/* A secret that is cut by the end of the text, or that stands in a longer URL than is allowed. */
static void a_secret_at_the_end_of_a_text_is_hidden(void **state)
{
	char url[2 * PUSH_URL_MAX], text[256];
	size_t head;

	(void)state;
	memset(url, 0, sizeof url);
	head = (size_t)snprintf(url, sizeof url, "srt://h:1?passphrase=");
	memset(url + head, 'k', 80);
	snprintf(text, sizeof text, "refused: %s", url + head);
	push_url_hide(url, text, sizeof text);
	assert_string_equal(text, "refused: ***");
	/* The parser refuses such a URL before; what is shown of it must be safe all the same. */
	memset(url + head, 'k', sizeof url - head - 1);
	snprintf(text, sizeof text, "%.200s", "refused");
	push_url_hide(url, text, sizeof text);
	assert_string_equal(text, "refused");
}

static void hiding_never_writes_beyond_the_text(void **state)
{
	struct {
		char text[8], guard[8];
	} tight = {"abababa", "guard"};

	(void)state;
	push_url_hide("rtmp://h/b/ccc", tight.text, sizeof tight.text);
	assert_true(memchr(tight.text, '\0', sizeof tight.text) != NULL);
	assert_null(strchr(tight.text, 'b'));
	assert_string_equal(tight.guard, "guard");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_of_all_four_schemes_are_read),
		cmocka_unit_test(what_is_wrong_is_said_without_the_url),
		cmocka_unit_test(urls_of_sources_are_read),
		cmocka_unit_test(a_url_of_more_than_a_kilobyte_is_refused),
		cmocka_unit_test(a_list_is_split_at_commas),
		cmocka_unit_test(only_scheme_host_and_port_are_shown),
		cmocka_unit_test(secrets_in_texts_of_servers_are_hidden),
		cmocka_unit_test(each_part_of_the_longest_url_is_hidden),
		cmocka_unit_test(other_urls_in_a_text_keep_their_host_only),
		cmocka_unit_test(a_secret_at_the_end_of_a_text_is_hidden),
		cmocka_unit_test(hiding_never_writes_beyond_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
