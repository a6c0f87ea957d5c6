/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "camcast/rtp.h"
#include "daemon/rtsp/sdp.h"
#include "daemon/rtsp/session.h"
#include "daemon/rtsp/transport.h"
#include "media/rtp.h"

#define DESCRIBE_US 3000000	  /* VLC changes to another protocol when it waits longer */
#define DESCRIBE_COPY_US 15000000 /* no key unit can be asked for */
#define METHODS "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"

static void refuse(struct rtsp_session *session, int status)
{
	char challenges[RTSP_CHALLENGES_MAX];

	if (status == 401) {
		rtsp_write_challenges(session, false, challenges);
		rtsp_answer(session, status, challenges, NULL);
	} else {
		rtsp_answer(session, status, status == 455 ? "Allow: " METHODS "\r\n" : "", NULL);
	}
}

/* Whether a user might do what somebody may not. */
static bool may_log_in(const struct rtsp_session *session)
{
	const struct rtsp *rtsp = session->rtsp;

	if (rtsp->access)
		access_count_refused(rtsp->access);
	return rtsp->access && !session->who.user && access_has_users(rtsp->access);
}

/* --- what a request is about --- */

bool rtsp_cut_name(char *path, const char **name)
{
	const size_t track = strlen(RTSP_TRACK);
	size_t len = strlen(path);
	bool found;

	while (len > 0 && path[len - 1] == '/')
		len--;
	found = len > track && memcmp(path + len - track, RTSP_TRACK, track) == 0 &&
		path[len - track - 1] == '/';
	if (found)
		len -= track;
	while (len > 0 && path[len - 1] == '/')
		len--;
	path[len] = '\0';
	*name = path + (path[0] == '/');
	return found;
}

/* Where the peer finds the server: as it says itself, without a user and a password, else as the
 * kernel does. */
static void write_base(struct rtsp_session *session, const struct message *head, const char *name,
		       char *base, size_t size)
{
	const char *host = head->authority, *at = host ? strrchr(host, '@') : NULL;
	struct net_peer local;
	char text[NET_PEER_TEXT_MAX];

	if (at)
		host = at + 1;
	if (!host || !host[0] || strlen(host) + strlen(name) + 16 > size) {
		net_peer_local_from_fd(&local, session->connection->conn.fd);
		net_peer_format(&local, text);
		host = text;
	}
	snprintf(base, size, "rtsp%s://%s/%s/", connection_secure(session->connection) ? "s" : "",
		 host, name);
}

/* 0, or the status of the refusal. */
static int find_stream(struct rtsp_session *session, const struct message *head,
		       struct rtsp_stream *out, char base[sizeof session->base])
{
	const struct rtsp *rtsp = session->rtsp;
	char path[RTSP_PATH_MAX];
	const char *name;
	int err;

	if (message_decode(head->path, path, sizeof path) < 0)
		return 404;
	rtsp_cut_name(path, &name);
	err = rtsp->find(rtsp->user, &session->connection->peer, &session->who, name, out);
	if (err < 0 && rtsp->access && !(session->who.may & CONFIG_MAY_VIEW))
		err = -EACCES; /* strangers are not told which streams there are */
	if (err == -EACCES)
		return may_log_in(session) ? 401 : 403;
	if (err < 0)
		return 404;
	write_base(session, head, out->name, base, sizeof session->base);
	return 0;
}

/* Whether the request names this session, or none where there is one: the connection is what
 * matters. */
static bool is_own(const struct rtsp_session *session, const struct message *head)
{
	const char *value = message_header(head, "Session", NULL);
	char own[17];

	if (session->id == 0)
		return false;
	snprintf(own, sizeof own, "%016" PRIx64, session->id);
	return !value || (strncmp(value, own, 16) == 0 &&
			  (value[16] == '\0' || value[16] == ';' || value[16] == ' '));
}

/* False: it was refused. */
static bool check_session(struct rtsp_session *session, const struct message *head)
{
	if (is_own(session, head))
		return true;
	refuse(session, session->id == 0 && !message_header(head, "Session", NULL) ? 455 : 454);
	return false;
}

/* --- the methods --- */

static void handle_options(struct rtsp_session *session, const struct message *head)
{
	(void)head;
	rtsp_answer(session, 200, "Public: " METHODS "\r\n", NULL);
}

