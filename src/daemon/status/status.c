/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/status/health.h"
#include "daemon/status/json.h"

#define CLIENTS_PER_TURN 64
/* A text with more clients than a turn writes is made at most four times a second. A shorter one
 * may take a twentieth of the time. */
#define PERIOD_US 250000
#define SHARE 20

/* One of the texts, and the requests for it. */
struct text {
	struct status *status;
	struct list waiting; /* for the next text */
	struct loop_timer begin;
	int64_t next_us; /* when it may be made again */
};

struct status {
	const struct status_view *view;
	struct text json, metrics;
	/* The JSON that is being written. */
	struct json *writing; /* NULL: none */
	struct list asked;    /* before it was begun */
	int64_t cost_us;
	struct loop_timer step;
};

static void reply_all(struct list *questions, const char *text, const char *type)
{
	while (!list_empty(questions))
		http_reply(container_of(questions->next, struct http_question, link),
			   text ? 200 : 500, type, text, text ? strlen(text) : 0);
}

static void finish_text(struct text *text, int64_t cost_us, bool long_text)
{
	int64_t pause_us = long_text || cost_us * SHARE > PERIOD_US ? PERIOD_US : cost_us * SHARE;

	text->next_us = loop_now_us(text->status->view->loop) + pause_us;
	if (!list_empty(&text->waiting))
		loop_timer_set(text->status->view->loop, &text->begin, text->next_us);
}

/* --- /metrics --- */

static void write_metrics(struct status *status)
{
	int64_t begun_us = clock_now_us();
	char *text = status_metrics(status->view);

	loop_timer_cancel(status->view->loop, &status->metrics.begin);
	reply_all(&status->metrics.waiting, text, "text/plain; version=0.0.4; charset=utf-8");
	free(text);
	finish_text(&status->metrics, clock_now_us() - begun_us, false);
}

static void handle_begin_metrics(struct loop_timer *timer)
{
	write_metrics(container_of(timer, struct text, begin)->status);
}

/* --- /status.json --- */

static void step_json(struct status *status, unsigned max)
{
	struct loop *loop = status->view->loop;
	int64_t begun_us = clock_now_us();
	bool complete = json_step(status->writing, max), long_text;
	char *text;

	status->cost_us += clock_now_us() - begun_us;
	if (!complete) {
		loop_timer_set(loop, &status->step, loop_now_us(loop));
		return;
	}
	long_text = json_clients(status->writing) > CLIENTS_PER_TURN;
	text = json_end(status->writing);
	status->writing = NULL;
	reply_all(&status->asked, text, "application/json");
	free(text);
	finish_text(&status->json, status->cost_us, long_text);
}

static void handle_step(struct loop_timer *timer)
{
	step_json(container_of(timer, struct status, step), CLIENTS_PER_TURN);
}

static void begin_json(struct status *status)
{
	int64_t begun_us = clock_now_us();

	loop_timer_cancel(status->view->loop, &status->json.begin);
	list_splice(&status->asked, &status->json.waiting);
	status->writing = json_begin(status->view);
	status->cost_us = clock_now_us() - begun_us;
	if (status->writing)
		step_json(status, CLIENTS_PER_TURN);
	else
		reply_all(&status->asked, NULL, NULL);
}

static void handle_begin_json(struct loop_timer *timer)
{
	begin_json(container_of(timer, struct text, begin)->status);
}

/* --- over HTTP --- */

static void reply_healthz(const struct status_view *view, struct http_question *question)
{
	char why[HEALTH_WHY_MAX], line[HEALTH_WHY_MAX + 1];
	bool healthy = health_check(view->cameras, loop_now_us(view->loop), why);
	int len = snprintf(line, sizeof line, "%s\n", healthy ? "ok" : why);

	http_reply(question, healthy ? 200 : 503, "text/plain; charset=utf-8", line, (size_t)len);
}

/* Whether the text may be made at once; if not, its timer is set. */
static bool is_due(struct text *text, bool busy)
{
	struct loop *loop = text->status->view->loop;

	if (busy) /* finish_text() comes */
		return false;
	if (loop_now_us(loop) >= text->next_us)
		return true;
	loop_timer_set(loop, &text->begin, text->next_us);
	return false;
}

bool status_handle(struct status *status, const char *path, struct http_question *question)
{
	if (strcmp(path, "/status.json") == 0) {
		list_append(&status->json.waiting, &question->link);
		if (is_due(&status->json, status->writing))
			begin_json(status);
	} else if (strcmp(path, "/metrics") == 0) {
		list_append(&status->metrics.waiting, &question->link);
		if (is_due(&status->metrics, false))
			write_metrics(status);
	} else if (strcmp(path, "/healthz") == 0) {
		reply_healthz(status->view, question);
	} else {
		return false;
	}
	return true;
}

/* --- life --- */

static void init_text(struct text *text, struct status *status,
		      void (*begin)(struct loop_timer *timer))
{
	text->status = status;
	list_init(&text->waiting);
	loop_timer_init(&text->begin, begin);
}

int status_create(struct status **out, const struct status_view *view)
{
	struct status *status = calloc(1, sizeof *status);

	if (!status)
		return -ENOMEM;
	status->view = view;
	list_init(&status->asked);
	init_text(&status->json, status, handle_begin_json);
	init_text(&status->metrics, status, handle_begin_metrics);
	loop_timer_init(&status->step, handle_step);
	*out = status;
	return 0;
}

void status_settle(struct status *status)
{
	if (!status || !status->writing)
		return;
	loop_timer_cancel(status->view->loop, &status->step);
	step_json(status, JSON_CLIENTS_MAX);
}

void status_destroy(struct status *status)
{
	struct loop *loop;

	if (!status)
		return;
	loop = status->view->loop;
	loop_timer_cancel(loop, &status->json.begin);
	loop_timer_cancel(loop, &status->metrics.begin);
	loop_timer_cancel(loop, &status->step);
	if (status->writing)
		free(json_end(status->writing));
	free(status);
}
