/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "daemon/serve/tls_context.h"

#define CALLS_AT_ONCE 16 /* of SSL_do_handshake() */
#define READS_AT_ONCE 4	 /* of the socket, in a call: two records, a head and a body each */
/* Of BIO_ctrl(), from OpenSSL's internal/bio.h: the keys of a direction are handed to the kernel.
 */
#define SET_KERNEL_KEYS 72
#define SET_RECORD_TYPE 74
#define CLEAR_RECORD_TYPE 75
#define KEY_UPDATE_BYTES 5 /* a handshake message (RFC 8446 clause 4.6.3) */

/* --- bytes to and from the socket --- */

static BIO_METHOD *socket_method;

static int socket_read(BIO *bio, char *data, int len)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	/* OpenSSL puts a message together from as many records as the peer likes. */
	if (tls->reads == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	tls->reads--;
	do
		n = recv(tls->fd, data, (size_t)len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		tls->drained = true;
		BIO_set_retry_read(bio);
	}
	if (n == 0)
		tls->ended = true;
	return (int)n;
}

/* The BIO behind ours is OpenSSL's own for sockets. It knows how keys, and messages that are no
 * data, are handed to the kernel; where the kernel may not encrypt, there is none. */
static bool kernel_encrypts(BIO *bio)
{
	return BIO_next(bio) && BIO_get_ktls_send(BIO_next(bio));
}

static int socket_write(BIO *bio, const char *data, int len)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = kernel_encrypts(bio)
			    ? BIO_write(BIO_next(bio), data, len)
			    : send(tls->fd, data, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	tls->shortage = n < 0 && (errno == ENOBUFS || errno == ENOMEM);
	if (n < 0 && (errno == EAGAIN || tls->shortage))
		BIO_set_retry_write(bio);
	return (int)n;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
	const struct tls *tls = BIO_get_data(bio);

	switch (command) {
	case SET_KERNEL_KEYS:
		if (number == 0) /* those for reading */
			return 0;
		/* fallthrough */
	case SET_RECORD_TYPE:
	case CLEAR_RECORD_TYPE:
	case BIO_CTRL_GET_KTLS_SEND:
		return BIO_next(bio) ? BIO_ctrl(BIO_next(bio), command, number, pointer) : 0;
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return tls && tls->ended;
	default:
		return 0;
	}
}

static int socket_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static void make_method(void)
{
	socket_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "camcast");
	if (!socket_method)
		return;
	BIO_meth_set_read(socket_method, socket_read);
	BIO_meth_set_write(socket_method, socket_write);
	BIO_meth_set_ctrl(socket_method, socket_control);
	BIO_meth_set_create(socket_method, socket_create);
}

static BIO *make_bio(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_method);
	return socket_method ? BIO_new(socket_method) : NULL;
}

/* --- a connection --- */

int tls_open(struct tls *tls, struct tls_context *context, int fd)
{
	bool kernel = tls_context_in_kernel(context);
	BIO *bio = make_bio();
	BIO *next = kernel ? BIO_new_socket(fd, BIO_NOCLOSE) : NULL;

	*tls = (struct tls){
		.fd = fd,
		.records_max = TLS_RECORDS_MAX,
		.per_record = 1,
		.at_once = TLS_RECORDS_AT_ONCE * TLS_RECORD_MAX,
	};
	tls->ssl = bio && (next || !kernel) ? tls_context_connect(context) : NULL;
	if (!tls->ssl) {
		BIO_free(bio);
		BIO_free(next);
		ERR_clear_error();
		return -ENOMEM;
	}
	if (next)
		BIO_push(bio, next);
	BIO_set_data(bio, tls);
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_accept_state(tls->ssl);
	return 0;
}

/* RFC 6066, 4: a client may ask for small records. */
static uint32_t records_per_record(const SSL *ssl)
{
	unsigned code = SSL_SESSION_get_max_fragment_length(SSL_get0_session(ssl));

	return code >= 1 && code <= 4 ? TLS_RECORD_MAX >> (8 + code) : 1;
}

/* OpenSSL answers a peer that asks for another key, but the kernel would go on with the old one:
 * the peer has to connect again. */
