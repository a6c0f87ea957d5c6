/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/access.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/diag.h"
#include "daemon/auth/checker.h"
#include "daemon/auth/gates.h"
#include "daemon/auth/networks.h"
#include "daemon/auth/slowdown.h"
#include "daemon/auth/tickets.h"
#include "daemon/auth/users.h"

#define PASSWORD 'p'
#define LOGIN 'l'
#define PROOF 'd' /* kind of the digest of a user who has proved to know a password */
#define VOUCHER 'v'
#define PASSWORDS_MAX 256
#define PASSWORDS_US 600000000
#define LOGINS_MAX 256
#define LOGINS_US (30 * 86400 * INT64_C(1000000))
#define CHECKS_OF_ONE 4 /* of one address, that wait at the same time */
#define WRONG_US 300000 /* from a wrong attempt to its answer */
#define LOG_PERIOD_US 1000000

/* A password that is being checked, for everybody who sent it meanwhile. */
struct check {
	struct digest digest;
	struct net_peer peer; /* who sent it first */
	int user;	      /* -1: there is none, and the result does not matter */
	int64_t begun_us;
	struct list asks;
};

struct access {
	struct loop *loop;
	const struct config *config;
	struct networks *networks; /* NULL: no gate needs it */
	struct gates gates;
	struct digest_key key;
	struct users users;
	struct tickets passwords, logins;
	struct slowdown *slowdown;
	struct checker *checker; /* NULL: nobody has a password */
	/* In the order of the checker's queue: checks[ended] is the first that is not done. */
	struct check checks[CHECKER_JOBS];
	unsigned begun, ended;
	struct access_stats stats;
	struct diag_limit wrong_log, hash_log;
	int renumbered[CONFIG_USERS_MAX]; /* access_renumber() */
	size_t n_renumbered;
};

struct access_next {
	const struct config *config;
	struct gates gates;
	struct users users;
};

/* --- addresses --- */

const struct gate *access_gate(const struct access *access)
{
	return &access->gates.all;
}

const struct gate *access_stream_gate(const struct access *access, size_t index)
{
	return &access->gates.raw[index];
}

const struct gate *access_address_gate(const struct access *access, size_t index)
{
	return &access->gates.streams[index];
}

static bool lets_in(const struct access *access, const struct access_who *who,
		    const struct net_peer *peer, size_t index)
{
	const struct config_stream *stream = &access->config->streams[index];

	return gate_lets_in(&access->gates.streams[index], peer) &&
	       (!who->user || !who->user->streams[0] ||
		config_has_word(who->user->streams, stream->name));
}

bool access_may(const struct access *access, const struct access_who *who,
		const struct net_peer *peer, enum config_may may, size_t index)
{
	const struct config *config = access->config;
	const struct config_stream *stream = &config->streams[index];

	if (!(who->may & may))
		return false;
	if (!stream->implied)
		return lets_in(access, who, peer, index);
	for (size_t i = 0; i < config->n_streams; i++)
		if (!config->streams[i].implied && config->streams[i].camera == stream->camera &&
		    lets_in(access, who, peer, i))
			return true;
	return false;
}

/* --- who somebody is --- */

static void become(const struct access *access, struct access_who *who, int user)
{
	who->user = user < 0 ? NULL : access->users.items[user].config;
	who->may = user < 0 ? config_anonymous(access->config) : who->user->may;
}

/* name: in the certificate of the connection; NULL: there is none. */
static void become_nobody(const struct access *access, struct access_who *who, const char *name)
{
	become(access, who, name ? users_find_name(&access->users, name) : -1);
	if (name && access->users.n == 0)
		who->may |= CONFIG_MAY_VIEW | CONFIG_MAY_STATUS;
}

bool access_certificate_may(const struct access *access, const char *name,
			    const struct net_peer *peer, size_t index)
{
	struct access_who who;

	become_nobody(access, &who, name);
	return access_may(access, &who, peer, CONFIG_MAY_VIEW, index);
}

