/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `camcast record-child`: the recording of one server. One thread reads, muxes and writes; another
 * one (file.h) waits for the disk.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
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
#include "client/find/server.h"
#include "client/record/burst.h"
#include "client/record/file.h"
#include "client/record/mp4.h"
#include "client/record/record.h"
#include "client/record/time.h"
#include "client/stream/reader.h"
#include "client/stream/target.h"

#define TURN_MS 200
#define QUIET_US 1000000 /* without a unit: everything that has come is written to the file */
#define PAUSE_US 3000000 /* without a unit, and PAUSE_STEPS: the next units may be old */
#define PAUSE_STEPS 3
#define FROZEN_US 1500000     /* a wait that took so long: this process was stopped */
#define CLOCK_STEP_US 5000000 /* a change of UTC against CLOCK_MONOTONIC that names show */
#define MUX_PERIOD_US 10000000
#define FILE_MIN_US 1000000 /* a file is not ended before because of another format */
#define LEFT_OUT_PERIOD_US 60000000
#define RETRY_US 5000000	/* after an error of the file system */
#define ROOM_US 1000000		/* between two looks for free space on a full disk */
#define ROOM_BYTES (64LL << 20) /* free space with which recording continues, or */
#define ROOM_PART 20		/* this part of the disk, if that is smaller */

struct recorder {
	const char *name;
	struct record_folder folder;
	unsigned segment_s;
	bool json;
	bool folder_lost; /* another folder has its path: the manager has to check it */
	struct record_shared *shared;
	struct record_sync *sync;
	struct reader *reader;
	struct burst burst;
	struct record_clock clock;
	struct mp4_format *format;

	/* The current file; it is created on disk with its first fragment. */
	struct mp4 *mp4; /* NULL: none */
	int64_t utc_us, segment;
	struct record_file file;
	bool on_disk;
	int64_t on_disk_us;    /* duration of what is on disk */
	int64_t waiting_bytes; /* of units that are not on disk yet */
	int64_t group_bytes,
		group_max; /* of the units since the last key unit; the largest sum so far */

	int64_t file_begun_us; /* of the last one, CLOCK_MONOTONIC */
	bool renew;	       /* the next key unit begins another file */
	bool other;	       /* the file under way has another format than the stream by now */
	bool gap;	       /* units are missing before the next one */
	bool wait_key;	       /* units are left out up to a key unit */
	bool announced;	       /* the log says that this server is recorded */
	bool lost;	       /* the connection is lost, and the log says so */
	struct diag_limit mux_errors, left_out;
	int64_t unit_us;       /* when the last unit was read; CLOCK_MONOTONIC */
	int64_t received_us;   /* when its last byte came */
	bool flushed;	       /* every unit that came is in the file */
	int64_t utc_offset_us; /* at the last look */

	/* The last error of the file system. */
	int trouble; /* errno; 0: none */
	int told;    /* the error that was logged last; 0: none since the last success */
	int64_t retry_us;
};

static int64_t read_clock_us(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* UTC minus CLOCK_MONOTONIC. */
static int64_t utc_offset_us(void)
{
	return read_clock_us(CLOCK_REALTIME) - clock_now_us();
}

/* --- errors of the file system --- */

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
		diag_error("%s: no room in %s: recording stops, and continues when there is "
			   "space again; recordings are kept",
			   recorder->name, recorder->folder.dir);
	else
		diag_error("%s: cannot write to %s: %s; tried again every %d s", recorder->name,
			   recorder->folder.dir, strerror(error), RETRY_US / 1000000);
}

/* Whether writing is to be tried again. */
static bool is_trouble_over(struct recorder *recorder)
{
	int64_t now_us = clock_now_us(), enough;
	struct statvfs fs;

	if (now_us < recorder->retry_us)
		return false;
	recorder->retry_us = now_us + ROOM_US;
	if (is_want_of_room(recorder->trouble) && statvfs(recorder->folder.dir, &fs) == 0) {
		enough = (int64_t)fs.f_blocks / ROOM_PART * (int64_t)fs.f_frsize;
		if (enough > ROOM_BYTES)
			enough = ROOM_BYTES;
		if ((int64_t)fs.f_bavail * (int64_t)fs.f_frsize < enough)
			return false;
	}
	recorder->trouble = 0;
	return true;
}