static void handle_message(int sent, int version, int type, const void *message, size_t len,
			   SSL *ssl, void *user)
{
	const uint8_t *bytes = message;
	struct tls *tls = user;

	(void)version, (void)ssl;
	if (!sent && type == SSL3_RT_HANDSHAKE && len == KEY_UPDATE_BYTES &&
	    bytes[0] == SSL3_MT_KEY_UPDATE && bytes[4] == SSL_KEY_UPDATE_REQUESTED)
		tls->rekeyed = true;
}

static void watch_messages(struct tls *tls)
{
	SSL_set_msg_callback(tls->ssl, handle_message);
	SSL_set_msg_callback_arg(tls->ssl, tls);
}

int tls_shake(struct tls *tls, bool *wants_room)
{
	unsigned left = CALLS_AT_ONCE;
	int result, error;

	*wants_room = false;
	do {
		tls->drained = false;
		tls->reads = READS_AT_ONCE;
		result = SSL_do_handshake(tls->ssl);
		error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, result);
	} while (error == SSL_ERROR_WANT_READ && !tls->drained && !tls->ended && --left > 0);
	switch (error) {
	case SSL_ERROR_NONE:
		tls->per_record = records_per_record(tls->ssl);
		tls->kernel = BIO_get_ktls_send(SSL_get_wbio(tls->ssl));
		if (tls->kernel)
			watch_messages(tls);
		return 0;
	case SSL_ERROR_WANT_WRITE:
		*wants_room = true;
		return -EAGAIN;
	case SSL_ERROR_WANT_READ:
		return tls->ended ? -EPROTO : -EAGAIN;
	default:
		ERR_clear_error();
		return -EPROTO;
	}
}

