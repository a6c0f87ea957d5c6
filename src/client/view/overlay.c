/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/overlay.h"

#include "base/text.h"

#define MESSAGE_US 4000000

static const struct {
	const char *keys, *action;
} keys[VIEW_KEYS] = {
	{"1 to 9, click", "show one camera alone, or all again"},
	{"arrows, Tab", "select a camera"},
	{"Enter", "show the selected camera alone, or all again"},
	{"Esc", "close this help, show all, leave full screen"},
	{"f, F11", "full screen, and back"},
	{"s", "save a snapshot"},
	{"x, Delete", "remove cameras that are offline"},
	{"h, ?, F1", "show these keys"},
	{"q", "quit"},
};

void view_overlay_say(struct view_overlay *overlay, const char *text, int64_t now_us)
{
	text_set(overlay->message, sizeof(overlay->message), text);
	overlay->until_us = now_us + MESSAGE_US;
}

void view_overlay_toggle_help(struct view_overlay *overlay)
{
	overlay->help = !overlay->help;
}

bool view_overlay_poll(struct view_overlay *overlay, int64_t now_us)
{
	if (!overlay->message[0] || now_us < overlay->until_us)
		return false;
	overlay->message[0] = '\0';
	return true;
}

/* A dark panel in the middle, at this height; returns where its text begins. */
static SDL_Point draw_panel(SDL_Renderer *renderer, const struct view_fonts *fonts, int window,
			    int y, int width, int height)
{
	const int padding = 2 * view_fonts_padding(fonts);
	const SDL_Rect panel = {(window - width) / 2 - padding, y - padding, width + 2 * padding,
				height + 2 * padding};

	SDL_SetRenderDrawBlendMode(renderer, SDL_BLENDMODE_BLEND);
	SDL_SetRenderDrawColor(renderer, 0, 0, 0, 220);
	SDL_RenderFillRect(renderer, &panel);
	SDL_SetRenderDrawBlendMode(renderer, SDL_BLENDMODE_NONE);
	SDL_SetRenderDrawColor(renderer, 120, 120, 120, 255);
	SDL_RenderDrawRect(renderer, &panel);
	return (SDL_Point){panel.x + padding, y};
}

static void draw_help(struct view_overlay *overlay, struct view_fonts *fonts,
		      SDL_Renderer *renderer, int width, int height)
{
	const int line = view_fonts_line_height(fonts) + view_fonts_padding(fonts);
	const int gap = 4 * view_fonts_padding(fonts);
	int left = 0, right = 0;
	SDL_Point at;

	for (size_t i = 0; i < VIEW_KEYS; i++) {
		view_text_set(&overlay->keys[i], fonts, renderer, keys[i].keys, width / 3);
		view_text_set(&overlay->actions[i], fonts, renderer, keys[i].action,
			      width - width / 3 - 2 * gap);
		left = SDL_max(left, overlay->keys[i].width);
		right = SDL_max(right, overlay->actions[i].width);
	}
	at = draw_panel(renderer, fonts, width, (height - VIEW_KEYS * line) / 2, left + gap + right,
			VIEW_KEYS * line);
	for (size_t i = 0; i < VIEW_KEYS; i++) {
		view_text_draw(&overlay->keys[i], renderer, at.x, at.y + (int)i * line);
		view_text_draw(&overlay->actions[i], renderer, at.x + left + gap,
			       at.y + (int)i * line);
	}
}

void view_overlay_draw(struct view_overlay *overlay, struct view_fonts *fonts,
		       SDL_Renderer *renderer, int width, int height)
{
	const int padding = view_fonts_padding(fonts), line = view_fonts_line_height(fonts);
	SDL_Point at;

	if (overlay->help)
		draw_help(overlay, fonts, renderer, width, height);
	if (!overlay->message[0])
		return;
	view_text_set(&overlay->line, fonts, renderer, overlay->message, width - 6 * padding);
	at = draw_panel(renderer, fonts, width, 4 * padding, overlay->line.width, line);
	view_text_draw(&overlay->line, renderer, at.x, at.y);
}

void view_overlay_forget(struct view_overlay *overlay)
{
	view_text_finish(&overlay->line);
	for (size_t i = 0; i < VIEW_KEYS; i++) {
		view_text_finish(&overlay->keys[i]);
		view_text_finish(&overlay->actions[i]);
	}
}

void view_overlay_print_keys(FILE *out)
{
	for (size_t i = 0; i < VIEW_KEYS; i++)
		fprintf(out, "  %-19s %s\n", keys[i].keys, keys[i].action);
}