static void note_wrong(struct access *access, const struct net_peer *peer, int user)
{
	char text[NET_PEER_TEXT_MAX];
	int64_t now_us = loop_now_us(access->loop);
	uint64_t suppressed;

	access->stats.wrong++;
	slowdown_failed(access->slowdown, peer, now_us);
	if (!diag_allowed(&access->wrong_log, now_us, LOG_PERIOD_US, &suppressed))
		return;
	net_peer_format_host(peer, text);
	diag_warn("access: wrong password or token from %s for %s%s (%llu others since the last "
		  "such line)",
		  text, user < 0 ? "no user that there is" : "user ",
		  user < 0 ? "" : access->users.items[user].config->name,
		  (unsigned long long)suppressed);
}

static void handle_answer(struct loop_timer *timer)
{
	struct access_ask *ask = container_of(timer, struct access_ask, answer);

	ask->done(ask, ACCESS_WRONG, NULL);
}

/* The answer to a wrong attempt, at a time that says nothing about why it is wrong. */
static void answer_later(struct access_ask *ask, int64_t begun_us)
{
	loop_timer_set(ask->access->loop, &ask->answer, begun_us + WRONG_US);
}

static void handle_checked(void *user, bool right)
{
	struct access *access = user;
	struct check *check = &access->checks[access->ended++ % CHECKER_JOBS];
	int number = check->user;
	int64_t begun_us = check->begun_us;
	struct access_who who;
	struct list asks;

	right = right && number >= 0;
	if (right)
		tickets_give(&access->passwords, &check->digest, number, loop_now_us(access->loop));
	/* From here on, done() may begin a check in the same place. */
	list_init(&asks);
	list_splice(&asks, &check->asks);
	while (!list_empty(&asks)) {
		struct access_ask *ask = container_of(asks.next, struct access_ask, link);

		list_remove(&ask->link);
		if (right) {
			become(access, &who, number);
			ask->done(ask, ACCESS_KNOWN, &who);
		} else {
			note_wrong(access, &ask->peer, number);
			answer_later(ask, begun_us);
		}
	}
}

static void begin_ask(struct access *access, struct access_ask *ask, const struct net_peer *peer)
{
	access_cancel(ask);
	ask->access = access;
	ask->peer = *peer;
	list_init(&ask->link);
	loop_timer_init(&ask->answer, handle_answer);
}

static struct check *find_check(struct access *access, const struct digest *digest)
{
	for (unsigned i = access->ended; i != access->begun; i++)
		if (digest_equal(&access->checks[i % CHECKER_JOBS].digest, digest))
			return &access->checks[i % CHECKER_JOBS];
	return NULL;
}

/* Whether so many passwords from the address wait that the next one has to. */
static bool has_its_share(const struct access *access, const struct net_peer *peer)
{
	uint64_t key[2], other[2];
	unsigned n = 0;

	net_peer_host_key(peer, key);
	for (unsigned i = access->ended; i != access->begun; i++) {
		net_peer_host_key(&access->checks[i % CHECKER_JOBS].peer, other);
		n += memcmp(key, other, sizeof key) == 0;
	}
	return n >= CHECKS_OF_ONE;
}

static struct check *begin_check(struct access *access, const struct net_peer *peer,
				 const struct digest *digest, const struct credentials *credentials)
{
	int user = users_find_name(&access->users, credentials->name);
	const char *hash = user < 0 ? NULL : access->users.items[user].hash;
	struct check *check = &access->checks[access->begun % CHECKER_JOBS];

	if (!hash) { /* nobody's: it only takes its time */
		user = -1;
		hash = users_stand_in(&access->users, &access->key, credentials->name);
	}
	if (!checker_put(access->checker, credentials->secret, hash))
		return NULL;
	access->stats.checks++;
	access->begun++;
	*check = (struct check){
		.digest = *digest,
		.peer = *peer,
		.user = user,
		.begun_us = loop_now_us(access->loop),
	};
	list_init(&check->asks);
	return check;
}

