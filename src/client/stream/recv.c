/* SPDX-License-Identifier: BSD-2-Clause */
/* camcast recv: one stream to a file or a pipe. Only whole units are written, and the first one
 * after a gap is a key unit, so that any decoder can read the output. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/client.h"
#include "client/find/broker.h"
#include "client/interrupt.h"
#include "client/stream/reader.h"
#include "client/stream/target.h"
#include "media/sei.h"

#define BROKER_PATIENCE_US 5000000
#define SERVER_PATIENCE_US                                                                         \
	2000000 /* for a server that is not announced, once the broker is there */
#define POLL_MS 100
#define PROGRESS_US 1000000

struct target {
	char id[72]; /* "": a URL was given */
	char name[140];
	struct server_stream at;
};

/* The line on a terminal, written each second. */
struct progress {
	bool on, drawn;
	int64_t next_us;
	uint64_t units, bytes; /* when it was drawn last */
	int64_t drawn_us;
	bool has_sequence; /* the stream tells, so that losses can be counted */
	uint64_t sequence, lost, gaps;
};

struct recv {
	struct broker broker;
	char *wanted;
	const char *output;

	struct servers *servers; /* NULL: a URL was given */
	struct target target;
	struct reader *reader;
	enum reader_state state; /* as last told */
	bool out_told;		 /* that the connection is lost */
	int64_t lost_us;	 /* since when */
	int fd;
	bool regular;	/* a file, that can be cut */
	bool created;	/* the file was not there before */
	bool begun;	/* something has been written */
	uint64_t bytes; /* written, whole units only */
	struct progress progress;
};

static void print_usage(FILE *out)
{
	fputs("usage: camcast recv NAME|URL [-o FILE|-] [options]\n"
	      "\n"
	      "Writes one stream to a file or a pipe: H.264 as a byte stream, or JPEGs one after\n"
	      "another. NAME is a server's name or id, or NAME/STREAM. URL is tcp://HOST:PORT,\n"
	      "HOST:PORT or tcp+length://HOST:PORT, with tls for tcp where the server speaks TLS,\n"
	      "or rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH of any camera (rtsps:// over TLS), and\n"
	      "needs no broker.\n"
	      "\n"
	      "  -o, --output FILE         the file; - is the standard output, and the default\n"
	      "  -h, --help                print this\n",
	      out);
	broker_print_usage(out);
}

