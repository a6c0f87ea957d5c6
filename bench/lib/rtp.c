/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/rtp.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "media/nal.h"

#define HEAD 12		     /* bytes of a packet's fixed head */
#define UNIT_MAX (64u << 20) /* bytes; no unit is longer */
#define VERSION 2
#define CONTROL_HEAD 4
#define SENDER_REPORT 200

enum { STAP_A = 24, FU_A = 28 };

struct payload {
	const uint8_t *data;
	size_t len;
	bool marker;
	uint16_t seq;
	uint32_t timestamp, ssrc;
	unsigned type;
};

void rtp_reader_init(struct rtp_reader *reader, struct rtp_tally *tally, unit_fn *unit, void *ctx)
{
	*reader = (struct rtp_reader){.tally = tally, .fn = unit, .ctx = ctx};
}

/* RFC 3550 clauses 5.1 and 5.3.1. */
static int read_head(struct payload *out, const uint8_t *packet, size_t len)
{
	size_t at = HEAD, padding = 0;

	if (len < HEAD || packet[0] >> 6 != VERSION)
		return -EBADMSG;
	at += 4u * (packet[0] & 15);
	if (packet[0] & 0x10) {
		if (at + 4 > len)
			return -EBADMSG;
		at += 4 + 4u * bytes_get16(packet + at + 2);
	}
	if (packet[0] & 0x20)
		padding = packet[len - 1];
	if (at + padding > len)
		return -EBADMSG;
	*out = (struct payload){.data = packet + at,
				.len = len - at - padding,
				.marker = packet[1] & 0x80,
				.type = packet[1] & 0x7f,
				.seq = bytes_get16(packet + 2),
				.timestamp = bytes_get32(packet + 4),
				.ssrc = bytes_get32(packet + 8)};
	return 0;
}

static void begin_unit(struct rtp_reader *reader)
{
	reader->unit.len = 0;
	reader->skipping = reader->in_fragment = reader->has_sps = false;
}

/* The rest of this unit is of no use. */
static void tear(struct rtp_reader *reader)
{
	if (!reader->skipping)
		reader->tally->torn += reader->passed;
	reader->skipping = true;
	reader->in_fragment = false;
	reader->unit.len = 0;
}

static void end_unit(struct rtp_reader *reader)
{
	if (reader->in_fragment)
		tear(reader);
	if (reader->unit.len > 0) {
		reader->fn(reader->ctx, reader->unit.data, reader->unit.len, reader->byte_us);
		reader->passed = true;
	}
	begin_unit(reader);
}

static void begin_nal(struct rtp_reader *reader, uint8_t header)
{
	const struct buffer *sets = reader->parameter_sets;
	unsigned type = nal_type(header);

	reader->has_sps |= type == NAL_SPS;
	if (type == NAL_IDR && !reader->has_sps && sets && sets->len > 0) {
		buffer_append(&reader->unit, sets->data, sets->len);
		reader->has_sps = true;
	}
	buffer_append(&reader->unit, "\0\0\0\1", 4);
	buffer_append(&reader->unit, &header, 1);
}

static int add_nal(struct rtp_reader *reader, const uint8_t *nal, size_t len)
{
	if (len == 0)
		return -EBADMSG;
	if (reader->in_fragment) /* its end did not come, and no packet is missing */
		return -EBADMSG;
	begin_nal(reader, nal[0]);
	buffer_append(&reader->unit, nal + 1, len - 1);
	return 0;
}

/* RFC 6184 clause 5.7.1. */
static int add_aggregate(struct rtp_reader *reader, const uint8_t *data, size_t len)
{
	int result = 0;

	while (result == 0 && len > 0) {
		size_t size = len >= 2 ? bytes_get16(data) : SIZE_MAX;

		if (size > len - 2 || len < 2)
			return -EBADMSG;
		result = add_nal(reader, data + 2, size);
		data += 2 + size;
		len -= 2 + size;
	}
	return result;
}

/* RFC 6184 clause 5.8. */
static int add_fragment(struct rtp_reader *reader, const uint8_t *data, size_t len)
{
	if (len < 3)
		return -EBADMSG;
	if (data[1] & 0x80) {
		if (reader->in_fragment)
			return -EBADMSG;
		begin_nal(reader, (uint8_t)((data[0] & 0xe0) | (data[1] & 0x1f)));
		reader->in_fragment = true;
	} else if (!reader->in_fragment) {
		/* Its beginning is before the first packet, or in a gap. */
		tear(reader);
		return 0;
	}
	buffer_append(&reader->unit, data + 2, len - 2);
	if (data[1] & 0x40)
		reader->in_fragment = false;
	return 0;
}

static int add_payload(struct rtp_reader *reader, const struct payload *payload)
{
	unsigned type;

	if (payload->len == 0 || reader->unit.len > UNIT_MAX)
		return -EBADMSG;
	type = nal_type(payload->data[0]);
	if (type == STAP_A)
		return add_aggregate(reader, payload->data + 1, payload->len - 1);
	if (type == FU_A)
		return add_fragment(reader, payload->data, payload->len);
	if (type == 0 || type > STAP_A)
		return -EBADMSG;
	return add_nal(reader, payload->data, payload->len);
}

/* Notes what is missing before this packet. */
static void check_order(struct rtp_reader *reader, const struct payload *payload)
{
	struct rtp_tally *tally = reader->tally;
	uint16_t jump = (uint16_t)(payload->seq - reader->next);
	bool ends = payload->timestamp != reader->timestamp;

	if (!reader->begun || (payload->ssrc == reader->ssrc && jump == 0)) {
		if (reader->begun && ends)
			end_unit(reader);
		return;
	}
	if (payload->ssrc != reader->ssrc) {
		tally->ssrc_changes++;
	} else {
		tally->gaps++;
		tally->lost += jump < 0x8000 ? jump : 0;
	}
	if (reader->unit.len > 0)
		tear(reader);
	if (ends)
		begin_unit(reader);
}

int rtp_reader_read(struct rtp_reader *reader, const uint8_t *packet, size_t len, int64_t now_us)
{
	struct payload payload;
	int result = read_head(&payload, packet, len);

	if (result < 0 || payload.type != reader->payload_type)
		return result;
	reader->tally->packets++;
	check_order(reader, &payload);
	reader->begun = true;
	reader->ssrc = payload.ssrc;
	reader->timestamp = payload.timestamp;
	reader->next = (uint16_t)(payload.seq + 1);
	reader->byte_us = now_us;
	if (!reader->skipping)
		result = add_payload(reader, &payload);
	if (result == 0 && payload.marker)
		end_unit(reader);
	return result;
}

int rtp_reader_read_control(struct rtp_reader *reader, const uint8_t *packet, size_t len)
{
	while (len > 0) {
		size_t size = len >= CONTROL_HEAD ? 4 + 4u * bytes_get16(packet + 2) : SIZE_MAX;

		if (size > len || packet[0] >> 6 != VERSION)
			return -EBADMSG;
		reader->tally->reports += packet[1] == SENDER_REPORT;
		packet += size;
		len -= size;
	}
	return 0;
}

void rtp_reader_finish(struct rtp_reader *reader)
{
	buffer_finish(&reader->unit);
}