/* --- the current file --- */

/* Whether a line is written at once: a script that reads nothing holds up no recording. */
static bool has_room(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLOUT);
}

/* Reports a finished file, in the log or for a script. */
static void tell_file(const struct recorder *recorder, const char *path, int64_t bytes,
		      int64_t duration_us)
{
	int64_t ms = recorder->utc_us / 1000;
	time_t second = (time_t)(ms / 1000);
	cJSON *object;
	char start[40], *text;
	struct tm tm;
	size_t len;

	if (!recorder->json || !has_room(STDOUT_FILENO)) {
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

/* Closes the current file as it is on disk; the stream stays where it is. */
static void close_file(struct recorder *recorder)
{
	if (recorder->on_disk) {
		record_file_close(&recorder->file, recorder->on_disk_us);
		tell_file(recorder, recorder->file.path, recorder->file.bytes,
			  recorder->on_disk_us);
	}
	mp4_destroy(recorder->mp4);
	recorder->mp4 = NULL;
	recorder->on_disk = false;
	recorder->on_disk_us = 0;
}

/* Closes the current file. The next key unit begins another one. */
static void leave_file(struct recorder *recorder)
{
	close_file(recorder);
	recorder->waiting_bytes = recorder->group_bytes = 0;
	recorder->other = false;
	recorder->wait_key = true;
}

/* Writes the output of the muxer to the file. 0 or -errno. */
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
		err = record_file_open(&recorder->file, recorder->sync, &recorder->folder,
				       recorder->utc_us / 1000000, data, len);
	if (err < 0)
		return err;
	mp4_saved(recorder->mp4);
	recorder->on_disk_us = mp4_duration_us(recorder->mp4);
	recorder->waiting_bytes = 0;
	if (!recorder->on_disk && (recorder->told || !recorder->announced))
		diag_info("%s: recording%s to %s", recorder->name, recorder->told ? " again" : "",
			  recorder->file.path);
	recorder->on_disk = true;
	recorder->announced = true;
	recorder->told = 0;
	return 0;
}

static int64_t step_us(const struct recorder *recorder)
{
	return (int64_t)recorder->clock.step_us;
}

/* The current file cannot grow: moves its last group of pictures, which is not wholly on disk, into
 * another file. 0 or -errno. */
static int begin_next_file(struct recorder *recorder)
{
	struct mp4_cut cut;
	struct mp4 *next;
	int err = mp4_go_on(&next, recorder->mp4, recorder->name, recorder->utc_us, &cut);

	if (err < 0)
		return err;
	err = record_file_cut(&recorder->file, cut.bytes);
	if (err < 0) {
		mp4_destroy(next);
		return err;
	}
	recorder->on_disk_us = cut.us;
	close_file(recorder);
	recorder->mp4 = next;
	recorder->utc_us += cut.us;
	recorder->file_begun_us = clock_now_us();
	err = mp4_end_fragment(next, step_us(recorder));
	return err < 0 ? err : write_out(recorder);
}

/* Nothing can be written now. */
static void abandon_file(struct recorder *recorder, int err)
{
	leave_file(recorder);
	if (err == -ESTALE)
		recorder->folder_lost = true;
	else
		handle_trouble(recorder, -err);
}

/* The file has met a limit of its length that was not known. */
static void handle_full_file(struct recorder *recorder)
{
	double length = (double)recorder->file.bytes / 1e6;
	int err = begin_next_file(recorder);

	diag_info(
		"%s: a file cannot be longer than %.1f MB in %s: another one begins at the %s key "
		"picture",
		recorder->name, length, recorder->folder.dir, err < 0 ? "next" : "last");
	if (err == -ENODATA || err == -EFBIG) /* the group of pictures is larger than a file */
		leave_file(recorder);
	else if (err < 0)
		abandon_file(recorder, err);
}

/* The output of the muxer could not be written. */
static void handle_disk_error(struct recorder *recorder, int err)
{
	if (err == -EFBIG && recorder->on_disk)
		handle_full_file(recorder);
	else
		abandon_file(recorder, err);
}

/* The muxer refused a unit. */
static void handle_mux_error(struct recorder *recorder, int err)
{
	uint64_t suppressed;

	leave_file(recorder);
	if (err == -EMSGSIZE) {
		reader_refuse(recorder->reader, "its pictures are too large to be put in order");
		return;
	}
	if (diag_allowed(&recorder->mux_errors, clock_now_us(), MUX_PERIOD_US, &suppressed))
		diag_error(
			"%s: the stream cannot be put into a file: %s; recording continues at the "
			"next key picture",
			recorder->name, strerror(-err));
}

/* Writes the output of the muxer. muxed: the muxer's result. Returns whether everything is in the
 * file. If not, there is no file (`mp4`), or the last pictures were moved into another one. */
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
	while (recorder->mp4)
		if (save(recorder, mp4_finish(recorder->mp4, step_us(recorder))))
			leave_file(recorder);
}

