/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/stream/rtsp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/text.h"
#include "client/stream/login.h"
#include "client/stream/unpack.h"
#include "net/address.h"
#include "net/message.h"

#define INPUT_SIZE (256u << 10) /* more than a frame, which has at most 64 KiB */
#define OUTPUT_SIZE (16u << 10) /* requests that wait to be sent */
#define BODIES_MAX RTSP_SDP_MAX
#define FRAME_HEAD 4
#define SESSION_MAX 128
#define TIMEOUT_S 60 /* clause 12.37 */
#define TIMEOUT_MIN_S 5
#define TIMEOUT_MAX_S 3600

/* What was asked last; the answer decides what comes next. */
enum step { OPTIONS, DESCRIBE, SETUP, PLAY, PLAYING };

static const char *const methods[] = {"OPTIONS", "DESCRIBE", "SETUP", "PLAY"};

struct rtsp {
	char url[RTSP_URL_MAX]; /* of the stream, without a user */
	struct login *login;

	enum step step;
	bool answered; /* a request was answered; only one is under way at a time */
	bool retried;  /* this step's request was sent with an answer to a challenge */
	unsigned sequence;
	char session[SESSION_MAX];
	unsigned timeout_s;
	bool get_parameter;
	unsigned channel; /* of the pictures */
	char setup_url[RTSP_URL_MAX], play_url[RTSP_URL_MAX];
	int64_t due_us;
	struct unpack *unpack; /* NULL before there is a description */

	uint8_t input[INPUT_SIZE];
	size_t begin, end;
	struct message message; /* the head under way */
	bool in_body;
	size_t body_left; /* of in_body */
	char *body;
	size_t body_len;

	char output[OUTPUT_SIZE];
	size_t output_len;
	char why[RTSP_WHY_MAX];
};

int rtsp_create(struct rtsp **out, const struct rtsp_target *target)
{
	struct rtsp *rtsp = calloc(1, sizeof *rtsp);
	char where[NET_HOST_PORT_MAX];
	int err, n;

	if (!rtsp)
		return -ENOMEM;
	net_format_host_port(where, target->host, target->port);
	n = snprintf(rtsp->url, sizeof rtsp->url, "rtsp%s://%s%s", target->tls ? "s" : "", where,
		     target->path);
	err = n < 0 || n >= (int)sizeof rtsp->url ? -EINVAL : 0;
	if (err == 0)
		err = login_create(&rtsp->login, target->login);
	if (err < 0) {
		free(rtsp);
		return err;
	}
	*out = rtsp;
	return 0;
}

void rtsp_destroy(struct rtsp *rtsp)
{
	if (!rtsp)
		return;
	login_destroy(rtsp->login);
	unpack_destroy(rtsp->unpack);
	free(rtsp->body);
	explicit_bzero(rtsp->output, sizeof rtsp->output);
	free(rtsp);
}

const char *rtsp_why(const struct rtsp *rtsp)
{
	return rtsp->why;
}

static int fail(struct rtsp *rtsp, int err, const char *why)
{
	text_clean(rtsp->why, sizeof rtsp->why, why);
	return err;
}

/* --- output --- */

const char *rtsp_output(const struct rtsp *rtsp, size_t *len)
{
	*len = rtsp->output_len;
	return rtsp->output;
}

void rtsp_sent(struct rtsp *rtsp, size_t len)
{
	memmove(rtsp->output, rtsp->output + len, rtsp->output_len - len);
	rtsp->output_len -= len;
}

static int put(struct rtsp *rtsp, const char *text, size_t len)
{
	if (len > sizeof rtsp->output - rtsp->output_len)
		return fail(rtsp, -ECONNABORTED, "the server reads nothing");
	memcpy(rtsp->output + rtsp->output_len, text, len);
	rtsp->output_len += len;
	return 0;
}

static int request(struct rtsp *rtsp, const char *method, const char *url, const char *headers)
{
	char authorization[LOGIN_HEADER_MAX], text[2 * RTSP_URL_MAX + LOGIN_HEADER_MAX + 512];
	int n, err;

	if (!login_write(rtsp->login, method, url, authorization))
		return fail(rtsp, -EACCES, "the user cannot be sent to this server");
	n = snprintf(text, sizeof text,
		     "%s %s RTSP/1.0\r\nCSeq: %u\r\nUser-Agent: camcast\r\n%s%s%s%s%s\r\n", method,
		     url, ++rtsp->sequence, rtsp->session[0] ? "Session: " : "", rtsp->session,
		     rtsp->session[0] ? "\r\n" : "", authorization, headers);
	rtsp->answered = false;
	err = n > 0 && n < (int)sizeof text ? put(rtsp, text, (size_t)n) : -ECONNABORTED;
	explicit_bzero(authorization, sizeof authorization);
	explicit_bzero(text, sizeof text);
	return err;
}

