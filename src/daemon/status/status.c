/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status/status.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "daemon/status/health.h"

/* --- JSON --- */

/* Without memory these functions get NULL and do nothing; JSON with missing keys is still valid.
 * The keys are constants of the table. */
static cJSON *add(cJSON *object, const char *key, cJSON *item)
{
	if (item && !cJSON_AddItemToObjectCS(object, key, item)) {
		cJSON_Delete(item);
		return NULL;
	}
	return item;
}

static cJSON *append_object(cJSON *array)
{
	cJSON *object = cJSON_CreateObject();

	if (!object || !cJSON_AddItemToArray(array, object)) {
		cJSON_Delete(object);
		return NULL;
	}
	return object;
}

static void add_value(cJSON *object, const struct counter *row, const struct counted *counted)
{
	char buffer[COUNTER_TEXT_MAX];
	cJSON *value;

	if (row->type == COUNTER_TEXT)
		value = cJSON_CreateString(counter_text(row, counted, buffer));
	else if (row->type == COUNTER_BOOL)
		value = cJSON_CreateBool(counter_number(row, counted) != 0);
	else
		value = cJSON_CreateNumber(counter_number(row, counted));
	add(object, counter_key(row), value);
}

static void add_rows(cJSON *object, enum counter_kind kind, struct counted *counted);

struct client_list {
	cJSON *clients;
	struct counted *counted;
	unsigned shown;
};

static void add_client(const struct cursor *cursor, void *user)
{
	struct client_list *list = user;

	if (list->shown >= STATUS_CLIENTS_MAX) {
		list->counted->clients_omitted++;
		return;
	}
	list->shown++;
	list->counted->cursor = cursor;
	add_rows(append_object(list->clients), COUNTERS_CLIENT, list->counted);
}

static void add_list(cJSON *array, enum counter_kind kind, struct counted *counted)
{
	struct client_list list = {.clients = array, .counted = counted};

	if (kind == COUNTERS_CLIENT) {
		for (size_t i = 0; counted_select(counted, COUNTERS_FEED, i); i++)
			feed_for_each_cursor(counted->output->feed, add_client, &list);
		return;
	}
	for (size_t i = 0; counted_select(counted, kind, i); i++)
		add_rows(append_object(array), kind, counted);
}

static void add_rows(cJSON *object, enum counter_kind kind, struct counted *counted)
{
	const struct counter_table *table = counter_tables[kind];
	size_t n = table->exists && !table->exists(counted) ? 1 : table->n_rows;
	cJSON *group = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct counter *row = &table->rows[i];

		if (!row->path || (row->present && !row->present(counted)))
			continue;
		if (row->type == COUNTER_GROUP)
			group = add(object, row->path, cJSON_CreateObject());
		else if (row->type == COUNTER_OBJECT)
			add_rows(add(object, row->path, cJSON_CreateObject()), row->kind, counted);
		else if (row->type == COUNTER_LIST)
			add_list(add(object, row->path, cJSON_CreateArray()), row->kind, counted);
		else
			add_value(counter_grouped(row) ? group : object, row, counted);
	}
}

char *status_json(const struct status_view *view)
{
	struct counted counted;
	cJSON *root = cJSON_CreateObject();
	char *text;

	if (!root)
		return NULL;
	counted_init(&counted, view);
	add_rows(root, COUNTERS_SERVER, &counted);
	text = cJSON_PrintUnformatted(root);
	cJSON_Delete(root);
	return text;
}

/* --- over HTTP --- */

static void handle_healthz(const struct status_view *view, struct http_answer *answer)
{
	char why[HEALTH_WHY_MAX];
	bool healthy = health_check(view->cameras, loop_now_us(view->loop), why);
	int len;

	answer->status = healthy ? 200 : 503;
	answer->type = "text/plain; charset=utf-8";
	len = asprintf(&answer->body, "%s\n", healthy ? "ok" : why);
	if (len < 0) {
		answer->body = NULL;
		return;
	}
	answer->len = (size_t)len;
}

static void take_text(struct http_answer *answer, char *text, const char *type)
{
	answer->status = text ? 200 : 500;
	answer->type = type;
	answer->body = text;
	answer->len = text ? strlen(text) : 0;
}

void status_handle(void *user, const char *path, struct http_answer *answer)
{
	const struct status_view *view = user;

	if (strcmp(path, "/status.json") == 0)
		take_text(answer, status_json(view), "application/json");
	else if (strcmp(path, "/metrics") == 0)
		take_text(answer, status_metrics(view), "text/plain; version=0.0.4; charset=utf-8");
	else if (strcmp(path, "/healthz") == 0)
		handle_healthz(view, answer);
}
