/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "daemon/state_folder.h"
#include "net/address.h"
#include "net/interfaces.h"

#define DAYS 825 /* some clients accept no longer ones */
#define SERIAL_BYTES 16
#define COMMON_NAME_MAX 64 /* X.520, ub-common-name */
#define BACKDATED_S 86400  /* for clients whose clock is behind */

/* --- what stands in it --- */

static bool add_name(GENERAL_NAMES *names, int type, const char *text)
{
	GENERAL_NAME *name = a2i_GENERAL_NAME(NULL, NULL, NULL, type, text, 0);

	if (!name || sk_GENERAL_NAME_push(names, name) == 0) {
		GENERAL_NAME_free(name);
		return false;
	}
	return true;
}

/* A link-local address is of use with an interface only, which a certificate cannot have. */
static bool add_addresses(GENERAL_NAMES *names)
{
	struct net_host_list own;
	bool fine = add_name(names, GEN_IPADD, "127.0.0.1") && add_name(names, GEN_IPADD, "::1");

	net_host_list_find(&own, -1);
	for (unsigned i = 0; fine && i < own.n; i++)
		if (!strchr(own.text[i], '%') && !net_host_is_loopback(own.text[i]))
			fine = add_name(names, GEN_IPADD, own.text[i]);
	return fine;
}

/* The names at which hosts_allow() answers, and the addresses. */
static bool add_names(X509 *certificate, const char *host)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	char local[NET_HOST_MAX + sizeof ".local"];
	bool fine;

	snprintf(local, sizeof local, "%s.local", host);
	fine = names && add_name(names, GEN_DNS, host) && add_name(names, GEN_DNS, "localhost") &&
	       (strchr(host, '.') || add_name(names, GEN_DNS, local)) && add_addresses(names) &&
	       X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) == 1;
	GENERAL_NAMES_free(names);
	return fine;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool fine;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	fine = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return fine;
}

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *number;
	bool fine;

	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return false;
	bytes[0] &= 0x7f; /* positive: RFC 5280 clause 4.1.2.2 */
	number = BN_bin2bn(bytes, sizeof bytes, NULL);
	fine = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return fine;
}

static bool set_subject(X509 *certificate, const char *host)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	int len = (int)strnlen(host, COMMON_NAME_MAX);

	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)host,
					  len, -1, 0) == 1 &&
	       X509_set_issuer_name(certificate, name) == 1;
}

/* It is an authority for itself, so that clients can be given it as one to trust. */
static X509 *create(EVP_PKEY *key, const char *host)
{
	X509 *certificate = X509_new();
	bool fine;

	if (!certificate)
		return NULL;
	fine = X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
	       set_subject(certificate, host) &&
	       X509_gmtime_adj(X509_getm_notBefore(certificate), -BACKDATED_S) &&
	       X509_gmtime_adj(X509_getm_notAfter(certificate), (long)(DAYS - 1) * 86400) &&
	       X509_set_pubkey(certificate, key) == 1 &&
	       add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       add_extension(certificate, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
	       add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
	       add_extension(certificate, NID_subject_key_identifier, "hash") &&
	       add_names(certificate, host) && X509_sign(certificate, key, EVP_sha256()) > 0;
	if (fine)
		return certificate;
	X509_free(certificate);
	return NULL;
}

/* --- files --- */

static FILE *open_new(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (fd >= 0 && !file)
		close(fd);
	if (!file)
		diag_error("cannot make %s: %s", path, strerror(errno));
	return file;
}

/* 0 or -errno after a message; there is no file then. */
static int write_file(const char *path, EVP_PKEY *key, X509 *certificate)
{
	FILE *file = open_new(path);
	int err = 0;

	if (!file)
		return -errno;
	if ((key ? PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL)
		 : PEM_write_X509(file, certificate)) != 1 ||
	    fflush(file) != 0 || fsync(fileno(file)) < 0)
		err = errno ? -errno : -EIO;
	if (fclose(file) != 0 && err == 0)
		err = -errno;
	if (err < 0) {
		diag_error("cannot write %s: %s", path, strerror(-err));
		unlink(path);
	}
	return err;
}

static void print_fingerprint(X509 *certificate)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	X509_digest(certificate, EVP_sha256(), digest, &len);
	for (unsigned i = 0; i < len; i++)
		printf("%02X%s", digest[i], i + 1 < len ? ":" : "");
}

static void report(X509 *certificate, const char *path, const char *key_path)
{
	printf("Made a certificate for this machine, valid for %d days:\n  SHA-256 ", DAYS);
	print_fingerprint(certificate);
	printf("\n\nThe configuration needs:\n"
	       "[tls]\ncertificate = %s\nkey = %s\n"
	       "and tls = yes in [daemon] for the web page, in [stream NAME] for its addresses.\n",
	       path, key_path);
}

static int make_folder(const char *folder)
{
	int err = state_folder_make(folder);

	if (err < 0)
		diag_error("cannot make %s: %s", folder, strerror(-err));
	return err;
}

int certificate_make(const char *folder)
{
	char host[NET_HOST_MAX] = "localhost", absolute[PATH_MAX];
	char path[PATH_MAX + 32], key_path[PATH_MAX + 32];
	X509 *certificate = NULL;
	EVP_PKEY *key;
	int err = make_folder(folder);

	if (err < 0)
		return err;
	if (!realpath(folder, absolute)) {
		err = -errno;
		diag_error("cannot use %s: %s", folder, strerror(-err));
		return err;
	}
	snprintf(path, sizeof path, "%s/" CERTIFICATE_FILE, absolute);
	snprintf(key_path, sizeof key_path, "%s/" CERTIFICATE_KEY_FILE, absolute);
	if (gethostname(host, sizeof host - 1) < 0 || !net_host_is_valid(host))
		strcpy(host, "localhost");
	key = EVP_EC_gen("P-256");
	certificate = key ? create(key, host) : NULL;
	if (!certificate) {
		diag_error("cannot make a certificate: OpenSSL has refused it");
		err = -EIO;
		goto finish;
	}
	err = write_file(key_path, key, NULL);
	if (err < 0)
		goto finish;
	err = write_file(path, NULL, certificate);
	if (err < 0)
		unlink(key_path);
	else
		report(certificate, path, key_path);

finish:
	X509_free(certificate);
	EVP_PKEY_free(key);
	return err;
}
