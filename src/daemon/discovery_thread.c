/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/discovery_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/diag.h"
#include "daemon/broker_spawn.h"
#include "daemon/discovery_session.h"

#define BACKOFF_MIN_US 250000
#define BACKOFF_MAX_US 15000000
#define HEALTHY_US 10000000  /* connected for so long: the next failure counts as the first */
#define SPAWN_RETRY_US 50000 /* our own broker listens a moment after its start */
#define ADDRESS_PERIOD_US 2000000
#define STATE_PERIOD_US 10000000 /* of fps and bitrate for Home Assistant */
#define STATUS_PERIOD_US 100000	 /* counters reach the loop at most so often */
#define LOG_PERIOD_US 30000000
#define LOST_SOON_MAX 2 /* in a row; more are not by chance */
#define TICK_MS 1000	/* keepalive */
#define CLOSE_MS 500
#define REPLIES_MAX 64
#define PASSWORD_MAX 1024
#define TOPIC_MAX 128
/* The broker of our own is no more urgent either: both make room for the video. */
#define NICENESS 5

struct reply {
	struct request request;
	unsigned char correlation[REQUEST_CORRELATION_MAX];
	size_t correlation_len;
};

struct agent {
	const struct config *config;
	const char *id;
	const uint16_t *ports;
	struct discovery_crossing *crossing;
	char client_id[CONFIG_MQTT_ID_MAX + 16];
	char info_topic[TOPIC_MAX], status_topic[TOPIC_MAX], state_topic[TOPIC_MAX];

	struct discovery_session *session; /* NULL: none */
	struct broker_spawn *broker;	   /* NULL: it is somebody else's */
	uint16_t port;
	bool v5;	/* for the next attempt */
	bool only_ipv4; /* the same */
	int64_t connected_us, retry_us, backoff_us;
	unsigned lost_soon; /* connections lost soon, in a row */
	uint64_t random;
	char first_why[SESSION_WHY_MAX]; /* of the attempt before only_ipv4 */
	char logged[SESSION_WHY_MAX];	 /* the reason that was told last */
	struct diag_limit log_limit;

	struct discovery_snapshot *snapshot; /* NULL: none yet */
	struct address_list told;
	int64_t addresses_us;
	char *info; /* as announced last; NULL: not yet */
	struct discovery_snapshot *announced_state;
	int64_t state_us;
	bool news;	 /* something that the info is made of may have changed */
	char **entities; /* topics of Home Assistant's messages, of this session */
	size_t n_entities;

	struct request_limits limits, command_limits;
	struct reply replies[REPLIES_MAX]; /* a ring */
	unsigned first_reply, n_replies;

	struct discovery_status status;
	bool changed; /* status is not posted yet */
	int64_t posted_us;
};

/* --- to the loop thread --- */

static void post_status(struct agent *agent, int64_t now_us)
{
	struct discovery_status *copy;

	if (!agent->changed || now_us - agent->posted_us < STATUS_PERIOD_US)
		return;
	copy = malloc(sizeof *copy);
	if (!copy)
		return;
	if (agent->broker) {
		agent->status.broker_pid = broker_spawn_pid(agent->broker);
		agent->status.broker_restarts = broker_spawn_restarts(agent->broker);
	}
	*copy = agent->status;
	free(atomic_exchange_explicit(&agent->crossing->status, copy, memory_order_acq_rel));
	agent->changed = false;
	agent->posted_us = now_us;
}

static void set_state(struct agent *agent, enum discovery_state state, const char *reason)
{
	agent->status.state = state;
	snprintf(agent->status.reason, sizeof agent->status.reason, "%s", reason);
	agent->changed = true;
	agent->posted_us = 0; /* at once */
}

/* False if the loop does not take any now. */
static bool command(struct agent *agent, enum discovery_command_kind kind, unsigned index,
		    uint32_t bitrate_bps)
{
	struct discovery_command message = {kind, index, bitrate_bps};

	return write(agent->crossing->command_in, &message, sizeof message) == sizeof message;
}

/* --- requests and commands --- */

