/* SPDX-License-Identifier: BSD-2-Clause */
/* A certificate in a folder of the test's own, and a client of TLS in the same thread. */
#ifndef TESTS_UNIT_TLS_RIG_H
#define TESTS_UNIT_TLS_RIG_H

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/serve/tls.h"
#include "daemon/serve/tls_context.h"

#define TLS_RIG_PATH_MAX 128

struct tls_rig {
	char folder[64];
	char certificate[TLS_RIG_PATH_MAX], key[TLS_RIG_PATH_MAX];
	struct tls_context *context; /* NULL: given away */
};

/* kernel: it encrypts where it can. */
void tls_rig_start(struct tls_rig *rig, bool kernel);
void tls_rig_stop(struct tls_rig *rig);
/* Another certificate takes the place of the one in the folder. */
void tls_rig_renew(struct tls_rig *rig);
/* What the files hold becomes this text. */
void tls_rig_write(const char *path, const char *text);

/* A client on its end of a connection, non-blocking; version 0: any. */
SSL *tls_rig_client(int fd, int version);
void tls_rig_free(SSL *client);
/* Goes on with the client's handshake. True: it is done. */
bool tls_rig_shake(SSL *client);

#endif
