/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/stream/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "client/stream/unpack_jpeg.h"
#include "media/nal.h"
#include "media/parameter_sets.h"

#define RTP_HEAD_MIN 12
#define ROOM_MIN (256u << 10)
#define START_CODE_LEN 4

enum { STAP_A = 24, FU_A = 28 }; /* RFC 6184 table 1 */

struct packet {
	const uint8_t *payload;
	size_t len;
	bool marker;
	uint16_t sequence;
	uint32_t time, ssrc;
};

struct unpack {
	enum stream_codec codec;
	unsigned type;
	bool begun; /* the first packet came */
	uint16_t next_sequence;
	uint32_t ssrc;

	/* The unit under way. */
	bool open;
	uint32_t time;
	uint8_t *data;
	size_t len, room;
	bool done; /* it was returned, and is cleared by the next packet */
	bool damaged;
	bool slice, idr, sps, pps;
	bool fragment;	  /* an FU-A goes on */
	size_t insert_at; /* where parameter sets belong: behind a delimiter */

	struct parameter_sets sets;
	struct unpack_jpeg jpeg;
};

int unpack_create(struct unpack **out, enum stream_codec codec, unsigned type)
{
	struct unpack *unpack = calloc(1, sizeof *unpack);

	if (!unpack)
		return -ENOMEM;
	unpack->codec = codec;
	unpack->type = type;
	*out = unpack;
	return 0;
}

void unpack_destroy(struct unpack *unpack)
{
	if (!unpack)
		return;
	parameter_sets_clear(&unpack->sets);
	free(unpack->data);
	free(unpack);
}

bool unpack_is_empty(const struct unpack *unpack)
{
	return !unpack->open || unpack->done;
}

/* Remembers a parameter set; one that cannot be read stays where it is in the stream. */
static int learn(struct unpack *unpack, const uint8_t *data, size_t len)
{
	const struct nal nal = {data, len, nal_type(data[0]), nal_ref_idc(data[0])};
	unsigned id;

	if (nal.type != NAL_SPS && nal.type != NAL_PPS)
		return 0;
	return parameter_sets_learn(&unpack->sets, &nal, &id) == -ENOMEM ? -ENOMEM : 0;
}

int unpack_learn(struct unpack *unpack, const uint8_t *nal, size_t len)
{
	return len > 0 ? learn(unpack, nal, len) : 0;
}

/* --- the unit under way --- */

static void clear(struct unpack *unpack)
{
	unpack->len = unpack->insert_at = 0;
	unpack->open = unpack->done = unpack->damaged = unpack->fragment = false;
	unpack->slice = unpack->idr = unpack->sps = unpack->pps = false;
}

/* Room for more bytes; false without memory, or beyond CUTTER_UNIT_MAX: *err says which. */
static bool reserve(struct unpack *unpack, size_t more, int *err)
{
	size_t room = unpack->room ? unpack->room : ROOM_MIN;
	uint8_t *grown;

	if (more > CUTTER_UNIT_MAX - unpack->len) {
		unpack->damaged = true;
		return false;
	}
	while (room < unpack->len + more)
		room *= 2;
	if (room == unpack->room)
		return true;
	grown = realloc(unpack->data, room);
	if (!grown) {
		*err = -ENOMEM;
		return false;
	}
	unpack->data = grown;
	unpack->room = room;
	return true;
}

static int append(struct unpack *unpack, const uint8_t *data, size_t len)
{
	int err = 0;

	if (len > 0 && !unpack->damaged && reserve(unpack, len, &err)) {
		memcpy(unpack->data + unpack->len, data, len);
		unpack->len += len;
	}
	return err;
}

static int begin_nal(struct unpack *unpack, uint8_t header)
{
	static const uint8_t start_code[START_CODE_LEN] = {0, 0, 0, 1};
	static const uint8_t delimiter[] = {0, 0, 0, 1, NAL_AUD, 0xf0};
	const unsigned type = nal_type(header);
	int err = 0;

	/* Each unit begins with a delimiter, as those of a byte stream do. */
	if (unpack->len == 0 && type != NAL_AUD) {
		err = append(unpack, delimiter, sizeof delimiter);
		unpack->insert_at = unpack->len;
	}
	err = err < 0 ? err : append(unpack, start_code, sizeof start_code);
	unpack->slice |= nal_is_slice(type);
	unpack->idr |= type == NAL_IDR;
	unpack->sps |= type == NAL_SPS;
	unpack->pps |= type == NAL_PPS;
	return err < 0 ? err : append(unpack, &header, 1);
}