static void queue_reply(struct agent *agent, const struct request *request,
			const struct session_message *message)
{
	struct reply *reply;

	if (agent->n_replies == REPLIES_MAX) {
		agent->status.limited_busy++;
		return;
	}
	reply = &agent->replies[(agent->first_reply + agent->n_replies++) % REPLIES_MAX];
	reply->request = *request;
	reply->correlation_len = message->correlation ? message->correlation_len : 0;
	if (reply->correlation_len > 0)
		memcpy(reply->correlation, message->correlation, reply->correlation_len);
}

static void handle_request(struct agent *agent, const struct request_message *checked,
			   const struct session_message *message)
{
	struct request request;
	int refusal = request_parse(&request, &agent->config->mqtt, checked);

	agent->status.requests++;
	if (refusal >= 0) {
		agent->status.refused[refusal]++;
		return;
	}
	switch (request_limits_take(&agent->limits, request.topic, clock_now_us())) {
	case REQUEST_GRANTED:
		queue_reply(agent, &request, message);
		break;
	case REQUEST_LIMITED_TOPIC:
		agent->status.limited_topic++;
		break;
	case REQUEST_LIMITED_TOTAL:
		agent->status.limited_total++;
		break;
	}
}

static void handle_command(struct agent *agent, const struct request_message *message)
{
	struct command asked = command_parse(agent->config, agent->id, message);
	bool taken = false;

	if (asked.kind != COMMAND_NONE &&
	    request_limits_take(&agent->command_limits, message->topic, clock_now_us()) ==
		    REQUEST_GRANTED)
		taken = asked.kind == COMMAND_RESTART
				? command(agent, DISCOVERY_RESTART, asked.index, 0)
				: command(agent, DISCOVERY_BITRATE, asked.index, asked.bitrate_bps);
	if (taken)
		agent->status.commands++;
	else
		agent->status.commands_refused++;
}

/* What a camera or stream that is configured no more has left in Home Assistant is taken away. */
static void handle_entity(struct agent *agent, const struct session_message *message)
{
	if (!message->retained || message->len == 0)
		return;
	for (size_t i = 0; i < agent->n_entities; i++)
		if (strcmp(agent->entities[i], message->topic) == 0)
			return;
	session_announce(agent->session, message->topic, "");
}

static bool is_request_topic(const struct config_mqtt *config, const char *topic)
{
	const char *list = config->request_topic;
	char own[CONFIG_TOPIC_MAX];

	while (config_next_topic(&list, own))
		if (strcmp(own, topic) == 0)
			return true;
	return false;
}

static void handle_message(void *user, const struct session_message *message)
{
	struct agent *agent = user;
	const struct config_mqtt *config = &agent->config->mqtt;
	struct request_message checked = {
		.topic = message->topic,
		.payload = message->payload,
		.len = message->len,
		.retained = message->retained,
		.response_topic = message->response_topic,
		.correlation_len = message->correlation_len,
	};
	size_t prefix = strlen(config->home_assistant_prefix);

	agent->changed = true;
	if (is_request_topic(config, message->topic))
		handle_request(agent, &checked, message);
	else if (config->home_assistant &&
		 strncmp(message->topic, config->home_assistant_prefix, prefix) == 0)
		handle_entity(agent, message);
	else
		handle_command(agent, &checked);
}

static void handle_denied(void *user, const char *what)
{
	struct agent *agent = user;

	if (strcmp(agent->status.reason, what) == 0)
		return;
	diag_warn("mqtt: %s", what);
	set_state(agent, agent->status.state, what);
}

/* --- what we say --- */

static struct discovery_info describe(const struct agent *agent)
{
	return (struct discovery_info){
		.config = agent->config,
		.id = agent->id,
		.ports = agent->ports,
		.snapshot = agent->snapshot,
		.addresses = &agent->told,
	};
}