/* The one common name of a subject. */
static bool copy_name(X509_NAME *subject, char name[TLS_NAME_MAX])
{
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;
	int len;
	bool fine;

	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return false;
	len = ASN1_STRING_to_UTF8(&text,
				  X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	fine = len > 0 && len < TLS_NAME_MAX;
	for (int i = 0; fine && i < len; i++)
		fine = text[i] > ' ' && text[i] < 0x7f;
	if (fine)
		snprintf(name, TLS_NAME_MAX, "%.*s", len, (const char *)text);
	OPENSSL_free(text);
	ERR_clear_error();
	return fine;
}

bool tls_client_name(const struct tls *tls, char name[TLS_NAME_MAX])
{
	X509 *certificate = SSL_get0_peer_certificate(tls->ssl);

	name[0] = '\0';
	if (!certificate || SSL_get_verify_result(tls->ssl) != X509_V_OK)
		return false;
	if (!copy_name(X509_get_subject_name(certificate), name))
		name[0] = '\0';
	return true;
}

const char *tls_client_fault(const struct tls *tls)
{
	long result = SSL_get_verify_result(tls->ssl);

	return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}

void tls_move(struct tls *to, struct tls *from)
{
	*to = *from;
	BIO_set_data(SSL_get_rbio(to->ssl), to);
	if (to->kernel)
		watch_messages(to);
	from->ssl = NULL;
}

void tls_close(struct tls *tls)
{
	SSL_free(tls->ssl);
	tls->ssl = NULL;
}

/* 0: the socket has all of it; -EAGAIN, -EPROTO. */
static int write_record(struct tls *tls, const uint8_t *data, size_t len)
{
	size_t written;

	/* Within a message of the peer's, which began a handshake, this would go on with it. */
	tls->reads = 0;
	if (SSL_write_ex(tls->ssl, data, len, &written) == 1) {
		tls->records += tls->per_record;
		return 0;
	}
	if (SSL_get_error(tls->ssl, 0) == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	ERR_clear_error();
	return -EPROTO;
}

/* No key protects more records than it may. TLS 1.2 cannot change it: the viewer connects again,
 * after about a week. */
static int change_key(struct tls *tls)
{
	if (SSL_version(tls->ssl) < TLS1_3_VERSION ||
	    SSL_key_update(tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1) {
		ERR_clear_error();
		return -EPROTO;
	}
	tls->records = 0;
	return 0;
}

/* A last byte is not left for a record of its own. */
static size_t record_len(size_t left)
{
	if (left <= TLS_RECORD_MAX)
		return left;
	return left == TLS_RECORD_MAX + 1 ? TLS_RECORD_MAX - 1 : TLS_RECORD_MAX;
}

static ssize_t send_some(const struct tls *tls, const uint8_t *data, size_t len, int flags)
{
	ssize_t n;

	do
		n = send(tls->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* With each record except the last, TCP is told that more follows. Otherwise each record would be a
 * packet of its own, with an acknowledgement of its own. A call makes full records, and one of its
 * rest, with the same remark for all of them. Where the socket is full before the last, in this
 * call or a later one, the kernel's TLS does not take the remark back, as TCP does itself: if
 * nothing is in flight whose acknowledgement would wake TCP, nothing is sent, and no event follows.
 * So TCP is made to send, by setting TCP_NODELAY (tcp(7)). */
static ssize_t send_together(const struct tls *tls, const uint8_t *data, size_t len)
{
	const size_t held = (len - 1) / TLS_RECORD_MAX * TLS_RECORD_MAX;
	ssize_t n = 0, sent = held > 0 ? send_some(tls, data, held, MSG_MORE) : 0;

	if (sent == (ssize_t)held) {
		n = send_some(tls, data + held, len - held, 0);
		if (n > 0)
			return sent + n;
	}
	(void)setsockopt(tls->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	return sent != 0 ? sent : n;
}

static ssize_t write_in_kernel(struct tls *tls, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t part = len - done < tls->at_once ? len - done : tls->at_once;
		ssize_t n = tls->records < tls->records_max ? send_together(tls, data + done, part)
							    : -EPROTO;

		if (n < 0)
			return done > 0 ? (ssize_t)done : n;
		tls->records += (uint32_t)((n - 1) / TLS_RECORD_MAX) + 1;
		done += (size_t)n;
		if ((size_t)n < part)
			break;
	}
	return (ssize_t)done;
}

ssize_t tls_write(struct tls *tls, const uint8_t *data, size_t len)
{
	size_t done = 0;

	if (tls->kernel)
		return write_in_kernel(tls, data, len);
	while (done < len) {
		size_t before = tls->pending ? tls->pending - 1 : 0; /* reported already */
		size_t record = tls->pending ? tls->pending : record_len(len - done);
		int err = 0;

		if (!tls->pending && tls->records >= tls->records_max)
			err = change_key(tls);
		if (err == 0)
			err = write_record(tls, data + done - before, record);
		if (err == -EAGAIN) {
			if (!tls->pending)
				done += record - 1;
			tls->pending = (uint32_t)record;
			if (done > 0)
				return (ssize_t)done;
			return tls->shortage ? -ENOBUFS : -EAGAIN;
		}
		if (err < 0)
			return err;
		tls->pending = 0;
		done += record - before;
	}
	return (ssize_t)done;
}

/* Keys that are changed make a few in a week. */
static bool is_flood(struct tls *tls)
{
	int64_t now_us = clock_now_us();

	if (tls->empty == 0 || now_us - tls->empty_us >= TLS_EMPTY_PERIOD_US) {
		tls->empty = 0;
		tls->empty_us = now_us;
	}
	return ++tls->empty > TLS_EMPTY_MAX;
}

ssize_t tls_read(struct tls *tls, void *buffer, size_t max)
{
	size_t n;

	tls->drained = false;
	tls->reads = READS_AT_ONCE;
	if (SSL_read_ex(tls->ssl, buffer, max, &n) == 1 && !tls->rekeyed)
		return (ssize_t)n;
	if (tls->rekeyed) {
		ERR_clear_error();
		return -EPROTO;
	}
	switch (SSL_get_error(tls->ssl, 0)) {
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ:
		if (tls->drained)
			return -EAGAIN;
		return is_flood(tls) ? -EPROTO : -EINTR;
	default:
		/* WANT_WRITE too: a peer that wants answers, and takes none. */
		ERR_clear_error();
		return -EPROTO;
	}
}

void tls_end(struct tls *tls)
{
	if (tls->pending == 0 && SSL_shutdown(tls->ssl) < 0)
		ERR_clear_error();
}
