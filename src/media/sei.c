/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/sei.h"

#include <string.h>

#include "camcast/sei.h"
#include "media/nal.h"

#define USER_DATA_UNREGISTERED 5 /* clause D.1 */
/* Only the start of an SEI is looked at: ours is 40 bytes and stands alone, an encoder's story
 * about itself comes to several hundred. */
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

size_t sei_write_capture(uint8_t out[SEI_CAPTURE_MAX], const struct sei_capture *capture)
{
	static const uint8_t head[] = {0, 0, 0, 1, NAL_SEI};
	uint8_t rbsp[2 + CAMCAST_SEI_PAYLOAD_LEN + 1] = {USER_DATA_UNREGISTERED,
							 CAMCAST_SEI_PAYLOAD_LEN};
	uint8_t *at = rbsp + 2;

	memcpy(at, CAMCAST_SEI_UUID, CAMCAST_SEI_UUID_LEN);
	at = put_u64(at + CAMCAST_SEI_UUID_LEN, capture->sequence);
	at = put_u64(at, (uint64_t)capture->monotonic_us);
	at = put_u64(at, (uint64_t)capture->utc_us);
	*at = 0x80; /* rbsp_trailing_bits() */
	memcpy(out, head, sizeof(head));
	return sizeof(head) +
	       nal_escape(rbsp, sizeof(rbsp), out + sizeof(head), SEI_CAPTURE_MAX - sizeof(head));
}

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

/* The messages of one NAL unit. */
static bool read_messages(const uint8_t *nal, size_t nal_len, struct sei_capture *out)
{
	uint8_t rbsp[READ_MAX];
	size_t len = nal_unescape(nal + 1, nal_len - 1, rbsp, sizeof(rbsp));
	size_t pos = 0, type, size;

	while (read_long(rbsp, len, &pos, &type) && read_long(rbsp, len, &pos, &size)) {
		if (size > len - pos)
			return false;
		if (type == USER_DATA_UNREGISTERED && size == CAMCAST_SEI_PAYLOAD_LEN &&
		    memcmp(rbsp + pos, CAMCAST_SEI_UUID, CAMCAST_SEI_UUID_LEN) == 0) {
			const uint8_t *fields = rbsp + pos + CAMCAST_SEI_UUID_LEN;

			out->sequence = get_u64(fields);
			out->monotonic_us = (int64_t)get_u64(fields + 8);
			out->utc_us = (int64_t)get_u64(fields + 16);
			return true;
		}
		pos += size;
	}
	return false;
}

bool sei_find_capture(const uint8_t *unit, size_t len, struct sei_capture *out)
{
	size_t at = nal_find_start_code(unit, len, 0), next;

	while (at + 3 < len) {
		const uint8_t *nal = unit + at + 3;
		const unsigned type = nal_type(*nal);

		if (nal_is_slice(type)) /* whose end may be far */
			return false;
		next = nal_find_start_code(unit, len, at + 3);
		if (type == NAL_SEI && read_messages(nal, next - at - 3, out))
			return true;
		at = next;
	}
	return false;
}
