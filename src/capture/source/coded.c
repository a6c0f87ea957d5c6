/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/coded.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/source/assemble.h"

#define REORDER_MAX_US INT64_C(10000000)

struct coded {
	struct assembler assembler;
	AVRational base; /* of the stream's times */
	bool parsed, keep_hidden, immediate;
	const char *what;
	/* pending: what came last, and is not known to be complete. ready: what is given next. */
	struct unit units[3], *pending, *ready, *spare;
	bool have_pending, have_ready;
	bool next_corrupt; /* the parser marked the packet before */
	bool wait_key;	   /* after a gap: nothing up to the next key picture */
	bool have_ends;	   /* the JPEG before had its end */
	bool no_key;	   /* pictures came, but none that decoding can begin at */
	uint32_t lasts_us; /* until the picture after the ready one; 0: not known */
};

/* --- times --- */

static int64_t to_us(const struct coded *coded, int64_t ticks)
{
	return av_rescale_q(ticks, coded->base, AV_TIME_BASE_Q);
}

/* More than the limit is damage: those who show pictures would wait as long. */
static int64_t reorder_us(const struct coded *coded, const struct unit *unit)
{
	uint64_t ticks = (uint64_t)unit->pts - (uint64_t)unit->dts;
	const int64_t max_us = coded->immediate ? CODED_REORDER_LIVE_US : REORDER_MAX_US;
	int64_t us;

	if (unit->pts == AV_NOPTS_VALUE || unit->dts == AV_NOPTS_VALUE || unit->pts <= unit->dts ||
	    ticks > INT64_MAX)
		return 0;
	us = to_us(coded, (int64_t)ticks);
	return us >= 0 && us <= max_us ? us : 0;
}

static uint32_t limit_us(int64_t us)
{
	return us > 0 && us <= UINT32_MAX ? (uint32_t)us : 0;
}

/* Until the next picture is shown. Containers know it for each picture, or state a mean. */
static uint32_t duration_us(const struct coded *coded, const struct unit *unit,
			    const struct unit *next)
{
	const bool in_order = next && unit->dts != AV_NOPTS_VALUE && next->dts > unit->dts &&
			      next->dts - (uint64_t)unit->dts < INT32_MAX &&
			      reorder_us(coded, unit) == 0 && reorder_us(coded, next) == 0;

	return limit_us(to_us(coded, in_order ? next->dts - unit->dts : unit->duration));
}

/* --- what is passed on --- */

/*
 * A demuxer marks a packet in which bytes are missing, and one after which a counter jumps: the
 * last packet of a transport stream that another one was joined to, which lacks nothing. Only then
 * a key picture follows; the bits tell the two apart. The end of a recording may be torn.
 */
static bool is_good(const struct coded *coded, const struct unit *unit, const struct unit *next)
{
	const bool h264 = coded->assembler.codec == CONFIG_CODEC_H264;

	if (unit->corrupt && coded->immediate)
		return h264 && unit->key && unit_is_whole(unit);
	if (unit->corrupt)
		return h264 && next && next->key && unit_is_whole(unit);
	if (next || (h264 && coded->immediate))
		return true;
	/* Some cameras never write the end of a JPEG. */
	return h264 ? unit_is_whole(unit) : unit->ends || !coded->have_ends;
}

/* Whether the picture is passed on. next: the one that follows, or NULL at the end. */
static bool admit(struct coded *coded, const struct unit *unit, const struct unit *next)
{
	if ((unit->discard && !coded->keep_hidden) || !is_good(coded, unit, next)) {
		coded->wait_key |= unit->referenced;
		return false;
	}
	if (coded->wait_key && !unit->key) {
		coded->no_key = true;
		return false;
	}
	coded->wait_key = false;
	coded->have_ends = unit->ends;
	return true;
}

/* The pending picture is complete. */
static void settle(struct coded *coded, const struct unit *next)
{
	struct unit *pending = coded->pending;

	if (!coded->have_pending)
		return;
	coded->have_pending = false;
	if (!admit(coded, pending, next))
		return;
	coded->lasts_us = duration_us(coded, pending, next);
	coded->pending = coded->ready;
	coded->ready = pending;
	coded->have_ready = true;
}

/* --- packets in, pictures out --- */

static int take_new_header(struct coded *coded, const AVPacket *packet)
{
	size_t size = 0;
	const uint8_t *data = av_packet_get_side_data(packet, AV_PKT_DATA_NEW_EXTRADATA, &size);

	return data ? assembler_take_header(&coded->assembler, data, size) : 0;
}

