/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status/rows.h"

#include <assert.h>
#include <unistd.h>

#include "daemon/serve/handshakes.h"

#define IN_LOOP(field) FIELD(in_loop, struct loop_stats, field)
#define IN_ACCESS(field) FIELD(in_access, struct access_stats, field)
#define IN_RELOAD(field) FIELD(in_reload, struct reload_status, field)
#define IN_RTSP(field) FIELD(in_rtsp, struct rtsp, field)
#define IN_MDNS(field) FIELD(in_mdns, struct mdns_status, field)
#define IN_MQTT(field) FIELD(in_mqtt, struct discovery_status, field)

/* --- the server --- */

static const void *in_loop(const struct counted *c)
{
	return loop_stats(c->view->loop);
}
static const void *in_access(const struct counted *c)
{
	static const struct access_stats none;

	return c->view->access ? access_stats(c->view->access) : &none;
}
static const void *in_rtsp(const struct counted *c)
{
	static const struct rtsp none;

	return c->view->rtsp ? c->view->rtsp : &none;
}
static double turned_away(const struct quota *quota)
{
	uint64_t n = 0;

	for (int why = 0; why < ADMISSION_REFUSALS; why++)
		n += quota->refused[why];
	return (double)n;
}
static double http_turned_away(const struct counted *c)
{
	return c->view->http ? turned_away(&c->view->http->quota) : 0;
}
static double rtsp_turned_away(const struct counted *c)
{
	return c->view->rtsp ? turned_away(&c->view->rtsp->quota) : 0;
}
static double access_users(const struct counted *c)
{
	return (double)c->view->cameras->config->n_users;
}
static const char *access_anonymous(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	static_assert(COUNTER_TEXT_MAX >= CONFIG_MAY_TEXT_MAX, "rights fit");
	config_may_text(config_anonymous(c->view->cameras->config), buffer);
	return buffer;
}
static const char *access_open(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->view->access ? access_open_to(c->view->access) : "all";
}
static const char *server_name(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->view->cameras->config->daemon.name;
}
static const char *server_version(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)c, (void)buffer;
	return CAMCAST_VERSION;
}
static double server_pid(const struct counted *c)
{
	(void)c;
	return getpid();
}
static double server_uptime(const struct counted *c)
{
	return (double)(c->now_us - c->view->started_us) / 1e6;
}
static const char *server_backend(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return loop_backend_name(c->view->loop);
}
static double server_healthy(const struct counted *c)
{
	return c->healthy;
}
static const char *server_health_reason(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->why;
}
static double server_clients(const struct counted *c)
{
	return admission_viewers(c->view->admission);
}
static double server_max_clients(const struct counted *c)
{
	return c->view->cameras->config->daemon.max_clients;
}
static const void *in_reload(const struct counted *c)
{
	static const struct reload_status none;

	return c->view->reload ? c->view->reload : &none;
}
static const void *in_mdns(const struct counted *c)
{
	static const struct mdns_status none;

	return c->view->mdns ? mdns_status(c->view->mdns) : &none;
}
static const struct mdns_status *mdns_of(const struct counted *c)
{
	return in_mdns(c);
}
static const char *mdns_state(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return mdns_state_names[mdns_of(c)->state];
}
static double mdns_services(const struct counted *c)
{
	return mdns_of(c)->services;
}
static double mdns_published(const struct counted *c)
{
	return mdns_of(c)->published;
}
static const char *config_loaded_at(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	return c->view->reload
		       ? counted_time(c, c->view->reload->loaded_s - c->realtime_offset_s, buffer)
		       : "";
}
static double config_is_wrong(const struct counted *c)
{
	return c->view->reload && c->view->reload->error[0];
}
static double server_client_bytes(const struct counted *c)
{
	(void)c;
	return (double)connection_size();
}
static double server_fds_short(const struct counted *c)
{
	return fdreserve_short(c->view->reserve);
}
static double tls_figure(const struct counted *c, size_t offset)
{
	const struct handshakes_stats *stats;

	if (!c->view->handshakes)
		return 0;
	stats = handshakes_stats(c->view->handshakes);
	return (double)atomic_load_explicit(
		(const atomic_ullong *)(const void *)((const char *)stats + offset),
		memory_order_relaxed);
}
#define TLS_FIGURE(field)                                                                          \
	static double tls_##field(const struct counted *c)                                         \
	{                                                                                          \
		return tls_figure(c, offsetof(struct handshakes_stats, field));                    \
	}
