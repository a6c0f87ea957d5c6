/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The load generator: many clients of one feed in one process on a core of its own. Those that are
 * judged are read every millisecond, the others, whose bytes are thrown away, every five. No client is ever waited for with poll or epoll, so that no wake-up of a reader is
 * charged to the server that sends. Prints one JSON object: what the server spent per client and
 * unit, the latency from capture by the units' SEI, and verdicts over the streams that were read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/lib/judge.h"
#include "common/clock.h"

#define TICK_US 1000
#define DISCARD_TICKS 5		     /* clients that only count are read every so many ticks */
#define READ_SIZE 65536		     /* bytes a judged client reads at once */
#define SLOW_BUFFER 16384	     /* bytes of SO_RCVBUF for slow and stalled clients */
#define SERVED_TIMEOUT_US 10000000LL /* for everybody's first byte */

enum kind { KIND_HEALTHY, KIND_SLOW, KIND_STALLED, KIND_FLAPPING, KIND_JOINING };

struct client {
	int fd; /* -1: gone */
	enum kind kind;
	bool judged;
	struct judge judge;
	int64_t connected_us, leaves_us;
	uint64_t bytes;
	double budget; /* bytes a slow client may read now */
};

struct load {
	/* options */
	const char *host, *port;
	unsigned healthy, scan, decode, slow, stalled, flapping;
	double slow_rate, joining; /* bytes a second; clients a second */
	double seconds, warm_up;
	unsigned connect_rate; /* connections a second at the start */
	uint32_t unit_size;    /* 0: as judged */
	pid_t pid;
	int cpu;

	struct addrinfo *address;
	struct client *clients;
	unsigned n_clients, room, connected;
	struct judge_panel panel;
	struct samples first_key; /* connect to the first key unit whole */
	uint32_t tick;
	struct samples ticks; /* from one sweep's start to the next one's */
	uint64_t bytes;	      /* received by all */
	uint64_t never_served, ended_by_server, reset_by_server, refused;
	uint64_t flaps, joins;
	uint32_t random;
};

struct usage {
	int64_t wall_us, own_us, server_us;
	uint64_t bytes, units, unit_bytes;
	long rss_kb, rss_anon_kb, rss_shmem_kb; /* of the server */
	long tcp_mem_kb;			/* of the machine: charged, shared pages in full */
};

static void die(const char *what)
{
	fprintf(stderr, "camload: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- one client --- */

/* Clients come from many addresses, 127.1.x.y, as far as loopback is what they use. */
static void spread_source(const struct load *load, int fd, unsigned index)
{
	const struct sockaddr_in *to = (const struct sockaddr_in *)load->address->ai_addr;
	struct sockaddr_in from = {.sin_family = AF_INET};
	int one = 1;

	if (to->sin_family != AF_INET || ntohl(to->sin_addr.s_addr) >> 24 != 127)
		return;
	from.sin_addr.s_addr = htonl(0x7f010001 + (index / 250 % 250 << 8) + index % 250);
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		die("bind");
}

static void connect_client(struct load *load, struct client *client)
{
	const struct addrinfo *to = load->address;
	int buffer = SLOW_BUFFER;

	client->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		die("socket");
	if ((client->kind == KIND_SLOW || client->kind == KIND_STALLED) &&
	    setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)) < 0)
		die("SO_RCVBUF");
	spread_source(load, client->fd, (unsigned)(client - load->clients));
	client->connected_us = clock_now_us();
	client->bytes = 0;
	client->budget = 0;
	if (client->judged) {
		judge_init(&client->judge, &load->panel);
		client->judge.keep = client->kind == KIND_HEALTHY &&
				     (unsigned)(client - load->clients) < load->decode;
		client->judge.counts_as_last = client->kind == KIND_HEALTHY;
	}
	if (connect(client->fd, to->ai_addr, to->ai_addrlen) < 0 && errno != EINPROGRESS)
		die("connect");
}

static void close_client(struct load *load, struct client *client)
{
	socklen_t len = sizeof(int);
	int error = 0;

	/* A stalled client never reads, so this is where it learns that the server gave it up. */
	if (client->kind == KIND_STALLED &&
	    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error)
		load->reset_by_server++;
	close(client->fd);
	client->fd = -1;
	if (!client->judged)
		return;
	if (client->judge.first_key_us && client->kind != KIND_SLOW && load->panel.timing)
		samples_add(&load->first_key, client->judge.first_key_us - client->connected_us);
	judge_finish(&client->judge);
}

