/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `camcast record-child`: the recording of one server. One thread reads, muxes and writes; another
 * one (record_file.h) waits for the disk.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <libavutil/log.h>

#include "base/clock.h"
#include "base/diag.h"
#include "client/client.h"
#include "client/record/file.h"
#include "client/record/mp4.h"
#include "client/record/record.h"
#include "client/record/time.h"
#include "client/stream/reader.h"

#define TURN_MS 200
#define BURST_MAX 600 /* units */
#define BURST_BYTES (32 << 20)
#define BURST_US 300000	 /* a stream that is faster than it says is no burst */
#define QUIET_US 1000000 /* nothing came for so long: what we have goes to the file */
#define MUX_PERIOD_US 10000000
#define RETRY_US 5000000	/* after an error of the file system */
#define ROOM_US 1000000		/* how often we look for room */
#define ROOM_BYTES (64LL << 20) /* free space with which a full disk is full no more, or */
#define ROOM_PART 20		/* this part of the disk, if that is less */

/* Units that came at once after a connection: the server's history, older than their arrival. They
 * wait here until the live ones begin, and then get the times that they must have had. */
struct burst {
	struct reader_unit units[BURST_MAX];
	size_t n, bytes;
	bool open; /* the next one may belong to it */
};

struct recorder {
	const char *name, *folder;
	unsigned segment_s;
	bool json;
	struct record_shared *shared;
	struct record_sync *sync;
	struct reader *reader;
	struct burst burst;
	struct record_clock clock;
	struct mp4_format *format;

	/* The file under way; it is made on disk with its first fragment. */
	struct mp4 *mp4; /* NULL: none */
	int64_t utc_us, segment;
	struct record_file file;
	bool on_disk;
	int64_t on_disk_us; /* the length of what is there */

	bool gap;	/* the next unit does not follow the last one that was recorded */
	bool wait_key;	/* nothing is taken before a key unit */
	bool announced; /* that we record */
	bool lost;	/* the server, which was told */
	struct diag_limit mux_errors;
	int64_t unit_us; /* when the last one came; CLOCK_MONOTONIC */
	bool flushed;	 /* all that came is in the file */

	/* What the file system refused. */
	int trouble; /* errno; 0: none */
	int told;    /* the trouble that was logged last; 0: none since the last success */
	int64_t retry_us;
};

static int64_t utc_offset_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 - clock_now_us();
}

/* --- trouble with the disk --- */

static bool is_want_of_room(int error)
{
	return error == ENOSPC || error == EDQUOT;
}

static void handle_trouble(struct recorder *recorder, int error)
{
	recorder->trouble = error;
	recorder->retry_us = clock_now_us() + (is_want_of_room(error) ? ROOM_US : RETRY_US);
	if (recorder->told == error)
		return;
	recorder->told = error;
	if (is_want_of_room(error))
		diag_error("%s: no room in %s: recording stops, and goes on when there is some "
			   "again; what has been recorded is kept",
			   recorder->name, recorder->folder);
	else
		diag_error("%s: cannot write to %s: %s; tried again every %d s", recorder->name,
			   recorder->folder, strerror(error), RETRY_US / 1000000);
}

/* Whether it is worth to try again. */
static bool is_trouble_over(struct recorder *recorder)
{
	int64_t now_us = clock_now_us(), enough;
	struct statvfs fs;

	if (now_us < recorder->retry_us)
		return false;
	recorder->retry_us = now_us + ROOM_US;
	if (is_want_of_room(recorder->trouble) && statvfs(recorder->folder, &fs) == 0) {
		enough = (int64_t)fs.f_blocks / ROOM_PART * (int64_t)fs.f_frsize;
		if (enough > ROOM_BYTES)
			enough = ROOM_BYTES;
		if ((int64_t)fs.f_bavail * (int64_t)fs.f_frsize < enough)
			return false;
	}
	recorder->trouble = 0;
	return true;
}

/* --- the file under way --- */

