/* SPDX-License-Identifier: BSD-2-Clause */
#include "mqtt/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/address.h"

struct mqtt_tls {
	SSL_CTX *context;
	const char *host; /* borrowed */
	bool is_name;	  /* host is no address */
	bool freed;	  /* the last reference to the context has gone */
	char refusal[128];
};

static int tls_index; /* of a context's struct mqtt_tls; set once */

/* --- while shaking hands; from within libmosquitto --- */

static struct mqtt_tls *tls_of(const SSL *ssl)
{
	return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tls_index);
}

/* libmosquitto has put the address there, which RFC 6066, 3 does not allow, nor is it of use. */
static void handle_info(const SSL *ssl, int where, int value)
{
	const struct mqtt_tls *tls = tls_of(ssl);
	const char *name = tls->is_name ? tls->host : NULL;

	(void)value;
	if (where & SSL_CB_HANDSHAKE_START)
		SSL_set_tlsext_host_name((SSL *)(uintptr_t)ssl, name);
}

static int verify(int fine, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct mqtt_tls *tls = tls_of(ssl);

	if (fine && X509_STORE_CTX_get_error_depth(store) == 0) {
		X509 *broker = X509_STORE_CTX_get_current_cert(store);

		/* An address too may stand in the common name, where many have it. */
		fine = X509_check_host(broker, tls->host, 0, 0, NULL) == 1 ||
		       X509_check_ip_asc(broker, tls->host, 0) == 1;
		if (!fine)
			X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
	}
	if (!fine)
		snprintf(tls->refusal, sizeof tls->refusal, "certificate verify failed: %s",
			 X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
	return fine;
}

/* Nobody is asked on a terminal. */
static int refuse_passphrase(char *text, int size, int writing, void *user)
{
	(void)text, (void)size, (void)writing, (void)user;
	return -1;
}

/* --- its life --- */

static void handle_freed(void *context, void *user, CRYPTO_EX_DATA *data, int index, long argl,
			 void *argp)
{
	struct mqtt_tls *tls = user;

	(void)context, (void)data, (void)index, (void)argl, (void)argp;
	if (tls)
		tls->freed = true;
}

static void make_index(void)
{
	tls_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, handle_freed);
}

/* What OpenSSL says last about a file. */
static int blame(const char *what, const char *path, char why[MQTT_REASON_MAX])
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	snprintf(why, MQTT_REASON_MAX, "%s %s: %s", what, path,
		 reason ? reason : "it holds no such thing");
	return -EINVAL;
}

static bool is_readable(const char *what, const char *path, char why[MQTT_REASON_MAX])
{
	if (path[0] == '\0' || access(path, R_OK) == 0)
		return true;
	snprintf(why, MQTT_REASON_MAX, "%s %s: %s", what, path, strerror(errno));
	return false;
}

static int load(SSL_CTX *context, const struct mqtt_options *options, char why[MQTT_REASON_MAX])
{
	const char *cafile = options->cafile, *cert = options->cert, *key = options->key;

	if (!is_readable("cafile", cafile, why) || !is_readable("cert", cert, why) ||
	    !is_readable("key", key, why))
		return -EACCES;
	if (!cert[0] != !key[0]) {
		snprintf(why, MQTT_REASON_MAX, "cert and key belong together, %s is missing",
			 cert[0] ? "key" : "cert");
		return -EINVAL;
	}
	if (cafile[0] ? SSL_CTX_load_verify_file(context, cafile) != 1
		      : SSL_CTX_set_default_verify_paths(context) != 1)
		return blame("cafile", cafile, why);
	if (cert[0] && SSL_CTX_use_certificate_chain_file(context, cert) != 1)
		return blame("cert", cert, why);
	if (key[0] && (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
		       SSL_CTX_check_private_key(context) != 1))
		return blame("key", key, why);
	return 0;
}

int mqtt_tls_create(struct mqtt_tls **out, const struct mqtt_options *options,
		    char why[MQTT_REASON_MAX])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct mqtt_tls *tls = calloc(1, sizeof *tls);
	int err = -ENOMEM;

	snprintf(why, MQTT_REASON_MAX, "%s", strerror(ENOMEM));
	pthread_once(&once, make_index);
	if (!tls)
		return -ENOMEM;
	tls->host = options->host;
	tls->is_name = net_host_family(options->host) == AF_UNSPEC;
	tls->context = SSL_CTX_new(TLS_client_method());
	if (!tls->context)
		goto free_tls;
	if (SSL_CTX_set_ex_data(tls->context, tls_index, tls) != 1)
		goto free_context;
	SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
	SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, verify);
	SSL_CTX_set_info_callback(tls->context, handle_info);
	SSL_CTX_set_default_passwd_cb(tls->context, refuse_passphrase);
	ERR_clear_error();
	err = load(tls->context, options, why);
	if (err < 0)
		goto free_context;
	*out = tls;
	return 0;

free_context:
	SSL_CTX_free(tls->context);
free_tls:
	free(tls);
	return err;
}

void mqtt_tls_destroy(struct mqtt_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	/* libmosquitto from 2.0.12 on does not let go of it where connect() fails at once. */
	if (!tls->freed)
		SSL_CTX_free(tls->context);
	free(tls);
}

SSL_CTX *mqtt_tls_context(struct mqtt_tls *tls)
{
	return tls->context;
}

const char *mqtt_tls_refusal(const struct mqtt_tls *tls)
{
	return tls->refusal;
}
