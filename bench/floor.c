/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The floor: the CPU time that the kernel needs to send the same bytes to N sockets, and nothing
 * else. It waits for N connections, then sends a unit of a fixed size to each at a fixed rate, in
 * one of six ways, of which the last three are over UDP (bench/lib/rtp_sender.h): the clients are
 * then players of RTSP, which say their ports first. It ends after --seconds or when a client
 * leaves, and prints as JSON its own CPU time per client and timed unit. It has no index, no policy
 * and no accounting: the time that a server needs beyond this is the server's own cost.
 *
 * floor --mode send|sendfile|uring|sendto|gso|gso-connected --clients N --size BYTES|--footage
 * FILE.h264
 *       [--rate 30] [--seconds 5] [--host 127.0.0.1] [--port 0] [--warm-up 1]
 *
 * With --footage it composes each unit, with the SEI of camcast/sei.h, when the unit is due. That
 * is one memcpy() a unit, into a ring whose bytes change long after all clients have read them.
 *
 * The first line on stdout is "listening on PORT".
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/lib/footage.h"
#include "bench/lib/pace.h"
#include "bench/lib/rtp_sender.h"
#include "bench/lib/rtsp_host.h"
#include "bench/lib/unit.h"
#include "net/listen.h"

/* From MODE_SENDTO on in the order of enum rtp_sender_way. */
enum mode { MODE_SEND, MODE_SENDFILE, MODE_URING, MODE_SENDTO, MODE_GSO, MODE_GSO_CONNECTED };

static const char *const mode_names[] = {"send",   "sendfile", "uring",
					 "sendto", "gso",      "gso-connected"};

#define MODES (sizeof(mode_names) / sizeof(*mode_names))

#define RING_ENTRIES 256
#define FOOTAGE_RING (64u << 20) /* bytes: a minute at 8 Mbit/s */

struct floor {
	enum mode mode;
	unsigned clients;
	size_t size;		/* of this unit */
	size_t at, room;	/* where it is in the memfd; bytes of that */
	struct footage footage; /* n 0: none */
	double rate, seconds, warm_up;
	int *fds;
	int memfd;    /* the units, for sendfile */
	uint8_t *map; /* the same bytes */
	struct io_uring ring;
	struct rtp_sender *sender;	   /* over UDP */
	unsigned long whole, cut, refused; /* sends that took all, some, none */
	bool left;			   /* a client has left: the run is over */
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void count(struct floor *bench, ssize_t result)
{
	if (result == (ssize_t)bench->size)
		bench->whole++;
	else if (result > 0)
		bench->cut++;
	else if (result == -EAGAIN)
		bench->refused++;
	else
		bench->left = true;
}

static void reap(struct floor *bench)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&bench->ring, head, cqe)
	{
		count(bench, cqe->res);
		n++;
	}
	io_uring_cq_advance(&bench->ring, n);
}

/* With MSG_DONTWAIT every send completes in the submitting call. */
static void fan_out_uring(struct floor *bench)
{
	for (unsigned i = 0; i < bench->clients; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&bench->ring);

		if (!sqe) {
			io_uring_submit_and_get_events(&bench->ring);
			reap(bench);
			sqe = io_uring_get_sqe(&bench->ring);
		}
		io_uring_prep_send(sqe, (int)i, bench->map + bench->at, bench->size,
				   MSG_DONTWAIT | MSG_NOSIGNAL);
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	io_uring_submit_and_get_events(&bench->ring);
	reap(bench);
}

