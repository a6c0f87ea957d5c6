/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/onvif/discover.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "daemon/onvif/identity.h"
#include "daemon/onvif/wsd.h"
#include "daemon/onvif/xml.h"
#include "net/ranges.h"

#define GROUP "239.255.255.250"
#define PORT 3702
#define READS_MAX 16	  /* datagrams in a turn of the loop */
#define LOOK_US 5000000	  /* from one look at the interfaces to the next */
#define INTERFACES_MAX 16 /* that are joined */
#define ADDRESSES 64	  /* buckets for addresses, which share one where there are more */
#define URL_MAX (NET_HOST_PORT_MAX + 40)

/* Lets `burst` pass at once, and `rate` a second. */
struct bucket {
	double tokens;
	int64_t at_us; /* 0: it was never used, and is full */
};

struct joined {
	int index; /* of the interface; 0: none */
	struct in_addr address;
};

struct discover {
	struct discover_options options;
	struct loop_watch watch;
	struct loop_timer look;
	struct net_ranges own;
	struct joined joined[INTERFACES_MAX];
	struct bucket all, by_address[ADDRESSES];
	unsigned instance, message;
	bool full_log; /* the limit was reached, and has been said */
	char datagram[XML_MAX];
};

/* --- limits --- */

static bool take(struct bucket *bucket, double rate, double burst, int64_t now_us)
{
	if (bucket->at_us == 0)
		bucket->tokens = burst;
	else
		bucket->tokens += rate * (double)(now_us - bucket->at_us) / 1e6;
	if (bucket->tokens > burst)
		bucket->tokens = burst;
	bucket->at_us = now_us;
	if (bucket->tokens < 1)
		return false;
	bucket->tokens--;
	return true;
}

/* Whether an answer to this peer is within the limits. */
static bool may_answer(struct discover *discover, const struct net_peer *peer)
{
	int64_t now_us = clock_now_us();
	uint64_t key[2];
	size_t place;

	if (!gate_lets_in(discover->options.gate, peer) ||
	    !net_ranges_contain(&(struct net_ranges){.local = true}, peer, &discover->own))
		return false;
	net_peer_host_key(peer, key);
	place = (size_t)(((key[0] ^ key[1]) * UINT64_C(0x9e3779b97f4a7c15)) >> 58) % ADDRESSES;
	if (take(&discover->by_address[place], DISCOVER_RATE / 3.0, DISCOVER_BURST / 3.0, now_us) &&
	    take(&discover->all, DISCOVER_RATE, DISCOVER_BURST, now_us))
		return true;
	if (!discover->full_log)
		diag_warn("onvif: more questions of WS-Discovery than are answered (%d a second)",
			  DISCOVER_RATE);
	discover->full_log = true;
	return false;
}

/* --- messages --- */

/* The URL of the device service at an address of this machine. False: HTTP does not listen there.
 */
static bool write_url(const struct discover *discover, struct in_addr address, char url[URL_MAX])
{
	const struct config_daemon *daemon = &discover->options.cameras->config->daemon;
	char host[INET_ADDRSTRLEN], place[NET_HOST_PORT_MAX];

	inet_ntop(AF_INET, &address, host, sizeof host);
	for (size_t i = 0; i < daemon->n_http; i++) {
		const struct net_address *at = &daemon->http[i];
		bool name = net_host_family(at->host) == AF_UNSPEC && at->host[0];

		if (!net_host_is_any(at->host) && strcmp(at->host, host) != 0 &&
		    (!name || net_host_is_loopback(at->host)))
			continue;
		net_format_host_port(place, host, at->port ? at->port : discover->options.port);
		snprintf(url, URL_MAX, "%s://%s%s",
			 daemon->tls == CONFIG_TLS_YES ? "https" : "http", place,
			 discover->options.path);
		return true;
	}
	return false;
}

/* What this server says of itself at an address of its own. */
struct about {
	struct wsd_self self;
	char uuid[IDENTITY_UUID_MAX]; /* another configuration may have another one */
	char url[URL_MAX];
	char scopes[IDENTITY_SCOPES_MAX];
};