/* A script wants to know of files that are ready. */
static void tell_file(const struct recorder *recorder, const char *path, int64_t bytes,
		      int64_t duration_us)
{
	int64_t ms = recorder->utc_us / 1000;
	time_t second = (time_t)(ms / 1000);
	cJSON *object;
	char start[40], *text;
	struct tm tm;
	size_t len;

	if (!recorder->json) {
		diag_info("%s: %s: %.1f s, %.1f MB", recorder->name, path,
			  (double)duration_us / 1e6, (double)bytes / 1e6);
		return;
	}
	gmtime_r(&second, &tm);
	len = strftime(start, sizeof start, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(start + len, sizeof start - len, ".%03dZ", (int)(ms % 1000));
	object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "server", recorder->name);
	cJSON_AddStringToObject(object, "file", path);
	cJSON_AddStringToObject(object, "start", start);
	cJSON_AddNumberToObject(object, "duration", (double)duration_us / 1e6);
	cJSON_AddNumberToObject(object, "bytes", (double)bytes);
	text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	if (!text)
		return;
	/* One write: the children share stdout. */
	dprintf(STDOUT_FILENO, "%s\n", text);
	free(text);
}

/* What is on disk stays as it is. */
static void leave_file(struct recorder *recorder)
{
	if (recorder->on_disk) {
		record_file_close(&recorder->file);
		tell_file(recorder, recorder->file.path, recorder->file.bytes,
			  recorder->on_disk_us);
	}
	mp4_destroy(recorder->mp4);
	recorder->mp4 = NULL;
	recorder->on_disk = false;
	recorder->on_disk_us = 0;
	recorder->wait_key = true;
}

/* What the muxer made goes to the file. 0 or -errno. */
static int write_out(struct recorder *recorder)
{
	const uint8_t *data;
	size_t len;
	int err;

	data = mp4_take(recorder->mp4, &len);
	if (len == 0)
		return 0;
	if (recorder->on_disk)
		err = record_file_append(&recorder->file, data, len);
	else
		err = record_file_open(&recorder->file, recorder->sync, recorder->folder,
				       recorder->utc_us / 1000000, data, len);
	if (err < 0)
		return err;
	recorder->on_disk_us = mp4_duration_us(recorder->mp4);
	if (!recorder->on_disk && (recorder->told || !recorder->announced))
		diag_info("%s: recording%s to %s", recorder->name, recorder->told ? " again" : "",
			  recorder->file.path);
	recorder->on_disk = true;
	recorder->announced = true;
	recorder->told = 0;
	return 0;
}

/* The disk refused what the muxer made. */
static void handle_disk_error(struct recorder *recorder, int err)
{
	leave_file(recorder);
	handle_trouble(recorder, -err);
}

/* The muxer refused what the server sent. */
static void handle_mux_error(struct recorder *recorder, int err)
{
	uint64_t suppressed;

	leave_file(recorder);
	if (diag_allowed(&recorder->mux_errors, clock_now_us(), MUX_PERIOD_US, &suppressed))
		diag_error("%s: the stream cannot be put into a file: %s; goes on at the next key "
			   "picture",
			   recorder->name, strerror(-err));
}

static int64_t step_us(const struct recorder *recorder)
{
	return (int64_t)recorder->clock.step_us;
}

/* Writes out what the muxer made; muxed: its result, negative if it refused. Returns whether all is
 * in the file. */
static bool save(struct recorder *recorder, int muxed)
{
	int err;

	if (muxed < 0) {
		handle_mux_error(recorder, muxed);
		return false;
	}
	err = write_out(recorder);
	if (err < 0)
		handle_disk_error(recorder, err);
	return err == 0;
}

/* Ends the file, if there is one. */
static void finish_file(struct recorder *recorder)
{
	if (recorder->mp4 && save(recorder, mp4_finish(recorder->mp4, step_us(recorder))))
		leave_file(recorder);
}

