/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/find/directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum status { STATUS_UNKNOWN, STATUS_OFFLINE, STATUS_ONLINE };

struct directory_entry {
	struct server server; /* only the id while has_info is false and nobody follows it */
	bool has_info;
	enum status status;
	bool info_confirmed, status_confirmed; /* heard since directory_unconfirm() */
	int64_t answered_us;		       /* 0: never, or too long ago */
	int64_t followed_us;  /* last directory_confirm(); 0: never, or too long ago */
	int64_t told_us;      /* the last info that names the listed address */
	struct server *claim; /* the last info that names another address; NULL: none */
};

static void drop_claim(struct directory_entry *entry)
{
	free(entry->claim);
	entry->claim = NULL;
}

static void free_entry(struct directory_entry *entry)
{
	drop_claim(entry);
	free(entry);
}

void directory_finish(struct directory *directory)
{
	for (size_t i = 0; i < directory->n; i++)
		free_entry(directory->entries[i]);
	free(directory->entries);
	memset(directory, 0, sizeof *directory);
}

static void remove_at(struct directory *directory, size_t i)
{
	free_entry(directory->entries[i]);
	directory->entries[i] = directory->entries[--directory->n];
}

/* Makes room in a full directory: of the servers that are offline and that nobody follows, the one
 * that was not heard of for longest is removed. */
static bool evict(struct directory *directory)
{
	size_t victim = directory->n;

	for (size_t i = 0; i < directory->n; i++)
		if (!directory->entries[i]->server.online && !directory->entries[i]->followed_us &&
		    (victim == directory->n || directory->entries[i]->server.seen_us <
						       directory->entries[victim]->server.seen_us))
			victim = i;
	if (victim == directory->n)
		return false;
	remove_at(directory, victim);
	return true;
}

static struct directory_entry *find(const struct directory *directory, const char *id)
{
	for (size_t i = 0; i < directory->n; i++)
		if (strcmp(directory->entries[i]->server.id, id) == 0)
			return directory->entries[i];
	return NULL;
}

/* NULL: no room */
static struct directory_entry *find_or_add(struct directory *directory, const char *id)
{
	struct directory_entry *entry = find(directory, id);

	if (entry)
		return entry;
	if (directory->n == SERVERS_MAX && !evict(directory))
		return NULL;
	if (directory->n == directory->room) {
		size_t room = directory->room ? 2 * directory->room : 16;
		struct directory_entry **entries =
			realloc(directory->entries, room * sizeof(struct directory_entry *));

		if (!entries)
			return NULL;
		directory->entries = entries;
		directory->room = room;
	}
	entry = calloc(1, sizeof *entry);
	if (!entry)
		return NULL;
	strcpy(entry->server.id, id);
	directory->entries[directory->n++] = entry;
	return entry;
}

/* Returns whether that has changed. */
static bool update_online(struct directory_entry *entry)
{
	bool online = entry->has_info && (entry->status == STATUS_ONLINE || entry->answered_us);
	bool changed = online != entry->server.online;

	entry->server.online = online;
	return changed;
}

/* Whether `host` is one that the server's streams have. */
static bool has_host(const struct server *server, const char *host)
{
	for (size_t i = 0; i < server->n_streams; i++)
		if (strcmp(server->streams[i].host, host) == 0)
			return true;
	return false;
}

static bool has_stream(const struct server *server, const struct server_stream *stream)
{
	for (size_t i = 0; i < server->n_streams; i++)
		if (strcmp(server->streams[i].name, stream->name) == 0 &&
		    server->streams[i].framing == stream->framing &&
		    server->streams[i].port == stream->port &&
		    strcmp(server->streams[i].host, stream->host) == 0)
			return true;
	return false;
}

/* Whether `to` names a host that `from` does not have, or lacks one of its streams. A server that
 * runs may add streams on its hosts; it must be restarted to do anything else. */
