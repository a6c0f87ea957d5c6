/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/mdns/parts.h"

#define COLLISION AVAHI_NAME ".CollisionError"

/* Nobody waits for the answer. */
void entry_tell(struct entry *entry, const char *member)
{
	struct avahi *avahi = entry->avahi;
	sd_bus_message *message = avahi_new_call(avahi, entry->group, AVAHI_GROUP, member);
	int r;

	if (!message)
		return;
	r = sd_bus_message_set_expect_reply(message, 0);
	if (r >= 0)
		r = sd_bus_send(avahi->bus, message, NULL);
	sd_bus_message_unref(message);
	if (r < 0)
		avahi_lose(avahi, "no call of Avahi: %s", strerror(-r));
}

static void stop_waiting(struct entry *entry)
{
	entry->call = sd_bus_slot_unref(entry->call);
}

/* Takes it back; its group stays. */
void entry_withdraw(struct entry *entry)
{
	if (!entry->group[0])
		return;
	stop_waiting(entry);
	entry_tell(entry, "Reset");
	entry->state = ENTRY_NEW;
	entry->n_added = 0;
}

/* Only this service waits: others may want its names for good. */
static void pause_contested(struct entry *entry)
{
	const int64_t now_us = clock_now_us();
	char name[MDNS_NAME_MAX];
	uint64_t suppressed;

	entry->number = 1;
	entry_withdraw(entry);
	entry->again_at_us = now_us + AVAHI_CONTESTED_US;
	mdns_service_name(&entry->service, entry->number, name);
	if (diag_allowed(&entry->avahi->contested_limit, now_us, AVAHI_LOG_PERIOD_US, &suppressed))
		diag_warn("mdns: others have \"%s\" and all names like it; camcastd tries again, "
			  "once a minute",
			  name);
}

void entry_resume(struct entry *entry, int64_t now_us)
{
	if (entry->again_at_us == 0 || now_us < entry->again_at_us)
		return;
	entry->again_at_us = 0;
	entry_advance(entry);
}

/* Somebody has the name. */
void entry_rename(struct entry *entry)
{
	struct avahi *avahi = entry->avahi;
	char taken[MDNS_NAME_MAX], name[MDNS_NAME_MAX];
	uint64_t suppressed;

	avahi->status.collisions++;
	avahi->changed = true;
	mdns_service_name(&entry->service, entry->number, taken);
	entry->number++;
	if (entry->number > AVAHI_NUMBERS_MAX) {
		pause_contested(entry);
		return;
	}
	mdns_service_name(&entry->service, entry->number, name);
	if (diag_allowed(&avahi->rename_limit, clock_now_us(), AVAHI_LOG_PERIOD_US, &suppressed))
		diag_info("mdns: another server is called \"%s\"; this one is announced as \"%s\"",
			  taken, name);
	entry_withdraw(entry);
	entry_advance(entry);
}

/* Whether the answer, which has arrived now, is none to be glad of. */
static bool is_refused(struct entry *entry, sd_bus_message *answer)
{
	stop_waiting(entry);
	if (!sd_bus_message_is_method_error(answer, NULL))
		return false;
	if (sd_bus_message_is_method_error(answer, COLLISION))
		entry_rename(entry);
	else
		avahi_lose_by(entry->avahi, answer);
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
		avahi_lose(entry->avahi, "Avahi answers strangely");
	else
		snprintf(entry->group, sizeof entry->group, "%s", path);
	if (!entry->leaving)
		entry_advance(entry);
	return 0;
}

static int handle_added(sd_bus_message *answer, void *user, sd_bus_error *error)
{
	struct entry *entry = user;

	(void)error;
	if (is_refused(entry, answer))
		return 0;
	entry->n_added++;
	entry_advance(entry);
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
	sd_bus_message *message =
		avahi_new_call(entry->avahi, entry->group, AVAHI_GROUP, "AddService");
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
	avahi_send_call(entry->avahi, message, r, &entry->call, handle_added, entry);
}

/* The next step of a service. */
void entry_advance(struct entry *entry)
{
	struct avahi *avahi = entry->avahi;
	sd_bus_message *message;

	if (!avahi->running || avahi->lost[0] || entry->call || entry->state != ENTRY_NEW ||
	    entry->again_at_us)
		return;
	if (entry->group[0] && entry->n_added < entry->service.n_places) {
		add(entry);
		return;
	}
	message = entry->group[0] ? avahi_new_call(avahi, entry->group, AVAHI_GROUP, "Commit")
				  : avahi_new_call(avahi, "/", AVAHI_SERVER, "EntryGroupNew");
	if (!message)
		return;
	if (entry->group[0])
		entry->state = ENTRY_COMMITTED;
	avahi_send_call(avahi, message, 0, &entry->call,
			entry->group[0] ? handle_committed : handle_group, entry);
}

/* Avahi has forgotten it, with all that is its own. */
void entry_forget(struct entry *entry)
{
	stop_waiting(entry);
	entry->group[0] = '\0';
	entry->n_added = 0;
	entry->state = ENTRY_NEW;
	entry->again_at_us = 0;
}

void entry_free(struct entry *entry)
{
	stop_waiting(entry);
	free(entry);
}
