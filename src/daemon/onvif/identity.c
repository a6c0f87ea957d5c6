/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/onvif/identity.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#define SCOPE "onvif://www.onvif.org/"

/* Ours alone: the machine's id itself is not told to others (machine-id(5)). */
static const sd_id128_t application_id = {.bytes = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0x42, 0xa6,
						    0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f,
						    0x3c}};

/* RFC 9562 clause 5.8: of our own making. */
void identity_uuid(char uuid[IDENTITY_UUID_MAX], const struct config *config)
{
	unsigned char made[EVP_MAX_MD_SIZE] = {0};
	char text[2 * NET_HOST_MAX + 64], host[NET_HOST_MAX] = "";
	sd_id128_t machine = SD_ID128_NULL;

	/* A container may have no id of its own, and a machine several servers. */
	sd_id128_get_machine_app_specific(application_id, &machine);
	gethostname(host, sizeof host - 1);
	snprintf(text, sizeof text, SD_ID128_FORMAT_STR "\n%s\n%s\n%u",
		 SD_ID128_FORMAT_VAL(machine), host,
		 config->daemon.n_http ? config->daemon.http[0].host : "",
		 config->daemon.n_http ? config->daemon.http[0].port : 0u);
	EVP_Digest(text, strlen(text), made, NULL, EVP_sha256(), NULL);
	made[6] = (unsigned char)(0x80 | (made[6] & 0x0f));
	made[8] = (unsigned char)(0x80 | (made[8] & 0x3f));
	for (size_t i = 0, at = 0; i < 16; i++)
		at += (size_t)sprintf(uuid + at, "%s%02x",
				      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", made[i]);
}

/* --- interfaces --- */

static int mtu_of(const char *name)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), mtu = 1500;

	if (fd < 0)
		return mtu;
	strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
	if (ioctl(fd, SIOCGIFMTU, &request) == 0)
		mtu = request.ifr_mtu;
	close(fd);
	return mtu;
}

static void set_link(struct identity_interface *out, const struct ifaddrs *at)
{
	const struct sockaddr_ll *link = (const void *)at->ifa_addr;
	const unsigned char *mac = link->sll_addr;

	*out = (struct identity_interface){.mtu = mtu_of(at->ifa_name)};
	snprintf(out->name, sizeof out->name, "%s", at->ifa_name);
	snprintf(out->mac, sizeof out->mac, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
}

static bool is_ethernet(const struct ifaddrs *at)
{
	const struct sockaddr_ll *link = (const void *)at->ifa_addr;

	return link && link->sll_family == AF_PACKET && (at->ifa_flags & IFF_UP) &&
	       !(at->ifa_flags & IFF_LOOPBACK) && link->sll_hatype == ARPHRD_ETHER &&
	       link->sll_halen == ETH_ALEN;
}

/* The first address of the interface. */
static void set_address(struct identity_interface *out, const struct ifaddrs *all)
{
	for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
		const struct sockaddr_in *in = (const void *)at->ifa_addr;
		const struct sockaddr_in *mask = (const void *)at->ifa_netmask;

		if (!in || in->sin_family != AF_INET || strcmp(at->ifa_name, out->name) != 0)
			continue;
		inet_ntop(AF_INET, &in->sin_addr, out->address, sizeof out->address);
		out->bits = mask ? __builtin_popcount(mask->sin_addr.s_addr) : 32;
		return;
	}
}

size_t identity_interfaces(struct identity_interface *out, const char *first)
{
	struct ifaddrs *all;
	size_t n = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (const struct ifaddrs *at = all; at && n < IDENTITY_INTERFACES_MAX; at = at->ifa_next)
		if (is_ethernet(at))
			set_link(&out[n++], at);
	for (size_t i = 0; i < n; i++)
		set_address(&out[i], all);
	freeifaddrs(all);
	for (size_t i = 1; first && i < n; i++) {
		struct identity_interface one = out[i];

		if (strcmp(one.address, first) != 0)
			continue;
		memmove(out + 1, out, i * sizeof *out);
		out[0] = one;
		break;
	}
	return n;
}

/* --- scopes --- */

struct scopes {
	char *text;
	size_t len;
};

static void put(struct scopes *scopes, char c)
{
	if (scopes->len < IDENTITY_SCOPES_MAX - 1)
		scopes->text[scopes->len++] = c;
}

/* As a part of a path (RFC 3986 clause 3.3). */
static void put_encoded(struct scopes *scopes, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~:";
	static const char digits[] = "0123456789ABCDEF";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (strchr(plain, c)) {
			put(scopes, *text);
		} else {
			put(scopes, '%');
			put(scopes, digits[c >> 4]);
			put(scopes, digits[c & 15]);
		}
	}
}

static void add_scope(struct scopes *scopes, const char *kind, const char *value)
{
	if (!value[0])
		return;
	if (scopes->len > 0)
		put(scopes, ' ');
	for (const char *at = SCOPE; *at; at++)
		put(scopes, *at);
	for (; *kind; kind++)
		put(scopes, *kind);
	put(scopes, '/');
	put_encoded(scopes, value);
}

void identity_scopes(char out[IDENTITY_SCOPES_MAX], const struct config *config, const char *mac)
{
	struct scopes scopes = {.text = out};
	const struct config_onvif *onvif = &config->onvif;

	add_scope(&scopes, "Profile", "Streaming");
	add_scope(&scopes, "type", "Network_Video_Transmitter");
	add_scope(&scopes, "type", "video_encoder");
	add_scope(&scopes, "name", onvif->name[0] ? onvif->name : config->daemon.name);
	add_scope(&scopes, "hardware", "camcast");
	add_scope(&scopes, "location", onvif->location);
	add_scope(&scopes, "mac", mac);
	out[scopes.len] = '\0';
}
