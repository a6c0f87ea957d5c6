/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * camcast record: the manager. It knows which servers there are, keeps one child process for each
 * one that is to be recorded, and has old recordings deleted. Pictures never come here.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/quantity.h"
#include "base/text.h"
#include "client/client.h"
#include "client/find/broker.h"
#include "client/interrupt.h"
#include "client/record/file.h"
#include "client/record/keep.h"
#include "client/record/place.h"
#include "client/record/progress.h"
#include "client/record/record.h"
#include "client/record/store.h"
#include "client/record/time.h"
#include "client/stream/reader.h"

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
	char **names;	      /* those of the command line; NULL ends them */
	struct server *given; /* by name: a URL as a server with one stream; else it has none */
	bool *waiting;	      /* by name: it was logged that the server is waited for */
	bool all, on_command, json;
	unsigned segment_s;
	struct store_limits limits;

	struct servers *servers; /* NULL: all names are URLs */
	struct server *list;
	size_t n_list;
	char state[256];    /* of the broker connection, as logged last */
	bool on;	    /* recording */
	bool nobody_logged; /* that there is no server */

	struct place place;
	bool lost; /* dir is not there; logged */
	struct progress progress;

	struct recording *recordings;
	size_t n;
	struct keep *keep;
};

static void print_usage(FILE *out)
{
	fputs("usage: camcast record [NAME|URL... | --all] --dir DIR [options]\n"
	      "\n"
	      "Records servers into MP4 files, DIR/SERVER/YYYYMMDDTHHMMSSZ.mp4 (UTC), without\n"
	      "encoding them again. NAME is a server's name or id, or NAME/STREAM. URL is\n"
	      "tcp://HOST:PORT, HOST:PORT or tcp+length://HOST:PORT, and needs no broker. Without\n"
	      "either, all servers are recorded.\n"
	      "\n"
	      "      --all                 all servers, also those that appear later\n"
	      "  -d, --dir DIR             the folder of all recordings; it is made if necessary\n"
	      "      --segment T           begin a file every T: 90s, 10m, 1h (1m)\n"
	      "      --on-command          record between `start` and `stop` on the recording "
	      "topic;\n"
	      "                            a restart of this program changes nothing\n"
	      "      --rec-topic TOPIC     the recording topics (" REC_TOPICS ")\n"
	      "      --max-bytes N         delete the oldest files when all are larger: 500M, 20G\n"
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

/* Those of the names that are URLs. Returns -1 to go on, or the exit status. */
static int parse_names(struct record *record, const struct cli *cli)
{
	size_t n = 0;

	while (record->names[n])
		n++;
	record->given = calloc(n + 1, sizeof *record->given);
	record->waiting = calloc(n + 1, sizeof *record->waiting);
	if (!record->given || !record->waiting)
		return EXIT_FAILURE;
	for (size_t i = 0; i < n; i++) {
		struct server *given = &record->given[i];
		struct server_stream *stream = &given->streams[0];
		int err = reader_parse_argument(record->names[i], stream->host, &stream->port,
						&stream->codec, &stream->framing);
		char name[NET_HOST_PORT_MAX];

		if (err == -EINVAL)
			return cli_refuse(cli, "%s: " READER_ARGUMENT_HELP, record->names[i]);
		if (err < 0)
			continue;
		given->n_streams = 1;
		net_format_host_port(name, stream->host, stream->port);
		text_set(given->name, sizeof given->name, name);
		text_set(given->id, sizeof given->id, name);
	}
	return -1;
}

/* Whether servers have to be found. */
static bool needs_broker(const struct record *record)
{
	if (record->all || record->on_command)
		return true;
	for (size_t i = 0; record->names[i]; i++)
		if (record->given[i].n_streams == 0)
			return true;
	return false;
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
	return parse_names(record, &cli);
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
		const struct server *given = &record->given[i];
		int err;

		if (given->n_streams > 0) {
			err = want(record, given, &given->streams[0], false, now_us);
			result = err < 0 ? err : result;
			continue;
		}
		err = servers_find(record->list, record->n_list, record->names[i], &server, &stream,
				   why, sizeof why);
		if (err == 0) {
			bool asked_for = strcmp(record->names[i], server->name) != 0 &&
					 strcmp(record->names[i], server->id) != 0;

			record->waiting[i] = false;
			err = want(record, server, stream, asked_for, now_us);
			if (err < 0)
				result = err;
		} else if (!record->waiting[i] && servers_settled(record->servers)) {
			record->waiting[i] = true;
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
	if (record->on && !record->lost)
		err = record->all ? want_all(record, now_us) : want_named(record, now_us);
	for (size_t i = 0; i < record->n; i++) {
		struct recording *recording = &record->recordings[i];

		/* A recording goes on although the broker says that its server has left. */
		if (!recording->ending && !recording->wanted &&
		    (!record->on || record->lost || now_us - heard_us(recording) > LOST_US))
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
	int err;

	if (!record->servers)
		return 0;
	err = servers_snapshot(record->servers, &list, &n, state, sizeof state);
	if (err < 0)
		return err;
	free(record->list);
	record->list = list;
	record->n_list = n;
	if (strcmp(state, record->state) != 0) {
		strcpy(record->state, state);
		diag_info("broker: %s", state);
	}
	if (record->all && n == 0 && !record->nobody_logged && servers_settled(record->servers)) {
		record->nobody_logged = true;
		diag_info("there is no server yet; waiting for one");
	}
	return 0;
}

static void follow_command(struct record *record)
{
	int command = record->on_command ? servers_recording_command(record->servers) : 0, err;

	if (command == 0 || record->on == (command > 0))
		return;
	record->on = command > 0;
	diag_info("%s on command", record->on ? "recording" : "stopped");
	err = record->lost ? -ENODEV : place_write_command(&record->place, record->on);
	if (err < 0)
		diag_warn("a restart will not know of this command: %s: %s", record->dir,
			  strerror(-err));
}

/* Takes the folder again, after it was not there or was replaced. */
static void reopen_place(struct record *record)
{
	char why[PLACE_WHY_MAX];

	place_close(&record->place);
	if (place_open(&record->place, record->dir, why) < 0) {
		if (!record->lost)
			diag_error("%s; tried again", why);
		record->lost = true;
		return;
	}
	record->lost = false;
	if (record->on_command && place_write_command(&record->place, record->on) < 0)
		diag_warn("a restart will not know of the last command: %s", record->dir);
	diag_info("recording goes on in %s", record->dir);
}

/* Sees that the folder is still the one that was given. */
static void check_place(struct record *record)
{
	int r = place_check(&record->place);

	if (r == 0 && !record->lost)
		return;
	for (size_t i = 0; i < record->n; i++)
		if (!record->recordings[i].ending)
			end_recording(&record->recordings[i]);
	if (r >= 0) {
		reopen_place(record);
		return;
	}
	if (!record->lost)
		diag_error("%s: %s; recording stops, and goes on when the folder is there again",
			   record->dir,
			   r == -ENODEV ? "its file system is not mounted any more" : strerror(-r));
	record->lost = true;
	place_close(&record->place); /* nothing is in the way of a new mount */
}

static void show_progress(struct record *record, int64_t now_us)
{
	uint64_t units = 0, bytes = 0;

	for (size_t i = 0; i < record->n; i++) {
		struct record_shared *shared = child_shared(record->recordings[i].child);

		units += atomic_load_explicit(&shared->units, memory_order_relaxed);
		bytes += atomic_load_explicit(&shared->bytes, memory_order_relaxed);
	}
	progress_turn(&record->progress, record->n, units, bytes, now_us);
}

static void wait_for_events(struct record *record, int wait_ms)
{
	struct pollfd *pfds = calloc(record->n + 1, sizeof *pfds);
	struct pollfd one = {.events = POLLIN};

	one.fd = record->servers ? servers_fd(record->servers) : -1;
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
	int err = 0, logged = 0, wait_ms;

	while (!interrupted()) {
		int64_t now_us = clock_now_us();

		err = take_list(record);
		if (err < 0)
			return err;
		follow_command(record);
		check_place(record);
		/* A folder or a process that cannot be made is as bad as a full disk, and is tried
		 * again. */
		err = update(record, now_us);
		if (err < 0 && err != logged)
			diag_error("cannot begin to record in %s: %s", record->dir, strerror(-err));
		logged = err;
		if (!record->lost)
			keep_turn(record->keep, now_us);
		wait_ms = poll_children(record, clock_now_us());
		show_progress(record, now_us);
		if (!interrupted())
			wait_for_events(record, wait_ms);
	}
	return 0;
}

/* Everything between the arguments and the end. 0 or -errno, logged. */
static int record_all(struct record *record)
{
	char why[PLACE_WHY_MAX];
	int err = place_open(&record->place, record->dir, why);

	if (err < 0) {
		diag_error("%s", why);
		return err;
	}
	record->on = !record->on_command || place_read_command(&record->place) > 0;
	if (record->on_command)
		diag_info(record->on ? "recording, as the last command was `start`"
				     : "waiting for the command `start`");
	err = keep_create(&record->keep, record->dir, &record->limits);
	if (err == 0 && needs_broker(record))
		err = servers_create(&record->servers, &record->broker.options);
	if (err == 0) {
		progress_init(&record->progress);
		err = run(record);
		progress_end(&record->progress);
		end_children(record);
	}
	if (err < 0)
		diag_error("record: %s", strerror(-err));
	servers_destroy(record->servers);
	keep_destroy(record->keep);
	place_close(&record->place);
	return err;
}

int cmd_record(int argc, char **argv)
{
	struct record record = {.segment_s = SEGMENT_S};
	int status;

	broker_init(&record.broker);
	status = parse_arguments(&record, argc, argv);
	if (status < 0) {
		if (!record.on_command)
			record.broker.options.rec_topics = NULL;
		else if (!record.broker.options.rec_topics)
			record.broker.options.rec_topics = REC_TOPICS;
		interrupt_init();
		status = record_all(&record) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	free(record.list);
	free(record.given);
	free(record.waiting);
	return status;
}