/* Where the parser's mark belongs: to the next packet, and to this one if both began in the same
 * piece of the file. */
static void place_mark(struct coded *coded, struct unit *unit)
{
	const bool marked = unit->corrupt;

	if (!coded->parsed)
		return;
	if (coded->next_corrupt && coded->have_pending && unit->pos == coded->pending->pos)
		coded->pending->corrupt = true;
	unit->corrupt = coded->next_corrupt;
	coded->next_corrupt = marked;
}

static int take_end(struct coded *coded)
{
	settle(coded, NULL);
	return 0;
}

int coded_send(struct coded *coded, const AVPacket *packet)
{
	struct unit *unit = coded->spare;
	int r;

	coded->have_ready = false;
	if (!packet)
		return take_end(coded);
	r = take_new_header(coded, packet);
	if (r)
		return r;
	r = assembler_take(&coded->assembler, packet, unit);
	if (r == -ENODATA) {
		if (coded->have_pending)
			unit_extend(coded->pending, packet->duration);
		return 0;
	}
	if (r && r != -EBADMSG)
		return r;
	place_mark(coded, unit);
	unit->corrupt |= r == -EBADMSG; /* which is this packet's own damage */
	if (coded->have_pending && unit_is_pair(coded->pending, unit))
		return unit_append(coded->pending, unit);
	settle(coded, unit);
	coded->spare = coded->pending;
	coded->pending = unit;
	coded->have_pending = true;
	if (coded->immediate && unit->fields == 0 && !coded->have_ready)
		settle(coded, NULL);
	return 0;
}

int coded_receive(struct coded *coded, struct coded_picture *picture)
{
	const struct unit *unit = coded->ready;

	if (!coded->have_ready)
		return -EAGAIN;
	coded->have_ready = false;
	*picture = (struct coded_picture){
		.packet = {.data = unit->coded.data,
			   .len = unit->coded.len,
			   .duration_us = coded->lasts_us,
			   .key = unit->key},
		.dts = unit->dts,
		.duration = unit->duration,
		.reorder_us = reorder_us(coded, unit),
		.width = unit->width,
		.height = unit->height,
	};
	return 0;
}

int coded_rewind(struct coded *coded, const AVStream *stream)
{
	const AVCodecParameters *parameters = stream->codecpar;

	coded->base = stream->time_base;
	coded->have_pending = coded->have_ready = coded->next_corrupt = false;
	coded->assembler.length_size = 0;
	coded->wait_key = true;
	return assembler_take_header(&coded->assembler, parameters->extradata,
				     (size_t)parameters->extradata_size);
}

bool coded_waits_for_key(const struct coded *coded)
{
	return coded->wait_key;
}

void coded_trouble(const struct coded *coded, char *why)
{
	const char *what = coded->what;

	if (coded->assembler.codec == CONFIG_CODEC_MJPEG)
		snprintf(why, 256, "no packet of the %s is a JPEG", what);
	else if (coded->assembler.set_too_long)
		snprintf(why, 256,
			 "a parameter set of the %s is longer than 4096 bytes; let it be encoded "
			 "instead of `copy`",
			 what);
	else if (coded->no_key)
		snprintf(why, 256,
			 "the %s has no key picture (IDR) to begin with; let it be encoded instead "
			 "of `copy`",
			 what);
	else
		snprintf(why, 256, "no picture of the %s is whole", what);
}

/* --- life --- */

int coded_create(struct coded **out, const struct coded_options *options, char *why)
{
	struct coded *coded = calloc(1, sizeof(*coded));
	int r = -ENOMEM;

	if (coded) {
		assembler_init(&coded->assembler, options->codec);
		coded->parsed = options->parsed;
		coded->keep_hidden = options->keep_hidden;
		coded->immediate = options->immediate;
		coded->what = options->what ? options->what : "recording";
		coded->pending = &coded->units[0];
		coded->ready = &coded->units[1];
		coded->spare = &coded->units[2];
		r = coded_rewind(coded, options->stream);
	}
	if (r) {
		coded_destroy(coded);
		snprintf(why, 256, "out of memory");
		return r;
	}
	*out = coded;
	return 0;
}

void coded_destroy(struct coded *coded)
{
	if (!coded)
		return;
	assembler_finish(&coded->assembler);
	for (int i = 0; i < 3; i++)
		unit_finish(&coded->units[i]);
	free(coded);
}
