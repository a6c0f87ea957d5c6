/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The listener thread runs libmosquitto's functions for an event loop of one's own: connecting may
 * take minutes (a name server, a host that drops packets), so it must be this thread's time, and
 * every error comes back here, so that a client that gave up is simply made anew.
 *
 * The mutex guards the list, the state and the flags; no call of libmosquitto is made under it.
 */
#include "client/find/servers.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <mosquitto.h>

#include "base/clock.h"
#include "client/find/directory.h"

#define KEEPALIVE_S 20
#define CONNACK_TIMEOUT_US 10000000
#define REQUEST_PERIOD_US 10000000
#define SETTLE_TIMEOUT_US 2000000 /* a broker that never gives us our own message */
#define DROP_AFTER_US 3000000	  /* for the answers of those that only answer */
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 8000
#define REC_TOPICS_MAX 8

struct servers {
	/* Not changed after the start */
	char *host, *username, *password_file, *cafile, *certfile, *keyfile, *request_topic;
	char *rec_topics[REC_TOPICS_MAX];
	size_t n_rec_topics;
	uint16_t port;
	bool tls;
	char reply_topic[64];
	pthread_t thread;
	int changed_fd, stop_fd; /* eventfds */

	pthread_mutex_t mutex;
	struct directory directory;
	char state[256];
	bool settled;
	unsigned failures;	  /* see servers_failures() */
	int recording;		  /* the last command: 1 start, -1 stop */
	bool finished, abandoned; /* the thread has ended; its owner has gone, so it frees all */

	/* The thread's own */
	struct mosquitto *mosq;
	bool connected;
	char refusal[128];			/* by the broker, or from the library's log */
	int64_t request_us, settle_us, drop_us; /* when each is due */
};

static atomic_bool left_thread; /* set once; by itself, so that relaxed is enough */

bool servers_left_thread(void)
{
	return atomic_load_explicit(&left_thread, memory_order_relaxed);
}

static void free_servers(struct servers *servers)
{
	char *texts[] = {servers->host,		servers->username, servers->password_file,
			 servers->cafile,	servers->certfile, servers->keyfile,
			 servers->request_topic};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(texts[i]);
	for (size_t i = 0; i < servers->n_rec_topics; i++)
		free(servers->rec_topics[i]);
	directory_finish(&servers->directory);
	pthread_mutex_destroy(&servers->mutex);
	if (servers->changed_fd >= 0)
		close(servers->changed_fd);
	if (servers->stop_fd >= 0)
		close(servers->stop_fd);
	free(servers);
}

static void wake(int fd)
{
	/* Fails only when the counter is full, and then it is readable anyway. */
	(void)!write(fd, &(uint64_t){1}, sizeof(uint64_t));
}

/* The state in words; the owner is woken when they are new. */
static void tell_state(struct servers *servers, const char *state)
{
	bool same;

	pthread_mutex_lock(&servers->mutex);
	same = strcmp(servers->state, state) == 0;
	snprintf(servers->state, sizeof servers->state, "%s", state);
	pthread_mutex_unlock(&servers->mutex);
	if (!same)
		wake(servers->changed_fd);
}

static void tell_settled(struct servers *servers)
{
	pthread_mutex_lock(&servers->mutex);
	servers->settled = true;
	pthread_mutex_unlock(&servers->mutex);
	servers->settle_us = INT64_MAX;
	servers->drop_us = clock_now_us() + DROP_AFTER_US;
	wake(servers->changed_fd);
}

/* --- what the broker sends --- */

static void handle_connect(struct mosquitto *mosq, void *user, int rc)
{
	struct servers *servers = user;
	char *topics[3 + REC_TOPICS_MAX] = {"camcast/+/status", "camcast/+/info",
					    servers->reply_topic};
	char text[300];
	int n = 3;

	if (rc != 0) {
		snprintf(servers->refusal, sizeof servers->refusal, "%s",
			 mosquitto_connack_string(rc));
		return;
	}
	for (size_t i = 0; i < servers->n_rec_topics; i++)
		topics[n++] = servers->rec_topics[i];
	pthread_mutex_lock(&servers->mutex);
	directory_unconfirm(&servers->directory);
	servers->failures = 0;
	pthread_mutex_unlock(&servers->mutex);
	mosquitto_subscribe_multiple(mosq, NULL, n, topics, 0, 0, NULL);
	/* A message to ourselves: brokers send retained messages at the subscription, and in
	 * order, so that when it comes back we have heard of everybody. */
	mosquitto_publish(mosq, NULL, servers->reply_topic, 0, NULL, 0, false);
	servers->connected = true;
	servers->request_us = 0;
	servers->settle_us = clock_now_us() + SETTLE_TIMEOUT_US;
	servers->drop_us = INT64_MAX;
	snprintf(text, sizeof text, "connected to %s:%u", servers->host, servers->port);
	tell_state(servers, text);
}

