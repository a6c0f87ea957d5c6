/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies docs/STATUS.md from input to output with the tables that the rows of
 * daemon/status/counters.h make; `make status-page` runs it, `make lint-status` compares. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/status/counters.h"

static const char begin[] = "<!-- counters: ";
static const char end[] = "<!-- counters end -->\n";

static const char *type_name(const struct counter *row)
{
	static const char *const names[] = {
		[COUNTER_TEXT] = "text",    [COUNTER_BOOL] = "boolean",
		[COUNTER_GAUGE] = "gauge",  [COUNTER_COUNTER] = "counter",
		[COUNTER_GROUP] = "object", [COUNTER_OBJECT] = "object",
		[COUNTER_LIST] = "array",
	};

	return names[row->type];
}

static void write_row(FILE *out, const struct counter_table *table, const struct counter *row,
		      const struct counter *group)
{
	if (row->path)
		fprintf(out, "| `%s%s%s` | ", table->name, table->name[0] ? "." : "", row->path);
	else
		fputs("| | ", out);
	fprintf(out, "%s%s%s | ", type_name(row), row->unit ? ", " : "",
		row->unit ? row->unit : "");
	if (group && group->metric)
		fprintf(out, "`{%s=\"%s\"}` ", group->label, counter_key(row));
	else if (row->metric)
		fprintf(out, "`camcast_%s` ", row->metric);
	fprintf(out, "| %s |\n", row->help);
}

static void write_table(FILE *out, const struct counter_table *table)
{
	const struct counter *group = NULL;

	fputs("| key | type | metric | meaning |\n|---|---|---|---|\n", out);
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct counter *row = &table->rows[i];

		write_row(out, table, row, counter_grouped(row) ? group : NULL);
		if (row->type == COUNTER_GROUP)
			group = row;
	}
}

/* name: what follows `begin`, with " -->" and all. NULL: there is none. */
static const struct counter_table *find_table(const char *name)
{
	size_t len = strcspn(name, " ");

	if (strcmp(name + len, " -->\n") != 0)
		return NULL;
	for (size_t i = 0; i < COUNTER_KINDS; i++) {
		const char *known = i == COUNTERS_SERVER ? "server" : counter_tables[i]->name;

		if (strlen(known) == len && strncmp(known, name, len) == 0)
			return counter_tables[i];
	}
	return NULL;
}

/* Copies a page; what stands between the lines "<!-- counters: NAME -->" and "<!-- counters end
 * -->" is replaced by the table of that name. 0, -EINVAL (no such table, or no end), or -EIO. */
static int fill_page(FILE *in, FILE *out)
{
	const struct counter_table *inside = NULL;
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	while (ret == 0 && getline(&line, &size, in) >= 0) {
		if (inside && strcmp(line, end) != 0)
			continue;
		fputs(line, out);
		if (inside) {
			inside = NULL;
		} else if (strncmp(line, begin, sizeof begin - 1) == 0) {
			inside = find_table(line + sizeof begin - 1);
			if (!inside)
				ret = -EINVAL;
			else
				write_table(out, inside);
		}
	}
	free(line);
	if (ret == 0 && (ferror(in) || fflush(out) != 0))
		ret = -EIO;
	return ret == 0 && inside ? -EINVAL : ret;
}

int main(void)
{
	int ret = fill_page(stdin, stdout);

	if (ret < 0)
		fprintf(stderr, "docs/STATUS.md: cannot fill in the tables: %s\n", strerror(-ret));
	return ret < 0;
}
