/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/crowd.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "bench/lib/client.h"
#include "bench/lib/pace.h"

#define SERVED_TIMEOUT_US 10000000LL /* for the first byte of all clients */
#define JOIN_PATIENCE_S 20	     /* the longest wait for a key unit that is recorded */
#define OWN_FDS 64		     /* what this process needs besides clients */

/* --- one client --- */

static void read_slow(struct crowd *crowd, struct crowd_client *client, int64_t elapsed_us)
{
	double rate = crowd->options.slow[client->group].rate;
	uint64_t before = client->bytes;

	client->budget += rate * (double)elapsed_us / 1e6;
	if (client->budget > rate / 4 + 1)
		client->budget = rate / 4 + 1;
	if (client->budget < 1)
		return;
	client_read(crowd, client, (size_t)client->budget);
	client->budget -= (double)(client->bytes - before);
}

static uint32_t random_below(struct crowd *crowd, uint32_t limit)
{
	crowd->random = crowd->random * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)crowd->random * limit >> 32);
}

static void flap(struct crowd *crowd, struct crowd_client *client, int64_t now_us)
{
	int64_t due_us = client->leaves_us ? client->leaves_us : now_us;

	if (client->fd >= 0) {
		client_close(crowd, client);
		crowd->flaps++;
	}
	client_connect(crowd, client, due_us, false);
	client->leaves_us = due_us + 50000 + random_below(crowd, 1500000);
}

static void read_healthy(struct crowd *crowd, struct crowd_client *client)
{
	if (!client->judging && !client->playing) {
		client_count(crowd, client);
		return;
	}
	client_read(crowd, client, SIZE_MAX);
	if (client->fd < 0 || !client->judging || client->scanned)
		return;
	if (client->judge.first_key_us || (client->deaf && !wire_is_asking(&client->wire)))
		client_stop_judging(crowd, client);
}

static void sweep_client(struct crowd *crowd, struct crowd_client *client, int64_t now_us,
			 int64_t elapsed_us)
{
	if (client->kind == KIND_FLAPPING && now_us >= client->leaves_us && client->leaves_us) {
		flap(crowd, client, now_us);
		return;
	}
	if (client->fd < 0)
		return;
	if (client->judging || client->playing)
		wire_tick(&client->wire, now_us);
	client_say(client);
	switch (client->kind) {
	case KIND_STALLED:
		/* RTMP and RTSP need a dialogue before there is a stream that can stall. */
		if ((client->wire.rtmp && !client->judge.begun) || wire_is_asking(&client->wire))
			client_read(crowd, client, SIZE_MAX);
		break;
	case KIND_SLOW:
		read_slow(crowd, client, elapsed_us);
		break;
	case KIND_JOINING:
		client_read(crowd, client, SIZE_MAX);
		if (client->fd >= 0 && client->judge.first_key_us)
			client_close(crowd, client);
		break;
	case KIND_FLAPPING:
		client_read(crowd, client, SIZE_MAX);
		break;
	case KIND_HEALTHY:
		read_healthy(crowd, client);
		break;
	}
}

/* --- all of them --- */

/* The number of clients before the i-th healthy one that are judged to the end. They are spread
 * evenly in the order of connecting, because a server may always send in the same order. */
static unsigned scanned_before(const struct crowd *crowd, unsigned i)
{
	uint64_t n = crowd->options.healthy;

	return (unsigned)(((uint64_t)i * crowd->options.scan + n / 2) / n);
}

static struct crowd_client *add_clients(struct crowd *crowd, enum client_kind kind, unsigned n)
{
	struct crowd_client *first = &crowd->clients[crowd->n_clients];

	for (unsigned i = 0; i < n; i++) {
		first[i].fd = -1;
		first[i].kind = kind;
		first[i].scanned = kind == KIND_HEALTHY
					   ? scanned_before(crowd, i) < scanned_before(crowd, i + 1)
					   : kind != KIND_STALLED;
	}
	crowd->n_clients += n;
	return first;
}