static bool describe(struct discover *discover, struct in_addr address, struct about *about)
{
	const struct config *config = discover->options.cameras->config;
	struct identity_interface interfaces[IDENTITY_INTERFACES_MAX];
	char host[INET_ADDRSTRLEN];
	size_t n;

	if (!write_url(discover, address, about->url))
		return false;
	inet_ntop(AF_INET, &address, host, sizeof host);
	n = identity_interfaces(interfaces, host);
	identity_uuid(about->uuid, config);
	identity_scopes(about->scopes, config, n ? interfaces[0].mac : "");
	about->self = (struct wsd_self){
		.uuid = about->uuid,
		.scopes = about->scopes,
		.xaddr = about->url,
		.instance = discover->instance,
		.message = ++discover->message,
	};
	return true;
}

/* index: of the interface. A datagram that cannot be sent is lost, as any. */
static void send_message(struct discover *discover, enum wsd_kind kind, const struct about *about,
			 const char *relates_to, const struct sockaddr_in *to, int index)
{
	struct ip_mreqn through = {.imr_ifindex = index};
	char uuid[IDENTITY_UUID_MAX];
	struct markup out = {0};
	sd_id128_t random;

	if (sd_id128_randomize(&random) < 0)
		return;
	sd_id128_to_uuid_string(random, uuid);
	wsd_write(&out, kind, &about->self, uuid, relates_to);
	setsockopt(discover->watch.fd, IPPROTO_IP, IP_MULTICAST_IF, &through, sizeof through);
	if (!out.failed && sendto(discover->watch.fd, out.text, out.len, 0,
				  (const struct sockaddr *)to, sizeof *to) < 0)
		diag_debug("onvif: WS-Discovery: %s", strerror(errno));
	markup_finish(&out);
}

static void say_to_all(struct discover *discover, enum wsd_kind kind, const struct joined *joined)
{
	struct sockaddr_in group = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct about about;

	inet_pton(AF_INET, GROUP, &group.sin_addr);
	if (describe(discover, joined->address, &about))
		send_message(discover, kind, &about, "", &group, joined->index);
}

/* --- interfaces --- */

static struct joined *find_joined(struct discover *discover, int index)
{
	for (size_t i = 0; i < INTERFACES_MAX; i++)
		if (discover->joined[i].index == index)
			return &discover->joined[i];
	return NULL;
}

/* Joins the group on an interface, or leaves it. */
static int set_member(struct discover *discover, int index, bool member)
{
	struct ip_mreqn request = {.imr_ifindex = index};

	inet_pton(AF_INET, GROUP, &request.imr_multiaddr);
	return setsockopt(discover->watch.fd, IPPROTO_IP,
			  member ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request,
			  sizeof request);
}

/* The first of an interface's addresses is said to all; look() has dropped one that is gone. */
static void look_at(struct discover *discover, const struct ifaddrs *at)
{
	const struct sockaddr_in *in = (const void *)at->ifa_addr;
	int index = (int)if_nametoindex(at->ifa_name);
	struct joined *joined;

	if (index == 0 || find_joined(discover, index))
		return;
	joined = find_joined(discover, 0);
	if (!joined || (set_member(discover, index, true) < 0 && errno != EADDRINUSE))
		return;
	*joined = (struct joined){.index = index, .address = in->sin_addr};
	say_to_all(discover, WSD_HELLO, joined);
}

static bool is_on_network(const struct ifaddrs *at)
{
	return at->ifa_addr && at->ifa_addr->sa_family == AF_INET && (at->ifa_flags & IFF_UP) &&
	       (at->ifa_flags & IFF_MULTICAST) && !(at->ifa_flags & IFF_LOOPBACK);
}