/* The log of the feed that is wanted, if it has a unit, else NULL. */
static const struct log *wanted_log(const struct rtsp_session *session)
{
	const struct log *log = session->wanted ? feed_log(session->wanted) : NULL;

	return log && log->tail < log->head ? log : NULL;
}

static bool describe(struct rtsp_session *session, bool last)
{
	char sdp[SDP_MAX], headers[sizeof session->base + 64];
	struct net_peer local;
	const struct sdp_options options = {
		.stream = &session->stream,
		.local = &local,
		.id = session->stream.ssrc,
		.version = 1,
	};

	net_peer_local_from_fd(&local, session->connection->conn.fd);
	if (session->wanted && sdp_write(sdp, &options) == 0) {
		snprintf(headers, sizeof headers,
			 "Content-Base: %s\r\nContent-Type: application/sdp\r\n", session->base);
		session->described = true;
		rtsp_answer(session, 200, headers, sdp);
		return true;
	}
	if (last)
		refuse(session, 503);
	return last;
}

/* Answers when the stream, which is wanted from now on, has a unit. */
static void wait_for_unit(struct rtsp_session *session)
{
	struct feed *feed = session->stream.feed;

	if (!rtsp_want(session, feed)) {
		refuse(session, 503);
		return;
	}
	session->phase = RTSP_DESCRIBING;
	if (rtsp_describe(session, false))
		return;
	if (feed_can_force_idr(feed)) {
		rtsp_set_timeout(session, DESCRIBE_US);
		return;
	}
	/* The delay is the source's, but a peer cannot have it more than once. */
	if (session->until_us && !session->waited)
		session->until_us += DESCRIBE_COPY_US;
	session->waited = true;
	rtsp_set_timeout(session, DESCRIBE_COPY_US);
}

static void handle_describe(struct rtsp_session *session, const struct message *head)
{
	struct rtsp_stream stream;
	char base[sizeof session->base];
	int status = find_stream(session, head, &stream, base);

	if (status == 0 && session->id != 0 && stream.feed != session->stream.feed)
		status = 455; /* one stream at a time */
	if (status > 0) {
		refuse(session, status);
		return;
	}
	session->stream = stream;
	session->satip = false;
	memcpy(session->base, base, sizeof base);
	wait_for_unit(session);
}

static bool choose_id(struct rtsp_session *session)
{
	while (session->id == 0)
		if (getrandom(&session->id, sizeof session->id, 0) != sizeof session->id)
			return false;
	return true;
}

/* The transports that a peer may have. What is said in TLS is not sent without it, and a tunnel is
 * there because nothing else comes through. */
static unsigned kinds_for(const struct rtsp_session *session, const struct rtsp_stream *stream)
{
	bool apart = !session->cookie[0] && !connection_secure(session->connection);

	return TRANSPORT_INTERLEAVED | (apart && session->rtsp->udp ? TRANSPORT_UDP : 0) |
	       (apart && stream->multicast ? TRANSPORT_MULTICAST : 0);
}

static bool is_same(const struct transport *a, const struct transport *b)
{
	return a->kind == b->kind && a->rtp_port == b->rtp_port && a->rtcp_port == b->rtcp_port;
}

/* Of all headers, which are one list (RFC 2068 clause 4.2). False: there is none for the peer. */
static bool find_transport(const struct message *head, unsigned kinds, struct transport *out)
{
	const char *value = NULL;

	while ((value = message_header(head, "Transport", value)) != NULL)
		if (transport_choose(value, kinds, out))
			return true;
	return false;
}

/* 0, or the status of the refusal. */
static int choose_transport(struct rtsp_session *session, const struct rtsp_stream *stream,
			    const struct message *head)
{
	struct transport chosen;

	if (!message_header(head, "Transport", NULL))
		return 400;
	if (!find_transport(head, kinds_for(session, stream), &chosen))
		return 461;
	if (session->state == RTSP_PLAYING && !is_same(&chosen, &session->transport))
		return 455;
	/* Where there are no ports, or no way, it is to ask for another transport. */
	if (chosen.kind == TRANSPORT_MULTICAST &&
	    multicast_join(stream->multicast, &session->multicast) < 0)
		return 461;
	if (chosen.kind == TRANSPORT_UDP && !session->port &&
	    udp_port_take(&session->port, &session->rtsp->ports,
			  connection_loop(session->connection), session->connection->conn.fd) < 0)
		return 461;
	if (chosen.kind != TRANSPORT_MULTICAST)
		multicast_leave(&session->multicast);
	session->transport = chosen;
	return 0;
}

