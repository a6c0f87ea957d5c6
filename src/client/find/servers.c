/* SPDX-License-Identifier: BSD-2-Clause */
/* The mutex guards the list, the state and the flags; nothing that may wait is called under it. */
#include "client/find/servers.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/text.h"
#include "client/find/directory.h"
#include "mqtt/topic.h"

#define KEEPALIVE_S 20
#define REQUEST_PERIOD_US 10000000
#define SETTLE_TIMEOUT_US 2000000 /* a broker that never gives us our own message */
#define DROP_AFTER_US 3000000	  /* for the answers of those that only answer */
#define BACKOFF_MAX_US 8000000
#define REC_TOPICS_MAX 8
#define LOG_PERIOD_US 60000000
#define PACKET_HEAD_MAX (4u << 10) /* what a packet has besides its payload: topic, properties */
#define TICK_MS 500		   /* of what is due by the clock */

struct facts {
	bool settled;			  /* see servers_settled() */
	unsigned failures;		  /* see servers_failures() */
	int recording;			  /* the last command: 1 start, -1 stop */
	uint64_t refused[TRUST_VERDICTS]; /* see servers_refused() */
};

struct servers {
	/* Not changed after the start */
	const char *request_topic; /* borrowed */
	char broker[NET_HOST_PORT_MAX];
	char *rec_topics[REC_TOPICS_MAX];
	size_t n_rec_topics;
	char reply_topic[SERVERS_REPLY_TOPIC_MAX];
	pthread_t thread;
	int changed_fd, stop_fd; /* eventfds */

	pthread_mutex_t mutex;
	struct directory directory;
	char state[NET_HOST_PORT_MAX + 64];
	struct facts facts;
	struct diag_limit refused_limit, untrusted_limits[TRUST_VERDICTS];

	/* The thread's own */
	struct mqtt_session *session;
	struct trust *trust;			/* NULL: all are */
	bool connected, denied;			/* in this connection */
	int64_t request_us, settle_us, drop_us; /* when each is due */
};

static void free_servers(struct servers *servers)
{
	mqtt_session_destroy(servers->session);
	trust_close(servers->trust);
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
	char clean[sizeof servers->state];
	bool same;

	/* A reason may quote the broker, or a certificate. */
	text_clean(clean, sizeof clean, state);
	pthread_mutex_lock(&servers->mutex);
	same = strcmp(servers->state, clean) == 0;
	memcpy(servers->state, clean, sizeof clean);
	pthread_mutex_unlock(&servers->mutex);
	if (!same)
		wake(servers->changed_fd);
}

static void tell_settled(struct servers *servers)
{
	pthread_mutex_lock(&servers->mutex);
	servers->facts.settled = true;
	pthread_mutex_unlock(&servers->mutex);
	servers->settle_us = INT64_MAX;
	servers->drop_us = clock_now_us() + DROP_AFTER_US;
	wake(servers->changed_fd);
}

/* --- what the broker sends --- */

static void handle_connected(void *user)
{
	struct servers *servers = user;
	char text[300];

	pthread_mutex_lock(&servers->mutex);
	directory_unconfirm(&servers->directory);
	servers->facts.failures = 0;
	pthread_mutex_unlock(&servers->mutex);
	snprintf(text, sizeof text, "connected to %s", servers->broker);
	tell_state(servers, text);
	mqtt_session_subscribe(servers->session, "camcast/+/status", true);
	mqtt_session_subscribe(servers->session, "camcast/+/info", true);
	mqtt_session_subscribe(servers->session, servers->reply_topic, false);
	for (size_t i = 0; i < servers->n_rec_topics; i++)
		mqtt_session_subscribe(servers->session, servers->rec_topics[i], false);
	/* A message to ourselves: brokers send retained messages at the subscription, and in
	 * order, so that when it comes back we have heard of everybody. */
	mqtt_session_publish(servers->session, servers->reply_topic, "", NULL, 0);
	servers->connected = true;
	servers->denied = false;
	servers->request_us = 0;
	servers->settle_us = clock_now_us() + SETTLE_TIMEOUT_US;
	servers->drop_us = INT64_MAX;
}