static void handle_subscribe(struct mosquitto *mosq, void *user, int mid, int n, const int *granted)
{
	struct servers *servers = user;
	char text[400];

	(void)mosq;
	(void)mid;
	for (int i = 0; i < n; i++)
		if (granted[i] >= 0x80) {
			snprintf(text, sizeof text, "connected to %s:%u, which forbids us %s",
				 servers->host, servers->port,
				 i < 2	  ? "camcast/+/info and camcast/+/status"
				 : i == 2 ? "answers on camera/response/+"
					  : servers->rec_topics[i - 3]);
			tell_state(servers, text);
			return;
		}
}

static void handle_log(struct mosquitto *mosq, void *user, int level, const char *text)
{
	struct servers *servers = user;

	(void)mosq;
	if (level == MOSQ_LOG_ERR) /* OpenSSL's words come in no other way */
		snprintf(servers->refusal, sizeof servers->refusal, "%s", text);
}

static bool is_recording_topic(const struct servers *servers, const char *topic)
{
	for (size_t i = 0; i < servers->n_rec_topics; i++)
		if (strcmp(servers->rec_topics[i], topic) == 0)
			return true;
	return false;
}

static void handle_message(struct mosquitto *mosq, void *user,
			   const struct mosquitto_message *message)
{
	struct servers *servers = user;
	const char *payload = message->payload ? message->payload : "";
	size_t len = (size_t)message->payloadlen;
	bool changed = false;
	int command;

	(void)mosq;
	if (is_recording_topic(servers, message->topic)) {
		/* A retained one is an order of another day. */
		command = message->retain ? 0 : servers_parse_recording(payload, len);
		if (command == 0)
			return;
		pthread_mutex_lock(&servers->mutex);
		servers->recording = command;
		pthread_mutex_unlock(&servers->mutex);
		wake(servers->changed_fd);
	} else if (strcmp(message->topic, servers->reply_topic) == 0) {
		if (len == 0) {
			tell_settled(servers);
			return;
		}
		pthread_mutex_lock(&servers->mutex);
		changed = directory_answer(&servers->directory, payload, len, clock_now_us());
		pthread_mutex_unlock(&servers->mutex);
	} else {
		pthread_mutex_lock(&servers->mutex);
		changed = directory_announcement(&servers->directory, message->topic, payload, len,
						 clock_now_us());
		pthread_mutex_unlock(&servers->mutex);
	}
	if (changed)
		wake(servers->changed_fd);
}

/* --- the connection --- */

static int read_password(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "re");
	int err = 0;

	if (!file)
		return -errno;
	if (!fgets(out, (int)size, file))
		err = ferror(file) ? -EIO : -ENODATA;
	else
		out[strcspn(out, "\r\n")] = '\0';
	fclose(file);
	return err;
}

/* Makes the client; an error is told in servers->refusal. */
static int make_client(struct servers *servers)
{
	char password[256];
	int rc;

	servers->mosq = mosquitto_new(NULL, true, servers);
	if (!servers->mosq) {
		snprintf(servers->refusal, sizeof servers->refusal, "%s", strerror(errno));
		return -ENOMEM;
	}
	mosquitto_connect_callback_set(servers->mosq, handle_connect);
	mosquitto_subscribe_callback_set(servers->mosq, handle_subscribe);
	mosquitto_message_callback_set(servers->mosq, handle_message);
	mosquitto_log_callback_set(servers->mosq, handle_log);
	if (servers->password_file) {
		int err = read_password(servers->password_file, password, sizeof password);

		if (err < 0) {
			snprintf(servers->refusal, sizeof servers->refusal, "%.80s: %s",
				 servers->password_file, strerror(-err));
			return err;
		}
	}
	if (servers->username)
		mosquitto_username_pw_set(servers->mosq, servers->username,
					  servers->password_file ? password : NULL);
	explicit_bzero(password, sizeof password);
	if (!servers->tls)
		return 0;
	rc = mosquitto_tls_set(servers->mosq, servers->cafile,
			       servers->cafile ? NULL : "/etc/ssl/certs", servers->certfile,
			       servers->keyfile, NULL);
	if (rc == MOSQ_ERR_SUCCESS)
		return 0;
	snprintf(servers->refusal, sizeof servers->refusal,
		 rc == MOSQ_ERR_INVAL ? "a certificate or key file cannot be read, or one of "
					"--cert and --key is missing"
				      : "%s",
		 mosquitto_strerror(rc));
	return -EINVAL;
}

static bool stopping(const struct servers *servers, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = servers->stop_fd, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) > 0;
}