/* "destination=239.1.2.3;port=5004-5005;ttl=1" */
static void write_group(const struct multicast *group, char *out, size_t size)
{
	const struct multicast_settings *settings = multicast_settings(group);
	char host[NET_PEER_TEXT_MAX];

	net_peer_format_host(&settings->group, host);
	snprintf(out, size, "destination=%s;port=%u-%u;ttl=%u", host, settings->group.port,
		 settings->group.port + 1u, settings->ttl);
}

static void write_transport(const struct rtsp_session *session, char *out, size_t size)
{
	const struct transport *transport = &session->transport;
	bool multicast = transport->kind == TRANSPORT_MULTICAST;
	char ends[128];

	if (multicast)
		write_group(session->stream.multicast, ends, sizeof ends);
	else if (transport->kind == TRANSPORT_UDP)
		snprintf(ends, sizeof ends, "client_port=%u-%u;server_port=%u-%u",
			 transport->rtp_port, transport->rtcp_port, udp_port_number(session->port),
			 udp_port_number(session->port) + 1u);
	else
		snprintf(ends, sizeof ends, "interleaved=%d-%d", CAMCAST_RTP_CHANNEL,
			 CAMCAST_RTCP_CHANNEL);
	snprintf(out, size, "Transport: RTP/AVP%s;%s;%s;ssrc=%08X;mode=\"PLAY\"\r\n",
		 transport->kind == TRANSPORT_INTERLEAVED ? "/TCP"
		 : transport->lower			  ? "/UDP"
							  : "",
		 multicast ? "multicast" : "unicast", ends, session->stream.ssrc);
}

/* Whether a SETUP is one of SAT>IP (rtsp.h). */
static bool is_satip(const struct rtsp_session *session, const struct message *head)
{
	char path[RTSP_PATH_MAX];
	const char *name;

	if (session->id != 0)
		return session->satip;
	return session->rtsp->satip && !session->described &&
	       message_decode(head->path, path, sizeof path) >= 0 && !rtsp_cut_name(path, &name);
}

/* Takes the transport stream in the place of the stream. False: there is none. */
static bool take_transport_stream(struct rtsp_stream *stream)
{
	stream->feed = stream->ts_feed;
	stream->viewers = stream->ts_viewers;
	stream->ssrc = stream->ts_ssrc;
	stream->multicast = stream->ts_multicast;
	stream->in_ts = true;
	return stream->feed != NULL;
}

static void answer_setup(struct rtsp_session *session)
{
	char line[256], headers[384];

	if (!choose_id(session)) {
		refuse(session, 500);
		return;
	}
	if (session->state == RTSP_INIT)
		session->state = RTSP_READY;
	write_transport(session, line, sizeof line);
	snprintf(headers, sizeof headers, "%sSession: %016" PRIx64 ";timeout=%d\r\n%s", line,
		 session->id, RTSP_TIMEOUT_S, session->satip ? "com.ses.streamID: 1\r\n" : "");
	rtsp_answer(session, 200, headers, NULL);
}

bool rtsp_describe(struct rtsp_session *session, bool last)
{
	if (!session->satip)
		return describe(session, last);
	if (wanted_log(session))
		answer_setup(session);
	else if (last)
		refuse(session, 503);
	else
		return false;
	return true;
}

static void handle_setup(struct rtsp_session *session, const struct message *head)
{
	struct rtsp_stream stream;
	char base[sizeof session->base];
	int status = find_stream(session, head, &stream, base);
	bool satip = status == 0 && is_satip(session, head);

	if (satip && !take_transport_stream(&stream))
		status = 415; /* Unsupported Media Type: it carries no JPEGs */
	if (status == 0 && message_header(head, "Session", NULL) && !is_own(session, head))
		status = 454;
	else if (status == 0 && session->id != 0 && stream.feed != session->stream.feed)
		status = 459; /* Aggregate Operation Not Allowed */
	else if (status == 0)
		status = choose_transport(session, &stream, head);
	if (status > 0) {
		refuse(session, status);
		return;
	}
	session->stream = stream;
	session->satip = satip;
	memcpy(session->base, base, sizeof base);
	if (satip && session->id == 0)
		wait_for_unit(session);
	else
		answer_setup(session);
}

/* "RTP-Info: ...", with the packet with which the viewer begins; "" if that is not known yet.
 * Clients wait for ever for one that does not come. */