TLS_FIGURE(done)
TLS_FIGURE(kernel)
TLS_FIGURE(failed)
TLS_FIGURE(slow)
TLS_FIGURE(displaced)
TLS_FIGURE(plain)
static double tls_certificate_s(const struct counted *c)
{
	return c->view->handshakes ? (double)(handshakes_certificate_expires(c->view->handshakes) -
					      c->now_us / 1000000 - c->realtime_offset_s)
				   : 0;
}
static double server_clients_omitted(const struct counted *c)
{
	return (double)c->clients_omitted;
}

#define TURNED_AWAY                                                                                \
	"Connections that were not accepted: `allow` and `deny` of `[daemon]` did not let the "    \
	"address in, or there was no place, file descriptor or memory."

static const struct counter server[] = {
	{"name", TEXT, .help = "`[daemon] name`.", .text = server_name},
	{"version", TEXT, .help = "The version of camcastd.", .text = server_version},
	{"pid", GAUGE, .help = "The process id of camcastd.", .number = server_pid},
	{"uptime_s", "uptime_seconds", GAUGE, .unit = "s", .help = "Time since the start.",
	 .number = server_uptime},
	{"backend", TEXT, .help = "The event loop's backend: `epoll` or `io_uring`.",
	 .text = server_backend},
	{"healthy", "healthy", BOOL, .help = "Whether pictures flow, as `/healthz` reports it.",
	 .number = server_healthy},
	{"health_reason", TEXT, .help = "Why pictures do not flow; empty while they do.",
	 .text = server_health_reason},
	{"clients_total", GAUGE, .help = "Clients connected to all feeds.",
	 .number = server_clients},
	{"max_clients", "max_clients", GAUGE,
	 .help = "The limit on clients of all feeds: as configured, or lowered at the start to "
		 "what "
		 "RLIMIT_NOFILE allows.",
	 .number = server_max_clients},
	{"client_bytes", "client_bytes", GAUGE, .unit = "bytes",
	 .help = "Fixed memory of one client.", .number = server_client_bytes},
	{"fds_short", "fds_short", BOOL,
	 .help = "Whether the table of file descriptors is full; no client is accepted until it "
		 "has room.",
	 .number = server_fds_short},
	{NULL, "config_error", BOOL,
	 .help = "Whether the configuration that was read last is not in force.",
	 .number = config_is_wrong},
	{"config", GROUP,
	 .help = "The configuration, which is read again at SIGHUP (`systemctl reload`)."},
	{"config.loaded_at", TEXT, .help = "When the one in force was read.",
	 .text = config_loaded_at},
	{"config.error", TEXT,
	 .help = "Why the one that was read last is not in force: the first mistake, with file and "
		 "line; empty if it is.",
	 IN_RELOAD(error)},
	{"config.reloads", "config_reloads_total", COUNTER,
	 .help = "Configurations that came in force since the start.", IN_RELOAD(loaded)},
	{"config.refused", "config_refused_total", COUNTER,
	 .help = "Configurations that were refused because of a mistake.", IN_RELOAD(refused)},
	{"access", GROUP, .help = "Who may watch ([SECURITY.md](SECURITY.md))."},
	{"access.users", "access_users", GAUGE, .help = "Users in the configuration.",
	 .number = access_users},
	{"access.anonymous", TEXT,
	 .help = "What those may do who give no name: some of `view`, "
		 "`status` and `control`, or `nothing`.",
	 .text = access_anonymous},
	{"access.open_to", TEXT,
	 .help = "Who may watch without a password: `no` (nobody), `loopback` (this machine), "
		 "`local` "
		 "(its networks), `listed` (other addresses in `allow` of `[daemon]`), `all`.",
	 .text = access_open},
	{"access.checks", "access_checks_total", COUNTER, .help = "Passwords that were hashed.",
	 IN_ACCESS(checks)},
	{"access.wrong", "access_wrong_total", COUNTER, .help = "Wrong passwords and tokens.",
	 IN_ACCESS(wrong)},
	{"access.slowed", "access_slowed_total", COUNTER,
	 .help = "Attempts that were not looked at (429), because the address had sent too many "
		 "wrong ones.",
	 IN_ACCESS(slowed)},
	{"access.busy", "access_busy_total", COUNTER,
	 .help = "Attempts that were not looked at (503), because too many waited.",
	 IN_ACCESS(busy)},
	{"access.refused", "access_refused_total", COUNTER,
	 .help = "Requests over HTTP of those who have not the right for them.",
	 IN_ACCESS(refused)},
	{"access.logins", "access_logins_total", COUNTER, .help = "Logins on the web page.",
	 IN_ACCESS(logins)},
	{"loop", GROUP, .help = "The event loop."},
	{"loop.turns", "loop_turns_total", COUNTER, .help = "Wake-ups of the event loop.",
	 IN_LOOP(turns)},
	{"loop.sends", "sends_total", COUNTER,
	 .help = "Calls of `send()` that took bytes; these are copied or encrypted.",
	 IN_LOOP(sends)},
	{"loop.sendfiles", "sendfiles_total", COUNTER,
	 .help = "Sends of pages by reference that took bytes.", IN_LOOP(sendfiles)},
	{"loop.send_again", "send_again_total", COUNTER,
	 .help = "Sends of either kind that took no bytes because the socket was full.",
	 IN_LOOP(send_again)},
	{"loop.accept_paused", "accept_paused_total", COUNTER,
	 .help = "Times that accepting paused for 100 ms because file descriptors or memory were "
		 "short.",
	 IN_LOOP(accept_paused)},
	{"loop.bytes_discarded", "discarded_bytes_total", COUNTER, .unit = "bytes",
	 .help = "Input from clients that was read and thrown away.", IN_LOOP(bytes_discarded)},
	{"tls", GROUP, .help = "TLS; all zero without it."},
	{"tls.certificate_expires_s", "tls_certificate_expires_seconds", GAUGE, .unit = "s",
	 .help = "Time for which the certificate is still valid.", .number = tls_certificate_s},
	{"tls.handshakes", "tls_handshakes_total", COUNTER, .help = "Handshakes that succeeded.",
	 .number = tls_done},
	{"tls.kernel", "tls_kernel_total", COUNTER,
	 .help = "Handshakes behind which the kernel encrypts (`kernel` of `[tls]`).",
	 .number = tls_kernel},
	{"tls.failed", "tls_failed_total", COUNTER,
	 .help = "Handshakes that failed: the peer left, did not trust the certificate, or has no "
		 "version or cipher in common.",
	 .number = tls_failed},
	{"tls.slow", "tls_slow_total", COUNTER,
	 .help = "Peers that were disconnected because their handshake took ten seconds.",
	 .number = tls_slow},
	{"tls.displaced", "tls_displaced_total", COUNTER,
	 .help = "Peers that were disconnected in or before their handshake because there were too "
		 "many of their address.",
	 .number = tls_displaced},
	{"tls.plain", "tls_plain_total", COUNTER,
	 .help = "Peers that were disconnected because they spoke without TLS where it is needed.",
	 .number = tls_plain},
	{"http", GROUP, .help = "Clients of HTTP. Viewers are counted by their feeds."},
	{"http.turned_away", "http_turned_away_total", COUNTER, .help = TURNED_AWAY,
	 .number = http_turned_away},
	{"rtsp", GROUP, .help = "Clients of RTSP ([RTSP.md](RTSP.md)); all zero without it."},
	{"rtsp.connections", "rtsp_connections", GAUGE, .help = "Connections that do not play yet.",
	 IN_RTSP(quota.used)},
	{"rtsp.accepted", "rtsp_accepted_total", COUNTER, .help = "Connections accepted.",
	 IN_RTSP(accepted)},
	{"rtsp.turned_away", "rtsp_turned_away_total", COUNTER, .help = TURNED_AWAY,
	 .number = rtsp_turned_away},
	{"rtsp.refused", "rtsp_refused_total", COUNTER,
	 .help = "Requests that were answered with an error, other than 401.",
	 IN_RTSP(stats.refused)},
	{"rtsp.noise", "rtsp_noise_total", COUNTER,
	 .help = "Clients that were disconnected because they sent more than 64 KiB within a "
		 "minute.",
	 IN_RTSP(stats.noise)},
	{"rtsp.timed_out", "rtsp_timed_out_total", COUNTER,
	 .help = "Clients that were disconnected because they did not play within ten seconds, "
		 "were silent for a minute in a pause, or while they played by UDP or multicast, "
		 "or did not take an answer.",
	 IN_RTSP(stats.timed_out)},
	{"rtsp.displaced", "rtsp_displaced_total", COUNTER,
	 .help = "Clients that were disconnected before they played because all places were "
		 "taken, or those of their address.",
	 IN_RTSP(stats.displaced)},
	{"rtsp.unheard", "rtsp_unheard_total", COUNTER,
	 .help = "Viewers over UDP that were disconnected because nobody listened at their port, "
		 "or there was no way to it, for five seconds.",
	 IN_RTSP(ports.unheard)},
	{"mdns", GROUP, .help = "What is announced by mDNS ([DISCOVERY.md](DISCOVERY.md))."},
	{"mdns.state", TEXT,
	 .help = "`nothing` (is to be announced: `mdns = no`, or no address of `http` or `rtsp` "
		 "is for other machines), `waiting` (for Avahi, or for the next attempt), "
		 "`publishing` (Avahi "
		 "makes sure that the names are free, or others have all names of a service), or "
		 "`published`.",
	 .text = mdns_state},
	{"mdns.reason", TEXT, .help = "Why it waits.", IN_MDNS(reason)},
	{"mdns.services", "mdns_services", GAUGE,
	 .help = "Services to be announced: the page, and each stream over RTSP.",
	 .number = mdns_services},
	{"mdns.published", "mdns_published", GAUGE, .help = "Services that are announced.",
	 .number = mdns_published},
	{"mdns.collisions", "mdns_collisions_total", COUNTER,
	 .help = "Names that others on the network had, so that another one was tried.",
	 IN_MDNS(collisions)},
	{"mdns.losses", "mdns_losses_total", COUNTER,
	 .help = "Times that Avahi ended while services were published.", IN_MDNS(losses)},
	{"mqtt", .type = COUNTER_OBJECT, .kind = COUNTERS_MQTT, .help = "Discovery; see below."},
	{"cameras", .type = COUNTER_LIST, .kind = COUNTERS_CAMERA,
	 .help = "All cameras, in the order of the configuration."},
	{"streams", .type = COUNTER_LIST, .kind = COUNTERS_STREAM,
	 .help = "All streams, in the order of the configuration."},
	{"pushes", .type = COUNTER_LIST, .kind = COUNTERS_PUSH,
	 .help = "All destinations of the key `push`, in the order of the configuration."},
	{"feeds", .type = COUNTER_LIST, .kind = COUNTERS_FEED,
	 .help = "All feeds, in the order of the configuration."},
	{"clients", .type = COUNTER_LIST, .kind = COUNTERS_CLIENT,
	 .help = "The first 1000 clients."},
	{"clients_omitted", GAUGE, .help = "Clients that are not in the list.",
	 .number = server_clients_omitted},
};

