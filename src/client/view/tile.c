/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/tile.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/flow.h"
#include "base/text.h"
#include "client/children.h"
#include "client/view/lag.h"
#include "client/view/wake.h"

#define WAIT_MS 500	    /* of the waiting thread, should a wake-up get lost */
#define FIGURES_US 1000000  /* the period over which fps and lag are measured */
#define SILENT_US 1500000   /* a child without a heartbeat for so long is silent */
#define LAG_MAX_US 60000000 /* more is not a lag but a broken clock */

enum tile_state {
	TILE_CONNECTING,
	TILE_WAITING,
	TILE_LIVE,
	TILE_STALLED,
	TILE_RECONNECTING,
	TILE_SILENT,
	TILE_RESTARTING,
	TILE_ENDED,
	TILE_OFFLINE,
};

static const char *const state_names[] = {
	[TILE_CONNECTING] = "connecting",
	[TILE_WAITING] = "waiting for a picture",
	[TILE_LIVE] = "live",
	[TILE_STALLED] = "no pictures",
	[TILE_RECONNECTING] = "reconnecting",
	[TILE_SILENT] = "not answering",
	[TILE_RESTARTING] = "restarting",
	[TILE_ENDED] = "ended",
	[TILE_OFFLINE] = "offline",
};

/* Of pictures shown in the second under way. */
struct tally {
	unsigned shown;
	unsigned lags;
	int64_t lag_us; /* sum */
	int64_t since_us;
};

/* Widths without a limit, in pixels; 0: not measured. */
struct tile_texts {
	int name_width, figures_width;
	char figures[256];
};

struct view_tile {
	char *key, *name, *url;
	struct child *child;
	struct view_shared *shared;
	uint64_t seen;

	pthread_t waiter;
	atomic_bool stopping; /* set by the main thread, read by the waiter */
	struct view_wake *wake;

	SDL_Texture *texture;
	struct view_picture picture; /* in the texture */
	bool fresh;		     /* uploaded, not yet on the screen */
	struct view_rect place;	     /* of the picture, when it was last drawn; empty: it was not */
	struct view_text title, figures, notice;
	struct tile_texts measured;

	enum tile_state state;
	bool announced;
	time_t offline_since; /* UTC; 0: it is not offline */
	struct flow flow;     /* of pictures, shown or not; looked at each half second at least */
	struct tally tally;
	double fps, lag_ms; /* of the last whole second; lag_ms < 0: not known */
	bool captured;
	uint64_t shown;
};

/* --- life --- */

/* Waits for the child's pictures and rings. */
static void *wait_for_pictures(void *argument)
{
	struct view_tile *tile = argument;
	uint32_t turn = 0;

	while (!atomic_load_explicit(&tile->stopping, memory_order_acquire)) {
		uint32_t now = view_ring_wait(tile->shared, turn, WAIT_MS);

		if (now != turn)
			view_wake_ring(tile->wake);
		turn = now;
	}
	return NULL;
}

static void stop_waiting(struct view_tile *tile)
{
	atomic_store_explicit(&tile->stopping, true, memory_order_release);
	/* Changes the value, in case the thread is just about to wait for a change of it. */
	atomic_fetch_add(&tile->shared->turn, 1);
	view_ring_wake(tile->shared);
	pthread_join(tile->waiter, NULL);
}

int view_tile_create(struct view_tile **out, const struct view_tile_job *job)
{
	const char *argv[] = {"camcast", "view-child", "--hardware", job->hardware, job->url, NULL};
	const struct child_job child = {
		.name = job->name, .argv = argv, .shared_size = sizeof(struct view_shared)};
	struct view_tile *tile = calloc(1, sizeof(*tile));
	int r = -ENOMEM;

	if (!tile)
		return r;
	tile->wake = job->wake;
	tile->announced = true;
	tile->lag_ms = -1;
	tile->tally.since_us = clock_now_us();
	tile->key = strdup(job->key);
	tile->name = strdup(job->name);
	tile->url = strdup(job->url);
	if (!tile->key || !tile->name || !tile->url)
		goto free;
	r = child_create(&tile->child, &child);
	if (r)
		goto free;
	tile->shared = child_shared(tile->child);
	r = -pthread_create(&tile->waiter, NULL, wait_for_pictures, tile);
	if (r)
		goto destroy_child;
	*out = tile;
	return 0;

destroy_child:
	child_destroy(tile->child);
free:
	free(tile->url);
	free(tile->name);
	free(tile->key);
	free(tile);
	return r;
}

