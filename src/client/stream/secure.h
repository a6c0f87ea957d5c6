/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS of a client's connection to a stream. What it trusts stands in the environment, so that the
 * processes that a command starts trust the same: CAMCAST_PIN is the SHA-256 of the one certificate
 * that is accepted; else CAMCAST_CAFILE is a file of authorities (else: those of the system), and
 * the certificate must be for the host's name or address. CAMCAST_CERT is a file with a certificate
 * of our own, for servers that ask for one, and CAMCAST_KEY one with its key (else: in the same
 * file). One thread.
 */
#ifndef CLIENT_STREAM_SECURE_H
#define CLIENT_STREAM_SECURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SECURE_CAFILE "CAMCAST_CAFILE"
#define SECURE_PIN "CAMCAST_PIN"
#define SECURE_CERT "CAMCAST_CERT"
#define SECURE_KEY "CAMCAST_KEY"
#define SECURE_WHY_MAX 128 /* bytes of a reason, terminator included */

struct secure;

/* Whether a text is a SHA-256: 64 hexadecimal digits, perhaps with colons. Any thread. */
bool secure_is_pin(const char *text);

/* Reads what is trusted and presented; later, in a sandbox, it could not. host: a name or an
 * address, copied. 0; -ENOMEM, or -EINVAL with the reason in why. */
int secure_create(struct secure **out, const char *host, char why[SECURE_WHY_MAX]);
/* NULL is fine. */
void secure_destroy(struct secure *secure);

/* Begins a connection on fd (connected, non-blocking, borrowed), and ends the one before. 0 or
 * -ENOMEM. */
int secure_begin(struct secure *secure, int fd);
/* Goes on with the handshake. 0: done; -EAGAIN: call again after poll() for *events; -EPROTO, with
 * the reason in why. */
int secure_shake(struct secure *secure, short *events, char why[SECURE_WHY_MAX]);
/* As recv(): bytes, 0 (the end), -EAGAIN, or -EPROTO. */
ssize_t secure_read(struct secure *secure, void *data, size_t max);
/* As send(): bytes, -EAGAIN, or -EPROTO. */
ssize_t secure_write(struct secure *secure, const void *data, size_t len);
/* Why secure_read() failed: with TLS 1.3 a server refuses our certificate behind the handshake.
 * Static. */
const char *secure_fault(const struct secure *secure);
/* Whether secure_read() has bytes without poll(). */
bool secure_pending(const struct secure *secure);

#endif
