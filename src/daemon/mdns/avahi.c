/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/mdns/avahi.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "base/diag.h"

#define NAME "org.freedesktop.Avahi"
#define SERVER NAME ".Server"
#define GROUP NAME ".EntryGroup"
#define COLLISION NAME ".CollisionError"
#define ADDRESS "DBUS_SYSTEM_BUS_ADDRESS"
#define BUS_NAME_MAX 256  /* D-Bus Specification, "Valid Names", terminator included */
#define PATH_LEN_MAX 128  /* of a group, as Avahi makes them */
#define CALL_US 10000000  /* for an answer; also for the bus to let us in */
#define TURN_MESSAGES 256 /* of a flood, in one turn */
#define LOG_PERIOD_US 30000000
#define GONE "the D-Bus system bus has gone"

/* AvahiServerState and AvahiEntryGroupState */
enum { SERVER_RUNNING = 2 };
enum { GROUP_ESTABLISHED = 2, GROUP_COLLISION = 3, GROUP_FAILURE = 4 };

enum entry_state {
	ENTRY_NEW,	   /* without a group, or its group is empty */
	ENTRY_COMMITTED,   /* Avahi asks whether its name is free */
	ENTRY_ESTABLISHED, /* it is published */
};

/* One service, in a group of its own: a group is what can collide, and be changed. */
struct entry {
	struct avahi *avahi;
	struct mdns_service service;
	unsigned number;	  /* of its name; 1: as it is */
	char group[PATH_LEN_MAX]; /* "": none yet */
	sd_bus_slot *call;	  /* what it waits for; NULL: nothing */
	unsigned n_added;	  /* places that are in the group */
	enum entry_state state;
	bool leaving; /* it goes when Avahi has said what its group is */
};

struct avahi {
	sd_bus *bus;		  /* NULL: not connected */
	sd_bus_slot *call;	  /* for the state of the server */
	bool running;		  /* the server takes services */
	char owner[BUS_NAME_MAX]; /* Avahi's name on the bus; "" : it is not there */
	int64_t since_us;	  /* of the connection */
	int64_t retry_at_us;	  /* without one */
	int64_t backoff_us;
	char lost[AVAHI_REASON_MAX]; /* why the connection must end; "" */

	struct entry **entries;
	size_t n;
	bool fresh; /* what is published has not been logged */

	struct mdns_status status;
	bool changed;
	char logged[AVAHI_REASON_MAX]; /* the reason that was logged last */
	bool loss_logged;	       /* and nothing was published since */
	struct diag_limit reason_limit, rename_limit;
};

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
	if (!diag_allowed(&avahi->reason_limit, clock_now_us(), LOG_PERIOD_US, &suppressed))
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
static void __attribute__((format(printf, 2, 3))) lose(struct avahi *avahi, const char *format, ...)
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
static void lose_by(struct avahi *avahi, sd_bus_message *answer)
{
	const sd_bus_error *error = sd_bus_message_get_error(answer);

	if (sd_bus_is_open(avahi->bus) <= 0) /* it answers all calls itself now */
		lose(avahi, GONE);
	else if (sd_bus_message_is_method_error(answer, SD_BUS_ERROR_NO_REPLY) ||
		 sd_bus_message_is_method_error(answer, SD_BUS_ERROR_TIMEOUT))
		lose(avahi, "Avahi does not answer");
	else
		lose(avahi, "Avahi refuses (%s)", error && error->name ? error->name : "?");
}

/* *message is a call of Avahi's, to be filled in and sent. NULL: there is no memory, and the
 * connection ends. */
static sd_bus_message *new_call(struct avahi *avahi, const char *path, const char *interface,
				const char *member)
{
	sd_bus_message *message = NULL;
	int r = sd_bus_message_new_method_call(avahi->bus, &message, NAME, path, interface, member);

	if (r >= 0)
		r = sd_bus_message_set_auto_start(message, 0);
	if (r >= 0)
		return message;
	sd_bus_message_unref(message);
	lose(avahi, "no call of Avahi: %s", strerror(-r));
	return NULL;
}

/* Sends it, and frees it. r: of what was put into it. */
static void send_call(struct avahi *avahi, sd_bus_message *message, int r, sd_bus_slot **slot,
		      sd_bus_message_handler_t handler, void *user)
{
	if (r >= 0)
		r = sd_bus_call_async(avahi->bus, slot, message, handler, user, CALL_US);
	sd_bus_message_unref(message);
	if (r < 0)
		lose(avahi, "no call of Avahi: %s", strerror(-r));
}