const struct counter_table rows_server = {"", ROWS(server)};

/* --- discovery --- */

static const void *in_mqtt(const struct counted *c)
{
	return c->discovery;
}
static bool mqtt_exists(const struct counted *c)
{
	return c->discovery;
}
static bool mqtt_waiting(const struct counted *c)
{
	return c->discovery->state == DISCOVERY_WAITING;
}
static bool mqtt_spawns(const struct counted *c)
{
	return config_mqtt_spawns(&c->view->cameras->config->mqtt);
}
static const char *mqtt_state(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->discovery ? discovery_state_names[c->discovery->state] : "off";
}
static double mqtt_connected(const struct counted *c)
{
	return c->discovery->state == DISCOVERY_CONNECTED;
}
static double mqtt_retry(const struct counted *c)
{
	return milliseconds(c->discovery->retry_at_us - c->now_us);
}
static const char *mqtt_broker(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->view->cameras->config->mqtt.broker;
}
static const char *mqtt_version(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->discovery->version == 5 ? "5" : c->discovery->version == 3 ? "3.1.1" : "";
}
static const char *mqtt_id(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return discovery_id(c->view->discovery);
}
static const char *mqtt_key(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return discovery_fingerprint(c->view->discovery);
}
static bool mqtt_signs(const struct counted *c)
{
	return discovery_fingerprint(c->view->discovery)[0];
}

