/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/rtsp_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "camcast/rtp.h"
#include "media/rtp.h"

static const uint8_t preamble[] = {0, 5, 0x67, 0x64, 0x00, 0x1e, 0xac, 0, 2, 0x68, 0xeb};

static int find(void *user, const struct net_peer *peer, const struct access_who *who,
		const char *name, struct rtsp_stream *out)
{
	struct rtsp_rig *r = user;

	(void)peer;
	if (strcmp(name, "front") != 0)
		return -ENOENT;
	if (r->forbidden || (r->users_only && !who->user))
		return -EACCES;
	*out = (struct rtsp_stream){
		.name = "front",
		.feed = r->rig.feed,
		.viewers = &r->viewers,
		.multicast = r->multicast_ts ? NULL : r->multicast,
		.jpeg = r->jpeg,
		.ssrc = RTSP_SSRC,
		.bitrate_bps = 2000000,
		.rate_milli = 29970,
	};
	if (r->ts) {
		out->ts_feed = r->rig.feed;
		out->ts_viewers = &r->viewers;
		out->ts_ssrc = RTSP_TS_SSRC;
		out->ts_multicast = r->multicast_ts ? r->multicast : NULL;
	}
	return 0;
}

struct rtsp_rig *rtsp_rig_start(void **state)
{
	static struct rtsp_rig rig;
	struct rtsp_rig *r = &rig;

	memset(r, 0, sizeof *r);
	rig_init(&r->rig, *(enum config_backend *)*state);
	r->rig.options.preamble_apart = true;
	rig_start(&r->rig);
	r->rtsp = (struct rtsp){.find = find, .user = r};
	r->places = (struct quota){.name = "feed test/rtp", .max = 3, .viewers = true};
	rtsp_init_endpoint(&r->door, &r->rtsp);
	rtsp_init_viewers(&r->viewers, &r->rtsp, &r->places);
	assert_int_equal(feed_set_preamble(r->rig.feed, preamble, sizeof preamble), 0);
	r->sequence = 65000;
	r->time = 0xfffff000;
	return r;
}

void rtsp_rig_stop(struct rtsp_rig *r)
{
	rig_stop(&r->rig);
}

int rtsp_dial(struct rtsp_rig *r, int rcvbuf)
{
	int ends[2], on = 1;

	rig_pair(ends, rcvbuf);
	assert_int_equal(setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
	server_accept(r->rig.server, &r->door, ends[0]);
	rig_settle(r->rig.loop);
	return ends[1];
}

void rtsp_say(struct rtsp_rig *r, int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	rig_settle(r->rig.loop);
}

const char *rtsp_hear(struct rtsp_rig *r, int fd)
{
	struct pollfd more = {.fd = fd, .events = POLLIN};
	const char *session;
	ssize_t n;

	r->len = 0;
	do {
		rig_settle(r->rig.loop);
		n = recv(fd, r->heard + r->len, RTSP_HEARD_MAX - r->len, MSG_DONTWAIT);
		r->len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EAGAIN && poll(&more, 1, 20) > 0));
	r->ended = n == 0 || (n < 0 && errno == ECONNRESET);
	r->heard[r->len] = '\0';
	session = strstr(r->heard, "\r\nSession: ");
	if (session)
		memcpy(r->session, session + 11, 16);
	return r->heard;
}

int rtsp_ask(struct rtsp_rig *r, int fd, const char *method, const char *url, const char *headers)
{
	char text[8192];

	snprintf(text, sizeof text, "%s %s RTSP/1.0\r\nCSeq: 7\r\n%s\r\n", method, url, headers);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return 0;
	rtsp_hear(r, fd);
	if (strncmp(r->heard, "RTSP/1.0 ", 9) != 0)
		return 0;
	assert_non_null(strstr(r->heard, "\r\nCSeq: 7\r\n"));
	return atoi(r->heard + 9);
}

void rtsp_play(struct rtsp_rig *r, int fd)
{
	assert_int_equal(rtsp_ask(r, fd, "SETUP", RTSP_URL "/trackID=0", RTSP_TRANSPORT), 200);
	assert_int_equal(rtsp_ask(r, fd, "PLAY", RTSP_URL "/", ""), 200);
}

int rtsp_bind_port(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

uint16_t rtsp_bind_pair(int *rtp, int *rtcp)
{
	struct sockaddr_in address;
	socklen_t len = sizeof address;
	uint16_t port;

	for (;;) {
		*rtp = rtsp_bind_port(0);
		assert_int_equal(getsockname(*rtp, (struct sockaddr *)&address, &len), 0);
		port = ntohs(address.sin_port);
		*rtcp = port % 2 == 0 ? rtsp_bind_port(port + 1) : -1;
		if (*rtcp >= 0)
			return port;
		close(*rtp);
	}
}

const uint8_t *rtsp_unit(struct rtsp_rig *r, bool key, size_t len, size_t *unit_len)
{
	static uint8_t unit[1 << 20];
	uint8_t *at = unit;
	struct rtp_head head = {.type = 96, .time = r->time, .ssrc = RTSP_SSRC};

	r->time += 3000;
	if (key) {
		const struct rtp_report report = {.ssrc = RTSP_SSRC, .time = head.time};

		at = rtp_put_report(at, CAMCAST_RTCP_CHANNEL, &report);
	}
	while (len > 0) {
		size_t n = len < 1388 ? len : 1388;

		head.sequence = r->sequence++;
		head.marker = n == len;
		at = rtp_put_frame(at, CAMCAST_RTP_CHANNEL, RTP_HEAD + n);
		at = rtp_put_head(at, &head);
		memset(at, (int)len, n);
		at += n;
		len -= n;
	}
	*unit_len = (size_t)(at - unit);
	if (r->rig.segment < 0 || r->rig.offset + *unit_len > r->rig.segment_size)
		rig_new_segment(&r->rig, 4 << 20);
	assert_int_equal(pwrite(r->rig.segment, unit, *unit_len, r->rig.offset), *unit_len);
	assert_int_equal(rig_publish(&r->rig, r->rig.segment_id, r->rig.offset, (uint32_t)*unit_len,
				     key ? KEY : 0),
			 0);
	r->rig.offset += (uint32_t)*unit_len;
	rig_settle(r->rig.loop);
	return unit;
}
