/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command lines: getopt_long(3) with messages that help. Main thread.
 *
 *	static const struct cli cli = {"camcast record", "d:jh", options};
 *
 *	while ((c = cli_next(&cli, argc, argv)) >= 0) {
 *		switch (c) {
 *		case 'd': ...
 *		case '?': return EXIT_USAGE;
 *		}
 *	}
 *	if (argc - optind > 1)
 *		return cli_refuse(&cli, "unexpected argument \"%s\"", argv[optind + 1]);
 */
#ifndef BASE_CLI_H
#define BASE_CLI_H

#include <getopt.h>

#define EXIT_USAGE 2

struct cli {
	const char *program;	      /* what a user types: "camcast record" */
	const char *short_options;    /* as for getopt(3), without a ':' in front */
	const struct option *options; /* ends with a zeroed one; codes without a letter: over 255 */
};

/*
 * The next option, as getopt_long(3) returns it, with optarg and optind. Long options may be
 * written in any case and with '_' for '-'; their spelling in argv is put right. Returns '?' after
 * one line on stderr, which says what is wrong and which option was perhaps meant; -1 at the end.
 */
int cli_next(const struct cli *cli, int argc, char **argv);

/* Writes "PROGRAM: ..." to stderr, as one line. Returns EXIT_USAGE. */
int cli_refuse(const struct cli *cli, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
