/* SPDX-License-Identifier: BSD-2-Clause */
/* A request: from the envelope to the answer, and who sends it. */
#include "daemon/onvif/onvif.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/onvif/call.h"
#include "daemon/onvif/discover.h"
#include "daemon/onvif/token.h"

#define ENVELOPE "http://www.w3.org/2003/05/soap-envelope"
#define TYPE "application/soap+xml; charset=utf-8"

struct onvif {
	struct onvif_options options;
	struct discover *discover; /* NULL: it answers nobody */
	struct list waiting;	   /* struct refusal */
	struct token_memory tokens;
	struct token_memory answers; /* to challenges of Digest, by the clock of the loop */
};

/* A request with a wrong password, which is answered later. */
struct refusal {
	struct list link;
	struct list questions; /* one; none: its peer has left */
	struct onvif *onvif;
	bool digest; /* of HTTP */
	struct access_ask ask;
};

/* --- answers --- */

static const struct {
	const char *subcode, *detail; /* NULL: none */
	const char *reason;
	bool receiver; /* the fault is ours */
} faults[CALL_FAULTS] = {
	[CALL_MALFORMED] = {"WellFormed", NULL, "This is no request that can be read"},
	[CALL_VERSION] = {NULL, NULL, "The envelope must be one of SOAP 1.2"},
	[CALL_UNKNOWN] = {"ActionNotSupported", NULL, "Optional Action Not Implemented", true},
	[CALL_UNAUTHORIZED] = {"NotAuthorized", NULL, "Sender not authorized"},
	[CALL_FORBIDDEN] = {"NotAuthorized", NULL, "This user may not do this"},
	[CALL_SLOWED] = {"NotAuthorized", NULL, "Too many wrong passwords; try again later"},
	[CALL_INVALID] = {"InvalidArgVal", NULL, "An argument is missing or out of range"},
	[CALL_NO_PROFILE] = {"InvalidArgVal", "NoProfile", "There is no such profile"},
	[CALL_NO_CONFIG] = {"InvalidArgVal", "NoConfig", "There is no such configuration"},
	[CALL_NO_SOURCE] = {"InvalidArgVal", "NoSource", "There is no such source of video"},
	[CALL_NO_IMAGING] = {"ActionNotSupported", "NoImagingForSource",
			     "This camera has no controls", true},
	[CALL_SETTINGS] = {"InvalidArgVal", "SettingsInvalid", "A setting is out of range"},
	[CALL_MODIFY] = {"InvalidArgVal", "ConfigModify", "This cannot be changed"},
	[CALL_PROFILES] = {"Action", "MaxNVTProfiles",
			   "The profiles are the streams of the configuration", true},
	[CALL_FIXED] = {"Action", "DeletionOfFixedProfile",
			"The profiles are the streams of the configuration"},
	[CALL_BUSY] = {"Action", NULL, "The camera cannot take this now", true},
};

static void begin_envelope(struct markup *out)
{
	markup_add(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			"<s:Envelope xmlns:s=\"" ENVELOPE "\" "
			"xmlns:ter=\"http://www.onvif.org/ver10/error\" "
			"xmlns:tt=\"" CALL_SCHEMA "\" xmlns:tds=\"" CALL_DEVICE "\" "
			"xmlns:trt=\"" CALL_MEDIA "\" xmlns:timg=\"" CALL_IMAGING "\"><s:Body>");
}

static void end_envelope(struct markup *out)
{
	markup_add(out, "</s:Body></s:Envelope>\n");
}

/* Takes out. headers: as in struct http_answer. */
static void send_envelope(struct http_question *question, int status, const char *headers,
			  struct markup *out)
{
	const struct http_answer answer = {
		.status = out->failed ? 500 : status,
		.type = TYPE,
		.headers = headers,
		.body = out->failed ? NULL : out->text,
		.len = out->failed ? 0 : out->len,
	};

	http_answer(question, &answer);
	markup_finish(out);
}

/* Clients open a connection for each request, so that a challenge is for an address. */
static struct net_peer without_port(const struct net_peer *peer)
{
	struct net_peer host = *peer;

	host.port = 0;
	return host;
}

/* SOAP 1.2 part 1, clause 5.4; ONVIF Core Specification, clause 5.8.2. why: "" : as the table says.
 */