/* All that came goes to the file, for nothing comes just now. */
static void flush_file(struct recorder *recorder)
{
	save(recorder, mp4_end_fragment(recorder->mp4, step_us(recorder)));
}

/* --- units --- */

static int handle_key(struct recorder *recorder, const struct reader_unit *unit, int64_t at_us)
{
	int64_t utc_us = at_us + utc_offset_us();
	int64_t segment = record_segment_of(utc_us, recorder->segment_s);
	int changed = mp4_format_update(recorder->format, unit), err;

	if (changed < 0) {
		recorder->wait_key = true; /* it cannot be decoded, nor what follows it */
		return changed == -ENOMEM ? changed : 0;
	}
	if (recorder->mp4 && (changed || segment != recorder->segment))
		finish_file(recorder);
	if (recorder->trouble)
		return 0;
	recorder->wait_key = false;
	if (recorder->mp4)
		return 0;
	recorder->utc_us = utc_us;
	recorder->segment = segment;
	err = mp4_create(&recorder->mp4, recorder->format, recorder->name, utc_us);
	if (err < 0 && err != -ENOMEM) {
		handle_mux_error(recorder, err);
		return 0;
	}
	return err;
}

/* Returns -errno only for what a new start would not mend less well: want of memory. */
static int record_unit(struct recorder *recorder, const struct reader_unit *unit)
{
	int64_t at_us;
	int err;

	if (recorder->trouble && (!unit->key || !is_trouble_over(recorder))) {
		recorder->gap = true;
		return 0;
	}
	if (unit->discontinuity)
		recorder->gap = true;
	at_us = record_clock_next(&recorder->clock, unit->received_us, recorder->gap);
	recorder->gap = false;
	if (unit->key) {
		err = handle_key(recorder, unit, at_us);
		if (err < 0)
			return err;
	}
	if (recorder->wait_key || recorder->trouble)
		return 0;
	err = mp4_add(recorder->mp4, unit, at_us);
	recorder->flushed = false;
	if (err != 0)
		save(recorder, err);
	return 0;
}

static int burst_end(struct recorder *recorder)
{
	struct burst *burst = &recorder->burst;
	int err = 0;

	for (size_t i = 0; i < burst->n; i++) {
		struct reader_unit *unit = &burst->units[i];

		unit->received_us = burst->units[burst->n - 1].received_us -
				    (int64_t)(burst->n - 1 - i) * step_us(recorder);
		if (err == 0)
			err = record_unit(recorder, unit);
		free((void *)(uintptr_t)unit->data);
	}
	burst->n = burst->bytes = 0;
	burst->open = false;
	return err;
}

static int burst_add(struct recorder *recorder, const struct reader_unit *unit)
{
	struct burst *burst = &recorder->burst;
	uint8_t *data;

	data = malloc(unit->len);
	if (!data)
		return -ENOMEM;
	memcpy(data, unit->data, unit->len);
	burst->units[burst->n] = *unit;
	burst->units[burst->n].data = data;
	burst->bytes += unit->len;
	burst->n++;
	return burst->n == BURST_MAX || burst->bytes >= BURST_BYTES ? burst_end(recorder) : 0;
}

static int handle_unit(struct recorder *recorder, const struct reader_unit *unit)
{
	struct burst *burst = &recorder->burst;
	int64_t at_us = unit->received_us;
	int err = 0;

	recorder->unit_us = clock_now_us();
	atomic_store_explicit(&recorder->shared->unit_us, recorder->unit_us, memory_order_relaxed);
	if (unit->discontinuity) {
		err = burst_end(recorder);
		burst->open = true;
	} else if (burst->open &&
		   (at_us - burst->units[burst->n - 1].received_us > step_us(recorder) / 2 ||
		    at_us - burst->units[0].received_us > BURST_US)) {
		err = burst_end(recorder);
	}
	if (err < 0)
		return err;
	return burst->open ? burst_add(recorder, unit) : record_unit(recorder, unit);
}

