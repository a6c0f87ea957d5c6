/* SPDX-License-Identifier: BSD-2-Clause */
/* Who sends a request, and pages of other sites: between a request that is complete, and its
 * handler. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/serve/http_session.h"

#define EXTRA_MAX HTTP_EXTRA_MAX
#define ORIGIN_MAX 256

static struct http_session *of_question(struct http_question *question)
{
	return container_of(question, struct http_session, question);
}

static const struct http_session *of_const_question(const struct http_question *question)
{
	return container_of_const(question, struct http_session, question);
}

/* Adds headers, each with its CRLF, to the next answer. Without memory it goes without them. */
static void __attribute__((format(printf, 2, 3)))
add_extra(struct http_session *session, const char *format, ...)
{
	size_t len = session->extra ? strlen(session->extra) : 0;
	char *extra = realloc(session->extra, EXTRA_MAX);
	va_list ap;
	int n;

	if (!extra)
		return;
	session->extra = extra;
	va_start(ap, format);
	n = vsnprintf(extra + len, EXTRA_MAX - len, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= EXTRA_MAX - len)
		extra[len] = '\0';
}

/* --- who asks --- */

static void read_credentials(const struct http_session *session, const struct message *head,
			     struct credentials *credentials)
{
	char cookie[CREDENTIALS_COOKIE_MAX];

	credentials_cookie_name(cookie, session->local_port);
	credentials_read(credentials, head, cookie);
	credentials->certified =
		connection_certificate(session->connection, credentials->certificate);
}

/* A cookie that came encrypted stays so. */
static const char *cookie_secure(const struct http_session *session)
{
	return connection_secure(session->connection) ? "; Secure" : "";
}

void http_cookie(const struct http_question *question, const char *login,
		 char header[HTTP_COOKIE_MAX])
{
	const struct http_session *session = of_const_question(question);
	char cookie[CREDENTIALS_COOKIE_MAX];

	/* The cookie outlives its login: a browser that has one is sent to the page's login, and
	 * not asked by a dialog of its own. */
	credentials_cookie_name(cookie, session->local_port);
	snprintf(header, HTTP_COOKIE_MAX,
		 "Set-Cookie: %s=%s%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%d%s\r\n", cookie,
		 CREDENTIALS_COOKIE_LOGIN, login ? login : "", login ? 34560000 : 0,
		 cookie_secure(session));
}

/* A token in a URL comes back as a cookie, so that what is loaded next needs none. */
static void keep_token(struct http_session *session, const char *token)
{
	char cookie[CREDENTIALS_COOKIE_MAX];

	credentials_cookie_name(cookie, session->local_port);
	add_extra(session,
		  "Set-Cookie: %s=" CREDENTIALS_COOKIE_TOKEN
		  "%s; Path=/; HttpOnly; SameSite=Lax%s\r\n",
		  cookie, token, cookie_secure(session));
}

void http_vouch(struct http_question *question, const struct http_request *request,
		const char *stream)
{
	struct http_session *session = of_question(question);
	const struct http *http = http_of_endpoint(session->connection->endpoint);
	char login[ACCESS_LOGIN_MAX], cookie[CREDENTIALS_COOKIE_MAX];

	if (request->credentials->kind != CREDENTIALS_PASSWORD || !request->who->user)
		return;
	access_vouch(http->access, request->peer, request->credentials->secret, request->who->user,
		     login);
	credentials_cookie_name(cookie, session->local_port);
	add_extra(session,
		  "Set-Cookie: %s=" CREDENTIALS_COOKIE_LOGIN
		  "%s; Path=/%s/; HttpOnly; SameSite=Lax%s\r\n",
		  cookie, login, stream, cookie_secure(session));
}

/* The browser of a person who uses the page is not asked by a dialog of its own. */
static bool uses_page(const struct http_session *session, const struct message *head)
{
	char cookie[CREDENTIALS_COOKIE_MAX];
	const char *header = message_header(head, "Cookie", NULL);

	credentials_cookie_name(cookie, session->local_port);
	return message_header(head, "X-Requested-With", NULL) || (header && strstr(header, cookie));
}

static void ask_for_user(struct http_session *session, const struct message *head)
{
	struct http_answer answer = {
		.status = 401,
		.headers = "WWW-Authenticate: Basic realm=\"camcast\", charset=\"UTF-8\"\r\n",
	};

	if (uses_page(session, head))
		answer.headers = NULL;
	http_answer(&session->question, &answer);
}

void http_refuse_right(struct http_question *question, const struct http_request *request)
{
	struct http_session *session = of_question(question);
	const struct http *http = http_of_endpoint(session->connection->endpoint);

	if (http->access)
		access_count_refused(http->access);
	if (!request->who->user && http->access && access_has_users(http->access))
		ask_for_user(session, request->head);
	else
		http_refuse(session, 403);
}

/* A token that is not right any more would keep a browser out, from the login too. */
static void forget_token(struct http_session *session)
{
	char cookie[CREDENTIALS_COOKIE_MAX];

	credentials_cookie_name(cookie, session->local_port);
	add_extra(session, "Set-Cookie: %s=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0%s\r\n",
		  cookie, cookie_secure(session));
}

