/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/discovery/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "daemon/discovery/broker_spawn.h"
#include "daemon/discovery/talk.h"
#include "mqtt/session.h"
#include "net/address.h"

#define BACKOFF_MAX_US 15000000
#define SPAWN_RETRY_US 50000	/* our own broker listens a moment after its start */
#define STATUS_PERIOD_US 100000 /* counters reach the loop at most so often */
#define LOG_PERIOD_US 30000000
#define CLOSE_MS 500
/* Of a packet that the broker sends us. A request has some kilobytes at most; our own messages to
 * Home Assistant, which we read at a start, have two. */
#define PACKET_MAX (32u << 10)
/* The broker of our own is no more urgent either: both make room for the video. */
#define NICENESS 5

struct agent {
	const struct config *config;
	struct discovery_crossing *crossing;
	struct identity identity;
	char client_id[CONFIG_MQTT_ID_MAX + 16];

	struct mqtt_session *session;
	struct broker_spawn *broker; /* NULL: it is somebody else's */
	uint16_t port;
	char where[NET_HOST_PORT_MAX]; /* the broker's host and port */
	char logged[MQTT_REASON_MAX];  /* the reason that was logged last */
	bool loss_logged;	       /* of this connection */
	struct diag_limit log_limit;   /* of the same reason again */

	struct discovery_talk *talk;
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
	if (reason != agent->status.reason)
		snprintf(agent->status.reason, sizeof agent->status.reason, "%s", reason);
	agent->changed = true;
	agent->posted_us = 0; /* at once */
}

static void ask_for_fds(struct agent *agent)
{
	struct discovery_command command = {.kind = DISCOVERY_NO_FDS};

	(void)!write(agent->crossing->command_in, &command, sizeof command);
}

/* --- connections --- */

static void handle_connected(void *user)
{
	struct agent *agent = user;
	int64_t now = clock_now_us();
	bool v5 = mqtt_session_version(agent->session) == MQTT_5;

	agent->status.connects++;
	agent->status.version = v5 ? 5 : 3;
	/* Log the reconnection only if the loss was logged. */
	if (agent->status.connects == 1 || agent->loss_logged)
		diag_info("mqtt: connected to %s (MQTT %s)", agent->where, v5 ? "5" : "3.1.1");
	agent->loss_logged = false;
	discovery_talk_begin(agent->talk, agent->session, now);
}

static void handle_message(void *user, const struct mqtt_message *message)
{
	struct agent *agent = user;

	discovery_talk_hear(agent->talk, message);
}

static void handle_denied(void *user, const char *topic, const char *what)
{
	struct agent *agent = user;

	/* The first one of a connection names the cause well enough. */
	if (agent->status.reason[0] || !discovery_talk_denial_matters(agent->talk, topic))
		return;
	diag_warn("mqtt: %s", what);
	set_state(agent, agent->status.state, what);
}

/* A new reason is logged at once, the same one again every LOG_PERIOD_US if a connection came
 * between. Attempts become rarer, and so do lines whose reasons alternate. */
static bool is_worth_a_line(struct agent *agent, const char *why)
{
	const bool same = strcmp(agent->logged, why) == 0;
	uint64_t suppressed;

	if (same && agent->loss_logged)
		return false;
	return diag_allowed(&agent->log_limit, clock_now_us(), LOG_PERIOD_US, &suppressed) || !same;
}

static void handle_disconnected(void *user, const char *why, bool no_fds)
{
	struct agent *agent = user;

	if (no_fds)
		ask_for_fds(agent);
	if (agent->broker && broker_spawn_pid(agent->broker) == 0)
		why = broker_spawn_why(agent->broker);
	agent->status.retry_at_us = mqtt_session_retry_at_us(agent->session);
	discovery_talk_end(agent->talk);
	set_state(agent, DISCOVERY_WAITING, why);
	if (!is_worth_a_line(agent, why))
		return;
	snprintf(agent->logged, sizeof agent->logged, "%s", why);
	agent->loss_logged = true;
	diag_warn("mqtt: broker %s: %s; camcastd keeps trying, and the video does not need it",
		  agent->where, why);
}

static const struct mqtt_handlers handlers = {
	.connected = handle_connected,
	.message = handle_message,
	.denied = handle_denied,
	.disconnected = handle_disconnected,
};

/* --- the thread --- */

static void take_snapshot(struct agent *agent)
{
	struct discovery_snapshot *snapshot =
		atomic_exchange_explicit(&agent->crossing->snapshot, NULL, memory_order_acq_rel);

	if (snapshot)
		discovery_talk_update(agent->talk, snapshot);
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
	int ms = mqtt_session_wait_ms(agent->session, now_us);

	if (agent->broker)
		ms = shorter(ms, broker_spawn_wait_ms(agent->broker, now_us));
	if (agent->changed)
		ms = shorter(ms, until_ms(agent->posted_us + STATUS_PERIOD_US, now_us));
	return ms;
}

static void turn_broker(struct agent *agent, int64_t now_us)
{
	pid_t before = broker_spawn_pid(agent->broker);

	if (broker_spawn_turn(agent->broker, now_us))
		mqtt_session_retry_in(agent->session, SPAWN_RETRY_US, now_us);
	if (broker_spawn_pid(agent->broker) == before)
		return;
	/* Connected nevertheless: to another broker on that port. */
	if (mqtt_session_state(agent->session) == MQTT_CONNECTED && before != 0)
		set_state(agent, agent->status.state, broker_spawn_why(agent->broker));
	agent->changed = true;
	agent->posted_us = 0;
}

