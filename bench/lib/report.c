/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/report.h"

#include <libavcodec/avcodec.h>
#include <stdlib.h>

/* Seconds of the measurement. */
static double seconds_of(const struct report *report)
{
	return (double)(report->end.wall_us - report->start.wall_us) / 1e6;
}

static double bytes_per_unit(const struct report *report)
{
	return report->unit_size ? report->unit_size : report->yield.bytes_per_unit;
}

static double deliveries(const struct report *report)
{
	double each = bytes_per_unit(report);

	return each > 0 ? (double)report->yield.bytes / each : 0;
}

static double server_cpu_us(const struct report *report)
{
	return (double)(report->end.server_cpu_ns - report->start.server_cpu_ns) / 1e3;
}

static double cost_us(const struct report *report)
{
	double units = deliveries(report);

	return units > 0 ? server_cpu_us(report) / units : 0;
}

static double own_percent(const struct report *report)
{
	return (double)(report->end.own_cpu_ns - report->start.own_cpu_ns) / 1e7 /
	       seconds_of(report);
}

/* The kernel's TCP memory, without what it had before and without our receive queues. */
static double server_tcp_kb(const struct report *report, const struct usage *at, uint64_t received)
{
	double kb = (double)(at->tcp_kb - report->idle.tcp_kb) - (double)received / 1024;

	return kb > 0 ? kb : 0;
}

const char *report_bottleneck(const struct report *report)
{
	const struct crowd *crowd = report->crowd;

	if (own_percent(report) >= 90)
		return "the generator used at least 90 % of its core";
	/* Half a frame interval: a later read would find the next unit, too. */
	if (hist_percentile_us(&crowd->ticks, 0.99) > 16 * CROWD_TICK_US)
		return "1 % of the generator's rounds took more than 16 ms";
	if (crowd->not_connected > 0)
		return "the generator ran out of ports or file descriptors";
	if (report->yield.unread > 0)
		return "the generator read too late, and the kernel dropped datagrams";
	return NULL;
}

/* --- JSON --- */

static void add(cJSON *object, const char *name, double value)
{
	cJSON_AddNumberToObject(object, name, value);
}

static void add_tally(cJSON *object, const struct tally *tally)
{
	add(object, "streams", (double)tally->streams);
	add(object, "units", (double)tally->units);
	add(object, "missed", (double)tally->missed);
	add(object, "resyncs", (double)tally->resyncs);
	add(object, "shed", (double)tally->shed);
	add(object, "gap_ends_not_key", (double)tally->gap_ends_not_key);
	add(object, "begins_not_key", (double)tally->begins_not_key);
	add(object, "malformed", (double)tally->malformed);
	add(object, "pictures", (double)tally->pictures);
	add(object, "decode_errors", (double)tally->decode_errors);
	cJSON_AddItemToObject(object, "latency_ms", hist_json(&tally->latency));
}

static cJSON *environment(const struct report *report)
{
	cJSON *object = usage_environment(), *words = cJSON_AddArrayToObject(object, "command");
	unsigned version = avcodec_version();
	char text[64];

	for (int i = 0; i < report->argc; i++)
		cJSON_AddItemToArray(words, cJSON_CreateString(report->argv[i]));
	cJSON_AddStringToObject(object, "camload", CAMCAST_VERSION);
	snprintf(text, sizeof(text), "%u.%u.%u", version >> 16, version >> 8 & 255, version & 255);
	cJSON_AddStringToObject(object, "libavcodec", text);
	cJSON_AddStringToObject(object, "compiler", __VERSION__);
	add(object, "seed", report->crowd->options.seed);
	return object;
}