void view_tile_destroy(struct view_tile *tile)
{
	if (!tile)
		return;
	stop_waiting(tile);
	child_destroy(tile->child);
	view_tile_forget_textures(tile);
	free(tile->url);
	free(tile->name);
	free(tile->key);
	free(tile);
}

void view_tile_end(struct view_tile *tile)
{
	child_end(tile->child);
}

bool view_tile_ended(const struct view_tile *tile)
{
	return child_info(tile->child)->state == CHILD_ENDED;
}

void view_tile_set_announced(struct view_tile *tile, bool announced)
{
	tile->announced = announced;
}

bool view_tile_is_offline(const struct view_tile *tile)
{
	return tile->offline_since != 0;
}

bool view_tile_has_shown(const struct view_tile *tile)
{
	return tile->shown > 0;
}

bool view_tile_is_live(const struct view_tile *tile)
{
	return tile->state == TILE_LIVE;
}

const char *view_tile_key(const struct view_tile *tile)
{
	return tile->key;
}

const char *view_tile_url(const struct view_tile *tile)
{
	return tile->url;
}

const char *view_tile_name(const struct view_tile *tile)
{
	return tile->name;
}

/* --- what it does --- */

static enum tile_state state_now(const struct view_tile *tile, int64_t now_us)
{
	const struct child_info *info = child_info(tile->child);
	const int64_t beat_us =
		atomic_load_explicit(&tile->shared->child.heartbeat_us, memory_order_relaxed);

	if (tile->offline_since)
		return TILE_OFFLINE;
	if (info->state == CHILD_BACKOFF)
		return TILE_RESTARTING;
	if (info->state == CHILD_ENDED)
		return TILE_ENDED;
	if (beat_us && beat_us < now_us - SILENT_US)
		return TILE_SILENT;
	if (!beat_us)
		return info->restarts ? TILE_RESTARTING : TILE_CONNECTING;
	switch (atomic_load_explicit(&tile->shared->activity, memory_order_relaxed)) {
	case VIEW_WAITING_KEY:
		return TILE_WAITING;
	case VIEW_PLAYING:
		if (!tile->flow.last_us)
			return TILE_WAITING;
		return flow_runs(&tile->flow, now_us) ? TILE_LIVE : TILE_STALLED;
	case VIEW_RECONNECTING:
		return TILE_RECONNECTING;
	default:
		return TILE_CONNECTING;
	}
}

/* Without an announcement and without pictures, a server is offline since its last picture. */
static void go_offline(struct view_tile *tile, int64_t now_us)
{
	const int64_t silent_us = tile->flow.last_us ? now_us - tile->flow.last_us : 0;

	tile->offline_since = time(NULL) - silent_us / 1000000;
	view_tile_end(tile);
}

/* Calculates the values of the last second. */
static bool settle(struct view_tile *tile, int64_t now_us)
{
	struct tally *tally = &tile->tally;

	if (now_us - tally->since_us < FIGURES_US)
		return false;
	tile->fps = tally->shown * 1e6 / (double)(now_us - tally->since_us);
	tile->lag_ms = tally->lags ? (double)tally->lag_us / tally->lags / 1000 : -1;
	*tally = (struct tally){.since_us = now_us};
	return true;
}

int view_tile_poll(struct view_tile *tile, int64_t now_us, bool *changed)
{
	const int again_ms = child_poll(tile->child, now_us);
	enum tile_state state;

	flow_look(&tile->flow, view_ring_count(tile->shared), now_us);
	state = state_now(tile, now_us);
	if (!tile->announced && !tile->offline_since && state != TILE_LIVE) {
		go_offline(tile, now_us);
		state = TILE_OFFLINE;
	}
	if (state != tile->state) {
		tile->state = state;
		*changed = true;
	}
	if (settle(tile, now_us))
		*changed = true;
	return again_ms < 0 ? WAIT_MS : again_ms;
}

/* --- pictures --- */

bool view_tile_has_news(const struct view_tile *tile)
{
	const uint64_t latest = atomic_load_explicit(&tile->shared->latest, memory_order_relaxed);

	return latest != tile->seen && (latest & 0xff);
}