static void refresh_addresses(struct agent *agent, int64_t now_us)
{
	struct address_list found, told;

	agent->addresses_us = now_us + ADDRESS_PERIOD_US;
	address_find(&found, session_fd(agent->session));
	discovery_choose_addresses(&told, agent->config, &found);
	if (told.n == agent->told.n && memcmp(told.text, agent->told.text, sizeof told.text) == 0)
		return;
	agent->told = told;
	agent->news = true;
	if (strcmp(agent->status.address, discovery_plain_address(&told)) == 0)
		return;
	snprintf(agent->status.address, sizeof agent->status.address, "%s",
		 discovery_plain_address(&told));
	agent->changed = true;
	diag_info("mqtt: clients are told the address %s", agent->status.address);
}

static void announce_info(struct agent *agent)
{
	struct discovery_info info = describe(agent);
	char *text = discovery_info_json(&info);

	agent->news = false;
	if (!text || (agent->info && strcmp(agent->info, text) == 0)) {
		free(text);
		return;
	}
	free(agent->info);
	agent->info = text;
	if (session_announce(agent->session, agent->info_topic, text) == 0)
		agent->status.announcements++;
	agent->changed = true;
}

static void announce_state(struct agent *agent, int64_t now_us)
{
	size_t cameras = agent->config->n_cameras * sizeof *agent->snapshot->cameras;
	size_t streams = agent->config->n_streams * sizeof *agent->snapshot->streams;
	struct discovery_info info = describe(agent);
	char *text;

	if (!agent->snapshot ||
	    (agent->announced_state && now_us < agent->state_us &&
	     !discovery_state_differs(agent->config, agent->snapshot, agent->announced_state)))
		return;
	text = discovery_state_json(&info);
	if (!text)
		return;
	session_announce(agent->session, agent->state_topic, text);
	free(text);
	agent->state_us = now_us + STATE_PERIOD_US;
	if (!agent->announced_state)
		agent->announced_state = discovery_snapshot_create(agent->config);
	if (!agent->announced_state)
		return;
	memcpy(agent->announced_state->cameras, agent->snapshot->cameras, cameras);
	memcpy(agent->announced_state->streams, agent->snapshot->streams, streams);
}

static void announce_entity(void *user, const char *topic, const char *payload)
{
	struct agent *agent = user;
	char **grown = reallocarray(agent->entities, agent->n_entities + 1, sizeof *grown);

	session_announce(agent->session, topic, payload);
	if (!grown)
		return;
	agent->entities = grown;
	grown[agent->n_entities] = strdup(topic);
	if (grown[agent->n_entities])
		agent->n_entities++;
}

static void forget_entities(struct agent *agent)
{
	for (size_t i = 0; i < agent->n_entities; i++)
		free(agent->entities[i]);
	free(agent->entities);
	agent->entities = NULL;
	agent->n_entities = 0;
}

static void begin_home_assistant(struct agent *agent, int64_t now_us)
{
	struct discovery_info info = describe(agent);
	char topic[CONFIG_TOPIC_MAX + TOPIC_MAX];

	forget_entities(agent);
	discovery_home_assistant(&info, announce_entity, agent);
	free(agent->announced_state);
	agent->announced_state = NULL;
	announce_state(agent, now_us);
	snprintf(topic, sizeof topic, "camcast/%s/camera/+/restart", agent->id);
	session_subscribe(agent->session, topic, false);
	snprintf(topic, sizeof topic, "camcast/%s/stream/+/bitrate/set", agent->id);
	session_subscribe(agent->session, topic, false);
	snprintf(topic, sizeof topic, "%s/+/camcast_%s/+/config",
		 agent->config->mqtt.home_assistant_prefix, agent->id);
	session_subscribe(agent->session, topic, true);
}

static void send_replies(struct agent *agent)
{
	while (agent->n_replies > 0 && !session_is_full(agent->session)) {
		struct reply *reply = &agent->replies[agent->first_reply];
		const char *text = reply->request.format == REQUEST_JSON
					   ? agent->info
					   : discovery_plain_address(&agent->told);

		if (text && session_reply(agent->session, reply->request.topic, text,
					  reply->correlation, reply->correlation_len) == 0)
			agent->status.replies++;
		agent->first_reply = (agent->first_reply + 1) % REPLIES_MAX;
		agent->n_replies--;
		agent->changed = true;
	}
}

