/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/access.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/secret.h"
#include "daemon/auth/users.h"

/* Cheap ones: of "secret", SHA-512 crypt with 1000 rounds. */
#define HASH                                                                                       \
	"$6$rounds=1000$saltsalt$"                                                                 \
	"LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/"
#define TOKEN "0123456789abcdef0123"
#define STREAM "camera = c\nannexb = 127.0.0.1:0\n"
#define CAMERA "[camera c]\nsource = pattern\n[stream s]\n" STREAM "[stream s2]\n" STREAM

static struct loop *loop;
static struct config *config;
static struct access *access_;
static struct net_peer peer = {.address = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
			       .port = 1};

struct asked {
	struct access_ask ask;
	enum access_verdict verdict; /* ACCESS_WAITS: not yet */
	struct access_who who;
};

static void handle_done(struct access_ask *ask, enum access_verdict verdict,
			const struct access_who *who)
{
	struct asked *asked = (struct asked *)(void *)ask;

	asked->verdict = verdict;
	if (who)
		asked->who = *who;
	loop_stop(loop);
}

static void make(const char *text)
{
	const struct loop_options options = {.backend = CONFIG_BACKEND_EPOLL, .max_conns = 1};

	assert_int_equal(config_parse(&config, "c.ini", text, strlen(text), stderr), 0);
	assert_int_equal(loop_create(&loop, &options), 0);
	assert_int_equal(access_create(&access_, loop, config), 0);
}

static void unmake(void)
{
	access_destroy(access_);
	loop_destroy(loop);
	config_destroy(config);
}

static struct credentials password(const char *name, const char *secret)
{
	struct credentials credentials = {.kind = CREDENTIALS_PASSWORD};

	strcpy(credentials.name, name);
	strcpy(credentials.secret, secret);
	return credentials;
}

static void begin(struct asked *asked, const struct credentials *credentials)
{
	*asked = (struct asked){.ask.done = handle_done};
	asked->verdict = access_identify(access_, &asked->ask, &peer, credentials, &asked->who);
}

/* Asks, and waits for the verdict. */
static enum access_verdict ask(struct asked *asked, const struct credentials *credentials)
{
	begin(asked, credentials);
	while (asked->verdict == ACCESS_WAITS)
		assert_int_equal(loop_run(loop), 0);
	return asked->verdict;
}

