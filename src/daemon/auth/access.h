/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may watch: the one place that every protocol asks. It knows the addresses that may come in
 * (gates), and finds out who somebody is: everybody, or a user with a password or a token.
 *
 * A password is checked on a thread of its own (checker.h) and then remembered for ten minutes
 * (tickets.h). A wrong one is answered after 0.3 s, whether the user exists or not, and an address
 * that sends many has to wait (slowdown.h). Loop thread only.
 */
#ifndef DAEMON_AUTH_ACCESS_H
#define DAEMON_AUTH_ACCESS_H

#include "config/config.h"
#include "daemon/auth/challenge.h"
#include "daemon/auth/credentials.h"
#include "daemon/auth/gate.h"
#include "daemon/auth/users.h"
#include "daemon/loop/loop.h"

struct access;

/* config is borrowed. Reads the files of the users. 0, or -errno after a line in the log. */
int access_create(struct access **out, struct loop *loop, const struct config *config);
/* Nobody waits any more. NULL is allowed. */
void access_destroy(struct access *access);

/* --- addresses --- */

/* The gate of [daemon], for a protocol that can serve every stream. Borrowed. */
const struct gate *access_gate(const struct access *access);
/* That of a stream and of [daemon], for a protocol that serves this stream alone and can ask for no
 * user: where everybody may not watch, only those come in whom `allow` of the stream names. index:
 * in the configuration. Borrowed. */
const struct gate *access_stream_gate(const struct access *access, size_t index);

/* The addresses alone of that stream: for a peer that may still present a certificate. Borrowed. */
const struct gate *access_address_gate(const struct access *access, size_t index);

/* --- who somebody is --- */

struct access_who {
	const struct config_user *user; /* NULL: somebody */
	unsigned may;			/* enum config_may */
};

enum access_verdict {
	ACCESS_KNOWN,  /* *who is valid */
	ACCESS_WAITS,  /* the verdict comes later */
	ACCESS_WRONG,  /* user, password or token */
	ACCESS_SLOWED, /* the address has to wait before its next attempt */
	ACCESS_BUSY,   /* too many attempts wait */
	ACCESS_STALE,  /* right, but as an answer to a challenge that is no more */
};

/* Somebody who asks. Zeroed at first; the caller sets done(). */
struct access_ask {
	/* The verdict, after ACCESS_WAITS. who is valid during the call. */
	void (*done)(struct access_ask *ask, enum access_verdict verdict,
		     const struct access_who *who);
	/* --- below: of access.c --- */
	struct list link; /* of a check; next NULL: never used */
	struct loop_timer answer;
	struct access *access;
	struct net_peer peer;
};

/* Without credentials, and with a login that has ended: the user whose name the certificate of the
 * connection has, else everybody. Without users, who has a certificate may view and see the status.
 * After ACCESS_WAITS `ask` stays where it is until done() or access_cancel(). */
enum access_verdict access_identify(struct access *access, struct access_ask *ask,
				    const struct net_peer *peer,
				    const struct credentials *credentials, struct access_who *who);
/* What a peer sends in place of a password, to prove that it knows it: an answer to Digest, a
 * UsernameToken of ONVIF. */
struct access_proof {
	const char *name; /* of the user */
	/* Whether the proof was made with this password, in clear text, which is valid during the
	 * call alone. It is asked for users without one too, and for none, so that it takes its
	 * time: the result does not count then. */
	bool (*fits)(const struct access_proof *proof, const char *password);
	bool fresh; /* it has not been used before; else the result is ACCESS_STALE at best */
};

/* As access_identify(). Only a user with a password_file can prove anything; a line of the log says
 * so for others. */
enum access_verdict access_identify_proof(struct access *access, struct access_ask *ask,
					  const struct net_peer *peer,
					  const struct access_proof *proof, struct access_who *who);
/* The same with an answer to a challenge of access_challenge(), in a request of this method. The
 * caller has checked what the uri of the answer names. */
enum access_verdict access_identify_digest(struct access *access, struct access_ask *ask,
					   const struct net_peer *peer, uint64_t connection,
					   const struct challenge_answer *answer,
					   const char *method, struct access_who *who);
/* A challenge for this peer and connection, as challenge_write() has them. Where clients open a
 * connection for each request, the caller sets the port of the peer and the connection to 0, here
 * and above. digest: not CONFIG_DIGEST_NO. */
