/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server's half of what bench/lib/rtsp.h says, for bench/floor: as little as a player needs
 * before it receives H.264 in datagrams. A request has to come in one piece, as that player sends
 * it. One thread.
 */
#ifndef BENCH_LIB_RTSP_HOST_H
#define BENCH_LIB_RTSP_HOST_H

#include <stdint.h>

/* Reads a request from a connection and answers it. SETUP sets *port, at which the client expects
 * RTP. Returns 1 behind PLAY, 0 behind other requests or if none has come, or -errno. */
int rtsp_host_answer(int fd, uint16_t *port);

#endif