static char *write_file(const char *text, mode_t mode)
{
	char *path = strdup("/tmp/camcast-test-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

#define CERTIFICATES "[tls]\ncertificate = /c.pem\nclient_ca = /ca.pem\n"

/* What somebody may whose connection has a certificate with this name. */
static unsigned certified(const char *name)
{
	struct credentials credentials = {.kind = CREDENTIALS_NONE, .certified = true};
	struct asked asked;

	strcpy(credentials.certificate, name);
	assert_int_equal(ask(&asked, &credentials), ACCESS_KNOWN);
	return asked.who.may;
}

static void without_users_each_certificate_may_watch_and_nobody_else(void **state)
{
	struct credentials none = {.kind = CREDENTIALS_NONE};
	struct asked asked;

	(void)state;
	make(CERTIFICATES CAMERA);
	assert_int_equal(ask(&asked, &none), ACCESS_KNOWN);
	assert_int_equal(asked.who.may, 0);
	assert_int_equal(certified("anna"), CONFIG_MAY_VIEW | CONFIG_MAY_STATUS);
	assert_int_equal(certified(""), CONFIG_MAY_VIEW | CONFIG_MAY_STATUS);
	assert_true(access_certificate_may(access_, "anna", &peer, 0));
	assert_false(gate_lets_in(access_stream_gate(access_, 0), &peer));
	assert_true(gate_lets_in(access_address_gate(access_, 0), &peer));
	unmake();
}

static void with_users_a_certificate_is_a_user_by_its_name(void **state)
{
	struct credentials wrong = password("anna", "x"), login = {.kind = CREDENTIALS_LOGIN};
	struct asked asked;

	(void)state;
	make(CERTIFICATES CAMERA "[user anna]\nmay = view, control\nstreams = s\n"
				 "[user bert]\npassword = " HASH "\n");
	assert_int_equal(certified("anna"), CONFIG_MAY_VIEW | CONFIG_MAY_CONTROL);
	assert_int_equal(certified("carl"), 0);
	assert_int_equal(certified(""), 0);
	assert_true(access_certificate_may(access_, "anna", &peer, 0));
	assert_false(access_certificate_may(access_, "anna", &peer, 1));
	assert_false(access_certificate_may(access_, "carl", &peer, 0));
	/* A user without a password has none. */
	assert_int_equal(ask(&asked, &wrong), ACCESS_WRONG);
	/* What is said counts more; a login that has ended says nothing. */
	wrong = password("bert", "secret");
	wrong.certified = login.certified = true;
	strcpy(wrong.certificate, "anna");
	strcpy(login.certificate, "anna");
	assert_int_equal(ask(&asked, &wrong), ACCESS_KNOWN);
	assert_string_equal(asked.who.user->name, "bert");
	assert_int_equal(ask(&asked, &login), ACCESS_KNOWN);
	assert_string_equal(asked.who.user->name, "anna");
	unmake();
}

static void without_users_everybody_may_watch(void **state)
{
	struct credentials none = {.kind = CREDENTIALS_NONE}, some = password("anna", "x");
	struct asked asked;

	(void)state;
	make(CAMERA);
	assert_int_equal(ask(&asked, &none), ACCESS_KNOWN);
	assert_int_equal(asked.who.may, CONFIG_MAY_VIEW | CONFIG_MAY_STATUS);
	assert_int_equal(ask(&asked, &some), ACCESS_KNOWN);
	assert_null(asked.who.user);
	assert_false(access_has_users(access_));
	unmake();
	make("[daemon]\ncontrol = yes\n" CAMERA);
	assert_int_equal(ask(&asked, &none), ACCESS_KNOWN);
	assert_int_equal(asked.who.may, CONFIG_MAY_VIEW | CONFIG_MAY_STATUS | CONFIG_MAY_CONTROL);
	unmake();
}

static void with_a_user_everybody_may_nothing(void **state)
{
	struct credentials none = {.kind = CREDENTIALS_NONE}, bad = {.kind = CREDENTIALS_BAD};
	struct asked asked;

	(void)state;
	make("[daemon]\ncontrol = yes\n[user anna]\npassword = " HASH "\n" CAMERA);
	assert_int_equal(ask(&asked, &none), ACCESS_KNOWN);
	assert_int_equal(asked.who.may, 0);
	assert_false(access_may(access_, &asked.who, &peer, CONFIG_MAY_VIEW, 0));
	assert_false(gate_lets_in(access_stream_gate(access_, 0), &peer));
	assert_string_equal(access_open_to(access_), "no");
	assert_int_equal(ask(&asked, &bad), ACCESS_WRONG);
	unmake();
	make("[daemon]\nanonymous = status\n[user anna]\npassword = " HASH "\n" CAMERA
	     "allow = 127.0.0.1\n");
	assert_int_equal(ask(&asked, &none), ACCESS_KNOWN);
	assert_int_equal(asked.who.may, CONFIG_MAY_STATUS);
	assert_false(gate_lets_in(access_stream_gate(access_, 0), &peer));
	assert_true(gate_lets_in(access_stream_gate(access_, 1), &peer));
	unmake();
}

static void a_right_password_is_hashed_once(void **state)
{
	struct credentials right = password("anna", "secret");
	struct asked asked, second;

	(void)state;
	make("[user anna]\npassword = " HASH "\nmay = view, control\nstreams = s2\n" CAMERA);
	begin(&asked, &right);
	begin(&second, &right);
	assert_int_equal(asked.verdict, ACCESS_WAITS);
	while (asked.verdict == ACCESS_WAITS || second.verdict == ACCESS_WAITS)
		assert_int_equal(loop_run(loop), 0);
	assert_int_equal(asked.verdict, ACCESS_KNOWN);
	assert_int_equal(second.verdict, ACCESS_KNOWN);
	assert_string_equal(asked.who.user->name, "anna");
	assert_int_equal(asked.who.may, CONFIG_MAY_VIEW | CONFIG_MAY_CONTROL);
	assert_false(access_may(access_, &asked.who, &peer, CONFIG_MAY_VIEW, 0));
	assert_true(access_may(access_, &asked.who, &peer, CONFIG_MAY_VIEW, 1));
	begin(&asked, &right);
	assert_int_equal(asked.verdict, ACCESS_KNOWN);
	assert_int_equal(access_stats(access_)->checks, 1);
	unmake();
}

/* Wrong passwords, names and tokens are all answered at the same time, however fast they were. */
static void a_wrong_attempt_takes_its_time(void **state)
{
	const struct credentials wrong[] = {
		password("anna", "x"),
		password("nobody", "secret"),
		password("token", "secret"),
		{.kind = CREDENTIALS_TOKEN, .secret = TOKEN "x"},
	};
	struct asked asked;

	(void)state;
	make("[user anna]\npassword = " HASH "\n" CAMERA);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		int64_t begun_us = loop_now_us(loop); /* may be older than the clock */

		assert_int_equal(ask(&asked, &wrong[i]), ACCESS_WRONG);
		assert_true(clock_now_us() - begun_us >= 290000);
	}
	assert_int_equal(access_stats(access_)->wrong, 4);
	unmake();
}

static void an_address_with_many_failures_has_to_wait(void **state)
{
	struct credentials wrong = {.kind = CREDENTIALS_TOKEN, .secret = TOKEN "x"};
	struct credentials right = password("anna", "secret");
	struct asked asked[6];

	(void)state;
	make("[user anna]\npassword = " HASH "\n" CAMERA);
	assert_int_equal(ask(&asked[0], &right), ACCESS_KNOWN);
	for (int i = 0; i < 5; i++)
		begin(&asked[i], &wrong);
	begin(&asked[5], &wrong);
	assert_int_equal(asked[5].verdict, ACCESS_SLOWED);
	assert_in_range(access_retry_after_s(access_, &peer), 1, 2);
	/* What is known already is let in. */
	begin(&asked[5], &right);
	assert_int_equal(asked[5].verdict, ACCESS_KNOWN);
	for (int i = 0; i < 5; i++)
		access_cancel(&asked[i].ask);
	assert_int_equal(access_stats(access_)->slowed, 1);
	unmake();
}

static void what_one_address_knows_helps_no_other_to_guess(void **state)
{
	struct credentials wrong = {.kind = CREDENTIALS_TOKEN, .secret = TOKEN "x"};
	struct credentials right = password("anna", "secret");
	struct asked asked[6];

	(void)state;
	make("[user anna]\npassword = " HASH "\n" CAMERA);
	assert_int_equal(ask(&asked[0], &right), ACCESS_KNOWN);
	peer.address[15] = 2;
	for (int i = 0; i < 5; i++)
		begin(&asked[i], &wrong);
	begin(&asked[5], &right);
	assert_int_equal(asked[5].verdict, ACCESS_SLOWED);
	for (int i = 0; i < 5; i++)
		access_cancel(&asked[i].ask);
	peer.address[15] = 1;
	begin(&asked[5], &right);
	assert_int_equal(asked[5].verdict, ACCESS_KNOWN);
	unmake();
}

static bool is_secret(const struct access_proof *proof, const char *password)
{
	(void)proof;
	return strcmp(password, "secret") == 0;
}

static bool is_anything(const struct access_proof *proof, const char *password)
{
	(void)proof;
	(void)password;
	return true;
}

static bool is_nothing(const struct access_proof *proof, const char *password)
{
	(void)proof;
	(void)password;
	return false;
}

static enum access_verdict prove(struct asked *asked, const char *name, bool fresh,
				 bool (*fits)(const struct access_proof *proof,
					      const char *password))
{
	const struct access_proof proof = {.name = name, .fits = fits, .fresh = fresh};

	*asked = (struct asked){.ask.done = handle_done};
	asked->verdict = access_identify_proof(access_, &asked->ask, &peer, &proof, &asked->who);
	return asked->verdict;
}

/* Anna's password is in a file; of Bob there is a hash, and the robot has none. */
static void a_proof_needs_a_password_in_clear_text(void **state)
{
	char *secret = write_file("secret\n", 0600), *token = write_file(TOKEN, 0600);
	struct asked asked;
	char text[512];

	(void)state;
	snprintf(text, sizeof text,
		 "[user anna]\npassword_file = %s\n[user bob]\npassword = " HASH
		 "\n[user robot]\ntoken_file = %s\n" CAMERA,
		 secret, token);
	make(text);
	assert_true(access_has_hashes(access_));
	assert_int_equal(prove(&asked, "anna", true, is_secret), ACCESS_KNOWN);
	assert_string_equal(asked.who.user->name, "anna");
	assert_int_equal(prove(&asked, "anna", false, is_secret), ACCESS_STALE);
	assert_int_equal(asked.who.may, 0);
	for (int i = 0; i < 3; i++) {
		const char *const names[] = {"bob", "robot", "nobody"};

		assert_int_equal(prove(&asked, names[i], true, is_anything), ACCESS_WAITS);
		while (asked.verdict == ACCESS_WAITS)
			assert_int_equal(loop_run(loop), 0);
		assert_int_equal(asked.verdict, ACCESS_WRONG);
	}
	unmake();
	unlink(secret);
	unlink(token);
	free(secret);
	free(token);
}

static void who_has_proved_a_password_does_not_wait_for_others(void **state)
{
	char *secret = write_file("secret\n", 0600), text[512];
	struct asked asked[6], other;

	(void)state;
	snprintf(text, sizeof text, "[user anna]\npassword_file = %s\n" CAMERA, secret);
	make(text);
	assert_int_equal(prove(&other, "anna", false, is_secret), ACCESS_STALE);
	for (int i = 0; i < 5; i++)
		assert_int_equal(prove(&asked[i], "nobody", true, is_nothing), ACCESS_WAITS);
	/* What was replayed proves nothing. */
	assert_int_equal(prove(&other, "anna", true, is_secret), ACCESS_SLOWED);
	peer.address[15] = 2;
	assert_int_equal(prove(&other, "anna", true, is_secret), ACCESS_KNOWN);
	for (int i = 0; i < 5; i++)
		access_cancel(&asked[i].ask);
	for (int i = 0; i < 5; i++)
		assert_int_equal(prove(&asked[i], "nobody", true, is_nothing), ACCESS_WAITS);
	assert_int_equal(prove(&other, "nobody", true, is_nothing), ACCESS_SLOWED);
	assert_int_equal(prove(&other, "anna", true, is_secret), ACCESS_KNOWN);
	for (int i = 0; i < 5; i++)
		access_cancel(&asked[i].ask);
	peer.address[15] = 1;
	unmake();
	unlink(secret);
	free(secret);
}

static void one_address_has_a_share_of_the_queue(void **state)
{
	struct asked asked[5];
	char secret[2] = "a";

	(void)state;
	make("[user anna]\npassword = " HASH "\n" CAMERA);
	for (int i = 0; i < 5; i++, secret[0]++) {
		struct credentials wrong = password("anna", secret);

		begin(&asked[i], &wrong);
	}
	assert_int_equal(asked[3].verdict, ACCESS_WAITS);
	assert_int_equal(asked[4].verdict, ACCESS_SLOWED);
	for (int i = 0; i < 5; i++)
		access_cancel(&asked[i].ask);
	unmake();
}

static void files_hold_passwords_and_tokens(void **state)
{
	char *secret = write_file("secret\n", 0600), *token = write_file(TOKEN "\r\n", 0400);
	struct credentials right = password("anna", "secret");
	struct credentials bearer = {.kind = CREDENTIALS_TOKEN, .secret = TOKEN};
	struct asked asked;
	char text[512];

	(void)state;
	snprintf(text, sizeof text,
		 "[user anna]\npassword_file = %s\n[user bot]\ntoken_file = %s\n" CAMERA, secret,
		 token);
	make(text);
	assert_int_equal(ask(&asked, &right), ACCESS_KNOWN);
	assert_string_equal(asked.who.user->name, "anna");
	begin(&asked, &bearer);
	assert_int_equal(asked.verdict, ACCESS_KNOWN);
	assert_string_equal(asked.who.user->name, "bot");
	unmake();
	unlink(secret);
	unlink(token);
	free(secret);
	free(token);
}

static void refuse_file(const char *key, const char *content, mode_t mode)
{
	const struct loop_options options = {.backend = CONFIG_BACKEND_EPOLL, .max_conns = 1};
	char *path = write_file(content, mode), text[512];

	snprintf(text, sizeof text, "[user anna]\n%s = %s\n" CAMERA, key, path);
	assert_int_equal(config_parse(&config, "c.ini", text, strlen(text), stderr), 0);
	assert_int_equal(loop_create(&loop, &options), 0);
	assert_true(access_create(&access_, loop, config) < 0);
	loop_destroy(loop);
	config_destroy(config);
	unlink(path);
	free(path);
}

static void files_that_cannot_be_used_are_refused(void **state)
{
	char out[8], why[SECRET_WHY_MAX];

	(void)state;
	refuse_file("password_file", "secret\n", 0640);
	refuse_file("password_file", "secret\n", 0604);
	refuse_file("password_file", "\nsecret", 0600);
	refuse_file("token_file", "tooshort\n", 0600);
	refuse_file("token_file", "0123456789 abcdef0123\n", 0600);
	refuse_file("token_file", TOKEN, 0644);
	assert_true(secret_read("/nonexistent/file", out, sizeof out, why) < 0);
	assert_non_null(strstr(why, "/nonexistent/file cannot be used"));
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_true(secret_read("nonexistent", out, sizeof out, why) < 0);
	assert_non_null(strstr(why, "systemd has given no credentials"));
}

/* A hash that takes long is that of names without a user, too. */
static void a_name_without_a_user_has_the_hash_of_one(void **state)
{
	struct digest_key key = {{1}};
	unsigned seen[2] = {0};
	struct users users;

	(void)state;
	make("[user anna]\npassword = " HASH "\n[user bert]\npassword = "
	     "$6$rounds=999999$saltsalt$x\n" CAMERA);
	assert_int_equal(users_init(&users, config, &key, NULL), 0);
	for (int i = 0; i < 100; i++) {
		char name[8];
		const char *hash;

		snprintf(name, sizeof name, "name%d", i);
		hash = users_stand_in(&users, &key, name);
		assert_ptr_equal(users_stand_in(&users, &key, name), hash);
		seen[strcmp(hash, HASH) != 0]++;
	}
	assert_in_range(seen[0], 25, 75);
	assert_in_range(seen[1], 25, 75);
	users_finish(&users);
	unmake();
}

static void a_login_is_known_until_it_ends(void **state)
{
	struct credentials right = password("anna", "secret"), login = {.kind = CREDENTIALS_LOGIN};
	struct asked asked;

	(void)state;
	make("[user anna]\npassword = " HASH "\n" CAMERA);
	assert_int_equal(ask(&asked, &right), ACCESS_KNOWN);
	assert_int_equal(access_log_in(access_, asked.who.user, login.secret), 0);
	assert_int_equal(strlen(login.secret), ACCESS_LOGIN_MAX - 1);
	begin(&asked, &login);
	assert_int_equal(asked.verdict, ACCESS_KNOWN);
	assert_string_equal(asked.who.user->name, "anna");
	access_log_out(access_, login.secret);
	begin(&asked, &login);
	assert_int_equal(asked.verdict, ACCESS_KNOWN);
	assert_null(asked.who.user);
	assert_int_equal(asked.who.may, 0);
	unmake();
}

/* Takes another configuration. The old one is the caller's to destroy. */
static struct config *renew(const char *text)
{
	struct config *old = config;
	struct access_next *next;
	char why[USERS_WHY_MAX];

	assert_int_equal(config_parse(&config, "c.ini", text, strlen(text), stderr), 0);
	assert_int_equal(access_next_create(&next, access_, config, NULL, why), 0);
	assert_int_equal(access_prepare(access_, next), 0);
	access_renew(access_, next);
	return old;
}

static void what_a_password_vouches_for_is_good_for_one_address(void **state)
{
	struct credentials right = password("anna", "secret"), login = {.kind = CREDENTIALS_LOGIN};
	const struct net_peer here = peer;
	char again[ACCESS_LOGIN_MAX];
	struct asked asked;

	(void)state;
	make("[user anna]\npassword = " HASH "\n" CAMERA);
	assert_int_equal(ask(&asked, &right), ACCESS_KNOWN);
	access_vouch(access_, &peer, "secret", asked.who.user, login.secret);
	assert_int_equal(strlen(login.secret), ACCESS_LOGIN_MAX - 1);
	access_vouch(access_, &peer, "secret", asked.who.user, again);
	assert_string_equal(again, login.secret);
	access_vouch(access_, &peer, "another", asked.who.user, again);
	assert_string_not_equal(again, login.secret);
	begin(&asked, &login);
	assert_int_equal(asked.verdict, ACCESS_KNOWN);
	assert_string_equal(asked.who.user->name, "anna");

	peer.address[15]++;
	begin(&asked, &login);
	assert_int_equal(asked.verdict, ACCESS_KNOWN);
	assert_null(asked.who.user);
	assert_int_equal(asked.who.may, 0);
	peer = here;

	config_destroy(renew("[user bob]\npassword = " HASH "\n" CAMERA));
	begin(&asked, &login);
	assert_null(asked.who.user);
	unmake();
}

static void it_is_told_who_may_watch_without_a_password(void **state)
{
	(void)state;
	make("[daemon]\nhttp = 127.0.0.1:0\n" CAMERA);
	assert_string_equal(access_open_to(access_), "loopback");
	unmake();
	make("[daemon]\nhttp = 127.0.0.1:0\nrtsp = 0.0.0.0:0\n" CAMERA);
	assert_string_equal(access_open_to(access_), "all");
	unmake();
	make("[daemon]\nhttp = 0\n" CAMERA);
	assert_string_equal(access_open_to(access_), "all");
	unmake();
	make("[daemon]\nhttp = 0\nallow = local\n" CAMERA);
	assert_string_equal(access_open_to(access_), "local");
	unmake();
	make("[daemon]\nhttp = 0\nallow = local, 10.0.0.0/8\n" CAMERA);
	assert_string_equal(access_open_to(access_), "listed");
	unmake();
	make("[daemon]\nhttp = 0\nanonymous = nothing\n" CAMERA);
	assert_string_equal(access_open_to(access_), "no");
	unmake();
}

static void users_who_stay_the_same_stay_logged_in(void **state)
{
	struct credentials login = {.kind = CREDENTIALS_LOGIN};
	struct credentials anna = password("anna", "secret");
	struct asked asked;

	(void)state;
	make("[user anna]\npassword = " HASH "\n[user bob]\npassword = " HASH "\n" CAMERA);
	assert_int_equal(ask(&asked, &anna), ACCESS_KNOWN);
	assert_int_equal(access_number(access_, &asked.who), 1);
	assert_int_equal(access_log_in(access_, asked.who.user, login.secret), 0);

	/* Another order, other rights. */
	config_destroy(renew("[user bob]\npassword = " HASH "\n"
			     "[user anna]\npassword = " HASH "\nmay = status\n" CAMERA));
	assert_int_equal(access_renumber(access_, 1), 2);
	assert_int_equal(access_renumber(access_, 2), 1);
	assert_int_equal(access_renumber(access_, ACCESS_SOMEBODY), ACCESS_SOMEBODY);
	assert_int_equal(ask(&asked, &login), ACCESS_KNOWN);
	assert_string_equal(asked.who.user->name, "anna");
	assert_int_equal(asked.who.may, CONFIG_MAY_STATUS);
	begin(&asked, &anna); /* it is remembered */
	assert_int_equal(asked.verdict, ACCESS_KNOWN);
	access_become(access_, 2, NULL, &asked.who);
	assert_string_equal(asked.who.user->name, "anna");
	unmake();
}

static void a_user_with_another_password_is_somebody_else(void **state)
{
	char *first = write_file("one", 0600), *second = write_file("two", 0600);
	struct credentials login = {.kind = CREDENTIALS_LOGIN}, anna = password("anna", "one");
	struct asked asked;
	char text[512];

	(void)state;
	snprintf(text, sizeof text, "[user anna]\npassword_file = %s\n" CAMERA, first);
	make(text);
	assert_int_equal(ask(&asked, &anna), ACCESS_KNOWN);
	assert_int_equal(access_log_in(access_, asked.who.user, login.secret), 0);
	config_destroy(renew(text)); /* the same password, though its hash has another salt */
	assert_int_equal(access_renumber(access_, 1), 1);
	assert_int_equal(ask(&asked, &login), ACCESS_KNOWN);
	assert_non_null(asked.who.user);

	snprintf(text, sizeof text, "[user anna]\npassword_file = %s\n" CAMERA, second);
	config_destroy(renew(text));
	assert_int_equal(access_renumber(access_, 1), -1);
	assert_int_equal(ask(&asked, &login), ACCESS_KNOWN);
	assert_null(asked.who.user);
	assert_int_equal(ask(&asked, &anna), ACCESS_WRONG);
	/* No user at all: everybody may watch. */
	config_destroy(renew(CAMERA));
	assert_int_equal(access_renumber(access_, 1), -1);
	assert_int_equal(ask(&asked, &anna), ACCESS_KNOWN);
	assert_true(asked.who.may & CONFIG_MAY_VIEW);
	unmake();
	unlink(first);
	unlink(second);
	free(first);
	free(second);
}

static void gates_are_those_of_the_other_configuration(void **state)
{
	(void)state;
	make(CAMERA);
	assert_true(gate_lets_in(access_gate(access_), &peer));
	assert_true(gate_lets_in(access_stream_gate(access_, 1), &peer));
	config_destroy(renew("[daemon]\nallow = local\n" CAMERA "deny = 127.0.0.1\n"));
	assert_true(gate_lets_in(access_gate(access_), &peer));
	assert_true(gate_lets_in(access_stream_gate(access_, 0), &peer));
	assert_false(gate_lets_in(access_stream_gate(access_, 1), &peer));
	config_destroy(renew("[daemon]\ndeny = 127.0.0.1\n" CAMERA));
	assert_false(gate_lets_in(access_gate(access_), &peer));
	assert_false(gate_lets_in(access_stream_gate(access_, 0), &peer));
	unmake();
}

static void a_file_that_cannot_be_used_says_why(void **state)
{
	struct access_next *next;
	struct config *other;
	char why[USERS_WHY_MAX];
	static const char text[] = "[user anna]\ntoken_file = /nonexistent/token\n" CAMERA;

	(void)state;
	make(CAMERA);
	assert_int_equal(config_parse(&other, "c.ini", text, sizeof text - 1, stderr), 0);
	assert_true(access_next_create(&next, access_, other, NULL, why) < 0);
	assert_non_null(strstr(why, "user anna: token_file "));
	config_destroy(other);
	unmake();
}

static void who_gives_up_reads_no_further_user(void **state)
{
	const atomic_bool cancelled = true;
	struct access_next *next;
	struct config *other;
	char why[USERS_WHY_MAX];
	static const char text[] = "[user anna]\ntoken_file = /nonexistent/token\n" CAMERA;

	(void)state;
	make(CAMERA);
	assert_int_equal(config_parse(&other, "c.ini", text, sizeof text - 1, stderr), 0);
	assert_int_equal(access_next_create(&next, access_, other, &cancelled, why), -ECANCELED);
	config_destroy(other);
	unmake();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_users_each_certificate_may_watch_and_nobody_else),
		cmocka_unit_test(with_users_a_certificate_is_a_user_by_its_name),
		cmocka_unit_test(without_users_everybody_may_watch),
		cmocka_unit_test(with_a_user_everybody_may_nothing),
		cmocka_unit_test(a_right_password_is_hashed_once),
		cmocka_unit_test(a_wrong_attempt_takes_its_time),
		cmocka_unit_test(an_address_with_many_failures_has_to_wait),
		cmocka_unit_test(what_one_address_knows_helps_no_other_to_guess),
		cmocka_unit_test(a_proof_needs_a_password_in_clear_text),
		cmocka_unit_test(who_has_proved_a_password_does_not_wait_for_others),
		cmocka_unit_test(one_address_has_a_share_of_the_queue),
		cmocka_unit_test(files_hold_passwords_and_tokens),
		cmocka_unit_test(files_that_cannot_be_used_are_refused),
		cmocka_unit_test(a_name_without_a_user_has_the_hash_of_one),
		cmocka_unit_test(a_login_is_known_until_it_ends),
		cmocka_unit_test(what_a_password_vouches_for_is_good_for_one_address),
		cmocka_unit_test(it_is_told_who_may_watch_without_a_password),
		cmocka_unit_test(users_who_stay_the_same_stay_logged_in),
		cmocka_unit_test(a_user_with_another_password_is_somebody_else),
		cmocka_unit_test(gates_are_those_of_the_other_configuration),
		cmocka_unit_test(a_file_that_cannot_be_used_says_why),
		cmocka_unit_test(who_gives_up_reads_no_further_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
