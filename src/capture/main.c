/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * camcast-capture: one camera, its encoders and logs. camcastd starts it with --worker; by hand it
 * writes a stream to a file, or lists the cameras.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/diag.h"
#include "base/quantity.h"
#include "camcast/worker.h"
#include "capture/capture.h"
#include "capture/confine.h"
#include "capture/source/program.h"
#include "capture/tap.h"
#include "config/config.h"
#include "wrapper/camera.h"

#define SECOND_US 1000000

struct arguments {
	const char *config, *camera, *stream, *framing, *output;
	double seconds; /* 0: no end */
	bool worker, no_sandbox, list, verbose;
};

static const char usage[] =
	"usage: camcast-capture -c FILE [--camera NAME] [--stream NAME] [--framing NAME]\n"
	"                       -o FILE|- [-t TIME] [-v]\n"
	"       camcast-capture --list-cameras\n"
	"       camcast-capture --version\n"
	"\n"
	"Captures from a camera of the configuration, and writes one of its streams to FILE.\n"
	"camcastd starts this program with --worker and a socket on file descriptor 3.\n"
	"\n"
	"  -c, --config FILE    the configuration, as for camcastd\n"
	"      --camera NAME    the camera; the default is the first one\n"
	"      --stream NAME    the stream; the default is the camera's first one\n"
	"      --framing NAME   annexb, length_prefixed, mp4, mp4_ws, mpegts, rtp or rtp_ts of a "
	"stream of\n"
	"                       H.264; length_prefixed, jpeg, multipart, multipart_early or\n"
	"                       rtp_jpeg of MJPEG; the default is the first one that has an\n"
	"                       address, else the first one\n"
	"  -o, --output FILE    the file to write; - is standard output\n"
	"  -t, --time TIME      stop after this time, such as 10, 0.5s or 1m\n"
	"  -v, --verbose        print the rates every second\n"
	"      --list-cameras   print the cameras that libcamera finds: id, model, formats, "
	"controls\n"
	"      --version        print the version\n"
	"  -h, --help           print this text\n"
	"\n"
	"Exit status: 0 stopped on request, 1 out of resources or failed to write, 2 wrong usage "
	"or\n"
	"configuration, 3 cannot open the camera, 4 lost the camera.\n";

enum {
	OPTION_CAMERA = 256,
	OPTION_STREAM,
	OPTION_FRAMING,
	OPTION_WORKER,
	OPTION_NO_SANDBOX,
	OPTION_LIST,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"camera", required_argument, NULL, OPTION_CAMERA},
	{"stream", required_argument, NULL, OPTION_STREAM},
	{"framing", required_argument, NULL, OPTION_FRAMING},
	{"output", required_argument, NULL, 'o'},
	{"time", required_argument, NULL, 't'},
	{"verbose", no_argument, NULL, 'v'},
	{"worker", no_argument, NULL, OPTION_WORKER},
	{"no-sandbox", no_argument, NULL, OPTION_NO_SANDBOX},
	{"list-cameras", no_argument, NULL, OPTION_LIST},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool parse_seconds(const char *text, double *out)
{
	int64_t us;

	if (quantity_parse_time(text, SECOND_US, &us) < 0 || us <= 0)
		return false;
	*out = (double)us / SECOND_US;
	return *out < 1e9;
}

