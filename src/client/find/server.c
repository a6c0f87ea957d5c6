/* SPDX-License-Identifier: BSD-2-Clause */
/* What servers say of themselves (docs/info.schema.json), and what people call them. */
#include "client/find/server.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "base/text.h"

static const char *const codec_names[] = {"h264", "mjpeg"};
static const char *const framing_names[] = {"annexb", "length_prefixed", "rtsp"};

const char *stream_codec_name(enum stream_codec codec)
{
	return codec_names[codec];
}

const char *stream_framing_name(enum stream_framing framing)
{
	return framing_names[framing];
}

/* The text of a member, NULL if there is none or it is something else. */
static const char *get_text(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

/* A whole number from min to max. */
static bool get_whole(const cJSON *object, const char *key, double min, double max, double *out)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (!cJSON_IsNumber(item) || !(item->valuedouble >= min && item->valuedouble <= max) ||
	    item->valuedouble != floor(item->valuedouble))
		return false;
	*out = item->valuedouble;
	return true;
}

bool server_id_valid(const char *text)
{
	const size_t len = strlen(text);

	return len > 0 && len <= 64 &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
		       len;
}

static bool copy_id(char *out, size_t size, const char *text)
{
	if (!text || !server_id_valid(text))
		return false;
	text_set(out, size, text);
	return true;
}

/* -1: not one of them */
static int find_word(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; word && i < n; i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	return -1;
}

/* 1: taken; 0: of a kind that a later version may know; -EINVAL. */
static int parse_stream(struct server_stream *out, const cJSON *json)
{
	int codec = find_word(codec_names, 2, get_text(json, "codec"));
	int framing = find_word(framing_names, 2, get_text(json, "framing"));
	const char *name = get_text(json, "name"), *camera = get_text(json, "camera");
	const char *url = get_text(json, "url");
	struct server_stream at;
	const cJSON *framerate = cJSON_GetObjectItemCaseSensitive(json, "framerate");
	double width, height, bitrate = 0, port;

	if (!cJSON_IsObject(json) || !get_text(json, "codec") || !get_text(json, "framing"))
		return -EINVAL;
	if (codec < 0 || framing < 0)
		return 0;
	memset(out, 0, sizeof *out);
	if (!name || !name[0] || strchr(name, '/') || !camera ||
	    !get_whole(json, "width", 0, 65535, &width) ||
	    !get_whole(json, "height", 0, 65535, &height) ||
	    !get_whole(json, "port", 1, 65535, &port) || !cJSON_IsNumber(framerate) ||
	    !(framerate->valuedouble >= 0 && framerate->valuedouble <= 100000))
		return -EINVAL;
	if (cJSON_HasObjectItem(json, "bitrate") &&
	    !get_whole(json, "bitrate", 0, UINT32_MAX, &bitrate))
		return -EINVAL;
	if (!url || target_parse_url(url, &at) < 0 || at.port != port || (int)at.framing != framing)
		return -EINVAL;
	strcpy(out->host, at.host);
	out->tls = at.tls;
	text_clean(out->name, sizeof out->name, name);
	text_clean(out->camera, sizeof out->camera, camera);
	out->codec = (enum stream_codec)codec;
	out->framing = (enum stream_framing)framing;
	out->width = (unsigned)width;
	out->height = (unsigned)height;
	out->framerate = framerate->valuedouble;
	out->bitrate_bps = (uint32_t)bitrate;
	out->port = at.port;
	return 1;
}

static int parse_streams(struct server *out, const cJSON *streams)
{
	const cJSON *item;

	if (!cJSON_IsArray(streams))
		return -EINVAL;
	cJSON_ArrayForEach(item, streams)
	{
		int r;

		if (out->n_streams == SERVER_STREAMS_MAX)
			break;
		r = parse_stream(&out->streams[out->n_streams], item);
		if (r < 0)
			return r;
		if (r == 0)
			memset(&out->streams[out->n_streams], 0, sizeof out->streams[0]);
		else
			out->n_streams++;
	}
	return 0;
}

