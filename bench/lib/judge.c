/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/judge.h"

#include <libavcodec/avcodec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/unit.h"

enum { KIND_UNKNOWN, KIND_REFERENCE, KIND_DROPPABLE };

#define SEQ_MAX (1u << 24) /* six days at 30 a second: more is no number of ours */

static void *grow(void *old, size_t size)
{
	void *data = realloc(old, size);

	if (!data) {
		perror("judge");
		exit(1);
	}
	return data;
}

void judge_init(struct judge *judge, struct judge_panel *panel)
{
	memset(judge, 0, sizeof(*judge));
	judge->panel = panel;
}

uint8_t *judge_room(struct judge *judge, size_t size)
{
	if (judge->room - judge->len < size) {
		judge->room = judge->len + 2 * size;
		judge->data = grow(judge->data, judge->room);
	}
	return judge->data + judge->len;
}

static void time_unit(struct judge *judge, const struct unit_info *info, int64_t complete_us)
{
	struct judge_panel *panel = judge->panel;
	struct last *last = &panel->last[info->seq % 256];

	samples_add(&panel->latency, complete_us - info->capture_us);
	if (!judge->counts_as_last)
		return;
	if (last->seq != info->seq || last->count == 0) {
		last->seq = info->seq;
		last->count = 0;
		last->latest_us = 0;
	}
	if (complete_us > last->latest_us)
		last->latest_us = complete_us;
	if (++last->count == panel->timed) {
		samples_add(&panel->latency_last, last->latest_us - info->capture_us);
		last->count = 0;
	}
}

static void number_unit(struct judge *judge, const struct unit_info *info)
{
	struct judge_panel *panel = judge->panel;

	if (info->seq >= SEQ_MAX) {
		panel->malformed++;
		return;
	}
	if (info->seq >= panel->n_kinds) {
		size_t n = info->seq + 4096;

		panel->kinds = grow(panel->kinds, n);
		memset(panel->kinds + panel->n_kinds, KIND_UNKNOWN, n - panel->n_kinds);
		panel->n_kinds = n;
	}
	panel->kinds[info->seq] = info->droppable ? KIND_DROPPABLE : KIND_REFERENCE;
	if (judge->numbered && info->seq != judge->seq + 1) {
		panel->gaps++;
		if (!info->key) {
			panel->open_gaps = grow(panel->open_gaps, (panel->n_open_gaps +
								   1) * sizeof(*panel->open_gaps));
			panel->open_gaps[panel->n_open_gaps++] =
				(struct judge_gap){judge->seq, info->seq};
		}
	}
	judge->numbered = true;
	judge->seq = info->seq;
}

static void judge_unit(struct judge *judge, const uint8_t *data, size_t len, int64_t complete_us)
{
	struct judge_panel *panel = judge->panel;
	struct unit_info info;

	unit_parse(data, len, &info);
	panel->units++;
	panel->unit_bytes += len;
	if (!judge->begun && !info.key)
		panel->begins_not_key++;
	judge->begun = true;
	if (info.key && judge->first_key_us == 0)
		judge->first_key_us = complete_us;
	if (!info.h264 && (len < 4 || data[0] != 0xff || data[1] != 0xd8))
		panel->malformed++;
	if (info.numbered) {
		number_unit(judge, &info);
		if (panel->timing)
			time_unit(judge, &info, complete_us);
	}
	if (judge->keep) {
		size_t need = judge->kept_len + sizeof(len) + len;

		if (need > judge->kept_room) {
			judge->kept_room = 2 * need;
			judge->kept = grow(judge->kept, judge->kept_room);
		}
		memcpy(judge->kept + judge->kept_len, &len, sizeof(len));
		memcpy(judge->kept + judge->kept_len + sizeof(len), data, len);
		judge->kept_len = need;
	}
}

/* Length of the first whole unit in the data, header included, 0 if there is none yet; *skip is the
 * header. An Annex B unit is known to be whole when the delimiter of the next one is there. */
