/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/hls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/mp4.h"
#include "bench/lib/playlist.h"
#include "bench/lib/ts.h"

#define HEAD_MAX 65536	    /* bytes of the head of an answer */
#define BODY_MAX (1u << 28) /* bytes; no object is longer */
#define AGAIN_US 500000	    /* after an answer other than 200 */
#define QUEUE_MAX 64

enum request { NONE, PLAYLIST, MAP, OBJECT };

struct queued {
	char uri[PLAYLIST_URI], map[PLAYLIST_URI];
	int64_t duration_us;
};

struct hls_player {
	const char *host, *path;
	struct hls_tally *tally;
	struct buffer *out;
	bool plain, passing;

	/* The answer that is being received. */
	enum request request; /* NONE: there is none */
	int64_t asked_us;
	bool in_body;
	int status;
	size_t left; /* bytes of the body that did not come yet */

	/* Of the newest playlist. */
	char reload[64]; /* the query for what comes next; "" if the server does not wait */
	int64_t reload_us;
	char newest[PLAYLIST_URI]; /* the last object that was queued; "": not begun */
	char map[PLAYLIST_URI];	   /* the initialization section that was loaded */
	struct queued queue[QUEUE_MAX];
	unsigned queued, next;

	/* The clock: the object at `position_us` of the media is due at begun_us + position_us. */
	int64_t begun_us, position_us; /* begun_us 0: no object came yet */

	/* The object that is being received. */
	struct buffer media;
	struct mp4_reader mp4;
	struct ts_reader ts;
	int64_t capture_us; /* of its first picture; 0: not known */
	unit_fn *unit;
	void *ctx;
};

/* --- requests --- */

static void ask(struct hls_player *player, enum request request, const char *uri, const char *query,
		int64_t now_us)
{
	const char *slash = strrchr(player->path, '/');
	int folder = slash && request != PLAYLIST ? (int)(slash - player->path) + 1 : 0;
	char text[1024];
	int len;

	if (uri[0] == '/') {
		folder = 0;
		uri++;
	}
	len = snprintf(text, sizeof(text), "GET /%.*s%s%s HTTP/1.1\r\nHost: %s\r\n\r\n", folder,
		       player->path, uri, query, player->host);
	buffer_append(player->out, text, (size_t)len);
	player->request = request;
	player->asked_us = now_us;
	player->in_body = false;
	player->capture_us = 0;
}

void hls_tick(struct hls_player *player, int64_t now_us)
{
	const struct queued *next = &player->queue[player->next];

	if (player->request != NONE)
		return;
	if (player->next == player->queued) {
		if (now_us >= player->reload_us)
			ask(player, PLAYLIST, player->path, player->reload, now_us);
		return;
	}
	if (strcmp(next->map, player->map) != 0)
		ask(player, MAP, next->map, "", now_us);
	else
		ask(player, OBJECT, next->uri, "", now_us);
}

/* --- answers --- */

/* Begins at a new place of the playlist. */
static void begin_again(struct hls_player *player, int64_t now_us)
{
	player->queued = player->next = 0;
	player->newest[0] = player->reload[0] = '\0';
	player->begun_us = player->position_us = 0;
	player->reload_us = now_us + AGAIN_US;
}

static int queue(struct hls_player *player, const struct playlist *playlist, unsigned from)
{
	if (playlist->n - from > QUEUE_MAX)
		return -EBADMSG;
	player->queued = player->next = 0;
	for (unsigned i = from; i < playlist->n; i++) {
		const struct playlist_entry *entry = &playlist->entries[i];
		struct queued *queued = &player->queue[player->queued++];

		memcpy(queued->uri, entry->uri, sizeof(queued->uri));
		memcpy(queued->map, entry->map, sizeof(queued->map));
		memcpy(player->newest, entry->uri, sizeof(player->newest));
		queued->duration_us = entry->duration_us;
	}
	return 0;
}

static int take_playlist(struct hls_player *player, const struct buffer *in, size_t len,
			 int64_t now_us)
{
	static struct playlist playlist; /* too large for the stack, and used here only */
	bool begins = player->newest[0] == '\0', fresh;
	int from;

	if (playlist_parse(&playlist, (const char *)in->data, len, !player->plain) < 0)
		return -EBADMSG;
	from = begins ? playlist_begin(&playlist) : playlist_find(&playlist, player->newest) + 1;
	if (from == 0 && !begins) {
		player->tally->lost += player->tally->timing;
		begin_again(player, now_us);
		return 0;
	}
	fresh = from >= 0 && (unsigned)from < playlist.n;
	if (playlist.part_target_us > 0 && playlist.can_block) {
		snprintf(player->reload, sizeof(player->reload), "?_HLS_msn=%llu&_HLS_part=%llu",
			 (unsigned long long)playlist.next_msn,
			 (unsigned long long)playlist.next_part);
		player->reload_us = fresh ? 0 : now_us + playlist.part_target_us / 2;
	} else {
		/* RFC 8216 clause 6.3.4 */
		player->reload_us =
			player->asked_us + (fresh ? playlist.target_us : playlist.target_us / 2);
	}
	return from < 0 ? 0 : queue(player, &playlist, (unsigned)from);
}