void access_challenge(const struct access *access, const struct net_peer *peer, uint64_t connection,
		      enum config_digest digest, bool stale, char header[CHALLENGE_MAX]);
/* done() is not called any more. */
void access_cancel(struct access_ask *ask);
/* Seconds, after ACCESS_SLOWED. */
unsigned access_retry_after_s(const struct access *access, const struct net_peer *peer);

/* Whether who may watch (or, with CONFIG_MAY_CONTROL, change) a stream from this address. The
 * pictures of a stream that the file does not have are those of its camera's other streams: one of
 * them decides. */
bool access_may(const struct access *access, const struct access_who *who,
		const struct net_peer *peer, enum config_may may, size_t index);

/* Whether the holder of a certificate, which is valid, may watch a stream. name: in it. */
bool access_certificate_may(const struct access *access, const char *name,
			    const struct net_peer *peer, size_t index);

/* rtsp_digest of the configuration. */
enum config_digest access_rtsp_digest(const struct access *access);
/* Whether a user has a hash of a password alone, and thus can prove nothing. */
bool access_has_hashes(const struct access *access);
/* Whether there are users. */
bool access_has_users(const struct access *access);
/* Whether everybody may watch, so that a cache may keep pictures for others. */
bool access_is_public(const struct access *access);

/* A user as a number for connections, which outlives the configuration: 0 is somebody. */
#define ACCESS_SOMEBODY 0
unsigned access_number(const struct access *access, const struct access_who *who);
/* certificate: the name in that of the connection, which counts for somebody; NULL: none. */
void access_become(const struct access *access, unsigned number, const char *certificate,
		   struct access_who *who);

/* --- another configuration --- */

/* Its users and gates. */
struct access_next;

/* Reads the files of its users (config is borrowed; cancelled as in users_init()). 0; or -errno
 * after a line in the log, with the reason in why. Any thread. */
int access_next_create(struct access_next **out, const struct access *access,
		       const struct config *config, const atomic_bool *cancelled,
		       char why[USERS_WHY_MAX]);
/* NULL is allowed. */
void access_next_destroy(struct access_next *next);
/* Makes what `next` needs. 0 or -errno: then nothing has changed. */
int access_prepare(struct access *access, struct access_next *next);
/* From now on the other configuration is asked; takes next. access_stream_gate() returns others.
 * A user with the same name, password and token stays logged in. After access_prepare(). */
void access_renew(struct access *access, struct access_next *next);
/* The number of somebody who had this one before access_renew(); -1: the user is gone, or has
 * another password or token. */
int access_renumber(const struct access *access, unsigned number);

/* --- logins of the page --- */

#define ACCESS_LOGIN_MAX 65 /* bytes of a login, terminator included */
/* Makes a login for a user; it ends 30 days after its last use. 0 or -errno. */
int access_log_in(struct access *access, const struct config_user *user,
		  char login[ACCESS_LOGIN_MAX]);
void access_log_out(struct access *access, const char *login);
/* Makes a login for a user who has sent his password from this address, for what he loads next: it
 * is good for this address, for ten minutes from the last call with the same arguments, and is the
 * same for these. A user with another password has none. */
void access_vouch(struct access *access, const struct net_peer *peer, const char *password,
		  const struct config_user *user, char login[ACCESS_LOGIN_MAX]);

/* --- log and status --- */

/* Who may watch without a password: "no" (nobody), "loopback", "local" (those on the networks of
 * this machine), "listed" (other addresses that `allow` of [daemon] names), "all". Static. */
const char *access_open_to(const struct access *access);
/* Says in the log who may watch without a password, beyond this machine. */
void access_log_open(const struct access *access);

struct access_stats {
	uint64_t checks;  /* of passwords, by the thread */
	uint64_t wrong;	  /* users, passwords and tokens */
	uint64_t slowed;  /* attempts that were not looked at, for an address that has to wait */
	uint64_t busy;	  /* attempts that were not looked at, because too many waited */
	uint64_t refused; /* requests that needed more rights: access_count_refused() */
	uint64_t logins;  /* of the page */
};
const struct access_stats *access_stats(const struct access *access);
void access_count_refused(struct access *access);

#endif
