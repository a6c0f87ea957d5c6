/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/text.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "client/view/runs.h"

#define ELLIPSIS "\xe2\x80\xa6" /* U+2026 */

/* A line that is measured. */
struct layout {
	char text[sizeof((struct view_text *)NULL)->text + sizeof ELLIPSIS];
	struct view_run runs[VIEW_RUNS_MAX];
	size_t n;
	int width;
	int above, below; /* pixels over and under the base line */
};

static int choose_font(void *user, uint32_t code, int before)
{
	return view_fonts_choose(user, code, before);
}

/* Copies the run's text, and tells its font how to set it. */
static TTF_Font *prepare_run(const struct layout *layout, struct view_fonts *fonts,
			     const struct view_run *run, char text[sizeof(layout->text)])
{
	TTF_Font *font = view_fonts_get(fonts, run->font);

	memcpy(text, layout->text + run->start, run->len);
	text[run->len] = '\0';
	/* Without HarfBuzz SDL_ttf refuses both, and sets letters as they stand. */
	(void)TTF_SetFontDirection(font,
				   run->right_to_left ? TTF_DIRECTION_RTL : TTF_DIRECTION_LTR);
	(void)TTF_SetFontScriptName(font, run->script);
	return font;
}

/* Coloured bitmaps come in one size: they are scaled to a line. */
static int scaled(const struct view_fonts *fonts, const struct view_run *run, int length)
{
	const int height = TTF_FontHeight(view_fonts_get(fonts, run->font));

	if (!view_fonts_is_bitmap(fonts, run->font) || height <= 0)
		return length;
	return length * view_fonts_line_height(fonts) / height;
}

static void measure(struct layout *layout, struct view_fonts *fonts)
{
	TTF_Font *usual = view_fonts_get(fonts, 0);

	layout->n = view_runs_make(layout->text, choose_font, fonts, layout->runs);
	layout->width = 0;
	layout->above = TTF_FontAscent(usual);
	layout->below = view_fonts_line_height(fonts) - layout->above;
	for (size_t i = 0; i < layout->n; i++) {
		const struct view_run *run = &layout->runs[i];
		char text[sizeof(layout->text)];
		TTF_Font *font = prepare_run(layout, fonts, run, text);
		int width = 0, height = 0, above;

		if (TTF_SizeUTF8(font, text, &width, &height) < 0)
			continue;
		layout->width += scaled(fonts, run, width);
		if (view_fonts_is_bitmap(fonts, run->font))
			continue;
		above = TTF_FontAscent(font);
		layout->above = above > layout->above ? above : layout->above;
		layout->below = height - above > layout->below ? height - above : layout->below;
	}
}

static void lay_out(struct layout *layout, struct view_fonts *fonts, const char *text,
		    int max_width)
{
	size_t fits = 0, too_long = strlen(text);

	text_set(layout->text, sizeof layout->text, text);
	measure(layout, fonts);
	if (layout->width <= max_width)
		return;
	/* The longest beginning that fits together with an ellipsis. */
	for (size_t half = too_long / 2; too_long - fits > 1; half = (fits + too_long) / 2) {
		memcpy(layout->text, text, half);
		layout->text[text_cut(text, half)] = '\0';
		text_append(layout->text, sizeof layout->text, ELLIPSIS);
		measure(layout, fonts);
		if (layout->width <= max_width)
			fits = half;
		else
			too_long = half;
	}
	memcpy(layout->text, text, fits);
	layout->text[text_cut(text, fits)] = '\0';
	text_append(layout->text, sizeof layout->text, ELLIPSIS);
	measure(layout, fonts);
}

static SDL_Surface *create_surface(int width, int height)
{
	return SDL_CreateRGBSurfaceWithFormat(0, width, height, 32, SDL_PIXELFORMAT_ARGB8888);
}

/* In a line's size; takes the surface. */
static SDL_Surface *scale(SDL_Surface *surface, int width, int height)
{
	SDL_Surface *from = SDL_ConvertSurfaceFormat(surface, SDL_PIXELFORMAT_ARGB8888, 0);
	SDL_Surface *to = create_surface(width, height);

	if (from && to && SDL_SoftStretchLinear(from, NULL, to, NULL) < 0) {
		SDL_FreeSurface(to);
		to = NULL;
	}
	SDL_FreeSurface(from);
	SDL_FreeSurface(surface);
	return to;
}

/* Draws a run at x; returns where the next one begins. */
static int draw_run(SDL_Surface *line, const struct layout *layout, struct view_fonts *fonts,
		    const struct view_run *run, int x)
{
	const SDL_Color white = {255, 255, 255, 255};
	char text[sizeof(layout->text)];
	TTF_Font *font = prepare_run(layout, fonts, run, text);
	SDL_Surface *surface = TTF_RenderUTF8_Blended(font, text, white);
	SDL_Rect to = {.x = x, .y = layout->above - TTF_FontAscent(font)};

	if (surface && view_fonts_is_bitmap(fonts, run->font)) {
		surface = scale(surface, scaled(fonts, run, surface->w),
				view_fonts_line_height(fonts));
		to.y = layout->above - TTF_FontAscent(view_fonts_get(fonts, 0));
	}
	if (!surface)
		return x;
	x += surface->w;
	SDL_SetSurfaceBlendMode(surface, SDL_BLENDMODE_NONE);
	SDL_BlitSurface(surface, NULL, line, &to);
	SDL_FreeSurface(surface);
	return x;
}

bool view_text_set(struct view_text *line, struct view_fonts *fonts, SDL_Renderer *renderer,
		   const char *text, int max_width)
{
	char clean[sizeof(line->text)];
	struct layout layout;
	SDL_Surface *surface;
	int x = 0;

	text_clean(clean, sizeof(clean), text);
	if (strcmp(clean, line->text) == 0 && max_width == line->max_width &&
	    (line->texture || !clean[0]))
		return false;
	view_text_finish(line);
	memcpy(line->text, clean, sizeof(clean));
	line->max_width = max_width;
	if (!clean[0] || max_width <= 0)
		return true;
	lay_out(&layout, fonts, clean, max_width);
	surface = create_surface(layout.width < max_width ? layout.width : max_width,
				 layout.above + layout.below);
	if (!surface)
		return true;
	for (size_t i = 0; i < layout.n; i++)
		x = draw_run(surface, &layout, fonts, &layout.runs[i], x);
	line->texture = SDL_CreateTextureFromSurface(renderer, surface);
	line->width = surface->w;
	line->height = surface->h;
	line->rise = layout.above - TTF_FontAscent(view_fonts_get(fonts, 0));
	SDL_FreeSurface(surface);
	return true;
}

int view_text_measure(struct view_fonts *fonts, const char *text)
{
	struct layout layout;

	text_clean(layout.text, sizeof(layout.text) - sizeof ELLIPSIS, text);
	measure(&layout, fonts);
	return layout.width;
}

void view_text_draw(const struct view_text *line, SDL_Renderer *renderer, int x, int y)
{
	const SDL_Rect to = {x, y - line->rise, line->width, line->height};

	if (line->texture)
		SDL_RenderCopy(renderer, line->texture, NULL, &to);
}

void view_text_finish(struct view_text *line)
{
	if (line->texture)
		SDL_DestroyTexture(line->texture);
	*line = (struct view_text){0};
}
