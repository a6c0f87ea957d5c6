/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The load generator: one process that plays many clients of one stream, of all kinds that a server
 * meets, and reports what they received. bench/lib/crowd.h describes how they behave, judge.h what
 * is checked, and report.h the result.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/clock.h"
#include "base/quantity.h"
#include "bench/lib/report.h"

#define PROGRESS_US 250000
#define SECOND_US 1000000

struct camload {
	struct crowd_options options;
	struct crowd_target target;
	enum rtsp_transport transport;
	const char *framing, *json;
	double duration, warm_up;
	int cpu; /* -1: any */
	struct report report;
	struct crowd crowd;
};

static const char usage_text[] =
	"camload [options] HOST:PORT | http://HOST:PORT/PATH | rtsp://HOST:PORT/STREAM |\n"
	"                  tls://HOST:PORT | https://HOST:PORT/PATH | rtsps://HOST:PORT/STREAM |\n"
	"                  rtmp://HOST:PORT/APP/STREAM\n"
	"  --clients N       healthy clients; the bytes of most are only counted (default 100)\n"
	"  --scan K          parse all that K of them receive: latency, gaps (default 1)\n"
	"  --decode K        decode what K of the scanned clients and of each kind of slow\n"
	"                    clients received, after the run\n"
	"  --slow K@RATE     clients that read RATE bytes a second; may be given several times\n"
	"  --stalled K       clients that never read\n"
	"  --flapping K      clients that leave after 0.05 to 1.5 s and connect again\n"
	"  --joining R       R newcomers a second, each until its first key unit\n"
	"  --framing annexb|length|ts|mp4|mjpg|ws|hls|hls-plain\n"
	"                    the format of the stream (default: by the end of the path, .h264,\n"
	"                    .ts, .mp4, .mjpg, .ws or .m3u8, or annexb); hls-plain takes no parts\n"
	"  --transport tcp|udp|multicast\n"
	"                    how RTP is to come over RTSP (default tcp)\n"
	"  --gro             over UDP: clients take datagrams as the server left them to be cut\n"
	"                    up (UDP_GRO), as if its device did that\n"
	"  --discard         --gro, and the kernel drops what clients that are only counted would\n"
	"                    receive; what the scanned ones receive counts for all\n"
	"  --acks auto|quick|delayed\n"
	"                    quick: acknowledge on each read, as the kernel mostly does where a\n"
	"                    client only receives; delayed: with a later packet, as it may where\n"
	"                    a client answers the server; default: auto, as it chooses\n"
	"  --duration TIME   measure for this time, such as 30s or 5m (default 5s)\n"
	"  --warm-up TIME    begin this time after all clients are served (default 1s)\n"
	"  --connect-rate R  connections a second at the start (default 2000)\n"
	"  --read-every MS   read clients that are only counted so often (default: 5, or a 200th\n"
	"                    of their number, at most 30)\n"
	"  --pid PID         the server's process: report CPU time, memory, context switches\n"
	"  --unit-size B     bytes of each unit, if no client is scanned\n"
	"  --cpu C           run on core C\n"
	"  --seed N          seed of the times at which flapping clients leave (default 1)\n"
	"  --json FILE       write the result as JSON; - is stdout, without the table\n";

/* Draws the line of progress on a terminal again. */
static void show_progress(struct crowd *crowd)
{
	static int64_t next_us;
	static uint64_t last_bytes;
	int64_t now_us = crowd->last_us;

	if (now_us < next_us || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr,
		"\r\033[K%u connected, %.1f MB/s, %lu units scanned, p99 %.1f ms, %lu missed, "
		"%lu ended by the server",
		crowd->connected, (double)(crowd->bytes - last_bytes) / (PROGRESS_US / 1e6) / 1e6,
		crowd->healthy.units,
		(double)hist_percentile_us(&crowd->healthy.latency, 0.99) / 1e3,
		crowd->healthy.missed, crowd->ended_by_server + crowd->reset_by_server);
	last_bytes = crowd->bytes;
	next_us = now_us + PROGRESS_US;
}

static void end_progress(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
}

static bool parse_slow(struct crowd_options *options, const char *text)
{
	struct crowd_slow *slow = &options->slow[options->n_slow];

	if (options->n_slow == CROWD_SLOW_MAX ||
	    sscanf(text, "%u@%lf", &slow->clients, &slow->rate) != 2 || slow->rate <= 0)
		return false;
	options->n_slow++;
	return true;
}

/* Writes the number of the word in a list. */
static bool parse_word(unsigned *out, const char *const *words, unsigned n, const char *text)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(text, words[i]) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool parse_transport(enum rtsp_transport *out, const char *text)
{
	static const char *const names[] = {"tcp", "udp", "multicast"};
	unsigned i;

	if (!parse_word(&i, names, sizeof(names) / sizeof(*names), text))
		return false;
	*out = (enum rtsp_transport)i;
	return true;
}

