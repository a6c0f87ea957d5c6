/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/rtsp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "bench/lib/sdp.h"
#include "net/message.h"

#define BODY_MAX 65536	   /* bytes of a description */
#define URL_MAX 512	   /* bytes, terminator included */
#define SESSION_MAX 128	   /* bytes, terminator included */
#define FRAME_HEAD 4	   /* `$`, channel, length (RFC 2326 clause 10.12) */
#define TIMEOUT_S 60	   /* of a session, if the server names none (clause 12.37) */
#define TIMEOUT_MAX_S 3600 /* longer ones count as this */

enum state { ASKS_OPTIONS, ASKS_DESCRIBE, ASKS_SETUP, ASKS_PLAY, PLAYS };

struct rtsp_player {
	struct rtsp_tally *tally;
	struct buffer *out;
	enum state state;
	unsigned asked, answered; /* CSeq of the newest of each */
	char url[URL_MAX];	  /* asked for; from DESCRIBE on that of the whole presentation */
	char session[SESSION_MAX];
	const char *keep_alive;	     /* a method */
	int64_t interval_us, due_us; /* between two of these; of the next one */
	enum rtsp_transport transport;
	unsigned video, control; /* RTSP_INTERLEAVED: channels */
	uint16_t port;		 /* RTSP_UDP: of RTP */
	struct udp_group group;	 /* RTSP_MULTICAST; ports 0: not known yet */
	bool named;		 /* RTP-Info named `first`; no packet came since */
	uint16_t first;
	struct sdp sdp;
	struct rtp_reader rtp;
};

/* --- requests --- */

/* headers: further ones, each with its CRLF. */
static void ask(struct rtsp_player *rtsp, const char *method, const char *url, const char *headers)
{
	char text[URL_MAX + SESSION_MAX + 256];
	int len = snprintf(text, sizeof(text),
			   "%s %s RTSP/1.0\r\nCSeq: %u\r\nUser-Agent: camload\r\n%s%s%s%s\r\n",
			   method, url, ++rtsp->asked, rtsp->session[0] ? "Session: " : "",
			   rtsp->session, rtsp->session[0] ? "\r\n" : "", headers);

	buffer_append(rtsp->out, text, (size_t)len);
}

/* RFC 2326 clause C.1.1: base and control make a URL. */
static int resolve(char out[URL_MAX], const char *base, const char *control)
{
	size_t len = strlen(base);
	const char *slash = len > 0 && base[len - 1] == '/' ? "" : "/";
	int n;

	if (strncasecmp(control, "rtsp://", 7) == 0)
		n = snprintf(out, URL_MAX, "%s", control);
	else if (control[0] == '\0' || strcmp(control, "*") == 0)
		n = snprintf(out, URL_MAX, "%s", base);
	else
		n = snprintf(out, URL_MAX, "%s%s%s", base, slash, control);
	return n < URL_MAX ? 0 : -EPROTO;
}

void rtsp_player_tick(struct rtsp_player *rtsp, int64_t now_us)
{
	if (rtsp->state != PLAYS || now_us < rtsp->due_us)
		return;
	ask(rtsp, rtsp->keep_alive, rtsp->url, "");
	rtsp->due_us = now_us + rtsp->interval_us;
}

void rtsp_player_leave(struct rtsp_player *rtsp)
{
	if (rtsp->session[0])
		ask(rtsp, "TEARDOWN", rtsp->url, "");
	rtsp->session[0] = '\0';
}

/* --- answers --- */

