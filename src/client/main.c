/* SPDX-License-Identifier: BSD-2-Clause */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "client/client.h"
#include "net/resolve.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* NULL: not for people */
};

static void print_usage(FILE *out, const struct command *commands, size_t n)
{
	fputs("usage: camcast COMMAND ...\n\n", out);
	for (size_t i = 0; i < n; i++)
		if (commands[i].help)
			fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
	fputs("\n`camcast COMMAND --help` tells a command's options; see also camcast(1).\n"
	      "`camcast --version` prints the version.\n",
	      out);
}

static int run(const struct command *command, int argc, char **argv)
{
	int status = command->run(argc, argv);

	if (resolve_is_running()) {
		fflush(NULL);
		_exit(status);
	}
	return status;
}

int main(int argc, char **argv)
{
	static const struct command commands[] = {
		{"discover", cmd_discover, "list the servers and their streams"},
		{"recv", cmd_recv, "write one stream to a file or a pipe"},
		{"record", cmd_record, "record one or all servers into MP4 files"},
		{"view", cmd_view, "watch one or all servers in a window"},
		{"record-child", cmd_record_child, NULL},
		{"view-child", cmd_view_child, NULL},
	};
	const size_t n = sizeof commands / sizeof commands[0];
	const char *name = argc > 1 ? argv[1] : "";

	setlocale(LC_ALL, "");
	diag_init("camcast", DIAG_INFO);
	/* A reader that goes away is an error of write(), told or not as the command sees fit. */
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(name, "--version") == 0) {
		puts("camcast " CAMCAST_VERSION);
		return EXIT_SUCCESS;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_usage(stdout, commands, n);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, commands[i].name) == 0)
			return run(&commands[i], argc - 1, argv + 1);
	if (argc > 1)
		fprintf(stderr, "camcast: there is no command \"%s\"\n", name);
	print_usage(stderr, commands, n);
	return EXIT_USAGE;
}
