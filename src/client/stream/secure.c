/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/stream/secure.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "net/address.h"

#define PIN_BYTES 32
/* In one file, because the usual folder would be read at a handshake, when a sandbox forbids it. */
#define SYSTEM_CAFILE "/etc/ssl/certs/ca-certificates.crt"

struct secure {
	SSL_CTX *context;
	SSL *ssl; /* NULL: no connection */
	char host[NET_HOST_MAX];
	bool pinned;
	uint8_t pin[PIN_BYTES];
	const char *fault; /* static */
};

static bool parse_pin(const char *text, uint8_t pin[PIN_BYTES])
{
	for (size_t i = 0; i < PIN_BYTES; i++) {
		int byte;

		if (i > 0 && *text == ':')
			text++;
		byte = bytes_read_hex(text);
		if (byte < 0)
			return false;
		pin[i] = (uint8_t)byte;
		text += 2;
	}
	return *text == '\0';
}

bool secure_is_pin(const char *text)
{
	uint8_t pin[PIN_BYTES];

	return parse_pin(text, pin);
}

/* --- what is trusted --- */

static const char *get_text(const char *name)
{
	const char *text = getenv(name);

	return text && text[0] ? text : NULL;
}

static int load_authorities(SSL_CTX *context, char why[SECURE_WHY_MAX])
{
	const char *path = get_text(SECURE_CAFILE);
	bool fine;

	if (path)
		fine = SSL_CTX_load_verify_file(context, path) == 1;
	else if (access(SYSTEM_CAFILE, R_OK) == 0)
		fine = SSL_CTX_load_verify_file(context, SYSTEM_CAFILE) == 1;
	else
		fine = SSL_CTX_set_default_verify_paths(context) == 1;
	ERR_clear_error();
	if (fine)
		return 0;
	snprintf(why, SECURE_WHY_MAX, "%.90s: no authorities can be read", path ? path : "cafile");
	return -EINVAL;
}

static int trust(struct secure *secure, char why[SECURE_WHY_MAX])
{
	const char *pin = get_text(SECURE_PIN);

	if (!pin)
		return load_authorities(secure->context, why);
	secure->pinned = parse_pin(pin, secure->pin);
	if (secure->pinned)
		return 0;
	snprintf(why, SECURE_WHY_MAX, SECURE_PIN " is no SHA-256");
	return -EINVAL;
}

/* --- what is presented --- */

/* Nobody is asked on a terminal. */
static int refuse_passphrase(char *text, int size, int writing, void *user)
{
	(void)text, (void)size, (void)writing, (void)user;
	return -1;
}

static int load_own(SSL_CTX *context, char why[SECURE_WHY_MAX])
{
	const char *certificate = get_text(SECURE_CERT), *key = get_text(SECURE_KEY);
	const char *bad = NULL;

	if (!certificate)
		return 0;
	if (!key)
		key = certificate;
	SSL_CTX_set_default_passwd_cb(context, refuse_passphrase);
	if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
		bad = certificate;
	else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
		 SSL_CTX_check_private_key(context) != 1)
		bad = key;
	ERR_clear_error();
	if (!bad)
		return 0;
	snprintf(why, SECURE_WHY_MAX, "%.60s: no %s that can be used", bad,
		 bad == certificate ? "certificate" : "key of the certificate");
	return -EINVAL;
}

int secure_create(struct secure **out, const char *host, char why[SECURE_WHY_MAX])
{
	struct secure *secure = calloc(1, sizeof *secure);
	int err;

	snprintf(why, SECURE_WHY_MAX, "%s", strerror(ENOMEM));
	if (!secure)
		return -ENOMEM;
	snprintf(secure->host, sizeof secure->host, "%s", host);
	secure->context = SSL_CTX_new(TLS_client_method());
	if (!secure->context) {
		err = -ENOMEM;
		goto fail;
	}
	SSL_CTX_set_min_proto_version(secure->context, TLS1_2_VERSION);
	SSL_CTX_set_options(secure->context,
			    SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
	err = trust(secure, why);
	if (err == 0)
		err = load_own(secure->context, why);
	if (err < 0)
		goto fail;
	*out = secure;
	return 0;

fail:
	secure_destroy(secure);
	return err;
}

void secure_destroy(struct secure *secure)
{
	if (!secure)
		return;
	SSL_free(secure->ssl);
	SSL_CTX_free(secure->context);
	free(secure);
}

/* --- a connection --- */

/* The name or the address that the certificate must have, and the name that is asked for: RFC 6066
 * clause 3 has no addresses. */
static bool set_host(SSL *ssl, const char *host)
{
	char address[NET_HOST_MAX];

	if (net_host_family(host) == AF_UNSPEC)
		return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
	/* No certificate has an interface. */
	snprintf(address, sizeof address, "%.*s", (int)strcspn(host, "%"), host);
	return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address) == 1;
}