/* Nobody waits for the answer. */
static void tell(struct entry *entry, const char *member)
{
	struct avahi *avahi = entry->avahi;
	sd_bus_message *message = new_call(avahi, entry->group, GROUP, member);
	int r;

	if (!message)
		return;
	r = sd_bus_message_set_expect_reply(message, 0);
	if (r >= 0)
		r = sd_bus_send(avahi->bus, message, NULL);
	sd_bus_message_unref(message);
	if (r < 0)
		lose(avahi, "no call of Avahi: %s", strerror(-r));
}

/* --- one service --- */

static void advance(struct entry *entry);

static void stop_waiting(struct entry *entry)
{
	entry->call = sd_bus_slot_unref(entry->call);
}

/* Takes it back; its group stays. */
static void withdraw(struct entry *entry)
{
	if (!entry->group[0])
		return;
	stop_waiting(entry);
	tell(entry, "Reset");
	entry->state = ENTRY_NEW;
	entry->n_added = 0;
}

/* Somebody has the name. */
static void rename_entry(struct entry *entry)
{
	struct avahi *avahi = entry->avahi;
	char taken[MDNS_NAME_MAX], name[MDNS_NAME_MAX];
	uint64_t suppressed;

	avahi->status.collisions++;
	avahi->changed = true;
	mdns_service_name(&entry->service, entry->number, taken);
	entry->number++;
	if (entry->number > AVAHI_NUMBERS_MAX) {
		entry->number = 1;
		lose(avahi, "others have all its names");
		return;
	}
	mdns_service_name(&entry->service, entry->number, name);
	if (diag_allowed(&avahi->rename_limit, clock_now_us(), LOG_PERIOD_US, &suppressed))
		diag_info("mdns: another server is called \"%s\"; this one is announced as \"%s\"",
			  taken, name);
	withdraw(entry);
	advance(entry);
}

/* Whether the answer, which has arrived now, is none to be glad of. */
static bool is_refused(struct entry *entry, sd_bus_message *answer)
{
	stop_waiting(entry);
	if (!sd_bus_message_is_method_error(answer, NULL))
		return false;
	if (sd_bus_message_is_method_error(answer, COLLISION))
		rename_entry(entry);
	else
		lose_by(entry->avahi, answer);
	return true;
}

static int handle_group(sd_bus_message *answer, void *user, sd_bus_error *error)
{
	struct entry *entry = user;
	const char *path;

	(void)error;
	if (is_refused(entry, answer))
		return 0;
	if (sd_bus_message_read(answer, "o", &path) < 0 || strlen(path) >= sizeof entry->group)
		lose(entry->avahi, "Avahi answers strangely");
	else
		snprintf(entry->group, sizeof entry->group, "%s", path);
	if (!entry->leaving)
		advance(entry);
	return 0;
}

static int handle_added(sd_bus_message *answer, void *user, sd_bus_error *error)
{
	struct entry *entry = user;

	(void)error;
	if (is_refused(entry, answer))
		return 0;
	entry->n_added++;
	advance(entry);
	return 0;
}

static int handle_committed(sd_bus_message *answer, void *user, sd_bus_error *error)
{
	(void)error;
	is_refused(user, answer);
	return 0;
}

