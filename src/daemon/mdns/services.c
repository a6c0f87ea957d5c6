/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/mdns/services.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/interfaces.h"

static bool is_for_others(const struct net_address *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!net_host_is_loopback(addresses[i].host))
			return true;
	return false;
}

bool mdns_is_wanted(const struct config *config)
{
	const struct config_daemon *daemon = &config->daemon;

	return daemon->mdns && (is_for_others(daemon->http, daemon->n_http) ||
				is_for_others(daemon->rtsp, daemon->n_rtsp));
}

/* --- where --- */

/* False: nobody else reaches this address. */
static bool find_place(const char *host, struct mdns_place *place)
{
	const int family = net_host_family(host);

	*place = (struct mdns_place){
		.interface = MDNS_EVERY_INTERFACE,
		.family = family == AF_INET    ? MDNS_IPV4
			  : family == AF_INET6 ? MDNS_IPV6
					       : MDNS_BOTH,
	};
	if (family == AF_UNSPEC || net_host_is_any(host))
		return true;
	place->interface = net_interface_find(host);
	return place->interface > 0;
}

static void add_place(struct mdns_service *service, const struct mdns_place *place)
{
	for (unsigned i = 0; i < service->n_places; i++)
		if (service->places[i].interface == place->interface &&
		    service->places[i].family == place->family)
			return;
	service->places[service->n_places++] = *place;
}

static void find_places(struct mdns_service *service, const struct net_address *addresses, size_t n,
			uint16_t first_port)
{
	for (size_t i = 0; i < n; i++) {
		const uint16_t port = addresses[i].port ? addresses[i].port : first_port;
		struct mdns_place place;

		if (net_host_is_loopback(addresses[i].host) ||
		    (service->port != 0 && port != service->port) ||
		    !find_place(addresses[i].host, &place))
			continue;
		service->port = port;
		add_place(service, &place);
	}
}

/* --- what --- */

static void add_service(struct mdns_services *services, const struct mdns_service *like,
			const char *stream)
{
	struct mdns_service *service = &services->list[services->n];

	if (like->n_places == 0)
		return;
	*service = *like;
	text_set(service->stream, sizeof service->stream, stream);
	services->n++;
}

struct mdns_services *mdns_services_create(const struct config *config, uint16_t http_port,
					   uint16_t rtsp_port)
{
	const struct config_daemon *daemon = &config->daemon;
	const bool tls = daemon->tls == CONFIG_TLS_YES;
	struct mdns_services *services =
		calloc(1, sizeof *services + (config->n_streams + 1) * sizeof *services->list);
	struct mdns_service page = {.type = tls ? "_https._tcp" : "_http._tcp"};
	struct mdns_service stream = {.type = tls ? "_rtsps._tcp" : "_rtsp._tcp"};

	if (!services || !daemon->mdns)
		return services;
	text_set(page.server, sizeof page.server, daemon->name);
	text_set(stream.server, sizeof stream.server, daemon->name);
	find_places(&page, daemon->http, daemon->n_http, http_port);
	find_places(&stream, daemon->rtsp, daemon->n_rtsp, rtsp_port);
	add_service(services, &page, "");
	for (size_t i = 0; i < config->n_streams; i++)
		if (!config->streams[i].implied)
			add_service(services, &stream, config->streams[i].name);
	return services;
}

bool mdns_service_is_same(const struct mdns_service *a, const struct mdns_service *b)
{
	if (strcmp(a->type, b->type) != 0 || strcmp(a->server, b->server) != 0 ||
	    strcmp(a->stream, b->stream) != 0 || a->port != b->port || a->n_places != b->n_places)
		return false;
	for (unsigned i = 0; i < a->n_places; i++)
		if (a->places[i].interface != b->places[i].interface ||
		    a->places[i].family != b->places[i].family)
			return false;
	return true;
}

/* --- as Avahi takes it --- */

void mdns_service_name(const struct mdns_service *service, unsigned number, char out[MDNS_NAME_MAX])
{
	char behind[CONFIG_STREAM_NAME_MAX + 24] = "", counted[16] = "";

	if (service->stream[0])
		snprintf(behind, sizeof behind, " (%s)", service->stream);
	if (number > 1)
		snprintf(counted, sizeof counted, " #%u", number);
	text_append(behind, sizeof behind, counted);
	text_set(out, MDNS_NAME_MAX - strlen(behind), service->server);
	text_append(out, MDNS_NAME_MAX, behind);
}

void mdns_service_txt(const struct mdns_service *service, char out[MDNS_TXT_MAX])
{
	snprintf(out, MDNS_TXT_MAX, "path=/%s", service->stream);
}
