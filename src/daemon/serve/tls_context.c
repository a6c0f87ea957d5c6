/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "config/config.h"

/* TLS 1.3 first (RFC 8446), then what of TLS 1.2 has forward secrecy and authenticates what it
 * encrypts. OpenSSL takes the first that the client has too. */
#define SUITES_AES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"
#define SUITES_CHACHA "TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_AES "ECDHE+AESGCM+AES128:ECDHE+AESGCM+AES256"
#define CIPHERS_CHACHA "ECDHE+CHACHA20"
#define GROUPS "X25519:P-256:P-384"
#define CLIENT_CHAIN_MAX 16384 /* bytes of a client's certificate and those behind it */
#define CLIENT_DEPTH_MAX 4     /* authorities between it and one in client_ca */

/* What tells one state of a file from another. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed;
};

struct stamps {
	struct stamp certificate, key, client_ca;
};

struct tls_context {
	char *certificate, *key, *client_ca; /* paths */
	SSL_CTX *ssl;
	bool kernel;
	struct stamps loaded;
	struct stamps refused; /* could not be used, which was logged */
	struct stamps suspect; /* could not be used at the last look */
	int64_t next_check_us;
	int64_t expires; /* seconds since 1970 */
};

bool tls_lacks_aes(const char *settings)
{
	static const struct {
		const char *name;
		unsigned bit;
	} processors[] = {
		{"OPENSSL_ia32cap=", 57}, /* AESNI, OPENSSL_ia32cap(3) */
		{"OPENSSL_armcap=", 2},	  /* ARMV8_AES */
	};

	for (size_t i = 0; settings && i < sizeof processors / sizeof *processors; i++) {
		const char *at = strstr(settings, processors[i].name);

		if (at)
			return !(strtoull(at + strlen(processors[i].name), NULL, 16) >>
					 processors[i].bit &
				 1);
	}
	return false;
}

/* Nobody is asked on a terminal. */
static int refuse_passphrase(char *text, int size, int writing, void *user)
{
	(void)text, (void)size, (void)writing, (void)user;
	return -1;
}

/* What OpenSSL says about a file. */
static int blame(const char *key, const char *path, char why[TLS_WHY_MAX])
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	snprintf(why, TLS_WHY_MAX, "%s %s: %s", key, path,
		 reason ? reason : "it does not hold what it should");
	ERR_clear_error();
	return -EINVAL;
}