/* Writes every unit that came to the file, because no unit comes at the moment. */
static void flush_file(struct recorder *recorder)
{
	save(recorder, mp4_end_fragment(recorder->mp4, step_us(recorder)));
}

/* --- units --- */

/* Whether the next group of pictures may exceed the limit of the file. */
static bool is_file_full(const struct recorder *recorder)
{
	return recorder->on_disk &&
	       record_file_is_near_limit(&recorder->file,
					 recorder->waiting_bytes + 2 * recorder->group_max);
}

/* Leaves pictures out up to a later key unit. The log says why, once a minute. */
static void leave_out(struct recorder *recorder, const char *why)
{
	uint64_t suppressed;

	recorder->wait_key = true;
	recorder->gap = true;
	if (diag_allowed(&recorder->left_out, clock_now_us(), LEFT_OUT_PERIOD_US, &suppressed))
		diag_warn("%s: %s: pictures are left out", recorder->name, why);
}

/* Whether the file is to end before the key unit. */
static bool is_file_over(const struct recorder *recorder, int64_t segment, bool young)
{
	if (recorder->other || is_file_full(recorder))
		return true;
	return !young && (recorder->renew || segment != recorder->segment);
}

static int handle_key(struct recorder *recorder, const struct reader_unit *unit, int64_t at_us)
{
	int64_t utc_us = at_us + utc_offset_us();
	int64_t segment = record_segment_of(utc_us, recorder->segment_s);
	int changed = mp4_format_update(recorder->format, unit), err;
	bool young = clock_now_us() - recorder->file_begun_us < FILE_MIN_US;

	if (changed < 0) {
		recorder->wait_key = true; /* neither it nor the units after it can be decoded */
		return changed == -ENOMEM ? changed : 0;
	}
	recorder->other |= recorder->mp4 && changed;
	if (recorder->other && young) {
		leave_out(recorder, "its pictures change their format more than once a second");
		return 0;
	}
	if (recorder->mp4 && is_file_over(recorder, segment, young))
		finish_file(recorder);
	recorder->group_bytes = 0;
	if (recorder->trouble)
		return 0;
	recorder->wait_key = false;
	if (recorder->mp4)
		return 0;
	recorder->renew = false; /* also of what came while there was no file */
	recorder->utc_us = utc_us;
	recorder->segment = segment;
	recorder->file_begun_us = clock_now_us();
	err = mp4_create(&recorder->mp4, recorder->format, recorder->name, utc_us);
	if (err < 0 && err != -ENOMEM) {
		handle_mux_error(recorder, err);
		return 0;
	}
	return err;
}

/* Returns -ENOMEM, after which the process is started again; other errors are handled here. */
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
	if (record_clock_is_full(&recorder->clock, unit->received_us)) {
		leave_out(recorder, "its pictures come faster than a file can show them");
		return 0;
	}
	at_us = record_clock_next(&recorder->clock, unit->received_us, recorder->gap);
	recorder->gap = false;
	if (unit->key) {
		err = handle_key(recorder, unit, at_us);
		if (err < 0)
			return err;
	}
	if (recorder->wait_key || recorder->trouble)
		return 0;
	recorder->waiting_bytes += (int64_t)unit->len;
	recorder->group_bytes += (int64_t)unit->len;
	if (recorder->group_bytes > recorder->group_max)
		recorder->group_max = recorder->group_bytes;
	err = mp4_add(recorder->mp4, unit, at_us);
	recorder->flushed = false;
	if (err != 0)
		save(recorder, err);
	return 0;
}

