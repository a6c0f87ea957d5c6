/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/hls.h"
#include "daemon/status/rows.h"

#define IN_FEED(field) FIELD(in_feed, struct feed_stats, field)
#define IN_QUOTA(field) FIELD(in_quota, struct quota, field)
#define IN_CURSOR(field) FIELD(in_cursor, struct cursor, field)
#define IN_REPORT(field) FIELD(in_report, struct sink_report, field), .present = client_reported

#define IN_GROUP(field) FIELD(in_group, struct sink_group, field), .present = client_is_group

/* --- a feed --- */

static const void *in_feed(const struct counted *c)
{
	return feed_stats(c->output->feed);
}
static const void *in_quota(const struct counted *c)
{
	return &c->output->quota;
}
static const char *feed_label(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->output->name;
}
static const char *feed_stream(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->output->stream->config->name;
}
static const char *feed_framing(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return config_framing_name(c->output->config->framing);
}
static double feed_port(const struct counted *c)
{
	return c->output->tcp.port;
}
static bool feed_begun(const struct counted *c)
{
	return feed_stats(c->output->feed)->last_unit_us > 0;
}
static double feed_last_unit(const struct counted *c)
{
	return (double)((c->now_us - feed_stats(c->output->feed)->last_unit_us) / 1000);
}

static double feed_hls_players(const struct counted *c)
{
	return (double)hls_players_of(c->output->playlist)->n;
}

