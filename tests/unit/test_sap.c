/* SPDX-License-Identifier: BSD-2-Clause */
/* The announcement of a multicast group: its bytes, where it is sent, and what takes its place. */
#include "tests/unit/rtsp_rig.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/rtsp/multicast.h"
#include "daemon/rtsp/sap.h"

/* A group on the loopback interface, which is sent to always. */
struct place {
	struct rtsp_rig *r;
	struct multicast *group;
	uint8_t data[65536]; /* of the newest datagram */
	size_t len;
	unsigned deletions; /* of this program's announcements */
};

static struct multicast_settings settings_of(const char *group)
{
	struct multicast_settings settings = {.ttl = 3, .interface = "lo", .always = true};

	assert_int_equal(net_group_parse(&settings.group, group), 0);
	return settings;
}

static void make_group(struct place *p, const char *group)
{
	struct multicast_options options = {
		.loop = p->r->rig.loop,
		.feed = p->r->rig.feed,
		.name = "front",
		.ssrc = RTSP_SSRC,
		.settings = settings_of(group),
	};

	multicast_destroy(p->group);
	assert_int_equal(multicast_create(&p->group, &options), 0);
}

static struct place *begin(void **state)
{
	static struct place place;
	struct place *p = &place;

	*p = (struct place){.r = rtsp_rig_start(state)};
	make_group(p, "239.255.77.1:5004");
	return p;
}

static void end(struct place *p)
{
	multicast_destroy(p->group);
	rig_settle(p->r->rig.loop);
	rtsp_rig_stop(p->r);
}

static bool receive(struct place *p, int fd)
{
	ssize_t len = recv(fd, p->data, sizeof p->data, 0);

	p->len = len < 0 ? 0 : (size_t)len;
	return len >= 0;
}

static void an_announcement_is_as_the_rfc_has_it(void **state)
{
	const struct net_peer ipv4 = {.address = {[10] = 0xff, 0xff, 192, 0, 2, 1}};
	const struct net_peer ipv6 = {.address = {0x20, 0x01, [15] = 7}};
	static uint8_t out[SAP_MAX], other[SAP_MAX];
	const char sdp[] = "v=0\r\n";
	const char whole[] = "v=0\r\no=- 71 1 IN IP4 192.0.2.1\r\ns=front\r\n";

	(void)state;
	assert_int_equal(sap_write(out, false, &ipv4, sdp), 8 + 16 + 5);
	assert_int_equal(out[0], 0x20);
	assert_int_equal(out[1], 0);
	assert_memory_equal(out + 4,
			    "\xc0\x00\x02\x01"
			    "application/sdp\0v=0\r\n",
			    25);
	assert_int_equal(sap_write(other, true, &ipv4, sdp), 8 + 16 + 5);
	assert_int_equal(other[0], 0x24);
	assert_memory_equal(out + 1, other + 1, 28);
	assert_true(out[2] != 0 || out[3] != 0);
	assert_int_equal(sap_write(other, false, &ipv6, "v=1\r\n"), 20 + 16 + 5);
	assert_int_equal(other[0], 0x30);
	assert_memory_equal(other + 4, ipv6.address, 16);
	assert_memory_not_equal(out + 2, other + 2, 2);
	/* The end has the line of the origin alone, and the same hash. */
	assert_true(sap_write(out, false, &ipv4, whole) == 24 + sizeof whole - 1);
	assert_int_equal(sap_write(other, true, &ipv4, whole), 24 + 27);
	assert_memory_equal(other + 24, "o=- 71 1 IN IP4 192.0.2.1\r\n", 27);
	assert_memory_equal(out + 2, other + 2, 2);
}

struct said {
	const char *sdp; /* NULL: nothing is known yet */
};

static bool say(void *user, char sdp[SDP_MAX])
{
	struct said *said = user;

	if (said->sdp)
		strcpy(sdp, said->sdp);
	return said->sdp;
}

static int hear_announcements(const char *group)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9875)};
	struct ip_mreqn request = {.imr_ifindex = (int)if_nametoindex("lo")};
	const int on = 1;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	inet_pton(AF_INET, group, &address.sin_addr);
	request.imr_multiaddr = address.sin_addr;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request),
			 0);
	return fd;
}

/* Whether an announcement of ours is heard; those of other tests may be, too. */
static bool hears(struct place *p, int fd, uint8_t first, const char *sdp)
{
	char ours[32];

	snprintf(ours, sizeof ours, "o=- %d ", getpid());
	while (receive(p, fd)) {
		p->deletions += p->data[0] == 0x24 && memmem(p->data, p->len, ours, strlen(ours));
		if (p->data[0] == first && p->len > 24 && p->len == 24 + strlen(sdp) &&
		    memcmp(p->data + 24, sdp, strlen(sdp)) == 0)
			return true;
	}
	return false;
}

static void a_group_is_announced_until_it_is_gone(void **state)
{
	struct place *p = begin(state);
	struct said said = {0};
	struct sap_options options = {.loop = p->r->rig.loop, .describe = say, .user = &said};
	char one[64], two[64];
	struct sap *sap;
	int fd = hear_announcements("239.255.255.255");

	snprintf(one, sizeof one, "v=0\r\no=- %d 1\r\ns=one\r\n", getpid());
	snprintf(two, sizeof two, "v=0\r\no=- %d 2\r\ns=two\r\n", getpid());
	options.group = p->group;
	assert_int_equal(sap_create(&sap, &options), 0);
	rig_pass(&p->r->rig, 1000000);
	said.sdp = one;
	rig_pass(&p->r->rig, 1000000);
	assert_true(hears(p, fd, 0x20, one));
	rig_pass(&p->r->rig, 4000000);
	assert_false(hears(p, fd, 0x20, one));
	rig_pass(&p->r->rig, 1000000);
	assert_true(hears(p, fd, 0x20, one));
	said.sdp = two; /* another description takes the place of the first */
	rig_pass(&p->r->rig, 5000000);
	assert_true(hears(p, fd, 0x20, two));
	assert_int_equal(p->deletions, 0);
	sap_destroy(sap);
	two[strcspn(two + 5, "\n") + 6] = '\0';
	assert_true(hears(p, fd, 0x24, two + 5));
	close(fd);
	end(p);
}

static void announcements_are_of_the_scope_of_the_group(void **state)
{
	static const struct {
		const char *group, *announced;
	} cases[] = {{"239.255.77.1:5004", "239.255.255.255"},
		     {"239.1.2.3:5004", "239.255.255.255"},
		     {"239.193.2.3:5004", "239.195.255.255"},
		     {"224.2.130.1:5004", "224.2.127.254"}};
	struct place *p = begin(state);
	char text[64];

	snprintf(text, sizeof text, "o%23s%d", "", getpid());
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int heard[sizeof cases / sizeof *cases];

		make_group(p, cases[i].group);
		for (size_t j = 1; j < sizeof cases / sizeof *cases; j++)
			heard[j] = hear_announcements(cases[j].announced);
		multicast_announce(p->group, text, strlen(text));
		for (size_t j = 1; j < sizeof cases / sizeof *cases; j++) {
			assert_int_equal(hears(p, heard[j], 'o', text + 24),
					 strcmp(cases[i].announced, cases[j].announced) == 0);
			close(heard[j]);
		}
	}
	end(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_announcement_is_as_the_rfc_has_it),
		ON_BOTH(a_group_is_announced_until_it_is_gone),
		ON_BOTH(announcements_are_of_the_scope_of_the_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
