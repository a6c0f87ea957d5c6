/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status/json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/serve/hls.h"
#include "daemon/site/ways.h"

struct json {
	struct counted counted;
	FILE *out;
	char *text; /* of out */
	size_t size;
	size_t rest;	      /* row of the server behind the list of clients */
	size_t clients, next; /* how many there are, and the one to be written next */
	struct counted_client client[JSON_CLIENTS_MAX];
};

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

static void add_rows(cJSON *object, enum counter_kind kind, size_t from, size_t to,
		     struct counted *counted);

static void add_object(cJSON *object, enum counter_kind kind, struct counted *counted)
{
	const struct counter_table *table = counter_tables[kind];

	add_rows(object, kind, 0, table->exists && !table->exists(counted) ? 1 : table->n_rows,
		 counted);
}

static void add_list(cJSON *array, enum counter_kind kind, struct counted *counted)
{
	for (size_t i = 0; counted_select(counted, kind, i); i++)
		add_object(append_object(array), kind, counted);
}

static void add_rows(cJSON *object, enum counter_kind kind, size_t from, size_t to,
		     struct counted *counted)
{
	cJSON *group = NULL;

	for (size_t i = from; i < to; i++) {
		const struct counter *row = &counter_tables[kind]->rows[i];

		if (!row->path || (row->present && !row->present(counted)))
			continue;
		if (row->type == COUNTER_GROUP)
			group = add(object, row->path, cJSON_CreateObject());
		else if (row->type == COUNTER_OBJECT)
			add_object(add(object, row->path, cJSON_CreateObject()), row->kind,
				   counted);
		else if (row->type == COUNTER_LIST)
			add_list(add(object, row->path, cJSON_CreateArray()), row->kind, counted);
		else
			add_value(counter_grouped(row) ? group : object, row, counted);
	}
}

/* --- the clients --- */

/* The next place in the list; NULL: it is full. */
static struct counted_client *next_client(struct json *json)
{
	struct counted_client *client = &json->client[json->clients];

	if (json->clients == JSON_CLIENTS_MAX) {
		json->counted.clients_omitted++;
		return NULL;
	}
	json->clients++;
	/* What its kind does not say is left out. */
	*client = (struct counted_client){.output = json->counted.output};
	return client;
}

static void copy_client(const struct cursor *cursor, void *user)
{
	struct json *json = user;
	struct counted_client *client = cursor_is_viewer(cursor) ? next_client(json) : NULL;

	if (!client)
		return;
	client->cursor = *cursor;
	client->lag_us = cursor_lag_us(cursor);
	client->delay_us = cursor_delay_us(cursor);
	client->transport = way_transport(cursor, client->output->config);
	client->encryption = cursor->sink->encryption ? cursor->sink->encryption(cursor) : "no";
	cursor->sink->describe(cursor, client->address);
	client->reported = cursor->sink->report && cursor->sink->report(cursor, &client->report);
	client->is_group = cursor->sink->group && cursor->sink->group(cursor, &client->group);
}

static void copy_player(const struct hls_player *player, void *user)
{
	struct json *json = user;
	struct counted_client *client = next_client(json);

	if (!client)
		return;
	way_player(&client->cursor, player);
	client->lag_us = way_player_lag_us(player, json->counted.now_us);
	client->transport = WAY_HLS;
	net_peer_format(&player->peer, client->address);
}

static void copy_clients(struct json *json, const struct output *output)
{
	feed_for_each_cursor(output->feed, copy_client, json);
	hls_players_for_each(hls_players_of(output->playlist), copy_player, json);
}

static size_t find_clients(void)
{
	const struct counter_table *table = counter_tables[COUNTERS_SERVER];
	size_t i = 0;

	while (table->rows[i].type != COUNTER_LIST || table->rows[i].kind != COUNTERS_CLIENT)
		i++;
	return i;
}

/* --- the text --- */

/* Writes some rows as an object without its braces. */
static void write_rows(struct json *json, enum counter_kind kind, size_t from, size_t to)
{
	cJSON *object = cJSON_CreateObject();
	char *text;

	add_rows(object, kind, from, to, &json->counted);
	text = cJSON_PrintUnformatted(object);
	if (text)
		fwrite(text + 1, 1, strlen(text) - 2, json->out);
	cJSON_free(text);
	cJSON_Delete(object);
}

struct json *json_begin(const struct status_view *view)
{
	struct json *json = malloc(sizeof *json);
	size_t clients = find_clients();

	if (!json)
		return NULL;
	json->text = NULL;
	json->out = open_memstream(&json->text, &json->size);
	if (!json->out) {
		free(json);
		return NULL;
	}
	counted_init(&json->counted, view);
	json->clients = json->next = 0;
	json->rest = clients + 1;
	for (size_t i = 0; counted_select(&json->counted, COUNTERS_FEED, i); i++)
		copy_clients(json, json->counted.output);
	putc_unlocked('{', json->out);
	write_rows(json, COUNTERS_SERVER, 0, clients);
	fprintf(json->out, ",\"%s\":[", counter_tables[COUNTERS_SERVER]->rows[clients].path);
	return json;
}

bool json_step(struct json *json, unsigned max)
{
	for (; max > 0 && json->next < json->clients; max--) {
		json->counted.client = &json->client[json->next];
		fputs(json->next++ == 0 ? "{" : ",{", json->out);
		write_rows(json, COUNTERS_CLIENT, 0, counter_tables[COUNTERS_CLIENT]->n_rows);
		putc_unlocked('}', json->out);
	}
	if (json->next < json->clients)
		return false;
	fputs("],", json->out);
	write_rows(json, COUNTERS_SERVER, json->rest, counter_tables[COUNTERS_SERVER]->n_rows);
	putc_unlocked('}', json->out);
	return true;
}

size_t json_clients(const struct json *json)
{
	return json->clients;
}

char *json_end(struct json *json)
{
	char *text;
	bool failed = ferror(json->out);

	failed = fclose(json->out) != 0 || failed;
	text = json->text;
	free(json);
	if (!failed)
		return text;
	free(text);
	return NULL;
}
