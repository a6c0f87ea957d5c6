/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/tls_rig.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/certificate.h"

/* certificate_make() reports on stdout, which is the test's. */
static void make(const char *folder)
{
	int kept = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_true(kept >= 0 && null >= 0);
	fflush(stdout);
	assert_true(dup2(null, STDOUT_FILENO) >= 0);
	assert_int_equal(certificate_make(folder), 0);
	fflush(stdout);
	assert_true(dup2(kept, STDOUT_FILENO) >= 0);
	close(kept);
	close(null);
}

void tls_rig_start(struct tls_rig *rig, bool kernel)
{
	struct tls_options options;
	char why[TLS_WHY_MAX];

	strcpy(rig->folder, "/tmp/camcast-tls-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->certificate, sizeof rig->certificate, "%s/" CERTIFICATE_FILE, rig->folder);
	snprintf(rig->key, sizeof rig->key, "%s/" CERTIFICATE_KEY_FILE, rig->folder);
	make(rig->folder);
	options = (struct tls_options){rig->certificate, rig->key, "", kernel};
	assert_int_equal(tls_context_create(&rig->context, &options, why), 0);
}

void tls_rig_stop(struct tls_rig *rig)
{
	tls_context_destroy(rig->context);
	unlink(rig->certificate);
	unlink(rig->key);
	assert_int_equal(rmdir(rig->folder), 0);
}

void tls_rig_renew(struct tls_rig *rig)
{
	char folder[TLS_RIG_PATH_MAX], certificate[2 * TLS_RIG_PATH_MAX], key[2 * TLS_RIG_PATH_MAX];

	/* While the old files exist, the new ones are others. */
	snprintf(folder, sizeof folder, "%s/new", rig->folder);
	snprintf(certificate, sizeof certificate, "%s/" CERTIFICATE_FILE, folder);
	snprintf(key, sizeof key, "%s/" CERTIFICATE_KEY_FILE, folder);
	make(folder);
	assert_int_equal(rename(certificate, rig->certificate), 0);
	assert_int_equal(rename(key, rig->key), 0);
	assert_int_equal(rmdir(folder), 0);
}

void tls_rig_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

SSL *tls_rig_client(int fd, int version)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *client;

	assert_non_null(context);
	/* Debian's level for versions before 1.2 is no version at all. */
	SSL_CTX_set_security_level(context, 0);
	SSL_CTX_set_min_proto_version(context, version);
	SSL_CTX_set_max_proto_version(context, version);
	client = SSL_new(context);
	SSL_CTX_free(context);
	assert_non_null(client);
	assert_int_equal(SSL_set_fd(client, fd), 1);
	SSL_set_connect_state(client);
	return client;
}

void tls_rig_free(SSL *client)
{
	SSL_free(client);
	ERR_clear_error();
}

bool tls_rig_shake(SSL *client)
{
	bool done = SSL_do_handshake(client) == 1;

	ERR_clear_error();
	return done;
}
