/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/ts.h"

#include <errno.h>
#include <string.h>

#define PACKET 188
#define SYNC 0x47

void ts_init(struct ts_reader *reader, unit_fn *unit, void *ctx)
{
	*reader = (struct ts_reader){.pid = -1, .unit = unit, .ctx = ctx};
}

void ts_end_unit(struct ts_reader *reader)
{
	if (reader->pes.len > 0)
		reader->unit(reader->ctx, reader->pes.data, reader->pes.len, reader->byte_us);
	reader->pes.len = 0;
}

static int read_packet(struct ts_reader *reader, const uint8_t *packet, int64_t now_us)
{
	int pid = (packet[1] & 31) << 8 | packet[2];
	bool begins = packet[1] & 0x40;
	size_t at = 4;

	if (!(packet[3] & 0x10)) /* no payload */
		return 0;
	if (packet[3] & 0x20)
		at += 1u + packet[4];
	if (at >= PACKET)
		return 0;
	if (begins && reader->pid < 0 && at + 9 <= PACKET &&
	    memcmp(packet + at, "\0\0\1", 3) == 0 && packet[at + 3] >> 4 == 0xe)
		reader->pid = pid;
	if (pid != reader->pid)
		return 0;
	if (begins) {
		ts_end_unit(reader);
		if (at + 9 > PACKET || at + 9 + packet[at + 8] > PACKET)
			return -EBADMSG;
		at += 9u + packet[at + 8];
	}
	buffer_append(&reader->pes, packet + at, PACKET - at);
	reader->byte_us = now_us;
	return 0;
}

int ts_read(struct ts_reader *reader, struct buffer *in, int64_t now_us)
{
	size_t at = 0;
	int result = 0;

	while (result == 0 && in->len - at >= PACKET) {
		const uint8_t *packet = in->data + at;
		bool more = in->len - at > PACKET;

		if (packet[0] != SYNC || (more && packet[PACKET] != SYNC)) {
			reader->in_step = false;
			at++;
			continue;
		}
		/* A server that does not parse TS lets clients begin within a packet: the first
		 * packet is one only if another one follows. */
		if (!reader->in_step && !more)
			break;
		reader->in_step = true;
		result = read_packet(reader, packet, now_us);
		at += PACKET;
	}
	if (at > 0)
		buffer_drop(in, at);
	return result;
}

void ts_finish(struct ts_reader *reader)
{
	buffer_finish(&reader->pes);
}