static void turn_session(struct agent *agent, short revents, int64_t now_us)
{
	mqtt_session_turn(agent->session, revents, now_us);
	switch (mqtt_session_state(agent->session)) {
	case MQTT_WAITING:
		break;
	case MQTT_CONNECTING:
		if (agent->status.state == DISCOVERY_WAITING)
			set_state(agent, DISCOVERY_CONNECTING, "");
		break;
	case MQTT_CONNECTED:
		if (agent->status.state != DISCOVERY_CONNECTED &&
		    mqtt_session_is_subscribed(agent->session))
			set_state(agent, DISCOVERY_CONNECTED, agent->status.reason);
		discovery_talk_turn(agent->talk, agent->session, now_us);
		break;
	}
}

static void run(struct agent *agent)
{
	struct discovery_crossing *crossing = agent->crossing;

	while (!atomic_load_explicit(&crossing->stop, memory_order_acquire)) {
		/* poll() leaves out what is negative. */
		struct pollfd pfds[] = {
			{.fd = crossing->wake, .events = POLLIN},
			{.fd = mqtt_session_fd(agent->session),
			 .events = mqtt_session_events(agent->session)},
			{.fd = agent->broker ? broker_spawn_fd(agent->broker) : -1,
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
		if (discovery_talk_changed(agent->talk))
			agent->changed = true;
		post_status(agent, now);
	}
}

/* Without a key, discovery works as ever for all clients that do not ask for signatures. On this
 * thread, as it waits for the disk and for other camcastd. */
static void open_identity(struct agent *agent, const char *folder)
{
	struct discovery_crossing *crossing = agent->crossing;
	char why[IDENTITY_WHY_MAX];

	if (!folder[0])
		return;
	if (identity_open(&agent->identity, folder, why) < 0) {
		diag_warn("mqtt: announcements are not signed: %s", why);
		return;
	}
	signed_fingerprint(crossing->fingerprint, signer_key(agent->identity.signer));
	atomic_store_explicit(&crossing->is_signed, true, memory_order_release);
}

static int create_session(struct agent *agent)
{
	static const enum mqtt_version versions[] = {
		[CONFIG_MQTT_AUTO] = MQTT_AUTO,
		[CONFIG_MQTT_5] = MQTT_5,
		[CONFIG_MQTT_311] = MQTT_311,
	};
	const struct config_mqtt *config = &agent->config->mqtt;
	struct mqtt_options options = {
		.host = config_mqtt_spawns(config) ? broker_spawn_host(config) : config->broker,
		.port = agent->port,
		.version = versions[config->version],
		.client_id = agent->client_id,
		.keepalive_s = config->keepalive,
		.username = config->username,
		.password = config->password,
		.password_file = config->password_file,
		.tls = config->tls,
		.cafile = config->cafile,
		.cert = config->cert,
		.key = config->key,
		.will_topic = discovery_talk_status_topic(agent->talk),
		.will_payload = "offline",
		.packet_max = PACKET_MAX,
		.backoff_max_us = BACKOFF_MAX_US,
		.handlers = &handlers,
		.user = agent,
	};

	net_format_host_port(agent->where, options.host, options.port);
	return mqtt_session_create(&agent->session, &options);
}

static int set_up(struct agent *agent, const struct discovery_thread_options *options)
{
	const struct config_mqtt *config = &options->config->mqtt;
	struct discovery_talk_options talk = {
		.config = options->config,
		.id = options->id,
		.ports = options->ports,
		.identity = &agent->identity,
		.command_fd = options->crossing->command_in,
		.status = &agent->status,
	};
	int err;

	agent->config = options->config;
	agent->crossing = options->crossing;
	open_identity(agent, options->state_folder);
	diag_info("mqtt: id %s, broker %s%s%s", options->id, config->broker,
		  agent->identity.signer ? ", key " : "", agent->crossing->fingerprint);
	agent->port = (uint16_t)(config->port  ? config->port
				 : config->tls ? MQTT_PORT_TLS
					       : MQTT_PORT);
	snprintf(agent->client_id, sizeof agent->client_id, "%s%s",
		 config->client_id[0] ? "" : "camcast-",
		 config->client_id[0] ? config->client_id : options->id);
	agent->talk = discovery_talk_create(&talk);
	if (!agent->talk)
		return -ENOMEM;
	err = create_session(agent);
	if (err < 0 || !config_mqtt_spawns(config))
		return err;
	/* It is not there yet. */
	mqtt_session_retry_in(agent->session, SPAWN_RETRY_US, clock_now_us());
	return broker_spawn_create(&agent->broker, config, agent->port);
}

static void tear_down(struct agent *agent)
{
	if (agent->session)
		mqtt_session_close(agent->session, discovery_talk_status_topic(agent->talk),
				   "offline", CLOSE_MS);
	mqtt_session_destroy(agent->session);
	broker_spawn_destroy(agent->broker);
	discovery_talk_destroy(agent->talk);
	identity_close(&agent->identity);
}

void *discovery_thread_run(void *user)
{
	const struct discovery_thread_options *options = user;
	struct agent *agent = calloc(1, sizeof *agent);

	pthread_setname_np(pthread_self(), "discovery");
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
	if (agent && set_up(agent, options) == 0)
		run(agent);
	else
		diag_error("mqtt: no memory: no discovery");
	if (agent)
		tear_down(agent);
	free(agent);
	atomic_store_explicit(&options->crossing->ended, true, memory_order_release);
	return NULL;
}