static void write_fault(struct markup *out, enum call_fault fault, const char *why)
{
	begin_envelope(out);
	markup_add(out, "<s:Fault><s:Code><s:Value>s:%s</s:Value>",
		   fault == CALL_VERSION    ? "VersionMismatch"
		   : faults[fault].receiver ? "Receiver"
					    : "Sender");
	if (faults[fault].subcode)
		markup_add(out, "<s:Subcode><s:Value>ter:%s</s:Value>", faults[fault].subcode);
	if (faults[fault].detail)
		markup_add(out, "<s:Subcode><s:Value>ter:%s</s:Value></s:Subcode>",
			   faults[fault].detail);
	if (faults[fault].subcode)
		markup_add(out, "</s:Subcode>");
	markup_add(out,
		   "</s:Code><s:Reason><s:Text xml:lang=\"en\">%s</s:Text></s:Reason></s:Fault>",
		   why[0] ? why : faults[fault].reason);
	end_envelope(out);
}

static void answer_fault(struct http_question *question, enum call_fault fault, const char *why)
{
	struct markup out = {0};

	write_fault(&out, fault, why);
	send_envelope(question, faults[fault].receiver ? 500 : 400, NULL, &out);
}

/* Asks for Digest, which a client of HTTP may know where it knows no UsernameToken. stale: the
 * client knows the password. */
static void ask_for_digest(const struct onvif *onvif, struct http_question *question,
			   const struct net_peer *peer, bool stale)
{
	const struct net_peer host = without_port(peer);
	char header[CHALLENGE_MAX];
	struct markup out = {0};

	access_challenge(onvif->options.access, &host, 0, CONFIG_DIGEST_MD5, stale, header);
	write_fault(&out, CALL_UNAUTHORIZED, "");
	send_envelope(question, 401, header, &out);
}

/* --- services --- */

static const struct service {
	const char *space, *prefix;
	const struct call_row *rows;
	const size_t *n;
} services[] = {
	{CALL_DEVICE, "tds", device_rows, &n_device_rows},
	{CALL_MEDIA, "trt", media_rows, &n_media_rows},
	{CALL_IMAGING, "timg", imaging_rows, &n_imaging_rows},
};

static const struct call_row *find_row(const struct xml_node *action,
				       const struct service **service)
{
	for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
		*service = &services[i];
		if (strcmp(services[i].space, action->space) != 0)
			continue;
		for (size_t j = 0; j < *services[i].n; j++)
			if (strcmp(services[i].rows[j].name, action->name) == 0)
				return &services[i].rows[j];
	}
	return NULL;
}

const char *call_argument(const struct call *call, const char *name)
{
	return xml_child_text(call->xml, call->action, call->action->space, name);
}

enum call_fault call_answer_nothing(struct call *call)
{
	(void)call;
	return CALL_OK;
}

bool call_may(const struct call *call, enum config_may right, const struct stream *stream)
{
	return access_may(call->options->access, &call->who, call->peer, right, stream->index);
}

bool call_sees(const struct call *call, const struct stream *stream)
{
	return !stream->config->implied && call_may(call, CONFIG_MAY_VIEW, stream);
}

const struct camera *call_camera(const struct call *call, const char *name)
{
	const struct camera *camera =
		name ? cameras_find_camera(call->options->cameras, name) : NULL;

	for (size_t i = 0; camera && i < camera->n_streams; i++)
		if (call_sees(call, camera->streams[i]))
			return camera;
	return NULL;
}

bool call_has_imaging(const struct call *call)
{
	const struct cameras *cameras = call->options->cameras;

	for (size_t i = 0; i < cameras->n_cameras; i++)
		if (api_has_controls(cameras->cameras[i]))
			return true;
	return false;
}

/* --- where the client came --- */

/* A request without Host has no address that it could be sent to. */
static bool read_host(struct call *call, const struct http_request *request)
{
	const char *host = request->head->authority ? request->head->authority
						    : message_header(request->head, "Host", NULL);
	bool tls = call->options->cameras->config->daemon.tls == CONFIG_TLS_YES;
	const char *end;
	size_t len;

	if (!host || !*host)
		return false;
	end = *host == '[' ? strchr(host, ']') : host + strcspn(host, ":");
	if (!end)
		return false;
	len = (size_t)(end - host) + (*host == '[');
	if (len == 0 || len >= sizeof call->host)
		return false;
	memcpy(call->host, host, len);
	call->host[len] = '\0';
	return snprintf(call->base, sizeof call->base, "%s://%s", tls ? "https" : "http", host) <
	       (int)sizeof call->base;
}

/* --- who asks --- */

static void handle_refused(struct access_ask *ask, enum access_verdict verdict,
			   const struct access_who *who)
{
	struct refusal *refusal = container_of(ask, struct refusal, ask);
	struct http_question *question;

	(void)verdict;
	(void)who;
	list_remove(&refusal->link);
	if (!list_empty(&refusal->questions)) {
		question = container_of(refusal->questions.next, struct http_question, link);
		if (refusal->digest)
			ask_for_digest(refusal->onvif, question, &ask->peer, false);
		else
			answer_fault(question, CALL_UNAUTHORIZED, "");
	}
	free(refusal);
}