static void request(struct servers *servers)
{
	char payload[128];
	int len = snprintf(payload, sizeof payload, "{\"reply_to\": \"%s\", \"format\": \"json\"}",
			   servers->reply_topic);

	mosquitto_publish(servers->mosq, NULL, servers->request_topic, len, payload, 0, false);
}

/* What is due by the clock, with a connection. */
static void do_timed(struct servers *servers, int64_t now_us)
{
	bool changed;

	if (now_us >= servers->request_us) {
		request(servers);
		servers->request_us = now_us + REQUEST_PERIOD_US;
	}
	if (now_us >= servers->settle_us)
		tell_settled(servers);
	pthread_mutex_lock(&servers->mutex);
	changed = directory_expire(&servers->directory, now_us - 3 * REQUEST_PERIOD_US);
	if (now_us >= servers->drop_us) {
		changed = directory_drop_unconfirmed(&servers->directory) || changed;
		servers->drop_us = INT64_MAX;
	}
	pthread_mutex_unlock(&servers->mutex);
	if (changed)
		wake(servers->changed_fd);
}

/* Serves a connection until it ends, or until the stop. Returns libmosquitto's reason. */
static int serve(struct servers *servers)
{
	int64_t connack_us = clock_now_us() + CONNACK_TIMEOUT_US;

	for (;;) {
		struct pollfd fds[] = {
			{.fd = servers->stop_fd, .events = POLLIN},
			{.fd = mosquitto_socket(servers->mosq), .events = POLLIN},
		};
		/* While a TLS handshake waits for the broker the library always wants to write. */
		bool shaking = servers->tls && !servers->connected;
		int rc = MOSQ_ERR_SUCCESS;

		if (fds[1].fd < 0)
			return MOSQ_ERR_CONN_LOST;
		if (mosquitto_want_write(servers->mosq) && !shaking)
			fds[1].events |= POLLOUT;
		if (poll(fds, 2, shaking ? 20 : 500) < 0 && errno != EINTR)
			return MOSQ_ERR_ERRNO;
		if (fds[0].revents)
			return MOSQ_ERR_SUCCESS;
		if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
			rc = mosquitto_loop_read(servers->mosq, 1);
		if (rc == MOSQ_ERR_SUCCESS && mosquitto_want_write(servers->mosq))
			rc = mosquitto_loop_write(servers->mosq, 1);
		if (rc == MOSQ_ERR_SUCCESS)
			rc = mosquitto_loop_misc(servers->mosq);
		if (rc != MOSQ_ERR_SUCCESS)
			return rc;
		if (servers->connected)
			do_timed(servers, clock_now_us());
		else if (clock_now_us() > connack_us)
			return MOSQ_ERR_KEEPALIVE;
	}
}

/* One connection, from its beginning to its end, which is told. */
static void connect_once(struct servers *servers)
{
	char text[400];
	const char *why = servers->refusal;
	int rc = MOSQ_ERR_SUCCESS;

	servers->refusal[0] = '\0';
	servers->connected = false;
	if (make_client(servers) == 0) {
		rc = mosquitto_connect(servers->mosq, servers->host, servers->port, KEEPALIVE_S);
		if (rc == MOSQ_ERR_SUCCESS)
			rc = serve(servers);
		if (!servers->refusal[0])
			why = rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc);
	}
	if (servers->mosq && rc == MOSQ_ERR_SUCCESS)
		mosquitto_disconnect(servers->mosq);
	snprintf(text, sizeof text, "%s:%u: %s", servers->host, servers->port, why);
	mosquitto_destroy(servers->mosq);
	servers->mosq = NULL;
	pthread_mutex_lock(&servers->mutex);
	servers->failures += !servers->connected;
	pthread_mutex_unlock(&servers->mutex);
	tell_state(servers, text);
}

static void *run(void *user)
{
	struct servers *servers = user;
	int backoff_ms = BACKOFF_MIN_MS;
	bool abandoned;

	do {
		connect_once(servers);
		if (servers->connected)
			backoff_ms = BACKOFF_MIN_MS;
		else if (backoff_ms < BACKOFF_MAX_MS)
			backoff_ms *= 2;
	} while (!stopping(servers, backoff_ms));
	pthread_mutex_lock(&servers->mutex);
	servers->finished = true;
	abandoned = servers->abandoned;
	pthread_mutex_unlock(&servers->mutex);
	if (abandoned)
		free_servers(servers);
	return NULL;
}

/* --- the owner's side --- */

static int copy_text(char **out, const char *text)
{
	*out = text ? strdup(text) : NULL;
	return text && !*out ? -ENOMEM : 0;
}