static bool moves(const struct server *from, const struct server *to)
{
	for (size_t i = 0; i < to->n_streams; i++)
		if (!has_host(from, to->streams[i].host))
			return true;
	for (size_t i = 0; i < from->n_streams; i++)
		if (!has_stream(to, &from->streams[i]))
			return true;
	return false;
}

/* Takes over what a server says of itself. Returns whether it is new. */
static bool accept_info(struct directory_entry *entry, const struct server *info, int64_t now_us)
{
	struct server taken = *info;
	bool changed;

	taken.online = entry->server.online;
	taken.seen_us = now_us;
	changed = !entry->has_info || !server_equal(&taken, &entry->server);
	entry->server = taken;
	entry->has_info = true;
	entry->told_us = now_us;
	return changed;
}

/* Keeps an info that names another address than the one at which the server answers. */
static void keep_claim(struct directory *directory, struct directory_entry *entry,
		       const struct server *info, int64_t now_us)
{
	if (!entry->claim)
		entry->claim = malloc(sizeof *entry->claim);
	if (!entry->claim)
		return;
	*entry->claim = *info;
	entry->claim->seen_us = now_us;
	if (directory->refused)
		directory->refused(directory->user, &entry->server, info);
}

/* The same, unless the server moves away from an address at which it answers. */
static bool take_info(struct directory *directory, struct directory_entry *entry,
		      const struct server *info, int64_t now_us)
{
	entry->info_confirmed = true;
	if (!entry->followed_us || !moves(&entry->server, info))
		return accept_info(entry, info, now_us);
	keep_claim(directory, entry, info, now_us);
	return false;
}

static bool is_trusted(const struct directory *directory, const struct server *info)
{
	return !directory->trusted || directory->trusted(directory->user, info);
}

bool directory_answer(struct directory *directory, const char *payload, size_t len, int64_t now_us)
{
	struct directory_entry *entry;
	struct server info;
	bool changed;

	if (server_parse_info(&info, payload, len) < 0 || !is_trusted(directory, &info))
		return false;
	entry = find_or_add(directory, info.id);
	if (!entry)
		return false;
	changed = take_info(directory, entry, &info, now_us);
	entry->answered_us = now_us;
	if (entry->status == STATUS_OFFLINE)
		entry->status = STATUS_UNKNOWN;
	return update_online(entry) || changed;
}

static bool handle_info(struct directory *directory, const char *id, const char *payload,
			size_t len, int64_t now_us)
{
	struct directory_entry *entry;
	struct server info;
	bool changed;

	if (len == 0) { /* taken back */
		entry = find(directory, id);
		if (!entry || !entry->has_info || directory->trusted)
			return false;
		entry->has_info = false;
		update_online(entry);
		return true;
	}
	if (server_parse_info(&info, payload, len) < 0 || strcmp(info.id, id) != 0 ||
	    !is_trusted(directory, &info))
		return false;
	entry = find_or_add(directory, id);
	if (!entry)
		return false;
	changed = take_info(directory, entry, &info, now_us);
	return update_online(entry) || changed;
}

static bool handle_status(struct directory *directory, const char *id, const char *payload,
			  size_t len, int64_t now_us)
{
	bool online = len == 6 && memcmp(payload, "online", 6) == 0;
	struct directory_entry *entry;

	if (!online && len != 0 && !(len == 7 && memcmp(payload, "offline", 7) == 0))
		return false;
	entry = find_or_add(directory, id);
	if (!entry)
		return false;
	entry->status = online ? STATUS_ONLINE : len ? STATUS_OFFLINE : STATUS_UNKNOWN;
	entry->status_confirmed = true;
	/* Anybody can send that a server is offline, but only a server answers. */
	if (!directory->trusted)
		entry->answered_us = 0;
	entry->server.seen_us = now_us;
	return update_online(entry);
}