static void write_rtp_info(const struct rtsp_session *session, char *out, size_t size)
{
	const struct log *log = feed_log(session->stream.feed);
	uint64_t seq = feed_join_at(session->stream.feed, session->had);
	const struct unit *unit = seq && seq < log->head ? log_unit(log, seq) : NULL;
	struct rtp_head head;

	out[0] = '\0';
	if (unit && session->transport.kind == TRANSPORT_INTERLEAVED &&
	    rtp_read_first(unit->segment->pages.map + unit->offset, unit->len, &head))
		snprintf(out, size, "RTP-Info: url=%s" RTSP_TRACK ";seq=%u;rtptime=%u\r\n",
			 session->base, head.sequence, head.time);
}

/* False: there is no place. */
static bool become_viewer(struct rtsp_session *session, struct endpoint *viewers)
{
	struct connection *connection = session->connection;

	if (connection->endpoint == viewers)
		return true;
	if (server_move(connection, viewers) < 0)
		return false;
	connection->session = session;
	rtsp_leave_place(session);
	return true;
}

static void handle_play(struct rtsp_session *session, const struct message *head)
{
	char info[sizeof session->base + 128] = "", headers[sizeof info + 128];

	if (!check_session(session, head))
		return;
	if (session->state == RTSP_READY) {
		struct endpoint *viewers = session->stream.viewers;

		/* Wanted first: a log that nobody wanted for a while is forgotten then, and is no
		 * beginning. */
		if (!rtsp_want(session, session->stream.feed) || !become_viewer(session, viewers) ||
		    (session->other && !become_viewer(session->other, viewers)) ||
		    (session->transport.kind == TRANSPORT_UDP && rtsp_open_udp(session) < 0)) {
			refuse(session, 503);
			return;
		}
		write_rtp_info(session, info, sizeof info);
		session->then = RTSP_BEGIN;
	}
	snprintf(headers, sizeof headers,
		 "Session: %016" PRIx64 ";timeout=%d\r\nRange: npt=now-\r\n%s", session->id,
		 RTSP_TIMEOUT_S, info);
	rtsp_answer(session, 200, headers, NULL);
}

static void answer_session(struct rtsp_session *session)
{
	char headers[64];

	snprintf(headers, sizeof headers, "Session: %016" PRIx64 ";timeout=%d\r\n", session->id,
		 RTSP_TIMEOUT_S);
	rtsp_answer(session, 200, session->id ? headers : "", NULL);
}

static void handle_pause(struct rtsp_session *session, const struct message *head)
{
	if (!check_session(session, head))
		return;
	if (session->state == RTSP_PLAYING)
		session->then = RTSP_PAUSE;
	answer_session(session);
}

static void handle_teardown(struct rtsp_session *session, const struct message *head)
{
	if (!check_session(session, head))
		return;
	session->then = RTSP_CLOSE;
	rtsp_answer(session, 200, "Connection: close\r\n", NULL);
}

/* Clients ask for parameters, mostly for none, to show that they live. */
static void handle_get_parameter(struct rtsp_session *session, const struct message *head)
{
	if (message_header(head, "Session", NULL) && !is_own(session, head))
		refuse(session, 454);
	else
		answer_session(session);
}

static void handle_set_parameter(struct rtsp_session *session, const struct message *head)
{
	if (message_header(head, "Session", NULL) && !is_own(session, head))
		refuse(session, 454);
	else if (head->content_length > 0)
		refuse(session, 451); /* there is none that could be set */
	else
		answer_session(session);
}

static const struct {
	enum message_method method;
	void (*handle)(struct rtsp_session *session, const struct message *head);
} methods[] = {
	{MESSAGE_OPTIONS, handle_options},
	{MESSAGE_DESCRIBE, handle_describe},
	{MESSAGE_SETUP, handle_setup},
	{MESSAGE_PLAY, handle_play},
	{MESSAGE_PAUSE, handle_pause},
	{MESSAGE_GET_PARAMETER, handle_get_parameter},
	{MESSAGE_SET_PARAMETER, handle_set_parameter},
	{MESSAGE_TEARDOWN, handle_teardown},
};

/* Clause 12.17: up to ten digits. */
static bool take_cseq(struct rtsp_session *session, const struct message *head)
{
	const char *value = message_header(head, "CSeq", NULL);
	size_t len = value ? strlen(value) : 0;

	session->cseq[0] = '\0';
	if (len == 0 || len >= sizeof session->cseq || strspn(value, "0123456789") != len)
		return false;
	memcpy(session->cseq, value, len + 1);
	return true;
}

