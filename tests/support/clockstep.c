/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A wall clock that can be stepped, for programs that are started with LD_PRELOAD: CAMCAST_CLOCK
 * names a file with one int64_t, the nanoseconds that CLOCK_REALTIME is ahead, which may change at
 * any time. The file is mapped before main(), so that a sandbox does not keep it away. The kernel's
 * own clock stays: timeouts, and times of files.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000

static const _Atomic int64_t *ahead;

__attribute__((constructor)) static void open_clock(void)
{
	const char *path = getenv("CAMCAST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		abort(); /* a test of nothing would pass */
	ahead = map;
	close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
	static int (*_Atomic next)(clockid_t, struct timespec *);
	int64_t ns;

	if (!next)
		next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	if (next(clock, out) < 0)
		return -1;
	if (ahead && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		ns = out->tv_sec * (int64_t)SECOND_NS + out->tv_nsec + *ahead;
		out->tv_sec = ns / SECOND_NS;
		out->tv_nsec = ns % SECOND_NS;
	}
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	*out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
	return 0;
}
