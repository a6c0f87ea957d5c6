/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * camcast-push: the process that sends one stream to one place. camcastd starts it with two
 * descriptors and no arguments:
 *
 *   3  a stream socket (SOCK_STREAM, a pair). camcastd writes the units of the stream's feed `mp4`,
 *      from a key unit on, behind their preamble. The process writes reports.
 *   4  a sealed memfd with the URL, without a terminator
 *
 * A process is one attempt: it ends when the connection does, and camcastd starts the next one. It
 * ends as well when camcastd closes the socket.
 */
#ifndef CAMCAST_PUSH_H
#define CAMCAST_PUSH_H

#include <stdint.h>

#define CAMCAST_PUSH_FD 3
#define CAMCAST_PUSH_URL_FD 4
#define CAMCAST_PUSH_REPORT_MS 1000 /* from one report to the next, at most */

enum camcast_push_state {
	CAMCAST_PUSH_CONNECTING = 1, /* also before there is a picture to begin with */
	CAMCAST_PUSH_LIVE = 2,	     /* pictures go out */
	CAMCAST_PUSH_FAILED = 3,     /* the last report; `text` says why */
	CAMCAST_PUSH_ENDED = 4,	     /* the last report: pictures need a new connection */
};

/* All numbers are of the machine's byte order. */
struct camcast_push_report {
	uint32_t state; /* enum camcast_push_state */
	uint32_t unused;
	uint64_t units, bytes; /* sent by this process; they only grow */
	char text[232];	       /* UTF-8, terminated */
};

#endif