/* user: -1: it is none, or not known. */
static enum access_verdict refuse_wrong(struct access *access, struct access_ask *ask,
					const struct net_peer *peer, int user)
{
	note_wrong(access, peer, user);
	begin_ask(access, ask, peer);
	answer_later(ask, loop_now_us(access->loop));
	return ACCESS_WAITS;
}

static enum access_verdict check_password(struct access *access, struct access_ask *ask,
					  const struct net_peer *peer,
					  const struct credentials *credentials,
					  const struct digest *digest)
{
	struct check *check = find_check(access, digest);

	if (!access->checker || access->users.n_hashes == 0)
		return refuse_wrong(access, ask, peer, -1);
	if (!check && has_its_share(access, peer)) {
		access->stats.slowed++;
		return ACCESS_SLOWED;
	}
	if (!check)
		check = begin_check(access, peer, digest, credentials);
	if (!check) {
		access->stats.busy++;
		return ACCESS_BUSY;
	}
	begin_ask(access, ask, peer);
	list_append(&check->asks, &ask->link);
	return ACCESS_WAITS;
}

/* What is known of one address helps no other one to guess: the answer would say at once, and as
 * often as it asks, which password is the right one. */
static void secret_digest(const struct access *access, struct digest *digest, char kind,
			  const struct net_peer *peer, const char *user, const char *secret)
{
	char name[CREDENTIALS_NAME_MAX + 34];
	uint64_t host[2];

	net_peer_host_key(peer, host);
	snprintf(name, sizeof name, "%s@%016" PRIx64 "%016" PRIx64, user, host[0], host[1]);
	digest_make(digest, &access->key, kind, name, secret);
}

/* The user, if nothing has to be checked; else -1. *digest: of the secret. */
static int find_known(struct access *access, const struct net_peer *peer,
		      const struct credentials *credentials, struct digest *digest)
{
	int64_t now_us = loop_now_us(access->loop);
	int user;

	switch (credentials->kind) {
	case CREDENTIALS_PASSWORD:
		secret_digest(access, digest, PASSWORD, peer, credentials->name,
			      credentials->secret);
		return tickets_find(&access->passwords, digest, now_us);
	case CREDENTIALS_TOKEN:
		digest_make(digest, &access->key, USERS_TOKEN, "", credentials->secret);
		return users_find_token(&access->users, digest);
	case CREDENTIALS_LOGIN:
		digest_make(digest, &access->key, LOGIN, "", credentials->secret);
		user = tickets_find(&access->logins, digest, now_us);
		if (user >= 0)
			return user;
		secret_digest(access, digest, VOUCHER, peer, "", credentials->secret);
		return tickets_find(&access->passwords, digest, now_us);
	default:
		return -1;
	}
}

enum access_verdict access_identify(struct access *access, struct access_ask *ask,
				    const struct net_peer *peer,
				    const struct credentials *credentials, struct access_who *who)
{
	enum credentials_kind kind = credentials->kind;
	struct digest digest;
	int user;

	become_nobody(access, who, credentials->certified ? credentials->certificate : NULL);
	if (kind == CREDENTIALS_NONE || access->users.n == 0)
		return ACCESS_KNOWN;
	user = find_known(access, peer, credentials, &digest);
	if (user >= 0)
		become(access, who, user);
	if (user >= 0 || kind == CREDENTIALS_LOGIN)
		return ACCESS_KNOWN;
	if (slowdown_wait_us(access->slowdown, peer, loop_now_us(access->loop)) > 0) {
		access->stats.slowed++;
		return ACCESS_SLOWED;
	}
	if (kind != CREDENTIALS_PASSWORD)
		return refuse_wrong(access, ask, peer, -1);
	return check_password(access, ask, peer, credentials, &digest);
}

