/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/hls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/serve/hls_playlist.h"

#define SECOND_US INT64_C(1000000)
#define IDLE_US (10 * SECOND_US)  /* and a segment: without a request, until the feed is let go */
#define START_US (30 * SECOND_US) /* for the first segment */
#define SEND_US (10 * SECOND_US)  /* of an answer, after a wait */
#define LIVE_US (2 * SECOND_US)	  /* since the newest unit: the feed is being written */
#define YEAR_2025 1735689600	  /* time() at its beginning */
#define TICK_US (SECOND_US / 4)	  /* limits of time are checked as often */

/* Of what never changes, and of errors: a cache may keep them for a while. */
#define CACHE_OBJECT "public, max-age=60, immutable"
#define CACHE_SHORT "public, max-age=1"

#define PLAYLIST_TYPE "application/vnd.apple.mpegurl"
#define MEDIA_TYPE "video/mp4"

/* Requests that wait for the same thing. */
struct wait {
	struct list link;      /* hls.waits */
	struct list questions; /* peers that left are not in it any more */
	int64_t until_us;
	bool for_part; /* part `name` is waited for; else a playlist */
	struct hls_name name;
	struct hls_reload reload;
};

struct hls {
	struct loop *loop;
	struct hls_setup setup; /* feed NULL: it is gone */
	struct feed_waiter waiter;
	struct hls_timeline *timeline; /* NULL before the first unit */
	uint64_t next;		       /* the first unit that was not read; 0: none was */
	uint64_t begin_msn;	       /* the least that the next timeline begins with */
	uint64_t asked_msn;	       /* the newest segment for which an IDR was asked for */
	int64_t asked_us;	       /* when the newest request came */
	struct list waits;
	struct hls_players players;
	struct loop_timer tick;
	size_t prefix_len; /* of the stream's name and the slash in it */
	char prefix[HLS_PREFIX_MAX];
	size_t text_len; /* of the playlist; 0: it has to be written */
	char text[HLS_PLAYLIST_MAX];
};

static int64_t now_us(const struct hls *hls)
{
	return loop_now_us(hls->loop);
}

/* --- answers --- */

static void answer_error(struct http_question *question, int status, const char *cache)
{
	struct http_answer answer = {
		.status = status,
		.cache = cache,
		.headers = status == 503 ? "Retry-After: 1\r\n" : NULL,
	};

	http_answer(question, &answer);
}

static void answer_playlist(struct hls *hls, const struct hls_reload *reload,
			    struct http_question *question)
{
	char cache[48] = CACHE_SHORT;
	struct http_answer answer = {
		.status = 200, .type = PLAYLIST_TYPE, .cache = cache, .body = hls->text};

	if (hls->text_len == 0)
		hls->text_len = hls_playlist_write(hls->timeline, hls->prefix, hls->text);
	answer.len = hls->text_len;
	/* What has this part now has it for ever. */
	if (reload->has_msn)
		snprintf(cache, sizeof cache, "public, max-age=%u", 6 * hls->timeline->target_s);
	http_answer(question, &answer);
}

/* The units are in the log. */
static void note_sent(struct hls *hls, const struct hls_object *object,
		      const struct http_question *question)
{
	const struct log *log = feed_log(hls->setup.feed);
	uint64_t bytes = 0;

	if (object->from < log->tail || object->until > log->head || object->from >= object->until)
		return;
	for (uint64_t seq = object->from; seq < object->until; seq++)
		bytes += log_unit(log, seq)->len;
	hls_players_sent(&hls->players, question->tag, bytes,
			 log_unit(log, object->until - 1)->received_us);
}

static void answer_object(struct hls *hls, const struct hls_name *name,
			  const struct hls_object *object, struct http_question *question)
{
	struct http_answer answer = {.status = 200, .type = MEDIA_TYPE, .cache = CACHE_OBJECT};
	const struct segment *init;

	if (name->kind != HLS_INIT) {
		note_sent(hls, object, question);
		http_answer_units(question, &answer, hls->setup.feed, object->from, object->until);
		return;
	}
	init = log_preamble(feed_log(hls->setup.feed), object->preamble);
	if (!init) {
		answer_error(question, 404, CACHE_SHORT);
		return;
	}
	answer.body = init->pages.map;
	answer.len = init->size;
	http_answer(question, &answer);
}

/* --- requests that wait --- */