static int add_nal(struct unpack *unpack, const uint8_t *data, size_t len)
{
	const bool delimiter = nal_type(data[0]) == NAL_AUD && unpack->len == 0;
	int err = begin_nal(unpack, data[0]);

	err = err < 0 ? err : append(unpack, data + 1, len - 1);
	if (delimiter)
		unpack->insert_at = unpack->len;
	return err < 0 ? err : learn(unpack, data, len);
}

/* RFC 6184 clause 5.7.1. */
static int add_aggregate(struct unpack *unpack, const uint8_t *data, size_t len)
{
	while (len >= 2) {
		const size_t n = bytes_get16(data);
		int err;

		if (n == 0 || n > len - 2 || nal_type(data[2]) >= STAP_A)
			break;
		err = add_nal(unpack, data + 2, n);
		if (err < 0)
			return err;
		data += 2 + n;
		len -= 2 + n;
	}
	unpack->damaged |= len > 0;
	return 0;
}

/* RFC 6184 clause 5.8; data: behind the indicator. */
static int add_fragment(struct unpack *unpack, uint8_t indicator, const uint8_t *data, size_t len)
{
	const bool begins = len > 0 && (data[0] & 0x80), ends = len > 0 && (data[0] & 0x40);
	int err = 0;

	if (len < 2 || (begins && ends) || begins == unpack->fragment) {
		unpack->damaged = true;
		return 0;
	}
	if (begins)
		err = begin_nal(unpack, (uint8_t)((indicator & 0xe0) | (data[0] & 0x1f)));
	unpack->fragment = !ends;
	return err < 0 ? err : append(unpack, data + 1, len - 1);
}

static int add_h264(struct unpack *unpack, const struct packet *packet)
{
	const uint8_t *data = packet->payload;
	const unsigned type = nal_type(data[0]);

	if (type == FU_A)
		return add_fragment(unpack, data[0], data + 1, packet->len - 1);
	unpack->damaged |= unpack->fragment; /* its end is missing */
	unpack->fragment = false;
	if (type > 0 && type < STAP_A)
		return add_nal(unpack, data, packet->len);
	if (type == STAP_A)
		return add_aggregate(unpack, data + 1, packet->len - 1);
	unpack->damaged = true; /* of interleaved mode, which was not agreed upon */
	return 0;
}

static int add_jpeg(struct unpack *unpack, const struct packet *packet)
{
	uint8_t head[UNPACK_JPEG_HEAD_MAX];
	const uint8_t *scan;
	size_t head_len, scan_len;
	int err;

	if (!unpack_jpeg_read(&unpack->jpeg, packet->payload, packet->len, head, &head_len, &scan,
			      &scan_len)) {
		unpack->damaged = true;
		return 0;
	}
	err = append(unpack, head, head_len);
	return err < 0 ? err : append(unpack, scan, scan_len);
}

/* Puts the newest parameter sets into an IDR that came without them. */
static int insert_sets(struct unpack *unpack)
{
	static const uint8_t start_code[START_CODE_LEN] = {0, 0, 0, 1};
	const struct parameter_set *const lists[] = {unpack->sets.sps, unpack->sets.pps};
	const size_t counts[] = {SPS_IDS, PPS_IDS};
	size_t len = 0, at = unpack->insert_at;
	int err = 0;

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < counts[i]; j++)
			len += lists[i][j].data ? START_CODE_LEN + lists[i][j].len : 0;
	if (len == 0 || !reserve(unpack, len, &err))
		return err;
	memmove(unpack->data + at + len, unpack->data + at, unpack->len - at);
	unpack->len += len;
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < counts[i]; j++) {
			const struct parameter_set *set = &lists[i][j];

			if (!set->data)
				continue;
			memcpy(unpack->data + at, start_code, START_CODE_LEN);
			memcpy(unpack->data + at + START_CODE_LEN, set->data, set->len);
			at += START_CODE_LEN + set->len;
			unpack->sps |= i == 0;
			unpack->pps |= i == 1;
		}
	return 0;
}

