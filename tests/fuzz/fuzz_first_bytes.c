/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first bytes of connections, and those behind a handshake. The first byte of the input says
 * which: a peer without a handshake sends the rest in pieces; or a handshake is done, and then the
 * rest is sent, as a record of TLS or below it. Whatever comes, no call waits, and the connection
 * ends, or goes on, as documented.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/certificate.h"
#include "daemon/serve/tls.h"
#include "daemon/serve/tls_context.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tls_context *context;
static SSL_CTX *client_context;

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char folder[] = "/tmp/camcast-fuzz-XXXXXX", certificate[64], key[64], why[TLS_WHY_MAX];
	struct tls_options options;

	(void)argc, (void)argv;
	require(mkdtemp(folder));
	require(certificate_make(folder) == 0);
	snprintf(certificate, sizeof certificate, "%s/" CERTIFICATE_FILE, folder);
	snprintf(key, sizeof key, "%s/" CERTIFICATE_KEY_FILE, folder);
	options = (struct tls_options){certificate, key, certificate, false};
	require(tls_context_create(&context, &options, why) == 0);
	unlink(certificate);
	unlink(key);
	rmdir(folder);
	client_context = SSL_CTX_new(TLS_client_method());
	require(client_context);
	return 0;
}

/* A handshake with a client that keeps the rules. */
static SSL *shake(struct tls *server, int fd, bool old)
{
	SSL *client = SSL_new(client_context);
	bool wants_room;
	int result = -EAGAIN;

	require(client);
	SSL_set_max_proto_version(client, old ? TLS1_2_VERSION : TLS1_3_VERSION);
	require(SSL_set_fd(client, fd) == 1);
	SSL_set_connect_state(client);
	for (unsigned i = 0; i < 10 && (result != 0 || !SSL_is_init_finished(client)); i++) {
		(void)SSL_do_handshake(client);
		ERR_clear_error();
		if (result == -EAGAIN)
			result = tls_shake(server, &wants_room);
	}
	require(result == 0);
	return client;
}

/* Reads to the end of what there is. Returns the last result. */
static ssize_t drain(struct tls *server)
{
	uint8_t buffer[4096];
	ssize_t n;

	do
		n = tls_read(server, buffer, sizeof buffer);
	while (n > 0 || n == -EINTR);
	require(n == 0 || n == -EAGAIN || n == -EPROTO);
	return n;
}

static void without_handshake(struct tls *server, int fd, const uint8_t *data, size_t size)
{
	size_t piece = size > 0 ? 1 + data[0] * 4u : 1;
	bool wants_room;
	int result = -EAGAIN;

	for (size_t at = 1; at < size && result == -EAGAIN; at += piece) {
		size_t left = size - at;

		(void)!send(fd, data + at, left < piece ? left : piece, MSG_NOSIGNAL);
		result = tls_shake(server, &wants_room);
	}
	require(result == -EAGAIN || result == -EPROTO);
	shutdown(fd, SHUT_WR);
	if (result == -EAGAIN)
		require(tls_shake(server, &wants_room) == -EPROTO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t unit[20000];
	SSL *client = NULL;
	struct tls server;
	int ends[2];
	size_t n;

	if (size < 2)
		return 0;
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	require(tls_open(&server, context, ends[0]) == 0);
	if (data[0] % 4 < 2) {
		without_handshake(&server, ends[1], data + 1, size - 1);
	} else {
		client = shake(&server, ends[1], data[0] & 4);
		if (data[0] % 4 == 2)
			(void)SSL_write_ex(client, data + 1, size - 1, &n);
		else
			(void)!send(ends[1], data + 1, size - 1, MSG_NOSIGNAL);
		ERR_clear_error();
		if (drain(&server) != -EPROTO)
			require(tls_write(&server, unit, sizeof unit) > 0);
	}
	SSL_free(client);
	ERR_clear_error();
	tls_close(&server);
	close(ends[0]);
	close(ends[1]);
	return 0;
}