/* Clause 12.32: no extension is known. */
static void refuse_extension(struct rtsp_session *session, const char *names)
{
	char headers[128];

	snprintf(headers, sizeof headers, "Unsupported: %.90s\r\n", names);
	rtsp_answer(session, 551, headers, NULL);
}

/* --- who asks --- */

static void dispatch(struct rtsp_session *session, const struct message *head)
{
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (methods[i].method == head->method) {
			methods[i].handle(session, head);
			return;
		}
	}
	if (head->method == MESSAGE_UNKNOWN)
		refuse(session, 501);
	else
		rtsp_answer(session, 405, "Allow: " METHODS "\r\n", NULL);
}

/* Whoever is known asks, and the next review of the connection is about the same. A request without
 * a user takes nothing from a session that a user has set up. */
static void become(struct rtsp_session *session, const struct access_who *who)
{
	if (session->id != 0 && !who->user)
		return;
	session->who = *who;
	connection_set_user(session->connection,
			    access_number(session->rtsp->access, &session->who));
}

/* A stream that was found must be there still, and who found it may still watch it. */
bool rtsp_review(struct connection *connection)
{
	struct rtsp_session *session = connection->session;
	const struct rtsp *rtsp = session->rtsp;
	struct rtsp_stream stream;
	char name[RTSP_NAME_MAX], certificate[TLS_NAME_MAX];
	bool certified = connection_certificate(connection, certificate);

	if (session->posts || !rtsp->access) /* it lives as long as the GET of its tunnel */
		return true;
	access_become(rtsp->access, connection_user(connection), certified ? certificate : NULL,
		      &session->who);
	if (!session->stream.name)
		return true;
	snprintf(name, sizeof name, "%s", session->stream.name);
	if (rtsp->find(rtsp->user, &connection->peer, &session->who, name, &stream) < 0 ||
	    (session->satip && !take_transport_stream(&stream)) ||
	    stream.feed != session->stream.feed) {
		session->stream = (struct rtsp_stream){0};
		return session->id == 0 && session->phase == RTSP_READING && !session->wanted;
	}
	session->stream = stream;
	return true;
}

/* RTSP has no status for an address that has to wait. */
static void answer_verdict(struct rtsp_session *session, const struct message *head,
			   enum access_verdict verdict)
{
	char challenges[RTSP_CHALLENGES_MAX];

	if (verdict == ACCESS_KNOWN) {
		dispatch(session, head);
	} else if (verdict == ACCESS_STALE) {
		rtsp_write_challenges(session, true, challenges);
		rtsp_answer(session, 401, challenges, NULL);
	} else {
		refuse(session, verdict == ACCESS_WRONG ? 401 : 503);
	}
}

static void handle_identified(struct access_ask *ask, enum access_verdict verdict,
			      const struct access_who *who)
{
	struct rtsp_session *session = container_of(ask, struct rtsp_session, ask);
	struct message *head = session->asked;

	session->asked = NULL;
	if (verdict == ACCESS_KNOWN && who)
		become(session, who);
	answer_verdict(session, head, verdict);
	free(head);
}

/* Streams are found by DESCRIBE and SETUP; what follows belongs to one that was found. */
static bool needs_who(const struct message *head)
{
	return head->method == MESSAGE_DESCRIBE || head->method == MESSAGE_SETUP;
}

static enum access_verdict identify(struct rtsp_session *session, const struct message *head)
{
	enum access_verdict verdict;
	struct access_who who;

	if (!session->rtsp->access || !needs_who(head))
		return ACCESS_KNOWN;
	session->ask.done = handle_identified;
	verdict = rtsp_identify(session, head, &who);
	if (verdict == ACCESS_KNOWN)
		become(session, &who);
	return verdict;
}

struct message *rtsp_handle(struct rtsp_session *session, struct message *head)
{
	const char *require = message_header(head, "Require", NULL);
	enum access_verdict verdict;

	session->then = RTSP_GO_ON;
	if (!take_cseq(session, head)) {
		refuse(session, 400);
		return head;
	}
	if (require) {
		refuse_extension(session, require);
		return head;
	}
	verdict = identify(session, head);
	if (verdict != ACCESS_WAITS) {
		answer_verdict(session, head, verdict);
		return head;
	}
	session->phase = RTSP_ASKING;
	session->asked = head;
	return NULL;
}
