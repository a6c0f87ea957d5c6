/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * camcast view: the window. The main thread handles what SDL reports, looks after the children, and
 * draws, when there is something new and at most once a refresh of the screen. Pictures are decoded
 * in the children (view_child.c) and reach it through shared memory (view_ring.h).
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
#include "client/stream/reader.h"
#include "client/view/decoder.h"
#include "client/view/snapshot.h"
#include "client/view/text.h"
#include "client/view/tile.h"
#include "client/view/wake.h"
#include "client/view/wall.h"

#define TEXT_PIXELS 15
#define WINDOW_MIN 64 /* pixels of a side */
#define WINDOW_MAX 16384
#define REPORT_US 1000000
#define REFRESH_HZ 60 /* where the screen does not say */

enum {
	OPTION_JSON = 'j',
	OPTION_ALL = 256,
	OPTION_DECODER,
	OPTION_SNAPSHOTS,
	OPTION_SIZE,
	OPTION_FULL,
};

struct view_options {
	struct broker broker;
	char *const *wanted;
	size_t n_wanted, n_urls;
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
	SDL_Window *window;
	SDL_Renderer *renderer;
	const char *drawn_by; /* SDL's name of it */
	struct view_fonts *fonts;
	struct servers *servers; /* NULL: URLs only */
	struct view_wake *wake;
	struct view_snapshots *snapshots;
	struct view_wall *wall;
	bool quit, hidden, snapshot_wanted;
	int64_t refresh_us, next_draw_us, next_poll_us;
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
	      "Shows servers in one window, every one that is found if none is named.\n\n"
	      "  --all               every server, also those that come later (the default)\n"
	      "  --size WxH          of the window at first, 1280x720\n"
	      "  --full-screen       from the start\n"
	      "  --decoder NAME      auto, none (software), or a device that libavcodec knows:\n"
	      "                      vaapi, vdpau, cuda, drm...\n"
	      "  --snapshots FOLDER  for pictures taken with s; default: where you are\n"
	      "  -j, --json          a line a second on stdout with what each tile shows\n",
	      out);
	broker_print_usage(out);
	fputs("\nKeys: 1-9, a click, or Tab and Enter show one server alone and all again, Esc "
	      "all;\n"
	      "f full screen, s snapshot (of the one that is shown alone in its own size, else of\n"
	      "the window), q quit.\n",
	      out);
}

static const struct option long_options[] = {
	{"all", no_argument, NULL, OPTION_ALL},
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

static int take_arguments(struct view_options *options, int n, char *const *arguments, bool all)
{
	char host[NET_HOST_MAX];
	uint16_t port;
	enum stream_codec codec;
	enum stream_framing framing;

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
		if (reader_parse_url(arguments[i], host, &port, &codec, &framing)) {
			cli_refuse(&cli,
				   "%s: a URL is tcp://HOST:PORT, or tcp+length://HOST:PORT for "
				   "pictures behind a length",
				   arguments[i]);
			return -EINVAL;
		}
	}
	return 0;
}

static int parse_options(int argc, char **argv, struct view_options *options)
{
	bool all = false;
	int c;

	*options = (struct view_options){
		.hardware = "auto", .snapshots = ".", .width = 1280, .height = 720};
	broker_init(&options->broker);
	while ((c = cli_next(&cli, argc, argv)) >= 0) {
		if (take_option(options, c, optarg) < 0)
			return -EINVAL;
		all |= c == OPTION_ALL;
	}
	return take_arguments(options, argc - optind, argv + optind, all);
}

/* --- the window --- */

static void set_title(struct view *view)
{
	char title[64];
	const size_t n = view_wall_count(view->wall);

	snprintf(title, sizeof(title), "camcast: %zu server%s", n, n == 1 ? "" : "s");
	if (strcmp(SDL_GetWindowTitle(view->window), title) != 0)
		SDL_SetWindowTitle(view->window, title);
}

static void toggle_full_screen(struct view *view)
{
	const bool full = SDL_GetWindowFlags(view->window) & SDL_WINDOW_FULLSCREEN_DESKTOP;

	SDL_SetWindowFullscreen(view->window, full ? 0 : SDL_WINDOW_FULLSCREEN_DESKTOP);
	view_wall_touch(view->wall);
}

/* SDL takes a driver that shows nothing to anybody where there is no screen. */
static bool display_is_real(void)
{
	static const char *const unseen[] = {"offscreen", "dummy", "evdev"};
	const char *driver = SDL_GetCurrentVideoDriver();

	if (SDL_GetHint(SDL_HINT_VIDEODRIVER))
		return true; /* it was asked for */
	for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++)
		if (strcmp(driver, unseen[i]) == 0)
			return false;
	return true;
}