/* --- proofs --- */

static void warn_of_hash(struct access *access, int user)
{
	uint64_t suppressed;

	if (diag_allowed(&access->hash_log, loop_now_us(access->loop), LOG_PERIOD_US, &suppressed))
		diag_warn("access: user %s cannot watch over RTSP by Digest, or use ONVIF, with "
			  "the hash of a password: it needs password_file, a token, or rtsps",
			  access->users.items[user].config->name);
}

/* Whether the proof is one of this user, who may be none (-1). */
static bool check_proof(const struct access *access, const struct access_proof *proof, int user)
{
	const char *clear = user < 0 ? NULL : access->users.items[user].clear;

	return proof->fits(proof, clear ? clear : "") && clear;
}

enum access_verdict access_identify_proof(struct access *access, struct access_ask *ask,
					  const struct net_peer *peer,
					  const struct access_proof *proof, struct access_who *who)
{
	int64_t now_us = loop_now_us(access->loop);
	struct digest digest;
	int user;

	become(access, who, -1);
	if (access->users.n == 0)
		return ACCESS_KNOWN;
	/* As with passwords: who has watched from an address goes on while others guess there. */
	secret_digest(access, &digest, PROOF, peer, proof->name, "");
	if (tickets_find(&access->passwords, &digest, now_us) < 0 &&
	    slowdown_wait_us(access->slowdown, peer, now_us) > 0) {
		access->stats.slowed++;
		return ACCESS_SLOWED;
	}
	user = users_find_name(&access->users, proof->name);
	if (!check_proof(access, proof, user)) {
		if (user >= 0 && access->users.items[user].hash && !access->users.items[user].clear)
			warn_of_hash(access, user);
		return refuse_wrong(access, ask, peer, user);
	}
	if (!proof->fresh)
		return ACCESS_STALE;
	tickets_give(&access->passwords, &digest, user, now_us);
	become(access, who, user);
	return ACCESS_KNOWN;
}

struct digest_proof {
	struct access_proof proof;
	const struct challenge_answer *answer;
	const char *method;
};

static bool fits_digest(const struct access_proof *proof, const char *password)
{
	const struct digest_proof *digest = (const void *)proof;

	return challenge_fits(digest->answer, digest->method, password);
}

enum access_verdict access_identify_digest(struct access *access, struct access_ask *ask,
					   const struct net_peer *peer, uint64_t connection,
					   const struct challenge_answer *answer,
					   const char *method, struct access_who *who)
{
	const struct digest_proof digest = {
		.proof = {.name = answer->name,
			  .fits = fits_digest,
			  .fresh = challenge_is_fresh(answer, &access->key, peer, connection,
						      loop_now_us(access->loop))},
		.answer = answer,
		.method = method,
	};

	return access_identify_proof(access, ask, peer, &digest.proof, who);
}

void access_challenge(const struct access *access, const struct net_peer *peer, uint64_t connection,
		      enum config_digest digest, bool stale, char header[CHALLENGE_MAX])
{
	challenge_write(header, &access->key, peer, connection, loop_now_us(access->loop), digest,
			stale);
}

enum config_digest access_rtsp_digest(const struct access *access)
{
	return access->config->daemon.rtsp_digest;
}

bool access_has_hashes(const struct access *access)
{
	for (size_t i = 0; i < access->users.n; i++)
		if (access->users.items[i].hash && !access->users.items[i].clear)
			return true;
	return false;
}

void access_cancel(struct access_ask *ask)
{
	if (!ask->link.next)
		return;
	list_remove(&ask->link);
	loop_timer_cancel(ask->access->loop, &ask->answer);
}

unsigned access_retry_after_s(const struct access *access, const struct net_peer *peer)
{
	int64_t wait_us = slowdown_wait_us(access->slowdown, peer, loop_now_us(access->loop));

	return (unsigned)(wait_us / 1000000) + 1;
}

