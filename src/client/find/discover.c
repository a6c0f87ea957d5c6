/* SPDX-License-Identifier: BSD-2-Clause */
/* camcast discover: the list of servers, once or continuously. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/quantity.h"
#include "client/client.h"
#include "client/find/broker.h"
#include "client/find/forget.h"
#include "client/find/show.h"
#include "client/interrupt.h"

#define BROKER_PATIENCE_US 5000000 /* until the broker is connected to */
#define ANSWERS_US 400000	   /* for those that answer, but do not announce themselves */
#define POLL_MS 200
#define SECOND_US 1000000
#define TIMEOUT_MAX_US (1000000LL * SECOND_US)

struct discover {
	struct broker broker;
	bool watch, json;
	double timeout_s;      /* < 0: not given */
	const char *forgotten; /* id; NULL: servers are listed */
	bool force;	       /* it is forgotten although it is announced as online */

	struct servers *servers;
	struct server *list; /* those that are online, as last shown */
	size_t n;
	char state[256];
	bool screen; /* watching on a terminal */
};

static void print_usage(FILE *out)
{
	fputs("usage: camcast discover [--timeout TIME | --watch] [--json] [options]\n"
	      "       camcast discover --forget ID [options]\n"
	      "\n"
	      "Lists the servers and their streams.\n"
	      "\n"
	      "      --watch               keep running, and print servers that appear, change or\n"
	      "                            leave\n"
	      "      --timeout TIME        listen for this time, such as 5s (default: until the\n"
	      "                            broker has sent everything that it knows)\n"
	      "  -j, --json                print JSON; with --watch, one object a line\n"
	      "      --forget ID           remove what a server that is gone left at the broker,\n"
	      "                            also its entities in Home Assistant\n"
	      "      --force               with --forget: also if it is announced as online and\n"
	      "                            only does not answer\n"
	      "  -h, --help                print this help\n",
	      out);
	broker_print_usage(out);
}

/* Returns -1 to go on, or the exit status. */
static int parse_arguments(struct discover *discover, int argc, char **argv)
{
	enum { WATCH = 256, TIMEOUT, FORGET, FORCE };
	static const struct option options[] = {
		{"watch", no_argument, NULL, WATCH},
		{"timeout", required_argument, NULL, TIMEOUT},
		{"json", no_argument, NULL, 'j'},
		{"forget", required_argument, NULL, FORGET},
		{"force", no_argument, NULL, FORCE},
		{"help", no_argument, NULL, 'h'},
		BROKER_OPTIONS,
		{0},
	};
	static const struct cli cli = {"camcast discover", "jh", options};
	int64_t timeout_us;
	int c;

	while ((c = cli_next(&cli, argc, argv)) >= 0) {
		switch (c) {
		case WATCH:
			discover->watch = true;
			break;
		case TIMEOUT:
			if (quantity_parse_time(optarg, SECOND_US, &timeout_us) < 0 ||
			    timeout_us <= 0 || timeout_us > TIMEOUT_MAX_US)
				return cli_refuse(&cli,
						  "--timeout %s: use a time such as 5, 0.5s or 1m",
						  optarg);
			discover->timeout_s = (double)timeout_us / SECOND_US;
			break;
		case 'j':
			discover->json = true;
			break;
		case FORGET:
			discover->forgotten = optarg;
			break;
		case FORCE:
			discover->force = true;
			break;
		case 'h':
			print_usage(stdout);
			return EXIT_SUCCESS;
		default:
			if (broker_option(&discover->broker, c, optarg) < 0)
				return EXIT_USAGE;
		}
	}
	if (discover->force && !discover->forgotten)
		return cli_refuse(&cli, "--force goes with --forget ID");
	if (optind < argc)
		return cli_refuse(&cli, "unexpected argument \"%s\"; all servers are listed",
				  argv[optind]);
	return -1;
}

/* --- what changed --- */

static const struct server *find(const struct server *list, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].id, id) == 0)
			return &list[i];
	return NULL;
}

