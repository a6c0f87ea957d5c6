/* SPDX-License-Identifier: BSD-2-Clause */
/* The result of a run of camload, as a table and as JSON. One thread. */
#ifndef BENCH_LIB_REPORT_H
#define BENCH_LIB_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "bench/lib/crowd.h"
#include "bench/lib/usage.h"

struct report {
	const struct crowd *crowd;
	const char *target;
	int argc;
	char **argv;
	pid_t pid;	    /* of the server; 0: unknown */
	uint32_t unit_size; /* bytes of each unit on the wire; 0: as the scanned clients saw it */
	struct crowd_yield yield;
	/* Before the first connection, at the start and at the end of the measurement. */
	struct usage idle, start, end;
	uint64_t start_receive_memory, end_receive_memory; /* bytes, crowd_receive_memory() */
};

/* Returns NULL if the generator kept up, or the reason why it may have limited the figures. */
const char *report_bottleneck(const struct report *report);
void report_table(const struct report *report, FILE *out);
void report_json(const struct report *report, FILE *out);

#endif