/* Splits what commas separate. */
static int copy_rec_topics(struct servers *servers, const char *text)
{
	while (text && *text) {
		size_t len = strcspn(text, ","), start = strspn(text, " \t"), end = len;
		const char *next = text + len + (text[len] == ',');
		char *topic;

		while (end > start && strchr(" \t", text[end - 1]))
			end--;
		if (end > start) {
			if (servers->n_rec_topics == REC_TOPICS_MAX)
				return -EINVAL;
			topic = strndup(text + start, end - start);
			if (!topic)
				return -ENOMEM;
			servers->rec_topics[servers->n_rec_topics++] = topic;
			if (mosquitto_pub_topic_check(topic) != MOSQ_ERR_SUCCESS)
				return -EINVAL;
		}
		text = next;
	}
	return 0;
}

static int copy_options(struct servers *servers, const struct servers_options *options)
{
	int err = copy_text(&servers->host, options->host);

	err = err ? err : copy_text(&servers->username, options->username);
	err = err ? err : copy_text(&servers->password_file, options->password_file);
	err = err ? err : copy_text(&servers->cafile, options->cafile);
	err = err ? err : copy_text(&servers->certfile, options->certfile);
	err = err ? err : copy_text(&servers->keyfile, options->keyfile);
	err = err ? err : copy_text(&servers->request_topic, options->request_topic);
	err = err ? err : copy_rec_topics(servers, options->rec_topics);
	if (err == 0 && mosquitto_pub_topic_check(options->request_topic) != MOSQ_ERR_SUCCESS)
		err = -EINVAL;
	servers->port = options->port;
	servers->tls = options->tls;
	return err;
}

/* A topic of our own, where also those servers answer that answer nowhere else than below
 * camera/response. */
static int choose_reply_topic(struct servers *servers)
{
	uint64_t id[2];

	if (getrandom(id, sizeof id, 0) != sizeof id)
		return -EIO;
	snprintf(servers->reply_topic, sizeof servers->reply_topic,
		 "camera/response/camcast-%016llx%016llx", (unsigned long long)id[0],
		 (unsigned long long)id[1]);
	return 0;
}

int servers_create(struct servers **out, const struct servers_options *options)
{
	struct servers *servers = calloc(1, sizeof *servers);
	sigset_t all, old;
	int err;

	if (!servers)
		return -ENOMEM;
	pthread_mutex_init(&servers->mutex, NULL);
	servers->changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	servers->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = servers->changed_fd < 0 || servers->stop_fd < 0 ? -errno : 0;
	mosquitto_lib_init();
	err = err ? err : copy_options(servers, options);
	err = err ? err : choose_reply_topic(servers);
	if (err < 0)
		goto fail;
	snprintf(servers->state, sizeof servers->state, "%s:%u: connecting, no answer yet",
		 servers->host, servers->port);
	sigfillset(&all); /* signals are the owner's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&servers->thread, NULL, run, servers);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err < 0)
		goto fail;
	*out = servers;
	return 0;
fail:
	free_servers(servers);
	return err;
}

void servers_destroy(struct servers *servers)
{
	struct timespec deadline;
	bool finished;

	if (!servers)
		return;
	wake(servers->stop_fd);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 1;
	if (pthread_timedjoin_np(servers->thread, NULL, &deadline) != 0) {
		/* It is connecting, or asks a name server: nobody waits for that. */
		pthread_mutex_lock(&servers->mutex);
		servers->abandoned = true;
		finished = servers->finished;
		if (!finished)
			pthread_detach(servers->thread);
		pthread_mutex_unlock(&servers->mutex);
		if (!finished) {
			atomic_store_explicit(&left_thread, true, memory_order_relaxed);
			return;
		}
		pthread_join(servers->thread, NULL);
	}
	free_servers(servers);
}

int servers_fd(const struct servers *servers)
{
	return servers->changed_fd;
}

int servers_snapshot(struct servers *servers, struct server **list, size_t *n, char *state,
		     size_t state_size)
{
	uint64_t count;
	int err;

	/* Before the copy: what changes from here on is told again. */
	(void)!read(servers->changed_fd, &count, sizeof count);
	pthread_mutex_lock(&servers->mutex);
	err = directory_copy(&servers->directory, list, n);
	if (state)
		snprintf(state, state_size, "%s", servers->state);
	pthread_mutex_unlock(&servers->mutex);
	return err;
}

bool servers_settled(struct servers *servers)
{
	bool settled;

	pthread_mutex_lock(&servers->mutex);
	settled = servers->settled;
	pthread_mutex_unlock(&servers->mutex);
	return settled;
}

unsigned servers_failures(struct servers *servers)
{
	unsigned failures;

	pthread_mutex_lock(&servers->mutex);
	failures = servers->failures;
	pthread_mutex_unlock(&servers->mutex);
	return failures;
}

int servers_recording_command(struct servers *servers)
{
	int command;

	pthread_mutex_lock(&servers->mutex);
	command = servers->recording;
	servers->recording = 0;
	pthread_mutex_unlock(&servers->mutex);
	return command;
}