/* false: the connection is over. */
static bool take(struct load *load, struct client *client, ssize_t n)
{
	if (n > 0) {
		client->bytes += (uint64_t)n;
		load->bytes += (uint64_t)n;
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n == 0)
		load->ended_by_server++;
	else if (errno == ECONNREFUSED)
		load->refused++;
	else
		load->reset_by_server++;
	close_client(load, client);
	return false;
}

static void read_judged(struct load *load, struct client *client, size_t limit)
{
	for (int round = 0; round < 4 && limit > 0; round++) {
		size_t size = limit < READ_SIZE ? limit : READ_SIZE;
		ssize_t n =
			recv(client->fd, judge_room(&client->judge, READ_SIZE), size, MSG_DONTWAIT);

		if (!take(load, client, n) || n < 0)
			return;
		judge_received(&client->judge, (size_t)n, clock_now_us());
		limit -= (size_t)n;
		if ((size_t)n < size)
			return;
	}
}

static void read_slow(struct load *load, struct client *client, int64_t elapsed_us)
{
	uint64_t before = client->bytes;

	client->budget += load->slow_rate * (double)elapsed_us / 1e6;
	if (client->budget > load->slow_rate / 4 + 1)
		client->budget = load->slow_rate / 4 + 1;
	if (client->budget < 1)
		return;
	read_judged(load, client, (size_t)client->budget);
	client->budget -= (double)(client->bytes - before);
}

static uint32_t random_below(struct load *load, uint32_t limit)
{
	load->random = load->random * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)load->random * limit >> 32);
}

static void sweep_client(struct load *load, struct client *client, int64_t now_us,
			 int64_t elapsed_us)
{
	switch (client->kind) {
	case KIND_STALLED:
		return;
	case KIND_SLOW:
		read_slow(load, client, elapsed_us);
		return;
	case KIND_FLAPPING:
		if (now_us >= client->leaves_us) {
			close_client(load, client);
			load->flaps++;
			connect_client(load, client);
			client->leaves_us = now_us + 50000 + random_below(load, 1500000);
			return;
		}
		break;
	case KIND_JOINING:
		if (client->judge.first_key_us) {
			close_client(load, client);
			return;
		}
		break;
	case KIND_HEALTHY:
		break;
	}
	if (client->judged)
		read_judged(load, client, SIZE_MAX);
	else
		take(load, client, recv(client->fd, NULL, 1 << 24, MSG_DONTWAIT | MSG_TRUNC));
}

/* --- all of them --- */

static void add_clients(struct load *load, enum kind kind, unsigned n)
{
	for (unsigned i = 0; i < n && load->n_clients < load->room; i++) {
		struct client *client = &load->clients[load->n_clients++];

		client->fd = -1;
		client->kind = kind;
		client->judged = kind == KIND_HEALTHY ? i < load->scan : kind != KIND_STALLED;
	}
}

/* A newcomer takes the place of one that left. */
static void join(struct load *load)
{
	for (unsigned i = load->n_clients; i-- > 0 && load->clients[i].kind == KIND_JOINING;) {
		if (load->clients[i].fd < 0) {
			connect_client(load, &load->clients[i]);
			load->joins++;
			return;
		}
	}
}

static bool all_served(const struct load *load)
{
	for (unsigned i = 0; i < load->n_clients; i++) {
		const struct client *client = &load->clients[i];

		if (client->kind == KIND_HEALTHY && client->fd >= 0 && client->bytes == 0)
			return false;
	}
	return true;
}

static int64_t sweep(struct load *load, int64_t last_us)
{
	int64_t now_us = clock_now_us(), next_us = last_us + TICK_US;

	if (next_us > now_us) {
		struct timespec at = {.tv_sec = next_us / 1000000,
				      .tv_nsec = next_us % 1000000 * 1000};

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
			;
		now_us = clock_now_us();
	}
	samples_add(&load->ticks, now_us - last_us);
	load->tick++;
	for (unsigned i = 0; i < load->n_clients; i++) {
		if (load->clients[i].fd >= 0 &&
		    (load->clients[i].judged || (load->tick + i) % DISCARD_TICKS == 0))
			sweep_client(load, &load->clients[i], now_us, now_us - last_us);
	}
	return now_us;
}

