/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the two halves of the test double: the protocol (fakeworker.c), and the faults. */
#ifndef TESTS_SUPPORT_FAKEWORKER_H
#define TESTS_SUPPORT_FAKEWORKER_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "camcast/worker.h"
#include "config/config.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

struct fake_stream {
	const struct config_stream *config;
	bool idr;
	uint32_t target_bps;
	uint64_t requests;
};

struct feed_log {
	const struct config_feed *config;
	struct fake_stream *stream;
	bool wanted;
	uint32_t preamble; /* version; 0: none */
	uint32_t id;	   /* of the newest segment */
	int fd;		   /* of it; -1: none */
	uint32_t used;
	bool sent;	 /* its fd has gone */
	bool needs_key;	 /* the next unit that is sent is a key unit */
	bool lost;	 /* because the pair had no room */
	uint32_t number; /* of the next unit */
	uint32_t keys;	 /* key units until now */
};

extern struct fake {
	struct config *config;
	const struct config_camera *camera;
	unsigned fps, gop, size, segment, after, port;
	bool can_force_idr, deaf, deathless, quiet; /* quiet: no more heartbeats */
	unsigned preamble, tracks;
	const char *fault;
	struct fake_stream *streams; /* by number */
	struct feed_log *logs;	     /* the same */
	char control[124];	     /* value of the last control heard just now; "": none */
	uint64_t pictures;
} my;

struct fault {
	const char *name;
	void (*commit)(void); /* NULL: it is a way of life, see main() */
	bool first;	      /* instead of HELLO */
};
/* NULL: there is none of that name. */
const struct fault *fault_find(const char *name);

/* Of fakeworker_attacks.c. */
void attack_lingering_fd(void);
void attack_lingering_fds(void);
void attack_lingering_queue(void);
void attack_unasked_fds(void);
void attack_log_flood(void);
void attack_last_words(void);

void __attribute__((noreturn)) die(const char *what);

/* All return false if the pair is full, and do not return if camcastd is gone. */
bool say(const void *message, size_t size);
bool say_fd(const void *message, size_t size, int fd);
bool say_fds(const void *message, size_t size, const int *fds, size_t n);
void say_hello(uint32_t version);
void say_heartbeat(enum camcast_camera_state state, const char *reason);
void say_all(void);
/* The feed's next preamble, of len bytes. The units made afterwards name it. */
bool say_preamble(unsigned feed, uint32_t len);

int make_segment(off_t size, int seals);
/* Leaves the current segment; the next one is at least size bytes. */
void begin_segment(struct feed_log *log, uint32_t size);
/* Writes the feed's next unit and tells of it; send_unit() also sends it. */
struct camcast_msg_unit make_unit(unsigned feed, bool key);
void send_unit(unsigned feed, bool key);

#endif