/* Sends the request of the step. */
static int ask(struct rtsp *rtsp)
{
	static const char *const headers[] = {"", "Accept: application/sdp\r\n",
					      "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
					      "Range: npt=0.000-\r\n"};
	const char *const urls[] = {rtsp->url, rtsp->url, rtsp->setup_url, rtsp->play_url};

	return request(rtsp, methods[rtsp->step], urls[rtsp->step], headers[rtsp->step]);
}

static int keep_session(struct rtsp *rtsp)
{
	return request(rtsp, rtsp->get_parameter ? "GET_PARAMETER" : "OPTIONS", rtsp->play_url, "");
}

int rtsp_begin(struct rtsp *rtsp, int64_t now_us)
{
	unpack_destroy(rtsp->unpack);
	rtsp->unpack = NULL;
	rtsp->begin = rtsp->end = rtsp->output_len = rtsp->sequence = 0;
	rtsp->step = OPTIONS;
	rtsp->retried = rtsp->in_body = rtsp->get_parameter = false;
	rtsp->session[0] = '\0';
	rtsp->timeout_s = TIMEOUT_S;
	rtsp->due_us = now_us + RTSP_TALK_US;
	login_forget(rtsp->login);
	message_init(&rtsp->message);
	return ask(rtsp);
}

/* --- time --- */

int64_t rtsp_due_us(const struct rtsp *rtsp)
{
	return rtsp->due_us;
}

int rtsp_turn(struct rtsp *rtsp, int64_t now_us)
{
	if (now_us < rtsp->due_us)
		return 0;
	if (rtsp->step != PLAYING)
		return fail(rtsp, -ETIMEDOUT, "the server does not answer");
	if (!rtsp->answered)
		return fail(rtsp, -ETIMEDOUT, "the server answers no more");
	rtsp->due_us = now_us + rtsp->timeout_s * INT64_C(500000);
	return keep_session(rtsp);
}

/* --- answers --- */

/* Session: ID[;timeout=SECONDS] */
static void take_session(struct rtsp *rtsp)
{
	const char *text = message_header(&rtsp->message, "Session", NULL), *timeout;
	size_t len = text ? strcspn(text, "; \t") : 0;
	unsigned long seconds;

	if (len == 0 || len >= sizeof rtsp->session)
		return;
	memcpy(rtsp->session, text, len);
	rtsp->session[len] = '\0';
	timeout = strcasestr(text + len, "timeout=");
	seconds = timeout ? strtoul(timeout + strlen("timeout="), NULL, 10) : TIMEOUT_S;
	if (seconds < TIMEOUT_MIN_S)
		seconds = TIMEOUT_MIN_S;
	rtsp->timeout_s = (unsigned)(seconds < TIMEOUT_MAX_S ? seconds : TIMEOUT_MAX_S);
}

/* The channel that the server chose, where it did not take ours. */
static int take_transport(struct rtsp *rtsp)
{
	const char *text = message_header(&rtsp->message, "Transport", NULL);
	const char *interleaved = text ? strcasestr(text, "interleaved=") : NULL;
	unsigned long channel = 0;

	if (text && !strcasestr(text, "TCP"))
		return fail(rtsp, -ECONNABORTED, "the server sends no pictures within RTSP");
	if (interleaved)
		channel = strtoul(interleaved + strlen("interleaved="), NULL, 10);
	if (channel > 255)
		return fail(rtsp, -EBADMSG, "the server chose a channel that does not exist");
	rtsp->channel = (unsigned)channel;
	return 0;
}