static void handle_denied(void *user, const char *topic, const char *what)
{
	struct servers *servers = user;
	char text[400];

	(void)what;
	/* The first one names the cause well enough. */
	if (servers->denied)
		return;
	servers->denied = true;
	snprintf(text, sizeof text, "connected to %s, which forbids us %s", servers->broker,
		 strncmp(topic, "camcast/", 8) == 0	    ? "camcast/+/info and camcast/+/status"
		 : strcmp(topic, servers->reply_topic) == 0 ? "answers on camera/response/+"
							    : topic);
	tell_state(servers, text);
}

static void handle_disconnected(void *user, const char *why, bool no_fds)
{
	struct servers *servers = user;
	char text[400];

	(void)no_fds;
	pthread_mutex_lock(&servers->mutex);
	servers->facts.failures += !servers->connected;
	pthread_mutex_unlock(&servers->mutex);
	servers->connected = false;
	snprintf(text, sizeof text, "%s: %s", servers->broker, why);
	tell_state(servers, text);
}

/* Called with the mutex held; a line is one write, which does not wait for long. */
static void handle_refused(void *user, const struct server *listed, const struct server *claim)
{
	struct servers *servers = user;
	char url[TARGET_URL_MAX] = "no address";
	uint64_t suppressed;

	if (!diag_allowed(&servers->refused_limit, clock_now_us(), LOG_PERIOD_US, &suppressed))
		return;
	if (claim->n_streams > 0)
		target_url(&claim->streams[0], url);
	diag_warn("server %s (%s) is announced at %s, but still answers at its own address: the "
		  "announcement is not followed",
		  listed->name, listed->id, url);
}

static void log_changed(const struct servers *servers, const struct server *server, uint64_t n)
{
	const uint8_t *own = trust_key(servers->trust, server->id);
	char theirs[SIGNED_FINGERPRINT_MAX], key[SIGNED_FINGERPRINT_MAX] = "";

	if (own)
		signed_fingerprint(key, own);
	diag_error("server %s (%s) announces itself with ANOTHER KEY, %s instead of %s: it is "
		   "refused (%llu times so far). If it has a new key, delete its line in the file "
		   "of --trust",
		   server->name, server->id, signed_fingerprint(theirs, server->by.key), key,
		   (unsigned long long)n);
}

/* Called with the mutex held, as the one above. */
static bool handle_info(void *user, const struct server *server)
{
	static const char *const reasons[TRUST_VERDICTS] = {
		[TRUST_UNSIGNED] = "is not signed",
		[TRUST_WRONG] = "has a wrong signature",
		[TRUST_REPLAYED] = "is an earlier one, which was sent again",
		[TRUST_UNKNOWN] = "is none of a trusted server",
		[TRUST_FULL] = "is none of a trusted server, and the file of --trust is full",
	};
	struct servers *servers = user;
	const enum trust_verdict verdict = trust_check(servers->trust, server);
	char key[SIGNED_FINGERPRINT_MAX];
	uint64_t n, suppressed;

	if (verdict == TRUST_NEW)
		diag_info("server %s (%s) is trusted from now on, with the key %s", server->name,
			  server->id, signed_fingerprint(key, server->by.key));
	if (verdict == TRUST_KNOWN || verdict == TRUST_NEW)
		return true;
	n = ++servers->facts.refused[verdict];
	if (!diag_allowed(&servers->untrusted_limits[verdict], clock_now_us(), LOG_PERIOD_US,
			  &suppressed))
		return false;
	if (verdict == TRUST_CHANGED)
		log_changed(servers, server, n);
	else
		diag_warn("server %s (%s) is refused: its announcement %s (%llu such so far)",
			  server->name, server->id, reasons[verdict], (unsigned long long)n);
	return false;
}

static bool is_recording_topic(const struct servers *servers, const char *topic)
{
	for (size_t i = 0; i < servers->n_rec_topics; i++)
		if (strcmp(servers->rec_topics[i], topic) == 0)
			return true;
	return false;
}