/* -1: go on; else the exit code. */
static int parse_arguments(struct arguments *arguments, int argc, char **argv)
{
	static const struct cli cli = {"camcast-capture", "c:o:t:vh", long_options};
	int option;

	while ((option = cli_next(&cli, argc, argv)) != -1) {
		switch (option) {
		case 'c':
			arguments->config = optarg;
			break;
		case 'o':
			arguments->output = optarg;
			break;
		case 't':
			if (parse_seconds(optarg, &arguments->seconds))
				break;
			cli_refuse(&cli, "-t %s: use a time such as 10, 0.5s or 1m", optarg);
			return CAPTURE_USAGE;
		case 'v':
			arguments->verbose = true;
			break;
		case OPTION_CAMERA:
			arguments->camera = optarg;
			break;
		case OPTION_STREAM:
			arguments->stream = optarg;
			break;
		case OPTION_FRAMING:
			arguments->framing = optarg;
			break;
		case OPTION_WORKER:
			arguments->worker = true;
			break;
		case OPTION_NO_SANDBOX:
			arguments->no_sandbox = true;
			break;
		case OPTION_LIST:
			arguments->list = true;
			break;
		case OPTION_VERSION:
			puts("camcast-capture " CAMCAST_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return CAPTURE_USAGE;
		}
	}
	if (arguments->list)
		return -1;
	if (optind < argc)
		cli_refuse(&cli, "unexpected argument \"%s\"", argv[optind]);
	else if (!arguments->config)
		cli_refuse(&cli, "no configuration is given; use -c FILE");
	else if (arguments->worker && (arguments->output || !arguments->camera))
		cli_refuse(&cli, "--worker needs --camera NAME, and no --output");
	else if (!arguments->worker && !arguments->output)
		cli_refuse(&cli,
			   "no output is given; use -o FILE, or -o - for the standard output");
	else
		return -1;
	return CAPTURE_USAGE;
}

static int list_cameras(void)
{
	struct camera_manager *manager;
	int r;

	r = camera_manager_open(&manager);
	if (r == 0) {
		r = camera_manager_print(manager, stdout);
		camera_manager_close(manager);
	}
	if (r < 0)
		fprintf(stderr, "camcast-capture: %s\n", camera_error());
	return r < 0 ? CAPTURE_NO_CAMERA : 0;
}

/* Index of the named camera; without a name, of the named stream's camera, or of the first. -1
 * after a log line. */
static int find_camera(const struct config *config, const struct arguments *arguments)
{
	for (size_t i = 0; i < config->n_streams; i++) {
		if (!arguments->camera && arguments->stream &&
		    strcmp(config->streams[i].name, arguments->stream) == 0)
			return (int)config->streams[i].camera;
	}
	for (size_t i = 0; i < config->n_cameras; i++) {
		if (!arguments->camera || strcmp(config->cameras[i].name, arguments->camera) == 0)
			return (int)i;
	}
	diag_error("%s has no [camera %s]", arguments->config,
		   arguments->camera ? arguments->camera : "NAME");
	return -1;
}

static int find_stream(const struct config *config, const struct arguments *arguments, int camera)
{
	for (size_t i = 0; i < config->n_streams; i++) {
		if (config->streams[i].camera == (unsigned)camera &&
		    (!arguments->stream || strcmp(config->streams[i].name, arguments->stream) == 0))
			return (int)i;
	}
	diag_error("%s has no [stream %s] of camera %s", arguments->config,
		   arguments->stream ? arguments->stream : "NAME", config->cameras[camera].name);
	return -1;
}

/* The feed of this framing; without one, the first feed with an address, else the first one. -1
 * after a log line. */
static int find_feed(const struct config *config, const char *framing, int stream)
{
	int first = -1;

	for (size_t i = 0; i < config->n_feeds; i++) {
		const struct config_feed *feed = &config->feeds[i];

		if (feed->stream != (unsigned)stream)
			continue;
		if (framing ? strcmp(framing, config_framing_name(feed->framing)) == 0
			    : feed->n_listen > 0)
			return (int)i;
		if (first < 0)
			first = (int)i;
	}
	if (!framing)
		return first;
	diag_error("stream %s has no framing \"%s\"; --help lists them",
		   config->streams[stream].name, framing);
	return -1;
}

static int open_output(const char *path)
{
	int fd;

	if (strcmp(path, "-") == 0)
		return dup(STDOUT_FILENO);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		diag_error("%s: %s", path, strerror(errno));
	return fd;
}

/* Starts the process that starts the camera's program, if it has one. 0 or -errno. */
static int launch(struct capture_options *options, bool confined, int close_fd)
{
	const struct config_camera *camera = &options->config->cameras[options->camera];

	if (config_source_kind(camera->source, NULL) != CONFIG_SOURCE_EXEC)
		return 0;
	return program_launch(&options->program, camera, confined, close_fd);
}

static int run_by_hand(const struct config *config, const struct arguments *arguments, int camera)
{
	struct capture_options options = {.config = config, .camera = (unsigned)camera};
	struct tap tap = {.duration_us = (int64_t)(arguments->seconds * 1e6)};
	struct guard guard;
	int stream = find_stream(config, arguments, camera);
	int feed = stream < 0 ? -1 : find_feed(config, arguments->framing, stream);
	int ends[2], code = CAPTURE_BROKEN, r;

	if (feed < 0)
		return CAPTURE_USAGE;
	tap.stream = config->streams[stream].number;
	tap.feed = config->feeds[feed].number;
	tap.framing = config->feeds[feed].framing;
	tap.out_fd = open_output(arguments->output);
	if (tap.out_fd < 0)
		return code;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		diag_error("socketpair: %s", strerror(errno));
		goto close_output;
	}
	tap.pair = ends[0];
	options.pair = ends[1];
	options.only_stream = stream;
	options.guard = &guard;
	options.sandbox = "";
	r = launch(&options, false, ends[0]);
	if (r < 0)
		goto close_pair;
	r = guard_init(&guard, ends[1]);
	if (r < 0)
		goto finish_program;
	r = tap_start(&tap);
	if (r < 0)
		goto finish_guard;
	code = (int)capture_run(&options);
	shutdown(ends[1], SHUT_RDWR); /* the guard waits on it, and would keep it open */
	close(ends[1]);
	ends[0] = ends[1] = -1; /* the other one is the tap's */
	if (tap_finish(&tap) < 0 && code == CAPTURE_STOPPED)
		code = CAPTURE_BROKEN;
finish_guard:
	guard_finish(&guard);
finish_program:
	program_finish(options.program);
close_pair:
	if (r < 0)
		diag_error("starting a thread: %s", strerror(-r));
	if (ends[0] >= 0) {
		close(ends[0]);
		close(ends[1]);
	}
close_output:
	close(tap.out_fd);
	return code;
}

