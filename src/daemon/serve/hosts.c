/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/hosts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/address.h"

/* Cuts the port off "host[:port]" and the brackets off an IPv6 address. False: it is malformed. */
static bool cut_host(char host[NET_HOST_MAX], const char *text)
{
	const char *end = text + strcspn(text, ":");

	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end)
			return false;
	}
	if ((size_t)(end - text) >= NET_HOST_MAX)
		return false;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	if (*end == ']' && (end++, net_host_family(host) != AF_INET6))
		return false;
	if (*end == '\0')
		return true;
	return *end == ':' && end[1 + strspn(end + 1, "0123456789")] == '\0';
}

static bool is_own_name(const char *host)
{
	char name[NET_HOST_MAX], label[NET_HOST_MAX], local[NET_HOST_MAX + sizeof ".local"];

	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (gethostname(name, sizeof name) < 0)
		return false;
	name[sizeof name - 1] = '\0';
	snprintf(label, sizeof label, "%.*s", (int)strcspn(name, "."), name);
	snprintf(local, sizeof local, "%s.local", label);
	return *label && (strcasecmp(host, name) == 0 || strcasecmp(host, label) == 0 ||
			  strcasecmp(host, local) == 0);
}

static bool is_listed(const char *host, const char *names)
{
	static const char separators[] = ", \t";

	for (;;) {
		size_t len;

		names += strspn(names, separators);
		len = strcspn(names, separators);
		if (len == 0)
			return false;
		if ((len == 1 && *names == '*') ||
		    (strlen(host) == len && strncasecmp(host, names, len) == 0))
			return true;
		names += len;
	}
}

bool hosts_allow(const char *host, const char *allowed)
{
	char name[NET_HOST_MAX];
	size_t len;

	if (!cut_host(name, host))
		return false;
	len = strlen(name);
	if (len > 0 && name[len - 1] == '.') /* the root of all names */
		name[len - 1] = '\0';
	return *name == '\0' || net_host_family(name) != AF_UNSPEC || is_own_name(name) ||
	       is_listed(name, allowed);
}