static void handle_message(void *user, const struct mqtt_message *message)
{
	struct servers *servers = user;
	const char *payload = message->payload;
	size_t len = message->len;
	bool changed = false;
	int command;

	if (is_recording_topic(servers, message->topic)) {
		/* A retained one is an order of another day. */
		command = message->retained ? 0 : servers_parse_recording(payload, len);
		if (command == 0)
			return;
		pthread_mutex_lock(&servers->mutex);
		servers->facts.recording = command;
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

static const struct mqtt_handlers handlers = {
	.connected = handle_connected,
	.message = handle_message,
	.denied = handle_denied,
	.disconnected = handle_disconnected,
};

/* --- the thread --- */

void servers_request(struct mqtt_session *session, const char *request_topic,
		     const char *reply_topic)
{
	char payload[128];

	snprintf(payload, sizeof payload, "{\"reply_to\": \"%s\", \"format\": \"json\"}",
		 reply_topic);
	mqtt_session_publish(session, request_topic, payload, NULL, 0);
}

/* What is due by the clock, with a connection. */
static void do_timed(struct servers *servers, int64_t now_us)
{
	bool changed;

	if (now_us >= servers->request_us) {
		servers_request(servers->session, servers->request_topic, servers->reply_topic);
		servers->request_us = now_us + REQUEST_PERIOD_US;
	}
	if (now_us >= servers->settle_us)
		tell_settled(servers);
	pthread_mutex_lock(&servers->mutex);
	changed = directory_expire(&servers->directory, now_us - 3 * REQUEST_PERIOD_US);
	changed = directory_let_move(&servers->directory,
				     now_us - SERVERS_MOVE_AFTER_MS * INT64_C(1000)) ||
		  changed;
	if (now_us >= servers->drop_us) {
		changed = directory_drop_unconfirmed(&servers->directory) || changed;
		servers->drop_us = INT64_MAX;
	}
	pthread_mutex_unlock(&servers->mutex);
	if (changed)
		wake(servers->changed_fd);
}

static void *run(void *user)
{
	struct servers *servers = user;
	struct mqtt_session *session = servers->session;

	for (;;) {
		struct pollfd fds[] = {
			{.fd = servers->stop_fd, .events = POLLIN},
			{.fd = mqtt_session_fd(session), .events = mqtt_session_events(session)},
		};
		int wait_ms = mqtt_session_wait_ms(session, clock_now_us());
		int64_t now;

		if (poll(fds, 2, wait_ms < TICK_MS ? wait_ms : TICK_MS) < 0)
			fds[1].revents = 0; /* no memory: nothing is known of them */
		else if (fds[0].revents)
			break;
		now = clock_now_us();
		mqtt_session_turn(session, fds[1].revents, now);
		if (servers->trust)
			trust_turn(servers->trust, now);
		if (mqtt_session_state(session) == MQTT_CONNECTED)
			do_timed(servers, now);
	}
	mqtt_session_close(session, NULL, NULL, 0);
	return NULL;
}

/* --- the owner's side --- */

/* Splits what commas separate. */
static int copy_rec_topics(struct servers *servers, const char *list)
{
	const char *topic;
	size_t len;

	while (mqtt_topic_next(&list, &topic, &len)) {
		if (len == 0)
			continue;
		if (servers->n_rec_topics == REC_TOPICS_MAX ||
		    mqtt_topic_check(topic, len) != MQTT_TOPIC_FINE)
			return -EINVAL;
		servers->rec_topics[servers->n_rec_topics] = strndup(topic, len);
		if (!servers->rec_topics[servers->n_rec_topics])
			return -ENOMEM;
		servers->n_rec_topics++;
	}
	return 0;
}

int servers_choose_reply_topic(char out[SERVERS_REPLY_TOPIC_MAX])
{
	uint64_t id[2];

	if (getrandom(id, sizeof id, 0) != sizeof id)
		return -EIO;
	snprintf(out, SERVERS_REPLY_TOPIC_MAX, "camera/response/camcast-%016llx%016llx",
		 (unsigned long long)id[0], (unsigned long long)id[1]);
	return 0;
}

static const char *text_or_none(const char *text)
{
	return text ? text : "";
}

void servers_mqtt_options(struct mqtt_options *out, const struct servers_options *options)
{
	*out = (struct mqtt_options){
		.host = options->host,
		.port = options->port,
		.client_id = "",
		.keepalive_s = KEEPALIVE_S,
		.username = text_or_none(options->username),
		.password = "",
		.password_file = text_or_none(options->password_file),
		.tls = options->tls,
		.cafile = text_or_none(options->cafile),
		.cert = text_or_none(options->certfile),
		.key = text_or_none(options->keyfile),
		.packet_max = SERVER_INFO_MAX + PACKET_HEAD_MAX,
		.backoff_max_us = BACKOFF_MAX_US,
	};
}

static int take_options(struct servers *servers, const struct servers_options *options)
{
	const char *topic = options->request_topic;
	int err = mqtt_topic_check(topic, strlen(topic)) == MQTT_TOPIC_FINE ? 0 : -EINVAL;
	struct mqtt_options mqtt;

	servers_mqtt_options(&mqtt, options);
	mqtt.handlers = &handlers;
	mqtt.user = servers;
	net_format_host_port(servers->broker, options->host, options->port);
	servers->request_topic = topic;
	err = err ? err : copy_rec_topics(servers, options->rec_topics);
	err = err ? err : servers_choose_reply_topic(servers->reply_topic);
	return err ? err : mqtt_session_create(&servers->session, &mqtt);
}

static int open_trust(struct servers *servers, const struct servers_options *options)
{
	char why[TRUST_WHY_MAX];
	int err;

	if (!options->trust_file)
		return 0;
	err = trust_open(&servers->trust, options->trust_file, options->no_new, why);
	if (err < 0) {
		diag_error("--trust: %s", why);
		return -EBADMSG;
	}
	servers->directory.trusted = handle_info;
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
	servers->directory.refused = handle_refused;
	servers->directory.user = servers;
	err = err ? err : take_options(servers, options);
	err = err ? err : open_trust(servers, options);
	if (err < 0)
		goto fail;
	snprintf(servers->state, sizeof servers->state, "%s: connecting, no answer yet",
		 servers->broker);
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
	if (!servers)
		return;
	wake(servers->stop_fd);
	pthread_join(servers->thread, NULL);
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

	/* Before the copy: a change after this read makes the fd readable again. */
	(void)!read(servers->changed_fd, &count, sizeof count);
	pthread_mutex_lock(&servers->mutex);
	err = directory_copy(&servers->directory, list, n);
	if (state)
		text_set(state, state_size, servers->state);
	pthread_mutex_unlock(&servers->mutex);
	return err;
}

void servers_confirm(struct servers *servers, const char *url)
{
	pthread_mutex_lock(&servers->mutex);
	directory_confirm(&servers->directory, url, clock_now_us());
	pthread_mutex_unlock(&servers->mutex);
}

/* A copy of the facts; take_command: the recording command in it is handed out only once. */
static struct facts read_facts(struct servers *servers, bool take_command)
{
	struct facts facts;

	pthread_mutex_lock(&servers->mutex);
	facts = servers->facts;
	if (take_command)
		servers->facts.recording = 0;
	pthread_mutex_unlock(&servers->mutex);
	return facts;
}

bool servers_settled(struct servers *servers)
{
	return read_facts(servers, false).settled;
}

void servers_refused(struct servers *servers, uint64_t refused[TRUST_VERDICTS])
{
	const struct facts facts = read_facts(servers, false);

	memcpy(refused, facts.refused, sizeof facts.refused);
}

unsigned servers_failures(struct servers *servers)
{
	return read_facts(servers, false).failures;
}

int servers_recording_command(struct servers *servers)
{
	return read_facts(servers, true).recording;
}
