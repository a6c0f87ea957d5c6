/* SPDX-License-Identifier: BSD-2-Clause */
/* `camcast passwd`: the hash of a password, for [user] in the configuration of camcastd. */
#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "client/client.h"

#define PASSWORD_MAX 256 /* bytes, terminator included; camcastd takes no longer one */

static void print_usage(FILE *out)
{
	fputs("usage: camcast passwd\n"
	      "\n"
	      "Asks for a password and prints its hash, for the key `password` of a section\n"
	      "[user NAME]. If standard input is no terminal, its first line is the password.\n"
	      "\n"
	      "  -h, --help  print this text\n",
	      out);
}

static int fail(const char *why)
{
	fprintf(stderr, "camcast passwd: %s\n", why);
	return -EINVAL;
}

/* A line of standard input, without its end. */
static int read_line(char line[PASSWORD_MAX])
{
	size_t len;

	if (!fgets(line, PASSWORD_MAX, stdin))
		return fail("there is no password");
	len = strcspn(line, "\r\n");
	if (line[len] == '\0' && len == PASSWORD_MAX - 1)
		return fail("the password is longer than 254 bytes");
	line[len] = '\0';
	return 0;
}

/* Shows a question, and not what is typed. */
static int ask(const char *question, char line[PASSWORD_MAX])
{
	struct termios old, silent;
	int err;

	if (tcgetattr(STDIN_FILENO, &old) < 0)
		return fail(strerror(errno));
	silent = old;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) < 0)
		return fail(strerror(errno));
	fputs(question, stderr);
	err = read_line(line);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
	fputc('\n', stderr);
	return err;
}

static int read_password(char password[PASSWORD_MAX])
{
	char again[PASSWORD_MAX];
	int err;

	if (!isatty(STDIN_FILENO))
		return read_line(password);
	err = ask("Password: ", password);
	if (err == 0)
		err = ask("Again: ", again);
	if (err == 0 && strcmp(password, again) != 0)
		err = fail("the two passwords differ");
	explicit_bzero(again, sizeof again);
	return err;
}

/* yescrypt, or what this system prefers where it does not know that. */
static int print_hash(const char *password)
{
	struct crypt_data *data = calloc(1, sizeof *data);
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *hash = NULL;

	if (data && (crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof setting) ||
		     crypt_gensalt_rn(NULL, 0, NULL, 0, setting, sizeof setting)))
		hash = crypt_r(password, setting, data);
	if (hash && hash[0] != '*')
		puts(hash);
	else
		hash = NULL;
	if (data)
		explicit_bzero(data, sizeof *data);
	free(data);
	return hash && fflush(stdout) == 0 ? 0 : fail("the hash cannot be made");
}

int cmd_passwd(int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	static const struct cli cli = {"camcast passwd", "h", options};
	char password[PASSWORD_MAX] = "";
	int err;

	switch (cli_next(&cli, argc, argv)) {
	case -1:
		break;
	case 'h':
		print_usage(stdout);
		return EXIT_SUCCESS;
	default:
		return EXIT_USAGE;
	}
	if (optind < argc) /* and it is not repeated: it may be the password */
		return cli_refuse(&cli, "the password is no argument, where others could see it");
	err = read_password(password);
	if (err == 0 && password[0] == '\0')
		err = fail("the password is empty");
	if (err == 0)
		err = print_hash(password);
	explicit_bzero(password, sizeof password);
	return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