bool directory_announcement(struct directory *directory, const char *topic, const char *payload,
			    size_t len, int64_t now_us)
{
	static const char prefix[] = "camcast/";
	const char *id = topic + sizeof prefix - 1, *slash;
	char copy[sizeof((struct server *)NULL)->id];

	if (strncmp(topic, prefix, sizeof prefix - 1) != 0)
		return false;
	slash = strchr(id, '/');
	if (!slash || slash == id || slash - id > 64)
		return false;
	memcpy(copy, id, (size_t)(slash - id));
	copy[slash - id] = '\0';
	if (strcmp(slash, "/info") == 0)
		return handle_info(directory, copy, payload, len, now_us);
	if (strcmp(slash, "/status") == 0)
		return handle_status(directory, copy, payload, len, now_us);
	return false;
}

void directory_unconfirm(struct directory *directory)
{
	for (size_t i = 0; i < directory->n; i++) {
		directory->entries[i]->info_confirmed = false;
		directory->entries[i]->status_confirmed = false;
	}
}

bool directory_drop_unconfirmed(struct directory *directory)
{
	bool changed = false;

	for (size_t i = directory->n; i-- > 0;) {
		struct directory_entry *entry = directory->entries[i];

		if (!entry->info_confirmed && entry->has_info) {
			entry->has_info = false;
			changed = true;
		}
		if (!entry->status_confirmed)
			entry->status = STATUS_UNKNOWN;
		changed = update_online(entry) || changed;
		if (!entry->has_info && entry->status == STATUS_UNKNOWN && !entry->followed_us)
			remove_at(directory, i);
	}
	return changed;
}

bool directory_expire(struct directory *directory, int64_t before_us)
{
	bool changed = false;

	for (size_t i = 0; i < directory->n; i++) {
		struct directory_entry *entry = directory->entries[i];

		if (entry->answered_us && entry->answered_us < before_us) {
			entry->answered_us = 0;
			changed = update_online(entry) || changed;
		}
	}
	return changed;
}

/* --- addresses --- */

static bool has_url(const struct server *server, const char *url)
{
	char own[TARGET_URL_MAX];

	for (size_t i = 0; i < server->n_streams; i++)
		if (strcmp(target_url(&server->streams[i], own), url) == 0)
			return true;
	return false;
}

void directory_confirm(struct directory *directory, const char *url, int64_t now_us)
{
	for (size_t i = 0; i < directory->n; i++)
		if (has_url(&directory->entries[i]->server, url))
			directory->entries[i]->followed_us = now_us;
}

/* The address no longer answers. The claim is accepted, unless the server has named its own address
 * since. Returns whether the list has changed. */
static bool let_move(struct directory_entry *entry)
{
	bool changed = false;

	entry->followed_us = 0;
	if (entry->claim && entry->claim->seen_us >= entry->told_us) {
		changed = accept_info(entry, entry->claim, entry->claim->seen_us);
		changed = update_online(entry) || changed;
	}
	drop_claim(entry);
	return changed;
}

bool directory_let_move(struct directory *directory, int64_t before_us)
{
	bool changed = false;

	for (size_t i = 0; i < directory->n; i++)
		if (directory->entries[i]->followed_us &&
		    directory->entries[i]->followed_us < before_us)
			changed = let_move(directory->entries[i]) || changed;
	return changed;
}

static int by_name(const void *a, const void *b)
{
	const struct server *left = a, *right = b;
	int order = server_compare_names(left->name, right->name);

	return order ? order : strcmp(left->id, right->id);
}

int directory_copy(const struct directory *directory, struct server **list, size_t *n)
{
	struct server *copy = calloc(directory->n ? directory->n : 1, sizeof *copy);

	if (!copy)
		return -ENOMEM;
	*n = 0;
	for (size_t i = 0; i < directory->n; i++)
		if (directory->entries[i]->has_info)
			copy[(*n)++] = directory->entries[i]->server;
	qsort(copy, *n, sizeof *copy, by_name);
	*list = copy;
	return 0;
}