static bool parse_acks(enum crowd_acks *out, const char *text)
{
	static const char *const names[] = {"auto", "quick", "delayed"};
	unsigned i;

	if (!parse_word(&i, names, sizeof(names) / sizeof(*names), text))
		return false;
	*out = (enum crowd_acks)i;
	return true;
}

enum {
	OPTION_CLIENTS = 256,
	OPTION_SCAN,
	OPTION_DECODE,
	OPTION_SLOW,
	OPTION_STALLED,
	OPTION_FLAPPING,
	OPTION_JOINING,
	OPTION_FRAMING,
	OPTION_TRANSPORT,
	OPTION_GRO,
	OPTION_DISCARD,
	OPTION_ACKS,
	OPTION_DURATION,
	OPTION_WARM_UP,
	OPTION_CONNECT_RATE,
	OPTION_READ_EVERY,
	OPTION_PID,
	OPTION_UNIT_SIZE,
	OPTION_CPU,
	OPTION_SEED,
	OPTION_JSON,
	OPTION_HELP,
};

/* In the order of their codes. */
static const struct option long_options[] = {
	{"clients", required_argument, NULL, OPTION_CLIENTS},
	{"scan", required_argument, NULL, OPTION_SCAN},
	{"decode", required_argument, NULL, OPTION_DECODE},
	{"slow", required_argument, NULL, OPTION_SLOW},
	{"stalled", required_argument, NULL, OPTION_STALLED},
	{"flapping", required_argument, NULL, OPTION_FLAPPING},
	{"joining", required_argument, NULL, OPTION_JOINING},
	{"framing", required_argument, NULL, OPTION_FRAMING},
	{"transport", required_argument, NULL, OPTION_TRANSPORT},
	{"gro", no_argument, NULL, OPTION_GRO},
	{"discard", no_argument, NULL, OPTION_DISCARD},
	{"acks", required_argument, NULL, OPTION_ACKS},
	{"duration", required_argument, NULL, OPTION_DURATION},
	{"warm-up", required_argument, NULL, OPTION_WARM_UP},
	{"connect-rate", required_argument, NULL, OPTION_CONNECT_RATE},
	{"read-every", required_argument, NULL, OPTION_READ_EVERY},
	{"pid", required_argument, NULL, OPTION_PID},
	{"unit-size", required_argument, NULL, OPTION_UNIT_SIZE},
	{"cpu", required_argument, NULL, OPTION_CPU},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"json", required_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0}};

static const struct cli cli = {"camload", "", long_options};

static bool parse_seconds(const char *text, double *out)
{
	int64_t us;

	if (quantity_parse_time(text, SECOND_US, &us) < 0)
		return false;
	*out = (double)us / SECOND_US;
	return *out < 1e9;
}

static bool take_option(struct camload *load, int option, const char *text)
{
	struct crowd_options *options = &load->options;
	char *end = NULL;
	double number = text ? strtod(text, &end) : 0;
	bool good = end && end != text && *end == '\0' && number >= 0 && number < 1e9;

	switch (option) {
	case OPTION_CLIENTS:
		options->healthy = (unsigned)number;
		return good;
	case OPTION_SCAN:
		options->scan = (unsigned)number;
		return good;
	case OPTION_DECODE:
		options->decode = (unsigned)number;
		return good;
	case OPTION_SLOW:
		return parse_slow(options, text);
	case OPTION_STALLED:
		options->stalled = (unsigned)number;
		return good;
	case OPTION_FLAPPING:
		options->flapping = (unsigned)number;
		return good;
	case OPTION_JOINING:
		options->joining = number;
		return good;
	case OPTION_FRAMING:
		load->framing = text;
		return true;
	case OPTION_TRANSPORT:
		return parse_transport(&load->transport, text);
	case OPTION_GRO:
		options->gro = true;
		return true;
	case OPTION_DISCARD:
		options->gro = options->discard = true;
		return true;
	case OPTION_ACKS:
		return parse_acks(&options->acks, text);
	case OPTION_DURATION:
		return parse_seconds(text, &load->duration) && load->duration > 0;
	case OPTION_WARM_UP:
		return parse_seconds(text, &load->warm_up);
	case OPTION_CONNECT_RATE:
		options->connect_rate = (unsigned)number;
		return good && number >= 1;
	case OPTION_READ_EVERY:
		options->read_every_ms = (unsigned)number;
		return good && number >= 1;
	case OPTION_PID:
		load->report.pid = (pid_t)number;
		return good;
	case OPTION_UNIT_SIZE:
		load->report.unit_size = (uint32_t)number;
		return good;
	case OPTION_CPU:
		load->cpu = (int)number;
		return good;
	case OPTION_SEED:
		options->seed = (uint32_t)number;
		return good;
	case OPTION_JSON:
		load->json = text;
		return true;
	default:
		return false;
	}
}

static bool take_framing(struct camload *load)
{
	struct wire_source *source = &load->target.source;

	if (!load->framing)
		return true;
	return source->framing != WIRE_RTSP && source->framing != WIRE_RTMP &&
	       crowd_framing_parse(&source->framing, load->framing) == 0 &&
	       (source->http || source->framing < WIRE_WEBSOCKET);
}