static void set_yuv_mode(enum view_colour colour)
{
	static const SDL_YUV_CONVERSION_MODE modes[] = {
		[VIEW_REC601] = SDL_YUV_CONVERSION_BT601,
		[VIEW_REC709] = SDL_YUV_CONVERSION_BT709,
		[VIEW_JPEG] = SDL_YUV_CONVERSION_JPEG,
	};

	SDL_SetYUVConversionMode(modes[colour]);
}

static bool prepare_texture(struct view_tile *tile, SDL_Renderer *renderer,
			    const struct view_picture *picture)
{
	if (tile->texture && tile->picture.width == picture->width &&
	    tile->picture.height == picture->height && tile->picture.format == picture->format &&
	    tile->picture.colour == picture->colour)
		return true;
	if (tile->texture)
		SDL_DestroyTexture(tile->texture);
	/* The renderer chooses its shader by the mode of the moment. */
	tile->texture = SDL_CreateTexture(
		renderer,
		picture->format == VIEW_NV12 ? SDL_PIXELFORMAT_NV12 : SDL_PIXELFORMAT_IYUV,
		SDL_TEXTUREACCESS_STREAMING, (int)picture->width, (int)picture->height);
	return tile->texture != NULL;
}

static void upload(struct view_tile *tile, SDL_Renderer *renderer,
		   const struct view_picture *picture)
{
	const uint8_t *area = tile->shared->area;
	const uint8_t *planes[3];

	set_yuv_mode(picture->colour);
	if (!prepare_texture(tile, renderer, picture))
		return;
	for (unsigned i = 0; i < 3; i++)
		planes[i] = area + picture->offset[i];
	if (picture->format == VIEW_NV12)
		SDL_UpdateNVTexture(tile->texture, NULL, planes[0], (int)picture->stride[0],
				    planes[1], (int)picture->stride[1]);
	else
		SDL_UpdateYUVTexture(tile->texture, NULL, planes[0], (int)picture->stride[0],
				     planes[1], (int)picture->stride[1], planes[2],
				     (int)picture->stride[2]);
	tile->picture = *picture;
	tile->fresh = true;
}

/* A child that writes invalid values is broken, and is replaced like one that crashed. */
static void replace_liar(struct view_tile *tile)
{
	const struct child_info *info = child_info(tile->child);

	diag_error("%s: its process describes impossible pictures and is killed", tile->name);
	tile->seen = atomic_load(&tile->shared->latest);
	if (info->state == CHILD_RUNNING && info->pid > 0)
		kill(info->pid, SIGKILL); /* our child, and not reaped yet */
}

void view_tile_upload(struct view_tile *tile, SDL_Renderer *renderer)
{
	struct view_picture picture;
	const int r = view_ring_acquire(tile->shared, &tile->seen, &picture);

	if (r < 0)
		replace_liar(tile);
	if (r <= 0)
		return;
	upload(tile, renderer, &picture);
	view_ring_release(tile->shared);
}

void view_tile_shown(struct view_tile *tile, int64_t now_us)
{
	/* The child wrote since_us, and may be broken: the difference must not overflow. */
	const int64_t lag_us = (int64_t)((uint64_t)now_us - (uint64_t)tile->picture.since_us);

	if (!tile->fresh)
		return;
	tile->fresh = false;
	tile->shown++;
	tile->tally.shown++;
	tile->captured = tile->picture.captured;
	if (lag_us >= 0 && lag_us < LAG_MAX_US) {
		tile->tally.lags++;
		tile->tally.lag_us += lag_us;
	}
}

void view_tile_forget_textures(struct view_tile *tile)
{
	if (tile->texture)
		SDL_DestroyTexture(tile->texture);
	tile->texture = NULL;
	tile->seen = 0;
	view_tile_forget_texts(tile);
}

void view_tile_forget_texts(struct view_tile *tile)
{
	tile->measured = (struct tile_texts){0};
	view_text_finish(&tile->title);
	view_text_finish(&tile->figures);
	view_text_finish(&tile->notice);
}

struct view_shape view_tile_shape(const struct view_tile *tile)
{
	const struct view_picture *picture = &tile->picture;

	if (!picture->width || !picture->height)
		return (struct view_shape){0};
	return (struct view_shape){view_picture_shown_width(picture), picture->height};
}

bool view_tile_borrow(struct view_tile *tile, struct view_picture *picture, const uint8_t **area)
{
	uint64_t seen = 0;

	*area = tile->shared->area;
	return view_ring_acquire(tile->shared, &seen, picture) > 0;
}

void view_tile_release(struct view_tile *tile)
{
	view_ring_release(tile->shared);
}

