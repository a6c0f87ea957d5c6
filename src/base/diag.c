/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define LINE_MAX_BYTES 1024 /* terminating newline included; longer lines are cut */

/* Written before threads start. */
static const char *diag_program = "camcast";
static enum diag_level diag_shown = DIAG_INFO;
static enum { TO_PEOPLE, TO_JOURNAL, TO_PARENT } diag_form;

static const char *const level_words[] = {"error: ", "warning: ", "", "debug: "};
static const char level_priorities[] = {'3', '4', '6', '7'}; /* sd-daemon(3) */

/* JOURNAL_STREAM is inherited by children whose stderr goes elsewhere: systemd.exec(5) asks to
 * compare it with the device and inode of the descriptor. */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!text || sscanf(text, "%llu:%llu", &dev, &ino) != 2 || fstat(STDERR_FILENO, &st) < 0)
		return false;
	return st.st_dev == dev && st.st_ino == ino;
}

void diag_init(const char *program, enum diag_level shown)
{
	diag_program = program;
	diag_shown = shown;
	diag_form = stderr_is_journal() ? TO_JOURNAL : TO_PEOPLE;
}

void diag_set_relayed(void)
{
	diag_form = TO_PARENT;
}

/* Writes what stands in front of the text. Returns its length, always less than size. */
static size_t write_prefix(char *line, size_t size, const char *program, enum diag_level level)
{
	struct timespec now;
	struct tm tm;
	int n;

	if (diag_form == TO_PARENT)
		return (size_t)snprintf(line, size, "<%c>", level_priorities[level]);
	if (diag_form == TO_JOURNAL)
		return (size_t)snprintf(line, size, "<%c>%.64s: ", level_priorities[level],
					program);
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	n = snprintf(line, size, "%04d-%02d-%02d %02d:%02d:%02d.%03ld %.64s: %s", tm.tm_year + 1900,
		     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		     now.tv_nsec / 1000000, program, level_words[level]);
	return (size_t)n;
}

static void __attribute__((format(printf, 3, 0)))
write_line(const char *program, enum diag_level level, const char *format, va_list arguments)
{
	int saved_errno = errno;
	char line[LINE_MAX_BYTES];
	size_t start, len;
	ssize_t n;

	if (level > diag_shown)
		return;
	start = write_prefix(line, sizeof line, program, level);
	errno = saved_errno; /* for %m */
	n = vsnprintf(line + start, sizeof line - start, format, arguments);
	if (n < 0)
		n = 0;
	len = start + (size_t)n;
	if (len > sizeof line - 1) {
		len = sizeof line - 1;
		memcpy(line + len - 3, "...", 3);
	}
	/* One event stays one line, whatever text from outside it quotes. */
	for (size_t i = start; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == '\x7f')
			line[i] = ' ';
	text_clean(line + start, len - start + 1, line + start);
	len = start + strlen(line + start);
	line[len++] = '\n';
	/* A failure cannot be reported anywhere. */
	do
		n = write(STDERR_FILENO, line, len);
	while (n < 0 && errno == EINTR);
	errno = saved_errno;
}

void diag_write(enum diag_level level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line(diag_program, level, format, arguments);
	va_end(arguments);
}

static void __attribute__((format(printf, 3, 4)))
write_line_of(const char *program, enum diag_level level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line(program, level, format, arguments);
	va_end(arguments);
}

void diag_relay(const char *program, enum diag_level level, const char *text)
{
	/* The parent puts our name in front of a line, not that of another program. */
	if (diag_form == TO_PARENT)
		write_line_of(program, level, "%s: %s", program, text);
	else
		write_line_of(program, level, "%s", text);
}

bool diag_allowed(struct diag_limit *limit, int64_t now_us, int64_t period_us, uint64_t *suppressed)
{
	if (now_us < limit->next_us) {
		limit->suppressed++;
		return false;
	}
	*suppressed = limit->suppressed;
	limit->suppressed = 0;
	limit->next_us = now_us + period_us;
	return true;
}