/* --- connections --- */

static void handle_connected(void *user)
{
	struct agent *agent = user;
	const struct config_mqtt *config = &agent->config->mqtt;
	const char *list = config->request_topic;
	char topic[CONFIG_TOPIC_MAX];
	int64_t now = clock_now_us();

	agent->connected_us = now;
	agent->status.connects++;
	agent->status.version = agent->v5 ? 5 : 3;
	set_state(agent, DISCOVERY_CONNECTED, "");
	/* Who has not read of its loss need not read of its return. */
	if (agent->status.connects == 1 || agent->logged[0])
		diag_info("mqtt: connected to %s:%u (MQTT %s)",
			  agent->broker ? broker_spawn_host(config) : config->broker, agent->port,
			  agent->v5 ? "5" : "3.1.1");
	agent->logged[0] = '\0';
	agent->told.n = 0;
	refresh_addresses(agent, now);
	free(agent->info);
	agent->info = NULL;
	announce_info(agent);
	/* After the info: who sees a server come online can read what it is. */
	session_announce(agent->session, agent->status_topic, "online");
	while (config_next_topic(&list, topic))
		session_subscribe(agent->session, topic, false);
	if (config->home_assistant)
		begin_home_assistant(agent, now);
}

static const struct session_handlers handlers = {
	.connected = handle_connected,
	.message = handle_message,
	.denied = handle_denied,
};