/* What somebody sends to prove who it is. */
struct proof {
	struct access_proof token_proof;
	struct token token;
	struct challenge_answer digest;
	bool is_digest;
};

static bool fits_token(const struct access_proof *proof, const char *password)
{
	return token_fits(&((const struct proof *)(const void *)proof)->token, password);
}

/* An answer to Digest as a token: of the time of its challenge, and the same for all answers to it.
 * False: it is to none of ours. */
static bool read_answer(struct token *out, const struct challenge_answer *answer)
{
	int64_t made_us;
	uint64_t number;

	static_assert(TOKEN_NAME_MAX == CREDENTIALS_NAME_MAX, "a name fits");
	if (!challenge_nonce(answer, &made_us, &number))
		return false;
	*out = (struct token){.created_s = made_us / 1000000};
	memcpy(out->name, answer->name, sizeof out->name);
	memcpy(out->digest, &number, sizeof number);
	return true;
}

/* Whether a proof may be used for this. It is answered, if not. Neither says anything of the
 * password: a client with a wrong clock is not slowed. An answer to Digest says nothing of what is
 * to be changed, so that it is good for a change only while it is the first to its challenge. */
static bool is_fresh(const struct onvif *onvif, const struct proof *proof, bool changes,
		     const struct net_peer *peer, int64_t now_s, struct http_question *question)
{
	const struct token_memory *memory = proof->is_digest ? &onvif->answers : &onvif->tokens;

	if ((proof->is_digest && !changes) ||
	    token_is_fresh(memory, &proof->token, peer, changes, now_s))
		return true;
	if (proof->is_digest)
		ask_for_digest(onvif, question, peer, true);
	else
		answer_fault(question, CALL_UNAUTHORIZED, "");
	return false;
}

static enum access_verdict check_proof(struct onvif *onvif, struct proof *proof,
				       struct access_ask *ask, const struct net_peer *peer,
				       struct access_who *who)
{
	const struct net_peer host = without_port(peer);

	if (proof->is_digest)
		return access_identify_digest(onvif->options.access, ask, &host, 0, &proof->digest,
					      "POST", who);
	proof->token_proof = (struct access_proof){
		.name = proof->token.name,
		.fits = fits_token,
		.fresh = true,
	};
	return access_identify_proof(onvif->options.access, ask, &host, &proof->token_proof, who);
}

/* Finds out who proves to be somebody. True: *who is valid; else it was answered, or is answered
 * later. */
static bool identify(struct onvif *onvif, struct proof *proof, bool changes,
		     const struct http_request *request, struct http_question *question,
		     struct access_who *who)
{
	int64_t now_us = proof->is_digest ? loop_now_us(onvif->options.loop) : clock_wall_us();
	int64_t now_s = now_us / 1000000;
	enum access_verdict verdict;
	struct refusal *refusal;

	if (!is_fresh(onvif, proof, changes, request->peer, now_s, question))
		return false;
	refusal = calloc(1, sizeof *refusal);
	if (!refusal) {
		answer_fault(question, CALL_BUSY, "");
		return false;
	}
	refusal->onvif = onvif;
	refusal->digest = proof->is_digest;
	refusal->ask.done = handle_refused;
	list_init(&refusal->questions);
	verdict = check_proof(onvif, proof, &refusal->ask, request->peer, who);
	if (verdict == ACCESS_WAITS) {
		list_append(&refusal->questions, &question->link);
		list_append(&onvif->waiting, &refusal->link);
		return false;
	}
	free(refusal);
	if (verdict == ACCESS_STALE)
		ask_for_digest(onvif, question, request->peer, true);
	else if (verdict != ACCESS_KNOWN)
		answer_fault(question, CALL_SLOWED, "");
	else
		token_remember(proof->is_digest ? &onvif->answers : &onvif->tokens, &proof->token,
			       request->peer, now_s);
	return verdict == ACCESS_KNOWN;
}

/* -ENOENT: there is none; -EBADMSG: it is malformed. */
static int read_proof(struct proof *proof, const struct xml *xml, const struct xml_node *header,
		      const struct http_request *request)
{
	int err = token_read(&proof->token, xml, header);

	proof->is_digest = err == -ENOENT;
	if (err != -ENOENT)
		return err;
	err = challenge_read(&proof->digest, request->head);
	if (err == 0 && strcmp(proof->digest.uri, request->head->target) != 0)
		err = -EBADMSG;
	if (err == 0 && !read_answer(&proof->token, &proof->digest))
		err = -EBADMSG;
	return err;
}

