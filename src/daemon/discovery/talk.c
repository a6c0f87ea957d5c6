/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/discovery/talk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "daemon/discovery/thread.h"

#define ADDRESS_PERIOD_US 2000000
#define STATE_PERIOD_US 10000000 /* of fps and bitrate for Home Assistant */
#define LOG_PERIOD_US 60000000
#define REPLIES_MAX 64
#define TOPIC_MAX 128
#define ENTITY_FILTER_MAX (CONFIG_TOPIC_MAX + TOPIC_MAX)
#define STALE_MAX 64 /* the others are removed at the next connection */

struct reply {
	struct request request;
	unsigned char correlation[REQUEST_CORRELATION_MAX];
	size_t correlation_len;
};

struct discovery_talk {
	struct discovery_talk_options options;
	char info_topic[TOPIC_MAX], status_topic[TOPIC_MAX], state_topic[TOPIC_MAX];
	bool changed; /* the status */

	struct discovery_snapshot *snapshot; /* NULL: none yet */
	struct net_host_list told;
	int64_t addresses_us; /* when they are looked for again */
	char *described;      /* the info before it was signed; NULL: not yet */
	char *info;	      /* as announced last; NULL: not yet */
	uint64_t n_signed;    /* since the start */
	struct discovery_snapshot *announced_state;
	int64_t state_us; /* when it is announced again, changed or not */
	bool news;	  /* something that the info is made of may have changed */
	char **entities;  /* topics of Home Assistant's messages */
	size_t n_entities;
	char *stale[STALE_MAX]; /* topics to be removed from Home Assistant */
	unsigned n_stale;
	bool looked; /* for them, in this process */

	struct request_limits limits, command_limits;
	struct diag_limit refusal_limit;
	struct reply replies[REPLIES_MAX]; /* a ring */
	unsigned first_reply, n_replies;
};

/* --- requests and commands --- */

/* Anybody may cause these lines, so there are few of them; the status counts all refusals. */
static void log_refusal(struct discovery_talk *talk, const char *what, const char *topic,
			const char *why)
{
	uint64_t suppressed;

	if (!diag_allowed(&talk->refusal_limit, clock_now_us(), LOG_PERIOD_US, &suppressed))
		return;
	diag_warn("mqtt: a %s on %.*s was refused: %s (%llu others since the last such line)", what,
		  TOPIC_MAX, topic, why, (unsigned long long)suppressed);
}

/* False if the loop does not take any now. */
static bool command(struct discovery_talk *talk, enum discovery_command_kind kind, unsigned index,
		    uint32_t bitrate_bps)
{
	struct discovery_command message = {kind, index, bitrate_bps};

	return write(talk->options.command_fd, &message, sizeof message) == sizeof message;
}

static void queue_reply(struct discovery_talk *talk, const struct request *request,
			const struct mqtt_message *message)
{
	struct reply *reply;

	if (talk->n_replies == REPLIES_MAX) {
		talk->options.status->limited_busy++;
		return;
	}
	reply = &talk->replies[(talk->first_reply + talk->n_replies++) % REPLIES_MAX];
	reply->request = *request;
	reply->correlation_len = message->correlation ? message->correlation_len : 0;
	if (reply->correlation_len > 0)
		memcpy(reply->correlation, message->correlation, reply->correlation_len);
}

static void handle_request(struct discovery_talk *talk, const struct request_message *checked,
			   const struct mqtt_message *message)
{
	struct request request;
	int refusal = request_parse(&request, &talk->options.config->mqtt, checked);

	talk->options.status->requests++;
	if (refusal >= 0) {
		talk->options.status->refused[refusal]++;
		log_refusal(talk, "request", message->topic, request_refusal_words[refusal]);
		return;
	}
	switch (request_limits_take(&talk->limits, request.topic, clock_now_us())) {
	case REQUEST_GRANTED:
		queue_reply(talk, &request, message);
		break;
	case REQUEST_LIMITED_TOPIC:
		talk->options.status->limited_topic++;
		break;
	case REQUEST_LIMITED_TOTAL:
		talk->options.status->limited_total++;
		break;
	}
}