/* Connects everybody, evenly spread over time, and waits until all are served. */
static int64_t begin(struct load *load)
{
	int64_t start_us = clock_now_us(), now_us = start_us, deadline_us;

	while (load->connected < load->n_clients) {
		uint64_t due = (uint64_t)(now_us - start_us) * load->connect_rate / 1000000 + 1;

		for (; load->connected < load->n_clients && load->connected < due;
		     load->connected++) {
			if (load->clients[load->connected].kind != KIND_JOINING)
				connect_client(load, &load->clients[load->connected]);
		}
		now_us = sweep(load, now_us);
	}
	deadline_us = now_us + SERVED_TIMEOUT_US;
	while (!all_served(load) && now_us < deadline_us)
		now_us = sweep(load, now_us);
	for (unsigned i = 0; i < load->n_clients; i++) {
		const struct client *client = &load->clients[i];

		load->never_served += client->kind == KIND_HEALTHY && client->bytes == 0;
	}
	deadline_us = now_us + (int64_t)(load->warm_up * 1e6);
	while (now_us < deadline_us)
		now_us = sweep(load, now_us);
	return now_us;
}

static void measure(struct load *load, int64_t now_us)
{
	int64_t start_us = now_us, end_us = now_us + (int64_t)(load->seconds * 1e6);
	uint64_t joins = 0;

	samples_finish(&load->ticks);
	load->panel.timing = true;
	while (now_us < end_us) {
		uint64_t due = (uint64_t)((double)(now_us - start_us) / 1e6 * load->joining);

		for (; joins < due; joins++)
			join(load);
		now_us = sweep(load, now_us);
	}
}

/* --- what it cost --- */

