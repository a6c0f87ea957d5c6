/* SPDX-License-Identifier: BSD-2-Clause */
/* RTP packets of a transport stream that say nothing: one null packet (ISO/IEC 13818-1 clause
 * 2.4.1), which every receiver leaves out. Any thread. */
#ifndef DAEMON_RTSP_FILLER_H
#define DAEMON_RTSP_FILLER_H

#include <stddef.h>
#include <stdint.h>

#include "camcast/rtp.h"
#include "media/rtp.h"

#define FILLER_LEN (RTP_HEAD + CAMCAST_TS_LEN)

void filler_make(uint8_t out[FILLER_LEN], uint32_t ssrc, uint16_t sequence);
/* The sequence number of an RTP packet of len bytes; 0 if it is too short to have one. */
uint16_t filler_sequence(const uint8_t *packet, size_t len);

#endif
