/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * camcast record: the manager. It knows which servers there are, keeps one child process for each
 * one that is to be recorded, and has old recordings deleted. Pictures never come here.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/text.h"
#include "client/client.h"
#include "client/interrupt.h"
#include "client/record/folder.h"
#include "client/record/keep.h"
#include "client/record/maker.h"
#include "client/record/options.h"
#include "client/record/place.h"
#include "client/record/progress.h"
#include "client/record/record.h"
#include "client/seats.h"

#define TURN_MS 500
#define END_TURN_MS 100
#define KILLED_MS 1000
#define FIND_WHY_MAX 512
#define HANG_MS 30000	   /* a write may wait for a slow disk */
#define STOP_MS 5000	   /* for the end of a recording, while nothing is written of it */
#define STOP_MAX_MS 30000  /* altogether */
#define QUIET_US 3000000   /* no unit for so long: not this way, if there is another */
#define CONFIRM_US 1000000 /* how often the list learns which addresses deliver */
#define FILE_PART 4	   /* a file has at most this part of --max-bytes: it can be deleted */
#define LOST_US 10000000   /* no unit, and the server has left: its child is ended */

/* A server that is recorded, or one stream that was asked for by name. */
struct recording {
	char id[140];	/* "ID" or "ID/STREAM" */
	char name[324]; /* "NAME" or "NAME/STREAM" */
	char url[TARGET_URL_MAX];
	struct child *child;
	struct maker maker; /* of its files */
	int64_t started_us;
	bool wanted;   /* as of the last look */
	bool left_out; /* another server has its seat */
	bool ending;
};

/* A name of the command line that is looked up in the list. */
struct wish {
	bool waiting;		/* it was logged that the server is waited for */
	char id[FOLDER_ID_MAX]; /* of the first server that it was; "": none yet */
};

struct record {
	struct record_options options;
	struct wish *wishes;	 /* by name */
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
	struct seats seats;	     /* with --all */
	struct folder_owners owners; /* servers that delivered before this start */
	int64_t confirm_us;	     /* when the list learns next */
	struct keep *keep;
};

/* Whether servers have to be found. */
static bool needs_broker(const struct record *record)
{
	if (record->options.all || record->options.on_command)
		return true;
	for (size_t i = 0; record->options.names[i]; i++)
		if (record->options.given[i].n_streams == 0)
			return true;
	return false;
}

/* --- one child for each server --- */

/* When the last unit came; 0: none did. The child wrote it: the future is no time of a unit. */
static int64_t unit_us(struct recording *recording)
{
	struct record_shared *shared = child_shared(recording->child);
	int64_t unit_us = atomic_load_explicit(&shared->unit_us, memory_order_relaxed);

	return unit_us > 0 && unit_us <= clock_now_us() ? unit_us : 0;
}

static int64_t heard_us(struct recording *recording)
{
	int64_t us = unit_us(recording);

	return us > recording->started_us ? us : recording->started_us;
}