static int look(const char *key, const char *path, struct stamp *stamp, char why[TLS_WHY_MAX])
{
	struct stat st;

	if (stat(path, &st) < 0 || access(path, R_OK) < 0) {
		snprintf(why, TLS_WHY_MAX, "%s %s: %s", key, path, strerror(errno));
		return -EINVAL;
	}
	*stamp = (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
	return 0;
}

static const char *key_path(const struct tls_context *context)
{
	return context->key[0] ? context->key : context->certificate;
}

static int look_at_files(const struct tls_context *context, struct stamps *stamps,
			 char why[TLS_WHY_MAX])
{
	int err;

	memset(stamps, 0, sizeof *stamps);
	err = look("certificate", context->certificate, &stamps->certificate, why);
	if (err == 0)
		err = look("key", key_path(context), &stamps->key, why);
	if (err == 0 && context->client_ca[0])
		err = look("client_ca", context->client_ca, &stamps->client_ca, why);
	return err;
}

static void offer(SSL_CTX *ssl, bool kernel)
{
	bool chacha_first = tls_lacks_aes(OPENSSL_info(OPENSSL_INFO_CPU_SETTINGS));

	SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
	SSL_CTX_set_ciphersuites(ssl, chacha_first ? SUITES_CHACHA ":" SUITES_AES
						   : SUITES_AES ":" SUITES_CHACHA);
	SSL_CTX_set_cipher_list(ssl, chacha_first ? CIPHERS_CHACHA ":" CIPHERS_AES
						  : CIPHERS_AES ":" CIPHERS_CHACHA);
	SSL_CTX_set1_groups_list(ssl, GROUPS);
	/* A client that has ChaCha20 first, a phone without AES, gets it. */
	SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
					 SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_num_tickets(ssl, 0);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* tls_read() returns after a record without data, so that a peer that sends nothing else
	 * does not hold the caller up. */
	SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
	if (kernel)
		SSL_CTX_set_options(ssl, SSL_OP_ENABLE_KTLS);
}

/* Asks clients for a certificate; those who have none go on without. */
static bool ask_clients(SSL_CTX *ssl, const char *path)
{
	STACK_OF(X509_NAME) * names;

	if (SSL_CTX_load_verify_file(ssl, path) != 1)
		return false;
	/* A client sees by these names whether it has one. */
	names = SSL_load_client_CA_file(path);
	if (!names)
		return false;
	SSL_CTX_set_client_CA_list(ssl, names); /* takes them */
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_verify_depth(ssl, CLIENT_DEPTH_MAX);
	SSL_CTX_set_max_cert_list(ssl, CLIENT_CHAIN_MAX);
	return true;
}

static int load(const struct tls_context *context, SSL_CTX **out, char why[TLS_WHY_MAX])
{
	SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
	int err = -EINVAL;

	if (!ssl) {
		snprintf(why, TLS_WHY_MAX, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	offer(ssl, context->kernel);
	SSL_CTX_set_default_passwd_cb(ssl, refuse_passphrase);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ssl, context->certificate) != 1)
		err = blame("certificate", context->certificate, why);
	else if (SSL_CTX_use_PrivateKey_file(ssl, key_path(context), SSL_FILETYPE_PEM) != 1 ||
		 SSL_CTX_check_private_key(ssl) != 1)
		err = blame("key", key_path(context), why);
	else if (context->client_ca[0] && !ask_clients(ssl, context->client_ca))
		err = blame("client_ca", context->client_ca, why);
	else
		err = 0;
	if (err < 0)
		SSL_CTX_free(ssl);
	else
		*out = ssl;
	return err;
}

static void note_expiry(struct tls_context *context)
{
	const ASN1_TIME *end = X509_get0_notAfter(SSL_CTX_get0_certificate(context->ssl));
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, seconds = 0;

	if (epoch && ASN1_TIME_diff(&days, &seconds, epoch, end) == 1)
		context->expires = (int64_t)days * 86400 + seconds;
	ASN1_TIME_free(epoch);
}

/* systemd.exec(5), LoadCredential=. */
static char *find_file(const char *name)
{
	const char *folder = strchr(name, '/') ? NULL : getenv("CREDENTIALS_DIRECTORY");
	char *path;

	if (!folder || name[0] == '\0')
		return strdup(name);
	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

struct tls_options tls_options_from(const struct config_tls *config)
{
	return (struct tls_options){
		.certificate = config->certificate,
		.key = config->key,
		.client_ca = config->client_ca,
		.kernel = config->kernel == CONFIG_TLS_KERNEL_AUTO,
	};
}

int tls_context_create(struct tls_context **out, const struct tls_options *options,
		       char why[TLS_WHY_MAX])
{
	struct tls_context *context = calloc(1, sizeof *context);
	int err = -ENOMEM;

	snprintf(why, TLS_WHY_MAX, "%s", strerror(ENOMEM));
	if (!context)
		goto fail;
	context->kernel = options->kernel;
	context->certificate = find_file(options->certificate);
	context->key = find_file(options->key);
	context->client_ca = find_file(options->client_ca);
	if (!context->certificate || !context->key || !context->client_ca)
		goto fail;
	err = look_at_files(context, &context->loaded, why);
	if (err == 0)
		err = load(context, &context->ssl, why);
	if (err < 0)
		goto fail;
	note_expiry(context);
	*out = context;
	return 0;

fail:
	tls_context_destroy(context);
	return err;
}

void tls_context_destroy(struct tls_context *context)
{
	if (!context)
		return;
	SSL_CTX_free(context->ssl);
	free(context->certificate);
	free(context->key);
	free(context->client_ca);
	free(context);
}

static bool is_same(const struct stamps *a, const struct stamps *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

bool tls_context_refresh(struct tls_context *context, int64_t now_us)
{
	struct stamps stamps;
	char why[TLS_WHY_MAX];
	SSL_CTX *ssl;

	if (now_us < context->next_check_us)
		return false;
	context->next_check_us = now_us + TLS_CHECK_PERIOD_US;
	if (look_at_files(context, &stamps, why) == 0) {
		if (is_same(&stamps, &context->loaded) || is_same(&stamps, &context->refused))
			return false;
		if (load(context, &ssl, why) == 0) {
			SSL_CTX_free(context->ssl);
			context->ssl = ssl;
			context->loaded = stamps;
			note_expiry(context);
			diag_info("tls: the certificate %s was read again", context->certificate);
			return true;
		}
	} else if (is_same(&stamps, &context->refused)) {
		return false;
	}
	if (!is_same(&stamps, &context->suspect)) {
		context->suspect = stamps;
		return false;
	}
	context->refused = stamps;
	diag_warn("tls: %s; the certificate that was read before stays in force", why);
	return false;
}

struct ssl_st *tls_context_connect(const struct tls_context *context)
{
	return SSL_new(context->ssl);
}

bool tls_context_in_kernel(const struct tls_context *context)
{
	return context->kernel;
}

int64_t tls_context_expires(const struct tls_context *context)
{
	return context->expires;
}