/* Whether the interface still has the address with which it was joined. */
static bool is_there(const struct joined *joined, const struct ifaddrs *all)
{
	for (const struct ifaddrs *at = all; at; at = at->ifa_next)
		if (is_on_network(at) && (int)if_nametoindex(at->ifa_name) == joined->index &&
		    ((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr.s_addr ==
			    joined->address.s_addr)
			return true;
	return false;
}

/* Interfaces come, go, and change their addresses. */
static void look(struct discover *discover)
{
	struct ifaddrs *all;

	discover->full_log = false;
	net_own_networks(&discover->own);
	if (getifaddrs(&all) < 0)
		return;
	for (size_t i = 0; i < INTERFACES_MAX; i++) {
		struct joined *joined = &discover->joined[i];

		if (joined->index == 0 || is_there(joined, all))
			continue;
		set_member(discover, joined->index, false);
		joined->index = 0;
	}
	for (const struct ifaddrs *at = all; at; at = at->ifa_next)
		if (is_on_network(at))
			look_at(discover, at);
	freeifaddrs(all);
}

static void handle_look(struct loop_timer *timer)
{
	struct discover *discover = container_of(timer, struct discover, look);

	look(discover);
	loop_timer_set(discover->options.loop, timer,
		       loop_now_us(discover->options.loop) + LOOK_US);
}

/* --- questions --- */

static void answer(struct discover *discover, size_t len, const struct sockaddr_in *from,
		   const struct in_pktinfo *to)
{
	char id[WSD_ID_MAX];
	struct net_peer peer;
	struct about about;
	enum wsd_kind kind;

	net_peer_from_sockaddr(&peer, (const struct sockaddr *)from, sizeof *from);
	if (peer.port == 0 || !may_answer(discover, &peer) ||
	    !describe(discover, to->ipi_spec_dst, &about))
		return;
	kind = wsd_read(discover->datagram, len, &about.self, id);
	if (kind != WSD_KINDS)
		send_message(discover, kind, &about, id, from, to->ipi_ifindex);
}

/* False: there is no datagram. */
static bool read_one(struct discover *discover)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct cmsghdr align;
	} control;
	struct iovec piece = {discover->datagram, sizeof discover->datagram};
	struct sockaddr_in from;
	struct msghdr message = {
		.msg_name = &from,
		.msg_namelen = sizeof from,
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	ssize_t len = recvmsg(discover->watch.fd, &message, MSG_DONTWAIT);
	struct cmsghdr *cmsg;
	struct in_pktinfo to;

	if (len < 0)
		return errno == EINTR;
	if (message.msg_flags & MSG_TRUNC)
		return true;
	for (cmsg = CMSG_FIRSTHDR(&message); cmsg; cmsg = CMSG_NXTHDR(&message, cmsg)) {
		if (cmsg->cmsg_level != IPPROTO_IP || cmsg->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&to, CMSG_DATA(cmsg), sizeof to);
		answer(discover, (size_t)len, &from, &to);
		break;
	}
	return true;
}

static void handle_ready(struct loop_watch *watch, uint32_t events)
{
	struct discover *discover = container_of(watch, struct discover, watch);

	(void)events;
	for (int i = 0; i < READS_MAX && read_one(discover); i++)
		;
}

/* --- life --- */

static int open_socket(struct discover *discover)
{
	const struct sockaddr_in all = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	const int yes = 1, no = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	/* Others on this machine may want to know the same. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
	    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes) < 0 ||
	    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &no, sizeof no) < 0 ||
	    bind(fd, (const struct sockaddr *)&all, sizeof all) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	discover->watch.fd = fd;
	discover->watch.events = EPOLLIN;
	discover->watch.ready = handle_ready;
	err = loop_watch_add(discover->options.loop, &discover->watch);
	if (err < 0)
		close(fd);
	return err;
}

int discover_create(struct discover **out, const struct discover_options *options)
{
	struct discover *discover = calloc(1, sizeof *discover);
	int err;

	if (!discover)
		return -ENOMEM;
	discover->options = *options;
	discover->instance = (unsigned)(clock_wall_us() / 1000000);
	loop_timer_init(&discover->look, handle_look);
	err = open_socket(discover);
	if (err < 0) {
		diag_warn("onvif: WS-Discovery cannot use UDP port %d (%s): recorders find this "
			  "server by its address alone",
			  PORT, strerror(-err));
		free(discover);
		return err;
	}
	handle_look(&discover->look);
	*out = discover;
	return 0;
}

void discover_destroy(struct discover *discover)
{
	if (!discover)
		return;
	for (size_t i = 0; i < INTERFACES_MAX; i++)
		if (discover->joined[i].index)
			say_to_all(discover, WSD_BYE, &discover->joined[i]);
	loop_timer_cancel(discover->options.loop, &discover->look);
	loop_watch_remove(discover->options.loop, &discover->watch);
	close(discover->watch.fd);
	free(discover);
}
