/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/lag.h"

#include <string.h>

#include "camcast/sei.h"

#define NAL_SLICE 1
#define NAL_IDR 5
#define NAL_SEI 6
#define USER_DATA_UNREGISTERED 5 /* H.264 clause D.1 */
/* Only the start of an SEI is looked at: ours is 40 bytes and stands alone, an encoder's story about
 * itself comes to several hundred. */
#define SEI_MAX 1024

#define SAME_MACHINE_US 50000
#define FUTURE_MAX_US 20000
#define AGE_MAX_US 10000000

/* Without emulation prevention, clause 7.4.1.1. Returns the length, at most SEI_MAX. */
static size_t unescape(const uint8_t *data, size_t len, uint8_t *out)
{
	size_t n = 0;
	unsigned zeros = 0;

	for (size_t i = 0; i < len && n < SEI_MAX; i++) {
		if (zeros >= 2 && data[i] == 3) {
			zeros = 0;
			continue;
		}
		zeros = data[i] ? 0 : zeros + 1;
		out[n++] = data[i];
	}
	return n;
}

static uint64_t read_u64(const uint8_t *data)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++)
		value = value << 8 | data[i];
	return value;
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

static bool parse_sei(const uint8_t *nal, size_t len, struct view_capture *out)
{
	uint8_t payload[SEI_MAX];
	size_t n = unescape(nal + 1, len - 1, payload), pos = 0, type, size;

	while (read_long(payload, n, &pos, &type) && read_long(payload, n, &pos, &size)) {
		if (size > n - pos)
			return false;
		if (type == USER_DATA_UNREGISTERED && size == CAMCAST_SEI_PAYLOAD_LEN &&
		    memcmp(payload + pos, CAMCAST_SEI_UUID, CAMCAST_SEI_UUID_LEN) == 0) {
			const uint8_t *fields = payload + pos + CAMCAST_SEI_UUID_LEN;

			out->sequence = read_u64(fields);
			out->monotonic_us = (int64_t)read_u64(fields + 8);
			out->utc_us = (int64_t)read_u64(fields + 16);
			return true;
		}
		pos += size;
	}
	return false;
}

/* The first byte behind the next start code, or len. Clause B.1.1. */
static size_t next_nal(const uint8_t *data, size_t len, size_t pos)
{
	for (; pos + 3 < len; pos++)
		if (!data[pos] && !data[pos + 1] && data[pos + 2] == 1)
			return pos + 3;
	return len;
}

bool view_lag_find_sei(const uint8_t *data, size_t len, struct view_capture *out)
{
	size_t at = next_nal(data, len, 0);

	while (at < len) {
		const unsigned type = data[at] & 0x1f;

		if (type >= NAL_SLICE && type <= NAL_IDR)
			return false;
		const size_t next = next_nal(data, len, at);
		if (type == NAL_SEI && parse_sei(data + at, next - at, out))
			return true;
		at = next;
	}
	return false;
}

static bool age_valid(int64_t age_us)
{
	return age_us >= -FUTURE_MAX_US && age_us <= AGE_MAX_US;
}

bool view_lag_capture_us(const struct view_capture *capture, int64_t now_us, int64_t utc_us,
			 int64_t *out)
{
	/* Whatever 64 bits came from the network: differences must not overflow. */
	const int64_t age_us = (int64_t)((uint64_t)now_us - (uint64_t)capture->monotonic_us);
	const int64_t utc_age_us = (int64_t)((uint64_t)utc_us - (uint64_t)capture->utc_us);
	int64_t age;

	if (!age_valid(utc_age_us))
		return false;
	age = utc_age_us;
	if (age_valid(age_us) && age_us - utc_age_us < SAME_MACHINE_US &&
	    utc_age_us - age_us < SAME_MACHINE_US)
		age = age_us;
	*out = now_us - (age > 0 ? age : 0);
	return true;
}
