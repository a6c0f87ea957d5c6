/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The certificate with which the server speaks TLS, and what it offers there: what connections
 * (tls.h) have in common. A context belongs to one thread at a time.
 */
#ifndef DAEMON_SERVE_TLS_CONTEXT_H
#define DAEMON_SERVE_TLS_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#define TLS_WHY_MAX 512		    /* bytes of a message, terminator included */
#define TLS_CHECK_PERIOD_US 1000000 /* a changed certificate is noticed so often at most */

struct config_tls;
struct ssl_st;

struct tls_context;

/* Paths; a name without a slash is a credential of systemd if there are any. */
struct tls_options {
	const char *certificate;
	const char *key;       /* "": in the file of the certificate */
	const char *client_ca; /* authorities of clients' certificates; "": none are asked for */
	bool kernel;	       /* it may encrypt */
};

/* What the configuration says; its texts are borrowed. */
struct tls_options tls_options_from(const struct config_tls *config);
/* Reads the files, whose names are copied. 0 and *out; or -ENOMEM, or -EINVAL with what is wrong
 * with which file in why. */
int tls_context_create(struct tls_context **out, const struct tls_options *options,
		       char why[TLS_WHY_MAX]);
/* Connections that are open stay usable. NULL is fine. */
void tls_context_destroy(struct tls_context *context);
/* Reads the files again if they have changed, at most once in TLS_CHECK_PERIOD_US; now_us is of any
 * clock. What cannot be used leaves what was read before in force, and is logged once: files that
 * are exchanged one after the other do not fit together for a moment, so the second look counts.
 * Returns whether another certificate is in force. */
bool tls_context_refresh(struct tls_context *context, int64_t now_us);
/* When the certificate becomes invalid, seconds since 1970. */
int64_t tls_context_expires(const struct tls_context *context);

/* For tls.c: another connection (NULL: out of memory), and whether the kernel may encrypt it. */
struct ssl_st *tls_context_connect(const struct tls_context *context);
bool tls_context_in_kernel(const struct tls_context *context);

/* Whether ChaCha20 is faster than AES here: settings is OpenSSL's text about the processor
 * (OPENSSL_INFO_CPU_SETTINGS), NULL or unknown: no. For tests. */
bool tls_lacks_aes(const char *settings);

#endif