static cJSON *server_json(const struct report *report)
{
	const struct usage *start = &report->start, *end = &report->end;
	cJSON *object = cJSON_CreateObject();

	add(object, "pid", report->pid);
	add(object, "cpu_us", server_cpu_us(report));
	add(object, "cpu_percent", server_cpu_us(report) / 1e4 / seconds_of(report));
	add(object, "us_per_client_unit", cost_us(report));
	add(object, "threads", (double)end->threads);
	add(object, "waits", (double)(end->waits - start->waits));
	add(object, "preemptions", (double)(end->preemptions - start->preemptions));
	add(object, "rss_idle_kb", (double)report->idle.rss_kb);
	add(object, "rss_start_kb", (double)start->rss_kb);
	add(object, "rss_kb", (double)end->rss_kb);
	add(object, "rss_anon_kb", (double)end->rss_anon_kb);
	add(object, "rss_shmem_kb", (double)end->rss_shmem_kb);
	return object;
}

static cJSON *tcp_json(const struct report *report)
{
	cJSON *object = cJSON_CreateObject();

	add(object, "idle_kb", (double)report->idle.tcp_kb);
	add(object, "start_kb", (double)report->start.tcp_kb);
	add(object, "end_kb", (double)report->end.tcp_kb);
	add(object, "receivers_kb", (double)report->end_receive_memory / 1024);
	add(object, "server_start_kb",
	    server_tcp_kb(report, &report->start, report->start_receive_memory));
	add(object, "server_kb", server_tcp_kb(report, &report->end, report->end_receive_memory));
	return object;
}

static cJSON *generator_json(const struct report *report)
{
	const struct hist *ticks = &report->crowd->ticks;
	const char *why = report_bottleneck(report);
	cJSON *object = cJSON_CreateObject();

	cJSON_AddBoolToObject(object, "ok", why == NULL);
	if (why)
		cJSON_AddStringToObject(object, "why", why);
	add(object, "cpu_percent", own_percent(report));
	add(object, "tick_p50_ms", (double)hist_percentile_us(ticks, 0.5) / 1e3);
	add(object, "tick_p99_ms", (double)hist_percentile_us(ticks, 0.99) / 1e3);
	add(object, "tick_max_ms", (double)ticks->max_us / 1e3);
	add(object, "discard_every_ms", report->crowd->discard_ticks);
	return object;
}

static void add_groups(cJSON *object, const struct crowd *crowd)
{
	cJSON *groups;

	add_tally(cJSON_AddObjectToObject(object, "healthy"), &crowd->healthy);
	groups = cJSON_AddArrayToObject(object, "slow");
	for (unsigned i = 0; i < crowd->options.n_slow; i++) {
		cJSON *group = cJSON_CreateObject();

		add(group, "clients", crowd->options.slow[i].clients);
		add(group, "bytes_per_second", crowd->options.slow[i].rate);
		add_tally(group, &crowd->options.slow[i].tally);
		cJSON_AddItemToArray(groups, group);
	}
	add_tally(cJSON_AddObjectToObject(object, "flapping"), &crowd->flapping);
	add_tally(cJSON_AddObjectToObject(object, "joining"), &crowd->joining);
}

static void add_hls(cJSON *object, const struct hls_tally *tally)
{
	cJSON *part = cJSON_AddObjectToObject(object, "hls");

	add(part, "playlists", (double)tally->playlists);
	add(part, "objects", (double)tally->objects);
	add(part, "late", (double)tally->late);
	add(part, "failed", (double)tally->failed);
	add(part, "lost", (double)tally->lost);
	cJSON_AddItemToObject(part, "answer_ms", hist_json(&tally->answer));
	cJSON_AddItemToObject(part, "late_by_ms", hist_json(&tally->late_by));
	cJSON_AddItemToObject(part, "shown_ms", hist_json(&tally->shown));
}

static void add_rtsp(cJSON *object, const struct rtsp_tally *tally, uint64_t unread)
{
	cJSON *part = cJSON_AddObjectToObject(object, "rtsp");

	add(part, "packets", (double)tally->rtp.packets);
	add(part, "reports", (double)tally->rtp.reports);
	add(part, "gaps", (double)tally->rtp.gaps);
	add(part, "lost_packets", (double)tally->rtp.lost);
	add(part, "torn_units", (double)tally->rtp.torn);
	add(part, "ssrc_changes", (double)tally->rtp.ssrc_changes);
	add(part, "refused", (double)tally->refused);
	add(part, "info_ahead", (double)tally->ahead);
	add(part, "unread_datagrams", (double)unread);
}

