/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/diag.h"
#include "process/lines.h"

#define SECOND 1000000
#define FLOOD 10000

/* Our stderr is a file, as the journal would have it. */
struct fixture {
	struct lines lines;
	int64_t now_us;
	int saved, file;
	char text[1 << 20];
};

static void begin(struct fixture *f, bool verbose)
{
	const struct lines_options options = {
		.program = "it", .owner = "camera cam", .verbose = verbose};
	char journal[64];
	struct stat st;
	FILE *file = tmpfile();

	memset(f, 0, sizeof *f);
	f->now_us = 5 * SECOND;
	f->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
	f->file = dup(fileno(file));
	fclose(file);
	assert_int_equal(dup2(f->file, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(journal, sizeof journal, "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", journal, 1);
	diag_init("test", DIAG_DEBUG);
	lines_init(&f->lines, &options);
}

/* What was logged until now. */
static const char *logged(struct fixture *f)
{
	ssize_t n = pread(f->file, f->text, sizeof f->text - 1, 0);

	assert_true(n >= 0);
	f->text[n] = '\0';
	return f->text;
}

static void end(struct fixture *f)
{
	lines_close(&f->lines, f->now_us);
	dup2(f->saved, STDERR_FILENO);
	close(f->saved);
	close(f->file);
	free(f);
}

static struct fixture *setup(bool verbose)
{
	struct fixture *f = malloc(sizeof *f);

	assert_non_null(f);
	begin(f, verbose);
	return f;
}

static void take(struct fixture *f, const char *text)
{
	lines_take(&f->lines, text, strlen(text), f->now_us);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void flood(struct fixture *f)
{
	for (int i = 0; i < FLOOD; i++)
		take(f, "y\n");
}

static void a_line_has_the_name_of_its_program_and_its_level(void **state)
{
	struct fixture *f = setup(false);

	(void)state;
	take(f, "<3>one\n<7>two\nthree\n<4>\n\n<9>four\n<");
	take(f, "4>fi");
	take(f, "ve\n");
	assert_string_equal(logged(f),
			    "<3>it: one\n<7>it: two\n<6>it: three\n<6>it: <9>four\n<4>it: five\n");
	end(f);
}

static void an_emergency_is_an_error(void **state)
{
	struct fixture *f = setup(false);

	(void)state;
	take(f, "<0>to every terminal\n<1>x\n<2>y\n<5>z\n");
	assert_string_equal(logged(f), "<3>it: to every terminal\n<3>it: x\n<3>it: y\n<6>it: z\n");
	end(f);
}

static void what_a_terminal_acts_on_is_harmless(void **state)
{
	static const char bytes[] = "a\0b\033[2Jc\xff\xe2\x80\xae%s\r\n";
	struct fixture *f = setup(false);

	(void)state;
	lines_take(&f->lines, bytes, sizeof bytes - 1, f->now_us);
	assert_string_equal(logged(f), "<6>it: a?b [2Jc??%s \n");
	end(f);
}

static void a_long_line_is_cut_once(void **state)
{
	struct fixture *f = setup(false);
	char bytes[5000];
	const char *text;

	(void)state;
	memset(bytes, 'x', sizeof bytes);
	lines_take(&f->lines, bytes, sizeof bytes, f->now_us);
	lines_take(&f->lines, bytes, sizeof bytes, f->now_us);
	assert_string_equal(logged(f), "");
	take(f, "\nnext\n");
	text = logged(f);
	assert_int_equal(strspn(text + strlen("<6>it: "), "x"), LINES_MAX - 3);
	assert_string_equal(text + strlen("<6>it: ") + LINES_MAX - 3, "...\n<6>it: next\n");
	end(f);
}

static void a_flood_is_cut_and_counted_once_a_minute(void **state)
{
	struct fixture *f = setup(false);
	char expected[128];
	int n;

	(void)state;
	assert_int_equal(lines_due_us(&f->lines), INT64_MAX);
	flood(f);
	assert_int_equal(count_lines(logged(f)), LINES_BURST);
	assert_int_equal(lines_due_us(&f->lines), f->now_us + SECOND);
	lines_tell(&f->lines, f->now_us);
	assert_int_equal(count_lines(logged(f)), LINES_BURST);
	f->now_us += SECOND;
	lines_tell(&f->lines, f->now_us);
	n = snprintf(expected, sizeof expected,
		     "<4>test: camera cam: %d more lines of it are not shown: it writes too many\n",
		     FLOOD - LINES_BURST);
	assert_int_equal(count_lines(logged(f)), LINES_BURST + 1);
	assert_string_equal(f->text + strlen(f->text) - n, expected);
	/* It goes on. */
	flood(f);
	assert_int_equal(lines_due_us(&f->lines), f->now_us + 60 * SECOND);
	f->now_us += 60 * SECOND;
	lines_tell(&f->lines, f->now_us);
	assert_int_equal(count_lines(logged(f)), LINES_BURST + 2);
	/* A line has become free in each two seconds, and the budget outlives the process. */
	lines_close(&f->lines, f->now_us);
	flood(f);
	assert_int_equal(count_lines(logged(f)), LINES_BURST + 2 + 61 / 2);
	end(f);
}

static void debug_lines_have_a_larger_budget(void **state)
{
	struct fixture *f = setup(true);

	(void)state;
	flood(f);
	assert_int_equal(count_lines(logged(f)), LINES_BURST_VERBOSE);
	end(f);
}

static void a_pipe_is_read_to_its_end_and_nobody_waits(void **state)
{
	struct fixture *f = setup(false);
	char bytes[65536];
	int fd = lines_open(&f->lines);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(lines_read(&f->lines, f->now_us), -EAGAIN);
	memset(bytes, 'x', sizeof bytes);
	assert_int_equal(write(fd, "first\n", 6), 6);
	while (write(fd, bytes, sizeof bytes) > 0) /* until it is full */
		;
	assert_int_equal(lines_read(&f->lines, f->now_us), 16384);
	assert_string_equal(logged(f), "<6>it: first\n");
	/* What a child of the process may still write does not keep it open. */
	lines_close(&f->lines, f->now_us);
	assert_int_equal(f->lines.fd, -1);
	assert_int_equal(count_lines(logged(f)), 2);
	close(fd);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_the_name_of_its_program_and_its_level),
		cmocka_unit_test(an_emergency_is_an_error),
		cmocka_unit_test(what_a_terminal_acts_on_is_harmless),
		cmocka_unit_test(a_long_line_is_cut_once),
		cmocka_unit_test(a_flood_is_cut_and_counted_once_a_minute),
		cmocka_unit_test(debug_lines_have_a_larger_budget),
		cmocka_unit_test(a_pipe_is_read_to_its_end_and_nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
