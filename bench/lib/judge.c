/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/unit.h"
#include "media/jpeg.h"

enum { KIND_UNKNOWN, KIND_REFERENCE, KIND_DROPPABLE };

#define SEQ_MAX (1u << 24) /* six days at 30 a second; a larger number is invalid */

static void *grow(void *old, size_t size)
{
	void *data = realloc(old, size);

	if (!data) {
		perror("judge");
		exit(1);
	}
	return data;
}

void judge_init(struct judge *judge, struct judge_panel *panel, struct tally *tally)
{
	memset(judge, 0, sizeof(*judge));
	judge->panel = panel;
	judge->tally = tally;
}

static void time_unit(struct judge *judge, const struct unit_info *info, int64_t complete_us)
{
	struct judge_panel *panel = judge->panel;
	struct last *last = &panel->last[info->seq % 256];

	hist_add(&judge->tally->latency, complete_us - info->capture_us);
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
		hist_add(&panel->latency_last, last->latest_us - info->capture_us);
		last->count = 0;
	}
}

static void learn_kind(struct judge_panel *panel, const struct unit_info *info)
{
	if (info->seq >= panel->n_kinds) {
		size_t n = info->seq + 4096;

		panel->kinds = grow(panel->kinds, n);
		memset(panel->kinds + panel->n_kinds, KIND_UNKNOWN, n - panel->n_kinds);
		panel->n_kinds = n;
	}
	panel->kinds[info->seq] = info->droppable ? KIND_DROPPABLE : KIND_REFERENCE;
}

/* A unit that comes twice, or after its successor, counts as a gap as well. */
static void note_gap(struct judge *judge, const struct unit_info *info)
{
	struct judge_panel *panel = judge->panel;

	if (info->seq > judge->seq)
		judge->tally->missed += info->seq - judge->seq - 1;
	if (info->key) {
		judge->tally->resyncs++;
		return;
	}
	if (panel->n_open_gaps == panel->open_gaps_room) {
		panel->open_gaps_room = 2 * panel->open_gaps_room + 64;
		panel->open_gaps =
			grow(panel->open_gaps, panel->open_gaps_room * sizeof(*panel->open_gaps));
	}
	panel->open_gaps[panel->n_open_gaps++] =
		(struct judge_gap){judge->tally, judge->seq, info->seq};
}

static void keep(struct judge *judge, const uint8_t *data, size_t len)
{
	buffer_append(&judge->kept, &len, sizeof(len));
	buffer_append(&judge->kept, data, len);
}

void judge_unit(struct judge *judge, const uint8_t *data, size_t len, int64_t complete_us)
{
	struct tally *tally = judge->tally;
	struct unit_info info;

	unit_parse(data, len, &info);
	judge->units++;
	tally->units++;
	tally->unit_bytes += len;
	if (!judge->begun) {
		tally->streams++;
		tally->begins_not_key += !info.key;
	}
	judge->begun = true;
	if (info.key && judge->first_key_us == 0)
		judge->first_key_us = complete_us;
	if (!info.h264 && !jpeg_begins(data, len))
		tally->malformed++;
	if (info.numbered && info.seq >= SEQ_MAX) {
		tally->malformed++;
	} else if (info.numbered) {
		learn_kind(judge->panel, &info);
		if (judge->numbered && info.seq != judge->seq + 1)
			note_gap(judge, &info);
		judge->numbered = true;
		judge->seq = info.seq;
		if (judge->panel->timing)
			time_unit(judge, &info, complete_us);
	}
	if (judge->keep)
		keep(judge, data, len);
}

void judge_panel_finish(struct judge_panel *panel)
{
	for (size_t i = 0; i < panel->n_open_gaps; i++) {
		const struct judge_gap *gap = &panel->open_gaps[i];
		bool fine = gap->after > gap->before;

		for (uint64_t seq = gap->before + 1; fine && seq < gap->after; seq++)
			fine = panel->kinds[seq] == KIND_DROPPABLE;
		gap->tally->shed += fine;
		gap->tally->gap_ends_not_key += !fine;
	}
	free(panel->open_gaps);
	free(panel->kinds);
	panel->open_gaps = NULL;
	panel->kinds = NULL;
	panel->n_open_gaps = panel->open_gaps_room = panel->n_kinds = 0;
}