void report_json(const struct report *report, FILE *out)
{
	const struct crowd *crowd = report->crowd;
	const struct crowd_options *options = &crowd->options;
	double each = bytes_per_unit(report);
	cJSON *object = cJSON_CreateObject(), *part;
	char *text;

	cJSON_AddStringToObject(object, "target", report->target);
	cJSON_AddItemToObject(object, "environment", environment(report));
	part = cJSON_AddObjectToObject(object, "clients");
	add(part, "healthy", options->healthy);
	add(part, "scanned", options->scan);
	add(part, "stalled", options->stalled);
	add(part, "flapping", options->flapping);
	add(part, "joining_per_second", options->joining);
	add(object, "seconds", seconds_of(report));
	add(object, "bytes", (double)report->yield.bytes);
	add(object, "bytes_per_unit", each);
	add(object, "units_per_second",
	    options->scan ? (double)report->yield.scanned_units / options->scan / seconds_of(report)
			  : 0);
	add(object, "deliveries", deliveries(report));
	add(object, "short_clients", report->yield.short_clients);
	add(object, "short_units", each > 0 ? (double)report->yield.short_bytes / each : 0);
	add_groups(object, crowd);
	add_hls(object, &crowd->hls);
	add_rtsp(object, &crowd->rtsp, crowd->unread);
	cJSON_AddItemToObject(object, "latency_last_ms", hist_json(&crowd->panel.latency_last));
	cJSON_AddItemToObject(object, "first_key_ms", hist_json(&crowd->first_key));
	part = cJSON_AddObjectToObject(object, "connections");
	add(part, "never_served", (double)crowd->never_served);
	add(part, "still_waiting", (double)crowd->still_waiting);
	add(part, "ended_by_server", (double)crowd->ended_by_server);
	add(part, "reset_by_server", (double)crowd->reset_by_server);
	add(part, "refused", (double)crowd->refused);
	add(part, "not_connected", (double)crowd->not_connected);
	add(part, "gave_up", (double)crowd->gave_up);
	add(part, "flaps", (double)crowd->flaps);
	add(part, "joins", (double)crowd->joins);
	if (report->pid)
		cJSON_AddItemToObject(object, "server", server_json(report));
	cJSON_AddItemToObject(object, "tcp_memory", tcp_json(report));
	cJSON_AddItemToObject(object, "generator", generator_json(report));
	text = cJSON_Print(object);
	if (text)
		fprintf(out, "%s\n", text);
	free(text);
	cJSON_Delete(object);
}

/* --- the table --- */

static void line_of_times(FILE *out, const char *name, const struct hist *hist)
{
	if (hist->n == 0)
		return;
	fprintf(out, "%-22s p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f ms  (%lu)\n", name,
		(double)hist_percentile_us(hist, 0.5) / 1e3,
		(double)hist_percentile_us(hist, 0.9) / 1e3,
		(double)hist_percentile_us(hist, 0.99) / 1e3,
		(double)hist_percentile_us(hist, 0.999) / 1e3, (double)hist->max_us / 1e3, hist->n);
}

static void lines_of_group(FILE *out, const char *name, const struct tally *tally)
{
	if (tally->streams == 0)
		return;
	fprintf(out, "%-22s %lu streams, %lu units, %lu missed, %lu resyncs, %lu shed\n", name,
		tally->streams, tally->units, tally->missed, tally->resyncs, tally->shed);
	if (tally->gap_ends_not_key || tally->begins_not_key || tally->malformed)
		fprintf(out,
			"%-22s WRONG: %lu gaps end and %lu streams begin without a key unit, %lu "
			"malformed\n",
			"", tally->gap_ends_not_key, tally->begins_not_key, tally->malformed);
	if (tally->pictures || tally->decode_errors)
		fprintf(out, "%-22s %lu pictures decoded, %lu errors\n", "", tally->pictures,
			tally->decode_errors);
	line_of_times(out, "  capture to client", &tally->latency);
}