static int64_t cpu_us(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		die("the server's CPU clock");
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The number after `word` in a /proc file; -1 if it is not there. */
static long proc_number(const char *path, const char *word)
{
	FILE *file = fopen(path, "re");
	char line[512];
	long value = -1;

	while (file && fgets(line, sizeof(line), file)) {
		char *at = strstr(line, word);

		if (at && sscanf(at + strlen(word), "%ld", &value) == 1)
			break;
	}
	if (file)
		fclose(file);
	return value;
}

static struct usage usage_now(const struct load *load)
{
	struct usage usage = {.wall_us = clock_now_us(),
			      .own_us = cpu_us(CLOCK_PROCESS_CPUTIME_ID),
			      .bytes = load->bytes,
			      .units = load->panel.units,
			      .unit_bytes = load->panel.unit_bytes};
	clockid_t clock;
	char path[64];

	if (load->pid) {
		errno = clock_getcpuclockid(load->pid, &clock);
		if (errno)
			die("--pid");
		usage.server_us = cpu_us(clock);
		snprintf(path, sizeof(path), "/proc/%d/status", (int)load->pid);
		usage.rss_kb = proc_number(path, "VmRSS:");
		usage.rss_anon_kb = proc_number(path, "RssAnon:");
		usage.rss_shmem_kb = proc_number(path, "RssShmem:");
	}
	usage.tcp_mem_kb = proc_number("/proc/net/sockstat", " mem ");
	if (usage.tcp_mem_kb >= 0)
		usage.tcp_mem_kb *= sysconf(_SC_PAGESIZE) / 1024;
	return usage;
}

static void print_server(const struct usage *a, const struct usage *b, double deliveries)
{
	double cpu = (double)(b->server_us - a->server_us);

	printf("  \"server\": {\"cpu_us\": %.0f, \"cpu_percent\": %.1f, "
	       "\"us_per_client_unit\": %.3f, \"rss_kb\": %ld, \"rss_anon_kb\": %ld, "
	       "\"rss_shmem_kb\": %ld},\n",
	       cpu, 100 * cpu / (double)(b->wall_us - a->wall_us),
	       deliveries > 0 ? cpu / deliveries : 0, b->rss_kb, b->rss_anon_kb, b->rss_shmem_kb);
}

static void print_result(struct load *load, const struct usage *a, const struct usage *b)
{
	struct judge_panel *panel = &load->panel;
	double wall = (double)(b->wall_us - a->wall_us);
	double units = (double)(b->units - a->units);
	double unit_bytes = load->unit_size ? load->unit_size
			    : units > 0	    ? (double)(b->unit_bytes - a->unit_bytes) / units
					    : 0;
	double bytes = (double)(b->bytes - a->bytes);
	double deliveries = unit_bytes > 0 ? bytes / unit_bytes : 0;
	double own = 100 * (double)(b->own_us - a->own_us) / wall;

	printf("{\"clients\": %u, \"seconds\": %.3f, \"bytes\": %.0f, \"unit_bytes\": %.0f, "
	       "\"deliveries\": %.0f,\n",
	       load->n_clients, wall / 1e6, bytes, unit_bytes, deliveries);
	if (load->pid)
		print_server(a, b, deliveries);
	printf("  \"latency_ms\": ");
	samples_print(&panel->latency, stdout);
	printf(",\n  \"latency_last_ms\": ");
	samples_print(&panel->latency_last, stdout);
	printf(",\n  \"first_key_ms\": ");
	samples_print(&load->first_key, stdout);
	printf(",\n  \"judged\": {\"streams\": %lu, \"units\": %lu, \"gaps\": %lu, "
	       "\"gap_ends_not_key\": %lu, \"begins_not_key\": %lu, \"malformed\": %lu, "
	       "\"pictures\": %lu, \"decode_errors\": %lu},\n",
	       panel->streams, panel->units, panel->gaps, panel->gap_ends_not_key,
	       panel->begins_not_key, panel->malformed, panel->pictures, panel->decode_errors);
	printf("  \"never_served\": %lu, \"ended_by_server\": %lu, \"reset_by_server\": %lu, "
	       "\"refused\": %lu, \"flaps\": %lu, \"joins\": %lu, \"tcp_mem_kb\": %ld,\n",
	       load->never_served, load->ended_by_server, load->reset_by_server, load->refused,
	       load->flaps, load->joins, b->tcp_mem_kb);
	printf("  \"generator\": {\"cpu_percent\": %.1f, \"tick_p50_ms\": %.3f, "
	       "\"tick_p99_ms\": %.3f, \"tick_max_ms\": %.3f, \"ok\": %s}}\n",
	       own, samples_percentile(&load->ticks, 0.5) / 1e3,
	       samples_percentile(&load->ticks, 0.99) / 1e3,
	       samples_percentile(&load->ticks, 1) / 1e3,
	       own < 90 && samples_percentile(&load->ticks, 0.99) <= 16 * TICK_US ? "true"
										  : "false");
}

/* --- main --- */

static const char usage_text[] =
	"camload [--host 127.0.0.1] --port PORT [options]; prints JSON\n"
	"  --clients N       healthy clients; most only count and discard (default 100)\n"
	"  --scan K          of those, this many are parsed whole: latency, gaps (default 1)\n"
	"  --decode K        of the scanned ones, decoded by libavcodec after the run\n"
	"  --slow K@RATE     clients that read RATE bytes a second\n"
	"  --stalled K       clients that never read\n"
	"  --flapping K      clients that leave and come again every 0.05 to 1.5 s\n"
	"  --joining R       R clients a second, each until its first key unit\n"
	"  --framing annexb|length\n"
	"  --seconds S       of measuring (5), after --warm-up S (1) from when all are served\n"
	"  --connect-rate R  connections a second at the start (2000)\n"
	"  --unit-size B     bytes of each unit, where the bytes themselves do not tell\n"
	"  --pid PID         the server: its CPU time and memory\n"
	"  --cpu C           run on this core\n";

static void parse(struct load *load, int argc, char **argv)
{
	static const struct option options[] = {{"host", required_argument, NULL, 'h'},
						{"port", required_argument, NULL, 'p'},
						{"clients", required_argument, NULL, 'n'},
						{"scan", required_argument, NULL, 'k'},
						{"decode", required_argument, NULL, 'd'},
						{"slow", required_argument, NULL, 's'},
						{"stalled", required_argument, NULL, 'b'},
						{"flapping", required_argument, NULL, 'f'},
						{"joining", required_argument, NULL, 'j'},
						{"framing", required_argument, NULL, 'F'},
						{"seconds", required_argument, NULL, 't'},
						{"warm-up", required_argument, NULL, 'w'},
						{"connect-rate", required_argument, NULL, 'r'},
						{"unit-size", required_argument, NULL, 'u'},
						{"pid", required_argument, NULL, 'P'},
						{"cpu", required_argument, NULL, 'c'},
						{NULL, 0, NULL, 0}};
	bool good = true;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned number = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;

		switch (c) {
		case 'h':
			load->host = optarg;
			break;
		case 'p':
			load->port = optarg;
			break;
		case 'n':
			load->healthy = number;
			break;
		case 'k':
			load->scan = number;
			break;
		case 'd':
			load->decode = number;
			break;
		case 's':
			good &= sscanf(optarg, "%u@%lf", &load->slow, &load->slow_rate) == 2;
			break;
		case 'b':
			load->stalled = number;
			break;
		case 'f':
			load->flapping = number;
			break;
		case 'j':
			load->joining = atof(optarg);
			break;
		case 'F':
			good &= strcmp(optarg, "annexb") == 0 || strcmp(optarg, "length") == 0;
			load->panel.framing = *optarg == 'l' ? JUDGE_LENGTH : JUDGE_ANNEXB;
			break;
		case 't':
			load->seconds = atof(optarg);
			break;
		case 'w':
			load->warm_up = atof(optarg);
			break;
		case 'r':
			load->connect_rate = number;
			break;
		case 'u':
			load->unit_size = number;
			break;
		case 'P':
			load->pid = (pid_t)number;
			break;
		case 'c':
			load->cpu = (int)number;
			break;
		default:
			good = false;
		}
	}
	if (!good || !load->port || optind != argc || load->seconds <= 0 ||
	    load->connect_rate == 0) {
		fputs(usage_text, stderr);
		exit(2);
	}
	if (load->scan > load->healthy)
		load->scan = load->healthy;
	if (load->decode > load->scan)
		load->decode = load->scan;
	load->panel.timed = load->scan;
}

