/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * camcast record: the manager. It knows which servers there are, keeps one child process for each
 * one that is to be recorded, and deletes what is too old or too much. Pictures never come here.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/quantity.h"
#include "client/client.h"
#include "client/find/broker.h"
#include "client/interrupt.h"
#include "client/record/file.h"
#include "client/record/keep.h"
#include "client/record/record.h"
#include "client/record/store.h"
#include "client/record/time.h"

#define REC_TOPICS "commend/rec, command/rec"
#define SECOND_US 1000000
#define SEGMENT_S 60
#define SEGMENT_MAX_S 86400
#define TURN_MS 500
#define HANG_MS 30000	 /* a write may wait for a slow disk */
#define QUIET_US 3000000 /* no unit for so long: not this way, if there is another */
#define LOST_US 10000000 /* no unit, and the server has left: its child is ended */

/* A server that is recorded, or one stream that was asked for by name. */
struct recording {
	char id[140];	/* "ID" or "ID/STREAM" */
	char name[324]; /* "NAME" or "NAME/STREAM" */
	char url[SERVER_URL_MAX];
	struct child *child;
	int64_t started_us;
	bool wanted; /* as of the last look */
	bool ending;
};

struct record {
	struct broker broker;
	char dir[RECORD_PATH_MAX];
	char **names; /* those of the command line; NULL ends them */
	bool all, on_command, json;
	unsigned segment_s;
	struct store_limits limits;

	struct servers *servers;
	struct server *list;
	size_t n_list;
	char state[256]; /* of the broker connection, as told last */
	bool on;	 /* recording */
	bool *told;	 /* by name: that it is missed */

	struct recording *recordings;
	size_t n;
	struct keep *keep;
};

