/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program writes to its log, in whatever pieces: the lines of ours that it becomes stay
 * within their length and the budget, and have nothing in them that a terminal acts on. The first
 * byte says how long the pieces are. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "process/lines.h"

#define SIZE_MAX_TAKEN 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check(const char *text, ssize_t len)
{
	size_t n = 0;

	for (const char *line = text, *end; line < text + len; line = end + 1, n++) {
		end = memchr(line, '\n', (size_t)(text + len - line));
		require(end && end - line <= LINES_MAX + 64);
		require(strstr(line, " it: ") && strstr(line, " it: ") < end);
		for (const char *c = line; c < end; c++)
			require((unsigned char)*c >= ' ' && *c != 0x7f);
	}
	require(n <= LINES_BURST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[LINES_BURST * (LINES_MAX + 128)];
	const struct lines_options options = {.program = "it", .owner = "its owner"};
	struct lines lines;
	size_t piece;
	int saved, fd;

	if (size < 1 || size > SIZE_MAX_TAKEN)
		return 0;
	piece = data[0] + 1u;
	saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
	fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (saved < 0 || fd < 0)
		return 0;
	dup2(fd, STDERR_FILENO);
	lines_init(&lines, &options);
	for (size_t i = 1; i < size; i += piece)
		lines_take(&lines, (const char *)data + i, size - i < piece ? size - i : piece, 0);
	lines_close(&lines, 0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	check(text, pread(fd, text, sizeof text - 1, 0));
	close(fd);
	return 0;
}