static void ask_setup(struct rtsp_player *rtsp, const char *video)
{
	char text[96];

	switch (rtsp->transport) {
	case RTSP_INTERLEAVED:
		ask(rtsp, "SETUP", video, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
		return;
	case RTSP_UDP:
		snprintf(text, sizeof(text), "Transport: RTP/AVP;unicast;client_port=%u-%u\r\n",
			 rtsp->port, rtsp->port + 1u);
		ask(rtsp, "SETUP", video, text);
		return;
	case RTSP_MULTICAST:
		ask(rtsp, "SETUP", video, "Transport: RTP/AVP;multicast\r\n");
		return;
	}
}

static int take_description(struct rtsp_player *rtsp, const struct message *message,
			    const char *body, size_t len)
{
	const char *base = message_header(message, "Content-Base", NULL);
	char video[URL_MAX];
	int result;

	if (!base)
		base = message_header(message, "Content-Location", NULL);
	if (!base)
		base = rtsp->url;
	sdp_finish(&rtsp->sdp);
	result = sdp_parse(&rtsp->sdp, body, len);
	if (result == 0)
		result = resolve(video, base, rtsp->sdp.video_control);
	if (result == 0) {
		char whole[URL_MAX];

		result = resolve(whole, base, rtsp->sdp.control);
		memcpy(rtsp->url, whole, sizeof(whole));
	}
	if (result < 0)
		return result;
	rtsp->rtp.payload_type = rtsp->sdp.payload_type;
	rtsp->rtp.parameter_sets = &rtsp->sdp.parameter_sets;
	rtsp->state = ASKS_SETUP;
	ask_setup(rtsp, video);
	return 0;
}

/* "ID;timeout=60" */
static int take_session(struct rtsp_player *rtsp, const char *text)
{
	size_t len = text ? strcspn(text, "; ") : 0;
	const char *timeout = text ? strstr(text, "timeout=") : NULL;
	unsigned seconds = TIMEOUT_S;

	if (len == 0 || len >= sizeof(rtsp->session))
		return -EBADMSG;
	memcpy(rtsp->session, text, len);
	rtsp->session[len] = '\0';
	if (timeout && sscanf(timeout, "timeout=%9u", &seconds) == 1 && seconds > TIMEOUT_MAX_S)
		seconds = TIMEOUT_MAX_S;
	rtsp->interval_us = (seconds > 0 ? seconds : 1) * INT64_C(500000);
	return 0;
}

/* RFC 2326 clause 12.39: "a=x;b=y". Returns what follows `name=` in it, or NULL. */
static const char *parameter(const char *transport, const char *name)
{
	size_t len = strlen(name);

	while (transport && strncasecmp(transport, name, len) != 0) {
		transport = strchr(transport, ';');
		transport += transport != NULL;
	}
	return transport ? transport + len : NULL;
}

static int take_group(struct rtsp_player *rtsp, const char *transport)
{
	const char *destination = parameter(transport, "destination=");
	const char *ports = parameter(transport, "port=");
	unsigned rtp, rtcp;
	char text[INET_ADDRSTRLEN];

	if (!destination || !ports || sscanf(destination, "%15[0-9.]", text) != 1 ||
	    inet_pton(AF_INET, text, &rtsp->group.address) != 1 ||
	    !IN_MULTICAST(ntohl(rtsp->group.address.s_addr)))
		return -EBADMSG;
	if (sscanf(ports, "%5u-%5u", &rtp, &rtcp) != 2 || rtp == 0 || rtp > UINT16_MAX ||
	    rtcp == 0 || rtcp > UINT16_MAX)
		return -EBADMSG;
	rtsp->group.rtp = (uint16_t)rtp;
	rtsp->group.rtcp = (uint16_t)rtcp;
	return 0;
}

/* What the server chose: that which was asked for. */
static int take_transport(struct rtsp_player *rtsp, const char *transport)
{
	const char *value;
	unsigned rtp;

	switch (rtsp->transport) {
	case RTSP_INTERLEAVED:
		value = parameter(transport, "interleaved=");
		return value && sscanf(value, "%3u-%3u", &rtsp->video, &rtsp->control) == 2
			       ? 0
			       : -EBADMSG;
	case RTSP_UDP:
		value = parameter(transport, "client_port=");
		return value && sscanf(value, "%5u", &rtp) == 1 && rtp == rtsp->port ? 0 : -EBADMSG;
	case RTSP_MULTICAST:
		break;
	}
	return take_group(rtsp, transport);
}

static int take_setup(struct rtsp_player *rtsp, const struct message *message)
{
	if (take_transport(rtsp, message_header(message, "Transport", NULL)) < 0)
		return -EBADMSG;
	if (take_session(rtsp, message_header(message, "Session", NULL)) < 0)
		return -EBADMSG;
	rtsp->state = ASKS_PLAY;
	ask(rtsp, "PLAY", rtsp->url, "Range: npt=now-\r\n");
	return 0;
}

static void take_play(struct rtsp_player *rtsp, const struct message *message, int64_t now_us)
{
	const char *info = message_header(message, "RTP-Info", NULL);
	const char *seq = info ? strstr(info, "seq=") : NULL;
	unsigned first;

	rtsp->state = PLAYS;
	rtsp->due_us = now_us + rtsp->interval_us;
	rtsp->named = seq && sscanf(seq, "seq=%5u", &first) == 1 && !rtsp->rtp.begun;
	if (rtsp->named)
		rtsp->first = (uint16_t)first;
}

static int take_answer(struct rtsp_player *rtsp, const struct message *message, const char *body,
		       size_t len, int64_t now_us)
{
	const char *number = message_header(message, "CSeq", NULL);

	if (rtsp->answered == rtsp->asked || !number ||
	    strtoul(number, NULL, 10) != rtsp->answered + 1)
		return -EBADMSG;
	rtsp->answered++;
	if (message->status >= 300) {
		rtsp->tally->refused++;
		return rtsp->state == PLAYS ? 0 : -EPROTO;
	}
	switch (rtsp->state) {
	case ASKS_OPTIONS:
		if (message_has_token(message, "Public", "GET_PARAMETER"))
			rtsp->keep_alive = "GET_PARAMETER";
		rtsp->state = ASKS_DESCRIBE;
		ask(rtsp, "DESCRIBE", rtsp->url, "Accept: application/sdp\r\n");
		break;
	case ASKS_DESCRIBE:
		return take_description(rtsp, message, body, len);
	case ASKS_SETUP:
		return take_setup(rtsp, message);
	case ASKS_PLAY:
		take_play(rtsp, message, now_us);
		break;
	case PLAYS:
		break;
	}
	return 0;
}

/* A positive count of bytes taken, 0: more have to come, or an error. */
static ssize_t take_message(struct rtsp_player *rtsp, const uint8_t *data, size_t len,
			    int64_t now_us)
{
	static struct message message; /* too large for the stack, and used here only */
	const char *text = (const char *)data;
	size_t head, body = 0;
	int result;

	message_init(&message);
	result = message_push(&message, text, len, &head);
	if (result == MESSAGE_MORE || result < 0)
		return result < 0 ? -EBADMSG : 0;
	if (result != MESSAGE_COMPLETE || message.protocol != MESSAGE_RTSP)
		return -EBADMSG;
	if (message.content_length > 0)
		body = (size_t)message.content_length;
	if (body > BODY_MAX)
		return -EBADMSG;
	if (len < head + body)
		return 0;
	/* A request of the server needs no answer for its stream to go on. */
	result = message.status == 0 ? 0 : take_answer(rtsp, &message, text + head, body, now_us);
	return result < 0 ? result : (ssize_t)(head + body);
}

/* --- packets --- */

static int take_packet(struct rtsp_player *rtsp, bool control, const uint8_t *packet, size_t len,
		       int64_t now_us)
{
	int result;

	if (control)
		return rtp_reader_read_control(&rtsp->rtp, packet, len);
	result = rtp_reader_read(&rtsp->rtp, packet, len, now_us);
	if (rtsp->named && result == 0 && rtsp->rtp.begun) {
		uint16_t later = (uint16_t)(rtsp->first - (uint16_t)(rtsp->rtp.next - 1));

		rtsp->tally->ahead += later > 0 && later < 0x8000;
		rtsp->named = false;
	}
	return result;
}

int rtsp_player_datagram(struct rtsp_player *rtsp, bool control, const uint8_t *packet, size_t len,
			 int64_t now_us)
{
	/* Those of an earlier session at the same port are no mistake of the server. */
	return rtsp->state < ASKS_PLAY ? 0 : take_packet(rtsp, control, packet, len, now_us);
}

/* As take_message(). */
static ssize_t take_frame(struct rtsp_player *rtsp, const uint8_t *data, size_t len, int64_t now_us)
{
	size_t size = len >= FRAME_HEAD ? bytes_get16(data + 2) : SIZE_MAX - FRAME_HEAD;
	int result = 0;

	if (len < FRAME_HEAD + size)
		return 0;
	if (rtsp->state < ASKS_PLAY || rtsp->transport != RTSP_INTERLEAVED)
		return -EBADMSG;
	if (data[1] == rtsp->video || data[1] == rtsp->control)
		result = take_packet(rtsp, data[1] == rtsp->control, data + FRAME_HEAD, size,
				     now_us);
	return result < 0 ? result : (ssize_t)(FRAME_HEAD + size);
}

int rtsp_player_received(struct rtsp_player *rtsp, struct buffer *in, int64_t now_us)
{
	size_t at = 0;
	ssize_t n = 1;

	while (n > 0 && at < in->len) {
		const uint8_t *data = in->data + at;
		size_t len = in->len - at;

		n = *data == '$' ? take_frame(rtsp, data, len, now_us)
				 : take_message(rtsp, data, len, now_us);
		if (n > 0)
			at += (size_t)n;
	}
	if (at > 0)
		buffer_drop(in, at);
	return n < 0 ? (int)n : 0;
}

/* --- its life --- */

struct rtsp_player *rtsp_player_create(const char *host, const char *path, struct rtsp_tally *tally,
				       struct buffer *out, unit_fn *unit, void *ctx)
{
	struct rtsp_player *rtsp = calloc(1, sizeof(*rtsp));

	if (!rtsp) {
		perror("rtsp");
		exit(1);
	}
	rtsp->tally = tally;
	rtsp->out = out;
	rtsp->keep_alive = "OPTIONS";
	snprintf(rtsp->url, sizeof(rtsp->url), "rtsp://%s/%s", host, path);
	rtp_reader_init(&rtsp->rtp, &tally->rtp, unit, ctx);
	ask(rtsp, "OPTIONS", rtsp->url, "");
	return rtsp;
}

void rtsp_player_use(struct rtsp_player *rtsp, enum rtsp_transport transport, uint16_t port)
{
	rtsp->transport = transport;
	rtsp->port = port;
}

const struct udp_group *rtsp_player_group(const struct rtsp_player *rtsp)
{
	return rtsp->group.rtp ? &rtsp->group : NULL;
}

bool rtsp_player_plays(const struct rtsp_player *rtsp)
{
	return rtsp->state == PLAYS;
}

void rtsp_player_destroy(struct rtsp_player *rtsp)
{
	if (!rtsp)
		return;
	rtp_reader_finish(&rtsp->rtp);
	sdp_finish(&rtsp->sdp);
	free(rtsp);
}
