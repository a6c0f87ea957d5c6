/* SPDX-License-Identifier: BSD-2-Clause */
/* The multicast group of a stream: who asks for it, one send for all of them, and what ends it. */
#include "tests/unit/rtsp_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "camcast/rtp.h"
#include "daemon/rtsp/multicast.h"
#include "daemon/rtsp/sdp.h"
#include "media/rtp.h"

#define GROUP "239.255.77.1"
#define MULTICAST "Transport: RTP/AVP;multicast\r\n"

/* A server whose group is on the loopback interface, and somebody who has joined it. */
struct net {
	struct rtsp_rig *r;
	int rtp, rtcp; /* of the receiver */
	uint16_t port;
	uint8_t data[65536]; /* of the newest datagram */
	size_t len;
	struct sockaddr_in from;
	int hops; /* its TTL */
};

static int refusal; /* what sends of RTP end with; 0: they are carried out */

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
	if (refusal == 0)
		return __real_sendmmsg(fd, messages, n, flags);
	errno = refusal;
	return -1;
}

static int bind_group(uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
	struct ip_mreqn request = {.imr_ifindex = (int)if_nametoindex("lo")};
	socklen_t len = sizeof address;
	const int on = 1;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	inet_pton(AF_INET, GROUP, &address.sin_addr);
	request.imr_multiaddr = address.sin_addr;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request),
			 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static struct multicast_settings settings_of(const struct net *n)
{
	struct multicast_settings settings = {.ttl = 3, .interface = "lo"};
	char text[64];

	snprintf(text, sizeof text, GROUP ":%u", n->port);
	assert_int_equal(net_group_parse(&settings.group, text), 0);
	return settings;
}

static void make_group(struct net *n, const struct multicast_settings *settings)
{
	struct multicast_options options = {
		.loop = n->r->rig.loop,
		.feed = n->r->rig.feed,
		.name = "front",
		.ssrc = RTSP_SSRC,
		.settings = *settings,
	};

	assert_int_equal(multicast_create(&n->r->multicast, &options), 0);
}

static struct net *begin(void **state)
{
	static struct net net;
	struct net *n = &net;
	struct multicast_settings settings;
	uint16_t rtcp;

	n->r = rtsp_rig_start(state);
	for (;;) {
		n->port = 0;
		n->rtp = bind_group(&n->port);
		if (n->port % 2 == 0)
			break;
		close(n->rtp);
	}
	rtcp = n->port + 1;
	n->rtcp = bind_group(&rtcp);
	settings = settings_of(n);
	make_group(n, &settings);
	return n;
}

static void end(struct net *n)
{
	multicast_destroy(n->r->multicast);
	n->r->multicast = NULL;
	rig_settle(n->r->rig.loop);
	close(n->rtp);
	close(n->rtcp);
	assert_int_equal(feed_stats(n->r->rig.feed)->audience.cursors, 0);
	rtsp_rig_stop(n->r);
}

static bool receive(struct net *n, int fd)
{
	char control[64];
	struct iovec piece = {n->data, sizeof n->data};
	struct msghdr message = {.msg_name = &n->from,
				 .msg_namelen = sizeof n->from,
				 .msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof control};
	ssize_t len = recvmsg(fd, &message, 0);

	if (len < 0)
		return false;
	n->len = (size_t)len;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)
			memcpy(&n->hops, CMSG_DATA(c), sizeof n->hops);
	return true;
}

static unsigned drain(struct net *n, int fd)
{
	unsigned count = 0;

	while (receive(n, fd))
		count++;
	return count;
}

static void add_unit(struct net *n, bool key, size_t len)
{
	size_t unit_len;

	rig_pass(&n->r->rig, 33000);
	rtsp_unit(n->r, key, len, &unit_len);
}

static int dial(struct net *n)
{
	return rtsp_dial(n->r, 0);
}

static void set_up(struct net *n, int fd)
{
	assert_int_equal(rtsp_ask(n->r, fd, "SETUP", RTSP_URL "/trackID=0", MULTICAST), 200);
}

static void play(struct net *n, int fd)
{
	set_up(n, fd);
	assert_int_equal(rtsp_ask(n->r, fd, "PLAY", RTSP_URL "/", ""), 200);
}

static void leave(struct net *n, int fd)
{
	close(fd);
	rig_settle(n->r->rig.loop);
}

/* What the status shows of the group. */
struct shown {
	struct sink_report report;
	struct sink_group group;
	char address[SINK_TEXT_MAX];
	unsigned count;
	bool reported;
};