/* Whether OpenGL is done by the CPU (Mesa without a graphics processor): SDL's own drawing, which
 * knows that it has only rectangles to copy, takes a fraction of the time. */
static bool drawing_is_imitated(SDL_Renderer *renderer)
{
	static const char *const imitations[] = {"llvmpipe", "softpipe", "swrast",
						 "Software Rasterizer"};
	const unsigned gl_renderer = 0x1f01; /* GL_RENDERER, OpenGL 1.0 */
	const char *wanted = SDL_GetHint(SDL_HINT_RENDER_DRIVER);
	const char *(*get_string)(unsigned name);
	const char *name;
	SDL_RendererInfo info;

	if ((wanted && *wanted) || SDL_GetRendererInfo(renderer, &info) < 0 ||
	    strncmp(info.name, "opengl", strlen("opengl")) != 0)
		return false;
	*(void **)&get_string = SDL_GL_GetProcAddress("glGetString");
	name = get_string ? get_string(gl_renderer) : NULL;
	for (size_t i = 0; name && i < sizeof(imitations) / sizeof(imitations[0]); i++)
		if (strstr(name, imitations[i]))
			return true;
	return false;
}

/* Not shown yet. */
static int create_window(struct view *view, uint32_t renderer_flags)
{
	const struct view_options *options = view->options;

	view->window = SDL_CreateWindow(
		"camcast", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, options->width,
		options->height,
		SDL_WINDOW_HIDDEN | SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI |
			(options->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0));
	/* No waiting for the screen in there: that is the loop's part. */
	if (view->window)
		view->renderer = SDL_CreateRenderer(view->window, -1, renderer_flags);
	if (view->renderer)
		return 0;
	diag_error("no window: %s", SDL_GetError());
	return -ENOTSUP;
}

static void destroy_window(struct view *view)
{
	if (view->renderer)
		SDL_DestroyRenderer(view->renderer);
	if (view->window)
		SDL_DestroyWindow(view->window);
	view->renderer = NULL;
	view->window = NULL;
}

static int open_window(struct view *view)
{
	SDL_RendererInfo info;
	SDL_DisplayMode mode;
	int r;

	/* Signals are ours; a screen saver would hide what is watched. */
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "0");
	/* Where SDL draws in software it shows the result by shared memory, not by way of OpenGL,
	 * which would be in software as well. */
	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	r = SDL_Init(SDL_INIT_VIDEO);
	if (r < 0 || !display_is_real()) {
		diag_error("no window: %s; is there a display (DISPLAY, WAYLAND_DISPLAY)?",
			   r < 0 ? SDL_GetError() : "nobody would see it");
		return -ENOTSUP;
	}
	r = create_window(view, 0);
	if (!r && drawing_is_imitated(view->renderer)) {
		destroy_window(view);
		r = create_window(view, SDL_RENDERER_SOFTWARE);
	}
	if (r)
		return r;
	SDL_FlushEvent(SDL_WINDOWEVENT); /* of the first window */
	SDL_ShowWindow(view->window);
	SDL_GetRendererInfo(view->renderer, &info);
	view->drawn_by = info.name;
	/* Smooth scaling is the graphics processor's work, or nobody's. */
	SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY,
		    info.flags & SDL_RENDERER_SOFTWARE ? "nearest" : "linear");
	if (SDL_GetWindowDisplayMode(view->window, &mode) < 0 || mode.refresh_rate <= 0)
		mode.refresh_rate = REFRESH_HZ;
	view->refresh_us = 1000000 / mode.refresh_rate;
	diag_debug("drawing with %s at most %d times a second", info.name, mode.refresh_rate);
	return 0;
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
		view_snapshots_window(view->snapshots, view->renderer);
	}
}

static void draw(struct view *view, int64_t now_us)
{
	const int64_t begun_us = cpu_us(CLOCK_THREAD_CPUTIME_ID);
	int64_t uploaded_us;

	view_wall_upload(view->wall);
	uploaded_us = cpu_us(CLOCK_THREAD_CPUTIME_ID);
	view_wall_draw(view->wall);
	if (view->snapshot_wanted)
		take_snapshot(view);
	SDL_RenderPresent(view->renderer);
	view_wall_shown(view->wall, clock_now_us());
	view->usage.upload += uploaded_us - begun_us;
	view->usage.present += cpu_us(CLOCK_THREAD_CPUTIME_ID) - uploaded_us;
	view->draws++;
	view->next_draw_us = now_us + view->refresh_us;
}

/* --- events --- */