/* Carries out a command. NULL; or the reason why not. */
static const char *try_command(struct discovery_talk *talk, const struct request_message *message)
{
	struct command asked = command_parse(talk->options.config, talk->options.id, message);
	bool taken;

	if (!config_mqtt_takes_commands(&talk->options.config->mqtt))
		return "commands = no";
	if (asked.kind == COMMAND_NONE)
		return "it is no command, or its value is out of range, or it is retained";
	if (request_limits_take(&talk->command_limits, message->topic, clock_now_us()) !=
	    REQUEST_GRANTED)
		return "there are too many commands";
	taken = asked.kind == COMMAND_RESTART
			? command(talk, DISCOVERY_RESTART, asked.index, 0)
			: command(talk, DISCOVERY_BITRATE, asked.index, asked.bitrate_bps);
	return taken ? NULL : "there are too many commands";
}

static void handle_command(struct discovery_talk *talk, const struct request_message *message)
{
	const char *why = try_command(talk, message);

	if (!why) {
		talk->options.status->commands++;
		return;
	}
	talk->options.status->commands_refused++;
	log_refusal(talk, "command", message->topic, why);
}

/* Messages that an earlier configuration left in Home Assistant are noted for removal. */
static void handle_entity(struct discovery_talk *talk, const struct mqtt_message *message)
{
	if (!message->retained || message->len == 0 || talk->n_stale == STALE_MAX)
		return;
	for (size_t i = 0; i < talk->n_entities; i++)
		if (strcmp(talk->entities[i], message->topic) == 0)
			return;
	talk->stale[talk->n_stale] = strdup(message->topic);
	if (talk->stale[talk->n_stale])
		talk->n_stale++;
}

/* PREFIX/+/camcast_ID/+/config; "" without a prefix. */
static void write_entity_filter(const struct discovery_talk *talk, char out[ENTITY_FILTER_MAX])
{
	const char *prefix = talk->options.config->mqtt.home_assistant_prefix;

	out[0] = '\0';
	if (prefix[0])
		snprintf(out, ENTITY_FILTER_MAX, "%s/+/camcast_%s/+/config", prefix,
			 talk->options.id);
}

static bool is_entity_topic(const struct config_mqtt *config, const char *topic)
{
	const size_t len = strlen(config->home_assistant_prefix);

	return len > 0 && strncmp(topic, config->home_assistant_prefix, len) == 0 &&
	       topic[len] == '/';
}

void discovery_talk_hear(struct discovery_talk *talk, const struct mqtt_message *message)
{
	const struct config_mqtt *config = &talk->options.config->mqtt;
	struct request_message checked = {
		.topic = message->topic,
		.payload = message->payload,
		.len = message->len,
		.retained = message->retained,
		.response_topic = message->response_topic,
		.correlation_len = message->correlation_len,
	};

	talk->changed = true;
	if (request_is_topic(config, message->topic))
		handle_request(talk, &checked, message);
	else if (is_entity_topic(config, message->topic))
		handle_entity(talk, message);
	else
		handle_command(talk, &checked);
}

/* --- what we say --- */

static struct discovery_info describe(const struct discovery_talk *talk)
{
	return (struct discovery_info){
		.config = talk->options.config,
		.id = talk->options.id,
		.ports = talk->options.ports,
		.snapshot = talk->snapshot,
		.addresses = &talk->told,
	};
}

static void refresh_addresses(struct discovery_talk *talk, int fd, int64_t now_us)
{
	struct net_host_list found, told;

	talk->addresses_us = now_us + ADDRESS_PERIOD_US;
	net_host_list_find(&found, fd);
	discovery_choose_addresses(&told, talk->options.config, &found);
	if (told.n == talk->told.n && memcmp(told.text, talk->told.text, sizeof told.text) == 0)
		return;
	talk->told = told;
	talk->news = true;
	if (strcmp(talk->options.status->address, discovery_plain_address(&told)) == 0)
		return;
	snprintf(talk->options.status->address, sizeof talk->options.status->address, "%s",
		 discovery_plain_address(&told));
	talk->changed = true;
	diag_info("mqtt: clients get the address %s", talk->options.status->address);
}

static void forget_info(struct discovery_talk *talk)
{
	free(talk->described);
	free(talk->info);
	talk->described = talk->info = NULL;
}

