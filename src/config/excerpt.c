/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/file.h"
#include "net/push_url.h"

/* A line of the text: the section that begins there, or the entry that stands there. */
struct place {
	const struct section *section;
	const struct entry *entry;
};

static void place_section(struct place *places, const struct section *s)
{
	places[s->line].section = s;
	for (size_t i = 0; i < s->n_entries; i++) {
		const struct option *option = s->entries[i].option;

		/* It would need the section [tls], which concerns no worker. */
		if (!option || strcmp(option->key, "tls") != 0)
			places[s->entries[i].line].entry = &s->entries[i];
	}
}

/* A stream without addresses is valid only where HTTP or RTSP is served. */
static void place_servers(struct place *places, const struct config_file *file)
{
	static const char *const keys[] = {"http", "rtsp"};
	const struct section_list *daemons = &file->sections[OPTION_DAEMON];

	for (size_t i = 0; daemons->n > 0 && i < sizeof keys / sizeof *keys; i++) {
		const struct entry *entry = section_find(daemons->items, keys[i]);

		if (!entry)
			continue;
		places[daemons->items->line].section = daemons->items;
		places[entry->line].entry = entry;
	}
}

/* The lines of the camera and of its streams. Returns whether there is such a camera. */
static bool place_camera(struct place *places, const struct config_file *file, const char *camera)
{
	const struct section_list *cameras = &file->sections[OPTION_CAMERA];
	const struct section_list *streams = &file->sections[OPTION_STREAM];
	bool found = false;

	for (size_t i = 0; i < cameras->n; i++) {
		if (strcmp(cameras->items[i].name, camera) != 0)
			continue;
		place_section(places, &cameras->items[i]);
		found = true;
	}
	for (size_t i = 0; i < streams->n; i++) {
		const struct entry *of = section_find(&streams->items[i], "camera");

		if (of && strcmp(of->value, camera) == 0)
			place_section(places, &streams->items[i]);
	}
	return found;
}

static bool has_section(const struct section_list *list, const struct section *s)
{
	return list->n > 0 && s >= list->items && s < list->items + list->n;
}

static enum option_section kind_of(const struct config_file *file, const struct section *s)
{
	enum option_section kind = 0;

	while (!has_section(&file->sections[kind], s))
		kind++;
	return kind;
}

/* That there is a push may be what makes a stream without addresses valid; where to, with which
 * key, concerns no worker. */
static void write_push(FILE *out, const struct entry *entry)
{
	const char *list = entry->value;
	char url[PUSH_URL_MAX], shown[PUSH_URL_SHOWN_MAX];

	if (push_url_next(&list, url) != 1)
		return;
	push_url_redact(url, shown);
	fprintf(out, "%s=%s", entry->key, shown);
}

static void write_place(FILE *out, const struct config_file *file, const struct place *place)
{
	const struct entry *entry = place->entry;

	if (place->section)
		fprintf(out, "[%s%s%s]", option_section_words[kind_of(file, place->section)],
			place->section->name[0] ? " " : "", place->section->name);
	else if (entry && entry->option && entry->option->type == OPTION_PUSH)
		write_push(out, entry);
	else if (entry) /* a blank before a value that begins with ';' would make it a comment */
		fprintf(out, "%s%s=%s", entry->option ? "" : "control.", entry->key, entry->value);
	fputc('\n', out);
}

static int write_excerpt(char **out, size_t *out_len, const struct config_file *file,
			 const char *camera)
{
	struct place *places = calloc((size_t)file->line + 1, sizeof *places);
	FILE *stream = NULL;
	int err = -ENOMEM;

	if (!places)
		return -ENOMEM;
	if (!place_camera(places, file, camera)) {
		err = -ENOENT;
		goto free_places;
	}
	place_servers(places, file);
	stream = open_memstream(out, out_len);
	if (!stream)
		goto free_places;
	for (int line = 1; line <= file->line; line++)
		write_place(stream, file, &places[line]);
	if (fclose(stream) == 0)
		err = 0;
	else
		free(*out);

free_places:
	free(places);
	return err;
}

int config_excerpt(char **out, size_t *out_len, const char *text, size_t len, const char *camera)
{
	struct config_file file = {.name = ""};
	int err = -ENOMEM;

	config_file_read(&file, text, len);
	if (!file.no_memory)
		err = write_excerpt(out, out_len, &file, camera);
	config_file_finish(&file);
	return err;
}
