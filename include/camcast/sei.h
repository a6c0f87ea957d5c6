/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Layout of the SEI message that a stream with `sei = yes` carries in every access unit: user data
 * unregistered (H.264 clause D.2.6, payload type 5), payload size 16 + 24 bytes, before emulation
 * prevention:
 *
 *   offset  size  field
 *        0    16  uuid_iso_iec_11578, CAMCAST_SEI_UUID
 *       16     8  sequence number of the access unit, from 0 at the worker's start, big-endian
 *       24     8  capture time, us of CLOCK_MONOTONIC of the camera's machine, big-endian
 *       32     8  capture time, us of CLOCK_REALTIME (UTC), big-endian
 *
 * The sequence number grows by one for each access unit coded, so that a receiver can tell loss
 * from silence. For latency on one machine use the monotonic time; between machines use the UTC
 * time, which is as accurate as their clocks.
 */
#ifndef CAMCAST_SEI_H
#define CAMCAST_SEI_H

/* "camcast-" and a random tail */
#define CAMCAST_SEI_UUID "\x63\x61\x6d\x63\x61\x73\x74\x2d\x41\x75\x8c\x5e\xb1\x0f\x4a\x01"
#define CAMCAST_SEI_UUID_LEN 16
#define CAMCAST_SEI_PAYLOAD_LEN 40

#endif