static void prepare(struct load *load)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	unsigned joining = (unsigned)(load->joining * 20); /* nobody waits longer for a key unit */
	struct rlimit files;
	int error;

	error = getaddrinfo(load->host, load->port, &hints, &load->address);
	if (error) {
		fprintf(stderr, "camload: %s: %s\n", load->host, gai_strerror(error));
		exit(1);
	}
	if (load->cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((unsigned)load->cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0)
			die("--cpu");
	}
	prctl(PR_SET_TIMERSLACK, 1);
	load->room = load->healthy + load->slow + load->stalled + load->flapping + joining;
	load->clients = calloc(load->room + 1, sizeof(*load->clients));
	if (!load->clients || getrlimit(RLIMIT_NOFILE, &files) < 0)
		die("clients");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 || load->room + 32 > files.rlim_cur) {
		fprintf(stderr, "camload: %u clients, but the limit of open files is %lu\n",
			load->room, (unsigned long)files.rlim_cur);
		exit(1);
	}
	add_clients(load, KIND_HEALTHY, load->healthy);
	add_clients(load, KIND_SLOW, load->slow);
	add_clients(load, KIND_STALLED, load->stalled);
	add_clients(load, KIND_FLAPPING, load->flapping);
	add_clients(load, KIND_JOINING, joining);
}

static void finish(struct load *load)
{
	for (unsigned i = 0; i < load->n_clients; i++) {
		if (load->clients[i].fd >= 0)
			close_client(load, &load->clients[i]);
	}
	judge_panel_finish(&load->panel);
	for (unsigned i = 0; i < load->decode; i++)
		judge_decode(&load->clients[i].judge);
}

int main(int argc, char **argv)
{
	struct load load = {.host = "127.0.0.1",
			    .healthy = 100,
			    .scan = 1,
			    .seconds = 5,
			    .warm_up = 1,
			    .connect_rate = 2000,
			    .cpu = -1,
			    .random = 1};
	struct usage before, after;
	int64_t now_us;

	parse(&load, argc, argv);
	prepare(&load);
	now_us = begin(&load);
	before = usage_now(&load);
	measure(&load, now_us);
	after = usage_now(&load);
	finish(&load);
	print_result(&load, &before, &after);
	samples_finish(&load.panel.latency);
	samples_finish(&load.panel.latency_last);
	samples_finish(&load.first_key);
	samples_finish(&load.ticks);
	free(load.clients);
	freeaddrinfo(load.address);
	return 0;
}
