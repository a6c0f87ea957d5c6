/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS 1.2 and 1.3 of a connection to the server, by OpenSSL. Where the kernel can, it encrypts
 * behind the handshake (kernel document "Kernel TLS"): then bytes are sent to the socket itself, as
 * if there were no TLS. What a peer sends is decrypted here. No ALPN, no resumption, no
 * renegotiation. A client may present a certificate of its own, where there are authorities for
 * that; one that is not valid ends the handshake.
 *
 * Functions never wait. A connection belongs to one thread at a time; several connections of one
 * context may be used by several threads.
 */
#ifndef DAEMON_SERVE_TLS_H
#define DAEMON_SERVE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TLS_FIRST_BYTE 0x16	   /* of a ClientHello's record (RFC 8446 clause 5.1) */
#define TLS_RECORD_MAX 16384	   /* bytes of plain text (RFC 8446 clause 5.1) */
#define TLS_RECORD_EXTRA 64	   /* bytes, at least those of head, nonce, type and tag */
#define TLS_RECORDS_AT_ONCE 3	   /* that leave together, where the kernel makes them */
#define TLS_RECORDS_MAX (1u << 24) /* under one key: below the 2^24.5 of RFC 8446 clause 5.5 */
#define TLS_EMPTY_MAX 1024	   /* reads without data in TLS_EMPTY_PERIOD_US */
#define TLS_EMPTY_PERIOD_US 60000000
#define TLS_NAME_MAX 65 /* bytes of a common name, terminator included (RFC 5280, A.1) */

struct ssl_st;
struct tls_context; /* tls_context.h */

/* Memory of the caller, who also owns the socket. */
struct tls {
	struct ssl_st *ssl; /* NULL: none */
	int fd;
	bool drained, ended; /* the socket has no more input now; its input has ended */
	bool shortage;	     /* the kernel had no memory for the last bytes */
	bool kernel;	     /* it encrypts */
	bool rekeyed;	     /* the peer asked for another key, which the kernel does not change */
	uint8_t reads;	     /* of the socket that the call under way may still make */
	uint16_t empty;	     /* calls of tls_read() without data, in the minute from empty_us on */
	int64_t empty_us;
	/* Bytes of a record that the socket has not taken completely; 0: none. All but the last of
	 * them were reported as taken. */
	uint32_t pending;
	uint32_t records, records_max; /* sent under the key; where it is changed */
	uint32_t per_record;	       /* records that one of ours may become */
	uint32_t at_once;	       /* bytes that leave together, where the kernel encrypts */
};

/* Before the handshake. 0 or -ENOMEM. */
int tls_open(struct tls *tls, struct tls_context *context, int fd);
/* Goes on with the handshake. 0: it is done; -EAGAIN: call again when the socket has input, or
 * (*wants_room) room; -EPROTO: it has failed. */
int tls_shake(struct tls *tls, bool *wants_room);
/* Behind a handshake: whether the client has presented a certificate, which is valid then, and its
 * common name; "" if it has none, several, or one with other than printable ASCII. */
bool tls_client_name(const struct tls *tls, char name[TLS_NAME_MAX]);
/* Why the certificate of the client made the handshake fail; NULL: it did not. Static. */
const char *tls_client_fault(const struct tls *tls);
/* Moves a connection to other memory; *from is none then. */
void tls_move(struct tls *to, struct tls *from);
/* NULL memory inside is fine. The socket stays open. */
void tls_close(struct tls *tls);

/* Whether the kernel encrypts. Behind a handshake. */
static inline bool tls_in_kernel(const struct tls *tls)
{
	return tls->kernel;
}

/*
 * Sends len bytes (at least 1) after a handshake. Returns the number of bytes taken (1..len; fewer
 * than asked means that the socket is full), -EAGAIN (none taken), -ENOBUFS or -ENOMEM (none taken,
 * and no event will follow), or another -errno, of the socket, or -EPROTO: the connection is dead.
 *
 * Where the kernel encrypts, it reads the bytes where they lie, and does not need them behind the
 * call. It finishes each record that it has begun.
 *
 * Else at most one record waits in `tls` for room in the socket, and the last byte of it is not
 * reported as taken: so what is partly sent is not finished for the caller, who goes on with that
 * byte when the socket is writable. The bytes before it must still be where they were.
 */
ssize_t tls_write(struct tls *tls, const uint8_t *data, size_t len);
/* As recv() of a non-blocking socket: bytes read (at most max), 0 (the input has ended), -EAGAIN,
 * -EPROTO, or -EINTR: there may be more, but a record or two were read and held no data. A peer
 * that makes that happen more than TLS_EMPTY_MAX times in a minute gets -EPROTO. */
ssize_t tls_read(struct tls *tls, void *buffer, size_t max);
/* Tells the peer that nothing more will come, if the socket has room for that. Only behind whole
 * records. */
void tls_end(struct tls *tls);

#endif