int crowd_init(struct crowd *crowd, const struct crowd_options *options,
	       const struct crowd_target *target)
{
	unsigned joining = (unsigned)(options->joining * JOIN_PATIENCE_S), room, fds;
	struct rlimit files;

	memset(crowd, 0, sizeof(*crowd));
	crowd->options = *options;
	crowd->target = target;
	crowd->source = target->source;
	crowd->source.hls = &crowd->hls;
	crowd->source.rtsp = &crowd->rtsp;
	crowd->random = options->seed;
	room = options->healthy + options->stalled + options->flapping + joining;
	for (unsigned i = 0; i < options->n_slow; i++)
		room += options->slow[i].clients;
	fds = (client_has_datagrams(crowd) ? 3 : 1) * room + OWN_FDS;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 || fds > files.rlim_cur)
		return -EMFILE;
	if (target->source.tls) {
		crowd->tls = SSL_CTX_new(TLS_client_method());
		if (!crowd->tls)
			return -ENOMEM;
		/* As most clients: the server chooses the cipher. */
		SSL_CTX_set_mode(crowd->tls, SSL_MODE_RELEASE_BUFFERS);
		SSL_CTX_set_options(crowd->tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
	}
	crowd->clients = calloc(room + 1, sizeof(*crowd->clients));
	if (!crowd->clients) {
		SSL_CTX_free(crowd->tls);
		return -ENOMEM;
	}
	if (crowd->options.scan > options->healthy)
		crowd->options.scan = options->healthy;
	crowd->panel.timed = crowd->options.scan;
	add_clients(crowd, KIND_HEALTHY, options->healthy);
	for (unsigned i = 0; i < options->n_slow; i++) {
		struct crowd_client *first =
			add_clients(crowd, KIND_SLOW, options->slow[i].clients);

		for (unsigned j = 0; j < options->slow[i].clients; j++)
			first[j].group = i;
	}
	add_clients(crowd, KIND_STALLED, options->stalled);
	add_clients(crowd, KIND_FLAPPING, options->flapping);
	add_clients(crowd, KIND_JOINING, joining);
	crowd->discard_ticks = options->healthy / 200;
	if (crowd->discard_ticks < 5)
		crowd->discard_ticks = 5;
	if (crowd->discard_ticks > 30)
		crowd->discard_ticks = 30;
	if (options->read_every_ms > 0)
		crowd->discard_ticks = options->read_every_ms * 1000 / CROWD_TICK_US;
	crowd->last_us = clock_now_us();
	return 0;
}

/* A newcomer takes the place of one that left. */
static void join(struct crowd *crowd, int64_t due_us)
{
	for (unsigned i = crowd->n_clients; i-- > 0 && crowd->clients[i].kind == KIND_JOINING;) {
		if (crowd->clients[i].fd < 0) {
			client_connect(crowd, &crowd->clients[i], due_us, false);
			crowd->joins++;
			return;
		}
	}
	crowd->not_connected++;
}

static void let_join(struct crowd *crowd, int64_t now_us)
{
	double interval_us = 1e6 / crowd->options.joining;

	while (crowd->join_from_us + (int64_t)((double)crowd->joins_due * interval_us) < now_us) {
		join(crowd,
		     crowd->join_from_us + (int64_t)((double)crowd->joins_due * interval_us));
		crowd->joins_due++;
	}
}

/* Reads the clients that are due, or all clients if `all`. */
static void sweep_clients(struct crowd *crowd, int64_t now_us, int64_t elapsed_us, bool all)
{
	for (unsigned i = 0; i < crowd->n_clients; i++) {
		struct crowd_client *client = &crowd->clients[i];

		if (all || client->judging || client->fd < 0 ||
		    (crowd->tick + i) % crowd->discard_ticks == 0)
			sweep_client(crowd, client, now_us, elapsed_us);
	}
}

int64_t crowd_sweep(struct crowd *crowd)
{
	int64_t last_us = crowd->last_us, now_us;

	pace_until_us(last_us + CROWD_TICK_US);
	now_us = clock_now_us();
	hist_add(&crowd->ticks, now_us - last_us);
	crowd->tick++;
	if (crowd->join_from_us && crowd->options.joining > 0)
		let_join(crowd, now_us);
	sweep_clients(crowd, now_us, now_us - last_us, false);
	crowd->last_us = now_us;
	return now_us;
}

/* Counts healthy clients without a byte of a stream, with or without those that lost their
 * connection. */
static unsigned unserved(const struct crowd *crowd, bool lost_too)
{
	unsigned n = 0;

	for (unsigned i = 0; i < crowd->options.healthy; i++) {
		const struct crowd_client *client = &crowd->clients[i];

		n += ((client->bytes == 0 && !client->deaf) || wire_is_asking(&client->wire)) &&
		     (lost_too || client->fd >= 0);
	}
	return n;
}

static bool keeps(const struct crowd *crowd, unsigned index)
{
	const struct crowd_client *client = &crowd->clients[index];
	unsigned first = index;

	if (client->kind == KIND_SLOW) {
		while (first > 0 && crowd->clients[first - 1].kind == KIND_SLOW &&
		       crowd->clients[first - 1].group == client->group)
			first--;
		return index - first < crowd->options.decode;
	}
	return client->kind == KIND_HEALTHY && client->scanned &&
	       scanned_before(crowd, index) < crowd->options.decode;
}

void crowd_begin(struct crowd *crowd, int64_t warm_up_us, void (*progress)(struct crowd *))
{
	int64_t start_us = crowd->last_us, now_us = start_us, deadline_us;
	unsigned next = 0;

	while (next < crowd->n_clients && crowd->clients[next].kind != KIND_JOINING) {
		for (;; next++) {
			struct crowd_client *client = &crowd->clients[next];
			int64_t due_us =
				start_us + (int64_t)next * 1000000 / crowd->options.connect_rate;

			if (next == crowd->n_clients || client->kind == KIND_JOINING ||
			    due_us > now_us)
				break;
			if (client->kind == KIND_FLAPPING)
				flap(crowd, client, due_us);
			else
				client_connect(crowd, client, due_us, keeps(crowd, next));
		}
		now_us = crowd_sweep(crowd);
		progress(crowd);
	}
	for (deadline_us = now_us + SERVED_TIMEOUT_US;
	     unserved(crowd, false) > 0 && now_us < deadline_us; progress(crowd))
		now_us = crowd_sweep(crowd);
	crowd->never_served = unserved(crowd, true);
	for (deadline_us = now_us + warm_up_us; now_us < deadline_us; progress(crowd))
		now_us = crowd_sweep(crowd);
}

