/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A crowd of clients of one server in one process. It connects them on schedule, reads them, and
 * reports what they received. One thread.
 *
 * The crowd never waits with poll or epoll, so that no wake-up of a reader is charged to the server
 * that sends. It reads judged clients every millisecond. It reads the others less often, each by
 * one recv(MSG_TRUNC) that copies nothing, and over TLS decrypts nothing. Each stream is judged
 * until its first key unit is whole, and scanned streams to the end. A player of HLS reads its
 * playlists all the time, and one of RTSP keeps its session alive.
 *
 * Datagrams that nobody reads in time are dropped by the kernel; it says how many, so that they are
 * not taken for losses of the server or the network.
 *
 * The schedule does not wait for the server: a client connects when it is due. Times count from the
 * moment at which a client was due to connect or a picture was captured, however late it was read.
 * Units that never came are counted, not left out.
 */
#ifndef BENCH_LIB_CROWD_H
#define BENCH_LIB_CROWD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bench/lib/hist.h"
#include "bench/lib/hls.h"
#include "bench/lib/judge.h"
#include "bench/lib/wire.h"

#define CROWD_SLOW_MAX 8
#define CROWD_TICK_US 1000

struct crowd_target {
	struct wire_source source;
	struct sockaddr_storage address;
	socklen_t address_len;
};

struct crowd_slow {
	unsigned clients;
	double rate; /* bytes a second that each reads */
	struct tally tally;
};

/* When the kernel of the clients acknowledges what came. */
enum crowd_acks {
	ACKS_AUTO,    /* when it chooses */
	ACKS_QUICK,   /* when the client reads: as where a client only receives */
	ACKS_DELAYED, /* with a later packet: as where a client answers the server */
};

struct crowd_options {
	unsigned healthy, scan, decode;
	struct crowd_slow slow[CROWD_SLOW_MAX];
	unsigned n_slow, stalled, flapping;
	double joining;		/* clients a second */
	unsigned connect_rate;	/* connections a second at the start */
	unsigned read_every_ms; /* clients that are only counted; 0: by their number */
	uint32_t seed;
	enum crowd_acks acks;
	bool gro; /* datagrams: the kernel cuts up none (`whole` in udp_pair.h) */
	/* Besides, it drops those of clients that are only counted, before it keeps them. What the
	 * scanned clients receive then stands for all. */
	bool discard;
};

struct crowd_client;

struct crowd {
	struct crowd_options options;
	const struct crowd_target *target; /* borrowed */
	struct wire_source source;	   /* the target's, with `hls` and `rtsp` */
	struct ssl_ctx_st *tls;		   /* NULL: plain */
	struct crowd_client *clients;
	unsigned n_clients;
	unsigned discard_ticks; /* ticks between two reads of a client that is only counted */

	struct judge_panel panel;
	struct tally healthy, flapping, joining;
	struct hist first_key;	/* all clients: due to connect until the first key unit is whole */
	struct hls_tally hls;	/* players of HLS */
	struct rtsp_tally rtsp; /* players of RTSP, as long as they are judged */
	struct hist ticks;	/* from one sweep's start to the next one's */
	uint64_t bytes;		/* received by healthy clients */
	uint64_t scanned_bytes; /* of that, by the scanned ones */
	/* Connections that the server ended, reset or refused; that failed here because ports or
	 * fds ran out; that camload ended because their bytes were malformed; that flapping clients
	 * and newcomers made. */
	uint64_t ended_by_server, reset_by_server, refused, not_connected, gave_up, flaps, joins;
	/* Datagrams that the kernel dropped because a client did not read them in time; not those
	 * of slow and stalled clients. */
	uint64_t unread;
	uint64_t never_served;	/* healthy clients without a byte when all should have one */
	uint64_t still_waiting; /* healthy clients without a key unit at the end */
	unsigned connected;	/* now */

	uint32_t random, tick, connections;
	int64_t last_us; /* the newest sweep */
	int64_t join_from_us;
	uint64_t joins_due;
	uint64_t mark_bytes, mark_scanned_bytes, mark_scanned_units; /* when measuring began */
};

/* What the healthy clients received during the measurement. */
struct crowd_yield {
	uint64_t bytes, scanned_units;
	/* On the wire, as the scanned clients saw it; 0: there are none. */
	double bytes_per_unit;
	/* Clients that received clearly less than the best one, and the bytes that they lack. */
	unsigned short_clients;
	uint64_t short_bytes;
	uint64_t unread; /* as in struct crowd */
};

/* HOST:PORT, tls://HOST:PORT, http://HOST:PORT/PATH, https:// likewise, rtsp://HOST:PORT/PATH,
 * rtsps:// likewise, or rtmp://HOST:PORT/APP/STREAM. Over HTTP
 * the framing is that of the end of the path (.ts, .mp4, .mjpg, .ws, .m3u8), or Annex B.
 * source.hls and source.rtsp are not set. -EINVAL: malformed; -EHOSTUNREACH: no such host. */
int crowd_target_parse(struct crowd_target *target, const char *text);
/* The framing that `--framing NAME` means: annexb, length, ts, mp4, mjpg, ws, hls or hls-plain.
 * -EINVAL: there is none. */
int crowd_framing_parse(enum wire_framing *framing, const char *name);

/* -EMFILE: the limit of open files is too low; -ENOMEM. */
int crowd_init(struct crowd *crowd, const struct crowd_options *options,
	       const struct crowd_target *target);
/* Waits for the next millisecond and reads the clients that are due; returns the time. */
int64_t crowd_sweep(struct crowd *crowd);
/* Connects all clients at connect_rate and sweeps until all healthy ones have received a byte, but
 * at most for 10 s after the last was due; then sweeps for warm_up_us. Calls progress at each
 * sweep. */
void crowd_begin(struct crowd *crowd, int64_t warm_up_us, void (*progress)(struct crowd *));
/* Begins the measurement: latencies, units, bytes and losses count from here on, and newcomers
 * connect. */
void crowd_start_measuring(struct crowd *crowd);
/* Bytes of kernel memory on the receiving side: received and not yet read, or reserved. */
uint64_t crowd_receive_memory(const struct crowd *crowd);
/* Reads all clients once more, so that bytes that still wait in the kernel count. */
struct crowd_yield crowd_yield(struct crowd *crowd);
/* Closes all connections, completes the verdicts, and decodes the streams that were kept. */
void crowd_stop(struct crowd *crowd);
void crowd_finish(struct crowd *crowd);

#endif