static size_t whole_unit(struct judge *judge, size_t *skip)
{
	static const uint8_t aud[5] = {0, 0, 0, 1, 9};
	const uint8_t *found;
	size_t len;

	if (judge->panel->framing == JUDGE_LENGTH) {
		*skip = 4;
		if (judge->len < 4)
			return 0;
		len = (size_t)judge->data[0] << 24 | (size_t)judge->data[1] << 16 |
		      (size_t)judge->data[2] << 8 | judge->data[3];
		return judge->len >= 4 + len ? 4 + len : 0;
	}
	*skip = 0;
	if (judge->searched == 0) {
		if (judge->len < sizeof(aud))
			return 0;
		if (memcmp(judge->data, aud, sizeof(aud)) != 0)
			judge->panel->malformed++;
		judge->searched = 1;
	}
	found = memmem(judge->data + judge->searched, judge->len - judge->searched, aud,
		       sizeof(aud));
	if (found)
		return (size_t)(found - judge->data);
	if (judge->len - judge->searched >= sizeof(aud))
		judge->searched = judge->len - (sizeof(aud) - 1);
	return 0;
}

void judge_received(struct judge *judge, size_t n, int64_t now_us)
{
	size_t old_len = judge->len, done = 0, skip, unit;
	uint8_t *base = judge->data;

	judge->len += n;
	while ((unit = whole_unit(judge, &skip)) > 0) {
		bool was_here =
			done + unit <= old_len; /* its last byte came with an earlier read */

		judge_unit(judge, judge->data + skip, unit - skip,
			   was_here ? judge->byte_us : now_us);
		judge->data += unit;
		judge->len -= unit;
		judge->searched = 0;
		done += unit;
	}
	if (done > 0) {
		memmove(base, judge->data, judge->len);
		judge->data = base;
	}
	judge->byte_us = now_us;
}

void judge_finish(struct judge *judge)
{
	judge->panel->streams++;
	free(judge->data);
	judge->data = NULL;
	judge->len = judge->room = 0;
}

void judge_panel_finish(struct judge_panel *panel)
{
	for (size_t i = 0; i < panel->n_open_gaps; i++) {
		const struct judge_gap *gap = &panel->open_gaps[i];
		bool fine = gap->after > gap->before;

		for (uint64_t seq = gap->before + 1; fine && seq < gap->after; seq++)
			fine = panel->kinds[seq] == KIND_DROPPABLE;
		panel->gap_ends_not_key += !fine;
	}
	free(panel->open_gaps);
	free(panel->kinds);
	panel->open_gaps = NULL;
	panel->kinds = NULL;
	panel->n_open_gaps = panel->n_kinds = 0;
}

/* libavcodec conceals a missing reference and mentions it at debug level only. */
static uint64_t decoder_errors;

static void count_decoder_lines(void *context, int level, const char *format, va_list args)
{
	(void)context;
	(void)args;
	if (level <= AV_LOG_ERROR || strncmp(format, "Frame num gap", 13) == 0)
		decoder_errors++;
}

void judge_decode(struct judge *judge)
{
	struct judge_panel *panel = judge->panel;
	const AVCodec *codec = NULL;
	AVCodecContext *context = NULL;
	AVPacket *packet = av_packet_alloc();
	AVFrame *frame = av_frame_alloc();
	size_t at = 0;

	av_log_set_callback(count_decoder_lines);
	decoder_errors = 0;
	while (packet && frame && at < judge->kept_len) {
		size_t len;

		memcpy(&len, judge->kept + at, sizeof(len));
		at += sizeof(len);
		if (!context) {
			bool h264 = len > 4 && memcmp(judge->kept + at, "\0\0\0\1", 4) == 0;

			codec = avcodec_find_decoder(h264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_MJPEG);
			context = avcodec_alloc_context3(codec);
			if (!context)
				break;
			context->err_recognition = AV_EF_EXPLODE;
			context->thread_count = 1;
			if (avcodec_open2(context, codec, NULL) < 0)
				break;
		}
		if (av_new_packet(packet, (int)len) < 0)
			break;
		memcpy(packet->data, judge->kept + at, len);
		at += len;
		if (avcodec_send_packet(context, packet) < 0)
			decoder_errors++;
		while (avcodec_receive_frame(context, frame) == 0)
			panel->pictures++;
		av_packet_unref(packet);
	}
	if (at < judge->kept_len)
		decoder_errors++; /* no decoder or no memory: not a verdict of "fine" */
	if (context && avcodec_send_packet(context, NULL) == 0) {
		while (avcodec_receive_frame(context, frame) == 0)
			panel->pictures++;
	}
	panel->decode_errors += decoder_errors;
	avcodec_free_context(&context);
	av_frame_free(&frame);
	av_packet_free(&packet);
	free(judge->kept);
	judge->kept = NULL;
	judge->kept_len = judge->kept_room = 0;
}
