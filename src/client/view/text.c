/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <SDL_ttf.h>
#include <fontconfig/fontconfig.h>

#include "base/diag.h"
#include "base/text.h"

#define FONTS_MAX 8

struct view_fonts {
	FcConfig *config;
	int pixels;
	struct {
		char *path;
		int index;
		TTF_Font *font;
	} open[FONTS_MAX]; /* the first is the usual one */
	size_t n;
};

/* --- fonts --- */

static int open_font(struct view_fonts *fonts, const char *path, int index)
{
	TTF_Font *font;

	for (size_t i = 0; i < fonts->n; i++)
		if (fonts->open[i].index == index && strcmp(fonts->open[i].path, path) == 0)
			return (int)i;
	if (fonts->n == FONTS_MAX)
		return -ENFILE;
	font = TTF_OpenFontIndex(path, fonts->pixels, index);
	if (!font)
		return -ENOENT;
	fonts->open[fonts->n].path = strdup(path);
	if (!fonts->open[fonts->n].path) {
		TTF_CloseFont(font);
		return -ENOMEM;
	}
	fonts->open[fonts->n].index = index;
	fonts->open[fonts->n].font = font;
	return (int)fonts->n++;
}

static void add_characters(FcCharSet *wanted, const char *text)
{
	uint32_t code;

	for (size_t n; *text && (n = text_decode(text, strlen(text), &code)) > 0; text += n)
		FcCharSetAddChar(wanted, code);
}

/* The sans-serif font that has most of the text's letters, opened. Its place, or -errno. */
static int find_font(struct view_fonts *fonts, const char *text)
{
	FcPattern *pattern = FcPatternCreate(), *match = NULL;
	FcCharSet *wanted = FcCharSetCreate();
	FcChar8 *path;
	FcResult result;
	int index = 0, r = -ENOENT;

	if (!pattern || !wanted) {
		r = -ENOMEM;
		goto destroy;
	}
	add_characters(wanted, text);
	FcPatternAddString(pattern, FC_FAMILY, (const FcChar8 *)"sans-serif");
	FcPatternAddBool(pattern, FC_SCALABLE, FcTrue);
	FcPatternAddBool(pattern, FC_COLOR, FcFalse);
	FcPatternAddCharSet(pattern, FC_CHARSET, wanted);
	FcConfigSubstitute(fonts->config, pattern, FcMatchPattern);
	FcDefaultSubstitute(pattern);
	match = FcFontMatch(fonts->config, pattern, &result);
	if (match && FcPatternGetString(match, FC_FILE, 0, &path) == FcResultMatch) {
		FcPatternGetInteger(match, FC_INDEX, 0, &index);
		/* The upper half would name a variation of a variable font. */
		r = open_font(fonts, (const char *)path, index & 0xffff);
	}

destroy:
	if (match)
		FcPatternDestroy(match);
	if (wanted)
		FcCharSetDestroy(wanted);
	if (pattern)
		FcPatternDestroy(pattern);
	return r;
}

static bool has_letters(TTF_Font *font, const char *text)
{
	uint32_t code;

	for (size_t n; *text && (n = text_decode(text, strlen(text), &code)) > 0; text += n)
		if (!TTF_GlyphIsProvided32(font, code))
			return false;
	return true;
}

static TTF_Font *font_for(struct view_fonts *fonts, const char *text)
{
	int found;

	for (size_t i = 0; i < fonts->n; i++)
		if (has_letters(fonts->open[i].font, text))
			return fonts->open[i].font;
	found = find_font(fonts, text);
	return fonts->open[found < 0 ? 0 : found].font;
}

int view_fonts_create(struct view_fonts **out, int pixels)
{
	struct view_fonts *fonts = calloc(1, sizeof(*fonts));
	int r;

	if (!fonts)
		return -ENOMEM;
	fonts->pixels = pixels;
	if (TTF_Init() < 0) {
		diag_error("SDL2_ttf: %s", TTF_GetError());
		free(fonts);
		return -ENOTSUP;
	}
	fonts->config = FcInitLoadConfigAndFonts();
	r = fonts->config ? find_font(fonts, "camcast") : -ENOENT;
	if (r < 0) {
		diag_error("no font was found: install the package fonts-dejavu-core (and "
			   "fonts-nanum for Korean names)");
		view_fonts_destroy(fonts);
		return r;
	}
	*out = fonts;
	return 0;
}

void view_fonts_destroy(struct view_fonts *fonts)
{
	if (!fonts)
		return;
	for (size_t i = 0; i < fonts->n; i++) {
		TTF_CloseFont(fonts->open[i].font);
		free(fonts->open[i].path);
	}
	if (fonts->config)
		FcConfigDestroy(fonts->config);
	TTF_Quit();
	free(fonts);
}

int view_fonts_line_height(const struct view_fonts *fonts)
{
	return TTF_FontHeight(fonts->open[0].font);
}

/* --- lines --- */

bool view_text_set(struct view_text *line, struct view_fonts *fonts, SDL_Renderer *renderer,
		   const char *text)
{
	const SDL_Color white = {255, 255, 255, 255};
	char clean[sizeof(line->text)];
	SDL_Surface *surface;

	text_clean(clean, sizeof(clean), text);
	if (strcmp(clean, line->text) == 0 && (line->texture || !clean[0]))
		return false;
	view_text_finish(line);
	memcpy(line->text, clean, sizeof(clean));
	if (!clean[0])
		return true;
	surface = TTF_RenderUTF8_Blended(font_for(fonts, clean), clean, white);
	if (!surface)
		return true;
	line->texture = SDL_CreateTextureFromSurface(renderer, surface);
	line->width = surface->w;
	line->height = surface->h;
	SDL_FreeSurface(surface);
	return true;
}

void view_text_draw(const struct view_text *line, SDL_Renderer *renderer, int x, int y,
		    int max_width)
{
	const int width = line->width < max_width ? line->width : max_width;
	const SDL_Rect from = {0, 0, width, line->height}, to = {x, y, width, line->height};

	if (line->texture && width > 0)
		SDL_RenderCopy(renderer, line->texture, &from, &to);
}

void view_text_finish(struct view_text *line)
{
	if (line->texture)
		SDL_DestroyTexture(line->texture);
	*line = (struct view_text){0};
}
