/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever anybody publishes where clients listen: the list holds together, what is in it can be
 * printed on a terminal, and stays within its bounds. Messages are separated by bytes 0xfe; one
 * begins with its topic, up to a line feed. A topic "?" stands for an answer to a request.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/find/directory.h"
#include "client/find/show.h"
#include "client/stream/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static FILE *nowhere;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void require_printable(const char *text, size_t size)
{
	size_t len = strnlen(text, size);
	char clean[512];

	require(len < size && size <= sizeof clean && text_is_utf8(text, len));
	text_clean(clean, sizeof clean, text);
	require(strcmp(clean, text) == 0);
}

static void check_server(const struct server *server)
{
	require_printable(server->id, sizeof server->id);
	require(server->id[0] && strlen(server->id) <= 64 && !strpbrk(server->id, "/+# "));
	require_printable(server->name, sizeof server->name);
	require(server->name[0]);
	require_printable(server->version, sizeof server->version);
	require_printable(server->address, sizeof server->address);
	require(server->n_streams <= SERVER_STREAMS_MAX);
	for (size_t i = 0; i < server->n_streams; i++) {
		const struct server_stream *stream = &server->streams[i];
		char url[TARGET_URL_MAX];
		struct server_stream at;

		require_printable(stream->name, sizeof stream->name);
		require_printable(stream->camera, sizeof stream->camera);
		require(stream->name[0] && stream->framerate >= 0 && stream->framerate <= 100000);
		/* Each address that is passed on can be connected to. */
		require(target_parse_url(target_url(stream, url), &at) == 0);
		require(strcmp(at.host, stream->host) == 0 && at.port == stream->port &&
			at.framing == stream->framing && at.tls == stream->tls);
	}
}

static void check_list(const struct directory *directory, const char *wanted)
{
	const struct server_stream *stream;
	const struct server *server;
	struct server *list;
	char why[200];
	size_t n;

	require(directory_copy(directory, &list, &n) == 0 && n <= SERVERS_MAX);
	for (size_t i = 0; i < n; i++) {
		cJSON *json = show_json(&list[i]);

		require(json != NULL);
		cJSON_Delete(json);
		check_server(&list[i]);
		require(i == 0 || strcmp(list[i - 1].name, list[i].name) < 0 ||
			(strcmp(list[i - 1].name, list[i].name) == 0 &&
			 strcmp(list[i - 1].id, list[i].id) < 0));
	}
	show_table(nowhere, list, n, 0);
	if (servers_find(list, n, wanted, &server, &stream, why, sizeof why) == 0)
		require(server >= list && server < list + n && server->online &&
			stream >= server->streams && stream < server->streams + server->n_streams);
	else
		require(strlen(why) > 0);
	free(list);
}

/* Data has come from the first stream of the first server: its address is kept from then on. */
static void confirm_first(struct directory *directory, int64_t now_us)
{
	char url[TARGET_URL_MAX];
	struct server *list;
	size_t n;

	require(directory_copy(directory, &list, &n) == 0);
	if (n > 0 && list[0].n_streams > 0)
		directory_confirm(directory, target_url(&list[0].streams[0], url), now_us);
	free(list);
}

/* One message, in memory of exactly its size. */
static void give(struct directory *directory, const uint8_t *data, size_t len, int64_t now_us)
{
	const uint8_t *line = memchr(data, '\n', len);
	size_t topic_len = line ? (size_t)(line - data) : 0;
	size_t payload_len = line ? len - topic_len - 1 : len;
	char *topic = strndup((const char *)data, topic_len);
	char *payload = malloc(payload_len ? payload_len : 1);
	int command;

	require(topic && payload);
	memcpy(payload, data + len - payload_len, payload_len);
	command = servers_parse_recording(payload, payload_len);
	require(command == 0 || payload_len >= 4);
	if (!line || strcmp(topic, "?") == 0)
		directory_answer(directory, payload, payload_len, now_us);
	else if (strcmp(topic, "!") == 0)
		directory_unconfirm(directory);
	else if (strcmp(topic, ".") == 0)
		directory_drop_unconfirmed(directory);
	else if (strcmp(topic, "+") == 0)
		confirm_first(directory, now_us);
	else if (strcmp(topic, "-") == 0)
		directory_let_move(directory, now_us - 4);
	else
		directory_announcement(directory, topic, payload, payload_len, now_us);
	check_list(directory, topic);
	free(topic);
	free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct directory directory = {0};
	int64_t now_us = 1;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	require(nowhere != NULL);
	while (size > 0 && now_us < 64) {
		const uint8_t *end = memchr(data, 0xfe, size);
		size_t len = end ? (size_t)(end - data) : size;

		give(&directory, data, len, now_us++);
		directory_expire(&directory, now_us - 8);
		len += end != NULL;
		data += len;
		size -= len;
	}
	directory_finish(&directory);
	return 0;
}