static int append_txt(sd_bus_message *message, const struct mdns_service *service)
{
	char txt[MDNS_TXT_MAX];
	int r = sd_bus_message_open_container(message, 'a', "ay");

	mdns_service_txt(service, txt);
	if (r >= 0)
		r = sd_bus_message_append_array(message, 'y', txt, strlen(txt));
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static void add(struct entry *entry)
{
	const struct mdns_service *service = &entry->service;
	const struct mdns_place *place = &service->places[entry->n_added];
	sd_bus_message *message = new_call(entry->avahi, entry->group, GROUP, "AddService");
	char name[MDNS_NAME_MAX];
	int r;

	if (!message)
		return;
	mdns_service_name(service, entry->number, name);
	/* Interface, protocol, flags, name, type, domain, host ("" : Avahi's), port, TXT. */
	r = sd_bus_message_append(message, "iiussssq", place->interface, (int)place->family, 0U,
				  name, service->type, "", "", service->port);
	if (r >= 0)
		r = append_txt(message, service);
	send_call(entry->avahi, message, r, &entry->call, handle_added, entry);
}

/* The next step of a service. */
static void advance(struct entry *entry)
{
	struct avahi *avahi = entry->avahi;
	sd_bus_message *message;

	if (!avahi->running || avahi->lost[0] || entry->call || entry->state != ENTRY_NEW)
		return;
	if (entry->group[0] && entry->n_added < entry->service.n_places) {
		add(entry);
		return;
	}
	message = entry->group[0] ? new_call(avahi, entry->group, GROUP, "Commit")
				  : new_call(avahi, "/", SERVER, "EntryGroupNew");
	if (!message)
		return;
	if (entry->group[0])
		entry->state = ENTRY_COMMITTED;
	send_call(avahi, message, 0, &entry->call,
		  entry->group[0] ? handle_committed : handle_group, entry);
}

/* Avahi has forgotten it, with all that is its own. */
static void forget(struct entry *entry)
{
	stop_waiting(entry);
	entry->group[0] = '\0';
	entry->n_added = 0;
	entry->state = ENTRY_NEW;
}

static void free_entry(struct entry *entry)
{
	stop_waiting(entry);
	free(entry);
}

/* --- the server --- */

static void note_loss(struct avahi *avahi)
{
	if (avahi->status.published > 0)
		avahi->status.losses++;
	for (size_t i = 0; i < avahi->n; i++)
		forget(avahi->entries[i]);
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
		withdraw(avahi->entries[i]);
	if (!running)
		note_waiting(avahi, "Avahi is choosing the name of this machine");
	for (size_t i = 0; running && i < avahi->n; i++)
		advance(avahi->entries[i]);
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
		lose_by(avahi, answer);
	else if (!sender || sd_bus_message_read(answer, "i", &state) < 0)
		lose(avahi, "Avahi answers strangely");
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
	sd_bus_message *message = new_call(avahi, "/", SERVER, "GetState");

	avahi->call = sd_bus_slot_unref(avahi->call);
	if (message)
		send_call(avahi, message, 0, &avahi->call, handle_first_state, avahi);
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
		rename_entry(entry);
	else if (state == GROUP_FAILURE)
		lose(avahi, "Avahi cannot publish it");
	return 0;
}

static int handle_owner_signal(sd_bus_message *signal, void *user, sd_bus_error *error)
{
	struct avahi *avahi = user;
	const char *sender = sd_bus_message_get_sender(signal), *name, *before, *now;

	(void)error;
	if (!sender || strcmp(sender, "org.freedesktop.DBus") != 0 ||
	    sd_bus_message_read(signal, "sss", &name, &before, &now) < 0 || strcmp(name, NAME) != 0)
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
		 "member='NameOwnerChanged',arg0='" NAME "'",
		 handle_owner_signal},
		{"type='signal',sender='" NAME "',interface='" SERVER "',member='StateChanged'",
		 handle_server_signal},
		{"type='signal',sender='" NAME "',interface='" GROUP "',member='StateChanged'",
		 handle_group_signal},
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sizeof matches / sizeof *matches; i++)
		r = sd_bus_add_match_async(avahi->bus, NULL, matches[i].match, matches[i].handler,
					   NULL, avahi);
	return r;
}

static void connect_bus(struct avahi *avahi, int64_t now_us)
{
	const char *address = secure_getenv(ADDRESS);
	int r;

	avahi->since_us = now_us;
	if (address && !is_on_this_machine(address)) {
		lose(avahi, ADDRESS " is no socket of this machine");
		return;
	}
	r = sd_bus_open_system_with_description(&avahi->bus, "avahi");
	if (r < 0)
		avahi->bus = NULL;
	else
		r = watch(avahi);
	if (r < 0)
		lose(avahi, "there is no D-Bus system bus, over which Avahi is asked (%s)",
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
			tell(entry, "Free");
		free_entry(entry);
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
	advance(entry);
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
		    until_us > (uint64_t)avahi->since_us + CALL_US)
			until_us = (uint64_t)avahi->since_us + CALL_US;
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
		lose(avahi, GONE);
	else if (sd_bus_is_ready(avahi->bus) <= 0 && now_us - avahi->since_us >= CALL_US)
		lose(avahi, "the D-Bus system bus does not answer");
}

void avahi_turn(struct avahi *avahi, int64_t now_us)
{
	if (avahi->status.services > 0 && !avahi->bus && now_us >= avahi->retry_at_us)
		connect_bus(avahi, now_us);
	if (avahi->bus && !avahi->lost[0])
		turn_bus(avahi, now_us);
	if (avahi->lost[0])
		disconnect(avahi, now_us);
	sweep(avahi);
	count(avahi);
	if (avahi->n == 0 && avahi->bus) {
		avahi->bus = sd_bus_close_unref(avahi->bus);
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
		free_entry(avahi->entries[i]);
	avahi->call = sd_bus_slot_unref(avahi->call);
	sd_bus_close_unref(avahi->bus);
	free(avahi->entries);
	free(avahi);
}
