/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/mdns/avahi.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/mdns/parts.h"

#define ADDRESS "DBUS_SYSTEM_BUS_ADDRESS"
#define SYSTEM_BUS "unix:path=/run/dbus/system_bus_socket"
#define TURN_MESSAGES 256 /* of a flood, in one turn */

/* AvahiServerState */
enum { SERVER_RUNNING = 2 };
/* AvahiEntryGroupState */
enum { GROUP_ESTABLISHED = 2, GROUP_COLLISION = 3, GROUP_FAILURE = 4 };

const char *const mdns_state_names[MDNS_STATES] = {
	[MDNS_NOTHING] = "nothing",
	[MDNS_WAITING] = "waiting",
	[MDNS_PUBLISHING] = "publishing",
	[MDNS_PUBLISHED] = "published",
};

/* --- status and log --- */

static void note_waiting(struct avahi *avahi, const char *why)
{
	const bool same = strcmp(avahi->logged, why) == 0;
	uint64_t suppressed;

	avahi->status.state = MDNS_WAITING;
	snprintf(avahi->status.reason, sizeof avahi->status.reason, "%s", why);
	avahi->changed = true;
	if (same && avahi->loss_logged)
		return;
	if (!diag_allowed(&avahi->reason_limit, clock_now_us(), AVAHI_LOG_PERIOD_US, &suppressed))
		return;
	snprintf(avahi->logged, sizeof avahi->logged, "%s", why);
	avahi->loss_logged = true;
	diag_info("mdns: this server is not announced on the network: %s; camcastd announces it "
		  "as soon as that changes",
		  why);
}

static void note_published(struct avahi *avahi)
{
	const struct entry *first = avahi->entries[0];
	char name[MDNS_NAME_MAX];

	avahi->backoff_us = AVAHI_RETRY_MIN_US;
	if (!avahi->fresh && !avahi->loss_logged)
		return;
	avahi->fresh = avahi->loss_logged = false;
	mdns_service_name(&first->service, first->number, name);
	diag_info("mdns: announced on the network: \"%s\" (%s, port %u)%s; mdns = no in [daemon] "
		  "ends this",
		  name, first->service.type, first->service.port,
		  avahi->n > 1 ? " and its streams" : "");
}

static void count(struct avahi *avahi)
{
	struct mdns_status *status = &avahi->status;
	const enum mdns_state before = status->state;
	unsigned published = 0, services = 0;

	for (size_t i = 0; i < avahi->n; i++) {
		const struct entry *entry = avahi->entries[i];

		services += !entry->leaving;
		published += !entry->leaving && entry->state == ENTRY_ESTABLISHED;
	}
	avahi->changed |= services != status->services || published != status->published;
	status->services = services;
	status->published = published;
	if (services == 0)
		status->state = MDNS_NOTHING;
	else if (avahi->running)
		status->state = published == services ? MDNS_PUBLISHED : MDNS_PUBLISHING;
	else
		status->state = MDNS_WAITING;
	if (status->state != MDNS_WAITING)
		status->reason[0] = '\0';
	avahi->changed |= status->state != before;
	if (status->state == MDNS_PUBLISHED)
		note_published(avahi);
}

/* The connection ends behind what is under way. */
void avahi_lose(struct avahi *avahi, const char *format, ...)
{
	va_list arguments;

	if (avahi->lost[0])
		return;
	va_start(arguments, format);
	vsnprintf(avahi->lost, sizeof avahi->lost, format, arguments);
	va_end(arguments);
}

/* --- calls --- */

/* An answer that is an error. A name of an error is of letters, digits, '.' and '_'. */
void avahi_lose_by(struct avahi *avahi, sd_bus_message *answer)
{
	const sd_bus_error *error = sd_bus_message_get_error(answer);

	if (sd_bus_is_open(avahi->bus) <= 0) /* it answers all calls itself now */
		avahi_lose(avahi, AVAHI_BUS_GONE);
	else if (sd_bus_message_is_method_error(answer, SD_BUS_ERROR_NO_REPLY) ||
		 sd_bus_message_is_method_error(answer, SD_BUS_ERROR_TIMEOUT))
		avahi_lose(avahi, "Avahi does not answer");
	else
		avahi_lose(avahi, "Avahi refuses (%s)", error && error->name ? error->name : "?");
}

/* *message is a call of Avahi's, to be filled in and sent. NULL: there is no memory, and the
 * connection ends. */
sd_bus_message *avahi_new_call(struct avahi *avahi, const char *path, const char *interface,
			       const char *member)
{
	sd_bus_message *message = NULL;
	int r = sd_bus_message_new_method_call(avahi->bus, &message, AVAHI_NAME, path, interface,
					       member);

	if (r >= 0)
		r = sd_bus_message_set_auto_start(message, 0);
	if (r >= 0)
		return message;
	sd_bus_message_unref(message);
	avahi_lose(avahi, "no call of Avahi: %s", strerror(-r));
	return NULL;
}