/* Nothing came in a turn. */
static int handle_quiet(struct recorder *recorder)
{
	int64_t now_us = clock_now_us();
	int err = burst_end(recorder);

	if (err < 0 || !recorder->mp4 || now_us - recorder->unit_us < QUIET_US)
		return err;
	/* Without a connection, what comes next is a key picture: the file need not wait for it. */
	if (reader_stats(recorder->reader)->state != READER_PLAYING &&
	    record_segment_of(now_us + utc_offset_us(), recorder->segment_s) != recorder->segment)
		finish_file(recorder);
	else if (!recorder->flushed)
		flush_file(recorder);
	recorder->flushed = true;
	return 0;
}

/* --- the process --- */

static int open_recorder(struct recorder *recorder, char **argv)
{
	enum stream_framing framing;
	enum stream_codec codec;
	struct child_header *header;
	char host[NET_HOST_MAX];
	uint16_t port;
	size_t size;
	int err;

	recorder->name = argv[RECORD_ARG_NAME];
	recorder->folder = argv[RECORD_ARG_FOLDER];
	recorder->segment_s = (unsigned)strtoul(argv[RECORD_ARG_SEGMENT], NULL, 10);
	recorder->json = strcmp(argv[RECORD_ARG_JSON], "json") == 0;
	recorder->wait_key = true;
	recorder->flushed = true;
	record_clock_init(&recorder->clock, strtod(argv[RECORD_ARG_FRAMERATE], NULL) / 1000);
	err = reader_parse_url(argv[RECORD_ARG_URL], host, &port, &codec, &framing);
	if (err < 0 || recorder->segment_s == 0)
		return -EINVAL;
	if (strcmp(argv[RECORD_ARG_CODEC], stream_codec_name(STREAM_H264)) == 0)
		codec = STREAM_H264;
	err = child_attach(&header, &size);
	if (err < 0)
		return err;
	if (size < sizeof *recorder->shared)
		return -EINVAL;
	recorder->shared = (struct record_shared *)(void *)header;
	err = mp4_format_create(&recorder->format);
	if (err == 0)
		err = record_sync_create(&recorder->sync);
	if (err == 0)
		err = reader_create(&recorder->reader, host, port, codec, framing);
	return err;
}

/* Once for each time that the server is lost. */
static void tell_connection(struct recorder *recorder, const struct reader_stats *stats)
{
	if (stats->state == READER_BACKOFF && !recorder->lost) {
		recorder->lost = true;
		diag_warn("%s: %s; tried again until it works", recorder->name, stats->error);
	} else if (stats->state == READER_PLAYING && recorder->lost) {
		recorder->lost = false;
		diag_info("%s: is there again", recorder->name);
	}
}

static int run(struct recorder *recorder)
{
	const struct reader_stats *stats = reader_stats(recorder->reader);
	struct reader_unit unit;
	int r = 0;

	while (!child_ending() && r >= 0) {
		child_beat(&recorder->shared->header);
		r = reader_next(recorder->reader, &unit, TURN_MS);
		if (r > 0)
			r = handle_unit(recorder, &unit);
		else if (r == 0)
			r = handle_quiet(recorder);
		tell_connection(recorder, stats);
	}
	if (r >= 0)
		r = burst_end(recorder);
	finish_file(recorder);
	return r;
}

int cmd_record_child(int argc, char **argv)
{
	static struct recorder recorder; /* the burst is too large for a stack */
	int err;

	av_log_set_level(AV_LOG_QUIET); /* our own words say what matters */
	if (argc != RECORD_ARGS)
		return EXIT_USAGE;
	err = open_recorder(&recorder, argv);
	if (err == 0)
		err = run(&recorder);
	if (err < 0)
		diag_error("%s: %s", recorder.name, strerror(-err));
	reader_destroy(recorder.reader);
	record_sync_destroy(recorder.sync);
	mp4_format_destroy(recorder.format);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