static void print_usage(FILE *out)
{
	fputs("usage: camcast record [NAME... | --all] --dir DIR [options]\n"
	      "\n"
	      "Records servers into MP4 files, DIR/SERVER/YYYYMMDDTHHMMSSZ.mp4 (UTC), without\n"
	      "encoding them again. NAME is a server's name or id, or NAME/STREAM; without any: "
	      "--all.\n"
	      "\n"
	      "      --all                 all servers, also those that appear later\n"
	      "  -d, --dir DIR             where to; it is made if need be\n"
	      "      --segment TIME        the length of a file (60s), such as 90s or 10m; files "
	      "begin at\n"
	      "                            multiples of it\n"
	      "      --on-command          record between `start` and `stop` on the recording "
	      "topic\n"
	      "      --rec-topic TOPIC     (" REC_TOPICS ")\n"
	      "      --max-bytes N         delete the oldest files when all take more, such as "
	      "20G\n"
	      "      --max-age TIME        delete files that began longer ago, such as 12h or 7d\n"
	      "  -j, --json                one line of JSON for each file that is ready\n"
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

/* Returns -1 to go on, or the exit status. */
static int parse_arguments(struct record *record, int argc, char **argv)
{
	enum { ALL = 256, SEGMENT, ON_COMMAND, MAX_BYTES, MAX_AGE };
	static const struct option options[] = {
		{"all", no_argument, NULL, ALL},
		{"dir", required_argument, NULL, 'd'},
		{"segment", required_argument, NULL, SEGMENT},
		{"on-command", no_argument, NULL, ON_COMMAND},
		{"max-bytes", required_argument, NULL, MAX_BYTES},
		{"max-age", required_argument, NULL, MAX_AGE},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		BROKER_OPTIONS,
		{0},
	};
	static const struct cli cli = {"camcast record", "d:jh", options};
	const char *dir = NULL;
	int64_t segment_s;
	int c;

	while ((c = cli_next(&cli, argc, argv)) >= 0) {
		switch (c) {
		case ALL:
			record->all = true;
			break;
		case 'd':
			dir = optarg;
			break;
		case SEGMENT:
			if (parse_seconds(optarg, SEGMENT_MAX_S, &segment_s) < 0)
				return cli_refuse(&cli,
						  "--segment %s: use a time from 1s to 24h, "
						  "such as 60, 90s or 10m",
						  optarg);
			record->segment_s = (unsigned)segment_s;
			break;
		case ON_COMMAND:
			record->on_command = true;
			break;
		case MAX_BYTES:
			if (quantity_parse_bytes(optarg, &record->limits.max_bytes) < 0 ||
			    record->limits.max_bytes == 0)
				return cli_refuse(&cli,
						  "--max-bytes %s: use a number of bytes, such as "
						  "500M or 20G",
						  optarg);
			break;
		case MAX_AGE:
			if (parse_seconds(optarg, INT64_MAX, &record->limits.max_age_s) < 0)
				return cli_refuse(&cli,
						  "--max-age %s: use a time such as 30m, 12h or 7d",
						  optarg);
			break;
		case 'j':
			record->json = true;
			break;
		case 'h':
			print_usage(stdout);
			return EXIT_SUCCESS;
		default:
			if (broker_option(&record->broker, c, optarg) < 0)
				return EXIT_USAGE;
		}
	}
	if (record->all && optind < argc)
		return cli_refuse(&cli, "use either --all or names, such as \"%s\"", argv[optind]);
	if (!dir || !dir[0])
		return cli_refuse(&cli, "give the folder for the recordings with --dir DIR");
	if (strlen(dir) >= sizeof record->dir - STORE_FOLDER_MAX - RECORD_NAME_MAX)
		return cli_refuse(&cli, "the path of --dir is too long");
	strcpy(record->dir, dir);
	record->names = argv + optind;
	record->all = optind == argc;
	return -1;
}

/* --- one child for each server --- */

static int64_t heard_us(struct recording *recording)
{
	struct record_shared *shared = child_shared(recording->child);
	int64_t unit_us = atomic_load_explicit(&shared->unit_us, memory_order_relaxed);

	return unit_us > recording->started_us ? unit_us : recording->started_us;
}

static int start_child(struct record *record, struct recording *recording,
		       const struct server_stream *stream)
{
	char path[RECORD_PATH_MAX + STORE_FOLDER_MAX], folder[STORE_FOLDER_MAX], framerate[32],
		segment[32];
	const char *argv[RECORD_ARGS + 2] = {"camcast", "record-child"};
	const char **arguments = argv + 1;
	struct child_job job = {
		.name = recording->name,
		.argv = argv,
		.shared_size = sizeof(struct record_shared),
		.hang_ms = HANG_MS,
	};
	int err;

	err = store_make_folder(record->dir, recording->name, recording->id, folder);
	if (err < 0)
		return err;
	snprintf(path, sizeof path, "%s/%s", record->dir, folder);
	snprintf(framerate, sizeof framerate, "%.0f", stream->framerate * 1000);
	snprintf(segment, sizeof segment, "%u", record->segment_s);
	arguments[RECORD_ARG_NAME] = recording->name;
	arguments[RECORD_ARG_URL] = recording->url;
	arguments[RECORD_ARG_CODEC] = stream_codec_name(stream->codec);
	arguments[RECORD_ARG_FRAMERATE] = framerate;
	arguments[RECORD_ARG_FOLDER] = path;
	arguments[RECORD_ARG_SEGMENT] = segment;
	arguments[RECORD_ARG_JSON] = record->json ? "json" : "";
	err = child_create(&recording->child, &job);
	if (err < 0)
		return err;
	recording->started_us = clock_now_us();
	return 0;
}

static struct recording *find_recording(struct record *record, const char *id)
{
	for (size_t i = 0; i < record->n; i++)
		if (strcmp(record->recordings[i].id, id) == 0)
			return &record->recordings[i];
	return NULL;
}

static int add_recording(struct record *record, const struct recording *wanted,
			 const struct server_stream *stream)
{
	struct recording *grown = realloc(record->recordings, (record->n + 1) * sizeof *grown);
	int err;

	if (!grown)
		return -ENOMEM;
	record->recordings = grown;
	grown[record->n] = *wanted;
	err = start_child(record, &grown[record->n], stream);
	if (err < 0)
		return err;
	record->n++;
	return 0;
}

static void end_recording(struct recording *recording)
{
	recording->ending = true;
	child_end(recording->child);
}

/* The server is there and to be recorded: the stream that was asked for, or its best one. */
static int want(struct record *record, const struct server *server,
		const struct server_stream *stream, bool asked_for, int64_t now_us)
{
	struct recording wanted = {.wanted = true}, *recording;
	const char *slash = asked_for ? "/" : "", *name = asked_for ? stream->name : "";

	snprintf(wanted.id, sizeof wanted.id, "%s%s%s", server->id, slash, name);
	snprintf(wanted.name, sizeof wanted.name, "%s%s%s", server->name, slash, name);
	server_stream_url(stream, wanted.url);
	recording = find_recording(record, wanted.id);
	if (!recording)
		return add_recording(record, &wanted, stream);
	recording->wanted = true;
	/* It has moved. As long as pictures come, there is no hurry: the list may be older than
	 * the connection. */
	if (!recording->ending && strcmp(recording->url, wanted.url) != 0 &&
	    now_us - heard_us(recording) > QUIET_US)
		end_recording(recording); /* and start it again when it has ended */
	return 0;
}

static int want_all(struct record *record, int64_t now_us)
{
	const struct server_stream *stream;
	const struct server *server;
	char why[256];
	int result = 0;

	for (size_t i = 0; i < record->n_list; i++) {
		int err = servers_find(&record->list[i], 1, record->list[i].id, &server, &stream,
				       why, sizeof why);

		if (err == 0)
			err = want(record, server, stream, false, now_us);
		else
			err = 0; /* offline, or it has no stream */
		if (err < 0)
			result = err;
	}
	return result;
}

static int want_named(struct record *record, int64_t now_us)
{
	const struct server_stream *stream;
	const struct server *server;
	char why[512];
	int result = 0;

	for (size_t i = 0; record->names[i]; i++) {
		int err = servers_find(record->list, record->n_list, record->names[i], &server,
				       &stream, why, sizeof why);

		if (err == 0) {
			bool asked_for = strcmp(record->names[i], server->name) != 0 &&
					 strcmp(record->names[i], server->id) != 0;

			record->told[i] = false;
			err = want(record, server, stream, asked_for, now_us);
			if (err < 0)
				result = err;
		} else if (!record->told[i] && servers_settled(record->servers)) {
			record->told[i] = true;
			diag_warn("waiting for %s: %s", record->names[i], why);
		}
	}
	return result;
}

/* Starts and ends children, as the list and the command have it. */
static int update(struct record *record, int64_t now_us)
{
	int err = 0;

	for (size_t i = 0; i < record->n; i++)
		record->recordings[i].wanted = false;
	if (record->on)
		err = record->all ? want_all(record, now_us) : want_named(record, now_us);
	for (size_t i = 0; i < record->n; i++) {
		struct recording *recording = &record->recordings[i];

		/* The broker's word that it has left is no reason to end a recording that goes on.
		 */
		if (!recording->ending && !recording->wanted &&
		    (!record->on || now_us - heard_us(recording) > LOST_US))
			end_recording(recording);
	}
	return err;
}

/* Returns the ms after which it wants to be called again. */
static int poll_children(struct record *record, int64_t now_us)
{
	int wait_ms = TURN_MS;

	for (size_t i = 0; i < record->n;) {
		struct recording *recording = &record->recordings[i];
		int ms = child_poll(recording->child, now_us);

		if (ms < 0) {
			child_destroy(recording->child);
			*recording = record->recordings[--record->n];
			wait_ms = 0; /* it may be wanted again */
			continue;
		}
		wait_ms = ms < wait_ms ? ms : wait_ms;
		i++;
	}
	return wait_ms;
}

static void end_children(struct record *record)
{
	for (size_t i = 0; i < record->n; i++)
		end_recording(&record->recordings[i]);
	for (size_t i = 0; i < record->n; i++)
		child_destroy(record->recordings[i].child);
	free(record->recordings);
}

/* --- the rest of a turn --- */

static int take_list(struct record *record)
{
	char state[sizeof record->state];
	struct server *list;
	size_t n;
	int err = servers_snapshot(record->servers, &list, &n, state, sizeof state);

	if (err < 0)
		return err;
	free(record->list);
	record->list = list;
	record->n_list = n;
	if (strcmp(state, record->state) != 0) {
		strcpy(record->state, state);
		diag_info("broker: %s", state);
	}
	return 0;
}

static void follow_command(struct record *record)
{
	int command = servers_recording_command(record->servers);

	if (!record->on_command || command == 0 || record->on == (command > 0))
		return;
	record->on = command > 0;
	diag_info("%s on command", record->on ? "recording" : "stopped");
}

static void wait_for_events(struct record *record, int wait_ms)
{
	struct pollfd *pfds = calloc(record->n + 1, sizeof *pfds);
	struct pollfd one = {.fd = servers_fd(record->servers), .events = POLLIN};

	if (!pfds) { /* children are looked at in the next turn anyway */
		poll(&one, 1, wait_ms);
		return;
	}
	pfds[0] = one;
	for (size_t i = 0; i < record->n; i++)
		pfds[i + 1] = (struct pollfd){
			.fd = child_pidfd(record->recordings[i].child),
			.events = POLLIN,
		};
	poll(pfds, record->n + 1, wait_ms);
	free(pfds);
}

static int run(struct record *record)
{
	int err = 0, told = 0, wait_ms;

	while (!interrupted()) {
		int64_t now_us = clock_now_us();

		err = take_list(record);
		if (err < 0)
			return err;
		follow_command(record);
		/* No room for a folder, no process: as bad as a full disk, and tried again. */
		err = update(record, now_us);
		if (err < 0 && err != told)
			diag_error("cannot begin to record in %s: %s", record->dir, strerror(-err));
		told = err;
		keep_turn(record->keep, now_us);
		wait_ms = poll_children(record, clock_now_us());
		if (!interrupted())
			wait_for_events(record, wait_ms);
	}
	return 0;
}

static int make_dir(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0755) == 0 || errno != EEXIST)
		return access(dir, F_OK) == 0 ? 0 : -errno;
	if (stat(dir, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int cmd_record(int argc, char **argv)
{
	struct record record = {.segment_s = SEGMENT_S};
	size_t n_names = 0;
	int err;

	broker_init(&record.broker);
	err = parse_arguments(&record, argc, argv);
	if (err >= 0)
		return err;
	err = make_dir(record.dir);
	if (err < 0) {
		diag_error("--dir %s: the folder cannot be made: %s", record.dir,
			   err == -ENOENT ? "the folder above it does not exist" : strerror(-err));
		return EXIT_FAILURE;
	}
	while (record.names[n_names])
		n_names++;
	record.told = calloc(n_names + 1, sizeof *record.told);
	if (!record.told)
		return EXIT_FAILURE;
	record.on = !record.on_command;
	if (!record.on_command)
		record.broker.options.rec_topics = NULL;
	else if (!record.broker.options.rec_topics)
		record.broker.options.rec_topics = REC_TOPICS;
	interrupt_init();
	err = keep_create(&record.keep, record.dir, &record.limits);
	if (err == 0)
		err = servers_create(&record.servers, &record.broker.options);
	if (err == 0) {
		err = run(&record);
		end_children(&record);
		servers_destroy(record.servers);
	}
	if (err < 0)
		diag_error("record: %s", strerror(-err));
	keep_destroy(record.keep);
	free(record.list);
	free(record.told);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
