/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/multicast.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/diag.h"
#include "daemon/rtsp/sender.h"
#include "net/interfaces.h"

#define RETRY_US 1000000
#define REFUSED_US 5000000     /* then its sockets are opened again, which may find another way */
#define REFUSED_GAP_US 2000000 /* without a refusal there is a way again */
#define SAP_PORT 9875

/* What is open while there is somebody to send to. It is freed after the group may have gone. */
struct outlet {
	struct sender sender;
	struct multicast *group; /* NULL: it is closed */
	struct net_peer to;
	int interface; /* its index; 0: not known */
	struct sockaddr_storage rtcp_to;
	struct datagrams datagrams;
};

struct multicast {
	struct multicast_options options;
	char name[CONFIG_STREAM_NAME_MAX];
	struct list members;
	struct receivers receivers; /* those of the members, without a port */
	unsigned playing;
	struct outlet *outlet; /* NULL: nothing is open */
	struct loop_watch rtcp;
	struct loop_timer retry;
	int64_t refused_us, refusal_us; /* the first of a row of refusals, and the last; 0: none */
	bool faulty;			/* it could not be sent to, which was said */
};

static struct multicast_member *of_link(struct list *link)
{
	return container_of(link, struct multicast_member, link);
}

static bool is_sending(const struct multicast *group)
{
	return group->outlet && group->outlet->sender.cursor.audience;
}

static bool is_wanted(const struct multicast *group)
{
	return (group->options.settings.always || group->playing > 0) &&
	       !feed_drains(group->options.feed);
}

static void end_members(struct multicast *group, bool at_once)
{
	while (!list_empty(&group->members)) {
		struct multicast_member *member = of_link(group->members.next);

		multicast_leave(member);
		member->ended(member, at_once);
	}
}

/* --- what receivers say --- */

/* Receivers at one address have the same port, so that all of them are meant. The server's own
 * reports come back to it, and are nobody's sign of life. */
static void take_report(void *user, const struct net_peer *from, const uint8_t *data, size_t len)
{
	struct multicast *group = user;
	uint32_t ssrc = group->options.ssrc;
	struct net_peer end = *from;
	struct rtcp_report report;
	struct receiver *receiver = NULL;
	bool found;

	if (!rtcp_read(data, len, ssrc, &report, &found) || !rtcp_is_of_receiver(data, len, ssrc))
		return;
	end.port = 0;
	while ((receiver = receivers_find(&group->receivers, &end, receiver))) {
		struct multicast_member *member =
			container_of(receiver, struct multicast_member, receiver);

		if (found)
			receiver->report = report;
		receiver->reported |= found;
		member->alive(member);
	}
}

static void handle_rtcp(struct loop_watch *watch, uint32_t events)
{
	struct multicast *group = container_of(watch, struct multicast, rtcp);

	(void)events;
	receivers_hear(watch->fd, take_report, group);
}

/* --- sockets --- */

/* Sends through this interface (0: as the routes say), and no further than `ttl`. */
static int set_way(int fd, bool ipv4, int interface, int ttl)
{
	const struct ip_mreqn through = {.imr_ifindex = interface};
	int err;

	if (ipv4)
		err = setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl);
	else
		err = setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &ttl, sizeof ttl);
	if (err == 0 && interface != 0 && ipv4)
		err = setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &through, sizeof through);
	else if (err == 0 && interface != 0)
		err = setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &interface, sizeof interface);
	return err < 0 ? -errno : 0;
}

