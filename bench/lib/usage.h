/* SPDX-License-Identifier: BSD-2-Clause */
/* CPU time and memory of a server, and the machine that it runs on. One thread. */
#ifndef BENCH_LIB_USAGE_H
#define BENCH_LIB_USAGE_H

#include <stdint.h>
#include <sys/types.h>

#include <cjson/cJSON.h>

struct usage {
	int64_t wall_us;
	int64_t own_cpu_ns;    /* of this process */
	int64_t server_cpu_ns; /* of all threads of the server, kernel work for them included */
	uint64_t waits,
		preemptions; /* voluntary and involuntary context switches of all its threads */
	/* Its resident memory, and how much of that is anonymous and shared; -1: unknown. */
	long rss_kb, rss_anon_kb, rss_shmem_kb;
	long threads;
	long tcp_kb; /* charged to all TCP sockets of the machine */
};

/* pid 0: no server. -errno. */
int usage_read(struct usage *usage, pid_t pid);

/* An object with the CPU, the kernel, the limits that matter and the load. */
cJSON *usage_environment(void);

#endif
