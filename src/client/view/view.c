/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * camcast view: the program. The main thread handles SDL's events, looks after the children, and
 * draws, when there is something new and at most once a refresh of the screen. Pictures are decoded
 * in the children (child.c) and come through shared memory (ring.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <SDL.h>
#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/quantity.h"
#include "client/client.h"
#include "client/find/broker.h"
#include "client/find/servers.h"
#include "client/seats.h"
#include "client/stream/reader.h"
#include "client/stream/target.h"
#include "client/view/decoder.h"
#include "client/view/overlay.h"
#include "client/view/snapshot.h"
#include "client/view/text.h"
#include "client/view/tile.h"
#include "client/view/wake.h"
#include "client/view/wall.h"
#include "client/view/window.h"

#define TEXT_SIZE 15 /* SDL units; a display may scale them */
#define SNAPSHOT_TEXT_MAX 256
#define WINDOW_MIN 64 /* pixels of a side */
#define WINDOW_MAX 16384
#define REPORT_US 1000000
#define SERVERS_US 1000000 /* between two looks at what is shown of the list */

enum {
	OPTION_JSON = 'j',
	OPTION_ALL = 256,
	OPTION_MAX_SERVERS,
	OPTION_DECODER,
	OPTION_SNAPSHOTS,
	OPTION_SIZE,
	OPTION_FULL,
};

struct view_options {
	struct broker broker;
	char *const *wanted;
	size_t n_wanted, n_urls, max_servers;
	const char *hardware, *snapshots;
	int width, height;
	bool full_screen, json, help;
};

/* CPU time, us, since the start. */
struct usage {
	int64_t process; /* all threads */
	int64_t upload, present;
};

struct view {
	const struct view_options *options;
	struct view_window window;
	struct view_fonts *fonts;
	struct view_overlay overlay;
	struct servers *servers; /* NULL: URLs only */
	struct view_wake *wake;
	struct view_snapshots *snapshots;
	struct view_wall *wall;
	bool quit, hidden, snapshot_wanted;
	int64_t next_draw_us, next_poll_us, next_servers_us;
	int64_t report_us; /* of the last report */
	struct usage usage, reported;
	uint64_t draws, reported_draws;
};

static int64_t cpu_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- options --- */

static void print_usage(FILE *out)
{
	fputs("usage: camcast view [OPTIONS] [--all | NAME[/STREAM]... | URL...]\n\n"
	      "Shows cameras live in one window: the named ones, or all servers that are found.\n\n"
	      "  --all               show every server, also those that appear later (default)\n"
	      "  --max-servers N     show at most N servers of --all (64)\n"
	      "  --size WxH          size of the window (1280x720)\n"
	      "  --full-screen       start in full screen\n"
	      "  --decoder NAME      auto (default), none (software), or a device that libavcodec\n"
	      "                      knows: vaapi, vdpau, cuda, drm...\n"
	      "  --snapshots FOLDER  where snapshots are saved (the current folder)\n"
	      "  -j, --json          print one line a second with the state of each tile\n"
	      "  -h, --help          print this help\n",
	      out);
	broker_print_usage(out);
	fputs("\nKeys:\n", out);
	view_overlay_print_keys(out);
}

static const struct option long_options[] = {
	{"all", no_argument, NULL, OPTION_ALL},
	{"max-servers", required_argument, NULL, OPTION_MAX_SERVERS},
	{"decoder", required_argument, NULL, OPTION_DECODER},
	{"snapshots", required_argument, NULL, OPTION_SNAPSHOTS},
	{"json", no_argument, NULL, OPTION_JSON},
	{"size", required_argument, NULL, OPTION_SIZE},
	{"full-screen", no_argument, NULL, OPTION_FULL},
	{"help", no_argument, NULL, 'h'},
	BROKER_OPTIONS,
	{0},
};
static const struct cli cli = {"camcast view", "jh", long_options};

static int parse_size(const char *text, struct view_options *options)
{
	uint32_t width, height;

	if (quantity_parse_size(text, &width, &height) < 0 || width < WINDOW_MIN ||
	    height < WINDOW_MIN || width > WINDOW_MAX || height > WINDOW_MAX) {
		cli_refuse(&cli, "--size %s: use a size from %dx%d to %dx%d, such as 1280x720",
			   text, WINDOW_MIN, WINDOW_MIN, WINDOW_MAX, WINDOW_MAX);
		return -EINVAL;
	}
	options->width = (int)width;
	options->height = (int)height;
	return 0;
}

static int take_option(struct view_options *options, int c, const char *value)
{
	switch (c) {
	case OPTION_ALL:
		return 0;
	case OPTION_MAX_SERVERS:
		if (seats_parse_max(value, &options->max_servers) == 0)
			return 0;
		cli_refuse(&cli, "--max-servers %s: " SEATS_HELP, value);
		return -EINVAL;
	case OPTION_DECODER:
		options->hardware = value;
		if (view_decoder_knows(value))
			return 0;
		cli_refuse(&cli, "--decoder %s: use auto, none, or a device such as vaapi", value);
		return -EINVAL;
	case OPTION_SNAPSHOTS:
		options->snapshots = value;
		return 0;
	case OPTION_JSON:
		options->json = true;
		return 0;
	case OPTION_SIZE:
		return parse_size(value, options);
	case OPTION_FULL:
		options->full_screen = true;
		return 0;
	case 'h':
		options->help = true;
		return 0;
	default:
		return broker_option(&options->broker, c, value);
	}
}

static int take_arguments(struct view_options *options, int n, char **arguments, bool all)
{
	struct server_stream at;

	if (all && n) {
		cli_refuse(&cli, "use either --all or names, such as \"%s\"", arguments[0]);
		return -EINVAL;
	}
	options->wanted = arguments;
	options->n_wanted = (size_t)n;
	for (int i = 0; i < n; i++) {
		if (!strstr(arguments[i], "://"))
			continue;
		options->n_urls++;
		if (target_take_argument(&arguments[i], &at) < 0) {
			cli_refuse(&cli, "%s: " TARGET_HELP, arguments[i]);
			return -EINVAL;
		}
	}
	return 0;
}

static int parse_options(int argc, char **argv, struct view_options *options)
{
	bool all = false;
	int c;

	*options = (struct view_options){.hardware = "auto",
					 .snapshots = ".",
					 .width = 1280,
					 .height = 720,
					 .max_servers = SEATS_DEFAULT};
	broker_init(&options->broker);
	while ((c = cli_next(&cli, argc, argv)) >= 0) {
		if (take_option(options, c, optarg) < 0)
			return -EINVAL;
		all |= c == OPTION_ALL;
	}
	if (broker_check(&options->broker) < 0)
		return -EINVAL;
	return take_arguments(options, argc - optind, argv + optind, all);
}

/* --- the window --- */

static void set_title(struct view *view)
{
	char title[64];
	const size_t n = view_wall_count(view->wall);

	snprintf(title, sizeof(title), "camcast: %zu server%s", n, n == 1 ? "" : "s");
	if (strcmp(SDL_GetWindowTitle(view->window.window), title) != 0)
		SDL_SetWindowTitle(view->window.window, title);
}

static void set_full_screen(struct view *view, bool full_screen)
{
	view_window_set_full_screen(&view->window, full_screen);
	view_wall_touch(view->wall);
}

static void say(struct view *view, const char *text)
{
	view_overlay_say(&view->overlay, text, clock_now_us());
	view_wall_touch(view->wall);
}

static int text_pixels(const struct view *view)
{
	return (int)(TEXT_SIZE * view_window_scale(&view->window) + 0.5);
}

/* The window may have come to a screen of another scale. */
static void fit_text(struct view *view)
{
	if (view_fonts_pixels(view->fonts) == text_pixels(view) ||
	    view_fonts_resize(view->fonts, text_pixels(view)) < 0)
		return;
	view_wall_forget_texts(view->wall);
	view_overlay_forget(&view->overlay);
}

static void take_snapshot(struct view *view)
{
	struct view_tile *alone = view_wall_alone(view->wall);
	struct view_picture picture;
	const uint8_t *area;

	view->snapshot_wanted = false;
	if (alone && view_tile_borrow(alone, &picture, &area)) {
		view_snapshots_picture(view->snapshots, view_tile_name(alone), &picture, area);
		view_tile_release(alone);
	} else {
		view_snapshots_window(view->snapshots, view->window.renderer);
	}
}

static void draw(struct view *view, int64_t now_us)
{
	const int64_t begun_us = cpu_us(CLOCK_THREAD_CPUTIME_ID);
	int64_t uploaded_us;
	int width = 0, height = 0;

	view_wall_upload(view->wall);
	uploaded_us = cpu_us(CLOCK_THREAD_CPUTIME_ID);
	view_wall_draw(view->wall);
	if (view->snapshot_wanted)
		take_snapshot(view);
	/* After the snapshot, which is of the cameras. */
	SDL_GetRendererOutputSize(view->window.renderer, &width, &height);
	view_overlay_draw(&view->overlay, view->fonts, view->window.renderer, width, height);
	SDL_RenderPresent(view->window.renderer);
	view_wall_shown(view->wall, clock_now_us());
	view->usage.upload += uploaded_us - begun_us;
	view->usage.present += cpu_us(CLOCK_THREAD_CPUTIME_ID) - uploaded_us;
	view->draws++;
	view->next_draw_us = now_us + view->window.refresh_us;
}

/* --- events --- */

/* The letter or digit of a key, whatever the layout: on one without Latin letters, that of the
 * key's place; digits also where the layout wants Shift for them. 0: neither. */
static char key_character(const SDL_Keysym *key)
{
	static const SDL_Keycode pad[] = {SDLK_KP_1, SDLK_KP_2, SDLK_KP_3, SDLK_KP_4, SDLK_KP_5,
					  SDLK_KP_6, SDLK_KP_7, SDLK_KP_8, SDLK_KP_9};

	if ((key->sym >= SDLK_a && key->sym <= SDLK_z) ||
	    (key->sym >= SDLK_1 && key->sym <= SDLK_9))
		return (char)key->sym;
	if (key->scancode >= SDL_SCANCODE_1 && key->scancode <= SDL_SCANCODE_9)
		return (char)('1' + (key->scancode - SDL_SCANCODE_1));
	for (int i = 0; (key->mod & KMOD_NUM) && i < 9; i++)
		if (key->sym == pad[i])
			return (char)('1' + i);
	if (key->sym > 0x7f && key->scancode >= SDL_SCANCODE_A && key->scancode <= SDL_SCANCODE_Z)
		return (char)('a' + (key->scancode - SDL_SCANCODE_A));
	return 0;
}

static void escape(struct view *view)
{
	if (view->overlay.help)
		view_overlay_toggle_help(&view->overlay);
	else if (view_wall_alone(view->wall))
		view_wall_show_all(view->wall);
	else if (view_window_is_full_screen(&view->window))
		set_full_screen(view, false);
	view_wall_touch(view->wall);
}

static void toggle_help(struct view *view)
{
	view_overlay_toggle_help(&view->overlay);
	view_wall_touch(view->wall);
}

static void remove_offline(struct view *view)
{
	if (!view_wall_remove_offline(view->wall))
		say(view, "no camera is offline");
}

static void handle_character(struct view *view, char character)
{
	if (character >= '1' && character <= '9')
		view_wall_show_alone(view->wall, (size_t)(character - '1'));
	switch (character) {
	case 'q':
		view->quit = true;
		break;
	case 'f':
		set_full_screen(view, !view_window_is_full_screen(&view->window));
		break;
	case 's':
		view->snapshot_wanted = true;
		view_wall_touch(view->wall);
		break;
	case 'x':
		remove_offline(view);
		break;
	case 'h':
		toggle_help(view);
		break;
	default:
		break;
	}
}

static void handle_key(struct view *view, const SDL_KeyboardEvent *event)
{
	const SDL_Keysym *key = &event->keysym;

	/* Key combinations with these modifiers belong to the desktop. */
	if (event->repeat || (key->mod & (KMOD_CTRL | KMOD_ALT | KMOD_GUI)))
		return;
	if (key_character(key)) {
		handle_character(view, key_character(key));
		return;
	}
	switch (key->sym) {
	case SDLK_F11:
		set_full_screen(view, !view_window_is_full_screen(&view->window));
		break;
	case SDLK_F1:
	case SDLK_QUESTION:
	case SDLK_SLASH:
		toggle_help(view);
		break;
	case SDLK_DELETE:
		remove_offline(view);
		break;
	case SDLK_ESCAPE:
		escape(view);
		break;
	case SDLK_RETURN:
	case SDLK_KP_ENTER:
		view_wall_toggle_selected(view->wall);
		break;
	case SDLK_TAB:
		view_wall_select(view->wall, key->mod & KMOD_SHIFT ? -1 : 1);
		break;
	case SDLK_RIGHT:
	case SDLK_KP_6:
		view_wall_select(view->wall, 1);
		break;
	case SDLK_LEFT:
	case SDLK_KP_4:
		view_wall_select(view->wall, -1);
		break;
	case SDLK_DOWN:
	case SDLK_KP_2:
		view_wall_select_row(view->wall, 1);
		break;
	case SDLK_UP:
	case SDLK_KP_8:
		view_wall_select_row(view->wall, -1);
		break;
	default:
		break;
	}
}

static void handle_click(struct view *view, const SDL_MouseButtonEvent *button)
{
	const SDL_Point at = view_window_pixel(&view->window, button->x, button->y);

	if (button->button == SDL_BUTTON_LEFT)
		view_wall_click(view->wall, at.x, at.y);
}

static void handle_window_event(struct view *view, const SDL_WindowEvent *event)
{
	switch (event->event) {
	case SDL_WINDOWEVENT_MINIMIZED:
	case SDL_WINDOWEVENT_HIDDEN:
		view->hidden = true;
		break;
	case SDL_WINDOWEVENT_RESTORED:
	case SDL_WINDOWEVENT_SHOWN:
		view->hidden = false;
		break;
	case SDL_WINDOWEVENT_SIZE_CHANGED:
	case SDL_WINDOWEVENT_DISPLAY_CHANGED:
		fit_text(view);
		break;
	default:
		break;
	}
	view_wall_touch(view->wall);
}

static void handle_event(struct view *view, const SDL_Event *event)
{
	switch (event->type) {
	case SDL_QUIT:
		view->quit = true;
		break;
	case SDL_KEYDOWN:
		handle_key(view, &event->key);
		break;
	case SDL_MOUSEBUTTONDOWN:
		handle_click(view, &event->button);
		break;
	case SDL_RENDER_TARGETS_RESET:
	case SDL_RENDER_DEVICE_RESET:
		view_wall_forget_textures(view->wall);
		view_overlay_forget(&view->overlay);
		break;
	case SDL_WINDOWEVENT:
		handle_window_event(view, &event->window);
		break;
	default:
		break;
	}
}

static void update_servers(struct view *view)
{
	struct server *list;
	char state[160], notice[256];
	size_t n;

	if (servers_snapshot(view->servers, &list, &n, state, sizeof(state)))
		return;
	view_wall_update(view->wall, list, n, clock_now_us());
	free(list);
	snprintf(notice, sizeof(notice), "no server yet; %s", state);
	view_wall_set_notice(view->wall, notice);
}

/* --- for scripts --- */

static double percent(int64_t used_us, int64_t elapsed_us)
{
	return 100.0 * (double)used_us / (double)elapsed_us;
}

/* The CPU time of the main process, in per cent of a core, without the copying of pictures to
 * textures and the drawing. */
static cJSON *describe_usage(const struct view *view, int64_t elapsed_us)
{
	const struct usage *now = &view->usage, *before = &view->reported;
	const int64_t upload = now->upload - before->upload;
	const int64_t present = now->present - before->present;
	cJSON *out = cJSON_CreateObject();

	cJSON_AddNumberToObject(
		out, "manager",
		percent(now->process - before->process - upload - present, elapsed_us));
	cJSON_AddNumberToObject(out, "upload", percent(upload, elapsed_us));
	cJSON_AddNumberToObject(out, "present", percent(present, elapsed_us));
	return out;
}

static void report(struct view *view, int64_t now_us)
{
	const int64_t elapsed_us = now_us - view->report_us;
	cJSON *line;
	char *text;

	if (!view->options->json || elapsed_us < REPORT_US)
		return;
	view->usage.process = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
	line = cJSON_CreateObject();
	cJSON_AddNumberToObject(line, "draws_per_s",
				(double)(view->draws - view->reported_draws) * 1e6 /
					(double)elapsed_us);
	cJSON_AddStringToObject(line, "renderer", view->window.drawn_by);
	cJSON_AddItemToObject(line, "cpu_percent", describe_usage(view, elapsed_us));
	cJSON_AddItemToObject(line, "tiles", view_wall_describe(view->wall));
	cJSON_AddNumberToObject(line, "scale", view_window_scale(&view->window));
	cJSON_AddBoolToObject(line, "help", view->overlay.help);
	cJSON_AddStringToObject(line, "message", view->overlay.message);
	text = cJSON_PrintUnformatted(line);
	if (text && (puts(text) < 0 || fflush(stdout) < 0))
		view->quit = true; /* the reader of the pipe has ended */
	cJSON_free(text);
	cJSON_Delete(line);
	view->reported = view->usage;
	view->reported_draws = view->draws;
	view->report_us = now_us;
}

/* --- the loop --- */

/* ms until something is due without an event. */
static int time_left(const struct view *view, int64_t now_us)
{
	int64_t due_us = view->next_poll_us;

	if (!view->hidden && view_wall_dirty(view->wall) && view->next_draw_us < due_us)
		due_us = view->next_draw_us;
	if (view->options->json && view->report_us + REPORT_US < due_us)
		due_us = view->report_us + REPORT_US;
	return due_us <= now_us ? 0 : (int)((due_us - now_us + 999) / 1000);
}

static void confirm(void *user, const char *url)
{
	servers_confirm(user, url);
}

/* Shows what is new in the list. Each second, tells the list which addresses deliver, so that
 * nobody else takes their ids, and lets servers that are left out have their turn. */
static void follow_servers(struct view *view, int64_t now_us)
{
	bool due = now_us >= view->next_servers_us;

	if (!view->servers)
		return;
	if (due) {
		view->next_servers_us = now_us + SERVERS_US;
		view_wall_confirm(view->wall, confirm, view->servers);
	}
	if (view_wake_fd_readable(view->wake) || (due && view_wall_leaves_out(view->wall))) {
		update_servers(view);
		set_title(view);
	}
}

static void look_after(struct view *view)
{
	const int64_t now_us = clock_now_us();
	char text[SNAPSHOT_TEXT_MAX];

	if (view_snapshots_result(view->snapshots, text, sizeof(text)))
		say(view, text);
	if (view_overlay_poll(&view->overlay, now_us))
		view_wall_touch(view->wall);

	follow_servers(view, now_us);
	if (now_us >= view->next_poll_us)
		view->next_poll_us = now_us + (int64_t)view_wall_poll(view->wall, now_us) * 1000;
	if (!view->hidden && now_us >= view->next_draw_us && view_wall_dirty(view->wall))
		draw(view, now_us);
	report(view, now_us);
}

static void run(struct view *view)
{
	SDL_Event event;

	set_title(view);
	view->report_us = clock_now_us();
	while (!view->quit) {
		const int left = time_left(view, clock_now_us());
		bool any = SDL_WaitEventTimeout(&event, left);

		view_wake_answer(view->wake);
		for (; any; any = SDL_PollEvent(&event))
			handle_event(view, &event);
		look_after(view);
	}
}

static int open_all(struct view *view)
{
	const struct view_options *options = view->options;
	struct view_wall_options wall = {
		.wanted = options->wanted,
		.n_wanted = options->n_wanted,
		.max_servers = options->max_servers,
		.hardware = options->hardware,
	};
	int r = view_window_open(&view->window, options->width, options->height,
				 options->full_screen);

	if (r)
		return r;
	r = view_fonts_create(&view->fonts, text_pixels(view));
	if (r)
		return r;
	if (!options->n_wanted || options->n_urls < options->n_wanted) {
		r = servers_create(&view->servers, &options->broker.options);
		if (r) {
			diag_error("the search for servers cannot start: %s", strerror(-r));
			return r;
		}
	}
	r = view_wake_create(&view->wake, view->servers ? servers_fd(view->servers) : -1);
	if (!r)
		r = view_snapshots_create(&view->snapshots, options->snapshots, view->wake);
	wall.wake = view->wake;
	wall.renderer = view->window.renderer;
	wall.fonts = view->fonts;
	if (!r)
		r = view_wall_create(&view->wall, &wall);
	if (r)
		diag_error("view cannot start: %s", strerror(-r));
	else
		view_wall_set_notice(view->wall, "looking for servers");
	return r;
}

static void close_all(struct view *view)
{
	/* Before the bell that its threads ring. */
	view_wall_destroy(view->wall);
	view_snapshots_destroy(view->snapshots);
	view_wake_destroy(view->wake);
	servers_destroy(view->servers);
	view_overlay_forget(&view->overlay);
	view_fonts_destroy(view->fonts);
	view_window_close(&view->window);
}

int cmd_view(int argc, char **argv)
{
	struct view_options options;
	struct view view = {.options = &options};
	int r;

	if (parse_options(argc, argv, &options) < 0)
		return EXIT_USAGE;
	if (options.help) {
		print_usage(stdout);
		return EXIT_SUCCESS;
	}
	r = view_wake_block_signals();
	if (r)
		diag_error("signals: %s", strerror(-r));
	else
		r = open_all(&view);
	if (!r)
		run(&view);
	close_all(&view);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
