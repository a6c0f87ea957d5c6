/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Digest authentication (RFC 7616) without quality of protection, as RFC 2069 and RTSP's clients
 * have it: the challenge of a server, and what a client answers. A nonce is its time and a keyed
 * hash of that, of its peer and of its connection, so that none has to be kept. Any thread.
 */
#ifndef DAEMON_AUTH_CHALLENGE_H
#define DAEMON_AUTH_CHALLENGE_H

#include "config/config.h"
#include "daemon/auth/credentials.h"
#include "daemon/auth/tickets.h"
#include "net/address.h"

#define CHALLENGE_REALM "camcast"
#define CHALLENGE_LIFETIME_US 300000000 /* of a nonce */
#define CHALLENGE_NONCE_MAX 41		/* bytes, terminator included */
#define CHALLENGE_MAX 160		/* bytes of a header, terminator included */

/* Writes a header WWW-Authenticate with its CRLF. The nonce is for this peer alone, with its port,
 * and for this connection: a number that no other one has had; 0: for all of the peer. now_us: of a
 * clock that the process shares. digest: not CONFIG_DIGEST_NO. stale: the client knows the
 * password, and asks nobody for it again. */
void challenge_write(char header[CHALLENGE_MAX], const struct digest_key *key,
		     const struct net_peer *peer, uint64_t connection, int64_t now_us,
		     enum config_digest digest, bool stale);

/* What a client answers. */
struct challenge_answer {
	char name[CREDENTIALS_NAME_MAX];
	char nonce[CHALLENGE_NONCE_MAX];
	char uri[MESSAGE_TARGET_MAX];
	char response[2 * DIGEST_SIZE + 1]; /* of hexadecimal digits; its length is that of MD5 or
					       SHA-256 */
	enum config_digest digest;	    /* as that length says */
};

/* Reads a header Authorization of the scheme Digest. 0; -ENOENT: there is none; -EBADMSG: it is
 * malformed, of another realm, has a parameter twice, or something that was not offered. */
int challenge_read(struct challenge_answer *out, const struct message *head);

/* When the nonce was made (of now_us above), and a number of its own, both of which the client may
 * have made up where challenge_is_fresh() is false. False: it is none of this form. */
bool challenge_nonce(const struct challenge_answer *answer, int64_t *made_us, uint64_t *number);

/* Whether the nonce was given to this peer on this connection, and is not too old. */
bool challenge_is_fresh(const struct challenge_answer *answer, const struct digest_key *key,
			const struct net_peer *peer, uint64_t connection, int64_t now_us);

/* Whether the answer was made with this password for a request with this method. Takes the same
 * time in both cases. */
bool challenge_fits(const struct challenge_answer *answer, const char *method,
		    const char *password);

#endif
