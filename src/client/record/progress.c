/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/progress.h"

#include <stdio.h>
#include <unistd.h>

#define PERIOD_US 1000000

/* ECMA-48 */
#define CLEAR_BELOW "\033[J"
#define UP "\033[A\r"

void progress_init(struct progress *progress)
{
	*progress = (struct progress){.on = isatty(STDERR_FILENO)};
}

/* A child that is started again, or has gone, takes its count along. */
static double rate(uint64_t now, uint64_t before, double seconds)
{
	return now > before ? (double)(now - before) / seconds : 0;
}

void progress_turn(struct progress *progress, size_t n, uint64_t units, uint64_t bytes,
		   int64_t now_us)
{
	double seconds = (double)(now_us - progress->drawn_us) / 1e6;

	if (!progress->on || now_us - progress->drawn_us < PERIOD_US)
		return;
	fprintf(stderr,
		"\r" CLEAR_BELOW "\nrecording %zu server%s  %.1f fps  %.2f Mbit/s  %.1f MB" UP, n,
		n == 1 ? "" : "s", rate(units, progress->units, seconds),
		rate(bytes, progress->bytes, seconds) * 8 / 1e6, (double)bytes / 1e6);
	fflush(stderr);
	progress->drawn = true;
	progress->drawn_us = now_us;
	progress->units = units;
	progress->bytes = bytes;
}

void progress_end(struct progress *progress)
{
	if (progress->drawn)
		fputs("\r" CLEAR_BELOW, stderr);
	progress->drawn = false;
}