static const struct counter feeds[] = {
	{"name", TEXT, .help = "`STREAM/FRAMING`.", .text = feed_label},
	{"stream", TEXT, .help = "The stream that it carries.", .text = feed_stream},
	{"framing", TEXT,
	 .help = "How its units follow each other: `annexb`, `length_prefixed`, `jpeg`, `mp4`, "
		 "`mp4_ws`, "
		 "`mpegts`, `multipart`, `multipart_early`, `rtp`, `rtp_jpeg` or `rtp_ts`.",
	 .text = feed_framing},
	{"port", GAUGE, .help = "The port of its first listener; 0: it has none.",
	 .number = feed_port},
	{"units", "feed_units_total", COUNTER, .help = "Units published.", IN_FEED(units)},
	{"keys", "feed_keys_total", COUNTER, .help = "Key units published.", IN_FEED(keys)},
	{"bytes", "feed_bytes_total", COUNTER, .unit = "bytes", .help = "Data published.",
	 IN_FEED(bytes)},
	{"last_unit_ms", GAUGE, .unit = "ms",
	 .help = "Age of the newest unit; absent before the first one.", .number = feed_last_unit,
	 .present = feed_begun},
	{"log_bytes", "feed_log_bytes", GAUGE, .unit = "bytes", .rank = 6,
	 .help = "Published data in the open segments: the size of the log.", IN_FEED(log.bytes)},
	{"segments", "feed_segments", GAUGE, .rank = 5, .help = "Open segments.",
	 IN_FEED(log.segments)},
	{"clients", "feed_clients", GAUGE, .rank = 4,
	 .help = "Connected clients; of HLS, those that are being sent a segment or part.",
	 IN_FEED(audience.cursors)},
	{"hls_players", "feed_hls_players", GAUGE, .rank = 4,
	 .help = "Players of HLS: pairs of an address and a User-Agent that sent a request within "
		 "the last ten seconds and a segment. 1,024 at most.",
	 .number = feed_hls_players},
	{"accepted", "feed_accepted_total", COUNTER, .rank = 3,
	 .help = "Clients accepted; of HLS, each request for a segment or part.",
	 IN_FEED(audience.joined)},
	{"refused", "feed_refused_total", "reason", GROUP, .rank = 9,
	 .help = "Clients disconnected at once, by reason."},
	{"refused.max_clients", COUNTER, .help = "`max_clients` of `[daemon]` was reached.",
	 IN_QUOTA(refused[ADMISSION_OVER_TOTAL])},
	{"refused.max_clients_feed", COUNTER, .help = "`max_clients` of the stream was reached.",
	 IN_QUOTA(refused[ADMISSION_OVER_QUOTA])},
	{"refused.max_clients_per_ip", COUNTER,
	 .help = "`max_clients_per_ip` was reached (for IPv6: by a /64).",
	 IN_QUOTA(refused[ADMISSION_OVER_ADDRESS])},
	{"refused.not_allowed", COUNTER, .help = "`allow` and `deny` did not let the address in.",
	 IN_QUOTA(refused[ADMISSION_NOT_ALLOWED])},
	{"refused.no_fds", COUNTER, .help = "The table of file descriptors was full.",
	 IN_QUOTA(refused[ADMISSION_NO_FDS])},
	{"refused.no_memory", COUNTER,
	 .help = "There was no memory, or the socket could not be set up.",
	 IN_QUOTA(refused[ADMISSION_NO_MEMORY])},
	{"left", "feed_left_total", "reason", GROUP, .rank = 8,
	 .help = "Clients that are gone, by reason."},
	{"left.peer", COUNTER,
	 .help = "The client closed the connection, or it failed, or it has its segment or part of "
		 "HLS.",
	 IN_FEED(audience.left[CURSOR_END_PEER])},
	{"left.foreign", COUNTER, .help = "The peer spoke HTTP, RTSP or TLS: it was no viewer.",
	 IN_FEED(audience.left[CURSOR_END_FOREIGN])},
	{"left.noise", COUNTER, .help = "The client sent more than 64 KiB within a minute.",
	 IN_FEED(audience.left[CURSOR_END_NOISE])},
	{"left.displaced", COUNTER,
	 .help = "All places (`max_clients`) were taken, and a client of an address with fewer "
		 "clients came.",
	 IN_FEED(audience.left[CURSOR_END_DISPLACED])},
	{"left.stalled", COUNTER,
	 .help = "The client did not finish a unit within `stall_timeout_ms`.",
	 IN_FEED(audience.left[CURSOR_END_STALL])},
	{"left.shutdown", COUNTER, .help = "camcastd stopped.",
	 IN_FEED(audience.left[CURSOR_END_SHUTDOWN])},
	{"left.not_allowed", COUNTER,
	 .help = "The configuration was read again, and does not let the client watch any more.",
	 IN_FEED(audience.left[CURSOR_END_NOT_ALLOWED])},
	{"dropped", "feed_units_dropped_total", "reason", GROUP, .rank = 7,
	 .help = "Units not sent to a client, or not published (`gap`), by reason."},
	{"dropped.lag", COUNTER,
	 .help = "The client was more than `max_lag_ms` behind, and jumped to a key unit.",
	 IN_FEED(audience.units_dropped)},
	{"dropped.shed", COUNTER,
	 .help = "The unit was droppable, and the client was more than `shed_lag_ms` behind.",
	 IN_FEED(audience.units_shed)},
	{"dropped.gap", COUNTER,
	 .help = "An earlier unit was lost between the worker and camcastd, and no key unit has "
		 "arrived since.",
	 IN_FEED(units_refused)},
	{"resyncs", "feed_resyncs_total", COUNTER, .rank = 2,
	 .help = "Jumps of slow clients to a key unit.", IN_FEED(audience.resyncs)},
	{"idr_requests", "feed_idr_requests_total", COUNTER, .rank = 2,
	 .help = "IDRs that the feed asked for; at most one a second is passed on.",
	 IN_FEED(audience.idr_requests)},
	{"sent_bytes", "feed_sent_bytes_total", COUNTER, .unit = "bytes", .rank = 1,
	 .help = "Data sent to all clients.", IN_FEED(audience.sent_bytes)},
	{"sends", "feed_sends_total", COUNTER, .rank = 1,
	 .help = "Calls of `send()` for this feed that took bytes; these are copied or "
		 "encrypted.",
	 IN_FEED(audience.sends)},
	{"sendfiles", "feed_sendfiles_total", COUNTER, .rank = 1,
	 .help = "Sends of pages by reference for this feed that took bytes.",
	 IN_FEED(audience.sendfiles)},
};

const struct counter_table rows_feed = {"feeds", "feed", ROWS(feeds)};

/* --- a client --- */

