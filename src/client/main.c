/* SPDX-License-Identifier: BSD-2-Clause */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/diag.h"
#include "base/nearest.h"
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
	fputs("\n\"camcast COMMAND --help\" lists the options of a command; see also camcast(1).\n"
	      "\"camcast --version\" prints the version.\n",
	      out);
}

/* Suggests the command that was probably meant; returns the exit status. */
static int refuse(const char *name, const struct command *commands, size_t n)
{
	static const struct cli cli = {.program = "camcast"};
	static const char *const meant[][2] = {
		{"list", "discover"}, {"ls", "discover"},   {"find", "discover"},
		{"show", "view"},     {"watch", "view"},    {"play", "view"},
		{"get", "recv"},      {"download", "recv"}, {"receive", "recv"},
	};
	char hint[NEAREST_HINT_MAX];
	struct nearest nearest;

	if (name[0] == '-')
		return cli_refuse(&cli,
				  "option \"%s\" stands before a command; use \"camcast "
				  "COMMAND [options]\"",
				  name);
	nearest_init(&nearest, name);
	for (size_t i = 0; i < n; i++)
		if (commands[i].help)
			nearest_try(&nearest, commands[i].name);
	for (size_t i = 0; i < sizeof meant / sizeof meant[0]; i++)
		if (strcasecmp(name, meant[i][0]) == 0)
			return cli_refuse(&cli, "unknown command \"%s\"; did you mean \"%s\"?",
					  name, meant[i][1]);
	nearest_hint(&nearest, hint);
	return cli_refuse(&cli, "unknown command \"%s\"%s", name,
			  hint[0] ? hint : "; \"camcast --help\" lists the commands");
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
		{"passwd", cmd_passwd, "make the hash of a password for the configuration"},
		{"view", cmd_view, "watch one or all servers in a window"},
		{"record-child", cmd_record_child, NULL},
		{"view-child", cmd_view_child, NULL},
	};
	const size_t n = sizeof commands / sizeof commands[0];
	const char *name = argc > 1 ? argv[1] : "";

	/* For wcwidth(). Texts are English and UTF-8, and words on the command line are ASCII: in
	 * the user's locale, `DISCOVER` may not be `discover` (Turkish), and 0.5 may be 0,5. */
	setlocale(LC_CTYPE, "C.UTF-8");
	diag_init("camcast", DIAG_INFO);
	/* A closed pipe is an error of write(), which the command reports or ignores. */
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
		if (strcasecmp(name, commands[i].name) == 0)
			return run(&commands[i], argc - 1, argv + 1);
	if (argc > 1)
		return refuse(name, commands, n);
	print_usage(stderr, commands, n);
	return EXIT_USAGE;
}