/* --- drawing --- */

static void describe_offline(const struct view_tile *tile, char *out, size_t size)
{
	const time_t now = time(NULL);
	char when[32] = "";
	struct tm tm, today;

	localtime_r(&now, &today);
	localtime_r(&tile->offline_since, &tm);
	strftime(when, sizeof(when),
		 tm.tm_yday == today.tm_yday && tm.tm_year == today.tm_year ? "%H:%M"
									    : "%Y-%m-%d %H:%M",
		 &tm);
	snprintf(out, size, "offline since %s", when);
}

/* The text in the middle of a picture that does not move; "" where it moves. */
static void explain(const struct view_tile *tile, char *out, size_t size)
{
	char status[CHILD_STATUS_MAX];
	const char *said = child_read_status(tile->child, status);
	const struct child_info *info = child_info(tile->child);

	switch (tile->state) {
	case TILE_LIVE:
		*out = 0;
		break;
	case TILE_RESTARTING:
		snprintf(out, size, "restarting: %s", info->reason);
		break;
	case TILE_RECONNECTING:
		snprintf(out, size, "%s", said);
		break;
	case TILE_OFFLINE:
		describe_offline(tile, out, size);
		break;
	default:
		snprintf(out, size, "%s", state_names[tile->state]);
	}
}

/* "25 fps  lag 83 ms  live"; brief: "live" alone. */
static void describe_figures(const struct view_tile *tile, bool brief, char *out, size_t size)
{
	const int64_t offset_us =
		atomic_load_explicit(&tile->shared->clock_offset_us, memory_order_relaxed);
	const char *state = state_names[tile->state];
	char lag[32] = "", clock[64] = "", offset[32];

	if (brief || tile->state == TILE_OFFLINE) {
		snprintf(out, size, "%s", state);
		return;
	}
	/* Without the camera's time only the viewer's part of the lag is known. */
	if (tile->lag_ms >= 0)
		snprintf(lag, sizeof(lag), "  %s %.0f ms", tile->captured ? "lag" : "decode",
			 tile->lag_ms);
	if (offset_us) {
		view_lag_describe_offset(offset_us, offset, sizeof(offset));
		snprintf(clock, sizeof(clock), "  camera clock %s", offset);
	}
	snprintf(out, size, "%.0f fps%s%s  %s", tile->fps, lag, clock, state);
}

/* Measures only what is new: this is called for every picture. */
static void measure_texts(struct tile_texts *texts, struct view_fonts *fonts, const char *name,
			  const char *figures)
{
	if (!texts->name_width)
		texts->name_width = view_text_measure(fonts, name);
	if (texts->figures_width && strcmp(texts->figures, figures) == 0)
		return;
	text_set(texts->figures, sizeof(texts->figures), figures);
	texts->figures_width = view_text_measure(fonts, figures);
}

/* The state is always there; figures give way to at least half a line of name, and a name that is
 * still too long is cut. room: pixels. */
static void write_texts(struct view_tile *tile, SDL_Renderer *renderer, struct view_fonts *fonts,
			int room)
{
	const int gap = 2 * view_fonts_padding(fonts);
	char text[256];
	int left;

	describe_figures(tile, false, text, sizeof(text));
	measure_texts(&tile->measured, fonts, tile->name, text);
	left = room - tile->measured.figures_width - gap;
	if (tile->measured.name_width > left && left < room / 2)
		describe_figures(tile, true, text, sizeof(text));
	view_text_set(&tile->figures, fonts, renderer, text, room);
	view_text_set(&tile->title, fonts, renderer, tile->name, room - tile->figures.width - gap);
	explain(tile, text, sizeof(text));
	view_text_set(&tile->notice, fonts, renderer, text, room);
}

static void draw_picture(struct view_tile *tile, SDL_Renderer *renderer, struct view_rect inside)
{
	const struct view_rect fit = view_grid_fit(inside, view_picture_shown_width(&tile->picture),
						   tile->picture.height);
	const SDL_Rect to = {fit.x, fit.y, fit.width, fit.height};
	const uint8_t light = tile->state == TILE_LIVE ? 255 : 96;

	if (!tile->texture)
		return;
	tile->place = fit;
	SDL_SetTextureColorMod(tile->texture, light, light, light);
	set_yuv_mode(tile->picture.colour);
	SDL_RenderCopy(renderer, tile->texture, NULL, &to);
	/* Some renderers read the mode when they draw, which may be later. */
	SDL_RenderFlush(renderer);
}

