/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/sei.h"

#include <string.h>

#include "camcast/sei.h"
#include "media/bits.h"
#include "media/nal.h"

enum payload_type { /* clause D.1.1 */
		    USER_DATA_UNREGISTERED = 5,
		    DISPLAY_ORIENTATION = 47,
};

#define QUARTER_TURN 0x4000 /* of anticlockwise_rotation, where 1 << 16 is a whole turn */
/* Only the start of an SEI is looked at: ours are short and stand alone, an encoder's story about
 * itself comes to several hundred bytes. */
#define READ_MAX 1024

static uint8_t *put_u64(uint8_t *out, uint64_t value)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		*out++ = (uint8_t)(value >> shift);
	return out;
}

static uint64_t get_u64(const uint8_t *data)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++)
		value = value << 8 | data[i];
	return value;
}

static const uint8_t nal_head[] = {0, 0, 0, 1, NAL_SEI};

/* Writes an RBSP as a NAL unit. Returns its length. */
static size_t write_nal(uint8_t *out, size_t size, const uint8_t *rbsp, size_t len)
{
	memcpy(out, nal_head, sizeof(nal_head));
	return sizeof(nal_head) +
	       nal_escape(rbsp, len, out + sizeof(nal_head), size - sizeof(nal_head));
}

/* --- reading --- */

struct message {
	size_t type, size;
	const uint8_t *data;
};

/* A value of clause 7.3.2.3.1: 0xff as often as it takes, and a last byte. */
static bool read_long(const uint8_t *data, size_t len, size_t *pos, size_t *value)
{
	for (*value = 0; *pos < len; (*pos)++) {
		*value += data[*pos];
		if (data[*pos] != 0xff) {
			(*pos)++;
			return true;
		}
	}
	return false;
}

static bool next_message(const uint8_t *rbsp, size_t len, size_t *pos, struct message *out)
{
	if (!read_long(rbsp, len, pos, &out->type) || !read_long(rbsp, len, pos, &out->size) ||
	    out->size > len - *pos)
		return false;
	out->data = rbsp + *pos;
	*pos += out->size;
	return true;
}

/* Reads a message into out; false: it is not one of those that are looked for. */
typedef bool read_message(const struct message *message, void *out);

/* Reads the messages of one NAL unit, up to the first that is looked for, or all. Whether there was
 * one. */
static bool read_messages(const uint8_t *nal, size_t nal_len, bool all, read_message *read,
			  void *out)
{
	uint8_t rbsp[READ_MAX];
	size_t len = nal_unescape(nal + 1, nal_len - 1, rbsp, sizeof(rbsp)), pos = 0;
	struct message message;
	bool found = false;

	while ((all || !found) && next_message(rbsp, len, &pos, &message))
		found |= read(&message, out);
	return found;
}

/* The same for all SEI NAL units in front of the slices. */
static bool find(const uint8_t *unit, size_t len, bool all, read_message *read, void *out)
{
	size_t at = nal_find_start_code(unit, len, 0), next;
	bool found = false;

	while ((all || !found) && at + 3 < len) {
		const uint8_t *nal = unit + at + 3;
		const unsigned type = nal_type(*nal);

		if (nal_is_slice(type)) /* whose end may be far */
			break;
		next = nal_find_start_code(unit, len, at + 3);
		if (type == NAL_SEI)
			found |= read_messages(nal, next - at - 3, all, read, out);
		at = next;
	}
	return found;
}

/* --- capture --- */

