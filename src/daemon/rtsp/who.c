/* SPDX-License-Identifier: BSD-2-Clause */
/* The sender of a request, and how a client is asked for a user: by Digest, whose password is not
 * sent, and by Basic where the connection is encrypted. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "daemon/rtsp/session.h"

#define BASIC "WWW-Authenticate: Basic realm=\"" CHALLENGE_REALM "\"\r\n"
#define LOG_PERIOD_US 1000000

/* Whether nobody can read what the peer says: in both halves of a tunnel. */
static bool is_secure(const struct rtsp_session *session)
{
	return connection_secure(session->connection) &&
	       (!session->other || connection_secure(session->other->connection));
}

/* A client that reads the first challenge alone, or takes Digest whenever it can, finds one that
 * is good for every user. */
void rtsp_write_challenges(const struct rtsp_session *session, bool stale,
			   char headers[RTSP_CHALLENGES_MAX])
{
	const struct access *access = session->rtsp->access;
	enum config_digest digest = access_rtsp_digest(access);
	bool secure = is_secure(session);

	headers[0] = '\0';
	if (digest != CONFIG_DIGEST_NO && !(secure && access_has_hashes(access)))
		access_challenge(access, &session->connection->peer, session->number, digest, stale,
				 headers);
	if (secure || digest == CONFIG_DIGEST_NO)
		strcat(headers, BASIC);
}

/* The path of an absolute or relative URL, without its query. */
static void copy_path(const char *url, char *out, size_t size)
{
	const char *host = url[0] == '/' ? NULL : strstr(url, "://");
	const char *path = host ? strchr(host + 3, '/') : url;

	snprintf(out, size, "%.*s", path ? (int)strcspn(path, "?") : 0, path ? path : "");
}

/* Whether the URL of an answer names the stream of the request. Clients put another track or none,
 * a user, or a query into one of the two. */
static bool names_target(const struct message *head, const char *uri)
{
	char path[MESSAGE_TARGET_MAX], asked[RTSP_PATH_MAX], answered[RTSP_PATH_MAX];
	const char *a, *b;

	copy_path(uri, path, sizeof path);
	if (message_decode(head->path, asked, sizeof asked) < 0 ||
	    message_decode(path, answered, sizeof answered) < 0)
		return false;
	rtsp_cut_name(asked, &a);
	rtsp_cut_name(answered, &b);
	return strcmp(a, b) == 0;
}

static enum access_verdict identify(struct rtsp_session *session,
				    const struct credentials *credentials, struct access_who *who)
{
	return access_identify(session->rtsp->access, &session->ask, &session->connection->peer,
			       credentials, who);
}

static enum access_verdict identify_digest(struct rtsp_session *session, const struct message *head,
					   const struct challenge_answer *answer,
					   struct access_who *who)
{
	const struct credentials bad = {.kind = CREDENTIALS_BAD};

	if (answer->digest != access_rtsp_digest(session->rtsp->access) ||
	    !names_target(head, answer->uri))
		return identify(session, &bad, who);
	return access_identify_digest(session->rtsp->access, &session->ask,
				      &session->connection->peer, session->number, answer,
				      head->method_name, who);
}

/* A password in clear text is not looked at, so that its sender notices. */
static void refuse_basic(struct rtsp_session *session, struct credentials *credentials)
{
	char text[NET_PEER_TEXT_MAX];
	uint64_t suppressed;

	explicit_bzero(credentials, sizeof *credentials);
	credentials->kind = CREDENTIALS_NONE;
	if (!diag_allowed(&session->rtsp->basic_log,
			  loop_now_us(connection_loop(session->connection)), LOG_PERIOD_US,
			  &suppressed))
		return;
	net_peer_format_host(&session->connection->peer, text);
	diag_warn("rtsp: %s sent a password in clear text, which is not looked at: Basic needs "
		  "rtsps:// (rtsp_digest)",
		  text);
}

enum access_verdict rtsp_identify(struct rtsp_session *session, const struct message *head,
				  struct access_who *who)
{
	struct access *access = session->rtsp->access;
	bool digests = access_rtsp_digest(access) != CONFIG_DIGEST_NO;
	struct challenge_answer answer;
	struct credentials credentials;
	enum access_verdict verdict;
	int err = digests ? challenge_read(&answer, head) : -ENOENT;

	if (err == 0)
		return identify_digest(session, head, &answer, who);
	credentials_read(&credentials, head, "");
	if (err == -EBADMSG)
		credentials.kind = CREDENTIALS_BAD;
	if (credentials.kind == CREDENTIALS_PASSWORD && digests && !is_secure(session) &&
	    access_has_users(access))
		refuse_basic(session, &credentials);
	credentials.certified =
		connection_certificate(session->connection, credentials.certificate);
	/* The URL of a track is that of the description, without its token or with more behind it:
	 * who this is was said with DESCRIBE. */
	if (head->method == MESSAGE_SETUP && session->who.user &&
	    (credentials.kind == CREDENTIALS_NONE || credentials.in_query)) {
		*who = session->who;
		verdict = ACCESS_KNOWN;
	} else {
		verdict = identify(session, &credentials, who);
	}
	explicit_bzero(&credentials, sizeof credentials);
	return verdict;
}