/* Whether the caller has the right that a row needs; else it was answered, or is answered later. */
static bool authorize(struct onvif *onvif, unsigned right, const struct xml *xml,
		      const struct xml_node *header, const struct http_request *request,
		      struct http_question *question, struct access_who *who)
{
	struct access *access = onvif->options.access;
	struct proof proof = {.is_digest = false};
	int err = -ENOENT;

	if (access_has_users(access) && !who->user)
		err = read_proof(&proof, xml, header, request);
	if (err == 0 &&
	    !identify(onvif, &proof, right == CONFIG_MAY_CONTROL, request, question, who))
		return false;
	if ((err == 0 || err == -ENOENT) && who->may & right)
		return true;
	access_count_refused(access);
	if (who->user || !access_has_users(access))
		answer_fault(question, CALL_FORBIDDEN, "");
	else if (err == -ENOENT || proof.is_digest)
		ask_for_digest(onvif, question, request->peer, false);
	else
		answer_fault(question, CALL_UNAUTHORIZED, "");
	return false;
}

/* --- a request --- */

static void answer_call(struct http_question *question, const struct service *service,
			const struct call_row *row, struct call *call)
{
	enum call_fault fault;

	begin_envelope(&call->out);
	markup_add(&call->out, "<%s:%sResponse>", service->prefix, row->name);
	fault = row->answer(call);
	if (fault) {
		markup_finish(&call->out);
		answer_fault(question, fault, call->why);
		return;
	}
	markup_add(&call->out, "</%s:%sResponse>", service->prefix, row->name);
	end_envelope(&call->out);
	send_envelope(question, 200, NULL, &call->out);
}

/* Answers what the document of call->xml asks. */
static void answer_document(struct onvif *onvif, struct call *call,
			    const struct http_request *request, struct http_question *question)
{
	const struct xml_node *root = xml_root(call->xml);
	const struct xml_node *header = xml_child(call->xml, root, ENVELOPE, "Header");
	const struct xml_node *body = xml_child(call->xml, root, ENVELOPE, "Body");
	const struct service *service = NULL;
	const struct call_row *row;

	if (!xml_is(root, ENVELOPE, "Envelope")) {
		answer_fault(question,
			     strcmp(root->name, "Envelope") == 0 ? CALL_VERSION : CALL_MALFORMED,
			     "");
		return;
	}
	call->action = body ? xml_first(call->xml, body) : NULL;
	row = call->action ? find_row(call->action, &service) : NULL;
	if (!call->action || !row) {
		answer_fault(question, call->action ? CALL_UNKNOWN : CALL_MALFORMED, "");
		return;
	}
	call->who = *request->who;
	if (row->right == 0 ||
	    authorize(onvif, row->right, call->xml, header, request, question, &call->who))
		answer_call(question, service, row, call);
}

void onvif_handle(struct onvif *onvif, const struct http_request *request,
		  struct http_question *question)
{
	struct call call = {.options = &onvif->options, .peer = request->peer};
	struct xml *xml;

	if (request->head->method != MESSAGE_POST) {
		http_refuse_method(question, "POST");
		return;
	}
	/* A page of another site could send this without asking (Fetch standard). */
	if (!http_same_origin(request->head) || !read_host(&call, request)) {
		answer_fault(question, CALL_FORBIDDEN, "");
		return;
	}
	if (xml_parse(&xml, request->body, request->body_len) < 0) {
		answer_fault(question, CALL_MALFORMED, "");
		return;
	}
	call.xml = xml;
	answer_document(onvif, &call, request, question);
	xml_destroy(xml);
}

/* --- discovery --- */

int onvif_discover(struct onvif *onvif, uint16_t http_port)
{
	const struct discover_options options = {
		.loop = onvif->options.loop,
		.cameras = onvif->options.cameras,
		.gate = access_gate(onvif->options.access),
		.port = http_port,
		.path = CALL_DEVICE_PATH,
	};

	if (!options.cameras->config->onvif.discovery)
		return 0;
	return discover_create(&onvif->discover, &options);
}

void onvif_leave(struct onvif *onvif)
{
	discover_destroy(onvif->discover);
	onvif->discover = NULL;
}

/* --- life --- */

int onvif_create(struct onvif **out, const struct onvif_options *options)
{
	struct onvif *onvif = calloc(1, sizeof *onvif);

	if (!onvif)
		return -ENOMEM;
	onvif->options = *options;
	list_init(&onvif->waiting);
	*out = onvif;
	return 0;
}

void onvif_destroy(struct onvif *onvif)
{
	struct list *at, *next;

	if (!onvif)
		return;
	onvif_leave(onvif);
	list_for_each_safe (at, next, &onvif->waiting) {
		struct refusal *refusal = container_of(at, struct refusal, link);

		access_cancel(&refusal->ask);
		free(refusal);
	}
	free(onvif);
}