size_t sei_write_capture(uint8_t out[SEI_CAPTURE_MAX], const struct sei_capture *capture)
{
	uint8_t rbsp[2 + CAMCAST_SEI_PAYLOAD_LEN + 1] = {USER_DATA_UNREGISTERED,
							 CAMCAST_SEI_PAYLOAD_LEN};
	uint8_t *at = rbsp + 2;

	memcpy(at, CAMCAST_SEI_UUID, CAMCAST_SEI_UUID_LEN);
	at = put_u64(at + CAMCAST_SEI_UUID_LEN, capture->sequence);
	at = put_u64(at, (uint64_t)capture->monotonic_us);
	at = put_u64(at, (uint64_t)capture->utc_us);
	*at = 0x80; /* rbsp_trailing_bits() */
	return write_nal(out, SEI_CAPTURE_MAX, rbsp, sizeof(rbsp));
}

static bool read_capture(const struct message *message, void *user)
{
	struct sei_capture *out = user;
	const uint8_t *fields;

	if (message->type != USER_DATA_UNREGISTERED || message->size != CAMCAST_SEI_PAYLOAD_LEN ||
	    memcmp(message->data, CAMCAST_SEI_UUID, CAMCAST_SEI_UUID_LEN) != 0)
		return false;
	fields = message->data + CAMCAST_SEI_UUID_LEN;
	out->sequence = get_u64(fields);
	out->monotonic_us = (int64_t)get_u64(fields + 8);
	out->utc_us = (int64_t)get_u64(fields + 16);
	return true;
}

bool sei_find_capture(const uint8_t *unit, size_t len, struct sei_capture *out)
{
	return find(unit, len, false, read_capture, out);
}

/* --- display orientation --- */

size_t sei_write_orientation(uint8_t out[SEI_ORIENTATION_MAX], struct orientation orientation)
{
	const bool transpose = orientation.transpose;
	/* A player mirrors first, and then turns: a transposed picture is a quarter turn, of a
	 * mirror image if it is mirrored at neither axis or both. */
	const bool hflip = transpose ? orientation.hflip == orientation.vflip : orientation.hflip;
	const bool vflip = !transpose && orientation.vflip;
	const uint32_t turns = !transpose ? 0 : orientation.hflip ? 3 : 1;
	uint8_t rbsp[8] = {DISPLAY_ORIENTATION};
	struct bit_writer w;

	bit_writer_init(&w, rbsp + 2, sizeof(rbsp) - 3);
	write_bits(&w, 1, 0); /* display_orientation_cancel_flag */
	write_bits(&w, 1, hflip);
	write_bits(&w, 1, vflip);
	write_bits(&w, 16, turns * QUARTER_TURN);
	write_ue(&w, 1);      /* display_orientation_repetition_period: until the next IDR */
	write_bits(&w, 1, 0); /* display_orientation_extension_flag */
	/* The payload ends as an RBSP does: a one, and zeros up to a whole byte. */
	rbsp[1] = (uint8_t)write_trailing(&w);
	rbsp[2 + rbsp[1]] = 0x80; /* rbsp_trailing_bits() */
	return write_nal(out, SEI_ORIENTATION_MAX, rbsp, (size_t)3 + rbsp[1]);
}

static bool read_orientation(const struct message *message, void *user)
{
	struct orientation orientation = {0}, *out = user;
	struct bit_reader r;

	if (message->type != DISPLAY_ORIENTATION || message->size > READ_MAX)
		return false;
	bit_reader_init(&r, message->data, message->size * 8);
	if (!read_bit(&r)) {
		uint32_t turns;

		orientation.hflip = read_bit(&r);
		orientation.vflip = read_bit(&r);
		turns = (read_bits(&r, 16) + QUARTER_TURN / 2) / QUARTER_TURN % 4;
		/* An anticlockwise quarter turn: rows become columns, then top
		 * and bottom change. */
		for (; turns > 0; turns--)
			orientation = (struct orientation){.transpose = !orientation.transpose,
							   .hflip = orientation.vflip,
							   .vflip = !orientation.hflip};
	}
	if (r.bad)
		return false;
	*out = orientation;
	return true;
}

bool sei_find_orientation(const uint8_t *unit, size_t len, struct orientation *out)
{
	return find(unit, len, true, read_orientation, out);
}