bool access_has_users(const struct access *access)
{
	return access->users.n > 0;
}

bool access_is_public(const struct access *access)
{
	return config_anonymous(access->config) & CONFIG_MAY_VIEW;
}

/* --- logins of the page --- */

static_assert(ACCESS_LOGIN_MAX == 2 * DIGEST_SIZE + 1, "a login has as many bits as a digest");

static int number_of(const struct access *access, const struct config_user *user)
{
	return (int)(user - access->config->users);
}

int access_log_in(struct access *access, const struct config_user *user,
		  char login[ACCESS_LOGIN_MAX])
{
	uint8_t bytes[DIGEST_SIZE];
	struct digest digest;

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		return -EIO;
	bytes_write_hex(login, bytes, sizeof bytes);
	digest_make(&digest, &access->key, LOGIN, "", login);
	tickets_give(&access->logins, &digest, number_of(access, user), loop_now_us(access->loop));
	access->stats.logins++;
	return 0;
}

void access_vouch(struct access *access, const struct net_peer *peer, const char *password,
		  const struct config_user *user, char login[ACCESS_LOGIN_MAX])
{
	struct digest digest;

	/* A client that asks again gets the same again: no more places are taken. */
	secret_digest(access, &digest, VOUCHER, peer, user->name, password);
	bytes_write_hex(login, digest.bytes, DIGEST_SIZE);
	secret_digest(access, &digest, VOUCHER, peer, "", login);
	tickets_give(&access->passwords, &digest, number_of(access, user),
		     loop_now_us(access->loop));
}

void access_log_out(struct access *access, const char *login)
{
	struct digest digest;

	digest_make(&digest, &access->key, LOGIN, "", login);
	tickets_take_back(&access->logins, &digest);
}

/* --- log and status --- */

const char *access_open_to(const struct access *access)
{
	const struct gate *gate = &access->gates.all;

	if (!access_is_public(access))
		return "no";
	if (config_is_loopback_only(access->config))
		return "loopback";
	if (gate->allows_all)
		return "all";
	return gate->allow.local && gate->allow.n == 0 ? "local" : "listed";
}

void access_log_open(const struct access *access)
{
	const char *open = access_open_to(access);

	if (strcmp(open, "all") == 0)
		diag_info(
			"access: everybody who reaches this machine may watch without a password; "
			"docs/SECURITY.md says how to set one");
	else if (strcmp(open, "local") == 0)
		diag_info("access: everybody on the local network may watch without a password; "
			  "docs/SECURITY.md says how to set one");
	else if (strcmp(open, "listed") == 0)
		diag_info(
			"access: the addresses in allow of [daemon] may watch without a password; "
			"docs/SECURITY.md says how to set one");
	else if (strcmp(open, "no") == 0 && config_has_raw(access->config))
		diag_info("access: raw TCP can ask for no password, and serves only addresses that "
			  "allow of the [stream] names%s",
			  config_has_certificates(access->config)
				  ? ", and viewers with a certificate over TLS"
				  : "");
}

const struct access_stats *access_stats(const struct access *access)
{
	return &access->stats;
}

void access_count_refused(struct access *access)
{
	access->stats.refused++;
}

/* --- another configuration --- */

unsigned access_number(const struct access *access, const struct access_who *who)
{
	return who->user ? (unsigned)(who->user - access->config->users) + 1 : ACCESS_SOMEBODY;
}

void access_become(const struct access *access, unsigned number, const char *certificate,
		   struct access_who *who)
{
	if (number == ACCESS_SOMEBODY)
		become_nobody(access, who, certificate);
	else
		become(access, who, (int)number - 1);
}

int access_renumber(const struct access *access, unsigned number)
{
	if (number == ACCESS_SOMEBODY)
		return ACCESS_SOMEBODY;
	if (number > access->n_renumbered || access->renumbered[number - 1] < 0)
		return -1;
	return access->renumbered[number - 1] + 1;
}

