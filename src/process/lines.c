/* SPDX-License-Identifier: BSD-2-Clause */
#include "process/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"

#define READ_MAX 16384
#define LAST_MAX (1 << 20) /* fs.pipe-max-size: more does not fit into a pipe */
#define TELL_FIRST_US 1000000
#define TELL_PERIOD_US 60000000

void lines_init(struct lines *lines, const struct lines_options *options)
{
	*lines = (struct lines){.options = *options, .fd = -1};
}

int lines_open(struct lines *lines)
{
	int ends[2];

	if (lines->fd >= 0)
		close(lines->fd);
	lines->fd = -1;
	/* The flag belongs to both ends. */
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	lines->fd = ends[0];
	lines->len = 0;
	lines->cut = false;
	return ends[1];
}

/* The level of a line, and in *text what follows it. */
static enum diag_level read_level(const char **text)
{
	static const enum diag_level levels[] = {DIAG_ERROR, DIAG_ERROR, DIAG_ERROR, DIAG_ERROR,
						 DIAG_WARN,  DIAG_INFO,	 DIAG_INFO,  DIAG_DEBUG};
	const char *line = *text;

	if (line[0] != '<' || line[1] < '0' || line[1] > '7' || line[2] != '>')
		return DIAG_INFO;
	*text = line + 3;
	return levels[line[1] - '0'];
}

/* Whether the budget has a line. */
static bool pay(struct lines *lines, int64_t now_us)
{
	const bool verbose = lines->options.verbose;
	const int64_t burst = verbose ? LINES_BURST_VERBOSE : LINES_BURST;
	const int64_t period_us =
		INT64_C(1000) * (verbose ? LINES_PERIOD_VERBOSE_MS : LINES_PERIOD_MS);

	if (lines->paid_us < now_us)
		lines->paid_us = now_us;
	if (lines->paid_us + period_us > now_us + burst * period_us)
		return false;
	lines->paid_us += period_us;
	return true;
}

/* The line is complete, except for its rest if that is cut. */
static void end_line(struct lines *lines, int64_t now_us)
{
	const char *text = lines->line;
	enum diag_level level;

	lines->line[lines->len] = '\0';
	level = read_level(&text);
	if (*text && pay(lines, now_us)) {
		diag_relay(lines->options.program, level, text);
	} else if (*text && lines->left_out++ == 0 && lines->tell_us < now_us + TELL_FIRST_US) {
		lines->tell_us = now_us + TELL_FIRST_US;
	}
	lines->len = 0;
}

static void add(struct lines *lines, const char *data, size_t len)
{
	static const char more[] = "...";
	size_t n = len < LINES_MAX - lines->len ? len : LINES_MAX - lines->len;

	if (lines->cut)
		return;
	memcpy(lines->line + lines->len, data, n);
	for (size_t i = lines->len; i < lines->len + n; i++)
		if (!lines->line[i])
			lines->line[i] = '?';
	lines->len += n;
	if (n == len)
		return;
	memcpy(lines->line + LINES_MAX - (sizeof more - 1), more, sizeof more - 1);
	lines->cut = true;
}

void lines_take(struct lines *lines, const char *data, size_t len, int64_t now_us)
{
	while (len > 0) {
		const char *newline = memchr(data, '\n', len);
		size_t n = newline ? (size_t)(newline - data) : len;

		add(lines, data, n);
		if (!newline)
			break;
		end_line(lines, now_us);
		lines->cut = false;
		data += n + 1;
		len -= n + 1;
	}
}

int lines_read(struct lines *lines, int64_t now_us)
{
	char data[READ_MAX];
	ssize_t n = read(lines->fd, data, sizeof data);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	lines_take(lines, data, (size_t)n, now_us);
	return (int)n;
}

void lines_close(struct lines *lines, int64_t now_us)
{
	int n = 1;

	if (lines->fd < 0)
		return;
	for (int sum = 0; n > 0 && sum < LAST_MAX; sum += n)
		n = lines_read(lines, now_us);
	if (lines->len > 0)
		end_line(lines, now_us);
	close(lines->fd);
	lines->fd = -1;
}

void lines_tell(struct lines *lines, int64_t now_us)
{
	if (lines->left_out == 0 || now_us < lines->tell_us)
		return;
	diag_warn("%s: %llu more lines of %s are not shown: it writes too many",
		  lines->options.owner, (unsigned long long)lines->left_out,
		  lines->options.program);
	lines->left_out = 0;
	lines->tell_us = now_us + TELL_PERIOD_US;
}

int64_t lines_due_us(const struct lines *lines)
{
	return lines->left_out > 0 ? lines->tell_us : INT64_MAX;
}
