/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/file.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "base/text.h"

#define CONTROL_NAME_MAX 40 /* bytes */
#define MISTAKES_MAX 1000
#define MISTAKE_BYTES_MAX 2048 /* of one; a line that it quotes may be as long as the file */
#define SECTION_PATTERN_MAX 16
#define LINE_SHOWN_MAX 32 /* bytes of a line that is neither section nor key */

/* --- mistakes --- */

void config_file_mistake(struct config_file *file, int line, const char *format, ...)
{
	struct mistake *grown;
	va_list ap;
	int len;

	if (file->n_mistakes > MISTAKES_MAX)
		return;
	if (file->n_mistakes == MISTAKES_MAX)
		format = "there are more mistakes, which are not shown";
	grown = reallocarray(file->mistakes, file->n_mistakes + 1, sizeof *grown);
	if (!grown) {
		file->no_memory = true;
		return;
	}
	file->mistakes = grown;
	grown += file->n_mistakes;
	grown->line = line;
	grown->order = file->n_mistakes;
	va_start(ap, format);
	len = vasprintf(&grown->text, format, ap);
	va_end(ap);
	if (len < 0) {
		file->no_memory = true;
		return;
	}
	if (len > MISTAKE_BYTES_MAX)
		strcpy(grown->text + text_cut(grown->text, MISTAKE_BYTES_MAX - 3), "...");
	file->n_mistakes++;
}

static int compare_mistakes(const void *a, const void *b)
{
	const struct mistake *m = a, *n = b;

	if (m->line != n->line)
		return m->line < n->line ? -1 : 1;
	return m->order < n->order ? -1 : m->order > n->order;
}

void config_file_write_mistakes(struct config_file *file, FILE *errors)
{
	if (file->n_mistakes == 0)
		return;
	qsort(file->mistakes, file->n_mistakes, sizeof *file->mistakes, compare_mistakes);
	for (size_t i = 0; i < file->n_mistakes; i++)
		fprintf(errors, "%s:%d: %s\n", file->name, file->mistakes[i].line,
			file->mistakes[i].text);
}

/* --- reading --- */

