/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/window.h"

#include <errno.h>
#include <string.h>

#include "base/diag.h"

#define REFRESH_HZ 60 /* where the screen does not say */

/* Without a screen SDL takes a driver that shows nothing. */
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

static void destroy(struct view_window *window)
{
	if (window->renderer)
		SDL_DestroyRenderer(window->renderer);
	if (window->window)
		SDL_DestroyWindow(window->window);
	*window = (struct view_window){0};
}

/* Not shown yet. -ENOTSUP: SDL_GetError() says why. */
static int create(struct view_window *window, int width, int height, bool full_screen,
		  uint32_t renderer_flags)
{
	window->window = SDL_CreateWindow(
		"camcast", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, width, height,
		SDL_WINDOW_HIDDEN | SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI |
			(full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0));
	/* The renderer does not wait for the screen: the main loop does. */
	if (window->window)
		window->renderer = SDL_CreateRenderer(window->window, -1, renderer_flags);
	if (window->renderer)
		return 0;
	destroy(window);
	return -ENOTSUP;
}

/* SDL's software renderer needs a window that shows memory, which Wayland does not have: there such
 * a window cannot be created, and the existing one stays. */
static void prefer_software(struct view_window *window, int width, int height, bool full_screen)
{
	struct view_window other = {0};

	if (!drawing_is_imitated(window->renderer))
		return;
	if (create(&other, width, height, full_screen, SDL_RENDERER_SOFTWARE) < 0) {
		diag_debug("drawing by OpenGL on the CPU: %s", SDL_GetError());
		return;
	}
	destroy(window);
	*window = other;
}

int view_window_open(struct view_window *window, int width, int height, bool full_screen)
{
	SDL_RendererInfo info;
	SDL_DisplayMode mode;
	int r;

	/* The program handles signals itself; a screen saver would hide what is watched. */
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "0");
	/* SDL's software renderer shows its result by shared memory, not by way of OpenGL, which
	 * would be in software as well. */
	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
	r = SDL_Init(SDL_INIT_VIDEO);
	if (r < 0 || !display_is_real()) {
		diag_error("no window: %s; is there a display (DISPLAY, WAYLAND_DISPLAY)?",
			   r < 0 ? SDL_GetError() : "SDL found no screen");
		return -ENOTSUP;
	}
	r = create(window, width, height, full_screen, 0);
	if (r) {
		diag_error("no window: %s", SDL_GetError());
		return r;
	}
	prefer_software(window, width, height, full_screen);
	SDL_FlushEvents(SDL_WINDOWEVENT, SDL_WINDOWEVENT); /* of a window that was destroyed */
	SDL_StopTextInput(); /* keys are commands: an input method would take them */
	SDL_ShowWindow(window->window);
	SDL_GetRendererInfo(window->renderer, &info);
	window->drawn_by = info.name;
	if (SDL_GetWindowDisplayMode(window->window, &mode) < 0 || mode.refresh_rate <= 0)
		mode.refresh_rate = REFRESH_HZ;
	window->refresh_us = 1000000 / mode.refresh_rate;
	diag_debug("drawing with %s at most %d times a second", info.name, mode.refresh_rate);
	return 0;
}

void view_window_close(struct view_window *window)
{
	destroy(window);
	SDL_Quit();
}

double view_window_scale(const struct view_window *window)
{
	int width = 0, height = 0, pixels_wide = 0, pixels_high = 0;

	SDL_GetWindowSize(window->window, &width, &height);
	SDL_GetRendererOutputSize(window->renderer, &pixels_wide, &pixels_high);
	return width > 0 && pixels_wide > 0 ? (double)pixels_wide / width : 1;
}

SDL_Point view_window_pixel(const struct view_window *window, int x, int y)
{
	const double scale = view_window_scale(window);

	return (SDL_Point){(int)(x * scale), (int)(y * scale)};
}

bool view_window_is_full_screen(const struct view_window *window)
{
	return SDL_GetWindowFlags(window->window) & SDL_WINDOW_FULLSCREEN_DESKTOP;
}

void view_window_set_full_screen(struct view_window *window, bool full_screen)
{
	SDL_SetWindowFullscreen(window->window, full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
}