int access_next_create(struct access_next **out, const struct access *access,
		       const struct config *config, const atomic_bool *cancelled,
		       char why[USERS_WHY_MAX])
{
	struct access_next *next = calloc(1, sizeof *next);
	int err;

	if (!next)
		return -ENOMEM;
	next->config = config;
	err = gates_init(&next->gates, config);
	if (err == 0)
		err = users_init(&next->users, config, &access->key, cancelled);
	snprintf(why, USERS_WHY_MAX, "%s", next->users.why[0] ? next->users.why : "out of memory");
	if (err < 0)
		access_next_destroy(next);
	else
		*out = next;
	return err;
}

void access_next_destroy(struct access_next *next)
{
	if (!next)
		return;
	users_finish(&next->users);
	gates_finish(&next->gates);
	explicit_bzero(next, sizeof *next);
	free(next);
}

int access_prepare(struct access *access, struct access_next *next)
{
	int err = 0;

	if (gates_need_own(&next->gates) && !access->networks)
		err = networks_create(&access->networks, access->loop);
	if (err == 0 && next->users.n_hashes > 0 && !access->checker)
		err = checker_create(&access->checker, access->loop, handle_checked, access);
	return err;
}

static void renumber(struct access *access, const struct users *users)
{
	access->n_renumbered = access->users.n;
	for (size_t i = 0; i < access->users.n; i++) {
		const struct user *user = &access->users.items[i];
		int number = users_find_name(users, user->config->name);

		if (number >= 0 && !users_are_same(user, &users->items[number]))
			number = -1;
		access->renumbered[i] = number;
	}
	tickets_renumber(&access->passwords, access->renumbered, access->n_renumbered);
	tickets_renumber(&access->logins, access->renumbered, access->n_renumbered);
	/* What is being checked now is right for a user who has not changed only. */
	for (unsigned i = access->ended; i != access->begun; i++) {
		int *user = &access->checks[i % CHECKER_JOBS].user;

		*user = *user >= 0 ? access->renumbered[*user] : -1;
	}
}

void access_renew(struct access *access, struct access_next *next)
{
	renumber(access, &next->users);
	gates_replace(&access->gates, &next->gates, next->config,
		      access->networks ? networks_own(access->networks) : NULL);
	users_finish(&access->users);
	access->users = next->users;
	next->users.items = NULL;
	access->config = next->config;
	access_next_destroy(next);
}

/* --- life --- */

int access_create(struct access **out, struct loop *loop, const struct config *config)
{
	struct access *access = calloc(1, sizeof *access);
	char why[USERS_WHY_MAX];
	struct access_next *next;
	int err;

	if (!access)
		return -ENOMEM;
	access->loop = loop;
	access->config = config;
	err = digest_key_init(&access->key);
	if (err == 0)
		err = tickets_init(&access->passwords, PASSWORDS_MAX, PASSWORDS_US, false);
	if (err == 0)
		err = tickets_init(&access->logins, LOGINS_MAX, LOGINS_US, true);
	if (err == 0)
		err = slowdown_create(&access->slowdown);
	if (err == 0)
		err = access_next_create(&next, access, config, NULL, why);
	if (err < 0)
		goto destroy_access;
	err = access_prepare(access, next);
	if (err < 0)
		goto destroy_next;
	access_renew(access, next);
	*out = access;
	return 0;

destroy_next:
	access_next_destroy(next);
destroy_access:
	access_destroy(access);
	return err;
}

void access_destroy(struct access *access)
{
	if (!access)
		return;
	checker_destroy(access->checker);
	slowdown_destroy(access->slowdown);
	tickets_finish(&access->logins);
	tickets_finish(&access->passwords);
	users_finish(&access->users);
	networks_destroy(access->networks);
	gates_finish(&access->gates);
	explicit_bzero(access, sizeof *access);
	free(access);
}
