/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/find/show.h"

#include <assert.h>
#include <string.h>

#include "client/find/columns.h"

enum column { SERVER, ID, KEY, STREAM, CODEC, SIZE, FPS, BITRATE, URL, COLUMNS };

static const char *const headings[COLUMNS] = {"SERVER", "ID",  "KEY",	  "STREAM", "CODEC",
					      "SIZE",	"FPS", "BITRATE", "URL"};
static const unsigned widest[COLUMNS] = {32, 36, 32, 40, 8, 12, 8, 16, TARGET_URL_MAX};

struct row {
	char text[COLUMNS][TARGET_URL_MAX];
};

static void print_bitrate(char *out, size_t size, double bps)
{
	if (bps == 0)
		out[0] = '\0';
	else if (bps < 999500)
		snprintf(out, size, "%.0f kbit/s", bps / 1e3);
	else
		snprintf(out, size, "%.3g Mbit/s", bps / 1e6);
}

static void print_stream(struct row *row, const struct server_stream *stream)
{
	snprintf(row->text[STREAM], sizeof row->text[0], "%s", stream->name);
	snprintf(row->text[CODEC], sizeof row->text[0], "%s", stream_codec_name(stream->codec));
	if (stream->width && stream->height)
		snprintf(row->text[SIZE], sizeof row->text[0], "%ux%u", stream->width,
			 stream->height);
	if (stream->framerate > 0)
		snprintf(row->text[FPS], sizeof row->text[0], "%.4g", stream->framerate);
	print_bitrate(row->text[BITRATE], sizeof row->text[0], stream->bitrate_bps);
	target_url(stream, row->text[URL]);
}

static void print_key(char out[TARGET_URL_MAX], const struct server *server)
{
	static const char *const words[] = {
		[SIGNED_NOT] = "-",
		[SIGNED_WRONG] = "wrong signature",
	};

	static_assert(TARGET_URL_MAX >= SIGNED_FINGERPRINT_MAX, "a fingerprint fits");
	if (server->by.state == SIGNED_RIGHT)
		signed_fingerprint(out, server->by.key);
	else
		strcpy(out, words[server->by.state]);
}

/* Line `i` of a server: its i-th stream; the server's own words stand in the first. */
static void make_row(struct row *row, const struct server *server, size_t i)
{
	memset(row, 0, sizeof *row);
	if (i == 0) {
		snprintf(row->text[SERVER], sizeof row->text[0], "%s", server->name);
		snprintf(row->text[ID], sizeof row->text[0], "%s", server->id);
		print_key(row->text[KEY], server);
	}
	if (i < server->n_streams)
		print_stream(row, &server->streams[i]);
	else
		strcpy(row->text[STREAM], "-");
}

static size_t count_rows(const struct server *server)
{
	return server->n_streams ? server->n_streams : 1;
}

static void widen(unsigned *widths, const struct row *row)
{
	for (unsigned i = 0; i < COLUMNS; i++) {
		unsigned width = columns_width(row->text[i]);

		width = width < widest[i] ? width : widest[i];
		widths[i] = width > widths[i] ? width : widths[i];
	}
}

static void print_row(FILE *out, const unsigned *widths, const struct row *row)
{
	for (unsigned i = 0; i < URL; i++) {
		columns_print(out, row->text[i], widths[i]);
		fputs("  ", out);
	}
	fprintf(out, "%s\n", row->text[URL]);
}

void show_table(FILE *out, const struct server *list, size_t n, size_t lines)
{
	unsigned widths[COLUMNS] = {0};
	size_t printed = 1, rows = 1;
	struct row row;

	memset(&row, 0, sizeof row);
	for (unsigned i = 0; i < COLUMNS; i++)
		snprintf(row.text[i], sizeof row.text[0], "%s", headings[i]);
	widen(widths, &row);
	for (size_t i = 0; i < n; i++) {
		struct row wide;

		rows += count_rows(&list[i]);
		for (size_t j = 0; j < count_rows(&list[i]); j++) {
			make_row(&wide, &list[i], j);
			widen(widths, &wide);
		}
	}
	print_row(out, widths, &row);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < count_rows(&list[i]); j++) {
			if (lines && printed + 1 >= lines && printed + 1 < rows) {
				fprintf(out, "and %zu more lines\n", rows - printed);
				return;
			}
			make_row(&row, &list[i], j);
			print_row(out, widths, &row);
			printed++;
		}
}

const char *show_format(const struct server_stream *stream, char *buf)
{
	struct row row;

	memset(&row, 0, sizeof row);
	print_stream(&row, stream);
	snprintf(buf, SHOW_FORMAT_MAX, "%.16s%s%.16s%s%.16s%s%s%.16s", row.text[CODEC],
		 row.text[SIZE][0] ? " " : "", row.text[SIZE], row.text[FPS][0] ? " " : "",
		 row.text[FPS], row.text[FPS][0] ? " fps" : "", row.text[BITRATE][0] ? " " : "",
		 row.text[BITRATE]);
	return buf;
}

static cJSON *stream_json(const struct server_stream *stream)
{
	cJSON *json = cJSON_CreateObject();
	char url[TARGET_URL_MAX];

	cJSON_AddStringToObject(json, "name", stream->name);
	cJSON_AddStringToObject(json, "camera", stream->camera);
	cJSON_AddStringToObject(json, "codec", stream_codec_name(stream->codec));
	cJSON_AddStringToObject(json, "framing", stream_framing_name(stream->framing));
	cJSON_AddNumberToObject(json, "width", stream->width);
	cJSON_AddNumberToObject(json, "height", stream->height);
	cJSON_AddNumberToObject(json, "framerate", stream->framerate);
	cJSON_AddNumberToObject(json, "bitrate", stream->bitrate_bps);
	cJSON_AddStringToObject(json, "host", stream->host);
	cJSON_AddNumberToObject(json, "port", stream->port);
	cJSON_AddStringToObject(json, "url", target_url(stream, url));
	return json;
}

cJSON *show_json(const struct server *server)
{
	static const char *const signatures[] = {
		[SIGNED_NOT] = "none",
		[SIGNED_WRONG] = "wrong",
		[SIGNED_RIGHT] = "right",
	};
	char key[SIGNED_HEX_MAX], fingerprint[SIGNED_FINGERPRINT_MAX];
	cJSON *json = cJSON_CreateObject(), *streams;

	cJSON_AddStringToObject(json, "id", server->id);
	cJSON_AddStringToObject(json, "name", server->name);
	cJSON_AddStringToObject(json, "version", server->version);
	cJSON_AddStringToObject(json, "address", server->address);
	cJSON_AddBoolToObject(json, "online", server->online);
	if (server->by.state == SIGNED_RIGHT) {
		cJSON_AddStringToObject(json, "key", signed_key_text(key, server->by.key));
		cJSON_AddStringToObject(json, "fingerprint",
					signed_fingerprint(fingerprint, server->by.key));
	}
	cJSON_AddStringToObject(json, "signature", signatures[server->by.state]);
	streams = cJSON_AddArrayToObject(json, "streams");
	for (size_t i = 0; i < server->n_streams; i++)
		cJSON_AddItemToArray(streams, stream_json(&server->streams[i]));
	return json;
}