int secure_begin(struct secure *secure, int fd)
{
	SSL_free(secure->ssl);
	secure->ssl = SSL_new(secure->context);
	if (!secure->ssl || SSL_set_fd(secure->ssl, fd) != 1 ||
	    !set_host(secure->ssl, secure->host)) {
		ERR_clear_error();
		return -ENOMEM;
	}
	/* Checked behind the handshake, so that the reason can name the fingerprint. */
	SSL_set_verify(secure->ssl, SSL_VERIFY_NONE, NULL);
	SSL_set_connect_state(secure->ssl);
	return 0;
}

/* The certificate's SHA-256. */
static bool digest(const struct secure *secure, uint8_t out[PIN_BYTES])
{
	X509 *certificate = SSL_get0_peer_certificate(secure->ssl);
	uint8_t found[EVP_MAX_MD_SIZE];
	unsigned len;

	if (!certificate || X509_digest(certificate, EVP_sha256(), found, &len) != 1 ||
	    len != PIN_BYTES)
		return false;
	memcpy(out, found, PIN_BYTES);
	return true;
}

static int check_certificate(const struct secure *secure, char why[SECURE_WHY_MAX])
{
	long result = SSL_get_verify_result(secure->ssl);
	char hex[2 * PIN_BYTES + 1];
	uint8_t found[PIN_BYTES];

	if (!digest(secure, found)) {
		snprintf(why, SECURE_WHY_MAX, "the server has no certificate");
		return -EPROTO;
	}
	if (secure->pinned ? memcmp(found, secure->pin, PIN_BYTES) == 0 : result == X509_V_OK)
		return 0;
	bytes_write_hex(hex, found, PIN_BYTES);
	if (secure->pinned)
		snprintf(why, SECURE_WHY_MAX, "another certificate than --pin: %s", hex);
	else
		snprintf(why, SECURE_WHY_MAX, "%.50s; --pin %s",
			 X509_verify_cert_error_string(result), hex);
	return -EPROTO;
}

int secure_shake(struct secure *secure, short *events, char why[SECURE_WHY_MAX])
{
	const char *reason;
	int result = SSL_do_handshake(secure->ssl);

	if (result == 1)
		return check_certificate(secure, why);
	switch (SSL_get_error(secure->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		*events = POLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*events = POLLOUT;
		return -EAGAIN;
	default:
		reason = ERR_reason_error_string(ERR_peek_error());
		snprintf(why, SECURE_WHY_MAX, "no TLS: %.100s",
			 reason ? reason : "the server closed the connection");
		ERR_clear_error();
		return -EPROTO;
	}
}

ssize_t secure_read(struct secure *secure, void *data, size_t max)
{
	size_t n;

	if (SSL_read_ex(secure->ssl, data, max, &n) == 1)
		return (ssize_t)n;
	switch (SSL_get_error(secure->ssl, 0)) {
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	default:
		secure->fault = ERR_reason_error_string(ERR_peek_error());
		ERR_clear_error();
		return -EPROTO;
	}
}

ssize_t secure_write(struct secure *secure, const void *data, size_t len)
{
	size_t n;

	if (SSL_write_ex(secure->ssl, data, len, &n) == 1)
		return (ssize_t)n;
	switch (SSL_get_error(secure->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	default:
		ERR_clear_error();
		return -EPROTO;
	}
}

const char *secure_fault(const struct secure *secure)
{
	return secure->fault ? secure->fault : strerror(EPROTO);
}

bool secure_pending(const struct secure *secure)
{
	return SSL_pending(secure->ssl) > 0;
}