/* Sends it, and frees it. r: of what was put into it. */
void avahi_send_call(struct avahi *avahi, sd_bus_message *message, int r, sd_bus_slot **slot,
		     sd_bus_message_handler_t handler, void *user)
{
	if (r >= 0)
		r = sd_bus_call_async(avahi->bus, slot, message, handler, user, AVAHI_CALL_US);
	sd_bus_message_unref(message);
	if (r < 0)
		avahi_lose(avahi, "no call of Avahi: %s", strerror(-r));
}

/* --- the server --- */

static void note_loss(struct avahi *avahi)
{
	if (avahi->status.published > 0)
		avahi->status.losses++;
	for (size_t i = 0; i < avahi->n; i++)
		entry_forget(avahi->entries[i]);
	avahi->running = false;
	avahi->owner[0] = '\0';
	avahi->call = sd_bus_slot_unref(avahi->call);
}

static void handle_server(struct avahi *avahi, int state)
{
	const bool running = state == SERVER_RUNNING;

	if (running == avahi->running)
		return;
	avahi->running = running;
	/* The name of the host changes, or others have it, too: Avahi chooses another one. */
	for (size_t i = 0; !running && i < avahi->n; i++)
		entry_withdraw(avahi->entries[i]);
	if (!running)
		note_waiting(avahi, "Avahi is choosing the name of this machine");
	for (size_t i = 0; running && i < avahi->n; i++)
		entry_advance(avahi->entries[i]);
}