/* The first line of password_file. 0 or -errno. */
static int read_password(const char *path, char password[PASSWORD_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	n = read(fd, password, PASSWORD_MAX - 1);
	err = n < 0 ? -errno : 0;
	close(fd);
	password[n > 0 ? n : 0] = '\0';
	password[strcspn(password, "\r\n")] = '\0';
	return err;
}

static void wait_for_retry(struct agent *agent, const char *why, int64_t now_us)
{
	const struct config_mqtt *config = &agent->config->mqtt;
	uint64_t suppressed;
	int64_t wait;

	/* Many servers lose one broker at the same moment: between three quarters and all. */
	agent->random = agent->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	wait = agent->backoff_us - (int64_t)(agent->random >> 33) % (agent->backoff_us / 4);
	agent->retry_us = now_us + wait;
	agent->status.retry_at_us = agent->retry_us;
	agent->backoff_us *= 2;
	if (agent->backoff_us > BACKOFF_MAX_US)
		agent->backoff_us = BACKOFF_MAX_US;
	agent->n_replies = 0;
	set_state(agent, DISCOVERY_WAITING, why);
	if (strcmp(agent->logged, why) == 0 ||
	    !diag_allowed(&agent->log_limit, now_us, LOG_PERIOD_US, &suppressed))
		return;
	snprintf(agent->logged, sizeof agent->logged, "%s", why);
	diag_warn("mqtt: broker %s:%u: %s; tried again until it works, the video does not need it",
		  agent->broker ? broker_spawn_host(config) : config->broker, agent->port, why);
}

static void start_session(struct agent *agent, int64_t now_us)
{
	const struct config_mqtt *config = &agent->config->mqtt;
	char why[SESSION_WHY_MAX], password[PASSWORD_MAX] = "";
	struct session_options options = {
		.host = agent->broker ? broker_spawn_host(config) : config->broker,
		.port = agent->port,
		.client_id = agent->client_id,
		.v5 = agent->v5,
		.keepalive_s = config->keepalive,
		.username = config->username,
		.password = config->password,
		.tls = config->tls,
		.cafile = config->cafile,
		.cert = config->cert,
		.key = config->key,
		.will_topic = agent->status_topic,
		.will_payload = "offline",
		.handlers = &handlers,
		.user = agent,
	};
	int err = 0;

	options.family = agent->only_ipv4 ? AF_INET : address_family(options.host);
	if (config->password_file[0]) {
		err = read_password(config->password_file, password);
		options.password = password;
		if (err < 0)
			snprintf(why, sizeof why, "password_file: %s", strerror(-err));
	}
	if (err == 0)
		err = session_open(&agent->session, &options, why);
	explicit_bzero(password, sizeof password);
	/* The resolver may have taken long: the configuration may be gone (discovery_destroy). */
	if (atomic_load_explicit(&agent->crossing->stop, memory_order_acquire))
		return;
	if (err == 0) {
		set_state(agent, DISCOVERY_CONNECTING, "");
		return;
	}
	if (err == -EMFILE || err == -ENFILE)
		command(agent, DISCOVERY_NO_FDS, 0, 0);
	wait_for_retry(agent, agent->only_ipv4 ? agent->first_why : why, now_us);
	agent->only_ipv4 = false;
}

static void handle_end(struct agent *agent, int end, int64_t now_us)
{
	bool was_connected = session_connected(agent->session);
	char why[SESSION_WHY_MAX];

	snprintf(why, sizeof why, "%s", session_why(agent->session));
	agent->lost_soon = was_connected && now_us - agent->connected_us < HEALTHY_US
				   ? agent->lost_soon + 1
				   : 0;
	if (agent->lost_soon > LOST_SOON_MAX)
		snprintf(why, sizeof why,
			 "the broker lets us in and then closes; perhaps another client has the "
			 "id %s",
			 agent->client_id);
	session_destroy(agent->session);
	agent->session = NULL;
	if (was_connected && now_us - agent->connected_us >= HEALTHY_US)
		agent->backoff_us = BACKOFF_MIN_US;
	if (end == SESSION_OTHER_FAMILY) {
		agent->only_ipv4 = true;
		snprintf(agent->first_why, sizeof agent->first_why, "%s", why);
		agent->retry_us = now_us;
		return;
	}
	if (end == SESSION_NOT_V5 && agent->config->mqtt.version == CONFIG_MQTT_AUTO) {
		agent->v5 = false;
		agent->retry_us = now_us;
		return;
	}
	agent->only_ipv4 = false;
	if (!was_connected)
		agent->v5 = agent->config->mqtt.version != CONFIG_MQTT_311;
	wait_for_retry(agent,
		       agent->broker && broker_spawn_pid(agent->broker) == 0
			       ? broker_spawn_why(agent->broker)
			       : why,
		       now_us);
}

/* --- the thread --- */

static void take_snapshot(struct agent *agent)
{
	struct discovery_snapshot *snapshot =
		atomic_exchange_explicit(&agent->crossing->snapshot, NULL, memory_order_acq_rel);

	if (!snapshot)
		return;
	free(agent->snapshot);
	agent->snapshot = snapshot;
	agent->news = true;
}

static int shorter(int a, int b)
{
	return b >= 0 && b < a ? b : a;
}

static int until_ms(int64_t at_us, int64_t now_us)
{
	return at_us <= now_us ? 0 : (int)((at_us - now_us + 999) / 1000);
}

static int wait_ms(const struct agent *agent, int64_t now_us)
{
	int ms = TICK_MS;

	if (!agent->session)
		ms = shorter(ms, until_ms(agent->retry_us, now_us));
	if (agent->broker)
		ms = shorter(ms, broker_spawn_wait_ms(agent->broker, now_us));
	if (agent->changed)
		ms = shorter(ms, until_ms(agent->posted_us + STATUS_PERIOD_US, now_us));
	return ms;
}

static void turn_broker(struct agent *agent, int64_t now_us)
{
	pid_t before = broker_spawn_pid(agent->broker);

	if (broker_spawn_turn(agent->broker, now_us)) {
		agent->backoff_us = SPAWN_RETRY_US;
		if (!agent->session)
			agent->retry_us = now_us + SPAWN_RETRY_US;
	}
	if (broker_spawn_pid(agent->broker) == before)
		return;
	agent->changed = true;
	agent->posted_us = 0;
}

static void turn_session(struct agent *agent, short revents, int64_t now_us)
{
	int end;

	if (!agent->session) {
		if (now_us >= agent->retry_us)
			start_session(agent, now_us);
		return;
	}
	end = session_turn(agent->session, revents, now_us);
	if (end != 0) {
		handle_end(agent, end, now_us);
		return;
	}
	if (!session_connected(agent->session))
		return;
	if (now_us >= agent->addresses_us)
		refresh_addresses(agent, now_us);
	if (agent->news)
		announce_info(agent);
	if (agent->config->mqtt.home_assistant)
		announce_state(agent, now_us);
	send_replies(agent);
}

static void run(struct agent *agent)
{
	struct discovery_crossing *crossing = agent->crossing;

	while (!atomic_load_explicit(&crossing->stop, memory_order_acquire)) {
		/* poll() leaves out what is negative. */
		struct pollfd pfds[] = {
			{.fd = crossing->wake, .events = POLLIN},
			{.fd = agent->session ? session_fd(agent->session) : -1,
			 .events = agent->session ? session_events(agent->session) : 0},
			{.fd = agent->broker ? broker_spawn_pidfd(agent->broker) : -1,
			 .events = POLLIN},
		};
		uint64_t count;
		int64_t now;

		if (poll(pfds, sizeof pfds / sizeof *pfds, wait_ms(agent, clock_now_us())) < 0 &&
		    errno != EINTR)
			diag_error("mqtt: poll: %m");
		if (pfds[0].revents)
			(void)!read(crossing->wake, &count, sizeof count);
		if (atomic_load_explicit(&crossing->stop, memory_order_acquire))
			break;
		now = clock_now_us();
		take_snapshot(agent);
		if (agent->broker)
			turn_broker(agent, now);
		turn_session(agent, pfds[1].revents, now);
		post_status(agent, now);
	}
}

static void set_up(struct agent *agent)
{
	const struct config_mqtt *config = &agent->config->mqtt;
	uint64_t seeds[3] = {(uint64_t)clock_now_us()};

	(void)!getrandom(seeds, sizeof seeds, GRND_NONBLOCK);
	request_limits_init(&agent->limits, seeds[0]);
	request_limits_init(&agent->command_limits, seeds[1]);
	agent->random = seeds[2];
	agent->backoff_us = BACKOFF_MIN_US;
	agent->v5 = config->version != CONFIG_MQTT_311;
	agent->port = (uint16_t)(config->port ? config->port : config->tls ? 8883 : 1883);
	snprintf(agent->client_id, sizeof agent->client_id, "%s%s",
		 config->client_id[0] ? "" : "camcast-",
		 config->client_id[0] ? config->client_id : agent->id);
	snprintf(agent->info_topic, TOPIC_MAX, "camcast/%s/info", agent->id);
	snprintf(agent->status_topic, TOPIC_MAX, "camcast/%s/status", agent->id);
	snprintf(agent->state_topic, TOPIC_MAX, "camcast/%s/state", agent->id);
	if (config_mqtt_spawns(config) &&
	    broker_spawn_create(&agent->broker, config, agent->port) < 0)
		diag_error("mqtt: no memory for a broker of our own");
	if (agent->broker) /* it is not there yet */
		agent->retry_us = clock_now_us() + SPAWN_RETRY_US;
}

/* Without a look at the configuration, which may be gone. */
static void tear_down(struct agent *agent)
{
	if (agent->session)
		session_close(agent->session, agent->status_topic, "offline", CLOSE_MS);
	session_destroy(agent->session);
	broker_spawn_destroy(agent->broker);
	forget_entities(agent);
	free(agent->announced_state);
	free(agent->snapshot);
	free(agent->info);
}

void *discovery_thread_run(void *user)
{
	const struct discovery_thread_options *options = user;
	struct discovery_crossing *crossing = options->crossing;
	struct agent *agent = calloc(1, sizeof *agent);
	uint64_t one = 1;

	pthread_setname_np(pthread_self(), "discovery");
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
	if (agent) {
		agent->config = options->config;
		agent->id = options->id;
		agent->ports = options->ports;
		agent->crossing = crossing;
		set_up(agent);
		run(agent);
		tear_down(agent);
		free(agent);
	} else {
		diag_error("mqtt: no memory: no discovery");
	}
	(void)!write(crossing->ended, &one, sizeof one);
	return NULL;
}