/* Whether the request can be answered now; *error: not with what it asks for, but with a status. */
static bool is_due(struct hls *hls, const struct wait *wait, struct hls_object *object, int *error)
{
	int ret = -EAGAIN;

	*error = 0;
	if (!hls->setup.feed || now_us(hls) >= wait->until_us) {
		*error = 503;
		return true;
	}
	if (hls->timeline && wait->for_part)
		ret = hls_object_find(object, hls->timeline, &wait->name);
	else if (hls->timeline && hls_timeline_is_ready(hls->timeline))
		ret = hls_reload_check(hls->timeline, &wait->reload);
	if (ret == -ENOENT)
		*error = 404;
	else if (ret == -EINVAL)
		*error = 400;
	return ret != -EAGAIN;
}

static void answer_wait(struct hls *hls, const struct wait *wait, const struct hls_object *object,
			int error, struct http_question *question)
{
	if (error)
		answer_error(question, error, error == 503 ? NULL : CACHE_SHORT);
	else if (wait->for_part)
		answer_object(hls, &wait->name, object, question);
	else
		answer_playlist(hls, &wait->reload, question);
}

static void answer_waits(struct hls *hls)
{
	struct list *pos, *tmp;
	struct hls_object object;
	int error;

	list_for_each_safe (pos, tmp, &hls->waits) {
		struct wait *wait = container_of(pos, struct wait, link);

		if (!list_empty(&wait->questions) && !is_due(hls, wait, &object, &error))
			continue;
		while (!list_empty(&wait->questions))
			answer_wait(hls, wait, &object, error,
				    container_of(wait->questions.next, struct http_question, link));
		list_remove(&wait->link);
		free(wait);
	}
}

static bool is_same(const struct wait *a, const struct wait *b)
{
	if (a->for_part != b->for_part)
		return false;
	if (a->for_part)
		return a->name.number == b->name.number;
	return a->reload.has_msn == b->reload.has_msn && a->reload.has_part == b->reload.has_part &&
	       a->reload.msn == b->reload.msn && a->reload.part == b->reload.part;
}

static struct wait *find_wait(struct hls *hls, const struct wait *wanted)
{
	struct wait *wait;

	for (struct list *pos = hls->waits.next; pos != &hls->waits; pos = pos->next) {
		wait = container_of(pos, struct wait, link);
		if (is_same(wait, wanted))
			return wait;
	}
	wait = malloc(sizeof(*wait));
	if (!wait)
		return NULL;
	*wait = *wanted;
	list_init(&wait->link);
	list_init(&wait->questions);
	list_append(&hls->waits, &wait->link);
	return wait;
}

/* Answers now, or when what is wanted is there. What can be waited for is of few kinds, and each
 * question has a place of a viewer's: both bound what waits. */
static void answer_or_hold(struct hls *hls, struct wait *wanted, struct http_question *question)
{
	struct hls_object object;
	struct wait *wait;
	int error;

	if (is_due(hls, wanted, &object, &error)) {
		answer_wait(hls, wanted, &object, error, question);
		return;
	}
	wait = find_wait(hls, wanted);
	if (!wait) {
		answer_error(question, 503, NULL);
		return;
	}
	http_allow(question, wait->until_us - now_us(hls) + SEND_US);
	list_append(&wait->questions, &question->link);
}

/* --- the log --- */

static int begin_timeline(struct hls *hls, const struct unit *first)
{
	const struct rate *rate = &hls->setup.camera->framerate;
	uint64_t step_us = (uint64_t)SECOND_US * rate->den / rate->num;
	/* For a player that keeps the URL over a restart of camcastd, numbers never go back (RFC
	 * 8216 clause 6.2.2): there are fewer than two segments a second. The number fits into the
	 * 31 bits that some players have. */
	int64_t age_s = time(NULL) - YEAR_2025;
	struct hls_options options = {
		.step_us = first->duration_us ? first->duration_us : (uint32_t)step_us,
		.first_msn = age_s > 0 ? 2 * (uint64_t)age_s : 1,
	};
	int ret;

	if (options.first_msn < hls->begin_msn)
		options.first_msn = hls->begin_msn;
	if (options.step_us == 0)
		options.step_us = 1;
	step_us = options.step_us * (uint64_t)hls->setup.stream->keyframe_interval;
	if (feed_can_force_idr(hls->setup.feed))
		options.gop_us = step_us < UINT32_MAX ? (uint32_t)step_us : UINT32_MAX;
	ret = hls_timeline_create(&hls->timeline, &options);
	if (ret == 0)
		feed_keep_history(hls->setup.feed, hls_timeline_history_us(hls->timeline));
	return ret;
}