/* Records the units that the burst has kept. */
static int end_burst(struct recorder *recorder)
{
	struct burst *burst = &recorder->burst;
	int err = 0;

	if (burst->n > 0)
		record_clock_set_step(&recorder->clock,
				      burst_settle(burst, recorder->clock.step_us));
	for (size_t i = 0; i < burst->n && err == 0; i++)
		err = record_unit(recorder, &burst->units[i]);
	burst_close(burst);
	return err;
}

/* Whether the unit follows a pause that is so long that it may be older than its arrival. */
static bool is_after_pause(const struct recorder *recorder, const struct reader_unit *unit)
{
	int64_t pause_us = unit->received_us - recorder->received_us;

	return recorder->received_us > 0 && pause_us > PAUSE_US &&
	       pause_us > PAUSE_STEPS * step_us(recorder);
}

static int handle_unit(struct recorder *recorder, const struct reader_unit *unit)
{
	struct burst *burst = &recorder->burst;
	bool pause = is_after_pause(recorder, unit);
	int err = 0;

	recorder->unit_us = clock_now_us();
	recorder->received_us = unit->received_us;
	atomic_store_explicit(&recorder->shared->unit_us, recorder->unit_us, memory_order_relaxed);
	atomic_fetch_add_explicit(&recorder->shared->units, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&recorder->shared->bytes, unit->len, memory_order_relaxed);
	if (unit->discontinuity || pause) {
		err = end_burst(recorder);
		burst_open(burst);
		recorder->renew |= pause && !unit->discontinuity;
	}
	if (err < 0)
		return err;
	if (!burst->open)
		return record_unit(recorder, unit);
	err = burst_add(burst, unit);
	if (err == 0 && burst_is_complete(burst, unit->received_us))
		err = end_burst(recorder);
	return err;
}

/* No unit came in a turn. */
static int handle_quiet(struct recorder *recorder)
{
	int64_t now_us = clock_now_us();
	int err = 0;

	if (burst_is_complete(&recorder->burst, now_us) ||
	    reader_stats(recorder->reader)->state != READER_PLAYING)
		err = end_burst(recorder);
	if (err < 0 || !recorder->mp4 || now_us - recorder->unit_us < QUIET_US)
		return err;
	/* The first unit of the next connection is a key unit, so the file can end before it. */
	if (reader_stats(recorder->reader)->state != READER_PLAYING &&
	    record_segment_of(now_us + utc_offset_us(), recorder->segment_s) != recorder->segment)
		finish_file(recorder);
	else if (!recorder->flushed)
		flush_file(recorder);
	recorder->flushed = true;
	return 0;
}

/* --- the process --- */

static void beat(void *user)
{
	const struct recorder *recorder = user;

	child_beat(&recorder->shared->header);
}

static int open_recorder(struct recorder *recorder, char **argv)
{
	struct child_header *header;
	struct server_stream at;
	size_t size;
	int err;

	recorder->name = argv[RECORD_ARG_NAME];
	recorder->segment_s = (unsigned)strtoul(argv[RECORD_ARG_SEGMENT], NULL, 10);
	recorder->json = strcmp(argv[RECORD_ARG_JSON], "json") == 0;
	recorder->folder = (struct record_folder){
		.dir = argv[RECORD_ARG_DIR],
		.maker = CHILD_OWN_FD,
		.progress = beat,
		.user = recorder,
		.file_max = strtoll(argv[RECORD_ARG_FILE_MAX], NULL, 10),
	};
	recorder->wait_key = true;
	recorder->flushed = true;
	record_clock_init(&recorder->clock, strtod(argv[RECORD_ARG_FRAMERATE], NULL) / 1000);
	err = target_parse_url(argv[RECORD_ARG_URL], &at);
	if (err < 0 || recorder->segment_s == 0)
		return -EINVAL;
	if (strcmp(argv[RECORD_ARG_CODEC], stream_codec_name(STREAM_H264)) == 0)
		at.codec = STREAM_H264;
	err = child_attach(&header, &size);
	if (err < 0)
		return err;
	if (size < sizeof *recorder->shared)
		return -EINVAL;
	recorder->shared = (struct record_shared *)(void *)header;
	/* Reads the authorities that it trusts. */
	err = reader_create(&recorder->reader, &at);
	if (err < 0)
		return err;
	child_confine(at.host, at.port, false);
	err = mp4_format_create(&recorder->format);
	if (err == 0)
		err = record_sync_create(&recorder->sync);
	return err;
}

