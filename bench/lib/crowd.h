/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A crowd of clients of one server in one process: connects them on schedule, reads them, and says
 * what they saw. One thread.
 *
 * Nothing waits with poll or epoll, so that no reader's wake-up is charged to the server that
 * sends: judged clients are read every millisecond, those that only count less often, each by one
 * recv(MSG_TRUNC) that copies nothing. Each stream is judged until its first key unit is whole, the
 * scanned ones to the end.
 *
 * Schedules do not wait for the server: whoever is due connects, and times count from when a client
 * was due to connect and from when a picture was captured, however late it was read. What never
 * came is counted, not left out.
 */
#ifndef BENCH_LIB_CROWD_H
#define BENCH_LIB_CROWD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bench/lib/hist.h"
#include "bench/lib/judge.h"
#include "bench/lib/wire.h"

#define CROWD_SLOW_MAX 8
#define CROWD_TICK_US 1000

struct crowd_target {
	char path[256]; /* of http:// and rtmp://, without the first slash */
	enum wire_framing framing;
	bool http;
	struct sockaddr_storage address;
	socklen_t address_len;
};

struct crowd_slow {
	unsigned clients;
	double rate; /* bytes a second that each reads */
	struct tally tally;
};

struct crowd_options {
	unsigned healthy, scan, decode;
	struct crowd_slow slow[CROWD_SLOW_MAX];
	unsigned n_slow, stalled, flapping;
	double joining;	       /* clients a second */
	unsigned connect_rate; /* connections a second at the start */
	uint32_t seed;
};

struct crowd_client;

struct crowd {
	struct crowd_options options;
	const struct crowd_target *target; /* borrowed */
	struct crowd_client *clients;
	unsigned n_clients;
	unsigned discard_ticks; /* clients that only count are read every so many ticks */

	struct judge_panel panel;
	struct tally healthy, flapping, joining;
	struct hist first_key;	/* due to connect until the first key unit is whole, everybody */
	struct hist ticks;	/* from one sweep's start to the next one's */
	uint64_t bytes;		/* received by healthy clients */
	uint64_t scanned_bytes; /* of that, by the scanned ones */
	/* Connections that the server ended, reset, refused; that could not be made here for want
	 * of ports or fds; that we ended because their bytes made no sense; that came and went as
	 * planned. */
	uint64_t ended_by_server, reset_by_server, refused, not_connected, gave_up, flaps, joins;
	uint64_t never_served;	/* healthy clients without a byte when everybody should have one */
	uint64_t still_waiting; /* those who had no key unit at the end */
	unsigned connected;	/* now */

	uint32_t random, tick, connections;
	int64_t last_us; /* the newest sweep */
	int64_t join_from_us;
	uint64_t joins_due;
	uint64_t mark_bytes, mark_scanned_bytes, mark_scanned_units; /* when measuring began */
};

/* What the healthy clients got while measuring. */
struct crowd_yield {
	uint64_t bytes, scanned_units;
	/* On the wire, from scanned clients; 0: there are none. */
	double bytes_per_unit;
	/* Clients that got clearly less than the one that got most, and the bytes that they lack.
	 */
	unsigned short_clients;
	uint64_t short_bytes;
};

/* HOST:PORT, http://HOST:PORT/PATH or rtmp://HOST:PORT/APP/STREAM; framing as for the first two.
 * -EINVAL: not understood; -EHOSTUNREACH: no such host. */
int crowd_target_parse(struct crowd_target *target, const char *text);

/* -EMFILE: the limit of open files is too low; -ENOMEM. */
int crowd_init(struct crowd *crowd, const struct crowd_options *options,
	       const struct crowd_target *target);
/* Waits for the next millisecond and reads who is due; returns the time. */
int64_t crowd_sweep(struct crowd *crowd);
/* Connects everybody at connect_rate and sweeps until all healthy ones have had a byte, at most 10
 * s after the last was due; then for warm_up_us. progress is called at each sweep. */
void crowd_begin(struct crowd *crowd, int64_t warm_up_us, void (*progress)(struct crowd *));
/* From here on latencies count, newcomers come, and units, bytes and losses are those of the
 * measurement. */
void crowd_start_measuring(struct crowd *crowd);
/* Bytes in the kernel on our side: received and not read yet, reserved for more. */
uint64_t crowd_receive_memory(const struct crowd *crowd);
/* Reads everybody once more, so that what the kernel still has for us counts. */
struct crowd_yield crowd_yield(struct crowd *crowd);
/* Closes all connections and gives verdicts; decodes what was kept. */
void crowd_stop(struct crowd *crowd);
void crowd_finish(struct crowd *crowd);

#endif