static void fan_out_rtp(struct floor *bench)
{
	char byte;
	ssize_t n = recv(bench->fds[0], &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	/* A client that plays says only goodbye. */
	bench->left = n >= 0 || errno != EAGAIN;
	for (unsigned i = 0; i < bench->clients; i++) {
		int result = rtp_sender_send(bench->sender, i);

		if (result == 0)
			bench->whole++;
		else
			bench->refused++;
	}
}

static void fan_out(struct floor *bench)
{
	if (bench->sender) {
		fan_out_rtp(bench);
		return;
	}
	if (bench->mode == MODE_URING) {
		fan_out_uring(bench);
		return;
	}
	for (unsigned i = 0; i < bench->clients; i++) {
		off_t offset = (off_t)bench->at;
		ssize_t n;

		if (bench->mode == MODE_SEND)
			n = send(bench->fds[i], bench->map + bench->at, bench->size,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = sendfile(bench->fds[i], bench->memfd, &offset, bench->size);
		count(bench, n < 0 ? -errno : n);
	}
}

static void accept_all(struct floor *bench, const struct net_address *address)
{
	struct pollfd listener = {.events = POLLIN};
	struct net_peer local;
	int fds[LISTEN_MAX], one = 1;

	if (listen_open(address, "--host and --port", fds) != 1)
		exit(1);
	listener.fd = fds[0];
	net_peer_local_from_fd(&local, listener.fd);
	printf("listening on %u\n", local.port);
	fflush(stdout);
	for (unsigned i = 0; i < bench->clients; i++) {
		if (poll(&listener, 1, -1) < 0)
			err(1, "poll");
		bench->fds[i] = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (bench->fds[i] < 0 ||
		    setsockopt(bench->fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
			err(1, "accept");
	}
	close(listener.fd);
}

/* Answers all players until each has said its port and asked to play. */
static void serve_players(struct floor *bench)
{
	struct pollfd *players = calloc(bench->clients, sizeof(*players));
	uint16_t *ports = calloc(bench->clients, sizeof(*ports));

	if (!players || !ports)
		err(1, "memory");
	for (unsigned i = 0; i < bench->clients; i++)
		players[i] = (struct pollfd){.fd = bench->fds[i], .events = POLLIN};
	for (unsigned n = 0; n < bench->clients;) {
		if (poll(players, bench->clients, -1) < 0)
			err(1, "poll");
		for (unsigned i = 0; i < bench->clients; i++) {
			int result =
				players[i].revents ? rtsp_host_answer(players[i].fd, &ports[i]) : 0;

			if (result > 0) {
				players[i].fd = -1;
				n++;
			}
			errno = result < 0 ? -result : 0;
			if (errno)
				err(1, "player");
		}
	}
	for (unsigned i = 0; i < bench->clients; i++) {
		errno = -rtp_sender_add(bench->sender, bench->fds[i], ports[i]);
		if (errno)
			err(1, "player");
	}
	free(ports);
	free(players);
}

static void prepare(struct floor *bench)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
						  IORING_SETUP_DEFER_TASKRUN};
	int result;

	if (bench->mode >= MODE_SENDTO) {
		errno = -rtp_sender_create(&bench->sender,
					   (enum rtp_sender_way)(bench->mode - MODE_SENDTO),
					   bench->size, bench->clients);
		if (errno)
			err(1, "packets");
		serve_players(bench);
		return;
	}
	bench->room = bench->footage.n ? FOOTAGE_RING : bench->size;
	bench->memfd = memfd_create("floor", MFD_CLOEXEC);
	if (bench->memfd < 0 || ftruncate(bench->memfd, (off_t)bench->room) < 0)
		err(1, "memfd");
	bench->map = mmap(NULL, bench->room, PROT_READ | PROT_WRITE, MAP_SHARED, bench->memfd, 0);
	if (bench->map == MAP_FAILED)
		err(1, "mmap");
	if (bench->footage.n == 0)
		unit_build(bench->map, bench->size, 0, true, false, 0);
	else
		bench->size = 0;
	if (bench->mode != MODE_URING)
		return;
	result = io_uring_queue_init_params(RING_ENTRIES, &bench->ring, &params);
	if (result == 0)
		result = io_uring_register_files(&bench->ring, bench->fds, bench->clients);
	if (result < 0) {
		errno = -result;
		err(1, "io_uring");
	}
}

static void next_unit(struct floor *bench, uint64_t seq)
{
	if (bench->sender)
		rtp_sender_choose(bench->sender, seq);
	if (bench->footage.n == 0)
		return;
	bench->at += bench->size;
	if (bench->at + bench->footage.max_len > bench->room)
		bench->at = 0;
	bench->size =
		footage_write(&bench->footage, seq, seq, clock_now_us(), bench->map + bench->at);
}

static void run(struct floor *bench)
{
	unsigned long units = (unsigned long)(bench->rate * bench->seconds);
	unsigned long warm = (unsigned long)(bench->rate * bench->warm_up), late = 0, done = 0;
	int64_t period = (int64_t)(1e9 / bench->rate), next = clock_ns(CLOCK_MONOTONIC);
	int64_t cpu = 0, wall = 0, worst = 0;

	for (unsigned long i = 0; i < warm + units; i++) {
		int64_t begun, took;

		pace_until_us(next / 1000);
		if (i == warm) {
			bench->whole = bench->cut = bench->refused = 0;
			cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		}
		begun = clock_ns(CLOCK_MONOTONIC);
		next_unit(bench, i);
		fan_out(bench);
		took = clock_ns(CLOCK_MONOTONIC) - begun;
		if (bench->left)
			break;
		if (i >= warm) {
			done++;
			wall += took;
			worst = took > worst ? took : worst;
		}
		late += took > period;
		next += period;
	}
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (done == 0) {
		fprintf(stderr, "floor: a client left before the warm-up was over\n");
		exit(1);
	}
	printf("{\"mode\": \"%s\", \"clients\": %u, \"size\": %zu, \"units\": %lu, "
	       "\"us_per_client_unit\": %.3f, \"fan_out_ms\": %.3f, \"fan_out_max_ms\": %.3f, "
	       "\"late_units\": %lu, \"whole\": %lu, \"cut\": %lu, \"refused\": %lu}\n",
	       mode_names[bench->mode], bench->clients, bench->size, done,
	       (double)cpu / 1e3 / (double)done / bench->clients, (double)wall / 1e6 / (double)done,
	       (double)worst / 1e6, late, bench->whole, bench->cut, bench->refused);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"mode", required_argument, NULL, 'm'},
						{"clients", required_argument, NULL, 'n'},
						{"size", required_argument, NULL, 's'},
						{"footage", required_argument, NULL, 'f'},
						{"rate", required_argument, NULL, 'r'},
						{"seconds", required_argument, NULL, 't'},
						{"warm-up", required_argument, NULL, 'w'},
						{"host", required_argument, NULL, 'h'},
						{"port", required_argument, NULL, 'p'},
						{NULL, 0, NULL, 0}};
	struct floor bench = {
		.size = 33000, .clients = 100, .rate = 30, .seconds = 5, .warm_up = 1};
	struct net_address address = {.host = "127.0.0.1"};
	struct rlimit files;
	bool known = true;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'm':
			known = false;
			for (unsigned i = 0; i < MODES; i++) {
				if (strcmp(optarg, mode_names[i]) == 0) {
					bench.mode = (enum mode)i;
					known = true;
				}
			}
			break;
		case 'n':
			bench.clients = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			bench.size = strtoul(optarg, NULL, 10);
			break;
		case 'f':
			errno = -footage_open(&bench.footage, optarg);
			if (errno)
				err(1, optarg);
			break;
		case 'r':
			bench.rate = atof(optarg);
			break;
		case 't':
			bench.seconds = atof(optarg);
			break;
		case 'w':
			bench.warm_up = atof(optarg);
			break;
		case 'h':
			if (net_host_family(optarg) != AF_INET) {
				fprintf(stderr, "floor: --host needs an IPv4 address\n");
				return 2;
			}
			snprintf(address.host, sizeof(address.host), "%s", optarg);
			break;
		case 'p':
			address.port = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		default:
			return 2;
		}
	}
	known = known && (bench.mode < MODE_SENDTO || bench.footage.n == 0);
	if (!known || bench.clients == 0 || bench.size < UNIT_MIN || bench.rate <= 0 ||
	    bench.seconds <= 0 || optind != argc) {
		fprintf(stderr,
			"floor: --mode is send, sendfile, uring or, without --footage, sendto, gso "
			"or gso-connected; --clients is at least 1; --size at least %d; --rate and "
			"--seconds above 0\n",
			UNIT_MIN);
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	bench.fds = calloc(bench.clients, sizeof(*bench.fds));
	if (!bench.fds)
		err(1, "memory");
	signal(SIGPIPE, SIG_IGN); /* sendfile has no MSG_NOSIGNAL */
	accept_all(&bench, &address);
	prepare(&bench);
	run(&bench);
	rtp_sender_destroy(bench.sender);
	return 0;
}
