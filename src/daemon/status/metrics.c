/* SPDX-License-Identifier: BSD-2-Clause */
/* /metrics: the Prometheus text format, version 0.0.4. */
#include "daemon/status/status.h"

#include <stdlib.h>
#include <string.h>

static void family(FILE *out, const char *name, bool counter, const char *help)
{
	fprintf(out, "# HELP camcast_%s %s\n# TYPE camcast_%s %s\n", name, help, name,
		counter ? "counter" : "gauge");
}

/* A label; in its value backslash, quote and newline are escaped. */
static void label(FILE *out, const char *name, const char *value)
{
	fputs_unlocked(name, out);
	fputs_unlocked("=\"", out);
	for (; *value; value++) {
		if (*value == '\n') {
			fputs_unlocked("\\n", out);
			continue;
		}
		if (*value == '\\' || *value == '"')
			putc_unlocked('\\', out);
		putc_unlocked(*value, out);
	}
	putc_unlocked('"', out);
}

/* A sample of the selected object. group: the row's, or NULL. */
static void sample(FILE *out, enum counter_kind kind, const struct counter *group,
		   const struct counter *row, const struct counted *counted)
{
	const char *object = counter_tables[kind]->label;

	fputs_unlocked("camcast_", out);
	fputs_unlocked(group ? group->metric : row->metric, out);
	if (object || group)
		putc_unlocked('{', out);
	if (object)
		label(out, object, counted_name(counted, kind));
	if (object && group)
		putc_unlocked(',', out);
	if (group)
		label(out, group->label, counter_key(row));
	fprintf(out, "%s %.17g\n", object || group ? "}" : "", counter_number(row, counted));
}

/* The metric of a row, or of a group with the rows after it. */
static void write_metric(FILE *out, enum counter_kind kind, const struct counter *row,
			 struct counted *counted)
{
	const struct counter *end = counter_tables[kind]->rows + counter_tables[kind]->n_rows;
	bool group = row->type == COUNTER_GROUP;

	family(out, row->metric, group || row->type == COUNTER_COUNTER, row->help);
	for (size_t i = 0; counted_select(counted, kind, i); i++) {
		if (!group)
			sample(out, kind, NULL, row, counted);
		for (const struct counter *r = row + 1; group && r < end && counter_grouped(r); r++)
			sample(out, kind, row, r, counted);
	}
}

static void write_metrics(FILE *out, enum counter_kind kind, struct counted *counted)
{
	const struct counter_table *table = counter_tables[kind];

	if (table->exists && !table->exists(counted))
		return;
	for (unsigned rank = 0; rank <= COUNTER_RANK_MAX; rank++)
		for (size_t i = 0; i < table->n_rows; i++)
			if (table->rows[i].metric && table->rows[i].rank == rank)
				write_metric(out, kind, &table->rows[i], counted);
}

/* By convention, values that are no numbers are labels of a metric that is always 1. */
static void write_info(FILE *out, const struct status_view *view)
{
	family(out, "info", false, "Version and event backend; always 1.");
	fputs_unlocked("camcast_info{", out);
	label(out, "version", CAMCAST_VERSION);
	putc_unlocked(',', out);
	label(out, "backend", loop_backend_name(view->loop));
	fputs_unlocked("} 1\n", out);
}

char *status_metrics(const struct status_view *view)
{
	struct counted counted;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	counted_init(&counted, view);
	write_info(out, view);
	write_metrics(out, COUNTERS_SERVER, &counted);
	write_metrics(out, COUNTERS_MQTT, &counted);
	write_metrics(out, COUNTERS_CAMERA, &counted);
	write_metrics(out, COUNTERS_STREAM, &counted);
	write_metrics(out, COUNTERS_PUSH, &counted);
	write_metrics(out, COUNTERS_FEED, &counted);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