static int parse_server(struct server *out, const cJSON *json)
{
	const cJSON *addresses = cJSON_GetObjectItemCaseSensitive(json, "addresses");
	const char *address = cJSON_GetStringValue(cJSON_GetArrayItem(addresses, 0));
	const char *name = get_text(json, "name"), *version = get_text(json, "version");
	double format;

	if (!cJSON_IsObject(json) || !get_whole(json, "camcast", 1, 1, &format) ||
	    !copy_id(out->id, sizeof out->id, get_text(json, "id")) || !name || !version ||
	    !cJSON_IsArray(addresses) || !address || strlen(address) >= sizeof out->address)
		return -EINVAL;
	text_clean(out->name, sizeof out->name, name);
	text_clean(out->version, sizeof out->version, version);
	text_clean(out->address, sizeof out->address, address);
	if (!out->name[0])
		strcpy(out->name, out->id);
	return parse_streams(out, cJSON_GetObjectItemCaseSensitive(json, "streams"));
}

int server_parse_info(struct server *out, const char *json, size_t len)
{
	cJSON *tree;
	int r;

	memset(out, 0, sizeof *out);
	if (len > SERVER_INFO_MAX || !text_is_utf8(json, len))
		return -EINVAL;
	tree = cJSON_ParseWithLength(json, len);
	r = tree ? parse_server(out, tree) : -EINVAL;
	cJSON_Delete(tree);
	if (r < 0)
		memset(out, 0, sizeof *out);
	else
		signed_check(&out->by, json, len);
	return r;
}

int servers_parse_recording(const char *payload, size_t len)
{
	/* People's tools end what they send with a line feed. */
	while (len > 0 &&
	       (payload[len - 1] == '\n' || payload[len - 1] == '\r' || payload[len - 1] == ' '))
		len--;
	if (len == 5 && strncasecmp(payload, "start", 5) == 0)
		return 1;
	return len == 4 && strncasecmp(payload, "stop", 4) == 0 ? -1 : 0;
}

static bool stream_equal(const struct server_stream *a, const struct server_stream *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->camera, b->camera) == 0 &&
	       a->codec == b->codec && a->framing == b->framing && a->width == b->width &&
	       a->height == b->height && a->framerate == b->framerate &&
	       a->bitrate_bps == b->bitrate_bps && strcmp(a->host, b->host) == 0 &&
	       a->port == b->port && a->tls == b->tls;
}

bool server_equal(const struct server *a, const struct server *b)
{
	if (strcmp(a->id, b->id) != 0 || strcmp(a->name, b->name) != 0 ||
	    strcmp(a->version, b->version) != 0 || strcmp(a->address, b->address) != 0 ||
	    a->online != b->online || a->n_streams != b->n_streams || a->by.state != b->by.state ||
	    memcmp(a->by.key, b->by.key, sizeof a->by.key) != 0)
		return false;
	for (size_t i = 0; i < a->n_streams; i++)
		if (!stream_equal(&a->streams[i], &b->streams[i]))
			return false;
	return true;
}

/* --- names --- */

static size_t count_digits(const char *text)
{
	return strspn(text, "0123456789");
}

/* Both begin with a digit; moves both behind their numbers. */
static int compare_numbers(const char **a, const char **b)
{
	size_t a_len, b_len;
	int order;

	*a += strspn(*a, "0");
	*b += strspn(*b, "0");
	a_len = count_digits(*a);
	b_len = count_digits(*b);
	order = a_len != b_len ? (a_len > b_len) - (a_len < b_len) : memcmp(*a, *b, a_len);
	*a += a_len;
	*b += b_len;
	return order;
}

int server_compare_names(const char *a, const char *b)
{
	const char *left = a, *right = b;
	int order = 0;

	while (order == 0 && *left && *right) {
		if (count_digits(left) && count_digits(right)) {
			order = compare_numbers(&left, &right);
		} else {
			order = (unsigned char)*left - (unsigned char)*right;
			left++;
			right++;
		}
	}
	if (order == 0)
		order = (*left != 0) - (*right != 0);
	return order ? order : strcmp(a, b); /* "cam 02" and "cam 2" */
}