void view_tile_hide(struct view_tile *tile)
{
	tile->place = (struct view_rect){0};
}

static void draw_notice(const struct view_tile *tile, SDL_Renderer *renderer,
			const struct view_fonts *fonts, struct view_rect inside)
{
	const int padding = view_fonts_padding(fonts);
	const int line = view_fonts_line_height(fonts) + padding, width = tile->notice.width;
	const SDL_Rect panel = {inside.x + (inside.width - width) / 2 - padding,
				inside.y + (inside.height - line) / 2, width + 2 * padding, line};

	if (!width)
		return;
	SDL_SetRenderDrawColor(renderer, 120, 20, 20, 255);
	SDL_RenderFillRect(renderer, &panel);
	view_text_draw(&tile->notice, renderer, panel.x + padding, panel.y + padding / 2);
}

void view_tile_draw(struct view_tile *tile, SDL_Renderer *renderer, struct view_fonts *fonts,
		    struct view_rect rect, bool selected)
{
	const int padding = view_fonts_padding(fonts);
	const int line = view_fonts_line_height(fonts) + padding;
	const SDL_Rect strip = {rect.x, rect.y + rect.height - line, rect.width, line};
	const SDL_Rect frame = {rect.x, rect.y, rect.width, rect.height};
	const struct view_rect inside = {rect.x, rect.y, rect.width, rect.height - line};
	const int x = rect.x + padding, y = strip.y + padding / 2;

	view_tile_hide(tile);
	if (rect.width <= 0 || inside.height <= 0)
		return;
	write_texts(tile, renderer, fonts, rect.width - 2 * padding);
	draw_picture(tile, renderer, inside);
	draw_notice(tile, renderer, fonts, inside);
	SDL_SetRenderDrawColor(renderer, selected ? 60 : 30, selected ? 80 : 30,
			       selected ? 140 : 30, 255);
	SDL_RenderFillRect(renderer, &strip);
	view_text_draw(&tile->title, renderer, x, y);
	view_text_draw(&tile->figures, renderer,
		       rect.x + rect.width - padding - tile->figures.width, y);
	if (selected)
		SDL_RenderDrawRect(renderer, &frame);
}

/* --- for scripts --- */

cJSON *view_tile_describe(const struct view_tile *tile)
{
	const struct child_info *info = child_info(tile->child);
	const int64_t offset_us =
		atomic_load_explicit(&tile->shared->clock_offset_us, memory_order_relaxed);
	cJSON *out = cJSON_CreateObject();
	char text[CHILD_STATUS_MAX], clean[256];

	if (!out)
		return NULL;
	text_clean(clean, sizeof(clean), tile->name);
	cJSON_AddStringToObject(out, "name", clean);
	cJSON_AddStringToObject(out, "url", tile->url);
	cJSON_AddStringToObject(out, "state", state_names[tile->state]);
	text_clean(clean, sizeof(clean), child_read_status(tile->child, text));
	cJSON_AddStringToObject(out, "status", clean);
	cJSON_AddNumberToObject(out, "pid", info->pid);
	cJSON_AddNumberToObject(out, "restarts", info->restarts);
	cJSON_AddNumberToObject(out, "width", tile->picture.width);
	cJSON_AddNumberToObject(out, "height", tile->picture.height);
	if (tile->place.width > 0) {
		const int place[] = {tile->place.x, tile->place.y, tile->place.width,
				     tile->place.height};

		cJSON_AddItemToObject(out, "place", cJSON_CreateIntArray(place, 4));
	}
	if (tile->offline_since)
		cJSON_AddNumberToObject(out, "offline_since", (double)tile->offline_since);
	if (offset_us)
		cJSON_AddNumberToObject(out, "clock_offset_s", (double)offset_us / 1e6);
	cJSON_AddNumberToObject(out, "fps", tile->fps);
	if (tile->lag_ms >= 0)
		cJSON_AddNumberToObject(out, tile->captured ? "lag_ms" : "decode_ms", tile->lag_ms);
	cJSON_AddNumberToObject(out, "shown", (double)tile->shown);
	cJSON_AddNumberToObject(
		out, "decoded",
		(double)atomic_load_explicit(&tile->shared->decoded, memory_order_relaxed));
	cJSON_AddNumberToObject(
		out, "dropped",
		(double)atomic_load_explicit(&tile->shared->dropped, memory_order_relaxed));
	return out;
}