static void print_event(const struct discover *discover, const char *event,
			const struct server *server)
{
	char format[SHOW_FORMAT_MAX], url[TARGET_URL_MAX];

	if (discover->json) {
		cJSON *json = cJSON_CreateObject();
		char *text;

		cJSON_AddStringToObject(json, "event", event);
		cJSON_AddItemToObject(json, "server", show_json(server));
		text = cJSON_PrintUnformatted(json);
		if (text)
			puts(text);
		cJSON_free(text);
		cJSON_Delete(json);
		return;
	}
	printf("%s: %s (%s)", event, server->name, server->id);
	for (size_t i = 0; server->online && i < server->n_streams; i++)
		printf("%s %s: %s, %s", i ? ";" : "", server->streams[i].name,
		       show_format(&server->streams[i], format),
		       target_url(&server->streams[i], url));
	putchar('\n');
}

static void print_events(const struct discover *discover, const struct server *list, size_t n)
{
	for (size_t i = 0; i < discover->n; i++)
		if (!find(list, n, discover->list[i].id)) {
			struct server gone = discover->list[i];

			gone.online = false;
			print_event(discover, "left", &gone);
		}
	for (size_t i = 0; i < n; i++) {
		const struct server *old = find(discover->list, discover->n, list[i].id);

		if (!old)
			print_event(discover, "appeared", &list[i]);
		else if (!server_equal(old, &list[i]))
			print_event(discover, "changed", &list[i]);
	}
}

static void draw_screen(const struct discover *discover, const struct server *list, size_t n)
{
	struct winsize size;
	size_t rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;

	fputs("\033[H\033[2J", stdout); /* ECMA-48: cursor home, clear the screen */
	printf("%s; %zu server%s\n", discover->state, n, n == 1 ? "" : "s");
	if (n > 0)
		show_table(stdout, list, n, rows > 4 ? rows - 2 : 0);
}

/* Takes a new snapshot, and shows what is new where one watches. */
static int look(struct discover *discover, bool show)
{
	struct server *list;
	size_t n, online = 0;
	int err = servers_snapshot(discover->servers, &list, &n, discover->state,
				   sizeof discover->state);

	if (err < 0)
		return err;
	for (size_t i = 0; i < n; i++)
		if (list[i].online)
			list[online++] = list[i];
	if (show && discover->screen)
		draw_screen(discover, list, online);
	else if (show)
		print_events(discover, list, online);
	free(discover->list);
	discover->list = list;
	discover->n = online;
	return show && fflush(stdout) != 0 ? -errno : 0;
}

/* Waits for a change, at most until `until_us`. Returns -EPIPE when nobody reads our output. */
static int wait_for_change(const struct discover *discover, int64_t until_us)
{
	struct pollfd fds[] = {{.fd = servers_fd(discover->servers), .events = POLLIN},
			       {.fd = STDOUT_FILENO}};
	int64_t left_ms = (until_us - clock_now_us()) / 1000 + 1;

	if (poll(fds, 2,
		 left_ms > POLL_MS ? POLL_MS
		 : left_ms < 0	   ? 0
				   : (int)left_ms) < 0 &&
	    errno != EINTR)
		return -errno;
	return fds[1].revents & POLLERR ? -EPIPE : fds[0].revents != 0;
}

static int watch(struct discover *discover, int64_t end_us)
{
	int r = look(discover, true);

	while (r >= 0 && !interrupted() && clock_now_us() < end_us) {
		r = wait_for_change(discover, end_us);
		if (r > 0)
			r = look(discover, true);
	}
	return r;
}

/* Listens until the broker has told all and answers have had their time, or until end_us where that
 * was asked for. */