/* UTF-8 without control characters except the tab. */
static bool is_text(const char *text, size_t len)
{
	uint32_t c;

	for (size_t i = 0, n; i < len; i += n) {
		n = text_decode(text + i, len - i, &c);
		if (n == 0 || (c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool name_is_valid(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return false;
	return len > 0 && len < CONFIG_NAME_MAX;
}

static char *trim(char *text)
{
	size_t len;

	while (isblank((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len > 0 && isblank((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

static void add_section(struct config_file *file, enum option_section kind, const char *name)
{
	static const size_t max[OPTION_SECTIONS] = {
		[OPTION_DAEMON] = 1,
		[OPTION_TLS] = 1,
		[OPTION_MQTT] = 1,
		[OPTION_ONVIF] = 1,
		[OPTION_USER] = CONFIG_USERS_MAX,
		[OPTION_CAMERA] = CONFIG_CAMERAS_MAX,
		[OPTION_STREAM] = CONFIG_STREAMS_MAX,
	};
	struct section_list *list = &file->sections[kind];
	struct section *grown;

	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->items[i].name, name) != 0)
			continue;
		config_file_mistake(
			file, file->line, "section [%s%s%s] was already given in line %d",
			option_section_words[kind], name[0] ? " " : "", name, list->items[i].line);
		file->bad_section = true;
		return;
	}
	if (list->n == max[kind]) {
		config_file_mistake(file, file->line, "there are more than %zu sections [%s NAME]",
				    max[kind], option_section_words[kind]);
		file->bad_section = true;
		return;
	}
	grown = reallocarray(list->items, list->n + 1, sizeof *grown);
	if (!grown) {
		file->no_memory = true;
		return;
	}
	list->items = grown;
	file->kind = kind;
	file->section = &grown[list->n++];
	*file->section = (struct section){.line = file->line};
	strcpy(file->section->name, name);
}

/* A line that begins with '['. */
static void read_section(struct config_file *file, char *text)
{
	static const char allowed[] =
		"the sections are [daemon], [tls], [mqtt], [onvif], [user NAME], [camera NAME] and "
		"[stream NAME]";
	char *end = strchr(text, ']'), *name, hint[NEAREST_HINT_MAX];
	enum option_section kind;
	struct nearest nearest;

	file->section = NULL;
	file->in_section = true;
	if (!end || (end[1 + strspn(end + 1, " \t")] != '\0' &&
		     !strchr(";#", end[1 + strspn(end + 1, " \t")]))) {
		config_file_mistake(file, file->line,
				    "a section is a name in brackets, alone on its line; %s",
				    allowed);
		file->bad_section = true;
		return;
	}
	*end = '\0';
	text = trim(text + 1);
	name = text + strcspn(text, " \t");
	if (*name != '\0')
		*name++ = '\0';
	name = trim(name);

	nearest_init(&nearest, text);
	for (kind = 0; kind < OPTION_SECTIONS; kind++) {
		if (strcasecmp(text, option_section_words[kind]) == 0)
			break;
		nearest_try(&nearest, option_section_words[kind]);
	}
	if (kind == OPTION_SECTIONS)
		config_file_mistake(file, file->line, "unknown section [%s%s%s]; %s%s", text,
				    *name ? " " : "", name, allowed, nearest_hint(&nearest, hint));
	else if (option_section_is_single(kind) && name[0] != '\0')
		config_file_mistake(file, file->line, "section [%s] takes no name", text);
	else if (!option_section_is_single(kind) && !name_is_valid(name))
		config_file_mistake(
			file, file->line,
			"section [%s NAME] needs a name: 1 to %d of a-z, A-Z, 0-9, '-', '_' or '.'",
			text, CONFIG_NAME_MAX - 1);
	else {
		add_section(file, kind, name);
		return;
	}
	file->bad_section = true;
}

/* "[camera NAME]", "[daemon]" */
static const char *section_pattern(enum option_section kind, char buf[SECTION_PATTERN_MAX])
{
	snprintf(buf, SECTION_PATTERN_MAX, "[%s%s]", option_section_words[kind],
		 option_section_is_single(kind) ? "" : " NAME");
	return buf;
}

/* The sections that have this key: "[mqtt] or [user NAME]". False: none has. */
static bool find_sections(const char *key, char *out, size_t size)
{
	char pattern[SECTION_PATTERN_MAX];

	out[0] = '\0';
	for (int kind = 0; kind < OPTION_SECTIONS; kind++) {
		if (!option_find(kind, key))
			continue;
		text_append(out, size, out[0] ? " or " : "");
		text_append(out, size, section_pattern(kind, pattern));
	}
	return out[0] != '\0';
}

/* The nearest keys of the section that is read: "; did you mean X?", or "; the nearest keys are X,
 * Y and Z" where none is a slip of the hand. */
static void nearest_keys(enum option_section kind, const char *key, char hint[NEAREST_HINT_MAX])
{
	struct nearest nearest;

	nearest_init(&nearest, key);
	for (size_t i = 0; i < n_options; i++)
		if (options[i].section == kind)
			nearest_try(&nearest, options[i].key);
	nearest_hint(&nearest, hint);
	if (hint[0] == '\0' && nearest.n == NEAREST_WORDS)
		snprintf(hint, NEAREST_HINT_MAX, "; the nearest keys are %s, %s and %s",
			 nearest.words[0].word, nearest.words[1].word, nearest.words[2].word);
}

static void report_unknown_key(struct config_file *file, const char *key)
{
	const struct section *s = file->section;
	enum option_section kind = file->kind, belongs;
	const char *word = option_section_words[kind], *blank = s->name[0] ? " " : "";
	const char *meant = synonym_of_key(kind, key, &belongs);
	char pattern[SECTION_PATTERN_MAX], hint[NEAREST_HINT_MAX];
	char sections[OPTION_SECTIONS * SECTION_PATTERN_MAX];
	bool is_here = meant && (belongs == kind || meant[0] != '"');

	if (!meant && find_sections(key, sections, sizeof sections)) {
		config_file_mistake(file, file->line,
				    "key \"%s\" belongs in section %s, not in [%s%s%s]", key,
				    sections, word, blank, s->name);
		return;
	}
	if (meant)
		snprintf(hint, sizeof hint, "; did you mean %s%s%s?", meant,
			 is_here ? "" : " in section ",
			 is_here ? "" : section_pattern(belongs, pattern));
	else
		nearest_keys(kind, key, hint);
	config_file_mistake(file, file->line, "unknown key \"%s\" in section [%s%s%s]%s%s", key,
			    word, blank, s->name, hint,
			    "; \"camcastd --help-config\" lists all keys");
}

static void add_entry(struct config_file *file, const char *key, const char *value)
{
	struct section *s = file->section;
	const struct option *option;
	struct entry *grown, entry;

	if (!s) {
		if (!file->in_section)
			config_file_mistake(file, file->line,
					    "key \"%s\" stands before the first [section]", key);
		return;
	}
	option = option_find(file->kind, key);
	if (!option && file->kind == OPTION_CAMERA && strncasecmp(key, "control.", 8) == 0) {
		key += 8;
		if (key[0] == '\0' || strlen(key) > CONTROL_NAME_MAX) {
			config_file_mistake(file, file->line,
					    "control.NAME needs a name: 1 to %d bytes",
					    CONTROL_NAME_MAX);
			return;
		}
		if (s->n_raw == CONFIG_CONTROLS_MAX) {
			config_file_mistake(file, file->line, "there are more than %d controls",
					    CONFIG_CONTROLS_MAX);
			return;
		}
		s->n_raw++;
	} else if (!option) {
		report_unknown_key(file, key);
		return;
	}
	if (option)
		key = option->key;
	for (size_t i = 0; i < s->n_entries; i++) {
		if (s->entries[i].option == option && strcmp(s->entries[i].key, key) == 0) {
			config_file_mistake(file, file->line,
					    "key \"%s%s\" was already given in line %d",
					    option ? "" : "control.", key, s->entries[i].line);
			return;
		}
	}
	grown = reallocarray(s->entries, s->n_entries + 1, sizeof *grown);
	if (!grown) {
		file->no_memory = true;
		return;
	}
	s->entries = grown;
	entry = (struct entry){.option = option, .line = file->line};
	entry.key = strdup(key);
	entry.value = strdup(value);
	if (!entry.key || !entry.value) {
		free(entry.key);
		free(entry.value);
		file->no_memory = true;
		return;
	}
	s->entries[s->n_entries++] = entry;
}

/* Where the comment of a line begins, at a ';' or '#' behind a blank; else its end. */
static char *find_comment(char *line)
{
	char *at = line;

	while (*at != '\0' &&
	       !((*at == ';' || *at == '#') && at > line && isblank((unsigned char)at[-1])))
		at++;
	return at;
}

/* Whether a comment in the place of a value may be meant as the value: "password = #secret". */
static bool looks_like_value(const char *sign, const char *comment)
{
	for (const char *at = sign + 1; at < comment; at++)
		if (!isblank((unsigned char)*at))
			return false;
	return comment[0] != '\0' && comment[1] != '\0' && !isblank((unsigned char)comment[1]);
}

/* Characters of web pages that look like a blank, or like nothing: they are no blanks here. Returns
 * the one with which a text begins or ends, or 0. */
static uint32_t find_invisible(const char *text)
{
	static const uint32_t invisible[] = {0xa0, 0x200b, 0x200c, 0x200d, 0x202f, 0x2060, 0xfeff};
	const size_t len = strlen(text);
	uint32_t first = 0, last = 0, c;

	for (size_t at = 0, n; at < len; at += n) {
		n = text_decode(text + at, len - at, &c);
		if (n == 0)
			return 0;
		first = at == 0 ? c : first;
		last = c;
	}
	for (size_t i = 0; i < sizeof invisible / sizeof *invisible; i++)
		if (first == invisible[i] || last == invisible[i])
			return invisible[i];
	return 0;
}

/* Cuts "KEY = VALUE ; comment" into its parts, in place; a colon may stand for '='. False, with
 * nothing changed, for anything else. */
static bool split_entry(struct config_file *file, char *line, char **key, char **value)
{
	char *comment = find_comment(line), *sign = line + strcspn(line, "=:");

	if (sign >= comment)
		return false;
	if (looks_like_value(sign, comment))
		config_file_mistake(file, file->line,
				    "behind a blank, '%c' begins a comment; a value that begins "
				    "with it follows the '%c' at once, and a comment's first "
				    "letter follows a blank",
				    *comment, *sign);
	*comment = '\0';
	*sign = '\0';
	*key = trim(line);
	*value = trim(sign + 1);
	return true;
}

/* A line of len bytes, which are followed by one more; all may be changed. */
static void read_line(struct config_file *file, char *line, size_t len)
{
	char *key, *value;

	while (len > 0 && isspace((unsigned char)line[len - 1]))
		len--;
	while (len > 0 && isblank((unsigned char)*line))
		line++, len--;
	if (len == 0 || *line == ';' || *line == '#')
		return;
	if (!is_text(line, len)) {
		config_file_mistake(file, file->line,
				    "this line is not text; allowed: UTF-8 without control "
				    "characters");
		return;
	}
	line[len] = '\0';
	if (line[0] == '[')
		read_section(file, line);
	else if (!split_entry(file, line, &key, &value))
		config_file_mistake(file, file->line,
				    "\"%.*s%s\" is neither a [section] nor KEY = VALUE",
				    (int)text_cut(line, LINE_SHOWN_MAX), line,
				    len > LINE_SHOWN_MAX ? "..." : "");
	else if (find_invisible(key) || find_invisible(value))
		config_file_mistake(file, file->line,
				    "this line has a character that looks like a blank or like "
				    "nothing (U+%04X), and is none; type the line again",
				    (unsigned)(find_invisible(key) ? find_invisible(key)
								   : find_invisible(value)));
	else
		add_entry(file, key, value);
}

/* By its byte order mark, or by the 0 that is half of each of its ASCII characters. */
static bool is_utf16(const char *text, size_t len)
{
	if (len < 2)
		return false;
	return memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0 ||
	       (text[0] == '\0') != (text[1] == '\0');
}

void config_file_read(struct config_file *file, const char *text, size_t len)
{
	char *copy, *line, *end;

	if (is_utf16(text, len)) {
		config_file_mistake(file, 1, "the file is in UTF-16; save it as UTF-8");
		file->unreadable = true;
		return;
	}
	copy = malloc(len + 1);
	if (!copy) {
		file->no_memory = true;
		return;
	}
	memcpy(copy, text, len);
	line = copy;
	end = copy + len;
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		line += 3; /* a byte order mark, as some editors write */
	while (line < end && !file->no_memory && file->n_mistakes <= MISTAKES_MAX) {
		char *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			stop = end;
		file->line++;
		read_line(file, line, (size_t)(stop - line));
		line = stop + (stop < end);
	}
	free(copy);
}

void config_file_finish(struct config_file *file)
{
	for (int kind = 0; kind < OPTION_SECTIONS; kind++) {
		for (size_t i = 0; i < file->sections[kind].n; i++) {
			struct section *s = &file->sections[kind].items[i];

			for (size_t j = 0; j < s->n_entries; j++) {
				free(s->entries[j].key);
				free(s->entries[j].value);
			}
			free(s->entries);
		}
		free(file->sections[kind].items);
	}
	for (size_t i = 0; i < file->n_mistakes; i++)
		free(file->mistakes[i].text);
	free(file->mistakes);
}

/* --- asking --- */

struct entry *section_find(const struct section *s, const char *key)
{
	for (size_t i = 0; i < s->n_entries; i++)
		if (s->entries[i].option && strcmp(s->entries[i].key, key) == 0)
			return &s->entries[i];
	return NULL;
}

int section_line(const struct section *s, const char *key)
{
	const struct entry *entry = section_find(s, key);

	return entry ? entry->line : s->line;
}

bool section_is_bad(const struct section *s, const char *key)
{
	const struct entry *entry = section_find(s, key);

	return entry && entry->bad;
}
