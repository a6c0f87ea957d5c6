/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a server announces by DNS-based Service Discovery (RFC 6763): the page, and each
 * stream over RTSP. Any thread; the state is in the arguments.
 */
#ifndef DAEMON_MDNS_SERVICES_H
#define DAEMON_MDNS_SERVICES_H

#include "config/config.h"

#define MDNS_NAME_MAX 64 /* bytes of an instance's name (RFC 6763, 4.1.1), terminator included */
#define MDNS_TXT_MAX (CONFIG_STREAM_NAME_MAX + 8)
#define MDNS_EVERY_INTERFACE (-1)

/* The numbers of Avahi. */
enum mdns_family { MDNS_BOTH = -1, MDNS_IPV4 = 0, MDNS_IPV6 = 1 };

struct mdns_place {
	int interface; /* its index; MDNS_EVERY_INTERFACE */
	enum mdns_family family;
};

struct mdns_service {
	const char *type;		     /* "_rtsp._tcp"; static */
	char server[MDNS_NAME_MAX];	     /* the name of the server, as far as it can fit */
	char stream[CONFIG_STREAM_NAME_MAX]; /* "" : the page */
	uint16_t port;
	unsigned n_places; /* not 0 */
	struct mdns_place places[CONFIG_LISTENERS_MAX];
};

struct mdns_services {
	size_t n;
	struct mdns_service list[];
};

/* Whether there is anything to announce: `mdns` is on, and an address of http or rtsp is not for
 * this machine alone. */
bool mdns_is_wanted(const struct config *config);

/*
 * The services of a configuration; none unless mdns_is_wanted(). The ports are those of the first
 * address of each, 0 where there is none. Where the addresses of one protocol have several ports,
 * the first one that others can reach is announced. free() it; NULL: no memory.
 */
struct mdns_services *mdns_services_create(const struct config *config, uint16_t http_port,
					   uint16_t rtsp_port);

bool mdns_service_is_same(const struct mdns_service *a, const struct mdns_service *b);

/* The name of the instance, as browsers show it: "SERVER" of the page, "SERVER (STREAM)" of a
 * stream. `number` from 2 on, where the name was taken, stands behind it: "SERVER (STREAM) #2".
 * The server's name is cut where the whole is too long. */
void mdns_service_name(const struct mdns_service *service, unsigned number,
		       char out[MDNS_NAME_MAX]);
/* The key `path`, which is registered for _http._tcp, and which players read of _rtsp._tcp, too:
 * "path=/STREAM". */
void mdns_service_txt(const struct mdns_service *service, char out[MDNS_TXT_MAX]);

#endif