static const struct counter mqtt[] = {
	{"state", TEXT,
	 .help = "`connecting`, `connected`, `waiting` (for the next attempt), or `off`: then the "
		 "other keys are absent.",
	 .text = mqtt_state},
	{NULL, "mqtt_connected", BOOL, .help = "Whether the server is connected to the broker.",
	 .number = mqtt_connected},
	{"reason", TEXT,
	 .help = "Why it is not connected; while it is connected, what the broker denies.",
	 IN_MQTT(reason)},
	{"retry_in_ms", GAUGE, .unit = "ms",
	 .help = "Time until the next attempt; in state `waiting` only.", .number = mqtt_retry,
	 .present = mqtt_waiting},
	{"broker", TEXT, .help = "The broker, as configured.", .text = mqtt_broker},
	{"version", TEXT,
	 .help = "The version of MQTT: `5` or `3.1.1`; empty before the first connection.",
	 .text = mqtt_version},
	{"id", TEXT, .help = "The id of this server in its topics.", .text = mqtt_id},
	{"key", TEXT,
	 .help = "Fingerprint of the key that signs announcements; left out if they are not "
		 "signed.",
	 .text = mqtt_key, .present = mqtt_signs},
	{"address", TEXT,
	 .help = "The address in answers to plain-text requests; empty before the first "
		 "connection.",
	 IN_MQTT(address)},
	{"connects", "mqtt_connects_total", COUNTER, .help = "Connections to the broker.",
	 IN_MQTT(connects)},
	{"announcements", "mqtt_announcements_total", COUNTER,
	 .help = "Descriptions of this server published on `camcast/ID/info`.",
	 IN_MQTT(announcements)},
	{"requests", "mqtt_requests_total", COUNTER, .help = "Requests received, answered or not.",
	 IN_MQTT(requests)},
	{"replies", "mqtt_replies_total", COUNTER, .help = "Requests answered.", IN_MQTT(replies)},
	{"refused", "mqtt_refused_total", "reason", GROUP,
	 .help = "Requests not answered because of their content, by reason."},
	{"refused.malformed", COUNTER, .help = "The payload is neither a topic nor a JSON request.",
	 IN_MQTT(refused[REQUEST_MALFORMED])},
	{"refused.not_utf8", COUNTER, .help = "The response topic or the request is not UTF-8.",
	 IN_MQTT(refused[REQUEST_NOT_UTF8])},
	{"refused.too_long", COUNTER,
	 .help = "The response topic is longer than 256 bytes, the JSON request than 4096, or the "
		 "correlation data than 256.",
	 IN_MQTT(refused[REQUEST_TOO_LONG])},
	{"refused.wildcard", COUNTER, .help = "The response topic contains `+` or `#`.",
	 IN_MQTT(refused[REQUEST_WILDCARD])},
	{"refused.dollar", COUNTER,
	 .help = "The response topic begins with `$`; such topics belong to the broker.",
	 IN_MQTT(refused[REQUEST_DOLLAR])},
	{"refused.our_topic", COUNTER,
	 .help = "The response topic is a request topic, or one on which servers announce "
		 "themselves.",
	 IN_MQTT(refused[REQUEST_OUR_TOPIC])},
	{"refused.prefix", COUNTER,
	 .help = "The response topic does not begin with `response_prefix`.",
	 IN_MQTT(refused[REQUEST_PREFIX])},
	{"refused.retained", COUNTER,
	 .help = "The request is a retained message; its sender may be gone.",
	 IN_MQTT(refused[REQUEST_RETAINED])},
	{"limited", "mqtt_limited_total", "limit", GROUP,
	 .help = "Requests not answered because there were too many, by limit."},
	{"limited.topic", COUNTER, .help = "Too many for one response topic.",
	 IN_MQTT(limited_topic)},
	{"limited.total", COUNTER, .help = "Too many in all.", IN_MQTT(limited_total)},
	{"limited.busy", COUNTER, .help = "The broker does not accept the answers fast enough.",
	 IN_MQTT(limited_busy)},
	{"commands", "mqtt_commands_total", COUNTER,
	 .help = "Commands from Home Assistant that were carried out.", IN_MQTT(commands)},
	{"commands_refused", "mqtt_commands_refused_total", COUNTER,
	 .help = "Commands that were invalid, or too many.", IN_MQTT(commands_refused)},
	{"broker_pid", GAUGE,
	 .help = "The process id of camcast's own broker, 0: not running; only with `broker = "
		 "spawn`.",
	 IN_MQTT(broker_pid), .present = mqtt_spawns},
	{"broker_restarts", "mqtt_broker_restarts_total", COUNTER,
	 .help = "Restarts of camcast's own broker; in the JSON only with `broker = spawn`.",
	 IN_MQTT(broker_restarts), .present = mqtt_spawns},
};

const struct counter_table rows_mqtt = {"mqtt", ROWS(mqtt), .exists = mqtt_exists};