static void add_unit(struct hls *hls, uint64_t seq, int64_t offset_us)
{
	const struct unit *unit = log_unit(feed_log(hls->setup.feed), seq);
	struct hls_unit described = {
		.seq = seq,
		.pts_us = unit->pts_us,
		.wall_us = unit->pts_us + offset_us,
		.duration_us = unit->duration_us,
		.preamble = unit->preamble,
		.key = unit->flags & CAMCAST_UNIT_KEY,
		.after_gap = unit->flags & LOG_UNIT_AFTER_GAP,
	};

	if (hls_timeline_add(hls->timeline, &described))
		hls->text_len = 0;
}

/* Reads what is new in the log. */
static void read_log(struct hls *hls)
{
	const struct log *log = feed_log(hls->setup.feed);
	uint64_t seq = hls->next > log->tail ? hls->next : log->tail;
	int64_t offset_us = clock_wall_us() - clock_now_us();
	uint64_t wanted;

	hls->next = seq;
	if (seq == log->head || (!hls->timeline && begin_timeline(hls, log_unit(log, seq)) < 0))
		return;
	if (hls_timeline_trim(hls->timeline, log->tail))
		hls->text_len = 0;
	for (; hls->next < log->head; hls->next++)
		add_unit(hls, hls->next, offset_us);
	wanted = hls_timeline_wants_key(hls->timeline);
	if (wanted > hls->asked_msn) {
		hls->asked_msn = wanted;
		feed_ask_key(hls->setup.feed);
	}
}

static void handle_units(struct feed_waiter *waiter)
{
	struct hls *hls = container_of(waiter, struct hls, waiter);

	read_log(hls);
	answer_waits(hls);
}

static bool is_live(const struct hls *hls)
{
	const struct log *log = feed_log(hls->setup.feed);
	const struct unit *newest = log_unit(log, log->head - 1);

	return log->head > log->tail &&
	       now_us(hls) - newest->received_us < LIVE_US + 2 * (int64_t)newest->duration_us;
}

/* Somebody plays: the feed is wanted. 0 or -ESHUTDOWN. */
static int wake(struct hls *hls)
{
	int ret;

	hls->asked_us = now_us(hls);
	if (!hls->setup.feed)
		return -ESHUTDOWN;
	if (feed_waits(&hls->waiter))
		return 0;
	ret = feed_wait(hls->setup.feed, &hls->waiter);
	if (ret < 0)
		return ret;
	if (hls->timeline)
		feed_keep_history(hls->setup.feed, hls_timeline_history_us(hls->timeline));
	/* The feed may be live already, for other viewers. */
	read_log(hls);
	if (hls->timeline && !is_live(hls))
		hls_timeline_pause(hls->timeline);
	hls->text_len = 0;
	loop_timer_set(hls->loop, &hls->tick, now_us(hls) + TICK_US);
	return 0;
}

static void sleep_again(struct hls *hls)
{
	hls_players_finish(&hls->players);
	feed_keep_history(hls->setup.feed, 0);
	feed_unwait(hls->setup.feed, &hls->waiter);
}

static void handle_tick(struct loop_timer *timer)
{
	struct hls *hls = container_of(timer, struct hls, tick);
	int64_t idle_us = IDLE_US + SECOND_US * (hls->timeline ? hls->timeline->target_s : 0);

	answer_waits(hls);
	if (!hls->setup.feed)
		return;
	hls_players_forget(&hls->players, now_us(hls) - idle_us);
	if (list_empty(&hls->waits) && now_us(hls) - hls->asked_us > idle_us)
		sleep_again(hls);
	else
		loop_timer_set(hls->loop, &hls->tick, now_us(hls) + TICK_US);
}

static void handle_gone(struct feed_waiter *waiter)
{
	struct hls *hls = container_of(waiter, struct hls, waiter);

	hls->setup.feed = NULL;
	answer_waits(hls);
}

/* --- requests --- */