/* The same text with our signature, if we have one. NULL: no memory. */
static char *sign(struct discovery_talk *talk, const char *described)
{
	const struct identity *identity = talk->options.identity;
	const struct signed_number number = {identity->start, talk->n_signed + 1};

	if (!identity->signer)
		return strdup(described);
	talk->n_signed++;
	return signer_sign(identity->signer, described, &number);
}

static void announce_info(struct discovery_talk *talk, struct mqtt_session *session)
{
	struct discovery_info info = describe(talk);
	char *text = discovery_info_json(&info);

	talk->news = false;
	if (!text || (talk->info && strcmp(talk->described, text) == 0)) {
		free(text);
		return;
	}
	forget_info(talk);
	talk->described = text;
	talk->info = sign(talk, text);
	if (!talk->info)
		return;
	if (mqtt_session_announce(session, talk->info_topic, talk->info) == 0)
		talk->options.status->announcements++;
	talk->changed = true;
}

static void announce_state(struct discovery_talk *talk, struct mqtt_session *session,
			   int64_t now_us)
{
	struct discovery_info info = describe(talk);
	char *text;

	if (!talk->snapshot ||
	    (talk->announced_state && now_us < talk->state_us &&
	     !discovery_state_differs(talk->options.config, talk->snapshot, talk->announced_state)))
		return;
	text = discovery_state_json(&info);
	if (!text)
		return;
	mqtt_session_announce(session, talk->state_topic, text);
	free(text);
	talk->state_us = now_us + STATE_PERIOD_US;
	if (!talk->announced_state)
		talk->announced_state = discovery_snapshot_create(talk->options.config);
	if (talk->announced_state)
		discovery_snapshot_copy(talk->announced_state, talk->snapshot,
					talk->options.config);
}

struct speaker {
	struct discovery_talk *talk;
	struct mqtt_session *session;
};

static void announce_entity(void *user, const char *topic, const char *payload)
{
	struct speaker *speaker = user;
	struct discovery_talk *talk = speaker->talk;
	char **grown = reallocarray(talk->entities, talk->n_entities + 1, sizeof *grown);

	mqtt_session_announce(speaker->session, topic, payload);
	if (!grown)
		return;
	talk->entities = grown;
	grown[talk->n_entities] = strdup(topic);
	if (grown[talk->n_entities])
		talk->n_entities++;
}

static void forget_entities(struct discovery_talk *talk)
{
	for (size_t i = 0; i < talk->n_entities; i++)
		free(talk->entities[i]);
	free(talk->entities);
	talk->entities = NULL;
	talk->n_entities = 0;
}

static void begin_home_assistant(struct discovery_talk *talk, struct mqtt_session *session,
				 int64_t now_us)
{
	struct discovery_info info = describe(talk);
	struct speaker speaker = {talk, session};

	forget_entities(talk);
	discovery_home_assistant(&info, announce_entity, &speaker);
	free(talk->announced_state);
	talk->announced_state = NULL;
	announce_state(talk, session, now_us);
}

static void listen_for_commands(struct discovery_talk *talk, struct mqtt_session *session)
{
	char topic[TOPIC_MAX];

	snprintf(topic, sizeof topic, "camcast/%s/camera/+/restart", talk->options.id);
	mqtt_session_subscribe(session, topic, false);
	snprintf(topic, sizeof topic, "camcast/%s/stream/+/bitrate/set", talk->options.id);
	mqtt_session_subscribe(session, topic, false);
}

/* The broker sends what is retained there, and what is not configured any more is removed: all of
 * it where home_assistant is off. Then once is enough, and a broker that closes the connection for
 * it does so once. */
static void look_for_stale(struct discovery_talk *talk, struct mqtt_session *session)
{
	char filter[ENTITY_FILTER_MAX];

	if (talk->looked && !talk->options.config->mqtt.home_assistant)
		return;
	talk->looked = true;
	write_entity_filter(talk, filter);
	if (filter[0])
		mqtt_session_subscribe(session, filter, true);
}

static void remove_stale(struct discovery_talk *talk, struct mqtt_session *session)
{
	/* Nothing refers to the state any more either. */
	if (talk->n_stale > 0 && session && !talk->options.config->mqtt.home_assistant)
		mqtt_session_announce(session, talk->state_topic, "");
	while (talk->n_stale > 0) {
		char *topic = talk->stale[--talk->n_stale];

		if (session)
			mqtt_session_announce(session, topic, "");
		free(topic);
	}
}

