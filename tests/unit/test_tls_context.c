/* SPDX-License-Identifier: BSD-2-Clause */
/* The certificate of the server: which files are refused, and when they are read again. */
#include "tests/unit/tls_rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct tls_rig rig;

static int set_up(void **state)
{
	(void)state;
	tls_rig_start(&rig, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_rig_stop(&rig);
	return 0;
}

static void the_processor_says_whether_it_has_aes(void **state)
{
	(void)state;
	assert_false(tls_lacks_aes("OPENSSL_ia32cap=0xfffa3203578bffff:0x18418c219c27a9"));
	assert_true(tls_lacks_aes("OPENSSL_ia32cap=0xfdd83201578bffff:0x0 env:~0x200000200000000"));
	assert_false(tls_lacks_aes("OPENSSL_armcap=0x3d"));
	assert_true(tls_lacks_aes("OPENSSL_armcap=0x1"));
	assert_false(tls_lacks_aes("OPENSSL_riscvcap=rv64"));
	assert_false(tls_lacks_aes(NULL));
}

static int create(const char *certificate, const char *key, const char *client_ca,
		  char why[TLS_WHY_MAX])
{
	const struct tls_options options = {certificate, key, client_ca, true};
	struct tls_context *context;

	return tls_context_create(&context, &options, why);
}

static void pair_that_cannot_be_used_is_named(void **state)
{
	char why[TLS_WHY_MAX], empty[TLS_RIG_PATH_MAX];

	(void)state;
	assert_int_equal(create("/nonexistent", "", "", why), -EINVAL);
	assert_string_equal(why, "certificate /nonexistent: No such file or directory");
	/* The key is expected in the file of the certificate. */
	assert_int_equal(create(rig.certificate, "", "", why), -EINVAL);
	assert_non_null(strstr(why, "key "));
	snprintf(empty, sizeof empty, "%s/empty", rig.folder);
	tls_rig_write(empty, "");
	assert_int_equal(create(empty, rig.key, "", why), -EINVAL);
	assert_non_null(strstr(why, "certificate "));
	assert_int_equal(create(rig.certificate, rig.key, empty, why), -EINVAL);
	assert_non_null(strstr(why, "client_ca "));
	assert_int_equal(create(rig.certificate, rig.key, "/nonexistent", why), -EINVAL);
	assert_string_equal(why, "client_ca /nonexistent: No such file or directory");
	unlink(empty);
}

/* Of the certificate that a client is shown; its first eight bytes. */
static int64_t shown_serial(void)
{
	const ASN1_INTEGER *number;
	bool wants_room, done = false;
	X509 *certificate;
	struct tls server;
	int64_t serial;
	SSL *client;
	int ends[2], result = -EAGAIN;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	assert_int_equal(tls_open(&server, rig.context, ends[0]), 0);
	client = tls_rig_client(ends[1], 0);
	for (int i = 0; i < 10 && (result == -EAGAIN || !done); i++) {
		done = done || tls_rig_shake(client);
		if (result == -EAGAIN)
			result = tls_shake(&server, &wants_room);
	}
	assert_true(result == 0 && done);
	certificate = SSL_get1_peer_certificate(client);
	number = X509_get0_serialNumber(certificate);
	assert_true(number->length >= 8);
	memcpy(&serial, number->data, sizeof serial);
	X509_free(certificate);
	tls_rig_free(client);
	tls_close(&server);
	close(ends[0]);
	close(ends[1]);
	return serial;
}

static void a_changed_pair_is_read_again_and_a_broken_one_is_not_used(void **state)
{
	int64_t now = 1, first = shown_serial(), second;

	(void)state;
	assert_false(tls_context_refresh(rig.context, now));
	tls_rig_renew(&rig);
	assert_false(tls_context_refresh(rig.context, now + TLS_CHECK_PERIOD_US - 1));
	assert_int_equal(shown_serial(), first);
	now += TLS_CHECK_PERIOD_US;
	assert_true(tls_context_refresh(rig.context, now));
	second = shown_serial();
	assert_int_not_equal(second, first);
	assert_true(tls_context_expires(rig.context) > 1000000000);

	tls_rig_write(rig.key, "no key\n");
	for (unsigned i = 0; i < 5; i++) {
		now += TLS_CHECK_PERIOD_US;
		assert_false(tls_context_refresh(rig.context, now));
		assert_int_equal(shown_serial(), second);
	}
	unlink(rig.key);
	now += TLS_CHECK_PERIOD_US;
	assert_false(tls_context_refresh(rig.context, now));
	tls_rig_renew(&rig);
	now += TLS_CHECK_PERIOD_US;
	assert_true(tls_context_refresh(rig.context, now));
	assert_int_not_equal(shown_serial(), second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_processor_says_whether_it_has_aes),
		cmocka_unit_test(pair_that_cannot_be_used_is_named),
		cmocka_unit_test(a_changed_pair_is_read_again_and_a_broken_one_is_not_used),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
