/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/discovery/thread.h"

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

#include "base/clock.h"
#include "base/diag.h"
#include "daemon/discovery/broker_spawn.h"
#include "daemon/discovery/talk.h"

#define BACKOFF_MIN_US 250000
#define BACKOFF_MAX_US 15000000
#define HEALTHY_US 10000000	/* connected for so long: the next failure counts as the first */
#define SPAWN_RETRY_US 50000	/* our own broker listens a moment after its start */
#define STATUS_PERIOD_US 100000 /* counters reach the loop at most so often */
#define LOG_PERIOD_US 30000000
#define LOST_SOON_MAX 2 /* in a row; more are not by chance */
#define TICK_MS 1000	/* keepalive */
#define CLOSE_MS 500
#define PASSWORD_MAX 1024
/* The broker of our own is no more urgent either: both make room for the video. */
#define NICENESS 5

struct agent {
	const struct config *config;
	struct discovery_crossing *crossing;
	char client_id[CONFIG_MQTT_ID_MAX + 16];

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
	const struct config_mqtt *config = &agent->config->mqtt;
	int64_t now = clock_now_us();

	agent->connected_us = now;
	agent->status.connects++;
	agent->status.version = agent->v5 ? 5 : 3;
	/* Who has not read of its loss need not read of its return. */
	if (agent->status.connects == 1 || agent->logged[0])
		diag_info("mqtt: connected to %s:%u (MQTT %s)",
			  agent->broker ? broker_spawn_host(config) : config->broker, agent->port,
			  agent->v5 ? "5" : "3.1.1");
	agent->logged[0] = '\0';
	discovery_talk_begin(agent->talk, agent->session, now);
}

static void handle_message(void *user, const struct session_message *message)
{
	struct agent *agent = user;

	discovery_talk_hear(agent->talk, message);
}

static void handle_denied(void *user, const char *what)
{
	struct agent *agent = user;

	/* The first one of a connection names the cause well enough. */
	if (agent->status.reason[0])
		return;
	diag_warn("mqtt: %s", what);
	set_state(agent, agent->status.state, what);
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
	discovery_talk_end(agent->talk);
	set_state(agent, DISCOVERY_WAITING, why);
	if (strcmp(agent->logged, why) == 0 ||
	    !diag_allowed(&agent->log_limit, now_us, LOG_PERIOD_US, &suppressed))
		return;
	snprintf(agent->logged, sizeof agent->logged, "%s", why);
	diag_warn("mqtt: broker %s:%u: %s; tried again until it works, the video does not need it",
		  agent->broker ? broker_spawn_host(config) : config->broker, agent->port, why);
}

/* A name's addresses of IPv6 come first. */
static void try_only_ipv4(struct agent *agent, const char *why, int64_t now_us)
{
	agent->only_ipv4 = true;
	snprintf(agent->first_why, sizeof agent->first_why, "%s", why);
	agent->retry_us = now_us;
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
		.will_topic = discovery_talk_status_topic(agent->talk),
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
	if (err == SESSION_OTHER_FAMILY) {
		try_only_ipv4(agent, why, now_us);
		return;
	}
	if (err == -EMFILE || err == -ENFILE)
		ask_for_fds(agent);
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
		try_only_ipv4(agent, why, now_us);
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
	/* Connected all the same: to somebody else's broker on that port. */
	if (agent->session && session_connected(agent->session) && before != 0)
		set_state(agent, agent->status.state, broker_spawn_why(agent->broker));
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
	if (agent->status.state == DISCOVERY_CONNECTING && session_hears(agent->session))
		set_state(agent, DISCOVERY_CONNECTED, agent->status.reason);
	discovery_talk_turn(agent->talk, agent->session, now_us);
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
		if (discovery_talk_changed(agent->talk))
			agent->changed = true;
		post_status(agent, now);
	}
}

static int set_up(struct agent *agent, const struct discovery_thread_options *options)
{
	const struct config_mqtt *config = &options->config->mqtt;
	struct discovery_talk_options talk = {
		.config = options->config,
		.id = options->id,
		.ports = options->ports,
		.command_fd = options->crossing->command_in,
		.status = &agent->status,
	};

	agent->config = options->config;
	agent->crossing = options->crossing;
	(void)!getrandom(&agent->random, sizeof agent->random, GRND_NONBLOCK);
	agent->backoff_us = BACKOFF_MIN_US;
	agent->v5 = config->version != CONFIG_MQTT_311;
	agent->port = (uint16_t)(config->port ? config->port : config->tls ? 8883 : 1883);
	snprintf(agent->client_id, sizeof agent->client_id, "%s%s",
		 config->client_id[0] ? "" : "camcast-",
		 config->client_id[0] ? config->client_id : options->id);
	agent->talk = discovery_talk_create(&talk);
	if (!agent->talk)
		return -ENOMEM;
	if (!config_mqtt_spawns(config))
		return 0;
	agent->retry_us = clock_now_us() + SPAWN_RETRY_US; /* it is not there yet */
	return broker_spawn_create(&agent->broker, config, agent->port);
}

/* Without a look at the configuration, which may be gone. */
static void tear_down(struct agent *agent)
{
	if (agent->session)
		session_close(agent->session, discovery_talk_status_topic(agent->talk), "offline",
			      CLOSE_MS);
	session_destroy(agent->session);
	broker_spawn_destroy(agent->broker);
	discovery_talk_destroy(agent->talk);
}

void *discovery_thread_run(void *user)
{
	const struct discovery_thread_options *options = user;
	struct discovery_crossing *crossing = options->crossing;
	struct agent *agent = calloc(1, sizeof *agent);
	uint64_t one = 1;

	pthread_setname_np(pthread_self(), "discovery");
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
	if (agent && set_up(agent, options) == 0)
		run(agent);
	else
		diag_error("mqtt: no memory: no discovery");
	if (agent)
		tear_down(agent);
	free(agent);
	(void)!write(crossing->ended, &one, sizeof one);
	return NULL;
}
