/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Simulates a distant network. Runs a command in a network namespace in which a connection to
 * 10.77.0.2 reaches 10.77.0.1. Its packets have the size of Ethernet's (MTU 1500, without
 * segmentation offload). Each packet is delayed and may be lost, in both directions. Packets to
 * 10.77.0.1 itself take the loopback, and are neither delayed nor lost.
 *
 * link --delay-ms MS [--loss PERCENT] [--congestion NAME] [--seed N] COMMAND [ARGUMENT...]
 *
 * MS is the delay of one way, half of the round trip. NAME is a congestion control
 * (tcp_congestion_control in tcp(7)); the default is that of the machine. SIGUSR1 cuts the link
 * silently, SIGUSR2 restores it. link ends with the command, and with its exit status. It replaces
 * netem (tc-netem(8)) on kernels without it. It needs root and /dev/net/tun
 * (Documentation/networking/tuntap.rst).
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define HERE "10.77.0.1"
#define DEVICE "far"
#define MTU 1500
#define DEVICE_QUEUE 10000 /* packets; a key unit for all clients is some hundred at once */
#define UNDER_WAY 65536	   /* packets; a power of two */

struct packet {
	int64_t due_us;
	uint32_t len;
	uint8_t bytes[MTU];
};

struct link {
	int tun;
	int64_t delay_us;
	double loss; /* 0..1 */
	unsigned short chance[3];
	bool cut;
	struct packet *ring; /* in the order in which they are due */
	unsigned head, tail; /* they only grow; index modulo UNDER_WAY */
};

/* --- the namespace --- */

static void configure(int control, unsigned long request, struct ifreq *ifr)
{
	if (ioctl(control, request, ifr) < 0)
		err(1, ifr->ifr_name);
}

static struct sockaddr *address(struct ifreq *ifr, const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	inet_pton(AF_INET, text, &in.sin_addr);
	memcpy(&ifr->ifr_addr, &in, sizeof(in));
	return &ifr->ifr_addr;
}

static int open_network(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	struct ifreq far = {.ifr_name = DEVICE, .ifr_flags = IFF_TUN | IFF_NO_PI};
	int tun, control;

	if (unshare(CLONE_NEWNET) < 0)
		err(1, "a network namespace");
	tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tun < 0 || ioctl(tun, TUNSETIFF, &far) < 0)
		err(1, "/dev/net/tun");
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (control < 0)
		err(1, "socket");
	configure(control, SIOCSIFFLAGS, &lo);
	address(&far, HERE);
	configure(control, SIOCSIFADDR, &far);
	address(&far, "255.255.255.0");
	configure(control, SIOCSIFNETMASK, &far);
	far.ifr_qlen = DEVICE_QUEUE;
	configure(control, SIOCSIFTXQLEN, &far);
	far.ifr_flags = IFF_UP | IFF_RUNNING;
	configure(control, SIOCSIFFLAGS, &far);
	close(control);
	return tun;
}

static void set_congestion(const char *name)
{
	int fd = open("/proc/sys/net/ipv4/tcp_congestion_control", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, name, strlen(name)) < 0)
		err(1, name);
	close(fd);
}

/* --- the packets --- */

/* Both ends are the same machine: each packet gets its two addresses exchanged, which leaves all
 * checksums valid. */
static void turn_round(uint8_t *packet)
{
	struct iphdr header;
	uint32_t from;

	memcpy(&header, packet, sizeof(header));
	from = header.saddr;
	header.saddr = header.daddr;
	header.daddr = from;
	memcpy(packet, &header, sizeof(header));
}

static void take(struct link *link)
{
	while (link->head - link->tail < UNDER_WAY) {
		struct packet *packet = &link->ring[link->head % UNDER_WAY];
		ssize_t n = read(link->tun, packet->bytes, sizeof(packet->bytes));

		if (n <= 0)
			return;
		if ((size_t)n < sizeof(struct iphdr) || packet->bytes[0] >> 4 != 4 ||
		    erand48(link->chance) < link->loss)
			continue;
		turn_round(packet->bytes);
		packet->len = (uint32_t)n;
		packet->due_us = clock_now_us() + link->delay_us;
		link->head++;
	}
}

/* Returns the microseconds until the next packet is due, or -1 if there is none. */
static int64_t deliver(struct link *link)
{
	int64_t now_us = clock_now_us();

	for (; link->tail != link->head; link->tail++) {
		const struct packet *packet = &link->ring[link->tail % UNDER_WAY];

		if (packet->due_us > now_us)
			return packet->due_us - now_us;
		/* A host that is short of memory loses this packet, too. */
		if (!link->cut)
			(void)!write(link->tun, packet->bytes, packet->len);
	}
	return -1;
}

/* Returns false when the command has ended. */
static bool handle_signal(struct link *link, int signals)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return true;
	if (info.ssi_signo != SIGCHLD)
		link->cut = info.ssi_signo == SIGUSR1;
	return info.ssi_signo != SIGCHLD;
}

static void run(struct link *link, int signals)
{
	struct pollfd fds[] = {{.fd = link->tun, .events = POLLIN},
			       {.fd = signals, .events = POLLIN}};

	while (!(fds[1].revents & POLLIN) || handle_signal(link, signals)) {
		int64_t left_us = deliver(link);
		struct timespec left = {.tv_sec = left_us / 1000000,
					.tv_nsec = left_us % 1000000 * 1000};

		if (ppoll(fds, 2, left_us < 0 ? NULL : &left, NULL) < 0)
			err(1, "ppoll");
		take(link);
	}
}

/* --- */

static double number(const char *text, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0 && value <= most)) {
		fprintf(stderr, "link: %s: not a number from 0 to %g\n", text, most);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"delay-ms", required_argument, NULL, 'd'},
						{"loss", required_argument, NULL, 'l'},
						{"congestion", required_argument, NULL, 'c'},
						{"seed", required_argument, NULL, 's'},
						{NULL, 0, NULL, 0}};
	struct link link = {.chance = {1, 0, 0}};
	const char *congestion = NULL;
	sigset_t ours, before;
	int c, signals, status;
	pid_t pid;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			link.delay_us = (int64_t)(number(optarg, 10000) * 1000);
			break;
		case 'l':
			link.loss = number(optarg, 100) / 100;
			break;
		case 'c':
			congestion = optarg;
			break;
		case 's':
			link.chance[0] = (unsigned short)number(optarg, UINT16_MAX);
			break;
		default:
			return 2;
		}
	}
	if (optind == argc) {
		fprintf(stderr, "link: a command is missing\n");
		return 2;
	}
	link.tun = open_network();
	if (congestion)
		set_congestion(congestion);
	link.ring = malloc(UNDER_WAY * sizeof(*link.ring));
	if (!link.ring)
		err(1, "memory");

	sigemptyset(&ours);
	sigaddset(&ours, SIGCHLD);
	sigaddset(&ours, SIGUSR1);
	sigaddset(&ours, SIGUSR2);
	sigprocmask(SIG_BLOCK, &ours, &before);
	signals = signalfd(-1, &ours, SFD_CLOEXEC);
	pid = signals < 0 ? -1 : fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		/* A signal that ends link ends the command. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(argv[optind], argv + optind);
		err(1, argv[optind]);
	}
	run(&link, signals);
	if (waitpid(pid, &status, 0) < 0)
		err(1, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
