/* SPDX-License-Identifier: BSD-2-Clause */
#include "push/push.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/text.h"
#include "push/output.h"

/* Two reports in a period: camcastd may have been held up. */
#define REPORT_US (CAMCAST_PUSH_REPORT_MS * INT64_C(1000) / 2)

_Static_assert(sizeof((struct camcast_push_report *)0)->text >= OUTPUT_WHY_MAX, "reasons fit");

struct push {
	int pair;
	const char *url;
	struct camcast_push_report report;
	int64_t reported_us;
	struct fragments fragments;
	struct fragments_setup setup; /* that of `output` */
	struct output *output;	      /* NULL: no picture has come yet */
};

/* A report for which the socket has no room is lost; it is sent whole or not at all, as it is
 * shorter than the least buffer. */
static void report(struct push *push, enum camcast_push_state state)
{
	push->report.state = state;
	push->reported_us = clock_now_us();
	(void)send(push->pair, &push->report, sizeof push->report, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int end(struct push *push, enum camcast_push_state state, const char *why)
{
	text_set(push->report.text, sizeof push->report.text, why);
	report(push, state);
	return state == CAMCAST_PUSH_FAILED ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Signs of life while libavformat waits. False: camcastd has closed the pair. */
static bool handle_waiting(void *user)
{
	struct push *push = user;
	struct pollfd pfd = {.fd = push->pair, .events = 0};

	if (clock_now_us() - push->reported_us >= REPORT_US)
		report(push, (enum camcast_push_state)push->report.state);
	return poll(&pfd, 1, 0) <= 0 || !(pfd.revents & (POLLHUP | POLLERR));
}

/* --- pictures --- */

static bool same_setup(const struct fragments_setup *a, const struct fragments_setup *b)
{
	return a->width == b->width && a->height == b->height && a->avcc_len == b->avcc_len &&
	       memcmp(a->avcc, b->avcc, a->avcc_len) == 0;
}

static int open_output(struct push *push, char why[OUTPUT_WHY_MAX])
{
	struct output_options options = {.url = push->url, .go_on = handle_waiting, .user = push};

	push->setup = push->fragments.setup;
	return output_open(&push->output, &options, &push->setup, why);
}

/* -1: go on; else the exit status. */
static int send_picture(struct push *push, const struct fragments_picture *picture)
{
	char why[OUTPUT_WHY_MAX];

	if (!push->output && open_output(push, why) < 0)
		return end(push, CAMCAST_PUSH_FAILED, why);
	if (!same_setup(&push->setup, &push->fragments.setup))
		return end(push, CAMCAST_PUSH_ENDED, "the size or the parameter sets changed");
	if (output_is_full(push->output, picture))
		return end(push, CAMCAST_PUSH_ENDED, "the times of the format are used up");
	if (output_write(push->output, picture, why) < 0)
		return end(push, CAMCAST_PUSH_FAILED, why);
	push->report.units++;
	push->report.bytes += picture->len;
	if (push->report.state != CAMCAST_PUSH_LIVE)
		report(push, CAMCAST_PUSH_LIVE);
	return -1;
}

static int send_pictures(struct push *push)
{
	struct fragments_picture picture;
	int event, code = -1;

	do {
		event = fragments_next(&push->fragments, &picture);
		if (event == FRAGMENTS_PICTURE)
			code = send_picture(push, &picture);
	} while (code < 0 && event > FRAGMENTS_MORE);
	if (event < 0)
		code = end(push, CAMCAST_PUSH_FAILED, "camcastd sent what is no fragmented MP4");
	return code;
}

/* --- the pair --- */

/* -1: go on; else the exit status. */
static int receive(struct push *push)
{
	uint8_t *data;
	size_t len;
	ssize_t n;

	if (fragments_room(&push->fragments, &data, &len) < 0)
		return end(push, CAMCAST_PUSH_FAILED, "out of memory");
	n = recv(push->pair, data, len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -1;
	if (n <= 0)
		return EXIT_SUCCESS;
	fragments_add(&push->fragments, (size_t)n);
	return send_pictures(push);
}

static int run(struct push *push)
{
	int code = -1;

	while (code < 0) {
		struct pollfd pfd = {.fd = push->pair, .events = POLLIN};

		/* Also for signs of life. */
		(void)poll(&pfd, 1, (int)(REPORT_US / 1000));
		code = receive(push);
		if (code < 0 && clock_now_us() - push->reported_us >= REPORT_US)
			report(push, (enum camcast_push_state)push->report.state);
	}
	return code;
}

int push_run(int pair, const char *url)
{
	struct push *push = calloc(1, sizeof *push);
	int code;

	if (!push)
		return EXIT_FAILURE;
	push->pair = pair;
	push->url = url;
	output_init(url);
	report(push, CAMCAST_PUSH_CONNECTING);
	code = run(push);
	output_close(push->output);
	fragments_finish(&push->fragments);
	free(push);
	return code;
}