static int start_child(struct record *record, struct recording *recording,
		       const struct server_stream *stream)
{
	char framerate[32], segment[32], file_max[32];
	const char *argv[RECORD_ARGS + 2] = {"camcast", "record-child"};
	const char **arguments = argv + 1;
	struct child_job job = {
		.name = recording->name,
		.argv = argv,
		.shared_size = sizeof(struct record_shared),
		.hang_ms = HANG_MS,
		.stop_ms = STOP_MS,
		.stop_max_ms = STOP_MAX_MS,
	};
	int err;

	snprintf(file_max, sizeof file_max, "%" PRId64,
		 record->options.limits.max_bytes / FILE_PART);
	snprintf(framerate, sizeof framerate, "%.0f", stream->framerate * 1000);
	snprintf(segment, sizeof segment, "%u", record->options.segment_s);
	arguments[RECORD_ARG_NAME] = recording->name;
	arguments[RECORD_ARG_URL] = recording->url;
	arguments[RECORD_ARG_CODEC] = stream_codec_name(stream->codec);
	arguments[RECORD_ARG_FRAMERATE] = framerate;
	arguments[RECORD_ARG_DIR] = record->options.dir;
	arguments[RECORD_ARG_FILE_MAX] = file_max;
	arguments[RECORD_ARG_SEGMENT] = segment;
	arguments[RECORD_ARG_JSON] = record->options.json ? "json" : "";
	err = maker_init(&recording->maker);
	if (err < 0)
		return err;
	job.fd = recording->maker.childs;
	err = child_create(&recording->child, &job);
	if (err < 0) {
		maker_finish(&recording->maker);
		return err;
	}
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
	target_url(stream, wanted.url);
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

/* Gives the seats to servers that are online, and to those whose recording goes on. */
static int seat_servers(struct record *record, int64_t now_us)
{
	struct seats *seats = &record->seats;
	int err = 0;

	seats_begin(seats);
	for (size_t i = 0; i < record->n && err == 0; i++) {
		struct recording *recording = &record->recordings[i];

		if (!recording->ending)
			err = seats_offer(seats, recording->id, false);
		if (err == 0 && unit_us(recording) > 0)
			seats_delivered(seats, recording->id);
	}
	for (size_t i = 0; i < record->n_list && err == 0; i++)
		if (record->list[i].online && record->list[i].n_streams > 0)
			err = seats_offer(seats, record->list[i].id,
					  folder_owners_have(&record->owners, record->list[i].id));
	seats_settle(seats, now_us);
	seats_report(seats, "recorded", now_us);
	for (size_t i = 0; i < record->n; i++)
		record->recordings[i].left_out = !seats_has(seats, record->recordings[i].id);
	return err;
}

static int want_all(struct record *record, int64_t now_us)
{
	const struct server_stream *stream;
	const struct server *server;
	char why[256];
	int result = seat_servers(record, now_us);

	for (size_t i = 0; i < record->n_list; i++) {
		int err;

		if (!seats_has(&record->seats, record->list[i].id))
			continue;
		err = servers_find(&record->list[i], 1, record->list[i].id, &server, &stream, why,
				   sizeof why);

		if (err == 0)
			err = want(record, server, stream, false, now_us);
		else
			err = 0; /* offline, or it has no stream */
		if (err < 0)
			result = err;
	}
	return result;
}

/* Finds the server that a name of the command line means. Anybody can announce a server of the same
 * name: the one that had it first, in this run or by its folder, has precedence. */
static int find_named(struct record *record, size_t i, const struct server **server,
		      const struct server_stream **stream, char why[FIND_WHY_MAX])
{
	const char *name = record->options.names[i];
	struct wish *wish = &record->wishes[i];
	const char *owner = folder_owners_of_name(&record->owners, name);
	int err =
		servers_find(record->list, record->n_list, name, server, stream, why, FIND_WHY_MAX);

	if (!wish->id[0] && owner)
		text_set(wish->id, sizeof wish->id, owner);
	if (err == -ENOTUNIQ && wish->id[0])
		err = servers_find(record->list, record->n_list, wish->id, server, stream, why,
				   FIND_WHY_MAX);
	return err;
}

static int want_found(struct record *record, size_t i, const struct server *server,
		      const struct server_stream *stream, int64_t now_us)
{
	const char *name = record->options.names[i];
	bool asked_for = strcmp(name, server->name) != 0 && strcmp(name, server->id) != 0;
	struct wish *wish = &record->wishes[i];

	wish->waiting = false;
	if (!wish->id[0])
		snprintf(wish->id, sizeof wish->id, "%s%s%s", server->id, asked_for ? "/" : "",
			 asked_for ? stream->name : "");
	return want(record, server, stream, asked_for, now_us);
}

static int want_named(struct record *record, int64_t now_us)
{
	const struct server_stream *stream;
	const struct server *server;
	char why[FIND_WHY_MAX];
	int result = 0;

	for (size_t i = 0; record->options.names[i]; i++) {
		const struct server *given = &record->options.given[i];
		int err = 0;

		if (given->n_streams > 0) {
			err = want(record, given, &given->streams[0], false, now_us);
		} else if (find_named(record, i, &server, &stream, why) == 0) {
			err = want_found(record, i, server, stream, now_us);
		} else if (!record->wishes[i].waiting && servers_settled(record->servers)) {
			record->wishes[i].waiting = true;
			diag_warn("waiting for %s: %s", record->options.names[i], why);
		}
		result = err < 0 ? err : result;
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
		err = record->options.all ? want_all(record, now_us) : want_named(record, now_us);
	for (size_t i = 0; i < record->n; i++) {
		struct recording *recording = &record->recordings[i];

		/* A recording goes on although the broker says that its server has left. */
		if (!recording->ending && !recording->wanted &&
		    (!record->on || record->lost || recording->left_out ||
		     now_us - heard_us(recording) > LOST_US))
			end_recording(recording);
	}
	return err;
}

/* Tells the list which addresses deliver, so that nobody else takes their ids. */
static void confirm_addresses(struct record *record, int64_t now_us)
{
	if (!record->servers || now_us < record->confirm_us)
		return;
	record->confirm_us = now_us + CONFIRM_US;
	for (size_t i = 0; i < record->n; i++)
		if (unit_us(&record->recordings[i]) > now_us - CONFIRM_US)
			servers_confirm(record->servers, record->recordings[i].url);
}

static void destroy_recording(struct recording *recording)
{
	child_destroy(recording->child);
	maker_finish(&recording->maker);
}

/* Makes the files that the children ask for. */
static void make_files(struct record *record, int64_t now_us)
{
	for (size_t i = 0; i < record->n; i++) {
		struct recording *recording = &record->recordings[i];
		const struct maker_place place = {.dir = record->options.dir,
						  .device = record->place.device,
						  .inode = record->place.inode,
						  .name = recording->name,
						  .id = recording->id};

		maker_serve(&recording->maker, &place, now_us);
	}
}

/* Returns the ms after which it wants to be called again. */
static int poll_children(struct record *record, int64_t now_us)
{
	int wait_ms = TURN_MS;

	for (size_t i = 0; i < record->n;) {
		struct recording *recording = &record->recordings[i];
		int ms = child_poll(recording->child, now_us);

		if (ms < 0) {
			destroy_recording(recording);
			*recording = record->recordings[--record->n];
			wait_ms = 0; /* it may be wanted again */
			continue;
		}
		wait_ms = ms < wait_ms ? ms : wait_ms;
		i++;
	}
	return wait_ms;
}

/* Until a child has news, or fd (-1: none). */
static void wait_for_events(struct record *record, int fd, int wait_ms)
{
	struct pollfd *pfds = calloc(2 * record->n + 1, sizeof *pfds);
	struct pollfd one = {.fd = fd, .events = POLLIN};

	if (!pfds) { /* children are looked at in the next turn anyway */
		poll(&one, 1, wait_ms);
		return;
	}
	pfds[0] = one;
	for (size_t i = 0; i < record->n; i++) {
		const struct recording *recording = &record->recordings[i];

		pfds[2 * i + 1] = (struct pollfd){child_fd(recording->child), POLLIN, 0};
		pfds[2 * i + 2] = (struct pollfd){recording->maker.ours, POLLIN, 0};
	}
	poll(pfds, 2 * record->n + 1, wait_ms);
	free(pfds);
}

/* Each child may still need a file for its last pictures. */
static void end_children(struct record *record)
{
	const int64_t until_us = clock_now_us() + (STOP_MAX_MS + KILLED_MS) * INT64_C(1000);

	for (size_t i = 0; i < record->n; i++)
		end_recording(&record->recordings[i]);
	while (record->n > 0 && clock_now_us() < until_us) {
		int wait_ms;

		make_files(record, clock_now_us());
		wait_ms = poll_children(record, clock_now_us());
		if (record->n > 0)
			wait_for_events(record, -1, wait_ms < END_TURN_MS ? wait_ms : END_TURN_MS);
	}
	for (size_t i = 0; i < record->n; i++)
		destroy_recording(&record->recordings[i]);
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
	if (record->options.all && n == 0 && !record->nobody_logged &&
	    servers_settled(record->servers)) {
		record->nobody_logged = true;
		diag_info("there is no server yet; waiting for one");
	}
	return 0;
}

static void follow_command(struct record *record)
{
	int command = record->options.on_command ? servers_recording_command(record->servers) : 0,
	    err;

	if (command == 0 || record->on == (command > 0))
		return;
	record->on = command > 0;
	diag_info("%s on command", record->on ? "recording" : "stopped");
	err = record->lost ? -ENODEV : place_write_command(&record->place, record->on);
	if (err < 0)
		diag_warn("a restart will not know of this command: %s: %s", record->options.dir,
			  strerror(-err));
}

/* Learns which servers delivered before. Without that, all of them count as new. */
static void read_owners(struct record *record)
{
	folder_owners_finish(&record->owners);
	(void)folder_owners_read(&record->owners, record->options.dir);
}

/* Takes the folder again, after it was not there or was replaced. */
static void reopen_place(struct record *record)
{
	char why[PLACE_WHY_MAX];

	place_close(&record->place);
	if (place_open(&record->place, record->options.dir, why) < 0) {
		if (!record->lost)
			diag_error("%s; tried again", why);
		record->lost = true;
		return;
	}
	record->lost = false;
	keep_renew(record->keep);
	read_owners(record);
	if (record->options.on_command && place_write_command(&record->place, record->on) < 0)
		diag_warn("a restart will not know of the last command: %s", record->options.dir);
	diag_info("recording goes on in %s", record->options.dir);
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
			   record->options.dir,
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
			diag_error("cannot begin to record in %s: %s", record->options.dir,
				   strerror(-err));
		logged = err;
		confirm_addresses(record, now_us);
		if (!record->lost)
			keep_turn(record->keep, now_us); /* which may take a while */
		make_files(record, clock_now_us());
		wait_ms = poll_children(record, clock_now_us());
		show_progress(record, now_us);
		if (!interrupted())
			wait_for_events(record, record->servers ? servers_fd(record->servers) : -1,
					wait_ms);
	}
	return 0;
}

/* Everything between the arguments and the end. 0 or -errno, logged. */
static int record_all(struct record *record)
{
	char why[PLACE_WHY_MAX];
	int err = place_open(&record->place, record->options.dir, why);

	if (err < 0) {
		diag_error("%s", why);
		return err;
	}
	read_owners(record);
	record->on = !record->options.on_command || place_read_command(&record->place) > 0;
	if (record->options.on_command)
		diag_info(record->on ? "recording, as the last command was `start`"
				     : "waiting for the command `start`");
	err = keep_create(&record->keep, record->options.dir, &record->options.limits);
	if (err == 0 && needs_broker(record))
		err = servers_create(&record->servers, &record->options.broker.options);
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
	static struct record record;
	int status = record_options_parse(&record.options, argc, argv);

	if (status < 0) {
		record.seats.max = record.options.max_servers;
		record.wishes = calloc(record.options.n_names + 1, sizeof *record.wishes);
		interrupt_init();
		status = record.wishes && record_all(&record) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	seats_finish(&record.seats);
	folder_owners_finish(&record.owners);
	record_options_finish(&record.options);
	free(record.list);
	free(record.wishes);
	return status;
}
