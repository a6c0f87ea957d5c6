/* SPDX-License-Identifier: BSD-2-Clause */
#include "mqtt_broker.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static ssize_t receive(struct broker *broker, void *data, size_t len)
{
	if (broker->ssl)
		return SSL_read(broker->ssl, data, (int)len);
	return recv(broker->client, data, len, 0);
}

static void answer(struct broker *broker, const void *data, size_t len)
{
	if (broker->ssl)
		SSL_write(broker->ssl, data, (int)len);
	else
		(void)!send(broker->client, data, len, MSG_NOSIGNAL);
}

static bool receive_all(struct broker *broker, unsigned char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = receive(broker, data + at, len - at);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* MQTT 5, 2.1: the first byte and what follows the length, which fits size. */
static bool receive_packet(struct broker *broker, unsigned char *kind, unsigned char *data,
			   size_t size, size_t *len)
{
	unsigned char byte;

	*len = 0;
	if (!receive_all(broker, kind, 1))
		return false;
	for (unsigned shift = 0; shift < 28; shift += 7) {
		if (!receive_all(broker, &byte, 1))
			return false;
		*len |= (size_t)(byte & 127) << shift;
		if (byte < 128)
			break;
	}
	return *len <= size && receive_all(broker, data, *len);
}

static void flood(struct broker *broker)
{
	static const unsigned char one[] = {0x30, 5, 0, 1, 't', 0, 'x'}; /* v5: no properties */
	unsigned char all[sizeof one * 200];

	for (unsigned i = 0; i < broker->script.flood; i++)
		memcpy(all + i * sizeof one, one, sizeof one);
	answer(broker, all, broker->script.flood * sizeof one);
}

/* Returns whether the connection goes on. */
static bool handle_connect(struct broker *broker, unsigned char level)
{
	int code = level == 5 ? broker->script.code5 : broker->script.code4;
	unsigned n = atomic_fetch_add(&broker->connects, 1);
	const unsigned char connack[] = {0x20, 2, 0, (unsigned char)code};
	const unsigned char connack5[] = {0x20, 3, 0, (unsigned char)code, 0};

	if (n < sizeof broker->levels)
		atomic_store(&broker->levels[n], level);
	broker->v5 = level == 5;
	if (broker->script.mute)
		return true;
	if (code < 0)
		return false;
	/* 1 is what a broker of 3.1.1 says to other versions. */
	if (level == 5 && !broker->script.plain && code != 1)
		answer(broker, connack5, sizeof connack5);
	else
		answer(broker, connack, sizeof connack);
	if (level == 5 && broker->script.disconnects) {
		const unsigned char disconnect[] = {0xe0, 2, broker->script.disconnects, 0};

		answer(broker, disconnect, sizeof disconnect);
		return false;
	}
	return code == 0 && !broker->script.closes;
}

static bool handle_packet(struct broker *broker)
{
	unsigned char kind, data[1024];
	size_t len;

	if (!receive_packet(broker, &kind, data, sizeof data, &len))
		return false;
	switch (kind >> 4) {
	case 1: /* CONNECT */
		return handle_connect(broker, data[6]);
	case 3:			       /* PUBLISH */
		if ((kind & 6) == 2) { /* QoS 1 */
			size_t at = 2 + (size_t)(data[0] << 8 | data[1]);
			const unsigned char puback[] = {0x40, 3, data[at], data[at + 1],
							broker->script.puback};

			atomic_fetch_add(&broker->announcements, 1);
			if (!broker->script.deaf)
				answer(broker, puback, sizeof puback);
		}
		return true;
	case 8: { /* SUBSCRIBE */
		const unsigned char suback[] = {0x90,	 4, data[0],
						data[1], 0, broker->script.suback};

		answer(broker, suback, sizeof suback);
		atomic_fetch_add(&broker->subscriptions, 1);
		flood(broker);
		return true;
	}
	case 14: /* DISCONNECT */
		atomic_fetch_add(&broker->disconnects, 1);
		return false;
	default:
		return true;
	}
}

static void *run_broker(void *user)
{
	struct broker *broker = user;

	for (;;) {
		int client = accept(broker->listener, NULL, NULL);

		if (atomic_load(&broker->stop))
			return NULL;
		if (client < 0)
			continue;
		broker->client = client;
		if (broker->context) {
			broker->ssl = SSL_new(broker->context);
			SSL_set_fd(broker->ssl, client);
		}
		if (!broker->ssl || SSL_accept(broker->ssl) == 1)
			while (handle_packet(broker))
				;
		SSL_free(broker->ssl);
		broker->ssl = NULL;
		close(client);
	}
}

/* A certificate for 127.0.0.1, its own authority, is written to file. */
static SSL_CTX *make_context(FILE *file)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	X509_NAME *name = X509_get_subject_name(certificate);
	X509_EXTENSION *address =
		X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");

	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"b", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	X509_add_ext(certificate, address, -1);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	assert_int_equal(fflush(file), 0);
	assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
	X509_EXTENSION_free(address);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

/* Listens on 127.0.0.1 and on no other address. */
static int listen_somewhere(uint16_t *port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

void broker_start(struct broker *broker, struct script script)
{
	memset(broker, 0, sizeof *broker);
	broker->script = script;
	broker->listener = listen_somewhere(&broker->port);
	if (script.tls) {
		broker->certificate = tmpfile();
		assert_non_null(broker->certificate);
		snprintf(broker->cafile, sizeof broker->cafile, "/proc/self/fd/%d",
			 fileno(broker->certificate));
		broker->context = make_context(broker->certificate);
	}
	assert_int_equal(pthread_create(&broker->thread, NULL, run_broker, broker), 0);
}

void broker_stop(struct broker *broker)
{
	atomic_store(&broker->stop, true);
	shutdown(broker->listener, SHUT_RDWR);
	pthread_join(broker->thread, NULL);
	SSL_CTX_free(broker->context);
	if (broker->certificate)
		fclose(broker->certificate);
	close(broker->listener);
}