static void note(const struct cursor *cursor, void *user)
{
	struct shown *shown = user;

	shown->count++;
	assert_string_equal(cursor->sink->scheme(cursor), "multicast");
	cursor->sink->describe(cursor, shown->address);
	shown->reported = cursor->sink->report(cursor, &shown->report);
	assert_true(cursor->sink->group(cursor, &shown->group));
}

static struct shown look(struct net *n)
{
	struct shown shown = {0};

	feed_for_each_cursor(n->r->rig.feed, note, &shown);
	return shown;
}

/* --- one send for all --- */

static void all_who_ask_share_one_send(void **state)
{
	struct net *n = begin(state);
	int first = dial(n), second;
	char answer[160];
	struct shown shown;

	add_unit(n, true, 100);
	play(n, first);
	assert_null(strstr(n->r->heard, "RTP-Info"));
	assert_int_equal(n->r->rig.idrs, 1);
	add_unit(n, false, 100); /* it begins with a key unit */
	assert_int_equal(drain(n, n->rtp), 0);
	add_unit(n, true, 5000);
	assert_int_equal(drain(n, n->rtp), 4);
	assert_int_equal(n->hops, 3);
	assert_true(receive(n, n->rtcp));
	assert_int_equal(n->data[1], 200);
	second = dial(n);
	set_up(n, second);
	snprintf(answer, sizeof answer,
		 "Transport: RTP/AVP;multicast;destination=" GROUP
		 ";port=%u-%u;ttl=3;ssrc=ABCDEF01;mode=\"PLAY\"\r\n",
		 n->port, n->port + 1u);
	assert_non_null(strstr(n->r->heard, answer));
	assert_int_equal(rtsp_ask(n->r, second, "PLAY", RTSP_URL "/", ""), 200);
	assert_int_equal(n->r->rig.idrs, 2); /* each gets one soon */
	add_unit(n, false, 5000);
	assert_int_equal(drain(n, n->rtp), 4);
	shown = look(n);
	assert_int_equal(shown.count, 1);
	assert_int_equal(shown.group.receivers, 2);
	assert_int_equal(shown.group.packets, 8);
	assert_false(shown.reported);
	assert_int_equal(strncmp(shown.address, GROUP ":", sizeof GROUP), 0);
	leave(n, first);
	add_unit(n, false, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	leave(n, second);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 0);
	assert_int_equal(look(n).count, 0);
	end(n);
}

static void pause_of_the_last_one_is_the_end_of_the_packets(void **state)
{
	struct net *n = begin(state);
	int first = dial(n), second = dial(n);

	play(n, first);
	play(n, second);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	assert_int_equal(rtsp_ask(n->r, first, "PAUSE", RTSP_URL, ""), 200);
	add_unit(n, false, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	assert_int_equal(rtsp_ask(n->r, second, "PAUSE", RTSP_URL, ""), 200);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 0);
	assert_int_equal(rtsp_ask(n->r, first, "PLAY", RTSP_URL, ""), 200);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	assert_int_equal(rtsp_ask(n->r, first, "TEARDOWN", RTSP_URL, ""), 200);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 0);
	leave(n, first);
	leave(n, second);
	end(n);
}

static void who_has_not_played_gets_nothing_sent(void **state)
{
	struct net *n = begin(state);
	int fd = dial(n);

	set_up(n, fd);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 0);
	/* Another transport may still be chosen, and then nobody wants the group. */
	assert_int_equal(rtsp_ask(n->r, fd, "SETUP", RTSP_URL, RTSP_TRANSPORT), 200);
	assert_int_equal(rtsp_ask(n->r, fd, "PLAY", RTSP_URL, ""), 200);
	assert_int_equal(rtsp_ask(n->r, fd, "SETUP", RTSP_URL, MULTICAST), 455);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 0);
	leave(n, fd);
	end(n);
}

static void a_group_that_is_sent_always_needs_nobody(void **state)
{
	struct net *n = begin(state);
	struct multicast_settings settings = settings_of(n);
	struct net_peer source;

	assert_false(multicast_source(n->r->multicast, &source));
	multicast_destroy(n->r->multicast);
	settings.always = true;
	make_group(n, &settings);
	assert_true(multicast_source(n->r->multicast, &source));
	assert_true(net_peer_is_ipv4(&source));
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	assert_int_equal(look(n).group.receivers, 0);
	end(n);
}

