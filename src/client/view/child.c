/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process of `camcast view` for one server: reads the stream, decodes each picture when it
 * arrives, and publishes the newest in the shared ring. One thread, and those of libavcodec.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/diag.h"
#include "client/children.h"
#include "client/client.h"
#include "client/stream/reader.h"
#include "client/stream/target.h"
#include "client/view/decoder.h"
#include "client/view/lag.h"
#include "client/view/ring.h"
#include "client/view/size.h"
#include "media/sei.h"

#define TURN_MS 250 /* between heartbeats, when no unit arrives */
#define WHY_SIZE 256
#define REFUSAL_PERIOD_US 60000000 /* between two log lines about the same server */
/* A hardware decoder is on trial until it has returned this many pictures. */
#define TRIAL_PICTURES 30

struct view_child {
	struct view_shared *shared;
	struct view_ring ring;
	struct reader *reader;
	struct view_decoder *decoder; /* NULL before the first unit */
	enum stream_codec codec;      /* of the decoder */
	const char *hardware;
	unsigned trial; /* pictures that the hardware decoder has yet to give */
	const char *url;
	struct diag_limit refusals;
};

static int64_t utc_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The previous child died or hung with a hardware decoder on trial: this one uses software. */
static int open_decoder(struct view_child *child, enum stream_codec codec)
{
	char why[WHY_SIZE];
	int r;

	if (strcmp(child->hardware, "none") != 0)
		atomic_store(&child->shared->hardware_trial, 1);
	r = view_decoder_create(&child->decoder, codec, child->hardware, &child->ring, why);
	if (r) {
		child_write_status(&child->shared->child, "%s", why);
		diag_error("%s", why);
		return r;
	}
	child->codec = codec;
	child->trial = TRIAL_PICTURES;
	if (!view_decoder_hardware(child->decoder))
		atomic_store(&child->shared->hardware_trial, 0);
	return 0;
}

static void count_trial(struct view_child *child, unsigned published)
{
	if (child->trial > published) {
		child->trial -= published;
	} else if (child->trial) {
		child->trial = 0;
		atomic_store(&child->shared->hardware_trial, 0);
	}
}

static int decode(struct view_child *child, const struct reader_unit *unit)
{
	int64_t since_us = unit->received_us, offset_us = 0;
	struct sei_capture capture;
	bool captured = false;
	char why[WHY_SIZE] = "", too_large[VIEW_SIZE_WHY];
	int r;

	if (view_size_check(unit->codec, unit->data, unit->len, too_large) < 0) {
		reader_refuse(child->reader, too_large);
		return 0;
	}
	if (child->decoder && child->codec != unit->codec) {
		view_decoder_destroy(child->decoder);
		child->decoder = NULL;
	}
	if (!child->decoder) {
		r = open_decoder(child, unit->codec);
		if (r)
			return r;
	} else if (unit->discontinuity) {
		view_decoder_flush(child->decoder);
	}
	if (unit->codec == STREAM_H264 && sei_find_capture(unit->data, unit->len, &capture))
		captured = view_lag_capture_us(&capture, clock_now_us(), utc_now_us(), &since_us,
					       &offset_us);
	atomic_store_explicit(&child->shared->clock_offset_us, offset_us, memory_order_relaxed);
	r = view_decoder_decode(child->decoder, unit->data, unit->len, since_us, captured, why);
	if (r == -ENOTRECOVERABLE) {
		child_write_status(&child->shared->child, "%s", why);
		diag_error("%s", why);
		return r;
	}
	if (r > 0) {
		atomic_fetch_add_explicit(&child->shared->decoded, (unsigned)r,
					  memory_order_relaxed);
		count_trial(child, (unsigned)r);
	}
	return 0;
}

/* Logs what was wrong with the bytes of a connection that this process ended. */
static void tell_refusal(struct view_child *child, const struct reader_stats *stats)
{
	uint64_t suppressed;

	if (stats->refused &&
	    diag_allowed(&child->refusals, clock_now_us(), REFUSAL_PERIOD_US, &suppressed))
		diag_warn("%s: the connection was ended: %s", child->url, stats->error);
}

/* The reader's state as a text for the tile. */
static void tell(struct view_child *child)
{
	static const enum view_activity activities[] = {
		[READER_CONNECTING] = VIEW_CONNECTING,
		[READER_WAITING_KEY] = VIEW_WAITING_KEY,
		[READER_PLAYING] = VIEW_PLAYING,
		[READER_BACKOFF] = VIEW_RECONNECTING,
	};
	const struct reader_stats *stats = reader_stats(child->reader);
	const enum view_activity activity = activities[stats->state];

	switch (activity) {
	case VIEW_CONNECTING:
		child_write_status(&child->shared->child, "connecting");
		break;
	case VIEW_WAITING_KEY:
		child_write_status(&child->shared->child, "waiting for a key picture");
		break;
	case VIEW_PLAYING:
		child_write_status(&child->shared->child, "%s",
				   child->decoder ? view_decoder_name(child->decoder) : "");
		break;
	case VIEW_RECONNECTING:
		child_write_status(&child->shared->child, "%s%s",
				   stats->refused ? "" : "no connection: ", stats->error);
		tell_refusal(child, stats);
		break;
	}
	view_ring_set_activity(child->shared, activity);
}

static int run(struct view_child *child)
{
	int told = -1, r;

	while (!child_ending()) {
		struct reader_unit unit;

		r = reader_next(child->reader, &unit, TURN_MS);
		if (r > 0)
			r = decode(child, &unit);
		if (r < 0)
			return r;
		child_beat(&child->shared->child);
		if ((int)reader_stats(child->reader)->state != told) {
			told = (int)reader_stats(child->reader)->state;
			tell(child);
		}
	}
	return 0;
}

static int parse_options(int argc, char **argv, struct view_child *child)
{
	static const struct option options[] = {
		{"hardware", required_argument, NULL, 'd'},
		{0},
	};
	struct server_stream at;
	int c, err;

	child->hardware = "auto";
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c != 'd')
			return -EINVAL;
		child->hardware = optarg;
	}
	if (argc - optind != 1 || target_parse_url(argv[optind], &at)) {
		diag_error("view-child is started by `camcast view`, not by hand");
		return -EINVAL;
	}
	child->url = argv[optind];
	/* Reads the authorities that it trusts. */
	err = reader_create(&child->reader, &at);
	if (err < 0)
		return err;
	child_confine(at.host, at.port, strcmp(child->hardware, "none") != 0);
	return 0;
}

int cmd_view_child(int argc, char **argv)
{
	struct view_child child = {0};
	struct child_header *header;
	size_t size;
	int r;

	r = child_attach(&header, &size);
	if (r) {
		diag_error("view-child is started by `camcast view`, not by hand");
		return EXIT_USAGE;
	}
	if (size < sizeof(*child.shared))
		return EXIT_USAGE;
	/* It is the mapping's start, on a page. */
	child.shared = (struct view_shared *)(void *)header;
	view_ring_init(&child.ring, child.shared);
	r = parse_options(argc, argv, &child);
	if (r)
		return r == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	if (atomic_load(&child.shared->hardware_trial))
		child.hardware = "none";
	reader_set_low_latency(child.reader, true);
	r = run(&child);
	view_decoder_destroy(child.decoder);
	reader_destroy(child.reader);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