static void lines_of_hls(FILE *out, const struct hls_tally *tally)
{
	if (tally->playlists == 0)
		return;
	fprintf(out,
		"%-22s %lu playlists, %lu objects, %lu of them late; %lu answers other than 200, "
		"%lu times lost\n",
		"HLS players", tally->playlists, tally->objects, tally->late, tally->failed,
		tally->lost);
	line_of_times(out, "  request to object", &tally->answer);
	line_of_times(out, "  late by", &tally->late_by);
	line_of_times(out, "  capture to shown", &tally->shown);
}

static void lines_of_rtsp(FILE *out, const struct rtsp_tally *tally, uint64_t unread)
{
	const struct rtp_tally *rtp = &tally->rtp;

	if (rtp->packets == 0 && tally->refused == 0)
		return;
	fprintf(out,
		"%-22s %lu packets, %lu sender reports, %lu gaps of %lu packets, %lu requests "
		"refused\n",
		"RTSP players", rtp->packets, rtp->reports, rtp->gaps, rtp->lost, tally->refused);
	if (unread > 0)
		fprintf(out, "%-22s %lu datagrams were not read in time\n", "", unread);
	if (rtp->torn || rtp->ssrc_changes || tally->ahead)
		fprintf(out,
			"%-22s WRONG: %lu units torn, %lu changes of SSRC, %lu times RTP-Info "
			"ahead "
			"of the stream\n",
			"", rtp->torn, rtp->ssrc_changes, tally->ahead);
}

void report_table(const struct report *report, FILE *out)
{
	const struct crowd *crowd = report->crowd;
	const struct usage *start = &report->start, *end = &report->end;
	double seconds = seconds_of(report);
	const char *why = report_bottleneck(report);

	fprintf(out, "%-22s %u clients, %.1f s, %.1f MB/s\n", report->target,
		crowd->options.healthy, seconds, (double)report->yield.bytes / 1e6 / seconds);
	lines_of_group(out, "healthy", &crowd->healthy);
	line_of_times(out, "  to the last of them", &crowd->panel.latency_last);
	lines_of_hls(out, &crowd->hls);
	lines_of_rtsp(out, &crowd->rtsp, crowd->unread);
	if (report->yield.short_clients > 0)
		fprintf(out, "%-22s %u clients received less than the others\n", "",
			report->yield.short_clients);
	for (unsigned i = 0; i < crowd->options.n_slow; i++) {
		char name[48];

		snprintf(name, sizeof(name), "slow, %.0f B/s", crowd->options.slow[i].rate);
		lines_of_group(out, name, &crowd->options.slow[i].tally);
	}
	lines_of_group(out, "flapping", &crowd->flapping);
	lines_of_group(out, "joining", &crowd->joining);
	line_of_times(out, "first key unit", &crowd->first_key);
	fprintf(out,
		"%-22s %lu never served, %lu without a key unit yet, %lu ended and %lu reset by "
		"the server, %lu refused, "
		"%lu given up\n",
		"connections", crowd->never_served, crowd->still_waiting, crowd->ended_by_server,
		crowd->reset_by_server, crowd->refused, crowd->gave_up);
	if (report->pid) {
		fprintf(out, "%-22s %.2f us per client and unit, %.1f %% of a core, %.1f MB\n",
			"server", cost_us(report), server_cpu_us(report) / 1e4 / seconds,
			(double)end->rss_kb / 1024);
		fprintf(out, "%-22s %.0f waits and %.1f preemptions a second\n", "",
			(double)(end->waits - start->waits) / seconds,
			(double)(end->preemptions - start->preemptions) / seconds);
	}
	fprintf(out, "%-22s %.1f MB charged for what the server sent\n", "kernel TCP memory",
		server_tcp_kb(report, end, report->end_receive_memory) / 1024);
	fprintf(out, "%-22s %.0f %% of a core, a round every %.1f ms (p99 %.1f): %s\n", "generator",
		own_percent(report), (double)hist_percentile_us(&crowd->ticks, 0.5) / 1e3,
		(double)hist_percentile_us(&crowd->ticks, 0.99) / 1e3, why ? why : "kept up");
}