/* Returns NULL, or what is wrong with --transport, --gro and --discard. */
static const char *take_transport(struct camload *load)
{
	const struct crowd_options *options = &load->options;
	struct wire_source *source = &load->target.source;

	source->transport = load->transport;
	if (load->transport == RTSP_INTERLEAVED)
		return options->gro ? "--gro and --discard need --transport udp or multicast"
				    : NULL;
	if (source->framing != WIRE_RTSP || source->tls)
		return "--transport udp and multicast need an rtsp:// URL";
	if (options->n_slow > 0 || options->stalled > 0)
		return "no --slow and --stalled without --transport tcp: over UDP who does not "
		       "read loses datagrams, and the server does not notice";
	if (options->discard && options->scan == 0)
		return "--discard needs scanned clients (--scan)";
	return NULL;
}

static void parse(struct camload *load, int argc, char **argv)
{
	const char *wrong;
	int option, result = 0;

	while ((option = cli_next(&cli, argc, argv)) != -1) {
		if (option == OPTION_HELP) {
			fputs(usage_text, stdout);
			exit(0);
		}
		if (option == '?')
			exit(EXIT_USAGE);
		if (!take_option(load, option, optarg))
			exit(cli_refuse(&cli,
					"--%s %s: this value is not allowed; \"camload --help\" "
					"lists the options",
					long_options[option - OPTION_CLIENTS].name, optarg));
	}
	if (optind + 1 != argc)
		exit(cli_refuse(&cli, "give one server, as HOST:PORT or a URL"));
	load->report.target = argv[optind];
	load->report.argc = argc;
	load->report.argv = argv;
	result = crowd_target_parse(&load->target, argv[optind]);
	if (result == -EHOSTUNREACH) {
		fprintf(stderr, "camload: %s: no such host\n", argv[optind]);
		exit(1);
	}
	if (result < 0)
		exit(cli_refuse(&cli,
				"%s: use HOST:PORT, http://HOST:PORT/PATH, "
				"rtsp://HOST:PORT/STREAM or rtmp://HOST:PORT/APP/STREAM",
				argv[optind]));
	if (!take_framing(load))
		exit(cli_refuse(&cli,
				"--framing %s: \"camload --help\" lists the framings; ws, hls and "
				"hls-plain need an http:// URL; RTSP and RTMP have their own",
				load->framing));
	wrong = take_transport(load);
	if (wrong)
		exit(cli_refuse(&cli, "%s", wrong));
}

static void prepare(struct camload *load)
{
	cpu_set_t set;
	int result;

	if (load->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned)load->cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0) {
			perror("camload: --cpu");
			exit(1);
		}
	}
	prctl(PR_SET_TIMERSLACK, 1);
	result = crowd_init(&load->crowd, &load->options, &load->target);
	if (result < 0) {
		fprintf(stderr, "camload: cannot prepare the clients: %s\n", strerror(-result));
		exit(1);
	}
}

static void read_usage(const struct camload *load, struct usage *usage)
{
	int result = usage_read(usage, load->report.pid);

	if (result < 0) {
		fprintf(stderr, "camload: process %d: %s\n", (int)load->report.pid,
			strerror(-result));
		exit(1);
	}
}

static void measure(struct camload *load)
{
	struct report *report = &load->report;
	struct crowd *crowd = &load->crowd;
	int64_t end_us;

	read_usage(load, &report->idle);
	crowd_begin(crowd, (int64_t)(load->warm_up * 1e6), show_progress);
	report->start_receive_memory = crowd_receive_memory(crowd);
	crowd_start_measuring(crowd);
	read_usage(load, &report->start);
	end_us = crowd->last_us + (int64_t)(load->duration * 1e6);
	while (crowd_sweep(crowd) < end_us)
		show_progress(crowd);
	report->end_receive_memory = crowd_receive_memory(crowd);
	read_usage(load, &report->end);
	report->yield = crowd_yield(crowd);
	end_progress();
	crowd_stop(crowd);
}

static int print(const struct camload *load)
{
	FILE *file;

	if (!load->json || strcmp(load->json, "-") != 0)
		report_table(&load->report, stdout);
	if (!load->json)
		return 0;
	if (strcmp(load->json, "-") == 0) {
		report_json(&load->report, stdout);
		return 0;
	}
	file = fopen(load->json, "we");
	if (file)
		report_json(&load->report, file);
	if (!file || fclose(file) != 0) {
		fprintf(stderr, "camload: %s: %s\n", load->json, strerror(errno));
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct camload load = {
		.options = {.healthy = 100, .scan = 1, .connect_rate = 2000, .seed = 1},
		.duration = 5,
		.warm_up = 1,
		.cpu = -1};
	int status;

	parse(&load, argc, argv);
	prepare(&load);
	load.report.crowd = &load.crowd;
	measure(&load);
	status = print(&load);
	crowd_finish(&load.crowd);
	return status;
}