/* The last packet of the unit has come. */
static int end_unit(struct unpack *unpack, struct cutter_unit *unit)
{
	static const uint8_t eoi[] = {0xff, 0xd9};
	int err = 0;

	unpack->done = true;
	if (unpack->codec == STREAM_MJPEG) {
		unpack->damaged |= unpack->len == 0;
		if (!unpack->damaged &&
		    (unpack->len < 2 || memcmp(unpack->data + unpack->len - 2, eoi, 2) != 0))
			err = append(unpack, eoi, sizeof eoi);
	} else {
		unpack->damaged |= unpack->fragment;
		if (!unpack->damaged && unpack->idr && !(unpack->sps && unpack->pps))
			err = insert_sets(unpack);
	}
	if (err < 0)
		return err;
	if (unpack->damaged)
		return CUTTER_JUNK;
	*unit = (struct cutter_unit){
		.data = unpack->data,
		.len = unpack->len,
		.codec = unpack->codec,
		.timed = true,
		.time = unpack->time,
		.key = unpack->codec == STREAM_MJPEG || (unpack->idr && unpack->sps && unpack->pps),
	};
	return CUTTER_UNIT;
}

/* --- packets --- */

/* RFC 3550 clause 5.1. False: it is none, or of another payload. */
static bool read_packet(const struct unpack *unpack, const uint8_t *data, size_t len,
			struct packet *out)
{
	size_t at, padding;

	if (len < RTP_HEAD_MIN || data[0] >> 6 != 2 || (data[1] & 0x7fu) != unpack->type)
		return false;
	at = RTP_HEAD_MIN + (data[0] & 15u) * 4;
	if (data[0] & 0x10) { /* an extension */
		if (len < at + 4)
			return false;
		at += 4 + (size_t)bytes_get16(data + at + 2) * 4;
	}
	padding = data[0] & 0x20 ? data[len - 1] : 0;
	if (len < at + padding)
		return false;
	*out = (struct packet){
		.payload = data + at,
		.len = len - at - padding,
		.marker = data[1] & 0x80,
		.sequence = bytes_get16(data + 2),
		.time = bytes_get32(data + 4),
		.ssrc = bytes_get32(data + 8),
	};
	return true;
}

/* Whether packets are missing in front of this one. */
static bool is_gap(struct unpack *unpack, const struct packet *packet)
{
	const bool gap = unpack->begun && (packet->sequence != unpack->next_sequence ||
					   packet->ssrc != unpack->ssrc);

	unpack->begun = true;
	unpack->ssrc = packet->ssrc;
	unpack->next_sequence = packet->sequence;
	return gap;
}

int unpack_add(struct unpack *unpack, const uint8_t *data, size_t len, struct cutter_unit *unit,
	       bool *taken)
{
	struct packet packet;
	int err;

	*taken = true;
	if (unpack->done)
		clear(unpack);
	if (!read_packet(unpack, data, len, &packet))
		return CUTTER_MORE;
	if (is_gap(unpack, &packet)) {
		clear(unpack);
		*taken = false;
		return CUTTER_GAP;
	}
	if (unpack->open && unpack->time != packet.time) {
		if (unpack->slice || unpack->codec == STREAM_MJPEG) {
			*taken = false;
			return end_unit(unpack, unit);
		}
		clear(unpack); /* parameter sets, which are known now */
	}
	unpack->next_sequence++;
	unpack->open = true;
	unpack->time = packet.time;
	err = packet.len == 0		      ? 0
	      : unpack->codec == STREAM_MJPEG ? add_jpeg(unpack, &packet)
					      : add_h264(unpack, &packet);
	if (err < 0)
		return err;
	/* Some cameras set the marker with parameter sets that stand before their picture. */
	return packet.marker && (unpack->slice || unpack->damaged || unpack->codec == STREAM_MJPEG)
		       ? end_unit(unpack, unit)
		       : CUTTER_MORE;
}
