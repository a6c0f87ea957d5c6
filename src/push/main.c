/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * camcast-push: sends one stream of camcastd to one place, until the connection ends.
 * include/camcast/push.h has its descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/diag.h"
#include "push/confine.h"
#include "push/push.h"

static const char usage[] =
	"usage: camcast-push --version\n"
	"\n"
	"Sends a stream to a server by RTMP, RTSP or SRT. camcastd starts this program for each\n"
	"destination of the key \"push\", with a socket on file descriptor 3 and the URL on 4.\n"
	"\n"
	"  -v, --verbose   log what the libraries say\n"
	"      --version   print the version\n"
	"  -h, --help      print this text\n";

enum { OPTION_VERSION = 256, OPTION_NO_SANDBOX };

static const struct option long_options[] = {
	{"verbose", no_argument, NULL, 'v'},
	{"no-sandbox", no_argument, NULL, OPTION_NO_SANDBOX},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static const struct cli cli = {"camcast-push", "vh", long_options};

struct arguments {
	bool verbose, no_sandbox;
};

/* An exit status, or -1: the program goes on. */
static int parse_arguments(struct arguments *arguments, int argc, char **argv)
{
	int c;

	while ((c = cli_next(&cli, argc, argv)) >= 0) {
		switch (c) {
		case 'v':
			arguments->verbose = true;
			break;
		case OPTION_NO_SANDBOX:
			arguments->no_sandbox = true;
			break;
		case OPTION_VERSION:
			puts("camcast-push " CAMCAST_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		return cli_refuse(&cli, "unexpected argument \"%s\"", argv[optind]);
	return -1;
}

/* The URL in the memfd, which is closed. False: there is none. */
static bool read_url(char url[PUSH_URL_MAX])
{
	ssize_t n = pread(CAMCAST_PUSH_URL_FD, url, PUSH_URL_MAX - 1, 0);

	if (n <= 0)
		return false;
	url[n] = '\0';
	close(CAMCAST_PUSH_URL_FD);
	return true;
}

static bool is_pair(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
	       fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {0};
	static char url[PUSH_URL_MAX];
	struct push_url parsed;
	int code = parse_arguments(&arguments, argc, argv);

	if (code >= 0)
		return code;
	diag_init("camcast-push", arguments.verbose ? DIAG_DEBUG : DIAG_INFO);
	if (!is_pair(CAMCAST_PUSH_FD) || !read_url(url) || push_url_parse(&parsed, url))
		return cli_refuse(&cli, "this program is for camcastd, which passes a socket and a "
					"URL to it");
	diag_set_relayed();
	signal(SIGPIPE, SIG_IGN);
	confine_push(&parsed, arguments.no_sandbox);
	return push_run(CAMCAST_PUSH_FD, url);
}
