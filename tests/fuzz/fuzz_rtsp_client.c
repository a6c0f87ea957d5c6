/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever a camera sends to a client of RTSP: answers, descriptions, frames. The first byte says
 * in how large pieces the bytes come; 0xfe stands for time that passes. What is returned are units
 * within their bound, and what is asked has whole lines and no secret but in its place.
 */
#include <stdlib.h>
#include <string.h>

#include "client/stream/login.h"
#include "client/stream/rtsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* echo: the server itself has said what is secret. */
static void send_requests(struct rtsp *rtsp, bool echo)
{
	size_t len;
	const char *text = rtsp_output(rtsp, &len);

	require(len == 0 || (len > 4 && memcmp(text + len - 4, "\r\n\r\n", 4) == 0));
	require((echo || !memmem(text, len, "secret", 6)) && !memchr(text, '\0', len));
	rtsp_sent(rtsp, len);
}

static int take_units(struct rtsp *rtsp, int64_t now_us)
{
	struct cutter_unit unit;
	int r;

	while ((r = rtsp_next(rtsp, &unit, now_us)) > CUTTER_MORE)
		if (r == CUTTER_UNIT) {
			uint8_t last = 0;

			require(unit.len > 0 && unit.len <= CUTTER_UNIT_MAX);
			for (size_t i = 0; i < unit.len; i++)
				last ^= unit.data[i];
			(void)*(volatile uint8_t *)&last;
		}
	if (r < 0)
		require(strlen(rtsp_why(rtsp)) > 0);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned login;
	struct rtsp_target target = {.host = "192.0.2.7", .port = 554, .path = "/x"};
	const bool echo = memmem(data, size, "secret", 6);
	struct rtsp *rtsp;
	size_t piece;
	int64_t now_us = 0;
	int r = 0;

	if (size == 0)
		return 0;
	if (!login)
		login = (unsigned)login_keep("me:secret", 9);
	target.login = login;
	piece = 1 + (size_t)data[0] * 16;
	require(rtsp_create(&rtsp, &target) == 0 && rtsp_begin(rtsp, now_us) == 0);
	for (size_t at = 1; at < size && r >= 0;) {
		size_t room, n = size - at < piece ? size - at : piece;
		uint8_t *to;

		send_requests(rtsp, echo);
		if (data[at] == 0xfe) {
			now_us = rtsp_due_us(rtsp);
			r = rtsp_turn(rtsp, now_us);
			at++;
			continue;
		}
		to = rtsp_room(rtsp, &room);
		require(room > 0);
		n = n < room ? n : room;
		memcpy(to, data + at, n);
		rtsp_add(rtsp, n);
		at += n;
		r = take_units(rtsp, now_us);
	}
	send_requests(rtsp, echo);
	rtsp_destroy(rtsp);
	return 0;
}
