/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of WS-Discovery (version 2005/04), without their transport. Any thread. */
#ifndef DAEMON_ONVIF_WSD_H
#define DAEMON_ONVIF_WSD_H

#include <stddef.h>

#include "daemon/onvif/markup.h"

#define WSD_ID_MAX 256 /* bytes of a message's id, terminator included */

enum wsd_kind { WSD_HELLO, WSD_BYE, WSD_PROBE_MATCHES, WSD_RESOLVE_MATCHES, WSD_KINDS };

/* What a message says about this server. All borrowed. */
struct wsd_self {
	const char *uuid;
	const char *scopes; /* separated by blanks */
	const char *xaddr;  /* URL of the device service */
	/* Of the sequence of messages: when the server started, and which of its messages it is. */
	unsigned instance, message;
};

/* Reads a Probe or Resolve of len bytes. If it is for this server, returns the kind of the answer,
 * with the id to which it relates in id; else WSD_KINDS. */
enum wsd_kind wsd_read(const char *text, size_t len, const struct wsd_self *self,
		       char id[WSD_ID_MAX]);

/* relates_to: the id of the question; "" : none. uuid: of this message, a new one. */
void wsd_write(struct markup *out, enum wsd_kind kind, const struct wsd_self *self,
	       const char *uuid, const char *relates_to);

#endif
