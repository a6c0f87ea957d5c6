/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bounded number of seats for any number of servers, since each server that is recorded or shown
 * costs a process and anybody can announce servers. Servers that delivered pictures before come
 * first: those that the owner knew at its start, then those that have delivered since, then new
 * ones. A server of a later kind gives its seat to one of an earlier kind. A new one that delivers
 * nothing for SEATS_TRIAL_US gives it to the next new one, so that each gets its turn. Does nothing
 * by itself; one thread.
 */
#ifndef CLIENT_SEATS_H
#define CLIENT_SEATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

#define SEATS_DEFAULT 64
#define SEATS_TRIAL_US 10000000
#define SEATS_KEY_MAX 160 /* bytes of a key, terminator included */

struct seats {
	size_t max; /* set by the owner; all else is zeroed at the beginning */
	struct seat {
		char key[SEATS_KEY_MAX];
		bool known, delivered, present, seated;
		int64_t since_us;    /* seated: since when */
		int64_t unseated_us; /* 0: never had a seat */
	} * all;
	size_t n, room, cursor, left_out;
	int64_t left_out_us; /* since when some are left out; 0: none is */
	struct diag_limit reports;
	size_t reported;
};

#define SEATS_HELP "use a number from 1 to 1024"
/* Reads max from the text of an option. 0 or -EINVAL. Any thread. */
int seats_parse_max(const char *text, size_t *max);
void seats_finish(struct seats *seats);

/* A new look: no server is there until it is offered. */
void seats_begin(struct seats *seats);
/* A server is there and wanted. known: it delivered in an earlier run. 0 or -ENOMEM. */
int seats_offer(struct seats *seats, const char *key, bool known);
/* The server delivered a picture. */
void seats_delivered(struct seats *seats, const char *key);
/* Gives the seats to those that were offered since seats_begin(). now_us: CLOCK_MONOTONIC. */
void seats_settle(struct seats *seats, int64_t now_us);
bool seats_has(struct seats *seats, const char *key);

/* Logs how many servers are left out: a second after that begins, when the whole list is there, and
 * when the number has changed, at most once a minute. done: "recorded" or "shown". Call it at least
 * once a second while servers are left out. */
void seats_report(struct seats *seats, const char *done, int64_t now_us);

#endif