static void sent_always_or_not_its_sessions_stay(void **state)
{
	struct net *n = begin(state);
	struct multicast_settings settings = settings_of(n);
	int fd = dial(n);

	play(n, fd);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	settings.always = true;
	assert_true(multicast_is_set(n->r->multicast, &settings));
	multicast_set_always(n->r->multicast, true);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	assert_int_equal(rtsp_ask(n->r, fd, "PAUSE", RTSP_URL, ""), 200);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	multicast_set_always(n->r->multicast, false);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 0);
	assert_int_equal(rtsp_ask(n->r, fd, "PLAY", RTSP_URL, ""), 200);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	leave(n, fd);
	multicast_set_always(n->r->multicast, true); /* now nobody has asked */
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	end(n);
}

/* --- what is refused --- */

static void only_a_stream_with_a_group_has_multicast(void **state)
{
	struct net *n = begin(state);
	struct multicast *group = n->r->multicast;
	int fd = dial(n);

	n->r->multicast = NULL;
	assert_int_equal(rtsp_ask(n->r, fd, "SETUP", RTSP_URL, MULTICAST), 461);
	assert_int_equal(rtsp_ask(n->r, fd, "SETUP", RTSP_URL,
				  "Transport: RTP/AVP/UDP;multicast,RTP/AVP/TCP\r\n"),
			 200);
	assert_non_null(strstr(n->r->heard, "interleaved=0-1"));
	n->r->multicast = group;
	assert_int_equal(
		rtsp_ask(n->r, fd, "SETUP", RTSP_URL, "Transport: RTP/AVP/TCP;multicast\r\n"), 461);
	assert_int_equal(rtsp_ask(n->r, fd, "SETUP", RTSP_URL,
				  "Transport: RTP/AVP/UDP;multicast;destination=10.0.0.1\r\n"),
			 200);
	assert_non_null(strstr(n->r->heard, "RTP/AVP/UDP;multicast;destination=" GROUP ";port="));
	n->r->forbidden = true;
	assert_int_equal(rtsp_ask(n->r, fd, "SETUP", RTSP_URL, MULTICAST), 403);
	leave(n, fd);
	end(n);
}

/* Players that have a description of H.264 are to ask for another way. */
static void a_transport_stream_is_for_those_who_expect_it(void **state)
{
	struct net *n = begin(state);
	int fd = dial(n), other = dial(n);

	n->r->ts = n->r->multicast_ts = n->r->rtsp.satip = true;
	add_unit(n, true, 100);
	assert_int_equal(rtsp_ask(n->r, other, "SETUP", RTSP_URL "/trackID=0", MULTICAST), 461);
	assert_int_equal(rtsp_ask(n->r, other, "DESCRIBE", RTSP_URL, ""), 200);
	assert_int_equal(rtsp_ask(n->r, other, "SETUP", RTSP_URL, MULTICAST), 461);
	assert_int_equal(rtsp_ask(n->r, fd, "SETUP", RTSP_URL, MULTICAST), 200);
	assert_non_null(strstr(n->r->heard, "RTP/AVP;multicast;destination=" GROUP ";port="));
	assert_non_null(strstr(n->r->heard, ";ssrc=ABCDEF02;"));
	assert_non_null(strstr(n->r->heard, "\r\ncom.ses.streamID: 1\r\n"));
	assert_int_equal(rtsp_ask(n->r, fd, "PLAY", "rtsp://cam/stream=1", ""), 200);
	add_unit(n, true, 100);
	assert_int_equal(drain(n, n->rtp), 1);
	n->r->multicast_ts = false; /* then they are */
	leave(n, fd);
	fd = dial(n);
	assert_int_equal(rtsp_ask(n->r, fd, "SETUP", RTSP_URL, MULTICAST), 461);
	assert_int_equal(rtsp_ask(n->r, other, "SETUP", RTSP_URL, MULTICAST), 200);
	leave(n, fd);
	leave(n, other);
	end(n);
}

static void without_a_way_players_are_to_ask_for_another(void **state)
{
	struct net *n = begin(state);
	struct multicast_settings settings = settings_of(n);
	int fd = dial(n);

	multicast_destroy(n->r->multicast);
	strcpy(settings.interface, "none0");
	make_group(n, &settings);
	assert_int_equal(rtsp_ask(n->r, fd, "SETUP", RTSP_URL, MULTICAST), 461);
	leave(n, fd);
	end(n);
}

/* How often the log, which is caught in a file, has a text. */
static unsigned count_lines(FILE *log, const char *text)
{
	unsigned count = 0;
	char line[512];

	rewind(log);
	while (fgets(line, sizeof line, log))
		count += strstr(line, text) != NULL;
	return count;
}