static int handle_first_state(sd_bus_message *answer, void *user, sd_bus_error *error)
{
	struct avahi *avahi = user;
	const char *sender = sd_bus_message_get_sender(answer);
	int state;

	(void)error;
	avahi->call = sd_bus_slot_unref(avahi->call);
	if (sd_bus_message_is_method_error(answer, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
	    sd_bus_message_is_method_error(answer, SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
		note_waiting(avahi, "no Avahi daemon runs here");
		return 0;
	}
	if (sd_bus_message_is_method_error(answer, NULL))
		avahi_lose_by(avahi, answer);
	else if (!sender || sd_bus_message_read(answer, "i", &state) < 0)
		avahi_lose(avahi, "Avahi answers strangely");
	else {
		snprintf(avahi->owner, sizeof avahi->owner, "%s", sender);
		if (state != SERVER_RUNNING)
			note_waiting(avahi, "Avahi is choosing the name of this machine");
		handle_server(avahi, state);
	}
	return 0;
}

static void ask_state(struct avahi *avahi)
{
	sd_bus_message *message = avahi_new_call(avahi, "/", AVAHI_SERVER, "GetState");

	avahi->call = sd_bus_slot_unref(avahi->call);
	if (message)
		avahi_send_call(avahi, message, 0, &avahi->call, handle_first_state, avahi);
}

/* Any program on the bus can send us signals that look like Avahi's. */
static bool is_from_avahi(const struct avahi *avahi, sd_bus_message *signal)
{
	const char *sender = sd_bus_message_get_sender(signal);

	return sender && avahi->owner[0] && strcmp(sender, avahi->owner) == 0;
}

static int handle_server_signal(sd_bus_message *signal, void *user, sd_bus_error *error)
{
	struct avahi *avahi = user;
	int state;

	(void)error;
	if (is_from_avahi(avahi, signal) && sd_bus_message_read(signal, "i", &state) >= 0)
		handle_server(avahi, state);
	return 0;
}

static int handle_group_signal(sd_bus_message *signal, void *user, sd_bus_error *error)
{
	struct avahi *avahi = user;
	const char *path = sd_bus_message_get_path(signal);
	struct entry *entry = NULL;
	int state;

	(void)error;
	if (!path || !is_from_avahi(avahi, signal) || sd_bus_message_read(signal, "i", &state) < 0)
		return 0;
	for (size_t i = 0; i < avahi->n && !entry; i++)
		if (strcmp(avahi->entries[i]->group, path) == 0)
			entry = avahi->entries[i];
	/* Signals of what was in the group before came ahead of the answers to `add`. */
	if (!entry || entry->state == ENTRY_NEW)
		return 0;
	if (state == GROUP_ESTABLISHED)
		entry->state = ENTRY_ESTABLISHED;
	else if (state == GROUP_COLLISION)
		entry_rename(entry);
	else if (state == GROUP_FAILURE)
		avahi_lose(avahi, "Avahi cannot publish it");
	return 0;
}

static int handle_owner_signal(sd_bus_message *signal, void *user, sd_bus_error *error)
{
	struct avahi *avahi = user;
	const char *sender = sd_bus_message_get_sender(signal), *name, *before, *now;

	(void)error;
	if (!sender || strcmp(sender, "org.freedesktop.DBus") != 0 ||
	    sd_bus_message_read(signal, "sss", &name, &before, &now) < 0 ||
	    strcmp(name, AVAHI_NAME) != 0)
		return 0;
	note_loss(avahi);
	if (now[0])
		ask_state(avahi);
	else
		note_waiting(avahi, "no Avahi daemon runs here");
	return 0;
}

/* --- the connection --- */

/* Other addresses would have names looked up, or programs started, while we wait. */
static bool is_on_this_machine(const char *address)
{
	while (*address) {
		if (strncmp(address, "unix:", 5) != 0)
			return false;
		address += strcspn(address, ";");
		address += *address == ';';
	}
	return true;
}

static int watch(struct avahi *avahi)
{
	static const struct {
		const char *match;
		sd_bus_message_handler_t handler;
	} matches[] = {
		{"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
		 "member='NameOwnerChanged',arg0='" AVAHI_NAME "'",
		 handle_owner_signal},
		{"type='signal',sender='" AVAHI_NAME "',interface='" AVAHI_SERVER
		 "',member='StateChanged'",
		 handle_server_signal},
		{"type='signal',sender='" AVAHI_NAME "',interface='" AVAHI_GROUP
		 "',member='StateChanged'",
		 handle_group_signal},
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sizeof matches / sizeof *matches; i++)
		r = sd_bus_add_match_async(avahi->bus, NULL, matches[i].match, matches[i].handler,
					   NULL, avahi);
	return r;
}

/* As sd_bus_open_system() does, but everybody on the bus may send signals to everybody: descriptors
 * that came with one would be closed here, and close() of some sleeps. The bus refuses them for a
 * connection that takes none. */
static int open_bus(sd_bus **out, const char *address)
{
	sd_bus *bus = NULL;
	int r = sd_bus_new(&bus);

	if (r >= 0)
		r = sd_bus_set_address(bus, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, 1);
	if (r >= 0)
		r = sd_bus_negotiate_fds(bus, 0);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		bus = sd_bus_unref(bus);
	*out = bus;
	return r;
}

static void connect_bus(struct avahi *avahi, int64_t now_us)
{
	const char *address = secure_getenv(ADDRESS);
	int r;

	avahi->since_us = now_us;
	if (address && !is_on_this_machine(address)) {
		avahi_lose(avahi, ADDRESS " is no socket of this machine");
		return;
	}
	r = open_bus(&avahi->bus, address ? address : SYSTEM_BUS);
	if (r >= 0)
		r = watch(avahi);
	if (r < 0)
		avahi_lose(avahi, "there is no D-Bus system bus, over which Avahi is asked (%s)",
			   strerror(-r));
	else
		ask_state(avahi);
}

static void disconnect(struct avahi *avahi, int64_t now_us)
{
	note_loss(avahi);
	/* Does not wait for what was not sent; what was published goes with the connection. */
	avahi->bus = sd_bus_close_unref(avahi->bus);
	avahi->retry_at_us = now_us + avahi->backoff_us;
	avahi->backoff_us *= 2;
	if (avahi->backoff_us > AVAHI_RETRY_MAX_US)
		avahi->backoff_us = AVAHI_RETRY_MAX_US;
	if (avahi->lost[0])
		note_waiting(avahi, avahi->lost);
	avahi->lost[0] = '\0';
}

/* --- what is published --- */

static struct entry *find_entry(const struct avahi *avahi, const struct mdns_service *service)
{
	for (size_t i = 0; i < avahi->n; i++)
		if (!avahi->entries[i]->leaving &&
		    mdns_service_is_same(&avahi->entries[i]->service, service))
			return avahi->entries[i];
	return NULL;
}

/* Frees those that leave, as far as Avahi's objects for them are known. */
static void sweep(struct avahi *avahi)
{
	size_t n = 0;

	for (size_t i = 0; i < avahi->n; i++) {
		struct entry *entry = avahi->entries[i];

		if (!entry->leaving || (!entry->group[0] && entry->call)) {
			avahi->entries[n++] = entry;
			continue;
		}
		if (entry->group[0] && avahi->bus)
			entry_tell(entry, "Free");
		entry_free(entry);
	}
	avahi->n = n;
}

static bool is_kept(const struct entry *entry, const struct mdns_services *services)
{
	for (size_t i = 0; i < services->n; i++)
		if (mdns_service_is_same(&entry->service, &services->list[i]))
			return true;
	return false;
}

static void add_entry(struct avahi *avahi, const struct mdns_service *service)
{
	struct entry *entry = calloc(1, sizeof *entry);

	if (!entry)
		return;
	entry->avahi = avahi;
	entry->service = *service;
	entry->number = 1;
	avahi->entries[avahi->n++] = entry;
	avahi->fresh = true;
	entry_advance(entry);
}

void avahi_publish(struct avahi *avahi, struct mdns_services *services)
{
	struct entry **room;

	for (size_t i = 0; i < avahi->n; i++)
		if (!is_kept(avahi->entries[i], services))
			avahi->entries[i]->leaving = true;
	sweep(avahi);
	room = realloc(avahi->entries, (avahi->n + services->n + 1) * sizeof *room);
	if (room) {
		avahi->entries = room;
		for (size_t i = 0; i < services->n; i++)
			if (!find_entry(avahi, &services->list[i]))
				add_entry(avahi, &services->list[i]);
	}
	free(services);
	count(avahi);
}

/* --- turns --- */

int avahi_wait(struct avahi *avahi, struct pollfd *fd, int64_t now_us)
{
	uint64_t until_us = UINT64_MAX;
	int events;

	fd->fd = -1;
	fd->events = 0;
	if (avahi->status.services == 0 && !avahi->bus)
		return -1;
	if (!avahi->bus) {
		until_us = (uint64_t)avahi->retry_at_us;
	} else {
		events = sd_bus_get_events(avahi->bus);
		fd->fd = sd_bus_get_fd(avahi->bus);
		fd->events = (short)(events < 0 ? 0 : events);
		if (events < 0 || fd->fd < 0 || sd_bus_get_timeout(avahi->bus, &until_us) < 0)
			return 0; /* the next turn sees why */
		/* A bus that does not let us in. */
		if (sd_bus_is_ready(avahi->bus) <= 0 &&
		    until_us > (uint64_t)avahi->since_us + AVAHI_CALL_US)
			until_us = (uint64_t)avahi->since_us + AVAHI_CALL_US;
		for (size_t i = 0; i < avahi->n; i++)
			if (avahi->entries[i]->again_at_us &&
			    until_us > (uint64_t)avahi->entries[i]->again_at_us)
				until_us = (uint64_t)avahi->entries[i]->again_at_us;
	}
	if (until_us == UINT64_MAX)
		return -1;
	return until_us <= (uint64_t)now_us ? 0 : (int)((until_us - (uint64_t)now_us + 999) / 1000);
}

static void turn_bus(struct avahi *avahi, int64_t now_us)
{
	int r = 1;

	for (int i = 0; r > 0 && i < TURN_MESSAGES && !avahi->lost[0]; i++)
		r = sd_bus_process(avahi->bus, NULL);
	if (r < 0 || sd_bus_is_open(avahi->bus) <= 0)
		avahi_lose(avahi, AVAHI_BUS_GONE);
	else if (sd_bus_is_ready(avahi->bus) <= 0 && now_us - avahi->since_us >= AVAHI_CALL_US)
		avahi_lose(avahi, "the D-Bus system bus does not answer");
}

void avahi_turn(struct avahi *avahi, int64_t now_us)
{
	if (avahi->status.services > 0 && !avahi->bus && now_us >= avahi->retry_at_us)
		connect_bus(avahi, now_us);
	if (avahi->bus && !avahi->lost[0])
		turn_bus(avahi, now_us);
	for (size_t i = 0; avahi->bus && i < avahi->n; i++)
		entry_resume(avahi->entries[i], now_us);
	if (avahi->lost[0])
		disconnect(avahi, now_us);
	sweep(avahi);
	count(avahi);
	if (avahi->n == 0 && avahi->bus) {
		avahi->bus = sd_bus_close_unref(avahi->bus);
		avahi->lost[0] = '\0'; /* of a connection that is gone */
		note_loss(avahi);
	}
}

const struct mdns_status *avahi_status(const struct avahi *avahi)
{
	return &avahi->status;
}

bool avahi_changed(struct avahi *avahi)
{
	const bool changed = avahi->changed;

	avahi->changed = false;
	return changed;
}

/* --- life --- */

struct avahi *avahi_create(void)
{
	struct avahi *avahi = calloc(1, sizeof *avahi);

	if (avahi)
		avahi->backoff_us = AVAHI_RETRY_MIN_US;
	return avahi;
}

void avahi_destroy(struct avahi *avahi)
{
	if (!avahi)
		return;
	for (size_t i = 0; i < avahi->n; i++)
		entry_free(avahi->entries[i]);
	avahi->call = sd_bus_slot_unref(avahi->call);
	sd_bus_close_unref(avahi->bus);
	free(avahi->entries);
	free(avahi);
}
