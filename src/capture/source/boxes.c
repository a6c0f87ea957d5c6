/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/boxes.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/error.h>
#include <libavutil/intreadwrite.h>

#define HEADER_SIZE 8
#define LARGE_HEADER_SIZE 16 /* with a size of 64 bits */

static bool is_type(const struct boxes *boxes, const char *type)
{
	return memcmp(boxes->header + 4, type, 4) == 0;
}

/* What comes is passed on, to its end. */
static void pass_whole(struct boxes *boxes)
{
	boxes->whole = true;
	boxes->kept = false;
	free(boxes->head);
	boxes->head = NULL;
	boxes->head_len = boxes->head_pos = 0;
}

/* Appends to the head. */
static void keep(struct boxes *boxes, const uint8_t *data, size_t len)
{
	memcpy(boxes->head + boxes->head_len, data, len);
	boxes->head_len += len;
	/* It was delivered already. */
	boxes->head_pos = boxes->head_len;
}

/* Makes room for the box under way in the head. */
static void begin_keeping(struct boxes *boxes)
{
	const uint64_t len = boxes->head_len + boxes->header_len;
	uint8_t *more = NULL;

	if (boxes->left <= BOXES_HEAD_MAX && len + boxes->left <= BOXES_HEAD_MAX)
		more = realloc(boxes->head, (size_t)(len + boxes->left));
	if (!more) {
		pass_whole(boxes);
		return;
	}
	boxes->head = more;
	boxes->kept = true;
	boxes->described |= is_type(boxes, "moov");
	keep(boxes, boxes->header, boxes->header_len);
}

/* A box begins, whose header is there. */
static void begin_box(struct boxes *boxes)
{
	const bool large = boxes->header_len == LARGE_HEADER_SIZE;
	const uint64_t size = large ? AV_RB64(boxes->header + 8) : AV_RB32(boxes->header);

	boxes->kept = false;
	/* A size of 0 is one up to the end. */
	if (size < boxes->header_len) {
		pass_whole(boxes);
		return;
	}
	boxes->left = size - boxes->header_len;
	if (is_type(boxes, "moof")) {
		if (!boxes->described) {
			pass_whole(boxes);
			return;
		}
		boxes->cut = boxes->filled && (boxes->n_fragments >= BOXES_INDEX_MAX ||
					       boxes->n_pictures >= BOXES_INDEX_MAX);
		boxes->filled = false;
		boxes->n_fragments++;
	} else if (is_type(boxes, "mdat")) {
		/* What a moov describes itself, the next demuxer would look for. */
		if (boxes->n_fragments == 0)
			pass_whole(boxes);
		boxes->filled = true;
	} else if (boxes->n_fragments == 0 && (is_type(boxes, "ftyp") || is_type(boxes, "moov"))) {
		begin_keeping(boxes);
	}
}

/* Reads the header of the next box. 0, or an error of libav. */
static int read_header(struct boxes *boxes)
{
	size_t wanted = HEADER_SIZE;
	int n;

	boxes->header_len = boxes->header_pos = 0;
	while (boxes->header_len < wanted) {
		n = boxes->source(boxes->user, boxes->header + boxes->header_len,
				  (int)(wanted - boxes->header_len));
		if (n <= 0) {
			/* What is there is passed on; then the source says it again. */
			pass_whole(boxes);
			return boxes->header_len > 0 ? 0 : n;
		}
		boxes->header_len += (size_t)n;
		if (boxes->header_len == HEADER_SIZE && AV_RB32(boxes->header) == 1)
			wanted = LARGE_HEADER_SIZE;
	}
	begin_box(boxes);
	return 0;
}

static int take(uint8_t *buffer, int size, const uint8_t *data, size_t len, size_t *pos)
{
	const size_t n = len - *pos < (size_t)size ? len - *pos : (size_t)size;

	memcpy(buffer, data + *pos, n);
	*pos += n;
	return (int)n;
}

int boxes_read(void *user, uint8_t *buffer, int size)
{
	struct boxes *boxes = user;
	int n;

	if (boxes->cut)
		return AVERROR_EOF;
	if (boxes->head_pos < boxes->head_len)
		return take(buffer, size, boxes->head, boxes->head_len, &boxes->head_pos);
	if (!boxes->whole && boxes->header_pos == boxes->header_len && boxes->left == 0) {
		n = read_header(boxes);
		if (n < 0 || boxes->cut)
			return n < 0 ? n : AVERROR_EOF;
	}
	if (boxes->header_pos < boxes->header_len) {
		n = take(buffer, size, boxes->header, boxes->header_len, &boxes->header_pos);
	} else {
		if (!boxes->whole && boxes->left < (uint64_t)size)
			size = (int)boxes->left;
		n = boxes->source(boxes->user, buffer, size);
		if (n > 0 && !boxes->whole)
			boxes->left -= (uint64_t)n;
		if (n > 0 && boxes->kept)
			keep(boxes, buffer, (size_t)n);
	}
	if (n > 0)
		boxes->position += (uint64_t)n;
	return n;
}

void boxes_count_picture(struct boxes *boxes)
{
	boxes->n_pictures++;
}

bool boxes_resume(struct boxes *boxes, int64_t *position)
{
	if (!boxes->cut)
		return false;
	boxes->cut = false;
	boxes->head_pos = 0;
	boxes->n_fragments = 1; /* the one that begins */
	boxes->n_pictures = 0;
	*position = (int64_t)(boxes->position - boxes->head_len);
	return true;
}

void boxes_finish(struct boxes *boxes)
{
	free(boxes->head);
	boxes->head = NULL;
}