/* "a (1), b (2) and 3 more", of what is online. */
static void print_names(FILE *out, const struct server *list, size_t n)
{
	size_t shown = 0, more = 0;

	for (size_t i = 0; i < n; i++) {
		if (!list[i].online)
			continue;
		if (shown == 8) {
			more++;
			continue;
		}
		fprintf(out, "%s%s (%s)", shown ? ", " : "", list[i].name, list[i].id);
		shown++;
	}
	if (more > 0)
		fprintf(out, " and %zu more", more);
	if (shown == 0)
		fputs("none", out);
}

static bool is_called(const struct server *server, const char *wanted, size_t len)
{
	return server->online &&
	       ((strlen(server->name) == len && memcmp(server->name, wanted, len) == 0) ||
		(strlen(server->id) == len && memcmp(server->id, wanted, len) == 0));
}

/* How many servers are called so; *found is the last of them. */
static size_t count_called(const struct server *list, size_t n, const char *wanted, size_t len,
			   const struct server **found)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (is_called(&list[i], wanted, len)) {
			*found = &list[i];
			count++;
		}
	return count;
}

/* A stream may be there twice, in two framings: the byte stream is meant then. */
static const struct server_stream *named_stream(const struct server *server, const char *name)
{
	const struct server_stream *found = NULL;

	for (size_t i = 0; i < server->n_streams; i++)
		if (strcmp(server->streams[i].name, name) == 0 &&
		    (!found || server->streams[i].framing == STREAM_ANNEXB))
			found = &server->streams[i];
	return found;
}

/* In the same framing as if it were named. */
static const struct server_stream *best_stream(const struct server *server)
{
	for (size_t i = 0; i < server->n_streams; i++)
		if (server->streams[i].codec == STREAM_H264)
			return named_stream(server, server->streams[i].name);
	return server->n_streams > 0 ? &server->streams[0] : NULL;
}

static int find(const struct server *list, size_t n, const char *wanted,
		const struct server **server, const struct server_stream **stream, FILE *why)
{
	const char *slash = strrchr(wanted, '/'), *name = NULL;
	size_t len = strlen(wanted), count = count_called(list, n, wanted, len, server);

	if (count == 0 && slash) {
		len = (size_t)(slash - wanted);
		name = slash + 1;
		count = count_called(list, n, wanted, len, server);
	}
	if (count == 0) {
		fprintf(why, "no server is called \"%s\"; there are: ", wanted);
		print_names(why, list, n);
		return -ENOENT;
	}
	if (count > 1) {
		fprintf(why, "%zu servers are called \"%.*s\"; their ids are: ", count, (int)len,
			wanted);
		for (size_t i = 0, shown = 0; i < n; i++)
			if (is_called(&list[i], wanted, len))
				fprintf(why, "%s%s (%s)", shown++ ? ", " : "", list[i].id,
					list[i].address);
		return -ENOTUNIQ;
	}
	*stream = name ? named_stream(*server, name) : best_stream(*server);
	if (*stream)
		return 0;
	fprintf(why, "%s has no stream%s%s; it has: ", (*server)->name, name ? " " : "",
		name ? name : "");
	for (size_t i = 0; i < (*server)->n_streams; i++)
		fprintf(why, "%s%s", i ? ", " : "", (*server)->streams[i].name);
	if ((*server)->n_streams == 0)
		fputs("none", why);
	return -ENODATA;
}

int servers_find(const struct server *list, size_t n, const char *wanted,
		 const struct server **server, const struct server_stream **stream, char *why,
		 size_t why_size)
{
	FILE *out = fmemopen(why, why_size, "w");
	int r;

	if (!out)
		return -ENOMEM;
	why[0] = '\0';
	r = find(list, n, wanted, server, stream, out);
	fclose(out);
	why[why_size - 1] = '\0'; /* it was too much */
	return r;
}