/* Somebody plays, and has a place. False: there is none, and the question is answered. */
static bool let_play(struct hls *hls, const struct http_request *request,
		     struct http_question *question)
{
	if (!http_become_viewer(question, hls->setup.viewers))
		return false;
	if (wake(hls) == 0) {
		question->tag = 0;
		if (request->head->method == MESSAGE_GET)
			question->tag = hls_players_note(
				&hls->players, request->peer,
				message_header(request->head, "User-Agent", NULL), now_us(hls));
		return true;
	}
	answer_error(question, 503, NULL);
	return false;
}

static int64_t hold_us(const struct hls *hls)
{
	return hls->timeline ? 3 * SECOND_US * hls->timeline->target_s : START_US;
}

void hls_answer_playlist(struct hls *hls, const struct http_request *request,
			 struct http_question *question)
{
	struct wait wanted = {0};

	if (hls_reload_parse(&wanted.reload, request->head->query) < 0) {
		answer_error(question, 400, CACHE_SHORT);
		return;
	}
	if (!let_play(hls, request, question))
		return;
	wanted.until_us = now_us(hls) + (wanted.reload.has_msn ? hold_us(hls) : START_US);
	answer_or_hold(hls, &wanted, question);
}

void hls_answer_object(struct hls *hls, const char *name, const struct http_request *request,
		       struct http_question *question)
{
	const char *epoch = hls->prefix + hls->prefix_len;
	struct wait wanted = {.for_part = true};
	struct hls_object object;

	/* Only what a playlist has named: nothing before the first one. */
	if (strncmp(name, epoch, strlen(epoch)) != 0 ||
	    hls_name_parse(&wanted.name, name + strlen(epoch)) < 0 || !hls->timeline ||
	    !hls->setup.feed || hls_object_find(&object, hls->timeline, &wanted.name) == -ENOENT) {
		answer_error(question, 404, CACHE_SHORT);
		return;
	}
	if (!let_play(hls, request, question))
		return;
	wanted.until_us = now_us(hls) + hold_us(hls);
	answer_or_hold(hls, &wanted, question);
}

const struct hls_players *hls_players_of(const struct hls *hls)
{
	static const struct hls_players nobody;

	return hls ? &hls->players : &nobody;
}

/* --- create, destroy --- */

/* What is named from now on has names that nothing had before. */
static void begin_epoch(struct hls *hls)
{
	const char *name = hls->setup.stream->name;
	uint32_t epoch;

	if (getrandom(&epoch, sizeof epoch, GRND_NONBLOCK) != sizeof epoch)
		epoch = (uint32_t)time(NULL);
	hls->prefix_len = strlen(name) + 1;
	snprintf(hls->prefix, sizeof hls->prefix, "%s/%08x/", name, epoch);
}

int hls_create(struct hls **out, struct loop *loop, const struct hls_setup *setup)
{
	struct hls *hls = calloc(1, sizeof(*hls));

	if (!hls)
		return -ENOMEM;
	hls->loop = loop;
	hls->setup = *setup;
	hls->waiter = (struct feed_waiter){.units = handle_units, .gone = handle_gone};
	list_init(&hls->waits);
	loop_timer_init(&hls->tick, handle_tick);
	begin_epoch(hls);
	*out = hls;
	return 0;
}

void hls_destroy(struct hls *hls)
{
	if (!hls)
		return;
	loop_timer_cancel(hls->loop, &hls->tick);
	if (hls->setup.feed)
		feed_unwait(hls->setup.feed, &hls->waiter);
	hls->setup.feed = NULL;
	answer_waits(hls);
	hls_timeline_destroy(hls->timeline);
	hls_players_finish(&hls->players);
	free(hls);
}

void hls_renew(struct hls *hls, const struct config_stream *stream,
	       const struct config_camera *camera)
{
	const struct hls_setup old = hls->setup;

	hls->setup.stream = stream;
	hls->setup.camera = camera;
	if (!hls->timeline || (stream->encoder == old.stream->encoder &&
			       stream->keyframe_interval == old.stream->keyframe_interval &&
			       camera->framerate.num == old.camera->framerate.num &&
			       camera->framerate.den == old.camera->framerate.den))
		return;
	/* The durations that a playlist promises never change: this is another one, as after a
	 * restart of camcastd. */
	hls->begin_msn = hls->timeline->open + 1;
	hls->next = feed_log(hls->setup.feed)->head;
	hls_timeline_destroy(hls->timeline);
	hls->timeline = NULL;
	hls->text_len = 0;
	begin_epoch(hls);
}
