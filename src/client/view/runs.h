/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line of text in the order in which it is drawn: pieces of one direction, script and font, by
 * the Unicode Bidirectional Algorithm (UAX #9, with fribidi). Any thread.
 */
#ifndef CLIENT_VIEW_RUNS_H
#define CLIENT_VIEW_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIEW_RUNS_MAX 256 /* characters of a line; further ones are left out */

struct view_run {
	size_t start, len; /* bytes of the text, in its own order */
	bool right_to_left;
	char script[5]; /* ISO 15924: "Latn", "Hebr"; "Zyyy" where nothing says which */
	int font;
};

/* The font of a character; before: that of the character before, or -1. */
typedef int view_runs_font(void *user, uint32_t code, int before);

/*
 * Cuts terminated UTF-8 text (as text_clean() makes it) into runs, from left to right on the
 * screen. Letters within a run stay in the order of the text: shaping turns them around. The
 * paragraph has the direction of its first letter. Returns their number.
 */
size_t view_runs_make(const char *text, view_runs_font *font, void *user,
		      struct view_run runs[VIEW_RUNS_MAX]);

#endif