static uint64_t scanned_units(const struct crowd *crowd)
{
	uint64_t units = 0;

	for (unsigned i = 0; i < crowd->options.healthy; i++)
		units += crowd->clients[i].scanned ? crowd->clients[i].judge.units : 0;
	return units;
}

static void mark(struct crowd_client *client)
{
	client->mark_bytes = client->bytes;
	if (client->pair.rtp >= 0)
		client->mark_dropped = udp_pair_dropped(&client->pair);
}

void crowd_start_measuring(struct crowd *crowd)
{
	sweep_clients(crowd, crowd->last_us, 0, true);
	hist_reset(&crowd->ticks);
	crowd->panel.timing = crowd->hls.timing = true;
	crowd->join_from_us = crowd->last_us;
	crowd->mark_bytes = crowd->bytes;
	crowd->mark_scanned_bytes = crowd->scanned_bytes;
	crowd->mark_scanned_units = scanned_units(crowd);
	for (unsigned i = 0; i < crowd->options.healthy; i++)
		mark(&crowd->clients[i]);
}

struct crowd_yield crowd_yield(struct crowd *crowd)
{
	struct crowd_yield yield = {0};
	uint64_t most = 0, tolerance;

	sweep_clients(crowd, crowd->last_us, 0, true);
	yield.bytes = crowd->bytes - crowd->mark_bytes;
	/* Those of the scanned clients stand for those that nobody counts. */
	if (crowd->options.discard && crowd->options.scan > 0)
		yield.bytes = (crowd->scanned_bytes - crowd->mark_scanned_bytes) *
			      crowd->options.healthy / crowd->options.scan;
	yield.scanned_units = scanned_units(crowd) - crowd->mark_scanned_units;
	if (yield.scanned_units > 0)
		yield.bytes_per_unit = (double)(crowd->scanned_bytes - crowd->mark_scanned_bytes) /
				       (double)yield.scanned_units;
	for (unsigned i = 0; i < crowd->options.healthy; i++) {
		uint64_t bytes = crowd->clients[i].bytes - crowd->clients[i].mark_bytes;

		most = bytes > most ? bytes : most;
	}
	/* A client that was read just before a key unit came lacks that unit, and no more. */
	tolerance = most / 50 + (uint64_t)(8 * yield.bytes_per_unit);
	/* Objects of HLS come as a whole; whether one was late is counted apart. */
	if (crowd->hls.objects > 0)
		tolerance += most;
	for (unsigned i = 0; i < crowd->options.healthy; i++) {
		const struct crowd_client *client = &crowd->clients[i];
		uint64_t bytes = client->bytes - client->mark_bytes;

		if (client->deaf)
			continue;
		if (client->pair.rtp >= 0)
			yield.unread += udp_pair_dropped(&client->pair) - client->mark_dropped;
		if (bytes + tolerance < most) {
			yield.short_clients++;
			yield.short_bytes += most - bytes;
		}
	}
	return yield;
}

uint64_t crowd_receive_memory(const struct crowd *crowd)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < crowd->n_clients; i++) {
		uint32_t info[SK_MEMINFO_VARS] = {0};
		socklen_t len = sizeof(info);

		if (crowd->clients[i].fd >= 0 &&
		    getsockopt(crowd->clients[i].fd, SOL_SOCKET, SO_MEMINFO, info, &len) == 0)
			sum += info[SK_MEMINFO_RMEM_ALLOC] + info[SK_MEMINFO_FWD_ALLOC];
	}
	return sum;
}

void crowd_stop(struct crowd *crowd)
{
	int64_t now_us = clock_now_us();

	for (unsigned i = 0; i < crowd->n_clients; i++) {
		struct crowd_client *client = &crowd->clients[i];

		if (client->fd < 0)
			continue;
		if ((client->kind == KIND_HEALTHY || client->kind == KIND_JOINING) &&
		    client->judging && client->judge.first_key_us == 0) {
			crowd->still_waiting++;
			hist_add(&crowd->first_key, now_us - client->due_us);
		}
		client_close(crowd, client);
	}
	judge_panel_finish(&crowd->panel);
	for (unsigned i = 0; i < crowd->n_clients; i++)
		judge_decode(&crowd->clients[i].judge);
}

void crowd_finish(struct crowd *crowd)
{
	free(crowd->clients);
	crowd->clients = NULL;
	SSL_CTX_free(crowd->tls);
}