static void send_replies(struct discovery_talk *talk, struct mqtt_session *session)
{
	while (talk->n_replies > 0 && !mqtt_session_is_full(session)) {
		struct reply *reply = &talk->replies[talk->first_reply];
		const char *text = reply->request.format == REQUEST_JSON
					   ? talk->info
					   : discovery_plain_address(&talk->told);

		if (text && mqtt_session_publish(session, reply->request.topic, text,
						 reply->correlation, reply->correlation_len) == 0)
			talk->options.status->replies++;
		talk->first_reply = (talk->first_reply + 1) % REPLIES_MAX;
		talk->n_replies--;
		talk->changed = true;
	}
}

/* --- its life --- */

void discovery_talk_update(struct discovery_talk *talk, struct discovery_snapshot *snapshot)
{
	free(talk->snapshot);
	talk->snapshot = snapshot;
	talk->news = true;
}

void discovery_talk_begin(struct discovery_talk *talk, struct mqtt_session *session, int64_t now_us)
{
	const struct config_mqtt *config = &talk->options.config->mqtt;
	const char *list = config->request_topic;
	char topic[CONFIG_TOPIC_MAX];

	talk->told.n = 0;
	refresh_addresses(talk, mqtt_session_fd(session), now_us);
	forget_info(talk);
	/* In this order: a client that sees a server come online can send it a request, and read
	 * its info. */
	while (config_next_topic(&list, topic))
		mqtt_session_subscribe(session, topic, false);
	announce_info(talk, session);
	mqtt_session_announce(session, talk->status_topic, "online");
	if (config->home_assistant)
		begin_home_assistant(talk, session, now_us);
	if (config_mqtt_takes_commands(config))
		listen_for_commands(talk, session);
	look_for_stale(talk, session);
}

void discovery_talk_turn(struct discovery_talk *talk, struct mqtt_session *session, int64_t now_us)
{
	if (now_us >= talk->addresses_us)
		refresh_addresses(talk, mqtt_session_fd(session), now_us);
	if (talk->news)
		announce_info(talk, session);
	if (talk->options.config->mqtt.home_assistant)
		announce_state(talk, session, now_us);
	remove_stale(talk, session);
	send_replies(talk, session);
}

void discovery_talk_end(struct discovery_talk *talk)
{
	talk->n_replies = 0;
	remove_stale(talk, NULL);
}

bool discovery_talk_denial_matters(const struct discovery_talk *talk, const char *topic)
{
	char filter[ENTITY_FILTER_MAX];

	if (talk->options.config->mqtt.home_assistant)
		return true;
	/* The broker cuts the topic that it names. */
	write_entity_filter(talk, filter);
	return strncmp(filter, topic, strlen(topic)) != 0;
}

bool discovery_talk_changed(struct discovery_talk *talk)
{
	bool changed = talk->changed;

	talk->changed = false;
	return changed;
}

const char *discovery_talk_status_topic(const struct discovery_talk *talk)
{
	return talk->status_topic;
}

struct discovery_talk *discovery_talk_create(const struct discovery_talk_options *options)
{
	struct discovery_talk *talk = calloc(1, sizeof *talk);
	uint64_t seeds[2] = {(uint64_t)clock_now_us()};

	if (!talk)
		return NULL;
	talk->options = *options;
	(void)!getrandom(seeds, sizeof seeds, GRND_NONBLOCK);
	request_limits_init(&talk->limits, seeds[0]);
	request_limits_init(&talk->command_limits, seeds[1]);
	snprintf(talk->info_topic, TOPIC_MAX, "camcast/%s/info", options->id);
	snprintf(talk->status_topic, TOPIC_MAX, "camcast/%s/status", options->id);
	snprintf(talk->state_topic, TOPIC_MAX, "camcast/%s/state", options->id);
	return talk;
}

void discovery_talk_destroy(struct discovery_talk *talk)
{
	if (!talk)
		return;
	forget_entities(talk);
	remove_stale(talk, NULL);
	free(talk->announced_state);
	free(talk->snapshot);
	forget_info(talk);
	free(talk);
}