static const void *in_cursor(const struct counted *c)
{
	return &c->client->cursor;
}
static const void *in_report(const struct counted *c)
{
	return &c->client->report;
}
static const void *in_group(const struct counted *c)
{
	return &c->client->group;
}
static bool client_is_group(const struct counted *c)
{
	return c->client->is_group;
}
static bool client_reported(const struct counted *c)
{
	return c->client->reported;
}
static double client_jitter(const struct counted *c)
{
	return c->client->report.jitter_us / 1000.0;
}
static const char *client_feed(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->client->output->name;
}
static const char *client_transport(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->client->transport;
}
static bool client_has_encryption(const struct counted *c)
{
	return c->client->encryption;
}
static const char *client_encryption(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->client->encryption;
}
static const char *client_address(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->client->address;
}
static const char *client_state(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	static const char *const names[] = {
		[CURSOR_WAIT_KEY] = "wait_key",
		[CURSOR_LIVE] = "live",
		[CURSOR_SHED] = "shed",
	};

	(void)buffer;
	return names[c->client->cursor.state];
}
static double client_lag(const struct counted *c)
{
	return (double)(c->client->lag_us / 1000);
}
static double client_delay(const struct counted *c)
{
	return (double)(c->client->delay_us / 1000);
}
static const char *client_since(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	return counted_time(c, c->client->cursor.since_s, buffer);
}

static const struct counter clients[] = {
	{"feed", TEXT, .help = "Its feed.", .text = client_feed},
	{"transport", TEXT,
	 .help = "`tcp`, `tls`, `rtsp`, `rtsps`, `rtsp+udp` where the packets are not in the "
		 "connection, `multicast` for a group, `push`, or over HTTP the ending of its "
		 "path: "
		 "`h264`, `mp4`, `ts`, `ws`, `mjpg`; `hls` for a player of HLS, which is listed "
		 "until ten seconds and a segment after its last request.",
	 .text = client_transport},
	{"encryption", TEXT,
	 .help = "What encrypts the data sent to it: `no` (nothing), `user` (camcastd), `kernel` "
		 "(the "
		 "kernel, so that pictures are sent by reference); absent for a player of HLS.",
	 .text = client_encryption, .present = client_has_encryption},
	{"address", TEXT,
	 .help = "Its address and port; for a player of HLS, of its newest request.",
	 .text = client_address},
	{"state", TEXT,
	 .help = "`wait_key` (it waits for a key unit), `live`, `shed` (droppable units are "
		 "skipped).",
	 .text = client_state},
	{"lag_ms", GAUGE, .unit = "ms",
	 .help = "Age of the oldest unit that it has not received: the next one to be sent, unless "
		 "it waits for a key unit. Of a player of HLS: age of the newest unit that was "
		 "sent to it.",
	 .number = client_lag},
	{"delay_ms", GAUGE, .unit = "ms",
	 .help = "The part of the lag that the viewer caused by pausing; `max_lag_ms` limits the "
		 "rest.",
	 .number = client_delay},
	{"sent", COUNTER, .unit = "bytes", .help = "Data sent to it.", IN_CURSOR(sent_bytes)},
	{"packets", COUNTER, .help = "RTP packets sent; of a multicast group only.",
	 IN_GROUP(packets)},
	{"receivers", GAUGE,
	 .help = "Sessions of RTSP that play a multicast group. Others may receive it, too, "
		 "without "
		 "a word. Losses and jitter are the worst that one of them reports.",
	 IN_GROUP(receivers)},
	{"dropped", COUNTER, .help = "Units dropped because of its lag.", IN_CURSOR(units_dropped)},
	{"shed", COUNTER, .help = "Droppable units skipped because of its lag.",
	 IN_CURSOR(units_shed)},
	{"resyncs", COUNTER, .help = "Jumps to a key unit.", IN_CURSOR(resyncs)},
	{"lost_packets", COUNTER,
	 .help = "RTP packets that it did not receive, as it reports, also those of units that "
		 "were "
		 "dropped for it; absent without a report.",
	 IN_REPORT(lost)},
	{"loss_permille", GAUGE,
	 .help = "Of a thousand packets between its last two reports, those that it did not "
		 "receive.",
	 IN_REPORT(permille)},
	{"jitter_ms", GAUGE, .unit = "ms",
	 .help = "How much the times between arriving packets vary (RFC 3550), as it reports.",
	 .number = client_jitter, .present = client_reported},
	{"since", TEXT, .help = "When it connected, in UTC.", .text = client_since},
};

const struct counter_table rows_client = {"clients", ROWS(clients)};
