/* SPDX-License-Identifier: BSD-2-Clause */
/* What a peer of raw TCP sends: a greeting of another protocol, or anything else. */
#include "tests/unit/feed_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Sends a text in pieces of at most `piece` bytes, each of which arrives alone. */
static void say(struct rig *rig, const struct viewer *viewer, const char *text, size_t piece)
{
	for (size_t len = strlen(text), n; len > 0; text += n, len -= n) {
		n = len < piece ? len : piece;
		if (send(viewer->fd, text, n, MSG_NOSIGNAL) < 0)
			return; /* its end came before */
		rig_settle(rig->loop);
	}
}

/* Neither the units that it was sent before nor the segments of its greeting matter. */
static void a_peer_that_greets_in_another_protocol_is_no_viewer(void **state)
{
	static const char *const greetings[] = {
		"GET / HTTP/1.1\r\n",	  "OPTIONS rtsp://h:8888/ RTSP/1.0\r\n",
		"OPTIONS * RTSP/1.0\r\n", "OPTIONS * HTTP/1.1\r\n",
		"\x16\x03\x01\x02",	  "\x16\x03"};
	static const size_t pieces[] = {SIZE_MAX, 9, 2, 1};
	struct viewer *viewer;
	struct rig rig;
	unsigned n = 0;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	rig_unit(&rig, 1000, KEY);
	for (unsigned i = 0; i < sizeof greetings / sizeof *greetings; i++) {
		for (unsigned k = 0; k < sizeof pieces / sizeof *pieces; k++) {
			viewer = viewer_join(&rig, 0);
			say(&rig, viewer, greetings[i], pieces[k]);
			assert_int_equal(rig_gone(&rig), ++n);
			viewer_leave(viewer);
		}
	}
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_FOREIGN], n);
	assert_int_equal(rig.unwatched, n);
	assert_int_equal(rig.viewed, 0);
	rig_stop(&rig);
}

/* Then and later. */
static void anything_else_that_a_viewer_sends_is_ignored(void **state)
{
	static const char *const texts[] = {
		"hello\n", "GEt / HTTP/1.1\r\n", "OPTION", "OPTIONS", "\x16\x02", "\x16", "GGET "};
	enum { N = sizeof texts / sizeof *texts };
	struct viewer *viewers[2 * N];
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	for (unsigned i = 0; i < 2 * N; i++) {
		viewers[i] = viewer_join(&rig, 0);
		say(&rig, viewers[i], texts[i / 2], i % 2 ? 1 : SIZE_MAX);
		say(&rig, viewers[i], "\r\nGET / HTTP/1.1\r\n", i % 2 ? 1 : SIZE_MAX);
	}
	rig_unit(&rig, 1000, KEY);
	assert_int_equal(rig_gone(&rig), 0);
	for (unsigned i = 0; i < 2 * N; i++) {
		viewer_drink(&rig, viewers[i]);
		assert_int_equal(viewers[i]->n, 1);
		viewer_leave(viewers[i]);
	}
	rig_settle(rig.loop);
	assert_int_equal(rig_gone(&rig), 2 * N);
	assert_int_equal(rig.viewed, 1);
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_FOREIGN], 0);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_peer_that_greets_in_another_protocol_is_no_viewer),
		ON_BOTH(anything_else_that_a_viewer_sends_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