/* A firewall refuses what is sent, but no socket. */
static void sends_that_are_refused_are_said_once(void **state)
{
	static const char said[] = "stream front: multicast to " GROUP;
	static const char over[] = "stream front: multicast is sent now";
	struct net *n = begin(state);
	int fd = dial(n), saved = dup(STDERR_FILENO);
	FILE *log = tmpfile();

	assert_non_null(log);
	assert_true(saved >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
	play(n, fd);
	refusal = EPERM;
	for (int i = 0; i < 5; i++, rig_pass(&n->r->rig, 900000))
		add_unit(n, true, 100);
	assert_int_equal(count_lines(log, said), 0);
	for (int i = 0; i < 20; i++, rig_pass(&n->r->rig, 900000)) {
		add_unit(n, true, 100);
		assert_int_equal(rtsp_ask(n->r, fd, "GET_PARAMETER", RTSP_URL, ""), 200);
	}
	assert_int_equal(count_lines(log, said), 1);
	assert_int_equal(count_lines(log, "not permitted; a firewall of this machine"), 1);
	refusal = 0;
	for (int i = 0; i < 3; i++, rig_pass(&n->r->rig, 900000))
		add_unit(n, true, 100);
	assert_true(drain(n, n->rtp) > 0);
	assert_int_equal(count_lines(log, over), 1);
	refusal = EACCES;
	for (int i = 0; i < 7; i++, rig_pass(&n->r->rig, 900000))
		add_unit(n, true, 100);
	assert_int_equal(count_lines(log, said), 2);
	refusal = 0;
	dup2(saved, STDERR_FILENO);
	close(saved);
	fclose(log);
	leave(n, fd);
	end(n);
}

/* --- signs of life --- */

static void say_rtcp(struct net *n, const uint8_t *data, size_t len)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(n->port + 1)};
	/* From the address of the RTSP connection. */
	struct ip_mreqn through = {.imr_ifindex = (int)if_nametoindex("lo"),
				   .imr_address.s_addr = htonl(INADDR_LOOPBACK)};

	inet_pton(AF_INET, GROUP, &to.sin_addr);
	assert_int_equal(setsockopt(n->rtcp, IPPROTO_IP, IP_MULTICAST_IF, &through, sizeof through),
			 0);
	assert_int_equal(sendto(n->rtcp, data, len, 0, (struct sockaddr *)&to, sizeof to), len);
	rig_settle(n->r->rig.loop);
}

static void report(struct net *n, uint8_t fraction, uint8_t lost)
{
	const uint8_t data[] = {0x81, 201,	0, 7, 0,    0, 0, 1, 0xab, 0xcd, 0xef,
				0x01, fraction, 0, 0, lost, 0, 0, 0, 9,	   0,	 0,
				3,    0x84,	0, 0, 0,    0, 0, 0, 0,	   0};

	say_rtcp(n, data, sizeof data);
}

static void reports_in_the_group_keep_the_session(void **state)
{
	struct net *n = begin(state);
	int fd = dial(n);

	play(n, fd);
	for (int i = 0; i < 3; i++) {
		rig_pass(&n->r->rig, 55000000);
		report(n, 128, 5);
	}
	assert_true(look(n).reported);
	assert_int_equal(look(n).report.lost, 5);
	assert_int_equal(look(n).report.permille, 500);
	assert_int_equal(look(n).report.jitter_us, 10000);
	rig_pass(&n->r->rig, 55000000);
	assert_int_equal(rtsp_ask(n->r, fd, "GET_PARAMETER", RTSP_URL, ""), 200);
	rig_pass(&n->r->rig, 61000000);
	rtsp_hear(n->r, fd);
	assert_true(n->r->ended);
	assert_int_equal(look(n).count, 0);
	leave(n, fd);
	end(n);
}

/* They come back to it, from an address that may be that of a player. */
static void reports_of_senders_keep_no_session(void **state)
{
	static const uint8_t own[28] = {0x80, 200, 0, 6, 0xab, 0xcd, 0xef, 0x01};
	static const uint8_t other[28] = {0x80, 200, 0, 6, 0, 0, 0, 1};
	static const uint8_t as_receiver[8] = {0x80, 201, 0, 1, 0xab, 0xcd, 0xef, 0x01};
	struct net *n = begin(state);
	int fd = dial(n);

	play(n, fd);
	for (int i = 0; i < 4; i++) {
		rig_pass(&n->r->rig, 16000000);
		say_rtcp(n, own, sizeof own);
		say_rtcp(n, other, sizeof other);
		say_rtcp(n, as_receiver, sizeof as_receiver);
	}
	rtsp_hear(n->r, fd);
	assert_true(n->r->ended);
	leave(n, fd);
	end(n);
}

