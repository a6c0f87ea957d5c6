/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Access units from the RTP packets of a stream: H.264 (RFC 6184, single NAL units, STAP-A and
 * FU-A) and JPEG (RFC 2435). Packets are hostile: whatever does not fit damages the unit that it
 * belongs to, which is not returned. Knows no socket and no clock. One thread.
 */
#ifndef CLIENT_STREAM_UNPACK_H
#define CLIENT_STREAM_UNPACK_H

#include "client/stream/cutter.h"

struct unpack;

/* 0 or -ENOMEM. codec: of the packets; type: their payload type. */
int unpack_create(struct unpack **out, enum stream_codec codec, unsigned type);
void unpack_destroy(struct unpack *unpack); /* NULL is fine */

/* An SPS or a PPS from the description of the stream; others are ignored. 0 or -ENOMEM. */
int unpack_learn(struct unpack *unpack, const uint8_t *nal, size_t len);

/*
 * Takes an RTP packet (len bytes). CUTTER_UNIT: *unit is whole now; CUTTER_MORE; CUTTER_JUNK: a
 * unit was damaged, or too long, and is gone; CUTTER_GAP: packets are missing, and units with them;
 * -ENOMEM. *taken is false if the packet belongs to the next unit, and has to be given again. A
 * unit of H.264 begins with a delimiter, and an IDR without parameter sets gets the newest ones.
 */
int unpack_add(struct unpack *unpack, const uint8_t *packet, size_t len, struct cutter_unit *unit,
	       bool *taken);

/* Whether no bytes of a unit wait for the rest of it. */
bool unpack_is_empty(const struct unpack *unpack);

#endif
