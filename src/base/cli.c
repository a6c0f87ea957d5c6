/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/cli.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"

#define SHORT_OPTIONS_MAX 64
#define NAME_MAX_BYTES 64 /* of an option; longer words are quoted in part */
#define LIST_MAX 256

int cli_refuse(const struct cli *cli, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", cli->program);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_USAGE;
}

/* Whether the len bytes at text are the name, '_' and '-' and the cases being equal. */
static bool is_name(const char *text, size_t len, const char *name)
{
	if (strlen(name) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (tolower((unsigned char)(text[i] == '_' ? '-' : text[i])) != name[i])
			return false;
	return true;
}

/* Puts the spelling of long options right, up to "--". */
static void correct_names(const struct cli *cli, int argc, char **argv)
{
	for (int i = optind; i < argc && strcmp(argv[i], "--") != 0; i++) {
		size_t len = strcspn(argv[i], "=");

		if (len <= 2 || strncmp(argv[i], "--", 2) != 0)
			continue;
		for (const struct option *o = cli->options; o->name; o++)
			if (is_name(argv[i] + 2, len - 2, o->name))
				memcpy(argv[i] + 2, o->name, len - 2);
	}
}

static const struct option *find_code(const struct cli *cli, int code)
{
	for (const struct option *o = cli->options; o->name; o++)
		if (o->val == code)
			return o;
	return NULL;
}

/* An abbreviation that getopt_long() refused, because several options begin with it. */
static bool explain_abbreviation(const struct cli *cli, const char *name)
{
	char list[LIST_MAX] = "";
	size_t len = 0;

	for (const struct option *o = cli->options; o->name; o++)
		if (strncmp(o->name, name, strlen(name)) == 0 && len < sizeof list)
			len += (size_t)snprintf(list + len, sizeof list - len, "%s--%s",
						len ? ", " : "", o->name);
	if (len > 0)
		cli_refuse(cli, "option \"--%s\" is short for several: %s", name, list);
	return len > 0;
}

static void explain_long(const struct cli *cli, const char *text)
{
	char name[NAME_MAX_BYTES + 1];
	size_t len = strcspn(text + 2, "=");
	struct nearest nearest;

	snprintf(name, sizeof name, "%.*s", (int)len, text + 2);
	if (explain_abbreviation(cli, name))
		return;
	nearest_init(&nearest, name);
	for (const struct option *o = cli->options; o->name; o++)
		nearest_try(&nearest, o->name);
	if (nearest_slip(&nearest))
		cli_refuse(cli, "unknown option \"--%s\"; did you mean \"--%s\"?", name,
			   nearest_slip(&nearest));
	else
		cli_refuse(cli, "unknown option \"--%s\"; \"%s --help\" lists the options", name,
			   cli->program);
}

/* "-json", where a cluster of short options was read. NULL: no such element. */
static const struct option *find_single_dash(const struct cli *cli, int argc, char **argv)
{
	for (int i = optind - 1; i <= optind && i < argc; i++) {
		if (i < 1 || argv[i][0] != '-' || argv[i][1] == '-')
			continue;
		for (const struct option *o = cli->options; o->name; o++)
			if (is_name(argv[i] + 1, strcspn(argv[i] + 1, "="), o->name))
				return o;
	}
	return NULL;
}

static void explain_short(const struct cli *cli, int argc, char **argv, int letter)
{
	const struct option *o = find_single_dash(cli, argc, argv);
	int other = islower(letter) ? toupper(letter) : tolower(letter);

	if (!o && other != ':' && other != letter && strchr(cli->short_options, other)) {
		cli_refuse(cli, "unknown option \"-%c\"; did you mean \"-%c\"?", letter, other);
		return;
	}
	for (const struct option *p = cli->options; !o && p->name; p++)
		if (p->name[0] == tolower(letter))
			o = p;
	if (o)
		cli_refuse(cli, "unknown option \"-%c\"; did you mean \"--%s\"?", letter, o->name);
	else
		cli_refuse(cli, "unknown option \"-%c\"; \"%s --help\" lists the options", letter,
			   cli->program);
}

int cli_next(const struct cli *cli, int argc, char **argv)
{
	char short_options[SHORT_OPTIONS_MAX];
	const struct option *known;
	const char *element;
	int c;

	correct_names(cli, argc, argv);
	snprintf(short_options, sizeof short_options, ":%s", cli->short_options);
	opterr = 0;
	optopt = 0;
	c = getopt_long(argc, argv, short_options, cli->options, NULL);
	if (c != '?' && c != ':')
		return c;
	known = optopt ? find_code(cli, optopt) : NULL;
	element = argv[optind - 1];
	if (c == ':' && known)
		cli_refuse(cli, "option \"--%s\" needs a value", known->name);
	else if (c == ':')
		cli_refuse(cli, "option \"-%c\" needs a value", optopt);
	else if (known)
		cli_refuse(cli, "option \"--%s\" takes no value", known->name);
	else if (optopt == 0)
		explain_long(cli, element);
	else
		explain_short(cli, argc, argv, optopt);
	return '?';
}