static void refuse_verdict(struct http_session *session, const struct message *head,
			   const struct credentials *credentials, enum access_verdict verdict)
{
	const struct http *http = http_of_endpoint(session->connection->endpoint);
	char retry[48];
	struct http_answer answer = {.status = 429, .headers = retry};

	if (credentials->in_cookie)
		forget_token(session);
	if (verdict == ACCESS_WRONG) {
		ask_for_user(session, head);
	} else if (verdict == ACCESS_BUSY) {
		http_refuse(session, 503);
	} else {
		snprintf(retry, sizeof retry, "Retry-After: %u\r\n",
			 access_retry_after_s(http->access, &session->connection->peer));
		http_answer(&session->question, &answer);
	}
}

static void handle_identified(struct access_ask *ask, enum access_verdict verdict,
			      const struct access_who *who)
{
	struct http_session *session = container_of(ask, struct http_session, ask);
	struct credentials credentials;
	struct message *head = session->asked;
	uint8_t *body = session->asked_body;

	session->asked = NULL;
	session->asked_body = NULL;
	read_credentials(session, head, &credentials);
	if (verdict == ACCESS_KNOWN)
		http_answer_request(session, head, body, session->asked_len, &credentials, who);
	else
		refuse_verdict(session, head, &credentials, verdict);
	explicit_bzero(&credentials, sizeof credentials);
	free(body);
	free(head);
}

/* Keeps the request until it is known who asks. The head is kept where it is. */
static int keep_request(struct http_session *session, struct message *head, const uint8_t *body,
			size_t body_len)
{
	if (body_len > 0) {
		session->asked_body = malloc(body_len);
		if (!session->asked_body)
			return -ENOMEM;
		memcpy(session->asked_body, body, body_len);
	}
	session->asked = head;
	session->asked_len = body_len;
	return 0;
}

static enum access_verdict identify(struct http_session *session,
				    const struct credentials *credentials, struct access_who *who)
{
	const struct http *http = http_of_endpoint(session->connection->endpoint);

	if (!http->access) {
		*who = (struct access_who){.may = CONFIG_MAY_VIEW | CONFIG_MAY_STATUS |
						  CONFIG_MAY_CONTROL};
		return ACCESS_KNOWN;
	}
	session->is_private = !access_is_public(http->access) ||
			      credentials->kind != CREDENTIALS_NONE || credentials->certified;
	session->ask.done = handle_identified;
	return access_identify(http->access, &session->ask, &session->connection->peer, credentials,
			       who);
}

/* Finds out who asks, and answers. Returns what is to be freed: the head, or NULL. */
static struct message *identify_and_answer(struct http_session *session, struct message *head,
					   const uint8_t *body, size_t body_len)
{
	struct credentials credentials;
	enum access_verdict verdict;
	struct access_who who;

	read_credentials(session, head, &credentials);
	verdict = identify(session, &credentials, &who);
	if (verdict == ACCESS_KNOWN) {
		if (credentials.in_query && who.user)
			keep_token(session, credentials.secret);
		http_answer_request(session, head, body, body_len, &credentials, &who);
	} else if (verdict != ACCESS_WAITS) {
		refuse_verdict(session, head, &credentials, verdict);
	} else if (keep_request(session, head, body, body_len) == 0) {
		head = NULL;
	} else {
		access_cancel(&session->ask);
		connection_close(session->connection, true);
	}
	explicit_bzero(&credentials, sizeof credentials);
	return head;
}

/* --- pages of other sites (Fetch standard, "CORS protocol") --- */

bool http_may_read(const struct http_question *question, const struct message *head)
{
	const struct http_session *session = of_const_question(question);
	const struct http *http = http_of_endpoint(session->connection->endpoint);
	const char *origin = message_header(head, "Origin", NULL);

	return origin && http->cors && strlen(origin) < ORIGIN_MAX && !strpbrk(origin, ", \t") &&
	       (config_has_word(http->cors, "*") || config_has_word(http->cors, origin));
}

static void allow_origin(struct http_session *session, const struct message *head)
{
	const struct http *http = http_of_endpoint(session->connection->endpoint);

	if (http->cors && http->cors[0])
		add_extra(session, "Vary: Origin\r\n");
	if (http_may_read(&session->question, head))
		add_extra(session, "Access-Control-Allow-Origin: %s\r\n",
			  message_header(head, "Origin", NULL));
}

/* A question of the browser before a request that a page of another site makes. */
static void answer_preflight(struct http_session *session, const struct message *head)
{
	const struct http_answer answer = {
		.status = 204,
		.type = "text/plain",
		.headers = "Access-Control-Allow-Methods: GET, HEAD\r\n"
			   "Access-Control-Allow-Headers: Authorization, Range\r\n"
			   "Access-Control-Max-Age: 600\r\n",
		.body = "",
	};

	if (http_may_read(&session->question, head))
		http_answer(&session->question, &answer);
	else
		http_refuse_method(&session->question, "GET, HEAD, POST");
}

struct message *http_begin_request(struct http_session *session, struct message *head,
				   const uint8_t *body, size_t body_len)
{
	allow_origin(session, head);
	if (head->method == MESSAGE_OPTIONS) {
		answer_preflight(session, head);
		return head;
	}
	return identify_and_answer(session, head, body, body_len);
}