/* Returns -1 to go on, or the exit status. */
static int parse_arguments(struct recv *recv, int argc, char **argv)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		BROKER_OPTIONS,
		{0},
	};
	static const struct cli cli = {"camcast recv", "o:h", options};
	int c;

	while ((c = cli_next(&cli, argc, argv)) >= 0) {
		switch (c) {
		case 'o':
			recv->output = optarg;
			break;
		case 'h':
			print_usage(stdout);
			return EXIT_SUCCESS;
		default:
			if (broker_option(&recv->broker, c, optarg) < 0)
				return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return cli_refuse(&cli,
				  "name a server or a URL; \"camcast discover\" lists the servers");
	if (optind + 1 < argc)
		return cli_refuse(&cli,
				  "unexpected argument \"%s\"; one stream is received at a time",
				  argv[optind + 1]);
	recv->wanted = argv[optind];
	return -1;
}

/* --- telling --- */

static void clear_progress(struct progress *progress)
{
	if (progress->drawn)
		fputs("\r\033[K", stderr); /* ECMA-48: clear the line */
	progress->drawn = false;
}

static void tell(struct recv *recv, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct recv *recv, const char *format, ...)
{
	va_list ap;

	clear_progress(&recv->progress);
	fputs("camcast: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static const char *state_word(enum reader_state state)
{
	switch (state) {
	case READER_CONNECTING:
		return "connecting";
	case READER_WAITING_KEY:
		return "waiting for a key picture";
	case READER_PLAYING:
		return "";
	case READER_BACKOFF:
		break;
	}
	return "not connected";
}

static void draw_progress(struct recv *recv)
{
	struct progress *progress = &recv->progress;
	const struct reader_stats *stats = reader_stats(recv->reader);
	int64_t now_us = clock_now_us();
	double seconds = (double)(now_us - progress->drawn_us) / 1e6;
	const char *word = state_word(stats->state);

	if (!progress->on || now_us < progress->next_us)
		return;
	fprintf(stderr, "\r\033[K%s  %.1f fps  %.2f Mbit/s  %.1f MB  %llu %s%s%s",
		recv->target.name, (double)(stats->units - progress->units) / seconds,
		(double)(stats->bytes - progress->bytes) * 8 / seconds / 1e6,
		(double)recv->bytes / 1e6,
		(unsigned long long)(progress->has_sequence ? progress->lost : progress->gaps),
		progress->has_sequence ? "dropped" : "gaps", *word ? "  " : "", word);
	fflush(stderr);
	progress->drawn = true;
	progress->drawn_us = now_us;
	progress->next_us = now_us + PROGRESS_US;
	progress->units = stats->units;
	progress->bytes = stats->bytes;
}

/* Losses, as far as the stream tells. */
static void count_losses(struct progress *progress, const struct reader_unit *unit, bool first)
{
	struct sei_capture capture;

	progress->gaps += unit->discontinuity && !first;
	if (unit->codec != STREAM_H264 || !sei_find_capture(unit->data, unit->len, &capture))
		return;
	/* A new worker of the server begins again with its numbers. */
	if (progress->has_sequence && capture.sequence > progress->sequence)
		progress->lost += capture.sequence - progress->sequence - 1;
	progress->sequence = capture.sequence;
	progress->has_sequence = true;
}

/* Once when the connection is lost, and once when it is back. */
static void tell_state(struct recv *recv)
{
	const struct reader_stats *stats = reader_stats(recv->reader);
	enum reader_state state = stats->state;

	if (state == recv->state)
		return;
	recv->state = state;
	if (state == READER_BACKOFF && !recv->out_told) {
		tell(recv, "%s: %s; trying again", recv->target.name, stats->error);
		recv->out_told = true;
		recv->lost_us = clock_now_us();
	} else if (state == READER_PLAYING && recv->out_told) {
		tell(recv, "%s: receiving again after %.1f s", recv->target.name,
		     (double)(clock_now_us() - recv->lost_us) / 1e6);
		recv->out_told = false;
	}
}

/* --- finding the stream --- */

static int find_url(struct recv *recv)
{
	struct target *target = &recv->target;
	int err = target_take_argument(&recv->wanted, &target->at);

	if (err == -ENOENT)
		return err;
	if (err == 0)
		snprintf(target->name, sizeof target->name, "%.*s", (int)strcspn(recv->wanted, "#"),
			 recv->wanted);
	else
		tell(recv, "%s: " TARGET_HELP, recv->wanted);
	return err;
}

static void set_target(struct target *target, const struct server *server,
		       const struct server_stream *stream)
{
	snprintf(target->id, sizeof target->id, "%s", server->id);
	snprintf(target->name, sizeof target->name, "%.64s/%s", server->name, stream->name);
	target->at = *stream;
}

static int look_for(struct recv *recv, char *why, size_t why_size, char *state, size_t state_size)
{
	const struct server_stream *stream;
	const struct server *server;
	struct server *list;
	size_t n;
	int r = servers_snapshot(recv->servers, &list, &n, state, state_size);

	if (r < 0)
		return r;
	r = servers_find(list, n, recv->wanted, &server, &stream, why, why_size);
	if (r == 0)
		set_target(&recv->target, server, stream);
	free(list);
	return r;
}

/* Waits until the server is there, or it is certain that it is not. Not before all are known: there
 * may be two of that name. */
static int find_server(struct recv *recv)
{
	struct pollfd poll_fd = {.fd = servers_fd(recv->servers), .events = POLLIN};
	int64_t give_up_us = clock_now_us() + BROKER_PATIENCE_US;
	char why[1024] = "", state[256] = "";
	bool settled = false;

	for (;;) {
		bool known = servers_settled(recv->servers);
		int r = look_for(recv, why, sizeof why, state, sizeof state);

		if (r == -ENOMEM)
			return r;
		if (known && r != -ENOENT) {
			if (r < 0)
				tell(recv, "%s", why);
			return r;
		}
		if (known && !settled)
			give_up_us = clock_now_us() + SERVER_PATIENCE_US;
		settled = known;
		if (interrupted())
			return -EINTR;
		if (clock_now_us() > give_up_us ||
		    (!settled && servers_failures(recv->servers) > 0)) {
			/* The state may be younger than what we have. */
			look_for(recv, why, sizeof why, state, sizeof state);
			if (settled)
				tell(recv, "%s", why);
			else
				tell(recv,
				     "broker: %s; HOST:PORT or a URL names a stream without one",
				     state);
			return -ENOENT;
		}
		poll(&poll_fd, 1, POLL_MS);
	}
}

static int open_reader(struct recv *recv)
{
	const struct target *target = &recv->target;
	int r = reader_create(&recv->reader, &target->at);

	if (r < 0)
		tell(recv, "%s: %s", target->name,
		     r == -EINVAL && target->at.tls
			     ? "--cafile, --pin, --cert or --key cannot be used"
			     : strerror(-r));
	return r;
}

/* The server may have come back elsewhere: its id is what stays. */
static int follow_server(struct recv *recv)
{
	char wanted[160], why[64], state[8], url[TARGET_URL_MAX], now[TARGET_URL_MAX];
	const char *slash = strrchr(recv->target.name, '/');
	struct target old = recv->target;
	char *asked = recv->wanted;
	int r;

	snprintf(wanted, sizeof wanted, "%s%s", old.id, slash);
	recv->wanted = wanted;
	r = look_for(recv, why, sizeof why, state, sizeof state);
	recv->wanted = asked;
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (strcmp(target_url(&old.at, url), target_url(&recv->target.at, now)) == 0 &&
	    old.at.codec == recv->target.at.codec)
		return 0;
	tell(recv, "%s is now at %s port %u", recv->target.name, recv->target.at.host,
	     recv->target.at.port);
	reader_destroy(recv->reader);
	recv->reader = NULL;
	return open_reader(recv);
}

/* --- writing --- */

static const char *output_name(const struct recv *recv)
{
	return recv->output ? recv->output : "the standard output";
}

/* Opened before anything else is done, but emptied only when there is something to write. */
static int open_output(struct recv *recv)
{
	const int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY;
	struct stat st;

	if (recv->output && strcmp(recv->output, "-") == 0)
		recv->output = NULL;
	recv->fd = STDOUT_FILENO;
	if (!recv->output && isatty(STDOUT_FILENO)) {
		tell(recv, "the standard output is a terminal; give a file with -o, or a pipe");
		return -EINVAL;
	}
	if (recv->output) {
		recv->fd = open(recv->output, flags | O_CREAT | O_EXCL, 0666);
		recv->created = recv->fd >= 0;
		if (recv->fd < 0 && errno == EEXIST)
			recv->fd = open(recv->output, flags | O_CREAT, 0666);
	}
	if (recv->fd < 0 || fstat(recv->fd, &st) < 0) {
		int err = -errno;

		if (!interrupted())
			tell(recv, "%s: %s", output_name(recv), strerror(-err));
		return err;
	}
	recv->regular = recv->output && S_ISREG(st.st_mode);
	return 0;
}

/* Returns 0; -EPIPE: nobody reads any more; -EINTR: the user wants to end; -errno, told. */
static int write_unit(struct recv *recv, const uint8_t *data, size_t len)
{
	size_t done = 0;

	if (!recv->begun && recv->regular && ftruncate(recv->fd, 0) < 0) {
		int err = -errno;

		tell(recv, "%s: %s", output_name(recv), strerror(-err));
		return err;
	}
	recv->begun = true;
	while (done < len) {
		ssize_t n = write(recv->fd, data + done, len - done);

		if (n >= 0) {
			done += (size_t)n;
			continue;
		}
		if (errno == EAGAIN) { /* somebody made the pipe non-blocking */
			struct pollfd poll_fd = {.fd = recv->fd, .events = POLLOUT};

			poll(&poll_fd, 1, POLL_MS);
		} else if (errno != EINTR) {
			int err = -errno;

			/* The file keeps whole units only. */
			if (recv->regular && ftruncate(recv->fd, (off_t)recv->bytes) < 0)
				tell(recv, "%s: its last picture is cut off", output_name(recv));
			if (err != -EPIPE)
				tell(recv, "%s: %s; %llu bytes were written", output_name(recv),
				     strerror(-err), (unsigned long long)recv->bytes);
			return err;
		}
		if (interrupted())
			return -EINTR;
	}
	recv->bytes += len;
	return 0;
}

/* All units that have come. Returns 0 or as write_unit(). */
static int copy_units(struct recv *recv)
{
	struct reader_unit unit;
	int r = 0;

	while (!interrupted() && (r = reader_next(recv->reader, &unit, 0)) > 0) {
		count_losses(&recv->progress, &unit, recv->bytes == 0);
		r = write_unit(recv, unit.data, unit.len);
		if (r < 0)
			return r;
		tell_state(recv);
		draw_progress(recv);
	}
	return r;
}

static int copy(struct recv *recv)
{
	int r = open_reader(recv);

	recv->progress.on = isatty(STDERR_FILENO);
	recv->progress.drawn_us = clock_now_us();
	recv->progress.next_us = recv->progress.drawn_us + PROGRESS_US;
	recv->state = READER_CONNECTING;
	while (r == 0 && !interrupted()) {
		struct pollfd fds[] = {
			{.fd = reader_fd(recv->reader), .events = POLLIN},
			{.fd = recv->fd}, /* POLLERR: nobody reads the pipe */
			{.fd = recv->servers ? servers_fd(recv->servers) : -1, .events = POLLIN},
		};

		if (poll(fds, 3, POLL_MS) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents & POLLERR)
			return -EPIPE;
		if (fds[2].revents)
			r = follow_server(recv);
		if (r == 0)
			r = copy_units(recv);
		if (r < 0)
			return r;
		tell_state(recv);
		draw_progress(recv);
	}
	return r;
}

/* Returns 0 or -errno, told. */
static int run(struct recv *recv)
{
	int r = find_url(recv);

	if (r == -ENOENT) {
		r = servers_create(&recv->servers, &recv->broker.options);
		if (r < 0)
			tell(recv, "%s",
			     r == -EINVAL ? "--request-topic is no topic" : strerror(-r));
	}
	if (r == 0)
		r = open_output(recv);
	if (r == 0 && recv->servers)
		r = find_server(recv);
	if (r == 0)
		r = copy(recv);
	if (recv->progress.drawn)
		fputc('\n', stderr);
	if (recv->created && !recv->begun)
		unlink(recv->output);
	if (recv->output && recv->fd >= 0 && close(recv->fd) < 0 && r == 0) {
		r = -errno;
		tell(recv, "%s: %s", output_name(recv), strerror(-r));
	}
	return r;
}

int cmd_recv(int argc, char **argv)
{
	struct recv recv = {.fd = -1};
	int r;

	broker_init(&recv.broker);
	r = parse_arguments(&recv, argc, argv);
	if (r >= 0)
		return r;
	interrupt_init();
	r = run(&recv);
	reader_destroy(recv.reader);
	servers_destroy(recv.servers);
	return r == 0 || r == -EPIPE || r == -EINTR ? EXIT_SUCCESS : EXIT_FAILURE;
}