static int listen_once(struct discover *discover, int64_t end_us)
{
	int64_t connect_us = clock_now_us() + BROKER_PATIENCE_US;
	bool settled = false;
	int r = 0;

	while (r >= 0 && !interrupted() && clock_now_us() < end_us) {
		if (!settled && servers_settled(discover->servers)) {
			settled = true;
			if (discover->timeout_s < 0)
				end_us = clock_now_us() + ANSWERS_US;
		}
		if (!settled &&
		    (servers_failures(discover->servers) > 0 ? discover->timeout_s < 0
							     : clock_now_us() > connect_us))
			break;
		r = wait_for_change(discover,
				    settled || discover->timeout_s > 0 ? end_us : connect_us);
		if (r > 0)
			r = look(discover, false);
	}
	if (r >= 0 && (r = look(discover, false)) >= 0 && !settled)
		r = -ENOTCONN;
	return r;
}

/* Says what the list does not have. */
static void print_refused(const struct discover *discover)
{
	uint64_t refused[TRUST_VERDICTS], n = 0;

	servers_refused(discover->servers, refused);
	for (size_t i = 0; i < TRUST_VERDICTS; i++)
		n += refused[i];
	if (n > 0)
		fprintf(stderr,
			"camcast: %" PRIu64 " announcement%s refused: %" PRIu64
			" not signed, %" PRIu64 " with a wrong signature, %" PRIu64
			" with another key, %" PRIu64 " sent again, %" PRIu64
			" of servers that are not trusted\n",
			n, n == 1 ? " was" : "s were", refused[TRUST_UNSIGNED],
			refused[TRUST_WRONG], refused[TRUST_CHANGED], refused[TRUST_REPLAYED],
			refused[TRUST_UNKNOWN] + refused[TRUST_FULL]);
}

static int print_list(const struct discover *discover)
{
	cJSON *json;
	char *text;

	if (!discover->json) {
		if (discover->n > 0)
			show_table(stdout, discover->list, discover->n, 0);
		return fflush(stdout) != 0 ? -errno : 0;
	}
	json = cJSON_CreateArray();
	for (size_t i = 0; i < discover->n; i++)
		cJSON_AddItemToArray(json, show_json(&discover->list[i]));
	text = cJSON_Print(json);
	cJSON_Delete(json);
	if (!text)
		return -ENOMEM;
	puts(text);
	cJSON_free(text);
	return fflush(stdout) != 0 ? -errno : 0;
}

static int run(struct discover *discover)
{
	int64_t end_us = discover->timeout_s > 0
				 ? clock_now_us() + llround(discover->timeout_s * 1e6)
				 : INT64_MAX;
	int r;

	if (discover->watch)
		return watch(discover, end_us);
	r = listen_once(discover, end_us);
	if (r == -ENOTCONN) {
		fprintf(stderr, "camcast: broker: %s\n", discover->state);
		return -ENOTCONN;
	}
	if (r >= 0)
		r = print_list(discover);
	print_refused(discover);
	if (r == 0 && discover->n == 0) {
		fprintf(stderr, "camcast: no server was found (%s)\n", discover->state);
		return -ENOENT;
	}
	return r;
}

int cmd_discover(int argc, char **argv)
{
	struct discover discover = {.timeout_s = -1};
	int r;

	broker_init(&discover.broker);
	r = parse_arguments(&discover, argc, argv);
	if (r >= 0)
		return r;
	if (broker_check(&discover.broker) < 0)
		return EXIT_USAGE;
	interrupt_init();
	if (discover.forgotten) {
		r = forget_server(&discover.broker.options, discover.forgotten, discover.force);
		return r == 0 ? EXIT_SUCCESS : r == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	}
	discover.screen = discover.watch && !discover.json && isatty(STDOUT_FILENO);
	r = servers_create(&discover.servers, &discover.broker.options);
	if (r < 0) {
		fprintf(stderr, "camcast: %s\n",
			r == -EINVAL ? "--request-topic: this is not a valid topic" : strerror(-r));
		return r == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	}
	r = run(&discover);
	if (r < 0 && r != -EPIPE && r != -ENOTCONN && r != -ENOENT)
		fprintf(stderr, "camcast: %s\n", strerror(-r));
	servers_destroy(discover.servers);
	free(discover.list);
	return r >= 0 || r == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE;
}