static void handle_key(struct view *view, const SDL_KeyboardEvent *key)
{
	const SDL_Keycode code = key->keysym.sym;

	if (key->repeat)
		return;
	if (code >= SDLK_1 && code <= SDLK_9)
		view_wall_show_alone(view->wall, (size_t)(code - SDLK_1));
	switch (code) {
	case SDLK_q:
		view->quit = true;
		break;
	case SDLK_f:
		toggle_full_screen(view);
		break;
	case SDLK_s:
		view->snapshot_wanted = true;
		break;
	case SDLK_ESCAPE:
		view_wall_show_all(view->wall);
		break;
	case SDLK_RETURN:
	case SDLK_KP_ENTER:
		view_wall_toggle_selected(view->wall);
		break;
	case SDLK_TAB:
		view_wall_select(view->wall, key->keysym.mod & KMOD_SHIFT ? -1 : 1);
		break;
	case SDLK_RIGHT:
		view_wall_select(view->wall, 1);
		break;
	case SDLK_LEFT:
		view_wall_select(view->wall, -1);
		break;
	default:
		break;
	}
}

static void handle_click(struct view *view, const SDL_MouseButtonEvent *button)
{
	int width = 1, height = 1, pixels_wide = 1, pixels_high = 1;

	if (button->button != SDL_BUTTON_LEFT)
		return;
	SDL_GetWindowSize(view->window, &width, &height);
	SDL_GetRendererOutputSize(view->renderer, &pixels_wide, &pixels_high);
	if (width > 0 && height > 0)
		view_wall_click(view->wall, button->x * pixels_wide / width,
				button->y * pixels_high / height);
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
		break;
	case SDL_WINDOWEVENT:
		if (event->window.event == SDL_WINDOWEVENT_MINIMIZED ||
		    event->window.event == SDL_WINDOWEVENT_HIDDEN)
			view->hidden = true;
		else if (event->window.event == SDL_WINDOWEVENT_RESTORED ||
			 event->window.event == SDL_WINDOWEVENT_SHOWN)
			view->hidden = false;
		view_wall_touch(view->wall);
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
	view_wall_update(view->wall, list, n);
	free(list);
	snprintf(notice, sizeof(notice), "no server yet; %s", state);
	view_wall_set_notice(view->wall, notice);
}

/* --- for scripts --- */

static double percent(int64_t used_us, int64_t elapsed_us)
{
	return 100.0 * (double)used_us / (double)elapsed_us;
}

/* What the manager took, in per cent of a core, apart from copying pictures to textures and drawing
 * them. */
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
	cJSON_AddStringToObject(line, "renderer", view->drawn_by);
	cJSON_AddItemToObject(line, "cpu_percent", describe_usage(view, elapsed_us));
	cJSON_AddItemToObject(line, "tiles", view_wall_describe(view->wall));
	text = cJSON_PrintUnformatted(line);
	if (text && (puts(text) < 0 || fflush(stdout) < 0))
		view->quit = true; /* nobody reads us any more */
	cJSON_free(text);
	cJSON_Delete(line);
	view->reported = view->usage;
	view->reported_draws = view->draws;
	view->report_us = now_us;
}

/* --- the loop --- */

/* ms until something is due, though nothing happens. */
static int time_left(const struct view *view, int64_t now_us)
{
	int64_t due_us = view->next_poll_us;

	if (!view->hidden && view_wall_dirty(view->wall) && view->next_draw_us < due_us)
		due_us = view->next_draw_us;
	if (view->options->json && view->report_us + REPORT_US < due_us)
		due_us = view->report_us + REPORT_US;
	return due_us <= now_us ? 0 : (int)((due_us - now_us + 999) / 1000);
}

static void look_after(struct view *view)
{
	const int64_t now_us = clock_now_us();

	if (view->servers && view_wake_fd_readable(view->wake)) {
		update_servers(view);
		set_title(view);
	}
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
		.hardware = options->hardware,
	};
	int r = open_window(view);

	if (r)
		return r;
	r = view_fonts_create(&view->fonts, TEXT_PIXELS);
	if (r)
		return r;
	if (!options->n_wanted || options->n_urls < options->n_wanted) {
		r = servers_create(&view->servers, &options->broker.options);
		if (r) {
			diag_error("servers cannot be looked for: %s", strerror(-r));
			return r;
		}
	}
	r = view_wake_create(&view->wake, view->servers ? servers_fd(view->servers) : -1);
	if (!r)
		r = view_snapshots_create(&view->snapshots, options->snapshots);
	wall.wake = view->wake;
	wall.renderer = view->renderer;
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
	view_fonts_destroy(view->fonts);
	destroy_window(view);
	SDL_Quit();
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