static int open_socket(const struct multicast *group, int interface)
{
	const struct multicast_settings *settings = &group->options.settings;
	bool ipv4 = net_peer_is_ipv4(&settings->group);
	int fd = socket(ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = set_way(fd, ipv4, interface, settings->ttl);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

/* The group on the interfaces of an index, as an address. */
static socklen_t address_of(const struct multicast *group, int interface, uint16_t port,
			    struct sockaddr_storage *out)
{
	struct net_peer to = group->options.settings.group;

	to.port = port;
	to.scope = (uint32_t)interface;
	return net_peer_to_sockaddr(&to, out);
}

/* Hears reports, where that is possible: without them sessions live by their requests. */
static void join_reports(int fd, const struct sockaddr_storage *group, int interface)
{
	const struct sockaddr_in6 *in6 = (const void *)group;
	const struct sockaddr_in *in = (const void *)group;
	struct ip_mreqn request = {.imr_ifindex = interface};
	struct ipv6_mreq request6 = {.ipv6mr_interface = (unsigned)interface};

	if (group->ss_family == AF_INET) {
		request.imr_multiaddr = in->sin_addr;
		(void)setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
	} else {
		request6.ipv6mr_multiaddr = in6->sin6_addr;
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request6, sizeof request6);
	}
}

/* The socket for RTCP of both directions. Only what is sent to the group comes to it. */
static int open_rtcp(struct multicast *group, int interface)
{
	struct sockaddr_storage *address = &group->outlet->rtcp_to;
	uint16_t port = (uint16_t)(group->options.settings.group.port + 1);
	socklen_t len = address_of(group, interface, port, address);
	const int on = 1;
	int fd = open_socket(group, interface), err;

	if (fd < 0)
		return fd;
	/* Players on this machine have the same port. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, (struct sockaddr *)address, len) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	join_reports(fd, address, interface);
	group->rtcp.fd = fd;
	group->rtcp.events = EPOLLIN;
	group->rtcp.ready = handle_rtcp;
	err = loop_watch_add(group->options.loop, &group->rtcp);
	if (err < 0)
		close(fd);
	group->outlet->sender.rtcp_to = (struct sockaddr *)address;
	group->outlet->sender.rtcp_len = len;
	group->outlet->sender.rtcp = fd;
	return err;
}

/* Returns the socket, or -errno: there is no way. */
static int open_rtp(const struct multicast *group, int interface)
{
	struct sockaddr_storage to;
	socklen_t len = address_of(group, interface, group->options.settings.group.port, &to);
	int fd = open_socket(group, interface), err;

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&to, len) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* --- what its sender says --- */

static struct outlet *of_sender(struct sender *sender)
{
	return container_of(sender, struct outlet, sender);
}

static const struct outlet *of_const_sender(const struct sender *sender)
{
	return container_of_const(sender, struct outlet, sender);
}

static void close_outlet(struct multicast *group)
{
	struct outlet *outlet = group->outlet;

	if (!outlet)
		return;
	group->outlet = NULL;
	group->refused_us = 0;
	outlet->group = NULL;
	loop_watch_remove(group->options.loop, &group->rtcp);
	close(group->rtcp.fd);
	sender_close(&outlet->sender);
}

static void try_later(struct multicast *group)
{
	struct loop *loop = group->options.loop;

	loop_timer_set(loop, &group->retry, loop_now_us(loop) + RETRY_US);
}

static const char *advice_for(const struct multicast *group, int err)
{
	if (err == -EPERM)
		return "; a firewall of this machine may refuse it";
	if (err == -ENETUNREACH && !group->options.settings.interface[0])
		return "; multicast_interface in [daemon] names the interface where there is no "
		       "route";
	return "";
}

static void say_fault(struct multicast *group, int err)
{
	const char *interface = group->options.settings.interface;
	char to[NET_PEER_TEXT_MAX];

	if (group->faulty)
		return;
	group->faulty = true;
	net_peer_format(&group->options.settings.group, to);
	diag_warn("stream %s: multicast to %s%s%s: %s%s", group->name, to,
		  interface[0] ? " through " : "", interface, strerror(-err),
		  advice_for(group, err));
}

static void handle_ended(struct sender *sender, bool at_once)
{
	struct multicast *group = of_sender(sender)->group;

	if (!group)
		return;
	close_outlet(group);
	if (feed_drains(group->options.feed))
		end_members(group, at_once);
	else
		try_later(group);
}

static void handle_sent(struct sender *sender)
{
	struct multicast *group = of_sender(sender)->group;

	if (!group)
		return;
	group->refused_us = 0;
	if (group->faulty)
		diag_info("stream %s: multicast is sent now", group->name);
	group->faulty = false;
}

static void handle_refused(struct sender *sender, int err)
{
	struct multicast *group = of_sender(sender)->group;
	int64_t now_us = loop_now_us(sender->loop);

	if (!group)
		return;
	if (group->refused_us == 0 || now_us - group->refusal_us > REFUSED_GAP_US)
		group->refused_us = now_us;
	group->refusal_us = now_us;
	if (now_us - group->refused_us < REFUSED_US)
		return;
	say_fault(group, err);
	handle_ended(sender, true);
}

static void describe(const struct sender *sender, char text[SINK_TEXT_MAX])
{
	net_peer_format(&of_const_sender(sender)->to, text);
}

/* The worst of what its receivers report. */
static bool say_report(const struct sender *sender, struct sink_report *out)
{
	const struct multicast *group = of_const_sender(sender)->group;
	struct sink_report worst = {0};
	bool found = false;

	if (!group)
		return false;
	for (struct list *pos = group->members.next; pos != &group->members; pos = pos->next) {
		const struct multicast_member *member = of_link(pos);
		struct sink_report one = sender_report(&member->receiver.report);

		if (!member->receiver.reported)
			continue;
		found = true;
		worst.lost = one.lost > worst.lost ? one.lost : worst.lost;
		worst.permille = one.permille > worst.permille ? one.permille : worst.permille;
		worst.jitter_us = one.jitter_us > worst.jitter_us ? one.jitter_us : worst.jitter_us;
	}
	*out = worst;
	return found;
}

static bool say_group(const struct sender *sender, struct sink_group *out)
{
	const struct multicast *group = of_const_sender(sender)->group;

	*out = (struct sink_group){
		.receivers = group ? group->playing : 0,
		.packets = sender->packets,
	};
	return true;
}

static void handle_closed(struct sender *sender)
{
	free(of_sender(sender));
}

static const struct sender_ops group_ops = {
	.scheme = "multicast",
	.sent = handle_sent,
	.refused = handle_refused,
	.ended = handle_ended,
	.describe = describe,
	.report = say_report,
	.group = say_group,
	.closed = handle_closed,
};

/* --- the outlet --- */

/* Where the routes send packets of the group, reports and announcements are to go, too. Linux sends
 * those of a socket with a source through the interface that has this address (IPv4: "special hack"
 * of ip_route_output_key_hash_rcu()), so that all of them stay there, even if the routes change,
 * until the address goes. */
static void follow_route(struct multicast *group)
{
	struct outlet *outlet = group->outlet;
	bool ipv4 = net_peer_is_ipv4(&outlet->to);
	char host[NET_PEER_TEXT_MAX];
	struct net_peer local;
	int interface;

	net_peer_local_from_fd(&local, outlet->sender.conn.fd);
	net_peer_format_host(&local, host);
	interface = net_interface_find(host);
	if (interface > 0 &&
	    set_way(group->rtcp.fd, ipv4, interface, group->options.settings.ttl) == 0)
		outlet->interface = interface;
}

static int open_outlet(struct multicast *group)
{
	const struct multicast_settings *settings = &group->options.settings;
	int interface = 0, fd, err;

	if (settings->interface[0]) {
		interface = net_interface_find(settings->interface);
		if (interface < 0)
			return interface;
	}
	group->outlet = calloc(1, sizeof *group->outlet);
	if (!group->outlet)
		return -ENOMEM;
	group->outlet->group = group;
	group->outlet->to = settings->group;
	group->outlet->interface = interface;
	group->outlet->sender = (struct sender){
		.ops = &group_ops,
		.loop = group->options.loop,
		.datagrams = &group->outlet->datagrams,
	};
	fd = open_rtp(group, interface);
	if (fd < 0) {
		err = fd;
		goto free_outlet;
	}
	err = open_rtcp(group, interface);
	if (err < 0)
		goto close_rtp;
	err = sender_open(&group->outlet->sender, fd);
	if (err < 0)
		goto close_rtcp;
	if (interface == 0)
		follow_route(group);
	return 0;

close_rtcp:
	loop_watch_remove(group->options.loop, &group->rtcp);
	close(group->rtcp.fd);
close_rtp:
	close(fd);
free_outlet:
	free(group->outlet);
	group->outlet = NULL;
	return err;
}

static int have_outlet(struct multicast *group)
{
	int err = group->outlet ? 0 : open_outlet(group);

	if (err < 0)
		say_fault(group, err);
	return err;
}

/* Sends if that is wanted, and if not, no more. 0 or -errno: it is tried again. */
static int update(struct multicast *group)
{
	int err;

	if (!is_wanted(group)) {
		loop_timer_cancel(group->options.loop, &group->retry);
		if (is_sending(group) || list_empty(&group->members))
			close_outlet(group);
		return 0;
	}
	if (is_sending(group))
		return 0;
	err = have_outlet(group);
	if (err == 0)
		err = sender_watch(&group->outlet->sender, group->options.feed, 0);
	if (err < 0)
		try_later(group);
	return err;
}

static void handle_retry(struct loop_timer *timer)
{
	(void)update(container_of(timer, struct multicast, retry));
}

/* --- members --- */

int multicast_join(struct multicast *group, struct multicast_member *member)
{
	int err;

	if (member->group == group)
		return 0;
	multicast_leave(member);
	err = have_outlet(group);
	if (err < 0)
		return err;
	member->group = group;
	member->plays = false;
	list_init(&member->link);
	list_append(&group->members, &member->link);
	member->receiver = (struct receiver){.end = member->peer};
	member->receiver.end.port = 0;
	receivers_add(&group->receivers, &member->receiver);
	return 0;
}

int multicast_play(struct multicast_member *member)
{
	struct multicast *group = member->group;

	if (!group)
		return -ENOTCONN;
	if (member->plays)
		return 0;
	member->plays = true;
	group->playing++;
	if (is_sending(group)) /* at the beginning the cursor asks */
		feed_ask_key(group->options.feed);
	return update(group);
}

void multicast_pause(struct multicast_member *member)
{
	struct multicast *group = member->group;

	if (!group || !member->plays)
		return;
	member->plays = false;
	group->playing--;
	(void)update(group);
}

void multicast_leave(struct multicast_member *member)
{
	struct multicast *group = member->group;

	if (!group)
		return;
	member->group = NULL;
	list_remove(&member->link);
	receivers_remove(&member->receiver);
	if (member->plays)
		group->playing--;
	(void)update(group);
}

/* --- life --- */

const struct multicast_settings *multicast_settings(const struct multicast *group)
{
	return &group->options.settings;
}

bool multicast_is_set(const struct multicast *group, const struct multicast_settings *settings)
{
	const struct multicast_settings *own = &group->options.settings;

	return memcmp(own->group.address, settings->group.address, sizeof own->group.address) ==
		       0 &&
	       own->group.port == settings->group.port && own->ttl == settings->ttl &&
	       strcmp(own->interface, settings->interface) == 0;
}

void multicast_set_always(struct multicast *group, bool always)
{
	group->options.settings.always = always;
	(void)update(group);
}

bool multicast_source(const struct multicast *group, struct net_peer *out)
{
	if (!is_sending(group))
		return false;
	net_peer_local_from_fd(out, group->outlet->sender.conn.fd);
	return true;
}

static void send_to(const struct multicast *group, struct net_peer to, const void *data, size_t len)
{
	struct sockaddr_storage address;
	socklen_t address_len;

	to.scope = (uint32_t)group->outlet->interface;
	address_len = net_peer_to_sockaddr(&to, &address);
	(void)sendto(group->rtcp.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL,
		     (struct sockaddr *)&address, address_len);
}

/* RFC 2974 clause 3: the last address of a scope of IPv4 (RFC 2365), or ff0X::2:7ffe. */
static struct net_peer announcements_of(const struct net_peer *group)
{
	static const struct net_peer world = {.address = {[10] = 0xff, 0xff, 224, 2, 127, 254}};
	static const struct net_peer organization = {
		.address = {[10] = 0xff, 0xff, 239, 195, 255, 255}};
	static const struct net_peer site = {.address = {[10] = 0xff, 0xff, 239, 255, 255, 255}};
	struct net_peer ipv6 = {.address = {0xff, [13] = 0x02, 0x7f, 0xfe}};

	if (!net_peer_is_ipv4(group)) {
		ipv6.address[1] = group->address[1] & 0x0f;
		return ipv6;
	}
	if (group->address[12] != 239)
		return world;
	return (group->address[13] & 0xfc) == 192 ? organization : site;
}

void multicast_announce(const struct multicast *group, const void *data, size_t len)
{
	struct net_peer to = announcements_of(&group->options.settings.group);

	to.port = SAP_PORT;
	if (group->outlet)
		send_to(group, to, data, len);
}

int multicast_create(struct multicast **out, const struct multicast_options *options)
{
	struct multicast *group = calloc(1, sizeof *group);

	if (!group)
		return -ENOMEM;
	group->options = *options;
	snprintf(group->name, sizeof group->name, "%s", options->name);
	group->options.name = group->name;
	list_init(&group->members);
	receivers_init(&group->receivers);
	loop_timer_init(&group->retry, handle_retry);
	(void)update(group);
	*out = group;
	return 0;
}

void multicast_destroy(struct multicast *group)
{
	if (!group)
		return;
	loop_timer_cancel(group->options.loop, &group->retry);
	group->options.settings.always = false;
	end_members(group, false);
	close_outlet(group);
	free(group);
}
