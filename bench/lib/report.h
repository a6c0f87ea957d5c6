/* SPDX-License-Identifier: BSD-2-Clause */
/* A run of camload in words and in JSON. One thread. */
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
	/* Before anybody connected, when measuring began, when it ended. */
	struct usage idle, start, end;
	uint64_t start_receive_memory, end_receive_memory; /* bytes, crowd_receive_memory() */
};

/* NULL: the generator kept up; else why the figures may be its own. */
const char *report_bottleneck(const struct report *report);
void report_table(const struct report *report, FILE *out);
void report_json(const struct report *report, FILE *out);

#endif
