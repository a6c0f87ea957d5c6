/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the heads of HTTP/1.x and RTSP/1.0 messages: a request or status line and headers, after
 * RFC 9112 (HTTP/1.1), RFC 2326 (RTSP/1.0) and, where that says nothing, RFC 7826. The caller
 * pushes bytes in, in pieces of any size; the pieces make no difference to the result. Bodies,
 * further messages and RTSP's interleaved frames are left to the caller.
 *
 * Memory and time are bounded: nothing is allocated, and a head has at most MESSAGE_MAX bytes. All
 * strings end with a NUL, hold no other control character than a tab, and belong to the message:
 * they are valid until the next message_init(). A message must not be copied or moved, because it
 * points into itself. Any thread, one at a time.
 *
 * Lines end with CRLF or with a bare LF (RFC 9112 clause 2.2); empty lines before the first one are
 * skipped. Heads that two readers could understand differently are refused (request smuggling):
 * those with a bare CR or another control character, a folded header line (clause 5.2), white space
 * around a header's name (5.1), a second Host (3.2), a malformed Content-Length or two different
 * ones, or a Transfer-Encoding beside a Content-Length or in HTTP/1.0 (6.1, 6.3). A request without
 * Host is accepted; the caller decides whether it needs one.
 */
#ifndef NET_MESSAGE_H
#define NET_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_MAX 8192	/* bytes of a head, empty lines before it included */
#define MESSAGE_TARGET_MAX 1024 /* bytes of a request target, terminator included */
#define MESSAGE_METHOD_MAX 24	/* bytes of a method's name, terminator included */

enum message_protocol { MESSAGE_HTTP, MESSAGE_RTSP };

enum message_method {
	MESSAGE_UNKNOWN, /* a well-formed name, but none of the following */
	MESSAGE_GET,
	MESSAGE_HEAD,
	MESSAGE_POST,
	MESSAGE_PUT,
	MESSAGE_PATCH,
	MESSAGE_DELETE,
	MESSAGE_CONNECT,
	MESSAGE_TRACE,
	MESSAGE_OPTIONS,
	MESSAGE_DESCRIBE,
	MESSAGE_ANNOUNCE,
	MESSAGE_SETUP,
	MESSAGE_PLAY,
	MESSAGE_PAUSE,
	MESSAGE_RECORD,
	MESSAGE_TEARDOWN,
	MESSAGE_REDIRECT,
	MESSAGE_GET_PARAMETER,
	MESSAGE_SET_PARAMETER,
};

/* What message_push() returns, unless it is an error. */
enum message_result {
	MESSAGE_MORE,	     /* the head is not complete yet */
	MESSAGE_COMPLETE,    /* the fields are valid; the body begins at the first byte not taken */
	MESSAGE_INTERLEAVED, /* a `$` stands where a head would begin (RFC 2326 clause 10.12); it
				was not taken. The same message goes on after the frame. */
};

/* Valid once message_push() has returned MESSAGE_COMPLETE. */
struct message {
	enum message_protocol protocol;
	unsigned minor; /* version 1.minor */

	/* Of a request; method_name is NULL in a response. */
	enum message_method method;
	const char *method_name;
	const char *target;    /* as it was sent */
	const char *authority; /* [user@]host[:port] of an absolute target or of CONNECT; or NULL */
	const char *path;      /* not decoded; "*" for the whole server; "" with CONNECT */
	const char *query;     /* not decoded, without the `?`; or NULL */

	/* Of a response. */
	unsigned status; /* 100..999; 0: this is a request */
	const char *reason;

	int64_t content_length; /* -1: not said */
	bool chunked;		/* Transfer-Encoding: chunked; any other one is refused */

	/* The rest is private. */
	int result;	      /* message_result or -errno; once it is not MESSAGE_MORE it stays */
	size_t taken;	      /* bytes, since message_init() */
	size_t len, line;     /* in head: all of it; where the line being read begins */
	size_t headers;	      /* in head: each one's name and value, both terminated; 0: none yet */
	bool host;	      /* has been seen */
	bool carriage_return; /* the newest byte was one, so that only LF may follow */
	char head[MESSAGE_MAX + 1];
	char parts[MESSAGE_TARGET_MAX + 1]; /* the target, taken to pieces */
};

/* Makes ready for the first byte of a head. */
void message_init(struct message *message);

/*
 * Takes bytes up to the end of the head, of data (len bytes), and says in *taken how many; all of
 * them if the result is MESSAGE_MORE. Returns a message_result, or what is wrong with the head; the
 * caller should answer with message_error_status() and close, since nobody knows where the next
 * head begins:
 *   -EBADMSG          it is malformed
 *   -ENAMETOOLONG     the start line, or the target in it, is too long
 *   -EMSGSIZE         the head is longer than MESSAGE_MAX
 *   -EPROTONOSUPPORT  another version than HTTP/1.x and RTSP/1.0
 *   -EOPNOTSUPP       a transfer coding other than chunked
 * After an error or a complete head further calls take nothing and return the same.
 */
int message_push(struct message *message, const char *data, size_t len, size_t *taken);

/* The status code for an error of message_push() or message_decode(): 400, 414, 431, 501 or 505. */
int message_error_status(int err);

/* The value of the first header of that name (in any case), or of the next one after `after`, a
 * value that this function returned. Without white space at both ends. NULL: there is none. */
const char *message_header(const struct message *message, const char *name, const char *after);

/* Whether one of the comma-separated elements of all headers of that name is token, in any case
 * (RFC 9110 clause 5.6.1). Commas within quoted strings do not separate. */
bool message_has_token(const struct message *message, const char *name, const char *token);

/* Decodes %XX (RFC 3986 clause 2.1) from text into out, which has room for size bytes, terminator
 * included. -EBADMSG: not two hexadecimal digits, or they say NUL; -ENAMETOOLONG: no room. */
int message_decode(const char *text, char *out, size_t size);

/* The value of the first parameter of that name in the query, "NAME=VALUE" or "NAME" between `&`:
 * *len bytes, not decoded. NULL: there is none. */
const char *message_parameter(const struct message *message, const char *name, size_t *len);
/* Decodes the value of the first "NAME=VALUE". -ENOENT: there is none; else as message_decode(). */
int message_read_parameter(const struct message *message, const char *name, char *out, size_t size);

#endif