static int take_description(struct rtsp *rtsp)
{
	const char *base = message_header(&rtsp->message, "Content-Base", NULL);
	struct rtsp_sdp *sdp = malloc(sizeof *sdp);
	char url[RTSP_URL_MAX];
	int err;

	if (!sdp)
		return -ENOMEM;
	if (!base)
		base = message_header(&rtsp->message, "Content-Location", NULL);
	err = rtsp_sdp_parse(sdp, rtsp->body ? rtsp->body : "", rtsp->body_len, rtsp->why);
	if (err < 0)
		err = -ECONNABORTED;
	else if (!rtsp_sdp_url(url, rtsp->url,
			       base && strstr(base, "://") && !strpbrk(base, " \t") ? base : "") ||
		 !rtsp_sdp_url(rtsp->play_url, url, sdp->session_control) ||
		 !rtsp_sdp_url(rtsp->setup_url,
			       strstr(sdp->session_control, "://") ? rtsp->play_url : url,
			       sdp->media_control))
		err = fail(rtsp, -EBADMSG,
			   "the server describes its stream with URLs that are too "
			   "long");
	if (err == 0)
		err = unpack_create(&rtsp->unpack, sdp->codec, sdp->type);
	for (size_t i = 0; err == 0 && i < sdp->n_sets; i++)
		err = unpack_learn(rtsp->unpack, sdp->sets[i].data, sdp->sets[i].len);
	free(sdp);
	return err;
}

/* The answer to a request without, or with a wrong, user. */
static int answer_challenge(struct rtsp *rtsp)
{
	const char *challenge = NULL;
	bool any = false;

	login_forget(rtsp->login);
	while ((challenge = message_header(&rtsp->message, "WWW-Authenticate", challenge)))
		any = login_take(rtsp->login, challenge) || any;
	if (!login_is_known(rtsp->login))
		return fail(rtsp, -EACCES, "the server asks for a user and a password");
	if (!any)
		return fail(rtsp, -EACCES, "the server asks for a login of an unknown kind");
	if (rtsp->retried && !login_is_stale(rtsp->login))
		return fail(rtsp, -EACCES, "the server refuses the user or the password");
	rtsp->retried = true;
	if (rtsp->step == PLAYING)
		return keep_session(rtsp);
	return ask(rtsp);
}

static int refuse(struct rtsp *rtsp)
{
	const unsigned status = rtsp->message.status;
	char text[RTSP_WHY_MAX];

	snprintf(text, sizeof text, "%s: %u %.60s",
		 status == 404			 ? "the server has no such stream"
		 : status == 461		 ? "the server sends no pictures within RTSP"
		 : status >= 300 && status < 400 ? "the server sends elsewhere"
						 : "the server refuses",
		 status, rtsp->message.reason);
	return fail(rtsp, status == 403 ? -EACCES : -ECONNABORTED, text);
}

static int handle_answer(struct rtsp *rtsp, int64_t now_us)
{
	const unsigned status = rtsp->message.status;
	int err = 0;

	rtsp->answered = true;
	if (status == 401)
		return answer_challenge(rtsp);
	if (rtsp->step == PLAYING) {
		rtsp->retried = false;
		/* Some know neither request, and keep the session nevertheless. */
		return status == 454 ? refuse(rtsp) : 0;
	}
	if (status >= 300 && rtsp->step != OPTIONS)
		return refuse(rtsp);
	switch (rtsp->step) {
	case OPTIONS:
		rtsp->get_parameter = message_has_token(&rtsp->message, "Public", "GET_PARAMETER");
		break;
	case DESCRIBE:
		err = take_description(rtsp);
		break;
	case SETUP:
		take_session(rtsp);
		err = take_transport(rtsp);
		break;
	default:
		rtsp->due_us = now_us + rtsp->timeout_s * INT64_C(500000);
		break;
	}
	rtsp->step++;
	/* What the server accepted once, it accepts again, or says that it is stale. */
	rtsp->retried = false;
	return err < 0 || rtsp->step == PLAYING ? err : ask(rtsp);
}

/* A request of the server: we have nothing to say to it. */
static int handle_request(struct rtsp *rtsp)
{
	const char *sequence = message_header(&rtsp->message, "CSeq", NULL);
	char text[128];
	int n = snprintf(text, sizeof text, "RTSP/1.0 501 Not Implemented\r\nCSeq: %.40s\r\n\r\n",
			 sequence ? sequence : "0");

	return put(rtsp, text, (size_t)n);
}

/* --- input --- */