/* --- ends --- */

static void a_group_that_goes_takes_its_sessions_along(void **state)
{
	struct net *n = begin(state);
	int plays = dial(n), waits = dial(n);

	play(n, plays);
	set_up(n, waits);
	add_unit(n, true, 100);
	multicast_destroy(n->r->multicast);
	n->r->multicast = NULL;
	rig_settle(n->r->rig.loop);
	rtsp_hear(n->r, plays);
	assert_true(n->r->ended);
	rtsp_hear(n->r, waits);
	assert_true(n->r->ended);
	assert_int_equal(n->r->places.used, 0);
	leave(n, plays);
	leave(n, waits);
	end(n);
}

static void a_stream_that_goes_takes_its_sessions_along(void **state)
{
	struct net *n = begin(state);
	int fd = dial(n);

	play(n, fd);
	add_unit(n, true, 100);
	rig_drain(&n->r->rig);
	rig_settle(n->r->rig.loop);
	rtsp_hear(n->r, fd);
	assert_true(n->r->ended);
	leave(n, fd);
	end(n);
}

/* --- its description --- */

static void the_description_names_the_group(void **state)
{
	struct net *n = begin(state);
	struct multicast_settings settings = settings_of(n);
	struct rtsp_stream stream = {.name = "front", .feed = n->r->rig.feed};
	struct net_peer local = {.address = {[10] = 0xff, 0xff, 192, 0, 2, 1}};
	const struct sdp_options options = {
		.stream = &stream, .local = &local, .group = &settings, .id = 7, .version = 1};
	struct sdp_version version = {0};
	char sdp[SDP_MAX], line[80];

	assert_int_equal(sdp_write(sdp, &options), -EAGAIN);
	add_unit(n, true, 100);
	assert_int_equal(sdp_write(sdp, &options), 0);
	assert_non_null(strstr(sdp, "\r\no=- 7 1 IN IP4 192.0.2.1\r\ns=front\r\n"));
	assert_non_null(strstr(sdp, "\r\nc=IN IP4 " GROUP "/3\r\nt=0 0\r\nm=video "));
	snprintf(line, sizeof line, "\r\nm=video %u RTP/AVP 96\r\n", n->port);
	assert_non_null(strstr(sdp, line));
	assert_null(strstr(sdp, "control"));
	assert_int_equal(net_group_parse(&settings.group, "[ff15::1]:5004"), 0);
	assert_int_equal(sdp_write(sdp, &options), 0);
	assert_non_null(strstr(sdp, "\r\nc=IN IP6 ff15::1\r\n"));
	for (int i = 0; i < 4; i++) { /* what says something else has another version */
		stream.bitrate_bps = i < 2 ? 1000000 : 2000000;
		assert_int_equal(sdp_write_version(sdp, &options, &version), 0);
		assert_non_null(strstr(sdp, i < 2 ? "\r\no=- 7 1 IN" : "\r\no=- 7 2 IN"));
		assert_non_null(strstr(sdp, i < 2 ? "\r\nb=AS:1000\r\n" : "\r\nb=AS:2000\r\n"));
	}
	stream.in_ts = true;
	assert_int_equal(sdp_write(sdp, &options), 0);
	assert_non_null(strstr(sdp, "m=video 5004 RTP/AVP 33\r\nb=AS:2000\r\na=rtpmap:33 MP2T/90000"
				    "\r\n"));
	assert_null(strstr(sdp, "fmtp"));
	end(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(all_who_ask_share_one_send),
		ON_BOTH(pause_of_the_last_one_is_the_end_of_the_packets),
		ON_BOTH(who_has_not_played_gets_nothing_sent),
		ON_BOTH(a_group_that_is_sent_always_needs_nobody),
		ON_BOTH(sent_always_or_not_its_sessions_stay),
		ON_BOTH(only_a_stream_with_a_group_has_multicast),
		ON_BOTH(a_transport_stream_is_for_those_who_expect_it),
		ON_BOTH(without_a_way_players_are_to_ask_for_another),
		ON_BOTH(sends_that_are_refused_are_said_once),
		ON_BOTH(reports_of_senders_keep_no_session),
		ON_BOTH(reports_in_the_group_keep_the_session),
		ON_BOTH(a_group_that_goes_takes_its_sessions_along),
		ON_BOTH(a_stream_that_goes_takes_its_sessions_along),
		ON_BOTH(the_description_names_the_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
