/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/encode/encoding.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define HANG_US 2000000
#define WATCH_MS 500   /* how often to look for a hang while frames are in the encoder */
#define KEY_PATIENCE 8 /* access units until a forced IDR is asked for again */

void encoding_init(struct encoding *encoding, const struct config_stream *config,
		   bool (*coded)(void *user, const struct access_unit *unit, int64_t arrived_us),
		   void *user)
{
	memset(encoding, 0, sizeof(*encoding));
	encoding->config = config;
	encoding->coded = coded;
	encoding->user = user;
	ladder_init(&encoding->ladder, config);
}

/* When the frame of this access unit came, or now if that is forgotten. */
static int64_t arrival_of(const struct encoding *encoding, int64_t capture_us)
{
	for (unsigned i = 0; i < ENCODING_TIMES; i++) {
		if (encoding->times[i].capture_us == capture_us)
			return encoding->times[i].arrived_us;
	}
	return clock_now_us();
}

static void remember_arrival(struct encoding *encoding, int64_t capture_us, int64_t arrived_us)
{
	encoding->times[encoding->next_time].capture_us = capture_us;
	encoding->times[encoding->next_time].arrived_us = arrived_us;
	encoding->next_time = (encoding->next_time + 1) % ENCODING_TIMES;
}

static void handle_coded(void *user, const struct access_unit *unit)
{
	struct encoding *encoding = user;

	encoding->in_since_out = 0;
	if (encoding->forced_ago > 0)
		encoding->forced_ago++;
	if (encoding->coded(encoding->user, unit, arrival_of(encoding, unit->capture_us))) {
		encoding->key_wanted = false;
		encoding->forced_ago = 0;
	}
}

/* The first reason stands: what follows follows from it. */
static void set_failure(struct encoding *encoding, const char *why, int error)
{
	if (!encoding->failure[0])
		snprintf(encoding->failure, sizeof(encoding->failure), "%s: %s", why,
			 strerror(-error));
}

static void handle_failed(void *user, int error, const char *why)
{
	set_failure(user, why, error);
}

int encoding_open(struct encoding *encoding, const struct frame *frame)
{
	const struct encoder_config config = {
		.format = *frame->format,
		.stream = encoding->config,
		.ring = frame->ring,
	};
	const struct encoder_events events = {
		.coded = handle_coded,
		.failed = handle_failed,
		.user = encoding,
	};
	int r;

	encoding->failure[0] = '\0';
	encoding->key_wanted = true;
	encoding->forced_ago = 0;
	encoding->in_since_out = 0;
	r = ladder_open(&encoding->ladder, &config, &events, clock_now_us(), &encoding->encoder);
	if (r < 0)
		encoding->encoder = NULL;
	return r;
}

void encoding_close(struct encoding *encoding)
{
	if (encoding->encoder)
		encoding->encoder->ops->destroy(encoding->encoder);
	encoding->encoder = NULL;
}

bool encoding_replace(struct encoding *encoding)
{
	char detail[160];

	text_set(detail, sizeof(detail), encoding->encoder->detail);
	encoding_close(encoding);
	ladder_failed(&encoding->ladder, detail, encoding->failure, clock_now_us());
	encoding->failure[0] = '\0';
	return encoding->ladder.at < encoding->ladder.n;
}

int encoding_frame(struct encoding *encoding, struct frame *frame, int64_t arrived_us, bool *forced)
{
	struct encoder *encoder = encoding->encoder;
	bool force = encoding->key_wanted &&
		     (encoding->forced_ago == 0 || encoding->forced_ago > KEY_PATIENCE);
	int r;

	remember_arrival(encoding, frame->capture_us, arrived_us);
	if (encoding->in_since_out++ < 2)
		encoding->waits_since_us = clock_now_us();
	if (force)
		encoding->forced_ago = 1;
	r = encoder->ops->encode(encoder, frame, force);
	if (force && (r < 0 || !encoder->asynchronous))
		encoding->forced_ago = 0; /* not taken, or coded already: if as no IDR, ask again */
	if (r < 0 && r != -EAGAIN)
		set_failure(encoding, "encoding a picture", r);
	*forced = force && r == 0;
	return r;
}

bool encoding_poll(const struct encoding *encoding, struct pollfd *pollfd, int *timeout_ms)
{
	struct encoder *encoder = encoding->encoder;

	*timeout_ms = -1;
	if (!encoder || !encoder->asynchronous || !encoder->ops->pollfd)
		return false;
	pollfd->fd = encoder->ops->pollfd(encoder, &pollfd->events);
	if (encoding->in_since_out > 0)
		*timeout_ms = WATCH_MS;
	return true;
}

void encoding_dispatch(struct encoding *encoding, short revents)
{
	int r = encoding->encoder->ops->dispatch(encoding->encoder, revents);

	if (r < 0 && r != -EAGAIN)
		set_failure(encoding, "reading from it", r);
}

void encoding_watch(struct encoding *encoding)
{
	/* Two frames, because one may wait in the encoder for the next, however long that takes. */
	if (encoding->failure[0] || !encoding->encoder->asynchronous ||
	    encoding->in_since_out < 2 || clock_now_us() - encoding->waits_since_us <= HANG_US)
		return;
	snprintf(encoding->failure, sizeof(encoding->failure),
		 "hangs: %u pictures in and none out for %d s", encoding->in_since_out,
		 HANG_US / 1000000);
}

int encoding_set_bitrate(struct encoding *encoding, uint32_t bitrate_bps)
{
	const struct encoder_ops *ops = encoding->encoder->ops;

	return ops->set_bitrate ? ops->set_bitrate(encoding->encoder, bitrate_bps) : -ENOTSUP;
}
