/* SPDX-License-Identifier: BSD-2-Clause */
/* What a server costs, and on what machine. One thread. */
#ifndef BENCH_LIB_USAGE_H
#define BENCH_LIB_USAGE_H

#include <stdint.h>
#include <sys/types.h>

#include <cjson/cJSON.h>

struct usage {
	int64_t wall_us;
	int64_t own_cpu_ns;    /* of this process */
	int64_t server_cpu_ns; /* of all threads of the server, kernel work in their name included */
	uint64_t waits,
		preemptions; /* context switches of all its threads, by its own will or not */
	/* Its resident memory, and how much of that is anonymous and shared; -1: unknown. */
	long rss_kb, rss_anon_kb, rss_shmem_kb;
	long threads;
	long tcp_kb; /* charged to all TCP sockets of the network namespace's machine */
};

/* pid 0: no server. -errno. */
int usage_read(struct usage *usage, pid_t pid);

/* CPU, kernel, limits that matter, load: an object. */
cJSON *usage_environment(void);

#endif
