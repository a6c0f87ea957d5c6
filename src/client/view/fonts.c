/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/fonts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fontconfig/fontconfig.h>
#include <hb.h>

#include "base/diag.h"

#define FONTS_MAX 16
#define MISSING_MAX 64
#define PICTOGRAPHS 0x1f000 /* characters from here on are emoji, which have coloured fonts */
#define JOINER 0x200d

struct font {
	char *path;
	int index;
	TTF_Font *ttf;
	bool bitmap;
};

struct view_fonts {
	FcConfig *config;
	int pixels;
	struct font open[FONTS_MAX]; /* the first is the usual one */
	int n;
	uint32_t missing[MISSING_MAX]; /* characters that no font has; a ring */
	unsigned n_missing;
};

/* --- finding --- */

static bool has_character(const FcPattern *font, uint32_t code)
{
	FcCharSet *charset;

	return FcPatternGetCharSet(font, FC_CHARSET, 0, &charset) == FcResultMatch &&
	       FcCharSetHasChar(charset, code);
}

/* The sans-serif fonts of this machine, the best first; NULL: no memory. coloured: emoji fonts
 * before them. */
static FcFontSet *sort_fonts(const struct view_fonts *fonts, bool coloured)
{
	FcPattern *pattern = FcPatternCreate();
	FcFontSet *sorted;
	FcResult result;

	if (!pattern)
		return NULL;
	if (coloured)
		FcPatternAddString(pattern, FC_FAMILY, (const FcChar8 *)"emoji");
	FcPatternAddString(pattern, FC_FAMILY, (const FcChar8 *)"sans-serif");
	FcPatternAddBool(pattern, FC_COLOR, coloured);
	FcConfigSubstitute(fonts->config, pattern, FcMatchPattern);
	FcDefaultSubstitute(pattern);
	sorted = FcFontSort(fonts->config, pattern, FcFalse, NULL, &result);
	FcPatternDestroy(pattern);
	return sorted;
}

static int open_font(struct view_fonts *fonts, const FcPattern *pattern)
{
	struct font *font = &fonts->open[fonts->n];
	FcBool outline = FcTrue;
	FcChar8 *path;
	int index = 0;

	if (FcPatternGetString(pattern, FC_FILE, 0, &path) != FcResultMatch)
		return -ENOENT;
	FcPatternGetInteger(pattern, FC_INDEX, 0, &index);
	/* FC_SCALABLE is true for coloured bitmaps, too, which SDL_ttf does not scale. */
	FcPatternGetBool(pattern, FC_OUTLINE, 0, &outline);
	index &= 0xffff; /* the upper half would name a variation of a variable font */
	for (int i = 0; i < fonts->n; i++)
		if (fonts->open[i].index == index &&
		    strcmp(fonts->open[i].path, (const char *)path) == 0)
			return i;
	if (fonts->n == FONTS_MAX)
		return -ENFILE;
	*font = (struct font){.index = index, .path = strdup((const char *)path)};
	if (font->path)
		font->ttf = TTF_OpenFontIndex(font->path, fonts->pixels, index);
	if (!font->ttf) {
		free(font->path);
		return -ENOENT;
	}
	font->bitmap = !outline;
	return fonts->n++;
}

/* The best font that has the character, opened. Its number, or -errno. */
static int find_font(struct view_fonts *fonts, uint32_t code)
{
	FcFontSet *sorted = sort_fonts(fonts, code >= PICTOGRAPHS);
	int r = -ENOENT;

	for (int i = 0; sorted && i < sorted->nfont && r < 0; i++)
		if (has_character(sorted->fonts[i], code))
			r = open_font(fonts, sorted->fonts[i]);
	if (sorted)
		FcFontSetDestroy(sorted);
	return r;
}

/* Characters that belong to the one before, whatever font that has. */
static bool keeps_font(uint32_t code)
{
	switch (hb_unicode_general_category(hb_unicode_funcs_get_default(), code)) {
	case HB_UNICODE_GENERAL_CATEGORY_NON_SPACING_MARK: /* variation selectors are such marks */
	case HB_UNICODE_GENERAL_CATEGORY_ENCLOSING_MARK:
	case HB_UNICODE_GENERAL_CATEGORY_FORMAT:
		return true;
	default:
		return code == JOINER;
	}
}

static bool is_missing(const struct view_fonts *fonts, uint32_t code)
{
	for (unsigned i = 0; i < MISSING_MAX && i < fonts->n_missing; i++)
		if (fonts->missing[i] == code)
			return true;
	return false;
}

int view_fonts_choose(struct view_fonts *fonts, uint32_t code, int before)
{
	const bool pictograph = code >= PICTOGRAPHS;
	int found;

	if (before >= 0 && keeps_font(code))
		return before;
	/* A blank does not end a run. */
	if (before >= 0 && code == ' ' && !fonts->open[before].bitmap &&
	    TTF_GlyphIsProvided32(fonts->open[before].ttf, code))
		return before;
	for (int i = 0; i < fonts->n; i++)
		if ((fonts->open[i].bitmap || !pictograph) &&
		    TTF_GlyphIsProvided32(fonts->open[i].ttf, code))
			return i;
	if (is_missing(fonts, code))
		return 0;
	found = find_font(fonts, code);
	if (found >= 0)
		return found;
	fonts->missing[fonts->n_missing++ % MISSING_MAX] = code;
	return 0;
}

TTF_Font *view_fonts_get(const struct view_fonts *fonts, int font)
{
	return fonts->open[font].ttf;
}

bool view_fonts_is_bitmap(const struct view_fonts *fonts, int font)
{
	return fonts->open[font].bitmap;
}

int view_fonts_pixels(const struct view_fonts *fonts)
{
	return fonts->pixels;
}

int view_fonts_line_height(const struct view_fonts *fonts)
{
	return TTF_FontHeight(fonts->open[0].ttf);
}

int view_fonts_padding(const struct view_fonts *fonts)
{
	return (fonts->pixels + 3) / 4;
}

/* --- life --- */

static void close_fonts(struct view_fonts *fonts)
{
	for (int i = 0; i < fonts->n; i++) {
		TTF_CloseFont(fonts->open[i].ttf);
		free(fonts->open[i].path);
	}
	fonts->n = 0;
}

int view_fonts_resize(struct view_fonts *fonts, int pixels)
{
	struct view_fonts other = {.config = fonts->config, .pixels = pixels};
	int r;

	if (pixels == fonts->pixels)
		return 0;
	r = find_font(&other, 'a');
	if (r < 0) {
		diag_error("no font of %d pixels: %s", pixels, strerror(-r));
		return r;
	}
	close_fonts(fonts);
	*fonts = other;
	return 0;
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
	r = fonts->config ? find_font(fonts, 'a') : -ENOENT;
	if (r < 0) {
		diag_error("no font was found: install the package fonts-dejavu-core (and "
			   "fonts-nanum for Korean names, fonts-noto-color-emoji for emoji)");
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
	close_fonts(fonts);
	if (fonts->config)
		FcConfigDestroy(fonts->config);
	TTF_Quit();
	free(fonts);
}