/* Logs each loss of the connection, and its end, once. */
static void tell_connection(struct recorder *recorder, const struct reader_stats *stats)
{
	if (stats->state == READER_BACKOFF && !recorder->lost) {
		recorder->lost = true;
		diag_warn("%s: %s; trying again", recorder->name, stats->error);
	} else if (stats->state == READER_PLAYING && recorder->lost) {
		recorder->lost = false;
		diag_info("%s: connected again", recorder->name);
	}
}

/* The process was stopped, or the machine slept: the arrival times of the bytes in the socket are
 * not known. */
static int handle_freeze(struct recorder *recorder, int64_t us)
{
	int err = end_burst(recorder);

	finish_file(recorder);
	recorder->received_us = 0;
	reader_restart(recorder->reader);
	diag_info("%s: nothing was recorded for %.1f s, while this process was stopped",
		  recorder->name, (double)us / 1e6);
	return err;
}

/* Begins another file after UTC was set, because its name shows UTC. */
static void follow_utc(struct recorder *recorder)
{
	int64_t offset_us = utc_offset_us(), change_us = offset_us - recorder->utc_offset_us;

	recorder->utc_offset_us = offset_us;
	if (change_us <= CLOCK_STEP_US && change_us >= -CLOCK_STEP_US)
		return;
	recorder->renew = true;
	if (recorder->mp4 && !recorder->on_disk) /* it has no name yet */
		recorder->utc_us += change_us;
}

/* Waits for a unit, and records it. 0 or -errno. */
static int turn(struct recorder *recorder)
{
	const struct reader_stats *stats = reader_stats(recorder->reader);
	bool connected = stats->state == READER_PLAYING || stats->state == READER_WAITING_KEY;
	int64_t begun_us = read_clock_us(CLOCK_BOOTTIME), took_us;
	struct reader_unit unit;
	int r = reader_next(recorder->reader, &unit, TURN_MS);

	if (r < 0)
		return r;
	took_us = read_clock_us(CLOCK_BOOTTIME) - begun_us;
	/* Without a connection nothing came whose time is not known. */
	if (connected && took_us > FROZEN_US)
		return handle_freeze(recorder, took_us);
	follow_utc(recorder);
	return r > 0 ? handle_unit(recorder, &unit) : handle_quiet(recorder);
}

/* Records until the manager ends this process, or has to check the folder. 0 or -errno. */
static int run(struct recorder *recorder)
{
	const struct reader_stats *stats = reader_stats(recorder->reader);
	int r = 0;

	recorder->utc_offset_us = utc_offset_us();
	while (!child_ending() && !recorder->folder_lost && r >= 0) {
		child_beat(&recorder->shared->header);
		r = turn(recorder);
		tell_connection(recorder, stats);
	}
	if (r >= 0)
		r = end_burst(recorder);
	finish_file(recorder);
	return r;
}

int cmd_record_child(int argc, char **argv)
{
	static struct recorder recorder; /* the burst is too large for a stack */
	int err;

	av_log_set_level(AV_LOG_QUIET); /* errors are logged here */
	signal(SIGXFSZ, SIG_IGN);	/* write() then fails with EFBIG */
	if (argc != RECORD_ARGS)
		return EXIT_USAGE;
	err = open_recorder(&recorder, argv);
	if (err == 0)
		err = run(&recorder);
	if (err < 0)
		diag_error("%s: %s", recorder.name, strerror(-err));
	burst_close(&recorder.burst);
	reader_destroy(recorder.reader);
	record_sync_destroy(recorder.sync);
	mp4_format_destroy(recorder.format);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
