/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/quantity.h"
#include "base/text.h"
#include "client/client.h"
#include "client/record/folder.h"
#include "client/record/time.h"
#include "client/seats.h"
#include "client/stream/reader.h"
#include "client/stream/target.h"

#define REC_TOPICS "commend/rec, command/rec"
#define SECOND_US 1000000
#define SEGMENT_S 60
#define HASH_LEN 18 /* "-", 16 digits and the terminator */
#define SEGMENT_MAX_S 86400

static void print_usage(FILE *out)
{
	fputs("usage: camcast record [NAME|URL... | --all] --dir DIR [options]\n"
	      "\n"
	      "Records servers into MP4 files, DIR/SERVER/YYYYMMDDTHHMMSSZ.mp4 (UTC), without\n"
	      "encoding them again. NAME is a server's name or id, or NAME/STREAM. URL is\n"
	      "tcp://HOST:PORT, HOST:PORT or tcp+length://HOST:PORT, with tls for tcp where the\n"
	      "server speaks TLS, or rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH of any camera\n"
	      "(rtsps:// over TLS), and needs no broker. Without either, all servers are "
	      "recorded.\n"
	      "\n"
	      "      --all                 all servers, also those that appear later\n"
	      "  -d, --dir DIR             the folder of all recordings; it is made if necessary\n"
	      "      --max-servers N       record at most N servers of --all (64)\n"
	      "      --segment T           begin a file every T: 90s, 10m, 1h (1m)\n"
	      "      --on-command          record between `start` and `stop` on the recording "
	      "topic;\n"
	      "                            a restart of this program changes nothing\n"
	      "      --rec-topic TOPIC     the recording topics (" REC_TOPICS ")\n"
	      "      --max-bytes N         delete old files when all are larger, first those of "
	      "the\n"
	      "                            server that has most: 500M, 20G\n"
	      "      --max-age T           delete files that began longer ago: 12h, 30d\n"
	      "  -j, --json                print a line of JSON for each finished file\n"
	      "  -h, --help                print this\n",
	      out);
	broker_print_usage(out);
}

/* Whole seconds from 1 to max. Returns 0 or -EINVAL. */
static int parse_seconds(const char *text, int64_t max, int64_t *out)
{
	int64_t us;

	if (quantity_parse_time(text, SECOND_US, &us) < 0 || us % SECOND_US != 0 || us <= 0 ||
	    us / SECOND_US > max)
		return -EINVAL;
	*out = us / SECOND_US;
	return 0;
}

/* Names that differ have ids that differ, though an id is shorter. */
static void name_id(struct server *given)
{
	const size_t len = strlen(given->name), room = sizeof given->id - HASH_LEN;
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	char end[HASH_LEN];

	text_set(given->id, sizeof given->id, given->name);
	if (len < sizeof given->id)
		return;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)given->name[i]) * UINT64_C(0x100000001b3);
	snprintf(end, sizeof end, "-%016llx", (unsigned long long)hash);
	given->id[text_cut(given->id, room)] = '\0';
	text_append(given->id, sizeof given->id, end);
}

/* Those of the names that are URLs. Returns -1 to go on, or the exit status. */
static int parse_names(struct record_options *options, const struct cli *cli)
{
	size_t n = 0;

	while (options->names[n])
		n++;
	options->given = calloc(n + 1, sizeof *options->given);
	options->n_names = n;
	if (!options->given)
		return EXIT_FAILURE;
	for (size_t i = 0; i < n; i++) {
		struct server *given = &options->given[i];
		struct server_stream *stream = &given->streams[0];
		int err = target_take_argument(&options->names[i], stream);

		if (err < 0 && err != -ENOENT)
			return cli_refuse(cli, "%s: " TARGET_HELP, options->names[i]);
		if (err < 0)
			continue;
		given->n_streams = 1;
		target_name(given->name, sizeof given->name, stream);
		name_id(given);
	}
	return -1;
}

int record_options_parse(struct record_options *options, int argc, char **argv)
{
	enum { ALL = 256, MAX_SERVERS, SEGMENT, ON_COMMAND, MAX_BYTES, MAX_AGE };
	static const struct option long_options[] = {
		{"all", no_argument, NULL, ALL},
		{"dir", required_argument, NULL, 'd'},
		{"max-servers", required_argument, NULL, MAX_SERVERS},
		{"segment", required_argument, NULL, SEGMENT},
		{"on-command", no_argument, NULL, ON_COMMAND},
		{"max-bytes", required_argument, NULL, MAX_BYTES},
		{"max-age", required_argument, NULL, MAX_AGE},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		BROKER_OPTIONS,
		{0},
	};
	static const struct cli cli = {"camcast record", "d:jh", long_options};
	const char *dir = NULL;
	int64_t segment_s;
	int c;

	*options = (struct record_options){.segment_s = SEGMENT_S, .max_servers = SEATS_DEFAULT};
	broker_init(&options->broker);
	while ((c = cli_next(&cli, argc, argv)) >= 0) {
		switch (c) {
		case ALL:
			options->all = true;
			break;
		case 'd':
			dir = optarg;
			break;
		case MAX_SERVERS:
			if (seats_parse_max(optarg, &options->max_servers) < 0)
				return cli_refuse(&cli, "--max-servers %s: " SEATS_HELP, optarg);
			break;
		case SEGMENT:
			if (parse_seconds(optarg, SEGMENT_MAX_S, &segment_s) < 0)
				return cli_refuse(&cli,
						  "--segment %s: use a time from 1s to 24h, "
						  "such as 60, 90s or 10m",
						  optarg);
			options->segment_s = (unsigned)segment_s;
			break;
		case ON_COMMAND:
			options->on_command = true;
			break;
		case MAX_BYTES:
			if (quantity_parse_bytes(optarg, &options->limits.max_bytes) < 0 ||
			    options->limits.max_bytes == 0)
				return cli_refuse(&cli,
						  "--max-bytes %s: use a number of bytes, such as "
						  "500M or 20G",
						  optarg);
			break;
		case MAX_AGE:
			if (parse_seconds(optarg, INT64_MAX, &options->limits.max_age_s) < 0)
				return cli_refuse(&cli,
						  "--max-age %s: use a time such as 30m, 12h or 7d",
						  optarg);
			break;
		case 'j':
			options->json = true;
			break;
		case 'h':
			print_usage(stdout);
			return EXIT_SUCCESS;
		default:
			if (broker_option(&options->broker, c, optarg) < 0)
				return EXIT_USAGE;
		}
	}
	if (broker_check(&options->broker) < 0)
		return EXIT_USAGE;
	if (options->all && optind < argc)
		return cli_refuse(&cli, "use either --all or names, such as \"%s\"", argv[optind]);
	if (!dir || !dir[0])
		return cli_refuse(&cli, "give the folder for the recordings with --dir DIR");
	if (strlen(dir) >= sizeof options->dir - FOLDER_NAME_MAX - RECORD_NAME_MAX - 1)
		return cli_refuse(&cli, "the path of --dir is too long");
	strcpy(options->dir, dir);
	options->names = argv + optind;
	options->all = optind == argc;
	if (!options->on_command)
		options->broker.options.rec_topics = NULL;
	else if (!options->broker.options.rec_topics)
		options->broker.options.rec_topics = REC_TOPICS;
	return parse_names(options, &cli);
}

void record_options_finish(struct record_options *options)
{
	free(options->given);
}
