/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/head.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EPOCH_S 2082844800LL /* from 1904, where the times of MP4 begin, to 1970 */
#define BOX 8		     /* size and type */
#define FULL 4		     /* version and flags of a full box */
#define MEHD_LEN (BOX + FULL + 8)
#define WIDE_GROWTH 12 /* by which version 1 of a box with times is longer */
#define TIMED_BOXES 3  /* mvhd, tkhd, mdhd */
#define DEPTH_MAX 4

/* --- bytes --- */

static uint64_t read_number(const uint8_t *at, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

static void write_number(uint8_t *at, size_t bytes, uint64_t value)
{
	for (size_t i = bytes; i > 0; i--) {
		at[i - 1] = (uint8_t)value;
		value >>= 8;
	}
}

static bool is_type(const uint8_t *box, const char *type)
{
	return memcmp(box + 4, type, 4) == 0;
}

static bool is_container(const uint8_t *box)
{
	return is_type(box, "moov") || is_type(box, "trak") || is_type(box, "mdia") ||
	       is_type(box, "mvex");
}

/* The length of the box at the beginning of data; 0: there is none of a plain form. */
static size_t box_len(const uint8_t *data, size_t len)
{
	uint64_t size = len >= BOX ? read_number(data, 4) : 0;

	return size >= BOX && size <= len ? (size_t)size : 0;
}

/* --- boxes with times: mvhd (8.2.2), tkhd (8.3.2), mdhd (8.4.2) --- */

struct timed {
	bool wide;	 /* version 1 */
	size_t number;	 /* bytes of a time or a duration */
	size_t between;	 /* bytes between the times and the duration */
	size_t duration; /* its place in the box */
};

/* Whether the box, of len bytes, is one of them and complete. */
static bool read_timed(const uint8_t *box, size_t len, struct timed *timed)
{
	bool track = is_type(box, "tkhd");

	if (!track && !is_type(box, "mvhd") && !is_type(box, "mdhd"))
		return false;
	if (len < BOX + FULL)
		return false;
	timed->wide = box[BOX] == 1;
	timed->number = timed->wide ? 8 : 4;
	timed->between = track ? 8 : 4; /* the track's number and a reserved one; the time scale */
	timed->duration = BOX + FULL + 2 * timed->number + timed->between;
	return len >= timed->duration + timed->number;
}

static uint64_t time_of(int64_t utc_us)
{
	int64_t s = utc_us / 1000000 + EPOCH_S;

	return s > 0 ? (uint64_t)s : 0;
}

static bool needs_wide(int64_t utc_us)
{
	return time_of(utc_us) > UINT32_MAX;
}

static void write_times(uint8_t *box, const struct timed *timed, int64_t utc_us)
{
	uint64_t created = time_of(utc_us);

	if (!timed->wide && created > UINT32_MAX)
		created = 0; /* "not known" */
	write_number(box + BOX + FULL, timed->number, created);
	write_number(box + BOX + FULL + timed->number, timed->number, created);
}

/* --- making a header --- */

size_t head_growth(int64_t utc_us)
{
	return MEHD_LEN + (needs_wide(utc_us) ? TIMED_BOXES * WIDE_GROWTH : 0);
}

/* The copy of a box with times, in the version that holds them. Returns its length. */
static size_t copy_timed(uint8_t *out, const uint8_t *box, size_t len, struct timed timed,
			 int64_t utc_us)
{
	const size_t times = BOX + FULL + 2 * timed.number;
	size_t out_len = BOX + FULL + 16;

	if (timed.wide || !needs_wide(utc_us)) {
		memcpy(out, box, len);
		write_times(out, &timed, utc_us);
		return len;
	}
	memcpy(out, box, BOX + FULL);
	out[BOX] = 1;
	memcpy(out + out_len, box + times, timed.between);
	out_len += timed.between;
	write_number(out + out_len, 8, read_number(box + timed.duration, 4));
	out_len += 8;
	memcpy(out + out_len, box + timed.duration + 4, len - timed.duration - 4);
	out_len += len - timed.duration - 4;
	write_number(out, 4, out_len);
	timed.wide = true;
	timed.number = 8;
	write_times(out, &timed, utc_us);
	return out_len;
}

static size_t add_mehd(uint8_t *out)
{
	memset(out, 0, MEHD_LEN);
	write_number(out, 4, MEHD_LEN);
	memcpy(out + 4, "mehd", 4);
	out[BOX] = 1;
	return MEHD_LEN;
}

/* Copies the boxes in data. Returns their length, at most len and head_growth(); 0: these are no
 * boxes. */
static size_t copy_boxes(uint8_t *out, const uint8_t *data, size_t len, int64_t utc_us, int depth)
{
	size_t n = 0, size;
	struct timed timed;

	for (; len > 0; data += size, len -= size) {
		uint8_t *box = out + n;

		size = box_len(data, len);
		if (size == 0 || depth == DEPTH_MAX)
			return 0;
		if (read_timed(data, size, &timed)) {
			n += copy_timed(box, data, size, timed, utc_us);
		} else if (is_container(data) && size > BOX) {
			size_t inner;

			memcpy(box, data, BOX);
			inner = copy_boxes(box + BOX, data + BOX, size - BOX, utc_us, depth + 1);
			if (inner == 0)
				return 0;
			if (is_type(data, "mvex"))
				inner += add_mehd(box + BOX + inner);
			write_number(box, 4, BOX + inner);
			n += BOX + inner;
		} else {
			memcpy(box, data, size);
			n += size;
		}
	}
	return n;
}

/* Whether the header has as many of the boxes that grow as head_growth() reckons with. */
static bool is_plain(const uint8_t *data, size_t len, unsigned *timed_boxes, unsigned *extends)
{
	struct timed timed;
	size_t size;

	for (; len > 0; data += size, len -= size) {
		size = box_len(data, len);
		if (size == 0)
			return false;
		*extends += is_type(data, "mvex");
		*timed_boxes += read_timed(data, size, &timed) && !timed.wide;
		if (is_container(data) && !is_plain(data + BOX, size - BOX, timed_boxes, extends))
			return false;
	}
	return true;
}

int head_write(uint8_t *out, const uint8_t *header, size_t len, int64_t utc_us)
{
	unsigned timed_boxes = 0, extends = 0;

	if (!is_plain(header, len, &timed_boxes, &extends) || timed_boxes != TIMED_BOXES ||
	    extends != 1)
		return -EINVAL;
	return copy_boxes(out, header, len, utc_us, 0) == len + head_growth(utc_us) ? 0 : -EINVAL;
}

/* --- changing the header of a file --- */

struct change {
	bool duration;	  /* else the time */
	int64_t value_us; /* of it */
	uint64_t scale;	  /* of the movie, ticks a second; 0: not seen yet */
};

static uint64_t to_ticks(int64_t us, uint64_t scale)
{
	uint64_t s = (uint64_t)(us / 1000000), rest = (uint64_t)(us % 1000000);

	return s * scale + rest * scale / 1000000;
}

static void write_duration(uint8_t *at, size_t bytes, uint64_t ticks)
{
	write_number(at, bytes, bytes == 4 && ticks > UINT32_MAX ? UINT32_MAX : ticks);
}

static void change_box(uint8_t *box, size_t len, struct change *change)
{
	struct timed timed;

	if (read_timed(box, len, &timed)) {
		uint64_t scale = read_number(box + timed.duration - 4, 4);

		if (is_type(box, "mvhd"))
			change->scale = scale;
		if (!change->duration)
			write_times(box, &timed, change->value_us);
		else
			write_duration(box + timed.duration, timed.number,
				       to_ticks(change->value_us,
						is_type(box, "mdhd") ? scale : change->scale));
	} else if (is_type(box, "mehd") && len == MEHD_LEN && change->duration) {
		write_duration(box + BOX + FULL, 8, to_ticks(change->value_us, change->scale));
	}
}

static void change_boxes(uint8_t *data, size_t len, struct change *change, int depth)
{
	size_t size;

	for (; len > 0 && depth < DEPTH_MAX; data += size, len -= size) {
		size = box_len(data, len);
		if (size == 0)
			return;
		if (is_container(data))
			change_boxes(data + BOX, size - BOX, change, depth + 1);
		else
			change_box(data, size, change);
	}
}

/* The length of ftyp and moov at the beginning of a file; 0: there are none. */
static size_t header_len(const uint8_t *data, size_t len)
{
	size_t first = box_len(data, len), moov;

	if (first == 0 || !is_type(data, "ftyp"))
		return 0;
	moov = box_len(data + first, len - first);
	return moov > 0 && is_type(data + first, "moov") ? first + moov : 0;
}

static int change_file(int fd, struct change *change)
{
	uint8_t *data = malloc(HEAD_MAX);
	int err = 0;
	size_t len;
	ssize_t n;

	if (!data)
		return -ENOMEM;
	n = pread(fd, data, HEAD_MAX, 0);
	if (n < 0) {
		err = -errno;
		goto free_data;
	}
	len = header_len(data, (size_t)n);
	if (len == 0) {
		err = -EINVAL;
		goto free_data;
	}
	change_boxes(data, len, change, 0);
	n = pwrite(fd, data, len, 0);
	if (n < 0)
		err = -errno;

free_data:
	free(data);
	return err;
}

int head_set_duration(int fd, int64_t duration_us)
{
	struct change change = {.duration = true, .value_us = duration_us > 0 ? duration_us : 0};

	return change_file(fd, &change);
}

int head_set_created(int fd, int64_t utc_us)
{
	struct change change = {.value_us = utc_us};

	return change_file(fd, &change);
}
