/* SPDX-License-Identifier: BSD-2-Clause */
/* What the conversation with Avahi consists of. Internal to avahi.c, which has the connection, and
 * entry.c, which has one service. The thread of avahi.h. */
#ifndef DAEMON_MDNS_PARTS_H
#define DAEMON_MDNS_PARTS_H

#include <systemd/sd-bus.h>

#include "base/diag.h"
#include "daemon/mdns/avahi.h"

#define AVAHI_NAME "org.freedesktop.Avahi"
#define AVAHI_SERVER AVAHI_NAME ".Server"
#define AVAHI_GROUP AVAHI_NAME ".EntryGroup"
#define BUS_NAME_MAX 256       /* D-Bus Specification, "Valid Names", terminator included */
#define PATH_LEN_MAX 128       /* of a group, as Avahi makes them */
#define AVAHI_CALL_US 10000000 /* for an answer; also for the bus to let us in */
#define AVAHI_LOG_PERIOD_US 30000000
#define AVAHI_CONTESTED_US 60000000 /* until names are tried again that others had */
#define AVAHI_BUS_GONE "the D-Bus system bus has gone"

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
	int64_t again_at_us; /* others have all its names: until then it waits; 0: it does not */
	bool leaving;	     /* it goes when Avahi has said what its group is */
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
	struct diag_limit reason_limit, rename_limit, contested_limit;
};

/* --- the connection --- */

/* It ends behind what is under way. */
void avahi_lose(struct avahi *avahi, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same by an answer that is an error. */
void avahi_lose_by(struct avahi *avahi, sd_bus_message *answer);
/* A call of Avahi's, to be filled in and sent. NULL: there is no memory, and the connection ends.
 */
sd_bus_message *avahi_new_call(struct avahi *avahi, const char *path, const char *interface,
			       const char *member);
/* Sends it, and frees it. r: of what was put into it. */
void avahi_send_call(struct avahi *avahi, sd_bus_message *message, int r, sd_bus_slot **slot,
		     sd_bus_message_handler_t handler, void *user);

/* --- one service --- */

/* Tells Avahi something of its group; nobody waits for the answer. */
void entry_tell(struct entry *entry, const char *member);
/* Takes the next step, if none is under way. */
void entry_advance(struct entry *entry);
/* Takes it back; its group stays. */
void entry_withdraw(struct entry *entry);
/* Somebody has its name: tries the next one, and waits behind the last one. */
void entry_rename(struct entry *entry);
/* Tries its names again, if it has waited for long enough. */
void entry_resume(struct entry *entry, int64_t now_us);
/* Avahi has forgotten it, with all that is its own. */
void entry_forget(struct entry *entry);
void entry_free(struct entry *entry);

#endif