static int run_worker(const struct config *config, int camera, bool no_sandbox)
{
	struct capture_options options = {
		.config = config,
		.camera = (unsigned)camera,
		.only_stream = -1,
		.pair = CAMCAST_WORKER_FD,
	};
	char sandbox[SANDBOX_STATE_MAX];
	struct guard guard;
	int type, r, code;
	socklen_t len = sizeof(type);

	if (getsockopt(options.pair, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    type != SOCK_SEQPACKET) {
		diag_error("--worker is for camcastd, which passes a socket as file descriptor %d",
			   options.pair);
		return CAPTURE_USAGE;
	}
	if (fcntl(options.pair, F_SETFD, FD_CLOEXEC) < 0)
		return CAPTURE_BROKEN;
	sandbox_raise_oom_score();
	r = launch(&options, !no_sandbox, options.pair);
	if (r < 0) {
		diag_error("starting a process: %s", strerror(-r));
		return CAPTURE_BROKEN;
	}
	confine_worker(&config->cameras[camera], no_sandbox, sandbox);
	options.sandbox = sandbox;
	r = guard_init(&guard, options.pair);
	if (r < 0) {
		diag_error("starting a thread: %s", strerror(-r));
		program_finish(options.program);
		return CAPTURE_BROKEN;
	}
	options.guard = &guard;
	code = (int)capture_run(&options);
	program_finish(options.program);
	guard_finish(&guard);
	return code;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct config *config;
	int code, camera;

	/* The program of a camera with exec:, started by the launcher. */
	if (argc > 3 && strcmp(argv[1], "--program") == 0) {
		diag_init("camcast-capture", DIAG_INFO);
		diag_set_relayed();
		return program_main(argc - 2, argv + 2);
	}
	code = parse_arguments(&arguments, argc, argv);
	if (code >= 0)
		return code;
	diag_init("camcast-capture", arguments.verbose ? DIAG_DEBUG : DIAG_INFO);
	if (arguments.worker)
		diag_set_relayed();
	/* A closed pipe on -o - and RLIMIT_FSIZE are errors of write(), instead of signals that
	 * kill. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (arguments.list)
		return list_cameras();
	if (config_load(&config, arguments.config, stderr, NULL, NULL) < 0)
		return CAPTURE_USAGE;
	camera = find_camera(config, &arguments);
	if (camera < 0)
		code = CAPTURE_USAGE;
	else if (arguments.worker)
		code = run_worker(config, camera, arguments.no_sandbox);
	else
		code = run_by_hand(config, &arguments, camera);
	config_destroy(config);
	return code;
}