uint8_t *rtsp_room(struct rtsp *rtsp, size_t *len)
{
	if (rtsp->begin > 0) {
		memmove(rtsp->input, rtsp->input + rtsp->begin, rtsp->end - rtsp->begin);
		rtsp->end -= rtsp->begin;
		rtsp->begin = 0;
	}
	*len = sizeof rtsp->input - rtsp->end;
	return rtsp->input + rtsp->end;
}

void rtsp_add(struct rtsp *rtsp, size_t len)
{
	rtsp->end += len;
}

bool rtsp_is_empty(const struct rtsp *rtsp)
{
	return !rtsp->unpack || unpack_is_empty(rtsp->unpack);
}

/* A whole message has come. */
static int end_message(struct rtsp *rtsp, int64_t now_us)
{
	int err = rtsp->message.status ? handle_answer(rtsp, now_us) : handle_request(rtsp);

	rtsp->in_body = false;
	message_init(&rtsp->message);
	return err;
}

static int begin_body(struct rtsp *rtsp, int64_t now_us)
{
	const int64_t len = rtsp->message.content_length;

	if (rtsp->message.chunked || len > (int64_t)BODIES_MAX)
		return fail(rtsp, -EBADMSG, "the server sends a message that is too long");
	free(rtsp->body);
	rtsp->body_left = len > 0 ? (size_t)len : 0;
	rtsp->body_len = 0;
	rtsp->body = malloc(rtsp->body_left + 1);
	if (!rtsp->body)
		return -ENOMEM;
	rtsp->in_body = rtsp->body_left > 0;
	return rtsp->in_body ? 0 : end_message(rtsp, now_us);
}

static int take_body(struct rtsp *rtsp, int64_t now_us)
{
	const size_t there = rtsp->end - rtsp->begin;
	const size_t n = there < rtsp->body_left ? there : rtsp->body_left;

	memcpy(rtsp->body + rtsp->body_len, rtsp->input + rtsp->begin, n);
	rtsp->body_len += n;
	rtsp->body_left -= n;
	rtsp->begin += n;
	return rtsp->body_left == 0 ? end_message(rtsp, now_us) : 0;
}

/* An interleaved frame. CUTTER_MORE also if it has not come as a whole yet: *stuck then. */
static int take_frame(struct rtsp *rtsp, struct cutter_unit *unit, bool *stuck)
{
	const uint8_t *frame = rtsp->input + rtsp->begin;
	const size_t there = rtsp->end - rtsp->begin;
	size_t len;
	bool taken = true;
	int r = CUTTER_MORE;

	*stuck = there < FRAME_HEAD;
	if (*stuck)
		return CUTTER_MORE;
	len = bytes_get16(frame + 2);
	*stuck = there < FRAME_HEAD + len;
	if (*stuck)
		return CUTTER_MORE;
	if (rtsp->unpack && frame[1] == rtsp->channel)
		r = unpack_add(rtsp->unpack, frame + FRAME_HEAD, len, unit, &taken);
	if (taken)
		rtsp->begin += FRAME_HEAD + len;
	return r;
}

static int take_head(struct rtsp *rtsp, int64_t now_us)
{
	size_t taken;
	int r = message_push(&rtsp->message, (const char *)rtsp->input + rtsp->begin,
			     rtsp->end - rtsp->begin, &taken);

	rtsp->begin += taken;
	if (r == MESSAGE_MORE || r == MESSAGE_INTERLEAVED)
		return 0;
	if (r != MESSAGE_COMPLETE || rtsp->message.protocol != MESSAGE_RTSP)
		return fail(rtsp, -EBADMSG, "the server does not speak RTSP");
	return begin_body(rtsp, now_us);
}

static bool at_frame(struct rtsp *rtsp)
{
	return !rtsp->in_body && rtsp->message.taken == 0 && rtsp->begin < rtsp->end &&
	       rtsp->input[rtsp->begin] == '$';
}

int rtsp_next(struct rtsp *rtsp, struct cutter_unit *unit, int64_t now_us)
{
	bool stuck = false;
	int r = CUTTER_MORE;

	while (r == CUTTER_MORE && !stuck) {
		const size_t before = rtsp->end - rtsp->begin;

		if (rtsp->in_body)
			r = take_body(rtsp, now_us);
		else if (at_frame(rtsp))
			r = take_frame(rtsp, unit, &stuck);
		else if (before > 0)
			r = take_head(rtsp, now_us);
		stuck = stuck || rtsp->end - rtsp->begin == before || rtsp->begin == rtsp->end;
	}
	return r;
}
