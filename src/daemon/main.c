/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/diag.h"
#include "base/text.h"
#include "config/config.h"
#include "daemon/certificate.h"
#include "daemon/daemon.h"
#include "daemon/state_folder.h"
#include "net/resolve.h"
#include "process/sandbox.h"

#define CAPTURE "camcast-capture"
#define PUSH "camcast-push"

struct arguments {
	const char *config;
	bool make_certificate;
	char certificate_folder[PATH_MAX];
	bool check, list_cameras;
	unsigned verbose; /* how often -v */
};

static void print_usage(FILE *out)
{
	fputs("usage: camcastd -c FILE\n"
	      "\n"
	      "Serves live video from cameras, as the configuration says.\n"
	      "\n"
	      "  -c, --config FILE   the configuration; see camcast.ini(5)\n"
	      "      --check         check the configuration and exit\n"
	      "      --help-config   print every key with its default, unit and range\n"
	      "      --make-certificate[=FOLDER]\n"
	      "                      make a certificate and a key for TLS, and exit; without "
	      "FOLDER\n"
	      "                      where camcastd keeps its state: $STATE_DIRECTORY, or\n"
	      "                      /var/lib/camcast for root, else ~/.local/state/camcast\n"
	      "      --list-cameras  print the cameras of this machine and what they can do\n"
	      "  -v, --verbose       also log details; -vv: details of the workers too\n"
	      "      --version       print the version\n"
	      "  -h, --help          print this text\n",
	      out);
}

/* Returns -1 to go on, or the exit status. */
static int parse_arguments(struct arguments *arguments, int argc, char **argv)
{
	enum { CHECK = 256, HELP_CONFIG, MAKE_CERTIFICATE, LIST_CAMERAS, VERSION };
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, CHECK},
		{"help-config", no_argument, NULL, HELP_CONFIG},
		{"make-certificate", optional_argument, NULL, MAKE_CERTIFICATE},
		{"list-cameras", no_argument, NULL, LIST_CAMERAS},
		{"verbose", no_argument, NULL, 'v'},
		{"version", no_argument, NULL, VERSION},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	static const struct cli cli = {"camcastd", "c:vh", options};
	int c;

	while ((c = cli_next(&cli, argc, argv)) >= 0) {
		switch (c) {
		case 'c':
			arguments->config = optarg;
			break;
		case 'v':
			arguments->verbose++;
			break;
		case CHECK:
			arguments->check = true;
			break;
		case MAKE_CERTIFICATE:
			arguments->make_certificate = true;
			if (optarg)
				text_set(arguments->certificate_folder, PATH_MAX, optarg);
			else
				state_folder(arguments->certificate_folder);
			break;
		case LIST_CAMERAS:
			arguments->list_cameras = true;
			break;
		case HELP_CONFIG:
			config_help(stdout);
			return EXIT_SUCCESS;
		case VERSION:
			puts("camcastd " CAMCAST_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			print_usage(stdout);
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		return cli_refuse(&cli,
				  "unexpected argument \"%s\"; the configuration is given with "
				  "-c FILE",
				  argv[optind]);
	if (!arguments->config && !arguments->list_cameras && !arguments->make_certificate)
		return cli_refuse(&cli, "no configuration is given; use -c FILE "
					"(\"camcastd --help\" lists the options)");
	return -1;
}

/* Finds a program of ours beside this one, else in PATH; out has PATH_MAX bytes. Without one, out
 * is the first place, for the error message. */
static void find_program(const char *name, char *out)
{
	const char *path = getenv("PATH");
	char beside[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
	char *slash;

	out[n > 0 ? n : 0] = '\0';
	slash = strrchr(out, '/');
	if (slash)
		slash[1] = '\0';
	snprintf(beside, sizeof beside, "%s%s", slash ? out : "", name);
	strcpy(out, beside);
	if (access(out, X_OK) == 0)
		return;
	while (path && *path) {
		size_t len = strcspn(path, ":");

		n = snprintf(out, PATH_MAX, "%.*s/%s", (int)len, path, name);
		if (len > 0 && n < PATH_MAX && access(out, X_OK) == 0)
			return;
		path += len;
		path += *path == ':';
	}
	strcpy(out, beside);
}

static int list_cameras(const char *capture)
{
	char *argv[] = {CAPTURE, "--list-cameras", NULL};

	execv(capture, argv);
	diag_error("cannot start %s: %m", capture);
	return EXIT_FAILURE;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* Reports that the configuration is valid, and which parts of it cannot work on this machine. The
 * figures are those of the file. */
static int check(const struct config *config, const char *path)
{
	size_t streams = 0, feeds = 0;

	config_probe(config, path, stderr);
	for (size_t i = 0; i < config->n_streams; i++)
		streams += !config->streams[i].implied;
	for (size_t i = 0; i < config->n_feeds; i++)
		feeds += config->feeds[i].n_listen > 0;
	printf("%s: ok: %zu camera%s, %zu stream%s, %zu feed%s\n", path, config->n_cameras,
	       plural(config->n_cameras), streams, plural(streams), feeds, plural(feeds));
	return EXIT_SUCCESS;
}

/* Signals are blocked before any thread starts, because threads inherit the mask. */
static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Takes config. */
static int run(struct config *config, const char *path, const char *text, size_t len,
	       const char *capture, const char *push, bool verbose_workers)
{
	struct daemon_options options = {
		.config = config,
		.text = text,
		.config_path = path,
		.len = len,
		.capture = capture,
		.push = push,
		.verbose_workers = verbose_workers,
	};
	struct daemon *daemon;
	int err = block_signals();

	/* A worker has the same user. */
	if (config->daemon.sandbox != CONFIG_SANDBOX_NO)
		sandbox_hide_memory();
	if (err == 0)
		err = daemon_create(&daemon, &options);
	if (err < 0) {
		diag_error("not started: %s", strerror(-err));
		config_destroy(config);
		return EXIT_FAILURE;
	}
	err = daemon_run(daemon);
	daemon_destroy(daemon);
	if (err < 0) {
		diag_error("the event loop failed: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	diag_info("stopped");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {0};
	char capture[PATH_MAX], push[PATH_MAX];
	struct config *config;
	char *text;
	size_t len;
	int ret = parse_arguments(&arguments, argc, argv);

	if (ret >= 0)
		return ret;
	diag_init("camcastd", arguments.verbose ? DIAG_DEBUG : DIAG_INFO);
	if (arguments.make_certificate)
		return certificate_make(arguments.certificate_folder) < 0 ? EXIT_FAILURE
									  : EXIT_SUCCESS;
	find_program(CAPTURE, capture);
	find_program(PUSH, push);
	/* For workers: lttng-ust, which libcamera links, reads the heads of all libraries before
	 * main(), with 20,000 system calls. Only a trace that resolves addresses needs that. */
	setenv("LTTNG_UST_WITHOUT_BADDR_STATEDUMP", "1", 0);
	if (arguments.list_cameras)
		return list_cameras(capture);
	if (config_load(&config, arguments.config, stderr, &text, &len) < 0)
		return EXIT_FAILURE;
	if (arguments.check) {
		ret = check(config, arguments.config);
		config_destroy(config);
	} else {
		if (config->daemon.capture[0])
			snprintf(capture, sizeof capture, "%s", config->daemon.capture);
		ret = run(config, arguments.config, text, len, capture, push,
			  arguments.verbose > 1);
	}
	free(text);
	if (resolve_is_running()) {
		fflush(NULL);
		_exit(ret);
	}
	return ret;
}
