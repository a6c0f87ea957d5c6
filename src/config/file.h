/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A configuration file as it is written: sections of entries with their lines, and every mistake
 * found. Between file.c, which reads, config.c, which builds, and check.c.
 */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/options.h"

struct entry {
	const struct option *option; /* NULL: control.NAME */
	char *key;		     /* for control.NAME: NAME */
	char *value;
	int line;
	bool bad; /* reported already: checks across keys leave it alone */
};

struct section {
	char name[CONFIG_NAME_MAX];
	int line;
	struct entry *entries;	 /* no key twice */
	size_t n_entries, n_raw; /* n_raw: control.NAME */
};

struct mistake {
	int line;
	size_t order;
	char *text;
};

struct config_file {
	const char *name; /* borrowed */
	struct section_list {
		struct section *items; /* no name twice */
		size_t n;
	} sections[OPTION_SECTIONS];
	bool bad_section; /* a section was refused, and is missing above */
	bool unreadable;  /* not a text at all: nothing was read */
	struct mistake *mistakes;
	size_t n_mistakes;
	bool no_memory;

	/* While reading: */
	int line;
	enum option_section kind;
	struct section *section; /* NULL: before the first one, or in one that was refused */
	bool in_section;
};

/* Reads text into *file (zeroed, except its name). Mistakes and lack of memory are noted there. */
void config_file_read(struct config_file *file, const char *text, size_t len);
void config_file_finish(struct config_file *file);

/* Notes a mistake; no more than 1000 of them are kept. */
void config_file_mistake(struct config_file *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Writes the mistakes in the order of their lines. */
void config_file_write_mistakes(struct config_file *file, FILE *errors);

/* NULL: the section does not have the key. */
struct entry *section_find(const struct section *section, const char *key);
/* The line of a key, or of its section if the key is not there. */
int section_line(const struct section *section, const char *key);
/* Whether the key stands there with a bad value. */
bool section_is_bad(const struct section *section, const char *key);

/* What spans several keys or sections; config was built from file. */
void config_check(struct config_file *file, struct config *config);

#endif
