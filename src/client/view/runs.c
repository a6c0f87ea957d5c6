/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/runs.h"

#include <string.h>

#include <fribidi.h>
#include <hb.h>

#include "base/text.h"

struct line {
	size_t n; /* characters */
	FriBidiChar codes[VIEW_RUNS_MAX];
	size_t starts[VIEW_RUNS_MAX + 1]; /* bytes; the last one is the end */
	FriBidiLevel levels[VIEW_RUNS_MAX];
	hb_script_t scripts[VIEW_RUNS_MAX];
	int fonts[VIEW_RUNS_MAX];
};

static void decode(struct line *line, const char *text)
{
	const size_t len = strlen(text);
	size_t at = 0, n;
	uint32_t code;

	while (at < len && line->n < VIEW_RUNS_MAX &&
	       (n = text_decode(text + at, len - at, &code)) > 0) {
		line->codes[line->n] = code;
		line->starts[line->n++] = at;
		at += n;
	}
	line->starts[line->n] = at;
}

/* Without memory for it, all is written from left to right. Returns the highest level. */
static FriBidiLevel find_levels(struct line *line)
{
	const FriBidiStrIndex n = (FriBidiStrIndex)line->n;
	FriBidiParType direction = FRIBIDI_PAR_ON;
	FriBidiBracketType brackets[VIEW_RUNS_MAX];
	FriBidiCharType types[VIEW_RUNS_MAX];
	FriBidiLevel levels;

	fribidi_get_bidi_types(line->codes, n, types);
	fribidi_get_bracket_types(line->codes, n, types, brackets);
	levels = fribidi_get_par_embedding_levels_ex(types, brackets, n, &direction, line->levels);
	if (levels > 0)
		return (FriBidiLevel)(levels - 1);
	memset(line->levels, 0, sizeof line->levels);
	return 0;
}

static bool is_common(hb_script_t script)
{
	return script == HB_SCRIPT_COMMON || script == HB_SCRIPT_INHERITED;
}

/* Blanks, digits and marks take the script of what stands before, at the beginning of what follows
 * (UAX #24, 5.1 and 5.2). */
static void find_scripts(struct line *line)
{
	hb_unicode_funcs_t *unicode = hb_unicode_funcs_get_default();
	hb_script_t script = HB_SCRIPT_COMMON;

	for (size_t i = 0; i < line->n; i++) {
		line->scripts[i] = hb_unicode_script(unicode, line->codes[i]);
		if (is_common(script) && !is_common(line->scripts[i]))
			script = line->scripts[i];
	}
	for (size_t i = 0; i < line->n; i++) {
		if (is_common(line->scripts[i]))
			line->scripts[i] = script;
		script = line->scripts[i];
	}
}

static bool continues(const struct line *line, size_t i)
{
	return line->levels[i] == line->levels[i - 1] && line->scripts[i] == line->scripts[i - 1] &&
	       line->fonts[i] == line->fonts[i - 1];
}

static void turn_around(struct view_run *runs, FriBidiLevel *levels, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		const struct view_run run = runs[i];
		const FriBidiLevel level = levels[i];

		runs[i] = runs[n - 1 - i];
		levels[i] = levels[n - 1 - i];
		runs[n - 1 - i] = run;
		levels[n - 1 - i] = level;
	}
}

/* Rule L2: from the highest level down to 1, what is at that level or above is turned around. */
static void reorder(struct view_run *runs, FriBidiLevel *levels, size_t n, FriBidiLevel highest)
{
	for (FriBidiLevel level = highest; level > 0; level--)
		for (size_t i = 0; i < n; i++) {
			size_t end = i;

			while (end < n && levels[end] >= level)
				end++;
			turn_around(runs + i, levels + i, end - i);
			if (end > i)
				i = end - 1;
		}
}

size_t view_runs_make(const char *text, view_runs_font *font, void *user,
		      struct view_run runs[VIEW_RUNS_MAX])
{
	FriBidiLevel run_levels[VIEW_RUNS_MAX], highest;
	struct line line = {0};
	size_t n = 0;

	decode(&line, text);
	if (!line.n)
		return 0;
	highest = find_levels(&line);
	find_scripts(&line);
	for (size_t i = 0; i < line.n; i++) {
		struct view_run *run;

		line.fonts[i] = font(user, line.codes[i], i ? line.fonts[i - 1] : -1);
		if (i && continues(&line, i)) {
			runs[n - 1].len = line.starts[i + 1] - runs[n - 1].start;
			continue;
		}
		run = &runs[n];
		*run = (struct view_run){
			.start = line.starts[i],
			.len = line.starts[i + 1] - line.starts[i],
			.right_to_left = line.levels[i] & 1,
			.font = line.fonts[i],
		};
		hb_tag_to_string(hb_script_to_iso15924_tag(line.scripts[i]), run->script);
		run_levels[n++] = line.levels[i];
	}
	reorder(runs, run_levels, n, highest);
	return n;
}