/* Sets the clock, and notes whether the object came in time. */
static void keep_time(struct hls_player *player, int64_t duration_us, int64_t now_us)
{
	struct hls_tally *tally = player->tally;
	int64_t late_us;

	if (player->begun_us == 0)
		player->begun_us = now_us;
	late_us = now_us - (player->begun_us + player->position_us);
	if (late_us > 0)
		player->begun_us += late_us;
	if (tally->timing) {
		tally->objects++;
		hist_add(&tally->answer, now_us - player->asked_us);
		if (late_us > 0) {
			tally->late++;
			hist_add(&tally->late_by, late_us);
		}
		if (player->capture_us)
			hist_add(&tally->shown,
				 player->begun_us + player->position_us - player->capture_us);
	}
	player->position_us += duration_us;
}

static void end_body(struct hls_player *player, int64_t now_us)
{
	const struct queued *queued = &player->queue[player->next];

	switch (player->request) {
	case OBJECT:
		if (player->passing)
			ts_end_unit(&player->ts);
		player->media.len = 0;
		keep_time(player, queued->duration_us, now_us);
		player->next++;
		break;
	case MAP:
		memcpy(player->map, queued->map, sizeof(player->map));
		break;
	case PLAYLIST:
		player->tally->playlists += player->tally->timing;
		break;
	case NONE:
		break;
	}
	player->request = NONE;
	hls_tick(player, now_us);
}

/* 1, 0 (the head is not whole), or -EBADMSG. */
static int take_head(struct hls_player *player, struct buffer *in)
{
	static const char name[] = "\ncontent-length:";
	const char *length;
	uint8_t *end = in->len > 0 ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;

	if (!end)
		return in->len > HEAD_MAX ? -EBADMSG : 0;
	*end = '\0';
	length = strcasestr((const char *)in->data, name);
	if (!length || sscanf((const char *)in->data, "HTTP/1.%*1u %d ", &player->status) != 1)
		return -EBADMSG;
	player->left = strtoul(length + sizeof(name) - 1, NULL, 10);
	buffer_drop(in, (size_t)(end - in->data) + 4);
	player->in_body = true;
	return player->left <= BODY_MAX ? 1 : -EBADMSG;
}

static int pass(struct hls_player *player, const uint8_t *data, size_t len, int64_t now_us)
{
	const char *uri = player->queue[player->next].uri;
	size_t name = strlen(uri);

	buffer_append(&player->media, data, len);
	if (name >= 3 && strcmp(uri + name - 3, ".ts") == 0)
		return ts_read(&player->ts, &player->media, now_us);
	return mp4_read(&player->mp4, &player->media, now_us);
}

/* Bytes of an answer other than 200. */
static void refuse(struct hls_player *player, int64_t now_us)
{
	player->tally->failed += player->tally->timing;
	player->request = NONE;
	begin_again(player, now_us);
}

/* 1: the body is over; 0: more has to come; or -EBADMSG. */
static int take_body(struct hls_player *player, struct buffer *in, int64_t now_us)
{
	size_t n = in->len < player->left ? in->len : player->left;
	int result = 0;

	if (player->status == 200 && player->request == PLAYLIST) {
		if (n < player->left)
			return 0;
		result = take_playlist(player, in, n, now_us);
	} else if (player->status == 200 && player->request == OBJECT && player->passing) {
		result = pass(player, in->data, n, now_us);
	}
	buffer_drop(in, n);
	player->left -= n;
	return result < 0 ? result : player->left == 0;
}

int hls_received(struct hls_player *player, struct buffer *in, int64_t now_us)
{
	int result = 1;

	while (result > 0) {
		if (player->request == NONE)
			return in->len == 0 ? 0 : -EBADMSG;
		if (!player->in_body)
			result = take_head(player, in);
		if (result > 0)
			result = take_body(player, in, now_us);
		if (result > 0 && player->status == 200)
			end_body(player, now_us);
		else if (result > 0)
			refuse(player, now_us);
	}
	return result;
}

/* --- what is neither passed on nor read --- */

void hls_stop_passing(struct hls_player *player)
{
	player->passing = false;
	buffer_finish(&player->media);
}

size_t hls_skippable(const struct hls_player *player)
{
	bool read = player->request == PLAYLIST || player->passing;

	return player->request != NONE && player->in_body && !read ? player->left : 0;
}

void hls_skipped(struct hls_player *player, size_t n, int64_t now_us)
{
	player->left -= n;
	if (player->left == 0 && player->status == 200)
		end_body(player, now_us);
	else if (player->left == 0)
		refuse(player, now_us);
}

/* --- its life --- */

static void note_unit(void *ctx, const uint8_t *data, size_t len, int64_t complete_us)
{
	struct hls_player *player = ctx;
	struct unit_info info;

	if (player->capture_us == 0) {
		unit_parse(data, len, &info);
		player->capture_us = info.capture_us;
	}
	player->unit(player->ctx, data, len, complete_us);
}

struct hls_player *hls_create(const char *host, const char *path, struct hls_tally *tally,
			      struct buffer *out, bool plain, unit_fn *unit, void *ctx)
{
	struct hls_player *player = calloc(1, sizeof(*player));

	if (!player) {
		perror("hls");
		exit(1);
	}
	player->host = host;
	player->path = path;
	player->tally = tally;
	player->out = out;
	player->plain = plain;
	player->passing = true;
	player->unit = unit;
	player->ctx = ctx;
	mp4_init(&player->mp4, note_unit, player);
	ts_init(&player->ts, note_unit, player);
	hls_tick(player, 0);
	return player;
}

void hls_destroy(struct hls_player *player)
{
	if (!player)
		return;
	buffer_finish(&player->media);
	mp4_finish(&player->mp4);
	ts_finish(&player->ts);
	free(player);
}
